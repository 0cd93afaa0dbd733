// Package smoke walks through a deployment as a visitor would, right after it went out: page after page, the paths with
// data, and the click on the buy button up to where the customer pays.
package smoke

import (
	"context"
	"time"

	"github.com/makegood/makegood/internal/probe"
)

// Check is one thing to look at.
type Check struct {
	Name   string
	Prober probe.Prober
}

// Test is a whole walk. The checks are looked at one after another, in their order, because a visitor does the same; one
// that is red stops nobody, so that everything that is wrong is told at once.
type Test struct {
	Checks  []Check
	Timeout time.Duration    // of each check; 10 s when 0
	Total   time.Duration    // of all of them; 2 min when 0
	Now     func() time.Time // time.Now when nil
}

const (
	// timeoutDefault is more patience than a customer has.
	timeoutDefault = 10 * time.Second
	// totalDefault is how long a deployment may wait for its verdict.
	totalDefault = 2 * time.Minute
)

// Step is how one check went.
type Step struct {
	Name    string        `json:"name"`
	OK      bool          `json:"ok"`
	Trouble string        `json:"trouble,omitempty"` // what is wrong, or why nothing can be said
	Took    time.Duration `json:"took_ns"`
}

// Result is how all of them went.
type Result struct {
	Steps []Step        `json:"steps"`
	Took  time.Duration `json:"took_ns"`
}

// OK reports whether every check was made and was well. A walk of no checks proves nothing.
func (r Result) OK() bool {
	for _, s := range r.Steps {
		if !s.OK {
			return false
		}
	}
	return len(r.Steps) > 0
}

// Run walks, and tells report of each step as it is done; report may be nil. It ends soon after its context or Test.Total,
// whichever is first; what was not looked at by then is not well.
func Run(ctx context.Context, t Test, report func(Step)) Result {
	t = t.withDefaults()
	ctx, cancel := context.WithTimeout(ctx, t.Total)
	defer cancel()
	started := t.Now()
	r := Result{Steps: []Step{}}
	for _, check := range t.Checks {
		step := t.take(ctx, check)
		r.Steps = append(r.Steps, step)
		if report != nil {
			report(step)
		}
	}
	r.Took = t.Now().Sub(started)
	return r
}

func (t Test) withDefaults() Test {
	if t.Timeout <= 0 {
		t.Timeout = timeoutDefault
	}
	if t.Total <= 0 {
		t.Total = totalDefault
	}
	if t.Now == nil {
		t.Now = time.Now
	}
	return t
}

func (t Test) take(ctx context.Context, check Check) Step {
	if ctx.Err() != nil {
		return Step{Name: check.Name, Trouble: "not looked at: the time for all checks was over"}
	}
	looking, cancel := context.WithTimeout(ctx, t.Timeout)
	defer cancel()
	started := t.Now()
	sight := check.Prober.Look(looking)
	step := Step{Name: check.Name, Trouble: sight.Trouble, Took: t.Now().Sub(started)}
	if sight.Unknown && step.Trouble == "" {
		step.Trouble = "nothing can be said: the check could not look"
	}
	step.OK = step.Trouble == ""
	return step
}
