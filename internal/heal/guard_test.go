package heal

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/host"
	"github.com/makegood/makegood/internal/secret"
	"github.com/makegood/makegood/internal/vault"
)

// The last guards stand behind others, and no world that is played from outside comes to them. Each is shown alone.

// slowLedger answers as it is told.
type slowLedger struct {
	Ledger
	brake  makegood.Brake
	takes  time.Duration
	fails  error
	amends int
}

func (l *slowLedger) HealBrake(context.Context) (makegood.Brake, error) {
	time.Sleep(l.takes)
	return l.brake, l.fails
}

func (l *slowLedger) AmendAttempt(_ context.Context, _ string, _ int64, _ time.Duration, change func(*makegood.HealAttempt) error) (makegood.HealAttempt, error) {
	l.amends++
	var a makegood.HealAttempt
	return a, change(&a)
}

// No change is made without a lease that holds, and a look at the brake that is fresh.
func TestMayAct(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		ledger slowLedger
		left   time.Duration
		want   error
		amends int
	}{
		{"all is well", slowLedger{}, lease, nil, 0},
		{"the brake is on", slowLedger{brake: makegood.Brake{On: true}}, lease, errPaused, 0},
		{"the brake cannot be read", slowLedger{fails: errors.New("locked")}, lease, errUnrecorded, 0},
		{"the lease has ended", slowLedger{}, 0, errOvertaken, 0},
		{"the lease ends while we look", slowLedger{takes: 16 * time.Second}, lease, errOvertaken, 0},
		{"the look is old when it comes", slowLedger{takes: 2 * time.Second}, lease, errUnrecorded, 0},
		{"the lease ends soon, and is renewed", slowLedger{}, lease/3 - 1, nil, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				r := newRun(New(Options{Ledger: &tt.ledger}), Target{}, asking{}, makegood.HealAttempt{}, time.Now().Add(tt.left-lease))
				if err := r.mayAct(t.Context()); !errors.Is(err, tt.want) || tt.ledger.amends != tt.amends {
					t.Errorf("mayAct = %v after %d renewals, want %v after %d", err, tt.ledger.amends, tt.want, tt.amends)
				}
			})
		})
	}
}

// What took longer than the lease is not said to be done: somebody else may have it by now.
func TestActAfterTheLease(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRun(New(Options{Ledger: &slowLedger{}}), Target{}, asking{}, makegood.HealAttempt{}, time.Now())
		if err := r.act(t.Context(), func(context.Context) error { time.Sleep(lease); return nil }); !errors.Is(err, errOvertaken) {
			t.Errorf("act = %v, want overtaken", err)
		}
	})
}

// lostLedger says that the attempt is in other hands.
type lostLedger struct {
	Ledger
	t *testing.T
}

func (l lostLedger) AmendAttempt(context.Context, string, int64, time.Duration, func(*makegood.HealAttempt) error) (makegood.HealAttempt, error) {
	return makegood.HealAttempt{}, makegood.Errorf(makegood.Conflict, "It is not ours any more.")
}

func (l lostLedger) HealStanding(context.Context, makegood.HealLimits) (makegood.HealStanding, error) {
	return makegood.HealStanding{Running: []makegood.HealAttempt{{ID: "att1"}}}, nil
}

func (l lostLedger) TakeAttempt(context.Context, string, string, time.Duration) (makegood.HealAttempt, error) {
	l.t.Error("it was taken over")
	return makegood.HealAttempt{}, makegood.Errorf(makegood.Conflict, "It is not ours any more.")
}

// Whoever has lost an attempt does not tell how it ended: the record would panic.
func TestEndIsNotToldByOthers(t *testing.T) {
	t.Parallel()
	r := newRun(New(Options{Ledger: lostLedger{t: t}}), Target{}, asking{}, makegood.HealAttempt{}, time.Now())
	r.end(t.Context(), ending{state: makegood.AttemptHealed})
}

// doubtfulLedger fails once, and then somebody else has ended the attempt.
type doubtfulLedger struct {
	Ledger
	asked int
}

func (l *doubtfulLedger) AmendAttempt(context.Context, string, int64, time.Duration, func(*makegood.HealAttempt) error) (makegood.HealAttempt, error) {
	if l.asked++; l.asked == 1 {
		return makegood.HealAttempt{}, errors.New("locked")
	}
	return makegood.HealAttempt{}, makegood.Errorf(makegood.Conflict, "It is not ours any more.")
}

func (l *doubtfulLedger) HealStanding(context.Context, makegood.HealLimits) (makegood.HealStanding, error) {
	return makegood.HealStanding{Lately: []makegood.HealAttempt{{ID: "att1", Fence: 8, State: makegood.AttemptHealed}}}, nil
}

