package app_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/app"
	"github.com/makegood/makegood/internal/config"
	"github.com/makegood/makegood/internal/secret"
	"github.com/makegood/makegood/internal/simulate"
	"github.com/makegood/makegood/internal/store"
)

// shopSecrets are what the shop of these tests needs on its host. They stand in nothing else, so they can be looked for.
var shopSecrets = map[string]string{
	"STRIPE_WEBHOOK_SECRET": "whsec_Hs8KqT2vW4xZ6bN1mC3dF5gJ7", "RESEND_API_KEY": "re_Lp9YrE2wQ4tU6iO8aS1d", "LICENSE_KEY_SECRET": "Zc5Vb7Nm9Kj2Hg4Fd6Sa8Po1Iu3",
}

// hosted is a shop at a pretend Cloudflare Pages, well while it has its secrets, with a watcher that may heal it.
type hosted struct {
	*tower
	cloud *simulate.Pages
	dir   string
	ill   atomic.Bool // whatever it has
}

// newHosted starts both, with a healer that is impatient.
func newHosted(t *testing.T, pages simulate.PagesOptions, change func(c *config.Watch), options ...func(*app.Options)) *hosted {
	t.Helper()
	h := &hosted{dir: t.TempDir()}
	var has atomic.Bool
	pages.Build = 20 * time.Millisecond
	pages.Projects = []simulate.PagesProject{{Name: simulate.PagesName, Secrets: shopSecrets}}
	pages.Live = func(d simulate.PagesDeployment) {
		whole := true
		for name := range shopSecrets {
			whole = whole && d.Has(name)
		}
		has.Store(whole)
	}
	h.cloud = simulate.NewPages(pages)
	api := httptest.NewServer(h.cloud)
	t.Cleanup(api.Close)
	t.Cleanup(h.cloud.Close)
	shop := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if !has.Load() || h.ill.Load() {
			w.WriteHeader(http.StatusInternalServerError)
		}
	}))
	t.Cleanup(shop.Close)
	truth := filepath.Join(h.dir, "truth")
	if err := os.Mkdir(truth, 0o700); err != nil {
		t.Fatal(err)
	}
	list := config.SecretList{IsSet: true, Source: config.TruthSource{Kind: "directory", Path: truth}}
	for name, kind := range map[string]secret.Kind{"STRIPE_WEBHOOK_SECRET": secret.StripeWebhook, "RESEND_API_KEY": secret.ResendKey, "LICENSE_KEY_SECRET": secret.LicenseKey} {
		h.keep(t, filepath.Join("truth", name), shopSecrets[name])
		list.Required = append(list.Required, config.RequiredSecret{Name: name, Kind: kind})
	}
	h.keep(t, "token", simulate.PagesKey)
	tower, err := newTower(t, watchDatabase(t), func(c *config.Watch) {
		c.Monitors = []config.Monitor{page("shop", shop.URL)}
		c.Secrets = list
		c.Heal.Targets = []config.HealTarget{{Name: "host", Kind: "cloudflare_pages", Auto: true, Monitors: []string{"shop"}, Account: simulate.PagesAccount,
			Project: simulate.PagesName, APIBase: api.URL, After: 300 * time.Millisecond, StartWithin: 5 * time.Second, VerifyEvery: 20 * time.Millisecond,
			VerifyWithin: time.Second, Steady: 2,
			Token: config.NewLater(func() (secret.Value, error) { return secret.Resolve("file:token", h.dir, nil) })}}
		if change != nil {
			change(c)
		}
	}, options...)
	if err != nil {
		t.Fatal(err)
	}
	h.tower = tower
	h.run()
	h.eventually("a shop that is well", func() bool { return h.state("monitor/shop") == "up" })
	return h
}

