package store

import (
	"context"
	"database/sql/driver"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// statementsMax bounds the prepared statements of one connection. The house has about a hundred texts, the queue as many.
const statementsMax = 512

// keepStatements wraps a connector so that each connection prepares a statement once and keeps it. database/sql over
// modernc prepares again at every call otherwise, which is half of the time of a small statement.
func keepStatements(c driver.Connector) driver.Connector { return keepingConnector{c} }

type keepingConnector struct{ driver.Connector }

func (c keepingConnector) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := c.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	return &keepingConn{Conn: conn, kept: make(map[string]*keptStatement)}, nil
}

// keepingConn is used by one goroutine at a time, as database/sql promises.
type keepingConn struct {
	driver.Conn
	kept map[string]*keptStatement
}

type keptStatement struct {
	driver.Stmt
	ordinals []int // for each ? in the text, the ordinal of its argument; nil when the text was left alone
	busy     bool  // rows of it are being read; a second use must not reset them
	kept     bool
}

func (c *keepingConn) statement(ctx context.Context, query string) (*keptStatement, error) {
	if s, ok := c.kept[query]; ok && !s.busy {
		return s, nil
	}
	text, ordinals := positional(query)
	stmt, err := c.Conn.(driver.ConnPrepareContext).PrepareContext(ctx, text)
	if err != nil {
		return nil, err
	}
	s := &keptStatement{Stmt: stmt, ordinals: ordinals}
	if _, taken := c.kept[query]; !taken && len(c.kept) < statementsMax {
		c.kept[query], s.kept = s, true
	}
	return s, nil
}

// positional replaces $1, $2, … by ? and tells which argument each ? takes. The driver finds the argument of a named
// parameter by comparing names one by one, which is slow; that of a ? by its place. What is quoted or a comment is left
// alone, and so is a text that has parameters of another kind.
func positional(query string) (string, []int) {
	if !strings.Contains(query, "$") {
		return query, nil
	}
	var text strings.Builder
	var ordinals []int
	for i := 0; i < len(query); {
		n := len(inert(query[i:]))
		if n == 0 {
			n = 1
			if c := query[i]; c == '?' || c == '@' || c == ':' {
				return query, nil
			} else if number := digits(query[i+1:]); c == '$' && number != "" {
				ordinal, err := strconv.Atoi(number)
				if err != nil || ordinal == 0 {
					return query, nil
				}
				ordinals = append(ordinals, ordinal)
				text.WriteByte('?')
				i += 1 + len(number)
				continue
			}
		}
		text.WriteString(query[i : i+n])
		i += n
	}
	if ordinals == nil {
		return query, nil
	}
	return text.String(), ordinals
}

// inert returns the quoted text or the comment that s starts with, or "". A quote within quotes is doubled, which is as
// good as two quoted texts side by side. What is not closed goes on to the end.
func inert(s string) string {
	for _, kind := range []struct{ open, close string }{{"'", "'"}, {`"`, `"`}, {"`", "`"}, {"[", "]"}, {"--", "\n"}, {"/*", "*/"}} {
		rest, ok := strings.CutPrefix(s, kind.open)
		if !ok {
			continue
		}
		if end := strings.Index(rest, kind.close); end >= 0 {
			return s[:len(kind.open)+end+len(kind.close)]
		}
		return s
	}
	return ""
}

func digits(s string) string {
	n := 0
	for n < len(s) && s[n] >= '0' && s[n] <= '9' {
		n++
	}
	return s[:n]
}

// arrange puts the arguments in the order in which the statement wants them. Too few or too many are a mistake, which
// PostgreSQL would refuse too.
func (s *keptStatement) arrange(args []driver.NamedValue) ([]driver.NamedValue, error) {
	if s.ordinals == nil {
		return args, nil
	}
	if want := slices.Max(s.ordinals); want != len(args) {
		return nil, fmt.Errorf("the statement wants %d arguments, not %d", want, len(args))
	}
	arranged := make([]driver.NamedValue, len(s.ordinals))
	for i, n := range s.ordinals {
		arranged[i] = args[n-1]
		arranged[i].Ordinal = i + 1
	}
	return arranged, nil
}

func (s *keptStatement) release() error {
	s.busy = false
	if s.kept {
		return nil
	}
	return s.Stmt.Close()
}

func (c *keepingConn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	s, err := c.statement(ctx, query)
	if err != nil {
		return nil, err
	}
	var result driver.Result
	if args, err = s.arrange(args); err == nil {
		result, err = s.Stmt.(driver.StmtExecContext).ExecContext(ctx, args)
	}
	if closing := s.release(); err == nil {
		err = closing
	}
	return result, err
}

func (c *keepingConn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	s, err := c.statement(ctx, query)
	if err != nil {
		return nil, err
	}
	s.busy = true
	var rows driver.Rows
	if args, err = s.arrange(args); err == nil {
		rows, err = s.Stmt.(driver.StmtQueryContext).QueryContext(ctx, args)
	}
	if err != nil {
		_ = s.release() // the statement's own error counts
		return nil, err
	}
	return &keptRows{Rows: rows, statement: s}, nil
}

type keptRows struct {
	driver.Rows
	statement *keptStatement
	closed    bool
}

func (r *keptRows) Close() error {
	if r.closed {
		return nil
	}
	r.closed = true
	err := r.Rows.Close()
	if closing := r.statement.release(); err == nil {
		err = closing
	}
	return err
}

func (c *keepingConn) PrepareContext(ctx context.Context, query string) (driver.Stmt, error) {
	return c.Conn.(driver.ConnPrepareContext).PrepareContext(ctx, query)
}

func (c *keepingConn) BeginTx(ctx context.Context, o driver.TxOptions) (driver.Tx, error) {
	return c.Conn.(driver.ConnBeginTx).BeginTx(ctx, o)
}

func (c *keepingConn) Ping(ctx context.Context) error { return c.Conn.(driver.Pinger).Ping(ctx) }

func (c *keepingConn) ResetSession(ctx context.Context) error {
	return c.Conn.(driver.SessionResetter).ResetSession(ctx)
}

func (c *keepingConn) IsValid() bool { return c.Conn.(driver.Validator).IsValid() }

// Close closes the statements, then the connection.
func (c *keepingConn) Close() error {
	for _, s := range c.kept {
		_ = s.Stmt.Close() // the connection's own error counts
	}
	clear(c.kept)
	return c.Conn.Close()
}

var (
	_ driver.ExecerContext      = (*keepingConn)(nil)
	_ driver.QueryerContext     = (*keepingConn)(nil)
	_ driver.ConnPrepareContext = (*keepingConn)(nil)
	_ driver.ConnBeginTx        = (*keepingConn)(nil)
	_ driver.Pinger             = (*keepingConn)(nil)
	_ driver.SessionResetter    = (*keepingConn)(nil)
	_ driver.Validator          = (*keepingConn)(nil)
)
