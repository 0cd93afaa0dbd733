package app_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/app"
	"github.com/makegood/makegood/internal/config"
	"github.com/makegood/makegood/internal/demo"
	"github.com/makegood/makegood/internal/monitor"
	"github.com/makegood/makegood/internal/secret"
	"github.com/makegood/makegood/internal/simulate"
	"github.com/makegood/makegood/internal/store"
	"github.com/makegood/makegood/internal/store/storetest"
	"github.com/makegood/makegood/internal/watch"
)

// withWatcher gives a server a watcher that it hears, and people whom it tells over simulated channels.
func withWatcher(channels string) func(*demo.Options) {
	return configured(func(c *config.Config) {
		c.Watcher = config.Watcher{Secret: peerSecret, Silent: time.Minute}
		if channels != "" {
			c.Telling = phone(channels, "room")
		}
	})
}

func newChannels(t *testing.T) (*simulate.Channels, string) {
	c := simulate.NewChannels(simulate.TwilioOptions{})
	server := httptest.NewServer(c)
	t.Cleanup(server.Close)
	t.Cleanup(c.Close)
	return c, server.URL
}

// watching is a watcher's end of the beats.
func watching(server string) *config.Watched {
	return &config.Watched{URL: server, Secret: peerSecret, Every: 100 * time.Millisecond, Silent: 500 * time.Millisecond}
}

// eavesdropper stands between watcher and server and keeps the last beat.
type eavesdropper struct {
	*httptest.Server
	mu        sync.Mutex
	body      []byte
	signature string
}

func newEavesdropper(t *testing.T, server string) *eavesdropper {
	to, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	pass := httputil.NewSingleHostReverseProxy(to)
	e := &eavesdropper{}
	e.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == watch.BeatPath {
			body, _ := io.ReadAll(r.Body)
			e.mu.Lock()
			e.body, e.signature = body, r.Header.Get(watch.BeatHeader)
			e.mu.Unlock()
			r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
		}
		pass.ServeHTTP(w, r)
	}))
	pass.ErrorHandler = func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) }
	t.Cleanup(e.Close)
	return e
}

func (e *eavesdropper) last() (string, string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return string(e.body), e.signature
}

