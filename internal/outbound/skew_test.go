package outbound_test

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/makegood/makegood/internal/outbound"
)

// TestSkews measures our clock against the Date of answers, of which the way and the whole second are taken off.
func TestSkews(t *testing.T) {
	t.Parallel()
	theirs := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC) // as Date tells: some time within this second
	for _, tt := range []struct {
		name  string
		sent  time.Duration // our clock when the request leaves, from theirs on
		took  time.Duration
		date  string
		age   string
		want  time.Duration
		known bool
	}{
		{"good", 300 * time.Millisecond, 20 * time.Millisecond, theirs.Format(http.TimeFormat), "", 0, true},
		{"good, at the end of their second", 990 * time.Millisecond, 0, theirs.Format(http.TimeFormat), "", 0, true},
		{"good, on a slow way", -4 * time.Second, 9 * time.Second, theirs.Format(http.TimeFormat), "", 0, true},
		{"ahead", 8 * time.Second, 20 * time.Millisecond, theirs.Format(http.TimeFormat), "", 7 * time.Second, true},
		{"behind", -8 * time.Second, time.Second, theirs.Format(http.TimeFormat), "", -7 * time.Second, true},
		{"from a cache", time.Hour, 0, theirs.Format(http.TimeFormat), "3600", 0, false},
		{"without a date", time.Hour, 0, "", "", 0, false},
		{"with something else", time.Hour, 0, "today", "", 0, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			now := theirs.Add(tt.sent)
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header()["Date"] = nil
				if tt.date != "" {
					w.Header().Set("Date", tt.date)
				}
				if tt.age != "" {
					w.Header().Set("Age", tt.age)
				}
				now = now.Add(tt.took) // the client waits for this answer
			}))
			t.Cleanup(s.Close)
			c := local(t, outbound.Options{Now: func() time.Time { return now }})
			if _, err := c.Do(t.Context(), get(t, s.URL+"/path?token=hidden")); err != nil {
				t.Fatal(err)
			}
			var want []outbound.Skew
			if tt.known {
				want = []outbound.Skew{{Target: s.URL, By: tt.want, At: now}}
			}
			if diff := cmp.Diff(want, append([]outbound.Skew(nil), c.Skews()...)); diff != "" {
				t.Errorf("Skews (-want +got):\n%s", diff)
			}
		})
	}
}
