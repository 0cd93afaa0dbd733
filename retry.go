package makegood

import (
	"math"
	"time"
)

// RetryPolicy says how often and how patiently a failing job is repeated.
type RetryPolicy struct {
	Attempts int           // how often it runs in all before it becomes a dead letter; at least 1
	Base     time.Duration // the wait after the first failure
	Cap      time.Duration // no wait is longer
}

// DefaultRetryPolicy outlives a provider's outage of three days: 12 doublings from one second up to the cap, then once an
// hour, about 88 hours in all.
var DefaultRetryPolicy = RetryPolicy{Attempts: 100, Base: time.Second, Cap: time.Hour}

// Backoff returns the wait after the given failed attempt (1 for the first): base, doubled each time, at most the cap,
// then spread by up to a quarter to either side so that what failed together does not return together. The spread comes
// from jitter, a number in [0,1).
func (p RetryPolicy) Backoff(attempt int, jitter float64) time.Duration {
	wait := float64(p.Base) * math.Pow(2, float64(max(attempt, 1)-1))
	wait = min(wait, float64(p.Cap))
	return time.Duration(wait * (0.75 + jitter/2))
}
