package store_test

import (
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/queue"
	"github.com/makegood/makegood/internal/store"
	"github.com/makegood/makegood/internal/store/storetest"
)

// execute runs one statement past the store's methods.
func execute(t *testing.T, s *store.Store, statement string) {
	t.Helper()
	if err := s.Write(t.Context(), func(tx store.Tx) error {
		_, err := tx.Exec(t.Context(), statement)
		return err
	}); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

// count returns the one number of a query, or -1 when it fails.
func count(t *testing.T, s *store.Store, query string) int {
	n := -1
	_ = s.Read(t.Context(), func(tx store.Tx) error { return tx.QueryRow(t.Context(), query).Scan(&n) })
	return n
}

func TestMigrateRefuses(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, spoil, sentence string }{
		{"a newer database", `INSERT INTO schema_migrations (version, name, checksum, applied_at) VALUES (999, '0999_from_the_future', 'x', 0)`,
			"at version 999 (0999_from_the_future), this program knows only up to"},
		{"another build's database", `UPDATE schema_migrations SET checksum = 'x' WHERE version = 1`, "differs from the one in this program"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			storetest.Each(t, func(t *testing.T, url string) {
				s := open(t, url, store.Options{})
				execute(t, s, tt.spoil)
				if err := s.Migrate(t.Context()); !errors.Is(err, makegood.Conflict) || !strings.Contains(makegood.MessageOf(err), tt.sentence) {
					t.Errorf("Migrate = %v, want a conflict with %q", err, tt.sentence)
				}
			})
		})
	}
}

// A step that fails in the middle leaves nothing of itself, and what came before it stays.
func TestMigrateFailsWhole(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, url string) {
		s := openBare(t, url, store.Options{})
		const first, good = "CREATE TABLE a (x BIGINT);", "CREATE TABLE b (x BIGINT);\nINSERT INTO a (x) VALUES (1);"
		const bad = "CREATE TABLE b (x BIGINT);\nINSERT INTO a (x) VALUES (1);\nINSERT INTO nowhere (x) VALUES (1);"
		if err := s.MigrateTexts(t.Context(), first, bad); err == nil || !strings.Contains(err.Error(), "nowhere") {
			t.Fatalf("migrating with a broken step = %v, want its error with the statement", err)
		}
		for query, want := range map[string]int{
			`SELECT COUNT(*) FROM a`:                 0,
			`SELECT COUNT(*) FROM b`:                 -1,
			`SELECT COUNT(*) FROM schema_migrations`: 1,
		} {
			if got := count(t, s, query); got != want {
				t.Errorf("%s after a broken step = %d, want %d", query, got, want)
			}
		}
		for range 2 {
			if err := s.MigrateTexts(t.Context(), first, good); err != nil {
				t.Fatalf("migrating once the step is mended = %v", err)
			}
		}
		if got := count(t, s, `SELECT COUNT(*) FROM a`); got != 1 {
			t.Errorf("rows = %d, want 1: each step once", got)
		}
	})
}

// Several nodes that start at once make one schema, the queue's included.
func TestMigrateTogether(t *testing.T) {
	t.Parallel()
	url := storetest.Postgres(t)
	const nodes = 6
	var stores []*store.Store
	for range nodes {
		stores = append(stores, openBare(t, url, store.Options{}))
	}
	var wg sync.WaitGroup
	for _, s := range stores {
		wg.Go(func() {
			if err := s.Migrate(t.Context()); err != nil {
				t.Errorf("Migrate beside others = %v", err)
			}
			if err := queue.Migrate(t.Context(), queue.Database{Postgres: s.Postgres()}); err != nil {
				t.Errorf("queue.Migrate beside others = %v", err)
			}
		})
	}
	wg.Wait()
	if isNew, err := stores[0].AcceptEvent(t.Context(), event("evt_1")); err != nil || !isNew {
		t.Errorf("AcceptEvent = %v, %v, want true", isNew, err)
	}
	if got := count(t, stores[1], `SELECT COUNT(*) - COUNT(DISTINCT version) FROM schema_migrations`); got != 0 {
		t.Errorf("%d migrations were applied twice", got)
	}
}

func TestMigrateQueueTwice(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, url string) {
		s := open(t, url, store.Options{})
		writer, reader := s.SQLite()
		if err := queue.Migrate(t.Context(), queue.Database{SQLiteWriter: writer, SQLiteReader: reader, Postgres: s.Postgres()}); err != nil {
			t.Errorf("queue.Migrate again = %v, want nil", err)
		}
	})
}
