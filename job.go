package makegood

import (
	"encoding/json"
	"time"
)

// The kinds of job and the queues they wait in. Payments have a queue of their own, so that a flood of mails or a limit on
// them never delays a payment.
const (
	JobInterpret  = "interpret"
	JobEffect     = "effect"
	QueuePayments = "payments"
	QueueEffects  = "effects"
)

// Job is work that outlives the process: it is kept in the same commit as what made it necessary, and runs at least once.
type Job struct {
	Kind    string  `json:"-"`
	EventID string  `json:"event,omitempty"`
	Source  string  `json:"source,omitempty"` // of the event
	OrderID string  `json:"order,omitempty"`
	Step    string  `json:"step,omitempty"`
	Attempt Attempt `json:"-"`
}

// Attempt is where a running job stands. It is empty in a job that is only kept.
type Attempt struct {
	Number int // 1 for the first run
	Last   bool
}

// InterpretJob is the job that turns an event of a source into facts.
func InterpretJob(eventID, source string) Job {
	return Job{Kind: JobInterpret, EventID: eventID, Source: source}
}

// EffectJob is the job that brings a step about.
func EffectJob(orderID, step string) Job { return Job{Kind: JobEffect, OrderID: orderID, Step: step} }

// Queue is where jobs of this kind wait.
func (j Job) Queue() string {
	if j.Kind == JobInterpret {
		return QueuePayments
	}
	return QueueEffects
}

// Args encodes what the job is about.
func (j Job) Args() string {
	b, err := json.Marshal(j)
	if err != nil {
		panic("makegood: a job of plain strings does not encode: " + err.Error())
	}
	return string(b)
}

// DeadLetter is a job that was given up: everything a person needs to see why, and to have it done after all.
type DeadLetter struct {
	ID            string
	Job           Job
	Source        string // the provider's source, for an event
	Type          string // the provider's type of the event, or the step's name
	Payload       []byte // the event's raw bytes; nil for a step
	State         DeadState
	Reason        DeadReason
	Error         string // of the last attempt
	History       []FailedAttempt
	Attempts      int
	FirstFailedAt time.Time
	LastFailedAt  time.Time
	Retries       int // how often a person had it done again
	RetriedAt     time.Time
}

// FailedAttempt is one attempt of a job that was given up.
type FailedAttempt struct {
	At      time.Time `json:"at"`
	Attempt int       `json:"attempt"`
	Error   string    `json:"error"`
}

// DeadState says who has the next move on a dead letter.
type DeadState string

const (
	DeadOpen      DeadState = "open"      // a person
	DeadRetried   DeadState = "retried"   // nobody: its job runs again, and opens it again if that is given up too
	DeadDiscarded DeadState = "discarded" // nobody: a person decided that it is not needed
)

// DeadReason says why a job was given up. Stable, listed in docs/errors.md.
type DeadReason string

const (
	DeadPermanent DeadReason = "permanent" // no repetition can cure it
	DeadExhausted DeadReason = "exhausted" // every attempt failed
	DeadCrashed   DeadReason = "crashed"   // the process died or hung in every attempt
	DeadDoubtful  DeadReason = "doubtful"  // it may have happened, and nobody can tell any more
)

// DeadReasons lists every reason once.
func DeadReasons() []DeadReason {
	return []DeadReason{DeadPermanent, DeadExhausted, DeadCrashed, DeadDoubtful}
}

// Amendment is one change of one order, committed with everything that follows from it: facts, state, licences, stock
// moves, steps with their jobs, audit entries, and the mark on the event that caused it.
type Amendment struct {
	// Key names the order; it is created when there is none. Used when OrderID is "". Without a session the order is found
	// by the references of the facts. When no order has them yet, the facts wait for it: they are learned in the commit in
	// which an order first has one of the references, and Change is not called now.
	Key     OrderKey
	OrderID string // names an existing order
	Facts   []Fact // learned before Change
	EventID string // marked handled in the same commit, when not ""
	Actor   string // who is behind it, for the audit
	// Change changes the order in memory and returns the audit entries of what it did. It may be called again if the
	// commit has to be repeated, so it must do nothing else. An error commits nothing.
	Change func(o *Order, keyTaken func(key string) bool) ([]Entry, error)
}
