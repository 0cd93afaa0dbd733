package stripe_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/provider/stripe"
	"github.com/makegood/makegood/internal/simulate"
)

// life is a sale at a simulated Stripe whose clock stands until it is moved.
type life struct {
	*testing.T
	*simulate.Stripe
	source  *stripe.Stripe
	clock   time.Time
	session string

	mu   sync.Mutex
	thin []string // the bodies that a thin destination got
}

func newLife(t *testing.T) *life {
	t.Helper()
	l := &life{T: t, clock: time.Date(2026, 8, 3, 12, 0, 0, 0, time.UTC)}
	l.Stripe = simulate.NewStripe(simulate.StripeOptions{APIKey: apiKey, Now: func() time.Time { return l.clock }})
	t.Cleanup(l.Stripe.Close)
	server := httptest.NewServer(l.Stripe)
	t.Cleanup(server.Close)
	destination := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		l.mu.Lock()
		defer l.mu.Unlock()
		l.thin = append(l.thin, string(b))
	}))
	t.Cleanup(destination.Close)
	l.AddThinDestination(destination.URL, oldSecret)
	l.AddPrice(simulate.Price{ID: "price_az900", Product: "AZ-900", Currency: "usd", UnitAmount: 2900, Interval: "month"})
	l.source = newStripe(t, server.URL, func(o *stripe.Options) { o.Now = time.Now })
	return l
}

func (l *life) must(err error) {
	l.Helper()
	if err != nil {
		l.Fatal(err)
	}
}

// wait moves the clock, once nobody looks at it.
func (l *life) wait(months, days int) {
	l.Helper()
	l.must(l.WaitIdle(l.Context()))
	l.clock = l.clock.AddDate(0, months, days)
}

func (l *life) sell(mode string) {
	l.Helper()
	l.session = l.CreateSession(simulate.SessionParams{Mode: mode, LineItems: []simulate.LineItemParams{{Price: "price_az900"}}}).ID
	pay(l.T, l.Stripe, l.session)
}

// payment is the payment intent of the sale; that of a subscription belongs to its first invoice.
func (l *life) payment() string {
	session, _ := l.Stripe.Session(l.session)
	if first, ok := l.Invoice(session.Invoice); ok {
		return first.PaymentIntent
	}
	return session.PaymentIntent
}

func (l *life) subscription() string {
	session, _ := l.Stripe.Session(l.session)
	return session.Subscription
}

func (l *life) refund(amount int64) string {
	l.Helper()
	id, err := l.Refund(l.payment(), amount)
	l.must(err)
	return id
}

func (l *life) refundPending(amount int64) string {
	l.Helper()
	id, err := l.RefundPending(l.payment(), amount)
	l.must(err)
	return id
}

func (l *life) dispute() string {
	l.Helper()
	id, err := l.Dispute(l.payment())
	l.must(err)
	return id
}

func (l *life) inquire() string {
	l.Helper()
	id, err := l.Inquire(l.payment())
	l.must(err)
	return id
}

func (l *life) renew() string {
	l.Helper()
	id, err := l.Renew(l.subscription())
	l.must(err)
	return id
}

// order is what comes of the facts of some events: those that name no session find it by their references, whatever the
// order in which they came, as the store does it.
func (l *life) order(bodies []string) makegood.Order {
	l.Helper()
	var waiting, found []makegood.Fact
	ways := map[string]bool{}
	for _, b := range bodies {
		r, err := interpret(l.Context(), l.source, b)
		if err != nil {
			l.Fatalf("Interpret of %s: %v", b, err)
		}
		waiting = append(waiting, r.Facts...)
	}
	for isNew := true; isNew; {
		isNew = false
		waiting = slices.DeleteFunc(waiting, func(f makegood.Fact) bool {
			if f.Key.SessionID != l.session && !slices.ContainsFunc(f.Ways(), func(way string) bool { return ways[way] }) {
				return false
			}
			for _, way := range f.Ways() {
				ways[way] = true
			}
			f.Key.SessionID, isNew = l.session, true
			found = append(found, f)
			return true
		})
	}
	if len(waiting) != 0 {
		l.Errorf("these facts find no order: %+v", waiting)
	}
	return settle(found...)
}

