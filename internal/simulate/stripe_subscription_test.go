package simulate

import (
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stripe/stripe-go/v85"
	"github.com/stripe/stripe-go/v85/webhook"
)

// monthly are the parameters of a session that sells a subscription.
func monthly() SessionParams {
	return SessionParams{Mode: "subscription", LineItems: []LineItemParams{
		{PriceData: Price{Product: "All exams", Currency: "usd", UnitAmount: 1900, Interval: "month"}},
	}}
}

// mustSubscribe pays a new session in subscription mode and returns it as it is afterwards.
func mustSubscribe(t *testing.T, s *Stripe, options ...PayOption) Session {
	t.Helper()
	session := s.CreateSession(monthly())
	if err := s.Pay(session.ID, ann, options...); err != nil {
		t.Fatal(err)
	}
	done, _ := s.Session(session.ID)
	return done
}

// newEvents are the types of the events since an earlier look, in the order in which they happened.
func newEvents(s *Stripe, seen *int) []string {
	all := s.Events()
	var types []string
	for _, e := range slices.Backward(all[:len(all)-*seen]) {
		types = append(types, e.Type)
	}
	*seen = len(all)
	return types
}

// date shows a Unix time of the API.
func date(unix int64) string { return time.Unix(unix, 0).UTC().Format(time.DateOnly) }

