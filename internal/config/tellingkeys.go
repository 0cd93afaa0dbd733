package config

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/secret"
)

// channelKind is what the configuration must know of a way to tell somebody.
type channelKind struct {
	name  string
	needs []string    // the fields that it must have
	may   []string    // the fields that it may have besides
	token secret.Kind // what its token looks like
	url   string      // where its service is, when nothing else is said and the configuration is to say it
}

// channelKinds has a row for each that package notify can send by, in the order of the manual.
func channelKinds() []channelKind {
	return []channelKind{
		{name: "ntfy", needs: []string{"topic"}, may: []string{"url", "token"}, token: secret.NtfyToken, url: "https://ntfy.sh"},
		{name: "slack", needs: []string{"room", "token"}, may: []string{"url"}, token: secret.SlackToken},
		{name: "email", needs: []string{"to"}, may: []string{"from"}},
		{name: "sms", needs: []string{"account", "from", "to", "token"}, may: []string{"url"}, token: secret.TwilioToken},
		{name: "github", needs: []string{"repo", "token"}, may: []string{"url"}, token: secret.GitHubToken},
		{name: "webhook", needs: []string{"url", "token"}, token: secret.Standard},
		{name: "pagerduty", needs: []string{"token"}, may: []string{"url"}, token: secret.PagerDutyKey},
		{name: "telegram", needs: []string{"room", "token"}, may: []string{"url"}, token: secret.TelegramToken},
		{name: "discord", needs: []string{"token"}, may: []string{"url"}, token: secret.DiscordWebhook},
	}
}

// channelFields are the fields that not every kind has.
func channelFields() []string {
	return []string{"url", "topic", "room", "repo", "account", "from", "to", "token"}
}

func channelKindNames() []string {
	var names []string
	for _, k := range channelKinds() {
		names = append(names, k.name)
	}
	return names
}

// channelKindOf returns the row of a kind.
func channelKindOf(name string) (channelKind, bool) {
	all := channelKinds()
	i := slices.IndexFunc(all, func(k channelKind) bool { return k.name == name })
	if i < 0 {
		return channelKind{}, false
	}
	return all[i], true
}

// fieldTerms says which kinds need a field and which may have it, for the manual.
func fieldTerms(field string) string {
	var needed, allowed []string
	for _, k := range channelKinds() {
		if slices.Contains(k.needs, field) {
			needed = append(needed, k.name)
		}
		if slices.Contains(k.may, field) {
			allowed = append(allowed, k.name)
		}
	}
	var terms []string
	if needed != nil {
		terms = append(terms, "to be given for "+listed(needed))
	}
	if allowed != nil {
		terms = append(terms, "may be given for "+listed(allowed))
	}
	return strings.Join(terms, "; ")
}

func listed(words []string) string {
	last := len(words) - 1
	if last == 0 {
		return words[0]
	}
	return strings.Join(words[:last], ", ") + " and " + words[last]
}