// TestALifeAfterTheSale plays what may become of a sale at the simulated Stripe, and reads it three times: all events, all
// events backwards, and the thin events of the same. The end is the same.
func TestALifeAfterTheSale(t *testing.T) {
	t.Parallel()
	at := func(year int, month time.Month, day int) time.Time {
		return time.Date(year, month, day, 12, 0, 0, 0, time.UTC)
	}
	const once, monthly = "payment", "subscription"
	for _, tt := range []struct {
		name, mode string
		live       func(*life)
		payment    makegood.PaymentState
		entitled   makegood.Entitlement
		until      time.Time // the latest end of a renewal
		ended      time.Time
	}{
		{"paid", once, func(*life) {}, makegood.PaymentPaid, makegood.EntitledFully, time.Time{}, time.Time{}},
		{"refunded", once, func(l *life) { l.refund(0) }, makegood.PaymentRefunded, makegood.EntitledNoMore, time.Time{}, time.Time{}},
		{"refunded in part", once, func(l *life) { l.refund(900) }, makegood.PaymentPartiallyRefunded, makegood.EntitledFully, time.Time{}, time.Time{}},
		{"refunded in three parts", once, func(l *life) { l.refund(900); l.refund(900); l.refund(1100) }, makegood.PaymentRefunded, makegood.EntitledNoMore, time.Time{}, time.Time{}},
		{"refunded, and it came back", once, func(l *life) { l.must(l.FailRefund(l.refund(0))) }, makegood.PaymentPaid, makegood.EntitledFully, time.Time{}, time.Time{}},
		{"refunded again after it came back", once, func(l *life) { l.must(l.FailRefund(l.refund(0))); l.refund(0) }, makegood.PaymentRefunded, makegood.EntitledNoMore, time.Time{}, time.Time{}},
		{"a refund on its way", once, func(l *life) { l.refundPending(0) }, makegood.PaymentPaid, makegood.EntitledFully, time.Time{}, time.Time{}},
		{"a refund on its way that arrived", once, func(l *life) { l.must(l.SettleRefund(l.refundPending(0), "succeeded")) }, makegood.PaymentRefunded, makegood.EntitledNoMore, time.Time{}, time.Time{}},
		{"a refund on its way that failed", once, func(l *life) { l.must(l.SettleRefund(l.refundPending(0), "failed")) }, makegood.PaymentPaid, makegood.EntitledFully, time.Time{}, time.Time{}},
		{"a refund that waited for the customer and was cancelled", once, func(l *life) {
			id := l.refundPending(0)
			l.must(l.SettleRefund(id, "requires_action"))
			l.must(l.SettleRefund(id, "canceled"))
		}, makegood.PaymentPaid, makegood.EntitledFully, time.Time{}, time.Time{}},
		{"an inquiry", once, func(l *life) { l.inquire() }, makegood.PaymentPaid, makegood.EntitledFully, time.Time{}, time.Time{}},
		{"an inquiry under review", once, func(l *life) { l.must(l.MoveDispute(l.inquire(), "warning_under_review")) }, makegood.PaymentPaid, makegood.EntitledFully, time.Time{}, time.Time{}},
		{"an inquiry that came to nothing", once, func(l *life) { l.must(l.CloseDispute(l.inquire(), true)) }, makegood.PaymentPaid, makegood.EntitledFully, time.Time{}, time.Time{}},
		{"an inquiry that became a dispute", once, func(l *life) { l.must(l.MoveDispute(l.inquire(), "needs_response")) }, makegood.PaymentDisputed, makegood.EntitledOnHold, time.Time{}, time.Time{}},
		{"an inquiry that became a dispute and was won", once, func(l *life) {
			id := l.inquire()
			l.must(l.MoveDispute(id, "needs_response"))
			l.must(l.MoveDispute(id, "under_review"))
			l.must(l.CloseDispute(id, true))
		}, makegood.PaymentPaid, makegood.EntitledFully, time.Time{}, time.Time{}},
		{"an inquiry that became a dispute and was lost", once, func(l *life) {
			id := l.inquire()
			l.must(l.MoveDispute(id, "under_review"))
			l.must(l.CloseDispute(id, false))
		}, makegood.PaymentDisputed, makegood.EntitledNoMore, time.Time{}, time.Time{}},
		{"an inquiry that was settled before", once, func(l *life) { l.must(l.MoveDispute(l.inquire(), "prevented")) }, makegood.PaymentPaid, makegood.EntitledFully, time.Time{}, time.Time{}},
		{"a dispute", once, func(l *life) { l.dispute() }, makegood.PaymentDisputed, makegood.EntitledOnHold, time.Time{}, time.Time{}},
		{"a dispute lost", once, func(l *life) { l.must(l.CloseDispute(l.dispute(), false)) }, makegood.PaymentDisputed, makegood.EntitledNoMore, time.Time{}, time.Time{}},
		{"a dispute won", once, func(l *life) { l.must(l.CloseDispute(l.dispute(), true)) }, makegood.PaymentPaid, makegood.EntitledFully, time.Time{}, time.Time{}},
		{"a subscription", monthly, func(*life) {}, makegood.PaymentPaid, makegood.EntitledFully, at(2026, 9, 3), time.Time{}},
		{"a subscription renewed twice", monthly, func(l *life) { l.renew(); l.renew() }, makegood.PaymentPaid, makegood.EntitledFully, at(2026, 11, 3), time.Time{}},
		{"a subscription whose renewal failed", monthly, func(l *life) { _, err := l.FailRenewal(l.subscription()); l.must(err) }, makegood.PaymentPaid, makegood.EntitledFully, at(2026, 9, 3), time.Time{}},
		{"a subscription whose renewal failed and was paid then", monthly, func(l *life) {
			id, err := l.FailRenewal(l.subscription())
			l.must(err)
			l.must(l.PayInvoice(id))
		}, makegood.PaymentPaid, makegood.EntitledFully, at(2026, 10, 3), time.Time{}},
		{"a subscription cancelled at once", monthly, func(l *life) {
			l.wait(0, 7)
			l.must(l.CancelSubscription(l.subscription(), false))
		}, makegood.PaymentPaid, makegood.EntitledFully, at(2026, 9, 3), at(2026, 8, 10)},
		{"a subscription to end with its period", monthly, func(l *life) { l.must(l.CancelSubscription(l.subscription(), true)) }, makegood.PaymentPaid, makegood.EntitledFully, at(2026, 9, 3), time.Time{}},
		{"a subscription that ended with its period", monthly, func(l *life) {
			l.must(l.CancelSubscription(l.subscription(), true))
			l.wait(1, 1)
			if id := l.renew(); id != "" {
				l.Errorf("a cancelled subscription was renewed: %s", id)
			}
		}, makegood.PaymentPaid, makegood.EntitledFully, at(2026, 9, 3), at(2026, 9, 3)},
		{"a subscription refunded", monthly, func(l *life) { l.refund(0) }, makegood.PaymentRefunded, makegood.EntitledNoMore, at(2026, 9, 3), time.Time{}},
		{"a subscription disputed", monthly, func(l *life) { l.dispute() }, makegood.PaymentDisputed, makegood.EntitledOnHold, at(2026, 9, 3), time.Time{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			l := newLife(t)
			l.sell(tt.mode)
			tt.live(l)
			l.must(l.WaitIdle(t.Context()))
			var all []string
			for _, e := range l.Events() {
				all = append(all, string(e.Body))
			}
			backwards := slices.Clone(all)
			slices.Reverse(backwards)
			for how, bodies := range map[string][]string{"newest first": all, "oldest first": backwards, "thin": l.thin} {
				o := l.order(bodies)
				var until, ended time.Time
				for _, f := range o.Facts {
					if f.Kind == makegood.FactRenewed && f.Until.After(until) {
						until = f.Until
					}
					if f.Kind == makegood.FactEnded {
						ended = f.Until
					}
				}
				if o.Payment != tt.payment || o.Entitlement != tt.entitled || !until.Equal(tt.until) || !ended.Equal(tt.ended) {
					t.Errorf("%s: the order is %s, %s, paid until %v, ended %v; want %s, %s, %v, %v",
						how, o.Payment, o.Entitlement, until, ended, tt.payment, tt.entitled, tt.until, tt.ended)
				}
				paid := slices.IndexFunc(o.Facts, func(f makegood.Fact) bool { return f.Kind == makegood.FactPaid })
				if paid < 0 || len(o.Facts[paid].Lines) != 1 || o.Facts[paid].Lines[0].Product != "az-900" {
					t.Errorf("%s: the order knows %+v, want the exam paid", how, o.Facts)
				}
			}
		})
	}
}

