// Package store holds all the SQL of Makegood. Statements are written once, in the common subset of SQLite and
// PostgreSQL; the few things that differ are in the engine. Each file is a noun, each method a use case; rules live in
// package makegood, SQL only moves rows.
//
// Once a writing method returns nil, what it wrote survives a power cut. A writing method that returns an error has
// written nothing, or, when the connection broke while committing, may have written all of it: every caller can safely
// call again.
package store

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"io"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/makegood/makegood"
)

// Store keeps everything. Its methods are safe for use by many goroutines.
type Store struct {
	engine engine
	now    func() time.Time
	random io.Reader
	split  bool
	woken  func(queue string)
}

// Options are what a store needs beside its database. The zero value is good.
type Options struct {
	Now    func() time.Time // stamps rows; time.Now when nil
	Random io.Reader        // makes ids; crypto/rand when nil
	// Wake is called after each commit that made jobs, once per queue. It must not block.
	Wake func(queue string)
	// Connector replaces the way to the SQLite driver, so that a test can break it on cue.
	Connector Connector
	// DialFunc replaces the way to the PostgreSQL server, for the same purpose.
	DialFunc DialFunc
	// PlantSplitAccept keeps an event and its job in two commits. It is a bug, planted to prove that the crash matrix
	// sees it, and nothing else sets it.
	PlantSplitAccept bool

	checkpointEvery int // writes between two checkpoints of SQLite; checkpointEvery when 0
}

// engine is what differs between SQLite and PostgreSQL.
type engine interface {
	// write runs fn in a transaction and commits it. An error of fn rolls back what fn did and nothing else.
	write(ctx context.Context, fn func(Tx) error) error
	// read runs fn against what is committed.
	read(ctx context.Context, fn func(Tx) error) error
	// look runs fn without a transaction: each of its questions sees what is committed when it is asked.
	look(ctx context.Context, fn func(Tx) error) error
	// accept keeps the events with their jobs, sharing a commit with other callers, and reports which were new.
	accept(ctx context.Context, s *Store, e makegood.Event) (isNew bool, err error)
	// forUpdate is the clause that locks a selected row until the end of the transaction.
	forUpdate() string
	// lockText is the statement that holds the lock of a name until the end of the transaction; "" where transactions that
	// write come one after the other anyway.
	lockText() string
	// json is the expression that turns the text parameter into the type of River's JSON columns.
	json(parameter string) string
	// jsonText is the expression for a text inside River's JSON columns.
	jsonText(column, key string) string
	// moment is the expression for the time of a job that is due now.
	moment() string
	// momentAfter is moment with the seconds of a parameter added.
	momentAfter(parameter string) string
	// secondsSince is the expression for the seconds, with their fraction, since the time of a job.
	secondsSince(time string) string
	// exclusively runs fn while no other process runs one on the same database. It is for migrations.
	exclusively(ctx context.Context, fn func() error) error
	// sentence says what err, recognised by its code, means to a person; "" when that is not special.
	sentence(err error) string
	// isDuplicate reports whether err is a violation of a unique key, recognised by its code.
	isDuplicate(err error) bool
	name() string
	ping(ctx context.Context) error
	close() error
}

// Tx is a transaction on either engine. Parameters are $1, $2, …
type Tx interface {
	// Do runs a statement of which nobody needs to know how many rows it changed. It may be sent later, together with what
	// follows; then its error is that of what follows, or of the commit.
	Do(ctx context.Context, sql string, args ...any) error
	// QueryAll asks several questions at once.
	QueryAll(ctx context.Context, questions ...question) error
	Exec(ctx context.Context, sql string, args ...any) (rows int64, err error)
	Query(ctx context.Context, sql string, args ...any) (Rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) Row
}

// question is a query whose rows are scanned one by one.
type question struct {
	sql  string
	args []any
	scan func(Rows) error
}

// Rows is a result of many rows. Close is idempotent and happens by itself at the end.
type Rows interface {
	Next() bool
	Scan(dest ...any) error
	Err() error
	Close()
}

// Row is a result of one row. Scan returns makegood.NotFound when there is none.
type Row interface {
	Scan(dest ...any) error
}

