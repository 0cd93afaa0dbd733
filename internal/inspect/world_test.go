package inspect_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/config"
	"github.com/makegood/makegood/internal/demo"
	"github.com/makegood/makegood/internal/inspect"
	"github.com/makegood/makegood/internal/mail"
	"github.com/makegood/makegood/internal/monitor"
	"github.com/makegood/makegood/internal/outbound"
	"github.com/makegood/makegood/internal/probe"
	"github.com/makegood/makegood/internal/provider"
	"github.com/makegood/makegood/internal/provider/paypal"
	"github.com/makegood/makegood/internal/provider/stripe"
	"github.com/makegood/makegood/internal/queue"
	"github.com/makegood/makegood/internal/secret"
	"github.com/makegood/makegood/internal/simulate"
	"github.com/makegood/makegood/internal/store"
)

// patience bounds a failing test and never a passing one.
const patience = 30 * time.Second

// clock is a Now that a test moves.
type clock struct{ nanos atomic.Int64 }

func newClock() *clock {
	c := &clock{}
	c.nanos.Store(time.Now().UnixNano())
	return c
}
func (c *clock) now() time.Time       { return time.Unix(0, c.nanos.Load()).UTC() }
func (c *clock) pass(d time.Duration) { c.nanos.Add(int64(d)) }

// door is what the intake would tell.
type door struct {
	mu      sync.Mutex
	looping []string
	proved  int
	refused map[provider.Reason]int
}

func (d *door) Loops() []string { return d.looping }

func (d *door) Tally(source string) (int, map[provider.Reason]int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if source != "stripe" {
		return 0, nil
	}
	return d.proved, d.refused
}

// house is a running server in a simulated world, or only the books of one, and what looks at it.
type house struct {
	*demo.World
	t     *testing.T
	clock *clock
	store *store.Store
	door  *door
	o     inspect.Options
	known map[string]monitor.Monitor
}

var signingKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

// newHouse starts a whole world.
func newHouse(t *testing.T, url string, change ...func(*demo.Options)) *house {
	t.Helper()
	c := newClock()
	o := demo.Options{Database: url, NoAlarm: true, Now: c.now, Retry: makegood.RetryPolicy{Attempts: 100, Base: 20 * time.Millisecond, Cap: 100 * time.Millisecond}}
	o.Stripe.Now, o.Resend.Now = c.now, c.now
	for _, f := range change {
		f(&o)
	}
	w, err := demo.Start(t.Context(), o)
	if err != nil {
		t.Fatalf("start the world: %v", err)
	}
	t.Cleanup(func() {
		if err := w.Stop(); err != nil {
			t.Errorf("stop the world: %v", err)
		}
	})
	h := &house{World: w, t: t, clock: c, store: w.Store(), door: &door{proved: 1}}
	way := outbound.New(outbound.Options{AllowPrivate: true, Now: c.now})
	t.Cleanup(way.CloseIdle)
	h.o = inspect.Options{Store: h.store, Intake: h.door, PublicURL: w.URL, Now: c.now, Skews: way.Skews, Folder: t.TempDir(),
		Free:    func(string) (uint64, uint64, error) { return 90 << 30, 100 << 30, nil },
		Secrets: func() ([]inspect.Secret, error) { return inspect.SecretsOf(w.Config), nil }}
	h.o.Sources = sources(t, w, way, c)
	if h.o.Sender, err = mail.NewResend(way, w.ResendURL, secret.New(demo.ResendKey), c.now); err != nil {
		t.Fatal(err)
	}
	return h
}

func sources(t *testing.T, w *demo.World, way *outbound.Client, c *clock) map[string]provider.Source {
	t.Helper()
	one, err := stripe.New(stripe.Options{Name: "stripe", APIKey: secret.New(demo.StripeKey), WebhookSecrets: provider.Active(secret.New(demo.WebhookSecret)),
		BaseURL: w.StripeURL, HTTP: way, Now: c.now})
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]provider.Source{"stripe": one}
	for _, s := range w.Config.Sources {
		if s.Provider != "paypal" {
			continue
		}
		other, err := paypal.New(paypal.Options{Name: "paypal", ClientID: s.ClientID, ClientSecret: s.APIKey, BaseURL: w.PayPalURL, HTTP: way, Now: c.now,
			WebhookIDs: provider.Active(s.WebhookSecrets[0].Secret), Roots: w.PayPal.CertPool()})
		if err != nil {
			t.Fatal(err)
		}
		all["paypal"] = other
	}
	return all
}

// withPayPal adds the second source.
func withPayPal(o *demo.Options) {
	now := o.Now
	o.PayPal = &simulate.PayPalOptions{SigningKey: signingKey(), Now: now}
}

