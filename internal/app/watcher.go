package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/api"
	"github.com/makegood/makegood/internal/config"
	"github.com/makegood/makegood/internal/monitor"
	"github.com/makegood/makegood/internal/outbound"
	"github.com/makegood/makegood/internal/smoke"
	"github.com/makegood/makegood/internal/store"
	"github.com/makegood/makegood/internal/watch"
)

// Watcher is the second pair of eyes: a process of its own, meant for another machine, with its own database and credentials.
// It needs nothing of the server to be alive.
type Watcher struct {
	*App
	alarm   *alarm
	beating *watch.Beating // nil when there is no server to exchange beats with
	load    func() (*config.Watch, error)

	mu      sync.Mutex
	config  *config.Watch
	stamp   time.Time // of the configuration file, when it was read last
	path    string
	smoking sync.Mutex // one smoke test at a time
}

// WatchPath names the file of a watcher's configuration and reads it anew.
type WatchPath struct {
	Path string
	Load func() (*config.Watch, error)
}

// NewWatcher builds a watcher from a checked configuration. file is read again when it changes while the watcher runs.
func NewWatcher(ctx context.Context, c *config.Watch, file WatchPath, o Options) (_ *Watcher, err error) {
	o.fill()
	w := &Watcher{App: newApp(c.Name, &o), config: c, load: file.Load, path: file.Path}
	defer func() {
		if err != nil {
			err = errors.Join(err, w.tearDown(context.WithoutCancel(ctx)))
		}
	}()
	if err := w.openStore(ctx, c.Database, o); err != nil {
		return nil, err
	}
	network, err := networkProbes(c.Network, o.Now)
	if err != nil {
		return nil, err
	}
	if w.alarm, err = newAlarm(ctx, alarmOptions{store: w.Store, telling: c.Telling, speaking: speakingOf(c, o.Now), network: network,
		random: o.Random, log: o.Log, metrics: w.Metrics}); err != nil {
		return nil, err
	}
	if c.Server != nil {
		w.beating = &watch.Beating{URL: c.Server.URL, Secret: c.Server.Secret, Store: w.Store, Own: w.alarm.own, Now: o.Now,
			HTTP: outbound.New(outbound.Options{Timeout: monitor.DefaultTimeout, AllowPrivate: true, NeverRest: true, Now: o.Now}),
			Host: w.alarm.machine.Host(), Name: c.Name, Drill: c.Drill}
	}
	monitors, err := w.monitors(ctx, c)
	if err != nil {
		return nil, err
	}
	if err := w.alarm.runner.Replace(monitors); err != nil {
		return nil, err
	}
	handler, err := w.routes(c, o)
	if err != nil {
		return nil, err
	}
	w.server = w.newServer(handler)
	if w.listener = o.Listener; w.listener == nil {
		if w.listener, err = net.Listen("tcp", c.Listen); err != nil {
			return nil, fmt.Errorf("listen on %s: %w (is another watcher running there?)", c.Listen, err)
		}
	}
	if err := w.openControl(ControlSocket(c.Database), w.incidents(c).AdminRoutes()); err != nil {
		return nil, errors.Join(err, w.listener.Close())
	}
	return w, nil
}

// ControlSocket is where a watcher with this database takes commands.
func ControlSocket(database string) string {
	return strings.TrimPrefix(database, "sqlite:") + ".control"
}

func speakingOf(c *config.Watch, now func() time.Time) speaking {
	return speaking{name: c.Name, publicURL: c.PublicURL, mail: c.Mail, allowPrivate: c.Outbound.AllowPrivate, now: now}
}

// openStore opens the watcher's own database. One that belongs to a server is refused.
func (w *Watcher) openStore(ctx context.Context, url string, o Options) (err error) {
	o.Store.Now, o.Store.Random = o.Now, o.Random
	o.Store.Wake = func(what string) {
		if w.alarm != nil {
			w.alarm.woken(what)
		}
	}
	if w.Store, err = store.Open(ctx, url, o.Store); err != nil {
		return err
	}
	w.onClose("store", func(context.Context) error { return w.Store.Close() })
	if err := w.Store.Migrate(ctx); err != nil {
		return err
	}
	return w.Store.BeRole(ctx, watch.RoleWatcher)
}

