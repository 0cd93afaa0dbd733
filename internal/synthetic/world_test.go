package synthetic_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/config"
	"github.com/makegood/makegood/internal/demo"
	"github.com/makegood/makegood/internal/harness"
	"github.com/makegood/makegood/internal/outbound"
	"github.com/makegood/makegood/internal/secret"
	"github.com/makegood/makegood/internal/simulate"
	"github.com/makegood/makegood/internal/store/storetest"
	"github.com/makegood/makegood/internal/synthetic"
)

// clock is a Now that a test can move, for provider, server and watcher alike.
type clock struct{ nanos atomic.Int64 }

func newClock() *clock {
	c := &clock{}
	c.nanos.Store(time.Now().UnixNano())
	return c
}

func (c *clock) Now() time.Time          { return time.Unix(0, c.nanos.Load()).UTC() }
func (c *clock) Advance(d time.Duration) { c.nanos.Add(int64(d)) }

// door stands between two, and passes on what one says to the other, with whatever is to be changed on the way.
type door struct {
	*httptest.Server
	mu      sync.Mutex
	target  string
	request func(r *http.Request, body []byte) []byte
	answer  func(r *http.Request, a *answered)
}

type answered struct {
	status int
	header http.Header
	body   []byte
	hang   bool // there is no answer, though the other side has acted
}

func newDoor(t *testing.T) *door {
	d := &door{}
	d.Server = httptest.NewServer(d)
	t.Cleanup(d.Close)
	return d
}

// reset has everything passed on as it is.
func (d *door) reset(target string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.target, d.request, d.answer = target, nil, nil
}

func (d *door) to(target string) { d.mu.Lock(); defer d.mu.Unlock(); d.target = target }

func (d *door) onRequest(change func(*http.Request, []byte) []byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.request = change
}

func (d *door) onAnswer(change func(*http.Request, *answered)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.answer = change
}

func (d *door) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	d.mu.Lock()
	target, request, answer := d.target, d.request, d.answer
	d.mu.Unlock()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	if request != nil {
		body = request(r, body)
	}
	out, err := http.NewRequestWithContext(r.Context(), r.Method, target+r.URL.RequestURI(), bytes.NewReader(body))
	if err != nil {
		panic(err)
	}
	out.Header = r.Header.Clone()
	response, err := http.DefaultTransport.RoundTrip(out)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	defer response.Body.Close()
	said, err := io.ReadAll(response.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	a := &answered{status: response.StatusCode, header: response.Header, body: said}
	if answer != nil {
		answer(r, a)
	}
	if a.hang {
		<-r.Context().Done()
		panic(http.ErrAbortHandler)
	}
	for name, values := range a.header {
		if name != "Content-Length" {
			w.Header()[name] = values
		}
	}
	w.WriteHeader(a.status)
	_, _ = w.Write(a.body)
}

// form changes the form in which the server asks Stripe for a session; an empty value takes a field out.
func form(pairs ...string) func(*http.Request, []byte) []byte {
	return func(r *http.Request, body []byte) []byte {
		values, err := url.ParseQuery(string(body))
		if err != nil || r.Method != http.MethodPost || r.URL.Path != "/v1/checkout/sessions" {
			return body
		}
		for i := 0; i < len(pairs); i += 2 {
			values.Del(pairs[i])
			if pairs[i+1] != "" {
				values.Set(pairs[i], pairs[i+1])
			}
		}
		return []byte(values.Encode())
	}
}

// field changes a field of the JSON that answers a method at an address that begins with path.
func field(method, path, name string, value any) func(*http.Request, *answered) {
	return func(r *http.Request, a *answered) {
		var object map[string]any
		if r.Method != method || !strings.HasPrefix(r.URL.Path, path) || json.Unmarshal(a.body, &object) != nil {
			return
		}
		object[name] = value
		a.body, _ = json.Marshal(object)
	}
}

// status answers with a status and a body.
func status(method, path string, status int, kind, body string) func(*http.Request, *answered) {
	return func(r *http.Request, a *answered) {
		if r.Method == method && strings.HasPrefix(r.URL.Path, path) {
			a.status, a.header, a.body = status, http.Header{"Content-Type": {kind}}, []byte(body)
		}
	}
}

