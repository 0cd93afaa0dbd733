package store

import (
	"context"
	"fmt"
	"time"

	"github.com/makegood/makegood"
)

// This file answers what the server asks about its own books. Every answer reads few rows, by an index of its own, whatever
// the number of orders: TestBooksAreCheap shows the plans of both engines.

// owedSince is when the goods of an order became due: when it was paid, or, once they had been given, when something was
// asked for again.
const owedSince = `
	CASE WHEN fulfilled_at = 0 THEN paid_at ELSE (
		SELECT COALESCE(MAX(steps.owed_at), orders.fulfilled_at)
		FROM steps
		WHERE steps.order_id = orders.id AND (steps.state = 'owed' OR steps.state = 'failed')) END`

// OrdersOwed lists the orders that are paid for and entitled to their goods, and have not got them although the goods were
// due before a time, and the synthetic ones for which somebody has paid all the same: oldest first, at most makegood.ListMax. Of an order it reads its id, its key, where it stands, and as
// PaidAt the time at which its goods became due.
func (s *Store) OrdersOwed(ctx context.Context, before time.Time) ([]makegood.Order, error) {
	var owed []makegood.Order
	err := s.look(ctx, func(tx Tx) error {
		return each(ctx, tx, func(rows Rows) error {
			o := makegood.Order{Payment: makegood.PaymentPaid}
			var since int64
			err := rows.Scan(&o.ID, &o.Key.Source, &o.Key.Account, &o.Key.Live, &o.Key.SessionID, (*string)(&o.Payment),
				(*string)(&o.Entitlement), (*string)(&o.Fulfillment), &o.Reason, &since)
			o.PaidAt = fromMicros(since)
			owed = append(owed, o)
			return err
		}, `
			SELECT id, source, account, live, session_id, payment, entitlement, fulfillment, reason, since
			FROM (
				SELECT id, source, account, live, session_id, payment, entitlement, fulfillment, reason, `+owedSince+` AS since
				FROM orders
				WHERE entitlement = 'active' AND fulfillment <> 'fulfilled' AND paid_at > 0 AND paid_at < $1
				UNION ALL
				SELECT id, source, account, live, session_id, payment, entitlement, fulfillment, reason, paid_at AS since
				FROM orders
				WHERE synthetic AND fulfillment = 'stuck' AND paid_at < $1) AS owed
			WHERE since < $1
			ORDER BY since, id
			LIMIT `+fmt.Sprint(makegood.ListMax), micros(before))
	})
	return owed, err
}

// BooksBegan is when this database was made. What happened before is not ours to know.
func (s *Store) BooksBegan(ctx context.Context) (time.Time, error) {
	var began int64
	err := s.look(ctx, func(tx Tx) error {
		return tx.QueryRow(ctx, `SELECT COALESCE(MIN(applied_at), 0) FROM schema_migrations`).Scan(&began)
	})
	return fromMicros(began), err
}

// LastDelivery is when a source last delivered a new event, and the fingerprint of the secret that proved it. It is
// makegood.NotFound when it never did.
func (s *Store) LastDelivery(ctx context.Context, source string) (at time.Time, verifiedBy string, err error) {
	var received int64
	err = s.look(ctx, func(tx Tx) error {
		err := tx.QueryRow(ctx, `
			SELECT received_at, verified_by
			FROM events
			WHERE source = $1 AND verified_by <> 'api'
			ORDER BY source DESC, received_at DESC
			LIMIT 1`, source).Scan(&received, &verifiedBy)
		return notFound(err, "The source %q has delivered nothing yet.", source)
	})
	return fromMicros(received), verifiedBy, err
}

// deliveryStretch is what CountDeliveryStretches counts. A provider tells of one order in several events within seconds or a
// few minutes; together they say no more of its rhythm than one.
const deliveryStretch = 5 * time.Minute

