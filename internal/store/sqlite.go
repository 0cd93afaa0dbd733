package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"runtime"
	"sync"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/makegood/makegood"
)

// Connector makes the database/sql connector for a data source name of the modernc driver.
type Connector func(dsn string) (driver.Connector, error)

// sqliteEngine has one connection that writes, shared with the queue, and a few that read. All our writes go through one
// goroutine: closures that wait share one transaction and one flush, each within a savepoint so that the failure of one
// does not take its neighbours along.
type sqliteEngine struct {
	writer  *sql.DB
	reader  *sql.DB
	pending chan *pendingWrite
	wal     *checkpoints
	stop    chan struct{}
	done    sync.WaitGroup
	lock    *fileLock
	once    sync.Once
}

type pendingWrite struct {
	ctx context.Context
	fn  func(Tx) error
	// delivery is set for a delivery that is to be kept: it hardly ever fails, so that repeating its neighbours when it does
	// is cheaper than a savepoint each time, and its job is made together with those of the others.
	delivery *delivery
	err      error
	result   chan error
}

// delivery is an event that is to be kept with its job.
type delivery struct {
	store *Store
	event makegood.Event
	isNew bool
}

// keep keeps the event, and reports whether it needs a job.
func (d *delivery) keep(ctx context.Context, tx Tx) (needsJob bool, err error) {
	w := &writing{Tx: tx, store: d.store}
	d.isNew, err = w.keepEvent(ctx, d.event)
	return err == nil && d.isNew && !d.store.split, err
}

// The settings of a connection. busy_timeout comes first, or switching to WAL can fail while another process closes the
// file. FULL keeps acknowledged events through a power cut; with group commit it costs nothing against NORMAL. 8 MB of
// page cache measured faster than 64. Checkpoints are made in the background; 8,000 pages are the net below them, for
// what the queue writes on its own.
var sqliteSettings = []string{"busy_timeout(10000)", "journal_mode(WAL)", "synchronous(FULL)", "cache_size(-8192)",
	"wal_autocheckpoint(8000)", "foreign_keys(ON)", "temp_store(MEMORY)"}

var readingSettings = []string{"busy_timeout(10000)", "query_only(ON)", "cache_size(-8192)"}

func openSQLite(ctx context.Context, path string, o Options) (_ *sqliteEngine, err error) {
	if path, err = prepareFile(path); err != nil {
		return nil, err
	}
	lock, err := lockFile(path + ".lock")
	if err != nil {
		return nil, err
	}
	e := &sqliteEngine{lock: lock, pending: make(chan *pendingWrite, makegood.WriteQueueMax), stop: make(chan struct{})}
	defer func() {
		if err != nil {
			err = errors.Join(err, e.closePools(), lock.Release())
		}
	}()
	if err := makeFile(path); err != nil {
		return nil, err
	}
	if e.writer, err = openPool(o.Connector, path, 1, sqliteSettings...); err != nil {
		return nil, err
	}
	if err := e.writer.PingContext(ctx); err != nil {
		return nil, openTrouble(path, err)
	}
	if e.reader, err = openPool(o.Connector, path, 4, readingSettings...); err != nil {
		return nil, err
	}
	if e.wal, err = openCheckpoints(o, path); err != nil {
		return nil, err
	}
	e.done.Go(e.writeLoop)
	e.done.Go(func() { e.wal.run(e.stop) })
	return e, nil
}

// openSQLiteReading opens an existing file beside the server that holds it. It takes no lock and cannot write.
func openSQLiteReading(ctx context.Context, path string) (*sqliteEngine, error) {
	if _, err := os.Stat(path); err != nil {
		return nil, makegood.Wrap(err, makegood.NotFound, "There is no database at "+path+" yet. Start the server once, or name another configuration.")
	}
	e := &sqliteEngine{stop: make(chan struct{})}
	var err error
	if e.reader, err = openPool(nil, path, 4, readingSettings...); err != nil {
		return nil, err
	}
	var tables int // unlike SELECT 1 it looks into the file
	if err := e.reader.QueryRowContext(ctx, `SELECT COUNT(*) FROM sqlite_schema`).Scan(&tables); err != nil {
		return nil, errors.Join(openTrouble(path, err), e.closePools())
	}
	return e, nil
}

