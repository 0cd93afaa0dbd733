package paypal_test

import (
	"encoding/base64"
	"fmt"
	"hash/crc32"
	"math/bits"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"crypto/x509"

	"github.com/tidwall/gjson"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/outbound"
	"github.com/makegood/makegood/internal/provider"
	"github.com/makegood/makegood/internal/provider/paypal"
	"github.com/makegood/makegood/internal/provider/providertest"
	"github.com/makegood/makegood/internal/secret"
	"github.com/makegood/makegood/internal/simulate"
)

const (
	oldWebhook = "1JE4291016473214c" // a small letter, because the suite tries the id in capitals
	newWebhook = "8PT597110X687430L"
)

// strict is the source with the tolerance of other providers on the past side, so that the hostile suite, which knows one
// tolerance for both sides, can be run as it is. TestTimes has PayPal's own window.
type strict struct{ provider.Source }

func (s strict) Verify(d provider.Delivery) (string, error) {
	by, err := s.Source.Verify(d)
	if err != nil {
		return "", err
	}
	at, err := time.Parse(time.RFC3339, d.Header.Get(paypal.HeaderTime))
	if err != nil {
		return "", err
	}
	if err := provider.CheckAge(d.ReceivedAt, at); err != nil {
		return "", err
	}
	return by, nil
}

func TestVerifyConforms(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	providertest.Verification{
		New: func(ids ...provider.Secret) (provider.Source, error) {
			o := w.options
			o.WebhookIDs = ids
			s, err := paypal.New(o)
			if err != nil {
				return nil, err
			}
			return strict{s}, nil
		},
		Sign: func(body []byte, at time.Time, ids ...string) http.Header {
			return simulate.PayPalHeaders(signingKey(), w.CertificateURL(), "69cd13f0-d67a-11e5", ids[len(ids)-1], at, body)
		},
		Headers: []string{paypal.HeaderID, paypal.HeaderTime, paypal.HeaderSignature, paypal.HeaderCertificate, paypal.HeaderAlgorithm},
		Secrets: [2]string{oldWebhook, newWebhook},
		Body:    []byte(`{"id":"WH-1","event_type":"PAYMENT.CAPTURE.COMPLETED","resource":{"id":"1"}}`), Tolerance: makegood.SignatureTolerance, Now: now,
	}.Run(t)
}

// TestKnownAnswers verifies what openssl has signed, with certificates that it has made.
func TestKnownAnswers(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	doc := gjson.ParseBytes(text)
	received := time.Date(2026, 11, 25, 20, 2, 0, 0, time.UTC)
	for i, v := range doc.Get("vectors").Array() {
		mode := "sandbox"
		if v.Get("live").Bool() {
			mode = "live"
		}
		server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) { fmt.Fprint(rw, doc.Get(mode+".certificate").String()) }))
		defer server.Close()
		roots := x509.NewCertPool()
		if !roots.AppendCertsFromPEM([]byte(doc.Get(mode + ".root").String())) {
			t.Fatal("no root")
		}
		s := newSource(t, paypal.Options{Name: "paypal", Live: v.Get("live").Bool(), ClientID: "c", ClientSecret: secret.New("s"), BaseURL: server.URL,
			WebhookIDs: provider.Active(secret.New("OTHER"), secret.New(v.Get("webhook_id").String())), Roots: roots,
			HTTP: outbound.New(outbound.Options{AllowPrivate: true}), Now: func() time.Time { return received }})
		body, err := base64.StdEncoding.DecodeString(v.Get("body").String())
		if err != nil {
			t.Fatal(err)
		}
		d := provider.Delivery{Body: body, ReceivedAt: received, Header: http.Header{
			paypal.HeaderID: {v.Get("transmission_id").String()}, paypal.HeaderTime: {v.Get("time").String()},
			paypal.HeaderSignature: {v.Get("signature").String()}, paypal.HeaderCertificate: {server.URL + "/v1/notifications/certs/CERT-1"},
			paypal.HeaderAlgorithm: {"SHA256withRSA"}, paypal.HeaderVersion: {"v2"}}}
		want := secret.New(v.Get("webhook_id").String()).Fingerprint()
		if got, err := s.Verify(d); err != nil || got != want {
			t.Errorf("Verify of vector %d = %q, %v; want %q", i, got, err, want)
		}
		d.Body = append(slices.Clone(body), ' ')
		if _, err := s.Verify(d); reasonOf(err) != provider.ReasonMismatch {
			t.Errorf("Verify of vector %d with a blank more = %v, want a mismatch", i, err)
		}
	}
}

