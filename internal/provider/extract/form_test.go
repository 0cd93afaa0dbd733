package extract_test

import (
	"strings"
	"testing"

	"github.com/tidwall/gjson"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/provider/extract"
)

func TestForm(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		body, path, want string
		ok               bool
	}{
		{"id=tr_1", "id", "tr_1", true},
		{"id=1&id=2", "id", "1", true},
		{"a=%zz&id=2", "id", "2", true},
		{"a;b=1&id=2", "id", "2", true},
		{"id=a%20b+c", "id", "a b c", true},
		{"id=%22%5C", "id", `"\`, true},
		{"id=%ff", "id", "\uFFFD", true},
		{`{"id":"x"}`, "id", "", true}, // a field with an odd name
		{"=x", "id", "", false},
		{"", "id", "", false},
		{"&&&", "id", "", false},
		{strings.Repeat("a=1&", 5000) + "id=2", "id", "2", true},
	} {
		got, ok := extract.Form([]byte(tt.body))
		if ok != tt.ok || got.Get(tt.path).String() != tt.want {
			t.Errorf("Form(%.40q).%s = %q, %v; want %q, %v", tt.body, tt.path, got.Get(tt.path), ok, tt.want, tt.ok)
		}
	}
}

func TestMinor(t *testing.T) {
	t.Parallel()
	for amount, want := range map[string]int64{`2900`: 2900, `"2900"`: 2900, `0`: 0, `"0"`: 0, `"29.00"`: -1, `29.5`: -1, `-1`: -1, `"-1"`: -1, `"+1"`: -1,
		`""`: -1, `null`: -1, `true`: -1, `[1]`: -1, `"99999999999999999999"`: -1, `" 1"`: -1, `1e3`: -1} {
		got, ok := extract.Minor(gjson.Parse(amount), gjson.Parse(`"USD"`))
		if ok != (want >= 0) || ok && got != (makegood.Money{Minor: want, Currency: "usd"}) {
			t.Errorf("Minor(%s) = %v, %v; want %d", amount, got, ok, want)
		}
	}
	if _, ok := extract.Minor(gjson.Parse(`1`), gjson.Parse(`"dollars"`)); ok {
		t.Error("Minor takes a currency that is none")
	}
}

func FuzzForm(f *testing.F) {
	for _, body := range []string{"id=tr_1", "a=%zz", "=&=", "%00=%ff", strings.Repeat("&", 100)} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		if got, ok := extract.Form(body); ok && (!got.IsObject() || !extract.IsReadable([]byte(got.Raw))) {
			t.Errorf("Form(%q) = %s, which cannot be read", body, got.Raw)
		}
	})
}
