package watch_test

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/store"
	"github.com/makegood/makegood/internal/store/storetest"
	"github.com/makegood/makegood/internal/watch"
)

// room is a desk on a real store, with a clock that is moved by hand.
type room struct {
	*watch.Desk
	t     *testing.T
	store *store.Store
	now   time.Time
}

func newRoom(t *testing.T, url string) *room {
	t.Helper()
	r := &room{t: t, now: time.Date(2026, 3, 1, 3, 0, 0, 0, time.UTC)}
	s, err := store.Open(t.Context(), url, store.Options{Now: r.clock})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	if err := s.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.store = s
	r.Desk = r.another()
	return r
}

func (r *room) clock() time.Time { return r.now }

// another is the desk of another node on the same database.
func (r *room) another() *watch.Desk {
	names := []string{"push", "sms"}
	return watch.NewDesk(watch.Options{Store: r.store, Escalation: makegood.DefaultEscalation(names, names[:1]), Channels: names, Now: r.clock,
		NewID: func(prefix string) string { return makegood.NewID(prefix, r.now, rand.Reader) }, Log: slog.New(slog.DiscardHandler)})
}

func (r *room) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

func (r *room) found(d *watch.Desk, check string, dependsOn ...string) {
	r.t.Helper()
	r.must(d.Found(r.t.Context(), makegood.Finding{Check: check, Priority: makegood.P0, Title: "It is down", Detail: "x", DependsOn: dependsOn}))
}

func (r *room) newest(key string) *makegood.Incident {
	r.t.Helper()
	i, err := r.store.Incident(r.t.Context(), mustIncident(r.t, r.store, key))
	r.must(err)
	return i
}

func (r *room) waiting(key string) (n int) {
	for _, x := range r.newest(key).Notices {
		if x.State == makegood.NoticeQueued {
			n++
		}
	}
	return n
}

// What a person ended, here or on another node, and is still red, comes back.
func TestEndedByHandAndStillRed(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, url string) {
		r := newRoom(t, url)
		other := r.another()
		r.found(r.Desk, "disk")
		for _, by := range []*watch.Desk{r.Desk, other} {
			r.must(by.Resolve(t.Context(), r.newest("disk").ID, "ann", "I think so"))
			for range 13 {
				r.now = r.now.Add(5 * time.Second)
				r.found(r.Desk, "disk")
			}
			if got := r.newest("disk").State; got != makegood.IncidentOpen {
				t.Errorf("a minute after it was ended by hand and is still red it is %s", got)
			}
		}
		r.must(other.Cleared(t.Context(), "disk", "ok"))
		r.must(r.Desk.Cleared(t.Context(), "disk", "ok"))
		r.must(r.Desk.Cleared(t.Context(), "disk", "ok"))
		if err := r.Resolve(t.Context(), r.newest("disk").ID, "ann", " "); makegood.CodeOf(err) != makegood.Invalid {
			t.Errorf("Resolve without a reason = %v", err)
		}
	})
}

// slow is a store in which a person acts while something that was found is written down.
type slow struct {
	*store.Store
	after func()
}

func (s *slow) ChangeIncident(ctx context.Context, key string, change func(*makegood.Incident) (*makegood.Incident, error)) error {
	err := s.Store.ChangeIncident(ctx, key, change)
	if s.after != nil {
		after := s.after
		s.after = nil
		after()
	}
	return err
}

func TestEndedWhileItIsWrittenDown(t *testing.T) {
	t.Parallel()
	r := newRoom(t, storetest.SQLite(t))
	kept := &slow{Store: r.store}
	r.Desk.Store = kept
	kept.after = func() { r.must(r.Resolve(t.Context(), r.newest("disk").ID, "ann", "I think so")) }
	r.found(r.Desk, "disk")
	r.now = r.now.Add(time.Second)
	r.found(r.Desk, "disk")
	if got := r.newest("disk"); got.State != makegood.IncidentOpen || got.Reopened != 1 {
		t.Errorf("it is %s, came back %d times, want open and once", got.State, got.Reopened)
	}
}

