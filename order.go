package makegood

import (
	"slices"
	"time"
)

// PaymentState is where the money is. It is a function of the set of facts.
type PaymentState string

const (
	PaymentPending           PaymentState = "pending"
	PaymentPaid              PaymentState = "paid"
	PaymentPartiallyRefunded PaymentState = "partially_refunded"
	PaymentRefunded          PaymentState = "refunded"
	PaymentDisputed          PaymentState = "disputed"
	PaymentFailed            PaymentState = "failed"
	PaymentExpired           PaymentState = "expired"
)

// FulfillmentState is where the goods are. It is a function of the payment state, the bookings and the receipts.
type FulfillmentState string

const (
	Unfulfilled FulfillmentState = "unfulfilled" // nothing is owed, or not yet
	InProgress  FulfillmentState = "in_progress" // booked; effects are on their way
	Fulfilled   FulfillmentState = "fulfilled"   // nothing is owed any more
	Stuck       FulfillmentState = "stuck"       // a person must look; Order.Reason says why
	Revoked     FulfillmentState = "revoked"     // the money went back, and so did the goods
)

// The reasons why an order is stuck or deserves a look. Stable, listed in docs/errors.md.
const (
	ReasonUnknownProduct = "unknown_product" // paid for something that the catalogue does not have
	ReasonAmountMismatch = "amount_mismatch" // paid another amount or currency than was agreed
	ReasonContradiction  = "contradiction"   // the provider told the same payment in two ways
	ReasonNothingBought  = "nothing_bought"  // paid, but no line says for what
	ReasonTooLarge       = "too_large"       // more lines or units than limits.go allows
	ReasonStepFailed     = "step_failed"     // an effect was given up; see the dead letters
	ReasonNoAddress      = "no_address"      // there is no address to write to: fulfilled on the page only, or stuck where there is none
	ReasonStepDiscarded  = "step_discarded"  // a person decided that an effect is not needed
	ReasonSyntheticPaid  = "synthetic_paid"  // money came for a session that our own watcher made; a person must give it back
)

// Order is one sale: the facts we know of it, and what was done because of them.
type Order struct {
	ID  string
	Key OrderKey

	// Synthetic is that any fact says so: our own watcher made the session, nobody bought. Such an order gives nothing to
	// anybody, whatever else is told of it, and stands in no listing and no figure of customers.
	Synthetic bool

	PaymentID string
	Customer  Customer
	Total     Money
	Facts     []Fact
	Lines     []Line // fixed when the first licence is booked
	Licenses  []License
	Moves     []StockMove
	Steps     []Step

	Payment     PaymentState
	Entitlement Entitlement // the best that any of its lines still has
	Fulfillment FulfillmentState
	Reason      string

	CreatedAt   time.Time // our clock
	PaidAt      time.Time // our clock, when we learned of it; zero before
	FulfilledAt time.Time // our clock; zero before
}

// StockMove is a change of the stock of a product, with its cause. At most one move has a cause within an order's line.
type StockMove struct {
	Line    int
	Product string
	Delta   int
	Cause   string
}

// StepState says who has the next move on an effect.
type StepState string

const (
	StepOwed      StepState = "owed"      // the effect's job
	StepDone      StepState = "done"      // nobody; the receipt is there
	StepFailed    StepState = "failed"    // a person; the job was given up
	StepWithdrawn StepState = "withdrawn" // nobody; it was no longer owed when its turn came
	StepDiscarded StepState = "discarded" // nobody; a person decided that it is not needed
)

// Step is an effect in the outside world that an order owes, such as a mail. First its intent is recorded, then the
// effect happens under a fixed idempotency key, then its receipt is recorded.
type Step struct {
	Name     string // the effect, for example "email"; at most one of a name in an order
	State    StepState
	OwedAt   time.Time
	IntentAt time.Time // when the first attempt was about to start; zero before
	// UncertainSince is when the earliest attempt started of which nobody knows whether it had its effect: it timed out,
	// or the process died in it. Zero when every attempt so far is known to have failed.
	UncertainSince time.Time
	DoneAt         time.Time
	Receipt        string // what the other side calls it, for example a mail's id
	LastError      string
	Attempts       int
	// Round is how often the step was asked for again after it was done; each round has an idempotency key of its own.
	Round int
	// Tells is the state of the order that a telling is about; "" for goods.
	Tells string
	// InDoubt tells the attempt that Begin started that the end of an earlier one is not known. It is not kept.
	InDoubt bool
	// JobWanted asks the store to enqueue the step's job in the same commit. It is not kept.
	JobWanted bool
}

// Learn adds a fact and reports whether it told anything new. The set of facts is the same for every order of arrival and
// every number of repetitions. A fact of another order is a programmer's mistake and panics.
func (o *Order) Learn(f Fact) bool {
	if f.Key != o.Key {
		panic("makegood: a fact of another order")
	}
	o.Synthetic = o.Synthetic || f.Synthetic
	i := slices.IndexFunc(o.Facts, f.same)
	if i < 0 {
		if len(o.Facts) >= FactsMax {
			panic("makegood: too many facts in one order")
		}
		o.Facts = append(o.Facts, f)
		return true
	}
	joined := o.Facts[i].join(f)
	if o.Facts[i].equal(joined) {
		return false
	}
	o.Facts[i] = joined
	return true
}

