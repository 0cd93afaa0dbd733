package paypal_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
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
	"github.com/makegood/makegood/internal/simulate"
)

func TestTokens(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	check := func(tokens, calls int) {
		t.Helper()
		if err := w.source.Check(t.Context()); err != nil {
			t.Errorf("Check: %v", err)
		}
		if got := w.counted("POST /v1/oauth2/token"); got != tokens {
			t.Errorf("%d tokens were asked for after %v, want %d", got, w.clock.Now().Sub(now), tokens)
		}
		if got := w.counted("GET"); got != calls {
			t.Errorf("%d calls were made, want %d", got, calls)
		}
	}
	check(1, 1)
	check(1, 2)
	w.clock.Advance(28_800*time.Second - 5*time.Minute - time.Second)
	check(1, 3)
	w.clock.Advance(time.Second) // five minutes before its end
	check(2, 4)
	w.RevokeTokens() // 401 once: another token, and the same call again
	check(3, 6)
	w.SetFaults(simulate.PayPalFaults{Hold: true, FailAPI: func(r *http.Request) int {
		if r.Method == http.MethodGet {
			return http.StatusUnauthorized
		}
		return 0
	}})
	err := w.source.Check(t.Context())
	if makegood.CodeOf(err) != makegood.Unavailable || w.counted("POST /v1/oauth2/token") != 4 || w.counted("GET") != 8 {
		t.Errorf("Check that is refused for ever = %v after %d tokens; want unavailable after one more", err, w.counted("POST /v1/oauth2/token"))
	}
}

func TestTokenIsAskedForOnceByMany(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.SetFaults(simulate.PayPalFaults{Hold: true, Latency: 20 * time.Millisecond})
	var wg sync.WaitGroup
	for range 32 {
		wg.Go(func() {
			if err := w.source.Check(t.Context()); err != nil {
				t.Errorf("Check: %v", err)
			}
		})
	}
	wg.Wait()
	if n := w.counted("POST /v1/oauth2/token"); n != 1 {
		t.Errorf("%d tokens were asked for, want 1", n)
	}
}

func TestWrongCredentials(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(o *paypal.Options) { o.ClientSecret = secret.New("wrong-secret-of-ours") })
	err := w.source.Check(t.Context())
	if makegood.CodeOf(err) != makegood.Unavailable || !strings.Contains(makegood.MessageOf(err), "client id and secret of source paypal") ||
		!strings.Contains(err.Error(), "invalid_client") || strings.Contains(err.Error(), "wrong-secret") {
		t.Errorf("Check with a wrong secret = %v, want a sentence about the credentials without them", err)
	}
}