// keep writes a file that only its owner may read.
func (h *hosted) keep(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(h.dir, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// wipe takes secrets away and makes that live.
func (h *hosted) wipe(names ...string) {
	h.cloud.Remove(names...)
	h.cloud.Deploy("wiped")
}

// lookAtEverything has everything looked at now, until an incident is open.
func (h *hosted) lookAtEverything(key string) {
	h.t.Helper()
	h.eventually("an incident "+key, func() bool {
		h.ask(http.MethodPost, "/__trigger", "", asOperator)
		return h.isOpen(key)
	})
}

// attempt waits for an attempt in a state.
func (h *hosted) attempt(state makegood.AttemptState) makegood.HealAttempt {
	h.t.Helper()
	var found makegood.HealAttempt
	h.eventually("an attempt that is "+string(state), func() bool {
		list, err := h.Store.Attempts(h.t.Context(), store.AttemptFilter{State: state, Limit: 1})
		if err == nil && len(list) > 0 {
			found = list[0]
		}
		return found.ID != ""
	})
	return found
}

// writes are the requests that wanted to change something at the platform.
func (h *hosted) writes() []simulate.PagesWrite { return h.cloud.Writes() }

// scan looks for values everywhere they must not be: in the log, in what people were told, and in every byte of the database.
func (h *hosted) scan(values ...string) {
	h.t.Helper()
	told, err := json.Marshal(h.told())
	h.must("read what was told", err)
	places := map[string]string{"the log": h.logs.String(), "a message": string(told)}
	database := strings.TrimPrefix(dbOf(h.tower), "sqlite:")
	for _, suffix := range []string{"", "-wal"} {
		b, err := os.ReadFile(database + suffix)
		if err != nil && suffix == "" {
			h.t.Fatal(err)
		}
		places["the database"+suffix] = string(b)
	}
	for place, text := range places {
		for _, v := range values {
			if strings.Contains(text, v) {
				h.t.Errorf("%s has a value that begins with %.6s", place, v)
			}
		}
	}
}

func allShopSecrets() []string {
	var all []string
	for _, v := range shopSecrets {
		all = append(all, v)
	}
	return all
}

// TestWipedSecretIsHealed is the whole way in one process: found, put back, deployed again, verified, on the record, and the
// cause is still told. Only what is missing is written, and nothing is ever deleted.
func TestWipedSecretIsHealed(t *testing.T) {
	t.Parallel()
	h := newHosted(t, simulate.PagesOptions{}, nil)
	h.wipe("STRIPE_WEBHOOK_SECRET")
	a := h.attempt(makegood.AttemptHealed)
	if a.Remedy != "restore-secrets" || strings.Join(a.Names, ",") != "STRIPE_WEBHOOK_SECRET" || a.IncidentKey != "monitor/shop" {
		t.Errorf("attempt = %s of %v because of %s", a.Remedy, a.Names, a.IncidentKey)
	}
	i := h.incident("monitor/shop", makegood.IncidentResolved)
	whole, err := h.Store.Incident(t.Context(), i.ID)
	h.must("read the incident", err)
	kinds := map[makegood.MomentKind]bool{}
	for _, m := range whole.Timeline {
		kinds[m.Kind] = true
		if m.Kind == makegood.MomentResolved && m.At.Before(a.Step("verify").EndedAt) {
			t.Errorf("it was over at %v, before it was verified at %v", m.At, a.Step("verify").EndedAt)
		}
	}
	if !kinds[makegood.MomentHealing] || !kinds[makegood.MomentHealed] {
		t.Errorf("the record has %v, want the attempt and its end", kinds)
	}
	h.incident("healed/host", makegood.IncidentOpen)
	writes := h.writes()
	if len(writes) != 2 || writes[0].Action != "write" || strings.Join(writes[0].Set, ",") != "STRIPE_WEBHOOK_SECRET" || len(writes[0].Deleted)+len(writes[0].Empty) > 0 || writes[1].Action != "retry" {
		t.Errorf("requests that changed something = %+v, want one write of the missing name and one retry", writes)
	}
	h.scan(append(allShopSecrets(), simulate.PagesKey)...)
}

// TestDriftIsHealedBeforeTheNextDeploy: a variable that is lost is put back before anybody feels it, and nothing is deployed.
func TestDriftIsHealedBeforeTheNextDeploy(t *testing.T) {
	t.Parallel()
	h := newHosted(t, simulate.PagesOptions{}, nil)
	h.cloud.Remove("RESEND_API_KEY")
	h.lookAtEverything("secret-drift/host")
	a := h.attempt(makegood.AttemptHealed)
	if a.Remedy != "restore-names" || a.IncidentKey != "secret-drift/host" {
		t.Errorf("attempt = %s because of %s, want the names alone", a.Remedy, a.IncidentKey)
	}
	h.incident("secret-drift/host", makegood.IncidentResolved)
	if writes := h.writes(); len(writes) != 1 || writes[0].Action != "write" {
		t.Errorf("requests that changed something = %+v, want one write", writes)
	}
	if h.isOpen("monitor/shop") {
		t.Error("somebody felt it")
	}
}

// TestCredentialFaults: whatever is wrong with the deploy credential is named in the alert with the page where it is mended,
// nothing is written, and no part of the credential is found anywhere.
func TestCredentialFaults(t *testing.T) {
	t.Parallel()
	const key = "cfut_Qw3Er5Ty7Ui9Op2As4Df6Gh8Jk1Zx3Cv5Bn7Mm9a1b2c3d4"
	with := func(state simulate.PagesTokenState) simulate.PagesToken {
		return simulate.PagesToken{Name: "healer", Value: key, State: state, Read: true, Write: true}
	}
	good := with(simulate.PagesTokenActive)
	elsewhere, reader := good, good
	elsewhere.Addresses = []string{"203.0.113.0/24"}
	reader.Read, reader.Write = false, false
	for _, tt := range []struct {
		name  string
		held  string // what the file has
		token simulate.PagesToken
		want  makegood.HealReason
	}{
		{"LF", key + "\n\n", good, "credential_line_feed"},
		{"CR", key + "\r", good, "credential_carriage_return"},
		{"CRLF", key + "\r\n\n", good, "credential_crlf"},
		{"BOM", "\uFEFF" + key, good, "credential_byte_order_mark"},
		{"NBSP", key + "\u00A0", good, "credential_no_break_space"},
		{"quotes", `"` + key + `"`, good, "credential_quotes"},
		{"Bearer", "Bearer " + key, good, "credential_bearer_prefix"},
		{"cut", key[:len(key)-20], good, "credential_cut"},
		{"doubled", key + key, good, "credential_doubled"},
		{"wrong kind", "ghp_Qw3Er5Ty7Ui9Op2As4Df6Gh8Jk1Zx3Cv5Bn7", good, "credential_wrong_kind"},
		{"expired", key, with(simulate.PagesTokenExpired), "credential_expired"},
		{"revoked", key, with(simulate.PagesTokenDeleted), "credential_revoked"},
		{"IP denied", key, elsewhere, "credential_address_denied"},
		{"missing permission", key, reader, "credential_permission_missing"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := newHosted(t, simulate.PagesOptions{Tokens: []simulate.PagesToken{tt.token}}, nil)
			h.keep(t, "token", tt.held)
			h.wipe("STRIPE_WEBHOOK_SECRET")
			a := h.attempt(makegood.AttemptRefused)
			if a.Reason != tt.want {
				t.Errorf("refused because of %s, want %s: %s", a.Reason, tt.want, a.Detail)
			}
			i := h.incident("heal-refused/host", makegood.IncidentOpen)
			if i.Priority != makegood.P0 || i.Detail != a.Detail || !strings.Contains(i.Detail, "https://dash.cloudflare.com/") {
				t.Errorf("told %s %q, want P0 with the page where it is mended", i.Priority, i.Detail)
			}
			h.eventually("a message about it, alone or with others", func() bool { return strings.Contains(fmt.Sprint(h.told()), "makegood runbook heal-refused") })
			if writes := h.writes(); len(writes) > 0 {
				t.Errorf("requests that wanted to change something = %+v", writes)
			}
			h.scan(append(allShopSecrets(), key[5:20], key[20:40], "Qw3Er5Ty7")...)

			// Once it is mended, it heals without another word.
			h.cloud.SetToken(good)
			h.keep(t, "token", key)
			h.attempt(makegood.AttemptHealed)
			h.incident("heal-refused/host", makegood.IncidentResolved)
		})
	}
}

// TestTruthIsNotBelieved: a source of truth that is empty, has shrunk, is open to others or has a broken secret is told, and
// nothing is written.
func TestTruthIsNotBelieved(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		change func(t *testing.T, h *hosted)
		want   makegood.HealReason
	}{
		{"shrunken", func(t *testing.T, h *hosted) {
			if err := os.Remove(filepath.Join(h.dir, "truth", "LICENSE_KEY_SECRET")); err != nil {
				t.Fatal(err)
			}
		}, "truth_shrunken"},
		{"empty", func(t *testing.T, h *hosted) {
			for name := range shopSecrets {
				h.keep(t, filepath.Join("truth", name), "")
			}
		}, "truth_empty"},
		{"a placeholder", func(t *testing.T, h *hosted) {
			h.keep(t, filepath.Join("truth", "STRIPE_WEBHOOK_SECRET"), "whsec_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx")
		}, "truth_bad_secret"},
		{"open to others", func(t *testing.T, h *hosted) {
			if err := os.Chmod(filepath.Join(h.dir, "truth"), 0o755); err != nil {
				t.Fatal(err)
			}
		}, "truth_exposed"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := newHosted(t, simulate.PagesOptions{}, nil)
			h.eventually("a source of truth that is known", func() bool { return h.state("secret-source/host") == "up" })
			tt.change(t, h)
			h.wipe("STRIPE_WEBHOOK_SECRET")
			if a := h.attempt(makegood.AttemptRefused); a.Reason != tt.want {
				t.Errorf("refused because of %s, want %s: %s", a.Reason, tt.want, a.Detail)
			}
			h.incident("heal-refused/host", makegood.IncidentOpen)
			if writes := h.writes(); len(writes) > 0 {
				t.Errorf("requests that wanted to change something = %+v", writes)
			}
			h.scan(allShopSecrets()...)
		})
	}
}

