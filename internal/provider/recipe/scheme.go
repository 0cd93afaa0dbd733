package recipe

import (
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"hash"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/provider"
	"github.com/makegood/makegood/internal/provider/extract"
)

// scheme is one way of proving a delivery.
type scheme struct {
	header string // where the signatures stand; "" when it is the address or the body
	syntax syntax
	prefix string // before the signature, such as sha256=
	// separator stands between the pairs of syntaxPairs, and between several signatures of syntaxPlain; "" is one signature.
	separator string
	timeKey   string // of the pair with the signed time, and of those with a signature
	sigKey    string

	timeHeader string
	timeUnit   time.Duration // of the signed time; 0 is a second
	idHeader   string

	signed template
	hash   func() hash.Hash // nil is SHA-256
	encode func([]byte) string

	token string // the name of the field of the address that holds the secret itself
	// items reads what is signed item by item inside the body.
	items func(body []byte) ([]message, provider.Reason)
}

// syntax is how a header holds signatures.
type syntax int

const (
	syntaxPlain  syntax = iota // the signature and nothing else, or several with a separator
	syntaxPairs                // key=value pairs with a separator
	syntaxSpaced               // version,signature, with blanks between them (Standard Webhooks)
)

// toHex and toBase64 are how signatures are written. A signature is compared as text with the one spelling of ours: then
// upper-case digits, left-over bits and missing padding are as wrong as a wrong bit.
func toHex(sum []byte) string    { return hex.EncodeToString(sum) }
func toBase64(sum []byte) string { return base64.StdEncoding.EncodeToString(sum) }

// claim is what a delivery says that proves it: every message must have a signature of the same secret.
type claim struct {
	messages []message
	at       time.Time // the signed time, if the scheme has one
	hasTime  bool
}

// message is something that was signed, with the signatures that are claimed for it.
type message struct {
	parts      [][]byte // what was signed is these, joined
	signatures []signature
}

type signature struct {
	version string // "" where the provider has one version only
	text    string
}

// claim reads what a delivery claims, or says why it cannot be read.
func (s *scheme) claim(d provider.Delivery, publicURL string) (claim, provider.Reason) {
	switch {
	case s.token != "":
		return s.tokenClaim(d)
	case s.items != nil:
		messages, reason := s.items(d.Body)
		return claim{messages: messages}, reason
	}
	var c claim
	text, reason := oneValue(d.Header, s.header, signatureHeaderBytesMax)
	if reason != "" {
		return claim{}, reason
	}
	values := map[string]string{placeURL: publicURL}
	if s.idHeader != "" {
		if values[placeID], reason = oneValue(d.Header, s.idHeader, idBytesMax); reason != "" {
			return claim{}, reason
		}
	}
	if s.timeHeader != "" {
		if values[placeTime], reason = oneValue(d.Header, s.timeHeader, timestampDigitsMax); reason != "" {
			return claim{}, reason
		}
	}
	var signatures []signature
	ok := true
	switch s.syntax {
	case syntaxPairs:
		values[placeTime], signatures, ok = s.readPairs(text)
	case syntaxSpaced:
		signatures, ok = readSpaced(text)
	default:
		signatures, ok = s.readPlain(text)
	}
	if !ok || len(signatures) > makegood.SignaturesMax || !s.signed.isPlain(values) {
		return claim{}, provider.ReasonMalformed
	}
	if s.signsTime() {
		if c.at, c.hasTime = s.moment(values[placeTime]); !c.hasTime {
			return claim{}, provider.ReasonMalformed
		}
	}
	c.messages = []message{{parts: s.signed.fill(values, d.Body), signatures: signatures}}
	return c, ""
}

func (s *scheme) signsTime() bool { return s.timeHeader != "" || s.timeKey != "" }

// oneValue returns the one value of a header. Two are as bad as one that is too long: who knows which was signed.
func oneValue(h http.Header, name string, bytesMax int) (string, provider.Reason) {
	values := h.Values(name)
	switch {
	case len(values) == 0 || len(values) == 1 && values[0] == "":
		return "", provider.ReasonMissing
	case len(values) > 1 || len(values[0]) > bytesMax:
		return "", provider.ReasonMalformed
	}
	return values[0], ""
}

// tokenClaim reads the secret that stands in the address.
func (s *scheme) tokenClaim(d provider.Delivery) (claim, provider.Reason) {
	values := d.Query[s.token]
	switch {
	case len(values) == 0 || len(values) == 1 && values[0] == "":
		return claim{}, provider.ReasonMissing
	case len(values) > 1 || len(values[0]) > signatureHeaderBytesMax:
		return claim{}, provider.ReasonMalformed
	}
	return claim{messages: []message{{signatures: []signature{{text: values[0]}}}}}, ""
}

// readPairs reads ts=1671552777;h1=eb4d…;h1=a5c1…: pairs without blanks, exactly one time, at least one signature. Pairs
// of other keys are other versions, and are passed over.
func (s *scheme) readPairs(text string) (timestamp string, signatures []signature, ok bool) {
	pairs := 0
	for more := true; more; {
		var pair string
		pair, text, more = strings.Cut(text, s.separator)
		name, value, isPair := strings.Cut(pair, "=")
		if pairs++; !isPair || name == "" || pairs > makegood.SignaturesMax+1 || !extract.IsPlain(name) || !isPlainValue(value) {
			return "", nil, false
		}
		switch name {
		case s.timeKey:
			if timestamp != "" || value == "" {
				return "", nil, false
			}
			timestamp = value
		case s.sigKey:
			signatures = append(signatures, signature{text: value})
		}
	}
	return timestamp, signatures, timestamp != "" && len(signatures) > 0
}

