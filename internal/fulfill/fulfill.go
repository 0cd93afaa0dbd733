// Package fulfill gives what was paid for. Bookings (the licence, the stock) are committed with the order itself; effects
// in the outside world (the mail) are jobs here: first the intent is kept, then the effect happens under a fixed
// idempotency key, then its receipt is kept.
package fulfill

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/makegood/makegood"
)

// Effect is one thing that can be done for an order in the outside world.
type Effect interface {
	// Name is the step's name.
	Name() string
	// Make renders what will be sent for a step, once; the same bytes are given to every Bring.
	Make(o makegood.Order, step string) ([]byte, error)
	// Bring brings the effect about and returns what the other side calls it. Two calls with the same bytes within
	// RemembersFor have one effect. An error that is NoEffect certainly had none.
	//
	// round is how often a person asked for the effect again after it was done; each round is an effect of its own.
	Bring(ctx context.Context, message []byte, round int) (receipt string, err error)
	// RemembersFor is how long the other side recognises a repetition; 0 when it never does.
	RemembersFor() time.Duration
}

// Finder is an Effect that can look whether it happened. It is an optional ability.
type Finder interface {
	// Find looks for the newest effect of these bytes since a time. found false without an error means that it certainly did not
	// happen; ErrCannotLook that nobody will ever tell.
	Find(ctx context.Context, message []byte, since time.Time) (receipt string, found bool, err error)
}

// ErrCannotLook: the other side will not tell whether the effect happened.
var ErrCannotLook = errors.New("the other side cannot be looked at")

// Waiter is an Effect that knows when trying is of no use just now. It is an optional ability.
type Waiter interface {
	// Ready returns a *makegood.Snooze, or nil when the effect may be tried. It promises nothing.
	Ready() error
}

// NoEffect is an error after which it is certain that the effect did not happen.
type NoEffect struct{ Err error }

// Error returns the cause's text.
func (e *NoEffect) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *NoEffect) Unwrap() error { return e.Err }

// Answered is an error with what the other side said. The words are kept on the step, where people look, and stay out of
// the error's text, which is logged: whoever answers may repeat the customer's address.
type Answered struct {
	Err   error
	Words string
}

// Error returns the cause's text alone.
func (e *Answered) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *Answered) Unwrap() error { return e.Err }

// Store is what fulfilling needs kept.
type Store interface {
	// Intend keeps that an attempt is about to start, and what will be sent: rendered by message for the first attempt,
	// returned as kept for every later one. When the returned step is not owed there is nothing to do.
	Intend(ctx context.Context, orderID, step string, settle func(*makegood.Order) []makegood.Entry,
		message func(makegood.Order) ([]byte, error)) (kept []byte, at makegood.Step, err error)
	// AmendOrder commits one change of one order with all that follows, or nothing.
	AmendOrder(ctx context.Context, a makegood.Amendment) (makegood.Order, error)
}

// Fulfiller does the effect jobs.
type Fulfiller struct {
	Effects map[string]Effect
	Store   Store
	Terms   func(keyTaken func(string) bool) makegood.Terms
	Now     func() time.Time
	Log     *slog.Logger
}

// forgetMargin is kept from the end of the other side's memory: its clock and ours differ, and a request takes a while.
const forgetMargin = time.Hour

