package paypal_test

import (
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/provider"
	"github.com/makegood/makegood/internal/simulate"
)

// TestALifeWithTheSimulatedPayPal sells, and reads each event and the API: both must tell the same.
func TestALifeWithTheSimulatedPayPal(t *testing.T) {
	t.Parallel()
	const (
		paid, awaiting, failed = makegood.FactPaid, makegood.FactAwaiting, makegood.FactFailed
		refunded, came         = makegood.FactRefunded, makegood.FactRefundFailed
	)
	refund := func(minor ...int64) func(*testing.T, *world, string) {
		return func(t *testing.T, w *world, capture string) {
			for _, m := range minor {
				if _, err := w.Refund(capture, m); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	for _, tt := range []struct {
		name    string
		product string
		options []simulate.PayPalOption
		live    func(*testing.T, *world, string) // what happens to the capture
		want    []makegood.FactKind              // told by the events in the end, each fact once
		state   makegood.PaymentState
	}{
		{"paid", "az-900", nil, nil, []makegood.FactKind{paid}, makegood.PaymentPaid},
		{"paid in yen", "yen-1", nil, nil, []makegood.FactKind{paid}, makegood.PaymentPaid},
		{"paid in forint", "huf-1", nil, nil, []makegood.FactKind{paid}, makegood.PaymentPaid},
		{"pending", "az-900", []simulate.PayPalOption{simulate.Pending()}, nil, []makegood.FactKind{awaiting}, makegood.PaymentPending},
		{"pending, then paid", "az-900", []simulate.PayPalOption{simulate.Pending()}, func(t *testing.T, w *world, capture string) {
			w.readAll(t) // while it is pending
			if err := w.SettlePending(capture, true); err != nil {
				t.Fatal(err)
			}
		}, []makegood.FactKind{paid}, makegood.PaymentPaid},
		{"pending, then denied", "az-900", []simulate.PayPalOption{simulate.Pending()}, func(t *testing.T, w *world, capture string) {
			if err := w.SettlePending(capture, false); err != nil {
				t.Fatal(err)
			}
		}, []makegood.FactKind{failed}, makegood.PaymentFailed},
		{"refunded", "az-900", nil, refund(0), []makegood.FactKind{paid, refunded}, makegood.PaymentRefunded},
		{"refunded in two parts", "az-900", nil, refund(1000, 4800), []makegood.FactKind{paid, refunded, refunded}, makegood.PaymentRefunded},
		{"refunded in part", "az-900", nil, refund(1000), []makegood.FactKind{paid, refunded}, makegood.PaymentPartiallyRefunded},
		{"reversed", "az-900", nil, func(t *testing.T, w *world, capture string) {
			if _, err := w.Reverse(capture); err != nil {
				t.Fatal(err)
			}
		}, []makegood.FactKind{paid, refunded}, makegood.PaymentRefunded},
		{"a refund that came back", "az-900", nil, func(t *testing.T, w *world, capture string) {
			id, err := w.Refund(capture, 0)
			if err != nil {
				t.Fatal(err)
			}
			w.readAll(t)
			if err := w.FailRefund(id); err != nil {
				t.Fatal(err)
			}
		}, []makegood.FactKind{paid, came}, makegood.PaymentPaid},
		{"a refund on its way", "az-900", nil, func(t *testing.T, w *world, capture string) {
			if _, err := w.RefundPending(capture, 0); err != nil {
				t.Fatal(err)
			}
		}, []makegood.FactKind{paid}, makegood.PaymentPaid},
		{"an inquiry", "az-900", nil, func(t *testing.T, w *world, capture string) {
			if _, err := w.Inquire(capture); err != nil {
				t.Fatal(err)
			}
		}, []makegood.FactKind{paid}, makegood.PaymentPaid},
		{"an inquiry that became a claim", "az-900", nil, func(t *testing.T, w *world, capture string) {
			id, err := w.Inquire(capture)
			if err != nil || w.Escalate(id) != nil {
				t.Fatal(err)
			}
		}, []makegood.FactKind{makegood.FactDisputed, paid}, makegood.PaymentDisputed},
		{"a dispute won", "az-900", nil, dispute(true), []makegood.FactKind{makegood.FactDisputeWon, paid}, makegood.PaymentPaid},
		{"a dispute lost", "az-900", nil, dispute(false), []makegood.FactKind{makegood.FactDisputeLost, paid}, makegood.PaymentDisputed},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			if err := w.source.Check(t.Context()); err != nil {
				t.Fatalf("Check: %v", err)
			}
			order, capture := w.sold(t, tt.product, tt.options...)
			if tt.live != nil {
				tt.live(t, w, capture)
			}
			var o *makegood.Order
			kinds := map[[2]string]makegood.FactKind{}
			for _, f := range w.readAll(t) {
				if o == nil {
					o = &makegood.Order{ID: "ord1", Key: f.Key}
				}
				if f.Key != (makegood.OrderKey{Source: "paypal", SessionID: order}) || f.PaymentID != capture {
					t.Errorf("%+v is not of the order %s and the payment %s", f, order, capture)
				}
				o.Learn(f)
				kinds[[2]string{string(f.Kind), f.ObjectID}] = f.Kind
			}
			var got []makegood.FactKind
			for _, kind := range kinds {
				got = append(got, kind)
			}
			slices.Sort(got)
			slices.Sort(tt.want)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("the events tell other facts (-want +got):\n%s", diff)
			}
			settle(o)
			if o.Payment != tt.state || o.Reason != "" && o.Reason != makegood.ReasonNoAddress {
				t.Errorf("the order is %s (%s), want %s", o.Payment, o.Reason, tt.state)
			}
			asked, err := w.source.Ask(t.Context(), order)
			if err != nil {
				t.Fatalf("Ask: %v", err)
			}
			for _, f := range asked.Facts {
				if o.Learn(f); o.Facts[0].Contradicted {
					t.Errorf("the API contradicts the events: %+v", f)
				}
			}
			settle(o)
			if o.Payment != tt.state {
				t.Errorf("after Ask the order is %s, want %s", o.Payment, tt.state)
			}
		})
	}
}

