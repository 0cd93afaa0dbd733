package notify

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
)

// recipients tells several people of one message, each by a sending of their own, all at once.
//
// It remembers in memory whom a message has reached, so that the repetition after a failure goes to the others only. After
// a restart it does not know, and tells somebody twice rather than somebody not at all.
type recipients struct {
	all []string
	// skipped is told of somebody who is refused for good while others were reached; nil is nobody.
	skipped func(position int, why *Error)

	memory
}

// tell sends to whom m has not reached yet. When somebody was reached and the others are refused for good, the channel has
// told: a number that is wrong must not make an alarm look lost. When somebody may be reached later it is an error, with
// doubt, because somebody was.
func (r *recipients) tell(ctx context.Context, messageID string, send func(ctx context.Context, to string) (string, error)) (Receipt, error) {
	failures := make([]error, len(r.all))
	var wg sync.WaitGroup
	for i, to := range r.all {
		if _, ok := r.remembered(messageID, to); ok {
			continue
		}
		wg.Go(func() {
			id, err := send(ctx, to)
			if failures[i] = err; err == nil {
				r.remember(messageID, to, id)
			}
		})
	}
	wg.Wait()
	var ids []string
	for _, to := range r.all {
		if id, ok := r.remembered(messageID, to); ok {
			ids = append(ids, id)
		}
	}
	worst := worstOf(failures)
	if worst == nil || len(ids) > 0 && worst.Reason == ReasonClient {
		r.tellSkipped(failures)
		return Receipt{RemoteID: strings.Join(ids, ",")}, nil
	}
	worst.Doubt = worst.Doubt || len(ids) > 0
	return Receipt{}, worst
}

// worstOf prefers a failure that a repetition may cure.
func worstOf(failures []error) *Error {
	var worst *Error
	for _, err := range failures {
		var e *Error
		if !errors.As(err, &e) {
			continue
		}
		if worst == nil || worst.Reason == ReasonClient && e.Reason != ReasonClient {
			if worst != nil {
				e.Doubt = e.Doubt || worst.Doubt
			}
			worst = e
		} else {
			worst.Doubt = worst.Doubt || e.Doubt
		}
	}
	return worst
}

func (r *recipients) tellSkipped(failures []error) {
	for i, err := range failures {
		var e *Error
		if r.skipped != nil && errors.As(err, &e) {
			r.skipped(i+1, e)
		}
	}
}

// memory keeps what of a message is done already, so that its repetition goes on where the attempt before ended. It is
// bounded and gone after a restart; then everything is done once more, which does no harm. The zero memory is ready.
type memory struct {
	mu    sync.Mutex
	done  map[string]map[string]string // message, what, remote id
	order []string                     // messages, oldest first
}

func (r *memory) remembered(messageID, what string) (string, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	id, ok := r.done[messageID][what]
	return id, ok
}

func (r *memory) remember(messageID, what, id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.done == nil {
		r.done = map[string]map[string]string{}
	}
	if r.done[messageID] == nil {
		r.done[messageID] = map[string]string{}
		r.order = append(r.order, messageID)
	}
	r.done[messageID][what] = id
	if len(r.order) > rememberedMax {
		delete(r.done, r.order[0])
		r.order = slices.Delete(r.order, 0, 1)
	}
}

// each does something with several of the past, a few at once, and returns one of the failures. After a failure nothing
// further is begun.
func each(earlier []Earlier, do func(Earlier) error) error {
	var (
		wg     sync.WaitGroup
		mu     sync.Mutex
		failed error
		places = make(chan struct{}, closingAtOnce)
	)
	for _, e := range earlier {
		places <- struct{}{}
		mu.Lock()
		isOver := failed != nil
		mu.Unlock()
		if isOver {
			break
		}
		wg.Go(func() {
			defer func() { <-places }()
			if err := do(e); err != nil {
				mu.Lock()
				failed = err
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return failed
}
