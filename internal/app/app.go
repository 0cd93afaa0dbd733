// Package app wires the house: New is one straight line from the configuration to a program that serves. Last built is
// first torn down.
package app

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"sync"
	"time"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/api"
	"github.com/makegood/makegood/internal/config"
	"github.com/makegood/makegood/internal/fulfill"
	"github.com/makegood/makegood/internal/inspect"
	"github.com/makegood/makegood/internal/intake"
	"github.com/makegood/makegood/internal/interpret"
	"github.com/makegood/makegood/internal/mail"
	"github.com/makegood/makegood/internal/outbound"
	"github.com/makegood/makegood/internal/provider"
	"github.com/makegood/makegood/internal/queue"
	"github.com/makegood/makegood/internal/store"
	"github.com/makegood/makegood/internal/telemetry"
	"github.com/makegood/makegood/internal/watch"
	"github.com/makegood/makegood/internal/web"
)

// Options are what the surroundings give. The zero value is what a real server uses.
type Options struct {
	Log        *slog.Logger
	Now        func() time.Time // stamps what is stored; time.Now when nil
	Random     io.Reader        // makes ids; crypto/rand when nil
	Listener   net.Listener     // is served instead of the configured address; for tests
	StopWithin time.Duration    // how long each part may take to stop; makegood.ShutdownTimeout when 0
	Roots      *x509.CertPool   // trusted for PayPal's certificates; nil is the system's
	Store      store.Options    // ways for a test to break the database on cue; Now, Random and Wake are set here
	// Secrets reads the configured secrets anew, so that one that is lost is found before the next start; see
	// inspect.ReadSecrets. nil does not look.
	Secrets func() ([]inspect.Secret, error)
	// NoAlarm leaves out the looks, the timers and the telling, which write in the background: for tests that count commits.
	// What a person does to an incident is written down all the same.
	NoAlarm bool
	// Drill runs a drill in a simulated world, for a watcher whose configuration wants some; nil cannot.
	Drill func(ctx context.Context, name string) (makegood.DrillResult, error)
	// Lookup finds variables of the environment, for a watcher whose source of truth is there; os.LookupEnv when nil.
	Lookup func(string) (string, bool)
	// Control is the control socket of a watcher, beside its database when "".
	Control string
	// Notify is told that the program is ready, lives, and stops, in the words of sd_notify; nil is nobody.
	Notify func(state string)
}

// App is a whole server.
type App struct {
	Store   *store.Store
	Metrics *telemetry.Metrics

	log        *slog.Logger
	node       string
	now        func() time.Time
	notify     func(state string)
	noAlarm    bool
	stopWithin time.Duration
	queue      *queue.Queue
	alarm      *alarm
	healing    *healing // of a server; nil before it is open
	panics     chan panicked
	background []func(ctx context.Context) // what runs beside the server, and ends before anything is torn down
	listener   net.Listener
	server     *http.Server
	cleanups   []cleanup
}

type cleanup struct {
	name string
	do   func(context.Context) error
}

