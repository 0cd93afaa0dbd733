package synthetic_test

import (
	"context"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
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

// quiet waits until every delivery was answered and every job is done.
func (s *scene) quiet() {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), 30*time.Second)
	defer cancel()
	if err := s.Stripe.WaitDelivered(ctx); err != nil {
		s.t.Fatal(err)
	}
	s.Eventually("the queue is empty", func(ctx context.Context) bool {
		depths, err := s.Store().QueueDepths(ctx)
		return err == nil && len(depths) == 0
	})
}

// Reference D9 and pitfall 27: synthetic orders stand in no figure of customers. After a hundred of them, each with its
// expired event, nothing was given, told or moved, and no listing shows one; a customer in between gets what was bought.
func TestExclusion(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	var told sync.Map
	s.sales.onRequest(func(r *http.Request, body []byte) []byte {
		if r.URL.Path == "/nobody" {
			told.Store(string(body), true)
		}
		return body
	})
	s.sales.onAnswer(status("POST", "/nobody", 200, "text/plain", "ok"))
	const looks = 100
	for range looks {
		s.expectWell("looking")
	}
	bought := s.Pay("az-900", 1, "ann@example.com")
	s.ExpectOrder(bought, makegood.Fulfilled)
	s.quiet()

	all, err := s.Store().Orders(t.Context(), store.OrderFilter{Synthetic: true})
	if err != nil {
		t.Fatal(err)
	}
	synthetics := 0
	for _, o := range all {
		o, err := s.Store().Order(t.Context(), o.ID)
		if err != nil {
			t.Fatal(err)
		}
		if !o.Synthetic {
			continue
		}
		synthetics++
		if o.Payment != makegood.PaymentExpired || o.Fulfillment != makegood.Unfulfilled || o.Reason != "" || len(o.Licenses)+len(o.Moves)+len(o.Steps)+len(o.Lines) > 0 {
			t.Fatalf("a synthetic order = %+v, want it expired and empty", o)
		}
	}
	if synthetics != looks || len(all) != looks+1 {
		t.Errorf("%d of %d orders are synthetic, want %d and one that was bought", synthetics, len(all), looks)
	}
	listed, err := s.Store().Orders(t.Context(), store.OrderFilter{})
	if err != nil || len(listed) != 1 || listed[0].Key.SessionID != bought {
		t.Errorf("listed = %+v, %v, want what was bought", listed, err)
	}
	expired, err := s.Store().Orders(t.Context(), store.OrderFilter{Payment: makegood.PaymentExpired})
	if err != nil || len(expired) != 0 {
		t.Errorf("expired = %d orders, %v, want none", len(expired), err)
	}
	if mails := s.Resend.Inbox(""); len(mails) != 1 {
		t.Errorf("%d mails, want that of the customer", len(mails))
	}
	tellings := 0
	told.Range(func(any, any) bool { tellings++; return true })
	if tellings != 1 {
		t.Errorf("%d tellings, want that of the customer's order", tellings)
	}
	events, err := s.Store().Events(t.Context(), store.EventFilter{Limit: makegood.ListMax})
	if err != nil {
		t.Fatal(err)
	}
	handled := 0
	for _, e := range events {
		if e.Type == "checkout.session.expired" && e.State == makegood.EventHandled {
			handled++
		}
	}
	if handled != looks {
		t.Errorf("%d expired events were handled, want %d", handled, looks)
	}
	if open := s.open(); len(open) > 0 {
		t.Errorf("%d sessions are open", len(open))
	}
	if got := s.metrics(); !strings.Contains(got, `makegood_synthetic_checkouts_total{result="made"} 100`) {
		t.Errorf("the metrics do not count a hundred synthetic checkouts:\n%s", got)
	}
}

