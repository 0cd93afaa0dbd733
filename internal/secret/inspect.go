package secret

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Kind says what a secret is for, and with that what it must look like.
type Kind string

// The kinds of secret, each with what a good one looks like.
const (
	StripeWebhook Kind = "stripe_webhook" // whsec_ and at least 24 characters
	StripeKey     Kind = "stripe_key"     // sk_ or rk_, then test_ or live_, and at least 16 characters
	ResendKey     Kind = "resend_key"     // re_ and at least 16 characters
	LicenseKey    Kind = "license_key"    // at least 16 bytes, drawn at random
	Standard      Kind = "standard"       // a symmetric Standard Webhooks secret: whsec_ and at least 24 characters
	StandardKey   Kind = "standard_key"   // the same, or a public key: whpk_ and at least 40 characters
	PayPalWebhook Kind = "paypal_webhook" // the id of a webhook at PayPal: 17 letters and digits, and not WEBHOOK_ID
	Token         Kind = "token"          // at least 16 bytes
	Password      Kind = "password"       // at least 1 byte

	Peer           Kind = "peer"            // shared by a server and its watcher: at least 32 bytes, drawn at random
	NtfyToken      Kind = "ntfy_token"      // tk_ and at least 16 characters
	SlackToken     Kind = "slack_token"     // a bot's: xoxb- and at least 20 characters
	TwilioToken    Kind = "twilio_token"    // 32 hexadecimal digits
	GitHubToken    Kind = "github_token"    // ghp_, ghs_, gho_, ghu_ or github_pat_, and at least 30 characters
	PagerDutyKey   Kind = "pagerduty_key"   // an integration's routing key: 32 letters and digits
	TelegramToken  Kind = "telegram_token"  // a bot's: digits, a colon and some 35 characters
	DiscordWebhook Kind = "discord_webhook" // the whole address of a webhook
	SentryDSN      Kind = "sentry_dsn"      // https://KEY@HOST/PROJECT

	CloudflareToken Kind = "cloudflare_token" // 40 letters, digits, - and _; or cfut_ or cfat_, then 40 to 64 of them
	NtfyTopic       Kind = "ntfy_topic"       // the name of a topic that nobody can guess: 8 to 64 letters, digits, - and _
	AgeIdentity     Kind = "age_identity"     // AGE-SECRET-KEY-1 and 58 characters
	SigningKey      Kind = "signing_key"      // our own, of sealed files: mgs1_ and 43 characters
)

// Exists reports whether there is such a kind; Inspect panics where there is not.
func (k Kind) Exists() bool {
	_, ok := shapes[k]
	return ok
}

// Mode says which world a secret belongs to; the zero Mode does not care.
type Mode string

// The modes of a payment provider.
const (
	AnyMode Mode = ""
	Test    Mode = "test"
	Live    Mode = "live"
)

// Class names one way in which a secret is broken. Classes are stable: doctor prints them and the manual lists them.
type Class string

// The classes of corruption.
const (
	Missing      Class = "missing" // its variable or file is not there
	Literal      Class = "literal" // written into the configuration itself
	Empty        Class = "empty"
	Whitespace   Class = "whitespace"
	Newline      Class = "newline"
	BOM          Class = "bom"
	NBSP         Class = "nbsp"
	Control      Class = "control"
	Quotes       Class = "quotes"
	Unexpanded   Class = "unexpanded"
	BearerPrefix Class = "bearer_prefix"
	Placeholder  Class = "placeholder"
	Doubled      Class = "doubled"
	TooShort     Class = "too_short"
	WrongKind    Class = "wrong_kind"
	WrongMode    Class = "wrong_mode"
)

// Problem is one thing that is wrong with a secret. Sentence goes on after the name of the setting ("is empty; …"), and
// never contains any part of the secret that is not public knowledge.
type Problem struct {
	Class    Class
	Sentence string
}

