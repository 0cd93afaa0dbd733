package probe

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Condition is one sentence about what should be seen, such as "[STATUS] == 200". Make it with [Parse]; the zero Condition
// never holds.
type Condition struct {
	call  string // "", "len" or "has"
	name  string // of the placeholder
	path  string // what stands behind it, from its first point or bracket
	steps []step // the path, read
	op    string
	want  want
}

// Parse reads a condition: a placeholder, an operator, a value.
//
//	[STATUS] == 200                  [STATUS] == any(200, 204)         [STATUS] < 400
//	[BODY].status == healthy         [BODY].items[0].name != "a b"     [BODY] == pat(*welcome*)
//	len([BODY].items) > 0            has([BODY].errors) == false       [BODY].version == regex(^v[0-9]+$)
//	[RESPONSE_TIME] < 300ms          [CERTIFICATE_EXPIRATION] > 48h    [HEADER].Content-Type == pat(text/html*)
//	[CONNECTED] == true              [DNS_RCODE] == NOERROR            [DNS_ANSWER] == 192.0.2.1
//	[DISK_FREE] > 10                 [DISK_FREE_BYTES] > 5000000000    [AGE] < 25h
//
// Operators are == != < <= > >=. In pat(...) a star is anything, even nothing, and a question mark one letter; regex(...) is a
// regular expression of RE2 that may match anywhere. A text needs quotes only when it begins or ends with a space, looks like a
// call, or must not be taken for a number. has(...) and [CONNECTED] alone mean that they are true.
//
// What is not there, such as a field that the body has not, fails every condition but has(...), also one with !=: a page that
// lost its health must not pass for well. Of several answers of a name server, == holds when one of them is equal, != when
// none is.
//
// The error says what is wrong and what there is.
func Parse(text string) (Condition, error) {
	if len(text) > conditionBytesMax {
		return Condition{}, fmt.Errorf("the condition is longer than %d bytes", conditionBytesMax)
	}
	if i := strings.IndexFunc(text, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f || r == '\uFFFD' }); i >= 0 {
		return Condition{}, errors.New("the condition has a control character or is not UTF-8")
	}
	var c Condition
	rest, err := c.parseLeft(strings.TrimSpace(text))
	if err != nil {
		return Condition{}, err
	}
	p, _ := placeholderNamed(c.name)
	rest = strings.TrimSpace(rest)
	if rest == "" && c.sort(p) == ofTruth {
		rest = "== true"
	}
	if rest, err = c.parseOperator(rest); err != nil {
		return Condition{}, err
	}
	if c.want, err = parseWant(strings.TrimSpace(rest)); err != nil {
		return Condition{}, fmt.Errorf("%s %s: %w", c.left(), c.op, err)
	}
	if err := c.fits(c.sort(p)); err != nil {
		return Condition{}, err
	}
	return c, nil
}

// sort is with what the left side may be compared.
func (c Condition) sort(p placeholder) sort {
	switch c.call {
	case "len":
		return ofNumber
	case "has":
		return ofTruth
	}
	return p.sort
}

// parseLeft reads up to the operator and returns what comes after.
func (c *Condition) parseLeft(s string) (string, error) {
	for _, call := range []string{"len", "has"} {
		if rest, ok := strings.CutPrefix(s, call+"("); ok {
			c.call, s = call, strings.TrimSpace(rest)
		}
	}
	s, ok := strings.CutPrefix(s, "[")
	if !ok {
		return "", errors.New("a condition begins with a placeholder, such as [STATUS] == 200 or len([BODY].items) > 0")
	}
	name, s, ok := strings.Cut(s, "]")
	if !ok {
		return "", errors.New("the placeholder has no closing bracket")
	}
	p, ok := placeholderNamed(name)
	if !ok {
		return "", unknownPlaceholder(name)
	}
	c.name = name
	steps, n, err := readPath(s)
	if err != nil {
		return "", fmt.Errorf("[%s]: %w", name, err)
	}
	c.path, c.steps, s = s[:n], steps, s[n:]
	if err := c.checkPath(p); err != nil {
		return "", err
	}
	if c.call != "" {
		if s, ok = strings.CutPrefix(strings.TrimSpace(s), ")"); !ok {
			return "", fmt.Errorf("%s( has no closing bracket", c.call)
		}
	}
	return s, nil
}

