package vault_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/makegood/makegood/internal/secret"
	"github.com/makegood/makegood/internal/vault"
)

func TestSealedGivesBackWhatWasSealed(t *testing.T) {
	t.Parallel()
	want := values("STRIPE_KEY", stripeLive, "ODD", "a\n\"<&>\u2028 ü \x00\r\n", "LONG", strings.Repeat("x", 64<<10))
	k := newKeys(t)
	s := newSealing(t, k)
	seal(t, s, want)
	got := readTruth(t, vault.Sealed{Path: s.Path, Identity: k.Identity, VerifyKey: k.VerifyKey})
	if !equalValues(got.Values, want) {
		t.Error("the values that were read are not those that were sealed")
	}
	if got.Serial != 1 || !got.SealedAt.Equal(noon) || got.Mode != secret.Live || !got.Signed {
		t.Errorf("Read = %+v, want serial 1, sealed at noon for live mode, signed", got)
	}
	if info, err := os.Stat(s.Path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode of the file = %v, %v, want 0600", info.Mode(), err)
	}
}

func TestSealedMayBeRead(t *testing.T) {
	t.Parallel()
	s := sealedFile(t, newKeys(t))
	for _, mode := range []os.FileMode{0o400, 0o444, 0o600, 0o644} {
		if err := os.Chmod(s.Path, mode); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Read(t.Context()); err != nil {
			t.Errorf("Read with mode %v = %v, want nil", mode, err)
		}
	}
}

func TestSealedRefusesFiles(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		spoil func(path string) error
		want  vault.Reason
		tells string
	}{
		{"not there", os.Remove, vault.Unreadable, "does not exist"},
		{"writable by the group", func(p string) error { return os.Chmod(p, 0o620) }, vault.Exposed, "chmod go-w"},
		{"writable by the world", func(p string) error { return os.Chmod(p, 0o602) }, vault.Exposed, "chmod go-w"},
		{"a pipe", func(p string) error { return errors.Join(os.Remove(p), syscall.Mkfifo(p, 0o600)) }, vault.Unreadable, "regular file"},
		{"a directory", func(p string) error { return errors.Join(os.Remove(p), os.Mkdir(p, 0o700)) }, vault.Unreadable, "regular file"},
		{"below a file", func(p string) error {
			return errors.Join(os.RemoveAll(filepath.Dir(p)), os.WriteFile(filepath.Dir(p), nil, 0o600))
		}, vault.Unreadable, "cannot be read"},
		{"huge", func(p string) error { return os.Truncate(p, 1<<20+1) }, vault.Unreadable, "larger"},
		{"empty", func(p string) error { return os.Truncate(p, 0) }, vault.Corrupted, "does not begin"},
		{"another file", func(p string) error { return os.WriteFile(p, []byte("STRIPE_KEY="+stripeLive), 0o600) }, vault.Corrupted, "does not begin"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := sealedFile(t, newKeys(t))
			if err := tt.spoil(s.Path); err != nil {
				t.Fatal(err)
			}
			truth, err := s.Read(t.Context())
			checkRefusal(t, truth, err, tt.want, tt.tells)
		})
	}
}

func TestSealedRefusesKeys(t *testing.T) {
	t.Parallel()
	k, other := newKeys(t), newKeys(t)
	signed := sealedFile(t, k)
	u := newSealing(t, k)
	u.SigningKey, u.AllowUnsigned = secret.Value{}, true
	seal(t, u, good())
	for _, tt := range []struct {
		name   string
		source vault.Sealed
		want   vault.Reason
		tells  string
	}{
		{"another identity", vault.Sealed{Path: signed.Path, Identity: other.Identity, VerifyKey: k.VerifyKey}, vault.Corrupted, "another one"},
		{"no identity", vault.Sealed{Path: signed.Path, VerifyKey: k.VerifyKey}, vault.Unreadable, "is empty"},
		{"identity with a line feed", vault.Sealed{Path: signed.Path, Identity: secret.New(k.Identity.Reveal() + "\n"), VerifyKey: k.VerifyKey}, vault.Unreadable, "line break"},
		{"recipient as identity", vault.Sealed{Path: signed.Path, Identity: secret.New(k.Recipient), VerifyKey: k.VerifyKey}, vault.Unreadable, "an age recipient"},
		{"another verification key", vault.Sealed{Path: signed.Path, Identity: k.Identity, VerifyKey: other.VerifyKey}, vault.Unsigned, "another key"},
		{"broken verification key", vault.Sealed{Path: signed.Path, Identity: k.Identity, VerifyKey: "mgv1_"}, vault.Unsigned, "verification key"},
		{"no verification key", vault.Sealed{Path: signed.Path, Identity: k.Identity}, vault.Unsigned, "No verification key"},
		{"unsigned, and a key is given", vault.Sealed{Path: u.Path, Identity: k.Identity, VerifyKey: k.VerifyKey}, vault.Unsigned, "not signed"},
		{"unsigned and allowed, and a key is given", vault.Sealed{Path: u.Path, Identity: k.Identity, VerifyKey: k.VerifyKey, AllowUnsigned: true}, vault.Unsigned, "not signed"},
		{"unsigned, and not allowed", vault.Sealed{Path: u.Path, Identity: k.Identity}, vault.Unsigned, "No verification key"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			truth, err := tt.source.Read(t.Context())
			checkRefusal(t, truth, err, tt.want, tt.tells)
		})
	}
	for name, path := range map[string]string{"unsigned": u.Path, "signed by whom nobody knows": signed.Path} {
		got := readTruth(t, vault.Sealed{Path: path, Identity: k.Identity, AllowUnsigned: true})
		if got.Signed || !equalValues(got.Values, good()) {
			t.Errorf("Read of a file that is %s, where that is allowed = %+v, want the values, not signed", name, got)
		}
	}
}

func TestSourcesHeedTheirContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	dir := secretsDirectory(t)
	write(t, filepath.Join(dir, "STRIPE_KEY"), stripeLive)
	for _, s := range []vault.Source{sealedFile(t, newKeys(t)), vault.Directory{Path: dir}, vault.Environment{}} {
		if _, err := s.Read(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("Read of %s after the end = %v, want %v", s.Kind(), err, context.Canceled)
		}
	}
}
