package recipe_test

import "github.com/makegood/makegood"

// catalogue is what the shop of the tests sells.
var catalogue = makegood.Catalogue{
	"az-900": {Code: "az-900", Name: "AZ-900", Price: makegood.Money{Minor: 2900, Currency: "usd"}, LicensePrefix: "AZ",
		ProviderPrice: map[string]string{"shop": "price-az900"}},
	"dp-203": {Code: "dp-203", Name: "DP-203", Price: makegood.Money{Minor: 4900, Currency: "eur"}, LicensePrefix: "DP",
		ProviderPrice: map[string]string{"shop": "39072856"}},
}

// told is a body of a provider, written from the shapes that it documents, and what it must come to.
type told struct {
	provider string
	name     string
	body     string
	api      string // what the API answers; "" when it must not be asked, or is not known
	path     string // of the API
	want     []makegood.Fact
	note     string // a part of it, when there are no facts
	verdict  string // "permanent" or "retry", when there is an error
}

func usd(minor int64) makegood.Money { return makegood.Money{Minor: minor, Currency: "usd"} }
func eur(minor int64) makegood.Money { return makegood.Money{Minor: minor, Currency: "eur"} }
func inr(minor int64) makegood.Money { return makegood.Money{Minor: minor, Currency: "inr"} }

func key(session string) makegood.OrderKey { return makegood.OrderKey{SessionID: session} }

var ann = makegood.Customer{Email: "ann@example.com", Name: "Ann Smith"}

// line is one AZ-900 at the price that the provider itself tells, agreed; unagreed is one that the catalogue's price counts for.
func line(label string, quantity int) makegood.Line {
	return makegood.Line{Product: "az-900", Label: label, Quantity: quantity, Subtotal: usd(int64(2900 * quantity)), Agreed: usd(2900)}
}

func unagreed(label string, subtotal makegood.Money) makegood.Line {
	return makegood.Line{Product: "az-900", Label: label, Quantity: 1, Subtotal: subtotal}
}

const paddleTransaction = `{"event_id":"evt_01hv8","event_type":"transaction.completed","occurred_at":"2026-04-12T10:18:49.621022Z","notification_id":"ntf_01hv8",
	"data":{"id":"txn_01hv8wptq8987qeep44cyrewp9","status":"completed","origin":"web","customer_id":"ctm_01hv6y1jedq4p1n0yqn5ba3ky4","currency_code":"USD",
	"subscription_id":null,"invoice_id":"inv_01hv8","custom_data":null,"details":{"totals":{"subtotal":"5800","tax":"551","discount":"300","total":"6051",
	"grand_total":"6051","currency_code":"USD"},"line_items":[{"id":"txnitm_01hv8","price_id":"price-az900","quantity":2,"totals":{"subtotal":"5800","tax":"551",
	"discount":"300","total":"6051"},"unit_totals":{"subtotal":"2900","tax":"275","total":"3175"},"product":{"id":"pro_01gsz4","name":"AZ-900 exam"}}]}}}`

const paddleAdjustment = `{"event_id":"evt_01hv9","event_type":"adjustment.updated","occurred_at":"2026-04-13T10:18:49.621022Z",
	"data":{"id":"adj_01hv9","action":"refund","status":"approved","transaction_id":"txn_01hv8","customer_id":"ctm_01hv6","currency_code":"USD",
	"totals":{"subtotal":"2900","tax":"275","total":"3175","currency_code":"USD"}}}`

const lemonOrder = `{"meta":{"event_name":"order_created","test_mode":true,"custom_data":{"user":"7"}},"data":{"type":"orders","id":"2451","attributes":{
	"store_id":1,"identifier":"104e18a2-d755-4d4b-80c4-a6c1dcbe1c10","user_name":"Ann Smith","user_email":"ann@example.com","currency":"USD","subtotal":2900,
	"discount_total":0,"tax":580,"total":3480,"refunded_amount":0,"status":"paid","refunded":false,"first_order_item":{"id":1,"order_id":2451,"product_id":71,
	"variant_id":39072857,"price_id":5,"product_name":"AZ-900 exam","variant_name":"Default","price":2900,"quantity":1,"test_mode":true},
	"created_at":"2026-08-17T09:45:53.000000Z","updated_at":"2026-08-17T09:45:53.000000Z","test_mode":true}}}`

