package store_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/store"
	"github.com/makegood/makegood/internal/store/storetest"
)

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	text := filepath.Join(folder, "notes.txt")
	words := []byte(strings.Repeat("These are notes, not a database.\n", 100))
	if err := os.WriteFile(text, words, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, url string
		want      error // nil: no kind
		sentence  string
	}{
		{"nothing", "", nil, `"sqlite:PATH" or "postgres://`},
		{"another engine", "mysql://localhost/x", nil, `"sqlite:PATH" or "postgres://`},
		{"an empty path", "sqlite:", nil, "path is empty"},
		{"a folder", "sqlite:" + folder, makegood.Invalid, "is a folder"},
		{"a path through a file", "sqlite:" + filepath.Join(text, "makegood.db"), makegood.Unavailable, "is a file, not a folder"},
		{"not a database", "sqlite:" + text, makegood.Unavailable, "is not an SQLite database"},
		{"a broken URL", "postgres://user:se%cret@host/x", nil, "cannot be read"},
		{"a server that is not there", "postgres://makegood@127.0.0.1:1/x?sslmode=disable", makegood.Unavailable, "cannot be reached"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, err := store.Open(t.Context(), tt.url, store.Options{})
			if err == nil {
				s.Close()
				t.Fatalf("Open(%q) = nil, want an error", tt.url)
			}
			if tt.want != nil && !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.sentence) || strings.Contains(err.Error(), "cret") {
				t.Errorf("Open(%q) = %v, want %v with %q", tt.url, err, tt.want, tt.sentence)
			}
		})
	}
	if got, _ := os.ReadFile(text); !bytes.Equal(got, words) {
		t.Error("opening a file that is not a database changed it")
	}
	if _, err := store.OpenReading(t.Context(), "sqlite:"+text); !errors.Is(err, makegood.Unavailable) {
		t.Errorf("OpenReading of a file that is not a database = %v, want unavailable", err)
	}
}

// A path is a path, whatever it means in a URL.
func TestOpenOddPath(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "50% off?", "shop #1", "gr\u00fc\u00df dich.db")
	s := open(t, "sqlite:"+path, store.Options{})
	if _, err := s.AcceptEvent(t.Context(), event("evt_1")); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 || info.Size() == 0 {
		t.Errorf("Stat(%q) = %v, %v, want a database for its owner only", path, info, err)
	}
	reading, err := store.OpenReading(t.Context(), "sqlite:"+path)
	if err != nil {
		t.Fatal(err)
	}
	defer reading.Close()
	if _, err := reading.Event(t.Context(), "evt_1"); err != nil {
		t.Errorf("Event beside the writer = %v", err)
	}
}

func TestLock(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	path := filepath.Join(folder, "makegood.db")
	first, err := store.Open(t.Context(), "sqlite:"+path, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(folder, "link.db")
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{path, link} {
		second, err := store.Open(t.Context(), "sqlite:"+name, store.Options{})
		if err == nil {
			second.Close()
		}
		if want := fmt.Sprintf("process %d", os.Getpid()); !errors.Is(err, makegood.Conflict) || !strings.Contains(err.Error(), want) {
			t.Errorf("Open(%q) while it is held = %v, want a conflict with %q", name, err, want)
		}
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	third, err := store.Open(t.Context(), "sqlite:"+path, store.Options{})
	if err != nil {
		t.Fatalf("Open after Close = %v", err)
	}
	third.Close()
}

// OpenReading looks beside a server that writes, and cannot write itself.
func TestOpenReading(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, url string) {
		if _, err := store.OpenReading(t.Context(), url); strings.HasPrefix(url, "sqlite:") && !errors.Is(err, makegood.NotFound) {
			t.Errorf("OpenReading of nothing = %v, want not found", err)
		}
		s := open(t, url, store.Options{})
		if _, err := s.AcceptEvent(t.Context(), event("evt_1")); err != nil {
			t.Fatal(err)
		}
		reading, err := store.OpenReading(t.Context(), url)
		if err != nil {
			t.Fatal(err)
		}
		defer reading.Close()
		for _, id := range []string{"evt_1", "evt_2"} {
			if _, err := s.AcceptEvent(t.Context(), event(id)); err != nil {
				t.Fatal(err)
			}
			if _, err := reading.Event(t.Context(), id); err != nil {
				t.Errorf("Event(%s) beside the writer = %v", id, err)
			}
		}
		if _, err := reading.AcceptEvent(t.Context(), event("evt_3")); err == nil {
			t.Error("AcceptEvent of a store that only reads = nil, want an error")
		}
		if _, err := reading.AmendOrder(t.Context(), makegood.Amendment{Key: key, Actor: "test", Change: learn(paid())}); err == nil {
			t.Error("AmendOrder of a store that only reads = nil, want an error")
		}
		if err := reading.Migrate(t.Context()); err == nil {
			t.Error("Migrate of a store that only reads = nil, want an error")
		}
		err = reading.Read(t.Context(), func(tx store.Tx) error { return note(t.Context(), tx, "sneaky") })
		if err == nil || len(noted(t, s)) > 0 {
			t.Errorf("a write within a read = %v, want an error and no row", err)
		}
		if pool := reading.Postgres(); pool != nil {
			if _, err := pool.Exec(t.Context(), `DELETE FROM events`); err == nil {
				t.Error("a write past the store = nil, want an error")
			}
		}
		if _, err := s.Event(t.Context(), "evt_3"); !errors.Is(err, makegood.NotFound) {
			t.Errorf("Event = %v, want not found", err)
		}
	})
}

