package app_test

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/makegood/makegood/internal/config"
	"github.com/makegood/makegood/internal/demo"
	"github.com/makegood/makegood/internal/simulate"
	"github.com/makegood/makegood/internal/store/storetest"
	"github.com/makegood/makegood/internal/telemetry"
)

// Every wrong address and verb is answered in our JSON, and says which verbs there are.
func TestWrongAddresses(t *testing.T) {
	t.Parallel()
	w := startWorld(t, storetest.SQLite(t))
	for _, tt := range []struct {
		method, path string
		status       int
		code         string
		allow        string
	}{
		{"GET", "/", 404, "not_found", ""},
		{"GET", "/nothing", 404, "not_found", ""},
		{"GET", "/favicon.ico", 404, "not_found", ""},
		{"POST", "/hooks/", 404, "not_found", ""},
		{"POST", "/hooks/stripe/more", 404, "not_found", ""},
		{"POST", "/hooks/paypal", 404, "not_found", ""},
		{"GET", "/hooks/stripe", 405, "method_not_allowed", "POST"},
		{"GET", "/api/checkout", 405, "method_not_allowed", "OPTIONS, POST"},
		{"DELETE", "/api/licenses/validate", 405, "method_not_allowed", "OPTIONS, POST"},
		{"POST", "/api/verify", 405, "method_not_allowed", "GET, HEAD"},
		{"POST", "/thanks", 405, "method_not_allowed", "GET, HEAD"},
		{"PUT", "/livez", 405, "method_not_allowed", "GET, HEAD"},
		{"BREW", "/api/health", 405, "method_not_allowed", "GET, HEAD"},
	} {
		a := w.ask(tt.method, tt.path, "")
		if a.status != tt.status || a.code() != tt.code || a.header.Get("Allow") != tt.allow {
			t.Errorf("%s %s = %d %s, Allow %q, want %d %s, Allow %q", tt.method, tt.path, a.status, a.body, a.header.Get("Allow"), tt.status, tt.code, tt.allow)
		}
	}
}

// Pages of other origins may sell, verify and validate; nothing else is open to them.
func TestOtherOrigins(t *testing.T) {
	t.Parallel()
	w := startWorld(t, storetest.SQLite(t))
	for _, path := range []string{"/api/checkout", "/api/licenses/validate"} {
		a := w.ask("OPTIONS", path, "", func(r *http.Request) {
			r.Header.Set("Origin", "https://shop.example")
			r.Header.Set("Access-Control-Request-Method", "POST")
			r.Header.Set("Access-Control-Request-Headers", "content-type,idempotency-key")
		})
		h := a.header
		if a.status != http.StatusNoContent || a.body != "" || h.Get("Access-Control-Allow-Origin") != "*" || h.Get("Access-Control-Allow-Methods") != "POST" ||
			h.Get("Access-Control-Allow-Headers") != "Content-Type, Idempotency-Key" || h.Get("Access-Control-Allow-Credentials") != "" {
			t.Errorf("preflight of %s = %d %v, want 204, any origin, no credentials", path, a.status, h)
		}
	}
	for _, tt := range []struct {
		method, path, body string
		want               string
	}{
		{"POST", "/api/checkout", "{", "*"}, // errors too, or the page could not read why
		{"POST", "/api/licenses/validate", "{}", "*"},
		{"GET", "/api/verify", "", "*"},
		{"GET", "/api/health", "", ""},
		{"GET", "/metrics", "", ""},
		{"GET", "/thanks", "", ""},
		{"POST", "/hooks/stripe", "{}", ""},
	} {
		if got := w.ask(tt.method, tt.path, tt.body).header.Get("Access-Control-Allow-Origin"); got != tt.want {
			t.Errorf("%s %s: Access-Control-Allow-Origin = %q, want %q", tt.method, tt.path, got, tt.want)
		}
	}
}

