package recipe_test

import (
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/provider"
	"github.com/makegood/makegood/internal/provider/recipe"
	"github.com/makegood/makegood/internal/secret"
)

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, provider string
		change         func(*recipe.Options)
		want           string
	}{
		{"no name", "paddle", func(o *recipe.Options) { o.Name = "" }, "needs a name"},
		{"an unknown provider", "paypal", func(*recipe.Options) {}, "not one of adyen, github"},
		{"no secret", "paddle", func(o *recipe.Options) { o.Secrets = nil }, "has no secret"},
		{"an empty secret among others", "paddle", func(o *recipe.Options) { o.Secrets = append(o.Secrets, provider.Secret{}) }, `secret 1 of source "shop" is empty`},
		{"a secret without whsec_", "standard-webhooks", func(o *recipe.Options) { o.Secrets = active(plainOld) }, "is not whsec_"},
		{"a short whsec_", "standard-webhooks", func(o *recipe.Options) { o.Secrets = active("whsec_plJ3nmyCDGBKInavdOK15jsl") }, "24 to 64 bytes"},
		{"a long whsec_", "standard-webhooks", func(o *recipe.Options) { o.Secrets = active("whsec_" + strings.Repeat("AAAA", 22)) }, "24 to 64 bytes"},
		{"a very short whsec_", "svix", func(o *recipe.Options) { o.Secrets = active("whsec_AAAA") }, "16 to 64 bytes"},
		{"whsec_ and no base64", "standard-webhooks", func(o *recipe.Options) { o.Secrets = active(whsecOld[:len(whsecOld)-1]) }, "is not whsec_"},
		{"a line break in base64", "standard-webhooks", func(o *recipe.Options) { o.Secrets = active(whsecOld + "\n") }, "is not whsec_"},
		{"left-over bits in base64", "standard-webhooks", func(o *recipe.Options) { o.Secrets = active(strings.Replace(whsecNew, "g=", "h=", 1)) }, "is not whsec_"},
		{"half a public key", "standard-webhooks", func(o *recipe.Options) { o.Secrets = active("whpk_AAAA") }, "Ed25519"},
		{"a key that is not hexadecimal", "adyen", func(o *recipe.Options) { o.Secrets = active(plainOld) }, "hexadecimal"},
		{"a short key", "adyen", func(o *recipe.Options) { o.Secrets = active(hexOld[:30]) }, "hexadecimal"},
		{"half a digit", "adyen", func(o *recipe.Options) { o.Secrets = active(hexOld[:63]) }, "hexadecimal"},
		{"a short token", "gumroad", func(o *recipe.Options) { o.Secrets = active("short") }, "at least 16"},
		{"a token with a blank", "gumroad", func(o *recipe.Options) { o.Secrets = active("a token with blanks in it") }, "without blanks"},
		{"no API key where it is all", "gumroad", func(o *recipe.Options) { o.APIKey = secret.Value{} }, "has no API key"},
		{"no public address", "square", func(o *recipe.Options) { o.PublicURL = "" }, "public address"},
		{"a path for an address", "square", func(o *recipe.Options) { o.PublicURL = "/hooks/shop" }, "public address"},
		{"an API base that is none", "paddle", func(o *recipe.Options) { o.APIBase = "api.paddle.com" }, "API base"},
		{"a live key in test mode", "mollie", func(o *recipe.Options) { o.APIKey = secret.New("live_12345678901234567890") }, "other mode"},
		{"a test key in live mode", "paddle", func(o *recipe.Options) { o.Live, o.APIKey = true, secret.New("pdl_sdbx_apikey_1") }, "other mode"},
		{"a description of what is known", "paddle", func(o *recipe.Options) { o.Generic = &recipe.Generic{} }, "known already"},
		{"a description that is wrong", "svix", func(o *recipe.Options) { o.Generic = &recipe.Generic{Reading: recipe.Mapping{Format: "xml"}} }, "reading.format"},
		{"no description", "generic", func(*recipe.Options) {}, "generic: is missing"},
		{"generic, with nothing in it", "generic", func(o *recipe.Options) { o.Generic = &recipe.Generic{} }, "header: is not the name of a header"},
		{"generic, without the prefix of its keys", "generic", func(o *recipe.Options) {
			o.Generic = &recipe.Generic{Header: "X-Sig", KeyPrefix: "sk_", Reading: mapping}
		}, "is not sk_"},
		{"generic, with a key that is no base64", "generic", func(o *recipe.Options) {
			o.Generic, o.Secrets = &recipe.Generic{Header: "X-Sig", Key: "base64", Reading: mapping}, active("%%%")
		}, "base64"},
		{"generic, signing an address that is not known", "generic", func(o *recipe.Options) {
			o.Generic, o.PublicURL = &recipe.Generic{Header: "X-Sig", Signed: "{url}{body}", Reading: mapping}, ""
		}, "public address"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			o := options(tt.provider, active("x")...)
			if tt.provider != "paypal" {
				o.Secrets = active(secretOf(tt.provider))
			}
			tt.change(&o)
			_, err := recipe.New(o)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("New = %v, want an error with %q", err, tt.want)
			}
			for _, s := range o.Secrets {
				if s.Value.Len() > 8 && strings.Contains(err.Error(), s.Value.Reveal()) {
					t.Errorf("the error %q repeats a secret", err)
				}
			}
		})
	}
}

