package api

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/heal"
	"github.com/makegood/makegood/internal/secret"
	"github.com/makegood/makegood/internal/vault"
)

// Healing answers what operators ask of a healer: how things stand, what would be done, and to do it. No answer has a value of a
// secret in it.
type Healing struct {
	Healer *heal.Healer
	Ledger HealLedger
	// Attempts lists the newest attempts at a target, refusals included.
	Attempts func(ctx context.Context, target string, most int) ([]makegood.HealAttempt, error)
	// Mend begins an attempt that goes on when whoever asked has gone away, and returns as soon as it has begun, or will not.
	Mend func(ctx context.Context, target, actor string, all bool) (HealBegun, error)
	// Secrets says how every required secret stands at every place.
	Secrets func(ctx context.Context) ([]SecretAt, error)
}

// HealLedger is what is kept of attempts.
type HealLedger interface {
	Attempt(ctx context.Context, id string) (makegood.HealAttempt, error)
	HealBrake(ctx context.Context) (makegood.Brake, error)
	SetHealBrake(ctx context.Context, b makegood.Brake) error
	Record(ctx context.Context, actor string, e makegood.Entry) error
}

// OwnRoutes lists what operators may ask of a server that mends something of itself: how that stands, and the brake.
func (h *Healing) OwnRoutes() map[string]Handler {
	return map[string]Handler{"GET /api/admin/heal": h.status, "POST /api/admin/heal/brake": h.brake}
}

// AdminRoutes lists what operators may ask; see Admin.
func (h *Healing) AdminRoutes() map[string]Handler {
	return map[string]Handler{
		"GET /api/admin/heal":                        h.status,
		"GET /api/admin/heal/attempts/{id}":          h.attempt,
		"POST /api/admin/heal/brake":                 h.brake,
		"POST /api/admin/heal/targets/{name}/plan":   h.plan,
		"POST /api/admin/heal/targets/{name}/run":    h.run,
		"POST /api/admin/heal/targets/{name}/verify": h.verify,
		"POST /api/admin/heal/targets/{name}/push":   h.push,
		"POST /api/admin/heal/targets/{name}/accept": h.accept,
		"GET /api/admin/heal/secrets":                h.secrets,
		"GET /api/admin/heal/targets/{name}/lacks":   h.lacks,
	}
}

// HealAttemptView is an attempt as operators see it.
type HealAttemptView struct {
	ID         string                 `json:"id"`
	Target     string                 `json:"target"`
	Remedy     string                 `json:"remedy,omitempty"`
	Fault      makegood.HealFault     `json:"fault,omitempty"`
	IncidentID string                 `json:"incident_id,omitempty"`
	Actor      string                 `json:"actor"`
	State      makegood.AttemptState  `json:"state"`
	Reason     makegood.HealReason    `json:"reason,omitempty"`
	Detail     string                 `json:"detail,omitempty"`
	Names      []string               `json:"names,omitempty"`
	Run        string                 `json:"run,omitempty"`
	Steps      []makegood.AttemptStep `json:"steps,omitempty"`
	StartedAt  time.Time              `json:"started_at,omitzero"`
	EndedAt    time.Time              `json:"ended_at,omitzero"`
}

// HealAttemptViewOf is the view of an attempt.
func HealAttemptViewOf(a makegood.HealAttempt) HealAttemptView {
	return HealAttemptView{a.ID, a.Target, a.Remedy, a.Fault, a.IncidentID, a.Actor, a.State, a.Reason, a.Detail, a.Names, a.Run, a.Steps, a.StartedAt, a.EndedAt}
}

func viewsOf(all []makegood.HealAttempt) []HealAttemptView {
	views := make([]HealAttemptView, len(all))
	for k, a := range all {
		views[k] = HealAttemptViewOf(a)
	}
	return views
}

// HealAnswer is how something stands that was asked about now.
type HealAnswer struct {
	Trouble string `json:"trouble,omitempty"` // "" is well, unless it is unknown
	Unknown string `json:"unknown,omitempty"` // why nothing can be said
}

