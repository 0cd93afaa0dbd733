package store

import (
	"context"
	"fmt"

	"github.com/makegood/makegood"
)

// Intend records that an effect is about to be attempted, and keeps what will be sent: made once by the first call,
// returned as it was kept by every later one. The step it returns says where the effect stands; when its state is not
// StepOwed nothing was recorded and there is nothing to do.
//
// A crash after Intend leaves an intent without a receipt: the next attempt cannot know whether the effect happened.
func (s *Store) Intend(ctx context.Context, orderID, step string, settle func(*makegood.Order) []makegood.Entry,
	message func(makegood.Order) ([]byte, error)) (kept []byte, at makegood.Step, err error) {
	err = s.write(ctx, func(w *writing) error {
		kept = nil
		o, err := w.amend(ctx, makegood.Amendment{
			OrderID: orderID,
			Actor:   "system:effects",
			Change: func(o *makegood.Order, _ func(string) bool) ([]makegood.Entry, error) {
				return begin(o, step, w, settle), nil
			},
		})
		if err != nil {
			return err
		}
		known := o.Step(step)
		if known == nil {
			return &makegood.Permanent{Err: fmt.Errorf("order %s has no step %q", orderID, step)}
		}
		at = *known
		if at.State != makegood.StepOwed {
			return nil
		}
		kept, err = w.outgoing(ctx, *o, step, message)
		return err
	})
	return kept, at, err
}

// begin counts the attempt, or withdraws the step if it is not owed any more.
func begin(o *makegood.Order, name string, w *writing, settle func(*makegood.Order) []makegood.Entry) []makegood.Entry {
	step := o.Step(name)
	if step == nil || step.State != makegood.StepOwed {
		return nil
	}
	if o.Entitlement() != makegood.EntitledFully {
		o.Withdraw(name)
		return settle(o)
	}
	step.Begin(w.now)
	return nil
}

func (w *writing) outgoing(ctx context.Context, o makegood.Order, step string, message func(makegood.Order) ([]byte, error)) ([]byte, error) {
	var kept []byte
	err := w.QueryRow(ctx, `SELECT message FROM outgoing WHERE order_id = $1 AND step = $2`, o.ID, step).Scan(&kept)
	if err != makegood.NotFound {
		return kept, err
	}
	made, err := message(o)
	if err != nil {
		return nil, err
	}
	_, err = w.Exec(ctx, `
		INSERT INTO outgoing (order_id, step, message, made_at)
		VALUES ($1, $2, $3, $4)`, o.ID, step, made, micros(w.now))
	return made, err
}

// Outgoing returns what was or will be sent for a step, byte for byte.
func (s *Store) Outgoing(ctx context.Context, orderID, step string) ([]byte, error) {
	var kept []byte
	err := s.read(ctx, func(tx Tx) error {
		err := tx.QueryRow(ctx, `SELECT message FROM outgoing WHERE order_id = $1 AND step = $2`, orderID, step).Scan(&kept)
		return notFound(err, "Nothing was sent for this step yet.")
	})
	return kept, err
}
