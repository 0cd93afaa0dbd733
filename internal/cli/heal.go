package cli

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/api"
	"github.com/makegood/makegood/internal/config"
	"github.com/makegood/makegood/internal/heal"
	"github.com/makegood/makegood/internal/store"
)

type healCommands struct {
	Status healStatusCommand `cmd:"" help:"Say how what can be mended stands: the brake, each target, what would be done now, and the attempts so far."`
	Plan   healPlanCommand   `cmd:"" help:"Say what would be done at a target, by name, or why nothing would be. Changes nothing."`
	Run    healRunCommand    `cmd:"" help:"Mend a target now. Every guard and every limit holds; only the patience and the opt-in do not."`
	Pause  healPauseCommand  `cmd:"" help:"Put the brake on: nothing is mended, and what is under way stops before its next change."`
	Resume healResumeCommand `cmd:"" help:"Take the brake off."`
}

// path is an admin address of a target.
func targetPath(name, what string) string {
	return "/api/admin/heal/targets/" + url.PathEscape(name) + "/" + what
}

// isTargetName keeps what could not stand in an address, and is no target, from being asked.
func isTargetName(name string) bool {
	return name != "" && !strings.ContainsAny(name, "/?#% \t\n") && name != "." && name != ".."
}

// known makes sure that a file has a target, and names those that there are.
func known(c *config.Watch, file, name string) error {
	var names []string
	for _, t := range c.Heal.Targets {
		if t.Name == name && isTargetName(name) {
			return nil
		}
		names = append(names, t.Name)
	}
	if names == nil {
		return makegood.Errorf(makegood.NotFound, "%s has no heal.targets, so there is nothing that could be mended.", file)
	}
	return makegood.Errorf(makegood.NotFound, "%s has no target %s; there are %s.", file, oneLine(name), strings.Join(names, ", "))
}

// ofServer is the flag of what can be said to the server's own healer as well.
type ofServer struct {
	Server bool `help:"Of what the server mends of itself (heal.workers), instead of what the watcher mends. The server has to run here."`
}

type healStatusCommand struct {
	watching
	ofServer
	JSON bool `help:"Print JSON, for programs. Times are UTC."`
}

// Run says how things stand.
func (c healStatusCommand) Run(s *surroundings) error {
	var status api.HealStatus
	if c.Server {
		if err := s.act(func(desk *control) error { return desk.ask(s.ctx, http.MethodGet, "/api/admin/heal", nil, &status) }); err != nil {
			return err
		}
		return c.print(s, status)
	}
	c.File = c.file(s)
	err := s.onWatcher(c.File, looks, func(desk *control, _ *config.Watch) error {
		return desk.ask(s.ctx, http.MethodGet, "/api/admin/heal", nil, &status)
	})
	if code := makegood.CodeOf(err); code == makegood.Forbidden || code == makegood.Conflict {
		return c.beside(s, err)
	}
	if err != nil {
		return err
	}
	return c.print(s, status)
}

func (c healStatusCommand) print(s *surroundings, status api.HealStatus) error {
	if c.JSON {
		return s.printJSON(status)
	}
	printHealStatus(s, status)
	return nil
}

// beside reads what is kept beside a watcher that cannot be asked.
func (c healStatusCommand) beside(s *surroundings, why error) error {
	conf, err := s.loadWatch(c.File)
	if err != nil {
		return err
	}
	var status api.HealStatus
	err = s.attemptsIn(s.ctx, conf.Database, func(db *store.Store) error {
		standing, err := db.HealStanding(s.ctx, makegood.DefaultHealLimits)
		if err != nil {
			return err
		}
		if standing.Brake.Holds(time.Now()) {
			status.Brake = &standing.Brake
		}
		for _, a := range standing.Running {
			status.Running = append(status.Running, api.HealAttemptViewOf(a))
		}
		for _, t := range conf.Heal.Targets {
			v := api.HealTargetView{Name: t.Name, Kind: t.Kind, Auto: t.Auto, Drill: t.Drill, Left: standing.Left(t.Name, makegood.DefaultHealLimits, time.Now())}
			lately, err := db.Attempts(s.ctx, store.AttemptFilter{Target: t.Name, Limit: 5})
			if err != nil {
				return err
			}
			for _, a := range lately {
				v.Lately = append(v.Lately, api.HealAttemptViewOf(a))
			}
			status.Targets = append(status.Targets, v)
		}
		return nil
	})
	if err != nil {
		return errors.Join(why, err)
	}
	if c.JSON {
		return s.printJSON(status)
	}
	printHealStatus(s, status)
	fmt.Fprintf(s.out, "The watcher could not be asked how the targets stand now: %s\n", s.plain(why))
	return nil
}

