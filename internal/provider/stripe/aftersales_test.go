package stripe_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/secret"

	"github.com/makegood/makegood/internal/provider/stripe"
)

// snapshot is an event around an object.
func snapshot(eventType, object string) string {
	return `{"id":"evt_1","object":"event","created":1,"livemode":false,"type":"` + eventType + `","data":{"object":` + object + `}}`
}

// thinEvent is one that names its object only.
func thinEvent(eventType, kind, id string) string {
	return `{"id":"evt_1","object":"v2.core.event","created":"2026-08-27T06:20:52Z","livemode":false,"type":"v1.` + eventType + `","related_object":{"id":"` + id + `","type":"` + kind + `"}}`
}

// TestTroubleAfterTheSale: what the event tells of money and the API does not confirm, or nobody tells, is an error and
// never a guess.
func TestTroubleAfterTheSale(t *testing.T) {
	t.Parallel()
	refunds := func(n int) string {
		all := make([]string, n)
		for i := range all {
			all[i] = fmt.Sprintf(`{"id":"re_%d","amount":1,"currency":"usd","status":"succeeded","charge":"ch_x"}`, i)
		}
		return `{"data":[` + strings.Join(all, ",") + `]}`
	}
	for _, tt := range []struct {
		name, event string
		answers     map[string]string
		want        makegood.Code
		verdict     string
	}{
		{"a refund that nobody knows", snapshot("refund.updated", `{"id":"re_x"}`), nil, makegood.ProviderFailed, "retry"},
		{"a refund without a status", snapshot("refund.updated", `{"id":"re_x"}`),
			map[string]string{"GET /v1/refunds/re_x": `{"id":"re_x","amount":1,"currency":"usd","charge":"ch_x"}`}, makegood.ProviderFailed, "retry"},
		{"a refund without an amount", snapshot("refund.updated", `{"id":"re_x"}`),
			map[string]string{"GET /v1/refunds/re_x": `{"id":"re_x","status":"succeeded","charge":"ch_x"}`}, makegood.ProviderFailed, "retry"},
		{"another refund than was asked for", snapshot("refund.updated", `{"id":"re_x"}`),
			map[string]string{"GET /v1/refunds/re_x": `{"id":"re_y","amount":1,"currency":"usd","status":"succeeded","charge":"ch_x"}`}, makegood.ProviderFailed, "retry"},
		{"a charge that nobody knows", snapshot("charge.refunded", `{"id":"ch_x"}`), nil, makegood.ProviderFailed, "retry"},
		{"a charge unknown as a filter", snapshot("charge.refunded", `{"id":"ch_none"}`), map[string]string{"GET /v1/refunds": "400"}, makegood.ProviderFailed, "retry"},
		{"a refund of the charge without an amount", snapshot("charge.refunded", `{"id":"ch_x"}`),
			map[string]string{"GET /v1/refunds": `{"data":[{"id":"re_x","status":"succeeded","charge":"ch_x"}]}`}, makegood.ProviderFailed, "retry"},
		{"more refunds than an order has facts", snapshot("charge.refunded", `{"id":"ch_x"}`), map[string]string{"GET /v1/refunds": refunds(501)}, makegood.TooLarge, "permanent"},
		{"a list that is none", snapshot("charge.refunded", `{"id":"ch_x"}`), map[string]string{"GET /v1/refunds": `{"id":"ch_x"}`}, makegood.ProviderFailed, "retry"},
		{"a list that does not go on", snapshot("charge.refunded", `{"id":"ch_x"}`),
			map[string]string{"GET /v1/refunds": `{"has_more":true,"data":[{"id":"re_x","amount":1,"currency":"usd","status":"succeeded"}]}`}, makegood.ProviderFailed, "retry"},
		{"a list that promises more and is empty", snapshot("charge.refunded", `{"id":"ch_x"}`),
			map[string]string{"GET /v1/refunds": `{"has_more":true,"data":[]}`}, makegood.ProviderFailed, "retry"},
		{"a dispute without a status", thinEvent("charge.dispute.closed", "dispute", "dp_x"),
			map[string]string{"GET /v1/disputes/dp_x": `{"id":"dp_x","amount":1,"currency":"usd","charge":"ch_x"}`}, makegood.ProviderFailed, "retry"},
		{"a dispute that nobody knows", thinEvent("charge.dispute.closed", "dispute", "dp_x"), nil, makegood.ProviderFailed, "retry"},
		{"an invoice that is paid in the event and open at the API", snapshot("invoice.paid", `{"id":"in_x","status":"paid","subscription":"sub_x"}`),
			map[string]string{"GET /v1/invoices/in_x": `{"id":"in_x","status":"open","subscription":"sub_x"}`}, makegood.ProviderFailed, "retry"},
		{"the same in a thin event", thinEvent("invoice.paid", "invoice", "in_x"),
			map[string]string{"GET /v1/invoices/in_x": `{"id":"in_x","status":"open","subscription":"sub_x"}`}, makegood.ProviderFailed, "retry"},
		{"an invoice without lines", snapshot("invoice.paid", `{"id":"in_x"}`),
			map[string]string{"GET /v1/invoices/in_x": `{"id":"in_x","status":"paid","subscription":"sub_x","amount_paid":1,"currency":"usd"}`}, makegood.ProviderFailed, "retry"},
		{"an invoice without an amount", snapshot("invoice.paid", `{"id":"in_x"}`),
			map[string]string{"GET /v1/invoices/in_x": `{"id":"in_x","status":"paid","subscription":"sub_x","lines":{"data":[]}}`}, makegood.ProviderFailed, "retry"},
		{"an invoice with more lines than we read", snapshot("invoice.paid", `{"id":"in_x"}`), map[string]string{
			"GET /v1/invoices/in_x":       `{"id":"in_x","status":"paid","subscription":"sub_x","amount_paid":1,"currency":"usd","lines":{"data":[],"has_more":true}}`,
			"GET /v1/invoices/in_x/lines": refunds(501)}, makegood.TooLarge, "permanent"},
		{"an invoice that nobody knows", thinEvent("invoice_payment.paid", "invoice_payment", "inpay_x"), nil, makegood.ProviderFailed, "retry"},
		{"a subscription that is over in the event and active at the API", snapshot("customer.subscription.deleted", `{"id":"sub_x","status":"active"}`),
			map[string]string{"GET /v1/subscriptions/sub_x": `{"id":"sub_x","status":"active"}`}, makegood.ProviderFailed, "retry"},
		{"a subscription that nobody says when it ended", snapshot("customer.subscription.deleted", `{"id":"sub_x","status":"canceled"}`),
			map[string]string{"GET /v1/subscriptions/sub_x": `{"id":"sub_x","status":"canceled"}`}, makegood.ProviderFailed, "retry"},
		{"a payment intent, and the session of another one", snapshot("payment_intent.succeeded", `{"id":"pi_y"}`),
			map[string]string{"GET /v1/checkout/sessions": `{"data":[{"id":"cs_test_x"}]}`, sessionPath: apiSession}, makegood.ProviderFailed, "retry"},
		{"a payment intent, and a session that is gone", snapshot("payment_intent.succeeded", `{"id":"pi_x"}`),
			map[string]string{"GET /v1/checkout/sessions": `{"data":[{"id":"cs_test_x"}]}`}, makegood.ProviderFailed, "retry"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			handlers := told{answers: tt.answers}.handlers()
			if tt.answers["GET /v1/refunds"] == "400" {
				handlers["GET /v1/refunds"] = refusal(400, `{"error":{"type":"invalid_request_error","code":"resource_missing","param":"charge"}}`)
			}
			got, err := interpret(t.Context(), newStripe(t, newAPI(t, handlers).URL, nil), tt.event)
			if makegood.CodeOf(err) != tt.want || verdictOf(err) != tt.verdict || len(got.Facts) != 0 {
				t.Errorf("Interpret = %+v, %v (%s); want %s (%s)", got, err, verdictOf(err), tt.want, tt.verdict)
			}
		})
	}
}

