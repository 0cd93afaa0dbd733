package host

import (
	"errors"
	"fmt"
)

// ErrDoubt is that nobody knows whether a run was begun: the answer was lost.
var ErrDoubt = errors.New("it is not known whether it was begun")

// Fault is one way in which a credential, or the place behind it, keeps us from mending. Stable: refusals, runbooks and drills
// name them.
type Fault string

// The faults. The first ten are seen by looking at the credential, without asking anybody.
const (
	LineFeed          Fault = "line_feed"
	CarriageReturn    Fault = "carriage_return"
	CarriageLineFeed  Fault = "crlf"
	ByteOrderMark     Fault = "byte_order_mark"
	NoBreakSpace      Fault = "no_break_space"
	Quoted            Fault = "quotes"
	Prefixed          Fault = "bearer_prefix"
	Cut               Fault = "cut"
	Doubled           Fault = "doubled"
	WrongKind         Fault = "wrong_kind" // a token of another service, or an e-mail's global key
	Broken            Fault = "broken"     // none of the above, and still nothing that could be a credential
	Missing           Fault = "missing"    // there is none
	Expired           Fault = "expired"
	Revoked           Fault = "revoked" // deleted, rolled or switched off: it was never valid, or is not any more
	NotYet            Fault = "not_yet_valid"
	AddressDenied     Fault = "address_denied"     // valid, and not allowed from here
	PermissionMissing Fault = "permission_missing" // valid, and not allowed to do this
	PlaceMissing      Fault = "place_missing"      // the account or project does not exist, or cannot be seen by this credential
	PlatformDown      Fault = "platform_down"      // the platform does not answer, or answers with errors of its own
	Limited           Fault = "rate_limited"       // the platform asks us to wait
	NotStarted        Fault = "not_started"        // what starts the program cannot be run here
)

// Diagnosis is why a place cannot be mended, in words that a person can act on at night. It never has any part of a credential
// in it.
type Diagnosis struct {
	Fault    Fault
	Sentence string // what is wrong and what to do, a full sentence
	Page     string // the address where it is mended; "" when there is none
	Err      error  // the cause, for the log; free of secrets
}

// Error joins fault, sentence and page.
func (d *Diagnosis) Error() string {
	if d.Page == "" {
		return fmt.Sprintf("%s: %s", d.Fault, d.Sentence)
	}
	return fmt.Sprintf("%s: %s See %s.", d.Fault, d.Sentence, d.Page)
}

// Unwrap returns the cause.
func (d *Diagnosis) Unwrap() error { return d.Err }

// IsCredential reports whether the fault is the credential's own, and not of the platform.
func (f Fault) IsCredential() bool {
	switch f {
	case PlatformDown, Limited, NotStarted:
		return false
	}
	return true
}

// FaultOf returns the fault of err; "" when it is not a *Diagnosis.
func FaultOf(err error) Fault {
	var d *Diagnosis
	if errors.As(err, &d) {
		return d.Fault
	}
	return ""
}
