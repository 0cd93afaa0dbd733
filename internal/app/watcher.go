package app

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/api"
	"github.com/makegood/makegood/internal/config"
	"github.com/makegood/makegood/internal/inspect"
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
	alarm *alarm
	load  func() (*config.Watch, error)
	path  string
	ends  <-chan struct{} // closed when the program stops

	mu        sync.Mutex
	config    *config.Watch
	beating   *watch.Beating       // nil when there is no server to exchange beats with
	refused   bool                 // the last reading of the configuration
	rests     map[string]time.Time // until when planned drills are not due, by the machine's own time
	reloading sync.Mutex           // one reading of the configuration at a time
	smoking   sync.Mutex           // one smoke test at a time
	drilling  sync.Mutex           // one drill at a time
	simulated func(ctx context.Context, name string) (makegood.DrillResult, error)
	mending   sync.WaitGroup // attempts that a person asked for
}

// WatchPath names the file of a watcher's configuration and reads it anew.
type WatchPath struct {
	Path string
	Load func() (*config.Watch, error)
}

// NewWatcher builds a watcher from a checked configuration. file is read again when it changes while the watcher runs.
func NewWatcher(ctx context.Context, c *config.Watch, file WatchPath, o Options) (_ *Watcher, err error) {
	o.fill()
	ends, end := context.WithCancel(context.Background())
	w := &Watcher{App: newApp(c.Name, &o), config: c, load: file.Load, path: file.Path, ends: ends.Done(), simulated: o.Drill, rests: map[string]time.Time{}}
	w.onClose("what is under way", func(context.Context) error { end(); return nil })
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
	speaking := speakingOf(c, o.Now)
	if file.Path != "" {
		speaking.flags = "--watcher " + file.Path
	}
	if w.alarm, err = newAlarm(ctx, alarmOptions{store: w.Store, telling: c.Telling, speaking: speaking, network: network, holds: w.holds,
		random: o.Random, log: o.Log, metrics: w.Metrics}); err != nil {
		return nil, err
	}
	w.beating = w.newBeating(c)
	if w.healing, err = newHealing(ctx, w.alarm, w.node, w.peer, o); err != nil {
		return nil, err
	}
	w.onClose("what is being mended", func(ctx context.Context) error {
		end()
		return within(ctx, w.mending.Wait)
	})
	targets, err := w.healing.targets(c)
	if err != nil {
		return nil, err
	}
	w.healing.healer.SetTargets(targets)
	monitors, err := w.monitors(ctx, c, w.beating, targets)
	if err != nil {
		return nil, err
	}
	if err := w.alarm.runner.Replace(monitors); err != nil {
		return nil, err
	}
	w.alarm.has = sourcesOf(c)
	w.server = w.newServer(w.routes(o))
	w.server.RegisterOnShutdown(end)
	if w.listener = o.Listener; w.listener == nil {
		if w.listener, err = net.Listen("tcp", c.Listen); err != nil {
			return nil, fmt.Errorf("listen on %s: %w (is another watcher running there?)", c.Listen, err)
		}
	}
	socket := cmp.Or(o.Control, ControlSocket(c.Database))
	if err := w.openControl(socket, watcherSocketRemedy, w.incidents(c).AdminRoutes(), (&api.Drills{Run: w.drillUntilStop}).AdminRoutes(), w.healDesk().AdminRoutes()); err != nil {
		return nil, errors.Join(err, w.listener.Close())
	}
	return w, nil
}

// ControlSocket is where a watcher with this database takes commands.
func ControlSocket(database string) string {
	return strings.TrimPrefix(database, "sqlite:") + ".control"
}

// IsSocketPath reports whether a control socket can stand at a path: systems take no longer ones.
func IsSocketPath(path string) bool { return len(path) <= socketPathMax }

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
	if err := w.mustNotBeServers(ctx); err != nil {
		return err
	}
	if err := w.Store.Migrate(ctx); err != nil {
		return err
	}
	return w.Store.BeRole(ctx, watch.RoleWatcher)
}

