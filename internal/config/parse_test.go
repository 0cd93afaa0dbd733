package config_test

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/config"
	"github.com/makegood/makegood/internal/secret"
)

// environment has a good secret for every reference in the files of these tests.
var environment = map[string]string{
	"STRIPE_API_KEY":        "rk_test_Zq7Tn3Vb9Kx2Lm5Pw8Rd4Fg6",
	"STRIPE_LIVE_KEY":       "sk_live_Zq7Tn3Vb9Kx2Lm5Pw8Rd4Fg6",
	"STRIPE_WEBHOOK_SECRET": "whsec_Zq7Tn3Vb9Kx2Lm5Pw8Rd4Fg6Hj1Sc0Ya",
	"STRIPE_SECOND_SECRET":  "whsec_Yp6Sm2Ua8Jw1Kl4Ov7Qc3Ef5Gi0Rb9Xz",
	"LICENSE_KEY_SECRET":    "5f1d0c7be83a94262d6e0b9f41c8a735",
	"OLD_KEY_SECRET":        "a94262d6e0b9f41c8a7355f1d0c7be83",
	"RESEND_API_KEY":        "re_Zq7Tn3Vb_9Kx2Lm5Pw8Rd4Fg6Hj1Sc0Ya",
	"SMTP_PASSWORD":         "correct horse",
}

func lookup(name string) (string, bool) {
	s, ok := environment[name]
	return s, ok
}

// with is lookup with other values.
func with(values map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		if s, ok := values[name]; ok {
			return s, true
		}
		return lookup(name)
	}
}

// good is the file that the tests change. Its lines are counted in the problems below.
const good = `public_url: https://shop.example.com
node: shop-1
sources:
  - name: stripe
    provider: stripe
    mode: test
    api_key: env:STRIPE_API_KEY
    webhook_secrets: [env:STRIPE_WEBHOOK_SECRET]
products:
  - code: az-900
    name: AZ-900 practice exam
    price: 29.00 USD
  - code: sc-900
    name: SC-900 practice exam
    price: 2900 JPY
licenses:
  key_secrets:
    - id: k1
      secret: env:LICENSE_KEY_SECRET
mail:
  from: Shop <shop@example.com>
  resend: {api_key: env:RESEND_API_KEY}
`

// change replaces in good what is there exactly once.
func change(t *testing.T, old, now string) string {
	t.Helper()
	if n := strings.Count(good, old); n != 1 {
		t.Fatalf("%q is in the file %d times, want once", old, n)
	}
	return strings.Replace(good, old, now, 1)
}

func TestParseDefaults(t *testing.T) {
	t.Parallel()
	got, err := config.Parse([]byte(good), "makegood.yaml", "/etc/makegood", lookup)
	if err != nil {
		t.Fatal(err)
	}
	policy := makegood.RetryPolicy{Attempts: 100, Base: time.Second, Cap: time.Hour}
	want := &config.Config{
		Listen:    "127.0.0.1:8080",
		PublicURL: "https://shop.example.com",
		Database:  "sqlite:/etc/makegood/makegood.db",
		Node:      "shop-1",
		Log:       config.Log{Level: "info", Format: "text"},
		Sources: []config.Source{{
			Name: "stripe", Provider: "stripe", APIBase: "https://api.stripe.com",
			APIKey:         secret.New(environment["STRIPE_API_KEY"]),
			WebhookSecrets: []secret.Value{secret.New(environment["STRIPE_WEBHOOK_SECRET"])},
		}},
		Catalogue: makegood.Catalogue{
			"az-900": {Code: "az-900", Name: "AZ-900 practice exam", Price: makegood.Money{Minor: 2900, Currency: "usd"}, LicensePrefix: "GD"},
			"sc-900": {Code: "sc-900", Name: "SC-900 practice exam", Price: makegood.Money{Minor: 2900, Currency: "jpy"}, LicensePrefix: "GD"},
		},
		Checkout: config.Checkout{Source: "stripe", SuccessURL: "https://shop.example.com/thanks?session_id={CHECKOUT_SESSION_ID}", CancelURL: "https://shop.example.com/"},
		Licenses: config.Licenses{KeySecrets: []config.KeySecret{{ID: "k1", Secret: secret.New(environment["LICENSE_KEY_SECRET"])}}},
		Mail: config.Mail{From: "Shop <shop@example.com>", Resend: &config.Resend{
			APIBase: "https://api.resend.com", APIKey: secret.New(environment["RESEND_API_KEY"])}},
		Retry:    config.Retry{Events: policy, Mail: policy},
		Workers:  config.Workers{Payments: 16, Effects: 16},
		Limits:   config.Limits{VerifyPerMinute: 30, ValidatePerMinute: 120, CheckoutPerMinute: 20},
		Outbound: config.Outbound{Timeout: 10 * time.Second},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Parse (-want +got):\n%s", diff)
	}
}

