package app_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/app"
	"github.com/makegood/makegood/internal/config"
	"github.com/makegood/makegood/internal/secret"
	"github.com/makegood/makegood/internal/simulate"
	"github.com/makegood/makegood/internal/store"
)

// says changes what the configuration file of a watcher says.
func (w *tower) says(c *config.Watch, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.file = func() (*config.Watch, error) { return c, err }
}

// configuration is a copy of what the file says.
func (w *tower) configuration() *config.Watch {
	w.mu.Lock()
	defer w.mu.Unlock()
	c, err := w.file()
	w.must("read the configuration", err)
	other := *c
	return &other
}

// A thousand files in a row that are not good: nothing that runs misses a beat, there is one incident, and a good one ends it.
func TestBadConfigurations(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	w := startTower(t, func(c *config.Watch) { c.Monitors = []config.Monitor{page("shop", s.URL)} })
	w.eventually("a look at the page", func() bool { return w.state("monitor/shop") == "up" })
	good := w.configuration()
	before, began := s.seen(), time.Now()
	for n := range 1000 {
		switch n % 3 {
		case 0: // it cannot be read
			w.says(nil, fmt.Errorf("watch.yaml has %d problems:\n1\n2\n3\n4\n5\n6", n))
		case 1: // it can be read, and not built
			bad := *good
			bad.Monitors = []config.Monitor{page("shop", s.URL), page("shop", s.URL)}
			w.says(&bad, nil)
		case 2: // its monitors can be built, and its channels cannot
			bad := *good
			bad.Monitors = nil
			bad.Channels = []config.Channel{{Name: "phone", Kind: "pigeon"}}
			w.says(&bad, nil)
		}
		w.Reload(t.Context())
		if n%100 == 0 {
			if a := w.ask("GET", "/", ""); a.status != http.StatusOK {
				t.Fatalf("the info = %d after %d bad files", a.status, n)
			}
		}
		time.Sleep(time.Millisecond)
	}
	// Ten looks a second are due; a machine that is busy may be late with some, but none of them waits for a reading.
	looks, due := s.seen()-before, int(time.Since(began)/(100*time.Millisecond))
	t.Logf("%d looks in %v, %d were due", looks, time.Since(began).Round(time.Millisecond), due)
	for _, m := range w.info().Monitors {
		if m.Key == "monitor/shop" && m.Looks < int64(due)/2 {
			t.Errorf("%d looks, and %d were due: the readings keep it from looking", m.Looks, due)
		}
	}
	w.incident("configuration-refused", makegood.IncidentOpen)
	list, err := w.Store.Incidents(t.Context(), store.IncidentFilter{Limit: 100})
	if err != nil || len(list) != 1 {
		t.Errorf("incidents = %+v, %v, want one", list, err)
	}
	w.says(good, nil)
	w.Reload(t.Context())
	w.incident("configuration-refused", makegood.IncidentResolved)
	if got := w.state("monitor/shop"); got != "up" {
		t.Errorf("the page is %s after it all, want up: its state was lost", got)
	}
}

