package recipe

import (
	"slices"
	"strings"

	"github.com/tidwall/gjson"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/provider/extract"
)

// reading is how the bodies of a provider are read. Every field is found by gjson paths, of which the first counts that
// leads to something.
type reading struct {
	isForm  bool // application/x-www-form-urlencoded, read as an object of strings
	eventID []string
	kind    []string // the type of event
	shapes  []shape  // types of bodies that do not name theirs
	object  []string // the id of what the event is about
	created []string
	mode    mode
	// identify makes the id of an event where it is a combination; nil for none.
	identify func(doc gjson.Result) string
	// isHint is set where a delivery says only "look again": two of them with one body are two events, because in between
	// the object may have changed. Their facts are the same facts, so nothing is done twice.
	isHint  bool
	confirm *lookup // where the truth is asked for
	skips   []skip
	rules   []rule
}

// shape names a body by the fields that it has.
type shape struct {
	kind string
	has  []string
}

// mode is where a body tells its mode.
type mode struct {
	paths  []string
	live   []string // the values in live mode; none where any value but test is live
	test   string   // the value in test mode, where live is not said
	always bool     // every genuine body tells; one that does not is taken as test mode
}

// skip keeps an event from giving facts although a rule would read it.
type skip struct {
	path   string
	values []string
	note   string
}

// rule makes facts of one kind of object.
type rule struct {
	types []string // of events; one with a star at its end is a prefix; none is all
	// root leads to the object that the other paths start from, the first that is one; none is the whole body. A path that
	// begins with "/" starts at the top of the body all the same, and one that begins with "api:" at the top of what the
	// lookup of the rule was answered.
	root []string
	only map[string]string // fields of the object that must have these values
	each string            // a list in the object, each of whose elements makes a fact; "" for the object itself
	// status is what decides, its fields joined by colons, and is what each status comes to; otherwise stands for the
	// statuses that are not named.
	status    []string
	is        map[string]makegood.FactKind
	otherwise makegood.FactKind

	session  []string
	payment  []string
	id       []string // of the refund, dispute or payment; none is that of the session
	refs     []string
	amount   []string // a list is summed up
	plus     []string // added to the amount if it is there
	decimal  bool     // amounts are written with a point
	currency []string
	fixed    string // the currency where bodies do not tell it
	email    []string
	name     []string // fields joined by a blank
	lines    lineSpec
	lookup   *lookup // what the body does not have, if there is an API key to ask with
}

// matches reports whether the rule reads events of a type.
func (r rule) matches(eventType string) bool {
	return len(r.types) == 0 || slices.ContainsFunc(r.types, func(t string) bool {
		prefix, isPrefix := strings.CutSuffix(t, "*")
		return eventType == t || isPrefix && strings.HasPrefix(eventType, prefix)
	})
}

// place is where the paths of a rule start.
type place struct {
	top, object, answer gjson.Result
}

func (p place) get(path string) gjson.Result {
	if rest, ok := strings.CutPrefix(path, "api:"); ok {
		return p.answer.Get(rest)
	}
	if rest, ok := strings.CutPrefix(path, "/"); ok {
		return p.top.Get(rest)
	}
	return p.object.Get(path)
}

// first returns the first that read finds something in.
func (p place) first(read func(gjson.Result) string, paths []string) string {
	for _, path := range paths {
		if s := read(p.get(path)); s != "" {
			return s
		}
	}
	return ""
}

// word reads what a rule compares: a short string, a number, true or false. What is missing or anything else is "".
func word(r gjson.Result) string {
	switch r.Type {
	case gjson.True:
		return "true"
	case gjson.False:
		return "false"
	}
	return extract.IdentifierOrNumber(r)
}

// rooted finds the object of the rule. A rule without a root reads the whole body.
func (r rule) rooted(top, answer gjson.Result) (place, bool) {
	p := place{top: top, object: top, answer: answer}
	for _, root := range r.root {
		if p.object = top; root != "" {
			p.object = top.Get(root)
		}
		if p.object.IsObject() && r.fits(p) {
			return p, true
		}
	}
	return p, len(r.root) == 0 && r.fits(p)
}

func (r rule) fits(p place) bool {
	for path, want := range r.only {
		if word(p.get(path)) != want {
			return false
		}
	}
	return true
}

// elements are the places that make facts: the object, or each of the list in it.
func (r rule) elements(p place) []place {
	if r.each == "" {
		return []place{p}
	}
	var all []place
	list := p.get(r.each)
	if !list.IsArray() {
		return nil // ForEach would take a null for an element
	}
	list.ForEach(func(_, element gjson.Result) bool {
		all = append(all, place{top: p.top, object: element, answer: p.answer})
		return len(all) <= factsMax // one more than a reading may have
	})
	return all
}

// statusOf joins what decides.
func (r rule) statusOf(p place) string {
	words := make([]string, len(r.status))
	for i, path := range r.status {
		words[i] = word(p.get(path))
	}
	return strings.Join(words, ":")
}

func (r rule) kindOf(p place) makegood.FactKind {
	if kind, ok := r.is[r.statusOf(p)]; ok {
		return kind
	}
	return r.otherwise
}

// amountOf reads the amount, and adds what belongs to it.
func (r rule) amountOf(p place) (makegood.Money, bool) {
	currency := r.currencyOf(p)
	sum, ok := makegood.Money{}, false
	for _, path := range r.amount {
		if sum, ok = r.sumOf(p.get(path), currency); ok {
			break
		}
	}
	for _, path := range r.plus {
		if more, isThere := r.sumOf(p.get(path), currency); ok && isThere && sum.Minor+more.Minor >= 0 {
			sum.Minor += more.Minor
		}
	}
	return sum, ok
}

// sumOf reads an amount, or adds up a list of them.
func (r rule) sumOf(amount, currency gjson.Result) (makegood.Money, bool) {
	if !amount.IsArray() {
		return money(amount, currency, r.decimal)
	}
	code, ok := extract.Currency(currency)
	sum := makegood.Money{Currency: code}
	amount.ForEach(func(_, one gjson.Result) bool {
		m, isMoney := money(one, currency, r.decimal)
		ok = ok && isMoney && sum.Minor+m.Minor >= 0
		sum.Minor += m.Minor
		return ok
	})
	return sum, ok
}

// currencyOf finds the currency, or the symbol that stands for it.
func (r rule) currencyOf(p place) gjson.Result {
	for _, path := range r.currency {
		found := p.get(path)
		if code, ok := symbols[found.Str]; ok && found.Type == gjson.String {
			return text(code)
		}
		if _, ok := extract.Currency(found); ok {
			return found
		}
	}
	return text(r.fixed)
}

// text makes what a path would have found.
func text(s string) gjson.Result { return gjson.Result{Type: gjson.String, Str: s} }

// symbols are the currencies that are told by their sign alone, where a sign stands for one currency.
var symbols = map[string]string{"$": "usd", "€": "eur", "£": "gbp", "¥": "jpy"}

func money(amount, currency gjson.Result, decimal bool) (makegood.Money, bool) {
	if decimal {
		return extract.Decimal(amount, currency)
	}
	return extract.Minor(amount, currency)
}
