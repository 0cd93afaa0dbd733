package cli

import (
	"fmt"
	"strings"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/docs/runbooks"
)

type runbookCommand struct {
	Code string `arg:"" optional:"" help:"The code of the check, as it stands in the message; without one all are listed."`
}

// Run prints a runbook.
func (c runbookCommand) Run(s *surroundings) error {
	if c.Code == "" {
		w := table(s.out)
		fmt.Fprintln(w, "RUNBOOK\tWHAT")
		for _, code := range runbooks.Codes() {
			text, _ := runbooks.Of(code)
			first, _, _ := strings.Cut(text, "\n")
			if code == strings.ToLower(code) { // a code; the page about the pages is none
				fmt.Fprintf(w, "%s\t%s\n", code, strings.TrimPrefix(first, "# "))
			}
		}
		return w.Flush()
	}
	code, _, _ := strings.Cut(c.Code, "/") // the key of an incident is good enough
	text, ok := runbooks.Of(code)
	if !ok {
		return makegood.Errorf(makegood.NotFound, "There is no runbook %s. List them: makegood runbook", oneLine(code))
	}
	_, err := fmt.Fprint(s.out, text)
	return err
}
