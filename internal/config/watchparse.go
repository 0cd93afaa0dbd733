package config

import (
	"cmp"
	"errors"
	"io/fs"
	"net"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/secret"
)

// Rules are what other packages know of the watcher's file.
type Rules struct {
	// Condition says what is wrong with a condition of a monitor that looks at kind (url, tcp, dns or disk); nil when
	// nothing is. Its error is a sentence that goes on after the path and repeats nothing of the text. A nil function
	// knows nothing wrong.
	Condition func(kind, text string) error
}

// watchSample says where a watcher's file to start from is.
const watchSample = "deploy/watch.yaml is a file to start from"

// LoadWatch is Load for a watcher's file.
func LoadWatch(path string, lookup func(string) (string, bool), rules Rules) (*Watch, error) {
	data, err := readFile(path)
	if err != nil {
		sentence := fileSentence(err)
		if errors.Is(err, fs.ErrNotExist) {
			sentence = "the configuration file does not exist; " + watchSample
		}
		return nil, Problems{{File: path, Sentence: sentence}}
	}
	return ParseWatch(data, path, filepath.Dir(path), lookup, rules)
}

// ParseWatch is Parse for a watcher's file.
func ParseWatch(data []byte, name, dir string, lookup func(string) (string, bool), rules Rules) (*Watch, error) {
	p := &parsing{reader: reader{file: name, language: newLanguage(watchKeys()), sample: watchSample}, dir: dir, lookup: lookup}
	root := p.document(data)
	if root == nil {
		return nil, p.problems
	}
	w := p.watch(root, rules)
	if len(p.problems) > 0 {
		return nil, p.sorted()
	}
	return w, nil
}

func (p *parsing) watch(root *node, rules Rules) *Watch {
	w := &Watch{
		Name:      p.node(root, "name"),
		Listen:    p.text(root, "listen", listenAddress),
		PublicURL: strings.TrimSuffix(p.text(root, "public_url", optional(bareAddress)), "/"),
		Database:  p.ownDatabase(root),
		Log:       p.log(p.child(root, "log")),
		Drill:     p.flag(root, "drill"),
		Trigger:   p.secret(p.child(root, "trigger_token"), secret.Token, secret.AnyMode),
		Network:   p.network(p.child(root, "network")),
		Errors:    p.errors(p.child(root, "errors")),
	}
	self := selfOf(w.Listen, w.PublicURL)
	outbound := p.child(root, "outbound")
	w.Outbound = p.outbound(outbound)
	api := apiAddress(w.Outbound.AllowPrivate || p.child(outbound, "allow_private").bad)
	apart := p.distinct()
	apart("trigger_token", nil, w.Trigger)
	w.Server = p.watched(p.child(root, "server"), api, self, apart)
	w.Vantage = p.vantage(p.child(root, "vantage"), api, self, apart)
	w.Monitors = p.monitors(p.child(root, "monitors"), self, apart, w.Vantage != nil, rules)
	w.Checkout = p.synthetic(p.child(root, "checkout"), api, w.Server != nil)
	w.Smoke = p.smoke(p.child(root, "smoke"), rules)
	list := p.child(root, "secrets")
	w.Secrets = p.secretList(list)
	w.Heal = p.heal(p.child(root, "heal"), api, w.Monitors)
	p.places(list, w.Heal, w.Server != nil)
	w.Drills = p.drills(p.child(root, "drills"), w.Heal)
	var mails *Mail
	if n := p.child(root, "mail"); !n.absent {
		m := p.mail(n, api)
		mails = &m
	}
	w.Telling = p.telling(root, api, mails)
	w.Telling.Mail = mails
	return w
}

// ownDatabase asks for SQLite: what the watcher keeps must not depend on a machine that it watches.
func (p *parsing) ownDatabase(root *node) string {
	n := p.child(root, "database")
	p.ask(n, n.text, sqliteURL)
	path := strings.TrimPrefix(n.text, "sqlite:")
	if !filepath.IsAbs(path) {
		path = filepath.Join(p.dir, path)
	}
	p.ask(n, "sqlite:"+path, databaseURL)
	return "sqlite:" + path
}

func sqliteURL(s string) string {
	if !strings.HasPrefix(s, "sqlite:") {
		return "is not sqlite:PATH; a watcher keeps its state on its own disk, where no other machine can take it away"
	}
	return databaseURL(s)
}

