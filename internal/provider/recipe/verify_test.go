package recipe_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/provider"
	"github.com/makegood/makegood/internal/provider/providertest"
	"github.com/makegood/makegood/internal/provider/recipe"
	"github.com/makegood/makegood/internal/secret"
)

// now is a fixed time on a full second.
var now = time.Date(2026, 9, 1, 12, 0, 0, 0, time.UTC)

const hookURL = "https://shop.example.com/hooks/shop"

// options are good options for a provider, with everything that any row may need.
func options(name string, secrets ...provider.Secret) recipe.Options {
	return recipe.Options{Name: "shop", Provider: name, Secrets: secrets, PublicURL: hookURL, APIKey: secret.New("key_for_tests"),
		Catalogue: catalogue, Now: func() time.Time { return now }}
}

func active(secrets ...string) []provider.Secret {
	var all []provider.Secret
	for _, s := range secrets {
		all = append(all, provider.Secret{Value: secret.New(s)})
	}
	return all
}

// source is a source of a provider that knows these secrets.
func source(t testing.TB, o recipe.Options) provider.Source {
	t.Helper()
	s, err := recipe.New(o)
	if err != nil {
		t.Fatalf("New of %s: %v", o.Provider, err)
	}
	return s
}

// macHex and macBase64 are written here once more, so that a slip in the package is no slip in its test.
func macHex(newHash func() hash.Hash, key string, parts ...string) string {
	return hex.EncodeToString(mac(newHash, key, parts...))
}

func macBase64(key string, parts ...string) string {
	return base64.StdEncoding.EncodeToString(mac(sha256.New, key, parts...))
}

func mac(newHash func() hash.Hash, key string, parts ...string) []byte {
	m := hmac.New(newHash, []byte(key))
	m.Write([]byte(strings.Join(parts, "")))
	return m.Sum(nil)
}

// last is the secret that a provider signs with that cannot sign twice.
func last(secrets []string) string { return secrets[len(secrets)-1] }

// signHeader is a provider that signs the body, and perhaps something before it, in one header.
func signHeader(name, prefix string, sum func(secret string, body []byte) string) func([]byte, time.Time, ...string) http.Header {
	return func(body []byte, _ time.Time, secrets ...string) http.Header {
		h := http.Header{}
		h.Set(name, prefix+sum(last(secrets), body))
		return h
	}
}

func hexOfBody(secret string, body []byte) string { return macHex(sha256.New, secret, string(body)) }
func base64OfBody(secret string, body []byte) string {
	return macBase64(secret, string(body))
}

// signStandard signs with the official library of Standard Webhooks, which knows nothing of our verifier. It decodes a
// secret with a line break as if there were none, which is no forgery; so such a secret is refused here.
func signStandard(prefix string, keyOf func(secret string) string) func([]byte, time.Time, ...string) http.Header {
	return func(body []byte, at time.Time, secrets ...string) http.Header {
		var all []string
		for _, s := range secrets {
			wh, err := standardwebhooks.NewWebhook(keyOf(s))
			if err != nil || strings.ContainsAny(keyOf(s), "\r\n") {
				panic("the library refuses the secret")
			}
			signed, err := wh.Sign("msg_2Lh9vFcXy", at, body)
			if err != nil {
				panic(err)
			}
			all = append(all, signed)
		}
		h := http.Header{}
		h.Set(prefix+"-id", "msg_2Lh9vFcXy")
		h.Set(prefix+"-timestamp", fmt.Sprint(at.Unix()))
		h.Set(prefix+"-signature", strings.Join(all, " "))
		return h
	}
}

func itself(s string) string { return s }

