package api_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/api"
	"github.com/makegood/makegood/internal/provider"
)

// counter is a seller, an asker and a store in one, that answers what it is told to.
type counter struct {
	asked   []provider.CheckoutRequest
	sellErr error

	order     makegood.Order // what asking the provider settles
	askErr    error
	questions int

	kept     makegood.Order // what the store has of the session
	license  makegood.License
	keyAsked string
	storeErr error
	sources  []string // asked at
}

func (c *counter) CreateCheckout(_ context.Context, r provider.CheckoutRequest) (provider.Checkout, error) {
	c.asked = append(c.asked, r)
	return provider.Checkout{SessionID: "cs_test_1", URL: "https://pay.example/cs_test_1", ExpiresAt: noon}, c.sellErr
}

func (c *counter) ask(_ context.Context, actor, source, sessionID string) (makegood.Order, error) {
	c.questions++
	c.sources = append(c.sources, source)
	if actor != "customer:verify" || source != "stripe" && source != "paypal" {
		return makegood.Order{}, fmt.Errorf("asked by %q at %q", actor, source)
	}
	return c.order, c.askErr
}

func (c *counter) OrderBySession(context.Context, string, string) (makegood.Order, error) {
	if c.kept.ID == "" {
		return makegood.Order{}, makegood.NotFound
	}
	return c.kept, c.storeErr
}

func (c *counter) LicenseByKey(_ context.Context, key string) (makegood.License, string, bool, error) {
	c.keyAsked = key
	if c.storeErr != nil {
		return makegood.License{}, "", false, c.storeErr
	}
	if c.license.Key != key {
		return makegood.License{}, "", false, makegood.NotFound
	}
	return c.license, "ord1", false, nil
}

func shopOf(c *counter) *api.Shop {
	return &api.Shop{Source: "stripe", Sellers: map[string]provider.Seller{"stripe": c}, Store: c, Ask: c.ask, NewToken: func() string { return "token" }, Now: time.Now,
		SuccessURL: "https://shop.example/thanks?session_id={CHECKOUT_SESSION_ID}", CancelURL: "https://shop.example/",
		Catalogue: makegood.Catalogue{
			"az-900": {Code: "az-900", Name: "AZ-900 practice exam", Price: makegood.Money{Minor: 2900, Currency: "usd"}},
			"az-104": {Code: "az-104", Name: "AZ-104 practice exam"},
		}}
}

func TestCheckout(t *testing.T) {
	t.Parallel()
	c := &counter{}
	s := shopOf(c)
	w := ask(t, s.Checkout, "POST", "/api/checkout", `{"product":"az-900","quantity":3,"email":"ann@example.com"}`)
	var got struct {
		SessionID string    `json:"session_id"`
		URL       string    `json:"url"`
		ExpiresAt time.Time `json:"expires_at"`
	}
	decode(t, w, &got)
	if w.Code != http.StatusCreated || got.SessionID != "cs_test_1" || got.URL != "https://pay.example/cs_test_1" || !got.ExpiresAt.Equal(noon) {
		t.Errorf("checkout = %d %+v, want 201 and the session", w.Code, got)
	}
	if w.Header().Get("Cache-Control") != "no-store" || w.Header().Get("Referrer-Policy") != "no-referrer" {
		t.Errorf("headers = %v, want no-store and no-referrer", w.Header())
	}
	want := []provider.CheckoutRequest{{Product: s.Catalogue["az-900"], Quantity: 3, Email: "ann@example.com", SuccessURL: s.SuccessURL,
		CancelURL: s.CancelURL, IdempotencyKey: "checkout-token"}}
	if diff := cmp.Diff(want, c.asked); diff != "" {
		t.Errorf("asked of the provider (-want +got):\n%s", diff)
	}
	ask(t, s.Checkout, "POST", "/api/checkout", `{"product":"az-900"}`, func(r *http.Request) { r.Header.Set("Idempotency-Key", "theirs") })
	if last := c.asked[1]; last.Quantity != 1 || last.IdempotencyKey != "checkout-theirs" {
		t.Errorf("asked = %+v, want one piece under the caller's key", last)
	}
}

