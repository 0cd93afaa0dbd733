package cli_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	_ "modernc.org/sqlite"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/cli"
	"github.com/makegood/makegood/internal/demo"
	"github.com/makegood/makegood/internal/provider/stripe"
	"github.com/makegood/makegood/internal/simulate"
	"github.com/makegood/makegood/internal/store"
)

var update = flag.Bool("update", false, "write what the commands print into the scripts that compare it")

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"makegood": func() {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		code := cli.Main(ctx, os.Args[1:], os.Stdout, os.Stderr, os.LookupEnv)
		stop()
		os.Exit(code)
	}})
}

// TestScript plays the scripts. What they can say beside testscript's own words:
//
//	world FILE    makes a database in which a demo world has sold things, and sets ORDER, SESSION, PAYMENT, KEY, …
//	newer FILE    makes a database that a later program has been at
//	hold FILE     keeps a database open, as a running server does, until the script ends
//	taken NAME    sets NAME to a loopback address at which somebody listens until the script ends
//	free NAME     sets NAME to a loopback address at which nobody listens
//	ready ADDRESS, alive ADDRESS    wait until a server, or a watcher, answers there
//	shape STREAM FILE   writes what the last command printed with ids, times and durations by their names
//	code N COMMAND…     runs a command that must end with the exit code N
//	spoil NAME    appends a line break to an environment variable, as copying a secret from a file does
//	secrets       sets the environment variables of the starting configuration to good test values
//	outside ADDRESS     starts a simulated provider, which delivers to a server at the address, and a mail service, until the
//	                    script ends, and sets STRIPE_URL and RESEND_URL
//	sell NAME PRODUCT EMAIL   sells something there; NAME is the session, and with _PAYMENT its payment
//	refuse EMAIL…       has the mail service refuse mails to these for good, and take all others
//	wrongsecret, rightsecret  sign what the provider delivers from now on with a secret that nobody has, or with the right one
//	page NAME     sets NAME to the address of a page that is well until the script ends
//	turn red|green      makes all pages answer that they are not well, or that they are
//	channels NAME       sets NAME to the address of the simulated services that carry alerts
//	told PATTERN  waits until somebody was told something over them whose title fits the pattern
//	open FILE KEY waits until the incident of a key is open in a database
//	keep NAME PATTERN   sets NAME to the first group of a pattern in what the last command printed
//	await FILE SESSION STATE  waits until the order of a session in a database is in a state
func TestScript(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir:           filepath.Join("testdata", "script"),
		UpdateScripts: *update,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"world": world, "synthetic": synthetic, "newer": newer, "hold": hold, "taken": taken, "shape": shape, "code": code, "secrets": secrets,
			"spoil": spoil, "free": free, "ready": listening("/readyz"), "alive": listening("/livez"), "outside": startOutside, "sell": sell, "refuse": refuse, "await": await,
			"wrongsecret": signing(true), "rightsecret": signing(false), "page": servePage, "turn": turn, "channels": serveChannels, "told": told, "keep": keep, "open": awaitIncident,
		},
		Setup: func(env *testscript.Env) error {
			env.Values[outsideKey{}] = &outside{}
			return nil
		},
		Deadline: time.Now().Add(scriptLimit),
	})
}

// scriptLimit bounds a server that should have refused to start. It is long because a loaded machine is no failure.
const scriptLimit = 5 * time.Minute

// goodSecrets are values that the checks of the configuration let pass, and that no output may contain.
var goodSecrets = map[string]string{
	"STRIPE_API_KEY":        demo.StripeKey,
	"STRIPE_WEBHOOK_SECRET": demo.WebhookSecret,
	"LICENSE_KEY_SECRET":    demo.LicenseSecret,
	"RESEND_API_KEY":        demo.ResendKey,
	"SLACK_TOKEN":           simulate.SlackToken,
}

func secrets(ts *testscript.TestScript, _ bool, _ []string) {
	for name, value := range goodSecrets {
		ts.Setenv(name, value)
	}
}

func spoil(ts *testscript.TestScript, _ bool, args []string) {
	ts.Setenv(args[0], ts.Getenv(args[0])+"\r\n")
}

// code is exec for exit codes: testscript's own "!" takes any but 0.
func code(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: code N command…")
	}
	err := ts.Exec(args[1], args[2:]...)
	got := 0
	if exit := (interface{ ExitCode() int })(nil); errors.As(err, &exit) {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if fmt.Sprint(got) != args[0] {
		ts.Fatalf("exit code %d, want %s", got, args[0])
	}
}

