package vault_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/makegood/makegood/internal/secret"
	"github.com/makegood/makegood/internal/vault"
)

func secretsDirectory(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "secrets")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestDirectory(t *testing.T) {
	t.Parallel()
	dir := secretsDirectory(t)
	for name, content := range map[string]string{"STRIPE_KEY": stripeLive + "\n", "TWO": "a\n\n", "NONE": "a", "WINDOWS": "a\r\n", "EMPTY": "", "BLANK": "\n",
		".hidden": "x", "_1": "b", "LONG": strings.Repeat("x", 64<<10)} {
		write(t, filepath.Join(dir, name), content)
	}
	if err := os.Symlink("STRIPE_KEY", filepath.Join(dir, "LINK")); err != nil {
		t.Fatal(err)
	}
	got := readTruth(t, vault.Directory{Path: dir})
	want := values("STRIPE_KEY", stripeLive, "LINK", stripeLive, "TWO", "a\n", "NONE", "a", "WINDOWS", "a\r", "EMPTY", "", "BLANK", "", "_1", "b", "LONG", strings.Repeat("x", 64<<10))
	if !equalValues(got.Values, want) || got.Serial != 0 || got.Signed || got.Mode != "" {
		t.Errorf("Read = %+v, want %d values and nothing else", got, len(want))
	}
}

func TestDirectoryMayBeEmpty(t *testing.T) {
	t.Parallel()
	if got := readTruth(t, vault.Directory{Path: secretsDirectory(t)}); len(got.Values) != 0 {
		t.Errorf("Read of an empty directory = %+v, want no values", got)
	}
}

func TestDirectoryRefuses(t *testing.T) {
	t.Parallel()
	fill := func(dir, format string, n int) error {
		for i := range n {
			if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf(format, i)), []byte("x"), 0o600); err != nil {
				return err
			}
		}
		return nil
	}
	for _, tt := range []struct {
		name  string
		spoil func(dir, file string) error
		want  vault.Reason
		tells string
	}{
		{"not there", func(d, _ string) error { return os.RemoveAll(d) }, vault.Unreadable, "does not exist"},
		{"a file", func(d, _ string) error { return errors.Join(os.RemoveAll(d), os.WriteFile(d, nil, 0o600)) }, vault.Unreadable, "not a directory"},
		{"a pipe in its place", func(d, _ string) error { return errors.Join(os.RemoveAll(d), syscall.Mkfifo(d, 0o600)) }, vault.Unreadable, "not a directory"},
		{"listed by the group", func(d, _ string) error { return os.Chmod(d, 0o750) }, vault.Exposed, "chmod go-rwx"},
		{"entered by the world", func(d, _ string) error { return os.Chmod(d, 0o701) }, vault.Exposed, "chmod go-rwx"},
		{"a file for the group to read", func(_, f string) error { return os.Chmod(f, 0o640) }, vault.Exposed, "STRIPE_KEY"},
		{"a file for the world to read", func(_, f string) error { return os.Chmod(f, 0o604) }, vault.Exposed, "STRIPE_KEY"},
		{"a file for the world to write", func(_, f string) error { return os.Chmod(f, 0o602) }, vault.Exposed, "STRIPE_KEY"},
		{"a pipe among the files", func(_, f string) error { return errors.Join(os.Remove(f), syscall.Mkfifo(f, 0o600)) }, vault.Unreadable, "regular file"},
		{"a directory among the files", func(_, f string) error { return errors.Join(os.Remove(f), os.Mkdir(f, 0o700)) }, vault.Unreadable, "regular file"},
		{"a link out of it", func(d, f string) error {
			outside := d + ".outside"
			return errors.Join(os.Remove(f), os.WriteFile(outside, []byte(stripeLive), 0o600), os.Symlink(outside, f))
		}, vault.Unreadable, "out of the directory"},
		{"a link to nowhere", func(_, f string) error { return errors.Join(os.Remove(f), os.Symlink("NOWHERE", f)) }, vault.Unreadable, "leads nowhere"},
		{"a huge file", func(_, f string) error { return os.Truncate(f, 64<<10+1) }, vault.Unspeakable, "larger"},
		{"a name of another form", func(_, f string) error { return os.Rename(f, f+".txt") }, vault.Unspeakable, "STRIPE_KEY.txt"},
		{"a secret as name", func(d, f string) error { return os.Rename(f, filepath.Join(d, stripeLive+".txt")) }, vault.Unspeakable, "looks like a secret"},
		{"too many", func(d, _ string) error { return fill(d, "N%d", 200) }, vault.Unspeakable, "201 files"},
		{"too many hidden", func(d, _ string) error { return fill(d, ".n%d", 1000) }, vault.Unspeakable, "1000 entries"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := secretsDirectory(t)
			file := filepath.Join(dir, "STRIPE_KEY")
			write(t, file, stripeLive)
			if err := tt.spoil(dir, file); err != nil {
				t.Fatal(err)
			}
			truth, err := vault.Directory{Path: dir}.Read(t.Context())
			checkRefusal(t, truth, err, tt.want, tt.tells)
		})
	}
}

func TestSetInDirectory(t *testing.T) {
	t.Parallel()
	dir := secretsDirectory(t)
	for _, want := range []string{stripeTest, stripeLive, "ends in a line feed\n", "x"} {
		if err := vault.SetInDirectory(dir, "STRIPE_KEY", secret.New(want)); err != nil {
			t.Fatal(err)
		}
		if got := readTruth(t, vault.Directory{Path: dir}).Values; !equalValues(got, values("STRIPE_KEY", want)) {
			t.Errorf("after SetInDirectory of %q Read = %d values, want this one", want, len(got))
		}
	}
	if info, err := os.Stat(filepath.Join(dir, "STRIPE_KEY")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode of the file = %v, %v, want 0600", info.Mode(), err)
	}
}

func TestSetInDirectoryRefuses(t *testing.T) {
	t.Parallel()
	full := secretsDirectory(t)
	for i := range 200 {
		write(t, filepath.Join(full, fmt.Sprintf("N%d", i)), "x")
	}
	exposed := secretsDirectory(t)
	if err := os.Chmod(exposed, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, dir, variable, value string
		want                       vault.Reason
	}{
		{"an empty value", secretsDirectory(t), "STRIPE_KEY", "", vault.Incomplete},
		{"a way out", secretsDirectory(t), "../STRIPE_KEY", stripeLive, vault.Unspeakable},
		{"a hidden name", secretsDirectory(t), ".stripe", stripeLive, vault.Unspeakable},
		{"a name too long", secretsDirectory(t), strings.Repeat("A", 129), stripeLive, vault.Unspeakable},
		{"no name", secretsDirectory(t), "", stripeLive, vault.Unspeakable},
		{"an exposed directory", exposed, "STRIPE_KEY", stripeLive, vault.Exposed},
		{"a full directory", full, "STRIPE_KEY", stripeLive, vault.Unwritable},
		{"no directory", exposed + "/none", "STRIPE_KEY", stripeLive, vault.Unreadable},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			checkRefusal(t, vault.Truth{}, vault.SetInDirectory(tt.dir, tt.variable, secret.New(tt.value)), tt.want, "")
		})
	}
	if err := vault.SetInDirectory(full, "N7", secret.New("y")); err != nil {
		t.Errorf("SetInDirectory of a name that is there in a full directory = %v, want nil", err)
	}
}
