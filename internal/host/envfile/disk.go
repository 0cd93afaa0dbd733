package envfile

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// operations are what changes the disk, one by one, so that a test can let each of them be the last.
type operations struct {
	create     func(path string) (*os.File, error)
	write      func(f *os.File, content []byte) error
	chown      func(f *os.File, uid, gid int) error
	chmod      func(f *os.File, mode os.FileMode) error
	sync       func(f *os.File) error
	rename     func(from, to string) error
	syncFolder func(path string) error
	remove     func(path string) error
	access     func(path string, mode uint32) error // asks and changes nothing
	user       func() (uid int, groups []int)
	owner      func(fs.FileInfo) identity
}

// ownMode is of what we make: the file itself when there was none, the sidecars, and every file while it is being written.
const ownMode os.FileMode = 0o600

var disk = operations{
	create: func(path string) (*os.File, error) {
		return os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL|syscall.O_NOFOLLOW, ownMode)
	},
	write: func(f *os.File, content []byte) error {
		_, err := f.Write(content)
		return err
	},
	chown:  func(f *os.File, uid, gid int) error { return f.Chown(uid, gid) },
	chmod:  func(f *os.File, mode os.FileMode) error { return f.Chmod(mode) },
	sync:   func(f *os.File) error { return f.Sync() },
	rename: os.Rename,
	syncFolder: func(path string) error {
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close() // it was only read
		return f.Sync()
	},
	remove: os.Remove,
	access: syscall.Access,
	user: func() (uid int, groups []int) {
		groups, _ = os.Getgroups() // without them there is our own
		return os.Geteuid(), append(groups, os.Getegid())
	},
	owner: identityOf,
}

// identity is whose a file is and who may read it.
type identity struct {
	uid, gid int
	mode     os.FileMode
}

func identityOf(info fs.FileInfo) identity {
	id := identity{uid: -1, gid: -1, mode: info.Mode().Perm()}
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		id.uid, id.gid = int(s.Uid), int(s.Gid)
	}
	return id
}

// errOwner is that a new file cannot be given to the owner of the old one.
var errOwner = errors.New("the owner of the file cannot be kept")

// replace puts a whole file in the place of another. A crash at any moment leaves the old one or the new one. An error from
// before the renaming leaves the old one; errAfter is one from behind it: the new one is there, and a power cut may take it
// away. The caller holds the lock, so the temporary name is ours, also when a crash has left one.
func (o operations) replace(path, temporary, content string, id identity) error {
	if err := o.remove(temporary); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := o.create(temporary)
	if err != nil {
		return err
	}
	err = o.fill(f, content, id)
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = o.rename(temporary, path)
	}
	if err != nil {
		_ = o.remove(temporary) // the next writer does it when we cannot
		return err
	}
	if err := o.syncFolder(filepath.Dir(path)); err != nil {
		return fmt.Errorf("%w: %w", errAfter, err)
	}
	return nil
}

var errAfter = errors.New("the file is written, and it is not known whether it would survive a power cut")

// fill writes a new file. It belongs to its owner before a single byte is in it.
func (o operations) fill(f *os.File, content string, id identity) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if own := identityOf(info); own.uid != id.uid || own.gid != id.gid {
		if err := o.chown(f, id.uid, id.gid); err != nil {
			return fmt.Errorf("%w: %w", errOwner, err)
		}
	}
	if err := o.chmod(f, id.mode); err != nil {
		return err
	}
	if err := o.write(f, []byte(content)); err != nil {
		return err
	}
	return o.sync(f)
}

// lockPace is how often somebody who waits for the lock tries.
const lockPace = 20 * time.Millisecond

// lock keeps every other writer of the file out, in this process and in others, until release is called or the process ends.
// It waits as long as ctx lasts.
func lock(ctx context.Context, path string) (release func(), err error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, ownMode)
	if err != nil {
		return nil, err
	}
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { _ = f.Close() }, nil // closing is what releases it
		}
		if err != syscall.EWOULDBLOCK && err != syscall.EINTR {
			_ = f.Close() // the lock is what was wanted
			return nil, err
		}
		select {
		case <-ctx.Done():
			_ = f.Close() // somebody else's
			return nil, ctx.Err()
		case <-time.After(lockPace):
		}
	}
}

// isLocked reports whether somebody holds the lock. It makes no file.
func isLocked(path string) bool {
	f, err := os.OpenFile(path, os.O_RDWR|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return false
	}
	defer f.Close() // it also releases what was only tried
	return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == syscall.EWOULDBLOCK
}
