package recipe_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/makegood/makegood/internal/provider"
	"github.com/makegood/makegood/internal/provider/recipe"
)

// vectors are signatures that others have published, so that a mistake that the table and its tests share is found.
var vectors = []struct {
	source    string // where it is published
	provider  string
	secret    string
	publicURL string
	header    map[string]string
	body      string
	at        int64
}{
	{
		source: "standard-webhooks, libraries/go/webhook_test.go, TestWebhookSign", provider: "standard-webhooks", secret: whsecOld,
		header: map[string]string{"webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek", "webhook-timestamp": "1614265330",
			"webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="},
		body: `{"test": 2432232314}`, at: 1614265330,
	},
	{
		source: "docs.svix.com, Verifying webhooks manually", provider: "svix", secret: "whsec_plJ3nmyCDGBKInavdOK15jsl",
		header: map[string]string{"svix-id": "msg_loFOjxBNrRLzqYUf", "svix-timestamp": "1731705121",
			"svix-signature": "v1,rAvfW3dJ/X/qxhsaXPOyyCGmRKsaKWcsNccKXlIktD0="},
		body: `{"event_type":"ping","data":{"success":true}}`, at: 1731705121,
	},
	{
		source: "PaddleHQ/paddle-go-sdk, webhook_verifier_test.go", provider: "paddle",
		secret: "pdl_ntfset_01hsdn8d43dt7mezr1ef2jtbaw_hKkRiCGyyRhbFwIUuqiTBgI7gnWoV0Gr",
		header: map[string]string{"Paddle-Signature": "ts=1710929255;h1=6c05ef8fa83c44d751be6d259ec955ce5638e2c54095bf128e408e2fce1589c8"},
		body:   `{"data":{"id":"pri_01hsdn96k2hxjzsq5yerecdj9j","name":null,"status":"active","quantity":{"maximum":999999,"minimum":1},"tax_mode":"account_setting","product_id":"pro_01hsdn8qp7yydry3x1yeg6a9rv","unit_price":{"amount":"1000","currency_code":"USD"},"custom_data":null,"description":"testing","import_meta":null,"trial_period":null,"billing_cycle":{"interval":"month","frequency":1},"unit_price_overrides":[]},"event_id":"evt_01hsdn97563968dy0szkmgjwh3","event_type":"price.created","occurred_at":"2024-03-20T10:07:35.590857Z","notification_id":"ntf_01hsdn977e920kbgzt6r6c9rqc"}`,
		at:     1710929255,
	},
	{
		source: "Adyen/adyen-go-api-library, src/hmacvalidator/hmacvalidator_test.go, Get Valid HMAC", provider: "adyen", secret: hexNew,
		body: `{"live":"false","notificationItems":[{"NotificationRequestItem":{"additionalData":{"hmacSignature":"ipnxGCaUZ4l8TUW75a71/ghd2Fe5ffvX0pV4TLTntIc="},"amount":{"currency":"EUR","value":1000},"eventCode":"EVENT","eventDate":"1970-01-01T00:00:00Z","merchantAccountCode":"merchantAccount","merchantReference":"reference","originalReference":"originalReference","paymentMethod":"VISA","pspReference":"pspReference","reason":"reason","success":"true"}}]}`,
	},
	{
		source: "docs.adyen.com, Verify HMAC signatures, and Adyen's libraries", provider: "adyen", secret: hexOld,
		body: `{"live":"false","notificationItems":[{"NotificationRequestItem":{"additionalData":{"hmacSignature":"coqCmt/IZ4E3CzPvMY8zTjQVL5hYJUiBRg8UU+iCWo0="},"amount":{"value":1130,"currency":"EUR"},"pspReference":"7914073381342284","eventCode":"AUTHORISATION","eventDate":"2019-05-06T17:15:34.121+02:00","merchantAccountCode":"TestMerchant","operations":["CANCEL","CAPTURE","REFUND"],"merchantReference":"TestPayment-1407325143704","paymentMethod":"visa","success":"true"}}]}`,
	},
	{
		source: "Adyen/adyen-go-api-library, src/hmacvalidator/hmacvalidator_test.go, Validate HMAC from string payload", provider: "adyen", secret: hexNew,
		header: map[string]string{"HmacSignature": "yitBTPnDGtbAMG9rTxUa1e6lFGpa4PnrD6rErOmEhJ8="},
		body: "{\n    \"type\": \"merchant.created\",\n    \"environment\": \"test\",\n    \"createdAt\": \"01-01-2024\",\n    \"data\": {\n        \"capabilities\": {\n" +
			"            \"sendToTransferInstrument\": {\n                \"requested\": true,\n                \"requestedLevel\": \"notApplicable\"\n            }\n" +
			"        },\n        \"companyId\": \"YOUR_COMPANY_ID\",\n        \"merchantId\": YOUR_MERCHANT_ACCOUNT\",\n        \"status\": \"PreActive\"\n    }\n}",
	},
	{
		source: "square/square-go-sdk, webhooks/client/verify_signature_test.go, valid signature", provider: "square", secret: "Ibxx_5AKakO-3qeNVR61Dw",
		publicURL: "https://webhook.site/679a4f3a-dcfa-49ee-bac5-9d0edad886b9",
		header:    map[string]string{"x-square-hmacsha256-signature": "GF4YkrJgGBDZ9NIYbNXBnMzqb2HoL4RW/S6vkZ9/2N4="},
		body:      `{"merchant_id":"MLEFBHHSJGVHD","type":"webhooks.test_notification","event_id":"ac3ac95b-f97d-458c-a6e6-18981597e05f","created_at":"2022-07-13T20:30:59.037339943Z","data":{"type":"webhooks","id":"bc368e64-01aa-407e-b46e-3231809b1129"}}`,
	},
	{
		source: "square/square-go-sdk, webhooks/client/verify_signature_test.go, escaped characters", provider: "square", secret: "signature-key",
		publicURL: "https://webhook.site/webhooks",
		header:    map[string]string{"x-square-hmacsha256-signature": "Cxt7+aTi4rKgcA0bC4g9EHdVtLSDWdqccmL5MvihU4U="},
		body:      `{"data":{"type":"webhooks","id":">id<"}}`,
	},
	{
		source:   "bold-commerce/go-shopify, oauth_test.go, TestVerifyWebhookRequest (its secret is in goshopify_test.go; a string is sent as JSON)",
		provider: "shopify", secret: "hush", header: map[string]string{"X-Shopify-Hmac-Sha256": "hMTq0K2x7oyOjoBwGYeTj5oxfnaVYXzbanUG9aajpKI="},
		body: `"my secret message"`,
	},
	{
		source: "docs.github.com, Validating webhook deliveries, Testing the webhook payload validation", provider: "github", secret: "It's a Secret to Everybody",
		header: map[string]string{"X-Hub-Signature-256": "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"},
		body:   "Hello, World!",
	},
}

