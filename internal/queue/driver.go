package queue

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"

	"github.com/riverqueue/river/riverdriver"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/riverdriver/riversqlite"
	"github.com/riverqueue/river/rivertype"
)

// River calls its driver interface unstable, so all its modules are pinned to one version, and TestWakeAtOnce and
// TestFinishedJobsLeaveNoRow fail when an upgrade changes what is built on here.

// postgresDriver is River's driver with an ear for our own commits.
type postgresDriver struct {
	*riverpgxv5.Driver
	wakes *wakes
}

// GetListener returns River's listener with a second ear.
func (d *postgresDriver) GetListener(p *riverdriver.GetListenenerParams) riverdriver.Listener {
	return &wakingListener{Listener: d.Driver.GetListener(p), wakes: d.wakes}
}

// sqliteDriver is River's driver with an ear for our own commits, which looks outside on a reading connection, and which
// finishes jobs a set at a time.
type sqliteDriver struct {
	*riversqlite.Driver
	writer  *sql.DB
	outside *riversqlite.Driver
	wakes   *wakes
}

func newSQLiteDriver(writer, reader *sql.DB, w *wakes) *sqliteDriver {
	return &sqliteDriver{riversqlite.New(writer), writer, riversqlite.New(reader), w}
}

// GetListener returns River's listener on a reading connection, with a second ear.
func (d *sqliteDriver) GetListener(p *riverdriver.GetListenenerParams) riverdriver.Listener {
	return &wakingListener{Listener: d.outside.GetListener(p), wakes: d.wakes, polled: true}
}

// GetExecutor returns River's executor with a faster way to finish jobs.
func (d *sqliteDriver) GetExecutor() riverdriver.Executor {
	return &finishingExecutor{d.Driver.GetExecutor(), d.writer}
}

// finishingExecutor removes jobs that are done in one statement. River updates them one row a statement, which is most
// of what a job costs on SQLite, and deletes them later in one long breath. A finished job carries nothing that the
// event, the step and the audit do not tell.
type finishingExecutor struct {
	riverdriver.Executor
	writer *sql.DB
}

// JobSetStateIfRunningMany finishes what is plainly done, and leaves the rest to River.
func (e *finishingExecutor) JobSetStateIfRunningMany(ctx context.Context, p *riverdriver.JobSetStateIfRunningManyParams) ([]*rivertype.JobRow, error) {
	var done []int64
	rest := &riverdriver.JobSetStateIfRunningManyParams{Now: p.Now, Schema: p.Schema}
	for i, id := range p.ID {
		if p.State[i] == rivertype.JobStateCompleted && p.ErrData[i] == nil && !p.MetadataDoMerge[i] {
			done = append(done, id)
			continue
		}
		rest.ID = append(rest.ID, id)
		rest.Attempt = append(rest.Attempt, p.Attempt[i])
		rest.ErrData = append(rest.ErrData, p.ErrData[i])
		rest.FinalizedAt = append(rest.FinalizedAt, p.FinalizedAt[i])
		rest.MetadataDoMerge = append(rest.MetadataDoMerge, p.MetadataDoMerge[i])
		rest.MetadataUpdates = append(rest.MetadataUpdates, p.MetadataUpdates[i])
		rest.ScheduledAt = append(rest.ScheduledAt, p.ScheduledAt[i])
		rest.State = append(rest.State, p.State[i])
	}
	rows, err := e.finish(ctx, done)
	if err != nil || len(rest.ID) == 0 {
		return rows, err
	}
	others, err := e.Executor.JobSetStateIfRunningMany(ctx, rest)
	return append(rows, others...), err
}

func (e *finishingExecutor) finish(ctx context.Context, done []int64) ([]*rivertype.JobRow, error) {
	if len(done) == 0 {
		return nil, nil
	}
	ids, err := json.Marshal(done)
	if err != nil {
		return nil, err
	}
	_, err = e.writer.ExecContext(ctx, `
		DELETE FROM river_job
		WHERE state = 'running' AND id IN (SELECT value FROM json_each($1))`, string(ids))
	if err != nil {
		return nil, fmt.Errorf("finish jobs: %w", err)
	}
	rows := make([]*rivertype.JobRow, len(done))
	for i, id := range done {
		rows[i] = &rivertype.JobRow{ID: id, State: rivertype.JobStateCompleted}
	}
	return rows, nil
}

var (
	_ riverdriver.Driver[*sql.Tx] = (*sqliteDriver)(nil)
	_ riverdriver.Executor        = (*finishingExecutor)(nil)
)
