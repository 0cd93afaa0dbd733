package makegood

import (
	"fmt"
	"slices"
	"time"
)

// HealAttempt is one try to mend a place where a program runs: a row that is written before anything is done, so that it is the
// lock, the limit and the cooldown as well. Its steps are copied onto it when it begins; a remedy that is changed later changes
// no attempt. It carries names, ids and verdicts, never the value of a secret.
type HealAttempt struct {
	ID          string
	Target      string // by its name in the configuration
	Remedy      string
	Fault       HealFault // what it was taken for
	IncidentID  string    // whose record it is on; "" when a person asked without one
	IncidentKey string
	Actor       string // system:heal, or who asked
	State       AttemptState
	Reason      HealReason // why it was refused, or why it ended otherwise than healed; "" else
	Detail      string     // the reason in words
	Names       []string   // of the variables that it writes
	Run         string     // what the place calls the run that it began; "" before
	Steps       []AttemptStep
	Before      string // how the place stood before, as its survey says (JSON)

	// Holder has it until LeaseUntil; Fence rises each time it is taken over, and whoever comes with an older one is refused.
	Holder     string
	Fence      int64
	LeaseUntil time.Time

	StartedAt time.Time
	EndedAt   time.Time // zero while it runs
	// CountsAt is StartedAt for the limits: it moves with the clock when that is set, so that setting it frees no attempt.
	CountsAt time.Time
}

// HealFault is what a trouble is taken for. A remedy is known to mend one fault; whatever is none of those that a remedy is
// known for is told and not touched.
type HealFault string

// The faults.
const (
	FaultSecretMissing HealFault = "secret_missing" // the place lacks variables that the program needs, and people feel it
	FaultSecretDrift   HealFault = "secret_drift"   // it lacks them, and the next start will be felt
	FaultStopped       HealFault = "stopped"        // the place says that the program does not run, and lacks nothing
	FaultWorkersStuck  HealFault = "workers_stuck"  // the program runs and its workers do nothing
	FaultElsewhere     HealFault = "elsewhere"      // a workflow elsewhere mends it; what it is, that workflow finds out
	FaultByHand        HealFault = "by_hand"        // a person says so
	FaultUnknown       HealFault = "unknown"
)

// AttemptState is how an attempt stands.
type AttemptState string

// The states. Only AttemptRunning has a holder.
const (
	AttemptRunning  AttemptState = "running"
	AttemptHealed   AttemptState = "healed"   // verified from outside
	AttemptFailed   AttemptState = "failed"   // it did not help, and there was nothing to take back, or taking back failed
	AttemptReverted AttemptState = "reverted" // it did not help, and what ran before runs again
	AttemptStopped  AttemptState = "stopped"  // the brake was put on, or it was interrupted for too long
	AttemptRefused  AttemptState = "refused"  // nothing was done
)

// HealReason says why nothing was done, or why it ended. Stable: runbooks, drills and scripts name them. Beside these there are
// truth_… for a source of truth that is not believed, and credential_… for a credential that would not do.
type HealReason string

// The reasons.
const (
	HealPaused         HealReason = "paused"           // the brake is on
	HealBusy           HealReason = "busy"             // another attempt runs
	HealTargetLimit    HealReason = "target_limit"     // enough attempts at this target lately
	HealOverallLimit   HealReason = "overall_limit"    // enough attempts at all targets lately
	HealMassFailure    HealReason = "mass_failure"     // too much else is broken
	HealBlind          HealReason = "blind"            // we cannot see, so nothing can be said of others
	HealBlip           HealReason = "blip"             // it is over
	HealOtherFault     HealReason = "other_fault"      // nothing that a remedy of this target is known to mend
	HealPlatformDown   HealReason = "platform_down"    // the place itself does not answer
	HealPlaceUnfit     HealReason = "place_unfit"      // the place is not as it must be to be mended
	HealUnderWay       HealReason = "deploy_under_way" // somebody else is deploying
	HealNothingGood    HealReason = "nothing_good"     // no version is known to have run well
	HealNotOptedIn     HealReason = "not_opted_in"     // the configuration does not allow it without a person
	HealNothingToWrite HealReason = "nothing_to_write"
	HealWriteFailed    HealReason = "write_failed"
	HealStartFailed    HealReason = "start_failed"
	HealStartTooLong   HealReason = "start_too_long"
	HealNotVerified    HealReason = "not_verified" // it runs again and is still not well from outside
	HealInterrupted    HealReason = "interrupted"  // whoever did it died, and too much time has passed to go on
	HealOvertaken      HealReason = "overtaken"    // somebody else has taken it over
	HealUnrecorded     HealReason = "unrecorded"   // it could not be written down, so nothing was done
)

