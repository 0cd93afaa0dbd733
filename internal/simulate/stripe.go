package simulate

import (
	"container/heap"
	"context"
	"crypto/rand"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"
)

// StripeOptions are what a pretend Stripe is made of. Every field has a useful zero value.
type StripeOptions struct {
	// APIKey is the only key the API accepts, sk_test_simulated by default. A key that starts with sk_live_ or rk_live_
	// makes everything livemode.
	APIKey string
	// Account is the account id, acct_simulated by default.
	Account string
	// PublicURL returns the base URL under which the handler is reachable, for the links to the hosted pages. It is a
	// function because a test server knows its address only once the handler exists. It must not call the Stripe.
	PublicURL func() string
	// Now is the clock for everything stored and signed, time.Now by default.
	Now func() time.Time
	// Rand is where ids come from, crypto/rand by default. It need not be safe for concurrent use.
	Rand io.Reader
	// HTTP delivers the webhooks. Redirects are never followed, because to Stripe a 3xx is a failure; a zero Timeout
	// becomes 10 seconds.
	HTTP *http.Client
	// RetrySchedule are the waits before the second, third… attempt of a delivery. The default spreads 11 attempts over
	// three days as Stripe's live mode does; Stripe publishes the three days and "exponential", the steps are our choice.
	RetrySchedule []time.Duration
	// Concurrency is how many deliveries may be in flight at once, 8 by default.
	Concurrency int
	// APIVersion is stamped on every event, 2026-03-25.dahlia by default.
	APIVersion string
	// EventsMax is how many events are remembered, 100,000 by default. Older ones are forgotten, though a delivery that
	// is under way still goes on.
	EventsMax int
	// RedirectWait is how long the hosted page waits for the first answer to checkout.session.completed before it sends
	// the customer back, as the real one does for about ten seconds. Zero does not wait.
	RedirectWait time.Duration
}

// Stripe is a pretend Stripe account that remembers what it was told: catalogue, sessions, payments, refunds, disputes,
// subscriptions, invoices, events and webhook endpoints. It is an http.Handler with the API under /v1/, hosted payment pages under /pay/ and an
// overview at /. All methods may be called from several goroutines at once.
type Stripe struct {
	options  StripeOptions
	livemode bool
	handler  http.Handler

	mu              sync.Mutex
	faults          Faults
	keys            keyStore
	prices          ledger[*Price]
	sessions        ledger[*Session]
	open            sessionsByExpiry
	intents         ledger[*intent]
	charges         ledger[*charge]
	refunds         ledger[*refund]
	disputes        ledger[*dispute]
	subscriptions   ledger[*subscription]
	invoices        ledger[*invoice]
	invoicePayments ledger[*invoice] // by inpay_…; each invoice has one
	events          ledger[*event]
	endpoints       ledger[*endpoint]
	courier         courier
}

var _ http.Handler = (*Stripe)(nil)

// NewStripe returns an empty account and starts the goroutine that delivers its webhooks. Close ends it.
func NewStripe(o StripeOptions) *Stripe {
	o = o.withDefaults()
	s := &Stripe{
		options:  o,
		livemode: strings.HasPrefix(o.APIKey, "sk_live_") || strings.HasPrefix(o.APIKey, "rk_live_"),
	}
	s.handler = s.routes()
	s.courier.start(s)
	return s
}

func (o StripeOptions) withDefaults() StripeOptions {
	setDefault(&o.APIKey, "sk_test_simulated")
	setDefault(&o.Account, "acct_simulated")
	setDefault(&o.APIVersion, "2026-03-25.dahlia")
	setDefault(&o.Concurrency, concurrencyDefault)
	setDefault(&o.EventsMax, eventsMaxDefault)
	if o.PublicURL == nil {
		o.PublicURL = func() string { return "https://checkout.simulated.invalid" }
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Rand == nil {
		o.Rand = rand.Reader
	}
	if o.RetrySchedule == nil {
		o.RetrySchedule = defaultRetrySchedule()
	}
	o.HTTP = deliveryClient(o.HTTP, o.Concurrency)
	return o
}

// setDefault gives field a value if it has none.
func setDefault[T comparable](field *T, value T) {
	var none T
	if *field == none {
		*field = value
	}
}

// defaultRetrySchedule adds up to three days.
func defaultRetrySchedule() []time.Duration {
	return []time.Duration{
		10 * time.Second, time.Minute, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour, 5 * time.Hour,
		10 * time.Hour, 12 * time.Hour, 12 * time.Hour, 12 * time.Hour, 18 * time.Hour,
	}
}

// ServeHTTP answers the API, the hosted pages and the overview.
func (s *Stripe) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) }

// Close stops the deliveries and waits until the last one in flight has ended. The account can still be read; events of
// later changes are kept but not delivered. Closing twice is harmless.
func (s *Stripe) Close() { s.courier.close() }

