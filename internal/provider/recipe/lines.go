package recipe

import (
	"github.com/tidwall/gjson"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/provider/extract"
)

// lineSpec is how the lines of a sale are read. Its paths start at the item, and those of the order at the object.
type lineSpec struct {
	list     []string // lists of items, the first that has any; none, or "", is the object as the one item
	price    []string // ids that the catalogue may know as the provider's price
	code     []string // our product code where the merchant writes it at the item
	label    []string
	quantity []string // none is always one
	unit     []string // price of one
	subtotal []string // before discounts and taxes; none is the price of one, times the quantity
	decimal  bool
	currency []string // none is the currency of the sale
	// orderCode and orderQuantity are our product code and the quantity in the data of the whole sale, such as metadata.
	// They name the one item that nothing else names, or the sale itself when it has no items, which then costs its amount.
	orderCode     []string
	orderQuantity []string
}

// linesOf returns what was bought. A product that cannot be recognised stays "", with the label for a person; no line is
// left out, or the order would seem complete without it.
//
// The price of one counts as agreed only where the provider's price or the merchant's item names the product. When only
// the data of the sale name it, anybody's price may be behind it, and at some providers the customer can write there:
// then the catalogue's price counts.
func (r *Recipe) linesOf(rule rule, p place, amount makegood.Money) []makegood.Line {
	spec := rule.lines
	code := r.product(p.first(extract.Identifier, spec.orderCode))
	var lines []makegood.Line
	for _, item := range spec.items(p) {
		if len(lines) > makegood.LinesMax {
			break // settling refuses so many
		}
		lines = append(lines, r.line(rule, p, item))
	}
	if len(lines) == 1 && lines[0].Product == "" && code != "" {
		lines[0].Product = code // without an agreed price: it has none as long as it has no product
	}
	if len(lines) == 0 && code != "" {
		quantity := quantityOf(p, spec.orderQuantity)
		return []makegood.Line{{Product: code, Label: r.catalogue[code].Name, Quantity: quantity, Subtotal: amount}}
	}
	return lines
}

// items are the elements of the first list that has any.
func (s lineSpec) items(p place) []gjson.Result {
	for _, path := range s.list {
		if path == "" {
			return []gjson.Result{p.object}
		}
		if list := p.get(path); list.IsArray() && len(list.Array()) > 0 {
			return list.Array()
		}
	}
	return nil
}

func (r *Recipe) line(rule rule, sale place, item gjson.Result) makegood.Line {
	spec := rule.lines
	p := place{top: sale.top, object: item, answer: sale.answer}
	line := makegood.Line{Label: p.first(extract.Text, spec.label), Quantity: quantityOf(p, spec.quantity)}
	currency := rule.currencyOf(sale)
	for _, path := range spec.currency {
		if found := p.get(path); found.Exists() {
			currency = found
		}
	}
	line.Product = r.productOf(p, spec)
	unit, hasUnit := firstMoney(p, spec.unit, currency, spec.decimal)
	if line.Product != "" && hasUnit {
		line.Agreed = unit
	}
	var ok bool
	if line.Subtotal, ok = firstMoney(p, spec.subtotal, currency, spec.decimal); !ok && len(spec.subtotal) == 0 && hasUnit {
		line.Subtotal, _ = unit.Times(line.Quantity)
	}
	return line
}

// productOf finds the product of an item by the provider's price, then by our own code.
func (r *Recipe) productOf(p place, spec lineSpec) string {
	for _, path := range spec.price {
		if found, ok := r.catalogue.ByProviderPrice(r.name, extract.IdentifierOrNumber(p.get(path))); ok {
			return found.Code
		}
	}
	return r.product(p.first(extract.Identifier, spec.code))
}

// product returns a code that came from outside if the catalogue has it.
func (r *Recipe) product(code string) string { return r.catalogue[code].Code }

func firstMoney(p place, paths []string, currency gjson.Result, decimal bool) (makegood.Money, bool) {
	for _, path := range paths {
		if m, ok := money(p.get(path), currency, decimal); ok {
			return m, true
		}
	}
	return makegood.Money{}, false
}

// quantityOf returns one where there is no quantity to read, 0 for one that cannot be read, and one more than is allowed
// for any larger one; settling refuses both.
func quantityOf(p place, paths []string) int {
	for _, path := range paths {
		found := p.get(path)
		if !found.Exists() || found.Type == gjson.Null {
			continue
		}
		n, ok := extract.WholeOrDigits(found)
		if !ok {
			return 0
		}
		return int(min(n, makegood.QuantityMax+1))
	}
	return 1
}
