package fulfill_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/fulfill"
	"github.com/makegood/makegood/internal/mail"
	"github.com/makegood/makegood/internal/outbound"
	"github.com/makegood/makegood/internal/queue"
	"github.com/makegood/makegood/internal/secret"
	"github.com/makegood/makegood/internal/simulate"
	"github.com/makegood/makegood/internal/store"
	"github.com/makegood/makegood/internal/store/storetest"
)

var noon = time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)

// clock is a time that a test moves.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) move(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// courier is an effect that notes what it is given and ends as it is told.
type courier struct {
	remembers time.Duration
	made      int
	brought   []string
	bring     func(ctx context.Context) (string, error) // nil succeeds
}

func (c *courier) Name() string                { return makegood.EffectEmail }
func (c *courier) RemembersFor() time.Duration { return c.remembers }

func (c *courier) Make(o makegood.Order, _ string) ([]byte, error) {
	c.made++
	return fmt.Appendf(nil, "letter %d of %s", c.made, o.ID), nil
}

func (c *courier) Bring(ctx context.Context, message []byte, _ int) (string, error) {
	c.brought = append(c.brought, string(message))
	if c.bring == nil {
		return "receipt-1", nil
	}
	return c.bring(ctx)
}

// shop is a fulfiller over a real store with one paid order.
type shop struct {
	*fulfill.Fulfiller
	store *store.Store
	clock *clock
	job   makegood.Job
}

var catalogue = makegood.Catalogue{
	"az-900": {Code: "az-900", Name: "AZ-900 practice exam", Price: makegood.Money{Minor: 2900, Currency: "usd"}, LicensePrefix: "GD"},
	"az-104": {Code: "az-104", Name: "AZ-104 <practice> exam", Price: makegood.Money{Minor: 3900, Currency: "usd"}, LicensePrefix: "GD"},
}

func newShop(t *testing.T, url string, effect fulfill.Effect) *shop {
	t.Helper()
	c := &clock{at: noon}
	s, err := store.Open(t.Context(), url, store.Options{Now: c.now})
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
	keys, err := fulfill.NewKeyMaker("k1", secret.New("licence secret of the tests"))
	if err != nil {
		t.Fatal(err)
	}
	ids := 0
	f := &fulfill.Fulfiller{Effects: map[string]fulfill.Effect{effect.Name(): effect}, Store: s, Now: c.now, Log: slog.New(slog.DiscardHandler),
		Terms: func(taken func(string) bool) makegood.Terms {
			return makegood.Terms{Catalogue: catalogue, Effects: []string{makegood.EffectEmail}, Now: c.now(), DeriveKey: keys.Derive,
				KeyTaken: taken, NewID: func(prefix string) string { ids++; return fmt.Sprintf("%s%020d", prefix, ids) }}
		}}
	sh := &shop{Fulfiller: f, store: s, clock: c}
	o := sh.learn(t, paidFact())
	sh.job = makegood.EffectJob(o.ID, makegood.EffectEmail)
	return sh
}

func paidFact() makegood.Fact {
	return makegood.Fact{
		Key: makegood.OrderKey{Source: "stripe", SessionID: "cs_test_1"}, Kind: makegood.FactPaid, ObjectID: "cs_test_1",
		Amount: makegood.Money{Minor: 9700, Currency: "usd"}, Customer: makegood.Customer{Email: "ann@example.com", Name: "Ann"},
		Lines: []makegood.Line{
			{Product: "az-900", Quantity: 2, Subtotal: makegood.Money{Minor: 5800, Currency: "usd"}},
			{Product: "az-104", Quantity: 1, Subtotal: makegood.Money{Minor: 3900, Currency: "usd"}},
		},
	}
}

