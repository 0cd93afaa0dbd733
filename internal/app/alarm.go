package app

import (
	"cmp"
	"context"
	"crypto/rand"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/api"
	"github.com/makegood/makegood/internal/config"
	"github.com/makegood/makegood/internal/inspect"
	"github.com/makegood/makegood/internal/monitor"
	"github.com/makegood/makegood/internal/notify"
	"github.com/makegood/makegood/internal/probe"
	"github.com/makegood/makegood/internal/secret"
	"github.com/makegood/makegood/internal/store"
	"github.com/makegood/makegood/internal/telemetry"
	"github.com/makegood/makegood/internal/watch"
	"github.com/makegood/makegood/internal/web"
)

// alarm is what looks, keeps the record and tells people: the same in server and watcher, each with its own.
type alarm struct {
	o       alarmOptions
	desk    *watch.Desk
	runner  *monitor.Runner
	keeper  *watch.Timekeeper
	links   notify.Links
	machine *watch.Machine

	wake    chan struct{} // for the desk
	mu      sync.Mutex
	teller  *notify.Teller
	has     sources
	restart chan struct{} // the teller is another one
}

// sources are what has findings that no look would ever clear: only its own next word does.
type sources struct {
	channels []string
	smoke    bool
	// gone reports whether a target is mended here no more, though it may have been before; nil is that none is.
	gone func(target string) bool
}

type alarmOptions struct {
	store     *store.Store
	telling   config.Telling
	speaking  speaking
	overrides []config.CheckOverride
	holds     func(key string) bool // see watch.Options
	network   []probe.Prober
	random    io.Reader
	log       *slog.Logger
	metrics   *telemetry.Metrics
}

// linkKeyName is under which the database keeps what signs the links in messages.
const linkKeyName = "link-key"

// newAlarm builds the alarm. It looks at nothing before run.
func newAlarm(ctx context.Context, o alarmOptions) (*alarm, error) {
	a := &alarm{o: o, machine: watch.NewMachine(), wake: make(chan struct{}, 1), restart: make(chan struct{}, 1)}
	key, err := o.store.HouseValue(ctx, linkKeyName, rand.Text)
	if err != nil {
		return nil, err
	}
	a.links = notify.Links{Base: o.speaking.publicURL, Key: secret.New(key), Flags: o.speaking.flags}
	a.desk = watch.NewDesk(watch.Options{Store: o.store, Escalation: o.telling.Escalation, Channels: namesOf(o.telling.Channels),
		Maintenance: silencesOf(o.telling.Maintenance), Now: o.speaking.now, NewID: a.newID, Log: o.log.With("component", "incidents"),
		Holds: o.holds})
	a.has = sources{channels: namesOf(o.telling.Channels)}
	a.keeper = &watch.Timekeeper{Store: o.store, Clock: a.machine, Log: o.log.With("component", "clock")}
	if a.teller, err = a.newTeller(o.telling, o.speaking); err != nil {
		return nil, err
	}
	open, err := o.store.OpenIncidents(ctx)
	if err != nil {
		return nil, err
	}
	a.runner = monitor.New(monitor.Options{Ledger: a.desk, Now: o.speaking.now, Log: o.log.With("component", "monitor"), Network: o.network,
		Maintained: a.desk.IsMaintained, Open: looked(open), Metrics: o.metrics})
	return a, nil
}

// told are the checks whose findings come from elsewhere than the runner, which must not clear them.
var told = map[string]bool{inspect.AlertChannelDown: true, inspect.ConfigurationRefused: true, inspect.SmokeFailed: true, inspect.Panic: true,
	inspect.HealRefused: true, inspect.HealFailed: true, inspect.Healed: true, inspect.DrillFailed: true}

// looked are the keys of incidents that the runner found.
func looked(keys []string) []string {
	var list []string
	for _, key := range keys {
		if check, _, _ := strings.Cut(key, "/"); !told[check] {
			list = append(list, key)
		}
	}
	return list
}

func (a *alarm) newID(prefix string) string {
	return makegood.NewID(prefix, a.o.speaking.now(), a.o.random)
}

func (a *alarm) newTeller(t config.Telling, s speaking) (*notify.Teller, error) {
	channels, err := newChannels(t.Channels, s)
	if err != nil {
		return nil, err
	}
	return notify.NewTeller(notify.Options{Outbox: a.o.store, Channels: channels, Escalation: t.Escalation, Links: a.links, Now: s.now,
		NewID: a.newID, Log: a.o.log.With("component", "notify"), Metrics: a.o.metrics, Ill: a.channelIs}), nil
}

// channelIs makes a broken channel an incident of its own: it is told over the others.
func (a *alarm) channelIs(ctx context.Context, channel, trouble string) {
	if trouble == "" {
		a.cleared(ctx, makegood.FindingKey(inspect.AlertChannelDown, channel), "it took a message")
		return
	}
	a.found(ctx, inspect.AlertChannelDown, channel, trouble)
}

