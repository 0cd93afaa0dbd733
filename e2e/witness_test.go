package e2e

import (
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"
	_ "modernc.org/sqlite"
)

// witness looks at the database by SQL of its own, apart from the store, whose methods could share its mistakes. It must
// not be open while an SQLite server is killed and restarted: it would keep the write-ahead log's index alive, and the
// server would never have to recover.
type witness struct{ db *sql.DB }

func openWitness(t testing.TB, database string) *witness {
	t.Helper()
	driver, source := "pgx", database
	if path, ok := strings.CutPrefix(database, "sqlite:"); ok {
		driver, source = "sqlite", "file:"+path+"?_pragma=busy_timeout(10000)&_pragma=query_only(ON)"
	}
	db, err := sql.Open(driver, source)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return &witness{db}
}

func (w *witness) count(query string) (n int, err error) {
	err = w.db.QueryRow(query).Scan(&n)
	return n, err
}

func (w *witness) fulfilled() (int, error) {
	return w.count(`SELECT COUNT(*) FROM orders WHERE fulfillment = 'fulfilled'`)
}

func (w *witness) jobsWaiting() (int, error) { return w.count(jobsWaiting) }

const jobsWaiting = `SELECT COUNT(*) FROM river_job WHERE state NOT IN ('completed', 'cancelled', 'discarded')`

// rules are what must hold in any database at rest, each as a query that counts what breaks it.
var rules = []struct{ name, broken string }{
	{"no job waits or was given up", jobsWaiting},
	{"every job was completed", `SELECT COUNT(*) FROM river_job WHERE state <> 'completed'`},
	{"there is no dead letter", `SELECT COUNT(*) FROM dead_letters`},
	{"every event has been interpreted", `SELECT COUNT(*) FROM events WHERE state NOT IN ('handled', 'unhandled')`},
	{"an event is kept once", `SELECT COUNT(*) - COUNT(DISTINCT provider_id) FROM events`},
	{"a key is issued once", `SELECT COUNT(*) - COUNT(DISTINCT license_key) FROM licenses`},
	{"an order of one thing has one licence", `
		SELECT COUNT(*) FROM orders AS o WHERE (SELECT COUNT(*) FROM licenses AS l WHERE l.order_id = o.id) <> 1`},
	{"every licence is active, at revision 0", `SELECT COUNT(*) FROM licenses WHERE status <> 'active' OR revision <> 0`},
	{"every licence was entered in the audit once", `
		SELECT COUNT(*) FROM licenses AS l
		WHERE (SELECT COUNT(*) FROM audit_entries AS a WHERE a.action = 'license.issued' AND a.target = l.id) <> 1`},
	{"the audit knows of no other licence", `
		SELECT COUNT(*) FROM audit_entries AS a
		WHERE a.action LIKE 'license.%' AND (a.action <> 'license.issued' OR a.target NOT IN (SELECT id FROM licenses))`},
	{"an order became paid, owed its mail and was fulfilled once", `
		SELECT COUNT(*) FROM orders AS o
		WHERE (SELECT COUNT(*) FROM audit_entries AS a WHERE a.order_id = o.id AND a.action = 'order.payment' AND a.after_state = 'paid') <> 1
			OR (SELECT COUNT(*) FROM audit_entries AS a WHERE a.order_id = o.id AND a.action = 'step.owed') <> 1
			OR (SELECT COUNT(*) FROM audit_entries AS a WHERE a.order_id = o.id AND a.action = 'order.fulfillment' AND a.after_state = 'fulfilled') <> 1`},
	{"an order is paid and fulfilled with nothing to explain", `
		SELECT COUNT(*) FROM orders WHERE payment <> 'paid' OR fulfillment <> 'fulfilled' OR reason <> ''`},
	{"an order has one step, done, with a receipt", `
		SELECT COUNT(*) FROM orders AS o
		WHERE (SELECT COUNT(*) FROM steps AS s WHERE s.order_id = o.id AND s.state = 'done' AND s.receipt <> '') <> 1
			OR (SELECT COUNT(*) FROM steps AS s WHERE s.order_id = o.id) <> 1`},
	{"the event of every completed checkout names its order", `
		SELECT COUNT(*) FROM events WHERE type = 'checkout.session.completed' AND (state <> 'handled' OR order_id = '')`},
}

// soldOrder is an order as the database has it.
type soldOrder struct {
	fulfillment string
	fulfilledAt time.Time
	keys        []string
}

// orders returns all orders by session.
func (w *witness) orders() (map[string]soldOrder, error) {
	rows, err := w.db.Query(`
		SELECT o.session_id, o.fulfillment, o.fulfilled_at, COALESCE(l.license_key, '')
		FROM orders AS o LEFT JOIN licenses AS l ON l.order_id = o.id`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	orders := map[string]soldOrder{}
	for rows.Next() {
		var session, fulfillment, key string
		var at int64
		if err := rows.Scan(&session, &fulfillment, &at, &key); err != nil {
			return nil, err
		}
		o := orders[session]
		o.fulfillment, o.fulfilledAt = fulfillment, time.UnixMicro(at)
		if key != "" {
			o.keys = append(o.keys, key)
		}
		orders[session] = o
	}
	return orders, rows.Err()
}

// payloads returns the raw bytes of all events by the provider's id.
func (w *witness) payloads() (map[string][]byte, error) {
	rows, err := w.db.Query(`SELECT provider_id, payload FROM events`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	payloads := map[string][]byte{}
	for rows.Next() {
		var id string
		var payload []byte
		if err := rows.Scan(&id, &payload); err != nil {
			return nil, err
		}
		payloads[id] = payload
	}
	return payloads, rows.Err()
}

// integrity lets SQLite examine its own file. PostgreSQL has no such question to a whole database.
func (w *witness) integrity() error {
	if _, err := w.count(`SELECT COUNT(*) FROM pragma_foreign_key_check`); err != nil {
		if _, isPostgres := w.count(`SELECT COUNT(*) FROM pg_class`); isPostgres == nil {
			return nil
		}
		return err
	}
	var verdict string
	err := w.db.QueryRow(`PRAGMA integrity_check`).Scan(&verdict)
	if err == nil && verdict != "ok" {
		err = errors.New(verdict)
	}
	broken, foreign := w.count(`SELECT COUNT(*) FROM pragma_foreign_key_check`)
	if broken != 0 {
		foreign = errors.Join(foreign, fmt.Errorf("%d rows refer to nothing", broken))
	}
	return errors.Join(err, foreign)
}
