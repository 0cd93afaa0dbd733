package monitor

import (
	"cmp"
	"container/heap"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/probe"
	"github.com/makegood/makegood/internal/telemetry"
)

// Options are what a runner needs.
type Options struct {
	Ledger Ledger
	Now    func() time.Time // for times that are kept; intervals are measured by the monotonic clock
	Log    *slog.Logger
	// Network are targets of at least two owners. While none of them is well, we are blind. Without any we never are.
	Network []probe.Prober
	// Maintained reports whether a key is in maintenance, to show it. It changes nothing else: looking, counting and finding go
	// on, because a mute must not freeze history, and whether people are told is decided where they are told. nil is never.
	Maintained func(key string) bool
	// Open are the keys of the incidents that stand open and were found by a runner. Their monitors begin as down: an outage
	// that ended while nobody looked is cleared, and one that goes on is not found anew. Those of which there is no monitor any
	// more are cleared with the first Replace.
	Open    []string
	Metrics *telemetry.Metrics // nil counts nowhere
}

// Runner looks at many things, each at its own pace. One thing that hangs delays no other, nor does a ledger that hangs.
//
// There is one goroutine for the schedule, which never waits for anything but the time, and one for each look under way, of
// which a monitor has at most one. What is believed is told by other goroutines (see teller).
type Runner struct {
	options Options
	began   time.Time // the origin of the schedule
	teller  *teller
	network *network
	meters  meters
	quick   chan struct{} // places for looks; see looksQuickMax
	slow    chan struct{}
	wake    chan struct{} // the schedule has changed; one is enough, it is read as a whole

	mu      sync.Mutex
	watched map[string]*watched
	due     schedule
	open    map[string]bool
	ctx     context.Context // of Run; nil when it does not run
	looking sync.WaitGroup
}

// watched is a monitor and how it stands. Everything in it belongs to Runner.mu.
type watched struct {
	Monitor
	key     string
	grid    grid
	machine *Machine
	due     time.Duration // since Runner.began
	index   int           // in the schedule; -1 when it is not in it
	flight  *flight       // the look under way
	peek    *flight       // one that does not count
	cleared bool          // the ledger knows that all is well
	removed bool
	sight   probe.Sight // the last
	slow    bool        // the last look took longer than quickFor
	looks   int64
	red     int64
	unknown bool // the last look could see nothing
}

// flight is one look under way.
type flight struct {
	began time.Time
	seen  chan struct{} // closed when sight is there
	sight probe.Sight
}

// New makes a runner that watches nothing yet. It panics without a ledger.
func New(o Options) *Runner {
	if o.Ledger == nil {
		panic("monitor: a runner needs a ledger")
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Maintained == nil {
		o.Maintained = func(string) bool { return false }
	}
	r := &Runner{
		options: o, began: time.Now(), teller: newTeller(o.Ledger, o.Log), meters: newMeters(o.Metrics),
		quick: make(chan struct{}, looksQuickMax), slow: make(chan struct{}, looksSlowMax), wake: make(chan struct{}, 1),
		watched: map[string]*watched{}, open: map[string]bool{},
	}
	for _, key := range o.Open {
		r.open[key] = true
	}
	r.network = &network{targets: o.Network, now: o.Now, changed: r.blindChanged, poke: make(chan struct{}, 1), told: r.open[BlindCheck]}
	delete(r.open, BlindCheck)
	return r
}

// Run looks until ctx ends, and returns when no look and no call of the ledger is under way any more. It is called once.
func (r *Runner) Run(ctx context.Context) {
	var own sync.WaitGroup
	own.Go(func() { r.teller.run(ctx) })
	own.Go(func() { r.watchNetwork(ctx) })
	r.mu.Lock()
	r.ctx = ctx
	r.mu.Unlock()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for ctx.Err() == nil {
		timer.Reset(r.startDue())
		select {
		case <-timer.C:
		case <-r.wake:
		case <-ctx.Done():
		}
	}
	r.mu.Lock()
	r.ctx = nil
	r.mu.Unlock()
	r.looking.Wait()
	own.Wait()
}

// elapsed is the time on the schedule.
func (r *Runner) elapsed() time.Duration { return time.Since(r.began) }

// startDue starts what is due and returns how long to wait for the next.
func (r *Runner) startDue() time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	for len(r.due) > 0 {
		w := r.due[0]
		late := r.elapsed() - w.due
		if late < 0 {
			return -late
		}
		heap.Pop(&r.due)
		r.meters.late.Observe(late)
		r.startLook(w, true)
	}
	return time.Hour // whatever comes wakes us
}

