package store

import (
	"context"
	"fmt"
	"slices"

	"github.com/makegood/makegood"
)

// What the tests outside of the package need to see.

var (
	Positional = positional
	Clean      = clean
	Micros     = micros
	FromMicros = fromMicros

	KeepStatements = keepStatements
)

const StatementsMax = statementsMax

// Write runs one closure as every writing method does.
func (s *Store) Write(ctx context.Context, fn func(Tx) error) error {
	return s.unavailable(s.engine.write(ctx, fn))
}

// Read runs one closure as every reading method does.
func (s *Store) Read(ctx context.Context, fn func(Tx) error) error { return s.read(ctx, fn) }

// Waiting is how many writes wait for their commit.
func (s *Store) Waiting() int {
	switch e := s.engine.(type) {
	case *sqliteEngine:
		return len(e.pending)
	case *postgresEngine:
		return len(e.arrivals)
	}
	return 0
}

// AcceptTogether accepts events on PostgreSQL in one batch, as when their callers wait for one commit.
func (s *Store) AcceptTogether(events ...makegood.Event) []error {
	batch := make([]*arrival, len(events))
	for i, e := range events {
		e.ID = makegood.NewID(makegood.EventPrefix, s.now(), s.random)
		batch[i] = &arrival{event: e, result: make(chan error, 1)}
	}
	s.engine.(*postgresEngine).acceptAll(slices.Clone(batch)) // which it sorts
	errs := make([]error, len(events))
	for i, a := range batch {
		errs[i] = <-a.result
	}
	return errs
}

// Closing reports whether Close was called.
func (s *Store) Closing() bool {
	stop := make(chan struct{})
	switch e := s.engine.(type) {
	case *sqliteEngine:
		stop = e.stop
	case *postgresEngine:
		stop = e.stop
	}
	select {
	case <-stop:
		return true
	default:
		return false
	}
}

// WithCheckpointEvery sets the writes between two checkpoints.
func (o Options) WithCheckpointEvery(n int) Options { o.checkpointEvery = n; return o }

// MigrateTexts migrates by other texts than those that are built in, numbered from 1.
func (s *Store) MigrateTexts(ctx context.Context, texts ...string) error {
	var steps []migration
	for i, text := range texts {
		steps = append(steps, migration{version: i + 1, name: fmt.Sprintf("%04d_test", i+1), text: text, checksum: text})
	}
	return s.migrate(ctx, steps)
}
