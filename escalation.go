package makegood

import (
	"fmt"
	"slices"
	"time"
)

// Escalation says for each priority who is told, over which channels, and when. A priority without a ladder is written
// down and nobody is told.
type Escalation map[Priority]Ladder

// Ladder is climbed while nobody answers.
type Ladder struct {
	Rungs []Rung // in the order of After
	// Repeat is after how long without an answer all rungs are told again, counted from the last rung; 0 is never.
	Repeat time.Duration
	// AckFor is how long an acknowledgement holds. After it, an incident that is still open climbs again from the first
	// rung: acknowledged and forgotten is how outages last all night.
	AckFor time.Duration
}

// Rung is who is told at one moment.
type Rung struct {
	After    time.Duration // since the incident was opened, or since its acknowledgement ended
	Channels []string      // names of channels
}

// DefaultEscalation is SPEC B11 over the given channels: everything at once for P0; at once over what is quiet, and after
// 15 minutes over everything, for P1; after an hour over what is quiet, for P2; nobody for P3. What is quiet is a channel
// that wakes nobody; where there is none, all are used.
func DefaultEscalation(all, quiet []string) Escalation {
	if len(all) == 0 {
		return Escalation{}
	}
	if len(quiet) == 0 {
		quiet = all
	}
	// P1 asks for somebody within 15 minutes; the quiet half is told at once, so that whoever is awake can spare the others.
	return Escalation{
		P0: {Rungs: []Rung{{0, all}}, Repeat: 5 * time.Minute, AckFor: 30 * time.Minute},
		P1: {Rungs: []Rung{{0, quiet}, {10 * time.Minute, all}}, Repeat: 30 * time.Minute, AckFor: 2 * time.Hour},
		P2: {Rungs: []Rung{{0, quiet}, {50 * time.Minute, all}}, AckFor: 24 * time.Hour},
	}
}

// Check says what is impossible about the escalation, given the channels that there are; nil when nothing is.
func (e Escalation) Check(channels []string) error {
	for _, p := range Priorities() {
		l, ok := e[p]
		if !ok {
			if p == P0 {
				return fmt.Errorf("%s reaches nobody", p)
			}
			continue
		}
		if err := l.check(channels); err != nil {
			return fmt.Errorf("%s %w", p, err)
		}
	}
	return nil
}

func (l Ladder) check(channels []string) error {
	if len(l.Rungs) == 0 || len(l.Rungs) > RungsMax {
		return fmt.Errorf("has %d rungs; it needs 1 to %d", len(l.Rungs), RungsMax)
	}
	var before time.Duration
	for i, r := range l.Rungs {
		switch {
		case len(r.Channels) == 0:
			return fmt.Errorf("reaches nobody at rung %d", i+1)
		case r.After < before:
			return fmt.Errorf("has rung %d before rung %d", i+1, i)
		case r.After < 0 || r.After > 7*24*time.Hour:
			return fmt.Errorf("has a rung after %v; the latest is a week", r.After)
		}
		before = r.After
		for _, c := range r.Channels {
			if !slices.Contains(channels, c) {
				return fmt.Errorf("names the channel %q, which there is not", c)
			}
		}
	}
	if l.Repeat < 0 || l.Repeat > 0 && l.Repeat < time.Minute {
		return fmt.Errorf("repeats after %v; a minute is the least", l.Repeat)
	}
	if l.AckFor < time.Minute {
		return fmt.Errorf("holds an acknowledgement for %v; a minute is the least", l.AckFor)
	}
	return nil
}
