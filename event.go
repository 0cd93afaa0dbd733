package makegood

import "time"

// Event is what several deliveries have in common: one message of a provider, known by its own id. Its identity
// (Source, Account, Live, ProviderID) is kept for ever; a second delivery of it is answered and does nothing.
type Event struct {
	ID         string // ours
	Source     string // the name of the source in the configuration
	Account    string // the provider's account the event belongs to; "" is the source's own
	Live       bool   // false for test mode, which never touches live data
	ProviderID string // the provider's id of the event

	Type         string // the provider's name of what happened
	APIVersion   string // the provider's version of the body, as far as it tells
	ObjectID     string // the id of the object it is about
	CreatedAt    time.Time
	ReceivedAt   time.Time
	Transmission string // the provider's id of the delivery that brought it, if its signature covers one
	VerifiedBy   string // fingerprint of the secret that proved it
	Payload      []byte // the raw bytes, exactly as delivered
	State        EventState
	Note         string // why it is unhandled or dead, for people
	OrderID      string // the order it changed, if any
	HandledAt    time.Time
}

// EventState says who has the next move.
type EventState string

const (
	EventKept      EventState = "kept"      // stored; the interpret job has the next move
	EventHandled   EventState = "handled"   // its facts are learned; nobody
	EventUnhandled EventState = "unhandled" // nothing in it is ours to act on; nobody, but it is shown
	EventDead      EventState = "dead"      // given up after all attempts; a person, through the dead letters
)
