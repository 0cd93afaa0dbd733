package simulate

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stripe/stripe-go/v85/webhook"
)

var paidTypes = []string{"charge.succeeded", "payment_intent.succeeded", "checkout.session.completed"}

func sorted(s []string) []string {
	s = slices.Clone(s)
	slices.Sort(s)
	return s
}

func TestOfficialVerifierAcceptsDeliveries(t *testing.T) {
	t.Parallel()
	s := NewStripe(StripeOptions{})
	defer s.Close()
	sh := newShop(t, nil)
	id := s.AddWebhookEndpoint(sh.URL, testSecret, "whsec_the_new_one")
	paid := mustPay(t, s)
	waitIdle(t, s)
	if diff := cmp.Diff(sorted(sh.types()), sorted(paidTypes)); diff != "" {
		t.Errorf("delivered (-got +want):\n%s", diff)
	}
	for _, r := range sh.received() {
		for _, secret := range s.WebhookSecrets(id) {
			e, err := webhook.ConstructEvent(r.Body, r.Signature, secret)
			if err != nil || e.ID != r.Event.ID {
				t.Errorf("ConstructEvent(%s, %s) = %v", r.Event.Type, secret, err)
			}
			if e.Type == "checkout.session.completed" && (e.Data.Object["id"] != paid.ID || e.Data.Object["line_items"] != nil) {
				t.Errorf("completed session = %v", e.Data.Object)
			}
		}
		if _, err := webhook.ConstructEvent(r.Body, r.Signature, "whsec_a_stranger"); err == nil {
			t.Error("a stranger's secret is accepted")
		}
	}
}

func TestBadSignatures(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		faults Faults
		want   error
	}{
		{"stale", Faults{StaleSignature: true}, webhook.ErrTooOld},
		{"wrong secret", Faults{WrongSecret: true}, webhook.ErrNoValidSignature},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := NewStripe(StripeOptions{})
			defer s.Close()
			sh := newShop(t, nil)
			s.AddWebhookEndpoint(sh.URL, testSecret)
			s.SetFaults(tt.faults)
			mustPay(t, s)
			waitIdle(t, s)
			for _, r := range sh.received() {
				if _, err := webhook.ConstructEvent(r.Body, r.Signature, testSecret); !errors.Is(err, tt.want) {
					t.Errorf("ConstructEvent = %v, want %v", err, tt.want)
				}
			}
			if len(sh.received()) != 3 {
				t.Errorf("deliveries = %d, want 3", len(sh.received()))
			}
		})
	}
}

// inBubble is a Stripe whose deliveries reach a shop without a network, so that synctest can move the time.
func inBubble(o StripeOptions, sh http.Handler) *Stripe {
	o.HTTP = &http.Client{Transport: Transport{sh}}
	s := NewStripe(o)
	s.AddWebhookEndpoint("http://shop.test/hooks/stripe", testSecret)
	return s
}

func TestRetriesFollowTheSchedule(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		sh := &shop{answer: func(n int, _ received) int {
			return []int{500, 301, 404, 200}[n-1]
		}}
		s := inBubble(StripeOptions{RetrySchedule: []time.Duration{10 * time.Second, time.Minute, time.Hour}}, sh)
		defer s.Close()
		start := time.Now()
		id := s.Emit("customer.created", []byte(`{"object":"customer"}`))
		if err := s.WaitIdle(t.Context()); err != nil {
			t.Fatal(err)
		}
		if e, _ := s.Event(id); e.IsDelivered() || e.Deliveries[0].LastStatus != 500 || !e.Deliveries[0].NextAttempt.Equal(start.Add(10*time.Second)) {
			t.Errorf("after the first attempt = %+v", e.Deliveries)
		}
		if err := s.WaitDelivered(t.Context()); err != nil {
			t.Fatal(err)
		}
		var got []time.Duration
		for _, r := range sh.received() {
			got = append(got, r.At.Sub(start))
			if want := Sign(r.Body, r.At, testSecret); r.Signature != want {
				t.Errorf("attempt after %v is signed %s, want %s", r.At.Sub(start), r.Signature, want)
			}
		}
		want := []time.Duration{0, 10 * time.Second, 70 * time.Second, time.Hour + 70*time.Second}
		if diff := cmp.Diff(got, want); diff != "" {
			t.Errorf("attempts after (-got +want):\n%s", diff)
		}
		e, _ := s.Event(id)
		state := e.Deliveries[0]
		if !state.Delivered || state.Attempts != 4 || state.LastStatus != 200 || !state.NextAttempt.IsZero() {
			t.Errorf("state = %+v", state)
		}
	})
}

