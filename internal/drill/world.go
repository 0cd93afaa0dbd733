package drill

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/demo"
	"github.com/makegood/makegood/internal/secret"
	"github.com/makegood/makegood/internal/simulate"
	"github.com/makegood/makegood/internal/store"
	"github.com/makegood/makegood/internal/vault"
)

// world is everything that takes part in a drill.
type world struct {
	o   Options
	dir string
	own bool // the folder is ours to remove
	ctx context.Context

	env                            []string
	server, watcher                string // addresses with scheme
	provider, mail, channels, host string
	processes                      map[string]*process
	secrets                        map[string]string // what the truth has
	keys                           vault.Keys
	began                          time.Time // T+0
	foundIn, foundKey              string    // the incident that it became, and in which database
	mu                             sync.Mutex
	timeline                       []makegood.DrillMoment
	checks                         []makegood.DrillCheck
}

// serverSecrets are what the server cannot start without.
var serverSecrets = []string{"STRIPE_API_KEY", "STRIPE_WEBHOOK_SECRET", "RESEND_API_KEY", "LICENSE_KEY_SECRET", "WATCH_SECRET", "SLACK_TOKEN"}

const peerSecret = "the secret that server and watcher share in drills"

// newWorld starts the services and the host, the server on it, and the watcher, and waits until all is well.
func newWorld(ctx context.Context, o Options) (_ *world, err error) {
	w := &world{o: o, ctx: ctx, dir: o.Dir, processes: map[string]*process{}, began: time.Now(),
		secrets: map[string]string{"STRIPE_API_KEY": demo.StripeKey, "STRIPE_WEBHOOK_SECRET": demo.WebhookSecret, "RESEND_API_KEY": demo.ResendKey,
			"LICENSE_KEY_SECRET": demo.LicenseSecret, "WATCH_SECRET": peerSecret, "SLACK_TOKEN": simulate.SlackToken}}
	defer func() {
		if err != nil {
			w.close()
		}
	}()
	if w.dir == "" {
		if w.dir, err = os.MkdirTemp("", "makegood-drill-"); err != nil {
			return nil, err
		}
		w.own = true
	}
	if w.dir, err = filepath.Abs(w.dir); err != nil {
		return nil, err
	}
	if w.keys, err = vault.NewKeys(); err != nil {
		return nil, err
	}
	w.env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + w.dir, "TMPDIR=" + os.TempDir(), "PEER_SECRET=" + peerSecret, "SLACK_TOKEN=" + simulate.SlackToken, "TWILIO_TOKEN=" + simulate.TwilioToken,
		"TRUTH_IDENTITY=" + w.keys.Identity.Reveal(), "WATCH_STRIPE_KEY=" + demo.StripeKey, "WATCH_RESEND_KEY=" + demo.ResendKey}
	server, err := freeAddress()
	if err != nil {
		return nil, err
	}
	watcher, err := freeAddress()
	if err != nil {
		return nil, err
	}
	w.server, w.watcher = "http://"+server, "http://"+watcher
	w.say("drill", "starting the provider, the mail service, the channels and a host (%s), each in a process of its own", o.Host)
	for _, part := range []struct {
		kind string
		url  *string
		args []string
	}{
		{demo.PartProvider, &w.provider, []string{"--server", w.server}}, {demo.PartMail, &w.mail, nil}, {demo.PartChannels, &w.channels, nil},
	} {
		if *part.url, err = w.startPart(part.kind, part.args...); err != nil {
			return nil, err
		}
	}
	if err := w.writeServer("makegood.yaml", "az-900"); err != nil {
		return nil, err
	}
	if err := w.startHost(); err != nil {
		return nil, err
	}
	if err := w.seal(); err != nil {
		return nil, err
	}
	if err := w.write("watch.yaml", watcherFile, w.values()); err != nil {
		return nil, err
	}
	if err := w.startWatcher(); err != nil {
		return nil, err
	}
	return w, w.awaitWell()
}

