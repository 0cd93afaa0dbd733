package recipe_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/provider"
	"github.com/makegood/makegood/internal/provider/recipe"
)

// shop is a row as a user would write it, for a shop of their own.
func shop() *recipe.Generic {
	return &recipe.Generic{
		Header: "X-Shop-Signature", Encoding: "base64", Signed: "{timestamp}.{body}", TimestampHeader: "X-Shop-Time",
		Reading: recipe.Mapping{
			EventID: "id", EventType: "event", CreatedAt: "at", Object: "sale.number", Live: "environment", LiveValue: "production",
			Facts: []recipe.FactMapping{
				{
					Types: []string{"sale.*"}, Root: "sale", Status: "state",
					Is:      map[string]string{"settled": "paid", "waiting": "awaiting_payment", "bounced": "payment_failed"},
					Session: "number", Payment: "transaction", References: []string{"invoice"}, Amount: "total", Decimal: true, Currency: "/currency",
					Email: "buyer.mail", Name: "buyer.name",
					Lines: recipe.LineMapping{List: "items", Price: "sku", Label: "title", Quantity: "count", Unit: "each"},
				},
				{
					Root: "sale", Each: "returns", Status: "done", Is: map[string]string{"true": "refunded", "false": "refund_failed"},
					Session: "/sale.number", ID: "id", Amount: "total", Decimal: true, FixedCurrency: "usd",
				},
			},
		},
	}
}

const shopSale = `{"id":"e-1","event":"sale.changed","at":"2026-06-01T10:00:00Z","environment":"sandbox","currency":"USD","sale":{"number":1027,"state":"settled","transaction":"t-9","invoice":"i-3",
	"total":"60.50","buyer":{"mail":"ann@example.com","name":"Ann Smith"},"items":[{"sku":"price-az900","title":"AZ-900 exam","count":2,"each":"29"}],
	"returns":[{"id":"r-1","done":true,"total":"9"},{"id":"r-2","done":false,"total":"1.5"},{"id":"r-3","total":"2"}]}}`

func TestGeneric(t *testing.T) {
	t.Parallel()
	if found := shop().Validate(); len(found) > 0 {
		t.Fatalf("Validate = %q, want nothing", found)
	}
	o := options("generic", active(plainOld)...)
	o.Generic = shop()
	s := source(t, o)
	event := s.Identify([]byte(shopSale))
	if event.ProviderID != "e-1" || event.Type != "sale.changed" || event.ObjectID != "1027" || event.Live || event.CreatedAt.Month() != 6 {
		t.Errorf("Identify = %+v", event)
	}
	sale := with(paid("1027", "1027", "t-9", usd(6050), makegood.Line{Product: "az-900", Label: "AZ-900 exam", Quantity: 2, Subtotal: usd(5800), Agreed: usd(2900)}), "i-3")
	returned := refund("1027", "r-1", "", usd(900))
	cameBack := change(refund("1027", "r-2", "", usd(150)), makegood.FactRefundFailed)
	for _, tt := range []struct {
		name, body string
		want       []makegood.Fact
		note       string
	}{
		{"paid, with returns", shopSale, []makegood.Fact{sale, returned, cameBack}, ""},
		{"another type", swap(shopSale, "sale.changed", "stock.changed"), []makegood.Fact{returned, cameBack}, ""},
		{"another status", swap(shopSale, "settled", "thinking", `"returns"`, `"x"`), nil, "thinking changes nothing"},
		{"the other mode", swap(shopSale, "sandbox", "production"), nil, "live mode"},
		{"nothing of it", `{"hello":"world"}`, nil, "kept and shown"},
		{"another format", "sale.number=1027", nil, "cannot be read"},
	} {
		got, err := interpret(t.Context(), s, tt.body)
		checkReading(t, got, err)
		for i := range tt.want {
			tt.want[i].Key.Source = "shop"
		}
		if diff := cmp.Diff(tt.want, got.Facts, cmpopts.EquateEmpty(), cmpopts.IgnoreFields(makegood.Fact{}, "EventID", "OccurredAt")); err != nil || diff != "" || !strings.Contains(got.Note, tt.note) {
			t.Errorf("%s: Interpret = %v, note %q (-want +got):\n%s", tt.name, err, got.Note, diff)
		}
	}
}

