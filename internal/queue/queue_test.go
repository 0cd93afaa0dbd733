package queue

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/store"
	"github.com/makegood/makegood/internal/store/storetest"
)

// patience bounds a failing test and never a passing one. never is a poll that does not come within a test, so that only
// a wake can start a job.
const (
	patience = 30 * time.Second
	never    = time.Hour
)

func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !holds(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("after %v it is still not true that %s", patience, what)
		}
	}
}

func receive[T any](t testing.TB, what string, c <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-c:
	case <-time.After(patience):
		t.Fatalf("after %v there is still no %s", patience, what)
	}
	return v
}

// node is a store with its queue, as one process has them.
type node struct {
	*store.Store
	*Queue
	db      Database
	letters chan makegood.DeadLetter
}

// newNode opens a node that does not run yet. Its work is the same for both kinds of job.
func newNode(t testing.TB, url string, work Work, adjust ...func(*Options)) *node {
	t.Helper()
	n := &node{letters: make(chan makegood.DeadLetter, 100)}
	var ready atomic.Bool
	s, err := store.Open(t.Context(), url, store.Options{Wake: func(queue string) {
		if ready.Load() {
			n.Wake(queue)
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	n.Store = s
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close the store: %v", err)
		}
	})
	n.db = Database{Postgres: s.Postgres()}
	n.db.SQLiteWriter, n.db.SQLiteReader = s.SQLite()
	if err := errors.Join(s.Migrate(t.Context()), Migrate(t.Context(), n.db)); err != nil {
		t.Fatalf("migrate: %v", err)
	}
	o := Options{
		Database: n.db,
		Node:     "here",
		Work:     map[string]Work{makegood.JobInterpret: work, makegood.JobEffect: work},
		Policy: func(j makegood.Job) makegood.RetryPolicy {
			if j.Kind == makegood.JobEffect {
				return makegood.RetryPolicy{Attempts: 3, Base: time.Millisecond, Cap: 10 * time.Millisecond}
			}
			return makegood.DefaultRetryPolicy
		},
		GiveUp:  func(_ context.Context, d makegood.DeadLetter) error { n.letters <- d; return nil },
		Workers: map[string]int{makegood.QueuePayments: 8, makegood.QueueEffects: 8},
		Logger:  slog.New(slog.DiscardHandler),
		poll:    never,
	}
	for _, change := range adjust {
		change(&o)
	}
	if n.Queue, err = New(o); err != nil {
		t.Fatal(err)
	}
	ready.Store(true)
	return n
}

// startNode starts a node, which stops with the test.
func startNode(t testing.TB, url string, work Work, adjust ...func(*Options)) *node {
	t.Helper()
	n := newNode(t, url, work, adjust...)
	n.start(t)
	return n
}

func (n *node) start(t testing.TB) {
	t.Helper()
	if err := n.Queue.Start(context.WithoutCancel(t.Context())); err != nil {
		t.Fatalf("Start = %v", err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := n.Queue.Stop(ctx); err != nil {
			t.Errorf("Stop = %v", err)
		}
	})
}

func (n *node) enqueue(t testing.TB, j makegood.Job) {
	t.Helper()
	if err := n.EnqueueJob(context.WithoutCancel(t.Context()), j); err != nil {
		t.Fatalf("EnqueueJob = %v", err)
	}
}

// job is a row of River, as far as the tests look at it.
type job struct {
	State     string
	Attempt   int
	Errors    int
	Scheduled time.Time
}

func (n *node) jobs(t testing.TB) []job {
	t.Helper()
	var jobs []job
	scan := func(scan func(...any) error) {
		var j job
		if err := scan(&j.State, &j.Attempt, &j.Errors, &j.Scheduled); err != nil {
			t.Fatal(err)
		}
		jobs = append(jobs, j)
	}
	ctx := context.Background()
	if n.db.Postgres != nil {
		rows, err := n.db.Postgres.Query(ctx, `SELECT state, attempt, COALESCE(array_length(errors, 1), 0), scheduled_at FROM river_job ORDER BY id`)
		if err != nil {
			t.Fatal(err)
		}
		defer rows.Close()
		for rows.Next() {
			scan(rows.Scan)
		}
		return jobs
	}
	rows, err := n.db.SQLiteReader.Query(`SELECT state, attempt, COALESCE(json_array_length(errors), 0), scheduled_at FROM river_job ORDER BY id`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		scan(rows.Scan)
	}
	return jobs
}

// execute changes River's rows past everything.
func (n *node) execute(t testing.TB, statement string) {
	t.Helper()
	var err error
	if n.db.Postgres != nil {
		_, err = n.db.Postgres.Exec(context.Background(), statement)
	} else {
		_, err = n.db.SQLiteWriter.Exec(statement)
	}
	if err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

// runNow makes all jobs due.
func (n *node) runNow(t testing.TB) {
	t.Helper()
	n.execute(t, `UPDATE river_job SET state = 'available', scheduled_at = created_at WHERE finalized_at IS NULL`)
	n.Wake(makegood.QueuePayments)
	n.Wake(makegood.QueueEffects)
}

// onlyJob waits until there is one job and it is as wanted.
func (n *node) onlyJob(t testing.TB, what string, as func(job) bool) job {
	t.Helper()
	var found job
	eventually(t, what, func() bool {
		jobs := n.jobs(t)
		if len(jobs) != 1 {
			return false
		}
		found = jobs[0]
		return as(found)
	})
	return found
}

// noRow reports whether nothing is left to do: on SQLite done jobs are gone, on PostgreSQL River marks them.
func (n *node) allDone(t testing.TB) bool {
	return !slices.ContainsFunc(n.jobs(t), func(j job) bool { return j.State != "completed" })
}

// A job starts when the commit that made it is done, not when somebody polls: no poll comes within this test.
func TestWakeAtOnce(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, url string) {
		started := make(chan time.Time, 1)
		n := startNode(t, url, func(context.Context, makegood.Job) error { started <- time.Now(); return nil })
		var waits []time.Duration
		for i := range 50 {
			time.Sleep(time.Duration(i%10) * 3 * time.Millisecond) // on both sides of every cool-down
			j := makegood.InterpretJob("evt", "stripe")
			if i%2 == 1 {
				j = makegood.EffectJob("ord", "email")
			}
			n.enqueue(t, j)
			committed := time.Now()
			waits = append(waits, receive(t, "start of job "+fmt.Sprint(i), started).Sub(committed))
		}
		slices.Sort(waits)
		median, longest := waits[len(waits)/2], waits[len(waits)-1]
		t.Logf("from commit to start: median %v, 90%% %v, longest %v", median, waits[len(waits)*9/10], longest)
		if median > 100*time.Millisecond {
			t.Errorf("median from commit to start = %v, want under 100 ms", median)
		}
		eventually(t, "all jobs are done", func() bool { return n.allDone(t) })
	})
}

