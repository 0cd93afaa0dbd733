package heal

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/host"
)

// run is an attempt in our hands.
type run struct {
	h        *Healer
	t        Target
	who      asking
	settings []host.Setting
	survey   host.Survey
	progress func(makegood.HealAttempt)

	mu        sync.Mutex
	a         makegood.HealAttempt
	heldUntil time.Time // by the machine's own time
}

// ending is how an attempt ends otherwise than healed.
type ending struct {
	state  makegood.AttemptState
	reason makegood.HealReason
	detail string
}

var (
	// errOvertaken is that the attempt is in other hands.
	errOvertaken = errors.New("somebody else has taken the attempt over")
	// errUnrecorded is that the ledger cannot be written: nothing is done that is not written down first.
	errUnrecorded = errors.New("the ledger cannot be written")
	// errPaused is that the brake was put on.
	errPaused = errors.New("the brake is on")
)

// begin writes an attempt down and makes it. The attempt that is returned has ended, unless ctx ended first. A refusal of the
// ledger is *makegood.HealRefusal.
func (h *Healer) begin(ctx context.Context, t Target, who asking, p plan, progress func(makegood.HealAttempt)) (makegood.HealAttempt, error) {
	before, err := json.Marshal(p.survey)
	if err != nil {
		return makegood.HealAttempt{}, err
	}
	steps := p.remedy.copied(t, p.names, p.survey.Good)
	for k := range steps {
		for _, made := range p.steps {
			if made.Name == steps[k].Name {
				steps[k] = made
			}
		}
	}
	a := makegood.HealAttempt{ID: h.NewID(makegood.AttemptPrefix), Target: t.Name, Remedy: p.remedy.Name, Fault: p.fault, IncidentID: who.trouble.IncidentID,
		IncidentKey: who.trouble.Key, Actor: who.actor, Names: p.names, Steps: steps, Before: string(before), Holder: h.Holder}
	asked := time.Now()
	if a, err = h.Ledger.BeginAttempt(ctx, a, h.Limits, lease); err != nil {
		return a, err
	}
	h.clear(ctx, HealRefused, t.Name, "it is being mended")
	h.Record.Line(ctx, a.IncidentID, makegood.MomentHealing, fmt.Sprintf("Attempt %s at %s, because of %s: %s.", a.ID, t.Name, a.Fault, summary(p)))
	r := &run{h: h, t: t, who: who, settings: p.settings, survey: p.survey, progress: progress, a: a, heldUntil: asked.Add(lease)}
	return r.all(ctx), nil
}

// resume takes over attempts whose holder has died, and goes on with them or stops them safely.
func (h *Healer) resume(ctx context.Context) {
	standing, err := h.Ledger.HealStanding(ctx, h.Limits)
	if err != nil {
		h.complain(ctx, "the ledger of attempts cannot be read", err)
		return
	}
	for _, a := range standing.Running {
		if h.Now().Before(a.LeaseUntil) {
			continue
		}
		asked := time.Now()
		taken, err := h.Ledger.TakeAttempt(ctx, a.ID, h.Holder, lease)
		if makegood.CodeOf(err) == makegood.Conflict {
			continue // somebody else was quicker, or it has ended
		}
		if err != nil {
			h.complain(ctx, "an attempt that somebody died over cannot be taken over", err)
			continue
		}
		h.Log.Warn("an attempt that was interrupted is gone on with", "attempt", taken.ID, "target", taken.Target)
		h.goOn(ctx, taken, asked)
	}
}

func (h *Healer) goOn(ctx context.Context, a makegood.HealAttempt, asked time.Time) {
	t, err := h.Target(a.Target)
	r := &run{h: h, t: t, a: a, heldUntil: asked.Add(lease),
		who: asking{actor: a.Actor, trouble: Trouble{IncidentID: a.IncidentID, Key: a.IncidentKey, Since: a.StartedAt}, byHand: a.IncidentKey == ""}}
	if err != nil {
		r.t.Name = a.Target
		r.end(ctx, ending{makegood.AttemptStopped, makegood.HealInterrupted, "It was interrupted, and the configuration has no such target any more."})
		return
	}
	if age := h.Now().Sub(a.StartedAt); age < 0 || age > resumeWithin {
		r.end(ctx, ending{makegood.AttemptStopped, makegood.HealInterrupted, fmt.Sprintf("It was interrupted, and that is more than %v ago: the world may be another one.", resumeWithin)})
		return
	}
	if err := json.Unmarshal([]byte(a.Before), &r.survey); err != nil {
		r.end(ctx, ending{makegood.AttemptStopped, makegood.HealInterrupted, "How the place stood before cannot be read any more."})
		return
	}
	// What was not written yet is planned anew, with the values read again and the guards asked again.
	if w := a.Step(stepWrite); w != nil && w.State != makegood.PlaceDone {
		if r.amend(ctx, func(a *makegood.HealAttempt) error {
			for _, name := range []string{stepRecheck, stepCredential, stepPlan} {
				if s := a.Step(name); s != nil {
					s.State = makegood.PlacePending
				}
			}
			return nil
		}) != nil {
			return
		}
	}
	r.all(ctx)
}

