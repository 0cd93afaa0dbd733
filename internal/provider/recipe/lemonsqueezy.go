package recipe

import "github.com/makegood/makegood"

// lemonSqueezy signs the body and no time (docs.lemonsqueezy.com/help/webhooks/signing-requests). Its bodies have no id of
// the event, so the hash of the body is.
//
// A refund has no id either, and the order tells how much came back in all. So there is one refund to an order, whose
// amount grows: of two tellings the larger counts, in whatever order they come. Custom data of a checkout can be written
// by the customer, so a product that only they name must be paid with the catalogue's price.
func lemonSqueezy() row {
	order := rule{
		root: []string{"data.attributes"}, only: map[string]string{"/data.type": "orders"},
		status: []string{"status"}, is: map[string]makegood.FactKind{
			"paid": makegood.FactPaid, "refunded": makegood.FactPaid, "partial_refund": makegood.FactPaid,
			"pending": makegood.FactAwaiting, "failed": makegood.FactFailed,
		},
		session: []string{"/data.id"}, refs: []string{"identifier"},
		amount: []string{"total"}, currency: []string{"currency"}, email: []string{"user_email"}, name: []string{"user_name"},
		lines: lineSpec{
			list: []string{""}, price: []string{"first_order_item.variant_id", "first_order_item.price_id", "first_order_item.product_id"},
			label:    []string{"first_order_item.product_name", "first_order_item.variant_name"},
			quantity: []string{"first_order_item.quantity"}, unit: []string{"first_order_item.price"}, subtotal: []string{"subtotal"},
			orderCode: []string{"/meta.custom_data.product"},
		},
	}
	refund := rule{
		root: order.root, only: order.only, status: order.status, session: order.session, refs: order.refs, currency: order.currency,
		is:     map[string]makegood.FactKind{"refunded": makegood.FactRefunded, "partial_refund": makegood.FactRefunded},
		amount: []string{"refunded_amount"},
	}
	return row{
		info: Info{Name: "lemonsqueezy", Title: "Lemon Squeezy", Secret: "the signing secret of the webhook",
			Events: "order_created, order_refunded"},
		key:     keyRaw,
		schemes: []scheme{{header: "X-Signature", signed: templateOf("{body}"), encode: toHex}},
		reading: reading{
			kind: []string{"meta.event_name"}, created: []string{"updated_at", "data.attributes.updated_at"}, object: []string{"data.id"},
			mode:  mode{paths: []string{"data.attributes.test_mode", "meta.test_mode"}, live: []string{"false"}, always: true},
			rules: []rule{order, refund},
		},
	}
}
