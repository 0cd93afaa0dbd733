package vault_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/makegood/makegood/internal/secret"
	"github.com/makegood/makegood/internal/vault"
)

// Nothing of this package shows a value, however it is printed.
func TestNothingShowsAValue(t *testing.T) {
	t.Parallel()
	k := newKeys(t)
	sealing := newSealing(t, k)
	known := seal(t, sealing, good())
	source := vault.Sealed{Path: sealing.Path, Identity: k.Identity, VerifyKey: k.VerifyKey}
	truth := readTruth(t, source)
	settings, err := vault.Settings(truth, []string{"STRIPE_KEY"})
	if err != nil {
		t.Fatal(err)
	}
	_, shrunken := vault.Seal(sealing, values("STRIPE_KEY", stripeLive), noon)
	_, unopened := vault.Sealed{Path: sealing.Path, Identity: newKeys(t).Identity, VerifyKey: k.VerifyKey}.Read(t.Context())
	broken := truth
	broken.Values = values("STRIPE_KEY", "\""+stripeLive+"\"\n", "STRIPE_WEBHOOK_SECRET", stripeTest)
	for name, v := range map[string]any{
		"truth": truth, "pointer to a truth": &truth, "known": known, "source": source, "sealing": sealing, "keys": k, "settings": settings,
		"refusal of a sealing": shrunken, "refusal of a reading": unopened, "causes": errors.Unwrap(unopened),
		"judgment": vault.Judge(broken, needs(), known, secret.Live, noon), "differences": vault.Compare(needs(), truth, nil),
		"environment": vault.Environment{Lookup: func(string) (string, bool) { return stripeLive, true }, Names: []string{"STRIPE_KEY"}},
	} {
		printed := print(v)
		for _, hidden := range []string{k.Identity.Reveal()[20:28], k.SigningKey.Reveal()[10:18]} {
			if strings.Contains(printed, hidden) {
				t.Errorf("%s shows a key when printed", name)
			}
		}
		if shows(printed) || strings.Contains(printed, fmt.Sprintf("%x", "Zq7Tn3")) {
			t.Errorf("%s shows a value when printed", name)
		}
	}
}

// print is all that printers make of a value.
func print(v any) string {
	var b bytes.Buffer
	for _, verb := range strings.Fields("%v %+v %#v %s %q %x %X %d") {
		fmt.Fprintf(&b, verb+"\n", v)
	}
	if text, err := json.Marshal(v); err == nil {
		b.Write(text)
	}
	for _, h := range []slog.Handler{slog.NewTextHandler(&b, nil), slog.NewJSONHandler(&b, nil)} {
		slog.New(h).Info("x", "value", v)
	}
	return b.String()
}