// TestSeveralOrdersWithoutASession: refunds that name payments only, of two payments in one delivery.
func TestSeveralOrdersWithoutASession(t *testing.T) {
	t.Parallel()
	o := options("generic", active(plainOld)...)
	o.Generic = &recipe.Generic{Header: "X-Sig", Reading: recipe.Mapping{Facts: []recipe.FactMapping{{
		Each: "refunds", Status: "done", Is: map[string]string{"true": "refunded"}, Payment: "payment", ID: "id", Amount: "cents", FixedCurrency: "usd",
	}}}}
	s := source(t, o)
	for second, want := range map[string]string{"p1": "", "p2": "permanent"} {
		got, err := interpret(t.Context(), s, `{"refunds":[{"id":"r1","payment":"p1","done":true,"cents":1},{"id":"r2","payment":"`+second+`","done":true,"cents":2}]}`)
		if verdictOf(err) != want || want == "" && len(got.Facts) != 2 {
			t.Errorf("Interpret of refunds of p1 and %s = %+v, %v; want %q", second, got, err, want)
		}
	}
}

// TestGenericReadsForms: the same paths find the fields of a form.
func TestGenericReadsForms(t *testing.T) {
	t.Parallel()
	o := options("generic", active(plainOld)...)
	o.Generic = &recipe.Generic{Header: "X-Sig", Reading: recipe.Mapping{Format: "form", EventID: "id", Facts: []recipe.FactMapping{{
		Status: "status", Is: map[string]string{"ok": "paid"}, Session: "order", Amount: "cents", FixedCurrency: "usd", Email: "email",
		Lines: recipe.LineMapping{OrderCode: "product", OrderQuantity: "n"},
	}}}}
	got, err := interpret(t.Context(), source(t, o), "id=e-1&status=ok&status=no&order=77&cents=5800&email=ann%40example.com&product=az-900&n=2&n=1&%zz")
	want := makegood.Fact{Key: makegood.OrderKey{Source: "shop", SessionID: "77"}, Kind: makegood.FactPaid, ObjectID: "77", Amount: usd(5800), EventID: "evt1",
		Customer: makegood.Customer{Email: "ann@example.com"}, Lines: []makegood.Line{{Product: "az-900", Label: "AZ-900", Quantity: 2, Subtotal: usd(5800)}}}
	if diff := cmp.Diff([]makegood.Fact{want}, got.Facts); err != nil || diff != "" {
		t.Errorf("Interpret = %v (-want +got):\n%s", err, diff)
	}
}

// TestMappingForStandardWebhooks: these rows say how to sign, and the user says how to read.
func TestMappingForStandardWebhooks(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"standard-webhooks", "svix"} {
		o := options(name, active(whsecOld)...)
		o.Generic = &recipe.Generic{Reading: shop().Reading}
		got, err := interpret(t.Context(), source(t, o), shopSale)
		if err != nil || len(got.Facts) != 3 {
			t.Errorf("%s: Interpret = %+v, %v; want three facts", name, got, err)
		}
	}
}

