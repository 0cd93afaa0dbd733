package command

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/host"
)

// counted is a place whose command writes its attempt down.
func counted(t *testing.T, script string, change func(*Options)) (target *Target, runs func() string) {
	t.Helper()
	dir := t.TempDir()
	o := Options{Name: "shop", Start: []string{"sh", "-c", `echo "$MAKEGOOD_ATTEMPT" >> "$0/runs"; ` + script, dir}, Now: time.Now}
	if change != nil {
		change(&o)
	}
	target, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return target, func() string {
		text, _ := os.ReadFile(filepath.Join(dir, "runs")) // none is none
		return strings.ReplaceAll(string(text), "\n", " ")
	}
}

func TestStart(t *testing.T) {
	t.Parallel()
	now := time.Now()
	for _, tt := range []struct {
		name, script string
		status       []string
		later        time.Duration
		run          string
		want         host.Stage
		down         bool
	}{
		{"well", "", nil, 0, "att_1:exit=0", host.Ran, false},
		{"badly", "echo whsec_loud; exit 4", nil, 0, "att_1:exit=4", host.Failed, false},
		{"too late", "sleep 60", nil, 0, "att_1:exit=143", host.Failed, false},
		{"runs", "", []string{"true"}, 0, "att_1:exit=0", host.Ran, false},
		{"does not run yet", "", []string{"false"}, settle - 1, "att_1:exit=0", host.Running, true},
		{"does not run", "", []string{"false"}, settle, "att_1:exit=0", host.Failed, true},
		{"nobody can tell", "", []string{"/nowhere/status"}, settle, "att_1:exit=0", host.Failed, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			clock := now
			target, runs := counted(t, tt.script, func(o *Options) {
				o.Status, o.Timeout, o.Now = tt.status, 2*time.Second, func() time.Time { return clock }
			})
			for range 2 {
				if run, err := target.Start(t.Context(), host.Survey{}, "att_1"); run != tt.run || err != nil {
					t.Fatalf("Start = %q, %v, want %q", run, err, tt.run)
				}
			}
			if run, err := target.Adopt(t.Context(), host.Survey{}, "att_1"); run != tt.run || err != nil {
				t.Errorf("Adopt = %q, %v", run, err)
			}
			if got := runs(); got != "att_1 " {
				t.Errorf("the command ran for %q, want once", got)
			}
			clock = clock.Add(tt.later)
			if p, err := target.Progress(t.Context(), tt.run); p.State != tt.want || err != nil || strings.Contains(p.Note, "whsec_") {
				t.Errorf("Progress = %+v, %v, want %v", p, err, tt.want)
			}
			survey, err := target.Survey(t.Context())
			if (survey.Down != "") != tt.down || survey.Newest != tt.run || survey.Busy != "" || err != nil {
				t.Errorf("Survey = %+v, %v", survey, err)
			}
		})
	}
}

// TestAfterARestart: the name of a run is all that has to be kept.
func TestAfterARestart(t *testing.T) {
	t.Parallel()
	target, _ := counted(t, "", nil)
	for name, want := range map[string]host.Stage{"att_1:exit=0": host.Ran, "att_1:exit=1": host.Failed} {
		if p, err := target.Progress(t.Context(), name); p.State != want || err != nil {
			t.Errorf("Progress(%q) = %+v, %v, want %v", name, p, err, want)
		}
	}
	if _, err := target.Progress(t.Context(), "att_1"); !errors.Is(err, makegood.NotFound) {
		t.Errorf("Progress of no run = %v, want not_found", err)
	}
	if run, err := target.Adopt(t.Context(), host.Survey{}, "att_1"); run != "" || err != nil {
		t.Errorf("Adopt = %q, %v, want none", run, err)
	}
}

func TestCutTask(t *testing.T) {
	t.Parallel()
	target, runs := counted(t, "sleep 60", nil)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := target.Start(ctx, host.Survey{}, "att_1"); !errors.Is(err, host.ErrDoubt) {
		t.Errorf("Start that is cut = %v, want ErrDoubt", err)
	}
	if run, err := target.Adopt(t.Context(), host.Survey{}, "att_1"); run != "" || err != nil {
		t.Errorf("Adopt = %q, %v, want that Start may be repeated", run, err)
	}
	if got := runs(); got != "att_1 " {
		t.Errorf("the command ran for %q", got)
	}
}

func TestManyStarters(t *testing.T) {
	t.Parallel()
	target, runs := counted(t, "sleep 0.1", nil)
	var wait sync.WaitGroup
	for range 5 {
		wait.Go(func() {
			if run, err := target.Start(t.Context(), host.Survey{}, "att_1"); run == "" || err != nil {
				t.Errorf("Start = %q, %v", run, err)
			}
		})
	}
	wait.Wait()
	if got := runs(); got != "att_1 " {
		t.Errorf("the command ran for %q, want once", got)
	}
	for i := range runsMax + 10 {
		target.keep(run{attempt: fmt.Sprint(i)})
	}
	if len(target.runs) != runsMax {
		t.Errorf("%d runs are remembered, want at most %d", len(target.runs), runsMax)
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	if _, err := New(Options{Now: time.Now}); !errors.Is(err, makegood.Invalid) {
		t.Errorf("New without a command = %v, want it refused", err)
	}
	target, _ := counted(t, "", nil)
	if err := target.Check(t.Context()); err != nil {
		t.Errorf("Check = %v", err)
	}
	for _, attempt := range []string{"", "a:b", "a b"} {
		if _, err := target.Start(t.Context(), host.Survey{}, attempt); !errors.Is(err, makegood.Invalid) {
			t.Errorf("Start for %q = %v, want it refused", attempt, err)
		}
	}
	for name, change := range map[string]func(*Options){
		"start":  func(o *Options) { o.Start = []string{"/nowhere/restart", "whsec_argument"} },
		"status": func(o *Options) { o.Status = []string{"/nowhere/status", "whsec_argument"} },
	} {
		target, _ := counted(t, "", change)
		if err := target.Check(t.Context()); host.FaultOf(err) != host.NotStarted || strings.Contains(err.Error(), "whsec_") {
			t.Errorf("Check without the program of %s = %v, want not_started", name, err)
		}
	}
	target, _ = counted(t, "", func(o *Options) { o.Start = []string{"/nowhere/restart"} })
	if _, err := target.Start(t.Context(), host.Survey{}, "att_1"); host.FaultOf(err) != host.NotStarted {
		t.Errorf("Start without its program = %v, want not_started", err)
	}
}
