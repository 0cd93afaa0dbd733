package store_test

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/store"
)

// asNobody runs fn with the rights of a user who owns nothing, as far as files are concerned. Root may write everywhere.
func asNobody(t *testing.T, fn func()) {
	t.Helper()
	if os.Geteuid() != 0 {
		fn()
		return
	}
	runtime.LockOSThread() // the rights are the thread's
	defer runtime.UnlockOSThread()
	if err := syscall.Setfsuid(65534); err != nil {
		t.Fatal(err)
	}
	defer syscall.Setfsuid(0) //nolint:errcheck // it was allowed a moment ago
	fn()
}

func TestOpenWithoutRights(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	path := filepath.Join(folder, "makegood.db")
	s, err := store.Open(t.Context(), "sqlite:"+path, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
	chmod := func(path string, mode os.FileMode) {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	check := func(name, path, sentence string) {
		t.Helper()
		asNobody(t, func() {
			s, err := store.Open(t.Context(), "sqlite:"+path, store.Options{})
			if err == nil {
				s.Close()
			}
			if !errors.Is(err, makegood.Unavailable) || !strings.Contains(err.Error(), sentence) {
				t.Errorf("Open %s = %v, want unavailable with %q", name, err, sentence)
			}
		})
	}
	chmod(filepath.Dir(folder), 0o755) // the test's own, which others may not even enter
	chmod(folder, 0o555)
	check("in a folder that may not be written", filepath.Join(folder, "new", "makegood.db"), "cannot be made: user")
	if err := os.Remove(path + ".lock"); err != nil && os.Geteuid() == 0 {
		t.Fatal(err)
	}
	if os.Geteuid() == 0 {
		check("beside which no lock can be made", path, "makegood.db.lock beside the database cannot be written: user")
	}
	chmod(folder, 0o777)
	chmod(path, 0o444)
	check("of a file that may not be written", path, "cannot be opened for writing: user")
	chmod(folder, 0o755)
}
