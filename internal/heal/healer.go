package heal

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/host"
	"github.com/makegood/makegood/internal/vault"
)

// Healer mends targets. It is safe for concurrent use; that only one attempt runs is the ledger's to hold.
type Healer struct {
	Options

	mu      sync.Mutex
	targets []Target
	refused map[string]map[string]time.Time // when it was written down, by target and by trouble and reason
	restsTo map[string]time.Time            // until when a target is not asked again, by the machine's own time
	raised  map[string]bool                 // findings of our own that are open, by check and target
	making  map[string]int                  // attempts in our hands, by target
	running map[string]bool                 // targets of the attempts that run, as the ledger said last; nil before it was asked
}

// New makes a healer. raised are the healer's own findings that are open, as keys, from before this start.
func New(o Options, raised ...string) *Healer {
	if o.Limits == (makegood.HealLimits{}) {
		o.Limits = makegood.DefaultHealLimits
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	h := &Healer{Options: o, refused: map[string]map[string]time.Time{}, restsTo: map[string]time.Time{}, raised: map[string]bool{}, making: map[string]int{}}
	for _, key := range raised {
		h.raised[key] = true
	}
	return h
}

// SetTargets changes what may be mended. An attempt that runs is not touched. What a target does not say of its pace is the
// default, so that one without a patience is not taken for one that has none.
func (h *Healer) SetTargets(all []Target) {
	all = slices.Clone(all)
	for k := range all {
		t := &all[k]
		t.Patience, t.StartWithin, t.Steady = orDefault(t.Patience, DefaultPatience), orDefault(t.StartWithin, DefaultStartWithin), orDefault(t.Steady, DefaultSteady)
		t.VerifyEvery, t.VerifyWithin = orDefault(t.VerifyEvery, DefaultVerifyEvery), orDefault(t.VerifyWithin, DefaultVerifyWithin)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.targets = all
}

func orDefault[N int | time.Duration](n, otherwise N) N {
	if n <= 0 {
		return otherwise
	}
	return n
}

// Targets lists what may be mended.
func (h *Healer) Targets() []Target {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.targets)
}

// Target returns a target by its name; makegood.NotFound names those that there are.
func (h *Healer) Target(name string) (Target, error) {
	var names []string
	for _, t := range h.Targets() {
		if t.Name == name {
			return t, nil
		}
		names = append(names, t.Name)
	}
	if names == nil {
		return Target{}, makegood.Errorf(makegood.NotFound, "The configuration has no heal.targets.")
	}
	return Target{}, makegood.Errorf(makegood.NotFound, "There is no target %q; there are %s.", name, strings.Join(names, ", "))
}

// Holds reports whether the incident of a key has to stay open, because an attempt at it is under way, whoever makes it: it is
// over when that is verified, and not at the first green look. Until the ledger was asked for the first time after a start,
// everything that a target may be the cause of is held: an attempt that somebody died over may be waiting for us.
func (h *Healer) Holds(key string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.ContainsFunc(h.targets, func(t Target) bool {
		return (h.running == nil || h.running[t.Name] || h.making[t.Name] > 0) && t.concerns(key)
	})
}

// standing asks the ledger, and remembers which targets attempts run at.
func (h *Healer) standing(ctx context.Context) (makegood.HealStanding, error) {
	standing, err := h.Ledger.HealStanding(ctx, h.Limits)
	if err != nil {
		return standing, err
	}
	running := map[string]bool{}
	for _, a := range standing.Running {
		running[a.Target] = true
	}
	h.mu.Lock()
	h.running = running
	h.mu.Unlock()
	return standing, nil
}

// hold notes that an attempt at a target is in our hands, until release is called.
func (h *Healer) hold(target string) (release func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.making[target]++
	return func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.making[target]--
		delete(h.running, target) // if it is in other hands now, the next look at the ledger says so
	}
}

// Run mends what is to be mended until ctx ends. An attempt that is under way then is left as it is; the next start goes on
// with it.
func (h *Healer) Run(ctx context.Context) {
	for ctx.Err() == nil {
		h.Tick(ctx)
		pause(ctx, lookEvery)
	}
}