// TestOnlyChargeRefunded: an endpoint that is subscribed to nothing but charge.refunded knows the single refunds all the same.
func TestOnlyChargeRefunded(t *testing.T) {
	t.Parallel()
	l := newLife(t)
	l.sell("payment")
	l.refund(900)
	failed := l.refund(1000)
	l.refund(1000)
	l.must(l.FailRefund(failed))
	var some []string
	for _, e := range l.Events() {
		if e.Type == "checkout.session.completed" || e.Type == "charge.refunded" {
			some = append(some, string(e.Body))
		}
	}
	o := l.order(some)
	var amounts []int64
	for _, f := range o.Facts {
		if f.Kind == makegood.FactRefunded {
			amounts = append(amounts, f.Amount.Minor)
		}
	}
	slices.Sort(amounts)
	if !slices.Equal(amounts, []int64{900, 1000}) || o.Payment != makegood.PaymentPartiallyRefunded {
		t.Errorf("the order is %s with the refunds %v, want it refunded in part by 900 and 1000", o.Payment, amounts)
	}
}

// TestFindAtTheSimulatedStripe quotes everything that a customer or a bank may have in hand.
func TestFindAtTheSimulatedStripe(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"payment", "subscription"} {
		l := newLife(t)
		l.sell(mode)
		first := l.session
		l.sell(mode)
		session, _ := l.Stripe.Session(l.session)
		charge := ""
		for _, e := range l.Events() {
			if _, rest, ok := strings.Cut(string(e.Body), `"object":{"id":"ch_`); ok && charge == "" {
				id, _, _ := strings.Cut(rest, `"`)
				charge = "ch_" + id
			}
		}
		for quoted, want := range map[string][]string{
			l.session: {l.session}, l.payment(): {l.session}, charge: {l.session}, session.Subscription: {l.session}, session.Invoice: {l.session},
			"ann@example.com": {l.session, first}, "bob@example.com": nil, "pi_unknown": nil, "sub_unknown": nil, "ch_unknown": nil,
		} {
			if quoted == "" {
				continue // a payment has no subscription
			}
			if got, err := l.source.Find(t.Context(), quoted); err != nil || !slices.Equal(got, want) {
				t.Errorf("%s: Find(%q) = %q, %v; want %q", mode, quoted, got, err, want)
			}
		}
	}
}
