package simulate

import (
	"fmt"
	"time"
)

// Customer is what a customer types into the hosted page. An empty Email is a customer without an address, which some
// ways of paying allow.
type Customer struct {
	Email, Name, Phone                             string
	Line1, Line2, City, State, PostalCode, Country string
}

// PayOption changes how a customer pays.
type PayOption func(*payment)

type payment struct {
	isDelayed, isDeclined bool
}

// Delayed pays with a method that takes days (SEPA debit): the session completes unpaid, and [Stripe.SettleDelayed]
// says later whether the money came.
func Delayed() PayOption { return func(p *payment) { p.isDelayed = true } }

// Declined is a customer whose card is declined: a failed charge and payment_intent.payment_failed; the session stays open.
func Declined() PayOption { return func(p *payment) { p.isDeclined = true } }

// intent is a PaymentIntent.
type intent struct {
	ID       string
	Status   string
	Amount   int64
	Currency string
	Created  time.Time
	Metadata map[string]string
	session  *Session
	charge   *charge // the latest
}

// charge is one attempt to take the money of an intent.
type charge struct {
	ID             string
	Status         string // succeeded, pending, failed
	Amount         int64
	AmountRefunded int64
	Currency       string
	Created        time.Time
	Customer       Customer
	method         string // card or sepa_debit
	methodID       string
	intent         *intent
	dispute        *dispute // the latest
}

// Pay lets a customer complete an open session: it makes the payment intent and the charge, and delivers
// charge.succeeded, payment_intent.succeeded and checkout.session.completed. A session with nothing to pay completes
// with no_payment_required and without an intent. The error is ErrUnknown or ErrState.
func (s *Stripe) Pay(sessionID string, c Customer, options ...PayOption) error {
	now := s.begin()
	defer s.mu.Unlock()
	session, ok := s.sessions.get(sessionID)
	if !ok {
		return fmt.Errorf("%w: session %s", ErrUnknown, sessionID)
	}
	if session.Status != "open" {
		return fmt.Errorf("%w: session %s is %s", ErrState, sessionID, session.Status)
	}
	var p payment
	for _, option := range options {
		option(&p)
	}
	s.emit(origin{}, s.pay(session, c, p, now)...)
	return nil
}

// pay changes the session and returns what changed, in order.
func (s *Stripe) pay(session *Session, c Customer, p payment, now time.Time) []change {
	if session.Mode == "subscription" && session.AmountTotal > 0 {
		return s.subscribe(session, c, p, now)
	}
	if session.AmountTotal == 0 {
		complete(session, c, "no_payment_required")
		return []change{{"checkout.session.completed", s.showSession(session, nil)}}
	}
	pi := s.intentOf(session, now)
	ch := s.addCharge(pi, c, p, now)
	switch {
	case p.isDeclined:
		pi.Status, ch.Status = "requires_payment_method", "failed"
		return []change{{"charge.failed", s.showCharge(ch)}, {"payment_intent.payment_failed", s.showIntent(pi, nil)}}
	case p.isDelayed:
		pi.Status, ch.Status = "processing", "pending"
		complete(session, c, "unpaid")
		return []change{
			{"charge.pending", s.showCharge(ch)},
			{"payment_intent.processing", s.showIntent(pi, nil)},
			{"checkout.session.completed", s.showSession(session, nil)},
		}
	default:
		complete(session, c, "paid")
		return append(s.succeed(pi), change{"checkout.session.completed", s.showSession(session, nil)})
	}
}

// complete closes a session. The address that the seller filled in stands if the customer gave none.
func complete(session *Session, c Customer, paymentStatus string) {
	setDefault(&c.Email, session.CustomerEmail)
	session.Status, session.URL, session.PaymentStatus, session.Customer = "complete", "", paymentStatus, &c
}

// succeed is the moment the money arrives.
func (s *Stripe) succeed(pi *intent) []change {
	pi.Status, pi.charge.Status = "succeeded", "succeeded"
	return []change{{"charge.succeeded", s.showCharge(pi.charge)}, {"payment_intent.succeeded", s.showIntent(pi, nil)}}
}

// intentOf returns the intent of a session, which an earlier declined attempt may already have made.
func (s *Stripe) intentOf(session *Session, now time.Time) *intent {
	if pi, ok := s.intents.get(session.intentID); ok {
		return pi
	}
	pi := s.newIntent(session, session.AmountTotal, now)
	session.intentID = pi.ID
	if session.Mode != "subscription" {
		session.PaymentIntent = pi.ID
	}
	return pi
}