func TestPublishedVectors(t *testing.T) {
	t.Parallel()
	for _, tt := range vectors {
		t.Run(tt.source, func(t *testing.T) {
			t.Parallel()
			o := options(tt.provider, active(tt.secret)...)
			if tt.publicURL != "" {
				o.PublicURL = tt.publicURL
			}
			h := http.Header{}
			for name, value := range tt.header {
				h.Set(name, value)
			}
			s := source(t, o)
			d := provider.Delivery{Header: h, Body: []byte(tt.body), ReceivedAt: time.Unix(max(tt.at, 1), 0)}
			if _, err := s.Verify(d); err != nil {
				t.Errorf("Verify = %v, want it accepted", err)
			}
			d.Body = []byte(strings.NewReplacer(`"success":"true"`, `"success":"false"`, "e", "f").Replace(tt.body))
			if _, err := s.Verify(d); err == nil {
				t.Error("Verify accepts another body")
			}
		})
	}
}

// TestSquareSignsTheAddress: the published signature is of one address only.
func TestSquareSignsTheAddress(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"https://webhook.site/79a4f3a-dcfa-49ee-bac5-9d0edad886b9", "http://webhook.site/webhooks", "https://webhook.site/webhooks/"} {
		o := options("square", active("signature-key")...)
		o.PublicURL = address
		h := http.Header{}
		h.Set("x-square-hmacsha256-signature", "W3FlCNk5IA3ZQ2LHTWoajvzfaDu/OwY2tNHIHC3IUOA=") // of https://webhook.site/webhooks
		_, err := source(t, o).Verify(provider.Delivery{Header: h, Body: []byte(`{"data":{"type":"webhooks","id":"fake_id"}}`), ReceivedAt: now})
		if reasonOf(err) != provider.ReasonMismatch {
			t.Errorf("Verify at %s = %v, want a mismatch", address, err)
		}
	}
}