func (p *parsing) network(n *node) Network {
	targets := p.child(n, "targets")
	if targets.absent {
		return Network{Targets: networkTargets()}
	}
	var list, hosts []string
	for _, item := range targets.items {
		p.ask(item, item.text, hostPort)
		host, _, _ := net.SplitHostPort(item.text)
		if !slices.Contains(hosts, host) {
			hosts = append(hosts, host)
		}
		list = append(list, item.text)
	}
	if len(hosts) == 1 {
		p.refuse(targets, "names one host only; when that one fails, the watcher would take itself for blind")
	}
	return Network{Targets: list}
}

// hostPort asks for a port of another machine.
func hostPort(s string) string {
	host, port, err := net.SplitHostPort(s)
	n, portErr := strconv.ParseUint(port, 10, 16)
	if err != nil || portErr != nil || n == 0 || hostName(host) != "" {
		return "is not of the form host:port, such as db.example.com:5432"
	}
	return ""
}

func (p *parsing) watched(n *node, api check, self self, apart func(string, *node, secret.Value)) *Watched {
	if n.absent {
		return nil
	}
	w := &Watched{URL: p.peerURL(n, api, self), Secret: p.peerSecret(n, apart), Every: p.span(n, "every"), Silent: p.span(n, "silent_after")}
	silent := p.child(n, "silent_after")
	if !silent.bad && !p.child(n, "every").bad && w.Silent <= w.Every {
		p.refuse(silent, "is not longer than every; each beat would come too late")
	}
	return w
}

func (p *parsing) vantage(n *node, api check, self self, apart func(string, *node, secret.Value)) *Vantage {
	if n.absent {
		return nil
	}
	return &Vantage{URL: p.peerURL(n, api, self), Secret: p.peerSecret(n, apart)}
}

func (p *parsing) peerURL(n *node, api check, self self) string {
	address := p.text(n, "url", bareAddress, api)
	if self.isAt(address) {
		p.refuse(p.child(n, "url"), "is the watcher's own address; it is to be another program on another machine")
	}
	return strings.TrimSuffix(address, "/")
}

func (p *parsing) peerSecret(n *node, apart func(string, *node, secret.Value)) secret.Value {
	at := p.child(n, "secret")
	v := p.secret(at, secret.Peer, secret.AnyMode)
	apart(at.path, at, v)
	return v
}

// synthetic reads what is bought on trial.
func (p *parsing) synthetic(n *node, api check, hasServer bool) []SyntheticCheckout {
	var list []SyntheticCheckout
	for _, item := range n.items {
		list = append(list, p.oneSynthetic(item, api))
	}
	if len(list) > 0 && !hasServer {
		p.refuse(n, "is given, and there is no section server, whose API makes the checkouts")
	}
	return list
}

func (p *parsing) oneSynthetic(n *node, api check) SyntheticCheckout {
	s := SyntheticCheckout{
		Product:    p.text(n, "product", productCode),
		Every:      p.span(n, "every"),
		Provider:   p.text(n, "provider"),
		Live:       p.text(n, "mode") == "live",
		APIBase:    strings.TrimSuffix(p.text(n, "api_base", optional(api)), "/"),
		ClientID:   p.text(n, "client_id", optional(plainWord)),
		Name:       p.text(n, "name", optional(oneLine(nameBytesMax))),
		SuccessURL: p.text(n, "success_url", optional(anyAddress)),
		CancelURL:  p.text(n, "cancel_url", optional(anyAddress)),
	}
	s.Amount, _ = makegood.ParseMoney(p.text(n, "amount", price))
	if p.child(n, "provider").bad {
		return s
	}
	mode := secret.AnyMode
	if m := p.child(n, "mode"); !m.bad {
		mode = secret.Mode(m.text)
	}
	provider := providers[s.Provider]
	s.APIBase = cmp.Or(s.APIBase, provider.apiBase)
	s.APIKey = p.secret(p.child(n, "api_key"), provider.apiKey, mode)
	p.clientID(n, s.Provider, s.ClientID)
	return s
}

// clientID holds that PayPal has one and nobody else.
func (p *parsing) clientID(n *node, provider, id string) {
	at := p.child(n, "client_id")
	switch {
	case provider == "paypal" && id == "":
		p.refuse(at, "is missing; PayPal's API asks for it beside the secret")
	case provider != "paypal" && id != "":
		p.refuse(at, "is given, and only PayPal has one")
	}
}