// The end that somebody else wrote down is not taken for ours.
func TestAmendInDoubt(t *testing.T) {
	t.Parallel()
	for fence, want := range map[int64]error{7: errOvertaken, 8: nil} {
		synctest.Test(t, func(t *testing.T) {
			r := newRun(New(Options{Ledger: &doubtfulLedger{}}), Target{}, asking{}, makegood.HealAttempt{ID: "att1", Fence: fence}, time.Now())
			if err := r.amend(t.Context(), nil); !errors.Is(err, want) {
				t.Errorf("amend with fence %d = %v, want %v", fence, err, want)
			}
		})
	}
}

// At a shutdown nothing is taken over any more.
func TestResumeAtShutdown(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	New(Options{Ledger: lostLedger{t: t}}).resume(ctx)
}

// onceStarted is a place where nothing may be started.
type onceStarted struct {
	host.Starter
	noPlace
}

// A run whose name was written down is not looked for, and not begun again.
func TestStartKnowsItsRun(t *testing.T) {
	t.Parallel()
	r := newRun(New(Options{Ledger: &slowLedger{}}), Target{Place: onceStarted{}}, asking{}, makegood.HealAttempt{Run: "v7"}, time.Now())
	if note, end, err := r.start(t.Context(), true); !strings.HasPrefix(note, "v7") || end != nil || err != nil {
		t.Errorf("start = %q, %v, %v", note, end, err)
	}
}

// stuckLedger does not answer to a renewal.
type stuckLedger struct{ slowLedger }

func (l *stuckLedger) AmendAttempt(ctx context.Context, _ string, _ int64, _ time.Duration, _ func(*makegood.HealAttempt) error) (makegood.HealAttempt, error) {
	time.Sleep(time.Hour)
	return makegood.HealAttempt{}, errors.New("too late")
}

// What is lost is let go of in time, although the ledger hangs and says nothing.
func TestKeepLetsGo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRun(New(Options{Ledger: &stuckLedger{}}), Target{}, asking{}, makegood.HealAttempt{}, time.Now())
		begun := time.Now()
		var held time.Duration
		err := r.keep(t.Context(), func(ctx context.Context) error {
			<-ctx.Done()
			held = time.Since(begun)
			return ctx.Err()
		})
		if !errors.Is(err, errOvertaken) || held != lease {
			t.Errorf("keep = %v after %v, want overtaken after %v", err, held, lease)
		}
	})
}

// A change that hangs is called off.
func TestActIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRun(New(Options{Ledger: &slowLedger{}}), Target{}, asking{}, makegood.HealAttempt{}, time.Now().Add(time.Hour))
		begun := time.Now()
		err := r.act(t.Context(), func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() })
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(begun) != actTimeout {
			t.Errorf("act = %v after %v, want it called off after %v", err, time.Since(begun), actTimeout)
		}
	})
}

// noPlace is a place that nothing may be written to.
type noPlace struct {
	host.Target
	t *testing.T
}

func (p noPlace) Write(context.Context, []host.Setting) error { p.t.Error("written"); return nil }

// Nothing without a name or a value is written, and no empty set, whoever made the plan.
func TestWriteRefuses(t *testing.T) {
	t.Parallel()
	good := secret.New("sk_live_Zq7Tn3Vb9Kx2Lm5Pw8Rd4Fg6")
	for name, settings := range map[string][]host.Setting{
		"nothing":         nil,
		"an empty value":  {{Name: "A", Value: good}, {Name: "B"}},
		"without a name":  {{Value: good}},
		"a value of null": {{Name: "A", Value: secret.Value{}}},
	} {
		r := newRun(New(Options{Ledger: &slowLedger{}}), Target{Place: noPlace{t: t}}, asking{}, makegood.HealAttempt{}, time.Now())
		r.settings = settings
		if _, end, err := r.write(t.Context()); end == nil || end.reason != makegood.HealNothingToWrite || err != nil {
			t.Errorf("write of %s = %v, %v, want an ending", name, end, err)
		}
	}
	var h Healer
	wrong := plan{names: []string{"A"}, remedy: Remedy{steps: []string{stepWrite}}}
	if no := h.settings(Target{}, vault.Truth{}, &wrong); no == nil || no.Reason != "truth_incomplete" {
		t.Errorf("settings of a name without a value = %v", no)
	}
	wrong.names = nil
	if no := h.settings(Target{}, vault.Truth{}, &wrong); no == nil || no.Reason != makegood.HealNothingToWrite {
		t.Errorf("settings of no names = %v", no)
	}
}

