package harness

import (
	"bytes"
	"context"
	"database/sql/driver"
	"errors"
	"io"
	"net"
	"strings"
	"sync"

	"modernc.org/sqlite"

	"github.com/makegood/makegood/internal/store"
)

// Mode is how a commit fails.
type Mode string

const (
	NotKept     Mode = "not kept"                    // the commit fails and nothing of it is there
	KeptAndLost Mode = "kept but reported as failed" // everything is there, and the caller hears an error
)

// ErrFault is what a broken commit returns.
var ErrFault = errors.New("harness: the database failed on cue")

// Faults breaks the n-th commit of a database, and from then on every further one is not kept: the process is as good as
// dead until its server is started again without the faults.
type Faults struct {
	mu     sync.Mutex
	mode   Mode
	at     int // the commit that fails, counting from 1; 0 for none
	seen   int
	struck bool
}

// Break makes the n-th commit from now on fail.
func Break(mode Mode, n int) *Faults { return &Faults{mode: mode, at: n} }

// Disarm ends the waiting for a commit that was not reached, and reports whether it was.
func (f *Faults) Disarm() (struck bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.struck {
		f.at = 0
	}
	return f.struck
}

// Struck reports whether the commit has been reached.
func (f *Faults) Struck() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.struck
}

// next says what becomes of the commit that is about to happen.
func (f *Faults) next() (mode Mode, fails bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.at == 0 {
		return "", false
	}
	if f.struck {
		return NotKept, true
	}
	if f.seen++; f.seen < f.at {
		return "", false
	}
	f.struck = true
	return f.mode, true
}

// around runs a commit, or lets it fail.
func (f *Faults) around(commit, undo func() error) error {
	mode, fails := f.next()
	if !fails {
		return commit()
	}
	act := undo
	if mode == KeptAndLost {
		act = commit
	}
	return errors.Join(ErrFault, act())
}

// Options are the ways to break either engine.
func (f *Faults) Options() store.Options {
	return store.Options{Connector: f.connector, DialFunc: f.dial}
}

// SQLite: a driver around the driver. A commit is the end of a transaction, or a statement outside of one that changes
// something.

func (f *Faults) connector(dsn string) (driver.Connector, error) {
	c, err := sqlite.NewConnector(dsn)
	return breakingConnector{c, f}, err
}

type breakingConnector struct {
	driver.Connector
	faults *Faults
}

func (c breakingConnector) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := c.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	return &breakingConn{sqliteConn: conn.(sqliteConn), faults: c.faults}, nil
}

type sqliteConn interface {
	driver.Conn
	driver.ConnPrepareContext
	driver.ConnBeginTx
	driver.Pinger
	driver.SessionResetter
	driver.Validator
}

type breakingConn struct {
	sqliteConn
	faults *Faults
	inTx   bool
}

func (c *breakingConn) BeginTx(ctx context.Context, o driver.TxOptions) (driver.Tx, error) {
	tx, err := c.sqliteConn.BeginTx(ctx, o)
	if err != nil {
		return nil, err
	}
	c.inTx = true
	return &breakingTx{tx, c, o.ReadOnly}, nil
}

type breakingTx struct {
	driver.Tx
	conn     *breakingConn
	readOnly bool
}

func (t *breakingTx) Commit() error {
	t.conn.inTx = false
	if t.readOnly {
		return t.Tx.Commit()
	}
	return t.conn.faults.around(t.Tx.Commit, t.Tx.Rollback)
}

func (t *breakingTx) Rollback() error {
	t.conn.inTx = false
	return t.Tx.Rollback()
}

func (c *breakingConn) PrepareContext(ctx context.Context, query string) (driver.Stmt, error) {
	s, err := c.sqliteConn.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	return &breakingStmt{sqliteStmt: s.(sqliteStmt), conn: c, changes: changes(query)}, nil
}

type sqliteStmt interface {
	driver.Stmt
	driver.StmtExecContext
	driver.StmtQueryContext
}

type breakingStmt struct {
	sqliteStmt
	conn    *breakingConn
	changes bool
}

// changes reports whether a statement changes something, by its first words without River's comments.
func changes(query string) bool {
	for line := range strings.Lines(query) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "--") {
			continue
		}
		verb, _, _ := strings.Cut(strings.ToUpper(line), " ")
		return verb == "INSERT" || verb == "UPDATE" || verb == "DELETE" || verb == "WITH"
	}
	return false
}

func (s *breakingStmt) ExecContext(ctx context.Context, args []driver.NamedValue) (result driver.Result, err error) {
	if s.conn.inTx || !s.changes {
		return s.sqliteStmt.ExecContext(ctx, args)
	}
	err = s.conn.faults.around(func() error {
		result, err = s.sqliteStmt.ExecContext(ctx, args)
		return err
	}, nothing)
	return result, err
}

func (s *breakingStmt) QueryContext(ctx context.Context, args []driver.NamedValue) (rows driver.Rows, err error) {
	if s.conn.inTx || !s.changes {
		return s.sqliteStmt.QueryContext(ctx, args)
	}
	mode, fails := s.conn.faults.next()
	if !fails {
		return s.sqliteStmt.QueryContext(ctx, args)
	}
	if mode == KeptAndLost {
		if rows, err = s.sqliteStmt.QueryContext(ctx, args); err == nil {
			err = drain(rows)
		}
	}
	return nil, errors.Join(ErrFault, err)
}

// drain reads a result to its end, which is when SQLite commits.
func drain(rows driver.Rows) error {
	row := make([]driver.Value, len(rows.Columns()))
	for {
		if err := rows.Next(row); err == io.EOF {
			return rows.Close()
		} else if err != nil {
			return errors.Join(err, rows.Close())
		}
	}
}

func nothing() error { return nil }

// PostgreSQL: a connection around the connection. A commit is the message that says so; breaking it cuts the line before
// it is sent, or after its answer has come. What River does in single statements is not cut: the kill test covers it.

func (f *Faults) dial(ctx context.Context, network, address string) (net.Conn, error) {
	var d net.Dialer
	c, err := d.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return &breakingLine{Conn: c, faults: f}, nil
}

type breakingLine struct {
	net.Conn
	faults  *Faults
	reading bool // the transaction that is open changes nothing
	cut     bool // the next answer is the last
}

var commitMessage = []byte("Q\x00\x00\x00\x0bcommit\x00")

func (l *breakingLine) Write(p []byte) (int, error) {
	if bytes.Contains(p, []byte("begin")) {
		l.reading = bytes.Contains(p, []byte("read only"))
	}
	if !l.reading && bytes.Contains(p, commitMessage) {
		if mode, fails := l.faults.next(); fails {
			if mode == NotKept {
				return 0, errors.Join(ErrFault, l.Conn.Close())
			}
			l.cut = true
		}
	}
	return l.Conn.Write(p)
}

func (l *breakingLine) Read(p []byte) (int, error) {
	if !l.cut {
		return l.Conn.Read(p)
	}
	// The server answers after it has flushed: once there is an answer, the commit is kept.
	_, err := l.Conn.Read(make([]byte, 1))
	return 0, errors.Join(ErrFault, err, l.Conn.Close())
}
