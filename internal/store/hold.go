package store

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/makegood/makegood"
)

// HoldWrites keeps everybody else from writing into a SQLite database, for a time and again after a pause, until ctx ends: what a
// slow disk, or a program that has no business there, is to a server. It is for drills. It changes nothing.
func HoldWrites(ctx context.Context, url string, hold, pause time.Duration) error {
	path, ok := strings.CutPrefix(url, "sqlite:")
	if !ok {
		return makegood.Errorf(makegood.Invalid, "Only a SQLite database can be held.")
	}
	db, err := openPool(nil, path, 1, "busy_timeout(10000)")
	if err != nil {
		return err
	}
	defer db.Close()
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	for ctx.Err() == nil {
		if _, err := conn.ExecContext(ctx, "BEGIN IMMEDIATE"); err != nil {
			wait(ctx, pause) // the server was quicker this time
			continue
		}
		wait(ctx, hold)
		if _, err := conn.ExecContext(context.WithoutCancel(ctx), "ROLLBACK"); err != nil {
			return err
		}
		wait(ctx, pause)
	}
	if err := ctx.Err(); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

func wait(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
