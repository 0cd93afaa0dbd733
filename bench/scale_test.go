package bench

import (
	"context"
	"database/sql"
	"flag"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	_ "modernc.org/sqlite" // the driver by name, for seeding

	"github.com/makegood/makegood/internal/queue"
	"github.com/makegood/makegood/internal/store"
)

var (
	eventsStored = flag.Int("events", 1_000_000, "events in the full store of BenchmarkFullStore")
	ordersStored = flag.Int("orders", 1_000_000, "orders in the store of BenchmarkFind")
)

// BenchmarkFullStore is the cost of keeping an event with many stored already, against an empty store. Rounds of both
// alternate.
func BenchmarkFullStore(b *testing.B) {
	const connections, round = 64, 20_000
	for _, engine := range engines {
		b.Run(engine.name, func(b *testing.B) {
			full := engine.url(b)
			prepare(b, full)
			seed(b, full, seedEvents[engine.name], *eventsStored)
			crowded, empty := receiver(b, full), receiver(b, engine.url(b))
			var fullTook, emptyTook time.Duration
			next := 50_000_000
			for b.Loop() {
				requests := deliveries(b, empty, next, round)
				next += round
				for address, total := range map[string]*time.Duration{crowded: &fullTook, empty: &emptyTook} {
					_, took, err := ClosedLoop(address, connections, requests)
					if err != nil {
						b.Fatal(err)
					}
					*total += took
				}
			}
			b.ReportMetric(fullTook.Seconds()/emptyTook.Seconds(), "x-empty")
			b.ReportMetric(float64(*eventsStored), "events")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// BenchmarkFind is how long any order takes to find among many by what a customer or a provider may quote.
func BenchmarkFind(b *testing.B) {
	for _, engine := range engines {
		b.Run(engine.name, func(b *testing.B) {
			url := engine.url(b)
			prepare(b, url)
			seed(b, url, seedOrders[engine.name], *ordersStored)
			seed(b, url, seedLicenses[engine.name], *ordersStored)
			s, err := store.OpenReading(b.Context(), url)
			if err != nil {
				b.Fatal(err)
			}
			defer s.Close()
			var slowest, all time.Duration
			n := 0
			for b.Loop() {
				for i := 1; i <= 100; i++ {
					at := i * *ordersStored / 100
					key := strings.NewReplacer("0", "A", "1", "B").Replace(fmt.Sprint(at + 222222222222))
					for _, quoted := range []string{fmt.Sprintf("ord%020d", at), fmt.Sprintf("cs_test_%d", at), fmt.Sprintf("pi_%d", at),
						fmt.Sprintf("C%d@Example.com", at), "gd " + key} {
						began := time.Now()
						found, err := s.FindOrders(b.Context(), quoted)
						took := time.Since(began)
						if err != nil || len(found) != 1 {
							b.Fatalf("FindOrders(%q) = %d orders, %v, want 1", quoted, len(found), err)
						}
						slowest = max(slowest, took)
						all += took
						n++
					}
				}
			}
			b.ReportMetric(float64(all.Microseconds())/float64(n)/1000, "mean-ms")
			b.ReportMetric(float64(slowest.Microseconds())/1000, "slowest-ms")
			b.ReportMetric(float64(*ordersStored), "orders")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// prepare makes the schema.
func prepare(b *testing.B, url string) {
	b.Helper()
	s, err := store.Open(b.Context(), url, store.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	if err := s.Migrate(b.Context()); err != nil {
		b.Fatal(err)
	}
	db := queue.Database{Postgres: s.Postgres()}
	db.SQLiteWriter, db.SQLiteReader = s.SQLite()
	if err := queue.Migrate(b.Context(), db); err != nil {
		b.Fatal(err)
	}
}

// seed fills a table behind the store's back; {n} is how many rows.
func seed(b *testing.B, url, statement string, n int) {
	b.Helper()
	statement = strings.ReplaceAll(statement, "{n}", fmt.Sprint(n))
	began := time.Now()
	if path, ok := strings.CutPrefix(url, "sqlite:"); ok {
		db, err := sql.Open("sqlite", "file:"+path+"?_pragma=synchronous(OFF)&_pragma=cache_size(-2000000)")
		if err != nil {
			b.Fatal(err)
		}
		defer db.Close()
		if _, err := db.Exec(statement); err != nil {
			b.Fatal(err)
		}
		if _, err := db.Exec(`PRAGMA wal_checkpoint(TRUNCATE)`); err != nil {
			b.Fatal(err)
		}
	} else {
		conn, err := pgx.Connect(b.Context(), url)
		if err != nil {
			b.Fatal(err)
		}
		defer conn.Close(context.Background())
		if _, err := conn.Exec(b.Context(), statement); err != nil {
			b.Fatal(err)
		}
		if _, err := conn.Exec(b.Context(), `VACUUM ANALYZE`); err != nil {
			b.Fatal(err)
		}
	}
	b.Logf("%d rows seeded in %v", n, time.Since(began).Round(time.Second))
}

const payload = `{"id":"evt","object":"event","type":"checkout.session.completed","livemode":false,"data":{"object":{"id":"cs"}}}`

// The statements that fill a table. Provider's ids are random, as real ones are, so that their index grows everywhere.
var (
	seedEvents = map[string]string{
		"sqlite": `
			WITH RECURSIVE rows(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM rows WHERE i < {n})
			INSERT INTO events (id, source, account, live, provider_id, type, api_version, object_id, created_at, received_at,
				verified_by, state, note, order_id, handled_at, payload)
			SELECT printf('evt00%018d', i), 'stripe', '', 0, 'evt_' || hex(randomblob(12)), 'checkout.session.completed', '2026', 'cs', i, i,
				'0a1b2c3d', 'handled', '', printf('ord%020d', i), i, CAST('` + payload + `' AS BLOB)
			FROM rows`,
		"postgres": `
			INSERT INTO events (id, source, account, live, provider_id, type, api_version, object_id, created_at, received_at,
				verified_by, state, note, order_id, handled_at, payload)
			SELECT 'evt00' || lpad(i::text, 18, '0'), 'stripe', '', false, 'evt_' || md5(random()::text || i), 'checkout.session.completed',
				'2026', 'cs', i, i, '0a1b2c3d', 'handled', '', 'ord' || lpad(i::text, 20, '0'), i, '` + payload + `'::bytea
			FROM generate_series(1, {n}) AS rows(i)`,
	}
	seedOrders = map[string]string{
		"sqlite": `
			WITH RECURSIVE rows(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM rows WHERE i < {n})
			INSERT INTO orders (id, source, account, live, session_id, payment_id, email, customer_name, total_minor, currency, payment,
				fulfillment, reason, created_at, paid_at, fulfilled_at)
			SELECT printf('ord%020d', i), 'stripe', '', 0, 'cs_test_' || i, 'pi_' || i, 'c' || i || '@example.com', 'Ann', 2900, 'usd', 'paid',
				'fulfilled', '', i, i, i
			FROM rows`,
		"postgres": `
			INSERT INTO orders (id, source, account, live, session_id, payment_id, email, customer_name, total_minor, currency, payment,
				fulfillment, reason, created_at, paid_at, fulfilled_at)
			SELECT 'ord' || lpad(i::text, 20, '0'), 'stripe', '', false, 'cs_test_' || i, 'pi_' || i, 'c' || i || '@example.com', 'Ann', 2900, 'usd',
				'paid', 'fulfilled', '', i, i, i
			FROM generate_series(1, {n}) AS rows(i)`,
	}
	seedLicenses = map[string]string{
		"sqlite": `
			WITH RECURSIVE rows(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM rows WHERE i < {n})
			INSERT INTO licenses (id, order_id, line, unit, revision, license_key, key_id, product, status, issued_at)
			SELECT printf('lic%020d', i), printf('ord%020d', i), 0, 0, 0,
				'GD-' || substr(k, 1, 4) || '-' || substr(k, 5, 4) || '-' || substr(k, 9, 4), 'k1', 'az-900', 'active', i
			FROM (SELECT i, replace(replace(CAST(i + 222222222222 AS TEXT), '0', 'A'), '1', 'B') AS k FROM rows)`,
		"postgres": `
			INSERT INTO licenses (id, order_id, line, unit, revision, license_key, key_id, product, status, issued_at)
			SELECT 'lic' || lpad(i::text, 20, '0'), 'ord' || lpad(i::text, 20, '0'), 0, 0, 0,
				'GD-' || substr(k, 1, 4) || '-' || substr(k, 5, 4) || '-' || substr(k, 9, 4), 'k1', 'az-900', 'active', i
			FROM (SELECT i, translate((i + 222222222222)::text, '01', 'AB') AS k FROM generate_series(1, {n}) AS rows(i)) AS keyed`,
	}
)
