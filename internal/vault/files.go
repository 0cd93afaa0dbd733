package vault

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
)

var (
	errNotRegular = errors.New("not a regular file")
	errTooLarge   = errors.New("too large")
	errExposed    = errors.New("open to others")
)

// place is how one file is looked at and opened; opening must not wait for anybody (O_NONBLOCK).
type place struct {
	stat func() (fs.FileInfo, error)
	open func() (*os.File, error)
}

// readWhole reads a regular file of at most bytesMax that has none of the forbidden permissions. It looks before it opens,
// because opening a device may do something, and again afterwards, because somebody may have put another file there.
func readWhole(p place, bytesMax int64, forbidden fs.FileMode) ([]byte, error) {
	info, err := p.stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errNotRegular
	}
	f, err := p.open()
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if info, err = f.Stat(); err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errNotRegular
	}
	if isOpenTo(info, forbidden) {
		return nil, errExposed
	}
	b, err := io.ReadAll(io.LimitReader(f, bytesMax+1))
	if err == nil && int64(len(b)) > bytesMax {
		err = errTooLarge
	}
	if err != nil {
		return nil, err
	}
	return b, nil
}

// isOpenTo compares permissions; on Windows Go shows none that mean anything.
func isOpenTo(info fs.FileInfo, forbidden fs.FileMode) bool {
	return runtime.GOOS != "windows" && info.Mode().Perm()&forbidden != 0
}

// disk is what writing asks of a file system; a test has one that breaks.
type disk interface {
	create(dir string) (draft, error)
	rename(from, to string) error
	remove(name string) error
	syncDir(dir string) error
}

// draft is a new file under a name of its own.
type draft interface {
	io.Writer
	Name() string
	Sync() error
	Close() error
}

type realDisk struct{}

// create makes a file that only we may read. Its name begins with a dot, so that one left behind by a crash is no secret of a
// directory.
func (realDisk) create(dir string) (draft, error) { return os.CreateTemp(dir, ".makegood-*") }

func (realDisk) rename(from, to string) error { return os.Rename(from, to) }

func (realDisk) remove(name string) error { return os.Remove(name) }

func (realDisk) syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// writeWhole puts content at path, for its owner only. A crash before the renaming leaves the old file, and beside it perhaps
// a draft that nobody reads; a crash after it leaves the new one, whole, because it was synced before. An error after the
// renaming says that the new file is there and that a power cut could still bring the old one back.
func writeWhole(d disk, path string, content []byte) error {
	dir := filepath.Dir(path)
	f, err := d.create(dir)
	if err != nil {
		return err
	}
	if err := fill(f, content); err != nil {
		return errors.Join(err, d.remove(f.Name()))
	}
	if err := d.rename(f.Name(), path); err != nil {
		return errors.Join(err, d.remove(f.Name()))
	}
	return d.syncDir(dir)
}

func fill(f draft, content []byte) error {
	if _, err := f.Write(content); err != nil {
		return errors.Join(err, f.Close())
	}
	if err := f.Sync(); err != nil {
		return errors.Join(err, f.Close())
	}
	return f.Close()
}