func TestNewNamesEverything(t *testing.T) {
	t.Parallel()
	_, err := recipe.New(recipe.Options{Provider: "square", Secrets: []provider.Secret{{}, {}}, APIBase: "x"})
	for _, want := range []string{"needs a name", "public address", "API base", "secret 0", "secret 1"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("New = %v, want %q in it", err, want)
		}
	}
}

func TestProviders(t *testing.T) {
	t.Parallel()
	var names []string
	for _, info := range recipe.Providers() {
		names = append(names, info.Name)
		if info.Title == "" || info.Secret == "" {
			t.Errorf("%+v does not say what it needs", info)
		}
		if info.TokenInAddress != (len(info.Headers) == 0) && info.Name != "generic" {
			t.Errorf("%s: headers %q, token in the address: %v", info.Name, info.Headers, info.TokenInAddress)
		}
		if (info.NeedsAPIKey || info.UsesAPIKey != "") != (info.APIBase != "") {
			t.Errorf("%s: an API base %q and %v, %q", info.Name, info.APIBase, info.NeedsAPIKey, info.UsesAPIKey)
		}
	}
	want := []string{"adyen", "generic", "github", "gumroad", "lemonsqueezy", "mollie", "mollie-classic", "paddle", "polar", "razorpay",
		"shopify", "square", "standard-webhooks", "svix"}
	if diff := cmp.Diff(want, names); diff != "" || !slices.IsSorted(names) {
		t.Errorf("Providers (-want +got):\n%s", diff)
	}
}

func TestIdentify(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		provider, body         string
		id, kind, object, time string
	}{
		{"paddle", paddleTransaction, "evt_01hv8", "transaction.completed", "txn_01hv8wptq8987qeep44cyrewp9", "2026-04-12T10:18:49Z"},
		{"lemonsqueezy", lemonOrder, "", "order_created", "2451", "2026-08-17T09:45:53Z"},
		{"polar", polarOrder, "", "order.paid", "57107b74-8400-4d80-a2fc-54c2b4239cb3", "2026-05-01T09:00:00Z"},
		{"square", squarePayment, "6a8f5f28-54a1-4eb0-a98a-3111513fd4fc", "payment.updated", "hYy9pRFVxpDsO1FB05SunFWUe9JZY", "2026-02-06T21:27:34Z"},
		{"shopify", shopifyOrder, "", "order", "820982911946154508", "2026-12-31T17:00:00Z"},
		{"shopify", shopifyRefund, "", "refund", "509562969", "2026-12-31T17:00:00Z"},
		{"razorpay", razorpayPaid, "", "payment.captured", "pay_DESlfW9H8K9uqM", "2026-09-01T12:00:00Z"},
		{"adyen", adyenItems(adyenItem), "AUTHORISATION:true:NC6HT9CRT65ZGN82", "AUTHORISATION", "NC6HT9CRT65ZGN82", ""},
		{"adyen", adyenItems(adyenItem + "," + adyenRefund), "AUTHORISATION:true:NC6HT9CRT65ZGN82:REFUND:true:KHQC5N7G84BLNK43", "AUTHORISATION", "NC6HT9CRT65ZGN82", ""},
		{"mollie", mollieEvent, "event_GvJ8WHrp5isUdRub9CJyH", "payment.paid", "tr_7UhSN1zuXS", "2026-03-20T09:20:37Z"},
		{"mollie", molliePayment, "", "payment", "tr_7UhSN1zuXS", "2026-03-20T09:13:37Z"},
		{"github", githubCreated, "", "sponsorship", "MDExOlNwb25zb3JzaGlwMQ==", "2026-12-20T19:17:05Z"},
		{"mollie-classic", "id=tr_7UhSN1zuXS", "tr_7UhSN1zuXS@1788264000000000", "ping", "tr_7UhSN1zuXS", ""},
		{"gumroad", gumroadPing, "FO8TXN-dvaYbBbahG97a-Q==@1788264000000000", "sale", "FO8TXN-dvaYbBbahG97a-Q==", ""},
	} {
		s := source(t, options(tt.provider, active(secretOf(tt.provider))...))
		got, again, other := s.Identify([]byte(tt.body)), s.Identify([]byte(tt.body)), s.Identify([]byte(tt.body+" "))
		if got.ProviderID != tt.id && (tt.id != "" || !strings.HasPrefix(got.ProviderID, "sha256:")) {
			t.Errorf("%s: ProviderID = %q, want %q", tt.provider, got.ProviderID, tt.id)
		}
		if tt.id == "" && got.ProviderID == other.ProviderID || got.ProviderID != again.ProviderID {
			t.Errorf("%s: ids of the same body %q, %q and of another %q", tt.provider, got.ProviderID, again.ProviderID, other.ProviderID)
		}
		if got.Type != tt.kind || got.ObjectID != tt.object || got.Source != "shop" || got.Live || string(got.Payload) != tt.body || got.Account != "" {
			t.Errorf("%s: Identify = %+v, want type %q and object %q", tt.provider, got, tt.kind, tt.object)
		}
		if at := got.CreatedAt.Truncate(time.Second).Format(time.RFC3339); at != tt.time && !(tt.time == "" && got.CreatedAt.IsZero()) {
			t.Errorf("%s: CreatedAt = %s, want %q", tt.provider, at, tt.time)
		}
	}
}

