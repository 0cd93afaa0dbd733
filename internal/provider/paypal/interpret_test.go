package paypal_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/outbound"
	"github.com/makegood/makegood/internal/provider"
	"github.com/makegood/makegood/internal/provider/paypal"
	"github.com/makegood/makegood/internal/secret"
)

const (
	orderID   = "5O190127TN364715T"
	captureID = "3C679366HH908993F"
	refundID  = "1JU08902781691411"
	disputeID = "PP-D-27803"
)

// api answers each path with a fixed body; "" is 404. A token is always given.
type api struct {
	*httptest.Server
	mu      sync.Mutex
	answers map[string]string
	asked   []string
}

func newAPI(t testing.TB, answers map[string]string) *api {
	t.Helper()
	a := &api{answers: answers}
	a.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v1/oauth2/token" {
			fmt.Fprint(w, `{"access_token":"T","token_type":"Bearer","expires_in":28800}`)
			return
		}
		a.mu.Lock()
		a.asked = append(a.asked, r.Method+" "+r.URL.Path)
		answer := a.answers[r.Method+" "+r.URL.Path]
		a.mu.Unlock()
		if answer == "" {
			w.WriteHeader(http.StatusNotFound)
			answer = `{"name":"RESOURCE_NOT_FOUND","debug_id":"b1d1f06c7246c"}`
		}
		fmt.Fprint(w, answer)
	}))
	t.Cleanup(a.Close)
	return a
}

func stubbed(t testing.TB, base string, changes ...func(*paypal.Options)) *paypal.PayPal {
	o := paypal.Options{Name: "paypal", ClientID: "c", ClientSecret: secret.New("s"), WebhookIDs: provider.Active(secret.New(oldWebhook)), MerchantID: merchant,
		BaseURL: base, HTTP: outbound.New(outbound.Options{AllowPrivate: true}), Catalogue: catalogue, Now: func() time.Time { return now }}
	for _, change := range changes {
		change(&o)
	}
	return newSource(t, o)
}

func event(s *paypal.PayPal, eventType, resource string) makegood.Event {
	e := s.Identify([]byte(`{"id":"WH-1","event_type":"` + eventType + `","create_time":"2026-09-01T11:59:00Z","resource_version":"2.0","resource":` + resource + `}`))
	e.ID, e.ReceivedAt = "evt1", now
	return e
}

// The API's answers, which the cases change by replacing words.
func orderJSON(s *paypal.PayPal) string {
	return `{"id":"` + orderID + `","intent":"CAPTURE","status":"COMPLETED","update_time":"2026-09-01T11:58:00Z",
"payer":{"email_address":"ann@example.com","name":{"given_name":"Ann","surname":"Example"}},
"purchase_units":[{"custom_id":"` + paypal.CustomID(s, "az-900", 2, makegood.Money{Minor: 2900, Currency: "usd"}, false) + `",
"amount":{"currency_code":"USD","value":"58.00","breakdown":{"item_total":{"currency_code":"USD","value":"58.00"}}},
"payee":{"merchant_id":"` + merchant + `"},"items":[{"name":"AZ-900 practice exam","sku":"az-900","quantity":"2","unit_amount":{"currency_code":"USD","value":"29.00"}}],
"payments":{"captures":[` + captureJSON(s) + `]}}]}`
}

func captureJSON(s *paypal.PayPal) string {
	return `{"id":"` + captureID + `","status":"COMPLETED","amount":{"currency_code":"USD","value":"58.00"},"payee":{"merchant_id":"` + merchant + `"},
"custom_id":"` + paypal.CustomID(s, "az-900", 2, makegood.Money{Minor: 2900, Currency: "usd"}, false) + `","create_time":"2026-09-01T11:58:00Z",
"supplementary_data":{"related_ids":{"order_id":"` + orderID + `"}},"links":[{"rel":"up","href":"https://api.paypal.com/v2/checkout/orders/` + orderID + `"}]}`
}

