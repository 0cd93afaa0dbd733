package vault

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"strings"
	"syscall"
	"time"

	"filippo.io/age"

	"github.com/makegood/makegood/internal/secret"
)

// A sealed file is
//
//	makegood sealed v1
//	signed mgv1_KEY SIGNATURE
//	age-encryption.org/v1 …
//
// The second line is "unsigned" where nobody signed. The signature is Ed25519, over the file without it: the first line, the
// second up to the key, and everything that age made, each line with its end. What age encrypts is the JSON of contents, byte
// for byte as encoding/json writes it; whatever reads otherwise is refused, and so there is one way only to say a thing.
const (
	sealedMagic  = "makegood sealed v1\n"
	unsignedLine = "unsigned\n"
	signedWord   = "signed "
)

// Sealed is a file that is encrypted with age and signed with Ed25519. It may lie where everybody can read it, but nobody
// else may write it.
type Sealed struct {
	Path     string
	Identity secret.Value // opens it
	// VerifyKey checks the signature; when it is given, a file without a good one by this key is refused.
	VerifyKey string
	// AllowUnsigned admits, where no VerifyKey is given, that anybody who knows the recipient could have sealed it.
	AllowUnsigned bool
}

var _ Source = Sealed{}

// Kind returns "sealed".
func (s Sealed) Kind() string { return "sealed" }

// Read reads, checks and opens the file: all of it, or a *Refusal.
func (s Sealed) Read(ctx context.Context) (Truth, error) {
	if err := ctx.Err(); err != nil {
		return Truth{}, err
	}
	b, err := readWhole(place{
		stat: func() (fs.FileInfo, error) { return os.Stat(s.Path) },
		open: func() (*os.File, error) { return os.OpenFile(s.Path, os.O_RDONLY|syscall.O_NONBLOCK, 0) },
	}, sealedBytesMax, 0o022)
	if err != nil {
		return Truth{}, s.fileRefusal(err)
	}
	return s.open(b)
}

func (s Sealed) fileRefusal(err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return because(err, Unreadable, "", "The sealed file %s does not exist. Put it back from its last copy, or seal it anew.", s.Path)
	case errors.Is(err, fs.ErrPermission):
		return because(err, Unreadable, "", "The sealed file %s may not be read by this user. Give it to the user that Makegood runs as.", s.Path)
	case errors.Is(err, errExposed):
		return because(err, Exposed, "", "Others may write the sealed file %s. Look who did, and take the right away: chmod go-w.", s.Path)
	case errors.Is(err, errNotRegular):
		return because(err, Unreadable, "", "The sealed file %s is not a regular file.", s.Path)
	case errors.Is(err, errTooLarge):
		return because(err, Unreadable, "", "The sealed file %s is larger than %d bytes and can hardly be one.", s.Path, sealedBytesMax)
	}
	return because(err, Unreadable, "", "The sealed file %s cannot be read.", s.Path)
}

// open checks the signature before it decrypts, so that nothing that strangers wrote reaches the parsers behind it.
func (s Sealed) open(b []byte) (Truth, error) {
	e, err := parseEnvelope(b)
	if err != nil {
		return Truth{}, err
	}
	if err := s.checkSignature(e); err != nil {
		return Truth{}, err
	}
	plain, err := s.decrypt(e.ciphertext)
	if err != nil {
		return Truth{}, err
	}
	t, err := parseContents(plain)
	if err != nil {
		return Truth{}, err
	}
	t.Signed = s.VerifyKey != ""
	return t, nil
}

// envelope is a sealed file before it is opened. key and signature are nil where nobody signed.
type envelope struct {
	key        ed25519.PublicKey
	signature  []byte
	ciphertext []byte
}

// message is what is signed.
func (e envelope) message() []byte {
	return append([]byte(sealedMagic+signedWord+verifyText(e.key)+"\n"), e.ciphertext...)
}

func parseEnvelope(b []byte) (envelope, error) {
	rest, ok := bytes.CutPrefix(b, []byte(sealedMagic))
	if !ok {
		return envelope{}, refuse(Corrupted, "", "The file does not begin as a sealed file of Makegood does. It is another file, or it was damaged: put back its last copy.")
	}
	line, ciphertext, ok := bytes.Cut(rest, []byte("\n"))
	if !ok {
		return envelope{}, refuse(Corrupted, "", "The sealed file was cut off. Put back its last copy.")
	}
	if string(line)+"\n" == unsignedLine {
		return envelope{ciphertext: ciphertext}, nil
	}
	signed, ok := strings.CutPrefix(string(line), signedWord)
	keyText, signatureText, both := strings.Cut(signed, " ")
	key, err := ParseVerifyKey(keyText)
	signature, whole := decode(signatureText, "", ed25519.SignatureSize)
	if !ok || !both || err != nil || !whole {
		return envelope{}, refuse(Corrupted, "", "The second line of the sealed file, which has the signature, was changed. Put back its last copy.")
	}
	return envelope{key, signature, ciphertext}, nil
}

