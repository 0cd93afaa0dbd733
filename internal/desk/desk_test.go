package desk_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/desk"
	"github.com/makegood/makegood/internal/provider"
)

var noon = time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)

const actor = "operator:ann@cli"

// books are a store in memory: orders by id, dead letters in order, and the audit.
type books struct {
	mu      sync.Mutex
	orders  map[string]makegood.Order
	fits    map[string][]string // what may be quoted, with the ids of the orders that it fits
	events  map[string]makegood.Event
	letters []makegood.DeadLetter
	retries []retry
	audit   []string
	err     error  // of reading
	failOn  string // the letter that cannot be retried
	hurried []string
	waiting int // who waits
}

type retry struct {
	id  string
	how desk.Again
}

var errStore = makegood.Errorf(makegood.Unavailable, "The store cannot be reached just now.")

func (b *books) FindOrders(_ context.Context, quoted string) ([]makegood.Order, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	var found []makegood.Order
	for _, id := range b.fits[quoted] {
		o := b.orders[id]
		o.Steps, o.Licenses, o.Facts = nil, nil, nil // a listing is without them
		found = append(found, o)
	}
	return found, b.err
}

func (b *books) Order(_ context.Context, id string) (makegood.Order, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	o, ok := b.orders[id]
	if !ok {
		return o, makegood.NotFound
	}
	return o, nil
}

func (b *books) OrderBySession(_ context.Context, source, sessionID string) (makegood.Order, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, o := range b.orders {
		if o.Key.Source == source && o.Key.SessionID == sessionID {
			return o, nil
		}
	}
	return makegood.Order{}, makegood.NotFound
}

func (b *books) AmendOrder(_ context.Context, a makegood.Amendment) (makegood.Order, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	o := b.orders[a.OrderID]
	o.Steps = slices.Clone(o.Steps)
	for _, f := range a.Facts {
		o.Learn(f)
	}
	entries, err := a.Change(&o, func(string) bool { return false })
	if err != nil {
		return o, err
	}
	b.orders[a.OrderID] = o
	for _, e := range entries {
		b.note(a.Actor, e)
	}
	return o, nil
}

func (b *books) note(who string, e makegood.Entry) {
	b.audit = append(b.audit, strings.Join([]string{who, e.Action, e.Target, e.Before, e.After}, "|"))
}

func (b *books) AcceptEvent(_ context.Context, e makegood.Event) (bool, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err != nil {
		return false, b.err
	}
	_, known := b.events[e.ProviderID]
	if b.events == nil {
		b.events = map[string]makegood.Event{}
	}
	b.events[e.ProviderID] = e
	return !known, nil
}

// Revive has the steps of open letters run again.
func (b *books) Revive(_ context.Context, orderID, who string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	o := b.orders[orderID]
	o.Steps = slices.Clone(o.Steps)
	for i, l := range b.letters {
		if l.Job.OrderID == orderID && l.State == makegood.DeadOpen {
			b.letters[i].State = makegood.DeadRetried
			o.Again(l.Job.Step, false, noon)
			b.note(who, makegood.Entry{Action: "dead_letter.retried", Target: l.ID})
		}
	}
	b.orders[orderID] = o
	return nil
}

func (b *books) Letters(_ context.Context, s desk.Selection, limit int) ([]makegood.DeadLetter, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	var found []makegood.DeadLetter
	for _, l := range b.letters {
		isMeant := !l.LastFailedAt.Before(s.Since) && (s.Until.IsZero() || l.LastFailedAt.Before(s.Until))
		if isMeant && l.State == makegood.DeadOpen && l.ID > s.After && (len(s.IDs) == 0 && len(found) < limit || slices.Contains(s.IDs, l.ID)) {
			found = append(found, l)
		}
	}
	return found, b.err
}

func (b *books) Retry(_ context.Context, id string, how desk.Again) (bool, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if id == b.failOn {
		return false, errStore
	}
	i := slices.IndexFunc(b.letters, func(l makegood.DeadLetter) bool { return l.ID == id })
	if b.letters[i].State != makegood.DeadOpen {
		return false, nil
	}
	b.letters[i].State = makegood.DeadRetried
	b.retries = append(b.retries, retry{id, how})
	return true, nil
}

func (b *books) Discard(_ context.Context, id, who, why string) (bool, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	i := slices.IndexFunc(b.letters, func(l makegood.DeadLetter) bool { return l.ID == id && l.State == makegood.DeadOpen })
	if i < 0 {
		return false, b.err
	}
	b.letters[i].State = makegood.DeadDiscarded
	b.note(who, makegood.Entry{Action: "dead_letter.discarded", Target: id, After: why})
	return true, nil
}

func (b *books) Record(_ context.Context, who string, e makegood.Entry) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.note(who, e)
	return nil
}

func (b *books) Hurry(_ context.Context, source, step string) (int64, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.hurried = append(b.hurried, source+step)
	return 1, b.err
}

func (b *books) Stuck(_ context.Context, reason string, since time.Time) ([]makegood.Order, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	var stuck []makegood.Order
	for _, o := range b.orders {
		if o.Fulfillment == makegood.Stuck && o.Reason == reason && !o.PaidAt.Before(since) {
			stuck = append(stuck, o)
		}
	}
	return stuck, b.err
}

