package store

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"

	"github.com/makegood/makegood"
)

// fileLock keeps a second server off the same SQLite file. The kernel lets go of it when the process ends, however it
// ends; the text in the file is only for people.
type fileLock struct{ file *os.File }

func lockFile(path string) (*fileLock, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fileTrouble(err, "The lock %s beside the database cannot be written", path)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		holder, _ := os.ReadFile(path) // unreadable is as good as unknown
		f.Close()
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("lock the database: %w", err)
		}
		return nil, makegood.Errorf(makegood.Conflict,
			"The database %s is in use by %s. Stop that server first, or give this one a database of its own.",
			strings.TrimSuffix(path, ".lock"), holderName(holder))
	}
	host, _ := os.Hostname() // for people only
	if err := errors.Join(f.Truncate(0), writeAt(f, fmt.Sprintf("process %d on %s", os.Getpid(), host))); err != nil {
		f.Close()
		return nil, fmt.Errorf("write the lock of the database: %w", err)
	}
	return &fileLock{f}, nil
}

func writeAt(f *os.File, text string) error {
	_, err := f.WriteAt([]byte(text), 0)
	return err
}

func holderName(text []byte) string {
	if len(text) == 0 {
		return "another process"
	}
	return string(text)
}

// Release lets go of the lock. Twice is once.
func (l *fileLock) Release() error {
	if l == nil || l.file == nil {
		return nil
	}
	err := l.file.Close()
	l.file = nil
	return err
}
