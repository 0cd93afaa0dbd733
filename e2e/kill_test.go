package e2e

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/makegood/makegood/internal/demo"
	"github.com/makegood/makegood/internal/simulate"
	"github.com/makegood/makegood/internal/store/storetest"
)

// The size of the kill test: small in the ordinary suite, 2,000 orders and 60 kills in scripts/kill.
var (
	killOrders = flag.Int("kill.orders", 120, "how many orders TestKill pays")
	killKills  = flag.Int("kill.kills", 6, "how often TestKill kills the server")
)

const (
	// settleLimit is the claim: everything is made good within a minute of the last restart, and what was given up within a
	// minute of when a person has it done again.
	settleLimit = 60 * time.Second
	// lifeMax is the longest that a life lasts once the server is ready, and birthMax how soon one ends that is killed
	// while it starts.
	lifeMax  = 700 * time.Millisecond
	birthMax = 150 * time.Millisecond
	// lateMax is how late a provider's extra copy of a delivery comes: some lives later.
	lateMax = 3 * time.Second
	// copiesMax is how many extra copies come at once, and how many late: one to five deliveries of each event.
	copiesMax = 2
	// deliveryRetry is how long the provider waits before it repeats a delivery that was not answered with a 2xx.
	deliveryRetry = 100 * time.Millisecond
	// lookers is how many customers at once look at /api/verify.
	lookers = 3
	// processedLeast is the claim: so many events of a hundred thousand are processed without a person.
	processedLeast = 99_900
)

// killSources and killRest change the configuration of the world: a second source, two applications that are told of
// orders, and less patience, so that a test sees the end of it. The shop is told until it hears; the ledger is given up
// after three attempts, which a day with three failures of ten makes happen.
const (
	killSources = `  - name: paypal
    provider: paypal
    mode: test
    api_base: %q
    client_id: %s
    api_key: env:PAYPAL_SECRET
    webhook_secrets: [env:PAYPAL_WEBHOOK_ID]
products:`
	killRest = `outbound: {allow_private: true, timeout: 1s}
checkout: {source: stripe}
forwards:
  - {name: shop, url: %[1]q, secrets: [env:SHOP_SECRET], timeout: %[3]v, allow_private: true, retry: {attempts: 100, base: 50ms, cap: 500ms}}
  - {name: ledger, url: %[2]q, secrets: [env:LEDGER_SECRET], timeout: %[3]v, allow_private: true, retry: {attempts: 3, base: 50ms, cap: 500ms}}
control: {socket: %[4]q}
retry:
  events: {attempts: 12, base: 50ms, cap: 500ms}
  mail: {attempts: 100, base: 50ms, cap: 500ms}`
)

// TestKill kills the server at random moments under load, starts it again at once, and checks at the end that every order
// that was paid at a provider stands as what happened to its money says, and that it was made good exactly once. Money
// moves all the time, in any order; the providers, the mail service and the applications that are told have a bad day;
// what was given up is done again by one command.
func TestKill(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, database string) {
		k := newKilling(t, database)
		last, err := k.killAndRestart()
		if err != nil {
			t.Fatal(err)
		}
		w := openWitness(t, database)
		k.figures.settled = k.settle(last, w, last.started, len(k.poisoned))
		k.repairAndRetry(w)
		k.figures.resettled = k.settle(last, w, time.Now(), 0)
		k.figures.lettersAfter = k.letters(w, "state = 'open'")
		if code, err := last.stop(); code != 0 || err != nil {
			t.Errorf("the last server stopped with exit code %d, %v, want 0", code, err)
		}
		k.figures.lostRuns = strings.Count(last.output(), `msg="jobs whose run was lost run again"`)
		found := k.examine(w)
		t.Log("\n" + k.report())
		if found != nil {
			t.Error(found)
		}
	})
}

