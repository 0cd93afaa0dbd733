package paypal_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/provider"
)

// shop is a webhook endpoint that proves what it is sent, as intake does.
type shop struct {
	URL string

	mu  sync.Mutex
	got []makegood.Event
}

func newShop(t *testing.T, w *world) *shop {
	t.Helper()
	sh := &shop{}
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		d := provider.Delivery{Header: r.Header, Body: body, ReceivedAt: w.clock.Now()}
		if _, err := w.source.Verify(d); err != nil {
			t.Errorf("Verify of a delivery: %v", err)
			http.Error(rw, err.Error(), http.StatusBadRequest)
			return
		}
		if w.source.Transmission(d) == "" {
			t.Error("a proved delivery has no transmission id")
		}
		sh.mu.Lock()
		defer sh.mu.Unlock()
		sh.got = append(sh.got, w.source.Identify(body))
	}))
	t.Cleanup(server.Close)
	sh.URL = server.URL
	return sh
}

func (sh *shop) received() []makegood.Event {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	return append([]makegood.Event(nil), sh.got...)
}

// settle does what follows in the house, which must not panic whatever the facts say.
func settle(o *makegood.Order) {
	n := 0
	o.Settle(makegood.Terms{
		Catalogue: catalogue, Now: time.Unix(0, 0),
		DeriveKey: func(prefix string, slot makegood.KeySlot) (string, string) {
			return makegood.DeriveKey([]byte("0123456789abcdef"), prefix, slot), "k1"
		},
		KeyTaken: func(string) bool { return false },
		NewID:    func(prefix string) string { n++; return fmt.Sprint(prefix, n) },
	})
}
