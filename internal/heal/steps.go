package heal

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/host"
)

// step makes one step. wasRunning is that somebody died over it: what it changes may have been changed. It returns what to
// note; an ending when the attempt must not go on; an error when the attempt is to be left as it is.
func (r *run) step(ctx context.Context, name string, wasRunning bool) (note string, end *ending, err error) {
	switch name {
	case stepRecheck:
		note, no := r.h.recheck(ctx, r.t, r.who)
		return note, stopped(no), ctx.Err()
	case stepCredential:
		return "good", stopped(r.h.credential(ctx, r.t)), ctx.Err()
	case stepPlan:
		return r.planAgain(ctx)
	case stepWrite:
		return r.write(ctx)
	case stepStart:
		return r.start(ctx, wasRunning)
	case stepWait:
		return r.wait(ctx)
	case stepVerify:
		return r.verify(ctx)
	case stepServe:
		return r.serve(ctx)
	case stepTell:
		return "on the record", nil, nil
	}
	panic("unreachable: no such step: " + name)
}

// stopped is how an attempt ends when a guard that was good before the interruption is not any more.
func stopped(no *makegood.HealRefusal) *ending {
	if no == nil {
		return nil
	}
	return &ending{makegood.AttemptStopped, no.Reason, no.Sentence}
}

// planAgain reads the values again after a crash, for the names that the attempt wrote down. That some of them are there
// already changes nothing: writing the same again does not.
func (r *run) planAgain(ctx context.Context) (string, *ending, error) {
	truth, no := r.h.truth(ctx, r.t)
	if no != nil {
		return "", stopped(no), ctx.Err()
	}
	p := plan{names: r.attempt().Names, survey: r.survey}
	for _, known := range remedies() {
		if known.Name == r.attempt().Remedy {
			p.remedy = known
		}
	}
	if no := r.h.settings(r.t, truth, &p); no != nil {
		return "", stopped(no), ctx.Err()
	}
	r.settings = p.settings
	return "planned again after an interruption", nil, ctx.Err()
}

// write puts the variables. A crash anywhere in it leaves the step running; the next holder writes the same again.
func (r *run) write(ctx context.Context) (string, *ending, error) {
	writer, ok := r.t.Place.(host.Writer)
	if !ok || len(r.settings) == 0 {
		return "", &ending{makegood.AttemptFailed, makegood.HealNothingToWrite, "There is nothing to write, or nowhere."}, nil
	}
	for _, s := range r.settings { // never an empty value, whoever made the plan
		if s.Name == "" || s.Value.Empty() {
			return "", &ending{makegood.AttemptFailed, makegood.HealNothingToWrite, "A variable without a name or a value was to be written."}, nil
		}
	}
	err := r.change(ctx, func(context.Context) error { return nil }, func(ctx context.Context) error { return writer.Write(ctx, r.settings) })
	if err == nil {
		return "wrote " + listed(r.attempt().Names), nil, nil
	}
	if isOut(ctx, err) {
		return "", nil, err
	}
	return "", &ending{makegood.AttemptFailed, makegood.HealWriteFailed, "The variables could not be written: " + sentenceOf(err)}, nil
}

// start runs the last good version again: once for an attempt, whatever happens. How the place stands is written down before, so
// that a run whose name was lost, in a crash or with an answer, is recognised by being newer.
func (r *run) start(ctx context.Context, wasRunning bool) (string, *ending, error) {
	starter, ok := r.t.Place.(host.Starter)
	if !ok {
		return "", &ending{makegood.AttemptFailed, makegood.HealStartFailed, "This place cannot start anything."}, nil
	}
	if id := r.attempt().Run; id != "" {
		return id + ", found after an interruption", nil, nil
	}
	if wasRunning {
		if id, err := r.adopt(ctx, starter, adoptTries); id != "" || err != nil {
			return r.started(ctx, id, "found after an interruption", err)
		}
		if no := r.guards(ctx); no != nil { // nothing was begun, so this is a change like any other
			return "", stopped(no), ctx.Err()
		}
	}
	if end, err := r.lookBefore(ctx); end != nil || err != nil {
		return "", end, err
	}
	a := r.attempt()
	var id string
	err := r.act(ctx, func(ctx context.Context) (err error) {
		id, err = starter.Start(ctx, r.survey, a.ID)
		return err
	})
	if err == nil {
		return r.started(ctx, id, "", nil)
	}
	if isOut(ctx, err) {
		return "", nil, err
	}
	if errors.Is(err, host.ErrDoubt) || host.FaultOf(err) == "" { // it may have begun; beginning another one could make two
		id, lost := r.adopt(ctx, starter, adoptTries)
		if id != "" || lost != nil {
			return r.started(ctx, id, "found after its answer was lost", lost)
		}
	}
	return "", &ending{makegood.AttemptFailed, makegood.HealStartFailed, "It could not be started again: " + sentenceOf(err)}, nil
}

