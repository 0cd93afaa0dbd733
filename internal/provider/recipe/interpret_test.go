package recipe_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/outbound"
	"github.com/makegood/makegood/internal/provider"
	"github.com/makegood/makegood/internal/provider/recipe"
)

// swap replaces in a body, and refuses when there is nothing to replace.
func swap(body string, pairs ...string) string {
	for i := 0; i < len(pairs); i += 2 {
		if !strings.Contains(body, pairs[i]) {
			panic("the body has no " + pairs[i])
		}
		body = strings.Replace(body, pairs[i], pairs[i+1], 1)
	}
	return body
}

func single(f makegood.Fact) []makegood.Fact { return []makegood.Fact{f} }

var (
	paddlePaid   = with(paid("txn_01hv8wptq8987qeep44cyrewp9", "txn_01hv8wptq8987qeep44cyrewp9", "", usd(6051), line("AZ-900 exam", 2)), "inv_01hv8")
	lemonPaid    = with(paid("2451", "2451", "", usd(3480), makegood.Line{Label: "AZ-900 exam", Quantity: 1, Subtotal: usd(2900)}), "104e18a2-d755-4d4b-80c4-a6c1dcbe1c10")
	polarPaid    = with(paid("57107b74-8400-4d80-a2fc-54c2b4239cb3", "57107b74-8400-4d80-a2fc-54c2b4239cb3", "", usd(3480), unagreed("AZ-900 exam", usd(2900))), "1dbfc517-0bbf-4301-9ba8-555ca42b9737")
	squarePaid   = paid("03O3USaPaAaFnI6kkwB1JxGgBsUZY", "hYy9pRFVxpDsO1FB05SunFWUe9JZY", "hYy9pRFVxpDsO1FB05SunFWUe9JZY", usd(2900), line("AZ-900 exam", 1))
	shopifyPaid  = with(paid("820982911946154508", "820982911946154508", "", eur(10800), makegood.Line{Product: "dp-203", Label: "DP-203 exam", Quantity: 2, Subtotal: eur(9800), Agreed: eur(4900)}), "c1", "gid://shopify/Order/820982911946154508")
	razorpayOne  = makegood.Fact{Key: key("order_DESlLckIVRkHWj"), Kind: makegood.FactPaid, ObjectID: "pay_DESlfW9H8K9uqM", PaymentID: "pay_DESlfW9H8K9uqM", Amount: usd(2900), Customer: makegood.Customer{Email: "ann@example.com"}, Lines: []makegood.Line{unagreed("AZ-900", usd(2900))}}
	adyenPaid    = paid("NC6HT9CRT65ZGN82", "NC6HT9CRT65ZGN82", "NC6HT9CRT65ZGN82", usd(2900), unagreed("AZ-900", usd(2900)))
	adyenGone    = makegood.Fact{Key: key("NC6HT9CRT65ZGN82"), Kind: makegood.FactRefunded, ObjectID: "KHQC5N7G84BLNK43", PaymentID: "NC6HT9CRT65ZGN82", Amount: usd(900)}
	githubPaid   = makegood.Fact{Key: key("MDExOlNwb25zb3JzaGlwMQ=="), Kind: makegood.FactPaid, ObjectID: "MDExOlNwb25zb3JzaGlwMQ==", Amount: usd(2900), Customer: makegood.Customer{Name: "ann"}, Lines: []makegood.Line{line("$29 a month", 1)}}
	razorpayGone = makegood.Fact{Key: key("order_1"), Kind: makegood.FactRefunded, ObjectID: "rfnd_1", PaymentID: "pay_1", Amount: inr(500)}
)

// change returns the fact as another kind, without what only a payment tells.
func change(f makegood.Fact, kind makegood.FactKind) makegood.Fact {
	f.Kind, f.Lines = kind, nil
	return f
}

func refund(session, object, payment string, amount makegood.Money) makegood.Fact {
	return makegood.Fact{Key: key(session), Kind: makegood.FactRefunded, ObjectID: object, PaymentID: payment, Amount: amount}
}

const razorpayRefund = `{"entity":"event","account_id":"acc_1","event":"refund.processed","contains":["refund","payment"],"payload":{"refund":{"entity":{"id":"rfnd_1","amount":500,"currency":"INR",
	"payment_id":"pay_1","status":"processed"}},"payment":{"entity":{"id":"pay_1","amount":5000,"currency":"INR","status":"captured","order_id":"order_1","captured":true}}},"created_at":1788264000}`

