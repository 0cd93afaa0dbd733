package config_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/config"
	"github.com/makegood/makegood/internal/secret"
)

// sane are rules of conditions that are simpler than the real ones.
var sane = config.Rules{Condition: func(kind, text string) error {
	switch {
	case !strings.Contains(text, "[") || !strings.ContainsAny(text, "=<>"):
		return errors.New("is not a condition, such as [STATUS] == 200")
	case kind != "disk" && strings.Contains(text, "[DISK_FREE]"):
		return errors.New("asks for [DISK_FREE], which only a disk has")
	}
	return nil
}}

// goodWatch is the file that the tests change. Its lines are counted in the problems below.
const goodWatch = `name: watch-1
public_url: https://watch.example.net
monitors:
  - name: health
    url: https://shop.example.com/api/health
  - name: landing-page
    url: https://shop.example.com/
channels:
  - name: phone
    kind: ntfy
    topic: env:NTFY_TOPIC
`

// watchProblemsOf returns the problems of a watcher's file, and insists that nothing is partly returned.
func watchProblemsOf(t *testing.T, file string, env func(string) (string, bool)) config.Problems {
	t.Helper()
	w, err := config.ParseWatch([]byte(file), "watch.yaml", "", env, sane)
	if err == nil {
		return nil
	}
	if w != nil {
		t.Errorf("ParseWatch returned a configuration along with problems")
	}
	var problems config.Problems
	if !errors.As(err, &problems) {
		t.Fatalf("ParseWatch error is a %T, want Problems", err)
	}
	return problems
}

func TestParseWatchDefaults(t *testing.T) {
	t.Parallel()
	got, err := config.ParseWatch([]byte(goodWatch), "watch.yaml", "/etc/makegood", lookup, sane)
	if err != nil {
		t.Fatal(err)
	}
	page := func(name, url string) config.Monitor {
		return config.Monitor{Name: name, URL: url, Method: "GET", Conditions: []string{"[STATUS] == 200"}, Priority: makegood.P1,
			Title: name + " is not as it should be", Every: 10 * time.Second, Again: 1500 * time.Millisecond, Timeout: 5 * time.Second, Failures: 4, Successes: 2}
	}
	want := &config.Watch{
		Name: "watch-1", Listen: "127.0.0.1:8081", PublicURL: "https://watch.example.net", Database: "sqlite:/etc/makegood/watch.db",
		Log:      config.Log{Level: "info", Format: "text"},
		Network:  config.Network{Targets: []string{"1.1.1.1:443", "9.9.9.9:443"}},
		Monitors: []config.Monitor{page("health", "https://shop.example.com/api/health"), page("landing-page", "https://shop.example.com/")},
		Telling: config.Telling{
			Channels:   []config.Channel{{Name: "phone", Kind: "ntfy", URL: "https://ntfy.sh", Topic: environment["NTFY_TOPIC"]}},
			Escalation: makegood.DefaultEscalation([]string{"phone"}, nil),
		},
		Outbound: config.Outbound{Timeout: 10 * time.Second},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("ParseWatch (-want +got):\n%s", diff)
	}
}

// everythingWatched says every key of its own, and none as its default.
const everythingWatched = `
name: watch-1
listen: :9000
public_url: http://127.0.0.1:9000/
database: sqlite:/var/lib/watch/watch.db
drill: true
trigger_token: env:WATCH_TRIGGER_TOKEN
log: {level: debug, format: json}
server: {url: "http://127.0.0.1:8080/", secret: env:WATCH_SECRET, every: 1s, silent_after: 3s}
vantage: {url: "https://watch-2.example.org", secret: env:VANTAGE_SECRET}
network: {targets: [10.0.0.1:53, "[2001:db8::1]:443"]}
monitors:
  - name: health
    url: http://10.0.0.2/api/health?deep=1
    method: POST
    headers: {accept: application/json, Authorization: env:STATUS_TOKEN}
    body: "{}"
    conditions: ["[STATUS] == 200", "[BODY].status == healthy"]
    priority: P0
    title: Not well
    means: Nobody can buy.
    every: 1m
    again: 5s
    timeout: 1m
    failures: 1
    successes: 5
    second: true
  - {name: port, tcp: "db.example.com:5432", depends_on: [health], every: 1s, timeout: 500ms}
  - {name: name-server, dns: {name: shop.example.com, type: MX, server: "9.9.9.9:53"}}
  - {name: backup, heartbeat: {token: env:BACKUP_BEAT_TOKEN, every: 24h, grace: 30m, within: 1h}}
  - {name: disk, disk: /var/lib, every: 3s}
checkout:
  - {product: az-900, every: 1h, provider: stripe, mode: live, api_key: env:WATCH_STRIPE_KEY, amount: 29.00 USD, name: AZ-900,
     success_url: "https://shop.example.com/thanks", cancel_url: "https://shop.example.com/"}
  - {product: az-900, provider: paypal, mode: test, api_base: "http://127.0.0.1:9001", api_key: env:PAYPAL_SECRET, client_id: app, amount: 2900 JPY}
smoke:
  url: https://shop.example.com/
  pages: [{path: /}, {path: "/api/health?x=y", conditions: ["[BODY].status == healthy"]}]
  click: /az-900
  button: /api/checkout
  checkout: ["https://checkout.stripe.com/"]
  timeout: 30s
channels: [{name: mailbox, kind: email, to: [a@example.com]}]
mail: {from: watch@example.net, resend: {api_key: env:RESEND_API_KEY}}
outbound: {allow_private: true, timeout: 20s}
errors: {dsn: env:SENTRY_DSN}
`