func (w *Watcher) incidents(c *config.Watch) *api.Incidents {
	tokens := map[string]string{}
	for _, m := range c.Monitors {
		if m.Heartbeat != nil {
			tokens[m.Heartbeat.Token.Reveal()] = m.Name
		}
	}
	return &api.Incidents{Desk: w.alarm.desk, Beats: tokens, KeepBeat: w.Store.KeepBeat, Phones: phonesOf(c.Channels), PublicURL: c.PublicURL,
		Refused: refusals(w.Metrics), TestChannel: func(ctx context.Context, channel string) (string, error) { return w.alarm.current().Test(ctx, channel) }}
}

// Run watches until ctx ends.
func (w *Watcher) Run(ctx context.Context) error {
	w.App.alarm = w.alarm
	w.App.background = append(w.App.background, w.followConfiguration)
	return w.App.serve(ctx)
}

// configurationEvery is how often the configuration file is looked at for a change.
const configurationEvery = 2 * time.Second

// followConfiguration reads the configuration file again when it has changed.
func (w *Watcher) followConfiguration(ctx context.Context) {
	if w.path == "" {
		return
	}
	w.stamp = stampOf(w.path)
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(configurationEvery):
		}
		if stamp := stampOf(w.path); !stamp.Equal(w.stamp) {
			w.stamp = stamp
			w.Reload(ctx)
		}
	}
}

// stampOf is when a file was changed; zero when it is not there, which Load has the words for.
func stampOf(path string) time.Time {
	info, err := os.Stat(path)
	if err != nil {
		return time.Time{}
	}
	return info.ModTime()
}

// Reload reads the configuration and takes it over: monitors, channels, escalation and maintenance. One that is not good
// stops nothing: what runs goes on, and there is one incident until it is.
func (w *Watcher) Reload(ctx context.Context) {
	c, err := w.load()
	if err == nil {
		err = w.take(ctx, c)
	}
	if err != nil {
		w.log.Error("the configuration is not good; the old one stays in force", "err", err)
		w.alarm.found(ctx, "configuration-refused", "", firstLines(err.Error(), 5))
		return
	}
	w.log.Info("the configuration was read anew", "monitors", len(c.Monitors))
	w.alarm.cleared(ctx, "configuration-refused", "the configuration is good and in force")
}

func firstLines(text string, n int) string {
	lines := strings.SplitN(text, "\n", n+1)
	if len(lines) > n {
		lines[n] = "…"
	}
	return strings.Join(lines, "\n")
}

// take swaps everything at once, after everything was built.
func (w *Watcher) take(ctx context.Context, c *config.Watch) error {
	monitors, err := w.monitors(ctx, c)
	if err != nil {
		return err
	}
	if err := w.alarm.retell(c.Telling, speakingOf(c, w.now)); err != nil {
		return err
	}
	w.mu.Lock()
	was := w.config
	w.config = c
	w.mu.Unlock()
	if was.Listen != c.Listen || was.Database != c.Database || was.Name != c.Name || was.PublicURL != c.PublicURL {
		w.log.Warn("name, listen, public_url and database change with the next start")
	}
	return w.alarm.runner.Replace(monitors)
}

func (w *Watcher) current() *config.Watch {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.config
}

// Smoke runs the smoke test of the configuration, if it has one; a failure is an incident.
func (w *Watcher) Smoke(ctx context.Context) (*smoke.Result, error) {
	c := w.current()
	if c.Smoke == nil {
		return nil, nil
	}
	w.smoking.Lock()
	defer w.smoking.Unlock()
	test, err := SmokeTest(*c.Smoke, c, w.now)
	if err != nil {
		return nil, err
	}
	r := smoke.Run(ctx, test, nil)
	if r.OK() {
		w.alarm.cleared(ctx, "smoke-failed", "every step passed")
		return &r, nil
	}
	var failed []string
	for _, step := range r.Steps {
		if !step.OK {
			failed = append(failed, step.Name+": "+step.Trouble)
		}
	}
	w.alarm.found(ctx, "smoke-failed", "", strings.Join(failed, "\n"))
	return &r, nil
}

// Once looks at everything until it is sure of it, tells whom it has to, and returns how everything stands. It is for cron
// and runners of CI: nothing stays behind but the database.
func (w *Watcher) Once(ctx context.Context) ([]monitor.Status, error) {
	ctx, cancel := context.WithTimeout(ctx, onceWithin)
	defer cancel()
	looking, stop := context.WithCancel(ctx)
	var running sync.WaitGroup
	running.Go(func() { w.alarm.run(looking) })
	err := w.settled(ctx)
	if err == nil {
		err = w.everybodyTold(ctx)
	}
	stop()
	running.Wait()
	statuses := w.alarm.runner.Statuses()
	return statuses, errors.Join(err, w.listener.Close(), w.tearDown(context.WithoutCancel(ctx)))
}

