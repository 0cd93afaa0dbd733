package vault

import (
	"maps"
	"regexp"
	"slices"
	"unicode/utf8"

	"github.com/makegood/makegood/internal/secret"
)

var (
	variableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

	// tokenLike finds a token in the place of a name, so that no sentence repeats it.
	tokenLike = regexp.MustCompile(`(?i)^((whsec|[srp]k|re|gh[psou]|github_pat|tk|cfut|cfat|cfk|mgs1)_|xox[a-z]-|age-secret-key-)|.{48}`)
)

func isName(s string) bool { return len(s) <= nameBytesMax && variableName.MatchString(s) }

// shown repeats a name that somebody gave, unless it looks as if a secret stood in its place.
func shown(name string) string {
	if tokenLike.MatchString(name) {
		return "a name that looks like a secret itself"
	}
	return name
}

// checkValues refuses what no source may hold: nothing at all, an empty value, and what a file could not give back as it was.
func checkValues(values map[string]secret.Value) error {
	if len(values) == 0 {
		return refuse(Empty, "", "There is no secret in it. An empty source of truth is neither written nor believed.")
	}
	if len(values) > secretsMax {
		return refuse(Unspeakable, "", "There are %d secrets, and at most %d are kept together.", len(values), secretsMax)
	}
	for _, name := range sortedNames(values) {
		if err := checkValue(name, values[name]); err != nil {
			return err
		}
	}
	return nil
}

func checkValue(name string, v secret.Value) error {
	switch {
	case !isName(name):
		return refuse(Unspeakable, "", "A secret has a name that no variable can have: %s. Names are made of letters, digits and underscores.", shown(name))
	case v.Empty():
		return refuse(Incomplete, name, "%s is empty. An empty value is neither kept nor believed: give it, or leave it out.", shown(name))
	case v.Len() > valueBytesMax:
		return refuse(Unspeakable, name, "%s is longer than %d bytes and can hardly be a secret.", shown(name), valueBytesMax)
	case !utf8.ValidString(v.Reveal()):
		return refuse(BadSecret, name, "%s has bytes that are no text. Save it as UTF-8, or encode it as base64.", shown(name))
	}
	return nil
}

func sortedNames[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