// Open opens the database of a URL: "sqlite:PATH" or "postgres://…". It creates an SQLite file that is not there, and
// holds a lock on it until Close, so that a second process is refused with the name of the first.
func Open(ctx context.Context, url string, o Options) (*Store, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Random == nil {
		o.Random = rand.Reader
	}
	if o.Wake == nil {
		o.Wake = func(string) {}
	}
	s := &Store{now: o.Now, random: o.Random, split: o.PlantSplitAccept, woken: o.Wake}
	var err error
	switch {
	case strings.HasPrefix(url, "sqlite:"):
		s.engine, err = openSQLite(ctx, strings.TrimPrefix(url, "sqlite:"), o)
	case strings.HasPrefix(url, "postgres://"), strings.HasPrefix(url, "postgresql://"):
		s.engine, err = openPostgres(ctx, url, o.DialFunc, false)
	default:
		return nil, errors.New(`the database must be "sqlite:PATH" or "postgres://…"`)
	}
	if err != nil {
		return nil, err
	}
	return s, nil
}

// OpenReading opens the database of a URL for looking only, beside a server that is running. Every writing method fails.
func OpenReading(ctx context.Context, url string) (*Store, error) {
	s := &Store{now: time.Now, random: rand.Reader, woken: func(string) {}}
	var err error
	if path, isSQLite := strings.CutPrefix(url, "sqlite:"); isSQLite {
		s.engine, err = openSQLiteReading(ctx, path)
	} else {
		s.engine, err = openPostgres(ctx, url, nil, true)
	}
	if err != nil {
		return nil, err
	}
	return s, nil
}

// What a write is answered with that cannot even begin.
var (
	errClosed      = makegood.Errorf(makegood.Unavailable, "The store is closed; the server is stopping.")
	errTooMany     = makegood.Errorf(makegood.Unavailable, "Too many writes are waiting; please repeat in a moment.")
	errReadingOnly = makegood.Errorf(makegood.Internal, "The database was opened for reading only.")
)

// Close ends all connections and lets go of the lock. Writes that wait are answered with an error.
func (s *Store) Close() error { return s.engine.close() }

// Engine names the engine: "sqlite" or "postgres".
func (s *Store) Engine() string { return s.engine.name() }

// Ping makes one small read. It fails when the database cannot be reached.
func (s *Store) Ping(ctx context.Context) error { return s.engine.ping(ctx) }

// write runs fn in a transaction, then wakes the queues for which it made jobs. fn may run again after a broken commit.
func (s *Store) write(ctx context.Context, fn func(w *writing) error) error {
	var w *writing
	err := s.engine.write(ctx, func(tx Tx) error {
		w = &writing{Tx: tx, store: s, now: s.now()}
		return fn(w)
	})
	if err != nil {
		return s.unavailable(err)
	}
	for queue := range w.queues {
		s.woken(queue)
	}
	return nil
}

// read runs fn against what is committed.
func (s *Store) read(ctx context.Context, fn func(tx Tx) error) error {
	return s.unavailable(s.engine.read(ctx, fn))
}

// look asks without a transaction, for where a whole picture is not needed: on PostgreSQL that saves two round trips.
func (s *Store) look(ctx context.Context, fn func(tx Tx) error) error {
	return s.unavailable(s.engine.look(ctx, fn))
}

// unavailable marks what the database says as makegood.Unavailable; errors of our own keep their kind.
func (s *Store) unavailable(err error) error {
	var own *makegood.Error
	var permanent *makegood.Permanent
	if err == nil || errors.As(err, &own) || errors.As(err, &permanent) || errors.Is(err, context.Canceled) {
		return err
	}
	sentence := s.engine.sentence(err)
	if sentence == "" {
		sentence = "The store cannot be reached just now; nothing was changed."
	}
	return makegood.Wrap(err, makegood.Unavailable, sentence)
}

// writing is one transaction that changes things: it shares one time and collects the queues to wake.
type writing struct {
	Tx
	store  *Store
	now    time.Time
	queues map[string]bool
	after  time.Duration // how long the jobs of this transaction wait
	behind bool          // whether they let all others pass
}

func (w *writing) newID(prefix string) string {
	return makegood.NewID(prefix, w.now, w.store.random)
}

// micros is how a time is kept: microseconds since 1970 in UTC, 0 for the zero time.
func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

func fromMicros(us int64) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return time.UnixMicro(us).UTC()
}

// SQLite returns the pools of the SQLite engine: the one connection that writes, and those that read. Both are nil on
// PostgreSQL. They are for the queue, which shares them.
func (s *Store) SQLite() (writer, reader *sql.DB) {
	if e, ok := s.engine.(*sqliteEngine); ok {
		return e.writer, e.reader
	}
	return nil, nil
}

// Postgres returns the pool of the PostgreSQL engine, for the queue, which shares it. It is nil on SQLite.
func (s *Store) Postgres() *pgxpool.Pool {
	if e, ok := s.engine.(*postgresEngine); ok {
		return e.pool
	}
	return nil
}
