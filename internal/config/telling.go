package config

import (
	"slices"
	"strings"
	"time"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/secret"
)

var (
	channelName = shaped(`^[a-z0-9-]{1,64}$`, "is not a name for a channel: it has 1 to 64 of a to z, 0 to 9 and dashes")
	checkCode   = shaped(`^[a-z0-9]([a-z0-9_.-]{0,62}[a-z0-9])?$`, "is not the code of a check: it has 1 to 64 of a to z, 0 to 9, dots, dashes and underscores")
	incidentKey = shaped(`^[A-Za-z0-9_./*-]{1,200}$`, "is not a pattern of incident keys, such as monitor/* or \"*\"")

	ntfyTopic     = shaped(`^[A-Za-z0-9_-]{1,64}$`, "is not a topic: it has 1 to 64 letters, digits, dashes and underscores")
	slackRoom     = shaped(`^[CDG][A-Z0-9]{2,63}$`, "is not the id of a channel, such as C024BE91L; at the bottom of the channel's details it can be copied")
	telegramRoom  = shaped(`^-?[0-9]{1,20}$|^@[A-Za-z][A-Za-z0-9_]{3,31}$`, `is not the id of a chat, such as "-1001234567890" or "@shop_alerts"`)
	githubRepo    = shaped(`^[A-Za-z0-9][A-Za-z0-9-]{0,38}/[A-Za-z0-9._-]{1,100}$`, "is not of the form OWNER/NAME")
	twilioAccount = shaped(`^AC[0-9a-f]{32}$`, "is not an account SID of Twilio: AC and 32 hexadecimal digits")
	phoneNumber   = shaped(`^\+[1-9][0-9]{5,14}$`, `is not a number with + and the country, such as "+491701234567"`)
)

// telling reads whom to tell. mails is how mail is sent; nil is that there is no way.
func (p *parsing) telling(root *node, api check, mails *Mail) Telling {
	list := p.child(root, "channels")
	t := Telling{Channels: p.channels(list, api)}
	for i, c := range t.Channels {
		if c.Kind != "email" {
			continue
		}
		t.Mail = mails
		if mails == nil {
			p.refuse(p.child(list.items[i], "kind"), "is email, and there is no section mail to send with")
		}
	}
	t.Escalation = p.escalation(p.child(root, "escalation"), list, t.Channels)
	t.Maintenance = p.maintenance(p.child(root, "maintenance"))
	return t
}

func (p *parsing) channels(n *node, api check) []Channel {
	if n.key.must != "" {
		p.atLeastOne(n)
	}
	var list []Channel
	names := p.unique()
	for _, item := range n.items {
		list = append(list, p.channel(item, api))
		names(item, "name")
	}
	return list
}

func (p *parsing) channel(n *node, api check) Channel {
	c := Channel{Name: p.text(n, "name", channelName), Kind: p.text(n, "kind"), Quiet: p.flag(n, "quiet")}
	kind, known := channelKindOf(c.Kind)
	if !known {
		return c // told already; what it should have nobody knows
	}
	p.fit(n, kind)
	c.URL = p.text(n, "url", optional(api))
	if c.Kind != "webhook" { // its address is taken as it is; the others are the beginning of addresses
		c.URL = strings.TrimSuffix(c.URL, "/")
	}
	if c.URL == "" {
		c.URL = kind.url
	}
	c.Topic = p.referable(p.child(n, "topic"), ntfyTopic)
	c.Repo = p.text(n, "repo", optional(githubRepo))
	c.Account = p.text(n, "account", optional(twilioAccount))
	room, person := slackRoom, mailAddress
	switch c.Kind {
	case "telegram":
		room = telegramRoom
	case "sms":
		person = phoneNumber
	}
	c.Room = p.text(n, "room", optional(room))
	c.From = p.text(n, "from", optional(person))
	for _, item := range p.child(n, "to").items {
		p.ask(item, item.text, person)
		c.To = append(c.To, item.text)
	}
	if token := p.child(n, "token"); !token.absent && kind.token != "" {
		c.Token = p.secret(token, kind.token, secret.AnyMode)
	}
	return c
}

// fit tells of the fields that a channel's kind needs and does not have, and of those that it has and its kind has not.
func (p *parsing) fit(n *node, kind channelKind) {
	for _, field := range channelFields() {
		f := p.child(n, field)
		isEmpty := f.text == "" && len(f.items) == 0 && f.key.kind != secretRef // of a secret Inspect tells
		switch needed := slices.Contains(kind.needs, field); {
		case needed && f.absent:
			p.refuse(f, "is missing; a channel of kind %s needs it", kind.name)
		case needed && isEmpty:
			p.refuse(f, "is empty; a channel of kind %s needs it", kind.name)
		case !needed && !f.absent && !slices.Contains(kind.may, field):
			p.refuse(f, "is given, and a channel of kind %s has none", kind.name)
		}
	}
}

// referable reads a text that may be given by reference, because it is half a secret.
func (p *parsing) referable(n *node, checks ...check) string {
	value := n.text
	if n.bad || n.absent {
		return ""
	}
	if isReference(value) {
		v, ok := p.resolve(n)
		if !ok {
			return ""
		}
		value = v.Reveal()
	}
	p.ask(n, value, checks...)
	return value
}

