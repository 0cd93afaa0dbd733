// Package telemetry makes the logger and the metrics: what the house tells about itself, without telling on anybody.
package telemetry

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"regexp"
	"strings"
)

// redacted stands in the place of what may not be logged.
const redacted = "[redacted]"

// NewLogger makes a logger that writes to w as "json" or, for any other format, as text, from level upward (a nil level
// is slog.LevelInfo). Times are UTC.
//
// As a second line of defence it redacts attributes whose key looks like a secret's, and within texts whatever looks
// like an e-mail address, a licence key, a Stripe, webhook or Resend token, or a password in a URL or an assignment.
// The first line is not to log them: a secret is a secret.Value, and a person's address is not an attribute. What it
// looks for is what we know; it is no licence to log bodies.
func NewLogger(w io.Writer, format string, level slog.Leveler) *slog.Logger {
	if level == nil {
		level = slog.LevelInfo
	}
	options := &slog.HandlerOptions{Level: level, ReplaceAttr: guard}
	if format == "json" {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}

// guard sees every attribute, the message too, after its LogValue was taken and before it is written.
func guard(groups []string, a slog.Attr) slog.Attr {
	if len(groups) == 0 && a.Key == slog.TimeKey && a.Value.Kind() == slog.KindTime {
		return slog.Time(a.Key, a.Value.Time().UTC())
	}
	if len(groups) == 0 && (a.Key == slog.LevelKey || a.Key == slog.SourceKey) {
		return a
	}
	a.Key = Redact(a.Key)
	if kind := a.Value.Kind(); kind != slog.KindString && kind != slog.KindAny {
		return a // numbers, times and truths are no secrets
	}
	if looksSecret(a.Key) || anyLooksSecret(groups) {
		return slog.String(a.Key, redacted)
	}
	return guardText(a)
}

func guardText(a slog.Attr) slog.Attr {
	if a.Value.Kind() == slog.KindString {
		return slog.String(a.Key, Redact(a.Value.String()))
	}
	// Other values are printed by the handler in one of two ways; if either would show something, ours replaces it.
	for _, printed := range rendered(a.Value.Any()) {
		if clean := Redact(printed); clean != printed {
			return slog.String(a.Key, clean)
		}
	}
	return a
}

func rendered(v any) []string {
	switch v := v.(type) {
	case nil:
		return nil
	case error:
		return []string{v.Error()}
	case []byte:
		return []string{string(v)}
	}
	list := []string{fmt.Sprintf("%+v", v)}
	if b, err := json.Marshal(v); err == nil {
		list = append(list, string(b))
	}
	return list
}

// secretWords are parts of the names of things that are not logged, without case and marks.
var secretWords = []string{"secret", "password", "passwd", "passphrase", "token", "apikey", "authorization", "cookie",
	"credential", "privatekey", "licensekey", "licencekey", "signature", "bearer"}

var marks = strings.NewReplacer("_", "", "-", "", ".", "", " ", "")

func looksSecret(key string) bool {
	key = marks.Replace(strings.ToLower(key))
	for _, word := range secretWords {
		if strings.Contains(key, word) {
			return true
		}
	}
	return false
}

func anyLooksSecret(keys []string) bool {
	for _, key := range keys {
		if looksSecret(key) {
			return true
		}
	}
	return false
}

var (
	email = regexp.MustCompile(`[^\s@<>"'(),:;=\[\]{}/\\]+(@|%40)[^\s@<>"'(),:;=\[\]{}/\\?&]+\.[^\s@<>"'(),:;=\[\]{}/\\?&.]{2,}`)
	// token: a Resend key is re_, a part, another part; a Stripe refund is re_ and one part, and may be logged.
	token    = regexp.MustCompile(`\b(whsec_[A-Za-z0-9+/=_-]{6,}|[sr]k_(test|live)_[A-Za-z0-9]{6,}|re_[A-Za-z0-9]{4,16}_[A-Za-z0-9]{12,})`)
	userinfo = regexp.MustCompile(`://[^/\s@]+@`)
	// assignment is how secrets look in queries, in Go's %+v and in JSON. A colon before a blank is prose and stays.
	assignment = regexp.MustCompile(`(?i)((?:password|passwd|passphrase|secret|token|api_?key|authorization)\w*["']?[=:])("(?:[^"\\]|\\.)+"|[^\s"'\[,;&})][^\s,;&})]*)`)
	bearer     = regexp.MustCompile(`(?i)\b(bearer|basic) +[A-Za-z0-9._~+/=-]{8,}`)
	hyphenated = regexp.MustCompile(`[A-Za-z0-9]+(-[A-Za-z0-9]+){2,}`)
)

// Redact returns s with "[redacted]" in the place of everything that looks as if it may not be logged. It is idempotent.
func Redact(s string) string {
	if strings.ContainsRune(s, '@') || strings.Contains(s, "%40") {
		s = userinfo.ReplaceAllString(s, "://"+redacted+"@")
		s = email.ReplaceAllString(s, redacted)
	}
	if strings.ContainsRune(s, '_') {
		s = token.ReplaceAllString(s, redacted)
	}
	if strings.ContainsAny(s, "=:") {
		s = assignment.ReplaceAllString(s, "${1}"+redacted)
	}
	if strings.ContainsRune(s, ' ') {
		s = bearer.ReplaceAllString(s, "${1} "+redacted)
	}
	if strings.ContainsRune(s, '-') {
		s = hyphenated.ReplaceAllStringFunc(s, func(part string) string {
			if isLicenseKey(part) {
				return redacted
			}
			return part
		})
	}
	return s
}

// isLicenseKey knows PREFIX-XXXX-XXXX-XXXX in the alphabet of our keys (SPEC A3), with a prefix of any shape or none. In
// lower case, as people type them, there must be a digit, because three short words with hyphens are no key. A UUID is
// none either: it does not end in three groups of four.
func isLicenseKey(s string) bool {
	groups := strings.Split(s, "-")
	for _, group := range groups[len(groups)-3:] {
		if len(group) != 4 {
			return false
		}
	}
	key := strings.Join(groups[len(groups)-3:], "")
	upper := strings.ToUpper(key)
	if strings.Trim(upper, keyLetters+keyDigits) != "" || !strings.ContainsAny(upper, keyLetters) {
		return false
	}
	return key == upper || strings.ContainsAny(key, keyDigits)
}

// The alphabet of a licence key; keys of digits alone are so rare (once in 4 million) that card and phone numbers win.
const (
	keyLetters = "ABCDEFGHJKLMNPQRSTUVWXYZ"
	keyDigits  = "23456789"
)