func TestValidate(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		change func(*recipe.Generic)
		want   string
	}{
		{"no header", func(g *recipe.Generic) { g.Header = "" }, "header: "},
		{"a header with a blank", func(g *recipe.Generic) { g.Header = "X Sig" }, "header: "},
		{"an encoding", func(g *recipe.Generic) { g.Encoding = "base32" }, `encoding: is "base32"`},
		{"a key", func(g *recipe.Generic) { g.Key = "pem" }, `key: is "pem"`},
		{"an algorithm", func(g *recipe.Generic) { g.Algorithm = "md5" }, `algorithm: is "md5"`},
		{"a unit", func(g *recipe.Generic) { g.TimestampUnit = "us" }, `timestamp_unit: is "us"`},
		{"a header for the time", func(g *recipe.Generic) { g.TimestampHeader = "a:b" }, "timestamp_header: "},
		{"a header for the id", func(g *recipe.Generic) { g.IDHeader = "ä" }, "id_header: "},
		{"a key of the time alone", func(g *recipe.Generic) { g.TimestampKey, g.TimestampHeader = "t", "" }, "timestamp_key: needs"},
		{"two places of the time", func(g *recipe.Generic) { g.TimestampKey, g.SignatureKey = "t", "v1" }, "timestamp_header: and"},
		{"a prefix in pairs", func(g *recipe.Generic) { g.Prefix, g.SignatureKey = "x", "v1" }, "prefix: and"},
		{"one key for both", func(g *recipe.Generic) { g.TimestampHeader, g.TimestampKey, g.SignatureKey = "", "t", "t" }, "timestamp_key: is the"},
		{"the body is not signed", func(g *recipe.Generic) { g.Signed = "{timestamp}" }, "signed: must have {body} once"},
		{"the body twice", func(g *recipe.Generic) { g.Signed = "{timestamp}{body}{body}" }, "signed: must have {body} once"},
		{"a place that is none", func(g *recipe.Generic) { g.Signed = "{timestamp}.{body}.{nonce}" }, "signed: has the place {nonce}"},
		{"half a place", func(g *recipe.Generic) { g.Signed = "{timestamp}.{body}{" }, "signed: has the place {"},
		{"a time that is sent and not signed", func(g *recipe.Generic) { g.Signed = "{body}" }, "signed: lacks {timestamp}"},
		{"a time that is signed and not sent", func(g *recipe.Generic) { g.TimestampHeader = "" }, "signed: has {timestamp}, and no"},
		{"an id that is sent and not signed", func(g *recipe.Generic) { g.IDHeader = "X-Id" }, "signed: lacks {id}"},
		{"an id that is signed and not sent", func(g *recipe.Generic) { g.Signed = "{id}.{timestamp}.{body}" }, "signed: has {id}, and no"},
		{"an id without an end", func(g *recipe.Generic) { g.Signed, g.IDHeader = "{timestamp}{id}{body}", "X-Id" }, "signed: has nothing that ends the {id}"},
		{"no facts", func(g *recipe.Generic) { g.Reading.Facts = nil }, "reading.facts: is empty"},
		{"a format", func(g *recipe.Generic) { g.Reading.Format = "xml" }, "reading.format: "},
		{"a live value without its place", func(g *recipe.Generic) { g.Reading.Live = "" }, "reading.live_value: "},
		{"no status", func(g *recipe.Generic) { g.Reading.Facts[0].Status = "" }, "reading.facts[0].status: "},
		{"no meaning", func(g *recipe.Generic) { g.Reading.Facts[0].Is = nil }, "reading.facts[0].is: is empty"},
		{"a meaning that is none", func(g *recipe.Generic) { g.Reading.Facts[0].Is["x"] = "renewed" }, `reading.facts[0].is: says that "x" is "renewed"`},
		{"a payment without a session", func(g *recipe.Generic) { g.Reading.Facts[0].Session = "" }, "reading.facts[0].session: "},
		{"a refund of no order", func(g *recipe.Generic) { g.Reading.Facts[1].Session = "" }, "reading.facts[1].session: "},
		{"a refund without an id", func(g *recipe.Generic) { g.Reading.Facts[1].ID = "" }, "reading.facts[1].id: "},
		{"no amount", func(g *recipe.Generic) { g.Reading.Facts[0].Amount = "" }, "reading.facts[0].amount: "},
		{"no currency", func(g *recipe.Generic) { g.Reading.Facts[0].Currency = "" }, "reading.facts[0].currency: "},
		{"a currency that is none", func(g *recipe.Generic) { g.Reading.Facts[1].FixedCurrency = "dollars" }, "reading.facts[1].fixed_currency: "},
		{"a payment for nothing", func(g *recipe.Generic) { g.Reading.Facts[0].Lines = recipe.LineMapping{} }, "reading.facts[0].lines: "},
	} {
		g := shop()
		tt.change(g)
		found := g.Validate()
		if len(found) == 0 || !strings.Contains(strings.Join(found, "\n"), tt.want) {
			t.Errorf("%s: Validate = %q, want %q", tt.name, found, tt.want)
		}
		o := options("generic", active(plainOld)...)
		o.Generic = g
		if _, err := recipe.New(o); err == nil {
			t.Errorf("%s: New takes what Validate does not", tt.name)
		}
	}
}