// A customer may choose where to pay, and comes back to a page that knows which source to ask.
func TestCheckoutSource(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, source, success string
		seller                string // "" when nobody sells
		want                  string // the success address
	}{
		{"the usual one", "", "https://shop.example/thanks?session_id={CHECKOUT_SESSION_ID}", "stripe", "https://shop.example/thanks?session_id={CHECKOUT_SESSION_ID}"},
		{"the usual one by name", "stripe", "https://shop.example/thanks?session_id={CHECKOUT_SESSION_ID}", "stripe", "https://shop.example/thanks?session_id={CHECKOUT_SESSION_ID}"},
		{"another one", "paypal", "https://shop.example/thanks?session_id={CHECKOUT_SESSION_ID}", "paypal", "https://shop.example/thanks?session_id={CHECKOUT_SESSION_ID}&source=paypal"},
		{"an address without a query", "paypal", "https://shop.example/thanks", "paypal", "https://shop.example/thanks?source=paypal"},
		{"an address with a fragment", "paypal", "https://shop.example/thanks?a=b#done", "paypal", "https://shop.example/thanks?a=b&source=paypal#done"},
		{"a fragment alone", "paypal", "https://shop.example/thanks#done?x", "paypal", "https://shop.example/thanks?source=paypal#done?x"},
		{"a name that must be written otherwise in an address", "a&b", "https://shop.example/thanks", "a&b", "https://shop.example/thanks?source=a%26b"},
		{"one that does not sell", "erp", "https://shop.example/thanks", "", ""},
		{"one in other letters", "PayPal", "https://shop.example/thanks", "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			sellers := map[string]*counter{"stripe": {}, "paypal": {}, "a&b": {}}
			s := shopOf(sellers["stripe"])
			s.SuccessURL = tt.success
			for name, seller := range sellers {
				s.Sellers[name] = seller
			}
			w := ask(t, s.Checkout, "POST", "/api/checkout", fmt.Sprintf(`{"product":"az-900","source":%q}`, tt.source))
			for name, seller := range sellers {
				if (name == tt.seller) != (len(seller.asked) == 1) || name == tt.seller && seller.asked[0].SuccessURL != tt.want {
					t.Errorf("%s was asked %+v, want it of %q only, back to %s", name, seller.asked, tt.seller, tt.want)
				}
			}
			if tt.seller == "" && (w.Code != 400 || failureOf(t, w).Code != "invalid") || tt.seller != "" && w.Code != 201 {
				t.Errorf("checkout at %q = %d %s", tt.source, w.Code, w.Body)
			}
		})
	}
}

// The address to which a customer came back says source and session, in the words of any provider.
func TestSessionOf(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ query, source, session string }{
		{"", "", ""},
		{"session_id=cs_1", "", "cs_1"},
		{"session_id=cs_1&source=stripe", "stripe", "cs_1"},
		{"token=5O190127TN364715T&PayerID=X&source=paypal", "paypal", "5O190127TN364715T"},
		{"token=5O1", "", "5O1"},
		{"session_id=cs_1&token=5O1", "", "cs_1"},
		{"session_id=&token=5O1", "", "5O1"},
	} {
		r := httptest.NewRequest("GET", "/thanks?"+tt.query, nil)
		if source, session := api.SessionOf(r); source != tt.source || session != tt.session {
			t.Errorf("SessionOf(%q) = %q, %q, want %q, %q", tt.query, source, session, tt.source, tt.session)
		}
	}
}

