package outbound

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// The errors that this package makes itself; ask for them with errors.Is.
var (
	// ErrRefusedAddress: the name resolved to an address that is not public.
	ErrRefusedAddress = errors.New("address is not public")
	// ErrBodyTooLarge: the answer is above Options.BodyBytesMax. The request has been received.
	ErrBodyTooLarge = errors.New("answer is too large")
	// ErrTarget: the URL is not one of http or https with a host.
	ErrTarget = errors.New("not an http or https address")
	// ErrNotHTTP: what answered does not speak HTTP.
	ErrNotHTTP = errors.New("answer is not HTTP")
)

// Error says that no whole answer was had.
type Error struct {
	Target string // scheme and host, such as "https://api.resend.com"
	Status int    // of the answer, when its headers were read; else 0
	Err    error

	maybeSent bool
}

// Error gives the target and the cause.
func (e *Error) Error() string {
	if e.Status != 0 {
		return fmt.Sprintf("%s: status %d: %v", e.Target, e.Status, e.Err)
	}
	return fmt.Sprintf("%s: %v", e.Target, e.Err)
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// MaybeSent reports whether the other side may have received the request and acted on it. It is false only when there
// was certainly no connection to send it over: a refused or unreachable address, an unknown name, a failed TLS handshake,
// a time-out before connecting. Of any other error, and of nil, it is true.
func MaybeSent(err error) bool {
	var e *Error
	if errors.As(err, &e) {
		return e.maybeSent
	}
	return true
}

// target is what may be shown of a URL.
func target(u *url.URL) string {
	if u == nil {
		return "no address"
	}
	return u.Scheme + "://" + u.Host
}

func checkTarget(u *url.URL) error {
	if u == nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return ErrTarget
	}
	return nil
}

// withoutURL takes out the *url.Error, which repeats the URL with its query, and the errors of the parser of answers,
// which repeat what was answered: a server that echoes would put our request line into the log. Those have no type, so
// this is the one place where an error is known by its text.
func withoutURL(err error) error {
	var u *url.Error
	for errors.As(err, &u) {
		err = u.Err
	}
	for _, quoting := range []string{"malformed HTTP", "malformed MIME", "malformed chunked", "bad Content-Length", "unsupported transfer encoding"} {
		if strings.Contains(err.Error(), quoting) {
			return ErrNotHTTP
		}
	}
	return err
}