// newBooks opens books without a server, so that nobody works on what is put into them.
func newBooks(t *testing.T, url string) *house {
	t.Helper()
	c := newClock()
	s, err := store.Open(t.Context(), url, store.Options{Now: c.now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() }) // a test may have closed it
	db := queue.Database{Postgres: s.Postgres()}
	db.SQLiteWriter, db.SQLiteReader = s.SQLite()
	if err := errors.Join(s.Migrate(t.Context()), queue.Migrate(t.Context(), db)); err != nil {
		t.Fatal(err)
	}
	h := &house{t: t, clock: c, store: s, door: &door{proved: 1}}
	one, err := stripe.New(stripe.Options{Name: "stripe", WebhookSecrets: provider.Active(secret.New(demo.WebhookSecret)), BaseURL: "http://127.0.0.1:1", Now: c.now})
	if err != nil {
		t.Fatal(err)
	}
	h.o = inspect.Options{Store: s, Intake: h.door, Now: c.now, Sources: map[string]provider.Source{"stripe": one}}
	return h
}

// look looks at what has a key.
func (h *house) look(key string) probe.Sight {
	h.t.Helper()
	if h.known == nil {
		h.known = map[string]monitor.Monitor{}
		for _, m := range inspect.New(h.o) {
			if _, twice := h.known[m.Key()]; twice {
				h.t.Fatalf("two monitors have the key %s", m.Key())
			}
			h.known[m.Key()] = m
		}
	}
	m, ok := h.known[key]
	if !ok {
		h.t.Fatalf("nothing looks at %s", key)
	}
	ctx, cancel := context.WithTimeout(h.t.Context(), m.Timeout)
	defer cancel()
	return m.Prober.Look(ctx)
}

// green wants a look to see nothing wrong.
func (h *house) green(key string) {
	h.t.Helper()
	if s := h.look(key); s.Unknown || s.Trouble != "" {
		h.t.Errorf("%s = %q (unknown: %v), want all well", key, s.Trouble, s.Unknown)
	}
}

// red wants a look to see trouble, in words that have all of these in them.
func (h *house) red(key string, words ...string) {
	h.t.Helper()
	s := h.look(key)
	if s.Unknown || s.Trouble == "" {
		h.t.Errorf("%s = %q (unknown: %v), want trouble", key, s.Trouble, s.Unknown)
	}
	for _, word := range words {
		if !strings.Contains(s.Trouble, word) {
			h.t.Errorf("%s = %q, want %q in it", key, s.Trouble, word)
		}
	}
}

// unknown wants a look that could not see.
func (h *house) unknown(key, word string) {
	h.t.Helper()
	if s := h.look(key); !s.Unknown || !strings.Contains(s.Trouble, word) {
		h.t.Errorf("%s = %q (unknown: %v), want it unknown for %q", key, s.Trouble, s.Unknown, word)
	}
}

func (h *house) must(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

func (h *house) eventually(what string, holds func() bool) {
	h.t.Helper()
	for deadline := time.Now().Add(patience); !holds(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			h.t.Fatalf("%s did not come about within %v", what, patience)
		}
	}
}

// order waits until the order of a session is as wanted.
func (h *house) order(session string, as func(makegood.Order) bool) makegood.Order {
	h.t.Helper()
	var o makegood.Order
	h.eventually("the order of "+session, func() bool {
		var err error
		o, err = h.store.OrderBySession(h.t.Context(), "stripe", session)
		return err == nil && as(o)
	})
	return o
}

func fulfilled(o makegood.Order) bool { return o.Fulfillment == makegood.Fulfilled }

// buy has somebody pay, and waits for the goods.
func (h *house) buy() string {
	h.t.Helper()
	session, err := h.Buy(h.t.Context(), "az-900", 1, "ann@example.com")
	h.must(err)
	h.order(session, fulfilled)
	return session
}

// execute changes the database past the store.
func (h *house) execute(statement string) {
	h.t.Helper()
	var err error
	if pool := h.store.Postgres(); pool != nil {
		_, err = pool.Exec(h.t.Context(), statement)
	} else {
		writer, _ := h.store.SQLite()
		_, err = writer.ExecContext(h.t.Context(), statement)
	}
	if err != nil {
		h.t.Fatalf("%s: %v", statement, err)
	}
}

// auditing hears what is recorded.
type auditing struct {
	inspect.Store
	entries []string
}

func (a *auditing) Record(ctx context.Context, actor string, e makegood.Entry) error {
	a.entries = append(a.entries, strings.Join([]string{actor, e.Action, e.Target, e.After}, " "))
	return a.Store.Record(ctx, actor, e)
}

// refusing is a mail service that refuses our key.
type refusing struct{ mail.Sender }

func (refusing) Check(context.Context) error {
	return makegood.Wrap(errors.New("resend: status 401 invalid_api_key"), makegood.Unavailable, "Mail cannot be sent just now.")
}

// dialTo leads every address to one place.
func dialTo(place string) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, place)
	}
}

func override(code string, above int) []config.CheckOverride {
	return []config.CheckOverride{{Code: code, Above: above}}
}

func letter(n int, at time.Time) makegood.DeadLetter {
	return makegood.DeadLetter{Job: makegood.InterpretJob(fmt.Sprintf("evt_%d", n), "stripe"), Error: "no", Reason: makegood.DeadPermanent,
		Attempts: 1, FirstFailedAt: at, LastFailedAt: at}
}
