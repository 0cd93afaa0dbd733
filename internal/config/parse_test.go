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

	"STRIPE_WEBHOOK_SECRET_OLD": "whsec_Kx2Lm5Pw8Rd4Fg6Hj1Sc0YaZq7Tn3Vb9",
	"FORWARD_SECRET":            "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD",
	"FORWARD_SECRET_OLD":        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
	"CONTROL_TOKEN":             "9Kx2Lm5Pw8Rd4Fg6Hj1Sc0Ya",
	"PAYPAL_SECRET":             "EO422dn3gQLgDbuwqTjzrFgFtaRLRR5BdHEESmha49TM",
	"PAYPAL_WEBHOOK":            "8PT597110X687430L",

	"WATCH_SECRET":        "1b7e40d2a85f3c69904e7d21c6b8f0a35d9e",
	"VANTAGE_SECRET":      "c6b8f0a35d9e1b7e40d2a85f3c69904e7d21",
	"WATCH_TRIGGER_TOKEN": "Rd4Fg6Hj1Sc0YaZq7Tn3Vb9K",
	"BACKUP_BEAT_TOKEN":   "e40d2a85f3c69904e7d21b8f",
	"WATCH_STRIPE_KEY":    "rk_live_Lm5Pw8Rd4Fg6Hj1Sc0Ya7Tn3",
	"WATCH_TEST_KEY":      "rk_test_Lm5Pw8Rd4Fg6Hj1Sc0Ya7Tn3",
	"NTFY_TOPIC":          "alerts-e40d2a85f3c6",
	"NTFY_TOKEN":          "tk_AgQdq7mVBoFD37zQVN29RhuMzNIz2",
	"SLACK_TOKEN":         "xoxb-17653672481-19874698323-pdFZKVeTuE8sk7oOcBrzbqgy",
	"TWILIO_TOKEN":        "3f8a0c5be61d4972a95c07e2b8d143f6",
	"GITHUB_ISSUES_TOKEN": "ghp_7Tn3Vb9Kx2Lm5Pw8Rd4Fg6Hj1Sc0YaZq7T",
	"PAGERDUTY_KEY":       "R0b5e1c47f3a49e28d7c1a6f0e9b2d84",
	"TELEGRAM_TOKEN":      "110201543:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw",
	"DISCORD_WEBHOOK":     "https://discord.com/api/webhooks/223704706495545344/3d89bb7572e0fb30d8128367b3b1b44fecd1726de135cbe28a41f8b2f777c372",
	"SENTRY_DSN":          "https://3d89bb7572e0fb30d8128367b3b1b44f@o447951.ingest.example.com/5429219",
	"STATUS_TOKEN":        "Bearer 9Kx2Lm5Pw8Rd4Fg6Hj1Sc0Ya",
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
	usual := makegood.Policy{PartialRefund: makegood.EntitledFully, Dispute: makegood.EntitledOnHold, DisputeLost: makegood.EntitledNoMore, Grace: 72 * time.Hour}
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
			WebhookSecrets: []config.DatedSecret{{Secret: secret.New(environment["STRIPE_WEBHOOK_SECRET"])}}, AcknowledgeWithin: 8 * time.Second,
		}},
		Catalogue: makegood.Catalogue{
			"az-900": {Code: "az-900", Name: "AZ-900 practice exam", Price: makegood.Money{Minor: 2900, Currency: "usd"}, LicensePrefix: "GD", Policy: usual},
			"sc-900": {Code: "sc-900", Name: "SC-900 practice exam", Price: makegood.Money{Minor: 2900, Currency: "jpy"}, LicensePrefix: "GD", Policy: usual},
		},
		Checkout: config.Checkout{Source: "stripe", SuccessURL: "https://shop.example.com/thanks?session_id={CHECKOUT_SESSION_ID}", CancelURL: "https://shop.example.com/"},
		Licenses: config.Licenses{KeySecrets: []config.KeySecret{{ID: "k1", Secret: secret.New(environment["LICENSE_KEY_SECRET"])}}},
		Mail: config.Mail{From: "Shop <shop@example.com>", Resend: &config.Resend{
			APIBase: "https://api.resend.com", APIKey: secret.New(environment["RESEND_API_KEY"])}},
		Control:  config.Control{Socket: "/etc/makegood/makegood.db.control"},
		Retry:    config.Retry{Events: policy, Mail: policy},
		Workers:  config.Workers{Payments: 16, Effects: 16},
		Limits:   config.Limits{VerifyPerMinute: 30, ValidatePerMinute: 120, CheckoutPerMinute: 20},
		Outbound: config.Outbound{Timeout: 10 * time.Second},
	}
	got.References = nil // TestReferences
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
    retiring_secrets: [{secret: env:STRIPE_WEBHOOK_SECRET_OLD, not_after: 2026-12-01T01:00:00+01:00}]
    acknowledge: fulfilled
    acknowledge_within: 5s
    retry: {attempts: 7, base: 3s, cap: 4m}
  - name: other-shop
    provider: generic
    mode: test
    webhook_secrets: [env:SMTP_PASSWORD]
    recipe:
      {header: X-Sig, prefix: "s=", separator: ";", signature_key: v1, timestamp_key: t, encoding: base64, key: hex, key_prefix: k_, algorithm: sha512,
       signed: "{timestamp}{body}", timestamp_header: X-T, timestamp_unit: ms, id_header: X-Id,
       reading: {format: form, event_id: a, event_type: b, created_at: c, object: d, live: e, live_value: f, facts: [
         {types: [g], references: [h], root: i, each: j, status: k, session: l, payment: m, id: n, amount: o, decimal: true, currency: p, fixed_currency: q,
          email: r, name: s, is: {done: paid}, lines: {list: t, price: u, code: v, label: w, quantity: x, unit: y, subtotal: z, order_code: aa, order_quantity: bb}}]}}
  - {name: paypal, provider: paypal, mode: test, account: 2J6QB8YJQSJRJ, client_id: app, api_key: env:PAYPAL_SECRET, webhook_secrets: [env:PAYPAL_WEBHOOK]}
  - {name: other, provider: stripe, mode: test, api_key: env:STRIPE_API_KEY, webhook_secrets: [env:STRIPE_SECOND_SECRET]}
