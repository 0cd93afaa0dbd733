package heal

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
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

	amending chan struct{} // holds one: one change at a time, so that what we have is what was written last

	mu        sync.Mutex
	a         makegood.HealAttempt
	heldUntil time.Time // by the machine's own time
}

// newRun takes an attempt in our hands; asked is when the ledger was asked for it.
func newRun(h *Healer, t Target, who asking, a makegood.HealAttempt, asked time.Time) *run {
	return &run{h: h, t: t, who: who, amending: make(chan struct{}, 1), a: a, heldUntil: asked.Add(lease)}
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
	// errOthers is that what runs now is somebody else's.
	errOthers = errors.New("somebody else has deployed since")
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
	r := newRun(h, t, who, a, asked)
	r.settings, r.survey, r.progress = p.settings, p.survey, progress
	if time.Since(p.asked) > lease && r.askGuardsAgain(ctx) != nil { // we were stopped in between: what was good then says nothing now
		return r.attempt(), nil
	}
	return r.all(ctx), nil
}

// resume takes over attempts whose holder has died, and goes on with them or stops them safely.
func (h *Healer) resume(ctx context.Context) {
	standing, err := h.standing(ctx)
	if err != nil {
		h.complain(ctx, "the ledger of attempts cannot be read", err)
		return
	}
	for _, a := range standing.Running {
		if h.Now().Before(a.LeaseUntil) {
			continue
		}
		if ctx.Err() != nil {
			return // taking it over now would only keep others from it
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
	r := newRun(h, t, h.askedBy(ctx, a), a, asked)
	if err != nil {
		r.t.Name = a.Target
		r.end(ctx, ending{makegood.AttemptStopped, makegood.HealInterrupted, "It was interrupted, and the configuration has no such target any more."})
		return
	}
	if age := h.Now().Sub(a.StartedAt); age < 0 || age > resumeWithin {
		r.end(ctx, ending{makegood.AttemptStopped, makegood.HealInterrupted, fmt.Sprintf("It was interrupted, and it began more than %v ago: the world may be another one.", resumeWithin)})
		return
	}
	if err := json.Unmarshal([]byte(a.Before), &r.survey); err != nil {
		r.end(ctx, ending{makegood.AttemptStopped, makegood.HealInterrupted, "How the place stood before cannot be read any more."})
		return
	}
	h.Record.Line(ctx, a.IncidentID, makegood.MomentHealing, fmt.Sprintf("Attempt %s at %s, %s of %s, was interrupted and is gone on with.", a.ID, t.Name, a.Remedy, listed(a.Names)))
	if r.askGuardsAgain(ctx) == nil {
		r.all(ctx)
	}
}

// askedBy is who wanted an attempt of which nothing but its row is left. Since when it was broken stands on its incident.
func (h *Healer) askedBy(ctx context.Context, a makegood.HealAttempt) asking {
	who := asking{actor: a.Actor, byHand: a.Actor != healActor, trouble: Trouble{IncidentID: a.IncidentID, Key: a.IncidentKey}}
	troubles, err := h.Outside.Troubles(ctx)
	if err != nil {
		h.complain(ctx, "troubles cannot be read", err)
	}
	for _, x := range troubles {
		if x.Key == a.IncidentKey && x.IncidentID == a.IncidentID {
			who.trouble.Since = x.Since
		}
	}
	return who
}

// askGuardsAgain has the guards asked again before anything more is changed, and the values read again that are still to be
// written: they were in a memory that is gone. Whether it is still broken is asked as long as nothing was begun that may
// already have mended it.
func (r *run) askGuardsAgain(ctx context.Context) error {
	a := r.attempt()
	write, start := a.Step(stepWrite), a.Step(stepStart)
	var again []string
	if write != nil && write.State != makegood.PlaceDone {
		again = append(again, stepPlan, stepCredential)
	}
	if start != nil && start.StartedAt.IsZero() || start == nil && write != nil && write.StartedAt.IsZero() {
		again = append(again, stepRecheck, stepCredential)
	}
	if len(again) == 0 || failing(a) != nil {
		return nil
	}
	return r.amend(ctx, func(a *makegood.HealAttempt) error {
		for _, name := range again {
			if s := a.Step(name); s != nil {
				s.State = makegood.PlacePending
			}
		}
		return nil
	})
}

// failing is how an attempt is going to end because a step of it has failed; nil when none has. Step and reason are written
// down together, so whoever finds such an attempt ends it, and tries nothing a second time.
func failing(a makegood.HealAttempt) *ending {
	for _, s := range a.Steps {
		if s.State != makegood.PlaceFailed || s.Phase == makegood.PhaseRollback {
			continue
		}
		if s.Phase == makegood.PhasePrecheck || s.Phase == makegood.PhasePlan {
			return &ending{makegood.AttemptStopped, a.Reason, a.Detail}
		}
		return &ending{makegood.AttemptFailed, a.Reason, a.Detail}
	}
	return nil
}

// all makes the steps that are not made yet, in their order, and returns the attempt as it stands at the end. When ctx ends, or
// the attempt is in other hands, or nothing can be written down, it is left as it is: whoever comes next finds every step
// made, failed, or running and to be looked for.
func (r *run) all(ctx context.Context) makegood.HealAttempt {
	defer r.h.hold(r.t.Name)()
	err := r.keep(ctx, r.steps)
	a := r.attempt()
	isVerified := a.Step(stepVerify) != nil && a.Step(stepVerify).State == makegood.PlaceDone
	switch end := failing(a); {
	case errors.Is(err, errPaused) && isVerified: // whoever waited is left to those who put the brake on
		r.end(ctx, ending{state: makegood.AttemptHealed})
	case errors.Is(err, errPaused):
		r.end(ctx, ending{makegood.AttemptStopped, makegood.HealPaused, "The brake was put on; what was begun was left as it is."})
	case err != nil:
	case end != nil:
		r.takeBack(ctx, *end)
	default:
		r.end(ctx, ending{state: makegood.AttemptHealed})
	}
	return r.attempt()
}

// steps makes one step after the other, until one fails. ctx ends when the attempt is not ours to go on with.
func (r *run) steps(ctx context.Context) error {
	for _, s := range r.attempt().Steps {
		if failing(r.attempt()) != nil {
			return nil
		}
		if s.State == makegood.PlaceDone || s.Name == stepRollback {
			continue
		}
		wasRunning := s.State == makegood.PlaceRunning
		if err := r.amend(ctx, func(a *makegood.HealAttempt) error { a.Enter(s.Name, r.h.Now()); return nil }); err != nil {
			return err
		}
		note, end, err := r.step(ctx, s.Name, wasRunning)
		if err != nil {
			return err
		}
		if end != nil {
			failed := s.Name
			if end.state == makegood.AttemptStopped && s.Phase == makegood.PhaseApply {
				failed = stepRecheck // asked again within the step, which has done nothing
			}
			return r.amend(ctx, func(a *makegood.HealAttempt) error {
				a.Leave(failed, makegood.PlaceFailed, end.detail, r.h.Now())
				a.Reason, a.Detail = end.reason, end.detail
				return nil
			})
		}
		if s.Name == stepVerify { // before it is written down: told twice after a crash is better than never
			r.line(ctx, makegood.MomentHealed, fmt.Sprintf("%s is well: %s.", r.t.Name, note))
		}
		if err := r.amend(ctx, func(a *makegood.HealAttempt) error { a.Leave(s.Name, makegood.PlaceDone, note, r.h.Now()); return nil }); err != nil {
			return err
		}
	}
	return nil
}

// line adds a line about the attempt to the record of its incident.
func (r *run) line(ctx context.Context, kind makegood.MomentKind, text string) {
	a := r.attempt()
	r.h.Record.Line(ctx, a.IncidentID, kind, fmt.Sprintf("Attempt %s: %s", a.ID, text))
}

// keep does something while it keeps the attempt in our hands: the lease is renewed, and the brake looked at. ctx of do ends
// with its cause when the brake is put on (errPaused), or the attempt is lost.
func (r *run) keep(ctx context.Context, do func(context.Context) error) error {
	kept, lose := context.WithCancelCause(ctx)
	var keeping sync.WaitGroup
	keeping.Go(func() {
		for pause(kept, brakeEvery) {
			if err := r.stay(kept); err != nil {
				lose(err)
			}
		}
	})
	keeping.Go(func() { // whatever keeps the ledger from answering, what is lost is let go of in time
		for r.isHeld() {
			if !pause(kept, r.left()) {
				return
			}
		}
		lose(errOvertaken)
	})
	err := do(kept)
	if err != nil && kept.Err() != nil {
		err = context.Cause(kept)
	}
	lose(nil)
	keeping.Wait()
	return err
}

// stay looks at the brake, and makes the lease longer, not more often than it has to. A brake that cannot be read stops no
// look; nothing is changed without it (see act).
func (r *run) stay(ctx context.Context) error {
	if on, err := r.braked(ctx); err == nil && on {
		return errPaused
	}
	if r.left() > lease*2/3 {
		return nil
	}
	return r.amend(ctx, nil)
}

// left is how long the attempt is ours without another word.
func (r *run) left() time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	return time.Until(r.heldUntil)
}

func (r *run) attempt() makegood.HealAttempt {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.a
}

// amend changes the attempt in the ledger, which makes our lease longer; nil changes nothing else. While the ledger does not
// answer it is asked again for as long as the lease holds, so change may be made twice.
func (r *run) amend(ctx context.Context, change func(*makegood.HealAttempt) error) error {
	select {
	case r.amending <- struct{}{}:
		defer func() { <-r.amending }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	ours := r.attempt()
	for isDoubtful := false; ; isDoubtful = true {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		asked := time.Now()
		a, err := r.h.Ledger.AmendAttempt(ctx, ours.ID, ours.Fence, lease, func(a *makegood.HealAttempt) error {
			if change == nil {
				return nil
			}
			return change(a)
		})
		switch makegood.CodeOf(err) {
		case makegood.Conflict, makegood.NotFound:
			if a, ok := r.endedByUs(ctx); isDoubtful && ok {
				r.have(a, asked, true)
				return nil
			}
			return errOvertaken
		}
		if err == nil {
			r.have(a, asked, change != nil)
			return nil
		}
		r.h.complain(ctx, "an attempt cannot be written down; nothing further is done until it can", err)
		if !r.isHeld() || !pause(ctx, pollEvery) {
			return errUnrecorded
		}
	}
}

// endedByUs looks for the end that was kept although the ledger said that it was not: whoever takes an attempt over gets a
// higher fencing number.
func (r *run) endedByUs(ctx context.Context) (makegood.HealAttempt, bool) {
	ours := r.attempt()
	standing, err := r.h.Ledger.HealStanding(ctx, r.h.Limits)
	for _, a := range standing.Lately {
		if err == nil && a.ID == ours.ID && a.Fence == ours.Fence && a.State != makegood.AttemptRunning {
			return a, true
		}
	}
	return makegood.HealAttempt{}, false
}

func (r *run) have(a makegood.HealAttempt, asked time.Time, isNew bool) {
	r.mu.Lock()
	r.a, r.heldUntil = a, asked.Add(lease)
	r.mu.Unlock()
	if isNew && r.progress != nil {
		r.progress(a)
	}
	if isNew && r.h.Changed != nil {
		r.h.Changed(a)
	}
}

// isHeld reports whether nobody can have taken the attempt over yet, by the machine's own time: a process that was stopped for
// minutes and goes on finds that it holds nothing any more. Some machines do not count the time that they sleep, so the clock
// on the wall is asked too.
func (r *run) isHeld() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	return now.Before(r.heldUntil) && now.Round(0).Before(r.heldUntil.Round(0))
}

// act makes one change at the place: only while we hold the attempt, and the brake was seen off a moment ago. Between this look
// and the change there is nothing that waits. A process that is stopped exactly there and goes on after minutes is the one that
// no number keeps back, for the places know none; a start is then recognised by its attempt, and a write writes what is right.
func (r *run) act(ctx context.Context, do func(context.Context) error) error {
	if err := r.mayAct(ctx); err != nil {
		return err
	}
	limited, cancel := context.WithTimeout(ctx, actTimeout)
	defer cancel()
	err := do(limited)
	if ctx.Err() != nil {
		return context.Cause(ctx) // whatever came of it, the next holder looks for it
	}
	if !r.isHeld() {
		return errOvertaken
	}
	return err
}

func (r *run) mayAct(ctx context.Context) error {
	for range changeTries {
		looked := time.Now()
		on, err := r.braked(ctx)
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err != nil:
			return errUnrecorded
		case on:
			return errPaused
		case !r.isHeld():
			return errOvertaken
		case r.left() < lease/3: // what is sent now may take effect in seconds only
			if err := r.amend(ctx, nil); err != nil {
				return err
			}
		case time.Since(looked) < brakeEvery:
			return nil
		}
	}
	return errUnrecorded // the ledger is too slow to be obeyed
}

