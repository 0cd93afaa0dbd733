package config

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// networkTargets are what a watcher asks by default to know that it can see at all: two owners that answer on their
// port for DNS over TLS and HTTPS (Cloudflare and Quad9).
func networkTargets() []string { return []string{"1.1.1.1:443", "9.9.9.9:443"} }

// monitorSubjects are what a monitor can look at, each with the conditions that it has when none are written.
func monitorSubjects() []monitorSubject {
	return []monitorSubject{
		{"url", []string{"[STATUS] == 200"}},
		{"tcp", []string{"[CONNECTED] == true"}},
		{"dns", []string{"[DNS_RCODE] == NOERROR"}},
		{"heartbeat", nil},
		{"disk", []string{"[DISK_FREE] > 10"}},
	}
}

type monitorSubject struct {
	key        string
	conditions []string
}

func usualConditions() string {
	var terms []string
	for _, s := range monitorSubjects() {
		for _, c := range s.conditions {
			terms = append(terms, "for "+s.key+" "+c)
		}
	}
	return strings.Join(terms, ", ")
}

// watchKeys is the whole language of the watcher's file, in the order of manual and starting file.
func watchKeys() []key {
	return slices.Concat([]key{
		{path: "name", shown: "the host name", example: "watch-1", start: `""`,
			meaning: "Names this watcher in beats and messages."},
		{path: "listen", fallback: "127.0.0.1:8081", unit: "host:port", example: "0.0.0.0:8081",
			meaning: "Where its HTTP server listens. Leave it on loopback behind a reverse proxy that speaks HTTPS."},
		{path: "public_url", shown: "none: messages have no links, and nothing can report from elsewhere", unit: "URL", example: "https://watch.example.net", start: `""`,
			meaning: "How people, the server and what reports by itself reach the watcher: scheme and host, without path. Not the server's: the watcher has to be reachable while the server is not."},
		{path: "database", fallback: "sqlite:watch.db", unit: "URL", example: "sqlite:/var/lib/makegood-watch/watch.db",
			meaning: "Where its own state is kept: sqlite:PATH, relative to the folder of this file. It is never the server's."},
		{path: "drill", kind: flag, fallback: "false", example: "true",
			meaning: "Whether it may run on the server's own host, for trying it out. What takes down the one takes down the other, so it watches nothing then."},
		{path: "trigger_token", kind: secretRef, shown: "none: POST /__trigger is closed", example: "env:WATCH_TRIGGER_TOKEN", start: "env:WATCH_TRIGGER_TOKEN", off: true,
			meaning: "Opens POST /__trigger, which looks at everything at once, to whoever sends it as a bearer token."},
	}, logKeys(), []key{

		{path: "server", kind: section, shown: "none: it watches pages only, and nobody watches it", meaning: "The server that it watches. Each tells the other that it is alive, and tells people when the other falls silent."},
		{path: "server.url", must: "it is where beats go", unit: "URL", example: "https://shop.example.com", start: "https://shop.example.com",
			meaning: "Its public_url. On loopback or a private network it needs outbound.allow_private."},
		{path: "server.secret", kind: secretRef, must: "beats are signed with it", example: "env:WATCH_SECRET", start: "env:WATCH_SECRET",
			meaning: "The secret that both share, watcher.secret in the server's file: at least 32 bytes drawn at random, for example by openssl rand -hex 32."},
		{path: "server.every", kind: span, fallback: "10s", shortest: 100 * time.Millisecond, longest: 10 * time.Minute, unit: "duration", example: "5s",
			meaning: "The time between two beats."},
		{path: "server.silent_after", kind: span, fallback: "20s", shortest: 200 * time.Millisecond, longest: time.Hour, unit: "duration", example: "1m",
			meaning: "After how long without an answer the server is taken for dead; longer than every."},

		{path: "vantage", kind: section, shown: "none", off: true,
			meaning: "Another watcher, at another provider, that looks too before something is believed. It has one network less in common with this one, so what only this one cannot reach wakes nobody."},
		{path: "vantage.url", must: "it is where it is asked", unit: "URL", example: "https://watch-2.example.org", start: "https://watch-2.example.org", off: true, meaning: "Its public_url."},
		{path: "vantage.secret", kind: secretRef, must: "questions are signed with it", example: "env:VANTAGE_SECRET", start: "env:VANTAGE_SECRET", off: true,
			meaning: "The secret that both watchers share, and nobody else: at least 32 bytes drawn at random."},

		{path: "network", kind: section, meaning: "How it knows that it can see at all."},
		{path: "network.targets", kind: texts, fallback: "[" + strings.Join(networkTargets(), ", ") + "]", unit: "host:port", example: "[1.1.1.1:443, 9.9.9.9:443]",
			meaning: "While none of them answers, the watcher is blind: it says so, and takes nothing for broken. Name at least two, of different owners; [] is never blind."},
	}, monitorKeys(), syntheticKeys(), smokeKeys(), secretListKeys(), healKeys(), drillKeys(),
		channelKeys(key{must: "a watcher that can tell nobody is none"}, watchChannels), escalationKeys(), maintenanceKeys(),
		mailKeys(key{path: "mail", kind: section, shown: "none", off: true, meaning: "How channels of kind email send: by resend or by smtp, exactly one. Better not the server's account: what breaks it there must not silence the watcher."}),
		outboundKeys(), errorsKeys())
}

