package app

import (
	"context"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/heal"
	"github.com/makegood/makegood/internal/host"
	"github.com/makegood/makegood/internal/queue"
	"github.com/makegood/makegood/internal/store"
)

// TestStuckWorkers holds what stuck is: a job is due, and this node neither begins one nor works on one. Too much work is not it.
func TestStuckWorkers(t *testing.T) {
	t.Parallel()
	s, err := store.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "makegood.db"), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	db := queue.Database{}
	db.SQLiteWriter, db.SQLiteReader = s.SQLite()
	if err := s.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := queue.Migrate(t.Context(), db); err != nil {
		t.Fatal(err)
	}
	begun, release := make(chan struct{}, 10), make(chan struct{})
	work := func(ctx context.Context, _ makegood.Job) error {
		begun <- struct{}{}
		select {
		case <-release:
		case <-ctx.Done():
		}
		return nil
	}
	q, err := queue.New(queue.Options{Database: db, Node: "n", Work: map[string]queue.Work{makegood.JobInterpret: work, makegood.JobEffect: work},
		Policy: func(makegood.Job) makegood.RetryPolicy { return makegood.DefaultRetryPolicy }, GiveUp: func(context.Context, makegood.DeadLetter) error { return nil },
		Workers: map[string]int{makegood.QueuePayments: 1, makegood.QueueEffects: 1}, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	seen := &activity{}
	w := &workers{queue: q, store: s, activity: seen, after: 50 * time.Millisecond, now: time.Now}
	look := func() host.Survey {
		t.Helper()
		survey, err := w.Survey(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return survey
	}
	if survey := look(); survey.Stuck {
		t.Errorf("without a job they are stuck: %s", survey.Down)
	}
	if err := s.EnqueueJob(t.Context(), makegood.Job{Kind: makegood.JobEffect, OrderID: "ord1", Step: "email"}); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(20 * time.Second); !look().Stuck; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("a job is due, nobody begins it, and they are not stuck")
		}
	}
	survey := look()
	if fault, _ := heal.Classify(heal.Evidence{Survey: survey, Felt: true, Starts: true}); fault != makegood.FaultWorkersStuck {
		t.Errorf("Classify = %s, want %s", fault, makegood.FaultWorkersStuck)
	}
	seen.saw(time.Now())
	w.after = time.Hour
	if look().Stuck {
		t.Error("they have just begun a job, and are stuck")
	}
	w.after, seen = 50*time.Millisecond, &activity{}
	w.activity = seen
	if _, err := w.Start(t.Context(), survey, "att1"); makegood.CodeOf(err) != makegood.Conflict {
		t.Errorf("Start of workers that do not run = %v, want conflict", err)
	}
	if err := q.Start(context.WithoutCancel(t.Context())); err != nil {
		t.Fatal(err)
	}
	defer q.Stop(context.WithoutCancel(t.Context())) //nolint:errcheck // the test is over
	<-begun
	if err := s.EnqueueJob(t.Context(), makegood.Job{Kind: makegood.JobEffect, OrderID: "ord2", Step: "email"}); err != nil {
		t.Fatal(err)
	}
	time.Sleep(100 * time.Millisecond) // the second one is late, behind the first
	if survey := look(); survey.Stuck {
		t.Errorf("they have too much to do, and are stuck: %s", survey.Down)
	}
	close(release)
	if run, err := w.Start(t.Context(), survey, "att1"); run != "att1" || err != nil {
		t.Errorf("Start = %q, %v", run, err)
	}
	<-begun
	if p, err := w.Progress(t.Context(), "att1"); p.State != host.Ran || err != nil {
		t.Errorf("Progress = %v, %v", p, err)
	}
}
