package vault

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"strings"

	"filippo.io/age"

	"github.com/makegood/makegood/internal/secret"
)

// The beginnings of our keys as text. What follows is base64 for addresses, without padding, of 32 bytes.
const (
	signingPrefix = "mgs1_"
	verifyPrefix  = "mgv1_"
)

// encoding refuses what would decode to the same bytes and be written otherwise.
var encoding = base64.RawURLEncoding.Strict()

// Keys is what a sealed file needs. The identity belongs where the file is read, the signing key where it is sealed and
// nowhere else, so that who breaks into the reader cannot seal. Recipient and VerifyKey are no secrets.
type Keys struct {
	Identity   secret.Value // opens the file: AGE-SECRET-KEY-1…
	Recipient  string       // seals it: age1…
	SigningKey secret.Value // signs it: mgs1_…
	VerifyKey  string       // checks the signature: mgv1_…
}

// NewKeys draws new keys from the system's randomness, and from nothing else, because a key from a source that can be
// injected is only as good as what somebody injected.
func NewKeys() (Keys, error) {
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		return Keys{}, because(err, Unwritable, "", "No keys can be made, because the system gives no randomness.")
	}
	verify, signing, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return Keys{}, because(err, Unwritable, "", "No keys can be made, because the system gives no randomness.")
	}
	return Keys{
		Identity:   secret.New(identity.String()),
		Recipient:  identity.Recipient().String(),
		SigningKey: secret.New(signingPrefix + encoding.EncodeToString(signing.Seed())),
		VerifyKey:  verifyText(verify),
	}, nil
}

// RecipientOf returns the recipient of an age identity.
func RecipientOf(identity secret.Value) (string, error) {
	parsed, err := parseIdentity(identity)
	if err != nil {
		return "", err
	}
	return parsed.Recipient().String(), nil
}

// VerifyKeyOf returns the key that checks what a signing key signs.
func VerifyKeyOf(signingKey secret.Value) (string, error) {
	parsed, err := parseSigningKey(signingKey)
	if err != nil {
		return "", err
	}
	return verifyText(parsed.Public().(ed25519.PublicKey)), nil
}

// ParseVerifyKey reads a verification key: mgv1_ and 43 characters.
func ParseVerifyKey(text string) (ed25519.PublicKey, error) {
	b, ok := decode(text, verifyPrefix, ed25519.PublicKeySize)
	if !ok {
		return nil, refuse(Unsigned, "", "The verification key is not one: expected is mgv1_ and 43 characters, as makegood secrets keygen prints it.")
	}
	return ed25519.PublicKey(b), nil
}

func verifyText(key ed25519.PublicKey) string { return verifyPrefix + encoding.EncodeToString(key) }

func parseSigningKey(v secret.Value) (ed25519.PrivateKey, error) {
	if problems := secret.Inspect(v, secret.SigningKey, secret.AnyMode); len(problems) > 0 {
		return nil, refuse(Unsigned, "", "The signing key %s.", problems[0].Sentence)
	}
	b, ok := decode(v.Reveal(), signingPrefix, ed25519.SeedSize)
	if !ok {
		return nil, refuse(Unsigned, "", "The signing key has a character that was changed; copy it anew.")
	}
	return ed25519.NewKeyFromSeed(b), nil
}

// parseIdentity does not pass on the causes of package age, which repeat parts of what they read.
func parseIdentity(v secret.Value) (*age.X25519Identity, error) {
	if problems := secret.Inspect(v, secret.AgeIdentity, secret.AnyMode); len(problems) > 0 {
		return nil, refuse(Unreadable, "", "The age identity that opens the sealed file %s.", problems[0].Sentence)
	}
	identity, err := age.ParseX25519Identity(v.Reveal())
	if err != nil {
		return nil, refuse(Unreadable, "", "The age identity that opens the sealed file has a character that was changed; copy it anew.")
	}
	return identity, nil
}

func decode(text, prefix string, size int) ([]byte, bool) {
	body, ok := strings.CutPrefix(text, prefix)
	if !ok || len(body) != encoding.EncodedLen(size) {
		return nil, false // and so no line break, which the decoder would pass over
	}
	b, err := encoding.DecodeString(body)
	return b, err == nil && len(b) == size
}
