package simulate

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// paypalKeyForTests is drawn once, because that takes long.
var paypalKeyForTests = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

// paypalAccount is a pretend PayPal called directly, with a token.
type paypalAccount struct {
	*PayPal
	t     *testing.T
	clock *clock
	token string
}

func newPayPalAccount(t *testing.T, o PayPalOptions) *paypalAccount {
	t.Helper()
	a := &paypalAccount{t: t, clock: newClock()}
	if o.Now == nil {
		o.Now = a.clock.Now
	}
	o.SigningKey = paypalKeyForTests()
	a.PayPal = NewPayPal(o)
	t.Cleanup(a.Close)
	a.login()
	return a
}

func (a *paypalAccount) login() {
	a.t.Helper()
	r := httptest.NewRequest("POST", "/v1/oauth2/token", strings.NewReader("grant_type=client_credentials"))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.SetBasicAuth("simulated-client", "simulated-secret")
	w := httptest.NewRecorder()
	a.ServeHTTP(w, r)
	var answer struct {
		Token string `json:"access_token"`
	}
	if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil || answer.Token == "" {
		a.t.Fatalf("token = %d %s", w.Code, w.Body)
	}
	a.token = answer.Token
}

type paypalAnswer struct {
	ID     string
	Status string
	Name   string
	Events []struct{ ID string }
	Links  []struct{ Rel, Href string }
	Detail []struct{ Issue string } `json:"details"`
}

func (a *paypalAccount) call(method, path, key, body string) (int, paypalAnswer) {
	a.t.Helper()
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer "+a.token)
	if key != "" {
		r.Header.Set("PayPal-Request-Id", key)
	}
	w := httptest.NewRecorder()
	a.ServeHTTP(w, r)
	var answer paypalAnswer
	_ = json.Unmarshal(w.Body.Bytes(), &answer)
	return w.Code, answer
}

const paypalOneExam = `{"intent":"CAPTURE","purchase_units":[{"custom_id":"x","amount":{"currency_code":"USD","value":"29.00","breakdown":{"item_total":{"currency_code":"USD","value":"29.00"}}},
"items":[{"name":"AZ-900","quantity":"2","unit_amount":{"currency_code":"USD","value":"14.50"},"sku":"az-900"}]}],
"payment_source":{"paypal":{"experience_context":{"return_url":"https://example.com/thanks?a=1","cancel_url":"https://example.com/"}}}}`

// captured sells one exam and returns its order and capture.
func (a *paypalAccount) captured(options ...PayPalOption) (orderID, captureID string) {
	a.t.Helper()
	status, o := a.call("POST", "/v2/checkout/orders", "", paypalOneExam)
	if status != 201 {
		a.t.Fatalf("create = %d %+v", status, o)
	}
	if err := a.Approve(o.ID, ann, options...); err != nil {
		a.t.Fatal(err)
	}
	if status, k := a.call("POST", "/v2/checkout/orders/"+o.ID+"/capture", "", "{}"); status != 201 {
		a.t.Fatalf("capture = %d %+v", status, k)
	}
	order, _ := a.Order(o.ID)
	return o.ID, order.Captures[0]
}

func (a *paypalAccount) kinds() []string {
	var kinds []string
	for _, e := range slices.Backward(a.Events()) {
		kinds = append(kinds, e.Type)
	}
	return kinds
}

