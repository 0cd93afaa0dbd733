package cli

import (
	"testing"
	"time"
)

func TestSafe(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"Ann Example":          "Ann Example",
		"Zoë 北京 → ok":          "Zoë 北京 → ok",
		"Ann\x1b[2J\x07\x00":   "Ann\ufffd[2J\ufffd\ufffd",
		"a\u202egpj.exe\u2066": "a\ufffdgpj.exe\ufffd",
		"a\ttab":               "a tab",
		"two\nlines\r":         "two\nlines\ufffd",
		"\u0085\u009b31m":      "\ufffd\ufffd31m",
	} {
		if got := safe(text); got != want {
			t.Errorf("safe(%q) = %q, want %q", text, got, want)
		}
	}
	if got := oneLine("a\nb"); got != "a b" {
		t.Errorf("oneLine = %q", got)
	}
}

func TestShort(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{
		0: "0s", 40 * time.Microsecond: "0.0ms", 4520 * time.Microsecond: "4.5ms", 999 * time.Millisecond: "999.0ms",
		1500 * time.Millisecond: "1.50s", 61 * time.Second: "1m1s", 25*time.Hour + time.Minute: "1d1h", -5 * time.Millisecond: "-5.0ms",
	} {
		if got := short(d); got != want {
			t.Errorf("short(%v) = %q, want %q", d, got, want)
		}
	}
}

func TestCountAndOrdinal(t *testing.T) {
	t.Parallel()
	for n, want := range map[int]string{0: "0 orders", 1: "1 order", 2: "2 orders"} {
		if got := count(n, "order"); got != want {
			t.Errorf("count(%d) = %q, want %q", n, got, want)
		}
	}
	for n, want := range map[int]string{1: "1st", 2: "2nd", 3: "3rd", 4: "4th", 11: "11th", 12: "12th", 13: "13th", 21: "21st", 112: "112th"} {
		if got := ordinal(n); got != want {
			t.Errorf("ordinal(%d) = %q, want %q", n, got, want)
		}
	}
}
