package intake_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/api"
	"github.com/makegood/makegood/internal/intake"
	"github.com/makegood/makegood/internal/provider"
	"github.com/makegood/makegood/internal/provider/stripe"
	"github.com/makegood/makegood/internal/secret"
	"github.com/makegood/makegood/internal/simulate"
	"github.com/makegood/makegood/internal/telemetry"
)

const otherSecret = "whsec_another_sources_secret_0123456789"

// hall is an intake of several sources, with a clock of its own.
type hall struct {
	http.Handler
	*intake.Intake
	store   *memory
	metrics *telemetry.Metrics
	logs    *bytes.Buffer
	now     time.Time
}

func newHall(t *testing.T, change func(*intake.Options)) *hall {
	t.Helper()
	h := &hall{store: &memory{}, metrics: telemetry.NewMetrics(), logs: &bytes.Buffer{}, now: now}
	o := intake.Options{Sources: map[string]provider.Source{}, Store: h.store, Now: func() time.Time { return h.now },
		Log: slog.New(slog.NewJSONHandler(h.logs, nil)), Metrics: h.metrics}
	for name, s := range map[string]provider.Secret{
		"stripe": {Value: secret.New(signingSecret)},
		"other":  {Value: secret.New(otherSecret)},
	} {
		source, err := stripe.New(stripe.Options{Name: name, WebhookSecrets: []provider.Secret{s}})
		if err != nil {
			t.Fatal(err)
		}
		o.Sources[name] = source
	}
	if change != nil {
		change(&o)
	}
	h.Intake = intake.New(o)
	mux := http.NewServeMux()
	mux.Handle("POST /hooks/{source}", api.Errors(o.Log, h.Receive))
	h.Handler = mux
	return h
}

