package config

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// node is one value of the file, in the shape that its key asks for.
type node struct {
	key  key
	path string // sources[0].api_key
	line int    // of its key; of the mapping it should be in, when it is not there

	text   string           // of a single value, as written
	fields map[string]*node // of a mapping
	items  []*node          // of a list; of a table its values, in the order of the file
	name   string           // of a table's value: its key

	absent bool // not in the file; text is the fallback
	bad    bool // a problem was told: nothing more is to be said of it
}

// reader gives the file the shape of the language, and collects what does not fit.
type reader struct {
	file     string
	sample   string // says where a file to start from is
	language language
	problems Problems
}

func (r *reader) complain(path string, line int, format string, args ...any) {
	r.problems = append(r.problems, Problem{Path: path, File: r.file, Line: line, Sentence: fmt.Sprintf(format, args...)})
}

// refuse complains of a node, once.
func (r *reader) refuse(n *node, format string, args ...any) *node {
	if !n.bad {
		r.complain(n.path, n.line, format, args...)
	}
	n.bad = true
	return n
}

// document reads the whole file. It returns nil when no part of it can be understood.
func (r *reader) document(data []byte) *node {
	if !r.isText(data) {
		return nil
	}
	docs, ok := r.parse(strings.TrimPrefix(string(data), "\uFEFF"))
	if !ok {
		return nil
	}
	var bodies []ast.Node
	for _, d := range docs {
		if d != nil && d.Body != nil {
			bodies = append(bodies, d.Body)
		}
	}
	switch len(bodies) {
	case 0:
		r.complain("", 0, "is empty; %s", r.sample)
		return nil
	case 1:
		return r.read(bodies[0], &node{key: r.language[""], line: 1})
	}
	r.complain("", line(bodies[1]), "holds several documents, divided by ---; one is expected")
	return nil
}

func (r *reader) isText(data []byte) bool {
	if len(data) > fileBytesMax {
		r.complain("", 0, "is larger than %d bytes and can hardly be a configuration", fileBytesMax)
		return false
	}
	good := 0
	for rest := data; len(rest) > 0; {
		c, size := utf8.DecodeRune(rest)
		if c == 0 || c == utf8.RuneError && size == 1 {
			r.complain("", 1+strings.Count(string(data[:good]), "\n"), "is not text in UTF-8; save it as such")
			return false
		}
		good, rest = good+size, rest[size:]
	}
	return true
}

// parse gives the tree of the YAML. A panic of the library on a file that it does not foresee is a problem of the file,
// not of the program.
func (r *reader) parse(src string) (docs []*ast.DocumentNode, ok bool) {
	defer func() {
		if recover() != nil {
			r.complain("", 0, "cannot be read as YAML")
			docs, ok = nil, false
		}
	}()
	tokens := lexer.Tokenize(src)
	if at, deep := tooDeep(tokens); deep {
		r.complain("", at, "is nested more than %d levels deep", nestingMax)
		return nil, false
	}
	f, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
	var syntax *yaml.SyntaxError
	switch {
	case errors.As(err, &syntax):
		r.complain("", tokenLine(syntax.Token), "is not valid YAML: %s", syntaxHint(syntax.Message))
		return nil, false
	case err != nil:
		r.complain("", 0, "cannot be read as YAML")
		return nil, false
	}
	return f.Docs, true
}

// tooDeep looks at the brackets before the parser does: it takes quadratic time for what is nested (65,536 brackets:
// 25 s), and indentation cannot be as deep.
func tooDeep(tokens token.Tokens) (line int, deep bool) {
	depth := 0
	for _, t := range tokens {
		switch t.Type {
		case token.SequenceStartType, token.MappingStartType:
			depth++
		case token.SequenceEndType, token.MappingEndType:
			depth--
		}
		if depth > nestingMax {
			return tokenLine(t), true
		}
	}
	return 0, false
}

// plainMessage knows the parser's messages that are fixed sentences. The others quote the file, where a secret may be.
var plainMessage = regexp.MustCompile(`^([A-Za-z ,.-]|'[\[\]{}:,]')+$`)

func syntaxHint(message string) string {
	if len(message) > 100 || !plainMessage.MatchString(message) {
		message = "it cannot be understood from here on"
	}
	return message + "; look at indentation, colons, brackets and quotation marks here and just above"
}

