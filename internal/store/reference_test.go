package store_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/store"
	"github.com/makegood/makegood/internal/store/storetest"
)

// shop settles orders of one product.
var shopTerms = makegood.Terms{
	Catalogue: makegood.Catalogue{"az-900": {Code: "az-900", Price: makegood.Money{Minor: 2900, Currency: "usd"}, LicensePrefix: "GD"}},
	Now:       start,
	DeriveKey: func(prefix string, slot makegood.KeySlot) (string, string) {
		return makegood.DeriveKey([]byte("secret"), prefix, slot), "k1"
	},
}

func settled(o *makegood.Order, keyTaken func(string) bool) ([]makegood.Entry, error) {
	terms := shopTerms
	terms.KeyTaken = keyTaken
	terms.NewID = func(prefix string) string { return prefix + o.Key.SessionID }
	return o.Settle(terms), nil
}

func sale(n int) makegood.Fact {
	f := makegood.Fact{Key: makegood.OrderKey{Source: "stripe", SessionID: fmt.Sprint("cs_", n)}, Kind: makegood.FactPaid,
		ObjectID: fmt.Sprint("cs_", n), PaymentID: fmt.Sprint("pi_", n), References: []string{fmt.Sprint("sub_", n)},
		Amount: makegood.Money{Minor: 2900, Currency: "usd"}}
	f.Lines = []makegood.Line{{Product: "az-900", Quantity: 1, Subtotal: f.Amount}}
	return f
}

// about is a fact that names no session.
func about(kind makegood.FactKind, object, payment string, references ...string) makegood.Fact {
	return makegood.Fact{Key: makegood.OrderKey{Source: "stripe"}, Kind: kind, ObjectID: object, PaymentID: payment,
		References: references, Amount: makegood.Money{Minor: 2900, Currency: "usd"}}
}

func tell(ctx context.Context, s *store.Store, eventID string, facts ...makegood.Fact) (makegood.Order, error) {
	return s.AmendOrder(ctx, makegood.Amendment{Key: facts[0].Key, EventID: eventID, Actor: "test", Facts: facts, Change: settled})
}

// A refund that comes before its sale waits for it, and then counts at once; one that comes after finds it.
func TestFactsFindTheirOrder(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, url string) {
		s := open(t, url, store.Options{})
		if _, err := s.AcceptEvent(t.Context(), event("evt_refund")); err != nil {
			t.Fatal(err)
		}
		told, err := s.Event(t.Context(), "evt_refund")
		if err != nil {
			t.Fatal(err)
		}
		early, err := tell(t.Context(), s, told.ID, about(makegood.FactRefunded, "re_1", "pi_1"))
		if err != nil || early.ID != "" {
			t.Fatalf("a refund before its sale = %+v, %v, want no order yet", early, err)
		}
		if e, err := s.Event(t.Context(), told.ID); err != nil || e.State != makegood.EventHandled || e.OrderID != "" || e.Note == "" {
			t.Errorf("its event = %+v, %v, want it handled, with a note and without an order", e, err)
		}
		o, err := tell(t.Context(), s, "", sale(1))
		if err != nil || o.Payment != makegood.PaymentRefunded || len(o.Licenses) != 0 {
			t.Fatalf("the sale = %s with %d licences, %v, want it refunded without a licence", o.Payment, len(o.Licenses), err)
		}
		if e, err := s.Event(t.Context(), told.ID); err != nil || e.OrderID != o.ID || e.Note != "" {
			t.Errorf("the refund's event afterwards = %+v, %v, want it to name the order", e, err)
		}
		if o, err := s.Order(t.Context(), o.ID); err != nil || len(o.Facts) != 2 {
			t.Errorf("the kept order has the facts %v, %v, want both", o.Facts, err)
		}
		o, err = tell(t.Context(), s, "", about(makegood.FactRefundFailed, "re_1", "pi_1"))
		if err != nil || o.Payment != makegood.PaymentPaid || len(o.Licenses) != 1 {
			t.Errorf("after the refund failed = %s with %d licences, %v, want it paid with one", o.Payment, len(o.Licenses), err)
		}
		for _, quoted := range []string{"re_1", "sub_1", "pi_1", "cs_1"} {
			if found, err := s.FindOrders(t.Context(), quoted); err != nil || len(found) != 1 || found[0].ID != o.ID {
				t.Errorf("FindOrders(%s) = %v, %v, want the order", quoted, found, err)
			}
		}
	})
}

// A chain: the dispute knows only the charge, the charge is learned with the payment by a refund, and only the payment is
// the sale's.
func TestFactsFindTheirOrderByAChain(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, url string) {
		s := open(t, url, store.Options{})
		for _, f := range []makegood.Fact{
			about(makegood.FactDisputed, "dp_1", "", "ch_1"),
			about(makegood.FactRefundFailed, "re_1", "pi_1", "ch_1"),
		} {
			if o, err := tell(t.Context(), s, "", f); err != nil || o.ID != "" {
				t.Fatalf("%s = %+v, %v, want no order yet", f.Kind, o, err)
			}
		}
		o, err := tell(t.Context(), s, "", sale(1))
		if err != nil || o.Payment != makegood.PaymentDisputed || len(o.Facts) != 3 {
			t.Errorf("the sale = %s with %d facts, %v, want it disputed with all three", o.Payment, len(o.Facts), err)
		}
	})
}

