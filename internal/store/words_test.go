package store_test

import (
	"bytes"
	"errors"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/store"
	"github.com/makegood/makegood/internal/store/storetest"
)

// Times keep their microseconds and nothing else, in UTC; the zero time stays zero.
func TestTimesRoundTrip(t *testing.T) {
	t.Parallel()
	berlin := time.FixedZone("CET", 3600)
	type trip struct {
		name     string
		in, want time.Time
	}
	trips := []trip{
		{"zero", time.Time{}, time.Time{}},
		{"microseconds", time.Date(2026, 3, 4, 5, 6, 7, 123_456_000, time.UTC), time.Date(2026, 3, 4, 5, 6, 7, 123_456_000, time.UTC)},
		{"nanoseconds are cut", time.Date(2026, 3, 4, 5, 6, 7, 999_999_999, time.UTC), time.Date(2026, 3, 4, 5, 6, 7, 999_999_000, time.UTC)},
		{"another zone", time.Date(2026, 3, 4, 5, 6, 7, 0, berlin), time.Date(2026, 3, 4, 4, 6, 7, 0, time.UTC)},
		{"before 1970", time.Date(1969, 12, 31, 23, 59, 59, 999_999_000, time.UTC), time.Date(1969, 12, 31, 23, 59, 59, 999_999_000, time.UTC)},
		{"far away", time.Date(9999, 12, 31, 23, 59, 59, 999_999_000, time.UTC), time.Date(9999, 12, 31, 23, 59, 59, 999_999_000, time.UTC)},
	}
	for _, tt := range trips {
		if got := store.FromMicros(store.Micros(tt.in)); got != tt.want {
			t.Errorf("%s: FromMicros(Micros(%v)) = %v, want %v", tt.name, tt.in, got, tt.want)
		}
	}
	storetest.Each(t, func(t *testing.T, url string) {
		s := open(t, url, store.Options{})
		for _, tt := range trips {
			e := event(tt.name)
			e.CreatedAt = tt.in
			if _, err := s.AcceptEvent(t.Context(), e); err != nil {
				t.Fatal(err)
			}
			if kept, err := s.Event(t.Context(), tt.name); err != nil || kept.CreatedAt != tt.want {
				t.Errorf("%s: CreatedAt of an event made at %v = %v, %v, want %v", tt.name, tt.in, kept.CreatedAt, err, tt.want)
			}
		}
	})
}

func TestClean(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ in, want string }{
		{"", ""},
		{"Ann", "Ann"},
		{"Zo\u00eb \U0001F600 \u4e2d", "Zo\u00eb \U0001F600 \u4e2d"},
		{"a\x00b\x00", "ab"},
		{"\xff", "\uFFFD"},
		{"a\xe2\x82", "a\uFFFD"},           // cut in the middle of a rune
		{"\xed\xa0\x80", "\uFFFD"},         // half of a surrogate pair
		{"line\r\n\ttab", "line\r\n\ttab"}, // not ours to tidy
	} {
		if got := store.Clean(tt.in); got != tt.want {
			t.Errorf("clean(%q) = %q, want %q", tt.in, got, tt.want)
		}
	}
}

// Ids sort by time in both engines, under a collation of letters too.
func TestIDsSortAlike(t *testing.T) {
	t.Parallel()
	storetest.Each(t, sortsIDs)
	t.Run("postgres with the collation of a language", func(t *testing.T) {
		t.Parallel()
		sortsIDs(t, database(t, `TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C.UTF-8' LOCALE_PROVIDER icu ICU_LOCALE 'en-US'`))
	})
}

func sortsIDs(t *testing.T, url string) {
	// One id for each symbol of the alphabet in the first place of the random part, made at one moment.
	const symbols = 32
	var made int
	s := open(t, url, store.Options{Random: randomFunc(func(p []byte) {
		for i := range p {
			p[i] = 0
		}
		// The random part is the low 50 bits, five a symbol.
		p[1] = byte((made * 11 % symbols) >> 3)
		p[2] = byte((made * 11 % symbols) << 5)
		made++
	})})
	for i := range symbols {
		if _, err := s.AcceptEvent(t.Context(), event(fmt.Sprintf("evt_%d", i))); err != nil {
			t.Fatal(err)
		}
	}
	events, err := s.Events(t.Context(), store.EventFilter{})
	if err != nil || len(events) != symbols {
		t.Fatalf("Events = %d, %v, want %d", len(events), err, symbols)
	}
	var ids []string
	for _, e := range events {
		ids = append(ids, e.ID)
	}
	want := slices.Clone(ids)
	slices.Sort(want)
	slices.Reverse(want)
	if diff := cmp.Diff(want, ids); diff != "" {
		t.Errorf("the database sorts ids differently from Go (-Go +database):\n%s", diff)
	}
	first := map[byte]bool{}
	for _, id := range ids {
		first[id[len(makegood.EventPrefix)+10]] = true
	}
	if len(first) != symbols {
		t.Errorf("the ids use %d symbols, want all %d", len(first), symbols)
	}
}

