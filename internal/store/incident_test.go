package store_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/harness"
	"github.com/makegood/makegood/internal/store"
	"github.com/makegood/makegood/internal/store/storetest"
)

// records is a store with the record of incidents, and a clock that is moved by hand.
type records struct {
	*store.Store
	t   *testing.T
	mu  sync.Mutex
	now time.Time
	ids int
}

func openRecords(t *testing.T, url string, o store.Options) *records {
	t.Helper()
	r := &records{t: t, now: time.Date(2026, 3, 1, 3, 0, 0, 0, time.UTC)}
	o.Now = r.Now
	s, err := store.Open(t.Context(), url, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	if err := s.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.Store = s
	return r
}

func (r *records) Now() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.now
}

func (r *records) pass(d time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.now = r.now.Add(d)
}

func (r *records) terms() makegood.IncidentTerms {
	now := r.Now()
	channels := []string{"push", "sms"}
	return makegood.IncidentTerms{Escalation: makegood.DefaultEscalation(channels, channels[:1]), Channels: channels, Now: now, Actor: "test",
		NewID: func(prefix string) string {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.ids++
			return fmt.Sprintf("%s%020d", prefix, r.ids)
		}}
}

// found opens, or opens again, the incident of a check.
func (r *records) found(check string, p makegood.Priority) (id string, err error) {
	err = r.ChangeIncident(context.Background(), check, func(i *makegood.Incident) (*makegood.Incident, error) {
		f := makegood.Finding{Check: check, Priority: p, Title: "It is down\x00", Detail: "[STATUS] == 200 (503)", DependsOn: []string{"dns"}}
		if i == nil {
			i = makegood.OpenIncident(f, r.terms())
		} else {
			i.See(f, r.terms())
		}
		id = i.ID
		return i, nil
	})
	return id, err
}

func (r *records) mustFind(check string, p makegood.Priority) string {
	r.t.Helper()
	id, err := r.found(check, p)
	if err != nil {
		r.t.Fatal(err)
	}
	return id
}

func (r *records) amend(change func(*makegood.Incident), ids ...string) {
	r.t.Helper()
	if err := r.AmendIncidents(r.t.Context(), ids, func(i *makegood.Incident) error { change(i); return nil }); err != nil {
		r.t.Fatal(err)
	}
}

func (r *records) incident(id string) *makegood.Incident {
	r.t.Helper()
	i, err := r.Incident(context.Background(), id)
	if err != nil {
		r.t.Fatal(err)
	}
	return i
}

