// Package notifytest is a conformance suite for notify.Channel: what every channel has to make of a service that takes a
// message, refuses it, is slow, broken, gone, or cannot be found. It runs over real connections; nothing in it depends on
// how fast they are.
package notifytest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/notify"
	"github.com/makegood/makegood/internal/outbound"
)

// Service is a pretend service of a channel.
type Service struct {
	Handler http.Handler
	// Refuse makes it answer every request of those that tell with a status, in its own words; 0 ends that.
	Refuse func(status int)
	// Told is how many alarms people see.
	Told func() int
	// Open is how many things are open or red; nil where the service keeps nothing open.
	Open func() int
}

// Suite says what a channel is like.
type Suite struct {
	// New makes a channel over a service at a base address.
	New func(base string, c *outbound.Client) (notify.Channel, error)
	// Start makes a service. It may use t to end it.
	Start func(t *testing.T) Service
	// Tells reports whether a request is the one that tells people; nil is every POST.
	Tells func(*http.Request) bool
	// Recognises is set where the service knows a repetition after a restart of ours.
	Recognises bool
	// AnyAnswer is set where the words of a 2xx do not matter.
	AnyAnswer bool
	// NoStatus is set where the channel does not see statuses.
	NoStatus bool
	// Reasons are those that are not what HTTP says, by status.
	Reasons map[int]notify.Reason
	// Now is the clock of channel and service.
	Now time.Time
	// Secrets must stand in no error: credentials, numbers, addresses.
	Secrets []string
}

// Run checks everything.
func (s Suite) Run(t *testing.T) {
	t.Run("tells once", s.tellsOnce)
	t.Run("repeated after a restart", s.repeated)
	t.Run("closes what it opened", s.closes)
	t.Run("leaves open what is not over", s.leavesOpen)
	t.Run("an end without a beginning", s.endAlone)
	t.Run("is tested and disturbs nobody", s.tested)
	t.Run("refusals", s.refusals)
	t.Run("no answer", s.hangs)
	t.Run("connection cut", s.cut)
	t.Run("garbage", s.garbage)
	t.Run("nobody there", s.refused)
	t.Run("no such name", s.unknownName)
	t.Run("rests", s.rests)
	t.Run("many at once", s.many)
}

// Message is an alarm with everything in it.
func (s Suite) Message(id string) notify.Message {
	return notify.Message{ID: id, Priority: makegood.P0, Kind: makegood.NoticeOpened, Title: "Checkout does not answer", Body: "expected 200, saw 503\nsince 12:00",
		Link: "https://shop.example/incidents/inc1", AckLink: "https://shop.example/ack/secretlysigned", Incidents: []string{"inc" + id}, At: s.Now}
}

// End is the word that a message's incidents are over.
func (s Suite) End(id string, earlier ...notify.Earlier) notify.Message {
	m := s.Message(id)
	m.Kind, m.Title, m.AckLink, m.Earlier = makegood.NoticeResolved, "Over: Checkout answers", "", earlier
	for _, e := range earlier {
		m.Incidents = append(m.Incidents, "inc"+e.MessageID)
	}
	return m
}

// world is a channel over a service that can be interrupted.
type world struct {
	notify.Channel
	Service
	suite Suite
	base  string

	mu        sync.Mutex
	interrupt http.HandlerFunc // takes the place of the service for requests that tell; nil does not
}

func (s Suite) start(t *testing.T) *world {
	t.Helper()
	w := &world{Service: s.Start(t), suite: s}
	server := httptest.NewServer(w)
	t.Cleanup(server.Close)
	w.base = server.URL
	w.Channel = s.channel(t, server.URL)
	return w
}

func (s Suite) channel(t *testing.T, base string) notify.Channel {
	t.Helper()
	client := outbound.New(outbound.Options{AllowPrivate: true, Now: func() time.Time { return s.Now }})
	t.Cleanup(client.CloseIdle)
	c, err := s.New(base, client)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func (s Suite) tells(r *http.Request) bool {
	if s.Tells != nil {
		return s.Tells(r)
	}
	return r.Method == http.MethodPost
}

// ServeHTTP passes a request to the service, or to what interrupts it.
func (w *world) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	w.mu.Lock()
	interrupt := w.interrupt
	w.mu.Unlock()
	if interrupt != nil && w.suite.tells(r) {
		interrupt(rw, r)
		return
	}
	w.Handler.ServeHTTP(rw, r)
}

func (w *world) setInterrupt(h http.HandlerFunc) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.interrupt = h
}

func (w *world) mustSend(t *testing.T, m notify.Message) notify.Receipt {
	t.Helper()
	r, err := w.Send(t.Context(), m)
	if err != nil {
		t.Fatalf("Send = %v, want it told", err)
	}
	return r
}

