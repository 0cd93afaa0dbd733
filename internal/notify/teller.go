package notify

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/telemetry"
)

// Outbox is what the teller needs kept. Every method commits before it returns, and may be called again after an error.
type Outbox interface {
	// ClaimNotices gives what choose picks to the caller for makegood.NoticeLease. choose may put off others by moving their
	// NotBefore.
	ClaimNotices(ctx context.Context, channel string, now time.Time,
		choose func(due []makegood.Notice, sent []makegood.SentMessage) (ids []string, messageID string)) ([]makegood.Notice, error)
	// WaitingNotices says for each channel that has something to tell when the first of it is due.
	WaitingNotices(ctx context.Context) (map[string]time.Time, error)
	// AmendIncidents changes incidents, all in one commit.
	AmendIncidents(ctx context.Context, ids []string, change func(*makegood.Incident) error) error
	// IncidentsByID loads incidents without their notices.
	IncidentsByID(ctx context.Context, ids []string) ([]makegood.Incident, error)
	// EarlierMessages returns in which messages a channel told that the incidents had begun.
	EarlierMessages(ctx context.Context, channel string, incidents []string) ([]makegood.EarlierMessage, error)
	// ChannelTests and KeepChannelTest remember how the daily tests ended.
	ChannelTests(ctx context.Context) (map[string]makegood.ChannelTest, error)
	KeepChannelTest(ctx context.Context, channel, trouble string) error
}

// Named is a channel with the name and the kind that the configuration gives it.
type Named struct {
	Name    string
	Kind    string
	Channel Channel
}

// Options are what a Teller stands on.
type Options struct {
	Outbox     Outbox
	Channels   []Named
	Escalation makegood.Escalation
	Links      Links
	Now        func() time.Time
	NewID      func(prefix string) string
	Jitter     func() float64 // in [0,1); random when nil
	Log        *slog.Logger
	Metrics    *telemetry.Metrics
	// Ill is told that a channel does not work (trouble says why), or that it works again (trouble is ""). It may be told the
	// same again. nil is nobody.
	Ill func(ctx context.Context, channel, trouble string)
	// Pace is how often a kind of channel may speak; PaceOf when nil.
	Pace func(kind string) Pace
}

// Teller empties the outbox. Each channel has a worker of its own, so that one that hangs delays no other, and no probe.
//
// A notice is claimed in one commit, sent, and settled in another. A crash between the two leaves it claimed: after its
// lease another teller sends the same message again under the same id. So nothing is lost, and what is repeated can be told.
type Teller struct {
	Options
	workers map[string]*worker
	said    *telemetry.CounterVec
	failed  *telemetry.CounterVec
}

type worker struct {
	Named
	pace Pace
	wake chan struct{}
	// stuck counts calls of the channel that did not come back in their time, and still have not.
	stuck atomic.Int32
	// failedTests counts the tests in a row that failed.
	failedTests atomic.Int32

	mu        sync.Mutex
	unsettled *attempt // what could not be written down
}

// attempt is how it went when a channel told something.
type attempt struct {
	claimed []makegood.Notice
	receipt Receipt
	err     error
}

// stuckMax is how many calls of one channel may hang at a time. A channel that ignores its deadline would else leave one
// more behind with each attempt.
const stuckMax = 3

// NewTeller makes a teller of channels whose names differ.
func NewTeller(o Options) *Teller {
	if o.Jitter == nil {
		o.Jitter = rand.Float64
	}
	if o.Pace == nil {
		o.Pace = PaceOf
	}
	if o.Ill == nil {
		o.Ill = func(context.Context, string, string) {}
	}
	t := &Teller{Options: o, workers: map[string]*worker{}}
	for _, c := range o.Channels {
		t.workers[c.Name] = &worker{Named: c, pace: o.Pace(c.Kind), wake: make(chan struct{}, 1)}
	}
	t.said = o.Metrics.Counter("notices_accepted_total", "Notices that a channel's service accepted.", "channel", "kind")
	t.failed = o.Metrics.Counter("notice_failures_total", "Attempts to tell somebody that failed.", "channel", "reason")
	return t
}