// isPlainValue allows the padding of base64 at the end, and no other equals sign, because there another pair would begin.
func isPlainValue(s string) bool {
	return extract.IsPlain(s) && !strings.Contains(strings.TrimRight(s, "="), "=")
}

// readSpaced reads "v1,K5o… v1a,hnO…". What has no version cannot be read, and then nothing can.
func readSpaced(text string) ([]signature, bool) {
	var signatures []signature
	for _, entry := range strings.Split(text, " ") {
		version, value, ok := strings.Cut(entry, ",")
		if !ok || version == "" || !extract.IsPlain(entry) {
			return nil, false
		}
		signatures = append(signatures, signature{version: version, text: value})
	}
	return signatures, true
}

// readPlain reads one signature behind its prefix, or several with a separator; those without the prefix are passed over
// as long as one has it. An empty one is a slip of whoever changed the header.
func (s *scheme) readPlain(text string) ([]signature, bool) {
	entries := []string{text}
	if s.separator != "" {
		entries = strings.Split(text, s.separator)
	}
	if len(entries) > makegood.SignaturesMax {
		return nil, false
	}
	var signatures []signature
	for _, entry := range entries {
		if entry == "" {
			return nil, false
		}
		if value, ok := strings.CutPrefix(entry, s.prefix); ok && extract.IsPlain(value) {
			signatures = append(signatures, signature{text: value})
		}
	}
	return signatures, len(signatures) > 0
}

// moment reads decimal digits without sign or leading zero, so that a moment has one spelling only.
func (s *scheme) moment(digits string) (time.Time, bool) {
	if digits == "" || len(digits) > timestampDigitsMax || digits[0] == '0' && digits != "0" || strings.Trim(digits, "0123456789") != "" {
		return time.Time{}, false
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	if s.timeUnit == time.Millisecond {
		return time.UnixMilli(n), err == nil
	}
	return time.Unix(n, 0), err == nil
}

// proves reports whether every message of the claim was signed with the key. Every signature is looked at, so that time
// tells nothing about which matched.
func (s *scheme) proves(k *key, c claim) bool {
	proved := len(c.messages) > 0
	for _, m := range c.messages {
		matched := false
		want := s.expected(k, m)
		for _, sig := range m.signatures {
			if s.matches(k, m, sig, want) {
				matched = true
			}
		}
		proved = proved && matched
	}
	return proved
}

// expected is our own signature of a message, as text; "" for a key that makes none.
func (s *scheme) expected(k *key, m message) string {
	switch {
	case k.token != "":
		return k.token
	case k.mac == nil:
		return ""
	}
	newHash := s.hash
	if newHash == nil {
		newHash = sha256.New
	}
	mac := hmac.New(newHash, k.mac)
	for _, part := range m.parts {
		mac.Write(part)
	}
	return s.encode(mac.Sum(nil))
}

func (s *scheme) matches(k *key, m message, sig signature, want string) bool {
	if k.public != nil {
		return sig.version == versionEd25519 && isSignedBy(k.public, m, sig.text)
	}
	if s.syntax == syntaxSpaced && sig.version != versionMAC {
		return false
	}
	// Hashed first, because comparing would end at once at another length, and a token has no fixed one.
	a, b := sha256.Sum256([]byte(sig.text)), sha256.Sum256([]byte(want))
	return want != "" && subtle.ConstantTimeCompare(a[:], b[:]) == 1
}

func isSignedBy(public ed25519.PublicKey, m message, text string) bool {
	sig, err := strictBase64(text)
	if err != nil || len(sig) != ed25519.SignatureSize {
		return false
	}
	var signed []byte
	for _, part := range m.parts {
		signed = append(signed, part...)
	}
	return ed25519.Verify(public, signed, sig)
}

// template is what is signed: fixed text and places, in turn.
type template []string

// The places of a template.
const (
	placeBody = "{body}"
	placeTime = "{timestamp}"
	placeID   = "{id}"
	placeURL  = "{url}"
)

// templateOf cuts "{id}.{timestamp}.{body}" at its places.
func templateOf(text string) template {
	var t template
	for text != "" {
		from := strings.IndexByte(text, '{')
		to := strings.IndexByte(text, '}')
		if from < 0 || to < from {
			return append(t, text)
		}
		if from > 0 {
			t = append(t, text[:from])
		}
		t = append(t, text[from:to+1])
		text = text[to+1:]
	}
	return t
}

func isPlace(part string) bool {
	return part == placeBody || part == placeTime || part == placeID || part == placeURL
}

// fill puts the values in the places. The body is not copied.
func (t template) fill(values map[string]string, body []byte) [][]byte {
	parts := make([][]byte, len(t))
	for i, part := range t {
		switch {
		case part == placeBody:
			parts[i] = body
		case isPlace(part):
			parts[i] = []byte(values[part])
		default:
			parts[i] = []byte(part)
		}
	}
	return parts
}

// isPlain refuses an id that has the text in it that ends the id in what is signed. With it a forger who has seen one
// delivery could move the border between the id and what follows, under the same signature.
func (t template) isPlain(values map[string]string) bool {
	for i, part := range t {
		if part != placeID {
			continue
		}
		if !extract.IsPlain(values[placeID]) || i+1 == len(t) {
			return false
		}
		// A time behind it ends it as well: its digits are ten, or it is too old or from the future.
		if next := t[i+1]; next != placeTime && (isPlace(next) || strings.Contains(values[placeID], next)) {
			return false
		}
	}
	return true
}
