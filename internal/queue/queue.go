// Package queue runs the jobs that the store keeps. It is River, wired: a worker wakes at once when a commit on this node
// made a job, what was lost in a crash is taken up again within a minute, what fails is repeated with patience, and what
// fails for good becomes a dead letter of our own. River alone would discard it in silence after its last attempt, so
// River is never told how many attempts there are; this package counts them.
package queue

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime/debug"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/riverdriver/riversqlite"
	"github.com/riverqueue/river/rivermigrate"
	"github.com/riverqueue/river/rivertype"

	"github.com/makegood/makegood"
)

// Work does one job. It must be safe to run again: every job runs at least once. What it returns decides: nil is done,
// *makegood.Snooze runs again later without counting, *makegood.Permanent is given up at once, and anything else is
// repeated until the policy's attempts are used up.
type Work func(ctx context.Context, job makegood.Job) error

// Database is where the jobs are: either both SQLite pools or the PostgreSQL pool.
type Database struct {
	SQLiteWriter, SQLiteReader *sql.DB
	Postgres                   *pgxpool.Pool
}

// Options are what the queue needs.
type Options struct {
	Database
	Node   string // names this process among those that share the database
	Work   map[string]Work
	Policy func(makegood.Job) makegood.RetryPolicy // how patiently a job is repeated
	// GiveUp keeps the dead letter of a job that will not run again. When it fails the job is repeated instead.
	GiveUp  func(ctx context.Context, d makegood.DeadLetter) error
	Workers map[string]int // how many jobs of a queue run at once
	Logger  *slog.Logger
	// Seen is called when a job starts with how long it waited, for the metrics. It may be nil.
	Seen func(kind string, waited time.Duration)
	// Slow is called after a run, whatever came of it, that took longer than SlowAfter. It may be nil; its error is logged.
	Slow func(ctx context.Context, job makegood.Job, took time.Duration) error
	// SlowAfter is when a run counts as slow; slowAfter when 0. It is less than JobTimeout, or no run could ever reach it.
	SlowAfter time.Duration

	JobTimeout  time.Duration // bounds one run; makegood.JobTimeout when 0
	RescueAfter time.Duration // when a run that never came back is taken up again; makegood.JobRescueAfter when 0

	poll time.Duration // fetchPoll when 0
}

// Queue runs jobs between Start and Stop.
type Queue struct {
	options Options
	wakes   *wakes

	mu       sync.Mutex      // one start, stop or restart at a time
	ctx      context.Context // of Start; nil before it, and after Stop
	start    func(context.Context) error
	stop     func(context.Context) error
	rescuing sync.WaitGroup
	settle   context.CancelFunc // ends the rescuer; nil before Start
	stopped  bool
}

// The pace of the queue. A job made on this node is announced in-process; polling is the net for those of other nodes and
// for retries that come due.
const (
	fetchCooldown = 2 * time.Millisecond // between two fetches of a queue; River's default of 100 ms would be in every order
	fetchPoll     = time.Second
	// River keeps finished jobs for a while; ours carry nothing that the event, the step and the audit do not tell.
	finishedKept = time.Hour
	// giveUpWithin bounds the keeping of a dead letter, which may begin when the job's own time is over. Both together, and
	// slowWithin, stay below makegood.JobRescueAfter.
	giveUpWithin = 4 * time.Second
	// slowAfter is half of makegood.JobTimeout: the 30 seconds that are usual elsewhere could never be reached, because every
	// run is ended after 20.
	slowAfter = 10 * time.Second
	// slowWithin bounds the keeping of the note of a slow run, which is not worth a late dead letter.
	slowWithin = 500 * time.Millisecond
	// lostRunsMax is how many runs of a job may be lost to crashes beyond its attempts. A job that kills the process
	// every time would otherwise do so for ever: none of its runs comes back to be counted as the last.
	lostRunsMax = 5
	// snoozingMax is for how long a job may be put off because the other side asks for it. Afterwards being put off counts
	// as a failed attempt, so that in the end a person hears of it.
	snoozingMax = 7 * 24 * time.Hour
)

