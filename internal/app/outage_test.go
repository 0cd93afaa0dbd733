package app_test

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/config"
	"github.com/makegood/makegood/internal/demo"
	"github.com/makegood/makegood/internal/simulate"
	"github.com/makegood/makegood/internal/store"
	"github.com/makegood/makegood/internal/store/storetest"
)

// clock is the time of a whole world, which can be moved on.
type clock struct{ ahead atomic.Int64 }

func (c *clock) now() time.Time       { return time.Now().Add(time.Duration(c.ahead.Load())) }
func (c *clock) pass(d time.Duration) { c.ahead.Add(int64(d)) }

// switchboard stands before a service and makes it misbehave as a whole.
type switchboard struct {
	atomic.Pointer[func(w http.ResponseWriter, r *http.Request, next http.Handler)]
}

func (s *switchboard) around(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if misbehave := s.Load(); misbehave != nil {
			(*misbehave)(w, r, next)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (s *switchboard) set(misbehave func(w http.ResponseWriter, r *http.Request, next http.Handler)) {
	s.Store(&misbehave)
}

// down answers as a service that is down.
func down(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
	http.Error(w, "{}", http.StatusServiceUnavailable)
}

// storm answers as a service that wants to be left alone for an hour.
func storm(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
	w.Header().Set("Retry-After", "3600")
	http.Error(w, `{"name":"rate_limit_exceeded"}`, http.StatusTooManyRequests)
}

// lostAnswers lets the service act and loses its answer.
func lostAnswers(_ http.ResponseWriter, r *http.Request, next http.Handler) {
	next.ServeHTTP(discarding{http.Header{}}, r)
	panic(http.ErrAbortHandler)
}

type discarding struct{ header http.Header }

func (d discarding) Header() http.Header         { return d.header }
func (d discarding) Write(p []byte) (int, error) { return len(p), nil }
func (d discarding) WriteHeader(int)             {}

// outage is a world with a clock of its own, a switchboard before its mail service, and the patience of a real server.
type outage struct {
	*world
	clock *clock
	mails *switchboard
}

func startOutage(t *testing.T, url string, change ...func(*demo.Options)) *outage {
	t.Helper()
	c, mails := &clock{}, &switchboard{}
	change = append([]func(*demo.Options){func(o *demo.Options) {
		o.Retry = makegood.DefaultRetryPolicy
		o.Now, o.Stripe.Now, o.Resend.Now = c.now, c.now, c.now
		if o.PayPal != nil {
			o.PayPal.Now = c.now
		}
		o.AroundResend = mails.around
	}}, change...)
	return &outage{startWorld(t, url, change...), c, mails}
}

// days lets three days pass while something is broken: at each moment at which a job would run again by its policy, it
// runs, and fails.
func (o *outage) days() { o.hours(72) }

func (o *outage) hours(n int) {
	o.t.Helper()
	attempt := 0
	for passed := time.Duration(0); passed < time.Duration(n)*time.Hour; {
		attempt++
		wait := makegood.DefaultRetryPolicy.Backoff(attempt, 0.5)
		o.pass(wait, o.orders())
		passed += wait
	}
}

// pass moves the clock, runs what waits for it, and gives it time to run.
func (o *outage) pass(wait time.Duration, orders []makegood.Order) {
	o.t.Helper()
	o.clock.pass(wait)
	ctx := o.t.Context()
	for _, source := range []string{"stripe", "paypal"} {
		_, err := o.Store().HurryFailedJobs(ctx, source, "")
		o.must("hurry", err)
	}
	for _, order := range orders { // what was asked to wait has waited
		_, err := o.Store().HurryEvent(ctx, "", order.ID)
		o.must("hurry", err)
	}
	kept, err := o.Store().Events(ctx, store.EventFilter{State: makegood.EventKept})
	o.must("list the events", err)
	for _, e := range kept {
		_, err := o.Store().HurryEvent(ctx, e.ID, "")
		o.must("hurry", err)
	}
	o.eventually("a moment in which no job runs", func() bool {
		busy, err := o.Store().BusyJobs(ctx)
		o.must("read the queue", err)
		return busy == 0
	})
}

func (o *outage) orders() []makegood.Order {
	o.t.Helper()
	list, err := o.Store().Orders(o.t.Context(), store.OrderFilter{})
	o.must("list the orders", err)
	return list
}

// good checks that every order has its goods, that every customer has exactly one mail, and that nobody had to act.
func (o *outage) good(want int, addresses ...string) {
	o.t.Helper()
	for range 40 { // time passes, and nobody does anything
		open := 0
		for _, order := range o.orders() {
			if order.Fulfillment != makegood.Fulfilled {
				open++
			}
		}
		if open == 0 && len(o.orders()) == want {
			break
		}
		o.pass(time.Hour, o.orders())
	}
	orders := o.orders()
	if len(orders) != want {
		o.t.Errorf("%d orders, want %d", len(orders), want)
	}
	for _, order := range orders {
		if order.Fulfillment != makegood.Fulfilled {
			full, err := o.Store().Order(o.t.Context(), order.ID)
			o.t.Errorf("order %s is %s %s: %+v %v", order.ID, order.Fulfillment, order.Reason, full.Steps, err)
		}
	}
	for _, address := range addresses {
		if mails := o.Resend.Inbox(address); len(mails) != 1 {
			o.t.Errorf("%s has %d mails, want one", address, len(mails))
		}
	}
	if letters, err := o.Store().DeadLetters(o.t.Context(), store.DeadLetterFilter{}); err != nil || len(letters) != 0 {
		o.t.Errorf("dead letters = %+v, %v, want none: nobody was there to look at them", letters, err)
	}
}

// The mail service is down for three days. Of the first mail it had lost its answer only.
func TestMailDownForDays(t *testing.T) {
	t.Parallel()
	for name, trouble := range map[string]func(http.ResponseWriter, *http.Request, http.Handler){"down": down, "429": storm} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			storetest.Each(t, func(t *testing.T, url string) {
				o := startOutage(t, url)
				o.mails.set(lostAnswers)
				o.buy("az-900", 1, "accepted@example.com")
				o.eventually("a mail that was accepted", func() bool { return len(o.Resend.Inbox("accepted@example.com")) == 1 })
				o.mails.set(trouble)
				o.buy("az-900", 1, "ann@example.com")
				o.buy("az-104", 2, "bob@example.com")
				o.eventually("three orders", func() bool { return len(o.orders()) == 3 })
				o.days()
				o.mails.Store(nil)
				o.good(3, "accepted@example.com", "ann@example.com", "bob@example.com")
			})
		})
	}
}