func TestParseWatchEverything(t *testing.T) {
	t.Parallel()
	got, err := config.ParseWatch([]byte(everythingWatched), "watch.yaml", "", lookup, sane)
	if err != nil {
		t.Fatal(err)
	}
	env := func(name string) secret.Value { return secret.New(environment[name]) }
	usual := config.Monitor{Priority: makegood.P1, Every: 10 * time.Second, Again: 1500 * time.Millisecond, Timeout: 5 * time.Second, Failures: 4, Successes: 2}
	monitor := func(change func(*config.Monitor)) config.Monitor {
		m := usual
		change(&m)
		return m
	}
	want := &config.Watch{
		Name: "watch-1", Listen: ":9000", PublicURL: "http://127.0.0.1:9000", Database: "sqlite:/var/lib/watch/watch.db",
		Log: config.Log{Level: "debug", Format: "json"}, Drill: true, Trigger: env("WATCH_TRIGGER_TOKEN"),
		Server:  &config.Watched{URL: "http://127.0.0.1:8080", Secret: env("WATCH_SECRET"), Every: time.Second, Silent: 3 * time.Second},
		Vantage: &config.Vantage{URL: "https://watch-2.example.org", Secret: env("VANTAGE_SECRET")},
		Network: config.Network{Targets: []string{"10.0.0.1:53", "[2001:db8::1]:443"}},
		Monitors: []config.Monitor{
			{Name: "health", URL: "http://10.0.0.2/api/health?deep=1", Method: "POST", Body: "{}",
				Headers:    map[string]string{"Accept": "application/json", "Authorization": environment["STATUS_TOKEN"]},
				Conditions: []string{"[STATUS] == 200", "[BODY].status == healthy"}, Priority: makegood.P0, Title: "Not well", Means: "Nobody can buy.",
				Every: time.Minute, Again: 5 * time.Second, Timeout: time.Minute, Failures: 1, Successes: 5, Second: true},
			monitor(func(m *config.Monitor) {
				m.Name, m.TCP, m.Conditions, m.DependsOn = "port", "db.example.com:5432", []string{"[CONNECTED] == true"}, []string{"health"}
				m.Title, m.Every, m.Again, m.Timeout = "port is not as it should be", time.Second, 500*time.Millisecond, 500*time.Millisecond
			}),
			monitor(func(m *config.Monitor) {
				m.Name, m.Conditions, m.Title = "name-server", []string{"[DNS_RCODE] == NOERROR"}, "name-server is not as it should be"
				m.DNS = &config.DNSLook{Name: "shop.example.com", Type: "MX", Server: "9.9.9.9:53"}
			}),
			monitor(func(m *config.Monitor) {
				m.Name, m.Title = "backup", "backup has not reported"
				m.Heartbeat = &config.Heartbeat{Token: env("BACKUP_BEAT_TOKEN"), Every: 24 * time.Hour, Grace: 30 * time.Minute, Within: time.Hour}
			}),
			monitor(func(m *config.Monitor) {
				m.Name, m.Disk, m.Conditions, m.Title = "disk", "/var/lib", []string{"[DISK_FREE] > 10"}, "disk is not as it should be"
				m.Every, m.Again, m.Timeout = 3*time.Second, 1500*time.Millisecond, 3*time.Second
			}),
		},
		Checkout: []config.SyntheticCheckout{
			{Product: "az-900", Every: time.Hour, Provider: "stripe", Live: true, APIBase: "https://api.stripe.com", APIKey: env("WATCH_STRIPE_KEY"),
				Amount: makegood.Money{Minor: 2900, Currency: "usd"}, Name: "AZ-900", SuccessURL: "https://shop.example.com/thanks", CancelURL: "https://shop.example.com/"},
			{Product: "az-900", Every: 5 * time.Minute, Provider: "paypal", APIBase: "http://127.0.0.1:9001", APIKey: env("PAYPAL_SECRET"), ClientID: "app",
				Amount: makegood.Money{Minor: 2900, Currency: "jpy"}},
		},
		Smoke: &config.SmokeTest{URL: "https://shop.example.com", Click: "/az-900", Button: "/api/checkout", Checkout: []string{"https://checkout.stripe.com/"},
			Pages:   []config.SmokePage{{Path: "/", Conditions: []string{"[STATUS] == 200"}}, {Path: "/api/health?x=y", Conditions: []string{"[BODY].status == healthy"}}},
			Timeout: 30 * time.Second},
		Telling: config.Telling{
			Channels:   []config.Channel{{Name: "mailbox", Kind: "email", To: []string{"a@example.com"}}},
			Escalation: makegood.DefaultEscalation([]string{"mailbox"}, nil),
			Mail:       &config.Mail{From: "watch@example.net", Resend: &config.Resend{APIBase: "https://api.resend.com", APIKey: env("RESEND_API_KEY")}},
		},
		Outbound: config.Outbound{AllowPrivate: true, Timeout: 20 * time.Second},
		Errors:   config.Errors{DSN: env("SENTRY_DSN"), Environment: "production"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("ParseWatch (-want +got):\n%s", diff)
	}

	var listed []string
	for _, s := range config.WatchSecrets(got) {
		listed = append(listed, fmt.Sprintf("%s %s %s", s.Path, s.Kind, s.Fingerprint))
	}
	var wantListed []string
	for _, s := range [][3]string{
		{"trigger_token", "token", "WATCH_TRIGGER_TOKEN"}, {"server.secret", "peer", "WATCH_SECRET"}, {"vantage.secret", "peer", "VANTAGE_SECRET"},
		{"monitors[3].heartbeat.token", "token", "BACKUP_BEAT_TOKEN"}, {"checkout[0].api_key", "stripe_key", "WATCH_STRIPE_KEY"},
		{"checkout[1].api_key", "token", "PAYPAL_SECRET"}, {"mail.resend.api_key", "resend_key", "RESEND_API_KEY"}, {"errors.dsn", "sentry_dsn", "SENTRY_DSN"},
	} {
		wantListed = append(wantListed, s[0]+" "+s[1]+" "+secret.New(environment[s[2]]).Fingerprint())
	}
	if diff := cmp.Diff(wantListed, listed); diff != "" {
		t.Errorf("WatchSecrets (-want +got):\n%s", diff)
	}

	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "config", got, "monitor", got.Monitors[0])
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "config", got, "channel", got.Channels[0])
	j, err := json.Marshal(got)
	if err != nil {
		t.Fatal(err)
	}
	for _, printed := range []string{log.String(), string(j), fmt.Sprintf("%v %+v %#v", got, *got, got)} {
		for _, hidden := range []string{"9Kx2Lm5Pw8Rd4Fg6", "a@example.com", "deep=1"} {
			if strings.Contains(printed, hidden) || !strings.Contains(printed, "/api/health") {
				t.Errorf("printed = %s, want it with the monitors and without %s", printed, hidden)
			}
		}
	}
}