func (b *books) Waited(context.Context, time.Time, time.Time) (waited, waiting int, longest time.Duration, err error) {
	return 3, b.waiting, time.Minute, nil
}

// plain is a source that can nothing but be a source.
type plain struct {
	provider.Source
	name string
}

func (p plain) Name() string { return p.name }
func (p plain) Identify(body []byte) makegood.Event {
	return makegood.Event{Source: p.name, ProviderID: string(body)}
}

// till is a source that can be asked everything.
type till struct {
	plain
	sessions map[string][]string // what may be quoted
	findErr  error
	bodies   []string
	listErr  error // after the bodies
	since    time.Time
	endless  bool
}

func (s *till) Find(_ context.Context, quoted string) ([]string, error) {
	return s.sessions[quoted], s.findErr
}

func (s *till) Ask(context.Context, string) (provider.Reading, error) {
	panic("unreachable: the desk asks through the interpreter")
}

func (s *till) Undelivered(_ context.Context, since time.Time) iter.Seq2[[]byte, error] {
	s.since = since
	return func(yield func([]byte, error) bool) {
		for i := 0; s.endless; i++ {
			if !yield(fmt.Appendf(nil, "evt_%d", i), nil) {
				return
			}
		}
		for _, body := range s.bodies {
			if !yield([]byte(body), nil) {
				return
			}
		}
		if s.listErr != nil {
			yield(nil, s.listErr)
		}
	}
}

var shelf = makegood.Catalogue{"az-900": {Code: "az-900", Price: makegood.Money{Minor: 2900, Currency: "usd"}, LicensePrefix: "GD"}}

// office is a desk over books, with a source stripe that can be asked and a source erp that cannot.
type office struct {
	*desk.Desk
	books  *books
	stripe *till
	asked  []string
	answer func(sessionID string) (makegood.Order, error) // of asking the provider
}

func newOffice(orders ...makegood.Order) *office {
	b := &books{orders: map[string]makegood.Order{}, fits: map[string][]string{}}
	for _, o := range orders {
		b.orders[o.ID] = o
		for _, quoted := range []string{o.ID, o.Key.SessionID, o.Customer.Email} {
			b.fits[quoted] = append(b.fits[quoted], o.ID)
		}
	}
	f := &office{books: b, stripe: &till{plain: plain{name: "stripe"}, sessions: map[string][]string{}}}
	f.answer = func(sessionID string) (makegood.Order, error) {
		o, err := b.OrderBySession(context.Background(), "stripe", sessionID)
		if err != nil {
			return makegood.Order{}, nil // the provider knows it, and nothing was paid
		}
		return o, nil
	}
	ids := 0
	f.Desk = &desk.Desk{Sources: map[string]provider.Source{"stripe": f.stripe, "erp": plain{name: "erp"}}, Store: b,
		Resettle: func(ctx context.Context, who, orderID string) (makegood.Order, error) {
			return b.AmendOrder(ctx, makegood.Amendment{OrderID: orderID, Actor: who,
				Change: func(o *makegood.Order, keyTaken func(string) bool) ([]makegood.Entry, error) {
					return o.Settle(f.Terms(keyTaken)), nil
				}})
		},
		Ask: func(_ context.Context, who, source, sessionID string) (makegood.Order, error) {
			f.asked = append(f.asked, who+" "+source+" "+sessionID)
			return f.answer(sessionID)
		},
		Terms: func(taken func(string) bool) makegood.Terms {
			return makegood.Terms{Catalogue: shelf, Effects: []string{makegood.EffectEmail}, Now: noon, KeyTaken: taken,
				DeriveKey: func(prefix string, slot makegood.KeySlot) (string, string) {
					return makegood.DeriveKey([]byte("s"), prefix, slot), "k1"
				},
				NewID: func(prefix string) string { ids++; return fmt.Sprintf("%s%020d", prefix, ids) }}
		},
		Now: func() time.Time { return noon }, Log: slog.New(slog.DiscardHandler)}
	return f
}

// sold is a paid order, n, whose mail stands as it is told to.
func sold(n int, source string, mail makegood.StepState) makegood.Order {
	o := makegood.Order{ID: fmt.Sprintf("ord%020d", n), Key: makegood.OrderKey{Source: source, SessionID: fmt.Sprintf("cs_%d", n)}}
	o.Learn(makegood.Fact{Key: o.Key, Kind: makegood.FactPaid, ObjectID: o.Key.SessionID, Amount: makegood.Money{Minor: 2900, Currency: "usd"},
		Customer: makegood.Customer{Email: "ann@example.com"}, Lines: []makegood.Line{{Product: "az-900", Quantity: 1, Subtotal: makegood.Money{Minor: 2900, Currency: "usd"}}}})
	o.Settle(newOffice().Terms(func(string) bool { return false }))
	step := o.Step(makegood.EffectEmail)
	switch step.State = mail; mail {
	case makegood.StepDone:
		step.Attempts, step.Receipt, step.DoneAt = 1, "mail-1", time.Unix(1, 0)
	case makegood.StepFailed:
		step.Attempts, step.LastError = 1, "refused"
	}
	o.Settle(newOffice().Terms(func(string) bool { return false }))
	for i := range o.Steps {
		o.Steps[i].JobWanted = false // the store has enqueued it
	}
	return o
}