// channelKeys are the rows of channels; head has what differs between server and watcher.
func channelKeys(head key, entries []string) []key {
	head.path, head.kind, head.entries = "channels", sections, entries
	head.meaning = "Whom to tell of trouble, and how: by ntfy, Slack, mail, SMS, an issue at GitHub, a webhook, PagerDuty, Telegram or Discord. " +
		"Give at least two that do not share a provider: when one cannot be reached, the next is told instead."
	return []key{head,
		{path: "channels[].name", must: "escalation and time lines name it", unit: "a to z, 0 to 9, dashes", example: "phone",
			meaning: "Its name, unique."},
		{path: "channels[].kind", must: "it says how people are told", oneOf: channelKindNames(), example: "ntfy", meaning: "What it is."},
		{path: "channels[].quiet", kind: flag, fallback: "false", example: "true",
			meaning: "Whether it wakes nobody, such as a room or a mailbox: it is told early, and of little things."},
		{path: "channels[].url", shown: "https://ntfy.sh for ntfy, the service's own for others; " + fieldTerms("url"), unit: "URL", example: "https://ntfy.example.com",
			meaning: "For ntfy the server, for webhook where to post, for others where the service's API is. On loopback or a private network it needs outbound.allow_private."},
		{path: "channels[].topic", shown: fieldTerms("topic"), example: "env:NTFY_TOPIC",
			meaning: "The topic, or a reference to it. At a public server whoever knows the topic reads what is sent: draw it at random, like a password."},
		{path: "channels[].room", shown: fieldTerms("room"), example: "C024BE91L",
			meaning: "For slack the id of the channel (not its name), for telegram the id of the chat, in quotation marks, or its @name."},
		{path: "channels[].repo", shown: fieldTerms("repo"), unit: "OWNER/NAME", example: "example/shop",
			meaning: "Where an issue is opened for every incident. In a public repository everybody reads it."},
		{path: "channels[].account", shown: fieldTerms("account"), example: "AC0123456789abcdef0123456789abcdef",
			meaning: "The account SID at Twilio."},
		{path: "channels[].from", shown: fieldTerms("from"), unit: "number or address", example: `"+15005550006"`,
			meaning: "For sms the number that sends, for email the sender when it is not mail.from."},
		{path: "channels[].to", kind: texts, shown: fieldTerms("to"), unit: "numbers or addresses", example: `["+491701234567"]`,
			meaning: "For sms the numbers, with + and the country, for email the addresses. All are told in one go."},
		{path: "channels[].token", kind: secretRef, shown: fieldTerms("token"), example: "env:SLACK_TOKEN",
			meaning: "For ntfy an access token (tk_), for slack the bot's token (xoxb-, it may chat:write), for sms Twilio's auth token, for github a token that may write issues, " +
				"for webhook the secret that signs by the Standard Webhooks rules (whsec_), for pagerduty the integration's routing key, for telegram the bot's token, for discord the whole address of the webhook."},
	}
}

// escalationKeys are the rows of escalation. What they fall back on is makegood.DefaultEscalation.
func escalationKeys() []key {
	usual := makegood.DefaultEscalation([]string{"all"}, []string{"quiet"})
	rows := []key{{path: "escalation", kind: section, shown: "P0 everything at once; P1 what is quiet at once, everything after 10m; P2 what is quiet at once, everything after 50m; P3 nobody", off: true,
		meaning: "Who is told of what, and when, while nobody answers. P0: payments or goods stand still. P1: soon they will. P2: it gets worse. P3: worth knowing, and only written down. A priority that is not named here has its usual ladder."}}
	for _, p := range makegood.Priorities() {
		at, l := "escalation."+string(p), usual[p]
		rungs, repeat := "those of the usual ladder", "never"
		if l.Rungs == nil {
			rungs = "none: a ladder of P3 has to say whom it reaches"
		}
		if l.Repeat > 0 {
			repeat = spanText(l.Repeat)
		}
		rows = append(rows,
			key{path: at, kind: section, shown: "the usual ladder", off: true, meaning: fmt.Sprintf("The ladder of %s.", p)},
			key{path: at + ".rungs", kind: sections, shown: rungs, off: true, meaning: fmt.Sprintf("Its rungs, 1 to %d, in the order of after.", makegood.RungsMax)},
			key{path: at + ".rungs[].after", kind: span, fallback: "0s", longest: rungAfterMax, unit: "duration", example: "10m", off: true,
				meaning: "How long after the beginning, if nobody has answered by then."},
			key{path: at + ".rungs[].channels", kind: texts, must: "a rung that reaches nobody is none", example: "[phone, room]", start: "[phone]", off: true,
				meaning: "The names of the channels that are told."},
			key{path: at + ".repeat", kind: span, shown: repeat, longest: repeatMax, unit: "duration", example: "5m", start: "5m", off: true,
				meaning: "After how long without an answer all rungs are told again, counted from the last; 0 is never, a minute is the least."},
			key{path: at + ".ack_for", kind: span, shown: spanText(ackFor(l)), shortest: time.Minute, longest: ackForMax, unit: "duration", example: "30m", start: "30m", off: true,
				meaning: "How long an answer holds. What is not over by then is told again from the first rung."},
		)
	}
	return rows
}

// ackFor is how long an acknowledgement holds by default, of a priority without a ladder too.
func ackFor(l makegood.Ladder) time.Duration {
	if l.AckFor == 0 {
		return 24 * time.Hour
	}
	return l.AckFor
}