// all makes the steps that are not made yet, in their order, and returns the attempt as it stands at the end. When ctx ends, or
// the attempt is in other hands, or nothing can be written down, it is left as it is: whoever comes next finds every step
// either made, or running and to be looked for.
func (r *run) all(ctx context.Context) makegood.HealAttempt {
	r.h.hold(r.t.When)
	defer r.h.hold(nil)
	for _, s := range r.attempt().Steps {
		if s.State == makegood.PlaceDone || s.Name == stepRollback {
			continue
		}
		wasRunning := s.State == makegood.PlaceRunning
		if err := r.amend(ctx, func(a *makegood.HealAttempt) error { a.Enter(s.Name, r.h.Now()); return nil }); err != nil {
			return r.attempt()
		}
		note, end, err := r.step(ctx, s.Name, wasRunning)
		switch {
		case errors.Is(err, errPaused):
			r.end(ctx, ending{makegood.AttemptStopped, makegood.HealPaused, "The brake was put on; what was begun was left as it is."})
			return r.attempt()
		case err != nil:
			return r.attempt()
		case end != nil:
			r.fail(ctx, s.Name, *end)
			return r.attempt()
		}
		if err := r.amend(ctx, func(a *makegood.HealAttempt) error { a.Leave(s.Name, makegood.PlaceDone, note, r.h.Now()); return nil }); err != nil {
			return r.attempt()
		}
		if s.Name == stepVerify {
			r.h.Record.Line(ctx, r.attempt().IncidentID, makegood.MomentHealed, fmt.Sprintf("Attempt %s: %s is well, seen from outside. %s", r.attempt().ID, r.t.Name, note))
		}
	}
	r.end(ctx, ending{state: makegood.AttemptHealed})
	return r.attempt()
}

func (r *run) attempt() makegood.HealAttempt {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.a
}

// amend changes the attempt in the ledger, which makes our lease longer. While the ledger does not answer it is asked again for
// as long as the lease holds.
func (r *run) amend(ctx context.Context, change func(*makegood.HealAttempt) error) error {
	ours := r.attempt()
	for {
		asked := time.Now()
		a, err := r.h.Ledger.AmendAttempt(ctx, ours.ID, ours.Fence, lease, change)
		switch makegood.CodeOf(err) {
		case makegood.Conflict, makegood.NotFound:
			return errOvertaken
		}
		if err == nil {
			r.mu.Lock()
			r.a, r.heldUntil = a, asked.Add(lease)
			r.mu.Unlock()
			r.tell(a)
			return nil
		}
		r.h.complain(ctx, "an attempt cannot be written down; nothing further is done until it can", err)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if !r.isHeld() || !pause(ctx, pollEvery) {
			return errUnrecorded
		}
	}
}

func (r *run) tell(a makegood.HealAttempt) {
	if r.progress != nil {
		r.progress(a)
	}
	if r.h.Changed != nil {
		r.h.Changed(a)
	}
}

// isHeld reports whether nobody can have taken the attempt over yet, by the machine's own time: a process that was stopped for
// minutes and goes on finds that it holds nothing any more.
func (r *run) isHeld() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return time.Now().Before(r.heldUntil)
}

