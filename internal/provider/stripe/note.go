package stripe

import "strings"

// notes say of the types that give no facts why they give none, the longest family first. A person reads them beside the
// event.
var notes = []struct{ family, note string }{
	{"payment_intent.", "is about a payment that is still on its way; nothing follows from it."},
	{"charge.", "is about one attempt to take the money; the checkout session, the refund or the dispute tells what came of it."},
	{"invoice.payment_failed", "says that an invoice was not paid: the licence is not extended and runs to the end of what was paid."},
	{"invoice.payment_action_required", "says that the customer must confirm a payment: the licence is not extended before."},
	{"invoice.", "is about an invoice that is not, or not yet, paid; nothing follows from it."},
	{"invoice_payment.", "is about a payment of an invoice that is not, or not yet, made; nothing follows from it."},
	{"radar.", "is a warning of fraud: nothing changes by itself, and a person may look."},
	{"review.", "is a review of a payment at Stripe: nothing changes by itself, and a person may look."},
	{"checkout.session.", "is kept and shown; this version does not act on it."},
}

// unhandledNote says why a type gives no facts.
func unhandledNote(eventType string) string {
	for _, n := range notes {
		if strings.HasPrefix(strings.TrimPrefix(eventType, thinPrefix), n.family) {
			return eventType + " " + n.note
		}
	}
	return eventType + " says nothing of an order; it is kept and shown."
}

// noteNameless is what is said of an object without an id.
const noteNameless = "The event names no object that can be read; it is kept and shown."