// Many commits at once, of both queues: no wake gets lost.
func TestWakeNobodyLost(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, url string) {
		var ran atomic.Int64
		n := startNode(t, url, func(context.Context, makegood.Job) error { ran.Add(1); return nil })
		const callers, each = 8, 25
		var wg sync.WaitGroup
		for c := range callers {
			wg.Go(func() {
				for range each {
					j := makegood.InterpretJob("evt", "stripe")
					if c%2 == 1 {
						j = makegood.EffectJob("ord", "email")
					}
					if err := n.EnqueueJob(t.Context(), j); err != nil {
						t.Errorf("EnqueueJob = %v", err)
					}
				}
			})
		}
		wg.Wait()
		eventually(t, "every job ran", func() bool { return ran.Load() == callers*each })
		eventually(t, "all are done", func() bool { return n.allDone(t) })
	})
}

func TestFinishedJobsLeaveNoRow(t *testing.T) {
	t.Parallel()
	n := startNode(t, storetest.SQLite(t), func(context.Context, makegood.Job) error { return nil })
	for range 20 {
		n.enqueue(t, makegood.InterpretJob("evt", "stripe"))
	}
	eventually(t, "no row is left", func() bool { return len(n.jobs(t)) == 0 })
}

// What fails waits as the policy says, longer each time.
func always(p makegood.RetryPolicy) func(makegood.Job) makegood.RetryPolicy {
	return func(makegood.Job) makegood.RetryPolicy { return p }
}

