package config

import (
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/secret"
)

// provider is what the configuration must know of a payment provider.
type provider struct {
	apiBase       string
	apiKey        secret.Kind
	asks          string // why an API key must be given; "" when it need not
	webhookSecret secret.Kind
	sells         bool   // whether it makes checkouts here
	account       string // the pattern of an account id; "" when there are none
}

// providers has a row for each that package app can build.
var providers = map[string]provider{
	"stripe": {
		apiBase:       "https://api.stripe.com",
		apiKey:        secret.StripeKey,
		asks:          "checkouts and the provider's word on a payment need one",
		webhookSecret: secret.StripeWebhook,
		sells:         true,
		account:       `^acct_[A-Za-z0-9]{1,64}$`,
	},
	"paypal": {apiKey: secret.Token, asks: "PayPal's events prove nothing, so each is confirmed through the API", webhookSecret: secret.PayPalWebhook, sells: true},

	"generic":           {apiKey: secret.Token, webhookSecret: secret.Password},
	"standard-webhooks": {apiKey: secret.Token, webhookSecret: secret.StandardKey},
	"svix":              {apiKey: secret.Token, webhookSecret: secret.Standard},
	"polar":             {apiKey: secret.Token, webhookSecret: secret.Token},
	"paddle":            {apiKey: secret.Token, webhookSecret: secret.Token},
	"lemonsqueezy":      {apiKey: secret.Token, webhookSecret: secret.Password},
	"adyen":             {apiKey: secret.Token, webhookSecret: secret.Token},
	"square":            {apiKey: secret.Token, webhookSecret: secret.Token},
	"shopify":           {apiKey: secret.Token, webhookSecret: secret.Token},
	"razorpay":          {apiKey: secret.Token, webhookSecret: secret.Password},
	"mollie":            {apiKey: secret.Token, webhookSecret: secret.Token},
	"mollie-classic":    {apiKey: secret.Token, asks: "Mollie signs nothing, so each ping is confirmed through the API", webhookSecret: secret.Token},
	"github":            {apiKey: secret.Token, webhookSecret: secret.Password},
	"gumroad":           {apiKey: secret.Token, asks: "Gumroad signs nothing, so each ping is confirmed through the API", webhookSecret: secret.Token},
}

// secret resolves and inspects one secret. One that is absent is empty; whether it may be is child's to tell.
func (p *parsing) secret(n *node, kind secret.Kind, mode secret.Mode) secret.Value {
	if n.bad || n.absent {
		return secret.Value{}
	}
	v, ok := p.resolve(n)
	if !ok {
		return v
	}
	for _, problem := range secret.Inspect(v, kind, mode) {
		n.bad = true
		p.problems = append(p.problems, Problem{Path: n.path, File: p.file, Line: n.line, Sentence: problem.Sentence, Class: problem.Class})
	}
	return v
}

func (p *parsing) secrets(n *node, kind secret.Kind, mode secret.Mode) []secret.Value {
	p.atLeastOne(n)
	var list []secret.Value
	for _, item := range n.items {
		list = append(list, p.secret(item, kind, mode))
	}
	return list
}

// resolve follows a reference. An empty one is an empty secret, which Inspect names; a literal is refused without being
// repeated.
func (p *parsing) resolve(n *node) (secret.Value, bool) {
	if n.text == "" {
		return secret.Value{}, true
	}
	if !isReference(n.text) {
		p.refuse(n, "is written into the file itself; write env:NAME or file:/path instead, and replace the secret if others could read this file")
		p.classify(secret.Literal)
		return secret.Value{}, false
	}
	v, err := secret.Resolve(n.text, p.dir, p.lookup)
	if name, isVariable := strings.CutPrefix(n.text, "env:"); isVariable && err == nil {
		if p.references == nil {
			p.references = map[string]string{}
		}
		p.references[n.path] = name
	}
	if err != nil {
		p.refuse(n, "%s", referenceSentence(n.text, err))
		p.classify(secret.Missing)
		return secret.Value{}, false
	}
	return v, true
}

// classify says how the secret of the last problem is broken.
func (p *parsing) classify(class secret.Class) {
	if n := len(p.problems); n > 0 {
		p.problems[n-1].Class = class
	}
}