// shape is what Inspect knows of a kind.
type shape struct {
	prefixes []string // one of them must begin the secret; nil when any may
	optional []string // prefixes that may begin it
	bodyMin  int      // bytes after the prefix
	foreign  []string // prefixes that show that another secret was put here
	plain    bool     // letters, digits and a few marks only, so that blanks, quotes and $ are always corruption
	drawn    bool     // made by a machine, so that repetition is suspicious

	strangers []stranger // other secrets that no prefix shows

	pattern *regexp.Regexp // of the whole, for kinds of a fixed form; nil is any
	form    string         // the pattern in words
}

// stranger is another secret, or something that is none, known by the form of the whole.
type stranger struct {
	pattern *regexp.Regexp
	what    string
}

// shapes: the least lengths are below every real secret of the kind that we have seen (Stripe: 32 and 24, Resend: 33),
// and so catch what was cut off and nothing else. A token may begin with whsec_, because Standard Webhooks does; an SMTP
// password may be a Resend key, because Resend does.
var shapes = map[Kind]shape{
	StripeWebhook: {prefixes: []string{"whsec_"}, bodyMin: 24, plain: true, drawn: true},
	StripeKey:     {prefixes: []string{"sk_test_", "sk_live_", "rk_test_", "rk_live_"}, bodyMin: 16, plain: true, drawn: true},
	ResendKey:     {prefixes: []string{"re_"}, bodyMin: 16, plain: true, drawn: true},
	LicenseKey:    {bodyMin: 16, foreign: []string{"whsec_", "sk_test_", "sk_live_", "rk_test_", "rk_live_", "pk_test_", "pk_live_", "re_"}, drawn: true},
	Standard:      {prefixes: []string{"whsec_"}, bodyMin: 24, plain: true, drawn: true},
	StandardKey:   {prefixes: []string{"whsec_", "whpk_"}, bodyMin: 24, plain: true, drawn: true},
	PayPalWebhook: {bodyMin: 10, foreign: []string{"whsec_", "sk_test_", "sk_live_"}, plain: true},
	Token:         {bodyMin: 16, foreign: []string{"sk_test_", "sk_live_", "rk_test_", "rk_live_", "pk_test_", "pk_live_"}, drawn: true},
	Password:      {bodyMin: 1},

	Peer:       {bodyMin: 32, foreign: []string{"sk_test_", "sk_live_", "rk_test_", "rk_live_", "pk_test_", "pk_live_", "re_", "xoxb-"}, drawn: true},
	NtfyToken:  {prefixes: []string{"tk_"}, bodyMin: 16, plain: true, drawn: true},
	SlackToken: {prefixes: []string{"xoxb-"}, bodyMin: 20, plain: true, drawn: true},
	TwilioToken: {bodyMin: 32, foreign: []string{"AC", "SK"}, plain: true, drawn: true,
		pattern: regexp.MustCompile(`^[0-9a-f]{32}$`), form: "32 hexadecimal digits"},
	GitHubToken: {prefixes: []string{"ghp_", "ghs_", "gho_", "ghu_", "github_pat_"}, bodyMin: 30, plain: true, drawn: true},
	PagerDutyKey: {bodyMin: 32, plain: true, drawn: true,
		pattern: regexp.MustCompile(`^[0-9A-Za-z]{32}$`), form: "32 letters and digits"},
	TelegramToken: {bodyMin: 36, plain: true, drawn: true,
		pattern: regexp.MustCompile(`^[0-9]{5,12}:[0-9A-Za-z_-]{30,64}$`), form: "digits, a colon and some 35 characters"},
	DiscordWebhook: {prefixes: []string{"https://discord.com/api/webhooks/", "https://discordapp.com/api/webhooks/"}, bodyMin: 40, plain: true,
		pattern: regexp.MustCompile(`^https://[a-z.]+/api/webhooks/[0-9]{5,25}/[0-9A-Za-z_-]+$`), form: "https://discord.com/api/webhooks/ID/TOKEN"},
	SentryDSN: {prefixes: []string{"https://", "http://"}, bodyMin: 16, plain: true,
		pattern: regexp.MustCompile(`^https?://[0-9A-Za-z]+(:[0-9A-Za-z]+)?@[0-9A-Za-z.:-]+/([0-9A-Za-z_./-]*/)?[0-9]+$`), form: "https://KEY@HOST/PROJECT"},

	// The old tokens have no prefix of their own, so foreign has nothing shorter than four characters: chance begins one token
	// in 260,000 with re_. The new ones end in a checksum whose length Cloudflare does not promise.
	CloudflareToken: {optional: []string{"cfut_", "cfat_"}, bodyMin: 40, plain: true, drawn: true,
		foreign: []string{"cfk_", "v1.0-", "ghp_", "ghs_", "gho_", "ghu_", "github_pat_", "whsec_", "sk_test_", "sk_live_", "rk_test_", "rk_live_",
			"pk_test_", "pk_live_", "xoxb-", "xoxp-", "AGE-SECRET-KEY-", "mgs1_", "mgv1_", "http"},
		strangers: cloudflareStrangers,
		pattern:   regexp.MustCompile(`^([0-9A-Za-z_-]{40}|cf[ua]t_[0-9A-Za-z_-]{40,64})$`),
		form:      "an API token, 40 letters and digits, or cfut_ or cfat_ and some 48"},
	NtfyTopic: {bodyMin: 8, foreign: []string{"tk_", "http"}, plain: true,
		pattern: regexp.MustCompile(`^[0-9A-Za-z_-]{8,64}$`), form: "the name of a topic, 8 to 64 letters, digits, - and _"},
	AgeIdentity: {prefixes: []string{"AGE-SECRET-KEY-1"}, bodyMin: 58, plain: true, drawn: true,
		pattern: regexp.MustCompile(`^AGE-SECRET-KEY-1[QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L]{58}$`), form: "AGE-SECRET-KEY-1 and 58 characters"},
	SigningKey: {prefixes: []string{"mgs1_"}, bodyMin: 43, plain: true, drawn: true,
		pattern: regexp.MustCompile(`^mgs1_[0-9A-Za-z_-]{43}$`), form: "mgs1_ and 43 characters"},
}

