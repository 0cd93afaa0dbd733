package app_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/api"
	"github.com/makegood/makegood/internal/config"
	"github.com/makegood/makegood/internal/demo"
	"github.com/makegood/makegood/internal/simulate"
)

// patience bounds every wait of these tests. It is long because a loaded machine is no failure.
const patience = 30 * time.Second

// quick repeats what fails at once, so that a test of a bad day is short.
var quick = makegood.RetryPolicy{Attempts: 10, Base: 20 * time.Millisecond, Cap: 100 * time.Millisecond}

// world is a real server between a simulated provider and a simulated mail service.
type world struct {
	*demo.World
	t    *testing.T
	logs *journal
}

// journal is what the server logs, at every level and without the redaction that a real one has on top.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(p)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

func options(url string, change ...func(*demo.Options)) (demo.Options, *journal) {
	logs := &journal{}
	o := demo.Options{Database: url, Retry: quick, Log: slog.New(slog.NewJSONHandler(logs, &slog.HandlerOptions{Level: slog.LevelDebug}))}
	o.Stripe.RetrySchedule = slices.Repeat([]time.Duration{100 * time.Millisecond}, 100)
	for _, c := range change {
		c(&o)
	}
	return o, logs
}

// configured changes the configuration of a world before its server starts.
func configured(change func(*config.Config)) func(*demo.Options) {
	return func(o *demo.Options) { o.Configure = change }
}

func startWorld(t *testing.T, url string, change ...func(*demo.Options)) *world {
	t.Helper()
	o, logs := options(url, change...)
	w, err := demo.Start(t.Context(), o)
	if err != nil {
		t.Fatalf("start the world: %v", err)
	}
	t.Cleanup(func() {
		if err := w.Stop(); err != nil {
			t.Errorf("stop the world: %v", err)
		}
		if t.Failed() {
			for line := range strings.Lines(logs.String()) {
				if !strings.Contains(line, `"level":"DEBUG"`) {
					t.Log(line)
				}
			}
		}
	})
	return &world{w, t, logs}
}

// sentence runs a part of a story in the same world.
func (w *world) sentence(name string, tell func(w *world)) {
	w.t.Run(name, func(t *testing.T) { tell(&world{w.World, t, w.logs}) })
}

func (w *world) must(what string, err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatalf("%s: %v", what, err)
	}
}

// eventually polls until the condition holds.
func (w *world) eventually(what string, condition func() bool) {
	w.t.Helper()
	for deadline := time.Now().Add(patience); !condition(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			w.t.Fatalf("%s did not come about within %v", what, patience)
		}
	}
}

// quiet waits until every delivery was answered and every job is done.
func (w *world) quiet() {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), patience)
	defer cancel()
	w.must("wait for the deliveries", w.Stripe.WaitDelivered(ctx))
	w.eventually("an empty queue", func() bool {
		depths, err := w.Store().QueueDepths(ctx)
		w.must("read the queue", err)
		return len(depths) == 0
	})
}

func (w *world) buy(product string, quantity int, email string) (sessionID string) {
	w.t.Helper()
	sessionID, err := w.Buy(w.t.Context(), product, quantity, email)
	w.must("buy", err)
	return sessionID
}

// open makes a session and leaves it unpaid.
func (w *world) open(product string, quantity int) (sessionID string) {
	w.t.Helper()
	sessionID, err := w.Checkout(w.t.Context(), product, quantity)
	w.must("checkout", err)
	return sessionID
}

func (w *world) pay(sessionID, email string, options ...simulate.PayOption) {
	w.t.Helper()
	w.must("pay", w.Stripe.Pay(sessionID, simulate.Customer{Email: email, Name: "Ann Example"}, options...))
}

// settled waits until the order of a session is fulfilled or stuck.
func (w *world) settled(sessionID string) makegood.Order {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), patience)
	defer cancel()
	o, err := w.AwaitOrder(ctx, sessionID)
	w.must("wait for the order", err)
	return o
}

func (w *world) order(sessionID string) makegood.Order {
	w.t.Helper()
	o, err := w.Store().OrderBySession(w.t.Context(), "stripe", sessionID)
	w.must("read the order", err)
	return o
}