// New builds a server from a checked configuration: when it returns without an error, the database is open and at the
// right version, and the address is bound. What was built before an error is torn down again.
func New(ctx context.Context, c *config.Config, o Options) (_ *App, err error) {
	o.fill()
	a := newApp(c.Node, &o)
	defer func() {
		if err != nil {
			err = errors.Join(err, a.tearDown(context.WithoutCancel(ctx)))
		}
	}()
	h, err := a.furnish(ctx, c, o, a.migrate)
	if err != nil {
		return nil, err
	}

	// The stations.
	arrivals := intake.New(intake.Options{Sources: h.sources, Store: h.revivingStore(), FulfilledWithin: fulfilledWithin(c),
		Now: o.Now, Log: o.Log.With("component", "intake"), Metrics: a.Metrics})
	fulfiller := &fulfill.Fulfiller{Effects: h.effects, Store: a.Store, Terms: h.terms, Now: o.Now,
		Log: o.Log.With("component", "fulfill")}
	seen := &activity{}
	seen.saw(o.Now())
	waited := a.Metrics.Histogram("job_wait_seconds", "Time from when a job could run until it ran.", "kind")
	slow := a.Metrics.Counter("slow_jobs_total", "Runs of jobs that took longer than ten seconds.", "kind")
	if a.queue, err = queue.New(queue.Options{
		Database: h.database,
		Node:     c.Node,
		Work:     map[string]queue.Work{makegood.JobInterpret: h.interpreter.Work, makegood.JobEffect: fulfiller.Work},
		Policy:   c.PolicyOf,
		GiveUp: func(ctx context.Context, d makegood.DeadLetter) error {
			return a.Store.KeepDeadLetter(ctx, d, h.settle)
		},
		Workers: map[string]int{makegood.QueuePayments: c.Workers.Payments, makegood.QueueEffects: c.Workers.Effects},
		Logger:  o.Log.With("component", "queue"),
		Seen: func(kind string, wait time.Duration) {
			seen.saw(o.Now())
			waited.With(kind).Observe(wait)
		},
		Slow: func(ctx context.Context, job makegood.Job, took time.Duration) error {
			slow.With(job.Kind).Inc()
			return a.Store.KeepSlowJob(ctx, job, took)
		},
	}); err != nil {
		return nil, err
	}

	// The faces.
	shop, err := newShop(c, h.sources, a.Store, h.interpreter, a.Metrics, o.Now)
	if err != nil {
		return nil, err
	}
	incidents, err := a.openAlarm(ctx, c, h, arrivals, o)
	if err != nil {
		return nil, err
	}
	if err := a.openHealing(ctx, c, seen, o); err != nil {
		return nil, err
	}
	health := api.NewHealth(newChecks(c, a.Store, h.sources, h.sender, arrivals, incidents.Hearing), o.Now, func(component string, err error) {
		o.Log.Warn("health check failed", "component", "health", "check", component, "err", err)
	})
	desk := h.desk(o)
	incidents.Serve = serveWaiting(desk)
	admin := &api.Admin{Desk: desk, Order: a.Store.Order}
	handler, err := routes(doors{
		log: o.Log.With("component", "http"), limits: c.Limits, now: o.Now, intake: arrivals, shop: shop, health: health,
		ready: a.Store.Ping, metrics: a.Metrics, thanks: &web.Thanks{Pages: web.NewPages(o.Log), Purchase: shop.Purchase},
		admin: admin, token: c.Control.Token, incidents: incidents, acknowledge: a.alarm.page(a.Store, o.Log, refusals(a.Metrics)),
	})
	if err != nil {
		return nil, err
	}
	a.server = a.newServer(handler)
	if a.listener = o.Listener; a.listener == nil {
		if a.listener, err = net.Listen("tcp", c.Listen); err != nil {
			return nil, fmt.Errorf("listen on %s: %w (is another server running there?)", c.Listen, err)
		}
	}
	if err := a.openControl(c.Control.Socket, serverSocketRemedy, admin.Routes(), incidents.AdminRoutes(), a.healing.desk().OwnRoutes()); err != nil {
		return nil, errors.Join(err, a.listener.Close())
	}
	return a, nil
}

// fill puts in what the options leave out.
func (o *Options) fill() {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Random == nil {
		o.Random = rand.Reader
	}
	if o.StopWithin == 0 {
		o.StopWithin = makegood.ShutdownTimeout
	}
	if o.Lookup == nil {
		o.Lookup = os.LookupEnv
	}
	if o.Notify == nil {
		o.Notify = func(string) {}
	}
}

func newApp(name string, o *Options) *App {
	a := &App{node: name, now: o.Now, notify: o.Notify, noAlarm: o.NoAlarm, stopWithin: o.StopWithin, Metrics: telemetry.NewMetrics()}
	o.Log = a.noticePanics(o.Log)
	a.log = o.Log
	a.background = append(a.background, a.tellPanics)
	return a
}

// furniture is what stations and desk stand on.
type furniture struct {
	store       *store.Store
	database    queue.Database
	sources     map[string]provider.Source
	sender      mail.Sender
	way         *outbound.Client // to providers and the mail service
	effects     map[string]fulfill.Effect
	terms       func(keyTaken func(string) bool) makegood.Terms
	interpreter *interpret.Interpreter
}