// wholeKey is what Polar hands to the library: the base64 of the whole secret.
func wholeKey(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

// signEd25519 signs with the private keys of two whpk_ secrets, written by hand: the Go library has no v1a.
func signEd25519(body []byte, at time.Time, secrets ...string) http.Header {
	var all []string
	for _, s := range secrets {
		private, ok := privateKeys[s]
		if !ok {
			panic("there is no private key to it")
		}
		signed := fmt.Sprintf("msg_2Lh9vFcXy.%d.%s", at.Unix(), body)
		all = append(all, "v1a,"+base64.StdEncoding.EncodeToString(ed25519.Sign(private, []byte(signed))))
	}
	h := http.Header{}
	h.Set("webhook-id", "msg_2Lh9vFcXy")
	h.Set("webhook-timestamp", fmt.Sprint(at.Unix()))
	h.Set("webhook-signature", strings.Join(all, " "))
	return h
}

var privateKeys, publicKeys = makeKeys()

func makeKeys() (map[string]ed25519.PrivateKey, [2]string) {
	private, public := map[string]ed25519.PrivateKey{}, [2]string{}
	for i := range public {
		key := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{byte(i + 1)}, ed25519.SeedSize))
		public[i] = "whpk_" + base64.StdEncoding.EncodeToString(key.Public().(ed25519.PublicKey))
		private[public[i]] = key
	}
	return private, public
}

func signPaddle(body []byte, at time.Time, secrets ...string) http.Header {
	header := fmt.Sprintf("ts=%d", at.Unix())
	for _, s := range secrets {
		header += ";h1=" + macHex(sha256.New, s, fmt.Sprint(at.Unix()), ":", string(body))
	}
	return http.Header{"Paddle-Signature": {header}}
}

func sealToken(body []byte, _ time.Time, secrets ...string) provider.Delivery {
	return provider.Delivery{Query: url.Values{"token": {last(secrets)}}, Body: body}
}

func keyOfHex(s string) string {
	key, err := hex.DecodeString(s)
	if err != nil || len(key) < 16 {
		panic("no key")
	}
	return string(key)
}

// adyenTemplate is a standard webhook with a place for the signature.
const adyenTemplate = `{"live":"false","notificationItems":[{"NotificationRequestItem":{"additionalData":{"hmacSignature":"SIGNATURE"},` +
	`"eventCode":"AUTHORISATION","success":"true","eventDate":"2026-08-30T11:41:01+02:00","merchantAccountCode":"ShopECOM",` +
	`"pspReference":"NC6HT9CRT65ZGN82","merchantReference":"cart:1027","amount":{"value":2900,"currency":"USD"}}}]}`

func sealAdyen(body []byte, _ time.Time, secrets ...string) provider.Delivery {
	sum := macBase64(keyOfHex(last(secrets)), "NC6HT9CRT65ZGN82::ShopECOM:cart:1027:2900:USD:AUTHORISATION:true")
	return provider.Delivery{Header: http.Header{}, Body: bytes.Replace(body, []byte("SIGNATURE"), []byte(sum), 1)}
}

// adyenParts are the values that Adyen signs, and the signature.
func adyenParts(body []byte) [][2]int {
	var parts [][2]int
	for _, name := range []string{`"pspReference":"`, `"merchantAccountCode":"`, `"merchantReference":"`, `"value":`, `"currency":"`,
		`"eventCode":"`, `"success":"`, `"hmacSignature":"`} {
		from := bytes.Index(body, []byte(name)) + len(name)
		to := from + bytes.IndexAny(body[from:], `",`)
		parts = append(parts, [2]int{from, to})
	}
	return parts
}

const (
	whsecOld = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	whsecNew = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oDc0RtY29oQWg="
	plainOld = "5WbX2dLnM8qRt7vYzA3cEfGhJkPsUw4x"
	plainNew = "Q9eRtYuIoPaSdFgHjKlZxCvBnM1234ab"
	hexOld   = "44782DEF547AAA06C910C43932B1EB0C71FC68D9D0C057550C48EC2ACF6BA056"
	hexNew   = "DFB1EB5485895CFA84146406857104ABB4CBCABDC8AAF103A624C8F6A3EAAB00"
)