func TestRetriesEndAfterTheSchedule(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		sh := &shop{answer: func(int, received) int { return 500 }}
		s := inBubble(StripeOptions{}, sh)
		defer s.Close()
		start := time.Now()
		id := s.Emit("customer.created", []byte(`{}`))
		if err := s.WaitDelivered(t.Context()); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took < 68*time.Hour || took > 73*time.Hour {
			t.Errorf("given up after %v, want about three days", took)
		}
		if e, _ := s.Event(id); e.IsDelivered() || len(sh.received()) != 12 {
			t.Errorf("attempts = %d, delivered %t; want 12, false", len(sh.received()), e.IsDelivered())
		}
	})
}

func TestConstantRetryOutlastsADeadShop(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		up := time.Now().Add(30 * time.Second)
		sh := &shop{}
		s := inBubble(StripeOptions{RetrySchedule: []time.Duration{}}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if time.Now().Before(up) {
				panic(http.ErrAbortHandler) // the process was killed: no answer at all
			}
			sh.ServeHTTP(w, r)
		}))
		defer s.Close()
		s.SetFaults(Faults{ConstantRetry: 100 * time.Millisecond})
		mustPay(t, s)
		if err := s.WaitDelivered(t.Context()); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(sorted(sh.types()), sorted(paidTypes)); diff != "" {
			t.Errorf("delivered (-got +want):\n%s", diff)
		}
		if late := time.Since(up); late > 200*time.Millisecond {
			t.Errorf("delivered %v after the shop was up", late)
		}
	})
}

func TestSlowShopTimesOut(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := inBubble(StripeOptions{RetrySchedule: []time.Duration{}}, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			<-r.Context().Done()
		}))
		defer s.Close()
		start := time.Now()
		id := s.Emit("customer.created", []byte(`{}`))
		if err := s.WaitIdle(t.Context()); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took != deliveryTimeout {
			t.Errorf("gave up after %v, want %v", took, deliveryTimeout)
		}
		if e, _ := s.Event(id); e.Deliveries[0].LastError == "" || e.Deliveries[0].LastStatus != 0 {
			t.Errorf("state = %+v", e.Deliveries[0])
		}
	})
}

func TestDuplicates(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		sh := &shop{}
		s := inBubble(StripeOptions{}, sh)
		defer s.Close()
		s.SetFaults(Faults{Duplicate: 2})
		id := s.Emit("customer.created", []byte(`{}`))
		if err := s.WaitDelivered(t.Context()); err != nil {
			t.Fatal(err)
		}
		got := sh.received()
		if len(got) != 3 || !bytes.Equal(got[0].Body, got[2].Body) {
			t.Errorf("copies = %d, want 3 of the same body", len(got))
		}
		s.SetFaults(Faults{})
		s.Deliver(id)
		if err := s.WaitIdle(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := len(sh.received()); got != 4 {
			t.Errorf("after one more by hand = %d, want 4", got)
		}
	})
}

func TestManualSuccessDoesNotSpareTheRetry(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		sh := &shop{answer: func(n int, _ received) int { return []int{500, 200, 200}[n-1] }}
		s := inBubble(StripeOptions{}, sh)
		defer s.Close()
		id := s.Emit("customer.created", []byte(`{}`))
		if err := s.WaitIdle(t.Context()); err != nil {
			t.Fatal(err)
		}
		s.Deliver(id)
		if err := s.WaitDelivered(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := len(sh.received()); got != 3 {
			t.Errorf("requests = %d, want failure, manual, retry", got)
		}
	})
}

func TestReorderOnePayment(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		sh := &shop{}
		s := inBubble(StripeOptions{}, sh)
		defer s.Close()
		s.SetFaults(Faults{Reorder: true})
		for range 20 {
			mustPay(t, s)
			if err := s.WaitIdle(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		for chunk := range slices.Chunk(sh.types(), 3) {
			if slices.Equal(chunk, paidTypes) || !slices.Equal(sorted(chunk), sorted(paidTypes)) {
				t.Errorf("order = %v, want another one of the three", chunk)
			}
		}
	})
}

