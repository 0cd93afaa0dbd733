// Package hosttest is a conformance suite for host.Target: what every place where a program runs has to do, whatever it is made of.
// Abilities that a target does not have are passed over.
package hosttest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/makegood/makegood/internal/host"
	"github.com/makegood/makegood/internal/secret"
)

// World is a place in good health with a program that runs there. Each test gets one of its own.
type World struct {
	Target host.Target
	// Present are the variables that the place has and the program runs with, two or more; the values are secrets and of some length, so that
	// they can be looked for in what a target says.
	Present map[string]string
	// Held is what the place keeps for the next start.
	Held func() map[string]string
	// Running is what the program that runs now was started with; nil where the test cannot know.
	Running func() map[string]string
	// Secrets are further texts that must never be seen, such as a token.
	Secrets []string
}

// The values that the suite writes, and how long a run may take in a test.
const (
	newName  = "MAKEGOOD_TEST_NEW"
	newValue = "a-new-value-that-must-not-be-seen"
	patience = 20 * time.Second
)

// Run checks everything. start makes a World; it may use t to end it.
func Run(t *testing.T, start func(t *testing.T) World) {
	for name, check := range map[string]func(*testing.T, World){
		"checks": checks, "surveys": surveys, "surveys without values": surveysWithoutValues, "refuses to write nothing": refusesNothing,
		"writes": writes, "starts": starts, "adopts": adopts, "reverts": reverts, "breaks and is mended": breaks, "gives up in time": givesUp,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			check(t, start(t))
		})
	}
}

// setting is one variable.
func setting(name, value string) host.Setting {
	return host.Setting{Name: name, Value: secret.New(value)}
}

func checks(t *testing.T, w World) {
	for range 2 {
		if err := w.Target.Check(t.Context()); err != nil {
			t.Errorf("Check = %v, want nil", err)
		}
	}
	if w.Target.Kind() == "" {
		t.Error("Kind is empty")
	}
	unchanged(t, w)
}

// unchanged checks that the place has what it had.
func unchanged(t *testing.T, w World) {
	t.Helper()
	if got := w.Held(); !maps.Equal(only(got, w.Present), w.Present) || got[newName] != "" {
		t.Error("the place does not have what it had")
	}
}

// only is got without what want does not name.
func only(got, want map[string]string) map[string]string {
	return maps.Collect(func(yield func(string, string) bool) {
		for name := range want {
			if value, ok := got[name]; ok && !yield(name, value) {
				return
			}
		}
	})
}

func survey(t *testing.T, w World) host.Survey {
	t.Helper()
	s, err := w.Target.Survey(t.Context())
	if err != nil {
		t.Fatalf("Survey: %v", err)
	}
	return s
}

func surveys(t *testing.T, w World) {
	s := survey(t, w)
	if s.At.IsZero() || s.At.Location() != time.UTC {
		t.Errorf("At = %v, want a time in UTC", s.At)
	}
	if s.Busy != "" || s.Down != "" {
		t.Errorf("Busy = %q, Down = %q of a place in good health, want none", s.Busy, s.Down)
	}
	if !slices.IsSortedFunc(s.Variables, func(a, b host.Variable) int { return strings.Compare(a.Name, b.Name) }) {
		t.Errorf("variables are not sorted: %v", s.Variables)
	}
	for name, value := range w.Present {
		v, ok := s.Variable(name)
		switch {
		case !ok:
			t.Errorf("%s is not in the survey", name)
		case v.Readable && (v.Empty || v.Fingerprint != secret.New(value).Fingerprint()):
			t.Errorf("%s was read, and is told as %+v", name, v)
		case !v.Readable && (v.Empty || v.Fingerprint != ""):
			t.Errorf("%s was not read, and is told as %+v", name, v)
		}
	}
	if _, ok := s.Variable(newName); ok {
		t.Errorf("%s is in the survey and not in the place", newName)
	}
	unchanged(t, w)
}

func surveysWithoutValues(t *testing.T, w World) {
	s := survey(t, w)
	encoded, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	w.silent(t, string(encoded), fmt.Sprintf("%+v %#v", s, s), fmt.Sprintf("%+v", w.Target))
	var decoded host.Survey
	if err := json.Unmarshal(encoded, &decoded); err != nil {
		t.Fatal(err)
	}
	if again, err := json.Marshal(decoded); err != nil || string(again) != string(encoded) {
		t.Errorf("the survey does not survive being kept (%v)", err)
	}
}