// everything says every key, and none as its default.
const everything = `
listen: "[::1]:0"
public_url: http://127.0.0.1:8080/
database: env:DATABASE_URL
node: shop-1
log: {level: debug, format: json}
sources:
  - name: stripe
    provider: stripe
    mode: live
    account: acct_1NzBq2Lk3Pw8
    api_base: http://127.0.0.1:9000/stripe/
    api_key: env:STRIPE_LIVE_KEY
    webhook_secrets:
      - env:STRIPE_WEBHOOK_SECRET
      - env:STRIPE_SECOND_SECRET
  - {name: other, provider: stripe, mode: test, api_key: env:STRIPE_API_KEY, webhook_secrets: [env:STRIPE_SECOND_SECRET]}
products:
  - {code: az-900, name: AZ-900, price: 29 USD, license_prefix: AZ, stocked: true, provider_prices: {stripe: price_1, other: price_1}}
checkout: {source: other, success_url: "https://shop.example.com/a/{CHECKOUT_SESSION_ID}", cancel_url: "http://localhost/no"}
licenses: {key_secrets: [{id: k2, secret: env:LICENSE_KEY_SECRET}, {id: k1, secret: env:OLD_KEY_SECRET}]}
mail:
  from: shop@example.com
  reply_to: help@example.com
  smtp: {host: localhost, port: 2525, username: shop, password: env:SMTP_PASSWORD, tls: none}
retry:
  events: {attempts: 1, base: 10ms, cap: 10ms}
  mail: {attempts: 1000, base: 1m, cap: 24h}
workers: {payments: 1, effects: 256}
limits: {verify_per_minute: 1, validate_per_minute: 2, checkout_per_minute: 3, trusted_proxies: [10.0.0.1, fd00::/8]}
outbound: {allow_private: true, timeout: 20s}
`

func TestParseEverything(t *testing.T) {
	t.Parallel()
	env := with(map[string]string{"DATABASE_URL": "postgres://makegood@/makegood?host=/run/postgresql"})
	got, err := config.Parse([]byte(everything), "makegood.yaml", "", env)
	if err != nil {
		t.Fatal(err)
	}
	first, second := secret.New(environment["STRIPE_WEBHOOK_SECRET"]), secret.New(environment["STRIPE_SECOND_SECRET"])
	want := &config.Config{
		Listen:    "[::1]:0",
		PublicURL: "http://127.0.0.1:8080",
		Database:  "postgres://makegood@/makegood?host=/run/postgresql",
		Node:      "shop-1",
		Log:       config.Log{Level: "debug", Format: "json"},
		Sources: []config.Source{
			{Name: "stripe", Provider: "stripe", Live: true, Account: "acct_1NzBq2Lk3Pw8", APIBase: "http://127.0.0.1:9000/stripe",
				APIKey: secret.New(environment["STRIPE_LIVE_KEY"]), WebhookSecrets: []secret.Value{first, second}},
			{Name: "other", Provider: "stripe", APIBase: "https://api.stripe.com",
				APIKey: secret.New(environment["STRIPE_API_KEY"]), WebhookSecrets: []secret.Value{second}},
		},
		Catalogue: makegood.Catalogue{"az-900": {Code: "az-900", Name: "AZ-900", Price: makegood.Money{Minor: 2900, Currency: "usd"},
			LicensePrefix: "AZ", Stocked: true, ProviderPrice: map[string]string{"stripe": "price_1", "other": "price_1"}}},
		Checkout: config.Checkout{Source: "other", SuccessURL: "https://shop.example.com/a/{CHECKOUT_SESSION_ID}", CancelURL: "http://localhost/no"},
		Licenses: config.Licenses{KeySecrets: []config.KeySecret{
			{ID: "k2", Secret: secret.New(environment["LICENSE_KEY_SECRET"])}, {ID: "k1", Secret: secret.New(environment["OLD_KEY_SECRET"])}}},
		Mail: config.Mail{From: "shop@example.com", ReplyTo: "help@example.com",
			SMTP: &config.SMTP{Host: "localhost", Port: 2525, Username: "shop", Password: secret.New(environment["SMTP_PASSWORD"]), TLS: "none"}},
		Retry: config.Retry{
			Events: makegood.RetryPolicy{Attempts: 1, Base: 10 * time.Millisecond, Cap: 10 * time.Millisecond},
			Mail:   makegood.RetryPolicy{Attempts: 1000, Base: time.Minute, Cap: 24 * time.Hour}},
		Workers:  config.Workers{Payments: 1, Effects: 256},
		Limits:   config.Limits{VerifyPerMinute: 1, ValidatePerMinute: 2, CheckoutPerMinute: 3, TrustedProxies: []string{"10.0.0.1", "fd00::/8"}},
		Outbound: config.Outbound{AllowPrivate: true, Timeout: 20 * time.Second},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Parse (-want +got):\n%s", diff)
	}
}