// killing is one run of the test.
type killing struct {
	*world
	t        *testing.T
	ctx      context.Context
	database string
	line     *line
	client   *http.Client // of the customers
	paypal   *simulate.PayPal
	shop     *listener
	ledger   *listener

	copies   atomic.Int64 // deliveries that are to come once more
	verified atomic.Int64

	weather sync.Mutex // guards the next two, and changes of the providers' faults
	isHeld  bool
	wasHeld bool

	mu       sync.Mutex
	paid     []*sale // in the order of payment
	poisoned map[string]bool
	violated []error

	figures figures
}

// figures are what the run prints.
type figures struct {
	kills, births, rescuedJobs, rescues, lostRuns     int
	refunds, refundsBack, disputes, won, lostDisputes atomic.Int64
	early                                             atomic.Int64 // sales whose money moved before their own event came
	deliveries, events, stale                         int
	ready                                             []time.Duration
	settled, resettled                                time.Duration // after the last restart, and after the bulk retry
	slowest                                           time.Duration // order without trouble, from payment to goods
	orders, paypal, lost, doubled, mails, mailsMax    int
	letters, eventLetters, lettersAfter               int
}

func newKilling(t *testing.T, database string) *killing {
	k := &killing{t: t, database: database, line: newLine(), poisoned: map[string]bool{}, client: &http.Client{Timeout: 2 * time.Second}}
	k.world = newWorld(t, database, simulate.StripeOptions{Concurrency: 16, HTTP: &http.Client{Transport: k.line}})
	k.shop, k.ledger = newListener(t, "shop"), newListener(t, "ledger")
	paypalURL := k.addPayPal(t)
	k.rewrite(t, "products:", fmt.Sprintf(killSources, paypalURL, demo.PayPalClient))
	k.rewrite(t, "outbound: .*", fmt.Sprintf(killRest, k.shop.url, k.ledger.url, forwardTimeout, filepath.Join(filepath.Dir(k.config), "control")))
	k.env = append(k.env, "SHOP_SECRET="+k.shop.secret, "LEDGER_SECRET="+k.ledger.secret)
	k.resend.SetFaults(mailWeather())
	k.weather.Lock()
	defer k.weather.Unlock()
	k.turn()
	limit := 3*time.Minute + time.Duration(*killKills)*(startLimit/4)
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	t.Cleanup(cancel)
	k.ctx = ctx
	return k
}

// forwardSecret is the signing secret of a listener.
func forwardSecret(name string) string {
	return "whsec_" + base64.StdEncoding.EncodeToString(fmt.Appendf(nil, "the signing secret of %-12s", name))
}

