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
// while it fails, up to half a minute: so long may whoever recovered wait for us.
const (
	failuresToRest = 5
	restFirst      = time.Second
	restMax        = 30 * time.Second
)

// breakers keeps one breaker for each destination, which is scheme, host and port.
type breakers struct {
	now     func() time.Time
	changed func(target string, resting bool)
	mu      sync.Mutex
	all     map[string]*breaker
}

// destinationsMax bounds the breakers; a program talks to a handful of hosts. Beyond it nothing rests.
const destinationsMax = 1000

// breaker leaves a destination alone that does not answer. It is closed (everything passes), resting (nothing passes), or
// trying (one request passes, and decides).
type breaker struct {
	failures int           // in a row
	rest     time.Duration // how long the present rest is; 0 when there is none
	until    time.Time     // when one may try
	trying   bool
}

// admit lets a request to target pass, or says how long to wait.
func (b *breakers) admit(target string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	d := b.all[target]
	if d == nil || d.rest == 0 {
		return nil
	}
	wait := d.until.Sub(b.now())
	if wait <= 0 && !d.trying {
		d.trying = true
		return nil
	}
	if d.trying {
		wait = restFirst // somebody is finding out
	}
	return &makegood.Snooze{For: max(wait, restFirst), Err: fmt.Errorf("%s: %w", target, ErrResting)}
}

// settle records how a request that was admitted ended.
func (b *breakers) settle(target string, failed bool) {
	b.mu.Lock()
	d := b.all[target]
	if d == nil {
		if !failed || len(b.all) >= destinationsMax {
			b.mu.Unlock()
			return
		}
		d = &breaker{}
		b.all[target] = d
	}
	wasResting := d.rest > 0
	d.trying = false
	if !failed {
		*d = breaker{}
	} else if d.failures++; d.failures >= failuresToRest {
		d.rest = min(max(2*d.rest, restFirst), restMax)
		d.until = b.now().Add(d.rest)
	}
	isResting := d.rest > 0
	b.mu.Unlock()
	if wasResting != isResting && b.changed != nil {
		b.changed(target, isResting)
	}
}

// abandon records that an admitted request ended without telling anything about the other side.
func (b *breakers) abandon(target string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if d := b.all[target]; d != nil {
		d.trying = false
	}
}

// isFailure reports whether an answer says that the other side is in trouble. "Too many requests" and refusals are the
// words of somebody who is well.
func isFailure(status int) bool {
	return status >= 500 && status != http.StatusNotImplemented
}