func TestPayPalOrders(t *testing.T) {
	t.Parallel()
	a := newPayPalAccount(t, PayPalOptions{})
	_, o := a.call("POST", "/v2/checkout/orders", "key-1", paypalOneExam)
	if _, again := a.call("POST", "/v2/checkout/orders", "key-1", paypalOneExam); again.ID != o.ID || o.Status != "PAYER_ACTION_REQUIRED" {
		t.Errorf("create under the same key = %+v, want %+v", again, o)
	}
	if status, other := a.call("POST", "/v2/checkout/orders", "key-1", strings.Replace(paypalOneExam, "AZ-900", "DP-203", 1)); status != 422 {
		t.Errorf("create of another order under the same key = %d %+v, want 422", status, other)
	}
	a.clock.Advance(6 * time.Hour)
	if _, later := a.call("POST", "/v2/checkout/orders", "key-1", paypalOneExam); later.ID == o.ID {
		t.Error("after six hours the key is still known")
	}
	if status, k := a.call("POST", "/v2/checkout/orders/"+o.ID+"/capture", "c", "{}"); status != 422 || k.Detail[0].Issue != "ORDER_NOT_APPROVED" {
		t.Errorf("capture before the approval = %d %+v, want it refused", status, k)
	}
	if err := a.Approve(o.ID, ann); err != nil {
		t.Fatal(err)
	}
	if err := a.Approve(o.ID, ann); !errors.Is(err, ErrState) {
		t.Errorf("Approve twice = %v, want ErrState", err)
	}
	for _, key := range []string{"c", "c"} {
		if status, k := a.call("POST", "/v2/checkout/orders/"+o.ID+"/capture", key, "{}"); status != 201 || k.Status != "COMPLETED" {
			t.Errorf("capture = %d %+v, want it completed", status, k)
		}
	}
	a.clock.Advance(44 * 24 * time.Hour)
	a.login()
	if status, _ := a.call("POST", "/v2/checkout/orders/"+o.ID+"/capture", "c", "{}"); status != 201 {
		t.Errorf("capture again within 45 days = %d, want the old answer", status)
	}
	a.clock.Advance(24 * time.Hour)
	a.login()
	if status, k := a.call("POST", "/v2/checkout/orders/"+o.ID+"/capture", "c", "{}"); status != 422 || k.Detail[0].Issue != "ORDER_ALREADY_CAPTURED" {
		t.Errorf("capture again after 45 days = %d %+v, want it refused", status, k)
	}
	if got := a.kinds(); !slices.Equal(got, []string{"CHECKOUT.ORDER.APPROVED", "PAYMENT.CAPTURE.COMPLETED", "CHECKOUT.ORDER.COMPLETED"}) {
		t.Errorf("the events are %v", got)
	}
}

func TestPayPalRefusesWhatDoesNotAddUp(t *testing.T) {
	t.Parallel()
	a := newPayPalAccount(t, PayPalOptions{})
	for _, change := range [][2]string{
		{`"14.50"`, `"14.51"`}, {`"value":"29.00","breakdown"`, `"value":"28.00","breakdown"`}, {`"29.00"`, `"29.0"`}, {`"CAPTURE"`, `"AUTHORIZE"`},
		{`"custom_id":"x"`, `"custom_id":"` + strings.Repeat("x", 128) + `"`}, {`"quantity":"2"`, `"quantity":"0"`}, {`"sku"`, `"skuu"`}, {`"USD"`, `"usd"`}, {`"29.00"`, `"-29.00"`},
	} {
		body := strings.ReplaceAll(paypalOneExam, change[0], change[1])
		if status, o := a.call("POST", "/v2/checkout/orders", "", body); status != 400 && status != 422 {
			t.Errorf("create with %s = %d %+v, want it refused", change[1], status, o)
		}
	}
	a.RevokeTokens()
	if status, o := a.call("POST", "/v2/checkout/orders", "", paypalOneExam); status != 401 {
		t.Errorf("create with a token that was revoked = %d %+v, want 401", status, o)
	}
	a.login()
	a.clock.Advance(paypalTokenLifetime)
	if status, _ := a.call("GET", "/v1/notifications/webhooks", "", ""); status != 401 {
		t.Errorf("a call with a token that is over = %d, want 401", status)
	}
}

