package queue

import (
	"context"
	"encoding/json"
	"errors"
	"sync"
	"time"

	"github.com/riverqueue/river/riverdriver"
)

// wakes carries "there is work in this queue" from a commit to River's workers without a detour over the database. Many
// wakes of a queue that nobody has heard yet are one.
type wakes struct {
	mu      sync.Mutex
	pending map[string]bool
	signal  chan struct{} // size 1: a signal that waits stands for all that follow
}

func newWakes() *wakes {
	return &wakes{pending: make(map[string]bool), signal: make(chan struct{}, 1)}
}

func (w *wakes) wake(queue string) {
	w.mu.Lock()
	w.pending[queue] = true
	w.mu.Unlock()
	select {
	case w.signal <- struct{}{}:
	default:
	}
}

// take removes one queue that has work and keeps the signal up while there are more.
func (w *wakes) take() (queue string, ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for queue = range w.pending {
		delete(w.pending, queue)
		ok = true
		break
	}
	if len(w.pending) > 0 {
		select {
		case w.signal <- struct{}{}:
		default:
		}
	}
	return queue, ok
}

// outsidePoll is how often the database is asked for what other processes announced: pause, resume, leadership. River's
// own listener on SQLite asks every 50 ms.
const outsidePoll = 500 * time.Millisecond

// wakingListener is River's listener with a second ear for our own process. River's own notification path on SQLite has
// a delay of up to 150 ms, and on PostgreSQL NOTIFY makes commits wait for each other.
type wakingListener struct {
	riverdriver.Listener
	wakes *wakes
	// polled is set where the inner listener polls anyway: it is then asked briefly and seldom.
	polled bool
}

// WaitForNotification returns the next wake of this process or notification of another.
func (l *wakingListener) WaitForNotification(ctx context.Context) (*riverdriver.Notification, error) {
	for {
		if n := l.own(); n != nil {
			return n, nil
		}
		n, err := l.waitOnce(ctx)
		if n != nil || err != nil {
			return n, err
		}
	}
}

func (l *wakingListener) own() *riverdriver.Notification {
	select {
	case <-l.wakes.signal:
	default:
		return nil
	}
	queue, ok := l.wakes.take()
	if !ok {
		return nil
	}
	payload, _ := json.Marshal(map[string]string{"queue": queue}) // strings always encode
	return &riverdriver.Notification{Topic: "river_insert", Payload: string(payload)}
}

// waitOnce waits until there is a wake, which it leaves for own, or a notification from outside.
func (l *wakingListener) waitOnce(ctx context.Context) (*riverdriver.Notification, error) {
	if l.polled {
		return l.pollOnce(ctx)
	}
	inner, cancel := context.WithCancel(ctx)
	defer cancel()
	type heard struct {
		n   *riverdriver.Notification
		err error
	}
	outside := make(chan heard, 1)
	go func() {
		n, err := l.Listener.WaitForNotification(inner)
		outside <- heard{n, err}
	}()
	select {
	case h := <-outside:
		return h.n, h.err
	case <-l.wakes.signal:
		l.again()
	}
	cancel()
	h := <-outside
	if h.n == nil && errors.Is(h.err, context.Canceled) && ctx.Err() == nil {
		return nil, nil
	}
	return h.n, h.err
}

// again puts the signal back for own.
func (l *wakingListener) again() {
	select {
	case l.wakes.signal <- struct{}{}:
	default:
	}
}

func (l *wakingListener) pollOnce(ctx context.Context) (*riverdriver.Notification, error) {
	timer := time.NewTimer(outsidePoll)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-l.wakes.signal:
		l.again()
		return nil, nil
	case <-timer.C:
	}
	brief, cancel := context.WithTimeout(ctx, 10*time.Millisecond)
	defer cancel()
	n, err := l.Listener.WaitForNotification(brief)
	if err != nil && brief.Err() != nil && ctx.Err() == nil {
		return nil, nil // nothing was announced
	}
	return n, err
}
