package stripe

import (
	"github.com/tidwall/gjson"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/provider/extract"
)

// The keys under which CreateCheckout writes into a session what it offered. They come back with every event and every
// answer about the session (SPEC A1).
const (
	metadataProduct    = "product"     // the product's code
	metadataQuantity   = "quantity"    // decimal; 1 when absent
	metadataUnitAmount = "unit_amount" // decimal, in the minor unit
	metadataCurrency   = "currency"    // lower-case ISO 4217
)

// linesOf returns what was bought in a session. The second result is false when the session does not tell, or tells of
// something that the catalogue does not have; then the API must be asked.
//
// What our own checkout wrote into the metadata counts before any line items, if it adds up: event bodies have the
// metadata and no line items, answers of the API have both, and the same session must give the same lines on both ways,
// or settling would see a contradiction.
func (s *Stripe) linesOf(t session) ([]makegood.Line, bool) {
	if line, ok := s.agreedLine(t); ok {
		return []makegood.Line{line}, true
	}
	var lines []makegood.Line
	isKnown := len(t.items) > 0
	for _, item := range t.items {
		line := s.readLine(t, item)
		isKnown = isKnown && line.Product != ""
		lines = append(lines, line)
	}
	return lines, isKnown
}

// agreedLine reads what CreateCheckout wrote. It is believed only as a whole: the product is in the catalogue, and price
// times quantity is what the session charges before discounts and taxes. A customer who may change the quantity, or a
// price that was changed at Stripe, breaks the sum, and then the line items count.
func (s *Stripe) agreedLine(t session) (makegood.Line, bool) {
	product, ok := s.product(t.metadata(metadataProduct))
	if !ok {
		return makegood.Line{}, false
	}
	quantity := int64(1)
	if told := t.metadata(metadataQuantity); told != "" {
		if quantity, ok = extract.WholeText(told); !ok || quantity < 1 || quantity > makegood.QuantityMax {
			return makegood.Line{}, false
		}
	}
	minor, ok := extract.WholeText(t.metadata(metadataUnitAmount))
	if !ok {
		return makegood.Line{}, false
	}
	agreed := makegood.Money{Minor: minor, Currency: t.metadata(metadataCurrency)}
	sum, fits := agreed.Times(int(quantity))
	if subtotal, told := t.subtotal(); !fits || !told || sum != subtotal {
		return makegood.Line{}, false
	}
	return makegood.Line{Product: product.Code, Label: product.Name, Quantity: int(quantity), Subtotal: sum, Agreed: agreed}, true
}

// product finds a product by a code that came from outside. The catalogue has well-formed codes only, so one that is not
// is not found either.
func (s *Stripe) product(code string) (makegood.Product, bool) {
	p, ok := s.catalogue[code]
	return p, ok
}

// readLine reads one line item, or one display item of a session of 2019. A product that cannot be recognised stays "",
// with the label for a person; the line is never left out, or the order would seem complete without it.
//
// A price that the merchant made at Stripe is an offer of the merchant, so what it says is what was agreed. When only the
// session's metadata names the product, anybody's price may be behind it: then the catalogue's price counts.
func (s *Stripe) readLine(t session, item gjson.Result) makegood.Line {
	line := makegood.Line{Label: labelOf(item), Quantity: quantityOf(item)}
	line.Subtotal, line.Agreed = pricesOf(item)
	price := priceOf(item)
	if p, ok := s.catalogue.ByProviderPrice(s.name, extract.ID(price)); ok {
		line.Product = p.Code
	} else if p, ok := s.product(metadataOf(price, metadataProduct)); ok {
		line.Product = p.Code
	} else if p, ok := s.product(metadataOf(price.Get("product"), metadataProduct)); ok {
		line.Product = p.Code
	} else if p, ok := s.product(t.metadata(metadataProduct)); ok && len(t.items) == 1 {
		line.Product, line.Agreed = p.Code, makegood.Money{}
	}
	return line
}

// priceOf returns the price of an item: the price since 2020, before that the plan or SKU.
func priceOf(item gjson.Result) gjson.Result {
	for _, key := range []string{"price", "plan", "sku"} {
		if r := item.Get(key); r.Exists() && r.Type != gjson.Null {
			return r
		}
	}
	return gjson.Result{}
}

func labelOf(item gjson.Result) string {
	s := session{json: item}
	return s.first(extract.Text, "description", "custom.name", "price.product.name", "price.nickname", "plan.nickname",
		"sku.attributes.name", "price.id", "plan.id", "sku.id", "price", "plan", "sku", "id")
}

// quantityOf returns 0 for a quantity that is missing, and one more than is allowed for any larger one; settling refuses
// both.
func quantityOf(item gjson.Result) int {
	n, ok := extract.Whole(item.Get("quantity"))
	if !ok {
		return 0
	}
	return int(min(n, makegood.QuantityMax+1))
}

// pricesOf returns what all units cost before discounts and taxes, and the price of one.
func pricesOf(item gjson.Result) (subtotal, agreed makegood.Money) {
	if isDisplayItem(item) {
		return displayPrices(item)
	}
	price := priceOf(item)
	if minor, ok := extract.Whole(price.Get("unit_amount")); ok {
		if currency, ok := extract.Currency(price.Get("currency")); ok {
			agreed = makegood.Money{Minor: minor, Currency: currency}
		}
	}
	if minor, ok := extract.Whole(item.Get("amount_subtotal")); ok {
		if currency, ok := extract.Currency(item.Get("currency")); ok {
			subtotal = makegood.Money{Minor: minor, Currency: currency}
		}
	}
	return subtotal, agreed
}

// isDisplayItem knows a display item by its amount, which is the price of one.
func isDisplayItem(item gjson.Result) bool {
	return item.Get("amount").Exists() && !item.Get("amount_subtotal").Exists()
}

func displayPrices(item gjson.Result) (subtotal, agreed makegood.Money) {
	minor, ok := extract.Whole(item.Get("amount"))
	currency, isCurrency := extract.Currency(item.Get("currency"))
	if !ok || !isCurrency {
		return makegood.Money{}, makegood.Money{}
	}
	agreed = makegood.Money{Minor: minor, Currency: currency}
	subtotal, ok = agreed.Times(quantityOf(item))
	if !ok {
		return makegood.Money{}, makegood.Money{}
	}
	return subtotal, agreed
}
