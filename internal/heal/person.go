package heal

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/host"
	"github.com/makegood/makegood/internal/vault"
)

// Planned is what would be done at a target, for people. It has names and never values.
type Planned struct {
	Target string   `json:"target"`
	Kind   string   `json:"kind"`
	Auto   bool     `json:"auto"`
	Remedy string   `json:"remedy,omitempty"`
	Fault  string   `json:"fault,omitempty"`
	Names  []string `json:"names,omitempty"` // of the variables that would be written
	Steps  []string `json:"steps,omitempty"` // in words
	Cause  string   `json:"cause,omitempty"`
	// Reason and Refusal are why nothing would be done; "" when something would.
	Reason  makegood.HealReason `json:"reason,omitempty"`
	Refusal string              `json:"refusal,omitempty"`
}

// Plan says what would be done at a target if a person asked for it now, and does nothing.
func (h *Healer) Plan(ctx context.Context, name, actor string, all bool) (Planned, error) {
	t, err := h.Target(name)
	if err != nil {
		return Planned{}, err
	}
	planned := Planned{Target: t.Name, Kind: t.Place.Kind(), Auto: t.Auto}
	standing, err := h.standing(ctx)
	if err != nil {
		return planned, err
	}
	no := standing.Admit(t.Name, h.Limits, h.Now())
	p, other := h.precheck(ctx, t, asking{actor: actor, byHand: true, all: all, written: written(standing, t)})
	if no == nil {
		no = other
	}
	planned.Remedy, planned.Fault, planned.Names, planned.Cause = p.remedy.Name, string(p.fault), p.names, p.survey.Cause
	if p.remedy.Name != "" {
		for _, s := range p.remedy.copied(t, p.names, p.survey.Good) {
			planned.Steps = append(planned.Steps, s.Says)
		}
	}
	if no != nil {
		planned.Reason, planned.Refusal = no.Reason, no.Sentence
	}
	return planned, ctx.Err()
}

// Mend mends a target because a person asked. It skips the patience and needs no opt-in; every guard and every limit holds. The
// attempt that is returned has ended, unless ctx ended first; it is on the record of the incident that is open at the target,
// if there is one. Why nothing is done is *makegood.HealRefusal, and is written down too; whoever finds another attempt under
// way is told which (HealBusy), and so is whoever loses this one on the way (HealOvertaken).
func (h *Healer) Mend(ctx context.Context, name, actor string, all bool, progress func(makegood.HealAttempt)) (makegood.HealAttempt, error) {
	t, err := h.Target(name)
	if err != nil {
		return makegood.HealAttempt{}, err
	}
	who := asking{actor: actor, byHand: true, all: all}
	troubles, err := h.Outside.Troubles(ctx)
	if err != nil {
		return makegood.HealAttempt{}, err
	}
	patient := t
	patient.Patience = 0
	who.trouble, _ = h.due(patient, troubles)
	standing, err := h.standing(ctx)
	if err != nil {
		return makegood.HealAttempt{}, err
	}
	if no := standing.Admit(t.Name, h.Limits, h.Now()); no != nil {
		h.refuse(ctx, t, who, no, nil)
		return makegood.HealAttempt{}, no
	}
	who.written = written(standing, t)
	p, no := h.precheck(ctx, t, who)
	if ctx.Err() != nil {
		return makegood.HealAttempt{}, ctx.Err()
	}
	if no != nil {
		h.refuse(ctx, t, who, no, p.steps)
		return makegood.HealAttempt{Target: t.Name, Steps: p.steps}, no
	}
	a, err := h.begin(ctx, t, who, p, progress)
	if errors.As(err, &no) { // somebody was quicker
		h.refuse(ctx, t, who, no, p.steps)
		return makegood.HealAttempt{}, no
	}
	if err == nil && ctx.Err() == nil && a.State == makegood.AttemptRunning {
		return a, &makegood.HealRefusal{Reason: makegood.HealOvertaken, Attempt: a.ID,
			Sentence: fmt.Sprintf("Attempt %s could not be written down for a while, or is in other hands; whoever has it goes on with it.", a.ID)}
	}
	return a, err
}

// Drift compares a target with its source of truth, and says what it lacks: "" is nothing. It changes nothing there. While it
// lacks nothing and is well, it is remembered as what a rollback may go back to. err is that nothing can be said.
func (h *Healer) Drift(ctx context.Context, t Target) (trouble string, err error) {
	differences, survey, err := h.Compare(ctx, t)
	if err != nil {
		return "", err
	}
	var lacks []string
	writes := vault.ToWrite(differences)
	for _, d := range differences {
		for _, name := range writes {
			if d.Name == name {
				lacks = append(lacks, fmt.Sprintf("%s is %s", d.Name, d.What))
			}
		}
	}
	if len(lacks) == 0 {
		h.rememberWell(ctx, t, survey)
		return "", nil
	}
	trouble = strings.Join(lacks, "; ")
	if survey.Cause != "" {
		trouble += ". Likely cause: " + survey.Cause
	}
	return trouble, nil
}

// Compare compares a target with its source of truth.
func (h *Healer) Compare(ctx context.Context, t Target) ([]vault.Difference, host.Survey, error) {
	asked, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	survey, err := t.Place.Survey(asked)
	if err != nil {
		return nil, survey, err
	}
	truth, refusals, err := h.Truth(ctx, t)
	if err != nil {
		return nil, survey, err
	}
	if len(refusals) > 0 {
		return nil, survey, refusals[0]
	}
	return vault.Compare(t.Needs, truth, heldBy(survey)), survey, nil
}

// Credential says what is wrong with the credential of a target, before it is needed: "" is nothing. That the place does not
// answer says nothing of the credential.
func (h *Healer) Credential(ctx context.Context, t Target) (trouble string, err error) {
	asked, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	err = t.Place.Check(asked)
	var d *host.Diagnosis
	switch {
	case err == nil:
		return "", nil
	case !errors.As(err, &d), d.Fault == host.PlatformDown, d.Fault == host.Limited:
		return "", err
	}
	return fmt.Sprintf("%s: %s", d.Fault, sentenceOf(err)), nil
}

// Source says what is wrong with the source of truth of a target: "" is nothing.
func (h *Healer) Source(ctx context.Context, t Target) (trouble string, err error) {
	_, refusals, err := h.Truth(ctx, t)
	if err != nil {
		return "", err
	}
	var all []string
	for _, r := range refusals {
		all = append(all, fmt.Sprintf("%s: %s", r.Reason, r.Sentence))
	}
	return strings.Join(all, " "), nil
}