// TestParseWatchSharesTelling runs what both files have in common through the watcher's.
func TestParseWatchSharesTelling(t *testing.T) {
	t.Parallel()
	noChannels, _, _ := strings.Cut(goodWatch, "channels:")
	for _, tt := range tellingProblems {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			file := goodWatch + tt.file + "\n"
			if strings.HasPrefix(tt.file, "channels:") {
				file = noChannels + tt.file + "\n"
			}
			if strings.Contains(file, "kind: email") {
				file += "mail: {from: a@example.net, resend: {api_key: env:RESEND_API_KEY}}\n"
			}
			if got := problemsText(watchProblemsOf(t, file, lookup)); got != tt.want {
				t.Errorf("problems:\n got %s\nwant %s", got, tt.want)
			}
		})
	}
}

// TestParseWatchRefuses changes one thing in a good file, and wants exactly the problems that follow from it.
func TestParseWatchRefuses(t *testing.T) {
	t.Parallel()
	const (
		public   = "public_url: https://watch.example.net\n"
		health   = "  - name: health\n    url: https://shop.example.com/api/health\n"
		landing  = "    url: https://shop.example.com/\n"
		channels = "channels:\n  - name: phone\n    kind: ntfy\n    topic: env:NTFY_TOPIC\n"
		ownURL   = ": watches itself: this is the watcher's own address, and when it fails it can tell nobody; let the server or another watcher look (watch.yaml:7)"
		beat     = "  - {name: backup, heartbeat: {token: env:BACKUP_BEAT_TOKEN, every: 24h}}\n"
	)
	monitor := func(rest string) string { return "    " + rest + "\n" }
	for _, tt := range []struct {
		name, old, now string
		want           string // "; and " stands between problems
	}{
		// The file itself.
		{"a key of the server", public, public + "workers: {payments: 3}\n", "workers: is not a known key here (watch.yaml:3)"},
		{"misspelt key", public, public + "drlil: true\n", "drlil: is not a known key here; did you mean drill? (watch.yaml:3)"},
		{"name", "name: watch-1\n", "name: watch 1\n", "name: is not a name for a node: it has 1 to 100 letters, digits, dots, dashes and underscores, and begins with a letter or digit (watch.yaml:1)"},
		{"listen", public, public + "listen: 8081\n", "listen: is a number; expected is text, in quotation marks if it has digits only (watch.yaml:3)"},
		{"public_url with a path", public, "public_url: https://watch.example.net/watch\n", "public_url: has a path, a query or a fragment; write scheme and host alone (watch.yaml:2)"},
		{"the server's database", public, public + "database: postgres://makegood@db/makegood\n", "database: is not sqlite:PATH; a watcher keeps its state on its own disk, where no other machine can take it away (watch.yaml:3)"},
		{"no memory", public, public + "database: 'sqlite::memory:'\n", "database: would forget everything when the program ends; name a file, such as sqlite:makegood.db (watch.yaml:3)"},
		{"odd database", public, public + "database: 'sqlite:a?b'\n", "database: has a path with one of ? # % in it, the folder of the configuration included, which SQLite reads as something else (watch.yaml:3)"},
		{"short trigger", public, public + "trigger_token: env:SMTP_PASSWORD\n", "trigger_token: is too short: 13 bytes where at least 16 are needed; perhaps it was cut off (watch.yaml:3)"},
		{"nobody to tell", channels, "", "channels: is missing; a watcher that can tell nobody is none (watch.yaml:1)"},
		{"no channels", channels, "channels: []\n", "channels: is empty; a watcher that can tell nobody is none (watch.yaml:8)"},
		{"mail without mail", "    kind: ntfy\n    topic: env:NTFY_TOPIC\n", "    kind: email\n    to: [a@example.com]\n", "channels[0].kind: is email, and there is no section mail to send with (watch.yaml:10)"},
		{"half a mail", channels, channels + "mail: {from: a@example.net}\n", "mail: has neither resend nor smtp; one of them has to send (watch.yaml:12)"},

		// Peers and network.
		{"server without secret", public, public + "server: {url: 'https://shop.example.com'}\n", "server.secret: is missing; beats are signed with it (watch.yaml:3)"},
		{"server at home", public, public + "server: {url: 'http://10.0.0.1', secret: env:WATCH_SECRET}\n", "server.url: is on loopback or a private network, and outbound.allow_private is false: every call would be refused (watch.yaml:3)"},
		{"server with a path", public, public + "server: {url: 'https://shop.example.com/api', secret: env:WATCH_SECRET}\n", "server.url: has a path, a query or a fragment; write scheme and host alone (watch.yaml:3)"},
		{"server is itself", public, public + "server: {url: 'https://WATCH.example.net:443/', secret: env:WATCH_SECRET}\n", "server.url: is the watcher's own address; it is to be another program on another machine (watch.yaml:3)"},
		{"server silent too soon", public, public + "server: {url: 'https://shop.example.com', secret: env:WATCH_SECRET, every: 30s}\n", "server.silent_after: is not longer than every; each beat would come too late (watch.yaml:3)"},
		{"short secret", public, public + "server: {url: 'https://shop.example.com', secret: env:CONTROL_TOKEN}\n", "server.secret: is too short: 24 bytes where at least 32 are needed; perhaps it was cut off (watch.yaml:3)"},
		{"vantage is itself", public, public + "vantage: {url: 'https://watch.example.net', secret: env:WATCH_SECRET}\n", "vantage.url: is the watcher's own address; it is to be another program on another machine (watch.yaml:3)"},
		{"one secret for two", public, public + "server: {url: 'https://shop.example.com', secret: env:WATCH_SECRET}\nvantage: {url: 'https://a.example.net', secret: env:WATCH_SECRET}\n", "vantage.secret: is the same secret as server.secret; whoever has the one must not have the other (watch.yaml:4)"},
		{"trigger is the secret", public, public + "trigger_token: env:WATCH_SECRET\nserver: {url: 'https://shop.example.com', secret: env:WATCH_SECRET}\n", "server.secret: is the same secret as trigger_token; whoever has the one must not have the other (watch.yaml:4)"},
		{"one target", public, public + "network: {targets: ['1.1.1.1:443', '1.1.1.1:53']}\n", "network.targets: names one host only; when that one fails, the watcher would take itself for blind (watch.yaml:3)"},
		{"target without port", public, public + "network: {targets: [1.1.1.1, 'a:0']}\n", "network.targets[0]: is not of the form host:port, such as db.example.com:5432 (watch.yaml:3); and network.targets[1]: is not of the form host:port, such as db.example.com:5432 (watch.yaml:3)"},

		// Monitors.
		{"monitor name", "name: health", "name: Health", "monitors[0].name: is not a name for a monitor: it has 1 to 64 of a to z, 0 to 9 and dashes (watch.yaml:4)"},
		{"same monitor name", "name: health", "name: landing-page", "monitors[1].name: is the same as monitors[0].name; each needs its own (watch.yaml:6)"},
		{"nothing to look at", landing, "", "monitors[1]: has none of url, tcp, dns, heartbeat and disk; one of them is what it looks at (watch.yaml:6)"},
		{"two things to look at", landing, landing + monitor("disk: /var"), "monitors[1]: has both url and disk; a monitor looks at one thing (watch.yaml:6)"},
		{"url", landing, monitor("url: shop.example.com"), "monitors[1].url: is not an absolute http or https address, such as https://shop.example.com (watch.yaml:7)"},
		{"tcp", landing, monitor("tcp: db.example.com"), "monitors[1].tcp: is not of the form host:port, such as db.example.com:5432 (watch.yaml:7)"},
		{"dns name", landing, monitor("dns: {name: a b}"), "monitors[1].dns.name: is not a name that a name server could be asked for (watch.yaml:7)"},
		{"dns type", landing, monitor("dns: {name: a, type: SOA}"), "monitors[1].dns.type: is not A or AAAA or CNAME or MX or NS or TXT (watch.yaml:7)"},
		{"dns server", landing, monitor("dns: {name: a, server: 9.9.9.9}"), "monitors[1].dns.server: is not of the form host:port, such as db.example.com:5432 (watch.yaml:7)"},
		{"disk", landing, monitor("disk: var"), "monitors[1].disk: is not an absolute path, such as /var/lib (watch.yaml:7)"},
		{"method", landing, landing + monitor("method: GTE"), "monitors[1].method: is not GET or HEAD or POST or PUT or PATCH or DELETE or OPTIONS; did you mean GET? (watch.yaml:8)"},
		{"method of a port", landing, monitor("tcp: a:1") + monitor("method: GET"), "monitors[1].method: is given, and only a monitor of a url sends something (watch.yaml:8)"},
		{"header with a secret", landing, landing + monitor("headers: {X-Api-Key: abc}"), "monitors[1].headers.X-Api-Key: is written into the file itself; write env:NAME or file:/path instead, and replace the secret if others could read this file (watch.yaml:8)"},
		{"header that is not there", landing, landing + monitor("headers: {Cookie: env:NOT_THERE}"), "monitors[1].headers.Cookie: env NOT_THERE is not set (watch.yaml:8)"},
		{"header name", landing, landing + monitor("headers: {'a b': c}"), "monitors[1].headers: has a name that no header can have (watch.yaml:8)"},
		{"header of two lines", landing, landing + monitor(`headers: {A: "a\nb"}`), "monitors[1].headers.A: has line breaks or other control characters in it (watch.yaml:8)"},
		{"no condition", landing, landing + monitor("conditions: []"), "monitors[1].conditions: is empty; a monitor that asks for nothing is always green (watch.yaml:8)"},
		{"bad condition", landing, landing + monitor(`conditions: ["[STATUS] == 200", "STATUS"]`), "monitors[1].conditions[1]: is not a condition, such as [STATUS] == 200 (watch.yaml:8)"},
		{"condition of another kind", landing, landing + monitor(`conditions: ["[DISK_FREE] > 1"]`), "monitors[1].conditions[0]: asks for [DISK_FREE], which only a disk has (watch.yaml:8)"},
		{"condition without quotation marks", landing, landing + monitor(`conditions: [[STATUS] == 200]`), "is not valid YAML: ',' or ']' must be specified; look at indentation, colons, brackets and quotation marks here and just above (watch.yaml:8)"},
		{"priority", landing, landing + monitor("priority: P9"), "monitors[1].priority: is not P0 or P1 or P2 or P3 (watch.yaml:8)"},
		{"title of two lines", landing, landing + monitor(`title: "a\nb"`), "monitors[1].title: has line breaks or other control characters in it (watch.yaml:8)"},
		{"again as long as every", landing, landing + monitor("again: 10s"), "monitors[1].again: is not shorter than every; what is suspect is looked at again sooner (watch.yaml:8)"},
		{"long timeout", landing, landing + monitor("timeout: 12001ms"), "monitors[1].timeout: is longer than every and again together; looks would pile up (watch.yaml:8)"},
		{"no failures", landing, landing + monitor("failures: 0"), "monitors[1].failures: is out of bounds; it goes from 1 to 100 (watch.yaml:8)"},
		{"second without vantage", landing, landing + monitor("second: true"), "monitors[1].second: is set, and there is no vantage that could agree (watch.yaml:8)"},
		{"unknown dependency", landing, landing + monitor("depends_on: [helth]"), "monitors[1].depends_on[0]: names a monitor that does not exist; did you mean health? (watch.yaml:8)"},
		{"depends on itself", landing, landing + monitor("depends_on: [landing-page]"), "monitors[1].depends_on[0]: names the monitor itself; nobody would ever be told of it (watch.yaml:8)"},
		{"circle", health, health + monitor("depends_on: [a]") + "  - {name: a, disk: /, depends_on: [b, landing-page]}\n  - {name: b, disk: /, depends_on: [health]}\n", "monitors[0].depends_on: leads in a circle back to the monitor itself; nobody would ever be told of any of them (watch.yaml:6)"},
		{"two circles", health, health + monitor("depends_on: [a]") + "  - {name: a, disk: /, depends_on: [health]}\n  - {name: b, disk: /, depends_on: [c]}\n  - {name: c, disk: /, depends_on: [b]}\n", "monitors[0].depends_on: leads in a circle back to the monitor itself; nobody would ever be told of any of them (watch.yaml:6); and monitors[2].depends_on: leads in a circle back to the monitor itself; nobody would ever be told of any of them (watch.yaml:8)"},

		// Itself.
		{"own page", landing, monitor("url: https://watch.example.net/health"), "monitors[1].url" + ownURL},
		{"own page by its port", landing, monitor("url: https://Watch.Example.net:443/health"), "monitors[1].url" + ownURL},
		{"own listener", landing, monitor("url: http://127.0.0.1:8081/"), "monitors[1].url" + ownURL},
		{"own listener by another name", landing, monitor("url: http://localhost:8081/"), "monitors[1].url" + ownURL},
		{"own port", landing, monitor("tcp: '[::1]:8081'"), "monitors[1].tcp" + ownURL},
		{"own port of all addresses", "monitors:\n  - name: health\n    url: https://shop.example.com/api/health\n", "listen: 0.0.0.0:9000\nmonitors:\n  - {name: health, tcp: 'localhost:9000'}\n", "monitors[0].tcp" + strings.Replace(ownURL, ":7)", ":5)", 1)},

		// Heartbeats.
		{"beat without every", health, health + "  - {name: backup, heartbeat: {token: env:BACKUP_BEAT_TOKEN}}\n", "monitors[1].heartbeat.every: is missing; it says when silence is trouble (watch.yaml:6)"},
		{"short beat token", health, health + strings.Replace(beat, "BACKUP_BEAT_TOKEN", "SMTP_PASSWORD", 1), "monitors[1].heartbeat.token: is too short: 13 bytes where at least 16 are needed; perhaps it was cut off (watch.yaml:6)"},
		{"beat token that is no address", health, health + strings.Replace(beat, "BACKUP_BEAT_TOKEN", "STATUS_URL", 1), "monitors[1].heartbeat.token: has something else in it than letters, digits, dashes and underscores, which an address cannot end with as it is (watch.yaml:6)"},
		{"same beat token", health, health + beat + strings.Replace(beat, "backup", "other", 1), "monitors[2].heartbeat.token: is the same secret as monitors[1].heartbeat.token; whoever has the one must not have the other (watch.yaml:7)"},
		{"beat with conditions", health, health + strings.Replace(beat, "}}", "}, conditions: ['[STATUS] == 200']}", 1), "monitors[1].conditions: is given, and a heartbeat has none (watch.yaml:6)"},

		// Checkout and smoke test.
		{"checkout without server", channels, channels + "checkout: [{product: a, mode: live, api_key: env:WATCH_STRIPE_KEY, amount: 1 USD}]\n", "checkout: is given, and there is no section server, whose API makes the checkouts (watch.yaml:12)"},
		{"smoke test of nothing", channels, channels + "smoke: {url: 'https://shop.example.com'}\n", "smoke: has neither pages nor click; it would find everything well (watch.yaml:12)"},
		{"smoke path", channels, channels + "smoke: {url: 'https://shop.example.com', pages: [{path: 'https://a/'}]}\n", "smoke.pages[0].path: is not a path, which begins with a slash, such as /api/health (watch.yaml:12)"},
		{"smoke path to another host", channels, channels + "smoke: {url: 'https://shop.example.com', click: '//a/'}\n", "smoke.click: is not a path, which begins with a slash, such as /api/health (watch.yaml:12)"},
		{"smoke condition", channels, channels + "smoke: {url: 'https://shop.example.com', pages: [{path: /, conditions: [x]}]}\n", "smoke.pages[0].conditions[0]: is not a condition, such as [STATUS] == 200 (watch.yaml:12)"},
		{"button without click", channels, channels + "smoke: {url: 'https://shop.example.com', pages: [{path: /}], button: /buy}\n", "smoke.button: is given, and there is no click, the page that has the button (watch.yaml:12)"},
		{"checkout address", channels, channels + "smoke: {url: 'https://shop.example.com', click: /, checkout: [checkout.stripe.com]}\n", "smoke.checkout[0]: is not an absolute http or https address, such as https://shop.example.com (watch.yaml:12)"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if n := strings.Count(goodWatch, tt.old); n != 1 {
				t.Fatalf("%q is in the file %d times, want once", tt.old, n)
			}
			problems := watchProblemsOf(t, strings.Replace(goodWatch, tt.old, tt.now, 1), with(map[string]string{"STATUS_URL": "9Kx2Lm5Pw8/Rd4Fg6Hj1Sc0Ya"}))
			if got := strings.ReplaceAll(problems.Error(), "\n", "; and "); got != tt.want {
				t.Errorf("problems:\n got %s\nwant %s", got, tt.want)
			}
		})
	}
}