products:
  - {code: az-900, name: AZ-900, price: 29 USD, license_prefix: AZ, stocked: true, provider_prices: {stripe: price_1, other: price_1},
     policy: {partial_refund: suspend, dispute: keep, dispute_lost: suspend, restock: false, grace: 1h}}
checkout: {source: other, success_url: "https://shop.example.com/a/{CHECKOUT_SESSION_ID}", cancel_url: "http://localhost/no"}
licenses: {key_secrets: [{id: k2, secret: env:LICENSE_KEY_SECRET}, {id: k1, secret: env:OLD_KEY_SECRET}]}
mail:
  from: shop@example.com
  reply_to: help@example.com
  smtp: {host: localhost, port: 2525, username: shop, password: env:SMTP_PASSWORD, tls: none}
forwards:
  - {name: shop, url: "http://localhost/hook", secrets: [env:FORWARD_SECRET], allow_private: true, timeout: 3s, per_second: 7,
     retiring_secrets: [{secret: env:FORWARD_SECRET_OLD, not_after: 2026-12-01T00:00:00Z}], retry: {attempts: 8, base: 5s, cap: 6m}}
control: {socket: /run/control, token: env:CONTROL_TOKEN}
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
	december := time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)
	want := &config.Config{
		Listen:    "[::1]:0",
		PublicURL: "http://127.0.0.1:8080",
		Database:  "postgres://makegood@/makegood?host=/run/postgresql",
		Node:      "shop-1",
		Log:       config.Log{Level: "debug", Format: "json"},
		Sources: []config.Source{
			{Name: "stripe", Provider: "stripe", Live: true, Account: "acct_1NzBq2Lk3Pw8", APIBase: "http://127.0.0.1:9000/stripe",
				APIKey: secret.New(environment["STRIPE_LIVE_KEY"]), WebhookSecrets: []config.DatedSecret{{Secret: first}, {Secret: second},
					{Secret: secret.New(environment["STRIPE_WEBHOOK_SECRET_OLD"]), NotAfter: december}}, AcknowledgeFulfilled: true,
				AcknowledgeWithin: 5 * time.Second, Retry: &makegood.RetryPolicy{Attempts: 7, Base: 3 * time.Second, Cap: 4 * time.Minute}},
			{Name: "other-shop", Provider: "generic", WebhookSecrets: []config.DatedSecret{{Secret: secret.New(environment["SMTP_PASSWORD"])}},
				AcknowledgeWithin: 8 * time.Second, Recipe: &config.Recipe{Header: "X-Sig", Prefix: "s=", Separator: ";", SignatureKey: "v1", TimestampKey: "t",
					Encoding: "base64", Key: "hex", KeyPrefix: "k_", Algorithm: "sha512", Signed: "{timestamp}{body}", TimestampHeader: "X-T",
					TimestampUnit: "ms", IDHeader: "X-Id", Reading: config.RecipeReading{Format: "form", EventID: "a", EventType: "b", CreatedAt: "c",
						Object: "d", Live: "e", LiveValue: "f", Facts: []config.RecipeFact{{Types: []string{"g"}, References: []string{"h"}, Root: "i",
							Each: "j", Status: "k", Session: "l", Payment: "m", ID: "n", Amount: "o", Decimal: true, Currency: "p", FixedCurrency: "q",
							Email: "r", Name: "s", Is: map[string]string{"done": "paid"}, Lines: config.RecipeLines{List: "t", Price: "u", Code: "v", Label: "w",
								Quantity: "x", Unit: "y", Subtotal: "z", OrderCode: "aa", OrderQuantity: "bb"}}}}}},
			{Name: "paypal", Provider: "paypal", Account: "2J6QB8YJQSJRJ", ClientID: "app", APIKey: secret.New(environment["PAYPAL_SECRET"]),
				WebhookSecrets: []config.DatedSecret{{Secret: secret.New(environment["PAYPAL_WEBHOOK"])}}, AcknowledgeWithin: 8 * time.Second},
			{Name: "other", Provider: "stripe", APIBase: "https://api.stripe.com",
				APIKey: secret.New(environment["STRIPE_API_KEY"]), WebhookSecrets: []config.DatedSecret{{Secret: second}}, AcknowledgeWithin: 8 * time.Second},
		},
		Catalogue: makegood.Catalogue{"az-900": {Code: "az-900", Name: "AZ-900", Price: makegood.Money{Minor: 2900, Currency: "usd"},
			LicensePrefix: "AZ", Stocked: true, Policy: makegood.Policy{PartialRefund: makegood.EntitledOnHold, Dispute: makegood.EntitledFully,
				DisputeLost: makegood.EntitledOnHold, KeepsGone: true, Grace: time.Hour}, ProviderPrice: map[string]string{"stripe": "price_1", "other": "price_1"}}},
		Checkout: config.Checkout{Source: "other", SuccessURL: "https://shop.example.com/a/{CHECKOUT_SESSION_ID}", CancelURL: "http://localhost/no"},
		Licenses: config.Licenses{KeySecrets: []config.KeySecret{
			{ID: "k2", Secret: secret.New(environment["LICENSE_KEY_SECRET"])}, {ID: "k1", Secret: secret.New(environment["OLD_KEY_SECRET"])}}},
		Mail: config.Mail{From: "shop@example.com", ReplyTo: "help@example.com",
			SMTP: &config.SMTP{Host: "localhost", Port: 2525, Username: "shop", Password: secret.New(environment["SMTP_PASSWORD"]), TLS: "none"}},
		Forwards: []config.Forward{{Name: "shop", URL: "http://localhost/hook", Timeout: 3 * time.Second, PerSecond: 7, AllowPrivate: true,
			Secrets: []config.DatedSecret{{Secret: secret.New(environment["FORWARD_SECRET"])}, {Secret: secret.New(environment["FORWARD_SECRET_OLD"]), NotAfter: december}},
			Retry:   makegood.RetryPolicy{Attempts: 8, Base: 5 * time.Second, Cap: 6 * time.Minute}}},
		Control: config.Control{Socket: "/run/control", Token: secret.New(environment["CONTROL_TOKEN"])},
		Retry: config.Retry{
			Events: makegood.RetryPolicy{Attempts: 1, Base: 10 * time.Millisecond, Cap: 10 * time.Millisecond},
			Mail:   makegood.RetryPolicy{Attempts: 1000, Base: time.Minute, Cap: 24 * time.Hour}},
		Workers:  config.Workers{Payments: 1, Effects: 256},
		Limits:   config.Limits{VerifyPerMinute: 1, ValidatePerMinute: 2, CheckoutPerMinute: 3, TrustedProxies: []string{"10.0.0.1", "fd00::/8"}},
		Outbound: config.Outbound{AllowPrivate: true, Timeout: 20 * time.Second},
	}
	got.References = nil // TestReferences
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
	december := time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)
	want := []config.NamedSecret{
		{Path: "sources[0].api_key", Kind: secret.StripeKey, Fingerprint: fingerprint("STRIPE_LIVE_KEY")},
		{Path: "sources[0].webhook_secrets[0]", Kind: secret.StripeWebhook, Fingerprint: fingerprint("STRIPE_WEBHOOK_SECRET")},
		{Path: "sources[0].webhook_secrets[1]", Kind: secret.StripeWebhook, Fingerprint: fingerprint("STRIPE_SECOND_SECRET")},
		{Path: "sources[0].retiring_secrets[0].secret", Kind: secret.StripeWebhook, Fingerprint: fingerprint("STRIPE_WEBHOOK_SECRET_OLD"), NotAfter: december},
		{Path: "sources[1].webhook_secrets[0]", Kind: secret.Password},
		{Path: "sources[2].api_key", Kind: secret.Token, Fingerprint: fingerprint("PAYPAL_SECRET")},
		{Path: "sources[2].webhook_secrets[0]", Kind: secret.PayPalWebhook, Fingerprint: fingerprint("PAYPAL_WEBHOOK")},
		{Path: "sources[3].api_key", Kind: secret.StripeKey, Fingerprint: fingerprint("STRIPE_API_KEY")},
		{Path: "sources[3].webhook_secrets[0]", Kind: secret.StripeWebhook, Fingerprint: fingerprint("STRIPE_SECOND_SECRET")},
		{Path: "licenses.key_secrets[0].secret", Kind: secret.LicenseKey, Fingerprint: fingerprint("LICENSE_KEY_SECRET")},
		{Path: "licenses.key_secrets[1].secret", Kind: secret.LicenseKey, Fingerprint: fingerprint("OLD_KEY_SECRET")},
		{Path: "mail.resend.api_key", Kind: secret.ResendKey, Fingerprint: fingerprint("RESEND_API_KEY")},
		{Path: "mail.smtp.password", Kind: secret.Password, Fingerprint: ""},
		{Path: "forwards[0].secrets[0]", Kind: secret.Standard, Fingerprint: fingerprint("FORWARD_SECRET")},
		{Path: "forwards[0].retiring_secrets[0].secret", Kind: secret.Standard, Fingerprint: fingerprint("FORWARD_SECRET_OLD"), NotAfter: december},
		{Path: "control.token", Kind: secret.Token, Fingerprint: fingerprint("CONTROL_TOKEN")},
	}
	variables := map[string]string{}
	listed := config.Secrets(c)
	for i, l := range listed {
		variables[l.Path], listed[i].Variable = l.Variable, ""
	}
	if variables["sources[0].webhook_secrets[0]"] == "" || variables["mail.smtp.password"] != "SMTP_PASSWORD" {
		t.Errorf("the variables that the secrets came from = %v", variables)
	}
	if diff := cmp.Diff(want, listed); diff != "" {
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

// Which variable a secret came from is known, so that what runs can be compared with what should; of a file nothing is.
func TestReferences(t *testing.T) {
	t.Parallel()
	c, err := config.Parse([]byte(everything), "makegood.yaml", "", with(map[string]string{"DATABASE_URL": "sqlite:x.db"}))
	if err != nil {
		t.Fatal(err)
	}
	if c.References["mail.smtp.password"] != "SMTP_PASSWORD" || len(c.References) < 8 {
		t.Errorf("References = %v", c.References)
	}
	for path, name := range c.References {
		if environment[name] == "" && name != "DATABASE_URL" {
			t.Errorf("%s came from %q, which is no variable", path, name)
		}
	}
}
