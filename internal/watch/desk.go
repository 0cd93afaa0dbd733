// Package watch keeps the record of incidents: findings open and close it, people answer it, timers climb its ladder. Server
// and watcher each have one, on a database of their own. Between the two go signed beats: each side notices when the other
// falls silent.
package watch

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/monitor"
)

// Store is what the desk needs kept. Each method commits before it returns.
type Store interface {
	ChangeIncident(ctx context.Context, key string, change func(*makegood.Incident) (*makegood.Incident, error)) error
	AmendIncidents(ctx context.Context, ids []string, change func(*makegood.Incident) error) error
	DueIncidents(ctx context.Context, now time.Time) (ids []string, next time.Time, err error)
	OpenIncidents(ctx context.Context, among ...string) (keys []string, err error)
	IncidentsByID(ctx context.Context, ids []string) ([]makegood.Incident, error)
	IncidentsOfMessage(ctx context.Context, channel, messageID string) ([]string, error)
	NoticesByRemoteID(ctx context.Context, channel, remoteID string) ([]makegood.Notice, error)
	UseLink(ctx context.Context, id string, expires time.Time) error
	Silences(ctx context.Context, now time.Time) ([]makegood.Silence, error)
	AddSilence(ctx context.Context, x makegood.Silence) error
	EndSilence(ctx context.Context, id, by string) error
}

// Options are what a desk stands on.
type Options struct {
	Store       Store
	Escalation  makegood.Escalation
	Channels    []string // names
	Maintenance []makegood.Silence
	Now         func() time.Time
	NewID       func(prefix string) string
	Log         *slog.Logger
	// Holds reports whether the incident of a key has to stay open although it looks well: somebody is mending it, and it is over
	// when that is verified. nil is never.
	Holds func(key string) bool
}

// ErrHeld is that an incident is not ended yet, because somebody is mending it. Whoever says again that it is well is heard
// again.
var ErrHeld = fmt.Errorf("somebody is mending it: %w", monitor.ErrLater)

// Desk turns what is found into incidents. It is safe for concurrent use; several desks may share one database.
type Desk struct {
	Options
	mu    sync.Mutex
	era   int // rises whenever what is known is forgotten
	known map[string]standing
	quiet []makegood.Silence // as they were read last
	read  time.Time
}

// standing is what the desk wrote last about a key, so that saying the same again costs no write.
type standing struct {
	open    bool
	finding makegood.Finding
	at      time.Time
}

// NewDesk makes a desk.
func NewDesk(o Options) *Desk { return &Desk{Options: o, known: map[string]standing{}} }

// rewriteEvery is how often what is seen is written down anew while nothing but its figures changes.
const rewriteEvery = time.Minute

// How often the database is believed more than our own memory, because another node, or a person there, may have changed it:
// an incident that was ended there and is still red has to come back soon. Of what is well there is much more.
const (
	relookOpenEvery  = time.Minute
	relookEndedEvery = 5 * time.Minute
)

// knownMax bounds the memory; beyond it every word is a write.
const knownMax = 10_000

// Found opens the incident of a finding, or tells it what is seen now. Saying it again and again is how it is meant.
func (d *Desk) Found(ctx context.Context, f makegood.Finding) error {
	key := f.Key()
	era, isNews := d.isNews(key, true, f)
	if !isNews {
		return nil
	}
	muted, err := d.muted(ctx, key, f.DependsOn)
	if err != nil {
		return err
	}
	opened := false
	err = d.Store.ChangeIncident(ctx, key, func(i *makegood.Incident) (*makegood.Incident, error) {
		t := d.terms("system:watch", muted)
		if opened = i == nil || i.State == makegood.IncidentResolved && i.IsFull(); opened {
			return makegood.OpenIncident(f, t), nil
		}
		if !i.See(f, t) {
			return nil, nil
		}
		return i, nil
	})
	if err != nil {
		return err
	}
	if opened {
		d.Log.Warn("incident", "check", f.Check, "subject", f.Subject, "priority", string(f.Priority), "detail", f.Detail, "muted", muted)
	}
	d.remember(era, key, standing{open: true, finding: f, at: d.Now()})
	return nil
}

// Cleared ends the incident of a key; why is what is seen now. That there is none is no error. ErrHeld is that it stays open for
// now.
func (d *Desk) Cleared(ctx context.Context, key, why string) error {
	if d.Holds != nil && d.Holds(key) {
		return ErrHeld
	}
	era, isNews := d.isNews(key, false, makegood.Finding{})
	if !isNews {
		return nil
	}
	ended := false
	err := d.Store.ChangeIncident(ctx, key, func(i *makegood.Incident) (*makegood.Incident, error) {
		ended = i != nil && i.State != makegood.IncidentResolved
		if !ended {
			return nil, nil
		}
		i.Resolve(d.terms("system:watch", ""), why)
		return i, nil
	})
	if err != nil {
		return err
	}
	if ended {
		d.Log.Info("incident is over", "incident", key, "why", why)
	}
	d.remember(era, key, standing{at: d.Now()})
	return nil
}

// isNews reports whether a word about a key has to be written. era is for remember.
func (d *Desk) isNews(key string, open bool, f makegood.Finding) (era int, isNews bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	was, ok := d.known[key]
	age := d.Now().Sub(was.at)
	switch {
	case !ok, was.open != open, age < 0, open && age >= relookOpenEvery, age >= relookEndedEvery:
		return d.era, true
	case !open:
		return d.era, false
	}
	isSame := f.Title == was.finding.Title && f.Priority == was.finding.Priority && slices.Equal(f.DependsOn, was.finding.DependsOn)
	return d.era, !isSame || f.Detail != was.finding.Detail && age >= rewriteEvery
}

