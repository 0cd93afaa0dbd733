package vault_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/makegood/makegood/internal/secret"
	"github.com/makegood/makegood/internal/vault"
)

const (
	stripeLive = "sk_live_Zq7Tn3Vb9Kx2Lm5Pw8Rd4Fg6"
	stripeTest = "sk_test_Zq7Tn3Vb9Kx2Lm5Pw8Rd4Fg6"
	webhook    = "whsec_Ba8Un4Wc0Ly3Mn6Qx9Se5Gh7Jk2Td1Zb"
	resend     = "re_Cb9Vo5Xd_1Mz4No7Ry0Tf6Hi8Kl3Ue2Ac"
)

var noon = time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)

func good() map[string]secret.Value {
	return values("STRIPE_KEY", stripeLive, "STRIPE_WEBHOOK_SECRET", webhook)
}

// values makes secrets of names and values in turn.
func values(pairs ...string) map[string]secret.Value {
	m := map[string]secret.Value{}
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i]] = secret.New(pairs[i+1])
	}
	return m
}

func newKeys(t *testing.T) vault.Keys {
	t.Helper()
	k, err := vault.NewKeys()
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// newSealing is a sealing to a file that is not there yet.
func newSealing(t *testing.T, k vault.Keys) vault.Sealing {
	t.Helper()
	return vault.Sealing{Path: filepath.Join(t.TempDir(), "secrets.sealed"), Identity: k.Identity, SigningKey: k.SigningKey, Mode: secret.Live}
}

func seal(t *testing.T, s vault.Sealing, values map[string]secret.Value) vault.Known {
	t.Helper()
	known, err := vault.Seal(s, values, noon)
	if err != nil {
		t.Fatal(err)
	}
	return known
}

// sealedFile is a source of a file that has just been sealed.
func sealedFile(t *testing.T, k vault.Keys) vault.Sealed {
	t.Helper()
	s := newSealing(t, k)
	seal(t, s, good())
	return vault.Sealed{Path: s.Path, Identity: k.Identity, VerifyKey: k.VerifyKey}
}

func readTruth(t *testing.T, s vault.Source) vault.Truth {
	t.Helper()
	truth, err := s.Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return truth
}

// checkRefusal wants a *Refusal of that reason, whose sentence tells something and shows no value, and no truth beside it.
func checkRefusal(t *testing.T, truth vault.Truth, err error, want vault.Reason, tells string) {
	t.Helper()
	var r *vault.Refusal
	if !errors.As(err, &r) || r.Reason != want {
		t.Fatalf("error = %v, want a refusal as %s", err, want)
	}
	if len(truth.Values) > 0 || truth.Serial != 0 || truth.Signed {
		t.Errorf("truth beside the refusal = %+v, want none", truth)
	}
	if !strings.Contains(r.Sentence, tells) || !strings.HasSuffix(r.Sentence, ".") {
		t.Errorf("sentence = %q, want one that tells %q", r.Sentence, tells)
	}
	if shows(err.Error()) {
		t.Errorf("refusal = %v, want no secret in it", err)
	}
}

// shows reports whether a text has a part of one of the secrets.
func shows(text string) bool {
	for _, part := range []string{"Zq7Tn3", "Ba8Un4", "Cb9Vo5"} {
		if strings.Contains(text, part) {
			return true
		}
	}
	return false
}

func equalValues(got, want map[string]secret.Value) bool {
	same := len(got) == len(want)
	for name, v := range want {
		same = same && got[name].Equal(v)
	}
	return same
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}
