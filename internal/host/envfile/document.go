package envfile

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/makegood/makegood"
)

// A document is the text of an env file, cut into entries. Joined, they are the file byte for byte.
//
// Three readers matter: systemd (EnvironmentFile), docker compose (env_file) and sh (the dot command). They agree on most
// lines and not on all: an unquoted # begins a comment for two of them, a backslash at the end of a line joins two lines for
// two others. We read as most of them do, note where they do not agree, and write only what all of them read alike:
//
//	systemd  src/basic/env-file.c, parse_env_file_internal
//	compose  compose-go, dotenv/parser.go
//	sh       POSIX, 2.2 Quoting
type document []entry

// entry is an assignment, which may span lines, or one line that is something else.
type entry struct {
	text     string // with its line ending, when it has one
	name     string // of the variable; "" for what is no assignment
	exported bool
	value    string
	plain    bool // every reader reads this value
	alone    bool // every reader ends it here and begins it here
}

const (
	blanks = " \t"
	// fileBytesMax bounds a file. What a program gets as its environment is a few kB.
	fileBytesMax = 1 << 20
)

var (
	assignment = regexp.MustCompile(`^[ \t]*(export[ \t]+)?([A-Za-z_][A-Za-z0-9_]*)[ \t]*=[ \t]*`)
	nameText   = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
	// bareText is what needs no quotes for any reader.
	bareText = regexp.MustCompile(`^[A-Za-z0-9_@%+:,./=-]+$`)
	comment  = regexp.MustCompile(`^[ \t]*[#;]`)
)

// parse cuts a text into entries. It refuses what no two readers read alike: a quotation mark that is never closed, and one
// behind a backslash. Its errors name the line and never what stands there.
func parse(text string) (document, error) {
	if len(text) > fileBytesMax {
		return nil, makegood.Errorf(makegood.Invalid, "The file is larger than %d bytes; it is no file of variables.", fileBytesMax)
	}
	var d document
	joined := false // the line before ended in a backslash
	for rest, line := text, 1; rest != ""; {
		e, ok := readEntry(rest)
		if !ok {
			return nil, makegood.Errorf(makegood.Invalid, "Line %d of the file opens a quotation mark that is not closed, or that readers close at different places; correct it by hand.", line)
		}
		e.alone = e.alone && !joined
		joined = endsJoined(e.text)
		d = append(d, e)
		rest, line = rest[len(e.text):], line+strings.Count(e.text, "\n")
	}
	return d, nil
}

// readEntry reads the first entry of a text that is not empty.
func readEntry(text string) (e entry, ok bool) {
	line := text
	if i := strings.IndexByte(text, '\n'); i >= 0 {
		line = text[:i+1]
	}
	m := assignment.FindStringSubmatch(line)
	if m == nil {
		return entry{text: line}, true
	}
	r := reader{text: text, at: len(m[0]), plain: true}
	if !r.read() {
		return entry{}, false
	}
	e = entry{text: text[:r.at], name: m[2], exported: m[1] != "", value: r.value(), plain: r.plain, alone: !r.joins}
	content, _ := cutEnding(e.text)
	if strings.Contains(content, "\r") { // the end of a line for systemd only
		e.plain, e.alone = false, false
	}
	return e, true
}

// reader reads the value of an assignment.
type reader struct {
	text  string
	at    int
	plain bool // so far, every reader reads this
	joins bool // a backslash has joined lines

	quoted strings.Builder // what stood in quotation marks, which keeps its blanks
	bare   strings.Builder
	parts  int
}

func (r *reader) value() string {
	return r.quoted.String() + strings.TrimRight(r.bare.String(), blanks+"\r")
}

