package simulate

import (
	"net/http"
	"time"
)

// Two answers that are not statuses, for the functions of [Faults] and [ResendFaults].
const (
	// Hang keeps the client waiting until it gives up.
	Hang = -1
	// Abort closes the connection without an answer, so that the client cannot know whether it was heard.
	Abort = -2
)

// Faults are the ways in which a pretend Stripe can misbehave. The zero value behaves well.
type Faults struct {
	// Latency is added to every API call before it acts.
	Latency time.Duration
	// FailAPI is asked about a call with a good key before it acts; a status (or Hang, or Abort) other than 0 is the answer, and nothing happens.
	// As at the real one, a 500 is then remembered under the Idempotency-Key of the request.
	FailAPI func(*http.Request) int
	// FailAfter is asked after a call has acted; a status (or Hang, or Abort) other than 0 replaces the answer. The true
	// answer is what a repetition under the same Idempotency-Key gets.
	FailAfter func(*http.Request) int
	// Duplicate is how many extra copies of each delivery attempt are sent. Copies are not retried.
	Duplicate int
	// Reorder delivers events that were made together in a random order other than the true one, one after another.
	Reorder bool
	// Hold keeps every delivery back until faults without Hold are set. Together with Reorder it shuffles the whole life
	// of a payment: hold, pay, refund, release.
	Hold bool
	// Drop chooses events that are never delivered, though they exist and can be listed. It must not call the Stripe.
	Drop func(Event) bool
	// ConstantRetry, if positive, replaces RetrySchedule: failed deliveries are repeated at this interval until a 2xx.
	ConstantRetry time.Duration
	// StaleSignature signs deliveries with a timestamp of an hour ago.
	StaleSignature bool
	// WrongSecret signs deliveries with a secret that nobody has.
	WrongSecret bool
}

// SetFaults replaces the faults from now on. Zero Faults end all misbehaviour and release what was held.
func (s *Stripe) SetFaults(faults Faults) {
	s.mu.Lock()
	defer s.mu.Unlock()
	isReleased := s.faults.Hold && !faults.Hold
	s.faults = faults
	if isReleased && faults.Reorder {
		s.courier.shuffleWaiting(s)
	}
	s.courier.tell() // Hold decides whether the account is idle
	s.courier.nudge()
}

func (s *Stripe) currentFaults() Faults {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.faults
}

func ask(fault func(*http.Request) int, r *http.Request) int {
	if fault == nil {
		return 0
	}
	return fault(r)
}

// misbehave answers as a fault wants it: with a status, not at all, or by hanging up.
func misbehave(w http.ResponseWriter, r *http.Request, stop <-chan struct{}, status int, a answer) {
	switch status {
	case Hang:
		waitFor(r.Context(), stop, hangMax)
		panic(http.ErrAbortHandler)
	case Abort:
		panic(http.ErrAbortHandler)
	default:
		a.write(w)
	}
}
