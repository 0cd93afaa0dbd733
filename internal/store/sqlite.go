package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
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
	stop    chan struct{}
	done    sync.WaitGroup
	lock    *fileLock
	once    sync.Once
}

type pendingWrite struct {
	ctx    context.Context
	fn     func(Tx) error
	err    error
	result chan error
}

// The settings of a connection. busy_timeout comes first, or switching to WAL can fail while another process closes the
// file. FULL keeps acknowledged events through a power cut; with group commit it costs nothing against NORMAL. 8 MB of
// page cache measured faster than 64. Checkpoints are made in the background, see checkpoint.
var sqliteSettings = []string{"busy_timeout(10000)", "journal_mode(WAL)", "synchronous(FULL)", "cache_size(-8192)",
	"wal_autocheckpoint(8000)", "foreign_keys(ON)", "temp_store(MEMORY)"}

func openSQLite(ctx context.Context, path string, connect Connector) (_ *sqliteEngine, err error) {
	if path == "" {
		return nil, errors.New("the database path is empty; write for example sqlite:makegood.db")
	}
	if connect == nil {
		connect = sqlite.NewConnector
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("make the folder of the database: %w", err)
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
	settings := url.Values{"_txlock": {"immediate"}, "_pragma": sqliteSettings}
	if e.writer, err = openPool(connect, "file:"+path+"?"+settings.Encode(), 1); err != nil {
		return nil, err
	}
	if err := e.writer.PingContext(ctx); err != nil {
		return nil, fmt.Errorf("open the database %s: %w", path, err)
	}
	if e.reader, err = openPool(connect, "file:"+path+"?"+readingSettings.Encode(), 4); err != nil {
		return nil, err
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, fmt.Errorf("keep the database to its owner: %w", err)
	}
	e.done.Go(e.writeLoop)
	return e, nil
}

// openSQLiteReading opens an existing file beside the server that holds it. It takes no lock and cannot write.
func openSQLiteReading(ctx context.Context, path string) (*sqliteEngine, error) {
	if _, err := os.Stat(path); err != nil {
		return nil, makegood.Wrap(err, makegood.NotFound, "There is no database at "+path+" yet. Start the server once, or name another configuration.")
	}
	e := &sqliteEngine{stop: make(chan struct{})}
	var err error
	if e.reader, err = openPool(sqlite.NewConnector, "file:"+path+"?"+readingSettings.Encode(), 4); err != nil {
		return nil, err
	}
	if err := e.ping(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("open the database %s: %w", path, err), e.closePools())
	}
	return e, nil
}

var readingSettings = url.Values{"_pragma": {"busy_timeout(10000)", "query_only(ON)", "cache_size(-8192)"}}

func openPool(connect Connector, dsn string, conns int) (*sql.DB, error) {
	c, err := connect(dsn)
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

func (e *sqliteEngine) json(parameter string) string { return "jsonb(" + parameter + ")" }

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
	if e.pending == nil {
		return errors.New("the database was opened for reading only")
	}
	w := &pendingWrite{ctx: ctx, fn: fn, result: make(chan error, 1)}
	select {
	case e.pending <- w:
	case <-e.stop:
		return errClosed
	default:
		return makegood.Errorf(makegood.Unavailable, "Too many writes are waiting; please repeat in a moment.")
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

var errClosed = makegood.Errorf(makegood.Unavailable, "The store is closed; the server is stopping.")

// writeLoop commits what has gathered while the last commit ran. It does not linger for more: that was measured slower.
func (e *sqliteEngine) writeLoop() {
	for {
		select {
		case <-e.stop:
			return
		case first := <-e.pending:
			batch := e.gather(first)
			err := e.commit(batch)
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
	for len(batch) < makegood.WriteBatchMax {
		select {
		case w := <-e.pending:
			batch = append(batch, w)
		default:
			return batch
		}
	}
	return batch
}

// commit runs the batch in one transaction. A closure's own error is left in its err; the returned error is that of the
// transaction as a whole, which nobody in the batch survives.
func (e *sqliteEngine) commit(batch []*pendingWrite) (err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	tx, err := e.writer.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	// A rollback after a commit or after SQLite's own rollback (disk full) has nothing left to do.
	defer tx.Rollback() //nolint:errcheck
	for _, w := range batch {
		if w.ctx.Err() != nil { // whoever asked has gone; nothing of it was done
			w.err = w.ctx.Err()
			continue
		}
		if err := within(ctx, tx, w); err != nil {
			return err
		}
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

// accept shares the writing goroutine's commit with everybody who waits.
func (e *sqliteEngine) accept(ctx context.Context, s *Store, event makegood.Event) (isNew bool, err error) {
	err = e.write(ctx, func(tx Tx) error {
		w := &writing{Tx: tx, store: s, now: s.now()}
		isNew, err = w.keepEvent(ctx, event)
		if err != nil || !isNew || s.split {
			return err
		}
		return w.enqueue(ctx, makegood.InterpretJob(event.ID))
	})
	return isNew, err
}

// sqliteTx ignores the contexts of its callers in favour of the transaction's own, see within.
type sqliteTx struct {
	ctx context.Context
	tx  *sql.Tx
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