func openPool(connect Connector, path string, conns int, settings ...string) (*sql.DB, error) {
	if connect == nil {
		connect = sqlite.NewConnector
	}
	query := url.Values{"_txlock": {"immediate"}, "_pragma": settings}
	// The driver reads the path as part of a URL, in which ?, # and % mean something.
	c, err := connect("file:" + (&url.URL{Path: path}).EscapedPath() + "?" + query.Encode())
	if err != nil {
		return nil, err
	}
	db := sql.OpenDB(keepStatements(c))
	db.SetMaxOpenConns(conns)
	db.SetMaxIdleConns(conns)
	return db, nil
}

func (e *sqliteEngine) name() string { return "sqlite" }

// SQLite serializes its writers, so a selected row is locked already.
func (e *sqliteEngine) forUpdate() string { return "" }
func (e *sqliteEngine) momentAfter(parameter string) string {
	return "datetime('now', 'subsec', CAST(" + parameter + " AS TEXT) || ' seconds')"
}

// secondsSince counts in days, as SQLite does; their fraction is good to a tenth of a millisecond.
func (e *sqliteEngine) secondsSince(time string) string {
	return "(julianday('now', 'subsec') - julianday(" + time + ")) * 86400.0"
}

func (e *sqliteEngine) jsonText(column, key string) string {
	return "COALESCE(json_extract(" + column + ", '$." + key + "'), '')"
}
func (e *sqliteEngine) lockText() string { return "" }

func (e *sqliteEngine) json(parameter string) string { return "jsonb(" + parameter + ")" }

// moment is as fine as what River writes; the column's own default is in whole seconds.
func (e *sqliteEngine) moment() string { return "datetime('now', 'subsec')" }

// exclusively runs fn: the lock on the file keeps everybody else out.
func (e *sqliteEngine) exclusively(_ context.Context, fn func() error) error { return fn() }

// sentence explains an error by SQLite's code for it.
func (e *sqliteEngine) sentence(err error) string {
	var s *sqlite.Error
	if !errors.As(err, &s) {
		return ""
	}
	switch s.Code() & 0xff {
	case sqlite3.SQLITE_FULL:
		return "The disk of the database is full; nothing was changed."
	case sqlite3.SQLITE_READONLY:
		return "The database, or its disk, is read-only; nothing was changed."
	case sqlite3.SQLITE_IOERR:
		return "The disk of the database answers with errors; nothing was changed."
	case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB:
		return "The database file is damaged; nothing was changed."
	}
	return ""
}

func (e *sqliteEngine) isDuplicate(err error) bool {
	var s *sqlite.Error
	return errors.As(err, &s) &&
		(s.Code() == sqlite3.SQLITE_CONSTRAINT_UNIQUE || s.Code() == sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY)
}

func (e *sqliteEngine) ping(ctx context.Context) error {
	var one int
	return e.reader.QueryRowContext(ctx, `SELECT 1`).Scan(&one)
}

func (e *sqliteEngine) close() error {
	e.once.Do(func() { close(e.stop) })
	e.done.Wait()
	return errors.Join(e.closePools(), e.lock.Release())
}

func (e *sqliteEngine) closePools() error {
	var errs []error
	if e.wal != nil {
		errs = append(errs, e.wal.db.Close())
	}
	for _, db := range []*sql.DB{e.reader, e.writer} {
		if db != nil {
			errs = append(errs, db.Close())
		}
	}
	return errors.Join(errs...)
}

// write hands fn to the writing goroutine and waits for the commit. A full queue is makegood.Unavailable at once: the
// caller's provider repeats, and nobody waits without an end.
func (e *sqliteEngine) write(ctx context.Context, fn func(Tx) error) error {
	return e.submit(&pendingWrite{ctx: ctx, fn: fn, result: make(chan error, 1)})
}