// claim takes everything that a channel has to tell, as one message.
func (r *records) claim(channel, message string) []makegood.Notice {
	r.t.Helper()
	claimed, err := r.ClaimNotices(context.Background(), channel, r.Now(), func(due []makegood.Notice, _ []makegood.SentMessage) (ids []string, _ string) {
		for _, n := range due {
			ids = append(ids, n.ID)
		}
		return ids, message
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return claimed
}

func TestIncidentIsKept(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, url string) {
		var mu sync.Mutex
		woken := map[string]int{}
		r := openRecords(t, url, store.Options{Wake: func(what string) { mu.Lock(); woken[what]++; mu.Unlock() }})
		id := r.mustFind("monitor", makegood.P0)
		if woken[store.NoticesWoken] != 1 || woken[store.IncidentsWoken] != 1 {
			t.Errorf("woken %v, want notices and incidents once", woken)
		}
		i := r.incident(id)
		if i.Title != "It is down" || i.State != makegood.IncidentOpen || len(i.Notices) != 2 || len(i.Timeline) != 1 || !slices.Equal(i.DependsOn, []string{"dns"}) {
			t.Errorf("kept %+v", i)
		}
		r.pass(time.Minute)
		r.amend(func(i *makegood.Incident) {
			if err := i.Acknowledge(r.terms(), 0); err != nil {
				t.Error(err)
			}
		}, id, id)
		r.pass(time.Minute)
		r.amend(func(i *makegood.Incident) { i.Resolve(r.terms(), "over") }, id)
		ended := r.incident(id)
		if got := []time.Duration{ended.TimeToDetect(), ended.TimeToAcknowledge(), ended.TimeToResolve()}; !slices.Equal(got, []time.Duration{0, time.Minute, 2 * time.Minute}) {
			t.Errorf("the times are %v", got)
		}
		r.pass(makegood.ReopenWithin - time.Second)
		if back := r.mustFind("monitor", makegood.P0); back != id {
			t.Errorf("it came back soon as %s, want %s", back, id)
		}
		r.amend(func(i *makegood.Incident) { i.Resolve(r.terms(), "over") }, id)
		r.pass(makegood.ReopenWithin + time.Second)
		second := r.mustFind("monitor", makegood.P0)
		if second == id {
			t.Error("it came back late and is the same")
		}
		// Of several that ended, the one that ended last comes back, whatever its id.
		r.amend(func(i *makegood.Incident) { i.Resolve(r.terms(), "over") }, second)
		for _, f := range []store.IncidentFilter{{Key: "monitor"}, {State: makegood.IncidentResolved}, {Check: "monitor", Since: r.Now().Add(-time.Hour)}} {
			if list, err := r.Incidents(t.Context(), f); err != nil || len(list) != 2 || list[0].ID != second {
				t.Errorf("Incidents(%+v) = %d, %v, want two, the newest first", f, len(list), err)
			}
		}
		if list, err := r.Incidents(t.Context(), store.IncidentFilter{Open: true}); err != nil || len(list) != 0 {
			t.Errorf("open incidents = %v, %v", list, err)
		}
		if _, err := r.Incident(t.Context(), "inc-none"); !errors.Is(err, makegood.NotFound) {
			t.Errorf("Incident of nobody = %v", err)
		}
		if err := r.AmendIncidents(t.Context(), []string{id, "inc-none"}, func(i *makegood.Incident) error { i.Note(r.terms(), "x"); return nil }); !errors.Is(err, makegood.NotFound) {
			t.Errorf("AmendIncidents of nobody = %v", err)
		}
		if got, want := len(r.incident(id).Timeline), len(ended.Timeline)+2; got != want {
			t.Errorf("%d lines, want %d: the refused change left one", got, want)
		}
		boom := errors.New("boom")
		if err := r.ChangeIncident(t.Context(), "x", func(*makegood.Incident) (*makegood.Incident, error) { return nil, boom }); !errors.Is(err, boom) {
			t.Errorf("ChangeIncident = %v, want the error of its change", err)
		}
		if err := r.ChangeIncident(t.Context(), "x", func(*makegood.Incident) (*makegood.Incident, error) { return &makegood.Incident{}, nil }); !errors.Is(err, makegood.Internal) {
			t.Errorf("an incident without an id = %v, want internal", err)
		}
	})
}

// The state, the time line and the outbox are one commit: when it breaks there is none of it, or all of it.
func TestChangeIncidentAllOrNothing(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, url string) {
		for _, mode := range []harness.Mode{harness.NotKept, harness.KeptAndLost} {
			t.Run(string(mode), func(t *testing.T) {
				url := url
				if mode == harness.KeptAndLost && url[:6] != "sqlite" {
					url = storetest.Postgres(t)
				} else if mode == harness.KeptAndLost {
					url = storetest.SQLite(t)
				}
				whole := openRecords(t, url, store.Options{})
				id := whole.mustFind("monitor", makegood.P1)
				before := whole.incident(id)
				whole.Close()
				faults := harness.Break(mode, 1)
				broken := openBroken(t, url, faults, whole)
				err := broken.AmendIncidents(t.Context(), []string{id}, func(i *makegood.Incident) error {
					i.See(makegood.Finding{Check: "monitor", Priority: makegood.P0, Detail: "worse"}, broken.terms())
					return nil
				})
				if err == nil || !faults.Struck() {
					t.Fatalf("the broken commit = %v, struck %v", err, faults.Struck())
				}
				broken.Close()
				again := openRecords(t, url, store.Options{})
				after := again.incident(id)
				changed := after.Priority == makegood.P0
				if (len(after.Timeline) > len(before.Timeline)) != changed || (len(after.Notices) > len(before.Notices)) != changed || changed != (mode == harness.KeptAndLost) {
					t.Errorf("%s: priority %s, %d lines, %d notices", mode, after.Priority, len(after.Timeline), len(after.Notices))
				}
			})
		}
	})
}

