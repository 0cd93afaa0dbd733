package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/config"
	"github.com/makegood/makegood/internal/heal"
	"github.com/makegood/makegood/internal/host"
	"github.com/makegood/makegood/internal/inspect"
	"github.com/makegood/makegood/internal/secret"
	"github.com/makegood/makegood/internal/store"
	"github.com/makegood/makegood/internal/vault"
)

const (
	// drillsEvery is how often it is looked whether a drill is due, and drillsFirst how long after a start the first may be.
	drillsEvery = 30 * time.Second
	drillsFirst = 2 * time.Minute
	// drillAgain is after how long a planned drill is tried again that could not be run: it starts processes, or asks a platform.
	drillAgain = time.Hour
	// drillsLooked is among how many kept drills of a name the last of a plan is looked for.
	drillsLooked = 100
	// drillWithin bounds a drill of a real target: after it, it is mended whatever was seen. It is below what a command waits.
	drillWithin = 9 * time.Minute
	// drillMend is how long mending it may take then, and drillPutBack how long without the healer.
	drillMend, drillPutBack = 5 * time.Minute, 2 * time.Minute
	drillLook               = time.Second
	// The limits of a drill of a real target (SPEC C14; goals D1 and A1 of watching).
	drillDetect, drillDetectAim = 5 * time.Minute, 25 * time.Second
	drillTell                   = 3 * time.Second
	drillHeal, drillHealAim     = 8 * time.Minute, 150 * time.Second
)

// runDrills runs the drills of the configuration when they are due, one at a time.
func (w *Watcher) runDrills(ctx context.Context) {
	for wait := drillsFirst; ; wait = drillsEvery {
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		for _, plan := range w.current().Drills {
			if w.isDrillDue(ctx, plan) && ctx.Err() == nil {
				w.runPlanned(ctx, plan)
			}
		}
	}
}

// isDrillDue reports whether a drill is to be run now: its time has come, and nothing else is wrong. Breaking something while
// something is broken teaches nothing, and wakes people twice.
func (w *Watcher) isDrillDue(ctx context.Context, plan config.DrillPlan) bool {
	w.mu.Lock()
	rests := time.Now().Before(w.rests[drillSubject(plan.Name, plan.Target)])
	w.mu.Unlock()
	if rests {
		return false
	}
	last, ok, err := w.lastDrill(ctx, plan)
	if err != nil || ok && w.now().Sub(last) < plan.Every && !w.now().Before(last) {
		return false
	}
	return w.quiet(ctx) == nil
}

// lastDrill is when a drill of a plan began last. The same drill of another target, or of the simulated world, is another one.
func (w *Watcher) lastDrill(ctx context.Context, plan config.DrillPlan) (began time.Time, ok bool, err error) {
	kept, err := w.Store.Drills(ctx, plan.Name, drillsLooked)
	for _, k := range kept {
		var r makegood.DrillResult
		if json.Unmarshal([]byte(k.Result), &r) != nil {
			continue // of a program that kept it otherwise
		}
		if _, notTarget := w.healing.healer.Target(r.Host); r.Host == plan.Target || plan.Target == "" && notTarget != nil {
			return k.BeganAt, true, err
		}
	}
	return began, false, err
}

// drillSubject is what a drill is called among others: by its name, and by the target that it breaks, if it does.
func drillSubject(name, target string) string {
	if target == "" {
		return name
	}
	return name + "@" + target
}

// quiet is why nothing may be broken on purpose just now: something is wrong, or was a moment ago, or could not be mended. nil is
// that it may.
func (w *Watcher) quiet(ctx context.Context) error {
	open, err := w.Store.OpenIncidents(ctx)
	if err != nil {
		return err
	}
	isNone := func(check string) bool { return check == heal.Healed || check == inspect.DrillFailed }
	open = slices.DeleteFunc(open, func(key string) bool {
		check, _, _ := strings.Cut(key, "/")
		return isNone(check)
	})
	if len(open) > 0 {
		return makegood.Errorf(makegood.Conflict, "Something is wrong already (%s); nothing is broken on purpose before it is over.", firstOf(open, 3))
	}
	lately, err := w.Store.Incidents(ctx, store.IncidentFilter{State: makegood.IncidentResolved, Limit: makegood.ListMax})
	if err != nil {
		return err
	}
	for _, i := range lately { // it would open again, with the times of before, and be told in a bundle
		if age := w.now().Sub(i.ResolvedAt); !isNone(i.Check) && age >= 0 && age < makegood.ReopenWithin {
			return makegood.Errorf(makegood.Conflict, "Something was wrong until %s UTC (%s); a drill would be taken for the same outage. Run it after %s UTC.",
				i.ResolvedAt.UTC().Format("15:04"), i.Key, i.ResolvedAt.Add(makegood.ReopenWithin).UTC().Add(time.Minute).Format("15:04"))
		}
	}
	brake, err := w.Store.HealBrake(ctx)
	if err == nil && brake.Holds(w.now()) {
		err = makegood.Errorf(makegood.Conflict, "The brake of healing is on, so what a drill breaks would stay broken.")
	}
	return err
}