// addPayPal starts a simulated PayPal, whose certificates the program trusts as an operator would have it trust them.
func (k *killing) addPayPal(t testing.TB) (url string) {
	k.paypal = simulate.NewPayPal(simulate.PayPalOptions{ClientID: demo.PayPalClient, ClientSecret: demo.PayPalSecret, Concurrency: 16,
		PublicURL: func() string { return url }, HTTP: &http.Client{Transport: k.line}})
	t.Cleanup(k.paypal.Close)
	url = serve(t, k.paypal)
	roots := filepath.Join(filepath.Dir(k.config), "roots.pem")
	if err := os.WriteFile(roots, k.paypal.RootPEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	k.env = append(k.env, "SSL_CERT_FILE="+roots, "PAYPAL_SECRET="+demo.PayPalSecret,
		"PAYPAL_WEBHOOK_ID="+k.paypal.AddWebhook(k.url+"/hooks/paypal"))
	return url
}

// mailWeather is a mail service on a bad day: some calls are refused, some are accepted and their answer is lost.
func mailWeather() simulate.ResendFaults {
	return simulate.ResendFaults{
		Latency: 10 * time.Millisecond, // so that a kill meets calls under way
		FailSend: func(int, *http.Request) (int, string) {
			switch rand.IntN(100) {
			case 0, 1, 2:
				return http.StatusInternalServerError, ""
			case 3, 4, 5:
				return http.StatusTooManyRequests, ""
			}
			return 0, ""
		},
		FailAfter: func(int, *http.Request) int {
			switch rand.IntN(100) {
			case 0, 1, 2:
				return simulate.Hang // accepted, and the caller runs into its time-out
			case 3, 4, 5:
				return simulate.Abort // accepted, and the connection breaks
			case 6:
				return http.StatusInternalServerError // accepted, and the answer says otherwise
			}
			return 0
		},
	}
}

// outageOrPoison is PayPal's bad day, on which it does not know some orders at all.
func (k *killing) outageOrPoison(r *http.Request) int {
	parts := strings.Split(r.URL.Path, "/")
	k.mu.Lock()
	isPoisoned := slices.ContainsFunc(parts, func(id string) bool { return k.poisoned[id] })
	k.mu.Unlock()
	if isPoisoned {
		return http.StatusNotFound
	}
	return outage(r)
}

// killAndRestart lives through all kills with customers paying and looking and money moving all the time, and returns the
// last server, which is left alive.
func (k *killing) killAndRestart() (last *process, err error) {
	var buyers, looking sync.WaitGroup
	quota := make(chan int, *killKills+1) // one entry for each life, so that handing them out never waits
	ctx, leave := context.WithCancel(k.ctx)
	defer func() {
		close(quota)
		if err != nil {
			leave()
		}
		buyers.Wait() // those who still have to pay do so in the last life
		leave()
		looking.Wait()
	}()
	buyers.Go(func() { k.buy(ctx, &buyers, quota) })
	for range lookers {
		looking.Go(func() { k.look(ctx) })
	}

	lives := *killKills + 1
	for life := range lives {
		quota <- share(*killOrders, lives, life)
		last = k.startServer(k.t)
		if life == lives-1 {
			break
		}
		if life > 0 && rand.IntN(6) == 0 {
			k.figures.births++
			time.Sleep(rand.N(birthMax))
		} else {
			ready, err := last.awaitReady(ctx, k.url)
			if err != nil {
				return nil, fmt.Errorf("life %d: %w", life, err)
			}
			k.figures.ready = append(k.figures.ready, ready)
			time.Sleep(rand.N(lifeMax))
		}
		if err := last.kill(); err != nil {
			return nil, fmt.Errorf("life %d: %w", life, err)
		}
		k.figures.kills++
		k.countRescues(last)
	}
	ready, err := last.awaitReady(ctx, k.url)
	k.figures.ready = append(k.figures.ready, ready)
	k.countRescues(last)
	return last, err
}

// share is the part of the i-th of n when all are shared out evenly.
func share(all, n, i int) int { return all*(i+1)/n - all*i/n }

// countRescues reads from a server's log how many jobs of its predecessor it runs again.
func (k *killing) countRescues(p *process) {
	_, after, ok := strings.Cut(p.output(), `msg="jobs of a killed process run again" jobs=`)
	var n int
	if _, err := fmt.Sscanf(after, "%d", &n); ok && err == nil {
		k.figures.rescues++
		k.figures.rescuedJobs += n
	}
}

// buy sells the orders of each life spread over it; what happens to their money afterwards does not wait for the next.
func (k *killing) buy(ctx context.Context, lives *sync.WaitGroup, quota <-chan int) {
	sold := 0
	for n := range quota {
		for range n {
			if wait(ctx, rand.N(lifeMax/time.Duration(n))) != nil {
				return
			}
			if rand.IntN(4) == 0 {
				k.weather.Lock()
				k.turn()
				k.weather.Unlock()
			}
			number := sold
			lives.Go(func() { k.sell(ctx, number) })
			sold++
		}
	}
}

// look is a customer on the page after paying. The server may be dead; when it answers about a session that was paid, it
// says so and gives the keys, unless the money went back before anybody heard of the sale.
func (k *killing) look(ctx context.Context) {
	client := &http.Client{Timeout: 5 * time.Second}
	for ctx.Err() == nil {
		if wait(ctx, rand.N(20*time.Millisecond)) != nil {
			return
		}
		k.mu.Lock()
		n := len(k.paid)
		if n == 0 {
			k.mu.Unlock()
			continue
		}
		s := k.paid[n-1-rand.IntN(min(n, 50))]
		k.mu.Unlock()
		if s.isPoisoned {
			continue
		}
		status, purchase, err := k.verifyAt(ctx, client, s.source, s.session)
		var keys []string
		for _, l := range purchase.Licenses {
			keys = append(keys, l.Key)
		}
		switch {
		case err != nil, status >= 500: // dead, dying or starting, or its provider is
		case status == http.StatusPaymentRequired && s.source == "paypal": // PayPal hides it for a moment
		case status != http.StatusOK:
			k.violate("verify of %s's session %s that was paid answered %d", s.source, s.session, status)
		case slices.Equal(keys, s.keys()):
			k.verified.Add(1)
		case len(keys) > 0 || !s.mayBeEmpty():
			k.violate("verify of %s's session %s gave %+v, want the keys %s", s.source, s.session, purchase, s.keys())
		}
	}
}

func (k *killing) violate(format string, args ...any) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.violated) < 20 {
		k.violated = append(k.violated, fmt.Errorf(format, args...))
	}
}

