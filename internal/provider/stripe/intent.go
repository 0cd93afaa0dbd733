package stripe

import (
	"context"
	"net/url"
	"slices"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/provider"
)

// signals are the types of a payment intent after which its session may stand differently. They are signals only: the
// session is asked, and its state decides. So an intent that is processing never fulfils anything (medusajs/medusa#14205
// is what happens otherwise).
var signals = []string{
	"payment_intent.succeeded", "payment_intent.processing", "payment_intent.payment_failed", "payment_intent.canceled",
	"payment_intent.partially_funded", "payment_intent.requires_action",
}

func isSignal(eventType string) bool { return slices.Contains(signals, eventType) }

// interpretIntent gives the facts of the session that made a payment intent. Intents that no session made, such as those
// of invoices and of other software at the same account, are a note.
func (s *Stripe) interpretIntent(ctx context.Context, event makegood.Event, told object) (provider.Reading, error) {
	if note := s.notOurObject(told); note != "" {
		return provider.Reading{Note: note}, nil
	}
	if s.apiKey.Empty() {
		return noted("%s is a signal, and without an API key its session cannot be asked; the session's own events tell.", event.Type), nil
	}
	t, err := s.sessionOf(ctx, told.id())
	switch {
	case err != nil:
		return provider.Reading{}, unlessOdd(err)
	case t.id() == "":
		return noted("No checkout session made the payment %s; what it pays is told by its invoice, if at all.", told.id()), nil
	case t.paymentID() != told.id():
		return provider.Reading{}, makegood.Errorf(makegood.ProviderFailed, "Stripe found a session of another payment than was asked for.")
	}
	return s.sessionReading(event, t), nil
}

// sessionOf returns the session that made a payment, or one without an id when none did. It usually takes one call,
// because every sale has such a signal: only line items that do not fit into the list are asked for once more.
func (s *Stripe) sessionOf(ctx context.Context, payment string) (session, error) {
	found, _, err := s.page(ctx, sessionsPath, url.Values{"payment_intent": {payment}, "expand[]": {"data.line_items"}, "limit": {"1"}})
	if err != nil || len(found) == 0 {
		return session{}, err
	}
	t := readSession(found[0])
	if o := (object{json: t.json}); t.id() != "" && !o.isList("line_items") {
		return s.retrieve(ctx, t.id())
	}
	return t, nil
}

// sessionReading reads a session for which the event says nothing: its state counts.
func (s *Stripe) sessionReading(event makegood.Event, t session) provider.Reading {
	if note := s.notOurSession(t); note != "" {
		return provider.Reading{Note: note}
	}
	return s.reading(event, t, stateOf(t))
}
