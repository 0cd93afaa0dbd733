package vault

import (
	"cmp"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/makegood/makegood/internal/secret"
)

// Directory is a directory with a file for each secret, named as its variable. Only its owner may look into it. Files whose
// name begins with a dot are passed over.
type Directory struct {
	Path string
}

var _ Source = Directory{}

// Kind returns "directory".
func (d Directory) Kind() string { return "directory" }

// Read reads every file: all of them, or a *Refusal. From the end of a file exactly one line feed is removed, as
// secret.Resolve does it. A link may lead to another place in the directory, and nowhere else. An empty file gives an empty
// value, for Judge to name.
func (d Directory) Read(ctx context.Context) (Truth, error) {
	root, err := openPrivate(d.Path)
	if err != nil {
		return Truth{}, err
	}
	defer root.Close()
	names, err := secretsIn(root)
	if err != nil {
		return Truth{}, err
	}
	values := make(map[string]secret.Value, len(names))
	for _, name := range names {
		if err := ctx.Err(); err != nil {
			return Truth{}, err
		}
		b, err := readWhole(place{
			stat: func() (fs.FileInfo, error) { return root.Stat(name) },
			open: func() (*os.File, error) { return root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0) },
		}, valueBytesMax, 0o077)
		if err != nil {
			return Truth{}, fileRefusal(err, name)
		}
		values[name] = secret.New(strings.TrimSuffix(string(b), "\n"))
	}
	return Truth{Values: values}, nil
}

// SetInDirectory puts one secret into a directory of secrets, in the place of the one that is there. A crash leaves the old
// one or the new one, whole. It takes nothing away, and refuses an empty value.
func SetInDirectory(path, name string, v secret.Value) error {
	return setInDirectory(realDisk{}, path, name, v)
}

func setInDirectory(d disk, path, name string, v secret.Value) error {
	if err := checkValue(name, v); err != nil {
		return err
	}
	root, err := openPrivate(path)
	if err != nil {
		return err
	}
	defer root.Close()
	names, err := secretsIn(root)
	if err != nil {
		return err
	}
	if len(names) >= secretsMax && !slices.Contains(names, name) {
		return refuse(Unwritable, name, "The directory of secrets is full: at most %d are kept together.", secretsMax)
	}
	// The line feed is the one that Read removes, so that a value which ends in one comes back as it was.
	if err := writeWhole(d, filepath.Join(path, name), []byte(v.Reveal()+"\n")); err != nil {
		return because(err, Unwritable, name, "%s cannot be written. Look at the disk and at the rights of the directory, then read it again before you go on.", shown(name))
	}
	return nil
}

// openPrivate opens a directory that nobody but its owner can use. What is opened through it cannot lie outside.
func openPrivate(path string) (*os.Root, error) {
	info, err := os.Stat(path) // before opening, which would wait at a pipe
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, because(err, Unreadable, "", "The directory of secrets %s does not exist.", path)
	case err == nil && !info.IsDir():
		return nil, refuse(Unreadable, "", "The directory of secrets %s is not a directory.", path)
	case err == nil && isOpenTo(info, 0o077):
		return nil, refuse(Exposed, "", "Others may look into the directory of secrets %s. Take the right away: chmod go-rwx.", path)
	}
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, because(err, Unreadable, "", "The directory of secrets %s may not be read by this user.", path)
	}
	return root, nil
}

// secretsIn lists the names, sorted.
func secretsIn(root *os.Root) ([]string, error) {
	f, err := root.Open(".")
	if err != nil {
		return nil, because(err, Unreadable, "", "The directory of secrets may not be read by this user.")
	}
	defer f.Close()
	entries, err := f.ReadDir(entriesMax + 1)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, because(err, Unreadable, "", "The directory of secrets cannot be read to its end.")
	}
	if len(entries) > entriesMax {
		return nil, refuse(Unspeakable, "", "The directory of secrets has more than %d entries; it is hardly the right one.", entriesMax)
	}
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return cmp.Compare(a.Name(), b.Name()) })
	var names []string
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") {
			continue
		}
		if !isName(e.Name()) {
			return nil, refuse(Unspeakable, "", "The directory of secrets has a file that no variable can be named as: %s. Rename it or put it elsewhere.", shown(e.Name()))
		}
		names = append(names, e.Name())
	}
	if len(names) > secretsMax {
		return nil, refuse(Unspeakable, "", "The directory of secrets has %d files, and at most %d are kept together.", len(names), secretsMax)
	}
	return names, nil
}

func fileRefusal(err error, name string) error {
	switch {
	case errors.Is(err, fs.ErrPermission):
		return because(err, Unreadable, name, "The file of %s may not be read by this user.", shown(name))
	case errors.Is(err, errExposed):
		return because(err, Exposed, name, "Others may read or write the file of %s. Take the right away: chmod go-rwx.", shown(name))
	case errors.Is(err, errNotRegular):
		return because(err, Unreadable, name, "The file of %s is not a regular file.", shown(name))
	case errors.Is(err, errTooLarge):
		return because(err, Unspeakable, name, "The file of %s is larger than %d bytes and can hardly be a secret.", shown(name), valueBytesMax)
	}
	return because(err, Unreadable, name, "The file of %s cannot be read: it is gone, or a link that leads nowhere or out of the directory.", shown(name))
}
