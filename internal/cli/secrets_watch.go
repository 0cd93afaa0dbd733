package cli

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/api"
	"github.com/makegood/makegood/internal/config"
)

// checkPlaces says how every required secret stands at every place.
func (c secretsCheckCommand) checkPlaces(s *surroundings) error {
	return s.onWatcher(c.Watcher, looks, func(desk *control, conf *config.Watch) error {
		if err := secretList(conf, c.Watcher); err != nil {
			return err
		}
		var rows []api.SecretAt
		if err := desk.ask(s.ctx, http.MethodGet, "/api/admin/heal/secrets", nil, &rows); err != nil {
			return err
		}
		if c.JSON {
			if err := s.printJSON(rows); err != nil {
				return err
			}
		} else {
			printPlaces(s, rows)
		}
		wrong := 0
		for _, r := range rows {
			if r.IsWrong {
				wrong++
			}
		}
		if wrong > 0 {
			return makegood.Errorf(makegood.Conflict, "%s not as it should be; nothing was shown of any value. What to do: makegood runbook secret-drift", count(wrong, "line")+isOrAre(wrong))
		}
		return nil
	})
}

func printPlaces(s *surroundings, rows []api.SecretAt) {
	w := table(s.out)
	fmt.Fprintln(w, "PLACE\tSECRET\tSTATE\tFINGERPRINT\t")
	for _, r := range rows {
		state := string(r.State)
		if r.IsWrong {
			state = strings.ToUpper(state)
		}
		if r.Class != "" {
			state += " (" + string(r.Class) + ")"
		}
		says := r.Says
		if !r.NotAfter.IsZero() {
			says = strings.TrimSpace("ends " + stamp(r.NotAfter) + " UTC. " + says)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", r.Place, or(r.Name, "-"), state, or(r.Fingerprint, "-"), oneLine(says))
	}
	w.Flush() //nolint:errcheck // the stream's own error shows at the end
}

type secretsDiffCommand struct {
	Target string `arg:"" optional:"" help:"Only this target; all that take variables by default."`
	JSON   bool   `help:"Print JSON, for programs."`
	watching
}

// Run compares targets with their source of truth.
func (c secretsDiffCommand) Run(s *surroundings) error {
	c.File = c.file(s)
	return s.onWatcher(c.File, looks, func(desk *control, conf *config.Watch) error {
		if err := secretList(conf, c.File); err != nil {
			return err
		}
		if c.Target != "" {
			if err := known(conf, c.File, c.Target); err != nil {
				return err
			}
		}
		all := []api.TargetLacks{}
		for _, t := range conf.Heal.Targets {
			if c.Target != "" && t.Name != c.Target || c.Target == "" && t.Kind != "cloudflare_pages" && t.Kind != "env_file" {
				continue
			}
			var lacks api.TargetLacks
			if err := desk.ask(s.ctx, http.MethodGet, targetPath(t.Name, "lacks"), nil, &lacks); err != nil {
				return err
			}
			all = append(all, lacks)
		}
		if c.JSON {
			if err := s.printJSON(all); err != nil {
				return err
			}
		}
		return c.judge(s, all)
	})
}

// judge prints the differences. What cannot be read there is no difference: nobody knows of any.
func (c secretsDiffCommand) judge(s *surroundings, all []api.TargetLacks) error {
	differ, unknown := 0, 0
	w := table(s.out)
	for _, lacks := range all {
		if lacks.Unknown != "" {
			unknown++
			if !c.JSON {
				fmt.Fprintf(w, "%s\t-\tunknown\t\t%s\n", lacks.Target, oneLine(lacks.Unknown))
			}
			continue
		}
		for _, d := range lacks.Differences {
			if isDifference(d) {
				differ++
			}
			if !c.JSON {
				fmt.Fprintf(w, "%s\t%s\t%s\t%s -> %s\t%s\n", lacks.Target, oneLine(d.Name), d.What, or(d.There, "-"), or(d.Truth, "-"), oneLine(d.Sentence))
			}
		}
		if lacks.Cause != "" && !c.JSON {
			fmt.Fprintf(w, "%s\t-\tcause\t\t%s\n", lacks.Target, oneLine(lacks.Cause))
		}
	}
	if err := w.Flush(); err != nil {
		return err
	}
	switch {
	case unknown > 0:
		return makegood.Errorf(makegood.Unavailable, "%s could not be compared.", count(unknown, "target"))
	case differ > 0:
		return makegood.Errorf(makegood.Conflict, "%s. To write what is missing or wrong: makegood secrets push TARGET; to start it again too: makegood restore-env TARGET", count(differ, "difference"))
	}
	if !c.JSON {
		fmt.Fprintf(s.out, "No difference that can be seen, at %s.\n", count(len(all), "target"))
	}
	return nil
}

// isDifference leaves out what nobody can read, and what nobody needs.
func isDifference(d api.Difference) bool {
	switch d.What {
	case "missing", "empty", "wrong", "not_in_truth":
		return true
	}
	return false
}

type secretsPushCommand struct {
	Target string   `arg:"" help:"The target, by its name in heal.targets."`
	Names  []string `help:"Only these, whatever is there; by default what is missing or wrong." placeholder:"A,B"`
	Yes    bool     `help:"Write. Without it, only what would be written is said."`
	JSON   bool     `help:"Print JSON, for programs."`
	watching
	nothingLiteral
}

// Run writes variables to a target and starts nothing.
func (c secretsPushCommand) Run(s *surroundings) error {
	if err := c.refuse("They are taken from the source of truth, by name: --names A,B"); err != nil {
		return err
	}
	c.File = c.file(s)
	what := looks
	if c.Yes {
		what = writes
	}
	return s.onWatcher(c.File, what, func(desk *control, conf *config.Watch) error {
		if err := secretList(conf, c.File); err != nil {
			return err
		}
		if err := known(conf, c.File, c.Target); err != nil {
			return err
		}
		var answer api.SecretsPushed
		if err := desk.ask(s.ctx, http.MethodPost, targetPath(c.Target, "push"), api.SecretsPushAsk{Names: c.Names, Dry: !c.Yes}, &answer); err != nil {
			return err
		}
		if c.JSON {
			if err := s.printJSON(answer); err != nil {
				return err
			}
		}
		switch {
		case answer.Refused != nil:
			return refusedHere(answer.Refused.Reason, answer.Refused.Sentence)
		case c.JSON:
		case len(answer.Names) == 0:
			fmt.Fprintf(s.out, "Nothing to write: %s lacks nothing that can be seen. Values that cannot be read there are written by name: --names A,B\n", c.Target)
		case !answer.Wrote:
			fmt.Fprintf(s.out, "Would write to %s: %s\n", c.Target, strings.Join(answer.Names, ", "))
			return makegood.Errorf(makegood.Invalid, "Nothing was written. To write, say --yes.") // a script that forgot it must notice
		default:
			for _, name := range answer.Names {
				fmt.Fprintf(s.out, "Wrote %s %s\n", name, answer.Fingerprints[name])
			}
			fmt.Fprintf(s.out, "Nothing was started: %s has them from its next start on.\n", c.Target)
		}
		return nil
	})
}

type secretsAcceptCommand struct {
	Target string `arg:"" help:"The target, by its name in heal.targets."`
	watching
}

// Run accepts a source of truth that has fewer names, or is older, than what was seen before.
func (c secretsAcceptCommand) Run(s *surroundings) error {
	c.File = c.file(s)
	return s.onWatcher(c.File, writes, func(desk *control, conf *config.Watch) error {
		if err := secretList(conf, c.File); err != nil {
			return err
		}
		if err := known(conf, c.File, c.Target); err != nil {
			return err
		}
		var now api.HealAnswer
		if err := desk.ask(s.ctx, http.MethodPost, targetPath(c.Target, "accept"), struct{}{}, &now); err != nil {
			return err
		}
		if now.Trouble != "" {
			return makegood.Errorf(makegood.Conflict, "What was known before is forgotten, and the source of truth of %s is still not believed: %s", c.Target, oneLine(now.Trouble))
		}
		fmt.Fprintf(s.out, "The source of truth of %s is believed as it is now.\n", c.Target)
		return nil
	})
}
