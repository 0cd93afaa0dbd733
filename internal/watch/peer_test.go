package watch_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/outbound"
	"github.com/makegood/makegood/internal/probe"
	"github.com/makegood/makegood/internal/secret"
	"github.com/makegood/makegood/internal/store/storetest"
	"github.com/makegood/makegood/internal/watch"
)

// pair is a server and a watcher, each with its database, and a wire between them that a test may bend.
type pair struct {
	server, watcher *room
	hearing         *watch.Hearing
	beating         *watch.Beating
	bend            func(w http.ResponseWriter, body []byte, signature string) bool // reports whether it answered
	mu              sync.Mutex
	bodies          [][]byte
	signatures      []string
	ownServer       makegood.PeerBeat
	ownWatcher      makegood.PeerBeat
}

func newPair(t *testing.T) *pair {
	t.Helper()
	p := &pair{server: newRoom(t, storetest.SQLite(t)), watcher: newRoom(t, storetest.SQLite(t))}
	key := secret.New("a secret of both sides")
	p.hearing = &watch.Hearing{Secret: key, Store: p.server.store, Now: p.server.clock, Host: "host1", Silent: 30 * time.Second,
		Own: func(context.Context) makegood.PeerBeat { return p.ownServer }}
	h := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		signature := r.Header.Get(watch.BeatHeader)
		p.mu.Lock()
		p.bodies, p.signatures = append(p.bodies, body), append(p.signatures, signature)
		p.mu.Unlock()
		if p.bend != nil && p.bend(w, body, signature) {
			return
		}
		answer, s, err := p.hearing.Hear(r.Context(), body, signature)
		if err != nil {
			w.WriteHeader(http.StatusConflict)
			return
		}
		w.Header().Set(watch.BeatHeader, s)
		w.Write(answer)
	}))
	t.Cleanup(h.Close)
	p.beating = &watch.Beating{URL: h.URL, Secret: key, Store: p.watcher.store, Now: p.watcher.clock, Host: "host2", Name: "w1",
		HTTP: outbound.New(outbound.Options{AllowPrivate: true, NeverRest: true}),
		Own:  func(context.Context) makegood.PeerBeat { return p.ownWatcher }}
	return p
}

func (p *pair) pass(d time.Duration) {
	p.server.now, p.watcher.now = p.server.now.Add(d), p.watcher.now.Add(d)
}

func sees(t *testing.T, what string, p probe.Prober, want string) {
	t.Helper()
	s := p.Look(t.Context())
	if s.Unknown || (want == "") != (s.Trouble == "") || !strings.Contains(s.Trouble, want) {
		t.Errorf("%s: %+v, want %q", what, s, want)
	}
}

func TestBeats(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	sees(t, "before the first beat", p.hearing.Silence(), "")
	sees(t, "skew before the first", p.hearing.Skew(), "")
	if _, known := p.beating.IsIndependent(); known {
		t.Error("the server is known before it answered")
	}
	sees(t, "company before the first", p.beating.Company(), "")
	p.pass(31 * time.Second)
	sees(t, "never heard", p.hearing.Silence(), "no watcher was heard")
	sees(t, "a beat", p.beating, "")
	for what, prober := range map[string]probe.Prober{"silence": p.hearing.Silence(), "company": p.hearing.Company(), "skew": p.hearing.Skew(), "worry": p.hearing.Worry(),
		"company of the server": p.beating.Company(), "skew to the server": p.beating.Skew(), "worry of the server": p.beating.Worry()} {
		sees(t, what, prober, "")
	}
	if b, heard := p.beating.Answer(); b.Host != "host1" || !heard.Equal(p.watcher.now) {
		t.Errorf("Answer = %+v, %v", b, heard)
	}
	// What is wrong with one is seen by the other.
	p.ownServer.Ill, p.ownWatcher.UnsentSince = "the disk is full", p.watcher.now.Add(-2*time.Minute)
	p.watcher.now = p.watcher.now.Add(10 * time.Second)
	sees(t, "a beat", p.beating, "")
	sees(t, "ill", p.beating.Worry(), "the disk is full")
	sees(t, "unsent", p.hearing.Worry(), "[UNSENT]")
	sees(t, "skew", p.hearing.Skew(), "[SKEW] <= 5s (10s")
	sees(t, "skew at the watcher", p.beating.Skew(), "[SKEW]")
	// A watcher that cannot see is a finding of its own, and no worry about what it could not tell.
	p.ownWatcher = makegood.PeerBeat{Blind: true}
	sees(t, "a beat", p.beating, "")
	sees(t, "blind", p.hearing.Blindness(), "w1 says that it cannot see")
	sees(t, "no worry", p.hearing.Worry(), "")
	p.ownWatcher = makegood.PeerBeat{}
	p.hearing.Host = "host2"
	sees(t, "a beat", p.beating, "")
	sees(t, "not blind", p.hearing.Blindness(), "")
	sees(t, "same machine", p.hearing.Company(), "this machine")
	sees(t, "same machine", p.beating.Company(), "this machine")
	p.beating.Drill = true
	sees(t, "a beat", p.beating, "")
	sees(t, "a drill", p.hearing.Company(), "")
}