// mustNotBeServers refuses a database that has taken in events, which only a server's does. It is asked before the schema is
// brought to our version: the server's own program may be an older one, and could not start on it any more.
func (w *Watcher) mustNotBeServers(ctx context.Context) error {
	events, err := w.Store.Events(ctx, store.EventFilter{Limit: 1})
	if err != nil || len(events) == 0 {
		return nil // there is no such table in a new one; what is broken beyond that, the next step says
	}
	return makegood.Errorf(makegood.Conflict, "This database belongs to a server: it has events of payments. Give the watcher one of its own: what breaks one must not break the other.")
}

// newBeating makes our end of the beats. The one that there is stays as long as nothing of it changes.
func (w *Watcher) newBeating(c *config.Watch) *watch.Beating {
	if c.Server == nil {
		return nil
	}
	now := w.peer()
	if now != nil && now.URL == c.Server.URL && now.Secret.Reveal() == c.Server.Secret.Reveal() && now.Name == c.Name && now.Drill == c.Drill {
		return now
	}
	return &watch.Beating{URL: c.Server.URL, Secret: c.Server.Secret, Store: w.Store, Own: w.alarm.own, Now: w.now,
		HTTP: outbound.New(outbound.Options{Timeout: monitor.DefaultTimeout, AllowPrivate: true, NeverRest: true, Now: w.now}),
		Host: w.alarm.machine.Host(), Name: c.Name, Drill: c.Drill}
}

// peer is our end of the beats; nil when there is no server.
func (w *Watcher) peer() *watch.Beating {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.beating
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
	w.App.background = append(w.App.background, w.followConfiguration, w.healing.healer.Run, w.runDrills)
	return w.App.serve(ctx)
}

const (
	// configurationEvery is how often the configuration file is looked at for a change. One that has just changed is read at
	// the next look, when it has not changed again: somebody may still be writing it.
	configurationEvery = 2 * time.Second
	// configurationAgain is how often one that was refused is read again although it has not changed: a secret in another
	// file, or our own database, may have been the reason.
	configurationAgain = 30 * time.Second
)

// followConfiguration reads the configuration file again when it has changed. What has changed between its first reading and
// now is noticed too, because the first look has nothing to compare with and reads it.
func (w *Watcher) followConfiguration(ctx context.Context) {
	if w.path == "" {
		return
	}
	var read, seen stamp
	readAt := time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(configurationEvery):
		}
		now := stampOf(w.path)
		isQuiet := now == seen
		seen = now
		if isQuiet && now != read || w.isRefused() && time.Since(readAt) >= configurationAgain {
			read, readAt = now, time.Now()
			w.Reload(ctx)
		}
	}
}

// stamp is by what a change of a file is noticed.
type stamp struct {
	at    time.Time
	bytes int64
}

// stampOf is the stamp of a file; zero when it is not there, which Load has the words for.
func stampOf(path string) stamp {
	info, err := os.Stat(path)
	if err != nil {
		return stamp{}
	}
	return stamp{info.ModTime().UTC(), info.Size()}
}

func (w *Watcher) isRefused() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.refused
}

// Reload reads the configuration and takes it over: monitors, the server, channels, escalation and maintenance. One that is
// not good stops nothing: what runs goes on, and there is one incident until it is.
func (w *Watcher) Reload(ctx context.Context) {
	w.reloading.Lock()
	defer w.reloading.Unlock()
	c, err := w.load()
	if err == nil {
		err = w.take(ctx, c)
	}
	if ctx.Err() != nil {
		return // we are stopping, which says nothing of the configuration
	}
	w.mu.Lock()
	w.refused = err != nil
	w.mu.Unlock()
	if err != nil {
		w.log.Error("the configuration is not good; the old one stays in force", "err", err)
		w.alarm.found(ctx, inspect.ConfigurationRefused, "", firstLines(err.Error(), 5))
		return
	}
	w.log.Info("the configuration was read anew", "monitors", len(c.Monitors))
	w.alarm.comesFrom(ctx, sourcesOf(c))
	w.alarm.cleared(ctx, inspect.ConfigurationRefused, "the configuration is good and in force")
}

// sourcesOf are what a watcher has findings of that no look would clear.
func sourcesOf(c *config.Watch) sources {
	return sources{channels: namesOf(c.Channels), smoke: c.Smoke != nil, gone: func(target string) bool {
		return !slices.ContainsFunc(c.Heal.Targets, func(t config.HealTarget) bool { return t.Name == target })
	}}
}

