package paypal

import (
	"context"
	"errors"
	"strings"

	"github.com/tidwall/gjson"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/provider"
	"github.com/makegood/makegood/internal/provider/extract"
)

// interpretRefund reads a refund back. The resource of PAYMENT.CAPTURE.REFUNDED and REVERSED is the refund, not the capture;
// each refund of a payment is a fact of its own, whose amount is its own and not the total.
func (s *PayPal) interpretRefund(ctx context.Context, event makegood.Event, id string) (provider.Reading, error) {
	refund, err := s.retrieve(ctx, refundsPath, id, "id")
	if err != nil {
		return provider.Reading{}, unlessOdd(err)
	}
	captureID := linked(refund, capturesPath)
	if captureID == "" {
		return provider.Reading{}, makegood.Errorf(makegood.ProviderFailed, "PayPal does not say of which payment it is the refund.")
	}
	orderID, note, err := s.orderOfPayment(ctx, captureID)
	if note != "" || err != nil {
		return provider.Reading{Note: note}, err
	}
	fact, note := s.refundFact(event, refund, orderID)
	if note != "" {
		return provider.Reading{Note: note}, nil
	}
	saysFailed := strings.HasSuffix(event.Type, ".FAILED") || strings.HasSuffix(event.Type, ".CANCELLED")
	if saysFailed && fact.Kind == makegood.FactRefunded {
		return provider.Reading{}, notYet("PayPal's event says that the refund came back, and PayPal's API does not say so yet.")
	}
	return provider.Reading{Facts: []makegood.Fact{fact}}, nil
}

// orderOfPayment returns the order of a capture, "" when the API does not know it: then the fact finds its way back by the
// payment. The note says why the payment is not ours.
func (s *PayPal) orderOfPayment(ctx context.Context, captureID string) (orderID, note string, err error) {
	capture, err := s.retrieve(ctx, capturesPath, captureID, "id")
	if errors.Is(err, makegood.NotFound) {
		return "", "", nil
	}
	if err != nil {
		return "", "", err
	}
	// A capture that does not name its payee is still one that our credentials may see.
	if merchant := (payment{capture: capture}).merchant(); merchant != "" {
		if note, err = s.notOurMerchant(merchant); note != "" || err != nil {
			return "", note, err
		}
	}
	return orderOf(capture), "", nil
}

// refundFact makes the fact of a refund that the API tells (payments_payment_v2.json, refund_status), or a note.
func (s *PayPal) refundFact(event makegood.Event, refund gjson.Result, orderID string) (makegood.Fact, string) {
	captureID, id := linked(refund, capturesPath), extract.Identifier(refund.Get("id"))
	amount, ok := money(refund.Get("amount"))
	if !askable.MatchString(id) || captureID == "" || !ok {
		return makegood.Fact{}, "The refund does not say of what it is or how much; a person must look."
	}
	f := makegood.Fact{Key: s.key(orderID), ObjectID: id, PaymentID: captureID, Amount: amount,
		OccurredAt: extract.Moment(refund.Get("create_time")), EventID: event.ID}
	switch status := extract.Identifier(refund.Get("status")); status {
	case "COMPLETED":
		f.Kind = makegood.FactRefunded
	case "FAILED", "CANCELLED":
		f.Kind = makegood.FactRefundFailed
	case "PENDING":
		return makegood.Fact{}, "The refund is on its way; nothing has been given back yet."
	default:
		return makegood.Fact{}, "The refund is in a state that this version does not know; a person must look."
	}
	return f, ""
}