// Names lists the channels, sorted.
func (t *Teller) Names() []string { return slices.Sorted(maps.Keys(t.workers)) }

// pollEvery is how often the outbox is looked at when nobody wakes the teller: another node may have filled it, and what
// waits for its time comes due.
const pollEvery = 500 * time.Millisecond

// Run tells until ctx ends. What is being sent then is finished and settled.
func (t *Teller) Run(ctx context.Context) {
	var all sync.WaitGroup
	for _, w := range t.workers {
		all.Go(func() { t.work(ctx, w) })
		all.Go(func() { t.testDaily(ctx, w) })
	}
	all.Go(func() { t.dispatch(ctx) })
	all.Wait()
}

// Wake says that the outbox may have something new. It never blocks.
func (t *Teller) Wake() {
	for _, w := range t.workers {
		w.call()
	}
}

func (w *worker) call() {
	select {
	case w.wake <- struct{}{}:
	default: // it will look anyway
	}
}

// dispatch wakes the workers whose notices come due.
func (t *Teller) dispatch(ctx context.Context) {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		waiting, err := t.Outbox.WaitingNotices(ctx)
		if err != nil {
			if ctx.Err() == nil {
				t.Log.Warn("the outbox cannot be read", "err", err)
			}
			continue
		}
		for channel, due := range waiting {
			w := t.workers[channel]
			switch {
			case w != nil && !due.After(t.Now()):
				w.call()
			case w == nil && t.Now().Sub(due) >= unservedAfter:
				if err := t.GiveUp(ctx, channel); err != nil && ctx.Err() == nil {
					t.Log.Error("what waits for a channel that is gone cannot be kept", "channel", channel, "err", err)
				}
			}
		}
	}
}

// unservedAfter is how long something may be due over a channel that we do not know, before it is told over others: another
// node may still know it.
const unservedAfter = 15 * time.Second

// GiveUp takes what is due over a channel that is not configured: alarms go to others at once, and the word of an end waits
// for a day, in case the channel comes back.
func (t *Teller) GiveUp(ctx context.Context, channel string) error {
	var left []makegood.Notice
	_, err := t.Outbox.ClaimNotices(ctx, channel, t.Now().Add(-unservedAfter), func(due []makegood.Notice, _ []makegood.SentMessage) ([]string, string) {
		left = slices.Clone(due)
		return nil, ""
	})
	if err != nil || len(left) == 0 {
		return err
	}
	t.Log.Warn("notices wait for a channel that is not configured", "channel", channel, "notices", len(left))
	return t.amend(ctx, left, func(i *makegood.Incident, terms makegood.IncidentTerms, n makegood.Notice) { i.Unserved(terms, n.ID) })
}

// work tells one channel what is due, message after message.
func (t *Teller) work(ctx context.Context, w *worker) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-w.wake:
		}
		for {
			told, err := t.Once(ctx, w.Name)
			if err != nil {
				if ctx.Err() == nil {
					t.Log.Error("what people are to be told cannot be kept", "channel", w.Name, "err", err)
				}
				break // the dispatcher calls again
			}
			if !told {
				break
			}
		}
	}
}

