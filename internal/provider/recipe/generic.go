package recipe

import (
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"fmt"
	"hash"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/provider/extract"
)

const genericProvider = "generic"

var genericInfo = Info{Name: genericProvider, Title: "Generic", Secret: "the secret with which deliveries are signed, as your description says"}

// Generic is a row that a user writes: how deliveries are signed, and how they are read. All of it is plain text, so that
// it can stand in a configuration. The zero value of a field is the usual case.
type Generic struct {
	// Header holds the signature. It is required.
	Header string
	// Prefix stands before each signature in the header, such as "sha256=".
	Prefix string
	// Separator stands between several signatures, or between the pairs where SignatureKey is set (default ",").
	Separator string
	// SignatureKey and TimestampKey are set where the header holds pairs, such as t=…,v1=… (t and v1).
	SignatureKey string
	TimestampKey string
	// Encoding of the signature: "hex" (default; lower case) or "base64".
	Encoding string
	// Key says what the secret is: "raw" (default; its bytes are the key), "hex" or "base64"; KeyPrefix is taken off before.
	Key       string
	KeyPrefix string
	// Algorithm of the MAC: "sha256" (default), "sha512", or "sha1" where the provider has nothing better.
	Algorithm string
	// Signed is what is signed, with the places {body}, {timestamp}, {id} and {url}; default "{body}".
	Signed string
	// TimestampHeader holds the signed time, in TimestampUnit: "s" (default) or "ms", since 1970.
	TimestampHeader string
	TimestampUnit   string
	// IDHeader holds the signed id of the delivery.
	IDHeader string
	// Reading is how a delivery is read.
	Reading Mapping
}

// Mapping is how the bodies of a generic provider are read. Its paths are those of gjson; in a fact they start at its
// Root, and with a "/" before them at the top of the body.
type Mapping struct {
	// Format of bodies: "json" (default) or "form".
	Format string
	// EventID is where the body has the id of the event. Without one the hash of the body is the id.
	EventID   string
	EventType string
	CreatedAt string // RFC 3339, or seconds since 1970
	Object    string // the id of what the event is about, for people
	// Live is where the body tells its mode, and LiveValue what it says in live mode (default "true"). Without them the
	// secret tells: test mode must have another one.
	Live      string
	LiveValue string
	// Facts say what changes an order.
	Facts []FactMapping
}

// FactMapping makes facts of one kind of object.
type FactMapping struct {
	// Types are the events that it reads; "order.*" is all that begin so, none is every event.
	Types []string
	// Root leads to the object, and Each to a list in it of which every element makes a fact.
	Root string
	Each string
	// Status decides, and Is says what each of its values means: paid, awaiting_payment, payment_failed, expired, refunded,
	// refund_failed, disputed, dispute_won or dispute_lost. Other values change nothing.
	Status string
	Is     map[string]string
	// Session is the id that makes an order one. A fact without it must have a Payment or References by which its order
	// knows it too; a payment cannot be without it.
	Session    string
	Payment    string
	References []string
	// ID is that of the refund or dispute.
	ID string
	// Amount is in the minor unit, or with a point where Decimal is set. FixedCurrency is for bodies that do not tell it.
	Amount        string
	Decimal       bool
	Currency      string
	FixedCurrency string
	Email         string
	Name          string
	Lines         LineMapping
}

// LineMapping is how what was bought is read. Its paths start at the item, and those of the order at the object.
type LineMapping struct {
	List     string // the list of items; "" where the object itself is the one item
	Price    string // the provider's id of the price or product, as the catalogue has it
	Code     string // our product code, where the merchant writes it at the item
	Label    string
	Quantity string
	Unit     string // price of one
	Subtotal string // before discounts and taxes; without it Unit times Quantity
	// OrderCode and OrderQuantity name the product in the data of the whole sale, which then costs its Amount.
	OrderCode     string
	OrderQuantity string
}