// TestParseAccepts has what looks wrong and is not.
func TestParseAccepts(t *testing.T) {
	t.Parallel()
	const url, from, product = "public_url: https://shop.example.com\n", "  from: Shop <shop@example.com>\n", "    price: 29.00 USD\n"
	for _, tt := range []struct{ name, old, now string }{
		{"byte order mark", url, "\uFEFF" + url},
		{"windows line ends", url + "node: shop-1\n", "public_url: https://shop.example.com\r\nnode: shop-1\r\n"},
		{"document marks", url, "---\n" + url},
		{"sections without keys", url, url + "log:\nretry: {events: }\nlimits:\n  trusted_proxies:\ncheckout: {}\n"},
		{"empty where empty is the default", url, url + "checkout: {source: \"\", success_url: '', cancel_url: \"\"}\n"},
		{"empty optional text", from, from + "  reply_to: \"\"\n"},
		{"empty account", "    mode: test\n", "    mode: test\n    account: \"\"\n    api_base: \"\"\n"},
		{"http while only testing", url, "public_url: http://shop.example.com\n"},
		{"port of any interface", url, url + "listen: :8080\n"},
		{"ipv6", url, url + "listen: '[2001:db8::1]:8080'\n"},
		{"block text", url, url + "listen: |-\n  127.0.0.1:8080\n"},
		{"postgresql scheme", url, url + "database: postgresql://shop@db/shop\n"},
		{"password in the database", url, url + "database: postgres://shop:swordfish@db/shop\n"},
		{"absolute sqlite", url, url + "database: sqlite:/var/lib/makegood/makegood.db\n"},
		{"price ids of none", product, product + "    provider_prices: {}\n"},
		{"private api with leave", "    mode: test\n", "    mode: test\n    api_base: http://10.0.0.1:9000\n"},
		{"zero that needs no unit", url, url + "retry: {mail: {attempts: 1}}\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			file := change(t, tt.old, tt.now)
			if strings.Contains(file, "//10.0.0.1") {
				file += "outbound: {allow_private: true}\n"
			}
			if _, err := config.Parse([]byte(file), "makegood.yaml", "", lookup); err != nil {
				t.Errorf("Parse = %v, want no problem", err)
			}
		})
	}
}

func TestParseFindsTheHostName(t *testing.T) {
	t.Parallel()
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	got, err := config.Parse([]byte(change(t, "node: shop-1\n", "node: \"\"\n")), "makegood.yaml", "", lookup)
	if err != nil {
		t.Fatal(err)
	}
	if got.Node != host {
		t.Errorf("Node = %q, want %q", got.Node, host)
	}
}

func TestParseUsualSMTPPorts(t *testing.T) {
	t.Parallel()
	for tls, want := range map[string]int{"starttls": 587, "implicit": 465, "none": 25} {
		file := change(t, "  resend: {api_key: env:RESEND_API_KEY}", "  smtp: {host: mail.example.com, tls: "+tls+"}")
		got, err := config.Parse([]byte(file), "makegood.yaml", "", lookup)
		if err != nil {
			t.Fatal(err)
		}
		if got.Mail.SMTP.Port != want {
			t.Errorf("port for %s = %d, want %d", tls, got.Mail.SMTP.Port, want)
		}
	}
}

func TestLoad(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "makegood.yaml")
	file := change(t, "env:LICENSE_KEY_SECRET", "file:license_key")
	for name, content := range map[string]string{"makegood.yaml": file, "license_key": environment["LICENSE_KEY_SECRET"] + "\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got, err := config.Load(path, lookup)
	if err != nil {
		t.Fatal(err)
	}
	if want := "sqlite:" + filepath.Join(dir, "makegood.db"); got.Database != want {
		t.Errorf("Database = %q, want %q, beside the file", got.Database, want)
	}
	if !got.Licenses.KeySecrets[0].Secret.Equal(secret.New(environment["LICENSE_KEY_SECRET"])) {
		t.Error("the secret in a file beside the configuration was not read")
	}
}

func TestLoadRefuses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	huge := filepath.Join(dir, "huge.yaml")
	if err := os.WriteFile(huge, make([]byte, 1<<20+1), 0o600); err != nil {
		t.Fatal(err)
	}
	missing := filepath.Join(dir, "missing.yaml")
	for path, want := range map[string]string{
		missing: "the configuration file does not exist; makegood init writes one to start from (" + missing + ")",
		dir:     "the configuration file is not a regular file (" + dir + ")",
		huge:    "is larger than 1048576 bytes and can hardly be a configuration (" + huge + ")",
	} {
		c, err := config.Load(path, lookup)
		if err == nil || err.Error() != want || c != nil {
			t.Errorf("Load = %v, %v, want nil, %s", c, err, want)
		}
	}
}

