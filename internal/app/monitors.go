package app

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"time"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/config"
	"github.com/makegood/makegood/internal/heal"
	"github.com/makegood/makegood/internal/inspect"
	"github.com/makegood/makegood/internal/monitor"
	"github.com/makegood/makegood/internal/outbound"
	"github.com/makegood/makegood/internal/probe"
	"github.com/makegood/makegood/internal/smoke"
	"github.com/makegood/makegood/internal/store"
	"github.com/makegood/makegood/internal/synthetic"
	"github.com/makegood/makegood/internal/watch"
)

// MonitorCheck is the code of what operators write into a watcher's configuration; monitor/NAME is the key of its findings.
const MonitorCheck = "monitor"

// monitors is the table of what a watcher looks at: what healing needs, what is configured, the synthetic checkout, and the
// server's beats.
func (w *Watcher) monitors(ctx context.Context, c *config.Watch, beating *watch.Beating, targets []heal.Target) ([]monitor.Monitor, error) {
	all := w.healing.monitors(targets)
	if err := checkSmoke(c); err != nil {
		return nil, err
	}
	for _, m := range c.Monitors {
		made, err := newMonitor(m, c, w.Store, w.alarm, w.now)
		if err != nil {
			return nil, fmt.Errorf("monitor %s: %w", m.Name, err)
		}
		if m.Heartbeat != nil {
			if err := w.Store.ExpectBeat(ctx, m.Name); err != nil {
				return nil, err
			}
		}
		all = append(all, made)
	}
	for _, k := range c.Checkout {
		made, err := newCheckout(k, c, w.now)
		if err != nil {
			return nil, fmt.Errorf("checkout of %s: %w", k.Product, err)
		}
		for _, m := range w.alarm.named("checkout-broken", k.Product, made, false) {
			m.Check.Every, m.Timeout = k.Every, checkoutTimeout
			m.DependsOn = []string{"server-silent"} // of a server that is down nobody need be told twice
			all = append(all, m)
		}
	}
	if beating != nil {
		for _, m := range w.alarm.named("server-silent", "", beating, false) {
			all = append(all, silenceOf(m, *c.Server))
		}
		all = append(all, w.alarm.named("watcher-not-independent", "", beating.Company(), true)...)
		all = append(all, w.alarm.named("peer-skew", "", beating.Skew(), true)...)
		all = append(all, w.alarm.named("alerts-unsent", "", beating.Worry(), true)...)
	}
	return all, nil
}

// silenceOf gives the monitor of the server's beats the pace and the patience of the configuration: so many looks in a row, the
// first after a beat that was answered, make up the silence. A look that waits for an answer takes no longer than the pause
// between two of them, so a server that hangs is found as soon as one that refuses.
func silenceOf(m monitor.Monitor, s config.Watched) monitor.Monitor {
	m.Check.Every, m.Check.Again = s.Every, min(m.Check.Again, s.Every)
	m.Check.Failures = 1 + max(1, int((s.Silent-s.Every)/m.Check.Again))
	m.Timeout = min(m.Timeout, max(m.Check.Again, beatTimeoutLeast))
	return m
}

// beatTimeoutLeast is how long an answer to a beat may take in any case.
const beatTimeoutLeast = time.Second

// CheckWatch builds the parts of a watcher's configuration and throws them away: what only their packages can judge is told
// before a start.
func CheckWatch(c *config.Watch) error {
	var errs []error
	for _, m := range c.Monitors {
		if _, err := newMonitor(m, c, nil, nil, time.Now); err != nil {
			errs = append(errs, fmt.Errorf("monitor %s: %w", m.Name, err))
		}
	}
	for _, k := range c.Checkout {
		if _, err := newCheckout(k, c, time.Now); err != nil {
			errs = append(errs, fmt.Errorf("checkout of %s: %w", k.Product, err))
		}
	}
	errs = append(errs, checkSmoke(c), checkHealing(c))
	_, networkErr := networkProbes(c.Network, time.Now)
	_, channelsErr := newChannels(c.Channels, speakingOf(c, time.Now))
	return errors.Join(append(errs, networkErr, channelsErr)...)
}

// checkSmoke builds the smoke test, if there is one, and throws it away: one that cannot be built should be told of before
// the deploy that it is to judge.
func checkSmoke(c *config.Watch) error {
	if c.Smoke == nil {
		return nil
	}
	if _, err := SmokeTest(*c.Smoke, c, time.Now); err != nil {
		return fmt.Errorf("smoke: %w", err)
	}
	return nil
}

// checkoutTimeout is for one synthetic checkout with its end.
const checkoutTimeout = 10 * time.Second