func anyAddress(s string) string {
	_, sentence := parseAddress(s)
	return sentence
}

func (p *parsing) smoke(n *node, rules Rules) *SmokeTest {
	if n.absent {
		return nil
	}
	s := &SmokeTest{
		URL:     strings.TrimSuffix(p.text(n, "url", bareAddress), "/"),
		Click:   p.text(n, "click", optional(urlPath)),
		Button:  p.text(n, "button", optional(oneLine(nameBytesMax))),
		Timeout: p.span(n, "timeout"),
	}
	for _, item := range p.child(n, "pages").items {
		s.Pages = append(s.Pages, SmokePage{
			Path:       p.text(item, "path", urlPath),
			Conditions: p.conditions(p.child(item, "conditions"), monitorSubjects()[0], rules),
		})
	}
	for _, item := range p.child(n, "checkout").items {
		p.ask(item, item.text, anyAddress)
		s.Checkout = append(s.Checkout, item.text)
	}
	if button := p.child(n, "button"); s.Click == "" && !button.absent && s.Button != "" {
		p.refuse(button, "is given, and there is no click, the page that has the button")
	}
	if len(s.Pages) == 0 && s.Click == "" && !n.bad && !p.child(n, "pages").bad && !p.child(n, "click").bad {
		p.refuse(n, "has neither pages nor click; it would find everything well")
	}
	return s
}

func urlPath(s string) string {
	u, err := url.Parse(s)
	if err != nil || !strings.HasPrefix(s, "/") || u.Host != "" || u.Fragment != "" || strings.ContainsFunc(s, isBlankOrControl) {
		return "is not a path, which begins with a slash, such as /api/health"
	}
	return ""
}

// conditions reads what has to hold of a subject; without any, what usually has.
func (p *parsing) conditions(n *node, of monitorSubject, rules Rules) []string {
	if n.absent || n.bad {
		return slices.Clone(of.conditions)
	}
	if of.conditions == nil {
		p.refuse(n, "is given, and a %s has none", of.key)
		return nil
	}
	if len(n.items) == 0 {
		p.refuse(n, "is empty; a monitor that asks for nothing is always green")
	}
	var list []string
	for _, item := range n.items {
		p.ask(item, item.text, oneLine(conditionBytesMax), func(text string) string {
			if rules.Condition == nil {
				return ""
			}
			return conditionSentence(rules.Condition(of.key, text), text)
		})
		list = append(list, item.text)
	}
	return list
}

// longWord is what could be a secret, and is no name of something that can be looked at.
var longWord = regexp.MustCompile(`[A-Za-z0-9_-]{16,}`)

// conditionSentence is what err says of a condition, unless that repeats what could be a secret.
func conditionSentence(err error, text string) string {
	if err == nil {
		return ""
	}
	sentence := err.Error()
	repeats := func(word string) bool { return strings.Contains(sentence, word) }
	if strings.ContainsFunc(sentence, unicode.IsControl) || slices.ContainsFunc(longWord.FindAllString(text, -1), repeats) {
		return "is not a condition that can be asked of it"
	}
	return sentence
}

// self is where a watcher can be reached itself.
type self struct {
	port   string // of listen; "" when any may be chosen
	host   string // of listen; "" when it is every address of the machine
	public string // host:port of public_url; "" when there is none
}

func selfOf(listen, publicURL string) self {
	var s self
	if host, port, err := net.SplitHostPort(listen); err == nil && port != "0" {
		s.host, s.port = strings.ToLower(host), port
	}
	if s.host == "0.0.0.0" || s.host == "::" {
		s.host = ""
	}
	if u, sentence := parseAddress(publicURL); sentence == "" {
		s.public = addressOf(u)
	}
	return s
}

// isAt reports whether an address is the watcher's own. It judges by the look and asks no name server.
func (s self) isAt(address string) bool {
	u, sentence := parseAddress(address)
	return sentence == "" && s.isPort(addressOf(u))
}

func (s self) isPort(address string) bool {
	host, port, err := net.SplitHostPort(strings.ToLower(address))
	if err != nil {
		return false
	}
	isListening := s.port != "" && port == s.port && (host == s.host || isLoopback(host) && (s.host == "" || isLoopback(s.host)))
	return isListening || s.public != "" && net.JoinHostPort(host, port) == s.public
}

// addressOf is host:port, with the usual port where none is written.
func addressOf(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return net.JoinHostPort(strings.ToLower(u.Hostname()), port)
}
