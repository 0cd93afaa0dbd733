package config

import (
	"net/textproto"
	"path/filepath"
	"slices"
	"strings"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/secret"
)

var (
	monitorName = shaped(`^[a-z0-9-]{1,64}$`, "is not a name for a monitor: it has 1 to 64 of a to z, 0 to 9 and dashes")
	headerName  = shaped("^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}$", "has a name that no header can have")
	domainName  = shaped(`^[A-Za-z0-9_]([A-Za-z0-9._-]{0,252}[A-Za-z0-9.])?$`, "is not a name that a name server could be asked for")
	beatToken   = shaped(`^[A-Za-z0-9_-]*$`, "has something else in it than letters, digits, dashes and underscores, which an address cannot end with as it is")
)

func (p *parsing) monitors(n *node, self self, apart func(string, *node, secret.Value), hasVantage bool, rules Rules) []Monitor {
	var list []Monitor
	names := p.unique()
	for _, item := range n.items {
		list = append(list, p.monitor(item, self, apart, rules))
		names(item, "name")
		if second := p.child(item, "second"); second.text == "true" && !hasVantage {
			p.refuse(second, "is set, and there is no vantage that could agree")
		}
	}
	p.dependencies(n, list)
	return list
}

func (p *parsing) monitor(n *node, self self, apart func(string, *node, secret.Value), rules Rules) Monitor {
	m := Monitor{
		Name:      p.text(n, "name", monitorName),
		Priority:  makegood.Priority(p.text(n, "priority")),
		Title:     p.text(n, "title", optional(oneLine(nameBytesMax))),
		Means:     p.text(n, "means", optional(oneLine(meansBytesMax))),
		Failures:  p.number(n, "failures"),
		Successes: p.number(n, "successes"),
		DependsOn: textsOf(p.child(n, "depends_on")),
		Second:    p.flag(n, "second"),
	}
	p.pace(n, &m)
	subject, ok := p.subject(n)
	if !ok {
		return m
	}
	switch subject.key {
	case "url":
		m.URL = p.text(n, "url", anyAddress)
		p.notSelf(p.child(n, "url"), self.isAt(m.URL))
	case "tcp":
		m.TCP = p.text(n, "tcp", hostPort)
		p.notSelf(p.child(n, "tcp"), self.isPort(m.TCP))
	case "dns":
		at := p.child(n, "dns")
		m.DNS = &DNSLook{Name: p.text(at, "name", domainName), Type: p.text(at, "type"), Server: p.text(at, "server", optional(hostPort))}
	case "heartbeat":
		m.Heartbeat = p.heartbeat(p.child(n, "heartbeat"), apart)
	case "disk":
		m.Disk = p.text(n, "disk", absolutePath)
	}
	p.request(n, subject.key, &m)
	m.Conditions = p.conditions(p.child(n, "conditions"), subject, rules)
	if m.Title == "" {
		m.Title = m.Name + map[bool]string{true: " has not reported", false: " is not as it should be"}[m.Heartbeat != nil]
	}
	return m
}

// subject finds the one thing that a monitor looks at.
func (p *parsing) subject(n *node) (monitorSubject, bool) {
	var found []monitorSubject
	for _, s := range monitorSubjects() {
		if !p.child(n, s.key).absent {
			found = append(found, s)
		}
	}
	switch {
	case n.bad:
		return monitorSubject{}, false
	case len(found) == 0:
		p.complain(n.path, n.line, "has none of url, tcp, dns, heartbeat and disk; one of them is what it looks at")
		return monitorSubject{}, false
	case len(found) > 1:
		p.complain(n.path, n.line, "has both %s and %s; a monitor looks at one thing", found[0].key, found[1].key)
		return monitorSubject{}, false
	}
	return found[0], true
}

func (p *parsing) notSelf(n *node, isSelf bool) {
	if isSelf {
		p.refuse(n, "watches itself: this is the watcher's own address, and when it fails it can tell nobody; let the server or another watcher look")
	}
}

func absolutePath(s string) string {
	if !filepath.IsAbs(s) || strings.ContainsFunc(s, func(r rune) bool { return r < ' ' }) {
		return "is not an absolute path, such as /var/lib"
	}
	return ""
}

