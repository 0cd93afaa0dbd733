package config_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/config"
	"github.com/makegood/makegood/internal/secret"
)

// told is a server's file with everything about telling, none as its default. Its first line is line 23.
const told = `watcher: {secret: env:WATCH_SECRET, silent_after: 2m}
channels:
  - {name: phone, kind: ntfy, url: "https://ntfy.example.com/", topic: env:NTFY_TOPIC, token: env:NTFY_TOKEN}
  - {name: room, kind: slack, quiet: true, room: C024BE91L, token: env:SLACK_TOKEN}
  - {name: mailbox, kind: email, quiet: true, from: ops@example.com, to: [a@example.com, b@example.com]}
  - {name: sms, kind: sms, account: AC0123456789abcdef0123456789abcdef, from: "+15005550006", to: ["+491701234567"], token: env:TWILIO_TOKEN}
  - {name: issues, kind: github, repo: example/shop, token: env:GITHUB_ISSUES_TOKEN, url: "https://github.example.com/api/v3"}
  - {name: hook, kind: webhook, url: "https://example.com/hook", token: env:FORWARD_SECRET}
  - {name: pager, kind: pagerduty, token: env:PAGERDUTY_KEY}
  - {name: chat, kind: telegram, room: "-1001234567890", token: env:TELEGRAM_TOKEN}
  - {name: discord, kind: discord, token: env:DISCORD_WEBHOOK}
escalation:
  P0: {rungs: [{channels: [phone, sms]}, {after: 5m, channels: [pager]}], repeat: 10m, ack_for: 1h}
  P1: {repeat: 0s}
  P3: {rungs: [{channels: [mailbox]}]}
maintenance:
  - {keys: monitor/*, from: 2026-12-01T22:00:00+01:00, until: 2026-12-01T23:00:00Z, reason: new database}
  - {from: 2026-12-01T22:00:00Z, until: 2026-12-01T23:00:00Z, reason: x}
checks:
  - {code: queue-depth, priority: P1, every: 1m, above: 500}
  - {code: slow-jobs, off: true}
errors: {dsn: env:SENTRY_DSN, environment: staging}
`

