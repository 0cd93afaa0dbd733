package makegood_test

import (
	"strings"
	"testing"
	"time"

	"github.com/makegood/makegood"
)

var healTime = time.Date(2026, 11, 29, 3, 0, 0, 0, time.UTC)

// began is an attempt that began so long ago.
func began(target string, ago time.Duration) makegood.HealAttempt {
	return makegood.HealAttempt{ID: "att1", Target: target, State: makegood.AttemptFailed, StartedAt: healTime.Add(-ago), CountsAt: healTime.Add(-ago)}
}

func TestAdmit(t *testing.T) {
	t.Parallel()
	const minute = time.Minute
	brake := makegood.Brake{On: true, By: "operator:ann", Why: "we are deploying", Until: healTime.Add(time.Second)}
	for _, tt := range []struct {
		name  string
		s     makegood.HealStanding
		want  makegood.HealReason
		tells string
	}{
		{"nothing yet", makegood.HealStanding{}, "", ""},
		{"the brake is on", makegood.HealStanding{Brake: brake}, makegood.HealPaused, "until 2026-11-29T03:00:01Z, put on by operator:ann: we are deploying."},
		{"the brake is on for ever", makegood.HealStanding{Brake: makegood.Brake{On: true}}, makegood.HealPaused, "until somebody takes it off"},
		{"the brake goes before all", makegood.HealStanding{Brake: brake, Running: []makegood.HealAttempt{began("shop", 0)}}, makegood.HealPaused, ""},
		{"the brake has ended", makegood.HealStanding{Brake: makegood.Brake{On: true, Until: healTime}}, "", ""},
		{"one runs elsewhere", makegood.HealStanding{Running: []makegood.HealAttempt{began("mail", minute)}}, makegood.HealBusy, "Attempt att1 at mail is under way"},
		{"one runs that began long ago", makegood.HealStanding{Running: []makegood.HealAttempt{began("mail", 99*time.Hour)}}, makegood.HealBusy, ""},
		{"one lately", makegood.HealStanding{Lately: []makegood.HealAttempt{began("shop", 0)}}, "", ""},
		{"two lately", makegood.HealStanding{Lately: []makegood.HealAttempt{began("shop", 0), began("shop", 30*minute-1)}}, makegood.HealTargetLimit, "2 attempts at shop within 30m0s"},
		{"two, one of them half an hour ago", makegood.HealStanding{Lately: []makegood.HealAttempt{began("shop", 0), began("shop", 30*minute)}}, "", ""},
		{"two elsewhere", makegood.HealStanding{Lately: []makegood.HealAttempt{began("mail", 0), began("mail", 0)}}, "", ""},
		{"four over all", makegood.HealStanding{Lately: []makegood.HealAttempt{began("a", 0), began("b", 0), began("c", 0), began("d", time.Hour-1)}}, makegood.HealOverallLimit, "4 attempts at all targets within 1h0m0s"},
		{"four, one of them an hour ago", makegood.HealStanding{Lately: []makegood.HealAttempt{began("a", 0), began("b", 0), began("c", 0), began("d", time.Hour)}}, "", ""},
		{"two in the future, for the clock was set back", makegood.HealStanding{Lately: []makegood.HealAttempt{began("shop", -99*time.Hour), began("shop", -time.Hour)}}, makegood.HealTargetLimit, ""},
	} {
		got := tt.s.Admit("shop", makegood.DefaultHealLimits, healTime)
		if tt.want == "" {
			if got != nil {
				t.Errorf("Admit with %s = %v, want nil", tt.name, got)
			}
			continue
		}
		if got == nil || got.Reason != tt.want || !strings.Contains(got.Error(), tt.tells) || !strings.HasSuffix(got.Sentence, ".") {
			t.Errorf("Admit with %s = %v, want %s that tells %q", tt.name, got, tt.want, tt.tells)
		}
		if (tt.want == makegood.HealBusy) != (got.Attempt == "att1") {
			t.Errorf("Admit with %s names attempt %q", tt.name, got.Attempt)
		}
	}
	if got := makegood.DefaultHealLimits.Window(); got != time.Hour {
		t.Errorf("Window = %v, want the longer of the two", got)
	}
}