const squareRefund = `{"merchant_id":"6SSW","type":"refund.updated","event_id":"e2","created_at":"2026-02-06T21:27:34.308Z","data":{"type":"refund","id":"r1","object":{"refund":{"id":"r1",
	"status":"COMPLETED","payment_id":"pay1","order_id":"order-of-the-refund","amount_money":{"amount":100,"currency":"USD"}}}}}`

const squareDispute = `{"merchant_id":"6SSW","type":"dispute.state.updated","event_id":"e3","created_at":"2026-02-06T21:27:34.308Z","data":{"type":"dispute","id":"d1","object":{"dispute":{"id":"d1",
	"state":"WON","disputed_payment":{"payment_id":"pay1"},"amount_money":{"amount":100,"currency":"USD"}}}}}`

const shopifyRefund = `{"id":509562969,"order_id":820982911946154508,"created_at":"2026-12-31T12:00:00-05:00","refund_line_items":[],"transactions":[
	{"id":1,"kind":"refund","status":"success","amount":"8.00","currency":"EUR"},{"id":2,"kind":"refund","status":"failure","amount":"100.00","currency":"EUR"},
	{"id":3,"kind":"refund","status":"success","amount":"1.50","currency":"EUR"}]}`

const shopifyDispute = `{"id":285332461850802050,"order_id":820982911946154508,"type":"chargeback","amount":"11.50","currency":"EUR","reason":"fraudulent","network_reason_code":"4837","status":"under_review","initiated_at":"2026-12-31T12:00:00-05:00"}`

const polarRefund = `{"type":"refund.created","timestamp":"2026-05-02T09:00:00Z","data":{"id":"re-1","status":"succeeded","amount":1000,"tax_amount":200,"currency":"usd","order_id":"57107b74"}}`

const mollieEvent = `{"resource":"event","id":"event_GvJ8WHrp5isUdRub9CJyH","type":"payment.paid","entityId":"tr_7UhSN1zuXS","createdAt":"2026-03-20T09:20:37+00:00","_links":{}}`