// Once tells a channel its next message, if one is due, and reports whether it tried. Its error is the outbox's.
func (t *Teller) Once(ctx context.Context, channel string) (tried bool, err error) {
	w := t.workers[channel]
	if w == nil {
		return false, fmt.Errorf("there is no channel %q", channel)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.unsettled != nil { // first what was said already: it would be said again
		return true, t.settle(ctx, w, *w.unsettled)
	}
	var c choice
	claimed, err := t.Outbox.ClaimNotices(ctx, channel, t.Now(), func(due []makegood.Notice, sent []makegood.SentMessage) ([]string, string) {
		if c = w.pace.choose(due, sent, t.Now()); c.message == "" {
			c.message = t.NewID(makegood.MessagePrefix)
		}
		return c.ids, c.message
	})
	if err != nil {
		return false, err
	}
	if len(c.limited) > 0 {
		return false, t.amend(ctx, c.limited, func(i *makegood.Incident, terms makegood.IncidentTerms, n makegood.Notice) {
			i.Limited(terms, n.ID, c.until)
		})
	}
	if len(claimed) == 0 {
		return false, nil
	}
	m, err := t.message(context.WithoutCancel(ctx), w, claimed)
	if err != nil {
		return true, err
	}
	if t.Now().After(claimed[0].LeaseUntil) {
		return true, nil // we were stopped in between: another teller may have it
	}
	a := attempt{claimed: claimed}
	a.receipt, a.err = t.send(ctx, w, m)
	return true, t.settle(ctx, w, a)
}

func (t *Teller) message(ctx context.Context, w *worker, claimed []makegood.Notice) (Message, error) {
	var all, over []string
	for _, n := range claimed {
		all = append(all, n.IncidentID)
		if !n.IsAlarm() {
			over = append(over, n.IncidentID)
		}
	}
	slices.Sort(all)
	list, err := t.Outbox.IncidentsByID(ctx, slices.Compact(all))
	if err != nil {
		return Message{}, err
	}
	incidents := make(map[string]makegood.Incident, len(list))
	for _, i := range list {
		incidents[i.ID] = i
	}
	m := compose(claimed[0].MessageID, claimed, incidents, t.Links, w.Name, t.Now())
	if len(over) > 0 {
		if m.Earlier, err = t.Outbox.EarlierMessages(ctx, w.Name, over); err != nil {
			return Message{}, err
		}
	}
	return m, nil
}

// send makes one attempt within its time. A channel that panics or ignores its deadline is one that failed.
func (t *Teller) send(ctx context.Context, w *worker, m Message) (Receipt, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), makegood.SendTimeout)
	defer cancel()
	return w.within(ctx, func() (Receipt, error) { return w.Channel.Send(ctx, m) })
}

// within calls a channel and waits for it, but not longer than its time. A channel that panics or ignores its deadline is one
// that failed; its errors are *Error, whatever it returned.
func (w *worker) within(ctx context.Context, call func() (Receipt, error)) (Receipt, error) {
	if w.stuck.Load() >= stuckMax {
		return Receipt{}, &Error{Channel: w.Kind, Reason: ReasonResting, Err: errors.New("earlier attempts have not come back")}
	}
	type end struct {
		receipt Receipt
		err     error
	}
	ended := make(chan end, 1)
	w.stuck.Add(1)
	go func() {
		var e end
		defer func() {
			if p := recover(); p != nil {
				e.err = &Error{Channel: w.Kind, Reason: ReasonClient, Doubt: true, Err: fmt.Errorf("the channel panicked: %s", panicText(p))}
			}
			w.stuck.Add(-1)
			ended <- e
		}()
		e.receipt, e.err = call()
	}()
	select {
	case e := <-ended:
		return e.receipt, w.own(e.err)
	case <-ctx.Done():
	}
	select {
	case e := <-ended: // what answers in the same moment still counts
		return e.receipt, w.own(e.err)
	default:
		return Receipt{}, &Error{Channel: w.Kind, Reason: ReasonTimeout, Doubt: true, Err: errors.New("no answer within its time")}
	}
}

// panicText says what a panic was, as far as that is surely free of secrets.
func panicText(p any) string {
	if err, ok := p.(runtime.Error); ok {
		return err.Error()
	}
	return fmt.Sprintf("%T", p)
}

// own makes an *Error of an error that is none. Its text may hold an address with a secret in it, so it is not kept.
func (w *worker) own(err error) error {
	var e *Error
	if err == nil || errors.As(err, &e) {
		return err
	}
	return &Error{Channel: w.Kind, Reason: ReasonOf(err), Doubt: true, Err: fmt.Errorf("%T", err)}
}

// settleWithin bounds the writing down of an attempt, so that a database that hangs does not hold up a stop for ever.
const settleWithin = 8 * time.Second

