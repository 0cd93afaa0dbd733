package notify

import (
	"cmp"
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
		p.Tiers = []Tier{{5, 15 * time.Minute}, {11, time.Hour}, {21, 3 * time.Hour}}
	}
	return p
}

// messageMax bounds the notices of one message.
const messageMax = 1000

// choose picks which of the due notices a channel tells now, in one message, given what it told lately. again is the message
// that they were told in before, when it has to be repeated under the same id; "" for a new message.
func (p Pace) choose(due []makegood.Notice, sent []makegood.SentMessage, now time.Time) (ids []string, again string) {
	if again = unfinished(due); again != "" {
		for _, n := range due {
			if n.MessageID == again {
				ids = append(ids, n.ID)
			}
		}
		return ids, again
	}
	if p.isExhausted(sent, now) {
		return nil, ""
	}
	for _, group := range p.speakable(due, sent, now) {
		for _, n := range due {
			if n.Group == group && len(ids) < messageMax {
				ids = append(ids, n.ID)
			}
		}
	}
	return ids, ""
}

// unfinished is the message of an attempt that failed, or whose teller died: it goes first, under the id that it had.
func unfinished(due []makegood.Notice) string {
	for _, n := range due {
		if n.MessageID != "" {
			return n.MessageID
		}
	}
	return ""
}

func (p Pace) isExhausted(sent []makegood.SentMessage, now time.Time) bool {
	for _, t := range p.Tiers {
		messages := map[string]bool{}
		for _, m := range sent {
			if now.Sub(m.At) < t.Within {
				messages[m.ID] = true
			}
		}
		if len(messages) >= t.Messages {
			return true
		}
	}
	return false
}

// speakable lists the groups of which the channel may speak now, the gravest first.
func (p Pace) speakable(due []makegood.Notice, sent []makegood.SentMessage, now time.Time) []string {
	type standing struct {
		group   string
		gravest makegood.Priority
		alarm   bool      // whether something is wrong, or all is good news
		since   time.Time // the oldest notice
	}
	groups := map[string]*standing{}
	for _, n := range due {
		g := groups[n.Group]
		if g == nil {
			g = &standing{group: n.Group, gravest: n.Priority, since: n.CreatedAt}
			groups[n.Group] = g
		}
		if n.Priority.Graver(g.gravest) {
			g.gravest = n.Priority
		}
		if n.CreatedAt.Before(g.since) {
			g.since = n.CreatedAt
		}
		g.alarm = g.alarm || n.IsAlarm()
	}
	var ready []standing
	for _, g := range groups {
		if now.Sub(g.since) >= p.Gather && !p.isHeld(g.group, g.gravest, g.alarm, sent, now) {
			ready = append(ready, *g)
		}
	}
	slices.SortFunc(ready, func(a, b standing) int {
		return cmp.Or(cmp.Compare(a.gravest, b.gravest), cmp.Compare(a.group, b.group))
	})
	names := make([]string, len(ready))
	for i, g := range ready {
		names[i] = g.group
	}
	return names
}

// isHeld reports whether a group was spoken of too recently. Good news follows a page at once, and bad news follows it when
// it is graver.
func (p Pace) isHeld(group string, gravest makegood.Priority, alarm bool, sent []makegood.SentMessage, now time.Time) bool {
	for _, m := range sent {
		if m.Group != group || now.Sub(m.At) >= p.Bundle {
			continue
		}
		if alarm && !gravest.Graver(m.Priority) || !alarm && !m.IsAlarm {
			return true
		}
	}
	return false
}