func TestRetryFollowsPolicy(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, url string) {
		policy := makegood.RetryPolicy{Attempts: 10, Base: 10 * time.Minute, Cap: 25 * time.Minute}
		attempts := make(chan makegood.Attempt, 10)
		n := startNode(t, url, func(_ context.Context, j makegood.Job) error { attempts <- j.Attempt; return errors.New("no luck") },
			func(o *Options) { o.Policy = always(policy) })
		n.enqueue(t, makegood.InterpretJob("evt", "stripe"))
		for attempt := 1; attempt <= 3; attempt++ {
			if got, want := receive(t, "attempt", attempts), (makegood.Attempt{Number: attempt}); got != want {
				t.Errorf("attempt = %+v, want %+v", got, want)
			}
			j := n.onlyJob(t, "it waits", func(j job) bool { return j.State == "retryable" && j.Attempt == attempt })
			wait := time.Until(j.Scheduled)
			least, most := policy.Backoff(attempt, 0)-time.Minute, policy.Backoff(attempt, 1) // a minute for a slow test
			if wait < least || wait > most || j.Errors != attempt {
				t.Errorf("after attempt %d it waits %v with %d errors, want between %v and %v with %d", attempt, wait, j.Errors, least, most, attempt)
			}
			n.runNow(t)
		}
	})
}

// A short wait is kept too: nobody waits for River's scheduler, who comes each five seconds.
func TestRetrySoon(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, url string) {
		ran := make(chan time.Time, 1)
		var failed atomic.Bool
		n := startNode(t, url, func(context.Context, makegood.Job) error {
			if !failed.Swap(true) {
				return errors.New("once")
			}
			ran <- time.Now()
			return nil
		}, func(o *Options) { o.poll = 0 }) // what is due later is found by the poll
		enqueued := time.Now()
		n.enqueue(t, makegood.EffectJob("ord", "email"))
		if wait := receive(t, "second run", ran).Sub(enqueued); wait > 4*time.Second {
			t.Errorf("the second run came after %v, want it with the next poll", wait)
		}
	})
}

// A snooze is no attempt, not even the last one.
func TestSnooze(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, url string) {
		attempts := make(chan makegood.Attempt, 10)
		var awake atomic.Bool
		n := startNode(t, url, func(_ context.Context, j makegood.Job) error {
			attempts <- j.Attempt
			if awake.Load() {
				return nil
			}
			return fmt.Errorf("mail: %w", &makegood.Snooze{For: time.Hour, Err: errors.New("busy")})
		}, func(o *Options) { o.Policy = always(makegood.RetryPolicy{Attempts: 1, Base: 1, Cap: 1}) })
		n.enqueue(t, makegood.InterpretJob("evt", "stripe"))
		for range 3 {
			if got, want := receive(t, "attempt", attempts), (makegood.Attempt{Number: 1, Last: true}); got != want {
				t.Errorf("attempt = %+v, want %+v", got, want)
			}
			j := n.onlyJob(t, "it sleeps", func(j job) bool { return j.State == "scheduled" })
			if wait := time.Until(j.Scheduled); wait < 58*time.Minute || wait > time.Hour || j.Attempt != 0 || j.Errors != 0 {
				t.Errorf("snoozed job = %+v, in %v, want no attempt, no error, in an hour", j, wait)
			}
			n.runNow(t)
		}
		awake.Store(true)
		n.runNow(t)
		eventually(t, "it is done", func() bool { return n.allDone(t) })
		if len(n.letters) > 0 {
			t.Errorf("dead letters = %d, want none", len(n.letters))
		}
	})
}