// Tick goes on with what somebody died over, and looks at every trouble once.
func (h *Healer) Tick(ctx context.Context) {
	h.resume(ctx)
	troubles, err := h.Outside.Troubles(ctx)
	if err != nil {
		h.complain(ctx, "troubles cannot be read, so nothing is healed", err)
		return
	}
	h.settle(ctx, troubles)
	for _, t := range h.Targets() {
		if trouble, ok := h.due(t, troubles); ok && ctx.Err() == nil && h.consider(ctx, t, trouble) {
			return // an attempt takes minutes, so what was read before says nothing of the other targets any more
		}
	}
}

func (h *Healer) complain(ctx context.Context, what string, err error) {
	if ctx.Err() == nil {
		h.Log.Error(what, "err", err)
	}
}

// pause waits, and reports whether it was not interrupted.
func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return ctx.Err() == nil
	}
}

// of lists the troubles that may come from a target.
func of(t Target, troubles []Trouble) []Trouble {
	return slices.DeleteFunc(slices.Clone(troubles), func(x Trouble) bool { return !t.concerns(x.Key) })
}

// concerns reports whether a finding may come from the target.
func (t Target) concerns(key string) bool {
	return slices.ContainsFunc(t.When, func(pattern string) bool { return makegood.MatchKey(pattern, key) })
}

// due returns the trouble for which a target is to be looked at: the one that has lasted longest, once it has lasted longer
// than the target's patience. While people feel something, what they do not feel waits: that the names are put back without
// a start would leave nothing to be seen of why the program is ill.
func (h *Healer) due(t Target, troubles []Trouble) (Trouble, bool) {
	mine := of(t, troubles)
	if slices.ContainsFunc(mine, isFelt) {
		mine = slices.DeleteFunc(mine, func(x Trouble) bool { return !isFelt(x) })
	}
	if len(mine) == 0 {
		return Trouble{}, false
	}
	oldest := slices.MinFunc(mine, func(a, b Trouble) int { return a.Since.Compare(b.Since) })
	return oldest, h.Now().Sub(oldest.Since) >= t.Patience
}

// DriftCheck is the code of the finding that a place lacks variables.
const DriftCheck = "secret-drift"

// isFelt reports whether people feel a trouble: every one but that the list of names is not complete.
func isFelt(t Trouble) bool { return !makegood.MatchKey(DriftCheck+"/*", t.Key) }

// settle ends our own findings about targets that have no trouble any more and that nobody is mending. That something was mended
// stays until a person has found out why it was needed.
func (h *Healer) settle(ctx context.Context, troubles []Trouble) {
	for _, t := range h.Targets() {
		if len(of(t, troubles)) > 0 || h.isBusyAt(t.Name) {
			continue
		}
		h.clear(ctx, HealRefused, t.Name, "there is nothing to be mended any more")
		h.clear(ctx, HealFailed, t.Name, "it is well")
	}
}

func (h *Healer) isBusyAt(target string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.running[target] || h.making[target] > 0
}

func (h *Healer) raise(ctx context.Context, check, target, detail string, felt bool) {
	h.mu.Lock()
	h.raised[makegood.FindingKey(check, target)] = true
	h.mu.Unlock()
	h.Record.Found(ctx, check, target, detail, felt)
}

func (h *Healer) clear(ctx context.Context, check, target, why string) {
	key := makegood.FindingKey(check, target)
	h.mu.Lock()
	was := h.raised[key]
	delete(h.raised, key)
	h.mu.Unlock()
	if was {
		h.Record.Cleared(ctx, check, target, why)
	}
}

// consider decides about one trouble, and mends it if it may. It reports whether an attempt was made.
func (h *Healer) consider(ctx context.Context, t Target, trouble Trouble) bool {
	standing, err := h.standing(ctx)
	if err != nil {
		h.complain(ctx, "the ledger of attempts cannot be read, so nothing is healed", err)
		return false
	}
	who := asking{actor: healActor, trouble: trouble}
	if no := standing.Admit(t.Name, h.Limits, h.Now()); no != nil {
		if no.Reason != makegood.HealBusy { // somebody is at it: that is no answer yet
			h.refuse(ctx, t, who, no, nil)
		}
		return false
	}
	if h.rests(t.Name) || h.endedLately(standing, t) {
		return false
	}
	who.written = written(standing, t)
	p, no := h.precheck(ctx, t, who)
	if ctx.Err() != nil {
		return false
	}
	if no == nil && !t.Auto {
		no = &makegood.HealRefusal{Reason: makegood.HealNotOptedIn, Sentence: fmt.Sprintf("%s would be mended by %s, writing %s; heal.targets says that a person decides: makegood heal run %s.",
			t.Name, p.remedy.Name, listed(p.names), t.Name)}
	}
	if no != nil {
		h.rest(t.Name)
		h.refuse(ctx, t, who, no, p.steps)
		return false
	}
	if _, err := h.begin(ctx, t, who, p, nil); err != nil {
		var no *makegood.HealRefusal // the next tick meets it again, and says it
		if !errors.As(err, &no) {
			h.complain(ctx, "an attempt could not be written down, so nothing was done", err)
		}
		return false
	}
	return true
}