// read goes to the end of the line that the value ends on. It reports false when a quotation mark is not closed, or not at
// the same place for everybody.
func (r *reader) read() bool {
	for r.at < len(r.text) {
		switch c := r.text[r.at]; c {
		case '\n':
			r.at++
			return true
		case '\'', '"':
			r.plain = r.plain && r.parts == 0
			r.parts++
			if !r.readQuoted(c) {
				return false
			}
		case ' ', '\t', '\r':
			r.at++
		case '#':
			if r.parts > 0 { // behind a quoted value, a comment for all but systemd
				r.plain = false
				r.skipLine()
				return true
			}
			fallthrough
		default:
			r.plain = r.plain && r.parts == 0
			r.readBare()
			r.plain = r.plain && bareText.MatchString(r.value())
			return true
		}
	}
	return true
}

// readQuoted reads one quoted piece.
func (r *reader) readQuoted(mark byte) bool {
	for r.at++; r.at < len(r.text); r.at++ {
		switch c := r.text[r.at]; {
		case c == mark:
			r.at++
			return true
		case c == '\\' && mark == '\'':
			if strings.HasPrefix(r.text[r.at+1:], "'") {
				return false // compose goes on, the others end here
			}
			r.quoted.WriteByte(c)
		case c == '\\':
			r.readEscape()
		default:
			if c == '\n' || c == '\r' || mark == '"' && (c == '$' || c == '`') {
				r.plain = false
			}
			r.quoted.WriteByte(c)
		}
	}
	return false
}

// readEscape reads a backslash in double quotation marks, as sh and systemd do; compose knows others.
func (r *reader) readEscape() {
	next := byte(0)
	if r.at+1 < len(r.text) {
		next = r.text[r.at+1]
	}
	switch next {
	case '"', '\\', '$', '`':
		r.plain = r.plain && next != '`'
		r.quoted.WriteByte(next)
		r.at++
	case '\n':
		r.plain = false
		r.at++
	default:
		r.plain = false
		r.quoted.WriteByte('\\')
	}
}

// readBare reads what has no quotation marks around it, to the end of the line. For sh it would be several words; the other
// two take it as one.
func (r *reader) readBare() {
	for ; r.at < len(r.text); r.at++ {
		c := r.text[r.at]
		switch {
		case c == '\n':
			r.at++
			return
		case c == '#' && strings.HasSuffix(strings.TrimRight(r.bare.String(), "\r"), " "), c == '#' && r.bare.Len() == 0:
			r.plain = false
			r.skipLine()
			return
		case c == '\\' && strings.HasPrefix(strings.TrimPrefix(r.text[r.at+1:], "\r"), "\n"):
			r.plain, r.joins = false, true
			r.at += strings.IndexByte(r.text[r.at:], '\n')
		case c == '\\':
			r.plain = false
			if r.at++; r.at < len(r.text) {
				r.bare.WriteByte(r.text[r.at])
			}
		default:
			r.bare.WriteByte(c)
		}
	}
}

func (r *reader) skipLine() {
	end := strings.IndexByte(r.text[r.at:], '\n')
	if end < 0 {
		r.at = len(r.text)
		return
	}
	r.at += end + 1
}

