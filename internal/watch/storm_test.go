package watch_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/notify"
	"github.com/makegood/makegood/internal/store"
	"github.com/makegood/makegood/internal/store/storetest"
	"github.com/makegood/makegood/internal/telemetry"
	"github.com/makegood/makegood/internal/watch"
)

// ear is a channel that remembers when it heard what.
type ear struct {
	at   []time.Time
	kind []makegood.NoticeKind
}

// A thousand monitors fail within a quarter of a minute and are mended later: one page for each channel, then at most one
// update in five minutes, and everybody knows in the end that all is over (goal A5 of the reference).
func TestStorm(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 1, 3, 0, 0, 0, time.UTC)
	clock := func() time.Time { return now }
	s, err := store.Open(t.Context(), storetest.SQLite(t), store.Options{Now: clock})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	names := []string{"mail", "push", "sms"}
	e := makegood.DefaultEscalation(names, nil)
	newID := func(prefix string) string { return makegood.NewID(prefix, now, rand.Reader) }
	desk := watch.NewDesk(watch.Options{Store: s, Escalation: e, Channels: names, Now: clock, NewID: newID, Log: slog.New(slog.DiscardHandler)})
	ears := map[string]*ear{}
	var channels []notify.Named
	for _, name := range names {
		ears[name] = &ear{}
		channels = append(channels, notify.Named{Name: name, Kind: name, Channel: hearing{ears[name], clock}})
	}
	teller := notify.NewTeller(notify.Options{Outbox: s, Channels: channels, Escalation: e, Now: clock, NewID: newID,
		Log: slog.New(slog.DiscardHandler), Metrics: telemetry.NewMetrics()})
	began := now
	const monitors = 1000
	key := func(n int) string { return fmt.Sprintf("m%04d", n) }
	mended := 7 * time.Minute
	for second := range 18 * 60 {
		since := time.Duration(second) * time.Second
		now = began.Add(since)
		for n := range monitors {
			switch {
			case since == time.Duration(n%15)*time.Second:
				err = desk.Found(t.Context(), makegood.Finding{Check: "monitor", Subject: key(n), Priority: makegood.P0, Title: "It is down", Since: now})
			case since == mended+time.Duration(n%60)*time.Second:
				err = desk.Cleared(t.Context(), "monitor/"+key(n), "[STATUS] == 200 (200)")
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if second%10 == 0 {
			if _, err := desk.Tick(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		waiting, err := s.WaitingNotices(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			if at, ok := waiting[name]; !ok || at.After(now) {
				continue
			}
			for told := true; told; {
				if told, err = teller.Once(t.Context(), name); err != nil {
					t.Fatal(err)
				}
			}
		}
		if oldest, err := s.OldestUnsent(t.Context(), now); err != nil || !oldest.IsZero() && now.Sub(oldest) > time.Minute {
			t.Fatalf("after %v the oldest notice that is due waits since %v, %v: what is held back is not stuck", since, oldest, err)
		}
	}
	for name, ear := range ears {
		t.Logf("%s heard %d messages", name, len(ear.at))
		if len(ear.at) == 0 || ear.at[0].Sub(began) > 3*time.Second {
			t.Fatalf("%s heard %d messages, the first at %v", name, len(ear.at), ear.at)
		}
		for k := range ear.at {
			inFive, inFifteen := 0, 0
			for _, at := range ear.at[k:] {
				if at.Sub(ear.at[k]) < 5*time.Minute {
					inFive++
				}
				if at.Sub(ear.at[k]) < 15*time.Minute {
					inFifteen++
				}
			}
			// Good news may follow a page at once.
			if most := 2; inFive > most || ear.at[k].Sub(began) < mended-5*time.Minute && inFive > 1 {
				t.Errorf("%s heard %d messages within five minutes of %v", name, inFive, ear.at[k].Sub(began))
			}
			if name == "sms" && inFifteen > 5 {
				t.Errorf("%d SMS within a quarter of an hour", inFifteen)
			}
		}
	}
	incidents, err := s.Incidents(t.Context(), store.IncidentFilter{})
	if err != nil || len(incidents) != monitors {
		t.Fatalf("%d incidents, %v, want %d", len(incidents), err, monitors)
	}
	for _, header := range incidents {
		i, err := s.Incident(t.Context(), header.ID)
		if err != nil {
			t.Fatal(err)
		}
		alarm, over := map[string]bool{}, map[string]bool{}
		for _, n := range i.Notices {
			switch {
			case n.State == makegood.NoticeQueued || n.State == makegood.NoticeSending:
				t.Errorf("%s of %s waits for ever: %+v", n.ID, i.ID, n)
			case !n.SentAt.IsZero() && n.IsAlarm():
				alarm[n.Channel] = true
			case !n.SentAt.IsZero():
				over[n.Channel] = true
			}
		}
		for _, name := range names {
			if !alarm[name] || !over[name] {
				t.Errorf("%s: %s heard of the beginning: %v, of the end: %v, want both", i.ID, name, alarm[name], over[name])
			}
		}
		if t.Failed() {
			return
		}
	}
}

type hearing struct {
	*ear
	now func() time.Time
}

func (h hearing) Test(context.Context) error { return nil }

func (h hearing) Send(_ context.Context, m notify.Message) (notify.Receipt, error) {
	h.at, h.kind = append(h.at, h.now()), append(h.kind, m.Kind)
	return notify.Receipt{RemoteID: m.ID}, nil
}
