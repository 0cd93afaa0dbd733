package store_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/store"
	"github.com/makegood/makegood/internal/store/storetest"
)

// row inserts an order as it stands, with times in microseconds before start; 0 is never.
func row(t *testing.T, s *store.Store, id, entitlement, fulfillment, reason string, paid, fulfilled time.Duration) {
	t.Helper()
	at := func(d time.Duration) int64 {
		if d == 0 {
			return 0
		}
		return start.Add(-d).UnixMicro()
	}
	execute(t, s, fmt.Sprintf(`
		INSERT INTO orders (id, source, account, live, session_id, payment_id, email, customer_name, total_minor, currency,
			payment, entitlement, fulfillment, reason, created_at, paid_at, fulfilled_at)
		VALUES ('%s', 'stripe', '', TRUE, 'cs_%s', '', '', '', 2900, 'usd', 'paid', '%s', '%s', '%s', 1, %d, %d)`,
		id, id, entitlement, fulfillment, reason, at(paid), at(fulfilled)))
}

func TestOrdersOwed(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, url string) {
		s := open(t, url, store.Options{})
		row(t, s, "ord_young", "active", "in_progress", "", time.Minute, 0)
		row(t, s, "ord_late", "active", "in_progress", "", 10*time.Minute, 0)
		row(t, s, "ord_stuck", "active", "stuck", makegood.ReasonUnknownProduct, time.Hour, 0)
		row(t, s, "ord_lost", "active", "unfulfilled", "", 6*time.Minute, 0) // what no rule allows is found all the same
		row(t, s, "ord_good", "active", "fulfilled", "", time.Hour, time.Hour)
		row(t, s, "ord_back", "revoked", "stuck", makegood.ReasonStepFailed, time.Hour, 0)
		row(t, s, "ord_unpaid", "none", "unfulfilled", "", 0, 0)
		row(t, s, "ord_again", "active", "in_progress", "", 48*time.Hour, 47*time.Hour)
		row(t, s, "ord_again_late", "active", "in_progress", "", 48*time.Hour, 47*time.Hour)
		for id, owed := range map[string]time.Duration{"ord_again": time.Minute, "ord_again_late": 7 * time.Minute} {
			execute(t, s, fmt.Sprintf(`
				INSERT INTO steps (order_id, name, state, owed_at, intent_at, uncertain_since, done_at, receipt, last_error, attempts)
				VALUES ('%s', 'email', 'owed', %d, 0, 0, 0, '', '', 0)`, id, start.Add(-owed).UnixMicro()))
		}

		owed, err := s.OrdersOwed(t.Context(), start.Add(-5*time.Minute))
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, o := range owed {
			got = append(got, fmt.Sprint(o.ID, " ", o.Fulfillment, " ", o.Reason, " ", start.Sub(o.PaidAt)))
		}
		want := []string{"ord_stuck stuck unknown_product 1h0m0s", "ord_late in_progress  10m0s", "ord_again_late in_progress  7m0s", "ord_lost unfulfilled  6m0s"}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("orders owed for five minutes (-want +got):\n%s", diff)
		}
		if len(owed) > 0 && (owed[0].Key != makegood.OrderKey{Source: "stripe", Live: true, SessionID: "cs_ord_stuck"} || owed[0].Entitlement != makegood.EntitledFully) {
			t.Errorf("the oldest = %+v, want its key and entitlement", owed[0])
		}
	})
}

