package store_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/store"
	"github.com/makegood/makegood/internal/store/storetest"
)

// patience bounds a failing test and never a passing one.
const patience = 30 * time.Second

func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("after %v it is still not true that %s", patience, what)
		}
	}
}

// hold keeps deliveries (and on SQLite every write) waiting until release is called, which returns what a write that was
// under way heard.
func hold(t *testing.T, s *store.Store, url string) (release func() error) {
	t.Helper()
	if s.Engine() == "sqlite" {
		held, free, done := make(chan struct{}), make(chan struct{}), make(chan error, 1)
		go func() {
			done <- s.Write(context.Background(), func(store.Tx) error { close(held); <-free; return nil })
		}()
		<-held
		return sync.OnceValue(func() error { close(free); return <-done })
	}
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Exec(t.Context(), `BEGIN; LOCK TABLE events IN EXCLUSIVE MODE`); err != nil {
		t.Fatal(err)
	}
	return sync.OnceValue(func() error { return conn.Close(context.Background()) })
}

// note writes one row, and noted reports which rows are there.
func note(ctx context.Context, tx store.Tx, name string) error {
	_, err := tx.Exec(ctx, `INSERT INTO outgoing (order_id, step, message, made_at) VALUES ($1, 'note', $2, 0)`, name, []byte("x"))
	return err
}

func noted(t *testing.T, s *store.Store) []string {
	t.Helper()
	var names []string
	err := s.Read(context.Background(), func(tx store.Tx) error {
		rows, err := tx.Query(context.Background(), `SELECT order_id FROM outgoing ORDER BY order_id`)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var name string
			if err := rows.Scan(&name); err != nil {
				return err
			}
			names = append(names, name)
		}
		return rows.Err()
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// Closures that share a commit do not share their failures.
func TestWriteIsolation(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, url string) {
		s := open(t, url, store.Options{})
		refused := errors.New("refused")
		release := hold(t, s, url)
		closures := map[string]func(ctx context.Context, tx store.Tx, name string) error{
			"a kept": note,
			"b refuses after it wrote": func(ctx context.Context, tx store.Tx, name string) error {
				return errors.Join(note(ctx, tx, name), refused)
			},
			"c kept": note,
			"d panics after it wrote": func(ctx context.Context, tx store.Tx, name string) error {
				_ = note(ctx, tx, name)
				panic("broken")
			},
			"e breaks a constraint": func(ctx context.Context, tx store.Tx, name string) error {
				return errors.Join(note(ctx, tx, name), note(ctx, tx, name))
			},
			"f kept": note,
		}
		errs := make(map[string]error, len(closures))
		var mu sync.Mutex
		var wg sync.WaitGroup
		for name, fn := range closures {
			wg.Go(func() {
				err := s.Write(t.Context(), func(tx store.Tx) error { return fn(t.Context(), tx, name) })
				mu.Lock()
				defer mu.Unlock()
				errs[name] = err
			})
		}
		if s.Engine() == "sqlite" { // so that they share one commit
			eventually(t, "all closures wait", func() bool { return s.Waiting() == len(closures) })
		}
		release()
		wg.Wait()

		if got, want := noted(t, s), []string{"a kept", "c kept", "f kept"}; !cmp.Equal(got, want) {
			t.Errorf("rows = %q, want %q", got, want)
		}
		for _, name := range []string{"a kept", "c kept", "f kept"} {
			if errs[name] != nil {
				t.Errorf("Write of %q = %v, want nil", name, errs[name])
			}
		}
		if err := errs["b refuses after it wrote"]; !errors.Is(err, refused) {
			t.Errorf("Write of a closure that refuses = %v, want its error", err)
		}
		permanent := (*makegood.Permanent)(nil)
		if err := errs["d panics after it wrote"]; !errors.As(err, &permanent) || errors.Is(err, makegood.Unavailable) {
			t.Errorf("Write of a closure that panics = %v, want a permanent error that promises no better luck", err)
		}
		if err := errs["e breaks a constraint"]; !errors.Is(err, makegood.Unavailable) {
			t.Errorf("Write that breaks a constraint = %v, want unavailable", err)
		}
	})
}

// Whoever has gone before its turn is told so, and nothing of it is done.
func TestWriteSkipsWhoHasGone(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, url string) {
		s := open(t, url, store.Options{})
		release := hold(t, s, url)
		defer release() //nolint:errcheck // only its effect counts
		ctx, cancel := context.WithCancel(t.Context())
		ran := false
		if s.Engine() == "postgres" {
			cancel() // nobody waits for a turn there
		}
		gone := make(chan error, 1)
		go func() {
			gone <- s.Write(ctx, func(tx store.Tx) error { ran = true; return note(context.Background(), tx, "gone") })
		}()
		if s.Engine() == "sqlite" {
			eventually(t, "it waits", func() bool { return s.Waiting() == 1 })
		}
		cancel()
		release()
		if err := <-gone; !errors.Is(err, context.Canceled) || ran {
			t.Errorf("Write of a caller who has gone = %v, ran %v, want context.Canceled, false", err, ran)
		}
		if got := noted(t, s); len(got) != 0 {
			t.Errorf("rows = %q, want none", got)
		}
	})
}

