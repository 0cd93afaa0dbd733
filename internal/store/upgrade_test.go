package store

import (
	"testing"
	"time"

	"github.com/makegood/makegood/internal/queue"
	"github.com/makegood/makegood/internal/store/storetest"
)

// TestUpgradeWithRows: a database with orders from before there were incidents and synthetic checkouts is brought up to date;
// its orders are customers', and what is owed of them is found. (With a million orders no step took three seconds on either
// engine, tried by hand.)
func TestUpgradeWithRows(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, url string) {
		s, err := Open(t.Context(), url, Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		steps, err := readMigrations(migrationFiles)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.migrate(t.Context(), steps[:2]); err != nil {
			t.Fatal(err)
		}
		many := `WITH RECURSIVE many (n) AS (SELECT CAST(1 AS BIGINT) UNION ALL SELECT n + 1 FROM many WHERE n < 500) `
		for _, statement := range []string{
			many + `
				INSERT INTO orders (id, source, account, live, session_id, payment_id, email, customer_name, total_minor, currency,
					payment, entitlement, fulfillment, reason, created_at, paid_at, fulfilled_at)
				SELECT 'ord_' || n, 'stripe', '', TRUE, 'cs_' || n, '', '', '', 2900, 'usd', 'paid', 'active',
					CASE WHEN n % 100 = 0 THEN 'stuck' ELSE 'fulfilled' END, '', n, n, CASE WHEN n % 100 = 0 THEN 0 ELSE n END
				FROM many`,
			many + `
				INSERT INTO facts (order_id, kind, object_id, payment_id, amount_minor, currency, email, customer_name, lines, occurred_at,
					learned_at, event_id, contradicted)
				SELECT 'ord_' || n, 'paid', 'x', '', 1, 'usd', '', '', '[]', 1, 1, 'e', FALSE
				FROM many`,
			many + `
				INSERT INTO events (id, source, account, live, provider_id, type, api_version, object_id, created_at, received_at,
					verified_by, state, note, order_id, handled_at, payload)
				SELECT 'evt_' || n, 'stripe', '', TRUE, 'p_' || n, '', '', '', 0, n, 'print' || n, 'handled', '', '', 0, NULL
				FROM many`,
			many + `
				INSERT INTO steps (order_id, name, state, owed_at, intent_at, uncertain_since, done_at, receipt, last_error, attempts)
				SELECT 'ord_' || n, 'email', CASE WHEN n % 100 = 0 THEN 'failed' ELSE 'done' END, 0, 0, 0, 0, '',
					CASE WHEN n % 100 = 0 THEN 'refused' ELSE '' END, 1
				FROM many`,
		} {
			if err := s.engine.write(t.Context(), func(tx Tx) error { _, err := tx.Exec(t.Context(), statement); return err }); err != nil {
				t.Fatalf("%s: %v", statement, err)
			}
		}
		if err := s.Migrate(t.Context()); err != nil {
			t.Fatalf("the upgrade: %v", err)
		}
		db := queue.Database{Postgres: s.Postgres()}
		db.SQLiteWriter, db.SQLiteReader = s.SQLite()
		if err := queue.Migrate(t.Context(), db); err != nil {
			t.Fatal(err)
		}
		if owed, err := s.OrdersOwed(t.Context(), time.Now()); err != nil || len(owed) != 5 {
			t.Errorf("OrdersOwed = %d, %v, want 5", len(owed), err)
		}
		if list, err := s.Orders(t.Context(), OrderFilter{}); err != nil || len(list) != 500 {
			t.Errorf("Orders = %d, %v, want 500", len(list), err)
		}
		if o, err := s.Order(t.Context(), "ord_7"); err != nil || o.Synthetic {
			t.Errorf("Order = %+v, %v, want one of a customer", o, err)
		}
		if at, by, err := s.LastDelivery(t.Context(), "stripe"); err != nil || by != "print500" || at.UnixMicro() != 500 {
			t.Errorf("LastDelivery = %v, %s, %v, want the newest", at, by, err)
		}
		if steps, err := s.StepTroubles(t.Context(), "email"); err != nil || len(steps) != 5 {
			t.Errorf("StepTroubles = %d, %v, want 5", len(steps), err)
		}
	})
}