// HealTargetView is how a target stands.
type HealTargetView struct {
	Name       string            `json:"name"`
	Kind       string            `json:"kind"`
	Auto       bool              `json:"auto"`
	Drill      bool              `json:"drill"`
	Credential *HealAnswer       `json:"credential,omitempty"`
	Source     *HealAnswer       `json:"source_of_truth,omitempty"` // none where no variables are written
	Drift      *HealAnswer       `json:"drift,omitempty"`
	Left       int               `json:"attempts_left"` // within the limits
	Lately     []HealAttemptView `json:"attempts"`      // the newest, refusals included
	Now        *heal.Planned     `json:"now,omitempty"` // what would be done
}

// HealStatus is how everything stands.
type HealStatus struct {
	Brake   *makegood.Brake   `json:"brake,omitempty"` // only while it holds
	Running []HealAttemptView `json:"running"`
	Targets []HealTargetView  `json:"targets"`
}

const (
	// latelyMax is how many attempts a status shows of each target.
	latelyMax = 5
	// askedTogether is how many targets are asked at once.
	askedTogether = 4
)

func (h *Healing) status(w http.ResponseWriter, r *http.Request) error {
	standing, err := h.Healer.Standing(r.Context())
	if err != nil {
		return err
	}
	s := HealStatus{Running: viewsOf(standing.Running)}
	if now := h.Healer.Now(); standing.Brake.Holds(now) {
		s.Brake = &standing.Brake
	}
	targets := h.Healer.Targets()
	s.Targets = make([]HealTargetView, len(targets))
	errs := make([]error, len(targets))
	places := make(chan struct{}, askedTogether)
	var asking sync.WaitGroup
	for k, t := range targets {
		places <- struct{}{}
		asking.Go(func() {
			defer func() { <-places }()
			s.Targets[k], errs[k] = h.stands(r.Context(), t, standing, actor(r))
		})
	}
	asking.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, s)
	return nil
}

// stands is how a target stands. What cannot be asked is said in its place, so that one that does not answer hides no other.
func (h *Healing) stands(ctx context.Context, t heal.Target, standing makegood.HealStanding, actor string) (HealTargetView, error) {
	v := HealTargetView{Name: t.Name, Kind: t.Place.Kind(), Auto: t.Auto, Drill: t.Drill, Left: standing.Left(t.Name, h.Healer.Limits, h.Healer.Now())}
	lately, err := h.Attempts(ctx, t.Name, latelyMax)
	if err != nil {
		return v, err
	}
	v.Lately = viewsOf(lately)
	v.Credential = answered(h.Healer.Credential(ctx, t))
	if t.Truth != nil {
		v.Source = answered(h.Healer.Source(ctx, t))
		v.Drift = answered(h.Healer.Drift(ctx, t))
	}
	planned, err := h.Healer.Plan(ctx, t.Name, actor, false)
	v.Now = &planned
	return v, err
}

func answered(trouble string, err error) *HealAnswer {
	if err == nil {
		return &HealAnswer{Trouble: trouble}
	}
	var r *vault.Refusal
	if errors.As(err, &r) {
		return &HealAnswer{Unknown: r.Sentence}
	}
	return &HealAnswer{Unknown: err.Error()}
}

func (h *Healing) attempt(w http.ResponseWriter, r *http.Request) error {
	a, err := h.Ledger.Attempt(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, HealAttemptViewOf(a))
	return nil
}

// HealBrakeAsk puts the brake on or takes it off.
type HealBrakeAsk struct {
	On   bool          `json:"on"`
	Why  string        `json:"why,omitempty"`
	Hold time.Duration `json:"hold_ns,omitempty"` // for how long; 0 is until somebody takes it off
}

// brakeWhyMax bounds the reason, in bytes.
const brakeWhyMax = 1000

func (h *Healing) brake(w http.ResponseWriter, r *http.Request) error {
	var ask HealBrakeAsk
	if err := readJSON(w, r, &ask); err != nil {
		return err
	}
	switch {
	case ask.On && strings.TrimSpace(ask.Why) == "":
		return makegood.Errorf(makegood.Invalid, "Say why nothing is to be mended; the next person reads it.")
	case len(ask.Why) > brakeWhyMax:
		return makegood.Errorf(makegood.Invalid, "The reason has at most %d bytes.", brakeWhyMax)
	case ask.Hold < 0:
		return makegood.Errorf(makegood.Invalid, "The brake cannot end in the past.")
	}
	now := h.Healer.Now()
	if !ask.On {
		was, err := h.Ledger.HealBrake(r.Context())
		if err != nil {
			return err
		}
		if !was.Holds(now) {
			return makegood.Errorf(makegood.Conflict, "The brake is not on.")
		}
	}
	b := makegood.Brake{On: ask.On, By: actor(r), Why: strings.TrimSpace(ask.Why), At: now.UTC()}
	if ask.On && ask.Hold > 0 {
		b.Until = now.Add(ask.Hold).UTC()
	}
	if err := h.Ledger.SetHealBrake(r.Context(), b); err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, b)
	return nil
}