// A server falls silent: people are told, one of them answers by the link of the message, and all are told when it is back.
func TestWatcherTellsOfItsServer(t *testing.T) {
	t.Parallel()
	server := startWorld(t, storetest.SQLite(t), withWatcher(""))
	spy := newEavesdropper(t, server.URL)
	w := startTower(t, func(c *config.Watch) { c.Server = watching(spy.URL) })
	w.eventually("a beat that is answered", func() bool { return !w.info().HeardAt.IsZero() })
	if i := w.info(); i.Independent != "drill" || i.Role != "watcher" || i.Server != spy.URL {
		t.Errorf("info = %+v, want a drill of the watcher of %s", i, spy.URL)
	}
	server.eventually("the watcher in the server's health", func() bool {
		return strings.Contains(server.ask("GET", "/api/health", "").body, `"watcher":{"status":"healthy"`)
	})
	if a := w.ask("GET", "/__health", ""); a.status != http.StatusOK || !strings.Contains(a.body, `"status":"healthy"`) {
		t.Errorf("the server's health by the watcher = %d %s", a.status, a.body)
	}

	// What is sent again, or signed by somebody else, is refused, counted, and changes nothing.
	body, signature := spy.last()
	for _, tt := range []struct {
		name, signature string
		want            int
	}{{"replayed", signature, http.StatusConflict}, {"forged", strings.Repeat("0", 64), http.StatusUnauthorized}, {"unsigned", "", http.StatusUnauthorized}} {
		a := server.ask("POST", watch.BeatPath, body, func(r *http.Request) { r.Header.Set(watch.BeatHeader, tt.signature) })
		if a.status != tt.want {
			t.Errorf("a beat that is %s = %d, want %d", tt.name, a.status, tt.want)
		}
	}
	if a := server.ask("POST", watch.BeatPath, strings.Repeat("x", watch.BeatBytesMax+1)); a.status != http.StatusRequestEntityTooLarge {
		t.Errorf("a beat that is too long = %d", a.status)
	}
	if got := refusedAt(server.ask("GET", "/metrics", "").body, "beat"); got != 3 {
		t.Errorf("%d refused beats are counted, want 3", got)
	}

	server.must("stop the server", server.StopServer())
	i := w.incident("server-silent", makegood.IncidentOpen)
	path := link(t, w.message("phone", "P0 The server does not answer"), w.URL)
	if a := w.ask("GET", "/__health", ""); a.status != http.StatusBadGateway {
		t.Errorf("the health of a server that is away = %d %s", a.status, a.body)
	}
	for range 3 { // as programs do that look at links in messages
		if a := w.ask("GET", path, ""); a.status != http.StatusOK || !strings.Contains(a.body, "I look after it") || !strings.Contains(a.body, i.ID) {
			t.Fatalf("GET of the link = %d %s", a.status, a.body)
		}
	}
	w.ask("HEAD", path, "")
	if i := w.incident("server-silent", makegood.IncidentOpen); !i.AckedAt.IsZero() {
		t.Fatalf("looking at the link has acknowledged: %+v", i)
	}
	if a := w.ask("POST", path, ""); a.status != http.StatusOK || !strings.Contains(a.body, "You have it") {
		t.Fatalf("POST to the link = %d %s", a.status, a.body)
	}
	if i := w.incident("server-silent", makegood.IncidentAcknowledged); i.AckedBy != "link:phone" {
		t.Errorf("acknowledged by %q, want link:phone", i.AckedBy)
	}
	for _, tt := range []struct {
		name, method, path string
		want               int
	}{
		{"used", "POST", path, http.StatusConflict},
		{"cut", "GET", path[:len(path)-2], http.StatusForbidden},
		{"forged", "POST", "/ack/cGhvbmUAbXNnMQA5OTk5OTk5OTk5.AAAA", http.StatusForbidden},
		{"of another method", "DELETE", path, http.StatusMethodNotAllowed},
	} {
		if a := w.ask(tt.method, tt.path, ""); a.status != tt.want {
			t.Errorf("a link that is %s = %d, want %d", tt.name, a.status, tt.want)
		}
	}
	if got := refusedAt(w.ask("GET", "/metrics", "").body, "link"); got != 3 {
		t.Errorf("%d refused links are counted, want 3", got)
	}

	server.must("start the server", server.RestartServer(t.Context(), store.Options{}, 0))
	w.incident("server-silent", makegood.IncidentResolved)
	w.message("phone", "FIXED: The server does not answer")
}

// A link ends after a day, and leads to a page that says so.
func TestLinkEnds(t *testing.T) {
	t.Parallel()
	c, s := &clock{}, newSite(t)
	s.be(true)
	w, err := newTower(t, watchDatabase(t), func(k *config.Watch) { k.Monitors = []config.Monitor{page("shop", s.URL)} }, func(o *app.Options) { o.Now = c.now })
	if err != nil {
		t.Fatal(err)
	}
	w.run()
	path := link(t, w.message("phone", "P0 shop is not as it should be"), w.URL)
	c.pass(25 * time.Hour)
	for _, method := range []string{"GET", "POST"} {
		if a := w.ask(method, path, ""); a.status != http.StatusGone || !strings.Contains(a.body, "ended after a day") {
			t.Errorf("%s of a link of yesterday = %d %s", method, a.status, a.body)
		}
	}
	if i := w.incident("monitor/shop", makegood.IncidentOpen); !i.AckedAt.IsZero() {
		t.Error("a link of yesterday has acknowledged")
	}
}