func TestReferencesOfOtherWorldsDoNotMeet(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, url string) {
		s := open(t, url, store.Options{})
		for _, change := range []func(*makegood.OrderKey){
			func(k *makegood.OrderKey) { k.Live = true }, // I7
			func(k *makegood.OrderKey) { k.Account = "acct_2" },
			func(k *makegood.OrderKey) { k.Source = "paypal" },
		} {
			f := about(makegood.FactRefunded, "re_1", "pi_1")
			change(&f.Key)
			if _, err := tell(t.Context(), s, "", f); err != nil {
				t.Fatal(err)
			}
		}
		if o, err := tell(t.Context(), s, "", sale(1)); err != nil || o.Payment != makegood.PaymentPaid {
			t.Errorf("the sale = %s, %v, want it paid: the refunds are of other worlds", o.Payment, err)
		}
		var permanent *makegood.Permanent
		if _, err := tell(t.Context(), s, "", about(makegood.FactRefunded, "re_1", "")); !errors.As(err, &permanent) {
			t.Errorf("a fact without session and reference = %v, want a permanent error", err)
		}
	})
}

// Whatever arrives at once, in whatever order, on whatever connection: no fact is left waiting while its order is there.
func TestFactsFindTheirOrderAtOnce(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, url string) {
		s := open(t, url, store.Options{})
		const sales = 40
		var facts []makegood.Fact
		for n := range sales {
			payment, charge := fmt.Sprint("pi_", n), fmt.Sprint("ch_", n)
			facts = append(facts, sale(n), sale(n),
				about(makegood.FactRefunded, fmt.Sprint("re_", n), payment, charge),
				about(makegood.FactDisputed, fmt.Sprint("dp_", n), "", charge),
				about(makegood.FactEnded, fmt.Sprint("sub_", n), "", fmt.Sprint("sub_", n)))
		}
		random := rand.New(rand.NewPCG(1, 2))
		random.Shuffle(len(facts), func(i, j int) { facts[i], facts[j] = facts[j], facts[i] })
		work := make(chan makegood.Fact)
		var workers sync.WaitGroup
		for range 8 {
			workers.Go(func() {
				for f := range work {
					if _, err := tell(t.Context(), s, "", f); err != nil {
						t.Errorf("%s %s: %v", f.Kind, f.ObjectID, err)
					}
				}
			})
		}
		for _, f := range facts {
			work <- f
		}
		close(work)
		workers.Wait()
		orders, err := s.Orders(t.Context(), store.OrderFilter{})
		if err != nil || len(orders) != sales {
			t.Fatalf("%d orders, %v, want %d", len(orders), err, sales)
		}
		for _, o := range orders {
			o, err := s.Order(t.Context(), o.ID)
			if err != nil || len(o.Facts) != 4 || o.Payment != makegood.PaymentRefunded {
				t.Errorf("order of %s is %s with %d facts, %v, want it refunded with all four", o.Key.SessionID, o.Payment, len(o.Facts), err)
			}
		}
		var left int
		if err := s.Read(t.Context(), func(tx store.Tx) error {
			return tx.QueryRow(t.Context(), `SELECT COUNT(*) FROM tombstones`).Scan(&left)
		}); err != nil || left != 0 {
			t.Errorf("%d facts are left waiting, %v, want none", left, err)
		}
	})
}

// One transmission with two bodies is an attack; the same body again, or the event under another transmission, is none.
func TestAcceptEventTransmission(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, url string) {
		s := open(t, url, store.Options{})
		sent := func(id, transmission, body string) makegood.Event {
			e := event(id)
			e.Transmission, e.Payload = transmission, []byte(body)
			return e
		}
		for _, tt := range []struct {
			name  string
			event makegood.Event
			isNew bool
			code  makegood.Code
		}{
			{"first", sent("evt_1", "tr_1", "{}"), true, ""},
			{"the same again", sent("evt_1", "tr_1", "{}"), false, ""},
			{"the event under another transmission", sent("evt_1", "tr_2", "{}"), false, ""},
			{"another body", sent("evt_1", "tr_1", "{ }"), false, makegood.Conflict},
			{"another event", sent("evt_2", "tr_1", "{}"), false, makegood.Conflict},
			{"another source", func() makegood.Event { e := sent("evt_3", "tr_1", "[]"); e.Source = "other"; return e }(), true, ""},
			{"no transmission", sent("evt_4", "", "{}"), true, ""},
		} {
			isNew, err := s.AcceptEvent(t.Context(), tt.event)
			if isNew != tt.isNew || (tt.code == "") != (err == nil) || err != nil && !errors.Is(err, tt.code) {
				t.Errorf("%s = %v, %v, want %v, %q", tt.name, isNew, err, tt.isNew, tt.code)
			}
		}
	})
}