func TestCheckMissesItsWebhook(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.AddWebhook("https://example.com/of-somebody-else")
	if err := w.DeleteWebhook(w.webhook); err != nil {
		t.Fatal(err)
	}
	if err := w.source.Check(t.Context()); makegood.CodeOf(err) != makegood.Unavailable || !strings.Contains(err.Error(), "webhooks") {
		t.Errorf("Check without the webhook = %v, want it told", err)
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	const body = `{"name":"UNPROCESSABLE_ENTITY","message":"ann@example.com is wrong","debug_id":"b1d1f06c7246c","details":[{"issue":"SOME_ISSUE","value":"ann@example.com","description":"secret value"}]}`
	for _, tt := range []struct {
		name       string
		status     int
		retryAfter string
		body       string
		code       makegood.Code
		permanent  bool
		snooze     time.Duration
	}{
		{"too many requests", 429, "", body, makegood.RateLimited, false, 5 * time.Second},
		{"too many requests for a minute", 429, "60", body, makegood.RateLimited, false, time.Minute},
		{"too many requests for no time", 429, "0", body, makegood.RateLimited, false, time.Second},
		{"not available for a while", 503, "7", body, makegood.ProviderFailed, false, 7 * time.Second},
		{"not available", 503, "", body, makegood.ProviderFailed, false, 0},
		{"broken", 500, "", body, makegood.ProviderFailed, false, 0},
		{"broken in HTML", 502, "", "<html>ann@example.com</html>", makegood.ProviderFailed, false, 0},
		{"a time-out", 408, "", body, makegood.ProviderFailed, false, 0},
		{"busy", 409, "", body, makegood.Conflict, false, 5 * time.Second},
		{"rejected", 422, "", body, makegood.ProviderFailed, true, 0},
		{"malformed", 400, "", body, makegood.ProviderFailed, true, 0},
		{"forbidden", 403, "", body, makegood.Unavailable, false, 0},
		{"elsewhere", 302, "", "", makegood.ProviderFailed, false, 0},
		{"no JSON", 200, "", "<html>", makegood.ProviderFailed, false, 0},
		{"a list", 200, "", "[]", makegood.ProviderFailed, false, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/v1/oauth2/token" {
					fmt.Fprint(w, `{"access_token":"T","expires_in":28800}`)
					return
				}
				if tt.retryAfter != "" {
					w.Header().Set("Retry-After", tt.retryAfter)
				}
				w.WriteHeader(tt.status)
				_, _ = io.WriteString(w, tt.body)
			}))
			defer server.Close()
			_, err := stubbed(t, server.URL).CreateCheckout(t.Context(), request("az-900"))
			var snooze *makegood.Snooze
			isSnooze := errors.As(err, &snooze)
			if makegood.CodeOf(err) != tt.code || isPermanent(err) != tt.permanent || isSnooze != (tt.snooze != 0) || isSnooze && snooze.For != tt.snooze {
				t.Errorf("CreateCheckout = %v, want %s, permanent %v, again in %v", err, tt.code, tt.permanent, tt.snooze)
			}
			if strings.Contains(err.Error(), "ann@") || strings.Contains(err.Error(), "secret value") {
				t.Errorf("CreateCheckout = %v, which repeats what was in the answer", err)
			}
			if tt.body == body && tt.status != 200 && (!strings.Contains(err.Error(), "b1d1f06c7246c") || !strings.Contains(err.Error(), "SOME_ISSUE")) {
				t.Errorf("CreateCheckout = %v, want name, issue and debug id", err)
			}
		})
	}
}

func TestCreateCheckout(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		product           string
		unit, total, code string
		sku, currency     string
	}{
		{"az-900", "29.00", "58.00", "AZ-900 practice exam", "az-900", "USD"},
		{"dp-203", "49.00", "98.00", "DP-203 practice exam", "SKU-DP", "USD"},
		{"yen-1", "2900", "5800", "Yen", "yen-1", "JPY"},
		{"huf-1", "2900", "5800", "Forint", "huf-1", "HUF"},
	} {
		t.Run(tt.product, func(t *testing.T) {
			t.Parallel()
			var got map[string]any
			var header http.Header
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/v1/oauth2/token" {
					fmt.Fprint(w, `{"access_token":"T","expires_in":28800}`)
					return
				}
				header = r.Header
				_ = json.NewDecoder(r.Body).Decode(&got)
				fmt.Fprint(w, `{"id":"5O190127TN364715T","create_time":"2026-09-01T12:00:01Z","links":[{"rel":"self","href":"https://x/"},{"rel":"payer-action","href":"https://www.paypal.com/checkoutnow?token=5O190127TN364715T"}]}`)
			}))
			defer server.Close()
			s := stubbed(t, server.URL)
			c, err := s.CreateCheckout(t.Context(), request(tt.product))
			want := provider.Checkout{SessionID: "5O190127TN364715T", URL: "https://www.paypal.com/checkoutnow?token=5O190127TN364715T", ExpiresAt: now.Add(3*time.Hour + time.Second)}
			if err != nil || c != want {
				t.Fatalf("CreateCheckout = %+v, %v; want %+v", c, err, want)
			}
			money := func(v string) map[string]any { return map[string]any{"currency_code": tt.currency, "value": v} }
			amount := money(tt.total)
			amount["breakdown"] = map[string]any{"item_total": money(tt.total)}
			custom := paypal.CustomID(s, tt.product, 2, catalogue[tt.product].Price, false)
			if diff := cmp.Diff(map[string]any{"intent": "CAPTURE",
				"purchase_units": []any{map[string]any{"custom_id": custom, "amount": amount, "items": []any{map[string]any{"name": tt.code, "quantity": "2", "unit_amount": money(tt.unit), "sku": tt.sku}}}},
				"payment_source": map[string]any{"paypal": map[string]any{"email_address": "ann@example.com", "experience_context": map[string]any{
					"return_url": "https://example.com/thanks?a=1", "cancel_url": "https://example.com/", "user_action": "PAY_NOW", "shipping_preference": "NO_SHIPPING"}}}}, got); diff != "" {
				t.Errorf("the request differs (-want +got):\n%s", diff)
			}
			if id := header.Get("PayPal-Request-Id"); len(id) != 32 || strings.Contains(id, "checkout-1") || header.Get("Authorization") != "Bearer T" {
				t.Errorf("the headers are %v, want a request id of 32 digits and the token", header)
			}
		})
	}
}