// startPart starts one part in a process of its own and returns its address.
func (w *world) startPart(kind string, args ...string) (string, error) {
	p, err := w.start(kind, append([]string{"simulate", "--only", kind}, args...)...)
	if err != nil {
		return "", err
	}
	var said struct {
		URL string `json:"url"`
	}
	err = w.await(20*time.Second, "the "+kind, func() bool { return json.Unmarshal(p.output(), &said) == nil })
	return said.URL, err
}

func (w *world) startHost() error {
	var err error
	switch w.o.Host {
	case HostPages:
		for name, value := range w.secrets { // what the host is given at first; it keeps them from here on
			w.env = append(w.env, name+"="+value)
		}
		given := len(w.env)
		w.host, err = w.startPart(demo.PartPages, "--dir", w.dir, "--variables", strings.Join(serverSecrets, ","), "--build", w.scaled(w.o.Build).String())
		w.env = w.env[:given-len(w.secrets)] // and nobody else has them
		if err == nil {
			err = os.WriteFile(filepath.Join(w.dir, "token"), []byte(simulate.PagesKey), 0o600)
		}
	case HostEnvFile:
		var lines strings.Builder
		for _, name := range serverSecrets {
			fmt.Fprintf(&lines, "%s=%q\n", name, w.secrets[name])
		}
		if err = os.WriteFile(filepath.Join(w.dir, "env"), []byte(lines.String()), 0o600); err != nil {
			return err
		}
		w.host, err = w.startPart(demo.PartBox, "--dir", w.dir, "--env-file", filepath.Join(w.dir, "env"))
	}
	if err != nil {
		return err
	}
	return w.await(20*time.Second, "server on the host", func() bool { return w.isReady() })
}

func (w *world) isReady() bool {
	ctx, cancel := context.WithTimeout(w.ctx, 2*time.Second)
	defer cancel()
	status, _, err := w.call(ctx, http.MethodGet, w.server+"/readyz", nil)
	return err == nil && status == http.StatusOK
}

// seal makes the source of truth.
func (w *world) seal() error {
	values := map[string]secret.Value{}
	for name, value := range w.secrets {
		values[name] = secret.New(value)
	}
	_, err := vault.Seal(vault.Sealing{Path: filepath.Join(w.dir, "truth.sealed"), Recipients: []string{w.keys.Recipient}, SigningKey: w.keys.SigningKey,
		Identity: w.keys.Identity, Mode: secret.Test}, values, time.Now())
	return err
}

func (w *world) startWatcher() error {
	_, err := w.start("watcher", "watch", "-w", "watch.yaml")
	return err
}

// awaitWell waits until the watcher is sure that all is well.
func (w *world) awaitWell() error {
	w.say("drill", "waiting until the watcher is sure that all is well")
	unsure := "it does not answer"
	err := w.await(2*time.Minute, "watcher that is sure that all is well", func() bool {
		unsure = w.unsure()
		return unsure == ""
	})
	if err != nil {
		return fmt.Errorf("%w: %s", err, unsure)
	}
	return nil
}

// unsure is what the watcher is not sure of, or knows to be wrong; "" is nothing.
func (w *world) unsure() string {
	var info struct {
		HeardAt   time.Time `json:"server_heard_at"`
		Incidents []string  `json:"open_incidents"`
		Monitors  []struct {
			Key   string `json:"key"`
			State string `json:"state"`
		} `json:"monitors"`
	}
	if err := w.ask(w.watcher+"/", &info); err != nil {
		return err.Error()
	}
	if info.HeardAt.IsZero() {
		return "the server was not heard"
	}
	if len(info.Incidents) > 0 {
		return "open: " + strings.Join(info.Incidents, ", ")
	}
	for _, m := range info.Monitors {
		if m.State != "up" {
			return m.Key + " is " + m.State
		}
	}
	return ""
}

// scaled is a time of real life as it is in this drill.
func (w *world) scaled(d time.Duration) time.Duration {
	return time.Duration(float64(d) / w.o.Scale)
}

