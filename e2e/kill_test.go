package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/makegood/makegood"
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
	// settleLimit is the claim: everything is made good within a minute of the last restart.
	settleLimit = 60 * time.Second
	// lifeMax is the longest that a life lasts once the server is ready, and birthMax how soon one ends that is killed
	// while it starts.
	lifeMax  = 700 * time.Millisecond
	birthMax = 150 * time.Millisecond
	// lateMax is how late a provider's extra copy of a delivery comes: some lives later.
	lateMax = 3 * time.Second
	// copiesMax makes one to five deliveries of each event.
	copiesMax = 4
	// deliveryRetry is how long the provider waits before it repeats a delivery that was not answered with a 2xx.
	deliveryRetry = 100 * time.Millisecond
	// lookers is how many customers at once look at /api/verify.
	lookers = 3
)

// TestKill kills the server at random moments under load, starts it again at once, and checks at the end that every order
// that was paid at the provider was made good exactly once.
func TestKill(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, database string) {
		k := newKilling(t, database)
		last, err := k.killAndRestart()
		if err != nil {
			t.Fatal(err)
		}
		k.settle(last)
		if code, err := last.stop(); code != 0 || err != nil {
			t.Errorf("the last server stopped with exit code %d, %v, want 0", code, err)
		}
		found := k.examine(openWitness(t, database))
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

	mu       sync.Mutex
	paid     []sale   // in the order of payment
	made     []string // ids of the events that the payment under way has made
	violated []error
	verified atomic.Int64

	figures figures
}

// sale is one order as the provider and the customer know it.
type sale struct {
	session, email string
	at             time.Time
}

// figures are what the run prints.
type figures struct {
	kills, births, rescuedJobs, rescues int
	deliveries                          int
	ready                               []time.Duration
	settled                             time.Duration // of everything, after the last restart
	slowest                             time.Duration // order, from payment to goods
	orders, lost, doubled, mailsMax     int
}

func newKilling(t *testing.T, database string) *killing {
	k := &killing{t: t, database: database, line: newLine()}
	k.world = newWorld(t, database, simulate.StripeOptions{Concurrency: 16, HTTP: &http.Client{Transport: k.line}})
	k.resend.SetFaults(weather())
	k.stripe.SetFaults(k.faults(0))
	limit := 3*time.Minute + time.Duration(*killKills)*(startLimit/4)
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	t.Cleanup(cancel)
	k.ctx = ctx
	return k
}

