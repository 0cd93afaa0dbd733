package makegood

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"testing"
)

// The golden keys were computed by an independent program (Python's hmac and hashlib) from the formula of SPEC A3.
func TestDeriveKeyGolden(t *testing.T) {
	t.Parallel()
	secret := []byte("golden secret for the licence vectors")
	const session = "cs_test_a1B2c3D4e5F6"
	for _, tt := range []struct {
		name string
		slot KeySlot
		want string
	}{
		{"the documented formula", KeySlot{SessionID: session}, "GD-2P9P-SQD8-LHQX"},
		{"live session", KeySlot{SessionID: "cs_live_0000000000000000"}, "GD-TFBT-PEXT-ZFLL"},
		{"second unit", KeySlot{session, 0, 1, 0}, "GD-6RNT-GLYD-8QHN"},
		{"second line", KeySlot{session, 1, 0, 0}, "GD-QTEH-7SJQ-YMLZ"},
		{"re-issued", KeySlot{session, 0, 0, 1}, "GD-ZZR8-Q2HY-DK5S"},
		{"all of it", KeySlot{session, 2, 3, 4}, "GD-FL7E-Z338-E6TM"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := DeriveKey(secret, "GD", tt.slot); got != tt.want {
				t.Errorf("DeriveKey(%+v) = %s, want %s", tt.slot, got, tt.want)
			}
		})
	}
}

// 100,000 keys agree with the independent program: the digest is of its output, a key a line.
func TestDeriveKeyWide(t *testing.T) {
	t.Parallel()
	secret := []byte("golden secret for the licence vectors")
	all := sha256.New()
	for i := range 100_000 {
		fmt.Fprintln(all, DeriveKey(secret, "GD", KeySlot{SessionID: fmt.Sprintf("cs_test_%d", i)}))
	}
	const want = "48eb6428b172e43478ef64e49fc26ceeba86a879afa8622e0f284cfdc808c2e6"
	if got := hex.EncodeToString(all.Sum(nil)); got != want {
		t.Errorf("digest of 100,000 keys = %s, want %s", got, want)
	}
}

func TestNormalizeKey(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ typed, want string }{
		{"GD-2P9P-SQD8-LHQX", "GD-2P9P-SQD8-LHQX"},
		{"  gd 2p9p sqd8 lhqx ", "GD-2P9P-SQD8-LHQX"},
		{"gd2p9psqd8lhqx", "GD-2P9P-SQD8-LHQX"},
		{"GD\u20132P9P\u2014SQD8\u00a0LHQX", "GD-2P9P-SQD8-LHQX"},
		{"2P9P-SQD8-LHQX", "2P9P-SQD8-LHQX"},
		{"GD-2P9P-SQD8-LHQ0", ""}, // never a zero
		{"GD-2P9P-SQD8-LHQI", ""},
		{"GD-2P9P-SQD8", ""},
		{"", ""},
		{"GD-2P9P-SQD8-LHQX'; DROP TABLE licenses", ""},
		{"GD-2P9P-SQD8-LHQ\u00c4", ""},
	} {
		got, err := NormalizeKey(tt.typed)
		if got != tt.want || (err == nil) != (tt.want != "") {
			t.Errorf("NormalizeKey(%q) = %q, %v, want %q", tt.typed, got, err, tt.want)
		}
	}
}

func TestMaskKey(t *testing.T) {
	t.Parallel()
	for key, want := range map[string]string{"GD-2P9P-SQD8-LHQX": "GD-••••-••••-LHQX", "short": "••••", "": "••••"} {
		if got := MaskKey(key); got != want {
			t.Errorf("MaskKey(%q) = %q, want %q", key, got, want)
		}
	}
}

func TestValidLicensePrefix(t *testing.T) {
	t.Parallel()
	for prefix, want := range map[string]bool{"GD": true, "A1B2C3D4": true, "": false, "gd": false, "TOOLONG12": false, "G-D": false} {
		if got := ValidLicensePrefix(prefix); got != want {
			t.Errorf("ValidLicensePrefix(%q) = %v, want %v", prefix, got, want)
		}
	}
}