func TestDeliveries(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, url string) {
		s := open(t, url, store.Options{})
		if at, err := s.BooksBegan(t.Context()); err != nil || !at.Equal(start) {
			t.Errorf("BooksBegan = %v, %v, want %v", at, err, start)
		}
		if _, _, err := s.LastDelivery(t.Context(), "stripe"); !errors.Is(err, makegood.NotFound) {
			t.Errorf("LastDelivery of a source that delivered nothing = %v, want NotFound", err)
		}
		for i := range 10 {
			e := event(fmt.Sprintf("evt_%d", i))
			e.ReceivedAt = start.Add(time.Duration(i) * 5 * time.Minute)
			e.VerifiedBy = fmt.Sprintf("print%d", i)
			if i == 9 {
				e.VerifiedBy = "api" // we fetched it
			}
			if _, err := s.AcceptEvent(t.Context(), e); err != nil {
				t.Fatal(err)
			}
		}
		for i := range 3 { // what more is told of the first order, seconds later
			e := event(fmt.Sprintf("evt_more_%d", i))
			e.ReceivedAt, e.VerifiedBy = start.Add(time.Duration(i+1)*time.Second), "print0"
			if _, err := s.AcceptEvent(t.Context(), e); err != nil {
				t.Fatal(err)
			}
		}
		other := event("evt_other")
		other.Source, other.ReceivedAt = "paypal", start.Add(time.Hour)
		if _, err := s.AcceptEvent(t.Context(), other); err != nil {
			t.Fatal(err)
		}
		want := start.Add(40 * time.Minute)
		if at, by, err := s.LastDelivery(t.Context(), "stripe"); err != nil || !at.Equal(want) || by != "print8" {
			t.Errorf("LastDelivery = %v, %q, %v, want %v and print8: what we fetched was not delivered", at, by, err, want)
		}
		for _, tt := range []struct {
			from, until time.Duration
			most, want  int
		}{{0, time.Hour, 100, 9}, {0, time.Hour, 5, 5}, {10 * time.Minute, 20 * time.Minute, 100, 2}, {-time.Hour, 0, 100, 0}} {
			n, err := s.CountDeliveryStretches(t.Context(), "stripe", start.Add(tt.from), start.Add(tt.until), tt.most)
			if err != nil || n != tt.want {
				t.Errorf("CountDeliveryStretches from %v until %v, up to %d = %d, %v, want %d", tt.from, tt.until, tt.most, n, err, tt.want)
			}
		}
	})
}

func TestCountsOfFailures(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, url string) {
		s := open(t, url, store.Options{})
		settle := func(*makegood.Order) []makegood.Entry { return nil }
		for i, ago := range []time.Duration{time.Minute, 30 * time.Minute, 2 * time.Hour} {
			at := start.Add(-ago)
			err := s.KeepDeadLetter(t.Context(), makegood.DeadLetter{Job: makegood.InterpretJob(fmt.Sprintf("evt_%d", i), "stripe"), Error: "no",
				Reason: makegood.DeadPermanent, Attempts: 1, FirstFailedAt: at, LastFailedAt: at}, settle)
			if err != nil {
				t.Fatal(err)
			}
		}
		letters, err := s.DeadLetters(t.Context(), store.DeadLetterFilter{OldestFirst: true})
		if err != nil || len(letters) != 3 {
			t.Fatalf("DeadLetters = %d, %v", len(letters), err)
		}
		newest := letters[0]
		for _, d := range letters {
			if d.LastFailedAt.After(newest.LastFailedAt) {
				newest = d
			}
		}
		hour := start.Add(-time.Hour)
		if n, err := s.CountRecentDeadLetters(t.Context(), hour); err != nil || n != 2 {
			t.Errorf("CountRecentDeadLetters = %d, %v, want 2", n, err)
		}
		if _, err := s.DiscardDeadLetter(t.Context(), newest.ID, "ann", "not ours", settle); err != nil {
			t.Fatal(err)
		}
		if n, err := s.CountRecentDeadLetters(t.Context(), hour); err != nil || n != 1 {
			t.Errorf("CountRecentDeadLetters after one was discarded = %d, %v, want 1", n, err)
		}
		if n, err := s.CountFailedEvents(t.Context(), hour); err != nil || n != 2 {
			t.Errorf("CountFailedEvents = %d, %v, want 2: a discarded one failed as well", n, err)
		}
		// Two that wait for another attempt; one of them has been waiting for longer than an hour.
		for range 2 {
			if err := s.EnqueueJob(t.Context(), makegood.InterpretJob("evt_x", "stripe")); err != nil {
				t.Fatal(err)
			}
		}
		ago := map[string]string{"sqlite": `datetime('now', '-%d minutes')`, "postgres": `now() - interval '%d minutes'`}[s.Engine()]
		execute(t, s, `UPDATE river_job SET state = 'retryable', attempted_at = `+fmt.Sprintf(ago, 5))
		execute(t, s, `UPDATE river_job SET attempted_at = `+fmt.Sprintf(ago, 90)+` WHERE id = (SELECT MIN(id) FROM river_job)`)
		if n, err := s.CountFailedEvents(t.Context(), hour); err != nil || n != 3 {
			t.Errorf("CountFailedEvents with one that waits for another attempt = %d, %v, want 3", n, err)
		}
	})
}