func (c *Condition) checkPath(p placeholder) error {
	switch {
	case c.path != "" && !p.path:
		return fmt.Errorf("[%s] has no parts, so %s cannot stand behind it; [BODY] and [HEADER] have", c.name, show(c.path))
	case c.name == header && (len(c.steps) != 1 || c.steps[0].isIndex):
		return errors.New("[HEADER] needs the name of one header behind it, such as [HEADER].Content-Type")
	case c.call != "" && c.name != body && c.name != header && c.name != dnsAnswer:
		return fmt.Errorf("%s(...) takes [BODY], [HEADER] or [DNS_ANSWER], not [%s]", c.call, c.name)
	}
	return nil
}

func (c *Condition) parseOperator(s string) (string, error) {
	for _, op := range []string{"==", "!=", "<=", ">=", "<", ">"} { // the longer first
		if rest, ok := strings.CutPrefix(s, op); ok {
			c.op = op
			return rest, nil
		}
	}
	if s == "" {
		return "", fmt.Errorf("nothing is said about %s; add an operator and a value, such as == 200", c.left())
	}
	return "", fmt.Errorf("%s is followed by %q instead of one of == != < <= > >=", c.left(), show(s))
}

// fits refuses what can never hold, or would be compared otherwise than the writer thinks.
func (c *Condition) fits(sort sort) error {
	w := c.want
	ordered := c.op != "==" && c.op != "!="
	if ordered && (w.kind != literal || w.values[0].quoted || !w.values[0].isNumber && !w.values[0].isDuration) {
		return fmt.Errorf("%s %s needs a number or a duration, such as 200 or 300ms", c.left(), c.op)
	}
	if ordered && (sort == ofText || sort == ofTruth) {
		return fmt.Errorf("%s can only be compared by == and !=", c.left())
	}
	if w.kind == pattern || w.kind == expression {
		if sort != ofText && sort != ofAnything {
			return fmt.Errorf("%s is compared with %s, not with %s", c.left(), sort, w.call())
		}
		return nil
	}
	for _, v := range w.values {
		ok := true
		switch sort {
		case ofNumber:
			ok = v.isNumber && !v.quoted
		case ofDuration:
			ok = v.isDuration && !v.quoted
		case ofTruth:
			ok = v.text == "true" || v.text == "false"
		}
		if !ok {
			return fmt.Errorf("%s is compared with %s, not with %q", c.left(), sort, show(v.text))
		}
	}
	return nil
}

// Check reports whether the condition makes sense for a kind of thing: the status of a port is an error, which says what
// there is instead.
func (c Condition) Check(k Kind) error {
	p, ok := placeholderNamed(c.name)
	if !ok {
		return errors.New("the condition is empty")
	}
	if slices.Contains(p.kinds, k) {
		return nil
	}
	return fmt.Errorf("%s means nothing for %s; there are %s", "["+c.name+"]", k.described(), strings.Join(Placeholders(k), ", "))
}

func (k Kind) described() string {
	switch k {
	case KindHTTP:
		return "a page"
	case KindTCP:
		return "a port"
	case KindDNS:
		return "a name"
	case KindDisk:
		return "a disk"
	case KindHeartbeat:
		return "a heartbeat"
	}
	return "a thing of kind " + strconv.Quote(string(k))
}

// ParseAll reads the conditions on one thing and checks that they make sense for its kind. The error names the first that
// does not.
func ParseAll(k Kind, texts []string) ([]Condition, error) {
	all := make([]Condition, 0, len(texts))
	for i, text := range texts {
		c, err := Parse(text)
		if err == nil {
			err = c.Check(k)
		}
		if err != nil {
			return nil, fmt.Errorf("condition %d: %w", i+1, err)
		}
		all = append(all, c)
	}
	return all, nil
}

func (c Condition) left() string {
	s := "[" + c.name + "]" + c.path
	if c.call != "" {
		s = c.call + "(" + s + ")"
	}
	return s
}

// String is the condition in the spelling that Parse reads to the same condition again.
func (c Condition) String() string {
	if c.name == "" {
		return ""
	}
	return c.left() + " " + c.op + " " + c.want.String()
}

// facts are what a look has seen, under the names of the placeholders.
type facts struct {
	status       int
	took         time.Duration
	connected    bool
	hasConnected bool
	ip           string
	expires      time.Duration
	hasExpires   bool
	body         *document
	header       map[string][]string
	answers      []string // nil when there was no answer
	rcode        string
	free         float64 // percent; hasFree says whether it is known
	freeBytes    uint64
	hasFree      bool
	age          time.Duration
	hasAge       bool
}

// seen is the value of a placeholder. No texts means that it is not there, and missing says why.
type seen struct {
	texts   []string
	missing string
	length  int  // for len(...)
	measure bool // texts[0] is a duration
	d       time.Duration
}

func one(text string) seen { return seen{texts: []string{text}, length: len([]rune(text))} }

