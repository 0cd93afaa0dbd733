package app_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/config"
	"github.com/makegood/makegood/internal/demo"
	"github.com/makegood/makegood/internal/secret"
	"github.com/makegood/makegood/internal/simulate"
	"github.com/makegood/makegood/internal/store"
	"github.com/makegood/makegood/internal/store/storetest"
)

// always misbehaves with this status.
func always(status int) func(int, *http.Request) (int, string) {
	return func(int, *http.Request) (int, string) { return status, "" }
}

// mood is a mail service that misbehaves to each mail in a way of its own, which it knows by the mail's key.
type mood struct {
	mu       sync.Mutex
	next     func(attempt int) end
	mails    map[string]func(attempt int) end
	attempts map[string]int
}

// end is how one attempt to send ends: with a status (and Resend's name for it) before the mail is accepted, or with a
// status after it. Zero is well.
type end struct {
	refused  int
	name     string
	accepted int
}

// first n attempts end so, the others well.
func first(n int, e end) func(int) end {
	return func(attempt int) end {
		if attempt <= n {
			return e
		}
		return end{}
	}
}

func (m *mood) end(r *http.Request, isNew bool) end {
	m.mu.Lock()
	defer m.mu.Unlock()
	key := r.Header.Get("Idempotency-Key")
	if m.mails[key] == nil {
		m.mails[key] = m.next
	}
	if isNew {
		m.attempts[key]++
	}
	return m.mails[key](m.attempts[key])
}

func (m *mood) faults() simulate.ResendFaults {
	return simulate.ResendFaults{
		FailSend:  func(_ int, r *http.Request) (int, string) { e := m.end(r, true); return e.refused, e.name },
		FailAfter: func(_ int, r *http.Request) int { return m.end(r, false).accepted },
	}
}

// turn makes the mood for the next new mail, and seen tells how many there were.
func (m *mood) turn(next func(int) end) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.next = next
}

func (m *mood) seen() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.mails)
}

// The mail service misbehaves in every way it has, and each customer gets one mail.
func TestMailTrouble(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, url string) {
		w := startWorld(t, url, configured(func(c *config.Config) { c.Outbound.Timeout = time.Second }))
		m := &mood{mails: map[string]func(int) end{}, attempts: map[string]int{}}
		w.Resend.SetFaults(m.faults())
		began := time.Now()
		var sessions []string
		stories := []struct {
			name string
			who  string
			ends func(attempt int) end
			tell func(w *world, session, who string)
		}{
			{"it answers 500 twice, then works", "ann", first(2, end{refused: 500}), func(w *world, session, who string) {
				o := w.expectFulfilled(session, who, 1)
				if step := o.Step(makegood.EffectEmail); step.Attempts != 3 || step.LastError != "" {
					w.t.Errorf("step = %+v, want three attempts and no error left", step)
				}
			}},
			{"it asks for patience", "bob", first(1, end{refused: 429}), func(w *world, session, who string) {
				o := w.expectFulfilled(session, who, 1)
				if waited := o.FulfilledAt.Sub(began); waited < time.Second {
					w.t.Errorf("sent again after %v, want the second that Retry-After asks for", waited)
				}
				if !strings.Contains(w.logs.String(), "job waits because the other side asked for it") {
					w.t.Error("the wait is not in the log")
				}
			}},
			{"it accepts and its answer does not come in time: one mail in the inbox", "cleo", first(1, end{accepted: simulate.Hang}), func(w *world, session, who string) {
				o := w.expectFulfilled(session, who, 1)
				if step := o.Step(makegood.EffectEmail); step.Attempts != 2 {
					w.t.Errorf("step = %+v, want two attempts, of which the first timed out", step)
				}
			}},
			{"it accepts and hangs up: one mail in the inbox", "dan", first(1, end{accepted: simulate.Abort}), func(w *world, session, who string) {
				w.expectFulfilled(session, who, 1)
			}},
			{"it refuses the address for good: the order is stuck, the letter is there", "eve", first(1, end{refused: 422, name: "validation_error"}), func(w *world, session, who string) {
				o := w.settled(session)
				if o.Fulfillment != makegood.Stuck || o.Reason != makegood.ReasonStepFailed || len(w.Resend.Inbox(who)) != 0 {
					w.t.Errorf("order = %s %q, want stuck: step_failed, and no mail", o.Fulfillment, o.Reason)
				}
				letters, err := w.Store().DeadLetters(w.t.Context(), store.DeadLetterFilter{})
				if err != nil || len(letters) != 1 || letters[0].Job.OrderID != o.ID || !strings.Contains(letters[0].Error, "422") {
					w.t.Errorf("dead letters = %+v, %v, want one of this order with the reason", letters, err)
				}
			}},
		}
		for i, story := range stories {
			m.turn(story.ends)
			sessions = append(sessions, w.buy("az-900", 1, address(story.who)))
			w.eventually("the first attempt", func() bool { return m.seen() == i+1 })
		}
		for i, story := range stories {
			w.sentence(story.name, func(w *world) { story.tell(w, sessions[i], address(story.who)) })
		}
	})
}