func TestParseTelling(t *testing.T) {
	t.Parallel()
	got, err := config.Parse([]byte(good+told), "makegood.yaml", "", lookup)
	if err != nil {
		t.Fatal(err)
	}
	env := func(name string) secret.Value { return secret.New(environment[name]) }
	at := func(hour int) time.Time { return time.Date(2026, 12, 1, hour, 0, 0, 0, time.UTC) }
	all := []string{"phone", "room", "mailbox", "sms", "issues", "hook", "pager", "chat", "discord"}
	want := config.Telling{
		Channels: []config.Channel{
			{Name: "phone", Kind: "ntfy", URL: "https://ntfy.example.com", Topic: environment["NTFY_TOPIC"], Token: env("NTFY_TOKEN")},
			{Name: "room", Kind: "slack", Quiet: true, Room: "C024BE91L", Token: env("SLACK_TOKEN")},
			{Name: "mailbox", Kind: "email", Quiet: true, From: "ops@example.com", To: []string{"a@example.com", "b@example.com"}},
			{Name: "sms", Kind: "sms", Account: "AC0123456789abcdef0123456789abcdef", From: "+15005550006", To: []string{"+491701234567"}, Token: env("TWILIO_TOKEN")},
			{Name: "issues", Kind: "github", Repo: "example/shop", URL: "https://github.example.com/api/v3", Token: env("GITHUB_ISSUES_TOKEN")},
			{Name: "hook", Kind: "webhook", URL: "https://example.com/hook", Token: env("FORWARD_SECRET")},
			{Name: "pager", Kind: "pagerduty", Token: env("PAGERDUTY_KEY")},
			{Name: "chat", Kind: "telegram", Room: "-1001234567890", Token: env("TELEGRAM_TOKEN")},
			{Name: "discord", Kind: "discord", Token: env("DISCORD_WEBHOOK")},
		},
		Escalation: makegood.Escalation{
			makegood.P0: {Rungs: []makegood.Rung{{Channels: []string{"phone", "sms"}}, {After: 5 * time.Minute, Channels: []string{"pager"}}}, Repeat: 10 * time.Minute, AckFor: time.Hour},
			makegood.P1: {Rungs: []makegood.Rung{{Channels: []string{"room", "mailbox"}}, {After: 10 * time.Minute, Channels: all}}, AckFor: 2 * time.Hour},
			makegood.P2: {Rungs: []makegood.Rung{{Channels: []string{"room", "mailbox"}}, {After: 50 * time.Minute, Channels: all}}, AckFor: 24 * time.Hour},
			makegood.P3: {Rungs: []makegood.Rung{{Channels: []string{"mailbox"}}}, AckFor: 24 * time.Hour},
		},
		Maintenance: []config.Maintenance{
			{Keys: "monitor/*", From: at(21), Until: at(23), Reason: "new database"},
			{Keys: "*", From: at(22), Until: at(23), Reason: "x"},
		},
		Mail: &got.Mail,
	}
	if diff := cmp.Diff(want, got.Telling); diff != "" {
		t.Errorf("Telling (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(config.Watcher{Secret: env("WATCH_SECRET"), Silent: 2 * time.Minute}, got.Watcher); diff != "" {
		t.Errorf("Watcher (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(config.Errors{DSN: env("SENTRY_DSN"), Environment: "staging"}, got.Errors); diff != "" {
		t.Errorf("Errors (-want +got):\n%s", diff)
	}
	checks := []config.CheckOverride{{Code: "queue-depth", Priority: makegood.P1, Every: time.Minute, Above: 500}, {Code: "slow-jobs", Off: true}}
	if diff := cmp.Diff(checks, got.Checks); diff != "" {
		t.Errorf("Checks (-want +got):\n%s", diff)
	}
}

// TestParseTellingDefaults has the least of each section.
func TestParseTellingDefaults(t *testing.T) {
	t.Parallel()
	got, err := config.Parse([]byte(good+`
watcher: {secret: env:WATCH_SECRET}
channels:
  - {name: phone, kind: ntfy, topic: a_topic}
errors: {dsn: env:SENTRY_DSN}
`), "makegood.yaml", "", lookup)
	if err != nil {
		t.Fatal(err)
	}
	want := config.Telling{
		Channels:   []config.Channel{{Name: "phone", Kind: "ntfy", URL: "https://ntfy.sh", Topic: "a_topic"}},
		Escalation: makegood.DefaultEscalation([]string{"phone"}, nil),
	}
	if diff := cmp.Diff(want, got.Telling); diff != "" {
		t.Errorf("Telling (-want +got):\n%s", diff)
	}
	if got.Watcher.Silent != 30*time.Second || got.Errors.Environment != "production" {
		t.Errorf("Watcher, Errors = %+v, %+v, want 30s and production", got.Watcher, got.Errors)
	}
}

// tellingProblems are bad lines of the sections that server and watcher share, each with the problems of its first line.
var tellingProblems = []struct{ name, file, want string }{
	{"unknown kind", "channels: [{name: a, kind: slcak}]", "channels[0].kind: is not ntfy or slack or email or sms or github or webhook or pagerduty or telegram or discord; did you mean slack?"},
	{"no kind", "channels: [{name: a}]", "channels[0].kind: is missing; it says how people are told"},
	{"no name", "channels: [{kind: ntfy, topic: b}]", "channels[0].name: is missing; escalation and time lines name it"},
	{"channel name", "channels: [{name: A B, kind: ntfy, topic: b}]", "channels[0].name: is not a name for a channel: it has 1 to 64 of a to z, 0 to 9 and dashes"},
	{"same name", "channels: [{name: a, kind: ntfy, topic: b}, {name: a, kind: ntfy, topic: c}]", "channels[1].name: is the same as channels[0].name; each needs its own"},
	{"ntfy without topic", "channels: [{name: a, kind: ntfy}]", "channels[0].topic: is missing; a channel of kind ntfy needs it"},
	{"ntfy with an empty topic", "channels: [{name: a, kind: ntfy, topic: ''}]", "channels[0].topic: is empty; a channel of kind ntfy needs it"},
	{"ntfy topic", "channels: [{name: a, kind: ntfy, topic: a/b}]", "channels[0].topic: is not a topic: it has 1 to 64 letters, digits, dashes and underscores"},
	{"ntfy topic that is not there", "channels: [{name: a, kind: ntfy, topic: env:NOT_THERE}]", "channels[0].topic: env NOT_THERE is not set"},
	{"ntfy with a room", "channels: [{name: a, kind: ntfy, topic: b, room: C024BE91L}]", "channels[0].room: is given, and a channel of kind ntfy has none"},
	{"ntfy in the open", "channels: [{name: a, kind: ntfy, topic: b, url: 'http://ntfy.example.com'}]", "channels[0].url: is http; write https, because the key would travel unencrypted"},
	{"ntfy at home", "channels: [{name: a, kind: ntfy, topic: b, url: 'https://10.0.0.1'}]", "channels[0].url: is on loopback or a private network, and outbound.allow_private is false: every call would be refused"},
	{"ntfy token", "channels: [{name: a, kind: ntfy, topic: b, token: env:SLACK_TOKEN}]", "channels[0].token: is the token of a Slack bot; expected is one that begins with tk_"},
	{"literal token", "channels: [{name: a, kind: ntfy, topic: b, token: tk_AgQdq7mVBoFD37zQVN29RhuMzNIz2}]", "channels[0].token: is written into the file itself; write env:NAME or file:/path instead, and replace the secret if others could read this file"},
	{"slack without anything", "channels: [{name: a, kind: slack}]", "channels[0].room: is missing; a channel of kind slack needs it; and channels[0].token: is missing; a channel of kind slack needs it"},
	{"slack room by name", "channels: [{name: a, kind: slack, room: '#general', token: env:SLACK_TOKEN}]", "channels[0].room: is not the id of a channel, such as C024BE91L; at the bottom of the channel's details it can be copied"},
	{"email to nobody", "channels: [{name: a, kind: email, to: []}]", "channels[0].to: is empty; a channel of kind email needs it"},
	{"email to a number", "channels: [{name: a, kind: email, to: ['+491701234567']}]", "channels[0].to[0]: is not one address of mail, such as shop@example.com or Shop <shop@example.com>"},
	{"email with a token", "channels: [{name: a, kind: email, to: [a@example.com], token: env:SLACK_TOKEN}]", "channels[0].token: is given, and a channel of kind email has none"},
	{"email from nobody", "channels: [{name: a, kind: email, to: [a@example.com], from: shop}]", "channels[0].from: is not one address of mail, such as shop@example.com or Shop <shop@example.com>"},
	{"sms account", "channels: [{name: a, kind: sms, account: SK0123456789abcdef0123456789abcdef, from: '+15005550006', to: ['+491701234567'], token: env:TWILIO_TOKEN}]", "channels[0].account: is not an account SID of Twilio: AC and 32 hexadecimal digits"},
	{"sms to an address", "channels: [{name: a, kind: sms, account: AC0123456789abcdef0123456789abcdef, from: shop, to: [a@example.com], token: env:TWILIO_TOKEN}]", `channels[0].from: is not a number with + and the country, such as "+491701234567"; and channels[0].to[0]: is not a number with + and the country, such as "+491701234567"`},
	{"sms to a number without quotation marks", "channels: [{name: a, kind: sms, account: AC0123456789abcdef0123456789abcdef, from: '+15005550006', to: [491701234567], token: env:TWILIO_TOKEN}]", "channels[0].to[0]: is a number; expected is text, in quotation marks if it has digits only"},
	{"github repo", "channels: [{name: a, kind: github, repo: shop, token: env:GITHUB_ISSUES_TOKEN}]", "channels[0].repo: is not of the form OWNER/NAME"},
	{"webhook without url", "channels: [{name: a, kind: webhook, token: env:FORWARD_SECRET}]", "channels[0].url: is missing; a channel of kind webhook needs it"},
	{"webhook without secret", "channels: [{name: a, kind: webhook, url: 'https://example.com/'}]", "channels[0].token: is missing; a channel of kind webhook needs it"},
	{"webhook secret", "channels: [{name: a, kind: webhook, url: 'https://example.com/', token: env:CONTROL_TOKEN}]", "channels[0].token: is something else; expected is one that begins with whsec_"},
	{"webhook with a token in the address", "channels: [{name: a, kind: webhook, url: 'https://example.com/?t=b', token: env:FORWARD_SECRET}]", "channels[0].url: has a query or a fragment; write the address alone"},
	{"pagerduty key", "channels: [{name: a, kind: pagerduty, token: env:WATCH_SECRET}]", "channels[0].token: is not of the form of such a secret: 32 letters and digits"},
	{"telegram room", "channels: [{name: a, kind: telegram, room: general, token: env:TELEGRAM_TOKEN}]", `channels[0].room: is not the id of a chat, such as "-1001234567890" or "@shop_alerts"`},
	{"discord token", "channels: [{name: a, kind: discord, token: env:TELEGRAM_TOKEN}]", "channels[0].token: is something else; expected is https://discord.com/api/webhooks/ID/TOKEN"},

	{"escalation of an unknown priority", "channels: [{name: a, kind: ntfy, topic: b}]\nescalation: {P4: {}}", "escalation: has a key that is not known here"},
	{"unknown channel", "channels: [{name: phone, kind: ntfy, topic: b}]\nescalation: {P0: {rungs: [{channels: [phnoe]}]}}", "escalation.P0.rungs[0].channels[0]: names a channel that does not exist; did you mean phone?"},
	{"P0 reaches nobody", "channels: [{name: a, kind: ntfy, topic: b}]\nescalation: {P0: {rungs: []}}", "escalation.P0: has 0 rungs; it needs 1 to 10"},
	{"rung without channels", "channels: [{name: a, kind: ntfy, topic: b}]\nescalation: {P1: {rungs: [{after: 1m}]}}", "escalation.P1.rungs[0].channels: is missing; a rung that reaches nobody is none"},
	{"rung to nobody", "channels: [{name: a, kind: ntfy, topic: b}]\nescalation: {P1: {rungs: [{channels: []}]}}", "escalation.P1: reaches nobody at rung 1"},
	{"rungs out of order", "channels: [{name: a, kind: ntfy, topic: b}]\nescalation: {P2: {rungs: [{after: 5m, channels: [a]}, {after: 1m, channels: [a]}]}}", "escalation.P2: has rung 2 before rung 1"},
	{"too many rungs", "channels: [{name: a, kind: ntfy, topic: b}]\nescalation: {P0: {rungs: [" + strings.Repeat("{channels: [a]}, ", 11) + "]}}", "escalation.P0: has 11 rungs; it needs 1 to 10"},
	{"rung before the beginning", "channels: [{name: a, kind: ntfy, topic: b}]\nescalation: {P0: {rungs: [{after: -1m, channels: [a]}]}}", "escalation.P0.rungs[0].after: is out of bounds; it goes from 0s to 168h"},
	{"impatient", "channels: [{name: a, kind: ntfy, topic: b}]\nescalation: {P0: {repeat: 30s}}", "escalation.P0: repeats after 30s; a minute is the least"},
	{"forgetful", "channels: [{name: a, kind: ntfy, topic: b}]\nescalation: {P0: {ack_for: 30s}}", "escalation.P0.ack_for: is out of bounds; it goes from 1m to 168h"},
	{"ladder of P3 without rungs", "channels: [{name: a, kind: ntfy, topic: b}]\nescalation: {P3: {repeat: 1h}}", "escalation.P3.rungs: is missing; this priority has no usual ladder"},

	{"maintenance backwards", "maintenance: [{from: 2026-12-01T23:00:00Z, until: 2026-12-01T23:00:00Z, reason: x}]", "maintenance[0].until: is not after from"},
	{"maintenance for ever", "maintenance: [{from: 2026-12-01T23:00:00Z, reason: x}]", "maintenance[0].until: is missing; a window without an end is forgotten"},
	{"maintenance on a day", "maintenance: [{from: 2026-12-01, until: 2026-12-02T00:00:00Z, reason: x}]", "maintenance[0].from: is not a time such as 2026-12-01T00:00:00Z"},
	{"maintenance of odd keys", "maintenance: [{keys: a b, from: 2026-12-01T23:00:00Z, until: 2026-12-02T00:00:00Z, reason: x}]", "maintenance[0].keys: is not a pattern of incident keys, such as monitor/* or \"*\""},
	{"maintenance without a reason", "maintenance: [{from: 2026-12-01T23:00:00Z, until: 2026-12-02T00:00:00Z, reason: ' '}]", "maintenance[0].reason: has nothing in it but blanks"},

	{"dsn", "errors: {dsn: env:CONTROL_TOKEN}", "errors.dsn: is something else; expected is https://KEY@HOST/PROJECT"},
	{"no dsn", "errors: {environment: staging}", "errors.dsn: is missing; it says where, and with which key"},
	{"environment", "errors: {dsn: env:SENTRY_DSN, environment: a b}", "errors.environment: is not one word of printable characters"},
}

// problemsText puts the problems of a file in one line, without file and line numbers.
func problemsText(problems config.Problems) string {
	var all []string
	for _, p := range problems {
		all = append(all, strings.TrimPrefix(p.Path+": "+p.Sentence, ": "))
	}
	return strings.Join(all, "; and ")
}

func TestParseTellingRefuses(t *testing.T) {
	t.Parallel()
	for _, tt := range tellingProblems {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			problems := problemsOf(t, good+tt.file+"\n", lookup)
			if got := problemsText(problems); got != tt.want {
				t.Errorf("problems:\n got %s\nwant %s", got, tt.want)
			}
			if line := 22 + strings.Count(tt.file, "\n") + 1; len(problems) > 0 && problems[0].Line != line {
				t.Errorf("line = %d, want %d", problems[0].Line, line)
			}
		})
	}
}