// failure is the *notify.Error of err, after a search for what must not stand in it.
func (s Suite) failure(t *testing.T, err error) *notify.Error {
	t.Helper()
	var e *notify.Error
	if !errors.As(err, &e) {
		t.Fatalf("error = %v (%T), want a *notify.Error", err, err)
	}
	printed := fmt.Sprintf("%v %+v %#v", err, err, e) + e.Code
	for cause := error(e); cause != nil; cause = errors.Unwrap(cause) {
		printed += cause.Error()
	}
	for _, secret := range append(s.Secrets, "secretlysigned") {
		if strings.Contains(printed, secret) {
			t.Errorf("error = %s, want nothing secret in it", printed)
		}
	}
	return e
}

func (s Suite) want(t *testing.T, err error, reason notify.Reason, status int, doubt bool) *notify.Error {
	t.Helper()
	e := s.failure(t, err)
	if s.NoStatus {
		status = e.Status
	}
	if e.Reason != reason || e.Status != status || e.Doubt != doubt {
		t.Errorf("error = %v: reason %s, status %d, doubt %v; want %s, %d, %v", e, e.Reason, e.Status, e.Doubt, reason, status, doubt)
	}
	return e
}

func (s Suite) tellsOnce(t *testing.T) {
	w := s.start(t)
	r := w.mustSend(t, s.Message("msg1"))
	if w.Told() != 1 || r.RemoteID == "" {
		t.Errorf("Send told %d times with receipt %+v, want once with an id", w.Told(), r)
	}
}

func (s Suite) repeated(t *testing.T) {
	w := s.start(t)
	w.mustSend(t, s.Message("msg1"))
	w.Channel = s.channel(t, w.base)
	w.mustSend(t, s.Message("msg1"))
	want := 2
	if s.Recognises {
		want = 1
	}
	if w.Told() != want {
		t.Errorf("the same message twice told %d times, want %d", w.Told(), want)
	}
}

func (s Suite) closes(t *testing.T) {
	w := s.start(t)
	first, second := w.mustSend(t, s.Message("msg1")), w.mustSend(t, s.Message("msg2"))
	if w.Open == nil {
		return
	}
	if w.Open() != 2 {
		t.Fatalf("%d open after two alarms, want 2", w.Open())
	}
	end := s.End("msg3", notify.Earlier{MessageID: "msg1", RemoteID: first.RemoteID}, notify.Earlier{MessageID: "msg2", RemoteID: second.RemoteID})
	w.mustSend(t, end)
	if w.Open() != 0 {
		t.Errorf("%d open after the end, want none", w.Open())
	}
	w.mustSend(t, end)
	if w.Open() != 0 {
		t.Errorf("%d open after the end was told again, want none", w.Open())
	}
}

func (s Suite) leavesOpen(t *testing.T) {
	w := s.start(t)
	first, second := w.mustSend(t, s.Message("msg1")), w.mustSend(t, s.Message("msg2"))
	w.mustSend(t, s.End("msg3", notify.Earlier{MessageID: "msg1", RemoteID: first.RemoteID, Open: 1}, notify.Earlier{MessageID: "msg2", RemoteID: second.RemoteID}))
	if w.Open != nil && w.Open() != 1 {
		t.Errorf("%d open after the end of one of two, want 1", w.Open())
	}
}

func (s Suite) endAlone(t *testing.T) {
	w := s.start(t)
	w.mustSend(t, s.End("msg1"))
	w.mustSend(t, s.End("msg2", notify.Earlier{MessageID: "msg0"}))
	if w.Open != nil && w.Open() != 0 {
		t.Errorf("%d open after an end without a beginning, want none", w.Open())
	}
}

func (s Suite) tested(t *testing.T) {
	w := s.start(t)
	if err := w.Test(t.Context()); err != nil {
		t.Fatalf("Test = %v, want nil", err)
	}
	if w.Told() != 0 {
		t.Errorf("Test told %d people, want nobody", w.Told())
	}
	w.base = "http://127.0.0.1:1"
	e := s.failure(t, s.channel(t, w.base).Test(t.Context()))
	if e.Reason != notify.ReasonNetwork || e.Doubt {
		t.Errorf("Test of nobody = %v, doubt %v; want network without doubt", e, e.Doubt)
	}
}

// refusals are the service's own words, for people and for test alike.
func (s Suite) refusals(t *testing.T) {
	for status, usual := range map[int]notify.Reason{401: notify.ReasonAuth, 404: notify.ReasonClient, 429: notify.ReasonRateLimit,
		500: notify.ReasonServer, 503: notify.ReasonServer} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			w := s.start(t)
			reason, ok := s.Reasons[status]
			if !ok {
				reason = usual
			}
			w.Refuse(status)
			_, err := w.Send(t.Context(), s.Message("msg1"))
			e := s.failure(t, err)
			if e.Reason != reason || e.Doubt != (status >= 500) || !s.NoStatus && e.Status != status && e.Status != http.StatusOK {
				t.Errorf("Send = %v: reason %s, status %d, doubt %v; want %s, %d, %v", e, e.Reason, e.Status, e.Doubt, reason, status, status >= 500)
			}
			if isWaiting := e.RetryAfter > 0; isWaiting != (status == 429) {
				t.Errorf("RetryAfter = %v after status %d", e.RetryAfter, status)
			}
			if w.Told() != 0 {
				t.Errorf("told %d times by a refused message", w.Told())
			}
			w.Refuse(0)
			w.mustSend(t, s.Message("msg1"))
			if w.Told() != 1 {
				t.Errorf("told %d times after the trouble, want once", w.Told())
			}
		})
	}
}