func monitorKeys() []key {
	onlyURL := " Only for url."
	return []key{
		{path: "monitors", kind: sections, shown: "none", entries: watchMonitors,
			meaning: "What it looks at. Each looks at exactly one thing: url, tcp, dns, heartbeat or disk."},
		{path: "monitors[].name", must: "incidents are called by it", unit: "a to z, 0 to 9, dashes", example: "landing-page", meaning: "Its name, unique. Its incidents are monitor/NAME."},
		{path: "monitors[].url", shown: "none", unit: "URL", example: "https://shop.example.com/", meaning: "An address that is fetched; http and private networks are fine here."},
		{path: "monitors[].method", fallback: "GET", oneOf: []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}, example: "HEAD", meaning: "How it is fetched." + onlyURL},
		{path: "monitors[].headers", kind: table, shown: "none", example: "{Accept: application/json, Authorization: env:STATUS_TOKEN}",
			meaning: "What is sent along; a value may be a reference, and one that proves who asks has to be." + onlyURL},
		{path: "monitors[].body", shown: "none", example: `"{}"`, meaning: "What is sent." + onlyURL},
		{path: "monitors[].tcp", shown: "none", unit: "host:port", example: "db.example.com:5432", meaning: "A port that must take connections."},
		{path: "monitors[].dns", kind: section, shown: "none", meaning: "A question to a name server."},
		{path: "monitors[].dns.name", must: "it is what is asked", example: "shop.example.com", meaning: "The name that is asked for."},
		{path: "monitors[].dns.type", fallback: "A", oneOf: []string{"A", "AAAA", "CNAME", "MX", "NS", "TXT"}, example: "MX", meaning: "The type of record."},
		{path: "monitors[].dns.server", shown: "the system's", unit: "host:port", example: "9.9.9.9:53", meaning: "Which name server is asked."},
		{path: "monitors[].heartbeat", kind: section, shown: "none", meaning: "Something that reports by itself, such as a nightly job: at public_url/beat/TOKEN, /beat/TOKEN/start and /beat/TOKEN/fail. Silence is the trouble."},
		{path: "monitors[].heartbeat.token", kind: secretRef, must: "whoever does not know it must not report", example: "env:BACKUP_BEAT_TOKEN",
			meaning: "The end of its address, unique: at least 16 letters, digits, dashes and underscores, for example by openssl rand -hex 16."},
		{path: "monitors[].heartbeat.every", kind: span, must: "it says when silence is trouble", shortest: 100 * time.Millisecond, longest: 366 * 24 * time.Hour, unit: "duration", example: "24h", meaning: "How often it reports."},
		{path: "monitors[].heartbeat.grace", kind: span, fallback: "1m", longest: 31 * 24 * time.Hour, unit: "duration", example: "30m", meaning: "How much later than that it may be."},
		{path: "monitors[].heartbeat.within", kind: span, shown: "as long as it likes", longest: 31 * 24 * time.Hour, unit: "duration", example: "1h", meaning: "How long a run may take that has said that it starts."},
		{path: "monitors[].disk", shown: "none", unit: "path", example: "/var/lib", meaning: "A folder on the watcher's own machine; [DISK_FREE] is what is free of its disk, in per cent."},
		{path: "monitors[].conditions", kind: texts, shown: usualConditions(), example: `["[STATUS] == 200", "[BODY].status == healthy"]`,
			meaning: "What has to hold, all of it; docs/watcher.md has examples. Quotation marks are needed, because YAML takes [ for a list. Not for heartbeat."},
		{path: "monitors[].priority", fallback: "P1", oneOf: priorityNames(), example: "P0", meaning: "Who is told, and how soon."},
		{path: "monitors[].title", shown: "made of the name", unit: fmt.Sprintf("up to %d bytes", nameBytesMax), example: "The landing page is down", meaning: "What is wrong when it is red, in a few words."},
		{path: "monitors[].means", shown: "nothing", unit: fmt.Sprintf("up to %d bytes", meansBytesMax), example: "Nobody can buy", meaning: "What that means for customers, as a sentence."},
		{path: "monitors[].every", kind: span, fallback: spanText(monitorEvery), shortest: 100 * time.Millisecond, longest: 24 * time.Hour, unit: "duration", example: "1m", meaning: "The time between two looks."},
		{path: "monitors[].again", kind: span, shown: spanText(monitorAgain) + ", or half of every when that is less", shortest: 10 * time.Millisecond, longest: time.Hour, unit: "duration", example: "5s", meaning: "The time between two looks while it is suspect; shorter than every."},
		{path: "monitors[].timeout", kind: span, shown: spanText(monitorTimeout) + ", or every when that is less", shortest: 10 * time.Millisecond, longest: time.Minute, unit: "duration", example: "10s", meaning: "How long one look may take; at most every and again together."},
		{path: "monitors[].failures", kind: number, fallback: "4", least: 1, most: inARowMax, unit: "looks", example: "2", meaning: "How many looks in a row must be red before it is believed."},
		{path: "monitors[].successes", kind: number, fallback: "2", least: 1, most: inARowMax, unit: "looks", example: "3", meaning: "How many looks in a row must be green before it is over."},
		{path: "monitors[].depends_on", kind: texts, shown: "none", example: "[health]", meaning: "The names of the monitors that explain this one: while one of them is red, nobody is told of this."},
		{path: "monitors[].second", kind: flag, fallback: "false", example: "true", meaning: "Whether the vantage has to agree before it is believed."},
	}
}