func (s *shop) learn(t *testing.T, f makegood.Fact) makegood.Order {
	t.Helper()
	o, err := s.store.AmendOrder(t.Context(), makegood.Amendment{Key: f.Key, Actor: "test",
		Change: func(o *makegood.Order, taken func(string) bool) ([]makegood.Entry, error) {
			o.Learn(f)
			return o.Settle(s.Terms(taken)), nil
		}})
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func (s *shop) order(t *testing.T) makegood.Order {
	t.Helper()
	o, err := s.store.Order(t.Context(), s.job.OrderID)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func (s *shop) step(t *testing.T) makegood.Step {
	t.Helper()
	o := s.order(t)
	return *o.Step(makegood.EffectEmail)
}

// forgetful is a store that loses the next receipt: the process dies between the effect and the commit after it.
type forgetful struct {
	fulfill.Store
	lost bool
}

var errDied = errors.New("the process died here")

func (f *forgetful) AmendOrder(ctx context.Context, a makegood.Amendment) (makegood.Order, error) {
	if !f.lost {
		f.lost = true
		return makegood.Order{}, errDied
	}
	return f.Store.AmendOrder(ctx, a)
}

// First the intent and the very bytes are kept, then the effect happens, then its receipt is kept.
func TestWorkOrder(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, url string) {
		effect := &courier{remembers: 24 * time.Hour}
		s := newShop(t, url, effect)
		effect.bring = func(context.Context) (string, error) {
			step := s.step(t)
			if !step.IntentAt.Equal(noon) || step.Attempts != 1 || step.UncertainSince.IsZero() || step.State != makegood.StepOwed {
				t.Errorf("step while the effect happens = %+v, want the intent kept, and no receipt", step)
			}
			kept, err := s.store.Outgoing(t.Context(), s.job.OrderID, makegood.EffectEmail)
			if err != nil || string(kept) != effect.brought[0] {
				t.Errorf("kept while the effect happens = %q, %v, want %q", kept, err, effect.brought[0])
			}
			return "receipt-1", nil
		}
		if err := s.Work(t.Context(), s.job); err != nil {
			t.Fatalf("Work = %v", err)
		}
		o := s.order(t)
		if step := o.Step(makegood.EffectEmail); step.State != makegood.StepDone || step.Receipt != "receipt-1" || !step.DoneAt.Equal(noon) ||
			o.Fulfillment != makegood.Fulfilled {
			t.Errorf("order = %s, step %+v, want it fulfilled with the receipt", o.Fulfillment, step)
		}
		if err := s.Work(t.Context(), s.job); err != nil || len(effect.brought) != 1 {
			t.Errorf("Work again = %v, brought %d times, want nil and once", err, len(effect.brought))
		}
	})
}

func TestWorkWithoutItsEffect(t *testing.T) {
	t.Parallel()
	s := newShop(t, storetest.SQLite(t), &courier{})
	clear(s.Effects)
	var permanent *makegood.Permanent
	if err := s.Work(t.Context(), s.job); err == nil || errors.As(err, &permanent) {
		t.Errorf("Work of an effect that is not configured = %v, want an error worth a retry", err)
	}
	if step := s.step(t); step.Attempts != 0 {
		t.Errorf("step = %+v, want no attempt counted", step)
	}
}

// The receipt of what happened is kept even when the server is being stopped at that moment.
func TestWorkStopped(t *testing.T) {
	t.Parallel()
	effect := &courier{}
	s := newShop(t, storetest.SQLite(t), effect)
	ctx, stop := context.WithCancel(t.Context())
	effect.bring = func(context.Context) (string, error) { stop(); return "receipt-1", nil }
	if err := s.Work(ctx, s.job); err != nil || s.step(t).Receipt != "receipt-1" {
		t.Errorf("Work that was stopped in the effect = %v, step %+v, want the receipt kept", err, s.step(t))
	}
}

// A crash after the mail service has accepted the mail and before its receipt is kept: the next attempt sends the same
// bytes under the same key, whatever has changed in between, and the customer has one mail.
func TestWorkCrashBeforeReceipt(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, url string) {
		resend := simulate.NewResend(simulate.ResendOptions{APIKey: "re_test_Test1"})
		var sent []string // what reached the mail service
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			sent = append(sent, r.Header.Get("Idempotency-Key"))
			resend.ServeHTTP(w, r)
		}))
		defer server.Close()
		way := outbound.New(outbound.Options{AllowPrivate: true})
		sender, err := mail.NewResend(way, server.URL, secret.New("re_test_Test1"), time.Now)
		if err != nil {
			t.Fatal(err)
		}
		email := func(c makegood.Catalogue, from string, at time.Time) *fulfill.Email {
			e, err := fulfill.NewEmail(sender, c, from, "", func() time.Time { return at })
			if err != nil {
				t.Fatal(err)
			}
			return e
		}
		s := newShop(t, url, email(catalogue, "Shop <shop@example.com>", noon))

		s.Store = &forgetful{Store: s.store}
		if err := s.Work(t.Context(), s.job); !errors.Is(err, errDied) {
			t.Fatalf("Work = %v, want the crash", err)
		}
		first, err := s.store.Outgoing(t.Context(), s.job.OrderID, makegood.EffectEmail)
		if err != nil {
			t.Fatal(err)
		}
		// The server comes back with another catalogue, another sender and another time.
		s.Effects[makegood.EffectEmail] = email(makegood.Catalogue{}, "Other <other@example.org>", noon.Add(time.Hour))
		s.Store = s.store
		if err := s.Work(t.Context(), s.job); err != nil {
			t.Fatalf("Work after the crash = %v", err)
		}
		second, err := s.store.Outgoing(t.Context(), s.job.OrderID, makegood.EffectEmail)
		if diff := cmp.Diff(string(first), string(second)); err != nil || diff != "" {
			t.Errorf("%v; the second attempt sent other bytes (-first +second):\n%s", err, diff)
		}
		if want := []string{"license-email/" + s.job.OrderID, "license-email/" + s.job.OrderID}; !cmp.Equal(sent, want) {
			t.Errorf("sent under %v, want %v", sent, want)
		}
		inbox := resend.Inbox("ann@example.com")
		if len(inbox) != 1 {
			t.Fatalf("the customer has %d mails, want 1", len(inbox))
		}
		if step := s.step(t); step.State != makegood.StepDone || step.Receipt != inbox[0].ID || step.Attempts != 2 {
			t.Errorf("step = %+v, want done with the receipt %s of the one mail", step, inbox[0].ID)
		}
	})
}