func printHealStatus(s *surroundings, status api.HealStatus) {
	w := sheet{s.out}
	switch b := status.Brake; {
	case b == nil:
		w.row("Brake", "off")
	case b.Until.IsZero():
		w.row("Brake", "ON since %s UTC, put on by %s, until somebody takes it off: makegood heal resume", stamp(b.At), b.By)
		w.more(oneLine(b.Why))
	default:
		w.row("Brake", "ON since %s UTC, put on by %s, until %s UTC", stamp(b.At), b.By, stamp(b.Until))
		w.more(oneLine(b.Why))
	}
	for _, a := range status.Running {
		w.row("Under way", "%s at %s since %s UTC, asked for by %s", a.ID, a.Target, stamp(a.StartedAt), a.Actor)
		printSteps(s, a)
	}
	if len(status.Targets) == 0 {
		fmt.Fprintln(s.out, "The configuration has no heal.targets, so nothing is mended.")
	}
	for _, t := range status.Targets {
		fmt.Fprintln(s.out)
		printHealTarget(s, t)
	}
}

// printSteps prints all steps of an attempt that is under way, and how far each is.
func printSteps(s *surroundings, a api.HealAttemptView) {
	w := table(s.out)
	for k, step := range a.Steps {
		fmt.Fprintf(w, "  %d.\t%s\t%s\t%s\n", k+1, step.Name, step.State, or(step.Note, step.Says))
	}
	w.Flush() //nolint:errcheck // the stream's own error shows at the end
}

func printHealTarget(s *surroundings, t api.HealTargetView) {
	w := sheet{s.out}
	how := "a person decides"
	if t.Auto {
		how = "mended without a person"
	}
	if t.Drill {
		how += ", may be broken by drills"
	}
	w.row("Target", "%s (%s), %s", t.Name, t.Kind, how)
	if t.Credential != nil {
		w.row("  credential", "%s", answer(t.Credential, "good"))
	}
	if t.Source != nil {
		w.row("  truth", "%s", answer(t.Source, "good"))
	}
	if t.Drift != nil {
		w.row("  drift", "%s", answer(t.Drift, "none: it has everything that it must have"))
	}
	w.row("  limits", "%s left", count(t.Left, "attempt"))
	switch p := t.Now; {
	case p == nil:
	case p.Refusal != "":
		w.row("  now", "nothing would be done (%s): %s", p.Reason, p.Refusal)
	default:
		w.row("  now", "%s would be done, writing %s", p.Remedy, namesOr(p.Names, "nothing"))
	}
	for k, a := range t.Lately {
		name := "  attempts"
		if k > 0 {
			name = ""
		}
		text := string(a.State)
		if a.Reason != "" {
			text += " (" + string(a.Reason) + ")"
		}
		w.row(name, "%s  %s UTC  %s", a.ID, stamp(a.StartedAt), text)
	}
}

func answer(a *api.HealAnswer, well string) string {
	switch {
	case a.Unknown != "":
		return "unknown: " + a.Unknown
	case a.Trouble != "":
		return "NOT GOOD: " + a.Trouble
	}
	return well
}

func namesOr(names []string, otherwise string) string {
	if len(names) == 0 {
		return otherwise
	}
	return strings.Join(names, ", ")
}

type healPlanCommand struct {
	Target string `arg:"" help:"The target, by its name in heal.targets."`
	All    bool   `help:"As if every variable were to be written, and it were to be started again, whatever is seen."`
	JSON   bool   `help:"Print JSON, for programs."`
	watching
}

// Run plans.
func (c healPlanCommand) Run(s *surroundings) error {
	c.File = c.file(s)
	return s.onWatcher(c.File, looks, func(desk *control, conf *config.Watch) error {
		if err := known(conf, c.File, c.Target); err != nil {
			return err
		}
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
		if planned.Refusal != "" {
			return refusedHere(planned.Reason, planned.Refusal)
		}
		return nil
	})
}

func plan(s *surroundings, desk *control, target string, all bool) (heal.Planned, error) {
	var planned heal.Planned
	err := desk.ask(s.ctx, http.MethodPost, targetPath(target, "plan"), api.HealAsk{All: all}, &planned)
	return planned, err
}

