package stripe_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/provider"
	"github.com/makegood/makegood/internal/provider/stripe"
	"github.com/makegood/makegood/internal/secret"
)

const created = `{"id":"cs_test_new","object":"checkout.session","url":"https://checkout.stripe.com/c/pay/cs_test_new#fid","expires_at":1788350400,"livemode":false,"mode":"payment","status":"open"}`

func request(product string) provider.CheckoutRequest {
	return provider.CheckoutRequest{Product: catalogue[product], Quantity: 2, Email: "ann@example.com",
		SuccessURL: "https://example.com/thanks?session_id={CHECKOUT_SESSION_ID}", CancelURL: "https://example.com/", IdempotencyKey: "checkout-1"}
}

func TestCreateCheckout(t *testing.T) {
	t.Parallel()
	common := url.Values{
		"mode": {"payment"}, "success_url": {"https://example.com/thanks?session_id={CHECKOUT_SESSION_ID}"}, "cancel_url": {"https://example.com/"},
		"customer_email": {"ann@example.com"}, "line_items[0][quantity]": {"2"}, "metadata[quantity]": {"2"}, "metadata[currency]": {"usd"},
	}
	for _, tt := range []struct {
		product string
		want    url.Values
	}{
		{"az-900", url.Values{"line_items[0][price]": {"price_az900"}, "metadata[product]": {"az-900"}, "metadata[unit_amount]": {"2900"},
			"payment_intent_data[metadata][product]": {"az-900"}}},
		{"dp-203", url.Values{"line_items[0][price_data][currency]": {"usd"}, "line_items[0][price_data][unit_amount]": {"4900"},
			"line_items[0][price_data][product_data][name]": {"DP-203 practice exam"}, "metadata[product]": {"dp-203"}, "metadata[unit_amount]": {"4900"},
			"payment_intent_data[metadata][product]": {"dp-203"}}},
	} {
		t.Run(tt.product, func(t *testing.T) {
			t.Parallel()
			a := newAPI(t, map[string]http.HandlerFunc{"POST /v1/checkout/sessions": body(created)})
			got, err := newStripe(t, a.URL, nil).CreateCheckout(t.Context(), request(tt.product))
			want := provider.Checkout{SessionID: "cs_test_new", URL: "https://checkout.stripe.com/c/pay/cs_test_new#fid", ExpiresAt: time.Unix(1788350400, 0).UTC()}
			if err != nil || got != want {
				t.Fatalf("CreateCheckout = %+v, %v; want %+v", got, err, want)
			}
			for k, v := range common {
				tt.want[k] = v
			}
			if diff := cmp.Diff(tt.want, a.forms[0]); diff != "" {
				t.Errorf("the form differs (-want +got):\n%s", diff)
			}
			h := a.requests()[0].Header
			for name, want := range map[string]string{"Authorization": "Bearer " + apiKey, "Stripe-Version": stripe.APIVersion, "Idempotency-Key": "checkout-1",
				"Content-Type": "application/x-www-form-urlencoded", "Stripe-Account": ""} {
				if got := h.Get(name); got != want {
					t.Errorf("%s = %q, want %q", name, got, want)
				}
			}
		})
	}
}

func TestCreateCheckoutRefusesBeforeStripeIsCalled(t *testing.T) {
	t.Parallel()
	a := newAPI(t, nil)
	s := newStripe(t, a.URL, nil)
	for name, change := range map[string]func(*provider.CheckoutRequest){
		"no code":            func(r *provider.CheckoutRequest) { r.Product.Code = "" },
		"a malformed code":   func(r *provider.CheckoutRequest) { r.Product.Code = "AZ 900" },
		"none":               func(r *provider.CheckoutRequest) { r.Quantity = 0 },
		"too many":           func(r *provider.CheckoutRequest) { r.Quantity = makegood.QuantityMax + 1 },
		"a negative price":   func(r *provider.CheckoutRequest) { r.Product.Price.Minor = -1 },
		"no currency":        func(r *provider.CheckoutRequest) { r.Product.Price.Currency = "" },
		"a very long key":    func(r *provider.CheckoutRequest) { r.IdempotencyKey = strings.Repeat("k", 256) },
		"a key with a break": func(r *provider.CheckoutRequest) { r.IdempotencyKey = "a\r\nb" },
	} {
		r := request("az-900")
		change(&r)
		if got, err := s.CreateCheckout(t.Context(), r); makegood.CodeOf(err) != makegood.Invalid {
			t.Errorf("CreateCheckout with %s = %+v, %v; want invalid", name, got, err)
		}
	}
	if n := len(a.requests()); n != 0 {
		t.Errorf("Stripe was called %d times, want never", n)
	}
}

func TestCreateCheckoutDistrustsTheAnswer(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		answer string
		want   makegood.Code
	}{
		{"without an id", `{"url":"https://checkout.stripe.com/x"}`, makegood.ProviderFailed},
		{"without an address", `{"id":"cs_test_new","url":null}`, makegood.ProviderFailed},
		{"of the other mode", strings.NewReplacer("cs_test_new", "cs_live_new", "false", "true").Replace(created), makegood.Unavailable},
	} {
		a := newAPI(t, map[string]http.HandlerFunc{"POST /v1/checkout/sessions": body(tt.answer)})
		if got, err := newStripe(t, a.URL, nil).CreateCheckout(t.Context(), request("az-900")); makegood.CodeOf(err) != tt.want {
			t.Errorf("CreateCheckout answered %s = %+v, %v; want %s", tt.name, got, err, tt.want)
		}
	}
}