func openBroken(t *testing.T, url string, faults *harness.Faults, like *records) *records {
	t.Helper()
	r := &records{t: t, now: like.Now(), ids: 1000}
	o := faults.Options()
	o.Now = r.Now
	s, err := store.Open(t.Context(), url, o)
	if err != nil {
		t.Fatal(err)
	}
	r.Store = s
	return r
}

// Eight find the same thing at once, over and over, while two people answer and end it: at most one is open, nobody waits
// for somebody who waits for him, and nothing is lost.
func TestOneOpenIncidentOfAKey(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, url string) {
		r := openRecords(t, url, store.Options{})
		var all sync.WaitGroup
		var mu sync.Mutex
		seen := map[string]bool{}
		for n := range 8 {
			all.Go(func() {
				for k := range 15 {
					id, err := r.found("monitor", makegood.P0)
					if err != nil {
						t.Error(err)
						return
					}
					mu.Lock()
					seen[id] = true
					mu.Unlock()
					switch (n + k) % 5 {
					case 0:
						err = r.AmendIncidents(context.Background(), []string{id}, func(i *makegood.Incident) error { i.Resolve(r.terms(), "over"); return nil })
					case 1:
						for _, n := range r.claim("push", "msg"+strconv.Itoa(n*100+k)) {
							err = errors.Join(err, r.AmendIncidents(context.Background(), []string{n.IncidentID}, func(i *makegood.Incident) error {
								i.Accepted(r.terms(), n.ID, "", false)
								return nil
							}))
						}
					}
					if err != nil {
						t.Error(err)
					}
				}
			})
		}
		all.Wait()
		if len(seen) != 1 {
			t.Errorf("%d incidents were made, want one that comes back", len(seen))
		}
		keys, err := r.OpenIncidents(t.Context())
		if err != nil || len(keys) > 1 {
			t.Errorf("open = %v, %v, want one at most", keys, err)
		}
		for id := range seen {
			for _, n := range r.incident(id).Notices {
				if n.State == makegood.NoticeSending {
					t.Errorf("%+v was told and is not written down", n)
				}
				if n.SentAt.IsZero() != (n.MessageID == "") {
					t.Errorf("the message of a notice is lost: %+v", n)
				}
			}
		}
	})
}

func TestClaimNotices(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, url string) {
		r := openRecords(t, url, store.Options{})
		const incidents = 600
		var ids []string
		for n := range incidents {
			ids = append(ids, r.mustFind("check"+strconv.Itoa(n), makegood.P0))
		}
		var all sync.WaitGroup
		var mu sync.Mutex
		got := map[string]int{}
		for n := range 4 {
			all.Go(func() {
				for k := range 12 {
					claimed, err := r.ClaimNotices(context.Background(), "push", r.Now(), func(due []makegood.Notice, _ []makegood.SentMessage) (ids []string, _ string) {
						for _, n := range due {
							if len(ids) < 40 {
								ids = append(ids, n.ID)
							}
						}
						return ids, fmt.Sprintf("msg%d-%d", n, k)
					})
					if err != nil {
						t.Error(err)
					}
					mu.Lock()
					for _, n := range claimed {
						got[n.ID]++
					}
					mu.Unlock()
				}
			})
		}
		all.Wait()
		for id, n := range got {
			if n != 1 {
				t.Errorf("%s was given to %d tellers", id, n)
			}
		}
		for range 20 { // what was locked while others claimed
			for _, n := range r.claim("push", "rest") {
				got[n.ID]++
			}
		}
		if len(got) != incidents {
			t.Errorf("%d notices were claimed, want %d", len(got), incidents)
		}
		if n := r.claim("push", "msg"); len(n) != 0 {
			t.Errorf("%d were claimed again before the lease ended", len(n))
		}
		r.pass(makegood.NoticeLease)
		again := r.claim("push", "again")
		if len(again) != incidents || again[0].MessageID != "again" || again[0].LeaseUntil != r.Now().Add(makegood.NoticeLease) {
			t.Errorf("%d were claimed after the lease, first %+v", len(again), again[0])
		}
		r.amend(func(i *makegood.Incident) {
			for _, n := range i.Notices {
				if n.Channel == "push" {
					i.Accepted(r.terms(), n.ID, "remote", false)
				}
			}
		}, ids...)
		if n := len(r.incident(ids[0]).Timeline); n != 2 {
			t.Errorf("%d lines, want 2", n)
		}
	})
}