// TestParseServerTellingRefuses has what only a server's file can have.
func TestParseServerTellingRefuses(t *testing.T) {
	t.Parallel()
	same := with(map[string]string{"CONTROL_TOKEN": environment["WATCH_SECRET"]})
	sameKey := with(map[string]string{"LICENSE_KEY_SECRET": environment["WATCH_SECRET"]})
	for _, tt := range []struct {
		name, file string
		env        func(string) (string, bool)
		want       string
	}{
		{"escalation to nobody", "escalation: {P0: {repeat: 5m}}", lookup, "escalation: is given, and there are no channels to tell over (makegood.yaml:23)"},
		{"escalation to nothing", "channels: []\nescalation: {P0: {repeat: 5m}}", lookup, "escalation: is given, and there are no channels to tell over (makegood.yaml:24)"},
		{"escalation over what is broken", "channels: phone\nescalation: {P0: {repeat: 5m}}", lookup, "channels: is text; expected is a list (makegood.yaml:23)"},
		{"watcher without secret", "watcher: {silent_after: 1m}", lookup, "watcher.secret: is missing; beats are signed with it (makegood.yaml:23)"},
		{"short secret", "watcher: {secret: env:CONTROL_TOKEN}", lookup, "watcher.secret: is too short: 24 bytes where at least 32 are needed; perhaps it was cut off (makegood.yaml:23)"},
		{"hasty watcher", "watcher: {secret: env:WATCH_SECRET, silent_after: 500ms}", lookup, "watcher.silent_after: is out of bounds; it goes from 1s to 1h (makegood.yaml:23)"},
		{"secret of the control", "control: {token: env:CONTROL_TOKEN}\nwatcher: {secret: env:WATCH_SECRET}", same, "watcher.secret: is the same secret as control.token; whoever has the one must not have the other (makegood.yaml:24)"},
		{"secret of the keys", "watcher: {secret: env:WATCH_SECRET}", sameKey, "watcher.secret: is the same secret as a secret of licenses.key_secrets; whoever has the one must not have the other (makegood.yaml:23)"},
		{"check without code", "checks: [{off: true}]", lookup, "checks[0].code: is missing; it says which check (makegood.yaml:23)"},
		{"check code", "checks: [{code: A B}]", lookup, "checks[0].code: is not the code of a check: it has 1 to 64 of a to z, 0 to 9, dots, dashes and underscores (makegood.yaml:23)"},
		{"check twice", "checks: [{code: a}, {code: a}]", lookup, "checks[1].code: is the same as checks[0].code; each needs its own (makegood.yaml:23)"},
		{"check priority", "checks: [{code: a, priority: p1}]", lookup, "checks[0].priority: is not P0 or P1 or P2 or P3 (makegood.yaml:23)"},
		{"check every", "checks: [{code: a, every: 10ms}]", lookup, "checks[0].every: is out of bounds; it goes from 1s to 24h (makegood.yaml:23)"},
		{"check above", "checks: [{code: a, above: 0}]", lookup, "checks[0].above: is out of bounds; it goes from 1 to 1000000000 (makegood.yaml:23)"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := strings.ReplaceAll(problemsOf(t, good+tt.file+"\n", tt.env).Error(), "\n", "; and "); got != tt.want {
				t.Errorf("problems:\n got %s\nwant %s", got, tt.want)
			}
		})
	}
}

