package stripe_test

import (
	"embed"
	"slices"
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
	name    string
	file    string            // in testdata/events, without .json
	body    string            // that of the file, or one that is no JSON object
	api     string            // what the API answers for the session; "" when it must not be asked
	answers map[string]string // what it answers to other calls, each of which must be made
	want    makegood.Fact
	wants   []makegood.Fact // when it is not one of a session
	note    string          // a part of the note, when there is no fact
}

//go:embed testdata/events/*.json
var eventFiles embed.FS

// bodies is the one table of all bodies.
var bodies = func() []told {
	all := slices.Concat(saleBodies, lifeBodies)
	for i := range all {
		if all[i].file == "" {
			continue
		}
		content, err := eventFiles.ReadFile("testdata/events/" + all[i].file + ".json")
		if err != nil {
			panic(err)
		}
		all[i].body = string(content)
	}
	return all
}()

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

// saleBodies are events in the shapes that Stripe's API has had from 2015 to 2026, written from its changelog, its OpenAPI
// document and its documentation. Checkout Sessions came in 2019, payment_status in 2020.
var saleBodies = []told{
	{
		name: "2015-02-18 charge, long before Checkout",
		file: "2015-02-18-charge-long-before-checkout",
		note: "charge.succeeded is about one attempt to take the money",
	},
	{
		name: "2019-03-14 first Checkout: display_items with a SKU, no mode, no status, no total",
		file: "2019-03-14-first-checkout-display-items-with-a-sku-no-mode-no-status-no-total",
		// It does not say whether it was paid: that is asked.
		api:  apiSession,
		want: fact(makegood.FactPaid, usd(2900), ann, exam),
	},
	{
		name: "2019-12-03 with what was added later: display_items, a total, a payment status",
		file: "2019-12-03-with-what-was-added-later-display-items-a-total-a-payment-status",
		want: fact(makegood.FactPaid, usd(1500), ann, makegood.Line{Product: "sticky", Label: "Sticker", Quantity: 3, Subtotal: usd(1500), Agreed: usd(500)}),
	},
	{
		name: "2019-10-17 display_items without any total add up, upper-case currency",
		file: "2019-10-17-display-items-without-any-total-add-up-upper-case-currency",
		want: fact(makegood.FactPaid, usd(3400), ann, one("sticky", "sku_sticker", usd(500)), one("az-900", "Exam", usd(2900))),
	},
	{
		name: "2019-11-05 a custom display item is not in the catalogue: asked, and known by the metadata there",
		file: "2019-11-05-a-custom-display-item-is-not-in-the-catalogue-asked-and-known-by-the",
		api:  apiSession,
		want: fact(makegood.FactPaid, usd(2900), ann, exam),
	},
	{
		name: "2019-12-03 a session that saves a card",
		file: "2019-12-03-a-session-that-saves-a-card",
		note: "saved a payment method",
	},
	{
		name: "2020-03-02 customer and payment expanded, shipping name",
		file: "2020-03-02-customer-and-payment-expanded-shipping-name",
		want: fact(makegood.FactPaid, usd(2900), makegood.Customer{Email: "ann@example.com", Name: "Ann Example"}, exam),
	},
	{
		name: "2020-08-27 without metadata of ours: the API has the line items",
		file: "2020-08-27-without-metadata-of-ours-the-api-has-the-line-items",
		api:  apiSession,
		want: fact(makegood.FactPaid, usd(2900), ann, exam),
	},
	{
		name: "2020-08-27 metadata null",
		file: "2020-08-27-metadata-null",
		api:  apiSession,
		want: fact(makegood.FactPaid, usd(2900), ann, exam),
	},
	{
		name: "2020-08-27 delayed method: completed and unpaid",
		file: "2020-08-27-delayed-method-completed-and-unpaid",
		want: fact(makegood.FactAwaiting, usd(2900), ann, exam),
	},
	{
		name: "2020-08-27 delayed method of an unknown product: awaited without lines, nobody asked",
		file: "2020-08-27-delayed-method-of-an-unknown-product-awaited-without-lines-nobody-ask",
		want: fact(makegood.FactAwaiting, usd(2900), ann),
	},
	{
		name: "2020-08-27 the money came",
		file: "2020-08-27-the-money-came",
		want: fact(makegood.FactPaid, usd(2900), ann, exam),
	},
	{
		name: "2020-08-27 the money is said to have come, and the object says unpaid: the API decides",
		file: "2020-08-27-the-money-is-said-to-have-come-and-the-object-says-unpaid-the-api-dec",
		api:  apiSession,
		want: fact(makegood.FactPaid, usd(2900), ann, exam),
	},
	{
		name: "2020-08-27 the money did not come",
		file: "2020-08-27-the-money-did-not-come",
		want: fact(makegood.FactFailed, usd(2900), ann),
	},
	{
		name: "2020-08-27 said to have failed, and paid: the API decides",
		file: "2020-08-27-said-to-have-failed-and-paid-the-api-decides",
		api:  apiSession,
		want: fact(makegood.FactPaid, usd(2900), ann, exam),
	},
	{
		name: "2022-08-01 expired; created without a payment",
		file: "2022-08-01-expired-created-without-a-payment",
		want: func() makegood.Fact {
			f := fact(makegood.FactExpired, usd(2900), ann, exam)
			f.PaymentID = ""
			return f
		}(),
	},
	{
		name: "2022-11-15 a coupon of 100 %",
		file: "2022-11-15-a-coupon-of-100",
		want: func() makegood.Fact {
			f := fact(makegood.FactPaid, usd(0), ann, exam)
			f.PaymentID = ""
			return f
		}(),
	},
	{
		name: "2022-11-15 a trial",
		file: "2022-11-15-a-trial",
		note: "trial",
	},
	{
		name: "2022-11-15 no payment required of something that costs",
		file: "2022-11-15-no-payment-required-of-something-that-costs",
		note: "29.00 USD",
	},
	{
		name: "2023-08-16 a discount and a tax: the total differs, the lines count before both",
		file: "2023-08-16-a-discount-and-a-tax-the-total-differs-the-lines-count-before-both",
		want: fact(makegood.FactPaid, usd(5510), makegood.Customer{Email: "ann@example.com", Name: "Ann Example"},
			makegood.Line{Product: "az-900", Label: "AZ-900 practice exam", Quantity: 2, Subtotal: usd(5800), Agreed: usd(2900)}),
	},
	{
		name: "2023-10-16 a Payment Link with two products, line items in the body",
		file: "2023-10-16-a-payment-link-with-two-products-line-items-in-the-body",
		want: fact(makegood.FactPaid, usd(7800), ann, one("az-900", "Exam", usd(2900)), one("dp-203", "Other", usd(4900))),
	},
	{
		name: "2024-04-10 line items in the body, but not all of them: asked",
		file: "2024-04-10-line-items-in-the-body-but-not-all-of-them-asked",
		api:  apiSession,
		want: fact(makegood.FactPaid, usd(2900), ann, exam),
	},
	{
		name: "2024-06-20 product of the price expanded, with its metadata",
		file: "2024-06-20-product-of-the-price-expanded-with-its-metadata",
		want: fact(makegood.FactPaid, usd(4900), ann, one("dp-203", "DP-203", usd(4900))),
	},
	{
		name: "2024-06-20 another shop's session with a product of ours in the metadata: the catalogue's price counts",
		file: "2024-06-20-another-shop-s-session-with-a-product-of-ours-in-the-metadata-the-cat",
		want: fact(makegood.FactPaid, usd(100), ann, makegood.Line{Product: "az-900", Label: "Cheap", Quantity: 1, Subtotal: usd(100)}),
	},
	{
		name: "2025-03-31.basil yen, which have no cents; collected_information",
		file: "2025-03-31.basil-yen-which-have-no-cents-collected-information",
		want: fact(makegood.FactPaid, makegood.Money{Minor: 6000, Currency: "jpy"}, makegood.Customer{Email: "ann@example.com", Name: "Ann Example"},
			makegood.Line{Product: "yen-1", Label: "Sold in yen", Quantity: 2, Subtotal: makegood.Money{Minor: 6000, Currency: "jpy"}, Agreed: makegood.Money{Minor: 3000, Currency: "jpy"}}),
	},
	{
		name: "2024-09-30.acacia shown in another currency: what we agreed is not in the body, the API has it",
		file: "2024-09-30.acacia-shown-in-another-currency-what-we-agreed-is-not-in-the-body-th",
		api:  apiSession,
		want: fact(makegood.FactPaid, usd(2900), ann, exam),
	},
	{
		name: "2025-09-30.clover the customer changed the quantity: the metadata does not add up",
		file: "2025-09-30.clover-the-customer-changed-the-quantity-the-metadata-does-not-add-up",
		api: `{"id":"cs_test_x","object":"checkout.session","amount_subtotal":8700,"amount_total":8700,"currency":"usd","customer_details":{"email":"ann@example.com"},"metadata":{"product":"az-900","quantity":"1","unit_amount":"2900","currency":"usd"},"mode":"payment","payment_intent":"pi_x","payment_status":"paid","status":"complete",
			"line_items":{"data":[{"id":"li_1","amount_subtotal":8700,"currency":"usd","description":"Exam","quantity":3,"price":{"id":"price_az900","currency":"usd","unit_amount":2900}}]}}`,
		want: fact(makegood.FactPaid, usd(8700), ann, makegood.Line{Product: "az-900", Label: "Exam", Quantity: 3, Subtotal: usd(8700), Agreed: usd(2900)}),
	},
	{
		name: "2025-09-30.clover a product that was taken out of the catalogue: never dropped",
		file: "2025-09-30.clover-a-product-that-was-taken-out-of-the-catalogue-never-dropped",
		api: `{"id":"cs_test_x","object":"checkout.session","amount_subtotal":1000,"amount_total":1000,"currency":"usd","customer_details":{"email":"ann@example.com"},"metadata":{"product":"ab-100","quantity":"1","unit_amount":"1000","currency":"usd"},"mode":"payment","payment_intent":"pi_x","payment_status":"paid","status":"complete",
			"line_items":{"data":[{"id":"li_1","amount_subtotal":1000,"currency":"usd","description":"AB-100","quantity":1,"price":{"id":"price_old","currency":"usd","unit_amount":1000}}]}}`,
		want: fact(makegood.FactPaid, usd(1000), ann, one("", "AB-100", usd(1000))),
	},
	{
		name: "2025-09-30.clover a product code with a slug bug: never dropped",
		file: "2025-09-30.clover-a-product-code-with-a-slug-bug-never-dropped",
		api:  apiSession,
		want: fact(makegood.FactPaid, usd(2900), ann, exam),
	},
	{
		name: "2026-03-25.dahlia as our own checkout makes it",
		file: "2026-03-25.dahlia-as-our-own-checkout-makes-it",
		want: fact(makegood.FactPaid, usd(2900), makegood.Customer{Email: "ann@example.com", Name: "Ann Example"}, exam),
	},
	{
		name: "2026-03-25.dahlia no address anywhere",
		file: "2026-03-25.dahlia-no-address-anywhere",
		want: fact(makegood.FactPaid, usd(2900), makegood.Customer{}, exam),
	},
	{
		name: "2026-08-26.dahlia amounts that are no whole numbers are not guessed: asked",
		file: "2026-08-26.dahlia-amounts-that-are-no-whole-numbers-are-not-guessed-asked",
		api:  apiSession,
		want: fact(makegood.FactPaid, usd(2900), ann, exam),
	},
	{
		name: "2026-08-26.dahlia a subscription that was paid",
		file: "2026-08-26.dahlia-a-subscription-that-was-paid",
		api:  apiSession,
		want: fact(makegood.FactPaid, usd(2900), ann, exam),
	},
	{
		name: "2026-08-26.dahlia a type nobody knows",
		file: "2026-08-26.dahlia-a-type-nobody-knows",
		note: "teleport.completed says nothing of an order",
	},
	{
		name: "2026 a type of checkout that this version does not know",
		file: "2026-a-type-of-checkout-that-this-version-does-not-know",
		note: "checkout.session.paused is kept and shown",
	},
	{
		name: "thin event of a meter",
		file: "thin-event-of-a-meter",
		note: "says nothing of an order",
	},
	{
		name: "thin event of a session: fetched, and its state counts",
		file: "thin-event-of-a-session-fetched-and-its-state-counts",
		api:  apiSession,
		want: fact(makegood.FactPaid, usd(2900), ann, exam),
	},
	{
		name: "items of 2019 beside a total that cannot be read: not added up, asked",
		file: "items-of-2019-beside-a-total-that-cannot-be-read-not-added-up-asked",
		api:  apiSession,
		want: fact(makegood.FactPaid, usd(2900), ann, exam),
	},
	{
		name: "items of 2019 that overflow: asked",
		file: "items-of-2019-that-overflow-asked",
		api:  apiSession,
		want: fact(makegood.FactPaid, usd(2900), ann, exam),
	},
	{
		name: "items of 2019 in two currencies: asked",
		file: "items-of-2019-in-two-currencies-asked",
		api:  apiSession,
		want: fact(makegood.FactPaid, usd(2900), ann, exam),
	},
	{
		name: "a total is missing and the lines are known: asked",
		file: "a-total-is-missing-and-the-lines-are-known-asked",
		api:  apiSession,
		want: fact(makegood.FactPaid, usd(2900), ann, exam),
	},
	{
		name: "metadata with a quantity that we never sell, though it adds up: asked",
		file: "metadata-with-a-quantity-that-we-never-sell-though-it-adds-up-asked",
		api:  apiSession,
		want: fact(makegood.FactPaid, usd(2900), ann, exam),
	},
	{
		name: "metadata with no quantity at all, though it adds up: asked",
		file: "metadata-with-no-quantity-at-all-though-it-adds-up-asked",
		api:  apiSession,
		want: fact(makegood.FactPaid, usd(2900), ann, exam),
	},
	{
		name: "metadata with a price of zero in a session without a subtotal: asked",
		file: "metadata-with-a-price-of-zero-in-a-session-without-a-subtotal-asked",
		api:  apiSession,
		want: fact(makegood.FactPaid, usd(2900), ann, exam),
	},
	{
		name: "metadata with a signed price: asked",
		file: "metadata-with-a-signed-price-asked",
		api:  apiSession,
		want: fact(makegood.FactPaid, usd(2900), ann, exam),
	},
	{
		name: "metadata with another price than was charged: asked",
		file: "metadata-with-another-price-than-was-charged-asked",
		api:  apiSession,
		want: fact(makegood.FactPaid, usd(2900), ann, exam),
	},
	{
		name: "two lines, and metadata that can be about one only",
		file: "two-lines-and-metadata-that-can-be-about-one-only",
		api: `{"id":"cs_test_x","amount_total":200,"amount_subtotal":200,"currency":"usd","customer_details":{"email":"ann@example.com"},"metadata":{"product":"az-900"},"mode":"payment","payment_intent":"pi_x","payment_status":"paid","status":"complete",
			"line_items":{"data":[{"amount_subtotal":100,"currency":"usd","description":"A","quantity":1,"price":{"id":"price_a","currency":"usd","unit_amount":100}},{"amount_subtotal":100,"currency":"usd","description":"B","quantity":1,"price":{"id":"price_b","currency":"usd","unit_amount":100}}]}}`,
		want: fact(makegood.FactPaid, usd(200), ann, one("", "A", usd(100)), one("", "B", usd(100))),
	},
	{
		name: "a quantity beyond every limit, and a price that is not fixed",
		file: "a-quantity-beyond-every-limit-and-a-price-that-is-not-fixed",
		want: fact(makegood.FactPaid, usd(100), ann, makegood.Line{Product: "az-900", Label: "Exam", Quantity: makegood.QuantityMax + 1, Subtotal: usd(100)}),
	},
	{
		name: "no payment required of a session that is still open: asked",
		file: "no-payment-required-of-a-session-that-is-still-open-asked",
		api:  apiSession,
		want: fact(makegood.FactPaid, usd(2900), ann, exam),
	},
	{
		name: "the API says that the session is live",
		file: "the-api-says-that-the-session-is-live",
		api:  `{"id":"cs_test_x","livemode":true,"amount_total":2900,"currency":"usd","mode":"payment","payment_status":"paid","status":"complete"}`,
		note: "The session is not in test mode",
	},
	{
		name: "a thin event, and the API says that the session is live",
		file: "a-thin-event-and-the-api-says-that-the-session-is-live",
		api:  `{"id":"cs_test_x","livemode":true,"amount_total":2900,"currency":"usd","mode":"payment","payment_status":"paid","status":"complete"}`,
		note: "The session is not in test mode",
	},
	{
		name: "metadata in another currency than was charged: asked",
		file: "metadata-in-another-currency-than-was-charged-asked",
		api:  apiSession,
		want: fact(makegood.FactPaid, usd(2900), ann, exam),
	},
	{
		name: "metadata that is written in a string is none: asked",
		file: "metadata-that-is-written-in-a-string-is-none-asked",
		api:  apiSession,
		want: fact(makegood.FactPaid, usd(2900), ann, exam),
	},
	{
		name: "a session that is written in a string is none",
		file: "a-session-that-is-written-in-a-string-is-none",
		note: "names no session",
	},
	{
		name: "said to have failed, and paid; the API says unpaid",
		file: "said-to-have-failed-and-paid-the-api-says-unpaid",
		api:  strings.Replace(apiSession, `"payment_status":"paid"`, `"payment_status":"unpaid"`, 1),
		want: fact(makegood.FactFailed, usd(2900), ann, exam),
	},
	{
		name: "no payment required in a session that does not tell its mode: asked",
		file: "no-payment-required-in-a-session-that-does-not-tell-its-mode-asked",
		api:  apiSession,
		want: fact(makegood.FactPaid, usd(2900), ann, exam),
	},
	{
		name: "of the other mode",
		file: "of-the-other-mode",
		note: "It is in live mode, and the source \"stripe\" is in test mode.",
	},
	{
		name: "a session of the other mode in an event of ours",
		file: "a-session-of-the-other-mode-in-an-event-of-ours",
		note: "The session is not in test mode",
	},
	{
		name: "a session with the id of the other mode",
		file: "a-session-with-the-id-of-the-other-mode",
		note: "The session is not in test mode",
	},
	{
		name: "of a connected account that is not ours",
		file: "of-a-connected-account-that-is-not-ours",
		note: "It belongs to the account acct_1Other",
	},
	{
		name: "of an account that cannot be read",
		file: "of-an-account-that-cannot-be-read",
		note: "It belongs to the account sha256:",
	},
	{
		name: "no session in it",
		file: "no-session-in-it",
		note: "names no session",
	},
	{name: "not an event", body: `{"id":"cs_test_x","object":"checkout.session","type":"checkout.session.completed","livemode":false}`, note: "not an event"},
	{name: "not JSON", body: `payment_status=paid`, note: "not an event"},
	{name: "a list", body: `[{"id":"evt_1","object":"event"}]`, note: "not an event"},
	{name: "empty", body: ``, note: "not an event"},
}
