package store_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/store"
	"github.com/makegood/makegood/internal/store/storetest"
)

// deadEvent keeps an event and gives it up.
func deadEvent(t *testing.T, s *store.Store, id string, reason makegood.DeadReason) makegood.DeadLetter {
	t.Helper()
	if _, err := s.AcceptEvent(t.Context(), event(id)); err != nil {
		t.Fatal(err)
	}
	e, err := s.Event(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	history := []makegood.FailedAttempt{{At: start, Attempt: 1, Error: "first"}, {At: start.Add(time.Minute), Attempt: 2, Error: "last"}}
	d := makegood.DeadLetter{Job: makegood.InterpretJob(e.ID, e.Source), Error: "last", Reason: reason, Attempts: 2, History: history,
		FirstFailedAt: start, LastFailedAt: start.Add(time.Minute)}
	if err := s.KeepDeadLetter(t.Context(), d, nil); err != nil {
		t.Fatal(err)
	}
	letters, err := s.DeadLetters(t.Context(), store.DeadLetterFilter{Limit: 1})
	if err != nil || len(letters) != 1 || letters[0].Job.EventID != e.ID {
		t.Fatalf("letters = %+v, %v, want that of %s first", letters, err, id)
	}
	return letters[0]
}

// SPEC B3: two people who retry the same letter at once have it done again once; a letter that is given up again is opened
// again with everything that it went through.
func TestRetryDeadLetter(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, url string) {
		s := open(t, url, store.Options{})
		d := deadEvent(t, s, "evt_1", makegood.DeadExhausted)
		waiting := func() int64 {
			depths, err := s.QueueDepths(t.Context())
			if err != nil || len(depths) != 1 {
				t.Fatalf("depths = %v, %v", depths, err)
			}
			return depths[0].Waiting
		}
		before := waiting()
		results := make(chan bool, 8)
		var people sync.WaitGroup
		for range 8 {
			people.Go(func() {
				retried, err := s.RetryDeadLetter(t.Context(), d.ID, store.Rerun{Actor: "operator:ann"}, nil)
				if err != nil {
					t.Errorf("retry: %v", err)
				}
				results <- retried
			})
		}
		people.Wait()
		close(results)
		retried := 0
		for r := range results {
			if r {
				retried++
			}
		}
		if added := waiting() - before; retried != 1 || added != 1 {
			t.Errorf("eight retries at once: %d did it, %d jobs more, want one and one", retried, added)
		}
		if e, err := s.Event(t.Context(), "evt_1"); err != nil || e.State != makegood.EventKept || e.Note != "" {
			t.Errorf("its event = %s %q, %v, want it kept again", e.State, e.Note, err)
		}
		again := d
		again.Error, again.History = "third", []makegood.FailedAttempt{{At: start.Add(time.Hour), Attempt: 1, Error: "third"}}
		again.Attempts, again.Reason = 1, makegood.DeadPermanent
		again.FirstFailedAt, again.LastFailedAt = start.Add(time.Hour), start.Add(time.Hour)
		for range 2 { // a crash may keep it twice
			if err := s.KeepDeadLetter(t.Context(), again, nil); err != nil {
				t.Fatal(err)
			}
		}
		got, err := s.DeadLetter(t.Context(), d.ID)
		if err != nil {
			t.Fatal(err)
		}
		var told []string
		for _, a := range got.History {
			told = append(told, a.Error)
		}
		if got.State != makegood.DeadOpen || got.Reason != makegood.DeadPermanent || got.Retries != 1 || string(got.Payload) != string(event("evt_1").Payload) {
			t.Errorf("given up again = %+v, want it open, with its payload and one retry", got)
		}
		if t.Failed() {
			return
		}
		if diff := cmp.Diff([]string{"first", "last", "third"}, told); diff != "" || got.Attempts != 3 || !got.FirstFailedAt.Equal(d.FirstFailedAt) {
			t.Errorf("history (-want +got):\n%s with %d attempts since %v", diff, got.Attempts, got.FirstFailedAt)
		}
	})
}