// migrationLock names the advisory lock of whoever migrates River's tables. It spells "mg_queue".
const migrationLock int64 = 0x6d67_5f71_7565_7565

// Migrate brings River's tables to the version of the library. The store's own migrations come first. Several nodes may
// call it at once: River would trip over itself, so one after the other has its turn.
func Migrate(ctx context.Context, db Database) error {
	var err error
	if db.Postgres != nil {
		err = pgx.BeginFunc(ctx, db.Postgres, func(tx pgx.Tx) error {
			if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock($1)`, migrationLock); err != nil {
				return err
			}
			return migrate(ctx, riverpgxv5.New(db.Postgres))
		})
	} else {
		err = migrate(ctx, riversqlite.New(db.SQLiteWriter))
	}
	if err != nil {
		return fmt.Errorf("prepare the queue: %w", err)
	}
	return nil
}

func migrate[TTx any](ctx context.Context, d riverdriver.Driver[TTx]) error {
	m, err := rivermigrate.New(d, &rivermigrate.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	_, err = m.Migrate(ctx, rivermigrate.DirectionUp, nil)
	return err
}

// New wires a queue. It runs nothing before Start.
func New(o Options) (*Queue, error) {
	o.JobTimeout = cmp.Or(o.JobTimeout, makegood.JobTimeout)
	o.RescueAfter = cmp.Or(o.RescueAfter, makegood.JobRescueAfter)
	o.SlowAfter = cmp.Or(o.SlowAfter, slowAfter)
	o.poll = cmp.Or(o.poll, fetchPoll)
	q := &Queue{options: o, wakes: newWakes()}
	return q, q.wire()
}

// wire makes workers that run nothing yet.
func (q *Queue) wire() (err error) {
	o := q.options
	if o.Postgres != nil {
		err = wire(q, o, &postgresDriver{riverpgxv5.New(o.Postgres), q.wakes})
	} else {
		err = wire(q, o, newSQLiteDriver(o.SQLiteWriter, o.SQLiteReader, q.wakes))
	}
	if err != nil {
		return fmt.Errorf("wire the queue: %w", err)
	}
	return nil
}

// Start begins to run jobs. It returns once the workers are up. It is called once.
func (q *Queue) Start(ctx context.Context) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.begin(ctx)
}

func (q *Queue) begin(ctx context.Context) error {
	if err := q.start(ctx); err != nil {
		return err
	}
	q.ctx = ctx
	ctx, q.settle = context.WithCancel(ctx)
	q.rescuing.Go(func() { q.rescueLoop(ctx) })
	return nil
}

// Stop takes no more jobs and waits for those that run until ctx ends; what runs longer is left to be rescued. A second Stop goes
// on waiting. Without a Start before it does nothing.
func (q *Queue) Stop(ctx context.Context) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.stopped = true
	return q.end(ctx)
}

func (q *Queue) end(ctx context.Context) error {
	if q.settle == nil {
		return nil
	}
	q.settle()
	q.rescuing.Wait()
	return q.stop(ctx)
}

// Restart replaces the workers by new ones: for workers that take no jobs although there are some. What runs is waited for until
// ctx ends; what runs longer is rescued like what a crash leaves, and runs again. After an error no workers run, and another
// Restart tries it again. A queue that was not started, or was stopped, is makegood.Conflict.
func (q *Queue) Restart(ctx context.Context) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.settle == nil || q.stopped {
		return makegood.Errorf(makegood.Conflict, "The workers do not run, so they cannot be started again.")
	}
	if err := q.end(ctx); err != nil {
		q.options.Logger.Warn("workers were left behind that did not end in time", "component", "queue", "err", err)
	}
	if err := q.wire(); err != nil {
		return err
	}
	return q.begin(q.ctx)
}

// Wake tells the workers of a queue that there is work. It never blocks and may be called at any time.
func (q *Queue) Wake(queue string) { q.wakes.wake(queue) }

func wire[TTx any](q *Queue, o Options, d riverdriver.Driver[TTx]) error {
	workers := river.NewWorkers()
	river.AddWorker(workers, &worker[interpretArgs]{run: o.runner(makegood.JobInterpret)})
	river.AddWorker(workers, &worker[effectArgs]{run: o.runner(makegood.JobEffect)})
	queues := make(map[string]river.QueueConfig, len(o.Workers))
	for name, n := range o.Workers {
		queues[name] = river.QueueConfig{MaxWorkers: n}
	}
	client, err := river.NewClient(d, &river.Config{
		ID:                   o.Node,
		Queues:               queues,
		Workers:              workers,
		Logger:               o.Logger,
		FetchCooldown:        fetchCooldown,
		FetchPollInterval:    o.poll,
		JobTimeout:           o.JobTimeout,
		RescueStuckJobsAfter: o.RescueAfter + riverRescueMargin,
		RetryPolicy:          retryPolicy(o.Policy),
		// -1 would delete at once on SQLite instead of never (measured), so every period is a real one.
		CompletedJobRetentionPeriod: finishedKept,
		CancelledJobRetentionPeriod: 30 * 24 * time.Hour,
		DiscardedJobRetentionPeriod: 100 * 365 * 24 * time.Hour,
		// River's nightly rebuild of its indexes blocks all writes for seconds on a big file.
		ReindexerIndexNames: []string{},
	})
	if err != nil {
		return err
	}
	q.start = client.Start
	q.stop = client.Stop
	return nil
}

// interpretArgs and effectArgs are the two kinds of job as River knows them.
type (
	interpretArgs struct{ makegood.Job }
	effectArgs    struct{ makegood.Job }
)

// Kind names the job.
func (interpretArgs) Kind() string { return makegood.JobInterpret }

// Kind names the job.
func (effectArgs) Kind() string { return makegood.JobEffect }

func (a interpretArgs) job() makegood.Job { a.Job.Kind = makegood.JobInterpret; return a.Job }
func (a effectArgs) job() makegood.Job    { a.Job.Kind = makegood.JobEffect; return a.Job }

type worker[A interface {
	river.JobArgs
	job() makegood.Job
}] struct {
	river.WorkerDefaults[A]
	run func(context.Context, makegood.Job, *rivertype.JobRow) error
}

// Work runs one attempt.
func (w *worker[A]) Work(ctx context.Context, j *river.Job[A]) error {
	return w.run(ctx, j.Args.job(), j.JobRow)
}

// runner returns what runs one attempt of a kind of job and decides what comes after it.
func (o Options) runner(kind string) func(context.Context, makegood.Job, *rivertype.JobRow) error {
	work := o.Work[kind]
	if work == nil || o.Policy == nil || o.GiveUp == nil {
		panic("queue: no work, policy or dead letters for " + kind)
	}
	log := o.Logger.With("job", kind)
	return func(ctx context.Context, job makegood.Job, row *rivertype.JobRow) error {
		if o.Seen != nil {
			o.Seen(kind, time.Since(row.ScheduledAt))
		}
		policy := o.Policy(job)
		job.Attempt = makegood.Attempt{Number: row.Attempt, Last: row.Attempt >= policy.Attempts}
		var err error
		if lost := row.Attempt - 1 - len(row.Errors); lost >= policy.Attempts+lostRunsMax {
			err = &makegood.Permanent{Reason: makegood.DeadCrashed,
				Err: fmt.Errorf("the process died or hung in each of its last %d runs", lostRunsMax+1)}
		} else {
			began := time.Now()
			err = safely(ctx, work, job)
			o.tellSlow(ctx, log, job, time.Since(began))
		}
		if err == nil {
			return nil
		}
		log := log.With("event", job.EventID, "order", job.OrderID, "attempt", row.Attempt, "err", err)
		if broken := (*brokenInvariant)(nil); errors.As(err, &broken) {
			log = log.With("stack", broken.stack) // on the one line that this run logs, so that it is reported once
		}
		var snooze *makegood.Snooze
		if errors.As(err, &snooze) && time.Since(row.CreatedAt) < snoozingMax {
			log.Info("job waits because the other side asked for it", "for", snooze.For)
			return river.JobSnooze(max(snooze.For, time.Second))
		}
		var permanent *makegood.Permanent
		if !errors.As(err, &permanent) && !job.Attempt.Last {
			log.Warn("job failed and will be repeated")
			return err
		}
		// A crash between the dead letter and River's own mark runs the job again; its letter is then written over.
		bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), giveUpWithin)
		defer cancel()
		if kept := o.GiveUp(bounded, deadLetter(job, row, err)); kept != nil {
			log.Error("dead letter cannot be kept; the job will be repeated", "cause", kept)
			return err
		}
		log.Error("job given up; it is in the dead letters")
		return river.JobCancel(err)
	}
}

// tellSlow logs and keeps a run that was slow. It comes before the run's own end: the note of a run whose process dies then
// is kept all the same.
func (o Options) tellSlow(ctx context.Context, log *slog.Logger, job makegood.Job, took time.Duration) {
	if took < o.SlowAfter {
		return
	}
	log = log.With("event", job.EventID, "source", job.Source, "order", job.OrderID, "step", job.Step, "attempt", job.Attempt.Number)
	log.Warn("job was slow", "took", took)
	if o.Slow == nil {
		return
	}
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), slowWithin)
	defer cancel()
	if err := o.Slow(bounded, job, took); err != nil {
		log.Warn("slow job cannot be recorded", "err", err)
	}
}

// brokenInvariant is a panic of the work. Its stack is for the log, not for the dead letter.
type brokenInvariant struct {
	value any
	stack string
}

// Error says what was panicked with.
func (b *brokenInvariant) Error() string { return fmt.Sprintf("invariant broken: %v", b.value) }

// safely turns a panic of the work into its error: a broken invariant stops the job, not the server.
func safely(ctx context.Context, work Work, job makegood.Job) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = &makegood.Permanent{Err: &brokenInvariant{value: p, stack: string(debug.Stack())}}
		}
	}()
	return work(ctx, job)
}

func deadLetter(job makegood.Job, row *rivertype.JobRow, err error) makegood.DeadLetter {
	now := time.Now().UTC()
	d := makegood.DeadLetter{Job: job, Error: err.Error(), Reason: makegood.DeadExhausted, Attempts: row.Attempt,
		FirstFailedAt: now, LastFailedAt: now}
	var permanent *makegood.Permanent
	if errors.As(err, &permanent) {
		d.Reason, d.Error = cmp.Or(permanent.Reason, makegood.DeadPermanent), permanent.Err.Error()
	}
	for _, e := range row.Errors {
		d.History = append(d.History, makegood.FailedAttempt{At: e.At.UTC(), Attempt: e.Attempt, Error: e.Error})
	}
	d.History = append(d.History, makegood.FailedAttempt{At: now, Attempt: row.Attempt, Error: d.Error})
	d.FirstFailedAt = d.History[0].At
	return d
}

// retryPolicy gives River our waits.
type retryPolicy func(makegood.Job) makegood.RetryPolicy

// NextRetry returns when the job runs again after the attempt that just failed.
func (p retryPolicy) NextRetry(row *rivertype.JobRow) time.Time {
	job := makegood.Job{Kind: row.Kind}
	if err := json.Unmarshal(row.EncodedArgs, &job); err != nil {
		return time.Now().Add(makegood.DefaultRetryPolicy.Backoff(row.Attempt, rand.Float64())) // it fails again, and then says so
	}
	return time.Now().Add(p(job).Backoff(row.Attempt, rand.Float64()))
}
