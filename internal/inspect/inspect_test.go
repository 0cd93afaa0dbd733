package inspect_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/config"
	"github.com/makegood/makegood/internal/inspect"
	"github.com/makegood/makegood/internal/monitor"
	"github.com/makegood/makegood/internal/outbound"
	"github.com/makegood/makegood/internal/provider"
	"github.com/makegood/makegood/internal/secret"
	"github.com/makegood/makegood/internal/simulate"
	"github.com/makegood/makegood/internal/store/storetest"
)

func TestTable(t *testing.T) {
	t.Parallel()
	checks := inspect.Checks()
	kebab := regexp.MustCompile(`^[a-z]+(-[a-z]+)*$`)
	seen := map[string]bool{}
	for _, c := range checks {
		if !kebab.MatchString(c.Code) || seen[c.Code] {
			t.Errorf("the code %q is no name of its own for a page", c.Code)
		}
		seen[c.Code] = true
		if c.Title == "" || !strings.HasSuffix(c.Means, ".") || c.Failures < 1 || c.Successes < 1 || c.Every < 10*time.Second || c.Again > c.Every || c.Again < 2*time.Second {
			t.Errorf("check %+v is not whole", c)
		}
		if _, err := makegood.ParsePriority(string(c.Priority)); err != nil {
			t.Errorf("%s: %v", c.Code, err)
		}
	}
	if !slices.IsSortedFunc(checks, func(a, b makegood.Check) int { return strings.Compare(a.Code, b.Code) }) {
		t.Error("the table is not sorted")
	}
	for _, code := range []string{inspect.ServerSilent, inspect.WatcherSilent, inspect.WatcherBlind, inspect.WatcherNotIndependent, inspect.PeerSkew,
		inspect.AlertChannelDown, inspect.AlertsUnsent, inspect.CheckoutBroken, inspect.SmokeFailed, inspect.ConfigurationRefused, inspect.Panic} {
		if !seen[code] {
			t.Errorf("the table has no %s", code)
		}
	}
	for code := range inspect.Figures() {
		if !seen[code] {
			t.Errorf("%s has a figure and is not in the table", code)
		}
	}
	if c, on := inspect.Lookup("undelivered-events", nil); !on || c.Again < time.Minute {
		t.Errorf("undelivered-events = %+v, %v; a provider is asked at most once a minute", c, on)
	}
}

func TestOverrides(t *testing.T) {
	t.Parallel()
	good := []config.CheckOverride{{Code: "slow-jobs", Off: true}, {Code: "queue-depth", Priority: makegood.P0, Every: time.Second, Above: 5}}
	if err := inspect.CheckOverrides(good); err != nil {
		t.Errorf("CheckOverrides(%+v) = %v", good, err)
	}
	for _, bad := range [][]config.CheckOverride{{{Code: "no-such"}}, {{Code: "webhook-loop", Above: 3}}, {{Code: "queue-depth", Priority: "P9"}},
		{{Code: "slow-jobs"}, {Code: "slow-jobs"}}, {{Code: "queue-depth", Above: -1}}, {{Code: "queue-depth", Every: -1}}} {
		if err := inspect.CheckOverrides(bad); !errors.Is(err, makegood.Invalid) {
			t.Errorf("CheckOverrides(%+v) = %v, want Invalid", bad, err)
		}
	}
	if _, on := inspect.Lookup("slow-jobs", good); on {
		t.Error("slow-jobs is on, although it was switched off")
	}
	if _, on := inspect.Lookup("no-such", good); on {
		t.Error("a check that does not exist is on")
	}
	c, on := inspect.Lookup("queue-depth", good)
	if !on || c.Priority != makegood.P0 || c.Every != time.Second || c.Again > time.Second {
		t.Errorf("queue-depth = %+v, %v, want what the override says", c, on)
	}
	h := newBooks(t, storetest.SQLite(t))
	h.o.Overrides = good
	for _, m := range inspect.New(h.o) {
		if m.Check.Code == "slow-jobs" {
			t.Error("slow-jobs is looked at, although it was switched off")
		}
		if m.Check.Code == "queue-depth" && m.Check.Every != time.Second {
			t.Errorf("queue-depth is looked at every %v, want every second", m.Check.Every)
		}
	}
}

