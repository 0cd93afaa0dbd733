package intake_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/api"
	"github.com/makegood/makegood/internal/intake"
	"github.com/makegood/makegood/internal/provider"
	"github.com/makegood/makegood/internal/provider/stripe"
	"github.com/makegood/makegood/internal/queue"
	"github.com/makegood/makegood/internal/secret"
	"github.com/makegood/makegood/internal/simulate"
	"github.com/makegood/makegood/internal/store"
	"github.com/makegood/makegood/internal/store/storetest"
	"github.com/makegood/makegood/internal/telemetry"
)

const signingSecret = "whsec_testsOfIntakeAndNothingElse1"

var now = time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)

// memory is a store that keeps events in memory and can be made to fail or wait.
type memory struct {
	mu     sync.Mutex
	kept   []makegood.Event
	asked  int
	before func() error // runs before anything is kept

	outcome    makegood.Outcome
	outcomeErr error
	revived    []makegood.Outcome
	onRevive   *makegood.Outcome
}

func (m *memory) AcceptEvent(_ context.Context, e makegood.Event) (bool, error) {
	m.mu.Lock()
	m.asked++
	before := m.before
	m.mu.Unlock()
	if before != nil {
		if err := before(); err != nil {
			return false, err
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if slices.ContainsFunc(m.kept, func(k makegood.Event) bool { return k.ProviderID == e.ProviderID }) {
		return false, nil
	}
	m.kept = append(m.kept, e)
	return true, nil
}

func (m *memory) OutcomeOf(context.Context, makegood.Event) (makegood.Outcome, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.outcome, m.outcomeErr
}

func (m *memory) Revive(_ context.Context, o makegood.Outcome) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.revived = append(m.revived, o)
	if m.onRevive != nil {
		m.outcome = *m.onRevive
	}
	return nil
}

func (m *memory) events() []makegood.Event {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.kept)
}

// door is an intake with what is around it.
type door struct {
	http.Handler
	store   *memory
	metrics *telemetry.Metrics
	logs    *bytes.Buffer
}

func newDoor(t *testing.T) *door {
	t.Helper()
	source, err := stripe.New(stripe.Options{Name: "stripe", WebhookSecrets: provider.Active(secret.New(signingSecret))})
	if err != nil {
		t.Fatal(err)
	}
	return doorTo(source, &memory{})
}

func doorTo(source provider.Source, s *memory) *door {
	d := &door{store: s, metrics: telemetry.NewMetrics(), logs: &bytes.Buffer{}}
	d.Handler = handler(source, s, d.metrics, slog.New(slog.NewJSONHandler(d.logs, &slog.HandlerOptions{Level: slog.LevelDebug})))
	return d
}

// handler answers as the whole server does.
func handler(source provider.Source, s intake.Store, m *telemetry.Metrics, log *slog.Logger) http.Handler {
	in := intake.New(intake.Options{Sources: map[string]provider.Source{source.Name(): source}, Store: s,
		Now: func() time.Time { return now }, Log: log, Metrics: m})
	mux := http.NewServeMux()
	mux.Handle("POST /hooks/{source}", api.Errors(log, in.Receive))
	return mux
}

func (d *door) post(t *testing.T, r *http.Request) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	d.ServeHTTP(w, r)
	return w
}

func (d *door) counted(name string, labels ...string) uint64 {
	second := map[string]string{"deliveries_total": "result", "refused_deliveries_total": "reason"}[name]
	return d.metrics.Counter(name, "", "source", second).With(labels...).Value()
}

// signed is a genuine delivery.
func signed(body string) *http.Request {
	return delivery(body, simulate.Sign([]byte(body), now, signingSecret))
}

func delivery(body, signature string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, "/hooks/stripe", strings.NewReader(body))
	if signature != "" {
		r.Header.Set("Stripe-Signature", signature)
	}
	return r
}

func eventBody(id string) string {
	return fmt.Sprintf(`{"id":%q,"object":"event","type":"checkout.session.completed","livemode":false,"created":1772600760,`+
		`"api_version":"2026-03-25.dahlia","data":{"object":{"id":"cs_test_1","object":"checkout.session"}}}`, id)
}

// failure is the error of an answer.
type failure struct{ Code, Message, More string }

func failureOf(t *testing.T, body io.Reader) failure {
	t.Helper()
	var answer struct{ Error failure }
	if err := json.NewDecoder(body).Decode(&answer); err != nil {
		t.Errorf("the answer is not our JSON: %v", err)
	}
	return answer.Error
}