var bodies = []told{
	{provider: "paddle", name: "paid", body: paddleTransaction, path: "/customers/ctm_01hv6y1jedq4p1n0yqn5ba3ky4",
		api: `{"data":{"id":"ctm_01hv6y1jedq4p1n0yqn5ba3ky4","name":"Ann Smith","email":"ann@example.com"}}`, want: single(paddlePaid)},
	{provider: "paddle", name: "the status decides, not the name", body: swap(paddleTransaction, `"status":"completed"`, `"status":"past_due"`), want: single(change(func() makegood.Fact { f := paddlePaid; f.Customer = makegood.Customer{}; return f }(), makegood.FactFailed))},
	{provider: "paddle", name: "not yet paid", body: swap(paddleTransaction, `"status":"completed"`, `"status":"ready"`), note: "ready changes nothing"},
	{provider: "paddle", name: "a renewal", body: swap(paddleTransaction, `"origin":"web"`, `"origin":"subscription_recurring"`), note: "renewal"},
	{provider: "paddle", name: "a refund", body: paddleAdjustment, want: single(refund("txn_01hv8", "adj_01hv9", "", usd(3175)))},
	{provider: "paddle", name: "a refund that waits", body: swap(paddleAdjustment, "approved", "pending_approval"), note: "refund:pending_approval changes nothing"},
	{provider: "paddle", name: "a refund that came back", body: swap(paddleAdjustment, "approved", "reversed"), want: single(change(refund("txn_01hv8", "adj_01hv9", "", usd(3175)), makegood.FactRefundFailed))},
	{provider: "paddle", name: "a chargeback", body: swap(paddleAdjustment, `"refund"`, `"chargeback"`), want: single(change(refund("txn_01hv8", "txn_01hv8", "", usd(3175)), makegood.FactDisputed))},
	{provider: "paddle", name: "a chargeback won", body: swap(paddleAdjustment, `"refund"`, `"chargeback_reverse"`), want: single(change(refund("txn_01hv8", "txn_01hv8", "", usd(3175)), makegood.FactDisputeWon))},
	{provider: "paddle", name: "a warning", body: swap(paddleAdjustment, `"refund"`, `"chargeback_warning"`), note: "changes nothing"},
	{provider: "paddle", name: "a payment without an order", body: swap(paddleTransaction, `"id":"txn_01hv8wptq8987qeep44cyrewp9",`, "", `"customer_id":"ctm_01hv6y1jedq4p1n0yqn5ba3ky4",`, ""), verdict: "permanent"},
	{provider: "paddle", name: "a refund of nobody knows how much", body: swap(paddleAdjustment, `"total":"3175"`, `"total":"31.75"`), verdict: "permanent"},
	{provider: "paddle", name: "nonsense", body: `{"event_type":"transaction.completed","data":7}`, note: "kept and shown"},

	{provider: "lemonsqueezy", name: "paid", body: lemonOrder, want: single(lemonPaid)},
	{provider: "lemonsqueezy", name: "a product of the catalogue", body: swap(lemonOrder, "39072857", `"price-az900"`), want: single(func() makegood.Fact {
		f := lemonPaid
		f.Lines = []makegood.Line{line("AZ-900 exam", 1)}
		return f
	}())},
	{provider: "lemonsqueezy", name: "what the customer wrote counts at the catalogue's price only", body: swap(lemonOrder, `"user":"7"`, `"product":"az-900"`), want: single(func() makegood.Fact {
		f := lemonPaid
		f.Lines = []makegood.Line{unagreed("AZ-900 exam", usd(2900))}
		return f
	}())},
	{provider: "lemonsqueezy", name: "partly refunded", body: swap(lemonOrder, `"status":"paid"`, `"status":"partial_refund"`, `"refunded_amount":0`, `"refunded_amount":500`),
		want: []makegood.Fact{lemonPaid, with(refund("2451", "2451", "", usd(500)), "104e18a2-d755-4d4b-80c4-a6c1dcbe1c10")}},
	{provider: "lemonsqueezy", name: "failed", body: swap(lemonOrder, `"status":"paid"`, `"status":"failed"`), want: single(change(lemonPaid, makegood.FactFailed))},
	{provider: "lemonsqueezy", name: "pending", body: swap(lemonOrder, `"status":"paid"`, `"status":"pending"`), want: single(change(lemonPaid, makegood.FactAwaiting))},
	{provider: "lemonsqueezy", name: "the other mode", body: swap(lemonOrder, `000Z","test_mode":true`, `000Z","test_mode":false`), note: "live mode"},
	{provider: "lemonsqueezy", name: "a subscription", body: swap(lemonOrder, `"type":"orders"`, `"type":"subscriptions"`), note: "order_created is kept"},
	{provider: "lemonsqueezy", name: "nonsense", body: `[]`, note: "cannot be read"},

	{provider: "polar", name: "paid", body: polarOrder, want: single(polarPaid)},
	{provider: "polar", name: "awaiting", body: swap(polarOrder, `"status":"paid"`, `"status":"pending"`), want: single(change(polarPaid, makegood.FactAwaiting))},
	{provider: "polar", name: "a renewal", body: swap(polarOrder, `"purchase"`, `"subscription_cycle"`), note: "renewal"},
	{provider: "polar", name: "refunded tells the payment once more", body: swap(polarOrder, `"status":"paid"`, `"status":"refunded"`, `"order.paid"`, `"order.refunded"`), want: single(polarPaid)},
	{provider: "polar", name: "a refund with its tax", body: polarRefund, want: single(refund("57107b74", "re-1", "", usd(1200)))},
	{provider: "polar", name: "a refund that waits", body: swap(polarRefund, "succeeded", "pending"), note: "pending changes nothing"},
	{provider: "polar", name: "a refund that failed", body: swap(polarRefund, "succeeded", "failed"), want: single(change(refund("57107b74", "re-1", "", usd(1200)), makegood.FactRefundFailed))},
	{provider: "polar", name: "nonsense", body: `{"type":"order.paid","data":null}`, note: "kept and shown"},

	{provider: "square", name: "paid", body: squarePayment, path: "/v2/orders/03O3USaPaAaFnI6kkwB1JxGgBsUZY", api: squareOrder, want: single(squarePaid)},
	{provider: "square", name: "an order without items", body: squarePayment, path: "/v2/orders/03O3USaPaAaFnI6kkwB1JxGgBsUZY", api: `{"order":{"id":"03O3USaPaAaFnI6kkwB1JxGgBsUZY"}}`, want: single(func() makegood.Fact {
		f := squarePaid
		f.Lines = []makegood.Line{unagreed("AZ-900", usd(2900))}
		return f
	}())},
	{provider: "square", name: "authorised", body: swap(squarePayment, "COMPLETED", "APPROVED"), want: single(change(squarePaid, makegood.FactAwaiting))},
	{provider: "square", name: "cancelled", body: swap(squarePayment, "COMPLETED", "CANCELED"), want: single(change(squarePaid, makegood.FactFailed))},
	{provider: "square", name: "a refund finds its order by the payment", body: squareRefund, want: single(refund("", "r1", "pay1", usd(100)))},
	{provider: "square", name: "a refund that waits", body: swap(squareRefund, "COMPLETED", "PENDING"), note: "PENDING changes nothing"},
	{provider: "square", name: "a refund of nobody knows which payment", body: swap(squareRefund, `"payment_id":"pay1",`, ""), verdict: "permanent"},
	{provider: "square", name: "a dispute won", body: squareDispute, want: single(change(refund("", "d1", "pay1", usd(100)), makegood.FactDisputeWon))},
	{provider: "square", name: "an order that Square does not know", body: squarePayment, path: "/elsewhere", api: "{}", verdict: "retry"},
	{provider: "square", name: "nonsense", body: `{"type":"payment.updated","data":{"object":[]}}`, note: "kept and shown"},

	{provider: "shopify", name: "paid", body: shopifyOrder, want: single(shopifyPaid)},
	{provider: "shopify", name: "with a refund", body: swap(shopifyOrder, `"refunds":[]`, `"refunds":[`+shopifyRefund+`]`, `"paid"`, `"partially_refunded"`),
		want: []makegood.Fact{shopifyPaid, refund("820982911946154508", "509562969", "", eur(950))}},
	{provider: "shopify", name: "a refund alone", body: shopifyRefund, want: single(refund("820982911946154508", "509562969", "", eur(950)))},
	{provider: "shopify", name: "only restocked", body: `{"id":5,"order_id":8,"refund_line_items":[],"transactions":[]}`, note: "Nothing in it"},
	{provider: "shopify", name: "pending", body: swap(shopifyOrder, `"paid"`, `"pending"`), want: single(change(shopifyPaid, makegood.FactAwaiting))},
	{provider: "shopify", name: "voided", body: swap(shopifyOrder, `"paid"`, `"voided"`), want: single(change(shopifyPaid, makegood.FactFailed))},
	{provider: "shopify", name: "a dispute", body: shopifyDispute, want: single(change(refund("820982911946154508", "285332461850802050", "", eur(1150)), makegood.FactDisputed))},
	{provider: "shopify", name: "an inquiry", body: swap(shopifyDispute, "chargeback", "inquiry"), note: "changes nothing"},
	{provider: "shopify", name: "a product", body: `{"id":7,"title":"Mug","variants":[]}`, note: "kept and shown"},
	{provider: "shopify", name: "nonsense", body: `{"line_items":{},"financial_status":"paid"}`, verdict: "permanent"},

	{provider: "razorpay", name: "paid", body: razorpayPaid, want: single(razorpayOne)},
	{provider: "razorpay", name: "authorised", body: swap(razorpayPaid, `"status":"captured"`, `"status":"authorized"`), want: single(change(razorpayOne, makegood.FactAwaiting))},
	{provider: "razorpay", name: "failed", body: swap(razorpayPaid, `"status":"captured"`, `"status":"failed"`), want: single(change(razorpayOne, makegood.FactFailed))},
	{provider: "razorpay", name: "without an order", body: swap(razorpayPaid, `"order_DESlLckIVRkHWj"`, "null"), want: single(func() makegood.Fact { f := razorpayOne; f.Key.SessionID = f.PaymentID; return f }())},
	{provider: "razorpay", name: "a refund", body: razorpayRefund, want: single(razorpayGone)},
	{provider: "razorpay", name: "a refund without its payment", body: swap(razorpayRefund, `"payment":{"entity"`, `"other":{"entity"`), want: single(refund("", "rfnd_1", "pay_1", inr(500)))},
	{provider: "razorpay", name: "a refund that failed", body: swap(razorpayRefund, `"status":"processed"`, `"status":"failed"`), want: single(change(razorpayGone, makegood.FactRefundFailed))},
	{provider: "razorpay", name: "a dispute lost", body: swap(razorpayRefund, `"refund.processed"`, `"payment.dispute.lost"`, `"refund":{"entity":{"id":"rfnd_1"`, `"dispute":{"entity":{"id":"disp_1"`, `"status":"processed"`, `"status":"lost"`),
		want: single(change(refund("order_1", "disp_1", "pay_1", inr(500)), makegood.FactDisputeLost))},
	{provider: "razorpay", name: "nonsense", body: `{"event":"payment.captured","payload":{}}`, note: "kept and shown"},

	{provider: "adyen", name: "paid", body: adyenItems(adyenItem), want: single(adyenPaid)},
	{provider: "adyen", name: "refused", body: adyenItems(swap(adyenItem, `"success":"true"`, `"success":"false"`)), want: single(change(adyenPaid, makegood.FactFailed))},
	{provider: "adyen", name: "awaiting", body: adyenItems(swap(adyenItem, "AUTHORISATION", "PENDING")), want: single(change(adyenPaid, makegood.FactAwaiting))},
	{provider: "adyen", name: "a refund", body: adyenItems(adyenRefund), want: single(adyenGone)},
	{provider: "adyen", name: "a refund that was refused", body: adyenItems(swap(adyenRefund, `"success":"true"`, `"success":"false"`)), note: "REFUND:false changes nothing"},
	{provider: "adyen", name: "a refund that came back", body: adyenItems(swap(adyenRefund, `"REFUND"`, `"REFUND_FAILED"`)), want: single(change(adyenGone, makegood.FactRefundFailed))},
	{provider: "adyen", name: "a chargeback", body: adyenItems(swap(adyenRefund, `"REFUND"`, `"CHARGEBACK"`)), want: single(func() makegood.Fact {
		f := change(adyenGone, makegood.FactDisputed)
		f.ObjectID = f.PaymentID
		return f
	}())},
	{provider: "adyen", name: "two items of one order", body: adyenItems(adyenItem + "," + adyenRefund), want: []makegood.Fact{adyenPaid, adyenGone}},
	{provider: "adyen", name: "items of two orders", body: adyenItems(adyenItem + "," + swap(adyenItem, "NC6HT9CRT65ZGN82", "OTHER")), verdict: "permanent"},
	{provider: "adyen", name: "the other mode", body: swap(adyenItems(adyenItem), `"live":"false"`, `"live":"true"`), note: "live mode"},
	{provider: "adyen", name: "a report", body: adyenItems(swap(adyenItem, "AUTHORISATION", "REPORT_AVAILABLE")), note: "changes nothing"},
	{provider: "adyen", name: "of a platform", body: `{"type":"balancePlatform.accountHolder.created","environment":"test","data":{"id":"x"}}`, note: "Nothing in it"},
	{provider: "adyen", name: "nonsense", body: `{"live":"false","notificationItems":{}}`, note: "kept and shown"},

	{provider: "mollie", name: "paid", body: mollieEvent, path: molliePath, api: molliePayment, want: mollieAll},
	{provider: "mollie", name: "the API's word counts", body: swap(mollieEvent, `"_links"`, `"_embedded":{"entity":`+swap(molliePayment, "29.00", "1.00")+`},"_links"`), path: molliePath, api: molliePayment, want: mollieAll},
	{provider: "mollie", name: "a refund", body: `{"resource":"event","id":"event_2","type":"refund.refunded","entityId":"re_1","_embedded":{"entity":{"resource":"refund","id":"re_1","paymentId":"tr_7UhSN1zuXS","status":"refunded","amount":{"value":"9.00","currency":"USD"}}}}`,
		path: molliePath, api: molliePayment, want: mollieAll},
	{provider: "mollie", name: "failed", body: mollieEvent, path: molliePath, api: `{"resource":"payment","id":"tr_7UhSN1zuXS","mode":"test","status":"failed","amount":{"value":"29.00","currency":"USD"}}`,
		want: single(change(refund("tr_7UhSN1zuXS", "tr_7UhSN1zuXS", "tr_7UhSN1zuXS", usd(2900)), makegood.FactFailed))},
	{provider: "mollie", name: "the API says live", body: mollieEvent, path: molliePath, api: swap(molliePayment, `"mode":"test"`, `"mode":"live"`), note: "live mode"},
	{provider: "mollie", name: "a payment link", body: swap(mollieEvent, "tr_7UhSN1zuXS", "pl_1", "payment.paid", "payment-link.paid"), verdict: "permanent"},
	{provider: "mollie", name: "an invoice", body: swap(mollieEvent, "tr_7UhSN1zuXS", "invoice_1", "payment.paid", "sales-invoice.issued"), note: "nothing that can be asked"},
	{provider: "mollie", name: "nonsense", body: `"tr_7UhSN1zuXS"`, note: "cannot be read"},

	{provider: "mollie-classic", name: "paid", body: "id=tr_7UhSN1zuXS", path: molliePath, api: molliePayment, want: mollieAll},
	{provider: "mollie-classic", name: "nothing of the ping is believed", body: "id=tr_7UhSN1zuXS&status=paid&amount.value=1.00&mode=test", path: molliePath,
		api: `{"resource":"payment","id":"tr_7UhSN1zuXS","mode":"test","status":"open","amount":{"value":"29.00","currency":"USD"}}`, note: "open changes nothing"},
	{provider: "mollie-classic", name: "expired", body: "id=tr_7UhSN1zuXS", path: molliePath, api: `{"resource":"payment","id":"tr_7UhSN1zuXS","mode":"test","status":"expired","amount":{"value":"29.00","currency":"USD"}}`,
		want: single(change(refund("tr_7UhSN1zuXS", "tr_7UhSN1zuXS", "tr_7UhSN1zuXS", usd(2900)), makegood.FactExpired))},
	{provider: "mollie-classic", name: "a chargeback reversed", body: "id=tr_7UhSN1zuXS", path: molliePath, api: swap(molliePayment, `"reversedAt":null`, `"reversedAt":"2026-04-01T00:00:00+00:00"`),
		want: []makegood.Fact{mollieAll[0], mollieAll[1], change(mollieAll[2], makegood.FactDisputeWon)}},
	{provider: "mollie-classic", name: "Mollie does not know it", body: "id=tr_7UhSN1zuXS", path: "/elsewhere", api: "{}", verdict: "retry"},
	{provider: "mollie-classic", name: "another payment than was asked for", body: "id=tr_7UhSN1zuXS", path: molliePath, api: swap(molliePayment, "tr_7UhSN1zuXS", "tr_other"), verdict: "retry"},
	{provider: "mollie-classic", name: "an id that leads elsewhere", body: "id=tr_7/../../v2/profiles", note: "nothing that can be asked"},
	{provider: "mollie-classic", name: "nonsense", body: "", note: "cannot be read"},

	{provider: "gumroad", name: "paid", body: gumroadPing, path: gumroadPath, api: gumroadSale, want: single(gumroadPaid)},
	{provider: "gumroad", name: "refunded", body: gumroadPing, path: gumroadPath, api: swap(gumroadSale, `"refunded":false`, `"refunded":true`),
		want: []makegood.Fact{gumroadPaid, refund("FO8TXN-dvaYbBbahG97a-Q==", "FO8TXN-dvaYbBbahG97a-Q==", "FO8TXN-dvaYbBbahG97a-Q==", usd(2900))}},
	{provider: "gumroad", name: "charged back", body: gumroadPing, path: gumroadPath, api: swap(gumroadSale, `"chargedback":false`, `"chargedback":true`),
		want: []makegood.Fact{gumroadPaid, change(refund("FO8TXN-dvaYbBbahG97a-Q==", "FO8TXN-dvaYbBbahG97a-Q==", "FO8TXN-dvaYbBbahG97a-Q==", usd(2900)), makegood.FactDisputed)}},
	{provider: "gumroad", name: "a dispute won", body: gumroadPing, path: gumroadPath, api: swap(gumroadSale, `"disputed":false`, `"disputed":true`, `"dispute_won":false`, `"dispute_won":true`),
		want: []makegood.Fact{gumroadPaid,
			change(refund("FO8TXN-dvaYbBbahG97a-Q==", "FO8TXN-dvaYbBbahG97a-Q==", "FO8TXN-dvaYbBbahG97a-Q==", usd(2900)), makegood.FactDisputeWon),
			change(refund("FO8TXN-dvaYbBbahG97a-Q==", "FO8TXN-dvaYbBbahG97a-Q==", "FO8TXN-dvaYbBbahG97a-Q==", usd(2900)), makegood.FactDisputed)}},
	{provider: "gumroad", name: "a renewal", body: gumroadPing, path: gumroadPath, api: swap(gumroadSale, `"refunded":false`, `"recurring_charge":true`), note: "renewal"},
	{provider: "gumroad", name: "Gumroad does not know it", body: gumroadPing, path: "/elsewhere", api: "{}", verdict: "retry"},
	{provider: "gumroad", name: "no sale", body: "resource_name=sale&email=eve%40example.com", note: "nothing that can be asked"},
	{provider: "gumroad", name: "nonsense", body: "&&&", note: "cannot be read"},

	{provider: "github", name: "paid", body: githubCreated, want: single(githubPaid)},
	{provider: "github", name: "cancelled", body: swap(githubCreated, `"created"`, `"cancelled"`), note: "cancelled changes nothing"},
	{provider: "github", name: "a tier that the catalogue does not have", body: swap(githubCreated, "price-az900", "T2"), want: single(func() makegood.Fact {
		f := githubPaid
		f.Lines = []makegood.Line{{Label: "$29 a month", Quantity: 1, Subtotal: usd(2900)}}
		return f
	}())},
	{provider: "github", name: "a ping", body: `{"zen":"Keep it logically awesome.","hook_id":1}`, note: "ping is kept"},
	{provider: "github", name: "nonsense", body: `{"action":"created","sponsorship":[]}`, note: "kept and shown"},

	{provider: "svix", name: "anything", body: `{"type":"order.paid","data":{"id":"7"}}`, note: "order.paid is kept and shown"},
	{provider: "standard-webhooks", name: "anything", body: `{"type":"order.paid","data":{"id":"7"}}`, note: "order.paid is kept and shown"},
}