// TestHealthyWorld: in a world that works, every look sees that all is well, but for what is not configured.
func TestHealthyWorld(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, url string) {
		h := newHouse(t, url, withPayPal)
		h.buy()
		h.look("provider-unreachable/stripe") // from here on the clock is known
		monitors := inspect.New(h.o)
		for _, m := range monitors {
			if m.Check.Code == "backup-age" {
				h.unknown(m.Key(), "not configured")
				continue
			}
			h.green(m.Key())
			if m.Timeout <= 0 {
				t.Errorf("%s has no time limit", m.Key())
			}
		}
		for _, key := range []string{"payment-processing-failure", "webhook-endpoint/paypal", "undelivered-events/paypal", "delivered-elsewhere/stripe", "queue-age/payments", "mail-unreachable"} {
			if !slices.ContainsFunc(monitors, func(m monitor.Monitor) bool { return m.Key() == key }) {
				t.Errorf("nothing looks at %s", key)
			}
		}
	})
}

func TestPaymentProcessingFailure(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, url string) {
		h := newHouse(t, url)
		h.Resend.SetFaults(simulate.ResendFaults{FailSend: func(int, *http.Request) (int, string) { return 503, "" }})
		session, err := h.Buy(t.Context(), "az-900", 1, "ann@example.com")
		h.must(err)
		o := h.order(session, func(o makegood.Order) bool { return o.Fulfillment == makegood.InProgress })
		unknown := h.Stripe.CreateSession(simulate.SessionParams{LineItems: []simulate.LineItemParams{{PriceData: simulate.Price{Product: "Exam", Currency: "usd", UnitAmount: 100}}}}).ID
		h.must(h.Stripe.Pay(unknown, simulate.Customer{Email: "bob@example.com"}))
		h.order(unknown, func(o makegood.Order) bool { return o.Fulfillment == makegood.Stuck })

		h.green("payment-processing-failure") // they have waited for seconds only
		h.clock.pass(6 * time.Minute)
		h.red("payment-processing-failure", "2 orders paid and not fulfilled for longer than 5 minutes", "the oldest for 6m", o.ID, "stuck: 1 unknown_product")
		h.o.Overrides, h.known = override("payment-processing-failure", 10), nil
		h.green("payment-processing-failure")

		h.Resend.SetFaults(simulate.ResendFaults{})
		h.order(session, fulfilled)
		h.clock.pass(5 * time.Minute)
		h.red("payment-processing-failure", "1 order paid")
	})
}

// TestUndelivered: what Stripe could not deliver is found, fetched and fulfilled; an event that is on its way is left alone.
func TestUndelivered(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, url string) {
		h := newHouse(t, url)
		audit := &auditing{Store: h.store}
		h.o.Store = audit
		h.green("undelivered-events/stripe")
		h.clock.pass(2 * time.Second) // Stripe tells whole seconds: no longer before we began
		h.Stripe.SetFaults(simulate.Faults{Drop: func(e simulate.Event) bool { return e.Type == "checkout.session.completed" }})
		session, err := h.Buy(t.Context(), "az-900", 1, "ann@example.com")
		h.must(err)
		h.clock.pass(20 * time.Second)
		h.green("undelivered-events/stripe") // it may be on its way
		h.clock.pass(time.Minute)
		h.red("undelivered-events/stripe", "1 event that could not be delivered; fetched, the oldest 1m2")
		h.order(session, fulfilled)
		if mails := h.Resend.Inbox("ann@example.com"); len(mails) != 1 {
			t.Errorf("the customer has %d mails, want 1", len(mails))
		}
		h.clock.pass(time.Minute)
		h.green("undelivered-events/stripe") // it is known now
		if want := []string{"system:inspect events.pulled stripe 1 new, 0 known"}; !slices.Equal(audit.entries, want) {
			t.Errorf("the audit has %q, want %q", audit.entries, want)
		}

		// Deliveries that were fetched do not count as a sign of life of the webhook.
		if _, by, err := h.store.LastDelivery(t.Context(), "stripe"); !errors.Is(err, makegood.NotFound) {
			t.Errorf("LastDelivery = %q, %v; a fetched event counts as delivered", by, err)
		}

		h.Stripe.SetFaults(simulate.Faults{FailAPI: func(*http.Request) int { return 503 }})
		h.unknown("undelivered-events/stripe", "Stripe answered with an error")
		h.Stripe.SetFaults(simulate.Faults{FailAPI: func(*http.Request) int { return 403 }})
		h.unknown("undelivered-events/stripe", "the key may not read the events")
	})
}