// TestNotOptedIn: what may not be mended without a person is told with what would be done, and left.
func TestNotOptedIn(t *testing.T) {
	t.Parallel()
	h := newHosted(t, simulate.PagesOptions{}, func(c *config.Watch) { c.Heal.Targets[0].Auto = false })
	h.wipe("STRIPE_WEBHOOK_SECRET")
	if a := h.attempt(makegood.AttemptRefused); a.Reason != makegood.HealNotOptedIn || !strings.Contains(a.Detail, "makegood heal run host") {
		t.Errorf("refused because of %s: %s", a.Reason, a.Detail)
	}
	if writes := h.writes(); len(writes) > 0 {
		t.Errorf("requests that wanted to change something = %+v", writes)
	}
}

// TestRollbackGoesToWhatWasWell: the secrets are back, and the shop is still ill because of what was shipped with the loss; what
// was last seen well runs again.
func TestRollbackGoesToWhatWasWell(t *testing.T) {
	t.Parallel()
	h := newHosted(t, simulate.PagesOptions{}, nil)
	before, _ := h.cloud.Running()
	h.eventually("a version that is known to be well", func() bool {
		version, err := h.Store.HouseValue(t.Context(), "well/host", func() string { return "" })
		return err == nil && version == before.ID
	})
	h.ill.Store(true)
	h.wipe("STRIPE_WEBHOOK_SECRET")
	a := h.attempt(makegood.AttemptReverted)
	if a.Reason != makegood.HealNotVerified || !strings.Contains(a.Step("rollback").Note, before.ID) {
		t.Errorf("attempt ended by %s, rollback: %s; want it to go to %s", a.Reason, a.Step("rollback").Note, before.ID)
	}
	if now, _ := h.cloud.Running(); now.ID != before.ID {
		t.Errorf("%s runs, want %s", now.ID, before.ID)
	}
	if i := h.incident("heal-failed/host", makegood.IncidentOpen); i.Priority != makegood.P0 {
		t.Errorf("told as %s", i.Priority)
	}
}

