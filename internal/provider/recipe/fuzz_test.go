package recipe_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/makegood/makegood/internal/outbound"
	"github.com/makegood/makegood/internal/provider"
	"github.com/makegood/makegood/internal/provider/recipe"
	"github.com/makegood/makegood/internal/secret"
)

// FuzzVerify puts any header, address and body to every way of signing. Nothing panics, an error is always a
// *provider.SignatureError, and what is accepted was signed: its own signature by the test is the same.
func FuzzVerify(f *testing.F) {
	sources := map[string]provider.Source{}
	for _, tt := range signers {
		name, _, _ := strings.Cut(tt.name, " ")
		o := options(name, active(tt.suite.Secrets[:]...)...)
		o.Generic = tt.generic
		sources[tt.name] = source(f, o)
		h := http.Header{}
		if tt.suite.Sign != nil {
			h = tt.suite.Sign([]byte("{}"), now, tt.suite.Secrets[0])
		}
		for _, header := range tt.suite.Headers {
			f.Add(h.Get(header), h.Get(strings.Replace(header, "signature", "timestamp", 1)), "msg_2Lh9vFcXy", []byte("{}"))
		}
	}
	f.Add("", "", "", []byte(adyenItems(sealedPaid)))
	f.Fuzz(func(t *testing.T, signature, timestamp, id string, body []byte) {
		for _, tt := range signers {
			d := provider.Delivery{Header: http.Header{}, Body: body, ReceivedAt: now, Query: url.Values{"token": {signature}}}
			for _, name := range tt.suite.Headers {
				value := signature
				switch lower := strings.ToLower(name); {
				case strings.HasSuffix(lower, "-id"):
					value = id
				case strings.HasSuffix(lower, "timestamp"), strings.HasSuffix(lower, "time"):
					value = timestamp
				}
				d.Header.Set(name, value)
			}
			_, err := sources[tt.name].Verify(d)
			if err != nil {
				if strings.HasPrefix(string(reasonOf(err)), "not a") {
					t.Errorf("%s: Verify = %v, want a *provider.SignatureError", tt.name, err)
				}
				continue
			}
			switch {
			case tt.suite.BodyIsOpen && signature != plainOld && signature != plainNew:
				t.Errorf("%s: accepts the token %q", tt.name, signature)
			case len(tt.suite.Headers) == 1 && tt.suite.Tolerance == 0 && !isOurs(tt.suite.Sign, tt.suite.Secrets, body, signature, tt.suite.Headers[0]):
				t.Errorf("%s: accepts %q over %q", tt.name, signature, body)
			}
		}
	})
}

func isOurs(sign func([]byte, time.Time, ...string) http.Header, secrets [2]string, body []byte, signature, header string) bool {
	return sign(body, now, secrets[0]).Get(header) == signature || sign(body, now, secrets[1]).Get(header) == signature
}

// FuzzStandardWebhooks compares with the official library: whatever we accept, it accepts, apart from the tolerance.
func FuzzStandardWebhooks(f *testing.F) {
	library, err := standardwebhooks.NewWebhook(whsecOld)
	if err != nil {
		f.Fatal(err)
	}
	h := signStandard("webhook", itself)([]byte("{}"), now, whsecOld)
	value := h.Get("webhook-signature")
	for _, header := range []string{value, "", "v1,", value + " " + value, "v1a," + value, strings.Repeat("v1, ", 20), value + ","} {
		f.Add(header, fmt.Sprint(now.Unix()), "msg_2Lh9vFcXy", []byte("{}"))
	}
	s := source(f, options("standard-webhooks", active(whsecOld)...))
	f.Fuzz(func(t *testing.T, signature, timestamp, id string, body []byte) {
		h := http.Header{}
		h.Set("webhook-signature", signature)
		h.Set("webhook-timestamp", timestamp)
		h.Set("webhook-id", id)
		_, err := s.Verify(provider.Delivery{Header: h, Body: body, ReceivedAt: now})
		if err == nil && library.VerifyIgnoringTimestamp(body, h) != nil {
			t.Errorf("we accept %q, %q, %q over %q, and the library does not", signature, timestamp, id, body)
		}
	})
}

// FuzzInterpret reads any body, and any answer of the API to it, by every row. Whatever comes of it must be well formed,
// of our mode and of one order, and must settle without a panic. Asking over HTTP is never twice the same to the fuzzer, so
// run it with -fuzzminimizetime 1x.
func FuzzInterpret(f *testing.F) {
	var answer string // the fuzzer runs its function one call at a time within a process
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, answer) }))
	f.Cleanup(api.Close)
	sources := map[string]provider.Source{}
	for _, info := range recipe.Providers() {
		o := options(info.Name, active(secretOf(info.Name))...)
		o.APIBase, o.HTTP = api.URL, outbound.New(outbound.Options{AllowPrivate: true})
		if info.Name == "generic" {
			o.Generic = shop()
		}
		sources[info.Name] = source(f, o)
		if info.UsesAPIKey != "" {
			o.APIKey = secret.Value{}
			sources[info.Name+" without a key"] = source(f, o)
		}
	}
	for _, tt := range bodies {
		f.Add(tt.body, tt.api)
	}
	f.Add(shopSale, "")
	f.Fuzz(func(t *testing.T, body, api string) {
		answer = api
		for name, s := range sources {
			one, two := s.Identify([]byte(body)), s.Identify([]byte(body))
			if one.ProviderID == "" || one.ProviderID != two.ProviderID || len(one.ProviderID) > 300 || one.Source != "shop" {
				t.Errorf("%s: Identify = %+v, then %+v", name, one, two)
			}
			got, err := interpret(t.Context(), s, body)
			checkReading(t, got, err)
			if asker, ok := s.(provider.Asker); ok {
				if asked, err := asker.Ask(t.Context(), "tr_7UhSN1zuXS"); err == nil {
					checkReading(t, asked, nil)
				}
			}
		}
	})
}