func TestQueueAge(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, url string) {
		s := open(t, url, store.Options{})
		age := func() time.Duration {
			t.Helper()
			d, err := s.QueueAge(t.Context(), makegood.QueueEffects)
			if err != nil {
				t.Fatal(err)
			}
			return d
		}
		if got := age(); got != 0 {
			t.Errorf("the age of an empty queue = %v, want 0", got)
		}
		for range 3 {
			if err := s.EnqueueJob(t.Context(), makegood.EffectJob("ord_1", "email")); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.EnqueueJob(t.Context(), makegood.InterpretJob("evt_1", "stripe")); err != nil {
			t.Fatal(err)
		}
		moment := map[string]string{"sqlite": `datetime('now', '%+d seconds')`, "postgres": `now() + interval '%+d seconds'`}[s.Engine()]
		set := func(nth int, state string, seconds, priority int) {
			execute(t, s, fmt.Sprintf(`UPDATE river_job SET state = '%s', priority = %d, scheduled_at = `+fmt.Sprintf(moment, seconds)+
				` WHERE id = (SELECT id FROM river_job ORDER BY id LIMIT 1 OFFSET %d)`, state, priority, nth))
		}
		set(0, "retryable", 3600, 1)
		set(1, "available", -9000, 4) // somebody put it behind all others
		set(2, "scheduled", 60, 1)
		set(3, "available", -9000, 1) // of another queue
		if got := age(); got != 0 {
			t.Errorf("the age of a queue in which nothing is due = %v, want 0", got)
		}
		set(2, "available", -400, 1)
		if got := age(); got < 400*time.Second || got > 400*time.Second+patience {
			t.Errorf("the age of a queue = %v, want 400 s", got)
		}
		if n, err := s.CountWaitingJobs(t.Context(), makegood.QueueEffects); err != nil || n != 3 {
			t.Errorf("CountWaitingJobs = %d, %v, want 3", n, err)
		}
		set(0, "retryable", -900, 1) // nobody made it available
		if got := age(); got < 900*time.Second || got > 900*time.Second+patience {
			t.Errorf("the age of a queue with a forgotten retry = %v, want 900 s", got)
		}
	})
}

func TestStepTroubles(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, url string) {
		s := open(t, url, store.Options{})
		for i, at := range []struct{ name, state, trouble string }{{"email", "owed", "quota"}, {"email", "owed", ""}, {"email", "done", "old"},
			{"email", "failed", "refused"}, {"email", "withdrawn", "old"}, {"tell", "owed", "away"}} {
			id := fmt.Sprintf("ord_%d", i)
			row(t, s, id, "active", "in_progress", "", time.Hour, 0)
			execute(t, s, fmt.Sprintf(`
				INSERT INTO steps (order_id, name, state, owed_at, intent_at, uncertain_since, done_at, receipt, last_error, attempts)
				VALUES ('%s', '%s', '%s', %d, %d, 0, 0, '', '%s', 2)`, id, at.name, at.state, start.UnixMicro(), start.Add(time.Second).UnixMicro(), at.trouble))
		}
		got, err := s.StepTroubles(t.Context(), "email")
		want := []makegood.Step{
			{Name: "email", State: makegood.StepOwed, OwedAt: start, IntentAt: start.Add(time.Second), LastError: "quota", Attempts: 2},
			{Name: "email", State: makegood.StepFailed, OwedAt: start, IntentAt: start.Add(time.Second), LastError: "refused", Attempts: 2},
		}
		if len(got) == 2 && got[0].LastError > got[1].LastError {
			got[0], got[1] = got[1], got[0]
		}
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("StepTroubles, %v (-want +got):\n%s", err, diff)
		}
	})
}