// It is refunded while the mail waits: the mail is withdrawn and the key is worth nothing.
func TestRefundedWhileTheMailWaits(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, url string) {
		w := startWorld(t, url, func(o *demo.Options) { o.Retry.Attempts = 1000 })
		w.Resend.SetFaults(simulate.ResendFaults{FailSend: always(500)})
		session := w.buy("az-900", 1, address("ann"))
		w.eventually("a failed attempt", func() bool { return w.hasFailed(session, "status 500") })
		o := w.order(session)
		_, err := w.Store().AmendOrder(t.Context(), makegood.Amendment{OrderID: o.ID, Actor: "test",
			Change: func(o *makegood.Order, _ func(string) bool) ([]makegood.Entry, error) {
				o.Learn(makegood.Fact{Key: o.Key, Kind: makegood.FactRefunded, ObjectID: "re_1", Amount: o.Total})
				return o.Settle(makegood.Terms{Catalogue: w.Config.Catalogue, Effects: []string{makegood.EffectEmail}, Now: time.Now()}), nil
			}})
		w.must("refund", err)
		w.Resend.SetFaults(simulate.ResendFaults{})
		w.quiet()
		if o := w.order(session); o.Fulfillment != makegood.Revoked || o.Step(makegood.EffectEmail).State != makegood.StepWithdrawn {
			t.Errorf("order = %s, step %+v, want revoked and withdrawn", o.Fulfillment, o.Step(makegood.EffectEmail))
		}
		if n := w.Resend.Count(); n != 0 {
			t.Errorf("%d mails after the refund, want none", n)
		}
		if a := w.ask("POST", "/api/licenses/validate", fmt.Sprintf(`{"key":%q}`, keysOf(o)[0])); !strings.Contains(a.body, `"code":"REVOKED"`) {
			t.Errorf("validate = %s, want REVOKED", a.body)
		}
	})
}

// hasFailed reports whether an attempt at the mail of a session has failed, and why.
func (w *world) hasFailed(session, why string) bool {
	o, err := w.Store().OrderBySession(w.t.Context(), "stripe", session)
	if err != nil || o.Step(makegood.EffectEmail) == nil {
		return false
	}
	return strings.Contains(o.Step(makegood.EffectEmail).LastError, why)
}

// Whatever the mail service says for as long as the policy allows ends where a person sees it.
func TestMailGivenUp(t *testing.T) {
	t.Parallel()
	w := startWorld(t, storetest.SQLite(t), func(o *demo.Options) { o.Retry.Attempts = 2 })
	w.Resend.SetFaults(simulate.ResendFaults{FailSend: always(500)})
	o := w.settled(w.buy("az-900", 1, address("ann")))
	letters, err := w.Store().DeadLetters(t.Context(), store.DeadLetterFilter{})
	if o.Fulfillment != makegood.Stuck || o.Reason != makegood.ReasonStepFailed || err != nil || len(letters) != 1 || letters[0].Attempts != 2 {
		t.Errorf("order = %s %q, dead letters %+v, %v, want stuck with a letter of two attempts", o.Fulfillment, o.Reason, letters, err)
	}
	// The key is on the page all the same.
	if a, p := w.verify(o.Key.SessionID); a.status != http.StatusOK || len(p.Licenses) != 1 || p.Fulfillment != makegood.Stuck {
		t.Errorf("verify = %d %+v, want 200 with the key", a.status, p)
	}
}