// The wall clock of the server may be set, and the server may be stopped: neither hides a dead watcher nor makes one.
func TestSilenceAndClocks(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	sees(t, "a beat", p.beating, "")
	sees(t, "just heard", p.hearing.Silence(), "")
	p.pass(time.Hour) // the server was stopped
	sees(t, "after a long stop", p.hearing.Silence(), "")
	for range 3 {
		p.pass(10 * time.Second)
		sees(t, "the watcher has its time", p.hearing.Silence(), "")
	}
	p.pass(10 * time.Second)
	sees(t, "it is silent", p.hearing.Silence(), "since the last word of w1")
	// Another node heard it.
	if err := p.server.store.KeepPeerBeat(t.Context(), watch.RoleWatcher, makegood.PeerBeat{From: "w1", Sequence: 1 << 60}); err != nil {
		t.Fatal(err)
	}
	sees(t, "heard by another node", p.hearing.Silence(), "")
}

func TestForgedBeats(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	sees(t, "a beat", p.beating, "")
	body, signature := p.bodies[0], p.signatures[0]
	answer, answerSignature, err := p.hearing.Hear(t.Context(), body, signature)
	if !errors.Is(err, makegood.Conflict) || answer != nil || answerSignature != "" {
		t.Errorf("a beat heard again = %s, %v, want conflict", answer, err)
	}
	for name, forged := range map[string][2]string{
		"of another body": {string(body) + " ", signature}, "unsigned": {string(body), ""}, "cut": {string(body), signature[1:]},
	} {
		if _, _, err := p.hearing.Hear(t.Context(), []byte(forged[0]), forged[1]); !errors.Is(err, makegood.Unauthorized) {
			t.Errorf("a beat that is %s = %v, want unauthorized", name, err)
		}
	}
	empty := &watch.Hearing{Store: p.server.store, Now: p.server.clock}
	if _, _, err := empty.Hear(t.Context(), body, signature); !errors.Is(err, makegood.Unauthorized) {
		t.Errorf("a beat without a secret = %v", err)
	}
	if n := p.hearing.Refused(); n != 4 {
		t.Errorf("%d were refused, want 4", n)
	}
	// What the watcher is answered: its own words, an old answer, nothing, an error.
	var old []byte
	var oldSignature string
	for _, tt := range []struct {
		name string
		bend func(w http.ResponseWriter, body []byte, signature string) bool
		want string
	}{
		{"its own words", func(w http.ResponseWriter, body []byte, signature string) bool {
			w.Header().Set(watch.BeatHeader, signature)
			w.Write(body)
			return true
		}, "not signed"},
		{"a good one, which is kept", func(w http.ResponseWriter, body []byte, signature string) bool {
			old, oldSignature, _ = p.hearing.Hear(context.Background(), body, signature)
			w.Header().Set(watch.BeatHeader, oldSignature)
			w.Write(old)
			return true
		}, ""},
		{"an old answer", func(w http.ResponseWriter, _ []byte, _ string) bool {
			w.Header().Set(watch.BeatHeader, oldSignature)
			w.Write(old)
			return true
		}, "of another beat"},
		{"503", func(w http.ResponseWriter, _ []byte, _ string) bool { w.WriteHeader(503); return true }, "(503)"},
	} {
		p.bend = tt.bend
		p.pass(time.Second)
		sees(t, tt.name, p.beating, tt.want)
	}
	p.bend = nil
	p.watcher.now = p.watcher.now.Add(-3 * time.Hour)
	sees(t, "a beat after the clock was set back", p.beating, "")
	again := &watch.Beating{URL: p.beating.URL, Secret: p.beating.Secret, Store: p.beating.Store, Now: p.beating.Now, HTTP: p.beating.HTTP, Own: p.beating.Own}
	sees(t, "a beat after a restart with it", again, "")
	p.beating.URL = "http://127.0.0.1:1"
	sees(t, "nobody there", p.beating, "does not answer")
	p.beating.URL = ":"
	sees(t, "no address", p.beating, "is none")
	p.watcher.store.Close()
	sees(t, "no database", p.beating, "cannot be written")
	p.server.store.Close()
	if s := p.hearing.Silence().Look(t.Context()); !s.Unknown {
		t.Errorf("silence without a database: %+v, want unknown", s)
	}
}

