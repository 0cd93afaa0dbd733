package interpret_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/interpret"
	"github.com/makegood/makegood/internal/provider"
	"github.com/makegood/makegood/internal/queue"
	"github.com/makegood/makegood/internal/store"
	"github.com/makegood/makegood/internal/store/storetest"
)

var now = time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)

const sessionID = "cs_test_1"

// oracle is a source that reads out of every event, and answers every question with, what it was told to.
type oracle struct {
	reading provider.Reading
	err     error
	asked   int
}

func (o *oracle) Name() string                             { return "stripe" }
func (o *oracle) Verify(provider.Delivery) (string, error) { return "", errors.New("not asked here") }
func (o *oracle) Identify([]byte) makegood.Event           { return makegood.Event{} }

func (o *oracle) Interpret(_ context.Context, e makegood.Event) (provider.Reading, error) {
	o.asked++
	told := provider.Reading{Note: o.reading.Note}
	for _, f := range o.reading.Facts {
		f.EventID, f.OccurredAt = e.ID, e.CreatedAt
		told.Facts = append(told.Facts, f)
	}
	return told, o.err
}

// mute is a source that cannot be asked.
type mute struct{ provider.Source }

// talker is a source that can.
type talker struct{ *oracle }

func (t talker) Ask(context.Context, string) (provider.Reading, error) {
	t.asked++
	return t.reading, t.err
}

func paid() provider.Reading {
	price := makegood.Money{Minor: 2900, Currency: "usd"}
	return provider.Reading{Facts: []makegood.Fact{{
		Key: makegood.OrderKey{Source: "stripe", SessionID: sessionID}, Kind: makegood.FactPaid, ObjectID: sessionID, PaymentID: "pi_1",
		Amount: makegood.Money{Minor: 5800, Currency: "usd"}, Customer: makegood.Customer{Email: "ann@example.com", Name: "Ann"},
		Lines: []makegood.Line{{Product: "az-900", Quantity: 2, Subtotal: makegood.Money{Minor: 5800, Currency: "usd"}, Agreed: price}},
	}}}
}

// desk is an interpreter over a real store.
type desk struct {
	*interpret.Interpreter
	store  *store.Store
	oracle *oracle
}

func newDesk(t *testing.T, url string) *desk {
	t.Helper()
	s, err := store.Open(t.Context(), url, store.Options{Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close the store: %v", err)
		}
	})
	writer, reader := s.SQLite()
	db := queue.Database{SQLiteWriter: writer, SQLiteReader: reader, Postgres: s.Postgres()}
	if err := errors.Join(s.Migrate(t.Context()), queue.Migrate(t.Context(), db)); err != nil {
		t.Fatal(err)
	}
	o := &oracle{reading: paid()}
	ids := 0
	terms := func(taken func(string) bool) makegood.Terms {
		return makegood.Terms{
			Catalogue: makegood.Catalogue{"az-900": {Code: "az-900", Price: makegood.Money{Minor: 2900, Currency: "usd"}, LicensePrefix: "GD"}},
			Effects:   []string{makegood.EffectEmail}, Now: now, KeyTaken: taken,
			DeriveKey: func(prefix string, slot makegood.KeySlot) (string, string) {
				return makegood.DeriveKey([]byte("secret"), prefix, slot), "k1"
			},
			NewID: func(prefix string) string { ids++; return fmt.Sprintf("%s%020d", prefix, ids) },
		}
	}
	sources := map[string]provider.Source{"stripe": talker{o}, "mute": mute{o}}
	return &desk{&interpret.Interpreter{Sources: sources, Store: s, Terms: terms}, s, o}
}