// TestUndeliveredInARestart: what came while the server was being restarted is fetched and wakes nobody. What could not be
// delivered for longer, or while it runs, does.
func TestUndeliveredInARestart(t *testing.T) {
	t.Parallel()
	h := newHouse(t, storetest.SQLite(t))
	audit := &auditing{Store: h.store}
	h.o.Store = audit
	h.Stripe.SetFaults(simulate.Faults{Drop: func(simulate.Event) bool { return true }})
	buy := func() string {
		session, err := h.Buy(t.Context(), "az-900", 1, "ann@example.com")
		h.must(err)
		return session
	}
	h.clock.pass(time.Minute)
	session := buy()
	h.clock.pass(10 * time.Second)
	h.green("webhook-loop/stripe") // the new process begins
	h.clock.pass(time.Minute)
	h.green("undelivered-events/stripe")
	h.order(session, fulfilled)
	if len(audit.entries) != 1 || !strings.Contains(audit.entries[0], "events.pulled stripe 1 new") {
		t.Errorf("the audit has %q, want what was fetched", audit.entries)
	}
	session = buy()
	h.clock.pass(time.Minute)
	h.red("undelivered-events/stripe", "1 event that")
	h.order(session, fulfilled)

	session = buy()
	h.clock.pass(4 * time.Minute)
	h.known = nil // another process, much later
	h.red("undelivered-events/stripe", "1 event that")
	h.order(session, fulfilled)
}

// TestUndeliveredManyAndBefore: one look takes a bounded number and the next goes on; and what happened before our books
// began is not ours.
func TestUndeliveredManyAndBefore(t *testing.T) {
	t.Parallel()
	h := newHouse(t, storetest.SQLite(t))
	books := newBooks(t, storetest.SQLite(t)) // nobody works on these
	books.execute(fmt.Sprintf(`UPDATE schema_migrations SET applied_at = %d`, h.clock.now().Add(-time.Hour).UnixMicro()))
	h.o.Store = books.store
	h.green("webhook-loop/stripe") // we begin here
	h.clock.pass(2 * time.Second)
	var asked atomic.Int64
	h.Stripe.SetFaults(simulate.Faults{Drop: func(simulate.Event) bool { return true }, FailAPI: func(*http.Request) int { asked.Add(1); return 0 }})
	h.Stripe.AddWebhookEndpoint("http://127.0.0.1:1/somebody-else")
	h.Stripe.Emit("customer.created", []byte(`{"id":"cus_1","object":"customer"}`)) // not ours: only somebody else wants it
	for i := range 510 {
		if i == 300 {
			h.clock.pass(time.Minute)
		}
		h.Stripe.Emit("charge.dispute.created", fmt.Appendf(nil, `{"id":"dp_%d","object":"dispute","status":"warning_needs_response"}`, i))
	}
	h.clock.pass(2 * time.Minute)
	h.red("undelivered-events/stripe", "500 events", "there are more, which the next look takes")
	asked.Store(0)
	h.red("undelivered-events/stripe", "10 events")
	if n := asked.Load(); n > 13 { // 210 of the second minute, 20 on a page, and the place to begin
		t.Errorf("the second look made %d calls; want it to go on where the first one stopped", n)
	}
	h.green("undelivered-events/stripe")

	// The same world, in which the books were opened only now.
	other := newBooks(t, storetest.SQLite(t))
	h.o.Store, h.known = other.store, nil
	h.clock.pass(time.Minute)
	other.execute(fmt.Sprintf(`UPDATE schema_migrations SET applied_at = %d`, h.clock.now().UnixMicro()))
	h.green("undelivered-events/stripe")
}

