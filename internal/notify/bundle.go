package notify

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/makegood/makegood"
)

// Pace is how often a channel may speak.
type Pace struct {
	// Gather is how long the first word of a trouble waits for others that begin in the same moment.
	Gather time.Duration
	// Bundle is how long a channel that was told of one kind of trouble is told of nothing more of that kind, unless it has
	// become graver. What comes meanwhile is told together at its end.
	Bundle time.Duration
	// Tiers bound how many messages a channel gets within a time, whatever happens.
	Tiers []Tier
	// CountDoubt makes the tiers count what the service may have taken: for services that do not recognise a repetition.
	CountDoubt bool
}

// Tier allows at most so many messages within a time.
type Tier struct {
	Messages int
	Within   time.Duration
}

// PaceOf is the pace of a kind of channel. What costs money and sleep has tighter tiers: those of SMS are GoAlert's, whose
// numbers come from years of paging people.
func PaceOf(kind string) Pace {
	p := Pace{Gather: time.Second, Bundle: 5 * time.Minute, Tiers: []Tier{{20, 15 * time.Minute}, {60, 3 * time.Hour}}}
	if kind == "sms" {
		p.CountDoubt = true
		p.Tiers = []Tier{{5, 15 * time.Minute}, {11, time.Hour}, {21, 3 * time.Hour}}
	}
	return p
}

// keptForPages is how many messages of each tier are only for what is P1 or graver, and for its end: after an outage with its
// alarms, a note about its cause must not take the message in which people hear that it is over.
const keptForPages = 1

// isPage reports whether people are paged for it.
func isPage(p makegood.Priority) bool { return !makegood.P1.Graver(p) }

// messageMax bounds the notices of one message.
const messageMax = 1000

// choice is what a channel tells now.
type choice struct {
	ids     []string
	message string // under which it was told before, when it has to be repeated; "" for a new message
	// limited are the notices that somebody is waiting for and that the tiers hold back until then: others have to be told.
	limited []makegood.Notice
	until   time.Time
}

// choose picks which of the due notices, the gravest first, a channel tells now, in one message, given what it told lately.
// What it may not tell yet it puts off, by the NotBefore of due, except what is limited.
func (p Pace) choose(due []makegood.Notice, sent []makegood.SentMessage, now time.Time) choice {
	again, fresh := split(due)
	until := p.exhaustedUntil(sent, now, 0)
	limitedAgain := p.CountDoubt && len(again) > 0 && again[0].Doubt && until.After(now)
	groups := p.speakable(fresh, sent, now)
	keptUntil := p.exhaustedUntil(sent, now, keptForPages)
	switch {
	case until.After(now):
		groups = nil
	case keptUntil.After(now):
		groups = slices.DeleteFunc(groups, func(g standing) bool { return !isPage(g.gravest) })
	}
	// A message that fails over and over does not hold up what is graver.
	if len(again) > 0 && !limitedAgain && (len(groups) == 0 || !groups[0].gravest.Graver(again[0].Priority)) {
		return choice{ids: idsOf(again), message: again[0].MessageID}
	}
	if until.After(now) {
		c := choice{until: until}
		for k := range due {
			n := &due[k]
			switch {
			case n.MessageID != "" && !limitedAgain:
			case n.IsAlarm() && isPage(n.Priority):
				c.limited = append(c.limited, *n)
			default:
				n.NotBefore = until
			}
		}
		return c
	}
	var c choice
	chosen := map[string]bool{}
	for _, g := range groups {
		for _, n := range fresh {
			if n.Group == g.name && (g.alarm || !n.IsAlarm()) && len(c.ids) < messageMax {
				c.ids = append(c.ids, n.ID)
				chosen[n.ID] = true
			}
		}
	}
	for k := range due {
		n := &due[k]
		if n.MessageID != "" || chosen[n.ID] {
			continue
		}
		held := p.heldUntil(n.Group, n.Priority, n.IsAlarm(), sent, now)
		if !isPage(n.Priority) && keptUntil.After(held) {
			held = keptUntil
		}
		if held.After(now) {
			n.NotBefore = held
		}
	}
	return c
}

// split tells the notices of an attempt that failed, or whose teller died, from those that were never tried. The former go
// again together, under the id that they had; when there are several such messages, the gravest goes first.
func split(due []makegood.Notice) (again, fresh []makegood.Notice) {
	for _, n := range due {
		switch {
		case n.MessageID == "":
			fresh = append(fresh, n)
		case len(again) == 0 || again[0].MessageID == n.MessageID:
			again = append(again, n)
		}
	}
	return again, fresh
}

