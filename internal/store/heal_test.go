package store_test

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/store"
	"github.com/makegood/makegood/internal/store/storetest"
)

const healLease = 10 * time.Second

func attempt(id, target string) makegood.HealAttempt {
	return makegood.HealAttempt{ID: id, Target: target, Remedy: "restore-secrets", Fault: makegood.FaultSecretMissing, IncidentID: "inc1", IncidentKey: "monitor/health",
		Actor: "system:heal", Holder: "tower", Names: []string{"STRIPE_API_KEY"}, Before: `{"good":"d1"}`,
		Steps: []makegood.AttemptStep{{Phase: makegood.PhaseApply, Name: "write", Says: "write the variables", State: makegood.PlacePending}}}
}

// clock is a clock that a test sets.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

func refusalOf(err error) makegood.HealReason {
	var r *makegood.HealRefusal
	if errors.As(err, &r) {
		return r.Reason
	}
	return ""
}

// An attempt is kept whole, with the first fencing number, and is there for whoever asks afterwards.
func TestBeginAttempt(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, url string) {
		c := &clock{at: time.Date(2026, 11, 29, 3, 0, 0, 0, time.UTC)}
		s := open(t, url, store.Options{Now: c.now})
		begun, err := s.BeginAttempt(t.Context(), attempt("att1", "shop"), makegood.DefaultHealLimits, healLease)
		if err != nil {
			t.Fatal(err)
		}
		if begun.Fence != 1 || begun.State != makegood.AttemptRunning || !begun.LeaseUntil.Equal(c.now().Add(healLease)) {
			t.Errorf("BeginAttempt = fence %d, %s, lease until %v", begun.Fence, begun.State, begun.LeaseUntil)
		}
		kept, err := s.Attempt(t.Context(), "att1")
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(begun, kept); diff != "" {
			t.Errorf("kept otherwise than begun (-begun +kept):\n%s", diff)
		}
		if _, err := s.BeginAttempt(t.Context(), attempt("att2", "other"), makegood.DefaultHealLimits, healLease); refusalOf(err) != makegood.HealBusy {
			t.Errorf("a second attempt = %v, want busy", err)
		}
		if _, err := s.Attempt(t.Context(), "att2"); makegood.CodeOf(err) != makegood.NotFound {
			t.Errorf("the refused attempt = %v, want not found", err)
		}
	})
}

// Of many who begin at once one is admitted.
func TestBeginAttemptAtOnce(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, url string) {
		s := open(t, url, store.Options{})
		var begun, busy int
		var mu sync.Mutex
		var all sync.WaitGroup
		for n := range 20 {
			all.Go(func() {
				_, err := s.BeginAttempt(t.Context(), attempt("att"+string(rune('a'+n)), "shop"), makegood.HealLimits{PerTarget: 99, PerTargetWithin: time.Hour, Overall: 99, OverallWithin: time.Hour}, healLease)
				mu.Lock()
				defer mu.Unlock()
				switch {
				case err == nil:
					begun++
				case refusalOf(err) == makegood.HealBusy:
					busy++
				default:
					t.Errorf("BeginAttempt = %v", err)
				}
			})
		}
		all.Wait()
		if begun != 1 || busy != 19 {
			t.Errorf("%d begun and %d busy, want 1 and 19", begun, busy)
		}
	})
}

// Whoever was overtaken changes nothing any more, and a lease that holds is not overtaken.
func TestFencing(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, url string) {
		c := &clock{at: time.Date(2026, 11, 29, 3, 0, 0, 0, time.UTC)}
		s := open(t, url, store.Options{Now: c.now})
		begun, err := s.BeginAttempt(t.Context(), attempt("att1", "shop"), makegood.DefaultHealLimits, healLease)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.TakeAttempt(t.Context(), "att1", "second", healLease); !errors.Is(err, makegood.Conflict) {
			t.Errorf("taking over while the lease holds = %v, want conflict", err)
		}
		c.pass(healLease)
		taken, err := s.TakeAttempt(t.Context(), "att1", "second", healLease)
		if err != nil || taken.Fence != 2 || taken.Holder != "second" {
			t.Fatalf("TakeAttempt = fence %d, holder %q, %v", taken.Fence, taken.Holder, err)
		}
		never := func(*makegood.HealAttempt) error { t.Error("the overtaken one was asked for a change"); return nil }
		if _, err := s.AmendAttempt(t.Context(), "att1", begun.Fence, healLease, never); !errors.Is(err, makegood.Conflict) {
			t.Errorf("a change with the old number = %v, want conflict", err)
		}
		ended, err := s.AmendAttempt(t.Context(), "att1", taken.Fence, healLease, func(a *makegood.HealAttempt) error {
			a.Enter("write", c.now())
			a.Leave("write", makegood.PlaceDone, "written", c.now())
			a.End(makegood.AttemptHealed, "", "", c.now())
			return nil
		})
		if err != nil || ended.State != makegood.AttemptHealed {
			t.Fatalf("AmendAttempt = %s, %v", ended.State, err)
		}
		if _, err := s.AmendAttempt(t.Context(), "att1", taken.Fence, healLease, never); !errors.Is(err, makegood.Conflict) {
			t.Errorf("a change after the end = %v, want conflict", err)
		}
	})
}

