package store

import (
	"context"
	"fmt"
	"time"

	"github.com/makegood/makegood"
)

// Intend records that an effect is about to be attempted, and keeps what will be sent: made by the first call, returned as
// it was kept by every later one. The step it returns says where the effect stands; when its state is not StepOwed nothing
// is to be done. An effect that is not owed any more, because the money went back, is withdrawn, and settle settles that.
//
// A crash after Intend leaves an intent without a receipt: the next attempt cannot know whether the effect happened.
func (s *Store) Intend(ctx context.Context, orderID, step string, settle func(*makegood.Order) []makegood.Entry,
	message func(makegood.Order) ([]byte, error)) (kept []byte, at makegood.Step, err error) {
	// The order is read and its message made before the transaction, which everybody else waits for. Should the money go
	// back in between, the transaction sees it.
	var o *makegood.Order
	err = s.look(ctx, func(tx Tx) error {
		o, err = loadOrder(ctx, tx, `id = $1`, orderID)
		return notFound(err, "There is no order %q.", orderID)
	})
	if err != nil {
		return nil, at, err
	}
	known := o.Step(step)
	if known == nil {
		return nil, at, &makegood.Permanent{Err: fmt.Errorf("order %s has no step %q", orderID, step)}
	}
	if known.State != makegood.StepOwed {
		return nil, *known, nil
	}
	if o.Waits(step) {
		return nil, at, &makegood.Snooze{For: turnWait, Err: fmt.Errorf("an earlier step of order %s comes first", orderID)}
	}
	if !o.Due(step) {
		at, err = s.withdraw(ctx, orderID, step, settle)
		return nil, at, err
	}
	var made []byte
	if known.IntentAt.IsZero() {
		if made, err = message(*o); err != nil {
			return nil, at, err
		}
	}
	var due bool
	err = s.write(ctx, func(w *writing) error {
		kept, at, due, err = w.intend(ctx, orderID, step, made)
		return err
	})
	if err == nil && at.State == makegood.StepOwed && !due {
		at, err = s.withdraw(ctx, orderID, step, settle)
	}
	return kept, at, err
}

// turnWait is how long a step waits for its turn before it looks again.
const turnWait = 3 * time.Second

// intend counts the attempt and keeps the message, unless the goods may not leave.
func (w *writing) intend(ctx context.Context, orderID, name string, made []byte) (kept []byte, step makegood.Step, due bool, err error) {
	var standing makegood.Order
	var owed, intent, uncertain, done int64
	err = w.QueryRow(ctx, `
		SELECT steps.name, steps.state, steps.owed_at, steps.intent_at, steps.uncertain_since, steps.done_at, steps.receipt,
			steps.last_error, steps.attempts, steps.round, orders.entitlement,
			orders.synthetic
		FROM steps
		JOIN orders ON orders.id = steps.order_id
		WHERE steps.order_id = $1 AND steps.name = $2`+w.store.engine.forUpdate(), orderID, name).
		Scan(&step.Name, (*string)(&step.State), &owed, &intent, &uncertain, &done, &step.Receipt, &step.LastError,
			&step.Attempts, &step.Round, (*string)(&standing.Entitlement), &standing.Synthetic)
	if err != nil {
		return nil, step, false, err
	}
	due = standing.Due(name)
	step.OwedAt, step.IntentAt, step.DoneAt = fromMicros(owed), fromMicros(intent), fromMicros(done)
	step.UncertainSince = fromMicros(uncertain)
	if step.State != makegood.StepOwed || !due {
		return nil, step, due, nil
	}
	isFirst := step.Attempts == 0
	step.Begin(w.now.Truncate(time.Microsecond))
	if err := w.Do(ctx, `
		UPDATE steps
		SET attempts = $3, intent_at = $4, uncertain_since = $5
		WHERE order_id = $1 AND name = $2`,
		orderID, name, step.Attempts, micros(step.IntentAt), micros(step.UncertainSince)); err != nil {
		return nil, step, due, err
	}
	if isFirst {
		return made, step, due, w.Do(ctx, `
			INSERT INTO outgoing (order_id, step, message, made_at)
			VALUES ($1, $2, $3, $4)`, orderID, name, made, micros(w.now))
	}
	err = w.QueryRow(ctx, `SELECT message FROM outgoing WHERE order_id = $1 AND step = $2`, orderID, name).Scan(&kept)
	return kept, step, due, err
}

// withdraw records that an effect is not owed any more, and returns the step as it is then.
func (s *Store) withdraw(ctx context.Context, orderID, step string, settle func(*makegood.Order) []makegood.Entry) (makegood.Step, error) {
	o, err := s.AmendOrder(ctx, makegood.Amendment{
		OrderID: orderID,
		Actor:   "system:effects",
		Change: func(o *makegood.Order, _ func(string) bool) ([]makegood.Entry, error) {
			entries := settle(o) // what is kept may be older than a policy, or than a refund that failed
			if o.Due(step) {
				return entries, nil
			}
			o.Withdraw(step)
			return append(entries, settle(o)...), nil
		},
	})
	if err != nil {
		return makegood.Step{}, err
	}
	at := *o.Step(step)
	if at.State == makegood.StepOwed { // it is due after all: the next run sees that
		return at, &makegood.Snooze{For: time.Second, Err: fmt.Errorf("order %s changed at the same moment", orderID)}
	}
	return at, nil
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
