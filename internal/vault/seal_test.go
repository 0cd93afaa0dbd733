package vault_test

import (
	"errors"
	"maps"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/makegood/makegood/internal/secret"
	"github.com/makegood/makegood/internal/vault"
)

func TestSealCounts(t *testing.T) {
	t.Parallel()
	s := newSealing(t, newKeys(t))
	for want := int64(1); want <= 3; want++ {
		if got := seal(t, s, good()).Serial; got != want {
			t.Errorf("serial of sealing %d = %d, want %d", want, got, want)
		}
	}
	s.Before.Serial = 40
	if got, want := seal(t, s, good()).Serial, int64(41); got != want {
		t.Errorf("serial after 40 elsewhere = %d, want %d", got, want)
	}
	s.Before.Serial, s.Anew = 7, true
	if got, want := seal(t, s, good()).Serial, int64(8); got != want {
		t.Errorf("serial anew after 7 = %d, want %d", got, want)
	}
}

func TestSealReturnsWhatIsRead(t *testing.T) {
	t.Parallel()
	k := newKeys(t)
	s := newSealing(t, k)
	got := seal(t, s, good())
	want := vault.Remember(readTruth(t, vault.Sealed{Path: s.Path, Identity: k.Identity, VerifyKey: k.VerifyKey}))
	if got.Serial != want.Serial || !got.SealedAt.Equal(want.SealedAt) || !maps.Equal(got.Fingerprints, want.Fingerprints) {
		t.Errorf("Seal = %+v, want %+v", got, want)
	}
}

func TestSealForOthers(t *testing.T) {
	t.Parallel()
	k, server := newKeys(t), newKeys(t)
	s := newSealing(t, k)
	s.Recipients = []string{server.Recipient, k.Recipient}
	seal(t, s, good())
	for _, identity := range []secret.Value{k.Identity, server.Identity} {
		readTruth(t, vault.Sealed{Path: s.Path, Identity: identity, VerifyKey: k.VerifyKey})
	}
}

func TestSealKeepsALink(t *testing.T) {
	t.Parallel()
	s := newSealing(t, newKeys(t))
	seal(t, s, good())
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(s.Path, link); err != nil {
		t.Fatal(err)
	}
	behind := s
	behind.Path = link
	seal(t, behind, good())
	if got, want := seal(t, s, good()).Serial, int64(3); got != want {
		t.Errorf("serial behind the link = %d, want %d", got, want)
	}
}

