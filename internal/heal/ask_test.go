package heal_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/heal"
	"github.com/makegood/makegood/internal/host"
	"github.com/makegood/makegood/internal/secret"
	"github.com/makegood/makegood/internal/vault"
)

// askedPlace is a place whose variables can be read, for what a person asks of it.
type askedPlace struct {
	vars   map[string]string
	check  error
	survey error
	write  error
	writes [][]string
}

func (p *askedPlace) Kind() string                { return "fake" }
func (p *askedPlace) Check(context.Context) error { return p.check }

func (p *askedPlace) Survey(context.Context) (host.Survey, error) {
	var s host.Survey
	for name, value := range p.vars {
		v := host.Variable{Name: name, Readable: true, Empty: value == ""}
		if value != "" {
			v.Fingerprint = secret.New(value).Fingerprint()
		}
		s.Variables = append(s.Variables, v)
	}
	return s, p.survey
}

func (p *askedPlace) Write(_ context.Context, settings []host.Setting) error {
	var names []string
	for _, s := range settings {
		names = append(names, s.Name)
	}
	p.writes = append(p.writes, names)
	return p.write
}

// barePlace takes no variables.
type barePlace struct{ host.Target }

type askedTruth struct{ values map[string]secret.Value }

func (askedTruth) Kind() string { return "fake" }
func (t askedTruth) Read(context.Context) (vault.Truth, error) {
	return vault.Truth{Values: t.values}, nil
}

// askedLedger is a ledger in memory; what a push does not need of one is missing.
type askedLedger struct {
	heal.Ledger
	standing makegood.HealStanding
	house    map[string]string
}

func (l *askedLedger) HealStanding(context.Context, makegood.HealLimits) (makegood.HealStanding, error) {
	return l.standing, nil
}

func (l *askedLedger) HouseValue(_ context.Context, name string, first func() string) (string, error) {
	if v, ok := l.house[name]; ok {
		return v, nil
	}
	return first(), nil
}

func (l *askedLedger) KeepHouseValue(_ context.Context, name, value string) error {
	l.house[name] = value
	return nil
}

