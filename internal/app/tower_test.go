package app_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/app"
	"github.com/makegood/makegood/internal/config"
	"github.com/makegood/makegood/internal/secret"
	"github.com/makegood/makegood/internal/simulate"
	"github.com/makegood/makegood/internal/store"
)

// peerSecret is what server and watcher share in these tests, triggerToken opens the watcher's trigger.
var (
	peerSecret   = secret.New("the secret that server and watcher share in tests")
	triggerToken = "a-token-that-only-tests-use"
)

// tower is a real watcher, with simulated channels to people.
type tower struct {
	*app.Watcher
	t        *testing.T
	URL      string
	Channels *simulate.Channels
	logs     *journal
	stop     func() error

	mu   sync.Mutex
	file func() (*config.Watch, error) // what its configuration file says
}

// watchDatabase is a database whose path is too long for a control socket: opening one changes, for a moment, with which
// rights the whole process makes files, and these tests run beside others.
func watchDatabase(t *testing.T) string {
	return "sqlite:" + filepath.Join(t.TempDir(), strings.Repeat("long", 25), "watch.db")
}

// startTower starts a watcher with one channel, phone, whose configuration is changed before.
func startTower(t *testing.T, change func(c *config.Watch)) *tower {
	t.Helper()
	w, err := newTower(t, watchDatabase(t), change)
	if err != nil {
		t.Fatalf("start the watcher: %v", err)
	}
	w.run()
	return w
}

// newTower builds a watcher that does not run yet.
func newTower(t *testing.T, database string, change func(c *config.Watch), options ...func(*app.Options)) (*tower, error) {
	t.Helper()
	w := &tower{t: t, Channels: simulate.NewChannels(simulate.TwilioOptions{}), logs: &journal{}}
	channels := httptest.NewServer(w.Channels)
	t.Cleanup(channels.Close)
	t.Cleanup(w.Channels.Close)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w.URL = "http://" + listener.Addr().String()
	c := &config.Watch{Name: "tower", PublicURL: w.URL, Database: database, Drill: true, Trigger: secret.New(triggerToken),
		Outbound: config.Outbound{AllowPrivate: true}, Telling: phone(channels.URL)}
	if change != nil {
		change(c)
	}
	w.file = func() (*config.Watch, error) { return c, nil }
	o := app.Options{Listener: listener, StopWithin: patience, Log: slog.New(slog.NewJSONHandler(w.logs, &slog.HandlerOptions{Level: slog.LevelDebug}))}
	for _, set := range options {
		set(&o)
	}
	w.Watcher, err = app.NewWatcher(t.Context(), c, app.WatchPath{Load: func() (*config.Watch, error) {
		w.mu.Lock()
		defer w.mu.Unlock()
		return w.file()
	}}, o)
	if err != nil {
		listener.Close()
	}
	return w, err
}

// run lets it watch until the end of the test.
func (w *tower) run() {
	ctx, cancel := context.WithCancel(context.WithoutCancel(w.t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	w.stop = sync.OnceValue(func() error { cancel(); return <-ended })
	w.t.Cleanup(func() {
		if err := w.stop(); err != nil {
			w.t.Errorf("stop the watcher: %v", err)
		}
		if w.t.Failed() {
			for line := range strings.Lines(w.logs.String()) {
				if !strings.Contains(line, `"level":"DEBUG"`) {
					w.t.Log(line)
				}
			}
		}
	})
}

// phone is one channel that everybody is told over.
func phone(channels string, more ...string) config.Telling {
	var t config.Telling
	var names []string
	for _, name := range append([]string{"phone"}, more...) {
		t.Channels = append(t.Channels, config.Channel{Name: name, Kind: "ntfy", URL: channels + "/ntfy", Topic: name})
		names = append(names, name)
	}
	t.Escalation = makegood.DefaultEscalation(names, nil)
	return t
}

// page is a monitor of an address that is sure after two looks.
func page(name, url string) config.Monitor {
	return config.Monitor{Name: name, URL: url, Conditions: []string{"[STATUS] == 200"}, Priority: makegood.P0, Every: 100 * time.Millisecond,
		Again: 50 * time.Millisecond, Timeout: 5 * time.Second, Failures: 2, Successes: 1}
}

// site is a page that can be well or not, and counts who looks.
type site struct {
	*httptest.Server
	mu    sync.Mutex
	red   bool
	looks int
}

func newSite(t *testing.T) *site {
	s := &site{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.looks++
		if s.red {
			w.WriteHeader(http.StatusInternalServerError)
		}
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *site) be(red bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.red = red
}

func (s *site) seen() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.looks
}

func (w *tower) must(what string, err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatalf("%s: %v", what, err)
	}
}

func (w *tower) eventually(what string, condition func() bool) {
	w.t.Helper()
	for deadline := time.Now().Add(patience); !condition(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			w.t.Fatalf("%s did not come about within %v", what, patience)
		}
	}
}

