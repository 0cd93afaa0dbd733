package heal

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/host"
	"github.com/makegood/makegood/internal/vault"
)

// Standing is what the ledger says now.
func (h *Healer) Standing(ctx context.Context) (makegood.HealStanding, error) { return h.standing(ctx) }

// Resume goes on with attempts that somebody died over, and begins none: for whoever mends by hand where no Run does it.
func (h *Healer) Resume(ctx context.Context) { h.resume(ctx) }

// Verify looks at a target from outside until it was well as often in a row as it must be; trouble "" is well. It changes
// nothing. Without any way to look it says so.
func (h *Healer) Verify(ctx context.Context, t Target) (trouble string) {
	begun, well := time.Now(), 0
	for {
		looking, cancel := context.WithTimeout(ctx, askTimeout)
		trouble = t.Verify(looking)
		cancel()
		switch {
		case trouble == "" && well+1 >= t.Steady:
			return ""
		case trouble == "":
			well++
		case time.Since(begun) >= t.VerifyWithin:
			return trouble
		default:
			well = 0
		}
		if !pause(ctx, t.VerifyEvery) {
			return "it was not looked at to the end"
		}
	}
}

// Pushed is what was written to a target, or would be.
type Pushed struct {
	Target       string            `json:"target"`
	Names        []string          `json:"names"`                  // of the variables
	Fingerprints map[string]string `json:"fingerprints,omitempty"` // of what was written, by name
	Wrote        bool              `json:"wrote"`
}

// Push writes variables to a target from its source of truth and starts nothing: names, or, without any, what is missing, empty
// or wrong. The guards are those of mending, but for the limits, which bound starts: the brake, one hand at a time, the
// credential, and the source of truth. With dry it writes nothing. record is called with the names before anything is written,
// and what it returns keeps it from being written. Why nothing is done is *makegood.HealRefusal.
func (h *Healer) Push(ctx context.Context, name string, names []string, dry bool, record func(Pushed) error) (Pushed, error) {
	t, err := h.Target(name)
	if err != nil {
		return Pushed{}, err
	}
	writer, writes := t.Place.(host.Writer)
	if !writes || t.Truth == nil {
		return Pushed{}, makegood.Errorf(makegood.Invalid, "%s takes no variables from here: it is a %s, or the configuration has no section secrets.", t.Name, t.Place.Kind())
	}
	if err := h.mayPush(ctx); err != nil {
		return Pushed{}, err
	}
	if no := h.credential(ctx, t); no != nil {
		return Pushed{}, no
	}
	truth, no := h.truth(ctx, t)
	if no != nil {
		return Pushed{}, no
	}
	p := Pushed{Target: t.Name, Names: names}
	if len(names) == 0 {
		if p.Names, err = h.lacking(ctx, t, truth); err != nil {
			return p, err
		}
	}
	if len(p.Names) == 0 {
		return p, nil
	}
	settings, err := settingsOf(t, truth, p.Names)
	if err != nil || dry {
		return p, err
	}
	if err := record(p); err != nil {
		return p, err
	}
	writing, cancel := context.WithTimeout(context.WithoutCancel(ctx), actTimeout)
	defer cancel()
	if err := writer.Write(writing, settings); err != nil {
		return p, &makegood.HealRefusal{Reason: makegood.HealWriteFailed, Sentence: "The variables could not be written, or not all of them: " + sentenceOf(err)}
	}
	p.Wrote, p.Fingerprints = true, map[string]string{}
	for _, s := range settings {
		p.Fingerprints[s.Name] = s.Value.Fingerprint()
	}
	return p, nil
}

// mayPush asks the brake, and whether another hand is at work.
func (h *Healer) mayPush(ctx context.Context) error {
	standing, err := h.standing(ctx)
	if err != nil {
		return err
	}
	standing.Lately = nil
	if no := standing.Admit("", makegood.HealLimits{PerTarget: 1, Overall: 1}, h.Now()); no != nil {
		return no
	}
	return nil
}

// lacking are the names that a place lacks, as Classify would have them written.
func (h *Healer) lacking(ctx context.Context, t Target, truth vault.Truth) ([]string, error) {
	asked, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	survey, err := t.Place.Survey(asked)
	if no := refusalOf(t, err); no != nil {
		return nil, no
	}
	names := vault.ToWrite(vault.Compare(t.Needs, truth, heldBy(survey)))
	if t.Reported != nil {
		for _, wrong := range t.Reported(vault.Remember(truth).Fingerprints) {
			if !slices.Contains(names, wrong) && slices.ContainsFunc(t.Needs, func(n vault.Need) bool { return n.Name == wrong }) {
				names = append(names, wrong)
			}
		}
	}
	return names, nil
}

// settingsOf are the values of names that are all required at the target, none of them empty.
func settingsOf(t Target, truth vault.Truth, names []string) ([]host.Setting, error) {
	for _, name := range names {
		if !slices.ContainsFunc(t.Needs, func(n vault.Need) bool { return n.Name == name }) {
			var there []string
			for _, n := range t.Needs {
				there = append(there, n.Name)
			}
			return nil, makegood.Errorf(makegood.Invalid, "A name is not in the list of what is required at %s; there are %s.", t.Name, listed(there))
		}
	}
	values, err := vault.Settings(truth, names)
	var r *vault.Refusal
	if errors.As(err, &r) {
		return nil, &makegood.HealRefusal{Reason: makegood.HealReason("truth_" + r.Reason), Sentence: r.Sentence}
	}
	if err != nil {
		return nil, fmt.Errorf("take values from the source of truth: %w", err)
	}
	var settings []host.Setting
	for _, v := range values {
		settings = append(settings, host.Setting(v))
	}
	return settings, nil
}