// furnish opens the database, lets prepare see to its schema, and builds what everything stands on.
func (a *App) furnish(ctx context.Context, c *config.Config, o Options, prepare func(context.Context, queue.Database) error) (*furniture, error) {
	// The store, which wakes a queue that comes later.
	o.Store.Now, o.Store.Random = o.Now, o.Random
	o.Store.Wake = func(name string) {
		if a.alarm != nil {
			a.alarm.woken(name)
		}
		if a.queue != nil && name != store.NoticesWoken && name != store.IncidentsWoken {
			a.queue.Wake(name)
		}
	}
	var err error
	if a.Store, err = store.Open(ctx, c.Database, o.Store); err != nil {
		return nil, err
	}
	a.onClose("store", func(context.Context) error { return a.Store.Close() })
	h := &furniture{store: a.Store, database: queue.Database{Postgres: a.Store.Postgres()}}
	h.database.SQLiteWriter, h.database.SQLiteReader = a.Store.SQLite()
	if err := prepare(ctx, h.database); err != nil {
		return nil, err
	}
	changed := a.watchDestinations(c)
	way := outbound.New(outbound.Options{Timeout: c.Outbound.Timeout, AllowPrivate: c.Outbound.AllowPrivate,
		MaxIdlePerHost: c.Workers.Payments + c.Workers.Effects, Changed: changed, Now: o.Now})
	a.onClose("outbound", func(context.Context) error { way.CloseIdle(); return nil })
	h.way = way
	if h.sources, err = newSources(c, way, o); err != nil {
		return nil, err
	}
	if h.sender, err = newSender(c.Mail, way, o.Now); err != nil {
		return nil, err
	}
	if h.effects, err = newEffects(c, h.sender, o.Now, changed); err != nil {
		return nil, err
	}
	if h.terms, err = newTerms(c, h.sources, h.effects, o); err != nil {
		return nil, err
	}
	h.interpreter = &interpret.Interpreter{Sources: h.sources, Store: a.Store, Terms: h.terms}
	return h, nil
}

// migrate brings the schema to the newest version, the queue's included. A watcher's database is refused before it gets a
// queue.
func (a *App) migrate(ctx context.Context, db queue.Database) error {
	if err := a.Store.Migrate(ctx); err != nil {
		return err
	}
	if err := a.Store.BeRole(ctx, watch.RoleServer); err != nil {
		return err
	}
	return queue.Migrate(ctx, db)
}

// settle settles an order whose facts did not change: no key is derived, so none can be taken.
func (h *furniture) settle(o *makegood.Order) []makegood.Entry {
	return o.Settle(h.terms(func(string) bool { return false }))
}

func (a *App) newServer(h http.Handler) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       30 * time.Second,
		WriteTimeout:      60 * time.Second,
		IdleTimeout:       120 * time.Second,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(a.log.Handler(), slog.LevelDebug),
	}
}

// waiting names the jobs that a destination's trouble leaves behind.
type waiting struct{ source, step string }

// watchDestinations returns what hears that the other side of a call begins to rest, or is well again. Then the jobs that
// failed because of it run now, and not only when their patience says; at most once in a while, because each run is one of
// their attempts.
func (a *App) watchDestinations(c *config.Config) func(target string, resting bool) {
	jobs := map[string][]waiting{}
	add := func(address string, w waiting) {
		if u, err := url.Parse(address); err == nil && address != "" {
			jobs[u.Scheme+"://"+u.Host] = append(jobs[u.Scheme+"://"+u.Host], w)
		}
	}
	for _, s := range c.Sources {
		add(s.APIBase, waiting{source: s.Name})
	}
	if c.Mail.Resend != nil {
		add(c.Mail.Resend.APIBase, waiting{step: makegood.EffectEmail})
	}
	for _, f := range c.Forwards {
		add(f.URL, waiting{step: makegood.TellingStep(f.Name, 1)})
	}
	var mu sync.Mutex
	hurried := map[string]time.Time{}
	return func(target string, resting bool) {
		if resting {
			a.log.Warn("destination does not answer and is left alone for a moment", "target", target)
			return
		}
		a.log.Info("destination is well again", "target", target)
		mu.Lock()
		defer mu.Unlock()
		if time.Since(hurried[target]) < hurryEvery {
			return
		}
		hurried[target] = time.Now()
		go a.hurry(jobs[target])
	}
}

