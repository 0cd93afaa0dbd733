package recipe

import "github.com/makegood/makegood"

// shopify signs the body and no time (shopify.dev, "Deliver webhooks through HTTPS"). The topic and the id of a delivery
// stand in headers, so a body is known by its shape and by its hash.
//
// An order tells its refunds, and each is told once more by itself; both name refund and order alike. Of a refund the
// successful transactions count, so restocking alone is none. An inquiry of a bank is no dispute yet.
func shopify() row {
	const refunded = `transactions.#(kind=="refund")#|#(status=="success")#|#.amount`
	order := rule{
		types: []string{shapeOrder}, status: []string{"financial_status"}, is: map[string]makegood.FactKind{
			"paid": makegood.FactPaid, "partially_refunded": makegood.FactPaid, "refunded": makegood.FactPaid,
			"pending": makegood.FactAwaiting, "authorized": makegood.FactAwaiting, "partially_paid": makegood.FactAwaiting,
			"voided": makegood.FactFailed,
		},
		session: []string{"id"}, refs: []string{"checkout_token", "admin_graphql_api_id"},
		amount: []string{"total_price"}, decimal: true, currency: []string{"currency"},
		email: []string{"email", "contact_email", "customer.email"}, name: []string{"customer.first_name", "customer.last_name"},
		lines: lineSpec{
			list: []string{"line_items"}, price: []string{"variant_id", "product_id"}, code: []string{"sku"}, label: []string{"name", "title"},
			quantity: []string{"quantity"}, unit: []string{"price"}, decimal: true,
		},
	}
	inOrder := rule{
		types: []string{shapeOrder}, each: "refunds", otherwise: makegood.FactRefunded, session: []string{"/id"}, id: []string{"id"},
		amount: []string{refunded}, decimal: true, currency: []string{"/currency"},
	}
	// A refund that only restocks has no transactions and so no currency; any will do for nothing.
	alone := rule{
		types: []string{shapeRefund}, otherwise: makegood.FactRefunded, session: []string{"order_id"}, id: []string{"id"},
		amount: []string{refunded}, decimal: true, currency: []string{"transactions.0.currency"}, fixed: noCurrency,
	}
	dispute := rule{
		types: []string{shapeDispute}, status: []string{"type", "status"}, is: map[string]makegood.FactKind{
			"chargeback:needs_response": makegood.FactDisputed, "chargeback:under_review": makegood.FactDisputed,
			"chargeback:won": makegood.FactDisputeWon, "chargeback:lost": makegood.FactDisputeLost,
			"chargeback:accepted": makegood.FactDisputeLost, "chargeback:charge_refunded": makegood.FactDisputeLost,
		},
		session: []string{"order_id"}, id: []string{"id"}, amount: []string{"amount"}, decimal: true, currency: []string{"currency"},
	}
	return row{
		info: Info{Name: "shopify", Title: "Shopify", Secret: "the client secret of the app, or the signing secret of the shop's webhooks",
			Events: "orders/create, orders/paid, orders/updated, refunds/create, disputes/create, disputes/update"},
		key:     keyRaw,
		schemes: []scheme{{header: "X-Shopify-Hmac-Sha256", signed: templateOf("{body}"), encode: toBase64}},
		reading: reading{
			shapes: []shape{
				{shapeOrder, []string{"financial_status", "line_items"}},
				{shapeRefund, []string{"order_id", "transactions", "refund_line_items"}},
				{shapeDispute, []string{"order_id", "network_reason_code", "status", "type"}},
			},
			object: []string{"id"}, created: []string{"updated_at", "created_at", "initiated_at"},
			mode:  mode{paths: []string{"test", "transactions.0.test"}, test: "true"},
			rules: []rule{order, inOrder, alone, dispute},
		},
	}
}

// What we call Shopify's bodies.
const (
	shapeOrder   = "order"
	shapeRefund  = "refund"
	shapeDispute = "dispute"
)

// noCurrency is how ISO 4217 writes that no currency is meant.
const noCurrency = "xxx"