func (s Suite) hangs(t *testing.T) {
	w := s.start(t)
	ctx := newDeadline(t.Context())
	w.setInterrupt(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		ctx.pass()
		<-r.Context().Done()
	})
	_, err := w.Send(ctx, s.Message("msg1"))
	s.want(t, err, notify.ReasonTimeout, 0, true)
}

func (s Suite) cut(t *testing.T) {
	w := s.start(t)
	w.setInterrupt(func(_ http.ResponseWriter, r *http.Request) {
		w.Handler.ServeHTTP(httptest.NewRecorder(), r)
		panic(http.ErrAbortHandler)
	})
	_, err := w.Send(t.Context(), s.Message("msg1"))
	s.want(t, err, notify.ReasonNetwork, 0, true)
	if w.Told() == 0 {
		t.Error("the service did not act before it hung up; the test shows nothing")
	}
}

func (s Suite) garbage(t *testing.T) {
	if s.AnyAnswer {
		return
	}
	for _, body := range []string{"", "<html><body>502 Bad Gateway</body></html>", "null", "{}", "[]", `{"ok":true,"id":7,"sid":"x","ts":"<b>","number":-1,"status":9}`,
		strings.Repeat("x", outbound.DefaultBodyBytesMax+1)} {
		w := s.start(t)
		w.setInterrupt(func(rw http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(rw, body) })
		_, err := w.Send(t.Context(), s.Message("msg1"))
		e := s.failure(t, err)
		if e.Reason != notify.ReasonServer && !s.NoStatus || !e.Doubt {
			t.Errorf("Send after an answer of %.40q = %v: reason %s, doubt %v; want server with doubt", body, e, e.Reason, e.Doubt)
		}
	}
}

func (s Suite) refused(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	base := "http://" + l.Addr().String()
	_ = l.Close()
	_, err = s.channel(t, base).Send(t.Context(), s.Message("msg1"))
	s.want(t, err, notify.ReasonNetwork, 0, false)
}

func (s Suite) unknownName(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), makegood.SendTimeout)
	defer cancel()
	_, err := s.channel(t, "http://no-such-name.invalid").Send(ctx, s.Message("msg1"))
	s.want(t, err, notify.ReasonNetwork, 0, false)
}

// rests checks that a service that failed several times in a row is left alone.
func (s Suite) rests(t *testing.T) {
	w := s.start(t)
	var hits atomic.Int64
	w.setInterrupt(func(rw http.ResponseWriter, _ *http.Request) { hits.Add(1); rw.WriteHeader(http.StatusBadGateway) })
	for range 5 {
		_, err := w.Send(t.Context(), s.Message("msg1"))
		s.failure(t, err)
	}
	before := hits.Load()
	_, err := w.Send(t.Context(), s.Message("msg1"))
	e := s.want(t, err, notify.ReasonResting, 0, false)
	if more := hits.Load() - before; more != 0 || e.RetryAfter <= 0 {
		t.Errorf("%d requests while it rests, to be repeated after %v; want none and a wait", more, e.RetryAfter)
	}
}

func (s Suite) many(t *testing.T) {
	w := s.start(t)
	var wg sync.WaitGroup
	for i := range 10 {
		wg.Go(func() {
			if _, err := w.Send(t.Context(), s.Message(fmt.Sprintf("msg%d", i))); err != nil {
				t.Errorf("Send of one of many = %v", err)
			}
		})
	}
	wg.Wait()
	if w.Told() != 10 {
		t.Errorf("told %d of 10", w.Told())
	}
}

// deadline is a context whose time is up when somebody says so, and not by a clock: a slow machine changes nothing.
type deadline struct {
	context.Context
	done chan struct{}
	once *sync.Once
}

func newDeadline(parent context.Context) deadline {
	return deadline{parent, make(chan struct{}), new(sync.Once)}
}

func (d deadline) pass() { d.once.Do(func() { close(d.done) }) }

// Done is closed when the time is up.
func (d deadline) Done() <-chan struct{} { return d.done }

// Err is DeadlineExceeded when the time is up.
func (d deadline) Err() error {
	select {
	case <-d.done:
		return context.DeadlineExceeded
	default:
		return nil
	}
}
