package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/config"
	"github.com/makegood/makegood/internal/heal"
	"github.com/makegood/makegood/internal/host"
	"github.com/makegood/makegood/internal/host/command"
	"github.com/makegood/makegood/internal/host/envfile"
	"github.com/makegood/makegood/internal/host/pages"
	"github.com/makegood/makegood/internal/host/workflow"
	"github.com/makegood/makegood/internal/inspect"
	"github.com/makegood/makegood/internal/monitor"
	"github.com/makegood/makegood/internal/outbound"
	"github.com/makegood/makegood/internal/probe"
	"github.com/makegood/makegood/internal/secret"
	"github.com/makegood/makegood/internal/store"
	"github.com/makegood/makegood/internal/telemetry"
	"github.com/makegood/makegood/internal/vault"
	"github.com/makegood/makegood/internal/watch"
)

// placeTimeout bounds one call to a platform.
const placeTimeout = 10 * time.Second

// newPlace is the table of places that can be mended.
func newPlace(t config.HealTarget, allowPrivate bool, now func() time.Time) (host.Target, error) {
	way := func() *outbound.Client {
		return outbound.New(outbound.Options{Timeout: placeTimeout, AllowPrivate: allowPrivate, NeverRest: true, Now: now})
	}
	switch t.Kind {
	case "cloudflare_pages":
		return pages.New(pages.Options{Account: t.Account, Project: t.Project, Token: t.Token.Value, APIBase: t.APIBase, HTTP: way(), Now: now,
			Look: lookOf(secret.CloudflareToken, "https://dash.cloudflare.com/profile/api-tokens")})
	case "env_file":
		path, err := filepath.Abs(t.Path)
		if err != nil {
			return nil, err
		}
		return envfile.New(envfile.Options{Name: t.Name, Path: path, Command: t.Command, Status: t.Status, Now: now})
	case "command":
		return command.New(command.Options{Name: t.Name, Start: t.Command, Status: t.Status, Now: now})
	case "github_workflow":
		return workflow.New(workflow.Options{Name: t.Name, Base: t.APIBase, Token: t.Token.Value, Repo: t.Repo, Workflow: t.Workflow, Ref: t.Ref, HTTP: way(), Now: now,
			Look: lookOf(secret.GitHubToken, "https://github.com/settings/tokens")})
	}
	return nil, fmt.Errorf("there is no kind of place %q", t.Kind)
}

func lookOf(kind secret.Kind, page string) func(secret.Value) *host.Diagnosis {
	return func(v secret.Value) *host.Diagnosis { return host.Look(v, kind, page) }
}

// newTruth is the table of sources of truth; nil is that there is none.
func newTruth(l config.SecretList, needs []vault.Need, lookup func(string) (string, bool)) vault.Source {
	switch l.Source.Kind {
	case "sealed":
		return laterSealed{l.Source}
	case "directory":
		return vault.Directory{Path: l.Source.Path}
	case "environment":
		var names []string
		for _, n := range needs {
			names = append(names, n.Name)
		}
		return vault.Environment{Names: names, Prefix: l.Source.Prefix, Lookup: lookup}
	}
	return nil
}

// laterSealed is a sealed file whose identity is read when it is opened.
type laterSealed struct{ source config.TruthSource }

// Kind is sealed.
func (l laterSealed) Kind() string { return l.source.Kind }

// Read opens the file.
func (l laterSealed) Read(ctx context.Context) (vault.Truth, error) {
	identity, err := l.source.Identity.Read()
	if err != nil {
		return vault.Truth{}, &vault.Refusal{Reason: vault.Unreadable, Sentence: "The identity that opens the source of truth is not there: " + makegood.MessageOf(err), Err: err}
	}
	return vault.Sealed{Path: l.source.Path, Identity: identity, VerifyKey: l.source.VerifyKey, AllowUnsigned: l.source.AllowUnsigned}.Read(ctx)
}

// NeedsOf is what is required at a place, as the vault reads it.
func NeedsOf(l config.SecretList, place string) []vault.Need {
	var needs []vault.Need
	for _, r := range l.Needs(place) {
		needs = append(needs, vault.Need{Name: r.Name, Kind: r.Kind, Mode: l.Mode, NotAfter: r.NotAfter, Optional: r.Optional})
	}
	return needs
}

// healing is what a watcher, or a server, mends with.
type healing struct {
	alarm  *alarm
	store  *store.Store
	log    *slog.Logger
	now    func() time.Time
	lookup func(string) (string, bool)
	peer   func() *watch.Beating // nil when there is no other side; so is what it returns
	ended  *telemetry.CounterVec // attempts, by how they ended
	healer *heal.Healer
}

