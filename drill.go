package makegood

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// DrillResult is how a drill went: something was broken on purpose, and this is when it was found, told, mended, and when the
// customer was served.
type DrillResult struct {
	Drill   string        `json:"drill"`
	Host    string        `json:"host"`  // the kind of host, or the name of a real target
	Scale   float64       `json:"scale"` // how many times as fast as in real time
	BeganAt time.Time     `json:"began_at"`
	Took    time.Duration `json:"took_ns"`
	// Passed is that everything happened that had to, within its limit.
	Passed   bool          `json:"passed"`
	Timeline []DrillMoment `json:"timeline"`
	Checks   []DrillCheck  `json:"checks"`
	// Broken is why it could not be run to its end, or was called off; "" when it was.
	Broken string `json:"broken,omitempty"`
}

// DrillMoment is one line of a drill's time line.
type DrillMoment struct {
	At   time.Duration `json:"at_ns"` // after T+0
	Who  string        `json:"who"`   // a channel, who found it, the healer, the customer, or the drill
	What string        `json:"what"`
}

// String is how a line is printed.
func (m DrillMoment) String() string {
	return fmt.Sprintf("T+%-7s %-9s %s", fmt.Sprintf("%.1fs", m.At.Seconds()), m.Who, m.What)
}

// DrillCheck is one thing that had to happen in a drill.
type DrillCheck struct {
	What  string        `json:"what"`
	Took  time.Duration `json:"took_ns"`
	Limit time.Duration `json:"limit_ns,omitempty"` // 0 is none
	Aim   time.Duration `json:"aim_ns,omitempty"`
	// Missing is that it did not happen at all, and why.
	Missing string `json:"missing,omitempty"`
}

// Missed reports whether it happened too late or not at all.
func (c DrillCheck) Missed() bool { return c.Missing != "" || c.Limit > 0 && c.Took > c.Limit }

// Judge sets Passed.
func (r *DrillResult) Judge() {
	r.Passed = r.Broken == "" && !slices.ContainsFunc(r.Checks, DrillCheck.Missed)
}

// Happened reports whether everything happened that had to, whenever: what a busy machine can promise.
func (r DrillResult) Happened() bool {
	return r.Broken == "" && !slices.ContainsFunc(r.Checks, func(c DrillCheck) bool { return c.Missing != "" })
}

// Trouble says in a sentence what was missed; "" when the drill passed.
func (r DrillResult) Trouble() string {
	var missed []string
	if r.Broken != "" {
		missed = append(missed, "it could not be run to its end: "+r.Broken)
	}
	for _, c := range r.Checks {
		switch {
		case c.Missing != "":
			missed = append(missed, fmt.Sprintf("%s: did not happen (%s)", c.What, c.Missing))
		case c.Missed():
			missed = append(missed, fmt.Sprintf("%s: took %v, at most %v", c.What, c.Took.Round(100*time.Millisecond), c.Limit))
		}
	}
	return strings.Join(missed, "; ")
}
