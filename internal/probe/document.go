package probe

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/textproto"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"
)

// step is one part of a path into JSON: a name or an index.
type step struct {
	name    string
	index   int
	isIndex bool
}

// readPath reads .name, ["name with spaces"] and [0], in any number, from the beginning of s, and returns how many bytes they
// are. A name ends at a point, a bracket, a space or an operator.
func readPath(s string) (steps []step, n int, err error) {
	for n < len(s) {
		switch rest := s[n:]; rest[0] {
		case '.':
			size := strings.IndexAny(rest[1:], ".[]() \t=!<>")
			if size < 0 {
				size = len(rest) - 1
			}
			if size == 0 {
				return nil, 0, errors.New("a point needs a name behind it, such as .status")
			}
			steps = append(steps, step{name: rest[1 : 1+size]})
			n += 1 + size
		case '[':
			st, size, err := readBracket(rest)
			if err != nil {
				return nil, 0, err
			}
			steps = append(steps, st)
			n += size
		default:
			return steps, n, nil
		}
	}
	return steps, n, nil
}

func readBracket(s string) (step, int, error) {
	if strings.HasPrefix(s, `["`) {
		quoted, err := strconv.QuotedPrefix(s[1:])
		if err != nil || !strings.HasPrefix(s[1+len(quoted):], "]") {
			return step{}, 0, errors.New(`a name in brackets is written ["name"]`)
		}
		name, err := strconv.Unquote(quoted)
		if err != nil {
			return step{}, 0, errors.New("a name in brackets cannot be read")
		}
		return step{name: name}, len(quoted) + 2, nil
	}
	inside, _, ok := strings.Cut(s[1:], "]")
	i, err := strconv.Atoi(inside)
	if !ok || err != nil || i < 0 || strconv.Itoa(i) != inside {
		return step{}, 0, fmt.Errorf("[%s] is no index, such as [0]", show(inside))
	}
	return step{index: i, isIndex: true}, len(inside) + 2, nil
}

// document is the body of an answer. Its JSON is read when a condition asks for it, once.
type document struct {
	raw  []byte
	cut  bool // there was more than we read
	once sync.Once
	root any
	bad  bool
}

// find returns what the path leads to. A body that is cut or no JSON has no parts; nothing panics.
func (d *document) find(steps []step) seen {
	if len(steps) == 0 {
		text := strings.ToValidUTF8(string(bytes.TrimSpace(d.raw)), "\uFFFD")
		s := seen{texts: []string{text}, length: utf8.RuneCountInString(text)}
		if n, ok := d.children(); ok {
			s.length = n
		}
		return s
	}
	if d.cut {
		return seen{missing: "longer than 1 MiB"}
	}
	d.read()
	if d.bad {
		return seen{missing: "not JSON"}
	}
	at := d.root
	for _, st := range steps {
		next, ok := st.into(at)
		if !ok {
			return seen{missing: "not there"}
		}
		at = next
	}
	return describe(at)
}

func (d *document) read() {
	d.once.Do(func() {
		decoder := json.NewDecoder(bytes.NewReader(d.raw))
		decoder.UseNumber() // an identifier must not lose its last digits
		d.bad = decoder.Decode(&d.root) != nil
	})
}

// children counts what the body has when it is a JSON array or object, for len([BODY]).
func (d *document) children() (int, bool) {
	if d.cut || len(d.raw) == 0 || bytes.IndexByte([]byte("{[ \t\r\n"), d.raw[0]) < 0 {
		return 0, false
	}
	d.read()
	switch v := d.root.(type) {
	case []any:
		return len(v), true
	case map[string]any:
		return len(v), true
	}
	return 0, false
}

func (st step) into(at any) (any, bool) {
	switch v := at.(type) {
	case map[string]any:
		next, ok := v[st.name]
		return next, ok && !st.isIndex
	case []any:
		if st.isIndex && st.index < len(v) {
			return v[st.index], true
		}
	}
	return nil, false
}

// describe makes a text of a part of JSON: a string is itself, everything else is its JSON.
func describe(v any) seen {
	switch v := v.(type) {
	case string:
		return seen{texts: []string{v}, length: utf8.RuneCountInString(v)}
	case json.Number:
		return seen{texts: []string{v.String()}, length: len(v)}
	}
	length := 0
	switch v := v.(type) {
	case []any:
		length = len(v)
	case map[string]any:
		length = len(v)
	}
	text, err := json.Marshal(v)
	if err != nil {
		return seen{missing: "cannot be shown"}
	}
	return seen{texts: []string{string(text)}, length: length}
}

func canonicalHeader(name string) string { return textproto.CanonicalMIMEHeaderKey(name) }
