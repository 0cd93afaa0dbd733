package store

import (
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"sync"
	"testing"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/queue"
)

// Deliveries that share a commit have no savepoint of their own. One that fails must all the same not take its neighbours
// along, and must leave neither an event nor a job.
func TestDeliveryThatFailsAlone(t *testing.T) {
	t.Parallel()
	s, err := Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "makegood.db"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	writer, reader := s.SQLite()
	err = errors.Join(s.Migrate(t.Context()), queue.Migrate(t.Context(), queue.Database{SQLiteWriter: writer, SQLiteReader: reader}))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := writer.ExecContext(t.Context(), `
		CREATE TRIGGER refuse AFTER INSERT ON events WHEN NEW.provider_id = 'evt_7'
		BEGIN SELECT RAISE(ABORT, 'refused'); END`); err != nil {
		t.Fatal(err)
	}

	// The writer is held until all deliveries wait, so that they share one commit.
	const deliveries = 20
	held, release := make(chan struct{}), make(chan struct{})
	var all sync.WaitGroup
	all.Go(func() {
		_ = s.engine.write(t.Context(), func(Tx) error { close(held); <-release; return nil })
	})
	<-held
	failed := make([]error, deliveries)
	for i := range deliveries {
		all.Go(func() {
			_, failed[i] = s.AcceptEvent(t.Context(), makegood.Event{Source: "stripe", ProviderID: fmt.Sprintf("evt_%d", i)})
		})
	}
	for len(s.engine.(*sqliteEngine).pending) < deliveries {
		runtime.Gosched()
	}
	close(release)
	all.Wait()

	for i, err := range failed {
		if (err != nil) != (i == 7) {
			t.Errorf("AcceptEvent(evt_%d) = %v, want an error for evt_7 only", i, err)
		}
	}
	events, err := s.Events(t.Context(), EventFilter{})
	if err != nil || len(events) != deliveries-1 {
		t.Errorf("Events = %d, %v, want %d", len(events), err, deliveries-1)
	}
	depths, err := s.QueueDepths(t.Context())
	if err != nil || len(depths) != 1 || depths[0].Waiting != deliveries-1 {
		t.Errorf("QueueDepths = %v, %v, want %d jobs", depths, err, deliveries-1)
	}
}