// change makes a change that may be repeated without harm, and again when the place did not take it. before is asked each time.
func (r *run) change(ctx context.Context, before, do func(context.Context) error) (err error) {
	for try := range changeTries {
		if try > 0 && !pause(ctx, pollEvery<<try) {
			return context.Cause(ctx)
		}
		if err = before(ctx); err == nil {
			err = r.act(ctx, do)
		}
		if err == nil || isOut(ctx, err) || errors.Is(err, errOthers) {
			return err
		}
		if f := host.FaultOf(err); f != "" && f != host.PlatformDown && f != host.Limited {
			return err
		}
	}
	return err
}

// isOut reports whether an error means that the attempt is left as it is, or ended elsewhere.
func isOut(ctx context.Context, err error) bool {
	return ctx.Err() != nil || errors.Is(err, errOvertaken) || errors.Is(err, errUnrecorded) || errors.Is(err, errPaused)
}

func (r *run) braked(ctx context.Context) (bool, error) {
	b, err := r.h.Ledger.HealBrake(ctx)
	return b.Holds(r.h.Now()), err
}

// takeBack ends an attempt that did not help. What was started is taken back, when the place can; where nothing was started there
// is nothing to take back, and reverting could undo what somebody else did. A crash in it leaves the step of the rollback
// running, and the next holder reverts again, which changes nothing more.
func (r *run) takeBack(ctx context.Context, e ending) {
	a := r.attempt()
	reverter, can := r.t.Place.(host.Reverter)
	back := a.Step(stepRollback)
	if !can || back == nil || a.Run == "" {
		r.end(ctx, e)
		return
	}
	if back.State == makegood.PlacePending || back.State == makegood.PlaceRunning {
		if !r.revert(ctx, reverter) {
			return
		}
		a = r.attempt()
		back = a.Step(stepRollback)
	}
	if back.State == makegood.PlaceDone {
		e.state = makegood.AttemptReverted
		if r.backTo(ctx).Live == r.survey.Live { // it was ill before, and is again
			r.end(ctx, e)
			return
		}
		if r.keep(ctx, func(ctx context.Context) error { return r.afterBack(ctx, &e) }) != nil && ctx.Err() != nil {
			return
		}
	} else {
		e.detail += " Besides, " + back.Note + "."
	}
	r.end(ctx, e)
}

