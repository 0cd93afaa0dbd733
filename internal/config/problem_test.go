package config_test

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/makegood/makegood/internal/config"
	"github.com/makegood/makegood/internal/secret"
)

// problemsOf returns the problems of a file, and insists that nothing is partly returned.
func problemsOf(t *testing.T, file string, env func(string) (string, bool)) config.Problems {
	t.Helper()
	c, err := config.Parse([]byte(file), "makegood.yaml", "", env)
	if err == nil {
		return nil
	}
	if c != nil {
		t.Errorf("Parse returned a configuration along with problems")
	}
	var problems config.Problems
	if !errors.As(err, &problems) {
		t.Fatalf("Parse error is a %T, want Problems", err)
	}
	return problems
}

// TestParseRefuses changes one thing in a good file, and wants exactly the problems that follow from it.
func TestParseRefuses(t *testing.T) {
	t.Parallel()
	const (
		url     = "public_url: https://shop.example.com\n"
		mode    = "    mode: test\n"
		hooks   = "    webhook_secrets: [env:STRIPE_WEBHOOK_SECRET]\n"
		price   = "    price: 29.00 USD\n"
		second  = "    price: 2900 JPY\n"
		keys    = "      secret: env:LICENSE_KEY_SECRET\n"
		from    = "  from: Shop <shop@example.com>\n"
		resend  = "  resend: {api_key: env:RESEND_API_KEY}\n"
		source2 = "  - {name: eu, provider: stripe, mode: test, api_key: env:STRIPE_API_KEY, webhook_secrets: [env:STRIPE_WEBHOOK_SECRET]}\n"
	)
	for _, tt := range []struct {
		name, old, now string
		want           string // "; and " stands between problems
	}{
		// The file itself.
		{"syntax", url, "public_url: [https://shop.example.com\n", "is not valid YAML: ',' or ']' must be specified; look at indentation, colons, brackets and quotation marks here and just above (makegood.yaml:2)"},
		{"two documents", "sources:\n", "---\nsources:\n", "holds several documents, divided by ---; one is expected (makegood.yaml:4)"},
		{"not text", url, url + "# \xff\n", "is not text in UTF-8; save it as such (makegood.yaml:2)"},
		{"zero byte", url, url + "# \x00\n", "is not text in UTF-8; save it as such (makegood.yaml:2)"},
		{"too deep", url, url + "log: [[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]\n", "is nested more than 16 levels deep (makegood.yaml:2)"},

		// Keys.
		{"unknown key", url, url + "listne: :80\n", "listne: is not a known key here; did you mean listen? (makegood.yaml:2)"},
		{"unknown key deep down", hooks, hooks + "    secrets: []\n", "sources[0].secrets: is not a known key here; it belongs to forwards[].secrets (makegood.yaml:9)"},
		{"misspelt required key", mode, "    moed: test\n", "sources[0].mode: is missing; a test must never touch real orders, so the mode is said, not guessed (makegood.yaml:4); and sources[0].moed: is not a known key here; did you mean mode? (makegood.yaml:6)"},
		{"key in the wrong place", url, url + "timeout: 5s\n", "timeout: is not a known key here; it belongs to forwards[].timeout or outbound.timeout (makegood.yaml:2)"},
		{"key that could be a secret", url, url + "x1f2: 5s\n", "has a key that is not known here (makegood.yaml:2)"},
		{"key written twice", url, url + "log: {level: info, level: debug}\n", "log.level: is written twice: it is on line 2 already, and only one can be meant (makegood.yaml:2)"},
		{"section written twice", url, url + "mail: {}\n", "mail.from: is missing; a mail needs a sender (makegood.yaml:2); and mail: has neither resend nor smtp; one of them has to send (makegood.yaml:2); and mail: is written twice: it is on line 2 already, and only one can be meant (makegood.yaml:21)"},
		{"number for a key", url, url + "1: a\n", "has a key that is not known here (makegood.yaml:2)"},
		{"key with a question mark", url, url + "? a\n: b\n", "has a key that is not a plain word; merge keys, anchors and tags are not read here (makegood.yaml:2)"},
		{"merge key", url, url + "<<: {listen: x}\n", "has a key that is not a plain word; merge keys, anchors and tags are not read here (makegood.yaml:2)"},
		{"alias", url, url + "listen: &a :80\nlog: *a\n", "listen: uses an anchor, an alias or a tag of YAML, which are not read here; write the value itself (makegood.yaml:2); and log: uses an anchor, an alias or a tag of YAML, which are not read here; write the value itself (makegood.yaml:3)"},
		{"tag", url, url + "listen: !!str :80\n", "listen: uses an anchor, an alias or a tag of YAML, which are not read here; write the value itself (makegood.yaml:2)"},
		{"dotted key", url, url + "log.level: info\n", "has a key that is not known here (makegood.yaml:2)"},

		// Types.
		{"text for a section", url, url + "log: debug\n", "log: is text; expected is a mapping, with the keys format, level (makegood.yaml:2)"},
		{"list for a section", url, url + "workers: [1, 2]\n", "workers: is a list; expected is a mapping, with the keys effects, payments (makegood.yaml:2)"},
		{"mapping for a list", hooks, "    webhook_secrets: {a: env:B}\n", "sources[0].webhook_secrets: is a mapping; expected is a list (makegood.yaml:8)"},
		{"text for a list", hooks, "    webhook_secrets: env:STRIPE_WEBHOOK_SECRET\n", "sources[0].webhook_secrets: is text; expected is a list (makegood.yaml:8)"},
		{"list for text", url, url + "listen: [a]\n", "listen: is a list; expected is text (makegood.yaml:2)"},
		{"mapping for text", url, url + "limits: {trusted_proxies: [{a: b}]}\n", "limits.trusted_proxies[0]: is a mapping; expected is text (makegood.yaml:2)"},
		{"quoted mapping for text", url, url + "limits: {trusted_proxies: [{\"fd00\":1}]}\n", "limits.trusted_proxies[0]: is a mapping; expected is text (makegood.yaml:2)"},
		{"mapping for a number", url, url + "workers: {payments: {a:1}}\n", "workers.payments: is a mapping; expected is a whole number (makegood.yaml:2)"},
		{"mapping in braces for a secret", hooks, "    webhook_secrets: [{env:STRIPE_WEBHOOK_SECRET}]\n", "sources[0].webhook_secrets[0]: is a mapping; expected is a reference, env:NAME or file:/path (makegood.yaml:8)"},
		{"mapping with a blank for a secret", hooks, "    webhook_secrets: [env: STRIPE_WEBHOOK_SECRET]\n", "sources[0].webhook_secrets[0]: is a mapping; expected is a reference, env:NAME or file:/path (makegood.yaml:8)"},
		{"list for a secret", keys, "      secret: [env:LICENSE_KEY_SECRET]\n", "licenses.key_secrets[0].secret: is a list; expected is a reference, env:NAME or file:/path (makegood.yaml:19)"},
		{"block text for truth", price, price + "    stocked: |\n      true\n", "products[0].stocked: is text; expected is true or false (makegood.yaml:13)"},
		{"list for a table", price, price + "    provider_prices: [price_1]\n", "products[0].provider_prices: is a list; expected is a mapping, for example {stripe: price_1NzBq2Lk3Pw8} (makegood.yaml:13)"},
		{"number for text", "code: az-900", "code: 900", "products[0].code: is a number; expected is text, in quotation marks if it has digits only (makegood.yaml:10)"},
		{"fraction for text", price, "    price: 29.00\n", "products[0].price: is a number; expected is text (makegood.yaml:12)"},
		{"truth for text", "name: AZ-900 practice exam", "name: true", "products[0].name: is true or false; expected is text (makegood.yaml:11)"},
		{"nothing for text", url, url + "listen:\n", "listen: has no value; write one, or leave the key out (makegood.yaml:2)"},
		{"empty for text with a default", url, url + "listen: ''\n", "listen: is empty; write a value, or leave the key out for its default (makegood.yaml:2)"},
		{"empty for required text", "name: AZ-900 practice exam", "name: ''", "products[0].name: is empty; it is what the customer reads (makegood.yaml:11)"},
		{"text for a number", url, url + "workers: {payments: \"8\"}\n", "workers.payments: is text; expected is a whole number, without quotation marks (makegood.yaml:2)"},
		{"block text for a number", url, url + "workers:\n  payments: |-\n    8\n", "workers.payments: is text; expected is a whole number (makegood.yaml:3)"},
		{"fraction for a number", url, url + "workers: {payments: 8.5}\n", "workers.payments: is a number; expected is a whole number (makegood.yaml:2)"},
		{"octal number", url, url + "workers: {payments: 010}\n", "workers.payments: is not a whole number in plain decimal digits (makegood.yaml:2)"},
		{"hexadecimal number", url, url + "workers: {payments: 0x10}\n", "workers.payments: is not a whole number in plain decimal digits (makegood.yaml:2)"},
		{"number beyond counting", url, url + "workers: {payments: 99999999999999999999}\n", "workers.payments: is text; expected is a whole number, without quotation marks (makegood.yaml:2)"},
		{"word for true", price, price + "    stocked: yes\n", "products[0].stocked: is text; expected is true or false, without quotation marks (makegood.yaml:13)"},
		{"duration without unit", url, url + "outbound: {timeout: 10}\n", "outbound.timeout: is a number without a unit; expected is a duration with a unit, such as 250ms, 10s, 5m or 1h (makegood.yaml:2)"},
		{"duration in words", url, url + "outbound: {timeout: 1 day}\n", "outbound.timeout: is not a duration with a unit, such as 250ms, 10s, 5m or 1h (makegood.yaml:2)"},
		{"number for a secret", keys, "      secret: 123456789012345678\n", "licenses.key_secrets[0].secret: is a number; expected is a reference, env:NAME or file:/path, in quotation marks if it has digits only (makegood.yaml:19)"},

		// What has to be there.
		{"no public_url", url, "", "public_url: is missing; it is how customers and providers reach the server (makegood.yaml:1)"},
		{"no sources", "sources:\n  - name: stripe\n    provider: stripe\n    mode: test\n    api_key: env:STRIPE_API_KEY\n" + hooks, "", "sources: is missing; without a payment provider nothing can be fulfilled (makegood.yaml:1)"},
		{"empty sources", "sources:\n  - name: stripe\n    provider: stripe\n    mode: test\n    api_key: env:STRIPE_API_KEY\n" + hooks, "sources: []\n", "sources: is empty; without a payment provider nothing can be fulfilled (makegood.yaml:3)"},
		{"no products", "products:\n  - code: az-900\n    name: AZ-900 practice exam\n" + price + "  - code: sc-900\n    name: SC-900 practice exam\n" + second, "", "products: is missing; there is nothing to sell (makegood.yaml:1)"},
		{"empty products", "products:\n  - code: az-900\n    name: AZ-900 practice exam\n" + price + "  - code: sc-900\n    name: SC-900 practice exam\n" + second, "products:\n", "products: is empty; there is nothing to sell (makegood.yaml:9)"},
		{"no licenses", "licenses:\n  key_secrets:\n    - id: k1\n" + keys, "", "licenses: is missing; licence keys are made with its secrets (makegood.yaml:1)"},
		{"empty licenses", "licenses:\n  key_secrets:\n    - id: k1\n" + keys, "licenses:\n", "licenses.key_secrets: is missing; licence keys are made with it (makegood.yaml:16)"},
		{"empty key secrets", "  key_secrets:\n    - id: k1\n" + keys, "  key_secrets: []\n", "licenses.key_secrets: is empty; licence keys are made with it (makegood.yaml:17)"},
		{"no mail", "mail:\n" + from + resend, "", "mail: is missing; customers get their licences by mail (makegood.yaml:1)"},
		{"no api key", "    api_key: env:STRIPE_API_KEY\n", "", "sources[0].api_key: is missing; checkouts and the provider's word on a payment need one (makegood.yaml:4)"},
		{"no webhook secrets", hooks, "", "sources[0].webhook_secrets: is missing; without one no event could be proved (makegood.yaml:4)"},
		{"empty webhook secrets", hooks, "    webhook_secrets: []\n", "sources[0].webhook_secrets: is empty; without one no event could be proved (makegood.yaml:8)"},
		{"no price", price, "", "products[0].price: is missing; a payment is compared with it (makegood.yaml:10)"},

		// Secrets.
		{"literal secret", hooks, "    webhook_secrets: [whsec_Zq7Tn3Vb9Kx2Lm5Pw8Rd4Fg6]\n", "sources[0].webhook_secrets[0]: is written into the file itself; write env:NAME or file:/path instead, and replace the secret if others could read this file (makegood.yaml:8)"},
		{"empty secret", hooks, "    webhook_secrets: ['']\n", "sources[0].webhook_secrets[0]: is empty; an empty secret would accept what anybody forges (makegood.yaml:8)"},
		{"null secret", keys, "      secret:\n", "licenses.key_secrets[0].secret: is empty; an empty secret would accept what anybody forges (makegood.yaml:19)"},
		{"null in a list of secrets", hooks, "    webhook_secrets:\n      -\n", "sources[0].webhook_secrets[0]: is empty; an empty secret would accept what anybody forges (makegood.yaml:9)"},
		{"unset variable", keys, "      secret: env:NOT_THERE\n", "licenses.key_secrets[0].secret: env NOT_THERE is not set (makegood.yaml:19)"},
		{"secret for a name", keys, "      secret: env:whsec_Zq7Tn3Vb9Kx2Lm5Pw8Rd4Fg6\n", "licenses.key_secrets[0].secret: the variable that the reference names is not set in the environment (makegood.yaml:19)"},
		{"no such file", keys, "      secret: file:/nowhere/at/all\n", "licenses.key_secrets[0].secret: the file /nowhere/at/all does not exist (makegood.yaml:19)"},
		{"test key in live mode", mode, "    mode: live\n", "sources[0].api_key: is a key for test mode, but live mode is set; nobody who pays would be found (makegood.yaml:7)"},
		{"live key in test mode", "    api_key: env:STRIPE_API_KEY\n", "    api_key: env:STRIPE_LIVE_KEY\n", "sources[0].api_key: is a key for live mode, but test mode is set; a test could touch real money (makegood.yaml:7)"},
		{"webhook secret as key", "    api_key: env:STRIPE_API_KEY\n", "    api_key: env:STRIPE_WEBHOOK_SECRET\n", "sources[0].api_key: is a webhook secret; expected is one that begins with sk_test_ or sk_live_ or rk_test_ or rk_live_ (makegood.yaml:7)"},
		{"key as webhook secret", hooks, "    webhook_secrets: [env:STRIPE_API_KEY]\n", "sources[0].webhook_secrets[0]: is a restricted Stripe API key; expected is one that begins with whsec_ (makegood.yaml:8)"},
		{"resend key for licences", keys, "      secret: env:RESEND_API_KEY\n", "licenses.key_secrets[0].secret: is a Resend API key; a secret of its own is expected here (license_key) (makegood.yaml:19)"},
		{"licence secret for resend", resend, "  resend: {api_key: env:OLD_KEY_SECRET}\n", "mail.resend.api_key: is something else; expected is one that begins with re_ (makegood.yaml:22)"},
		{"all secrets looked at", hooks, "    webhook_secrets: [env:STRIPE_WEBHOOK_SECRET, env:NOT_THERE]\n", "sources[0].webhook_secrets[1]: env NOT_THERE is not set (makegood.yaml:8)"},

		// Sources.
		{"source name", "  - name: stripe\n", "  - name: Stripe EU\n", "sources[0].name: is not a name for a source: it has 1 to 64 of a to z, 0 to 9 and dashes (makegood.yaml:4)"},
		{"same source name", hooks, hooks + strings.Replace(source2, "eu", "stripe", 1) + "checkout: {source: stripe}\n", "sources[1].name: is the same as sources[0].name; each needs its own (makegood.yaml:9)"},
		{"unknown provider", "    provider: stripe\n", "    provider: stirpe\n", "sources[0].provider: is not adyen or generic or github or gumroad or lemonsqueezy or mollie or mollie-classic or paddle or paypal or polar or razorpay or shopify or square or standard-webhooks or stripe or svix; did you mean stripe? (makegood.yaml:5)"},
		{"mode", mode, "    mode: Live\n", "sources[0].mode: is not test or live; did you mean live? (makegood.yaml:6)"},
		{"account", mode, mode + "    account: '1234'\n", "sources[0].account: is not of the form of an account id, such as acct_1NzBq2Lk3Pw8 (makegood.yaml:7)"},
		{"api on loopback", mode, mode + "    api_base: http://127.0.0.1:9000\n", "sources[0].api_base: is on loopback or a private network, and outbound.allow_private is false: every call would be refused (makegood.yaml:7)"},
		{"api on localhost", mode, mode + "    api_base: https://LOCALHOST:9000\n", "sources[0].api_base: is on loopback or a private network, and outbound.allow_private is false: every call would be refused (makegood.yaml:7)"},
		{"api on a private network", mode, mode + "    api_base: https://10.1.2.3\n", "sources[0].api_base: is on loopback or a private network, and outbound.allow_private is false: every call would be refused (makegood.yaml:7)"},
		{"api without encryption", mode, mode + "    api_base: http://api.stripe.com\n", "sources[0].api_base: is http; write https, because the key would travel unencrypted (makegood.yaml:7)"},
		{"api with a query", mode, mode + "    api_base: https://api.stripe.com?a\n", "sources[0].api_base: has a query or a fragment; write the address alone (makegood.yaml:7)"},
		{"api with a password", mode, mode + "    api_base: https://a:b@api.stripe.com\n", "sources[0].api_base: has a user or password in it, which everybody who sees the address would see (makegood.yaml:7)"},
		{"api without scheme", mode, mode + "    api_base: api.stripe.com\n", "sources[0].api_base: is not an absolute http or https address, such as https://shop.example.com (makegood.yaml:7)"},

		// Products.
		{"product code", "code: az-900", "code: AZ-900", "products[0].code: is not a product code: it has 1 to 64 lower-case letters, digits and inner dashes (makegood.yaml:10)"},
		{"same product code", "code: sc-900", "code: az-900", "products[1].code: is the same as products[0].code; each needs its own (makegood.yaml:13)"},
		{"blank name", "name: AZ-900 practice exam", "name: ' '", "products[0].name: has nothing in it but blanks (makegood.yaml:11)"},
		{"long name", "name: AZ-900 practice exam", "name: " + strings.Repeat("a", 251), "products[0].name: is longer than 250 bytes (makegood.yaml:11)"},
		{"name of two lines", "name: AZ-900 practice exam", `name: "a\nb"`, "products[0].name: has line breaks or other control characters in it (makegood.yaml:11)"},
		{"price without currency", price, "    price: '29.00'\n", "products[0].price: is not an amount with a currency, such as 29.00 USD or 2900 JPY, with the currency's digits after the point or none (makegood.yaml:12)"},
		{"price with cents of yen", second, "    price: 29.00 JPY\n", "products[1].price: is not an amount with a currency, such as 29.00 USD or 2900 JPY, with the currency's digits after the point or none (makegood.yaml:15)"},
		{"negative price", price, "    price: -29.00 USD\n", "products[0].price: is not an amount with a currency, such as 29.00 USD or 2900 JPY, with the currency's digits after the point or none (makegood.yaml:12)"},
		{"free", price, "    price: 0.00 USD\n", "products[0].price: is not above zero; what is free is not paid for, and so never fulfilled (makegood.yaml:12)"},
		{"license prefix", price, price + "    license_prefix: gd\n", "products[0].license_prefix: is not a prefix of licence keys: it has 1 to 8 upper-case letters and digits (makegood.yaml:13)"},
		{"price id of an unknown source", price, price + "    provider_prices: {strip: price_1}\n", "products[0].provider_prices.strip: names a source that does not exist; did you mean stripe? (makegood.yaml:13)"},
		{"price id with a blank", price, price + "    provider_prices: {stripe: price 1}\n", "products[0].provider_prices.stripe: is not a price id: it is empty, too long, or has blanks in it (makegood.yaml:13)"},
		{"empty price id", price, price + "    provider_prices: {stripe: ''}\n", "products[0].provider_prices.stripe: is not a price id: it is empty, too long, or has blanks in it (makegood.yaml:13)"},
		{"long price id", price, price + "    provider_prices: {stripe: " + strings.Repeat("a", 256) + "}\n", "products[0].provider_prices.stripe: is not a price id: it is empty, too long, or has blanks in it (makegood.yaml:13)"},
		{"same price id", price + "  - code: sc-900\n    name: SC-900 practice exam\n" + second,
			price + "    provider_prices: {stripe: price_1}\n  - code: sc-900\n    name: SC-900 practice exam\n" + second + "    provider_prices: {stripe: price_1}\n",
			"products[1].provider_prices.stripe: has the same price id as products[0].provider_prices.stripe; a payment could not tell which of the two was bought (makegood.yaml:17)"},

		// Addresses.
		{"public_url without scheme", url, "public_url: shop.example.com\n", "public_url: is not an absolute http or https address, such as https://shop.example.com (makegood.yaml:1)"},
		{"public_url of files", url, "public_url: file:///shop\n", "public_url: is not an absolute http or https address, such as https://shop.example.com (makegood.yaml:1)"},
		{"public_url by another way", url, "public_url: ftp://shop.example.com\n", "public_url: is not an absolute http or https address, such as https://shop.example.com (makegood.yaml:1)"},
		{"public_url without host", url, "public_url: https://:443\n", "public_url: is not an absolute http or https address, such as https://shop.example.com (makegood.yaml:1)"},
		{"public_url with a blank", url, "public_url: 'https://shop.example.com/ '\n", "public_url: is not an absolute http or https address, such as https://shop.example.com (makegood.yaml:1)"},
		{"public_url with a backslash", url, "public_url: 'https://shop.example.com/\\'\n", "public_url: is not an absolute http or https address, such as https://shop.example.com (makegood.yaml:1)"},
		{"public_url with a path", url, "public_url: https://shop.example.com/shop\n", "public_url: has a path, a query or a fragment; write scheme and host alone (makegood.yaml:1)"},
		{"public_url with a query", url, "public_url: https://shop.example.com?a=b\n", "public_url: has a path, a query or a fragment; write scheme and host alone (makegood.yaml:1)"},
		{"public_url with a fragment", url, "public_url: https://shop.example.com/#\n", "public_url: has a path, a query or a fragment; write scheme and host alone (makegood.yaml:1)"},
		{"public_url with a password", url, "public_url: https://a:b@shop.example.com\n", "public_url: has a user or password in it, which everybody who sees the address would see (makegood.yaml:1)"},
		{"success_url without session", url, url + "checkout: {success_url: https://shop.example.com/thanks}\n", "checkout.success_url: does not contain {CHECKOUT_SESSION_ID}, so that the page could not tell whose purchase it is (makegood.yaml:2)"},
		{"success_url relative", url, url + "checkout: {success_url: '/thanks?{CHECKOUT_SESSION_ID}'}\n", "checkout.success_url: is not an absolute http or https address, such as https://shop.example.com (makegood.yaml:2)"},
		{"cancel_url relative", url, url + "checkout: {cancel_url: /}\n", "checkout.cancel_url: is not an absolute http or https address, such as https://shop.example.com (makegood.yaml:2)"},
		{"listen without port", url, url + "listen: 127.0.0.1\n", "listen: is not of the form host:port, such as 127.0.0.1:8080, with a port up to 65535 (makegood.yaml:2)"},
		{"listen to a high port", url, url + "listen: 127.0.0.1:65536\n", "listen: is not of the form host:port, such as 127.0.0.1:8080, with a port up to 65535 (makegood.yaml:2)"},
		{"listen to a name", url, url + "listen: 127.0.0.1:http\n", "listen: is not of the form host:port, such as 127.0.0.1:8080, with a port up to 65535 (makegood.yaml:2)"},
		{"listen with zeros", url, url + "listen: 127.0.0.1:0080\n", "listen: is not of the form host:port, such as 127.0.0.1:8080, with a port up to 65535 (makegood.yaml:2)"},
		{"listen on an address of the web", url, url + "listen: '[http://a]:80'\n", "listen: has no name or address of this machine before its port (makegood.yaml:2)"},
		{"node", "node: shop-1\n", "node: shop 1\n", "node: is not a name for a node: it has 1 to 100 letters, digits, dots, dashes and underscores, and begins with a letter or digit (makegood.yaml:2)"},
		{"log level", url, url + "log: {level: warning}\n", "log.level: is not debug or info or warn or error (makegood.yaml:2)"},
		{"log format", url, url + "log: {format: jsn}\n", "log.format: is not text or json; did you mean json? (makegood.yaml:2)"},

		// Database.
		{"database scheme", url, url + "database: mysql://a/b\n", "database: is neither sqlite:PATH nor postgres://USER@HOST:PORT/NAME (makegood.yaml:2)"},
		{"database file without scheme", url, url + "database: makegood.db\n", "database: is neither sqlite:PATH nor postgres://USER@HOST:PORT/NAME (makegood.yaml:2)"},
		{"sqlite without file", url, url + "database: 'sqlite:'\n", "database: names no file after sqlite:, such as sqlite:makegood.db (makegood.yaml:2)"},
		{"sqlite in memory", url, url + "database: 'sqlite::memory:'\n", "database: would forget everything when the program ends; name a file, such as sqlite:makegood.db (makegood.yaml:2)"},
		{"sqlite with settings", url, url + "database: sqlite:a.db?mode=ro\n", "database: has a path with one of ? # % in it, the folder of the configuration included, which SQLite reads as something else (makegood.yaml:2)"},
		{"postgres without host", url, url + "database: postgres:///shop\n", "database: names no host; write postgres://USER@HOST:PORT/NAME (makegood.yaml:2)"},
		{"postgres without name", url, url + "database: postgres://shop@db\n", "database: names no database; write postgres://USER@HOST:PORT/NAME (makegood.yaml:2)"},
		{"postgres with an odd password", url, url + "database: postgres://shop:a/b@db/shop\n", "database: cannot be read as postgres://USER@HOST:PORT/NAME; characters with a meaning in an address, such as @ / : # in a password, are written as %40 %2F %3A %23 (makegood.yaml:2)"},
		{"database with a line break", url, url + "database: |\n  postgres://shop@db/shop\n", "database: has a line break or another control character in it (makegood.yaml:2)"},
		{"database that is not there", url, url + "database: env:NOT_THERE\n", "database: env NOT_THERE is not set (makegood.yaml:2)"},

		// Checkout.
		{"unknown source that sells", url, url + "checkout: {source: strip}\n", "checkout.source: names a source that does not exist; did you mean stripe? (makegood.yaml:2)"},
		{"two sources and none named", hooks, hooks + source2, "checkout.source: is missing; with several sources that can sell, the one that sells is to be named (makegood.yaml:1)"},

		// Licences.
		{"key secret id", "- id: k1", "- id: k 1", "licenses.key_secrets[0].id: is not an id: it has 1 to 32 letters, digits, dots, dashes and underscores (makegood.yaml:18)"},
		{"same key secret id", keys, keys + "    - {id: k1, secret: env:OLD_KEY_SECRET}\n", "licenses.key_secrets[1].id: is the same as licenses.key_secrets[0].id; each needs its own (makegood.yaml:20)"},

		// Mail.
		{"no sender", resend, "", "mail: has neither resend nor smtp; one of them has to send (makegood.yaml:20)"},
		{"two senders", resend, resend + "  smtp: {host: mail.example.com}\n", "mail: has both resend and smtp; keep the one that sends (makegood.yaml:20)"},
		{"from", from, "  from: shop\n", "mail.from: is not one address of mail, such as shop@example.com or Shop <shop@example.com> (makegood.yaml:21)"},
		{"two addresses", from, "  from: a@example.com, b@example.com\n", "mail.from: is not one address of mail, such as shop@example.com or Shop <shop@example.com> (makegood.yaml:21)"},
		{"long address", from, "  from: " + strings.Repeat("a", 243) + "@example.com\n", "mail.from: is not one address of mail, such as shop@example.com or Shop <shop@example.com> (makegood.yaml:21)"},
		{"long name of the sender", from, "  from: " + strings.Repeat("a", 890) + " <a@example.com>\n", "mail.from: is not one address of mail, such as shop@example.com or Shop <shop@example.com> (makegood.yaml:21)"},
		{"sender of two lines", from, `  from: "Shop\r\n <shop@example.com>"` + "\n", "mail.from: is not one address of mail, such as shop@example.com or Shop <shop@example.com> (makegood.yaml:21)"},
		{"sender with an encoded line break", from, "  from: '=?utf-8?q?a=0D=0Ab?= <shop@example.com>'\n", "mail.from: is not one address of mail, such as shop@example.com or Shop <shop@example.com> (makegood.yaml:21)"},
		{"sender with odd signs", from, `  from: '"a<b"@example.com'` + "\n", "mail.from: is not one address of mail, such as shop@example.com or Shop <shop@example.com> (makegood.yaml:21)"},
		{"reply_to", from, from + "  reply_to: help\n", "mail.reply_to: is not one address of mail, such as shop@example.com or Shop <shop@example.com> (makegood.yaml:22)"},
		{"resend on loopback", resend, "  resend: {api_key: env:RESEND_API_KEY, api_base: 'http://[::1]:9000'}\n", "mail.resend.api_base: is on loopback or a private network, and outbound.allow_private is false: every call would be refused (makegood.yaml:22)"},
		{"smtp host with scheme", resend, "  smtp: {host: 'smtp://mail.example.com'}\n", "mail.smtp.host: is not the name or the address of a host, without scheme and port (makegood.yaml:22)"},
		{"smtp host with port", resend, "  smtp: {host: 'mail.example.com:25'}\n", "mail.smtp.host: is not the name or the address of a host, without scheme and port (makegood.yaml:22)"},
		{"smtp port", resend, "  smtp: {host: mail.example.com, port: 65536}\n", "mail.smtp.port: is out of bounds; it goes from 1 to 65535 (makegood.yaml:22)"},
		{"smtp port zero", resend, "  smtp: {host: mail.example.com, port: 0}\n", "mail.smtp.port: is out of bounds; it goes from 1 to 65535 (makegood.yaml:22)"},
		{"smtp user alone", resend, "  smtp: {host: mail.example.com, username: shop}\n", "mail.smtp.username: is given without a password; SMTP needs both or neither (makegood.yaml:22)"},
		{"smtp password alone", resend, "  smtp: {host: mail.example.com, password: env:SMTP_PASSWORD}\n", "mail.smtp.password: is given without a username; SMTP needs both or neither (makegood.yaml:22)"},
		{"smtp tls", resend, "  smtp: {host: mail.example.com, tls: tls}\n", "mail.smtp.tls: is not starttls or implicit or none (makegood.yaml:22)"},
		{"smtp password in the open", resend, "  smtp: {host: mail.example.com, username: a, password: env:SMTP_PASSWORD, tls: none}\n", "mail.smtp.tls: is none, and the password would travel unencrypted to another machine; use starttls or implicit (makegood.yaml:22)"},

		// Numbers and durations.
		{"no attempts", url, url + "retry: {events: {attempts: 0}}\n", "retry.events.attempts: is out of bounds; it goes from 1 to 1000 (makegood.yaml:2)"},
		{"too many attempts", url, url + "retry: {mail: {attempts: 1001}}\n", "retry.mail.attempts: is out of bounds; it goes from 1 to 1000 (makegood.yaml:2)"},
		{"short base", url, url + "retry: {events: {base: 9ms}}\n", "retry.events.base: is out of bounds; it goes from 10ms to 1m (makegood.yaml:2)"},
		{"long base", url, url + "retry: {mail: {base: 61s}}\n", "retry.mail.base: is out of bounds; it goes from 10ms to 1m (makegood.yaml:2)"},
		{"long cap", url, url + "retry: {mail: {cap: 25h}}\n", "retry.mail.cap: is out of bounds; it goes from 10ms to 24h (makegood.yaml:2)"},
		{"cap below base", url, url + "retry: {mail: {base: 10s, cap: 9s}}\n", "retry.mail.cap: is shorter than base; no wait can be both (makegood.yaml:2)"},
		{"cap below the usual base", url, url + "retry: {events: {cap: 100ms}}\n", "retry.events.cap: is shorter than base; no wait can be both (makegood.yaml:2)"},
		{"no workers", url, url + "workers: {payments: 0}\n", "workers.payments: is out of bounds; it goes from 1 to 256 (makegood.yaml:2)"},
		{"too many workers", url, url + "workers: {effects: 257}\n", "workers.effects: is out of bounds; it goes from 1 to 256 (makegood.yaml:2)"},
		{"negative limit", url, url + "limits: {verify_per_minute: -1}\n", "limits.verify_per_minute: is out of bounds; it goes from 1 to 1000000 (makegood.yaml:2)"},
		{"no validation", url, url + "limits: {validate_per_minute: 0}\n", "limits.validate_per_minute: is out of bounds; it goes from 1 to 1000000 (makegood.yaml:2)"},
		{"no checkout", url, url + "limits: {checkout_per_minute: 0}\n", "limits.checkout_per_minute: is out of bounds; it goes from 1 to 1000000 (makegood.yaml:2)"},
		{"proxy by name", url, url + "limits: {trusted_proxies: [127.0.0.1, proxy]}\n", "limits.trusted_proxies[1]: is neither an address nor a network, such as 127.0.0.1 or 10.0.0.0/8 (makegood.yaml:2)"},
		{"everybody a proxy", url, url + "limits: {trusted_proxies: [0.0.0.0/0]}\n", "limits.trusted_proxies[0]: is the whole Internet, and anybody could claim any address (makegood.yaml:2)"},
		{"short timeout", url, url + "outbound: {timeout: 0}\n", "outbound.timeout: is out of bounds; it goes from 100ms to 20s (makegood.yaml:2)"},
		{"long timeout", url, url + "outbound: {timeout: 21s}\n", "outbound.timeout: is out of bounds; it goes from 100ms to 20s (makegood.yaml:2)"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			problems := problemsOf(t, change(t, tt.old, tt.now), lookup)
			if got := strings.ReplaceAll(problems.Error(), "\n", "; and "); got != tt.want {
				t.Errorf("problems:\n got %s\nwant %s", got, tt.want)
			}
		})
	}
}

