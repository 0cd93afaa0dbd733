package store_test

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/store"
	"github.com/makegood/makegood/internal/store/storetest"
)

// What a transaction that began earlier and waited for the order changes after another one, the audit tells after it too.
func TestAuditIsInTheOrderOfTheChanges(t *testing.T) {
	t.Parallel()
	url := storetest.Postgres(t) // on SQLite one transaction is after another as a whole
	var slow atomic.Bool         // the next transaction is
	began, goOn := make(chan struct{}), make(chan struct{})
	s := open(t, url, store.Options{Now: func() time.Time {
		now := time.Now()
		if slow.CompareAndSwap(true, false) { // between the beginning of the transaction and the order's lock
			close(began)
			<-goOn
		}
		return now
	}})
	if _, err := s.AmendOrder(t.Context(), makegood.Amendment{Key: key, Actor: "test", Change: learn(paid())}); err != nil {
		t.Fatal(err)
	}
	slow.Store(true)
	var working sync.WaitGroup
	working.Go(func() {
		back := refunded()
		back.Kind = makegood.FactRefundFailed
		if _, err := s.AmendOrder(t.Context(), makegood.Amendment{Key: key, Actor: "test", Change: learn(back)}); err != nil {
			t.Error(err)
		}
	})
	<-began
	if _, err := s.AmendOrder(t.Context(), makegood.Amendment{Key: key, Actor: "test", Change: learn(refunded())}); err != nil {
		t.Fatal(err)
	}
	close(goOn)
	working.Wait()
	o, err := s.OrderBySession(t.Context(), key.Source, key.SessionID)
	if err != nil {
		t.Fatal(err)
	}
	entries, err := s.AuditOf(t.Context(), o.ID)
	if err != nil {
		t.Fatal(err)
	}
	var last string
	for _, e := range entries {
		if e.Action == "order.payment" {
			last = e.After
		}
	}
	if last != string(o.Payment) {
		t.Errorf("the audit ends with the payment %s, and the order is %s: %+v", last, o.Payment, entries)
	}
}