// startLook is called under the lock, for a monitor of which no look is under way. asks is that the second vantage is asked
// too.
func (r *Runner) startLook(w *watched, asks bool) *flight {
	f := &flight{began: time.Now(), seen: make(chan struct{})}
	w.flight = f
	if w.index >= 0 {
		heap.Remove(&r.due, w.index)
	}
	ctx, m, suspect, slow := r.ctx, w.Monitor, w.machine.State() == Suspect, w.slow
	r.looking.Go(func() { r.lookAndJudge(ctx, w, m, f, asks, suspect, slow) })
	return f
}

// lookAndJudge is one look from its beginning to the ledger.
func (r *Runner) lookAndJudge(ctx context.Context, w *watched, m Monitor, f *flight, asks, suspect, slow bool) {
	var second *inquiry
	if m.Second != nil && asks {
		second = r.inquire(ctx, m, suspect)
		defer second.stop()
	}
	sight, returned := r.look(ctx, m, slow)
	if sight.Red() && !m.Local {
		r.mu.Lock()
		sure := w.machine.AtThreshold()
		r.mu.Unlock()
		sight = r.excuse(ctx, sight, f.began, sure)
	}
	f.sight = sight
	close(f.seen)
	var other *probe.Sight
	if second != nil && sight.Red() {
		other = second.answer(ctx)
	}
	r.judge(w, sight, other)
	select {
	case <-returned: // the rule: the look is over
	default:
		r.options.Log.Error("a look does not end", "check", w.key)
		select {
		case <-returned:
		case <-ctx.Done():
		}
	}
	r.land(w)
}

// excuse makes a red look unknown when we were blind while it lasted. sure is that the answer must be new, because something
// would be believed on the strength of it: an old one could be from before the cut.
func (r *Runner) excuse(ctx context.Context, s probe.Sight, began time.Time, sure bool) probe.Sight {
	notBefore := time.Now()
	if !sure {
		notBefore = notBefore.Add(-networkFresh)
	}
	if r.network.sees(ctx, notBefore) && !r.network.wasBlind(r.options.Now().Add(-time.Since(began))) {
		return s
	}
	s.Unknown, s.Trouble = true, "we cannot see"
	return s
}

// judge takes the sight in, and tells the ledger how it stands.
func (r *Runner) judge(w *watched, s probe.Sight, second *probe.Sight) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if w.removed {
		return
	}
	w.sight, w.unknown, w.slow = s, s.Unknown, s.Took > quickFor
	w.looks++
	if s.Red() {
		w.red++
	}
	r.meters.count(s)
	before := w.machine.State()
	after := w.machine.Observe(s, second)
	if after != before {
		r.options.Log.Info("a monitor has changed", "check", w.key, "from", string(before), "to", string(after))
	}
	if s.Unknown {
		return
	}
	r.report(w, after)
}

// report says how a monitor stands. While it is down that is said with every look, and when it is well until the ledger was
// told once: the teller does not give up.
func (r *Runner) report(w *watched, state State) {
	switch state {
	case Down, Healing:
		w.cleared = false
		r.teller.tell(w.key, news{finding: w.finding()})
	case Up:
		if !w.cleared {
			w.cleared = true
			r.teller.tell(w.key, news{why: "it is well again"})
		}
	}
}

func (w *watched) finding() *makegood.Finding {
	return &makegood.Finding{
		Check: w.Check.Code, Subject: w.Subject, Priority: w.Check.Priority, Title: w.Check.Title, Detail: w.sight.Trouble,
		Means: w.Check.Means, DependsOn: w.DependsOn, Since: w.machine.redSince,
	}
}

// land ends a look and puts the monitor back into the schedule.
func (r *Runner) land(w *watched) {
	r.mu.Lock()
	defer r.mu.Unlock()
	w.flight = nil
	if w.removed {
		return
	}
	now := r.elapsed()
	var sure time.Duration
	if !w.sight.Sure.IsZero() {
		sure = max(w.sight.Sure.Sub(r.options.Now()), 0)
	}
	r.put(w, w.grid.next(w.machine, now, sure))
}