// An event that the API cannot explain for as long as the policy allows is kept, marked, and shown.
func TestEventGivenUp(t *testing.T) {
	t.Parallel()
	w := startWorld(t, storetest.SQLite(t), configured(withPrices), func(o *demo.Options) { o.Retry.Attempts = 2 })
	w.addPrices()
	w.Stripe.SetFaults(simulate.Faults{FailAPI: func(*http.Request) int { return http.StatusInternalServerError }})
	session := w.Stripe.CreateSession(simulate.SessionParams{LineItems: []simulate.LineItemParams{{Price: "price_az900"}}}).ID
	w.pay(session, address("ann"))
	var letters []makegood.DeadLetter
	w.eventually("a dead letter", func() bool {
		var err error
		letters, err = w.Store().DeadLetters(t.Context(), store.DeadLetterFilter{})
		w.must("list the dead letters", err)
		return len(letters) == 1
	})
	e, err := w.Store().Event(t.Context(), letters[0].Job.EventID)
	if err != nil || e.State != makegood.EventDead || e.Type != "checkout.session.completed" || letters[0].Source != "stripe" || letters[0].Attempts != 2 {
		t.Errorf("event = %s %s, letter %+v, %v, want it dead after two attempts", e.State, e.Type, letters[0], err)
	}
	// The customer on the success page is served by the same function once the provider is back.
	w.Stripe.SetFaults(simulate.Faults{})
	if a, p := w.verify(session); a.status != http.StatusOK || len(p.Licenses) != 1 {
		t.Errorf("verify once the provider is back = %d %s, want the key", a.status, a.body)
	}
	w.expectFulfilled(session, address("ann"), 1)
}

// The server is stopped and started again in the middle of things.
func TestRestart(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, url string) {
		w := startWorld(t, url)
		// The mail is on its way, and slow. (Latency is added before the service acts.)
		w.Resend.SetFaults(simulate.ResendFaults{Latency: 300 * time.Millisecond})
		running := w.buy("az-900", 1, address("ann"))
		w.eventually("a mail on its way", func() bool { return w.Resend.Calls() == 1 })
		w.must("stop the server", w.StopServer())
		if n := len(w.Resend.Inbox(address("ann"))); n != 1 {
			t.Errorf("%d mails after a graceful stop, want the one that was on its way", n)
		}
		// The provider delivers to a closed door, and will again.
		w.Resend.SetFaults(simulate.ResendFaults{FailSend: always(500)})
		w.must("start the server", w.RestartServer(t.Context(), store.Options{}, makegood.ShutdownTimeout))
		if o := w.order(running); o.Fulfillment != makegood.Fulfilled || o.Step(makegood.EffectEmail).Attempts != 1 {
			t.Errorf("order after a graceful stop = %s, step %+v, want the running job to have finished with its receipt", o.Fulfillment, o.Step(makegood.EffectEmail))
		}

		failing := w.buy("az-900", 1, address("bob"))
		w.eventually("a failed attempt", func() bool { return w.hasFailed(failing, "status 500") })
		unpaid := w.open("az-900", 1)
		w.must("stop the server", w.StopServer())
		w.Resend.SetFaults(simulate.ResendFaults{})
		w.pay(unpaid, address("cleo"))
		w.must("start the server", w.RestartServer(t.Context(), store.Options{}, makegood.ShutdownTimeout))
		w.expectFulfilled(running, address("ann"), 1)
		w.expectFulfilled(failing, address("bob"), 1)
		w.expectFulfilled(unpaid, address("cleo"), 1)
	})
}