func TestUndeliveredAtPayPal(t *testing.T) {
	t.Parallel()
	h := newHouse(t, storetest.SQLite(t), withPayPal)
	h.green("undelivered-events/paypal")
	h.clock.pass(2 * time.Second)
	h.PayPal.SetFaults(simulate.PayPalFaults{Drop: func(simulate.Event) bool { return true }})
	h.PayPal.Emit("PAYMENT.CAPTURE.COMPLETED", "capture", []byte(`{"id":"CAP1"}`))
	h.clock.pass(time.Minute)
	h.red("undelivered-events/paypal", "1 event that could not be delivered")
	h.green("undelivered-events/paypal")
}

// TestDeliveredElsewhere: the webhook leads to another host, which says thank you.
func TestDeliveredElsewhere(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, url string) {
		h := newHouse(t, url)
		h.buy()
		elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
		t.Cleanup(elsewhere.Close)
		h.must(h.Stripe.SetWebhookURL(h.Endpoint, elsewhere.URL+"/hooks/stripe?token=hidden"))
		session, err := h.Buy(t.Context(), "az-900", 1, "bob@example.com")
		h.must(err)
		h.must(h.Stripe.WaitDelivered(t.Context()))
		h.clock.pass(3 * time.Minute)
		h.green("undelivered-events/stripe") // Stripe believes that all is well
		h.red("delivered-elsewhere/stripe", "the provider calls delivered and we had not; fetched")
		h.order(session, fulfilled)
		h.green("delivered-elsewhere/stripe")
		h.red("webhook-endpoint/stripe", "none of the 1 webhook endpoints leads here; they lead to "+strings.TrimPrefix(elsewhere.URL, "http://"))
		if s := h.look("webhook-endpoint/stripe"); strings.Contains(s.Trouble, "hidden") {
			t.Errorf("the trouble repeats what is in the address: %q", s.Trouble)
		}
		h.Stripe.SetFaults(simulate.Faults{FailAPI: func(*http.Request) int { return 503 }})
		h.unknown("delivered-elsewhere/stripe", "Stripe answered")
	})
}

func TestWebhookEndpoint(t *testing.T) {
	t.Parallel()
	h := newHouse(t, storetest.SQLite(t), withPayPal)
	paypalID := h.Config.Sources[1].WebhookSecrets[0].Secret.Reveal()
	h.green("webhook-endpoint/stripe")
	h.green("webhook-endpoint/paypal")

	h.must(h.Stripe.DisableWebhook(h.Endpoint, true))
	h.red("webhook-endpoint/stripe", "the webhook endpoint is disabled")
	h.must(h.Stripe.DisableWebhook(h.Endpoint, false))
	h.must(h.Stripe.SetWebhookVersion(h.Endpoint, "2026-01-28.preview"))
	h.red("webhook-endpoint/stripe", "a preview of the API")
	h.must(h.Stripe.SetWebhookVersion(h.Endpoint, "2022-11-15"))
	h.must(h.Stripe.SetWebhookEvents(h.Endpoint, "checkout.session.completed", "invoice.paid"))
	h.red("webhook-endpoint/stripe", "does not bring checkout.session.async_payment_succeeded", "charge.dispute.closed")
	other := h.Stripe.AddWebhookEndpoint(h.URL + "/hooks/stripe/") // brings everything
	h.green("webhook-endpoint/stripe")
	h.must(errors.Join(h.Stripe.DeleteWebhook(h.Endpoint), h.Stripe.DeleteWebhook(other)))
	h.red("webhook-endpoint/stripe", "there is no webhook endpoint at all")
	h.Stripe.SetFaults(simulate.Faults{FailAPI: func(*http.Request) int { return 403 }})
	h.unknown("webhook-endpoint/stripe", "the key may not read the webhook endpoints")
	h.unknown("webhook-endpoint/stripe", "the key may not read the webhook endpoints")

	h.must(h.PayPal.SetWebhookEvents(paypalID, "PAYMENT.CAPTURE.COMPLETED"))
	h.red("webhook-endpoint/paypal", "does not bring CHECKOUT.ORDER.APPROVED")
	h.must(h.PayPal.SetWebhookEvents(paypalID, "*"))
	h.must(h.PayPal.SetWebhookURL(paypalID, "https://old.example/hooks/paypal?key=hidden"))
	h.red("webhook-endpoint/paypal", "leads to another address, at old.example")
	h.must(h.PayPal.DeleteWebhook(paypalID))
	h.red("webhook-endpoint/paypal", "none of our webhooks is registered")
	h.PayPal.SetFaults(simulate.PayPalFaults{FailAPI: func(*http.Request) int { return 403 }})
	h.unknown("webhook-endpoint/paypal", "the key may not read the webhook endpoints")
}

