package stripe

import (
	"context"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/provider"
)

const refundsPath = "/v1/refunds"

// interpretRefund reads the refund of an event, and asks when it does not tell everything or contradicts itself.
func (s *Stripe) interpretRefund(ctx context.Context, event makegood.Event, told object) (provider.Reading, error) {
	if note := s.notOurObject(told); note != "" {
		return provider.Reading{Note: note}, nil
	}
	if !isWholeRefund(told) {
		return s.askRefund(ctx, event, told.id())
	}
	return s.readRefund(event, told)
}

// askRefund reads what the API says of a refund.
func (s *Stripe) askRefund(ctx context.Context, event makegood.Event, id string) (provider.Reading, error) {
	asked, err := s.fetch(ctx, refundsPath, id)
	if err != nil {
		return provider.Reading{}, unlessOdd(err)
	}
	if note := s.notOurObject(asked); note != "" {
		return provider.Reading{Note: note}, nil
	}
	return s.readRefund(event, asked)
}

// isWholeRefund reports whether a refund tells its state, its amount and its way back, and does not contradict itself: one
// that succeeded has no reason to have failed.
func isWholeRefund(o object) bool {
	_, hasAmount := o.money("amount")
	hasFailed := o.word("failure_reason") != "" || o.ref("failure_balance_transaction") != ""
	return hasAmount && o.word("status") != "" && hasWay(o) && !(o.word("status") == "succeeded" && hasFailed)
}

// hasWay reports whether a refund or a dispute names its payment or its charge.
func hasWay(o object) bool { return o.ref("payment_intent", "charge") != "" }

// readRefund makes the fact of a refund.
func (s *Stripe) readRefund(event makegood.Event, o object) (provider.Reading, error) {
	v := refundVerdict(o)
	_, hasAmount := o.money("amount")
	switch {
	case v.note != "":
		return provider.Reading{Note: v.note}, nil
	case v.kind == "" || !hasAmount:
		return provider.Reading{}, makegood.Errorf(makegood.ProviderFailed, "Stripe does not tell the state and the amount of the refund.")
	case !hasWay(o):
		return noted("The refund %s names neither a payment nor a charge; a person must look what it gives back.", o.id()), nil
	}
	return oneFact(s.refundFact(event, v.kind, o, object{})), nil
}

// refundVerdict reads the status (Stripe's OpenAPI, refund, status). A status that is not known yet is a note and not an
// error: nothing is certain, no retry can make it so, and a refund that succeeds or fails is told again.
func refundVerdict(o object) verdict {
	switch status := o.word("status"); status {
	case "succeeded":
		return verdict{kind: makegood.FactRefunded}
	case "failed", "canceled":
		return verdict{kind: makegood.FactRefundFailed}
	case "pending", "requires_action":
		return verdict{note: "The refund " + o.id() + " is on its way (" + status + "); it counts once it has succeeded."}
	case "":
		return verdict{}
	default:
		return verdict{note: "The refund " + o.id() + " has the status " + status + ", which this version does not know; a person must look."}
	}
}

// refundFact names every way back that the refund and its charge know. The charge is empty when it was not told. Charges
// had their invoice until 2025-03-31.basil (Stripe, changelog of Basil), and no payment intent before there were any.
func (s *Stripe) refundFact(event makegood.Event, kind makegood.FactKind, o, charge object) makegood.Fact {
	f := s.fact(event, kind, o.id())
	f.Amount, _ = o.money("amount")
	f.PaymentID = o.ref("payment_intent", "charge.payment_intent")
	if f.PaymentID == "" {
		f.PaymentID = charge.ref("payment_intent")
	}
	f.References = references(o.ref("charge"), charge.id(), o.ref("invoice", "charge.invoice"), charge.ref("invoice"))
	return f
}