func TestCustomIDFits(t *testing.T) {
	t.Parallel()
	s := stubbed(t, "http://127.0.0.1:1")
	longest := paypal.CustomID(s, strings.Repeat("a", 64), makegood.QuantityMax, makegood.Money{Minor: 1<<63 - 1, Currency: "usd"}, true)
	if len(longest) > paypal.CustomIDBytesMax {
		t.Errorf("the longest custom id has %d bytes, want at most %d", len(longest), paypal.CustomIDBytesMax)
	}
}

func TestCreateCheckoutRefusesBeforePayPalIsCalled(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for name, change := range map[string]func(*provider.CheckoutRequest){
		"no code":             func(r *provider.CheckoutRequest) { r.Product.Code = "" },
		"none":                func(r *provider.CheckoutRequest) { r.Quantity = 0 },
		"too many":            func(r *provider.CheckoutRequest) { r.Quantity = makegood.QuantityMax + 1 },
		"nothing to pay":      func(r *provider.CheckoutRequest) { r.Product.Price.Minor = 0 },
		"a negative price":    func(r *provider.CheckoutRequest) { r.Product.Price.Minor = -1 },
		"a price without end": func(r *provider.CheckoutRequest) { r.Product.Price.Minor = 1 << 62 },
		"a fraction of a forint": func(r *provider.CheckoutRequest) {
			r.Product.Price = makegood.Money{Minor: 10050, Currency: "huf"}
			r.Quantity = 1
		},
		"no currency":               func(r *provider.CheckoutRequest) { r.Product.Price.Currency = "" },
		"a very long key":           func(r *provider.CheckoutRequest) { r.IdempotencyKey = strings.Repeat("k", 256) },
		"a key with a break":        func(r *provider.CheckoutRequest) { r.IdempotencyKey = "a\r\nb" },
		"no way back":               func(r *provider.CheckoutRequest) { r.SuccessURL = "" },
		"a way back by script":      func(r *provider.CheckoutRequest) { r.SuccessURL = "javascript:alert(1)" },
		"the session id in a path":  func(r *provider.CheckoutRequest) { r.SuccessURL = "https://example.com/{CHECKOUT_SESSION_ID}" },
		"the session id in a #part": func(r *provider.CheckoutRequest) { r.SuccessURL = "https://example.com/#{CHECKOUT_SESSION_ID}" },
	} {
		r := request("az-900")
		change(&r)
		if got, err := w.source.CreateCheckout(t.Context(), r); makegood.CodeOf(err) != makegood.Invalid {
			t.Errorf("CreateCheckout with %s = %+v, %v; want invalid", name, got, err)
		}
	}
	if n := w.counted(""); n != 0 {
		t.Errorf("PayPal was called %d times, want never", n)
	}
}

func TestReturnURL(t *testing.T) {
	t.Parallel()
	for given, want := range map[string]string{
		"https://example.com/thanks?session_id={CHECKOUT_SESSION_ID}":         "https://example.com/thanks",
		"https://example.com/thanks?session_id=%7BCHECKOUT_SESSION_ID%7D":     "https://example.com/thanks",
		"https://example.com/thanks?a=1&session_id={CHECKOUT_SESSION_ID}&b=2": "https://example.com/thanks?a=1&b=2",
		"https://example.com/thanks?a=%20+x":                                  "https://example.com/thanks?a=%20+x",
		"https://example.com/thanks":                                          "https://example.com/thanks",
	} {
		w := newWorld(t)
		r := request("az-900")
		r.SuccessURL = given
		c, err := w.source.CreateCheckout(t.Context(), r)
		if err != nil {
			t.Fatalf("CreateCheckout returning to %s: %v", given, err)
		}
		if o, _ := w.Order(c.SessionID); o.ReturnURL != want {
			t.Errorf("the buyer of %s returns to %s, want %s", given, o.ReturnURL, want)
		}
	}
}