func maintenanceKeys() []key {
	return []key{
		{path: "maintenance", kind: sections, shown: "none", off: true,
			meaning: "Times in which nobody is told. Looking goes on and everything is written down; what is not over at the end is told then."},
		{path: "maintenance[].keys", fallback: `"*"`, example: "monitor/*", off: true,
			meaning: "Which incidents: a pattern of their keys, in which * is anything. A * at the beginning needs quotation marks."},
		{path: "maintenance[].from", must: "a window has a beginning", unit: "time", example: "2026-12-01T22:00:00Z", start: "2026-12-01T22:00:00Z", off: true,
			meaning: "Its beginning, as RFC 3339."},
		{path: "maintenance[].until", must: "a window without an end is forgotten", unit: "time", example: "2026-12-01T23:00:00Z", start: "2026-12-01T23:00:00Z", off: true,
			meaning: "Its end, as RFC 3339."},
		{path: "maintenance[].reason", must: "whoever was not told will ask", unit: fmt.Sprintf("up to %d bytes", nameBytesMax), example: "new database", start: "new database", off: true,
			meaning: "Why, for the time line."},
	}
}

// watcherKeys are the rows of what the server knows of its watcher.
func watcherKeys() []key {
	return []key{
		{path: "watcher", kind: section, shown: "none: the server has no watcher", off: true,
			meaning: "The watcher that runs on another machine and exchanges beats with this server; docs/watcher.md says how."},
		{path: "watcher.secret", kind: secretRef, must: "beats are signed with it", example: "env:WATCH_SECRET", start: "env:WATCH_SECRET", off: true,
			meaning: "The secret that both share, server.secret in the watcher's file: at least 32 bytes drawn at random, for example by openssl rand -hex 32."},
		{path: "watcher.silent_after", kind: span, fallback: "30s", shortest: time.Second, longest: time.Hour, unit: "duration", example: "2m", off: true,
			meaning: "After how long without a beat the watcher is taken for dead, and people are told by the server."},
	}
}

// checkKeys are the rows of how the server's own checks are changed.
func checkKeys() []key {
	return []key{
		{path: "checks", kind: sections, shown: "none: each check is as its runbook says", off: true,
			meaning: "Changes of the server's own checks. docs/runbooks has a page for each, named by its code."},
		{path: "checks[].code", must: "it says which check", example: "queue-depth", start: "queue-depth", off: true, meaning: "The check's code, unique."},
		{path: "checks[].off", kind: flag, fallback: "false", example: "true", off: true, meaning: "Whether it is not looked at."},
		{path: "checks[].priority", shown: "the check's own", oneOf: priorityNames(), example: "P1", start: "P1", off: true, meaning: "How grave its findings are."},
		{path: "checks[].every", kind: span, shown: "the check's own", shortest: time.Second, longest: 24 * time.Hour, unit: "duration", example: "1m", start: "1m", off: true,
			meaning: "The time between two looks."},
		{path: "checks[].above", kind: number, shown: "the check's own", least: 1, most: 1_000_000_000, unit: "what the check counts", example: "1000", start: "1000", off: true,
			meaning: "The figure above which it is red, for checks that count."},
	}
}

func errorsKeys() []key {
	return []key{
		{path: "errors", kind: section, shown: "none: errors are in the log alone", meaning: "Where errors of the program are collected: Sentry, or what speaks like it.", off: true},
		{path: "errors.dsn", kind: secretRef, must: "it says where, and with which key", example: "env:SENTRY_DSN", start: "env:SENTRY_DSN", off: true,
			meaning: "The DSN of the project, https://KEY@HOST/PROJECT. No bodies, secrets and addresses of people are sent."},
		{path: "errors.environment", fallback: "production", unit: "one word", example: "staging", off: true, meaning: "What the errors are filed under."},
	}
}

func priorityNames() []string {
	var names []string
	for _, p := range makegood.Priorities() {
		names = append(names, string(p))
	}
	return names
}

// serverChannels are the examples of the server's starting file.
var serverChannels = []string{`
- name: phone
  kind: ntfy
  topic: env:NTFY_TOPIC
`, `
- name: room
  kind: slack
  quiet: true
  room: C024BE91L
  token: env:SLACK_TOKEN
`}