// What jobs report by a plain address.
func TestHeartbeats(t *testing.T) {
	t.Parallel()
	const token = "a-token-of-the-backup-1"
	w := startTower(t, func(c *config.Watch) {
		c.Monitors = []config.Monitor{{Name: "backup", Priority: makegood.P2, Every: 10 * time.Second,
			Heartbeat: &config.Heartbeat{Token: secret.New(token), Every: time.Hour, Grace: time.Minute}}}
	})
	for _, tt := range []struct {
		name, method, path string
		want               int
	}{
		{"start", "GET", "/beat/" + token + "/start", 200},
		{"success", "GET", "/beat/" + token, 200},
		{"by HEAD", "HEAD", "/beat/" + token, 200},
		{"by POST", "POST", "/beat/" + token, 200},
		{"another word", "POST", "/beat/" + token + "/done", 404},
		{"an unknown token", "GET", "/beat/nobody-knows-this-one", 404},
		{"another method", "PUT", "/beat/" + token, 405},
	} {
		a := w.ask(tt.method, tt.path, "")
		if a.status != tt.want {
			t.Errorf("%s = %d %s, want %d", tt.name, a.status, a.body, tt.want)
		}
		if a.status == 200 && a.header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s may be answered by a cache", tt.name)
		}
	}
	if w.isOpen("monitor/backup") {
		t.Error("a backup that has reported is an incident")
	}
	if a := w.ask("POST", "/beat/"+token+"/fail", "exit code 7 "+strings.Repeat("x", 5000)); a.status != 200 {
		t.Errorf("a failure = %d", a.status)
	}
	i := w.incident("monitor/backup", makegood.IncidentOpen)
	if !strings.Contains(i.Detail, "exit code 7") {
		t.Errorf("the incident says %q, want what the job said", i.Detail)
	}
	if body := w.ask("GET", "/", "").body; strings.Contains(body, "exit code 7") || strings.Contains(body, token) {
		t.Errorf("strangers read what a job says: %s", body)
	}
	w.ask("GET", "/beat/"+token, "")
	w.incident("monitor/backup", makegood.IncidentResolved)
	if logs := w.logs.String(); strings.Contains(logs, token) {
		t.Error("the log has the token of a heartbeat")
	}
	if got := refusedAt(w.ask("GET", "/metrics", "").body, "heartbeat"); got != 1 {
		t.Errorf("%d refused reports are counted, want 1", got)
	}
}

// A heartbeat that does not come is found without anybody asking.
func TestHeartbeatIsLate(t *testing.T) {
	t.Parallel()
	w := startTower(t, func(c *config.Watch) {
		c.Monitors = []config.Monitor{{Name: "job", Priority: makegood.P1, Every: 10 * time.Second,
			Heartbeat: &config.Heartbeat{Token: secret.New("a-token-of-the-job-0001"), Every: 100 * time.Millisecond, Grace: 100 * time.Millisecond}}}
	})
	w.incident("monitor/job", makegood.IncidentOpen)
	w.message("phone", "P1 job is not as it should be")
}

// The trigger looks at everything now, and runs the smoke test, for whoever has the token.
func TestTriggerAndSmoke(t *testing.T) {
	t.Parallel()
	s, other := newSite(t), newSite(t)
	w := startTower(t, func(c *config.Watch) {
		m := page("shop", other.URL)
		m.Every = time.Hour
		c.Monitors = []config.Monitor{m}
		c.Smoke = &config.SmokeTest{URL: s.URL, Timeout: time.Second, Pages: []config.SmokePage{{Path: "/a", Conditions: []string{"[STATUS] == 200"}}}}
	})
	for name, change := range map[string]func(*http.Request){
		"without a token": func(*http.Request) {},
		"another token":   func(r *http.Request) { r.Header.Set("Authorization", "Bearer nothing") },
		"an empty one":    func(r *http.Request) { r.Header.Set("Authorization", "Bearer ") },
	} {
		if a := w.ask("POST", "/__trigger", "", change); a.status != http.StatusUnauthorized {
			t.Errorf("a trigger with %s = %d", name, a.status)
		}
	}
	if a := w.ask("GET", "/__trigger", "", asOperator); a.status != http.StatusMethodNotAllowed || a.header.Get("Allow") != "POST" {
		t.Errorf("GET of the trigger = %d, Allow %q", a.status, a.header.Get("Allow"))
	}
	if a := w.ask("GET", "/nothing", ""); a.status != http.StatusNotFound {
		t.Errorf("an address that there is not = %d", a.status)
	}
	if a := w.ask("GET", "/__health", ""); a.status != http.StatusNotFound {
		t.Errorf("the health of no server = %d", a.status)
	}
	if a := w.ask("GET", "/livez", ""); a.status != http.StatusOK {
		t.Errorf("livez = %d", a.status)
	}
	if a := w.ask("POST", "/__trigger", "", asOperator); a.status != http.StatusOK || !strings.Contains(a.body, `"ok":true`) || !strings.Contains(a.body, "GET /a") {
		t.Errorf("a trigger = %d %s", a.status, a.body)
	}
	s.be(true)
	if a := w.ask("POST", "/__trigger", "", asOperator); a.status != http.StatusOK || !strings.Contains(a.body, `"ok":false`) {
		t.Errorf("a trigger of a red page = %d %s", a.status, a.body)
	}
	if i := w.incident("smoke-failed", makegood.IncidentOpen); !strings.Contains(i.Detail, "GET /a: [STATUS] == 200 (500)") {
		t.Errorf("the incident says %q", i.Detail)
	}
	w.message("phone", "P1 The test after a deploy failed")
	s.be(false)
	w.ask("POST", "/__trigger", "", asOperator)
	w.incident("smoke-failed", makegood.IncidentResolved)
}

