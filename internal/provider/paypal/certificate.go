package paypal

import (
	"context"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/outbound"
	"github.com/makegood/makegood/internal/provider"
)

// certificatePath is where all certificates seen lie.
const certificatePath = "/v1/notifications/certs/"

// certificates fetches and keeps the certificates that PayPal signs deliveries with. The address comes with a delivery
// that nothing has proved yet, so anybody chooses it: it is used only if it has exactly one shape, which leaves a stranger
// nothing but the id to choose.
//
// A good certificate is used for certificateLifetime or until it ends. An address at which there is none is remembered for
// noSuchLifetime, and one that could not be asked for outageLifetime. Of several deliveries at once that need one
// certificate, one asks and the others wait for it. A crash forgets all; the next delivery asks again.
type certificates struct {
	prefixes []string // scheme, host and path before the id
	name     string   // whom the certificate must be for
	roots    *x509.CertPool
	http     *outbound.Client
	now      func() time.Time

	mu      sync.Mutex
	good    map[string]certificate
	refused map[string]refused
	asking  map[string]*asking
	minute  int64 // since 1970
	fetches int   // of strangers' addresses in that minute
}

type certificate struct {
	key       *rsa.PublicKey
	notBefore time.Time
	notAfter  time.Time
	until     time.Time // by our clock: then it is fetched anew
}

// refused is an address that gave no certificate, and for how long that is repeated without asking.
type refused struct {
	err   error
	until time.Time
}

// asking is a fetch that is under way.
type asking struct {
	done chan struct{} // closed when cert and err are set
	cert certificate
	err  error
}

// newCertificates allows the hosts of one mode only: a message for the sandbox never counts in live mode, nor the other
// way round. Away from PayPal (tests, the simulation) it allows the API's own address and nothing else, and the rest of
// the rules stay.
func newCertificates(s *PayPal, roots *x509.CertPool) *certificates {
	c := &certificates{name: "messageverificationcerts.paypal.com", roots: roots, http: s.http, now: s.now,
		good: map[string]certificate{}, refused: map[string]refused{}, asking: map[string]*asking{}}
	if !s.live {
		c.name = "messageverificationcerts.sandbox.paypal.com"
	}
	hosts := hostsOf(s.live)
	if u, err := url.Parse(s.baseURL); err == nil && !isOneOf(u.Host, hosts) {
		c.prefixes = []string{s.baseURL + certificatePath}
		return c
	}
	for _, host := range hosts {
		c.prefixes = append(c.prefixes, "https://"+host+certificatePath)
	}
	return c
}

// certificateID is the last part of the path: no dots, slashes or percent signs, so there is nothing that a server or a
// parser could read in another way than we do.
var certificateID = regexp.MustCompile(fmt.Sprintf(`^[A-Za-z0-9](?:[A-Za-z0-9_-]{0,%d})$`, certificateIDBytesMax-1))

// isAllowed compares the address with the few beginnings that it may have, byte for byte, and does not parse it: user
// info, ports, other schemes, queries, fragments, and other spellings of a host have no place in that.
func (c *certificates) isAllowed(address string) bool {
	if len(address) > certificateURLBytesMax {
		return false
	}
	for _, prefix := range c.prefixes {
		if id, ok := strings.CutPrefix(address, prefix); ok {
			return certificateID.MatchString(id)
		}
	}
	return false
}

// key returns the public key of the certificate at an allowed address, valid at a time. Its error is a
// *provider.SignatureError when there is no such certificate or it is not PayPal's, and makegood.Unavailable when it
// cannot be had just now.
func (c *certificates) key(address string, at time.Time) (*rsa.PublicKey, error) {
	cert, err := c.get(address)
	if err != nil {
		return nil, err
	}
	if at.Before(cert.notBefore) || at.After(cert.notAfter) {
		return nil, notPayPals("is not valid at this time")
	}
	return cert.key, nil
}

func (c *certificates) get(address string) (certificate, error) {
	c.mu.Lock()
	now := c.now()
	known, isKnown := c.good[address]
	if isKnown && now.Before(known.until) {
		c.mu.Unlock()
		return known, nil
	}
	if no, ok := c.refused[address]; ok && now.Before(no.until) {
		c.mu.Unlock()
		return certificate{}, no.err
	}
	if other, ok := c.asking[address]; ok {
		c.mu.Unlock()
		<-other.done // at most certificateTimeout
		return other.cert, other.err
	}
	if !isKnown && !c.mayFetch(now) {
		c.mu.Unlock()
		return certificate{}, makegood.Errorf(makegood.Unavailable, "Too many certificates were asked for; deliver again later.")
	}
	mine := &asking{done: make(chan struct{})}
	c.asking[address] = mine
	c.mu.Unlock()

	mine.err = makegood.Errorf(makegood.Unavailable, "PayPal's certificate cannot be read just now.") // should fetch panic
	defer c.finish(address, mine)
	mine.cert, mine.err = c.fetch(address)
	return mine.cert, mine.err
}