// HealRefusal is why nothing is done: a result like any other, with a reason for programs and a sentence for people.
type HealRefusal struct {
	Reason   HealReason
	Sentence string // a full sentence, free of secrets
	Attempt  string // the one that runs already, for HealBusy
}

// Error joins reason and sentence.
func (r *HealRefusal) Error() string { return string(r.Reason) + ": " + r.Sentence }

// AttemptStep is one step of an attempt.
type AttemptStep struct {
	Phase     HealPhase `json:"phase"`
	Name      string    `json:"name"`
	Says      string    `json:"says"` // what it does, for people
	State     StepPlace `json:"state"`
	Note      string    `json:"note,omitempty"` // how it went; free of secrets
	StartedAt time.Time `json:"started_at,omitzero"`
	EndedAt   time.Time `json:"ended_at,omitzero"`
}

// HealPhase is what a step is for. Only apply and rollback change anything.
type HealPhase string

// The phases, in their order.
const (
	PhasePrecheck HealPhase = "precheck"
	PhasePlan     HealPhase = "plan"
	PhaseApply    HealPhase = "apply"
	PhaseVerify   HealPhase = "verify"
	PhaseRollback HealPhase = "rollback"
	PhaseAfter    HealPhase = "after" // what the outage left behind
)

// StepPlace is how far a step has come.
type StepPlace string

// The places of a step. A step that was running when its process died is done again or looked for, never assumed.
const (
	PlacePending StepPlace = "pending"
	PlaceRunning StepPlace = "running"
	PlaceDone    StepPlace = "done"
	PlaceFailed  StepPlace = "failed"
	PlaceSkipped StepPlace = "skipped"
)

// Step returns the step of a name; nil when there is none.
func (a *HealAttempt) Step(name string) *AttemptStep {
	for k := range a.Steps {
		if a.Steps[k].Name == name {
			return &a.Steps[k]
		}
	}
	return nil
}

// Enter marks a step as running. Entering one that runs already keeps when it began.
func (a *HealAttempt) Enter(name string, now time.Time) {
	s := a.Step(name)
	if s.State == PlaceRunning {
		return
	}
	s.State, s.StartedAt, s.EndedAt = PlaceRunning, now, time.Time{}
}

// Leave marks a step as done, failed or skipped.
func (a *HealAttempt) Leave(name string, how StepPlace, note string, now time.Time) {
	s := a.Step(name)
	if s.StartedAt.IsZero() {
		s.StartedAt = now
	}
	s.State, s.Note, s.EndedAt = how, note, now
}

// End ends the attempt. What was still to be done is skipped. Ending twice changes nothing: the first end is what happened.
func (a *HealAttempt) End(state AttemptState, reason HealReason, detail string, now time.Time) {
	if a.State != AttemptRunning && a.State != "" {
		return
	}
	a.State, a.Reason, a.Detail, a.EndedAt, a.LeaseUntil = state, reason, detail, now, time.Time{}
	for k := range a.Steps {
		if s := &a.Steps[k]; s.State == PlacePending || s.State == PlaceRunning {
			s.State = PlaceSkipped
		}
	}
}

// Acted reports whether the attempt may have changed anything: a step that changes things was entered.
func (a *HealAttempt) Acted() bool {
	return slices.ContainsFunc(a.Steps, func(s AttemptStep) bool {
		return (s.Phase == PhaseApply || s.Phase == PhaseRollback) && !s.StartedAt.IsZero()
	})
}

