package api_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"
	"time"

	"github.com/makegood/makegood/internal/api"
)

var noon = time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)

func from(remote string, forwarded ...string) func(*http.Request) {
	return func(r *http.Request) {
		r.RemoteAddr = remote
		r.Header["X-Forwarded-For"] = forwarded
	}
}

func TestClientAddress(t *testing.T) {
	t.Parallel()
	trusted := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}
	for _, tt := range []struct {
		name      string
		remote    string
		forwarded []string
		trusted   []netip.Prefix
		want      string
	}{
		{"direct", "203.0.113.7:1234", nil, trusted, "203.0.113.7"},
		{"direct, with a header of its own making", "203.0.113.7:1234", []string{"198.51.100.1"}, trusted, "203.0.113.7"},
		{"header, and nobody is trusted", "10.0.0.1:1234", []string{"198.51.100.1"}, nil, "10.0.0.1"},
		{"over our proxy", "10.0.0.1:1234", []string{"198.51.100.1"}, trusted, "198.51.100.1"},
		{"over two of our proxies", "10.0.0.1:1234", []string{"198.51.100.1, 10.0.0.2"}, trusted, "198.51.100.1"},
		{"over two of our proxies, two headers", "10.0.0.1:1234", []string{"198.51.100.1", "10.0.0.2"}, trusted, "198.51.100.1"},
		{"forged on the left", "10.0.0.1:1234", []string{"1.1.1.1, 198.51.100.1"}, trusted, "198.51.100.1"},
		{"forged as ours on the left", "10.0.0.1:1234", []string{"10.9.9.9, 198.51.100.1"}, trusted, "198.51.100.1"},
		{"forged in a header before", "10.0.0.1:1234", []string{"1.1.1.1", "198.51.100.1"}, trusted, "198.51.100.1"},
		{"all ours", "10.0.0.1:1234", []string{"10.0.0.3, 10.0.0.2"}, trusted, "10.0.0.3"},
		{"proxy without the header", "10.0.0.1:1234", nil, trusted, "10.0.0.1"},
		{"proxy with rubbish", "10.0.0.1:1234", []string{"unknown"}, trusted, "10.0.0.1"},
		{"rubbish on the left", "10.0.0.1:1234", []string{"unknown, 198.51.100.1"}, trusted, "198.51.100.1"},
		{"mapped IPv4 connection", "[::ffff:10.0.0.1]:1234", []string{"198.51.100.1"}, trusted, "198.51.100.1"},
		{"mapped IPv4 client", "10.0.0.1:1234", []string{"::ffff:198.51.100.1"}, trusted, "198.51.100.1"},
		{"IPv6 by its network", "[2001:db8:1:2:3:4:5:6]:1234", nil, trusted, "2001:db8:1:2::"},
		{"IPv6 over an IPv6 proxy", "[fd00::1]:1234", []string{"2001:db8:1:2:ffff::9"}, trusted, "2001:db8:1:2::"},
		{"IPv6 with a zone of its own making", "10.0.0.1:1234", []string{"2001:db8:1:2::9%eth0"}, trusted, "2001:db8:1:2::"},
		{"no address at all", "@", nil, trusted, "invalid IP"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := httptest.NewRequest("GET", "/", nil)
			from(tt.remote, tt.forwarded...)(r)
			if got := api.ClientAddress(r, tt.trusted).String(); got != tt.want {
				t.Errorf("client of %s, forwarded for %q = %s, want %s", tt.remote, tt.forwarded, got, tt.want)
			}
		})
	}
}

func TestLimit(t *testing.T) {
	t.Parallel()
	at := noon
	served := 0
	h := api.NewLimiter(3, nil, func() time.Time { return at }).Limit(func(http.ResponseWriter, *http.Request) error { served++; return nil })
	for i := range 5 {
		w := ask(t, h, "GET", "/", "", from("203.0.113.7:1"))
		if want := map[bool]int{true: 200, false: 429}[i < 3]; w.Code != want {
			t.Errorf("request %d of a minute = %d, want %d", i+1, w.Code, want)
		}
		if i < 3 {
			continue
		}
		if f := failureOf(t, w); f.Code != "rate_limited" || w.Header().Get("Retry-After") != "60" {
			t.Errorf("refusal = %+v, Retry-After %q, want rate_limited and 60", f, w.Header().Get("Retry-After"))
		}
	}
	if w := ask(t, h, "GET", "/", "", from("203.0.113.8:1")); w.Code != 200 || served != 4 {
		t.Errorf("another client = %d, %d were served in all, want 200 and 4", w.Code, served)
	}
	at = at.Add(20 * time.Second)
	if w := ask(t, h, "GET", "/", "", from("203.0.113.7:1")); w.Code != 200 {
		t.Errorf("a third of a minute later = %d, want 200", w.Code)
	}
	if w := ask(t, h, "GET", "/", "", from("203.0.113.7:1")); w.Code != 429 {
		t.Errorf("and at once again = %d, want 429", w.Code)
	}
}

// The memory for addresses is bounded, and nobody is locked out when it is full.
func TestLimitForgets(t *testing.T) {
	t.Parallel()
	h := api.NewLimiter(1, nil, func() time.Time { return noon }).Limit(func(http.ResponseWriter, *http.Request) error { return nil })
	for i := range api.ClientsMax + 1 {
		remote := fmt.Sprintf("10.%d.%d.%d:1", i>>16, i>>8&255, i&255)
		if w := ask(t, h, "GET", "/", "", from(remote)); w.Code != 200 {
			t.Fatalf("first request of %s = %d, want 200", remote, w.Code)
		}
	}
	if w := ask(t, h, "GET", "/", "", from("10.0.0.0:1")); w.Code != 200 {
		t.Errorf("request of the first client after so many others = %d, want it forgotten and 200", w.Code)
	}
}
