package paypal

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/tidwall/gjson"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/provider"
	"github.com/makegood/makegood/internal/provider/extract"
)

// The types of event that change an order. Both names for a capture that came to nothing are in PayPal's documents.
const (
	typeOrderApproved    = "CHECKOUT.ORDER.APPROVED"
	typeOrderCompleted   = "CHECKOUT.ORDER.COMPLETED"
	typeApprovalReversed = "CHECKOUT.PAYMENT-APPROVAL.REVERSED"
	typeCaptureCompleted = "PAYMENT.CAPTURE.COMPLETED"
	typeCapturePending   = "PAYMENT.CAPTURE.PENDING"
	typeCaptureDenied    = "PAYMENT.CAPTURE.DENIED"
	typeCaptureDeclined  = "PAYMENT.CAPTURE.DECLINED"
	typeCaptureRefunded  = "PAYMENT.CAPTURE.REFUNDED"
	typeCaptureReversed  = "PAYMENT.CAPTURE.REVERSED"
	typeDisputeCreated   = "CUSTOMER.DISPUTE.CREATED"
	typeDisputeUpdated   = "CUSTOMER.DISPUTE.UPDATED"
	typeDisputeResolved  = "CUSTOMER.DISPUTE.RESOLVED"
	refundFamily         = "PAYMENT.REFUND."
)

// Interpret turns a kept event into facts. The event only says what to ask for; what happened, to whom and how much comes
// from the API's answer, every time.
//
//   - An approved order is captured first, because approved is not paid. Twice, or with the success page at the same
//     moment, it is captured once.
//   - What the API does not show yet, or tells otherwise than an event that is final, is an error worth a retry, and in the
//     end a dead letter: the event may have been sent before the API knows, and somebody may have paid.
//   - A payment to another merchant, other types, other modes and bodies that cannot be read give no facts and a note.
func (s *PayPal) Interpret(ctx context.Context, event makegood.Event) (provider.Reading, error) {
	root, _ := extract.Object(event.Payload)
	if note := s.notOurs(event); note != "" {
		return provider.Reading{Note: note}, nil
	}
	resource := root.Get("resource")
	read := s.reader(event.Type)
	if read == nil {
		return provider.Reading{Note: unhandledNote(event.Type)}, nil
	}
	id := objectOf(resource)
	if event.Type == typeApprovalReversed {
		if orderID := extract.Identifier(resource.Get("order_id")); orderID != "" {
			id = orderID
		}
	}
	if !askable.MatchString(id) {
		return provider.Reading{Note: "The event names nothing that PayPal could be asked about; it is kept and shown."}, nil
	}
	return read(ctx, event, id)
}

// reader is what an event of a type is read with, or nil.
func (s *PayPal) reader(eventType string) func(context.Context, makegood.Event, string) (provider.Reading, error) {
	switch eventType {
	case typeOrderApproved, typeOrderCompleted:
		return s.interpretOrder
	case typeApprovalReversed:
		return s.interpretReversal
	case typeCaptureCompleted, typeCapturePending, typeCaptureDenied, typeCaptureDeclined:
		return s.interpretCapture
	case typeCaptureRefunded, typeCaptureReversed:
		return s.interpretRefund
	case typeDisputeCreated, typeDisputeUpdated, typeDisputeResolved:
		return s.interpretDispute
	}
	if strings.HasPrefix(eventType, refundFamily) {
		return s.interpretRefund
	}
	return nil
}

// notOurs says why an event must not be acted on, or "".
func (s *PayPal) notOurs(event makegood.Event) string {
	switch {
	case event.Source != s.name:
		return fmt.Sprintf("It came through the source %q and not through %q.", event.Source, s.name)
	case event.Type == "":
		return "The body is not an event that can be read; it is kept as it came."
	case event.Live != s.live:
		return fmt.Sprintf("It is in %s mode, and the source %q is in %s mode.", modeName(event.Live), s.name, modeName(s.live))
	}
	return ""
}

func modeName(live bool) string {
	if live {
		return "live"
	}
	return "test"
}