// Validate names everything that is wrong, each with its field first: "encoding: …". Nothing means that New takes it.
func (g *Generic) Validate() []string {
	if g == nil {
		return []string{"generic: is missing; it says how deliveries are signed and read"}
	}
	var found problems
	found.unless(isHeaderName(g.Header), "header", "is not the name of a header")
	found.unless(isOneOf(g.Encoding, "", "hex", "base64"), "encoding", "is %q; it must be hex or base64", g.Encoding)
	found.unless(isOneOf(g.Key, "", "raw", "hex", "base64"), "key", "is %q; it must be raw, hex or base64", g.Key)
	found.unless(isOneOf(g.Algorithm, "", "sha256", "sha512", "sha1"), "algorithm", "is %q; it must be sha256, sha512 or sha1", g.Algorithm)
	found.unless(isOneOf(g.TimestampUnit, "", "s", "ms"), "timestamp_unit", "is %q; it must be s or ms", g.TimestampUnit)
	found.unless(g.TimestampHeader == "" || isHeaderName(g.TimestampHeader), "timestamp_header", "is not the name of a header")
	found.unless(g.IDHeader == "" || isHeaderName(g.IDHeader), "id_header", "is not the name of a header")
	found.unless(g.TimestampKey == "" || g.SignatureKey != "", "timestamp_key", "needs a signature_key beside it")
	found.unless(g.TimestampKey == "" || g.TimestampHeader == "", "timestamp_header", "and timestamp_key exclude each other")
	found.unless(g.SignatureKey == "" || g.Prefix == "", "prefix", "and signature_key exclude each other")
	found.unless(g.TimestampKey == "" || g.TimestampKey != g.SignatureKey, "timestamp_key", "is the signature_key")
	found = append(found, g.signedProblems()...)
	found = append(found, g.Reading.validate("reading.")...)
	found.unless(len(g.Reading.Facts) > 0, "reading.facts", "is empty; no event would change an order")
	return found
}

type problems []string

func (p *problems) unless(ok bool, field, format string, args ...any) {
	if !ok {
		*p = append(*p, field+": "+fmt.Sprintf(format, args...))
	}
}

// signedProblems checks that all that is sent is signed, and nothing is signed that is not sent.
func (g *Generic) signedProblems() problems {
	var found problems
	t := templateOf(g.template())
	count := map[string]int{}
	for i, part := range t {
		if isPlace(part) {
			count[part]++
		} else {
			found.unless(!strings.ContainsAny(part, "{}"), "signed", "has the place %s, which is not one of {body}, {timestamp}, {id}, {url}", part)
		}
		if part == placeID {
			isEnded := i+1 < len(t) && (!isPlace(t[i+1]) || t[i+1] == placeTime)
			found.unless(isEnded, "signed", "has nothing that ends the {id}; a forger could move its end")
		}
	}
	found.unless(count[placeBody] == 1, "signed", "must have {body} once; what is not signed is not proved")
	for place, what := range map[string]string{placeTime: "timestamp_header or timestamp_key", placeID: "id_header"} {
		isSent := g.IDHeader != ""
		if place == placeTime {
			isSent = g.TimestampHeader != "" || g.TimestampKey != ""
		}
		found.unless(count[place] <= 1, "signed", "has %s more than once", place)
		found.unless(count[place] == 0 || isSent, "signed", "has %s, and no %s says where it is", place, what)
		found.unless(count[place] > 0 || !isSent, "signed", "lacks %s, which is sent; what is not signed proves nothing", place)
	}
	slices.Sort(found)
	return found
}

func (g *Generic) template() string {
	if g.Signed == "" || g.Signed == "body" {
		return placeBody
	}
	return g.Signed
}

// validate names what is wrong with a mapping, each field behind the prefix.
func (m Mapping) validate(prefix string) []string {
	var found problems
	found.unless(isOneOf(m.Format, "", "json", "form"), prefix+"format", "is %q; it must be json or form", m.Format)
	found.unless(m.LiveValue == "" || m.Live != "", prefix+"live_value", "needs live beside it")
	for i, f := range m.Facts {
		found = append(found, f.validate(fmt.Sprintf("%sfacts[%d].", prefix, i))...)
	}
	return found
}

// readable are the kinds that a mapping can tell; a renewal and an end would need a time.
var readable = []makegood.FactKind{makegood.FactPaid, makegood.FactAwaiting, makegood.FactFailed, makegood.FactExpired,
	makegood.FactRefunded, makegood.FactRefundFailed, makegood.FactDisputed, makegood.FactDisputeWon, makegood.FactDisputeLost}

func (f FactMapping) validate(prefix string) []string {
	var found problems
	found.unless(f.Status != "", prefix+"status", "is empty; the status decides what happened")
	found.unless(len(f.Is) > 0, prefix+"is", "is empty; no status would mean anything")
	isPaid, isOther := false, false
	for _, value := range sortedKeys(f.Is) {
		kind := makegood.FactKind(f.Is[value])
		found.unless(slices.Contains(readable, kind), prefix+"is", "says that %q is %q, which is not one of %q", value, kind, readable)
		isPaid = isPaid || kind == makegood.FactPaid
		isOther = isOther || slices.Contains(readable[4:], kind)
	}
	found.unless(!isPaid || f.Session != "", prefix+"session", "is empty; a payment needs the id that makes its order one")
	found.unless(f.Session != "" || f.Payment != "" || len(f.References) > 0, prefix+"session", "is empty, and neither payment nor references find the order")
	found.unless(!isOther || f.ID != "", prefix+"id", "is empty; a refund or dispute needs an id of its own")
	found.unless(f.Amount != "", prefix+"amount", "is empty")
	_, isCurrency := extract.Currency(text(f.FixedCurrency))
	found.unless(f.FixedCurrency == "" || isCurrency, prefix+"fixed_currency", "is not a currency of three letters")
	found.unless(f.Currency != "" || f.FixedCurrency != "", prefix+"currency", "is empty, and no fixed_currency stands in")
	hasLines := f.Lines.Price != "" || f.Lines.Code != "" || f.Lines.OrderCode != ""
	found.unless(!isPaid || hasLines, prefix+"lines", "name no price, code or order_code; nothing that is paid could be recognised")
	return found
}