func TestReceive(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	body := eventBody("evt_1")
	w := d.post(t, signed(body))
	if w.Code != http.StatusOK || w.Body.String() != `{"received":"new"}`+"\n" || w.Header().Get("Content-Type") != "application/json" {
		t.Errorf("a genuine delivery = %d %q, want 200 and new", w.Code, w.Body)
	}
	want := []makegood.Event{{Source: "stripe", ProviderID: "evt_1", Type: "checkout.session.completed",
		APIVersion: "2026-03-25.dahlia", ObjectID: "cs_test_1", CreatedAt: time.Unix(1772600760, 0).UTC(), ReceivedAt: now,
		VerifiedBy: secret.New(signingSecret).Fingerprint(), Payload: []byte(body)}}
	if diff := cmp.Diff(want, d.store.events()); diff != "" {
		t.Errorf("kept (-want +got):\n%s", diff)
	}
	if n := d.counted("deliveries_total", "stripe", "new"); n != 1 {
		t.Errorf("new deliveries counted = %d, want 1", n)
	}
}

func TestReceiveRepeated(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	for i, want := range []string{"new", "repeated", "repeated"} {
		w := d.post(t, signed(eventBody("evt_1")))
		if w.Code != http.StatusOK || !strings.Contains(w.Body.String(), want) {
			t.Errorf("delivery %d = %d %q, want 200 and %s", i+1, w.Code, w.Body, want)
		}
	}
	if n := d.counted("deliveries_total", "stripe", "repeated"); n != 2 || len(d.store.events()) != 1 {
		t.Errorf("repeated deliveries counted = %d, events kept = %d, want 2 and 1", n, len(d.store.events()))
	}
}

func TestReceiveUnknownSource(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	r := signed(eventBody("evt_1"))
	r.URL.Path = "/hooks/paypal"
	w := d.post(t, r)
	if f := failureOf(t, w.Body); w.Code != http.StatusNotFound || f.Code != "not_found" || d.store.asked != 0 {
		t.Errorf("a delivery for another source = %d %+v, the store was asked %d times, want 404 and never", w.Code, f, d.store.asked)
	}
}

// unread fails the test when a byte is read of what must be refused before.
type unread struct{ t *testing.T }

func (u unread) Read([]byte) (int, error) {
	u.t.Error("the body was read")
	return 0, io.EOF
}

func TestReceiveTooLarge(t *testing.T) {
	t.Parallel()
	atCap := eventBody("evt_1")
	atCap += strings.Repeat(" ", makegood.DeliveryBytesMax-len(atCap))
	for _, tt := range []struct {
		name   string
		change func(*http.Request)
		body   string
		want   int
	}{
		{"announced, not read", func(r *http.Request) {
			r.ContentLength, r.Body = makegood.DeliveryBytesMax+1, io.NopCloser(unread{t})
		}, "", http.StatusRequestEntityTooLarge},
		{"announced at the cap", func(*http.Request) {}, atCap, http.StatusOK},
		{"not announced", func(r *http.Request) { r.ContentLength = -1 }, atCap + " ", http.StatusRequestEntityTooLarge},
		{"not announced, at the cap", func(r *http.Request) { r.ContentLength = -1 }, atCap, http.StatusOK},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			d := newDoor(t)
			r := signed(tt.body)
			tt.change(r)
			w := d.post(t, r)
			if w.Code != tt.want || (len(d.store.events()) == 1) != (tt.want == http.StatusOK) {
				t.Errorf("= %d with %d events kept, want %d", w.Code, len(d.store.events()), tt.want)
			}
			if f := failureOf(t, w.Body); tt.want != http.StatusOK && (f.Code != "too_large" || !strings.Contains(f.Message, "1048576 bytes")) {
				t.Errorf("answer = %+v, want too_large and the limit", f)
			}
		})
	}
}

// Over a real connection: the client must hear the refusal although it has not sent all of its body.
func TestReceiveTooLargeOverTheWire(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	server := httptest.NewServer(d)
	defer server.Close()
	for _, announced := range []bool{true, false} {
		var body io.Reader = bytes.NewReader(make([]byte, makegood.DeliveryBytesMax+1))
		if !announced {
			body = struct{ io.Reader }{body}
		}
		response, err := http.Post(server.URL+"/hooks/stripe", "application/json", body)
		if err != nil {
			t.Errorf("announced %v: %v", announced, err)
			continue
		}
		defer response.Body.Close()
		if f := failureOf(t, response.Body); response.StatusCode != http.StatusRequestEntityTooLarge || f.Code != "too_large" {
			t.Errorf("announced %v: %d %+v, want 413", announced, response.StatusCode, f)
		}
	}
}