// TestStepTroublesOfNow: the mails of many years that were given up do not hide the one that fails now.
func TestStepTroublesOfNow(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, url string) {
		s := open(t, url, store.Options{})
		for _, statement := range []string{`
			WITH RECURSIVE many (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM many WHERE n < 1200)
			INSERT INTO orders (id, source, account, live, session_id, payment_id, email, customer_name, total_minor, currency,
				payment, entitlement, fulfillment, reason, created_at, paid_at, fulfilled_at)
			SELECT 'ord_' || n, 'stripe', '', TRUE, 'cs_' || n, '', '', '', 2900, 'usd', 'paid', 'active', 'stuck', '', 1, 1, 0 FROM many`, `
			WITH RECURSIVE many (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM many WHERE n < 1200)
			INSERT INTO steps (order_id, name, state, owed_at, intent_at, uncertain_since, done_at, receipt, last_error, attempts)
			SELECT 'ord_' || n, 'email', CASE WHEN n = 1100 THEN 'owed' ELSE 'failed' END, 1, CASE WHEN n = 1100 THEN 5000 ELSE n END, 0, 0, '',
				CASE WHEN n = 1100 THEN 'now' ELSE 'refused' END, 1
			FROM many`} {
			execute(t, s, statement)
		}
		got, err := s.StepTroubles(t.Context(), "email")
		if err != nil || len(got) != makegood.ListMax || got[0].LastError != "now" {
			t.Errorf("StepTroubles = %d steps, %v, want %d, and first the one that was tried last", len(got), err, makegood.ListMax)
		}
	})
}

func TestSlowJobs(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, url string) {
		now := start
		s := open(t, url, store.Options{Now: func() time.Time { return now }})
		keep := func(step string, took time.Duration) {
			t.Helper()
			j := makegood.EffectJob("ord_1", step)
			j.Attempt.Number = 2
			if err := s.KeepSlowJob(t.Context(), j, took); err != nil {
				t.Fatal(err)
			}
		}
		keep("old", 15*time.Second)
		now = now.Add(31 * 24 * time.Hour)
		keep("email", 12*time.Second)
		now = now.Add(30 * time.Minute)
		keep("tell", 11*time.Second)

		got, err := s.SlowJobs(t.Context(), time.Time{}, 10)
		want := []store.SlowJob{
			{Job: makegood.Job{Kind: makegood.JobEffect, OrderID: "ord_1", Step: "tell", Attempt: makegood.Attempt{Number: 2}}, Took: 11 * time.Second, EndedAt: now},
			{Job: makegood.Job{Kind: makegood.JobEffect, OrderID: "ord_1", Step: "email", Attempt: makegood.Attempt{Number: 2}}, Took: 12 * time.Second, EndedAt: now.Add(-30 * time.Minute)},
		}
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("SlowJobs, %v; that of a month ago is forgotten (-want +got):\n%s", err, diff)
		}
		if n, slowest, err := s.CountSlowJobs(t.Context(), now.Add(-time.Hour)); err != nil || n != 2 || slowest != 12*time.Second {
			t.Errorf("CountSlowJobs of an hour = %d, %v, %v, want 2 and 12s", n, slowest, err)
		}
		if n, slowest, err := s.CountSlowJobs(t.Context(), now.Add(time.Second)); err != nil || n != 0 || slowest != 0 {
			t.Errorf("CountSlowJobs of no time = %d, %v, %v, want none", n, slowest, err)
		}

		// A day on which everything is slow does not fill the table.
		execute(t, s, fmt.Sprintf(`
			WITH RECURSIVE many (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM many WHERE n < 998)
			INSERT INTO slow_jobs (id, ended_at, took, kind, queue, source, step, event_id, order_id, attempt)
			SELECT 'slo_' || n, %d, 1, '', '', '', '', '', '', 1 FROM many`, now.UnixMicro()))
		keep("the thousand and first", time.Minute)
		if n, _, err := s.CountSlowJobs(t.Context(), now.Add(-time.Hour)); err != nil || n != 1000 {
			t.Errorf("CountSlowJobs of a bad hour = %d, %v, want 1000", n, err)
		}
	})
}
