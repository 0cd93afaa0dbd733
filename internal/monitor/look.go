package monitor

import (
	"context"
	"time"

	"github.com/makegood/makegood/internal/probe"
	"github.com/makegood/makegood/internal/telemetry"
)

// look lets a monitor's prober look once, within its time-out. When the prober does not keep it, the look ends without it;
// returned is closed when the prober has come back.
func (r *Runner) look(ctx context.Context, m Monitor, slow bool) (s probe.Sight, returned <-chan struct{}) {
	back := make(chan struct{})
	place, err := r.enter(ctx, m.Local, slow)
	if err != nil {
		close(back)
		return probe.Sight{At: r.options.Now(), Unknown: true, Trouble: "the look was called off"}, back
	}
	ctx, cancel := context.WithTimeout(ctx, m.Timeout)
	began := time.Now()
	seen := make(chan probe.Sight, 1) // the prober does not wait for us
	go func() {
		defer close(back)
		defer cancel()
		defer place.leave()
		seen <- r.safely(ctx, m)
	}()
	late := time.NewTimer(m.Timeout + lookGrace)
	defer late.Stop()
	moving := time.NewTimer(quickFor)
	defer moving.Stop()
	for {
		select {
		case s := <-seen:
			// The prober's own clock may be another one; how long it took is what delays others, so it is measured here.
			s.Took = max(s.Took, time.Since(began))
			<-back // it comes at once
			return s, back
		case <-moving.C:
			if !place.move(r.quick, r.slow) {
				moving.Reset(quickFor)
			}
		case <-late.C:
			return probe.Sight{At: r.options.Now().Add(-time.Since(began)), Took: time.Since(began), Unknown: true, Trouble: "the look did not end"}, back
		}
	}
}

// safely turns a panic of a prober into a sight: one broken prober must not end the watch over all others.
func (r *Runner) safely(ctx context.Context, m Monitor) (s probe.Sight) {
	defer func() {
		if p := recover(); p != nil {
			r.options.Log.Error("a prober panicked", "check", m.Key(), "panic", p)
			s = probe.Sight{At: r.options.Now(), Unknown: true, Trouble: "the look broke off"}
		}
	}()
	return m.Prober.Look(ctx)
}

// inquiry is a question to a second vantage.
type inquiry struct {
	limit time.Duration // of one answer
	now   chan struct{} // closed when it should be asked at once
	seen  chan probe.Sight
	stop  context.CancelFunc
	asked bool
}

// inquire prepares to ask the second vantage. When the monitor is suspect it is asked together with our own look. When it is
// well, only once our look is red, or has used up half its time, which is suspicious enough: so nobody asks for what is well,
// and a time-out here and a time-out there do not add up.
func (r *Runner) inquire(ctx context.Context, m Monitor, suspect bool) *inquiry {
	ctx, stop := context.WithCancel(ctx)
	q := &inquiry{limit: m.Timeout + secondMargin, now: make(chan struct{}), seen: make(chan probe.Sight, 1), stop: stop}
	if suspect {
		q.asked = true
		close(q.now)
	}
	r.looking.Go(func() {
		half := time.NewTimer(m.Timeout / 2)
		defer half.Stop()
		select {
		case <-q.now:
		case <-half.C:
		case <-ctx.Done():
			return
		}
		ctx, cancel := context.WithTimeout(ctx, q.limit)
		defer cancel()
		m.Prober = m.Second
		q.seen <- r.safely(ctx, m)
	})
	return q
}

// answer asks, if that has not been done, and waits for what the second vantage saw. What does not come in time is Unknown.
func (q *inquiry) answer(ctx context.Context) *probe.Sight {
	if !q.asked {
		q.asked = true
		close(q.now)
	}
	late := time.NewTimer(q.limit + secondMargin)
	defer late.Stop()
	select {
	case s := <-q.seen:
		return &s
	case <-late.C:
	case <-ctx.Done():
	}
	return &probe.Sight{Unknown: true, Trouble: "the second vantage did not answer"}
}

// meters are nil-safe: without metrics they count into nothing that anybody reads.
type meters struct {
	looks *telemetry.CounterVec
	late  *telemetry.Histogram
}

func newMeters(m *telemetry.Metrics) meters {
	if m == nil {
		m = telemetry.NewMetrics()
	}
	return meters{
		looks: m.Counter("looks_total", "Looks of monitors, by what they saw.", "seen"),
		late:  m.Histogram("look_lateness_seconds", "How much later than planned a look began.").With(),
	}
}

func (m meters) count(s probe.Sight) {
	switch {
	case s.Unknown:
		m.looks.With("unknown").Inc()
	case s.Red():
		m.looks.With("red").Inc()
	default:
		m.looks.With("green").Inc()
	}
}