// Who changes an incident while its notices are being claimed sees that they are: else a notice would be dropped that is on
// its way, and nobody would hear of the end.
func TestClaimIsSeenByAChange(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, url string) {
		r := openRecords(t, url, store.Options{})
		id := r.mustFind("monitor", makegood.P0)
		changed := make(chan makegood.NoticeState, 1)
		_, err := r.ClaimNotices(t.Context(), "push", r.Now(), func(due []makegood.Notice, _ []makegood.SentMessage) ([]string, string) {
			go func() {
				var state makegood.NoticeState
				err := r.AmendIncidents(context.Background(), []string{id}, func(i *makegood.Incident) error {
					for _, n := range i.Notices {
						if n.ID == due[0].ID {
							state = n.State
						}
					}
					return nil
				})
				if err != nil {
					t.Error(err)
				}
				changed <- state
			}()
			select {
			case state := <-changed:
				changed <- state
			case <-time.After(300 * time.Millisecond): // it waits for us, as it should
			}
			return []string{due[0].ID}, "msg"
		})
		if err != nil {
			t.Fatal(err)
		}
		if state := <-changed; state != makegood.NoticeSending {
			t.Errorf("a change during the claim sees the notice %s, want sending", state)
		}
	})
}

// TestOldestUnsentOfWhatWasPutOff: what a channel gathers for five minutes does not look forgotten in the moment in which it
// comes due. What is not told then does.
func TestOldestUnsentOfWhatWasPutOff(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, url string) {
		r := openRecords(t, url, store.Options{})
		id := r.mustFind("a", makegood.P1)
		due := r.Now().Add(5 * time.Minute)
		for _, channel := range []string{"push", "sms"} {
			if _, err := r.ClaimNotices(t.Context(), channel, r.Now(), func(waiting []makegood.Notice, _ []makegood.SentMessage) ([]string, string) {
				for k := range waiting {
					waiting[k].NotBefore = due
				}
				return nil, ""
			}); err != nil {
				t.Fatal(err)
			}
		}
		r.pass(5*time.Minute + time.Second)
		if oldest, err := r.OldestUnsent(t.Context(), r.Now()); err != nil || !oldest.Equal(due) {
			t.Errorf("OldestUnsent = %v, %v, want %v, when it came due", oldest, err, due)
		}
		r.amend(func(i *makegood.Incident) {
			for k := range i.Notices {
				i.NotTold(r.terms(), i.Notices[k].ID, "no answer", time.Second, false)
			}
		}, id)
		if oldest, err := r.OldestUnsent(t.Context(), r.Now()); err != nil || oldest.IsZero() || oldest.After(due) {
			t.Errorf("OldestUnsent after a failed attempt = %v, %v, want something", oldest, err)
		}
	})
}