// backTo is what a rollback goes back to: the version that was last seen well, where the place keeps it, because what ran right
// before the attempt was ill; else what ran right before.
func (r *run) backTo(ctx context.Context) host.Survey {
	before := r.survey
	if well := r.h.lastWell(ctx, r.t); before.Keeps && well != "" {
		before.Live = well
	}
	return before
}

// afterBack looks whether it is well with what runs again, and if so, serves those who waited: the version that was last seen
// well has the variables that it was started with.
func (r *run) afterBack(ctx context.Context, e *ending) error {
	note, end, err := r.verify(ctx)
	switch {
	case err != nil:
		return err
	case end != nil:
		e.detail += " What ran before runs again, and it is not well either."
		return nil
	}
	e.detail += " What was last seen well runs again, and it is well: " + note + "."
	r.line(ctx, makegood.MomentHealed, fmt.Sprintf("%s went back to what was last seen well, and is well: %s.", r.t.Name, note))
	if r.t.Serve == nil {
		return nil
	}
	_, _, err = r.serve(ctx)
	return err
}

// revert makes the step of the rollback, and reports whether it is made, well or not.
func (r *run) revert(ctx context.Context, reverter host.Reverter) bool {
	if r.amend(ctx, func(a *makegood.HealAttempt) error { a.Enter(stepRollback, r.h.Now()); return nil }) != nil {
		return false
	}
	before := r.backTo(ctx)
	err := r.keep(ctx, func(ctx context.Context) error {
		return r.change(ctx, r.isOurs, func(ctx context.Context) error { return reverter.Revert(ctx, before) })
	})
	how, note := makegood.PlaceDone, "what ran before runs again"
	if before.Live != r.survey.Live {
		note = "what was last seen well runs again: " + before.Live
	}
	switch {
	case errors.Is(err, errOthers):
		how, note = makegood.PlaceFailed, "somebody else has deployed since, so nothing was taken back"
	case errors.Is(err, errPaused):
		how, note = makegood.PlaceFailed, "the brake is on, so nothing was taken back"
	case err != nil && isOut(ctx, err):
		return false
	case err != nil:
		how, note = makegood.PlaceFailed, "what ran before could not be made to run again: "+strings.TrimSuffix(sentenceOf(err), ".")
	}
	return r.amend(ctx, func(a *makegood.HealAttempt) error { a.Leave(stepRollback, how, note, r.h.Now()); return nil }) == nil
}