func TestFind(t *testing.T) {
	t.Parallel()
	one, two := sold(1, "stripe", makegood.StepDone), sold(2, "stripe", makegood.StepDone)
	down := makegood.Wrap(errors.New("dial tcp 10.0.0.7: refused"), makegood.ProviderFailed, "Stripe answered with an error.")
	for _, tt := range []struct {
		name    string
		quoted  string
		change  func(*office)
		want    []string // session, and id when we know it
		unasked map[string]string
	}{
		{"nobody knows it", "nobody@example.com", func(*office) {}, nil, nil},
		{"known here", one.ID, func(*office) {}, []string{"cs_1 " + one.ID}, nil},
		{"with blanks around it", "  cs_1\n", func(*office) {}, []string{"cs_1 " + one.ID}, nil},
		{"several, newest first", "ann@example.com", func(*office) {}, []string{"cs_2 " + two.ID, "cs_1 " + one.ID}, nil},
		{"only the provider knows it", "pi_9", func(f *office) { f.stripe.sessions["pi_9"] = []string{"cs_9"} }, []string{"cs_9 "}, nil},
		{"the provider names what is known here under another name", "pi_1", func(f *office) { f.stripe.sessions["pi_1"] = []string{"cs_1"} }, []string{"cs_1 " + one.ID}, nil},
		{"both know it: once", "cs_1", func(f *office) { f.stripe.sessions["cs_1"] = []string{"cs_1"} }, []string{"cs_1 " + one.ID}, nil},
		{"here one, there two", "cs_1", func(f *office) { f.stripe.sessions["cs_1"] = []string{"cs_8", "cs_1"} }, []string{"cs_1 " + one.ID, "cs_8 "}, nil},
		{"the provider does not know it", "cs_1", func(f *office) { f.stripe.findErr = makegood.NotFound }, []string{"cs_1 " + one.ID}, nil},
		{"the provider is down", "cs_1", func(f *office) { f.stripe.findErr = down }, []string{"cs_1 " + one.ID}, map[string]string{"stripe": "Stripe answered with an error."}},
		{"the provider is down in the middle", "pi_9", func(f *office) { f.stripe.findErr, f.stripe.sessions["pi_9"] = down, []string{"cs_9"} }, []string{"cs_9 "},
			map[string]string{"stripe": "Stripe answered with an error."}},
		{"the provider is down and nothing is known", "pi_9", func(f *office) { f.stripe.findErr = down }, nil, map[string]string{"stripe": "Stripe answered with an error."}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := newOffice(one, two)
			tt.change(f)
			finding, err := f.Find(t.Context(), tt.quoted)
			var got []string
			for _, found := range finding.Found {
				got = append(got, found.SessionID+" "+found.OrderID)
				if (found.Order != nil) != (found.OrderID != "") || found.Source != "stripe" {
					t.Errorf("found = %+v, want the order exactly where it has an id", found)
				}
			}
			if diff := cmp.Diff([]any{tt.want, tt.unasked}, []any{got, finding.Unasked}); err != nil || diff != "" {
				t.Errorf("%v; found and unasked (-want +got):\n%s", err, diff)
			}
			if finding.Found == nil || len(f.books.audit) != 0 {
				t.Errorf("found %v with the audit %v, want a list, and looking leaves no trace", finding.Found, f.books.audit)
			}
		})
	}
}

func TestFindRefused(t *testing.T) {
	t.Parallel()
	f := newOffice()
	for _, quoted := range []string{"", " \t\n"} {
		if _, err := f.Find(t.Context(), quoted); !errors.Is(err, makegood.Invalid) {
			t.Errorf("Find(%q) = %v, want %v", quoted, err, makegood.Invalid)
		}
	}
	f.books.err = errStore
	if _, err := f.Find(t.Context(), "cs_1"); !errors.Is(err, makegood.Unavailable) {
		t.Errorf("Find without a store = %v, want %v", err, makegood.Unavailable)
	}
}

// refunded is an order whose money went back after its mail had left.
func refunded() makegood.Order {
	o := sold(1, "stripe", makegood.StepDone)
	o.Learn(makegood.Fact{Key: o.Key, Kind: makegood.FactRefunded, ObjectID: "re_1", Amount: o.Total})
	o.Settle(newOffice().Terms(func(string) bool { return false }))
	return o
}

// bought is a paid order that was stuck when the catalogue did not have its product.
func boughtUnknown() makegood.Order {
	o := sold(1, "stripe", makegood.StepDone)
	bare := makegood.Order{ID: o.ID, Key: o.Key, Facts: o.Facts}
	terms := newOffice().Terms(func(string) bool { return false })
	terms.Catalogue = makegood.Catalogue{}
	bare.Settle(terms)
	return bare
}

func letter(id, orderID string, state makegood.DeadState) makegood.DeadLetter {
	return makegood.DeadLetter{ID: id, State: state, Job: makegood.EffectJob(orderID, makegood.EffectEmail)}
}

