package stripe

import (
	"crypto/hmac"
	"crypto/sha256"
	"hash"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/provider"
	"github.com/makegood/makegood/internal/provider/extract"
)

// SignatureHeader is the header with which Stripe proves a delivery.
const SignatureHeader = "Stripe-Signature"

// Verify proves that the delivery was signed with one of our secrets, over exactly this body, within
// makegood.SignatureTolerance of d.ReceivedAt on either side, both ends included. It returns the fingerprint of that
// secret, or a *provider.SignatureError and nothing.
//
// The rules are those of Stripe's "Verify webhook signatures manually" and of stripe-go's webhook/client.go, read strictly:
//
//   - exactly one header; pairs key=value joined by commas, without blanks; exactly one t; else malformed;
//   - a v1 is 64 lower-case hexadecimal digits; one that is not can match nothing and is passed over, because Stripe may
//     sign with several secrets and one good signature is enough; other schemes (v0) are never looked at;
//   - the MAC is HMAC-SHA256 over t, a full stop and the body, under the whole secret with its whsec_ prefix; every secret
//     is tried against every v1, without leaving early, so that time tells nothing about which matched;
//   - a secret past its not-after proves nothing, and who still signs with it is told so;
//   - only a delivery that was signed with our secret is told that it is too old or from the future. Anybody else is told
//     that nothing matched.
//
// An empty body is proved like any other.
func (s *Stripe) Verify(d provider.Delivery) (fingerprint string, err error) {
	values := d.Header.Values(SignatureHeader)
	if len(values) == 0 || len(values) == 1 && values[0] == "" {
		return "", &provider.SignatureError{Reason: provider.ReasonMissing}
	}
	if len(values) > 1 {
		return "", &provider.SignatureError{Reason: provider.ReasonMalformed}
	}
	var h signatureHeader
	if !h.parse(values[0]) {
		return "", &provider.SignatureError{Reason: provider.ReasonMalformed}
	}
	received := d.ReceivedAt
	if received.IsZero() {
		received = s.now()
	}
	var proof *signer
	for _, secret := range s.signers {
		if secret.signed(&h, d.Body) && (proof == nil || !proof.secret.Proves(received)) {
			proof = secret
		}
	}
	if proof == nil {
		return "", &provider.SignatureError{Reason: provider.ReasonMismatch}
	}
	if err := provider.CheckAge(received, time.Unix(h.seconds, 0)); err != nil {
		return "", err
	}
	if !proof.secret.Proves(received) {
		return "", &provider.SignatureError{Reason: provider.ReasonRetired}
	}
	return proof.fingerprint, nil
}

// signatureHeader is what a Stripe-Signature header says.
type signatureHeader struct {
	timestamp string // the digits as sent, because they are what was signed
	seconds   int64
	v1        [makegood.SignaturesMax][sha256.Size]byte
	v1Count   int // of those that can be read
}

// parse reads t=1495999758,v1=5257…,v0=6ffb… and reports whether it is well formed.
func (h *signatureHeader) parse(header string) bool {
	if len(header) > signatureHeaderBytesMax {
		return false
	}
	signatures, hasV1 := 0, false
	for more := true; more; {
		var pair string
		pair, header, more = strings.Cut(header, ",")
		key, value, isPair := strings.Cut(pair, "=")
		if !isPair || key == "" || !extract.IsPlain(key) || !extract.IsPlain(value) || strings.Contains(value, "=") {
			return false
		}
		if key == "t" {
			if h.timestamp != "" || !h.setTimestamp(value) {
				return false
			}
			continue
		}
		if signatures++; signatures > makegood.SignaturesMax {
			return false
		}
		if key == "v1" {
			hasV1 = true
			if decodeHex(&h.v1[h.v1Count], value) {
				h.v1Count++
			}
		}
	}
	return h.timestamp != "" && hasV1
}

// setTimestamp takes decimal digits without sign or leading zero, so that a moment has one spelling only.
func (h *signatureHeader) setTimestamp(digits string) bool {
	if digits == "" || len(digits) > timestampDigitsMax || digits[0] == '0' && digits != "0" {
		return false
	}
	for i := range len(digits) {
		if digits[i] < '0' || digits[i] > '9' {
			return false
		}
	}
	seconds, err := strconv.ParseInt(digits, 10, 64)
	h.timestamp, h.seconds = digits, seconds
	return err == nil
}

// decodeHex reads exactly 64 lower-case hexadecimal digits. The standard library would read upper case as well.
func decodeHex(dst *[sha256.Size]byte, s string) bool {
	if len(s) != 2*len(dst) {
		return false
	}
	for i := range dst {
		high, ok1 := nibble(s[2*i])
		low, ok2 := nibble(s[2*i+1])
		if !ok1 || !ok2 {
			return false
		}
		dst[i] = high<<4 | low
	}
	return true
}

func nibble(c byte) (byte, bool) {
	switch {
	case c >= '0' && c <= '9':
		return c - '0', true
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10, true
	}
	return 0, false
}

// signer computes MACs with one secret. A MAC that was used once has the secret's two first blocks ready, so they are
// kept: verifying allocates nothing.
type signer struct {
	secret      provider.Secret
	fingerprint string
	idle        sync.Pool // of *mac
}

type mac struct {
	hash.Hash
	prefix []byte // the timestamp and the full stop
	sum    []byte
}

// newSigner panics on an empty secret, which New has refused.
func newSigner(known provider.Secret) *signer {
	v := known.Value
	if v.Empty() {
		panic("stripe: an empty webhook secret")
	}
	return &signer{secret: known, fingerprint: v.Fingerprint(), idle: sync.Pool{New: func() any {
		return &mac{Hash: hmac.New(sha256.New, []byte(v.Reveal()))}
	}}}
}

// signed reports whether any v1 of the header is this secret's MAC over the header's timestamp and the body.
func (s *signer) signed(h *signatureHeader, body []byte) bool {
	m := s.idle.Get().(*mac)
	defer s.idle.Put(m)
	m.Reset()
	m.prefix = append(append(m.prefix[:0], h.timestamp...), '.')
	m.Write(m.prefix)
	m.Write(body)
	m.sum = m.Sum(m.sum[:0])
	matched := false
	for i := range h.v1Count {
		if hmac.Equal(m.sum, h.v1[i][:]) {
			matched = true
		}
	}
	return matched
}