func (h *hall) post(r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func (h *hall) counted(name string, labels ...string) uint64 {
	second := map[string]string{"deliveries_total": "result", "refused_deliveries_total": "reason"}[name]
	return h.metrics.Counter(name, "", "source", second).With(labels...).Value()
}

// SPEC B2: one and the same delivery again within five minutes is answered without work; a new signature, or five minutes
// later, is the store's to recognise.
func TestReceiveWithinTheWindow(t *testing.T) {
	t.Parallel()
	h := newHall(t, nil)
	body := eventBody("evt_1")
	first := func() *http.Request { return signed(body) }
	for i, want := range []string{"new", "repeated", "repeated"} {
		if w := h.post(first()); w.Code != http.StatusOK || !strings.Contains(w.Body.String(), want) {
			t.Fatalf("delivery %d = %d %q, want 200 and %s", i+1, w.Code, w.Body, want)
		}
	}
	if h.store.asked != 1 {
		t.Errorf("the store was asked %d times about one delivery, want once", h.store.asked)
	}
	signedAnew := delivery(body, simulate.Sign([]byte(body), now.Add(time.Second), signingSecret))
	if w := h.post(signedAnew); w.Code != http.StatusOK || h.store.asked != 2 {
		t.Errorf("the event under a new signature = %d, the store was asked %d times, want 200 and twice", w.Code, h.store.asked)
	}
	h.now = now.Add(makegood.SignatureTolerance) // still a valid signature, but no longer remembered
	if w := h.post(first()); w.Code != http.StatusOK || h.store.asked != 3 {
		t.Errorf("after the window = %d, the store was asked %d times, want 200 and three", w.Code, h.store.asked)
	}
	if n := h.counted("deliveries_total", "stripe", "repeated"); n != 4 {
		t.Errorf("repetitions counted = %d, want 4", n)
	}
}

// A delivery that was not kept is not remembered: the next one must be kept.
func TestReceiveFailedIsNotRemembered(t *testing.T) {
	t.Parallel()
	h := newHall(t, nil)
	h.store.before = func() error { return makegood.Errorf(makegood.Unavailable, "Not now.") }
	if w := h.post(signed(eventBody("evt_1"))); w.Code != http.StatusServiceUnavailable {
		t.Fatalf("with a broken store = %d, want 503", w.Code)
	}
	h.store.before = nil
	if w := h.post(signed(eventBody("evt_1"))); w.Code != http.StatusOK || len(h.store.events()) != 1 {
		t.Errorf("afterwards = %d with %d events, want 200 and one", w.Code, len(h.store.events()))
	}
}

func TestLoop(t *testing.T) {
	t.Parallel()
	h := newHall(t, nil)
	for i := range 12 {
		h.post(signed(eventBody(fmt.Sprint("evt_", i))))
	}
	for i := range 12 {
		h.post(signed(eventBody(fmt.Sprint("evt_", i))))
	}
	if loops := h.Loops(); len(loops) != 0 {
		t.Errorf("at a share of exactly one half: loops = %v, want none", loops)
	}
	h.post(signed(eventBody("evt_1")))
	if loops := h.Loops(); len(loops) != 1 || loops[0] != "stripe" {
		t.Errorf("above one half: loops = %v, want stripe", loops)
	}
	if n := strings.Count(h.logs.String(), "webhook loop"); n != 1 {
		t.Errorf("the loop is in the log %d times, want once", n)
	}
	h.now = now.Add(makegood.SignatureTolerance + time.Minute)
	if loops := h.Loops(); len(loops) != 0 {
		t.Errorf("when it is over: loops = %v, want none", loops)
	}
}

func TestLoopNeedsSomeDeliveries(t *testing.T) {
	t.Parallel()
	h := newHall(t, nil)
	for range 19 {
		h.post(signed(eventBody("evt_1")))
	}
	if loops := h.Loops(); len(loops) != 0 {
		t.Errorf("after 19 deliveries: loops = %v, want none: it may be one nervous event", loops)
	}
}

// One transmission with two bodies is an attack, and nothing of the second is kept.
func TestReceiveTwoBodies(t *testing.T) {
	t.Parallel()
	h := newHall(t, nil)
	h.store.before = func() error {
		return makegood.Errorf(makegood.Conflict, "This transmission id came before with another body.")
	}
	w := h.post(signed(eventBody("evt_1")))
	if f := failureOf(t, w.Body); w.Code != http.StatusBadRequest || !strings.Contains(f.Message, "another body") {
		t.Errorf("= %d %+v, want 400 and the reason", w.Code, f)
	}
	if n := h.counted("refused_deliveries_total", "stripe", "two_bodies"); n != 1 || !strings.Contains(h.logs.String(), "ERROR") {
		t.Errorf("counted %d, log %s, want it counted and an error in the log", n, h.logs)
	}
}

func TestReceiveDiagnoses(t *testing.T) {
	t.Parallel()
	body := eventBody("evt_1")
	var compact, indented bytes.Buffer
	if json.Compact(&compact, []byte(body)) != nil || json.Indent(&indented, []byte(body), "", "  ") != nil {
		t.Fatal("the body is no JSON")
	}
	genuine := simulate.Sign([]byte(body), now, signingSecret)
	for _, tt := range []struct {
		name   string
		body   string
		signed string
		reason provider.Reason
		says   string
	}{
		{"a line break more", body + "\n", genuine, provider.ReasonAltered, "line break was added"},
		{"a byte order mark", "\ufeff" + body, genuine, provider.ReasonAltered, "byte order mark"},
		{"written anew", compact.String(), simulate.Sign(indented.Bytes(), now, signingSecret), provider.ReasonAltered, "written anew"},
		{"indented", indented.String(), simulate.Sign(compact.Bytes(), now, signingSecret), provider.ReasonAltered, "indented"},
		{"another source's secret", body, simulate.Sign([]byte(body), now, otherSecret), provider.ReasonOtherSource, "source other"},
		{"nobody's secret", body, simulate.Sign([]byte(body), now, "whsec_nobodys"), provider.ReasonMismatch, "none of the configured"},
		{"another body", strings.Replace(body, "evt_1", "evt_2", 1), genuine, provider.ReasonMismatch, "none of the configured"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := newHall(t, nil)
			w := h.post(delivery(tt.body, tt.signed))
			if f := failureOf(t, w.Body); w.Code != http.StatusBadRequest || !strings.Contains(f.Message, tt.says) {
				t.Errorf("= %d %+v, want 400 and %q", w.Code, f, tt.says)
			}
			if n := h.counted("refused_deliveries_total", "stripe", string(tt.reason)); n != 1 || h.store.asked != 0 {
				t.Errorf("counted as %s: %d, the store was asked %d times, want once and never", tt.reason, n, h.store.asked)
			}
			if strings.Contains(h.logs.String(), otherSecret) || strings.Contains(w.Body.String(), "whsec_") {
				t.Error("a secret is in the log or the answer")
			}
		})
	}
}