func (s *Stripe) routes() http.Handler {
	mux := http.NewServeMux()
	for pattern, act := range map[string]action{
		"POST /v1/checkout/sessions":                s.createSession,
		"GET /v1/checkout/sessions":                 s.listSessions,
		"GET /v1/checkout/sessions/{id}":            s.retrieveSession,
		"POST /v1/checkout/sessions/{id}":           s.updateSession,
		"POST /v1/checkout/sessions/{id}/expire":    s.expireSession,
		"GET /v1/checkout/sessions/{id}/line_items": s.listLineItems,
		"GET /v1/payment_intents":                   s.listIntents,
		"GET /v1/payment_intents/{id}":              s.retrieveIntent,
		"GET /v1/charges":                           s.listCharges,
		"GET /v1/charges/{id}":                      s.retrieveCharge,
		"POST /v1/refunds":                          s.createRefund,
		"GET /v1/refunds":                           s.listRefunds,
		"GET /v1/refunds/{id}":                      s.retrieveRefund,
		"GET /v1/disputes":                          s.listDisputes,
		"GET /v1/disputes/{id}":                     s.retrieveDispute,
		"GET /v1/subscriptions":                     s.listSubscriptions,
		"GET /v1/subscriptions/{id}":                s.retrieveSubscription,
		"POST /v1/subscriptions/{id}":               s.updateSubscription,
		"DELETE /v1/subscriptions/{id}":             s.cancelSubscription,
		"GET /v1/invoices":                          s.listInvoices,
		"GET /v1/invoices/{id}":                     s.retrieveInvoice,
		"GET /v1/invoices/{id}/lines":               s.listInvoiceLines,
		"GET /v1/invoice_payments":                  s.listInvoicePayments,
		"GET /v1/invoice_payments/{id}":             s.retrieveInvoicePayment,
		"GET /v1/events":                            s.listEvents,
		"GET /v1/events/{id}":                       s.retrieveEvent,
		"POST /v1/webhook_endpoints":                s.createEndpoint,
		"GET /v1/webhook_endpoints":                 s.listEndpoints,
		"GET /v1/webhook_endpoints/{id}":            s.retrieveEndpoint,
		"POST /v1/webhook_endpoints/{id}":           s.updateEndpoint,
		"DELETE /v1/webhook_endpoints/{id}":         s.deleteEndpoint,
		"GET /v1/prices":                            s.listPrices,
		"GET /v1/prices/{id}":                       s.retrievePrice,
		"GET /v1/account":                           s.retrieveAccount,
		"GET /v1/balance":                           s.retrieveBalance,
		"/v1/":                                      unrecognizedURL,
	} {
		mux.HandleFunc(pattern, s.api(act))
	}
	s.routePages(mux)
	return mux
}

// begin takes the lock and lets time have passed: sessions past their time expire first. The caller unlocks.
func (s *Stripe) begin() time.Time {
	s.mu.Lock()
	now := s.options.Now()
	for len(s.open) > 0 && !now.Before(s.open[0].ExpiresAt) {
		session := heap.Pop(&s.open).(*Session)
		if session.Status == "open" {
			s.expire(session, origin{})
		}
	}
	return now
}

func (s *Stripe) id(prefix string, n int) string { return newID(s.options.Rand, prefix, n) }

// mode is the part of some ids that tells test from live.
func (s *Stripe) mode() string {
	if s.livemode {
		return "live_"
	}
	return "test_"
}

func (s *Stripe) retrieveAccount(c *call) (any, *apiError) {
	if problem := c.form.check(); problem != nil {
		return nil, problem
	}
	return map[string]any{
		"id": s.options.Account, "object": "account", "type": "standard", "country": "US", "default_currency": "usd",
		"email": "owner@example.com", "charges_enabled": true, "payouts_enabled": true, "details_submitted": true,
		"business_profile": map[string]any{"name": "Simulated shop", "url": nil},
		"settings":         map[string]any{"dashboard": map[string]any{"display_name": "Simulated shop", "timezone": "Etc/UTC"}},
		"metadata":         map[string]string{},
	}, nil
}

// retrieveBalance adds up what was charged and not refunded. Nothing is ever paid out.
func (s *Stripe) retrieveBalance(c *call) (any, *apiError) {
	if problem := c.form.check(); problem != nil {
		return nil, problem
	}
	type amount struct {
		Amount      int64            `json:"amount"`
		Currency    string           `json:"currency"`
		SourceTypes map[string]int64 `json:"source_types"`
	}
	available, at := []amount{}, map[string]int{}
	for _, ch := range s.charges.items {
		if ch.Status != "succeeded" {
			continue
		}
		i, ok := at[ch.Currency]
		if !ok {
			i = len(available)
			at[ch.Currency] = i
			available = append(available, amount{Currency: ch.Currency, SourceTypes: map[string]int64{}})
		}
		available[i].Amount += ch.Amount - ch.AmountRefunded
		available[i].SourceTypes["card"] = available[i].Amount
	}
	return map[string]any{
		"object": "balance", "available": available, "pending": []amount{}, "livemode": s.livemode,
	}, nil
}

// waitFor sleeps for d unless the context ends or stop is closed first.
func waitFor(ctx context.Context, stop <-chan struct{}, d time.Duration) {
	if d <= 0 {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	case <-stop:
	}
}