func TestTimes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	body := []byte("{}")
	window := paypal.RetryWindow + makegood.SignatureTolerance
	for _, tt := range []struct {
		name string
		age  time.Duration
		want provider.Reason
	}{
		{"fresh", 0, ""},
		{"repeated after a day", 24 * time.Hour, ""},
		{"in the last second of the retries", window, ""},
		{"after the last retry", window + time.Second, provider.ReasonTooOld},
		{"ten years old", 87600 * time.Hour, provider.ReasonTooOld},
		{"just ahead", -makegood.SignatureTolerance, ""},
		{"ahead", -makegood.SignatureTolerance - time.Second, provider.ReasonFuture},
		{"ten years ahead", -87600 * time.Hour, provider.ReasonFuture},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := provider.Delivery{Header: w.Headers(body, now.Add(-tt.age), w.webhook), Body: body, ReceivedAt: now}
			if _, err := w.source.Verify(d); reasonOf(err) != tt.want || (err == nil) != (tt.want == "") {
				t.Errorf("Verify of a delivery aged %v = %v, want %q", tt.age, err, tt.want)
			}
			d.Header = w.Headers(body, now.Add(-tt.age), "OTHER")
			if _, err := w.source.Verify(d); reasonOf(err) != provider.ReasonMismatch {
				t.Errorf("Verify of a forgery aged %v = %v, want it not to be told of its age", tt.age, err)
			}
		})
	}
	// A fraction of a second beyond the border counts.
	d := provider.Delivery{Header: w.Headers(body, now, w.webhook), Body: body, ReceivedAt: now.Add(window + time.Millisecond)}
	if _, err := w.source.Verify(d); reasonOf(err) != provider.ReasonTooOld {
		t.Errorf("Verify a millisecond beyond the border = %v, want too old", err)
	}
}

func TestHeadersAreReadStrictly(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	body := []byte("{}")
	genuine := w.Headers(body, now, w.webhook)
	signature := genuine.Get(paypal.HeaderSignature)
	for _, tt := range []struct {
		name, header string
		values       []string
		want         provider.Reason
	}{
		{"no version", paypal.HeaderVersion, nil, ""},
		{"version 1", paypal.HeaderVersion, []string{"v1"}, provider.ReasonMalformed},
		{"an empty version", paypal.HeaderVersion, []string{""}, provider.ReasonMalformed},
		{"the version twice", paypal.HeaderVersion, []string{"v2", "v2"}, provider.ReasonMalformed},
		{"another algorithm", paypal.HeaderAlgorithm, []string{"SHA1withRSA"}, provider.ReasonMalformed},
		{"the algorithm in capitals", paypal.HeaderAlgorithm, []string{"SHA256WITHRSA"}, provider.ReasonMalformed},
		{"a bar in the id", paypal.HeaderID, []string{"a|b"}, provider.ReasonMalformed},
		{"a long id", paypal.HeaderID, []string{strings.Repeat("a", 65)}, provider.ReasonMalformed},
		{"a bar in the time", paypal.HeaderTime, []string{"2026-09-01T12:00:00Z|x"}, provider.ReasonMalformed},
		{"Unix seconds", paypal.HeaderTime, []string{"1788264000"}, provider.ReasonMalformed},
		{"the same moment in another spelling", paypal.HeaderTime, []string{"2026-09-01T12:00:00.0Z"}, provider.ReasonMismatch},
		{"the same moment in another zone", paypal.HeaderTime, []string{"2026-09-01T13:00:00+01:00"}, provider.ReasonMismatch},
		{"base64 of URLs", paypal.HeaderSignature, []string{strings.NewReplacer("+", "-", "/", "_").Replace(signature) + ""}, ""},
		{"no padding", paypal.HeaderSignature, []string{strings.TrimRight(signature, "=")}, provider.ReasonMalformed},
		{"a line break", paypal.HeaderSignature, []string{signature[:10] + "\n" + signature[10:]}, provider.ReasonMalformed},
		{"a carriage return", paypal.HeaderSignature, []string{signature + "\r\n"}, provider.ReasonMalformed},
		{"one byte shorter", paypal.HeaderSignature, []string{base64.StdEncoding.EncodeToString(make([]byte, 255))}, provider.ReasonMismatch},
		{"one byte longer", paypal.HeaderSignature, []string{base64.StdEncoding.EncodeToString(make([]byte, 257))}, provider.ReasonMismatch},
		{"all zeros", paypal.HeaderSignature, []string{base64.StdEncoding.EncodeToString(make([]byte, 256))}, provider.ReasonMismatch},
		{"endless", paypal.HeaderSignature, []string{strings.Repeat("AAAA", 100_000)}, provider.ReasonMalformed},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := genuine.Clone()
			h[tt.header] = tt.values
			want := tt.want
			if tt.name == "base64 of URLs" && strings.ContainsAny(signature, "+/") {
				want = provider.ReasonMalformed
			}
			_, err := w.source.Verify(provider.Delivery{Header: h, Body: body, ReceivedAt: now})
			if reasonOf(err) != want || (err == nil) != (want == "") {
				t.Errorf("Verify = %v, want %q", err, want)
			}
		})
	}
}

