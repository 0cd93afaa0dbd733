package app

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/config"
	"github.com/makegood/makegood/internal/heal"
	"github.com/makegood/makegood/internal/host"
	"github.com/makegood/makegood/internal/inspect"
	"github.com/makegood/makegood/internal/monitor"
	"github.com/makegood/makegood/internal/queue"
	"github.com/makegood/makegood/internal/store"
)

// activity remembers when this node last began a job.
type activity struct{ at atomic.Int64 }

func (a *activity) saw(now time.Time) { a.at.Store(now.UnixMicro()) }

func (a *activity) idle(now time.Time) time.Duration { return now.Sub(time.UnixMicro(a.at.Load())) }

// workers are this node's own workers as a place that can be mended: started again, when jobs are due and this node begins none
// and works on none. A node that is busy is not stuck: it has too much to do, and starting it again would only cost time.
type workers struct {
	queue    *queue.Queue
	store    *store.Store
	activity *activity
	after    time.Duration // how long it must have begun none
	now      func() time.Time
}

var (
	_ host.Target  = (*workers)(nil)
	_ host.Starter = (*workers)(nil)
)

// workersTarget is the name of the target, for each node its own.
func workersTarget(node string) string { return "workers-" + node }

// Kind is workers.
func (w *workers) Kind() string { return "workers" }

// Check finds nothing that could keep them from being started again.
func (w *workers) Check(context.Context) error { return nil }

// Survey says whether they are stuck.
func (w *workers) Survey(ctx context.Context) (host.Survey, error) {
	s := host.Survey{At: w.now().UTC()}
	busy, err := w.store.RunningJobs(ctx)
	if err != nil {
		return s, err
	}
	var late time.Duration
	for _, name := range []string{makegood.QueuePayments, makegood.QueueEffects} {
		age, err := w.store.QueueAge(ctx, name)
		if err != nil {
			return s, err
		}
		late = max(late, age)
	}
	if idle := w.activity.idle(w.now()); busy == 0 && late >= w.after && idle >= w.after {
		s.Stuck, s.Down = true, fmt.Sprintf("A job has been due for %v, and no worker here has begun one for %v.", late.Round(time.Second), idle.Round(time.Second))
	}
	return s, nil
}

// Start replaces the workers by new ones. Doing so twice does no harm.
func (w *workers) Start(ctx context.Context, _ host.Survey, attempt string) (string, error) {
	if err := w.queue.Restart(ctx); err != nil {
		return "", err
	}
	return attempt, nil
}

// Adopt finds nothing: workers that were started by a process that died are gone with it.
func (w *workers) Adopt(context.Context, host.Survey, string) (string, error) { return "", nil }

// Progress is that they run: Start returns when they do.
func (w *workers) Progress(context.Context, string) (host.Progress, error) {
	return host.Progress{State: host.Ran, Note: "new workers"}, nil
}

// workersSteady is how often in a row no job may be late before it counts as healed.
const workersSteady = 2

// openHealing makes the server's own healer, when the configuration wants one.
func (a *App) openHealing(ctx context.Context, c *config.Config, seen *activity, o Options) error {
	var err error
	// Other nodes of the same database have targets of their own.
	a.alarm.has.gone = func(target string) bool { return target == workersTarget(c.Node) && !c.Heal.Workers }
	if a.healing, err = newHealing(ctx, a.alarm, c.Node, nil, o); err != nil || !c.Heal.Workers {
		return err
	}
	when := []string{makegood.FindingKey(inspect.QueueAge, "*")}
	a.healing.healer.SetTargets([]heal.Target{{
		Name: workersTarget(c.Node), Place: &workers{queue: a.queue, store: a.Store, activity: seen, after: c.Heal.After, now: o.Now},
		When: when, Auto: true, Patience: c.Heal.After, Steady: workersSteady,
		Verify: func(ctx context.Context) string {
			for _, s := range a.alarm.runner.Statuses() {
				if s.Check != inspect.QueueAge || s.Believed != monitor.Down && s.Believed != monitor.Healing && s.Believed != monitor.Recovering {
					continue
				}
				if sight, err := a.alarm.runner.LookNow(ctx, s.Key); err != nil || sight.Trouble != "" || sight.Unknown {
					return s.Key + " is late still"
				}
			}
			return ""
		},
	}})
	a.background = append(a.background, a.healing.healer.Run)
	return nil
}