// Each guard of a push keeps everything from being written; what is written is what is missing, empty or wrong, or what was
// named, and it was recorded before.
func TestPush(t *testing.T) {
	t.Parallel()
	good := map[string]secret.Value{"A": secret.New("a-password"), "B": secret.New("b-password"), "C": secret.New("c-password")}
	broken := errors.New("the audit cannot be written")
	for _, tt := range []struct {
		name   string
		breaks func(*askedPlace, *askedLedger, *heal.Target)
		names  []string
		dry    bool
		record error
		wrote  string
		reason makegood.HealReason
		fault  error
	}{
		{name: "what it lacks", wrote: "A B"},
		{name: "dry", dry: true},
		{name: "named", names: []string{"C"}, wrote: "C"},
		{name: "named, and nobody needs it", names: []string{"D"}, fault: makegood.Invalid},
		{name: "nothing lacks", breaks: func(p *askedPlace, _ *askedLedger, _ *heal.Target) {
			p.vars = map[string]string{"A": "a-password", "B": "b-password", "C": "c-password"}
		}},
		{name: "the program reports another", breaks: func(p *askedPlace, _ *askedLedger, x *heal.Target) {
			p.vars = map[string]string{"A": "a-password", "B": "b-password", "C": "c-password"}
			x.Reported = func(map[string]string) []string { return []string{"C", "NOBODYS"} }
		}, wrote: "C"},
		{name: "the brake is on", breaks: func(_ *askedPlace, l *askedLedger, _ *heal.Target) {
			l.standing.Brake = makegood.Brake{On: true, Why: "x"}
		}, reason: makegood.HealPaused},
		{name: "an attempt runs", breaks: func(_ *askedPlace, l *askedLedger, _ *heal.Target) {
			l.standing.Running = []makegood.HealAttempt{{ID: "att1"}}
		}, reason: makegood.HealBusy},
		{name: "enough attempts lately, which bound starts only", breaks: func(_ *askedPlace, l *askedLedger, _ *heal.Target) {
			l.standing.Lately = slices.Repeat([]makegood.HealAttempt{{Target: "shop", CountsAt: time.Now()}}, 5)
		}, wrote: "A B"},
		{name: "credential", breaks: func(p *askedPlace, _ *askedLedger, _ *heal.Target) {
			p.check = &host.Diagnosis{Fault: host.Expired, Sentence: "It has expired."}
		}, reason: "credential_expired"},
		{name: "no truth at all", breaks: func(_ *askedPlace, _ *askedLedger, x *heal.Target) { x.Truth = askedTruth{} }, reason: "truth_empty"},
		{name: "half a truth", breaks: func(_ *askedPlace, _ *askedLedger, x *heal.Target) {
			x.Truth = askedTruth{map[string]secret.Value{"A": secret.New("a-password")}}
		}, reason: "truth_incomplete"},
		{name: "place does not answer", breaks: func(p *askedPlace, _ *askedLedger, _ *heal.Target) {
			p.survey = &host.Diagnosis{Fault: host.PlatformDown, Sentence: "It does not answer."}
		}, reason: makegood.HealPlatformDown},
		{name: "it cannot be recorded", record: broken, fault: broken},
		{name: "it does not take it", breaks: func(p *askedPlace, _ *askedLedger, _ *heal.Target) { p.write = errors.New("no") }, wrote: "A B",
			reason: makegood.HealWriteFailed},
		{name: "a place without variables", breaks: func(p *askedPlace, _ *askedLedger, x *heal.Target) { x.Place = barePlace{p} }, fault: makegood.Invalid},
		{name: "no list", breaks: func(_ *askedPlace, _ *askedLedger, x *heal.Target) { x.Truth = nil }, fault: makegood.Invalid},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := &askedPlace{vars: map[string]string{"B": "", "C": "c-password"}}
			l := &askedLedger{house: map[string]string{}}
			x := heal.Target{Name: "shop", Place: p, Truth: askedTruth{good},
				Needs: []vault.Need{{Name: "A", Kind: secret.Password}, {Name: "B", Kind: secret.Password}, {Name: "C", Kind: secret.Password}}}
			if tt.breaks != nil {
				tt.breaks(p, l, &x)
			}
			h := heal.New(heal.Options{Ledger: l})
			h.SetTargets([]heal.Target{x})
			isRecorded := false
			got, err := h.Push(t.Context(), "shop", tt.names, tt.dry, func(pushed heal.Pushed) error {
				if isRecorded = true; len(p.writes) > 0 || len(pushed.Names) == 0 {
					t.Errorf("recorded %v after %v was written", pushed.Names, p.writes)
				}
				return tt.record
			})
			var no *makegood.HealRefusal
			var reason makegood.HealReason
			if errors.As(err, &no) {
				reason = no.Reason
			}
			if reason != tt.reason || tt.fault != nil && !errors.Is(err, tt.fault) || tt.fault == nil && tt.reason == "" && err != nil {
				t.Errorf("Push = %v, want the reason %q and the error %v", err, tt.reason, tt.fault)
			}
			wrote := strings.Join(slices.Concat(p.writes...), " ")
			if wrote != tt.wrote {
				t.Errorf("wrote %q, want %q", wrote, tt.wrote)
			}
			if isWritten := wrote != "" && reason == ""; got.Wrote != isWritten || wrote != "" && !isRecorded {
				t.Errorf("Push says that it wrote: %t, recorded: %t", got.Wrote, isRecorded)
			}
			for name, fingerprint := range got.Fingerprints {
				if fingerprint != good[name].Fingerprint() {
					t.Errorf("the fingerprint of %s is %s", name, fingerprint)
				}
			}
		})
	}
}

// Verifying waits for as many looks in a row as were asked for, and gives up when its time is over.
func TestVerify(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		looks string // + is well, - is not; the last one stays
		want  string
		made  int
	}{
		{"well", "+", "", 3},
		{"well at last", "-+-++-+", "", 9},
		{"never", "-", "red", 11},
		{"by turns", "+-+-+-+-+-+-+-+-+-", "red", 12},
	} {
		synctest.Test(t, func(t *testing.T) {
			made := 0
			x := heal.Target{Name: "shop", Place: &askedPlace{}, Steady: 3, VerifyEvery: time.Second, VerifyWithin: 10 * time.Second, Verify: func(context.Context) string {
				look := tt.looks[min(made, len(tt.looks)-1)]
				if made++; look == '-' {
					return "red"
				}
				return ""
			}}
			h := heal.New(heal.Options{Ledger: &askedLedger{}})
			if got := h.Verify(t.Context(), x); got != tt.want || made != tt.made {
				t.Errorf("%s: Verify = %q after %d looks, want %q after %d", tt.name, got, made, tt.want, tt.made)
			}
		})
	}
}
