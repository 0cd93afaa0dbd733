package simulate

import (
	"net/http"
	"strconv"
	"time"
)

// PayPalFaults are the ways in which a pretend PayPal can misbehave. The zero value behaves well.
type PayPalFaults struct {
	// Latency is added to every API call before it acts.
	Latency time.Duration
	// FailAPI is asked about every call, that for a token too, before it acts; a status (or Hang, or Abort) other than 0 is
	// the answer, and nothing happens.
	FailAPI func(*http.Request) int
	// FailAfter is asked after a call has acted; a status (or Hang, or Abort) other than 0 replaces the answer. The true
	// answer is what a repetition under the same PayPal-Request-Id gets.
	FailAfter func(*http.Request) int
	// RetryAfter, if positive, is told with every 429 and 503, in whole seconds.
	RetryAfter time.Duration
	// HideFor is how long a new capture or refund is not visible by the API, and its order not captured. It counts for what
	// is made while it is set, by the clock of the options.
	HideFor time.Duration
	// FailCertificate is asked about every fetch of a certificate; a status (or Hang, or Abort) other than 0 is the answer.
	FailCertificate func(*http.Request) int
	// Duplicate is how many extra copies of each delivery attempt are sent. Copies are not retried.
	Duplicate int
	// Reorder delivers events that were made together in a random order other than the true one, one after another; what
	// was held is shuffled on its release.
	Reorder bool
	// Hold keeps every delivery back until faults without Hold are set.
	Hold bool
	// Drop chooses events that are never delivered, though they exist and can be listed. It must not call the PayPal.
	Drop func(Event) bool
	// ConstantRetry, if positive, replaces RetrySchedule: failed deliveries are repeated at this interval until a 2xx.
	ConstantRetry time.Duration
	// SignedAgo signs deliveries with a time that lies so far back.
	SignedAgo time.Duration
	// WrongWebhook signs deliveries for a webhook id that nobody has.
	WrongWebhook bool
}

// SetFaults replaces the faults from now on. Zero faults end all misbehaviour and release what was held.
func (p *PayPal) SetFaults(faults PayPalFaults) {
	p.mu.Lock()
	defer p.mu.Unlock()
	isReleased := p.faults.Hold && !faults.Hold
	p.faults = faults
	if isReleased && faults.Reorder {
		p.courier.shuffleWaiting(p)
	}
	p.courier.tell() // Hold decides whether the account is idle
	p.courier.nudge()
}

func (p *PayPal) currentFaults() PayPalFaults {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.faults
}

// misbehave answers as a fault wants it.
func (p *PayPal) misbehave(w http.ResponseWriter, r *http.Request, faults PayPalFaults, status int) {
	if status != Hang && status != Abort && faults.RetryAfter > 0 && (status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable) {
		w.Header().Set("Retry-After", strconv.Itoa(int(faults.RetryAfter/time.Second)))
	}
	misbehave(w, r, p.courier.stop, status, answerPayPal(nil, paypalAsked(status)))
}
