package paypal

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"strconv"
	"strings"

	"github.com/tidwall/gjson"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/provider/extract"
)

// customIDVersion begins every custom_id that CreateCheckout writes: version.product.quantity.unit amount.currency.tag;
// syntheticVersion begins that of a session that nobody will pay.
const customIDVersion, syntheticVersion = "mg1", "mg1s"

// tagBytes is how much of the MAC stands in a custom_id: 96 bits, which nobody guesses at an API that limits rates.
const tagBytes = 12

// customID writes down what a checkout offers. It comes back with the order and with its capture. The parts are at most
// 4, 64, 4, 19 and 3 bytes, the tag 16, with five dots: 115 of PayPal's 127.
//
// It carries a MAC, because orders can also be created in a buyer's browser, with nothing but the public client id: who
// does that writes any custom_id and any amount, and the two would add up.
func (s *PayPal) customID(product string, quantity int, unit makegood.Money, isSynthetic bool) string {
	version := customIDVersion
	if isSynthetic {
		version = syntheticVersion
	}
	offer := strings.Join([]string{version, product, strconv.Itoa(quantity), strconv.FormatInt(unit.Minor, 10), unit.Currency}, ".")
	return offer + "." + s.tag(offer)
}

func (s *PayPal) tag(offer string) string {
	mac := hmac.New(sha256.New, []byte(s.clientSecret.Reveal()))
	mac.Write([]byte("makegood paypal offer\x00" + s.name + "\x00" + offer))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil)[:tagBytes])
}

// readCustomID reads what customID wrote; false for anything that it did not write.
func (s *PayPal) readCustomID(id string) (product string, quantity int, unit makegood.Money, ok bool) {
	last := strings.LastIndexByte(id, '.')
	if last < 0 || len(id) > customIDBytesMax || !hmac.Equal([]byte(id[last+1:]), []byte(s.tag(id[:last]))) {
		return "", 0, makegood.Money{}, false
	}
	parts := strings.Split(id[:last], ".")
	if len(parts) != 5 || parts[0] != customIDVersion && parts[0] != syntheticVersion {
		return "", 0, makegood.Money{}, false
	}
	n, isQuantity := extract.WholeText(parts[2])
	minor, isAmount := extract.WholeText(parts[3])
	if !isQuantity || !isAmount || n < 1 || n > makegood.QuantityMax {
		return "", 0, makegood.Money{}, false
	}
	return parts[1], int(n), makegood.Money{Minor: minor, Currency: parts[4]}, true
}

// isSynthetic reports whether a custom_id of ours says that nobody buys. One that is not ours says nothing: whoever makes
// orders in a buyer's browser cannot hide one from the figures.
func (s *PayPal) isSynthetic(customIDs ...gjson.Result) bool {
	for _, told := range customIDs {
		id := extract.Identifier(told)
		if _, _, _, isOurs := s.readCustomID(id); isOurs && strings.HasPrefix(id, syntheticVersion+".") {
			return true
		}
	}
	return false
}

// linesOf returns what was bought for a captured amount. What our own checkout wrote counts before the items, if it adds up:
// a capture has the custom_id and no items, an order has both, and the same payment must give the same lines on both ways.
// unit is the purchase unit of the order, or nothing when only the capture is known.
func (s *PayPal) linesOf(unit, capture gjson.Result, paid makegood.Money) []makegood.Line {
	for _, source := range []gjson.Result{capture, unit} {
		if line, ok := s.agreedLine(extract.Identifier(source.Get("custom_id")), unit, paid); ok {
			return []makegood.Line{line}
		}
	}
	var lines []makegood.Line
	for _, item := range unit.Get("items").Array() {
		lines = append(lines, s.readItem(item))
	}
	if !covers(paid, lines) {
		// Whoever created the order took something off. Ours never do, so a person must look: without a subtotal, settling
		// refuses to release anything.
		for i := range lines {
			lines[i].Subtotal = makegood.Money{}
		}
	}
	return lines
}

// agreedLine believes a custom_id only as a whole: it is ours, price times quantity is what the items cost, and the
// captured amount is not below that. A product that has left the catalogue stays "" with its code for a person to read.
func (s *PayPal) agreedLine(customID string, unit gjson.Result, paid makegood.Money) (makegood.Line, bool) {
	code, quantity, agreed, ok := s.readCustomID(customID)
	if !ok {
		return makegood.Line{}, false
	}
	items := paid
	if told := unit.Get("amount.breakdown.item_total"); told.Exists() {
		if items, ok = money(told); !ok {
			return makegood.Line{}, false
		}
	}
	sum, fits := agreed.Times(quantity)
	line := makegood.Line{Label: code, Quantity: quantity, Subtotal: sum, Agreed: agreed}
	if product, ok := s.catalogue[code]; ok {
		line.Product, line.Label = product.Code, product.Name
	}
	return line, fits && sum == items && covers(paid, []makegood.Line{line})
}

// covers reports whether what was paid is at least the sum of the lines. Taxes and shipping may be on top.
func covers(paid makegood.Money, lines []makegood.Line) bool {
	left := paid.Minor
	for _, line := range lines {
		if line.Subtotal.Currency != paid.Currency || line.Subtotal.Minor < 0 || line.Subtotal.Minor > left {
			return false
		}
		left -= line.Subtotal.Minor
	}
	return true
}

// readItem reads an item of an order that our checkout did not make, known by its sku: the code in our catalogue, or the
// id that the catalogue has for this source. A product that cannot be recognised stays "", with the label for a person;
// the item is never left out. The catalogue's price counts, because the buyer's browser may have made up the item's.
func (s *PayPal) readItem(item gjson.Result) makegood.Line {
	sku := extract.Identifier(item.Get("sku"))
	line := makegood.Line{Label: extract.Text(item.Get("name")), Quantity: quantityOf(item.Get("quantity"))}
	if p, ok := s.catalogue.ByProviderPrice(s.name, sku); ok {
		line.Product = p.Code
	} else if p, ok := s.catalogue[sku]; ok {
		line.Product = p.Code
	}
	if unit, ok := money(item.Get("unit_amount")); ok {
		line.Subtotal, _ = unit.Times(line.Quantity)
	}
	if line.Label == "" {
		line.Label = sku
	}
	return line
}

// quantityOf reads PayPal's decimal string: 0 for what is missing, and one more than is allowed for any larger one;
// settling refuses both.
func quantityOf(r gjson.Result) int {
	text := r.Raw
	if r.Type == gjson.String {
		text = r.Str
	}
	n, ok := extract.WholeText(text)
	if !ok {
		return 0
	}
	return int(min(n, makegood.QuantityMax+1))
}

// money reads PayPal's amount: a decimal string and a currency, never through a float.
func money(r gjson.Result) (makegood.Money, bool) {
	return extract.Decimal(r.Get("value"), r.Get("currency_code"))
}
