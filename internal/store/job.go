package store

import (
	"context"

	"github.com/makegood/makegood"
)

// riverAttemptsMax is what River is told: as many attempts as its column holds. How often a job really runs is decided by
// our own worker, which keeps a dead letter before it gives up; River alone would discard in silence.
const riverAttemptsMax = 32767

// enqueue keeps a job for the queue in this transaction. It writes River's row itself: River's own insert costs three
// times as much on SQLite. A test compares the row with one that River inserted.
func (w *writing) enqueue(ctx context.Context, j makegood.Job) error {
	e := w.store.engine
	if w.after > 0 || w.behind {
		return w.enqueueLater(ctx, j)
	}
	err := w.Do(ctx, `
		INSERT INTO river_job (args, kind, max_attempts, queue, created_at, scheduled_at)
		VALUES (`+e.json("$1")+`, $2, $3, $4, `+e.moment()+`, `+e.moment()+`)`, j.Args(), j.Kind, riverAttemptsMax, j.Queue())
	if err != nil {
		return err
	}
	w.wake(j.Queue())
	return nil
}

// River's priorities run from 1, the default, to 4.
const priorityBehind = 4

// enqueueLater keeps a job that is due after a while, or that lets all others pass.
func (w *writing) enqueueLater(ctx context.Context, j makegood.Job) error {
	e := w.store.engine
	state, priority := "available", 1
	if w.after > 0 {
		state = "scheduled"
	}
	if w.behind {
		priority = priorityBehind
	}
	err := w.Do(ctx, `
		INSERT INTO river_job (args, kind, max_attempts, queue, created_at, scheduled_at, state, priority)
		VALUES (`+e.json("$1")+`, $2, $3, $4, `+e.moment()+`, `+e.momentAfter("$5")+`, $6, $7)`,
		j.Args(), j.Kind, riverAttemptsMax, j.Queue(), w.after.Seconds(), state, priority)
	if err == nil && w.after == 0 {
		w.wake(j.Queue())
	}
	return err
}

func (w *writing) wake(queue string) {
	if w.queues == nil {
		w.queues = make(map[string]bool, 1)
	}
	w.queues[queue] = true
}

// EnqueueJob keeps a job on its own. It is for a person's retry; what the program itself does keeps its jobs together with
// their cause.
func (s *Store) EnqueueJob(ctx context.Context, j makegood.Job) error {
	return s.write(ctx, func(w *writing) error { return w.enqueue(ctx, j) })
}

// ReleaseRunningJobs makes jobs available again that were running when their process died. On SQLite there is one
// process, so whatever runs at the start is dead. On PostgreSQL only the jobs of this node's name are released: those of
// other nodes may be alive, and the queue's rescuer takes up what they drop. It is called once, before the queue starts.
func (s *Store) ReleaseRunningJobs(ctx context.Context, node string) (int64, error) {
	var released int64
	err := s.write(ctx, func(w *writing) error {
		var err error
		if s.Engine() == "sqlite" {
			released, err = w.Exec(ctx, `UPDATE river_job SET state = 'available' WHERE state = 'running'`)
			return err
		}
		released, err = w.Exec(ctx, `
			UPDATE river_job
			SET state = 'available'
			WHERE state = 'running' AND attempted_by[array_length(attempted_by, 1)] = $1`, node)
		return err
	})
	return released, err
}

// QueueDepth is how many jobs of a queue wait or run.
type QueueDepth struct {
	Queue   string `json:"queue"`
	Waiting int64  `json:"waiting"` // due now or later
	Due     int64  `json:"due"`     // of those that wait, how many could run now
	Running int64  `json:"running"`
}

// QueueDepths counts the unfinished jobs of every queue that has any.
func (s *Store) QueueDepths(ctx context.Context) ([]QueueDepth, error) {
	var depths []QueueDepth
	err := s.read(ctx, func(tx Tx) error {
		rows, err := tx.Query(ctx, `
			SELECT queue, COUNT(*), SUM(CASE WHEN state = 'running' THEN 1 ELSE 0 END),
				SUM(CASE WHEN state = 'available' AND scheduled_at <= `+s.engine.moment()+` THEN 1 ELSE 0 END)
			FROM river_job
			WHERE state IN ('available', 'retryable', 'scheduled', 'running')
			GROUP BY queue
			ORDER BY queue`)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var d QueueDepth
			if err := rows.Scan(&d.Queue, &d.Waiting, &d.Running, &d.Due); err != nil {
				return err
			}
			d.Waiting -= d.Running
			depths = append(depths, d)
		}
		return rows.Err()
	})
	return depths, err
}

// HurryFailedJobs makes jobs due now that failed and wait for their next attempt, because what they failed on is well
// again. Jobs that wait because somebody asked them to are left alone.
func (s *Store) HurryFailedJobs(ctx context.Context) (int64, error) {
	return s.hurry(ctx, `state = 'retryable'`)
}

// HurryEvent makes the jobs due now that stand between an event and the goods of its order: the provider asks again, and
// that is a better moment than the one that was planned.
func (s *Store) HurryEvent(ctx context.Context, eventID, orderID string) (int64, error) {
	e := s.engine
	// What is due within seconds River calls available already.
	return s.hurry(ctx, `state IN ('retryable', 'scheduled', 'available') AND scheduled_at > `+e.moment()+` AND (`+e.jsonText("args", "event")+` = $1 AND $1 <> '' OR `+
		e.jsonText("args", "order")+` = $2 AND $2 <> '')`, eventID, orderID)
}

func (s *Store) hurry(ctx context.Context, where string, args ...any) (hurried int64, err error) {
	err = s.write(ctx, func(w *writing) error {
		hurried, err = w.Exec(ctx, `UPDATE river_job SET state = 'available', scheduled_at = `+s.engine.moment()+` WHERE `+where, args...)
		if hurried > 0 {
			w.wake(makegood.QueuePayments)
			w.wake(makegood.QueueEffects)
		}
		return err
	})
	return hurried, err
}
