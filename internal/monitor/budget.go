package monitor

import (
	"context"
	"sync"
)

// place is a look's share of what may be under way at once. There are two lanes, so that what hangs cannot use up the room of
// what is quick.
type place struct {
	mu   sync.Mutex
	lane chan struct{} // nil when it has none
}

// enter waits for room. A monitor whose last look was slow waits among its like. What is local opens no connection and needs
// no room.
func (r *Runner) enter(ctx context.Context, local, slow bool) (*place, error) {
	if local {
		return &place{}, nil
	}
	lane := r.quick
	if slow {
		lane = r.slow
	}
	select {
	case lane <- struct{}{}:
		return &place{lane: lane}, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// move takes a look that turns out to be slow from the quick lane to the slow one. When that is full it stays where it is and
// may try again: a hard bound on connections is worth more than the pace of what is quick, and it is needed only when more
// things than looksSlowMax hang at once.
func (p *place) move(quick, slow chan struct{}) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.lane != quick {
		return true
	}
	select {
	case slow <- struct{}{}:
		<-p.lane
		p.lane = slow
		return true
	default:
		return false
	}
}

func (p *place) leave() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.lane != nil {
		<-p.lane
		p.lane = nil
	}
}