// Every answer of the mail service is lost for three days, although it accepts everything.
func TestMailAnswersLostForDays(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, url string) {
		o := startOutage(t, url)
		o.mails.set(lostAnswers)
		o.buy("az-900", 1, "ann@example.com")
		o.buy("az-104", 1, "bob@example.com")
		o.eventually("two orders", func() bool { return len(o.orders()) == 2 })
		o.days()
		o.mails.Store(nil)
		o.good(2, "ann@example.com", "bob@example.com")
	})
}

// The owner's application is down for three days.
func TestForwardDownForDays(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, url string) {
		l := newListener(t)
		l.misbehave(down)
		o := startOutage(t, url, configured(l.configure))
		o.buy("az-900", 1, "ann@example.com")
		o.eventually("an order with its mail", func() bool { return len(o.orders()) == 1 && len(o.Resend.Inbox("ann@example.com")) == 1 })
		o.days()
		l.behave()
		o.good(1, "ann@example.com")
		if told := l.told(); len(told) != 1 || told[0].Type != "order.paid" {
			t.Errorf("the application heard %+v, want order.paid once", told)
		}
	})
}

// Stripe's API is down for three days, and its events need it: they come without our metadata.
func TestStripeDownForDays(t *testing.T) {
	t.Parallel()
	for name, status := range map[string]int{"down": http.StatusServiceUnavailable, "429": http.StatusTooManyRequests} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			storetest.Each(t, func(t *testing.T, url string) {
				o := startOutage(t, url)
				linked := o.Stripe.CreateSession(simulate.SessionParams{PaymentLink: "plink_1", LineItems: []simulate.LineItemParams{
					{PriceData: simulate.Price{Product: "AZ-900", Currency: "usd", UnitAmount: 2900, Metadata: map[string]string{"product": "az-900"}}}}})
				session := linked.ID
				refunded := o.open("az-900", 1)
				o.pay(refunded, "bob@example.com")
				o.settled(refunded)
				o.Stripe.SetFaults(simulate.Faults{FailAPI: func(*http.Request) int { return status }})
				o.pay(session, "ann@example.com")
				o.eventually("an event that waits", func() bool {
					kept, err := o.Store().Events(t.Context(), store.EventFilter{State: makegood.EventKept})
					return err == nil && len(kept) == 1
				})
				o.days()
				o.Stripe.SetFaults(simulate.Faults{})
				o.good(2, "ann@example.com", "bob@example.com")
			})
		})
	}
}

// PayPal captures the money, loses its answer, and is down for three days: nothing that it delivers can be confirmed.
func TestPayPalDownForDays(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, url string) {
		o := startOutage(t, url, withPayPal)
		session, err := o.CheckoutAt(t.Context(), "paypal", "az-900", 1)
		o.must("checkout at PayPal", err)
		unavailable := func(*http.Request) int { return http.StatusServiceUnavailable }
		o.PayPal.SetFaults(simulate.PayPalFaults{FailCertificate: unavailable})
		o.must("approve", o.PayPal.Approve(session, simulate.Customer{Email: "ann@example.com", Name: "Ann Example"}))
		var captured atomic.Bool
		o.PayPal.SetFaults(simulate.PayPalFaults{
			FailAPI: func(*http.Request) int {
				if captured.Load() {
					return http.StatusServiceUnavailable
				}
				return 0
			},
			FailAfter: func(r *http.Request) int {
				if strings.HasSuffix(r.URL.Path, "/capture") {
					captured.Store(true)
					return simulate.Abort
				}
				return 0
			},
		})
		kept := func() int {
			events, err := o.Store().Events(t.Context(), store.EventFilter{State: makegood.EventKept})
			o.must("list the events", err)
			return len(events)
		}
		o.eventually("events that wait", func() bool {
			o.clock.pass(time.Minute) // a certificate that could not be fetched is tried again after a while
			o.PayPal.RetryNow()
			return captured.Load() && kept() >= 2
		})
		o.hours(70) // the goods must be out before PayPal's memory ends
		if kept() < 2 || len(o.orders()) != 0 {
			t.Errorf("after three days %d events wait and there are %d orders, want two and none: nothing could be confirmed", kept(), len(o.orders()))
		}
		o.PayPal.SetFaults(simulate.PayPalFaults{})
		o.good(1, "ann@example.com")
	})
}

func withPayPal(o *demo.Options) {
	o.PayPal = &simulate.PayPalOptions{RetrySchedule: []time.Duration{100 * time.Millisecond, 72 * time.Hour}}
}

// configure adds the listener to a configuration.
func (l *listener) configure(c *config.Config) {
	c.Forwards = append(c.Forwards, config.Forward{Name: "shop", URL: l.URL, Secrets: l.secrets, Timeout: 5 * time.Second,
		AllowPrivate: true, Retry: makegood.DefaultRetryPolicy})
}
