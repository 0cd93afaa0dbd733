package store_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/store"
	"github.com/makegood/makegood/internal/store/storetest"
)

// What the server refuses of one delivery does not cost its neighbours their commit.
func TestPostgresBatchNeighbours(t *testing.T) {
	t.Parallel()
	long := make([]byte, 4000) // hex of randomness does not compress below what an index takes
	rand.Read(long)
	s := open(t, storetest.Postgres(t), store.Options{})
	const callers = 20
	for round, tt := range []struct {
		name  string
		spoil func(*makegood.Event)
	}{
		{"not a text", func(e *makegood.Event) { e.Source = "stripe\xff" }},
		{"too long for an index", func(e *makegood.Event) { e.ProviderID = hex.EncodeToString(long) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var events []makegood.Event
			for i := range callers {
				events = append(events, event(fmt.Sprintf("evt_%d_%d", round, i)))
			}
			tt.spoil(&events[7])
			errs := s.AcceptTogether(events...)
			for i, err := range errs {
				if (err != nil) != (i == 7) {
					t.Errorf("AcceptEvent %d = %v, want an error for 7 only", i, err)
				}
			}
			depths, err := s.QueueDepths(t.Context())
			if want := []store.QueueDepth{{Queue: makegood.QueuePayments, Waiting: int64(round+1) * (callers - 1)}}; err != nil || !cmp.Equal(depths, want) {
				t.Errorf("QueueDepths = %v, %v, want %v", depths, err, want)
			}
		})
	}
}

// Lost connections are made anew; the calls in between are unavailable or did what they say.
func TestPostgresConnectionsLost(t *testing.T) {
	t.Parallel()
	url := storetest.Postgres(t)
	s := open(t, url, store.Options{})
	admin, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close(context.Background())
	refused := 0
	for round := range 5 {
		for i := range 4 {
			id := fmt.Sprintf("evt_%d_%d", round, i)
			_, err := s.AcceptEvent(t.Context(), event(id))
			if err != nil && !errors.Is(err, makegood.Unavailable) {
				t.Errorf("AcceptEvent while connections are lost = %v, want unavailable", err)
			}
			if err != nil {
				refused++
				continue
			}
			kept := false
			for range 30 { // as many as there can be dead connections
				_, err := s.Event(t.Context(), id)
				if kept = err == nil; kept {
					break
				}
				if !errors.Is(err, makegood.Unavailable) {
					t.Errorf("Event(%s), which was accepted = %v, want it or unavailable", id, err)
				}
			}
			if !kept {
				t.Errorf("event %s was acknowledged and cannot be read", id)
			}
		}
		if _, err := admin.Exec(t.Context(), `
			SELECT pg_terminate_backend(pid) FROM pg_stat_activity
			WHERE datname = current_database() AND pid <> pg_backend_pid()`); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d deliveries were refused", refused)
	eventually(t, "the store answers again", func() bool {
		_, err := s.AcceptEvent(t.Context(), event("evt_after"))
		return err == nil
	})
}

// A server that would forget what it acknowledged is refused. The line between us says "no" where the server says "on".
func TestPostgresRefusesServer(t *testing.T) {
	t.Parallel()
	url := storetest.Postgres(t)
	answer := func(flushes, wholePages string) []byte {
		return fmt.Appendf(nil, "\x00\x00\x00\x02%s\x00\x00\x00\x02%s\x00\x00\x00\x04UTF8", flushes, wholePages)
	}
	for _, tt := range []struct{ name, flushes, wholePages, sentence string }{
		{"no flushes", "no", "on", "fsync = no"},
		{"no whole pages", "on", "no", "full_page_writes = no"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			lies := 0
			s, err := store.Open(t.Context(), url, store.Options{DialFunc: func(ctx context.Context, network, address string) (net.Conn, error) {
				c, err := new(net.Dialer).DialContext(ctx, network, address)
				return &lyingLine{Conn: c, truth: answer("on", "on"), lie: answer(tt.flushes, tt.wholePages), lies: &lies}, err
			}})
			if err == nil {
				s.Close()
			}
			if !errors.Is(err, makegood.Conflict) || !strings.Contains(err.Error(), tt.sentence) || lies != 1 {
				t.Errorf("Open = %v after %d lies, want a conflict with %q", err, lies, tt.sentence)
			}
		})
	}
	t.Run("another encoding", func(t *testing.T) {
		s, err := store.Open(t.Context(), database(t, `TEMPLATE template0 ENCODING 'SQL_ASCII' LOCALE 'C'`), store.Options{})
		if err == nil {
			s.Close()
		}
		if !errors.Is(err, makegood.Conflict) || !strings.Contains(err.Error(), "encoding SQL_ASCII") {
			t.Errorf("Open = %v, want a conflict with the encoding", err)
		}
	})
}

type lyingLine struct {
	net.Conn
	truth, lie []byte
	lies       *int
}

func (l *lyingLine) Read(p []byte) (int, error) {
	n, err := l.Conn.Read(p)
	if i := bytes.Index(p[:n], l.truth); i >= 0 {
		copy(p[i:], l.lie)
		*l.lies++
	}
	return n, err
}