// guards asks again what is asked before any attempt.
func (r *run) guards(ctx context.Context) *makegood.HealRefusal {
	if _, no := r.h.recheck(ctx, r.t, r.who); no != nil {
		return no
	}
	return r.h.credential(ctx, r.t)
}

// lookBefore sees how the place stands right before the start, waits for whoever deploys there now, and writes it down.
func (r *run) lookBefore(ctx context.Context) (*ending, error) {
	begun := time.Now()
	for {
		asked, cancel := context.WithTimeout(ctx, askTimeout)
		survey, err := r.t.Place.Survey(asked)
		cancel()
		switch {
		case ctx.Err() != nil:
			return nil, context.Cause(ctx)
		case err == nil && survey.Busy == "" && hasNothingGood(survey):
			return &ending{makegood.AttemptFailed, makegood.HealNothingGood, "There is no version there any more that is known to have run well; a person has to deploy one."}, nil
		case err == nil && survey.Busy == "":
			if survey.Cause == "" {
				survey.Cause = r.survey.Cause // what took the variables can only be seen while they are gone
			}
			if !survey.Keeps {
				survey.Live = r.survey.Live // a place with one version only goes back to what it had before we wrote
			}
			text, err := json.Marshal(survey)
			if err != nil {
				return nil, err
			}
			r.survey = survey
			return nil, r.amend(ctx, func(a *makegood.HealAttempt) error { a.Before = string(text); return nil })
		case time.Since(begun) >= r.t.StartWithin && err != nil:
			return &ending{makegood.AttemptFailed, makegood.HealPlatformDown, "The variables are written, but the place does not answer: " + sentenceOf(err)}, nil
		case time.Since(begun) >= r.t.StartWithin:
			return &ending{makegood.AttemptFailed, makegood.HealUnderWay, "The variables are written, but somebody else has been deploying all the time: " + survey.Busy + "."}, nil
		}
		if !pause(ctx, pollEvery) {
			return nil, context.Cause(ctx)
		}
	}
}

// started writes down what the run is called.
func (r *run) started(ctx context.Context, id, note string, err error) (string, *ending, error) {
	if err != nil {
		return "", nil, err
	}
	r.line(ctx, makegood.MomentHealing, "started "+id+".")
	if err := r.amend(ctx, func(a *makegood.HealAttempt) error { a.Run = id; return nil }); err != nil {
		return "", nil, err
	}
	if note != "" {
		return id + ", " + note, nil, nil
	}
	return id, nil, nil
}

// adopt looks for a run of ours whose name was lost.
func (r *run) adopt(ctx context.Context, starter host.Starter, tries int) (string, error) {
	for try := range tries {
		if try > 0 {
			if !pause(ctx, pollEvery) {
				return "", context.Cause(ctx)
			}
		}
		asked, cancel := context.WithTimeout(ctx, askTimeout)
		id, err := starter.Adopt(asked, r.survey, r.attempt().ID)
		cancel()
		if ctx.Err() != nil {
			return "", context.Cause(ctx)
		}
		if err == nil && id != "" {
			return id, nil
		}
		if err != nil && try == tries-1 {
			return "", errUnrecorded // nobody can say whether one runs; whoever comes next asks again
		}
	}
	return "", nil
}

// wait stays with the run until it runs.
func (r *run) wait(ctx context.Context) (string, *ending, error) {
	starter := r.t.Place.(host.Starter)
	begun, last := time.Now(), ""
	for {
		asked, cancel := context.WithTimeout(ctx, askTimeout)
		p, err := starter.Progress(asked, r.attempt().Run)
		cancel()
		switch {
		case ctx.Err() != nil:
			return "", nil, context.Cause(ctx)
		case err == nil && p.State == host.Ran:
			return "runs after " + time.Since(begun).Round(time.Second).String(), nil, nil
		case err == nil && p.State == host.Failed:
			return "", &ending{makegood.AttemptFailed, makegood.HealStartFailed, "What was started does not run: " + p.Note + "."}, nil
		case err == nil:
			last = p.Note
		}
		if time.Since(begun) >= r.t.StartWithin {
			return "", &ending{makegood.AttemptFailed, makegood.HealStartTooLong, fmt.Sprintf("It does not run after %v; the last that was heard of it: %s.", r.t.StartWithin, orNothing(last))}, nil
		}
		if !pause(ctx, pollEvery) {
			return "", nil, context.Cause(ctx)
		}
	}
}

