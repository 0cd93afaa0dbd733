package probe

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/makegood/makegood"
)

// Beat is what is known of a job that reports by itself. A zero time is that it never happened.
type Beat struct {
	StartedAt   time.Time
	SucceededAt time.Time
	FailedAt    time.Time
	Took        time.Duration // of the last run that ended
	Note        string        // what it said when it last failed, such as "exit 3"
	FirstSeen   time.Time     // since when it is expected
}

// Beats keeps what jobs have reported.
type Beats interface {
	// LastBeat returns the newest reports of a job. A job that is not known is makegood.NotFound, or the zero Beat.
	LastBeat(ctx context.Context, name string) (Beat, error)
}

// Rule is when a job that reports by itself is in trouble: the dead man's switch, with the three reports of Healthchecks
// (start, success, fail).
type Rule struct {
	Every  time.Duration // between two successes
	Grace  time.Duration // how much later it may come
	Within time.Duration // how long a run that has said "start" may take; 0 is as long as it likes
}

// Deaf is a time in which reports could not reach us: we were blind, or not running. The zero Deaf is none.
type Deaf struct{ From, To time.Time }

// overlaps reports whether any of [from, to] was in it.
func (d Deaf) overlaps(from, to time.Time) bool {
	return !d.To.IsZero() && !d.From.After(to) && !d.To.Before(from)
}

// Judge says what is wrong at a time, "" when nothing is, and until when that answer stays the same if the job says nothing.
// Zero is that it stays.
//
// A report that was due while we were deaf may have been made and lost. It is forgiven, and the next one is waited for: a
// watcher whose network was cut must not call every job dead when it returns. A time in which nothing was due forgives
// nothing, so that a watcher that restarts each hour still notices a daily job that is missing.
func (r Rule) Judge(b Beat, now time.Time, deaf Deaf) (trouble string, sure time.Time) {
	if b.FailedAt.After(b.SucceededAt) {
		if b.Note == "" {
			return "it said that it failed", time.Time{}
		}
		return "it said that it failed: " + show(b.Note), time.Time{}
	}
	// A clock that was set back would keep a job well for as long as it was wrong.
	if ahead := b.SucceededAt.Sub(now); !b.SucceededAt.IsZero() && ahead > r.Every+r.Grace {
		return fmt.Sprintf("last success is %s ahead of the clock, which was set back", short(ahead)), time.Time{}
	}
	due := r.due(b, deaf)
	if !due.IsZero() && now.After(due) {
		return r.late(b, now), time.Time{}
	}
	if r.Within > 0 && b.StartedAt.After(b.SucceededAt) {
		end := b.StartedAt.Add(r.Within)
		if now.After(end) && !deaf.overlaps(b.StartedAt, end) {
			return fmt.Sprintf("started %s ago and not finished, expected within %s", short(now.Sub(b.StartedAt)), short(r.Within)), time.Time{}
		}
		if end.After(now) && (due.IsZero() || end.Before(due)) {
			due = end
		}
	}
	return "", due
}

// due is the last moment at which the next success is in time.
func (r Rule) due(b Beat, deaf Deaf) time.Time {
	base := b.SucceededAt
	if base.IsZero() {
		base = b.FirstSeen
	}
	if base.IsZero() || r.Every <= 0 {
		return time.Time{}
	}
	turn := base.Add(r.Every)
	if deaf.overlaps(turn.Add(-r.Grace), turn.Add(r.Grace)) {
		// The first turn that lies wholly behind the time of being deaf. Reckoned, not counted: a job each second and a
		// silence of a year would be many turns.
		behind := deaf.To.Sub(turn) + r.Grace
		turn = turn.Add((behind/r.Every + 1) * r.Every)
	}
	return turn.Add(r.Grace)
}

func (r Rule) late(b Beat, now time.Time) string {
	expected := "expected every " + short(r.Every)
	if r.Grace > 0 {
		expected += " + " + short(r.Grace) + " grace"
	}
	if b.SucceededAt.IsZero() {
		return fmt.Sprintf("no success yet in %s, %s", short(now.Sub(b.FirstSeen)), expected)
	}
	return fmt.Sprintf("last success %s ago, %s", short(now.Sub(b.SucceededAt)), expected)
}

// HeartbeatOptions say what a job is expected to report.
type HeartbeatOptions struct {
	Name       string
	Rule       Rule
	Beats      Beats
	Conditions []Condition // on [AGE], besides the rule; may be empty
	Deaf       func() Deaf // when reports could last not reach us; nil is never
	Now        func() time.Time
}

// Heartbeat looks whether a job has reported in time. A look reads what was kept and goes nowhere.
type Heartbeat struct {
	options HeartbeatOptions
	made    time.Time
}

var _ Prober = (*Heartbeat)(nil)

// NewHeartbeat makes a prober. A job of which nothing is known counts as expected from now on.
func NewHeartbeat(o HeartbeatOptions) (*Heartbeat, error) {
	if o.Name == "" || o.Beats == nil || o.Rule.Every <= 0 || o.Rule.Grace < 0 || o.Rule.Within < 0 {
		return nil, errors.New("a heartbeat needs a name, what keeps its reports, and a time after which the next is due")
	}
	if err := checkAll(KindHeartbeat, o.Conditions); err != nil {
		return nil, err
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Deaf == nil {
		o.Deaf = func() Deaf { return Deaf{} }
	}
	return &Heartbeat{o, o.Now()}, nil
}

// Look judges what was reported. It promises until when it stays so, unless there are conditions, which may change earlier.
func (h *Heartbeat) Look(ctx context.Context) Sight {
	began := h.options.Now()
	beat, err := h.options.Beats.LastBeat(ctx, h.options.Name)
	if err != nil && !errors.Is(err, makegood.NotFound) {
		return Sight{At: began, Took: h.options.Now().Sub(began), Unknown: true, Trouble: "what the job reported cannot be read"}
	}
	if beat.FirstSeen.IsZero() {
		beat.FirstSeen = h.made
	}
	now := h.options.Now()
	s := Sight{At: began, Took: max(now.Sub(began), 0)}
	s.Trouble, s.Sure = h.options.Rule.Judge(beat, now, h.options.Deaf())
	if s.Trouble == "" && len(h.options.Conditions) > 0 {
		f := facts{age: now.Sub(beat.SucceededAt), hasAge: !beat.SucceededAt.IsZero()}
		s.Trouble, s.Sure = judge(h.options.Conditions, &f, nil), time.Time{}
	}
	return s
}
