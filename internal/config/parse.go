package config

import (
	"cmp"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/secret"
)

// Load reads, checks and resolves the file at path; lookup reads the environment (os.LookupEnv in production). Its error
// is Problems, every problem at once; nothing is partly returned.
func Load(path string, lookup func(string) (string, bool)) (*Config, error) {
	data, err := readFile(path)
	if err != nil {
		return nil, Problems{{File: path, Sentence: fileSentence(err)}}
	}
	return Parse(data, path, filepath.Dir(path), lookup)
}

// readFile reads one byte more than may be there, for document to tell. Looking before opening keeps a pipe from hanging
// the start.
func readFile(path string) ([]byte, error) {
	if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() {
		return nil, cmp.Or(err, fs.ErrInvalid)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, fileBytesMax+1))
}

func fileSentence(err error) string {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "the configuration file does not exist; makegood init writes one to start from"
	case errors.Is(err, fs.ErrPermission):
		return "the configuration file may not be read by this user"
	case errors.Is(err, fs.ErrInvalid):
		return "the configuration file is not a regular file"
	}
	return "the configuration file cannot be read"
}

// Parse is Load for what was read already: name stands in the problems, and dir is the folder from which relative paths
// are seen.
func Parse(data []byte, name, dir string, lookup func(string) (string, bool)) (*Config, error) {
	p := &parsing{reader: reader{file: name, language: newLanguage(keys()), sample: serverSample}, dir: dir, lookup: lookup}
	root := p.document(data)
	if root == nil {
		return nil, p.problems
	}
	c := p.config(root)
	if len(p.problems) > 0 {
		return nil, p.sorted()
	}
	return c, nil
}

// sorted gives the problems in the order of their lines.
func (p *parsing) sorted() Problems {
	slices.SortStableFunc(p.problems, func(a, b Problem) int { return cmp.Compare(a.Line, b.Line) })
	return p.problems
}

// serverSample says where a server's file to start from is.
const serverSample = "makegood init writes a file to start from"

// parsing makes the data, asks the rules, and collects what they say.
type parsing struct {
	reader
	dir        string
	lookup     func(string) (string, bool)
	references map[string]string // which variable each secret came from
}

func (p *parsing) config(root *node) *Config {
	c := &Config{
		Listen:   p.text(root, "listen", listenAddress),
		Database: p.database(root),
		Node:     p.node(root, "node"),
		Log:      p.log(p.child(root, "log")),
		Licenses: p.licenses(p.child(root, "licenses")),
		Retry:    p.retry(p.child(root, "retry")),
		Workers:  p.workers(p.child(root, "workers")),
		Limits:   p.limits(p.child(root, "limits")),
	}
	outbound := p.child(root, "outbound")
	c.Outbound = p.outbound(outbound)
	api := apiAddress(c.Outbound.AllowPrivate || p.child(outbound, "allow_private").bad)
	sources := p.child(root, "sources")
	c.Sources = p.sources(sources, api)
	c.Catalogue = p.catalogue(p.child(root, "products"), c.Sources)
	live := slices.ContainsFunc(c.Sources, func(s Source) bool { return s.Live })
	c.PublicURL = strings.TrimSuffix(p.text(root, "public_url", bareAddress, pageAddress(live)), "/")
	c.Checkout = p.checkout(p.child(root, "checkout"), c, live, sources.bad)
	c.Mail = p.mail(p.child(root, "mail"), api)
	c.Forwards = p.forwards(p.child(root, "forwards"))
	c.Control = p.control(p.child(root, "control"), c.Database)
	c.Watcher = p.watcher(p.child(root, "watcher"), c)
	c.Checks = p.checks(p.child(root, "checks"))
	c.Heal = p.serverHeal(p.child(root, "heal"))
	c.Errors = p.errors(p.child(root, "errors"))
	c.Telling = p.telling(root, api, &c.Mail)
	c.References = p.references
	return c
}