// TestChannelsMayBePrivateWithLeave lets tests and in-house services be reached.
func TestChannelsMayBePrivateWithLeave(t *testing.T) {
	t.Parallel()
	file := good + "outbound: {allow_private: true}\nchannels: [{name: a, kind: slack, room: C024BE91L, token: env:SLACK_TOKEN, url: 'http://127.0.0.1:9000/slack/'}]\n"
	c, err := config.Parse([]byte(file), "makegood.yaml", "", lookup)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := c.Channels[0].URL, "http://127.0.0.1:9000/slack"; got != want {
		t.Errorf("URL = %q, want %q", got, want)
	}
}

func TestSecretsListsChannels(t *testing.T) {
	t.Parallel()
	c, err := config.Parse([]byte(good+told), "makegood.yaml", "", lookup)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, s := range config.Secrets(c)[4:] {
		got = append(got, fmt.Sprintf("%s %s %s", s.Path, s.Kind, s.Fingerprint))
	}
	var want []string
	for _, s := range [][3]string{
		{"watcher.secret", "peer", "WATCH_SECRET"}, {"channels[0].token", "ntfy_token", "NTFY_TOKEN"}, {"channels[1].token", "slack_token", "SLACK_TOKEN"},
		{"channels[3].token", "twilio_token", "TWILIO_TOKEN"}, {"channels[4].token", "github_token", "GITHUB_ISSUES_TOKEN"}, {"channels[5].token", "standard", "FORWARD_SECRET"},
		{"channels[6].token", "pagerduty_key", "PAGERDUTY_KEY"}, {"channels[7].token", "telegram_token", "TELEGRAM_TOKEN"},
		{"channels[8].token", "discord_webhook", "DISCORD_WEBHOOK"}, {"errors.dsn", "sentry_dsn", "SENTRY_DSN"},
	} {
		want = append(want, s[0]+" "+s[1]+" "+secret.New(environment[s[2]]).Fingerprint())
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Secrets (-want +got):\n%s", diff)
	}
}

// TestTellingIsNotPrinted holds that neither people nor topics get into a log by accident.
func TestTellingIsNotPrinted(t *testing.T) {
	t.Parallel()
	c, err := config.Parse([]byte(good+told), "makegood.yaml", "", lookup)
	if err != nil {
		t.Fatal(err)
	}
	for _, printed := range printings(c) {
		for _, hidden := range []string{environment["NTFY_TOPIC"], "491701234567", "b@example.com", environment["DISCORD_WEBHOOK"]} {
			if strings.Contains(printed, hidden) {
				t.Errorf("printed = %s, want it without %s", printed, hidden)
			}
		}
		if !strings.Contains(printed, "mailbox") {
			t.Errorf("printed = %s, want the names of channels", printed)
		}
	}
}