// TestDrillOfATarget: a target that its configuration allows to be broken is broken, found, told and mended, and the drill is
// kept; one that may not is left alone.
func TestDrillOfATarget(t *testing.T) {
	t.Parallel()
	h := newHosted(t, simulate.PagesOptions{}, func(c *config.Watch) { c.Heal.Targets[0].Drill = true })
	r, err := h.Drill(t.Context(), "secret-wiped", "host")
	if err != nil || !r.Passed {
		t.Fatalf("Drill = passed %v, %v: %s", r.Passed, err, r.Trouble())
	}
	if len(r.Checks) != 3 || len(r.Timeline) < 4 {
		t.Errorf("the drill has %+v and %v", r.Checks, r.Timeline)
	}
	kept, err := h.Store.Drills(t.Context(), "secret-wiped", 1)
	if err != nil || len(kept) != 1 || !kept[0].Passed {
		t.Errorf("kept = %+v, %v", kept, err)
	}
	variables := h.cloud.Variables()
	for name, value := range shopSecrets {
		if variables[name].Value != value {
			t.Errorf("%s is not as before after the drill", name)
		}
	}
	for _, tt := range []struct {
		drill, target string
		want          makegood.Code
	}{
		{"provider-down", "host", makegood.Invalid},
		{"secret-wiped", "nowhere", makegood.NotFound},
	} {
		if _, err := h.Drill(t.Context(), tt.drill, tt.target); makegood.CodeOf(err) != tt.want {
			t.Errorf("Drill(%s, %s) = %v, want %s", tt.drill, tt.target, err, tt.want)
		}
	}
}

// TestDrillOfATargetIsRefused: nothing is broken that its configuration does not allow, that could not be mended, or while
// something is wrong.
func TestDrillOfATargetIsRefused(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		change func(c *config.Watch)
		before func(h *hosted)
		want   makegood.Code
	}{
		{"not allowed", nil, nil, makegood.Forbidden},
		{"mended by a person only", func(c *config.Watch) { c.Heal.Targets[0].Drill, c.Heal.Targets[0].Auto = true, false }, nil, makegood.Conflict},
		{"the credential would not do", func(c *config.Watch) { c.Heal.Targets[0].Drill = true }, func(h *hosted) { h.keep(h.t, "token", "x") }, makegood.Conflict},
		{"the brake is on", func(c *config.Watch) { c.Heal.Targets[0].Drill = true }, func(h *hosted) {
			h.must("brake", h.Store.SetHealBrake(h.t.Context(), makegood.Brake{On: true, By: "ann", Why: "deploying"}))
		}, makegood.Conflict},
		{"something is wrong", func(c *config.Watch) { c.Heal.Targets[0].Drill = true }, func(h *hosted) {
			h.ill.Store(true)
			h.incident("monitor/shop", makegood.IncidentOpen)
		}, makegood.Conflict},
		{"something was wrong a moment ago", func(c *config.Watch) { c.Heal.Targets[0].Drill = true }, func(h *hosted) {
			h.ill.Store(true)
			h.incident("monitor/shop", makegood.IncidentOpen)
			h.ill.Store(false)
			h.incident("monitor/shop", makegood.IncidentResolved)
			h.eventually("nothing that is wrong", func() bool {
				open, err := h.Store.OpenIncidents(h.t.Context())
				return err == nil && len(open) == 0
			})
		}, makegood.Conflict},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := newHosted(t, simulate.PagesOptions{}, tt.change)
			if tt.before != nil {
				tt.before(h)
			}
			if _, err := h.Drill(t.Context(), "secret-wiped", "host"); makegood.CodeOf(err) != tt.want {
				t.Errorf("Drill = %v, want %s", err, tt.want)
			}
			if writes := h.writes(); len(writes) > 0 {
				t.Errorf("requests that wanted to change something = %+v", writes)
			}
		})
	}
}

// TestDrillIsCalledOff: when something else breaks during a drill it ends, and what it took away is put back.
func TestDrillIsCalledOff(t *testing.T) {
	t.Parallel()
	other := newSite(t)
	h := newHosted(t, simulate.PagesOptions{}, func(c *config.Watch) {
		c.Heal.Targets[0].Drill = true
		c.Monitors = append(c.Monitors, page("other", other.URL))
		c.Heal.Targets[0].After = time.Minute // the drill has to wait
	})
	go func() {
		time.Sleep(1500 * time.Millisecond) // the drill has begun: it looks once a second
		other.be(true)
	}()
	r, err := h.Drill(t.Context(), "secret-wiped", "host")
	if err != nil || r.Passed || !strings.Contains(r.Broken, "called off") || !strings.Contains(r.Broken, "monitor/other") {
		t.Fatalf("Drill = passed %v, %q, %v", r.Passed, r.Broken, err)
	}
	for name := range shopSecrets {
		if h.cloud.Variables()[name].Value == "" {
			t.Errorf("%s is still gone", name)
		}
	}
	h.incident("drill-failed/secret-wiped@host", makegood.IncidentOpen)
}