// cloudflareStrangers are what lies beside a token in Cloudflare's dashboard and in people's notes.
var cloudflareStrangers = []stranger{
	{regexp.MustCompile(`^[0-9a-f]{37}$`), "the global API key of Cloudflare, which may do everything and works only with an e-mail address"},
	{regexp.MustCompile(`^[0-9a-f]{32}$`), "the id of an account or a zone at Cloudflare, which is no secret"},
	{regexp.MustCompile(`^re_[0-9A-Za-z]{8}_[0-9A-Za-z]{24}$`), "a Resend API key"},
	{regexp.MustCompile(`^tk_[0-9a-z]{29}$`), "an ntfy token"},
	{regexp.MustCompile(`^[^@\s]+@[^@\s]+\.[a-z]+$`), "an e-mail address"},
}

// families says what a secret is by how it begins, for the sentence of wrong_kind.
var families = []struct{ prefix, what string }{
	{"whsec_", "a webhook secret"},
	{"sk_", "a Stripe API key"},
	{"rk_", "a restricted Stripe API key"},
	{"pk_", "a publishable Stripe key, which is no secret"},
	{"re_", "a Resend API key"},
	{"we_", "the id of a webhook endpoint, which is no secret"},
	{"xoxb-", "the token of a Slack bot"},
	{"xoxp-", "the token of a Slack user"},
	{"xapp-", "the token of a Slack app"},
	{"AC", "the id of a Twilio account, which is no secret"},
	{"SK", "the id of a Twilio API key, which is no secret"},
	{"ghp_", "a GitHub token"},
	{"ghs_", "a GitHub token"},
	{"gho_", "a GitHub token"},
	{"ghu_", "a GitHub token"},
	{"github_pat_", "a GitHub token"},
	{"tk_", "an ntfy token"},
	{"cfut_", "a Cloudflare API token of a user"},
	{"cfat_", "a Cloudflare API token of an account"},
	{"cfk_", "the global API key of Cloudflare, which may do everything and works only with an e-mail address"},
	{"v1.0-", "the Origin CA key of Cloudflare"},
	{"AGE-SECRET-KEY-PQ-1", "an age identity of the post-quantum kind"},
	{"AGE-SECRET-KEY-1", "an age identity"},
	{"AGE-PLUGIN-", "an age identity of a plugin"},
	{"# created:", "the whole file of age-keygen, of which only the line that begins with AGE-SECRET-KEY-1 is the identity"},
	{"age1", "an age recipient, which is no secret"},
	{"mgs1_", "a signing key of Makegood"},
	{"mgv1_", "a verification key of Makegood, which is no secret"},
	{"http", "an address"},
}

