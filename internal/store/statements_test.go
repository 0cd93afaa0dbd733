package store_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"modernc.org/sqlite"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/store"
	"github.com/makegood/makegood/internal/store/storetest"
)

func TestPositional(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, in, want string
		ordinals       []int
	}{
		{"nothing to do", "SELECT 1", "SELECT 1", nil},
		{"one", "SELECT $1", "SELECT ?", []int{1}},
		{"in another order", "SELECT $2, $1", "SELECT ?, ?", []int{2, 1}},
		{"used again", "SELECT $1, $2, $1", "SELECT ?, ?, ?", []int{1, 2, 1}},
		{"more than nine", "SELECT $1, $10, $11", "SELECT ?, ?, ?", []int{1, 10, 11}},
		{"without a first", "SELECT $2", "SELECT ?", []int{2}},
		{"side by side", "SELECT $1||$2", "SELECT ?||?", []int{1, 2}},
		{"in a text", "SELECT '$1', $1", "SELECT '$1', ?", []int{1}},
		{"in a text with a quote", "SELECT 'it''s $1', $1", "SELECT 'it''s $1', ?", []int{1}},
		{"in a name", `SELECT "a $1 ""b""", $1`, `SELECT "a $1 ""b""", ?`, []int{1}},
		{"in names of other dialects", "SELECT `$1`, [$1], $1", "SELECT `$1`, [$1], ?", []int{1}},
		{"a question mark in a text", "SELECT '?', $1", "SELECT '?', ?", []int{1}},
		{"a quote in a comment", "SELECT $1 -- it's $1\n, $2", "SELECT ? -- it's $1\n, ?", []int{1, 2}},
		{"a long comment", "SELECT /* it's $1 */ $1", "SELECT /* it's $1 */ ?", []int{1}},
		{"a path of JSON", "SELECT '$.a', $1", "SELECT '$.a', ?", []int{1}},
		{"only a path of JSON", "SELECT '$.a'", "SELECT '$.a'", nil},
		{"a text that is not closed", "SELECT $1, 'a $2", "SELECT ?, 'a $2", []int{1}},
		{"parameters of another kind", "SELECT $1, ?2", "SELECT $1, ?2", nil},
		{"a parameter of another kind", "SELECT $1, :name", "SELECT $1, :name", nil},
		{"a named one", "SELECT $name", "SELECT $name", nil},
		{"number nought", "SELECT $0", "SELECT $0", nil},
		{"a number too big", "SELECT $99999999999999999999", "SELECT $99999999999999999999", nil},
	} {
		got, ordinals := store.Positional(tt.in)
		if got != tt.want || !slices.Equal(ordinals, tt.ordinals) {
			t.Errorf("%s: positional(%q) = %q, %v, want %q, %v", tt.name, tt.in, got, ordinals, tt.want, tt.ordinals)
		}
	}
}

// However odd the text: what is replaced can be put back, and what SQLite makes of it is the same.
func FuzzPositional(f *testing.F) {
	for _, text := range []string{"SELECT $1, '$2', $3", "SELECT \"$1\" -- '$1\n || $2", "$", "'$1", "/*$1*/$1[$2]", "$1$2?", "$0", "$18446744073709551616"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, ordinals := store.Positional(text)
		if ordinals == nil {
			if got != text {
				t.Errorf("positional(%q) = %q without ordinals, want the text left alone", text, got)
			}
			return
		}
		again, more := store.Positional(got)
		if again != got || more != nil {
			t.Errorf("positional of its own result %q = %q, %v, want it left alone", got, again, more)
		}
		// Putting the numbers back, one ? after the other wherever the original had a $, gives the original.
		var back strings.Builder
		i := 0
		for j := 0; j < len(got); j++ {
			rest := text[back.Len():]
			if got[j] == '?' && strings.HasPrefix(rest, "$") && i < len(ordinals) {
				number := rest[1 : 1+len(rest[1:])-len(strings.TrimLeft(rest[1:], "0123456789"))]
				if strings.TrimLeft(number, "0") != fmt.Sprint(ordinals[i]) {
					t.Fatalf("positional(%q): ordinal %d = %d, want %s", text, i, ordinals[i], number)
				}
				back.WriteString("$" + number)
				i++
				continue
			}
			back.WriteByte(got[j])
		}
		if back.String() != text || i != len(ordinals) {
			t.Errorf("positional(%q) = %q, %v: put back it is %q", text, got, ordinals, back.String())
		}
	})
}

