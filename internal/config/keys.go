package config

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/makegood/makegood"
)

// kind is the shape of a value in the file.
type kind int

const (
	text       kind = iota
	number          // a whole number in plain decimal digits
	flag            // true or false
	span            // a duration, such as 10s
	secretRef       // env:NAME or file:/path
	texts           // a list of text
	secretRefs      // a list of references
	table           // from names that the operator chooses to text
	section         // a mapping with the keys of the table below
	sections        // a list of such mappings
)

// item is what a list of this kind consists of.
func (k kind) item() kind {
	switch k {
	case texts:
		return text
	case secretRefs:
		return secretRef
	case sections:
		return section
	}
	panic("unreachable: not a list")
}

// key is one key of the file: what may be written there, and what the manual says of it.
type key struct {
	path string // sources[].api_key
	kind kind

	must     string   // why it cannot be left out; "" when it can
	fallback string   // the value when it is left out, as written in YAML
	shown    string   // the fallback in words, when it is not one value
	oneOf    []string // the only values, for text
	least    int      // for numbers, with most; no bounds when both are 0
	most     int
	shortest time.Duration // for spans, with longest
	longest  time.Duration

	unit    string
	example string
	meaning string

	start string // what the starting file has, when it is not the fallback
	off   bool   // the starting file has it commented out
	// entries are what the starting file has in a list, instead of one entry with every key: each is an entry in YAML, and
	// one that begins with # is commented out.
	entries []string
}