// families are the types that say something of money that this version does not act on.
var families = []string{"PAYMENT.", "CHECKOUT.", "CUSTOMER.", "BILLING.", "INVOICING.", "RISK.", "VAULT."}

func unhandledNote(eventType string) string {
	for _, family := range families {
		if strings.HasPrefix(eventType, family) {
			return eventType + " is kept and shown; this version does not act on it."
		}
	}
	return eventType + " says nothing of an order; it is kept and shown."
}

// unlessOdd keeps an object that PayPal has told us of, and then does not know, from being NotFound: that is no answer to
// whoever asks, but what a moment later may have passed.
func unlessOdd(err error) error {
	if errors.Is(err, makegood.NotFound) {
		return makegood.Wrap(errors.Join(errNotYet, err), makegood.ProviderFailed, "PayPal's event is about something that PayPal's API does not show yet.")
	}
	return err
}

func (s *PayPal) interpretOrder(ctx context.Context, event makegood.Event, id string) (provider.Reading, error) {
	r, err := s.settleOrder(ctx, event, id)
	if err == nil && len(r.Facts) == 0 && event.Type == typeOrderCompleted && r.Note == noteOpen {
		return provider.Reading{}, notYet("PayPal's event says that the order is completed, and PayPal's API does not say so yet.")
	}
	return r, unlessOdd(err)
}

// interpretReversal reads an order whose approval ran out before it was captured, after three hours by default; the buyer
// has the money back. An order that was captured after all is read as such, and so is one that can still be: then it is.
func (s *PayPal) interpretReversal(ctx context.Context, event makegood.Event, id string) (provider.Reading, error) {
	r, err := s.settleOrder(ctx, event, id)
	switch {
	case errors.Is(err, makegood.NotFound):
		return provider.Reading{Note: "The order was never captured, and PayPal does not know it any more."}, nil
	case err != nil || len(r.Facts) > 0 || r.Note != noteOpen:
		return r, err
	}
	return provider.Reading{Facts: []makegood.Fact{s.expired(event, id, event.CreatedAt)}}, nil
}

// interpretCapture reads a capture back, and the order around it for what a capture does not tell: who bought, and what
// the items were.
func (s *PayPal) interpretCapture(ctx context.Context, event makegood.Event, id string) (provider.Reading, error) {
	capture, err := s.retrieve(ctx, capturesPath, id, "id")
	if err != nil {
		return provider.Reading{}, unlessOdd(err)
	}
	kind := kindOf(capture)
	isOpen := kind == makegood.FactAwaiting && event.Type != typeCapturePending
	if isOpen || event.Type == typeCaptureCompleted && kind != makegood.FactPaid {
		return provider.Reading{}, notYet("PayPal's event and PayPal's API do not agree on whether the payment is completed.")
	}
	p, err := s.around(ctx, event, capture)
	if err != nil {
		return provider.Reading{}, err
	}
	fact, note, err := s.paymentFact(event, p)
	if note != "" || err != nil {
		return provider.Reading{Note: note}, err
	}
	return provider.Reading{Facts: []makegood.Fact{fact}}, nil
}

// around finds the order of a capture. Soon after the event an order that is not there, or does not show the capture, is
// worth a retry; later the capture is read alone: PayPal forgets orders before payments, and the money is there.
func (s *PayPal) around(ctx context.Context, event makegood.Event, capture gjson.Result) (payment, error) {
	alone := payment{capture: capture, isOne: true}
	id := orderOf(capture)
	if id == "" {
		return alone, nil
	}
	isYoung := event.ReceivedAt.IsZero() || s.now().Sub(event.ReceivedAt) < youngEvent
	o, err := s.retrieveOrder(ctx, id)
	switch {
	case errors.Is(err, makegood.NotFound) && !isYoung:
		return alone, nil
	case err != nil:
		return payment{}, unlessOdd(err)
	}
	for _, p := range o.payments() {
		if p.id() == extract.Identifier(capture.Get("id")) {
			p.capture = capture
			return p, nil
		}
	}
	if isYoung {
		return payment{}, notYet("PayPal's order does not show its capture yet.")
	}
	return alone, nil
}
