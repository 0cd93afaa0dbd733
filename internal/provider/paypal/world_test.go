package paypal_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/outbound"
	"github.com/makegood/makegood/internal/provider"
	"github.com/makegood/makegood/internal/provider/paypal"
	"github.com/makegood/makegood/internal/secret"
	"github.com/makegood/makegood/internal/simulate"
)

// now is a fixed time on a full second.
var now = time.Date(2026, 9, 1, 12, 0, 0, 0, time.UTC)

const merchant = "SMULATEDPAYPA"

// signingKey is drawn once for all tests, because that takes long.
var signingKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

var catalogue = makegood.Catalogue{
	"az-900": {Code: "az-900", Name: "AZ-900 practice exam", Price: makegood.Money{Minor: 2900, Currency: "usd"}, LicensePrefix: "AZ"},
	"dp-203": {Code: "dp-203", Name: "DP-203 practice exam", Price: makegood.Money{Minor: 4900, Currency: "usd"}, LicensePrefix: "DP", ProviderPrice: map[string]string{"paypal": "SKU-DP"}},
	"yen-1":  {Code: "yen-1", Name: "Yen", Price: makegood.Money{Minor: 2900, Currency: "jpy"}},
	"huf-1":  {Code: "huf-1", Name: "Forint", Price: makegood.Money{Minor: 290000, Currency: "huf"}},
}

// clock is a Now that a test can move.
type clock struct{ nanos atomic.Int64 }

func (c *clock) Now() time.Time          { return time.Unix(0, c.nanos.Load()).UTC() }
func (c *clock) Advance(d time.Duration) { c.nanos.Add(int64(d)) }

// world is a pretend PayPal behind a real listener, and a source pointed at it.
type world struct {
	*simulate.PayPal
	source  *paypal.PayPal
	options paypal.Options
	webhook string
	URL     string
	clock   *clock

	mu    sync.Mutex
	calls []string
}

func newWorld(t testing.TB, changes ...func(*paypal.Options)) *world {
	t.Helper()
	w := &world{clock: &clock{}}
	w.clock.nanos.Store(now.UnixNano())
	w.PayPal = simulate.NewPayPal(simulate.PayPalOptions{SigningKey: signingKey(), Now: w.clock.Now, PublicURL: func() string { return w.URL }})
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w.mu.Lock()
		w.calls = append(w.calls, r.Method+" "+r.URL.Path)
		w.mu.Unlock()
		w.PayPal.ServeHTTP(rw, r)
	}))
	t.Cleanup(server.Close)
	t.Cleanup(w.PayPal.Close) // first, so that answers that hang end
	w.URL = server.URL
	w.webhook = w.AddWebhook("http://127.0.0.1:1/nobody")
	w.SetFaults(simulate.PayPalFaults{Hold: true}) // events are read from the account, not delivered
	w.options = paypal.Options{Name: "paypal", ClientID: "simulated-client", ClientSecret: secret.New("simulated-secret"),
		WebhookIDs: provider.Active(secret.New(w.webhook)), MerchantID: merchant, BaseURL: w.URL,
		HTTP: outbound.New(outbound.Options{AllowPrivate: true, Timeout: 5 * time.Second}), Catalogue: catalogue, Now: w.clock.Now, Roots: w.CertPool()}
	for _, change := range changes {
		change(&w.options)
	}
	w.source = newSource(t, w.options)
	return w
}

func newSource(t testing.TB, o paypal.Options) *paypal.PayPal {
	t.Helper()
	s, err := paypal.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// counted is how often a call was made, by its beginning.
func (w *world) counted(prefix string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := 0
	for _, call := range w.calls {
		if strings.HasPrefix(call, prefix) {
			n++
		}
	}
	return n
}

// delivery is a body as PayPal would deliver it now.
func (w *world) delivery(body []byte) provider.Delivery {
	return provider.Delivery{Header: w.Headers(body, w.clock.Now(), w.webhook), Body: body, ReceivedAt: w.clock.Now()}
}

// prove verifies and identifies a body, as intake does.
func (w *world) prove(t testing.TB, body []byte) makegood.Event {
	t.Helper()
	d := w.delivery(body)
	by, err := w.source.Verify(d)
	if err != nil || by != secret.New(w.webhook).Fingerprint() {
		t.Fatalf("Verify = %q, %v; want the webhook's fingerprint", by, err)
	}
	e := w.source.Identify(body)
	e.ID, e.ReceivedAt = "evt1", d.ReceivedAt
	return e
}

// read proves and reads every event since the n-th, the oldest first.
func (w *world) read(t testing.TB, from int) []makegood.Fact {
	t.Helper()
	events := w.Events()
	var facts []makegood.Fact
	for i := len(events) - 1 - from; i >= 0; i-- {
		r, err := w.source.Interpret(t.Context(), w.prove(t, events[i].Body))
		if err != nil {
			t.Fatalf("Interpret of %s: %v", events[i].Type, err)
		}
		if (len(r.Facts) == 0) == (r.Note == "") {
			t.Errorf("Interpret of %s = %+v, want facts or a note", events[i].Type, r)
		}
		facts = append(facts, r.Facts...)
	}
	return facts
}

func request(product string) provider.CheckoutRequest {
	return provider.CheckoutRequest{Product: catalogue[product], Quantity: 2, Email: "ann@example.com",
		SuccessURL: "https://example.com/thanks?a=1&session_id={CHECKOUT_SESSION_ID}", CancelURL: "https://example.com/", IdempotencyKey: "checkout-1"}
}

var ann = simulate.Customer{Email: "ann@example.com", Name: "Ann Example"}

// sold creates and approves an order, and has it captured. It returns order and capture.
func (w *world) sold(t testing.TB, product string, options ...simulate.PayPalOption) (orderID, captureID string) {
	t.Helper()
	r := request(product)
	r.IdempotencyKey = ""
	c, err := w.source.CreateCheckout(t.Context(), r)
	if err != nil {
		t.Fatalf("CreateCheckout: %v", err)
	}
	if err := w.Approve(c.SessionID, ann, options...); err != nil {
		t.Fatal(err)
	}
	if _, err := w.source.Ask(t.Context(), c.SessionID); err != nil {
		t.Fatalf("Ask: %v", err)
	}
	o, _ := w.Order(c.SessionID)
	if len(o.Captures) != 1 {
		t.Fatalf("the order %+v has no capture", o)
	}
	return c.SessionID, o.Captures[0]
}

func kindsOf(facts []makegood.Fact) []makegood.FactKind {
	var kinds []makegood.FactKind
	for _, f := range facts {
		kinds = append(kinds, f.Kind)
	}
	return kinds
}

func reasonOf(err error) provider.Reason {
	var s *provider.SignatureError
	if errors.As(err, &s) {
		return s.Reason
	}
	return ""
}

func isPermanent(err error) bool {
	var p *makegood.Permanent
	return errors.As(err, &p)
}

func patience(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}