// scene is a world with a door between each two: customers and shop, server and Stripe, watcher and Stripe.
type scene struct {
	*harness.World
	t                 *testing.T
	clock             *clock
	shop, sales, desk *door
	checkout          *synthetic.Checkout
}

var shared = secret.New("a secret that watcher and server share")

func newScene(t *testing.T, change ...func(*config.Config)) *scene {
	t.Helper()
	s := &scene{t: t, clock: newClock(), shop: newDoor(t), sales: newDoor(t), desk: newDoor(t)}
	s.World = harness.Start(t, demo.Options{Database: storetest.SQLite(t), NoAlarm: true, Retry: harness.Quick(), Now: s.clock.Now,
		Stripe: simulate.StripeOptions{Now: s.clock.Now, RetrySchedule: slices.Repeat([]time.Duration{50 * time.Millisecond}, 200)},
		PayPal: &simulate.PayPalOptions{Now: s.clock.Now},
		Configure: func(c *config.Config) {
			s.sales.reset(c.Sources[0].APIBase)
			c.Sources[0].APIBase = s.sales.URL
			c.Watcher.Secret = shared
			c.Checkout.SuccessURL, c.Checkout.CancelURL = "https://shop.example/thanks?session_id={CHECKOUT_SESSION_ID}", "https://shop.example/exams"
			c.Forwards = []config.Forward{{Name: "erp", URL: s.sales.URL + "/nobody", Secrets: []config.DatedSecret{{Secret: secret.New("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")}},
				Timeout: time.Second, AllowPrivate: true, PerSecond: 100}}
			for code, price := range map[string]string{"az-900": "price_az900", "az-104": "price_az104"} {
				p := c.Catalogue[code]
				p.ProviderPrice, p.Stocked = map[string]string{"stripe": price}, true
				c.Catalogue[code] = p
			}
			for _, f := range change {
				f(c)
			}
		}})
	for _, p := range []simulate.Price{
		{ID: "price_az900", Product: "AZ-900 practice exam", Currency: "usd", UnitAmount: 2900},
		{ID: "price_az104", Product: "AZ-104 practice exam", Currency: "usd", UnitAmount: 3900},
		{ID: "price_cheap", Product: "AZ-900 practice exam", Currency: "usd", UnitAmount: 2800},
		{ID: "price_eur", Product: "AZ-900 practice exam", Currency: "eur", UnitAmount: 2900},
		{ID: "price_same", Product: "AZ-104 practice exam", Currency: "usd", UnitAmount: 2900},
	} {
		s.Stripe.AddPrice(p)
	}
	s.heal()
	s.checkout = s.watcher()
	return s
}

// heal opens all doors again.
func (s *scene) heal() {
	s.shop.reset(s.URL)
	s.sales.reset(s.StripeURL)
	s.desk.reset(s.StripeURL)
}

// watcher is a new one, as after a restart.
func (s *scene) watcher(change ...func(*synthetic.Options)) *synthetic.Checkout {
	s.t.Helper()
	way := outbound.New(outbound.Options{AllowPrivate: true, Timeout: time.Minute})
	s.t.Cleanup(way.CloseIdle)
	hosts, err := url.Parse(s.StripeURL)
	if err != nil {
		s.t.Fatal(err)
	}
	o := synthetic.Options{Shop: s.shop.URL, Secret: shared, Desk: synthetic.NewStripe(secret.New(demo.StripeKey), "", s.desk.URL, way),
		Product: "az-900", Amount: makegood.Money{Minor: 2900, Currency: "usd"}, LineName: "AZ-900 practice exam", Price: "price_az900",
		SuccessURL: "https://shop.example/thanks", CancelURL: "https://shop.example/exams", Hosts: []string{hosts.Host}, HTTP: way, Now: s.clock.Now}
	for _, c := range change {
		c(&o)
	}
	checkout, err := synthetic.New(o)
	if err != nil {
		s.t.Fatal(err)
	}
	checkout.BePatient()
	return checkout
}

// open are the sessions in which somebody could still pay.
func (s *scene) open() []string {
	var ids []string
	for _, session := range s.Stripe.Sessions() {
		if session.Status == "open" {
			ids = append(ids, session.ID)
		}
	}
	return ids
}
