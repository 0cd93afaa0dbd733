package watch_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/notify"
	"github.com/makegood/makegood/internal/store"
	"github.com/makegood/makegood/internal/store/storetest"
	"github.com/makegood/makegood/internal/telemetry"
	"github.com/makegood/makegood/internal/watch"
)

// killed is the panic of a process that dies.
type killed struct{}

// mortal is a store whose process may die before or after every call.
type mortal struct {
	*store.Store
	w *killWorld
}

func (m mortal) ChangeIncident(ctx context.Context, key string, change func(*makegood.Incident) (*makegood.Incident, error)) error {
	defer m.w.mayDie()
	m.w.mayDie()
	return m.Store.ChangeIncident(ctx, key, change)
}

func (m mortal) AmendIncidents(ctx context.Context, ids []string, change func(*makegood.Incident) error) error {
	defer m.w.mayDie()
	m.w.mayDie()
	return m.Store.AmendIncidents(ctx, ids, change)
}

func (m mortal) ClaimNotices(ctx context.Context, channel string, now time.Time, choose func([]makegood.Notice, []makegood.SentMessage) ([]string, string)) ([]makegood.Notice, error) {
	defer m.w.mayDie()
	m.w.mayDie()
	return m.Store.ClaimNotices(ctx, channel, now, choose)
}

func (m mortal) DueIncidents(ctx context.Context, now time.Time) ([]string, time.Time, error) {
	defer m.w.mayDie()
	return m.Store.DueIncidents(ctx, now)
}

func (m mortal) IncidentsByID(ctx context.Context, ids []string) ([]makegood.Incident, error) {
	defer m.w.mayDie()
	return m.Store.IncidentsByID(ctx, ids)
}

// killWorld is things that break and mend, a process that watches them and tells, and people's channels that keep what they
// were told.
type killWorld struct {
	t        *testing.T
	random   *rand.Rand
	now      time.Time
	store    *store.Store
	death    float64 // of the process, at each point
	trouble  float64 // of a channel, at each message
	kills    int
	dying    bool
	ids      int
	red      map[string]time.Time // what is broken, since when
	channels map[string]*receiver
	desk     *watch.Desk
	teller   *notify.Teller
}

// receiver is a channel with the truth of what it was told.
type receiver struct {
	w        *killWorld
	name     string
	accepted map[string]int // by message
	unsaid   map[string]bool
	last     map[string]makegood.NoticeKind
	told     map[string]int // alarms by incident
	messages int
	repeated int
}

func (r *receiver) Test(context.Context) error { return nil }

func (r *receiver) Send(_ context.Context, m notify.Message) (notify.Receipt, error) {
	fate := r.w.random.Float64()
	if fate < r.w.trouble/2 {
		return notify.Receipt{}, &notify.Error{Channel: "test", Reason: notify.ReasonServer, Status: 503}
	}
	r.messages++
	if r.accepted[m.ID]++; r.accepted[m.ID] > 1 && !r.unsaid[m.ID] {
		r.repeated++ // by a kill; what the service itself did not answer has to be repeated
	}
	for _, id := range m.Incidents {
		i, err := r.w.store.Incident(context.Background(), id)
		if err != nil {
			r.w.t.Errorf("the message %s names the incident %s: %v", m.ID, id, err)
			continue
		}
		kind := makegood.NoticeResolved
		for _, n := range i.Notices {
			if n.MessageID == m.ID && n.Channel == r.name && n.IsAlarm() {
				kind = makegood.NoticeOpened
				r.told[id]++
			}
		}
		r.last[id] = kind
	}
	// A process may die when the service has taken the message and nothing of it is written down. It cannot die by a panic
	// here, because a teller survives those of its channels.
	r.w.dying = r.w.random.Float64() < r.w.death
	if fate < r.w.trouble {
		r.unsaid[m.ID] = true
		return notify.Receipt{}, &notify.Error{Channel: "test", Reason: notify.ReasonTimeout, Doubt: true, Err: errors.New("no answer")}
	}
	return notify.Receipt{RemoteID: "remote-" + m.ID}, nil
}

