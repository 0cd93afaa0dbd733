package notify_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/notify"
	"github.com/makegood/makegood/internal/store"
	"github.com/makegood/makegood/internal/store/storetest"
	"github.com/makegood/makegood/internal/telemetry"
)

// fake is a channel that does what it is told and remembers what it was asked.
type fake struct {
	send func(ctx context.Context, m notify.Message) (notify.Receipt, error)
	test func(ctx context.Context) error

	mu    sync.Mutex
	sent  []notify.Message // accepted
	tried int
	tests []time.Time
}

func (f *fake) Send(ctx context.Context, m notify.Message) (notify.Receipt, error) {
	f.mu.Lock()
	f.tried++
	send := f.send
	f.mu.Unlock()
	r, err := notify.Receipt{RemoteID: "remote-" + m.ID}, error(nil)
	if send != nil {
		r, err = send(ctx, m)
	}
	if err == nil {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.sent = append(f.sent, m)
	}
	return r, err
}

func (f *fake) Test(ctx context.Context) error {
	f.mu.Lock()
	f.tests = append(f.tests, time.Now())
	f.mu.Unlock()
	if f.test != nil {
		return f.test(ctx)
	}
	return nil
}

// mends lets the channel accept everything.
func (f *fake) mends() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.send = nil
}

func (f *fake) tries() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.tried
}

func (f *fake) accepted() []notify.Message {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.sent)
}

// world is a teller on a real store, in the time of the caller.
type world struct {
	t        *testing.T
	store    *store.Store
	now      func() time.Time
	channels map[string]*fake
	teller   *notify.Teller
	e        makegood.Escalation
	mu       sync.Mutex
	ill      map[string]string
	kinds    map[string]string
}

func newWorld(t *testing.T, now func() time.Time, names ...string) *world {
	t.Helper()
	s, err := store.Open(context.Background(), storetest.SQLite(t), store.Options{Now: now})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Migrate(context.Background()); err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, store: s, now: now, channels: map[string]*fake{}, ill: map[string]string{}, kinds: map[string]string{}}
	for _, name := range names {
		w.channels[name] = &fake{}
	}
	w.e = makegood.DefaultEscalation(names, names[:1])
	w.start(s, names...)
	return w
}

func (w *world) start(outbox notify.Outbox, names ...string) {
	var channels []notify.Named
	for _, name := range names {
		kind := w.kinds[name]
		if kind == "" {
			kind = "test"
		}
		channels = append(channels, notify.Named{Name: name, Kind: kind, Channel: w.channels[name]})
	}
	w.teller = notify.NewTeller(notify.Options{Outbox: outbox, Channels: channels, Escalation: w.e, Now: w.now, NewID: w.newID,
		Log: slog.New(slog.DiscardHandler), Metrics: telemetry.NewMetrics(),
		Ill: func(_ context.Context, channel, trouble string) {
			w.mu.Lock()
			defer w.mu.Unlock()
			if trouble != "" {
				w.ill[channel] = trouble
			} else {
				delete(w.ill, channel)
			}
		}})
}

func (w *world) newID(prefix string) string { return makegood.NewID(prefix, w.now(), rand.Reader) }

func (w *world) illness(channel string) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.ill[channel]
}

func (w *world) terms() makegood.IncidentTerms {
	return makegood.IncidentTerms{Escalation: w.e, Channels: w.teller.Names(), Now: w.now(), Actor: "test", NewID: w.newID}
}

