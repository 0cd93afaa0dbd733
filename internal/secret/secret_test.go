package secret_test

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/makegood/makegood/internal/secret"
)

const plain = "whsec_Zq7Tn3Vb9Kx2Lm5Pw8Rd4Fg6Hj1Sc0Ya"

// leaks reports whether the printed text shows the secret in any of the forms that a verb could give it.
func leaks(printed string) bool {
	for _, form := range []string{plain, plain[6:14], fmt.Sprintf("%x", plain[6:14]), fmt.Sprintf("%X", plain[6:14]), strings.Trim(fmt.Sprint([]byte(plain[6:14])), "[]")} {
		if strings.Contains(printed, form) {
			return true
		}
	}
	return false
}

type exported struct {
	Name string
	Key  secret.Value
	Ref  *secret.Value
}

type unexported struct {
	key  secret.Value
	ref  *secret.Value
	list []secret.Value
	deep exported
}

// shapes are the ways in which a secret can lie in other values.
func shapes() map[string]any {
	v := secret.New(plain)
	e := exported{"stripe", v, &v}
	u := unexported{v, &v, []secret.Value{v}, e}
	return map[string]any{
		"value": v, "pointer": &v, "slice": []secret.Value{v}, "map": map[string]secret.Value{"a": v},
		"struct": e, "struct pointer": &e, "unexported": u, "unexported pointer": &u, "any": []any{v, &v},
		"error": fmt.Errorf("with %v: %w", v, errors.New("x")),
	}
}

func TestNoVerbShowsASecret(t *testing.T) {
	t.Parallel()
	for name, shape := range shapes() {
		for _, verb := range strings.Fields("%v %+v %#v %s %q %x %X %d %b %o %c %U %e %t %p %20s %-40q %# x %T %z") {
			if got := fmt.Sprintf(verb, shape); leaks(got) {
				t.Errorf("Sprintf(%q, %s) = %s, want no secret", verb, name, got)
			}
		}
		if got := fmt.Sprint(shape) + fmt.Sprintln(shape); leaks(got) {
			t.Errorf("Sprint(%s) = %s, want no secret", name, got)
		}
	}
	if got, want := fmt.Sprintf("%v %d %s", secret.New(plain), secret.New(plain), secret.Value{}), "[secret] [secret] [secret]"; got != want {
		t.Errorf("printed = %q, want %q", got, want)
	}
	if got, want := secret.New(plain).String(), "[secret]"; got != want {
		t.Errorf("String() = %q, want %q", got, want)
	}
}

func TestNoLoggerShowsASecret(t *testing.T) {
	t.Parallel()
	for name, shape := range shapes() {
		var buf bytes.Buffer
		for _, h := range []slog.Handler{slog.NewTextHandler(&buf, nil), slog.NewJSONHandler(&buf, nil)} {
			log := slog.New(h)
			log.Info("x", "key", shape)
			log.With("key", shape).WithGroup("g").Info("x", slog.Group("h", "key", shape))
		}
		if got := buf.String(); leaks(got) {
			t.Errorf("slog of %s = %s, want no secret", name, got)
		}
	}
}

func TestNoEncodingShowsASecret(t *testing.T) {
	t.Parallel()
	v := secret.New(plain)
	b, err := json.Marshal(exported{"stripe", v, &v})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := string(b), `{"Name":"stripe","Key":"[secret]","Ref":"[secret]"}`; got != want {
		t.Errorf("json = %s, want %s", got, want)
	}
	if b, err = xml.Marshal(exported{"stripe", v, &v}); err != nil || leaks(string(b)) {
		t.Errorf("xml = %s, %v, want no secret", b, err)
	}
	if b, err = v.MarshalText(); err != nil || string(b) != "[secret]" {
		t.Errorf("MarshalText = %q, %v, want [secret]", b, err)
	}
	if got := cmp.Diff(exported{Key: v}, exported{Key: secret.New("other")}); got == "" || leaks(got) {
		t.Errorf("cmp.Diff = %s, want a difference without the secret", got)
	}
	var back secret.Value
	if err := json.Unmarshal([]byte(`"[secret]"`), &back); err == nil {
		t.Error("Unmarshal of a printed secret succeeded, want an error")
	}
}

// TestReflectionFindsNoString holds the reason for the closure: a printer that walks the fields finds nothing to show.
func TestReflectionFindsNoString(t *testing.T) {
	t.Parallel()
	v := reflect.ValueOf(secret.New(plain))
	for i := range v.NumField() {
		if got, want := v.Field(i).Kind(), reflect.Func; got != want {
			t.Errorf("field %d is a %v, want a %v", i, got, want)
		}
	}
	if reflect.TypeFor[secret.Value]().Comparable() {
		t.Error("a Value can be compared with ==, want a compile error")
	}
}

func TestValue(t *testing.T) {
	t.Parallel()
	v, same, other, zero := secret.New(plain), secret.New(plain), secret.New("other"), secret.Value{}
	if got := v.Reveal(); got != plain {
		t.Errorf("Reveal() = %q, want %q", got, plain)
	}
	if got, want := v.Len(), len(plain); got != want {
		t.Errorf("Len() = %d, want %d", got, want)
	}
	if got, want := v.Fingerprint(), "681c7c0f"; got != want {
		t.Errorf("Fingerprint() = %q, want %q: fingerprints on old pages would no longer match", got, want)
	}
	if v.Fingerprint() == other.Fingerprint() {
		t.Error("two secrets have one fingerprint")
	}
	if !v.Equal(same) || v.Equal(other) || v.Equal(zero) || !zero.Equal(secret.New("")) {
		t.Error("Equal does not tell equal from different")
	}
	if v.Empty() || !zero.Empty() || zero.Reveal() != "" || zero.Len() != 0 || zero.Fingerprint() != "" {
		t.Error("the zero Value is not empty")
	}
}