// TestLiveSourceNeedsHTTPS holds what only counts when money is real.
func TestLiveSourceNeedsHTTPS(t *testing.T) {
	t.Parallel()
	live := strings.NewReplacer("mode: test", "mode: live", "env:STRIPE_API_KEY", "env:STRIPE_LIVE_KEY").Replace(good)
	const sentence = ": is http, but a source is live; write https, because whoever listens could take the licences (makegood.yaml:%d)"
	for _, tt := range []struct{ name, file, want string }{
		{"https", live, ""},
		{"loopback", strings.Replace(live, "https://shop.example.com", "http://127.0.0.1:8080", 1), ""},
		{"localhost", strings.Replace(live, "https://shop.example.com", "http://localhost:8080", 1), ""},
		{"public_url", strings.Replace(live, "https://", "http://", 1), fmt.Sprintf("public_url"+sentence, 1)},
		{"a name that only begins like one", strings.Replace(live, "https://shop.example.com", "http://localhost.example.com", 1), fmt.Sprintf("public_url"+sentence, 1)},
		{"success_url", live + "checkout: {success_url: 'http://a/{CHECKOUT_SESSION_ID}'}\n", fmt.Sprintf("checkout.success_url"+sentence, 23)},
		{"cancel_url", live + "checkout: {cancel_url: 'http://a/'}\n", fmt.Sprintf("checkout.cancel_url"+sentence, 23)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := problemsOf(t, tt.file, lookup).Error(); got != tt.want {
				t.Errorf("problems = %s, want %s", got, tt.want)
			}
		})
	}
}

