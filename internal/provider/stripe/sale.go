package stripe

import (
	"context"
	"fmt"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/provider"
)

// The types of event that tell of a session.
const (
	typeCompleted      = "checkout.session.completed"
	typeAsyncSucceeded = "checkout.session.async_payment_succeeded"
	typeAsyncFailed    = "checkout.session.async_payment_failed"
	typeExpired        = "checkout.session.expired"
)

// What a session says of its payment (Stripe's OpenAPI, checkout.session, payment_status).
const (
	statusPaid      = "paid"
	statusUnpaid    = "unpaid"
	statusNoPayment = "no_payment_required"
)

// The other words of a session that decide something (the same schema, mode and status).
const (
	modePayment    = "payment"
	modeSetup      = "setup"
	statusComplete = "complete"
)

const noteSetup = "The session saved a payment method and sold nothing."

// interpretSession reads the body and, if that is not enough, the API.
func (s *Stripe) interpretSession(ctx context.Context, event makegood.Event, told session) (provider.Reading, error) {
	if told.id() == "" {
		return provider.Reading{Note: "The event names no session; it is kept and shown."}, nil
	}
	if note := s.notOurSession(told); note != "" {
		return provider.Reading{Note: note}, nil
	}
	v := verdictOf(event.Type, told)
	if v.note != "" || s.isEnough(event.Type, told, v.kind) {
		return s.reading(event, told, v), nil
	}
	asked, err := s.retrieve(ctx, told.id())
	if err != nil {
		return provider.Reading{}, unlessOdd(err)
	}
	if note := s.notOurSession(asked); note != "" {
		return provider.Reading{Note: note}, nil
	}
	answer := verdictOf(event.Type, asked)
	saysPaid := v.kind == makegood.FactPaid && !isBadNews(event.Type)
	if saysPaid && answer.kind != makegood.FactPaid || answer == (verdict{}) {
		return provider.Reading{}, disagree(event.Type, "whether the session was paid")
	}
	return s.reading(event, asked, answer), nil
}

// isEnough reports whether the body can be read without asking. Only a payment needs everything: whatever else happened
// releases nothing. A payment that is reported as failed or expired and stands as paid contradicts itself.
func (s *Stripe) isEnough(eventType string, told session, kind makegood.FactKind) bool {
	if kind != makegood.FactPaid {
		return kind != ""
	}
	_, hasAmount := told.amount()
	_, hasLines := s.linesOf(told)
	return hasAmount && hasLines && !isBadNews(eventType)
}

func isBadNews(eventType string) bool {
	return eventType == typeAsyncFailed || eventType == typeExpired
}

func (s *Stripe) notOurSession(t session) string {
	if !t.isOf(s.live) {
		return fmt.Sprintf("The session is not in %s mode, and the source %q is.", modeName(s.live), s.name)
	}
	return ""
}

// verdict is what a session comes to: a fact, or a note why there is none, or neither when it cannot be told.
type verdict struct {
	kind makegood.FactKind
	note string
}

// verdictOf reads a session in the light of the event that brought it. Paid is paid whatever the event is called: money
// that came in must not be lost.
func verdictOf(eventType string, t session) verdict {
	switch {
	case t.mode() == modeSetup:
		return verdict{note: noteSetup}
	case t.paymentStatus() == statusPaid:
		return verdict{kind: makegood.FactPaid}
	case eventType == typeAsyncFailed:
		return verdict{kind: makegood.FactFailed}
	case eventType == typeExpired:
		return verdict{kind: makegood.FactExpired}
	case t.paymentStatus() == statusNoPayment:
		return freeVerdict(t)
	case t.paymentStatus() == statusUnpaid && eventType == typeCompleted:
		return verdict{kind: makegood.FactAwaiting}
	}
	return verdict{}
}

// stateOf reads a session for which there is no event: what it is now.
func stateOf(t session) verdict {
	switch {
	case t.mode() == modeSetup:
		return verdict{note: noteSetup}
	case t.paymentStatus() == statusPaid:
		return verdict{kind: makegood.FactPaid}
	case t.status() == "expired":
		return verdict{kind: makegood.FactExpired}
	case t.status() == "open":
		return verdict{note: "The checkout is open; nothing is paid yet."}
	case t.paymentStatus() == statusUnpaid && t.status() == statusComplete:
		return verdict{kind: makegood.FactAwaiting}
	case t.paymentStatus() == statusNoPayment && freeVerdict(t) != verdict{}:
		return freeVerdict(t)
	}
	return verdict{note: "The session does not tell whether it was paid."}
}

// freeVerdict reads a session that says that no payment is required. Only a payment session with a total of zero is sold
// by that; a trial and a payment at a future date are not.
func freeVerdict(t session) verdict {
	total, isKnown := t.amount()
	switch {
	case t.mode() == "" || !isKnown || t.status() != "" && t.status() != statusComplete:
		return verdict{}
	case t.mode() != modePayment:
		return verdict{note: "No payment is required yet: it is a trial or is paid later."}
	case total.Minor != 0:
		return verdict{note: fmt.Sprintf("The session says that no payment is required, and that %s are to be paid; a person must look.", total)}
	}
	return verdict{kind: makegood.FactPaid}
}

// reading makes the fact of a verdict. Lines that are not all known belong to a payment only, which settling then refuses
// to release; anything else is told without them.
func (s *Stripe) reading(event makegood.Event, t session, v verdict) provider.Reading {
	if v.kind == "" {
		return provider.Reading{Note: v.note}
	}
	amount, _ := t.amount()
	lines, isKnown := s.linesOf(t)
	if !isKnown && v.kind != makegood.FactPaid {
		lines = nil
	}
	return provider.Reading{Facts: []makegood.Fact{{
		Key:        makegood.OrderKey{Source: s.name, Account: s.account, Live: s.live, SessionID: t.id()},
		Kind:       v.kind,
		ObjectID:   t.id(),
		PaymentID:  t.paymentID(),
		References: t.references(),
		Amount:     amount,
		Customer:   t.customer(),
		Lines:      lines,
		Synthetic:  t.metadata(provider.SyntheticMark) == isSynthetic,
		OccurredAt: event.CreatedAt,
		EventID:    event.ID,
	}}}
}
