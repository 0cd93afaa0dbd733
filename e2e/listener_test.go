package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

const (
	// forwardTimeout is the patience of the program with a listener, and hangFor how long a listener hangs: longer.
	forwardTimeout = 300 * time.Millisecond
	hangFor        = 2 * time.Second
)

// listener is an application of the owner that is told of orders, on a bad day: of ten tellings it fails three. It
// believes nothing that the official library of Standard Webhooks does not verify.
type listener struct {
	name, url, secret string
	webhook           *standardwebhooks.Webhook
	well              atomic.Bool // fails no more

	mu       sync.Mutex
	heard    map[string][]telling // by order, in the order of acceptance
	accepted int
	failed   int
	refused  []error // what no telling of ours may be
}

// telling is one accepted telling.
type telling struct {
	webhookID string
	body      string
	data      toldOrder
}

// toldOrder is what the test reads of a telling, in its own words.
type toldOrder struct {
	OrderID     string `json:"order_id"`
	Sequence    int    `json:"sequence"`
	Source      string `json:"source"`
	SessionID   string `json:"session_id"`
	Payment     string `json:"payment"`
	Entitlement string `json:"entitlement"`
	Customer    struct {
		Email string `json:"email"`
	} `json:"customer"`
	Lines []struct {
		Product  string `json:"product"`
		Quantity int    `json:"quantity"`
		Licenses []struct {
			Key    string `json:"key"`
			Status string `json:"status"`
		} `json:"licenses"`
	} `json:"lines"`
}

// newListener listens on loopback until the end of the test.
func newListener(t testing.TB, name string) *listener {
	t.Helper()
	l := &listener{name: name, secret: forwardSecret(name), heard: map[string][]telling{}}
	var err error
	if l.webhook, err = standardwebhooks.NewWebhook(l.secret); err != nil {
		t.Fatal(err)
	}
	l.url = serve(t, l) + "/orders"
	return l
}

// ServeHTTP hears one telling, or fails as listeners do: refuses, hangs up before or after it has kept what it heard, or
// keeps it and answers too late.
func (l *listener) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, bodyBytesMax))
	if err != nil {
		return // the program was killed while it told
	}
	if err := l.webhook.Verify(body, r.Header); err != nil {
		l.refuse(w, fmt.Errorf("a telling to %s is not proved: %w", l.name, err))
		return
	}
	chance := rand.IntN(100)
	if l.well.Load() {
		chance = 100
	}
	switch {
	case chance < 10:
		l.fail()
		http.Error(w, "out of order", http.StatusInternalServerError)
		return
	case chance < 15:
		l.fail()
		reset(w)
		return
	}
	if err := l.accept(r.Header.Get("Webhook-Id"), body); err != nil {
		l.refuse(w, err)
		return
	}
	switch {
	case chance < 20:
		l.fail()
		reset(w)
	case chance < 30:
		l.fail()
		select {
		case <-r.Context().Done():
		case <-time.After(hangFor):
		}
		panic(http.ErrAbortHandler)
	default:
		w.WriteHeader(http.StatusNoContent)
	}
}

// reset breaks the connection without an answer.
func reset(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // at worst it is closed politely
	}
	conn.Close()
}

func (l *listener) accept(webhookID string, body []byte) error {
	var event struct {
		Type string    `json:"type"`
		Data toldOrder `json:"data"`
	}
	if err := json.Unmarshal(body, &event); err != nil {
		return fmt.Errorf("a telling to %s cannot be read: %w", l.name, err)
	}
	if event.Data.OrderID == "" || event.Data.Sequence < 1 || event.Type == "" {
		return fmt.Errorf("a telling to %s names no order, sequence or type: %s", l.name, body)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.accepted++
	l.heard[event.Data.OrderID] = append(l.heard[event.Data.OrderID], telling{webhookID, string(body), event.Data})
	return nil
}

func (l *listener) fail() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.failed++
}

func (l *listener) refuse(w http.ResponseWriter, why error) {
	http.Error(w, why.Error(), http.StatusBadRequest)
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.refused) < 5 {
		l.refused = append(l.refused, why)
	}
}

// examineOrder checks what was heard of one order, of which the program says that it owed tellings 1 to owed. The first
// acceptances must be in order unless a telling was given up in between: that one holds up nothing, and comes late. A
// telling may be accepted several times, under the same id with the same bytes. It returns the last by sequence, and how
// many came again after a later one.
func (l *listener) examineOrder(orderID string, owed int, wasGivenUp bool, ids map[string]string, bad func(string, ...any)) (last telling, stale int) {
	first := map[int]telling{}
	for _, told := range l.heard[orderID] {
		n := told.data.Sequence
		slot := fmt.Sprintf("%s/%d", orderID, n)
		if of, ok := ids[told.webhookID]; ok && of != slot {
			bad("%s: webhook-id %s was used for %s and for %s", l.name, told.webhookID, of, slot)
		}
		ids[told.webhookID] = slot
		before, isKnown := first[n]
		switch {
		case isKnown && (before.webhookID != told.webhookID || before.body != told.body):
			bad("%s: telling %s came as %s and as %s, or with another body", l.name, slot, before.webhookID, told.webhookID)
		case isKnown && n < last.data.Sequence:
			if stale++; !wasGivenUp {
				bad("%s: telling %s came again after telling %d had been accepted", l.name, slot, last.data.Sequence)
			}
		case isKnown:
		case n < last.data.Sequence && !wasGivenUp:
			bad("%s: telling %s was first accepted after telling %d", l.name, slot, last.data.Sequence)
		case n != len(first)+1 && !wasGivenUp:
			bad("%s: telling %s was accepted when %d others had been", l.name, slot, len(first))
		}
		if !isKnown {
			first[n] = told
		}
		if n > last.data.Sequence {
			last = told
		}
	}
	for n := 1; n <= owed; n++ {
		if _, ok := first[n]; !ok {
			bad("%s: telling %d of %d of order %s was never accepted", l.name, n, owed, orderID)
		}
	}
	if len(first) > owed {
		bad("%s: %d tellings of order %s were accepted, and %d are owed", l.name, len(first), orderID, owed)
	}
	return last, stale
}