func TestFlappingBecomesANewRecord(t *testing.T) {
	t.Parallel()
	r := newRoom(t, storetest.SQLite(t))
	for range makegood.ReopenedMax + 2 {
		r.found(r.Desk, "disk")
		r.must(r.Cleared(t.Context(), "disk", "ok"))
		r.now = r.now.Add(time.Second)
	}
	list, err := r.store.Incidents(t.Context(), store.IncidentFilter{Key: "disk"})
	if err != nil || len(list) != 2 {
		t.Errorf("%d records, %v, want two", len(list), err)
	}
}

func TestMutedByADependency(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, url string) {
		r := newRoom(t, url)
		r.found(r.Desk, "network")
		r.found(r.Desk, "shop", "network", "shop")
		r.found(r.Desk, "alone", "alone") // what explains itself is told
		if r.waiting("shop") != 0 || r.waiting("alone") != 2 {
			t.Errorf("shop has %d notices, want 0; alone %d, want 2", r.waiting("shop"), r.waiting("alone"))
		}
		if why := r.newest("shop").Muted; why != "explained by network" {
			t.Errorf("muted: %q", why)
		}
		r.must(r.Cleared(t.Context(), "network", "ok"))
		r.now = r.now.Add(makegood.MuteRecheck)
		if _, err := r.Tick(t.Context()); err != nil || r.waiting("shop") != 2 {
			t.Errorf("when nothing explains it any more it has %d notices, %v, want 2", r.waiting("shop"), err)
		}
	})
}

func TestSilence(t *testing.T) {
	t.Parallel()
	r := newRoom(t, storetest.SQLite(t))
	r.found(r.Desk, "disk")
	r.found(r.Desk, "shop")
	s, err := r.Silence(t.Context(), "di*", "moving", "ann", time.Hour)
	r.must(err)
	if r.waiting("disk") != 0 || r.waiting("shop") != 2 {
		t.Errorf("silenced: disk has %d notices, want 0; shop %d, want 2", r.waiting("disk"), r.waiting("shop"))
	}
	if list, err := r.Silences(t.Context()); err != nil || len(list) != 1 || !r.IsMaintained("disk") || r.IsMaintained("shop") {
		t.Errorf("Silences = %v, %v", list, err)
	}
	r.must(r.EndSilence(t.Context(), s.ID, "ann"))
	r.now = r.now.Add(makegood.MuteRecheck)
	if _, err := r.Tick(t.Context()); err != nil || r.waiting("disk") != 2 {
		t.Errorf("after the silence: %d notices, %v", r.waiting("disk"), err)
	}
	r.Retell(makegood.DefaultEscalation([]string{"sms"}, nil), []string{"sms"}, []makegood.Silence{{Pattern: "*", From: r.now, Until: r.now.Add(time.Hour), Reason: "weekly"}})
	r.found(r.Desk, "late")
	if r.waiting("late") != 0 || !r.IsMaintained("late") {
		t.Error("a maintenance window mutes nothing")
	}
	for _, tt := range []struct {
		pattern, reason string
		hold            time.Duration
	}{{" ", "x", time.Hour}, {strings.Repeat("x", 201), "x", time.Hour}, {"x", "", time.Hour}, {"x", "x", 0}, {"x", "x", 31 * 24 * time.Hour}} {
		if _, err := r.Silence(t.Context(), tt.pattern, tt.reason, "ann", tt.hold); makegood.CodeOf(err) != makegood.Invalid {
			t.Errorf("Silence(%q, %q, %v) = %v, want invalid", tt.pattern, tt.reason, tt.hold, err)
		}
	}
}

