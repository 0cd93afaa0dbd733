package stripe

import (
	"context"
	"strings"
	"time"

	"github.com/tidwall/gjson"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/provider"
	"github.com/makegood/makegood/internal/provider/extract"
)

const subscriptionsPath = "/v1/subscriptions"

// interpretSubscription reads the subscription of an event, and asks when one that is over does not tell when it ended.
func (s *Stripe) interpretSubscription(ctx context.Context, event makegood.Event, told object) (provider.Reading, error) {
	if note := s.notOurObject(told); note != "" {
		return provider.Reading{Note: note}, nil
	}
	isOver := hasEnded(told)
	if event.Type == typeSubscriptionDeleted && !isOver || isOver && endOf(told).IsZero() {
		return s.askSubscription(ctx, event, told.id())
	}
	return s.readSubscription(event, told)
}

// askSubscription reads what the API says of a subscription.
func (s *Stripe) askSubscription(ctx context.Context, event makegood.Event, id string) (provider.Reading, error) {
	asked, err := s.fetch(ctx, subscriptionsPath, id)
	if err != nil {
		return provider.Reading{}, unlessOdd(err)
	}
	if note := s.notOurObject(asked); note != "" {
		return provider.Reading{Note: note}, nil
	}
	if strings.TrimPrefix(event.Type, thinPrefix) == typeSubscriptionDeleted && !hasEnded(asked) {
		return provider.Reading{}, disagree(event.Type, "whether the subscription is over")
	}
	return s.readSubscription(event, asked)
}

// readSubscription makes the fact of a subscription that is over. Everything else is a note: how long a licence runs is
// what was paid, which the invoices tell.
func (s *Stripe) readSubscription(event makegood.Event, o object) (provider.Reading, error) {
	if !hasEnded(o) {
		return noted("The subscription %s is %s", o.id(), standing(o)), nil
	}
	f := s.fact(event, makegood.FactEnded, o.id())
	if f.Until = endOf(o); f.Until.IsZero() {
		return provider.Reading{}, makegood.Errorf(makegood.ProviderFailed, "Stripe does not tell when the subscription ended.")
	}
	f.References = references(o.id())
	return oneFact(f), nil
}

// hasEnded reads the two statuses that nothing follows (Stripe's OpenAPI, subscription, status).
func hasEnded(o object) bool {
	status := o.word("status")
	return status == "canceled" || status == "incomplete_expired"
}

// endOf returns when a subscription ended. One that was cancelled for the end of its period says when that was decided
// (canceled_at) and when it was over (ended_at); the licence runs to the later. Without ended_at the end of the period
// counts for such a one, and the cancellation for any other.
func endOf(o object) time.Time {
	candidates := []string{"ended_at", "canceled_at"}
	if o.json.Get("cancel_at_period_end").Type == gjson.True {
		candidates = []string{"ended_at", "current_period_end"}
	}
	for _, path := range candidates {
		if end := extract.Moment(o.json.Get(path)); !end.IsZero() {
			return end
		}
	}
	return periodEnd(o)
}

// periodEnd is the latest end of the current periods. Since 2025-03-31.basil each item has its own.
func periodEnd(o object) time.Time {
	end := extract.Moment(o.json.Get("current_period_end"))
	for _, item := range o.json.Get("items.data").Array() {
		if own := extract.Moment(item.Get("current_period_end")); own.After(end) {
			end = own
		}
	}
	return end
}

// standing says for people how a subscription stands.
func standing(o object) string {
	status := o.word("status")
	switch {
	case o.json.Get("cancel_at_period_end").Type == gjson.True:
		return "to end with its period; the licence runs to the end of what was paid."
	case status == "past_due" || status == "unpaid" || status == "incomplete" || status == "paused":
		return status + ": the licence is not extended and runs to the end of what was paid."
	case status == "":
		return "not told in any state that can be read."
	}
	return status + "; nothing follows before an invoice is paid."
}
