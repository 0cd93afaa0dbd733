package monitor

import (
	"context"
	"sync"
	"time"

	"github.com/makegood/makegood/internal/probe"
)

// network is our own way out. A red look from a machine whose cable is cut says nothing about what it looked at.
//
// We can see when any one of the targets is well; they belong to several owners, so that none of them is our judge alone.
type network struct {
	targets []probe.Prober
	now     func() time.Time
	changed func(blind bool) // in order, and never twice the same; not under the lock
	poke    chan struct{}    // whoever watches the network should look sooner

	mu       sync.Mutex
	asking   *asking
	last     *asking    // the newest that has ended
	blind    bool       // since dark
	dark     time.Time  // when the present blindness was noticed
	from, to time.Time  // the last blindness that is over
	misses   int        // checks in a row that saw nothing
	told     bool       // there is a finding of it
	turn     sync.Mutex // held while a change is told
}

// asking is one question to all targets, which many may wait for.
type asking struct {
	began time.Time
	done  chan struct{}
	sees  bool // valid when done is closed
}

// sees reports whether we can see, as of a question that began no earlier than notBefore. Many who ask share one question. It
// takes at most networkTimeout, twice.
func (n *network) sees(ctx context.Context, notBefore time.Time) bool {
	if len(n.targets) == 0 {
		return true
	}
	for {
		n.mu.Lock()
		if n.last != nil && !n.last.began.Before(notBefore) {
			defer n.mu.Unlock()
			return n.last.sees
		}
		a := n.asking
		if a == nil {
			a = &asking{began: time.Now(), done: make(chan struct{})}
			n.asking = a
			n.mu.Unlock()
			n.ask(ctx, a)
			continue
		}
		n.mu.Unlock()
		<-a.done // ends: whoever asks is bounded by networkTimeout
	}
}

// ask asks all targets at once, and is content with the first that answers.
func (n *network) ask(ctx context.Context, a *asking) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), networkTimeout)
	answers := make(chan bool, len(n.targets)) // each sends one, also when nobody waits any more
	for _, target := range n.targets {
		go func() { answers <- target.Look(ctx).Green() }()
	}
wait:
	for range n.targets {
		select {
		case a.sees = <-answers:
			if a.sees {
				break wait
			}
		case <-ctx.Done(): // a target that does not keep its time is not waited for
			break wait
		}
	}
	cancel()
	n.settle(a)
}

func (n *network) settle(a *asking) {
	n.turn.Lock() // changes are told in the order in which they are found
	defer n.turn.Unlock()
	n.mu.Lock()
	was := n.blind
	n.asking, n.last, n.blind = nil, a, !a.sees
	now := n.now()
	switch {
	case a.sees:
		n.misses = 0
		if was {
			n.from, n.to = n.dark, now
		}
	default:
		n.misses++
		if !was {
			n.dark = now
		}
	}
	blind := n.blind
	n.mu.Unlock()
	if blind != was {
		n.changed(blind)
		select {
		case n.poke <- struct{}{}:
		default: // it was poked already
		}
	}
	close(a.done)
}

// state is for people and for beats.
func (n *network) state() (blind bool, since time.Time) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.blind {
		return false, time.Time{}
	}
	return true, n.dark
}

// wasBlind reports whether we were blind at any time since then.
func (n *network) wasBlind(since time.Time) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.blind || n.to.After(since)
}

// believed reports whether the blindness has lasted for several checks: then it is told.
func (n *network) believed() (since time.Time, ok bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.dark, n.blind && n.misses >= blindMisses && n.now().Sub(n.dark) >= blindFor
}
