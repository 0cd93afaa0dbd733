package bench

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/makegood/makegood/internal/demo"
	"github.com/makegood/makegood/internal/simulate"
	"github.com/makegood/makegood/internal/store/storetest"
)

// engines are the databases that every figure is taken on.
var engines = []struct {
	name string
	url  func(testing.TB) string
}{{"sqlite", storetest.SQLite}, {"postgres", storetest.Postgres}}

var runID = fmt.Sprint(time.Now().UnixNano())

// deliveries prepares signed checkout.session.completed events of about 1.5 KB, each of another session, as requests.
func deliveries(b testing.TB, host string, first, n int) [][]byte {
	b.Helper()
	requests := make([][]byte, n)
	for i := range requests {
		body := event(first + i)
		header := http.Header{"Stripe-Signature": {simulate.Sign(body, time.Now(), demo.WebhookSecret)}}
		requests[i] = Request("/hooks/stripe", host, header, body)
	}
	return requests
}

func email(i int) string   { return fmt.Sprintf("c%d@bench.example", i) }
func session(i int) string { return fmt.Sprintf("cs_test_%s%012d", runID, i) }

func event(i int) []byte {
	object := map[string]any{
		"id": session(i), "object": "checkout.session", "amount_subtotal": 2900, "amount_total": 2900, "currency": "usd",
		"cancel_url": "https://shop.example/cancel", "success_url": "https://shop.example/thanks?session_id={CHECKOUT_SESSION_ID}",
		"client_reference_id": nil, "consent": nil, "created": time.Now().Unix(), "customer": nil, "customer_creation": "if_required",
		"customer_details": map[string]any{"email": email(i), "name": "Ann Example", "phone": nil, "tax_exempt": "none",
			"address": map[string]any{"city": "Graz", "country": "AT", "line1": "Hauptplatz 1", "postal_code": "8010", "state": nil}},
		"customer_email": nil, "expires_at": time.Now().Add(24 * time.Hour).Unix(), "invoice": nil, "livemode": false, "locale": nil,
		"metadata": map[string]any{"product": "az-900", "quantity": "1", "unit_amount": "2900", "currency": "usd"},
		"mode":     "payment", "payment_intent": fmt.Sprintf("pi_%s%d", runID, i), "payment_link": nil, "payment_status": "paid",
		"payment_method_types": []string{"card"}, "phone_number_collection": map[string]any{"enabled": false}, "recovered_from": nil,
		"status": "complete", "submit_type": nil, "subscription": nil, "ui_mode": "hosted", "url": nil,
		"total_details": map[string]any{"amount_discount": 0, "amount_shipping": 0, "amount_tax": 0},
	}
	body, err := json.Marshal(map[string]any{
		"id": fmt.Sprintf("evt_%s%012d", runID, i), "object": "event", "api_version": "2026-03-25.dahlia",
		"created": time.Now().Unix(), "data": map[string]any{"object": object}, "livemode": false, "pending_webhooks": 1,
		"request": map[string]any{"id": nil, "idempotency_key": nil}, "type": "checkout.session.completed",
	})
	if err != nil {
		panic(err)
	}
	return body
}

// bare is the least that a webhook receiver can do: read the body and say 200.
func bare(b testing.TB) (address string) {
	b.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.ReadAll(r.Body); err != nil {
			w.WriteHeader(http.StatusBadRequest)
		}
	})}
	go s.Serve(l)
	b.Cleanup(func() { s.Close() })
	return l.Addr().String()
}

// house starts the whole server, workers included, with a mail service that notes when each customer's mail came.
func house(b testing.TB, url string) (*demo.World, *inbox) {
	b.Helper()
	in := &inbox{at: map[string]time.Time{}}
	w, err := demo.Start(b.Context(), demo.Options{Database: url, Resend: simulate.ResendOptions{BodyBytesMax: -1},
		AroundResend: in.note})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := w.Stop(); err != nil {
			b.Errorf("stop: %v", err)
		}
	})
	return w, in
}

// inbox notes the moment at which a mail was accepted.
type inbox struct {
	mu sync.Mutex
	at map[string]time.Time
}

func (in *inbox) note(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost {
			next.ServeHTTP(w, r)
			return
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		r.Body = io.NopCloser(strings.NewReader(string(body)))
		next.ServeHTTP(w, r)
		_, rest, _ := strings.Cut(string(body), `"to":`)
		to, _, _ := strings.Cut(strings.TrimLeft(rest, ` ["`), `"`)
		in.mu.Lock()
		in.at[to] = time.Now()
		in.mu.Unlock()
	})
}

func (in *inbox) count() int {
	in.mu.Lock()
	defer in.mu.Unlock()
	return len(in.at)
}

// await waits until n mails have come.
func (in *inbox) await(b testing.TB, n int) time.Time {
	b.Helper()
	deadline := time.Now().Add(2 * time.Minute)
	for in.count() < n {
		if time.Now().After(deadline) {
			b.Fatalf("only %d of %d mails came", in.count(), n)
		}
		time.Sleep(time.Millisecond)
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	last := time.Time{}
	for _, at := range in.at {
		if at.After(last) {
			last = at
		}
	}
	return last
}
