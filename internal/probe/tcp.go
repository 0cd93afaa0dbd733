package probe

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"time"
)

// TCPOptions say how to look at a port.
type TCPOptions struct {
	Address      string // host:port
	TLS          bool   // also shake hands; implied by a condition on [CERTIFICATE_EXPIRATION]
	Conditions   []Condition
	AllowPrivate bool
	Roots        *x509.CertPool
	Now          func() time.Time
}

// TCP looks whether a port takes connections.
type TCP struct {
	options TCPOptions
	host    string
}

var _ Prober = (*TCP)(nil)

// NewTCP makes a prober. Without conditions a connection is enough.
func NewTCP(o TCPOptions) (*TCP, error) {
	host, port, err := net.SplitHostPort(o.Address)
	if err != nil || host == "" || port == "" {
		return nil, errors.New("the address is not host:port")
	}
	if err := checkAll(KindTCP, o.Conditions); err != nil {
		return nil, err
	}
	o.TLS = o.TLS || uses(o.Conditions, certificate)
	if o.Now == nil {
		o.Now = time.Now
	}
	return &TCP{o, host}, nil
}

// Look connects once, and closes the connection.
func (t *TCP) Look(ctx context.Context) Sight {
	ctx, cancel, limit := limited(ctx)
	defer cancel()
	s := Sight{At: t.options.Now()}
	start := time.Now()
	f := facts{hasConnected: true}
	err := t.connect(ctx, &f)
	f.took = max(time.Since(start), 1)
	s.Took = f.took
	if err != nil {
		return failed(ctx, s, attempt{host: t.host, connected: f.connected, waited: limit}, err, t.options.Conditions)
	}
	s.Trouble = judge(t.options.Conditions, &f, nil)
	return s
}

func (t *TCP) connect(ctx context.Context, f *facts) error {
	conn, err := dialer(t.options.AllowPrivate).DialContext(ctx, "tcp", t.options.Address)
	if err != nil {
		return err
	}
	defer conn.Close()
	f.connected = true
	if f.ip, _, err = net.SplitHostPort(conn.RemoteAddr().String()); err != nil {
		return err
	}
	if !t.options.TLS {
		return nil
	}
	shaken := tls.Client(conn, &tls.Config{ServerName: t.host, RootCAs: t.options.Roots, Time: t.options.Now})
	if err := shaken.HandshakeContext(ctx); err != nil {
		return err
	}
	state := shaken.ConnectionState()
	if at, ok := expiry(&state); ok {
		f.expires, f.hasExpires = at.Sub(t.options.Now()), true
	}
	return nil
}
