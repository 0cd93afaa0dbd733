package stripe

import (
	"regexp"

	"github.com/tidwall/gjson"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/provider/extract"
)

// session is a Checkout Session as some version of the API tells it: in the body of an event of any version since
// Checkout came (2019), or answered by the API in our pinned version. Every method gives the empty value for what is not
// there or cannot be read.
type session struct {
	json  gjson.Result
	items []gjson.Result // line items, when they are known to be complete
}

// readSession takes the line items that came with the session, if they are all there.
func readSession(json gjson.Result) session {
	t := session{json: json}
	list := json.Get("line_items")
	if list.Get("data").IsArray() && list.Get("has_more").Type != gjson.True {
		t.items = list.Get("data").Array()
	} else if json.Get("display_items").IsArray() {
		t.items = json.Get("display_items").Array() // what line items were called before API version 2020-08-27
	}
	return t
}

func (t session) id() string            { return extract.Identifier(t.json.Get("id")) }
func (t session) mode() string          { return extract.Identifier(t.json.Get("mode")) }
func (t session) status() string        { return extract.Identifier(t.json.Get("status")) }
func (t session) paymentStatus() string { return extract.Identifier(t.json.Get("payment_status")) }
func (t session) paymentID() string     { return extract.ID(t.json.Get("payment_intent")) }

// references are the other ids by which refunds, invoices and subscriptions of this sale can name it. The session of a
// subscription has no payment intent: its payments belong to its invoices.
func (t session) references() []string {
	o := object{json: t.json}
	return references(o.ref("subscription"), o.ref("invoice"), o.ref("payment_intent.latest_charge"))
}

// isOf reports whether the session is of a mode; one that does not tell is of either, because the event around it told.
func (t session) isOf(live bool) bool {
	if told := t.json.Get("livemode"); told.IsBool() && told.Bool() != live {
		return false
	}
	if idLive, ok := sessionMode(t.id()); ok && idLive != live {
		return false
	}
	return true
}

// amount is what the customer pays in all, after discounts and taxes. Sessions of 2019 have no total: there were no
// discounts then, and the items add up to it.
func (t session) amount() (makegood.Money, bool) {
	currency, ok := extract.Currency(t.json.Get("currency"))
	if minor, isWhole := extract.Whole(t.json.Get("amount_total")); isWhole && ok {
		return makegood.Money{Minor: minor, Currency: currency}, true
	}
	if t.json.Get("amount_total").Exists() || !t.json.Get("display_items").IsArray() {
		return makegood.Money{}, false
	}
	return sumOf(t.items)
}

// sumOf adds up display items, which must be of one currency.
func sumOf(items []gjson.Result) (makegood.Money, bool) {
	var sum makegood.Money
	for i, item := range items {
		subtotal, _ := displayPrices(item)
		if subtotal.Currency == "" || i > 0 && subtotal.Currency != sum.Currency || sum.Minor+subtotal.Minor < 0 {
			return makegood.Money{}, false
		}
		sum = makegood.Money{Minor: sum.Minor + subtotal.Minor, Currency: subtotal.Currency}
	}
	return sum, len(items) > 0
}

// subtotal is the sum of all items before discounts and taxes.
func (t session) subtotal() (makegood.Money, bool) {
	minor, isWhole := extract.Whole(t.json.Get("amount_subtotal"))
	currency, ok := extract.Currency(t.json.Get("currency"))
	return makegood.Money{Minor: minor, Currency: currency}, isWhole && ok
}

// customer looks where the versions of the API have put the buyer. customer_details (since 2021) is what the buyer typed;
// customer_email is only what we filled in before; a customer object is there only when expanded. Sessions of 2019 have
// the name with the shipping address, if at all.
func (t session) customer() makegood.Customer {
	return makegood.Customer{
		Email: t.first(extract.Address, "customer_details.email", "customer_email", "customer.email"),
		Name: t.first(extract.Text, "customer_details.name", "customer_details.individual_name", "customer_details.business_name",
			"collected_information.shipping_details.name", "shipping_details.name", "shipping.name", "customer.name"),
	}
}

// first returns the first of the fields that read finds something in.
func (t session) first(read func(gjson.Result) string, paths ...string) string {
	for _, path := range paths {
		if s := read(t.json.Get(path)); s != "" {
			return s
		}
	}
	return ""
}

// metadata returns a value that whoever created the session wrote into it. Customers cannot write there.
func (t session) metadata(key string) string { return metadataOf(t.json, key) }

func metadataOf(object gjson.Result, key string) string {
	return extract.Identifier(object.Get("metadata").Get(key))
}

var sessionID = regexp.MustCompile(`^cs_(test|live)_[A-Za-z0-9]{1,200}$`)

// sessionMode reads the mode from a session's id; the second result is false for what is not shaped like one.
func sessionMode(id string) (live, ok bool) {
	m := sessionID.FindStringSubmatch(id)
	if m == nil {
		return false, false
	}
	return m[1] == "live", true
}