// TestOfficialLibraryAgrees: whatever header we accept, the official library accepts, and what it signs we accept. Its
// clock is the real one, so ours is too.
func TestOfficialLibraryAgrees(t *testing.T) {
	t.Parallel()
	at := time.Now().Truncate(time.Second)
	o := options("standard-webhooks", active(whsecNew, whsecOld)...)
	o.Now = nil
	s := source(t, o)
	library, err := standardwebhooks.NewWebhook(whsecOld)
	if err != nil {
		t.Fatal(err)
	}
	body := []byte(`{"type":"a"}`)
	genuine := signStandard("webhook", itself)(body, at, whsecOld)
	value := genuine.Get("webhook-signature")
	bad := "v1," + strings.Repeat("A", 43) + "="
	for _, tt := range []struct {
		name, header string
		want         provider.Reason
	}{
		{"as it is signed", value, ""},
		{"a bad one before", bad + " " + value, ""},
		{"a bad one behind", value + " " + bad, ""},
		{"another version before", "v1a,hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw/enGzPCXe5BdqzCInXqYXFymVJaA7AZdpXwVLPo3mNl8EM+m7TBAg== " + value, ""},
		{"one that cannot be read beside it", "v1,xyz " + value, ""},
		{"another version only", strings.Replace(value, "v1,", "v2,", 1), provider.ReasonMismatch},
		{"without padding", strings.TrimSuffix(value, "="), provider.ReasonMismatch},
		{"the version of Ed25519", strings.Replace(value, "v1,", "v1a,", 1), provider.ReasonMismatch},
		{"without a version", strings.TrimPrefix(value, "v1,"), provider.ReasonMalformed},
		{"an empty version", "," + strings.TrimPrefix(value, "v1,"), provider.ReasonMalformed},
		{"an empty version beside it", value + " ,x", provider.ReasonMalformed},
		{"two blanks", value + "  " + bad, provider.ReasonMalformed},
		{"a blank at the end", value + " ", provider.ReasonMalformed},
		{"a tab", value + "\t" + bad, provider.ReasonMalformed},
		{"a letter that only looks like v", "ѵ1," + strings.TrimPrefix(value, "v1,") + " " + value, provider.ReasonMalformed},
		{"sixteen", strings.Repeat(bad+" ", 15) + value, ""},
		{"seventeen", strings.Repeat(bad+" ", 16) + value, provider.ReasonMalformed},
	} {
		h := genuine.Clone()
		h.Set("webhook-signature", tt.header)
		_, err := s.Verify(provider.Delivery{Header: h, Body: body, ReceivedAt: time.Now()})
		if reasonOf(err) != tt.want {
			t.Errorf("%s: Verify = %v, want reason %q", tt.name, err, tt.want)
		}
		if theirs := library.Verify(body, h); err == nil && theirs != nil {
			t.Errorf("%s: we accept what the library does not: %v", tt.name, theirs)
		}
	}
}

// TestIDsCannotBeMoved: a forger who has seen one delivery moves the full stop. The library accepts it; we do not.
func TestIDsCannotBeMoved(t *testing.T) {
	t.Parallel()
	at := now
	body := "1788264000.rest" // a body that begins with a time
	h := signStandard("webhook", itself)([]byte(body), at, whsecOld)
	h.Set("webhook-id", "msg_2Lh9vFcXy."+h.Get("webhook-timestamp"))
	h.Set("webhook-timestamp", "1788264000")
	_, err := source(t, options("standard-webhooks", active(whsecOld)...)).Verify(
		provider.Delivery{Header: h, Body: []byte("rest"), ReceivedAt: at})
	if reasonOf(err) != provider.ReasonMalformed {
		t.Errorf("Verify of a delivery whose id took the time in = %v, want malformed", err)
	}
}

// TestSvixHeadersAreNotMixed: a signature of one kind of header proves nothing beside the id of the other.
func TestSvixHeadersAreNotMixed(t *testing.T) {
	t.Parallel()
	s := source(t, options("svix", active(whsecOld)...))
	mixed := signStandard("webhook", itself)([]byte("{}"), now, whsecOld)
	mixed.Set("svix-id", mixed.Get("webhook-id"))
	if _, err := s.Verify(provider.Delivery{Header: mixed, Body: []byte("{}"), ReceivedAt: now}); reasonOf(err) != provider.ReasonMissing {
		t.Errorf("Verify of mixed headers = %v, want missing", err)
	}
}

func TestTransmission(t *testing.T) {
	t.Parallel()
	for name, header := range map[string]string{"standard-webhooks": "webhook-id", "svix": "svix-id", "polar": "webhook-id", "paddle": "", "adyen": ""} {
		h, want := http.Header{}, ""
		if header != "" {
			want = "d-1"
			h.Set(header, want)
		}
		s := source(t, options(name, active(secretOf(name))...))
		if got := s.(provider.Transmitter).Transmission(provider.Delivery{Header: h}); got != want {
			t.Errorf("Transmission of %s = %q, want %q", name, got, want)
		}
	}
	for name, header := range map[string]string{"github": "X-GitHub-Delivery", "razorpay": "x-razorpay-event-id", "shopify": "X-Shopify-Webhook-Id"} {
		d := provider.Delivery{Header: http.Header{}}
		d.Header.Set(header, "d-1")
		if got := source(t, options(name, active(secretOf(name))...)).(provider.Transmitter).Transmission(d); got != "" {
			t.Errorf("Transmission of %s = %q, want none: its signature does not cover the header", name, got)
		}
	}
	var _ provider.Transmitter = (*recipe.Asking)(nil)
}

// secretOf is a secret of the form that the provider gives out.
func secretOf(name string) string {
	for _, tt := range signers {
		if known, _, _ := strings.Cut(tt.name, " "); known == name {
			return tt.suite.Secrets[0]
		}
	}
	panic("no secret for " + name)
}