// TestHeaderIsReadStrictly goes through the ways of spelling a header of pairs.
func TestHeaderIsReadStrictly(t *testing.T) {
	t.Parallel()
	s := source(t, options("paddle", active(plainNew, plainOld)...))
	body := []byte("{}")
	genuine := signPaddle(body, now, plainOld).Get("Paddle-Signature")
	stamp, h1, _ := strings.Cut(genuine, ";")
	bad := "h1=" + strings.Repeat("0", 64)
	for _, tt := range []struct {
		name, header string
		want         provider.Reason
	}{
		{"as Paddle sends it", genuine, ""},
		{"the signature first", h1 + ";" + stamp, ""},
		{"two, the first bad", stamp + ";" + bad + ";" + h1, ""},
		{"two, the second bad", genuine + ";" + bad, ""},
		{"one that cannot be read beside it", stamp + ";h1=xyz;" + h1, ""},
		{"a version of the future", genuine + ";h2=abc", ""},
		{"sixteen", genuine + strings.Repeat(";"+bad, 15), ""},
		{"seventeen", genuine + strings.Repeat(";"+bad, 16), provider.ReasonMalformed},
		{"upper case", stamp + ";h1=" + strings.ToUpper(strings.TrimPrefix(h1, "h1=")), provider.ReasonMismatch},
		{"a digit short", genuine[:len(genuine)-1], provider.ReasonMismatch},
		{"a digit more", genuine + "0", provider.ReasonMismatch},
		{"the time twice", stamp + ";" + genuine, provider.ReasonMalformed},
		{"no time", h1, provider.ReasonMalformed},
		{"no signature", stamp, provider.ReasonMalformed},
		{"only of the future", strings.Replace(genuine, "h1", "h2", 1), provider.ReasonMalformed},
		{"an empty time", "ts=;" + h1, provider.ReasonMalformed},
		{"a leading zero", strings.Replace(genuine, "ts=", "ts=0", 1), provider.ReasonMalformed},
		{"a sign", strings.Replace(genuine, "ts=", "ts=+", 1), provider.ReasonMalformed},
		{"an endless time", "ts=" + strings.Repeat("9", 400) + ";" + h1, provider.ReasonMalformed},
		{"a blank", stamp + "; " + h1, provider.ReasonMalformed},
		{"a comma", strings.Replace(genuine, ";", ",", 1), provider.ReasonMalformed},
		{"a semicolon at the end", genuine + ";", provider.ReasonMalformed},
		{"no key", genuine + ";=a", provider.ReasonMalformed},
		{"no equals sign", genuine + ";h1", provider.ReasonMalformed},
		{"five thousand bytes", genuine + ";h2=" + strings.Repeat("0", 5000), provider.ReasonMalformed},
	} {
		_, err := s.Verify(provider.Delivery{Header: http.Header{"Paddle-Signature": {tt.header}}, Body: body, ReceivedAt: now})
		if reasonOf(err) != tt.want {
			t.Errorf("%s: Verify = %v, want reason %q", tt.name, err, tt.want)
		}
	}
}

func TestVerifyWithoutReceivedAtUsesOurClock(t *testing.T) {
	t.Parallel()
	s := source(t, options("paddle", active(plainOld)...))
	if _, err := s.Verify(provider.Delivery{Header: signPaddle(nil, now, plainOld)}); err != nil {
		t.Errorf("Verify now = %v, want it accepted", err)
	}
	if _, err := s.Verify(provider.Delivery{Header: signPaddle(nil, now.Add(-makegood.SignatureTolerance*2), plainOld)}); reasonOf(err) != provider.ReasonTooOld {
		t.Errorf("Verify later = %v, want too_old", err)
	}
}

func BenchmarkVerify(b *testing.B) {
	s := source(b, options("paddle", active(plainNew, plainOld)...))
	for _, size := range []int{2 << 10, 20 << 10} {
		b.Run(fmt.Sprintf("%dKB", size>>10), func(b *testing.B) {
			body := []byte(strings.Repeat("x", size))
			d := provider.Delivery{Header: signPaddle(body, now, plainOld), Body: body, ReceivedAt: now}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := s.Verify(d); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
