package secret

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/makegood/makegood"
)

// fileBytesMax bounds a secret's file: 64 KiB holds any key or certificate, and a reference to a wrong file is refused
// before it fills the memory.
const fileBytesMax = 64 << 10

var (
	envName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

	// conventionalName is what nearly every environment variable looks like and nearly no secret does.
	conventionalName = regexp.MustCompile(`^[A-Z][A-Z0-9]*(_[A-Z0-9]+)+$|^[A-Z][A-Z0-9]{0,14}$`)

	// tokenPath finds a token in the place of a path; tokens in base64 may contain a slash themselves.
	tokenPath = regexp.MustCompile(`(^|/)((whsec|[srp]k|re|gh[psou]|github_pat|tk|cfut|cfat|cfk|mgs1)_|xox[a-z]-|AGE-SECRET-KEY-)`)
)

// Resolve reads the secret that ref refers to: "env:NAME" by lookup (os.LookupEnv in production), "file:/path" from a
// file; a relative path is relative to dir.
//
// A value from the environment is taken as it is. From the end of a file exactly one "\n" is removed, because echo,
// editors and most secret stores put one there; everything else (a second newline, "\r\n", spaces, a BOM) stays, for
// Inspect to name. An empty variable or file gives an empty Value and no error: Inspect names that too.
//
// A literal value is refused, and a reference that leads nowhere is makegood.NotFound. Errors contain neither the value
// nor a reference that looks as if it were the value; they are sentences that an operator may read.
func Resolve(ref, dir string, lookup func(string) (string, bool)) (Value, error) {
	switch {
	case strings.HasPrefix(ref, "env:"):
		return resolveEnv(strings.TrimPrefix(ref, "env:"), lookup)
	case strings.HasPrefix(ref, "file:"):
		return resolveFile(strings.TrimPrefix(ref, "file:"), dir)
	}
	return Value{}, makegood.Errorf(makegood.Invalid,
		"A secret is given by reference, not in the file itself: write env:NAME for a variable of the environment, or file:/path for a file.")
}

func resolveEnv(name string, lookup func(string) (string, bool)) (Value, error) {
	if !envName.MatchString(name) {
		return Value{}, makegood.Errorf(makegood.Invalid,
			"After env: comes the bare name of a variable, made of letters, digits and underscores, without $ or braces.")
	}
	s, ok := lookup(name)
	if !ok {
		return Value{}, makegood.Errorf(makegood.NotFound, "The variable %s is not set in the environment.", shownName(name))
	}
	return New(s), nil
}

// shownName repeats a name only if it looks like one, because "env:whsec_…" is a secret that somebody put in its place.
func shownName(name string) string {
	if conventionalName.MatchString(name) {
		return name
	}
	return "that the reference names"
}

func resolveFile(path, dir string) (Value, error) {
	if path == "" {
		return Value{}, makegood.Errorf(makegood.Invalid, "After file: comes the path of a file.")
	}
	if !filepath.IsAbs(path) {
		path = filepath.Join(dir, path)
	}
	b, err := readSmall(path)
	if err != nil {
		return Value{}, fileError(err, path)
	}
	return New(strings.TrimSuffix(string(b), "\n")), nil
}

var (
	errNotRegular = errors.New("not a regular file")
	errTooLarge   = errors.New("too large")
)

// readSmall looks before it opens: opening a pipe would hang the start of the program.
func readSmall(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errNotRegular
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, fileBytesMax+1))
	if err == nil && len(b) > fileBytesMax {
		err = errTooLarge
	}
	return b, err
}

// fileError says what is wrong with the file without the cause's text, which repeats the path.
func fileError(err error, path string) error {
	if tokenPath.MatchString(filepath.ToSlash(path)) {
		path = "that the reference names"
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return makegood.Errorf(makegood.NotFound, "The file %s does not exist.", path)
	case errors.Is(err, fs.ErrPermission):
		return makegood.Errorf(makegood.Forbidden, "The file %s may not be read by this user.", path)
	case errors.Is(err, errNotRegular):
		return makegood.Errorf(makegood.Invalid, "The file %s is not a regular file.", path)
	case errors.Is(err, errTooLarge):
		return makegood.Errorf(makegood.Invalid, "The file %s is larger than %d bytes and can hardly be a secret.", path, fileBytesMax)
	}
	return makegood.Errorf(makegood.Unavailable, "The file %s cannot be read.", path)
}
