package cli

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/api"
	"github.com/makegood/makegood/internal/config"
)

// Exit codes of restore-env (SPEC C5). A wrong command line has 64 there, as in sysexits.h, because 2 is taken.
const (
	exitNotWritten  = 1  // refused, stopped, or the variables could not be written
	exitNotStarted  = 2  // what was deployed does not run
	exitNotVerified = 3  // it runs, and is not well from outside
	exitWrongLine   = 64 // the command line is wrong
)

type restoreCommand struct {
	Target string `arg:"" optional:"" help:"The target, by its name in heal.targets; may be left out when there is one."`
	DryRun bool   `help:"Only say what would be done, by name. Changes nothing; 0 when it would be done, 1 when it would be refused."`
	All    bool   `help:"Write every variable and start again, whatever is seen."`
	JSON   bool   `help:"Print JSON, for programs, when it has ended."`
	watching
}

// Help documents the exit codes.
func (restoreCommand) Help() string {
	return `Verifies the credential, writes what is missing or wrong, starts the last good version again, waits, verifies from outside,
and tells. Values are never shown.

Exit codes: 0 well, also when there was nothing to do; 1 refused, or the variables could not be written; 2 what was started does
not run; 3 it runs and is not well from outside, and what ran before was taken back where the place can; 64 the command line is
wrong. A watcher that runs here does it, so that the limits hold for everybody; without one the command does it itself.`
}

// Run restores and stays with it.
func (c restoreCommand) Run(s *surroundings) error {
	c.File = c.file(s)
	what := mends
	if c.DryRun {
		what = looks
	}
	err := s.onWatcher(c.File, what, func(desk *control, conf *config.Watch) error {
		if c.Target == "" && len(conf.Heal.Targets) == 1 {
			c.Target = conf.Heal.Targets[0].Name
		}
		if c.Target == "" && len(conf.Heal.Targets) > 1 {
			var names []string
			for _, t := range conf.Heal.Targets {
				names = append(names, t.Name)
			}
			return exitError{makegood.Errorf(makegood.Invalid, "%s has several targets; name one of %s.", c.File, strings.Join(names, ", ")), exitWrongLine}
		}
		if err := known(conf, c.File, c.Target); err != nil {
			return exitError{err, exitWrongLine}
		}
		if c.DryRun {
			return c.plan(s, desk)
		}
		return c.restore(s, desk, conf)
	})
	var own exitError
	if err != nil && !errors.As(err, &own) {
		return exitError{err, exitNotWritten}
	}
	return err
}

func (c restoreCommand) plan(s *surroundings, desk *control) error {
	planned, err := plan(s, desk, c.Target, c.All)
	if err != nil {
		return err
	}
	if c.JSON {
		if err := s.printJSON(planned); err != nil {
			return err
		}
	} else {
		printPlan(s, planned)
	}
	switch {
	case planned.Reason == makegood.HealNothingToWrite:
		if !c.JSON {
			fmt.Fprintf(s.out, "Nothing would be done: %s\n", oneLine(planned.Refusal))
		}
		return nil
	case planned.Refusal != "":
		return refusedHere(planned.Reason, planned.Refusal)
	}
	return nil
}

func (c restoreCommand) restore(s *surroundings, desk *control, conf *config.Watch) error {
	r, err := mending{s: s, desk: desk, database: conf.Database, quiet: c.JSON}.mend(c.Target, c.All)
	if err != nil {
		return err
	}
	if r.Refused != nil && r.Refused.Reason == makegood.HealNothingToWrite {
		return c.nothing(s, desk, r)
	}
	if c.JSON {
		if err := s.printJSON(r); err != nil {
			return err
		}
	}
	switch {
	case r.Refused != nil:
		return exitError{refusedHere(r.Refused.Reason, r.Refused.Sentence), exitOf(r.Refused.Reason, nil)}
	case r.Attempt.State != makegood.AttemptHealed:
		return exitError{notHealed(*r.Attempt), exitOf(r.Attempt.Reason, r.Attempt.Steps)}
	}
	if !c.JSON {
		fmt.Fprintln(s.out, healedText(*r.Attempt))
	}
	return nil
}

// nothing is how it ends when the target lacks nothing: what customers feel decides.
func (c restoreCommand) nothing(s *surroundings, desk *control, r api.HealBegun) error {
	var seen api.HealAnswer
	if err := desk.ask(s.ctx, http.MethodPost, targetPath(c.Target, "verify"), struct{}{}, &seen); err != nil {
		return err
	}
	if c.JSON {
		if err := s.printJSON(struct {
			api.HealBegun
			Verified api.HealAnswer `json:"verified"`
		}{r, seen}); err != nil {
			return err
		}
	}
	if seen.Trouble != "" {
		return exitError{makegood.Errorf(makegood.Conflict, "%s lacks nothing that can be seen, and is not well from outside: %s. If a value may be wrong that cannot be read there: makegood restore-env %s --all",
			c.Target, oneLine(seen.Trouble), c.Target), exitNotVerified}
	}
	if !c.JSON {
		fmt.Fprintf(s.out, "Nothing to do: %s has everything that it must have, and it is well, seen from outside.\n", c.Target)
	}
	return nil
}

// exitOf is the exit code for why nothing was done, or why it did not help.
func exitOf(reason makegood.HealReason, steps []makegood.AttemptStep) int {
	switch reason {
	case makegood.HealStartFailed, makegood.HealStartTooLong, makegood.HealNothingGood, makegood.HealUnderWay:
		return exitNotStarted
	case makegood.HealNotVerified:
		return exitNotVerified
	case makegood.HealPlatformDown:
		for _, step := range steps { // it was written, and then the place did not answer
			if step.State == makegood.PlaceFailed && step.Phase == makegood.PhaseApply && step.Name != "write" {
				return exitNotStarted
			}
		}
	}
	return exitNotWritten
}

// usageCode is the exit code of a command line that is wrong.
func usageCode(err error) int {
	var parse *kong.ParseError
	if errors.As(err, &parse) && parse.Context != nil {
		for _, step := range parse.Context.Path {
			if step.Command != nil && step.Command.Name == "restore-env" {
				return exitWrongLine
			}
		}
	}
	return exitUsage
}