func newMonitor(m config.Monitor, c *config.Watch, s *store.Store, a *alarm, now func() time.Time) (monitor.Monitor, error) {
	prober, err := newProber(m, s, a, now)
	if err != nil {
		return monitor.Monitor{}, err
	}
	title := m.Title
	if title == "" {
		title = m.Name + " is not as it should be"
	}
	made := monitor.Monitor{Subject: m.Name, Prober: prober, Timeout: m.Timeout, Local: m.Heartbeat != nil || m.Disk != "",
		Check: makegood.Check{Code: MonitorCheck, Title: title, Means: m.Means, Priority: m.Priority, Every: m.Every, Again: m.Again,
			Failures: m.Failures, Successes: m.Successes}}
	if m.Heartbeat != nil { // what is late is late: there is nothing to look at again
		d := monitor.HeartbeatDefaults()
		made.Check.Every, made.Check.Again, made.Check.Failures, made.Check.Successes = d.Every, d.Again, d.Failures, d.Successes
	}
	for _, name := range m.DependsOn {
		made.DependsOn = append(made.DependsOn, makegood.FindingKey(MonitorCheck, name))
	}
	if m.Second && c.Vantage != nil {
		made.Second = &watch.Vantage{URL: c.Vantage.URL, Secret: c.Vantage.Secret, Key: made.Key(), Now: now,
			HTTP: outbound.New(outbound.Options{Timeout: m.Timeout + time.Second, AllowPrivate: c.Outbound.AllowPrivate, NeverRest: true, Now: now})}
	}
	return made, nil
}

// newProber is the table of ways to look.
func newProber(m config.Monitor, s *store.Store, a *alarm, now func() time.Time) (probe.Prober, error) {
	kind := probeKinds[kindOf(m)]
	conditions, err := probe.ParseAll(kind, m.Conditions)
	if err != nil {
		return nil, err
	}
	switch kind {
	case probe.KindHTTP:
		return probe.NewHTTP(probe.HTTPOptions{URL: m.URL, Method: m.Method, Headers: m.Headers, Body: m.Body, Conditions: conditions,
			AllowPrivate: true, Now: now})
	case probe.KindTCP:
		return probe.NewTCP(probe.TCPOptions{Address: m.TCP, Conditions: conditions, AllowPrivate: true, Now: now})
	case probe.KindDNS:
		return probe.NewDNS(probe.DNSOptions{Name: m.DNS.Name, Type: m.DNS.Type, Server: m.DNS.Server, Conditions: conditions, AllowPrivate: true, Now: now})
	case probe.KindDisk:
		return probe.NewDisk(probe.DiskOptions{Path: m.Disk, Conditions: conditions, Now: now})
	case probe.KindHeartbeat:
		rule := probe.Rule{Every: m.Heartbeat.Every, Grace: m.Heartbeat.Grace, Within: m.Heartbeat.Within}
		return probe.NewHeartbeat(probe.HeartbeatOptions{Name: m.Name, Rule: rule, Beats: beats{s}, Conditions: conditions, Now: now,
			Deaf: func() probe.Deaf { return a.runner.Deaf() }})
	}
	return nil, errors.New("it says nothing of what to look at")
}

// probeKinds are the kinds of probes by the key of the configuration.
var probeKinds = map[string]probe.Kind{"url": probe.KindHTTP, "tcp": probe.KindTCP, "dns": probe.KindDNS, "disk": probe.KindDisk,
	"heartbeat": probe.KindHeartbeat}

func kindOf(m config.Monitor) string {
	switch {
	case m.URL != "":
		return "url"
	case m.TCP != "":
		return "tcp"
	case m.DNS != nil:
		return "dns"
	case m.Disk != "":
		return "disk"
	case m.Heartbeat != nil:
		return "heartbeat"
	}
	return ""
}

// WatchRules are what only other packages can judge of a watcher's configuration.
func WatchRules() config.Rules {
	return config.Rules{Condition: func(kind, text string) error {
		_, err := probe.ParseAll(probeKinds[kind], []string{text})
		return err
	}}
}

// beats is the store as a prober asks it.
type beats struct{ *store.Store }

// LastBeat returns what something last reported.
func (b beats) LastBeat(ctx context.Context, name string) (probe.Beat, error) {
	last, err := b.Store.LastBeat(ctx, name)
	return probe.Beat{StartedAt: last.StartedAt, SucceededAt: last.SucceededAt, FailedAt: last.FailedAt, Took: last.Took, Note: last.Note,
		FirstSeen: last.FirstSeenAt}, err
}