// signers say of every provider how it signs; TestEveryProviderIsVerified keeps the list whole.
var signers = []struct {
	name     string // of the provider; what follows a blank tells two ways apart
	generic  *recipe.Generic
	suite    providertest.Verification
	whatever string
}{
	{name: "standard-webhooks", suite: providertest.Verification{Sign: signStandard("webhook", itself), Secrets: [2]string{whsecOld, whsecNew},
		Headers: []string{"webhook-id", "webhook-timestamp", "webhook-signature"}, Tolerance: makegood.SignatureTolerance}},
	{name: "standard-webhooks Ed25519", suite: providertest.Verification{Sign: signEd25519, Secrets: publicKeys,
		Headers: []string{"webhook-id", "webhook-timestamp", "webhook-signature"}, Tolerance: makegood.SignatureTolerance}},
	{name: "svix", suite: providertest.Verification{Sign: signStandard("svix", itself), Secrets: [2]string{whsecOld, whsecNew},
		Headers: []string{"svix-id", "svix-timestamp", "svix-signature"}, Tolerance: makegood.SignatureTolerance}},
	{name: "svix unbranded", suite: providertest.Verification{Sign: signStandard("webhook", itself), Secrets: [2]string{whsecOld, whsecNew},
		Headers: []string{"webhook-id", "webhook-timestamp", "webhook-signature"}, Tolerance: makegood.SignatureTolerance}},
	{name: "polar", suite: providertest.Verification{Sign: signStandard("webhook", wholeKey), Secrets: [2]string{"polar_whs_" + plainOld, "polar_whs_" + plainNew},
		Headers: []string{"webhook-id", "webhook-timestamp", "webhook-signature"}, Tolerance: makegood.SignatureTolerance}},
	{name: "paddle", suite: providertest.Verification{Sign: signPaddle, Secrets: [2]string{"pdl_ntfset_01_" + plainOld, "pdl_ntfset_02_" + plainNew},
		Headers: []string{"Paddle-Signature"}, Tolerance: makegood.SignatureTolerance}},
	{name: "lemonsqueezy", suite: providertest.Verification{Sign: signHeader("X-Signature", "", hexOfBody), Secrets: [2]string{plainOld, plainNew},
		Headers: []string{"X-Signature"}}},
	{name: "razorpay", suite: providertest.Verification{Sign: signHeader("X-Razorpay-Signature", "", hexOfBody), Secrets: [2]string{plainOld, plainNew},
		Headers: []string{"X-Razorpay-Signature"}}},
	{name: "shopify", suite: providertest.Verification{Sign: signHeader("X-Shopify-Hmac-Sha256", "", base64OfBody), Secrets: [2]string{plainOld, plainNew},
		Headers: []string{"X-Shopify-Hmac-Sha256"}}},
	{name: "github", suite: providertest.Verification{Sign: signHeader("X-Hub-Signature-256", "sha256=", hexOfBody), Secrets: [2]string{plainOld, plainNew},
		Headers: []string{"X-Hub-Signature-256"}}},
	{name: "mollie", suite: providertest.Verification{Sign: signHeader("X-Mollie-Signature", "sha256=", hexOfBody), Secrets: [2]string{plainOld, plainNew},
		Headers: []string{"X-Mollie-Signature"}}},
	{name: "square", suite: providertest.Verification{Secrets: [2]string{plainOld, plainNew}, Headers: []string{"X-Square-Hmacsha256-Signature"},
		Sign: signHeader("X-Square-HmacSha256-Signature", "", func(secret string, body []byte) string { return macBase64(secret, hookURL, string(body)) })}},
	{name: "adyen", suite: providertest.Verification{Seal: sealAdyen, Signed: adyenParts, Secrets: [2]string{hexOld, hexNew}, Body: []byte(adyenTemplate)}},
	{name: "adyen platform", suite: providertest.Verification{Secrets: [2]string{hexOld, hexNew}, Headers: []string{"HmacSignature"},
		Sign: signHeader("HmacSignature", "", func(secret string, body []byte) string { return macBase64(keyOfHex(secret), string(body)) })}},
	{name: "mollie-classic", suite: providertest.Verification{Seal: sealToken, BodyIsOpen: true, Secrets: [2]string{plainOld, plainNew}, Query: []string{"token"}}},
	{name: "gumroad", suite: providertest.Verification{Seal: sealToken, BodyIsOpen: true, Secrets: [2]string{plainOld, plainNew}, Query: []string{"token"}}},

	{name: "generic pairs", generic: &recipe.Generic{Header: "X-Sig", SignatureKey: "v1", TimestampKey: "t", Signed: "{timestamp}.{body}", Algorithm: "sha512", Reading: mapping},
		suite: providertest.Verification{Secrets: [2]string{plainOld, plainNew}, Headers: []string{"X-Sig"}, Tolerance: makegood.SignatureTolerance,
			Sign: func(body []byte, at time.Time, secrets ...string) http.Header {
				header := fmt.Sprintf("t=%d", at.Unix())
				for _, s := range secrets {
					header += ",v1=" + macHex(sha512.New, s, fmt.Sprint(at.Unix()), ".", string(body))
				}
				return http.Header{"X-Sig": {header}}
			}}},
	{name: "generic everything", generic: &recipe.Generic{Header: "X-Sig", Prefix: "sha1=", Separator: " ", Key: "base64", KeyPrefix: "key_", Algorithm: "sha1",
		Signed: "{url}|{id}|{timestamp}|{body}", TimestampHeader: "X-Time", TimestampUnit: "ms", IDHeader: "X-Id", Reading: mapping},
		suite: providertest.Verification{Secrets: [2]string{"key_" + strings.TrimPrefix(whsecOld, "whsec_"), "key_" + strings.TrimPrefix(whsecNew, "whsec_")},
			Headers: []string{"X-Sig", "X-Time", "X-Id"}, Tolerance: makegood.SignatureTolerance,
			Sign: func(body []byte, at time.Time, secrets ...string) http.Header {
				var all []string
				for _, s := range secrets {
					encoded, ok := strings.CutPrefix(s, "key_")
					key, err := base64.StdEncoding.DecodeString(encoded)
					if err != nil || !ok || strings.Contains(s, "\n") {
						panic("no key")
					}
					all = append(all, "sha1="+macHex(sha1.New, string(key), hookURL, "|d-1|", fmt.Sprint(at.UnixMilli()), "|", string(body)))
				}
				return http.Header{"X-Sig": {strings.Join(all, " ")}, "X-Time": {fmt.Sprint(at.UnixMilli())}, "X-Id": {"d-1"}}
			}}},
	{name: "generic hex key, base64", generic: &recipe.Generic{Header: "X-Sig", Key: "hex", Encoding: "base64", Signed: "body", Reading: mapping},
		suite: providertest.Verification{Secrets: [2]string{hexOld, hexNew}, Headers: []string{"X-Sig"},
			Sign: signHeader("X-Sig", "", func(secret string, body []byte) string { return macBase64(keyOfHex(secret), string(body)) })}},
}

