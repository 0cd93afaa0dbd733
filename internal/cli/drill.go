package cli

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/makegood/makegood/internal/drill"
)

type drillCommands struct {
	List drillListCommand `cmd:"" help:"List what can be broken on purpose."`
	Run  drillRunCommand  `cmd:"" help:"Break something on purpose in a simulated world, and see that it is found, told and mended. Everything is on loopback, in processes of its own."`
}

type drillListCommand struct {
	JSON bool `help:"Print JSON, for programs."`
}

type drillRow struct {
	Name  string   `json:"name"`
	Says  string   `json:"says"`
	Heals bool     `json:"heals"`
	Hosts []string `json:"hosts"`
}

// Run lists the drills.
func (c drillListCommand) Run(s *surroundings) error {
	var rows []drillRow
	for _, d := range drill.All() {
		rows = append(rows, drillRow{d.Name, d.Says, d.Heals, d.Hosts})
	}
	if c.JSON {
		return s.printJSON(rows)
	}
	w := table(s.out)
	fmt.Fprintln(w, "DRILL\tMENDED BY\tHOSTS\tWHAT IS BROKEN")
	for _, r := range rows {
		by := "a person"
		if r.Heals {
			by = "itself"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", r.Name, by, strings.Join(r.Hosts, ", "), r.Says)
	}
	return w.Flush()
}

type drillRunCommand struct {
	Name  string        `arg:"" help:"Which drill; makegood drill list names them."`
	Host  string        `help:"Where the server runs: pages (a host with a build) or env-file (a file of variables and a command)." placeholder:"KIND"`
	Scale float64       `help:"How many times as fast everything goes that waits. The limits are divided by it." default:"1"`
	Build time.Duration `help:"How long a deployment takes at the host, in real time." default:"45s"`
	Keep  string        `help:"Do it in this folder, and leave it there: the logs and databases of all processes." placeholder:"FOLDER"`
	Lax   bool          `help:"Fail only if something did not happen, and not if it happened too late: for machines that are busy."`
	JSON  bool          `help:"Print JSON, for programs."`
}

// Run runs a drill and says how it went. Its exit says whether it passed.
func (c drillRunCommand) Run(s *surroundings) error {
	d, err := drill.Find(c.Name)
	if err != nil {
		return err
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
func printDrill(s *surroundings, r drill.Result) {
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