// Brake keeps everything from being mended without a person, and a person too: who put it on takes it off.
type Brake struct {
	On    bool      `json:"on"`
	By    string    `json:"by"`
	Why   string    `json:"why"`
	At    time.Time `json:"at,omitzero"`
	Until time.Time `json:"until,omitzero"` // it ends by itself then; zero is never
}

// Holds reports whether the brake is on at a time.
func (b Brake) Holds(now time.Time) bool {
	return b.On && (b.Until.IsZero() || now.Before(b.Until))
}

// HealLimits bound how often anything is mended. What has not helped twice will not help the third time, and a healer that
// goes on for ever is an outage of its own (watch-alert-heal: pitfall 3).
type HealLimits struct {
	PerTarget       int
	PerTargetWithin time.Duration
	Overall         int
	OverallWithin   time.Duration
}

// DefaultHealLimits are two attempts at a target within half an hour, and four at all of them within an hour.
var DefaultHealLimits = HealLimits{PerTarget: 2, PerTargetWithin: 30 * time.Minute, Overall: 4, OverallWithin: time.Hour}

// Window is how far back attempts count.
func (l HealLimits) Window() time.Duration { return max(l.PerTargetWithin, l.OverallWithin) }

// HealStanding is what the ledger of attempts says: all that decides whether another one may begin.
type HealStanding struct {
	Brake   Brake
	Running []HealAttempt // without an end, whoever has them
	Lately  []HealAttempt // that began within HealLimits.Window, refusals left out; those that run are among them
}

// Admit decides whether an attempt at a target may begin now; nil is yes, and *HealRefusal says why not. The store asks it in
// the transaction that writes the attempt down, so that two who ask at once cannot both be admitted.
//
// Attempts that seem to begin in the future count: the clock was set back, and what cannot be placed must not be forgotten.
func (s HealStanding) Admit(target string, l HealLimits, now time.Time) *HealRefusal {
	if s.Brake.Holds(now) {
		return &HealRefusal{Reason: HealPaused, Sentence: s.Brake.sentence()}
	}
	if len(s.Running) > 0 {
		a := s.Running[0]
		return &HealRefusal{Reason: HealBusy, Attempt: a.ID, Sentence: fmt.Sprintf("Attempt %s at %s is under way since %s; only one runs at a time.",
			a.ID, a.Target, a.StartedAt.UTC().Format(time.RFC3339))}
	}
	if n := s.count(target, l.PerTargetWithin, now); n >= l.PerTarget {
		return &HealRefusal{Reason: HealTargetLimit, Sentence: fmt.Sprintf("%d attempts at %s within %v did not last; a person has to look at it.", n, target, l.PerTargetWithin)}
	}
	if n := s.count("", l.OverallWithin, now); n >= l.Overall {
		return &HealRefusal{Reason: HealOverallLimit, Sentence: fmt.Sprintf("%d attempts at all targets within %v; a person has to look at what goes on.", n, l.OverallWithin)}
	}
	return nil
}

// count is how many attempts at a target, "" for all of them, count within a time.
func (s HealStanding) count(target string, within time.Duration, now time.Time) (n int) {
	for _, a := range s.Lately {
		if (target == "" || a.Target == target) && now.Sub(a.CountsAt) < within {
			n++
		}
	}
	return n
}

// Left is how many more attempts at a target the limits admit now, whatever else stands in their way.
func (s HealStanding) Left(target string, l HealLimits, now time.Time) int {
	return max(0, min(l.PerTarget-s.count(target, l.PerTargetWithin, now), l.Overall-s.count("", l.OverallWithin, now)))
}

func (b Brake) sentence() string {
	until := "until somebody takes it off"
	if !b.Until.IsZero() {
		until = "until " + b.Until.UTC().Format(time.RFC3339)
	}
	return fmt.Sprintf("The brake is on %s, put on by %s: %s.", until, b.By, b.Why)
}