func TestOutbox(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, url string) {
		r := openRecords(t, url, store.Options{})
		a, b := r.mustFind("a", makegood.P0), r.mustFind("b", makegood.P1)
		began := r.Now()
		r.pass(time.Minute)
		if oldest, err := r.OldestUnsent(t.Context(), r.Now()); err != nil || !oldest.Equal(began) {
			t.Errorf("OldestUnsent = %v, %v, want %v", oldest, err, began)
		}
		// What is put off is not due.
		until := r.Now().Add(5 * time.Minute)
		if _, err := r.ClaimNotices(t.Context(), "sms", r.Now(), func(due []makegood.Notice, _ []makegood.SentMessage) ([]string, string) {
			for k := range due {
				due[k].NotBefore = until
			}
			return nil, ""
		}); err != nil {
			t.Fatal(err)
		}
		waiting, err := r.WaitingNotices(t.Context())
		if err != nil || len(waiting) != 2 || !waiting["sms"].Equal(until) || !waiting["push"].Equal(began) {
			t.Errorf("WaitingNotices = %v, %v", waiting, err)
		}
		claimed := r.claim("push", "msg1")
		if len(claimed) != 2 {
			t.Fatalf("%d claimed, want 2", len(claimed))
		}
		if oldest, err := r.OldestUnsent(t.Context(), r.Now()); err != nil || oldest.IsZero() {
			t.Errorf("OldestUnsent while it is being told = %v, %v", oldest, err)
		}
		accept := func(i *makegood.Incident) {
			for _, n := range i.Notices {
				if n.MessageID == "msg1" {
					i.Accepted(r.terms(), n.ID, "remote1", false)
				}
			}
		}
		r.amend(accept, a, b)
		ids, err := r.IncidentsOfMessage(t.Context(), "push", "msg1")
		if err != nil || !slices.Equal(ids, []string{a, b}) {
			t.Errorf("IncidentsOfMessage = %v, %v", ids, err)
		}
		if ids, err := r.IncidentsOfMessage(t.Context(), "sms", "msg1"); err != nil || len(ids) != 0 {
			t.Errorf("IncidentsOfMessage of another channel = %v, %v", ids, err)
		}
		if list, err := r.NoticesByRemoteID(t.Context(), "push", "remote1"); err != nil || len(list) != 2 {
			t.Errorf("NoticesByRemoteID = %v, %v", list, err)
		}
		// What went to several people has an id for each of them.
		several := func(i *makegood.Incident) { i.Accepted(r.terms(), i.Notices[0].ID, "SM1,SM2", false) }
		r.amend(several, a)
		for id, want := range map[string]int{"SM1": 1, "SM2": 1, "SM1,SM2": 1, "SM": 0, "M1": 0, "%": 0, "remote1": 1} {
			if list, err := r.NoticesByRemoteID(t.Context(), "push", id); err != nil || len(list) != want {
				t.Errorf("NoticesByRemoteID(%q) = %v, %v, want %d", id, list, err, want)
			}
		}
		r.amend(accept, a)
		earlier := func() int {
			t.Helper()
			list, err := r.EarlierMessages(t.Context(), "push", []string{a, b})
			if err != nil || len(list) != 1 || list[0].MessageID != "msg1" || list[0].RemoteID != "remote1" {
				t.Fatalf("EarlierMessages = %+v, %v", list, err)
			}
			return list[0].Open
		}
		got := []int{earlier()}
		r.amend(func(i *makegood.Incident) { i.Resolve(r.terms(), "over") }, a)
		got = append(got, earlier())
		r.amend(func(i *makegood.Incident) { i.Resolve(r.terms(), "over") }, b)
		got = append(got, earlier())
		if !slices.Equal(got, []int{2, 1, 0}) {
			t.Errorf("open incidents of the message: %v, want 2 1 0", got)
		}
		// What was told lately, what may have been, and how grave.
		var sent []makegood.SentMessage
		look := func(pick bool, message string) (claimed []makegood.Notice) {
			t.Helper()
			claimed, err := r.ClaimNotices(t.Context(), "push", r.Now(), func(due []makegood.Notice, s []makegood.SentMessage) (ids []string, _ string) {
				sent = s
				for _, n := range due {
					if pick {
						ids = append(ids, n.ID)
					}
				}
				return ids, message
			})
			if err != nil {
				t.Fatal(err)
			}
			return claimed
		}
		if over := look(true, "msg2"); len(over) != 2 {
			t.Fatalf("%d ends, want 2", len(over))
		}
		r.amend(func(i *makegood.Incident) {
			for _, n := range i.Notices {
				if n.MessageID == "msg2" {
					i.NotTold(r.terms(), n.ID, "timeout", time.Second, true)
				}
			}
		}, a, b)
		r.pass(2 * time.Second)
		look(false, "")
		var lines []string
		for _, m := range sent {
			lines = append(lines, fmt.Sprintf("%s %s alarm=%v %s accepted=%v doubts=%d", m.ID, m.Group, m.IsAlarm, m.Priority, m.Accepted, m.Doubts))
		}
		slices.Sort(lines)
		want := []string{"msg1 a alarm=true P0 accepted=true doubts=0", "msg1 b alarm=true P1 accepted=true doubts=0",
			"msg2 a alarm=false P0 accepted=false doubts=1", "msg2 b alarm=false P1 accepted=false doubts=1"}
		if !slices.Equal(lines, want) {
			t.Errorf("sent:\n%q\nwant\n%q", lines, want)
		}
		if list, err := r.IncidentsByID(t.Context(), []string{b, a, "none"}); err != nil || len(list) != 2 || list[0].ID != a {
			t.Errorf("IncidentsByID = %v, %v", list, err)
		}
	})
}