func TestClientFollowsASubscription(t *testing.T) {
	t.Parallel()
	clk, seen := newClock(), 0
	a := newAccount(t, StripeOptions{Now: clk.Now})
	session := mustSubscribe(t, a.Stripe)
	if session.PaymentIntent != "" || session.Subscription == "" || session.Invoice == "" {
		t.Fatalf("session = %+v, want a subscription and an invoice, and no payment intent of its own", session)
	}
	want := []string{"charge.succeeded", "payment_intent.succeeded", "customer.subscription.created", "invoice.paid", "invoice.payment_succeeded",
		"invoice_payment.paid", "customer.subscription.updated", "checkout.session.completed"}
	if diff := cmp.Diff(newEvents(a.Stripe, &seen), want); diff != "" {
		t.Errorf("events of the sale (-got +want):\n%s", diff)
	}
	sub, err := a.Client.V1Subscriptions.Retrieve(t.Context(), session.Subscription, nil)
	if err != nil || sub.Status != "active" || sub.LatestInvoice.ID != session.Invoice || date(sub.Items.Data[0].CurrentPeriodEnd) != "2026-09-03" ||
		sub.Items.Data[0].Price.Recurring.Interval != "month" {
		t.Errorf("subscription = %+v, %v", sub, err)
	}

	clk.Advance(31 * 24 * time.Hour)
	second, err := a.Renew(session.Subscription)
	if err != nil {
		t.Fatal(err)
	}
	want = []string{"charge.succeeded", "payment_intent.succeeded", "invoice.paid", "invoice.payment_succeeded", "invoice_payment.paid", "customer.subscription.updated"}
	if diff := cmp.Diff(newEvents(a.Stripe, &seen), want); diff != "" {
		t.Errorf("events of a renewal (-got +want):\n%s", diff)
	}
	params := &stripe.InvoiceRetrieveParams{}
	params.AddExpand("payments")
	i, err := a.Client.V1Invoices.Retrieve(t.Context(), second, params)
	if err != nil || i.Status != "paid" || i.AmountPaid != 1900 || i.BillingReason != "subscription_cycle" ||
		i.Parent.SubscriptionDetails.Subscription.ID != session.Subscription || date(i.Lines.Data[0].Period.End) != "2026-10-03" {
		t.Fatalf("invoice = %+v, %v", i, err)
	}
	paidBy := i.Payments.Data[0].Payment.PaymentIntent.ID
	if known, _ := a.Invoice(second); known.PaymentIntent != paidBy || known.Status != "paid" {
		t.Errorf("the invoice is paid by %s, want %s", known.PaymentIntent, paidBy)
	}
	for payment, err := range a.Client.V1InvoicePayments.List(t.Context(), &stripe.InvoicePaymentListParams{
		Payment: &stripe.InvoicePaymentListPaymentParams{Type: stripe.String("payment_intent"), PaymentIntent: &paidBy}}).All(t.Context()) {
		if err != nil || payment.Invoice.ID != second || payment.AmountPaid != 1900 {
			t.Errorf("payment of %s = %+v, %v; want the invoice %s", paidBy, payment, err, second)
		}
		if again, err := a.Client.V1InvoicePayments.Retrieve(t.Context(), payment.ID, nil); err != nil || again.ID != payment.ID {
			t.Errorf("the payment again = %+v, %v", again, err)
		}
	}
	if bare, err := a.Client.V1Invoices.Retrieve(t.Context(), second, nil); err != nil || bare.Payments != nil {
		t.Errorf("an invoice that was not expanded has the payments %v, %v; want none", bare.Payments, err)
	}
	if _, err := a.Refund(paidBy, 900); err != nil {
		t.Errorf("refund of a renewal: %v", err)
	}
	n := 0
	for _, err := range a.Client.V1Invoices.List(t.Context(), &stripe.InvoiceListParams{Subscription: &session.Subscription}).All(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	if n != 2 {
		t.Errorf("invoices = %d, want 2", n)
	}
}

func TestClientCancelsASubscription(t *testing.T) {
	t.Parallel()
	clk := newClock()
	a := newAccount(t, StripeOptions{Now: clk.Now})
	now, later := mustSubscribe(t, a.Stripe), mustSubscribe(t, a.Stripe)
	clk.Advance(24 * time.Hour)
	seen := len(a.Events())
	gone, err := a.Client.V1Subscriptions.Cancel(t.Context(), now.Subscription, nil)
	if err != nil || gone.Status != "canceled" || date(gone.EndedAt) != "2026-08-04" {
		t.Errorf("cancelled at once = %+v, %v", gone, err)
	}
	marked, err := a.Client.V1Subscriptions.Update(t.Context(), later.Subscription, &stripe.SubscriptionUpdateParams{CancelAtPeriodEnd: stripe.Bool(true)})
	if err != nil || marked.Status != "active" || !marked.CancelAtPeriodEnd || date(marked.CanceledAt) != "2026-08-04" || marked.EndedAt != 0 {
		t.Errorf("to be cancelled = %+v, %v", marked, err)
	}
	if id, err := a.Renew(later.Subscription); err != nil || id != "" {
		t.Errorf("renewal of a subscription that ends = %q, %v; want no invoice", id, err)
	}
	if ended, ok := a.Subscription(later.Subscription); !ok || ended.Status != "canceled" || ended.EndedAt.Format(time.DateOnly) != "2026-09-03" {
		t.Errorf("after its period = %+v; want it ended with it", ended)
	}
	want := []string{"customer.subscription.deleted", "customer.subscription.updated", "customer.subscription.deleted"}
	if diff := cmp.Diff(newEvents(a.Stripe, &seen), want); diff != "" {
		t.Errorf("events (-got +want):\n%s", diff)
	}
	if _, err := a.Client.V1Subscriptions.Cancel(t.Context(), now.Subscription, nil); stripeError(t, err).HTTPStatusCode != 404 {
		t.Errorf("cancelling twice: %v", err)
	}
	for _, err := range []error{a.CancelSubscription(now.Subscription, true), second(a.Renew(now.Subscription)), second(a.FailRenewal(now.Subscription))} {
		if !errors.Is(err, ErrState) {
			t.Errorf("something done to a cancelled subscription = %v, want ErrState", err)
		}
	}
	if err := a.CancelSubscription("sub_none", false); !errors.Is(err, ErrUnknown) {
		t.Errorf("cancelling what is not there = %v, want ErrUnknown", err)
	}
	n := 0
	for _, err := range a.Client.V1Subscriptions.List(t.Context(), &stripe.SubscriptionListParams{Status: stripe.String("all")}).All(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	if n != 2 {
		t.Errorf("subscriptions = %d, want 2", n)
	}
}

func second(_ string, err error) error { return err }

func TestFailedRenewal(t *testing.T) {
	t.Parallel()
	a, seen := newAccount(t, StripeOptions{}), 0
	session := mustSubscribe(t, a.Stripe)
	newEvents(a.Stripe, &seen)
	id, err := a.FailRenewal(session.Subscription)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"charge.failed", "payment_intent.payment_failed", "invoice.payment_failed", "customer.subscription.updated"}
	if diff := cmp.Diff(newEvents(a.Stripe, &seen), want); diff != "" {
		t.Errorf("events of a failed renewal (-got +want):\n%s", diff)
	}
	if sub, _ := a.Subscription(session.Subscription); sub.Status != "past_due" {
		t.Errorf("the subscription is %s, want past_due", sub.Status)
	}
	if err := a.PayInvoice(id); err != nil {
		t.Fatal(err)
	}
	if sub, _ := a.Subscription(session.Subscription); sub.Status != "active" {
		t.Errorf("the subscription is %s, want it active again", sub.Status)
	}
	if err := a.PayInvoice(id); !errors.Is(err, ErrState) {
		t.Errorf("paying twice = %v, want ErrState", err)
	}
	if err := a.PayInvoice("in_none"); !errors.Is(err, ErrUnknown) {
		t.Errorf("paying what is not there = %v, want ErrUnknown", err)
	}
}

func TestSubscriptionWithAnotherStart(t *testing.T) {
	t.Parallel()
	a := newAccount(t, StripeOptions{})
	declined := a.CreateSession(monthly())
	if err := a.Pay(declined.ID, ann, Declined()); err != nil {
		t.Fatal(err)
	}
	if session, _ := a.Session(declined.ID); session.Status != "open" || session.Subscription != "" {
		t.Errorf("a declined session is %s with %q, want it open without a subscription", session.Status, session.Subscription)
	}
	if err := a.Pay(declined.ID, ann); err != nil {
		t.Errorf("another try: %v", err)
	}
	delayed := mustSubscribe(t, a.Stripe, Delayed())
	if sub, _ := a.Subscription(delayed.Subscription); delayed.PaymentStatus != "unpaid" || sub.Status != "incomplete" {
		t.Errorf("before the money came: session %s, subscription %s", delayed.PaymentStatus, sub.Status)
	}
	if err := a.SettleDelayed(delayed.ID, true); err != nil {
		t.Fatal(err)
	}
	if i, _ := a.Invoice(delayed.Invoice); i.Status != "paid" {
		t.Errorf("after the money came the invoice is %s, want paid", i.Status)
	}
	free := monthly()
	free.LineItems[0].PriceData.UnitAmount = 0
	trial := a.CreateSession(free)
	if err := a.Pay(trial.ID, ann); err != nil {
		t.Fatal(err)
	}
	if session, _ := a.Session(trial.ID); session.PaymentStatus != "no_payment_required" {
		t.Errorf("a trial is %s, want no_payment_required", session.PaymentStatus)
	}
}

func TestIntervals(t *testing.T) {
	t.Parallel()
	for interval, want := range map[string]string{"day": "2026-08-04", "week": "2026-08-10", "month": "2026-09-03", "year": "2027-08-03", "": "2026-09-03"} {
		a := newAccount(t, StripeOptions{Now: newClock().Now})
		p := monthly()
		p.LineItems[0].PriceData.Interval = interval
		session := a.CreateSession(p)
		if err := a.Pay(session.ID, ann); err != nil {
			t.Fatal(err)
		}
		paid, _ := a.Session(session.ID)
		if sub, _ := a.Subscription(paid.Subscription); sub.PeriodEnd.Format(time.DateOnly) != want {
			t.Errorf("the first period of a %q ends %v, want %s", interval, sub.PeriodEnd, want)
		}
	}
}

func TestClientListsSessionsByWhatACustomerQuotes(t *testing.T) {
	t.Parallel()
	a := newAccount(t, StripeOptions{})
	mustSubscribe(t, a.Stripe)
	want := mustSubscribe(t, a.Stripe)
	other := a.CreateSession(monthly())
	if err := a.Pay(other.ID, Customer{Email: "bob@example.com"}); err != nil {
		t.Fatal(err)
	}
	list := func(p *stripe.CheckoutSessionListParams) (ids []string) {
		for session, err := range a.Client.V1CheckoutSessions.List(t.Context(), p).All(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			ids = append(ids, session.ID)
		}
		return ids
	}
	if got := list(&stripe.CheckoutSessionListParams{Subscription: &want.Subscription}); !slices.Equal(got, []string{want.ID}) {
		t.Errorf("sessions of %s = %q, want %s", want.Subscription, got, want.ID)
	}
	byEmail := &stripe.CheckoutSessionListParams{CustomerDetails: &stripe.CheckoutSessionListCustomerDetailsParams{Email: stripe.String("bob@example.com")}}
	if got := list(byEmail); !slices.Equal(got, []string{other.ID}) {
		t.Errorf("sessions of bob = %q, want %s", got, other.ID)
	}
	invoice, _ := a.Invoice(want.Invoice)
	if got := list(&stripe.CheckoutSessionListParams{PaymentIntent: &invoice.PaymentIntent}); len(got) != 0 {
		t.Errorf("sessions of the payment of an invoice = %q, want none, as at Stripe", got)
	}
}

func TestClientReadsRefundsOfACharge(t *testing.T) {
	t.Parallel()
	a, seen := newAccount(t, StripeOptions{}), 0
	paid := mustPay(t, a.Stripe)
	id, err := a.RefundPending(paid.PaymentIntent, 900)
	if err != nil {
		t.Fatal(err)
	}
	newEvents(a.Stripe, &seen)
	re, err := a.Client.V1Refunds.Retrieve(t.Context(), id, nil)
	if err != nil || re.Status != "pending" {
		t.Fatalf("refund = %+v, %v; want it pending", re, err)
	}
	params := &stripe.ChargeRetrieveParams{}
	params.AddExpand("refunds")
	ch, err := a.Client.V1Charges.Retrieve(t.Context(), re.Charge.ID, params)
	if err != nil || ch.AmountRefunded != 900 || len(ch.Refunds.Data) != 1 || ch.Refunds.Data[0].ID != id {
		t.Errorf("charge = %+v, %v; want the refund in it", ch, err)
	}
	if bare, err := a.Client.V1Charges.Retrieve(t.Context(), re.Charge.ID, nil); err != nil || bare.Refunds != nil {
		t.Errorf("a charge that was not expanded has the refunds %v, %v; want none", bare.Refunds, err)
	}
	for _, status := range []string{"requires_action", "canceled"} {
		if err := a.SettleRefund(id, status); err != nil {
			t.Fatal(err)
		}
	}
	want := []string{"refund.updated", "charge.refund.updated", "refund.updated", "charge.refund.updated"}
	if diff := cmp.Diff(newEvents(a.Stripe, &seen), want); diff != "" {
		t.Errorf("events (-got +want):\n%s", diff)
	}
	if again, err := a.Client.V1Charges.Retrieve(t.Context(), re.Charge.ID, nil); err != nil || again.AmountRefunded != 0 {
		t.Errorf("after the refund was cancelled the charge is refunded by %d, %v; want 0", again.AmountRefunded, err)
	}
	if err := a.SettleRefund(id, "succeeded"); !errors.Is(err, ErrState) {
		t.Errorf("settling what is over = %v, want ErrState", err)
	}
	if err := a.SettleRefund("re_none", "succeeded"); !errors.Is(err, ErrUnknown) {
		t.Errorf("settling what is not there = %v, want ErrUnknown", err)
	}
}

func TestClientFollowsADispute(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		path  []string
		final []string // the events of the last step
	}{
		{"an inquiry becomes formal", []string{"warning_under_review", "needs_response"}, []string{"charge.dispute.funds_withdrawn", "charge.dispute.updated"}},
		{"formal and won", []string{"needs_response", "under_review", "won"}, []string{"charge.dispute.funds_reinstated", "charge.dispute.closed"}},
		{"formal and lost", []string{"needs_response", "lost"}, []string{"charge.dispute.closed"}},
		{"prevented", []string{"prevented"}, []string{"charge.dispute.closed"}},
		{"came to nothing", []string{"warning_closed"}, []string{"charge.dispute.closed"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			a, seen := newAccount(t, StripeOptions{}), 0
			id, err := a.Inquire(mustPay(t, a.Stripe).PaymentIntent)
			if err != nil {
				t.Fatal(err)
			}
			for _, status := range tt.path {
				newEvents(a.Stripe, &seen)
				if err := a.MoveDispute(id, status); err != nil {
					t.Fatal(err)
				}
			}
			if diff := cmp.Diff(newEvents(a.Stripe, &seen), tt.final); diff != "" {
				t.Errorf("events (-got +want):\n%s", diff)
			}
			last := tt.path[len(tt.path)-1]
			if d, err := a.Client.V1Disputes.Retrieve(t.Context(), id, nil); err != nil || string(d.Status) != last {
				t.Errorf("dispute = %+v, %v; want it %s", d, err, last)
			}
			if err := a.MoveDispute(id, "unheard_of"); !errors.Is(err, ErrState) {
				t.Errorf("a status that is none of Stripe's = %v, want ErrState", err)
			}
		})
	}
}

