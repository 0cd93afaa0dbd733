package stripe_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stripe/stripe-go/v85/webhook"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/provider"
	"github.com/makegood/makegood/internal/provider/providertest"
	"github.com/makegood/makegood/internal/provider/stripe"
	"github.com/makegood/makegood/internal/secret"
)

const (
	oldSecret = "whsec_5WbX2dLnM8qRt7vYzA3cEfGhJkPsUw4x"
	newSecret = "whsec_Q9eRtYuIoPaSdFgHjKlZxCvBnM1234ab"
)

// now is a fixed time on a full second.
var now = time.Date(2026, 9, 1, 12, 0, 0, 0, time.UTC)

// oracle signs with stripe-go, which knows nothing of our verifier.
func oracle(body []byte, at time.Time, secrets ...string) http.Header {
	header := ""
	for _, s := range secrets {
		signed := webhook.GenerateTestSignedPayload(&webhook.UnsignedPayload{Payload: body, Secret: s, Timestamp: at})
		if header == "" {
			header = signed.Header
			continue
		}
		_, v1, _ := strings.Cut(signed.Header, ",")
		header += "," + v1
	}
	return http.Header{stripe.SignatureHeader: {header}}
}

// sourceOf is source with secrets that have no end.
func sourceOf(secrets ...string) (provider.Source, error) {
	var known []provider.Secret
	for _, s := range secrets {
		known = append(known, provider.Secret{Value: secret.New(s)})
	}
	return source(known...)
}

func source(secrets ...provider.Secret) (provider.Source, error) {
	s, err := stripe.New(stripe.Options{Name: "stripe", WebhookSecrets: secrets, Now: func() time.Time { return now }})
	if err != nil {
		return nil, err
	}
	return s, nil
}

func TestVerifyConforms(t *testing.T) {
	t.Parallel()
	providertest.Verification{
		New: source, Sign: oracle, Headers: []string{stripe.SignatureHeader}, Secrets: [2]string{oldSecret, newSecret},
		Body: []byte(bodyPaid), Tolerance: makegood.SignatureTolerance, Now: now,
	}.Run(t)
}

