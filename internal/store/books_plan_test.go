package store

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/queue"
	"github.com/makegood/makegood/internal/store/storetest"
)

// booksRows is how many orders and events the plans are made for. With a million the plans are the same (tried by hand).
const booksRows = 30_000

// explaining has every question of a look explained before it is asked.
type explaining struct {
	engine
	plans *[]string
}

func (e explaining) look(ctx context.Context, fn func(Tx) error) error {
	return e.engine.look(ctx, func(tx Tx) error { return fn(explainingTx{tx, e}) })
}

type explainingTx struct {
	Tx
	e explaining
}

func (tx explainingTx) explain(ctx context.Context, sql string, args []any) {
	words := "EXPLAIN "
	if tx.e.name() == "sqlite" {
		words = "EXPLAIN QUERY PLAN "
	}
	plan := strings.Join(strings.Fields(sql), " ") + "\n"
	err := each(ctx, tx.Tx, func(rows Rows) error {
		var a, b, c int
		var line string
		if tx.e.name() == "sqlite" {
			err := rows.Scan(&a, &b, &c, &line)
			plan += line + "\n"
			return err
		}
		err := rows.Scan(&line)
		plan += line + "\n"
		return err
	}, words+sql, args...)
	if err != nil {
		plan += "error: " + err.Error()
	}
	*tx.e.plans = append(*tx.e.plans, plan)
}

func (tx explainingTx) Query(ctx context.Context, sql string, args ...any) (Rows, error) {
	tx.explain(ctx, sql, args)
	return tx.Tx.Query(ctx, sql, args...)
}

func (tx explainingTx) QueryRow(ctx context.Context, sql string, args ...any) Row {
	tx.explain(ctx, sql, args)
	return tx.Tx.QueryRow(ctx, sql, args...)
}

// TestBooksAreCheap: no look of the server into its own books reads a table from end to end, on either engine.
func TestBooksAreCheap(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, url string) {
		s, err := Open(t.Context(), url, Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		db := queue.Database{Postgres: s.Postgres()}
		db.SQLiteWriter, db.SQLiteReader = s.SQLite()
		if err := errors.Join(s.Migrate(t.Context()), queue.Migrate(t.Context(), db)); err != nil {
			t.Fatal(err)
		}
		now := time.Now()
		fill(t, s, booksRows, now)

		var plans []string
		s.engine = explaining{s.engine, &plans}
		ctx, hour := t.Context(), now.Add(-time.Hour)
		for name, look := range map[string]func() error{
			"OrdersOwed":             func() error { _, err := s.OrdersOwed(ctx, now); return err },
			"LastDelivery":           func() error { _, _, err := s.LastDelivery(ctx, "stripe"); return err },
			"CountDeliveryStretches": func() error { _, err := s.CountDeliveryStretches(ctx, "stripe", hour, now, 100); return err },
			"CountFailedEvents":      func() error { _, err := s.CountFailedEvents(ctx, hour); return err },
			"CountRecentDeadLetters": func() error { _, err := s.CountRecentDeadLetters(ctx, hour); return err },
			"CountDeadLetters":       func() error { _, err := s.CountDeadLetters(ctx); return err },
			"CountWaitingJobs":       func() error { _, err := s.CountWaitingJobs(ctx, makegood.QueuePayments); return err },
			"QueueAge":               func() error { _, err := s.QueueAge(ctx, makegood.QueuePayments); return err },
			"StepTroubles":           func() error { _, err := s.StepTroubles(ctx, "email"); return err },
			"SlowJobs":               func() error { _, err := s.SlowJobs(ctx, hour, 10); return err },
			"CountSlowJobs":          func() error { _, _, err := s.CountSlowJobs(ctx, hour); return err },
		} {
			plans = nil
			began := time.Now()
			if err := look(); err != nil {
				t.Errorf("%s = %v", name, err)
			}
			t.Logf("%s took %v, its plan with it", name, time.Since(began))
			for _, plan := range plans {
				if reads := readsAll(plan); reads != "" {
					t.Errorf("%s reads a whole table (%s):\n%s", name, reads, plan)
				}
			}
			if len(plans) == 0 {
				t.Errorf("%s was not explained", name)
			}
		}
	})
}