var (
	bearer       = regexp.MustCompile(`(?i)^\s*(authorization:\s*)?(bearer|basic|token)\s+`)
	variable     = regexp.MustCompile(`\$\{[A-Za-z_][^}]*\}|\$\([^)]*\)|\{\{.*\}\}`)
	onlyVariable = regexp.MustCompile(`^(\$[A-Za-z_][A-Za-z0-9_]*|%[A-Za-z_][A-Za-z0-9_]*%)$`)
	beginning    = regexp.MustCompile(`^(whsec_|[srp]k_(test_|live_)?|re_|xoxb-|gh[psou]_|github_pat_|tk_|cf(ut|at|k)_|mg[sv]1_)`)
	angled       = regexp.MustCompile(`^<.*>$|^\[.*\]$`)
	stockPhrase  = regexp.MustCompile(`(?i)change[-_ ]?(me|this)|replace[-_ ](me|this|with)|place[-_]?holder|(^|[-_])your[-_ ]|insert[-_ ]|redacted|goes[-_ ]here|^todo\b`)
)

// stockWords are what examples and templates have in the place of a secret, as a whole and after any prefix.
var stockWords = map[string]bool{
	"todo": true, "fixme": true, "tbd": true, "none": true, "null": true, "nil": true, "undefined": true, "secret": true,
	"password": true, "passwd": true, "example": true, "dummy": true, "test": true, "webhook_id": true, "webhook_secret": true,
	"api_key": true, "apikey": true, "key": true, "token": true, "my_secret": true, "mysecret": true, "supersecret": true,
	"0123456789abcdef": true, "1234567890123456": true, "1234567890abcdef": true, "abcdefghijklmnop": true,
}

// Inspect names everything that is wrong with v as a secret of that kind in that mode; nil means that nothing is. It
// judges by the look alone and asks nobody. It panics on a kind that does not exist.
func Inspect(v Value, kind Kind, mode Mode) []Problem {
	sh, ok := shapes[kind]
	if !ok {
		panic("secret: no such kind: " + string(kind))
	}
	s := v.Reveal()
	if s == "" {
		return []Problem{{Empty, "is empty; an empty secret would accept what anybody forges"}}
	}
	problems := wrapping(s, sh)
	core := unwrapped(s)
	if core == "" {
		return append(problems, Problem{Empty, "has nothing in it but wrapping; an empty secret would accept what anybody forges"})
	}
	if p, found := unreal(core, sh); found {
		return append(problems, p) // the rest would only repeat that it is not a secret
	}
	if isDoubled(core, sh) {
		problems = append(problems, Problem{Doubled, "is the same secret twice, one after the other; paste it once"})
	}
	return append(problems, misfits(core, kind, sh, mode)...)
}