// settle waits until nothing is owed any more: every delivery is answered, no job waits, and what is not good is in the
// dead letters, which also have the orders of which nothing could be learnt. It returns how long that took since a moment.
func (k *killing) settle(last *process, w *witness, since time.Time, unknown int) time.Duration {
	k.t.Helper()
	err := eventually(k.ctx, settleLimit-time.Since(since), func() error {
		if !last.isRunning() {
			return errors.New("the last server ended by itself")
		}
		copies, delivered := k.copies.Load(), k.isDelivered()
		orders, err := w.count(`SELECT COUNT(*) FROM orders`)
		waiting, err2 := w.jobsWaiting()
		if err := errors.Join(err, err2); err != nil {
			return err
		}
		if orders < len(k.paid)-unknown || waiting > 0 || copies > 0 || !delivered {
			return fmt.Errorf("%d of %d orders are known, %d jobs wait, %d copies are to come, everything is delivered: %v",
				orders, len(k.paid), waiting, copies, delivered)
		}
		return nil
	})
	took := time.Since(since)
	if err != nil {
		k.t.Errorf("not everything is settled within %v: %v", settleLimit, err)
	}
	return took
}

// isDelivered reports whether the providers have nothing more to deliver, retries included.
func (k *killing) isDelivered() bool {
	ctx, cancel := context.WithTimeout(k.ctx, time.Millisecond)
	defer cancel()
	return k.stripe.WaitDelivered(ctx) == nil && k.paypal.WaitDelivered(ctx) == nil
}

// repairAndRetry does what a person does: repairs what the dead letters name, and has them all done again by one command
// on the running server.
func (k *killing) repairAndRetry(w *witness) {
	k.t.Helper()
	k.figures.letters = k.letters(w, "state = 'open'")
	k.figures.eventLetters = k.letters(w, "state = 'open' AND event_id <> ''")
	if k.figures.letters == 0 {
		k.t.Error("there are no dead letters: the bulk retry is not exercised")
	}
	k.mu.Lock()
	clear(k.poisoned)
	k.mu.Unlock()
	k.ledger.well.Store(true)
	code, out := runToEnd(k.t, k.env, "webhooks", "retry", "--all", "--json", "-c", k.config)
	var done struct {
		Letters []string `json:"letters"`
		Lost    int      `json:"lost"`
	}
	if i := strings.IndexByte(out, '{'); i >= 0 { // progress may stand before it
		out = out[i:]
	}
	if err := json.Unmarshal([]byte(out), &done); code != 0 || err != nil || len(done.Letters) != k.figures.letters || done.Lost != 0 {
		k.t.Errorf("webhooks retry --all = exit code %d, %v, %d letters and %d lost, want %d letters\n%s", code, err, len(done.Letters),
			done.Lost, k.figures.letters, out)
	}
}

// letters counts dead letters.
func (k *killing) letters(w *witness, where string) int {
	k.t.Helper()
	n, err := w.count(`SELECT COUNT(*) FROM dead_letters WHERE ` + where)
	if err != nil {
		k.t.Error(err)
	}
	return n
}