// TestSyntheticCheckoutRefuses has the checkouts that could not be made or compared.
func TestSyntheticCheckoutRefuses(t *testing.T) {
	t.Parallel()
	const server = "server: {url: 'https://shop.example.com', secret: env:WATCH_SECRET}\n"
	for _, tt := range []struct{ name, checkout, want string }{
		{"good", "product: a, mode: live, api_key: env:WATCH_STRIPE_KEY, amount: 1 USD", ""},
		{"live key in test mode", "product: a, mode: test, api_key: env:WATCH_STRIPE_KEY, amount: 1 USD", "checkout[0].api_key: is a key for live mode, but test mode is set; a test could touch real money"},
		{"test key in live mode", "product: a, mode: live, api_key: env:WATCH_TEST_KEY, amount: 1 USD", "checkout[0].api_key: is a key for test mode, but live mode is set; nobody who pays would be found"},
		{"full live key in test mode", "product: a, mode: test, api_key: env:STRIPE_LIVE_KEY, amount: 1 USD", "checkout[0].api_key: is a key for live mode, but test mode is set; a test could touch real money"},
		{"webhook secret", "product: a, mode: live, api_key: env:STRIPE_WEBHOOK_SECRET, amount: 1 USD", "checkout[0].api_key: is a webhook secret; expected is one that begins with sk_test_ or sk_live_ or rk_test_ or rk_live_"},
		{"no mode", "product: a, api_key: env:WATCH_STRIPE_KEY, amount: 1 USD", "checkout[0].mode: is missing; a key of the other mode would find nothing"},
		{"provider", "product: a, provider: mollie, mode: live, api_key: env:WATCH_STRIPE_KEY, amount: 1 USD", "checkout[0].provider: is not stripe or paypal"},
		{"paypal without id", "product: a, provider: paypal, mode: live, api_key: env:PAYPAL_SECRET, amount: 1 USD", "checkout[0].client_id: is missing; PayPal's API asks for it beside the secret"},
		{"stripe with an id", "product: a, mode: live, api_key: env:WATCH_STRIPE_KEY, client_id: b, amount: 1 USD", "checkout[0].client_id: is given, and only PayPal has one"},
		{"product", "product: A, mode: live, api_key: env:WATCH_STRIPE_KEY, amount: 1 USD", "checkout[0].product: is not a product code: it has 1 to 64 lower-case letters, digits and inner dashes"},
		{"amount", "product: a, mode: live, api_key: env:WATCH_STRIPE_KEY, amount: 0 USD", "checkout[0].amount: is not above zero; what is free is not paid for, and so never fulfilled"},
		{"success_url", "product: a, mode: live, api_key: env:WATCH_STRIPE_KEY, amount: 1 USD, success_url: /thanks", "checkout[0].success_url: is not an absolute http or https address, such as https://shop.example.com"},
		{"api at home", "product: a, mode: live, api_base: 'http://127.0.0.1', api_key: env:WATCH_STRIPE_KEY, amount: 1 USD", "checkout[0].api_base: is on loopback or a private network, and outbound.allow_private is false: every call would be refused"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := problemsText(watchProblemsOf(t, goodWatch+server+"checkout: [{"+tt.checkout+"}]\n", lookup)); got != tt.want {
				t.Errorf("problems:\n got %s\nwant %s", got, tt.want)
			}
		})
	}
}