func TestBrakeHolds(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		b    makegood.Brake
		want bool
	}{
		{"off", makegood.Brake{}, false},
		{"off, with an end", makegood.Brake{Until: healTime.Add(time.Hour)}, false},
		{"on", makegood.Brake{On: true}, true},
		{"on until later", makegood.Brake{On: true, Until: healTime.Add(1)}, true},
		{"on until now", makegood.Brake{On: true, Until: healTime}, false},
	} {
		if got := tt.b.Holds(healTime); got != tt.want {
			t.Errorf("Holds of a brake that is %s = %t, want %t", tt.name, got, tt.want)
		}
	}
}

func someSteps() makegood.HealAttempt {
	return makegood.HealAttempt{State: makegood.AttemptRunning, LeaseUntil: healTime, Steps: []makegood.AttemptStep{
		{Phase: makegood.PhasePrecheck, Name: "recheck", State: makegood.PlacePending},
		{Phase: makegood.PhaseApply, Name: "write", State: makegood.PlacePending},
		{Phase: makegood.PhaseVerify, Name: "verify", State: makegood.PlacePending},
		{Phase: makegood.PhaseRollback, Name: "rollback", State: makegood.PlacePending},
	}}
}

// A step that is entered again after a crash began when it began; one that was left begins anew.
func TestSteps(t *testing.T) {
	t.Parallel()
	a := someSteps()
	a.Enter("write", healTime)
	a.Enter("write", healTime.Add(time.Minute))
	if s := a.Step("write"); s.State != makegood.PlaceRunning || !s.StartedAt.Equal(healTime) {
		t.Errorf("entered twice: %+v, want running since the first time", s)
	}
	a.Leave("write", makegood.PlaceFailed, "it did not go", healTime.Add(2*time.Minute))
	if s := a.Step("write"); s.State != makegood.PlaceFailed || s.Note != "it did not go" || !s.EndedAt.Equal(healTime.Add(2*time.Minute)) {
		t.Errorf("left: %+v", s)
	}
	a.Enter("write", healTime.Add(3*time.Minute))
	if s := a.Step("write"); !s.StartedAt.Equal(healTime.Add(3*time.Minute)) || !s.EndedAt.IsZero() {
		t.Errorf("entered after its end: %+v, want it to begin anew", s)
	}
	a.Leave("verify", makegood.PlaceSkipped, "", healTime)
	if s := a.Step("verify"); !s.StartedAt.Equal(healTime) {
		t.Errorf("left without having been entered: %+v, want it to have begun then", s)
	}
	if a.Step("nothing") != nil {
		t.Error("there is a step that is not there")
	}
}

// The first end is what happened.
func TestEnd(t *testing.T) {
	t.Parallel()
	a := someSteps()
	a.Leave("recheck", makegood.PlaceDone, "", healTime)
	a.Enter("write", healTime)
	a.End(makegood.AttemptStopped, makegood.HealPaused, "The brake.", healTime)
	a.End(makegood.AttemptHealed, "", "", healTime.Add(time.Hour))
	if a.State != makegood.AttemptStopped || a.Reason != makegood.HealPaused || a.Detail != "The brake." || !a.EndedAt.Equal(healTime) || !a.LeaseUntil.IsZero() {
		t.Errorf("ended as %s, %s, %q at %v, lease %v", a.State, a.Reason, a.Detail, a.EndedAt, a.LeaseUntil)
	}
	for name, want := range map[string]makegood.StepPlace{"recheck": makegood.PlaceDone, "write": makegood.PlaceSkipped, "rollback": makegood.PlaceSkipped} {
		if got := a.Step(name).State; got != want {
			t.Errorf("step %s is %s, want %s", name, got, want)
		}
	}
}

func TestActed(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]bool{"recheck": false, "write": true, "verify": false, "rollback": true} {
		a := someSteps()
		if a.Acted() {
			t.Error("acted before anything was entered")
		}
		a.Enter(name, healTime)
		a.End(makegood.AttemptStopped, makegood.HealInterrupted, "", healTime)
		if got := a.Acted(); got != want {
			t.Errorf("Acted after %s = %t, want %t", name, got, want)
		}
	}
}
