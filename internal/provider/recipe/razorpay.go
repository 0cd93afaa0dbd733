package recipe

import "github.com/makegood/makegood"

// razorpay signs the body and no time (razorpay.com/docs/webhooks/validate-test). The id of an event stands in a header,
// so a body is known by its hash.
//
// A Razorpay order is the order, or the payment where there is none. An authorised payment is not captured, so the money
// is still on its way. The notes of an order name our product: notes can be written in the browser, so what they name
// must be paid with the catalogue's price.
func razorpay() row {
	session := []string{"/payload.payment.entity.order_id", "/payload.payment.entity.id"}
	payment := rule{
		types: []string{"payment.authorized", "payment.captured", "payment.failed", "payment.pending", "order.paid", "payment_link.paid", "invoice.paid"},
		root:  []string{"payload.payment.entity"}, status: []string{"status"}, is: map[string]makegood.FactKind{
			"captured": makegood.FactPaid, "authorized": makegood.FactAwaiting, "failed": makegood.FactFailed,
		},
		session: session, payment: []string{"id"}, id: []string{"id"}, amount: []string{"amount"}, currency: []string{"currency"},
		email: []string{"email"}, name: []string{"card.name"},
		lines: lineSpec{
			orderCode:     []string{"notes.product", "/payload.order.entity.notes.product", "/payload.payment_link.entity.notes.product"},
			orderQuantity: []string{"notes.quantity", "/payload.order.entity.notes.quantity"},
		},
	}
	refund := rule{
		types: []string{"refund.*"}, root: []string{"payload.refund.entity"}, status: []string{"status"}, is: map[string]makegood.FactKind{
			"processed": makegood.FactRefunded, "failed": makegood.FactRefundFailed,
		},
		session: session, payment: []string{"payment_id"}, id: []string{"id"}, amount: []string{"amount"}, currency: []string{"currency"},
	}
	dispute := rule{
		types: []string{"payment.dispute.*"}, root: []string{"payload.dispute.entity"}, status: []string{"status"}, is: map[string]makegood.FactKind{
			"open": makegood.FactDisputed, "under_review": makegood.FactDisputed, "won": makegood.FactDisputeWon, "lost": makegood.FactDisputeLost,
		},
		session: session, payment: []string{"payment_id"}, id: []string{"id"}, amount: []string{"amount"}, currency: []string{"currency"},
	}
	return row{
		info: Info{Name: "razorpay", Title: "Razorpay", Secret: "the webhook secret, which you chose yourself; live and test mode must have different ones",
			Events: "payment.authorized, payment.captured, payment.failed, order.paid, refund.created, refund.processed, refund.failed, payment.dispute.created, payment.dispute.won, payment.dispute.lost"},
		key:     keyRaw,
		schemes: []scheme{{header: "X-Razorpay-Signature", signed: templateOf("{body}"), encode: toHex}},
		reading: reading{
			kind: []string{"event"}, created: []string{"/created_at"},
			object: []string{"payload.dispute.entity.id", "payload.refund.entity.id", "payload.payment.entity.id", "payload.order.entity.id"},
			rules:  []rule{payment, refund, dispute},
		},
	}
}