// newHealing makes the healer of a program. It mends nothing before Run.
func newHealing(ctx context.Context, a *alarm, node string, peer func() *watch.Beating, o Options) (*healing, error) {
	h := &healing{alarm: a, store: a.o.store, log: o.Log.With("component", "heal"), now: o.Now, lookup: o.Lookup, peer: peer,
		ended: a.o.metrics.Counter("heal_attempts_total", "Attempts at healing that ended, by how they ended.", "state")}
	var raised []string
	open, err := h.store.OpenIncidents(ctx)
	if err != nil {
		return nil, err
	}
	for _, key := range open {
		if check, _, _ := strings.Cut(key, "/"); check == heal.HealRefused || check == heal.HealFailed {
			raised = append(raised, key)
		}
	}
	h.healer = heal.New(heal.Options{Ledger: h.store, Outside: h, Record: h, Holder: node, Now: h.now, NewID: a.newID, Log: h.log,
		Changed: h.changed}, raised...)
	return h, nil
}

// targets is the table of what this watcher may mend.
func (h *healing) targets(c *config.Watch) ([]heal.Target, error) {
	var all []heal.Target
	for _, t := range c.Heal.Targets {
		place, err := newPlace(t, c.Outbound.AllowPrivate, h.now)
		if err != nil {
			return nil, fmt.Errorf("heal target %s: %w", t.Name, err)
		}
		target := heal.Target{Name: t.Name, Place: place, Needs: NeedsOf(c.Secrets, t.Name), Mode: c.Secrets.Mode, When: whenOf(t, c), Auto: t.Auto, Drill: t.Drill,
			Patience: t.After, StartWithin: t.StartWithin, Steady: t.Steady, VerifyEvery: t.VerifyEvery, VerifyWithin: t.VerifyWithin,
			Verify: h.verify(verifiedBy(t, c))}
		if _, writes := place.(host.Writer); writes && c.Secrets.IsSet {
			target.Truth = newTruth(c.Secrets, target.Needs, h.lookup)
		}
		if c.Server != nil {
			target.Serve, target.Reported = h.serve, h.reported(c, t.Name)
		}
		all = append(all, target)
	}
	return all, nil
}

// whenOf are the findings that may come from a target: its monitors, its own list of names, and the server's silence and
// checkouts, which are about what customers feel.
func whenOf(t config.HealTarget, c *config.Watch) []string {
	when := []string{makegood.FindingKey(heal.DriftCheck, t.Name)}
	for _, name := range t.Monitors {
		when = append(when, makegood.FindingKey(MonitorCheck, name))
	}
	if c.Server != nil {
		when = append(when, inspect.ServerSilent, serverPlace+inspect.SecretsMissing)
	}
	for _, k := range c.Checkout {
		when = append(when, makegood.FindingKey(inspect.CheckoutBroken, k.Product))
	}
	return when
}

// serverPlace is the beginning of the keys of what the server says of itself in its beats.
const serverPlace = "server/"

// verifiedBy are the monitors that must be well before a target counts as healed, the order that is tried without paying last.
func verifiedBy(t config.HealTarget, c *config.Watch) []string {
	var keys []string
	for _, name := range t.Monitors {
		keys = append(keys, makegood.FindingKey(MonitorCheck, name))
	}
	if c.Server != nil {
		keys = append(keys, inspect.ServerSilent)
	}
	for _, k := range c.Checkout {
		keys = append(keys, makegood.FindingKey(inspect.CheckoutBroken, k.Product))
	}
	return keys
}

// verify looks at monitors now, from here, as customers would. Without any it looks at nothing and says so: what nobody can see
// was not healed. A monitor that the configuration has no more, or that is not judged here, is left out: that an attempt is under
// way must not take back what helped.
func (h *healing) verify(keys []string) func(context.Context) string {
	return func(ctx context.Context) string {
		seen := 0
		for _, key := range keys {
			s, err := h.alarm.runner.LookNow(ctx, key)
			switch {
			case errors.Is(err, makegood.NotFound):
				continue
			case err != nil:
				return key + " could not be looked at"
			case s.Unknown:
				return key + " could not be seen"
			case s.Trouble != "":
				return key + ": " + s.Trouble
			}
			seen++
		}
		if seen == 0 {
			return "nothing looks at it from outside: name monitors for the target"
		}
		return ""
	}
}