// What may have happened is repeated only while the other side still knows that it is a repetition.
func TestWorkDoubt(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	for _, tt := range []struct {
		name      string
		remembers time.Duration
		later     time.Duration
		wantSent  bool
	}{
		{"at once", day, 0, true},
		{"just inside", day, 23*time.Hour - time.Second, true},
		{"an hour before it is forgotten", day, 23 * time.Hour, false},
		{"long after", day, 30 * day, false},
		{"to somebody without a memory", 0, 30 * day, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			effect := &courier{remembers: tt.remembers}
			s := newShop(t, storetest.SQLite(t), effect)
			s.Store = &forgetful{Store: s.store}
			if err := s.Work(t.Context(), s.job); !errors.Is(err, errDied) {
				t.Fatalf("Work = %v, want the crash", err)
			}
			s.clock.move(tt.later)
			err := s.Work(t.Context(), s.job)
			var permanent *makegood.Permanent
			if sent := len(effect.brought) == 2; sent != tt.wantSent || errors.As(err, &permanent) == tt.wantSent {
				t.Errorf("Work %v later = %v, sent again: %v, want %v", tt.later, err, sent, tt.wantSent)
			}
			if tt.wantSent && effect.brought[0] != effect.brought[1] {
				t.Errorf("sent %q, then %q, want the same bytes", effect.brought[0], effect.brought[1])
			}
		})
	}
}

// Only what is known to have had no effect leaves no doubt.
func TestWorkFails(t *testing.T) {
	t.Parallel()
	timedOut := errors.New("timed out")
	refused := &fulfill.NoEffect{Err: errors.New("refused")}
	for _, tt := range []struct {
		name      string
		ends      []error // of the attempts, an hour apart
		wantDoubt time.Time
	}{
		{"refused", []error{refused}, time.Time{}},
		{"timed out", []error{timedOut}, noon},
		{"refused, then timed out", []error{refused, timedOut}, noon.Add(time.Hour)},
		{"timed out, then refused", []error{timedOut, refused}, noon},
		{"timed out twice", []error{timedOut, timedOut}, noon},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			effect := &courier{remembers: 24 * time.Hour}
			s := newShop(t, storetest.SQLite(t), effect)
			for _, end := range tt.ends {
				effect.bring = func(context.Context) (string, error) { return "", end }
				if err := s.Work(t.Context(), s.job); !errors.Is(err, end) {
					t.Errorf("Work = %v, want %v for the queue to decide", err, end)
				}
				if step := s.step(t); step.LastError != end.Error() || step.State != makegood.StepOwed {
					t.Errorf("step = %+v, want it owed, with the error for people to see", step)
				}
				s.clock.move(time.Hour)
			}
			if step := s.step(t); !step.UncertainSince.Equal(tt.wantDoubt) || step.Attempts != len(tt.ends) {
				t.Errorf("step = %+v, want doubt since %v and %d attempts", step, tt.wantDoubt, len(tt.ends))
			}
			effect.bring = nil
			if err := s.Work(t.Context(), s.job); err != nil || s.step(t).State != makegood.StepDone || effect.made != 1 {
				t.Errorf("Work in the end = %v, step %+v, made %d times, want it done and made once", err, s.step(t), effect.made)
			}
		})
	}
}