// TestHintsAreNews: the same form comes when a payment is opened, paid and refunded, and each time it must be looked at.
func TestHintsAreNews(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"mollie-classic", "gumroad"} {
		o := options(name, active(plainOld)...)
		at := now
		o.Now = func() time.Time { at = at.Add(time.Microsecond); return at }
		s := source(t, o)
		body := []byte("id=tr_1&sale_id=x")
		if one, two := s.Identify(body), s.Identify(body); one.ProviderID == two.ProviderID {
			t.Errorf("%s: two pings are both known as %q; the second would be lost", name, one.ProviderID)
		}
	}
}

// TestModes: no provider's body of the other mode ever gives facts, and one that always tells and does not is test mode.
func TestModes(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		provider, body string
		live, isLive   bool
	}{
		{"lemonsqueezy", lemonOrder, true, false},
		{"lemonsqueezy", strings.ReplaceAll(lemonOrder, `"test_mode":true`, `"x":1`), true, false},
		{"lemonsqueezy", "nonsense", true, false},
		{"shopify", shopifyOrder, true, false},
		{"shopify", swap(shopifyOrder, `"test":true`, `"test":false`), false, true},
		{"shopify", shopifyRefund, true, true},
		{"adyen", adyenItems(adyenItem), true, false},
		{"adyen", swap(adyenItems(adyenItem), `"live":"false",`, ""), true, false},
		{"mollie", molliePayment, true, false},
		{"gumroad", gumroadPing + "&test=true", true, false},
		{"gumroad", gumroadPing, true, true},
		{"paddle", paddleTransaction, true, true}, // the secret tells
		{"paddle", paddleTransaction, false, false},
	} {
		o := options(tt.provider, active(secretOf(tt.provider))...)
		o.Live, o.APIBase = tt.live, "http://127.0.0.1:1"
		s := source(t, o)
		event := s.Identify([]byte(tt.body))
		if event.Live != tt.isLive {
			t.Errorf("%s in a source of live %v: Live = %v, want %v for %.60s", tt.provider, tt.live, event.Live, tt.isLive, tt.body)
		}
		if got, err := s.Interpret(t.Context(), event); tt.live != tt.isLive && (err != nil || len(got.Facts) > 0) {
			t.Errorf("%s: Interpret of the other mode = %+v, %v; want a note", tt.provider, got, err)
		}
	}
}

