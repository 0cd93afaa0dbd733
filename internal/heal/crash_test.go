package heal_test

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/heal"
	"github.com/makegood/makegood/internal/host"
)

// crash is one healing of a wiped place in which a program dies at its nth call, before it or after it.
type crash struct {
	*world
	name      string
	struck    string // the call at which it died; "" when there was none
	first     makegood.HealAttempt
	writes    int // when it died
	starts    int
	deployAt  time.Time
	struckTwo bool
}

// interlude is what happens between a crash and the next start.
type interlude struct {
	name  string
	every int // of so many crashes one is tried
	away  time.Duration
	does  func(c *crash)
	check func(t *testing.T, c *crash)
}

// The scenes that begin otherwise.
const (
	helpless     = "and nothing helps from the first"
	startRefused = "the start was refused and would not be any more"
)

var interludes = []interlude{
	{"gone on with", 1, 3 * time.Second, func(*crash) {}, isHealed},
	{"and its answers are lost", 2, 3 * time.Second, func(c *crash) { c.places["shop"].loses = 1 }, isHealed},
	{"and nothing helps", 1, 3 * time.Second, func(c *crash) { c.places["shop"].sick = true }, func(t *testing.T, c *crash) {
		attempts, _ := c.list()
		for _, a := range attempts {
			if a.State != makegood.AttemptReverted && a.State != makegood.AttemptHealed {
				t.Errorf("attempt %s ended as %s, %s", a.ID, a.State, a.Reason)
			}
		}
		at := c.places["shop"]
		if n := len(attempts); n > 1 && (at.reverts < n-1 || c.record.open["heal-failed/shop"] == "") {
			t.Errorf("%d attempts, %d reverts, told: %v", n, at.reverts, c.record.open)
		}
	}},
	{helpless, 1, 3 * time.Second, nothingHelps, isReverted},
	{"gone on with after its lease", 2, 20 * time.Second, func(*crash) {}, isHealed},
	{"and the next one dies too", 3, 3 * time.Second, func(c *crash) {
		at := 1 + c.rng.IntN(120)
		c.onCall = c.strikeAt("second", at, func(string) { c.struckTwo = true })
	}, isHealed},
	{"after more than a quarter of an hour", 2, 16 * time.Minute, func(*crash) {}, func(t *testing.T, c *crash) {
		if a := c.now(c.first.ID); c.first.State == makegood.AttemptRunning && (a.State != makegood.AttemptStopped || a.Reason != makegood.HealInterrupted) {
			t.Errorf("the attempt ended as %s, %s, want stopped, interrupted", a.State, a.Reason)
		}
		isHealed(t, c)
	}},
	{"the target is gone", 2, 3 * time.Second, func(c *crash) { c.patched = func(_ *heal.Options, all *[]heal.Target) { *all = nil } },
		func(t *testing.T, c *crash) {
			if a := c.now(c.first.ID); c.first.State == makegood.AttemptRunning && (a.State != makegood.AttemptStopped || a.Reason != makegood.HealInterrupted) {
				t.Errorf("the attempt ended as %s, %s, want stopped, interrupted", a.State, a.Reason)
			}
			if c.places["shop"].writes != c.writes {
				t.Errorf("%d writes after the target was taken out", c.places["shop"].writes-c.writes)
			}
		}},
	{"the truth is corrupted", 2, 3 * time.Second, func(c *crash) { c.truth = truthShrunken },
		func(t *testing.T, c *crash) {
			if c.places["shop"].writes != c.writes {
				t.Errorf("%d writes with a truth that is not believed", c.places["shop"].writes-c.writes)
			}
		}},
	{"its owner mends it", 1, 3 * time.Second, func(c *crash) {
		at := c.places["shop"]
		for _, n := range needs {
			at.vars[n.Name] = values[n.Name]
		}
		at.deploy("", 0, true)
	}, func(t *testing.T, c *crash) {
		start := c.first.Step("start")
		if c.first.State == makegood.AttemptRunning && start.StartedAt.IsZero() && c.places["shop"].starts[c.first.ID] > 0 {
			t.Error("it was started although it was well again")
		}
		if a := c.now(c.first.ID); c.first.State == makegood.AttemptRunning && start.State == makegood.PlaceRunning && c.starts == 0 &&
			(a.State != makegood.AttemptStopped || a.Reason != makegood.HealBlip) {
			t.Errorf("it was well again before anything was started: ended as %s, %s, want stopped, blip", a.State, a.Reason)
		}
		if at := c.places["shop"]; !at.illSince.IsZero() {
			t.Error("it is not well any more")
		}
	}},
	{startRefused, 1, 3 * time.Second, func(c *crash) { c.places["shop"].refuses = nil }, func(t *testing.T, c *crash) {
		start, a := c.first.Step("start"), c.now(c.first.ID)
		if c.first.State == makegood.AttemptRunning && start.State == makegood.PlaceFailed && (a.Reason != makegood.HealStartFailed || c.places["shop"].starts[a.ID] > 0) {
			t.Errorf("a step that had failed was made again: %s, %s, %d starts", a.State, a.Reason, c.places["shop"].starts[a.ID])
		}
	}},
	{"somebody else deploys", 2, 3 * time.Second, func(c *crash) {
		c.places["shop"].deploy("", 90*time.Second, true)
	}, isHealed},
	{"the brake is put on", 2, 3 * time.Second, func(c *crash) {
		c.brakeAt = time.Now().Add(-time.Minute)
		c.ledger.brake = makegood.Brake{On: true, By: "operator:ann", Why: "wait"}
	}, func(t *testing.T, c *crash) {
		if a := c.now(c.first.ID); c.first.State == makegood.AttemptRunning && a.Reason != makegood.HealPaused && a.State != makegood.AttemptHealed {
			t.Errorf("the attempt ended as %s, %s, want stopped, paused", a.State, a.Reason)
		}
	}},
}

