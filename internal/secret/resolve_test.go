package secret_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/secret"
)

func env(pairs map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) { s, ok := pairs[name]; return s, ok }
}

func write(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestResolveEnvironmentVerbatim(t *testing.T) {
	t.Parallel()
	for _, want := range []string{plain, "", plain + "\n", " " + plain, "${X}"} {
		v, err := secret.Resolve("env:STRIPE_SECRET", "", env(map[string]string{"STRIPE_SECRET": want}))
		if err != nil {
			t.Fatal(err)
		}
		if got := v.Reveal(); got != want {
			t.Errorf("Resolve of a variable %q = %q, want it verbatim", want, got)
		}
	}
}

func TestResolveFileStripsOneNewline(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, content, want string }{
		{"no newline", "abc", "abc"},
		{"one newline", "abc\n", "abc"},
		{"two newlines", "abc\n\n", "abc\n"},
		{"windows", "abc\r\n", "abc\r"},
		{"blank at the end", "abc \n", "abc "},
		{"byte order mark", "\uFEFFabc\n", "\uFEFFabc"},
		{"empty", "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			v, err := secret.Resolve("file:"+write(t, "s", tt.content), "", nil)
			if err != nil {
				t.Fatal(err)
			}
			if got := v.Reveal(); got != tt.want {
				t.Errorf("Resolve of a file %q = %q, want %q", tt.content, got, tt.want)
			}
		})
	}
}

func TestResolveRelativePath(t *testing.T) {
	t.Parallel()
	path := write(t, "stripe.txt", plain+"\n")
	v, err := secret.Resolve("file:stripe.txt", filepath.Dir(path), nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := v.Reveal(); got != plain {
		t.Errorf("Resolve of a relative path = %q, want %q", got, plain)
	}
}

func TestResolveRefuses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, tt := range []struct {
		name, ref string
		want      makegood.Code
	}{
		{"literal", plain, makegood.Invalid},
		{"literal with blank before the scheme", " env:" + plain, makegood.Invalid},
		{"nothing", "", makegood.Invalid},
		{"unknown scheme", "vault:" + plain, makegood.Invalid},
		{"upper-case scheme", "ENV:" + plain, makegood.Invalid},
		{"no name", "env:", makegood.Invalid},
		{"name with dollar", "env:$" + plain, makegood.Invalid},
		{"name with braces", "env:${STRIPE}", makegood.Invalid},
		{"unset", "env:STRIPE_SECRET", makegood.NotFound},
		{"secret in the place of a name", "env:" + plain, makegood.NotFound},
		{"no path", "file:", makegood.Invalid},
		{"missing file", "file:/nowhere/at/all", makegood.NotFound},
		{"secret in the place of a path", "file:" + plain, makegood.NotFound},
		{"secret with a slash in the place of a path", "file:" + plain + "/abcdef", makegood.NotFound},
		{"Slack token in the place of a path", "file:xoxb-" + plain[6:], makegood.NotFound},
		{"GitHub token in the place of a path", "file:ghp_" + plain[6:], makegood.NotFound},
		{"Cloudflare token in the place of a path", "file:cfat_" + plain[6:], makegood.NotFound},
		{"age identity in the place of a path", "file:AGE-SECRET-KEY-1" + plain[6:], makegood.NotFound},
		{"directory", "file:" + dir, makegood.Invalid},
		{"device", "file:/dev/null", makegood.Invalid},
		{"huge file", "file:" + write(t, "huge", strings.Repeat("x", 64<<10+1)), makegood.Invalid},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			v, err := secret.Resolve(tt.ref, dir, env(nil))
			if !errors.Is(err, tt.want) {
				t.Fatalf("Resolve = %v, %v, want %v", v, err, tt.want)
			}
			if leaks(err.Error()) || leaks(makegood.MessageOf(err)) {
				t.Errorf("Resolve error = %v, want no secret in it", err)
			}
		})
	}
}

func TestResolveErrorsHelp(t *testing.T) {
	t.Parallel()
	for ref, want := range map[string]string{
		"env:STRIPE_SECRET": "STRIPE_SECRET",
		"file:/no/such/key": "/no/such/key",
		plain:               "env:NAME",
	} {
		_, err := secret.Resolve(ref, "", env(nil))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Resolve error = %v, want it to name %s", err, want)
		}
	}
}