// A place that cannot start ends the attempt; it does not panic.
func TestStartWithoutAStarter(t *testing.T) {
	t.Parallel()
	r := newRun(New(Options{Ledger: &slowLedger{}}), Target{Place: noPlace{t: t}}, asking{}, makegood.HealAttempt{}, time.Now())
	if _, end, err := r.start(t.Context(), false); end == nil || end.reason != makegood.HealStartFailed || err != nil {
		t.Errorf("start = %v, %v, want an ending", end, err)
	}
}

// The clock on the wall counts too: some machines do not count the time that they sleep.
func TestIsHeldByTheWall(t *testing.T) {
	t.Parallel()
	r := newRun(New(Options{}), Target{}, asking{}, makegood.HealAttempt{}, time.Now())
	if !r.isHeld() {
		t.Error("a lease that has just begun does not hold")
	}
	r.heldUntil = time.Now().Round(0).Add(-time.Second)
	if r.isHeld() {
		t.Error("a lease that has ended on the wall holds")
	}
}

// A step that has failed decides how the attempt ends, whoever finds it.
func TestFailing(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		phase makegood.HealPhase
		state makegood.StepPlace
		want  makegood.AttemptState
	}{
		{makegood.PhasePrecheck, makegood.PlaceFailed, makegood.AttemptStopped},
		{makegood.PhasePlan, makegood.PlaceFailed, makegood.AttemptStopped},
		{makegood.PhaseApply, makegood.PlaceFailed, makegood.AttemptFailed},
		{makegood.PhaseVerify, makegood.PlaceFailed, makegood.AttemptFailed},
		{makegood.PhaseRollback, makegood.PlaceFailed, ""},
		{makegood.PhaseApply, makegood.PlaceRunning, ""},
	} {
		a := makegood.HealAttempt{Reason: makegood.HealNotVerified, Steps: []makegood.AttemptStep{{Phase: tt.phase, State: tt.state}}}
		var got makegood.AttemptState
		if e := failing(a); e != nil {
			got = e.state
		}
		if got != tt.want {
			t.Errorf("failing with %s %s = %q, want %q", tt.phase, tt.state, got, tt.want)
		}
	}
}

// What was written and not taken up by a start is known from the attempts, and from no place.
func TestWritten(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 29, 3, 0, 0, 0, time.UTC)
	attempt := func(minute int, target string, state makegood.AttemptState, wrote, starts bool, names ...string) makegood.HealAttempt {
		a := makegood.HealAttempt{Target: target, State: state, Names: names, StartedAt: at.Add(time.Duration(minute) * time.Minute)}
		write := makegood.AttemptStep{Name: stepWrite}
		if wrote {
			write.StartedAt = a.StartedAt
		}
		if a.Steps = append(a.Steps, write); starts {
			a.Steps = append(a.Steps, makegood.AttemptStep{Name: stepStart})
		}
		return a
	}
	for _, tt := range []struct {
		name   string
		lately []makegood.HealAttempt
		want   string
	}{
		{"nothing", nil, ""},
		{"stopped after the write", []makegood.HealAttempt{attempt(1, "shop", makegood.AttemptStopped, true, true, "B", "A")}, "A B"},
		{"stopped before the write", []makegood.HealAttempt{attempt(1, "shop", makegood.AttemptStopped, false, true, "A")}, ""},
		{"at another place", []makegood.HealAttempt{attempt(1, "mail", makegood.AttemptStopped, true, true, "A")}, ""},
		{"healed with a start", []makegood.HealAttempt{attempt(2, "shop", makegood.AttemptHealed, true, true, "A"), attempt(1, "shop", makegood.AttemptFailed, true, true, "B")}, ""},
		{"names only", []makegood.HealAttempt{attempt(1, "shop", makegood.AttemptHealed, true, false, "A")}, "A"},
		{"names after a start", []makegood.HealAttempt{attempt(2, "shop", makegood.AttemptHealed, true, false, "A"), attempt(1, "shop", makegood.AttemptHealed, true, true, "B")}, "A"},
		{"the same twice", []makegood.HealAttempt{attempt(2, "shop", makegood.AttemptFailed, true, true, "A"), attempt(1, "shop", makegood.AttemptFailed, true, true, "A")}, "A"},
	} {
		before := slices.Clone(tt.lately)
		if got := strings.Join(written(makegood.HealStanding{Lately: tt.lately}, Target{Name: "shop"}), " "); got != tt.want {
			t.Errorf("written after %s = %q, want %q", tt.name, got, tt.want)
		}
		if len(before) != len(tt.lately) {
			t.Errorf("written after %s changed what it was given", tt.name)
		}
	}
}