// written are the names that attempts at a target have written lately and that nothing that was started since has taken up: a
// change of variables has no effect before, and the place shows nothing missing. The brake, a crash or a platform that failed
// can come between a write and its start, and drift is mended without one.
func written(standing makegood.HealStanding, t Target) []string {
	lately := slices.DeleteFunc(slices.Clone(standing.Lately), func(a makegood.HealAttempt) bool { return a.Target != t.Name })
	slices.SortStableFunc(lately, func(a, b makegood.HealAttempt) int { return a.StartedAt.Compare(b.StartedAt) })
	var names []string
	for _, a := range lately {
		if w := a.Step(stepWrite); w != nil && !w.StartedAt.IsZero() {
			names = append(names, a.Names...)
		}
		if a.Step(stepStart) != nil && a.State == makegood.AttemptHealed {
			names = nil
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// endedLately reports whether an attempt at a target ended less than its patience ago: what was done is given as long to take
// effect as a blip is given to end, and two attempts in two seconds would not be two.
func (h *Healer) endedLately(standing makegood.HealStanding, t Target) bool {
	return slices.ContainsFunc(standing.Lately, func(a makegood.HealAttempt) bool {
		age := h.Now().Sub(a.EndedAt)
		return a.Target == t.Name && !a.EndedAt.IsZero() && age >= 0 && age < t.Patience
	})
}

// rest leaves a target alone for a moment after it was looked at and not mended: a trouble may last for days, and a place that
// is asked every second for days asks us to stop.
func (h *Healer) rest(target string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.restsTo[target] = time.Now().Add(askAgain)
}

func (h *Healer) rests(target string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return time.Now().Before(h.restsTo[target])
}

// healActor is who asks when no person does.
const healActor = "system:heal"

// asking is who wants something mended, and why.
type asking struct {
	actor   string
	trouble Trouble // zero when a person asks without one
	byHand  bool
	written []string // names that an attempt has written and no start has taken up
	all     bool     // by hand: write every variable, and start again, whatever is seen
}

// plan is what an attempt would do. The values are in memory only: after a crash they are read again.
type plan struct {
	remedy   Remedy
	fault    makegood.HealFault
	names    []string
	settings []host.Setting
	survey   host.Survey
	steps    []makegood.AttemptStep
	asked    time.Time // when the guards began to be asked, by the machine's own time
}

// note adds a step that was made before there was an attempt.
func (p *plan) note(h *Healer, t Target, name string, how makegood.StepPlace, note string) {
	now := h.Now()
	p.steps = append(p.steps, makegood.AttemptStep{Phase: phaseOf(name), Name: name, Says: says(name, t, nil, ""), State: how, Note: note, StartedAt: now, EndedAt: now})
}

// precheck finds out whether and how a target can be mended, and changes nothing. The steps of the plan say how far it came.
func (h *Healer) precheck(ctx context.Context, t Target, who asking) (p plan, no *makegood.HealRefusal) {
	p.asked = time.Now()
	note, no := h.recheck(ctx, t, who)
	if no != nil {
		p.note(h, t, stepRecheck, makegood.PlaceFailed, no.Sentence)
		return p, no
	}
	p.note(h, t, stepRecheck, makegood.PlaceDone, note)
	if no = h.credential(ctx, t); no != nil {
		p.note(h, t, stepCredential, makegood.PlaceFailed, no.Sentence)
		return p, no
	}
	p.note(h, t, stepCredential, makegood.PlaceDone, "good")
	if no = h.plan(ctx, t, who, &p); no != nil {
		p.note(h, t, stepPlan, makegood.PlaceFailed, no.Sentence)
		return p, no
	}
	p.note(h, t, stepPlan, makegood.PlaceDone, summary(p))
	return p, nil
}

func summary(p plan) string {
	text := fmt.Sprintf("%s: write %s", p.remedy.Name, listed(p.names))
	if p.survey.Cause != "" {
		text += "; " + p.survey.Cause
	}
	return text
}

// recheck looks again whether it is broken, and whether anything can be said of it at all.
func (h *Healer) recheck(ctx context.Context, t Target, who asking) (note string, no *makegood.HealRefusal) {
	if who.byHand {
		return "asked for by " + who.actor, nil
	}
	if h.Outside.Blind() {
		return "", &makegood.HealRefusal{Reason: makegood.HealBlind, Sentence: "Nothing can be seen from here, so nothing can be said of others."}
	}
	if down, all := h.Outside.Others(t.When); down >= downLeast && float64(all-down) < healthyLeast*float64(all) {
		return "", &makegood.HealRefusal{Reason: makegood.HealMassFailure, Sentence: fmt.Sprintf("%d of %d other things are down too: this is more than %s, and mending it blindly could make it worse.", down, all, t.Name)}
	}
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	switch still, known := h.Outside.Look(ctx, who.trouble); {
	case !known:
		return "", &makegood.HealRefusal{Reason: makegood.HealBlind, Sentence: fmt.Sprintf("%s could not be looked at again.", who.trouble.Key)}
	case !still:
		return "", &makegood.HealRefusal{Reason: makegood.HealBlip, Sentence: fmt.Sprintf("%s is well again.", who.trouble.Key)}
	}
	return fmt.Sprintf("%s is broken since %s", who.trouble.Key, who.trouble.Since.UTC().Format(time.RFC3339)), nil
}

// credential proves that the target could be mended.
func (h *Healer) credential(ctx context.Context, t Target) *makegood.HealRefusal {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	return refusalOf(t, t.Place.Check(ctx))
}

// refusalOf is why an error of a place keeps us from mending it; nil for nil.
func refusalOf(t Target, err error) *makegood.HealRefusal {
	if err == nil {
		return nil
	}
	fault := host.FaultOf(err)
	var own *makegood.Error
	switch {
	case fault == "" && errors.As(err, &own) && own.Code != makegood.Unavailable:
		return &makegood.HealRefusal{Reason: makegood.HealPlaceUnfit, Sentence: fmt.Sprintf("%s cannot be mended as it is: %s", t.Name, own.Message)}
	case fault == host.PlatformDown, fault == host.Limited, fault == "":
		return &makegood.HealRefusal{Reason: makegood.HealPlatformDown, Sentence: fmt.Sprintf("%s itself cannot be reached or does not answer: %s.", t.Name, strings.TrimSuffix(sentenceOf(err), "."))}
	case fault.IsCredential():
		return &makegood.HealRefusal{Reason: makegood.HealReason("credential_" + fault), Sentence: fmt.Sprintf("The credential of %s: %s", t.Name, sentenceOf(err))}
	}
	return &makegood.HealRefusal{Reason: makegood.HealReason("place_" + fault), Sentence: fmt.Sprintf("%s: %s", t.Name, sentenceOf(err))}
}

// sentenceOf is what a person may read of an error of a place.
func sentenceOf(err error) string {
	var d *host.Diagnosis
	var own *makegood.Error
	switch {
	case errors.As(err, &d):
	case errors.As(err, &own) && own.Message != "":
		return own.Message
	default:
		return "no sense could be made of its answer"
	}
	if d.Page == "" {
		return d.Sentence
	}
	return d.Sentence + " Mend it at " + d.Page + "."
}

// plan compares the place with the truth, names the fault, and fills in what is to be done.
func (h *Healer) plan(ctx context.Context, t Target, who asking, p *plan) *makegood.HealRefusal {
	asked, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	survey, err := t.Place.Survey(asked)
	if err != nil {
		return refusalOf(t, err)
	}
	p.survey = survey
	truth, no := h.truth(ctx, t)
	if no != nil {
		return no
	}
	_, writes := t.Place.(host.Writer)
	_, starts := t.Place.(host.Starter)
	e := Evidence{Survey: survey, Felt: isFelt(who.trouble) || who.byHand, Writes: writes && t.Truth != nil, Starts: starts, Needs: t.Needs,
		Differences: vault.Compare(t.Needs, truth, heldBy(survey)), Written: who.written}
	if t.Reported != nil && e.Writes {
		e.Wrong = t.Reported(vault.Remember(truth).Fingerprints)
	}
	p.fault, p.names = Classify(e)
	if who.all && e.Writes {
		p.fault, p.names = makegood.FaultByHand, namesOf(t.Needs, truth)
	}
	var known bool
	if p.remedy, known = remedyFor(p.fault); !known {
		return unknownFault(t, e, who)
	}
	return h.settings(t, truth, p)
}

// unknownFault says what was looked for, so that a person need not look for it again.
func unknownFault(t Target, e Evidence, who asking) *makegood.HealRefusal {
	sentence := fmt.Sprintf("%s has everything that it must have and says nothing of being stopped: it is not a fault that is known to be mended there.", t.Name)
	if e.Writes && slices.ContainsFunc(e.Survey.Variables, func(v host.Variable) bool { return !v.Readable }) {
		sentence += fmt.Sprintf(" Values cannot be read there; if one may be wrong: makegood heal run %s --all.", t.Name)
	}
	if who.byHand {
		return &makegood.HealRefusal{Reason: makegood.HealNothingToWrite, Sentence: sentence}
	}
	return &makegood.HealRefusal{Reason: makegood.HealOtherFault, Sentence: sentence}
}

// settings takes the values that are to be written, and makes sure once more that there is none without a value: an empty set
// must never mean everything, and an empty value would be worse than none.
func (h *Healer) settings(t Target, truth vault.Truth, p *plan) *makegood.HealRefusal {
	starts := slices.Contains(p.remedy.steps, stepStart)
	switch {
	case p.survey.Busy != "" && starts:
		return &makegood.HealRefusal{Reason: makegood.HealUnderWay, Sentence: fmt.Sprintf("Somebody else is deploying there: %s. What it does is waited for.", p.survey.Busy)}
	case starts && hasNothingGood(p.survey):
		return &makegood.HealRefusal{Reason: makegood.HealNothingGood, Sentence: "There is no version there that is known to have run well; a person has to deploy one."}
	}
	if !slices.Contains(p.remedy.steps, stepWrite) {
		return nil
	}
	p.settings = nil
	for _, name := range p.names {
		v := truth.Values[name]
		if v.Empty() {
			return &makegood.HealRefusal{Reason: "truth_" + makegood.HealReason(vault.Incomplete), Sentence: fmt.Sprintf("The source of truth has no value for %s, so nothing is written.", name)}
		}
		p.settings = append(p.settings, host.Setting{Name: name, Value: v})
	}
	if len(p.settings) == 0 {
		return &makegood.HealRefusal{Reason: makegood.HealNothingToWrite, Sentence: fmt.Sprintf("There is nothing to write to %s.", t.Name)}
	}
	return nil
}

// hasNothingGood reports whether a place that has versions has none that is known to have run well.
func hasNothingGood(s host.Survey) bool { return s.Newest != "" && s.Good == "" && !s.Elsewhere }

// namesOf are the names of the needs that the truth has a value for.
func namesOf(needs []vault.Need, truth vault.Truth) []string {
	var names []string
	for _, n := range needs {
		if !n.Optional || !truth.Values[n.Name].Empty() {
			names = append(names, n.Name)
		}
	}
	slices.Sort(names)
	return names
}

func heldBy(s host.Survey) []vault.Held {
	var held []vault.Held
	for _, v := range s.Variables {
		held = append(held, vault.Held{Name: v.Name, Fingerprint: v.Fingerprint, Readable: v.Readable, Empty: v.Empty})
	}
	return held
}

// truth reads the source of truth and believes it only when nothing at all is wrong with it. What is good is remembered, so that
// a later one that has shrunk, or is older, is known.
func (h *Healer) truth(ctx context.Context, t Target) (vault.Truth, *makegood.HealRefusal) {
	truth, refusals, err := h.Truth(ctx, t)
	switch {
	case err != nil:
		h.complain(ctx, "what is known of a source of truth cannot be read", err)
		return vault.Truth{}, &makegood.HealRefusal{Reason: makegood.HealUnrecorded, Sentence: "What was last known of the source of truth cannot be read, so it cannot be judged."}
	case len(refusals) == 0:
		return truth, nil
	}
	var sentences []string
	for _, r := range refusals {
		sentences = append(sentences, r.Sentence)
	}
	return vault.Truth{}, &makegood.HealRefusal{Reason: makegood.HealReason("truth_" + refusals[0].Reason),
		Sentence: "The source of truth is not believed, so nothing is written. " + strings.Join(sentences, " ")}
}

// Truth reads and judges the source of truth of a target, and remembers it when it is good. err is trouble of our own ledger;
// what is wrong with the source are refusals.
func (h *Healer) Truth(ctx context.Context, t Target) (truth vault.Truth, refusals []*vault.Refusal, err error) {
	if t.Truth == nil {
		return truth, nil, nil
	}
	kept, err := h.Ledger.HouseValue(ctx, knownName(t), func() string { return "{}" })
	if err != nil {
		return truth, nil, err
	}
	var known vault.Known
	if err := json.Unmarshal([]byte(kept), &known); err != nil {
		return truth, nil, fmt.Errorf("what is known of the source of truth of %s: %w", t.Name, err)
	}
	asked, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	truth, err = t.Truth.Read(asked)
	if err != nil {
		var r *vault.Refusal
		if !errors.As(err, &r) {
			r = &vault.Refusal{Reason: vault.Unreadable, Sentence: "The source of truth cannot be read.", Err: err}
		}
		return vault.Truth{}, []*vault.Refusal{r}, nil
	}
	if refusals = vault.Judge(truth, t.Needs, known, t.Mode, h.Now()); len(refusals) > 0 {
		return vault.Truth{}, refusals, nil
	}
	remembered, err := json.Marshal(vault.Remember(truth))
	if err != nil {
		return truth, nil, err
	}
	if string(remembered) != kept {
		err = h.Ledger.KeepHouseValue(ctx, knownName(t), string(remembered))
	}
	return truth, nil, err
}

// rememberWell keeps which version of a target was last seen well from outside, for a rollback to go back to: what ran right
// before an attempt was broken, or there would have been none.
func (h *Healer) rememberWell(ctx context.Context, t Target, s host.Survey) {
	if !s.Keeps || s.Live == "" || s.Busy != "" || h.Outside.Blind() || h.isBusyAt(t.Name) {
		return
	}
	troubles, err := h.Outside.Troubles(ctx)
	if err != nil || len(of(t, troubles)) > 0 || t.Verify == nil || h.lastWell(ctx, t) == s.Live {
		return
	}
	if t.Verify(ctx) != "" {
		return
	}
	if err := h.Ledger.KeepHouseValue(ctx, wellName(t), s.Live); err != nil {
		h.complain(ctx, "which version is well cannot be written down", err)
	}
}

// lastWell is the version that was last seen well; "" when none was, or nobody can say.
func (h *Healer) lastWell(ctx context.Context, t Target) string {
	version, err := h.Ledger.HouseValue(ctx, wellName(t), func() string { return "" })
	if err != nil {
		return ""
	}
	return version
}

// wellName is under which the ledger keeps the version of a target that was last seen well.
func wellName(t Target) string { return "well/" + t.Name }

// knownName is under which the ledger keeps what was last found good of the source of truth of a target.
func knownName(t Target) string { return "truth/" + t.Name }

// Forget lets go of what is known of the source of truth of a target: a person says that it may be smaller or older from now on.
func (h *Healer) Forget(ctx context.Context, t Target) error {
	return h.Ledger.KeepHouseValue(ctx, knownName(t), "{}")
}

// refuse writes a refusal down, on the incident's record and in the ledger, once for the same trouble and reason; and opens an
// incident where a person can do something about it.
func (h *Healer) refuse(ctx context.Context, t Target, who asking, no *makegood.HealRefusal, steps []makegood.AttemptStep) {
	switch {
	case isMendable(no.Reason):
		h.raise(ctx, HealRefused, t.Name, no.Sentence, isFelt(who.trouble))
	case isLookedInto(no.Reason):
		h.clear(ctx, HealRefused, t.Name, "what kept it from being mended is gone")
	}
	if h.wasRefused(ctx, t, who, no) {
		return
	}
	h.Log.Warn("not healed", "target", t.Name, "incident", who.trouble.IncidentID, "reason", string(no.Reason))
	a := makegood.HealAttempt{ID: h.NewID(makegood.AttemptPrefix), Target: t.Name, Fault: makegood.FaultUnknown, IncidentID: who.trouble.IncidentID, IncidentKey: who.trouble.Key,
		Actor: who.actor, State: makegood.AttemptRefused, Reason: no.Reason, Detail: no.Sentence, Steps: steps, Holder: h.Holder}
	if err := h.Ledger.KeepRefusal(ctx, a); err != nil {
		h.complain(ctx, "a refusal could not be written down", err)
	}
	if ctx.Err() != nil {
		return
	}
	h.Record.Line(ctx, who.trouble.IncidentID, makegood.MomentHealRefused, fmt.Sprintf("%s is not touched (%s): %s", t.Name, no.Reason, no.Sentence))
	h.rememberRefusal(ctx, t, who, no)
}

// wasRefused reports whether the same was refused within refusalAgain, by us or by whoever has asked the ledger too: a program
// that is started again and again does not fill the record. A crash before it is remembered, or two who refuse at the same
// moment, write it twice.
func (h *Healer) wasRefused(ctx context.Context, t Target, who asking, no *makegood.HealRefusal) bool {
	key := refusalKey(who, no)
	h.mu.Lock()
	isKnown := h.isLately(h.refused[t.Name][key])
	h.mu.Unlock()
	if isKnown {
		return true
	}
	kept, err := h.Ledger.HouseValue(ctx, refusedName(t), func() string { return "{}" })
	refused := map[string]time.Time{}
	if err == nil {
		err = json.Unmarshal([]byte(kept), &refused)
	}
	if err != nil {
		h.complain(ctx, "what was refused before cannot be read", err)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	ours := h.refused[t.Name]
	if ours == nil {
		ours = map[string]time.Time{}
		h.refused[t.Name] = ours
	}
	maps.Copy(ours, refused)
	maps.DeleteFunc(ours, func(_ string, at time.Time) bool { return !h.isLately(at) })
	return h.isLately(ours[key])
}

// rememberRefusal follows wasRefused.
func (h *Healer) rememberRefusal(ctx context.Context, t Target, who asking, no *makegood.HealRefusal) {
	h.mu.Lock()
	h.refused[t.Name][refusalKey(who, no)] = h.Now().UTC()
	text, err := json.Marshal(h.refused[t.Name])
	h.mu.Unlock()
	if err == nil {
		err = h.Ledger.KeepHouseValue(ctx, refusedName(t), string(text))
	}
	if err != nil {
		h.complain(ctx, "what was refused cannot be remembered", err)
	}
}

// isLately reports whether at is within refusalAgain; a time in the future, from before the clock was set back, is not.
func (h *Healer) isLately(at time.Time) bool {
	age := h.Now().Sub(at)
	return age >= 0 && age < refusalAgain
}

func refusalKey(who asking, no *makegood.HealRefusal) string {
	return strings.Join([]string{string(no.Reason), who.trouble.Key, who.trouble.IncidentID}, " ")
}

// refusedName is under which the ledger keeps what was refused lately at a target.
func refusedName(t Target) string { return "refused/" + t.Name }

// isLookedInto reports whether nothing was done after everything that a person could have to mend was found good. That the
// brake is on, or that we are blind, says nothing of a credential.
func isLookedInto(r makegood.HealReason) bool {
	switch r {
	case makegood.HealOtherFault, makegood.HealUnderWay, makegood.HealNothingToWrite, makegood.HealNotOptedIn:
		return true
	}
	return false
}

// isMendable reports whether a person can change why nothing is done, and has to: the trouble itself is told already, this is
// told besides.
func isMendable(r makegood.HealReason) bool {
	switch r {
	case makegood.HealTargetLimit, makegood.HealOverallLimit, makegood.HealNothingGood, makegood.HealPlatformDown, makegood.HealPlaceUnfit:
		return true
	}
	for _, prefix := range []string{"credential_", "truth_", "place_"} {
		if strings.HasPrefix(string(r), prefix) {
			return true
		}
	}
	return false
}