// keys is the whole language of the server's file, in the order of manual and starting file.
func keys() []key {
	return slices.Concat([]key{
		{path: "listen", fallback: "127.0.0.1:8080", unit: "host:port", example: "0.0.0.0:8080",
			meaning: "Where the HTTP server listens. Leave it on loopback behind a reverse proxy that speaks HTTPS."},
		{path: "public_url", must: "it is how customers and providers reach the server", unit: "URL", example: "https://shop.example.com",
			meaning: "How customers and providers reach the server: scheme and host, without path. Must be https (or loopback) when a source is live.",
			start:   "https://shop.example.com"},
		{path: "database", fallback: "sqlite:makegood.db", unit: "URL", example: "postgres://makegood@db.internal:5432/makegood",
			meaning: "Where everything is kept: sqlite:PATH, relative to the folder of this file, or postgres://USER@HOST:PORT/NAME. " +
				"Give a PostgreSQL password by PGPASSWORD, a pgpass file, or the whole URL as env:NAME or file:/path; one inside the URL works and is never printed."},
		{path: "node", shown: "the host name", example: "shop-1",
			meaning: "Names this process among those that share a PostgreSQL database; each needs its own.", start: `""`},
	}, logKeys(), []key{
		{path: "sources", kind: sections, must: "without a payment provider nothing can be fulfilled",
			meaning: "The accounts at payment providers, each with its webhook address public_url/hooks/NAME."},
		{path: "sources[].name", must: "it is part of the webhook's address", unit: "a to z, 0 to 9, dashes", example: "stripe",
			meaning: "Its name, unique, in /hooks/NAME and beside every order. Do not rename it: orders would no longer find it.", start: "stripe"},
		{path: "sources[].provider", must: "it says whose signatures are checked", oneOf: providerNames(), example: "stripe",
			meaning: "The payment provider; docs/providers has a page for each. standard-webhooks, svix and generic are for whoever signs that way.", start: "stripe"},
		{path: "sources[].mode", must: "a test must never touch real orders, so the mode is said, not guessed", oneOf: []string{"test", "live"}, example: "live",
			meaning: "Whether money is real. Keys and events of the other mode are refused.", start: "test"},
		{path: "sources[].account", shown: "the account of the key", example: "acct_1NzBq2Lk3Pw8",
			meaning: "For stripe the connected account this source is for, when it is not the key's own; for paypal the merchant id that must be paid.", start: `""`},
		{path: "sources[].api_base", shown: "the provider's own (Stripe: https://api.stripe.com)", unit: "URL", example: "https://api.stripe.com",
			meaning: "Where the provider's API is. On loopback or a private network it needs outbound.allow_private.", start: "https://api.stripe.com"},
		{path: "sources[].api_key", kind: secretRef, shown: "none; to be given where the provider is asked (stripe, paypal, mollie-classic, gumroad)", example: "env:STRIPE_API_KEY",
			meaning: "The provider's API key; docs/providers says which rights it needs. For paypal it is the app's secret.", start: "env:STRIPE_API_KEY"},
		{path: "sources[].client_id", shown: "none; only for paypal", example: "AeA1QIZXiflr1_-r0U2UbWTziOWX1GRQer5jkUq4ZfWT5qwb6qQRPq7jDtv57TL4POEEezGLdutcxnkJ",
			meaning: "The client id of the PayPal app.", start: `""`, off: true},
		{path: "sources[].webhook_secrets", kind: secretRefs, must: "without one no event could be proved", example: "[env:STRIPE_WEBHOOK_SECRET]",
			meaning: "Every signing secret that is active: two while one is being replaced. For paypal it is the id of the webhook; for providers that sign nothing (mollie-classic, gumroad) it is the token at the end of the webhook's address.", start: "[env:STRIPE_WEBHOOK_SECRET]"},
		{path: "sources[].retiring_secrets", kind: sections, shown: "none",
			meaning: "Signing secrets that are being replaced, each with the last moment at which it proves anything. Leave one here for a while after its end: what is still signed with it is then recognised and named.", off: true},
		{path: "sources[].retiring_secrets[].secret", kind: secretRef, must: "it is the secret that ends", example: "env:STRIPE_WEBHOOK_SECRET_OLD",
			meaning: "The secret.", start: "env:STRIPE_WEBHOOK_SECRET_OLD", off: true},
		{path: "sources[].retiring_secrets[].not_after", must: "a secret without an end belongs to webhook_secrets", unit: "time", example: "2026-12-01T00:00:00Z",
			meaning: "Its last moment, as RFC 3339.", start: "2026-12-01T00:00:00Z", off: true},
		{path: "sources[].acknowledge", fallback: "stored", oneOf: []string{"stored", "fulfilled"}, example: "fulfilled",
			meaning: "When a delivery is answered with success: once it is stored, or only once the goods are out. With fulfilled the provider's own retries are a second net, and its dashboard stays red until the customer has the goods."},
		{path: "sources[].acknowledge_within", kind: span, fallback: "8s", shortest: 100 * time.Millisecond, longest: 25 * time.Second, unit: "duration", example: "4s",
			meaning: "With fulfilled: how long a delivery waits for the goods before it is answered with an error. Keep it below the provider's patience."},
		{path: "sources[].retry", kind: section, shown: "that of retry.events", meaning: "How patiently events of this source are repeated.", off: true},
		off(attempts("sources[].retry")), off(base("sources[].retry")), off(longestWait("sources[].retry")),
		{path: "sources[].recipe", kind: section, shown: "none", meaning: "For the provider generic: how its deliveries are signed and read. For standard-webhooks and svix only reading counts. Paths are those of gjson, such as data.items.0.id; docs/providers/generic.md has examples.", off: true},
		{path: "sources[].recipe.header", shown: "none", example: "X-Shop-Signature", meaning: "The header that holds the signature.", start: "X-Shop-Signature", off: true},
		{path: "sources[].recipe.prefix", shown: "none", example: "sha256=", meaning: "What stands before each signature in the header.", start: "sha256=", off: true},
		{path: "sources[].recipe.separator", shown: "none", example: "\",\"", meaning: "What stands between several signatures, or between pairs where signature_key is set.", start: "\",\"", off: true},
		{path: "sources[].recipe.signature_key", shown: "none", example: "v1", meaning: "Where the header holds pairs such as t=…,v1=…: the key of the signature.", start: "v1", off: true},
		{path: "sources[].recipe.timestamp_key", shown: "none", example: "t", meaning: "Where the header holds pairs: the key of the signed time.", start: "t", off: true},
		{path: "sources[].recipe.encoding", shown: "none", example: "base64", meaning: "How the signature is written: hex (the default) or base64.", start: "base64", off: true},
		{path: "sources[].recipe.key", shown: "none", example: "base64", meaning: "What the secret is: raw (the default), hex or base64.", start: "base64", off: true},
		{path: "sources[].recipe.key_prefix", shown: "none", example: "whsec_", meaning: "What is taken off the secret before it is read.", start: "whsec_", off: true},
		{path: "sources[].recipe.algorithm", shown: "none", example: "sha512", meaning: "The MAC: sha256 (the default), sha512 or sha1.", start: "sha512", off: true},
		{path: "sources[].recipe.signed", shown: "none", example: "\"{timestamp}.{body}\"", meaning: "What is signed, with the places {body}, {timestamp}, {id} and {url}; {body} by default.", start: "\"{timestamp}.{body}\"", off: true},
		{path: "sources[].recipe.timestamp_header", shown: "none", example: "X-Shop-Timestamp", meaning: "The header with the signed time.", start: "X-Shop-Timestamp", off: true},
		{path: "sources[].recipe.timestamp_unit", shown: "none", example: "ms", meaning: "Its unit: s (the default) or ms.", start: "ms", off: true},
		{path: "sources[].recipe.id_header", shown: "none", example: "X-Shop-Delivery", meaning: "The header with the signed id of the delivery.", start: "X-Shop-Delivery", off: true},
		{path: "sources[].recipe.reading", kind: section, shown: "none: events are kept and shown", meaning: "How bodies are read.", off: true},
		{path: "sources[].recipe.reading.format", shown: "none", example: "form", meaning: "How bodies are written: json (the default) or form.", start: "form", off: true},
		{path: "sources[].recipe.reading.event_id", shown: "none", example: "id", meaning: "The path of the event's id; without one the body's hash is the id.", start: "id", off: true},
		{path: "sources[].recipe.reading.event_type", shown: "none", example: "type", meaning: "The path of the event's type.", start: "type", off: true},
		{path: "sources[].recipe.reading.created_at", shown: "none", example: "created", meaning: "The path of its time, RFC 3339 or Unix seconds.", start: "created", off: true},
		{path: "sources[].recipe.reading.object", shown: "none", example: "data.id", meaning: "The path of the id of what it is about, for people.", start: "data.id", off: true},
		{path: "sources[].recipe.reading.live", shown: "none", example: "livemode", meaning: "The path of where the body tells its mode.", start: "livemode", off: true},
		{path: "sources[].recipe.reading.live_value", shown: "none", example: "\"true\"", meaning: "What it says there in live mode.", start: "\"true\"", off: true},
		{path: "sources[].recipe.reading.facts", kind: sections, shown: "none", meaning: "What changes an order.", off: true},
		{path: "sources[].recipe.reading.facts[].types", kind: texts, shown: "none", example: "[order.*]", meaning: "The types of event that it reads; none is every event.", start: "[order.*]", off: true},
		{path: "sources[].recipe.reading.facts[].root", shown: "none", example: "data", meaning: "Where the object is.", start: "data", off: true},
		{path: "sources[].recipe.reading.facts[].each", shown: "none", example: "refunds", meaning: "A list in it, of which every element makes a fact.", start: "refunds", off: true},
		{path: "sources[].recipe.reading.facts[].status", shown: "none", example: "status", meaning: "The path of the state that decides.", start: "status", off: true},
		{path: "sources[].recipe.reading.facts[].session", shown: "none", example: "order_id", meaning: "The path of the id that makes an order one.", start: "order_id", off: true},
		{path: "sources[].recipe.reading.facts[].payment", shown: "none", example: "payment_id", meaning: "The path of the payment's id.", start: "payment_id", off: true},
		{path: "sources[].recipe.reading.facts[].id", shown: "none", example: "id", meaning: "The path of the id of the refund or dispute.", start: "id", off: true},
		{path: "sources[].recipe.reading.facts[].amount", shown: "none", example: "total", meaning: "The path of the amount, in the minor unit.", start: "total", off: true},
		{path: "sources[].recipe.reading.facts[].currency", shown: "none", example: "currency", meaning: "The path of the currency.", start: "currency", off: true},
		{path: "sources[].recipe.reading.facts[].fixed_currency", shown: "none", example: "usd", meaning: "The currency, where bodies do not tell it.", start: "usd", off: true},
		{path: "sources[].recipe.reading.facts[].email", shown: "none", example: "customer.email", meaning: "The path of the customer's address.", start: "customer.email", off: true},
		{path: "sources[].recipe.reading.facts[].name", shown: "none", example: "customer.name", meaning: "The path of the customer's name.", start: "customer.name", off: true},
		{path: "sources[].recipe.reading.facts[].is", kind: table, shown: "none", example: "{completed: paid, failed: payment_failed}", meaning: "What each value of status means: paid, awaiting_payment, payment_failed, expired, refunded, refund_failed, disputed, dispute_won or dispute_lost.", start: "{completed: paid, failed: payment_failed}", off: true},
		{path: "sources[].recipe.reading.facts[].references", kind: texts, shown: "none", example: "[invoice_id]", meaning: "The paths of other ids by which the sale is known.", start: "[invoice_id]", off: true},
		{path: "sources[].recipe.reading.facts[].decimal", kind: flag, fallback: "false", example: "true", meaning: "Whether amounts are written with a point.", off: true},
		{path: "sources[].recipe.reading.facts[].lines", kind: section, shown: "none", meaning: "How what was bought is read.", off: true},
		{path: "sources[].recipe.reading.facts[].lines.list", shown: "none", example: "items", meaning: "The path of the list of items; none where the object is the one item.", start: "items", off: true},
		{path: "sources[].recipe.reading.facts[].lines.price", shown: "none", example: "price_id", meaning: "At an item: the provider's id of the price, as in provider_prices.", start: "price_id", off: true},
		{path: "sources[].recipe.reading.facts[].lines.code", shown: "none", example: "sku", meaning: "At an item: our product code.", start: "sku", off: true},
		{path: "sources[].recipe.reading.facts[].lines.label", shown: "none", example: "title", meaning: "At an item: what people call it.", start: "title", off: true},
		{path: "sources[].recipe.reading.facts[].lines.quantity", shown: "none", example: "quantity", meaning: "At an item: how many.", start: "quantity", off: true},
		{path: "sources[].recipe.reading.facts[].lines.unit", shown: "none", example: "unit_price", meaning: "At an item: the price of one.", start: "unit_price", off: true},
		{path: "sources[].recipe.reading.facts[].lines.subtotal", shown: "none", example: "subtotal", meaning: "At an item: the price of all, before discounts and taxes.", start: "subtotal", off: true},
		{path: "sources[].recipe.reading.facts[].lines.order_code", shown: "none", example: "metadata.product", meaning: "In the data of the whole sale: our product code.", start: "metadata.product", off: true},
		{path: "sources[].recipe.reading.facts[].lines.order_quantity", shown: "none", example: "metadata.quantity", meaning: "In the data of the whole sale: how many.", start: "metadata.quantity", off: true},

		{path: "products", kind: sections, must: "there is nothing to sell",
			meaning: "The catalogue."},
		{path: "products[].code", must: "it is what the product is ordered by", unit: "1 to 64 of a to z, 0 to 9, inner dashes", example: "az-900",
			meaning: "Its name for machines, unique. Do not change it: licences carry it.", start: "az-900"},
		{path: "products[].name", must: "it is what the customer reads", unit: fmt.Sprintf("up to %d bytes", nameBytesMax), example: "AZ-900 practice exam",
			meaning: "Its name for people.", start: "AZ-900 practice exam"},
		{path: "products[].price", must: "a payment is compared with it", unit: "amount and currency", example: "29.00 USD",
			meaning: "What one costs, above zero. A payment of another amount or currency releases nothing.", start: "29.00 USD"},
		{path: "products[].license_prefix", fallback: "GD", unit: "1 to 8 of A to Z, 0 to 9", example: "AZ",
			meaning: "What stands before its licence keys."},
		{path: "products[].stocked", kind: flag, fallback: "false", example: "true",
			meaning: "Whether it is counted in stock; false for what can be copied without end."},
		{path: "products[].provider_prices", kind: table, shown: "none", example: "{stripe: price_1NzBq2Lk3Pw8}",
			meaning: "By source, the price id under which the provider sells it (payment links, for example). Each id belongs to one product.",
			start:   "{stripe: price_1NzBq2Lk3Pw8}", off: true},
		{path: "products[].policy", kind: section, shown: "the usual one, as below", meaning: "What refunds and disputes do to the licence and the stock. A full refund always revokes.", off: true},
		consequence("products[].policy.partial_refund", "keep", "After a refund of a part."),
		consequence("products[].policy.dispute", "suspend", "While a dispute is open. An inquiry is none yet."),
		consequence("products[].policy.dispute_lost", "revoke", "After a dispute was lost."),
		{path: "products[].policy.restock", kind: flag, fallback: "true", example: "false",
			meaning: "Whether what was revoked goes back into stock; false for goods that do not come back by themselves.", off: true},
		{path: "products[].policy.grace", kind: span, fallback: "72h", shortest: 0, longest: 60 * 24 * time.Hour, unit: "duration", example: "24h",
			meaning: "How long a licence outlives the subscription period that was paid, so that a late renewal locks nobody out.", off: true},

		{path: "checkout", kind: section, meaning: "Where customers pay, and where they come back to."},
		{path: "checkout.source", shown: "the only source that can sell (stripe, paypal); to be named when there are several, none when there is none", example: "stripe",
			meaning: "The source that sells.", start: "stripe"},
		{path: "checkout.success_url", shown: "public_url/thanks?session_id={CHECKOUT_SESSION_ID}", unit: "URL", example: `"https://shop.example.com/thanks?session_id={CHECKOUT_SESSION_ID}"`,
			meaning: "Where a customer lands after paying. The provider puts the session in place of {CHECKOUT_SESSION_ID}.",
			start:   `"https://shop.example.com/thanks?session_id={CHECKOUT_SESSION_ID}"`, off: true},
		{path: "checkout.cancel_url", shown: "public_url/", unit: "URL", example: "https://shop.example.com/",
			meaning: "Where a customer lands who did not pay.", start: "https://shop.example.com/", off: true},

		{path: "licenses", kind: section, must: "licence keys are made with its secrets", meaning: "How licence keys are made."},
		{path: "licenses.key_secrets", kind: sections, must: "licence keys are made with it",
			meaning: "The secrets behind the keys. The first makes new keys; keep the others for as long as keys made with them are in use."},
		{path: "licenses.key_secrets[].id", must: "it is kept beside every key", unit: "1 to 32 of a to z, A to Z, 0 to 9, . _ -", example: "k1",
			meaning: "The secret's name, unique, kept beside every key that was made with it. Never give it to another secret.", start: "k1"},
		{path: "licenses.key_secrets[].secret", kind: secretRef, must: "keys would be guessable without one", example: "file:/run/secrets/license_key",
			meaning: "At least 16 bytes drawn at random, for example by openssl rand -hex 32.", start: "env:LICENSE_KEY_SECRET"},
	}, mailKeys(key{path: "mail", kind: section, must: "customers get their licences by mail", meaning: "How customers are written to: by resend or by smtp, exactly one."}), []key{
		{path: "forwards", kind: sections, shown: "none",
			meaning: "The applications of yours that are told how every paid order stands, signed by the Standard Webhooks rules. An order is fulfilled only when each has answered the first telling.", off: true},
		{path: "forwards[].name", must: "it is part of the step's name", unit: "a to z, 0 to 9, dashes", example: "shop",
			meaning: "Its name, unique. Do not rename it: what it has not heard yet of an order it would never hear.", start: "shop", off: true},
		{path: "forwards[].url", must: "it is where the tellings go", unit: "URL", example: "https://shop.example.com/makegood",
			meaning: "Where the tellings are posted.", start: "https://shop.example.com/makegood", off: true},
		{path: "forwards[].secrets", kind: secretRefs, must: "without one nobody could prove that it is us", example: "[env:FORWARD_SECRET]",
			meaning: "The signing secrets, whsec_ and the base64 of 24 to 64 random bytes. Every one signs: name old and new while the application changes over.", start: "[env:FORWARD_SECRET]", off: true},
		{path: "forwards[].retiring_secrets", kind: sections, shown: "none", meaning: "Secrets that sign until a moment, and then no more.", off: true},
		{path: "forwards[].retiring_secrets[].secret", kind: secretRef, must: "it is the secret that ends", example: "env:FORWARD_SECRET_OLD",
			meaning: "The secret.", start: "env:FORWARD_SECRET_OLD", off: true},
		{path: "forwards[].retiring_secrets[].not_after", must: "a secret without an end belongs to secrets", unit: "time", example: "2026-12-01T00:00:00Z",
			meaning: "Its last moment, as RFC 3339.", start: "2026-12-01T00:00:00Z", off: true},
		{path: "forwards[].timeout", kind: span, fallback: "10s", shortest: 100 * time.Millisecond, longest: makegood.JobTimeout - 5*time.Second, unit: "duration", example: "5s",
			meaning: "How long one answer may take.", off: true},
		{path: "forwards[].per_second", kind: number, fallback: "100", least: 1, most: 10_000, unit: "requests a second", example: "20",
			meaning: "At most so many on this node.", off: true},
		{path: "forwards[].allow_private", kind: flag, fallback: "false", example: "true",
			meaning: "Whether this one may be on loopback or a private network. No other destination becomes reachable by it.", off: true},
		{path: "forwards[].retry", kind: section, shown: "as below", meaning: "How patiently it is told.", off: true},
		off(attempts("forwards[].retry")), off(base("forwards[].retry")), off(longestWait("forwards[].retry")),

		{path: "control", kind: section, meaning: "How the command line and programs of yours reach the running server."},
		{path: "control.socket", shown: "beside an SQLite database, PATH.control; none with PostgreSQL", unit: "path", example: "/run/makegood/control",
			meaning: "A unix socket through which the command line acts while the server runs. Only the user who runs the server may use it.", start: `""`},
		{path: "control.token", kind: secretRef, shown: "none: /api/admin is closed", example: "env:CONTROL_TOKEN",
			meaning: "Opens /api/admin over HTTP to whoever sends it as a bearer token.", start: "env:CONTROL_TOKEN", off: true},

		{path: "retry", kind: section, meaning: "How patiently failing jobs are repeated. Each wait is double the one before, spread by a quarter; a provider that names a time is obeyed."},
		{path: "retry.events", kind: section, meaning: "For turning a provider's event into an order."},
		attempts("retry.events"), base("retry.events"), longestWait("retry.events"),
		{path: "retry.mail", kind: section, meaning: "For mails."},
		attempts("retry.mail"), base("retry.mail"), longestWait("retry.mail"),

		{path: "workers", kind: section, meaning: "How many jobs run at once on this node."},
		{path: "workers.payments", kind: number, fallback: "16", least: 1, most: 256, unit: "jobs at once", example: "32",
			meaning: "For payments."},
		{path: "workers.effects", kind: number, fallback: "16", least: 1, most: 256, unit: "jobs at once", example: "32",
			meaning: "For mails and what else follows a payment; never in the way of payments."},

		{path: "limits", kind: section, meaning: "How often one client address may ask, as a defence against guessing."},
		perMinute("limits.verify_per_minute", "30", "For GET /api/verify."),
		perMinute("limits.validate_per_minute", "120", "For POST /api/licenses/validate."),
		perMinute("limits.checkout_per_minute", "20", "For POST /api/checkout."),
		{path: "limits.trusted_proxies", kind: texts, fallback: "[]", unit: "addresses or networks", example: "[127.0.0.1, 10.0.0.0/8]",
			meaning: "The reverse proxies whose X-Forwarded-For is believed. Without them all customers behind a proxy share one limit."},
	}, watcherKeys(), channelKeys(key{shown: "none: nobody is told", off: true}, serverChannels), escalationKeys(), maintenanceKeys(), checkKeys(), serverHealKeys(), errorsKeys(), outboundKeys())
}

