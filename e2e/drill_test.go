package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/demo"
	"github.com/makegood/makegood/internal/simulate"
	"github.com/makegood/makegood/internal/store"
)

// A drill is the whole house in processes of their own: the server, its watcher, and the services around them. Something is
// broken by a signal, and the time line is what people were told, as their channels saw it. The limits are those of SPEC
// (C14) and of the goals D1, A1 and A8. MAKEGOOD_DRILL=strict fails when one is missed; in the usual run, on a machine that
// may be busy with other tests, only what must happen is asked for, and the times are printed.

// drill is one such house.
type drill struct {
	t        *testing.T
	dir      string
	env      []string
	services demo.Addresses
	server   string // address with scheme
	watcher  string
	serverUp *process
	watchUp  *process
}

const drillServer = `listen: %[1]q
public_url: "http://%[1]s"
database: sqlite:server.db
node: shop
log: {level: info, format: text}
sources:
  - {name: stripe, provider: stripe, mode: test, api_base: %[3]q, api_key: env:STRIPE_API_KEY, webhook_secrets: [env:STRIPE_WEBHOOK_SECRET]}
products:
  - {code: az-900, name: AZ-900 practice exam, price: 29.00 USD}
licenses: {key_secrets: [{id: e2e, secret: env:LICENSE_KEY_SECRET}]}
mail: {from: E2E Shop <shop@e2e.example>, resend: {api_base: %[4]q, api_key: env:RESEND_API_KEY}}
limits: {verify_per_minute: 1000000, checkout_per_minute: 1000000}
outbound: {allow_private: true}
watcher: {secret: env:PEER_SECRET, silent_after: 30s}
channels:
  - {name: team, kind: slack, url: "%[5]s/slack", room: C0SIMULATED, token: env:SLACK_TOKEN}
  - {name: owner, kind: email, to: [owner@e2e.example]}
`

const drillWatcher = `name: tower
listen: %[2]q
public_url: "http://%[2]s"
database: sqlite:watch.db
log: {level: info, format: text}
drill: true
network: {targets: []}
server: {url: %[6]q, secret: env:PEER_SECRET}
monitors:
  - {name: health, url: "http://%[1]s/api/health", conditions: ["[STATUS] == 200", "[BODY].status == healthy"], priority: P0,
     means: Orders may not be made good.}
checkout:
  - {product: az-900, every: 60s, provider: stripe, mode: test, api_base: %[3]q, api_key: env:STRIPE_API_KEY, amount: 29.00 USD}
channels:
  - {name: push, kind: ntfy, url: "%[5]s/ntfy", topic: alerts}
  - {name: room, kind: slack, url: "%[5]s/slack", room: C0SIMULATED, token: env:SLACK_TOKEN}
  - {name: phone, kind: sms, url: "%[5]s/sms", account: %[7]q, token: env:TWILIO_TOKEN, from: "+15005550006", to: ["+15005550010"]}
  - {name: chief, kind: email, to: [chief@e2e.example]}
mail: {from: Tower <tower@e2e.example>, resend: {api_base: %[4]q, api_key: env:RESEND_API_KEY}}
outbound: {allow_private: true}
`