// readAll reads every event there is.
func (w *world) readAll(t *testing.T) []makegood.Fact { return w.read(t, 0) }

func dispute(won bool) func(*testing.T, *world, string) {
	return func(t *testing.T, w *world, capture string) {
		id, err := w.Dispute(capture)
		if err != nil {
			t.Fatal(err)
		}
		if got := kindsOf(w.readAll(t)); !slices.Contains(got, makegood.FactDisputed) {
			t.Errorf("while it is open the events tell %v, want a dispute", got)
		}
		if err := w.CloseDispute(id, won); err != nil {
			t.Fatal(err)
		}
	}
}

// The fact of a payment in full, by webhook without the success page ever asking.
func TestApprovedIsCapturedAndTold(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c, err := w.source.CreateCheckout(t.Context(), request("az-900"))
	if err != nil {
		t.Fatal(err)
	}
	again, err := w.source.CreateCheckout(t.Context(), request("az-900"))
	if err != nil || again.SessionID != c.SessionID {
		t.Errorf("CreateCheckout under the same key = %+v, %v; want %s again", again, err, c.SessionID)
	}
	if asked, err := w.source.Ask(t.Context(), c.SessionID); err != nil || len(asked.Facts) != 0 || asked.Note == "" {
		t.Errorf("Ask before the approval = %+v, %v; want a note", asked, err)
	}
	if err := w.Approve(c.SessionID, ann); err != nil {
		t.Fatal(err)
	}
	facts := w.readAll(t) // the approval; the rest is made by reading it
	o, _ := w.Order(c.SessionID)
	want := []makegood.Fact{{
		Key: makegood.OrderKey{Source: "paypal", SessionID: c.SessionID}, Kind: makegood.FactPaid, ObjectID: o.Captures[0], PaymentID: o.Captures[0],
		Amount: makegood.Money{Minor: 5800, Currency: "usd"}, Customer: makegood.Customer{Email: "ann@example.com", Name: "Ann Example"},
		Lines: []makegood.Line{{Product: "az-900", Label: "AZ-900 practice exam", Quantity: 2, Subtotal: makegood.Money{Minor: 5800, Currency: "usd"},
			Agreed: makegood.Money{Minor: 2900, Currency: "usd"}}},
		OccurredAt: now, EventID: "evt1",
	}}
	if diff := cmp.Diff(want, facts); diff != "" {
		t.Errorf("the approval tells other facts (-want +got):\n%s", diff)
	}
	for range 2 { // the capture's own events, and everything again
		for _, f := range w.readAll(t) {
			if diff := cmp.Diff(want[0], f, cmpopts.IgnoreFields(makegood.Fact{}, "EventID")); diff != "" {
				t.Errorf("another event tells the same payment in another way (-want +got):\n%s", diff)
			}
		}
	}
	if n := w.counted("POST /v2/checkout/orders/" + c.SessionID + "/capture"); n != 1 {
		t.Errorf("the order was captured %d times, want once", n)
	}
}