func TestTimers(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, url string) {
		r := openRecords(t, url, store.Options{})
		late := r.mustFind("late", makegood.P1)
		r.pass(time.Minute)
		early := r.mustFind("early", makegood.P0) // again after five minutes
		began := r.Now()
		r.pass(4 * time.Minute)
		if ids, next, err := r.DueIncidents(t.Context(), r.Now()); err != nil || len(ids) != 0 || !next.Equal(began.Add(5*time.Minute)) {
			t.Errorf("DueIncidents = %v, %v, %v, want none and in a minute", ids, next, err)
		}
		r.pass(time.Hour)
		if ids, next, err := r.DueIncidents(t.Context(), r.Now()); err != nil || !slices.Equal(ids, []string{early, late}) || !next.IsZero() {
			t.Errorf("DueIncidents = %v, %v, %v, want the longest waiting first", ids, next, err)
		}
		if got := r.claim("push", "msg"); len(got) != 2 {
			t.Fatalf("%d claimed", len(got))
		}
		if err := r.ShiftTimers(t.Context(), 3*time.Hour, "clock", "moved"); err != nil {
			t.Fatal(err)
		}
		if value, err := r.HouseValue(t.Context(), "clock", func() string { return "first" }); err != nil || value != "moved" {
			t.Errorf("HouseValue = %q, %v, want what was written with the timers", value, err)
		}
		if ids, next, err := r.DueIncidents(t.Context(), r.Now()); err != nil || len(ids) != 0 || !next.Equal(began.Add(3*time.Hour+5*time.Minute)) {
			t.Errorf("after the clock was set, DueIncidents = %v, %v, %v", ids, next, err)
		}
		for _, n := range r.incident(early).Notices {
			if !n.CreatedAt.Equal(began.Add(3 * time.Hour)) {
				t.Errorf("%s was made at %v, want it moved too", n.ID, n.CreatedAt)
			}
		}
		if waiting, err := r.WaitingNotices(t.Context()); err != nil || !waiting["push"].Equal(r.Now().Add(3*time.Hour+makegood.NoticeLease)) {
			t.Errorf("WaitingNotices = %v, %v", waiting, err)
		}
	})
}

// A time line has an end, after which only what a person does and the end itself are added.
func TestTimelineHasAnEnd(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, url string) {
		r := openRecords(t, url, store.Options{})
		id := r.mustFind("monitor", makegood.P2)
		r.amend(func(i *makegood.Incident) {
			for range makegood.TimelineMax + 50 {
				i.Timeline = append(i.Timeline, makegood.Moment{At: r.Now(), Kind: makegood.MomentMuted, Actor: "system:watch", Text: "muted"})
			}
			i.Note(r.terms(), "a person")
			i.Resolve(r.terms(), "over")
		}, id)
		lines := r.incident(id).Timeline
		if n := len(lines); n != makegood.TimelineMax+2 || lines[n-1].Kind != makegood.MomentResolved || lines[n-2].Text != "a person" {
			t.Errorf("%d lines, the last %+v", n, lines[n-1])
		}
	})
}