// pace reads how often and how long is looked. What is left out fits what is written.
func (p *parsing) pace(n *node, m *Monitor) {
	m.Every = p.span(n, "every")
	m.Again = p.spanOr(n, "again", min(monitorAgain, m.Every/2))
	m.Timeout = p.spanOr(n, "timeout", min(monitorTimeout, m.Every))
	every, again, timeout := p.child(n, "every"), p.child(n, "again"), p.child(n, "timeout")
	if every.bad || again.bad {
		return
	}
	if m.Again >= m.Every {
		p.refuse(again, "is not shorter than every; what is suspect is looked at again sooner")
	} else if m.Timeout > m.Every+m.Again {
		p.refuse(timeout, "is longer than every and again together; looks would pile up")
	}
}

func (p *parsing) heartbeat(n *node, apart func(string, *node, secret.Value)) *Heartbeat {
	at := p.child(n, "token")
	h := &Heartbeat{Token: p.secret(at, secret.Token, secret.AnyMode), Every: p.span(n, "every"), Grace: p.span(n, "grace"), Within: p.spanOr(n, "within", 0)}
	p.ask(at, h.Token.Reveal(), beatToken)
	apart(at.path, at, h.Token)
	return h
}

// request reads what is sent to a url, and refuses it for everything else.
func (p *parsing) request(n *node, subject string, m *Monitor) {
	method, headers, body := p.child(n, "method"), p.child(n, "headers"), p.child(n, "body")
	if subject != "url" {
		for _, given := range []*node{method, headers, body} {
			if !given.absent {
				p.refuse(given, "is given, and only a monitor of a url sends something")
			}
		}
		return
	}
	m.Method, m.Body = p.text(n, "method"), p.text(n, "body")
	for _, item := range headers.items {
		p.ask(item, item.name, headerName)
		value := p.headerValue(item)
		if m.Headers == nil {
			m.Headers = map[string]string{}
		}
		m.Headers[textproto.CanonicalMIMEHeaderKey(item.name)] = value
	}
}

// headerValue reads one value. One that proves who asks is a secret, and so is given by reference.
func (p *parsing) headerValue(n *node) string {
	if !n.bad && isCredential(n.name) && !isReference(n.text) {
		p.refuse(n, "is written into the file itself; write env:NAME or file:/path instead, and replace the secret if others could read this file")
		p.classify(secret.Literal)
	}
	return p.referable(n, oneLine(headerValueBytesMax))
}

// isCredential judges a header by its name.
func isCredential(name string) bool {
	name = strings.ToLower(name)
	return slices.ContainsFunc([]string{"authorization", "cookie", "token", "secret", "password", "api-key", "apikey", "signature"},
		func(word string) bool { return strings.Contains(name, word) })
}

// dependencies refuses what explains itself or does not exist: nobody would ever be told.
func (p *parsing) dependencies(n *node, list []Monitor) {
	var names []string
	direct := map[string][]string{}
	for _, m := range list {
		names = append(names, m.Name)
		direct[m.Name] = m.DependsOn
	}
	told := map[string]bool{} // of whose circle was spoken
	for i, m := range list {
		at := p.child(n.items[i], "depends_on")
		for _, item := range at.items {
			switch {
			case item.bad:
			case item.text == m.Name:
				p.refuse(item, "names the monitor itself; nobody would ever be told of it")
			case !slices.Contains(names, item.text):
				p.refuse(item, "names a monitor that does not exist%s", suggestion(item.text, names))
			}
		}
		reached := reachedFrom(m.Name, direct)
		if !reached[m.Name] || told[m.Name] || slices.Contains(m.DependsOn, m.Name) {
			continue
		}
		p.refuse(at, "leads in a circle back to the monitor itself; nobody would ever be told of any of them")
		for other := range reached {
			told[other] = told[other] || reachedFrom(other, direct)[m.Name]
		}
	}
}

// reachedFrom lists what a monitor depends on, directly and not. Each name is followed once.
func reachedFrom(name string, direct map[string][]string) map[string]bool {
	reached := map[string]bool{}
	waiting := slices.Clone(direct[name])
	for len(waiting) > 0 {
		next := waiting[0]
		waiting = waiting[1:]
		if !reached[next] {
			reached[next] = true
			waiting = append(waiting, direct[next]...)
		}
	}
	return reached
}
