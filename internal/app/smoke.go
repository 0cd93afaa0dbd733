package app

import (
	"context"
	"errors"
	"strings"
	"sync"

	"github.com/makegood/makegood/internal/inspect"
	"github.com/makegood/makegood/internal/smoke"
)

// judge makes an incident of a walk that failed, and ends it when a later one passes.
func (a *alarm) judge(ctx context.Context, r smoke.Result) {
	if r.OK() {
		a.cleared(ctx, inspect.SmokeFailed, "every step passed")
		return
	}
	var failed []string
	for _, step := range r.Steps {
		if !step.OK {
			failed = append(failed, step.Name+": "+step.Trouble)
		}
	}
	a.found(ctx, inspect.SmokeFailed, "", firstLines(strings.Join(failed, "\n"), 5))
}

// TellSmoke tells people how a walk went that was made from outside, waits until they are told, and closes the watcher. It
// is for the command line on a machine where no watcher runs; nothing is looked at.
func (w *Watcher) TellSmoke(ctx context.Context, r smoke.Result) error {
	telling, stop := context.WithTimeout(ctx, onceWithin)
	var running sync.WaitGroup
	running.Go(func() { w.alarm.tell(telling) })
	w.alarm.judge(ctx, r)
	err := w.everybodyTold(ctx)
	stop()
	running.Wait()
	return errors.Join(err, w.listener.Close(), w.tearDown(context.WithoutCancel(ctx)))
}
