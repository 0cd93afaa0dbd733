package synthetic_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/config"
	"github.com/makegood/makegood/internal/demo"
	"github.com/makegood/makegood/internal/outbound"
	"github.com/makegood/makegood/internal/secret"
	"github.com/makegood/makegood/internal/simulate"
	"github.com/makegood/makegood/internal/store"
	"github.com/makegood/makegood/internal/synthetic"
)

const (
	checkoutPath = "/api/checkout"
	sessionsPath = "/v1/checkout/sessions"
)

// fault breaks one thing of a world that is well, and says what has to be found.
type fault struct {
	name string
	set  func(s *scene)
	// watch is another watcher than the usual one.
	watch func(o *synthetic.Options)
	want  []string
	// leaves is that the session stays open until a later look finds it.
	leaves bool
}

// strangers is a Stripe of somebody else, with the same key or one of the other mode.
func (s *scene) strangers(key string) *httptest.Server {
	stripe := simulate.NewStripe(simulate.StripeOptions{APIKey: key, Now: s.clock.Now})
	stripe.AddPrice(simulate.Price{ID: "price_az900", Product: "AZ-900 practice exam", Currency: "usd", UnitAmount: 2900})
	server := httptest.NewServer(stripe)
	s.t.Cleanup(server.Close)
	s.t.Cleanup(stripe.Close)
	return server
}

// meanwhile lets something happen to the session between its making and its reading.
func meanwhile(happens func(s *scene, session string) error) func(*scene) {
	return func(s *scene) {
		s.shop.onAnswer(func(_ *http.Request, a *answered) {
			var said struct {
				SessionID string `json:"session_id"`
			}
			if err := json.Unmarshal(a.body, &said); err != nil {
				s.t.Errorf("the shop said %s", a.body)
			}
			if err := happens(s, said.SessionID); err != nil {
				s.t.Error(err)
			}
		})
	}
}

// reconfigure starts the server again with another configuration, and with the old one when the test is over. A running
// server reads its configuration, so it is changed while there is none.
func (s *scene) reconfigure(change, back func(*config.Config)) {
	s.t.Helper()
	restart := func(change func(*config.Config)) {
		if err := s.StopServer(); err != nil {
			s.t.Fatal(err)
		}
		change(s.Config)
		if err := s.RestartServer(context.WithoutCancel(s.t.Context()), store.Options{}, 0); err != nil {
			s.t.Fatal(err)
		}
	}
	restart(change)
	s.t.Cleanup(func() { restart(back) })
}

func asks(change func(*http.Request, []byte) []byte) func(*scene) {
	return func(s *scene) { s.sales.onRequest(change) }
}

func says(change func(*http.Request, *answered)) func(*scene) {
	return func(s *scene) { s.shop.onAnswer(change) }
}

func reads(change func(*http.Request, *answered)) func(*scene) {
	return func(s *scene) { s.desk.onAnswer(change) }
}