// HealAsk is the request of a plan and of a run.
type HealAsk struct {
	All bool `json:"all"` // write every variable, and start again, whatever is seen
}

func (h *Healing) plan(w http.ResponseWriter, r *http.Request) error {
	var ask HealAsk
	if err := readJSON(w, r, &ask); err != nil {
		return err
	}
	planned, err := h.Healer.Plan(r.Context(), r.PathValue("name"), actor(r), ask.All)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, planned)
	return nil
}

// HealRefused is why nothing is done.
type HealRefused struct {
	Reason   makegood.HealReason `json:"reason"`
	Sentence string              `json:"sentence"`
	Attempt  string              `json:"attempt,omitempty"` // that is under way, for the reason busy
}

// HealBegun is the answer of a run: an attempt that has begun, or why none has, with the steps that were made before it was
// refused.
type HealBegun struct {
	Attempt *HealAttemptView       `json:"attempt,omitempty"`
	Refused *HealRefused           `json:"refused,omitempty"`
	Steps   []makegood.AttemptStep `json:"steps,omitempty"`
}

func (h *Healing) run(w http.ResponseWriter, r *http.Request) error {
	var ask HealAsk
	if err := readJSON(w, r, &ask); err != nil {
		return err
	}
	begun, err := h.Mend(r.Context(), r.PathValue("name"), actor(r), ask.All)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, begun)
	return nil
}

func (h *Healing) verify(w http.ResponseWriter, r *http.Request) error {
	t, err := h.Healer.Target(r.PathValue("name"))
	if err != nil {
		return err
	}
	// The answer may come later than any other; a writer that cannot wait is that of a test.
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(t.VerifyWithin + time.Minute))
	writeJSON(w, http.StatusOK, HealAnswer{Trouble: h.Healer.Verify(r.Context(), t)})
	return nil
}

// accept forgets what was known of a source of truth, and says what is wrong with it all the same.
func (h *Healing) accept(w http.ResponseWriter, r *http.Request) error {
	t, err := h.Healer.Target(r.PathValue("name"))
	if err != nil {
		return err
	}
	if t.Truth == nil {
		return makegood.Errorf(makegood.Invalid, "%s has no source of truth.", t.Name)
	}
	if err := h.Ledger.Record(r.Context(), actor(r), makegood.Entry{Action: "secrets.accepted", Target: t.Name}); err != nil {
		return err
	}
	if err := h.Healer.Forget(r.Context(), t); err != nil {
		return err
	}
	trouble, err := h.Healer.Source(r.Context(), t)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, HealAnswer{Trouble: trouble})
	return nil
}

// SecretsPushAsk is the request of writing variables to a target.
type SecretsPushAsk struct {
	Names []string `json:"names,omitempty"` // none is what the target lacks
	Dry   bool     `json:"dry"`             // only says which
}

// SecretsPushed is its answer.
type SecretsPushed struct {
	heal.Pushed
	Refused *HealRefused `json:"refused,omitempty"`
}

func (h *Healing) push(w http.ResponseWriter, r *http.Request) error {
	var ask SecretsPushAsk
	if err := readJSON(w, r, &ask); err != nil {
		return err
	}
	who := actor(r)
	record := func(action string, p heal.Pushed) error {
		return h.Ledger.Record(context.WithoutCancel(r.Context()), who, makegood.Entry{Action: action, Target: p.Target, After: strings.Join(p.Names, ", ")})
	}
	// Written down before it is done: after a crash the audit names what may have been written, and never misses any.
	p, err := h.Healer.Push(r.Context(), r.PathValue("name"), ask.Names, ask.Dry, func(p heal.Pushed) error { return record("secrets.pushed", p) })
	var no *makegood.HealRefusal
	if errors.As(err, &no) {
		if no.Reason == makegood.HealWriteFailed {
			if err := record("secrets.push_failed", p); err != nil {
				return err
			}
		}
		writeJSON(w, http.StatusOK, SecretsPushed{Pushed: p, Refused: HealRefusedOf(no)})
		return nil
	}
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, SecretsPushed{Pushed: p})
	return nil
}