// open opens an incident and returns its id.
func (w *world) open(check, subject string, p makegood.Priority) (id string) {
	w.t.Helper()
	f := makegood.Finding{Check: check, Subject: subject, Priority: p, Title: "It is down", Detail: "[STATUS] == 200 (503)"}
	err := w.store.ChangeIncident(context.Background(), f.Key(), func(i *makegood.Incident) (*makegood.Incident, error) {
		if i == nil {
			i = makegood.OpenIncident(f, w.terms())
		} else {
			i.See(f, w.terms())
		}
		id = i.ID
		return i, nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return id
}

func (w *world) resolve(ids ...string) {
	w.t.Helper()
	err := w.store.AmendIncidents(context.Background(), ids, func(i *makegood.Incident) error {
		i.Resolve(w.terms(), "it is over")
		return nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) once(channel string) bool {
	w.t.Helper()
	tried, err := w.teller.Once(context.Background(), channel)
	if err != nil {
		w.t.Fatalf("tell %s: %v", channel, err)
	}
	return tried
}

var errHang = errors.New("hang")

// The first channel is broken in every way that there is: another has accepted within ten seconds, and the broken one is
// reported (goal A2 of the reference).
func TestSecondChannelWithinTenSeconds(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		err  error
		ill  string
	}{
		{"hangs until its deadline", errHang, "timeout"},
		{"500", &notify.Error{Channel: "test", Reason: notify.ReasonServer, Status: 500}, "server"},
		{"429", &notify.Error{Channel: "test", Reason: notify.ReasonRateLimit, Status: 429, RetryAfter: time.Hour}, "rate_limit"},
		{"401", &notify.Error{Channel: "test", Reason: notify.ReasonAuth, Status: 401}, "auth"},
		{"unknown name", &notify.Error{Channel: "test", Reason: notify.ReasonNetwork, Err: errors.New("no such host")}, "network"},
		{"resting", &notify.Error{Channel: "test", Reason: notify.ReasonResting}, "resting"},
		{"an error of its own", errors.New("https://x.example/?token=s3cret"), "network"},
	} {
		for _, p := range []makegood.Priority{makegood.P0, makegood.P1} {
			t.Run(tt.name+" "+string(p), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					w := newWorld(t, time.Now, "push", "sms")
					defer w.store.Close()
					w.channels["push"].send = func(ctx context.Context, _ notify.Message) (notify.Receipt, error) {
						if tt.err == errHang {
							<-ctx.Done()
							return notify.Receipt{}, &notify.Error{Channel: "test", Reason: notify.ReasonTimeout, Doubt: true, Err: ctx.Err()}
						}
						return notify.Receipt{}, tt.err
					}
					ctx, stop := context.WithCancel(context.Background())
					var done sync.WaitGroup
					done.Go(func() { w.teller.Run(ctx) })
					began := time.Now()
					id := w.open("monitor", "shop", p)
					w.teller.Wake()
					time.Sleep(25 * time.Minute)
					sms := w.channels["sms"]
					heard := sms.accepted()
					if len(heard) == 0 {
						t.Fatal("the second channel was never told")
					}
					if took := heard[0].At.Sub(began); took > 10*time.Second {
						t.Errorf("the second channel accepted after %v, want 10s at most", took)
					}
					if got := w.illness("push"); !strings.Contains(got, tt.ill) || strings.Contains(got, "s3cret") {
						t.Errorf("push is reported as %q, want %q and no secret", got, tt.ill)
					}
					// It mends, and hears of the end only if it may have heard of the beginning.
					w.channels["push"].mends()
					w.resolve(id)
					time.Sleep(15 * time.Minute)
					i, err := w.store.Incident(context.Background(), id)
					if err != nil {
						t.Fatal(err)
					}
					for _, n := range i.Notices {
						if n.State == makegood.NoticeQueued || n.State == makegood.NoticeSending {
							t.Errorf("it waits for ever: %+v", n)
						}
						if strings.Contains(n.Error, "s3cret") {
							t.Errorf("a secret is kept: %s", n.Error)
						}
					}
					heard = sms.accepted()
					if last := heard[len(heard)-1]; last.Kind != makegood.NoticeResolved {
						t.Errorf("the last that sms heard is %s, want resolved", last.Kind)
					}
					stop()
					done.Wait()
				})
			})
		}
	}
}

func TestSelfTest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, now: time.Now, channels: map[string]*fake{"push": {}, "sms": {}}, ill: map[string]string{}}
		w.start(&testsOnly{tests: map[string]makegood.ChannelTest{}}, "push", "sms")
		push, sms := w.channels["push"], w.channels["sms"]
		push.test = func(context.Context) error {
			push.mu.Lock()
			defer push.mu.Unlock()
			if len(push.tests) <= 2 {
				return &notify.Error{Channel: "test", Reason: notify.ReasonAuth, Status: 401}
			}
			return nil
		}
		ctx, stop := context.WithCancel(context.Background())
		var done sync.WaitGroup
		done.Go(func() { w.teller.Run(ctx) })
		began := time.Now()
		time.Sleep(30 * time.Minute)
		if w.illness("push") == "" || w.illness("sms") != "" {
			t.Errorf("after the first tests: push %q, sms %q", w.illness("push"), w.illness("sms"))
		}
		time.Sleep(27 * time.Hour)
		stop()
		done.Wait()
		if w.illness("push") != "" {
			t.Errorf("push works again and is still %q", w.illness("push"))
		}
		hours := func(f *fake) (list []int) {
			for _, at := range f.tests {
				list = append(list, int(at.Sub(began).Minutes()+0.5)/60)
			}
			return list
		}
		if got, want := hours(push), []int{0, 1, 2, 26}; !slices.Equal(got, want) {
			t.Errorf("push was tested at the hours %v, want %v", got, want)
		}
		if got, want := hours(sms), []int{0, 24}; !slices.Equal(got, want) {
			t.Errorf("sms was tested at the hours %v, want %v", got, want)
		}
	})
}

