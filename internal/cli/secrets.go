package cli

import (
	"errors"
	"fmt"
	"time"

	"github.com/makegood/makegood/internal/config"
	"github.com/makegood/makegood/internal/secret"
)

type secretsCommands struct {
	Check  secretsCheckCommand  `cmd:"" help:"Say of each secret whether it is there and whole, without ever showing it: the server's, or with -w all that are required, at every place."`
	Diff   secretsDiffCommand   `cmd:"" help:"Compare targets with the source of truth. 0 is no difference, 1 is some."`
	Push   secretsPushCommand   `cmd:"" help:"Write what a target lacks, from the source of truth. Starts nothing."`
	Accept secretsAcceptCommand `cmd:"" help:"Believe a source of truth that has fewer names than before, or is older: somebody meant it."`
	Keygen secretsKeygenCommand `cmd:"" help:"Make the keys that a sealed source of truth needs."`
	Seal   secretsSealCommand   `cmd:"" help:"Seal the required secrets, from the environment, a folder, or KEY=VALUE lines on standard input."`
	Set    secretsSetCommand    `cmd:"" help:"Put one secret into the source of truth; its value is read from standard input."`
}

type secretsCheckCommand struct {
	Watcher string `short:"w" help:"Check what this watcher's file requires: the source of truth, every target, and the running server." placeholder:"FILE"`
	JSON    bool   `help:"Print JSON, for programs."`
}

type secretRow struct {
	Path        string       `json:"path"`
	Kind        secret.Kind  `json:"kind,omitempty"`
	Fingerprint string       `json:"fingerprint,omitempty"`
	NotAfter    time.Time    `json:"not_after,omitzero"`
	Class       secret.Class `json:"class,omitempty"` // of the corruption; "" when it is whole
	Problem     string       `json:"problem,omitempty"`
}

// Run inspects every secret. Its exit says whether all of them are whole.
func (c secretsCheckCommand) Run(s *surroundings) error {
	if c.Watcher != "" {
		return c.checkPlaces(s)
	}
	loaded, err := s.load()
	var problems config.Problems
	if err != nil && !errors.As(err, &problems) {
		return err
	}
	if len(problems) == 1 && problems[0].Line == 0 && problems[0].Class == "" { // there is no file, or none that can be read
		return err
	}
	rows := []secretRow{}
	others := 0
	for _, p := range problems {
		if p.Class == "" {
			others++
			continue
		}
		rows = append(rows, secretRow{Path: p.Path, Class: p.Class, Problem: p.Sentence})
	}
	paths := map[string]bool{} // one secret may be broken in several ways
	for _, r := range rows {
		paths[r.Path] = true
	}
	broken := len(paths)
	if loaded != nil {
		for _, known := range config.Secrets(loaded) {
			rows = append(rows, secretRow{Path: known.Path, Kind: known.Kind, Fingerprint: known.Fingerprint, NotAfter: known.NotAfter})
		}
	}
	if c.JSON {
		if err := s.printJSON(rows); err != nil {
			return err
		}
	} else {
		c.print(s, rows, others)
	}
	switch {
	case broken > 0:
		return fmt.Errorf("%s broken; nothing was shown of any value", count(broken, "secret")+isOrAre(broken))
	case loaded == nil:
		return fmt.Errorf("the configuration has other problems, so not every secret could be looked at; makegood config check names them")
	}
	return nil
}

func isOrAre(n int) string {
	if n == 1 {
		return " is"
	}
	return " are"
}

func (c secretsCheckCommand) print(s *surroundings, rows []secretRow, others int) {
	w := table(s.out)
	for _, r := range rows {
		switch {
		case r.Problem != "":
			fmt.Fprintf(w, "BROKEN\t%s\t%s\t%s\n", r.Path, or(string(r.Class), "missing"), oneLine(r.Problem))
		case !r.NotAfter.IsZero() && time.Now().After(r.NotAfter):
			fmt.Fprintf(w, "over\t%s\t%s\tended %s UTC; it counts no more, and can be taken out after a while\n", r.Path, r.Fingerprint, stamp(r.NotAfter))
		case !r.NotAfter.IsZero():
			fmt.Fprintf(w, "good\t%s\t%s\tends %s UTC\n", r.Path, r.Fingerprint, stamp(r.NotAfter))
		default:
			fmt.Fprintf(w, "good\t%s\t%s\t\n", r.Path, or(r.Fingerprint, "set"))
		}
	}
	w.Flush() //nolint:errcheck // the stream's own error shows at the end
	if len(rows) > 0 && rows[0].Problem != "" {
		fmt.Fprintln(s.out, "What is not named here is whole, as far as it could be looked at.")
	}
	if others > 0 {
		fmt.Fprintf(s.out, "Besides, the configuration has %s: makegood config check\n", count(others, "other problem"))
	}
}