// genericRow makes a row of what a user wrote.
func (o Options) genericRow() (row, error) {
	if found := o.Generic.Validate(); len(found) > 0 {
		return row{}, fmt.Errorf("recipe: source %q: %s", o.Name, strings.Join(found, "; "))
	}
	g := o.Generic
	s := scheme{
		header: g.Header, prefix: g.Prefix, separator: g.Separator, timeKey: g.TimestampKey, sigKey: g.SignatureKey,
		timeHeader: g.TimestampHeader, idHeader: g.IDHeader, signed: templateOf(g.template()), encode: toHex,
		hash: map[string]func() hash.Hash{"sha512": sha512.New, "sha1": sha1.New, "sha256": sha256.New, "": sha256.New}[g.Algorithm],
	}
	if g.SignatureKey != "" {
		s.syntax = syntaxPairs
		if s.separator == "" {
			s.separator = ","
		}
	}
	if g.Encoding == "base64" {
		s.encode = toBase64
	}
	if g.TimestampUnit == "ms" {
		s.timeUnit = time.Millisecond
	}
	r := row{info: genericInfo, schemes: []scheme{s}, keyPrefix: g.KeyPrefix, reading: g.Reading.compile()}
	r.key = map[string]keyForm{"hex": keyHex, "base64": keyBase64}[g.Key] // keyRaw is the zero value
	r.info.NeedsPublicURL = slices.Contains(s.signed, placeURL)
	if g.IDHeader != "" && slices.Contains(s.signed, placeID) {
		r.transmission = []string{g.IDHeader}
	}
	return r, nil
}

// compile makes a reading of a mapping that was validated.
func (m Mapping) compile() reading {
	r := reading{
		isForm: m.Format == "form", eventID: paths(m.EventID), kind: paths(m.EventType), created: paths(m.CreatedAt), object: paths(m.Object),
	}
	for _, path := range r.created {
		r.created = append(r.created, "/"+strings.TrimPrefix(path, "/"))
	}
	if m.Live != "" {
		r.mode = mode{paths: []string{m.Live}, live: []string{"true"}, always: true}
		if m.LiveValue != "" {
			r.mode.live = []string{m.LiveValue}
		}
	}
	for _, f := range m.Facts {
		r.rules = append(r.rules, f.compile())
	}
	return r
}

func (f FactMapping) compile() rule {
	r := rule{
		types: f.Types, root: paths(f.Root), each: f.Each, status: paths(f.Status), is: map[string]makegood.FactKind{},
		session: paths(f.Session), payment: paths(f.Payment), refs: f.References, id: paths(f.ID),
		amount: paths(f.Amount), decimal: f.Decimal, currency: paths(f.Currency), fixed: f.FixedCurrency,
		email: paths(f.Email), name: paths(f.Name),
		lines: lineSpec{
			list: paths(f.Lines.List), price: paths(f.Lines.Price), code: paths(f.Lines.Code), label: paths(f.Lines.Label),
			quantity: paths(f.Lines.Quantity), unit: paths(f.Lines.Unit), subtotal: paths(f.Lines.Subtotal), decimal: f.Decimal,
			orderCode: paths(f.Lines.OrderCode), orderQuantity: paths(f.Lines.OrderQuantity),
		},
	}
	for value, kind := range f.Is {
		r.is[value] = makegood.FactKind(kind)
	}
	if f.Lines.List == "" && (f.Lines.Price != "" || f.Lines.Code != "") {
		r.lines.list = []string{""} // the object itself is the one item
	}
	return r
}

// paths is a path, or none.
func paths(path string) []string {
	if path == "" {
		return nil
	}
	return []string{path}
}

func isOneOf(s string, all ...string) bool { return slices.Contains(all, s) }

// isHeaderName takes what RFC 9110, 5.6.2, calls a token.
func isHeaderName(s string) bool {
	return s != "" && len(s) <= 100 && strings.Trim(s, "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz") == "" &&
		http.CanonicalHeaderKey(s) != ""
}

func sortedKeys(m map[string]string) []string { return slices.Sorted(maps.Keys(m)) }