// TestObjectsOfTheOtherMode: what the API answers is of our mode, or there is no fact.
func TestObjectsOfTheOtherMode(t *testing.T) {
	t.Parallel()
	for kind, answer := range map[string]string{
		"refund":       `{"id":"x","livemode":true,"status":"succeeded","amount":1,"currency":"usd","charge":"ch_x"}`,
		"charge":       `{"id":"x","livemode":true,"amount_refunded":1,"currency":"usd","refunds":{"data":[{"id":"re_x","status":"succeeded","amount":1,"currency":"usd"}]}}`,
		"dispute":      `{"id":"x","livemode":true,"status":"lost","amount":1,"currency":"usd","charge":"ch_x"}`,
		"invoice":      `{"id":"x","livemode":true,"status":"paid","amount_paid":1,"currency":"usd","subscription":"sub_x","lines":{"data":[{"amount":1,"type":"subscription","period":{"end":9}}]}}`,
		"subscription": `{"id":"x","livemode":true,"status":"canceled","ended_at":9}`,
	} {
		for live, wantFacts := range map[bool]int{true: 0, false: 1} {
			served := strings.Replace(answer, `"livemode":true`, fmt.Sprintf(`"livemode":%v`, live), 1)
			a := newAPI(t, map[string]http.HandlerFunc{"GET /v1/" + kind + "s/x": body(served)})
			got, err := interpret(t.Context(), newStripe(t, a.URL, nil), thinEvent("x", kind, "x"))
			if err != nil || len(got.Facts) != wantFacts {
				t.Errorf("Interpret of a thin event about a %s with livemode %v = %+v, %v; want %d facts", kind, live, got, err, wantFacts)
			}
		}
	}
}