// keep keeps an event as intake does, and returns its job.
func (d *desk) keep(t *testing.T, source string) makegood.Job {
	t.Helper()
	e := makegood.Event{Source: source, ProviderID: "evt_1", Type: "checkout.session.completed", CreatedAt: now, ReceivedAt: now, Payload: []byte("{}")}
	if _, err := d.store.AcceptEvent(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	return makegood.InterpretJob(d.event(t).ID, source)
}

func (d *desk) event(t *testing.T) makegood.Event {
	t.Helper()
	e, err := d.store.Event(t.Context(), "evt_1")
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func (d *desk) order(t *testing.T) makegood.Order {
	t.Helper()
	o, err := d.store.OrderBySession(t.Context(), "stripe", sessionID)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func TestWork(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, url string) {
		d := newDesk(t, url)
		job := d.keep(t, "stripe")
		if err := d.Work(t.Context(), job); err != nil {
			t.Fatalf("Work = %v", err)
		}
		o := d.order(t)
		if o.Payment != makegood.PaymentPaid || len(o.Licenses) != 2 || o.Step(makegood.EffectEmail) == nil || o.Facts[0].EventID != job.EventID {
			t.Errorf("order = %+v, want it paid with two licences, a mail and the event as witness", o)
		}
		if e := d.event(t); e.State != makegood.EventHandled || e.OrderID != o.ID {
			t.Errorf("event = %s of order %q, want handled, of order %q (I2)", e.State, e.OrderID, o.ID)
		}

		// A crash after the commit and before the queue heard of it: the job runs again and does nothing.
		audit, err := d.store.AuditOf(t.Context(), o.ID)
		if err != nil {
			t.Fatal(err)
		}
		if err := d.Work(t.Context(), job); err != nil || d.oracle.asked != 1 {
			t.Errorf("Work again = %v, the source was asked %d times, want nil and once", err, d.oracle.asked)
		}
		if again, err := d.store.AuditOf(t.Context(), o.ID); err != nil || !cmp.Equal(again, audit) || !cmp.Equal(d.order(t), o) {
			t.Errorf("Work again changed the order or its audit (%v)", err)
		}
	})
}

// A second telling of the same fact by another event changes nothing but that event.
func TestWorkToldTwice(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, url string) {
		d := newDesk(t, url)
		if err := d.Work(t.Context(), d.keep(t, "stripe")); err != nil {
			t.Fatal(err)
		}
		first := d.order(t)
		second := makegood.Event{Source: "stripe", ProviderID: "evt_2", CreatedAt: now, ReceivedAt: now, Payload: []byte("{}")}
		if _, err := d.store.AcceptEvent(t.Context(), second); err != nil {
			t.Fatal(err)
		}
		e, err := d.store.Event(t.Context(), "evt_2")
		if err != nil {
			t.Fatal(err)
		}
		if err := d.Work(t.Context(), makegood.InterpretJob(e.ID, "stripe")); err != nil {
			t.Fatalf("Work of the second event = %v", err)
		}
		if diff := cmp.Diff(first, d.order(t)); diff != "" {
			t.Errorf("the second telling changed the order (-before +after):\n%s", diff)
		}
		if e, err := d.store.Event(t.Context(), "evt_2"); err != nil || e.State != makegood.EventHandled || e.OrderID != first.ID {
			t.Errorf("the second event = %s, %v, want handled", e.State, err)
		}
	})
}

