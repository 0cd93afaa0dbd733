package store_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/queue"
	"github.com/makegood/makegood/internal/store"
	"github.com/makegood/makegood/internal/store/storetest"
)

var start = time.Date(2026, 3, 4, 5, 6, 7, 89_000, time.UTC)

// open gives a store whose schema is ready, the queue's included.
func open(t testing.TB, url string, o store.Options) *store.Store {
	t.Helper()
	s := openBare(t, url, o)
	writer, reader := s.SQLite()
	db := queue.Database{SQLiteWriter: writer, SQLiteReader: reader, Postgres: s.Postgres()}
	if err := errors.Join(s.Migrate(t.Context()), queue.Migrate(t.Context(), db)); err != nil {
		t.Fatalf("migrate: %v", err)
	}
	return s
}

// openBare gives a store as it is found, and closes it with the test.
func openBare(t testing.TB, url string, o store.Options) *store.Store {
	t.Helper()
	if o.Now == nil {
		o.Now = func() time.Time { return start }
	}
	s, err := store.Open(t.Context(), url, o)
	if err != nil {
		t.Fatalf("Open(%q) = %v", url, err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return s
}

func event(id string) makegood.Event {
	return makegood.Event{Source: "stripe", ProviderID: id, Type: "checkout.session.completed", ObjectID: "cs_test_1",
		CreatedAt: start.Add(-time.Second), ReceivedAt: start, VerifiedBy: "0a1b2c3d", Payload: []byte("{\"id\":\"" + id + "\"}\x00\xff")}
}

func TestAcceptEvent(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, url string) {
		var woken []string
		s := open(t, url, store.Options{Wake: func(q string) { woken = append(woken, q) }})

		isNew, err := s.AcceptEvent(t.Context(), event("evt_1"))
		if err != nil || !isNew {
			t.Fatalf("AcceptEvent of a new event = %v, %v, want true, nil", isNew, err)
		}
		isNew, err = s.AcceptEvent(t.Context(), event("evt_1"))
		if err != nil || isNew {
			t.Errorf("AcceptEvent of a known event = %v, %v, want false, nil", isNew, err)
		}
		if want := []string{makegood.QueuePayments}; !cmp.Equal(woken, want) {
			t.Errorf("woken queues = %v, want %v: once, for the new event", woken, want)
		}

		kept, err := s.Event(t.Context(), "evt_1")
		if err != nil {
			t.Fatal(err)
		}
		want := event("evt_1")
		want.State = makegood.EventKept
		if diff := cmp.Diff(want, kept, cmpopts.IgnoreFields(makegood.Event{}, "ID")); diff != "" {
			t.Errorf("kept event (-want +got):\n%s", diff)
		}
		live := event("evt_1")
		live.Live = true
		if isNew, err := s.AcceptEvent(t.Context(), live); err != nil || !isNew {
			t.Errorf("AcceptEvent of the same id in the other mode = %v, %v, want true, nil", isNew, err)
		}
		depths, err := s.QueueDepths(t.Context())
		if want := []store.QueueDepth{{Queue: makegood.QueuePayments, Waiting: 2}}; err != nil || !cmp.Equal(depths, want) {
			t.Errorf("QueueDepths = %v, %v, want %v: one job for each event", depths, err, want)
		}
	})
}

// What PostgreSQL cannot keep as text must not poison the commit that it shares with others.
func TestAcceptEventOddText(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, url string) {
		s := open(t, url, store.Options{})
		odd := event("evt_\x00odd\xff")
		odd.Type = "\x00\xfe"
		if isNew, err := s.AcceptEvent(t.Context(), odd); err != nil || !isNew {
			t.Fatalf("AcceptEvent of odd text = %v, %v, want true, nil", isNew, err)
		}
		if isNew, err := s.AcceptEvent(t.Context(), odd); err != nil || isNew {
			t.Errorf("AcceptEvent of odd text again = %v, %v, want false, nil", isNew, err)
		}
	})
}