// off leaves a key commented out in the starting file.
func off(k key) key {
	k.off = true
	return k
}

func consequence(path, fallback, meaning string) key {
	return key{path: path, fallback: fallback, oneOf: []string{"keep", "suspend", "revoke"}, example: "suspend", meaning: meaning, off: true}
}

func attempts(policy string) key {
	return key{path: policy + ".attempts", kind: number, fallback: fmt.Sprint(makegood.DefaultRetryPolicy.Attempts), least: 1, most: 1000,
		unit: "runs", example: "20", meaning: "How often it runs in all before it becomes a dead letter. 100 outlive an outage of three days."}
}

func base(policy string) key {
	return key{path: policy + ".base", kind: span, fallback: spanText(makegood.DefaultRetryPolicy.Base), shortest: 10 * time.Millisecond, longest: time.Minute,
		unit: "duration", example: "2s", meaning: "The wait after the first failure."}
}

func longestWait(policy string) key {
	return key{path: policy + ".cap", kind: span, fallback: spanText(makegood.DefaultRetryPolicy.Cap), shortest: 10 * time.Millisecond, longest: 24 * time.Hour,
		unit: "duration", example: "30m", meaning: "No wait is longer; at least base."}
}

func perMinute(path, fallback, meaning string) key {
	return key{path: path, kind: number, fallback: fallback, least: 1, most: 1_000_000, unit: "requests a minute", example: "60", meaning: meaning}
}

