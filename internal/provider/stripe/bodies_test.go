package stripe_test

import (
	"strings"

	"github.com/makegood/makegood"
)

// catalogue is what the tests sell.
var catalogue = makegood.Catalogue{
	"az-900": {Code: "az-900", Name: "AZ-900 practice exam", Price: usd(2900), ProviderPrice: map[string]string{"stripe": "price_az900"}},
	"dp-203": {Code: "dp-203", Name: "DP-203 practice exam", Price: usd(4900)},
	"sticky": {Code: "sticky", Name: "Sticker", Price: usd(500), ProviderPrice: map[string]string{"stripe": "sku_sticker", "shop": "price_az900"}},
	"yen-1":  {Code: "yen-1", Name: "Sold in yen", Price: makegood.Money{Minor: 3000, Currency: "jpy"}},
}

func usd(minor int64) makegood.Money { return makegood.Money{Minor: minor, Currency: "usd"} }

// bodyPaid is an event of a session that our own checkout made, as Stripe sends it in 2026: no line items.
const bodyPaid = `{
  "id": "evt_1Q0PaidByCard", "object": "event", "api_version": "2026-03-25.dahlia", "created": 1788264000,
  "data": {"object": {
    "id": "cs_test_a1B2c3D4e5F6g7H8i9J0", "object": "checkout.session", "amount_subtotal": 5800, "amount_total": 5800,
    "currency": "usd", "customer": null, "customer_details": {"email": "ann@example.com", "name": "Ann Example", "tax_ids": []},
    "customer_email": null, "livemode": false,
    "metadata": {"product": "az-900", "quantity": "2", "unit_amount": "2900", "currency": "usd"},
    "mode": "payment", "payment_intent": "pi_3Q0PaidByCard", "payment_status": "paid", "status": "complete"}},
  "livemode": false, "pending_webhooks": 1, "request": {"id": null, "idempotency_key": null}, "type": "checkout.session.completed"
}`

// told is one body of Stripe, and what must come of it.
type told struct {
	name string
	body string
	api  string // what the API answers for the session; "" when it must not be asked
	want makegood.Fact
	note string // a part of the note, when there is no fact
}

// fact is a fact of session cs_test_x, with the fields that the bodies have in common.
func fact(kind makegood.FactKind, amount makegood.Money, customer makegood.Customer, lines ...makegood.Line) makegood.Fact {
	return makegood.Fact{Kind: kind, ObjectID: "cs_test_x", PaymentID: "pi_x", Amount: amount, Customer: customer, Lines: lines}
}

var ann = makegood.Customer{Email: "ann@example.com"}

func one(product, label string, price makegood.Money) makegood.Line {
	return makegood.Line{Product: product, Label: label, Quantity: 1, Subtotal: price, Agreed: price}
}

var exam = one("az-900", "AZ-900 practice exam", usd(2900))

// apiSession is an answer of the API in our pinned version: one exam, paid, sold by its price.
const apiSession = `{"id":"cs_test_x","object":"checkout.session","amount_subtotal":2900,"amount_total":2900,"currency":"usd",
 "customer_details":{"email":"ann@example.com"},"livemode":false,"metadata":{},"mode":"payment","payment_intent":"pi_x","payment_status":"paid","status":"complete",
 "line_items":{"object":"list","has_more":false,"data":[{"id":"li_1","object":"item","amount_subtotal":2900,"amount_total":2900,"currency":"usd","description":"AZ-900 practice exam",
  "price":{"id":"price_az900","object":"price","currency":"usd","unit_amount":2900,"metadata":{},"product":"prod_1"},"quantity":1}]}}`

