package monitor

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/makegood/makegood"
)

// news is what the ledger is to hear about one key: a finding, or that there is none.
type news struct {
	finding *makegood.Finding
	why     string // it is cleared
}

// teller tells the ledger, away from the looks: a ledger that is slow or hangs delays none. Of a key that changes faster than
// the ledger listens, only the newest is told, because what is told is how things are and not what has changed. What the
// ledger did not take is told again until it does. What is not told when the program ends is not lost: the next start looks
// again, and says how it is then.
type teller struct {
	ledger Ledger
	log    *slog.Logger
	slots  chan struct{} // bounds the calls in flight
	all    sync.WaitGroup

	mu      sync.Mutex
	ctx     context.Context
	waiting map[string]news
	busy    map[string]bool // somebody tells of the key, and will look into waiting again
}

func newTeller(l Ledger, log *slog.Logger) *teller {
	return &teller{ledger: l, log: log, slots: make(chan struct{}, tellersMax), waiting: map[string]news{}, busy: map[string]bool{}}
}

// run lets what waits be told until ctx ends, and returns when nobody tells any more.
func (t *teller) run(ctx context.Context) {
	t.mu.Lock()
	t.ctx = ctx
	for key := range t.waiting {
		t.start(key)
	}
	t.mu.Unlock()
	<-ctx.Done()
	t.mu.Lock()
	t.ctx = nil // nobody starts any more
	t.mu.Unlock()
	t.all.Wait()
}

// tell takes the news and returns at once.
func (t *teller) tell(key string, n news) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.waiting[key] = n
	t.start(key)
}

// start is called under the lock. There is at most one goroutine for each key, so the ledger hears of one key in order.
func (t *teller) start(key string) {
	if t.ctx == nil || t.busy[key] {
		return
	}
	t.busy[key] = true
	ctx := t.ctx
	t.all.Go(func() { t.tellAll(ctx, key) })
}

// tellAll tells of a key until nothing is left to tell.
func (t *teller) tellAll(ctx context.Context, key string) {
	for wait := tellAgainFirst; ; wait = min(2*wait, tellAgainMax) {
		select {
		case t.slots <- struct{}{}:
		case <-ctx.Done():
			return
		}
		n, ok := t.take(key)
		if !ok {
			<-t.slots
			return
		}
		err := t.once(ctx, key, n)
		<-t.slots
		if err == nil {
			wait = tellAgainFirst / 2
			continue
		}
		if ctx.Err() != nil {
			return
		}
		if !errors.Is(err, ErrLater) {
			t.log.Warn("the ledger did not take what was found", "check", key, "err", err)
		}
		t.putBack(key, n)
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return
		}
		if errors.Is(err, ErrLater) {
			wait = tellAgainFirst / 2 // it has an end that is near, and nobody is to wait for it
		}
	}
}

func (t *teller) take(key string) (news, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n, ok := t.waiting[key]
	if ok {
		delete(t.waiting, key)
	} else {
		delete(t.busy, key)
	}
	return n, ok
}

// putBack keeps news that were not taken, unless there are newer.
func (t *teller) putBack(key string, n news) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, newer := t.waiting[key]; !newer {
		t.waiting[key] = n
	}
}

func (t *teller) once(ctx context.Context, key string, n news) error {
	ctx, cancel := context.WithTimeout(ctx, tellTimeout)
	defer cancel()
	if n.finding != nil {
		return t.ledger.Found(ctx, *n.finding)
	}
	return t.ledger.Cleared(ctx, key, n.why)
}