func TestMakeGood(t *testing.T) {
	t.Parallel()
	const paidHere = "asked the provider, who says that the order is paid"
	down := makegood.Errorf(makegood.ProviderFailed, "Stripe answered with an error.")
	done, failed := sold(1, "stripe", makegood.StepDone), sold(1, "stripe", makegood.StepFailed)
	for _, tt := range []struct {
		name   string
		quoted string
		resend bool
		order  *makegood.Order // that is known here
		change func(*office)
		did    []string
		state  string // of the mail, with its round, afterwards
		audit  []string
		asked  []string
		code   makegood.Code
	}{
		{name: "good already", order: &done, did: []string{paidHere}, state: "done 0",
			audit: []string{actor + "|order.made_good|" + done.ID + "|paid, fulfilled|paid, fulfilled"}},
		{name: "the step was given up", order: &failed,
			change: func(f *office) {
				f.books.letters = []makegood.DeadLetter{letter("dlq1", failed.ID, makegood.DeadOpen)}
			},
			did: []string{paidHere, "run again: email"}, state: "owed 0",
			audit: []string{actor + "|dead_letter.retried|dlq1||", actor + "|order.made_good|" + done.ID + "|paid, stuck|paid, stuck"}},
		{name: "the step was given up and its letter discarded", order: &failed,
			change: func(f *office) {
				f.books.letters = []makegood.DeadLetter{letter("dlq1", failed.ID, makegood.DeadDiscarded)}
			},
			did: []string{paidHere, "run again: email"}, state: "owed 0",
			audit: []string{actor + "|step.again|" + done.ID + "|failed|email", actor + "|order.fulfillment|" + done.ID + "|stuck: step_failed|in_progress",
				actor + "|order.made_good|" + done.ID + "|paid, stuck|paid, in_progress"}},
		{name: "sent once more", order: &done, resend: true, did: []string{paidHere, "send the stored mail once more"}, state: "owed 1",
			audit: []string{actor + "|step.again|" + done.ID + "|done|email", actor + "|order.made_good|" + done.ID + "|paid, fulfilled|paid, fulfilled"}},
		{name: "sent once more, though it was given up", order: &failed, resend: true,
			did: []string{paidHere, "run again: email", "nothing was sent yet that could be sent once more"}, state: "owed 0",
			audit: []string{actor + "|step.again|" + done.ID + "|failed|email", actor + "|order.fulfillment|" + done.ID + "|stuck: step_failed|in_progress",
				actor + "|order.made_good|" + done.ID + "|paid, stuck|paid, in_progress"}},
		{name: "sent once more, though the money went back", order: ptr(refunded()), resend: true, code: makegood.Conflict, state: "done 0"},
		{name: "refunded", order: ptr(refunded()), did: []string{"asked the provider, who says that the order is refunded"}, state: "done 0",
			audit: []string{actor + "|order.made_good|" + done.ID + "|refunded, revoked|refunded, revoked"}},
		{name: "the provider is down: by what is known", order: &done, change: func(f *office) { f.answer = func(string) (makegood.Order, error) { return makegood.Order{}, down } },
			did: []string{"could not ask the provider; went by what is known here"}, state: "done 0",
			audit: []string{actor + "|order.made_good|" + done.ID + "|paid, fulfilled|paid, fulfilled"}},
		{name: "the catalogue was repaired and the provider is down", order: ptr(boughtUnknown()),
			change: func(f *office) { f.answer = func(string) (makegood.Order, error) { return makegood.Order{}, down } },
			did:    []string{"could not ask the provider; went by what is known here"}, state: "owed 0",
			audit: []string{actor + "|license.issued|*", actor + "|step.owed|" + done.ID + "||email", actor + "|order.fulfillment|" + done.ID + "|stuck: unknown_product|in_progress",
				actor + "|order.made_good|" + done.ID + "|paid, stuck|paid, in_progress"}},
		{name: "only the provider knows it, and it was paid", quoted: "pi_1", change: func(f *office) {
			f.stripe.sessions["pi_1"] = []string{"cs_1"}
			f.answer = func(string) (makegood.Order, error) {
				o := sold(1, "stripe", makegood.StepOwed)
				f.books.orders[o.ID] = o
				return o, nil
			}
		}, did: []string{paidHere}, state: "owed 0", audit: []string{actor + "|order.made_good|" + done.ID + "|unknown here|paid, in_progress"}},
		{name: "only the provider knows it, and nothing was paid", quoted: "pi_1", change: func(f *office) { f.stripe.sessions["pi_1"] = []string{"cs_7"} }, code: makegood.NotPaid},
		{name: "only the provider knows it, and then it is down", quoted: "pi_1", change: func(f *office) {
			f.stripe.sessions["pi_1"] = []string{"cs_7"}
			f.answer = func(string) (makegood.Order, error) { return makegood.Order{}, down }
		}, code: makegood.ProviderFailed},
		{name: "known here, and the provider says that nothing was paid", order: &done, change: func(f *office) { f.answer = func(string) (makegood.Order, error) { return makegood.Order{}, nil } },
			code: makegood.NotPaid, state: "done 0"},
		{name: "unknown", quoted: "pi_7", code: makegood.NotFound, asked: []string{}},
		{name: "unknown while the provider is down", quoted: "pi_7", change: func(f *office) { f.stripe.findErr = down }, code: makegood.Unavailable, asked: []string{}},
		{name: "several fit", quoted: "pi_1", change: func(f *office) { f.stripe.sessions["pi_1"] = []string{"cs_7", "cs_8"} }, code: makegood.Conflict, asked: []string{}},
		{name: "nothing is quoted", quoted: " ", code: makegood.Invalid, asked: []string{}},
		{name: "at a source that cannot be asked", order: ptr(sold(1, "erp", makegood.StepDone)), did: nil, state: "done 0", asked: []string{},
			audit: []string{actor + "|order.made_good|" + done.ID + "|paid, fulfilled|paid, fulfilled"}},
		{name: "at a source that is not configured any more", order: ptr(sold(1, "gone", makegood.StepDone)), did: nil, state: "done 0", asked: []string{},
			audit: []string{actor + "|order.made_good|" + done.ID + "|paid, fulfilled|paid, fulfilled"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := newOffice()
			quoted := tt.quoted
			if tt.order != nil {
				f = newOffice(*tt.order)
				quoted = tt.order.Key.SessionID
			}
			if tt.change != nil {
				tt.change(f)
			}
			deed, err := f.MakeGood(t.Context(), actor, quoted, tt.resend)
			if (err != nil) != (tt.code != "") || err != nil && makegood.CodeOf(err) != tt.code {
				t.Fatalf("MakeGood = %v, want %q", err, tt.code)
			}
			if diff := cmp.Diff(tt.did, deed.Did); diff != "" {
				t.Errorf("did (-want +got):\n%s", diff)
			}
			if tt.state != "" {
				o := f.books.orders[done.ID]
				step := o.Step(makegood.EffectEmail)
				if got := fmt.Sprint(step.State, " ", step.Round); got != tt.state || step.State == makegood.StepOwed && step.Attempts == 0 && len(o.Licenses) != 1 {
					t.Errorf("mail = %s with %d licences, want %s", got, len(o.Licenses), tt.state)
				}
				if err == nil && cmp.Diff(o, deed.Order) != "" {
					t.Errorf("the order that is told is not the one that is kept:\n%s", cmp.Diff(o, deed.Order))
				}
			}
			if len(f.books.audit) != len(tt.audit) {
				t.Errorf("audit = %q, want %q", f.books.audit, tt.audit)
			}
			for i := range min(len(tt.audit), len(f.books.audit)) {
				if want, isPrefix := strings.CutSuffix(tt.audit[i], "*"); f.books.audit[i] != want && (!isPrefix || !strings.HasPrefix(f.books.audit[i], want)) {
					t.Errorf("audit entry %d = %q, want %q", i, f.books.audit[i], tt.audit[i])
				}
			}
			if tt.asked != nil && len(f.asked) != 0 {
				t.Errorf("asked %v, want nobody asked", f.asked)
			}
			for _, asked := range f.asked {
				if !strings.HasPrefix(asked, actor+" stripe cs_") {
					t.Errorf("asked %q, want the session at stripe, by the operator", asked)
				}
			}
		})
	}
}