var faults = []fault{
	// What the shop writes into the session.
	{name: "the slug bug", set: asks(form("metadata[product]", "az900")), want: []string{"metadata product == az-900 (az900)"}},
	{name: "another amount", set: asks(form("line_items[0][price]", "price_cheap")),
		want: []string{"amount_total == 2900 (2800)", "line item unit amount == 2900 (2800)"}},
	{name: "another currency", set: asks(form("line_items[0][price]", "price_eur")), want: []string{"currency == usd (eur)", "line item currency == usd (eur)"}},
	{name: "another quantity", set: asks(form("line_items[0][quantity]", "2")), want: []string{"amount_total == 2900 (5800)", "line item quantity == 1 (2)"}},
	{name: "the price of another product", set: asks(form("line_items[0][price]", "price_same")),
		want: []string{"line item name == AZ-900 practice exam (AZ-104 practice exam)", "line item price == price_az900 (price_same)"}},
	{name: "no metadata at all", set: asks(form("metadata[product]", "", "metadata[quantity]", "", "metadata[unit_amount]", "", "metadata[currency]", "",
		"metadata[makegood_synthetic]", "")),
		want: []string{"metadata product == az-900 (nothing)", "metadata quantity == 1 (nothing)", "metadata unit_amount == 2900 (nothing)",
			"metadata currency == usd (nothing)", "metadata makegood_synthetic == true (nothing)"}},
	{name: "no quantity in the metadata", set: asks(form("metadata[quantity]", "")), want: []string{"metadata quantity == 1 (nothing)"}},
	{name: "another agreed price", set: asks(form("metadata[unit_amount]", "290")), want: []string{"metadata unit_amount == 2900 (290)"}},
	{name: "the mark is lost", set: asks(form("metadata[makegood_synthetic]", "")), want: []string{"metadata makegood_synthetic == true (nothing)"}},
	{name: "somebody's address", set: asks(form("customer_email", "ann@example.com")), want: []string{"customer_email is empty (there is one)"}},
	{name: "the way back leads to another host", set: asks(form("success_url", "https://shop.example.evil.example/thanks?session_id={CHECKOUT_SESSION_ID}")),
		want: []string{"success_url begins with https://shop.example/thanks (https://shop.example.evil.example/thanks)"}},
	{name: "the way back leads to a host that begins alike", set: asks(form("success_url", "https://shop.example.evil.example/thanks?session_id={CHECKOUT_SESSION_ID}")),
		watch: func(o *synthetic.Options) { o.SuccessURL = "https://shop.example" },
		want:  []string{"success_url begins with https://shop.example (https://shop.example.evil.example/thanks)"}},
	{name: "the way back without the session", set: asks(form("success_url", "https://shop.example/thanks?session_id=")),
		want: []string{"success_url contains {CHECKOUT_SESSION_ID} (https://shop.example/thanks)"}},
	{name: "the way back without TLS", set: asks(form("success_url", "http://shop.example/thanks?session_id={CHECKOUT_SESSION_ID}")),
		want: []string{"success_url begins with https://shop.example/thanks (http://shop.example/thanks)"}},
	{name: "the way out leads elsewhere", set: asks(form("cancel_url", "https://shop.example/old")),
		want: []string{"cancel_url begins with https://shop.example/exams (https://shop.example/old)"}},
	{name: "no way out", set: asks(form("cancel_url", "")), want: []string{"cancel_url begins with https://shop.example/exams (nothing)"}},

	// How the shop answers.
	{name: "an error", set: says(status("POST", checkoutPath, 500, "application/json", `{"error":{"code":"internal"}}`)), leaves: true,
		want: []string{"checkout [STATUS] == 201 (500 internal)"}},
	{name: "no such address", set: says(status("POST", checkoutPath, 404, "text/html", "<h1>Not found</h1>")), leaves: true, want: []string{"checkout [STATUS] == 201 (404)"}},
	{name: "no answer", set: says(func(_ *http.Request, a *answered) { a.hang = true }), leaves: true,
		watch: func(o *synthetic.Options) { o.Timeout = 300 * time.Millisecond }, want: []string{"checkout answers (no answer in time)"}},
	{name: "a page in place of JSON", set: says(status("POST", checkoutPath, 201, "text/html", "<h1>Soon</h1>")), leaves: true,
		want: []string{"checkout answers JSON (text/html of 13 bytes)"}},
	{name: "an answer without a session", set: says(status("POST", checkoutPath, 200, "application/json", `{"session_id":"","url":""}`)), leaves: true,
		want: []string{"checkout [STATUS] == 201 (200)", "session_id is one of the provider's (nothing)"}},
	{name: "a session that is none", set: says(field("POST", checkoutPath, "session_id", "../../v1/refunds")), leaves: true,
		want: []string{"session_id is one of the provider's (../../v1/refunds)"}},
	{name: "an address elsewhere", set: says(field("POST", checkoutPath, "url", "https://checkout.stripe.example/pay/1")),
		want: []string{"url of the answer is at 127.0.0.1:", "url is that of the answer"}},
	{name: "a session that is over", set: says(field("POST", checkoutPath, "expires_at", "2020-01-01T00:00:00Z")),
		want: []string{"expires_at of the answer is in the future (2020-01-01T00:00:00Z)"}},
	{name: "a session that nobody knows", set: says(field("POST", checkoutPath, "session_id", "cs_test_a1notThere")), leaves: true,
		want: []string{"the session can be read back (the provider does not know it: the shop sells through another account", "the session is expired afterwards"}},

	// What the server is made of.
	{name: "the product left the catalogue", set: func(s *scene) {
		product := s.Config.Catalogue["az-900"]
		s.reconfigure(func(c *config.Config) { delete(c.Catalogue, "az-900") }, func(c *config.Config) { c.Catalogue["az-900"] = product })
	}, want: []string{"checkout [STATUS] == 201 (422 unknown_product)"}},
	{name: "the server's key was wiped", set: func(s *scene) {
		s.reconfigure(func(c *config.Config) { c.Sources[0].APIKey = secret.Value{} }, func(c *config.Config) { c.Sources[0].APIKey = secret.New(demo.StripeKey) })
	}, want: []string{"checkout [STATUS] == 201 (503 unavailable)"}},
	{name: "the server has the secret of another watcher", set: func(s *scene) {
		s.reconfigure(func(c *config.Config) { c.Watcher.Secret = secret.New("of another watcher") }, func(c *config.Config) { c.Watcher.Secret = shared })
	}, want: []string{"checkout [STATUS] == 201 (401 unauthorized: have watcher and server the same secret"}},
	{name: "the server sells through another account", set: func(s *scene) { s.sales.to(s.strangers(demo.StripeKey).URL) },
		want: []string{"the session can be read back (the provider does not know it: the shop sells through another account"}},
	{name: "the server has a live key in test", set: func(s *scene) {
		const live = "sk_live_simulatedSimulatedSimulated1"
		s.sales.to(s.strangers(live).URL)
		s.sales.onRequest(func(r *http.Request, body []byte) []byte { r.Header.Set("Authorization", "Bearer "+live); return body })
	}, want: []string{"checkout [STATUS] == 201 (503 unavailable)"}},
	{name: "the server is in test, and should be live", watch: func(o *synthetic.Options) { o.Live = true }, want: []string{"livemode == true (false)", "url is https"}},
	{name: "Stripe refuses the server's key", set: func(s *scene) {
		s.sales.onAnswer(status("POST", sessionsPath, 401, "application/json", `{"error":{"message":"Invalid API Key provided: sk_test_****ted1"}}`))
	}, leaves: true, want: []string{"checkout [STATUS] == 201 (50"}},

	// What the provider tells the watcher.
	{name: "paid already", set: meanwhile(func(s *scene, id string) error { return s.Stripe.Pay(id, simulate.Customer{Email: "ann@example.com"}) }),
		want: []string{"status == open (complete)", "payment_status == unpaid (paid)"}},
	{name: "expired already", set: meanwhile(func(s *scene, id string) error { return s.Stripe.Expire(id) }),
		want: []string{"status == open (expired)", "url is at 127.0.0.1:"}},
	{name: "a subscription", set: reads(field("GET", sessionsPath+"/cs_", "mode", "subscription")), want: []string{"mode == payment (subscription)"}},
	{name: "a live session", set: reads(field("GET", sessionsPath+"/cs_", "livemode", true)), want: []string{"livemode == false (true)"}},
	{name: "another session", set: reads(field("GET", sessionsPath+"/cs_", "id", "cs_test_a1other")), want: []string{"(cs_test_a1other)"}},
	{name: "no line item", set: reads(field("GET", sessionsPath+"/cs_", "line_items", map[string]any{"data": []any{}})), want: []string{"line items == 1 (0)"}},
	{name: "more line items", set: reads(field("GET", sessionsPath+"/cs_", "line_items", map[string]any{"data": []any{map[string]any{}}, "has_more": true})),
		want: []string{"line items == 1 (1 and more)"}},
	{name: "a session in the past", set: reads(field("GET", sessionsPath+"/cs_", "expires_at", 1_600_000_000)),
		want: []string{"expires_at is in the future (2020-09-13T12:26:40Z)"}},
	{name: "a session of last week", set: reads(field("GET", sessionsPath+"/cs_", "created", 1_600_000_000)), want: []string{"created is now (2020-09-13T12:26:40Z)"}},
	{name: "a page on another host", set: reads(field("GET", sessionsPath+"/cs_", "url", "http://checkout.stripe.example/pay?key=hush")),
		want: []string{"(http://checkout.stripe.example/pay)", "url is that of the answer"}},
	{name: "the watcher's key is refused", set: func(s *scene) {
		s.desk.onRequest(func(r *http.Request, body []byte) []byte {
			r.Header.Set("Authorization", "Bearer sk_test_revoked")
			return body
		})
	}, leaves: true, want: []string{"the session can be read back (stripe refuses the watcher's key with status 401", "the session is expired afterwards (stripe refuses",
		"sessions that were left open can be listed (stripe refuses"}},
	{name: "Stripe is down", set: func(s *scene) { s.desk.to("http://127.0.0.1:1") }, leaves: true,
		want: []string{"the session can be read back (stripe does not answer", "the session is expired afterwards (stripe does not answer"}},
	{name: "Stripe answers nonsense", set: reads(status("GET", sessionsPath+"/cs_", 200, "text/html", "<h1>Hello sk_test_hush</h1>")),
		want: []string{"the session can be read back (stripe answers with something that cannot be read)"}},
	{name: "the session cannot be ended", set: reads(status("POST", sessionsPath, 500, "application/json", `{}`)), want: []string{"the session is expired afterwards (stripe answers with status 500)"}},
	{name: "the session says it does not end", set: reads(field("POST", sessionsPath, "status", "open")), want: []string{"the session is expired afterwards (stripe answers that it is open)"}},
}