func span(d time.Duration) seen { return seen{texts: []string{short(d)}, measure: true, d: d} }

func notThere(ok bool, why string, s func() seen) seen {
	if !ok {
		return seen{missing: why}
	}
	return s()
}

// value finds what the left side of the condition stands for.
func (c Condition) value(f *facts) seen {
	switch c.name {
	case status:
		return notThere(f.status != 0, "no answer", func() seen { return one(strconv.Itoa(f.status)) })
	case responseTime:
		return notThere(f.took > 0, "no answer", func() seen { return span(f.took) })
	case body:
		return notThere(f.body != nil, "no answer", func() seen { return f.body.find(c.steps) })
	case header:
		v := f.header[canonicalHeader(c.steps[0].name)]
		return notThere(len(v) > 0, "not there", func() seen { return one(strings.Join(v, ", ")) })
	case certificate:
		return notThere(f.hasExpires, "no certificate", func() seen { return span(f.expires) })
	case connected:
		return notThere(f.hasConnected, "not tried", func() seen { return one(strconv.FormatBool(f.connected)) })
	case ip:
		return notThere(f.ip != "", "no connection", func() seen { return one(f.ip) })
	case dnsAnswer:
		return notThere(f.rcode != "", "no answer", func() seen {
			return seen{texts: f.answers, length: len(f.answers), missing: "no such record"}
		})
	case dnsRcode:
		return notThere(f.rcode != "", "no answer", func() seen { return one(f.rcode) })
	case diskFree:
		return notThere(f.hasFree, "not measured", func() seen { return one(strconv.FormatFloat(f.free, 'f', 1, 64)) })
	case diskFreeByte:
		return notThere(f.hasFree, "not measured", func() seen { return one(strconv.FormatUint(f.freeBytes, 10)) })
	case age:
		return notThere(f.hasAge, "never succeeded", func() seen { return span(f.age) })
	}
	return seen{missing: "unknown"}
}

// holds reports whether the condition holds, and what was seen instead, for people.
func (c Condition) holds(f *facts) (ok bool, actual string) {
	s := c.value(f)
	switch c.call {
	case "has":
		has := len(s.texts) > 0 && (len(c.steps) > 0 || s.texts[0] != "") // an empty body is none
		return c.want.equal(one(strconv.FormatBool(has))) == (c.op == "=="), strconv.FormatBool(has)
	case "len":
		if len(s.texts) == 0 && s.missing != "no such record" { // no records are a number of records
			return false, s.missing
		}
		s = one(strconv.Itoa(s.length))
	}
	if len(s.texts) == 0 {
		return false, s.missing
	}
	actual = strings.Join(s.texts, ", ")
	switch c.op {
	case "==":
		return c.want.equal(s), actual
	case "!=":
		return !c.want.equal(s), actual
	}
	order, comparable := c.want.values[0].order(s)
	if !comparable {
		return false, actual
	}
	switch c.op {
	case "<":
		return order < 0, actual
	case "<=":
		return order <= 0, actual
	case ">":
		return order > 0, actual
	case ">=":
		return order >= 0, actual
	}
	return false, actual
}

// judge says which conditions do not hold, in the words of a trouble. hide are texts that must not be shown.
func judge(all []Condition, f *facts, hide []string) string {
	var failed []string
	for _, c := range all {
		if ok, actual := c.holds(f); !ok {
			failed = append(failed, c.String()+" ("+c.shown(actual, hide)+")")
		}
	}
	if more := len(failed) - troublesMax; more > 0 {
		failed = append(failed[:troublesMax], fmt.Sprintf("and %d more", more))
	}
	return cut(strings.Join(failed, "; "), troubleRunesMax)
}

// shown makes a value fit to be shown. An address in a header may carry a token in its query, and some headers are secrets.
func (c Condition) shown(actual string, hide []string) string {
	if c.name == header && c.call == "" {
		switch canonicalHeader(c.steps[0].name) {
		case "Set-Cookie", "Authorization", "Www-Authenticate", "Proxy-Authenticate", "Authentication-Info":
			return "another value, which is not shown"
		}
		if i := strings.IndexAny(actual, "?#"); i >= 0 {
			actual = actual[:i] + "…"
		}
	}
	if actual == "" {
		return "empty"
	}
	for _, h := range hide {
		actual = strings.ReplaceAll(actual, h, "…")
	}
	return show(actual)
}

// uses reports whether a condition looks at one of the placeholders.
func uses(all []Condition, names ...string) bool {
	return slices.ContainsFunc(all, func(c Condition) bool { return slices.Contains(names, c.name) })
}