// found records what is found elsewhere than by a look. That it cannot be recorded is logged: the next word of it repeats
// it, or the database's own check is red.
func (a *alarm) found(ctx context.Context, code, subject, detail string) {
	a.foundAs(ctx, code, subject, detail, "")
}

// foundAs is found with another priority than the check's; "" is the check's.
func (a *alarm) foundAs(ctx context.Context, code, subject, detail string, p makegood.Priority) {
	check, ok := inspect.Lookup(code, a.o.overrides)
	if !ok {
		return // switched off
	}
	check.Priority = cmp.Or(p, check.Priority)
	f := makegood.Finding{Check: code, Subject: subject, Priority: check.Priority, Title: check.Title, Detail: detail, Means: check.Means, Since: a.o.speaking.now()}
	if err := a.desk.Found(ctx, f); err != nil && ctx.Err() == nil {
		a.o.log.Error("a finding cannot be kept", "check", code, "subject", subject, "err", err)
	}
}

func (a *alarm) cleared(ctx context.Context, key, why string) {
	if err := a.desk.Cleared(ctx, key, why); err != nil && ctx.Err() == nil {
		a.o.log.Error("the end of a finding cannot be kept", "incident", key, "err", err)
	}
}

// woken is told what the store committed; see store.Options.Wake.
func (a *alarm) woken(what string) {
	switch what {
	case store.NoticesWoken:
		a.mu.Lock()
		defer a.mu.Unlock()
		if a.teller != nil {
			a.teller.Wake()
		}
	case store.IncidentsWoken:
		select {
		case a.wake <- struct{}{}:
		default: // it will look anyway
		}
	}
}

// retell changes the channels and the escalation while it runs, to those of a teller that newTeller made of them: the outbox
// stays as it is, and the new teller goes on.
func (a *alarm) retell(teller *notify.Teller, t config.Telling) {
	a.desk.Retell(t.Escalation, namesOf(t.Channels), silencesOf(t.Maintenance))
	a.mu.Lock()
	a.teller = teller
	a.mu.Unlock()
	select {
	case a.restart <- struct{}{}:
	default: // one restart takes the newest
	}
}

func (a *alarm) current() *notify.Teller {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.teller
}

// run looks, climbs and tells until ctx ends, and returns when all of it has stopped.
func (a *alarm) run(ctx context.Context) {
	a.settle(ctx)
	var all sync.WaitGroup
	all.Go(func() { a.runner.Run(ctx) })
	all.Go(func() { a.desk.Run(ctx, a.wake, a.keeper) })
	all.Go(func() { a.tell(ctx) })
	all.Wait()
}

// tell runs the teller, and the next one when there is another. The one before finishes what it is sending meanwhile: a
// channel that hangs keeps no other waiting. That both look into one outbox for a moment does no harm, because each notice is
// claimed by one of them.
func (a *alarm) tell(ctx context.Context) {
	var all sync.WaitGroup
	defer all.Wait()
	var last *notify.Teller
	stop := func() {}
	for ctx.Err() == nil {
		if t := a.current(); t != last {
			stop()
			telling, end := context.WithCancel(ctx)
			last, stop = t, end
			all.Go(func() { t.Run(telling) })
		}
		select {
		case <-ctx.Done():
		case <-a.restart:
		}
	}
	stop()
}

// comesFrom changes what there is that has findings of its own, and ends the incidents of what is gone.
func (a *alarm) comesFrom(ctx context.Context, has sources) {
	a.mu.Lock()
	a.has = has
	a.mu.Unlock()
	a.settle(ctx)
}

// settle ends the incidents that nobody could ever find over: of a channel, a smoke test or a target that was taken out of the
// configuration, and of a configuration that was refused before the program was started with a good one.
func (a *alarm) settle(ctx context.Context) {
	a.mu.Lock()
	has := a.has
	a.mu.Unlock()
	open, err := a.o.store.OpenIncidents(ctx)
	if err != nil && ctx.Err() == nil {
		a.o.log.Warn("incidents of what is not configured any more stay open", "err", err)
	}
	for _, key := range open {
		check, subject, _ := strings.Cut(key, "/")
		switch {
		case check == inspect.AlertChannelDown && !slices.Contains(has.channels, subject):
			a.cleared(ctx, key, "there is no such channel any more")
		case check == inspect.SmokeFailed && !has.smoke:
			a.cleared(ctx, key, "there is no smoke test any more")
		case (check == inspect.HealRefused || check == inspect.HealFailed) && has.gone != nil && has.gone(subject):
			a.cleared(ctx, key, "the configuration has no such target any more")
		case check == inspect.ConfigurationRefused:
			a.cleared(ctx, key, "the configuration is good and in force")
		}
	}
}

