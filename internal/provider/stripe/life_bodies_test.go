package stripe_test

import (
	"strings"
	"time"

	"github.com/makegood/makegood"
)

// periodEnd is what the invoices of the tests pay for.
const periodEnd = 1702592000

// after is a fact that has no session.
func after(kind makegood.FactKind, id, payment string, amount makegood.Money, references ...string) makegood.Fact {
	return makegood.Fact{Kind: kind, ObjectID: id, PaymentID: payment, Amount: amount, References: references}
}

func until(f makegood.Fact, unix int64) makegood.Fact {
	f.Until = time.Unix(unix, 0).UTC()
	return f
}

func withReferences(f makegood.Fact, references ...string) makegood.Fact {
	f.References = references
	return f
}

var paidBySubscription = func() makegood.Fact {
	f := withReferences(fact(makegood.FactPaid, usd(2900), ann, exam), "in_x", "sub_x")
	f.PaymentID = ""
	return f
}()

// lifeBodies are events of what comes after the sale, written from the documented shapes of the API versions like those of
// saleBodies. What the API answers is in the shape of our pinned version.
var lifeBodies = []told{
	{
		name: "2016-07-06 refund before there were payment intents", file: "2016-07-06-refund-before-there-were-payment-intents",
		wants: []makegood.Fact{after(makegood.FactRefunded, "re_x", "", usd(2900), "ch_x")},
	},
	{
		name: "2024-09-30.acacia refund that succeeded", file: "2024-09-30.acacia-refund-that-succeeded",
		wants: []makegood.Fact{after(makegood.FactRefunded, "re_x", "pi_x", usd(2900), "ch_x")},
	},
	{
		name: "2024-10-28.acacia refund to a bank account: pending", file: "2024-10-28.acacia-refund-to-a-bank-account-pending",
		note: "on its way (pending)",
	},
	{
		name: "2025-03-31.basil refund that waits for the customer", file: "2025-03-31.basil-refund-that-waits-for-the-customer",
		note: "on its way (requires_action)",
	},
	{
		name: "2025-09-30.clover refund that failed", file: "2025-09-30.clover-refund-that-failed",
		wants: []makegood.Fact{after(makegood.FactRefundFailed, "re_x", "pi_x", usd(2900), "ch_x")},
	},
	{
		name: "2026-03-25.dahlia refund.failed whose object says succeeded: the object counts", file: "2026-03-25.dahlia-refund.failed-whose-object-says-succeeded-the-object-counts",
		wants: []makegood.Fact{after(makegood.FactRefunded, "re_x", "pi_x", usd(2900), "ch_x")},
	},
	{
		name: "2026-03-25.dahlia refund that succeeded and has a reason to have failed: asked", file: "2026-03-25.dahlia-refund-that-succeeded-and-has-a-reason-to-have-failed-asked",
		answers: map[string]string{
			"GET /v1/refunds/re_x": `{"id":"re_x","object":"refund","amount":2900,"balance_transaction":"txn_1","charge":"ch_x","created":1743379200,"currency":"usd","destination_details":{"card":{"reference_status":"pending","reference_type":"acquirer_reference_number","type":"refund"},"type":"card"},"metadata":{},"payment_intent":"pi_x","reason":"requested_by_customer","receipt_number":null,"source_transfer_reversal":null,"status":"failed","transfer_reversal":null,"failure_reason":"declined"}`,
		},
		wants: []makegood.Fact{after(makegood.FactRefundFailed, "re_x", "pi_x", usd(2900), "ch_x")},
	},
	{
		name: "2026-03-25.dahlia refund.created whose object says failed", file: "2026-03-25.dahlia-refund.created-whose-object-says-failed",
		wants: []makegood.Fact{after(makegood.FactRefundFailed, "re_x", "pi_x", usd(2900), "ch_x")},
	},
	{
		name: "2026-08-26.dahlia refund that was cancelled", file: "2026-08-26.dahlia-refund-that-was-cancelled",
		wants: []makegood.Fact{after(makegood.FactRefundFailed, "re_x", "pi_x", usd(2900), "ch_x")},
	},
	{
		name: "2020-08-27 refund came back after it had succeeded", file: "2020-08-27-refund-came-back-after-it-had-succeeded",
		wants: []makegood.Fact{after(makegood.FactRefundFailed, "re_x", "pi_x", usd(2900), "ch_x")},
	},
	{
		name: "2014-12-22 refund without a status: asked", file: "2014-12-22-refund-without-a-status-asked",
		answers: map[string]string{
			"GET /v1/refunds/re_x": `{"id":"re_x","object":"refund","amount":2900,"balance_transaction":"txn_1","charge":"ch_x","created":1743379200,"currency":"usd","destination_details":{"card":{"reference_status":"pending","reference_type":"acquirer_reference_number","type":"refund"},"type":"card"},"metadata":{},"payment_intent":null,"reason":"requested_by_customer","receipt_number":null,"source_transfer_reversal":null,"status":"succeeded","transfer_reversal":null}`,
		},
		wants: []makegood.Fact{after(makegood.FactRefunded, "re_x", "", usd(2900), "ch_x")},
	},
	{
		name: "2026-08-26.dahlia refund whose amount is no whole number: asked", file: "2026-08-26.dahlia-refund-whose-amount-is-no-whole-number-asked",
		answers: map[string]string{
			"GET /v1/refunds/re_x": `{"id":"re_x","object":"refund","amount":2900,"balance_transaction":"txn_1","charge":"ch_x","created":1743379200,"currency":"usd","destination_details":{"card":{"reference_status":"pending","reference_type":"acquirer_reference_number","type":"refund"},"type":"card"},"metadata":{},"payment_intent":"pi_x","reason":"requested_by_customer","receipt_number":null,"source_transfer_reversal":null,"status":"succeeded","transfer_reversal":null}`,
		},
		wants: []makegood.Fact{after(makegood.FactRefunded, "re_x", "pi_x", usd(2900), "ch_x")},
	},
	{
		name: "2020-03-02 refund with its charge expanded, which is of an invoice", file: "2020-03-02-refund-with-its-charge-expanded-which-is-of-an-invoice",
		wants: []makegood.Fact{after(makegood.FactRefunded, "re_x", "pi_x", usd(2900), "ch_x", "in_x")},
	},
	{
		name: "2022-08-01 refund with its payment intent expanded", file: "2022-08-01-refund-with-its-payment-intent-expanded",
		wants: []makegood.Fact{after(makegood.FactRefunded, "re_x", "pi_x", usd(2900), "ch_x")},
	},
	{
		name: "2026-08-26.dahlia refund in a state that nobody knows yet", file: "2026-08-26.dahlia-refund-in-a-state-that-nobody-knows-yet",
		note: "a person must look",
	},
	{
		name: "2026-08-26.dahlia refund of no payment: asked, and the API knows of none", file: "2026-08-26.dahlia-refund-of-no-payment-asked-and-the-api-knows-of-none",
		answers: map[string]string{
			"GET /v1/refunds/re_x": `{"id":"re_x","object":"refund","amount":2900,"balance_transaction":"txn_1","charge":null,"created":1743379200,"currency":"usd","destination_details":{"card":{"reference_status":"pending","reference_type":"acquirer_reference_number","type":"refund"},"type":"card"},"metadata":{},"payment_intent":null,"reason":"requested_by_customer","receipt_number":null,"source_transfer_reversal":null,"status":"succeeded","transfer_reversal":null}`,
		},
		note: "names neither a payment nor a charge",
	},
	{
		name: "2026-08-26.dahlia refund of a charge only: a part of it, in yen", file: "2026-08-26.dahlia-refund-of-a-charge-only-a-part-of-it-in-yen",
		wants: []makegood.Fact{after(makegood.FactRefunded, "re_x", "", makegood.Money{Minor: 1000, Currency: "jpy"}, "py_x")},
	},
	{
		name: "2026-08-26.dahlia a name of the family of refunds that is new", file: "2026-08-26.dahlia-a-name-of-the-family-of-refunds-that-is-new",
		wants: []makegood.Fact{after(makegood.FactRefunded, "re_x", "pi_x", usd(2900), "ch_x")},
	},
	{
		name: "2015-02-18 charge.refunded with its one refund", file: "2015-02-18-charge.refunded-with-its-one-refund",
		wants: []makegood.Fact{after(makegood.FactRefunded, "re_x", "", usd(2900), "ch_x")},
	},
	{
		name: "2015-10-16 charge.refunded for the second time, in parts", file: "2015-10-16-charge.refunded-for-the-second-time-in-parts",
		wants: []makegood.Fact{after(makegood.FactRefunded, "re_2", "", usd(500), "ch_x"), after(makegood.FactRefunded, "re_1", "", usd(1000), "ch_x")},
	},
	{
		name: "2018-11-08 charge.refunded of an invoice of a subscription", file: "2018-11-08-charge.refunded-of-an-invoice-of-a-subscription",
		wants: []makegood.Fact{after(makegood.FactRefunded, "re_x", "", usd(2900), "ch_x", "in_x")},
	},
	{
		name: "2020-08-27 charge.refunded with a refund that failed and one that succeeded", file: "2020-08-27-charge.refunded-with-a-refund-that-failed-and-one-that-succeeded",
		wants: []makegood.Fact{after(makegood.FactRefunded, "re_2", "pi_x", usd(900), "ch_x"), after(makegood.FactRefundFailed, "re_1", "pi_x", usd(2900), "ch_x")},
	},
	{
		name: "2020-08-27 charge.refunded whose refunds do not name the payment: the charge does", file: "2020-08-27-charge.refunded-whose-refunds-do-not-name-the-payment-the-charge-does",
		wants: []makegood.Fact{after(makegood.FactRefunded, "re_x", "pi_x", usd(2900), "ch_x")},
	},
	{
		name: "2020-08-27 charge.refunded with a list that is cut: asked", file: "2020-08-27-charge.refunded-with-a-list-that-is-cut-asked",
		answers: map[string]string{
			"GET /v1/refunds": `{"object":"list","data":[{"id":"re_x","object":"refund","amount":2900,"balance_transaction":"txn_1","charge":"ch_x","created":1743379200,"currency":"usd","destination_details":{"card":{"reference_status":"pending","reference_type":"acquirer_reference_number","type":"refund"},"type":"card"},"metadata":{},"payment_intent":"pi_x","reason":"requested_by_customer","receipt_number":null,"source_transfer_reversal":null,"status":"succeeded","transfer_reversal":null}],"has_more":false,"url":"/v1"}`,
		},
		wants: []makegood.Fact{after(makegood.FactRefunded, "re_x", "pi_x", usd(2900), "ch_x")},
	},
	{
		name: "2020-08-27 charge.refunded with a list that does not add up: asked", file: "2020-08-27-charge.refunded-with-a-list-that-does-not-add-up-asked",
		answers: map[string]string{
			"GET /v1/refunds": `{"object":"list","data":[{"id":"re_2","object":"refund","amount":2000,"balance_transaction":"txn_1","charge":"ch_x","created":1743379200,"currency":"usd","destination_details":{"card":{"reference_status":"pending","reference_type":"acquirer_reference_number","type":"refund"},"type":"card"},"metadata":{},"payment_intent":"pi_x","reason":"requested_by_customer","receipt_number":null,"source_transfer_reversal":null,"status":"succeeded","transfer_reversal":null},{"id":"re_1","object":"refund","amount":900,"balance_transaction":"txn_1","charge":"ch_x","created":1743379200,"currency":"usd","destination_details":{"card":{"reference_status":"pending","reference_type":"acquirer_reference_number","type":"refund"},"type":"card"},"metadata":{},"payment_intent":"pi_x","reason":"requested_by_customer","receipt_number":null,"source_transfer_reversal":null,"status":"succeeded","transfer_reversal":null}],"has_more":false,"url":"/v1"}`,
		},
		wants: []makegood.Fact{after(makegood.FactRefunded, "re_2", "pi_x", usd(2000), "ch_x"), after(makegood.FactRefunded, "re_1", "pi_x", usd(900), "ch_x")},
	},
	{
		name: "2020-08-27 charge.refunded with a refund in another currency: asked", file: "2020-08-27-charge.refunded-with-a-refund-in-another-currency-asked",
		answers: map[string]string{
			"GET /v1/refunds": `{"data":[{"id":"re_x","object":"refund","amount":2900,"charge":"ch_x","currency":"usd","payment_intent":"pi_x","status":"succeeded"}]}`,
		},
		wants: []makegood.Fact{after(makegood.FactRefunded, "re_x", "pi_x", usd(2900), "ch_x")},
	},
	{
		name: "2022-11-15 charge.refunded without a list: asked", file: "2022-11-15-charge.refunded-without-a-list-asked",
		answers: map[string]string{
			"GET /v1/refunds": `{"object":"list","data":[{"id":"re_x","object":"refund","amount":2900,"balance_transaction":"txn_1","charge":"ch_x","created":1743379200,"currency":"usd","destination_details":{"card":{"reference_status":"pending","reference_type":"acquirer_reference_number","type":"refund"},"type":"card"},"metadata":{},"payment_intent":"pi_x","reason":"requested_by_customer","receipt_number":null,"source_transfer_reversal":null,"status":"succeeded","transfer_reversal":null}],"has_more":false,"url":"/v1"}`,
		},
		wants: []makegood.Fact{after(makegood.FactRefunded, "re_x", "pi_x", usd(2900), "ch_x")},
	},
	{
		name: "2026-03-25.dahlia charge.refunded, and the refund is still pending", file: "2026-03-25.dahlia-charge.refunded-and-the-refund-is-still-pending",
		answers: map[string]string{
			"GET /v1/refunds": `{"object":"list","data":[{"id":"re_x","object":"refund","amount":2900,"balance_transaction":"txn_1","charge":"ch_x","created":1743379200,"currency":"usd","destination_details":{"card":{"reference_status":"pending","reference_type":"acquirer_reference_number","type":"refund"},"type":"card"},"metadata":{},"payment_intent":"pi_x","reason":"requested_by_customer","receipt_number":null,"source_transfer_reversal":null,"status":"pending","transfer_reversal":null}],"has_more":false,"url":"/v1"}`,
		},
		note: "No refund of the charge ch_x has succeeded",
	},
	{
		name: "2026-03-25.dahlia charge.refunded, and a list with refunds of another charge in it", file: "2026-03-25.dahlia-charge.refunded-and-a-list-with-refunds-of-another-charge-in-i",
		answers: map[string]string{
			"GET /v1/refunds": `{"object":"list","data":[{"id":"re_x","object":"refund","amount":2900,"balance_transaction":"txn_1","charge":"ch_x","created":1743379200,"currency":"usd","destination_details":{"card":{"reference_status":"pending","reference_type":"acquirer_reference_number","type":"refund"},"type":"card"},"metadata":{},"payment_intent":"pi_x","reason":"requested_by_customer","receipt_number":null,"source_transfer_reversal":null,"status":"succeeded","transfer_reversal":null},{"id":"re_other","object":"refund","amount":2900,"balance_transaction":"txn_1","charge":"ch_other","created":1743379200,"currency":"usd","destination_details":{"card":{"reference_status":"pending","reference_type":"acquirer_reference_number","type":"refund"},"type":"card"},"metadata":{},"payment_intent":"pi_x","reason":"requested_by_customer","receipt_number":null,"source_transfer_reversal":null,"status":"succeeded","transfer_reversal":null}],"has_more":false,"url":"/v1"}`,
		},
		wants: []makegood.Fact{after(makegood.FactRefunded, "re_x", "pi_x", usd(2900), "ch_x")},
	},
	{
		name: "2026-08-26.dahlia charge.refunded with an empty list and nothing refunded", file: "2026-08-26.dahlia-charge.refunded-with-an-empty-list-and-nothing-refunded",
		note: "No refund of the charge",
	},
	{
		name: "2026-03-25.dahlia charge that succeeded: its session tells", file: "2026-03-25.dahlia-charge-that-succeeded-its-session-tells",
		note: "one attempt to take the money",
	},
	{
		name: "2015-02-18 dispute before there were payment intents", file: "2015-02-18-dispute-before-there-were-payment-intents",
		wants: []makegood.Fact{after(makegood.FactDisputed, "dp_x", "", usd(2900), "ch_x")},
	},
	{
		name: "2017-08-15 dispute, funds withdrawn", file: "2017-08-15-dispute-funds-withdrawn",
		wants: []makegood.Fact{after(makegood.FactDisputed, "dp_x", "", usd(2900), "ch_x")},
	},
	{
		name: "2019-05-16 dispute under review", file: "2019-05-16-dispute-under-review",
		wants: []makegood.Fact{after(makegood.FactDisputed, "dp_x", "pi_x", usd(2900), "ch_x")},
	},
	{
		name: "2020-08-27 dispute won", file: "2020-08-27-dispute-won",
		wants: []makegood.Fact{after(makegood.FactDisputeWon, "dp_x", "pi_x", usd(2900), "ch_x")},
	},
	{
		name: "2020-08-27 dispute lost", file: "2020-08-27-dispute-lost",
		wants: []makegood.Fact{after(makegood.FactDisputeLost, "dp_x", "pi_x", usd(2900), "ch_x")},
	},
	{
		name: "2020-08-27 dispute, funds reinstated", file: "2020-08-27-dispute-funds-reinstated",
		wants: []makegood.Fact{after(makegood.FactDisputeWon, "dp_x", "pi_x", usd(2900), "ch_x")},
	},
	{
		name: "2023-10-16 inquiry that needs a response", file: "2023-10-16-inquiry-that-needs-a-response",
		note: "is an inquiry (warning_needs_response)",
	},
	{
		name: "2023-10-16 inquiry under review", file: "2023-10-16-inquiry-under-review",
		note: "is an inquiry (warning_under_review)",
	},
	{
		name: "2023-10-16 inquiry that came to nothing", file: "2023-10-16-inquiry-that-came-to-nothing",
		wants: []makegood.Fact{after(makegood.FactDisputeWon, "dp_x", "pi_x", usd(2900), "ch_x")},
	},
	{
		name: "2023-10-16 inquiry that became a dispute", file: "2023-10-16-inquiry-that-became-a-dispute",
		wants: []makegood.Fact{after(makegood.FactDisputed, "dp_x", "pi_x", usd(2900), "ch_x")},
	},
	{
		name: "2026-08-26.dahlia dispute that was prevented", file: "2026-08-26.dahlia-dispute-that-was-prevented",
		wants: []makegood.Fact{after(makegood.FactDisputeWon, "dp_x", "pi_x", usd(2900), "ch_x")},
	},
	{
		name: "2026-08-26.dahlia dispute in a state that nobody knows yet", file: "2026-08-26.dahlia-dispute-in-a-state-that-nobody-knows-yet",
		note: "a person must look",
	},
	{
		name: "2026-08-26.dahlia dispute of a part, said to be created and already lost", file: "2026-08-26.dahlia-dispute-of-a-part-said-to-be-created-and-already-lost",
		wants: []makegood.Fact{after(makegood.FactDisputeLost, "dp_x", "pi_x", usd(500), "ch_x")},
	},
	{
		name: "2026-08-26.dahlia dispute that is said to be closed and stands as open: asked", file: "2026-08-26.dahlia-dispute-that-is-said-to-be-closed-and-stands-as-open-asked",
		answers: map[string]string{
			"GET /v1/disputes/dp_x": `{"id":"dp_x","object":"dispute","amount":2900,"balance_transactions":[],"charge":"ch_x","created":1743379200,"currency":"usd","evidence":{"customer_name":null,"uncategorized_text":null},"evidence_details":{"due_by":1744156800,"has_evidence":false,"past_due":false,"submission_count":0},"is_charge_refundable":false,"livemode":false,"metadata":{},"enhanced_eligibility_types":[],"payment_method_details":{"card":{"brand":"visa","case_type":"chargeback","network_reason_code":"83"},"type":"card"},"payment_intent":"pi_x","reason":"fraudulent","status":"won"}`,
		},
		wants: []makegood.Fact{after(makegood.FactDisputeWon, "dp_x", "pi_x", usd(2900), "ch_x")},
	},
	{
		name: "2026-08-26.dahlia dispute without a status: asked", file: "2026-08-26.dahlia-dispute-without-a-status-asked",
		answers: map[string]string{
			"GET /v1/disputes/dp_x": `{"id":"dp_x","object":"dispute","amount":2900,"balance_transactions":[],"charge":"ch_x","created":1743379200,"currency":"usd","evidence":{"customer_name":null,"uncategorized_text":null},"evidence_details":{"due_by":1744156800,"has_evidence":false,"past_due":false,"submission_count":0},"is_charge_refundable":false,"livemode":false,"metadata":{},"enhanced_eligibility_types":[],"payment_method_details":{"card":{"brand":"visa","case_type":"chargeback","network_reason_code":"83"},"type":"card"},"payment_intent":"pi_x","reason":"fraudulent","status":"under_review"}`,
		},
		wants: []makegood.Fact{after(makegood.FactDisputed, "dp_x", "pi_x", usd(2900), "ch_x")},
	},
	{
		name: "2026-08-26.dahlia dispute of nothing: asked, and the API knows of nothing", file: "2026-08-26.dahlia-dispute-of-nothing-asked-and-the-api-knows-of-nothing",
		answers: map[string]string{
			"GET /v1/disputes/dp_x": `{"id":"dp_x","object":"dispute","amount":2900,"balance_transactions":[],"charge":null,"created":1743379200,"currency":"usd","evidence":{"customer_name":null,"uncategorized_text":null},"evidence_details":{"due_by":1744156800,"has_evidence":false,"past_due":false,"submission_count":0},"is_charge_refundable":false,"livemode":false,"metadata":{},"enhanced_eligibility_types":[],"payment_method_details":{"card":{"brand":"visa","case_type":"chargeback","network_reason_code":"83"},"type":"card"},"payment_intent":null,"reason":"fraudulent","status":"needs_response"}`,
		},
		note: "names neither a payment nor a charge",
	},
	{
		name: "2026-08-26.dahlia live dispute in an event of ours", file: "2026-08-26.dahlia-live-dispute-in-an-event-of-ours",
		note: "The object is not in test mode",
	},
	{
		name: "2016-07-06 dispute that ended with a refund", file: "2016-07-06-dispute-that-ended-with-a-refund",
		wants: []makegood.Fact{after(makegood.FactDisputeWon, "dp_x", "", usd(2900), "ch_x")},
	},
	{
		name: "2013-02-13 dispute without an id", file: "2013-02-13-dispute-without-an-id",
		note: "names no object",
	},
	{
		name: "2022-08-01 dispute with its charge expanded, which is of an invoice", file: "2022-08-01-dispute-with-its-charge-expanded-which-is-of-an-invoice",
		wants: []makegood.Fact{after(makegood.FactDisputed, "dp_x", "pi_x", usd(2900), "ch_x", "in_x")},
	},
	{
		name: "2015-02-18 invoice that does not tell what was paid of it: asked", file: "2015-02-18-invoice-that-does-not-tell-what-was-paid-of-it-asked",
		answers: map[string]string{
			"GET /v1/invoices/in_x": `{"id":"in_x","object":"invoice","amount_due":2900,"amount_paid":2900,"amount_remaining":0,"attempt_count":1,"attempted":true,"billing_reason":"subscription_cycle","created":1743379200,"currency":"usd","customer":"cus_1","lines":{"object":"list","data":[{"id":"il_1","object":"line_item","amount":2900,"currency":"usd","description":"1 × Exams of all kinds","invoice":"in_x","livemode":false,"metadata":{},"parent":{"invoice_item_details":null,"subscription_item_details":{"invoice_item":null,"proration":false,"proration_details":null,"subscription":"sub_x","subscription_item":"si_1"},"type":"subscription_item_details"},"period":{"end":1702592000,"start":1700000000},"pricing":{"price_details":{"price":"price_az900","product":"prod_1"},"type":"price_details"},"quantity":1}],"has_more":false,"total_count":1,"url":"/v1/invoices/in_x/lines"},"livemode":false,"metadata":{},"parent":{"quote_details":null,"subscription_details":{"metadata":{},"subscription":"sub_x"},"type":"subscription_details"},"period_end":1700000000,"period_start":1697408000,"status":"paid","subtotal":2900,"total":2900,"payments":{"object":"list","data":[{"id":"inpay_0","object":"invoice_payment","amount_paid":2900,"amount_requested":2900,"currency":"usd","invoice":"in_x","is_default":true,"livemode":false,"payment":{"payment_intent":"pi_x","type":"payment_intent"},"status":"paid"}],"has_more":false,"url":"/v1/invoice_payments"}}`,
		},
		wants: []makegood.Fact{until(after(makegood.FactRenewed, "in_x", "pi_x", usd(2900), "in_x", "sub_x"), periodEnd)},
	},
	{
		name: "2018-02-28 invoice with a charge and no status", file: "2018-02-28-invoice-with-a-charge-and-no-status",
		wants: []makegood.Fact{until(after(makegood.FactRenewed, "in_x", "", usd(2900), "ch_x", "in_x", "sub_x"), periodEnd)},
	},
	{
		name: "2019-05-16 invoice with a charge and a payment intent", file: "2019-05-16-invoice-with-a-charge-and-a-payment-intent",
		wants: []makegood.Fact{until(after(makegood.FactRenewed, "in_x", "pi_x", usd(2900), "ch_x", "in_x", "sub_x"), periodEnd)},
	},
	{
		name: "2020-08-27 invoice.paid, the first one of a subscription", file: "2020-08-27-invoice.paid-the-first-one-of-a-subscription",
		wants: []makegood.Fact{until(after(makegood.FactRenewed, "in_x", "pi_x", usd(2900), "ch_x", "in_x", "sub_x"), periodEnd)},
	},
	{
		name: "2020-08-27 invoice.paid whose object says open: asked", file: "2020-08-27-invoice.paid-whose-object-says-open-asked",
		answers: map[string]string{
			"GET /v1/invoices/in_x": `{"id":"in_x","object":"invoice","amount_due":2900,"amount_paid":2900,"amount_remaining":0,"attempt_count":1,"attempted":true,"billing_reason":"subscription_cycle","created":1743379200,"currency":"usd","customer":"cus_1","lines":{"object":"list","data":[{"id":"il_1","object":"line_item","amount":2900,"currency":"usd","description":"1 × Exams of all kinds","invoice":"in_x","livemode":false,"metadata":{},"parent":{"invoice_item_details":null,"subscription_item_details":{"invoice_item":null,"proration":false,"proration_details":null,"subscription":"sub_x","subscription_item":"si_1"},"type":"subscription_item_details"},"period":{"end":1702592000,"start":1700000000},"pricing":{"price_details":{"price":"price_az900","product":"prod_1"},"type":"price_details"},"quantity":1}],"has_more":false,"total_count":1,"url":"/v1/invoices/in_x/lines"},"livemode":false,"metadata":{},"parent":{"quote_details":null,"subscription_details":{"metadata":{},"subscription":"sub_x"},"type":"subscription_details"},"period_end":1700000000,"period_start":1697408000,"status":"paid","subtotal":2900,"total":2900,"payments":{"object":"list","data":[{"id":"inpay_0","object":"invoice_payment","amount_paid":2900,"amount_requested":2900,"currency":"usd","invoice":"in_x","is_default":true,"livemode":false,"payment":{"payment_intent":"pi_x","type":"payment_intent"},"status":"paid"}],"has_more":false,"url":"/v1/invoice_payments"}}`,
		},
		wants: []makegood.Fact{until(after(makegood.FactRenewed, "in_x", "pi_x", usd(2900), "in_x", "sub_x"), periodEnd)},
	},
	{
		name: "2022-08-01 invoice without a subscription", file: "2022-08-01-invoice-without-a-subscription",
		note: "is not of a subscription",
	},
	{
		name: "2023-10-16 invoice after a change from a year to a month: what is given back does not count", file: "2023-10-16-invoice-after-a-change-from-a-year-to-a-month-what-is-given-back-does",
		wants: []makegood.Fact{until(after(makegood.FactRenewed, "in_x", "pi_x", usd(400), "ch_x", "in_x", "sub_x"), periodEnd)},
	},
	{
		name: "2023-10-16 invoice with something added by hand, and a line of another subscription", file: "2023-10-16-invoice-with-something-added-by-hand-and-a-line-of-another-subscripti",
		wants: []makegood.Fact{until(after(makegood.FactRenewed, "in_x", "pi_x", usd(6000), "ch_x", "in_x", "sub_x"), periodEnd)},
	},
	{
		name: "2023-10-16 invoice of a month and of a day: the later end counts", file: "2023-10-16-invoice-of-a-month-and-of-a-day-the-later-end-counts",
		wants: []makegood.Fact{until(after(makegood.FactRenewed, "in_x", "pi_x", usd(6000), "ch_x", "in_x", "sub_x"), periodEnd)},
	},
	{
		name: "2024-06-20 invoice of items only, which extends nothing", file: "2024-06-20-invoice-of-items-only-which-extends-nothing",
		note: "pays for no period",
	},
	{
		name: "2024-06-20 invoice with more lines than it shows: asked, and paged", file: "2024-06-20-invoice-with-more-lines-than-it-shows-asked-and-paged",
		answers: map[string]string{
			"GET /v1/invoices/in_x":       `{"id":"in_x","object":"invoice","amount_due":2900,"amount_paid":2900,"amount_remaining":0,"attempt_count":1,"attempted":true,"billing_reason":"subscription_cycle","created":1743379200,"currency":"usd","customer":"cus_1","lines":{"object":"list","data":[{"id":"il_1","object":"line_item","amount":2900,"currency":"usd","description":"1 × Exams of all kinds","invoice":"in_x","livemode":false,"metadata":{},"parent":{"invoice_item_details":null,"subscription_item_details":{"invoice_item":null,"proration":false,"proration_details":null,"subscription":"sub_x","subscription_item":"si_1"},"type":"subscription_item_details"},"period":{"end":1702592000,"start":1700000000},"pricing":{"price_details":{"price":"price_az900","product":"prod_1"},"type":"price_details"},"quantity":1}],"has_more":true},"livemode":false,"metadata":{},"parent":{"quote_details":null,"subscription_details":{"metadata":{},"subscription":"sub_x"},"type":"subscription_details"},"period_end":1700000000,"period_start":1697408000,"status":"paid","subtotal":2900,"total":2900,"payments":{"object":"list","data":[{"id":"inpay_0","object":"invoice_payment","amount_paid":2900,"amount_requested":2900,"currency":"usd","invoice":"in_x","is_default":true,"livemode":false,"payment":{"payment_intent":"pi_x","type":"payment_intent"},"status":"paid"}],"has_more":false,"url":"/v1/invoice_payments"}}`,
			"GET /v1/invoices/in_x/lines": `{"object":"list","data":[{"id":"il_2","object":"line_item","amount":2900,"currency":"usd","description":"1 × Exams of all kinds","invoice":"in_x","livemode":false,"metadata":{},"parent":{"invoice_item_details":null,"subscription_item_details":{"invoice_item":null,"proration":false,"proration_details":null,"subscription":"sub_x","subscription_item":"si_1"},"type":"subscription_item_details"},"period":{"end":1702593000,"start":1700000000},"pricing":{"price_details":{"price":"price_az900","product":"prod_1"},"type":"price_details"},"quantity":1}],"has_more":false,"url":"/v1"}`,
		},
		wants: []makegood.Fact{until(after(makegood.FactRenewed, "in_x", "pi_x", usd(2900), "in_x", "sub_x"), periodEnd+1000)},
	},
	{
		name: "2025-03-31.basil invoice that does not name its payment: asked", file: "2025-03-31.basil-invoice-that-does-not-name-its-payment-asked",
		answers: map[string]string{
			"GET /v1/invoices/in_x": `{"id":"in_x","object":"invoice","amount_due":2900,"amount_paid":2900,"amount_remaining":0,"attempt_count":1,"attempted":true,"billing_reason":"subscription_cycle","created":1743379200,"currency":"usd","customer":"cus_1","lines":{"object":"list","data":[{"id":"il_1","object":"line_item","amount":2900,"currency":"usd","description":"1 × Exams of all kinds","invoice":"in_x","livemode":false,"metadata":{},"parent":{"invoice_item_details":null,"subscription_item_details":{"invoice_item":null,"proration":false,"proration_details":null,"subscription":"sub_x","subscription_item":"si_1"},"type":"subscription_item_details"},"period":{"end":1702592000,"start":1700000000},"pricing":{"price_details":{"price":"price_az900","product":"prod_1"},"type":"price_details"},"quantity":1}],"has_more":false,"total_count":1,"url":"/v1/invoices/in_x/lines"},"livemode":false,"metadata":{},"parent":{"quote_details":null,"subscription_details":{"metadata":{},"subscription":"sub_x"},"type":"subscription_details"},"period_end":1700000000,"period_start":1697408000,"status":"paid","subtotal":2900,"total":2900,"payments":{"object":"list","data":[{"id":"inpay_0","object":"invoice_payment","amount_paid":2900,"amount_requested":2900,"currency":"usd","invoice":"in_x","is_default":true,"livemode":false,"payment":{"payment_intent":"pi_x","type":"payment_intent"},"status":"paid"}],"has_more":false,"url":"/v1/invoice_payments"}}`,
		},
		wants: []makegood.Fact{until(after(makegood.FactRenewed, "in_x", "pi_x", usd(2900), "in_x", "sub_x"), periodEnd)},
	},
	{
		name: "2025-03-31.basil invoice of a trial: nothing was paid, so no payment is missing", file: "2025-03-31.basil-invoice-of-a-trial-nothing-was-paid-so-no-payment-is-missing",
		wants: []makegood.Fact{until(after(makegood.FactRenewed, "in_x", "", usd(0), "in_x", "sub_x"), periodEnd)},
	},
	{
		name: "2025-03-31.basil invoice without a parent", file: "2025-03-31.basil-invoice-without-a-parent",
		note: "is not of a subscription",
	},
	{
		name: "2025-03-31.basil invoice of a quote", file: "2025-03-31.basil-invoice-of-a-quote",
		note: "is not of a subscription",
	},
	{
		name: "2025-09-30.clover invoice paid in two parts, with its payments", file: "2025-09-30.clover-invoice-paid-in-two-parts-with-its-payments",
		wants: []makegood.Fact{until(after(makegood.FactRenewed, "in_x", "pi_2", usd(2900), "in_x", "pi_1", "sub_x"), periodEnd)},
	},
	{
		name: "2025-09-30.clover payment of an invoice: the invoice is asked", file: "2025-09-30.clover-payment-of-an-invoice-the-invoice-is-asked",
		answers: map[string]string{
			"GET /v1/invoices/in_x": `{"id":"in_x","object":"invoice","amount_due":2900,"amount_paid":2900,"amount_remaining":0,"attempt_count":1,"attempted":true,"billing_reason":"subscription_cycle","created":1743379200,"currency":"usd","customer":"cus_1","lines":{"object":"list","data":[{"id":"il_1","object":"line_item","amount":2900,"currency":"usd","description":"1 × Exams of all kinds","invoice":"in_x","livemode":false,"metadata":{},"parent":{"invoice_item_details":null,"subscription_item_details":{"invoice_item":null,"proration":false,"proration_details":null,"subscription":"sub_x","subscription_item":"si_1"},"type":"subscription_item_details"},"period":{"end":1702592000,"start":1700000000},"pricing":{"price_details":{"price":"price_az900","product":"prod_1"},"type":"price_details"},"quantity":1}],"has_more":false,"total_count":1,"url":"/v1/invoices/in_x/lines"},"livemode":false,"metadata":{},"parent":{"quote_details":null,"subscription_details":{"metadata":{},"subscription":"sub_x"},"type":"subscription_details"},"period_end":1700000000,"period_start":1697408000,"status":"paid","subtotal":2900,"total":2900,"payments":{"object":"list","data":[{"id":"inpay_0","object":"invoice_payment","amount_paid":2900,"amount_requested":2900,"currency":"usd","invoice":"in_x","is_default":true,"livemode":false,"payment":{"payment_intent":"pi_x","type":"payment_intent"},"status":"paid"}],"has_more":false,"url":"/v1/invoice_payments"}}`,
		},
		wants: []makegood.Fact{until(after(makegood.FactRenewed, "in_x", "pi_x", usd(2900), "in_x", "sub_x"), periodEnd)},
	},
	{
		name: "2025-09-30.clover payment of a part of an invoice", file: "2025-09-30.clover-payment-of-a-part-of-an-invoice",
		answers: map[string]string{
			"GET /v1/invoices/in_x": `{"id":"in_x","object":"invoice","amount_due":2900,"amount_paid":2900,"amount_remaining":0,"attempt_count":1,"attempted":true,"billing_reason":"subscription_cycle","created":1743379200,"currency":"usd","customer":"cus_1","lines":{"object":"list","data":[{"id":"il_1","object":"line_item","amount":2900,"currency":"usd","description":"1 × Exams of all kinds","invoice":"in_x","livemode":false,"metadata":{},"parent":{"invoice_item_details":null,"subscription_item_details":{"invoice_item":null,"proration":false,"proration_details":null,"subscription":"sub_x","subscription_item":"si_1"},"type":"subscription_item_details"},"period":{"end":1702592000,"start":1700000000},"pricing":{"price_details":{"price":"price_az900","product":"prod_1"},"type":"price_details"},"quantity":1}],"has_more":false,"total_count":1,"url":"/v1/invoices/in_x/lines"},"livemode":false,"metadata":{},"parent":{"quote_details":null,"subscription_details":{"metadata":{},"subscription":"sub_x"},"type":"subscription_details"},"period_end":1700000000,"period_start":1697408000,"status":"open","subtotal":2900,"total":2900,"payments":{"object":"list","data":[{"id":"inpay_0","object":"invoice_payment","amount_paid":2900,"amount_requested":2900,"currency":"usd","invoice":"in_x","is_default":true,"livemode":false,"payment":{"payment_intent":"pi_x","type":"payment_intent"},"status":"paid"}],"has_more":false,"url":"/v1/invoice_payments"}}`,
		},
		note: "not paid in full",
	},
	{
		name: "2025-09-30.clover payment of an invoice without a subscription", file: "2025-09-30.clover-payment-of-an-invoice-without-a-subscription",
		answers: map[string]string{
			"GET /v1/invoices/in_x": `{"id":"in_x","object":"invoice","amount_due":2900,"amount_paid":2900,"amount_remaining":0,"attempt_count":1,"attempted":true,"billing_reason":"subscription_cycle","created":1743379200,"currency":"usd","customer":"cus_1","lines":{"object":"list","data":[{"id":"il_1","object":"line_item","amount":2900,"currency":"usd","description":"1 × Exams of all kinds","invoice":"in_x","livemode":false,"metadata":{},"parent":{"invoice_item_details":null,"subscription_item_details":{"invoice_item":null,"proration":false,"proration_details":null,"subscription":"sub_x","subscription_item":"si_1"},"type":"subscription_item_details"},"period":{"end":1702592000,"start":1700000000},"pricing":{"price_details":{"price":"price_az900","product":"prod_1"},"type":"price_details"},"quantity":1}],"has_more":false,"total_count":1,"url":"/v1/invoices/in_x/lines"},"livemode":false,"metadata":{},"parent":null,"period_end":1700000000,"period_start":1697408000,"status":"paid","subtotal":2900,"total":2900,"payments":{"object":"list","data":[{"id":"inpay_0","object":"invoice_payment","amount_paid":2900,"amount_requested":2900,"currency":"usd","invoice":"in_x","is_default":true,"livemode":false,"payment":{"payment_intent":"pi_x","type":"payment_intent"},"status":"paid"}],"has_more":false,"url":"/v1/invoice_payments"}}`,
		},
		note: "is not of a subscription",
	},
	{
		name: "2025-09-30.clover invoice that was not paid", file: "2025-09-30.clover-invoice-that-was-not-paid",
		note: "the licence is not extended",
	},
	{
		name: "2025-09-30.clover invoice that the customer must confirm", file: "2025-09-30.clover-invoice-that-the-customer-must-confirm",
		note: "the licence is not extended",
	},
	{
		name: "2025-09-30.clover invoice that was made", file: "2025-09-30.clover-invoice-that-was-made",
		note: "not yet, paid",
	},
	{
		name: "2015-10-16 subscription ended at once", file: "2015-10-16-subscription-ended-at-once",
		wants: []makegood.Fact{until(after(makegood.FactEnded, "sub_x", "", makegood.Money{}, "sub_x"), 1705000000)},
	},
	{
		name: "2020-08-27 subscription ended with its period", file: "2020-08-27-subscription-ended-with-its-period",
		wants: []makegood.Fact{until(after(makegood.FactEnded, "sub_x", "", makegood.Money{}, "sub_x"), periodEnd)},
	},
	{
		name: "2020-08-27 subscription ended with its period and does not say when: the period counts", file: "2020-08-27-subscription-ended-with-its-period-and-does-not-say-when-the-period-c",
		wants: []makegood.Fact{until(after(makegood.FactEnded, "sub_x", "", makegood.Money{}, "sub_x"), periodEnd)},
	},
	{
		name: "2020-08-27 subscription cancelled, without its end: the cancellation counts", file: "2020-08-27-subscription-cancelled-without-its-end-the-cancellation-counts",
		wants: []makegood.Fact{until(after(makegood.FactEnded, "sub_x", "", makegood.Money{}, "sub_x"), 1705000000)},
	},
	{
		name: "2025-03-31.basil subscription ended, periods in its items", file: "2025-03-31.basil-subscription-ended-periods-in-its-items",
		wants: []makegood.Fact{until(after(makegood.FactEnded, "sub_x", "", makegood.Money{}, "sub_x"), periodEnd)},
	},
	{
		name: "2025-03-31.basil subscription without any date: asked", file: "2025-03-31.basil-subscription-without-any-date-asked",
		answers: map[string]string{
			"GET /v1/subscriptions/sub_x": `{"id":"sub_x","object":"subscription","cancel_at":null,"cancel_at_period_end":false,"canceled_at":1705000000,"created":1700000000,"customer":"cus_1","ended_at":1705000000,"items":{"object":"list","data":[{"id":"si_1","object":"subscription_item","quantity":1,"subscription":"sub_x","current_period_end":1702592000,"current_period_start":1700000000}],"has_more":false,"url":"/v1/subscription_items?subscription=sub_x"},"latest_invoice":"in_x","livemode":false,"metadata":{},"status":"canceled"}`,
		},
		wants: []makegood.Fact{until(after(makegood.FactEnded, "sub_x", "", makegood.Money{}, "sub_x"), 1705000000)},
	},
	{
		name: "2026-03-25.dahlia subscription said to be deleted and active: asked", file: "2026-03-25.dahlia-subscription-said-to-be-deleted-and-active-asked",
		answers: map[string]string{
			"GET /v1/subscriptions/sub_x": `{"id":"sub_x","object":"subscription","cancel_at":null,"cancel_at_period_end":false,"canceled_at":1705000000,"created":1700000000,"customer":"cus_1","ended_at":1705000000,"items":{"object":"list","data":[{"id":"si_1","object":"subscription_item","quantity":1,"subscription":"sub_x","current_period_end":1702592000,"current_period_start":1700000000}],"has_more":false,"url":"/v1/subscription_items?subscription=sub_x"},"latest_invoice":"in_x","livemode":false,"metadata":{},"status":"canceled"}`,
		},
		wants: []makegood.Fact{until(after(makegood.FactEnded, "sub_x", "", makegood.Money{}, "sub_x"), 1705000000)},
	},
	{
		name: "2026-03-25.dahlia subscription never paid for the first time", file: "2026-03-25.dahlia-subscription-never-paid-for-the-first-time",
		wants: []makegood.Fact{until(after(makegood.FactEnded, "sub_x", "", makegood.Money{}, "sub_x"), 1705000000)},
	},
	{
		name: "2026-03-25.dahlia subscription to end with its period", file: "2026-03-25.dahlia-subscription-to-end-with-its-period",
		note: "to end with its period",
	},
	{
		name: "2026-03-25.dahlia subscription past due", file: "2026-03-25.dahlia-subscription-past-due",
		note: "past_due: the licence is not extended",
	},
	{
		name: "2026-03-25.dahlia subscription paused", file: "2026-03-25.dahlia-subscription-paused",
		note: "paused: the licence is not extended",
	},
	{
		name: "2026-03-25.dahlia subscription made", file: "2026-03-25.dahlia-subscription-made",
		note: "active; nothing follows",
	},
	{
		name: "2026-03-25.dahlia subscription that does not tell its state", file: "2026-03-25.dahlia-subscription-that-does-not-tell-its-state",
		note: "not told in any state",
	},
	{
		name: "2018-11-08 payment intent that succeeded: its session is asked", file: "2018-11-08-payment-intent-that-succeeded-its-session-is-asked",
		answers: map[string]string{
			"GET /v1/checkout/sessions": `{"object":"list","data":[` + apiSession + `],"has_more":false}`,
		},
		wants: []makegood.Fact{fact(makegood.FactPaid, usd(2900), ann, exam)},
	},
	{
		name: "2026-03-25.dahlia payment intent that succeeded, of a session without its lines: asked", file: "2026-03-25.dahlia-payment-intent-that-succeeded-of-a-session-without-lines",
		api: apiSession,
		answers: map[string]string{
			"GET /v1/checkout/sessions": `{"data":[{"id":"cs_test_x","payment_intent":"pi_x","line_items":{"data":[],"has_more":true}}]}`,
		},
		wants: []makegood.Fact{fact(makegood.FactPaid, usd(2900), ann, exam)},
	},
	{
		name: "2026-03-25.dahlia payment intent that succeeded, of no session", file: "2026-03-25.dahlia-payment-intent-that-succeeded-of-no-session",
		answers: map[string]string{
			"GET /v1/checkout/sessions": `{"object":"list","data":[],"has_more":false,"url":"/v1"}`,
		},
		note: "No checkout session made the payment",
	},
	{
		name: "2026-03-25.dahlia payment intent that is processing, of an unpaid session", file: "2026-03-25.dahlia-payment-intent-that-is-processing-of-an-unpaid-session",
		api: strings.Replace(apiSession, `"payment_status":"paid"`, `"payment_status":"unpaid"`, 1),
		answers: map[string]string{
			"GET /v1/checkout/sessions": `{"object":"list","data":[{"id":"cs_test_x","object":"checkout.session","livemode":false,"payment_intent":"pi_x"}],"has_more":false,"url":"/v1"}`,
		},
		wants: []makegood.Fact{fact(makegood.FactAwaiting, usd(2900), ann, exam)},
	},
	{
		name: "2026-03-25.dahlia payment intent that failed, of a session that is still open", file: "2026-03-25.dahlia-payment-intent-that-failed-of-a-session-that-is-still-open",
		api: strings.NewReplacer(`"payment_status":"paid"`, `"payment_status":"unpaid"`, `"complete"`, `"open"`).Replace(apiSession),
		answers: map[string]string{
			"GET /v1/checkout/sessions": `{"object":"list","data":[{"id":"cs_test_x","object":"checkout.session","livemode":false,"payment_intent":"pi_x"}],"has_more":false,"url":"/v1"}`,
		},
		note: "The checkout is open",
	},
	{
		name: "2026-03-25.dahlia payment intent that was made", file: "2026-03-25.dahlia-payment-intent-that-was-made",
		note: "still on its way",
	},
	{
		name: "2022-08-01 session of a subscription: lines by price, and what its refunds will name", file: "2022-08-01-session-of-a-subscription-lines-by-price-and-what-its-refunds-will-na",
		wants: []makegood.Fact{paidBySubscription},
	},
	{
		name: "2019-12-03 session with its payment intent and charge expanded", file: "2019-12-03-session-with-its-payment-intent-and-charge-expanded",
		wants: []makegood.Fact{withReferences(fact(makegood.FactPaid, usd(2900), ann, exam), "ch_x")},
	},
	{
		name: "2024-06-20 warning of fraud", file: "2024-06-20-warning-of-fraud",
		note: "a warning of fraud",
	},
	{
		name: "2024-06-20 review opened", file: "2024-06-20-review-opened",
		note: "a review of a payment",
	},
	{
		name: "thin event of a refund", file: "thin-event-of-a-refund",
		answers: map[string]string{
			"GET /v1/refunds/re_x": `{"id":"re_x","object":"refund","amount":2900,"balance_transaction":"txn_1","charge":"ch_x","created":1743379200,"currency":"usd","destination_details":{"card":{"reference_status":"pending","reference_type":"acquirer_reference_number","type":"refund"},"type":"card"},"metadata":{},"payment_intent":"pi_x","reason":"requested_by_customer","receipt_number":null,"source_transfer_reversal":null,"status":"succeeded","transfer_reversal":null}`,
		},
		wants: []makegood.Fact{after(makegood.FactRefunded, "re_x", "pi_x", usd(2900), "ch_x")},
	},
	{
		name: "thin event of a refund without its id", file: "thin-event-of-a-refund-without-its-id",
		note: "says nothing of an order",
	},
	{
		name: "thin event of a charge", file: "thin-event-of-a-charge",
		answers: map[string]string{
			"GET /v1/charges/ch_x": `{"id":"ch_x","object":"charge","amount":2900,"amount_captured":2900,"amount_refunded":2900,"balance_transaction":"txn_0","billing_details":{"address":{"city":null,"country":"DE","line1":null,"line2":null,"postal_code":null,"state":null},"email":"ann@example.com","name":"Ann Example","phone":null},"captured":true,"created":1743292800,"currency":"usd","customer":null,"description":null,"dispute":null,"failure_code":null,"failure_message":null,"fraud_details":{},"livemode":false,"metadata":{},"outcome":{"network_status":"approved_by_network","reason":null,"risk_level":"normal","seller_message":"Payment complete.","type":"authorized"},"paid":true,"payment_intent":"pi_x","payment_method":"pm_1","payment_method_details":{"card":{"brand":"visa","last4":"4242"},"type":"card"},"refunded":true,"status":"succeeded"}`,
			"GET /v1/refunds":      `{"object":"list","data":[{"id":"re_x","object":"refund","amount":2900,"balance_transaction":"txn_1","charge":"ch_x","created":1743379200,"currency":"usd","destination_details":{"card":{"reference_status":"pending","reference_type":"acquirer_reference_number","type":"refund"},"type":"card"},"metadata":{},"payment_intent":"pi_x","reason":"requested_by_customer","receipt_number":null,"source_transfer_reversal":null,"status":"succeeded","transfer_reversal":null}],"has_more":false,"url":"/v1"}`,
		},
		wants: []makegood.Fact{after(makegood.FactRefunded, "re_x", "pi_x", usd(2900), "ch_x")},
	},
	{
		name: "thin event of a charge that was not refunded", file: "thin-event-of-a-charge-that-was-not-refunded",
		answers: map[string]string{
			"GET /v1/charges/ch_x": `{"id":"ch_x","object":"charge","amount":2900,"amount_captured":2900,"amount_refunded":0,"balance_transaction":"txn_0","billing_details":{"address":{"city":null,"country":"DE","line1":null,"line2":null,"postal_code":null,"state":null},"email":"ann@example.com","name":"Ann Example","phone":null},"captured":true,"created":1743292800,"currency":"usd","customer":null,"description":null,"dispute":null,"failure_code":null,"failure_message":null,"fraud_details":{},"livemode":false,"metadata":{},"outcome":{"network_status":"approved_by_network","reason":null,"risk_level":"normal","seller_message":"Payment complete.","type":"authorized"},"paid":true,"payment_intent":"pi_x","payment_method":"pm_1","payment_method_details":{"card":{"brand":"visa","last4":"4242"},"type":"card"},"refunded":false,"status":"succeeded"}`,
		},
		note: "has no refunds",
	},
	{
		name: "thin event of a dispute", file: "thin-event-of-a-dispute",
		answers: map[string]string{
			"GET /v1/disputes/dp_x": `{"id":"dp_x","object":"dispute","amount":2900,"balance_transactions":[],"charge":"ch_x","created":1743379200,"currency":"usd","evidence":{"customer_name":null,"uncategorized_text":null},"evidence_details":{"due_by":1744156800,"has_evidence":false,"past_due":false,"submission_count":0},"is_charge_refundable":false,"livemode":false,"metadata":{},"enhanced_eligibility_types":[],"payment_method_details":{"card":{"brand":"visa","case_type":"chargeback","network_reason_code":"83"},"type":"card"},"payment_intent":"pi_x","reason":"fraudulent","status":"lost"}`,
		},
		wants: []makegood.Fact{after(makegood.FactDisputeLost, "dp_x", "pi_x", usd(2900), "ch_x")},
	},
	{
		name: "thin event of an invoice", file: "thin-event-of-an-invoice",
		answers: map[string]string{
			"GET /v1/invoices/in_x": `{"id":"in_x","object":"invoice","amount_due":2900,"amount_paid":2900,"amount_remaining":0,"attempt_count":1,"attempted":true,"billing_reason":"subscription_cycle","created":1743379200,"currency":"usd","customer":"cus_1","lines":{"object":"list","data":[{"id":"il_1","object":"line_item","amount":2900,"currency":"usd","description":"1 × Exams of all kinds","invoice":"in_x","livemode":false,"metadata":{},"parent":{"invoice_item_details":null,"subscription_item_details":{"invoice_item":null,"proration":false,"proration_details":null,"subscription":"sub_x","subscription_item":"si_1"},"type":"subscription_item_details"},"period":{"end":1702592000,"start":1700000000},"pricing":{"price_details":{"price":"price_az900","product":"prod_1"},"type":"price_details"},"quantity":1}],"has_more":false,"total_count":1,"url":"/v1/invoices/in_x/lines"},"livemode":false,"metadata":{},"parent":{"quote_details":null,"subscription_details":{"metadata":{},"subscription":"sub_x"},"type":"subscription_details"},"period_end":1700000000,"period_start":1697408000,"status":"paid","subtotal":2900,"total":2900,"payments":{"object":"list","data":[{"id":"inpay_0","object":"invoice_payment","amount_paid":2900,"amount_requested":2900,"currency":"usd","invoice":"in_x","is_default":true,"livemode":false,"payment":{"payment_intent":"pi_x","type":"payment_intent"},"status":"paid"}],"has_more":false,"url":"/v1/invoice_payments"}}`,
		},
		wants: []makegood.Fact{until(after(makegood.FactRenewed, "in_x", "pi_x", usd(2900), "in_x", "sub_x"), periodEnd)},
	},
	{
		name: "thin event of an invoice that is open", file: "thin-event-of-an-invoice-that-is-open",
		answers: map[string]string{
			"GET /v1/invoices/in_x": `{"id":"in_x","object":"invoice","amount_due":2900,"amount_paid":2900,"amount_remaining":0,"attempt_count":1,"attempted":true,"billing_reason":"subscription_cycle","created":1743379200,"currency":"usd","customer":"cus_1","lines":{"object":"list","data":[{"id":"il_1","object":"line_item","amount":2900,"currency":"usd","description":"1 × Exams of all kinds","invoice":"in_x","livemode":false,"metadata":{},"parent":{"invoice_item_details":null,"subscription_item_details":{"invoice_item":null,"proration":false,"proration_details":null,"subscription":"sub_x","subscription_item":"si_1"},"type":"subscription_item_details"},"period":{"end":1702592000,"start":1700000000},"pricing":{"price_details":{"price":"price_az900","product":"prod_1"},"type":"price_details"},"quantity":1}],"has_more":false,"total_count":1,"url":"/v1/invoices/in_x/lines"},"livemode":false,"metadata":{},"parent":{"quote_details":null,"subscription_details":{"metadata":{},"subscription":"sub_x"},"type":"subscription_details"},"period_end":1700000000,"period_start":1697408000,"status":"open","subtotal":2900,"total":2900,"payments":{"object":"list","data":[{"id":"inpay_0","object":"invoice_payment","amount_paid":2900,"amount_requested":2900,"currency":"usd","invoice":"in_x","is_default":true,"livemode":false,"payment":{"payment_intent":"pi_x","type":"payment_intent"},"status":"paid"}],"has_more":false,"url":"/v1/invoice_payments"}}`,
		},
		note: "not paid in full",
	},
	{
		name: "thin event of a payment of an invoice", file: "thin-event-of-a-payment-of-an-invoice",
		answers: map[string]string{
			"GET /v1/invoice_payments/inpay_0": `{"id":"inpay_0","object":"invoice_payment","amount_paid":2900,"amount_requested":2900,"currency":"usd","invoice":"in_x","is_default":true,"livemode":false,"payment":{"payment_intent":"pi_x","type":"payment_intent"},"status":"paid"}`,
			"GET /v1/invoices/in_x":            `{"id":"in_x","object":"invoice","amount_due":2900,"amount_paid":2900,"amount_remaining":0,"attempt_count":1,"attempted":true,"billing_reason":"subscription_cycle","created":1743379200,"currency":"usd","customer":"cus_1","lines":{"object":"list","data":[{"id":"il_1","object":"line_item","amount":2900,"currency":"usd","description":"1 × Exams of all kinds","invoice":"in_x","livemode":false,"metadata":{},"parent":{"invoice_item_details":null,"subscription_item_details":{"invoice_item":null,"proration":false,"proration_details":null,"subscription":"sub_x","subscription_item":"si_1"},"type":"subscription_item_details"},"period":{"end":1702592000,"start":1700000000},"pricing":{"price_details":{"price":"price_az900","product":"prod_1"},"type":"price_details"},"quantity":1}],"has_more":false,"total_count":1,"url":"/v1/invoices/in_x/lines"},"livemode":false,"metadata":{},"parent":{"quote_details":null,"subscription_details":{"metadata":{},"subscription":"sub_x"},"type":"subscription_details"},"period_end":1700000000,"period_start":1697408000,"status":"paid","subtotal":2900,"total":2900,"payments":{"object":"list","data":[{"id":"inpay_0","object":"invoice_payment","amount_paid":2900,"amount_requested":2900,"currency":"usd","invoice":"in_x","is_default":true,"livemode":false,"payment":{"payment_intent":"pi_x","type":"payment_intent"},"status":"paid"}],"has_more":false,"url":"/v1/invoice_payments"}}`,
		},
		wants: []makegood.Fact{until(after(makegood.FactRenewed, "in_x", "pi_x", usd(2900), "in_x", "sub_x"), periodEnd)},
	},
	{
		name: "thin event of a subscription", file: "thin-event-of-a-subscription",
		answers: map[string]string{
			"GET /v1/subscriptions/sub_x": `{"id":"sub_x","object":"subscription","cancel_at":null,"cancel_at_period_end":false,"canceled_at":1705000000,"created":1700000000,"customer":"cus_1","ended_at":1705000000,"items":{"object":"list","data":[{"id":"si_1","object":"subscription_item","quantity":1,"subscription":"sub_x","current_period_end":1702592000,"current_period_start":1700000000}],"has_more":false,"url":"/v1/subscription_items?subscription=sub_x"},"latest_invoice":"in_x","livemode":false,"metadata":{},"status":"canceled"}`,
		},
		wants: []makegood.Fact{until(after(makegood.FactEnded, "sub_x", "", makegood.Money{}, "sub_x"), 1705000000)},
	},
	{
		name: "thin event of a payment intent", file: "thin-event-of-a-payment-intent",
		api: apiSession,
		answers: map[string]string{
			"GET /v1/checkout/sessions": `{"object":"list","data":[{"id":"cs_test_x","object":"checkout.session","livemode":false,"payment_intent":"pi_x"}],"has_more":false,"url":"/v1"}`,
		},
		wants: []makegood.Fact{fact(makegood.FactPaid, usd(2900), ann, exam)},
	},
}