const polarOrder = `{"type":"order.paid","timestamp":"2026-05-01T09:00:00Z","data":{"id":"57107b74-8400-4d80-a2fc-54c2b4239cb3","status":"paid","paid":true,
	"subtotal_amount":2900,"discount_amount":0,"net_amount":2900,"tax_amount":580,"total_amount":3480,"refunded_amount":0,"currency":"usd",
	"billing_reason":"purchase","product_id":"price-az900","checkout_id":"1dbfc517-0bbf-4301-9ba8-555ca42b9737","metadata":{},
	"customer":{"email":"ann@example.com","name":"Ann Smith"},"product":{"id":"price-az900","name":"AZ-900 exam","metadata":{}},"items":[{"label":"AZ-900","product_price_id":"x"}]}}`

const squarePayment = `{"merchant_id":"6SSW7HV8K2ST5","type":"payment.updated","event_id":"6a8f5f28-54a1-4eb0-a98a-3111513fd4fc","created_at":"2026-02-06T21:27:34.308Z",
	"data":{"type":"payment","id":"hYy9pRFVxpDsO1FB05SunFWUe9JZY","object":{"payment":{"id":"hYy9pRFVxpDsO1FB05SunFWUe9JZY","status":"COMPLETED","order_id":"03O3USaPaAaFnI6kkwB1JxGgBsUZY",
	"amount_money":{"amount":2900,"currency":"USD"},"total_money":{"amount":2900,"currency":"USD"},"buyer_email_address":"ann@example.com",
	"billing_address":{"first_name":"Ann","last_name":"Smith"},"reference_id":"az-900","location_id":"S8GWD5R9QB376"}}}}`

const squareOrder = `{"order":{"id":"03O3USaPaAaFnI6kkwB1JxGgBsUZY","state":"COMPLETED","line_items":[{"uid":"x","name":"AZ-900 exam","quantity":"1",
	"catalog_object_id":"price-az900","base_price_money":{"amount":2900,"currency":"USD"},"gross_sales_money":{"amount":2900,"currency":"USD"}}]}}`

const shopifyOrder = `{"id":820982911946154508,"admin_graphql_api_id":"gid://shopify/Order/820982911946154508","checkout_token":"c1","email":"ann@example.com","created_at":"2026-12-31T12:00:00-05:00",
	"updated_at":"2026-12-31T12:00:00-05:00","currency":"EUR","financial_status":"paid","subtotal_price":"98.00","total_price":"108.00","test":true,
	"customer":{"first_name":"Ann","last_name":"Smith","email":"ann@example.com"},"line_items":[{"id":1,"variant_id":39072856,"product_id":2,"sku":"D","name":"DP-203 exam","quantity":2,"price":"49.00"}],
	"refunds":[]}`

const razorpayPaid = `{"entity":"event","account_id":"acc_BFQ7uQEaa7j2z7","event":"payment.captured","contains":["payment"],"payload":{"payment":{"entity":{"id":"pay_DESlfW9H8K9uqM",
	"entity":"payment","amount":2900,"currency":"USD","status":"captured","order_id":"order_DESlLckIVRkHWj","captured":true,"email":"ann@example.com","notes":{"product":"az-900"}}}},"created_at":1788264000}`

const adyenItem = `{"NotificationRequestItem":{"additionalData":{"hmacSignature":"x","shopperEmail":"ann@example.com","shopperName":"Ann Smith","metadata.product":"az-900"},
	"eventCode":"AUTHORISATION","success":"true","eventDate":"2026-08-30T11:41:01+02:00","merchantAccountCode":"Shop","pspReference":"NC6HT9CRT65ZGN82",
	"merchantReference":"cart:1027","amount":{"value":2900,"currency":"USD"}}}`