func printPlan(s *surroundings, p heal.Planned) {
	w := sheet{s.out}
	w.row("Target", "%s (%s)", p.Target, p.Kind)
	if p.Remedy == "" {
		return
	}
	w.row("Fault", "%s", p.Fault)
	w.row("Remedy", "%s", p.Remedy)
	w.row("Writes", "%s", namesOr(p.Names, "nothing"))
	if p.Cause != "" {
		w.row("Cause", "%s, likely", p.Cause)
	}
	for k, step := range p.Steps {
		fmt.Fprintf(s.out, "  %d. %s\n", k+1, oneLine(step))
	}
	if p.Refusal == "" {
		fmt.Fprintln(s.out, "Nothing was changed.")
	}
}

type healRunCommand struct {
	Target string `arg:"" help:"The target, by its name in heal.targets."`
	All    bool   `help:"Write every variable and start again, whatever is seen."`
	JSON   bool   `help:"Print JSON, for programs, when it has ended."`
	watching
}

// Run mends a target and stays with it.
func (c healRunCommand) Run(s *surroundings) error {
	c.File = c.file(s)
	return s.onWatcher(c.File, mends, func(desk *control, conf *config.Watch) error {
		if err := known(conf, c.File, c.Target); err != nil {
			return err
		}
		m := mending{s: s, desk: desk, database: conf.Database, quiet: c.JSON}
		r, err := m.mend(c.Target, c.All)
		if err != nil {
			return err
		}
		if c.JSON {
			if err := s.printJSON(r); err != nil {
				return err
			}
		}
		switch {
		case r.Refused != nil:
			return refusedHere(r.Refused.Reason, r.Refused.Sentence)
		case r.Attempt.State != makegood.AttemptHealed:
			return notHealed(*r.Attempt)
		}
		if !c.JSON {
			fmt.Fprintln(s.out, healedText(*r.Attempt))
		}
		return nil
	})
}

func healedText(a api.HealAttemptView) string {
	text := a.Target + " is well, verified from outside"
	if len(a.Names) > 0 {
		text += "; written: " + strings.Join(a.Names, ", ")
	}
	return text + ". Find out what took it away: makegood heal status"
}

func notHealed(a api.HealAttemptView) error {
	return makegood.Errorf(makegood.Conflict, "Attempt %s at %s ended as %s (%s): %s", a.ID, a.Target, a.State, a.Reason, oneLine(a.Detail))
}

// mending stays with an attempt and says what happens.
type mending struct {
	s        *surroundings
	desk     *control
	database string // where attempts are kept
	quiet    bool
}

const (
	// followEvery is how often an attempt is looked at: the ledger is on this machine.
	followEvery = 200 * time.Millisecond
	// followTries is how often in a row it may not be readable: a watcher that is started again is back within seconds.
	followTries = 50
	// joinsMax is how many attempts of others are waited for.
	joinsMax = 3
	// stepSlow is after how long a step that is under way is named.
	stepSlow = 3 * time.Second
)

// mend begins an attempt, or joins the one that is under way, and follows it to its end.
func (m mending) mend(target string, all bool) (api.HealBegun, error) {
	for joined := 0; ; joined++ {
		var begun api.HealBegun
		if err := m.desk.ask(m.s.ctx, http.MethodPost, targetPath(target, "run"), api.HealAsk{All: all}, &begun); err != nil {
			return begun, err
		}
		if no := begun.Refused; no != nil && no.Reason == makegood.HealBusy && no.Attempt != "" && joined < joinsMax {
			m.say("Attempt %s is under way already; staying with it.\n", no.Attempt)
			a, err := m.follow(no.Attempt)
			if err != nil {
				return begun, err
			}
			if a.Target == target {
				return api.HealBegun{Attempt: &a}, nil
			}
			m.say("That was %s: %s. Now %s.\n", a.Target, a.State, target)
			continue
		}
		if begun.Refused != nil {
			p := printer{s: m.s, quiet: m.quiet}
			p.steps(api.HealAttemptView{Steps: begun.Steps})
			return begun, nil
		}
		a, err := m.follow(begun.Attempt.ID)
		return api.HealBegun{Attempt: &a}, err
	}
}

func (m mending) say(format string, args ...any) {
	if !m.quiet {
		fmt.Fprintf(m.s.out, format, args...)
	}
}

// follow looks at an attempt until it has ended, and prints each step once.
func (m mending) follow(id string) (a api.HealAttemptView, err error) {
	p := printer{s: m.s, quiet: m.quiet}
	failed := 0
	for {
		a, err = m.look(id)
		switch {
		case m.s.ctx.Err() != nil:
			return a, m.left(id)
		case err != nil:
			if failed++; failed >= followTries {
				return a, makegood.Wrap(err, makegood.Unavailable, fmt.Sprintf("The watcher does not answer any more, so it is not known how attempt %s goes. The next start goes on with it: makegood heal status", id))
			}
		default:
			failed = 0
			p.steps(a)
			if a.State != makegood.AttemptRunning {
				return a, nil
			}
		}
		select {
		case <-m.s.ctx.Done():
			return a, m.left(id)
		case <-time.After(followEvery):
		}
	}
}