// CountDeliveryStretches counts the stretches of five minutes, by the clock, in which a source delivered new events from one
// time until before another, up to most of them: whoever asks wants to know whether there are enough.
func (s *Store) CountDeliveryStretches(ctx context.Context, source string, from, until time.Time, most int) (n int, err error) {
	err = s.look(ctx, func(tx Tx) error {
		return tx.QueryRow(ctx, `
			SELECT COUNT(*)
			FROM (
				SELECT DISTINCT received_at / `+fmt.Sprint(deliveryStretch.Microseconds())+`
				FROM events
				WHERE source = $1 AND verified_by <> 'api' AND received_at >= $2 AND received_at < $3
				LIMIT `+fmt.Sprint(limit(most))+`) AS delivered`, source, micros(from), micros(until)).Scan(&n)
	})
	return n, err
}

// CountFailedEvents counts the events whose interpretation was given up since a time, and those whose last attempt failed
// since then and which wait for another. One that was given up and done again counts once for each letter that is there.
func (s *Store) CountFailedEvents(ctx context.Context, since time.Time) (n int, err error) {
	e := s.engine
	var waiting int
	err = s.look(ctx, func(tx Tx) error {
		err := tx.QueryRow(ctx, `
			SELECT COUNT(*)
			FROM dead_letters
			WHERE last_failed_at >= $1 AND kind = 'interpret'`, micros(since)).Scan(&n)
		if err != nil {
			return err
		}
		return tx.QueryRow(ctx, `
			SELECT COUNT(*)
			FROM river_job
			WHERE state = 'retryable' AND queue = $1 AND kind = 'interpret' AND attempted_at >= `+e.momentAfter("$2"),
			makegood.QueuePayments, since.Sub(s.now()).Seconds()).Scan(&waiting)
	})
	return n + waiting, err
}

// CountRecentDeadLetters counts the letters that were last kept since a time and are open still.
func (s *Store) CountRecentDeadLetters(ctx context.Context, since time.Time) (n int, err error) {
	err = s.look(ctx, func(tx Tx) error {
		return tx.QueryRow(ctx, `SELECT COUNT(*) FROM dead_letters WHERE last_failed_at >= $1 AND state = 'open'`, micros(since)).Scan(&n)
	})
	return n, err
}

// CountWaitingJobs counts the jobs of a queue that are neither done nor running, due now or later.
func (s *Store) CountWaitingJobs(ctx context.Context, queue string) (n int64, err error) {
	err = s.look(ctx, func(tx Tx) error {
		return tx.QueryRow(ctx, `
			SELECT COUNT(*)
			FROM river_job
			WHERE state IN ('available', 'retryable', 'scheduled') AND queue = $1`, queue).Scan(&n)
	})
	return n, err
}

// QueueAge is for how long the job of a queue waits that has been due longest, by the clock of the database; zero when none
// is due. Jobs that a person has put behind all others are not counted: they are to wait.
func (s *Store) QueueAge(ctx context.Context, queue string) (time.Duration, error) {
	var seconds float64
	err := s.look(ctx, func(tx Tx) error {
		for _, state := range []string{"available", "retryable", "scheduled"} {
			var waits float64
			err := tx.QueryRow(ctx, `
				SELECT COALESCE(`+s.engine.secondsSince("MIN(scheduled_at)")+`, 0)
				FROM river_job
				WHERE state = '`+state+`' AND queue = $1 AND priority = 1`, queue).Scan(&waits)
			if err != nil {
				return err
			}
			seconds = max(seconds, waits)
		}
		return nil
	})
	return time.Duration(seconds * float64(time.Second)), err
}