func idsOf(notices []makegood.Notice) []string {
	ids := make([]string, len(notices))
	for k, n := range notices {
		ids[k] = n.ID
	}
	return ids
}

// skewTolerated is how far in the future something that was sent may lie: another node's clock is not quite ours. What lies
// further was sent before the clock was set back, and must not keep a channel silent until the clock has come there again.
const skewTolerated = time.Minute

// isWithin reports whether a moment is so short a time ago.
func isWithin(at, now time.Time, within time.Duration) bool {
	age := now.Sub(at)
	return age < within && age > -skewTolerated
}

// exhaustedUntil is when the channel may speak again, and have some messages left then; not after now when it may. A tier is
// never kept whole: what is no page has at least one message.
func (p Pace) exhaustedUntil(sent []makegood.SentMessage, now time.Time, left int) (until time.Time) {
	for _, t := range p.Tiers {
		most := max(1, t.Messages-left)
		last := map[string]makegood.SentMessage{} // a message of several groups is one
		for _, m := range sent {
			if isWithin(m.At, now, t.Within) && !m.At.Before(last[m.ID].At) {
				m.Doubts = max(m.Doubts, last[m.ID].Doubts)
				last[m.ID] = m
			}
		}
		messages := slices.SortedFunc(maps.Values(last), func(a, b makegood.SentMessage) int { return b.At.Compare(a.At) })
		count := 0
		for _, m := range messages { // the newest first: the one with which it is too much is the one that has to grow old
			if m.Accepted {
				count++
			}
			if p.CountDoubt {
				count += m.Doubts
			}
			if count >= most {
				if end := m.At.Add(t.Within); end.After(until) {
					until = end
				}
				break
			}
		}
	}
	return until
}

// standing is how it stands with the notices of one group.
type standing struct {
	name    string
	gravest makegood.Priority
	alarm   bool // whether what is wrong may be told, or only what is over
}

// half is what is known of the notices of a group that say the same: something is wrong, or it is over.
type half struct {
	gravest makegood.Priority
	since   time.Time // the oldest
}

// speakable lists the groups of which the channel may speak now, the gravest first. Others that have waited long enough to be
// gathered are put off until they may be spoken of.
func (p Pace) speakable(fresh []makegood.Notice, sent []makegood.SentMessage, now time.Time) []standing {
	type key struct {
		group string
		alarm bool
	}
	halves := map[key]half{}
	for _, n := range fresh {
		k := key{n.Group, n.IsAlarm()}
		h, ok := halves[k]
		if !ok || n.Priority.Graver(h.gravest) {
			h.gravest = n.Priority
		}
		if !ok || n.CreatedAt.Before(h.since) {
			h.since = n.CreatedAt
		}
		halves[k] = h
	}
	ready := map[string]standing{}
	for k, h := range halves {
		if age := now.Sub(h.since); age >= 0 && age < p.Gather || p.heldUntil(k.group, h.gravest, k.alarm, sent, now).After(now) {
			continue
		}
		g, ok := ready[k.group]
		if !ok || h.gravest.Graver(g.gravest) {
			g.gravest = h.gravest
		}
		g.name, g.alarm = k.group, g.alarm || k.alarm
		ready[k.group] = g
	}
	return slices.SortedFunc(maps.Values(ready), func(a, b standing) int {
		return cmp.Or(cmp.Compare(a.gravest, b.gravest), cmp.Compare(a.name, b.name))
	})
}

// heldUntil is until when a group was spoken of too recently. Good news follows a page at once, and bad news follows one when
// it is graver. Good news alone holds up no bad news: whoever believes that all is well has to hear that it is not.
func (p Pace) heldUntil(group string, gravest makegood.Priority, alarm bool, sent []makegood.SentMessage, now time.Time) (until time.Time) {
	for _, m := range sent {
		if !m.Accepted || m.Group != group || !isWithin(m.At, now, p.Bundle) {
			continue
		}
		if alarm && m.IsAlarm && !gravest.Graver(m.Priority) || !alarm && !m.IsAlarm {
			if end := m.At.Add(p.Bundle); end.After(until) {
				until = end
			}
		}
	}
	return until
}