// A context that ends in the middle of its closure takes no neighbour along: on SQLite the closure is finished, on
// PostgreSQL it has a transaction of its own.
func TestWriteWhileContextEnds(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, url string) {
		s := open(t, url, store.Options{})
		release := hold(t, s, url)
		var wg sync.WaitGroup
		neighbours := make([]error, 5)
		for i := range neighbours {
			wg.Go(func() {
				neighbours[i] = s.Write(t.Context(), func(tx store.Tx) error { return note(t.Context(), tx, fmt.Sprint("neighbour ", i)) })
			})
		}
		ctx, cancel := context.WithCancel(t.Context())
		var ended error
		wg.Go(func() {
			ended = s.Write(ctx, func(tx store.Tx) error {
				if err := note(ctx, tx, "before"); err != nil {
					return err
				}
				cancel()
				return note(ctx, tx, "after")
			})
		})
		if s.Engine() == "sqlite" {
			eventually(t, "all wait", func() bool { return s.Waiting() == len(neighbours)+1 })
		}
		release()
		wg.Wait()
		if err := errors.Join(neighbours...); err != nil {
			t.Errorf("Write of the neighbours = %v, want nil", err)
		}
		want := []string{"neighbour 0", "neighbour 1", "neighbour 2", "neighbour 3", "neighbour 4"}
		if s.Engine() == "sqlite" {
			want = append([]string{"after", "before"}, want...)
		}
		if got := noted(t, s); !cmp.Equal(got, want) {
			t.Errorf("rows = %q, want %q", got, want)
		}
		if kept := s.Engine() == "sqlite"; kept != (ended == nil) {
			t.Errorf("Write whose context ended = %v, kept %v", ended, kept)
		}
	})
}

func TestReadYourWrites(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, url string) {
		s := open(t, url, store.Options{Now: time.Now})
		var wg sync.WaitGroup
		for caller := range 8 {
			wg.Go(func() {
				for i := range 25 {
					id := fmt.Sprintf("evt_%d_%d", caller, i)
					if _, err := s.AcceptEvent(t.Context(), event(id)); err != nil {
						t.Errorf("AcceptEvent(%s) = %v", id, err)
					}
					if _, err := s.Event(t.Context(), id); err != nil {
						t.Errorf("Event(%s) right after it was accepted = %v", id, err)
					}
				}
			})
		}
		wg.Wait()
	})
}

// A queue that is full answers at once, and nobody who waits is harmed.
func TestTooManyWrites(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, url string) {
		s := open(t, url, store.Options{Now: time.Now})
		release := hold(t, s, url)
		defer release() //nolint:errcheck // only its effect counts
		const over = 64
		const all = makegood.WriteQueueMax + 2*makegood.WriteBatchMax + over // both writing goroutines may hold a batch
		results := make(chan error, all)
		for i := range all {
			go func() {
				e := event(fmt.Sprintf("evt_%d", i))
				e.Payload = []byte("{}")
				_, err := s.AcceptEvent(context.Background(), e)
				results <- err
			}()
		}
		for i := range over { // while everybody else is held
			if err := <-results; !errors.Is(err, makegood.Unavailable) {
				t.Fatalf("AcceptEvent %d over the limit = %v, want unavailable at once", i+1, err)
			}
		}
		release()
		kept := int64(0)
		for range all - over {
			switch err := <-results; {
			case err == nil:
				kept++
			case !errors.Is(err, makegood.Unavailable):
				t.Errorf("AcceptEvent = %v", err)
			}
		}
		if kept < makegood.WriteQueueMax {
			t.Errorf("%d events kept, want at least the %d that may wait", kept, makegood.WriteQueueMax)
		}
		depths, err := s.QueueDepths(t.Context())
		if want := []store.QueueDepth{{Queue: makegood.QueuePayments, Waiting: kept}}; err != nil || !cmp.Equal(depths, want) {
			t.Errorf("QueueDepths = %v, %v, want %v: a job for each event kept", depths, err, want)
		}
	})
}

// Close answers everybody who waits, and says the truth.
func TestCloseAnswersWaiting(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, url string) {
		s := open(t, url, store.Options{})
		release := hold(t, s, url)
		const callers = 600 // more than both writing goroutines hold
		errs := make([]error, callers)
		var wg sync.WaitGroup
		for i := range callers {
			wg.Go(func() { _, errs[i] = s.AcceptEvent(context.Background(), event(fmt.Sprintf("evt_%d", i))) })
		}
		eventually(t, "some wait", func() bool { return s.Waiting() > 0 })
		closed := make(chan error, 1)
		go func() { closed <- s.Close() }()
		eventually(t, "the store is closing", s.Closing)
		if err := release(); err != nil {
			t.Errorf("Write that was under way at Close = %v, want nil: it was committed", err)
		}
		if err := <-closed; err != nil {
			t.Errorf("Close = %v", err)
		}
		wg.Wait()
		again := openBare(t, url, store.Options{})
		for i, err := range errs {
			_, missing := again.Event(t.Context(), fmt.Sprintf("evt_%d", i))
			if err == nil && missing != nil {
				t.Errorf("event %d was acknowledged and is not there: %v", i, missing)
			}
			if err != nil && (!errors.Is(err, makegood.Unavailable) || missing == nil) {
				t.Errorf("event %d was refused with %v, and Event = %v, want unavailable and not found", i, err, missing)
			}
		}
		if err := again.Close(); err != nil {
			t.Error(err)
		}
		if err := again.Close(); err != nil {
			t.Errorf("Close again = %v, want nil", err)
		}
	})
}