// Whoever asks for the smoke test and goes away in the middle of it breaks nothing.
func TestSmokeGoesOn(t *testing.T) {
	t.Parallel()
	slow := make(chan struct{})
	asked := make(chan struct{}, 10)
	shop := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked <- struct{}{}; <-slow }))
	defer shop.Close()
	w := startTower(t, func(c *config.Watch) {
		c.Smoke = &config.SmokeTest{URL: shop.URL, Timeout: patience, Pages: []config.SmokePage{{Path: "/", Conditions: []string{"[STATUS] == 200"}}}}
	})
	ctx, cancel := context.WithCancel(t.Context())
	r, err := http.NewRequestWithContext(ctx, "POST", w.URL+"/__trigger", nil)
	w.must("make a request", err)
	asOperator(r)
	go func() { <-asked; cancel() }()
	if resp, err := http.DefaultClient.Do(r); err == nil {
		resp.Body.Close()
		t.Error("the request was answered, want it called off")
	}
	close(slow)
	result, err := w.Smoke(ctx) // it waits for the first to end, and does not mind that whoever asks is gone already
	if err != nil || !result.OK() || w.isOpen("smoke-failed") {
		t.Errorf("smoke = %+v, %v, and an incident: %v", result, err, w.isOpen("smoke-failed"))
	}
}

// A stop in the middle of a smoke test says nothing of the shop, and does not wait for it.
func TestStopEndsSmoke(t *testing.T) {
	t.Parallel()
	asked, never := make(chan struct{}, 10), make(chan struct{})
	shop := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked <- struct{}{}; <-never }))
	defer shop.Close()
	defer close(never)
	database := watchDatabase(t)
	change := func(c *config.Watch) {
		c.Smoke = &config.SmokeTest{URL: shop.URL, Timeout: time.Hour, Pages: []config.SmokePage{{Path: "/", Conditions: []string{"[STATUS] == 200"}}}}
	}
	w, err := newTower(t, database, change)
	if err != nil {
		t.Fatal(err)
	}
	w.run()
	ended := make(chan int, 1)
	go func() { ended <- w.ask("POST", "/__trigger", "", asOperator).status }()
	<-asked
	w.must("stop", w.stop())
	if status := <-ended; status != http.StatusServiceUnavailable {
		t.Errorf("the trigger = %d, want that the watcher stops", status)
	}
	if w, err = newTower(t, database, change); err != nil {
		t.Fatal(err)
	}
	w.run()
	if w.isOpen("smoke-failed") {
		t.Error("a stop is taken for a shop that is broken")
	}
}

// Two watchers look at one page: only what both see red is believed.
func TestSecondVantage(t *testing.T) {
	t.Parallel()
	s, second := newSite(t), newSite(t)
	shared := secret.New("the secret that two watchers share in tests")
	other := startTower(t, func(c *config.Watch) {
		c.Name, c.Monitors = "other", []config.Monitor{page("shop", second.URL)}
		c.Vantage = &config.Vantage{URL: "http://127.0.0.1:1", Secret: shared}
	})
	w := startTower(t, func(c *config.Watch) {
		m := page("shop", s.URL)
		m.Second = true
		c.Monitors, c.Vantage = []config.Monitor{m}, &config.Vantage{URL: other.URL, Secret: shared}
	})
	w.eventually("a look at the page", func() bool { return w.state("monitor/shop") == "up" })
	s.be(true)
	w.eventually("a note of the other's view", func() bool {
		m := w.info().Monitors
		return len(m) == 1 && m[0].State == monitor.Suspect && m[0].RedLooks > 6 && strings.Contains(m[0].Note, "the second vantage sees it well")
	})
	if w.isOpen("monitor/shop") {
		t.Fatal("what only one sees red is an incident")
	}
	second.be(true)
	w.incident("monitor/shop", makegood.IncidentOpen)
	for _, tt := range []struct {
		name, body string
		want       int
	}{{"unsigned", `{"key":"monitor/shop"}`, http.StatusUnauthorized}, {"too long", strings.Repeat("x", watch.BeatBytesMax+1), http.StatusRequestEntityTooLarge}} {
		if a := other.ask("POST", watch.LookPath, tt.body); a.status != tt.want {
			t.Errorf("a question that is %s = %d, want %d", tt.name, a.status, tt.want)
		}
	}
	if got := refusedAt(other.ask("GET", "/metrics", "").body, "look"); got != 1 {
		t.Errorf("%d refused questions are counted, want 1", got)
	}
	w.file = func() (*config.Watch, error) { // no vantage any more: it takes no questions
		return &config.Watch{Name: "tower", PublicURL: w.URL, Telling: phone(w.URL)}, nil
	}
	w.Reload(t.Context())
	if a := w.ask("POST", watch.LookPath, "{}"); a.status != http.StatusNotFound {
		t.Errorf("a question to a watcher without a vantage = %d", a.status)
	}
}