// ask asks the watcher over HTTP.
func (w *tower) ask(method, path, body string, change ...func(*http.Request)) answer {
	w.t.Helper()
	r, err := http.NewRequestWithContext(w.t.Context(), method, w.URL+path, strings.NewReader(body))
	w.must("make a request", err)
	for _, c := range change {
		c(r)
	}
	response, err := http.DefaultTransport.RoundTrip(r)
	w.must("ask the watcher", err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	w.must("read the answer", err)
	return answer{response.StatusCode, response.Header, string(text)}
}

func asOperator(r *http.Request) { r.Header.Set("Authorization", "Bearer "+triggerToken) }

// info is what GET / tells whoever has the token.
func (w *tower) info() app.Info {
	w.t.Helper()
	var i app.Info
	w.must("read the info", json.Unmarshal([]byte(w.ask("GET", "/", "", asOperator).body), &i))
	return i
}

// state is how a monitor stands; "" when there is none.
func (w *tower) state(key string) string {
	w.t.Helper()
	for _, m := range w.info().Monitors {
		if m.Key == key {
			return string(m.State)
		}
	}
	return ""
}

func (w *tower) isOpen(key string) bool {
	w.t.Helper()
	keys, err := w.Store.OpenIncidents(w.t.Context())
	w.must("read the open incidents", err)
	return slices.Contains(keys, key)
}

// incident waits for the newest incident of a key in a state.
func (w *tower) incident(key string, state makegood.IncidentState) makegood.Incident {
	w.t.Helper()
	return incidentIn(w.t, w.Store, key, state)
}

func incidentIn(t *testing.T, s *store.Store, key string, state makegood.IncidentState) makegood.Incident {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		list, err := s.Incidents(t.Context(), store.IncidentFilter{Key: key, Limit: 1})
		if err == nil && len(list) == 1 && list[0].State == state {
			return list[0]
		}
		if time.Now().After(deadline) {
			t.Fatalf("the incident of %s is %+v, %v, want it %s", key, list, err, state)
		}
	}
}

// message waits for a message to a topic whose title begins so.
func (w *tower) message(topic, title string) simulate.NtfyMessage {
	w.t.Helper()
	return messageAt(w.t, w.Channels, topic, title)
}

func messageAt(t *testing.T, channels *simulate.Channels, topic, title string) simulate.NtfyMessage {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		for _, m := range channels.Ntfy.Messages() {
			if m.Topic == topic && strings.HasPrefix(m.Title, title) {
				return m
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s was told nothing that begins with %q: %+v", topic, title, channels.Ntfy.Messages())
		}
	}
}

// told lists what people were told, without the tests of the channels.
func (w *tower) told() []simulate.NtfyMessage {
	return slices.DeleteFunc(w.Channels.Ntfy.Messages(), func(m simulate.NtfyMessage) bool { return m.Title == "Makegood test" })
}

// link is where a message is acknowledged, without scheme and host.
func link(t *testing.T, m simulate.NtfyMessage, base string) string {
	t.Helper()
	for _, a := range m.Actions {
		if path, ok := strings.CutPrefix(a.URL, base); ok && a.Method == http.MethodPost {
			return path
		}
	}
	t.Fatalf("the message has nothing that acknowledges it at %s: %+v", base, m)
	return ""
}

// refusedAt is how often something was refused at a door, as the metrics say.
func refusedAt(metrics, door string) int {
	for line := range strings.Lines(metrics) {
		var n int
		if _, err := fmt.Sscanf(line, `makegood_alarm_refusals_total{door="`+door+`"} %d`, &n); err == nil {
			return n
		}
	}
	return 0
}
