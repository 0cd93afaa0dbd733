package interpret

import (
	"context"
	"errors"
	"fmt"

	"github.com/makegood/makegood"
)

// reread reads the kept events of an order again and settles the order by what they tell now: a product that was missing
// in the catalogue may be there by now. It is for sources that cannot be asked. An event that no repetition could read is
// left out: it told its facts before, or has a dead letter of its own. Any other trouble is returned, because what it hides
// may be what the order waits for. The events are given by their ids, in any order.
func (i *Interpreter) reread(ctx context.Context, actor string, events []string) error {
	for _, id := range events {
		event, err := i.Store.Event(ctx, id)
		if err != nil {
			return err
		}
		source, ok := i.Sources[event.Source]
		if !ok {
			return fmt.Errorf("source %q of event %s is not configured any more", event.Source, event.ID)
		}
		reading, err := source.Interpret(ctx, event)
		var permanent *makegood.Permanent
		if errors.As(err, &permanent) || err == nil && len(reading.Facts) == 0 {
			continue
		}
		if err != nil {
			return fmt.Errorf("read event %s again: %w", event.ID, err)
		}
		if _, err := i.Learn(ctx, actor, "", reading.Facts); err != nil {
			return err
		}
	}
	return nil
}

// settle is Learn without facts.
func (i *Interpreter) settle(ctx context.Context, actor, orderID string) (makegood.Order, error) {
	return i.Store.AmendOrder(ctx, makegood.Amendment{OrderID: orderID, Actor: actor,
		Change: func(o *makegood.Order, keyTaken func(string) bool) ([]makegood.Entry, error) {
			return o.Settle(i.Terms(keyTaken)), nil
		}})
}

// Resettle rereads the events of an order and settles it, and returns it as it is then.
func (i *Interpreter) Resettle(ctx context.Context, actor, orderID string, events []string) (makegood.Order, error) {
	if err := i.reread(ctx, actor, events); err != nil {
		return makegood.Order{}, err
	}
	return i.settle(ctx, actor, orderID)
}