// TestSimulatedDrillsAreKept: a drill that fails is an incident, and over when it passes.
func TestSimulatedDrillsAreKept(t *testing.T) {
	t.Parallel()
	var passes atomic.Bool
	h := newHosted(t, simulate.PagesOptions{}, func(c *config.Watch) {
		c.Drills = []config.DrillPlan{{Name: "mail-down", Every: time.Hour}}
	}, func(o *app.Options) {
		o.Drill = func(_ context.Context, name string) (makegood.DrillResult, error) {
			r := makegood.DrillResult{Drill: name, BeganAt: time.Now()}
			if name == "unknown" {
				return r, makegood.Errorf(makegood.NotFound, "There is no such drill.")
			}
			if !passes.Load() {
				r.Checks = []makegood.DrillCheck{{What: "healed", Took: time.Hour, Limit: time.Minute}}
			}
			r.Judge()
			return r, nil
		}
	})
	if due := h.DueDrills(t.Context()); fmt.Sprint(due) != "[mail-down]" {
		t.Errorf("due at first = %v", due)
	}
	if _, err := h.Drill(t.Context(), "unknown", ""); makegood.CodeOf(err) != makegood.NotFound {
		t.Errorf("a drill that there is not = %v", err)
	}
	if r, err := h.Drill(t.Context(), "mail-down", ""); err != nil || r.Passed {
		t.Fatalf("Drill = passed %v, %v", r.Passed, err)
	}
	if i := h.incident("drill-failed/mail-down", makegood.IncidentOpen); !strings.Contains(i.Detail, "healed: took 1h0m0s, at most 1m0s") {
		t.Errorf("told %q", i.Detail)
	}
	if due := h.DueDrills(t.Context()); len(due) > 0 {
		t.Errorf("due again at once = %v", due)
	}
	passes.Store(true)
	if r, err := h.Drill(t.Context(), "mail-down", ""); err != nil || !r.Passed {
		t.Fatalf("Drill = passed %v, %v", r.Passed, err)
	}
	h.incident("drill-failed/mail-down", makegood.IncidentResolved)
}

// TestDriftThatCannotBeHealedWakesNobody: what nobody feels yet is told as P1, and becomes P0 once it is felt.
func TestDriftThatCannotBeHealedWakesNobody(t *testing.T) {
	t.Parallel()
	h := newHosted(t, simulate.PagesOptions{}, nil)
	for n := range makegood.DefaultHealLimits.PerTarget { // what may be tried was tried
		a, err := h.Store.BeginAttempt(t.Context(), makegood.HealAttempt{ID: fmt.Sprintf("att%d", n), Target: "host"}, makegood.DefaultHealLimits, time.Minute)
		h.must("begin an attempt", err)
		_, err = h.Store.AmendAttempt(t.Context(), a.ID, a.Fence, time.Minute, func(a *makegood.HealAttempt) error {
			a.End(makegood.AttemptStopped, makegood.HealPaused, "", time.Now())
			return nil
		})
		h.must("end it", err)
	}
	h.cloud.Remove("RESEND_API_KEY")
	h.lookAtEverything("secret-drift/host")
	if i := h.incident("heal-refused/host", makegood.IncidentOpen); i.Priority != makegood.P1 {
		t.Errorf("told as %s while nobody felt it, want P1", i.Priority)
	}
	h.cloud.Deploy("felt")
	h.eventually("an alarm as P0", func() bool { return h.incident("heal-refused/host", makegood.IncidentOpen).Priority == makegood.P0 })
}