// weather is a mail service on a bad day: some calls are refused, some are accepted and their answer is lost.
func weather() simulate.ResendFaults {
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

// faults are the provider's. Through Drop, which drops nothing, the test learns which events a payment made.
func (k *killing) faults(duplicates int) simulate.Faults {
	return simulate.Faults{ConstantRetry: deliveryRetry, Duplicate: duplicates, Drop: func(e simulate.Event) bool {
		k.mu.Lock()
		defer k.mu.Unlock()
		k.made = append(k.made, e.ID)
		return false
	}}
}

// killAndRestart lives through all kills with customers paying and looking all the time, and returns the last server,
// which is left alive.
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

// buy pays the orders of each life spread over it, some through the server's own checkout and the others, or when the
// server is dead, through a payment link. Each event is delivered one to five times: some copies at once, the others up
// to seconds later.
func (k *killing) buy(ctx context.Context, late *sync.WaitGroup, quota <-chan int) {
	client := &http.Client{Timeout: 2 * time.Second}
	for n := range quota {
		for range n {
			if wait(ctx, rand.N(lifeMax/time.Duration(n))) != nil {
				return
			}
			session, err := "", errors.New("by payment link")
			if rand.IntN(4) == 0 {
				session, err = k.checkout(ctx, client, "az-900")
			}
			if err != nil {
				session = k.linkedSession()
			}
			events, copies := k.pay(session)
			late.Go(func() {
				for range copies {
					if wait(ctx, rand.N(lateMax/copiesMax)) != nil {
						return
					}
					for _, id := range events {
						k.stripe.Deliver(id)
					}
				}
			})
		}
	}
}

// pay pays a session and returns its events, and how many late copies of each are to come.
func (k *killing) pay(session string) (events []string, late int) {
	copies := rand.IntN(copiesMax + 1)
	late = rand.IntN(copies + 1)
	email := fmt.Sprintf("buyer-%05d@example.com", len(k.paid)) // only buy adds to paid
	k.stripe.SetFaults(k.faults(copies - late))
	at := time.Now()
	err := k.stripe.Pay(session, simulate.Customer{Email: email, Name: "Ann Example"})
	k.stripe.SetFaults(k.faults(0))
	k.mu.Lock()
	defer k.mu.Unlock()
	if err != nil {
		k.violated = append(k.violated, err)
		return nil, 0
	}
	events, k.made = k.made, nil
	k.paid = append(k.paid, sale{session, email, at})
	return events, late
}

// look is a customer on the page after paying. The server may be dead; when it answers about a session that was paid, it
// says so and gives the one key.
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
		session := k.paid[n-1-rand.IntN(min(n, 50))].session
		k.mu.Unlock()
		status, purchase, err := k.verify(ctx, client, session)
		switch {
		case err != nil, status >= 500: // dead, dying or starting
		case status != http.StatusOK:
			k.violate("verify of a session that was paid answered %d", status)
		case len(purchase.Licenses) != 1 || purchase.Licenses[0].Key != keyOf(session):
			k.violate("verify of %s gave %+v, want the one key %s", session, purchase, keyOf(session))
		default:
			k.verified.Add(1)
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

// keyOf is the one key of a session, computed apart from the server.
func keyOf(session string) string {
	return makegood.DeriveKey([]byte(demo.LicenseSecret), "GD", makegood.KeySlot{SessionID: session})
}

// settle waits until nothing is owed any more: every delivery is answered, every order made good, the queue empty.
func (k *killing) settle(last *process) {
	k.t.Helper()
	w := openWitness(k.t, k.database)
	err := eventually(k.ctx, settleLimit-time.Since(last.started), func() error {
		if !last.isRunning() {
			return errors.New("the last server ended by itself")
		}
		done, err := w.fulfilled()
		waiting, err2 := w.jobsWaiting()
		if err := errors.Join(err, err2); err != nil {
			return err
		}
		if done < len(k.paid) || waiting > 0 || !k.stripe.Idle() {
			return fmt.Errorf("%d of %d orders are made good, %d jobs wait, the provider is idle: %v", done, len(k.paid), waiting, k.stripe.Idle())
		}
		return nil
	})
	k.figures.settled = time.Since(last.started)
	if err != nil {
		k.t.Errorf("not everything is settled within %v of the last restart: %v", settleLimit, err)
	}
	if err := k.stripe.WaitDelivered(k.ctx); err != nil {
		k.t.Error(err)
	}
}

// examine compares what the provider, the mail service and the customers know with what the database says.
func (k *killing) examine(w *witness) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.figures.orders, k.figures.deliveries = len(k.paid), k.line.count()
	var errs []error
	bad := func(format string, args ...any) {
		if len(errs) < 40 {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	errs = append(errs, k.violated...)
	if len(k.paid) != *killOrders || k.figures.kills != *killKills {
		bad("%d orders were paid and %d servers killed, want %d and %d", len(k.paid), k.figures.kills, *killOrders, *killKills)
	}
	k.examineOrders(w, bad)
	k.examineMails(bad)
	k.examineEvents(w, bad)
	for _, rule := range rules {
		if n, err := w.count(rule.broken); err != nil || n != 0 {
			bad("%d times broken: %s (%v)", n, rule.name, err)
		}
	}
	if err := w.integrity(); err != nil {
		bad("%v", err)
	}
	return errors.Join(errs...)
}

func (k *killing) examineOrders(w *witness, bad func(string, ...any)) {
	orders, err := w.orders()
	if err != nil {
		bad("%v", err)
	}
	keys := map[string]bool{}
	for _, sale := range k.paid {
		order, ok := orders[sale.session]
		if !ok || order.fulfillment != string(makegood.Fulfilled) || len(order.keys) == 0 {
			k.figures.lost++
			bad("order of %s is lost: %+v", sale.session, order)
			continue
		}
		if len(order.keys) != 1 || order.keys[0] != keyOf(sale.session) {
			bad("order of %s has keys %v, want %s", sale.session, order.keys, keyOf(sale.session))
		}
		for _, key := range order.keys {
			keys[key] = true
		}
		k.figures.slowest = max(k.figures.slowest, order.fulfilledAt.Sub(sale.at))
	}
	if len(orders) != len(k.paid) {
		bad("there are %d orders for %d sales", len(orders), len(k.paid))
	}
	licenses, err := w.count(`SELECT COUNT(*) FROM licenses`)
	if err != nil {
		bad("%v", err)
	}
	k.figures.doubled = licenses - len(keys)
	if licenses != len(k.paid) || k.figures.doubled != 0 {
		bad("there are %d licences with %d different keys for %d sales", licenses, len(keys), len(k.paid))
	}
}

func (k *killing) examineMails(bad func(string, ...any)) {
	for _, sale := range k.paid {
		mails := k.resend.Inbox(sale.email)
		k.figures.mailsMax = max(k.figures.mailsMax, len(mails))
		if len(mails) != 1 || !strings.Contains(mails[0].Text, keyOf(sale.session)) {
			bad("%s has %d mails, want one with %s", sale.email, len(mails), keyOf(sale.session))
		}
	}
	if all := k.resend.Count(); all != len(k.paid) {
		bad("%d mails were accepted for %d sales", all, len(k.paid))
	}
}

// examineEvents checks that what was answered with a 2xx is kept, byte for byte, and nothing else is.
func (k *killing) examineEvents(w *witness, bad func(string, ...any)) {
	kept, err := w.payloads()
	if err != nil {
		bad("%v", err)
	}
	for id, body := range k.line.acknowledged() {
		if !bytes.Equal(kept[id], body) {
			bad("event %s was answered with a 2xx and is not kept as it was delivered (%d bytes of %d)", id, len(kept[id]), len(body))
		}
	}
	for _, e := range k.stripe.Events() {
		if _, ok := kept[e.ID]; !ok || !e.IsDelivered() {
			bad("event %s (%s): delivered %v, kept %v", e.ID, e.Type, e.IsDelivered(), ok)
		}
		delete(kept, e.ID)
	}
	if len(kept) != 0 {
		bad("%d events are kept that the provider does not know", len(kept))
	}
}

func (k *killing) report() string {
	f := k.figures
	slices.Sort(f.ready)
	engine := "postgres"
	if isSQLite(k.database) {
		engine = "sqlite"
	}
	var b strings.Builder
	row := func(name, format string, args ...any) {
		fmt.Fprintf(&b, "  %-34s "+format+"\n", append([]any{name}, args...)...)
	}
	fmt.Fprintf(&b, "kill -9 under load\n")
	row("engine", "%s", engine)
	row("orders", "%d", f.orders)
	row("deliveries of their events", "%d, %d of them answered with a 2xx", f.deliveries, k.line.successes())
	row("kills", "%d, %d of them while the server was starting", f.kills, f.births)
	row("jobs run again after a kill", "%d, after %d of the kills", f.rescuedJobs, f.rescues)
	row("keys shown by /api/verify", "%d", k.verified.Load())
	row("orders lost", "%d", f.lost)
	row("licences doubled", "%d", f.doubled)
	row("accepted mails per order, most", "%d", f.mailsMax)
	row("all settled after last restart", "%v", round(f.settled))
	row("slowest order, payment to goods", "%v", round(f.slowest))
	row("restart to ready", "%v to %v, median %v", round(f.ready[0]), round(f.ready[len(f.ready)-1]), round(f.ready[len(f.ready)/2]))
	return b.String()
}

// line is the provider's way to the server. It remembers which events were answered with a 2xx, and with which bytes.
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
