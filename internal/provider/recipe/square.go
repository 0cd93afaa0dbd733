package recipe

import (
	"regexp"

	"github.com/makegood/makegood"
)

// square signs the address that it calls, followed by the body (developer.squareup.com, "Verify and validate an event
// notification"). Behind a proxy the address that we are called by is another one, so the public one is configured.
//
// A Square order is the order, or the payment where there is none. A payment does not tell what was bought: with an API
// key the order is asked for its lines, without one the payment's reference_id must be our product's code. Refunds and
// disputes name the payment: Square makes an order of its own for a refund, which is not that of the sale.
func square() row {
	payment := rule{
		types: []string{"payment.created", "payment.updated"}, root: []string{"data.object.payment"},
		status: []string{"status"}, is: map[string]makegood.FactKind{
			"COMPLETED": makegood.FactPaid, "APPROVED": makegood.FactAwaiting, "PENDING": makegood.FactAwaiting,
			"CANCELED": makegood.FactFailed, "FAILED": makegood.FactFailed,
		},
		session: []string{"order_id", "id"}, payment: []string{"id"}, id: []string{"id"},
		amount: []string{"total_money.amount", "amount_money.amount"}, currency: []string{"total_money.currency", "amount_money.currency"},
		email: []string{"buyer_email_address"}, name: []string{"billing_address.first_name", "billing_address.last_name"},
		lines: lineSpec{
			list: []string{"api:order.line_items"}, price: []string{"catalog_object_id"}, code: []string{"metadata.product"},
			label: []string{"name", "variation_name"}, quantity: []string{"quantity"}, unit: []string{"base_price_money.amount"},
			subtotal: []string{"gross_sales_money.amount"}, currency: []string{"base_price_money.currency"},
			orderCode: []string{"api:order.metadata.product", "reference_id"},
		},
		lookup: &lookup{id: []string{"order_id"}, shape: regexp.MustCompile(`^[A-Za-z0-9_-]{1,192}$`), path: "/v2/orders/", same: "order.id"},
	}
	refund := rule{
		types: []string{"refund.created", "refund.updated"}, root: []string{"data.object.refund"},
		status: []string{"status"}, is: map[string]makegood.FactKind{
			"COMPLETED": makegood.FactRefunded, "FAILED": makegood.FactRefundFailed, "REJECTED": makegood.FactRefundFailed,
		},
		payment: []string{"payment_id"}, id: []string{"id"}, amount: []string{"amount_money.amount"}, currency: []string{"amount_money.currency"},
	}
	dispute := rule{
		types: []string{"dispute.*"}, root: []string{"data.object.dispute"},
		status: []string{"state"}, is: map[string]makegood.FactKind{
			"EVIDENCE_REQUIRED": makegood.FactDisputed, "PROCESSING": makegood.FactDisputed,
			"WON": makegood.FactDisputeWon, "LOST": makegood.FactDisputeLost, "ACCEPTED": makegood.FactDisputeLost,
		},
		payment: []string{"disputed_payment.payment_id"}, id: []string{"dispute_id", "id"},
		amount: []string{"amount_money.amount"}, currency: []string{"amount_money.currency"},
	}
	return row{
		info: Info{Name: "square", Title: "Square", Secret: "the signature key of the webhook subscription", NeedsPublicURL: true,
			UsesAPIKey: "what was bought, which payments do not tell", APIBase: "https://connect.squareup.com",
			TestAPIBase: "https://connect.squareupsandbox.com",
			Events:      "payment.created, payment.updated, refund.created, refund.updated, dispute.created, dispute.state.updated"},
		key:     keyRaw,
		schemes: []scheme{{header: "X-Square-Hmacsha256-Signature", signed: templateOf("{url}{body}"), encode: toBase64}},
		reading: reading{
			eventID: []string{"event_id"}, kind: []string{"type"}, created: []string{"/created_at"}, object: []string{"data.id"},
			rules: []rule{payment, refund, dispute},
		},
	}
}