// mapping is a reading that says little.
var mapping = recipe.Mapping{EventID: "id", EventType: "type", Facts: []recipe.FactMapping{{
	Status: "status", Is: map[string]string{"paid": "paid"}, Session: "order", Amount: "amount", Currency: "currency",
	Lines: recipe.LineMapping{OrderCode: "product"},
}}}

func TestVerifyConforms(t *testing.T) {
	t.Parallel()
	for _, tt := range signers {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			v := tt.suite
			v.Now = now
			v.New = func(secrets ...provider.Secret) (provider.Source, error) {
				name, _, _ := strings.Cut(tt.name, " ")
				o := options(name, secrets...)
				o.Generic = tt.generic
				return recipe.New(o)
			}
			if v.Body == nil {
				v.Body = []byte(`{"id":"evt_1","type":"order.paid","status":"paid"}`)
			}
			v.Run(t)
		})
	}
}

func TestEveryProviderIsVerified(t *testing.T) {
	t.Parallel()
	tried := map[string]bool{}
	for _, tt := range signers {
		name, _, _ := strings.Cut(tt.name, " ")
		tried[name] = true
	}
	for _, info := range recipe.Providers() {
		if !tried[info.Name] {
			t.Errorf("the provider %q is not put to the hostile suite", info.Name)
		}
	}
}

// reasonOf returns why a delivery was refused, and "" when it was not.
func reasonOf(err error) provider.Reason {
	var refused *provider.SignatureError
	if errors.As(err, &refused) {
		return refused.Reason
	}
	if err != nil {
		return provider.Reason("not a signature error: " + err.Error())
	}
	return ""
}