func TestAcceptEventTogether(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, url string) {
		s := open(t, url, store.Options{Now: time.Now})
		const callers, events = 16, 50
		var fresh sync.Map
		var wg sync.WaitGroup
		for range callers {
			wg.Go(func() {
				for i := range events {
					id := fmt.Sprintf("evt_%d", i)
					isNew, err := s.AcceptEvent(context.Background(), event(id))
					if err != nil {
						t.Errorf("AcceptEvent(%s) = %v", id, err)
					}
					if isNew {
						if _, twice := fresh.LoadOrStore(id, true); twice {
							t.Errorf("AcceptEvent(%s) was new twice", id)
						}
					}
				}
			})
		}
		wg.Wait()
		depths, err := s.QueueDepths(t.Context())
		if want := []store.QueueDepth{{Queue: makegood.QueuePayments, Waiting: events}}; err != nil || !cmp.Equal(depths, want) {
			t.Errorf("QueueDepths = %v, %v, want %v", depths, err, want)
		}
	})
}

var catalogue = makegood.Catalogue{"az-900": {Code: "az-900", Name: "AZ-900 practice exam",
	Price: makegood.Money{Minor: 2900, Currency: "usd"}, LicensePrefix: "GD", Stocked: true}}

var key = makegood.OrderKey{Source: "stripe", SessionID: "cs_test_1"}

func paid() makegood.Fact {
	usd := func(n int64) makegood.Money { return makegood.Money{Minor: n, Currency: "usd"} }
	return makegood.Fact{Key: key, Kind: makegood.FactPaid, ObjectID: key.SessionID, PaymentID: "pi_1", Amount: usd(5800),
		Customer: makegood.Customer{Email: "Ann@Example.com", Name: "Ann"}, OccurredAt: start,
		Lines: []makegood.Line{{Product: "az-900", Label: "Exam", Quantity: 2, Subtotal: usd(5800)}}}
}

func refunded() makegood.Fact {
	return makegood.Fact{Key: key, Kind: makegood.FactRefunded, ObjectID: "re_1", Amount: makegood.Money{Minor: 5800, Currency: "usd"}}
}

func terms(keyTaken func(string) bool) makegood.Terms {
	n := 0
	return makegood.Terms{Catalogue: catalogue, Effects: []string{makegood.EffectEmail}, Now: start, KeyTaken: keyTaken,
		DeriveKey: func(prefix string, slot makegood.KeySlot) (string, string) {
			return makegood.DeriveKey([]byte("a secret of sixteen"), prefix, slot), "k1"
		},
		NewID: func(prefix string) string { n++; return fmt.Sprintf("%s%020d", prefix, n) },
	}
}

func learn(facts ...makegood.Fact) func(o *makegood.Order, keyTaken func(string) bool) ([]makegood.Entry, error) {
	return func(o *makegood.Order, keyTaken func(string) bool) ([]makegood.Entry, error) {
		for _, f := range facts {
			o.Learn(f)
		}
		return o.Settle(terms(keyTaken)), nil
	}
}

func settle(o *makegood.Order) []makegood.Entry {
	return o.Settle(terms(func(string) bool { return false }))
}