func TestThinDestination(t *testing.T) {
	t.Parallel()
	a := newAccount(t, StripeOptions{})
	var got []received
	thin := newShop(t, nil)
	whole := newShop(t, nil)
	a.AddThinDestination(thin.URL, testSecret)
	a.AddWebhookEndpoint(whole.URL, testSecret)
	paid := mustPay(t, a.Stripe)
	a.Emit("account.updated", []byte(`{"object":"account"}`))
	waitIdle(t, a.Stripe)
	got = thin.received()
	if len(got) != 4 || len(whole.received()) != 4 {
		t.Fatalf("deliveries = %d thin, %d whole; want 4 of each", len(got), len(whole.received()))
	}
	for _, r := range got {
		var e struct {
			ID, Object, Type string
			Created          time.Time
			Data             json.RawMessage
			Related          *struct{ ID, Type, URL string } `json:"related_object"`
		}
		if err := json.Unmarshal(r.Body, &e); err != nil {
			t.Fatal(err)
		}
		if e.Object != "v2.core.event" || !strings.HasPrefix(e.Type, "v1.") || e.Data != nil || e.Created.IsZero() {
			t.Errorf("thin event = %s", r.Body)
		}
		if known, ok := a.Event(e.ID); !ok || "v1."+known.Type != e.Type {
			t.Errorf("thin event %s is of no event", e.ID)
		}
		if err := webhook.ValidatePayload(r.Body, r.Signature, testSecret); err != nil {
			t.Errorf("thin event is not signed: %v", err)
		}
		switch e.Type {
		case "v1.checkout.session.completed":
			if e.Related.ID != paid.ID || e.Related.Type != "checkout.session" || e.Related.URL != "/v1/checkout/sessions/"+paid.ID {
				t.Errorf("related object = %+v", e.Related)
			}
			if answer := do(t, http.DefaultClient, "GET", a.URL+e.Related.URL, testKey, ""); answer.Status != 200 {
				t.Errorf("the related object is not at %s: %d", e.Related.URL, answer.Status)
			}
		case "v1.account.updated":
			if e.Related != nil {
				t.Errorf("related object of an object without an id = %+v, want none", e.Related)
			}
		}
	}
}

// TestPendingWebhooks: the number falls as endpoints take the event.
func TestPendingWebhooks(t *testing.T) {
	t.Parallel()
	a := newAccount(t, StripeOptions{})
	isAway := true
	good, bad := newShop(t, nil), newShop(t, func(int, received) int {
		if isAway {
			return 500
		}
		return 200
	})
	a.AddWebhookEndpoint(good.URL, testSecret)
	a.AddWebhookEndpoint(bad.URL, testSecret)
	id := a.Emit("customer.created", []byte(`{"id":"cus_1","object":"customer"}`))
	waitIdle(t, a.Stripe)
	pending := func() int64 {
		e, err := a.Client.V1Events.Retrieve(t.Context(), id, nil)
		if err != nil {
			t.Fatal(err)
		}
		return e.PendingWebhooks
	}
	if n := pending(); n != 1 {
		t.Errorf("pending_webhooks = %d while one endpoint is away, want 1", n)
	}
	isAway = false
	a.RetryNow()
	waitDelivered(t, a.Stripe)
	if n := pending(); n != 0 {
		t.Errorf("pending_webhooks = %d in the end, want 0", n)
	}
}