// runPlanned runs a drill that is due. One that could not be run is told and tried again after a while; that a person runs one
// just now is no reason to tell anybody.
func (w *Watcher) runPlanned(ctx context.Context, plan config.DrillPlan) {
	r, err := w.Drill(ctx, plan.Name, plan.Target)
	switch {
	case ctx.Err() != nil || w.isStopping() || errors.Is(err, errDrilling):
	case err != nil:
		w.rest(plan, drillAgain)
		w.log.Error("a drill could not be run", "drill", plan.Name, "err", err)
		w.alarm.found(ctx, inspect.DrillFailed, drillSubject(plan.Name, plan.Target), "it could not be run: "+makegood.MessageOf(err))
	default:
		w.rest(plan, plan.Every) // by the machine's own time: one that is kept in the future, by a clock that was wrong, never counts
		w.log.Info("a drill was run", "drill", plan.Name, "passed", r.Passed)
	}
}

// rest keeps a planned drill from being due for a while.
func (w *Watcher) rest(plan config.DrillPlan, d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.rests[drillSubject(plan.Name, plan.Target)] = time.Now().Add(min(d, plan.Every))
}

// errDrilling is that one drill runs already.
var errDrilling = makegood.Errorf(makegood.Conflict, "Another drill is under way.")

// Drill runs a drill, in a simulated world or, with the name of a target, on what is really there; keeps how it went; and opens
// an incident when it failed. One runs at a time. A drill that was called off because the program stops is not kept: it says
// nothing.
func (w *Watcher) Drill(ctx context.Context, name, target string) (makegood.DrillResult, error) {
	if !w.drilling.TryLock() {
		return makegood.DrillResult{}, errDrilling
	}
	defer w.drilling.Unlock()
	var r makegood.DrillResult
	var err error
	switch {
	case target != "":
		r, err = w.healing.drill(ctx, w, name, target)
	case w.simulated != nil:
		r, err = w.simulated(ctx, name)
	default:
		err = makegood.Errorf(makegood.Unavailable, "This program cannot simulate a world.")
	}
	if err != nil || ctx.Err() != nil || w.isStopping() {
		return r, err
	}
	text, err := json.Marshal(r)
	if err != nil {
		return r, err
	}
	if err := w.Store.KeepDrill(ctx, store.KeptDrill{ID: w.alarm.newID(makegood.DrillPrefix), Name: r.Drill, BeganAt: r.BeganAt, Took: r.Took, Passed: r.Passed, Result: string(text)}); err != nil {
		return r, err
	}
	if r.Passed {
		w.alarm.cleared(ctx, makegood.FindingKey(inspect.DrillFailed, drillSubject(r.Drill, target)), "it passed")
	} else {
		w.alarm.found(ctx, inspect.DrillFailed, drillSubject(r.Drill, target), r.Trouble())
	}
	return r, nil
}

// wipes says which variables the drills of a real target take away, by the kinds of the secrets; nil is all of them.
var wipes = map[string][]secret.Kind{
	"secret-wiped":   {secret.StripeWebhook, secret.PayPalWebhook, secret.Standard, secret.StandardKey},
	"mail-key-wiped": {secret.ResendKey},
	"secrets-wiped":  nil,
}

// broken are the names that a drill takes away from a target.
func broken(drill string, needs []vault.Need) ([]string, error) {
	kinds, ok := wipes[drill]
	if !ok {
		return nil, makegood.Errorf(makegood.Invalid, "The drill %q is not one for a real target; secret-wiped, mail-key-wiped and secrets-wiped are.", drill)
	}
	var names []string
	for _, n := range needs {
		if !n.Optional && (kinds == nil || slices.Contains(kinds, n.Kind)) {
			names = append(names, n.Name)
		}
	}
	if names == nil {
		return nil, makegood.Errorf(makegood.Invalid, "The target needs no secret that the drill %s could take away.", drill)
	}
	return names, nil
}