// read gives n the content of y. n has key, path and line already.
func (r *reader) read(y ast.Node, n *node) *node {
	switch y.(type) {
	case *ast.AnchorNode, *ast.AliasNode, *ast.TagNode:
		return r.refuse(n, "uses an anchor, an alias or a tag of YAML, which are not read here; write the value itself")
	}
	switch n.key.kind {
	case section:
		return r.readSection(y, n)
	case table:
		return r.readTable(y, n)
	case texts, secretRefs, sections:
		return r.readList(y, n)
	}
	return r.readSingle(y, n)
}

func (r *reader) readSection(y ast.Node, n *node) *node {
	n.fields = map[string]*node{}
	pairs, ok := mapping(y)
	if !ok {
		return r.refuse(n, "%s; expected is a mapping, with the keys %s", shape(y), strings.Join(r.language.namesBelow(n.key), ", "))
	}
	for _, kv := range r.keyed(pairs, n) {
		k, known := r.language.below(n.key, kv.name)
		if !known {
			r.unknown(n, kv)
			continue
		}
		n.fields[kv.name] = r.read(kv.value, &node{key: k, path: join(n.path, kv.name), line: kv.line})
	}
	return n
}

// unknown tells of a key that the language does not have, and what may have been meant.
func (r *reader) unknown(n *node, kv pair) {
	path, hint := n.path, ""
	if isPresentable(kv.name) {
		path = join(n.path, kv.name)
	}
	if near, ok := nearest(kv.name, r.language.namesBelow(n.key)); ok {
		hint = "; did you mean " + near + "?"
	} else if paths := r.language.elsewhere(kv.name); len(paths) > 0 {
		hint = "; it belongs to " + strings.Join(paths, " or ")
	}
	if path == n.path {
		r.complain(path, kv.line, "has a key that is not known here%s", hint)
		return
	}
	r.complain(path, kv.line, "is not a known key here%s", hint)
}

func (r *reader) readTable(y ast.Node, n *node) *node {
	pairs, ok := mapping(y)
	if !ok {
		return r.refuse(n, "%s; expected is a mapping, for example %s", shape(y), n.key.example)
	}
	for _, kv := range r.keyed(pairs, n) {
		path := n.path
		if isPresentable(kv.name) {
			path = join(n.path, kv.name)
		}
		value := r.read(kv.value, &node{key: key{path: n.key.path + ".*", kind: text}, path: path, line: kv.line})
		value.name = kv.name
		n.items = append(n.items, value)
	}
	return n
}

func (r *reader) readList(y ast.Node, n *node) *node {
	var values []ast.Node
	switch y := y.(type) {
	case nil, *ast.NullNode:
	case *ast.SequenceNode:
		values = y.Values
	default:
		return r.refuse(n, "%s; expected is a list", shape(y))
	}
	k := key{path: n.key.path + "[]", kind: n.key.kind.item()}
	for i, v := range values {
		at := n.line
		if v != nil && line(v) > 0 {
			at = line(v)
		}
		n.items = append(n.items, r.read(v, &node{key: k, path: fmt.Sprintf("%s[%d]", n.path, i), line: at}))
	}
	return n
}

var decimal = regexp.MustCompile(`^-?(0|[1-9][0-9]*)$`)

func (r *reader) readSingle(y ast.Node, n *node) *node {
	if _, isNull := y.(*ast.NullNode); (y == nil || isNull) && n.key.kind != secretRef {
		return r.refuse(n, "has no value; write one, or leave the key out")
	}
	switch y := y.(type) {
	case nil, *ast.NullNode: // of a secret: what is empty is told by secret.Inspect
	case *ast.StringNode:
		n.text = y.Value
		if n.key.kind == number || n.key.kind == flag {
			return r.refuse(n, "is text; expected is %s, without quotation marks", n.key.kind.noun())
		}
	case *ast.LiteralNode:
		if y.Value != nil {
			n.text = y.Value.Value
		}
		if n.key.kind == number || n.key.kind == flag {
			return r.refuse(n, "is text; expected is %s", n.key.kind.noun())
		}
	case *ast.IntegerNode:
		n.text = y.Token.Value
		if n.key.kind == span && n.text != "0" {
			return r.refuse(n, "is a number without a unit; expected is %s", n.key.kind.noun())
		}
		if n.key.kind != number && n.key.kind != span {
			return r.refuse(n, "is a number; expected is %s, in quotation marks if it has digits only", n.key.kind.noun())
		}
		if _, err := strconv.Atoi(n.text); n.key.kind == number && (!decimal.MatchString(n.text) || err != nil) {
			return r.refuse(n, "is not a whole number in plain decimal digits")
		}
	case *ast.BoolNode:
		n.text = strings.ToLower(y.Token.Value)
		if n.key.kind != flag {
			return r.refuse(n, "is true or false; expected is %s", n.key.kind.noun())
		}
	default:
		joined, ok := rejoined(y)
		if n.text = joined; !ok {
			return r.refuse(n, "%s; expected is %s", shape(y), n.key.kind.noun())
		}
	}
	return n
}