// TestParseWatchAccepts has what looks wrong and is not.
func TestParseWatchAccepts(t *testing.T) {
	t.Parallel()
	for name, more := range map[string]string{
		"never blind":                  "network: {targets: []}\n",
		"sections without keys":        "server:\n  url: https://shop.example.com\n  secret: env:WATCH_SECRET\nlog:\nescalation:\n",
		"the server beside it":         "drill: true\noutbound: {allow_private: true}\nserver: {url: 'http://127.0.0.1:8080', secret: env:WATCH_SECRET}\n",
		"empty lists":                  "maintenance: []\ncheckout: []\n",
		"another port of this machine": "smoke: {url: 'http://127.0.0.1:8080', pages: [{path: /}]}\n",
		"any port to listen on":        "listen: 127.0.0.1:0\n",
	} {
		if got := watchProblemsOf(t, goodWatch+more, lookup); got != nil {
			t.Errorf("%s: problems = %v, want none", name, got)
		}
	}
	diamond := strings.Replace(goodWatch, "channels:", "  - {name: a, disk: /, depends_on: [health]}\n  - {name: b, disk: /, depends_on: [health]}\n  - {name: c, disk: /, depends_on: [a, b]}\nchannels:", 1)
	if got := watchProblemsOf(t, diamond, lookup); got != nil {
		t.Errorf("two ways to one monitor: problems = %v, want none", got)
	}
	if _, err := config.ParseWatch([]byte(goodWatch), "watch.yaml", "", lookup, config.Rules{}); err != nil {
		t.Errorf("ParseWatch without rules = %v, want no problem", err)
	}
}