// TestWithoutAnAPIKey: a source without a key reads what tells everything, and a signal is no trouble for it.
func TestWithoutAnAPIKey(t *testing.T) {
	t.Parallel()
	s := newStripe(t, "http://127.0.0.1:1", func(o *stripe.Options) { o.APIKey = secret.Value{} })
	if got, err := interpret(t.Context(), s, snapshot("payment_intent.succeeded", `{"id":"pi_x"}`)); err != nil || got.Note == "" {
		t.Errorf("Interpret of a signal = %+v, %v; want a note", got, err)
	}
	got, err := interpret(t.Context(), s, snapshot("refund.updated", `{"id":"re_x","status":"succeeded","amount":1,"currency":"usd","charge":"ch_x"}`))
	if err != nil || len(got.Facts) != 1 {
		t.Errorf("Interpret of a whole refund = %+v, %v; want a fact", got, err)
	}
	if _, err := interpret(t.Context(), s, snapshot("refund.updated", `{"id":"re_x"}`)); makegood.CodeOf(err) != makegood.Unavailable {
		t.Errorf("Interpret of a refund that must be asked = %v, want unavailable", err)
	}
}

// TestRefundsArePaged: every refund of a charge counts, not only those of the first page.
func TestRefundsArePaged(t *testing.T) {
	t.Parallel()
	pages := map[string]string{
		"":     `{"has_more":true,"data":[{"id":"re_3","amount":3,"currency":"usd","status":"succeeded"},{"id":"re_2","amount":2,"currency":"usd","status":"failed"}]}`,
		"re_2": `{"has_more":false,"data":[{"id":"re_1","amount":1,"currency":"usd","status":"succeeded"}]}`,
	}
	var asked []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.URL.RequestURI())
		fmt.Fprint(w, pages[r.URL.Query().Get("starting_after")])
	}))
	t.Cleanup(server.Close)
	got, err := interpret(t.Context(), newStripe(t, server.URL, nil), snapshot("charge.refunded", `{"id":"ch_x","payment_intent":"pi_x","amount_refunded":4,"currency":"usd"}`))
	if err != nil || len(got.Facts) != 3 || got.Facts[2].ObjectID != "re_1" || got.Facts[2].PaymentID != "pi_x" {
		t.Errorf("Interpret = %+v, %v; want three facts", got, err)
	}
	want := []string{"/v1/refunds?charge=ch_x&limit=100", "/v1/refunds?charge=ch_x&limit=100&starting_after=re_2"}
	if fmt.Sprint(asked) != fmt.Sprint(want) {
		t.Errorf("asked %q, want %q", asked, want)
	}
}

// TestAPriceThatIsGone: what we name and Stripe does not have is our mistake, and not an object that nobody knows.
func TestAPriceThatIsGone(t *testing.T) {
	t.Parallel()
	a := newAPI(t, map[string]http.HandlerFunc{
		"POST /v1/checkout/sessions": refusal(400, `{"error":{"type":"invalid_request_error","code":"resource_missing","param":"line_items[0][price]"}}`),
	})
	_, err := newStripe(t, a.URL, nil).CreateCheckout(t.Context(), request("az-900"))
	if makegood.CodeOf(err) != makegood.ProviderFailed || verdictOf(err) != "permanent" {
		t.Errorf("CreateCheckout with a price that is gone = %v (%s), want a permanent error", err, verdictOf(err))
	}
}
