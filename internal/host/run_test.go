package host_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/makegood/makegood/internal/host"
)

func shell(script string) []string { return []string{"sh", "-c", script} }

func TestCommandEnds(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		argv  []string
		limit time.Duration
		want  string
		fault host.Fault
	}{
		{"well", shell("exit 0"), 0, "", ""},
		{"badly", shell("echo whsec_loud; echo whsec_louder >&2; exit 3"), 0, "the command ended with exit code 3", ""},
		{"by a signal", shell("kill -9 $$"), 0, "the command ended with exit code 137", ""},
		{"too late", shell("sleep 60"), 100 * time.Millisecond, "the command did not end in time and was ended", ""},
		{"deaf and too late", shell("trap '' TERM; sleep 60; sleep 60"), 100 * time.Millisecond, "the command did not end in time and was ended", ""},
		{"no program", []string{"/nowhere/restart", "whsec_argument"}, 0, "it is not there", host.NotStarted},
		{"no such name", []string{"makegood-no-such-program"}, 0, "it is not there", host.NotStarted},
		{"no command", nil, 0, "There is no command", host.NotStarted},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			began := time.Now()
			err := host.Command{Argv: tt.argv, Limit: tt.limit}.Run(t.Context())
			got := ""
			if err != nil {
				got = err.Error()
			}
			if (tt.want == "") != (got == "") || !strings.Contains(got, tt.want) || host.FaultOf(err) != tt.fault {
				t.Errorf("Run = %q of fault %q, want %q of %q", got, host.FaultOf(err), tt.want, tt.fault)
			}
			if strings.Contains(got, "whsec_") {
				t.Errorf("Run repeats what the command printed or was given: %q", got)
			}
			if took := time.Since(began); took > 20*time.Second {
				t.Errorf("Run took %v", took)
			}
		})
	}
}

func TestCommandThatMayNotBeExecuted(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "restart")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	err := host.Command{Argv: []string{path}}.Check()
	if host.FaultOf(err) != host.NotStarted || !strings.Contains(err.Error(), "may not execute") {
		t.Errorf("Check = %v, want not_started that says that it may not be executed", err)
	}
}

// TestCommandSeesNoSecrets: of our environment it has three variables, and the attempt.
func TestCommandSeesNoSecrets(t *testing.T) {
	t.Setenv("STRIPE_WEBHOOK_SECRET", "whsec_ours")
	out := filepath.Join(t.TempDir(), "env")
	if err := (host.Command{Argv: []string{"sh", "-c", `env > "$0"`, out}, Attempt: "att_1"}).Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	allowed := []string{"PATH", "HOME", "LANG", "MAKEGOOD_ATTEMPT", "PWD", "OLDPWD", "SHLVL", "_"} // the last four are the shell's own
	for line := range strings.Lines(string(text)) {
		name, _, _ := strings.Cut(line, "=")
		if !slices.Contains(allowed, name) {
			t.Errorf("the command sees %s", name)
		}
	}
	if !strings.Contains(string(text), "MAKEGOOD_ATTEMPT=att_1\n") {
		t.Error("the command does not see its attempt")
	}
}

// TestCommandEndsWithItsTask: a cut task is doubt, and the whole group is gone, not only its leader.
func TestCommandEndsWithItsTask(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		for ctx.Err() == nil {
			if _, err := os.Stat(filepath.Join(dir, "begun")); err == nil {
				cancel()
			}
			time.Sleep(10 * time.Millisecond)
		}
	}()
	script := `(sleep 1; touch "$0/late") & touch "$0/begun"; wait`
	err := host.Command{Argv: append(shell(script), dir)}.Run(ctx)
	if !errors.Is(err, host.ErrDoubt) || !errors.Is(err, context.Canceled) {
		t.Errorf("Run of a cut task = %v, want ErrDoubt and Canceled", err)
	}
	time.Sleep(1500 * time.Millisecond)
	if _, err := os.Stat(filepath.Join(dir, "late")); err == nil {
		t.Error("what the command began went on after the task had ended")
	}
	if err := (host.Command{Argv: shell("exit 0")}).Run(ctx); !errors.Is(err, context.Canceled) || errors.Is(err, host.ErrDoubt) {
		t.Errorf("Run of a task that has ended = %v, want Canceled without doubt", err)
	}
}

// TestCommandLeavesTheBackgroundAlone: a command may start the program itself.
func TestCommandLeavesTheBackgroundAlone(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	began := time.Now()
	if err := (host.Command{Argv: append(shell(`(sleep 1; touch "$0/later") & exit 0`), dir)}).Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took > 900*time.Millisecond {
		t.Errorf("Run waited %v for what the command left behind", took)
	}
	for range 200 {
		if _, err := os.Stat(filepath.Join(dir, "later")); err == nil {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Error("what the command left behind was ended with it")
}

func TestCommandAsks(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		argv []string
		yes  bool
		err  bool
	}{
		{"yes", shell("exit 0"), true, false},
		{"no", shell("exit 3"), false, false},
		{"no ssh", shell("exit 255"), false, true},
		{"cannot tell", []string{"/nowhere/status"}, false, true},
		{"does not answer", shell("sleep 60"), false, true},
	} {
		yes, err := host.Command{Argv: tt.argv, Limit: 200 * time.Millisecond}.Asks(t.Context())
		if yes != tt.yes || (err != nil) != tt.err {
			t.Errorf("%s: Asks = %v, %v", tt.name, yes, err)
		}
	}
}