// serve asks the server to serve those who waited.
func (h *healing) serve(ctx context.Context, since, ended time.Time, attempt string) (heal.Served, error) {
	beating := h.beating()
	if beating == nil {
		return heal.Served{}, makegood.Errorf(makegood.NotFound, "There is no server to be asked.")
	}
	a, err := watch.AskServe(ctx, beating.HTTP, beating.URL, beating.Secret, watch.ServeAsk{Since: since, Ended: ended, Attempt: attempt, At: h.now()})
	return heal.Served{Waited: a.Waited, Waiting: a.Waiting, Longest: a.Longest, Pulled: a.Pulled, Again: a.Again, Note: a.Note}, err
}

// beatFresh is how old the server's last answer may be to say how it is now.
const beatFresh = 30 * time.Second

// reported compares the secrets that the server runs with, by their fingerprints, with the truth. What the server does not
// name, or what it named long ago, is not wrong; nor is what does not belong at the target: it would be written there.
func (h *healing) reported(c *config.Watch, target string) func(map[string]string) []string {
	return func(truth map[string]string) []string {
		answer, ok := h.answer()
		if !ok {
			return nil
		}
		var wrong []string
		for _, need := range c.Secrets.Needs(config.ServerPlace) {
			runs, should := answer.Secrets[need.Name], truth[need.Name]
			if need.In(target) && runs != "" && should != "" && runs != should {
				wrong = append(wrong, need.Name)
			}
		}
		return wrong
	}
}

// beating is our end of the beats; nil when there is no other side.
func (h *healing) beating() *watch.Beating {
	if h.peer == nil {
		return nil
	}
	return h.peer()
}

// answer is the server's last proved answer, if it is fresh.
func (h *healing) answer() (makegood.PeerBeat, bool) {
	beating := h.beating()
	if beating == nil {
		return makegood.PeerBeat{}, false
	}
	answer, heard := beating.Answer()
	return answer, !heard.IsZero() && h.now().Sub(heard) < beatFresh
}

// Troubles lists what is open here and is not muted, and what the server says of itself. What is in maintenance, or silenced, is
// somebody's work: nobody mends under their hands. That is asked here and not only read from the incident, which learns of it
// when it tells people next, and while it is acknowledged not at all.
func (h *healing) Troubles(ctx context.Context) ([]heal.Trouble, error) {
	open, err := h.store.Incidents(ctx, store.IncidentFilter{Open: true, Limit: makegood.ListMax})
	if err != nil {
		return nil, err
	}
	var all []heal.Trouble
	for _, i := range open {
		if i.Muted == "" {
			all = append(all, heal.Trouble{IncidentID: i.ID, Key: i.Key, Since: i.StartedAt})
		}
	}
	if answer, ok := h.answer(); ok {
		for key, since := range answer.Ails {
			all = append(all, heal.Trouble{Key: serverPlace + key, Since: since})
		}
	}
	var loud []heal.Trouble
	for _, t := range all {
		why, err := h.alarm.desk.Silenced(ctx, t.Key)
		if err != nil {
			return nil, err
		}
		if why == "" {
			loud = append(loud, t)
		}
	}
	return loud, nil
}

// Look looks again at what a trouble is about.
func (h *healing) Look(ctx context.Context, t heal.Trouble) (still, known bool) {
	if key, isServers := strings.CutPrefix(t.Key, serverPlace); isServers {
		answer, ok := h.answer()
		_, still = answer.Ails[key]
		return still, ok
	}
	s, err := h.alarm.runner.LookNow(ctx, t.Key)
	if err != nil || s.Unknown {
		return false, false
	}
	return s.Trouble != "", true
}

// Others counts what is looked at and has nothing to do with the patterns.
func (h *healing) Others(patterns []string) (down, all int) {
	for _, s := range h.alarm.runner.Statuses() {
		isOurs := slices.ContainsFunc(patterns, func(p string) bool { return makegood.MatchKey(p, s.Key) })
		if isOurs || slices.Contains(aboutHealing, s.Check) || s.Believed == monitor.Pending || s.Maintained {
			continue
		}
		all++
		if s.Believed == monitor.Down || s.Believed == monitor.Healing || s.Believed == monitor.Recovering {
			down++
		}
	}
	return down, all
}

// aboutHealing are the checks that say nothing of whether anything else is well.
var aboutHealing = []string{heal.DriftCheck, inspect.SecretSource, inspect.DeployCredential, heal.HealRefused, heal.HealFailed, heal.Healed,
	inspect.PeerSkew, inspect.WatcherNotIndependent, inspect.AlertsUnsent}