// SPEC C4 and the slug bug: a world that is well is green, and each of the faults is found, by what it is, in one look.
// Afterwards everything is green again, and no session stays open.
func TestFaultsAreFound(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	if len(faults) < 25 {
		t.Errorf("%d faults, want 25 at least", len(faults))
	}
	for _, f := range faults {
		s.expectWell(f.name + ", before")
		t.Run(f.name, func(t *testing.T) {
			f.find(&scene{World: s.World, t: t, clock: s.clock, shop: s.shop, sales: s.sales, desk: s.desk, checkout: s.checkout})
		})
		s.heal()
		s.clock.Advance(6 * time.Minute) // now what is still open was left
		s.expectWell(f.name + ", after")
		if left := s.open(); len(left) > 0 {
			t.Errorf("%s: the sessions %q are still open", f.name, left)
		}
	}
	if n := len(s.open()); n != 0 {
		t.Errorf("%d sessions are open in the end, want none", n)
	}
}

func (f fault) find(s *scene) {
	checkout := s.checkout
	if f.watch != nil {
		checkout = s.watcher(f.watch)
	}
	if f.set != nil {
		f.set(s)
	}
	sight := checkout.Look(s.t.Context())
	if sight.Trouble == "" || sight.Unknown {
		s.t.Fatalf("sight = %+v, want trouble", sight)
	}
	for _, want := range f.want {
		if !strings.Contains(sight.Trouble, want) {
			s.t.Errorf("trouble:\n%s\nlacks %q", sight.Trouble, want)
		}
	}
	for _, secret := range []string{"sk_test", "sk_live", "session_id=", "hush", "ann@", "v1="} {
		if strings.Contains(sight.Trouble, secret) {
			s.t.Errorf("trouble:\n%s\nshows %q", sight.Trouble, secret)
		}
	}
	if open := s.open(); len(open) > 0 && !f.leaves && !strings.Contains(sight.Trouble, "expired afterwards") {
		s.t.Errorf("the sessions %q are still open", open)
	}
}