// newDrill starts the services and writes both configurations. seenAt is where the watcher finds the server; "" is where it
// is.
func newDrill(t *testing.T, around func(server string) (seenAt string)) *drill {
	t.Helper()
	d := &drill{t: t, dir: t.TempDir()}
	server, watcher := freeAddress(t), freeAddress(t)
	d.server, d.watcher = "http://"+server, "http://"+watcher
	d.env = []string{"STRIPE_API_KEY=" + demo.StripeKey, "STRIPE_WEBHOOK_SECRET=" + demo.WebhookSecret, "RESEND_API_KEY=" + demo.ResendKey,
		"LICENSE_KEY_SECRET=" + demo.LicenseSecret, "PEER_SECRET=the secret that server and watcher share in drills",
		"SLACK_TOKEN=" + simulate.SlackToken, "HOOK_SECRET=" + simulate.WebhookSecret, "TWILIO_TOKEN=" + simulate.TwilioToken}
	services := d.start("simulate", "--server", d.server)
	d.await(20*time.Second, "the services", func() bool { return json.Unmarshal([]byte(services.output()), &d.services) == nil })
	seenAt := d.server
	if around != nil {
		seenAt = around(d.server)
	}
	for name, text := range map[string]string{"makegood.yaml": drillServer, "watch.yaml": drillWatcher} {
		text = fmt.Sprintf(text+"# %[7]s%[6]s%[2]s%[5]s\n", server, watcher, d.services.Stripe, d.services.Resend, d.services.Channels, seenAt, simulate.TwilioAccount)
		if err := os.WriteFile(filepath.Join(d.dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return d
}

// start runs the program in the drill's folder.
func (d *drill) start(args ...string) *process {
	d.t.Helper()
	cmd := exec.Command(program(d.t), args...)
	cmd.Dir = d.dir
	return launch(d.t, cmd, d.env)
}

func (d *drill) openServer() {
	d.t.Helper()
	d.serverUp = d.start("serve")
	if _, err := d.serverUp.awaitReady(d.t.Context(), d.server); err != nil {
		d.t.Fatal(err)
	}
}

// openWatcher starts the watcher and waits until it is sure that all is well.
func (d *drill) openWatcher() {
	d.t.Helper()
	d.watchUp = d.start("watch")
	d.awaitSure()
}

func (d *drill) awaitSure() {
	d.t.Helper()
	d.await(60*time.Second, "a watcher that is sure", func() bool {
		var info struct {
			HeardAt  time.Time `json:"server_heard_at"`
			Monitors []struct {
				State string `json:"state"`
			} `json:"monitors"`
		}
		if !d.ask(d.watcher+"/", &info) || info.HeardAt.IsZero() {
			return false
		}
		for _, m := range info.Monitors {
			if m.State != "up" {
				return false
			}
		}
		return true
	})
}

func (d *drill) ask(url string, into any) bool {
	ctx, cancel := context.WithTimeout(d.t.Context(), 5*time.Second)
	defer cancel()
	status, body, err := get(ctx, http.DefaultClient, url)
	return err == nil && status == http.StatusOK && json.Unmarshal(body, into) == nil
}

func (d *drill) await(limit time.Duration, what string, is func() bool) {
	d.t.Helper()
	for deadline := time.Now().Add(limit); !is(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			d.t.Fatalf("no %s within %v", what, limit)
		}
	}
}

// taken is everything that the channels took since a time, oldest first, the tests of the channels left out.
func (d *drill) taken(since time.Time) []simulate.Accepted {
	var all []simulate.Accepted
	for _, url := range []string{d.services.Channels + "/log", d.services.Resend + "/log"} {
		var some []simulate.Accepted
		if d.ask(url, &some) {
			all = append(all, some...)
		}
	}
	all = slices.DeleteFunc(all, func(a simulate.Accepted) bool {
		return a.At.Before(since) || strings.Contains(a.Title, "test") || a.Kind == "call_back" || strings.HasPrefix(a.Title, "Your")
	})
	slices.SortStableFunc(all, func(a, b simulate.Accepted) int { return a.At.Compare(b.At) })
	return all
}

// first waits for the first message of each channel after a time whose title has a word in it.
func (d *drill) first(since time.Time, limit time.Duration, word string, channels ...string) map[string]time.Time {
	d.t.Helper()
	found := map[string]time.Time{}
	d.await(limit, fmt.Sprintf("%q over %v", word, channels), func() bool {
		for _, a := range d.taken(since) {
			if _, ok := found[a.Channel]; !ok && strings.Contains(a.Title, word) && slices.Contains(channels, a.Channel) {
				found[a.Channel] = a.At
			}
		}
		return len(found) == len(channels)
	})
	return found
}

// within compares a time with its limit: in a strict drill it must keep it.
func (d *drill) within(what string, took, limit time.Duration) {
	d.t.Helper()
	d.t.Logf("  %-66s %8s  (at most %v)", what, took.Round(10*time.Millisecond), limit)
	if took > limit && os.Getenv("MAKEGOOD_DRILL") == "strict" {
		d.t.Errorf("%s took %v, want at most %v", what, took, limit)
	}
}

func latest(times map[string]time.Time) time.Time {
	var last time.Time
	for _, at := range times {
		if at.After(last) {
			last = at
		}
	}
	return last
}

func earliest(times map[string]time.Time) time.Time {
	var first time.Time
	for _, at := range times {
		if first.IsZero() || at.Before(first) {
			first = at
		}
	}
	return first
}

// incident waits for the incident of a key in a database of the drill, which a process holds.
func (d *drill) incident(database, key string, since time.Time) *makegood.Incident {
	d.t.Helper()
	s, err := store.OpenReading(d.t.Context(), "sqlite:"+filepath.Join(d.dir, database))
	if err != nil {
		d.t.Fatal(err)
	}
	defer s.Close()
	var found *makegood.Incident
	d.await(2*time.Minute, "incident "+key, func() bool {
		list, err := s.Incidents(d.t.Context(), store.IncidentFilter{Key: key, Since: since, Limit: 1})
		if err != nil || len(list) == 0 {
			return false
		}
		found, err = s.Incident(d.t.Context(), list[0].ID)
		return err == nil
	})
	return found
}

// TestDrillServerKilled kills the server: it is found, everybody is told at once, and everybody is told when it is back.
func TestDrillServerKilled(t *testing.T) {
	t.Parallel()
	d := newDrill(t, nil)
	d.openServer()
	d.openWatcher()
	began := time.Now()
	if err := d.serverUp.kill(); err != nil {
		t.Fatal(err)
	}
	everybody := []string{"ntfy", "slack", "sms", "email"}
	told := d.first(began, 2*time.Minute, "P0", everybody...)
	i := d.incident("watch.db", "monitor/health", began)
	t.Log("the server is killed at T+0")
	d.within("detected", i.OpenedAt.Sub(began), 25*time.Second)
	d.within("first channel after it", earliest(told).Sub(i.OpenedAt), 3*time.Second)
	d.within("every channel of P0 after it", latest(told).Sub(i.OpenedAt), 10*time.Second)
	back := time.Now()
	d.openServer()
	over := d.first(back, 2*time.Minute, "FIXED", everybody...)
	d.within("server started again until everybody is told", latest(over).Sub(back), 60*time.Second)
	for _, a := range d.taken(began) {
		t.Logf("  T+%-8s %-6s %s", a.At.Sub(began).Round(10*time.Millisecond), a.Channel, a.Title)
	}
}

// proxy passes bytes on between watcher and server until it is cut.
type proxy struct {
	*httptest.Server
	isCut atomic.Bool
}

func newProxy(t *testing.T, target string) *proxy {
	p := &proxy{}
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if p.isCut.Load() {
			panic(http.ErrAbortHandler)
		}
		out, err := http.NewRequestWithContext(r.Context(), r.Method, target+r.URL.RequestURI(), r.Body)
		if err != nil {
			panic(err)
		}
		out.Header = r.Header.Clone()
		out.ContentLength = r.ContentLength
		resp, err := http.DefaultTransport.RoundTrip(out)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		defer resp.Body.Close()
		for k, v := range resp.Header {
			w.Header()[k] = v
		}
		w.WriteHeader(resp.StatusCode)
		buffer := make([]byte, 32<<10)
		for {
			n, err := resp.Body.Read(buffer)
			if _, werr := w.Write(buffer[:n]); err != nil || werr != nil {
				return
			}
		}
	}))
	t.Cleanup(p.Close)
	return p
}