// StepTroubles lists the steps of a name whose last attempt failed and that are not done, owed still or given up: those tried
// last first, at most makegood.ListMax. What was given up stays for ever, and must not hide what fails now.
func (s *Store) StepTroubles(ctx context.Context, step string) ([]makegood.Step, error) {
	var steps []makegood.Step
	err := s.look(ctx, func(tx Tx) error {
		return each(ctx, tx, func(rows Rows) error {
			var at makegood.Step
			var owed, intent int64
			err := rows.Scan(&at.Name, (*string)(&at.State), &owed, &intent, &at.LastError, &at.Attempts)
			at.OwedAt, at.IntentAt = fromMicros(owed), fromMicros(intent)
			steps = append(steps, at)
			return err
		}, `
			SELECT name, state, owed_at, intent_at, last_error, attempts
			FROM steps
			WHERE name = $1 AND last_error <> '' AND (state = 'owed' OR state = 'failed')
			ORDER BY intent_at DESC
			LIMIT `+fmt.Sprint(makegood.ListMax), step)
	})
	return steps, err
}

// The bounds of slow_jobs.
const (
	// slowJobsKept is how long a slow run is told of: long enough to see what changes from month to month.
	slowJobsKept = 30 * 24 * time.Hour
	// slowJobsPerHour keeps a day on which everything is slow from adding to it. More of them say nothing new.
	slowJobsPerHour = 1000
)

// KeepSlowJob records a run that took too long, and forgets those of a month ago.
func (s *Store) KeepSlowJob(ctx context.Context, j makegood.Job, took time.Duration) error {
	return s.write(ctx, func(w *writing) error {
		var recent int
		err := w.QueryRow(ctx, `SELECT COUNT(*) FROM slow_jobs WHERE ended_at >= $1`, micros(w.now.Add(-time.Hour))).Scan(&recent)
		if err != nil || recent >= slowJobsPerHour {
			return err
		}
		if err := w.Do(ctx, `DELETE FROM slow_jobs WHERE ended_at < $1`, micros(w.now.Add(-slowJobsKept))); err != nil {
			return err
		}
		return w.Do(ctx, `
			INSERT INTO slow_jobs (id, ended_at, took, kind, queue, source, step, event_id, order_id, attempt)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`,
			w.newID(slowJobPrefix), micros(w.now), took.Microseconds(), j.Kind, j.Queue(), clean(j.Source), clean(j.Step), j.EventID,
			j.OrderID, j.Attempt.Number)
	})
}

const slowJobPrefix = "slo"

// SlowJob is one run that took too long.
type SlowJob struct {
	Job     makegood.Job
	Took    time.Duration
	EndedAt time.Time
}

// SlowJobs lists the runs that took too long and ended since a time, newest first, at most max of them and never more than
// makegood.ListMax.
func (s *Store) SlowJobs(ctx context.Context, since time.Time, max int) ([]SlowJob, error) {
	var slow []SlowJob
	err := s.look(ctx, func(tx Tx) error {
		return each(ctx, tx, func(rows Rows) error {
			var j SlowJob
			var ended, took int64
			err := rows.Scan(&ended, &took, &j.Job.Kind, &j.Job.Source, &j.Job.Step, &j.Job.EventID, &j.Job.OrderID, &j.Job.Attempt.Number)
			j.EndedAt, j.Took = fromMicros(ended), time.Duration(took)*time.Microsecond
			slow = append(slow, j)
			return err
		}, `
			SELECT ended_at, took, kind, source, step, event_id, order_id, attempt
			FROM slow_jobs
			WHERE ended_at >= $1
			ORDER BY ended_at DESC, id DESC
			LIMIT `+fmt.Sprint(limit(max)), micros(since))
	})
	return slow, err
}

// CountSlowJobs counts the runs that took too long and ended since a time, and tells how long the slowest took.
func (s *Store) CountSlowJobs(ctx context.Context, since time.Time) (n int, slowest time.Duration, err error) {
	var took int64
	err = s.look(ctx, func(tx Tx) error {
		return tx.QueryRow(ctx, `SELECT COUNT(*), COALESCE(MAX(took), 0) FROM slow_jobs WHERE ended_at >= $1`, micros(since)).Scan(&n, &took)
	})
	return n, time.Duration(took) * time.Microsecond, err
}