func TestAmendOrder(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, url string) {
		s := open(t, url, store.Options{})
		if _, err := s.AcceptEvent(t.Context(), event("evt_1")); err != nil {
			t.Fatal(err)
		}
		e, err := s.Event(t.Context(), "evt_1")
		if err != nil {
			t.Fatal(err)
		}
		amended, err := s.AmendOrder(t.Context(), makegood.Amendment{Key: key, EventID: e.ID, Actor: "test", Change: learn(paid())})
		if err != nil {
			t.Fatalf("AmendOrder = %v", err)
		}
		loaded, err := s.Order(t.Context(), amended.ID)
		if err != nil {
			t.Fatal(err)
		}
		amended.Facts[0].EventID = e.ID // the store notes who told first
		if diff := cmp.Diff(amended, loaded, cmpopts.EquateEmpty(), cmpopts.EquateApproxTime(time.Microsecond)); diff != "" {
			t.Errorf("the order as kept (-amended +loaded):\n%s", diff)
		}
		if len(loaded.Licenses) != 2 || loaded.Payment != makegood.PaymentPaid || loaded.Fulfillment != makegood.InProgress {
			t.Errorf("order = %d licences, %s, %s, want 2, paid, in_progress", len(loaded.Licenses), loaded.Payment, loaded.Fulfillment)
		}
		if e, _ := s.Event(t.Context(), "evt_1"); e.State != makegood.EventHandled || e.OrderID != loaded.ID {
			t.Errorf("event = %s of %s, want handled of %s", e.State, e.OrderID, loaded.ID)
		}

		before, _ := s.AuditOf(t.Context(), loaded.ID)
		if _, err := s.AmendOrder(t.Context(), makegood.Amendment{Key: key, Actor: "test", Change: learn(paid())}); err != nil {
			t.Fatal(err)
		}
		again, _ := s.Order(t.Context(), loaded.ID)
		if diff := cmp.Diff(loaded, again); diff != "" {
			t.Errorf("amending twice changed the order:\n%s", diff)
		}
		if after, _ := s.AuditOf(t.Context(), loaded.ID); len(after) != len(before) || len(before) == 0 {
			t.Errorf("audit entries after the second time = %d, want %d", len(after), len(before))
		}
		for _, quoted := range []string{loaded.ID, "cs_test_1", "pi_1", "ann@EXAMPLE.com", loaded.Licenses[1].Key,
			strings.ToLower(strings.ReplaceAll(loaded.Licenses[0].Key, "-", " "))} {
			if found, err := s.FindOrders(t.Context(), quoted); err != nil || len(found) != 1 {
				t.Errorf("FindOrders(%q) = %d orders, %v, want 1", quoted, len(found), err)
			}
		}
	})
}

// I2: everything that follows from a change is kept, or nothing of it is.
func TestAmendOrderAllOrNothing(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, url string) {
		s := open(t, url, store.Options{})
		refused := errors.New("refused")
		_, err := s.AmendOrder(t.Context(), makegood.Amendment{Key: key, Actor: "test",
			Change: func(o *makegood.Order, keyTaken func(string) bool) ([]makegood.Entry, error) {
				o.Learn(paid())
				o.Settle(terms(keyTaken))
				return nil, refused
			}})
		if !errors.Is(err, refused) {
			t.Fatalf("AmendOrder = %v, want %v", err, refused)
		}
		if orders, err := s.Orders(t.Context(), store.OrderFilter{}); err != nil || len(orders) != 0 {
			t.Errorf("Orders = %d, %v, want none", len(orders), err)
		}
		_, err = s.AmendOrder(t.Context(), makegood.Amendment{Key: key, Actor: "test",
			Change: func(o *makegood.Order, keyTaken func(string) bool) ([]makegood.Entry, error) { panic("broken") }})
		if permanent := (*makegood.Permanent)(nil); !errors.As(err, &permanent) {
			t.Errorf("AmendOrder with a panic = %v, want a permanent error", err)
		}
	})
}

// I5: a refund gives the stock back once, and a late "paid" does not take it again.
func TestStockMovesOnce(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, url string) {
		s := open(t, url, store.Options{})
		var o makegood.Order
		for _, f := range []makegood.Fact{paid(), refunded(), paid(), refunded()} {
			var err error
			if o, err = s.AmendOrder(t.Context(), makegood.Amendment{Key: key, Actor: "test", Change: learn(f)}); err != nil {
				t.Fatal(err)
			}
		}
		loaded, err := s.Order(t.Context(), o.ID)
		if err != nil {
			t.Fatal(err)
		}
		if len(loaded.Moves) != 2 || loaded.Moves[0].Delta+loaded.Moves[1].Delta != 0 {
			t.Errorf("moves = %+v, want one there and one back", loaded.Moves)
		}
		if loaded.Payment != makegood.PaymentRefunded || loaded.Licenses[0].Status != makegood.LicenseRevoked {
			t.Errorf("order = %s with a licence %s, want refunded, revoked", loaded.Payment, loaded.Licenses[0].Status)
		}
	})
}