func TestInterpret(t *testing.T) {
	t.Parallel()
	count := map[string]int{}
	for _, tt := range bodies {
		count[tt.provider]++
		t.Run(tt.provider+"/"+tt.name, func(t *testing.T) {
			t.Parallel()
			var asked atomic.Int32
			s := source(t, asking(t, tt, &asked))
			got, err := interpret(t.Context(), s, tt.body)
			if verdict := verdictOf(err); verdict != tt.verdict {
				t.Fatalf("Interpret = %+v, %v (%s); want the verdict %q", got, err, verdict, tt.verdict)
			}
			if (asked.Load() > 0) != (tt.api != "") {
				t.Errorf("the API was asked %d times", asked.Load())
			}
			if tt.note != "" && !strings.Contains(got.Note, tt.note) {
				t.Errorf("Note = %q, want %q in it", got.Note, tt.note)
			}
			checkReading(t, got, err)
			want := slices.Clone(tt.want)
			for i := range want {
				want[i].Key.Source = "shop"
			}
			if diff := cmp.Diff(want, got.Facts, cmpopts.EquateEmpty(), cmpopts.IgnoreFields(makegood.Fact{}, "EventID", "OccurredAt")); diff != "" {
				t.Errorf("Facts differ (-want +got):\n%s", diff)
			}
			for _, f := range got.Facts {
				if f.EventID != "evt1" || f.OccurredAt.Year() != 2026 && !strings.Contains(tt.body+tt.api, `"failed"`) && !strings.Contains(tt.api, "expired") {
					t.Errorf("event and time of %s = %q, %v", f.Kind, f.EventID, f.OccurredAt)
				}
			}
		})
	}
	for _, info := range recipe.Providers() {
		if want := 4; count[info.Name] < want && info.Name != "generic" && info.Name != "svix" && info.Name != "standard-webhooks" {
			t.Errorf("%s has %d bodies, want at least %d", info.Name, count[info.Name], want)
		}
	}
}

