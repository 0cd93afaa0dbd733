// Package secret holds values that cannot be printed by accident, reads them by reference, and says what is wrong with
// them without saying what they are.
package secret

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
)

// hidden is what every printer shows instead of a secret, set or empty.
const hidden = "[secret]"

// fingerprintLabel keeps our fingerprints apart from any other SHA-256 of the same secret.
const fingerprintLabel = "makegood secret fingerprint v1\x00"

// Value is a secret. Every fmt verb, slog, and JSON and text marshalling show "[secret]"; only Reveal gives the secret
// itself. The zero Value is empty. A Value cannot be compared with ==, because that would tell by its timing how much of
// a guess is right: use Equal. It cannot be unmarshalled either: secrets come in through Resolve.
type Value struct {
	// reveal is a closure and not a string because printers that walk by reflection (fmt on unexported fields, cmp,
	// spew) call no method there, and would show a string and follow a pointer. Nobody prints what a function captured.
	reveal func() string
}

// New makes a Value of s.
func New(s string) Value {
	if s == "" {
		return Value{}
	}
	return Value{reveal: func() string { return s }}
}

// Reveal gives the secret itself. Call it at the last moment, and hand the result to nothing that logs.
func (v Value) Reveal() string {
	if v.reveal == nil {
		return ""
	}
	return v.reveal()
}

// Empty reports whether there is no secret.
func (v Value) Empty() bool { return v.Reveal() == "" }

// Len returns the length of the secret in bytes.
func (v Value) Len() int { return len(v.Reveal()) }

// Equal compares in a time that depends on the lengths only.
func (v Value) Equal(other Value) bool {
	return subtle.ConstantTimeCompare([]byte(v.Reveal()), []byte(other.Reveal())) == 1
}

// Fingerprint returns the first 8 hexadecimal digits of the SHA-256 of a fixed label and the secret: enough to tell two
// secrets apart on a page for operators, too little to recover one that was chosen at random. Of an empty Value it is "".
// It is not shown by the printers, because a password that a person chose could be guessed against it.
func (v Value) Fingerprint() string {
	if v.Empty() {
		return ""
	}
	sum := sha256.Sum256([]byte(fingerprintLabel + v.Reveal()))
	return hex.EncodeToString(sum[:4])
}

// String returns "[secret]".
func (v Value) String() string { return hidden }

// Format writes "[secret]" for every verb and every flag.
func (v Value) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, hidden) }

// LogValue returns "[secret]" to slog.
func (v Value) LogValue() slog.Value { return slog.StringValue(hidden) }

// MarshalText returns "[secret]", and never an error.
func (v Value) MarshalText() ([]byte, error) { return []byte(hidden), nil }

// MarshalJSON returns "[secret]" as a JSON string, and never an error.
func (v Value) MarshalJSON() ([]byte, error) { return []byte(`"` + hidden + `"`), nil }