func TestReceiveUnproved(t *testing.T) {
	t.Parallel()
	body := eventBody("evt_1")
	sign := func(age time.Duration) string { return simulate.Sign([]byte(body), now.Add(-age), signingSecret) }
	for _, tt := range []struct {
		reason    provider.Reason
		signature string
		says      string
	}{
		{provider.ReasonMissing, "", "no signature"},
		{provider.ReasonMalformed, "t=now", "cannot be read"},
		{provider.ReasonMismatch, simulate.Sign([]byte(body), now, "whsec_another"), "none of the configured secrets"},
		{provider.ReasonMismatch, simulate.Sign([]byte(body+" "), now, signingSecret), "none of the configured secrets"},
		{provider.ReasonTooOld, sign(makegood.SignatureTolerance + time.Second), "too old"},
		{provider.ReasonFuture, sign(-makegood.SignatureTolerance - time.Second), "from the future"},
	} {
		t.Run(string(tt.reason), func(t *testing.T) {
			d := newDoor(t)
			w := d.post(t, delivery(body, tt.signature))
			if f := failureOf(t, w.Body); w.Code != http.StatusBadRequest || f.Code != "bad_signature" || !strings.Contains(f.Message, tt.says) {
				t.Errorf("= %d %+v, want 400, bad_signature and %q", w.Code, f, tt.says)
			}
			if n := d.counted("refused_deliveries_total", "stripe", string(tt.reason)); n != 1 {
				t.Errorf("counted as %s = %d, want 1", tt.reason, n)
			}
			if d.store.asked != 0 {
				t.Errorf("the store was asked %d times about what is not proved", d.store.asked)
			}
			if logs := d.logs.String(); !strings.Contains(logs, string(tt.reason)) || strings.Contains(logs, "v1=") || strings.Contains(logs, "cs_test_1") {
				t.Errorf("log = %s, want the reason, and nothing of signature or body", logs)
			}
		})
	}
}

// I6: the answer comes after the store has said that the event is durable, and not before.
func TestReceiveAnswersOnceDurable(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDoor(t)
		durable := make(chan struct{})
		d.store.before = func() error { <-durable; return nil }
		answered := make(chan int, 1)
		go func() { answered <- d.post(t, signed(eventBody("evt_1"))).Code }()
		synctest.Wait()
		select {
		case code := <-answered:
			t.Fatalf("answered %d while the store was still writing", code)
		default:
		}
		if d.store.asked != 1 {
			t.Fatalf("the store was asked %d times, want once", d.store.asked)
		}
		close(durable)
		if code := <-answered; code != http.StatusOK {
			t.Errorf("answered %d once durable, want 200", code)
		}
	})
}

func TestReceiveStoreFails(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	d.store.before = func() error {
		return makegood.Wrap(errors.New("disk full: /var/lib/secret-place"), makegood.Unavailable, "The store cannot be reached just now; nothing was changed.")
	}
	w := d.post(t, signed(eventBody("evt_1")))
	if f := failureOf(t, w.Body); w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" || strings.Contains(f.Message, "disk") {
		t.Errorf("with a broken store = %d, Retry-After %q, %+v, want 503, a time, and not the cause", w.Code, w.Header().Get("Retry-After"), f)
	}
	if n := d.counted("deliveries_total", "stripe", "failed"); n != 1 || !strings.Contains(d.logs.String(), "disk full") {
		t.Errorf("counted as failed = %d, want 1 and the cause in the log: %s", n, d.logs)
	}
	d.store.before = nil
	if w := d.post(t, signed(eventBody("evt_1"))); w.Code != http.StatusOK || !strings.Contains(w.Body.String(), `"new"`) {
		t.Errorf("the repetition = %d %q, want 200 and new: the failure must not have claimed the event", w.Code, w.Body)
	}
}

// What the provider signed is kept, even when nobody can read it.
func TestReceiveNotAnEvent(t *testing.T) {
	t.Parallel()
	for _, body := range []string{"", "hello", "\xff\x00", "[]", "null", `{"id":7}`, `{"id":"evt_1"`, strings.Repeat("[", 5000)} {
		d := newDoor(t)
		w := d.post(t, signed(body))
		kept := d.store.events()
		if w.Code != http.StatusOK || len(kept) != 1 {
			t.Errorf("signed %.20q = %d with %d events kept, want 200 and 1", body, w.Code, len(kept))
			continue
		}
		if e := kept[0]; string(e.Payload) != body || e.ProviderID == "" || e.Type != "" {
			t.Errorf("signed %.20q is kept as id %q, type %q, payload %.20q, want an id, no type and the same bytes", body, e.ProviderID, e.Type, e.Payload)
		}
	}
}