// world sells: one order whose mail arrives, one of two keys whose mail is refused for good, and one whose money is on
// its way.
func world(ts *testscript.TestScript, _ bool, args []string) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	w, err := demo.Start(ctx, demo.Options{Database: "sqlite:" + ts.MkAbs(args[0])})
	ts.Check(err)
	defer func() { ts.Check(w.Stop()) }()

	w.Resend.SetFaults(simulate.ResendFaults{FailSend: func(_ int, r *http.Request) (int, string) {
		var m struct{ To []string }
		if json.NewDecoder(r.Body).Decode(&m) == nil && strings.Contains(fmt.Sprint(m.To), "bob@") {
			return http.StatusUnprocessableEntity, "invalid_parameter"
		}
		return 0, ""
	}})
	for _, sale := range []struct {
		prefix, product, email, name string
		quantity                     int
		options                      []simulate.PayOption
	}{
		{"", "az-900", "ann@example.com", "Ann \x1b[31mExample", 1, nil},
		{"STUCK_", "az-900", "bob@example.com", "Bob", 2, nil},
		{"LATE_", "az-104", "Cy@Example.com", "", 1, []simulate.PayOption{simulate.Delayed()}},
	} {
		session, err := w.Checkout(ctx, sale.product, sale.quantity)
		ts.Check(err)
		ts.Check(w.Stripe.Pay(session, simulate.Customer{Email: sale.email, Name: sale.name}, sale.options...))
		var o makegood.Order
		if sale.options == nil {
			o, err = w.AwaitOrder(ctx, session)
		} else {
			ts.Check(w.Stripe.WaitDelivered(ctx))
			o, err = awaitAny(ctx, w, session)
		}
		ts.Check(err)
		ts.Setenv(sale.prefix+"ORDER", o.ID)
		ts.Setenv(sale.prefix+"SESSION", session)
		ts.Setenv(sale.prefix+"PAYMENT", o.PaymentID)
		if len(o.Licenses) > 0 {
			ts.Setenv(sale.prefix+"KEY", o.Licenses[0].Key)
			ts.Setenv(sale.prefix+"LICENSE", o.Licenses[0].ID)
			ts.Setenv(sale.prefix+"BARE_KEY", strings.ToLower(strings.ReplaceAll(o.Licenses[0].Key, "-", " ")))
		}
		if letters, err := w.Store().DeadLetters(ctx, store.DeadLetterFilter{}); err == nil && len(letters) == 1 {
			ts.Setenv("LETTER", letters[0].ID)
		}
		events, err := w.Store().Events(ctx, store.EventFilter{OrderID: o.ID})
		ts.Check(err)
		ts.Setenv(sale.prefix+"EVENT", events[0].ID)
		ts.Setenv(sale.prefix+"PROVIDERS_EVENT", events[0].ProviderID)
	}
}

// synthetic lets a watcher's session expire in a database that has orders already.
func synthetic(ts *testscript.TestScript, _ bool, args []string) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	w, err := demo.Start(ctx, demo.Options{Database: "sqlite:" + ts.MkAbs(args[0])})
	ts.Check(err)
	defer func() { ts.Check(w.Stop()) }()
	session := w.Stripe.CreateSession(simulate.SessionParams{Metadata: map[string]string{"makegood_synthetic": "true"},
		LineItems: []simulate.LineItemParams{{PriceData: simulate.Price{Product: "AZ-900", Currency: "usd", UnitAmount: 2900}}}})
	ts.Check(w.Stripe.Expire(session.ID))
	o, err := awaitAny(ctx, w, session.ID)
	ts.Check(err)
	ts.Setenv("SYNTHETIC_ORDER", o.ID)
}

func awaitAny(ctx context.Context, w *demo.World, session string) (makegood.Order, error) {
	for {
		o, err := w.Store().OrderBySession(ctx, "stripe", session)
		if !errors.Is(err, makegood.NotFound) || ctx.Err() != nil {
			return o, err
		}
		time.Sleep(2 * time.Millisecond)
	}
}

func newer(ts *testscript.TestScript, _ bool, args []string) {
	s, err := store.Open(context.Background(), "sqlite:"+ts.MkAbs(args[0]), store.Options{})
	ts.Check(err)
	ts.Check(errors.Join(s.Migrate(context.Background()), s.Close()))
	db, err := sql.Open("sqlite", "file:"+ts.MkAbs(args[0]))
	ts.Check(err)
	_, err = db.Exec(`INSERT INTO schema_migrations (version, name, checksum, applied_at) VALUES (999, '0999_flying_cars', 'x', 1)`)
	ts.Check(errors.Join(err, db.Close()))
}

