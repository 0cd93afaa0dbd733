package monitor

import (
	"time"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/probe"
)

// Machine decides from the looks of one monitor how sure we are. It has no clock and does nothing: it is told of sights and
// returns states. It is not safe for concurrent use.
//
// A thing is believed to be down when Failures looks in a row were red, and to be up again when Successes were green. One look
// between that says otherwise begins the count again; a look that could see nothing changes no count.
//
// With a second vantage both must be sure. It is asked from the first red look on and not only when our own count is full,
// because one look from there proves as little as one from here: with a fifth of all packets lost, every tenth look is red.
// Asked at the same time, it costs no time. When it is green, nothing is believed, and the monitor stays suspect and says so.
// When it says nothing, because it cannot be reached, it counts for nothing either way: then our own looks must be red twice as
// often. Believing ourselves at once would make its outage the same as not having one; never believing ourselves would make its
// outage hide all others.
type Machine struct {
	check     makegood.Check
	hasSecond bool

	state   State
	since   time.Time // of the state
	healing bool

	reds       int       // in a row, ours
	redSince   time.Time // the first of them
	agreed     int       // red looks of the second vantage in a row
	silent     int       // looks in this row at which it could not be reached
	disagrees  bool      // it has just seen it well
	greens     int       // in a row, while it is down
	downs      []time.Time
	wellBefore bool // it was up before it became suspect
	trouble    string
}

// NewMachine makes the machine of a check. hasSecond is that a second vantage has to agree.
func NewMachine(c makegood.Check, hasSecond bool) *Machine {
	m := &Machine{state: Pending}
	m.Set(c, hasSecond)
	return m
}

// Set changes the thresholds; what was counted stays.
func (m *Machine) Set(c makegood.Check, hasSecond bool) {
	c.Failures, c.Successes = max(c.Failures, 1), max(c.Successes, 1)
	m.check, m.hasSecond = c, hasSecond
}

// StartDown makes it down before the first look: there is an open incident of it.
func (m *Machine) StartDown(since time.Time) {
	m.state, m.since, m.redSince = Down, since, since
	m.reds = m.check.Failures
}

// Observe takes in a look, and what the second vantage saw; nil is that it was not asked.
func (m *Machine) Observe(s probe.Sight, second *probe.Sight) State {
	if s.Unknown {
		return m.State()
	}
	if s.Trouble == "" {
		m.green(s)
	} else {
		m.red(s, second)
	}
	return m.State()
}

func (m *Machine) green(s probe.Sight) {
	m.reds, m.agreed, m.silent, m.disagrees, m.trouble = 0, 0, 0, false, ""
	switch m.state {
	case Down, Recovering:
		if m.greens++; m.greens < m.needed(s.At) {
			m.become(Recovering, s.At)
			return
		}
	}
	m.greens = 0
	m.become(Up, s.At)
}

func (m *Machine) red(s probe.Sight, second *probe.Sight) {
	if m.reds++; m.reds == 1 && m.state != Down && m.state != Recovering {
		m.redSince = s.At
	}
	m.greens, m.trouble = 0, s.Trouble
	switch m.state {
	case Down:
		return
	case Recovering: // it never was up: the same outage, not a new one
		m.become(Down, s.At)
		return
	case Pending, Up:
		m.wellBefore = m.state == Up
	}
	m.hear(second)
	if !m.sure() {
		m.become(Suspect, s.At)
		return
	}
	m.downs = append(m.lately(s.At), s.At)
	m.become(Down, s.At)
}

func (m *Machine) hear(second *probe.Sight) {
	switch {
	case second == nil:
	case second.Unknown:
		m.silent++
	case second.Trouble == "":
		m.agreed, m.silent, m.disagrees = 0, 0, true
	default:
		m.agreed++
		m.disagrees = false
	}
}

// sure reports whether the red looks are enough. See Machine for the second vantage.
func (m *Machine) sure() bool {
	if m.reds < m.check.Failures {
		return false
	}
	return !m.hasSecond || m.agreed >= m.check.Failures || m.agreed+m.silent >= 2*m.check.Failures
}

// AtThreshold reports whether one more red look could be believed: before that the runner makes sure that it can see at all.
func (m *Machine) AtThreshold() bool {
	return m.state != Down && m.state != Recovering && m.reds+1 >= m.check.Failures
}

// needed is how many green looks in a row it takes. A thing that went down again and again within flapMemory has to be well
// for longer each time: twice as many looks, up to flapSuccessesMax more. So it stays one incident, and people are not told of
// every turn.
func (m *Machine) needed(now time.Time) int {
	more := 0
	for range len(m.lately(now)) - 1 {
		more = min(2*more+m.check.Successes, flapSuccessesMax)
	}
	return m.check.Successes + more
}

// lately are the times it went down within flapMemory, at most as many as make a difference.
func (m *Machine) lately(now time.Time) []time.Time {
	first := max(0, len(m.downs)-flapDownsMax)
	for first < len(m.downs) && now.Sub(m.downs[first]) > flapMemory {
		first++
	}
	return m.downs[first:]
}

// Forget takes back red looks that were not believed yet: they are explained by our own blindness, which began before we
// noticed it.
func (m *Machine) Forget(at time.Time) {
	if m.state != Suspect {
		return
	}
	m.reds, m.agreed, m.silent, m.disagrees, m.trouble = 0, 0, 0, false, ""
	if m.wellBefore {
		m.become(Up, at)
	} else {
		m.become(Pending, at)
	}
}

func (m *Machine) become(s State, at time.Time) {
	if m.state != s || m.since.IsZero() {
		m.state, m.since = s, at
	}
}

// SetHealing shows that something is being done about it. It changes no count and nothing that is believed.
func (m *Machine) SetHealing(healing bool) { m.healing = healing }

// State is how sure we are. Healing shows only while it is down.
func (m *Machine) State() State {
	if m.state == Down && m.healing {
		return Healing
	}
	return m.state
}

// IsDown reports whether there is a finding: it is down, or green again for too short a time.
func (m *Machine) IsDown() bool { return m.state == Down || m.state == Recovering }

// Pace is the wait until the next look: Again while one more look could change what is believed, Every otherwise. A monitor
// whose vantages disagree, and one that flaps, is looked at as usual after a while, so that the haste has an end.
func (m *Machine) Pace() time.Duration {
	switch {
	case m.state == Suspect && m.reds < hasteLooks*m.check.Failures,
		m.state == Recovering && m.greens < m.check.Successes:
		return min(m.check.Again, m.check.Every)
	}
	return m.check.Every
}

// Note says for people why a monitor that is red is not called down, "" when there is nothing to say.
func (m *Machine) Note() string {
	switch {
	case m.state != Suspect:
		return ""
	case m.disagrees:
		return "the second vantage sees it well"
	case m.hasSecond && m.silent > 0:
		return "the second vantage cannot be asked"
	}
	return ""
}