// own is how this process speaks of itself to the other side.
func (a *alarm) own(ctx context.Context) makegood.PeerBeat {
	var b makegood.PeerBeat
	_, b.Boot = a.machine.Machine()
	now := a.o.speaking.now()
	var err error
	if b.UnsentSince, err = a.o.store.OldestUnsent(ctx, now); err != nil {
		b.Ill = "its database cannot be read"
		return b
	}
	open, err := a.o.store.OpenIncidents(ctx)
	if err != nil {
		b.Ill = "its database cannot be read"
		return b
	}
	b.Incidents = len(open)
	b.Blind, _ = a.runner.IsBlind()
	return b
}

// ownOfServer is own with what the watcher's side may mend, and which secrets this server was started with.
func (a *alarm) ownOfServer(c *config.Config) watch.Own {
	runs := map[string]string{}
	for _, s := range config.Secrets(c) {
		if s.Variable != "" && s.Fingerprint != "" {
			runs[s.Variable] = s.Fingerprint
		}
	}
	return func(ctx context.Context) makegood.PeerBeat {
		b := a.own(ctx)
		b.Secrets = runs
		open, err := a.o.store.Incidents(ctx, store.IncidentFilter{Open: true, Limit: makegood.AilsMax})
		if err != nil {
			b.Ill = "its database cannot be read"
			return b
		}
		for _, i := range open {
			if b.Ails == nil {
				b.Ails = map[string]time.Time{}
			}
			if i.Muted == "" {
				b.Ails[i.Key] = i.StartedAt
			}
		}
		return b
	}
}

// named makes a monitor of a check in the table, unless it is switched off.
func (a *alarm) named(code, subject string, p probe.Prober, local bool) []monitor.Monitor {
	check, ok := inspect.Lookup(code, a.o.overrides)
	if !ok {
		return nil
	}
	return []monitor.Monitor{{Check: check, Subject: subject, Prober: p, Local: local, Timeout: monitor.DefaultTimeout}}
}

// refusals counts what somebody should not have tried, by door.
func refusals(m *telemetry.Metrics) *telemetry.CounterVec {
	return m.Counter("alarm_refusals_total", "Forged, repeated or ended beats, links, reports and call-backs.", "door")
}

// page is what the links in messages lead to.
func (a *alarm) page(s *store.Store, log *slog.Logger, refused *telemetry.CounterVec) *web.Acknowledge {
	return &web.Acknowledge{Pages: web.NewPages(log), Links: a.links, Now: a.o.speaking.now, Refused: refused, Incidents: s, Act: a.desk.AcknowledgeMessage}
}

func serverSpeaking(c *config.Config, now func() time.Time) speaking {
	s := speaking{name: c.Node, publicURL: c.PublicURL, mail: c.Telling.Mail, allowPrivate: c.Outbound.AllowPrivate, now: now}
	if s.mail == nil {
		s.mail = &c.Mail
	}
	return s
}

// openAlarm builds the server's alarm: it looks at its own books, its providers and its watcher.
func (a *App) openAlarm(ctx context.Context, c *config.Config, h *furniture, arrivals inspect.Intake, o Options) (*api.Incidents, error) {
	var err error
	if a.alarm, err = newAlarm(ctx, alarmOptions{store: a.Store, telling: c.Telling, speaking: serverSpeaking(c, o.Now), overrides: c.Checks,
		random: o.Random, log: o.Log, metrics: a.Metrics, holds: a.holds}); err != nil {
		return nil, err
	}
	if len(c.Channels) == 0 {
		o.Log.Warn("nobody is told of trouble: the configuration has no channels")
	}
	var hearing *watch.Hearing
	if !c.Watcher.Secret.Empty() {
		hearing = &watch.Hearing{Secret: c.Watcher.Secret, Store: a.Store, Own: a.alarm.ownOfServer(c), Now: o.Now, Host: a.alarm.machine.Host(), Silent: c.Watcher.Silent}
	}
	return a.incidents(c, hearing), a.alarm.runner.Replace(inspections(c, h, arrivals, a.alarm, hearing, o))
}

// holds reports whether the incident of a key stays open because somebody is mending it.
func (a *App) holds(key string) bool { return a.healing != nil && a.healing.healer.Holds(key) }

func (a *App) incidents(c *config.Config, hearing *watch.Hearing) *api.Incidents {
	return &api.Incidents{Desk: a.alarm.desk, Hearing: hearing, Phones: phonesOf(c.Channels), PublicURL: c.PublicURL, Refused: refusals(a.Metrics),
		TestChannel: func(ctx context.Context, channel string) (string, error) { return a.alarm.current().Test(ctx, channel) }}
}
