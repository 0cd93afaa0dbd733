package makegood

// Outcome is what has become of an event: whether it was interpreted, and how its order stands.
type Outcome struct {
	EventID     string
	Event       EventState
	OrderID     string // "" when the event is about no order, or about one that is not known yet
	Entitlement Entitlement
	Fulfillment FulfillmentState
	Reason      string
}

// Settled reports whether nothing is owed any more because of the event: it is about nothing, about a sale that is not
// known yet, about an order that gets nothing (yet, or any more), or about one that has its goods.
func (o Outcome) Settled() bool {
	switch o.Event {
	case EventUnhandled:
		return true
	case EventHandled:
		return o.OrderID == "" || o.Fulfillment == Fulfilled || o.Fulfillment != Stuck && o.Entitlement != EntitledFully
	}
	return false
}

// GivenUp reports whether a person has the next move.
func (o Outcome) GivenUp() bool {
	return o.Event == EventDead || o.Event == EventHandled && o.Fulfillment == Stuck
}

// Trouble names why, as the codes of docs/errors.md do.
func (o Outcome) Trouble() string {
	if o.Event == EventDead {
		return "dead letter"
	}
	return o.Reason
}
