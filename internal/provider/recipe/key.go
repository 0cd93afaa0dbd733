package recipe

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/makegood/makegood/internal/provider"
	"github.com/makegood/makegood/internal/provider/extract"
)

// keyForm is how a provider writes its secrets.
type keyForm int

const (
	keyRaw    keyForm = iota // the bytes of the secret are the key
	keyHex                   // hexadecimal digits
	keyBase64                // standard base64
	keySvix                  // as keyWhsec, and shorter ones: Svix's own documentation has one of 18 bytes
	keyWhsec                 // whsec_ and base64 for a MAC, whpk_ and base64 for an Ed25519 public key
	keyToken                 // no key at all: the secret itself is shown
)

// key is a secret that is ready to prove.
type key struct {
	secret      provider.Secret
	fingerprint string
	mac         []byte            // nil for the others
	public      ed25519.PublicKey // nil for the others
	token       string            // "" for the others
}

// The versions of a signature in Standard Webhooks.
const (
	versionMAC     = "v1"
	versionEd25519 = "v1a"
)

// decode reads a secret, or says what is wrong with it in words that go on after "secret 0 of source x …".
// A prefix is taken off first.
func (f keyForm) decode(s provider.Secret, prefix string) (*key, error) {
	if s.Value.Empty() {
		return nil, errors.New("is empty; an empty secret would accept forged events")
	}
	k := &key{secret: s, fingerprint: s.Value.Fingerprint()}
	text, ok := strings.CutPrefix(s.Value.Reveal(), prefix)
	if !ok || text == "" {
		return nil, fmt.Errorf("is not %s and something behind it", prefix)
	}
	var err error
	switch f {
	case keyRaw:
		k.mac = []byte(text)
	case keyHex:
		if k.mac, err = hex.DecodeString(text); err != nil || len(k.mac) < hexKeyBytesMin {
			return nil, fmt.Errorf("is not a key of at least %d hexadecimal digits", 2*hexKeyBytesMin)
		}
	case keyBase64:
		if k.mac, err = strictBase64(text); err != nil || len(k.mac) == 0 {
			return nil, errors.New("is not a key in base64")
		}
	case keySvix:
		return k, k.decodeWhsec(text, svixBytesMin)
	case keyWhsec:
		return k, k.decodeWhsec(text, whsecBytesMin)
	case keyToken:
		if len(text) < tokenBytesMin || !extract.IsPlain(text) {
			return nil, fmt.Errorf("is not a token for an address: at least %d printable characters without blanks", tokenBytesMin)
		}
		k.token = text
	}
	return k, nil
}

// decodeWhsec reads a secret as Standard Webhooks writes them (spec/standard-webhooks.md, "Signature scheme").
func (k *key) decodeWhsec(text string, bytesMin int) error {
	if encoded, ok := strings.CutPrefix(text, "whpk_"); ok {
		public, err := strictBase64(encoded)
		if err != nil || len(public) != ed25519.PublicKeySize {
			return errors.New("is not whpk_ with the base64 of an Ed25519 public key")
		}
		k.public = public
		return nil
	}
	encoded, ok := strings.CutPrefix(text, "whsec_")
	mac, err := strictBase64(encoded)
	if !ok || err != nil || len(mac) < bytesMin || len(mac) > whsecBytesMax {
		return fmt.Errorf("is not whsec_ with the base64 of %d to %d bytes", bytesMin, whsecBytesMax)
	}
	k.mac = mac
	return nil
}

// strictBase64 refuses line breaks, which the standard library would pass over, and bits that are left over, so that a
// key and a signature have one spelling only.
func strictBase64(s string) ([]byte, error) {
	if strings.ContainsAny(s, "\r\n") {
		return nil, base64.CorruptInputError(strings.IndexAny(s, "\r\n"))
	}
	return base64.StdEncoding.Strict().DecodeString(s)
}
