package queue

import (
	"context"
	"fmt"
	"time"
)

// River has a rescuer too. It is not enough for us: only its leader runs it, each 30 s, so that a job of a dead leader
// waits for an election first; it then makes the job wait as if it had failed, up to an hour; and it discards, without a
// word, a job whose kind it does not know, which during an upgrade is a job of the newer program. So ours comes first, on
// every node, and River's stays as a net below it.
const riverRescueMargin = 2 * time.Minute

// rescueLoop takes up jobs whose run never came back, until ctx ends: five looks in the time after which a run counts as
// lost, so a lost job runs again within 1.2 times RescueAfter.
func (q *Queue) rescueLoop(ctx context.Context) {
	ticker := time.NewTicker(q.options.RescueAfter / 5)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		switch rescued, err := q.rescue(ctx); {
		case ctx.Err() != nil:
			return
		case err != nil:
			q.options.Logger.Warn("lost jobs cannot be looked for", "err", err)
		case rescued > 0:
			q.options.Logger.Warn("jobs whose run was lost run again", "jobs", rescued)
			for name := range q.options.Workers {
				q.wakes.wake(name)
			}
		}
	}
}

// rescue makes jobs available again that have been running for longer than a run may take. Several nodes may do so at
// once. All times are the database's.
func (q *Queue) rescue(ctx context.Context) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	seconds := q.options.RescueAfter.Seconds()
	if q.options.Postgres != nil {
		tag, err := q.options.Postgres.Exec(ctx, `
			UPDATE river_job
			SET state = 'available', scheduled_at = now()
			WHERE state = 'running' AND attempted_at < now() - make_interval(secs => $1)`, seconds)
		return tag.RowsAffected(), err
	}
	result, err := q.options.SQLiteWriter.ExecContext(ctx, `
		UPDATE river_job
		SET state = 'available', scheduled_at = datetime('now', 'subsec')
		WHERE state = 'running' AND attempted_at < datetime('now', 'subsec', $1)`, fmt.Sprintf("-%.3f seconds", seconds))
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}