// readsAll returns the line of a plan that reads a table or an index from end to end. River's table is small on SQLite,
// where finished jobs are removed, and full of them on PostgreSQL.
func readsAll(plan string) string {
	for line := range strings.Lines(plan) {
		if strings.Contains(line, "Seq Scan on") {
			return strings.TrimSpace(line)
		}
		// "SCAN orders USING INDEX orders_owed" reads the few rows of a partial index.
		if strings.HasPrefix(line, "SCAN ") && !strings.Contains(line, "orders_owed") && !strings.Contains(line, "steps_troubled") &&
			!strings.Contains(line, "dead_letters_open") && !strings.HasPrefix(line, "SCAN owed") && !strings.HasPrefix(line, "SCAN delivered") &&
			!strings.HasPrefix(line, "SCAN (subquery") {
			return strings.TrimSpace(line)
		}
	}
	return ""
}

// fill makes rows orders of the last weeks, each with an event, a step that is done, and some that failed.
func fill(t *testing.T, s *Store, rows int, now time.Time) {
	t.Helper()
	last := now.UnixMicro()
	many := fmt.Sprintf(`WITH RECURSIVE many (n) AS (SELECT CAST(1 AS BIGINT) UNION ALL SELECT n + 1 FROM many WHERE n < %d) `, rows)
	const step = 60_000_000 // an order a minute
	statements := []string{
		many + fmt.Sprintf(`
			INSERT INTO orders (id, source, account, live, session_id, payment_id, email, customer_name, total_minor, currency,
				payment, entitlement, fulfillment, reason, created_at, paid_at, fulfilled_at)
			SELECT 'ord_' || n, 'stripe', '', TRUE, 'cs_' || n, '', '', '', 2900, 'usd', 'paid', 'active',
				CASE WHEN n %% 5000 = 0 THEN 'stuck' ELSE 'fulfilled' END, '', %[1]d - n * %[2]d, %[1]d - n * %[2]d,
				CASE WHEN n %% 5000 = 0 THEN 0 ELSE %[1]d - n * %[2]d END
			FROM many`, last, step),
		many + fmt.Sprintf(`
			INSERT INTO events (id, source, account, live, provider_id, type, api_version, object_id, created_at, received_at,
				verified_by, state, note, order_id, handled_at, payload)
			SELECT 'evt_' || n, CASE WHEN n %% 2 = 0 THEN 'stripe' ELSE 'paypal' END, '', TRUE, 'p_' || n, '', '', '', 0,
				%d - n * %d, 'print', 'handled', '', '', 0, NULL
			FROM many`, last, step),
		many + `
			INSERT INTO steps (order_id, name, state, owed_at, intent_at, uncertain_since, done_at, receipt, last_error, attempts)
			SELECT 'ord_' || n, 'email', CASE WHEN n % 5000 = 0 THEN 'failed' ELSE 'done' END, 0, 0, 0, 0, '',
				CASE WHEN n % 5000 = 0 THEN 'refused' ELSE '' END, 1
			FROM many`,
		many + fmt.Sprintf(`
			INSERT INTO dead_letters (id, kind, event_id, order_id, step, source, type, payload, error, attempts, first_failed_at,
				last_failed_at, state)
			SELECT 'dlq_' || n, 'interpret', 'e' || n, '', '', '', '', NULL, '', 1, 0, %d - n * %d, CASE WHEN n %% 5000 = 0 THEN 'open' ELSE 'retried' END
			FROM many`, last, step),
		many + fmt.Sprintf(`
			INSERT INTO slow_jobs (id, ended_at, took, kind, queue, source, step, event_id, order_id, attempt)
			SELECT 'slo_' || n, %d - n * %d, 1, '', '', '', '', '', '', 1 FROM many`, last, step),
	}
	if s.Engine() == "postgres" { // finished jobs stay for a while there
		statements = append(statements, many+`
			INSERT INTO river_job (args, kind, max_attempts, queue, state, finalized_at, attempted_at)
			SELECT '{}', 'interpret', 5, 'payments', 'completed', now(), now() FROM many`)
	}
	statements = append(statements, `ANALYZE`)
	for _, statement := range statements {
		err := s.engine.write(t.Context(), func(tx Tx) error { _, err := tx.Exec(t.Context(), statement); return err })
		if err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
}