func TestAskKnowsNoSuchOrder(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, id := range []string{"", "cs_test_1", "5o190127tn364715t", "../../v1/oauth2/token", "5O190127T", strings.Repeat("A", 41), "5O190127TN364715T?x=y", "5O190127TN364715T\n", " 5O190127TN364715T", "5O190127TN36471ä5"} {
		if got, err := w.source.Ask(t.Context(), id); makegood.CodeOf(err) != makegood.NotFound {
			t.Errorf("Ask(%q) = %+v, %v; want not found", id, got, err)
		}
	}
	if n := w.counted(""); n != 0 {
		t.Errorf("PayPal was asked %d times about what cannot be an order, want never", n)
	}
	if got, err := w.source.Ask(t.Context(), "5O190127TN364715T"); makegood.CodeOf(err) != makegood.NotFound {
		t.Errorf("Ask of an unknown order = %+v, %v; want not found", got, err)
	}
}

// The list goes on by links, and only at our own address.
func TestUndelivered(t *testing.T) {
	t.Parallel()
	var evil int
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { evil++ }))
	defer other.Close()
	for _, tt := range []struct {
		name, next string
		want       []string
		fails      bool
	}{
		{"one page", "", []string{"A", "C"}, false},
		{"two pages", "BASE/v1/notifications/webhooks-events?page=2", []string{"A", "C", "D"}, false},
		{"two pages by a relative link", "/v1/notifications/webhooks-events?page=2", []string{"A", "C", "D"}, false},
		{"another host", other.URL + "/v1/notifications/webhooks-events?page=2", []string{"A", "C"}, true},
		{"another path", "BASE/v1/oauth2/token?page=2", []string{"A", "C"}, true},
		{"a path with dots", "BASE/v1/notifications/../notifications/webhooks-events?page=2", []string{"A", "C"}, true},
		{"no query", "BASE/v1/notifications/webhooks-events", []string{"A", "C"}, true},
		{"PayPal's own host from elsewhere", "https://api.paypal.com/v1/notifications/webhooks-events?page=2", []string{"A", "C"}, true},
		{"a script", "javascript:alert(1)", []string{"A", "C"}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var base string
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				switch {
				case r.URL.Path == "/v1/oauth2/token":
					fmt.Fprint(w, `{"access_token":"T","expires_in":28800}`)
				case r.URL.Query().Get("page") == "2":
					fmt.Fprint(w, `{"events":[{"id":"D"}]}`)
				default:
					if got := r.URL.Query().Get("start_time"); got != "2026-09-01T10:00:00Z" {
						t.Errorf("start_time = %q", got)
					}
					links := "[]"
					if tt.next != "" {
						links = `[{"rel":"next","href":"` + strings.ReplaceAll(tt.next, "BASE", base) + `"}]`
					}
					fmt.Fprintf(w, `{"events":[{"id":"A"},{"id":"B","transmissions":[{"status":"SUCCESS"},{"status":"SUCCESS"}]},{"id":"C","transmissions":[{"status":"SUCCESS"},{"status":"FAILURE"}]}],"links":%s}`, links)
				}
			}))
			defer server.Close()
			base = server.URL
			s := stubbed(t, base)
			var got []string
			var failure error
			for body, err := range s.Undelivered(t.Context(), time.Date(2026, 9, 1, 12, 0, 0, 0, time.FixedZone("", 7200))) {
				if err != nil {
					failure = err
					continue
				}
				got = append(got, s.Identify(body).ProviderID)
			}
			if !cmp.Equal(got, tt.want) || (failure != nil) != tt.fails {
				t.Errorf("Undelivered = %v, %v; want %v, fails: %v", got, failure, tt.want, tt.fails)
			}
			for range s.Undelivered(t.Context(), now.Add(-2*time.Hour)) {
				break // whoever has enough may stop
			}
		})
	}
	if evil != 0 {
		t.Errorf("another host was asked %d times, want never", evil)
	}
}

// The API does not answer: within a bounded time there is an error worth a retry.
func TestHangingAPI(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(o *paypal.Options) {
		o.HTTP = outbound.New(outbound.Options{AllowPrivate: true, Timeout: 50 * time.Millisecond})
	})
	w.SetFaults(simulate.PayPalFaults{FailAPI: func(*http.Request) int { return simulate.Hang }})
	if err := w.source.Check(t.Context()); makegood.CodeOf(err) != makegood.ProviderFailed || isPermanent(err) {
		t.Errorf("Check of an API that hangs = %v, want provider_failed", err)
	}
}