// look reads an attempt. Whoever made it may have ended with it, as another command does: then the database says how.
func (m mending) look(id string) (a api.HealAttemptView, err error) {
	err = m.desk.ask(m.s.ctx, http.MethodGet, "/api/admin/heal/attempts/"+id, nil, &a)
	if err == nil {
		return a, nil
	}
	kept := m.s.attemptsIn(m.s.ctx, m.database, func(db *store.Store) error {
		attempt, err := db.Attempt(m.s.ctx, id)
		a = api.HealAttemptViewOf(attempt)
		return err
	})
	if kept == nil && a.State != makegood.AttemptRunning {
		return a, nil
	}
	return a, err
}

// left is that the person has gone.
func (m mending) left(id string) error {
	if m.desk.server {
		return fmt.Errorf("attempt %s goes on in the watcher; makegood heal status shows how, makegood heal pause stops it: %w", id, context.Canceled)
	}
	return fmt.Errorf("attempt %s is left as it is; the next run, or the watcher when it is started, goes on with it: %w", id, context.Canceled)
}

// printer prints a line for each step of an attempt, once.
type printer struct {
	s       *surroundings
	quiet   bool
	printed map[string]bool
}

func (p *printer) steps(a api.HealAttemptView) {
	if p.quiet {
		return
	}
	if p.printed == nil {
		p.printed = map[string]bool{}
	}
	total := 0
	for _, step := range a.Steps {
		if step.Phase != makegood.PhaseRollback {
			total++
		}
	}
	for k, step := range a.Steps {
		number := fmt.Sprintf("[%d/%d]", k+1, total)
		if step.Phase == makegood.PhaseRollback {
			number = "[back]"
		}
		switch step.State {
		case makegood.PlaceDone:
			p.once(step.Name, number, step, "ok")
		case makegood.PlaceFailed:
			p.once(step.Name, number, step, "FAIL")
		case makegood.PlaceRunning:
			if time.Since(step.StartedAt) > stepSlow {
				step.Note = step.Says
				p.once(step.Name+" slow", number, step, "…")
			}
		}
	}
}

func (p *printer) once(key, number string, step makegood.AttemptStep, word string) {
	if p.printed[key] {
		return
	}
	p.printed[key] = true
	took := ""
	if d := step.EndedAt.Sub(step.StartedAt); !step.EndedAt.IsZero() && d >= time.Second {
		took = " (" + tenths(d) + ")"
	}
	fmt.Fprintf(p.s.out, "%-6s %-10s %-4s %s%s\n", number, step.Name, word, oneLine(step.Note), took)
}

type healPauseCommand struct {
	Why string        `required:"" help:"Why; the next person reads it."`
	For time.Duration `help:"For how long, for example 2h; by default until somebody takes it off." placeholder:"TIME"`
	watching
	ofServer
}

// Run puts the brake on.
func (c healPauseCommand) Run(s *surroundings) error {
	b, err := c.brake(s, c.watching, api.HealBrakeAsk{On: true, Why: c.Why, Hold: c.For})
	if err != nil {
		return err
	}
	until := "until somebody takes it off"
	if !b.Until.IsZero() {
		until = "until " + stamp(b.Until) + " UTC"
	}
	again := "makegood heal resume"
	if c.Server {
		again += " --server"
	}
	fmt.Fprintf(s.out, "The brake is on, by %s, %s. Looking and telling go on. Take it off: %s\n", oneLine(b.By), until, again)
	return nil
}

type healResumeCommand struct {
	watching
	ofServer
}

// Run takes the brake off.
func (c healResumeCommand) Run(s *surroundings) error {
	if _, err := c.brake(s, c.watching, api.HealBrakeAsk{}); err != nil {
		return err
	}
	fmt.Fprintln(s.out, "The brake is off. What is broken is mended again, within the limits.")
	return nil
}

// brake puts the brake on or takes it off, and returns how it is then.
func (o ofServer) brake(s *surroundings, w watching, ask api.HealBrakeAsk) (b makegood.Brake, err error) {
	do := func(desk *control) error { return desk.ask(s.ctx, http.MethodPost, "/api/admin/heal/brake", ask, &b) }
	if o.Server {
		return b, s.act(do)
	}
	return b, s.onWatcher(w.file(s), writes, func(desk *control, _ *config.Watch) error { return do(desk) })
}