// The rows are the cooldown: limits hold over a restart, over a clock that is set, and refusals count for nothing.
func TestAttemptsAreTheCooldown(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, url string) {
		c := &clock{at: time.Date(2026, 11, 29, 3, 0, 0, 0, time.UTC)}
		s := open(t, url, store.Options{Now: c.now})
		begin := func(id, target string) makegood.HealReason {
			t.Helper()
			begun, err := s.BeginAttempt(t.Context(), attempt(id, target), makegood.DefaultHealLimits, healLease)
			if err != nil {
				if refusalOf(err) == "" {
					t.Fatal(err)
				}
				return refusalOf(err)
			}
			if _, err := s.AmendAttempt(t.Context(), id, begun.Fence, healLease, func(a *makegood.HealAttempt) error {
				a.End(makegood.AttemptFailed, makegood.HealNotVerified, "", c.now())
				return nil
			}); err != nil {
				t.Fatal(err)
			}
			return ""
		}
		if err := s.KeepRefusal(t.Context(), attempt("att0", "shop")); err != nil {
			t.Fatal(err)
		}
		for _, tt := range []struct {
			id, target string
			pass       time.Duration
			shift      time.Duration
			want       makegood.HealReason
		}{
			{id: "att1", target: "shop"},
			{id: "att2", target: "shop", pass: time.Minute},
			{id: "att3", target: "shop", want: makegood.HealTargetLimit},
			{id: "att4", target: "shop", pass: 5 * time.Hour, shift: 5 * time.Hour, want: makegood.HealTargetLimit}, // somebody set the clock
			{id: "att5", target: "mail"},
			{id: "att6", target: "data"},
			{id: "att7", target: "else", want: makegood.HealOverallLimit},
			{id: "att8", target: "shop", pass: time.Hour},
		} {
			c.pass(tt.pass)
			if tt.shift != 0 {
				if err := s.ShiftTimers(t.Context(), tt.shift, "clock", "{}"); err != nil {
					t.Fatal(err)
				}
			}
			if got := begin(tt.id, tt.target); got != tt.want {
				t.Errorf("%s at %s = %q, want %q", tt.id, tt.target, got, tt.want)
			}
		}
		refused, err := s.Attempts(t.Context(), store.AttemptFilter{State: makegood.AttemptRefused})
		if err != nil || len(refused) != 1 || refused[0].ID != "att0" {
			t.Errorf("refusals = %v, %v", refused, err)
		}
		of, err := s.Attempts(t.Context(), store.AttemptFilter{IncidentID: "inc1", Target: "mail"})
		if err != nil || len(of) != 1 {
			t.Errorf("attempts on the incident at mail = %v, %v", of, err)
		}
	})
}

// The brake holds from its commit on, also over a restart, and ends by itself when it was to.
func TestBrake(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, url string) {
		c := &clock{at: time.Date(2026, 11, 29, 3, 0, 0, 0, time.UTC)}
		s := open(t, url, store.Options{Now: c.now})
		b := makegood.Brake{On: true, By: "operator:ann", Why: "we are deploying", At: c.now(), Until: c.now().Add(time.Hour)}
		if err := s.SetHealBrake(t.Context(), b); err != nil {
			t.Fatal(err)
		}
		s.Close()
		s = open(t, url, store.Options{Now: c.now})
		if got, err := s.HealBrake(t.Context()); err != nil || got != b {
			t.Errorf("HealBrake = %+v, %v, want %+v", got, err, b)
		}
		if _, err := s.BeginAttempt(t.Context(), attempt("att1", "shop"), makegood.DefaultHealLimits, healLease); refusalOf(err) != makegood.HealPaused {
			t.Errorf("with the brake on = %v, want paused", err)
		}
		c.pass(time.Hour)
		if _, err := s.BeginAttempt(t.Context(), attempt("att1", "shop"), makegood.DefaultHealLimits, healLease); err != nil {
			t.Errorf("after its end = %v", err)
		}
	})
}

func TestDrillsAreKept(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, url string) {
		s := open(t, url, store.Options{})
		began := time.Date(2026, 11, 29, 3, 0, 0, 0, time.UTC)
		for n, passed := range []bool{false, true} {
			d := store.KeptDrill{ID: "drl" + string(rune('1'+n)), Name: "secret-wiped", BeganAt: began.Add(time.Duration(n) * time.Hour), Took: 2 * time.Minute, Passed: passed, Result: `{"n":1}`}
			for range 2 { // keeping it again changes nothing
				if err := s.KeepDrill(t.Context(), d); err != nil {
					t.Fatal(err)
				}
			}
		}
		list, err := s.Drills(t.Context(), "secret-wiped", 10)
		if err != nil || len(list) != 2 || !list[0].Passed || list[1].Passed || list[0].Took != 2*time.Minute {
			t.Errorf("Drills = %+v, %v", list, err)
		}
	})
}