func (s *scene) expectWell(when string) {
	s.t.Helper()
	sight := s.checkout.Look(s.t.Context())
	if sight.Trouble != "" || sight.Unknown || !sight.At.Equal(s.clock.Now()) {
		s.t.Fatalf("%s: sight = %+v, want all well", when, sight)
	}
}

// All mismatches are told at once.
func TestManyFaultsAtOnce(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.sales.onRequest(form("metadata[product]", "az900", "line_items[0][price]", "price_eur", "cancel_url", ""))
	s.desk.onAnswer(field("GET", sessionsPath+"/cs_", "mode", "setup"))
	got := s.checkout.Look(t.Context()).Trouble
	for _, want := range []string{"mode == payment (setup)", "currency == usd (eur)", "metadata product == az-900 (az900)", "cancel_url begins"} {
		if !strings.Contains(got, want) {
			t.Errorf("trouble:\n%s\nlacks %q", got, want)
		}
	}
	if lines := strings.Split(got, "\n"); len(lines) != 6 { // and the line's price and currency
		t.Errorf("%d lines, want one for each:\n%s", len(lines), got)
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	way := outbound.New(outbound.Options{})
	good := synthetic.Options{Shop: "https://shop.example", Secret: shared, Desk: synthetic.NewStripe(secret.New("rk_test_1"), "", "", way), Product: "az-900",
		Amount: makegood.Money{Minor: 2900, Currency: "usd"}, HTTP: way}
	if _, err := synthetic.New(good); err != nil {
		t.Errorf("New = %v, want nil", err)
	}
	for name, change := range map[string]func(*synthetic.Options){
		"no http or https address":   func(o *synthetic.Options) { o.Shop = "shop.example" },
		"there is no secret":         func(o *synthetic.Options) { o.Secret = secret.Value{} },
		"no provider to read back":   func(o *synthetic.Options) { o.Desk = nil },
		"no product code":            func(o *synthetic.Options) { o.Product = "AZ 900" },
		"quantity must be 1 to 1000": func(o *synthetic.Options) { o.Quantity = -1 },
		"amount must be positive":    func(o *synthetic.Options) { o.Amount.Currency = "USD" },
		"no multiple":                func(o *synthetic.Options) { o.Quantity = 3 },
	} {
		o := good
		change(&o)
		if _, err := synthetic.New(o); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("New = %v, want an error about %q", err, name)
		}
	}
}