// TestDrillGone takes one side away in seven ways, each in a house of its own and all at the same time, because a drill is
// mostly waiting. The other side pages its own people, and tells them when it is over. That the server is killed is a drill
// of its own.
func TestDrillGone(t *testing.T) {
	t.Parallel()
	serversPeople, watchersPeople := []string{"slack", "email"}, []string{"ntfy", "slack", "sms", "email"}
	ways := []struct {
		name   string
		strike func(d *drill, p *proxy) (mend func())
		word   string // in the title
		people []string
	}{
		{"the watcher is killed", func(d *drill, _ *proxy) func() {
			if err := d.watchUp.kill(); err != nil {
				d.t.Fatal(err)
			}
			return func() { d.watchUp = d.start("watch") }
		}, "The watcher", serversPeople},
		{"the watcher is stopped", func(d *drill, _ *proxy) func() {
			d.signal(d.watchUp, syscall.SIGSTOP)
			return func() { d.signal(d.watchUp, syscall.SIGCONT) }
		}, "The watcher", serversPeople},
		{"the watcher's disk is full", func(d *drill, _ *proxy) func() {
			d.fillDisk(d.watchUp, true)
			return func() { d.fillDisk(d.watchUp, false) }
		}, "The watcher", serversPeople},
		{"the watcher is cut off", func(_ *drill, p *proxy) func() {
			p.isCut.Store(true)
			return func() { p.isCut.Store(false) }
		}, "The watcher", serversPeople},
		{"the server is stopped", func(d *drill, _ *proxy) func() {
			d.signal(d.serverUp, syscall.SIGSTOP)
			return func() { d.signal(d.serverUp, syscall.SIGCONT) }
		}, "P0", watchersPeople},
		{"the server's disk is full", func(d *drill, _ *proxy) func() {
			d.fillDisk(d.serverUp, true)
			return func() { d.fillDisk(d.serverUp, false) }
		}, "P0", watchersPeople},
		{"the server is cut off", func(_ *drill, p *proxy) func() {
			p.isCut.Store(true)
			return func() { p.isCut.Store(false) }
		}, "P0", watchersPeople},
	}
	drills, proxies := make([]*drill, len(ways)), make([]*proxy, len(ways))
	for n := range ways {
		drills[n] = newDrill(t, func(server string) string { proxies[n] = newProxy(t, server); return proxies[n].URL })
		drills[n].openServer()
		drills[n].watchUp = drills[n].start("watch")
	}
	for _, d := range drills {
		d.awaitSure()
	}
	began, mends := make([]time.Time, len(ways)), make([]func(), len(ways))
	for n, way := range ways {
		began[n] = time.Now()
		mends[n] = way.strike(drills[n], proxies[n])
	}
	for n, way := range ways {
		told := drills[n].first(began[n], 3*time.Minute, way.word, way.people...)
		drills[n].within(way.name+", the other side's people are told", latest(told).Sub(began[n]), 60*time.Second)
	}
	back := time.Now()
	for _, mend := range mends {
		mend()
	}
	for n, way := range ways {
		over := drills[n].first(back, 3*time.Minute, "FIXED", way.people...)
		drills[n].within(way.name+", mended until they are told", latest(over).Sub(back), 2*time.Minute)
	}
}