func TestTransmission(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d := w.delivery([]byte("{}"))
	if got := w.source.Transmission(d); got == "" || got != d.Header.Get(paypal.HeaderID) {
		t.Errorf("Transmission = %q, want %q", got, d.Header.Get(paypal.HeaderID))
	}
	if got := w.source.Transmission(provider.Delivery{}); got != "" {
		t.Errorf("Transmission of nothing = %q, want none", got)
	}
}

// TestCollision is why events are hints: a genuine signature covers every body with the same CRC-32, and such a body is
// made by solving 32 linear equations. Verify must accept it, because nothing tells it apart; Interpret must release
// nothing, because the API tells otherwise.
func TestCollision(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, pending := w.sold(t, "az-900", simulate.Pending())
	open, err := w.source.CreateCheckout(t.Context(), request("dp-203"))
	if err != nil {
		t.Fatal(err)
	}
	if err := w.SetWebhookURL(w.webhook, "http://127.0.0.1:1/nobody"); err != nil {
		t.Fatal(err)
	}
	genuine := w.Events()[0].Body
	d := w.delivery(genuine)
	for _, tt := range []struct{ name, body string }{
		{"a pending capture as completed, of much more", `{"id":"WH-FORGED","event_type":"PAYMENT.CAPTURE.COMPLETED","resource":{"id":"` + pending +
			`","status":"COMPLETED","amount":{"value":"9999.99","currency_code":"USD"}},"x":"`},
		{"an order that nobody approved", `{"id":"WH-FORGED","event_type":"CHECKOUT.ORDER.COMPLETED","resource":{"id":"` + open.SessionID + `","status":"COMPLETED"},"x":"`},
		{"an order that nobody approved, as approved", `{"id":"WH-FORGED","event_type":"CHECKOUT.ORDER.APPROVED","resource":{"id":"` + open.SessionID + `","status":"APPROVED"},"x":"`},
		{"a refund that nobody made", `{"id":"WH-FORGED","event_type":"PAYMENT.CAPTURE.REFUNDED","resource":{"id":"0AB12345CD678901E","status":"COMPLETED","amount":{"value":"58.00","currency_code":"USD"},"links":[{"rel":"up","href":"https://api.paypal.com/v2/payments/captures/` + pending + `"}]},"x":"`},
		{"a dispute that nobody opened", `{"id":"WH-FORGED","event_type":"CUSTOMER.DISPUTE.RESOLVED","resource":{"dispute_id":"PP-D-1","dispute_outcome":{"outcome_code":"RESOLVED_BUYER_FAVOUR"}},"x":"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			forged := collide(t, tt.body, crc32.ChecksumIEEE(genuine))
			if !gjson.ValidBytes(forged) {
				t.Fatalf("the forgery %s is no JSON", forged)
			}
			d := d
			d.Body = forged
			if _, err := w.source.Verify(d); err != nil {
				t.Fatalf("Verify of a body with the same CRC-32 = %v; the scheme would be better than PayPal's", err)
			}
			e := w.source.Identify(forged)
			e.ReceivedAt = now
			if r, err := w.source.Interpret(t.Context(), e); len(r.Facts) != 0 || err == nil && r.Note == "" {
				t.Errorf("Interpret of the forgery = %+v, %v; want nothing released", r, err)
			}
		})
	}
}

// collide ends a JSON text with 64 letters and "}, so that its CRC-32 is want. Each letter is a or c, so each is one bit of
// freedom, and the CRC is linear in them.
func collide(t *testing.T, begin string, want uint32) []byte {
	t.Helper()
	const free = 64
	body := []byte(begin + strings.Repeat("a", free) + `"}`)
	base := crc32.ChecksumIEEE(body)
	var pivots [32]struct{ value, letters uint64 } // letters says which of them make up the value
	for i := range free {
		body[len(begin)+i] = 'c'
		value, letters := uint64(crc32.ChecksumIEEE(body)^base), uint64(1)<<i
		body[len(begin)+i] = 'a'
		for value != 0 {
			p := &pivots[bits.Len64(value)-1]
			if p.value == 0 {
				p.value, p.letters = value, letters
				break
			}
			value, letters = value^p.value, letters^p.letters
		}
	}
	left, letters := uint64(want^base), uint64(0)
	for left != 0 {
		p := pivots[bits.Len64(left)-1]
		if p.value == 0 {
			t.Fatal("64 letters are not free enough")
		}
		left, letters = left^p.value, letters^p.letters
	}
	for i := range free {
		if letters>>i&1 == 1 {
			body[len(begin)+i] = 'c'
		}
	}
	if got := crc32.ChecksumIEEE(body); got != want {
		t.Fatalf("the CRC-32 is %08x, want %08x", got, want)
	}
	return body
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	good := paypal.Options{Name: "paypal", ClientID: "c", ClientSecret: secret.New("s"), WebhookIDs: provider.Active(secret.New(oldWebhook))}
	with := func(ids ...string) []provider.Secret {
		var list []provider.Secret
		for _, id := range ids {
			list = append(list, provider.Secret{Value: secret.New(id)})
		}
		return list
	}
	for _, tt := range []struct {
		name   string
		change func(*paypal.Options)
		want   string
	}{
		{"no name", func(o *paypal.Options) { o.Name = "" }, "needs a name"},
		{"no client id", func(o *paypal.Options) { o.ClientID = "" }, "client id"},
		{"a client id with a colon", func(o *paypal.Options) { o.ClientID = "a:b" }, "client id"},
		{"no client secret", func(o *paypal.Options) { o.ClientSecret = secret.Value{} }, "client secret"},
		{"no webhook id", func(o *paypal.Options) { o.WebhookIDs = nil }, "no webhook id"},
		{"an empty webhook id", func(o *paypal.Options) { o.WebhookIDs = with(oldWebhook, "") }, "webhook id 1 of source \"paypal\" is empty"},
		{"the placeholder", func(o *paypal.Options) { o.WebhookIDs = with("WEBHOOK_ID") }, "placeholder"},
		{"the placeholder beside a good one", func(o *paypal.Options) { o.WebhookIDs = with(oldWebhook, "webhook_id") }, "webhook id 1"},
		{"the placeholder in blanks", func(o *paypal.Options) { o.WebhookIDs = with(" WEBHOOKID\n") }, "placeholder"},
		{"a bar in the webhook id", func(o *paypal.Options) { o.WebhookIDs = with("A|B") }, "letters and digits"},
		{"a long webhook id", func(o *paypal.Options) { o.WebhookIDs = with(strings.Repeat("A", 51)) }, "letters and digits"},
		{"an address as merchant", func(o *paypal.Options) { o.MerchantID = "ann@example.com" }, "merchant id"},
		{"a base URL without scheme", func(o *paypal.Options) { o.BaseURL = "api-m.paypal.com" }, "base URL"},
		{"a base URL with a path", func(o *paypal.Options) { o.BaseURL = "http://127.0.0.1/x" }, "base URL"},
		{"a base URL with user info", func(o *paypal.Options) { o.BaseURL = "http://a@127.0.0.1" }, "base URL"},
		{"the live API in test mode", func(o *paypal.Options) { o.BaseURL = paypal.LiveBaseURL }, "other mode"},
		{"the sandbox in live mode", func(o *paypal.Options) { o.Live, o.BaseURL = true, paypal.SandboxBaseURL }, "other mode"},
		{"PayPal without TLS", func(o *paypal.Options) { o.BaseURL = "http://api-m.sandbox.paypal.com" }, "base URL"},
		{"another host of PayPal's", func(o *paypal.Options) { o.BaseURL = "https://www.paypal.com" }, "base URL"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			o := good
			tt.change(&o)
			if _, err := paypal.New(o); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("New = %v, want an error with %q", err, tt.want)
			}
		})
	}
	for _, base := range []string{"", paypal.SandboxBaseURL, paypal.SandboxBaseURL + "/", "https://api.sandbox.paypal.com", "http://127.0.0.1:8080"} {
		o := good
		o.BaseURL = base
		if s := newSource(t, o); s.Name() != "paypal" {
			t.Errorf("Name = %q", s.Name())
		}
	}
	_, err := paypal.New(paypal.Options{WebhookIDs: with("WEBHOOK_ID", "")})
	for _, want := range []string{"needs a name", "client id", "client secret", "placeholder", "is empty"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("New of all that is wrong = %v, want %q among it", err, want)
		}
	}
}

func BenchmarkVerify(b *testing.B) {
	w := newWorld(b)
	body := []byte(strings.Repeat("x", 2<<10))
	d := w.delivery(body)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := w.source.Verify(d); err != nil {
			b.Fatal(err)
		}
	}
}