const adyenRefund = `{"NotificationRequestItem":{"additionalData":{"hmacSignature":"x"},"eventCode":"REFUND","success":"true","eventDate":"2026-08-31T11:41:01+02:00",
	"merchantAccountCode":"Shop","originalReference":"NC6HT9CRT65ZGN82","pspReference":"KHQC5N7G84BLNK43","merchantReference":"cart:1027","amount":{"value":900,"currency":"USD"}}}`

const molliePayment = `{"resource":"payment","id":"tr_7UhSN1zuXS","mode":"test","createdAt":"2026-03-20T09:13:37+00:00","paidAt":"2026-03-20T09:20:37+00:00","status":"paid",
	"amount":{"value":"29.00","currency":"USD"},"billingAddress":{"givenName":"Ann","familyName":"Smith","email":"ann@example.com"},"metadata":{"product":"az-900"},
	"_embedded":{"refunds":[{"resource":"refund","id":"re_1","paymentId":"tr_7UhSN1zuXS","status":"refunded","amount":{"value":"9.00","currency":"USD"}},
	{"resource":"refund","id":"re_2","paymentId":"tr_7UhSN1zuXS","status":"pending","amount":{"value":"1.00","currency":"USD"}}],
	"chargebacks":[{"resource":"chargeback","id":"chb_1","paymentId":"tr_7UhSN1zuXS","reversedAt":null,"amount":{"value":"29.00","currency":"USD"}}]}}`

const gumroadSale = `{"success":true,"sale":{"id":"FO8TXN-dvaYbBbahG97a-Q==","email":"ann@example.com","full_name":"Ann Smith","created_at":"2026-01-05T19:38:56Z","product_id":"price-az900",
	"product_name":"AZ-900 exam","price":2900,"currency_symbol":"$","quantity":1,"refunded":false,"chargedback":false,"disputed":false,"dispute_won":false,"order_id":524459935}}`

const gumroadPing = "sale_id=FO8TXN-dvaYbBbahG97a-Q%3D%3D&product_id=other&email=eve%40example.com&price=1&refunded=true"

const githubCreated = `{"action":"created","sponsorship":{"node_id":"MDExOlNwb25zb3JzaGlwMQ==","created_at":"2026-12-20T19:17:05Z","sponsorable":{"login":"shop"},
	"sponsor":{"login":"ann","id":2,"type":"User"},"privacy_level":"public","tier":{"node_id":"price-az900","name":"$29 a month","monthly_price_in_cents":2900,
	"monthly_price_in_dollars":29,"is_one_time":false,"is_custom_amount":false}},"sender":{"login":"ann"}}`

func adyenItems(items string) string { return `{"live":"false","notificationItems":[` + items + `]}` }

func paid(session, object, payment string, amount makegood.Money, lines ...makegood.Line) makegood.Fact {
	return makegood.Fact{Key: key(session), Kind: makegood.FactPaid, ObjectID: object, PaymentID: payment, Amount: amount, Customer: ann, Lines: lines}
}

func with(f makegood.Fact, refs ...string) makegood.Fact { f.References = refs; return f }

// molliePaid and gumroadPaid are what comes first of every reading of theirs.
var (
	molliePaid  = paid("tr_7UhSN1zuXS", "tr_7UhSN1zuXS", "tr_7UhSN1zuXS", usd(2900), unagreed("AZ-900", usd(2900)))
	gumroadPaid = with(paid("FO8TXN-dvaYbBbahG97a-Q==", "FO8TXN-dvaYbBbahG97a-Q==", "FO8TXN-dvaYbBbahG97a-Q==", usd(2900), unagreed("AZ-900 exam", usd(2900))), "524459935")
	mollieAll   = []makegood.Fact{molliePaid,
		{Key: key("tr_7UhSN1zuXS"), Kind: makegood.FactRefunded, ObjectID: "re_1", PaymentID: "tr_7UhSN1zuXS", Amount: usd(900)},
		{Key: key("tr_7UhSN1zuXS"), Kind: makegood.FactDisputed, ObjectID: "chb_1", PaymentID: "tr_7UhSN1zuXS", Amount: usd(2900)},
	}
)

const (
	molliePath  = "/v2/payments/tr_7UhSN1zuXS"
	gumroadPath = "/v2/sales/FO8TXN-dvaYbBbahG97a-Q=="
)