func TestAsk(t *testing.T) {
	t.Parallel()
	with := func(old, new string) string { return strings.Replace(apiSession, old, new, 1) }
	unpaid := with(`"payment_status":"paid"`, `"payment_status":"unpaid"`)
	free := with(`"amount_total":2900,"currency":"usd",
 "customer`, `"amount_total":0,"currency":"usd",
 "customer`)
	free = strings.Replace(free, `"payment_status":"paid"`, `"payment_status":"no_payment_required"`, 1)
	for _, tt := range []struct {
		name   string
		answer string
		want   makegood.FactKind
		note   string
	}{
		{"paid", apiSession, makegood.FactPaid, ""},
		{"complete and unpaid", unpaid, makegood.FactAwaiting, ""},
		{"expired", strings.Replace(unpaid, `"complete"`, `"expired"`, 1), makegood.FactExpired, ""},
		{"open", strings.Replace(unpaid, `"complete"`, `"open"`, 1), "", "The checkout is open"},
		{"nothing to pay", free, makegood.FactPaid, ""},
		{"nothing to pay and still open", strings.Replace(free, `"complete"`, `"open"`, 1), "", "The checkout is open"},
		{"nothing to pay in a subscription", strings.Replace(free, `"mode":"payment"`, `"mode":"subscription"`, 1), "", "trial"},
		{"nothing to pay, and no total", strings.Replace(free, `"amount_total":0,"currency":"usd",
 "cust`, `"currency":"usd","cust`, 1), "", "does not tell"},
		{"saves a card", with(`"mode":"payment"`, `"mode":"setup"`), "", "saved a payment method"},
		{"says nothing", `{"id":"cs_test_x"}`, "", "does not tell"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			a := newAPI(t, map[string]http.HandlerFunc{sessionPath: body(tt.answer)})
			got, err := newStripe(t, a.URL, nil).Ask(t.Context(), "cs_test_x")
			if err != nil {
				t.Fatal(err)
			}
			var kind makegood.FactKind
			for _, f := range got.Facts {
				kind = f.Kind
			}
			if kind != tt.want || !strings.Contains(got.Note, tt.note) || (got.Note == "") == (len(got.Facts) == 0) {
				t.Errorf("Ask = %+v, want %q or a note with %q", got, tt.want, tt.note)
			}
			if q := a.requests()[0].URL.Query(); !cmp.Equal(q, url.Values{"expand[]": {"line_items"}}) {
				t.Errorf("Ask asked for %v, want the line items expanded", q)
			}
		})
	}
}

func TestAskKnowsNoSuchSession(t *testing.T) {
	t.Parallel()
	a := newAPI(t, map[string]http.HandlerFunc{
		"GET /v1/checkout/sessions/cs_test_mode": body(strings.NewReplacer("cs_test_x", "cs_test_mode", `"livemode":false`, `"livemode":true`).Replace(apiSession)),
	})
	s := newStripe(t, a.URL, nil)
	for _, id := range []string{"", "cs_test_", "cs_test", "cs_live_x", "cs_prod_x", "CS_TEST_X", "pi_x", "cs_test_x/../../events", "cs_test_x?expand[]=a", "cs_test_%2e",
		"cs_test_ä", "cs_test_a\n", " cs_test_a", "cs_test_" + strings.Repeat("a", 201)} {
		if got, err := s.Ask(t.Context(), id); makegood.CodeOf(err) != makegood.NotFound {
			t.Errorf("Ask(%q) = %+v, %v; want not found", id, got, err)
		}
	}
	if n := len(a.requests()); n != 0 {
		t.Errorf("Stripe was asked %d times about what cannot be a session, want never", n)
	}
	for _, id := range []string{"cs_test_unknown", "cs_test_mode"} {
		if got, err := s.Ask(t.Context(), id); makegood.CodeOf(err) != makegood.NotFound {
			t.Errorf("Ask(%q) = %+v, %v; want not found", id, got, err)
		}
	}
	live := newStripe(t, a.URL, func(o *stripe.Options) { o.Live, o.APIKey = true, secret.Value{} })
	if _, err := live.Ask(t.Context(), "cs_test_x"); makegood.CodeOf(err) != makegood.NotFound {
		t.Errorf("Ask of a live source about a test session = %v, want not found", err)
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	a := newAPI(t, map[string]http.HandlerFunc{"GET /v1/checkout/sessions": body(`{"object":"list","data":[]}`)})
	if err := newStripe(t, a.URL, nil).Check(t.Context()); err != nil {
		t.Errorf("Check: %v", err)
	}
	if q := a.requests()[0].URL.RawQuery; q != "limit=1" {
		t.Errorf("Check asked %q, want limit=1", q)
	}
	odd := newAPI(t, map[string]http.HandlerFunc{"GET /v1/checkout/sessions": body(`[]`)})
	if err := newStripe(t, odd.URL, nil).Check(t.Context()); makegood.CodeOf(err) != makegood.ProviderFailed {
		t.Errorf("Check answered with a bare list = %v, want provider_failed", err)
	}
	refusing := newAPI(t, map[string]http.HandlerFunc{"GET /v1/checkout/sessions": refusal(401, `{"error":{"type":"invalid_request_error"}}`)})
	err := newStripe(t, refusing.URL, nil).Check(t.Context())
	if makegood.CodeOf(err) != makegood.Unavailable || !strings.Contains(makegood.MessageOf(err), "refuses the API key of source stripe") ||
		!strings.Contains(makegood.MessageOf(err), "req_1Test") {
		t.Errorf("Check with a wrong key = %v, want a sentence about the key and the request", err)
	}
}