// rejoined undoes what the parser does to env:NAME in a list in braces, {webhook_secrets: [env:NAME]}: it takes the colon
// for that of a mapping, which YAML does only when a blank follows or the key is quoted. Only in a list can y have this
// shape.
func rejoined(y ast.Node) (string, bool) {
	pairs, _ := mapping(y)
	if m, ok := y.(*ast.MappingNode); len(pairs) != 1 || ok && m.IsFlowStyle { // with braces of its own it is meant
		return "", false
	}
	key, isText := pairs[0].Key.(*ast.StringNode)
	value, isSingle := pairs[0].Value.(ast.ScalarNode)
	if !isText || !isSingle {
		return "", false
	}
	colon, last := pairs[0].Start, value.GetToken()
	if !follows(key.Token, colon) || !follows(colon, last) { // a quoted key is longer than its value
		return "", false
	}
	return key.Value + ":" + last.Value, true
}

// follows reports whether b begins where a ends.
func follows(a, b *token.Token) bool {
	return tokenLine(a) > 0 && tokenLine(a) == tokenLine(b) && a.Position.Column+utf8.RuneCountInString(a.Value) == b.Position.Column
}

// noun says what is expected, for sentences.
func (k kind) noun() string {
	switch k {
	case number:
		return "a whole number"
	case flag:
		return "true or false"
	case span:
		return "a duration with a unit, such as 250ms, 10s, 5m or 1h"
	case secretRef:
		return "a reference, env:NAME or file:/path"
	}
	return "text"
}

// shape says what y is, for sentences.
func shape(y ast.Node) string {
	switch y.(type) {
	case nil, *ast.NullNode:
		return "has no value"
	case *ast.MappingNode, *ast.MappingValueNode:
		return "is a mapping"
	case *ast.SequenceNode:
		return "is a list"
	case *ast.StringNode, *ast.LiteralNode:
		return "is text"
	case *ast.IntegerNode, *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		return "is a number"
	case *ast.BoolNode:
		return "is true or false"
	}
	return "is something else"
}

// pair is one key of a mapping with its value.
type pair struct {
	name  string
	line  int
	value ast.Node
}

// mapping returns the pairs of y; of nothing, none.
func mapping(y ast.Node) ([]*ast.MappingValueNode, bool) {
	switch y := y.(type) {
	case nil, *ast.NullNode:
		return nil, true
	case *ast.MappingNode:
		return y.Values, true
	case *ast.MappingValueNode:
		return []*ast.MappingValueNode{y}, true
	}
	return nil, false
}

// keyed takes the pairs whose keys are simple and new, and complains of the others.
func (r *reader) keyed(values []*ast.MappingValueNode, n *node) []pair {
	var pairs []pair
	first := map[string]int{}
	for _, v := range values {
		name, at, ok := simpleKey(v.Key)
		switch before, twice := first[name]; {
		case !ok:
			r.complain(n.path, max(at, n.line), "has a key that is not a plain word; merge keys, anchors and tags are not read here")
		case twice:
			path, what := n.path, "a key of it"
			if isPresentable(name) {
				path, what = join(n.path, name), "it"
			}
			r.complain(path, at, "is written twice: %s is on line %d already, and only one can be meant", what, before)
		default:
			first[name] = at
			pairs = append(pairs, pair{name, at, v.Value})
		}
	}
	return pairs
}

func simpleKey(k ast.MapKeyNode) (name string, at int, ok bool) {
	if k == nil {
		return "", 0, false
	}
	switch k := k.(type) {
	case *ast.StringNode:
		return k.Value, line(k), true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.NullNode:
		if t := k.GetToken(); t != nil {
			return t.Value, line(k), true
		}
	}
	return "", line(k), false
}

// line returns the line of y, or 0.
func line(y ast.Node) int {
	if y == nil {
		return 0
	}
	return tokenLine(y.GetToken())
}

func tokenLine(t *token.Token) int {
	if t == nil || t.Position == nil {
		return 0
	}
	return t.Position.Line
}