// Webhook and success page at the same moment: whoever is second finds it captured.
func TestCapturedOnceByManyAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c, err := w.source.CreateCheckout(t.Context(), request("az-900"))
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Approve(c.SessionID, ann); err != nil {
		t.Fatal(err)
	}
	results := make(chan provider.Reading, 8)
	for range cap(results) {
		go func() {
			r, err := w.source.Ask(t.Context(), c.SessionID)
			if err != nil {
				t.Errorf("Ask: %v", err)
			}
			results <- r
		}()
	}
	for range cap(results) {
		if r := <-results; len(r.Facts) != 1 || r.Facts[0].Kind != makegood.FactPaid {
			t.Errorf("Ask = %+v, want it paid", r)
		}
	}
	if o, _ := w.Order(c.SessionID); len(o.Captures) != 1 {
		t.Errorf("the order has %d captures, want 1", len(o.Captures))
	}
}

// The capture happens and its answer is lost: the next run finds it, and money moves once.
func TestCaptureWhoseAnswerIsLost(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c, err := w.source.CreateCheckout(t.Context(), request("az-900"))
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Approve(c.SessionID, ann); err != nil {
		t.Fatal(err)
	}
	w.SetFaults(simulate.PayPalFaults{Hold: true, FailAfter: func(r *http.Request) int {
		if r.Method == http.MethodPost {
			return simulate.Abort
		}
		return 0
	}})
	if _, err := w.source.Ask(t.Context(), c.SessionID); makegood.CodeOf(err) != makegood.ProviderFailed {
		t.Errorf("Ask without an answer = %v, want provider_failed", err)
	}
	w.SetFaults(simulate.PayPalFaults{Hold: true})
	if r, err := w.source.Ask(t.Context(), c.SessionID); err != nil || len(r.Facts) != 1 {
		t.Errorf("Ask again = %+v, %v; want it paid", r, err)
	}
	if o, _ := w.Order(c.SessionID); len(o.Captures) != 1 {
		t.Errorf("the order has %d captures, want 1", len(o.Captures))
	}
}

// Each order is captured under a key of its own, and one that somebody else has captured counts as captured.
func TestCapturedUnderItsOwnKey(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	first, _ := w.sold(t, "az-900")
	second, _ := w.sold(t, "az-900")
	if first == second {
		t.Errorf("two checkouts without a key are one order %s", first)
	}
	w.SetFaults(simulate.PayPalFaults{Hold: true, HideFor: time.Minute})
	third, _ := w.sold(t, "az-900") // captured, and not shown yet
	o := w.options
	o.Name = "other"
	if r, err := newSource(t, o).Ask(t.Context(), third); err != nil || len(r.Facts) != 0 || r.Note == "" {
		t.Errorf("Ask of an order that is captured and does not look so = %+v, %v; want a note", r, err)
	}
}