// TestBrokenSecretIsClassed puts every corruption into every secret.
func TestBrokenSecretIsClassed(t *testing.T) {
	t.Parallel()
	paths := map[string]string{
		"STRIPE_API_KEY":        "sources[0].api_key",
		"STRIPE_WEBHOOK_SECRET": "sources[0].webhook_secrets[0]",
		"LICENSE_KEY_SECRET":    "licenses.key_secrets[0].secret",
		"RESEND_API_KEY":        "mail.resend.api_key",
	}
	for _, tt := range []struct {
		want secret.Class
		harm func(string) string
	}{
		{secret.Empty, func(string) string { return "" }},
		{secret.Placeholder, func(string) string { return "changeme" }},
		{secret.Unexpanded, func(string) string { return "${SECRET}" }},
		{secret.Whitespace, func(s string) string { return s + " " }},
		{secret.Newline, func(s string) string { return s + "\r\n" }},
		{secret.BOM, func(s string) string { return "\uFEFF" + s }},
		{secret.NBSP, func(s string) string { return s + "\u00A0" }},
		{secret.Control, func(s string) string { return s + "\x07" }},
		{secret.Quotes, func(s string) string { return `"` + s + `"` }},
		{secret.BearerPrefix, func(s string) string { return "Bearer " + s }},
		{secret.Doubled, func(s string) string { return s + s }},
		{secret.TooShort, func(s string) string { return s[:min(len(s)-20, 14)] }},
	} {
		for name, path := range paths {
			value := tt.harm(environment[name])
			problems := problemsOf(t, good, with(map[string]string{name: value}))
			found := slices.ContainsFunc(problems, func(p config.Problem) bool {
				return p.Class == tt.want && p.Path == path && p.File == "makegood.yaml" && p.Line > 0
			})
			if !found {
				t.Errorf("%s with %s: problems = %v, want one of that class at %s", name, tt.want, problems, path)
			}
			if value != "" && strings.Contains(problems.Error(), value) {
				t.Errorf("%s with %s: problems = %v, want them without the value", name, tt.want, problems)
			}
		}
	}
}