// A wrong API key of the mail service holds mails back; once it is repaired they leave.
func TestMailKeyRepaired(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, url string) {
		w := startWorld(t, url, configured(func(c *config.Config) { c.Mail.Resend.APIKey = secret.New("re_wrong_Wrong1") }),
			func(o *demo.Options) { o.Retry.Attempts = 1000 })
		session := w.buy("az-900", 1, address("ann"))
		w.eventually("a refused attempt", func() bool { return w.hasFailed(session, "not configured rightly") })
		if o := w.order(session); o.Fulfillment != makegood.InProgress || w.Resend.Count() != 0 {
			t.Errorf("order with a wrong key = %s, %d mails, want in_progress and none", o.Fulfillment, w.Resend.Count())
		}
		w.Config.Mail.Resend.APIKey = secret.New(demo.ResendKey)
		w.must("restart the server", w.RestartServer(t.Context(), store.Options{}, makegood.ShutdownTimeout))
		w.expectFulfilled(session, address("ann"), 1)
	})
}

// A second server on the same file is refused, and told who holds it; the first goes on.
func TestSecondServerOnTheSameFile(t *testing.T) {
	t.Parallel()
	url := storetest.SQLite(t)
	w := startWorld(t, url)
	o, _ := options(url)
	second, err := demo.Start(t.Context(), o)
	if err == nil {
		_ = second.Stop()
		t.Fatal("a second server started on the same file")
	}
	if holder := fmt.Sprintf("process %d", os.Getpid()); !errors.Is(err, makegood.Conflict) || !strings.Contains(err.Error(), holder) {
		t.Errorf("a second server = %v, want a conflict with %s", err, holder)
	}
	w.expectFulfilled(w.buy("az-900", 1, address("ann")), address("ann"), 1)
}

// What cannot start says why and leaves nothing behind.
func TestStartRefused(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		change func(*config.Config)
		says   string
	}{
		{"a proxy that is no address", func(c *config.Config) { c.Limits.TrustedProxies = []string{"proxy"} }, "limits.trusted_proxies"},
		{"a proxy network that is none", func(c *config.Config) { c.Limits.TrustedProxies = []string{"10.0.0.0/99"} }, "limits.trusted_proxies"},
		{"a source of an unknown provider", func(c *config.Config) { c.Sources[0].Provider = "paypol" }, `names the provider "paypol"`},
		{"a source with an empty secret", func(c *config.Config) { c.Sources[0].WebhookSecrets = []config.DatedSecret{{}} }, "empty secret would accept forged events"},
		{"a live source with a test key", func(c *config.Config) { c.Sources[0].Live = true }, "of the other mode"},
		{"a checkout at no source", func(c *config.Config) { c.Checkout.Source = "paypal" }, `source "paypal" cannot sell`},
		{"no licence secret", func(c *config.Config) { c.Licenses.KeySecrets = nil }, "no key secret"},
		{"an empty licence secret", func(c *config.Config) { c.Licenses.KeySecrets[0].Secret = secret.Value{} }, "must not be empty"},
		{"an empty mail key", func(c *config.Config) { c.Mail.Resend.APIKey = secret.Value{} }, "Resend is empty"},
		{"a sender that is no address", func(c *config.Config) { c.Mail.From = "shop" }, "sender's address"},
		{"a database of another kind", func(c *config.Config) { c.Database = "mysql://localhost" }, "sqlite:PATH"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			url := storetest.SQLite(t)
			o, _ := options(url, configured(tt.change))
			w, err := demo.Start(t.Context(), o)
			if err == nil {
				_ = w.Stop()
			}
			if err == nil || !strings.Contains(err.Error(), tt.says) {
				t.Fatalf("start = %v, want it refused with %q", err, tt.says)
			}
			// The lock of the file was let go.
			s, err := store.Open(t.Context(), url, store.Options{})
			if err != nil {
				t.Fatalf("open the database afterwards: %v", err)
			}
			if err := s.Close(); err != nil {
				t.Errorf("close: %v", err)
			}
		})
	}
}

