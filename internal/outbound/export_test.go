package outbound

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"time"
)

// Trust makes c accept the certificates of a test's server.
func (c *Client) Trust(roots *x509.CertPool) {
	c.http.Transport.(*http.Transport).TLSClientConfig = &tls.Config{RootCAs: roots}
}

// Resolve makes c ask a name server of the test. Everything else about how it connects stays as it is.
func (c *Client) Resolve(r *net.Resolver) {
	d := dialer(c.options)
	d.Resolver = r
	c.http.Transport.(*http.Transport).DialContext = d.DialContext
}

// Clock makes c's rests follow a clock of the test.
func (c *Client) Clock(now func() time.Time) { c.breakers.now = now }

// The pace of a breaker, and how many there are.
const (
	FailuresToRest  = failuresToRest
	RestFirst       = restFirst
	RestMax         = restMax
	DestinationsMax = destinationsMax
)

// Breakers are the breakers alone.
type Breakers struct{ b *breakers }

// NewBreakers makes breakers that follow a clock of the test.
func NewBreakers(now func() time.Time, changed func(string, bool)) Breakers {
	return Breakers{&breakers{now: now, changed: changed, all: map[destination]*breaker{}}}
}

// Admit, Settle and Abandon are those of a request.
func (b Breakers) Admit(target string) (tries bool, err error) {
	return b.b.admit(destination{target: target})
}
func (b Breakers) Settle(target string, tries, failed bool) {
	b.b.settle(destination{target: target}, tries, failed)
}
func (b Breakers) Abandon(target string, tries bool) { b.b.abandon(destination{target: target}, tries) }

// Len is how many destinations are remembered.
func (b Breakers) Len() int { return len(b.b.all) }