func TestProvidersAndMail(t *testing.T) {
	t.Parallel()
	h := newHouse(t, storetest.SQLite(t))
	h.green("provider-unreachable/stripe")
	h.Stripe.SetFaults(simulate.Faults{FailAPI: func(*http.Request) int { return 401 }})
	h.red("provider-unreachable/stripe", "Stripe refuses the API key of source stripe")
	h.Stripe.SetFaults(simulate.Faults{FailAPI: func(*http.Request) int { return 429 }})
	h.unknown("provider-unreachable/stripe", "slow down")

	h.Stripe.SetFaults(simulate.Faults{})

	h.green("mail-unreachable")
	h.Resend.SetFaults(simulate.ResendFaults{FailSend: func(int, *http.Request) (int, string) { return 429, "daily_quota_exceeded" }})
	h.green("mail-quota")
	_, err := h.Buy(t.Context(), "az-900", 1, "ann@example.com")
	h.must(err)
	h.eventually("a mail that waits for the quota", func() bool { return h.look("mail-quota").Trouble != "" })
	h.red("mail-quota", "1 mail waits because the sending quota is used up")
	h.green("mail-failures") // that is another check's matter
	h.execute(`UPDATE steps SET state = 'failed' WHERE last_error LIKE '%quota%'`)
	h.green("mail-quota") // what was given up waits for a person, not for the quota

	h.Resend.SetFaults(simulate.ResendFaults{FailSend: func(int, *http.Request) (int, string) { return 422, "validation_error" }})
	for i := range 4 {
		h.green("mail-failures")
		session, err := h.Buy(t.Context(), "az-900", 1, fmt.Sprintf("bob%d@example.com", i))
		h.must(err)
		h.order(session, func(o makegood.Order) bool { return o.Fulfillment == makegood.Stuck })
	}
	h.red("mail-failures", "4 mails of the last hour failed, more than 3: 4 refused")
	h.clock.pass(2 * time.Hour)
	h.green("mail-failures")

	h.o.Sender, h.known = refusing{h.o.Sender}, nil
	h.red("mail-unreachable", "Mail cannot be sent just now", "status 401")
}

