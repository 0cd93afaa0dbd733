package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/makegood/makegood"
)

// prepareFile makes the folder of a database and returns where the file really is: by two names of one file, two servers
// would hold two locks.
func prepareFile(path string) (string, error) {
	if path == "" {
		return "", errors.New("the database path is empty; write for example sqlite:makegood.db")
	}
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return "", makegood.Errorf(makegood.Invalid, "The database must be a file, but %s is a %s. Write for example sqlite:%s.",
			path, kindOf(info), filepath.Join(path, "makegood.db"))
	}
	folder := filepath.Dir(path)
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return "", fileTrouble(err, "The folder %s of the database cannot be made", folder)
	}
	return path, nil
}

func kindOf(info fs.FileInfo) string {
	if info.IsDir() {
		return "folder"
	}
	return "special file"
}

// makeFile makes the file if there is none, and keeps it to its owner. SQLite would open a file that it may not write for
// reading, and fail at the first write only.
func makeFile(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fileTrouble(err, "The database %s cannot be opened for writing", path)
	}
	if err := errors.Join(f.Chmod(0o600), f.Close()); err != nil {
		return fileTrouble(err, "The database %s cannot be kept to its owner", path)
	}
	return nil
}

// fileTrouble makes an error of the operating system one that a person can act on.
func fileTrouble(err error, format string, args ...any) error {
	why := "see the cause"
	switch {
	case errors.Is(err, syscall.EROFS):
		why = "its disk is read-only"
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		why = "its disk is full"
	case errors.Is(err, syscall.ENOTDIR):
		why = "a part of the path is a file, not a folder"
	case errors.Is(err, fs.ErrPermission):
		why = fmt.Sprintf("user %d, who runs this program, may not write there", os.Geteuid())
	}
	return makegood.Wrap(err, makegood.Unavailable, fmt.Sprintf(format, args...)+": "+why+".")
}

// openTrouble does the same for an error of SQLite while it opens the file.
func openTrouble(path string, err error) error {
	var s *sqlite.Error
	if !errors.As(err, &s) {
		return fmt.Errorf("open the database %s: %w", path, err)
	}
	why := "cannot be opened"
	switch s.Code() & 0xff {
	case sqlite3.SQLITE_NOTADB:
		why = "is not an SQLite database. It was left as it is; name another path"
	case sqlite3.SQLITE_CORRUPT:
		why = "is damaged. It was left as it is; restore a backup"
	case sqlite3.SQLITE_FULL:
		why = "cannot be opened because its disk is full"
	case sqlite3.SQLITE_READONLY:
		why = "cannot be written: the file or its disk is read-only"
	case sqlite3.SQLITE_BUSY:
		why = "is held by another program"
	}
	return makegood.Wrap(err, makegood.Unavailable, "The file "+path+" "+why+".")
}