// TestInterpretDistrustsTheRow: the mode is compared in the row and in the bytes.
func TestInterpretDistrustsTheRow(t *testing.T) {
	t.Parallel()
	s := source(t, options("lemonsqueezy", active(plainOld)...))
	for name, spoil := range map[string]func(*makegood.Event){
		"another source": func(e *makegood.Event) { e.Source = "stripe" },
		"a live row":     func(e *makegood.Event) { e.Live = true },
		"live bytes": func(e *makegood.Event) {
			e.Payload = []byte(strings.ReplaceAll(lemonOrder, `"test_mode":true`, `"test_mode":false`))
		},
	} {
		event := s.Identify([]byte(lemonOrder))
		spoil(&event)
		if got, err := s.Interpret(t.Context(), event); err != nil || len(got.Facts) > 0 || got.Note == "" {
			t.Errorf("Interpret with %s = %+v, %v; want a note", name, got, err)
		}
	}
}

func TestErrorsOfTheAPI(t *testing.T) {
	t.Parallel()
	const secretive = `{"detail":"key_for_tests of ann@example.com"}`
	refusal := func(status int, retryAfter string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			if retryAfter != "" {
				w.Header().Set("Retry-After", retryAfter)
			}
			w.WriteHeader(status)
			_, _ = w.Write([]byte(secretive))
		}
	}
	for _, tt := range []struct {
		name    string
		answer  http.HandlerFunc
		want    makegood.Code
		verdict string
	}{
		{"the key is wrong", refusal(401, ""), makegood.Unavailable, "retry"},
		{"the key may not", refusal(403, ""), makegood.Unavailable, "retry"},
		{"unknown", refusal(404, ""), makegood.ProviderFailed, "retry"},
		{"too fast", refusal(429, ""), makegood.RateLimited, "2s"},
		{"too fast, with a time", refusal(429, "17"), makegood.RateLimited, "17s"},
		{"too fast, with no time at all", refusal(429, "0"), makegood.RateLimited, "1s"},
		{"our fault", refusal(400, ""), makegood.ProviderFailed, "permanent"},
		{"gone", refusal(410, ""), makegood.ProviderFailed, "permanent"},
		{"locked", refusal(409, ""), makegood.ProviderFailed, "retry"},
		{"their time ran out", refusal(408, ""), makegood.ProviderFailed, "retry"},
		{"their fault", refusal(503, ""), makegood.ProviderFailed, "retry"},
		{"a redirect", refusal(302, ""), makegood.ProviderFailed, "retry"},
		{"a list", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("[]")) }, makegood.ProviderFailed, "retry"},
		{"the line breaks", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, makegood.ProviderFailed, "retry"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for name, body := range map[string]string{"mollie-classic": "id=tr_7UhSN1zuXS", "mollie": mollieEvent, "gumroad": gumroadPing, "paddle": paddleTransaction, "square": squarePayment} {
				got, err := interpret(t.Context(), source(t, answering(t, name, tt.answer)), body)
				if makegood.CodeOf(err) != tt.want || verdictOf(err) != tt.verdict {
					t.Errorf("%s: Interpret = %+v, %v (%s); want %s (%s)", name, got, err, verdictOf(err), tt.want, tt.verdict)
				}
				if err != nil && strings.Contains(err.Error()+makegood.MessageOf(err), "ann@") || strings.Contains(makegood.MessageOf(err), "key_for_tests") {
					t.Errorf("%s: the error %v repeats what was answered", name, err)
				}
			}
		})
	}
}

func TestAsk(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	s := source(t, asking(t, told{provider: "mollie-classic", path: molliePath, api: molliePayment}, &asked)).(*recipe.Asking)
	got, err := s.Ask(t.Context(), "tr_7UhSN1zuXS")
	if err != nil || len(got.Facts) != 3 || got.Facts[0].EventID != "" || got.Facts[0].Key.SessionID != "tr_7UhSN1zuXS" {
		t.Errorf("Ask = %+v, %v; want the facts of the payment", got, err)
	}
	for _, id := range []string{"", "tr_", "ord_1", "tr_1/refunds", "tr_1?x=1", "../v2/profiles", "tr_1\n"} {
		before := asked.Load()
		if _, err := s.Ask(t.Context(), id); makegood.CodeOf(err) != makegood.NotFound || asked.Load() != before {
			t.Errorf("Ask(%q) = %v after %d calls, want not found after none", id, err, asked.Load()-before)
		}
	}
	if _, err := s.Ask(t.Context(), "tr_unknown"); makegood.CodeOf(err) != makegood.NotFound {
		t.Errorf("Ask of what Mollie does not know = %v, want not found", err)
	}
	live := source(t, asking(t, told{provider: "mollie-classic", path: molliePath, api: swap(molliePayment, `"mode":"test"`, `"mode":"live"`)}, &asked))
	if _, err := live.(provider.Asker).Ask(t.Context(), "tr_7UhSN1zuXS"); makegood.CodeOf(err) != makegood.NotFound {
		t.Errorf("Ask for a payment of the other mode = %v, want not found", err)
	}
	if _, ok := source(t, options("paddle", active(plainOld)...)).(provider.Asker); ok {
		t.Error("Paddle's sessions can be asked for, and nothing says how")
	}
}