func TestDeadLetterFilters(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, url string) {
		now := start
		s := open(t, url, store.Options{Now: func() time.Time { now = now.Add(time.Second); return now }})
		var ids []string
		for i, reason := range []makegood.DeadReason{makegood.DeadExhausted, makegood.DeadPermanent, makegood.DeadExhausted} {
			ids = append(ids, deadEvent(t, s, fmt.Sprint("evt_", i), reason).ID)
		}
		if discarded, err := s.DiscardDeadLetter(t.Context(), ids[1], "operator:ann", "a test of ours", nil); !discarded || err != nil {
			t.Fatalf("discard = %v, %v", discarded, err)
		}
		if discarded, err := s.DiscardDeadLetter(t.Context(), ids[1], "operator:ann", "again", nil); discarded || err != nil {
			t.Errorf("discard twice = %v, %v, want false, nil", discarded, err)
		}
		if retried, err := s.RetryDeadLetter(t.Context(), ids[1], store.Rerun{Actor: "operator:ann"}, nil); retried || err != nil {
			t.Errorf("retry of a discarded letter = %v, %v, want false, nil", retried, err)
		}
		for _, tt := range []struct {
			name   string
			filter store.DeadLetterFilter
			want   []string
		}{
			{"all, newest first", store.DeadLetterFilter{}, []string{ids[2], ids[1], ids[0]}},
			{"open", store.DeadLetterFilter{State: makegood.DeadOpen}, []string{ids[2], ids[0]}},
			{"oldest first", store.DeadLetterFilter{State: makegood.DeadOpen, OldestFirst: true}, []string{ids[0], ids[2]}},
			{"the next page", store.DeadLetterFilter{OldestFirst: true, After: ids[0]}, []string{ids[1], ids[2]}},
			{"reason", store.DeadLetterFilter{Reason: makegood.DeadPermanent}, []string{ids[1]}},
			{"another source", store.DeadLetterFilter{Source: "other"}, nil},
			{"type", store.DeadLetterFilter{Type: "checkout.session.completed", Limit: 1}, []string{ids[2]}},
			{"since later", store.DeadLetterFilter{Since: start.Add(2 * time.Minute)}, nil},
			{"since then", store.DeadLetterFilter{Since: start.Add(time.Minute), Limit: 1}, []string{ids[2]}},
		} {
			letters, err := s.DeadLetters(t.Context(), tt.filter)
			var got []string
			for _, d := range letters {
				got = append(got, d.ID)
			}
			if err != nil || !cmp.Equal(got, tt.want) {
				t.Errorf("%s = %v, %v, want %v", tt.name, got, err, tt.want)
			}
		}
		if _, err := s.DeadLetter(t.Context(), "dlqnone"); !errors.Is(err, makegood.NotFound) {
			t.Errorf("a letter that is not there = %v, want not found", err)
		}
		if n, err := s.CountDeadLetters(t.Context()); n != 2 || err != nil {
			t.Errorf("open letters = %d, %v, want 2", n, err)
		}
	})
}

// A paced retry waits, and lets everything else pass.
func TestRetryDeadLetterBehind(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, url string) {
		s := open(t, url, store.Options{})
		d := deadEvent(t, s, "evt_1", makegood.DeadExhausted)
		if retried, err := s.RetryDeadLetter(t.Context(), d.ID, store.Rerun{Actor: "operator:ann", After: time.Hour, Behind: true}, nil); !retried || err != nil {
			t.Fatalf("retry = %v, %v", retried, err)
		}
		var state string
		var priority int
		if err := s.Read(t.Context(), func(tx store.Tx) error {
			return tx.QueryRow(t.Context(), `SELECT CAST(state AS TEXT), priority FROM river_job WHERE priority > 1`).Scan(&state, &priority)
		}); err != nil || state != "scheduled" || priority != 4 {
			t.Errorf("its job = %s, priority %d, %v, want it scheduled at the lowest priority", state, priority, err)
		}
		if n, err := s.HurryFailedJobs(t.Context(), "stripe", ""); n != 0 || err != nil {
			t.Errorf("HurryFailedJobs = %d, %v, want 0: it did not fail, it waits", n, err)
		}
		if n, err := s.HurryEvent(t.Context(), d.Job.EventID, ""); n != 1 || err != nil {
			t.Errorf("HurryEvent = %d, %v, want 1", n, err)
		}
	})
}