func TestPeopleAnswer(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, url string) {
		r := newRoom(t, url)
		ctx := t.Context()
		r.found(r.Desk, "disk")
		r.found(r.Desk, "shop")
		claimed, err := r.store.ClaimNotices(ctx, "push", r.now, func(due []makegood.Notice, _ []makegood.SentMessage) (ids []string, _ string) {
			for _, n := range due {
				ids = append(ids, n.ID)
			}
			return ids, "msg1"
		})
		r.must(err)
		for _, n := range claimed {
			r.must(r.store.AmendIncidents(ctx, []string{n.IncidentID}, func(i *makegood.Incident) error {
				i.Accepted(makegood.IncidentTerms{Now: r.now, NewID: func(p string) string { return p + n.ID }}, n.ID, "remote1", false)
				return nil
			}))
		}
		r.must(r.Resolve(ctx, r.newest("shop").ID, "ann", "mended"))
		end := r.now.Add(time.Hour)
		ids, err := r.AcknowledgeMessage(ctx, "push", "msg1", "ack/push/msg1", end)
		if disk := r.newest("disk"); err != nil || !slices.Equal(ids, []string{disk.ID}) || disk.AckedBy != "link:push" {
			t.Errorf("AcknowledgeMessage = %v, %v, by %q", ids, err, disk.AckedBy)
		}
		for _, tt := range []struct {
			name, channel, link string
			want                makegood.Code
		}{{"used before", "push", "ack/push/msg1", makegood.Conflict}, {"of another channel", "sms", "ack/sms/msg1", makegood.NotFound}} {
			if _, err := r.AcknowledgeMessage(ctx, tt.channel, "msg1", tt.link, end); !errors.Is(err, tt.want) {
				t.Errorf("a link that is %s = %v, want %s", tt.name, err, tt.want)
			}
		}
		r.must(r.Acknowledge(ctx, r.newest("disk").ID, "ann", time.Hour))
		if err := r.Acknowledge(ctx, r.newest("disk").ID, "ann", -1); !errors.Is(err, makegood.Invalid) {
			t.Errorf("an answer for less than nothing = %v", err)
		}
		r.must(r.Note(ctx, r.newest("disk").ID, "ann", " I look at it "))
		if err := r.Note(ctx, r.newest("disk").ID, "ann", " "); !errors.Is(err, makegood.Invalid) {
			t.Errorf("an empty note = %v", err)
		}
		r.must(r.Arrived(ctx, "push", "remote1", true, ""))
		r.must(r.Arrived(ctx, "push", "remote1", false, "late")) // it had arrived
		if n := r.newest("disk").Notices; !slices.ContainsFunc(n, func(n makegood.Notice) bool { return n.State == makegood.NoticeDelivered }) {
			t.Errorf("nothing arrived: %+v", n)
		}
		if err := r.Arrived(ctx, "push", "remote2", true, ""); !errors.Is(err, makegood.NotFound) {
			t.Errorf("Arrived of nothing = %v", err)
		}
		r.must(r.Resolve(ctx, r.newest("disk").ID, "ann", "mended"))
		if _, err := r.AcknowledgeMessage(ctx, "push", "msg1", "ack/push/other", end); !errors.Is(err, makegood.Conflict) {
			t.Errorf("a link to what is over = %v", err)
		}
	})
}

// The loop of a desk climbs when it is due, and ends.
func TestDeskRuns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, err := store.Open(context.Background(), storetest.SQLite(t), store.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		if err := s.Migrate(context.Background()); err != nil {
			t.Fatal(err)
		}
		names := []string{"push"}
		began := time.Now()
		d := watch.NewDesk(watch.Options{Store: s, Escalation: makegood.DefaultEscalation(names, nil), Channels: names, Now: time.Now,
			NewID: func(prefix string) string { return makegood.NewID(prefix, time.Now(), rand.Reader) }, Log: slog.New(slog.DiscardHandler)})
		ctx, stop := context.WithTimeout(context.Background(), 6*time.Minute)
		defer stop()
		if err := d.Found(ctx, makegood.Finding{Check: "disk", Priority: makegood.P0}); err != nil {
			t.Fatal(err)
		}
		d.Run(ctx, make(chan struct{}), &watch.Timekeeper{Store: s, Clock: steady{began}, Log: slog.New(slog.DiscardHandler)})
		ids, next, err := s.DueIncidents(context.Background(), time.Now())
		if err != nil || len(ids) != 0 || next.Sub(began).Round(time.Second) != 10*time.Minute {
			t.Errorf("due %v, next after %v, %v, want in the tenth minute", ids, next.Sub(began), err)
		}
	})
}