// mayFetch counts a fetch of an address that was never good.
func (c *certificates) mayFetch(now time.Time) bool {
	if minute := now.Unix() / 60; minute != c.minute {
		c.minute, c.fetches = minute, 0
	}
	c.fetches++
	return c.fetches <= fetchesPerMinuteMax
}

// finish keeps how a fetch ended and lets the others go on. The end of a good certificate's life comes from its
// own dates and our clock.
func (c *certificates) finish(address string, a *asking) {
	c.mu.Lock()
	defer c.mu.Unlock()
	defer close(a.done)
	delete(c.asking, address)
	now := c.now()
	if a.err == nil {
		a.cert.until = now.Add(certificateLifetime)
		if a.cert.notAfter.Before(a.cert.until) {
			a.cert.until = a.cert.notAfter
		}
		makeRoom(c.good, certificatesMax, func(known certificate) bool { return now.Before(known.until) })
		c.good[address] = a.cert
		delete(c.refused, address)
		return
	}
	lifetime := outageLifetime
	if errors.Is(a.err, makegood.BadSignature) {
		lifetime = noSuchLifetime
	}
	makeRoom(c.refused, refusedMax, func(no refused) bool { return now.Before(no.until) })
	c.refused[address] = refused{err: a.err, until: now.Add(lifetime)}
}

// makeRoom forgets what is over, and then any one, so that there is room for one more.
func makeRoom[T any](known map[string]T, limit int, isFresh func(T) bool) {
	if len(known) < limit {
		return
	}
	for address, v := range known {
		if !isFresh(v) {
			delete(known, address)
		}
	}
	for address := range known {
		if len(known) < limit {
			return
		}
		delete(known, address)
	}
}

// fetch asks PayPal. Package outbound follows no redirect, so an answer that points elsewhere is no certificate.
func (c *certificates) fetch(address string) (certificate, error) {
	ctx, cancel := context.WithTimeout(context.Background(), certificateTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
	if err != nil {
		return certificate{}, notPayPals("has no address that can be asked") // unreachable: isAllowed
	}
	resp, err := c.http.Do(ctx, req)
	if err != nil {
		return certificate{}, makegood.Wrap(err, makegood.Unavailable, "PayPal's certificate cannot be fetched just now.")
	}
	switch status := resp.Status; {
	case status == http.StatusTooManyRequests || status == http.StatusRequestTimeout || status >= 500:
		return certificate{}, makegood.Errorf(makegood.Unavailable, "PayPal's certificate cannot be fetched just now (status %d).", status)
	case status != http.StatusOK:
		return certificate{}, notPayPals(fmt.Sprintf("is not there (status %d)", status))
	case len(resp.Body) > certificateAnswerBytesMax:
		return certificate{}, notPayPals("is too large")
	}
	return c.read(resp.Body)
}

// notPayPals is a delivery whose certificate does not prove anything. The reason is that of any other mismatch; the text
// is for the log.
func notPayPals(why string) error {
	return fmt.Errorf("the certificate %s: %w", why, &provider.SignatureError{Reason: provider.ReasonMismatch})
}

// read takes the certificate and its issuers out of an answer, and checks that a root that we trust vouches for it now,
// that it is for PayPal's messages of our mode, and that it has an RSA key of a sane size.
func (c *certificates) read(answer []byte) (certificate, error) {
	chain := parseChain(answer)
	if len(chain) == 0 {
		// Over an authentic connection to PayPal, so it is trouble of theirs and no forgery.
		return certificate{}, makegood.Errorf(makegood.Unavailable, "PayPal's certificate cannot be read just now.")
	}
	leaf := chain[0]
	key, isRSA := leaf.PublicKey.(*rsa.PublicKey)
	switch {
	case leaf.Subject.CommonName != c.name:
		return certificate{}, notPayPals("is for somebody else")
	case !isRSA || key.N.BitLen() < rsaBitsMin || key.N.BitLen() > rsaBitsMax:
		return certificate{}, notPayPals("has no RSA key of 2048 to 4096 bits")
	}
	issuers := x509.NewCertPool()
	for _, issuer := range chain[1:] {
		issuers.AddCert(issuer)
	}
	_, err := leaf.Verify(x509.VerifyOptions{Roots: c.roots, Intermediates: issuers, CurrentTime: c.now(),
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}) // it signs messages, for which there is no usage
	if noRoots := (x509.SystemRootsError{}); errors.As(err, &noRoots) {
		return certificate{}, makegood.Wrap(err, makegood.Unavailable, "This server has no root certificates to check PayPal's certificate with.")
	}
	if err != nil {
		return certificate{}, notPayPals("is not trusted: " + strings.ToValidUTF8(err.Error(), "?"))
	}
	return certificate{key: key, notBefore: leaf.NotBefore, notAfter: leaf.NotAfter}, nil
}

// parseChain reads PEM certificates, the first of which is the one that signs; nil if anything else is among them.
func parseChain(answer []byte) []*x509.Certificate {
	var chain []*x509.Certificate
	for {
		var block *pem.Block
		if block, answer = pem.Decode(answer); block == nil {
			return chain
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if block.Type != "CERTIFICATE" || err != nil || len(chain) == certificateBlocksMax {
			return nil
		}
		chain = append(chain, cert)
	}
}
