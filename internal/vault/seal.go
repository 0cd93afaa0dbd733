package vault

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"time"

	"filippo.io/age"

	"github.com/makegood/makegood/internal/secret"
)

// Sealing says where a sealed file is put, for whom and by whom.
type Sealing struct {
	Path     string
	Identity secret.Value // opens the file that is there, and the new one
	// Recipients are others who can open the new file, such as the server: age1…
	Recipients []string
	SigningKey secret.Value
	// AllowUnsigned admits an empty SigningKey.
	AllowUnsigned bool
	Mode          secret.Mode
	// Before is what is known of earlier sealings from elsewhere: the serial rises above it, and its names count as there.
	Before Known
	// Shrink admits that names which were there are not any more.
	Shrink bool
	// Anew does not look at the file that is there: it cannot be opened any more, or was sealed or signed with other keys.
	Anew bool
}

// Seal seals these values and puts them in the place of the file that is there. The new serial is above the old one. It
// refuses to seal nothing, an empty value, fewer names than before, or for another mode than before, and it opens what it
// sealed before it writes it. A crash leaves the old file or the new one, whole; two people who seal at the same moment end
// with the file of one of them.
//
// It returns what Remember says of the new file. Whether the values are good is Judge's to say, before sealing.
func Seal(s Sealing, values map[string]secret.Value, now time.Time) (Known, error) {
	return s.seal(realDisk{}, values, now)
}

func (s Sealing) seal(d disk, values map[string]secret.Value, now time.Time) (Known, error) {
	if err := checkValues(values); err != nil {
		return Known{}, err
	}
	k, err := s.keys()
	if err != nil {
		return Known{}, err
	}
	before, err := s.before(k, values)
	if err != nil {
		return Known{}, err
	}
	t := Truth{Values: values, Serial: before + 1, SealedAt: now.UTC().Truncate(time.Second), Mode: s.Mode}
	sealed, err := k.enclose(t)
	if err != nil {
		return Known{}, err
	}
	if err := s.prove(k, sealed, t); err != nil {
		return Known{}, err
	}
	path := s.Path
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real // a link stays a link
	}
	if err := writeWhole(d, path, sealed); err != nil {
		return Known{}, because(err, Unwritable, "", "The sealed file %s cannot be written. Look at the disk and at the rights of its directory, then read it again before you go on.", s.Path)
	}
	return Remember(t), nil
}

// sealingKeys are the keys of one sealing, parsed. signing is nil when nobody signs.
type sealingKeys struct {
	recipients []age.Recipient
	signing    ed25519.PrivateKey
	verify     string
}

// String keeps the keys out of every print.
func (sealingKeys) String() string { return "[keys]" }

// Format keeps the keys out of every print.
func (k sealingKeys) Format(f fmt.State, _ rune) { _, _ = fmt.Fprint(f, k.String()) }

func (s Sealing) keys() (sealingKeys, error) {
	identity, err := parseIdentity(s.Identity)
	if err != nil {
		return sealingKeys{}, err
	}
	k := sealingKeys{recipients: []age.Recipient{identity.Recipient()}}
	for i, text := range s.Recipients {
		r, err := age.ParseX25519Recipient(text)
		if err != nil {
			return sealingKeys{}, refuse(Unwritable, "", "The recipient number %d is not one: expected is age1 and 58 characters, as makegood secrets keygen prints it.", i+1)
		}
		k.recipients = append(k.recipients, r)
	}
	if s.SigningKey.Empty() && s.AllowUnsigned {
		return k, nil
	}
	if k.signing, err = parseSigningKey(s.SigningKey); err != nil {
		return sealingKeys{}, err
	}
	k.verify = verifyText(k.signing.Public().(ed25519.PublicKey))
	return k, nil
}

// reader is the source that reads what these keys seal.
func (s Sealing) reader(k sealingKeys) Sealed {
	return Sealed{Path: s.Path, Identity: s.Identity, VerifyKey: k.verify, AllowUnsigned: k.verify == ""}
}

// before returns the highest serial so far, and refuses what would go back behind it.
func (s Sealing) before(k sealingKeys, values map[string]secret.Value) (int64, error) {
	old, err := s.old(k)
	if err != nil {
		return 0, err
	}
	if old.Mode != secret.AnyMode && old.Mode != s.Mode {
		return 0, refuse(OtherMode, "", "The file that is there was sealed for %s mode, and this sealing is not. Give every mode a file of its own, or seal anew.", old.Mode)
	}
	for _, known := range []Known{Remember(old), s.Before} {
		for _, name := range sortedNames(known.Fingerprints) {
			if _, ok := values[name]; !ok && !s.Shrink {
				return 0, refuse(Shrunken, name, "%s was sealed before and would be lost. Say that it is meant to go, or put it back.", shown(name))
			}
		}
	}
	serial := max(old.Serial, s.Before.Serial, 0)
	if serial == math.MaxInt64 {
		return 0, refuse(Unwritable, "", "The serial number of the file that is there cannot rise any more. Seal anew.")
	}
	return serial, nil
}

// old is the truth of the file that is there; the zero Truth when there is none, or when nobody wants to know.
func (s Sealing) old(k sealingKeys) (Truth, error) {
	if s.Anew {
		return Truth{}, nil
	}
	if _, err := os.Stat(s.Path); errors.Is(err, fs.ErrNotExist) {
		return Truth{}, nil
	}
	return s.reader(k).Read(context.Background())
}

// enclose is the inverse of Sealed.open.
func (k sealingKeys) enclose(t Truth) ([]byte, error) {
	c := contents{Serial: t.Serial, SealedAt: t.SealedAt, Mode: t.Mode, Secrets: map[string]string{}}
	for name, v := range t.Values {
		c.Secrets[name] = v.Reveal()
	}
	plain, err := c.text()
	if err != nil {
		return nil, refuse(Unspeakable, "", "The secrets cannot be written as JSON.")
	}
	ciphertext, err := encrypt(plain, k.recipients)
	if err != nil {
		return nil, because(err, Unwritable, "", "The secrets cannot be encrypted.")
	}
	if k.signing == nil {
		return append([]byte(sealedMagic+unsignedLine), ciphertext...), nil
	}
	e := envelope{key: k.signing.Public().(ed25519.PublicKey), ciphertext: ciphertext}
	signature := encoding.EncodeToString(ed25519.Sign(k.signing, e.message()))
	return append([]byte(sealedMagic+signedWord+k.verify+" "+signature+"\n"), ciphertext...), nil
}

func encrypt(plain []byte, recipients []age.Recipient) ([]byte, error) {
	var b bytes.Buffer
	w, err := age.Encrypt(&b, recipients...)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(plain); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// prove opens what was sealed and compares, while the old file is still there.
func (s Sealing) prove(k sealingKeys, sealed []byte, want Truth) error {
	if len(sealed) > sealedBytesMax {
		return refuse(Unwritable, "", "The secrets are too long: sealed they have %d bytes, and at most %d are read.", len(sealed), sealedBytesMax)
	}
	got, err := s.reader(k).open(sealed)
	if err != nil {
		return err
	}
	same := got.Serial == want.Serial && got.SealedAt.Equal(want.SealedAt) && got.Mode == want.Mode && len(got.Values) == len(want.Values)
	for name, v := range want.Values {
		same = same && got.Values[name].Equal(v)
	}
	if !same {
		return refuse(Unwritable, "", "What was sealed does not open to the same secrets. Nothing was written.")
	}
	return nil
}