// silent checks that no secret stands in what was said.
func (w World) silent(t *testing.T, said ...string) {
	t.Helper()
	for _, value := range slices.Concat(w.Secrets, slices.Collect(maps.Values(w.Present)), []string{newValue}) {
		if value != "" && strings.Contains(strings.Join(said, "\n"), value) {
			t.Errorf("a secret of %d bytes is shown", len(value))
		}
	}
}

// quiet is silent for an error.
func (w World) quiet(t *testing.T, err error) {
	t.Helper()
	w.silent(t, fmt.Sprintf("%v %+v %#v", err, err, err))
}

func refusesNothing(t *testing.T, w World) {
	writer, ok := w.Target.(host.Writer)
	if !ok {
		t.Skip("it writes nothing")
	}
	present := slices.Sorted(maps.Keys(w.Present))[0]
	for name, settings := range map[string][]host.Setting{
		"no settings": nil, "an empty list": {}, "an empty value": {setting(present, "")}, "no name": {setting("", newValue)},
		"an empty value among others": {setting(newName, newValue), setting(present, "")},
		"a name twice":                {setting(newName, newValue), setting(newName, newValue+"2")},
	} {
		err := writer.Write(t.Context(), settings)
		if err == nil || errors.Is(err, host.ErrDoubt) {
			t.Errorf("Write of %s = %v, want a refusal without doubt", name, err)
		}
		w.quiet(t, err)
	}
	unchanged(t, w)
}

func writes(t *testing.T, w World) {
	writer, ok := w.Target.(host.Writer)
	if !ok {
		t.Skip("it writes nothing")
	}
	before := w.Held()
	present := slices.Sorted(maps.Keys(w.Present))[0]
	settings := []host.Setting{setting(newName, newValue), setting(present, "another-value-of-some-length")}
	for range 2 {
		if err := writer.Write(t.Context(), settings); err != nil {
			t.Fatalf("Write = %v, want nil", err)
		}
		want := maps.Clone(before)
		want[newName], want[present] = newValue, "another-value-of-some-length"
		if !maps.Equal(w.Held(), want) {
			t.Errorf("the place has %v, want what was written and what it had, %v", slices.Sorted(maps.Keys(w.Held())), slices.Sorted(maps.Keys(want)))
		}
	}
	if _, ok := survey(t, w).Variable(newName); !ok {
		t.Error("what was written is not in the survey")
	}
}

// finish waits for the end of a run.
func finish(t *testing.T, s host.Starter, run string) host.Progress {
	t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		p, err := s.Progress(t.Context(), run)
		if err != nil {
			t.Fatalf("Progress: %v", err)
		}
		if p.State != host.Running {
			return p
		}
	}
	t.Fatalf("the run did not end in %v", patience)
	return host.Progress{}
}

// begin writes the new variable, starts and waits; it gives the survey of before.
func begin(t *testing.T, w World) (host.Starter, host.Survey, string) {
	t.Helper()
	starter, ok := w.Target.(host.Starter)
	if !ok {
		t.Skip("it starts nothing")
	}
	s := survey(t, w)
	if writer, ok := w.Target.(host.Writer); ok {
		if err := writer.Write(t.Context(), []host.Setting{setting(newName, newValue)}); err != nil {
			t.Fatalf("Write: %v", err)
		}
	}
	run, err := starter.Start(t.Context(), s, "attempt1")
	if err != nil || run == "" {
		t.Fatalf("Start = %q, %v; want the name of a run", run, err)
	}
	return starter, s, run
}

func starts(t *testing.T, w World) {
	starter, _, run := begin(t, w)
	if p := finish(t, starter, run); p.State != host.Ran {
		t.Fatalf("Progress = %+v, want that it ran", p)
	}
	if _, isWriter := w.Target.(host.Writer); isWriter && w.Running != nil && w.Running()[newName] != newValue {
		t.Error("the program runs without the variable that was written before")
	}
	if s := survey(t, w); s.Down != "" || s.Busy != "" {
		t.Errorf("after a run that ran: Down %q, Busy %q", s.Down, s.Busy)
	}
}