func firstLines(text string, n int) string {
	lines := strings.SplitN(text, "\n", n+1)
	if len(lines) > n {
		lines[n] = "…"
	}
	return strings.Join(lines, "\n")
}

// take swaps everything, after everything was built: one that fails changes nothing.
func (w *Watcher) take(ctx context.Context, c *config.Watch) error {
	beating := w.newBeating(c)
	targets, err := w.healing.targets(c)
	if err != nil {
		return err
	}
	monitors, err := w.monitors(ctx, c, beating, targets)
	if err != nil {
		return err
	}
	teller, err := w.alarm.newTeller(c.Telling, speakingOf(c, w.now))
	if err != nil {
		return err
	}
	if err := w.alarm.runner.Replace(monitors); err != nil {
		return err
	}
	w.alarm.retell(teller, c.Telling)
	w.healing.healer.SetTargets(targets)
	w.mu.Lock()
	was := w.config
	w.config, w.beating = c, beating
	w.mu.Unlock()
	if was.Listen != c.Listen || was.Database != c.Database || was.PublicURL != c.PublicURL || !slices.Equal(was.Network.Targets, c.Network.Targets) {
		w.log.Warn("listen, public_url, database and network change with the next start")
	}
	return nil
}

func (w *Watcher) current() *config.Watch {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.config
}

// smokeWithin bounds a smoke test as a whole. One that takes longer has failed: each step has a limit of its own, and a deploy
// waits.
const smokeWithin = 5 * time.Minute

// Smoke runs the smoke test of the configuration, if it has one; a failure is an incident. It goes on when whoever asked has
// gone away, because a test that was broken off would look like a shop that is broken; only a stop ends it, and then it says
// nothing.
func (w *Watcher) Smoke(ctx context.Context) (*smoke.Result, error) {
	w.smoking.Lock()
	defer w.smoking.Unlock()
	c := w.current()
	if c.Smoke == nil {
		return nil, nil
	}
	test, err := SmokeTest(*c.Smoke, c, w.now)
	if err != nil {
		return nil, err
	}
	ctx, cancel := w.untilStop(ctx, smokeWithin)
	defer cancel()
	r := smoke.Run(ctx, test, nil)
	if w.isStopping() {
		return nil, makegood.Errorf(makegood.Unavailable, "The watcher stops; the test was broken off.")
	}
	w.alarm.judge(context.WithoutCancel(ctx), r)
	return &r, nil
}

// drillUntilStop is Drill for somebody who may go away.
func (w *Watcher) drillUntilStop(ctx context.Context, name, target string) (makegood.DrillResult, error) {
	ctx, cancel := w.untilStop(ctx, drillWithin+5*time.Minute)
	defer cancel()
	return w.Drill(ctx, name, target)
}

// untilStop is a context that outlives whoever asked, but neither its time nor the program.
func (w *Watcher) untilStop(ctx context.Context, limit time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), limit)
	go func() {
		select {
		case <-w.ends:
			cancel()
		case <-ctx.Done():
		}
	}()
	return ctx, cancel
}

func (w *Watcher) isStopping() bool {
	select {
	case <-w.ends:
		return true
	default:
		return false
	}
}

// Once looks at everything until it is sure of it, tells whom it has to, and returns how everything stands. It is for cron
// and runners of CI: nothing stays behind but the database. Heartbeats are left out: nobody listens between two rounds, so
// their silence would say nothing.
func (w *Watcher) Once(ctx context.Context) ([]monitor.Status, error) {
	limited, cancel := context.WithTimeout(ctx, onceWithin)
	defer cancel()
	err := w.leaveOutHeartbeats(limited)
	if err == nil { // no healer runs here, and before the ledger was asked everything that it may mend is held open
		_, err = w.healing.healer.Standing(limited)
	}
	var statuses []monitor.Status
	if err == nil {
		looking, stop := context.WithCancel(limited)
		var running sync.WaitGroup
		running.Go(func() { w.alarm.run(looking) })
		if err = w.settled(limited); err == nil {
			err = w.everybodyTold(limited)
		}
		statuses = w.alarm.runner.Statuses() // while it runs: what is called off at the end says nothing
		stop()
		running.Wait()
	}
	if ctx.Err() != nil {
		err = errors.New("it was stopped before it was sure")
	}
	return statuses, errors.Join(err, w.listener.Close(), w.tearDown(context.WithoutCancel(ctx)))
}