func TestLoadWatch(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "watch.yaml")
	if err := os.WriteFile(path, []byte(goodWatch), 0o600); err != nil {
		t.Fatal(err)
	}
	w, err := config.LoadWatch(path, lookup, sane)
	if err != nil {
		t.Fatal(err)
	}
	if want := "sqlite:" + filepath.Join(dir, "watch.db"); w.Database != want {
		t.Errorf("Database = %q, want %q, beside the file", w.Database, want)
	}
	missing := filepath.Join(dir, "missing.yaml")
	for path, want := range map[string]string{
		missing: "the configuration file does not exist; deploy/watch.yaml is a file to start from (" + missing + ")",
		dir:     "the configuration file is not a regular file (" + dir + ")",
	} {
		w, err := config.LoadWatch(path, lookup, sane)
		if err == nil || err.Error() != want || w != nil {
			t.Errorf("LoadWatch = %v, %v, want nil, %s", w, err, want)
		}
	}
	if got, want := watchProblemsOf(t, "", lookup).Error(), "is empty; deploy/watch.yaml is a file to start from (watch.yaml)"; got != want {
		t.Errorf("problems of nothing = %s, want %s", got, want)
	}
}

// TestConditionsAreNotRepeated holds that rules of others cannot make a problem repeat what could be a secret.
func TestConditionsAreNotRepeated(t *testing.T) {
	t.Parallel()
	rules := config.Rules{Condition: func(_, text string) error {
		return fmt.Errorf("%s is not a condition", strings.Replace(text, "two ", "two\n", 1))
	}}
	file := strings.Replace(goodWatch, "channels:", "    conditions: [\""+canary+"\", \"short\", \"two lines\"]\nchannels:", 1)
	_, err := config.ParseWatch([]byte(file), "watch.yaml", "", lookup, rules)
	want := "monitors[1].conditions[0]: is not a condition that can be asked of it (watch.yaml:8)\nmonitors[1].conditions[1]: short is not a condition (watch.yaml:8)\nmonitors[1].conditions[2]: is not a condition that can be asked of it (watch.yaml:8)"
	if err == nil || err.Error() != want {
		t.Errorf("ParseWatch = %v, want %s", err, want)
	}
}