// mistakes is a file with many of them; the comment behind a line says which path it is told of.
const mistakes = `# a comment
listen: 8080x # listen
public_url: https://shop.example.com/path # public_url
databse: sqlite:makegood.db # databse
log: {level: loud} # log.level
sources:
  - name: Stripe! # sources[0].name
    provider: stripe
    mode: production # sources[0].mode
    api_key: env:NOT_THERE # sources[0].api_key

    webhook_secrets:
      - env:STRIPE_WEBHOOK_SECRET
      - whsec_in_the_file_itself # sources[0].webhook_secrets[1]
  - name: eu
    provider: paypl # sources[1].provider
    mode: test
products:
  - code: AZ_900 # products[0].code
    name: AZ-900
    price: 29,00 USD # products[0].price
  - code: sc-900
    name: |
      Two

      lines # no comment, but part of the text
    price: 0 USD # products[1].price
    stocked: maybe # products[1].stocked
checkout:
  source: us # checkout.source
  success_url: https://shop.example.com/thanks # checkout.success_url
licenses:
  key_secrets: [{id: k1, secret: env:EMPTY}] # licenses.key_secrets[0].secret
mail:
  from: nobody # mail.from
  smtp:
    host: mail.example.com
    port: many # mail.smtp.port
retry:
  events: {base: 1h} # retry.events.base
workers: {payments: 1000} # workers.payments
limits: {trusted_proxies: [all]} # limits.trusted_proxies[0]
outbound: {timeout: 10} # outbound.timeout
`

