package intake

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/makegood/makegood"
)

// The looks at an event whose goods are awaited: soon at first, because an idle system needs milliseconds, then rarely.
const (
	lookFirst = 5 * time.Millisecond
	lookMax   = 200 * time.Millisecond
)

// awaitGoods waits until the order of an event has its goods, and is an error when it has not in time: the provider then
// delivers again, and its dashboard shows red for as long as a customer waits (SPEC A2). again is set for a repetition,
// which is a good moment for everything that waits for its next attempt, or was given up.
func (i *Intake) awaitGoods(ctx context.Context, event makegood.Event, within time.Duration, again bool) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	for look := lookFirst; ; look = min(2*look, lookMax) {
		outcome, err := i.Store.OutcomeOf(ctx, event)
		if err != nil && ctx.Err() == nil {
			return fmt.Errorf("look what became of an event of %s: %w", event.Source, err)
		}
		switch {
		case err == nil && outcome.Settled():
			return nil
		case err == nil && again:
			again = false
			if !i.reviving.begin(outcome.EventID) {
				continue
			}
			err := i.Store.Revive(ctx, outcome)
			i.reviving.end()
			if err != nil {
				return fmt.Errorf("run again what an event of %s waits for: %w", event.Source, err)
			}
			continue
		case err == nil && outcome.GivenUp():
			return makegood.Errorf(makegood.NotFulfilled, "The event is kept, but its order could not be fulfilled: %s.", outcome.Trouble())
		}
		select {
		case <-ctx.Done():
			return makegood.Errorf(makegood.NotFulfilled, "The event is kept, but the goods were not out within %v. The next delivery looks again.", within)
		case <-time.After(look):
		}
	}
}

const (
	// reviveEvery is how often one event may have everything run again that it waits for, and revivesMax how many may at
	// once: providers repeat in masses when something is down, and live deliveries must not wait for that.
	reviveEvery = 10 * time.Second
	revivesMax  = 2
)

// reviving limits the revivals.
type reviving struct {
	now  func() time.Time
	mu   sync.Mutex
	at   map[string]time.Time
	open int
}

func newReviving(now func() time.Time) *reviving {
	return &reviving{now: now, at: map[string]time.Time{}}
}

// begin reports whether an event may be revived now; then end must follow.
func (r *reviving) begin(eventID string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.now()
	if last, ok := r.at[eventID]; r.open >= revivesMax || ok && now.Sub(last) < reviveEvery {
		return false
	}
	if len(r.at) > 10_000 { // those that are still remembered are revived once too often, and no harm is done
		clear(r.at)
	}
	r.at[eventID] = now
	r.open++
	return true
}

func (r *reviving) end() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.open--
}