// Verify asks the source that the address names, and the usual one when it names none.
func TestVerifySource(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		query, want string
		status      int
	}{
		{"session_id=cs_test_1", "stripe", 200},
		{"session_id=cs_test_1&source=stripe", "stripe", 200},
		{"session_id=cs_test_1&source=paypal", "paypal", 200},
		{"token=cs_test_1&source=paypal", "paypal", 200},
		{"source=paypal", "", 400},
	} {
		c := &counter{order: paidOrder()}
		w := ask(t, shopOf(c).Verify, "GET", "/api/verify?"+tt.query, "")
		if w.Code != tt.status || strings.Join(c.sources, " ") != tt.want {
			t.Errorf("verify?%s = %d %s, asked at %v, want %d at %q", tt.query, w.Code, w.Body, c.sources, tt.status, tt.want)
		}
	}
	c := &counter{askErr: makegood.Errorf(makegood.NotFound, "This source cannot be asked.")}
	if w := ask(t, shopOf(c).Verify, "GET", "/api/verify?session_id=cs_test_1&source=paypal", ""); w.Code != 404 || failureOf(t, w).Message != "There is no such session." {
		t.Errorf("verify at a source that is not there = %d %s, want 404 and nothing about sources", w.Code, w.Body)
	}
}

func TestCheckoutRefused(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, body string
		status     int
		code, says string
	}{
		{"unknown product", `{"product":"az-9000"}`, 422, "unknown_product", `no product "az-9000". Known codes: az-104, az-900.`},
		{"malformed product", `{"product":"AZ 900<script>"}`, 422, "unknown_product", "not a product code"},
		{"no product", `{}`, 422, "unknown_product", "Known codes: az-104, az-900."},
		{"far too long", `{"product":"` + strings.Repeat("a", 65) + `"}`, 422, "unknown_product", "1 to 64"},
		{"negative quantity", `{"product":"az-900","quantity":-1}`, 400, "invalid", "1 to 1000"},
		{"absurd quantity", `{"product":"az-900","quantity":1001}`, 400, "invalid", "1 to 1000"},
		{"half a piece", `{"product":"az-900","quantity":0.5}`, 400, "invalid", ""},
		{"no address", `{"product":"az-900","email":"ann"}`, 400, "invalid", "e-mail"},
		{"an address with a name", `{"product":"az-900","email":"Ann <ann@example.com>"}`, 400, "invalid", "e-mail"},
		{"a misspelt field", `{"product":"az-900","quantitty":2}`, 400, "invalid", ""},
		{"nothing", ``, 400, "invalid", ""},
		{"too much", `{"product":"` + strings.Repeat("a", makegood.RequestBytesMax) + `"}`, 413, "too_large", "65536"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := &counter{}
			w := ask(t, shopOf(c).Checkout, "POST", "/api/checkout", tt.body)
			if f := failureOf(t, w); w.Code != tt.status || f.Code != tt.code || !strings.Contains(f.Message, tt.says) {
				t.Errorf("= %d %+v, want %d %s with %q", w.Code, f, tt.status, tt.code, tt.says)
			}
			if len(c.asked) != 0 || strings.Contains(w.Body.String(), "<script>") {
				t.Errorf("the provider was called %d times, answer %s; want no call and nothing repeated", len(c.asked), w.Body)
			}
		})
	}
	c := &counter{}
	w := ask(t, shopOf(c).Checkout, "POST", "/", `{"product":"az-900"}`, func(r *http.Request) { r.Header.Set("Idempotency-Key", strings.Repeat("k", 201)) })
	if w.Code != 400 || len(c.asked) != 0 {
		t.Errorf("with a key of 201 characters = %d, want 400 before the provider is called", w.Code)
	}
}

// The list of known codes is a hint, not the catalogue.
func TestCheckoutHintIsShort(t *testing.T) {
	t.Parallel()
	s := shopOf(&counter{})
	s.Catalogue = makegood.Catalogue{}
	for i := range 30 {
		code := fmt.Sprintf("exam-%02d", i)
		s.Catalogue[code] = makegood.Product{Code: code}
	}
	f := failureOf(t, ask(t, s.Checkout, "POST", "/", `{"product":"x"}`))
	if !strings.Contains(f.Message, "exam-19, ….") || strings.Contains(f.Message, "exam-20") {
		t.Errorf("hint = %q, want the first twenty", f.Message)
	}
}