// TestAllProblemsAtOnce wants every mistake of one file, each at its line, in the order of the lines.
func TestAllProblemsAtOnce(t *testing.T) {
	t.Parallel()
	var want []string
	for i, line := range strings.Split(mistakes, "\n") {
		if m := regexp.MustCompile(`# ([a-z_\[\]0-9.]+)$`).FindStringSubmatch(line); m != nil && strings.ContainsAny(line, ":!") {
			want = append(want, fmt.Sprintf("%s:%d", m[1], i+1))
		}
		if strings.Contains(line, "whsec") {
			want = append(want, fmt.Sprintf("sources[0].webhook_secrets[1]:%d", i+1))
		}
		if strings.Contains(line, "name: |") {
			want = append(want, fmt.Sprintf("products[1].name:%d", i+1))
		}
	}
	var got []string
	for _, p := range problemsOf(t, mistakes, with(map[string]string{"EMPTY": ""})) {
		got = append(got, fmt.Sprintf("%s:%d", p.Path, p.Line))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("problems (-want +got):\n%s", diff)
	}
	if len(got) < 20 {
		t.Errorf("the file has %d mistakes, want at least 20 to be found", len(got))
	}
}

func TestEmptyFile(t *testing.T) {
	t.Parallel()
	for _, file := range []string{"", "\n\n", "# nothing\n", "---\n", "\uFEFF"} {
		if got, want := problemsOf(t, file, lookup).Error(), "is empty; makegood init writes a file to start from (makegood.yaml)"; got != want {
			t.Errorf("problems of %q = %s, want %s", file, got, want)
		}
	}
	want := "is text; expected is a mapping, with the keys channels, checkout, checks, control, database, errors, escalation, forwards, heal, licenses, limits, listen, log, mail, maintenance, node, outbound, products, public_url, retry, sources, watcher, workers (makegood.yaml:1)"
	if got := problemsOf(t, "just text", lookup).Error(); got != want {
		t.Errorf("problems of text = %s, want %s", got, want)
	}
	missing := problemsOf(t, "{}", lookup)
	if got, want := len(missing), 5; got != want {
		t.Errorf("problems of an empty mapping = %v, want one for each of the %d sections", missing, want)
	}
}

