package vault_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/makegood/makegood/internal/secret"
	"github.com/makegood/makegood/internal/vault"
)

func TestCompare(t *testing.T) {
	t.Parallel()
	right := func(name, value string) vault.Held {
		return vault.Held{Name: name, Fingerprint: secret.New(value).Fingerprint(), Readable: true}
	}
	key, hook := right("STRIPE_KEY", stripeLive), right("STRIPE_WEBHOOK_SECRET", webhook)
	more := func(name, value string) map[string]secret.Value {
		m := good()
		m[name] = secret.New(value)
		return m
	}
	for _, tt := range []struct {
		name   string
		values map[string]secret.Value
		held   []vault.Held
		want   string
		writes string
	}{
		{"the same", good(), []vault.Held{key, hook}, "", ""},
		{"everything wiped", good(), nil, "missing:STRIPE_WEBHOOK_SECRET missing:STRIPE_KEY", "STRIPE_WEBHOOK_SECRET STRIPE_KEY"},
		{"one missing", good(), []vault.Held{hook}, "missing:STRIPE_KEY", "STRIPE_KEY"},
		{"one empty", good(), []vault.Held{hook, {Name: "STRIPE_KEY", Readable: true, Empty: true}}, "empty:STRIPE_KEY", "STRIPE_KEY"},
		{"one wrong", good(), []vault.Held{hook, right("STRIPE_KEY", stripeTest)}, "wrong:STRIPE_KEY", "STRIPE_KEY"},
		{"one unreadable", good(), []vault.Held{hook, {Name: "STRIPE_KEY"}}, "unknown:STRIPE_KEY", ""},
		{"unreadable, with a fingerprint", good(), []vault.Held{hook, {Name: "STRIPE_KEY", Fingerprint: "00000000"}}, "unknown:STRIPE_KEY", ""},
		{"unreadable, said to be empty", good(), []vault.Held{hook, {Name: "STRIPE_KEY", Empty: true}}, "unknown:STRIPE_KEY", ""},
		{"readable, without a fingerprint", good(), []vault.Held{hook, {Name: "STRIPE_KEY", Readable: true}}, "unknown:STRIPE_KEY", ""},
		{"not in the truth", values("STRIPE_KEY", stripeLive), []vault.Held{key, hook}, "not_in_truth:STRIPE_WEBHOOK_SECRET", ""},
		{"empty in the truth", more("STRIPE_KEY", ""), []vault.Held{hook}, "not_in_truth:STRIPE_KEY", ""},
		{"not needed", good(), []vault.Held{key, hook, {Name: "Z"}, {Name: "A"}}, "extra:A extra:Z", ""},
		{"not needed, and in both", more("A", "x"), []vault.Held{key, hook, right("A", "y")}, "extra:A", ""},
		{"not needed, and in the truth", more("A", "x"), []vault.Held{key, hook}, "in_truth_only:A", ""},
		{"optional, and missing there", more("RESEND_KEY", resend), []vault.Held{key, hook}, "in_truth_only:RESEND_KEY", ""},
		{"optional, and wrong", more("RESEND_KEY", resend), []vault.Held{key, hook, right("RESEND_KEY", webhook)}, "wrong:RESEND_KEY", "RESEND_KEY"},
		{"optional, and not in the truth", good(), []vault.Held{key, hook, right("RESEND_KEY", resend)}, "extra:RESEND_KEY", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			list := append(needs(), needs()[0]) // a name that is listed twice is told once
			differences := vault.Compare(list, vault.Truth{Values: tt.values}, tt.held)
			var got []string
			for _, d := range differences {
				got = append(got, string(d.What)+":"+d.Name)
				if !strings.HasPrefix(d.Sentence, d.Name) || !strings.HasSuffix(d.Sentence, ".") || shows(d.Sentence) {
					t.Errorf("sentence of %s = %q, want one about the name and without a secret", d.What, d.Sentence)
				}
			}
			if want := strings.Fields(tt.want); !slices.Equal(got, want) {
				t.Errorf("Compare = %v, want %v", got, want)
			}
			if got, want := vault.ToWrite(differences), strings.Fields(tt.writes); !slices.Equal(got, want) {
				t.Errorf("ToWrite = %v, want %v", got, want)
			}
		})
	}
}

func TestToWriteNamesNothingTwice(t *testing.T) {
	t.Parallel()
	got := vault.ToWrite([]vault.Difference{{Name: "A", What: vault.Wrong}, {Name: "B", What: vault.Blank}, {Name: "A", What: vault.Lacking}})
	if want := []string{"A", "B"}; !slices.Equal(got, want) {
		t.Errorf("ToWrite = %v, want %v", got, want)
	}
}