func networkProbes(n config.Network, now func() time.Time) ([]probe.Prober, error) {
	var all []probe.Prober
	for _, target := range n.Targets {
		p, err := probe.NewTCP(probe.TCPOptions{Address: target, AllowPrivate: true, Now: now})
		if err != nil {
			return nil, fmt.Errorf("network: %w", err)
		}
		all = append(all, p)
	}
	return all, nil
}

func newCheckout(k config.SyntheticCheckout, c *config.Watch, now func() time.Time) (probe.Prober, error) {
	if c.Server == nil {
		return nil, errors.New("it needs the server section: its address, and the secret that marks a checkout as synthetic")
	}
	way := outbound.New(outbound.Options{Timeout: checkoutTimeout, AllowPrivate: c.Outbound.AllowPrivate, NeverRest: true, Now: now})
	o := synthetic.Options{Shop: c.Server.URL, Secret: c.Server.Secret, Product: k.Product, Live: k.Live, Amount: k.Amount, LineName: k.Name,
		SuccessURL: k.SuccessURL, CancelURL: k.CancelURL, HTTP: way, Now: now}
	switch k.Provider {
	case "stripe":
		o.Desk = synthetic.NewStripe(k.APIKey, "", k.APIBase, way)
	case "paypal":
		o.Desk = synthetic.NewPayPal(k.ClientID, k.APIKey, k.Live, k.APIBase, way)
	default:
		return nil, fmt.Errorf("there is no synthetic checkout for %q", k.Provider)
	}
	return synthetic.New(o)
}

// SmokeTest makes the walk of a configuration. c gives the secret that marks what is bought as synthetic; it may be nil.
func SmokeTest(t config.SmokeTest, c *config.Watch, now func() time.Time) (smoke.Test, error) {
	test := smoke.Test{Timeout: t.Timeout, Now: now}
	for _, page := range t.Pages {
		conditions, err := probe.ParseAll(probe.KindHTTP, page.Conditions)
		if err != nil {
			return test, fmt.Errorf("page %s: %w", page.Path, err)
		}
		p, err := probe.NewHTTP(probe.HTTPOptions{URL: strings.TrimSuffix(t.URL, "/") + page.Path, Conditions: conditions, AllowPrivate: true, Redirects: smokeRedirects, Now: now})
		if err != nil {
			return test, fmt.Errorf("page %s: %w", page.Path, err)
		}
		test.Checks = append(test.Checks, smoke.Check{Name: "GET " + page.Path, Prober: p})
	}
	if t.Click == "" {
		return test, nil
	}
	if len(t.Checkout) == 0 {
		return test, errors.New("the buy button could lead anywhere: say with --checkout, or checkout in the file, at which addresses customers may pay, such as https://checkout.stripe.com/")
	}
	var mark func(*http.Request)
	if c != nil && c.Server != nil {
		mark = synthetic.Marker(c.Server.Secret, now)
	}
	click, err := smoke.NewClick(smoke.ClickOptions{Page: strings.TrimSuffix(t.URL, "/") + t.Click, Button: t.Button, Checkout: t.Checkout, Mark: mark,
		HTTP: outbound.New(outbound.Options{AllowPrivate: true, NeverRest: true, Now: now}), Now: now})
	if err != nil {
		return test, err
	}
	test.Checks = append(test.Checks, smoke.Check{Name: "buy button on " + t.Click, Prober: click})
	return test, nil
}

// smokeRedirects is how many redirects a page may make: from http to https, and to the right host.
const smokeRedirects = 3

// inspections are the server's looks at its own books and providers, and at its watcher.
func inspections(c *config.Config, h *furniture, arrivals inspect.Intake, a *alarm, hearing *watch.Hearing, o Options) []monitor.Monitor {
	folder := ""
	if path, ok := strings.CutPrefix(c.Database, "sqlite:"); ok {
		folder = filepath.Dir(path)
	}
	all := inspect.New(inspect.Options{Store: h.store, Sources: h.sources, Intake: arrivals, Sender: h.sender, PublicURL: c.PublicURL,
		Skews: h.way.Skews, Secrets: o.Secrets, Folder: folder, Overrides: c.Checks, Log: o.Log.With("component", "inspect"), Now: o.Now})
	if hearing != nil {
		all = append(all, a.named("watcher-silent", "", hearing.Silence(), true)...)
		all = append(all, a.named("watcher-blind", "peer", hearing.Blindness(), true)...)
		all = append(all, a.named("watcher-not-independent", "", hearing.Company(), true)...)
		all = append(all, a.named("peer-skew", "", hearing.Skew(), true)...)
		all = append(all, a.named("alerts-unsent", "", hearing.Worry(), true)...)
	}
	return all
}