func (p *parsing) database(root *node) string {
	n := p.child(root, "database")
	url := n.text
	if !n.bad && isReference(url) {
		v, _ := p.resolve(n) // what cannot be resolved is told, and so asked nothing more
		url = v.Reveal()
	}
	if path, ok := strings.CutPrefix(url, "sqlite:"); ok && path != "" && !filepath.IsAbs(path) && path != ":memory:" {
		url = "sqlite:" + filepath.Join(p.dir, path)
	}
	p.ask(n, url, databaseURL)
	return url
}

// node reads a name of this process; the host's by default.
func (p *parsing) node(root *node, key string) string {
	if name := p.text(root, key, optional(nodeName)); name != "" {
		return name
	}
	n := p.child(root, key)
	name, err := os.Hostname()
	if err != nil || nodeName(name) != "" {
		p.refuse(n, "cannot be the host name, which is none that could be used; write a name")
	}
	return name
}

func (p *parsing) log(n *node) Log {
	return Log{Level: p.text(n, "level"), Format: p.text(n, "format")}
}

func (p *parsing) sources(n *node, api check) []Source {
	p.atLeastOne(n)
	var list []Source
	names := p.unique()
	for _, item := range n.items {
		list = append(list, p.source(item, api))
		names(item, "name")
	}
	return list
}

func (p *parsing) source(n *node, api check) Source {
	s := Source{
		Name:     p.text(n, "name", sourceName),
		Provider: p.text(n, "provider"),
		Live:     p.text(n, "mode") == "live",
		APIBase:  strings.TrimSuffix(p.text(n, "api_base", optional(api)), "/"),
	}
	provider, known := providers[s.Provider]
	if !known {
		return s // told already; what its secrets should look like nobody knows
	}
	s.APIBase = cmp.Or(s.APIBase, provider.apiBase)
	s.Account = p.text(n, "account")
	if provider.account != "" {
		p.ask(p.child(n, "account"), s.Account, optional(shaped(provider.account, "is not of the form of an account id, such as acct_1NzBq2Lk3Pw8")))
	} else if s.Account != "" && s.Provider != "paypal" {
		p.refuse(p.child(n, "account"), "is given, and this provider's events name none")
	}
	mode := secret.AnyMode
	if m := p.child(n, "mode"); !m.bad {
		mode = secret.Mode(m.text)
	}
	apiKey := p.child(n, "api_key")
	if provider.asks != "" && apiKey.absent && !n.bad {
		p.refuse(apiKey, "is missing; %s", provider.asks)
	}
	s.APIKey = p.secret(apiKey, provider.apiKey, mode)
	s.ClientID = p.text(n, "client_id", optional(plainWord))
	p.clientID(n, s.Provider, s.ClientID)
	s.WebhookSecrets = p.datedSecrets(p.child(n, "webhook_secrets"), p.child(n, "retiring_secrets"), provider.webhookSecret, mode)
	s.AcknowledgeFulfilled = p.text(n, "acknowledge") == "fulfilled"
	s.AcknowledgeWithin = p.span(n, "acknowledge_within")
	if retry := p.child(n, "retry"); !retry.absent {
		policy := p.policy(retry)
		s.Retry = &policy
	}
	s.Recipe = p.recipe(p.child(n, "recipe"))
	return s
}

// datedSecrets reads the secrets that have no end and those that have one.
func (p *parsing) datedSecrets(active, retiring *node, kind secret.Kind, mode secret.Mode) []DatedSecret {
	var all []DatedSecret
	for _, v := range p.secrets(active, kind, mode) {
		all = append(all, DatedSecret{Secret: v})
	}
	for _, item := range retiring.items {
		d := DatedSecret{Secret: p.secret(p.child(item, "secret"), kind, mode)}
		d.NotAfter = p.moment(item, "not_after")
		all = append(all, d)
	}
	return all
}

func (p *parsing) forwards(n *node) []Forward {
	var list []Forward
	names := p.unique()
	for _, item := range n.items {
		f := Forward{
			Name:         p.text(item, "name", sourceName),
			Timeout:      p.span(item, "timeout"),
			PerSecond:    p.number(item, "per_second"),
			AllowPrivate: p.flag(item, "allow_private"),
			Secrets:      p.datedSecrets(p.child(item, "secrets"), p.child(item, "retiring_secrets"), secret.Standard, secret.AnyMode),
			Retry:        p.policy(p.child(item, "retry")),
		}
		f.URL = p.text(item, "url", forwardAddress(f.AllowPrivate))
		names(item, "name")
		list = append(list, f)
	}
	return list
}

