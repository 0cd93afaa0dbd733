package makegood

import (
	"errors"
	"fmt"
	"time"
)

// Code says what kind of trouble an error is. Codes are stable: they are answered by the API, listed in docs/errors.md,
// and never change their meaning. A Code is itself an error, so errors.Is(err, NotFound) asks for the kind.
type Code string

// The codes, each with the HTTP status it is answered with.
const (
	Invalid        Code = "invalid"            // 400: the request cannot be understood
	BadSignature   Code = "bad_signature"      // 400: a delivery that does not prove where it comes from
	Unauthorized   Code = "unauthorized"       // 401: who is asking is not known
	Forbidden      Code = "forbidden"          // 403: who is asking may not
	NotFound       Code = "not_found"          // 404: there is no such thing
	MethodUnknown  Code = "method_not_allowed" // 405: the thing is there, but not for this verb
	NotPaid        Code = "not_paid"           // 402: the provider does not say that it was paid
	Conflict       Code = "conflict"           // 409: it contradicts what is already there
	TooLarge       Code = "too_large"          // 413: the body is above the cap
	UnknownProduct Code = "unknown_product"    // 422: the catalogue does not have it
	RateLimited    Code = "rate_limited"       // 429: ask again later
	Internal       Code = "internal"           // 500: our fault
	NotFulfilled   Code = "not_fulfilled"      // 500: kept, but the goods are not out yet
	ProviderFailed Code = "provider_failed"    // 502: the payment provider answered with an error
	Unavailable    Code = "unavailable"        // 503: not now; the same request may succeed later
)

// Codes lists every code once, for the table of statuses and for docs/errors.md.
func Codes() []Code {
	return []Code{Invalid, BadSignature, Unauthorized, NotPaid, Forbidden, NotFound, MethodUnknown, Conflict, TooLarge,
		UnknownProduct, RateLimited, Internal, NotFulfilled, ProviderFailed, Unavailable}
}

// Error returns the code itself.
func (c Code) Error() string { return string(c) }

// Error is trouble with a sentence that a person outside may read. The cause stays inside: it goes to the log and never
// to a customer.
type Error struct {
	Code    Code
	Message string // a full sentence, free of secrets and addresses
	Err     error  // the cause, or nil
}

// Error joins code, sentence and cause for the log.
func (e *Error) Error() string {
	if e.Err == nil {
		return fmt.Sprintf("%s: %s", e.Code, e.Message)
	}
	return fmt.Sprintf("%s: %s: %v", e.Code, e.Message, e.Err)
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Is reports whether target is the code of e.
func (e *Error) Is(target error) bool {
	code, ok := target.(Code)
	return ok && code == e.Code
}

// Errorf makes an error of a kind with a sentence for people outside.
func Errorf(code Code, format string, args ...any) error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// Wrap gives err a kind and a sentence for people outside, and keeps err as the cause. Wrap of nil is nil.
func Wrap(err error, code Code, message string) error {
	if err == nil {
		return nil
	}
	return &Error{Code: code, Message: message, Err: err}
}

// CodeOf returns the outermost code of err; Internal when it has none.
func CodeOf(err error) Code {
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	var code Code
	if errors.As(err, &code) {
		return code
	}
	return Internal
}

// MessageOf returns the sentence that a person outside may read.
func MessageOf(err error) string {
	var e *Error
	if errors.As(err, &e) && e.Message != "" {
		return e.Message
	}
	return "Something went wrong on our side; it has been recorded."
}

// Permanent marks an error that no repetition can cure. A job that returns it is not retried: it becomes a dead letter
// for a person to see.
type Permanent struct {
	Err    error
	Reason DeadReason // why; "" is DeadPermanent
}

// Error returns the cause's text.
func (p *Permanent) Error() string { return "permanent: " + p.Err.Error() }

// Unwrap returns the cause.
func (p *Permanent) Unwrap() error { return p.Err }

// Snooze asks to be called again after a while because the other side said so (Retry-After). It does not count as an
// attempt.
type Snooze struct {
	For time.Duration
	Err error
}

// Error returns the cause's text and the delay.
func (s *Snooze) Error() string { return fmt.Sprintf("again in %v: %v", s.For, s.Err) }

// Unwrap returns the cause.
func (s *Snooze) Unwrap() error { return s.Err }
