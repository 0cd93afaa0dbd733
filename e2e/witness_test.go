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

func (w *witness) jobsWaiting() (int, error) { return w.count(jobsWaiting) }

const jobsWaiting = `SELECT COUNT(*) FROM river_job WHERE state NOT IN ('completed', 'cancelled', 'discarded')`

// rules are what must hold in any database at rest in which nothing is left for a person, each as a query that counts what
// breaks it. How an order stands is compared with its oracle.
var rules = []struct{ name, broken string }{
	{"no job waits", jobsWaiting},
	{"no job was given up without a letter", `
		SELECT COUNT(*) FROM river_job
		WHERE state = 'discarded' OR (state = 'cancelled' AND NOT EXISTS (SELECT 1 FROM dead_letters))`},
	{"every dead letter was done again", `SELECT COUNT(*) FROM dead_letters WHERE state <> 'retried' OR retries <> 1`},
	{"every event has been interpreted", `SELECT COUNT(*) FROM events WHERE state NOT IN ('handled', 'unhandled')`},
	{"an event is kept once", `SELECT COUNT(*) - COUNT(DISTINCT provider_id) FROM events`},
	{"no fact waits for a sale", `SELECT COUNT(*) FROM tombstones`},
	{"a key is issued once", `SELECT COUNT(*) - COUNT(DISTINCT license_key) FROM licenses`},
	{"a unit has one licence", `SELECT COUNT(*) FROM (SELECT 1 FROM licenses GROUP BY order_id, line, unit HAVING COUNT(*) > 1) AS doubled`},
	{"every licence was entered in the audit once", `
		SELECT COUNT(*) FROM licenses AS l
		WHERE (SELECT COUNT(*) FROM audit_entries AS a WHERE a.action = 'license.issued' AND a.target = l.id) <> 1`},
	{"the audit knows of no other licence", `
		SELECT COUNT(*) FROM audit_entries AS a WHERE a.action LIKE 'license.%' AND a.target NOT IN (SELECT id FROM licenses)`},
	{"the last of the audit is how a licence stands", `
		SELECT COUNT(*) FROM licenses AS l
		WHERE l.status <> COALESCE((
			SELECT a.after_state FROM audit_entries AS a
			WHERE a.target = l.id AND a.action <> 'license.issued'
			ORDER BY a.at DESC, a.ordinal DESC
			LIMIT 1), 'active')`},
	{"the stock of an order is none or what was bought", `
		SELECT COUNT(*) FROM (SELECT SUM(delta) AS sum, MIN(delta) AS least FROM stock_moves GROUP BY order_id) AS o
		WHERE sum <> 0 AND sum <> least`},
	{"every step is done, with a receipt, or was withdrawn", `
		SELECT COUNT(*) FROM steps WHERE state NOT IN ('done', 'withdrawn') OR (state = 'done' AND (receipt = '' OR attempts < 1))`},
	{"every telling is done", `SELECT COUNT(*) FROM steps WHERE name LIKE 'forward:%' AND state <> 'done'`},
	{"no mail is withdrawn of an order that has its goods", `
		SELECT COUNT(*) FROM steps JOIN orders ON orders.id = steps.order_id
		WHERE steps.state = 'withdrawn' AND orders.entitlement = 'active'`},
	{"the event of every completed checkout names its order", `
		SELECT COUNT(*) FROM events WHERE type = 'checkout.session.completed' AND (state <> 'handled' OR order_id = '')`},
}

// soldOrder is an order as the database has it.
type soldOrder struct {
	id                                        string
	payment, entitlement, fulfillment, reason string
	fulfilledAt                               time.Time
	licenses                                  []soldLicense // by unit
	stock, moves                              int
	tellings                                  map[string]int  // how many are owed or done, by destination
	givenUp                                   map[string]bool // destinations at which one was given up
}

type soldLicense struct {
	line, unit, revision int
	key, product, status string
}

// orders returns all orders by source and session.
func (w *witness) orders() (map[string]soldOrder, error) {
	all := map[string]*soldOrder{} // by id
	byName := map[string]*soldOrder{}
	err := w.each(`SELECT id, source, session_id, payment, entitlement, fulfillment, reason, fulfilled_at FROM orders`, func(scan func(...any) error) error {
		o := &soldOrder{tellings: map[string]int{}, givenUp: map[string]bool{}}
		var source, session string
		var at int64
		err := scan(&o.id, &source, &session, &o.payment, &o.entitlement, &o.fulfillment, &o.reason, &at)
		o.fulfilledAt = time.UnixMicro(at)
		all[o.id], byName[source+"/"+session] = o, o
		return err
	})
	err = errors.Join(err, w.each(`
		SELECT order_id, line, unit, revision, license_key, product, status FROM licenses ORDER BY order_id, line, unit, revision`,
		func(scan func(...any) error) error {
			var id string
			var l soldLicense
			err := scan(&id, &l.line, &l.unit, &l.revision, &l.key, &l.product, &l.status)
			all[id].licenses = append(all[id].licenses, l)
			return err
		}))
	err = errors.Join(err, w.each(`SELECT order_id, delta FROM stock_moves`, func(scan func(...any) error) error {
		var id string
		var delta int
		err := scan(&id, &delta)
		all[id].stock += delta
		all[id].moves++
		return err
	}))
	err = errors.Join(err, w.each(`SELECT order_id, name FROM steps WHERE name LIKE 'forward:%'`, func(scan func(...any) error) error {
		var id, step string
		err := scan(&id, &step)
		all[id].tellings[destinationOf(step)]++
		return err
	}))
	err = errors.Join(err, w.each(`SELECT order_id, step FROM dead_letters WHERE order_id <> ''`, func(scan func(...any) error) error {
		var id, step string
		err := scan(&id, &step)
		all[id].givenUp[destinationOf(step)] = true
		return err
	}))
	orders := make(map[string]soldOrder, len(byName))
	for name, o := range byName {
		orders[name] = *o
	}
	return orders, err
}

// destinationOf is the shop of forward:shop:2.
func destinationOf(step string) string {
	_, rest, _ := strings.Cut(step, ":")
	destination, _, _ := strings.Cut(rest, ":")
	return destination
}

// each calls do for each row of a query.
func (w *witness) each(query string, do func(scan func(...any) error) error) error {
	rows, err := w.db.Query(query)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := do(rows.Scan); err != nil {
			return err
		}
	}
	return rows.Err()
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
