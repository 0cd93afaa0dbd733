package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
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
}

type arrival struct {
	event  makegood.Event
	isNew  bool
	result chan error
}

const postgresAcceptors = 2

func openPostgres(ctx context.Context, url string, dial DialFunc) (*postgresEngine, error) {
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
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("open the database: %w", err)
	}
	if err := pool.Ping(ctx); err != nil {
		pool.Close()
		return nil, fmt.Errorf("reach the database: %w", err)
	}
	e := &postgresEngine{pool: pool, arrivals: make(chan *arrival, makegood.WriteQueueMax), stop: make(chan struct{})}
	for range postgresAcceptors {
		e.done.Go(e.acceptLoop)
	}
	return e, nil
}

func (e *postgresEngine) name() string                   { return "postgres" }
func (e *postgresEngine) forUpdate() string              { return " FOR UPDATE" }
func (e *postgresEngine) json(parameter string) string   { return "CAST(" + parameter + " AS jsonb)" }
func (e *postgresEngine) ping(ctx context.Context) error { return e.pool.Ping(ctx) }

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
	for attempt := 1; ; attempt++ {
		err := pgx.BeginFunc(ctx, e.pool, func(tx pgx.Tx) error { return runClosure(fn, postgresTx{tx}) })
		if attempt >= 5 || !worthRepeating(err) {
			return err
		}
	}
}

func worthRepeating(err error) bool {
	var p *pgconn.PgError
	return errors.Is(err, errTwice) || errors.As(err, &p) && (p.Code == "40P01" || p.Code == "40001")
}

func (e *postgresEngine) read(ctx context.Context, fn func(Tx) error) error {
	options := pgx.TxOptions{AccessMode: pgx.ReadOnly, IsoLevel: pgx.RepeatableRead}
	return pgx.BeginTxFunc(ctx, e.pool, options, func(tx pgx.Tx) error { return fn(postgresTx{tx}) })
}

func (e *postgresEngine) accept(ctx context.Context, s *Store, event makegood.Event) (bool, error) {
	if s.split {
		return e.acceptAlone(ctx, s, event)
	}
	a := &arrival{event: event, result: make(chan error, 1)}
	select {
	case e.arrivals <- a:
	case <-e.stop:
		return false, errClosed
	default:
		return false, makegood.Errorf(makegood.Unavailable, "Too many writes are waiting; please repeat in a moment.")
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
			err := e.acceptBatch(batch)
			for _, a := range batch {
				a.result <- err
			}
		}
	}
}

// acceptBatch keeps a batch in one statement: events whose identity is new, and a job for each of those. The batch is
// sorted by identity, so that two batches with the same events cannot wait for each other.
func (e *postgresEngine) acceptBatch(batch []*arrival) error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	slices.SortFunc(batch, func(a, b *arrival) int {
		return cmp.Or(cmp.Compare(a.event.ProviderID, b.event.ProviderID), cmp.Compare(a.event.Source, b.event.Source),
			cmp.Compare(a.event.Account, b.event.Account))
	})
	columns := eventColumns(batch)
	var kept map[string]bool
	err := pgx.BeginFunc(ctx, e.pool, func(tx pgx.Tx) error {
		kept = make(map[string]bool, len(batch))
		rows, err := tx.Query(ctx, `
			WITH kept AS (
				INSERT INTO events (id, source, account, live, provider_id, type, api_version, object_id, created_at,
					received_at, verified_by, state, note, order_id, handled_at, payload)
				SELECT id, source, account, live, provider_id, type, api_version, object_id, created_at,
					received_at, verified_by, 'kept', '', '', 0, payload
				FROM unnest($1::text[], $2::text[], $3::text[], $4::boolean[], $5::text[], $6::text[], $7::text[], $8::text[],
					$9::bigint[], $10::bigint[], $11::text[], $12::bytea[])
					AS arrived (id, source, account, live, provider_id, type, api_version, object_id, created_at,
						received_at, verified_by, payload)
				ON CONFLICT DO NOTHING
				RETURNING id
			), jobs AS (
				INSERT INTO river_job (args, kind, max_attempts, queue)
				SELECT jsonb_build_object('event', id), $13, $14, $15
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
	}
}

type postgresTx struct{ tx pgx.Tx }

func (t postgresTx) Exec(ctx context.Context, query string, args ...any) (int64, error) {
	tag, err := t.tx.Exec(ctx, query, args...)
	return tag.RowsAffected(), err
}

func (t postgresTx) Query(ctx context.Context, query string, args ...any) (Rows, error) {
	return t.tx.Query(ctx, query, args...)
}

func (t postgresTx) QueryRow(ctx context.Context, query string, args ...any) Row {
	return postgresRow{t.tx.QueryRow(ctx, query, args...)}
}

type postgresRow struct{ row pgx.Row }

func (r postgresRow) Scan(dest ...any) error {
	err := r.row.Scan(dest...)
	if errors.Is(err, pgx.ErrNoRows) {
		return makegood.NotFound
	}
	return err
}
