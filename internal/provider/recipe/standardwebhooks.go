package recipe

import "github.com/makegood/makegood"

// standardScheme is the scheme of Standard Webhooks (spec/standard-webhooks.md, "Webhook Headers" and "Signature scheme"):
// id, time and body joined by full stops, signed with HMAC-SHA256 (v1) or Ed25519 (v1a), several signatures with blanks
// between them. An id with a full stop in it is refused.
func standardScheme(prefix string) scheme {
	return scheme{
		header: prefix + "-signature", syntax: syntaxSpaced, idHeader: prefix + "-id", timeHeader: prefix + "-timestamp",
		signed: templateOf("{id}.{timestamp}.{body}"), encode: toBase64,
	}
}

// standardWebhooks says how to sign and not what: the user says in Generic.Reading how the bodies are read, and without
// that every event is kept and shown.
func standardWebhooks() row {
	return row{
		info: Info{Name: "standard-webhooks", Title: "Standard Webhooks",
			Secret: "the signing secret whsec_… or, for asymmetric signatures, the public key whpk_…"},
		key: keyWhsec, schemes: []scheme{standardScheme("webhook")}, transmission: []string{"webhook-id"},
		reading: unmappedReading(),
	}
}

// svix is what Resend, Clerk and many others send with. Svix names its headers svix-*, or webhook-* when the sender wants
// no brand; its own libraries take both, and so do we, but never some of one kind and some of the other.
func svix() row {
	return row{
		info: Info{Name: "svix", Title: "Svix", Secret: "the signing secret whsec_… of the endpoint"},
		key:  keySvix, schemes: []scheme{standardScheme("svix"), standardScheme("webhook")},
		transmission: []string{"svix-id", "webhook-id"}, reading: unmappedReading(),
	}
}

// unmappedReading shows type and time where the specification suggests them, and makes no facts.
func unmappedReading() reading {
	return reading{kind: []string{"type"}, created: []string{"timestamp"}, object: []string{"data.id"}}
}

// polar signs as Standard Webhooks does, with one difference: the key is the whole secret as it is shown, and not what its
// base64 would decode to (polarsource/polar, server/polar/webhook/tasks.py).
//
// An order is one by its id, which refunds name as well; the checkout is a reference. Amounts of refunds come without tax
// beside it. Renewals are orders of their own at Polar and are not new sales.
func polar() row {
	refund := rule{
		types: []string{"refund.created", "refund.updated"}, root: []string{"data"},
		status: []string{"status"}, is: map[string]makegood.FactKind{"succeeded": makegood.FactRefunded, "failed": makegood.FactRefundFailed},
		session: []string{"order_id"}, id: []string{"id"},
		amount: []string{"amount"}, plus: []string{"tax_amount"}, currency: []string{"currency"},
	}
	order := rule{
		types: []string{"order.*"}, root: []string{"data"},
		status: []string{"status"}, is: map[string]makegood.FactKind{
			"paid": makegood.FactPaid, "refunded": makegood.FactPaid, "partially_refunded": makegood.FactPaid,
			"pending": makegood.FactAwaiting, "void": makegood.FactFailed,
		},
		session: []string{"id"}, refs: []string{"checkout_id"},
		amount: []string{"total_amount"}, currency: []string{"currency"},
		email: []string{"customer.email"}, name: []string{"customer.name"},
		lines: lineSpec{
			list: []string{""}, price: []string{"items.0.product_price_id", "product_id"}, code: []string{"product.metadata.product"},
			label: []string{"product.name", "description", "items.0.label"}, subtotal: []string{"subtotal_amount"},
			orderCode: []string{"metadata.product"},
		},
	}
	return row{
		info: Info{Name: "polar", Title: "Polar", Secret: "the webhook secret as Polar shows it, whole",
			Events: "order.created, order.updated, order.paid, refund.created, refund.updated"},
		key: keyRaw, schemes: []scheme{standardScheme("webhook")}, transmission: []string{"webhook-id"},
		reading: reading{
			kind: []string{"type"}, created: []string{"timestamp", "/timestamp"}, object: []string{"data.id"},
			skips: []skip{{"data.billing_reason", []string{"subscription_cycle", "subscription_update"}, renewalNote}},
			rules: []rule{order, refund},
		},
	}
}

const renewalNote = "It is a renewal and no new sale; this version does not act on it."
