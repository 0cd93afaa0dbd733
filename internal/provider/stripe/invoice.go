package stripe

import (
	"context"
	"net/url"
	"strings"
	"time"

	"github.com/tidwall/gjson"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/provider"
	"github.com/makegood/makegood/internal/provider/extract"
)

const (
	invoicesPath        = "/v1/invoices"
	invoicePaymentsPath = "/v1/invoice_payments"
)

// interpretInvoice reads the invoice of an event that says that it was paid.
func (s *Stripe) interpretInvoice(ctx context.Context, event makegood.Event, told object) (provider.Reading, error) {
	i := invoice{told}
	if note := s.notOurObject(told); note != "" {
		return provider.Reading{Note: note}, nil
	}
	if i.isOfNone() {
		return noted("The invoice %s is not of a subscription; nothing runs on because of it.", i.id()), nil
	}
	if !i.isPaid() || !i.isWhole() {
		return s.askInvoice(ctx, event, i.id())
	}
	return s.readInvoice(event, i), nil
}

// interpretInvoicePayment reads the payment of an invoice, which names the invoice and the payment intent but not what was
// bought. It came with 2025-03-31.basil.
func (s *Stripe) interpretInvoicePayment(ctx context.Context, event makegood.Event, told object) (provider.Reading, error) {
	if note := s.notOurObject(told); note != "" {
		return provider.Reading{Note: note}, nil
	}
	id := told.ref("invoice")
	if id == "" {
		return provider.Reading{Note: noteNameless}, nil
	}
	return s.askInvoice(ctx, event, id)
}

// askInvoice reads what the API says of an invoice, with all its lines and payments.
func (s *Stripe) askInvoice(ctx context.Context, event makegood.Event, id string) (provider.Reading, error) {
	asked, err := s.fetch(ctx, invoicesPath, id, "payments")
	if err != nil {
		return provider.Reading{}, unlessOdd(err)
	}
	if note := s.notOurObject(asked); note != "" {
		return provider.Reading{Note: note}, nil
	}
	i := invoice{asked}
	switch says := strings.TrimPrefix(event.Type, thinPrefix); {
	case i.subscription() == "":
		return noted("The invoice %s is not of a subscription; nothing runs on because of it.", id), nil
	case !i.isPaid() && (says == typeInvoicePaid || says == typeInvoiceSucceeded):
		return provider.Reading{}, disagree(event.Type, "whether the invoice was paid")
	case !i.isPaid():
		return noted("The invoice %s is not paid in full: the licence is not extended.", id), nil
	}
	if _, hasAmount := i.money("amount_paid"); !hasAmount {
		return provider.Reading{}, makegood.Errorf(makegood.ProviderFailed, "Stripe does not tell what was paid of the invoice.")
	}
	return s.readLines(ctx, event, i)
}

// readLines gets the lines that the invoice itself does not have.
func (s *Stripe) readLines(ctx context.Context, event makegood.Event, i invoice) (provider.Reading, error) {
	lines := i.lines()
	if !i.isList("lines") {
		var err error
		if lines, err = s.rest(ctx, invoicesPath+"/"+url.PathEscape(i.id())+"/lines", url.Values{}, lines, invoiceLinesMax); err != nil {
			return provider.Reading{}, unlessOdd(err)
		}
	}
	if len(lines) > invoiceLinesMax {
		return provider.Reading{}, &makegood.Permanent{Err: makegood.Errorf(makegood.TooLarge, "The invoice has more than %d lines.", invoiceLinesMax)}
	}
	return s.renewal(event, i, lines), nil
}

func (s *Stripe) readInvoice(event makegood.Event, i invoice) provider.Reading {
	return s.renewal(event, i, i.lines())
}

// renewal makes the fact of a paid invoice. The first invoice of a subscription gives one as well: it says how long the
// sale pays for, and it is what joins the payment intent with the session, which names the invoice only.
func (s *Stripe) renewal(event makegood.Event, i invoice, lines []gjson.Result) provider.Reading {
	until := i.paysUntil(lines)
	if until.IsZero() {
		return noted("The invoice %s pays for no period of its subscription.", i.id())
	}
	f := s.fact(event, makegood.FactRenewed, i.id())
	f.Until = until
	f.Amount, _ = i.money("amount_paid")
	var others []string
	f.PaymentID, others = i.payments()
	f.References = references(append(others, i.subscription(), i.id())...)
	return oneFact(f)
}

// invoice is an invoice of any version. Before 2025-03-31.basil it named subscription, charge and payment intent itself;
// since then the subscription is under parent, and payments are a list that one must ask for (Stripe, changelog of Basil).
type invoice struct{ object }

// subscription is "" when there is none, or it is not told.
func (i invoice) subscription() string {
	return i.ref("subscription", "parent.subscription_details.subscription")
}

// isOfNone reports whether the invoice says that it is of no subscription.
func (i invoice) isOfNone() bool {
	return i.subscription() == "" && (i.tells("subscription") || i.tells("parent"))
}

// isPaid reads the status, which invoices have had since API version 2018-11-08 (Stripe, changelog); before, they had only
// the flag.
func (i invoice) isPaid() bool {
	if status := i.word("status"); status != "" {
		return status == "paid"
	}
	return i.json.Get("paid").Type == gjson.True
}

// isWhole reports whether the invoice tells everything that a renewal is made of. The payment belongs to it: without it a
// refund of this invoice would not find its order.
func (i invoice) isWhole() bool {
	paid, hasAmount := i.money("amount_paid")
	hasPayment := paid.Minor == 0 || i.tells("payment_intent") || i.tells("charge") || i.isList("payments")
	return hasAmount && hasPayment && i.subscription() != "" && i.isList("lines")
}

func (i invoice) lines() []gjson.Result { return i.json.Get("lines.data").Array() }

// payments returns the payment intent, and the other ids by which a refund can name the money. An invoice may be paid in
// parts: then one of the intents is the payment, always the same one, and the others are references.
func (i invoice) payments() (payment string, others []string) {
	intents := references(i.ref("payment_intent"))
	others = references(i.ref("charge"))
	for _, item := range i.json.Get("payments.data").Array() {
		p := object{json: item}
		if status := p.word("status"); status != "" && status != "paid" {
			continue
		}
		intents = references(append(intents, p.ref("payment.payment_intent"))...)
		others = references(append(others, p.ref("payment.charge"))...)
	}
	if len(intents) == 0 {
		return "", others
	}
	last := len(intents) - 1
	return intents[last], append(others, intents[:last]...)
}

// paysUntil is the latest end of a period that a line of the subscription pays for. A line with a negative amount gives
// money back for a period that is not used, such as the rest of a year after a change to monthly: it must not count.
func (i invoice) paysUntil(lines []gjson.Result) time.Time {
	var until time.Time
	for _, item := range lines {
		o := object{json: item}
		if _, isCharge := extract.Whole(item.Get("amount")); !isCharge || !isSubscriptionLine(o, i.subscription()) {
			continue
		}
		if end := extract.Moment(item.Get("period.end")); end.After(until) {
			until = end
		}
	}
	return until
}

// isSubscriptionLine knows a line of the subscription by its type (until 2025) or its parent (since then). Items that
// somebody added by hand name the subscription as well and have a period of their own, but extend nothing.
func isSubscriptionLine(o object, subscription string) bool {
	of := o.ref("parent.subscription_item_details.subscription", "subscription")
	if of != "" && of != subscription {
		return false
	}
	if kind := o.word("parent.type"); kind != "" {
		return kind == "subscription_item_details"
	}
	return o.word("type") == "subscription"
}