func (p *parsing) control(n *node, database string) Control {
	c := Control{Socket: p.text(n, "socket", optional(oneLine(socketBytesMax)))}
	if path, ok := strings.CutPrefix(database, "sqlite:"); ok && c.Socket == "" {
		c.Socket = path + ".control"
	} else if c.Socket != "" && !filepath.IsAbs(c.Socket) {
		c.Socket = filepath.Join(p.dir, c.Socket)
	}
	if token := p.child(n, "token"); !token.absent {
		c.Token = p.secret(token, secret.Token, secret.AnyMode)
	}
	return c
}

// consequences are what may become of a licence.
var consequences = map[string]makegood.Entitlement{
	"keep": makegood.EntitledFully, "suspend": makegood.EntitledOnHold, "revoke": makegood.EntitledNoMore,
}

func (p *parsing) productPolicy(n *node) makegood.Policy {
	return makegood.Policy{
		PartialRefund: consequences[p.text(n, "partial_refund")],
		Dispute:       consequences[p.text(n, "dispute")],
		DisputeLost:   consequences[p.text(n, "dispute_lost")],
		KeepsGone:     !p.flag(n, "restock"),
		Grace:         p.span(n, "grace"),
	}
}

func (p *parsing) catalogue(n *node, sources []Source) makegood.Catalogue {
	p.atLeastOne(n)
	all := makegood.Catalogue{}
	codes, prices := p.unique(), map[string]string{}
	for _, item := range n.items {
		product := p.product(item)
		codes(item, "code")
		product.ProviderPrice = p.providerPrices(p.child(item, "provider_prices"), sources, prices)
		all[product.Code] = product
	}
	return all
}

func (p *parsing) product(n *node) makegood.Product {
	product := makegood.Product{
		Code:          p.text(n, "code", productCode),
		Name:          p.text(n, "name", oneLine(nameBytesMax)),
		LicensePrefix: p.text(n, "license_prefix", licensePrefix),
		Stocked:       p.flag(n, "stocked"),
		Policy:        p.productPolicy(p.child(n, "policy")),
	}
	product.Price, _ = makegood.ParseMoney(p.text(n, "price", price))
	return product
}

// providerPrices reads the price ids of one product. seen has the ids of all products, by source, each with its path.
func (p *parsing) providerPrices(n *node, sources []Source, seen map[string]string) map[string]string {
	var prices map[string]string
	for _, v := range n.items {
		p.ask(v, v.text, priceID)
		if !slices.ContainsFunc(sources, func(s Source) bool { return s.Name == v.name }) {
			p.refuse(v, "names a source that does not exist%s", suggestion(v.name, sourceNames(sources)))
			continue
		}
		id := v.name + "\x00" + v.text
		if before, twice := seen[id]; twice {
			p.refuse(v, "has the same price id as %s; a payment could not tell which of the two was bought", before)
			continue
		}
		seen[id] = v.path
		if prices == nil {
			prices = map[string]string{}
		}
		prices[v.name] = v.text
	}
	return prices
}

func sourceNames(sources []Source) []string {
	var names []string
	for _, s := range sources {
		names = append(names, s.Name)
	}
	return names
}

func (p *parsing) checkout(n *node, c *Config, live, sourcesBad bool) Checkout {
	co := Checkout{
		Source:     p.text(n, "source"),
		SuccessURL: p.text(n, "success_url", optional(pageAddress(live)), optional(hasSession)),
		CancelURL:  p.text(n, "cancel_url", optional(pageAddress(live))),
	}
	source := p.child(n, "source")
	var sellers []string
	for _, s := range c.Sources {
		if providers[s.Provider].sells {
			sellers = append(sellers, s.Name)
		}
	}
	exists := slices.ContainsFunc(c.Sources, func(s Source) bool { return s.Name == co.Source })
	switch {
	case sourcesBad || source.bad:
	case co.Source == "" && len(sellers) == 1:
		co.Source = sellers[0]
	case co.Source == "" && len(sellers) > 1:
		p.refuse(source, "is missing; with several sources that can sell, the one that sells is to be named")
	case exists && !slices.Contains(sellers, co.Source):
		p.refuse(source, "names a source whose provider makes no checkouts here; stripe and paypal do")
	case co.Source != "" && !exists:
		p.refuse(source, "names a source that does not exist%s", suggestion(co.Source, sourceNames(c.Sources)))
	}
	co.SuccessURL = cmp.Or(co.SuccessURL, c.PublicURL+"/thanks?session_id="+sessionPlace)
	co.CancelURL = cmp.Or(co.CancelURL, c.PublicURL+"/")
	return co
}