func TestWatchProblemsShowNoValue(t *testing.T) {
	t.Parallel()
	leak := regexp.MustCompile(`(?i)canary|Tn3Vb9|Rd4Fg6`)
	word := regexp.MustCompile(`[^\s{}\[\],#]+`)
	try := func(parse func(file string, env func(string) (string, bool)) error, file string, env func(string) (string, bool)) {
		t.Helper()
		if err := parse(file, env); err != nil && leak.MatchString(err.Error()) {
			t.Errorf("problems = %s\nof the file\n%s", err, file)
		}
	}
	watch := func(file string, env func(string) (string, bool)) error {
		_, err := config.ParseWatch([]byte(file), "watch.yaml", "", env, sane)
		return err
	}
	server := func(file string, env func(string) (string, bool)) error {
		_, err := config.Parse([]byte(file), "makegood.yaml", "", env)
		return err
	}
	all := []string{canary, canary + ":", `"` + canary, "*" + canary, "env:" + canary, "file:" + canary, "{" + canary, "https://" + canary + ":" + canary + "@a", "https://a/?" + canary}
	for _, f := range []struct {
		parse func(string, func(string) (string, bool)) error
		file  string
	}{{watch, everythingWatched}, {server, good + told}} {
		for _, at := range word.FindAllStringIndex(f.file, -1) {
			for _, c := range all {
				try(f.parse, f.file[:at[0]]+c+f.file[at[1]:], lookup)
			}
		}
		for name := range environment {
			for _, value := range []string{canary, canary + canary, canary + "\n", `"` + canary + `"`, "Bearer " + canary, "\uFEFF" + canary, canary[:12]} {
				try(f.parse, f.file, with(map[string]string{name: value}))
			}
		}
	}
}

func FuzzParseWatch(f *testing.F) {
	for _, seed := range []string{goodWatch, everythingWatched, goodWatch + told, string(config.StarterWatch()), "monitors: [{dns: }]", "monitors: [[]]", "network: {targets: [a]}",
		"escalation: {P0: {rungs: [{}]}}", "channels: [{kind: email}]", "monitors: [{headers: {a: {}}}]", "monitors: [{name: a, depends_on: [a, [a]]}]"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		w, err := config.ParseWatch(data, "watch.yaml", "", lookup, sane)
		if (w == nil) == (err == nil) {
			t.Errorf("ParseWatch = %v, %v, want one of them", w, err)
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