func TestReceiveCutShort(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	server := httptest.NewServer(d)
	defer server.Close()
	body := eventBody("evt_1")
	head := "POST /hooks/stripe HTTP/1.1\r\nHost: shop\r\nStripe-Signature: " + simulate.Sign([]byte(body), now, signingSecret) + "\r\n"
	for name, request := range map[string]string{
		"announced":     head + fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(body)+1, body),
		"not announced": head + fmt.Sprintf("Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n", len(body), body),
	} {
		conn, err := net.Dial("tcp", server.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := io.WriteString(conn, request); err != nil {
			t.Fatal(err)
		}
		if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		answer, err := io.ReadAll(conn)
		if err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 400 ") || !strings.Contains(string(answer), `"code":"invalid"`) {
			t.Errorf("%s: answer = %q, %v, want 400 and invalid, not a bad signature", name, answer, err)
		}
	}
	if d.store.asked != 0 {
		t.Errorf("the store was asked %d times about half a body", d.store.asked)
	}
}

// witness is a source that notes what it was asked, in order.
type witness struct {
	asked  []string
	refuse error
}

func (w *witness) Name() string { return "witness" }

func (w *witness) Verify(provider.Delivery) (string, error) {
	w.asked = append(w.asked, "Verify")
	return "fp", w.refuse
}

func (w *witness) Identify(body []byte) makegood.Event {
	w.asked = append(w.asked, "Identify")
	return makegood.Event{Source: "witness", ProviderID: "1", Payload: body}
}

func (w *witness) Interpret(context.Context, makegood.Event) (provider.Reading, error) {
	w.asked = append(w.asked, "Interpret")
	return provider.Reading{}, nil
}

// Nothing in a body is looked at before its signature is proved, and nothing is interpreted while the provider waits.
func TestReceiveOrder(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		refuse error
		status int
		want   []string
	}{
		{"proved", nil, http.StatusOK, []string{"Verify", "Identify"}},
		{"not proved", &provider.SignatureError{Reason: provider.ReasonMismatch}, http.StatusBadRequest,
			[]string{"Verify", "Verify"}}, // the second time with a line break, to say why
		{"it cannot be told now", makegood.Errorf(makegood.Unavailable, "The certificate cannot be fetched."), http.StatusServiceUnavailable, []string{"Verify"}},
		{"broken", errors.New("broken"), http.StatusInternalServerError, []string{"Verify"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			source := &witness{refuse: tt.refuse}
			d := doorTo(source, &memory{})
			w := d.post(t, httptest.NewRequest(http.MethodPost, "/hooks/witness", strings.NewReader("{}")))
			if diff := cmp.Diff(tt.want, source.asked, cmpopts.EquateEmpty()); diff != "" || w.Code != tt.status {
				t.Errorf("= %d, want %d; asked (-want +got):\n%s", w.Code, tt.status, diff)
			}
		})
	}
}

// Many deliveries of one event at the same moment are one event, on both engines.
func TestReceiveTogether(t *testing.T) {
	t.Parallel()
	source, err := stripe.New(stripe.Options{Name: "stripe", WebhookSecrets: provider.Active(secret.New(signingSecret))})
	if err != nil {
		t.Fatal(err)
	}
	storetest.Each(t, func(t *testing.T, url string) {
		s, err := store.Open(t.Context(), url, store.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		writer, reader := s.SQLite()
		db := queue.Database{SQLiteWriter: writer, SQLiteReader: reader, Postgres: s.Postgres()}
		if err := errors.Join(s.Migrate(t.Context()), queue.Migrate(t.Context(), db)); err != nil {
			t.Fatal(err)
		}
		h := handler(source, unrevived{s}, telemetry.NewMetrics(), slog.New(slog.DiscardHandler))
		const events, copies = 5, 8
		answers := make(chan string, events*copies) // one for each delivery
		var all sync.WaitGroup
		for i := range events * copies {
			all.Go(func() {
				w := httptest.NewRecorder()
				h.ServeHTTP(w, signed(eventBody(fmt.Sprintf("evt_%d", i%events))))
				answers <- fmt.Sprintf("%d %s", w.Code, strings.TrimSpace(w.Body.String()))
			})
		}
		all.Wait()
		close(answers)
		got := map[string]int{}
		for a := range answers {
			got[a]++
		}
		want := map[string]int{`200 {"received":"new"}`: events, `200 {"received":"repeated"}`: events * (copies - 1)}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("answers (-want +got):\n%s", diff)
		}
		depths, err := s.QueueDepths(t.Context())
		if want := []store.QueueDepth{{Queue: makegood.QueuePayments, Waiting: events}}; err != nil || !cmp.Equal(depths, want) {
			t.Errorf("jobs = %v, %v, want %v: one for each event", depths, err, want)
		}
	})
}

// unrevived is the real store for an intake that answers when an event is stored.
type unrevived struct{ *store.Store }

func (unrevived) Revive(context.Context, makegood.Outcome) error { return nil }