func hold(ts *testscript.TestScript, _ bool, args []string) {
	s, err := store.Open(context.Background(), "sqlite:"+ts.MkAbs(args[0]), store.Options{})
	ts.Check(err)
	ts.Defer(func() { ts.Check(s.Close()) })
	ts.Setenv("HOLDER", fmt.Sprint(os.Getpid()))
}

func taken(ts *testscript.TestScript, _ bool, args []string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	ts.Defer(func() { l.Close() })
	ts.Setenv(args[0], l.Addr().String())
}

func free(ts *testscript.TestScript, _ bool, args []string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	ts.Setenv(args[0], l.Addr().String())
	ts.Check(l.Close())
}

func listening(path string) func(*testscript.TestScript, bool, []string) {
	return func(ts *testscript.TestScript, _ bool, args []string) {
		for range 1000 {
			response, err := http.Get("http://" + args[0] + path)
			if err == nil {
				response.Body.Close()
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
		ts.Fatalf("nobody answers at %s", args[0])
	}
}

// outside is what is around a server that a script runs.
type outside struct {
	stripe   *simulate.Stripe
	resend   *simulate.Resend
	channels *simulate.Channels
	isRed    atomic.Bool
}

type outsideKey struct{}

func outsideOf(ts *testscript.TestScript) *outside { return ts.Value(outsideKey{}).(*outside) }

func startOutside(ts *testscript.TestScript, _ bool, args []string) {
	o := outsideOf(ts)
	o.stripe = simulate.NewStripe(simulate.StripeOptions{APIKey: demo.StripeKey, RetrySchedule: []time.Duration{time.Hour}})
	endpoint := o.stripe.AddWebhookEndpoint("http://"+args[0]+"/hooks/stripe", demo.WebhookSecret)
	ts.Check(o.stripe.SetWebhookEvents(endpoint, stripe.EventTypes()...))
	o.resend = simulate.NewResend(simulate.ResendOptions{APIKey: demo.ResendKey})
	for name, h := range map[string]http.Handler{"STRIPE_URL": o.stripe, "RESEND_URL": o.resend} {
		server := httptest.NewServer(h)
		ts.Setenv(name, server.URL)
		ts.Defer(server.Close)
	}
	ts.Defer(o.stripe.Close)
	ts.Defer(o.resend.Close)
}

// prices are what is sold, in the minor unit.
var prices = map[string]int64{"az-900": 2900, "az-104": 3900, "az-305": 4900}

func sell(ts *testscript.TestScript, _ bool, args []string) {
	o := outsideOf(ts)
	price, ok := prices[args[1]]
	if !ok {
		ts.Fatalf("nothing named %s is sold", args[1])
	}
	session := o.stripe.CreateSession(simulate.SessionParams{
		Metadata:  map[string]string{"product": args[1], "quantity": "1", "currency": "usd", "unit_amount": fmt.Sprint(price)},
		LineItems: []simulate.LineItemParams{{PriceData: simulate.Price{Currency: "usd", UnitAmount: price, Product: args[1]}}}})
	ts.Check(o.stripe.Pay(session.ID, simulate.Customer{Email: args[2], Name: "Ann Example"}))
	ts.Setenv(args[0], session.ID)
	paid, _ := o.stripe.Session(session.ID)
	ts.Setenv(args[0]+"_PAYMENT", paid.PaymentIntent)
}

func refuse(ts *testscript.TestScript, _ bool, args []string) {
	outsideOf(ts).resend.SetFaults(simulate.ResendFaults{FailSend: func(_ int, r *http.Request) (int, string) {
		var m struct{ To []string }
		if json.NewDecoder(r.Body).Decode(&m) == nil && len(m.To) > 0 && slices.Contains(args, m.To[0]) {
			return http.StatusUnprocessableEntity, "invalid_parameter"
		}
		return 0, ""
	}})
}

func signing(wrong bool) func(*testscript.TestScript, bool, []string) {
	return func(ts *testscript.TestScript, _ bool, _ []string) {
		outsideOf(ts).stripe.SetFaults(simulate.Faults{WrongSecret: wrong})
	}
}

func servePage(ts *testscript.TestScript, _ bool, args []string) {
	o := outsideOf(ts)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if o.isRed.Load() {
			w.WriteHeader(http.StatusInternalServerError)
		}
	}))
	ts.Defer(server.Close)
	ts.Setenv(args[0], server.URL)
}

func turn(ts *testscript.TestScript, _ bool, args []string) {
	outsideOf(ts).isRed.Store(args[0] == "red")
}

func serveChannels(ts *testscript.TestScript, _ bool, args []string) {
	o := outsideOf(ts)
	o.channels = simulate.NewChannels(simulate.TwilioOptions{})
	server := httptest.NewServer(o.channels)
	ts.Defer(server.Close)
	ts.Defer(o.channels.Close)
	ts.Setenv(args[0], server.URL)
}