func TestPayPalRefundsAndDisputes(t *testing.T) {
	t.Parallel()
	a := newPayPalAccount(t, PayPalOptions{})
	_, k := a.captured()
	part, err := a.Refund(k, 1000)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.Refund(k, 1901); !errors.Is(err, ErrState) {
		t.Errorf("a refund of more than is left = %v, want ErrState", err)
	}
	if _, got := a.call("GET", "/v2/payments/captures/"+k, "", ""); got.Status != "PARTIALLY_REFUNDED" {
		t.Errorf("the capture is %s", got.Status)
	}
	if status, re := a.call("POST", "/v2/payments/captures/"+k+"/refund", "r", "{}"); status != 201 || re.Status != "COMPLETED" {
		t.Errorf("refund of the rest = %d %+v", status, re)
	}
	if _, got := a.call("GET", "/v2/payments/captures/"+k, "", ""); got.Status != "REFUNDED" {
		t.Errorf("the capture is %s, want it refunded", got.Status)
	}
	if err := a.FailRefund(part); err != nil {
		t.Fatal(err)
	}
	if _, got := a.call("GET", "/v2/payments/refunds/"+part, "", ""); got.Status != "FAILED" {
		t.Errorf("the refund is %s, want it failed", got.Status)
	}
	waiting, err := a.RefundPending(k, 500)
	if err != nil || a.SettleRefund(waiting, true) != nil || !errors.Is(a.SettleRefund(waiting, true), ErrState) {
		t.Errorf("a pending refund cannot be settled once (%v)", err)
	}
	d, err := a.Inquire(k)
	if err != nil || a.Escalate(d) != nil || a.CloseDispute(d, false) != nil || !errors.Is(a.CloseDispute(d, true), ErrState) {
		t.Errorf("a dispute cannot be led to its end (%v)", err)
	}
	for _, err := range []error{a.FailRefund("x"), a.CloseDispute("x", true), a.Approve("x", ann), a.SettlePending("x", true), a.ReverseApproval("x"), a.DeleteWebhook("x")} {
		if !errors.Is(err, ErrUnknown) {
			t.Errorf("something unknown = %v, want ErrUnknown", err)
		}
	}
}

func TestPayPalHidesAndReverses(t *testing.T) {
	t.Parallel()
	a := newPayPalAccount(t, PayPalOptions{})
	a.SetFaults(PayPalFaults{HideFor: time.Minute})
	o, k := a.captured()
	if status, _ := a.call("GET", "/v2/payments/captures/"+k, "", ""); status != 404 {
		t.Errorf("a hidden capture = %d, want 404", status)
	}
	if _, got := a.call("GET", "/v2/checkout/orders/"+o, "", ""); got.Status != "APPROVED" {
		t.Errorf("an order with a hidden capture is %s", got.Status)
	}
	a.clock.Advance(time.Minute)
	if _, got := a.call("GET", "/v2/checkout/orders/"+o, "", ""); got.Status != "COMPLETED" {
		t.Errorf("a minute later the order is %s", got.Status)
	}
	_, late := a.call("POST", "/v2/checkout/orders", "", paypalOneExam)
	if err := a.Approve(late.ID, ann); err != nil {
		t.Fatal(err)
	}
	a.clock.Advance(paypalApprovalLifetime)
	if got, _ := a.Order(late.ID); got.Status != "VOIDED" || !slices.Contains(a.kinds(), "CHECKOUT.PAYMENT-APPROVAL.REVERSED") {
		t.Errorf("three hours after its approval the order is %s", got.Status)
	}
	if order, _ := a.captured(Pending()); order == "" {
		t.Error("a pending capture made no order")
	}
}