func (w *Watcher) leaveOutHeartbeats(ctx context.Context) error {
	c := *w.current()
	left := len(c.Monitors)
	c.Monitors = slices.DeleteFunc(slices.Clone(c.Monitors), func(m config.Monitor) bool { return m.Heartbeat != nil })
	if left == len(c.Monitors) {
		return nil
	}
	w.log.Warn("heartbeats are not judged in a single round: nobody listens to them between two rounds", "heartbeats", left-len(c.Monitors))
	monitors, err := w.monitors(ctx, &c, w.peer(), w.healing.healer.Targets())
	if err != nil {
		return err
	}
	return w.alarm.runner.Replace(monitors)
}

const (
	// onceWithin bounds a single round: the slowest monitor, its rechecks, and every channel twice.
	onceWithin = 2 * time.Minute
	onceTold   = 30 * time.Second
	onceLook   = 100 * time.Millisecond
)

// settled waits until every monitor is sure of what it sees, and until that is in the record.
func (w *Watcher) settled(ctx context.Context) error {
	for {
		var unsure []string
		open, err := w.Store.OpenIncidents(ctx)
		for _, s := range w.alarm.runner.Statuses() {
			isSure := s.Looks > 0 && s.State != monitor.Blind && (s.Believed == monitor.Up || s.Believed == monitor.Down)
			if !isSure || slices.Contains(open, s.Key) != (s.Believed == monitor.Down) {
				unsure = append(unsure, s.Key)
			}
		}
		if err == nil && len(unsure) == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			if blind, _ := w.alarm.runner.IsBlind(); blind {
				return errors.New("the watcher is blind: none of network.targets can be reached from here, so nothing can be said")
			}
			return fmt.Errorf("after %v this is still unsure: %s", onceWithin, firstOf(unsure, 5))
		case <-time.After(onceLook):
		}
	}
}

func firstOf(list []string, n int) string {
	if len(list) > n {
		return strings.Join(list[:n], ", ") + fmt.Sprintf(" and %d more", len(list)-n)
	}
	return strings.Join(list, ", ")
}

