package store_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/store"
	"github.com/makegood/makegood/internal/store/storetest"
)

// Whoever paid in the outage and was fulfilled after it waited; whoever was fulfilled before its end, or paid before it, did not.
func TestWaitedSince(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, url string) {
		c := &clock{at: time.Date(2026, 11, 29, 3, 0, 0, 0, time.UTC)}
		s := open(t, url, store.Options{Now: c.now})
		began, ids := c.now(), 0
		terms := func(keyTaken func(string) bool) makegood.Terms {
			own := terms(keyTaken)
			own.Now, own.NewID = c.now(), func(prefix string) string { ids++; return fmt.Sprintf("%s%020d", prefix, ids) }
			return own
		}
		buy := func(session string, at time.Duration) string {
			t.Helper()
			o, err := s.AmendOrder(t.Context(), makegood.Amendment{Key: makegood.OrderKey{Source: "stripe", SessionID: session}, Actor: "test",
				Change: func(o *makegood.Order, keyTaken func(string) bool) ([]makegood.Entry, error) {
					f := paid()
					f.Key, f.ObjectID, f.OccurredAt = o.Key, session, began.Add(at)
					o.Learn(f)
					return o.Settle(terms(keyTaken)), nil
				}})
			if err != nil {
				t.Fatal(err)
			}
			return o.ID
		}
		fulfil := func(id string) {
			t.Helper()
			if _, err := s.AmendOrder(t.Context(), makegood.Amendment{OrderID: id, Actor: "test",
				Change: func(o *makegood.Order, keyTaken func(string) bool) ([]makegood.Entry, error) {
					o.Done(makegood.EffectEmail, "mail-1", c.now())
					return o.Settle(terms(keyTaken)), nil
				}}); err != nil {
				t.Fatal(err)
			}
		}
		buy("cs_before", -time.Hour) // waits since before: not of this outage
		fulfil(buy("cs_quick", time.Second))
		c.pass(2 * time.Minute)
		ended := c.now()
		late := buy("cs_late", time.Second)
		buy("cs_waits", time.Minute)
		c.pass(30 * time.Second)
		fulfil(late)
		w, err := s.WaitedSince(t.Context(), began, ended)
		if err != nil {
			t.Fatal(err)
		}
		if want := (store.Waited{Waited: 2, Waiting: 1, Longest: 2*time.Minute + 29*time.Second}); w != want {
			t.Errorf("WaitedSince = %+v, want %+v", w, want)
		}
	})
}