// What is wrong with a smoke test that cannot be built, or a database that another has, is said at the start.
func TestWatcherRefuses(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	server := startWorld(t, storetest.SQLite(t))
	database := server.Config.Database
	server.buy("az-900", 1, address("role"))
	server.quiet()

	refusedFor := func(name, database string, code makegood.Code, words string, change func(*config.Watch), options ...func(*app.Options)) {
		t.Helper()
		w, err := newTower(t, database, change, options...)
		if err == nil {
			w.run()
		}
		if err == nil || code != "" && makegood.CodeOf(err) != code || !strings.Contains(err.Error(), words) {
			t.Errorf("%s = %v, want %s with %q", name, err, code, words)
		}
	}
	refusedFor("the database of a server that runs", database, makegood.Conflict, "in use by process", nil)
	server.must("stop the server", server.StopServer())
	refusedFor("the database of a server", database, makegood.Conflict, "belongs to a server", nil)
	books, err := store.Open(t.Context(), database, store.Options{}) // one of before there were roles is known by its events
	server.must("open the books", err)
	server.must("change the role", books.KeepHouseValue(t.Context(), "role", watch.RoleWatcher))
	server.must("close the books", books.Close())
	refusedFor("the database of an old server", database, makegood.Conflict, "it has events of payments", nil)
	books, err = store.Open(t.Context(), database, store.Options{})
	server.must("open the books", err)
	server.must("change the role", books.KeepHouseValue(t.Context(), "role", watch.RoleServer))
	server.must("close the books", books.Close())
	server.must("start the server", server.RestartServer(t.Context(), store.Options{}, 0))

	w := startTower(t, func(c *config.Watch) { c.Monitors = []config.Monitor{page("shop", s.URL)} })
	its := "sqlite:" + filepath.Join(filepath.Dir(dbOf(w)), "watch.db")
	refusedFor("a second watcher on one database", its, makegood.Conflict, "in use by process", nil)
	w.must("stop", w.stop())
	o, _ := options(its)
	if world, err := demo.Start(t.Context(), o); err == nil || !strings.Contains(err.Error(), "belongs to a watcher") {
		if err == nil {
			_ = world.Stop()
		}
		t.Errorf("a server on the database of a watcher = %v", err)
	}
	if _, err := app.OpenDesk(t.Context(), server.Config, "", app.Options{}); err == nil {
		t.Error("a desk opened on the database of a server that runs")
	}

	fresh := func() string { return watchDatabase(t) }
	refusedFor("a condition that is none", fresh(), "", "monitor shop", func(c *config.Watch) {
		m := page("shop", s.URL)
		m.Conditions = []string{"[NOTHING] == 1"}
		c.Monitors = []config.Monitor{m}
	})
	refusedFor("two of one name", fresh(), "", "is taken", func(c *config.Watch) { c.Monitors = []config.Monitor{page("shop", s.URL), page("shop", s.URL)} })
	refusedFor("a monitor of nothing", fresh(), "", "says nothing of what to look at", func(c *config.Watch) { c.Monitors = []config.Monitor{{Name: "x"}} })
	refusedFor("a network that is none", fresh(), "", "network", func(c *config.Watch) { c.Network.Targets = []string{"nothing"} })
	refusedFor("a checkout without a server", fresh(), "", "needs the server section", func(c *config.Watch) {
		c.Checkout = []config.SyntheticCheckout{{Product: "az-900", Provider: "stripe"}}
	})
	refusedFor("a smoke test that cannot be built", fresh(), "", "smoke: the buy button could lead anywhere", func(c *config.Watch) {
		c.Smoke = &config.SmokeTest{URL: s.URL, Click: "/", Button: "/buy"}
	})
	refusedFor("a channel of no kind", fresh(), "", `there is no kind "pigeon"`, func(c *config.Watch) { c.Channels[0].Kind = "pigeon" })
	refusedFor("an address that is taken", fresh(), "", "is another watcher running there?", func(c *config.Watch) {
		c.Listen = strings.TrimPrefix(server.URL, "http://")
	}, func(o *app.Options) { o.Listener = nil })
}