func TestVerifyReadsHeadersStrictly(t *testing.T) {
	t.Parallel()
	body := []byte(bodyPaid)
	genuine := oracle(body, now, oldSecret).Get(stripe.SignatureHeader)
	stamp, v1, _ := strings.Cut(genuine, ",")
	bad := "v1=" + strings.Repeat("0", 64)
	upper := "v1=" + strings.ToUpper(strings.TrimPrefix(v1, "v1="))
	other := strings.Replace(oracle(body, now.Add(time.Second), oldSecret).Get(stripe.SignatureHeader), "v1=", "v1=", 1)
	otherStamp, _, _ := strings.Cut(other, ",")

	for _, tt := range []struct {
		name   string
		header string
		want   provider.Reason // "" for accepted
	}{
		{"as Stripe sends it", genuine, ""},
		{"with the test scheme", genuine + ",v0=6ffbb59b2300aae63f272406069a9788598b792a944a07aba816edb039989a39", ""},
		{"a scheme of the future", genuine + ",v2=abc", ""},
		{"the signature first", v1 + "," + stamp, ""},
		{"a bad signature before the good one", stamp + "," + bad + "," + v1, ""},
		{"a bad signature after the good one", genuine + "," + bad, ""},
		{"a signature that cannot be read beside the good one", stamp + ",v1=xyz," + v1, ""},
		{"an empty signature beside the good one", stamp + ",v1=," + v1, ""},
		{"sixteen signatures", genuine + strings.Repeat(","+bad, makegood.SignaturesMax-1), ""},
		{"seventeen signatures", genuine + strings.Repeat(","+bad, makegood.SignaturesMax), provider.ReasonMalformed},
		{"seventeen of other schemes", genuine + strings.Repeat(",v0=00", makegood.SignaturesMax), provider.ReasonMalformed},

		{"only the test scheme", stamp + "," + strings.Replace(v1, "v1", "v0", 1), provider.ReasonMalformed},
		{"upper-case digits", stamp + "," + upper, provider.ReasonMismatch},
		{"one digit short", genuine[:len(genuine)-1], provider.ReasonMismatch},
		{"one digit more", genuine + "0", provider.ReasonMismatch},
		{"two digits more", genuine + "00", provider.ReasonMismatch},
		{"all zeros", stamp + "," + bad, provider.ReasonMismatch},
		{"base64 in the place of hexadecimal", stamp + ",v1=uK8TaqqJfQ5mAFUfnYg4GQfrlKTyPrAJ0DTSCDRC8vk", provider.ReasonMismatch},
		{"base64 with padding", stamp + ",v1=uK8TaqqJfQ5mAFUfnYg4GQfrlKTyPrAJ0DTSCDRC8vk=", provider.ReasonMalformed},

		{"the time doubled", stamp + "," + stamp + "," + v1, provider.ReasonMalformed},
		{"another time before", otherStamp + "," + genuine, provider.ReasonMalformed},
		{"another time after", genuine + "," + otherStamp, provider.ReasonMalformed},
		{"no time", v1, provider.ReasonMalformed},
		{"an empty time", "t=," + v1, provider.ReasonMalformed},
		{"no signature", stamp, provider.ReasonMalformed},
		{"a sign before the time", strings.Replace(genuine, "t=", "t=+", 1), provider.ReasonMalformed},
		{"a negative time", "t=-1," + v1, provider.ReasonMalformed},
		{"a leading zero", strings.Replace(genuine, "t=", "t=0", 1), provider.ReasonMalformed},
		{"a fraction", strings.Replace(genuine, ",", ".0,", 1), provider.ReasonMalformed},
		{"hexadecimal time", "t=0x5f," + v1, provider.ReasonMalformed},
		{"a time of thirteen digits", "t=" + strings.Repeat("9", 13) + "," + v1, provider.ReasonMalformed},
		{"an endless time", "t=" + strings.Repeat("9", 1000) + "," + v1, provider.ReasonMalformed},
		{"time zero", "t=0," + v1, provider.ReasonMismatch},

		{"a blank after the comma", stamp + ", " + v1, provider.ReasonMalformed},
		{"a blank in a scheme that does not matter", genuine + ", v0=00", provider.ReasonMalformed},
		{"a blank in a value that does not matter", genuine + ",v0=0 0", provider.ReasonMalformed},
		{"a tab after the comma", stamp + ",\t" + v1, provider.ReasonMalformed},
		{"a blank before", " " + genuine, provider.ReasonMalformed},
		{"a blank around the equals sign", strings.Replace(genuine, "v1=", "v1 =", 1), provider.ReasonMalformed},
		{"a line break", genuine + "\n", provider.ReasonMalformed},
		{"a letter that only looks like v", strings.Replace(genuine, "v1", "ѵ1", 1), provider.ReasonMalformed},
		{"a comma at the end", genuine + ",", provider.ReasonMalformed},
		{"two commas", stamp + ",," + v1, provider.ReasonMalformed},
		{"a pair without equals sign", genuine + ",v0", provider.ReasonMalformed},
		{"a pair with two equals signs", genuine + ",v0=a=b", provider.ReasonMalformed},
		{"a pair without a key", genuine + ",=a", provider.ReasonMalformed},
		{"a semicolon in the place of the comma", strings.Replace(genuine, ",", ";", 1), provider.ReasonMalformed},
		{"keys in upper case", strings.ToUpper(genuine), provider.ReasonMalformed},
		{"a header of 5,000 bytes", genuine + ",v0=" + strings.Repeat("0", 5000), provider.ReasonMalformed},
		{"empty", "", provider.ReasonMissing},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s, err := sourceOf(newSecret, oldSecret)
			if err != nil {
				t.Fatal(err)
			}
			_, err = s.Verify(provider.Delivery{Header: http.Header{stripe.SignatureHeader: {tt.header}}, Body: body, ReceivedAt: now})
			if got := reasonOf(err); got != tt.want {
				t.Errorf("Verify with the header %.90q = %v, want reason %q", tt.header, err, tt.want)
			}
		})
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

func TestVerifyTellsTheSkew(t *testing.T) {
	t.Parallel()
	for _, age := range []time.Duration{time.Hour, -time.Hour} {
		s, err := sourceOf(oldSecret)
		if err != nil {
			t.Fatal(err)
		}
		_, err = s.Verify(provider.Delivery{Header: oracle(nil, now.Add(-age), oldSecret), ReceivedAt: now})
		var refused *provider.SignatureError
		if !errors.As(err, &refused) || refused.Skew != time.Hour {
			t.Errorf("Verify of a delivery aged %v = %v, want a skew of 1h", age, err)
		}
	}
}

