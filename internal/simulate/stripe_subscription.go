package simulate

import (
	"fmt"
	"time"
)

// Subscription is a copy of a subscription as it is.
type Subscription struct {
	// ID is sub_…, Session the one that made it, LatestInvoice is in_….
	ID, Session, LatestInvoice string
	// Status is active, past_due, incomplete or canceled.
	Status                 string
	PeriodStart, PeriodEnd time.Time
	CancelAtPeriodEnd      bool
	// CanceledAt is when somebody decided to cancel, EndedAt is when it was over; zero before.
	CanceledAt, EndedAt time.Time
}

// subscription is a Subscription as the account keeps it.
type subscription struct {
	Subscription
	created time.Time
	session *Session
	itemID  string
}

func (sub *subscription) isRunning() bool { return sub.Status == "active" || sub.Status == "past_due" }

// interval is what the price of the first line says; monthly if it says nothing.
func (sub *subscription) interval() string {
	for _, item := range sub.session.LineItems {
		if item.Price.Interval != "" {
			return item.Price.Interval
		}
	}
	return "month"
}

// after is one period later.
func (sub *subscription) after(t time.Time) time.Time {
	switch sub.interval() {
	case "day":
		return t.AddDate(0, 0, 1)
	case "week":
		return t.AddDate(0, 0, 7)
	case "year":
		return t.AddDate(1, 0, 0)
	default:
		return t.AddDate(0, 1, 0)
	}
}

// subscribe completes a session in subscription mode: it makes the subscription and its first invoice, whose payment it
// is. A declined customer leaves nothing but the attempt.
func (s *Stripe) subscribe(session *Session, c Customer, p payment, now time.Time) []change {
	pi := s.intentOf(session, now)
	ch := s.addCharge(pi, c, p, now)
	if p.isDeclined {
		pi.Status, ch.Status = "requires_payment_method", "failed"
		return []change{{"charge.failed", s.showCharge(ch)}, {"payment_intent.payment_failed", s.showIntent(pi, nil)}}
	}
	sub := &subscription{session: session, created: now, itemID: s.id("si_", 14)}
	sub.ID, sub.Session, sub.Status, sub.PeriodStart, sub.PeriodEnd = s.id("sub_1", 23), session.ID, "active", now, now
	s.subscriptions.add(sub.ID, sub)
	i := s.bill(sub, pi, "subscription_create", now)
	session.Subscription, session.Invoice = sub.ID, i.ID
	if p.isDelayed {
		pi.Status, ch.Status, sub.Status = "processing", "pending", "incomplete"
		complete(session, c, "unpaid")
		return []change{
			{"charge.pending", s.showCharge(ch)},
			{"payment_intent.processing", s.showIntent(pi, nil)},
			{"customer.subscription.created", s.showSubscription(sub)},
			{"checkout.session.completed", s.showSession(session, nil)},
		}
	}
	complete(session, c, "paid")
	created := change{"customer.subscription.created", s.showSubscription(sub)}
	changes := append(s.succeed(pi), created)
	changes = append(changes, s.settleInvoice(i)...)
	return append(changes, change{"checkout.session.completed", s.showSession(session, nil)})
}

// Renew lets the period of a subscription end. The next one is billed and paid, and the id of its invoice returned. A
// subscription that was to be cancelled at the end of its period ends instead, and the id is empty.
func (s *Stripe) Renew(subscriptionID string) (invoiceID string, err error) {
	now := s.begin()
	defer s.mu.Unlock()
	sub, err := s.runningSubscription(subscriptionID)
	if err != nil {
		return "", err
	}
	if sub.CancelAtPeriodEnd {
		s.endSubscription(sub, sub.PeriodEnd, origin{})
		return "", nil
	}
	pi := s.newIntent(sub.session, sub.session.AmountTotal, now)
	s.addCharge(pi, *sub.session.Customer, payment{}, now)
	i := s.bill(sub, pi, "subscription_cycle", now)
	s.emit(origin{}, append(s.succeed(pi), s.settleInvoice(i)...)...)
	return i.ID, nil
}

// FailRenewal lets the period of a subscription end, and the customer's card be declined: the invoice stays open, the
// subscription is past_due, and invoice.payment_failed is delivered. PayInvoice mends it.
func (s *Stripe) FailRenewal(subscriptionID string) (invoiceID string, err error) {
	now := s.begin()
	defer s.mu.Unlock()
	sub, err := s.runningSubscription(subscriptionID)
	if err != nil {
		return "", err
	}
	pi := s.newIntent(sub.session, sub.session.AmountTotal, now)
	ch := s.addCharge(pi, *sub.session.Customer, payment{isDeclined: true}, now)
	pi.Status, ch.Status = "requires_payment_method", "failed"
	i := s.bill(sub, pi, "subscription_cycle", now)
	sub.Status = "past_due"
	s.emit(origin{},
		change{"charge.failed", s.showCharge(ch)},
		change{"payment_intent.payment_failed", s.showIntent(pi, nil)},
		change{"invoice.payment_failed", s.showInvoice(i, nil)},
		change{"customer.subscription.updated", s.showSubscription(sub)})
	return i.ID, nil
}

// CancelSubscription ends a subscription at once, or, if atPeriodEnd, marks it to end when the next Renew would come.
func (s *Stripe) CancelSubscription(subscriptionID string, atPeriodEnd bool) error {
	now := s.begin()
	defer s.mu.Unlock()
	sub, err := s.runningSubscription(subscriptionID)
	if err != nil {
		return err
	}
	if !atPeriodEnd {
		s.endSubscription(sub, now, origin{})
		return nil
	}
	s.markCancelled(sub, true, now)
	s.emit(origin{}, change{"customer.subscription.updated", s.showSubscription(sub)})
	return nil
}