// values are what the configuration files are filled with.
func (w *world) values() map[string]string {
	v := map[string]string{"server": w.server, "watcher": w.watcher, "provider": w.provider, "mail": w.mail, "channels": w.channels, "host": w.host,
		"serverListen": strings.TrimPrefix(w.server, "http://"), "watcherListen": strings.TrimPrefix(w.watcher, "http://"),
		"verifyKey": w.keys.VerifyKey, "pagesAccount": simulate.PagesAccount, "pagesName": simulate.PagesName, "program": w.o.Program,
		"twilio": simulate.TwilioAccount, "target": targetFile[w.o.Host]}
	for name, d := range map[string]time.Duration{"100ms": 100 * time.Millisecond, "1s": time.Second, "1500ms": 1500 * time.Millisecond, "5s": 5 * time.Second, "10s": 10 * time.Second,
		"15s": 15 * time.Second, "20s": 20 * time.Second, "30s": 30 * time.Second, "60s": time.Minute, "61s": 61 * time.Second, "6m": 6 * time.Minute} {
		v["t"+name] = w.scaled(d).String()
	}
	v["timeout"] = max(w.scaled(5*time.Second), time.Second).String()
	v["watcherSilent"] = max(w.scaled(30*time.Second), time.Second).String()
	v["after"] = max(w.scaled(61*time.Second), time.Second).String()
	v["verifyWithin"] = max(w.scaled(time.Minute), 5*time.Second).String()
	v["checkEvery"] = max(w.scaled(time.Minute), time.Second).String()
	return v
}

// serverFile is the server's configuration. The checks that ask others look as often as they do by default, in the time of the
// drill.
const serverFile = `listen: "{serverListen}"
public_url: "{server}"
database: sqlite:server.db
node: shop
sources:
  - {name: stripe, provider: stripe, mode: test, api_base: "{provider}", api_key: env:STRIPE_API_KEY, webhook_secrets: [env:STRIPE_WEBHOOK_SECRET]}
products:
  - {code: {product}, name: AZ-900 practice exam, price: 29.00 USD}
licenses: {key_secrets: [{id: drill, secret: env:LICENSE_KEY_SECRET}]}
mail: {from: Drill Shop <shop@drill.example>, resend: {api_base: "{mail}", api_key: env:RESEND_API_KEY}}
limits: {verify_per_minute: 100000, checkout_per_minute: 100000}
outbound: {allow_private: true}
watcher: {secret: env:WATCH_SECRET, silent_after: {watcherSilent}}
checks:
  - {code: provider-unreachable, every: {checkEvery}}
  - {code: mail-unreachable, every: {checkEvery}}
  - {code: undelivered-events, every: {checkEvery}}
channels:
  - {name: team, kind: slack, url: "{channels}/slack", room: C0SIMULATED, token: env:SLACK_TOKEN}
  - {name: owner, kind: email, to: [owner@drill.example]}
`

// watcherFile is the watcher's.
const watcherFile = `name: tower
listen: "{watcherListen}"
public_url: "{watcher}"
database: sqlite:watch.db
drill: true
network: {targets: []}
server: {url: "{server}", secret: env:PEER_SECRET, every: {t10s}, silent_after: {t20s}}
monitors:
  - {name: health, url: "{server}/api/health", conditions: ["[STATUS] == 200", "[BODY].status == healthy"], priority: P0, means: Orders may not be made good.,
     every: {t10s}, again: {t1500ms}, timeout: {timeout}}
checkout:
  - {product: az-900, every: {checkEvery}, provider: stripe, mode: test, api_base: "{provider}", api_key: env:WATCH_STRIPE_KEY, amount: 29.00 USD}
secrets:
  source: sealed
  path: truth.sealed
  identity: env:TRUTH_IDENTITY
  verify_key: {verifyKey}
  mode: test
  required:
    - {name: STRIPE_API_KEY, kind: stripe_key, places: [shop, server]}
    - {name: STRIPE_WEBHOOK_SECRET, kind: stripe_webhook, places: [shop, server]}
    - {name: RESEND_API_KEY, kind: resend_key, places: [shop, server]}
    - {name: LICENSE_KEY_SECRET, kind: license_key, places: [shop, server]}
    - {name: WATCH_SECRET, kind: peer, places: [shop, server]}
    - {name: SLACK_TOKEN, kind: slack_token, places: [shop, server]}
heal:
  targets:
    - {target}
channels:
  - {name: push, kind: ntfy, url: "{channels}/ntfy", topic: alerts}
  - {name: room, kind: slack, url: "{channels}/slack", room: C0SIMULATED, token: env:SLACK_TOKEN}
  - {name: phone, kind: sms, url: "{channels}/sms", account: {twilio}, token: env:TWILIO_TOKEN, from: "+15005550006", to: ["+15005550010"]}
  - {name: chief, kind: email, to: [chief@drill.example]}
mail: {from: Tower <tower@drill.example>, resend: {api_base: "{mail}", api_key: env:WATCH_RESEND_KEY}}
outbound: {allow_private: true}
`