// put sets when the monitor is looked at next. It is called under the lock.
func (r *Runner) put(w *watched, due time.Duration) {
	w.due = due
	if w.index >= 0 {
		heap.Fix(&r.due, w.index)
	} else {
		heap.Push(&r.due, w)
	}
	if r.due[0] == w {
		select {
		case r.wake <- struct{}{}:
		default: // it will wake anyway
		}
	}
}

// Replace makes these the monitors that are watched. Those whose key stays keep how they stand and when they are due; new ones
// begin, and of those that are gone the findings are cleared. When one of them cannot be watched, nothing changes, and the
// error says why.
func (r *Runner) Replace(all []Monitor) error {
	next, err := index(all)
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for key, w := range r.watched {
		if _, stays := next[key]; !stays {
			r.remove(w)
		}
	}
	for key, m := range next {
		if w, known := r.watched[key]; known {
			r.change(w, m)
		} else {
			r.add(key, m)
		}
	}
	for key := range r.open {
		r.teller.tell(key, news{why: "it is not watched any more"})
	}
	clear(r.open)
	return nil
}

// index checks the monitors and fills in what they do not say.
func index(all []Monitor) (map[string]Monitor, error) {
	if len(all) > monitorsMax {
		return nil, fmt.Errorf("%d monitors are more than %d", len(all), monitorsMax)
	}
	next := make(map[string]Monitor, len(all))
	for _, m := range all {
		key := m.Key()
		if _, twice := next[key]; twice || key == BlindCheck {
			return nil, fmt.Errorf("the key %q is taken", key)
		}
		if m.Check.Code == "" || m.Prober == nil {
			return nil, fmt.Errorf("the monitor %q has no code, or nothing that looks", key)
		}
		if m.Check.Every < 0 || m.Check.Again < 0 || m.Timeout < 0 {
			return nil, fmt.Errorf("the monitor %q has a negative time", key)
		}
		next[key] = m.filled()
	}
	return next, nil
}

func (m Monitor) filled() Monitor {
	d := Defaults()
	m.Check.Every = cmp.Or(m.Check.Every, d.Every)
	m.Check.Again = cmp.Or(m.Check.Again, d.Again)
	m.Check.Failures = cmp.Or(m.Check.Failures, d.Failures)
	m.Check.Successes = cmp.Or(m.Check.Successes, d.Successes)
	m.Timeout = cmp.Or(m.Timeout, DefaultTimeout)
	return m
}

func (r *Runner) add(key string, m Monitor) {
	w := &watched{Monitor: m, key: key, grid: newGrid(key, m.Check.Every), machine: NewMachine(m.Check, m.Second != nil), index: -1}
	if r.open[key] {
		delete(r.open, key)
		w.machine.StartDown(r.options.Now())
	}
	r.watched[key] = w
	r.put(w, w.grid.first(r.elapsed()))
}

func (r *Runner) change(w *watched, m Monitor) {
	if m.Check.Every != w.Check.Every {
		w.grid = newGrid(w.key, m.Check.Every)
		if w.index >= 0 {
			r.put(w, min(w.due, w.grid.after(r.elapsed())))
		}
	}
	w.machine.Set(m.Check, m.Second != nil)
	w.Monitor = m
}

func (r *Runner) remove(w *watched) {
	delete(r.watched, w.key)
	w.removed = true // a look that is under way is not judged
	if w.index >= 0 {
		heap.Remove(&r.due, w.index)
	}
	r.teller.tell(w.key, news{why: "it is not watched any more"})
}

// SetHealing shows that something is being done about a key, or no longer is.
func (r *Runner) SetHealing(key string, healing bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if w := r.watched[key]; w != nil {
		w.machine.SetHealing(healing)
	}
}

// errNotRunning: a look needs a runner that runs.
var errNotRunning = errors.New("the runner does not run")

// LookNow looks at a key without waiting for its turn: when a person asks, when a job has reported, when something was healed.
// The look counts like any other, but the second vantage is not asked. It begins after the call: one that is already under way
// could have missed what the caller knows. makegood.NotFound is that there is no such monitor.
func (r *Runner) LookNow(ctx context.Context, key string) (probe.Sight, error) {
	return r.join(ctx, key, func(w *watched) **flight { return &w.flight }, func(w *watched) *flight { return r.startLook(w, false) })
}

