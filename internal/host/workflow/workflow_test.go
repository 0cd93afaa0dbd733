package workflow

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/host"
	"github.com/makegood/makegood/internal/outbound"
	"github.com/makegood/makegood/internal/secret"
	"github.com/makegood/makegood/internal/simulate"
)

// place is a target at a pretend GitHub.
func place(t *testing.T, o simulate.ActionsOptions, change func(*Options)) (*Target, *simulate.Actions) {
	t.Helper()
	github := simulate.NewActions(o)
	server := httptest.NewServer(github)
	t.Cleanup(func() {
		server.Close()
		github.Close()
	})
	options := Options{Name: "shop", Base: server.URL + "/", Token: held(secret.New(simulate.ActionsToken)), Repo: simulate.ActionsRepo, Workflow: simulate.ActionsWorkflow,
		HTTP: outbound.New(outbound.Options{AllowPrivate: true, NeverRest: true, Timeout: 5 * time.Second}), Now: time.Now}
	if change != nil {
		change(&options)
	}
	target, err := New(options)
	if err != nil {
		t.Fatal(err)
	}
	return target, github
}

func await(t *testing.T, target *Target, run string) host.Progress {
	t.Helper()
	for range 500 {
		p, err := target.Progress(t.Context(), run)
		if err != nil {
			t.Fatal(err)
		}
		if p.State != host.Running {
			return p
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("run %s does not end", run)
	return host.Progress{}
}

func TestMending(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		o     simulate.ActionsOptions
		stage host.Stage
		note  string
	}{
		{"with details", simulate.ActionsOptions{Duration: 50 * time.Millisecond}, host.Ran, "success"},
		{"an old server that lists late", simulate.ActionsOptions{Old: true, Hidden: 1500 * time.Millisecond}, host.Ran, "success"},
		{"a workflow that fails", simulate.ActionsOptions{Run: func(map[string]string) bool { return false }}, host.Failed, "failure"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			target, github := place(t, tt.o, nil)
			if err := target.Check(t.Context()); err != nil {
				t.Fatal(err)
			}
			survey, err := target.Survey(t.Context())
			if err != nil || survey.Newest != "" || survey.Busy != "" {
				t.Fatalf("Survey = %+v, %v", survey, err)
			}
			run, err := target.Start(t.Context(), survey, "att_1")
			if err != nil || run == "" {
				t.Fatalf("Start = %q, %v", run, err)
			}
			if p := await(t, target, run); p.State != tt.stage || p.Note != tt.note {
				t.Errorf("Progress = %+v, want %v %s", p, tt.stage, tt.note)
			}
			if again, err := target.Start(t.Context(), survey, "att_1"); again != run || err != nil {
				t.Errorf("Start again = %q, %v, want %s", again, err, run)
			}
			if adopted, err := target.Adopt(t.Context(), survey, "att_1"); adopted != run || err != nil {
				t.Errorf("Adopt = %q, %v, want %s", adopted, err, run)
			}
			for _, attempt := range []string{"att_2", "att", "att_11"} {
				if adopted, err := target.Adopt(t.Context(), survey, attempt); adopted != "" || err != nil {
					t.Errorf("Adopt of %s = %q, %v, want none", attempt, adopted, err)
				}
			}
			runs := github.Runs()
			if len(runs) != 1 || runs[0].Inputs["attempt"] != "att_1" || runs[0].Inputs["target"] != "shop" {
				t.Errorf("GitHub has %+v, want one run", runs)
			}
			if survey, err := target.Survey(t.Context()); err != nil || survey.Newest != run {
				t.Errorf("Survey = %+v, %v", survey, err)
			}
		})
	}
}