// A round of its own, as cron makes it.
func TestOnce(t *testing.T) {
	t.Parallel()
	good, bad := newSite(t), newSite(t)
	bad.be(true)
	database := watchDatabase(t)
	round := func(ctx context.Context, url string) ([]monitor.Status, *tower, error) {
		w, err := newTower(t, database, func(c *config.Watch) {
			c.Monitors = []config.Monitor{page("shop", url), {Name: "job", Every: time.Second, Priority: makegood.P0,
				Heartbeat: &config.Heartbeat{Token: secret.New("a-token-of-the-job-0001"), Every: time.Millisecond, Grace: time.Millisecond}}}
		})
		if err != nil {
			t.Fatal(err)
		}
		statuses, err := w.Once(ctx)
		return statuses, w, err
	}
	statuses, w, err := round(t.Context(), good.URL)
	if err != nil || len(statuses) != 1 || statuses[0].State != monitor.Up || len(w.told()) != 0 {
		t.Errorf("a round over a page that is well = %+v, %v, told %+v", statuses, err, w.told())
	}
	statuses, w, err = round(t.Context(), bad.URL)
	if err != nil || len(statuses) != 1 || statuses[0].State != monitor.Down || len(w.told()) != 1 {
		t.Errorf("a round over a red page = %+v, %v, told %+v", statuses, err, w.told())
	}
	statuses, w, err = round(t.Context(), good.URL)
	if err != nil || statuses[0].State != monitor.Up || len(w.told()) != 1 || !strings.HasPrefix(w.told()[0].Title, "FIXED") {
		t.Errorf("the next round over a page that is well = %+v, %v, told %+v", statuses, err, w.told())
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err = round(ctx, good.URL); err == nil || !strings.Contains(err.Error(), "it was stopped before it was sure") {
		t.Errorf("a round that is stopped = %v", err)
	}
}

// A single round ends the incident of what a target may be the cause of: nobody mends it here, so nothing keeps it open.
func TestOnceWithTargets(t *testing.T) {
	t.Parallel()
	shop, database := newSite(t), watchDatabase(t)
	for _, red := range []bool{true, false} {
		shop.be(red)
		w, err := newTower(t, database, func(c *config.Watch) {
			c.Monitors = []config.Monitor{page("shop", shop.URL)}
			c.Heal.Targets = []config.HealTarget{{Name: "host", Kind: "command", Auto: true, Monitors: []string{"shop"}, Command: []string{"false"}, Status: []string{"true"}}}
		})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		if _, err := w.Once(ctx); err != nil || len(w.told()) != 1 || strings.HasPrefix(w.told()[0].Title, "FIXED") == red {
			t.Errorf("a round over a page that is red (%v) = %v, told %+v", red, err, w.told())
		}
	}
}

// The synthetic checkout buys at a real server without paying: green from end to end, and red when what is sold is not what
// should be.
func TestSyntheticCheckoutByWatcher(t *testing.T) {
	t.Parallel()
	server := startWorld(t, storetest.SQLite(t), withWatcher(""))
	w := startTower(t, func(c *config.Watch) {
		c.Server = watching(server.URL)
		for _, product := range []string{"az-900", "az-999"} {
			c.Checkout = append(c.Checkout, config.SyntheticCheckout{Product: product, Every: time.Second, Provider: "stripe", APIBase: server.StripeURL,
				APIKey: secret.New(demo.StripeKey), Amount: makegood.Money{Minor: 2900, Currency: "usd"}, Name: "AZ-900 practice exam"})
		}
	})
	w.incident("checkout-broken/az-999", makegood.IncidentOpen)
	w.message("phone", "P0 Nothing can be bought (az-999)")
	w.eventually("a checkout of what is sold", func() bool { return w.state("checkout-broken/az-900") == "up" })
	if w.isOpen("checkout-broken/az-900") {
		t.Error("what can be bought is an incident")
	}
	if m := server.ask("GET", "/metrics", "").body; !strings.Contains(m, `makegood_synthetic_checkouts_total{result="made"}`) {
		t.Errorf("the server does not know that the checkout is not a customer's:\n%s", m)
	}
}

// Services of telephone channels say afterwards what became of a message, in what is the outside address of the watcher.
func TestPhoneStatus(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.be(true)
	calls := simulate.NewTwilio(simulate.TwilioOptions{Fate: func(simulate.TwilioMessage) (string, string) { return "delivered", "" }})
	twilio := httptest.NewServer(calls)
	defer twilio.Close()
	defer calls.Close()
	w := startTower(t, func(c *config.Watch) {
		c.Monitors = []config.Monitor{page("shop", s.URL)}
		c.Channels = []config.Channel{{Name: "sms", Kind: "sms", URL: twilio.URL, Account: simulate.TwilioAccount, Token: secret.New(simulate.TwilioToken),
			From: "+15005550006", To: []string{"+15005550010"}}}
		c.Escalation = makegood.DefaultEscalation([]string{"sms"}, nil)
	})
	w.eventually("a notice that arrived", func() bool {
		i, err := w.Store.Incident(t.Context(), w.incident("monitor/shop", makegood.IncidentOpen).ID)
		return err == nil && len(i.Notices) > 0 && i.Notices[0].State == makegood.NoticeDelivered
	})
	for path, want := range map[string]int{"/notify/sms/status": http.StatusForbidden, "/notify/nobody/status": http.StatusNotFound} {
		if a := w.ask("POST", path, "MessageSid=SM1&MessageStatus=failed", func(r *http.Request) {
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			r.Header.Set("X-Twilio-Signature", "nothing")
		}); a.status != want {
			t.Errorf("POST %s = %d, want %d", path, a.status, want)
		}
	}
	if got := refusedAt(w.ask("GET", "/metrics", "").body, "phone"); got != 2 {
		t.Errorf("%d refused call-backs are counted, want 2", got)
	}
}

// dbOf is where the database of a watcher is.
func dbOf(w *tower) string {
	c, _ := w.file()
	return strings.TrimPrefix(c.Database, "sqlite:")
}

// The configuration of a watcher that is checked but not started.
func TestCheckWatch(t *testing.T) {
	t.Parallel()
	bad := &config.Watch{
		Monitors: []config.Monitor{page("ok", "http://127.0.0.1:1"), {Name: "disk", Disk: os.TempDir(), Conditions: []string{"[STATUS] == 200"}},
			{Name: "dns", DNS: &config.DNSLook{Name: "a.example", Type: "A"}, Conditions: []string{"[DNS_RCODE] == NOERROR"}},
			{Name: "port", TCP: "127.0.0.1:1", Conditions: []string{"[CONNECTED] == true"}}},
		Checkout: []config.SyntheticCheckout{{Product: "x", Provider: "stripe"}},
		Smoke:    &config.SmokeTest{URL: "http://127.0.0.1:1", Pages: []config.SmokePage{{Path: "/", Conditions: []string{"nonsense"}}}},
		Network:  config.Network{Targets: []string{"nothing"}},
		Telling:  config.Telling{Channels: []config.Channel{{Name: "post", Kind: "email"}, {Name: "bird", Kind: "pigeon"}}},
	}
	err := app.CheckWatch(bad)
	for _, words := range []string{"monitor disk", "checkout of x", "page /", "network", "channel post", "channel bird"} {
		if err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("the check = %v, want %q in it", err, words)
		}
	}
	if err != nil && (strings.Contains(err.Error(), "monitor ok") || strings.Contains(err.Error(), "monitor dns") || strings.Contains(err.Error(), "monitor port")) {
		t.Errorf("the check refuses what is good: %v", err)
	}
	if err := app.CheckWatch(&config.Watch{}); err != nil {
		t.Errorf("the check of nothing = %v", err)
	}
	for text, want := range map[string]bool{"[STATUS] == 200": true, "[STATUS] ==": false} {
		if err := app.WatchRules().Condition("url", text); (err == nil) != want {
			t.Errorf("the condition %q = %v", text, err)
		}
	}
}