// settle writes down how an attempt ended, on every incident of the message, in one commit. It does so even when we are told to
// stop: an unsettled message would be sent again. When it cannot be written down it is kept in mind and comes first next time.
func (t *Teller) settle(ctx context.Context, w *worker, a attempt) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleWithin)
	defer cancel()
	attempts := 0
	for _, n := range a.claimed {
		attempts = max(attempts, n.Attempts)
	}
	wait := t.wait(a.err, attempts+1)
	w.unsettled = &a
	err := t.amend(ctx, a.claimed, func(i *makegood.Incident, terms makegood.IncidentTerms, n makegood.Notice) {
		if a.err == nil {
			i.Accepted(terms, n.ID, a.receipt.RemoteID, a.receipt.Delivered)
		} else {
			i.NotTold(terms, n.ID, textOf(a.err), wait, isDoubtful(a.err))
		}
	})
	if code := makegood.CodeOf(err); err == nil || code != makegood.Unavailable && ctx.Err() == nil {
		w.unsettled = nil // what no repetition can write down must not hold up the channel
	}
	if err != nil {
		return err
	}
	t.count(w, a.claimed, a.err, attempts+1)
	switch {
	case a.err == nil:
		t.Ill(ctx, w.Name, "")
	case attempts+1 >= illAfter || ReasonOf(a.err) == ReasonAuth:
		t.Ill(ctx, w.Name, textOf(a.err))
	}
	return nil
}

// amend changes the incidents of notices, in one commit.
func (t *Teller) amend(ctx context.Context, notices []makegood.Notice, change func(*makegood.Incident, makegood.IncidentTerms, makegood.Notice)) error {
	byIncident := map[string][]makegood.Notice{}
	for _, n := range notices {
		byIncident[n.IncidentID] = append(byIncident[n.IncidentID], n)
	}
	// One moment for all: what is tried again together must come due together, or it would go out in parts.
	now := t.Now()
	return t.Outbox.AmendIncidents(ctx, slices.Collect(maps.Keys(byIncident)), func(i *makegood.Incident) error {
		terms := makegood.IncidentTerms{Escalation: t.Escalation, Channels: t.Names(), Now: now, Actor: "system:teller", Muted: i.Muted, NewID: t.NewID}
		for _, n := range byIncident[i.ID] {
			change(i, terms, n)
		}
		return nil
	})
}

// illAfter is how many attempts of one message fail before the channel itself is an incident. Refused credentials are one
// at once: no repetition mends them.
const illAfter = 3

func (t *Teller) count(w *worker, claimed []makegood.Notice, err error, attempt int) {
	if err == nil {
		for _, n := range claimed {
			t.said.With(w.Name, string(n.Kind)).Inc()
		}
		t.Log.Info("somebody was told", "channel", w.Name, "message", claimed[0].MessageID, "notices", len(claimed), "attempt", attempt)
		return
	}
	t.failed.With(w.Name, string(ReasonOf(err))).Inc()
	t.Log.Warn("a channel could not tell", "channel", w.Name, "message", claimed[0].MessageID, "attempt", attempt, "err", err)
}

// wait is how long until the next attempt: what the service asks for, else our own patience.
func (t *Teller) wait(err error, attempt int) time.Duration {
	if err == nil {
		return 0
	}
	wait := makegood.NoticeBackoff(attempt, t.Jitter())
	var e *Error
	if errors.As(err, &e) && e.RetryAfter > 0 {
		wait = max(wait, min(e.RetryAfter, waitAskedMax))
	}
	return wait
}

// waitAskedMax bounds what a service may ask of an alert: an alert is worth a try before an hour is over.
const waitAskedMax = 10 * time.Minute

func isDoubtful(err error) bool {
	var e *Error
	if errors.As(err, &e) {
		return e.Doubt
	}
	return true
}

// errorTextMax bounds what is kept of an error, in characters.
const errorTextMax = 300

func textOf(err error) string {
	text := []rune(err.Error())
	if len(text) > errorTextMax {
		text = append(text[:errorTextMax-1], '…')
	}
	return string(text)
}