func (k *killing) report() string {
	f := &k.figures
	slices.Sort(f.ready)
	engine := "postgres"
	if isSQLite(k.database) {
		engine = "sqlite"
	}
	var b strings.Builder
	row := func(name, format string, args ...any) {
		fmt.Fprintf(&b, "  %-34s "+format+"\n", append([]any{name}, args...)...)
	}
	accepted, failed := k.shop.accepted+k.ledger.accepted, k.shop.failed+k.ledger.failed
	fmt.Fprintf(&b, "kill -9 under load\n")
	row("engine", "%s", engine)
	row("orders", "%d, %d of them at PayPal", f.orders, f.paypal)
	row("refunds", "%d, of which %d came back", f.refunds.Load(), f.refundsBack.Load())
	row("disputes", "%d, %d won and %d lost", f.disputes.Load(), f.won.Load(), f.lostDisputes.Load())
	row("money moved before its sale's event", "of %d orders", f.early.Load())
	row("deliveries", "%d, %d of them answered with a 2xx", f.deliveries, k.line.successes())
	row("kills", "%d, %d of them while the server was starting", f.kills, f.births)
	row("jobs run again after a kill", "%d, after %d of the kills", f.rescuedJobs, f.rescues)
	row("rescues of lost runs, last life", "%d", f.lostRuns)
	row("keys shown by /api/verify", "%d times", k.verified.Load())
	row("orders lost", "%d", f.lost)
	row("licences doubled", "%d", f.doubled)
	row("mails", "%d, at most %d for an order", f.mails, f.mailsMax)
	row("tellings accepted", "%d, %d of them once more after a later one", accepted, f.stale)
	row("tellings failed by a listener", "%d", failed)
	row("events given up", "%d of %d, %d of them poisoned", f.eventLetters, f.events, max(1, *killOrders/poisonEvery))
	row("dead letters", "%d before the bulk retry, %d after", f.letters, f.lettersAfter)
	row("all settled after last restart", "%v", round(f.settled))
	row("all settled after bulk retry", "%v", round(f.resettled))
	row("slowest order without trouble", "%v from payment to goods", round(f.slowest))
	row("restart to ready", "%v to %v, median %v", round(f.ready[0]), round(f.ready[len(f.ready)-1]), round(f.ready[len(f.ready)/2]))
	fmt.Fprintf(&b, "summary %s: %d orders, %d kills, %d refunds (%d came back), %d disputes, %d PayPal orders, tellings %d accepted and %d failed, "+
		"dead letters %d before and %d after the bulk retry, settled %v after the last restart\n", engine, f.orders, f.kills, f.refunds.Load(),
		f.refundsBack.Load(), f.disputes.Load(), f.paypal, accepted, failed, f.letters, f.lettersAfter, round(f.settled))
	return b.String()
}

// line is the providers' way to the server. It remembers which events were answered with a 2xx, and with which bytes.
type line struct {
	http.RoundTripper
	mu         sync.Mutex
	deliveries int
	ok         int
	bodies     map[string][]byte
}

func newLine() *line {
	return &line{RoundTripper: &http.Transport{MaxIdleConnsPerHost: 16}, bodies: map[string][]byte{}}
}

// RoundTrip carries one delivery.
func (l *line) RoundTrip(r *http.Request) (*http.Response, error) {
	l.mu.Lock()
	l.deliveries++
	l.mu.Unlock()
	response, err := l.RoundTripper.RoundTrip(r)
	if err != nil || response.StatusCode < 200 || response.StatusCode > 299 {
		return response, err
	}
	sent, err := r.GetBody()
	if err != nil {
		return response, err
	}
	body, err := io.ReadAll(sent)
	var event struct{ ID string }
	if err := errors.Join(err, json.Unmarshal(body, &event)); err != nil {
		return response, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ok++
	l.bodies[event.ID] = body
	return response, nil
}

func (l *line) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.deliveries
}

func (l *line) successes() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.ok
}

// acknowledged is read only after the deliveries have ended.
func (l *line) acknowledged() map[string][]byte { return l.bodies }
