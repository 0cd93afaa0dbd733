package makegood

import "regexp"

// Product is what the catalogue sells under a code.
type Product struct {
	Code          string // lower-case letters, digits and dashes
	Name          string // as the customer reads it
	Price         Money
	ProviderPrice map[string]string // source name to the provider's price id, for example stripe to price_123
	LicensePrefix string            // what stands before the key, GD in GD-ABCD-EFGH-JKLM
	Stocked       bool              // counted in stock; false for what can be copied without end
	Policy        Policy            // what refunds and disputes do to it
}

var productCode = regexp.MustCompile(`^[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?$`)

// ValidProductCode reports whether code has the shape of a product code: 1 to 64 lower-case letters, digits and inner
// dashes. A slug with another shape is refused before a provider is ever called.
func ValidProductCode(code string) bool { return productCode.MatchString(code) }

// Catalogue is the products by code. It is not changed after it is made.
type Catalogue map[string]Product

// ByProviderPrice finds the product that a source sells under a price id of the provider.
func (c Catalogue) ByProviderPrice(source, price string) (Product, bool) {
	if price == "" {
		return Product{}, false
	}
	for _, p := range c {
		if p.ProviderPrice[source] == price {
			return p, true
		}
	}
	return Product{}, false
}
