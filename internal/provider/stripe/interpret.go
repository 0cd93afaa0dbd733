package stripe

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

// The types that are not read by their family. Snapshot events of any version use these names.
const (
	typeChargeRefunded      = "charge.refunded"
	typeChargeRefundUpdated = "charge.refund.updated" // the older twin of refund.updated
	typeInvoicePaid         = "invoice.paid"
	typeInvoiceSucceeded    = "invoice.payment_succeeded" // the older twin of invoice.paid
	typeInvoicePaymentPaid  = "invoice_payment.paid"
	typeSubscriptionDeleted = "customer.subscription.deleted"
	typeDisputeClosed       = "charge.dispute.closed"
)

// The families of types that are read by the state of their object, whatever the rest of the name says, so that a name
// that Stripe adds next year is read as well.
const (
	familyRefund       = "refund."
	familyDispute      = "charge.dispute."
	familySubscription = "customer.subscription."
)

// Interpret turns a kept event into facts. The state of the object decides what happened, not the type of the event: a
// completed checkout may be unpaid for days, and a refund that succeeded may fail later (Stripe, "Fulfill orders" and
// "Refund and cancel payments").
//
//   - A session gives FactPaid with lines, FactAwaiting, FactFailed or FactExpired. "No payment required" is paid with an
//     amount of zero when a payment session says so and its total is zero: a coupon of 100 %. In a subscription it is a
//     trial, which sells nothing yet. A payment intent is a signal only: its session is asked for its state.
//   - A refund gives FactRefunded or FactRefundFailed, and charge.refunded gives one of them for each refund of the charge.
//   - A dispute gives FactDisputed, FactDisputeWon or FactDisputeLost. An inquiry gives nothing: no money has moved.
//   - A paid invoice of a subscription gives FactRenewed, and a subscription that is over gives FactEnded.
//
// Facts of a session name it. The others cannot, because Stripe's objects do not: they name payment and references.
//
// Whatever the body does not tell or tells with two tongues is asked from the API, and then the API's answer is read by
// the same rules in place of the body. An answer that contradicts what the event says of the money is an error worth a
// retry, and in the end a dead letter: somebody may have paid. Everything else gives no facts and a note: other types,
// other modes, other accounts, bodies that cannot be read.
func (s *Stripe) Interpret(ctx context.Context, event makegood.Event) (provider.Reading, error) {
	top := readEnvelope(event.Payload)
	if note := s.notOurs(event, top); note != "" {
		return provider.Reading{Note: note}, nil
	}
	if top.isThin() {
		return s.interpretThin(ctx, event, top)
	}
	told := object{json: top.subject()}
	switch kind := event.Type; {
	case kind == typeCompleted, kind == typeAsyncSucceeded, kind == typeAsyncFailed, kind == typeExpired:
		return s.interpretSession(ctx, event, readSession(top.subject()))
	case isSignal(kind):
		return s.interpretIntent(ctx, event, told)
	case strings.HasPrefix(kind, familyRefund), kind == typeChargeRefundUpdated:
		return s.interpretRefund(ctx, event, told)
	case kind == typeChargeRefunded:
		return s.interpretCharge(ctx, event, told)
	case strings.HasPrefix(kind, familyDispute):
		return s.interpretDispute(ctx, event, told)
	case kind == typeInvoicePaid, kind == typeInvoiceSucceeded:
		return s.interpretInvoice(ctx, event, told)
	case kind == typeInvoicePaymentPaid:
		return s.interpretInvoicePayment(ctx, event, told)
	case strings.HasPrefix(kind, familySubscription):
		return s.interpretSubscription(ctx, event, told)
	}
	return provider.Reading{Note: unhandledNote(event.Type)}, nil
}

// notOurs says why an event must not be acted on, or "".
func (s *Stripe) notOurs(event makegood.Event, top envelope) string {
	switch {
	case event.Source != s.name:
		return fmt.Sprintf("It came through the source %q and not through %q.", event.Source, s.name)
	case event.Type == "" || !top.isThin() && extract.Identifier(top.object) != "event":
		return "The body is not an event that can be read; it is kept as it came."
	case event.Live != s.live || (top.livemode.Type == gjson.True) != s.live:
		return fmt.Sprintf("It is in %s mode, and the source %q is in %s mode.", modeName(event.Live), s.name, modeName(s.live))
	case event.Account != s.account || accountOf(top) != s.account:
		return fmt.Sprintf("It belongs to %s, and the source %q is for %s.", accountName(event.Account), s.name, accountName(s.account))
	}
	return ""
}

func modeName(live bool) string {
	if live {
		return "live"
	}
	return "test"
}

func accountName(account string) string {
	if account == "" {
		return "the account of its API key"
	}
	return "the account " + account
}

// unlessOdd keeps an object that Stripe has told us of, and then does not know, from being NotFound: that is no answer to
// whoever asks, but trouble that may pass.
func unlessOdd(err error) error {
	if errors.Is(err, makegood.NotFound) {
		return makegood.Wrap(err, makegood.ProviderFailed, "Stripe does not know the object that its own event is about.")
	}
	return err
}

// disagree is an event whose word about money the API does not confirm. It is worth a retry, because one of the two may
// be behind the other, and in the end a person must look.
func disagree(eventType, about string) error {
	return makegood.Errorf(makegood.ProviderFailed, "Stripe's event %s and Stripe's API do not agree on %s.", eventType, about)
}