func TestInstrumentDeclinedThenAnother(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c, err := w.source.CreateCheckout(t.Context(), request("az-900"))
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Approve(c.SessionID, ann, simulate.InstrumentDeclined()); err != nil {
		t.Fatal(err)
	}
	if r, err := w.source.Ask(t.Context(), c.SessionID); err != nil || len(r.Facts) != 0 || r.Note == "" {
		t.Errorf("Ask of an order whose card is declined = %+v, %v; want a note", r, err)
	}
	if err := w.Approve(c.SessionID, ann); err != nil {
		t.Fatal(err)
	}
	if r, err := w.source.Ask(t.Context(), c.SessionID); err != nil || len(r.Facts) != 1 || r.Facts[0].Kind != makegood.FactPaid {
		t.Errorf("Ask after another approval = %+v, %v; want it paid", r, err)
	}
}

// The API shows a capture later than the event tells of it: an error worth a retry, and no fact; then the fact.
func TestNotVisibleYet(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.SetFaults(simulate.PayPalFaults{Hold: true, HideFor: time.Minute})
	c, err := w.source.CreateCheckout(t.Context(), request("az-900"))
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Approve(c.SessionID, ann); err != nil {
		t.Fatal(err)
	}
	if r, err := w.source.Ask(t.Context(), c.SessionID); err != nil || len(r.Facts) != 0 || r.Note == "" {
		t.Errorf("Ask right after the capture = %+v, %v; want a note", r, err)
	}
	for _, e := range w.Events() {
		r, err := w.source.Interpret(t.Context(), w.prove(t, e.Body))
		if makegood.CodeOf(err) != makegood.ProviderFailed || isPermanent(err) || len(r.Facts) != 0 {
			t.Errorf("Interpret of %s before the API shows it = %+v, %v; want an error worth a retry", e.Type, r, err)
		}
	}
	w.clock.Advance(time.Minute)
	if got := kindsOf(w.readAll(t)); len(got) != 3 || got[0] != makegood.FactPaid {
		t.Errorf("a minute later the events tell %v, want it paid", got)
	}
}

func TestApprovalReversed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c, err := w.source.CreateCheckout(t.Context(), request("az-900"))
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Approve(c.SessionID, ann); err != nil {
		t.Fatal(err)
	}
	w.clock.Advance(3 * time.Hour)
	got := w.readAll(t)
	if len(got) != 2 || got[0].Kind != makegood.FactExpired || got[1].Kind != makegood.FactExpired || got[1].ObjectID != c.SessionID {
		t.Errorf("three hours later the events tell %+v, want it expired", got)
	}
}

// Deliveries over the wire: duplicated, shuffled and repeated, they tell the same as the account.
func TestUndeliveredAndDelivered(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.SetFaults(simulate.PayPalFaults{Hold: true, Duplicate: 1})
	since := w.clock.Now()
	_, capture := w.sold(t, "az-900")
	if _, err := w.Refund(capture, 1000); err != nil {
		t.Fatal(err)
	}
	var missed []string
	for body, err := range w.source.Undelivered(t.Context(), since) {
		if err != nil {
			t.Fatalf("Undelivered: %v", err)
		}
		missed = append(missed, w.source.Identify(body).ProviderID)
	}
	var want []string
	for _, e := range w.Events() {
		want = append(want, e.ID)
	}
	if diff := cmp.Diff(want, missed); diff != "" {
		t.Errorf("Undelivered differs from the account's events (-want +got):\n%s", diff)
	}
	shop := newShop(t, w)
	if err := w.SetWebhookURL(w.webhook, shop.URL); err != nil {
		t.Fatal(err)
	}
	w.SetFaults(simulate.PayPalFaults{Reorder: true})
	if err := w.WaitDelivered(patience(t)); err != nil {
		t.Fatal(err)
	}
	if got := len(shop.received()); got != 2*len(want) {
		t.Errorf("the shop proved %d deliveries, want %d", got, 2*len(want))
	}
	for body, err := range w.source.Undelivered(t.Context(), since) {
		t.Errorf("Undelivered after all was delivered = %s, %v; want nothing", body, err)
	}
}