// A program dies before or after each of its calls; the next one goes on or stops safely. No attempt starts anything twice.
func TestCrashAtEveryStep(t *testing.T) {
	t.Parallel()
	for _, between := range interludes {
		t.Run(between.name, func(t *testing.T) {
			t.Parallel()
			struck := map[string]int{}
			every := between.every
			if testing.Short() || underRace {
				every *= 4
			}
			for n := 1; n < 5000; n += every {
				c := &crash{world: newWorld(uint64(n), "shop")}
				synctest.Test(t, func(t *testing.T) { c.play(t, n, between) })
				if c.struck == "" {
					break
				}
				struck[c.struck]++
				if t.Failed() {
					t.Fatalf("the crash at call %d, %s:\n%v", n, c.struck, c)
				}
			}
			if len(struck) < 10 && !testing.Short() && !underRace {
				t.Errorf("struck at %v only", struck)
			}
			t.Logf("struck at %v", struck)
		})
	}
}

// strikeAt kills a program at its nth call that counts.
func (c *crash) strikeAt(who string, n int, struck func(call string)) func(*process, string, bool) {
	hasBegun := false
	return func(p *process, call string, isAfter bool) {
		c.mu.Lock()
		defer c.mu.Unlock()
		hasBegun = hasBegun || call == "look" || who == "second"
		isOver := call == "standing" && len(c.ledger.running()) == 0 && len(c.ledger.begun) > 0
		if p.name != who || !hasBegun || call == "troubles" || isOver {
			return
		}
		if n--; n != 0 {
			return
		}
		p.dead = true
		p.kill()
		struck(map[bool]string{false: "before ", true: "after "}[isAfter] + call)
	}
}

// nothingHelps is before the crash: the attempt that is struck fails.
func nothingHelps(*crash) {}