func adopts(t *testing.T, w World) {
	starter, ok := w.Target.(host.Starter)
	if !ok {
		t.Skip("it starts nothing")
	}
	s := survey(t, w)
	if run, err := starter.Adopt(t.Context(), s, "attempt1"); run != "" || err != nil {
		t.Errorf("Adopt before any start = %q, %v; want none", run, err)
	}
	starter, s, run := begin(t, w)
	for range 2 {
		if got, err := starter.Adopt(t.Context(), s, "attempt1"); got != run || err != nil {
			t.Errorf("Adopt = %q, %v; want the run that was started", got, err)
		}
	}
	finish(t, starter, run)
	if got, err := starter.Adopt(t.Context(), s, "attempt1"); got != run || err != nil {
		t.Errorf("Adopt of a run that has ended = %q, %v; want it", got, err)
	}
}

func reverts(t *testing.T, w World) {
	reverter, ok := w.Target.(host.Reverter)
	if !ok {
		t.Skip("it cannot go back")
	}
	starter, s, run := begin(t, w)
	finish(t, starter, run)
	for range 2 {
		if err := reverter.Revert(t.Context(), s); err != nil {
			t.Fatalf("Revert = %v, want nil", err)
		}
		if w.Running != nil && !maps.Equal(only(w.Running(), w.Present), w.Present) {
			t.Error("the program does not run with what it ran with before")
		}
		if w.Running != nil && w.Running()[newName] != "" {
			t.Error("the program still runs with what was written after the survey")
		}
	}
	if got := survey(t, w).Live; got != s.Live {
		t.Errorf("Live after Revert = %q, want %q", got, s.Live)
	}
}

func breaks(t *testing.T, w World) {
	breaker, ok := w.Target.(host.Breaker)
	if !ok {
		t.Skip("it cannot be broken on purpose")
	}
	name := slices.Sorted(maps.Keys(w.Present))[0]
	if err := breaker.Break(t.Context(), nil); err == nil {
		t.Error("Break without names = nil, want a refusal")
	}
	unchanged(t, w)
	if err := breaker.Break(t.Context(), []string{name}); err != nil {
		t.Fatalf("Break = %v, want nil", err)
	}
	want := maps.Clone(w.Present)
	delete(want, name)
	if got := w.Held(); got[name] != "" || !maps.Equal(only(got, want), want) {
		t.Errorf("the place has %v, want all but %s", slices.Sorted(maps.Keys(got)), name)
	}
	await(t, "the program runs without the variable", func() bool {
		s := survey(t, w)
		return s.Busy == "" && (w.Running == nil || w.Running()[name] == "")
	})
	writer, isWriter := w.Target.(host.Writer)
	starter, isStarter := w.Target.(host.Starter)
	if !isWriter || !isStarter {
		return
	}
	s := survey(t, w)
	if err := writer.Write(t.Context(), []host.Setting{setting(name, w.Present[name])}); err != nil {
		t.Fatalf("Write: %v", err)
	}
	run, err := starter.Start(t.Context(), s, "attempt1")
	if err != nil {
		t.Fatalf("Start: %v", err)
	}
	if p := finish(t, starter, run); p.State != host.Ran {
		t.Errorf("after mending: %+v", p)
	}
	if w.Running != nil && w.Running()[name] != w.Present[name] {
		t.Error("the program still runs without the variable")
	}
}

func await(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if is() {
			return
		}
	}
	t.Fatalf("not in %v: %s", patience, what)
}

// givesUp calls everything with a context that has ended: nothing may be done, and nothing may take long.
func givesUp(t *testing.T, w World) {
	s := survey(t, w)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	begun := time.Now()
	calls := map[string]func() error{
		"Survey": func() error { _, err := w.Target.Survey(ctx); return err },
		"Check":  func() error { return w.Target.Check(ctx) },
	}
	if writer, ok := w.Target.(host.Writer); ok {
		calls["Write"] = func() error { return writer.Write(ctx, []host.Setting{setting(newName, newValue)}) }
	}
	if starter, ok := w.Target.(host.Starter); ok {
		calls["Start"] = func() error { _, err := starter.Start(ctx, s, "attempt1"); return err }
	}
	for name, call := range calls {
		err := call()
		if err == nil {
			t.Errorf("%s after the end of its context = nil, want an error", name)
		}
		w.quiet(t, err)
	}
	if took := time.Since(begun); took > patience/2 {
		t.Errorf("it took %v", took)
	}
	unchanged(t, w)
}