// The pace of a monitor: a hard failure is believed within 10 + 2 + 2 seconds and what the looks take.
const (
	monitorEvery   = 10 * time.Second
	monitorAgain   = 1500 * time.Millisecond
	monitorTimeout = 5 * time.Second
)

func syntheticKeys() []key {
	return []key{
		{path: "checkout", kind: sections, shown: "none", off: true,
			meaning: "What it tries to buy without paying: it makes a checkout through the server's public API, reads it back at the provider, compares, and ends it."},
		{path: "checkout[].product", must: "it is what is bought", example: "az-900", start: "az-900", off: true, meaning: "The product's code in the server's catalogue."},
		{path: "checkout[].every", kind: span, fallback: "5m", shortest: time.Second, longest: 24 * time.Hour, unit: "duration", example: "1h", off: true, meaning: "The time between two tries."},
		{path: "checkout[].provider", fallback: "stripe", oneOf: []string{"stripe", "paypal"}, example: "paypal", off: true, meaning: "Whose checkouts the server makes."},
		{path: "checkout[].mode", must: "a key of the other mode would find nothing", oneOf: []string{"test", "live"}, example: "live", start: "live", off: true, meaning: "Whether the checkouts are to be paid with real money."},
		{path: "checkout[].api_base", shown: "the provider's own", unit: "URL", example: "https://api.stripe.com", start: `""`, off: true, meaning: "Where the provider's API is."},
		{path: "checkout[].api_key", kind: secretRef, must: "the provider is asked with it", example: "env:WATCH_STRIPE_KEY", start: "env:WATCH_STRIPE_KEY", off: true,
			meaning: "The watcher's own key, not the server's. At Stripe a restricted one that may write Checkout Sessions and nothing else; for paypal the secret of an app of its own."},
		{path: "checkout[].client_id", shown: "none; only for paypal", example: "AeA1QIZXiflr1_-r0U2UbWTziOWX1GRQer5jkUq4ZfWT5qwb6qQRPq7jDtv57TL4POEEezGLdutcxnkJ", start: `""`, off: true, meaning: "The client id of the PayPal app."},
		{path: "checkout[].amount", must: "it is what the customer is to pay", unit: "amount and currency", example: "29.00 USD", start: "29.00 USD", off: true, meaning: "What the checkout must ask for."},
		{path: "checkout[].name", shown: "not compared", example: "AZ-900 practice exam", start: `""`, off: true, meaning: "What the customer must read."},
		{path: "checkout[].success_url", shown: "not compared", unit: "URL", example: "https://shop.example.com/thanks", start: `""`, off: true, meaning: "How the address must begin to which a customer comes back."},
		{path: "checkout[].cancel_url", shown: "not compared", unit: "URL", example: "https://shop.example.com/", start: `""`, off: true, meaning: "How the address must begin for customers who did not pay."},
	}
}