// Strangers are limited per address and per door, behind a proxy by the address that the proxy tells; providers are not.
func TestRateLimits(t *testing.T) {
	t.Parallel()
	w := startWorld(t, storetest.SQLite(t), configured(func(c *config.Config) {
		c.Limits = config.Limits{VerifyPerMinute: 2, ValidatePerMinute: 3, CheckoutPerMinute: 4, TrustedProxies: []string{"127.0.0.1", "10.0.0.0/8"}}
	}))
	for _, tt := range []struct {
		method, path, body string
		limit              int
	}{
		{"GET", "/api/verify?session_id=x", "", 2},
		{"GET", "/thanks?session_id=x", "", 2},
		{"POST", "/api/licenses/validate", "{}", 3},
		{"POST", "/api/checkout", "{}", 4},
	} {
		ask := func(client string) answer {
			return w.ask(tt.method, tt.path, tt.body, func(r *http.Request) { r.Header.Set("X-Forwarded-For", "1.1.1.1, "+client+", 10.0.0.9") })
		}
		for i := range tt.limit {
			if a := ask("203.0.113.7"); a.status == http.StatusTooManyRequests {
				t.Errorf("%s: request %d = 429, want %d a minute", tt.path, i+1, tt.limit)
			}
		}
		if a := ask("203.0.113.7"); a.status != http.StatusTooManyRequests || a.code() != "rate_limited" || a.header.Get("Retry-After") == "" {
			t.Errorf("%s: request %d = %d %s, Retry-After %q, want 429", tt.path, tt.limit+1, a.status, a.body, a.header.Get("Retry-After"))
		}
		if a := ask("203.0.113.8"); a.status == http.StatusTooManyRequests {
			t.Errorf("%s: another client = 429, want a limit of its own", tt.path)
		}
	}
	for i := range 20 {
		if a := w.hook(fmt.Sprintf(`{"id":"evt_%d"}`, i)); a.status != http.StatusOK {
			t.Errorf("delivery %d = %d, want 200: a provider is not limited", i+1, a.status)
		}
	}
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	w := startWorld(t, storetest.SQLite(t))
	w.hook(`{"id":"evt_1"}`)
	w.hook(`{"id":"evt_1"}`)
	w.ask("POST", "/hooks/stripe", "{}")
	w.quiet()
	a := w.ask("GET", "/metrics", "")
	if a.status != http.StatusOK || a.header.Get("Content-Type") != telemetry.ContentType {
		t.Errorf("metrics = %d %s, want 200 in the text format", a.status, a.header.Get("Content-Type"))
	}
	for _, line := range []string{
		`makegood_deliveries_total{source="stripe",result="new"} 1`,
		`makegood_deliveries_total{source="stripe",result="repeated"} 1`,
		`makegood_refused_deliveries_total{source="stripe",reason="missing"} 1`,
		`makegood_job_wait_seconds_count{kind="interpret"} 1`,
	} {
		if !strings.Contains(a.body, line+"\n") {
			t.Errorf("metrics do not have %s:\n%s", line, a.body)
		}
	}
}