func (a *App) hurry(jobs []waiting) {
	ctx, cancel := context.WithTimeout(context.Background(), hurryWithin)
	defer cancel()
	for _, j := range jobs {
		if n, err := a.Store.HurryFailedJobs(ctx, j.source, j.step); err != nil {
			a.log.Warn("failed jobs wait for their usual time", "err", err)
		} else if n > 0 {
			a.log.Info("what failed there runs now", "source", j.source, "step", j.step, "jobs", n)
		}
	}
}

const (
	// hurryEvery keeps a destination that is well and ill by turns from using up the attempts of its jobs: 100 of them last
	// for more than three days of such turns.
	hurryEvery = 45 * time.Minute
	// hurryWithin bounds the bringing forward.
	hurryWithin = 10 * time.Second
)

// Addr is where the server listens.
func (a *App) Addr() net.Addr { return a.listener.Addr() }

// Run serves until ctx ends, then stops in good order: no new requests, the running ones answered, the running jobs
// finished, the store closed. It is called once.
func (a *App) Run(ctx context.Context) error {
	stopping := context.WithoutCancel(ctx)
	// Jobs of a process that was killed run again now instead of after the rescuer's half minute.
	released, err := a.Store.ReleaseRunningJobs(stopping, a.node)
	if err == nil {
		if released > 0 {
			a.log.Info("jobs of a killed process run again", "jobs", released)
		}
		err = a.queue.Start(stopping)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("start the queue: %w", err), a.listener.Close(), a.tearDown(stopping))
	}
	a.onClose("queue", a.queue.Stop)
	return a.serve(ctx)
}

// serve answers, looks and tells until ctx ends, then tears everything down.
func (a *App) serve(ctx context.Context) error {
	stopping := context.WithoutCancel(ctx)
	behind, stop := context.WithCancel(stopping)
	var background sync.WaitGroup
	if a.alarm != nil && !a.noAlarm {
		background.Go(func() { a.alarm.run(behind) })
	}
	for _, run := range append(a.background, a.live) {
		background.Go(func() { run(behind) })
	}
	a.onClose("alarm", func(ctx context.Context) error {
		stop()
		return within(ctx, background.Wait)
	})

	var err error
	served := make(chan error, 1)
	go func() { served <- a.server.Serve(a.listener) }()
	a.onClose("server", a.server.Shutdown)
	a.log.Info("ready", "addr", a.Addr().String(), "engine", a.Store.Engine())
	a.notify("READY=1")
	select {
	case <-ctx.Done():
	case err = <-served:
		err = fmt.Errorf("serve: %w", err)
	}
	a.notify("STOPPING=1")
	return errors.Join(err, a.tearDown(stopping))
}

// within waits for something that has been told to end, as long as ctx allows: what hangs must not hang the stop.
func within(ctx context.Context, wait func()) error {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		wait()
	}()
	select {
	case <-ended:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// liveEvery is how often a supervisor hears that we live; its WatchdogSec should be at least twice as long.
const liveEvery = 5 * time.Second

// live tells the supervisor that we live while the store answers: a process that hangs on its database is worth a restart,
// and one whose database is away says so by its health.
func (a *App) live(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(liveEvery):
		}
		asking, cancel := context.WithTimeout(ctx, liveEvery)
		_ = a.Store.Ping(asking) // its error has a check of its own; what matters here is that it came back
		cancel()
		a.notify("WATCHDOG=1")
	}
}

func (a *App) onClose(name string, do func(context.Context) error) {
	a.cleanups = append(a.cleanups, cleanup{name, do})
}

// tearDown undoes what was built, last first, each within its share of the time.
func (a *App) tearDown(ctx context.Context) error {
	var errs []error
	for len(a.cleanups) > 0 {
		last := a.cleanups[len(a.cleanups)-1]
		a.cleanups = a.cleanups[:len(a.cleanups)-1]
		bounded, cancel := context.WithTimeout(ctx, a.stopWithin)
		if err := last.do(bounded); err != nil {
			errs = append(errs, fmt.Errorf("close %s: %w", last.name, err))
		}
		cancel()
	}
	return errors.Join(errs...)
}