func smokeKeys() []key {
	return []key{
		{path: "smoke", kind: section, shown: "none", off: true, meaning: "What must work after a deploy. It runs at POST /__trigger and by makegood smoke."},
		{path: "smoke.url", must: "it is what was deployed", unit: "URL", example: "https://shop.example.com", start: "https://shop.example.com", off: true, meaning: "The shop: scheme and host, without path."},
		{path: "smoke.pages", kind: sections, shown: "none", off: true, meaning: "Pages and paths with data, in order."},
		{path: "smoke.pages[].path", must: "it is what is fetched", example: "/api/health", start: "/api/health", off: true, meaning: "The path, which begins with a slash."},
		{path: "smoke.pages[].conditions", kind: texts, shown: "[STATUS] == 200", example: `["[STATUS] == 200", "[BODY].status == healthy"]`, start: `["[STATUS] == 200", "[BODY].status == healthy"]`, off: true, meaning: "What has to hold, as in monitors."},
		{path: "smoke.click", shown: "none: nothing is clicked", example: "/az-900", start: "/az-900", off: true, meaning: "The path of the page with the buy button."},
		{path: "smoke.button", shown: "what is taken for a buy button", example: "/api/checkout", start: "/api/checkout", off: true, meaning: "A pattern of what the button links or posts to, in which * is anything."},
		{path: "smoke.checkout", kind: texts, shown: "none; to be given with click", example: "[https://checkout.stripe.com/]", start: "[https://checkout.stripe.com/]", off: true, meaning: "How the addresses may begin to which the button leads."},
		{path: "smoke.timeout", kind: span, fallback: "10s", shortest: 100 * time.Millisecond, longest: 2 * time.Minute, unit: "duration", example: "30s", off: true, meaning: "How long each step may take."},
	}
}

// watchChannels are the examples of the watcher's starting file.
var watchChannels = []string{`
- name: phone
  kind: ntfy
  topic: env:NTFY_TOPIC
`, `#
- name: room
  kind: slack
  quiet: true
  room: C024BE91L
  token: env:SLACK_TOKEN
`, `#
- name: mailbox
  kind: email
  quiet: true
  to: [ops@example.com]
`, `#
- name: sms
  kind: sms
  account: AC0123456789abcdef0123456789abcdef
  from: "+15005550006"
  to: ["+491701234567"]
  token: env:TWILIO_TOKEN
`, `#
- name: issues
  kind: github
  quiet: true
  repo: example/shop
  token: env:GITHUB_ISSUES_TOKEN
`}

// watchMonitors are the examples of the watcher's starting file: the four that find most, and one of each other kind.
var watchMonitors = []string{`
- name: health
  url: https://shop.example.com/api/health
  conditions: ["[STATUS] == 200", "[BODY].status == healthy"]
  priority: P0
  title: The server says that it is not well
  means: Payments may not be fulfilled.
`, `
- name: landing-page
  url: https://shop.example.com/
  conditions: ["[STATUS] == 200", "[RESPONSE_TIME] < 3s", "[CERTIFICATE_EXPIRATION] > 336h"]
  title: The landing page is down, slow, or about to lose its certificate
  means: Nobody finds the shop.
`, `
- name: product-page
  url: https://shop.example.com/az-900
  conditions: ["[STATUS] == 200", "[BODY] == pat(*Buy now*)"]
  title: The product page has no buy button
  means: Nobody can buy.
`, `
- name: data-file
  url: https://shop.example.com/data/az-900.json
  conditions: ["[STATUS] == 200", "len([BODY].questions) > 0"]
  title: The data of the product is missing or broken
  means: Customers open an empty product.
`, `#
- name: name-server
  dns: {name: shop.example.com, type: A, server: "9.9.9.9:53"}
  conditions: ["[DNS_RCODE] == NOERROR"]
  title: The name of the shop is not known
  means: Nobody finds the shop.
`, `#
- name: database-port
  tcp: db.example.com:5432
  depends_on: [health]
`, `#
- name: nightly-backup
  heartbeat: {token: env:BACKUP_BEAT_TOKEN, every: 24h, grace: 30m, within: 1h}
  priority: P2
  title: The nightly backup has not reported
  means: A loss of data could not be made good.
`, `#
- name: own-disk
  disk: /var/lib
  conditions: ["[DISK_FREE] > 10"]
  priority: P2
  title: The watcher's disk is nearly full
  means: Soon it could not keep what it sees.
`}