// isOurs is errOthers when somebody else has deployed since our run began: that is not ours to undo.
func (r *run) isOurs(ctx context.Context) error {
	asked, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	now, err := r.t.Place.Survey(asked)
	if err == nil && (now.Busy != "" || now.Newest != r.attempt().Run && now.Newest != r.survey.Newest) {
		return errOthers
	}
	return err
}

// end tells how it ended, and writes it down, in this order: after a crash in between it is told again, and never not at all.
func (r *run) end(ctx context.Context, e ending) {
	if r.amend(ctx, nil) != nil { // only whoever has it tells its end
		return
	}
	a := r.attempt()
	a.Steps = slices.Clone(a.Steps)
	a.End(e.state, e.reason, e.detail, r.h.Now())
	switch a.State {
	case makegood.AttemptHealed:
		r.h.clear(ctx, HealFailed, a.Target, "it is healed")
		r.h.raise(ctx, Healed, a.Target, r.story(a), false)
	case makegood.AttemptFailed, makegood.AttemptReverted:
		r.line(ctx, makegood.MomentNotHealed, fmt.Sprintf("it did not help (%s): %s", a.Reason, a.Detail))
		r.h.raise(ctx, HealFailed, a.Target, fmt.Sprintf("Attempt %s did not help (%s): %s", a.ID, a.Reason, a.Detail), isFelt(r.who.trouble))
	default:
		r.line(ctx, makegood.MomentNotHealed, fmt.Sprintf("it was stopped (%s): %s", a.Reason, a.Detail))
	}
	if r.amend(ctx, func(a *makegood.HealAttempt) error { a.End(e.state, e.reason, e.detail, r.h.Now()); return nil }) == nil {
		r.h.Log.Warn("attempt at healing ended", "attempt", a.ID, "target", a.Target, "state", string(a.State), "reason", string(a.Reason))
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