// Whatever goes wrong before the commit leaves the event with the next move, and the next run makes it good.
func TestWorkFails(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, url string) {
		d := newDesk(t, url)
		job := d.keep(t, "stripe")
		var permanent *makegood.Permanent
		var snooze *makegood.Snooze

		d.oracle.err = &makegood.Permanent{Err: errors.New("rejected for good")}
		if err := d.Work(t.Context(), job); !errors.As(err, &permanent) {
			t.Errorf("Work with a permanent error of the source = %v, want it passed on", err)
		}
		d.oracle.err = &makegood.Snooze{For: time.Minute, Err: errors.New("slow down")}
		if err := d.Work(t.Context(), job); !errors.As(err, &snooze) || snooze.For != time.Minute {
			t.Errorf("Work when the source asks to wait = %v, want it passed on", err)
		}
		d.oracle.err = makegood.Errorf(makegood.ProviderFailed, "not now")
		if err := d.Work(t.Context(), job); err == nil || errors.As(err, &permanent) {
			t.Errorf("Work with trouble at the source = %v, want an error worth a retry", err)
		}

		d.oracle.err = nil
		delete(d.Sources, "stripe")
		if err := d.Work(t.Context(), job); err == nil || errors.As(err, &permanent) || errors.As(err, &snooze) {
			t.Errorf("Work without the source = %v, want an error worth a retry: a configuration can be repaired", err)
		}
		d.Sources["stripe"] = talker{d.oracle}

		broken := errors.New("commit failed")
		d.Store = breaking{d.store, broken}
		if err := d.Work(t.Context(), job); !errors.Is(err, broken) || errors.As(err, &permanent) {
			t.Errorf("Work with a commit that fails = %v, want it passed on", err)
		}
		d.Store = d.store
		if e := d.event(t); e.State != makegood.EventKept {
			t.Errorf("event after so many failures = %s, want kept", e.State)
		}
		if err := d.Work(t.Context(), job); err != nil || d.event(t).State != makegood.EventHandled {
			t.Errorf("Work once all is well = %v, event %s, want it handled", err, d.event(t).State)
		}
	})
}

// breaking is a store that commits nothing.
type breaking struct {
	interpret.Store
	err error
}

func (b breaking) AmendOrder(context.Context, makegood.Amendment) (makegood.Order, error) {
	return makegood.Order{}, b.err
}

func (b breaking) Event(ctx context.Context, id string) (makegood.Event, error) {
	if id == "" {
		return makegood.Event{}, b.err
	}
	return b.Store.Event(ctx, id)
}

func TestWorkWithoutItsEvent(t *testing.T) {
	t.Parallel()
	d := newDesk(t, storetest.SQLite(t))
	var permanent *makegood.Permanent
	if err := d.Work(t.Context(), makegood.InterpretJob("evt-of-nobody", "shop")); !errors.As(err, &permanent) || !errors.Is(err, makegood.NotFound) {
		t.Errorf("Work of an event that is not there = %v, want permanent: it cannot come into being", err)
	}
	broken := makegood.Errorf(makegood.Unavailable, "not now")
	d.Store = breaking{d.store, broken}
	if err := d.Work(t.Context(), makegood.InterpretJob("", "shop")); !errors.Is(err, makegood.Unavailable) || errors.As(err, &permanent) {
		t.Errorf("Work with a store that cannot be read = %v, want an error worth a retry", err)
	}
}

func TestWorkUnhandled(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, url string) {
		d := newDesk(t, url)
		job := d.keep(t, "stripe")
		d.oracle.reading = provider.Reading{Note: "It says nothing of an order."}
		for range 2 { // a crash after the mark runs it again
			if err := d.Work(t.Context(), job); err != nil {
				t.Fatalf("Work = %v", err)
			}
			if e := d.event(t); e.State != makegood.EventUnhandled || e.Note != "It says nothing of an order." {
				t.Errorf("event = %s %q, want unhandled with the note", e.State, e.Note)
			}
		}
		if orders, err := d.store.Orders(t.Context(), store.OrderFilter{}); err != nil || len(orders) != 0 {
			t.Errorf("orders = %v, %v, want none", orders, err)
		}
		// A later version may read what this one could not.
		d.oracle.reading = paid()
		if err := d.Work(t.Context(), job); err != nil || d.event(t).State != makegood.EventHandled || d.event(t).Note != "" {
			t.Errorf("Work once it can be read = %v, event %s %q, want handled", err, d.event(t).State, d.event(t).Note)
		}
	})
}