// Done records the receipt of an effect. Done a second time changes nothing and reports false.
func (o *Order) Done(step, receipt string, now time.Time) bool {
	s := o.Step(step)
	if s == nil || s.State == StepDone {
		return false
	}
	s.State, s.Receipt, s.DoneAt, s.LastError = StepDone, receipt, now, ""
	return true
}

// Fail records that an effect was given up.
func (o *Order) Fail(step, reason string) bool {
	s := o.Step(step)
	if s == nil || s.State != StepOwed {
		return false
	}
	s.State, s.LastError = StepFailed, reason
	return true
}

// Discard records that a person decided that an effect that was given up is not needed.
func (o *Order) Discard(step string) bool {
	s := o.Step(step)
	if s == nil || s.State != StepFailed {
		return false
	}
	s.State = StepDiscarded
	return true
}

// Begin records that an attempt is about to start. Until Missed or Done is recorded, nobody knows how it ended.
func (s *Step) Begin(now time.Time) {
	s.Attempts++
	s.InDoubt = !s.UncertainSince.IsZero()
	if s.IntentAt.IsZero() {
		s.IntentAt = now
	}
	if !s.InDoubt {
		s.UncertainSince = now
	}
}

// Missed records that an attempt failed. When it is known to have had no effect, and so were all before it, the doubt is
// gone.
func (o *Order) Missed(step, reason string, noEffect bool) {
	s := o.Step(step)
	if s == nil || s.State != StepOwed {
		return
	}
	s.LastError = reason
	if noEffect {
		s.UncertainSince = time.Time{}
	}
}

// Withdraw records that an effect was not owed when its turn came.
func (o *Order) Withdraw(step string) bool {
	s := o.Step(step)
	if s == nil || s.State != StepOwed {
		return false
	}
	s.State = StepWithdrawn
	return true
}

// Again asks for a step once more: one that was given up goes on where it stopped, one that is done begins a new round
// with the same message. anew gives up the caution about attempts of which nobody knows how they ended: whoever asks has
// looked, or accepts that it may arrive twice. A step that is already owed reports false, which makes it safe to ask twice
// at once.
func (o *Order) Again(step string, anew bool, now time.Time) bool {
	s := o.Step(step)
	if s == nil || s.State != StepFailed && s.State != StepDone && s.State != StepDiscarded {
		return false
	}
	if s.State == StepDone || anew {
		s.Round++
		s.UncertainSince = time.Time{}
	}
	s.State, s.OwedAt, s.JobWanted = StepOwed, now, true
	return true
}

// Due reports whether a step may have its effect now. Goods leave only while they are fully due. A telling always may: it
// says how things stand, and that they went wrong is what the listener must hear as well. Of a synthetic order nothing is
// due, and nobody hears.
func (o *Order) Due(step string) bool {
	return !o.Synthetic && (o.Entitlement == EntitledFully || IsTelling(step))
}

// Waits reports whether a step has to wait for an earlier one: what a listener hears of one order, it hears in order.
// One that was given up holds up nothing.
func (o *Order) Waits(step string) bool {
	at := slices.IndexFunc(o.Steps, func(s Step) bool { return s.Name == step })
	destination, _, isTelling := cutTelling(step)
	if at < 0 || !isTelling {
		return false
	}
	for _, earlier := range o.Steps {
		to, _, ok := cutTelling(earlier.Name)
		if ok && to == destination && earlier.State == StepOwed && TellingOrdinal(earlier.Name) < TellingOrdinal(step) {
			return true
		}
	}
	return false
}

// Ways are all the references by which the provider knows this sale, sorted.
func (o *Order) Ways() []string {
	var ways []string
	for _, f := range o.Facts {
		ways = union(ways, f.Ways())
	}
	return ways
}

// Step returns the step of a name, or nil.
func (o *Order) Step(name string) *Step {
	for i := range o.Steps {
		if o.Steps[i].Name == name {
			return &o.Steps[i]
		}
	}
	return nil
}

// fact returns the first fact of a kind, by object id so that the answer does not depend on arrival.
func (o *Order) fact(kind FactKind) (Fact, bool) {
	var found Fact
	ok := false
	for _, f := range o.Facts {
		if f.Kind == kind && (!ok || f.ObjectID < found.ObjectID) {
			found, ok = f, true
		}
	}
	return found, ok
}

// Entitlement says what an order, or a line of it, gives its customer right now. It is a function of the facts and the
// policy of the product.
type Entitlement string

const (
	EntitledNot    Entitlement = "none"      // nothing was paid
	EntitledFully  Entitlement = "active"    // goods are due or given
	EntitledOnHold Entitlement = "suspended" // given goods rest, usually while a dispute is open
	EntitledNoMore Entitlement = "revoked"   // usually because the money went back
)