// TestWithoutAPIKey: what a signed delivery tells is read without asking, and what it leaves out is no silent loss.
func TestWithoutAPIKey(t *testing.T) {
	t.Parallel()
	without := func(name string) provider.Source {
		o := options(name, active(secretOf(name))...)
		o.APIKey, o.APIBase = secret.Value{}, "http://127.0.0.1:1"
		return source(t, o)
	}
	got, err := interpret(t.Context(), without("mollie"), swap(mollieEvent, `"_links"`, `"_embedded":{"entity":`+molliePayment+`},"_links"`))
	if err != nil || len(got.Facts) != 3 || got.Facts[0].Kind != makegood.FactPaid {
		t.Errorf("Interpret of a full payload = %+v, %v; want the payment, its refund and its chargeback", got, err)
	}
	if got, err = interpret(t.Context(), without("mollie"), molliePayment); err != nil || len(got.Facts) != 3 {
		t.Errorf("Interpret of a payment as it is = %+v, %v; want three facts", got, err)
	}
	const gone = `{"resource":"refund","id":"re_1","paymentId":"tr_1","status":"failed","mode":"test","amount":{"value":"9.00","currency":"USD"}}`
	if got, err = interpret(t.Context(), without("mollie"), gone); err != nil || len(got.Facts) != 1 || got.Facts[0].Kind != makegood.FactRefundFailed {
		t.Errorf("Interpret of a refund as it is = %+v, %v; want a refund that failed", got, err)
	}
	if _, err = interpret(t.Context(), without("mollie"), mollieEvent); makegood.CodeOf(err) != makegood.Unavailable || verdictOf(err) != "retry" {
		t.Errorf("Interpret of a simple payload = %v, want unavailable", err)
	}
	got, err = interpret(t.Context(), without("paddle"), swap(paddleTransaction, `"custom_data":null`, `"custom_data":{"email":"bob@example.com"}`))
	if err != nil || len(got.Facts) != 1 || got.Facts[0].Customer.Email != "bob@example.com" || len(got.Facts[0].Lines) != 1 {
		t.Errorf("Interpret of a transaction = %+v, %v; want a payment with the address of the custom data", got, err)
	}
	got, err = interpret(t.Context(), without("square"), squarePayment)
	if err != nil || len(got.Facts) != 1 || len(got.Facts[0].Lines) != 1 || got.Facts[0].Lines[0].Agreed != (makegood.Money{}) {
		t.Errorf("Interpret of a payment = %+v, %v; want the product of its reference at the catalogue's price", got, err)
	}
}

// TestCumulativeRefunds: Lemon Squeezy tells how much came back in all, in whatever order its deliveries come.
func TestCumulativeRefunds(t *testing.T) {
	t.Parallel()
	s := source(t, options("lemonsqueezy", active(plainOld)...))
	told := func(amount string) []makegood.Fact {
		got, err := interpret(t.Context(), s, swap(lemonOrder, `"status":"paid"`, `"status":"partial_refund"`, `"refunded_amount":0`, `"refunded_amount":`+amount))
		if err != nil || len(got.Facts) != 2 {
			t.Fatalf("Interpret = %+v, %v", got, err)
		}
		return got.Facts
	}
	for _, order := range [][]string{{"500", "3000"}, {"3000", "500"}, {"500", "3000", "3000", "500"}} {
		o := makegood.Order{Key: told("1")[0].Key}
		for _, amount := range order {
			for _, f := range told(amount) {
				o.Learn(f)
			}
		}
		if len(o.Facts) != 2 || o.Facts[1].Amount.Minor != 3000 || o.Facts[0].Contradicted {
			t.Errorf("after %v the order knows %+v; want 30.00 refunded, and one payment without a doubt", order, o.Facts)
		}
	}
}