func (e *sqliteEngine) submit(w *pendingWrite) error {
	if e.pending == nil {
		return errReadingOnly
	}
	select {
	case e.pending <- w:
	case <-e.stop:
		return errClosed
	default:
		return errTooMany
	}
	select {
	case err := <-w.result:
		return err
	case <-e.stop:
		// The loop answers everything it took before it ends; what it did not take is lost to it and not committed.
		e.done.Wait()
		select {
		case err := <-w.result:
			return err
		default:
			return errClosed
		}
	}
}

// writeLoop commits what has gathered while the last commit ran. It does not wait for more by the clock: that was measured
// slower.
func (e *sqliteEngine) writeLoop() {
	for {
		select {
		case <-e.stop:
			return
		case <-e.wal.rest:
			checkpoint(e.writer)
		case first := <-e.pending:
			batch := e.gather(first)
			err := e.commit(batch)
			e.wal.wrote(len(batch))
			for _, w := range batch {
				if w.err == nil {
					w.err = err
				}
				w.result <- w.err
			}
		}
	}
}

func (e *sqliteEngine) gather(first *pendingWrite) []*pendingWrite {
	batch := []*pendingWrite{first}
	for quiet := 0; len(batch) < makegood.WriteBatchMax && quiet < gatherRounds; {
		select {
		case w := <-e.pending:
			batch = append(batch, w)
			quiet = 0
		default:
			// Those who are about to write get the processor once more; it costs nothing when there are none.
			runtime.Gosched()
			quiet++
		}
	}
	return batch
}

// gatherRounds is how often the writer lets others run before it commits. Without it, the first of many who come together
// gets a commit of its own and the others wait for two (measured: a tenth of the intake at 64 connections).
const gatherRounds = 20

// commit runs the batch in one transaction. A closure's own error is left in its err; the returned error is that of the
// transaction as a whole, which nobody in the batch survives.
func (e *sqliteEngine) commit(batch []*pendingWrite) error {
	err := e.try(batch, false)
	if errors.Is(err, errUnguarded) {
		return e.try(batch, true)
	}
	return err
}

// errUnguarded is a delivery that failed outside a savepoint: what it did before cannot be told from the rest.
var errUnguarded = errors.New("a delivery without a savepoint failed")

// try commits the batch. Deliveries are kept without a savepoint, and their jobs are made in one statement, unless all are
// to be guarded: a savepoint costs two statements, which is as much as keeping an event.
func (e *sqliteEngine) try(batch []*pendingWrite, guardAll bool) error {
	// Only the waiting for the connection, which the queue uses too, is bounded. The statements must not have a context
	// that can end: the driver would watch it from a goroutine for each of them, and an interrupted one rolls back all.
	waiting, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	conn, err := e.writer.Conn(waiting)
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	defer conn.Close() // gives it back
	ctx := context.Background()
	tx, err := conn.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	// A rollback after a commit or after SQLite's own rollback (disk full) has nothing left to do.
	defer tx.Rollback() //nolint:errcheck
	var arrived []makegood.Job
	for _, w := range batch {
		if w.ctx.Err() != nil { // whoever asked has gone; nothing of it was done
			w.err = w.ctx.Err()
			continue
		}
		if w.delivery == nil || guardAll {
			if err := within(ctx, tx, w); err != nil {
				return err
			}
			continue
		}
		w.err = nil
		needsJob, err := w.delivery.keep(ctx, sqliteTx{ctx, tx})
		if err != nil {
			return errUnguarded
		}
		if needsJob {
			arrived = append(arrived, makegood.InterpretJob(w.delivery.event.ID, w.delivery.event.Source))
		}
	}
	if err := enqueueArrived(ctx, tx, arrived); err != nil {
		return errUnguarded
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	return nil
}

// within runs one closure in a savepoint. The closure does not see its caller's context: an interrupted statement would
// roll back the whole transaction, neighbours included.
func within(ctx context.Context, tx *sql.Tx, w *pendingWrite) error {
	if _, err := tx.ExecContext(ctx, `SAVEPOINT closure`); err != nil {
		return fmt.Errorf("savepoint: %w", err)
	}
	w.err = runClosure(w.fn, sqliteTx{ctx, tx})
	if w.err != nil {
		if _, err := tx.ExecContext(ctx, `ROLLBACK TO closure`); err != nil {
			return fmt.Errorf("roll back to savepoint: %w", errors.Join(w.err, err))
		}
	}
	if _, err := tx.ExecContext(ctx, `RELEASE closure`); err != nil {
		return fmt.Errorf("release savepoint: %w", err)
	}
	return nil
}

// enqueueArrived keeps the interpret jobs, as writing.enqueue would one by one.
func enqueueArrived(ctx context.Context, tx *sql.Tx, jobs []makegood.Job) error {
	if len(jobs) == 0 {
		return nil
	}
	args, err := json.Marshal(jobs)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `
		INSERT INTO river_job (args, kind, max_attempts, queue, created_at, scheduled_at)
		SELECT jsonb(value), $2, $3, $4, datetime('now', 'subsec'), datetime('now', 'subsec')
		FROM json_each($1)`, string(args), makegood.JobInterpret, riverAttemptsMax, makegood.QueuePayments)
	return err
}