// targetFile is the place where the server runs.
var targetFile = map[string]string{
	HostPages: `{name: shop, kind: cloudflare_pages, auto: true, monitors: [health], account: {pagesAccount}, project: {pagesName}, token: "file:token", api_base: "{host}", after: {after}, verify_within: {verifyWithin}}`,
	HostEnvFile: `{name: shop, kind: env_file, auto: true, monitors: [health], path: env, command: ["{program}", simulate, --restart, "{host}/_box"],
       status: ["{program}", simulate, --alive, "{host}/_box"], after: {after}, verify_within: {verifyWithin}}`,
}

// write fills in a file.
func (w *world) write(name, text string, values map[string]string) error {
	for range 2 { // a value may have places of its own
		for key, value := range values {
			text = strings.ReplaceAll(text, "{"+key+"}", value)
		}
	}
	return os.WriteFile(filepath.Join(w.dir, name), []byte(text), 0o600)
}

// writeServer writes the server's configuration with a product code.
func (w *world) writeServer(name, product string) error {
	values := w.values()
	values["product"] = product
	return w.write(name, serverFile, values)
}

func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// await waits until something is so. limit is real time: what has to happen is given time on a busy machine too, and whether it
// was soon enough is another question.
func (w *world) await(limit time.Duration, what string, is func() bool) error {
	for deadline := time.Now().Add(limit); !is(); {
		if time.Now().After(deadline) {
			return fmt.Errorf("no %s within %v", what, limit)
		}
		select {
		case <-w.ctx.Done():
			return fmt.Errorf("it was stopped while waiting for %s: %w", what, w.ctx.Err())
		case <-time.After(50 * time.Millisecond):
		}
	}
	return nil
}