// What a new configuration changes, it changes at once; what it leaves, keeps its state.
func TestGoodConfiguration(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"status":"healthy"}`) }))
	defer server.Close()
	red, other := newSite(t), newSite(t)
	red.be(true)
	w := startTower(t, func(c *config.Watch) {
		c.Monitors = []config.Monitor{page("shop", red.URL), page("gone", red.URL)}
		c.Smoke = &config.SmokeTest{URL: red.URL, Timeout: time.Second, Pages: []config.SmokePage{{Path: "/", Conditions: []string{"[STATUS] == 200"}}}}
	})
	kept := w.incident("monitor/shop", makegood.IncidentOpen)
	w.incident("monitor/gone", makegood.IncidentOpen)
	if _, err := w.Smoke(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.incident("smoke-failed", makegood.IncidentOpen)

	c := w.configuration()
	c.Monitors, c.Smoke, c.Trigger = []config.Monitor{page("shop", red.URL), page("new", other.URL)}, nil, secret.New("another-token-of-the-tests")
	c.Server = watching(server.URL)
	c.Maintenance = []config.Maintenance{{Keys: "monitor/new", From: time.Now().Add(-time.Hour), Until: time.Now().Add(time.Hour), Reason: "moving"}}
	w.says(c, nil)
	w.Reload(t.Context())
	w.incident("monitor/gone", makegood.IncidentResolved)
	w.incident("smoke-failed", makegood.IncidentResolved)
	if i := w.incident("monitor/shop", makegood.IncidentOpen); i.ID != kept.ID {
		t.Errorf("the page has a new incident %s, want %s to go on", i.ID, kept.ID)
	}
	if a := w.ask("POST", "/__trigger", "", asOperator); a.status != http.StatusUnauthorized {
		t.Errorf("the old token opens the trigger: %d", a.status)
	}
	if a := w.ask("GET", "/__health", ""); a.status != http.StatusOK || !strings.Contains(a.body, "healthy") {
		t.Errorf("the health of the new server = %d %s", a.status, a.body)
	}
	other.be(true)
	if i := w.incident("monitor/new", makegood.IncidentOpen); !strings.Contains(i.Muted, "moving") {
		t.Errorf("muted = %q, want the maintenance", i.Muted)
	}
	w.incident("server-silent", makegood.IncidentOpen) // it knows nothing of beats
	c = w.configuration()
	c.Server = nil
	w.says(c, nil)
	w.Reload(t.Context())
	w.incident("server-silent", makegood.IncidentResolved)
	if a := w.ask("GET", "/", ""); a.status != http.StatusOK {
		t.Errorf("info without a server = %d", a.status)
	}
	if a := w.ask("GET", "/__health", ""); a.status != http.StatusNotFound {
		t.Errorf("the health of no server = %d", a.status)
	}
}

// Channels change while one of them hangs and another has something to tell: nothing of the outbox is lost, and nobody waits
// for the one that hangs.
func TestChannelsChange(t *testing.T) {
	t.Parallel()
	s, late := newSite(t), newSite(t)
	smoke := &config.SmokeTest{URL: s.URL, Timeout: time.Second, Pages: []config.SmokePage{{Path: "/", Conditions: []string{"[STATUS] == 200"}}}}
	w := startTower(t, func(c *config.Watch) {
		c.Monitors, c.Smoke = []config.Monitor{page("shop", s.URL), page("late", late.URL)}, smoke
	})
	channels := w.configuration().Channels[0].URL
	w.eventually("the test of the channel", func() bool { return len(w.Channels.Ntfy.Messages()) == 1 })
	w.Channels.SetFaults("ntfy", simulate.AlertFaults{Fail: func(*http.Request) int { return http.StatusServiceUnavailable }})
	s.be(true)
	i := w.incident("monitor/shop", makegood.IncidentOpen)
	w.eventually("an attempt that failed", func() bool {
		i, err := w.Store.Incident(t.Context(), i.ID)
		return err == nil && len(i.Notices) == 1 && i.Notices[0].Attempts > 0
	})
	c := w.configuration()
	c.Telling = phone(strings.TrimSuffix(channels, "/ntfy"), "room")
	w.says(c, nil)
	w.Reload(t.Context())
	w.Channels.SetFaults("ntfy", simulate.AlertFaults{})
	w.message("phone", "P0 shop is not as it should be") // of the outbox before
	late.be(true)
	w.message("room", "P0 late is not as it should be") // over the new one

	// A channel that is gone leaves no incident behind that nobody could end.
	w.Channels.SetFaults("ntfy", simulate.AlertFaults{Fail: func(*http.Request) int { return http.StatusForbidden }})
	if _, err := w.Smoke(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.eventually("a channel that is down", func() bool { return w.isOpen("alert-channel-down/phone") && w.isOpen("alert-channel-down/room") })
	c = w.configuration()
	c.Channels, c.Escalation = c.Channels[1:], makegood.DefaultEscalation([]string{"room"}, nil)
	w.says(c, nil)
	w.Reload(t.Context())
	w.incident("alert-channel-down/phone", makegood.IncidentResolved)
	if !w.isOpen("alert-channel-down/room") {
		t.Error("the channel that is still there, and down, is not an incident any more")
	}
}

// A configuration that was refused, and a program that is started anew with a good one: nobody has to end the incident by hand.
func TestRefusedAndStartedAnew(t *testing.T) {
	t.Parallel()
	database := watchDatabase(t)
	w, err := newTower(t, database, nil)
	if err != nil {
		t.Fatal(err)
	}
	w.run()
	w.says(nil, errors.New("no"))
	w.Reload(t.Context())
	w.incident("configuration-refused", makegood.IncidentOpen)
	w.must("stop", w.stop())
	if w, err = newTower(t, database, nil); err != nil {
		t.Fatal(err)
	}
	w.run()
	w.incident("configuration-refused", makegood.IncidentResolved)
}

// The file is looked at: a change is taken over without anybody asking, also when the file is away for a while.
func TestConfigurationFileChanges(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "watch.yaml")
	if err := os.WriteFile(path, []byte("one"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := newSite(t)
	w, err := newTower(t, watchDatabase(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	w.must("stop the one without a file", func() error { w.run(); return w.stop() }())
	base := w.configuration()
	load := func() (*config.Watch, error) {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		c := *base
		for _, name := range strings.Fields(string(text)) {
			c.Monitors = append(c.Monitors, page(name, s.URL))
		}
		return &c, nil
	}
	first, err := load()
	w.must("load", err)
	base.Listen, first.Listen = "127.0.0.1:0", "127.0.0.1:0"
	if w.Watcher, err = app.NewWatcher(t.Context(), first, app.WatchPath{Path: path, Load: load}, app.Options{StopWithin: patience}); err != nil {
		t.Fatal(err)
	}
	w.URL = "http://" + w.Addr().String()
	w.run()
	w.eventually("the first monitor", func() bool { return w.state("monitor/one") == "up" })
	w.must("write", os.WriteFile(path, []byte("one two"), 0o600))
	w.eventually("the second monitor", func() bool { return w.state("monitor/two") == "up" })
	w.must("remove", os.Remove(path))
	w.incident("configuration-refused", makegood.IncidentOpen)
	w.must("write", os.WriteFile(path, []byte("two"), 0o600))
	w.incident("configuration-refused", makegood.IncidentResolved)
	w.eventually("the first monitor gone", func() bool { return w.state("monitor/one") == "" && w.state("monitor/two") == "up" })
}