func TestQueuesAndLetters(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, url string) {
		h := newBooks(t, url)
		h.o.Overrides = override("queue-depth", 3)
		settle := func(*makegood.Order) []makegood.Entry { return nil }
		for range 3 {
			h.must(h.store.EnqueueJob(t.Context(), makegood.InterpretJob("evt_1", "stripe")))
			h.must(h.store.EnqueueJob(t.Context(), makegood.EffectJob("ord_1", "email")))
		}
		h.green("queue-depth/payments")
		h.must(h.store.EnqueueJob(t.Context(), makegood.InterpretJob("evt_1", "stripe")))
		h.red("queue-depth/payments", "4 jobs wait, more than 3")
		h.green("queue-depth/effects")

		h.green("queue-age/payments")
		moment := map[string]string{"sqlite": `datetime('now', '-200 seconds')`, "postgres": `now() - interval '200 seconds'`}[h.store.Engine()]
		h.execute(`UPDATE river_job SET scheduled_at = ` + moment)
		h.red("queue-age/payments", "a job has been due for 3m", "longer than 1m0s")
		h.green("queue-age/effects") // it may wait for five minutes
		h.o.Overrides, h.known = override("queue-age", 100), nil
		h.red("queue-age/effects", "longer than 1m40s")

		h.green("dead-letters")
		now := h.clock.now()
		for i := range 10 {
			h.must(h.store.KeepDeadLetter(t.Context(), letter(i, now.Add(-time.Minute)), settle))
		}
		h.red("dead-letters", "10 dead letters open", "makegood webhooks list")
		h.green("dead-letter-flood")
		h.green("webhook-failures")
		h.must(h.store.KeepDeadLetter(t.Context(), letter(10, now.Add(-2*time.Hour)), settle))
		h.green("dead-letter-flood") // that was before
		h.must(h.store.KeepDeadLetter(t.Context(), letter(11, now), settle))
		h.red("dead-letter-flood", "11 new dead letters within the last hour, more than 10")
		h.red("webhook-failures", "the processing of 11 events failed within the last hour, more than 10")
		h.clock.pass(2 * time.Hour)
		h.green("dead-letter-flood")
		h.green("webhook-failures")
		h.red("dead-letters", "12 dead letters open")

		for range 5 {
			h.must(h.store.KeepSlowJob(t.Context(), makegood.EffectJob("ord_1", "email"), 12*time.Second))
		}
		h.green("slow-jobs")
		h.must(h.store.KeepSlowJob(t.Context(), makegood.EffectJob("ord_1", "email"), 19*time.Second))
		h.red("slow-jobs", "6 slow runs within the last hour, more than 5; the slowest took 19s")

		// Without the database one check is red, and the others cannot see.
		h.green("database-unreachable")
		h.must(h.store.Close())
		h.red("database-unreachable", "the database does not answer")
		for _, key := range []string{"payment-processing-failure", "queue-depth/payments", "queue-age/payments", "dead-letters", "dead-letter-flood", "slow-jobs",
			"webhook-failures", "webhook-silence/stripe", "mail-quota", "mail-failures", "undelivered-events/stripe", "delivered-elsewhere/stripe"} {
			h.unknown(key, "cannot be seen")
		}
	})
}

// TestSilence teaches the books the rhythm of four weeks, and then says nothing.
func TestSilence(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, url string) {
		h := newBooks(t, url)
		n := 0
		deliver := func(at time.Time, by string) {
			n++
			_, err := h.store.AcceptEvent(t.Context(), makegood.Event{Source: "stripe", ProviderID: fmt.Sprintf("evt_%d", n), ReceivedAt: at, VerifiedBy: by, Payload: []byte("{}")})
			h.must(err)
		}
		h.green("webhook-silence/stripe") // nothing was ever delivered
		now := h.clock.now()
		for week := 1; week <= 4; week++ {
			per := 12 // in two hours
			if week == 3 {
				per = 6 // the quietest week is believed
			}
			for i := range per * 3 { // from an hour before until five after, for clocks that are set
				deliver(now.Add(time.Duration(-week*7*24-1)*time.Hour+time.Duration(i)*2*time.Hour/time.Duration(per)), "print")
			}
		}
		deliver(now, "print")
		h.clock.pass(3 * time.Hour)
		h.green("webhook-silence/stripe") // too few in the quietest week to cry wolf
		deliver(h.clock.now(), "api")     // we fetched it; it is no sign of life
		h.clock.pass(110 * time.Minute)
		h.red("webhook-silence/stripe", "no delivery for 4h50m", "in the same hours of each of the last 4 weeks there were some in 12 or more stretches of five minutes")
		h.o.Overrides, h.known = override("webhook-silence", 100), nil
		h.green("webhook-silence/stripe")
		h.o.Overrides, h.known = nil, nil
		h.green("webhook-silence/stripe") // a process that has just begun has not listened for long
		deliver(h.clock.now(), "print")
		h.green("webhook-silence/stripe")
	})
}