// act makes one change at the place: only while we hold the attempt and the brake is off. The lease is renewed meanwhile; when
// it is lost, the change is called off.
func (r *run) act(ctx context.Context, do func(context.Context) error) error {
	on, err := r.braked(ctx)
	if err != nil {
		return errUnrecorded
	}
	if on {
		return errPaused
	}
	limited, cancel := context.WithTimeout(ctx, actTimeout)
	defer cancel()
	ended := make(chan struct{})
	var renewing sync.WaitGroup
	renewing.Go(func() {
		for {
			select {
			case <-ended:
				return
			case <-limited.Done():
				return
			case <-time.After(lease / 3):
			}
			if r.amend(limited, func(*makegood.HealAttempt) error { return nil }) != nil {
				cancel()
				return
			}
		}
	})
	defer renewing.Wait()
	defer close(ended)
	if !r.isHeld() {
		return errOvertaken
	}
	err = do(limited)
	if ctx.Err() != nil {
		return ctx.Err() // whatever came of it, the next start looks for it
	}
	if !r.isHeld() {
		return errOvertaken
	}
	return err
}

func (r *run) braked(ctx context.Context) (bool, error) {
	b, err := r.h.Ledger.HealBrake(ctx)
	return b.Holds(r.h.Now()), err
}

// fail ends an attempt that did not help. What was started is taken back, when the place can.
func (r *run) fail(ctx context.Context, step string, e ending) {
	if r.amend(ctx, func(a *makegood.HealAttempt) error {
		a.Leave(step, makegood.PlaceFailed, e.detail, r.h.Now())
		return nil
	}) != nil {
		return
	}
	a := r.attempt()
	reverter, can := r.t.Place.(host.Reverter)
	if start := a.Step(stepStart); can && a.Step(stepRollback) != nil && start != nil && !start.StartedAt.IsZero() {
		if r.amend(ctx, func(a *makegood.HealAttempt) error { a.Enter(stepRollback, r.h.Now()); return nil }) != nil {
			return
		}
		err := r.act(ctx, func(ctx context.Context) error { return reverter.Revert(ctx, r.survey) })
		how, note := makegood.PlaceDone, "what ran before runs again"
		switch {
		case err == nil:
			e.state = makegood.AttemptReverted
		case ctx.Err() != nil || errors.Is(err, errOvertaken) || errors.Is(err, errUnrecorded):
			return
		default:
			how, note = makegood.PlaceFailed, "what ran before could not be made to run again: "+sentenceOf(err)
			if errors.Is(err, errPaused) {
				note = "the brake is on, so nothing was taken back"
			}
			e.detail += " Besides, " + note + "."
		}
		if r.amend(ctx, func(a *makegood.HealAttempt) error { a.Leave(stepRollback, how, note, r.h.Now()); return nil }) != nil {
			return
		}
	}
	r.end(ctx, e)
}

// end writes down how it ended, and tells.
func (r *run) end(ctx context.Context, e ending) {
	if err := r.amend(ctx, func(a *makegood.HealAttempt) error { a.End(e.state, e.reason, e.detail, r.h.Now()); return nil }); err != nil {
		return
	}
	a := r.attempt()
	r.h.Log.Warn("attempt at healing ended", "attempt", a.ID, "target", a.Target, "state", string(a.State), "reason", string(a.Reason))
	switch a.State {
	case makegood.AttemptHealed:
		r.h.clear(ctx, HealFailed, a.Target, "it is healed")
		r.h.raise(ctx, Healed, a.Target, r.story(a))
	case makegood.AttemptFailed, makegood.AttemptReverted:
		r.h.Record.Line(ctx, a.IncidentID, makegood.MomentNotHealed, fmt.Sprintf("Attempt %s did not help (%s): %s", a.ID, a.Reason, a.Detail))
		r.h.raise(ctx, HealFailed, a.Target, fmt.Sprintf("Attempt %s did not help (%s): %s", a.ID, a.Reason, a.Detail))
	default:
		r.h.Record.Line(ctx, a.IncidentID, makegood.MomentNotHealed, fmt.Sprintf("Attempt %s was stopped (%s): %s", a.ID, a.Reason, a.Detail))
	}
}

// story says what was mended and what probably broke it: a heal that hides its cause is needed again.
func (r *run) story(a makegood.HealAttempt) string {
	text := fmt.Sprintf("Attempt %s mended it by %s", a.ID, a.Remedy)
	if len(a.Names) > 0 {
		text += ", writing " + listed(a.Names)
	}
	text += "."
	if r.survey.Cause != "" {
		text += " Likely cause: " + strings.TrimSuffix(r.survey.Cause, ".") + "."
	}
	return text + " Find out what took them away, or it will happen again."
}