// TestLinesAreNeverLeftOut: a line that is not understood makes a person look.
func TestLinesAreNeverLeftOut(t *testing.T) {
	t.Parallel()
	s := source(t, options("shopify", active(plainOld)...))
	for _, tt := range []struct {
		name string
		item string
		want string
	}{
		{"an unknown product", `{"variant_id":7,"name":"Mug","quantity":1,"price":"5.00"}`, makegood.ReasonUnknownProduct},
		{"no quantity of ours", `{"variant_id":39072856,"quantity":1.5,"price":"49.00"}`, makegood.ReasonTooLarge},
		{"too many", `{"variant_id":39072856,"quantity":1001,"price":"49.00"}`, makegood.ReasonTooLarge},
		{"a negative price", `{"variant_id":39072856,"quantity":1,"price":"-49.00"}`, makegood.ReasonAmountMismatch},
		{"a price with too many digits", `{"variant_id":39072856,"quantity":1,"price":"49.001"}`, makegood.ReasonAmountMismatch},
		{"nothing at all", `7`, makegood.ReasonUnknownProduct},
		{"a hundred and one", strings.Repeat(`{"variant_id":39072856,"quantity":1,"price":"49.00"},`, 100) + "{}", makegood.ReasonTooLarge},
	} {
		got, err := interpret(t.Context(), s, swap(shopifyOrder, `"refunds":[]`, `"refunds":null`, `"price":"49.00"}`, `"price":"49.00"},`+tt.item))
		if err != nil || len(got.Facts) != 1 {
			t.Fatalf("%s: Interpret = %+v, %v", tt.name, got, err)
		}
		if o := settle(got.Facts[0]); o.Reason != tt.want || len(o.Licenses) > 0 {
			t.Errorf("%s: the order is %s because of %q with %d licences, want %q and none", tt.name, o.Fulfillment, o.Reason, len(o.Licenses), tt.want)
		}
	}
}

// TestWhatACustomerWroteCostsTheCataloguePrice: a cheap item with the name of a dear product in its custom data.
func TestWhatACustomerWroteCostsTheCataloguePrice(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{
		"lemonsqueezy": swap(lemonOrder, `"user":"7"`, `"product":"az-900"`, `"subtotal":2900`, `"subtotal":1`, `"price":2900`, `"price":1`),
		"paddle":       swap(paddleTransaction, `"custom_data":null`, `"custom_data":{"product":"az-900"}`, "price-az900", "pri_cheap", `"quantity":2`, `"quantity":1`, `"subtotal":"5800","tax":"551",`+"\n"+`	"discount"`, `"subtotal":"1","tax":"551",`+"\n"+`	"discount"`, `"unit_totals":{"subtotal":"2900"`, `"unit_totals":{"subtotal":"1"`),
		"razorpay":     swap(razorpayPaid, `"amount":2900`, `"amount":1`),
	} {
		o := options(name, active(secretOf(name))...)
		o.APIKey = secret.Value{}
		got, err := interpret(t.Context(), source(t, o), body)
		if err != nil || len(got.Facts) != 1 {
			t.Fatalf("%s: Interpret = %+v, %v", name, got, err)
		}
		if order := settle(got.Facts[0]); order.Reason != makegood.ReasonAmountMismatch || len(order.Licenses) > 0 {
			t.Errorf("%s: the order is %s because of %q with %d licences, want an amount mismatch and none; %+v", name, order.Fulfillment, order.Reason, len(order.Licenses), got.Facts[0].Lines)
		}
	}
}

func TestManyRefundsAreADeadLetter(t *testing.T) {
	t.Parallel()
	one := `{"id":%,"transactions":[{"kind":"refund","status":"success","amount":"0.01"}]},`
	var all strings.Builder
	for i := range 5000 {
		all.WriteString(strings.Replace(one, "%", strings.Repeat("1", 1+i%15)+"0", 1))
	}
	s := source(t, options("shopify", active(plainOld)...))
	_, err := interpret(t.Context(), s, swap(shopifyOrder, `"refunds":[]`, `"refunds":[`+strings.TrimSuffix(all.String(), ",")+`]`))
	if verdictOf(err) != "permanent" || makegood.CodeOf(err) != makegood.TooLarge {
		t.Errorf("Interpret of 5,000 refunds = %v, want a dead letter", err)
	}
}