// A full disk: what was acknowledged is there, what was refused is not, and once there is room everything works again.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	url := storetest.SQLite(t)
	s := open(t, url, store.Options{})
	if _, err := s.AcceptEvent(t.Context(), event("evt_before")); err != nil {
		t.Fatal(err)
	}
	writer, _ := s.SQLite()
	var pages int
	if err := writer.QueryRow(`PRAGMA page_count`).Scan(&pages); err != nil {
		t.Fatal(err)
	}
	limit := func(n int) {
		var now int
		if err := writer.QueryRow(fmt.Sprintf(`PRAGMA max_page_count = %d`, n)).Scan(&now); err != nil {
			t.Fatal(err)
		}
	}
	limit(pages + 2)

	release := hold(t, s, url)
	errs := make([]error, 12)
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() {
			e := event(fmt.Sprintf("evt_%d", i))
			if i%3 == 1 {
				e.Payload = make([]byte, 50_000)
			}
			_, errs[i] = s.AcceptEvent(context.Background(), e)
		})
	}
	eventually(t, "all wait", func() bool { return s.Waiting() == len(errs) })
	release()
	wg.Wait()
	kept := int64(1)
	for i, err := range errs {
		_, missing := s.Event(t.Context(), fmt.Sprintf("evt_%d", i))
		if err == nil && missing == nil {
			kept++
			continue
		}
		var cause *sqlite.Error
		if !errors.Is(err, makegood.Unavailable) || !errors.As(err, &cause) || cause.Code() != sqlite3.SQLITE_FULL ||
			!strings.Contains(makegood.MessageOf(err), "disk of the database is full") || !errors.Is(missing, makegood.NotFound) {
			t.Errorf("AcceptEvent %d with a full disk = %v (%s), Event = %v, want unavailable: full, and no event", i, err,
				makegood.MessageOf(err), missing)
		}
	}
	_, err := s.AmendOrder(t.Context(), makegood.Amendment{Key: key, Actor: "test", Change: func(o *makegood.Order, taken func(string) bool) ([]makegood.Entry, error) {
		f := paid()
		f.Customer.Name = strings.Repeat("Ann ", 10_000)
		return learn(f)(o, taken)
	}})
	if orders, _ := s.Orders(t.Context(), store.OrderFilter{}); !errors.Is(err, makegood.Unavailable) || len(orders) != 0 {
		t.Errorf("AmendOrder with a full disk = %v and %d orders, want unavailable and none", err, len(orders))
	}

	limit(1 << 30)
	if isNew, err := s.AcceptEvent(t.Context(), event("evt_1")); err != nil || !isNew {
		t.Errorf("AcceptEvent once there is room = %v, %v, want true", isNew, err)
	}
	if _, err := s.AmendOrder(t.Context(), makegood.Amendment{Key: key, Actor: "test", Change: learn(paid())}); err != nil {
		t.Errorf("AmendOrder once there is room = %v", err)
	}
	depths, err := s.QueueDepths(t.Context())
	if err != nil || len(depths) != 2 || depths[1].Waiting != kept+1 {
		t.Errorf("QueueDepths = %v, %v, want %d jobs for events: one for each that was kept", depths, err, kept+1)
	}
	var verdict string
	if err := writer.QueryRow(`PRAGMA integrity_check`).Scan(&verdict); err != nil || verdict != "ok" {
		t.Errorf("integrity check = %q, %v", verdict, err)
	}
}

// The write-ahead log stays small however long somebody writes.
func TestCheckpointsBoundTheLog(t *testing.T) {
	t.Parallel()
	url := storetest.SQLite(t)
	s := open(t, url, store.Options{}.WithCheckpointEvery(50))
	var largest int64
	body := make([]byte, 20_000)
	for i := range 900 { // each some ten pages: 36 MB without a checkpoint, 32 MB with SQLite's own
		e := event(fmt.Sprintf("evt_%d", i))
		e.Payload = body
		if _, err := s.AcceptEvent(t.Context(), e); err != nil {
			t.Fatal(err)
		}
		if info, err := os.Stat(strings.TrimPrefix(url, "sqlite:") + "-wal"); err == nil {
			largest = max(largest, info.Size())
		}
	}
	t.Logf("the log grew to %d kB", largest>>10)
	if limit := int64(12 << 20); largest > limit {
		t.Errorf("the log grew to %d bytes, want at most %d", largest, limit)
	}
}