func (s *Stripe) newIntent(session *Session, amount int64, now time.Time) *intent {
	pi := &intent{
		ID: s.id("pi_3", 23), Amount: amount, Currency: session.Currency, Created: now,
		Metadata: session.intentMetadata, session: session,
	}
	s.intents.add(pi.ID, pi)
	return pi
}

func (s *Stripe) addCharge(pi *intent, c Customer, p payment, now time.Time) *charge {
	ch := &charge{
		ID: s.id("ch_3", 23), Amount: pi.Amount, Currency: pi.Currency, Created: now, Customer: c, intent: pi,
		method: "card", methodID: s.id("pm_1", 23),
	}
	if p.isDelayed {
		ch.method, ch.ID = "sepa_debit", s.id("py_3", 23)
	}
	pi.charge = ch
	s.charges.add(ch.ID, ch)
	return ch
}

// SettleDelayed ends the waiting for a payment made with Delayed: the money came (checkout.session.async_payment_succeeded)
// or did not (…_failed). The error is ErrUnknown or ErrState.
func (s *Stripe) SettleDelayed(sessionID string, ok bool) error {
	s.begin()
	defer s.mu.Unlock()
	session, known := s.sessions.get(sessionID)
	if !known {
		return fmt.Errorf("%w: session %s", ErrUnknown, sessionID)
	}
	pi, known := s.intents.get(session.intentID)
	if !known || pi.Status != "processing" {
		return fmt.Errorf("%w: session %s awaits no payment", ErrState, sessionID)
	}
	if ok {
		session.PaymentStatus = "paid"
		changes := append(s.succeed(pi), change{"checkout.session.async_payment_succeeded", s.showSession(session, nil)})
		if i, isInvoiced := s.invoices.get(session.Invoice); isInvoiced {
			changes = append(changes, s.settleInvoice(i)...)
		}
		s.emit(origin{}, changes...)
		return nil
	}
	pi.Status, pi.charge.Status = "requires_payment_method", "failed"
	s.emit(origin{},
		change{"charge.failed", s.showCharge(pi.charge)},
		change{"payment_intent.payment_failed", s.showIntent(pi, nil)},
		change{"checkout.session.async_payment_failed", s.showSession(session, nil)})
	return nil
}

// chargeToRefund finds the successful charge of an intent.
func (s *Stripe) chargeToRefund(paymentIntent string) (*charge, *apiError) {
	pi, ok := s.intents.get(paymentIntent)
	if !ok {
		return nil, noSuch("payment_intent", paymentIntent, "payment_intent")
	}
	if pi.charge == nil || pi.charge.Status != "succeeded" {
		return nil, outcome("payment_intent_unexpected_state", "payment_intent",
			"This PaymentIntent ("+pi.ID+") does not have a successful charge to refund.")
	}
	return pi.charge, nil
}

func (s *Stripe) retrieveIntent(c *call) (any, *apiError) {
	expand := c.expansion("", "latest_charge", "customer", "payment_method", "invoice")
	c.form.accept("client_secret")
	if problem := c.form.check(); problem != nil {
		return nil, problem
	}
	pi, ok := s.intents.get(c.id())
	if !ok {
		return nil, noSuch("payment_intent", c.id(), "intent")
	}
	return s.showIntent(pi, expand), nil
}

func (s *Stripe) listIntents(c *call) (any, *apiError) {
	expand := c.expansion("data.", "latest_charge", "customer", "payment_method", "invoice")
	hasCustomer := c.form.text("customer") != "" // all our customers are guests
	return pageOf(c, &s.intents, func(pi *intent) time.Time { return pi.Created }, func(*intent) bool { return !hasCustomer },
		func(pi *intent) any { return s.showIntent(pi, expand) })
}

func (s *Stripe) retrieveCharge(c *call) (any, *apiError) {
	expand := c.expansion("", chargeExpansions...)
	if problem := c.form.check(); problem != nil {
		return nil, problem
	}
	ch, ok := s.charges.get(c.id())
	if !ok {
		return nil, noSuch("charge", c.id(), "id")
	}
	object := s.showCharge(ch)
	if expand["refunds"] {
		object.Refunds = s.showRefunds(ch)
	}
	return object, nil
}

func (s *Stripe) listCharges(c *call) (any, *apiError) {
	c.expansion("data.", chargeExpansions...)
	intentID, hasCustomer := c.form.text("payment_intent"), c.form.text("customer") != ""
	match := func(ch *charge) bool { return !hasCustomer && (intentID == "" || ch.intent.ID == intentID) }
	return pageOf(c, &s.charges, func(ch *charge) time.Time { return ch.Created }, match,
		func(ch *charge) any { return s.showCharge(ch) })
}
