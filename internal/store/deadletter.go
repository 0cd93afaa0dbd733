package store

import (
	"context"

	"github.com/makegood/makegood"
)

// KeepDeadLetter records that a job was given up. For an event it copies source, type and payload and marks the event
// dead; for a step it marks the step failed and the order stuck, through settle, in the same commit. Keeping the letter of
// the same job again updates its error and count.
func (s *Store) KeepDeadLetter(ctx context.Context, d makegood.DeadLetter, settle func(*makegood.Order) []makegood.Entry) error {
	return s.write(ctx, func(w *writing) error {
		if err := w.describe(ctx, &d); err != nil {
			return err
		}
		_, err := w.Exec(ctx, `
			INSERT INTO dead_letters (id, kind, event_id, order_id, step, source, type, payload, error, attempts,
				first_failed_at, last_failed_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
			ON CONFLICT (kind, event_id, order_id, step) DO UPDATE
			SET error = excluded.error, attempts = excluded.attempts, last_failed_at = excluded.last_failed_at`,
			w.newID(makegood.DeadLetterPrefix), d.Job.Kind, d.Job.EventID, d.Job.OrderID, d.Job.Step, d.Source, d.Type,
			d.Payload, clean(d.Error), d.Attempts, micros(d.FirstFailedAt), micros(d.LastFailedAt))
		if err != nil {
			return err
		}
		if d.Job.Kind == makegood.JobInterpret {
			_, err = w.Exec(ctx, `UPDATE events SET state = 'dead', note = $2 WHERE id = $1 AND state = 'kept'`,
				d.Job.EventID, clean(d.Error))
			return err
		}
		_, err = w.amend(ctx, makegood.Amendment{
			OrderID: d.Job.OrderID,
			Actor:   "system:queue",
			Change: func(o *makegood.Order, _ func(string) bool) ([]makegood.Entry, error) {
				o.Fail(d.Job.Step, d.Error)
				return settle(o), nil
			},
		})
		return err
	})
}

// describe fills in what a person needs to see from the event the job was about.
func (w *writing) describe(ctx context.Context, d *makegood.DeadLetter) error {
	if d.Job.Kind != makegood.JobInterpret {
		d.Type = d.Job.Step
		return nil
	}
	err := w.QueryRow(ctx, `SELECT source, type, payload FROM events WHERE id = $1`, d.Job.EventID).
		Scan(&d.Source, &d.Type, &d.Payload)
	if err == makegood.NotFound {
		return nil // a job without its event: the letter is all there is
	}
	return err
}

// DeadLetters lists what was given up, newest first, without payloads.
func (s *Store) DeadLetters(ctx context.Context, max int) ([]makegood.DeadLetter, error) {
	var letters []makegood.DeadLetter
	err := s.read(ctx, func(tx Tx) error {
		rows, err := tx.Query(ctx, `
			SELECT id, kind, event_id, order_id, step, source, type, error, attempts, first_failed_at, last_failed_at
			FROM dead_letters
			ORDER BY id DESC
			LIMIT $1`, limit(max))
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var d makegood.DeadLetter
			var first, last int64
			if err := rows.Scan(&d.ID, &d.Job.Kind, &d.Job.EventID, &d.Job.OrderID, &d.Job.Step, &d.Source, &d.Type,
				&d.Error, &d.Attempts, &first, &last); err != nil {
				return err
			}
			d.FirstFailedAt, d.LastFailedAt = fromMicros(first), fromMicros(last)
			letters = append(letters, d)
		}
		return rows.Err()
	})
	return letters, err
}
