package watch_test

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/store"
	"github.com/makegood/makegood/internal/store/storetest"
	"github.com/makegood/makegood/internal/watch"
)

// twoTimes is a machine whose wall clock people set.
type twoTimes struct {
	machine time.Duration
	offset  time.Duration
}

var machineBegan = time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)

func (c *twoTimes) Wall() time.Time                          { return machineBegan.Add(c.machine + c.offset) }
func (c *twoTimes) Machine() (since time.Duration, _ string) { return c.machine, "boot" }

// randomLadder makes a ladder that Escalation.Check allows.
func randomLadder(r *rand.Rand, channels []string) makegood.Ladder {
	var l makegood.Ladder
	var after time.Duration
	for range 1 + r.IntN(4) {
		l.Rungs = append(l.Rungs, makegood.Rung{After: after, Channels: channels[:1+r.IntN(len(channels))]})
		after += time.Duration(r.Int64N(int64(40 * time.Minute)))
	}
	if r.IntN(2) == 0 {
		l.Repeat = time.Minute + time.Duration(r.Int64N(int64(time.Hour)))
	}
	l.AckFor = time.Minute + time.Duration(r.Int64N(int64(2*time.Hour)))
	return l
}

// span is a time in which the program did not run.
type span struct{ from, to time.Duration }

// due is when the rungs of a ladder are told in the machine's time, from a beginning until an end: the rules a second time,
// without rows, and with a clock that nobody sets.
func due(l makegood.Ladder, from, until time.Duration, downs []span) []time.Duration {
	running := func(at time.Duration) time.Duration {
		for _, d := range downs {
			if at > d.from && at < d.to {
				return d.to
			}
		}
		return at
	}
	var list []time.Duration
	for base := from; ; {
		for _, r := range l.Rungs {
			at := running(base + r.After)
			if at > until {
				return list
			}
			list = append(list, at)
		}
		if l.Repeat == 0 {
			return list
		}
		again := base + l.Rungs[len(l.Rungs)-1].After + l.Repeat
		base = again
		if at := running(again); at-again >= l.Repeat {
			base = at // who slept through a whole round begins a new one
		}
	}
}

// Ladders at random, 150 of them, or as many as MAKEGOOD_LADDERS says. The process is restarted, the wall clock is set ahead and back by hours, while the program
// runs and while it does not; and every rung is told within two seconds of when it is due by the machine's own time, or of
// the restart when it was due while nobody ran (goal A6 of the reference).
func TestTimersKeepTheirTime(t *testing.T) {
	t.Parallel()
	clock := &twoTimes{}
	s, err := store.Open(t.Context(), storetest.SQLite(t), store.Options{Now: clock.Wall})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(11, 12))
	rungs := 0
	var worst time.Duration
	ladders := 150
	if more, err := strconv.Atoi(os.Getenv("MAKEGOOD_LADDERS")); err == nil {
		ladders = more
	}
	for n := range ladders {
		told, late := climbOne(t, s, clock, r, n)
		rungs += told
		worst = max(worst, late)
		if t.Failed() {
			return
		}
	}
	t.Logf("%d ladders, %d rungs, the latest by %v", ladders, rungs, worst)
}

