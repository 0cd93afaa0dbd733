package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/makegood/makegood"
)

// DialFunc opens a connection to the server.
type DialFunc func(ctx context.Context, network, address string) (net.Conn, error)

// postgresEngine gives each closure a transaction of its own; PostgreSQL joins the flushes of those that commit together.
// Deliveries are kept by two goroutines that put all who wait into one statement each: measured ten times as fast as a
// transaction per delivery.
type postgresEngine struct {
	pool     *pgxpool.Pool
	arrivals chan *arrival
	stop     chan struct{}
	done     sync.WaitGroup
	once     sync.Once

	readingOnly bool
}

type arrival struct {
	event  makegood.Event
	isNew  bool
	result chan error
}

const postgresAcceptors = 2

func openPostgres(ctx context.Context, url string, dial DialFunc, readingOnly bool) (*postgresEngine, error) {
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, errors.New("the database URL cannot be read; write postgres://user@host:5432/name (passwords: use PGPASSWORD or a pgpass file)")
	}
	if dial != nil {
		config.ConnConfig.DialFunc = pgconn.DialFunc(dial)
	}
	config.MaxConns = max(config.MaxConns, 24)
	config.ConnConfig.RuntimeParams["application_name"] = "makegood"
	// A server whose default is "off" would acknowledge what a power cut forgets.
	config.ConnConfig.RuntimeParams["synchronous_commit"] = "on"
	if readingOnly {
		config.ConnConfig.RuntimeParams["default_transaction_read_only"] = "on"
	}
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("open the database: %w", err)
	}
	if err := checkServer(ctx, pool); err != nil {
		pool.Close()
		return nil, err
	}
	e := &postgresEngine{pool: pool, stop: make(chan struct{}), readingOnly: readingOnly}
	if readingOnly {
		return e, nil
	}
	e.arrivals = make(chan *arrival, makegood.WriteQueueMax)
	for range postgresAcceptors {
		e.done.Go(e.acceptLoop)
	}
	return e, nil
}

// checkServer refuses a server that breaks a promise of this package: one that forgets in a power cut what it has
// acknowledged, or that cannot keep every text.
func checkServer(ctx context.Context, pool *pgxpool.Pool) error {
	var flushes, wholePages, encoding string
	err := pool.QueryRow(ctx, `
		SELECT current_setting('fsync'), current_setting('full_page_writes'), current_setting('server_encoding')`).
		Scan(&flushes, &wholePages, &encoding)
	if err != nil {
		return makegood.Wrap(err, makegood.Unavailable, "The PostgreSQL server cannot be reached, or refuses this user or database.")
	}
	switch {
	case flushes != "on":
		return makegood.Errorf(makegood.Conflict, "The PostgreSQL server runs with fsync = %s: paid orders that were acknowledged "+
			"would be lost in a power cut. Set fsync = on in its postgresql.conf and restart it.", flushes)
	case wholePages != "on":
		return makegood.Errorf(makegood.Conflict, "The PostgreSQL server runs with full_page_writes = %s: a power cut could leave "+
			"half-written pages in the database. Set full_page_writes = on in its postgresql.conf and reload it.", wholePages)
	case encoding != "UTF8":
		return makegood.Errorf(makegood.Conflict, "The PostgreSQL database has the encoding %s, which cannot keep every name. "+
			"Make it anew: CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0.", encoding)
	}
	return nil
}

func (e *postgresEngine) name() string      { return "postgres" }
func (e *postgresEngine) forUpdate() string { return " FOR UPDATE" }
func (e *postgresEngine) momentAfter(parameter string) string {
	return "now() + make_interval(secs => CAST(" + parameter + " AS double precision))"
}

func (e *postgresEngine) secondsSince(time string) string {
	return "CAST(EXTRACT(EPOCH FROM now() - " + time + ") AS double precision)"
}

