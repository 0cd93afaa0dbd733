package recipe

import (
	"github.com/makegood/makegood/internal/provider"
)

// Verify proves that the delivery was made with one of our secrets, as the row says, and returns the fingerprint of that
// secret, or a *provider.SignatureError and nothing. The rules are the same for every row:
//
//   - a header that proves or names something is there exactly once, or the delivery is malformed; an address has its
//     token exactly once;
//   - every secret is tried against every signature, in constant time and without leaving early; a signature that cannot
//     be read matches nothing, and does not keep another one from matching;
//   - a signature has one spelling: lower-case digits, or base64 with its padding and without left-over bits;
//   - a signed time may lie makegood.SignatureTolerance from d.ReceivedAt on either side, both ends included;
//   - a secret past its not-after proves nothing, and who still signs with it is told so;
//   - only a delivery that was made with our secret is told that it is too old, from the future, or retired. Anybody else
//     is told that nothing matched.
//
// An empty body is proved like any other. Where a token in the address stands in for a signature, nothing of the body is
// proved: such rows believe only what the API confirms.
func (r *Recipe) Verify(d provider.Delivery) (fingerprint string, err error) {
	s := r.row.schemeFor(d.Header)
	c, reason := s.claim(d, r.publicURL)
	if reason != "" {
		return "", &provider.SignatureError{Reason: reason}
	}
	received := d.ReceivedAt
	if received.IsZero() {
		received = r.now()
	}
	var proof *key
	for _, k := range r.keys {
		if s.proves(k, c) && (proof == nil || !proof.secret.Proves(received)) {
			proof = k
		}
	}
	if proof == nil {
		return "", &provider.SignatureError{Reason: provider.ReasonMismatch}
	}
	if c.hasTime {
		if err := provider.CheckAge(received, c.at); err != nil {
			return "", err
		}
	}
	if !proof.secret.Proves(received) {
		return "", &provider.SignatureError{Reason: provider.ReasonRetired}
	}
	return proof.fingerprint, nil
}

// Transmission returns the id that a header gives to the delivery, or "". The signature covers
// it. GitHub, Razorpay and Shopify give one that it does not cover: whoever saw a delivery could put another's id over it,
// and the other would be taken for a forgery, so theirs is not looked at.
func (r *Recipe) Transmission(d provider.Delivery) string {
	for _, name := range r.row.transmission {
		if id, reason := oneValue(d.Header, name, idBytesMax); reason == "" {
			return id
		}
	}
	return ""
}