// wrapping names what surrounds or pervades a secret that was copied badly.
func wrapping(s string, sh shape) []Problem {
	var found []Problem
	add := func(yes bool, c Class, sentence string) {
		if yes {
			found = append(found, Problem{c, sentence})
		}
	}
	add(strings.ContainsAny(s, "\r\n"), Newline, "contains a line break (LF or CR); write it to the file without one, for example with printf %s")
	add(hasOuterBlank(s) || sh.plain && strings.ContainsAny(bearer.ReplaceAllString(strings.TrimSpace(s), ""), " \t"), Whitespace, "has blanks around or inside it; remove them")
	add(strings.ContainsRune(s, '\uFEFF'), BOM, "contains a byte order mark; save the file as UTF-8 without BOM")
	add(strings.ContainsFunc(s, isOddBlank), NBSP, "contains a no-break or zero-width space, as copied from a web page; type it anew or copy it from the dashboard")
	add(strings.ContainsFunc(s, isControl) || sh.plain && !utf8.ValidString(s), Control, "contains control characters or bytes that are no text")
	add(isQuoted(strings.TrimSpace(s), sh), Quotes, "has quotation marks around it that became part of it; remove them")
	add(bearer.MatchString(s), BearerPrefix, "begins with an authorization scheme such as Bearer; give the token alone")
	return found
}

func hasOuterBlank(s string) bool {
	first, _ := utf8.DecodeRuneInString(s)
	last, _ := utf8.DecodeLastRuneInString(s)
	return isBlank(first) || isBlank(last)
}

func isBlank(r rune) bool { return r == ' ' || r == '\t' || r == '\v' || r == '\f' }

// isOddBlank tells the blanks that look like nothing or like a common space: what web pages and word processors leave.
func isOddBlank(r rune) bool {
	return r > 127 && unicode.IsSpace(r) || r >= 0x200B && r <= 0x200F || r == 0x2060 || r == 0x00AD
}

func isControl(r rune) bool { return unicode.IsControl(r) && r != '\n' && r != '\r' && r != '\t' }

const quoteMarks = "\"'`“”‘’«»"

// isQuoted asks for marks on both sides; where marks can never be part of a secret, one is enough.
func isQuoted(s string, sh shape) bool {
	if sh.plain {
		return strings.ContainsAny(s, quoteMarks)
	}
	rest := []rune(s)
	if len(rest) < 2 {
		return false
	}
	first, last := string(rest[0]), string(rest[len(rest)-1])
	return first == last && strings.Contains("\"'`", first) ||
		strings.Contains("“‘«", first) && strings.Contains("”’»", last)
}

// unwrapped takes off what wrapping has named, so that the other rules see the secret itself.
func unwrapped(s string) string {
	trim := func(s string) string {
		return strings.TrimFunc(s, func(r rune) bool {
			return unicode.IsSpace(r) || isOddBlank(r) || r == '\uFEFF' || strings.ContainsRune(quoteMarks, r)
		})
	}
	return trim(bearer.ReplaceAllString(trim(s), ""))
}

// unreal finds what stands in the place of a secret that nobody has put in yet.
func unreal(core string, sh shape) (Problem, bool) {
	if variable.MatchString(core) || onlyVariable.MatchString(core) || sh.plain && strings.Contains(core, "$") {
		return Problem{Unexpanded, "contains the name of a variable instead of its value; the program that wrote it did not expand it"}, true
	}
	if isPlaceholder(core, sh) {
		return Problem{Placeholder, "is a placeholder from an example; put the real secret there"}, true
	}
	return Problem{}, false
}

func isPlaceholder(core string, sh shape) bool {
	body := beginning.ReplaceAllString(core, "")
	switch {
	case strings.Contains(core, "...") || strings.Contains(core, "…"):
		return true
	case angled.MatchString(core), stockPhrase.MatchString(core), stockPhrase.MatchString(body):
		return true
	case stockWords[strings.ToLower(strings.ReplaceAll(core, "-", "_"))], stockWords[strings.ToLower(strings.ReplaceAll(body, "-", "_"))]:
		return true
	case len(body) >= 3 && strings.Trim(body, "xX*_-") == "":
		return true
	}
	return sh.drawn && len(body) >= 8 && distinct(body) <= 2 // by chance, 8 hexadecimal digits of two kinds: once in 10^5
}