// What is wrong between the provider and us is told to the operator; the customer hears whether to try again.
func TestCheckoutTrouble(t *testing.T) {
	t.Parallel()
	limited := makegood.Errorf(makegood.RateLimited, "Stripe asks us to slow down (request req_1).")
	for _, tt := range []struct {
		name   string
		err    error
		status int
		code   string
	}{
		{"down", makegood.Errorf(makegood.ProviderFailed, "Stripe answered with an error (status 500)."), 502, "provider_failed"},
		{"not reached", errors.New("dial tcp 10.0.0.7: refused"), 502, "provider_failed"},
		{"rejected", &makegood.Permanent{Err: makegood.Errorf(makegood.ProviderFailed, "Stripe rejects our request (code x).")}, 502, "provider_failed"},
		{"wrong key", makegood.Errorf(makegood.Unavailable, "Stripe refuses the API key of source stripe."), 503, "unavailable"},
		{"limits us", &makegood.Snooze{For: time.Second, Err: limited}, 503, "unavailable"},
		{"busy", &makegood.Snooze{For: time.Second, Err: makegood.Errorf(makegood.Conflict, "Stripe is busy.")}, 503, "unavailable"},
		{"nothing there", makegood.Errorf(makegood.NotFound, "Stripe does not know it."), 502, "provider_failed"},
		{"refused before the call", makegood.Errorf(makegood.Invalid, "The idempotency key must be printable."), 400, "invalid"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := ask(t, shopOf(&counter{sellErr: tt.err}).Checkout, "POST", "/", `{"product":"az-900"}`)
			f := failureOf(t, w)
			if w.Code != tt.status || f.Code != tt.code || strings.Contains(f.Message, "Stripe") || strings.Contains(f.Message, "10.0.0.7") {
				t.Errorf("= %d %+v, want %d %s in our words", w.Code, f, tt.status, tt.code)
			}
		})
	}
}

func paidOrder() makegood.Order {
	return makegood.Order{ID: "ord1", Key: makegood.OrderKey{Source: "stripe", SessionID: "cs_test_1"}, Payment: makegood.PaymentPaid,
		Fulfillment: makegood.InProgress, Customer: makegood.Customer{Email: "ann@example.com", Name: "Ann"},
		Licenses: []makegood.License{
			{ID: "lic1", Key: "GD-AAAA-AAAA-AAA2", Product: "az-900", Status: makegood.LicenseActive},
			{ID: "lic2", Key: "GD-BBBB-BBBB-BBB2", Product: "az-305", Status: makegood.LicenseActive},
		},
		Steps: []makegood.Step{{Name: makegood.EffectEmail, State: makegood.StepOwed}}}
}

func TestVerify(t *testing.T) {
	t.Parallel()
	pending, failed, stuck := paidOrder(), paidOrder(), paidOrder()
	pending.Payment, pending.Licenses = makegood.PaymentPending, nil
	failed.Payment, failed.Licenses = makegood.PaymentFailed, nil
	stuck.Fulfillment, stuck.Licenses = makegood.Stuck, nil
	down := makegood.Errorf(makegood.ProviderFailed, "Stripe answered with an error (request req_1).")
	for _, tt := range []struct {
		name    string
		session string
		counter counter
		status  int
		code    string
		keys    int
	}{
		{"paid", "cs_test_1", counter{order: paidOrder()}, 200, "", 2},
		{"no parameter", "", counter{order: paidOrder()}, 400, "invalid", 0},
		{"unknown session", "cs_test_x", counter{askErr: makegood.Errorf(makegood.NotFound, "Stripe does not know it.")}, 404, "not_found", 0},
		{"open session", "cs_test_1", counter{}, 402, "not_paid", 0},
		{"money on its way", "cs_test_1", counter{order: pending}, 402, "not_paid", 0},
		{"payment failed", "cs_test_1", counter{order: failed}, 200, "", 0},
		{"paid, and stuck", "cs_test_1", counter{order: stuck}, 200, "", 0},
		{"provider down, nothing known", "cs_test_1", counter{askErr: down}, 502, "provider_failed", 0},
		{"provider down, nothing issued", "cs_test_1", counter{askErr: down, kept: pending}, 502, "provider_failed", 0},
		{"provider down, issued before", "cs_test_1", counter{askErr: down, kept: paidOrder()}, 200, "", 2},
		{"provider limits us, issued before", "cs_test_1", counter{askErr: &makegood.Snooze{For: 1, Err: down}, kept: paidOrder()}, 200, "", 2},
		{"provider and store down", "cs_test_1", counter{askErr: makegood.Errorf(makegood.Unavailable, "x"), kept: paidOrder(), storeErr: errors.New("y")}, 503, "unavailable", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := tt.counter
			w := ask(t, shopOf(&c).Verify, "GET", "/api/verify?session_id="+tt.session, "")
			var got struct {
				api.Purchase
				Error failure
			}
			decode(t, w, &got)
			if w.Code != tt.status || got.Error.Code != tt.code || len(got.Licenses) != tt.keys || strings.Contains(got.Error.Message, "Stripe") {
				t.Errorf("= %d %+v, want %d %s with %d keys", w.Code, got, tt.status, tt.code, tt.keys)
			}
			if w.Header().Get("Cache-Control") != "no-store" || w.Header().Get("Referrer-Policy") != "no-referrer" {
				t.Errorf("headers = %v, want no-store and no-referrer", w.Header())
			}
			if strings.Contains(w.Body.String(), "ann@example.com") || strings.Contains(w.Body.String(), "Ann") {
				t.Errorf("answer %s tells who bought; a session's id is no proof of being that person", w.Body)
			}
		})
	}
}

