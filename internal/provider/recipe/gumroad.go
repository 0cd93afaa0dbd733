package recipe

import (
	"regexp"

	"github.com/makegood/makegood"
)

// gumroad pings with an unsigned form (gumroad.com/ping; antiwork/gumroad,
// app/sidekiq/post_to_individual_ping_endpoint_worker.rb). Nothing is believed but what the API says of the sale. One word
// of the ping counts, because it can only hold something back: that the purchase is a test.
//
// A sale is the order. It is there once it was paid. Of a partial refund the API does not tell how much, so only a full
// one is a refund; a partial one takes nothing away from the customer anyway.
func gumroad() row {
	sale := rule{
		root: []string{"sale"}, otherwise: makegood.FactPaid, session: []string{"id"}, payment: []string{"id"}, refs: []string{"order_id"},
		amount: []string{"price"}, currency: []string{"currency", "currency_symbol"},
		email: []string{"email", "purchase_email"}, name: []string{"full_name"},
		lines: lineSpec{
			list: []string{""}, price: []string{"product_id", "product_permalink", "short_product_id"}, label: []string{"product_name"},
			quantity: []string{"quantity"}, subtotal: []string{"price"},
		},
	}
	about := func(status string, is map[string]makegood.FactKind) rule {
		return rule{root: sale.root, status: []string{status}, is: is, session: sale.session, payment: sale.payment,
			amount: sale.amount, currency: sale.currency}
	}
	refunded := about("refunded", map[string]makegood.FactKind{"true": makegood.FactRefunded})
	won := about("dispute_won", map[string]makegood.FactKind{"true": makegood.FactDisputeWon})
	disputed := about("disputed", map[string]makegood.FactKind{"true": makegood.FactDisputed})
	chargedBack := about("chargedback", map[string]makegood.FactKind{"true": makegood.FactDisputed})
	return row{
		info: Info{Name: "gumroad", Title: "Gumroad", Secret: tokenSecret, TokenInAddress: true, NeedsAPIKey: true,
			APIBase: "https://api.gumroad.com", Events: "the ping of the account's settings, and the resource subscriptions refund, dispute, dispute_won"},
		key: keyToken, schemes: []scheme{{token: tokenField}},
		reading: reading{
			isForm: true, isHint: true, kind: []string{"resource_name"}, shapes: []shape{{"sale", []string{"sale_id"}}},
			object: []string{"sale_id"}, created: []string{"sale_timestamp", "created_at", "/sale.created_at"},
			mode:    mode{paths: []string{"test", "sale.test"}, test: "true"},
			skips:   []skip{{"sale.recurring_charge", []string{"true"}, renewalNote}, {"sale.is_recurring_charge", []string{"true"}, renewalNote}},
			confirm: &lookup{id: []string{"sale_id"}, shape: regexp.MustCompile(`^[A-Za-z0-9_-]{1,120}={0,2}$`), path: "/v2/sales/", same: "sale.id"},
			rules:   []rule{sale, refunded, won, disputed, chargedBack},
		},
	}
}
