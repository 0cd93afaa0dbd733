package vault_test

import (
	"strings"
	"testing"

	"github.com/makegood/makegood/internal/vault"
)

func TestEnvironment(t *testing.T) {
	t.Parallel()
	there := map[string]string{"MAKEGOOD_TRUTH_STRIPE_KEY": stripeLive, "STRIPE_KEY": stripeTest, "MAKEGOOD_TRUTH_EMPTY": "", "MAKEGOOD_TRUTH_OTHER": resend}
	lookup := func(name string) (string, bool) { s, ok := there[name]; return s, ok }
	got := readTruth(t, vault.Environment{Lookup: lookup, Names: []string{"STRIPE_KEY", "EMPTY", "UNSET"}, Prefix: "MAKEGOOD_TRUTH_"})
	if want := values("STRIPE_KEY", stripeLive, "EMPTY", ""); !equalValues(got.Values, want) {
		t.Errorf("Read with a prefix = %+v, want %+v", got, want)
	}
	got = readTruth(t, vault.Environment{Lookup: lookup, Names: []string{"STRIPE_KEY"}})
	if want := values("STRIPE_KEY", stripeTest); !equalValues(got.Values, want) {
		t.Errorf("Read without a prefix = %+v, want %+v", got, want)
	}
}

func TestEnvironmentRefusesTheHuge(t *testing.T) {
	t.Parallel()
	huge := func(string) (string, bool) { return strings.Repeat("x", 64<<10+1), true }
	truth, err := vault.Environment{Lookup: huge, Names: []string{"STRIPE_KEY"}}.Read(t.Context())
	checkRefusal(t, truth, err, vault.Unspeakable, "longer")
}

func TestKindsOfSources(t *testing.T) {
	t.Parallel()
	for want, s := range map[string]vault.Source{"sealed": vault.Sealed{}, "directory": vault.Directory{}, "environment": vault.Environment{}} {
		if got := s.Kind(); got != want {
			t.Errorf("Kind() = %q, want %q", got, want)
		}
	}
}