func TestStatementArguments(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, url string) {
		s := open(t, url, store.Options{})
		one := func(query string, args ...any) (got string, err error) {
			err = s.Read(t.Context(), func(tx store.Tx) error { return tx.QueryRow(t.Context(), query, args...).Scan(&got) })
			return got, err
		}
		const three = `SELECT CAST($2 AS TEXT) || CAST($1 AS TEXT) || CAST($2 AS TEXT)`
		if got, err := one(three, "a", "b"); err != nil || got != "bab" {
			t.Errorf("a parameter used twice, out of order = %q, %v, want bab", got, err)
		}
		for _, args := range [][]any{{"a"}, {"a", "b", "c"}} {
			if got, err := one(three, args...); err == nil {
				t.Errorf("%d arguments for two = %q, want an error", len(args), got)
			}
		}
		if got, err := one(three, "c", "d"); err != nil || got != "dcd" {
			t.Errorf("the same statement after a mistake = %q, %v, want dcd", got, err)
		}
	})
}

// A statement may be used again while its rows are still being read.
func TestStatementWithinItself(t *testing.T) {
	t.Parallel()
	url := storetest.SQLite(t)
	s := open(t, url, store.Options{})
	if err := s.Write(t.Context(), func(tx store.Tx) error {
		for i := range 10 {
			if err := note(t.Context(), tx, fmt.Sprint(i)); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	var count func(tx store.Tx, deep int) int
	count = func(tx store.Tx, deep int) int {
		rows, err := tx.Query(t.Context(), `SELECT order_id FROM outgoing WHERE step = $1 ORDER BY order_id`, "note")
		if err != nil {
			t.Fatal(err)
		}
		defer rows.Close()
		n := 0
		for rows.Next() {
			var name string
			if err := rows.Scan(&name); err != nil || name != fmt.Sprint(n) {
				t.Fatalf("row %d at depth %d = %q, %v", n, deep, name, err)
			}
			n++
			if deep > 1 {
				if inner := count(tx, deep-1); inner != 10 {
					t.Errorf("rows within rows = %d, want 10", inner)
				}
			}
		}
		return n
	}
	if err := s.Read(t.Context(), func(tx store.Tx) error {
		if n := count(tx, 3); n != 10 {
			t.Errorf("rows around rows = %d, want 10", n)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

// Statements are prepared once, at most so many are kept, and all of them are closed in the end.
func TestStatementsAreKept(t *testing.T) {
	t.Parallel()
	var prepared, closed atomic.Int64
	c, err := sqlite.NewConnector("file:" + t.TempDir() + "/x.db")
	if err != nil {
		t.Fatal(err)
	}
	db := sql.OpenDB(store.KeepStatements(countingConnector{c, &prepared, &closed}))
	db.SetMaxOpenConns(1)
	query := func(i int) {
		var got int
		if err := db.QueryRow(fmt.Sprintf(`SELECT $1 + %d`, i), 1).Scan(&got); err != nil || got != i+1 {
			t.Fatalf("query %d = %d, %v", i, got, err)
		}
	}
	const over = 10
	for range 3 {
		for i := range store.StatementsMax + over {
			query(i)
		}
	}
	if got, want := prepared.Load(), int64(store.StatementsMax+3*over); got != want {
		t.Errorf("prepared %d statements, want %d: each once, those over the limit each time", got, want)
	}
	if got, want := closed.Load(), int64(3*over); got != want {
		t.Errorf("closed %d statements, want the %d over the limit", got, want)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if prepared.Load() != closed.Load() {
		t.Errorf("at the end %d statements were prepared and %d closed", prepared.Load(), closed.Load())
	}
}

type sqliteConn interface {
	driver.Conn
	driver.ConnPrepareContext
	driver.ConnBeginTx
	driver.Pinger
	driver.SessionResetter
	driver.Validator
}

type sqliteStmt interface {
	driver.Stmt
	driver.StmtExecContext
	driver.StmtQueryContext
}

type countingConnector struct {
	driver.Connector
	prepared, closed *atomic.Int64
}

func (c countingConnector) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := c.Connector.Connect(ctx)
	return countingConn{conn.(sqliteConn), c}, err
}

type countingConn struct {
	sqliteConn
	count countingConnector
}

func (c countingConn) PrepareContext(ctx context.Context, query string) (driver.Stmt, error) {
	s, err := c.sqliteConn.PrepareContext(ctx, query)
	c.count.prepared.Add(1)
	return countingStmt{s.(sqliteStmt), c.count}, err
}

type countingStmt struct {
	sqliteStmt
	count countingConnector
}

func (s countingStmt) Close() error {
	s.count.closed.Add(1)
	return s.sqliteStmt.Close()
}

// heard collects the texts that reach SQLite.
type heard struct {
	mu    sync.Mutex
	texts []string
}

func (h *heard) take() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	texts := h.texts
	h.texts = nil
	return texts
}

func (h *heard) connector(dsn string) (driver.Connector, error) {
	c, err := sqlite.NewConnector(dsn)
	return hearingConnector{c, h}, err
}

type hearingConnector struct {
	driver.Connector
	heard *heard
}

func (c hearingConnector) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := c.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	return hearingConn{conn.(sqliteConn), c.heard}, nil
}

type hearingConn struct {
	sqliteConn
	heard *heard
}

func (c hearingConn) PrepareContext(ctx context.Context, query string) (driver.Stmt, error) {
	c.heard.mu.Lock()
	c.heard.texts = append(c.heard.texts, query)
	c.heard.mu.Unlock()
	return c.sqliteConn.PrepareContext(ctx, query)
}

// At millions of rows nothing may be read from end to end. SQLite plans without looking at the rows, so its plan for an
// empty database is its plan for a big one.
func TestPlans(t *testing.T) {
	t.Parallel()
	var h heard
	url := storetest.SQLite(t)
	before := open(t, url, store.Options{})
	if _, err := before.AcceptEvent(t.Context(), event("evt_1")); err != nil {
		t.Fatal(err)
	}
	o, err := before.AmendOrder(t.Context(), makegood.Amendment{Key: key, Actor: "test", Change: learn(paid())})
	if err != nil {
		t.Fatal(err)
	}
	if err := before.Close(); err != nil {
		t.Fatal(err)
	}
	var s *store.Store
	raw, err := sql.Open("sqlite", "file:"+strings.TrimPrefix(url, "sqlite:"))
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()

	const newestFirst = "sqlite_autoindex_" // in the order of the primary key, until the limit
	for _, tt := range []struct {
		name string
		do   func() error
		uses []string // indexes, of which each must serve a statement
		scan string   // the one index that may be read in order
	}{
		{"accept", func() error { _, err := s.AcceptEvent(t.Context(), event("evt_2")); return err }, nil, ""},
		{"event", func() error { _, err := s.Event(t.Context(), "evt_1"); return err },
			[]string{"sqlite_autoindex_events_1 (id=?)", "events_identity (provider_id=?)"}, ""},
		{"events", func() error { _, err := s.Events(t.Context(), store.EventFilter{}); return err }, nil, newestFirst},
		{"dead events", func() error { _, err := s.Events(t.Context(), store.EventFilter{State: "dead"}); return err },
			[]string{"events_open (state=?)"}, ""},
		{"unhandled events of a source", func() error {
			_, err := s.Events(t.Context(), store.EventFilter{State: "unhandled", Source: "stripe"})
			return err
		}, []string{"events_open (state=?)"}, ""},
		{"events of an order", func() error { _, err := s.Events(t.Context(), store.EventFilter{OrderID: o.ID}); return err },
			[]string{"events_by_order (order_id=?)"}, ""},
		{"order", func() error { _, err := s.Order(t.Context(), o.ID); return err },
			[]string{"sqlite_autoindex_orders_1 (id=?)", "sqlite_autoindex_facts_1 (order_id=?)", "sqlite_autoindex_order_lines_1 (order_id=?)",
				"licenses_slot (order_id=?)", "sqlite_autoindex_stock_moves_1 (order_id=?)", "sqlite_autoindex_steps_1 (order_id=?)"}, ""},
		{"order by session", func() error { _, err := s.OrderBySession(t.Context(), "stripe", "cs_test_1"); return err },
			[]string{"orders_identity (session_id=? AND source=?)"}, ""},
		{"orders", func() error { _, err := s.Orders(t.Context(), store.OrderFilter{}); return err }, nil, "orders_of_customers"},
		{"orders with the synthetic ones", func() error { _, err := s.Orders(t.Context(), store.OrderFilter{Synthetic: true}); return err }, nil, newestFirst},
		{"stuck orders", func() error { _, err := s.Orders(t.Context(), store.OrderFilter{Fulfillment: "stuck"}); return err },
			[]string{"orders_unfinished (fulfillment=?)"}, ""},
		{"find orders", func() error { _, err := s.FindOrders(t.Context(), "ann@example.com"); return err },
			[]string{"sqlite_autoindex_orders_1 (id=?)", "orders_identity (session_id=?)", "orders_by_payment (payment_id=?)",
				"orders_by_email (<expr>=?)", "licenses_key (license_key=?)", "sqlite_autoindex_licenses_1 (id=?)"}, ""},
		{"licence by key", func() error { _, _, _, err := s.LicenseByKey(t.Context(), o.Licenses[0].Key); return err },
			[]string{"licenses_key (license_key=?)", "sqlite_autoindex_licenses_1 (id=?)"}, ""},
		{"amend", func() error {
			_, err := s.AmendOrder(t.Context(), makegood.Amendment{Key: key, Actor: "test", Change: learn(refunded())})
			return err
		}, []string{"orders_identity (session_id=? AND source=? AND account=? AND live=?)"}, ""},
		{"audit", func() error { _, err := s.AuditOf(t.Context(), o.ID); return err }, []string{"audit_by_order (order_id=?)"}, ""},
		{"dead letters", func() error { _, err := s.DeadLetters(t.Context(), store.DeadLetterFilter{Limit: 10}); return err }, nil, newestFirst},
		{"outgoing", func() error { _, _ = s.Outgoing(t.Context(), o.ID, "email"); return nil },
			[]string{"sqlite_autoindex_outgoing_1 (order_id=? AND step=?)"}, ""},
		{"depths", func() error { _, err := s.QueueDepths(t.Context()); return err },
			[]string{"river_job_prioritized_fetching_index (state=?)"}, ""},
		{"release", func() error { _, err := s.ReleaseRunningJobs(t.Context(), "node"); return err },
			[]string{"river_job_prioritized_fetching_index (state=?)"}, ""},
	} {
		// Statements are kept, so each case needs connections that have not heard any: those of a new store.
		s, err = store.Open(t.Context(), url, store.Options{Connector: h.connector})
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(tt.do(), s.Close()); err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		plan := ""
		for _, text := range h.take() {
			plan += explain(t, raw, text)
		}
		for _, index := range tt.uses {
			if !strings.Contains(plan, index) {
				t.Errorf("%s does not use %s:\n%s", tt.name, index, plan)
			}
		}
		for line := range strings.Lines(plan) {
			if strings.Contains(line, "SCAN ") && !harmless(line) && (tt.scan == "" || !strings.Contains(line, tt.scan)) {
				t.Errorf("%s reads all rows: %s", tt.name, line)
			}
		}
	}
}

// harmless reports whether a scan is of something small that the statement made itself.
func harmless(line string) bool {
	return slices.ContainsFunc([]string{"SCAN CONSTANT ROW", "SCAN named", "SCAN (subquery", "SCAN json_each", "SCAN mailed"}, func(s string) bool { return strings.Contains(line, s) })
}

func explain(t *testing.T, db *sql.DB, text string) string {
	t.Helper()
	first, _, _ := strings.Cut(strings.TrimSpace(text), " ")
	if !slices.Contains([]string{"SELECT", "INSERT", "UPDATE", "DELETE", "WITH"}, strings.ToUpper(strings.TrimSpace(first))) {
		return ""
	}
	rows, err := db.Query("EXPLAIN QUERY PLAN "+text, make([]any, strings.Count(text, "?"))...)
	if err != nil {
		t.Fatalf("explain %s: %v", text, err)
	}
	defer rows.Close()
	plan := ""
	for rows.Next() {
		var id, parent, unused int
		var detail string
		if err := rows.Scan(&id, &parent, &unused, &detail); err != nil {
			t.Fatal(err)
		}
		plan += detail + "\n"
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return plan
}