func ptr(o makegood.Order) *makegood.Order { return &o }

// Asking again does only what is still missing; each resend is a mail more.
func TestMakeGoodTwice(t *testing.T) {
	t.Parallel()
	failed := sold(1, "stripe", makegood.StepFailed)
	f := newOffice(failed)
	f.books.letters = []makegood.DeadLetter{letter("dlq1", failed.ID, makegood.DeadOpen)}
	for i, want := range []int{2, 1, 1} {
		deed, err := f.MakeGood(t.Context(), actor, failed.ID, false)
		if err != nil || len(deed.Did) != want || deed.Order.Step(makegood.EffectEmail).Round != 0 {
			t.Errorf("time %d: did %v, %v, want %d things in the first round", i+1, deed.Did, err, want)
		}
	}
	done := sold(1, "stripe", makegood.StepDone)
	f = newOffice(done)
	for round := 1; round <= 3; round++ {
		deed, err := f.MakeGood(t.Context(), actor, done.ID, true)
		if err != nil || deed.Order.Step(makegood.EffectEmail).Round != round {
			t.Errorf("resend %d = %+v, %v, want a round of its own", round, deed.Order.Steps, err)
		}
		o := f.books.orders[done.ID]
		o.Done(makegood.EffectEmail, "mail", noon)
		f.books.orders[done.ID] = o
	}
}

// What is quoted fits several: they are named, at most twenty of them.
func TestMakeGoodNamesWhatFits(t *testing.T) {
	t.Parallel()
	f := newOffice()
	for i := range 30 {
		f.stripe.sessions["ann@example.com"] = append(f.stripe.sessions["ann@example.com"], fmt.Sprintf("cs_%02d", i))
	}
	_, err := f.MakeGood(t.Context(), actor, "ann@example.com", false)
	says := makegood.MessageOf(err)
	if !strings.Contains(says, "30 purchases") || !strings.Contains(says, "cs_00, cs_01") || !strings.Contains(says, "cs_19.") || strings.Contains(says, "cs_20") {
		t.Errorf("MakeGood = %q, want the number and the first twenty", says)
	}
}

func letters(n int) []makegood.DeadLetter {
	all := make([]makegood.DeadLetter, n)
	for i := range all {
		all[i] = letter(fmt.Sprintf("dlq%04d", i), "", makegood.DeadOpen)
	}
	return all
}