func (e *postgresEngine) jsonText(column, key string) string {
	return "COALESCE(" + column + "->>'" + key + "', '')"
}
func (e *postgresEngine) lockText() string {
	return `SELECT pg_advisory_xact_lock(hashtextextended($1, 0))`
}
func (e *postgresEngine) json(parameter string) string   { return "CAST(" + parameter + " AS jsonb)" }
func (e *postgresEngine) moment() string                 { return "now()" }
func (e *postgresEngine) ping(ctx context.Context) error { return e.pool.Ping(ctx) }

// migrationLock names the advisory lock of whoever migrates our tables. It spells "makegood".
const migrationLock int64 = 0x6d61_6b65_676f_6f64

// exclusively holds an advisory lock, of which the server lets go when the transaction or the connection ends.
func (e *postgresEngine) exclusively(ctx context.Context, fn func() error) error {
	return pgx.BeginFunc(ctx, e.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock($1)`, migrationLock); err != nil {
			return err
		}
		return fn()
	})
}

// sentence explains an error by its SQLSTATE.
func (e *postgresEngine) sentence(err error) string {
	var p *pgconn.PgError
	if !errors.As(err, &p) {
		return ""
	}
	switch p.Code {
	case "53100": // disk_full
		return "The disk of the database is full; nothing was changed."
	case "53300": // too_many_connections
		return "The database has no connection left for us; nothing was changed."
	case "25006": // read_only_sql_transaction
		return "The database is read-only, as a standby is; nothing was changed."
	}
	return ""
}

func (e *postgresEngine) isDuplicate(err error) bool {
	var p *pgconn.PgError
	return errors.As(err, &p) && p.Code == "23505" // unique_violation
}

func (e *postgresEngine) close() error {
	e.once.Do(func() { close(e.stop) })
	e.done.Wait()
	e.pool.Close()
	return nil
}

// write repeats a transaction that PostgreSQL itself asks to repeat (deadlock, serialization) or that met another node
// creating the same order; anything else is returned.
func (e *postgresEngine) write(ctx context.Context, fn func(Tx) error) error {
	if e.readingOnly {
		return errReadingOnly
	}
	for attempt := 1; ; attempt++ {
		err := pgx.BeginFunc(ctx, e.pool, func(tx pgx.Tx) error {
			t := &postgresTx{tx: tx}
			if err := runClosure(fn, t); err != nil {
				return err
			}
			return t.flush(ctx)
		})
		if attempt >= 5 || !worthRepeating(err) {
			return err
		}
	}
}

func worthRepeating(err error) bool {
	var p *pgconn.PgError
	return errors.As(err, &p) &&
		(p.Code == "40P01" || p.Code == "40001" || p.Code == "23505" && p.ConstraintName == "orders_identity")
}

func (e *postgresEngine) read(ctx context.Context, fn func(Tx) error) error {
	options := pgx.TxOptions{AccessMode: pgx.ReadOnly, IsoLevel: pgx.RepeatableRead}
	return pgx.BeginTxFunc(ctx, e.pool, options, func(tx pgx.Tx) error { return fn(&postgresTx{tx: tx}) })
}

func (e *postgresEngine) look(ctx context.Context, fn func(Tx) error) error {
	return fn(&postgresTx{tx: e.pool})
}

func (e *postgresEngine) accept(ctx context.Context, s *Store, event makegood.Event) (bool, error) {
	if e.readingOnly {
		return false, errReadingOnly
	}
	if s.split {
		return e.acceptAlone(ctx, s, event)
	}
	a := &arrival{event: event, result: make(chan error, 1)}
	select {
	case e.arrivals <- a:
	case <-e.stop:
		return false, errClosed
	default:
		return false, errTooMany
	}
	select {
	case err := <-a.result:
		return a.isNew, err
	case <-e.stop:
		e.done.Wait()
		select {
		case err := <-a.result:
			return a.isNew, err
		default:
			return false, errClosed
		}
	}
}

// acceptAlone keeps only the event; its job follows in another commit. It is the planted bug, see Options.
func (e *postgresEngine) acceptAlone(ctx context.Context, s *Store, event makegood.Event) (isNew bool, err error) {
	err = e.write(ctx, func(tx Tx) error {
		w := &writing{Tx: tx, store: s, now: s.now()}
		isNew, err = w.keepEvent(ctx, event)
		return err
	})
	return isNew, err
}

func (e *postgresEngine) acceptLoop() {
	for {
		select {
		case <-e.stop:
			return
		case first := <-e.arrivals:
			batch := []*arrival{first}
			for more := true; more && len(batch) < makegood.WriteBatchMax; {
				select {
				case a := <-e.arrivals:
					batch = append(batch, a)
				default:
					more = false
				}
			}
			e.acceptAll(batch)
		}
	}
}

// acceptAll keeps a batch and answers everybody in it. When the server refuses what one of them brought, each is tried
// alone, so that the others do not pay for it.
func (e *postgresEngine) acceptAll(batch []*arrival) {
	err := e.acceptBatch(batch)
	if len(batch) > 1 && refusesData(err) {
		for _, a := range batch {
			a.result <- e.acceptBatch([]*arrival{a})
		}
		return
	}
	for _, a := range batch {
		a.result <- err
	}
}

// refusesData reports whether the server refused a value: bad data (class 22), a broken constraint (23), or one that is
// too long for an index (54).
func refusesData(err error) bool {
	var p *pgconn.PgError
	return errors.As(err, &p) && (strings.HasPrefix(p.Code, "22") || strings.HasPrefix(p.Code, "23") || strings.HasPrefix(p.Code, "54"))
}

// acceptBatch keeps a batch in one statement: events whose identity is new, and a job for each of those. The batch is
// sorted by identity, so that two batches with the same events do not wait for each other.
func (e *postgresEngine) acceptBatch(batch []*arrival) error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	slices.SortFunc(batch, func(a, b *arrival) int {
		return cmp.Or(cmp.Compare(a.event.ProviderID, b.event.ProviderID), cmp.Compare(a.event.Source, b.event.Source),
			cmp.Compare(a.event.Account, b.event.Account), compareBool(a.event.Live, b.event.Live))
	})
	columns := eventColumns(batch)
	var kept map[string]bool
	err := pgx.BeginFunc(ctx, e.pool, func(tx pgx.Tx) error {
		kept = make(map[string]bool, len(batch))
		rows, err := tx.Query(ctx, `
			WITH kept AS (
				INSERT INTO events (id, source, account, live, provider_id, type, api_version, object_id, created_at,
					received_at, verified_by, state, note, order_id, handled_at, payload, transmission)
				SELECT id, source, account, live, provider_id, type, api_version, object_id, created_at,
					received_at, verified_by, 'kept', '', '', 0, payload, transmission
				FROM unnest($1::text[], $2::text[], $3::text[], $4::boolean[], $5::text[], $6::text[], $7::text[], $8::text[],
					$9::bigint[], $10::bigint[], $11::text[], $12::bytea[], $13::text[])
					AS arrived (id, source, account, live, provider_id, type, api_version, object_id, created_at,
						received_at, verified_by, payload, transmission)
				ON CONFLICT DO NOTHING
				RETURNING id, source
			), jobs AS (
				INSERT INTO river_job (args, kind, max_attempts, queue)
				SELECT jsonb_build_object('event', id, 'source', source), $14, $15, $16
				FROM kept
			)
			SELECT id FROM kept`, append(columns, makegood.JobInterpret, riverAttemptsMax, makegood.QueuePayments)...)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var id string
			if err := rows.Scan(&id); err != nil {
				return err
			}
			kept[id] = true
		}
		return rows.Err()
	})
	if err != nil {
		return err
	}
	for _, a := range batch {
		a.isNew = kept[a.event.ID]
	}
	return nil
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	}
	return -1
}

func eventColumns(batch []*arrival) []any {
	n := len(batch)
	text := func(field func(makegood.Event) string) []string {
		column := make([]string, n)
		for i, a := range batch {
			column[i] = field(a.event)
		}
		return column
	}
	live, created, received, payload := make([]bool, n), make([]int64, n), make([]int64, n), make([][]byte, n)
	for i, a := range batch {
		live[i], payload[i] = a.event.Live, a.event.Payload
		created[i], received[i] = micros(a.event.CreatedAt), micros(a.event.ReceivedAt)
	}
	return []any{
		text(func(e makegood.Event) string { return e.ID }),
		text(func(e makegood.Event) string { return e.Source }),
		text(func(e makegood.Event) string { return e.Account }),
		live,
		text(func(e makegood.Event) string { return e.ProviderID }),
		text(func(e makegood.Event) string { return e.Type }),
		text(func(e makegood.Event) string { return e.APIVersion }),
		text(func(e makegood.Event) string { return e.ObjectID }),
		created, received,
		text(func(e makegood.Event) string { return e.VerifiedBy }),
		payload,
		text(func(e makegood.Event) string { return e.Transmission }),
	}
}

// postgresTx gathers statements that can wait and sends them with what follows: most of what an order writes goes over in
// one round trip instead of a dozen.
type postgresTx struct {
	tx      pgxRunner
	waiting pgx.Batch
}

// pgxRunner is a transaction, or a pool of connections for looking.
type pgxRunner interface {
	Exec(ctx context.Context, query string, args ...any) (pgconn.CommandTag, error)
	Query(ctx context.Context, query string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, query string, args ...any) pgx.Row
	SendBatch(ctx context.Context, b *pgx.Batch) pgx.BatchResults
}

func (t *postgresTx) Do(_ context.Context, query string, args ...any) error {
	t.waiting.Queue(query, args...)
	return nil
}

// flush sends what waits.
func (t *postgresTx) flush(ctx context.Context) error {
	if t.waiting.Len() == 0 {
		return nil
	}
	batch := t.waiting
	t.waiting = pgx.Batch{}
	return t.tx.SendBatch(ctx, &batch).Close()
}

func (t *postgresTx) Exec(ctx context.Context, query string, args ...any) (int64, error) {
	if err := t.flush(ctx); err != nil {
		return 0, err
	}
	tag, err := t.tx.Exec(ctx, query, args...)
	return tag.RowsAffected(), err
}

func (t *postgresTx) Query(ctx context.Context, query string, args ...any) (Rows, error) {
	if err := t.flush(ctx); err != nil {
		return nil, err
	}
	return t.tx.Query(ctx, query, args...)
}

func (t *postgresTx) QueryAll(ctx context.Context, questions ...question) error {
	batch := t.waiting
	t.waiting = pgx.Batch{}
	written := batch.Len()
	for _, q := range questions {
		batch.Queue(q.sql, q.args...)
	}
	answers := t.tx.SendBatch(ctx, &batch)
	err := readAll(answers, written, questions)
	if closing := answers.Close(); err == nil {
		err = closing
	}
	return err
}

// readAll reads the answers of a batch: first of what was written, then of the questions.
func readAll(answers pgx.BatchResults, written int, questions []question) error {
	for range written {
		if _, err := answers.Exec(); err != nil {
			return err
		}
	}
	for _, q := range questions {
		rows, err := answers.Query()
		if err != nil {
			return err
		}
		if err := scanAll(rows, q.scan); err != nil {
			return err
		}
	}
	return nil
}

func (t *postgresTx) QueryRow(ctx context.Context, query string, args ...any) Row {
	if err := t.flush(ctx); err != nil {
		return failedRow{err}
	}
	return postgresRow{t.tx.QueryRow(ctx, query, args...)}
}

// failedRow is the answer to a question that could not be asked.
type failedRow struct{ err error }

func (r failedRow) Scan(...any) error { return r.err }

type postgresRow struct{ row pgx.Row }

func (r postgresRow) Scan(dest ...any) error {
	err := r.row.Scan(dest...)
	if errors.Is(err, pgx.ErrNoRows) {
		return makegood.NotFound
	}
	return err
}