func TestHoldShufflesAWholeLife(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		sh := &shop{}
		s := inBubble(StripeOptions{}, sh)
		defer s.Close()
		s.SetFaults(Faults{Hold: true, Reorder: true})
		paid := mustPay(t, s)
		if _, err := s.Refund(paid.PaymentIntent, 0); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if got := sh.received(); len(got) != 0 || !s.Idle() {
			t.Errorf("while held: %d deliveries, idle %t", len(got), s.Idle())
		}
		s.SetFaults(Faults{Reorder: true})
		if err := s.WaitDelivered(t.Context()); err != nil {
			t.Fatal(err)
		}
		want := append(slices.Clone(paidTypes), "refund.created", "charge.refunded")
		if got := sh.types(); slices.Equal(got, want) || !slices.Equal(sorted(got), sorted(want)) {
			t.Errorf("order = %v, want another one of %v", got, want)
		}
	})
}

func TestDroppedEventsExistAndCanBeResent(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		sh := &shop{}
		s := inBubble(StripeOptions{}, sh)
		defer s.Close()
		s.SetFaults(Faults{Drop: func(e Event) bool { return e.Type == "checkout.session.completed" }})
		mustPay(t, s)
		if err := s.WaitDelivered(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := sh.types(); len(got) != 2 || slices.Contains(got, "checkout.session.completed") {
			t.Errorf("delivered = %v", got)
		}
		lost := s.Events()[0]
		if lost.Type != "checkout.session.completed" || lost.IsDelivered() {
			t.Errorf("the lost event = %s, delivered %t", lost.Type, lost.IsDelivered())
		}
		s.Deliver(lost.ID)
		if err := s.WaitIdle(t.Context()); err != nil {
			t.Fatal(err)
		}
		if e, _ := s.Event(lost.ID); !e.IsDelivered() {
			t.Error("not delivered by hand")
		}
	})
}

func TestRetriesStopForADisabledEndpoint(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		sh := &shop{answer: func(int, received) int { return 500 }}
		s := NewStripe(StripeOptions{HTTP: &http.Client{Transport: Transport{sh}}})
		defer s.Close()
		we := s.AddWebhookEndpoint("http://shop.test/", testSecret)
		id := s.Emit("customer.created", []byte(`{}`))
		if err := s.WaitIdle(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := s.DisableWebhook(we, true); err != nil {
			t.Fatal(err)
		}
		if err := s.WaitDelivered(t.Context()); err != nil {
			t.Fatal(err)
		}
		if e, _ := s.Event(id); len(sh.received()) != 1 || !e.Deliveries[0].NextAttempt.IsZero() {
			t.Errorf("requests = %d, state %+v; want 1 and no more planned", len(sh.received()), e.Deliveries[0])
		}
	})
}

func TestRetryNow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		sh := &shop{answer: func(n int, _ received) int { return []int{500, 200}[n-1] }}
		s := inBubble(StripeOptions{RetrySchedule: []time.Duration{24 * time.Hour}}, sh)
		defer s.Close()
		start := time.Now()
		s.Emit("customer.created", []byte(`{}`))
		if err := s.WaitIdle(t.Context()); err != nil {
			t.Fatal(err)
		}
		s.RetryNow()
		if err := s.WaitDelivered(t.Context()); err != nil || time.Since(start) != 0 {
			t.Errorf("delivered after %v, %v; want at once", time.Since(start), err)
		}
	})
}

func TestDeliveriesAreBoundedAndClose(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		inside := make(chan struct{}, 100)
		s := inBubble(StripeOptions{Concurrency: 3}, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			inside <- struct{}{}
			<-r.Context().Done()
		}))
		for range 10 {
			s.Emit("customer.created", []byte(`{}`))
		}
		synctest.Wait()
		if got := len(inside); got != 3 {
			t.Errorf("in flight = %d, want 3", got)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := s.WaitIdle(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("WaitIdle while busy = %v", err)
		}
		s.Close()
		s.Close()
		if !s.Idle() {
			t.Error("not idle after Close")
		}
	})
}