// escalation reads who is told when. What is not written is as makegood.DefaultEscalation says.
func (p *parsing) escalation(n, list *node, channels []Channel) makegood.Escalation {
	var all, quiet []string
	for _, c := range channels {
		all = append(all, c.Name)
		if c.Quiet {
			quiet = append(quiet, c.Name)
		}
	}
	if len(all) == 0 {
		if !n.absent && !list.bad {
			p.refuse(n, "is given, and there are no channels to tell over")
		}
		return nil
	}
	usual := makegood.DefaultEscalation(all, quiet)
	e := makegood.DefaultEscalation(all, quiet)
	for _, priority := range makegood.Priorities() {
		at := p.child(n, string(priority))
		if at.absent || at.bad {
			continue
		}
		before := len(p.problems)
		e[priority] = p.ladder(at, e[priority], all)
		if len(p.problems) > before {
			continue // what is broken already is not judged as a whole
		}
		alone := makegood.Escalation{makegood.P0: usual[makegood.P0]}
		alone[priority] = e[priority]
		if err := alone.Check(all); err != nil {
			p.refuse(at, "%s", strings.TrimPrefix(err.Error(), string(priority)+" "))
		}
	}
	return e
}

func (p *parsing) ladder(n *node, usual makegood.Ladder, channels []string) makegood.Ladder {
	l := makegood.Ladder{Rungs: usual.Rungs, Repeat: p.spanOr(n, "repeat", usual.Repeat), AckFor: p.spanOr(n, "ack_for", ackFor(usual))}
	rungs := p.child(n, "rungs")
	if rungs.absent {
		if l.Rungs == nil {
			p.refuse(rungs, "is missing; this priority has no usual ladder")
		}
		return l
	}
	l.Rungs = nil
	for _, item := range rungs.items {
		r := makegood.Rung{After: p.span(item, "after")}
		for _, name := range p.child(item, "channels").items {
			if !name.bad && !slices.Contains(channels, name.text) {
				p.refuse(name, "names a channel that does not exist%s", suggestion(name.text, channels))
			}
			r.Channels = append(r.Channels, name.text)
		}
		l.Rungs = append(l.Rungs, r)
	}
	return l
}

func (p *parsing) maintenance(n *node) []Maintenance {
	var list []Maintenance
	for _, item := range n.items {
		m := Maintenance{Keys: p.pattern(item), Reason: p.text(item, "reason", oneLine(nameBytesMax))}
		m.From = p.moment(item, "from")
		m.Until = p.moment(item, "until")
		until := p.child(item, "until")
		if !until.bad && !p.child(item, "from").bad && !m.Until.After(m.From) {
			p.refuse(until, "is not after from")
		}
		list = append(list, m)
	}
	return list
}

// pattern reads keys, whose fallback is written as in YAML.
func (p *parsing) pattern(n *node) string {
	if p.child(n, "keys").absent {
		return "*"
	}
	return p.text(n, "keys", incidentKey)
}

// moment reads a time, in UTC.
func (p *parsing) moment(n *node, name string) time.Time {
	t, _ := time.Parse(time.RFC3339, p.text(n, name, moment))
	return t.UTC()
}

func (p *parsing) watcher(n *node, c *Config) Watcher {
	if n.absent {
		return Watcher{}
	}
	at := p.child(n, "secret")
	w := Watcher{Secret: p.secret(at, secret.Peer, secret.AnyMode), Silent: p.span(n, "silent_after")}
	others := p.distinct()
	others("control.token", nil, c.Control.Token)
	for _, k := range c.Licenses.KeySecrets {
		others("a secret of licenses.key_secrets", nil, k.Secret)
	}
	others(at.path, at, w.Secret)
	return w
}

// distinct returns a function that refuses a secret that was seen before. The first of two may come without its node.
func (p *parsing) distinct() func(path string, n *node, v secret.Value) {
	type used struct {
		path  string
		value secret.Value
	}
	var seen []used
	return func(path string, n *node, v secret.Value) {
		if v.Empty() {
			return
		}
		for _, before := range seen {
			if n != nil && before.value.Equal(v) {
				p.refuse(n, "is the same secret as %s; whoever has the one must not have the other", before.path)
				return
			}
		}
		seen = append(seen, used{path, v})
	}
}

func (p *parsing) checks(n *node) []CheckOverride {
	var list []CheckOverride
	codes := p.unique()
	for _, item := range n.items {
		o := CheckOverride{
			Code: p.text(item, "code", checkCode), Off: p.flag(item, "off"), Every: p.spanOr(item, "every", 0), Above: p.number(item, "above"),
		}
		if !p.child(item, "priority").absent {
			o.Priority = makegood.Priority(p.text(item, "priority"))
		}
		codes(item, "code")
		list = append(list, o)
	}
	return list
}

func (p *parsing) errors(n *node) Errors {
	if n.absent {
		return Errors{}
	}
	return Errors{DSN: p.secret(p.child(n, "dsn"), secret.SentryDSN, secret.AnyMode), Environment: p.text(n, "environment", plainWord)}
}
