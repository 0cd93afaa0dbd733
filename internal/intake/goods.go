package intake

import (
	"context"
	"fmt"
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
			if err := i.Store.Revive(ctx, outcome); err != nil {
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
