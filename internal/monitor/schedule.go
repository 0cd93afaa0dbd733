package monitor

import (
	"hash/fnv"
	"time"
)

// grid are the times at which a monitor is looked at, reckoned from the start of the runner: phase, phase + every, and so on.
// They are computed and never added up, so a slow look shifts nothing, and no drift comes of many small delays.
type grid struct {
	phase, every time.Duration
}

// newGrid spreads monitors over their interval by their keys: a thousand of them do not look in the same moment, and each
// keeps its place over restarts.
func newGrid(key string, every time.Duration) grid {
	h := fnv.New64a()
	h.Write([]byte(key)) // never fails
	// The last bits of FNV differ little between keys that differ little, so they are stirred (the finish of MurmurHash3).
	x := h.Sum64()
	x ^= x >> 33
	x *= 0xff51afd7ed558ccd
	x ^= x >> 33
	return grid{time.Duration(x % uint64(every)), every}
}

// first is when a monitor that appears at a time is looked at first: soon, and spread all the same.
func (g grid) first(at time.Duration) time.Duration {
	return at + g.phase%min(g.every, startWithin)
}

// after is the first place of the grid that lies behind t.
func (g grid) after(t time.Duration) time.Duration {
	if t < g.phase {
		return g.phase
	}
	return g.phase + ((t-g.phase)/g.every+1)*g.every
}

// next is when to look again after a look that has ended: soon while the machine is in doubt, on the grid otherwise. sure is
// how long nothing changes by itself.
func (g grid) next(m *Machine, ended, sure time.Duration) time.Duration {
	if pace := m.Pace(); pace < g.every {
		return ended + pace
	}
	if sure > 0 && m.State() == Up {
		return ended + min(sure+sureMargin, sureMax)
	}
	return g.after(ended)
}