func (d *drill) signal(p *process, s syscall.Signal) {
	d.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		d.t.Fatal(err)
	}
}

// fillDisk lets a process write no byte more into any file, which is what a full disk is to it: writes end with an error.
func (d *drill) fillDisk(p *process, full bool) {
	d.t.Helper()
	limit := "unlimited"
	if full {
		limit = "1"
	}
	out, err := exec.Command("prlimit", "--pid", strconv.Itoa(p.cmd.Process.Pid), "--fsize="+limit+":unlimited").CombinedOutput()
	if err != nil {
		d.t.Fatalf("prlimit: %v %s", err, out)
	}
}

// TestDrillTellerKilled kills the watcher over and over while something breaks and mends; whoever was told that it began is
// told that it is over, and hardly anything twice. MAKEGOOD_KILLS asks for more kills than the usual run makes.
func TestDrillTellerKilled(t *testing.T) {
	t.Parallel()
	kills := 8
	if more, err := strconv.Atoi(os.Getenv("MAKEGOOD_KILLS")); err == nil {
		kills = more
	}
	var isRed atomic.Bool
	page := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if isRed.Load() {
			w.WriteHeader(http.StatusInternalServerError)
		}
	}))
	defer page.Close()
	d := newDrill(t, nil)
	d.openServer()
	monitors := ""
	for n := range 5 {
		monitors += fmt.Sprintf("  - {name: page%d, url: %q, priority: P0, every: 1s, again: 300ms, failures: 2, successes: 1, timeout: 500ms}\n", n, page.URL)
	}
	path := filepath.Join(d.dir, "watch.yaml")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	channels := "" // many, so that kills strike while something is told
	for n := range 30 {
		channels += fmt.Sprintf("  - {name: hook%d, kind: webhook, url: \"%s/webhook/in\", token: env:HOOK_SECRET}\n", n, d.services.Channels)
	}
	widened := strings.NewReplacer("monitors:\n", "monitors:\n"+monitors, "channels:\n", "channels:\n"+channels).Replace(string(text))
	if err := os.WriteFile(path, []byte(widened), 0o600); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	for n := range kills {
		isRed.Store(n%10 < 5) // red over some lives, green over others
		d.watchUp = d.start("watch")
		time.Sleep(time.Duration(500+n*977%2500) * time.Millisecond)
		if err := d.watchUp.kill(); err != nil {
			t.Fatal(err)
		}
	}
	// One outage that somebody must hear of, however it went before.
	isRed.Store(true)
	d.openRed()
	isRed.Store(false)
	d.await(2*time.Minute, "an end of everything", func() bool {
		s, err := store.OpenReading(t.Context(), "sqlite:"+filepath.Join(d.dir, "watch.db"))
		if err != nil {
			return false
		}
		defer s.Close()
		open, err := s.OpenIncidents(t.Context())
		waiting, waitingErr := s.WaitingNotices(t.Context())
		return err == nil && waitingErr == nil && len(open) == 0 && len(waiting) == 0
	})
	d.judge(kills, began)
}

