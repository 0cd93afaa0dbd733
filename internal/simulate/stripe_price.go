package simulate

import (
	"maps"
	"strconv"
	"strings"
	"time"
)

// Price is an entry of the account's catalogue: what one unit costs, and the name of what is sold.
type Price struct {
	// ID is price_…; drawn if empty.
	ID string
	// Product is the name shown to the customer. ProductID is prod_…; drawn if empty.
	Product, ProductID string
	// Currency is three lower-case letters, UnitAmount is in its minor unit.
	Currency   string
	UnitAmount int64
	// Interval is day, week, month or year for the price of a subscription, and empty for one that is paid once.
	Interval string
	// Metadata belongs to the price, ProductMetadata to the product.
	Metadata, ProductMetadata map[string]string

	created  time.Time
	isInline bool // made by price_data of one session; not in the catalogue
}

// AddPrice puts a price into the catalogue, as one does in the dashboard. A price with a known ID replaces the other
// for new sessions.
func (s *Stripe) AddPrice(p Price) {
	now := s.begin()
	defer s.mu.Unlock()
	p = s.completePrice(p, now)
	if known, ok := s.prices.get(p.ID); ok {
		*known = p
		return
	}
	s.prices.add(p.ID, &p)
}

// completePrice fills what was left out, and makes the maps the price's own.
func (s *Stripe) completePrice(p Price, now time.Time) Price {
	if p.ID == "" {
		p.ID = s.id("price_1", 23)
	}
	if p.ProductID == "" {
		p.ProductID = s.id("prod_", 14)
	}
	p.Currency = strings.ToLower(p.Currency)
	p.Metadata, p.ProductMetadata = ownMap(p.Metadata), ownMap(p.ProductMetadata)
	p.created = now
	return p
}

// ownMap copies m; the copy is never nil, because Stripe shows {} for none.
func ownMap(m map[string]string) map[string]string {
	if m == nil {
		return map[string]string{}
	}
	return maps.Clone(m)
}

type priceObject struct {
	ID                string            `json:"id"`
	Object            string            `json:"object"`
	Active            bool              `json:"active"`
	BillingScheme     string            `json:"billing_scheme"`
	Created           int64             `json:"created"`
	Currency          string            `json:"currency"`
	CustomUnitAmount  any               `json:"custom_unit_amount"`
	Livemode          bool              `json:"livemode"`
	LookupKey         any               `json:"lookup_key"`
	Metadata          map[string]string `json:"metadata"`
	Nickname          any               `json:"nickname"`
	Product           any               `json:"product"`
	Recurring         any               `json:"recurring"`
	TaxBehavior       string            `json:"tax_behavior"`
	TiersMode         any               `json:"tiers_mode"`
	TransformQuantity any               `json:"transform_quantity"`
	Type              string            `json:"type"`
	UnitAmount        int64             `json:"unit_amount"`
	UnitAmountDecimal string            `json:"unit_amount_decimal"`
}

func (s *Stripe) showPrice(p *Price, withProduct bool) priceObject {
	object := priceObject{
		ID: p.ID, Object: "price", Active: !p.isInline, BillingScheme: "per_unit", Created: p.created.Unix(),
		Currency: p.Currency, Livemode: s.livemode, Metadata: p.Metadata, Product: p.ProductID,
		TaxBehavior: "unspecified", Type: "one_time", UnitAmount: p.UnitAmount,
		UnitAmountDecimal: strconv.FormatInt(p.UnitAmount, 10),
	}
	if p.Interval != "" {
		object.Type = "recurring"
		object.Recurring = map[string]any{"interval": p.Interval, "interval_count": 1, "meter": nil, "trial_period_days": nil, "usage_type": "licensed"}
	}
	if withProduct {
		object.Product = map[string]any{
			"id": p.ProductID, "object": "product", "active": !p.isInline, "created": p.created.Unix(), "description": nil,
			"images": []string{}, "livemode": s.livemode, "metadata": p.ProductMetadata, "name": p.Product, "type": "service",
		}
	}
	return object
}

func (s *Stripe) retrievePrice(c *call) (any, *apiError) {
	expand := c.expansion("", "product")
	if problem := c.form.check(); problem != nil {
		return nil, problem
	}
	p, ok := s.prices.get(c.id())
	if !ok {
		return nil, noSuch("price", c.id(), "price")
	}
	return s.showPrice(p, expand["product"]), nil
}

func (s *Stripe) listPrices(c *call) (any, *apiError) {
	expand := c.expansion("data.", "product")
	active, product, currency := c.form.flag("active"), c.form.text("product"), c.form.text("currency")
	match := func(p *Price) bool {
		return (active == nil || *active) && (product == "" || p.ProductID == product) && (currency == "" || p.Currency == currency)
	}
	return pageOf(c, &s.prices, func(p *Price) time.Time { return p.created }, match,
		func(p *Price) any { return s.showPrice(p, expand["product"]) })
}