// event waits until an event was looked at.
func (w *world) event(providerID string) makegood.Event {
	w.t.Helper()
	var e makegood.Event
	w.eventually("handling of event "+providerID, func() bool {
		var err error
		e, err = w.Store().Event(w.t.Context(), providerID)
		return err == nil && e.State != makegood.EventKept
	})
	return e
}

// expectFulfilled wants the order made good: so many keys, one mail with all of them to the customer, and nothing else.
func (w *world) expectFulfilled(sessionID, email string, keys int) makegood.Order {
	w.t.Helper()
	w.settled(sessionID)
	w.quiet()
	o := w.order(sessionID)
	if o.Payment != makegood.PaymentPaid || o.Fulfillment != makegood.Fulfilled || o.Reason != "" || len(o.Licenses) != keys {
		w.t.Errorf("order = %s, %s %q with %d licences, want paid and fulfilled with %d", o.Payment, o.Fulfillment, o.Reason, len(o.Licenses), keys)
	}
	w.expectMail(email, o)
	return o
}

func (w *world) expectMail(email string, o makegood.Order) {
	w.t.Helper()
	inbox := w.Resend.Inbox(email)
	if len(inbox) != 1 {
		w.t.Errorf("%s has %d mails, want 1", email, len(inbox))
		return
	}
	for _, l := range o.Licenses {
		if !strings.Contains(inbox[0].Text, l.Key) || !strings.Contains(inbox[0].HTML, l.Key) {
			w.t.Errorf("the mail does not have the key %s in text and page:\n%s", l.Key, inbox[0].Text)
		}
	}
	if step := o.Step(makegood.EffectEmail); step == nil || step.Receipt != inbox[0].ID {
		w.t.Errorf("step = %+v, want the receipt %s", step, inbox[0].ID)
	}
}

// answer is what the server said.
type answer struct {
	status int
	header http.Header
	body   string
}

func (w *world) ask(method, path, body string, change ...func(*http.Request)) answer {
	w.t.Helper()
	r, err := http.NewRequestWithContext(w.t.Context(), method, w.URL+path, strings.NewReader(body))
	w.must("make a request", err)
	for _, c := range change {
		c(r)
	}
	response, err := http.DefaultTransport.RoundTrip(r)
	w.must("ask the server", err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	w.must("read the answer", err)
	return answer{response.StatusCode, response.Header, string(text)}
}

// code is the code of an error in our JSON, or "".
func (a answer) code() string {
	var said struct{ Error struct{ Code string } }
	if a.header.Get("Content-Type") != "application/json" || json.Unmarshal([]byte(a.body), &said) != nil {
		return ""
	}
	return said.Error.Code
}

func (w *world) verify(sessionID string) (answer, api.Purchase) {
	w.t.Helper()
	a := w.ask("GET", "/api/verify?session_id="+sessionID, "")
	var p api.Purchase
	if a.status == http.StatusOK {
		w.must("read the purchase", json.Unmarshal([]byte(a.body), &p))
	}
	return a, p
}

// hook delivers a body that is genuinely signed.
func (w *world) hook(body string) answer {
	w.t.Helper()
	return w.ask("POST", "/hooks/stripe", body, func(r *http.Request) {
		r.Header.Set("Stripe-Signature", simulate.Sign([]byte(body), time.Now(), demo.WebhookSecret))
	})
}

func keysOf(o makegood.Order) []string {
	var keys []string
	for _, l := range o.Licenses {
		keys = append(keys, l.Key)
	}
	return keys
}

func keysIn(p api.Purchase) []string {
	var keys []string
	for _, l := range p.Licenses {
		keys = append(keys, l.Key)
	}
	return keys
}

// times gives a fault for the first n calls.
func times(n, status int) func(*http.Request) int {
	var mu sync.Mutex
	return func(*http.Request) int {
		mu.Lock()
		defer mu.Unlock()
		if n--; n >= 0 {
			return status
		}
		return 0
	}
}

// address is a customer's, different in every sentence.
func address(who string) string { return fmt.Sprintf("%s@customers.example", who) }

func isNotFound(err error) bool { return errors.Is(err, makegood.NotFound) }
