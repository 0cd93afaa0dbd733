package paypal

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"hash/crc32"
	"net/http"
	"regexp"
	"strconv"
	"time"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/provider"
	"github.com/makegood/makegood/internal/provider/extract"
)

// The headers with which PayPal proves a delivery, in the spelling of Go. The version is not needed, because nothing of it
// is signed; one that is there must be the one that we know.
const (
	HeaderID          = "Paypal-Transmission-Id"
	HeaderTime        = "Paypal-Transmission-Time"
	HeaderSignature   = "Paypal-Transmission-Sig"
	HeaderCertificate = "Paypal-Cert-Url"
	HeaderAlgorithm   = "Paypal-Auth-Algo"
	HeaderVersion     = "Paypal-Auth-Version"
)

const (
	algorithm   = "SHA256withRSA"
	authVersion = "v2"
)

// Verify proves that PayPal signed the delivery for one of our webhook ids. It returns the fingerprint of that id, or an
// error and nothing:
//
//   - exactly one of each header; a transmission id of letters, digits and dashes; a time of RFC 3339; the algorithm
//     SHA256withRSA; a signature in strict base64; else malformed;
//   - a certificate address that keeps every rule of certificate.go; else malformed, and nobody is asked;
//   - the signature is RSA PKCS #1 v1.5 with SHA-256 over "id|time|webhook id|CRC-32 of the body in decimal", which was
//     recomputed for four genuine deliveries;
//   - a time at most makegood.SignatureTolerance ahead of d.ReceivedAt, and at most that and PayPal's retry window of
//     three days behind it, both ends included. Only who signed genuinely is told so, as with a webhook id past its
//     not-after; anybody else is told that nothing matched.
//
// Such an error is a *provider.SignatureError. A certificate that cannot be had just now is makegood.Unavailable instead:
// answered with 503, PayPal delivers again.
//
// What is proved is that PayPal sent a body with this CRC-32, not this body; see the package's first paragraphs.
func (s *PayPal) Verify(d provider.Delivery) (fingerprint string, err error) {
	h, reason := readHeaders(d.Header)
	if reason == "" && !s.certificates.isAllowed(h.certificate) {
		reason = provider.ReasonMalformed
	}
	if reason != "" {
		return "", &provider.SignatureError{Reason: reason}
	}
	received := d.ReceivedAt
	if received.IsZero() {
		received = s.now()
	}
	key, err := s.certificates.key(h.certificate, received)
	if err != nil {
		return "", err
	}
	var proof *webhook
	for i := range s.webhooks {
		w := &s.webhooks[i]
		if h.signed(key, w.id.Value.Reveal(), d.Body) && (proof == nil || !proof.id.Proves(received)) {
			proof = w
		}
	}
	if proof == nil {
		return "", &provider.SignatureError{Reason: provider.ReasonMismatch}
	}
	if err := checkAge(received, h.at); err != nil {
		return "", err
	}
	if !proof.id.Proves(received) {
		return "", &provider.SignatureError{Reason: provider.ReasonRetired}
	}
	return proof.fingerprint, nil
}

// Transmission returns the transmission id of a proved delivery. PayPal's signature covers it, and a repetition has the
// same id and the same body: one id with two bodies is somebody who uses the weakness of the CRC-32.
func (s *PayPal) Transmission(d provider.Delivery) string {
	h, reason := readHeaders(d.Header)
	if reason != "" {
		return ""
	}
	return h.id
}

// checkAge is provider.CheckAge with PayPal's retry window on the past side.
func checkAge(received, signed time.Time) error {
	switch age := received.Sub(signed); {
	case age > retryWindow+makegood.SignatureTolerance:
		return &provider.SignatureError{Reason: provider.ReasonTooOld, Skew: age}
	case age < -makegood.SignatureTolerance:
		return &provider.SignatureError{Reason: provider.ReasonFuture, Skew: -age}
	}
	return nil
}

// transmission is what the headers say.
type transmission struct {
	id          string
	time        string // as sent, because it is what was signed
	at          time.Time
	signature   []byte
	certificate string
}

var transmissionID = regexp.MustCompile(`^[A-Za-z0-9-]+$`)

// readHeaders returns a reason when they cannot be read: missing when there is none at all that PayPal's signature needs.
func readHeaders(header http.Header) (transmission, provider.Reason) {
	var h transmission
	var sent [5]string
	found := 0
	isWhole := true
	for i, name := range [...]string{HeaderID, HeaderTime, HeaderSignature, HeaderCertificate, HeaderAlgorithm} {
		values := header[name]
		if len(values) == 1 {
			sent[i] = values[0]
		}
		isWhole = isWhole && sent[i] != ""
		found += len(values)
	}
	if found == 0 {
		return h, provider.ReasonMissing
	}
	version := header[HeaderVersion]
	if !isWhole || len(version) > 1 || len(version) == 1 && version[0] != authVersion || sent[4] != algorithm {
		return h, provider.ReasonMalformed
	}
	h.id, h.time, h.certificate = sent[0], sent[1], sent[3]
	if len(h.id) > transmissionIDBytesMax || !transmissionID.MatchString(h.id) || len(h.time) > transmissionTimeBytesMax ||
		len(sent[2]) > signatureBytesMax || !extract.IsPlain(sent[2]) { // the decoder would pass over line breaks
		return h, provider.ReasonMalformed
	}
	var errTime, errSignature error
	h.at, errTime = time.Parse(time.RFC3339, h.time)
	h.signature, errSignature = base64.StdEncoding.Strict().DecodeString(sent[2])
	if errTime != nil || errSignature != nil {
		return h, provider.ReasonMalformed
	}
	return h, ""
}

// signed reports whether the signature is of the certificate's key, for a webhook id, over these headers and this body. No
// part can contain the separator, so there is one reading only.
func (h *transmission) signed(key *rsa.PublicKey, webhookID string, body []byte) bool {
	var buffer [transmissionIDBytesMax + transmissionTimeBytesMax + webhookIDBytesMax + 16]byte
	text := append(buffer[:0], h.id...)
	text = append(append(text, '|'), h.time...)
	text = append(append(text, '|'), webhookID...)
	text = strconv.AppendUint(append(text, '|'), uint64(crc32.ChecksumIEEE(body)), 10)
	sum := sha256.Sum256(text)
	return rsa.VerifyPKCS1v15(key, crypto.SHA256, sum[:], h.signature) == nil
}