// remember keeps what was written, unless a person has changed something since era.
func (d *Desk) remember(era int, key string, s standing) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if era != d.era {
		return
	}
	if len(d.known) >= knownMax {
		clear(d.known)
	}
	d.known[key] = s
}

// Retell changes whom to tell and when from now on: the configuration was read anew.
func (d *Desk) Retell(e makegood.Escalation, channels []string, maintenance []makegood.Silence) {
	d.forget()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.Escalation, d.Channels, d.Maintenance = e, channels, maintenance
}

// forget makes the next word about every key a write: a person changed something.
func (d *Desk) forget() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.era++
	clear(d.known)
	d.read = time.Time{}
}

func (d *Desk) terms(actor, muted string) makegood.IncidentTerms {
	d.mu.Lock()
	defer d.mu.Unlock()
	return makegood.IncidentTerms{Escalation: d.Escalation, Channels: d.Channels, Now: d.Now(), Actor: actor, Muted: muted, NewID: d.NewID}
}

// muted says why nobody is to be told of a key now, "" when people are: a silence, a maintenance window, or an open
// incident that explains it. A child keeps its own state, so nobody has to walk a graph.
func (d *Desk) muted(ctx context.Context, key string, dependsOn []string) (string, error) {
	if why, err := d.Silenced(ctx, key); err != nil || why != "" {
		return why, err
	}
	// What explained itself would never be told.
	dependsOn = slices.DeleteFunc(slices.Clone(dependsOn), func(other string) bool { return other == key })
	if len(dependsOn) == 0 {
		return "", nil
	}
	open, err := d.Store.OpenIncidents(ctx, dependsOn...)
	if err != nil || len(open) == 0 {
		return "", err
	}
	return "explained by " + open[0], nil
}

// Silenced says which silence or maintenance window covers a key now, "" when none does.
func (d *Desk) Silenced(ctx context.Context, key string) (string, error) {
	silences, err := d.silences(ctx)
	if err != nil {
		return "", err
	}
	for _, s := range silences {
		if s.Covers(key, d.Now()) {
			return silencedBy(s), nil
		}
	}
	return "", nil
}

func silencedBy(s makegood.Silence) string {
	return s.Reason + " (until " + s.Until.UTC().Format(time.RFC3339) + ")"
}

// silencesFor is how long silences that were read are believed.
const silencesFor = time.Second

func (d *Desk) silences(ctx context.Context) ([]makegood.Silence, error) {
	d.mu.Lock()
	age, quiet, era := d.Now().Sub(d.read), d.quiet, d.era
	d.mu.Unlock()
	if age >= 0 && age < silencesFor {
		return quiet, nil
	}
	list, err := d.Store.Silences(ctx, d.Now())
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	quiet = append(slices.Clone(d.Maintenance), list...)
	if era == d.era { // else a silence was made or ended while we read
		d.quiet, d.read = quiet, d.Now()
	}
	return quiet, nil
}

// IsMaintained reports whether findings of a key are muted by a silence or a window now, as far as was read last.
func (d *Desk) IsMaintained(key string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	covers := func(s makegood.Silence) bool { return s.Covers(key, d.Now()) }
	return slices.ContainsFunc(d.quiet, covers) || slices.ContainsFunc(d.Maintenance, covers)
}

// Tick climbs the ladders whose timers are due, and returns when the next is; zero when none is.
func (d *Desk) Tick(ctx context.Context) (next time.Time, err error) {
	ids, next, err := d.Store.DueIncidents(ctx, d.Now())
	if err != nil {
		return next, err
	}
	for chunk := range slices.Chunk(ids, tickTogether) {
		if err := d.tick(ctx, chunk); err != nil {
			return next, err
		}
	}
	if len(ids) > 0 { // what has just climbed has its next timer only now
		_, next, err = d.Store.DueIncidents(ctx, d.Now())
	}
	return next, err
}

// tickTogether is how many timers share a commit; a storm of a thousand is cheaper so.
const tickTogether = 100

func (d *Desk) tick(ctx context.Context, ids []string) error {
	incidents, err := d.Store.IncidentsByID(ctx, ids)
	if err != nil {
		return err
	}
	muted := make(map[string]string, len(incidents))
	for _, i := range incidents {
		if muted[i.ID], err = d.muted(ctx, i.Key, i.DependsOn); err != nil {
			return err
		}
	}
	return d.Store.AmendIncidents(ctx, ids, func(i *makegood.Incident) error {
		i.Tick(d.terms("system:watch", muted[i.ID]))
		return nil
	})
}

// Run ticks until ctx ends: when a timer is due, when it is woken, and once a second in any case, because another node may
// have set a timer. keeper moves the timers when the clock was set.
func (d *Desk) Run(ctx context.Context, wake <-chan struct{}, keeper *Timekeeper) {
	for {
		if err := keeper.Look(ctx); err != nil && ctx.Err() == nil {
			d.Log.Error("the clock cannot be watched", "err", err)
		}
		next, err := d.Tick(ctx)
		if err != nil && ctx.Err() == nil {
			d.Log.Error("timers of incidents cannot be kept", "err", err)
		}
		wait := time.Second
		if until := next.Sub(d.Now()); !next.IsZero() && until < wait {
			wait = max(until, 10*time.Millisecond)
		}
		select {
		case <-ctx.Done():
			return
		case <-wake:
		case <-time.After(wait):
		}
	}
}