// Peek looks at a key for somebody else, who has to know whether he is the only one to see it red. It counts for nothing here,
// and asks no second vantage: two watchers who ask each other would never end. While we are blind the sight is Unknown.
func (r *Runner) Peek(ctx context.Context, key string) (probe.Sight, error) {
	return r.join(ctx, key, func(w *watched) **flight { return &w.peek }, r.startPeek)
}

func (r *Runner) startPeek(w *watched) *flight {
	f := &flight{began: time.Now(), seen: make(chan struct{})}
	w.peek = f
	ctx, m, slow := r.ctx, w.Monitor, w.slow
	r.looking.Go(func() {
		sight, returned := r.look(ctx, m, slow)
		if sight.Red() && !m.Local {
			sight = r.excuse(ctx, sight, f.began, true)
		}
		f.sight = sight
		close(f.seen)
		select {
		case <-returned:
		case <-ctx.Done():
		}
		r.mu.Lock()
		w.peek = nil
		r.mu.Unlock()
	})
	return f
}

// join waits for a look that began after the call; those who ask meanwhile share the next.
func (r *Runner) join(ctx context.Context, key string, place func(*watched) **flight, start func(*watched) *flight) (probe.Sight, error) {
	asked := time.Now()
	for {
		r.mu.Lock()
		w := r.watched[key]
		if w == nil || r.ctx == nil {
			r.mu.Unlock()
			if w == nil {
				return probe.Sight{}, makegood.NotFound
			}
			return probe.Sight{}, errNotRunning
		}
		f := *place(w)
		landing := f != nil && isClosed(f.seen)
		if f == nil {
			f = start(w)
		}
		r.mu.Unlock()
		if landing {
			// It has seen, and is being judged. That is short, or waits for a second vantage.
			if !f.began.Before(asked) {
				return f.sight, nil
			}
			if err := pause(ctx, landingPause); err != nil {
				return probe.Sight{}, err
			}
			continue
		}
		select {
		case <-f.seen:
			if !f.began.Before(asked) {
				return f.sight, nil
			}
		case <-ctx.Done():
			return probe.Sight{}, ctx.Err()
		}
	}
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Statuses says how every monitor stands, in the order of their keys.
func (r *Runner) Statuses() []Status {
	blind, blindSince := r.IsBlind()
	r.mu.Lock()
	all := make([]Status, 0, len(r.watched))
	for _, w := range r.watched {
		all = append(all, w.status(blind, blindSince))
	}
	r.mu.Unlock()
	for i := range all { // not under the lock: it is not ours
		if all[i].Maintained = r.options.Maintained(all[i].Key); all[i].Maintained {
			all[i].State = Maintenance
		}
	}
	slices.SortFunc(all, func(a, b Status) int { return cmp.Compare(a.Key, b.Key) })
	return all
}

func (w *watched) status(blind bool, blindSince time.Time) Status {
	s := Status{
		Key: w.key, Check: w.Check.Code, Subject: w.Subject, State: w.machine.State(), Since: w.machine.since, Believed: w.machine.State(),
		LookedAt: w.sight.At, Took: w.sight.Took, Trouble: w.sight.Trouble, Note: w.machine.Note(), Looks: w.looks, RedLooks: w.red,
	}
	switch {
	case blind && !w.Local:
		s.State, s.Since = Blind, blindSince
	case w.unknown:
		s.State, s.Since = Blind, w.sight.At
	}
	return s
}

// schedule is a heap of what is due.
type schedule []*watched

func (s schedule) Len() int           { return len(s) }
func (s schedule) Less(i, j int) bool { return s[i].due < s[j].due }
func (s schedule) Swap(i, j int) {
	s[i], s[j] = s[j], s[i]
	s[i].index, s[j].index = i, j
}

// Push is for package heap.
func (s *schedule) Push(x any) {
	w := x.(*watched)
	w.index = len(*s)
	*s = append(*s, w)
}

// Pop is for package heap.
func (s *schedule) Pop() any {
	last := len(*s) - 1
	w := (*s)[last]
	(*s)[last] = nil
	*s = (*s)[:last]
	w.index = -1
	return w
}
