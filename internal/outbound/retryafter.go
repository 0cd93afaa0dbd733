package outbound

import (
	"net/http"
	"strings"
	"time"
)

// RetryAfterMax is the longest wait that RetryAfter gives; nobody may silence us for longer.
const RetryAfterMax = 24 * time.Hour

// RetryAfter reads the header Retry-After (RFC 9110, 10.2.3): whole seconds, or a date that is compared with now. The
// result is between 0 and RetryAfterMax; a date that has passed gives 0. It reports false when there is no such header or
// it cannot be read.
func RetryAfter(h http.Header, now time.Time) (time.Duration, bool) {
	s := strings.TrimSpace(h.Get("Retry-After"))
	if s == "" {
		return 0, false
	}
	if strings.Trim(s, "0123456789") == "" {
		return seconds(s), true
	}
	at, err := http.ParseTime(s)
	if err != nil {
		return 0, false
	}
	return min(max(at.Sub(now), 0), RetryAfterMax), true
}

// seconds stops counting at the limit, so that a number of any length is read.
func seconds(digits string) time.Duration {
	var d time.Duration
	for _, c := range digits {
		d = d*10 + time.Duration(c-'0')*time.Second
		if d > RetryAfterMax {
			return RetryAfterMax
		}
	}
	return d
}