// runClosure turns a panic of a closure (a broken invariant) into its error, so that the neighbours are kept and the
// writing goroutine lives on.
func runClosure(fn func(Tx) error, tx Tx) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = &makegood.Permanent{Err: fmt.Errorf("invariant broken: %v", p)}
		}
	}()
	return fn(tx)
}

func (e *sqliteEngine) read(ctx context.Context, fn func(Tx) error) error {
	tx, err := e.reader.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return err
	}
	defer tx.Rollback() //nolint:errcheck // it only read
	return fn(sqliteTx{ctx, tx})
}

func (e *sqliteEngine) look(ctx context.Context, fn func(Tx) error) error {
	return fn(sqliteTx{ctx, e.reader})
}

// accept shares the writing goroutine's commit with everybody who waits.
func (e *sqliteEngine) accept(ctx context.Context, s *Store, event makegood.Event) (isNew bool, err error) {
	d := &delivery{store: s, event: event}
	alone := func(tx Tx) error { // when it has to be guarded
		needsJob, err := d.keep(ctx, tx)
		if err != nil || !needsJob {
			return err
		}
		return (&writing{Tx: tx, store: s}).enqueue(ctx, makegood.InterpretJob(event.ID, event.Source))
	}
	err = e.submit(&pendingWrite{ctx: ctx, fn: alone, delivery: d, result: make(chan error, 1)})
	return d.isNew, err
}

// sqliteTx ignores the contexts of its callers in favour of the transaction's own, see within.
type sqliteTx struct {
	ctx context.Context
	tx  sqlRunner
}

// sqlRunner is a transaction, or a pool of connections for looking.
type sqlRunner interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

func (t sqliteTx) Do(ctx context.Context, query string, args ...any) error {
	_, err := t.Exec(ctx, query, args...)
	return err
}

func (t sqliteTx) QueryAll(ctx context.Context, questions ...question) error {
	for _, q := range questions {
		if err := each(ctx, t, q.scan, q.sql, q.args...); err != nil {
			return err
		}
	}
	return nil
}

func (t sqliteTx) Exec(_ context.Context, query string, args ...any) (int64, error) {
	result, err := t.tx.ExecContext(t.ctx, query, args...)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

func (t sqliteTx) Query(_ context.Context, query string, args ...any) (Rows, error) {
	rows, err := t.tx.QueryContext(t.ctx, query, args...)
	if err != nil {
		return nil, err
	}
	return sqliteRows{rows}, nil
}

func (t sqliteTx) QueryRow(_ context.Context, query string, args ...any) Row {
	return sqliteRow{t.tx.QueryRowContext(t.ctx, query, args...)}
}

type sqliteRows struct{ *sql.Rows }

// Close has nothing to say: an error of reading is in Err.
func (r sqliteRows) Close() { _ = r.Rows.Close() }

type sqliteRow struct{ row *sql.Row }

func (r sqliteRow) Scan(dest ...any) error {
	err := r.row.Scan(dest...)
	if errors.Is(err, sql.ErrNoRows) {
		return makegood.NotFound
	}
	return err
}
