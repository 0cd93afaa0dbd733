package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/api"
	"github.com/makegood/makegood/internal/drill"
	"github.com/makegood/makegood/internal/store"
)

type drillCommands struct {
	List drillListCommand `cmd:"" help:"List what can be broken on purpose."`
	Run  drillRunCommand  `cmd:"" help:"Break something on purpose in a simulated world, and see that it is found, told and mended. Everything is on loopback, in processes of its own."`
}

type drillListCommand struct {
	JSON    bool   `help:"Print JSON, for programs."`
	Watcher string `name:"watcher" short:"w" help:"Say too how each went last at the watcher with this file." placeholder:"FILE"`
}

type drillRow struct {
	Name  string           `json:"name"`
	Says  string           `json:"says"`
	Heals bool             `json:"heals"`
	Hosts []string         `json:"hosts"`
	Last  *store.KeptDrill `json:"last,omitempty"` // that the watcher kept
}

// Run lists the drills.
func (c drillListCommand) Run(s *surroundings) error {
	var rows []drillRow
	for _, d := range drill.All() {
		rows = append(rows, drillRow{Name: d.Name, Says: d.Says, Heals: d.Heals, Hosts: d.Hosts})
	}
	if c.Watcher != "" {
		if err := c.addLast(s, rows); err != nil {
			return err
		}
	}
	if c.JSON {
		return s.printJSON(rows)
	}
	w := table(s.out)
	fmt.Fprintln(w, "DRILL\tMENDED BY\tHOSTS\tLAST (UTC)\tWHAT IS BROKEN")
	for _, r := range rows {
		by, last := "a person", "-"
		if r.Heals {
			by = "itself"
		}
		if r.Last != nil {
			last = stamp(r.Last.BeganAt) + map[bool]string{true: " passed", false: " FAILED"}[r.Last.Passed]
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", r.Name, by, strings.Join(r.Hosts, ", "), last, r.Says)
	}
	return w.Flush()
}

// addLast adds how each drill went last.
func (c drillListCommand) addLast(s *surroundings, rows []drillRow) error {
	conf, err := s.loadWatch(c.Watcher)
	if err != nil {
		return err
	}
	db, err := store.OpenReading(s.ctx, conf.Database)
	if err != nil {
		return err
	}
	for k := range rows {
		last, lastErr := db.Drills(s.ctx, rows[k].Name, 1)
		if err = errors.Join(err, lastErr); len(last) > 0 {
			rows[k].Last = &last[0]
		}
	}
	return errors.Join(err, db.Close())
}

type drillRunCommand struct {
	Name    string        `arg:"" help:"Which drill; makegood drill list names them."`
	Host    string        `help:"Where the server runs: pages (a host with a build) or env-file (a file of variables and a command)." placeholder:"KIND"`
	Scale   float64       `help:"How many times as fast everything goes that waits. The limits are divided by it." default:"1"`
	Build   time.Duration `help:"How long a deployment takes at the host, in real time." default:"45s"`
	Keep    string        `help:"Do it in this folder, and leave it there: the logs and databases of all processes." placeholder:"FOLDER"`
	Target  string        `help:"Break this target of the watcher's file in truth, which its configuration has to allow (drill: true): only for drills that wipe secrets. The watcher has to run here." placeholder:"NAME"`
	Watcher string        `name:"watcher" short:"w" default:"watch.yaml" help:"The watcher's configuration file, for --target." placeholder:"FILE"`
	Lax     bool          `help:"Fail only if something did not happen, and not if it happened too late: for machines that are busy."`
	JSON    bool          `help:"Print JSON, for programs."`
}

// Run runs a drill and says how it went. Its exit says whether it passed.
func (c drillRunCommand) Run(s *surroundings) error {
	d, err := drill.Find(c.Name)
	if err != nil {
		return err
	}
	if c.Target != "" {
		return c.real(s)
	}
	program, err := os.Executable()
	if err != nil {
		return err
	}
	var log io.Writer = s.out
	if c.JSON {
		log = nil
	} else {
		fmt.Fprintf(s.out, "%s\n", d.Says)
	}
	if c.Keep != "" {
		if err := os.MkdirAll(c.Keep, 0o700); err != nil {
			return err
		}
	}
	r, err := drill.Run(s.ctx, d, drill.Options{Program: program, Host: c.Host, Scale: c.Scale, Build: c.Build, Log: log, Dir: c.Keep})
	if err != nil {
		return err
	}
	return c.verdict(s, r)
}

// real has the watcher that runs here break a real target.
func (c drillRunCommand) real(s *surroundings) error {
	var r makegood.DrillResult
	err := s.actOnWatcher(c.Watcher, func(a *control) error {
		if !c.JSON {
			fmt.Fprintf(s.out, "The watcher breaks %s, and mends it again whatever it sees. This takes minutes; stopping this command does not stop it.\n", c.Target)
		}
		return a.ask(s.ctx, "POST", "/api/admin/drills", api.DrillAsk{Name: c.Name, Target: c.Target}, &r)
	})
	if err != nil {
		return err
	}
	if !c.JSON {
		for _, m := range r.Timeline {
			fmt.Fprintln(s.out, m)
		}
	}
	return c.verdict(s, r)
}

// verdict prints how it went, and is an error when the drill failed.
func (c drillRunCommand) verdict(s *surroundings, r makegood.DrillResult) error {
	if c.JSON {
		if err := s.printJSON(r); err != nil {
			return err
		}
	} else {
		printDrill(s, r)
	}
	switch {
	case r.Broken != "":
		return fmt.Errorf("the drill %s could not be run to its end: %s", r.Drill, r.Broken)
	case !r.Passed && !(c.Lax && r.Happened()):
		return fmt.Errorf("the drill %s failed. What to do: makegood runbook drill-failed", r.Drill)
	}
	return nil
}

// printDrill prints what had to happen, against its limits.
func printDrill(s *surroundings, r makegood.DrillResult) {
	fmt.Fprintln(s.out)
	w := table(s.out)
	fmt.Fprintln(w, "WHAT HAD TO HAPPEN\tTOOK\tAT MOST\tAIM\t")
	for _, c := range r.Checks {
		took, limit, aim, verdict := "-", "-", "-", "ok"
		if c.Limit > 0 {
			took, limit = tenths(c.Took), tenths(c.Limit)
		}
		if c.Aim > 0 {
			aim = tenths(c.Aim)
		}
		switch {
		case c.Missing != "":
			verdict = "MISSING: " + oneLine(c.Missing)
		case c.Missed():
			verdict = "TOO LATE"
		case c.Aim > 0 && c.Took > c.Aim:
			verdict = "ok, later than aimed at"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", oneLine(c.What), took, limit, aim, verdict)
	}
	_ = w.Flush() // the stream's own error shows at the end
	if r.Passed {
		fmt.Fprintf(s.out, "\nThe drill %s on %s passed after %s.\n", r.Drill, r.Host, short(r.Took))
	}
}

// tenths is a time to a tenth of a second.
func tenths(d time.Duration) string { return fmt.Sprintf("%.1fs", d.Seconds()) }

// simulatedDrill runs a drill for a watcher whose configuration wants some, in processes of this very program.
func simulatedDrill(ctx context.Context, name string) (makegood.DrillResult, error) {
	d, err := drill.Find(name)
	if err != nil {
		return makegood.DrillResult{}, makegood.Wrap(err, makegood.NotFound, err.Error())
	}
	program, err := os.Executable()
	if err != nil {
		return makegood.DrillResult{}, err
	}
	return drill.Run(ctx, d, drill.Options{Program: program})
}
