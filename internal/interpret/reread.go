package interpret

import (
	"context"
	"fmt"

	"github.com/makegood/makegood"
)

// reread reads the kept events of an order again and settles the order by what they tell now: a product that was missing
// in the catalogue may be there by now. It is for sources that cannot be asked; an event that cannot be read is left out,
// because its facts are known already. The events are given by their ids, in any order.
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
		if err != nil || len(reading.Facts) == 0 {
			continue
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
