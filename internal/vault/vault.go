// Package vault is the source of truth of the secrets that programs need on their hosts: a file that is sealed with age and
// signed, a directory with a file for each secret, or the environment. It is read, judged, and written by a person; the healer
// only reads it.
package vault

import (
	"context"
	"fmt"
	"time"

	"github.com/makegood/makegood/internal/secret"
)

// Need is one secret that must be there: a line of the one list of what is required.
type Need struct {
	Name     string      // of the variable
	Kind     secret.Kind // what it must look like
	Mode     secret.Mode // which world it belongs to; "" does not care
	NotAfter time.Time   // its last moment; zero is for ever
	Optional bool        // a place may be without it
}

// Source is where the truth is kept.
type Source interface {
	// Kind is what the configuration calls it: sealed, directory or environment.
	Kind() string
	// Read reads everything. What cannot be trusted is a *Refusal.
	Read(ctx context.Context) (Truth, error)
}

// Truth is what a source says. It hides its values as secret.Value does.
type Truth struct {
	Values   map[string]secret.Value
	Serial   int64       // rises with every sealing; 0 where the source cannot count
	SealedAt time.Time   // zero where the source does not know
	Mode     secret.Mode // which world it was sealed for; "" where the source does not know
	Signed   bool        // a signature was asked for and is good
}

// Known is what was last found good of a source: what a later reading is compared with. It is kept as JSON and has no value
// in it.
type Known struct {
	Serial       int64             `json:"serial,omitempty"`
	SealedAt     time.Time         `json:"sealed_at,omitzero"`
	Fingerprints map[string]string `json:"fingerprints"` // by name
}

// Reason says why a source of truth is not believed. Stable.
type Reason string

// The reasons.
const (
	Unreadable  Reason = "unreadable" // it is not there, or may not be read
	Corrupted   Reason = "corrupted"  // it does not open: bytes were changed or cut, or it was sealed for another key
	Empty       Reason = "empty"
	Shrunken    Reason = "shrunken" // it has lost names that it had
	Unsigned    Reason = "unsigned" // a signature is asked for, and there is none, or not a good one
	Older       Reason = "older"    // its serial is below what was seen before: somebody put an old one back
	OtherMode   Reason = "other_mode"
	Exposed     Reason = "exposed"      // others may read or change it
	Incomplete  Reason = "incomplete"   // a secret that is required is missing
	BadSecret   Reason = "bad_secret"   // a secret in it is broken, a placeholder, or of another kind
	OutOfDate   Reason = "out_of_date"  // a secret in it has ended
	Unspeakable Reason = "bad_contents" // what was sealed is not a set of named secrets
	Unwritable  Reason = "unwritable"   // it cannot be written, or not so that it could be read again
)

// Refusal is why a source of truth is not believed, in words that a person can act on. It never has a value in it.
type Refusal struct {
	Reason   Reason
	Name     string // of the secret it is about; "" when it is the whole
	Sentence string // a full sentence
	Err      error  // the cause, for the log
}

// Error joins reason and sentence.
func (r *Refusal) Error() string { return fmt.Sprintf("%s: %s", r.Reason, r.Sentence) }

// refuse makes a Refusal. The sentence and its arguments must be free of values.
func refuse(reason Reason, name, sentence string, args ...any) *Refusal {
	return because(nil, reason, name, sentence, args...)
}

// because makes a Refusal with a cause, which must be free of values too.
func because(err error, reason Reason, name, sentence string, args ...any) *Refusal {
	return &Refusal{Reason: reason, Name: name, Sentence: fmt.Sprintf(sentence, args...), Err: err}
}

// Unwrap returns the cause.
func (r *Refusal) Unwrap() error { return r.Err }
