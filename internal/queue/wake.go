package queue

import (
	"context"
	"encoding/json"
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
	polled   bool
	nextLook time.Time // when the inner listener is asked again, however busy our own process is
}

// lookTime bounds one look of a polled listener. It ends before River's listener would look a second time.
const lookTime = 40 * time.Millisecond

// WaitForNotification returns the next wake of this process or notification of another.
func (l *wakingListener) WaitForNotification(ctx context.Context) (*riverdriver.Notification, error) {
	for {
		if l.polled && !time.Now().Before(l.nextLook) {
			l.nextLook = time.Now().Add(outsidePoll)
			if n, err := l.listen(ctx, lookTime); n != nil || err != nil {
				return n, err
			}
		}
		if n := l.own(); n != nil {
			return n, nil
		}
		if l.polled {
			if err := l.sleep(ctx, time.Until(l.nextLook)); err != nil {
				return nil, err
			}
			continue
		}
		if n, err := l.listen(ctx, 0); n != nil || err != nil {
			return n, err
		}
	}
}

// own returns the next wake of this process, or nil.
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

// sleep waits until there is a wake, which it leaves for own, or the time is over.
func (l *wakingListener) sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-l.wakes.signal:
		l.again()
	case <-timer.C:
	}
	return nil
}

// listen waits for a notification from outside, until there is a wake, which it leaves for own, or the time is over (0:
// never). Nothing heard is nil, nil.
func (l *wakingListener) listen(ctx context.Context, d time.Duration) (*riverdriver.Notification, error) {
	inner, cancel := context.WithCancel(ctx)
	defer cancel()
	if d > 0 {
		defer time.AfterFunc(d, cancel).Stop()
	}
	type heard struct {
		n   *riverdriver.Notification
		err error
	}
	outside := make(chan heard, 1)
	go func() {
		n, err := l.Listener.WaitForNotification(inner)
		outside <- heard{n, err}
	}()
	var h heard
	select {
	case h = <-outside:
	case <-l.wakes.signal:
		l.again()
		cancel()
		h = <-outside // it may have heard something at the same moment
	}
	if h.n == nil && inner.Err() != nil && ctx.Err() == nil {
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