// asking are options whose API answers one path.
func asking(t testing.TB, tt told, asked *atomic.Int32) recipe.Options {
	t.Helper()
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		if r.URL.Path != tt.path || r.Header.Get("Authorization") != "Bearer key_for_tests" {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		fmt.Fprint(w, tt.api)
	}))
	t.Cleanup(api.Close)
	o := options(tt.provider, active(secretOf(tt.provider))...)
	o.APIBase, o.HTTP = api.URL, outbound.New(outbound.Options{AllowPrivate: true})
	return o
}

// interpret does what intake and interpret do between them.
func interpret(ctx context.Context, s provider.Source, body string) (provider.Reading, error) {
	event := s.Identify([]byte(body))
	event.ID = "evt1"
	return s.Interpret(ctx, event)
}

func verdictOf(err error) string {
	var permanent *makegood.Permanent
	var snooze *makegood.Snooze
	switch {
	case err == nil:
		return ""
	case errors.As(err, &permanent):
		return "permanent"
	case errors.As(err, &snooze):
		return snooze.For.String()
	}
	return "retry"
}

// checkReading checks what holds for every reading, and settles it.
func checkReading(t *testing.T, r provider.Reading, err error) {
	t.Helper()
	if err != nil {
		if len(r.Facts) > 0 || r.Note != "" {
			t.Errorf("%+v comes with the error %v", r, err)
		}
		return
	}
	if (len(r.Facts) == 0) == (r.Note == "") {
		t.Errorf("%+v has neither facts nor a note, or both", r)
	}
	for _, f := range r.Facts {
		if f.Key != r.Facts[0].Key || f.Key.Source != "shop" || f.Key.Live || f.Key.Account != "" {
			t.Errorf("the key %+v is not one of ours", f.Key)
		}
		if f.Key.SessionID == "" && (len(f.Ways()) == 0 || f.Kind == makegood.FactPaid) {
			t.Errorf("%+v finds no order", f)
		}
		if f.ObjectID == "" || f.Kind == "" || f.Amount.Minor < 0 || strings.ContainsAny(f.Customer.Email+f.Customer.Name, "\r\n\x00") {
			t.Errorf("%+v is not well formed", f)
		}
		if f.Kind == makegood.FactRenewed || f.Kind == makegood.FactEnded {
			t.Errorf("%+v is of a kind that no row tells", f)
		}
		settle(f)
	}
}