func (w *world) call(ctx context.Context, method, url string, body any) (status int, answer []byte, err error) {
	var content bytes.Buffer
	if body != nil {
		if err := json.NewEncoder(&content).Encode(body); err != nil {
			return 0, nil, err
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, url, &content)
	if err != nil {
		return 0, nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	answer, err = io.ReadAll(io.LimitReader(resp.Body, 4<<20))
	return resp.StatusCode, answer, err
}

// order tells a part of the world to do something.
func (w *world) order(url string, body any) error {
	ctx, cancel := context.WithTimeout(w.ctx, 10*time.Second)
	defer cancel()
	status, answer, err := w.call(ctx, http.MethodPost, url, body)
	if err == nil && status >= 300 {
		err = fmt.Errorf("%s answered %d: %s", url, status, strings.TrimSpace(string(answer)))
	}
	return err
}

func (w *world) ask(url string, into any) error {
	ctx, cancel := context.WithTimeout(w.ctx, 5*time.Second)
	defer cancel()
	status, answer, err := w.call(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	if status != http.StatusOK {
		return fmt.Errorf("%s answered %d", url, status)
	}
	return json.Unmarshal(answer, into)
}

// say writes a line of the time line.
func (w *world) say(who, format string, args ...any) {
	m := makegood.DrillMoment{At: time.Since(w.began), Who: who, What: fmt.Sprintf(format, args...)}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.timeline = append(w.timeline, m)
	if w.o.Log != nil {
		fmt.Fprintln(w.o.Log, m)
	}
}

// saidAt writes a line of something that happened at another moment than now.
func (w *world) saidAt(at time.Time, who, what string) {
	m := makegood.DrillMoment{At: at.Sub(w.began), Who: who, What: what}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.timeline = append(w.timeline, m)
	if w.o.Log != nil {
		fmt.Fprintln(w.o.Log, m)
	}
}

// strike marks T+0: the timeline of before is let go.
func (w *world) strike(what string) {
	w.mu.Lock()
	w.timeline, w.began = nil, time.Now()
	w.mu.Unlock()
	w.say("drill", "%s", what)
}

// check records that something happened, how long it took and how long it may.
func (w *world) check(what string, took, limit, aim time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.checks = append(w.checks, makegood.DrillCheck{What: what, Took: took, Limit: w.scaled(limit), Aim: w.scaled(aim)})
}

// missing records that something did not happen.
func (w *world) missing(what, why string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.checks = append(w.checks, makegood.DrillCheck{What: what, Missing: why})
}

// must records that something is so.
func (w *world) must(what string, is bool, why string) {
	if is {
		w.check(what, 0, 0, 0)
	} else {
		w.missing(what, why)
	}
}

func (w *world) result(name string) makegood.DrillResult {
	w.mu.Lock()
	defer w.mu.Unlock()
	line := slices.Clone(w.timeline)
	slices.SortStableFunc(line, func(a, b makegood.DrillMoment) int { return int(a.At - b.At) })
	return makegood.DrillResult{Drill: name, Host: w.o.Host, Scale: w.o.Scale, BeganAt: w.began.UTC(), Timeline: line, Checks: slices.Clone(w.checks)}
}

// close ends every process that was started, and removes the folder.
func (w *world) close() {
	for _, p := range w.processes {
		p.end()
	}
	if w.own {
		_ = os.RemoveAll(w.dir) // a folder in the place for temporary ones
	}
}

// reading opens a database of the drill beside the process that has it.
func (w *world) reading(name string, see func(*store.Store) error) error {
	s, err := store.OpenReading(w.ctx, "sqlite:"+filepath.Join(w.dir, name))
	if err != nil {
		return err
	}
	return errors.Join(see(s), s.Close())
}

// incidents are those of a database that opened after T+0, oldest first.
func (w *world) incidents(database string) []makegood.Incident {
	var list []makegood.Incident
	err := w.reading(database, func(s *store.Store) (err error) {
		list, err = s.Incidents(w.ctx, store.IncidentFilter{Since: w.began, Limit: 100})
		return err
	})
	if err != nil {
		return nil // the process may be starting; whoever waits asks again
	}
	slices.Reverse(list)
	return list
}

// attempts are those at healing since T+0, oldest first, refusals included.
func (w *world) attempts() []makegood.HealAttempt {
	var list []makegood.HealAttempt
	err := w.reading("watch.db", func(s *store.Store) (err error) {
		list, err = s.Attempts(w.ctx, store.AttemptFilter{Limit: 100})
		return err
	})
	if err != nil {
		return nil
	}
	slices.Reverse(list)
	return slices.DeleteFunc(list, func(a makegood.HealAttempt) bool { return a.StartedAt.Before(w.began) })
}

// taken is everything that the channels took since a time, oldest first; the tests of the channels are left out.
func (w *world) taken(since time.Time) []simulate.Accepted {
	var all []simulate.Accepted
	for _, url := range []string{w.channels + "/log", w.mail + "/log"} {
		var some []simulate.Accepted
		if w.ask(url, &some) == nil {
			all = append(all, some...)
		}
	}
	all = slices.DeleteFunc(all, func(a simulate.Accepted) bool {
		return a.At.Before(since) || strings.Contains(a.Title, "test") || a.Kind == "call_back" || isGoods(a)
	})
	slices.SortStableFunc(all, func(a, b simulate.Accepted) int { return a.At.Compare(b.At) })
	return all
}

// isGoods reports whether a mail is that with the licence, to a customer.
func isGoods(a simulate.Accepted) bool {
	return a.Channel == "email" && strings.HasPrefix(a.Title, "Your")
}
