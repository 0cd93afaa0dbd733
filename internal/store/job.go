package store

import (
	"context"
	"fmt"

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
//
// It also ends the term of a dead leader, who alone makes jobs available that are due later: River would wait 15 seconds.
func (s *Store) ReleaseRunningJobs(ctx context.Context, node string) (int64, error) {
	var released int64
	err := s.write(ctx, func(w *writing) error {
		var err error
		if s.Engine() == "sqlite" {
			if err := w.Do(ctx, `DELETE FROM river_leader`); err != nil {
				return err
			}
			released, err = w.Exec(ctx, `UPDATE river_job SET state = 'available' WHERE state = 'running'`)
			return err
		}
		if err := w.Do(ctx, `DELETE FROM river_leader WHERE leader_id = $1`, node); err != nil {
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
	Running int64  `json:"running"`
}

// QueueDepths counts the unfinished jobs of every queue that has any.
func (s *Store) QueueDepths(ctx context.Context) ([]QueueDepth, error) {
	var depths []QueueDepth
	err := s.read(ctx, func(tx Tx) error {
		rows, err := tx.Query(ctx, `
			SELECT queue, COUNT(*), SUM(CASE WHEN state = 'running' THEN 1 ELSE 0 END)
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
			if err := rows.Scan(&d.Queue, &d.Waiting, &d.Running); err != nil {
				return err
			}
			d.Waiting -= d.Running
			depths = append(depths, d)
		}
		return rows.Err()
	})
	return depths, err
}

// BusyJobs counts the jobs that run, or could run now. When it is 0, nothing happens by itself before a retry is due.
func (s *Store) BusyJobs(ctx context.Context) (n int, err error) {
	err = s.look(ctx, func(tx Tx) error {
		return tx.QueryRow(ctx, `
			SELECT COUNT(*)
			FROM river_job
			WHERE state = 'running' OR state = 'available' AND scheduled_at <= `+s.engine.moment()).Scan(&n)
	})
	return n, err
}

// RunningJobs counts the jobs that some worker has now, on any node.
func (s *Store) RunningJobs(ctx context.Context) (n int, err error) {
	err = s.look(ctx, func(tx Tx) error {
		return tx.QueryRow(ctx, `SELECT COUNT(*) FROM river_job WHERE state = 'running'`).Scan(&n)
	})
	return n, err
}

// hurryMax bounds the jobs that are brought forward at once: what waits for longer than that comes by its own time.
const hurryMax = 500

// HurryFailedJobs makes jobs due now that failed at one destination and wait for their next attempt, because it is well
// again: those that interpret events of the source, or those that bring about the step, whichever is given. Jobs that wait
// because somebody asked them to are left alone, and so are all but the oldest few hundred: they come by themselves.
func (s *Store) HurryFailedJobs(ctx context.Context, source, step string) (int64, error) {
	e := s.engine
	return s.hurry(ctx, `state = 'retryable' AND (`+e.jsonText("args", "source")+` = $1 AND $1 <> '' OR `+
		e.jsonText("args", "step")+` = $2 AND $2 <> '' OR `+e.jsonText("args", "step")+` LIKE $2 || ':%' AND $2 <> '')`, source, step)
}

// HurryEvent makes the jobs due now that stand between an event and the goods of its order: the provider asks again, and
// that is a better moment than the one that was planned.
func (s *Store) HurryEvent(ctx context.Context, eventID, orderID string) (int64, error) {
	e := s.engine
	// What is due within seconds River calls available already.
	return s.hurry(ctx, `state IN ('retryable', 'scheduled', 'available') AND scheduled_at > `+e.moment()+` AND (`+
		e.jsonText("args", "event")+` = $1 AND $1 <> '' OR `+e.jsonText("args", "order")+` = $2 AND $2 <> '')`, eventID, orderID)
}

// hurry looks for the jobs beside the writer, because it may have to look through all that wait, and writes only what it
// found.
func (s *Store) hurry(ctx context.Context, where string, args ...any) (hurried int64, err error) {
	var ids []int64
	err = s.look(ctx, func(tx Tx) error {
		return each(ctx, tx, func(rows Rows) error {
			var id int64
			err := rows.Scan(&id)
			ids = append(ids, id)
			return err
		}, `SELECT id FROM river_job WHERE `+where+fmt.Sprintf(` ORDER BY id LIMIT %d`, hurryMax), args...)
	})
	if err != nil || len(ids) == 0 {
		return 0, err
	}
	err = s.write(ctx, func(w *writing) error {
		for _, id := range ids {
			if err := w.Do(ctx, `
				UPDATE river_job
				SET state = 'available', scheduled_at = `+s.engine.moment()+`
				WHERE id = $1 AND state IN ('retryable', 'scheduled', 'available')`, id); err != nil {
				return err
			}
		}
		w.wake(makegood.QueuePayments)
		w.wake(makegood.QueueEffects)
		return nil
	})
	return int64(len(ids)), err
}