// canary is a secret in a place where none should be. Whatever it is put in place of, no problem shows any part of it.
const canary = "whsec_Canary7Tn3Vb9Kx2Lm5Pw8Rd4Fg6"

func TestProblemsShowNoValue(t *testing.T) {
	t.Parallel()
	leak := regexp.MustCompile(`(?i)canary|Tn3Vb9|Rd4Fg6`)
	try := func(file string, env func(string) (string, bool)) {
		t.Helper()
		if got := problemsOf(t, file, env).Error(); leak.MatchString(got) {
			t.Errorf("problems = %s\nof the file\n%s", got, file)
		}
	}
	word := regexp.MustCompile(`[^\s{}\[\],#]+`)
	for _, file := range []string{good, everything} {
		for _, at := range word.FindAllStringIndex(file, -1) {
			for _, c := range []string{canary, `"` + canary + `"`, canary + ":", `"` + canary, "'" + canary, "&" + canary, "*" + canary, "!" + canary, "env:" + canary, "env:$" + canary,
				"file:" + canary, canary + ": x", "{" + canary, "[" + canary, "? " + canary, "%" + canary, "- " + canary, `"\q` + canary, canary + "@a b", "https://" + canary + ":" + canary + "@a",
				"https://a/?" + canary, "postgres://a:" + canary + "@%", "sqlite:" + canary + "?", "\t" + canary, "|" + canary, "@" + canary, "<<: " + canary, "\x07" + canary} {
				try(file[:at[0]]+c+file[at[1]:], lookup)
			}
		}
	}
	for name := range environment {
		for _, value := range []string{canary, canary + canary, canary + "\n", `"` + canary + `"`, "Bearer " + canary, "\uFEFF" + canary, canary[:12]} {
			try(good, with(map[string]string{name: value}))
		}
	}
	try(strings.Replace(good, "node:", "database: env:DB\nnode:", 1), with(map[string]string{"DB": "postgres://a:" + canary + "@b:c/d"}))
}