// SPEC A2: with acknowledge: fulfilled the answer waits for the goods, and is an error without them.
func TestReceiveFulfilled(t *testing.T) {
	t.Parallel()
	handled := func(f makegood.FulfillmentState, e makegood.Entitlement) makegood.Outcome {
		return makegood.Outcome{EventID: "evt1", Event: makegood.EventHandled, OrderID: "ord1", Fulfillment: f, Entitlement: e}
	}
	for _, tt := range []struct {
		name    string
		outcome makegood.Outcome
		want    int
	}{
		{"fulfilled", handled(makegood.Fulfilled, makegood.EntitledFully), http.StatusOK},
		{"nothing was paid yet", handled(makegood.Unfulfilled, makegood.EntitledNot), http.StatusOK},
		{"the money went back", handled(makegood.Revoked, makegood.EntitledNoMore), http.StatusOK},
		{"disputed before the mail left", handled(makegood.InProgress, makegood.EntitledOnHold), http.StatusOK},
		{"says nothing of an order", makegood.Outcome{Event: makegood.EventUnhandled}, http.StatusOK},
		{"waits for its sale", makegood.Outcome{Event: makegood.EventHandled}, http.StatusOK},
		{"still on its way", handled(makegood.InProgress, makegood.EntitledFully), http.StatusInternalServerError},
		{"not interpreted", makegood.Outcome{Event: makegood.EventKept}, http.StatusInternalServerError},
		{"stuck", handled(makegood.Stuck, makegood.EntitledFully), http.StatusInternalServerError},
		{"dead", makegood.Outcome{Event: makegood.EventDead}, http.StatusInternalServerError},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h := newHall(t, func(o *intake.Options) { o.FulfilledWithin = map[string]time.Duration{"stripe": 5 * time.Second} })
				h.store.outcome = tt.outcome
				began := time.Now()
				w := h.post(signed(eventBody("evt_1")))
				if w.Code != tt.want || len(h.store.events()) != 1 {
					t.Errorf("= %d %s with %d events kept, want %d and the event kept", w.Code, w.Body, len(h.store.events()), tt.want)
				}
				if took := time.Since(began); took > 6*time.Second || tt.want == http.StatusOK && took > 0 {
					t.Errorf("took %v, want an answer in time, and at once when nothing is owed", took)
				}
				if len(h.store.revived) != 0 {
					t.Errorf("the first delivery revived %v", h.store.revived)
				}
			})
		})
	}
}

// The provider's own retry finishes what was stuck, and the goods that come while it waits turn its answer.
func TestReceiveFulfilledAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHall(t, func(o *intake.Options) { o.FulfilledWithin = map[string]time.Duration{"stripe": 5 * time.Second} })
		h.store.outcome = makegood.Outcome{EventID: "evt1", Event: makegood.EventHandled, OrderID: "ord1", Fulfillment: makegood.Stuck,
			Entitlement: makegood.EntitledFully, Reason: makegood.ReasonStepFailed}
		if w := h.post(signed(eventBody("evt_1"))); w.Code != http.StatusInternalServerError || !strings.Contains(w.Body.String(), "step_failed") {
			t.Fatalf("first delivery = %d %s, want 500 and the reason", w.Code, w.Body)
		}
		good := h.store.outcome
		good.Fulfillment = makegood.Fulfilled
		h.store.onRevive = &good
		if w := h.post(signed(eventBody("evt_1"))); w.Code != http.StatusOK || len(h.store.revived) != 1 || h.store.revived[0].OrderID != "ord1" {
			t.Errorf("second delivery = %d %s, revived %v, want 200 after one revival", w.Code, w.Body, h.store.revived)
		}
	})
}

// Anybody may send a body with a wrong signature, so looking for the reason must cost little: indenting a deeply nested
// body would swell it a thousandfold.
func TestDiagnosisIsCheap(t *testing.T) { // not parallel: it counts what is allocated
	h := newHall(t, nil)
	body := strings.Repeat("[", 4000) + strings.Repeat("0,", 2000) + "0" + strings.Repeat("]", 4000)
	wrong := simulate.Sign([]byte(body), now, "whsec_nobodys")
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if w := h.post(delivery(body, wrong)); w.Code != http.StatusBadRequest {
		t.Fatalf("= %d, want 400", w.Code)
	}
	runtime.ReadMemStats(&after)
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 4<<20 {
		t.Errorf("a body of %d bytes made the diagnosis allocate %d bytes", len(body), grown)
	}
}