// metrics are what the server counts.
func (s *scene) metrics() string {
	s.t.Helper()
	response, err := http.Get(s.URL + "/metrics")
	if err != nil {
		s.t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return string(text)
}

// What a watcher asks takes nothing of the rate of customers, and the other way round; a forged mark is counted.
func TestRatesAreApart(t *testing.T) {
	t.Parallel()
	s := newScene(t, func(c *config.Config) { c.Limits.CheckoutPerMinute = 2 })
	for range 2 {
		s.expectWell("looking")
		if _, err := s.Checkout(t.Context(), "az-900", 1); err != nil {
			t.Errorf("a customer's checkout = %v", err)
		}
	}
	if _, err := s.Checkout(t.Context(), "az-900", 1); err == nil || !strings.Contains(err.Error(), "429") {
		t.Errorf("a customer's third checkout = %v, want 429", err)
	}
	if sight := s.checkout.Look(t.Context()); !strings.Contains(sight.Trouble, "(429 rate_limited)") {
		t.Errorf("the third look = %q, want 429", sight.Trouble)
	}
	s.clock.Advance(time.Minute)
	forger := s.watcher(func(o *synthetic.Options) { o.Secret = secret.New("somebody else's") })
	if sight := forger.Look(t.Context()); !strings.Contains(sight.Trouble, "(401 unauthorized") {
		t.Errorf("a forged look = %q, want 401", sight.Trouble)
	}
	if got := s.metrics(); !strings.Contains(got, `makegood_synthetic_checkouts_total{result="mismatch"} 1`) {
		t.Errorf("the metrics do not count the forged mark:\n%s", got)
	}
}

// Money for a synthetic order gives nobody anything, and waits for a person until it has gone back.
func TestSyntheticPaid(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	var session string
	meanwhile(func(s *scene, id string) error {
		session = id
		return s.Stripe.Pay(id, simulate.Customer{Email: "ann@example.com", Name: "Ann"})
	})(s)
	if sight := s.checkout.Look(t.Context()); !strings.Contains(sight.Trouble, "payment_status == unpaid (paid)") {
		t.Errorf("trouble = %q", sight.Trouble)
	}
	o := s.ExpectOrder(session, makegood.Stuck)
	s.quiet()
	if o.Reason != makegood.ReasonSyntheticPaid || !o.Synthetic || len(o.Licenses)+len(o.Moves)+len(o.Steps) > 0 {
		t.Errorf("order = %+v, want it stuck with nothing given", o)
	}
	stuck, err := s.Store().Orders(t.Context(), store.OrderFilter{Fulfillment: makegood.Stuck})
	if err != nil || len(stuck) != 1 {
		t.Errorf("stuck = %+v, %v, want it listed for whoever looks for what is stuck", stuck, err)
	}
	if _, err := s.Stripe.Refund(o.PaymentID, 0); err != nil {
		t.Fatal(err)
	}
	o = s.ExpectOrder(session, makegood.Revoked)
	s.quiet()
	if o.Reason != "" || len(o.Licenses)+len(o.Moves)+len(o.Steps) > 0 || len(s.Resend.Inbox("")) > 0 {
		t.Errorf("refunded = %+v with %d mails, want nothing given", o, len(s.Resend.Inbox("")))
	}
}

// A watcher that dies leaves its session open; the next one finds it by its mark. Those of customers, and those of looks
// that are under way elsewhere, are left alone.
func TestSessionsOfACrashAreEnded(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	mark := map[string]string{"makegood_synthetic": "true"}
	line := []simulate.LineItemParams{{Price: "price_az900"}}
	customer := s.Stripe.CreateSession(simulate.SessionParams{LineItems: line, Metadata: map[string]string{"product": "az-900"}})
	for range 3 {
		s.Stripe.CreateSession(simulate.SessionParams{LineItems: line, Metadata: mark})
	}
	for range 250 { // more than two pages of customers
		s.Stripe.CreateSession(simulate.SessionParams{LineItems: line})
	}
	s.clock.Advance(10 * time.Minute)
	young := s.Stripe.CreateSession(simulate.SessionParams{LineItems: line, Metadata: mark})
	s.expectWell("after the crash")
	open := s.open()
	if len(open) != 252 || !slices.Contains(open, customer.ID) || !slices.Contains(open, young.ID) {
		t.Errorf("%d sessions are open, want 251 of customers and the young one", len(open))
	}
	s.clock.Advance(6 * time.Minute)
	s.expectWell("later")
	if slices.Contains(s.open(), young.ID) {
		t.Error("the young one is still open when it is old")
	}
}

// A session that could not be ended is remembered and ended by the next look, however young it is.
func TestSessionThatCouldNotBeEnded(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.desk.onRequest(func(r *http.Request, body []byte) []byte {
		if r.Method == http.MethodPost {
			r.Header.Set("Authorization", "Bearer nobody's")
		}
		return body
	})
	for range 2 {
		if sight := s.checkout.Look(t.Context()); !strings.Contains(sight.Trouble, "the session is expired afterwards (stripe refuses") {
			t.Errorf("trouble = %q, want that the session could not be ended", sight.Trouble)
		}
	}
	sight := s.checkout.Look(t.Context())
	if !strings.Contains(sight.Trouble, "sessions of earlier looks are expired (2 are not: stripe refuses") || len(s.open()) != 3 {
		t.Errorf("trouble = %q with %d open, want the sessions of two looks told", sight.Trouble, len(s.open()))
	}
	s.heal()
	s.expectWell("afterwards")
	if open := s.open(); len(open) != 0 {
		t.Errorf("%d sessions are open, want none", len(open))
	}
}

// A look that is called off in the middle knows nothing, and still ends its session.
func TestLookCalledOff(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	s.shop.onAnswer(func(*http.Request, *answered) {}) // the session is made
	s.desk.onRequest(func(r *http.Request, body []byte) []byte {
		if r.Method == http.MethodGet && strings.HasPrefix(r.URL.Path, sessionsPath+"/cs_") {
			cancel()
		}
		return body
	})
	if sight := s.checkout.Look(ctx); !sight.Unknown || sight.Trouble != "" {
		t.Errorf("sight = %+v, want unknown", sight)
	}
	if made := s.Stripe.Sessions(); len(made) != 1 || made[0].Status != "expired" {
		t.Errorf("sessions = %+v, want one that is expired", made)
	}
}

// Answers that come from a cache: every customer would pay in one session.
func TestCachedAnswer(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	var first *answered
	s.shop.onAnswer(func(_ *http.Request, a *answered) {
		if first == nil {
			first = &answered{status: a.status, header: a.header, body: a.body}
		}
		a.body = first.body
	})
	s.expectWell("the first")
	if sight := s.checkout.Look(t.Context()); !strings.Contains(sight.Trouble, "session_id is new (the same as before)") {
		t.Errorf("trouble = %q, want that the session is not new", sight.Trouble)
	}
}

func TestLookAtOnce(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	var looking sync.WaitGroup
	for range 8 {
		looking.Go(func() {
			if sight := s.checkout.Look(t.Context()); sight.Trouble != "" {
				t.Errorf("trouble = %q", sight.Trouble)
			}
		})
	}
	looking.Wait()
	if open := s.open(); len(open) != 0 {
		t.Errorf("%d sessions are open, want none", len(open))
	}
}

// At PayPal an order says the same by other means, and lapses by itself.
func TestPayPal(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	between := newDoor(t)
	way := outbound.New(outbound.Options{AllowPrivate: true, Timeout: time.Minute})
	t.Cleanup(way.CloseIdle)
	look := func(clientSecret string, change ...func(*synthetic.Options)) string {
		t.Helper()
		sight := s.watcher(append([]func(*synthetic.Options){func(o *synthetic.Options) {
			o.Source, o.Price, o.Hosts = "paypal", "az-900", []string{strings.TrimPrefix(s.PayPalURL, "http://")}
			o.Desk = synthetic.NewPayPal(demo.PayPalClient, secret.New(clientSecret), false, between.URL, way)
		}}, change...)...).Look(t.Context())
		return sight.Trouble
	}
	between.reset(s.PayPalURL)
	if got := look(demo.PayPalSecret); got != "" {
		t.Fatalf("trouble of a healthy world:\n%s", got)
	}
	for _, tt := range []struct {
		name   string
		answer func(*http.Request, *answered)
		secret string
		watch  func(*synthetic.Options)
		want   []string
	}{
		{"the slug bug", replace(".az-900.", ".az900."), demo.PayPalSecret, nil, []string{"custom_id product == az-900 (az900)"}},
		{"the mark is lost", replace("mg1s.", "mg1."), demo.PayPalSecret, nil, []string{"custom_id makegood_synthetic == true (nothing)"}},
		{"another amount", replace(`"29.00"`, `"28.00"`), demo.PayPalSecret, nil, []string{"amount_total == 2900 (2800)", "line item unit amount == 2900 (2800)"}},
		{"an amount that is none", replace(`"29.00"`, `"a lot"`), demo.PayPalSecret, nil, []string{"amount_total == 2900 (0)"}},
		{"to be authorised only", replace(`"CAPTURE"`, `"AUTHORIZE"`), demo.PayPalSecret, nil, []string{"mode == CAPTURE (AUTHORIZE)"}},
		{"approved already", replace(`"PAYER_ACTION_REQUIRED"`, `"APPROVED"`), demo.PayPalSecret, nil, []string{"status == PAYER_ACTION_REQUIRED (APPROVED)"}},
		{"no units", field("GET", "/v2/", "purchase_units", []any{}), demo.PayPalSecret, nil, []string{"line items == 1 (0)", "custom_id product == az-900 (nothing)"}},
		{"a custom_id that is not ours", replace("mg1s.", ""), demo.PayPalSecret, nil, []string{"custom_id product == az-900 (nothing)"}},
		{"a page elsewhere", replace("/checkoutnow", "@paypal.example/checkoutnow"), demo.PayPalSecret, nil, []string{"url is that of the answer"}},
		{"the way back leads elsewhere", field("GET", "/v2/", "payment_source", map[string]any{"paypal": map[string]any{"email_address": "ann@example.com",
			"experience_context": map[string]any{"return_url": "https://evil.example/?t=1"}}}), demo.PayPalSecret, nil,
			[]string{"success_url begins with https://shop.example/thanks (https://evil.example/)", "customer_email is empty"}},
		{"the watcher's secret is refused", nil, "wrong", nil, []string{"the session can be read back (paypal refuses the watcher's key with status 401"}},
		{"no such order", status("GET", "/v2/", 404, "application/json", "{}"), demo.PayPalSecret, nil, []string{"the provider does not know it"}},
	} {
		between.onAnswer(tt.answer)
		got := look(tt.secret)
		for _, want := range tt.want {
			if !strings.Contains(got, want) {
				t.Errorf("%s: trouble:\n%s\nlacks %q", tt.name, got, want)
			}
		}
		between.reset(s.PayPalURL)
		if got := look(demo.PayPalSecret); got != "" {
			t.Fatalf("%s, after: trouble:\n%s", tt.name, got)
		}
	}
}

// replace changes the text of answers to questions about orders.
func replace(from, to string) func(*http.Request, *answered) {
	return func(r *http.Request, a *answered) {
		if r.Method == http.MethodGet {
			a.body = []byte(strings.ReplaceAll(string(a.body), from, to))
		}
	}
}

// Somebody approves a synthetic order at PayPal all the same: it is never captured, so there is nothing to give back.
func TestPayPalSyntheticIsNeverCaptured(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	var order string
	s.shop.onAnswer(func(_ *http.Request, a *answered) {
		order = strings.Split(strings.SplitAfter(string(a.body), `"session_id":"`)[1], `"`)[0]
	})
	way := outbound.New(outbound.Options{AllowPrivate: true, Timeout: time.Minute})
	t.Cleanup(way.CloseIdle)
	s.watcher(func(o *synthetic.Options) {
		o.Source, o.Desk = "paypal", synthetic.NewPayPal(demo.PayPalClient, secret.New(demo.PayPalSecret), false, s.PayPalURL, way)
	}).Look(t.Context())
	if err := s.PayPal.Approve(order, simulate.Customer{Email: "ann@example.com"}); err != nil {
		t.Fatal(err)
	}
	s.Eventually("the approval was read", func(ctx context.Context) bool {
		events, err := s.Store().Events(ctx, store.EventFilter{Source: "paypal"})
		return err == nil && len(events) == 1 && events[0].State == makegood.EventUnhandled
	})
	if o, ok := s.PayPal.Order(order); !ok || o.Status != "APPROVED" || len(o.Captures) > 0 {
		t.Errorf("order = %+v, want it approved and not captured", o)
	}
}

func TestHosts(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		desk synthetic.Desk
		want string
	}{
		{synthetic.NewStripe(secret.Value{}, "", "", nil), "checkout.stripe.com"},
		{synthetic.NewStripe(secret.Value{}, "", "http://127.0.0.1:1/", nil), "127.0.0.1:1"},
		{synthetic.NewPayPal("", secret.Value{}, true, "", nil), "www.paypal.com"},
		{synthetic.NewPayPal("", secret.Value{}, false, "", nil), "www.sandbox.paypal.com"},
		{synthetic.NewPayPal("", secret.Value{}, false, "http://127.0.0.1:1", nil), "127.0.0.1:1"},
	} {
		if got := tt.desk.Hosts(); !slices.Equal(got, []string{tt.want}) {
			t.Errorf("Hosts = %q, want %s", got, tt.want)
		}
	}
}