// spanText writes a duration as people do: 1h and not 1h0m0s.
func spanText(d time.Duration) string {
	s := d.String()
	for _, zero := range []string{"m0s", "h0m"} {
		if strings.HasSuffix(s, zero) {
			s = strings.TrimSuffix(s, zero[1:])
		}
	}
	return s
}

// language is the table by path. It is made once for each reading, and lets nobody change it.
type language map[string]key

func newLanguage(keys []key) language {
	l := language{"": {kind: section}}
	for _, k := range keys {
		l[k.path] = k
	}
	return l
}

// below returns the key of a name inside a mapping.
func (l language) below(parent key, name string) (key, bool) {
	k, ok := l[join(parent.path, name)]
	return k, ok && !strings.ContainsAny(name, ".[]")
}

// namesBelow lists the names that a mapping may have, sorted.
func (l language) namesBelow(parent key) []string {
	var names []string
	for path := range l {
		if dir, name := split(path); path != "" && dir == parent.path {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// elsewhere lists the keys of that name in other mappings, sorted.
func (l language) elsewhere(name string) []string {
	var paths []string
	for path := range l {
		if _, last := split(path); path != "" && last == name {
			paths = append(paths, path)
		}
	}
	slices.Sort(paths)
	return paths
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

func split(path string) (dir, name string) {
	if i := strings.LastIndexByte(path, '.'); i >= 0 {
		return path[:i], path[i+1:]
	}
	return "", path
}