// TestLostAnswer: the dispatch was taken and nobody heard so; it is found, and not repeated.
func TestLostAnswer(t *testing.T) {
	t.Parallel()
	for _, status := range []int{simulate.Abort, http.StatusBadGateway} {
		target, github := place(t, simulate.ActionsOptions{Duration: time.Hour}, nil)
		survey, err := target.Survey(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		github.SetFaults(simulate.AlertFaults{FailAfter: func(r *http.Request) int {
			if r.Method == http.MethodPost {
				return status
			}
			return 0
		}})
		if _, err := target.Start(t.Context(), survey, "att_1"); !errors.Is(err, host.ErrDoubt) || host.FaultOf(err) != host.PlatformDown {
			t.Errorf("Start without an answer (%d) = %v, want ErrDoubt", status, err)
		}
		github.SetFaults(simulate.AlertFaults{})
		run, err := target.Adopt(t.Context(), survey, "att_1")
		if run == "" || err != nil {
			t.Errorf("Adopt = %q, %v, want the run", run, err)
		}
		if again, err := target.Start(t.Context(), survey, "att_1"); again != run || err != nil {
			t.Errorf("Start again = %q, %v, want %s", again, err, run)
		}
		if survey, err := target.Survey(t.Context()); err != nil || survey.Busy != run {
			t.Errorf("Survey = %+v, %v, want that %s is under way", survey, err, run)
		}
		if runs := github.Runs(); len(runs) != 1 {
			t.Errorf("GitHub has %d runs, want one", len(runs))
		}
	}
}

// TestDiagnoses: what is wrong is named, with a sentence and a page, and without the token.
func TestDiagnoses(t *testing.T) {
	t.Parallel()
	deny := func(d simulate.ActionsDenial) func(*simulate.Actions) {
		return func(a *simulate.Actions) { a.Deny(d) }
	}
	answers := func(status int) func(*simulate.Actions) {
		return func(a *simulate.Actions) {
			a.SetFaults(simulate.AlertFaults{Fail: func(*http.Request) int { return status }})
		}
	}
	token := func(s string) func(*Options) { return func(o *Options) { o.Token = held(secret.New(s)) } }
	for _, tt := range []struct {
		name   string
		github func(*simulate.Actions)
		place  func(*Options)
		want   host.Fault
		says   string
	}{
		{"revoked", nil, token("github_pat_revoked"), host.Revoked, "deleted, revoked"},
		{"no token", nil, token(""), host.Missing, "no GitHub token"},
		{"line break", nil, token(simulate.ActionsToken + "\n"), host.Broken, "Copy it again"},
		{"by its looks", nil, func(o *Options) {
			o.Look = func(secret.Value) *host.Diagnosis {
				return &host.Diagnosis{Fault: host.Quoted, Sentence: "It is quoted."}
			}
		}, host.Quoted, "It is quoted."},
		{"good looks", nil, func(o *Options) { o.Look = func(secret.Value) *host.Diagnosis { return nil } }, "", ""},
		{"address", deny(simulate.ActionsFromHere), nil, host.AddressDenied, "IP allow list. See https://github.com/organizations/shop/settings/security"},
		{"permission", deny(simulate.ActionsPermission), nil, host.PermissionMissing, "Actions: read and write"},
		{"single sign-on", deny(simulate.ActionsSAML), nil, host.PermissionMissing, "Configure SSO"},
		{"limit", deny(simulate.ActionsLimit), nil, host.Limited, "asks us to wait"},
		{"limit by status", answers(429), nil, host.Limited, "asks us to wait"},
		{"down", answers(503), nil, host.PlatformDown, "errors of its own"},
		{"no answer", answers(simulate.Abort), nil, host.PlatformDown, "does not answer"},
		{"no repository", nil, func(o *Options) { o.Repo = "shop/other" }, host.PlaceMissing, "no repository shop/other"},
		{"moved", answers(301), nil, host.PlaceMissing, "was renamed"},
		{"no workflow", nil, func(o *Options) { o.Workflow = "other.yml" }, host.PlaceMissing, "no workflow other.yml"},
		{"switched off", func(a *simulate.Actions) { a.SetState("disabled_manually") }, nil, host.NotStarted, "its state is disabled_manually"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			target, github := place(t, simulate.ActionsOptions{}, tt.place)
			if tt.github != nil {
				tt.github(github)
			}
			err := target.Check(t.Context())
			if host.FaultOf(err) != tt.want || (err != nil) != (tt.want != "") {
				t.Fatalf("Check = %v, want %q", err, tt.want)
			}
			if err == nil {
				return
			}
			if !strings.Contains(err.Error(), tt.says) {
				t.Errorf("Check = %q, want that it says %q", err, tt.says)
			}
			var d *host.Diagnosis
			if errors.As(err, &d) && tt.want == host.Revoked && d.Page != tokensPage {
				t.Errorf("Page = %q, want %s", d.Page, tokensPage)
			}
			if told := fmt.Sprintf("%v %+v %#v %+v %v", err, err, d, target, d.Err); strings.Contains(told, "simulatedsimulated") || strings.Contains(told, "pat_revoked") {
				t.Errorf("the token is told: %s", told)
			}
			if len(github.Runs()) != 0 {
				t.Error("Check began a run")
			}
		})
	}
}