// A service that is slow for a moment when its channel is tested wakes nobody; one that stays away does, and so do refused
// credentials, at once.
func TestTestThatFailsOnce(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		fails  int // so many tests
		reason notify.Reason
		told   time.Duration // after how long; 0 is never
	}{
		{"slow for a moment", 1, notify.ReasonTimeout, 0},
		{"away", 9, notify.ReasonServer, 3 * time.Minute},
		{"refused credentials", 1, notify.ReasonAuth, time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				w := newWorld(t, time.Now, "push")
				defer w.store.Close()
				push := w.channels["push"]
				push.test = func(context.Context) error {
					push.mu.Lock()
					defer push.mu.Unlock()
					if len(push.tests) <= tt.fails {
						return &notify.Error{Channel: "test", Reason: tt.reason}
					}
					return nil
				}
				w.start(&testsOnly{tests: map[string]makegood.ChannelTest{}}, "push")
				ctx, stop := context.WithCancel(t.Context())
				done := make(chan struct{})
				go func() { w.teller.Run(ctx); close(done) }()
				var told time.Duration
				for range 60 * 10 {
					time.Sleep(time.Second)
					if told == 0 && w.illness("push") != "" {
						told = time.Since(began)
					}
				}
				stop()
				<-done
				if (told != 0) != (tt.told != 0) || told > tt.told {
					t.Errorf("it was told after %v, want after %v at most; 0 is never", told, tt.told)
				}
			})
		})
	}
}

func TestOfUnknownChannels(t *testing.T) {
	t.Parallel()
	clock := &handClock{now: time.Date(2026, 3, 1, 3, 0, 0, 0, time.UTC)}
	w := newWorld(t, clock.Now, "push")
	defer w.store.Close()
	if _, err := w.teller.Test(t.Context(), "mail"); makegood.CodeOf(err) != makegood.NotFound {
		t.Errorf("Test of an unknown channel = %v, want not_found", err)
	}
	if _, err := w.teller.Once(t.Context(), "mail"); err == nil {
		t.Error("Once of an unknown channel is no error")
	}
	w.channels["push"].test = func(context.Context) error { panic("token s3cret") }
	if trouble, err := w.teller.Test(t.Context(), "push"); err != nil || !strings.Contains(trouble, "panicked: string") {
		t.Errorf("Test that panics = %q, %v", trouble, err)
	}
}

// handClock is moved by hand.
type handClock struct{ now time.Time }

func (c *handClock) Now() time.Time { return c.now }

// A channel is taken out of the configuration while its notices wait: what is wrong is told over others, and what is over
// does not wait for ever.
func TestChannelIsGone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, time.Now, "push", "sms")
		defer w.store.Close()
		over := w.open("disk", "", makegood.P1)
		time.Sleep(2 * time.Second)
		w.once("push")
		w.resolve(over)
		id := w.open("monitor", "shop", makegood.P1)
		w.e = makegood.DefaultEscalation([]string{"sms"}, nil)
		w.start(w.store, "sms")
		ctx, stop := context.WithCancel(context.Background())
		var done sync.WaitGroup
		done.Go(func() { w.teller.Run(ctx) })
		time.Sleep(25 * time.Second)
		sms := w.channels["sms"].accepted()
		if len(sms) != 1 || !slices.Contains(sms[0].Incidents, id) {
			t.Fatalf("sms heard %+v, want of %s", sms, id)
		}
		if oldest, err := w.store.OldestUnsent(ctx, time.Now()); err != nil || !oldest.IsZero() {
			t.Errorf("OldestUnsent = %v, %v: a channel that is gone is no teller that is stuck", oldest, err)
		}
		stop()
		done.Wait()
		for range 26 {
			time.Sleep(time.Hour)
			if err := w.teller.GiveUp(context.Background(), "push"); err != nil {
				t.Fatal(err)
			}
		}
		waiting, err := w.store.WaitingNotices(context.Background())
		if err != nil || len(waiting) != 0 {
			t.Errorf("WaitingNotices a day later = %v, %v, want none", waiting, err)
		}
	})
}

// testsOnly is an outbox with nothing to tell.
type testsOnly struct {
	notify.Outbox
	mu    sync.Mutex
	tests map[string]makegood.ChannelTest
}

func (o *testsOnly) WaitingNotices(context.Context) (map[string]time.Time, error) { return nil, nil }

func (o *testsOnly) ChannelTests(context.Context) (map[string]makegood.ChannelTest, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return maps.Clone(o.tests), nil
}

func (o *testsOnly) KeepChannelTest(_ context.Context, channel, trouble string) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.tests[channel] = makegood.ChannelTest{At: time.Now(), Trouble: trouble}
	return nil
}