const (
	// onceWithin bounds a single round: the slowest monitor, its rechecks, and every channel twice.
	onceWithin = 2 * time.Minute
	onceTold   = 30 * time.Second
	onceLook   = 100 * time.Millisecond
)

// settled waits until every monitor is sure of what it sees.
func (w *Watcher) settled(ctx context.Context) error {
	for {
		unsure := 0
		for _, s := range w.alarm.runner.Statuses() {
			if s.State == monitor.Pending || s.State == monitor.Suspect || s.State == monitor.Recovering {
				unsure++
			}
		}
		if unsure == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%d monitors are still unsure after %v", unsure, onceWithin)
		case <-time.After(onceLook):
		}
	}
}

// everybodyTold waits until nothing waits to be told, or longer waiting is of no use.
func (w *Watcher) everybodyTold(ctx context.Context) error {
	deadline := time.Now().Add(onceTold)
	time.Sleep(onceLook) // what was seen last is written down by now
	for {
		waiting, err := w.Store.WaitingNotices(ctx)
		if err != nil || len(waiting) == 0 {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%d channels could not be told everything; the next run goes on", len(waiting))
		}
		time.Sleep(onceLook)
	}
}

// Info is what GET / tells.
type Info struct {
	Program     string           `json:"program"`
	Role        string           `json:"role"`
	Name        string           `json:"name"`
	Independent string           `json:"independent"` // yes, no, drill or unknown
	Server      string           `json:"server,omitempty"`
	HeardAt     time.Time        `json:"server_heard_at,omitzero"`
	Blind       bool             `json:"blind"`
	Incidents   []string         `json:"open_incidents"`
	UnsentSince time.Time        `json:"unsent_since,omitzero"`
	Monitors    []monitor.Status `json:"monitors"`
}

func (w *Watcher) info(ctx context.Context) (Info, error) {
	c := w.current()
	i := Info{Program: "makegood", Role: watch.RoleWatcher, Name: c.Name, Independent: "unknown", Monitors: w.alarm.runner.Statuses()}
	if w.beating != nil {
		i.Server = c.Server.URL
		_, i.HeardAt = w.beating.Answer()
		if independent, known := w.beating.IsIndependent(); known {
			i.Independent = map[bool]string{true: "yes", false: "no"}[independent]
			if !independent && c.Drill {
				i.Independent = "drill"
			}
		}
	}
	i.Blind, _ = w.alarm.runner.IsBlind()
	var err error
	if i.Incidents, err = w.Store.OpenIncidents(ctx); err != nil {
		return i, err
	}
	i.Incidents = append([]string{}, i.Incidents...)
	i.UnsentSince, err = w.Store.OldestUnsent(ctx, w.now())
	return i, err
}

// health is the server's own health, as it is seen from here.
func (w *Watcher) health(rw http.ResponseWriter, r *http.Request) error {
	c := w.current()
	if c.Server == nil {
		return makegood.Errorf(makegood.NotFound, "This watcher has no server.")
	}
	req, err := http.NewRequest(http.MethodGet, c.Server.URL+"/api/health", nil)
	if err != nil {
		return err
	}
	resp, err := w.beating.HTTP.Do(r.Context(), req)
	if err != nil {
		return makegood.Wrap(err, makegood.ProviderFailed, "The server does not answer.")
	}
	rw.Header().Set("Content-Type", "application/json")
	rw.Header().Set("Cache-Control", "no-store")
	rw.WriteHeader(resp.Status)
	_, _ = rw.Write(resp.Body) // a reader who hangs up is no error of ours
	return nil
}

// Triggered is the answer of POST /__trigger.
type Triggered struct {
	Monitors []monitor.Status `json:"monitors"`
	Smoke    *smoke.Result    `json:"smoke,omitempty"`
	OK       bool             `json:"ok"`
}

// triggerTogether is how many looks a trigger makes at once.
const triggerTogether = 16

