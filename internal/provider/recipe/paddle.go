package recipe

import (
	"regexp"

	"github.com/makegood/makegood"
)

// paddle is Paddle Billing (developer.paddle.com/webhooks/signature-verification): ts and one or more h1 over ts:body.
// Paddle's own libraries allow five seconds; a queue in between is enough to need more, so ours is that of every row.
//
// A transaction is the order. Amounts are digits in quotes, in the minor unit. A subscription's later transactions are
// renewals. An adjustment that refunds counts once Paddle has approved it. Of a chargeback Paddle tells in several
// adjustments that do not name each other, so there is one dispute to a transaction; a warning is none yet.
//
// A transaction names its customer by id only. With an API key the address is asked for; without one the goods are shown
// on the page, or custom_data has an email.
func paddle() row {
	transaction := rule{
		types: []string{"transaction.*"}, root: []string{"data"},
		status: []string{"status"}, is: map[string]makegood.FactKind{
			"paid": makegood.FactPaid, "completed": makegood.FactPaid, "billed": makegood.FactAwaiting,
			"past_due": makegood.FactFailed, "canceled": makegood.FactFailed,
		},
		session: []string{"id"}, refs: []string{"subscription_id", "invoice_id"},
		amount: []string{"details.totals.grand_total", "details.totals.total"}, currency: []string{"currency_code"},
		email: []string{"api:data.email", "custom_data.email"}, name: []string{"api:data.name"},
		lines: lineSpec{
			list: []string{"details.line_items"}, price: []string{"price_id", "product.id"}, code: []string{"product.custom_data.product"},
			label: []string{"product.name", "price_id"}, quantity: []string{"quantity"},
			unit: []string{"unit_totals.subtotal"}, subtotal: []string{"totals.subtotal"},
			orderCode: []string{"custom_data.product"},
		},
		lookup: &lookup{id: []string{"customer_id"}, shape: regexp.MustCompile(`^ctm_[a-z0-9]{1,64}$`), path: "/customers/", same: "data.id"},
	}
	refund := rule{
		types: []string{"adjustment.*"}, root: []string{"data"},
		status: []string{"action", "status"}, is: map[string]makegood.FactKind{
			"refund:approved": makegood.FactRefunded, "refund:reversed": makegood.FactRefundFailed,
		},
		session: []string{"transaction_id"}, id: []string{"id"}, amount: []string{"totals.total"}, currency: []string{"currency_code"},
	}
	dispute := refund
	dispute.id = nil
	dispute.is = map[string]makegood.FactKind{
		"chargeback:approved": makegood.FactDisputed, "chargeback:reversed": makegood.FactDisputeWon,
		"chargeback_reverse:approved": makegood.FactDisputeWon,
	}
	return row{
		info: Info{Name: "paddle", Title: "Paddle", Secret: "the secret key pdl_ntfset_… of the notification destination",
			UsesAPIKey: "the customer's address, which transactions do not tell", APIBase: "https://api.paddle.com",
			TestAPIBase: "https://sandbox-api.paddle.com",
			Events:      "transaction.paid, transaction.completed, transaction.canceled, transaction.past_due, adjustment.created, adjustment.updated"},
		key:         keyRaw,
		keyPrefixes: map[bool]string{true: "pdl_live_", false: "pdl_sdbx_"},
		schemes: []scheme{{header: "Paddle-Signature", syntax: syntaxPairs, separator: ";", timeKey: "ts", sigKey: "h1",
			signed: templateOf("{timestamp}:{body}"), encode: toHex}},
		reading: reading{
			eventID: []string{"event_id"}, kind: []string{"event_type"}, created: []string{"/occurred_at"}, object: []string{"data.id"},
			skips: []skip{{"data.origin", []string{"subscription_recurring", "subscription_update", "subscription_charge",
				"subscription_payment_method_change"}, renewalNote}},
			rules: []rule{transaction, refund, dispute},
		},
	}
}