// endsJoined reports whether the last line ends in a backslash, which takes the next line along for some readers: an old
// systemd does so even in a comment.
func endsJoined(text string) bool {
	content, _ := cutEnding(text)
	return strings.HasSuffix(content, `\`)
}

// cutEnding parts a text from the ending of its last line.
func cutEnding(text string) (content, ending string) {
	for _, ending := range []string{"\r\n", "\n"} {
		if strings.HasSuffix(text, ending) {
			return strings.TrimSuffix(text, ending), ending
		}
	}
	return text, ""
}

// String is the file.
func (d document) String() string {
	var b strings.Builder
	for _, e := range d {
		b.WriteString(e.text)
	}
	return b.String()
}

// last finds the assignment that counts: the last of a name. It is -1 when there is none.
func (d document) last(name string) int {
	for i, e := range slices.Backward(d) {
		if e.name == name {
			return i
		}
	}
	return -1
}

// names are the variables, sorted.
func (d document) names() []string {
	seen := map[string]bool{}
	for _, e := range d {
		if e.name != "" {
			seen[e.name] = true
		}
	}
	return slices.Sorted(maps.Keys(seen))
}

// set makes a value count for every reader. It changes the last assignment of the name, and appends one where there is none
// or where readers do not agree which is the last. An assignment that already says so to everybody stays as it is.
func (d *document) set(name, value string) error {
	written, err := quote(value)
	if err != nil {
		return err
	}
	i := d.last(name)
	if i < 0 || !(*d)[i].alone || d.isDoubted(name, i) {
		d.append(name, value, written)
		return nil
	}
	e := &(*d)[i]
	if e.plain && e.value == value {
		return nil
	}
	_, ending := cutEnding(e.text)
	e.text = e.text[:len(e.text)-len(strings.TrimLeft(e.text, blanks))] + export(e.exported) + name + "=" + written + ending
	e.value, e.plain = value, true
	return nil
}

// isDoubted reports whether something behind an assignment could be another one of the same name for some reader: a line that
// another one takes along, or NAME: value, which compose reads.
func (d document) isDoubted(name string, at int) bool {
	return slices.ContainsFunc(d[at+1:], func(e entry) bool {
		return (e.name != "" && !e.alone || e.name == "" && !comment.MatchString(e.text)) && strings.Contains(e.text, name)
	})
}

// append adds an assignment as the last line. A file whose last line has no ending keeps to that.
func (d *document) append(name, value, written string) {
	usual, all := d.ending(), *d
	if len(all) == 0 {
		*d = document{{text: name + "=" + written + usual, name: name, value: value, plain: true, alone: true}}
		return
	}
	last := &all[len(all)-1]
	joined := endsJoined(last.text)
	_, ending := cutEnding(last.text)
	if ending == "" {
		last.text += usual
	}
	if joined {
		all = append(all, entry{text: usual}) // for the backslash to take along
	}
	exported := d.exports()
	*d = append(all, entry{text: export(exported) + name + "=" + written + ending, name: name, exported: exported, value: value, plain: true, alone: true})
}

// ending is how lines of this file end.
func (d document) ending() string {
	for _, e := range d {
		if _, ending := cutEnding(e.text); ending != "" {
			return ending
		}
	}
	return "\n"
}

// exports reports whether every assignment of the file is exported.
func (d document) exports() bool {
	some := false
	for _, e := range d {
		if e.name != "" && !e.exported {
			return false
		}
		some = some || e.name != ""
	}
	return some
}

func export(yes bool) string {
	if yes {
		return "export "
	}
	return ""
}

// without is the document without any assignment of these names.
func (d document) without(names []string) document {
	return slices.DeleteFunc(slices.Clone(d), func(e entry) bool { return e.name != "" && slices.Contains(names, e.name) })
}

// quote writes a value so that every reader reads it back, or says why that cannot be.
func quote(value string) (string, error) {
	switch {
	case value == "":
		return "", unwritable("is empty")
	case strings.ContainsAny(value, "\x00\r\n"):
		return "", unwritable("has a line break or a zero byte in it")
	case !utf8.ValidString(value):
		return "", unwritable("is no text")
	case bareText.MatchString(value):
		return value, nil
	case !strings.Contains(value, "'") && !strings.HasSuffix(value, `\`):
		return "'" + value + "'", nil
	case strings.Contains(value, "`"), strings.HasSuffix(value, `\`), strings.HasPrefix(value, `"`), strings.HasSuffix(value, `"`):
		return "", unwritable("has quotation marks and backslashes in it that systemd, docker compose and sh do not read alike")
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, `$`, `\$`).Replace(value) + `"`, nil
}

func unwritable(why string) error {
	return makegood.Errorf(makegood.Invalid, "A value cannot be written to a file of variables: it %s.", why)
}

// wanted checks what is about to be written: that each name has its value for everybody.
func (d document) wanted(name, value string) error {
	i := d.last(name)
	if i < 0 || d[i].value != value || !d[i].plain || !d[i].alone {
		return fmt.Errorf("the file would not say what it should of %s", name)
	}
	return nil
}
