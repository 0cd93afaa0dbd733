package simulate

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stripe/stripe-go/v85"
)

const (
	testKey    = "sk_test_51simulatedkey"
	testSecret = "whsec_testtesttesttesttesttesttest"
)

// account is a pretend Stripe behind a real listener, and the official client pointed at it.
type account struct {
	*Stripe
	URL    string
	Client *stripe.Client
}

func newAccount(t *testing.T, o StripeOptions) account {
	t.Helper()
	setDefault(&o.APIKey, testKey)
	var base atomic.Pointer[string]
	o.PublicURL = func() string { return *base.Load() }
	s := NewStripe(o)
	server := httptest.NewServer(s)
	base.Store(&server.URL)
	t.Cleanup(server.Close)
	t.Cleanup(s.Close) // first, so that answers that hang end
	return account{s, server.URL, clientFor(server.URL, o.APIKey, nil)}
}

// clientFor is the unmodified stripe-go, told only where the API is.
func clientFor(url, key string, transport http.RoundTripper) *stripe.Client {
	if transport == nil {
		// stripe-go's own transport would be shared by all tests and keep connections of closed servers
		transport = &http.Transport{}
	}
	backend := stripe.GetBackendWithConfig(stripe.APIBackend, &stripe.BackendConfig{
		URL:               stripe.String(url),
		HTTPClient:        &http.Client{Transport: transport},
		MaxNetworkRetries: stripe.Int64(0),
		EnableTelemetry:   stripe.Bool(false),
		LeveledLogger:     &stripe.LeveledLogger{Level: stripe.LevelNull},
	})
	return stripe.NewClient(key, stripe.WithBackends(&stripe.Backends{API: backend}))
}

// shop is a webhook endpoint that remembers what it was sent.
type shop struct {
	URL string
	// answer is the status for the n-th request, counted from 1; nil is always 200.
	answer func(n int, r received) int

	mu  sync.Mutex
	got []received
}

type received struct {
	Body      []byte
	Signature string
	At        time.Time
	Event     struct {
		ID, Type string
		Data     struct{ Object json.RawMessage }
	}
}

func (sh *shop) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var got received
	got.Body, _ = io.ReadAll(r.Body)
	got.Signature, got.At = r.Header.Get("Stripe-Signature"), time.Now()
	if err := json.Unmarshal(got.Body, &got.Event); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	sh.mu.Lock()
	sh.got = append(sh.got, got)
	n := len(sh.got)
	sh.mu.Unlock()
	if sh.answer != nil {
		w.WriteHeader(sh.answer(n, got))
	}
}

func (sh *shop) received() []received {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	return append([]received(nil), sh.got...)
}

func (sh *shop) types() []string {
	var types []string
	for _, r := range sh.received() {
		types = append(types, r.Event.Type)
	}
	return types
}

func newShop(t *testing.T, answer func(int, received) int) *shop {
	t.Helper()
	sh := &shop{answer: answer}
	server := httptest.NewServer(sh)
	t.Cleanup(server.Close)
	sh.URL = server.URL + "/hooks/stripe"
	return sh
}

// clock is a Now that a test can move.
type clock struct{ nanos atomic.Int64 }

func newClock() *clock {
	c := &clock{}
	c.nanos.Store(time.Date(2026, 8, 3, 12, 0, 0, 0, time.UTC).UnixNano())
	return c
}

func (c *clock) Now() time.Time          { return time.Unix(0, c.nanos.Load()).UTC() }
func (c *clock) Advance(d time.Duration) { c.nanos.Add(int64(d)) }

var ann = Customer{Email: "ann@example.com", Name: "Ann Example", Country: "DE", City: "Berlin"}

// oneExam are the parameters of a session with one practice exam.
func oneExam() SessionParams {
	return SessionParams{
		LineItems: []LineItemParams{{PriceData: Price{Product: "AZ-900 practice exam", Currency: "usd", UnitAmount: 1900}}},
		Metadata:  map[string]string{"product": "az-900"},
	}
}

func waitIdle(t *testing.T, s *Stripe) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := s.WaitIdle(ctx); err != nil {
		t.Fatal(err)
	}
}

func waitDelivered(t *testing.T, s *Stripe) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := s.WaitDelivered(ctx); err != nil {
		t.Fatal(err)
	}
}

// mustPay pays a new session and returns it as it is afterwards.
func mustPay(t *testing.T, s *Stripe, options ...PayOption) Session {
	t.Helper()
	session := s.CreateSession(oneExam())
	if err := s.Pay(session.ID, ann, options...); err != nil {
		t.Fatal(err)
	}
	paid, _ := s.Session(session.ID)
	return paid
}

// answered is a response after its body was read.
type answered struct {
	Status int
	Header http.Header
	Body   string
}

// do sends a request to the API by hand, where the client would be too polite.
func do(t *testing.T, c *http.Client, method, url, key, body string, headers ...string) answered {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if key != "" {
		r.Header.Set("Authorization", "Bearer "+key)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	response, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	b, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answered{response.StatusCode, response.Header, string(b)}
}