// A definite failure is repeated however long ago it was.
func TestWorkLongAfterRefusal(t *testing.T) {
	t.Parallel()
	effect := &courier{remembers: 24 * time.Hour}
	s := newShop(t, storetest.SQLite(t), effect)
	effect.bring = func(context.Context) (string, error) { return "", &fulfill.NoEffect{Err: errors.New("no such key")} }
	if err := s.Work(t.Context(), s.job); err == nil {
		t.Fatal("Work = nil, want the refusal")
	}
	effect.bring = nil
	s.clock.move(100 * 24 * time.Hour)
	if err := s.Work(t.Context(), s.job); err != nil || s.step(t).State != makegood.StepDone {
		t.Errorf("Work 100 days later = %v, step %+v, want it done", err, s.step(t))
	}
}

// A failure that cannot be recorded is still the queue's to decide.
func TestWorkFailureNotRecorded(t *testing.T) {
	t.Parallel()
	effect := &courier{bring: func(context.Context) (string, error) {
		return "", &makegood.Snooze{For: time.Minute, Err: errors.New("busy")}
	}}
	s := newShop(t, storetest.SQLite(t), effect)
	s.Store = &forgetful{Store: s.store}
	var snooze *makegood.Snooze
	if err := s.Work(t.Context(), s.job); !errors.As(err, &snooze) {
		t.Errorf("Work = %v, want the snooze of the effect", err)
	}
	if s.step(t).UncertainSince.IsZero() {
		t.Error("an attempt whose end was not recorded leaves no doubt")
	}
}

// What was refunded before its turn came is not sent, and is owed again when the refund comes back.
func TestWorkRefundedBefore(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, url string) {
		effect := &courier{}
		s := newShop(t, url, effect)
		refund := paidFact()
		refund.Kind, refund.ObjectID, refund.Lines, refund.Customer = makegood.FactRefunded, "re_1", nil, makegood.Customer{}
		s.learn(t, refund)
		if err := s.Work(t.Context(), s.job); err != nil || len(effect.brought) != 0 || effect.made != 0 {
			t.Errorf("Work after the refund = %v, brought %q, want nothing", err, effect.brought)
		}
		if step := s.step(t); step.State != makegood.StepWithdrawn || step.Attempts != 0 {
			t.Errorf("step = %+v, want it withdrawn", step)
		}
		if o := s.order(t); o.Fulfillment != makegood.Revoked {
			t.Errorf("order = %s, want revoked", o.Fulfillment)
		}
		refund.Kind = makegood.FactRefundFailed
		s.learn(t, refund)
		if err := s.Work(t.Context(), s.job); err != nil || s.step(t).State != makegood.StepDone || len(effect.brought) != 1 {
			t.Errorf("Work after the refund came back = %v, step %+v, want it done", err, s.step(t))
		}
	})
}

// A mail that cannot even be written is given up at once and leaves no intent behind.
func TestWorkUnwritable(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, url string) {
		cause := &makegood.Permanent{Err: errors.New("no template")}
		s := newShop(t, url, unwritable{&courier{}, cause})
		var permanent *makegood.Permanent
		if err := s.Work(t.Context(), s.job); !errors.As(err, &permanent) {
			t.Errorf("Work = %v, want permanent", err)
		}
		if step := s.step(t); step.Attempts != 0 || !step.IntentAt.IsZero() {
			t.Errorf("step = %+v, want no trace of an attempt", step)
		}
	})
}

type unwritable struct {
	*courier
	err error
}

func (u unwritable) Make(makegood.Order, string) ([]byte, error) { return nil, u.err }

func TestKeyMaker(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ id, secret string }{{"", "s"}, {"k1", ""}} {
		if _, err := fulfill.NewKeyMaker(tt.id, secret.New(tt.secret)); err == nil {
			t.Errorf("NewKeyMaker(%q, secret of %d bytes) = nil error, want it refused", tt.id, len(tt.secret))
		}
	}
	keys, err := fulfill.NewKeyMaker("k1", secret.New("s3cret"))
	if err != nil {
		t.Fatal(err)
	}
	slot := makegood.KeySlot{SessionID: "cs_test_1", Line: 1, Unit: 2}
	if key, id := keys.Derive("GD", slot); id != "k1" || key != makegood.DeriveKey([]byte("s3cret"), "GD", slot) {
		t.Errorf("Derive = %s by %s, want the key of SPEC A3 by k1", key, id)
	}
}