// Blind reports whether we cannot see.
func (h *healing) Blind() bool {
	blind, _ := h.alarm.runner.IsBlind()
	return blind
}

// Line adds a line to the record of an incident.
func (h *healing) Line(ctx context.Context, incidentID string, kind makegood.MomentKind, text string) {
	if incidentID == "" {
		return
	}
	if err := h.alarm.desk.HealLine(context.WithoutCancel(ctx), incidentID, kind, text); err != nil {
		h.log.Error("a line about healing cannot be kept", "incident", incidentID, "err", err)
	}
}

// Found opens an incident of the healer's own. Too many heals in a week are graver than one; what nobody feels is less grave.
func (h *healing) Found(ctx context.Context, check, target, detail string, felt bool) {
	ctx = context.WithoutCancel(ctx)
	if !felt && check != heal.Healed { // the loss is found before anybody feels it: that can wait until somebody is awake
		h.alarm.foundAs(ctx, check, target, detail, makegood.P1)
		return
	}
	if check == heal.Healed {
		list, err := h.store.Attempts(ctx, store.AttemptFilter{Target: target, State: makegood.AttemptHealed, Limit: healsMax + 1})
		if err == nil && len(list) > healsMax && h.now().Sub(list[healsMax].StartedAt) < healsWithin {
			h.alarm.foundAs(ctx, check, target, fmt.Sprintf("%d heals within a week: %s", len(list), detail), makegood.P1)
			return
		}
	}
	h.alarm.found(ctx, check, target, detail)
}

// More than so many heals within a week are an outage that nobody looks into (watch-alert-heal, pitfall 11).
const (
	healsMax    = 3
	healsWithin = 7 * 24 * time.Hour
)

// Cleared ends an incident of the healer's own.
func (h *healing) Cleared(ctx context.Context, check, target, why string) {
	h.alarm.cleared(context.WithoutCancel(ctx), makegood.FindingKey(check, target), why)
}

// changed shows in the monitors that something is being done about them, and no more in any when it has ended: only one attempt
// runs at a time, and its target may have been changed or taken away meanwhile.
func (h *healing) changed(a makegood.HealAttempt) {
	if a.State != makegood.AttemptRunning {
		h.ended.With(string(a.State)).Inc()
	}
	var when []string
	if t, err := h.healer.Target(a.Target); err == nil && a.State == makegood.AttemptRunning {
		when = t.When
	}
	for _, s := range h.alarm.runner.Statuses() {
		h.alarm.runner.SetHealing(s.Key, slices.ContainsFunc(when, func(p string) bool { return makegood.MatchKey(p, s.Key) }))
	}
}

// monitors look at what healing needs before it is needed: the names at the host, the source of truth, the credential.
func (h *healing) monitors(targets []heal.Target) []monitor.Monitor {
	var all []monitor.Monitor
	for _, t := range targets {
		add := func(code string, local bool, ask func(context.Context, heal.Target) (string, error)) {
			for _, m := range h.alarm.named(code, t.Name, askedProbe{h.now, func(ctx context.Context) (string, error) { return ask(ctx, t) }}, local) {
				m.Timeout = placeTimeout
				all = append(all, m)
			}
		}
		if t.Truth != nil {
			add(heal.DriftCheck, false, h.healer.Drift)
			add(inspect.SecretSource, true, h.healer.Source)
		}
		add(inspect.DeployCredential, false, h.healer.Credential)
	}
	return all
}

// askedProbe looks by asking. What cannot be asked says nothing of what it is about.
type askedProbe struct {
	now func() time.Time
	ask func(context.Context) (string, error)
}

// Look asks.
func (p askedProbe) Look(ctx context.Context) probe.Sight {
	began := p.now()
	trouble, err := p.ask(ctx)
	return probe.Sight{At: began, Took: p.now().Sub(began), Trouble: trouble, Unknown: err != nil}
}

// CheckHealing builds what a configuration says of healing and throws it away.
func checkHealing(c *config.Watch) error {
	var errs []error
	for _, t := range c.Heal.Targets {
		if _, err := newPlace(t, c.Outbound.AllowPrivate, time.Now); err != nil {
			errs = append(errs, fmt.Errorf("heal target %s: %w", t.Name, err))
		}
	}
	if c.Secrets.Source.VerifyKey != "" {
		if _, err := vault.ParseVerifyKey(c.Secrets.Source.VerifyKey); err != nil {
			errs = append(errs, fmt.Errorf("secrets.verify_key: %w", err))
		}
	}
	return errors.Join(errs...)
}