// Every kind of channel can be built, over the API of its service and with mail by either way.
func TestEveryChannel(t *testing.T) {
	t.Parallel()
	token := secret.New("a-token-that-only-tests-use-here")
	c := &config.Watch{Name: "tower", PublicURL: "https://watch.example.net", Telling: config.Telling{
		Mail: &config.Mail{From: "tower@watch.example", Resend: &config.Resend{APIBase: "https://api.resend.com", APIKey: secret.New(demo.ResendKey)}},
		Channels: []config.Channel{
			{Name: "ntfy", Kind: "ntfy", URL: "https://ntfy.sh", Topic: "alerts"},
			{Name: "slack", Kind: "slack", URL: "https://slack.com", Token: secret.New(simulate.SlackToken), Room: "C0SIMULATED"},
			{Name: "email", Kind: "email", To: []string{"ops@example.com"}},
			{Name: "sms", Kind: "sms", URL: "https://api.twilio.com", Account: simulate.TwilioAccount, Token: secret.New(simulate.TwilioToken), From: "+15005550006", To: []string{"+15005550010"}},
			{Name: "github", Kind: "github", URL: "https://api.github.com", Token: token, Repo: "example/shop"},
			{Name: "webhook", Kind: "webhook", URL: "https://hooks.example.com/x", Token: secret.New("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")},
			{Name: "pagerduty", Kind: "pagerduty", URL: "https://events.pagerduty.com", Token: secret.New("0123456789abcdef0123456789abcdef")},
			{Name: "telegram", Kind: "telegram", URL: "https://api.telegram.org", Token: secret.New("123456789:AAabcdefghijklmnopqrstuvwxyz0123456"), Room: "-1001234567890"},
			{Name: "discord", Kind: "discord", Token: secret.New("https://discord.com/api/webhooks/123456789012345678/abcdefghijklmnopqrstuvwxyz0123456789abcdefghijklmnopqrstuvwxyz012345")},
		}}, Smoke: &config.SmokeTest{URL: "https://shop.example.com", Click: "/az-900", Button: "/api/checkout", Checkout: []string{"https://checkout.stripe.com/"}, Timeout: time.Second},
		Server:   &config.Watched{URL: "https://shop.example.com", Secret: peerSecret},
		Checkout: []config.SyntheticCheckout{{Product: "a", Provider: "paypal", ClientID: "x", APIKey: token, APIBase: "https://api-m.paypal.com", Amount: makegood.Money{Minor: 100, Currency: "usd"}}},
	}
	if err := app.CheckWatch(c); err != nil {
		t.Errorf("CheckWatch = %v", err)
	}
	c.Checkout[0].Provider = "gumroad"
	if err := app.CheckWatch(c); err == nil || !strings.Contains(err.Error(), `no synthetic checkout for "gumroad"`) {
		t.Errorf("CheckWatch = %v", err)
	}
}