func (p *parsing) licenses(n *node) Licenses {
	list := p.child(n, "key_secrets")
	p.atLeastOne(list)
	var l Licenses
	ids := p.unique()
	for _, item := range list.items {
		l.KeySecrets = append(l.KeySecrets, KeySecret{
			ID:     p.text(item, "id", keySecretID),
			Secret: p.secret(p.child(item, "secret"), secret.LicenseKey, secret.AnyMode),
		})
		ids(item, "id")
	}
	return l
}

func (p *parsing) mail(n *node, api check) Mail {
	m := Mail{From: p.text(n, "from", mailAddress), ReplyTo: p.text(n, "reply_to", optional(mailAddress))}
	resend, smtp := p.child(n, "resend"), p.child(n, "smtp")
	switch {
	case n.bad:
	case resend.absent && smtp.absent:
		p.complain(n.path, n.line, "has neither resend nor smtp; one of them has to send")
	case !resend.absent && !smtp.absent:
		p.complain(n.path, n.line, "has both resend and smtp; keep the one that sends")
	}
	if !resend.absent {
		m.Resend = &Resend{
			APIBase: strings.TrimSuffix(p.text(resend, "api_base", api), "/"),
			APIKey:  p.secret(p.child(resend, "api_key"), secret.ResendKey, secret.AnyMode),
		}
	}
	if !smtp.absent {
		m.SMTP = p.smtp(smtp)
	}
	return m
}

// smtpPorts are the usual ones.
var smtpPorts = map[string]int{"starttls": 587, "implicit": 465, "none": 25}

func (p *parsing) smtp(n *node) *SMTP {
	s := &SMTP{
		Host:     p.text(n, "host", hostName),
		Username: p.text(n, "username"),
		Password: p.secret(p.child(n, "password"), secret.Password, secret.AnyMode),
		TLS:      p.text(n, "tls"),
	}
	s.Port = cmp.Or(p.number(n, "port"), smtpPorts[s.TLS])
	username, password := p.child(n, "username"), p.child(n, "password")
	switch {
	case s.Username != "" && password.absent:
		p.refuse(username, "is given without a password; SMTP needs both or neither")
	case s.Username == "" && !password.absent && !username.bad:
		p.refuse(password, "is given without a username; SMTP needs both or neither")
	}
	if host := p.child(n, "host"); s.TLS == "none" && !password.absent && !host.bad && !isLoopback(s.Host) {
		p.refuse(p.child(n, "tls"), "is none, and the password would travel unencrypted to another machine; use starttls or implicit")
	}
	return s
}

func (p *parsing) retry(n *node) Retry {
	return Retry{Events: p.policy(p.child(n, "events")), Mail: p.policy(p.child(n, "mail"))}
}

func (p *parsing) policy(n *node) makegood.RetryPolicy {
	r := makegood.RetryPolicy{Attempts: p.number(n, "attempts"), Base: p.span(n, "base"), Cap: p.span(n, "cap")}
	if longest := p.child(n, "cap"); !longest.bad && !p.child(n, "base").bad && r.Cap < r.Base {
		p.refuse(longest, "is shorter than base; no wait can be both")
	}
	return r
}

func (p *parsing) workers(n *node) Workers {
	return Workers{Payments: p.number(n, "payments"), Effects: p.number(n, "effects")}
}