// steady is a clock that nobody sets.
type steady struct{ began time.Time }

func (c steady) Wall() time.Time                  { return time.Now() }
func (c steady) Machine() (time.Duration, string) { return time.Since(c.began), "boot" }

func TestPreview(t *testing.T) {
	t.Parallel()
	e := makegood.DefaultEscalation([]string{"push", "sms"}, []string{"push"})
	begin := time.Date(2026, 3, 1, 3, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		p     makegood.Priority
		muted string
		want  string
	}{
		{makegood.P0, "", "push+0s sms+0s push+5m0s sms+5m0s push+10m0s sms+10m0s"},
		{makegood.P1, "", "push+0s push+10m0s sms+10m0s"},
		{makegood.P2, "", "push+0s"},
		{makegood.P3, "", ""},
		{makegood.P0, "maintenance", ""},
	} {
		var got []string
		for _, n := range watch.Preview(makegood.Finding{Check: "disk", Priority: tt.p}, e, []string{"push", "sms"}, tt.muted, begin, 12*time.Minute) {
			got = append(got, n.Channel+"+"+n.CreatedAt.Sub(begin).String())
		}
		if strings.Join(got, " ") != tt.want {
			t.Errorf("Preview(%s, %q) = %v, want %s", tt.p, tt.muted, got, tt.want)
		}
	}
}

const postmortem = `# 2026-03-01: The shop is down (shop)

Incident inc1, P0, check ` + "`monitor`" + `.

## What happened

[STATUS] == 200 (503)

## What it meant for customers

Who noticed it, and how?

How many waited, and for how long?

## Times (UTC)

| | |
|---|---|
| began | 03:00:00 |
| detected | 03:00:10, after 10s |
| first accepted notice | 03:00:12 over push, 2s after it was detected |
| acknowledged | 03:01:10, after 1m0s, by ann |
| resolved | 03:05:00, after 5m0s, by system:watch |
| came back | 0 times |

## Time line

- 03:00:10 a b (system:watch)

## Why it happened

What was the cause? What was the cause of that?

## What went well, what did not

Was it found by us or by a customer? Was the right person told? Did the runbook ` + "`monitor`" + ` help?

## What we change

- [ ] …
`

func TestPostmortem(t *testing.T) {
	t.Parallel()
	at := func(s int) time.Time {
		return time.Date(2026, 3, 1, 3, 0, 0, 0, time.UTC).Add(time.Duration(s) * time.Second)
	}
	i := &makegood.Incident{ID: "inc1", Check: "monitor", Subject: "shop", Priority: makegood.P0, Title: "The shop is down", Detail: "[STATUS] == 200 (503)",
		StartedAt: at(0), OpenedAt: at(10), AckedAt: at(70), AckedBy: "ann", ResolvedAt: at(300), ResolvedBy: "system:watch",
		Timeline: []makegood.Moment{{At: at(10), Actor: "system:watch", Text: "a\nb"}},
		Notices: []makegood.Notice{{Channel: "sms", Kind: makegood.NoticeOpened, SentAt: at(13)}, {Channel: "push", Kind: makegood.NoticeOpened, SentAt: at(12)},
			{Channel: "mail", Kind: makegood.NoticeResolved, SentAt: at(1)}}}
	if got := watch.Postmortem(i); got != postmortem {
		t.Errorf("Postmortem =\n%s\nwant\n%s", got, postmortem)
	}
	open := watch.Postmortem(&makegood.Incident{Means: "Nobody can pay.", OpenedAt: at(0), StartedAt: at(0)})
	for _, want := range []string{"| acknowledged | never |", "| resolved | not yet |", "| first accepted notice | none |", "Nobody can pay."} {
		if !strings.Contains(open, want) {
			t.Errorf("of an open incident %q is missing in\n%s", want, open)
		}
	}
}