// settle does what follows in the house, which must not panic whatever the fact says.
func settle(f makegood.Fact) makegood.Order {
	n := 0
	o := makegood.Order{ID: "ord1", Key: f.Key}
	o.Learn(f)
	o.Settle(makegood.Terms{
		Catalogue: catalogue, Now: time.Unix(0, 0), Effects: []string{makegood.EffectEmail},
		DeriveKey: func(prefix string, slot makegood.KeySlot) (string, string) {
			return makegood.DeriveKey([]byte("0123456789abcdef"), prefix, slot), "k1"
		},
		KeyTaken: func(string) bool { return false },
		NewID:    func(prefix string) string { n++; return fmt.Sprint(prefix, n) },
	})
	return o
}

// TestPaidOrdersRelease: what is read settles to licences, which is the point of it all.
func TestPaidOrdersRelease(t *testing.T) {
	t.Parallel()
	released := map[string]bool{}
	for _, tt := range bodies {
		var asked atomic.Int32
		got, err := interpret(t.Context(), source(t, asking(t, tt, &asked)), tt.body)
		if err != nil || len(got.Facts) == 0 || got.Facts[0].Kind != makegood.FactPaid {
			continue
		}
		if o := settle(got.Facts[0]); len(o.Licenses) > 0 {
			released[tt.provider] = true
		} else if !strings.Contains(tt.name, "catalogue") && tt.provider != "lemonsqueezy" {
			t.Errorf("%s, %s: the order is %s because of %q", tt.provider, tt.name, o.Fulfillment, o.Reason)
		}
	}
	for _, info := range recipe.Providers() {
		if !released[info.Name] && info.Name != "generic" && info.Name != "svix" && info.Name != "standard-webhooks" {
			t.Errorf("no order of %s is ever released", info.Name)
		}
	}
}

// answering are options whose API answers everything in one way.
func answering(t testing.TB, name string, h http.HandlerFunc) recipe.Options {
	t.Helper()
	api := httptest.NewServer(h)
	t.Cleanup(api.Close)
	o := options(name, active(secretOf(name))...)
	o.APIBase, o.HTTP = api.URL, outbound.New(outbound.Options{AllowPrivate: true})
	return o
}
