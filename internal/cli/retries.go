package cli

import (
	"fmt"
	"time"

	"github.com/makegood/makegood"
)

type configRetriesCommand struct {
	Every bool `help:"Print every attempt instead of the first and the last."`
	JSON  bool `help:"Print JSON, for programs. Waits are in seconds."`
}

type retryPlan struct {
	What     string    `json:"what"`
	Attempts int       `json:"attempts"`
	AtSecond []float64 `json:"at_seconds"` // after the first attempt, without the spread
}

// Run prints when each attempt would come, for each kind of job that has a patience of its own.
func (c configRetriesCommand) Run(s *surroundings) error {
	config, err := s.load()
	if err != nil {
		return err
	}
	var plans []retryPlan
	add := func(what string, j makegood.Job) {
		policy := config.PolicyOf(j)
		plan := retryPlan{What: what, Attempts: policy.Attempts, AtSecond: []float64{0}}
		at := time.Duration(0)
		for attempt := 1; attempt < policy.Attempts; attempt++ {
			at += policy.Backoff(attempt, noSpread)
			plan.AtSecond = append(plan.AtSecond, at.Seconds())
		}
		plans = append(plans, plan)
	}
	for _, source := range config.Sources {
		add("events of "+source.Name, makegood.InterpretJob("", source.Name))
	}
	add("mail", makegood.EffectJob("", makegood.EffectEmail))
	for _, forward := range config.Forwards {
		add("forward to "+forward.Name, makegood.EffectJob("", makegood.TellingStep(forward.Name, 1)))
	}
	if c.JSON {
		return s.printJSON(plans)
	}
	for _, plan := range plans {
		c.print(s, plan)
	}
	fmt.Fprintln(s.out, "Each wait is spread by a quarter to either side. A Retry-After of the other side is obeyed, and so is a rest after")
	fmt.Fprintln(s.out, "repeated failures; neither counts as an attempt. After the last one, the job is a dead letter: makegood webhooks list")
	return nil
}

// noSpread is the jitter that leaves a wait as it is.
const noSpread = 0.5

// shownFirst and shownLast are how many attempts are printed of a long plan.
const shownFirst, shownLast = 14, 2

func (c configRetriesCommand) print(s *surroundings, plan retryPlan) {
	last := time.Duration(plan.AtSecond[len(plan.AtSecond)-1] * float64(time.Second))
	fmt.Fprintf(s.out, "%s: %s within %s\n", plan.What, count(plan.Attempts, "attempt"), short(last))
	w := table(s.out)
	for i, at := range plan.AtSecond {
		if !c.Every && i >= shownFirst && i < len(plan.AtSecond)-shownLast {
			if i == shownFirst {
				fmt.Fprintln(w, "  …\t")
			}
			continue
		}
		fmt.Fprintf(w, "  %s attempt\tafter %s\n", ordinal(i+1), short(time.Duration(at*float64(time.Second))))
	}
	w.Flush() //nolint:errcheck // the stream's own error shows at the end
}
