package recipe

import (
	"strconv"
	"strings"

	"github.com/tidwall/gjson"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/provider"
	"github.com/makegood/makegood/internal/provider/extract"
)

// adyenItems are the items of a standard webhook.
const adyenItems = "notificationItems.#.NotificationRequestItem"

// adyen signs each item of a standard webhook inside of the JSON, over eight of its fields, and the whole body of a
// platform webhook in a header (docs.adyen.com, "Verify HMAC signatures"; adyen-go-api-library, src/hmacvalidator).
//
// A payment is the order, by its PSP reference, which every modification names as the original one; a merchant reference
// may be used for several attempts. Authorised is paid: who captures by hand tells the customer the same. A capture that
// failed and a cancelled payment have given the money back. There is one dispute to a payment.
//
// Mode, address and metadata are not signed. The mode is, in effect, because each mode has a key of its own. What metadata
// name must be paid with the catalogue's price.
func adyen() row {
	session := []string{"originalReference", "pspReference"}
	about := func(id []string, is map[string]makegood.FactKind) rule {
		return rule{
			each: adyenItems, status: []string{"eventCode", "success"}, is: is, session: session, payment: session, id: id,
			amount: []string{"amount.value"}, currency: []string{"amount.currency"},
		}
	}
	payment := about(nil, map[string]makegood.FactKind{
		"AUTHORISATION:true": makegood.FactPaid, "AUTHORISATION:false": makegood.FactFailed,
		"PENDING:true": makegood.FactAwaiting, "OFFER_CLOSED:true": makegood.FactFailed,
	})
	payment.email = []string{"additionalData.shopperEmail"}
	payment.name = []string{"additionalData.shopperName", "additionalData.cardHolderName"}
	payment.lines = lineSpec{
		orderCode:     []string{`additionalData.metadata\.product`, "additionalData.metadata.product"},
		orderQuantity: []string{`additionalData.metadata\.quantity`, "additionalData.metadata.quantity"},
	}
	refund := about([]string{"pspReference"}, map[string]makegood.FactKind{
		"REFUND:true": makegood.FactRefunded, "CANCELLATION:true": makegood.FactRefunded, "CANCEL_OR_REFUND:true": makegood.FactRefunded,
		"TECHNICAL_CANCEL:true": makegood.FactRefunded, "CAPTURE_FAILED:true": makegood.FactRefunded,
		"REFUND_FAILED:true": makegood.FactRefundFailed, "REFUNDED_REVERSED:true": makegood.FactRefundFailed,
	})
	dispute := about(nil, map[string]makegood.FactKind{
		"NOTIFICATION_OF_CHARGEBACK:true": makegood.FactDisputed, "CHARGEBACK:true": makegood.FactDisputed,
		"CHARGEBACK_REVERSED:true": makegood.FactDisputeWon, "PREARBITRATION_WON:true": makegood.FactDisputeWon,
		"SECOND_CHARGEBACK:true": makegood.FactDisputeLost, "PREARBITRATION_LOST:true": makegood.FactDisputeLost,
	})
	return row{
		info: Info{Name: "adyen", Title: "Adyen", Secret: "the HMAC key of the webhook, in hexadecimal digits",
			Events: "the standard webhook, with HMAC signatures switched on"},
		key: keyHex,
		schemes: []scheme{
			{header: "HmacSignature", signed: templateOf("{body}"), encode: toBase64},
			{items: adyenMessages, encode: toBase64},
		},
		reading: reading{
			kind: []string{"notificationItems.0.NotificationRequestItem.eventCode", "type"}, created: []string{"eventDate", "createdAt"},
			object: []string{"notificationItems.0.NotificationRequestItem.pspReference", "data.id"}, identify: adyenEventID,
			mode:  mode{paths: []string{"live", "environment"}, live: []string{"true", "live"}, always: true},
			rules: []rule{payment, refund, dispute},
		},
	}
}

// adyenMessages reads what is signed in each item. It is the one place where a body is looked at before it is proved,
// because the proof is in it; the reader is the one that reads the facts, so that both see the same fields.
//
// The fields are joined by colons as they are. Adyen's documentation once said to escape colons and backslashes, Adyen
// itself does not (adyen-php-api-library#165, adyen-python-api-library#117 and #193). So only the merchant reference may
// have a colon in it: with two such fields the border between them could be moved under the same signature.
func adyenMessages(body []byte) ([]message, provider.Reason) {
	doc, _ := extract.Object(body)
	items := doc.Get(adyenItems).Array()
	if len(items) == 0 {
		return nil, provider.ReasonMissing
	}
	if len(items) != len(doc.Get("notificationItems").Array()) || len(items) > itemsMax {
		return nil, provider.ReasonMalformed
	}
	var messages []message
	for _, item := range items {
		sig := item.Get("additionalData.hmacSignature")
		if sig.Type != gjson.String || sig.Str == "" {
			return nil, provider.ReasonMissing
		}
		signed, ok := adyenSigned(item)
		if !ok {
			return nil, provider.ReasonMalformed
		}
		messages = append(messages, message{parts: [][]byte{[]byte(signed)}, signatures: []signature{{text: sig.Str}}})
	}
	return messages, ""
}

// adyenSigned joins the fields of an item that Adyen signs.
func adyenSigned(item gjson.Result) (string, bool) {
	value, ok := extract.Whole(item.Get("amount.value"))
	fields := make([]string, 0, 8)
	for _, path := range []string{"pspReference", "originalReference", "merchantAccountCode", "merchantReference", "amount.value",
		"amount.currency", "eventCode", "success"} {
		field := item.Get(path)
		text := field.Str
		switch {
		case path == "amount.value":
			text = strconv.FormatInt(value, 10)
		case path == "success" && field.IsBool():
			text = field.Raw
		case field.Exists() && field.Type != gjson.String && field.Type != gjson.Null:
			ok = false
		}
		ok = ok && (path == "merchantReference" || !strings.Contains(text, ":"))
		fields = append(fields, text)
	}
	return strings.Join(fields, ":"), ok
}

// adyenEventID: repetitions share code and PSP reference (Adyen, "Handle webhook events"), and what succeeded after it had
// failed is other news.
func adyenEventID(doc gjson.Result) string {
	items := doc.Get(adyenItems).Array()
	if len(items) == 0 {
		return ""
	}
	var all []string
	for _, item := range items {
		all = append(all, item.Get("eventCode").Str, word(item.Get("success")), item.Get("pspReference").Str)
	}
	id := strings.Join(all, ":")
	if plain := extract.Identifier(text(id)); plain != "" {
		return plain
	}
	return extract.Hashed([]byte(id))
}