// What no repetition can cure becomes a dead letter at once, and once.
func TestGiveUp(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name     string
		work     func(makegood.Job) error
		attempts int
		error    string
	}{
		{"permanent", func(makegood.Job) error { return fmt.Errorf("x: %w", &makegood.Permanent{Err: errors.New("no such")}) }, 1, "no such"},
		{"panic", func(makegood.Job) error { var m map[string]int; m["x"] = 1; return nil }, 1, "invariant broken"},
		{"last attempt", func(j makegood.Job) error { return fmt.Errorf("attempt %d, last %v", j.Attempt.Number, j.Attempt.Last) }, 3, "attempt 3, last true"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			storetest.Each(t, func(t *testing.T, url string) {
				var runs atomic.Int64
				n := startNode(t, url, func(_ context.Context, j makegood.Job) error { runs.Add(1); return tt.work(j) },
					func(o *Options) { o.poll = 5 * time.Millisecond })
				before := time.Now().Add(-time.Minute)
				n.enqueue(t, makegood.EffectJob("ord1", "email"))
				d := receive(t, "dead letter", n.letters)
				want := makegood.EffectJob("ord1", "email")
				want.Attempt = makegood.Attempt{Number: tt.attempts, Last: tt.attempts == 3}
				if d.Job != want || d.Attempts != tt.attempts || !strings.Contains(d.Error, tt.error) || d.FirstFailedAt.Before(before) ||
					d.FirstFailedAt.After(d.LastFailedAt) {
					t.Errorf("dead letter = %+v, want %+v after %d attempts with %q", d, want, tt.attempts, tt.error)
				}
				n.onlyJob(t, "River's row is cancelled", func(j job) bool { return j.State == "cancelled" })
				n.enqueue(t, makegood.EffectJob("ord2", "email"))
				receive(t, "dead letter of the next job", n.letters)
				if got := runs.Load(); got != int64(2*tt.attempts) || len(n.letters) != 0 {
					t.Errorf("two jobs ran %d times and left %d more letters, want %d times and none", got, len(n.letters), 2*tt.attempts)
				}
			})
		})
	}
}

// A dead letter that cannot be kept is no end: the job is repeated until it can.
func TestGiveUpFails(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, url string) {
		var refusals atomic.Int64
		kept := make(chan makegood.DeadLetter, 1)
		n := startNode(t, url, func(context.Context, makegood.Job) error { return &makegood.Permanent{Err: errors.New("no such")} },
			func(o *Options) {
				o.poll = 5 * time.Millisecond
				o.GiveUp = func(ctx context.Context, d makegood.DeadLetter) error {
					if _, bounded := ctx.Deadline(); !bounded {
						t.Error("GiveUp has no deadline")
					}
					if refusals.Add(1) <= 5 {
						return errors.New("the disk is full")
					}
					kept <- d
					return nil
				}
			})
		n.enqueue(t, makegood.EffectJob("ord", "email"))
		if d := receive(t, "dead letter", kept); d.Attempts != 6 {
			t.Errorf("attempts = %d, want 6: each counts", d.Attempts)
		}
		n.onlyJob(t, "River's row is cancelled", func(j job) bool { return j.State == "cancelled" })
	})
}

// A job whose runs never come back is given up too, without another run.
func TestGiveUpWhatKills(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, url string) {
		var runs atomic.Int64
		n := newNode(t, url, func(context.Context, makegood.Job) error { runs.Add(1); return nil })
		n.enqueue(t, makegood.EffectJob("ord", "email"))
		n.execute(t, fmt.Sprintf(`UPDATE river_job SET attempt = %d`, 3+lostRunsMax))
		n.start(t)
		if d := receive(t, "dead letter", n.letters); runs.Load() != 0 || !strings.Contains(d.Error, "died or hung") {
			t.Errorf("dead letter = %q after %d runs, want it without a run", d.Error, runs.Load())
		}
	})
}

func TestJobTimeout(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, url string) {
		causes := make(chan error, 10)
		n := startNode(t, url, func(ctx context.Context, _ makegood.Job) error {
			<-ctx.Done()
			causes <- ctx.Err()
			return ctx.Err()
		}, func(o *Options) { o.JobTimeout = 20 * time.Millisecond })
		n.enqueue(t, makegood.InterpretJob("evt", "stripe"))
		if err := receive(t, "end of the context", causes); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the context of a slow job ends with %v, want its deadline", err)
		}
		n.onlyJob(t, "it will be repeated", func(j job) bool { return j.Errors == 1 && j.State != "running" })
	})
}