func TestHangingAnswerEndsWithClose(t *testing.T) {
	t.Parallel()
	s := NewStripe(StripeOptions{APIKey: testKey})
	server := httptest.NewServer(s)
	defer server.Close()
	s.SetFaults(Faults{FailAPI: func(*http.Request) int { go s.Close(); return Hang }})
	r, _ := http.NewRequestWithContext(t.Context(), "GET", server.URL+"/v1/account", nil)
	r.Header.Set("Authorization", "Bearer "+testKey)
	if response, err := http.DefaultClient.Do(r); err == nil {
		t.Errorf("answer = %d, want none", response.StatusCode)
	}
}

// TestCrowd lets everything happen at once: what must hold is that every event arrives in the end.
func TestCrowd(t *testing.T) {
	t.Parallel()
	a := newAccount(t, StripeOptions{})
	sh := newShop(t, func(n int, _ received) int {
		if n%5 == 0 {
			return http.StatusServiceUnavailable
		}
		return http.StatusOK
	})
	a.AddWebhookEndpoint(sh.URL, testSecret)
	a.SetFaults(Faults{Duplicate: 1, Reorder: true, ConstantRetry: time.Millisecond})
	var crowd sync.WaitGroup
	for range 8 {
		crowd.Go(func() {
			for range 10 {
				session := a.CreateSession(oneExam())
				if err := a.Pay(session.ID, ann); err != nil {
					t.Error(err)
				}
				paid, _ := a.Session(session.ID)
				if _, err := a.Refund(paid.PaymentIntent, 100); err != nil {
					t.Error(err)
				}
				for _, path := range []string{"/v1/events?delivery_success=false", "/v1/checkout/sessions?limit=100&expand[]=data.line_items"} {
					if got := do(t, http.DefaultClient, "GET", a.URL+path, testKey, ""); got.Status != 200 {
						t.Errorf("%s = %d", path, got.Status)
					}
				}
			}
		})
	}
	crowd.Wait()
	waitDelivered(t, a.Stripe)
	events := a.Events()
	arrived := map[string]bool{}
	for _, r := range sh.received() {
		arrived[r.Event.ID] = true
	}
	for _, e := range events {
		if !e.IsDelivered() || !arrived[e.ID] {
			t.Errorf("%s %s: delivered %t, arrived %t", e.ID, e.Type, e.IsDelivered(), arrived[e.ID])
		}
	}
	if len(events) != 80*5 {
		t.Errorf("events = %d, want %d", len(events), 80*5)
	}
}

func TestEndpointsCanBeChanged(t *testing.T) {
	t.Parallel()
	a := newAccount(t, StripeOptions{})
	before, after := newShop(t, nil), newShop(t, nil)
	we := a.AddWebhookEndpoint(before.URL)
	if drawn := a.WebhookSecrets(we); len(drawn) != 1 || len(drawn[0]) != len("whsec_")+32 {
		t.Errorf("drawn secrets = %v", drawn)
	}
	for name, err := range map[string]error{
		"secrets": a.SetWebhookSecrets(we, "whsec_old", "whsec_new"),
		"URL":     a.SetWebhookURL(we, after.URL),
		"events":  a.SetWebhookEvents(we, "charge.succeeded"),
	} {
		if err != nil {
			t.Errorf("changing the %s: %v", name, err)
		}
	}
	if err := a.SetWebhookURL("we_none", "http://x"); !errors.Is(err, ErrUnknown) {
		t.Errorf("changing an unknown endpoint = %v", err)
	}
	mustPay(t, a.Stripe)
	waitIdle(t, a.Stripe)
	if got := do(t, http.DefaultClient, "POST", a.URL+"/world/events/"+a.Events()[2].ID+"/deliver", "", ""); got.Status != 200 {
		t.Errorf("the resend button = %d %s", got.Status, got.Body)
	}
	waitIdle(t, a.Stripe)
	got := after.received()
	if len(before.received()) != 0 || len(got) != 2 || got[0].Event.Type != "charge.succeeded" {
		t.Fatalf("deliveries = %d before, %v after; want charge.succeeded and once more by hand", len(before.received()), after.types())
	}
	for _, secret := range []string{"whsec_old", "whsec_new"} {
		if _, err := webhook.ConstructEvent(got[0].Body, got[0].Signature, secret); err != nil {
			t.Errorf("ConstructEvent with %s: %v", secret, err)
		}
	}
}