// checkSignature looks at a signature even where none is asked for: one that does not fit shows that bytes were changed.
func (s Sealed) checkSignature(e envelope) error {
	fits := e.key != nil && ed25519.Verify(e.key, e.message(), e.signature)
	switch {
	case s.VerifyKey == "" && !s.AllowUnsigned:
		return refuse(Unsigned, "", "No verification key is configured, and unsigned files are not allowed, so nobody can tell who sealed the file. Configure the key that makegood secrets keygen printed.")
	case s.VerifyKey == "" && e.key != nil && !fits:
		return refuse(Corrupted, "", "The sealed file was changed after it was signed. Put back its last copy, or seal it anew.")
	case s.VerifyKey == "":
		return nil
	}
	key, err := ParseVerifyKey(s.VerifyKey)
	switch {
	case err != nil:
		return err
	case e.key == nil:
		return refuse(Unsigned, "", "The sealed file is not signed, and a signature is asked for. Seal it again with the signing key.")
	case !key.Equal(e.key):
		return refuse(Unsigned, "", "The sealed file was signed with another key than the one that is configured. Find out who sealed it before you change either.")
	case !fits:
		return refuse(Unsigned, "", "The signature of the sealed file does not fit: it was changed after it was signed. Put back its last copy, or seal it anew.")
	}
	return nil
}

// decrypt gives everything or nothing: age tells only at the end whether the end is there.
func (s Sealed) decrypt(ciphertext []byte) ([]byte, error) {
	identity, err := parseIdentity(s.Identity)
	if err != nil {
		return nil, err
	}
	r, err := age.Decrypt(bytes.NewReader(ciphertext), identity)
	var other *age.NoIdentityMatchError
	if errors.As(err, &other) {
		return nil, refuse(Corrupted, "", "The sealed file does not open with this identity: it was sealed for another one, or damaged. Seal it again for this one.")
	}
	if err != nil {
		return nil, because(err, Corrupted, "", "The sealed file does not open: bytes of it were changed or cut off. Put back its last copy.")
	}
	plain, err := io.ReadAll(r)
	if err != nil {
		return nil, because(err, Corrupted, "", "The sealed file does not open to its end: bytes of it were changed or cut off. Put back its last copy.")
	}
	return plain, nil
}

// contents is what is encrypted. It is never printed, kept or logged.
type contents struct {
	Serial   int64             `json:"serial"`
	SealedAt time.Time         `json:"sealed_at"` // UTC, to the second
	Mode     secret.Mode       `json:"mode"`
	Secrets  map[string]string `json:"secrets"`
}

func (c contents) text() ([]byte, error) { return json.Marshal(c) }

// parseContents accepts only what text writes: no key twice, no unknown key, nothing behind the end. It does not pass on the
// causes of the decoder, which repeat parts of what they read.
func parseContents(plain []byte) (Truth, error) {
	var c contents
	if err := json.Unmarshal(plain, &c); err != nil {
		return Truth{}, refuse(Unspeakable, "", "What was sealed is not a set of named secrets. Seal it again with makegood secrets seal.")
	}
	again, err := c.text()
	if err != nil || !bytes.Equal(again, plain) {
		return Truth{}, refuse(Unspeakable, "", "What was sealed was not written by Makegood, or by a version that says more. Seal it again with makegood secrets seal.")
	}
	if c.Serial < 1 || c.SealedAt.IsZero() {
		return Truth{}, refuse(Unspeakable, "", "What was sealed has no serial number or no date. Seal it again with makegood secrets seal.")
	}
	if c.Mode != secret.AnyMode && c.Mode != secret.Test && c.Mode != secret.Live {
		return Truth{}, refuse(Unspeakable, "", "What was sealed is for a mode that does not exist. Seal it again with makegood secrets seal.")
	}
	values := make(map[string]secret.Value, len(c.Secrets))
	for name, s := range c.Secrets {
		values[name] = secret.New(s)
	}
	if err := checkValues(values); err != nil {
		return Truth{}, err
	}
	return Truth{Values: values, Serial: c.Serial, SealedAt: c.SealedAt, Mode: c.Mode}, nil
}