// openRed starts the watcher and waits until it has told somebody of everything that is wrong.
func (d *drill) openRed() {
	d.t.Helper()
	d.watchUp = d.start("watch")
	d.await(7*time.Minute, "a telling", func() bool {
		s, err := store.OpenReading(d.t.Context(), "sqlite:"+filepath.Join(d.dir, "watch.db"))
		if err != nil {
			return false
		}
		defer s.Close()
		list, err := s.Incidents(d.t.Context(), store.IncidentFilter{Open: true})
		if err != nil || len(list) < 5 {
			return false
		}
		for _, header := range list {
			i, err := s.Incident(d.t.Context(), header.ID)
			if err != nil {
				return false
			}
			for _, n := range i.Notices {
				if n.IsAlarm() && n.HasTold() {
					return true
				}
			}
		}
		return false
	})
}

// judge compares what the database says was told with what the channels took.
func (d *drill) judge(kills int, began time.Time) {
	t := d.t
	s, err := store.OpenReading(t.Context(), "sqlite:"+filepath.Join(d.dir, "watch.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	list, err := s.Incidents(t.Context(), store.IncidentFilter{})
	if err != nil {
		t.Fatal(err)
	}
	messages := map[string]bool{}
	told := 0
	for _, header := range list {
		i, err := s.Incident(t.Context(), header.ID)
		if err != nil {
			t.Fatal(err)
		}
		begun, ended := map[string]int{}, map[string]int{}
		for _, n := range i.Notices {
			if n.MessageID != "" && n.HasTold() {
				messages[n.Channel+n.MessageID] = true
			}
			switch {
			case n.IsAlarm() && n.HasTold():
				begun[n.Channel] = max(begun[n.Channel], n.Span+1)
				told++
			case !n.IsAlarm() && n.HasTold():
				ended[n.Channel] = max(ended[n.Channel], n.Span+1)
			}
		}
		for channel, span := range begun {
			if ended[channel] < span {
				t.Errorf("%s was told that %s (%s) began and not that it is over", channel, i.ID, i.Key)
			}
		}
	}
	// Slack's first message is turned green beside the word of the end; that is no message of its own.
	taken := len(slices.DeleteFunc(d.taken(began), func(a simulate.Accepted) bool { return a.Channel == "slack" && a.Kind == "update" }))
	repeated := taken - len(messages)
	t.Logf("%d kills, %d incidents, %d alarms, %d messages in the database, %d taken by the channels, %d repeated", kills, len(list), told, len(messages), taken, repeated)
	if told == 0 || len(messages) == 0 {
		t.Error("nothing was told; the drill says nothing")
	}
	if repeated > max(1, len(messages)/100) {
		t.Errorf("%d of %d messages were repeated, want one in a hundred at most", repeated, taken)
	}
}