func (s *Stripe) markCancelled(sub *subscription, atPeriodEnd bool, now time.Time) {
	sub.CancelAtPeriodEnd, sub.CanceledAt = atPeriodEnd, time.Time{}
	if atPeriodEnd {
		sub.CanceledAt = now
	}
}

func (s *Stripe) endSubscription(sub *subscription, at time.Time, from origin) {
	sub.Status, sub.EndedAt = "canceled", at
	if sub.CanceledAt.IsZero() {
		sub.CanceledAt = at
	}
	s.emit(from, change{"customer.subscription.deleted", s.showSubscription(sub)})
}

func (s *Stripe) runningSubscription(id string) (*subscription, error) {
	sub, ok := s.subscriptions.get(id)
	if !ok {
		return nil, fmt.Errorf("%w: subscription %s", ErrUnknown, id)
	}
	if !sub.isRunning() {
		return nil, fmt.Errorf("%w: subscription %s is %s", ErrState, id, sub.Status)
	}
	return sub, nil
}

// Subscription returns a copy of a subscription as it is now.
func (s *Stripe) Subscription(id string) (Subscription, bool) {
	s.begin()
	defer s.mu.Unlock()
	sub, ok := s.subscriptions.get(id)
	if !ok {
		return Subscription{}, false
	}
	return sub.Subscription, true
}

func (s *Stripe) subscriptionOf(c *call) (*subscription, *apiError) {
	if problem := c.form.check(); problem != nil {
		return nil, problem
	}
	sub, ok := s.subscriptions.get(c.id())
	if !ok {
		return nil, noSuch("subscription", c.id(), "id")
	}
	return sub, nil
}

// subscriptionExpansions may be asked for and stay ids.
var subscriptionExpansions = []string{"customer", "latest_invoice", "default_payment_method"}

func (s *Stripe) retrieveSubscription(c *call) (any, *apiError) {
	c.expansion("", subscriptionExpansions...)
	sub, problem := s.subscriptionOf(c)
	if problem != nil {
		return nil, problem
	}
	return s.showSubscription(sub), nil
}

// updateSubscription changes whether the subscription ends with its period.
func (s *Stripe) updateSubscription(c *call) (any, *apiError) {
	c.expansion("", subscriptionExpansions...)
	atPeriodEnd := c.form.flag("cancel_at_period_end")
	sub, problem := s.subscriptionOf(c)
	if problem != nil {
		return nil, problem
	}
	if !sub.isRunning() {
		return nil, outcome("", "", "A canceled subscription can only update its cancellation_details and metadata.")
	}
	if atPeriodEnd != nil {
		s.markCancelled(sub, *atPeriodEnd, c.now)
		s.emit(c.origin(), change{"customer.subscription.updated", s.showSubscription(sub)})
	}
	return s.showSubscription(sub), nil
}

// cancelSubscription is DELETE /v1/subscriptions/{id}.
func (s *Stripe) cancelSubscription(c *call) (any, *apiError) {
	c.form.accept("invoice_now", "prorate", "cancellation_details")
	sub, problem := s.subscriptionOf(c)
	if problem != nil {
		return nil, problem
	}
	if sub.Status == "canceled" {
		return nil, noSuch("subscription", c.id(), "id")
	}
	s.endSubscription(sub, c.now, c.origin())
	return s.showSubscription(sub), nil
}

func (s *Stripe) listSubscriptions(c *call) (any, *apiError) {
	c.expansion("data.", subscriptionExpansions...)
	status, isStranger := c.form.text("status"), c.form.text("customer") != ""
	match := func(sub *subscription) bool {
		isShown := sub.Status == status || status == "all" || status == "" && sub.Status != "canceled"
		return isShown && !isStranger
	}
	return pageOf(c, &s.subscriptions, func(sub *subscription) time.Time { return sub.created }, match,
		func(sub *subscription) any { return s.showSubscription(sub) })
}

// showSubscription is Stripe's subscription since 2025-03-31.basil: periods are those of the items.
func (s *Stripe) showSubscription(sub *subscription) map[string]any {
	session := sub.session
	items := listObject{Object: "list", Data: []any{}, URL: "/v1/subscription_items?subscription=" + sub.ID}
	for n, item := range session.LineItems {
		items.Data = append(items.Data, map[string]any{
			"id": fmt.Sprintf("%s%d", sub.itemID, n), "object": "subscription_item", "created": sub.created.Unix(),
			"current_period_start": sub.PeriodStart.Unix(), "current_period_end": sub.PeriodEnd.Unix(), "metadata": map[string]string{},
			"price": s.showPrice(&item.Price, false), "quantity": item.Quantity, "subscription": sub.ID,
		})
	}
	return map[string]any{
		"id": sub.ID, "object": "subscription", "cancel_at": nil, "cancel_at_period_end": sub.CancelAtPeriodEnd,
		"canceled_at": orNever(sub.CanceledAt), "collection_method": "charge_automatically", "created": sub.created.Unix(),
		"currency": session.Currency, "customer": nil, "ended_at": orNever(sub.EndedAt), "items": items,
		"latest_invoice": sub.LatestInvoice, "livemode": s.livemode, "metadata": map[string]string{},
		"start_date": sub.created.Unix(), "status": sub.Status, "trial_end": nil, "trial_start": nil,
	}
}

// orNever is nil for a time that has not come.
func orNever(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.Unix()
}