func distinct(s string) int {
	seen := map[rune]bool{}
	for _, r := range s {
		seen[r] = true
	}
	return len(seen)
}

// isDoubled finds a secret pasted twice, with or without something blank between. What people choose must be long to
// count: "haha" may be meant.
func isDoubled(core string, sh shape) bool {
	for _, p := range append(slices.Clone(sh.prefixes), sh.optional...) {
		if strings.Count(core, p) > 1 && strings.HasPrefix(core, p) {
			first, rest, _ := strings.Cut(core[len(p):], p)
			if strings.TrimFunc(first, isSeparator) == strings.TrimFunc(rest, isSeparator) {
				return true
			}
		}
	}
	half := len(core) / 2
	left, right := strings.TrimFunc(core[:half], isSeparator), strings.TrimFunc(core[len(core)-half:], isSeparator)
	middle := core[half : len(core)-half]
	return len(left) >= 6 && left == right && strings.TrimFunc(middle, isSeparator) == ""
}

func isSeparator(r rune) bool { return unicode.IsSpace(r) || r == ',' || r == ';' }

// isPervaded tells what wrapping has named already and unwrapped could not take off, because it lies inside.
func isPervaded(core string) bool {
	return !utf8.ValidString(core) || strings.ContainsFunc(core, func(r rune) bool {
		return unicode.IsSpace(r) || unicode.IsControl(r) || isOddBlank(r) || r == '\uFEFF' || strings.ContainsRune(quoteMarks, r)
	})
}

// misfits compares the secret with what its kind and mode ask for.
func misfits(core string, kind Kind, sh shape, mode Mode) []Problem {
	for _, st := range sh.strangers {
		if st.pattern.MatchString(core) {
			return []Problem{{WrongKind, fmt.Sprintf("is %s; expected is %s", st.what, sh.form)}}
		}
	}
	prefix, ok := ownPrefix(core, sh)
	if !ok {
		return []Problem{{WrongKind, wrongKindSentence(core, kind, sh)}}
	}
	var found []Problem
	if len(core)-len(prefix) < sh.bodyMin {
		found = append(found, Problem{TooShort, fmt.Sprintf("is too short: %d bytes where at least %d are needed; perhaps it was cut off", len(core), len(prefix)+sh.bodyMin)})
	} else if sh.pattern != nil && !isDoubled(core, sh) && !isPervaded(core) && !sh.pattern.MatchString(core) {
		found = append(found, Problem{WrongKind, "is not of the form of such a secret: " + sh.form})
	}
	if mode == Live && strings.HasSuffix(prefix, "_test_") {
		found = append(found, Problem{WrongMode, "is a key for test mode, but live mode is set; nobody who pays would be found"})
	}
	if mode == Test && strings.HasSuffix(prefix, "_live_") {
		found = append(found, Problem{WrongMode, "is a key for live mode, but test mode is set; a test could touch real money"})
	}
	return found
}

func ownPrefix(core string, sh shape) (string, bool) {
	for _, p := range sh.foreign {
		if strings.HasPrefix(core, p) {
			return "", false
		}
	}
	for _, p := range append(slices.Clone(sh.prefixes), sh.optional...) {
		if strings.HasPrefix(core, p) {
			return p, true
		}
	}
	return "", sh.prefixes == nil
}

func wrongKindSentence(core string, kind Kind, sh shape) string {
	is := "is something else"
	for _, f := range families {
		if strings.HasPrefix(core, f.prefix) {
			is = "is " + f.what
			break
		}
	}
	if sh.form != "" {
		return fmt.Sprintf("%s; expected is %s", is, sh.form)
	}
	if sh.prefixes == nil {
		return fmt.Sprintf("%s; a secret of its own is expected here (%s)", is, kind)
	}
	return fmt.Sprintf("%s; expected is one that begins with %s", is, strings.Join(sh.prefixes, " or "))
}