// Many letters are done in rounds, at the pace that was asked for, behind what is paid for now.
func TestRetryRounds(t *testing.T) {
	t.Parallel()
	f := newOffice()
	f.books.letters = letters(450)
	var after string
	var done []string
	for _, want := range []int{200, 200, 50} {
		wait := time.Duration(len(done)) * time.Second / 10
		r, err := f.Retry(t.Context(), desk.Selection{After: after}, desk.Again{Actor: actor, Wait: wait, Anew: true}, 10, false)
		if err != nil || len(r.Letters) != want || r.Lost != 0 || (r.After == "") != (want == 50) {
			t.Fatalf("round = %d letters, %d lost, after %q, %v, want %d", len(r.Letters), r.Lost, r.After, err, want)
		}
		after, done = r.After, append(done, r.Letters...)
	}
	for i, got := range f.books.retries {
		want := retry{fmt.Sprintf("dlq%04d", i), desk.Again{Actor: actor, Anew: true, Wait: time.Duration(i) * 100 * time.Millisecond, Behind: true}}
		if got != want {
			t.Fatalf("retry %d = %+v, want %+v: ten a second, through all rounds", i, got, want)
		}
	}
}

func TestRetry(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		letters int
		s       desk.Selection
		dry     bool
		change  func(*books)
		want    desk.Retried
		wants   []time.Duration // waits
		behind  bool
		code    makegood.Code
	}{
		{name: "nothing fits", want: desk.Retried{Letters: []string{}}},
		{name: "one by its name begins at once, and before others", letters: 3, s: desk.Selection{IDs: []string{"dlq0001"}}, want: desk.Retried{Letters: []string{"dlq0001"}}, wants: []time.Duration{0}},
		{name: "two by name are spread", letters: 3, s: desk.Selection{IDs: []string{"dlq0000", "dlq0002"}}, want: desk.Retried{Letters: []string{"dlq0000", "dlq0002"}},
			wants: []time.Duration{0, 500 * time.Millisecond}, behind: true},
		{name: "dry", letters: 3, dry: true, want: desk.Retried{Letters: []string{"dlq0000", "dlq0001", "dlq0002"}}},
		{name: "somebody was first", letters: 2, change: func(b *books) { b.letters[0].State = makegood.DeadRetried }, want: desk.Retried{Letters: []string{"dlq0001"}}, wants: []time.Duration{0}, behind: true},
		{name: "the store fails in the middle", letters: 3, change: func(b *books) { b.failOn = "dlq0002" }, want: desk.Retried{Letters: []string{"dlq0000", "dlq0001"}},
			wants: []time.Duration{0, 500 * time.Millisecond}, behind: true, code: makegood.Unavailable},
		{name: "the store fails at once", letters: 3, change: func(b *books) { b.err = errStore }, code: makegood.Unavailable},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := newOffice()
			f.books.letters = letters(tt.letters)
			if tt.change != nil {
				tt.change(f.books)
			}
			got, err := f.Retry(t.Context(), tt.s, desk.Again{Actor: actor}, 2, tt.dry)
			if (err != nil) != (tt.code != "") || err != nil && makegood.CodeOf(err) != tt.code {
				t.Errorf("Retry = %v, want %q", err, tt.code)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("Retry (-want +got):\n%s", diff)
			}
			var waits []time.Duration
			for _, r := range f.books.retries {
				waits = append(waits, r.how.Wait)
				if r.how.Behind != tt.behind {
					t.Errorf("letter %s is behind all others: %v, want %v", r.id, r.how.Behind, tt.behind)
				}
			}
			if diff := cmp.Diff(tt.wants, waits); diff != "" {
				t.Errorf("waits (-want +got):\n%s", diff)
			}
		})
	}
	for _, perSecond := range []int{0, -1} {
		if _, err := newOffice().Retry(t.Context(), desk.Selection{}, desk.Again{}, perSecond, false); !errors.Is(err, makegood.Invalid) {
			t.Errorf("Retry of %d a second = %v, want %v", perSecond, err, makegood.Invalid)
		}
	}
}

// A round of named letters has no next, however many are named: whoever asked for the next would be given the same.
func TestRetryOfManyNames(t *testing.T) {
	t.Parallel()
	f := newOffice()
	f.books.letters = letters(250)
	var names []string
	for _, l := range f.books.letters[:200] {
		names = append(names, l.ID)
	}
	r, err := f.Retry(t.Context(), desk.Selection{IDs: names}, desk.Again{}, 10, true)
	if err != nil || len(r.Letters) != 200 || r.After != "" {
		t.Errorf("Retry of 200 names = %d letters, after %q, %v, want all of them and no next round", len(r.Letters), r.After, err)
	}
}

// Two people ask at once: each letter is done once, and each of them hears what the other one did.
func TestRetryByTwo(t *testing.T) {
	t.Parallel()
	f := newOffice()
	f.books.letters = letters(150)
	var results [2]desk.Retried
	var wg sync.WaitGroup
	for i := range results {
		wg.Go(func() {
			var err error
			if results[i], err = f.Retry(t.Context(), desk.Selection{}, desk.Again{Actor: actor}, 20, false); err != nil {
				t.Errorf("Retry = %v", err)
			}
		})
	}
	wg.Wait()
	all := append(slices.Clone(results[0].Letters), results[1].Letters...)
	slices.Sort(all)
	if len(all) != 150 || len(slices.Compact(all)) != 150 || len(f.books.retries) != 150 {
		t.Errorf("%d and %d letters, %d retries, want each of 150 once", len(results[0].Letters), len(results[1].Letters), len(f.books.retries))
	}
}

