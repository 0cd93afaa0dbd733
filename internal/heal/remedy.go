package heal

import (
	"fmt"
	"strings"

	"github.com/makegood/makegood"
)

// The names of the steps. The first seven, in this order, are those of the drill book that this began with: look again, verify
// the credential, write, deploy again, wait, verify, tell.
const (
	stepRecheck    = "recheck"
	stepCredential = "credential"
	stepPlan       = "plan"
	stepWrite      = "write"
	stepStart      = "start"
	stepWait       = "wait"
	stepVerify     = "verify"
	stepServe      = "serve"
	stepTell       = "tell"
	stepRollback   = "rollback"
)

// Remedy is what is known to mend one fault: its steps, which are copied onto each attempt.
type Remedy struct {
	Name  string
	Fault makegood.HealFault
	steps []string
}

// remedies is the table of what is known.
func remedies() []Remedy {
	return []Remedy{
		{"restore-secrets", makegood.FaultSecretMissing,
			[]string{stepRecheck, stepCredential, stepPlan, stepWrite, stepStart, stepWait, stepVerify, stepServe, stepTell, stepRollback}},
		{"restore-names", makegood.FaultSecretDrift, []string{stepRecheck, stepCredential, stepPlan, stepWrite, stepVerify, stepTell}},
		{"start-again", makegood.FaultStopped,
			[]string{stepRecheck, stepCredential, stepPlan, stepStart, stepWait, stepVerify, stepServe, stepTell}},
		{"restart-workers", makegood.FaultWorkersStuck, []string{stepRecheck, stepPlan, stepStart, stepWait, stepVerify, stepTell}},
		{"dispatch", makegood.FaultElsewhere,
			[]string{stepRecheck, stepCredential, stepPlan, stepStart, stepWait, stepVerify, stepServe, stepTell}},
		{"restore-all", makegood.FaultByHand,
			[]string{stepRecheck, stepCredential, stepPlan, stepWrite, stepStart, stepWait, stepVerify, stepServe, stepTell, stepRollback}},
	}
}

// remedyFor returns the remedy that is known for a fault, and false when there is none.
func remedyFor(f makegood.HealFault) (Remedy, bool) {
	for _, r := range remedies() {
		if r.Fault == f {
			return r, true
		}
	}
	return Remedy{}, false
}

// Remedies lists the names of all remedies, for documents and tests.
func Remedies() []string {
	var names []string
	for _, r := range remedies() {
		names = append(names, r.Name)
	}
	return names
}

// copied are the steps of the remedy as they go onto an attempt at a target.
func (r Remedy) copied(t Target, names []string, good string) []makegood.AttemptStep {
	var steps []makegood.AttemptStep
	for _, name := range r.steps {
		if name == stepServe && t.Serve == nil {
			continue
		}
		steps = append(steps, makegood.AttemptStep{Phase: phaseOf(name), Name: name, Says: says(name, t, names, good), State: makegood.PlacePending})
	}
	return steps
}

func phaseOf(step string) makegood.HealPhase {
	switch step {
	case stepRecheck, stepCredential:
		return makegood.PhasePrecheck
	case stepPlan:
		return makegood.PhasePlan
	case stepWrite, stepStart, stepWait:
		return makegood.PhaseApply
	case stepVerify:
		return makegood.PhaseVerify
	case stepRollback:
		return makegood.PhaseRollback
	}
	return makegood.PhaseAfter
}

func says(step string, t Target, names []string, good string) string {
	switch step {
	case stepRecheck:
		return "look again whether it is still broken"
	case stepCredential:
		return "verify the credential of " + t.Name
	case stepPlan:
		return "compare " + t.Name + " with the source of truth"
	case stepWrite:
		return "write " + listed(names)
	case stepStart:
		if good != "" {
			return "start the last good version again: " + good
		}
		return "start it again"
	case stepWait:
		return fmt.Sprintf("wait until it runs, at most %v", t.StartWithin)
	case stepVerify:
		return "verify from outside that it is well and stays well"
	case stepServe:
		return "serve those who waited"
	case stepTell:
		return "tell how it went"
	case stepRollback:
		return "if it did not help: run again what ran before"
	}
	panic("unreachable: no such step: " + step)
}

func listed(names []string) string {
	if len(names) == 0 {
		return "nothing"
	}
	return strings.Join(names, ", ")
}