func TestVerifyPurchase(t *testing.T) {
	t.Parallel()
	got, err := shopOf(&counter{order: paidOrder()}).Purchase(t.Context(), "", "cs_test_1")
	want := api.Purchase{SessionID: "cs_test_1", OrderID: "ord1", Payment: makegood.PaymentPaid, Fulfillment: makegood.InProgress, ByMail: true,
		Licenses: []api.PurchasedLicense{
			{Product: "az-900", Name: "AZ-900 practice exam", Key: "GD-AAAA-AAAA-AAA2", Status: makegood.LicenseActive},
			{Product: "az-305", Key: "GD-BBBB-BBBB-BBB2", Status: makegood.LicenseActive},
		}}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v, purchase (-want +got):\n%s", err, diff)
	}
	unaddressed := paidOrder()
	unaddressed.Steps = nil
	if got, err := shopOf(&counter{order: unaddressed}).Purchase(t.Context(), "", "cs_test_1"); err != nil || got.ByMail {
		t.Errorf("purchase without an address = %+v, %v, want it not by mail", got, err)
	}
}

// A session that is known and one that is not take the same way: one question to the provider.
func TestVerifyAsksOnce(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]*counter{
		"known":   {order: paidOrder(), kept: paidOrder()},
		"unknown": {askErr: makegood.NotFound},
		"open":    {},
	} {
		if _, _ = shopOf(c).Purchase(t.Context(), "", "cs_test_1"); c.questions != 1 {
			t.Errorf("%s session: the provider was asked %d times, want once", name, c.questions)
		}
	}
}