// A service that says later that a message did not arrive is believed: the notice has failed.
func TestPhoneDidNotRing(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.be(true)
	calls := simulate.NewTwilio(simulate.TwilioOptions{Fate: func(simulate.TwilioMessage) (string, string) { return "undelivered", "30003" }})
	// It says so before it answers: sooner than the watcher can have written down that it was taken.
	calls.SetFaults(simulate.AlertFaults{FailAfter: func(*http.Request) int { time.Sleep(300 * time.Millisecond); return 0 }})
	twilio := httptest.NewServer(calls)
	defer twilio.Close()
	defer calls.Close()
	w := startTower(t, func(c *config.Watch) {
		c.Monitors = []config.Monitor{page("shop", s.URL)}
		c.Channels = []config.Channel{{Name: "sms", Kind: "sms", URL: twilio.URL, Account: simulate.TwilioAccount, Token: secret.New(simulate.TwilioToken),
			From: "+15005550006", To: []string{"+15005550010"}}}
		c.Escalation = makegood.DefaultEscalation([]string{"sms"}, nil)
	})
	i := w.incident("monitor/shop", makegood.IncidentOpen)
	w.eventually("a notice that did not arrive", func() bool {
		i, err := w.Store.Incident(t.Context(), i.ID)
		return err == nil && len(i.Notices) > 0 && i.Notices[0].State == makegood.NoticeFailed && strings.Contains(i.Notices[0].Error, "30003")
	})
}