// The database is away: deliveries are refused so that the provider repeats them, and made good when it is back.
func TestStoreAway(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, url string) {
		w := startWorld(t, url, func(o *demo.Options) { o.StopWithin = 200 * time.Millisecond })
		if a := w.ask("GET", "/readyz", ""); a.status != http.StatusOK || a.body != "ready\n" {
			t.Errorf("readyz = %d %q, want 200", a.status, a.body)
		}
		session := w.open("az-900", 1)
		w.must("close the database under the server", w.Store().Close())
		w.pay(session, address("ann"))
		a := w.hook(`{"id":"evt_1","object":"event","type":"x","livemode":false}`)
		if a.status != http.StatusServiceUnavailable || a.code() != "unavailable" || a.header.Get("Retry-After") == "" {
			t.Errorf("delivery without a database = %d %s, Retry-After %q, want 503 and a time", a.status, a.body, a.header.Get("Retry-After"))
		}
		if a := w.ask("GET", "/readyz", ""); a.status != http.StatusServiceUnavailable || a.code() != "unavailable" {
			t.Errorf("readyz = %d %s, want 503", a.status, a.body)
		}
		if a := w.ask("GET", "/livez", ""); a.status != http.StatusOK || a.body != "live\n" {
			t.Errorf("livez = %d %q, want 200: a restart would not help", a.status, a.body)
		}
		a = w.ask("GET", "/api/health", "")
		if a.status != http.StatusServiceUnavailable || !strings.HasPrefix(a.body, `{"status":"down"`) {
			t.Errorf("health = %d %s, want 503 and down", a.status, a.body)
		}
		if a, _ := w.verify(session); a.status != http.StatusServiceUnavailable || a.code() != "unavailable" {
			t.Errorf("verify = %d %s, want 503", a.status, a.body)
		}
		_ = w.StopServer() // without a database no stop is clean
		w.must("start the server", w.RestartServer(t.Context(), store.Options{}, makegood.ShutdownTimeout))
		w.expectFulfilled(session, address("ann"), 1)
		if _, err := w.Store().Event(t.Context(), "evt_1"); !isNotFound(err) {
			t.Errorf("the refused event: %v, want it not claimed", err)
		}
	})
}

// health reads /api/health as a new server sees it, because an answer is kept for five seconds.
func (w *world) health() (status int, whole string, parts map[string]string) {
	w.t.Helper()
	w.must("restart the server", w.RestartServer(w.t.Context(), store.Options{}, makegood.ShutdownTimeout))
	a := w.ask("GET", "/api/health", "")
	var said struct {
		Status     string
		Components map[string]struct{ Status string }
	}
	w.must("read the health", json.Unmarshal([]byte(a.body), &said))
	parts = map[string]string{}
	for name, c := range said.Components {
		parts[name] = c.Status
	}
	return a.status, said.Status, parts
}

func TestHealth(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, url string) {
		w := startWorld(t, url)
		well := map[string]string{"database": "healthy", "queue": "healthy", "email": "healthy", "secrets": "healthy", "provider:stripe": "healthy",
			"webhooks": "healthy", "backup": "not_configured", "watcher": "not_configured"}
		expect := func(when string, wantWhole string, change map[string]string) {
			t.Helper()
			status, whole, parts := w.health()
			want := map[string]string{}
			for name, s := range well {
				want[name] = s
			}
			for name, s := range change {
				want[name] = s
			}
			if status != http.StatusOK || whole != wantWhole || fmt.Sprint(parts) != fmt.Sprint(want) {
				t.Errorf("health %s = %d %s %v, want 200 %s %v", when, status, whole, parts, wantWhole, want)
			}
		}
		expect("when all is well", "healthy", nil)
		w.Stripe.SetFaults(simulate.Faults{FailAPI: func(*http.Request) int { return http.StatusInternalServerError }})
		expect("when the provider is down", "degraded", map[string]string{"provider:stripe": "degraded"})
		w.Stripe.SetFaults(simulate.Faults{})
		w.Config.Mail.Resend.APIKey = secret.New("re_wrong_Wrong1")
		expect("when the mail key is wrong", "degraded", map[string]string{"email": "degraded"})
	})
}