// isReverted wants that each attempt was taken back, and told.
func isReverted(t *testing.T, c *crash) {
	t.Helper()
	at := c.places["shop"]
	attempts, _ := c.list()
	for _, a := range attempts {
		if a.State != makegood.AttemptReverted {
			t.Errorf("attempt %s ended as %s, %s, want reverted", a.ID, a.State, a.Reason)
		}
	}
	if len(attempts) != 2 || at.reverts < 2 || at.live > 1 || c.record.open["heal-failed/shop"] == "" {
		t.Errorf("%d attempts, %d reverts, version %d is live, told: %v", len(attempts), at.reverts, at.live, c.record.open)
	}
}

func (c *crash) play(t *testing.T, n int, between interlude) {
	ctx, stop := context.WithCancel(t.Context())
	for _, at := range c.places { // made before the bubble had its clock
		at.versions[0].readyAt = time.Now()
	}
	pace := func() time.Duration { return time.Second }
	died := make(chan struct{})
	c.onCall = c.strikeAt("first", n, func(call string) { c.struck = call; close(died) })
	c.places["shop"].sick = between.name == helpless
	if between.name == startRefused {
		c.places["shop"].refuses = map[string]host.Fault{"start": host.PermissionMissing}
	}
	c.places["shop"].wipe(1)
	c.places["shop"].deploy("", time.Second, true)
	first := c.start("first")
	first.run(ctx, pace)
	select {
	case <-died:
		<-first.ended
	case <-time.After(6 * time.Minute):
	}
	c.mu.Lock()
	if running := c.ledger.running(); len(running) > 0 {
		c.first = running[0]
	}
	c.writes = c.places["shop"].writes
	c.starts = c.places["shop"].starts[c.first.ID]
	wasStruck := c.struck != ""
	between.does(c)
	c.mu.Unlock()
	if !wasStruck {
		stop()
		<-first.ended
		checkWorld(t, c.world)
		return
	}
	time.Sleep(between.away)
	second := c.start("second")
	second.run(ctx, pace)
	time.Sleep(6 * time.Minute)
	c.mu.Lock()
	isTwice := c.struckTwo
	c.mu.Unlock()
	if isTwice {
		<-second.ended
		second = c.start("third")
		second.run(ctx, pace)
		time.Sleep(6 * time.Minute)
	}
	stop()
	<-second.ended
	checkWorld(t, c.world)
	between.check(t, c)
}

// now is how an attempt stands at the end.
func (c *crash) now(id string) makegood.HealAttempt {
	a, _ := c.ledger.get(id)
	return a
}

// isHealed wants the program well, by attempts that each started it once at most.
func isHealed(t *testing.T, c *crash) {
	t.Helper()
	at := c.places["shop"]
	at.advance()
	attempts, _ := c.list()
	if !at.illSince.IsZero() || !isWhole(at.vars) || len(attempts) == 0 {
		t.Error("the place is not healed")
	}
	for _, a := range attempts {
		if a.State == makegood.AttemptHealed && at.starts[a.ID] != 1 && at.writes > 0 && a.Step("start") != nil {
			t.Errorf("attempt %s is healed with %d starts, want 1", a.ID, at.starts[a.ID])
		}
	}
}

// checkWorld wants that the judge saw nothing wrong, that everything that was begun has ended and was told, and that no value shows.
func checkWorld(t *testing.T, w *world) {
	t.Helper()
	for _, wrong := range w.wrong {
		t.Error(wrong)
	}
	attempts, refusals := w.list()
	for _, a := range attempts {
		isTold := slices.ContainsFunc(w.record.lines, func(l line) bool { return l.kind == makegood.MomentHealed || l.kind == makegood.MomentNotHealed })
		if a.State == makegood.AttemptRunning || !isTold {
			t.Errorf("attempt %s is %s, told %t", a.ID, a.State, isTold)
		}
	}
	for _, a := range refusals {
		if a.Reason == "" || a.Detail == "" {
			t.Errorf("a refusal without a reason: %+v", a)
		}
	}
	checkHidden(t, "the record", w.text())
}
