package stripe_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/makegood/makegood"
)

// listBy answers a list by one of its filters, and with an empty one to every other.
func listBy(filter string, lists map[string]string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if list, ok := lists[r.URL.Query().Get(filter)]; ok {
			fmt.Fprint(w, list)
			return
		}
		fmt.Fprint(w, `{"object":"list","data":[],"has_more":false}`)
	}
}

func TestFind(t *testing.T) {
	t.Parallel()
	const two = `{"object":"list","has_more":false,"data":[{"id":"cs_test_b","livemode":false},{"id":"cs_live_x","livemode":true},{"id":"cs_test_a"}]}`
	bySubscription := listBy("subscription", map[string]string{"sub_x": two})
	const invoiced = `{"object":"list","data":[{"id":"inpay_x","invoice":"in_x"}]}`
	const invoice = `{"id":"in_x","parent":{"subscription_details":{"subscription":"sub_x"}}}`
	both := []string{"cs_test_b", "cs_test_a"}
	for _, tt := range []struct {
		name, quoted string
		answers      map[string]http.HandlerFunc
		want         []string
		calls        int
	}{
		{"a payment", "pi_x", map[string]http.HandlerFunc{"GET /v1/checkout/sessions": listBy("payment_intent", map[string]string{"pi_x": two})}, both, 1},
		{"the payment of an invoice", "pi_x", map[string]http.HandlerFunc{"GET /v1/checkout/sessions": bySubscription,
			"GET /v1/invoice_payments": listBy("payment[payment_intent]", map[string]string{"pi_x": invoiced}), "GET /v1/invoices/in_x": body(invoice)}, both, 4},
		{"a payment of nothing", "pi_x", map[string]http.HandlerFunc{"GET /v1/checkout/sessions": bySubscription, "GET /v1/invoice_payments": listBy("", nil)}, nil, 2},
		{"an e-mail address", " ann@example.com ", map[string]http.HandlerFunc{
			"GET /v1/checkout/sessions": listBy("customer_details[email]", map[string]string{"ann@example.com": two})}, both, 1},
		{"an address with an underline", "pi_x@example.com", map[string]http.HandlerFunc{
			"GET /v1/checkout/sessions": listBy("customer_details[email]", map[string]string{"pi_x@example.com": two})}, both, 1},
		{"a subscription", "sub_x", map[string]http.HandlerFunc{"GET /v1/checkout/sessions": bySubscription}, both, 1},
		{"an invoice", "in_x", map[string]http.HandlerFunc{"GET /v1/checkout/sessions": bySubscription, "GET /v1/invoices/in_x": body(invoice)}, both, 2},
		{"an invoice without a subscription", "in_x", map[string]http.HandlerFunc{"GET /v1/invoices/in_x": body(`{"id":"in_x","parent":null}`)}, nil, 1},
		{"a charge", "ch_x", map[string]http.HandlerFunc{"GET /v1/charges/ch_x": body(`{"id":"ch_x","payment_intent":"pi_x"}`),
			"GET /v1/checkout/sessions": listBy("payment_intent", map[string]string{"pi_x": two})}, both, 2},
		{"a charge of a bank", "py_x", map[string]http.HandlerFunc{"GET /v1/charges/py_x": body(`{"id":"py_x","payment_intent":"pi_x"}`),
			"GET /v1/checkout/sessions": listBy("payment_intent", map[string]string{"pi_x": two})}, both, 2},
		{"a charge of an invoice, before there were payment intents", "ch_x", map[string]http.HandlerFunc{"GET /v1/charges/ch_x": body(`{"id":"ch_x","invoice":"in_x"}`),
			"GET /v1/invoices/in_x": body(`{"id":"in_x","subscription":"sub_x"}`), "GET /v1/checkout/sessions": bySubscription}, both, 3},
		{"a charge of nothing", "ch_x", map[string]http.HandlerFunc{"GET /v1/charges/ch_x": body(`{"id":"ch_x"}`)}, nil, 1},
		{"a session", "cs_test_x", map[string]http.HandlerFunc{sessionPath: body(apiSession)}, []string{"cs_test_x"}, 1},
		{"a session that the API says is live", "cs_test_x", map[string]http.HandlerFunc{sessionPath: body(strings.Replace(apiSession, `"livemode":false`, `"livemode":true`, 1))}, nil, 1},
		{"a session that Stripe does not know", "cs_test_unknown", nil, nil, 1},
		{"a charge that Stripe does not know", "ch_unknown", nil, nil, 1},
		{"a filter that Stripe does not know", "sub_x", map[string]http.HandlerFunc{
			"GET /v1/checkout/sessions": refusal(400, `{"error":{"type":"invalid_request_error","code":"resource_missing"}}`)}, nil, 1},
		{"a session of the other mode", "cs_live_x", nil, nil, 0},
		{"a path", "ch_x/../../balance", nil, nil, 0},
		{"a query", "ch_x?expand[]=customer", nil, nil, 0},
		{"something else of Stripe's", "txn_x", nil, nil, 0},
		{"a name", "Ann Example", nil, nil, 0},
		{"nothing", "", nil, nil, 0},
		{"a novel", "ch_" + strings.Repeat("x", 253), nil, nil, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			a := newAPI(t, tt.answers)
			got, err := newStripe(t, a.URL, nil).Find(t.Context(), tt.quoted)
			if diff := cmp.Diff(tt.want, got, cmpopts.EquateEmpty()); diff != "" || err != nil {
				t.Errorf("Find(%q) = %v (-want +got):\n%s", tt.quoted, err, diff)
			}
			if n := len(a.requests()); n != tt.calls {
				t.Errorf("Find(%q) asked %d times (%v), want %d", tt.quoted, n, a.paths(), tt.calls)
			}
		})
	}
}

// TestFindTellsTrouble: that Stripe cannot be asked is not the same as that there is nothing.
func TestFindTellsTrouble(t *testing.T) {
	t.Parallel()
	for status, want := range map[int]makegood.Code{401: makegood.Unavailable, 403: makegood.Unavailable, 400: makegood.ProviderFailed, 500: makegood.ProviderFailed} {
		a := newAPI(t, map[string]http.HandlerFunc{"GET /v1/checkout/sessions": refusal(status, `{"error":{"type":"api_error"}}`)})
		if got, err := newStripe(t, a.URL, nil).Find(t.Context(), "pi_x"); makegood.CodeOf(err) != want {
			t.Errorf("Find when Stripe answers %d = %q, %v; want %s", status, got, err, want)
		}
	}
}

// TestFindIsBounded: a customer with more sessions than a list shows.
func TestFindIsBounded(t *testing.T) {
	t.Parallel()
	n := 0
	a := newAPI(t, map[string]http.HandlerFunc{"GET /v1/checkout/sessions": func(w http.ResponseWriter, _ *http.Request) {
		var page []string
		for range 70 { // fewer than were asked for
			n++
			page = append(page, fmt.Sprintf(`{"id":"cs_test_%d"}`, n))
		}
		fmt.Fprintf(w, `{"has_more":true,"data":[%s]}`, strings.Join(page, ","))
	}})
	got, err := newStripe(t, a.URL, nil).Find(t.Context(), "ann@example.com")
	if err != nil || len(got) != makegood.ListMax || len(a.requests()) != 15 {
		t.Errorf("Find = %d sessions after %d calls, %v; want %d after %d", len(got), len(a.requests()), err, makegood.ListMax, 15)
	}
}