// TestDatabasePasswordIsNotPrinted holds the price of a password inside the URL: no printer shows it.
func TestDatabasePasswordIsNotPrinted(t *testing.T) {
	t.Parallel()
	for url, label := range map[string]string{
		"postgres://shop:swordfish@db:5432/shop":                              "postgres://shop@db:5432/shop",
		"postgresql://db/shop?password=swordfish&sslmode=require":             "postgresql://db/shop?sslmode=require",
		"postgres://shop:swordfish@db/shop?sslpassword=swordfish&sslkey=/key": "postgres://shop@db/shop?sslkey=%2Fkey",
	} {
		file := change(t, "node: shop-1\n", "node: shop-1\ndatabase: "+url+"\n")
		c, err := config.Parse([]byte(file), "makegood.yaml", "", lookup)
		if err != nil {
			t.Fatal(err)
		}
		if c.Database != url {
			t.Errorf("Database = %q, want %q", c.Database, url)
		}
		if got := c.DatabaseLabel(); got != label {
			t.Errorf("DatabaseLabel() = %q, want %q", got, label)
		}
		for _, printed := range printings(c) {
			if strings.Contains(printed, "swordfish") || !strings.Contains(printed, "https://shop.example.com") {
				t.Errorf("printed = %s, want everything but the password", printed)
			}
		}
	}
	sqlite := config.Config{Database: "sqlite:/a b?c"}
	if got := sqlite.DatabaseLabel(); got != "sqlite:/a b?c" {
		t.Errorf("DatabaseLabel() = %q, want the same", got)
	}
}

func TestSecretsListsEverySecret(t *testing.T) {
	t.Parallel()
	env := with(map[string]string{"DATABASE_URL": "sqlite:x.db"})
	c, err := config.Parse([]byte(everything), "makegood.yaml", "", env)
	if err != nil {
		t.Fatal(err)
	}
	c.Mail.Resend = &config.Resend{APIKey: secret.New(environment["RESEND_API_KEY"])}
	fingerprint := func(name string) string { return secret.New(environment[name]).Fingerprint() }
	want := []config.NamedSecret{
		{"sources[0].api_key", secret.StripeKey, fingerprint("STRIPE_LIVE_KEY")},
		{"sources[0].webhook_secrets[0]", secret.StripeWebhook, fingerprint("STRIPE_WEBHOOK_SECRET")},
		{"sources[0].webhook_secrets[1]", secret.StripeWebhook, fingerprint("STRIPE_SECOND_SECRET")},
		{"sources[1].api_key", secret.StripeKey, fingerprint("STRIPE_API_KEY")},
		{"sources[1].webhook_secrets[0]", secret.StripeWebhook, fingerprint("STRIPE_SECOND_SECRET")},
		{"licenses.key_secrets[0].secret", secret.LicenseKey, fingerprint("LICENSE_KEY_SECRET")},
		{"licenses.key_secrets[1].secret", secret.LicenseKey, fingerprint("OLD_KEY_SECRET")},
		{"mail.resend.api_key", secret.ResendKey, fingerprint("RESEND_API_KEY")},
		{"mail.smtp.password", secret.Password, ""},
	}
	if diff := cmp.Diff(want, config.Secrets(c)); diff != "" {
		t.Errorf("Secrets (-want +got):\n%s", diff)
	}
	if got := fmt.Sprint(slices.Collect(maps.Keys(environment)), config.Secrets(c)); strings.Contains(got, environment["SMTP_PASSWORD"]) {
		t.Error("Secrets shows a secret")
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(good))
	f.Add([]byte(everything))
	f.Add(config.Starter())
	for _, seed := range []string{"", "a", "- a", "a: &b *b", "<<: {}", "? a\n: b", "!!set {a}", "a: [", "\x00", "\xff", "%YAML 1.2\n---\n", "---\n---\na: b",
		strings.Repeat("[", 40), "sources: [[]]", "sources: [{webhook_secrets: {}}]", "licenses: |\n a", "{{}: a}", "node: .nan", "workers: {payments: 99999999999999999999}"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := config.Parse(data, "makegood.yaml", "", lookup)
		if (c == nil) == (err == nil) {
			t.Errorf("Parse = %v, %v, want one of them", c, err)
		}
		problems, _ := err.(config.Problems)
		lines := 1 + bytes.Count(data, []byte("\n")) + bytes.Count(data, []byte("\r")) // YAML ends lines at either
		for _, p := range problems {
			if p.Sentence == "" || p.Line < 0 || p.Line > lines || strings.Contains(p.String(), "\n") {
				t.Errorf("problem = %#v, want a sentence of one line at a line of the file", p)
			}
		}
	})
}