// drill breaks a real target, which its configuration allows, and looks how it is found, told and mended. It is called off, and
// mended at once, when something else breaks meanwhile, or when its time is over.
func (h *healing) drill(ctx context.Context, w *Watcher, name, target string) (r makegood.DrillResult, err error) {
	t, names, err := h.mayBreak(ctx, w, name, target)
	if err != nil {
		return r, err
	}
	d := &realDrill{h: h, t: t, names: names, began: h.now(), result: makegood.DrillResult{Drill: name, Host: target, Scale: 1}}
	d.result.BeganAt = d.began
	d.say("drill", "taking away from %s: %s", target, strings.Join(names, ", "))
	breaking, cancel := context.WithTimeout(ctx, 2*time.Minute)
	err = t.Place.(host.Breaker).Break(breaking, names)
	cancel()
	if err != nil { // it may be half broken
		d.result.Broken = "it could not be broken: " + err.Error()
	} else {
		d.watch(ctx)
	}
	d.mend(context.WithoutCancel(ctx))
	d.result.Took = h.now().Sub(d.began)
	d.result.Judge()
	return d.result, nil
}

// mayBreak is everything that has to be so before a real target is broken.
func (h *healing) mayBreak(ctx context.Context, w *Watcher, name, target string) (heal.Target, []string, error) {
	t, err := h.healer.Target(target)
	if err != nil {
		return t, nil, err
	}
	_, breaks := t.Place.(host.Breaker)
	_, writes := t.Place.(host.Writer)
	switch {
	case !t.Drill:
		return t, nil, makegood.Errorf(makegood.Forbidden, "The target %s may not be broken on purpose: it has no drill: true.", target)
	case !breaks || !writes || t.Truth == nil:
		return t, nil, makegood.Errorf(makegood.Invalid, "The target %s has no variables that could be taken away and put back.", target)
	case !t.Auto:
		return t, nil, makegood.Errorf(makegood.Conflict, "The target %s is not mended without a person (auto: true), so it would stay broken.", target)
	}
	names, err := broken(name, t.Needs)
	if err != nil {
		return t, nil, err
	}
	if err := w.quiet(ctx); err != nil {
		return t, nil, err
	}
	if trouble := t.Verify(ctx); trouble != "" {
		return t, nil, makegood.Errorf(makegood.Conflict, "It is not well now, so it is not broken: %s.", strings.TrimSuffix(trouble, "."))
	}
	planned, err := h.healer.Plan(ctx, target, "system:drill", true) // every guard, as it would be asked when it is broken
	if err == nil && planned.Reason != "" {
		err = makegood.Errorf(makegood.Conflict, "It could not be mended now (%s), so it is not broken: %s", planned.Reason, planned.Refusal)
	}
	return t, names, err
}

// realDrill is a drill of a real target under way.
type realDrill struct {
	h      *healing
	t      heal.Target
	names  []string
	began  time.Time
	result makegood.DrillResult
	healed bool
}

func (d *realDrill) say(who, format string, args ...any) {
	d.result.Timeline = append(d.result.Timeline, makegood.DrillMoment{At: d.h.now().Sub(d.began), Who: who, What: fmt.Sprintf(format, args...)})
}

func (d *realDrill) check(what string, took, limit, aim time.Duration) {
	d.result.Checks = append(d.result.Checks, makegood.DrillCheck{What: what, Took: took, Limit: limit, Aim: aim})
}

// watch looks until it is found, told, mended and over, or until it is called off.
func (d *realDrill) watch(ctx context.Context) {
	var found, told bool
	for d.h.now().Sub(d.began) < drillWithin {
		select {
		case <-ctx.Done():
			d.result.Broken = "it was called off: the program stops"
			return
		case <-time.After(drillLook):
		}
		i, others := d.incident(ctx)
		if others != "" {
			d.result.Broken = "it was called off, because something else broke: " + others
			return
		}
		if i != nil && !found {
			found = true
			d.say("found", "%s %s: %s", i.Priority, i.Key, i.Detail)
			d.check("detected", i.OpenedAt.Sub(d.began), drillDetect, drillDetectAim)
		}
		if at := firstTold(i); !at.IsZero() && !told {
			told = true
			d.say("told", "the first channel accepted it")
			d.check("first channel told", max(0, at.Sub(i.OpenedAt)), drillTell, 0)
		}
		if d.isHealed(ctx) && (!found || i == nil || i.State == makegood.IncidentResolved) {
			d.miss(found, "detected")
			d.miss(told, "first channel told")
			return
		}
	}
	d.miss(found, "detected")
	d.miss(told, "first channel told")
	d.miss(d.healed, "healed")
}