type randomFunc func([]byte)

func (f randomFunc) Read(p []byte) (int, error) { f(p); return len(p), nil }

// database makes a database with options of its own.
func database(t *testing.T, options string) string {
	t.Helper()
	server := os.Getenv(storetest.ServerVariable)
	// The name of a fresh database, which this one takes.
	u, err := url.Parse(storetest.Postgres(t))
	if err != nil {
		t.Fatal(err)
	}
	name := strings.TrimPrefix(u.Path, "/")
	conn, err := pgx.Connect(t.Context(), server)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	for _, statement := range []string{"DROP DATABASE " + name, "CREATE DATABASE " + name + " " + options} {
		if _, err := conn.Exec(t.Context(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
	return u.String()
}

// I1, below everything else: the database itself refuses a second licence in a slot, and a key that is taken.
func TestLicencesAreUnique(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, url string) {
		s := open(t, url, store.Options{})
		before, err := s.AmendOrder(t.Context(), makegood.Amendment{Key: key, Actor: "test", Change: learn(paid())})
		if err != nil {
			t.Fatal(err)
		}
		for _, tt := range []struct {
			name  string
			spoil func(l *makegood.License)
		}{
			{"the same slot", func(l *makegood.License) { l.ID, l.Key = "licother", "GD-OTHER" }},
			{"the same key", func(l *makegood.License) { l.ID, l.Unit = "licother", 77 }},
			{"the same id", func(l *makegood.License) { l.Key, l.Unit = "GD-OTHER", 77 }},
		} {
			_, err := s.AmendOrder(t.Context(), makegood.Amendment{Key: key, Actor: "test",
				Change: func(o *makegood.Order, _ func(string) bool) ([]makegood.Entry, error) {
					second := o.Licenses[0]
					tt.spoil(&second)
					o.Licenses = append(o.Licenses, second)
					o.Reason = "must not be kept"
					return nil, nil
				}})
			if err == nil {
				t.Errorf("AmendOrder with a second licence of %s = nil, want an error", tt.name)
			}
			after, err := s.Order(t.Context(), before.ID)
			if err != nil || len(after.Licenses) != 2 || after.Reason != before.Reason {
				t.Errorf("after %s: order = %d licences, %q, %v, want the 2 from before and nothing else", tt.name, len(after.Licenses), after.Reason, err)
			}
		}
	})
}

func TestKeyTakenSeesOtherOrders(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, url string) {
		s := open(t, url, store.Options{})
		o, err := s.AmendOrder(t.Context(), makegood.Amendment{Key: key, Actor: "test", Change: learn(paid())})
		if err != nil {
			t.Fatal(err)
		}
		other := key
		other.SessionID = "cs_other"
		var taken, free bool
		if _, err := s.AmendOrder(t.Context(), makegood.Amendment{Key: other, Actor: "test",
			Change: func(_ *makegood.Order, keyTaken func(string) bool) ([]makegood.Entry, error) {
				taken, free = keyTaken(o.Licenses[0].Key), !keyTaken("GD-AAAA-AAAA-AAAA")
				return nil, nil
			}}); err != nil || !taken || !free {
			t.Errorf("keyTaken = %v for an issued key, free = %v for another (%v), want true, true", taken, free, err)
		}
		for _, named := range []string{o.Licenses[1].Key, o.Licenses[1].ID} {
			if l, orderID, _, err := s.LicenseByKey(t.Context(), named); err != nil || orderID != o.ID || l != o.Licenses[1] {
				t.Errorf("LicenseByKey(%q) = %+v of %q, %v, want the second licence of %s", named, l, orderID, err, o.ID)
			}
		}
		if _, _, _, err := s.LicenseByKey(t.Context(), "GD-NONE"); !errors.Is(err, makegood.NotFound) {
			t.Errorf("LicenseByKey of nothing = %v, want not found", err)
		}
	})
}