func TestWatchTables(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, url string) {
		ctx := t.Context()
		r := openRecords(t, url, store.Options{})
		check := func(what string, err error, want error) {
			t.Helper()
			if !errors.Is(err, want) {
				t.Errorf("%s = %v, want %v", what, err, want)
			}
		}
		// Silences.
		s := makegood.Silence{ID: "sil1", Pattern: "monitor/*", From: r.Now(), Until: r.Now().Add(time.Hour), Reason: "moving", By: "ann"}
		check("AddSilence", r.AddSilence(ctx, s), nil)
		if list, err := r.Silences(ctx, r.Now()); err != nil || len(list) != 1 || list[0] != s {
			t.Errorf("Silences = %+v, %v", list, err)
		}
		check("EndSilence", r.EndSilence(ctx, "sil1", "bob"), nil)
		check("EndSilence again", r.EndSilence(ctx, "sil1", "bob"), nil)
		if list, err := r.Silences(ctx, r.Now()); err != nil || len(list) != 0 {
			t.Errorf("Silences after the end = %+v, %v", list, err)
		}
		// Heartbeats.
		_, err := r.LastBeat(ctx, "backup")
		check("LastBeat of nobody", err, makegood.NotFound)
		check("ExpectBeat", r.ExpectBeat(ctx, "backup"), nil)
		expected := r.Now()
		r.pass(time.Minute)
		check("ExpectBeat again", r.ExpectBeat(ctx, "backup"), nil)
		for _, kind := range []makegood.BeatKind{makegood.BeatStart, makegood.BeatFail, makegood.BeatStart, makegood.BeatSuccess} {
			r.pass(time.Second)
			check("KeepBeat", r.KeepBeat(ctx, "backup", kind, "disk full"), nil)
		}
		b, err := r.LastBeat(ctx, "backup")
		if err != nil || !b.FirstSeenAt.Equal(expected) || b.Took != time.Second || b.Note != "" || !b.SucceededAt.Equal(r.Now()) {
			t.Errorf("LastBeat = %+v, %v", b, err)
		}
		var all sync.WaitGroup
		for _, kind := range []makegood.BeatKind{makegood.BeatStart, makegood.BeatFail, makegood.BeatSuccess} {
			for range 5 {
				all.Go(func() { check("KeepBeat at once", r.KeepBeat(context.Background(), "other", kind, "x"), nil) })
			}
		}
		all.Wait()
		if b, err := r.LastBeat(ctx, "other"); err != nil || b.StartedAt.IsZero() || b.FailedAt.IsZero() || b.SucceededAt.IsZero() {
			t.Errorf("of reports that came at once one is lost: %+v, %v", b, err)
		}
		// Peers.
		_, _, err = r.PeerBeat(ctx, "watcher")
		check("PeerBeat of nobody", err, makegood.NotFound)
		check("KeepPeerBeat", r.KeepPeerBeat(ctx, "watcher", makegood.PeerBeat{From: "w", Sequence: 5}), nil)
		check("the same again", r.KeepPeerBeat(ctx, "watcher", makegood.PeerBeat{From: "w", Sequence: 5}), makegood.Conflict)
		check("an older one", r.KeepPeerBeat(ctx, "watcher", makegood.PeerBeat{From: "w", Sequence: 4}), makegood.Conflict)
		check("a newer one", r.KeepPeerBeat(ctx, "watcher", makegood.PeerBeat{From: "v", Sequence: 6}), nil)
		if b, heard, err := r.PeerBeat(ctx, "watcher"); err != nil || b.From != "v" || !heard.Equal(r.Now()) {
			t.Errorf("PeerBeat = %+v, %v, %v", b, heard, err)
		}
		// Tests of channels.
		check("KeepChannelTest", r.KeepChannelTest(ctx, "push", "401"), nil)
		check("KeepChannelTest", r.KeepChannelTest(ctx, "push", ""), nil)
		if tests, err := r.ChannelTests(ctx); err != nil || len(tests) != 1 || tests["push"] != (makegood.ChannelTest{At: r.Now()}) {
			t.Errorf("ChannelTests = %+v, %v", tests, err)
		}
		// Links of one use.
		end := r.Now().Add(24 * time.Hour)
		check("UseLink", r.UseLink(ctx, "ack/push/1", end), nil)
		check("UseLink again", r.UseLink(ctx, "ack/push/1", end), makegood.Conflict)
		r.pass(26 * time.Hour)
		check("UseLink after its end, by a clock that may be wrong", r.UseLink(ctx, "ack/push/1", end), makegood.Conflict)
		r.pass(8 * 24 * time.Hour)
		check("UseLink, forgotten", r.UseLink(ctx, "ack/push/1", r.Now()), nil)
		// What the database keeps for itself.
		values := make([]string, 8)
		for n := range values {
			all.Go(func() {
				var err error
				if values[n], err = r.HouseValue(context.Background(), "key", func() string { return "first" + strconv.Itoa(n) }); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if slices.Sort(values); values[0] != values[7] || values[0] == "" {
			t.Errorf("HouseValue of eight at once = %v, want one", values)
		}
		check("KeepHouseValue", r.KeepHouseValue(ctx, "key", "second"), nil)
		if v, err := r.HouseValue(ctx, "key", func() string { return "third" }); err != nil || v != "second" {
			t.Errorf("HouseValue = %q, %v", v, err)
		}
		check("BeRole", r.BeRole(ctx, "server"), nil)
		check("BeRole again", r.BeRole(ctx, "server"), nil)
		check("BeRole of the other", r.BeRole(ctx, "watcher"), makegood.Conflict)
	})
}
