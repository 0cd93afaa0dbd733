package stripe

import (
	"context"
	"slices"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/provider"
)

const disputesPath = "/v1/disputes"

// interpretDispute reads the dispute of an event, and asks when it does not tell everything or contradicts itself.
func (s *Stripe) interpretDispute(ctx context.Context, event makegood.Event, told object) (provider.Reading, error) {
	if note := s.notOurObject(told); note != "" {
		return provider.Reading{Note: note}, nil
	}
	if !isWholeDispute(event.Type, told) {
		return s.askDispute(ctx, event, told.id())
	}
	return s.readDispute(event, told)
}

// askDispute reads what the API says of a dispute.
func (s *Stripe) askDispute(ctx context.Context, event makegood.Event, id string) (provider.Reading, error) {
	asked, err := s.fetch(ctx, disputesPath, id)
	if err != nil {
		return provider.Reading{}, unlessOdd(err)
	}
	if note := s.notOurObject(asked); note != "" {
		return provider.Reading{Note: note}, nil
	}
	return s.readDispute(event, asked)
}

// openStatuses are those in which somebody still has to decide.
var openStatuses = []string{"needs_response", "under_review", "warning_needs_response", "warning_under_review"}

// isWholeDispute reports whether a dispute tells its state, its amount and its way back. One that is said to be closed and
// stands as open contradicts itself.
func isWholeDispute(eventType string, o object) bool {
	_, hasAmount := o.money("amount")
	isOpen := slices.Contains(openStatuses, o.word("status"))
	return hasAmount && o.word("status") != "" && hasWay(o) && !(eventType == typeDisputeClosed && isOpen)
}

// readDispute makes the fact of a dispute.
func (s *Stripe) readDispute(event makegood.Event, o object) (provider.Reading, error) {
	v := disputeVerdict(o)
	amount, hasAmount := o.money("amount")
	switch {
	case v.note != "":
		return provider.Reading{Note: v.note}, nil
	case v.kind == "" || !hasAmount:
		return provider.Reading{}, makegood.Errorf(makegood.ProviderFailed, "Stripe does not tell the state and the amount of the dispute.")
	case !hasWay(o):
		return noted("The dispute %s names neither a payment nor a charge; a person must look what it is about.", o.id()), nil
	}
	f := s.fact(event, v.kind, o.id())
	f.Amount = amount
	f.PaymentID = o.ref("payment_intent", "charge.payment_intent")
	f.References = references(o.ref("charge"), o.ref("charge.invoice"))
	return oneFact(f), nil
}

// disputeVerdict reads the status (Stripe's OpenAPI, dispute, status; "How disputes work").
//
//   - An inquiry (warning_…) takes no money, so nothing rests while it is open. It ends as warning_closed, or becomes a
//     formal dispute with another status of the same object.
//   - prevented was settled before it became a dispute.
//   - charge_refunded is a dispute that ended with a refund (so Shopify's documentation of its DisputeStatus, where it is
//     deprecated). stripe-go v70 (2020) still lists it, the OpenAPI document of 2026 does not. It counts as won, so that nothing rests for ever: what went back
//     is told by the refund itself, and a full one revokes.
//   - A status that is not known yet is a note. It is no error, because no retry makes it known, and no fact, because to
//     suspend a customer by mistake is as bad as to forget to: a person must look. What is certain follows in the next
//     event of the dispute.
func disputeVerdict(o object) verdict {
	switch status := o.word("status"); status {
	case "needs_response", "under_review":
		return verdict{kind: makegood.FactDisputed}
	case "won", "warning_closed", "prevented", "charge_refunded":
		return verdict{kind: makegood.FactDisputeWon}
	case "lost":
		return verdict{kind: makegood.FactDisputeLost}
	case "warning_needs_response", "warning_under_review":
		return verdict{note: "The dispute " + o.id() + " is an inquiry (" + status + "): no money has moved, and it suspends nothing. It should be answered."}
	case "":
		return verdict{}
	default:
		return verdict{note: "The dispute " + o.id() + " has the status " + status + ", which this version does not know; a person must look."}
	}
}