// referenceSentence makes a clause of the sentence of secret.Resolve, which has decided already what of the reference may
// be shown.
func referenceSentence(ref string, err error) string {
	message := makegood.MessageOf(err)
	if name := strings.TrimPrefix(ref, "env:"); errors.Is(err, makegood.NotFound) && strings.Contains(message, "variable "+name+" is") {
		return fmt.Sprintf("env %s is not set", name)
	}
	first, size := utf8.DecodeRuneInString(message)
	return string(unicode.ToLower(first)) + strings.TrimSuffix(message[size:], ".")
}

// NamedSecret says where a secret is used, and which it is, without saying what it is.
type NamedSecret struct {
	Path        string // sources[0].api_key
	Kind        secret.Kind
	Fingerprint string    // secret.Value.Fingerprint; "" for a password, which could be guessed against it
	NotAfter    time.Time // its last moment; zero is for ever
	Variable    string    // of the environment that it came from; "" when it did not
}

// Secrets lists every secret of a configuration, in the order of the manual.
func Secrets(c *Config) []NamedSecret {
	var l listing
	for i, s := range c.Sources {
		kinds := providers[s.Provider]
		l.add(kinds.apiKey, s.APIKey, "sources[%d].api_key", i)
		l.addDated(kinds.webhookSecret, s.WebhookSecrets, fmt.Sprintf("sources[%d].webhook_secrets", i), fmt.Sprintf("sources[%d].retiring_secrets", i))
	}
	for i, k := range c.Licenses.KeySecrets {
		l.add(secret.LicenseKey, k.Secret, "licenses.key_secrets[%d].secret", i)
	}
	l.addMail(&c.Mail)
	for i, f := range c.Forwards {
		l.addDated(secret.Standard, f.Secrets, fmt.Sprintf("forwards[%d].secrets", i), fmt.Sprintf("forwards[%d].retiring_secrets", i))
	}
	l.add(secret.Token, c.Control.Token, "control.token")
	l.add(secret.Peer, c.Watcher.Secret, "watcher.secret")
	l.addChannels(c.Channels)
	l.add(secret.SentryDSN, c.Errors.DSN, "errors.dsn")
	for i := range l {
		l[i].Variable = c.References[l[i].Path]
	}
	return l
}

// WatchSecrets lists every secret of a watcher's configuration, in the order of its manual.
func WatchSecrets(w *Watch) []NamedSecret {
	var l listing
	l.add(secret.Token, w.Trigger, "trigger_token")
	if w.Server != nil {
		l.add(secret.Peer, w.Server.Secret, "server.secret")
	}
	if w.Vantage != nil {
		l.add(secret.Peer, w.Vantage.Secret, "vantage.secret")
	}
	for i, m := range w.Monitors {
		if m.Heartbeat != nil {
			l.add(secret.Token, m.Heartbeat.Token, "monitors[%d].heartbeat.token", i)
		}
	}
	for i, s := range w.Checkout {
		l.add(providers[s.Provider].apiKey, s.APIKey, "checkout[%d].api_key", i)
	}
	l.addChannels(w.Channels)
	if w.Mail != nil {
		l.addMail(w.Mail)
	}
	l.add(secret.SentryDSN, w.Errors.DSN, "errors.dsn")
	return l
}

// listing collects the secrets that there are.
type listing []NamedSecret

func (l *listing) add(kind secret.Kind, v secret.Value, path string, args ...any) {
	if v.Empty() {
		return
	}
	s := NamedSecret{Path: fmt.Sprintf(path, args...), Kind: kind}
	if kind != secret.Password {
		s.Fingerprint = v.Fingerprint()
	}
	*l = append(*l, s)
}

func (l *listing) addDated(kind secret.Kind, all []DatedSecret, active, retiring string) {
	actives, retirings := 0, 0
	for _, d := range all {
		if d.NotAfter.IsZero() {
			l.add(kind, d.Secret, "%s[%d]", active, actives)
			actives++
			continue
		}
		before := len(*l)
		l.add(kind, d.Secret, "%s[%d].secret", retiring, retirings)
		if len(*l) > before {
			(*l)[before].NotAfter = d.NotAfter
		}
		retirings++
	}
}

func (l *listing) addMail(m *Mail) {
	if m.Resend != nil {
		l.add(secret.ResendKey, m.Resend.APIKey, "mail.resend.api_key")
	}
	if m.SMTP != nil {
		l.add(secret.Password, m.SMTP.Password, "mail.smtp.password")
	}
}

func (l *listing) addChannels(channels []Channel) {
	for i, c := range channels {
		kind, _ := channelKindOf(c.Kind)
		l.add(kind.token, c.Token, "channels[%d].token", i)
	}
}
