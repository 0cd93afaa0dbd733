package stripe

import (
	"context"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/provider"
	"github.com/makegood/makegood/internal/provider/extract"
)

// thinPrefix is what the types of thin events about objects of API v1 begin with (Stripe, "Thin events").
const thinPrefix = "v1."

// interpretThin fetches the object of a thin event. Thin events carry no state, so the state of the object decides, read
// as if the API had been asked about it.
func (s *Stripe) interpretThin(ctx context.Context, event makegood.Event, top envelope) (provider.Reading, error) {
	id := extract.Identifier(top.related.Get("id"))
	if id == "" {
		return provider.Reading{Note: unhandledNote(event.Type)}, nil
	}
	switch extract.Identifier(top.related.Get("type")) {
	case "checkout.session":
		t, err := s.retrieve(ctx, id)
		if err != nil {
			return provider.Reading{}, unlessOdd(err)
		}
		return s.sessionReading(event, t), nil
	case "payment_intent":
		return s.interpretIntent(ctx, event, object{json: top.related})
	case "refund":
		return s.askRefund(ctx, event, id)
	case "charge":
		return s.askCharge(ctx, event, id)
	case "dispute":
		return s.askDispute(ctx, event, id)
	case "invoice":
		return s.askInvoice(ctx, event, id)
	case "invoice_payment":
		payment, err := s.fetch(ctx, invoicePaymentsPath, id)
		if err != nil {
			return provider.Reading{}, unlessOdd(err)
		}
		return s.interpretInvoicePayment(ctx, event, payment)
	case "subscription":
		return s.askSubscription(ctx, event, id)
	}
	return provider.Reading{Note: unhandledNote(event.Type)}, nil
}