// A letter carries what a person needs, and is written over rather than doubled.
func TestDeadLetters(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, url string) {
		now := start
		s := open(t, url, store.Options{Now: func() time.Time { now = now.Add(time.Second); return now }})
		const events = 5
		var last makegood.Event
		for i := range events {
			provider := fmt.Sprintf("evt_%d", i)
			if _, err := s.AcceptEvent(t.Context(), event(provider)); err != nil {
				t.Fatal(err)
			}
			e, err := s.Event(t.Context(), provider)
			if err != nil {
				t.Fatal(err)
			}
			last = e
			if err := s.KeepDeadLetter(t.Context(), makegood.DeadLetter{Job: makegood.InterpretJob(e.ID, "stripe"), Error: "bad \x00\xff", Attempts: 3,
				FirstFailedAt: start, LastFailedAt: start.Add(time.Hour)}, settle); err != nil {
				t.Fatal(err)
			}
		}
		letters, err := s.DeadLetters(t.Context(), store.DeadLetterFilter{Limit: 2})
		if err != nil || len(letters) != 2 || letters[0].Job.EventID != last.ID || letters[0].ID <= letters[1].ID {
			t.Fatalf("DeadLetters(2) = %+v, %v, want the two newest, newest first", letters, err)
		}
		want := makegood.DeadLetter{ID: letters[0].ID, Job: makegood.InterpretJob(last.ID, "stripe"), Source: "stripe", Type: last.Type, Error: "bad \uFFFD", State: makegood.DeadOpen,
			Attempts: 3, FirstFailedAt: store.FromMicros(store.Micros(start)), LastFailedAt: store.FromMicros(store.Micros(start.Add(time.Hour)))}
		if diff := cmp.Diff(want, letters[0]); diff != "" {
			t.Errorf("letter (-want +got):\n%s", diff)
		}
		var payload []byte
		if err := s.Read(t.Context(), func(tx store.Tx) error {
			return tx.QueryRow(t.Context(), `SELECT payload FROM dead_letters WHERE id = $1`, letters[0].ID).Scan(&payload)
		}); err != nil || !bytes.Equal(payload, last.Payload) {
			t.Errorf("payload of the letter = %q, %v, want %q", payload, err, last.Payload)
		}
		if err := s.KeepDeadLetter(t.Context(), makegood.DeadLetter{Job: makegood.InterpretJob("evtgone", "stripe"), Error: "no event"}, settle); err != nil {
			t.Errorf("KeepDeadLetter of a job without its event = %v, want nil: the letter is all there is", err)
		}
		if all, err := s.DeadLetters(t.Context(), store.DeadLetterFilter{}); err != nil || len(all) != events+1 {
			t.Errorf("DeadLetters = %d, %v, want %d", len(all), err, events+1)
		}
		if dead, err := s.Events(t.Context(), store.EventFilter{State: makegood.EventDead}); err != nil || len(dead) != events {
			t.Errorf("dead events = %d, %v, want %d", len(dead), err, events)
		}
	})
}

// Every filter of the listings narrows, alone and together.
func TestFilters(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, url string) {
		s := open(t, url, store.Options{})
		for i, source := range []string{"stripe", "stripe", "paypal"} {
			e := event(fmt.Sprintf("evt_%d", i))
			e.Source = source
			if _, err := s.AcceptEvent(t.Context(), e); err != nil {
				t.Fatal(err)
			}
		}
		first, _ := s.Event(t.Context(), "evt_0")
		if err := s.MarkUnhandled(t.Context(), first.ID, "not ours"); err != nil {
			t.Fatal(err)
		}
		second, _ := s.Event(t.Context(), "evt_1")
		o, err := s.AmendOrder(t.Context(), makegood.Amendment{Key: key, EventID: second.ID, Actor: "test", Change: learn(paid())})
		if err != nil {
			t.Fatal(err)
		}
		for _, tt := range []struct {
			filter store.EventFilter
			want   int
		}{
			{store.EventFilter{}, 3},
			{store.EventFilter{Limit: 2}, 2},
			{store.EventFilter{State: makegood.EventKept}, 1},
			{store.EventFilter{State: makegood.EventUnhandled}, 1},
			{store.EventFilter{State: makegood.EventHandled}, 1},
			{store.EventFilter{State: makegood.EventDead}, 0},
			{store.EventFilter{State: "x' OR 'x' = 'x"}, 0},
			{store.EventFilter{Source: "stripe"}, 2},
			{store.EventFilter{Source: "stripe", State: makegood.EventUnhandled}, 1},
			{store.EventFilter{OrderID: o.ID}, 1},
			{store.EventFilter{OrderID: o.ID, Source: "paypal"}, 0},
			{store.EventFilter{OrderID: o.ID, Source: "stripe", State: makegood.EventHandled}, 1},
		} {
			if got, err := s.Events(t.Context(), tt.filter); err != nil || len(got) != tt.want {
				t.Errorf("Events(%+v) = %d, %v, want %d", tt.filter, len(got), err, tt.want)
			}
		}
		for _, tt := range []struct {
			filter store.OrderFilter
			want   int
		}{
			{store.OrderFilter{}, 1},
			{store.OrderFilter{Payment: makegood.PaymentPaid}, 1},
			{store.OrderFilter{Payment: makegood.PaymentRefunded}, 0},
			{store.OrderFilter{Fulfillment: makegood.InProgress}, 1},
			{store.OrderFilter{Fulfillment: makegood.Stuck}, 0},
			{store.OrderFilter{Fulfillment: makegood.Fulfilled}, 0},
			{store.OrderFilter{Payment: makegood.PaymentPaid, Fulfillment: makegood.InProgress}, 1},
			{store.OrderFilter{Payment: makegood.PaymentFailed, Fulfillment: makegood.InProgress}, 0},
		} {
			if got, err := s.Orders(t.Context(), tt.filter); err != nil || len(got) != tt.want {
				t.Errorf("Orders(%+v) = %d, %v, want %d", tt.filter, len(got), err, tt.want)
			}
		}
	})
}