// HealRefusedOf is a refusal as it is answered.
func HealRefusedOf(no *makegood.HealRefusal) *HealRefused {
	return &HealRefused{no.Reason, no.Sentence, no.Attempt}
}

// SecretState is how a required secret stands at a place. Stable: scripts read it.
type SecretState string

// The states.
const (
	SecretGood       SecretState = "good"
	SecretThere      SecretState = "there" // and nobody can read whether it is right
	SecretLeftOut    SecretState = "left_out"
	SecretSoon       SecretState = "ends_soon"
	SecretMissing    SecretState = "missing"
	SecretEmpty      SecretState = "empty"
	SecretWrong      SecretState = "wrong"
	SecretBroken     SecretState = "broken"
	SecretEnded      SecretState = "ended"
	SecretUnbelieved SecretState = "not_believed" // the source of truth as a whole
	SecretUnasked    SecretState = "unknown"      // the place could not be asked
)

// IsWrong reports whether somebody has to do something.
func (s SecretState) IsWrong() bool {
	switch s {
	case SecretGood, SecretThere, SecretLeftOut, SecretSoon:
		return false
	}
	return true
}

// SecretAt is a required secret at a place: the source of truth, a target, or the running server. It has fingerprints and no
// values.
type SecretAt struct {
	Name        string       `json:"name,omitempty"` // "" is the place as a whole
	Place       string       `json:"place"`
	State       SecretState  `json:"state"`
	Class       secret.Class `json:"class,omitempty"` // of what is broken
	Fingerprint string       `json:"fingerprint,omitempty"`
	NotAfter    time.Time    `json:"not_after,omitzero"`
	Says        string       `json:"says,omitempty"`
	IsWrong     bool         `json:"wrong"`
}

func (h *Healing) secrets(w http.ResponseWriter, r *http.Request) error {
	rows, err := h.Secrets(r.Context())
	if err != nil {
		return err
	}
	for k := range rows {
		rows[k].IsWrong = rows[k].State.IsWrong()
	}
	writeJSON(w, http.StatusOK, rows)
	return nil
}

// TargetLacks is how a target differs from the source of truth.
type TargetLacks struct {
	Target      string       `json:"target"`
	Differences []Difference `json:"differences"`
	Cause       string       `json:"cause,omitempty"`
	Unknown     string       `json:"unknown,omitempty"` // why nothing can be said
}

// Difference is one of them, with the fingerprints of both sides where they can be read.
type Difference struct {
	vault.Difference
	There string `json:"there,omitempty"`
	Truth string `json:"truth,omitempty"`
}

func (h *Healing) lacks(w http.ResponseWriter, r *http.Request) error {
	t, err := h.Healer.Target(r.PathValue("name"))
	if err != nil {
		return err
	}
	answer := TargetLacks{Target: t.Name, Differences: []Difference{}}
	if t.Truth == nil {
		answer.Unknown = "No variables are kept for it: it is a " + t.Place.Kind() + ", or the configuration has no section secrets."
		writeJSON(w, http.StatusOK, answer)
		return nil
	}
	differences, survey, err := h.Healer.Compare(r.Context(), t)
	if err != nil {
		answer.Unknown = answered("", err).Unknown
		writeJSON(w, http.StatusOK, answer)
		return nil
	}
	truth, refusals, err := h.Healer.Truth(r.Context(), t)
	if err != nil {
		return err
	}
	answer.Cause = survey.Cause
	for _, d := range differences {
		at := Difference{Difference: d}
		if v, ok := survey.Variable(d.Name); ok {
			at.There = v.Fingerprint
		}
		if v := truth.Values[d.Name]; len(refusals) == 0 && !v.Empty() {
			at.Truth = v.Fingerprint()
		}
		answer.Differences = append(answer.Differences, at)
	}
	writeJSON(w, http.StatusOK, answer)
	return nil
}
