package store

import (
	"context"
	"database/sql"
	"time"
)

// checkpoints moves what was committed from the write-ahead log into the database file, beside the writer: made by the
// writer itself, each checkpoint would hold up a commit (measured: most of its 99th percentile).
//
// A passive checkpoint on a connection of its own does the long part while writes go on. What was written meanwhile is
// left in the log, so the writer is asked for one more between two of its batches: that one is short and leaves nothing,
// and the next write starts the log from its beginning. Without it the log would grow for as long as somebody writes.
type checkpoints struct {
	db    *sql.DB
	every int           // writes between two checkpoints
	since int           // writes since the last; the writing goroutine's
	due   chan struct{} // size 1: many reasons for a checkpoint are one
	rest  chan struct{} // asks the writer for the rest; unbuffered, so that one is done before the next begins
}

// checkpointEvery keeps the log at about 10 MB: a delivery dirties three to six pages of 4 kB.
const checkpointEvery = 500

func openCheckpoints(o Options, path string) (*checkpoints, error) {
	c := &checkpoints{every: o.checkpointEvery, due: make(chan struct{}, 1), rest: make(chan struct{})}
	if c.every == 0 {
		c.every = checkpointEvery
	}
	var err error
	c.db, err = openPool(o.Connector, path, 1, "busy_timeout(10000)", "synchronous(FULL)", "wal_autocheckpoint(0)")
	return c, err
}

// wrote counts writes and calls for a checkpoint when there were enough.
func (c *checkpoints) wrote(n int) {
	if c.since += n; c.since < c.every {
		return
	}
	c.since = 0
	select {
	case c.due <- struct{}{}:
	default:
	}
}

// run makes the checkpoints that are due until stop is closed. In between it sleeps.
func (c *checkpoints) run(stop <-chan struct{}) {
	for {
		select {
		case <-stop:
			return
		case <-c.due:
		}
		checkpoint(c.db)
		select {
		case <-stop:
			return
		case c.rest <- struct{}{}:
		}
	}
}

// checkpoint moves what no reader needs any more. Its failure loses nothing: the log grows until a later one works, at the
// latest SQLite's own.
func checkpoint(db *sql.DB) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	var busy, logged, moved int
	_ = db.QueryRowContext(ctx, `PRAGMA wal_checkpoint(PASSIVE)`).Scan(&busy, &logged, &moved)
}