const refundJSON = `{"id":"` + refundID + `","status":"COMPLETED","amount":{"currency_code":"USD","value":"10.00"},"create_time":"2026-09-01T11:59:00Z",
"seller_payable_breakdown":{"total_refunded_amount":{"currency_code":"USD","value":"30.00"}},
"links":[{"rel":"self","href":"https://api.paypal.com/v2/payments/refunds/` + refundID + `"},{"rel":"up","href":"https://api.paypal.com/v2/payments/captures/` + captureID + `"}]}`

const disputeJSON = `{"dispute_id":"` + disputeID + `","status":"UNDER_REVIEW","dispute_life_cycle_stage":"CHARGEBACK","create_time":"2026-09-01T11:59:00Z","update_time":"2026-09-01T11:59:30Z",
"dispute_amount":{"currency_code":"USD","value":"58.00"},"disputed_transactions":[{"seller_transaction_id":"` + captureID + `","seller":{"merchant_id":"` + merchant + `"}}]}`

func TestInterpret(t *testing.T) {
	t.Parallel()
	const order, capture, refund, dispute = "GET /v2/checkout/orders/" + orderID, "GET /v2/payments/captures/" + captureID,
		"GET /v2/payments/refunds/" + refundID, "GET /v1/customer/disputes/" + disputeID
	const (
		captured  = `{"id":"` + captureID + `","amount":{"value":"0.01","currency_code":"EUR"},"status":"COMPLETED"}`
		ordered   = `{"id":"` + orderID + `","status":"COMPLETED"}`
		refunded_ = `{"id":"` + refundID + `","amount":{"value":"9999.99","currency_code":"EUR"},"status":"COMPLETED"}`
		disputed  = `{"dispute_id":"` + disputeID + `","status":"RESOLVED","dispute_outcome":{"outcome_code":"RESOLVED_BUYER_FAVOUR"}}`
	)
	usd := func(minor int64) makegood.Money { return makegood.Money{Minor: minor, Currency: "usd"} }
	line := makegood.Line{Product: "az-900", Label: "AZ-900 practice exam", Quantity: 2, Subtotal: usd(5800), Agreed: usd(2900)}
	paid := makegood.Fact{Key: makegood.OrderKey{Source: "paypal", SessionID: orderID}, Kind: makegood.FactPaid, ObjectID: captureID, PaymentID: captureID, Amount: usd(5800),
		Customer: makegood.Customer{Email: "ann@example.com", Name: "Ann Example"}, Lines: []makegood.Line{line}, OccurredAt: now.Add(-2 * time.Minute), EventID: "evt1"}
	with := func(f makegood.Fact, do func(*makegood.Fact)) []makegood.Fact {
		do(&f)
		return []makegood.Fact{f}
	}
	state := func(kind makegood.FactKind) []makegood.Fact {
		return with(paid, func(f *makegood.Fact) { f.Kind, f.Lines = kind, nil })
	}
	refundFact := makegood.Fact{Key: paid.Key, Kind: makegood.FactRefunded, ObjectID: refundID, PaymentID: captureID, Amount: usd(1000), OccurredAt: now.Add(-time.Minute), EventID: "evt1"}
	disputeFact := makegood.Fact{Key: paid.Key, Kind: makegood.FactDisputed, ObjectID: disputeID, PaymentID: captureID, Amount: usd(5800), OccurredAt: now.Add(-time.Minute), EventID: "evt1"}
	resolved := func(outcome string) []string {
		return []string{`"UNDER_REVIEW"`, `"RESOLVED","dispute_outcome":{"outcome_code":"` + outcome + `"}`}
	}
	closed := func(kind makegood.FactKind) []makegood.Fact {
		return with(disputeFact, func(f *makegood.Fact) { f.Kind, f.OccurredAt = kind, now.Add(-30*time.Second) })
	}
	items := func(change func(*makegood.Line)) []makegood.Fact {
		l := line
		l.Agreed = makegood.Money{}
		change(&l)
		return with(paid, func(f *makegood.Fact) { f.Lines = []makegood.Line{l} })
	}
	const tag = `mg1.az-900.2.2900.usd.`
	for _, tt := range []struct {
		name     string
		kind     string
		resource string
		change   []string // pairs of old and new, in every answer
		without  string   // this is 404
		old      bool     // the event was received hours ago
		want     []makegood.Fact
		note     string // when there are no facts
		err      makegood.Code
	}{
		{name: "a capture", kind: "PAYMENT.CAPTURE.COMPLETED", resource: captured, want: []makegood.Fact{paid}},
		{name: "an order", kind: "CHECKOUT.ORDER.COMPLETED", resource: ordered, want: []makegood.Fact{paid}},
		{name: "an order by its approval, captured before", kind: "CHECKOUT.ORDER.APPROVED", resource: ordered, want: []makegood.Fact{paid}},
		{name: "a capture, refunded meanwhile", kind: "PAYMENT.CAPTURE.COMPLETED", resource: captured, change: []string{`"COMPLETED","amount"`, `"REFUNDED","amount"`}, want: []makegood.Fact{paid}},
		{name: "a capture, refunded in part meanwhile", kind: "PAYMENT.CAPTURE.COMPLETED", resource: captured, change: []string{`"COMPLETED","amount"`, `"PARTIALLY_REFUNDED","amount"`}, want: []makegood.Fact{paid}},
		{name: "a pending capture", kind: "PAYMENT.CAPTURE.PENDING", resource: captured, change: []string{`"COMPLETED","amount"`, `"PENDING","amount"`}, want: state(makegood.FactAwaiting)},
		{name: "pending in the event, completed by now", kind: "PAYMENT.CAPTURE.PENDING", resource: captured, want: []makegood.Fact{paid}},
		{name: "a declined capture", kind: "PAYMENT.CAPTURE.DECLINED", resource: captured, change: []string{`"COMPLETED","amount"`, `"DECLINED","amount"`}, want: state(makegood.FactFailed)},
		{name: "a denied capture", kind: "PAYMENT.CAPTURE.DENIED", resource: captured, change: []string{`"COMPLETED","amount"`, `"DECLINED","amount"`}, want: state(makegood.FactFailed)},
		{name: "a failed capture", kind: "PAYMENT.CAPTURE.DENIED", resource: captured, change: []string{`"COMPLETED","amount"`, `"FAILED","amount"`}, want: state(makegood.FactFailed)},
		{name: "denied in the event, paid by the API", kind: "PAYMENT.CAPTURE.DENIED", resource: captured, want: []makegood.Fact{paid}},
		{name: "denied in the event, pending by the API", kind: "PAYMENT.CAPTURE.DENIED", resource: captured, change: []string{`"COMPLETED","amount"`, `"PENDING","amount"`}, err: makegood.ProviderFailed},
		{name: "completed in the event, pending by the API", kind: "PAYMENT.CAPTURE.COMPLETED", resource: captured, change: []string{`"COMPLETED","amount"`, `"PENDING","amount"`}, err: makegood.ProviderFailed},
		{name: "completed in the event, declined by the API", kind: "PAYMENT.CAPTURE.COMPLETED", resource: captured, change: []string{`"COMPLETED","amount"`, `"DECLINED","amount"`}, err: makegood.ProviderFailed},
		{name: "completed in the event, odd by the API", kind: "PAYMENT.CAPTURE.COMPLETED", resource: captured, change: []string{`"COMPLETED","amount"`, `"NEW","amount"`}, err: makegood.ProviderFailed},
		{name: "pending in the event, odd by the API", kind: "PAYMENT.CAPTURE.PENDING", resource: captured, change: []string{`"COMPLETED","amount"`, `"NEW","amount"`}, note: "a person must look"},
		{name: "a capture that the API does not show", kind: "PAYMENT.CAPTURE.COMPLETED", resource: captured, without: capture, err: makegood.ProviderFailed},
		{name: "another capture in the answer", kind: "PAYMENT.CAPTURE.COMPLETED", resource: captured, change: []string{`{"id":"` + captureID, `{"id":"OTHER`}, err: makegood.ProviderFailed},
		{name: "an order that the API does not show yet", kind: "PAYMENT.CAPTURE.COMPLETED", resource: captured, without: order, err: makegood.ProviderFailed},
		{name: "an order that is gone", kind: "PAYMENT.CAPTURE.COMPLETED", resource: captured, without: order, old: true, want: with(paid, func(f *makegood.Fact) { f.Customer = makegood.Customer{} })},
		{name: "a capture that tells its order by a link", kind: "PAYMENT.CAPTURE.COMPLETED", resource: captured, change: []string{`"supplementary_data"`, `"other"`}, want: []makegood.Fact{paid}},
		{name: "a capture without an order", kind: "PAYMENT.CAPTURE.COMPLETED", resource: captured, change: []string{`"supplementary_data"`, `"other"`, `"links"`, `"others"`},
			want: with(paid, func(f *makegood.Fact) { f.Key.SessionID, f.Customer = "", makegood.Customer{} })},
		{name: "a link to another resource", kind: "PAYMENT.CAPTURE.COMPLETED", resource: captured, change: []string{`"supplementary_data"`, `"other"`, `/v2/checkout/orders/`, `/v2/payments/authorizations/`},
			want: with(paid, func(f *makegood.Fact) { f.Key.SessionID, f.Customer = "", makegood.Customer{} })},
		{name: "no amount", kind: "PAYMENT.CAPTURE.COMPLETED", resource: captured, change: []string{`"COMPLETED","amount"`, `"COMPLETED","sum"`}, err: makegood.ProviderFailed},
		{name: "an amount as a fraction of a cent", kind: "PAYMENT.CAPTURE.COMPLETED", resource: captured, change: []string{`"58.00"}`, `"58.001"}`}, err: makegood.ProviderFailed},
		{name: "a negative amount", kind: "PAYMENT.CAPTURE.COMPLETED", resource: captured, change: []string{`"58.00"}`, `"-58.00"}`}, err: makegood.ProviderFailed},

		{name: "another merchant", kind: "PAYMENT.CAPTURE.COMPLETED", resource: captured, change: []string{merchant, "2222222222222"}, note: "another merchant"},
		{name: "another merchant's order", kind: "CHECKOUT.ORDER.COMPLETED", resource: ordered, change: []string{merchant, "2222222222222"}, note: "another merchant"},
		{name: "another merchant's refund", kind: "PAYMENT.CAPTURE.REFUNDED", resource: refunded_, change: []string{merchant, "2222222222222"}, note: "another merchant"},
		{name: "another merchant's dispute", kind: "CUSTOMER.DISPUTE.CREATED", resource: disputed, change: []string{merchant, "2222222222222"}, note: "another merchant"},
		{name: "no merchant", kind: "PAYMENT.CAPTURE.COMPLETED", resource: captured, change: []string{`"merchant_id"`, `"other"`}, err: makegood.ProviderFailed},

		{name: "a custom id that is not ours", kind: "PAYMENT.CAPTURE.COMPLETED", resource: captured, change: []string{tag, `mg1.az-900.1.1.usd.`}, want: items(func(*makegood.Line) {})},
		{name: "a custom id that is not ours and adds up", kind: "PAYMENT.CAPTURE.COMPLETED", resource: captured, change: []string{tag, `mg1.az-900.1.1.usd.`, `58.00`, `0.01`},
			want: with(paid, func(f *makegood.Fact) {
				f.Amount = usd(1)
				f.Lines = []makegood.Line{{Product: "az-900", Label: "AZ-900 practice exam", Quantity: 2}}
			})},
		{name: "a custom id that does not add up", kind: "CHECKOUT.ORDER.COMPLETED", resource: ordered, change: []string{`"item_total":{"currency_code":"USD","value":"58.00"}`, `"item_total":{"currency_code":"USD","value":"57.00"}`}, want: items(func(*makegood.Line) {})},
		{name: "something taken off", kind: "PAYMENT.CAPTURE.COMPLETED", resource: captured, change: []string{`"amount":{"currency_code":"USD","value":"58.00"}`, `"amount":{"currency_code":"USD","value":"0.01"}`},
			want: with(paid, func(f *makegood.Fact) {
				f.Amount = usd(1)
				f.Lines = []makegood.Line{{Product: "az-900", Label: "AZ-900 practice exam", Quantity: 2}}
			})},
		{name: "another currency", kind: "PAYMENT.CAPTURE.COMPLETED", resource: captured, change: []string{`"amount":{"currency_code":"USD","value":"58.00"}`, `"amount":{"currency_code":"EUR","value":"58.00"}`},
			want: with(paid, func(f *makegood.Fact) {
				f.Amount = makegood.Money{Minor: 5800, Currency: "eur"}
				f.Lines = []makegood.Line{{Product: "az-900", Label: "AZ-900 practice exam", Quantity: 2}}
			})},
		{name: "an item that is not in the catalogue", kind: "PAYMENT.CAPTURE.COMPLETED", resource: captured, change: []string{tag, `x.`, `"sku":"az-900"`, `"sku":"az-901"`}, want: items(func(l *makegood.Line) { l.Product = "" })},
		{name: "an item by the provider's price", kind: "PAYMENT.CAPTURE.COMPLETED", resource: captured, change: []string{tag, `x.`, `"sku":"az-900"`, `"sku":"SKU-DP"`}, want: items(func(l *makegood.Line) { l.Product = "dp-203" })},
		{name: "an item without a quantity", kind: "PAYMENT.CAPTURE.COMPLETED", resource: captured, change: []string{tag, `x.`, `"quantity"`, `"q"`}, want: items(func(l *makegood.Line) { l.Quantity, l.Subtotal = 0, usd(0) })},
		{name: "nothing told", kind: "PAYMENT.CAPTURE.COMPLETED", resource: captured, change: []string{tag, `x.`, `"items"`, `"i"`}, want: with(paid, func(f *makegood.Fact) { f.Lines = nil })},
		{name: "two captures that both brought money", kind: "PAYMENT.CAPTURE.COMPLETED", resource: captured, change: []string{`"captures":[`, `"captures":[{"id":"SECOND","status":"COMPLETED"},`},
			want: with(paid, func(f *makegood.Fact) { f.Lines = nil })},
		{name: "a declined capture before the good one", kind: "PAYMENT.CAPTURE.COMPLETED", resource: captured, change: []string{`"captures":[`, `"captures":[{"id":"FIRST","status":"DECLINED"},`}, want: []makegood.Fact{paid}},
		{name: "an order with refunds", kind: "CHECKOUT.ORDER.COMPLETED", resource: ordered, change: []string{`"captures":[`, `"refunds":[` + refundJSON + `],"captures":[`}, want: []makegood.Fact{paid, refundFact}},

		{name: "an order that is open", kind: "CHECKOUT.ORDER.APPROVED", resource: ordered, change: []string{`"status":"COMPLETED","update`, `"status":"CREATED","update`, `"payments"`, `"p"`}, note: "open"},
		{name: "completed in the event, open by the API", kind: "CHECKOUT.ORDER.COMPLETED", resource: ordered, change: []string{`"status":"COMPLETED","update`, `"status":"CREATED","update`, `"payments"`, `"p"`}, err: makegood.ProviderFailed},
		{name: "completed without a capture", kind: "CHECKOUT.ORDER.COMPLETED", resource: ordered, change: []string{`"payments"`, `"p"`}, err: makegood.ProviderFailed},
		{name: "approved for somebody else to capture", kind: "CHECKOUT.ORDER.APPROVED", resource: ordered, change: []string{`"status":"COMPLETED","update`, `"status":"APPROVED","update`, `"CAPTURE"`, `"AUTHORIZE"`}, note: "authorised only"},
		{name: "approved for another merchant", kind: "CHECKOUT.ORDER.APPROVED", resource: ordered, change: []string{`"status":"COMPLETED","update`, `"status":"APPROVED","update`, merchant, "2222222222222"}, note: "another merchant"},
		{name: "a reversed approval, voided", kind: "CHECKOUT.PAYMENT-APPROVAL.REVERSED", resource: `{"order_id":"` + orderID + `","id":"x"}`, change: []string{`"status":"COMPLETED","update`, `"status":"VOIDED","update`, `"payments"`, `"p"`},
			want: []makegood.Fact{{Key: paid.Key, Kind: makegood.FactExpired, ObjectID: orderID, OccurredAt: now.Add(-2 * time.Minute), EventID: "evt1"}}},
		{name: "a reversed approval, open again", kind: "CHECKOUT.PAYMENT-APPROVAL.REVERSED", resource: `{"order_id":"` + orderID + `"}`, change: []string{`"status":"COMPLETED","update`, `"status":"CREATED","update`, `"payments"`, `"p"`},
			want: []makegood.Fact{{Key: paid.Key, Kind: makegood.FactExpired, ObjectID: orderID, OccurredAt: now.Add(-time.Minute), EventID: "evt1"}}},
		{name: "a reversed approval that was paid", kind: "CHECKOUT.PAYMENT-APPROVAL.REVERSED", resource: `{"order_id":"` + orderID + `"}`, want: []makegood.Fact{paid}},
		{name: "a reversed approval, gone", kind: "CHECKOUT.PAYMENT-APPROVAL.REVERSED", resource: `{"order_id":"` + orderID + `"}`, without: order, note: "does not know it any more"},

		{name: "a refund, of its own amount", kind: "PAYMENT.CAPTURE.REFUNDED", resource: refunded_, want: []makegood.Fact{refundFact}},
		{name: "a reversal", kind: "PAYMENT.CAPTURE.REVERSED", resource: refunded_, want: []makegood.Fact{refundFact}},
		{name: "a refund of which the capture is gone", kind: "PAYMENT.CAPTURE.REFUNDED", resource: refunded_, without: capture, want: with(refundFact, func(f *makegood.Fact) { f.Key.SessionID = "" })},
		{name: "a refund that is pending", kind: "PAYMENT.REFUND.PENDING", resource: refunded_, change: []string{`"COMPLETED","amount":{"currency_code":"USD","value":"10`, `"PENDING","amount":{"currency_code":"USD","value":"10`}, note: "on its way"},
		{name: "a refund that failed", kind: "PAYMENT.REFUND.FAILED", resource: refunded_, change: []string{`"COMPLETED","amount":{"currency_code":"USD","value":"10`, `"FAILED","amount":{"currency_code":"USD","value":"10`}, want: with(refundFact, func(f *makegood.Fact) { f.Kind = makegood.FactRefundFailed })},
		{name: "a refund that was cancelled", kind: "PAYMENT.CAPTURE.REFUNDED", resource: refunded_, change: []string{`"COMPLETED","amount":{"currency_code":"USD","value":"10`, `"CANCELLED","amount":{"currency_code":"USD","value":"10`}, want: with(refundFact, func(f *makegood.Fact) { f.Kind = makegood.FactRefundFailed })},
		{name: "failed in the event, completed by the API", kind: "PAYMENT.REFUND.FAILED", resource: refunded_, err: makegood.ProviderFailed},
		{name: "a refund in an odd state", kind: "PAYMENT.CAPTURE.REFUNDED", resource: refunded_, change: []string{`"COMPLETED","amount":{"currency_code":"USD","value":"10`, `"NEW","amount":{"currency_code":"USD","value":"10`}, note: "a person must look"},
		{name: "a refund of no payment", kind: "PAYMENT.CAPTURE.REFUNDED", resource: refunded_, change: []string{`"up"`, `"down"`}, err: makegood.ProviderFailed},
		{name: "a refund that the API does not show", kind: "PAYMENT.CAPTURE.REFUNDED", resource: refunded_, without: refund, err: makegood.ProviderFailed},

		{name: "a dispute", kind: "CUSTOMER.DISPUTE.CREATED", resource: disputed, want: []makegood.Fact{disputeFact}},
		{name: "a dispute of which the capture is gone", kind: "CUSTOMER.DISPUTE.CREATED", resource: disputed, without: capture, want: with(disputeFact, func(f *makegood.Fact) { f.Key.SessionID = "" })},
		{name: "an inquiry", kind: "CUSTOMER.DISPUTE.CREATED", resource: disputed, change: []string{"CHARGEBACK", "INQUIRY"}, note: "inquiry"},
		{name: "an appeal", kind: "CUSTOMER.DISPUTE.UPDATED", resource: disputed, change: []string{"CHARGEBACK", "PRE_ARBITRATION"}, want: []makegood.Fact{disputeFact}},
		{name: "resolved in the event, open by the API", kind: "CUSTOMER.DISPUTE.RESOLVED", resource: disputed, err: makegood.ProviderFailed},
		{name: "lost", kind: "CUSTOMER.DISPUTE.RESOLVED", resource: disputed, change: resolved("RESOLVED_BUYER_FAVOUR"), want: closed(makegood.FactDisputeLost)},
		{name: "accepted by us", kind: "CUSTOMER.DISPUTE.RESOLVED", resource: disputed, change: resolved("ACCEPTED"), want: closed(makegood.FactDisputeLost)},
		{name: "won", kind: "CUSTOMER.DISPUTE.RESOLVED", resource: disputed, change: resolved("RESOLVED_SELLER_FAVOUR"), want: closed(makegood.FactDisputeWon)},
		{name: "withdrawn", kind: "CUSTOMER.DISPUTE.UPDATED", resource: disputed, change: resolved("CANCELED_BY_BUYER"), want: closed(makegood.FactDisputeWon)},
		{name: "paid by PayPal", kind: "CUSTOMER.DISPUTE.RESOLVED", resource: disputed, change: resolved("RESOLVED_WITH_PAYOUT"), want: closed(makegood.FactDisputeWon)},
		{name: "resolved in an unknown way", kind: "CUSTOMER.DISPUTE.RESOLVED", resource: disputed, change: resolved("NEW"), want: []makegood.Fact{disputeFact}},
		{name: "a dispute about several payments", kind: "CUSTOMER.DISPUTE.CREATED", resource: disputed, change: []string{`"disputed_transactions":[`, `"disputed_transactions":[{"seller_transaction_id":"OTHER"},`}, note: "several payments"},
		{name: "a dispute about nothing", kind: "CUSTOMER.DISPUTE.CREATED", resource: disputed, change: []string{`"seller_transaction_id"`, `"s"`}, err: makegood.ProviderFailed},
		{name: "a dispute that the API does not show", kind: "CUSTOMER.DISPUTE.CREATED", resource: disputed, without: dispute, err: makegood.ProviderFailed},

		{name: "an authorisation", kind: "PAYMENT.AUTHORIZATION.CREATED", resource: captured, note: "does not act on it"},
		{name: "a product", kind: "CATALOG.PRODUCT.CREATED", resource: captured, note: "says nothing of an order"},
		{name: "no id", kind: "PAYMENT.CAPTURE.COMPLETED", resource: `{}`, note: "names nothing"},
		{name: "an id that is a path", kind: "PAYMENT.CAPTURE.COMPLETED", resource: `{"id":"../../v1/oauth2/token"}`, note: "names nothing"},
		{name: "an id that is dots", kind: "PAYMENT.CAPTURE.COMPLETED", resource: `{"id":".."}`, note: "names nothing"},
		{name: "an id with a query", kind: "PAYMENT.CAPTURE.COMPLETED", resource: `{"id":"x?y=z"}`, note: "names nothing"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			a := newAPI(t, nil)
			s := stubbed(t, a.URL)
			a.answers = map[string]string{order: orderJSON(s), capture: captureJSON(s), refund: refundJSON, dispute: disputeJSON}
			changes := strings.NewReplacer(tt.change...)
			for path, answer := range a.answers {
				a.answers[path] = changes.Replace(answer)
				if !json.Valid([]byte(a.answers[path])) {
					t.Fatalf("%s is no JSON: %s", path, a.answers[path])
				}
			}
			delete(a.answers, tt.without)
			e := event(s, tt.kind, tt.resource)
			if tt.old {
				e.ReceivedAt = now.Add(-2 * time.Hour)
			}
			got, err := s.Interpret(t.Context(), e)
			if tt.err != "" {
				if makegood.CodeOf(err) != tt.err || isPermanent(err) || len(got.Facts) != 0 {
					t.Errorf("Interpret = %+v, %v; want %s, worth a retry", got, err, tt.err)
				}
				return
			}
			if err != nil {
				t.Fatalf("Interpret: %v", err)
			}
			if diff := cmp.Diff(tt.want, got.Facts); diff != "" {
				t.Errorf("the facts differ (-want +got):\n%s", diff)
			}
			if (len(got.Facts) == 0) == (got.Note == "") || !strings.Contains(got.Note, tt.note) {
				t.Errorf("the note is %q, want one with %q", got.Note, tt.note)
			}
			for _, f := range got.Facts {
				o := &makegood.Order{ID: "ord1", Key: f.Key}
				o.Learn(f)
				settle(o)
				released := len(o.Licenses) > 0
				if wanted := f.Kind == makegood.FactPaid && cmp.Equal(f.Lines, []makegood.Line{line}) || tt.name == "a custom id that is not ours" || tt.name == "a custom id that does not add up"; released != wanted {
					t.Errorf("the order releases goods: %v, want %v (%s)", released, wanted, o.Reason)
				}
			}
		})
	}
}

