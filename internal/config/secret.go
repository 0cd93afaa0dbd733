package config

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/secret"
)

// provider is what the configuration must know of a payment provider.
type provider struct {
	apiBase       string
	apiKey        secret.Kind
	webhookSecret secret.Kind
	account       string // the pattern of an account id
}

// providers has a row for each that package app can build.
var providers = map[string]provider{
	"stripe": {
		apiBase:       "https://api.stripe.com",
		apiKey:        secret.StripeKey,
		webhookSecret: secret.StripeWebhook,
		account:       `^acct_[A-Za-z0-9]{1,64}$`,
	},
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
		return secret.Value{}, false
	}
	v, err := secret.Resolve(n.text, p.dir, p.lookup)
	if err != nil {
		p.refuse(n, "%s", referenceSentence(n.text, err))
		return secret.Value{}, false
	}
	return v, true
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
	Fingerprint string // secret.Value.Fingerprint; "" for a password, which could be guessed against it
}

// Secrets lists every secret of a configuration, in the order of the manual.
func Secrets(c *Config) []NamedSecret {
	var list []NamedSecret
	add := func(kind secret.Kind, v secret.Value, path string, args ...any) {
		if v.Empty() {
			return
		}
		s := NamedSecret{Path: fmt.Sprintf(path, args...), Kind: kind}
		if kind != secret.Password {
			s.Fingerprint = v.Fingerprint()
		}
		list = append(list, s)
	}
	for i, s := range c.Sources {
		kinds := providers[s.Provider]
		add(kinds.apiKey, s.APIKey, "sources[%d].api_key", i)
		for j, v := range s.WebhookSecrets {
			add(kinds.webhookSecret, v, "sources[%d].webhook_secrets[%d]", i, j)
		}
	}
	for i, k := range c.Licenses.KeySecrets {
		add(secret.LicenseKey, k.Secret, "licenses.key_secrets[%d].secret", i)
	}
	if c.Mail.Resend != nil {
		add(secret.ResendKey, c.Mail.Resend.APIKey, "mail.resend.api_key")
	}
	if c.Mail.SMTP != nil {
		add(secret.Password, c.Mail.SMTP.Password, "mail.smtp.password")
	}
	return list
}