func TestSignatures(t *testing.T) {
	t.Parallel()
	h := newBooks(t, storetest.SQLite(t))
	for _, tt := range []struct {
		name    string
		proved  int
		refused map[provider.Reason]int
		genuine string // of signature-failures; "" is green
		many    string // of signature-mismatches; "" is green
	}{
		{"all is well", 9, nil, "", ""},
		{"a few forgeries", 9, map[provider.Reason]int{"mismatch": 20}, "", ""},
		{"many forgeries", 9, map[provider.Reason]int{"mismatch": 15, "missing": 5, "malformed": 1}, "", "15 mismatch, 5 missing, 1 malformed; proved: 9"},
		{"the wrong secret", 0, map[provider.Reason]int{"mismatch": 3}, "3 mismatch and none proved", ""},
		{"a forgery on a quiet day", 0, map[provider.Reason]int{"mismatch": 2, "missing": 9}, "", ""},
		{"a proxy", 9, map[provider.Reason]int{"altered": 1}, "1 altered (changed on their way, as a proxy does)", ""},
		{"the other mode", 9, map[provider.Reason]int{"other_source": 1}, "1 other_source", ""},
		{"a rotation", 9, map[provider.Reason]int{"retired": 2}, "2 retired", ""},
		{"an attack", 9, map[provider.Reason]int{"two_bodies": 1}, "1 two_bodies", ""},
		{"somebody's replays", 9, map[provider.Reason]int{"too_old": 2, "future": 2}, "", ""},
		{"our clock", 0, map[provider.Reason]int{"too_old": 3, "future": 3}, "3 too_old (too old by our clock), 3 future", ""},
	} {
		h.door.proved, h.door.refused = tt.proved, tt.refused
		for key, want := range map[string]string{"signature-failures/stripe": tt.genuine, "signature-mismatches/stripe": tt.many} {
			if got := h.look(key); (got.Trouble != "") != (want != "") || !strings.Contains(got.Trouble, want) || got.Unknown {
				t.Errorf("%s: %s = %q, want %q", tt.name, key, got.Trouble, want)
			}
		}
	}
	h.green("webhook-loop/stripe")
	h.door.looping = []string{"stripe"}
	h.red("webhook-loop/stripe", "repetitions")
}

func TestCertificate(t *testing.T) {
	t.Parallel()
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // it is refused here
	server.StartTLS()
	t.Cleanup(server.Close)
	h := newBooks(t, storetest.SQLite(t))
	h.o.PublicURL, h.o.Roots = "https://example.com", server.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	h.o.Dial = dialTo(server.Listener.Addr().String())
	ends := server.Certificate().NotAfter
	at := func(left time.Duration) { h.clock.nanos.Store(ends.Add(-left).UnixNano()) }
	at(15 * 24 * time.Hour)
	h.green("certificate-expiry")
	h.green("certificate-ending")
	at(10 * 24 * time.Hour)
	h.red("certificate-expiry", "the certificate ends in 10 days, on "+ends.UTC().Format(time.DateOnly))
	h.green("certificate-ending")
	at(47 * time.Hour)
	h.red("certificate-ending", "the certificate ends in 47h0m")
	at(-time.Hour)
	h.red("certificate-ending", "is not accepted", "expired")
	at(15 * 24 * time.Hour)
	h.o.PublicURL, h.known = "https://another.example", nil
	h.red("certificate-ending", "is not accepted", "another.example")
	h.o.Dial, h.known = dialTo("127.0.0.1:1"), nil
	h.unknown("certificate-ending", "refused")
}