func TestDiscard(t *testing.T) {
	t.Parallel()
	f := newOffice()
	f.books.letters = letters(1)
	for _, why := range []string{"", "  \n"} {
		if err := f.Discard(t.Context(), actor, "dlq0000", why); !errors.Is(err, makegood.Invalid) {
			t.Errorf("Discard because of %q = %v, want %v", why, err, makegood.Invalid)
		}
	}
	if err := f.Discard(t.Context(), actor, "dlq0000", "a test of ours"); err != nil || len(f.books.audit) != 1 ||
		f.books.audit[0] != actor+"|dead_letter.discarded|dlq0000||a test of ours" {
		t.Errorf("Discard = %v, audit %q, want who, what and why", err, f.books.audit)
	}
	for _, id := range []string{"dlq0000", "dlq9999"} {
		if err := f.Discard(t.Context(), actor, id, "again"); !errors.Is(err, makegood.NotFound) || len(f.books.audit) != 1 {
			t.Errorf("Discard of %s, which is not open = %v, want %v and no entry", id, err, makegood.NotFound)
		}
	}
}

func TestPull(t *testing.T) {
	t.Parallel()
	down := makegood.Errorf(makegood.ProviderFailed, "Stripe answered with an error.")
	since := noon.Add(-72 * time.Hour)
	for _, tt := range []struct {
		name   string
		source string
		bodies []string
		change func(*office)
		want   desk.Pulled
		audit  []string
		code   makegood.Code
	}{
		{"nothing is missing", "stripe", nil, nil, desk.Pulled{Source: "stripe"}, []string{actor + "|events.pulled|stripe||0 new, 0 known"}, ""},
		{"two are missing, one came by itself", "stripe", []string{"evt_1", "evt_2", "evt_3"},
			func(f *office) { f.books.events = map[string]makegood.Event{"evt_2": {}} },
			desk.Pulled{Source: "stripe", New: 2, Known: 1}, []string{actor + "|events.pulled|stripe||2 new, 1 known"}, ""},
		{"the provider breaks off", "stripe", []string{"evt_1"}, func(f *office) { f.stripe.listErr = down },
			desk.Pulled{Source: "stripe", New: 1}, []string{actor + "|events.pulled|stripe||1 new, 0 known"}, makegood.ProviderFailed},
		{"the store is away", "stripe", []string{"evt_1", "evt_2"}, func(f *office) { f.books.err = errStore },
			desk.Pulled{Source: "stripe"}, []string{actor + "|events.pulled|stripe||0 new, 0 known"}, makegood.Unavailable},
		{"it never ends", "stripe", nil, func(f *office) { f.stripe.endless = true },
			desk.Pulled{Source: "stripe", New: 50_000}, []string{actor + "|events.pulled|stripe||50000 new, 0 known"}, ""},
		{"a source without a list", "erp", nil, nil, desk.Pulled{Source: "erp"}, nil, makegood.NotFound},
		{"no such source", "nosuch", nil, nil, desk.Pulled{Source: "nosuch"}, nil, makegood.NotFound},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := newOffice()
			f.stripe.bodies = tt.bodies
			if tt.change != nil {
				tt.change(f)
			}
			got, err := f.Pull(t.Context(), actor, tt.source, since)
			if (err != nil) != (tt.code != "") || err != nil && makegood.CodeOf(err) != tt.code || got != tt.want {
				t.Errorf("Pull = %+v, %v, want %+v and %q", got, err, tt.want, tt.code)
			}
			if diff := cmp.Diff(tt.audit, f.books.audit); diff != "" {
				t.Errorf("audit (-want +got):\n%s", diff)
			}
			for id, e := range f.books.events {
				if e.Source != "" && (e.VerifiedBy != "api" || !e.ReceivedAt.Equal(noon) || e.ProviderID != id) {
					t.Errorf("event = %+v, want it as one that was proved by the API, now", e)
				}
			}
			if tt.source == "stripe" && !f.stripe.since.Equal(since) {
				t.Errorf("asked since %v, want %v", f.stripe.since, since)
			}
		})
	}
}

// TestServe holds that those who waited are served once, however often it is asked: providers and failed jobs are not bothered
// with every call, and what was given up after the outage is left to a person.
func TestServe(t *testing.T) {
	t.Parallel()
	f := newOffice()
	now := noon
	f.Now = func() time.Time { return now }
	f.Steps = []string{"email"}
	f.stripe.bodies = []string{"evt_1"}
	f.books.waiting = 1
	letter := func(id string, failed time.Time) makegood.DeadLetter {
		return makegood.DeadLetter{ID: id, State: makegood.DeadOpen, LastFailedAt: failed}
	}
	f.books.letters = []makegood.DeadLetter{letter("dlq1", noon.Add(-time.Hour)), letter("dlq2", noon.Add(-5*time.Minute)), letter("dlq3", noon.Add(time.Second))}
	for _, tt := range []struct {
		name   string
		pass   time.Duration
		want   desk.Served
		pulled int
	}{
		{"at once", 0, desk.Served{Waited: 3, Waiting: 1, Longest: time.Minute, Pulled: 1, Again: 4}, 1},
		{"a second later", time.Second, desk.Served{Waited: 3, Waiting: 1, Longest: time.Minute}, 1},
		{"later", 15 * time.Second, desk.Served{Waited: 3, Waiting: 1, Longest: time.Minute, Again: 3}, 2},
	} {
		now = now.Add(tt.pass)
		got, err := f.Serve(t.Context(), "peer:watcher", noon.Add(-10*time.Minute), noon)
		if err != nil || got != tt.want {
			t.Errorf("%s: Serve = %+v, %v, want %+v", tt.name, got, err, tt.want)
		}
		pulled := 0
		for _, line := range f.books.audit {
			if strings.Contains(line, "events.pulled") {
				pulled++
			}
		}
		if pulled != tt.pulled {
			t.Errorf("%s: providers were asked %d times, want %d", tt.name, pulled, tt.pulled)
		}
	}
	if len(f.books.retries) != 1 || f.books.retries[0].id != "dlq2" {
		t.Errorf("done again = %v, want the letter of the outage alone", f.books.retries)
	}
	if diff := cmp.Diff([]string{"erp", "stripe", "email", "erp", "stripe", "email"}, f.books.hurried); diff != "" {
		t.Errorf("hurried (-want +got):\n%s", diff)
	}
	if f.stripe.since != noon.Add(-12*time.Minute) {
		t.Errorf("asked since %v, want some time before the first red look", f.stripe.since)
	}
}

