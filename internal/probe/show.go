package probe

import (
	"strings"
	"time"
	"unicode"
)

// show makes a text from outside fit for a line: without control characters, without line breaks, and not long.
func show(s string) string {
	if len(s) > 8*shownRunesMax {
		s = s[:8*shownRunesMax] // enough for what is left after cutting, whatever the letters
	}
	s = strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\r' || r == '\t' || r == '\u2028' || r == '\u2029':
			return ' '
		// Cf are the invisible characters that turn writing around.
		case unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || r == unicode.ReplacementChar:
			return -1
		}
		return r
	}, s)
	return cut(s, shownRunesMax)
}

func cut(s string, runesMax int) string {
	if len(s) <= runesMax {
		return s
	}
	n := 0
	for i := range s {
		if n == runesMax {
			return s[:i] + "…"
		}
		n++
	}
	return s
}

// short writes a duration as people do: 5s and not 5.000000000s, 1h30m and not 1h30m0s. It keeps three digits at most.
func short(d time.Duration) string {
	switch {
	case d < 0:
		return "-" + short(-d)
	case d >= 48*time.Hour:
		return d.Round(time.Hour).String()[:len(d.Round(time.Hour).String())-len("0m0s")]
	case d >= time.Minute:
		d = d.Round(time.Second)
	case d >= time.Second:
		d = d.Round(10 * time.Millisecond)
	case d >= time.Millisecond:
		d = d.Round(100 * time.Microsecond)
	default:
		d = d.Round(time.Microsecond)
	}
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
