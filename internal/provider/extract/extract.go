// Package extract reads the few fields that matter out of what a provider sent, tolerantly: whatever is missing, of
// another type, too long or not printable is the empty value, and never an error or a panic. A body of ten years ago and
// one of next year are read by the same functions.
package extract

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/tidwall/gjson"

	"github.com/makegood/makegood"
)

const (
	// identifierBytesMax caps every id and type. Stripe documents at most 255 characters for the id of an object.
	identifierBytesMax = 255
	// emailBytesMax is the longest address that can be delivered to (RFC 5321, 4.5.3.1.3, less the angle brackets).
	emailBytesMax = 254
	// textBytesMax caps names and labels, which are for people only.
	textBytesMax = 250
	// nestingMax caps how deep JSON may be nested before it is not read. Providers' bodies reach about 10; a body of a
	// million brackets would grow the stack of a recursive reader to hundreds of megabytes.
	nestingMax = 128
)

// Object reads a JSON object that is valid and not nested beyond reason.
func Object(body []byte) (gjson.Result, bool) {
	if !IsReadable(body) {
		return gjson.Result{}, false
	}
	root := gjson.ParseBytes(body)
	return root, root.IsObject()
}

// IsReadable reports whether body is valid JSON of any type that is not nested beyond reason.
func IsReadable(body []byte) bool { return !isNestedBeyond(body, nestingMax) && gjson.ValidBytes(body) }

// isNestedBeyond counts brackets outside of strings, before anything recursive looks at them.
func isNestedBeyond(body []byte, limit int) bool {
	depth, inString := 0, false
	for i := 0; i < len(body); i++ {
		switch c := body[i]; {
		case inString && c == '\\':
			i++
		case c == '"':
			inString = !inString
		case inString:
		case c == '{' || c == '[':
			if depth++; depth > limit {
				return true
			}
		case c == '}' || c == ']':
			depth--
		}
	}
	return false
}

// Identifier returns a string of 1 to 255 printable ASCII bytes without blanks, or "" for everything else. Whatever it
// returns can be stored, logged and put into a URL path after escaping.
func Identifier(r gjson.Result) string {
	if r.Type != gjson.String || len(r.Str) > identifierBytesMax || !IsPlain(r.Str) {
		return ""
	}
	return strings.Clone(r.Str) // so that an id does not keep a whole body in memory
}

// IdentifierOrNumber is Identifier, and takes a whole number in plain digits as well: some providers number their objects.
func IdentifierOrNumber(r gjson.Result) string {
	if n, ok := Whole(r); ok {
		return strconv.FormatInt(n, 10)
	}
	return Identifier(r)
}

// ID returns the id of something that is given as its id or, when expanded, as an object.
func ID(r gjson.Result) string {
	if r.IsObject() {
		r = r.Get("id")
	}
	return Identifier(r)
}

// IsPlain reports whether s is printable ASCII without blanks.
func IsPlain(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// Moment reads Unix seconds or RFC 3339, as UTC. What it cannot read is the zero time.
func Moment(r gjson.Result) time.Time {
	if r.Type == gjson.String {
		t, err := time.Parse(time.RFC3339, r.Str)
		if err != nil || t.Year() < 1970 {
			return time.Time{}
		}
		return t.UTC().Truncate(time.Microsecond)
	}
	const year9999 = 253402300799
	seconds, ok := Whole(r)
	if !ok || seconds > year9999 {
		return time.Time{}
	}
	return time.Unix(seconds, 0).UTC()
}

// Hashed names a body that has no name of its own.
func Hashed(b []byte) string {
	sum := sha256.Sum256(b)
	return "sha256:" + hex.EncodeToString(sum[:16])
}

// Whole reads a JSON number that is a whole one from 0 to the largest int64. Amounts are never read through a float.
func Whole(r gjson.Result) (int64, bool) {
	return WholeText(r.Raw) // of anything but a number it has quotes, brackets or letters
}

// WholeText reads decimal digits without a sign.
func WholeText(s string) (int64, bool) {
	if s == "" || s[0] == '+' || s[0] == '-' {
		return 0, false
	}
	n, err := strconv.ParseInt(s, 10, 64)
	return n, err == nil
}

// Currency reads three letters as lower case.
func Currency(r gjson.Result) (string, bool) {
	s := strings.ToLower(Identifier(r))
	if len(s) != 3 || strings.Trim(s, "abcdefghijklmnopqrstuvwxyz") != "" {
		return "", false
	}
	return s, true
}

// Decimal reads an amount that is written with a point, such as "29.00" or 29.5, without ever going through a float.
// Fewer digits after the point than the currency has are filled up; more are accepted when they are zeros.
func Decimal(amount, currency gjson.Result) (makegood.Money, bool) {
	code, ok := Currency(currency)
	text := amount.Raw
	if amount.Type == gjson.String {
		text = amount.Str
	}
	if !ok || amount.Type != gjson.String && amount.Type != gjson.Number || len(text) > 32 {
		return makegood.Money{}, false
	}
	whole, fraction, hasPoint := strings.Cut(text, ".")
	if hasPoint && fraction == "" || strings.Trim(whole, "0123456789") != "" || strings.Trim(fraction, "0123456789") != "" {
		return makegood.Money{}, false
	}
	digits := makegood.CurrencyDigits(code)
	for len(fraction) < digits {
		fraction += "0"
	}
	if strings.Trim(fraction[digits:], "0") != "" {
		return makegood.Money{}, false
	}
	minor, ok := WholeText(whole + fraction[:digits])
	return makegood.Money{Minor: minor, Currency: code}, ok && whole != ""
}

// Address reads an e-mail address. One that could not be written to, or that would break a mail's header, is none: then
// the goods are shown on the page only.
func Address(r gjson.Result) string {
	if r.Type != gjson.String {
		return ""
	}
	s := strings.TrimSpace(r.Str)
	at := strings.LastIndexByte(s, '@')
	if at < 1 || at == len(s)-1 || len(s) > emailBytesMax || !utf8.ValidString(s) || strings.ContainsFunc(s, isBlankOrControl) {
		return ""
	}
	return strings.Clone(s)
}

func isBlankOrControl(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }

// Text reads text for people: valid UTF-8 on one line, cut to 250 bytes.
func Text(r gjson.Result) string {
	if r.Type != gjson.String {
		return ""
	}
	s := strings.ToValidUTF8(r.Str, "�")
	s = strings.Join(strings.FieldsFunc(s, isBlankOrControl), " ")
	if len(s) > textBytesMax {
		s = strings.ToValidUTF8(s[:textBytesMax], "")
	}
	return strings.Clone(s)
}