func TestVantage(t *testing.T) {
	t.Parallel()
	key := secret.New("a secret of both watchers")
	now := time.Date(2026, 3, 1, 3, 0, 0, 0, time.UTC)
	clock := func() time.Time { return now }
	look := func(_ context.Context, key string) (probe.Sight, error) {
		if key == "unknown" {
			return probe.Sight{}, errors.New("no such monitor")
		}
		return probe.Sight{Trouble: "[STATUS] == 200 (503)"}, nil
	}
	serverKey, skew, bend := key, time.Duration(0), ""
	h := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		answer, signature, err := watch.AnswerLook(r.Context(), serverKey, body, r.Header.Get(watch.LookHeader), now.Add(skew), look)
		if err != nil {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		if bend == "echo" {
			answer, signature = body, r.Header.Get(watch.LookHeader)
		}
		w.Header().Set(watch.LookHeader, signature)
		w.Write(answer)
	}))
	defer h.Close()
	v := &watch.Vantage{URL: h.URL, Secret: key, Key: "shop", HTTP: outbound.New(outbound.Options{AllowPrivate: true, NeverRest: true}), Now: clock}
	if s := v.Look(t.Context()); s.Unknown || s.Trouble != "[STATUS] == 200 (503)" {
		t.Errorf("Look = %+v", s)
	}
	for _, tt := range []struct {
		name string
		set  func()
	}{
		{"a monitor that it has not", func() { v.Key = "unknown" }},
		{"its own words", func() { bend = "echo" }},
		{"an old question", func() { skew = 2 * time.Minute }},
		{"one from the future", func() { skew = -2 * time.Minute }},
		{"another secret", func() { serverKey = secret.New("other") }},
		{"nobody there", func() { v.URL = "http://127.0.0.1:1" }},
		{"no address", func() { v.URL = ":" }},
	} {
		v.URL, v.Key, bend, skew, serverKey = h.URL, "shop", "", 0, key
		tt.set()
		if s := v.Look(t.Context()); !s.Unknown || s.Trouble != "" {
			t.Errorf("%s: %+v, want unknown", tt.name, s)
		}
	}
}

// houseOnly keeps one value, and may fail in two ways.
type houseOnly struct {
	value  string
	shifts []time.Duration
	fails  bool // the commit is reported as failed
	kept   bool // although it was kept
}

var errHouse = errors.New("no database")

func (h *houseOnly) ShiftTimers(_ context.Context, by time.Duration, _, value string) error {
	if h.fails && !h.kept {
		return errHouse
	}
	h.shifts, h.value = append(h.shifts, by), value
	if h.fails {
		return errHouse
	}
	return nil
}

func (h *houseOnly) HouseValue(_ context.Context, _ string, first func() string) (string, error) {
	if h.value == "" {
		h.value = first()
	}
	return h.value, nil
}

func (h *houseOnly) KeepHouseValue(_ context.Context, _, value string) error {
	h.value = value
	return nil
}

func TestTimekeeper(t *testing.T) {
	t.Parallel()
	log := slog.New(slog.DiscardHandler)
	for _, tt := range []struct {
		name string
		kept bool
	}{{"the commit was not kept", false}, {"the commit was kept and reported as failed", true}} {
		house, clock := &houseOnly{}, &twoTimes{machine: time.Minute}
		k := &watch.Timekeeper{Store: house, Clock: clock, Log: log}
		look := func() error { clock.machine += time.Second; return k.Look(t.Context()) }
		if err := errors.Join(look(), look()); err != nil {
			t.Fatal(err)
		}
		clock.offset += time.Hour
		house.fails, house.kept = true, tt.kept
		if err := look(); !errors.Is(err, errHouse) {
			t.Errorf("%s: Look = %v", tt.name, err)
		}
		house.fails = false
		for range 20 {
			if err := look(); err != nil {
				t.Fatal(err)
			}
		}
		if len(house.shifts) != 1 || house.shifts[0] != time.Hour {
			t.Errorf("%s: the timers were moved by %v, want once by an hour", tt.name, house.shifts)
		}
	}
	// Another machine keeps the same timers and is on time: a clock that goes astray here moves nothing.
	house, clock := &houseOnly{}, &twoTimes{machine: time.Minute}
	k := &watch.Timekeeper{Store: house, Clock: clock, Log: log}
	for n := range 40 {
		clock.machine += time.Second
		if n == 30 {
			clock.offset -= time.Hour
		}
		if n%5 == 0 {
			other, err := json.Marshal(map[string]any{"wall": machineBegan, "machine": n, "boot": "other"})
			if err != nil {
				t.Fatal(err)
			}
			house.value = string(other)
		}
		if err := k.Look(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if len(house.shifts) != 0 {
		t.Errorf("with another machine on the same database the timers were moved by %v", house.shifts)
	}
	house.value = "rubbish"
	if err := (&watch.Timekeeper{Store: house, Clock: clock, Log: log}).Look(t.Context()); err != nil || house.value == "rubbish" {
		t.Errorf("a mark that cannot be read: %v, %q", err, house.value)
	}
}

func TestMachine(t *testing.T) {
	t.Parallel()
	m := watch.NewMachine()
	first, boot := m.Machine()
	second, again := m.Machine()
	if boot == "" || boot != again || second < first || m.Host() == "" || m.Host() != watch.NewMachine().Host() && !strings.HasPrefix(boot, "process-") {
		t.Errorf("the machine runs for %v then %v, since %q then %q", first, second, boot, again)
	}
	if age := time.Since(m.Wall()); age < 0 || age > time.Minute {
		t.Errorf("the wall is %v ago", age)
	}
}