// everybodyTold waits until nothing waits to be told, or longer waiting is of no use.
func (w *Watcher) everybodyTold(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, onceTold)
	defer cancel()
	waiting := map[string]time.Time{}
	for {
		now, err := w.Store.WaitingNotices(ctx)
		switch {
		case err == nil && len(now) == 0:
			return nil
		case err == nil:
			waiting = now
		case ctx.Err() == nil:
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("not everything could be told over %s; the next round goes on", firstOf(slices.Sorted(maps.Keys(waiting)), 5))
		case <-time.After(onceLook):
		}
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

// info is how everything stands. What exactly was seen is left out unless whole: it names machines behind the shop, and quotes
// what jobs say of their failures, which is nothing for strangers.
func (w *Watcher) info(ctx context.Context, whole bool) (Info, error) {
	c, beating := w.current(), w.peer()
	i := Info{Program: "makegood", Role: watch.RoleWatcher, Name: c.Name, Independent: "unknown", Monitors: w.alarm.runner.Statuses()}
	if !whole {
		for k := range i.Monitors {
			i.Monitors[k].Trouble = ""
		}
	}
	if beating != nil {
		i.Server = beating.URL
		_, i.HeardAt = beating.Answer()
		if independent, known := beating.IsIndependent(); known {
			i.Independent = map[bool]string{true: "yes", false: "no"}[independent]
			if !independent && beating.Drill {
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
	beating := w.peer()
	if beating == nil {
		return makegood.Errorf(makegood.NotFound, "This watcher has no server.")
	}
	req, err := http.NewRequest(http.MethodGet, beating.URL+"/api/health", nil)
	if err != nil {
		return err
	}
	resp, err := beating.HTTP.Do(r.Context(), req)
	if err != nil {
		return makegood.Wrap(err, makegood.ProviderFailed, "The server does not answer.")
	}
	if !json.Valid(resp.Body) { // something that stands before it has answered in its place
		return makegood.Errorf(makegood.ProviderFailed, "The server's health cannot be read.")
	}
	rw.Header().Set("Content-Type", "application/json")
	rw.Header().Set("X-Content-Type-Options", "nosniff")
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

const (
	// triggerTogether is how many looks a trigger makes at once, triggerWithin how long it may take with its smoke test.
	triggerTogether = 16
	triggerWithin   = smokeWithin + 2*time.Minute
)

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

// routes lists every URL of a watcher. What a request needs of the configuration it takes from the one in force.
func (w *Watcher) routes(o Options) http.Handler {
	mux := http.NewServeMux()
	proxies := nearProxies()
	limit := func(perMinute int, h api.Handler) api.Handler {
		return api.NewLimiter(perMinute, proxies, o.Now).Limit(h)
	}
	page := w.alarm.page(w.Store, o.Log, refusals(w.Metrics))
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
		{"POST /__trigger", limit(linksPerMinute, w.authorized(w.pullTrigger))},
		{"POST " + watch.LookPath, limit(looksPerMinute, w.answerLook)},
		{"GET /ack/{token}", limit(linksPerMinute, page.Show)},
		{"POST /ack/{token}", limit(linksPerMinute, page.Press)},
		{"POST /notify/{channel}/status", limit(linksPerMinute, w.phoneStatus)},
		{"GET /beat/{token}", limit(beatsPerMinute, w.report)},
		{"POST /beat/{token}", limit(beatsPerMinute, w.report)},
		{"GET /beat/{token}/{kind}", limit(beatsPerMinute, w.report)},
		{"POST /beat/{token}/{kind}", limit(beatsPerMinute, w.report)},

		{"/", elsewhere(mux)},
	} {
		mux.Handle(route.pattern, api.Errors(w.log.With("component", "http"), route.handler))
	}
	return mux
}

const (
	// looksPerMinute is for another watcher that asks for many monitors at once.
	looksPerMinute = 6000
	// beatsPerMinute is for a machine with many jobs, and for a watcher that beats ten times a second.
	beatsPerMinute = 6000
)

// nearProxies are the networks from which a watcher takes the word of a proxy for whose request it is: the machine's own and
// private ones. A watcher stands behind a proxy there, and without its word all the world would share one limit: a stranger
// could use it up, and nobody could acknowledge anything. Who asks from the open network is never believed.
func nearProxies() []netip.Prefix {
	var near []netip.Prefix
	for _, network := range []string{"127.0.0.0/8", "::1/128", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"} {
		near = append(near, netip.MustParsePrefix(network))
	}
	return near
}

// authorized lets pass who has the token of the configuration in force.
func (w *Watcher) authorized(h api.Handler) api.Handler {
	return func(rw http.ResponseWriter, r *http.Request) error {
		return api.Authorized(w.current().Trigger, h)(rw, r)
	}
}

func (w *Watcher) showInfo(rw http.ResponseWriter, r *http.Request) error {
	whole := w.authorized(func(http.ResponseWriter, *http.Request) error { return nil })(rw, r) == nil
	info, err := w.info(r.Context(), whole)
	if err != nil {
		return err
	}
	return api.Answer(rw, info)
}

func (w *Watcher) pullTrigger(rw http.ResponseWriter, r *http.Request) error {
	// The answer may come later than any other; a writer that cannot wait is that of a test.
	_ = http.NewResponseController(rw).SetWriteDeadline(time.Now().Add(triggerWithin + 10*time.Second))
	ctx, cancel := w.untilStop(r.Context(), triggerWithin)
	defer cancel()
	t, err := w.trigger(ctx)
	if err != nil {
		return err
	}
	return api.Answer(rw, t)
}

func (w *Watcher) phoneStatus(rw http.ResponseWriter, r *http.Request) error {
	return w.incidents(w.current()).PhoneStatus(rw, r)
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
		refusals(w.Metrics).With("look").Inc()
		return err
	}
	rw.Header().Set("Content-Type", "application/json")
	rw.Header().Set(watch.LookHeader, signature)
	_, _ = rw.Write(answer) // whoever hangs up asks again
	return nil
}
