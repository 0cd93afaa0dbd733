package store

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/makegood/makegood"
)

// historyMax bounds the attempts that a letter tells of; the oldest are left out.
const historyMax = 200

// KeepDeadLetter records that a job was given up. For an event it copies source, type and payload and marks the event
// dead; for a step it marks the step failed and the order stuck, through settle, in the same commit. Keeping the letter of
// the same job again writes it over; one that a person had done again is opened again, with its history continued.
func (s *Store) KeepDeadLetter(ctx context.Context, d makegood.DeadLetter, settle func(*makegood.Order) []makegood.Entry) error {
	return s.write(ctx, func(w *writing) error {
		d := d // a transaction may run again
		if err := w.describe(ctx, &d); err != nil {
			return err
		}
		if err := w.continued(ctx, &d); err != nil {
			return err
		}
		history, err := json.Marshal(d.History)
		if err != nil {
			return fmt.Errorf("encode the attempts of a dead letter: %w", err)
		}
		if err := w.Do(ctx, `
			INSERT INTO dead_letters (id, kind, event_id, order_id, step, source, type, payload, error, attempts,
				first_failed_at, last_failed_at, state, reason, history)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, 'open', $13, $14)
			ON CONFLICT (kind, event_id, order_id, step) DO UPDATE
			SET error = excluded.error, attempts = excluded.attempts, first_failed_at = excluded.first_failed_at,
				last_failed_at = excluded.last_failed_at, state = 'open', reason = excluded.reason, history = excluded.history`,
			w.newID(makegood.DeadLetterPrefix), d.Job.Kind, d.Job.EventID, d.Job.OrderID, d.Job.Step, d.Source, d.Type,
			d.Payload, clean(d.Error), d.Attempts, micros(d.FirstFailedAt), micros(d.LastFailedAt), string(d.Reason),
			clean(string(history))); err != nil {
			return err
		}
		if d.Job.Kind == makegood.JobInterpret {
			return w.Do(ctx, `UPDATE events SET state = 'dead', note = $2 WHERE id = $1 AND state = 'kept'`,
				d.Job.EventID, clean(d.Error))
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

// continued puts what an earlier letter of the same job tells before the new attempts.
func (w *writing) continued(ctx context.Context, d *makegood.DeadLetter) error {
	var state, text string
	var first int64
	var attempts int
	err := w.QueryRow(ctx, `
		SELECT state, history, attempts, first_failed_at
		FROM dead_letters
		WHERE kind = $1 AND event_id = $2 AND order_id = $3 AND step = $4`+w.store.engine.forUpdate(),
		d.Job.Kind, d.Job.EventID, d.Job.OrderID, d.Job.Step).Scan(&state, &text, &attempts, &first)
	if err == makegood.NotFound {
		return nil
	}
	if err != nil {
		return err
	}
	var earlier []makegood.FailedAttempt
	if err := json.Unmarshal([]byte(text), &earlier); err != nil {
		return err
	}
	// After a crash the same letter is kept again: what it tells already is not what came before it.
	earlier = slices.DeleteFunc(earlier, func(a makegood.FailedAttempt) bool { return !a.At.Before(d.FirstFailedAt) })
	if len(earlier) == 0 {
		return nil
	}
	d.History = append(earlier, d.History...)
	if len(d.History) > historyMax {
		d.History = d.History[len(d.History)-historyMax:]
	}
	if makegood.DeadState(state) == makegood.DeadOpen {
		d.Attempts = max(attempts, len(d.History))
	} else {
		d.Attempts += attempts
	}
	d.FirstFailedAt = fromMicros(first)
	return nil
}

// DeadLetterFilter narrows a listing. The zero value lists everything, newest first.
type DeadLetterFilter struct {
	State  makegood.DeadState
	Source string
	Type   string // the event's type or the step's name
	Reason makegood.DeadReason
	Since  time.Time // given up at or after
	Until  time.Time // given up before
	After  string    // only letters whose id sorts after this one: the next page, oldest first
	// OldestFirst turns the order of the listing.
	OldestFirst bool
	Limit       int // at most makegood.ListMax, which 0 means too
}

const deadLetterColumns = `id, kind, event_id, order_id, step, source, type, error, attempts, first_failed_at, last_failed_at,
	state, reason, history, retries, retried_at`

func scanDeadLetter(row Row, more ...any) (makegood.DeadLetter, error) {
	var d makegood.DeadLetter
	var first, last, retried int64
	var history string
	err := row.Scan(append([]any{&d.ID, &d.Job.Kind, &d.Job.EventID, &d.Job.OrderID, &d.Job.Step, &d.Source, &d.Type,
		&d.Error, &d.Attempts, &first, &last, (*string)(&d.State), (*string)(&d.Reason), &history, &d.Retries, &retried}, more...)...)
	if err != nil {
		return d, err
	}
	if d.Job.Kind == makegood.JobInterpret {
		d.Job.Source = d.Source
	}
	d.FirstFailedAt, d.LastFailedAt, d.RetriedAt = fromMicros(first), fromMicros(last), fromMicros(retried)
	return d, json.Unmarshal([]byte(history), &d.History)
}

// DeadLetters lists what was given up, newest first, without payloads.
func (s *Store) DeadLetters(ctx context.Context, f DeadLetterFilter) ([]makegood.DeadLetter, error) {
	var where conditions
	where.equalKnown("state", string(f.State), string(makegood.DeadOpen))
	where.equal("source", f.Source)
	where.equal("type", f.Type)
	where.equal("reason", string(f.Reason))
	if !f.Since.IsZero() {
		where.compare("last_failed_at >=", micros(f.Since))
	}
	if !f.Until.IsZero() {
		where.compare("last_failed_at <", micros(f.Until))
	}
	if f.After != "" {
		where.compare("id >", f.After)
	}
	rest := where.newestFirst(f.Limit)
	if f.OldestFirst {
		rest = where.oldestFirst(f.Limit)
	}
	var letters []makegood.DeadLetter
	err := s.read(ctx, func(tx Tx) error {
		return each(ctx, tx, func(rows Rows) error {
			d, err := scanDeadLetter(rows)
			letters = append(letters, d)
			return err
		}, `SELECT `+deadLetterColumns+` FROM dead_letters`+rest, where.args...)
	})
	return letters, err
}

// DeadLetter returns one letter with its payload. It is makegood.NotFound when there is none.
func (s *Store) DeadLetter(ctx context.Context, id string) (d makegood.DeadLetter, err error) {
	err = s.read(ctx, func(tx Tx) error {
		var payload []byte
		d, err = scanDeadLetter(tx.QueryRow(ctx, `SELECT `+deadLetterColumns+`, payload FROM dead_letters WHERE id = $1`, id), &payload)
		d.Payload = payload
		return notFound(err, "There is no dead letter %q.", id)
	})
	return d, err
}

// Rerun says how a dead letter is done again.
type Rerun struct {
	Actor string // who asked, for the audit
	// Anew gives up the caution about attempts of which nobody knows how they ended.
	Anew bool
	// After is how long its job waits first, and Behind puts it behind all other work: many letters are done again without
	// being in the way of what is paid for now.
	After  time.Duration
	Behind bool
}

// RetryDeadLetter has the job of an open letter run again, and reports false when the letter was not open: whoever else
// retried it was first. The letter stays, marked as retried, and is opened again if the job is given up once more.
func (s *Store) RetryDeadLetter(ctx context.Context, id string, how Rerun, settle func(*makegood.Order) []makegood.Entry) (retried bool, err error) {
	err = s.write(ctx, func(w *writing) error {
		w.after, w.behind = how.After, how.Behind
		n, err := w.Exec(ctx, `
			UPDATE dead_letters
			SET state = 'retried', retries = retries + 1, retried_at = $2
			WHERE id = $1 AND state = 'open'`, id, micros(w.now))
		if retried = n == 1; err != nil || !retried {
			return err
		}
		d, err := scanDeadLetter(w.QueryRow(ctx, `SELECT `+deadLetterColumns+` FROM dead_letters WHERE id = $1`, id))
		if err != nil {
			return err
		}
		if err := w.record(ctx, d.Job.OrderID, how.Actor, []makegood.Entry{{Action: "dead_letter.retried", Target: id,
			Before: string(makegood.DeadOpen), After: string(makegood.DeadRetried)}}); err != nil {
			return err
		}
		if d.Job.Kind == makegood.JobInterpret {
			if err := w.Do(ctx, `UPDATE events SET state = 'kept', note = '' WHERE id = $1 AND state = 'dead'`, d.Job.EventID); err != nil {
				return err
			}
			return w.enqueue(ctx, d.Job)
		}
		_, err = w.amend(ctx, makegood.Amendment{
			OrderID: d.Job.OrderID,
			Actor:   how.Actor,
			Change: func(o *makegood.Order, _ func(string) bool) ([]makegood.Entry, error) {
				o.Again(d.Job.Step, how.Anew, w.now)
				return settle(o), nil
			},
		})
		return err
	})
	return retried && err == nil, err
}

// DiscardDeadLetter records that a person decided that the job of an open letter is not needed, and reports false when the
// letter was not open. A step is marked as discarded, an event as unhandled with the reason: nobody waits for them any more.
func (s *Store) DiscardDeadLetter(ctx context.Context, id, actor, why string, settle func(*makegood.Order) []makegood.Entry) (discarded bool, err error) {
	err = s.write(ctx, func(w *writing) error {
		n, err := w.Exec(ctx, `UPDATE dead_letters SET state = 'discarded' WHERE id = $1 AND state = 'open'`, id)
		if discarded = n == 1; err != nil || !discarded {
			return err
		}
		d, err := scanDeadLetter(w.QueryRow(ctx, `SELECT `+deadLetterColumns+` FROM dead_letters WHERE id = $1`, id))
		if err != nil {
			return err
		}
		if err := w.record(ctx, d.Job.OrderID, actor, []makegood.Entry{{Action: "dead_letter.discarded", Target: id,
			Before: string(makegood.DeadOpen), After: string(makegood.DeadDiscarded) + ": " + clean(why)}}); err != nil {
			return err
		}
		if d.Job.Kind == makegood.JobInterpret {
			return w.Do(ctx, `
				UPDATE events
				SET state = 'unhandled', note = $2, handled_at = $3
				WHERE id = $1 AND state = 'dead'`, d.Job.EventID, "Discarded by "+actor+": "+clean(why), micros(w.now))
		}
		_, err = w.amend(ctx, makegood.Amendment{
			OrderID: d.Job.OrderID,
			Actor:   actor,
			Change: func(o *makegood.Order, _ func(string) bool) ([]makegood.Entry, error) {
				o.Discard(d.Job.Step)
				return settle(o), nil
			},
		})
		return err
	})
	return discarded && err == nil, err
}

// CountDeadLetters counts the open ones.
func (s *Store) CountDeadLetters(ctx context.Context) (n int, err error) {
	err = s.look(ctx, func(tx Tx) error {
		return tx.QueryRow(ctx, `SELECT COUNT(*) FROM dead_letters WHERE state = 'open'`).Scan(&n)
	})
	return n, err
}

// Revive has everything run now that stands between an event and the goods of its order: what waits for its next attempt,
// and what was given up. Twice is once.
func (s *Store) Revive(ctx context.Context, o makegood.Outcome, actor string, settle func(*makegood.Order) []makegood.Entry) error {
	var letters []string
	err := s.look(ctx, func(tx Tx) error {
		return each(ctx, tx, func(rows Rows) error {
			var id string
			err := rows.Scan(&id)
			letters = append(letters, id)
			return err
		}, `
			SELECT id
			FROM dead_letters
			WHERE state = 'open' AND (event_id = $1 AND $1 <> '' OR order_id = $2 AND $2 <> '')
			LIMIT 100`, o.EventID, o.OrderID)
	})
	if err != nil {
		return err
	}
	for _, id := range letters {
		if _, err := s.RetryDeadLetter(ctx, id, Rerun{Actor: actor}, settle); err != nil {
			return err
		}
	}
	_, err = s.HurryEvent(ctx, o.EventID, o.OrderID)
	return err
}