func TestMachine(t *testing.T) {
	t.Parallel()
	h := newBooks(t, storetest.SQLite(t))
	var free, total uint64
	var broken error
	var skews []outbound.Skew
	var backup time.Time
	h.o.Folder = t.TempDir()
	h.green("disk-space") // of the machine that runs the tests, asked in truth
	h.o.Free = func(string) (uint64, uint64, error) { return free, total, broken }
	h.o.Skews = func() []outbound.Skew { return skews }
	h.o.Backup = func(context.Context) (time.Time, error) { return backup, broken }
	h.known = nil

	free, total = 2<<30, 10<<30
	h.green("disk-space")
	free, total = 900<<20, 5<<30
	h.red("disk-space", "900 MiB of 5.0 GiB are free")
	free, total = 9<<30, 100<<30
	h.red("disk-space", "9.0 GiB of 100.0 GiB are free")
	broken = errors.New("no such folder")
	h.unknown("disk-space", "no such folder")
	h.unknown("backup-age", "no such folder")
	broken = nil

	h.red("backup-age", "no backup has been proved yet")
	backup = h.clock.now().Add(-25 * time.Hour)
	h.green("backup-age")
	h.clock.pass(2 * time.Hour)
	h.red("backup-age", "the newest proved backup is 27h0m old, more than 26 hours")

	now := h.clock.now()
	h.unknown("clock-skew", "no service has told its time")
	skews = []outbound.Skew{{Target: "https://api.stripe.com", By: -7 * time.Second, At: now}}
	h.red("clock-skew", "our clock is at least 7s behind that of https://api.stripe.com")
	h.green("clock-wrong")
	skews = append(skews, outbound.Skew{Target: "https://api.resend.com", By: time.Second, At: now})
	h.green("clock-skew") // one of the two is right about us
	skews = []outbound.Skew{{Target: "a", By: 61 * time.Second, At: now}, {Target: "b", By: 2 * time.Minute, At: now}, {Target: "c", At: now.Add(-time.Hour)}}
	h.red("clock-wrong", "at least 1m1s ahead of that of a")
}

func TestSecrets(t *testing.T) {
	t.Parallel()
	h := newBooks(t, storetest.SQLite(t))
	now := h.clock.now()
	c := &config.Config{Sources: []config.Source{{Name: "stripe", Provider: "stripe", WebhookSecrets: []config.DatedSecret{
		{Secret: secret.New("whsec_newOneOfTheTestsAndNothingElse")}, {Secret: secret.New("whsec_oldOneOfTheTestsAndNothingElse"), NotAfter: now.Add(4 * 24 * time.Hour)}}}}}
	var trouble error
	load := func() (*config.Config, error) { return c, trouble }
	h.o.Secrets = inspect.ReadSecrets(load)
	h.green("secrets-missing")
	h.green("secret-expiry")
	h.clock.pass(36 * time.Hour)
	h.green("secret-expiry") // it ends soon, and its successor is there
	deliver := func(id, by string) {
		_, err := h.store.AcceptEvent(t.Context(), makegood.Event{Source: "stripe", ProviderID: id, ReceivedAt: h.clock.now(), VerifiedBy: by, Payload: []byte("{}")})
		h.must(err)
	}
	deliver("evt_1", secret.New("whsec_oldOneOfTheTestsAndNothingElse").Fingerprint())
	h.red("secret-expiry", "sources[0].retiring_secrets[0].secret ends in 2 days, and the last delivery of stripe was signed with it")
	h.clock.pass(time.Minute)
	deliver("evt_2", secret.New("whsec_newOneOfTheTestsAndNothingElse").Fingerprint())
	h.green("secret-expiry")
	c.Sources[0].WebhookSecrets = c.Sources[0].WebhookSecrets[1:]
	h.red("secret-expiry", "and there is no other")
	h.clock.pass(5 * 24 * time.Hour)
	h.red("secret-expiry", "ended", "ago, and there is no other")

	trouble = config.Problems{{Path: "sources[0].api_key", Sentence: "is empty.", Class: secret.Empty}, {Path: "listen", Sentence: "is odd"}}
	h.red("secrets-missing", "sources[0].api_key is empty")
	trouble = config.Problems{{Path: "listen", Sentence: "is odd"}}
	h.unknown("secrets-missing", "makegood config check")
	trouble = errors.New("no such file")
	h.unknown("secrets-missing", "no such file")
	h.unknown("secret-expiry", "no such file")
}

func TestNewRefusesNothing(t *testing.T) {
	t.Parallel()
	defer func() {
		if recover() == nil {
			t.Error("New without books did not refuse")
		}
	}()
	inspect.New(inspect.Options{})
}