// TestRollbackOfAFile: what was written did not help, so the file has what it had, and the program was started again with it.
func TestRollbackOfAFile(t *testing.T) {
	t.Parallel()
	shop, dir := newSite(t), t.TempDir()
	path, truth, runs := filepath.Join(dir, "env"), filepath.Join(dir, "truth"), filepath.Join(dir, "runs")
	const before = "PORT=80\nSTRIPE_WEBHOOK_SECRET=\n"
	value := shopSecrets["STRIPE_WEBHOOK_SECRET"]
	for _, err := range []error{os.Mkdir(truth, 0o700), os.WriteFile(path, []byte(before), 0o600),
		os.WriteFile(filepath.Join(truth, "STRIPE_WEBHOOK_SECRET"), []byte(value), 0o600)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	shop.be(true)
	w := startTower(t, func(c *config.Watch) {
		c.Monitors = []config.Monitor{page("shop", shop.URL)}
		c.Secrets = config.SecretList{IsSet: true, Source: config.TruthSource{Kind: "directory", Path: truth},
			Required: []config.RequiredSecret{{Name: "STRIPE_WEBHOOK_SECRET", Kind: secret.StripeWebhook}}}
		c.Heal.Targets = []config.HealTarget{{Name: "host", Kind: "env_file", Auto: true, Monitors: []string{"shop"}, Path: path,
			Command: []string{"sh", "-c", `cat "$0" >> "$1"; echo -- >> "$1"`, path, runs}, After: 200 * time.Millisecond, VerifyWithin: 300 * time.Millisecond, VerifyEvery: 20 * time.Millisecond}}
	})
	h := &hosted{tower: w, dir: dir}
	h.attempt(makegood.AttemptReverted)
	now, err := os.ReadFile(path)
	if err != nil || string(now) != before {
		t.Errorf("the file has %q, %v, want what it had", now, err)
	}
	ran, err := os.ReadFile(runs)
	if starts := strings.Split(strings.TrimSuffix(string(ran), "--\n"), "--\n"); err != nil || len(starts) != 2 || !strings.Contains(starts[0], value) || starts[1] != before {
		t.Errorf("the program was started %d times (%v), want once with what was written and once with what was before", len(starts), err)
	}
}

// TestOnceClearsWhatMayBeHealed: a single round has no healer that runs, and still ends what is well again.
func TestOnceClearsWhatMayBeHealed(t *testing.T) {
	t.Parallel()
	shop, database := newSite(t), watchDatabase(t)
	once := func() error {
		t.Helper()
		w, err := newTower(t, database, func(c *config.Watch) {
			c.Monitors = []config.Monitor{page("shop", shop.URL)}
			c.Heal.Targets = []config.HealTarget{{Name: "host", Kind: "command", Monitors: []string{"shop"}, Command: []string{"true"}, Status: []string{"true"}}}
		})
		if err != nil {
			t.Fatal(err)
		}
		_, err = w.Once(t.Context())
		return err
	}
	for _, red := range []bool{true, false} {
		shop.be(red)
		if err := once(); err != nil {
			t.Errorf("Once with a shop that is red (%v) = %v", red, err)
		}
	}
}

// TestServersSecretsStayWhereTheyBelong: a secret that the server runs wrong with is written where it is required, and nowhere else.
func TestServersSecretsStayWhereTheyBelong(t *testing.T) {
	t.Parallel()
	server := newPeer(t, makegood.PeerBeat{Secrets: map[string]string{"STRIPE_API_KEY": "00000000"}})
	w := startTower(t, func(c *config.Watch) {
		c.Server = watching(server)
		c.Secrets = config.SecretList{IsSet: true, Source: config.TruthSource{Kind: "directory", Path: t.TempDir()}, Required: []config.RequiredSecret{
			{Name: "STRIPE_API_KEY", Kind: secret.StripeKey, Places: []string{"shop", config.ServerPlace}},
			{Name: "RESEND_API_KEY", Kind: secret.ResendKey, Places: []string{"site"}}}}
		for _, name := range []string{"shop", "site"} {
			c.Heal.Targets = append(c.Heal.Targets, config.HealTarget{Name: name, Kind: "env_file", Path: filepath.Join(t.TempDir(), "env"), Command: []string{"true"}, Status: []string{"true"}})
		}
	})
	truth := map[string]string{"STRIPE_API_KEY": "11111111", "RESEND_API_KEY": "22222222"}
	wrong := func(target string) string {
		x, err := w.Target(target)
		w.must("find the target", err)
		return fmt.Sprint(x.Reported(truth))
	}
	w.eventually("a server that is heard", func() bool { return wrong("shop") == "[STRIPE_API_KEY]" })
	if got := wrong("site"); got != "[]" {
		t.Errorf("wrong at the other place = %s, want none: it would be written there", got)
	}
}

// TestNobodyMendsWhatIsSilenced: neither what the server says of itself, nor what was acknowledged before it was silenced.
func TestNobodyMendsWhatIsSilenced(t *testing.T) {
	t.Parallel()
	server := newPeer(t, makegood.PeerBeat{Ails: map[string]time.Time{"secrets-missing": time.Now().Add(-time.Hour)}})
	shop := newSite(t)
	shop.be(true)
	w := startTower(t, func(c *config.Watch) {
		c.Server = watching(server)
		c.Monitors = []config.Monitor{page("shop", shop.URL)}
	})
	troubles := func() string {
		list, err := w.Troubles(t.Context())
		w.must("read the troubles", err)
		var keys []string
		for _, x := range list {
			keys = append(keys, x.Key)
		}
		return fmt.Sprint(keys)
	}
	w.eventually("both troubles", func() bool { return troubles() == "[monitor/shop server/secrets-missing]" })
	w.must("acknowledge", w.Desk().Acknowledge(t.Context(), w.incident("monitor/shop", makegood.IncidentOpen).ID, "ann", time.Hour))
	if got := troubles(); got != "[monitor/shop server/secrets-missing]" {
		t.Errorf("troubles when it is acknowledged = %s, want both", got)
	}
	_, err := w.Desk().Silence(t.Context(), "*", "a move", "ann", time.Hour)
	w.must("silence", err)
	if got := troubles(); got != "[]" {
		t.Errorf("troubles that are silenced = %s, want none", got)
	}
}

// TestTargetThatIsGone: what was told of mending it is over when the configuration has it no more.
func TestTargetThatIsGone(t *testing.T) {
	t.Parallel()
	h := newHosted(t, simulate.PagesOptions{}, nil)
	h.keep(t, "token", "x")
	h.wipe("STRIPE_WEBHOOK_SECRET")
	h.incident("heal-refused/host", makegood.IncidentOpen)
	less := h.configuration()
	less.Heal.Targets = nil
	h.says(less, nil)
	h.Reload(t.Context())
	h.incident("heal-refused/host", makegood.IncidentResolved)
	h.incident("monitor/shop", makegood.IncidentOpen)
}

// TestNothingHealsForEver: no monitor shows that it is being healed after the attempt, although its target is gone.
func TestNothingHealsForEver(t *testing.T) {
	t.Parallel()
	h := newHosted(t, simulate.PagesOptions{}, func(c *config.Watch) { c.Heal.Targets[0].VerifyWithin = 2 * time.Second })
	h.ill.Store(true)
	h.wipe("STRIPE_WEBHOOK_SECRET")
	h.eventually("a shop that is being healed", func() bool { return h.state("monitor/shop") == "healing" })
	less := h.configuration()
	less.Heal.Targets = nil
	h.says(less, nil)
	h.Reload(t.Context())
	h.eventually("the end of the attempt", func() bool {
		standing, err := h.Store.HealStanding(t.Context(), makegood.DefaultHealLimits)
		return err == nil && len(standing.Running) == 0
	})
	h.eventually("a shop that is down", func() bool { return h.state("monitor/shop") == "down" })
}

// TestVerifyAfterAChange: an attempt that is under way while its monitors change is verified by those that are left.
func TestVerifyAfterAChange(t *testing.T) {
	t.Parallel()
	other := newSite(t)
	h := newHosted(t, simulate.PagesOptions{}, func(c *config.Watch) {
		c.Monitors = append(c.Monitors, page("other", other.URL))
		c.Heal.Targets[0].Monitors = []string{"other", "shop"}
	})
	target, err := h.Target("host")
	h.must("find the target", err)
	less := h.configuration()
	less.Monitors = less.Monitors[:1]
	less.Heal.Targets = nil
	h.says(less, nil)
	h.Reload(t.Context())
	if got := target.Verify(t.Context()); got != "" {
		t.Errorf("Verify without one of its monitors = %q, want well", got)
	}
	h.ill.Store(true)
	if got := target.Verify(t.Context()); !strings.HasPrefix(got, "monitor/shop: ") {
		t.Errorf("Verify of a shop that is ill = %q", got)
	}
	h.ill.Store(false)
	none := h.configuration()
	none.Monitors = nil
	h.says(none, nil)
	h.Reload(t.Context())
	if got := target.Verify(t.Context()); !strings.Contains(got, "nothing looks at it") {
		t.Errorf("Verify without any monitor = %q", got)
	}
}

// TestPlannedDrillThatCannotBeRun: it is told, and not tried again every half minute; that a person runs one just now is told to
// nobody, and no reason to wait.
func TestPlannedDrillThatCannotBeRun(t *testing.T) {
	t.Parallel()
	runs, end := make(chan bool), make(chan bool)
	h := newHosted(t, simulate.PagesOptions{}, func(c *config.Watch) {
		c.Drills = []config.DrillPlan{{Name: "mail-down", Every: 24 * time.Hour}, {Name: "unknown", Every: 24 * time.Hour}}
	}, func(o *app.Options) {
		o.Drill = func(_ context.Context, name string) (makegood.DrillResult, error) {
			if name == "unknown" {
				return makegood.DrillResult{}, makegood.Errorf(makegood.NotFound, "There is no such drill.")
			}
			runs <- true
			<-end
			return makegood.DrillResult{}, makegood.Errorf(makegood.Unavailable, "It was broken off.")
		}
	})
	byHand := make(chan error, 1)
	go func() { _, err := h.Drill(t.Context(), "mail-down", ""); byHand <- err }()
	<-runs
	h.RunPlanned(t.Context(), "mail-down")
	if h.isOpen("drill-failed/mail-down") {
		t.Error("that a person runs it just now was told as a failure")
	}
	close(end)
	<-byHand
	h.RunPlanned(t.Context(), "unknown")
	if i := h.incident("drill-failed/unknown", makegood.IncidentOpen); !strings.Contains(i.Detail, "There is no such drill.") {
		t.Errorf("told %q", i.Detail)
	}
	if due := h.DueDrills(t.Context()); fmt.Sprint(due) != "[mail-down]" {
		t.Errorf("due after it could not be run = %v, want the other alone", due)
	}
}

// TestDrillThatCannotPutBack: it never says that it did.
func TestDrillThatCannotPutBack(t *testing.T) {
	t.Parallel()
	other := newSite(t)
	h := newHosted(t, simulate.PagesOptions{}, func(c *config.Watch) {
		c.Monitors = append(c.Monitors, page("other", other.URL))
		c.Heal.Targets[0].Drill, c.Heal.Targets[0].After, c.Heal.Targets[0].VerifyWithin = true, time.Minute, 3*time.Second
	})
	go func() { // the drill is called off, what it does then does not help, and the truth goes meanwhile
		time.Sleep(1500 * time.Millisecond)
		h.ill.Store(true)
		other.be(true)
		for {
			list, err := h.Store.Attempts(t.Context(), store.AttemptFilter{State: makegood.AttemptRunning, Limit: 1})
			if t.Context().Err() != nil || err == nil && len(list) > 0 && !list[0].Step("verify").StartedAt.IsZero() {
				break
			}
			time.Sleep(10 * time.Millisecond)
		}
		os.Remove(filepath.Join(h.dir, "truth", "STRIPE_WEBHOOK_SECRET"))
	}()
	r, err := h.Drill(t.Context(), "secret-wiped", "host")
	if err != nil || !strings.Contains(r.Broken, "could not be put back") {
		t.Errorf("Drill = %q, %v: %v", r.Broken, err, r.Timeline)
	}
}

// TestDrillWaitsForAnAttempt: what is under way when a drill ends puts back what the drill took; nothing is started beside it.
func TestDrillWaitsForAnAttempt(t *testing.T) {
	t.Parallel()
	other := newSite(t)
	var started atomic.Bool
	h := newHosted(t, simulate.PagesOptions{}, func(c *config.Watch) {
		c.Monitors = append(c.Monitors, page("other", other.URL))
		c.Heal.Targets[0].Drill, c.Heal.Targets[0].VerifyWithin = true, 20*time.Second
	})
	h.ill.Store(false)
	go func() {
		for t.Context().Err() == nil && !started.Load() {
			list, err := h.Store.Attempts(t.Context(), store.AttemptFilter{State: makegood.AttemptRunning, Limit: 1})
			if err == nil && len(list) > 0 {
				h.ill.Store(true) // so that it is not verified before the drill is called off
				other.be(true)
				started.Store(true)
			}
			time.Sleep(5 * time.Millisecond)
		}
		time.Sleep(3 * time.Second)
		h.ill.Store(false)
	}()
	r, err := h.Drill(t.Context(), "secret-wiped", "host")
	if err != nil || !strings.Contains(r.Broken, "called off") {
		t.Fatalf("Drill = %q, %v", r.Broken, err)
	}
	list, err := h.Store.Attempts(t.Context(), store.AttemptFilter{State: makegood.AttemptHealed, Limit: 2})
	if err != nil || len(list) != 1 {
		t.Errorf("attempts that healed = %+v, %v, want one", list, err)
	}
	if deployed := strings.Count(fmt.Sprint(h.writes()), "retry"); deployed > 2 { // one of them broke it
		t.Errorf("%d starts, want two: %+v", deployed, h.writes())
	}
}

// TestDrillsUnderAClockThatWasWrong: a drill that was kept in the future is run once more, and not again and again until then.
func TestDrillsUnderAClockThatWasWrong(t *testing.T) {
	t.Parallel()
	h := newHosted(t, simulate.PagesOptions{}, func(c *config.Watch) {
		c.Drills = []config.DrillPlan{{Name: "mail-down", Every: time.Hour}}
	}, func(o *app.Options) {
		o.Drill = func(_ context.Context, name string) (makegood.DrillResult, error) {
			return makegood.DrillResult{Drill: name, BeganAt: time.Now(), Passed: true}, nil
		}
	})
	tomorrow := time.Now().Add(24 * time.Hour)
	h.must("keep a drill", h.Store.KeepDrill(t.Context(), store.KeptDrill{ID: makegood.NewID(makegood.DrillPrefix, tomorrow, rand.Reader), Name: "mail-down", BeganAt: tomorrow, Passed: true, Result: `{"host":"pages"}`}))
	if due := h.DueDrills(t.Context()); fmt.Sprint(due) != "[mail-down]" {
		t.Errorf("due = %v, want the drill: nobody knows when it was run", due)
	}
	h.RunPlanned(t.Context(), "mail-down")
	if due := h.DueDrills(t.Context()); len(due) > 0 {
		t.Errorf("due again at once = %v", due)
	}
}

// TestDrillOfTwoPlans: the same drill in the simulated world and of a target are two, each with its own time and its own verdict.
func TestDrillOfTwoPlans(t *testing.T) {
	t.Parallel()
	h := newHosted(t, simulate.PagesOptions{}, func(c *config.Watch) {
		c.Heal.Targets[0].Drill = true
		c.Drills = []config.DrillPlan{{Name: "secret-wiped", Every: time.Hour}, {Name: "secret-wiped", Every: 24 * time.Hour, Target: "host"}}
	}, func(o *app.Options) {
		o.Drill = func(_ context.Context, name string) (makegood.DrillResult, error) {
			return makegood.DrillResult{Drill: name, Host: "pages", BeganAt: time.Now(), Passed: true}, nil
		}
	})
	h.keep(t, "token", "x")
	h.RunPlannedOf(t.Context(), "secret-wiped", "host")
	h.incident("drill-failed/secret-wiped@host", makegood.IncidentOpen)
	if _, err := h.Drill(t.Context(), "secret-wiped", ""); err != nil {
		t.Fatal(err)
	}
	if !h.isOpen("drill-failed/secret-wiped@host") {
		t.Error("that it passes in the simulated world ended what is wrong with the target")
	}
	h.keep(t, "token", simulate.PagesKey)
	h.eventually("nothing that is wrong", func() bool { return h.Quiet(t.Context()) == nil })
	if r, err := h.Drill(t.Context(), "secret-wiped", "host"); err != nil || !r.Passed {
		t.Fatalf("Drill = passed %v, %v: %s", r.Passed, err, r.Trouble())
	}
	h.incident("drill-failed/secret-wiped@host", makegood.IncidentResolved)
	list, err := h.Store.Drills(t.Context(), "secret-wiped", 10)
	if err != nil || len(list) != 2 {
		t.Fatalf("kept = %+v, %v", list, err)
	}
	for target, want := range map[string]time.Time{"": list[1].BeganAt, "host": list[0].BeganAt} {
		if got := h.LastDrill(t.Context(), "secret-wiped", target); !got.Equal(want) {
			t.Errorf("the last drill of %q began at %v, want %v", target, got, want)
		}
	}
}