// TestServeUnknown: what was paid for while the catalogue was wrong is settled by the right one; what is in no catalogue, or was
// paid for before, is left to a person.
func TestServeUnknown(t *testing.T) {
	t.Parallel()
	stuck := func(n int, source, product string, paid time.Time) makegood.Order {
		o := makegood.Order{ID: fmt.Sprintf("ord%020d", n), Key: makegood.OrderKey{Source: source, SessionID: fmt.Sprintf("cs_%d", n)}}
		o.Learn(makegood.Fact{Key: o.Key, Kind: makegood.FactPaid, ObjectID: o.Key.SessionID, Amount: makegood.Money{Minor: 2900, Currency: "usd"},
			Customer: makegood.Customer{Email: "ann@example.com"}, Lines: []makegood.Line{{Product: product, Quantity: 1, Subtotal: makegood.Money{Minor: 2900, Currency: "usd"}}}})
		terms := newOffice().Terms(func(string) bool { return false })
		terms.Catalogue, terms.Now = makegood.Catalogue{}, paid
		o.Settle(terms)
		if o.Fulfillment != makegood.Stuck || o.Reason != makegood.ReasonUnknownProduct || !o.PaidAt.Equal(paid) {
			t.Fatalf("order %d is %s because of %q, paid at %v", n, o.Fulfillment, o.Reason, o.PaidAt)
		}
		return o
	}
	mended, hours := stuck(1, "erp", "az-900", noon), stuck(2, "erp", "az-900", noon.Add(-2*time.Hour))
	other, unasked := stuck(3, "erp", "az-104", noon), stuck(4, "stripe", "az-900", noon)
	f := newOffice(mended, hours, other, unasked)
	f.answer = func(string) (makegood.Order, error) { return makegood.Order{}, nil } // nothing was paid, it says
	got, err := f.Serve(t.Context(), "peer:watcher", noon.Add(-10*time.Minute), noon)
	if err != nil || got.Again != 3 { // two sources and one order
		t.Errorf("Serve = %+v, %v, want one order among what is done again", got, err)
	}
	for _, o := range []makegood.Order{mended, hours, other, unasked} {
		if now := f.books.orders[o.ID]; (now.Fulfillment == makegood.Stuck) != (o.ID != mended.ID) {
			t.Errorf("order %s is %s", o.ID, now.Fulfillment)
		}
	}
	made := slices.DeleteFunc(slices.Clone(f.books.audit), func(line string) bool { return !strings.Contains(line, "made_good") })
	if diff := cmp.Diff([]string{"peer:watcher|order.made_good|" + mended.ID + "|paid, stuck|paid, in_progress"}, made); diff != "" {
		t.Errorf("audit (-want +got):\n%s", diff)
	}
}

// A provider that cannot be asked keeps nobody else waiting.
func TestServeWithoutProvider(t *testing.T) {
	t.Parallel()
	f := newOffice()
	f.stripe.listErr = makegood.Errorf(makegood.ProviderFailed, "Stripe answered with an error.")
	got, err := f.Serve(t.Context(), "peer:watcher", noon, noon)
	if err != nil || got.Note != "Could not be asked: stripe." || got.Again != 2 {
		t.Errorf("Serve = %+v, %v", got, err)
	}
}

// Who asks while another call still fetches is not told that nobody waits.
func TestServeOneAtATime(t *testing.T) {
	t.Parallel()
	f := newOffice()
	f.stripe.bodies = []string{"evt_1"}
	asked, inner := 0, error(nil)
	f.Now = func() time.Time {
		if asked++; asked == 2 { // while an event that was fetched is taken
			_, inner = f.Serve(t.Context(), "peer:watcher", noon, noon)
		}
		return noon
	}
	got, err := f.Serve(t.Context(), "peer:watcher", noon, noon)
	if err != nil || got.Pulled != 1 || !errors.Is(inner, makegood.Unavailable) {
		t.Errorf("Serve = %+v, %v, and meanwhile %v, want unavailable", got, err, inner)
	}
	if _, err := f.Serve(t.Context(), "peer:watcher", noon, noon); err != nil {
		t.Errorf("the next Serve = %v", err)
	}
}