// Canaries: whatever happens, no secret, key, address or name comes into a log, a metric or the answer about our health.
// The log is that of a plain handler, without the redaction that the program has on top.
func TestNothingLeaks(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, database string) {
		const password, zoe, name = "canary-of-the-database", "zoe.canary@customers.example", "Zoe Canary"
		if u, err := url.Parse(database); err == nil && u.User != nil {
			u.User = url.UserPassword(u.User.Username(), password)
			database = u.String()
		}
		w := startWorld(t, database, func(o *demo.Options) {
			o.Retry.Attempts, o.StopWithin = 2, 200*time.Millisecond
		})
		seen := &strings.Builder{} // what the world may see
		look := func() {
			for _, path := range []string{"/metrics", "/api/health", "/livez", "/readyz"} {
				seen.WriteString(w.ask("GET", path, "").body)
			}
		}
		// Good and bad days of orders, mails and the provider.
		m := &mood{mails: map[string]func(int) end{}, attempts: map[string]int{}}
		w.Resend.SetFaults(m.faults())
		var sessions []string
		for i, e := range []end{{}, {refused: 403}, {refused: 422}, {refused: 500}, {refused: simulate.Abort}, {accepted: 500}} {
			m.turn(first(2, e))
			session := w.open("az-900", 1)
			w.must("pay", w.Stripe.Pay(session, simulate.Customer{Email: zoe, Name: name}))
			w.eventually("the first attempt", func() bool { return m.seen() == i+1 })
			sessions = append(sessions, session)
		}
		for _, session := range sessions {
			w.settled(session)
			w.verify(session)
			w.ask("GET", "/thanks?session_id="+session, "")
		}
		look()
		w.Stripe.SetFaults(simulate.Faults{FailAPI: func(*http.Request) int { return http.StatusUnauthorized }})
		w.verify(sessions[0])
		w.ask("POST", "/api/checkout", fmt.Sprintf(`{"product":"az-900","email":%q}`, zoe))
		w.Stripe.SetFaults(simulate.Faults{})
		w.Resend.SetFaults(simulate.ResendFaults{})

		// Bad input with what must not be repeated in it.
		key := keysOf(w.order(sessions[0]))[0]
		body := fmt.Sprintf(`{"id":"evt_1","customer":%q,"key":%q}`, zoe, key)
		signature := simulate.Sign([]byte(body), w.order(sessions[0]).CreatedAt, "whsec_somebody_elses")
		w.ask("POST", "/hooks/stripe", body, func(r *http.Request) { r.Header.Set("Stripe-Signature", signature) })
		w.hook(body)
		w.ask("POST", "/api/checkout", fmt.Sprintf(`{"product":"az-900","quantity":1,"email":"%s (%s)"}`, zoe, name))
		w.ask("POST", "/api/licenses/validate", fmt.Sprintf(`{"key":%q}`, key))
		w.ask("POST", "/api/licenses/validate", fmt.Sprintf(`{"key":{%q:1}}`, key))
		w.ask("POST", "/api/licenses/validate", fmt.Sprintf(`{%q:1}`, key))
		w.ask("POST", "/api/checkout", fmt.Sprintf(`{"product":%q}`, zoe))
		w.ask("GET", "/api/verify?session_id="+url.QueryEscape(zoe), "")
		w.ask("GET", "/"+url.PathEscape(zoe), "")
		w.quiet()
		w.must("close the database under the server", w.Store().Close())
		w.verify(sessions[0])
		w.hook(body)
		look()
		_ = w.StopServer()

		canaries := append([]string{demo.StripeKey, demo.WebhookSecret, demo.ResendKey, demo.LicenseSecret, password, zoe, url.QueryEscape(zoe),
			"zoe.canary", name, key, signature[strings.Index(signature, "v1=")+3:]}, sessions...)
		for place, text := range map[string]string{"the log": w.logs.String(), "the answers": seen.String()} {
			for _, canary := range canaries {
				if i := strings.Index(text, canary); i >= 0 {
					t.Errorf("%s has %q: …%s…", place, canary, text[max(0, i-300):min(len(text), i+100)])
				}
			}
		}
		if !strings.Contains(w.logs.String(), "job given up") || !strings.Contains(seen.String(), "makegood_deliveries_total") {
			t.Error("the log or the metrics are not what was looked at")
		}
	})
}

// The log of the program, at its level, is not needed to be read with care: a wrong delivery is one line.
func TestOneLineForEachRefusal(t *testing.T) {
	t.Parallel()
	logs := &journal{}
	w := startWorld(t, storetest.SQLite(t), func(o *demo.Options) { o.Log = slog.New(slog.NewTextHandler(logs, nil)) })
	w.ask("POST", "/hooks/stripe", "{}")
	lines := strings.Split(strings.TrimSpace(logs.String()), "\n")
	lines = slices.DeleteFunc(lines, func(line string) bool {
		return !strings.Contains(line, "not proved") && !strings.Contains(line, "refused")
	})
	if len(lines) != 1 || !strings.Contains(lines[0], "level=WARN") || !strings.Contains(lines[0], "reason=missing") {
		t.Errorf("log of a refused delivery = %q, want one warning with the reason", lines)
	}
}