func TestInterpretRefusesWhatIsNotOurs(t *testing.T) {
	t.Parallel()
	a := newAPI(t, nil)
	s := stubbed(t, a.URL)
	good := event(s, "PAYMENT.CAPTURE.COMPLETED", `{"id":"`+captureID+`"}`)
	for name, change := range map[string]func(*makegood.Event){
		"another source": func(e *makegood.Event) { e.Source = "stripe" },
		"live mode":      func(e *makegood.Event) { e.Live = true },
		"no type":        func(e *makegood.Event) { e.Type = "" },
		"no body":        func(e *makegood.Event) { e.Payload = nil },
	} {
		e := good
		change(&e)
		if r, err := s.Interpret(t.Context(), e); err != nil || len(r.Facts) != 0 || r.Note == "" {
			t.Errorf("Interpret of an event with %s = %+v, %v; want a note", name, r, err)
		}
	}
	if len(a.asked) != 0 {
		t.Errorf("PayPal was asked %v, want nothing", a.asked)
	}
}

func TestIdentify(t *testing.T) {
	t.Parallel()
	for _, live := range []bool{false, true} {
		s := stubbed(t, "http://127.0.0.1:1", func(o *paypal.Options) { o.Live = live })
		body := []byte(`{"id":"WH-2WR32451HC0233532-67976317FL4543714","create_time":"2014-10-23T17:23:52.5Z","resource_type":"capture","event_type":"PAYMENT.CAPTURE.COMPLETED","event_version":"1.0","resource_version":"2.0","resource":{"id":"3C6"}}`)
		want := makegood.Event{Source: "paypal", Live: live, ProviderID: "WH-2WR32451HC0233532-67976317FL4543714", Type: "PAYMENT.CAPTURE.COMPLETED", APIVersion: "2.0",
			ObjectID: "3C6", CreatedAt: time.Date(2014, 10, 23, 17, 23, 52, 500e6, time.UTC), Payload: body}
		if diff := cmp.Diff(want, s.Identify(body)); diff != "" {
			t.Errorf("Identify differs (-want +got):\n%s", diff)
		}
		if got := s.Identify([]byte(`{"id":"1","resource":{"dispute_id":"PP-1"}}`)).ObjectID; got != "PP-1" {
			t.Errorf("a dispute's object = %q, want PP-1", got)
		}
		for _, odd := range []string{"", "null", "[]", "{", `{"id":5}`, `{"id":"a b","event_type":"X"}`, strings.Repeat("[", 100_000)} {
			got := s.Identify([]byte(odd))
			if !strings.HasPrefix(got.ProviderID, "sha256:") || got.Type != "" || got.Live != live {
				t.Errorf("Identify(%.20q) = %+v, want it known by its hash", odd, got)
			}
		}
	}
}