func newKillWorld(t *testing.T, url string, seed uint64) *killWorld {
	t.Helper()
	w := &killWorld{t: t, random: rand.New(rand.NewPCG(seed, 1)), now: time.Date(2026, 3, 1, 3, 0, 0, 0, time.UTC),
		red: map[string]time.Time{}, channels: map[string]*receiver{}}
	s, err := store.Open(t.Context(), url, store.Options{Now: func() time.Time { return w.now }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	if err := s.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.store = s
	for _, name := range []string{"mail", "push", "sms"} {
		w.channels[name] = &receiver{w: w, name: name, accepted: map[string]int{}, unsaid: map[string]bool{}, last: map[string]makegood.NoticeKind{}, told: map[string]int{}}
	}
	w.start()
	return w
}

// start is the process beginning: it knows nothing but what the store kept.
func (w *killWorld) start() {
	w.dying = false
	names := []string{"mail", "push", "sms"}
	e := makegood.DefaultEscalation(names, []string{"push"})
	newID := func(prefix string) string { w.ids++; return fmt.Sprintf("%s%020d", prefix, w.ids) }
	now := func() time.Time { return w.now }
	kept := mortal{w.store, w}
	w.desk = watch.NewDesk(watch.Options{Store: kept, Escalation: e, Channels: names, Now: now, NewID: newID, Log: slog.New(slog.DiscardHandler)})
	var channels []notify.Named
	for _, name := range names {
		channels = append(channels, notify.Named{Name: name, Kind: "test", Channel: w.channels[name]})
	}
	w.teller = notify.NewTeller(notify.Options{Outbox: kept, Channels: channels, Escalation: e, Now: now, NewID: newID,
		Jitter: w.random.Float64, Log: slog.New(slog.DiscardHandler), Metrics: telemetry.NewMetrics(),
		Pace: func(string) notify.Pace { return notify.Pace{Gather: time.Second, Bundle: time.Minute} }})
}

func (w *killWorld) mayDie() {
	if w.dying || w.random.Float64() < w.death {
		panic(killed{})
	}
}

// step lets the process do one round of everything, and die in it.
func (w *killWorld) step(keys []string) {
	defer func() {
		if p := recover(); p != nil {
			if p != (killed{}) {
				panic(p)
			}
			w.kills++
			w.now = w.now.Add(time.Duration(w.random.Int64N(int64(5 * time.Second)))) // the supervisor starts it again
			w.start()
		}
	}()
	ctx := context.Background()
	for _, key := range keys {
		since, isRed := w.red[key]
		var err error
		if isRed {
			err = w.desk.Found(ctx, makegood.Finding{Check: "monitor", Subject: key, Priority: makegood.P0, Title: "It is down", Detail: "[STATUS] == 200 (503)", Since: since})
		} else {
			err = w.desk.Cleared(ctx, makegood.FindingKey("monitor", key), "[STATUS] == 200 (200)")
		}
		if err != nil {
			w.t.Fatalf("the desk: %v", err)
		}
	}
	if _, err := w.desk.Tick(ctx); err != nil {
		w.t.Fatalf("tick: %v", err)
	}
	for _, name := range w.teller.Names() {
		if _, err := w.teller.Once(ctx, name); err != nil {
			w.t.Fatalf("tell %s: %v", name, err)
		}
	}
}

// The store is the real one and the time is not. A process that is killed at any point, over and over, with channels that
// fail and channels that take a message and do not say so, loses no alert and no word of an end; what it repeats is little
// and has the same id (SPEC E5). MAKEGOOD_KILLS asks for more kills than the usual run makes.
func TestKilledTellerLosesNothing(t *testing.T) {
	t.Parallel()
	kills := 300
	if more, err := strconv.Atoi(os.Getenv("MAKEGOOD_KILLS")); err == nil {
		kills = more
	}
	w := newKillWorld(t, storetest.SQLite(t), 7)
	w.death, w.trouble = 0.004, 0.1
	keys := []string{"a", "b", "c", "d"}
	for rounds := 0; w.kills < kills; rounds++ {
		if key := keys[w.random.IntN(len(keys))]; rounds%100 == 0 {
			if _, isRed := w.red[key]; isRed {
				delete(w.red, key)
			} else {
				w.red[key] = w.now
			}
		}
		w.step(keys)
		w.now = w.now.Add(time.Duration(w.random.Int64N(int64(4 * time.Second))))
	}
	// It goes quiet: everything mends, the channels too, and nobody dies any more.
	clear(w.red)
	w.death, w.trouble = 0, 0
	for range 400 {
		w.step(keys)
		w.now = w.now.Add(2 * time.Second)
	}
	w.judge()
}

// judge compares what people were told with what happened.
func (w *killWorld) judge() {
	t := w.t
	incidents, err := w.store.Incidents(t.Context(), store.IncidentFilter{Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	messages, repeated, alarms := 0, 0, 0
	for _, c := range w.channels {
		messages += c.messages
		repeated += c.repeated
	}
	for _, header := range incidents {
		i, err := w.store.Incident(t.Context(), header.ID)
		if err != nil {
			t.Fatal(err)
		}
		if i.State != makegood.IncidentResolved {
			t.Errorf("%s is %s at the end, want resolved", i.ID, i.State)
		}
		if open := i.ResolvedAt.Sub(i.OpenedAt); open > 5*time.Minute && i.Reopened == 0 {
			alarms++
			for name, c := range w.channels {
				if c.told[i.ID] == 0 {
					t.Errorf("%s was never told of %s, which was open for %v", name, i.ID, open)
				}
			}
		}
		for name, c := range w.channels {
			if kind, told := c.last[i.ID]; told && kind != makegood.NoticeResolved {
				t.Errorf("the last word that %s has of %s is %s: it does not know that it is over", name, i.ID, kind)
			}
		}
		for _, n := range i.Notices {
			if slices.Contains([]makegood.NoticeState{makegood.NoticeQueued, makegood.NoticeSending}, n.State) {
				t.Errorf("%s of %s still waits: %+v", n.ID, i.ID, n)
			}
		}
	}
	if len(incidents) < 10 || alarms < 3 {
		t.Errorf("%d incidents, %d of them long: too few to say anything", len(incidents), alarms)
	}
	if repeated*100 > messages {
		t.Errorf("%d of %d messages were repeated because of a kill, want 1 %% at most", repeated, messages)
	}
	t.Logf("%d kills, %d incidents, %d messages, %d repeated (%.2f %%)", w.kills, len(incidents), messages, repeated, 100*float64(repeated)/float64(messages))
}
