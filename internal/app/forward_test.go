package app_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/config"
	"github.com/makegood/makegood/internal/fulfill"
	"github.com/makegood/makegood/internal/secret"
	"github.com/makegood/makegood/internal/store/storetest"
)

const forwardSecret = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"

// listener is an application of the owner, which verifies with the official library what it is told.
type listener struct {
	*httptest.Server
	*switchboard
	t       *testing.T
	secrets []config.DatedSecret

	mu    sync.Mutex
	heard []fulfill.OrderEvent // what it answered with 200, each webhook-id once
	ids   []string
}

func newListener(t *testing.T) *listener {
	l := &listener{switchboard: &switchboard{}, t: t, secrets: []config.DatedSecret{{Secret: secret.New(forwardSecret)}}}
	l.Server = httptest.NewServer(l.around(http.HandlerFunc(l.hear)))
	t.Cleanup(l.Server.Close)
	return l
}

func (l *listener) misbehave(how func(http.ResponseWriter, *http.Request, http.Handler)) { l.set(how) }
func (l *listener) behave()                                                              { l.Store(nil) }

func (l *listener) hear(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		l.t.Errorf("read a telling: %v", err)
	}
	official, err := standardwebhooks.NewWebhook(strings.TrimPrefix(forwardSecret, "whsec_"))
	if err != nil {
		l.t.Error(err)
	}
	if err := official.VerifyIgnoringTimestamp(body, r.Header); err != nil {
		l.t.Errorf("the official library refuses a telling: %v", err)
	}
	var event fulfill.OrderEvent
	if err := json.Unmarshal(body, &event); err != nil {
		l.t.Errorf("a telling that is no JSON: %v", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if id := r.Header.Get("Webhook-Id"); !slices.Contains(l.ids, id) {
		l.ids, l.heard = append(l.ids, id), append(l.heard, event)
	}
	w.WriteHeader(http.StatusOK)
}

func (l *listener) told() []fulfill.OrderEvent {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.heard)
}

// SPEC D3: the owner's application hears of a paid order, of its refund, and that the refund failed, in this order, and an
// order is fulfilled only when it has heard of it.
func TestForward(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, url string) {
		l := newListener(t)
		l.misbehave(down)
		w := startWorld(t, url, configured(l.configure))
		session := w.buy("az-900", 2, "ann@example.com")
		w.eventually("the mail", func() bool { return len(w.Resend.Inbox("ann@example.com")) == 1 })
		if o, err := w.Store().OrderBySession(t.Context(), "stripe", session); err != nil || o.Fulfillment != makegood.InProgress {
			t.Errorf("while the application is down the order is %s, %v, want in progress", o.Fulfillment, err)
		}
		l.behave()
		o := w.settled(session)
		paid, ok := w.Stripe.Session(session)
		if !ok {
			t.Fatal("the session is gone")
		}
		refund, err := w.Stripe.Refund(paid.PaymentIntent, 5800)
		w.must("refund", err)
		w.eventually("the refund was told", func() bool { return len(l.told()) == 2 })
		w.must("fail the refund", w.Stripe.FailRefund(refund))
		w.eventually("the failed refund was told", func() bool { return len(l.told()) == 3 })
		var got []string
		for i, told := range l.told() {
			got = append(got, told.Type+" "+string(told.Data.Entitlement))
			if told.Data.OrderID != o.ID || told.Data.Sequence != i+1 || len(told.Data.Lines) != 1 || len(told.Data.Lines[0].Licenses) != 2 {
				t.Errorf("telling %d = %+v", i+1, told)
			}
		}
		if want := []string{"order.paid active", "order.refunded revoked", "order.updated active"}; !slices.Equal(got, want) {
			t.Errorf("the application heard %q, want %q", got, want)
		}
	})
}