// TestPayPalDeliveries lives in a bubble, where three days pass at once.
func TestPayPalDeliveries(t *testing.T) {
	t.Parallel()
	paypalKeyForTests() // outside of the bubble
	synctest.Test(t, func(t *testing.T) {
		var n atomic.Int32
		var mu sync.Mutex
		var transmissions, signed []string
		shop := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			mu.Lock()
			defer mu.Unlock()
			transmissions, signed = append(transmissions, r.Header.Get("PAYPAL-TRANSMISSION-ID")), append(signed, r.Header.Get("PAYPAL-TRANSMISSION-TIME"))
			if n.Add(1); n.Load() <= 1000 {
				w.WriteHeader(http.StatusInternalServerError)
			}
		})
		a := newPayPalAccount(t, PayPalOptions{Now: time.Now, HTTP: &http.Client{Transport: Transport{shop}}})
		defer a.Close()
		a.AddWebhook("http://shop.example/hooks/paypal")
		started := time.Now()
		id := a.Emit("PAYMENT.CAPTURE.COMPLETED", "capture", json.RawMessage(`{"id":"X"}`))
		if err := a.WaitDelivered(context.Background()); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(started); n.Load() != paypalAttempts || took < 70*time.Hour || took > 73*time.Hour {
			t.Errorf("it was tried %d times in %v, want 25 times in three days", n.Load(), took)
		}
		slices.Sort(transmissions)
		slices.Sort(signed)
		if len(slices.Compact(transmissions)) != 1 || len(slices.Compact(signed)) != 1 {
			t.Error("a repetition has another transmission")
		}
		n.Store(1000)
		a.Deliver(id)
		if err := a.WaitIdle(context.Background()); err != nil {
			t.Fatal(err)
		}
		if e := a.Events()[0]; !e.IsDelivered() {
			t.Errorf("after it was sent again the event is %+v, want it delivered", e)
		}
		a.SetFaults(PayPalFaults{Drop: func(e Event) bool { return e.Type == "A" }, Duplicate: 2})
		n.Store(1000)
		a.Emit("A", "x", json.RawMessage(`{}`))
		a.Emit("B", "x", json.RawMessage(`{}`))
		if err := a.WaitDelivered(context.Background()); err != nil || n.Load() != 1003 {
			t.Errorf("%d deliveries, %v; want three of the second event", n.Load()-1000, err)
		}
	})
}

func TestPayPalListsEvents(t *testing.T) {
	t.Parallel()
	a := newPayPalAccount(t, PayPalOptions{})
	var want []string
	for range 25 {
		want = append(want, a.Emit("X", "x", json.RawMessage(`{}`)))
	}
	var got []string
	path := "/v1/notifications/webhooks-events?page_size=10"
	for path != "" {
		_, page := a.call("GET", path, "", "")
		for _, e := range page.Events {
			got = append(got, e.ID)
		}
		path = ""
		for _, l := range page.Links {
			if l.Rel == "next" {
				u, err := url.Parse(l.Href)
				if err != nil {
					t.Fatal(err)
				}
				path = u.RequestURI()
			}
		}
	}
	slices.Reverse(got)
	if !slices.Equal(got, want) {
		t.Errorf("the pages have %d events, want 25 in their order", len(got))
	}
	if status, _ := a.call("GET", "/v1/notifications/webhooks-events?page_size=101", "", ""); status != 400 {
		t.Errorf("a page that is too large = %d, want 400", status)
	}
}

func TestPayPalBuyerPage(t *testing.T) {
	t.Parallel()
	a := newPayPalAccount(t, PayPalOptions{})
	_, o := a.call("POST", "/v2/checkout/orders", "", paypalOneExam)
	visit := func(method, target, body string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(method, target, strings.NewReader(body))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		w := httptest.NewRecorder()
		a.ServeHTTP(w, r)
		return w
	}
	if w := visit("GET", "/checkoutnow?token="+o.ID, ""); w.Code != 200 || !strings.Contains(w.Body.String(), "29.00 USD") {
		t.Errorf("the page = %d %s", w.Code, w.Body)
	}
	if w := visit("POST", "/checkoutnow", "token="+o.ID+"&email=x"); w.Code != 422 {
		t.Errorf("approving without an address = %d, want 422", w.Code)
	}
	for range 2 {
		w := visit("POST", "/checkoutnow", "token="+o.ID+"&email=ann@example.com&name=Ann")
		if got := w.Header().Get("Location"); w.Code != 303 || got != "https://example.com/thanks?a=1&token="+o.ID+"&PayerID=SIMULATEDBUYR" {
			t.Errorf("approving = %d to %s", w.Code, got)
		}
	}
	if got, _ := a.Order(o.ID); got.Status != "APPROVED" {
		t.Errorf("the order is %s, want it approved", got.Status)
	}
	if w := visit("GET", "/checkoutnow?token=NONE", ""); w.Code != 404 {
		t.Errorf("the page of no order = %d, want 404", w.Code)
	}
}