// Stop waits for what runs, within its context, and takes nothing more.
func TestStop(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, url string) {
		started, free := make(chan string, 10), make(chan struct{})
		n := newNode(t, url, func(ctx context.Context, j makegood.Job) error {
			started <- j.EventID
			<-free
			return ctx.Err()
		})
		if err := n.Stop(t.Context()); err != nil {
			t.Errorf("Stop before Start = %v, want nil", err)
		}
		n.start(t)
		n.enqueue(t, makegood.InterpretJob("first", "stripe"))
		receive(t, "start", started)
		brief, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		if err := n.Stop(brief); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Stop while a job runs = %v, want the end of its context", err)
		}
		n.enqueue(t, makegood.InterpretJob("second", "stripe"))
		stopped := make(chan error, 1)
		go func() { stopped <- n.Stop(t.Context()) }()
		close(free)
		if err := receive(t, "end of Stop", stopped); err != nil {
			t.Errorf("Stop = %v, want nil", err)
		}
		states := []string{}
		for _, j := range n.jobs(t) {
			if j.State != "completed" {
				states = append(states, fmt.Sprint(j.State, " ", j.Attempt))
			}
		}
		if want := []string{"available 0"}; !cmp.Equal(states, want) {
			t.Errorf("jobs left = %q, want %q: the first done, the second not begun", states, want)
		}
	})
}

// During an upgrade a node meets jobs of a newer program. It leaves them for later, also when their run was lost.
func TestUnknownKind(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, url string) {
		ran := make(chan struct{}, 10)
		n := newNode(t, url, func(context.Context, makegood.Job) error { ran <- struct{}{}; return nil },
			func(o *Options) { o.JobTimeout, o.RescueAfter = 50*time.Millisecond, 100*time.Millisecond })
		for range 2 {
			n.enqueue(t, makegood.InterpretJob("evt", "stripe"))
		}
		n.execute(t, `UPDATE river_job SET kind = 'of tomorrow'`)
		n.execute(t, `UPDATE river_job SET state = 'running', attempt = 1, attempted_at = created_at WHERE id = (SELECT MAX(id) FROM river_job)`)
		n.start(t)
		n.enqueue(t, makegood.InterpretJob("evt", "stripe"))
		receive(t, "run of the known job", ran)
		eventually(t, "both unknown jobs were tried and wait", func() bool {
			waiting := 0
			for _, j := range n.jobs(t) {
				if j.State == "discarded" || j.State == "cancelled" {
					t.Fatalf("an unknown job is %s, want it kept", j.State)
				}
				if j.Errors > 0 && (j.State == "available" || j.State == "retryable") {
					waiting++
				}
			}
			return waiting == 2
		})
	})
}

// TestRestart: new workers take what the old ones would not, what runs is waited for, and a queue that was stopped stays stopped.
func TestRestart(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, url string) {
		ran := make(chan string, 100)
		n := newNode(t, url, func(_ context.Context, j makegood.Job) error { ran <- j.OrderID; return nil })
		if err := n.Restart(t.Context()); !errors.Is(err, makegood.Conflict) {
			t.Errorf("Restart before Start = %v, want conflict", err)
		}
		if err := n.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		for round := range 3 {
			id := fmt.Sprintf("ord%d", round)
			if err := n.EnqueueJob(t.Context(), makegood.Job{Kind: makegood.JobEffect, OrderID: id, Step: "email"}); err != nil {
				t.Fatal(err)
			}
			if got := receive(t, "run of "+id, ran); got != id {
				t.Errorf("ran %s, want %s", got, id)
			}
			if err := n.Restart(t.Context()); err != nil {
				t.Fatalf("Restart = %v", err)
			}
		}
		if err := n.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := n.Restart(t.Context()); !errors.Is(err, makegood.Conflict) {
			t.Errorf("Restart after Stop = %v, want conflict", err)
		}
	})
}

// TestRestartThatFails: workers that could not be replaced are not dead for good; the next restart makes them.
func TestRestartThatFails(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, url string) {
		ran := make(chan string, 100)
		n := newNode(t, url, func(_ context.Context, j makegood.Job) error { ran <- j.OrderID; return nil })
		if err := n.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		n.options.Node = strings.Repeat("x", 1000) // no worker can be called so
		if err := n.Restart(t.Context()); err == nil || errors.Is(err, makegood.Conflict) {
			t.Fatalf("Restart that cannot be = %v, want an error that is no conflict", err)
		}
		n.options.Node = "here"
		if err := n.Restart(t.Context()); err != nil {
			t.Fatalf("the next Restart = %v", err)
		}
		if err := n.EnqueueJob(t.Context(), makegood.Job{Kind: makegood.JobEffect, OrderID: "ord1", Step: "email"}); err != nil {
			t.Fatal(err)
		}
		if got := receive(t, "run of ord1", ran); got != "ord1" {
			t.Errorf("ran %s, want ord1", got)
		}
		if err := n.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
}
