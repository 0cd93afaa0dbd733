package outbound

import (
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/makegood/makegood"
)

// ErrResting: the other side failed several times in a row, and is left alone for a moment. Nothing was sent. The error is
// also a *makegood.Snooze, so that a job that meets it waits and loses no attempt.
var ErrResting = errors.New("the other side has failed repeatedly and is left alone for a moment")

// The pace of a breaker. Five failures in a row are no coincidence; a second later one request may try. The rest doubles
// while that one fails, up to a quarter of a minute: so long may whoever recovered wait for us.
const (
	failuresToRest = 5
	restFirst      = time.Second
	restMax        = 15 * time.Second
)

// destinationsMax bounds the breakers; a program talks to a handful of hosts. Beyond it nothing rests.
const destinationsMax = 1000

// breakers keeps a breaker for each destination.
type breakers struct {
	now     func() time.Time
	changed func(target string, resting bool)
	mu      sync.Mutex
	all     map[destination]*breaker
}

// destination is scheme, host and port, and whether we ask or tell there: a service that answers questions and takes no
// orders is not well.
type destination struct {
	target string
	reads  bool
}

func destinationOf(req *http.Request) destination {
	return destination{target(req.URL), req.Method == http.MethodGet || req.Method == http.MethodHead}
}

// breaker leaves a destination alone that does not answer. It is closed (everything passes), resting (nothing passes), or
// trying (one request passes, and decides).
type breaker struct {
	failures int           // in a row
	rest     time.Duration // how long the present rest is; 0 when there is none
	until    time.Time     // when one may try
	trying   bool
}

// admit lets a request pass, or says how long to wait. tries is true for the one request that finds out whether a rest is
// over; how it ends must be told as that of no other.
func (b *breakers) admit(to destination) (tries bool, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	d := b.all[to]
	if d == nil || d.rest == 0 {
		return false, nil
	}
	if wait := d.wait(b.now()); wait > 0 {
		return false, resting(to, wait)
	}
	d.trying = true
	return true, nil
}

// wait is how long nothing may pass; 0 when something may.
func (d *breaker) wait(now time.Time) time.Duration {
	switch {
	case d.rest == 0:
		return 0
	case d.trying:
		return restFirst // somebody is finding out
	}
	return max(d.until.Sub(now), 0)
}

func resting(to destination, wait time.Duration) error {
	return &makegood.Snooze{For: max(wait, restFirst), Err: fmt.Errorf("%s: %w", to.target, ErrResting)}
}

// settle records how a request that was admitted ended. During a rest only the one that tries decides: what was on its way
// when the rest began fails for the same reason, and would make it longer each time.
func (b *breakers) settle(to destination, tries, failed bool) {
	b.mu.Lock()
	d := b.all[to]
	if d == nil {
		if !failed || len(b.all) >= destinationsMax {
			b.mu.Unlock()
			return
		}
		d = &breaker{}
		b.all[to] = d
	}
	wasResting := d.rest > 0
	if wasResting && !tries {
		b.mu.Unlock()
		return
	}
	d.trying = false
	if !failed {
		d.rest = 0
		delete(b.all, to) // makes room for another
	} else if d.failures++; d.failures >= failuresToRest {
		d.rest = min(max(2*d.rest, restFirst), restMax)
		d.until = b.now().Add(d.rest)
	}
	isResting := d.rest > 0
	b.mu.Unlock()
	if wasResting != isResting && b.changed != nil {
		b.changed(to.target, isResting)
	}
}

// abandon records that an admitted request ended without telling anything about the other side.
func (b *breakers) abandon(to destination, tries bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if d := b.all[to]; d != nil && tries {
		d.trying = false
	}
}

// isFailure reports whether an answer says that the other side is in trouble. "Too many requests" and refusals are the
// words of somebody who is well.
func isFailure(status int) bool {
	return status >= 500 && status != http.StatusNotImplemented
}