func (p *parsing) limits(n *node) Limits {
	l := Limits{
		VerifyPerMinute:   p.number(n, "verify_per_minute"),
		ValidatePerMinute: p.number(n, "validate_per_minute"),
		CheckoutPerMinute: p.number(n, "checkout_per_minute"),
	}
	for _, item := range p.child(n, "trusted_proxies").items {
		p.ask(item, item.text, proxy)
		l.TrustedProxies = append(l.TrustedProxies, item.text)
	}
	return l
}

func (p *parsing) outbound(n *node) Outbound {
	return Outbound{AllowPrivate: p.flag(n, "allow_private"), Timeout: p.span(n, "timeout")}
}

// child returns what a mapping has under a name. What is not there is a problem when it must be, and else has its
// fallback. In a mapping that is bad or absent for a problem, everything is bad.
func (p *parsing) child(n *node, name string) *node {
	if found, ok := n.fields[name]; ok {
		return found
	}
	k, ok := p.language.below(n.key, name)
	if !ok {
		panic("unreachable: config: no key " + join(n.key.path, name))
	}
	c := &node{key: k, path: join(n.path, name), line: n.line, text: k.fallback, absent: true, bad: n.bad}
	if k.must != "" {
		p.refuse(c, "is missing; %s", k.must)
	}
	if n.fields == nil {
		n.fields = map[string]*node{}
	}
	n.fields[name] = c
	return c
}

// ask tells of the first check that has something to say of the value.
func (p *parsing) ask(n *node, value string, checks ...check) {
	for _, c := range checks {
		if n.bad {
			return
		}
		if sentence := c(value); sentence != "" {
			p.refuse(n, "%s", sentence)
		}
	}
}

// text returns a text and tells what the checks have to say of it. An empty one is as good as none only where none is
// good.
func (p *parsing) text(n *node, name string, checks ...check) string {
	c := p.child(n, name)
	if !c.bad && c.text == "" && c.key.must != "" {
		p.refuse(c, "is empty; %s", c.key.must)
	}
	if !c.bad && c.text == "" && c.key.fallback != "" {
		p.refuse(c, "is empty; write a value, or leave the key out for its default")
	}
	if len(c.key.oneOf) > 0 {
		checks = append([]check{oneOf(c.key.oneOf)}, checks...)
	}
	p.ask(c, c.text, checks...)
	return c.text
}

// number returns a whole number within the bounds of its key; 0 when there is none and no fallback.
func (p *parsing) number(n *node, name string) int {
	c := p.child(n, name)
	if c.text == "" {
		return 0
	}
	i, err := strconv.Atoi(c.text)
	if err != nil || i < c.key.least || i > c.key.most {
		p.refuse(c, "is out of bounds; it goes from %d to %d", c.key.least, c.key.most)
	}
	return i
}

func (p *parsing) flag(n *node, name string) bool {
	c := p.child(n, name)
	return !c.bad && c.text == "true"
}

func (p *parsing) span(n *node, name string) time.Duration {
	c := p.child(n, name)
	d, err := time.ParseDuration(c.text)
	if err != nil {
		p.refuse(c, "is not %s", span.noun())
	} else if d < c.key.shortest || d > c.key.longest {
		p.refuse(c, "is out of bounds; it goes from %s to %s", spanText(c.key.shortest), spanText(c.key.longest))
	}
	return d
}

// spanOr is span for a key that has no fallback of its own.
func (p *parsing) spanOr(n *node, name string, usual time.Duration) time.Duration {
	if p.child(n, name).absent {
		return usual
	}
	return p.span(n, name)
}

func (p *parsing) atLeastOne(n *node) {
	if !n.bad && len(n.items) == 0 {
		p.refuse(n, "is empty; %s", n.key.must)
	}
}

// unique returns a function that refuses the second of two equal values under a name.
func (p *parsing) unique() func(item *node, name string) {
	seen := map[string]string{}
	return func(item *node, name string) {
		c := p.child(item, name)
		if c.bad {
			return
		}
		if before, twice := seen[c.text]; twice {
			p.refuse(c, "is the same as %s; each needs its own", before)
			return
		}
		seen[c.text] = c.path
	}
}

var reference = regexp.MustCompile(`^(env|file):`)

func isReference(s string) bool { return reference.MatchString(s) }