// trigger takes the full path by hand: looks at everything now, and runs the smoke test. What is red becomes an incident as
// always, after its rechecks.
func (w *Watcher) trigger(ctx context.Context) (Triggered, error) {
	places := make(chan struct{}, triggerTogether)
	var looks sync.WaitGroup
	for _, s := range w.alarm.runner.Statuses() {
		places <- struct{}{}
		looks.Go(func() {
			defer func() { <-places }()
			if _, err := w.alarm.runner.LookNow(ctx, s.Key); err != nil {
				w.log.Debug("a monitor was not looked at", "monitor", s.Key, "err", err)
			}
		})
	}
	looks.Wait()
	t := Triggered{Monitors: w.alarm.runner.Statuses(), OK: true}
	for _, s := range t.Monitors {
		t.OK = t.OK && s.Trouble == ""
	}
	var err error
	if t.Smoke, err = w.Smoke(ctx); err != nil {
		return t, err
	}
	t.OK = t.OK && (t.Smoke == nil || t.Smoke.OK())
	return t, nil
}

// routes lists every URL of a watcher.
func (w *Watcher) routes(c *config.Watch, o Options) (http.Handler, error) {
	mux := http.NewServeMux()
	limit := func(perMinute int, h api.Handler) api.Handler { return api.NewLimiter(perMinute, nil, o.Now).Limit(h) }
	incidents, page := w.incidents(c), w.alarm.page(w.Store, o.Log, refusals(w.Metrics))
	for _, route := range []struct {
		pattern string
		handler api.Handler
	}{
		// Anybody: nothing in the answers is secret.
		{"GET /{$}", limit(linksPerMinute, w.showInfo)},
		{"GET /__health", limit(linksPerMinute, w.health)},
		{"GET /livez", live},
		{"GET /metrics", doors{metrics: w.Metrics}.showMetrics},

		// Whoever proves himself: by the control token, a signature, or a token in the address.
		{"POST /__trigger", limit(linksPerMinute, api.Authorized(c.Trigger, w.pullTrigger))},
		{"POST " + watch.LookPath, limit(looksPerMinute, w.answerLook)},
		{"GET /ack/{token}", limit(linksPerMinute, page.Show)},
		{"POST /ack/{token}", limit(linksPerMinute, page.Press)},
		{"POST /notify/{channel}/status", limit(linksPerMinute, incidents.PhoneStatus)},
		{"GET /beat/{token}", limit(beatsPerMinute, w.report)},
		{"POST /beat/{token}", limit(beatsPerMinute, w.report)},
		{"GET /beat/{token}/{kind}", limit(beatsPerMinute, w.report)},
		{"POST /beat/{token}/{kind}", limit(beatsPerMinute, w.report)},

		{"/", elsewhere(mux)},
	} {
		mux.Handle(route.pattern, api.Errors(w.log.With("component", "http"), route.handler))
	}
	return mux, nil
}

const (
	// looksPerMinute is for another watcher that asks for many monitors at once.
	looksPerMinute = 6000
	// beatsPerMinute is for a machine with many jobs.
	beatsPerMinute = 6000
)

func (w *Watcher) showInfo(rw http.ResponseWriter, r *http.Request) error {
	info, err := w.info(r.Context())
	if err != nil {
		return err
	}
	return api.Answer(rw, info)
}

func (w *Watcher) pullTrigger(rw http.ResponseWriter, r *http.Request) error {
	t, err := w.trigger(r.Context())
	if err != nil {
		return err
	}
	return api.Answer(rw, t)
}

// report takes reports under the tokens of the configuration that is in force now.
func (w *Watcher) report(rw http.ResponseWriter, r *http.Request) error {
	name, err := w.incidents(w.current()).Report(rw, r)
	if err == nil { // so that it is seen at once, and not at the next look
		if _, err := w.alarm.runner.LookNow(r.Context(), makegood.FindingKey(MonitorCheck, name)); err != nil {
			w.log.Debug("a heartbeat was not looked at", "monitor", name, "err", err)
		}
	}
	return err
}

func (w *Watcher) answerLook(rw http.ResponseWriter, r *http.Request) error {
	c := w.current()
	if c.Vantage == nil {
		return makegood.Errorf(makegood.NotFound, "This watcher takes no looks for others.")
	}
	body, err := io.ReadAll(http.MaxBytesReader(rw, r.Body, watch.BeatBytesMax))
	if err != nil {
		return makegood.Wrap(err, makegood.TooLarge, "This is too long for a question.")
	}
	answer, signature, err := watch.AnswerLook(r.Context(), c.Vantage.Secret, body, r.Header.Get(watch.LookHeader), w.now(), w.alarm.runner.Peek)
	if err != nil {
		return err
	}
	rw.Header().Set("Content-Type", "application/json")
	rw.Header().Set(watch.LookHeader, signature)
	_, _ = rw.Write(answer) // whoever hangs up asks again
	return nil
}