// bodies are events in the shapes that Stripe's API has had from 2015 to 2026, written from its changelog, its OpenAPI
// document and its documentation. Checkout Sessions came in 2019, payment_status in 2020.
var bodies = []told{
	{
		name: "2015-02-18 charge, long before Checkout",
		body: `{"id":"evt_15","created":1424000000,"livemode":false,"type":"charge.succeeded","object":"event","request":"iar_1","pending_webhooks":1,"api_version":"2015-02-18",
			"data":{"object":{"id":"ch_15","object":"charge","amount":2900,"currency":"usd","paid":true,"status":"paid","refunds":{"object":"list","data":[]}}}}`,
		note: "charge.succeeded is kept and shown; this version does not act on it.",
	},
	{
		name: "2016-07-06 invoice",
		body: `{"id":"evt_16","object":"event","api_version":"2016-07-06","created":1467763200,"livemode":false,"type":"invoice.payment_succeeded",
			"data":{"object":{"id":"in_16","object":"invoice","total":2900,"subscription":"sub_1"}}}`,
		note: "invoice.payment_succeeded is kept and shown",
	},
	{
		name: "2017-08-15 dispute with a request object",
		body: `{"id":"evt_17","object":"event","api_version":"2017-08-15","created":1502755200,"livemode":false,"request":{"id":"req_1","idempotency_key":null},
			"type":"charge.dispute.created","data":{"object":{"id":"dp_17","object":"dispute","charge":"ch_1","status":"needs_response"}}}`,
		note: "charge.dispute.created is kept and shown",
	},
	{
		name: "2018-11-08 payment intent",
		body: `{"id":"evt_18","object":"event","api_version":"2018-11-08","created":1541635200,"livemode":false,"type":"payment_intent.succeeded",
			"data":{"object":{"id":"pi_x","object":"payment_intent","amount":2900,"charges":{"data":[]}}}}`,
		note: "payment_intent.succeeded is kept and shown",
	},
	{
		name: "2019-03-14 first Checkout: display_items with a SKU, no mode, no status, no total",
		body: `{"id":"evt_19a","object":"event","api_version":"2019-03-14","created":1552521600,"livemode":false,"type":"checkout.session.completed",
			"data":{"object":{"id":"cs_test_x","object":"checkout.session","billing_address_collection":null,"cancel_url":"https://example.com/no","client_reference_id":null,
			"customer":"cus_1","customer_email":null,"display_items":[{"amount":500,"currency":"usd","quantity":3,"type":"sku","sku":{"id":"sku_sticker","object":"sku","price":500,"attributes":{"name":"Sticker"}}}],
			"livemode":false,"locale":null,"payment_intent":"pi_x","payment_method_types":["card"],"subscription":null,"success_url":"https://example.com/yes"}}}`,
		// It does not say whether it was paid: that is asked.
		api:  apiSession,
		want: fact(makegood.FactPaid, usd(2900), ann, exam),
	},
	{
		name: "2019-12-03 with what was added later: display_items, a total, a payment status",
		body: `{"id":"evt_19b","object":"event","api_version":"2019-12-03","created":1700000000,"livemode":false,"type":"checkout.session.completed",
			"data":{"object":{"id":"cs_test_x","object":"checkout.session","amount_subtotal":1500,"amount_total":1500,"currency":"usd","customer":"cus_1","customer_email":"ann@example.com",
			"display_items":[{"amount":500,"currency":"usd","quantity":3,"type":"sku","sku":{"id":"sku_sticker","object":"sku","attributes":{"name":"Sticker"}}}],
			"livemode":false,"metadata":{},"mode":"payment","payment_intent":"pi_x","payment_status":"paid"}}}`,
		want: fact(makegood.FactPaid, usd(1500), ann, makegood.Line{Product: "sticky", Label: "Sticker", Quantity: 3, Subtotal: usd(1500), Agreed: usd(500)}),
	},
	{
		name: "2019-10-17 display_items without any total add up, upper-case currency",
		body: `{"id":"evt_19c","object":"event","api_version":"2019-10-17","created":1571270400,"livemode":false,"type":"checkout.session.completed",
			"data":{"object":{"id":"cs_test_x","object":"checkout.session","customer_email":"ann@example.com","payment_status":"paid","payment_intent":"pi_x",
			"display_items":[{"amount":500,"currency":"USD","quantity":1,"type":"sku","sku":"sku_sticker"},{"amount":2900,"currency":"USD","quantity":1,"type":"plan","plan":{"id":"price_az900","nickname":"Exam"}}]}}}`,
		want: fact(makegood.FactPaid, usd(3400), ann, one("sticky", "sku_sticker", usd(500)), one("az-900", "Exam", usd(2900))),
	},
	{
		name: "2019-11-05 a custom display item is not in the catalogue: asked, and known by the metadata there",
		body: `{"id":"evt_19d","object":"event","api_version":"2019-11-05","created":1572912000,"livemode":false,"type":"checkout.session.completed",
			"data":{"object":{"id":"cs_test_x","object":"checkout.session","customer_email":"ann@example.com","payment_status":"paid","payment_intent":"pi_x",
			"display_items":[{"amount":2900,"currency":"usd","quantity":1,"type":"custom","custom":{"name":"AZ-900","images":null}}]}}}`,
		api:  apiSession,
		want: fact(makegood.FactPaid, usd(2900), ann, exam),
	},
	{
		name: "2019-12-03 a session that saves a card",
		body: `{"id":"evt_19e","object":"event","api_version":"2019-12-03","created":1575331200,"livemode":false,"type":"checkout.session.completed",
			"data":{"object":{"id":"cs_test_x","object":"checkout.session","mode":"setup","setup_intent":"seti_1","payment_intent":null}}}`,
		note: "saved a payment method",
	},
	{
		name: "2020-03-02 customer and payment expanded, shipping name",
		body: `{"id":"evt_20a","object":"event","api_version":"2020-03-02","created":1583107200,"livemode":false,"type":"checkout.session.completed",
			"data":{"object":{"id":"cs_test_x","object":"checkout.session","amount_subtotal":2900,"amount_total":2900,"currency":"usd",
			"customer":{"id":"cus_1","object":"customer","email":"ann@example.com","name":"Ann at the till"},"customer_email":null,"shipping":{"name":"Ann Example","address":{}},
			"metadata":{"product":"az-900","unit_amount":"2900","currency":"usd"},"mode":"payment","payment_intent":{"id":"pi_x","object":"payment_intent"},"payment_status":"paid"}}}`,
		want: fact(makegood.FactPaid, usd(2900), makegood.Customer{Email: "ann@example.com", Name: "Ann Example"}, exam),
	},
	{
		name: "2020-08-27 without metadata of ours: the API has the line items",
		body: `{"id":"evt_20b","object":"event","api_version":"2020-08-27","created":1598486400,"livemode":false,"type":"checkout.session.completed",
			"data":{"object":{"id":"cs_test_x","object":"checkout.session","amount_subtotal":2900,"amount_total":2900,"currency":"usd","customer":"cus_1","customer_email":null,
			"livemode":false,"metadata":{},"mode":"payment","payment_intent":"pi_x","payment_status":"paid","total_details":{"amount_discount":0}}}}`,
		api:  apiSession,
		want: fact(makegood.FactPaid, usd(2900), ann, exam),
	},
	{
		name: "2020-08-27 metadata null",
		body: `{"id":"evt_20c","object":"event","api_version":"2020-08-27","created":1598486400,"livemode":false,"type":"checkout.session.completed",
			"data":{"object":{"id":"cs_test_x","object":"checkout.session","amount_subtotal":2900,"amount_total":2900,"currency":"usd","metadata":null,"mode":"payment","payment_status":"paid"}}}`,
		api:  apiSession,
		want: fact(makegood.FactPaid, usd(2900), ann, exam),
	},
	{
		name: "2020-08-27 delayed method: completed and unpaid",
		body: `{"id":"evt_20d","object":"event","api_version":"2020-08-27","created":1598486400,"livemode":false,"type":"checkout.session.completed",
			"data":{"object":{"id":"cs_test_x","object":"checkout.session","amount_subtotal":2900,"amount_total":2900,"currency":"usd","customer_details":{"email":"ann@example.com","tax_exempt":"none"},
			"metadata":{"product":"az-900","quantity":"1","unit_amount":"2900","currency":"usd"},"mode":"payment","payment_intent":"pi_x","payment_status":"unpaid"}}}`,
		want: fact(makegood.FactAwaiting, usd(2900), ann, exam),
	},
	{
		name: "2020-08-27 delayed method of an unknown product: awaited without lines, nobody asked",
		body: `{"id":"evt_20e","object":"event","api_version":"2020-08-27","created":1598486400,"livemode":false,"type":"checkout.session.completed",
			"data":{"object":{"id":"cs_test_x","object":"checkout.session","amount_total":2900,"currency":"usd","customer_email":"ann@example.com","mode":"payment","payment_intent":"pi_x","payment_status":"unpaid",
			"display_items":[{"amount":2900,"currency":"usd","quantity":1,"custom":{"name":"?"}}]}}}`,
		want: fact(makegood.FactAwaiting, usd(2900), ann),
	},
	{
		name: "2020-08-27 the money came",
		body: `{"id":"evt_20f","object":"event","api_version":"2020-08-27","created":1598900000,"livemode":false,"type":"checkout.session.async_payment_succeeded",
			"data":{"object":{"id":"cs_test_x","object":"checkout.session","amount_subtotal":2900,"amount_total":2900,"currency":"usd","customer_details":{"email":"ann@example.com"},
			"metadata":{"product":"az-900","quantity":"1","unit_amount":"2900","currency":"usd"},"mode":"payment","payment_intent":"pi_x","payment_status":"paid"}}}`,
		want: fact(makegood.FactPaid, usd(2900), ann, exam),
	},
	{
		name: "2020-08-27 the money is said to have come, and the object says unpaid: the API decides",
		body: `{"id":"evt_20g","object":"event","api_version":"2020-08-27","created":1598900000,"livemode":false,"type":"checkout.session.async_payment_succeeded",
			"data":{"object":{"id":"cs_test_x","object":"checkout.session","amount_subtotal":2900,"amount_total":2900,"currency":"usd","mode":"payment","payment_intent":"pi_x","payment_status":"unpaid"}}}`,
		api:  apiSession,
		want: fact(makegood.FactPaid, usd(2900), ann, exam),
	},
	{
		name: "2020-08-27 the money did not come",
		body: `{"id":"evt_20h","object":"event","api_version":"2020-08-27","created":1598900000,"livemode":false,"type":"checkout.session.async_payment_failed",
			"data":{"object":{"id":"cs_test_x","object":"checkout.session","amount_total":2900,"currency":"usd","customer_details":{"email":"ann@example.com"},"mode":"payment","payment_intent":"pi_x","payment_status":"unpaid"}}}`,
		want: fact(makegood.FactFailed, usd(2900), ann),
	},
	{
		name: "2020-08-27 said to have failed, and paid: the API decides",
		body: `{"id":"evt_20i","object":"event","api_version":"2020-08-27","created":1598900000,"livemode":false,"type":"checkout.session.async_payment_failed",
			"data":{"object":{"id":"cs_test_x","object":"checkout.session","amount_subtotal":2900,"amount_total":2900,"currency":"usd","mode":"payment","payment_intent":"pi_x","payment_status":"paid",
			"metadata":{"product":"az-900","unit_amount":"2900","currency":"usd"}}}}`,
		api:  apiSession,
		want: fact(makegood.FactPaid, usd(2900), ann, exam),
	},
	{
		name: "2022-08-01 expired; created without a payment",
		body: `{"id":"evt_22a","object":"event","api_version":"2022-08-01","created":1659312000,"livemode":false,"type":"checkout.session.expired",
			"data":{"object":{"id":"cs_test_x","object":"checkout.session","after_expiration":null,"amount_subtotal":2900,"amount_total":2900,"currency":"usd","customer_details":null,"customer_email":"ann@example.com",
			"expires_at":1659312000,"livemode":false,"metadata":{"product":"az-900","unit_amount":"2900","currency":"usd"},"mode":"payment","payment_intent":null,"payment_status":"unpaid","status":"expired"}}}`,
		want: func() makegood.Fact {
			f := fact(makegood.FactExpired, usd(2900), ann, exam)
			f.PaymentID = ""
			return f
		}(),
	},
	{
		name: "2022-11-15 a coupon of 100 %",
		body: `{"id":"evt_22b","object":"event","api_version":"2022-11-15","created":1668470400,"livemode":false,"type":"checkout.session.completed",
			"data":{"object":{"id":"cs_test_x","object":"checkout.session","amount_subtotal":2900,"amount_total":0,"currency":"usd","customer_details":{"email":"ann@example.com","name":null},
			"metadata":{"product":"az-900","quantity":"1","unit_amount":"2900","currency":"usd"},"mode":"payment","payment_intent":null,"payment_status":"no_payment_required","status":"complete","total_details":{"amount_discount":2900}}}}`,
		want: func() makegood.Fact {
			f := fact(makegood.FactPaid, usd(0), ann, exam)
			f.PaymentID = ""
			return f
		}(),
	},
	{
		name: "2022-11-15 a trial",
		body: `{"id":"evt_22c","object":"event","api_version":"2022-11-15","created":1668470400,"livemode":false,"type":"checkout.session.completed",
			"data":{"object":{"id":"cs_test_x","object":"checkout.session","amount_subtotal":0,"amount_total":0,"currency":"usd","mode":"subscription","payment_intent":null,"payment_status":"no_payment_required","status":"complete","subscription":"sub_1"}}}`,
		note: "trial",
	},
	{
		name: "2022-11-15 no payment required of something that costs",
		body: `{"id":"evt_22d","object":"event","api_version":"2022-11-15","created":1668470400,"livemode":false,"type":"checkout.session.completed",
			"data":{"object":{"id":"cs_test_x","object":"checkout.session","amount_subtotal":2900,"amount_total":2900,"currency":"usd","mode":"payment","payment_status":"no_payment_required","status":"complete"}}}`,
		note: "29.00 USD",
	},
	{
		name: "2023-08-16 a discount and a tax: the total differs, the lines count before both",
		body: `{"id":"evt_23a","object":"event","api_version":"2023-08-16","created":1692144000,"livemode":false,"type":"checkout.session.completed",
			"data":{"object":{"id":"cs_test_x","object":"checkout.session","amount_subtotal":5800,"amount_total":5510,"currency":"usd","customer_details":{"email":"ann@example.com","name":"  Ann\n Example "},
			"metadata":{"product":"az-900","quantity":"2","unit_amount":"2900","currency":"usd"},"mode":"payment","payment_intent":"pi_x","payment_status":"paid","status":"complete","total_details":{"amount_discount":580,"amount_tax":290}}}}`,
		want: fact(makegood.FactPaid, usd(5510), makegood.Customer{Email: "ann@example.com", Name: "Ann Example"},
			makegood.Line{Product: "az-900", Label: "AZ-900 practice exam", Quantity: 2, Subtotal: usd(5800), Agreed: usd(2900)}),
	},
	{
		name: "2023-10-16 a Payment Link with two products, line items in the body",
		body: `{"id":"evt_23b","object":"event","api_version":"2023-10-16","created":1697414400,"livemode":false,"type":"checkout.session.completed",
			"data":{"object":{"id":"cs_test_x","object":"checkout.session","amount_subtotal":7800,"amount_total":7800,"currency":"usd","customer_details":{"email":"ann@example.com"},"metadata":{},"mode":"payment","payment_intent":"pi_x","payment_link":"plink_1","payment_status":"paid","status":"complete",
			"line_items":{"object":"list","has_more":false,"data":[
			 {"id":"li_1","amount_subtotal":2900,"amount_total":2900,"currency":"usd","description":"Exam","quantity":1,"price":{"id":"price_az900","currency":"usd","unit_amount":2900}},
			 {"id":"li_2","amount_subtotal":4900,"amount_total":4900,"currency":"usd","description":"Other","quantity":1,"price":{"id":"price_new","currency":"usd","unit_amount":4900,"metadata":{"product":"dp-203"}}}]}}}}`,
		want: fact(makegood.FactPaid, usd(7800), ann, one("az-900", "Exam", usd(2900)), one("dp-203", "Other", usd(4900))),
	},
	{
		name: "2024-04-10 line items in the body, but not all of them: asked",
		body: `{"id":"evt_24a","object":"event","api_version":"2024-04-10","created":1712707200,"livemode":false,"type":"checkout.session.completed",
			"data":{"object":{"id":"cs_test_x","object":"checkout.session","amount_subtotal":2900,"amount_total":2900,"currency":"usd","mode":"payment","payment_intent":"pi_x","payment_status":"paid","status":"complete",
			"line_items":{"object":"list","has_more":true,"data":[{"id":"li_1","amount_subtotal":2900,"currency":"usd","quantity":1,"price":{"id":"price_az900","currency":"usd","unit_amount":2900}}]}}}}`,
		api:  apiSession,
		want: fact(makegood.FactPaid, usd(2900), ann, exam),
	},
	{
		name: "2024-06-20 product of the price expanded, with its metadata",
		body: `{"id":"evt_24b","object":"event","api_version":"2024-06-20","created":1718841600,"livemode":false,"type":"checkout.session.completed",
			"data":{"object":{"id":"cs_test_x","object":"checkout.session","amount_subtotal":4900,"amount_total":4900,"currency":"usd","customer_details":{"email":"ann@example.com"},"mode":"payment","payment_intent":"pi_x","payment_status":"paid","status":"complete",
			"line_items":{"data":[{"id":"li_1","amount_subtotal":4900,"currency":"usd","description":null,"quantity":1,"price":{"id":"price_new","currency":"usd","unit_amount":4900,"metadata":{},"product":{"id":"prod_1","name":"DP-203","metadata":{"product":"dp-203"}}}}]}}}}`,
		want: fact(makegood.FactPaid, usd(4900), ann, one("dp-203", "DP-203", usd(4900))),
	},
	{
		name: "2024-06-20 another shop's session with a product of ours in the metadata: the catalogue's price counts",
		body: `{"id":"evt_24c","object":"event","api_version":"2024-06-20","created":1718841600,"livemode":false,"type":"checkout.session.completed",
			"data":{"object":{"id":"cs_test_x","object":"checkout.session","amount_subtotal":100,"amount_total":100,"currency":"usd","customer_details":{"email":"ann@example.com"},"metadata":{"product":"az-900"},"mode":"payment","payment_intent":"pi_x","payment_status":"paid","status":"complete",
			"line_items":{"data":[{"id":"li_1","amount_subtotal":100,"currency":"usd","description":"Cheap","quantity":1,"price":{"id":"price_cheap","currency":"usd","unit_amount":100}}]}}}}`,
		want: fact(makegood.FactPaid, usd(100), ann, makegood.Line{Product: "az-900", Label: "Cheap", Quantity: 1, Subtotal: usd(100)}),
	},
	{
		name: "2025-03-31.basil yen, which have no cents; collected_information",
		body: `{"id":"evt_25a","object":"event","api_version":"2025-03-31.basil","context":null,"created":1743379200,"livemode":false,"type":"checkout.session.completed",
			"data":{"object":{"id":"cs_test_x","object":"checkout.session","adaptive_pricing":{"enabled":true},"amount_subtotal":6000,"amount_total":6000,"collected_information":{"shipping_details":{"name":"Ann Example","address":{}}},"currency":"jpy",
			"customer_details":{"email":"ann@example.com","name":null},"livemode":false,"metadata":{"product":"yen-1","quantity":"2","unit_amount":"3000","currency":"jpy"},"mode":"payment","payment_intent":"pi_x","payment_status":"paid","status":"complete","presentment_details":{"presentment_amount":40,"presentment_currency":"usd"}}}}`,
		want: fact(makegood.FactPaid, makegood.Money{Minor: 6000, Currency: "jpy"}, makegood.Customer{Email: "ann@example.com", Name: "Ann Example"},
			makegood.Line{Product: "yen-1", Label: "Sold in yen", Quantity: 2, Subtotal: makegood.Money{Minor: 6000, Currency: "jpy"}, Agreed: makegood.Money{Minor: 3000, Currency: "jpy"}}),
	},
	{
		name: "2024-09-30.acacia shown in another currency: what we agreed is not in the body, the API has it",
		body: `{"id":"evt_24d","object":"event","api_version":"2024-09-30.acacia","created":1727654400,"livemode":false,"type":"checkout.session.completed",
			"data":{"object":{"id":"cs_test_x","object":"checkout.session","amount_subtotal":2710,"amount_total":2710,"currency":"eur","currency_conversion":{"amount_subtotal":2900,"amount_total":2900,"fx_rate":"0.93","source_currency":"usd"},
			"customer_details":{"email":"ann@example.com"},"metadata":{"product":"az-900","quantity":"1","unit_amount":"2900","currency":"usd"},"mode":"payment","payment_intent":"pi_x","payment_status":"paid","status":"complete"}}}`,
		api:  apiSession,
		want: fact(makegood.FactPaid, usd(2900), ann, exam),
	},
	{
		name: "2025-09-30.clover the customer changed the quantity: the metadata does not add up",
		body: `{"id":"evt_25b","object":"event","api_version":"2025-09-30.clover","created":1759190400,"livemode":false,"type":"checkout.session.completed",
			"data":{"object":{"id":"cs_test_x","object":"checkout.session","amount_subtotal":8700,"amount_total":8700,"currency":"usd","customer_details":{"email":"ann@example.com"},"metadata":{"product":"az-900","quantity":"1","unit_amount":"2900","currency":"usd"},"mode":"payment","payment_intent":"pi_x","payment_status":"paid","status":"complete"}}}`,
		api: `{"id":"cs_test_x","object":"checkout.session","amount_subtotal":8700,"amount_total":8700,"currency":"usd","customer_details":{"email":"ann@example.com"},"metadata":{"product":"az-900","quantity":"1","unit_amount":"2900","currency":"usd"},"mode":"payment","payment_intent":"pi_x","payment_status":"paid","status":"complete",
			"line_items":{"data":[{"id":"li_1","amount_subtotal":8700,"currency":"usd","description":"Exam","quantity":3,"price":{"id":"price_az900","currency":"usd","unit_amount":2900}}]}}`,
		want: fact(makegood.FactPaid, usd(8700), ann, makegood.Line{Product: "az-900", Label: "Exam", Quantity: 3, Subtotal: usd(8700), Agreed: usd(2900)}),
	},
	{
		name: "2025-09-30.clover a product that was taken out of the catalogue: never dropped",
		body: `{"id":"evt_25c","object":"event","api_version":"2025-09-30.clover","created":1759190400,"livemode":false,"type":"checkout.session.completed",
			"data":{"object":{"id":"cs_test_x","object":"checkout.session","amount_subtotal":1000,"amount_total":1000,"currency":"usd","customer_details":{"email":"ann@example.com"},"metadata":{"product":"ab-100","quantity":"1","unit_amount":"1000","currency":"usd"},"mode":"payment","payment_intent":"pi_x","payment_status":"paid","status":"complete"}}}`,
		api: `{"id":"cs_test_x","object":"checkout.session","amount_subtotal":1000,"amount_total":1000,"currency":"usd","customer_details":{"email":"ann@example.com"},"metadata":{"product":"ab-100","quantity":"1","unit_amount":"1000","currency":"usd"},"mode":"payment","payment_intent":"pi_x","payment_status":"paid","status":"complete",
			"line_items":{"data":[{"id":"li_1","amount_subtotal":1000,"currency":"usd","description":"AB-100","quantity":1,"price":{"id":"price_old","currency":"usd","unit_amount":1000}}]}}`,
		want: fact(makegood.FactPaid, usd(1000), ann, one("", "AB-100", usd(1000))),
	},
	{
		name: "2025-09-30.clover a product code with a slug bug: never dropped",
		body: `{"id":"evt_25d","object":"event","api_version":"2025-09-30.clover","created":1759190400,"livemode":false,"type":"checkout.session.completed",
			"data":{"object":{"id":"cs_test_x","object":"checkout.session","amount_subtotal":2900,"amount_total":2900,"currency":"usd","customer_details":{"email":"ann@example.com"},"metadata":{"product":"az-900 exam ","quantity":"1","unit_amount":"2900","currency":"usd"},"mode":"payment","payment_intent":"pi_x","payment_status":"paid","status":"complete"}}}`,
		api:  apiSession,
		want: fact(makegood.FactPaid, usd(2900), ann, exam),
	},
	{
		name: "2026-03-25.dahlia as our own checkout makes it",
		body: `{"id":"evt_26a","object":"event","api_version":"2026-03-25.dahlia","created":1774396800,"livemode":false,"type":"checkout.session.completed",
			"data":{"object":{"id":"cs_test_x","object":"checkout.session","amount_subtotal":2900,"amount_total":2900,"currency":"usd","customer_account":null,"customer_details":{"business_name":null,"email":"ann@example.com","individual_name":"Ann Example","name":null},"customer_email":"other@example.com",
			"livemode":false,"metadata":{"product":"az-900","quantity":"1","unit_amount":"2900","currency":"usd"},"mode":"payment","payment_intent":"pi_x","payment_status":"paid","status":"complete","ui_mode":"hosted_page"}}}`,
		want: fact(makegood.FactPaid, usd(2900), makegood.Customer{Email: "ann@example.com", Name: "Ann Example"}, exam),
	},
	{
		name: "2026-03-25.dahlia no address anywhere",
		body: `{"id":"evt_26b","object":"event","api_version":"2026-03-25.dahlia","created":1774396800,"livemode":false,"type":"checkout.session.completed",
			"data":{"object":{"id":"cs_test_x","object":"checkout.session","amount_subtotal":2900,"amount_total":2900,"currency":"usd","customer":"cus_1","customer_details":null,"customer_email":null,
			"metadata":{"product":"az-900","unit_amount":"2900","currency":"usd"},"mode":"payment","payment_intent":"pi_x","payment_status":"paid","status":"complete"}}}`,
		want: fact(makegood.FactPaid, usd(2900), makegood.Customer{}, exam),
	},
	{
		name: "2026-08-26.dahlia amounts that are no whole numbers are not guessed: asked",
		body: `{"id":"evt_26c","object":"event","api_version":"2026-08-26.dahlia","created":1787702400,"livemode":false,"type":"checkout.session.completed",
			"data":{"object":{"id":"cs_test_x","object":"checkout.session","amount_subtotal":2900.0,"amount_total":"2900","currency":"usd",
			"metadata":{"product":"az-900","unit_amount":"2900","currency":"usd"},"mode":"payment","payment_intent":"pi_x","payment_status":"paid","status":"complete"}}}`,
		api:  apiSession,
		want: fact(makegood.FactPaid, usd(2900), ann, exam),
	},
	{
		name: "2026-08-26.dahlia a subscription that was paid",
		body: `{"id":"evt_26d","object":"event","api_version":"2026-08-26.dahlia","created":1787702400,"livemode":false,"type":"checkout.session.completed",
			"data":{"object":{"id":"cs_test_x","object":"checkout.session","amount_subtotal":2900,"amount_total":2900,"currency":"usd","customer_details":{"email":"ann@example.com"},"invoice":"in_1","mode":"subscription","payment_intent":null,"payment_status":"paid","status":"complete","subscription":"sub_1"}}}`,
		api:  apiSession,
		want: fact(makegood.FactPaid, usd(2900), ann, exam),
	},
	{
		name: "2026-08-26.dahlia refund",
		body: `{"id":"evt_26e","object":"event","api_version":"2026-08-26.dahlia","created":1787702400,"livemode":false,"type":"refund.created","data":{"object":{"id":"re_1","object":"refund","amount":2900,"payment_intent":"pi_x","status":"succeeded"}}}`,
		note: "refund.created is kept and shown; this version does not act on it.",
	},
	{
		name: "2026-08-26.dahlia a type nobody knows",
		body: `{"id":"evt_26f","object":"event","api_version":"2026-08-26.dahlia","created":1787702400,"livemode":false,"type":"teleport.completed","data":{"object":{"id":"tp_1"}}}`,
		note: "teleport.completed says nothing of an order",
	},
	{
		name: "2026 a type of checkout that this version does not know",
		body: `{"id":"evt_26g","object":"event","api_version":"2026-08-26.dahlia","created":1787702400,"livemode":false,"type":"checkout.session.paused","data":{"object":{"id":"cs_test_x","payment_status":"paid"}}}`,
		note: "checkout.session.paused is kept and shown",
	},
	{
		name: "thin event of a meter",
		body: `{"id":"evt_test_65R","object":"v2.core.event","type":"v1.billing.meter.error_report_triggered","livemode":false,"created":"2025-09-17T06:20:52.246Z","context":null,
			"related_object":{"id":"mtr_1","type":"billing.meter","url":"/v1/billing/meters/mtr_1"}}`,
		note: "says nothing of an order",
	},
	{
		name: "thin event of a session: fetched, and its state counts",
		body: `{"id":"evt_test_66R","object":"v2.core.event","type":"v1.checkout.session.completed","livemode":false,"created":"2026-01-17T06:20:52.246Z",
			"related_object":{"id":"cs_test_x","type":"checkout.session","url":"/v1/checkout/sessions/cs_test_x"}}`,
		api:  apiSession,
		want: fact(makegood.FactPaid, usd(2900), ann, exam),
	},
	{
		name: "items of 2019 beside a total that cannot be read: not added up, asked",
		body: `{"id":"evt_x","object":"event","api_version":"2026-08-26.dahlia","created":1787702400,"livemode":false,"type":"checkout.session.completed","data":{"object":{"id":"cs_test_x","object":"checkout.session","mode":"payment","payment_intent":"pi_x","payment_status":"paid","status":"complete","currency":"usd","customer_details":{"email":"ann@example.com"},"amount_total":"500","display_items":[{"amount":500,"currency":"usd","quantity":1,"sku":"sku_sticker"}]}}}`,
		api:  apiSession,
		want: fact(makegood.FactPaid, usd(2900), ann, exam),
	},
	{
		name: "items of 2019 that overflow: asked",
		body: `{"id":"evt_x","object":"event","api_version":"2026-08-26.dahlia","created":1787702400,"livemode":false,"type":"checkout.session.completed","data":{"object":{"id":"cs_test_x","object":"checkout.session","mode":"payment","payment_intent":"pi_x","payment_status":"paid","status":"complete","currency":"usd","customer_details":{"email":"ann@example.com"},"display_items":[{"amount":9223372036854775807,"currency":"usd","quantity":1,"sku":"sku_sticker"},{"amount":9223372036854775807,"currency":"usd","quantity":1,"sku":"sku_sticker"}]}}}`,
		api:  apiSession,
		want: fact(makegood.FactPaid, usd(2900), ann, exam),
	},
	{
		name: "items of 2019 in two currencies: asked",
		body: `{"id":"evt_x","object":"event","api_version":"2026-08-26.dahlia","created":1787702400,"livemode":false,"type":"checkout.session.completed","data":{"object":{"id":"cs_test_x","object":"checkout.session","mode":"payment","payment_intent":"pi_x","payment_status":"paid","status":"complete","currency":"usd","customer_details":{"email":"ann@example.com"},"display_items":[{"amount":500,"currency":"usd","quantity":1,"sku":"sku_sticker"},{"amount":500,"currency":"eur","quantity":1,"sku":"sku_sticker"}]}}}`,
		api:  apiSession,
		want: fact(makegood.FactPaid, usd(2900), ann, exam),
	},
	{
		name: "a total is missing and the lines are known: asked",
		body: `{"id":"evt_x","object":"event","api_version":"2026-08-26.dahlia","created":1787702400,"livemode":false,"type":"checkout.session.completed","data":{"object":{"id":"cs_test_x","object":"checkout.session","mode":"payment","payment_intent":"pi_x","payment_status":"paid","status":"complete","currency":"usd","customer_details":{"email":"ann@example.com"},"amount_subtotal":2900,"metadata":{"product":"az-900","unit_amount":"2900","currency":"usd"}}}}`,
		api:  apiSession,
		want: fact(makegood.FactPaid, usd(2900), ann, exam),
	},
	{
		name: "metadata with a quantity that we never sell, though it adds up: asked",
		body: `{"id":"evt_x","object":"event","api_version":"2026-08-26.dahlia","created":1787702400,"livemode":false,"type":"checkout.session.completed","data":{"object":{"id":"cs_test_x","object":"checkout.session","mode":"payment","payment_intent":"pi_x","payment_status":"paid","status":"complete","currency":"usd","customer_details":{"email":"ann@example.com"},"amount_total":2902900,"amount_subtotal":2902900,"metadata":{"product":"az-900","quantity":"1001","unit_amount":"2900","currency":"usd"}}}}`,
		api:  apiSession,
		want: fact(makegood.FactPaid, usd(2900), ann, exam),
	},
	{
		name: "metadata with no quantity at all, though it adds up: asked",
		body: `{"id":"evt_x","object":"event","api_version":"2026-08-26.dahlia","created":1787702400,"livemode":false,"type":"checkout.session.completed","data":{"object":{"id":"cs_test_x","object":"checkout.session","mode":"payment","payment_intent":"pi_x","payment_status":"paid","status":"complete","currency":"usd","customer_details":{"email":"ann@example.com"},"amount_total":0,"amount_subtotal":0,"metadata":{"product":"az-900","quantity":"0","unit_amount":"2900","currency":"usd"}}}}`,
		api:  apiSession,
		want: fact(makegood.FactPaid, usd(2900), ann, exam),
	},
	{
		name: "metadata with a price of zero in a session without a subtotal: asked",
		body: `{"id":"evt_x","object":"event","api_version":"2026-08-26.dahlia","created":1787702400,"livemode":false,"type":"checkout.session.completed","data":{"object":{"id":"cs_test_x","object":"checkout.session","mode":"payment","payment_intent":"pi_x","payment_status":"paid","status":"complete","currency":"usd","customer_details":{"email":"ann@example.com"},"amount_total":2900,"metadata":{"product":"az-900","unit_amount":"0","currency":"usd"}}}}`,
		api:  apiSession,
		want: fact(makegood.FactPaid, usd(2900), ann, exam),
	},
	{
		name: "metadata with a signed price: asked",
		body: `{"id":"evt_x","object":"event","api_version":"2026-08-26.dahlia","created":1787702400,"livemode":false,"type":"checkout.session.completed","data":{"object":{"id":"cs_test_x","object":"checkout.session","mode":"payment","payment_intent":"pi_x","payment_status":"paid","status":"complete","currency":"usd","customer_details":{"email":"ann@example.com"},"amount_total":2900,"amount_subtotal":2900,"metadata":{"product":"az-900","unit_amount":"+2900","currency":"usd"}}}}`,
		api:  apiSession,
		want: fact(makegood.FactPaid, usd(2900), ann, exam),
	},
	{
		name: "metadata with another price than was charged: asked",
		body: `{"id":"evt_x","object":"event","api_version":"2026-08-26.dahlia","created":1787702400,"livemode":false,"type":"checkout.session.completed","data":{"object":{"id":"cs_test_x","object":"checkout.session","mode":"payment","payment_intent":"pi_x","payment_status":"paid","status":"complete","currency":"usd","customer_details":{"email":"ann@example.com"},"amount_total":2900,"amount_subtotal":2900,"metadata":{"product":"az-900","unit_amount":"2800","currency":"usd"}}}}`,
		api:  apiSession,
		want: fact(makegood.FactPaid, usd(2900), ann, exam),
	},
	{
		name: "two lines, and metadata that can be about one only",
		body: `{"id":"evt_x","object":"event","api_version":"2026-08-26.dahlia","created":1787702400,"livemode":false,"type":"checkout.session.completed","data":{"object":{"id":"cs_test_x","object":"checkout.session","mode":"payment","payment_intent":"pi_x","payment_status":"paid","status":"complete","currency":"usd","customer_details":{"email":"ann@example.com"},"amount_total":200,"amount_subtotal":200,"metadata":{"product":"az-900"}}}}`,
		api: `{"id":"cs_test_x","amount_total":200,"amount_subtotal":200,"currency":"usd","customer_details":{"email":"ann@example.com"},"metadata":{"product":"az-900"},"mode":"payment","payment_intent":"pi_x","payment_status":"paid","status":"complete",
			"line_items":{"data":[{"amount_subtotal":100,"currency":"usd","description":"A","quantity":1,"price":{"id":"price_a","currency":"usd","unit_amount":100}},{"amount_subtotal":100,"currency":"usd","description":"B","quantity":1,"price":{"id":"price_b","currency":"usd","unit_amount":100}}]}}`,
		want: fact(makegood.FactPaid, usd(200), ann, one("", "A", usd(100)), one("", "B", usd(100))),
	},
	{
		name: "a quantity beyond every limit, and a price that is not fixed",
		body: `{"id":"evt_x","object":"event","api_version":"2026-08-26.dahlia","created":1787702400,"livemode":false,"type":"checkout.session.completed","data":{"object":{"id":"cs_test_x","object":"checkout.session","mode":"payment","payment_intent":"pi_x","payment_status":"paid","status":"complete","currency":"usd","customer_details":{"email":"ann@example.com"},"amount_total":100,"line_items":{"data":[{"amount_subtotal":100,"currency":"usd","description":"Exam","quantity":9223372036854775807,"price":{"id":"price_az900","currency":"usd","unit_amount":null}}]}}}}`,
		want: fact(makegood.FactPaid, usd(100), ann, makegood.Line{Product: "az-900", Label: "Exam", Quantity: makegood.QuantityMax + 1, Subtotal: usd(100)}),
	},
	{
		name: "no payment required of a session that is still open: asked",
		body: `{"id":"evt_x","object":"event","api_version":"2026-08-26.dahlia","created":1787702400,"livemode":false,"type":"checkout.session.completed","data":{"object":{"id":"cs_test_x","amount_total":0,"amount_subtotal":2900,"currency":"usd","mode":"payment","payment_status":"no_payment_required","status":"open","metadata":{"product":"az-900","unit_amount":"2900","currency":"usd"}}}}`,
		api:  apiSession,
		want: fact(makegood.FactPaid, usd(2900), ann, exam),
	},
	{
		name: "the API says that the session is live",
		body: `{"id":"evt_x","object":"event","api_version":"2026-08-26.dahlia","created":1787702400,"livemode":false,"type":"checkout.session.completed","data":{"object":{"id":"cs_test_x","object":"checkout.session","mode":"payment","payment_intent":"pi_x","payment_status":"paid","status":"complete","currency":"usd","customer_details":{"email":"ann@example.com"},"amount_total":2900}}}`,
		api:  `{"id":"cs_test_x","livemode":true,"amount_total":2900,"currency":"usd","mode":"payment","payment_status":"paid","status":"complete"}`,
		note: "The session is not in test mode",
	},
	{
		name: "a thin event, and the API says that the session is live",
		body: `{"id":"evt_x","object":"v2.core.event","type":"v1.checkout.session.completed","livemode":false,"related_object":{"id":"cs_test_x","type":"checkout.session"}}`,
		api:  `{"id":"cs_test_x","livemode":true,"amount_total":2900,"currency":"usd","mode":"payment","payment_status":"paid","status":"complete"}`,
		note: "The session is not in test mode",
	},
	{
		name: "metadata in another currency than was charged: asked",
		body: `{"id":"evt_x","object":"event","api_version":"2026-08-26.dahlia","created":1787702400,"livemode":false,"type":"checkout.session.completed","data":{"object":{"id":"cs_test_x","object":"checkout.session","mode":"payment","payment_intent":"pi_x","payment_status":"paid","status":"complete","currency":"usd","customer_details":{"email":"ann@example.com"},"amount_total":2900,"amount_subtotal":2900,"metadata":{"product":"az-900","unit_amount":"2900","currency":"eur"}}}}`,
		api:  apiSession,
		want: fact(makegood.FactPaid, usd(2900), ann, exam),
	},
	{
		name: "metadata that is written in a string is none: asked",
		body: `{"id":"evt_x","object":"event","api_version":"2026-08-26.dahlia","created":1787702400,"livemode":false,"type":"checkout.session.completed","data":{"object":{"id":"cs_test_x","object":"checkout.session","mode":"payment","payment_intent":"pi_x","payment_status":"paid","status":"complete","currency":"usd","customer_details":{"email":"ann@example.com"},"amount_total":2900,"amount_subtotal":2900,"metadata":"{\"product\":\"dp-203\",\"unit_amount\":\"2900\",\"currency\":\"usd\"}"}}}`,
		api:  apiSession,
		want: fact(makegood.FactPaid, usd(2900), ann, exam),
	},
	{
		name: "a session that is written in a string is none",
		body: `{"id":"evt_x","object":"event","livemode":false,"type":"checkout.session.completed","data":{"object":"{\"id\":\"cs_test_x\",\"payment_status\":\"paid\"}"}}`,
		note: "names no session",
	},
	{
		name: "said to have failed, and paid; the API says unpaid",
		body: `{"id":"evt_x","object":"event","api_version":"2026-08-26.dahlia","created":1787702400,"livemode":false,"type":"checkout.session.async_payment_failed","data":{"object":{"id":"cs_test_x","object":"checkout.session","mode":"payment","payment_intent":"pi_x","payment_status":"paid","status":"complete","currency":"usd","customer_details":{"email":"ann@example.com"},"amount_total":2900}}}`,
		api:  strings.Replace(apiSession, `"payment_status":"paid"`, `"payment_status":"unpaid"`, 1),
		want: fact(makegood.FactFailed, usd(2900), ann, exam),
	},
	{
		name: "no payment required in a session that does not tell its mode: asked",
		body: `{"id":"evt_x","object":"event","api_version":"2026-08-26.dahlia","created":1787702400,"livemode":false,"type":"checkout.session.completed","data":{"object":{"id":"cs_test_x","amount_total":0,"currency":"usd","payment_status":"no_payment_required"}}}`,
		api:  apiSession,
		want: fact(makegood.FactPaid, usd(2900), ann, exam),
	},
	{
		name: "of the other mode",
		body: `{"id":"evt_live","object":"event","created":1774396800,"livemode":true,"type":"checkout.session.completed","data":{"object":{"id":"cs_live_x","payment_status":"paid","livemode":true}}}`,
		note: "It is in live mode, and the source \"stripe\" is in test mode.",
	},
	{
		name: "a session of the other mode in an event of ours",
		body: `{"id":"evt_mixed","object":"event","created":1774396800,"livemode":false,"type":"checkout.session.completed","data":{"object":{"id":"cs_test_x","payment_status":"paid","livemode":true}}}`,
		note: "The session is not in test mode",
	},
	{
		name: "a session with the id of the other mode",
		body: `{"id":"evt_mixed2","object":"event","created":1774396800,"livemode":false,"type":"checkout.session.completed","data":{"object":{"id":"cs_live_x","payment_status":"paid"}}}`,
		note: "The session is not in test mode",
	},
	{
		name: "of a connected account that is not ours",
		body: `{"id":"evt_connect","object":"event","account":"acct_1Other","created":1774396800,"livemode":false,"type":"checkout.session.completed","data":{"object":{"id":"cs_test_x","payment_status":"paid"}}}`,
		note: "It belongs to the account acct_1Other",
	},
	{
		name: "of an account that cannot be read",
		body: `{"id":"evt_odd","object":"event","account":{"id":"acct_1"},"created":1774396800,"livemode":false,"type":"checkout.session.completed","data":{"object":{"id":"cs_test_x","payment_status":"paid"}}}`,
		note: "It belongs to the account sha256:",
	},
	{
		name: "no session in it",
		body: `{"id":"evt_none","object":"event","created":1774396800,"livemode":false,"type":"checkout.session.completed","data":{"object":null}}`,
		note: "names no session",
	},
	{name: "not an event", body: `{"id":"cs_test_x","object":"checkout.session","type":"checkout.session.completed","livemode":false}`, note: "not an event"},
	{name: "not JSON", body: `payment_status=paid`, note: "not an event"},
	{name: "a list", body: `[{"id":"evt_1","object":"event"}]`, note: "not an event"},
	{name: "empty", body: ``, note: "not an event"},
}