func (d *realDrill) miss(happened bool, what string) {
	if !happened {
		d.result.Checks = append(d.result.Checks, makegood.DrillCheck{What: what, Missing: fmt.Sprintf("not within %v", drillWithin)})
	}
}

// incident is the first that the drill caused, with its notices, and what else opened meanwhile; both are empty when nothing did.
func (d *realDrill) incident(ctx context.Context) (first *makegood.Incident, others string) {
	list, err := d.h.store.Incidents(ctx, store.IncidentFilter{Since: d.began, Limit: 100})
	if err != nil {
		return nil, ""
	}
	slices.Reverse(list)
	for _, i := range list {
		isOurs := slices.ContainsFunc(d.t.When, func(p string) bool { return makegood.MatchKey(p, i.Key) })
		switch {
		case !isOurs && !slices.Contains(aboutHealing, i.Check):
			return nil, i.Key
		case isOurs && first == nil && i.Check != heal.DriftCheck:
			if first, err = d.h.store.Incident(ctx, i.ID); err != nil {
				return nil, ""
			}
		}
	}
	return first, ""
}

// firstTold is when the first channel accepted an alarm of an incident; zero when none has.
func firstTold(i *makegood.Incident) (first time.Time) {
	if i == nil {
		return first
	}
	for _, n := range i.Notices {
		if n.IsAlarm() && !n.SentAt.IsZero() && (first.IsZero() || n.SentAt.Before(first)) {
			first = n.SentAt
		}
	}
	return first
}

func (d *realDrill) isHealed(ctx context.Context) bool {
	if d.healed {
		return true
	}
	list, err := d.h.store.Attempts(ctx, store.AttemptFilter{Target: d.t.Name, State: makegood.AttemptHealed, Limit: 1})
	if err != nil || len(list) == 0 || list[0].StartedAt.Before(d.began) {
		return false
	}
	d.healed = true
	at := list[0].EndedAt
	if s := list[0].Step("verify"); s != nil && !s.EndedAt.IsZero() {
		at = s.EndedAt
	}
	d.say("healer", "attempt %s: %s", list[0].ID, list[0].Remedy)
	d.check("healed", at.Sub(d.began), drillHeal, drillHealAim)
	return true
}

// mend puts back what the drill took away and nobody has put back: whatever a drill shows, it leaves nothing broken. An attempt
// that is under way is left to end first: two starts at once would be taken for somebody else's.
func (d *realDrill) mend(ctx context.Context) {
	mending, cancel := context.WithTimeout(ctx, drillMend)
	defer cancel()
	for !d.isHealed(mending) {
		a, err := d.h.healer.Mend(mending, d.t.Name, "system:drill", true, nil)
		if err == nil && a.State == makegood.AttemptHealed {
			d.say("drill", "what was taken away was put back")
			return
		}
		var no *makegood.HealRefusal
		if isBusy := errors.As(err, &no) && no.Reason == makegood.HealBusy; !isBusy || mending.Err() != nil {
			d.putBack(ctx)
			return
		}
		select {
		case <-mending.Done():
		case <-time.After(drillLook):
		}
	}
}

// putBack writes and starts without asking the limits of attempts: those are for faults, and this one is ours.
func (d *realDrill) putBack(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, drillPutBack)
	defer cancel()
	if err := d.restore(ctx); err != nil {
		d.say("drill", "what was taken away could NOT be put back: %v", err)
		d.result.Broken = strings.TrimSpace(d.result.Broken + " What was taken away could not be put back; do it by hand: makegood restore-env " + d.t.Name + " --all")
		return
	}
	d.say("drill", "what was taken away was put back")
}

func (d *realDrill) restore(ctx context.Context) error {
	truth, refusals, err := d.h.healer.Truth(ctx, d.t)
	if err != nil {
		return err
	}
	if len(refusals) > 0 {
		return refusals[0]
	}
	var settings []host.Setting
	values, err := vault.Settings(truth, d.names)
	if err != nil {
		return err
	}
	for _, v := range values {
		settings = append(settings, host.Setting(v))
	}
	if err := d.t.Place.(host.Writer).Write(ctx, settings); err != nil {
		return err
	}
	survey, err := d.t.Place.Survey(ctx)
	if err != nil {
		return err
	}
	_, err = d.t.Place.(host.Starter).Start(ctx, survey, d.h.alarm.newID(makegood.DrillPrefix))
	return err
}