func TestValidate(t *testing.T) {
	t.Parallel()
	const key = "GD-ABCD-EFGH-JKLM"
	for _, tt := range []struct {
		name, key, product string
		status             makegood.LicenseStatus
		want               string
		wantProduct        string
	}{
		{"as issued", key, "", makegood.LicenseActive, "VALID", "az-900"},
		{"for its product", key, "az-900", makegood.LicenseActive, "VALID", "az-900"},
		{"small letters, no dashes", "gdabcdefghjklm", "", makegood.LicenseActive, "VALID", "az-900"},
		{"blanks and long dashes", "  gd – abcd — EFGH\tjklm ", "", makegood.LicenseActive, "VALID", "az-900"},
		{"suspended", key, "", makegood.LicenseSuspended, "SUSPENDED", "az-900"},
		{"revoked", key, "", makegood.LicenseRevoked, "REVOKED", "az-900"},
		{"for another product", key, "az-104", makegood.LicenseActive, "WRONG_PRODUCT", ""},
		{"revoked, for another product", key, "az-104", makegood.LicenseRevoked, "WRONG_PRODUCT", ""},
		{"unknown", "GD-ABCD-EFGH-JKLN", "", makegood.LicenseActive, "NOT_FOUND", ""},
		{"too short", "GD-ABCD", "", makegood.LicenseActive, "MALFORMED", ""},
		{"symbols that no key has", "GD-ABCD-EFGH-JKL0", "", makegood.LicenseActive, "MALFORMED", ""},
		{"empty", "", "", makegood.LicenseActive, "MALFORMED", ""},
		{"hostile", "'; DROP TABLE licenses; --", "", makegood.LicenseActive, "MALFORMED", ""},
		{"an id of ours", "lic00000000000000000001", "", makegood.LicenseActive, "MALFORMED", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := &counter{license: makegood.License{ID: "lic1", Key: key, Product: "az-900", Status: tt.status}}
			w := ask(t, shopOf(c).Validate, "POST", "/api/licenses/validate", fmt.Sprintf(`{"key":%q,"product":%q}`, tt.key, tt.product))
			var got struct {
				Valid                  bool
				Code, Message, Product string
			}
			decode(t, w, &got)
			if w.Code != 200 || got.Code != tt.want || got.Valid != (tt.want == "VALID") || got.Product != tt.wantProduct || got.Message == "" {
				t.Errorf("validate %q = %d %+v, want 200 %s", tt.key, w.Code, got, tt.want)
			}
			if got := w.Header().Get("Cache-Control"); got != "no-store" {
				t.Errorf("Cache-Control = %q, want no-store", got)
			}
		})
	}
}

// A licence that is paid for by the month is worth something to the last moment, and what is worse counts first.
func TestValidateExpired(t *testing.T) {
	t.Parallel()
	const key = "GD-ABCD-EFGH-JKLM"
	for _, tt := range []struct {
		name    string
		until   time.Time
		status  makegood.LicenseStatus
		product string
		want    string
	}{
		{"never ends", time.Time{}, makegood.LicenseActive, "", "VALID"},
		{"paid for", noon.Add(time.Microsecond), makegood.LicenseActive, "", "VALID"},
		{"its last moment", noon, makegood.LicenseActive, "", "VALID"},
		{"a moment later", noon.Add(-time.Microsecond), makegood.LicenseActive, "", "EXPIRED"},
		{"long over", noon.AddDate(-1, 0, 0), makegood.LicenseActive, "az-900", "EXPIRED"},
		{"over, and for another product", noon.AddDate(-1, 0, 0), makegood.LicenseActive, "az-104", "WRONG_PRODUCT"},
		{"over, and suspended", noon.AddDate(-1, 0, 0), makegood.LicenseSuspended, "", "SUSPENDED"},
		{"over, and revoked", noon.AddDate(-1, 0, 0), makegood.LicenseRevoked, "", "REVOKED"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := &counter{license: makegood.License{ID: "lic1", Key: key, Product: "az-900", Status: tt.status, ExpiresAt: tt.until}}
			s := shopOf(c)
			s.Now = func() time.Time { return noon }
			w := ask(t, s.Validate, "POST", "/api/licenses/validate", fmt.Sprintf(`{"key":%q,"product":%q}`, key, tt.product))
			var got struct {
				Valid         bool
				Code, Message string
			}
			decode(t, w, &got)
			if w.Code != 200 || got.Code != tt.want || got.Valid != (tt.want == "VALID") || got.Message == "" {
				t.Errorf("validate at %v of what ends at %v = %d %+v, want 200 %s", noon, tt.until, w.Code, got, tt.want)
			}
		})
	}
}

func TestValidateTrouble(t *testing.T) {
	t.Parallel()
	c := &counter{storeErr: makegood.Errorf(makegood.Unavailable, "The store cannot be reached just now.")}
	if w := ask(t, shopOf(c).Validate, "POST", "/", `{"key":"GD-ABCD-EFGH-JKLM"}`); w.Code != 503 {
		t.Errorf("validate with a broken store = %d, want 503 and no verdict", w.Code)
	}
	if w := ask(t, shopOf(c).Validate, "POST", "/", `{"license":"GD-ABCD-EFGH-JKLM"}`); w.Code != 400 {
		t.Errorf("validate with a misspelt field = %d, want 400", w.Code)
	}
}
