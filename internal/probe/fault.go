package probe

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"syscall"
	"time"

	"github.com/makegood/makegood/internal/outbound"
)

// errPrivate: the name leads into a private network, and the prober may not go there.
var errPrivate = errors.New("the address is private")

// dialer connects for one look. It sees each address after the name was resolved, so a name that leads elsewhere the second
// time gets nowhere either.
func dialer(allowPrivate bool) *net.Dialer {
	d := &net.Dialer{KeepAlive: -1} // the connection lives for one look
	if !allowPrivate {
		d.Control = func(_, address string, _ syscall.RawConn) error {
			if ap, err := netip.ParseAddrPort(address); err != nil || !outbound.IsPublic(ap.Addr()) {
				return errPrivate
			}
			return nil
		}
	}
	return d
}

// attempt is what is known of a look that went wrong.
type attempt struct {
	host      string // for "the name ... is not known"
	connected bool   // a connection stood
	waited    time.Duration
}

// explain says in plain words what went wrong, by the type of the error and never by its text: texts change, and carry addresses
// and queries. ours is that the fault is on this machine, so that nothing can be said about the other.
func (a attempt) explain(ctx context.Context, err error) (trouble string, ours bool) {
	if errors.Is(ctx.Err(), context.Canceled) {
		return "the look was called off", true
	}
	for _, e := range []error{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.EADDRNOTAVAIL} {
		if errors.Is(err, e) {
			return "this machine has no more room for connections", true
		}
	}
	if errors.Is(err, errPrivate) {
		return "the address is private, and looking there is not allowed", false
	}
	if trouble := certificateFault(err); trouble != "" {
		return trouble, false
	}
	if trouble := a.nameFault(err); trouble != "" {
		return trouble, false
	}
	if isTimeout(ctx, err) {
		return a.silence(), false
	}
	return a.connectionFault(err), false
}

// silence says how long nothing came. Without a connection it is the machine or the way there, with one the program.
func (a attempt) silence() string {
	if a.connected {
		return "connected, but no answer within " + short(a.waited)
	}
	return "no answer within " + short(a.waited)
}

func isTimeout(ctx context.Context, err error) bool {
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(ctx.Err(), context.DeadlineExceeded) || errors.Is(err, syscall.ETIMEDOUT) {
		return true
	}
	e, ok := errors.AsType[net.Error](err)
	return ok && e.Timeout()
}

func (a attempt) nameFault(err error) string {
	e, ok := errors.AsType[*net.DNSError](err)
	switch {
	case !ok:
		return ""
	case e.IsNotFound:
		return fmt.Sprintf("the name %s is not known", show(a.host))
	case e.IsTimeout:
		return fmt.Sprintf("the name servers did not answer for %s", show(a.host))
	}
	return fmt.Sprintf("the name %s cannot be looked up", show(a.host))
}

func (a attempt) connectionFault(err error) string {
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return "cannot connect: connection refused"
	case errors.Is(err, syscall.EHOSTUNREACH):
		return "cannot connect: no route to the host"
	case errors.Is(err, syscall.ENETUNREACH):
		return "cannot connect: the network cannot be reached"
	case errors.Is(err, syscall.EACCES), errors.Is(err, syscall.EPERM):
		return "cannot connect: a firewall forbids it"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "the connection was broken off"
	case !a.connected:
		return "cannot connect"
	}
	return "the answer cannot be understood"
}

// certificateFault says what is wrong with a certificate or the handshake; "" is that this is not it.
func certificateFault(err error) string {
	if e, ok := errors.AsType[x509.CertificateInvalidError](err); ok {
		if e.Reason == x509.Expired && e.Cert != nil {
			return "the certificate is not valid now: it is from " + day(e.Cert.NotBefore) + " to " + day(e.Cert.NotAfter)
		}
		return "the certificate is not valid"
	}
	if _, ok := errors.AsType[x509.HostnameError](err); ok {
		return "the certificate is for another name"
	}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return "the certificate is signed by an authority that is not trusted, or its chain is not complete"
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return "the certificate cannot be verified"
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok || errors.Is(err, http.ErrSchemeMismatch) {
		return "the other side does not speak TLS"
	}
	if e, ok := errors.AsType[tls.AlertError](err); ok {
		return fmt.Sprintf("the other side refused the TLS handshake (alert %d)", uint8(e))
	}
	return ""
}

func day(t time.Time) string { return t.UTC().Format(time.DateOnly) }

// expiry is when the first certificate expires on the best of the chains.
func expiry(state *tls.ConnectionState) (time.Time, bool) {
	var best time.Time
	for _, chain := range state.VerifiedChains {
		var first time.Time
		for _, c := range chain {
			if first.IsZero() || c.NotAfter.Before(first) {
				first = c.NotAfter
			}
		}
		if first.After(best) {
			best = first
		}
	}
	return best, !best.IsZero()
}

// limited gives a look an end when its context has none, and says how long it may take.
func limited(ctx context.Context) (context.Context, context.CancelFunc, time.Duration) {
	if deadline, ok := ctx.Deadline(); ok {
		return ctx, func() {}, time.Until(deadline)
	}
	ctx, cancel := context.WithTimeout(ctx, lookMax)
	return ctx, cancel, lookMax
}
