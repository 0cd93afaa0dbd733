package probe

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"
	"strconv"
	"strings"
	"time"
)

// wantKind is a way to say what is expected.
type wantKind int

const (
	literal    wantKind = iota // one value
	anyOf                      // any(a, b)
	pattern                    // pat(*word*)
	expression                 // regex(^v1)
)

// want is the right side of a condition.
type want struct {
	kind   wantKind
	values []value // one, or those of any(...)
	text   string  // of pat(...) and regex(...)
	regex  *regexp.Regexp
}

// value is one literal.
type value struct {
	text       string // without quotes
	quoted     bool   // a text, whatever it looks like
	isNumber   bool
	number     float64
	isDuration bool
	duration   time.Duration
}

func parseWant(s string) (want, error) {
	if s == "" {
		return want{}, errors.New("the value is missing")
	}
	if name, inside, ok := call(s); ok {
		switch name {
		case "pat":
			if inside == "" {
				return want{}, errors.New("pat() is empty; write pat(*word*)")
			}
			return want{kind: pattern, text: inside}, nil
		case "regex":
			r, err := regexp.Compile(inside)
			if err != nil {
				return want{}, fmt.Errorf("regex(...) is no regular expression of RE2: %s", regexFault(err))
			}
			return want{kind: expression, text: inside, regex: r}, nil
		case "any":
			values, err := parseAny(inside)
			return want{kind: anyOf, values: values}, err
		default:
			return want{}, fmt.Errorf("%s(...) is unknown; there are pat(...), regex(...) and any(...), and a text with brackets needs quotes", show(name))
		}
	}
	v, rest, err := parseValue(s, "")
	if err != nil {
		return want{}, err
	}
	if rest != "" {
		return want{}, fmt.Errorf("after the value stands %q", show(rest))
	}
	return want{values: []value{v}}, nil
}

func regexFault(err error) string {
	if e, ok := errors.AsType[*syntax.Error](err); ok {
		return e.Code.String()
	}
	return "it cannot be read"
}

// call takes name(inside) apart.
func call(s string) (name, inside string, ok bool) {
	name, inside, ok = strings.Cut(s, "(")
	if !ok || !strings.HasSuffix(inside, ")") || name == "" {
		return "", "", false
	}
	for _, r := range name {
		if r < 'a' || r > 'z' {
			return "", "", false
		}
	}
	return name, inside[:len(inside)-1], true
}

func parseAny(s string) ([]value, error) {
	var all []value
	for rest := s; ; {
		v, after, err := parseValue(strings.TrimSpace(rest), ",")
		if err != nil {
			return nil, fmt.Errorf("any(...): %w", err)
		}
		if all = append(all, v); len(all) > anyMax {
			return nil, fmt.Errorf("any(...) has more than %d values", anyMax)
		}
		if after == "" {
			return all, nil
		}
		rest = after[1:] // the comma
	}
}

// parseValue reads a literal up to its end, or up to one of the bytes of stop, and returns what is left.
func parseValue(s, stop string) (value, string, error) {
	if strings.HasPrefix(s, `"`) {
		quoted, err := strconv.QuotedPrefix(s)
		if err != nil {
			return value{}, "", errors.New("a quote is not closed, or an escape in it is unknown")
		}
		text, err := strconv.Unquote(quoted)
		if err != nil {
			return value{}, "", errors.New("a quoted text cannot be read")
		}
		rest := strings.TrimSpace(s[len(quoted):])
		if rest != "" && (stop == "" || !strings.HasPrefix(rest, stop)) {
			return value{}, "", fmt.Errorf("after the closing quote stands %q", show(rest))
		}
		return value{text: text, quoted: true}, rest, nil
	}
	text, rest := s, ""
	if stop != "" {
		if i := strings.IndexAny(s, stop); i >= 0 {
			text, rest = s[:i], s[i:]
		}
	}
	text = strings.TrimSpace(text)
	if text == "" {
		return value{}, "", errors.New(`a value is missing; the empty text is ""`)
	}
	return bare(text), rest, nil
}

// bare reads a literal without quotes.
func bare(text string) value {
	v := value{text: text}
	if v.number, v.isNumber = number(text); !v.isNumber {
		d, err := time.ParseDuration(text)
		v.duration, v.isDuration = d, err == nil
	} else if v.number == 0 {
		v.isDuration = true // zero needs no unit
	}
	return v
}

// number reads what people and JSON take for a number: neither hexadecimal nor infinite, nor with underscores.
func number(s string) (float64, bool) {
	if s == "" || strings.Trim(s, "0123456789+-.eE") != "" || strings.IndexAny(s, "0123456789") < 0 {
		return 0, false
	}
	f, err := strconv.ParseFloat(s, 64)
	return f, err == nil
}

func (w want) call() string {
	switch w.kind {
	case pattern:
		return "pat(...)"
	case expression:
		return "regex(...)"
	}
	return "a value"
}

func (w want) String() string {
	switch w.kind {
	case pattern:
		return "pat(" + w.text + ")"
	case expression:
		return "regex(" + w.text + ")"
	case anyOf:
		texts := make([]string, len(w.values))
		for i, v := range w.values {
			texts[i] = v.String()
		}
		return "any(" + strings.Join(texts, ", ") + ")"
	}
	return w.values[0].String()
}

func (v value) String() string {
	if v.quoted {
		return strconv.Quote(v.text)
	}
	return v.text
}

// equal reports whether one of what was seen is what is expected.
func (w want) equal(s seen) bool {
	for _, text := range s.texts {
		switch w.kind {
		case pattern:
			if glob(w.text, text) {
				return true
			}
		case expression:
			if w.regex.MatchString(text) {
				return true
			}
		default:
			for _, v := range w.values {
				if v.equal(seen{texts: []string{text}, measure: s.measure, d: s.d}) {
					return true
				}
			}
		}
	}
	return false
}

func (v value) equal(s seen) bool {
	if s.texts[0] == v.text {
		return true
	}
	if v.quoted {
		return false
	}
	order, comparable := v.order(s)
	return comparable && order == 0
}

// order compares what was seen with the value, as numbers or as durations. Whole numbers are compared exactly, because
// identifiers have more digits than a float64 keeps apart.
func (v value) order(s seen) (order int, comparable bool) {
	text := s.texts[0]
	if s.measure {
		return cmp.Compare(s.d, v.duration), v.isDuration
	}
	if v.isNumber {
		a, err1 := strconv.ParseInt(text, 10, 64)
		b, err2 := strconv.ParseInt(v.text, 10, 64)
		if err1 == nil && err2 == nil {
			return cmp.Compare(a, b), true
		}
		f, ok := number(text)
		return cmp.Compare(f, v.number), ok
	}
	if v.isDuration {
		d, err := time.ParseDuration(text)
		return cmp.Compare(d, v.duration), err == nil
	}
	return 0, false
}

// glob matches a text against a pattern in which a star is any text and a question mark any letter. It takes time in the
// product of the lengths at worst, never more: the last star alone is tried again.
func glob(pattern, text string) bool {
	p, t := []rune(pattern), []rune(text)
	i, j, star, mark := 0, 0, -1, 0
	for j < len(t) {
		switch {
		case i < len(p) && p[i] == '*': // before the letter: a star in the text is no reason to take ours for a letter
			star, mark = i, j
			i++
		case i < len(p) && (p[i] == t[j] || p[i] == '?'):
			i++
			j++
		case star >= 0:
			mark++
			i, j = star+1, mark
		default:
			return false
		}
	}
	for i < len(p) && p[i] == '*' {
		i++
	}
	return i == len(p)
}