// climbOne lets one incident climb a random ladder for some hours and compares when people were told with when they should.
func climbOne(t *testing.T, s *store.Store, clock *twoTimes, r *rand.Rand, n int) (told int, worst time.Duration) {
	t.Helper()
	ctx := context.Background()
	channels := []string{"mail", "push", "sms"}
	ladder := randomLadder(r, channels)
	e := makegood.Escalation{makegood.P0: ladder}
	if err := e.Check(channels); err != nil {
		t.Fatalf("ladder %d: %v", n, err)
	}
	ids := 0
	var desk *watch.Desk
	var keeper *watch.Timekeeper
	start := func() {
		log := slog.New(slog.DiscardHandler)
		desk = watch.NewDesk(watch.Options{Store: s, Escalation: e, Channels: channels, Now: clock.Wall, Log: log,
			NewID: func(prefix string) string { ids++; return fmt.Sprintf("%s%04d-%04d", prefix, n, ids) }})
		keeper = &watch.Timekeeper{Store: s, Clock: clock, Log: log}
	}
	round := func() (next time.Time) {
		if err := keeper.Look(ctx); err != nil {
			t.Fatal(err)
		}
		next, err := desk.Tick(ctx)
		if err != nil {
			t.Fatal(err)
		}
		return next
	}
	start()
	round()
	key := fmt.Sprintf("ladder%d", n)
	began := clock.machine
	if err := desk.Found(ctx, makegood.Finding{Check: key, Priority: makegood.P0, Title: "It is down"}); err != nil {
		t.Fatal(err)
	}
	id := mustIncident(t, s, key)

	var downs []span
	seen := map[string]time.Duration{} // when the machine said that a notice was first seen
	look := func() {
		i, err := s.Incident(ctx, id)
		if err != nil {
			t.Fatal(err)
		}
		for _, notice := range i.Notices {
			rung := fmt.Sprintf("%d/%d", notice.Round, notice.Rung)
			if _, ok := seen[rung]; !ok {
				seen[rung] = clock.machine
			}
			if notice.State == makegood.NoticeQueued { // told at once, so that the next round is not spared it
				if err := s.AmendIncidents(ctx, []string{id}, func(i *makegood.Incident) error {
					i.Accepted(makegood.IncidentTerms{Now: clock.Wall(), NewID: func(string) string { return "" }}, notice.ID, "", false)
					return nil
				}); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	look()
	end := began + 3*time.Hour
	for clock.machine < end {
		next := round()
		look()
		switch r.IntN(12) {
		case 0: // the wall is set while the program runs
			clock.offset += time.Duration(r.Int64N(int64(6*time.Hour))) - 3*time.Hour
			continue
		case 1: // the program is stopped, and the wall is set while it is
			from := clock.machine
			clock.machine += time.Duration(r.Int64N(int64(20 * time.Minute)))
			clock.offset += time.Duration(r.Int64N(int64(2*time.Hour))) - time.Hour
			downs = append(downs, span{from, clock.machine})
			start()
			continue
		}
		// The loop looks once a second; idle seconds are skipped up to the timer.
		step := time.Duration(r.Int64N(int64(10 * time.Minute)))
		if until := next.Sub(clock.Wall()); !next.IsZero() && until < step {
			step = max(until, 0) + time.Duration(r.Int64N(int64(time.Second)))
		}
		clock.machine += step
	}
	// Rungs that come due together, after a time in which nobody ran, tell a channel once.
	want := slices.Compact(due(ladder, began, clock.machine-2*time.Second, downs))
	got := slices.Compact(slices.Sorted(maps.Values(seen)))
	if len(got) < len(want) {
		t.Errorf("ladder %d %+v, stopped in %v: %d rungs were told, want %d", n, ladder, downs, len(got), len(want))
	}
	for k := range min(len(got), len(want)) {
		late := got[k] - want[k]
		worst = max(worst, late, -late)
		if late < -2*time.Second || late > 2*time.Second {
			t.Errorf("ladder %d %+v, stopped in %v: rung %d was told at %v, want %v", n, ladder, downs, k, got[k]-began, want[k]-began)
		}
	}
	if err := desk.Cleared(ctx, key, "over"); err != nil {
		t.Fatal(err)
	}
	return len(seen), worst
}

// mustIncident returns the id of the open incident of a key.
func mustIncident(t *testing.T, s *store.Store, key string) string {
	t.Helper()
	list, err := s.Incidents(t.Context(), store.IncidentFilter{Key: key, Limit: 1})
	if err != nil || len(list) != 1 {
		t.Fatalf("incidents of %s = %v, %v, want one", key, list, err)
	}
	return list[0].ID
}