func orNothing(s string) string {
	if s == "" {
		return "nothing"
	}
	return s
}

// verify looks until it was well so many times in a row: from outside, or, where nothing was started and so nothing can be seen
// from there, whether the variables are there.
func (r *run) verify(ctx context.Context) (string, *ending, error) {
	a := r.attempt()
	look, steady := r.t.Verify, r.t.Steady
	good, bad := fmt.Sprintf("seen from outside, %d times in a row", steady), "It runs again, and after %v it is still not well: %s."
	if a.Step(stepStart) == nil {
		look, steady, good, bad = r.lackedNames, 1, "all of them are there, and the next start will have them", "The variables were written, and after %v: %s."
	}
	begun, well := time.Now(), 0
	for {
		looking, cancel := context.WithTimeout(ctx, askTimeout)
		trouble := look(looking)
		cancel()
		if ctx.Err() != nil {
			return "", nil, context.Cause(ctx)
		}
		if trouble == "" {
			if well++; well >= steady {
				return good, nil, nil
			}
		} else if well = 0; time.Since(begun) >= r.t.VerifyWithin {
			return "", &ending{makegood.AttemptFailed, makegood.HealNotVerified, fmt.Sprintf(bad, r.t.VerifyWithin, strings.TrimSuffix(trouble, "."))}, nil
		}
		if !pause(ctx, r.t.VerifyEvery) {
			return "", nil, context.Cause(ctx)
		}
	}
}

// lackedNames says which of the variables that were written are not there.
func (r *run) lackedNames(ctx context.Context) (trouble string) {
	survey, err := r.t.Place.Survey(ctx)
	if err != nil {
		return "the place cannot be looked at: " + sentenceOf(err)
	}
	var lacks []string
	for _, name := range r.attempt().Names {
		if v, ok := survey.Variable(name); !ok || v.Empty {
			lacks = append(lacks, name)
		}
	}
	if lacks == nil {
		return ""
	}
	return listed(lacks) + " not there"
}

// serve has done what the outage left behind, for as long as somebody waits. That it cannot be done makes nothing worse: it is
// noted, and what waits has its own ways to be done.
func (r *run) serve(ctx context.Context) (string, *ending, error) {
	since := r.who.trouble.Since
	if since.IsZero() || since.After(r.attempt().StartedAt) { // a person asked who saw it first
		since = r.attempt().StartedAt.Add(-serveBack)
	}
	begun := time.Now()
	var last Served
	var failed error
	for {
		asking, cancel := context.WithTimeout(ctx, askTimeout)
		served, err := r.t.Serve(asking, since, r.attempt().StartedAt, r.attempt().ID)
		cancel()
		if ctx.Err() != nil {
			return "", nil, context.Cause(ctx)
		}
		if failed = err; err == nil {
			last.Pulled, last.Again = last.Pulled+served.Pulled, last.Again+served.Again
			last.Waited, last.Waiting, last.Longest, last.Note = max(last.Waited, served.Waited), served.Waiting, max(last.Longest, served.Longest), served.Note
		}
		isServed := err == nil && served.Waiting == 0 && time.Since(begun) >= 2*serveEvery
		isNobodyThere := makegood.CodeOf(err) == makegood.NotFound && time.Since(begun) >= serveFound
		if isServed || isNobodyThere || time.Since(begun) >= serveWithin {
			break
		}
		if !pause(ctx, serveEvery) {
			return "", nil, context.Cause(ctx)
		}
	}
	text := last.String()
	if failed != nil {
		text += " The server could not be asked at last: " + makegood.MessageOf(failed)
	}
	r.line(ctx, makegood.MomentServed, text)
	return text, nil, nil
}

// String says it for the record.
func (s Served) String() string {
	text := "Nobody waited."
	switch {
	case s.Waited > 0 && s.Waiting == 0:
		text = fmt.Sprintf("%s had paid and waited, the longest for %v; all of them have their goods.", customers(s.Waited), s.Longest.Round(time.Second))
	case s.Waited > 0:
		text = fmt.Sprintf("%s had paid and waited; %d still wait, the longest for %v.", customers(s.Waited), s.Waiting, s.Longest.Round(time.Second))
	}
	if s.Pulled+s.Again > 0 {
		text += fmt.Sprintf(" %d events were fetched that could not be delivered, and %d jobs done again.", s.Pulled, s.Again)
	}
	if s.Note != "" {
		text += " " + s.Note
	}
	return text
}

func customers(n int) string {
	if n == 1 {
		return "1 customer"
	}
	return fmt.Sprintf("%d customers", n)
}