func TestVerifyNamesTheFirstSecretThatMatches(t *testing.T) {
	t.Parallel()
	s, err := sourceOf(newSecret, oldSecret)
	if err != nil {
		t.Fatal(err)
	}
	got, err := s.Verify(provider.Delivery{Header: oracle(nil, now, oldSecret, newSecret), ReceivedAt: now})
	if want := secret.New(newSecret).Fingerprint(); err != nil || got != want {
		t.Errorf("Verify of two signatures = %q, %v; want %q, the secret that is named first", got, err, want)
	}
}

func TestVerifyWithoutReceivedAtUsesOurClock(t *testing.T) {
	t.Parallel()
	s, err := sourceOf(oldSecret)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Verify(provider.Delivery{Header: oracle(nil, now, oldSecret)}); err != nil {
		t.Errorf("Verify now = %v, want it accepted", err)
	}
	if _, err := s.Verify(provider.Delivery{Header: oracle(nil, now.Add(-time.Hour), oldSecret)}); reasonOf(err) != provider.ReasonTooOld {
		t.Errorf("Verify an hour later = %v, want too_old", err)
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	good := stripe.Options{Name: "stripe", WebhookSecrets: provider.Active(secret.New(oldSecret))}
	for _, tt := range []struct {
		name   string
		change func(*stripe.Options)
		want   string
	}{
		{"no name", func(o *stripe.Options) { o.Name = "" }, "needs a name"},
		{"no secret", func(o *stripe.Options) { o.WebhookSecrets = nil }, "no webhook secret"},
		{"an empty secret", func(o *stripe.Options) { o.WebhookSecrets = append(o.WebhookSecrets, provider.Secret{}) }, "secret 1 of source \"stripe\" is empty"},
		{"a test key in live mode", func(o *stripe.Options) { o.Live, o.APIKey = true, secret.New("rk_test_1234567890abcdefgh") }, "other mode"},
		{"a live key in test mode", func(o *stripe.Options) { o.APIKey = secret.New("sk_live_1234567890abcdefgh") }, "other mode"},
		{"an account that is none", func(o *stripe.Options) { o.Account = "ann@example.com" }, "acct_"},
		{"a base URL without host", func(o *stripe.Options) { o.BaseURL = "api.stripe.com" }, "base URL"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			o := good
			tt.change(&o)
			if _, err := stripe.New(o); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("New = %v, want an error with %q", err, tt.want)
			}
		})
	}
	if _, err := stripe.New(good); err != nil {
		t.Errorf("New with good options: %v", err)
	}
}

// FuzzVerifyHeader compares with stripe-go: whatever we accept, it accepts (it is laxer in every rule but one, the
// tolerance, which is left out here), and nothing panics.
func FuzzVerifyHeader(f *testing.F) {
	body := []byte(`{"id":"evt_1"}`)
	genuine := oracle(body, now, oldSecret).Get(stripe.SignatureHeader)
	for _, header := range []string{genuine, "", "t=1", "t=1,v1=", ",", "=", genuine + "," + genuine, "t=99999999999999999999,v1=00",
		strings.ToUpper(genuine), genuine + ",v0=1", " " + genuine, strings.Repeat("v1=,", 100)} {
		f.Add(header, body)
	}
	s, err := sourceOf(oldSecret, newSecret)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, header string, body []byte) {
		_, err := s.Verify(provider.Delivery{Header: http.Header{stripe.SignatureHeader: {header}}, Body: body, ReceivedAt: now})
		if err == nil {
			if webhook.ValidatePayloadIgnoringTolerance(body, header, oldSecret) != nil && webhook.ValidatePayloadIgnoringTolerance(body, header, newSecret) != nil {
				t.Errorf("Verify accepts %q, stripe-go does not", header)
			}
		} else if reasonOf(err) == "" {
			t.Errorf("Verify(%q) = %v, want a *provider.SignatureError", header, err)
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	for _, size := range []int{2 << 10, 20 << 10} {
		for _, secrets := range [][]string{{oldSecret}, {newSecret, oldSecret}} {
			b.Run(fmt.Sprintf("%dKB/%dsecrets", size>>10, len(secrets)), func(b *testing.B) {
				s, err := sourceOf(secrets...)
				if err != nil {
					b.Fatal(err)
				}
				body := []byte(strings.Repeat("x", size))
				d := provider.Delivery{Header: oracle(body, now, oldSecret), Body: body, ReceivedAt: now}
				b.ReportAllocs()
				b.SetBytes(int64(size))
				for b.Loop() {
					if _, err := s.Verify(d); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
