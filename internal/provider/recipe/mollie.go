package recipe

import (
	"regexp"

	"github.com/tidwall/gjson"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/provider/extract"
)

// mollie is the newer kind of Mollie's webhooks, which is signed (docs.mollie.com/reference/webhooks-new; mollie-api-php,
// src/Webhooks/SignatureValidator.php). A delivery without a signature is not believed here: it is of the older kind, for
// which there is the row mollie-classic.
//
// A payment is the order. With an API key every payment is read from the API, with all its refunds and chargebacks;
// without one the delivery must have the payment in it.
func mollie() row {
	confirm := mollieLookup("_embedded.entity.paymentId", "paymentId", "_embedded.entity.id", "entityId", "id")
	confirm.body = []string{"_embedded.entity.status", "_embedded.payment.status", "status"}
	return row{
		info: Info{Name: "mollie", Title: "Mollie", Secret: "the signing secret of the webhook",
			UsesAPIKey: "chargebacks, and what a webhook with the simple payload leaves out", APIBase: "https://api.mollie.com",
			Events: "payment.paid, payment.failed, payment.canceled, payment.expired, payment.pending, refund.refunded, refund.failed"},
		key: keyRaw, keyPrefixes: mollieKeys,
		schemes: []scheme{{header: "X-Mollie-Signature", prefix: "sha256=", signed: templateOf("{body}"), encode: toHex}},
		reading: reading{
			kind: []string{"type", "resource"}, object: []string{"entityId", "id"}, created: []string{"/createdAt"},
			identify: mollieEventID,
			mode:     mode{paths: []string{"_embedded.entity.mode", "_embedded.payment.mode", "mode"}, live: []string{"live"}},
			confirm:  confirm, rules: mollieRules(),
		},
	}
}

// mollieClassic is Mollie's older kind: a form with an id, unsigned, which says "look again"
// (docs.mollie.com/reference/webhooks). Nothing is believed but the API. The same form comes for every change of a payment,
// so each is an event of its own.
func mollieClassic() row {
	return row{
		info: Info{Name: "mollie-classic", Title: "Mollie", Secret: tokenSecret, TokenInAddress: true, NeedsAPIKey: true,
			APIBase: "https://api.mollie.com", Events: "the webhookUrl of each payment, with ?token=…"},
		key: keyToken, keyPrefixes: mollieKeys, schemes: []scheme{{token: tokenField}},
		reading: reading{
			isForm: true, isHint: true, object: []string{"id"}, shapes: []shape{{"ping", []string{"id"}}}, created: []string{"/paidAt", "/createdAt"},
			mode: mode{paths: []string{"mode"}, live: []string{"live"}}, confirm: mollieLookup("id"), rules: mollieRules(),
		},
	}
}

// What every row has whose deliveries are not signed.
const (
	tokenField  = "token"
	tokenSecret = "a long random word of your own, which stands in the address of the hook as ?token=…"
)

// mollieEventID: the older of the two shapes of a signed delivery is the payment itself, whose id is not that of the event.
func mollieEventID(doc gjson.Result) string {
	if doc.Get("resource").Str != "event" {
		return ""
	}
	return extract.Identifier(doc.Get("id"))
}

var mollieKeys = map[bool]string{true: "live_", false: "test_"}

func mollieLookup(id ...string) *lookup {
	return &lookup{id: id, shape: regexp.MustCompile(`^tr_[A-Za-z0-9]{1,64}$`), path: "/v2/payments/", query: "embed=refunds%2Cchargebacks", same: "id"}
}

// mollieRules read a payment as the API tells it, or as a signed delivery has it, and a refund that is told by itself.
func mollieRules() []rule {
	roots := []string{"_embedded.entity", "_embedded.payment", ""}
	isPayment := map[string]string{"resource": "payment"}
	refunds := map[string]makegood.FactKind{
		"processing": makegood.FactRefunded, "refunded": makegood.FactRefunded, "failed": makegood.FactRefundFailed,
	}
	return []rule{
		{
			root: roots, only: isPayment, status: []string{"status"}, is: map[string]makegood.FactKind{
				"paid": makegood.FactPaid, "pending": makegood.FactAwaiting, "authorized": makegood.FactAwaiting,
				"failed": makegood.FactFailed, "canceled": makegood.FactFailed, "expired": makegood.FactExpired,
			},
			session: []string{"id"}, payment: []string{"id"}, refs: []string{"orderId", "subscriptionId"},
			amount: []string{"amount.value"}, decimal: true, currency: []string{"amount.currency"},
			email: []string{"billingAddress.email", "metadata.email"}, name: []string{"billingAddress.givenName", "billingAddress.familyName"},
			lines: lineSpec{
				list: []string{"lines"}, price: []string{"sku"}, code: []string{"sku", "metadata.product"}, label: []string{"description"},
				quantity: []string{"quantity"}, unit: []string{"unitPrice.value"}, currency: []string{"unitPrice.currency"}, decimal: true,
				orderCode: []string{"metadata.product"}, orderQuantity: []string{"metadata.quantity"},
			},
		},
		{
			root: roots, only: isPayment, each: "_embedded.refunds", status: []string{"status"}, is: refunds, session: []string{"paymentId"},
			payment: []string{"paymentId"}, id: []string{"id"}, amount: []string{"amount.value"}, decimal: true, currency: []string{"amount.currency"},
		},
		{ // A chargeback has no status: it stands until it is reversed.
			root: roots, only: isPayment, each: "_embedded.chargebacks", status: []string{"reversedAt"}, session: []string{"paymentId"},
			is: map[string]makegood.FactKind{"": makegood.FactDisputed}, otherwise: makegood.FactDisputeWon,
			payment: []string{"paymentId"}, id: []string{"id"}, amount: []string{"amount.value"}, decimal: true, currency: []string{"amount.currency"},
		},
		{
			root: roots, only: map[string]string{"resource": "refund"}, status: []string{"status"}, is: refunds, session: []string{"paymentId"},
			payment: []string{"paymentId"}, id: []string{"id"}, amount: []string{"amount.value"}, decimal: true, currency: []string{"amount.currency"},
		},
	}
}