func TestAmendOrderTogether(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, url string) {
		s := open(t, url, store.Options{Now: time.Now})
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				if _, err := s.AmendOrder(context.Background(), makegood.Amendment{Key: key, Actor: "test", Change: learn(paid())}); err != nil {
					t.Errorf("AmendOrder = %v", err)
				}
			})
		}
		wg.Wait()
		orders, err := s.Orders(t.Context(), store.OrderFilter{})
		if err != nil || len(orders) != 1 {
			t.Fatalf("Orders = %d, %v, want 1", len(orders), err)
		}
		o, _ := s.Order(t.Context(), orders[0].ID)
		if len(o.Licenses) != 2 {
			t.Errorf("licences = %d, want 2 (I1)", len(o.Licenses))
		}
		depths, _ := s.QueueDepths(t.Context())
		if want := []store.QueueDepth{{Queue: makegood.QueueEffects, Waiting: 1}}; !cmp.Equal(depths, want) {
			t.Errorf("QueueDepths = %v, want %v: one mail", depths, want)
		}
	})
}

func TestIntend(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, url string) {
		s := open(t, url, store.Options{})
		o, err := s.AmendOrder(t.Context(), makegood.Amendment{Key: key, Actor: "test", Change: learn(paid())})
		if err != nil {
			t.Fatal(err)
		}
		made := 0
		message := func(makegood.Order) ([]byte, error) { made++; return []byte(fmt.Sprintf("mail %d", made)), nil }
		for attempt := 1; attempt <= 2; attempt++ {
			kept, step, err := s.Intend(t.Context(), o.ID, "email", settle, message)
			if err != nil || string(kept) != "mail 1" || step.Attempts != attempt || !step.IntentAt.Equal(start.Truncate(time.Microsecond)) {
				t.Errorf("Intend %d = %q, %+v, %v, want mail 1", attempt, kept, step, err)
			}
		}
		if _, err := s.AmendOrder(t.Context(), makegood.Amendment{Key: key, Actor: "test", Change: learn(refunded())}); err != nil {
			t.Fatal(err)
		}
		kept, step, err := s.Intend(t.Context(), o.ID, "email", settle, message)
		if err != nil || kept != nil || step.State != makegood.StepWithdrawn {
			t.Errorf("Intend after a refund = %q, %s, %v, want nothing to send", kept, step.State, err)
		}
		if _, _, err := s.Intend(t.Context(), o.ID, "no such step", settle, message); err == nil {
			t.Error("Intend of an unknown step = nil, want an error")
		}
	})
}

func TestKeepDeadLetter(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, url string) {
		s := open(t, url, store.Options{})
		if _, err := s.AcceptEvent(t.Context(), event("evt_1")); err != nil {
			t.Fatal(err)
		}
		e, _ := s.Event(t.Context(), "evt_1")
		o, err := s.AmendOrder(t.Context(), makegood.Amendment{Key: key, Actor: "test", Change: learn(paid())})
		if err != nil {
			t.Fatal(err)
		}
		for attempts := 1; attempts <= 2; attempts++ {
			for _, job := range []makegood.Job{makegood.InterpretJob(e.ID, "stripe"), makegood.EffectJob(o.ID, "email")} {
				err := s.KeepDeadLetter(t.Context(), makegood.DeadLetter{Job: job, Error: "no luck", Attempts: attempts,
					FirstFailedAt: start, LastFailedAt: start}, settle)
				if err != nil {
					t.Fatalf("KeepDeadLetter(%+v) = %v", job, err)
				}
			}
		}
		letters, err := s.DeadLetters(t.Context(), store.DeadLetterFilter{})
		if err != nil || len(letters) != 2 || letters[0].Attempts != 2 || letters[1].Attempts != 2 {
			t.Errorf("DeadLetters = %+v, %v, want one a job, counted twice", letters, err)
		}
		if e, _ := s.Event(t.Context(), "evt_1"); e.State != makegood.EventDead || e.Note != "no luck" {
			t.Errorf("event = %s %q, want dead", e.State, e.Note)
		}
		if o, _ := s.Order(t.Context(), o.ID); o.Fulfillment != makegood.Stuck || o.Reason != makegood.ReasonStepFailed {
			t.Errorf("order = %s: %s, want stuck: step_failed", o.Fulfillment, o.Reason)
		}
	})
}