func TestSealRefuses(t *testing.T) {
	t.Parallel()
	k, other := newKeys(t), newKeys(t)
	many := map[string]secret.Value{}
	for i := range 201 {
		many["STRIPE_KEY"+strconv.Itoa(i)] = secret.New("x")
	}
	long := map[string]secret.Value{"STRIPE_KEY": secret.New("x"), "STRIPE_WEBHOOK_SECRET": secret.New("x")}
	for i := range 20 {
		long["LONG"+strconv.Itoa(i)] = secret.New(strings.Repeat("x", 60<<10))
	}
	type sealing = vault.Sealing
	for _, tt := range []struct {
		name   string
		change func(*sealing)
		values map[string]secret.Value
		want   vault.Reason
		tells  string
	}{
		{"nothing", nil, nil, vault.Empty, "no secret"},
		{"nothing, and shrinking is meant", func(s *sealing) { s.Shrink = true }, nil, vault.Empty, "no secret"},
		{"an empty value", nil, values("STRIPE_KEY", "", "STRIPE_WEBHOOK_SECRET", webhook), vault.Incomplete, "STRIPE_KEY is empty"},
		{"a name with a blank", nil, values("STRIPE KEY", stripeLive), vault.Unspeakable, "no variable can have"},
		{"a secret as name", nil, values(stripeLive+"-", "x"), vault.Unspeakable, "looks like a secret"},
		{"bytes that are no text", nil, values("STRIPE_KEY", "Zq7Tn3\xff"), vault.BadSecret, "no text"},
		{"a value too long", nil, values("STRIPE_KEY", strings.Repeat("x", 64<<10+1)), vault.Unspeakable, "longer"},
		{"too many", nil, many, vault.Unspeakable, "201 secrets"},
		{"too long together", nil, long, vault.Unwritable, "too long"},
		{"fewer than in the file", nil, values("STRIPE_KEY", stripeLive), vault.Shrunken, "STRIPE_WEBHOOK_SECRET was sealed before"},
		{"fewer than elsewhere", func(s *sealing) { s.Before.Fingerprints = map[string]string{"RESEND_KEY": "0"} }, good(), vault.Shrunken, "RESEND_KEY was sealed before"},
		{"fewer than elsewhere, anew", func(s *sealing) { s.Anew, s.Before.Fingerprints = true, map[string]string{"RESEND_KEY": "0"} }, good(), vault.Shrunken, "RESEND_KEY"},
		{"another mode", func(s *sealing) { s.Mode = secret.Test }, good(), vault.OtherMode, "live mode"},
		{"no mode any more", func(s *sealing) { s.Mode = secret.AnyMode }, good(), vault.OtherMode, "live mode"},
		{"no identity", func(s *sealing) { s.Identity = secret.Value{} }, good(), vault.Unreadable, "age identity"},
		{"an identity that does not open the file", func(s *sealing) { s.Identity = other.Identity }, good(), vault.Corrupted, "another one"},
		{"no signing key", func(s *sealing) { s.SigningKey = secret.Value{} }, good(), vault.Unsigned, "signing key"},
		{"another signing key", func(s *sealing) { s.SigningKey = other.SigningKey }, good(), vault.Unsigned, "another key"},
		{"a recipient that is none", func(s *sealing) { s.Recipients = []string{k.Recipient, "age1x"} }, good(), vault.Unwritable, "number 2"},
		{"a serial that cannot rise", func(s *sealing) { s.Before.Serial = math.MaxInt64 }, good(), vault.Unwritable, "serial"},
		{"a file that does not open", func(s *sealing) { _ = os.Truncate(s.Path, 300) }, good(), vault.Unsigned, "changed"},
		{"a directory that is not there", func(s *sealing) { s.Path += "/none/secrets.sealed" }, good(), vault.Unreadable, "cannot be read"},
		{"a directory that is not there, anew", func(s *sealing) { s.Anew = true; s.Path += "/none/secrets.sealed" }, good(), vault.Unwritable, "cannot be written"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newSealing(t, k)
			seal(t, s, good())
			path := s.Path
			if tt.change != nil {
				tt.change(&s)
			}
			before, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			_, err = vault.Seal(s, tt.values, noon)
			checkRefusal(t, vault.Truth{}, err, tt.want, tt.tells)
			if after, err := os.ReadFile(path); err != nil || string(after) != string(before) {
				t.Errorf("the file was changed by a sealing that was refused (%v)", err)
			}
		})
	}
}

func TestSealDoesWhatIsMeant(t *testing.T) {
	t.Parallel()
	k, other := newKeys(t), newKeys(t)
	for name, change := range map[string]func(*vault.Sealing){
		"shrinking": func(s *vault.Sealing) { s.Shrink = true },
		"anew":      func(s *vault.Sealing) { s.Anew = true },
		"other keys": func(s *vault.Sealing) {
			s.Anew, s.Identity, s.SigningKey, s.Mode = true, other.Identity, other.SigningKey, secret.Test
		},
	} {
		s := newSealing(t, k)
		seal(t, s, good())
		change(&s)
		if _, err := vault.Seal(s, values("STRIPE_KEY", stripeLive), noon); err != nil {
			t.Errorf("Seal %s = %v, want nil", name, err)
		}
	}
}

func TestSealLeavesNoDraft(t *testing.T) {
	t.Parallel()
	s := newSealing(t, newKeys(t))
	seal(t, s, good())
	_, err := vault.Seal(s, nil, noon)
	if entries, other := os.ReadDir(filepath.Dir(s.Path)); len(entries) != 1 || err == nil || other != nil {
		t.Errorf("the directory has %v (%v), want the sealed file alone", entries, errors.Join(err, other))
	}
}