// A given-up event is made good by running its job again.
func TestWorkDeadEvent(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, url string) {
		d := newDesk(t, url)
		job := d.keep(t, "stripe")
		letter := makegood.DeadLetter{Job: job, Error: "given up", Attempts: 3, FirstFailedAt: now, LastFailedAt: now}
		if err := d.store.KeepDeadLetter(t.Context(), letter, nil); err != nil {
			t.Fatal(err)
		}
		if state := d.event(t).State; state != makegood.EventDead {
			t.Fatalf("event = %s, want dead", state)
		}
		if err := d.Work(t.Context(), job); err != nil || d.event(t).State != makegood.EventHandled {
			t.Errorf("Work = %v, event %s, want handled", err, d.event(t).State)
		}
	})
}

// Webhook and success page end in the same order, whoever comes first.
func TestLearnAndAskAgree(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, url string) {
		asked := newDesk(t, url)
		got, err := asked.Ask(t.Context(), "customer:verify", "stripe", sessionID)
		if err != nil {
			t.Fatalf("Ask = %v", err)
		}
		told := newDesk(t, storetest.SQLite(t))
		if err := told.Work(t.Context(), told.keep(t, "stripe")); err != nil {
			t.Fatal(err)
		}
		want := told.order(t)
		ours := cmp.Options{ // what only says when and by whom it was told, and our ids
			cmpopts.IgnoreFields(makegood.Order{}, "ID"), cmpopts.IgnoreFields(makegood.License{}, "ID"),
			cmpopts.IgnoreFields(makegood.Fact{}, "EventID", "OccurredAt"),
		}
		if diff := cmp.Diff(want, asked.order(t), ours); diff != "" {
			t.Errorf("the order by Ask (-by event +by Ask):\n%s", diff)
		}

		// The webhook comes after: keys, licences and mail stay, the event is handled.
		if err := asked.Work(t.Context(), asked.keep(t, "stripe")); err != nil {
			t.Fatal(err)
		}
		after := asked.order(t)
		if !cmp.Equal(after.Licenses, got.Licenses) || !cmp.Equal(after.Steps, got.Steps) || after.ID != got.ID {
			t.Errorf("the event changed what Ask had booked: %+v, want %+v", after, got)
		}
		if e := asked.event(t); e.State != makegood.EventHandled || e.OrderID != got.ID {
			t.Errorf("event = %s of order %q, want handled, of %q", e.State, e.OrderID, got.ID)
		}
		depths, err := asked.store.QueueDepths(t.Context())
		want2 := []store.QueueDepth{{Queue: makegood.QueueEffects, Waiting: 1}, {Queue: makegood.QueuePayments, Waiting: 1}}
		if err != nil || !cmp.Equal(depths, want2) {
			t.Errorf("jobs = %v, %v, want %v: one mail in all", depths, err, want2)
		}
	})
}

func TestAsk(t *testing.T) {
	t.Parallel()
	d := newDesk(t, storetest.SQLite(t))
	trouble := makegood.Errorf(makegood.ProviderFailed, "not now")
	for _, tt := range []struct {
		name, source string
		reading      provider.Reading
		err          error
		want         error
	}{
		{"nothing decided yet", "stripe", provider.Reading{Note: "The checkout is open."}, nil, nil},
		{"unknown session", "stripe", provider.Reading{}, makegood.NotFound, makegood.NotFound},
		{"provider in trouble", "stripe", provider.Reading{}, trouble, trouble},
		{"source that cannot be asked", "mute", paid(), nil, makegood.NotFound},
		{"source that is not there", "paypal", paid(), nil, makegood.NotFound},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d.oracle.reading, d.oracle.err = tt.reading, tt.err
			o, err := d.Ask(t.Context(), "customer:verify", tt.source, sessionID)
			if !errors.Is(err, tt.want) || o.ID != "" {
				t.Errorf("Ask = %q, %v, want no order and %v", o.ID, err, tt.want)
			}
			if orders, err := d.store.Orders(t.Context(), store.OrderFilter{}); err != nil || len(orders) != 0 {
				t.Errorf("orders = %v, %v, want none", orders, err)
			}
		})
	}
}