// TestCheckBeginsNothing: asking for the permission is no dispatch.
func TestCheckBeginsNothing(t *testing.T) {
	t.Parallel()
	for _, old := range []bool{false, true} {
		target, github := place(t, simulate.ActionsOptions{Old: old}, nil)
		if err := target.Check(t.Context()); err != nil || len(github.Runs()) != 0 {
			t.Errorf("Check = %v, and GitHub has %d runs", err, len(github.Runs()))
		}
	}
}

// TestExpiry: GitHub says when a token will end, and not that it has; we remember.
func TestExpiry(t *testing.T) {
	t.Parallel()
	now := time.Now()
	clock := func() time.Time { return now }
	target, github := place(t, simulate.ActionsOptions{AlertOptions: simulate.AlertOptions{Now: clock}}, func(o *Options) { o.Now = clock })
	github.Expire(now.Add(time.Hour))
	if err := target.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	now = now.Add(2 * time.Hour)
	if err := target.Check(t.Context()); host.FaultOf(err) != host.Expired {
		t.Errorf("Check of an expired token = %v, want expired", err)
	}
	for _, text := range []string{"2026-11-29 10:00:00 UTC", "2026-11-29 11:00:00 +0100"} {
		target.remember(http.Header{"Github-Authentication-Token-Expiration": {text}})
		if got := time.Unix(target.expires.Load(), 0).UTC().Format(time.RFC3339); got != "2026-11-29T10:00:00Z" {
			t.Errorf("%q is read as %s", text, got)
		}
	}
}

// TestRunThatIsNotListed: what was taken and cannot be seen is doubt, and no reason to dispatch again at once.
func TestRunThatIsNotListed(t *testing.T) {
	t.Parallel()
	target, github := place(t, simulate.ActionsOptions{Old: true, Hidden: time.Hour}, nil)
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	if _, err := target.Start(ctx, host.Survey{At: time.Now()}, "att_1"); !errors.Is(err, host.ErrDoubt) {
		t.Errorf("Start of a run that is not listed = %v, want ErrDoubt", err)
	}
	if len(github.Runs()) != 1 {
		t.Errorf("GitHub has %d runs, want one", len(github.Runs()))
	}
}

func TestStartRefused(t *testing.T) {
	t.Parallel()
	target, github := place(t, simulate.ActionsOptions{}, func(o *Options) { o.Ref = "gone" })
	if _, err := target.Start(t.Context(), host.Survey{}, "att_1"); host.FaultOf(err) != host.NotStarted || errors.Is(err, host.ErrDoubt) {
		t.Errorf("Start on a branch that is gone = %v, want not_started without doubt", err)
	}
	for _, attempt := range []string{"", "a b", "a\n"} {
		if _, err := target.Start(t.Context(), host.Survey{}, attempt); !errors.Is(err, makegood.Invalid) {
			t.Errorf("Start for %q = %v, want it refused", attempt, err)
		}
	}
	for _, run := range []string{"12345", "../../x", ""} {
		if _, err := target.Progress(t.Context(), run); !errors.Is(err, makegood.NotFound) {
			t.Errorf("Progress of %q = %v, want not_found", run, err)
		}
	}
	if len(github.Runs()) != 0 {
		t.Error("a run was begun")
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	good := Options{Repo: "shop/restore", Workflow: "restore.yml", HTTP: outbound.New(outbound.Options{}), Now: time.Now}
	if _, err := New(good); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*Options){
		"base":     func(o *Options) { o.Base = "https://user:whsec_x@api.github.com" },
		"scheme":   func(o *Options) { o.Base = "ftp://api.github.com" },
		"repo":     func(o *Options) { o.Repo = "shop" },
		"dots":     func(o *Options) { o.Repo = "shop/.." },
		"workflow": func(o *Options) { o.Workflow = "../x.yml" },
		"ref":      func(o *Options) { o.Ref = "a b" },
	} {
		o := good
		change(&o)
		if _, err := New(o); !errors.Is(err, makegood.Invalid) || strings.Contains(err.Error(), "whsec_") {
			t.Errorf("New with a bad %s = %v, want it refused", name, err)
		}
	}
}

func held(v secret.Value) func() secret.Value { return func() secret.Value { return v } }