// Work is the effect job. A crash before the effect leaves an intent, and the next run simply does it. A crash after the
// effect and before its receipt leaves the same picture; the next run repeats with the same key while the other side
// still recognises it, and after that hands the step to a person rather than sending twice.
func (f *Fulfiller) Work(ctx context.Context, job makegood.Job) error {
	effect, ok := f.Effects[makegood.EffectOf(job.Step)]
	if !ok && makegood.IsTelling(job.Step) {
		f.Log.Warn("a destination that is not configured any more is not told", "order", job.OrderID, "job", job.Step)
		_, err := f.amend(ctx, job, func(o *makegood.Order) { o.Withdraw(job.Step) })
		return err
	}
	if !ok {
		return fmt.Errorf("the effect %q is not configured any more", makegood.EffectOf(job.Step))
	}
	if w, ok := effect.(Waiter); ok { // before anything is written: many jobs may be waiting
		if err := w.Ready(); err != nil {
			return err
		}
	}
	render := func(o makegood.Order) ([]byte, error) { return effect.Make(o, job.Step) }
	message, step, err := f.Store.Intend(ctx, job.OrderID, job.Step, f.settle, render)
	if err != nil || step.State != makegood.StepOwed {
		return err
	}
	receipt, happened, err := f.lookBack(ctx, effect, message, &step)
	if err != nil {
		return err
	}
	if !happened {
		receipt, err = effect.Bring(ctx, message, step.Round)
	}
	// From here on the outside world may have changed: what follows is recorded even when we are being stopped.
	ctx = context.WithoutCancel(ctx)
	if err != nil {
		return f.missed(ctx, job, step, err)
	}
	accepted := f.Now()
	_, err = f.amend(ctx, job, func(o *makegood.Order) { o.Done(job.Step, receipt, accepted) })
	return err
}

// lookBack finds out what became of an earlier attempt that the other side may not recognise as a repetition any more. It
// asks there, when there is somebody to ask; when nobody can tell, a person decides, because twice is worse than late. An
// effect without a memory is repeated: a second mail is better than none, and its Message-ID lets mail programs see that
// it is the same.
func (f *Fulfiller) lookBack(ctx context.Context, effect Effect, message []byte, step *makegood.Step) (receipt string, happened bool, err error) {
	remembers := effect.RemembersFor()
	doubt := f.Now().Sub(step.UncertainSince)
	if !step.InDoubt || remembers == 0 || doubt < remembers-forgetMargin {
		return "", false, nil
	}
	doubtful := func(why error) error {
		return &makegood.Permanent{Reason: makegood.DeadDoubtful, Err: fmt.Errorf("an attempt %v ago may have succeeded and the "+
			"other side does not remember it any more; look there whether it arrived before it is repeated (%w)", doubt.Round(time.Minute), why)}
	}
	finder, ok := effect.(Finder)
	if !ok {
		return "", false, doubtful(ErrCannotLook)
	}
	receipt, happened, err = finder.Find(ctx, message, step.UncertainSince)
	if errors.Is(err, ErrCannotLook) {
		return "", false, doubtful(err)
	}
	if err != nil {
		return "", false, fmt.Errorf("look whether an earlier attempt succeeded: %w", err)
	}
	if happened && step.Round > 0 && receipt == step.Receipt {
		happened = false // the newest that is there is that of the round before
	}
	step.InDoubt = false // it certainly did not happen
	return receipt, happened, nil
}

// missed records a failed attempt on the step, where people look, and returns the error for the queue to decide.
func (f *Fulfiller) missed(ctx context.Context, job makegood.Job, step makegood.Step, cause error) error {
	var none *NoEffect
	certain := errors.As(cause, &none) && !step.InDoubt
	reason := cause.Error()
	var answered *Answered
	if errors.As(cause, &answered) && answered.Words != "" {
		reason += ": " + answered.Words
	}
	_, err := f.amend(ctx, job, func(o *makegood.Order) { o.Missed(job.Step, reason, certain) })
	if err != nil {
		f.Log.Error("failed attempt cannot be recorded", "order", job.OrderID, "job", job.Kind, "err", err)
	}
	return cause
}

func (f *Fulfiller) amend(ctx context.Context, job makegood.Job, change func(*makegood.Order)) (makegood.Order, error) {
	return f.Store.AmendOrder(ctx, makegood.Amendment{
		OrderID: job.OrderID,
		Actor:   "system:effects",
		Change: func(o *makegood.Order, _ func(string) bool) ([]makegood.Entry, error) {
			change(o)
			return f.settle(o), nil
		},
	})
}

// settle settles an order whose facts did not change: no key is derived, so none can be taken.
func (f *Fulfiller) settle(o *makegood.Order) []makegood.Entry {
	return o.Settle(f.Terms(func(string) bool { return false }))
}