func told(ts *testscript.TestScript, _ bool, args []string) {
	pattern := regexp.MustCompile(args[0])
	for range 3000 {
		if slices.ContainsFunc(outsideOf(ts).channels.Log(), func(a simulate.Accepted) bool { return pattern.MatchString(a.Title) }) {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	ts.Fatalf("nobody was told %s: %+v", args[0], outsideOf(ts).channels.Log())
}

func awaitIncident(ts *testscript.TestScript, _ bool, args []string) {
	db, err := store.OpenReading(context.Background(), "sqlite:"+ts.MkAbs(args[0]))
	ts.Check(err)
	defer db.Close()
	for range 3000 {
		if keys, err := db.OpenIncidents(context.Background(), args[1]); err == nil && len(keys) == 1 {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	ts.Fatalf("there is no open incident of %s", args[1])
}

func keep(ts *testscript.TestScript, _ bool, args []string) {
	found := regexp.MustCompile(args[1]).FindStringSubmatch(ts.ReadFile("stdout"))
	if len(found) < 2 {
		ts.Fatalf("%s is not in what was printed", args[1])
	}
	ts.Setenv(args[0], found[1])
}

func await(ts *testscript.TestScript, _ bool, args []string) {
	db, err := store.OpenReading(context.Background(), "sqlite:"+ts.MkAbs(args[0]))
	ts.Check(err)
	defer db.Close()
	var o makegood.Order
	for range 2000 {
		if o, err = db.OrderBySession(context.Background(), "stripe", args[1]); err == nil && string(o.Fulfillment) == args[2] {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	ts.Fatalf("the order is %s, %v, want %s", o.Fulfillment, err, args[2])
}

// shapes name what differs from run to run. The order matters: what is longer comes first. A name that replaces a column
// of a table is as long as what it replaces, so that the layout is compared too.
var shapes = []struct {
	pattern *regexp.Regexp
	name    string
}{
	{regexp.MustCompile(`cs_test_[A-Za-z0-9]+`), "SESSION"},
	{regexp.MustCompile(`evt_[A-Za-z0-9]{20,}`), "PROVIDERS_EVENT"},
	{regexp.MustCompile(`pi_[A-Za-z0-9]{20,}`), "PAYMENT"},
	{regexp.MustCompile(`\b(ord|evt|lic|dlq|inc|sil)[0-9a-hjkmnp-tv-z]{20}\b`), "${1}00000000000000000000"},
	{regexp.MustCompile(`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`), "MAIL"},
	{regexp.MustCompile(`\bGD-[A-Z2-9]{4}-[A-Z2-9]{4}-[A-Z2-9]{4}`), "GD-KKKK-KKKK-KKKK"},
	{regexp.MustCompile(`••••-[A-Z2-9]{4}`), "••••-KKKK"},
	{regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z`), "2001-02-03T04:05:06Z"},
	{regexp.MustCompile(`\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d{3})?`), "2001-02-03 04:05:06"},
	{regexp.MustCompile(` *\+\d+(\.\d+)?(s|ms)`), " +TIME"},
	{regexp.MustCompile(`\b\d+(\.\d+)?(s|ms)\b`), "TIME"},
	{regexp.MustCompile(`\b\d+ bytes\b`), "N bytes"},
	{regexp.MustCompile(`\bby [a-z0-9_-]+@cli\b`), "by USER@cli"},
	{regexp.MustCompile(`process \d+ on [^.]+\.`), "process PID on HOST."},
	{regexp.MustCompile(` +\n`), "\n"},
}

func shape(ts *testscript.TestScript, _ bool, args []string) {
	text := ts.ReadFile(args[0])
	for _, s := range shapes {
		text = s.pattern.ReplaceAllString(text, s.name)
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(text), 0o600))
}

// No script may show a secret, whatever goes wrong in it.
func TestNoSecretIsPrinted(t *testing.T) {
	t.Parallel()
	lookup := func(name string) (string, bool) {
		value, ok := goodSecrets[name]
		return value, ok
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "makegood.yaml")
	for _, args := range [][]string{
		{"init", path}, {"config", "check", "-c", path}, {"orders", "list", "-c", path}, {"serve", "-c", dir},
	} {
		var out, errs strings.Builder
		cli.Main(t.Context(), args, &out, &errs, lookup)
		for name, value := range goodSecrets {
			if strings.Contains(out.String()+errs.String(), value) {
				t.Errorf("makegood %v printed %s:\n%s%s", args, name, &out, &errs)
			}
		}
	}
}
