package makegood

import (
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"strings"
	"time"
)

// keyAlphabet is the 32 symbols of a key: no I, O, 0 or 1, which people confuse. 32 divides 256, so taking a byte modulo
// 32 favours no symbol, and twelve of them carry 60 bits.
const keyAlphabet = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"

// LicenseStatus is what a licence is worth right now.
type LicenseStatus string

const (
	LicenseActive    LicenseStatus = "active"
	LicenseSuspended LicenseStatus = "suspended" // a dispute is open
	LicenseRevoked   LicenseStatus = "revoked"   // the money went back
)

// License is one key for one unit of one line of an order.
type License struct {
	ID       string
	Key      string
	KeyID    string // names the key secret it was derived with; the secret may rotate, an issued key never changes
	Line     int    // 0-based position in the order
	Unit     int    // 0-based ordinal within the line
	Revision int    // 0, and one more for each re-issue or collision
	Product  string
	Status   LicenseStatus
	IssuedAt time.Time
	// ExpiresAt is when it ends, for what is paid by the month; zero is never. Whether it has come is for whoever asks: the
	// status does not change by itself.
	ExpiresAt time.Time
}

// Expired reports whether the licence's time is over.
func (l License) Expired(now time.Time) bool { return !l.ExpiresAt.IsZero() && now.After(l.ExpiresAt) }

// KeySlot is the place of a licence in the world: what exactly the key is for.
type KeySlot struct {
	SessionID string
	Line      int
	Unit      int
	Revision  int
}

// DeriveKey computes the key of a slot: HMAC-SHA256 under secret, of which the first twelve bytes, each modulo 32, index
// into the alphabet; shown as PREFIX-XXXX-XXXX-XXXX.
//
// The first unit of the first line at revision 0 is the HMAC of the bare session id (SPEC A3). Everything else mixes in
// line, unit and revision behind a separator that no session id contains, so that a bare session id is never used as the
// message for a second purpose.
func DeriveKey(secret []byte, prefix string, slot KeySlot) string {
	message := slot.SessionID
	if slot.Line != 0 || slot.Unit != 0 || slot.Revision != 0 {
		message = fmt.Sprintf("%s\x00makegood-license\x00%d\x00%d\x00%d", slot.SessionID, slot.Line, slot.Unit, slot.Revision)
	}
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(message))
	sum := mac.Sum(nil)

	var key strings.Builder
	key.WriteString(prefix)
	for i, b := range sum[:12] {
		if i%4 == 0 {
			key.WriteByte('-')
		}
		key.WriteByte(keyAlphabet[b%32])
	}
	return key.String()
}

// NormalizeKey makes what a person typed comparable with an issued key: spaces and dashes of any kind are dropped, letters
// become upper case, and the groups of four are put back. A key without its prefix stays without it. The symbols I, O, 0
// and 1 are never part of a key: such input is answered with a hint.
func NormalizeKey(typed string) (string, error) {
	var symbols strings.Builder
	for _, r := range strings.ToUpper(strings.TrimSpace(typed)) {
		switch {
		case r == '-' || r == ' ' || r == '\t' || r == '\u00a0' || (r >= '\u2010' && r <= '\u2015'):
		case r < 128 && (r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'):
			symbols.WriteRune(r)
		default:
			return "", Errorf(Invalid, "A licence key has only letters, digits and dashes.")
		}
	}
	s := symbols.String()
	if len(s) < 12 || len(s) > 12+licensePrefixMax {
		return "", Errorf(Invalid, "A licence key has twelve symbols after its prefix; this has %d symbols in all.", len(s))
	}
	prefix, body := s[:len(s)-12], s[len(s)-12:]
	for _, r := range body {
		if !strings.ContainsRune(keyAlphabet, r) {
			return "", Errorf(Invalid, "A licence key never has the symbols I, O, 0 or 1; please look at %q again.", string(r))
		}
	}
	groups := body[:4] + "-" + body[4:8] + "-" + body[8:]
	if prefix == "" {
		return groups, nil
	}
	return prefix + "-" + groups, nil
}

const licensePrefixMax = 8

// ValidLicensePrefix reports whether prefix can stand before a key: 1 to 8 upper-case letters or digits.
func ValidLicensePrefix(prefix string) bool {
	if prefix == "" || len(prefix) > licensePrefixMax {
		return false
	}
	for _, c := range prefix {
		if (c < 'A' || c > 'Z') && (c < '0' || c > '9') {
			return false
		}
	}
	return true
}

// MaskKey hides all of a key but its last group, for lists and logs: GD-••••-••••-JKLM.
func MaskKey(key string) string {
	if len(key) < 14 {
		return "••••"
	}
	return key[:len(key)-14] + "••••-••••-" + key[len(key)-4:]
}