// forgetful is an outbox that cannot write for a while.
type forgetful struct {
	notify.Outbox
	broken error
}

func (f *forgetful) AmendIncidents(ctx context.Context, ids []string, change func(*makegood.Incident) error) error {
	if f.broken != nil {
		return f.broken
	}
	return f.Outbox.AmendIncidents(ctx, ids, change)
}

// What was said and could not be written down is not said again by the same process.
func TestSaidAndNotWrittenDown(t *testing.T) {
	t.Parallel()
	clock := &handClock{now: time.Date(2026, 3, 1, 3, 0, 0, 0, time.UTC)}
	w := newWorld(t, clock.Now, "push")
	defer w.store.Close()
	outbox := &forgetful{Outbox: w.store, broken: makegood.Errorf(makegood.Unavailable, "The disk is full.")}
	w.start(outbox, "push")
	id := w.open("monitor", "shop", makegood.P0)
	clock.now = clock.now.Add(2 * time.Second)
	for range 5 {
		if _, err := w.teller.Once(t.Context(), "push"); err == nil {
			t.Fatal("Once without a database is no error")
		}
		clock.now = clock.now.Add(10 * time.Second)
	}
	outbox.broken = nil
	for range 5 {
		w.once("push")
		clock.now = clock.now.Add(10 * time.Second)
	}
	if n := w.channels["push"].tries(); n != 1 {
		t.Errorf("it was said %d times, want once", n)
	}
	i, err := w.store.Incident(t.Context(), id)
	if err != nil || i.Notices[0].State != makegood.NoticeAccepted {
		t.Errorf("the notice is %+v, %v, want accepted", i.Notices, err)
	}
	// What no repetition can write down holds up nothing: it is said again after its lease.
	outbox.broken = makegood.Errorf(makegood.Internal, "broken")
	w.open("disk", "", makegood.P0)
	clock.now = clock.now.Add(2 * time.Second)
	if _, err := w.teller.Once(t.Context(), "push"); err == nil {
		t.Error("Once with a broken outbox is no error")
	}
	outbox.broken = nil
	clock.now = clock.now.Add(makegood.NoticeLease)
	w.once("push")
	if n := w.channels["push"].tries(); n != 3 {
		t.Errorf("it was said %d times, want 3", n)
	}
}

// A channel that ignores its deadline leaves a bounded number of calls behind.
func TestStuckChannel(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, time.Now, "push")
		defer w.store.Close()
		release := make(chan struct{})
		w.channels["push"].send = func(context.Context, notify.Message) (notify.Receipt, error) {
			<-release
			return notify.Receipt{}, nil
		}
		w.open("monitor", "shop", makegood.P0)
		for range 60 {
			time.Sleep(time.Minute)
			w.once("push")
		}
		if n := w.channels["push"].tries(); n > 3 {
			t.Errorf("%d calls hang, want 3 at most", n)
		}
		close(release)
		synctest.Wait()
		w.channels["push"].mends()
		time.Sleep(2 * time.Minute)
		w.once("push")
		if n := len(w.channels["push"].accepted()); n != 4 { // three late ones, and this
			t.Errorf("it accepted %d, want 4", n)
		}
	})
}

// SMS that may have been taken count as taken: a service that does not answer bills all the same. Others are told instead.
func TestSMSInDoubt(t *testing.T) {
	t.Parallel()
	clock := &handClock{now: time.Date(2026, 3, 1, 3, 0, 0, 0, time.UTC)}
	w := newWorld(t, clock.Now, "sms", "push")
	defer w.store.Close()
	w.kinds["sms"] = "sms"
	w.start(w.store, "sms", "push")
	sms := w.channels["sms"]
	var tries []time.Time
	sms.send = func(context.Context, notify.Message) (notify.Receipt, error) {
		tries = append(tries, clock.now)
		return notify.Receipt{}, &notify.Error{Channel: "sms", Reason: notify.ReasonTimeout, Doubt: true}
	}
	for n := range 8 {
		w.open(fmt.Sprintf("check%d", n), "", makegood.P1)
		for range 60 {
			clock.now = clock.now.Add(time.Second)
			w.once("sms")
			w.once("push")
		}
	}
	for k := range tries {
		n := 0
		for _, at := range tries[k:] {
			if at.Sub(tries[k]) < 15*time.Minute {
				n++
			}
		}
		if n > 5 {
			t.Fatalf("%d attempts of SMS within 15 minutes of %v, want 5 at most", n, tries[k])
		}
	}
	heard := map[string]bool{}
	for _, m := range w.channels["push"].accepted() {
		for _, id := range m.Incidents {
			heard[id] = true
		}
	}
	if len(heard) != 8 {
		t.Errorf("push heard of %d incidents, want all 8", len(heard))
	}
}
