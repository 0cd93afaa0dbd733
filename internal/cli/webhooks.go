package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/api"
	"github.com/makegood/makegood/internal/desk"
	"github.com/makegood/makegood/internal/store"
)

type webhooksCommands struct {
	List    webhooksListCommand    `cmd:"" help:"List the dead letters: events and effects that were given up."`
	Show    webhooksShowCommand    `cmd:"" help:"Show a dead letter with every failed attempt."`
	Retry   webhooksRetryCommand   `cmd:"" help:"Have dead letters done again: one, or all that fit."`
	Discard webhooksDiscardCommand `cmd:"" help:"Take a dead letter off the list, with a reason for the audit."`
}

// letterFilter are the flags that select dead letters.
type letterFilter struct {
	Since  time.Duration `help:"Only those given up within this time, for example 1h." placeholder:"TIME"`
	Type   string        `help:"Only this type of event or this step, for example checkout.session.completed or email." placeholder:"TYPE"`
	Source string        `help:"Only events of this source." placeholder:"NAME"`
	Reason string        `help:"Only those given up for this reason: ${enum}." enum:"any, permanent, exhausted, crashed, doubtful" default:"any"`
}

func (f letterFilter) since(now time.Time) time.Time {
	if f.Since == 0 {
		return time.Time{}
	}
	return now.Add(-f.Since)
}

// isAll reports whether every letter fits.
func (f letterFilter) isAll() bool {
	return f.Since == 0 && f.Type == "" && f.Source == "" && f.Reason == anyState
}

type webhooksListCommand struct {
	State string `help:"Only dead letters in this state: ${enum}." enum:"any, open, retried, discarded" default:"open"`
	letterFilter
	listing
	looking
}

type letterRow struct {
	ID            string                   `json:"id"`
	State         makegood.DeadState       `json:"state"`
	Reason        makegood.DeadReason      `json:"reason"`
	Source        string                   `json:"source,omitempty"`
	Type          string                   `json:"type"`
	EventID       string                   `json:"event_id,omitempty"`
	OrderID       string                   `json:"order_id,omitempty"`
	Error         string                   `json:"error"`
	Attempts      int                      `json:"attempts"`
	Retries       int                      `json:"retries"`
	FirstFailedAt time.Time                `json:"first_failed_at"`
	LastFailedAt  time.Time                `json:"last_failed_at"`
	RetriedAt     time.Time                `json:"retried_at,omitzero"`
	History       []makegood.FailedAttempt `json:"history,omitempty"`
}

func letterRowOf(d makegood.DeadLetter) letterRow {
	return letterRow{d.ID, d.State, d.Reason, d.Source, d.Type, d.Job.EventID, d.Job.OrderID, d.Error, d.Attempts, d.Retries,
		d.FirstFailedAt, d.LastFailedAt, d.RetriedAt, nil}
}

// Run lists dead letters.
func (c webhooksListCommand) Run(s *surroundings) error {
	return c.look(s, func(db *store.Store) error {
		letters, err := db.DeadLetters(s.ctx, store.DeadLetterFilter{State: makegood.DeadState(filterOf(c.State)), Source: c.Source,
			Type: c.Type, Reason: makegood.DeadReason(filterOf(c.Reason)), Since: c.since(time.Now()), Limit: c.Limit})
		if err != nil {
			return err
		}
		rows := make([]letterRow, len(letters))
		for i, d := range letters {
			rows[i] = letterRowOf(d)
		}
		if c.JSON {
			return s.printJSON(rows)
		}
		if len(rows) == 0 {
			fmt.Fprintln(s.out, c.none())
			return nil
		}
		w := table(s.out)
		fmt.Fprintln(w, "GIVEN UP (UTC)\tLETTER\tSTATE\tSOURCE\tTYPE\tREASON\tATTEMPTS\tERROR")
		for _, d := range rows {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%d\t%s\n", stamp(d.LastFailedAt), d.ID, d.State, or(d.Source, "-"), or(d.Type, "-"), d.Reason,
				d.Attempts, firstOf(oneLine(d.Error), 80))
		}
		if err := errors.Join(w.Flush(), s.cut(len(rows), c.Limit)); err != nil || c.State != string(makegood.DeadOpen) {
			return err
		}
		fmt.Fprintln(s.out, "See why: makegood webhooks show LETTER. Do all of these again: makegood webhooks retry --all, or with the same filters.")
		return nil
	})
}

func (c webhooksListCommand) none() string {
	if c.State == string(makegood.DeadOpen) && c.isAll() {
		return "No open dead letters: nothing waits for a person."
	}
	return "No such dead letters."
}

// firstOf cuts text to so many characters.
func firstOf(text string, most int) string {
	if runes := []rune(text); len(runes) > most {
		return string(runes[:most-1]) + "…"
	}
	return text
}

type webhooksShowCommand struct {
	ID string `arg:"" help:"The id of the dead letter (dlq…)."`
	looking
}

// Run shows one dead letter.
func (c webhooksShowCommand) Run(s *surroundings) error {
	return c.look(s, func(db *store.Store) error {
		d, err := db.DeadLetter(s.ctx, c.ID)
		if err != nil {
			return err
		}
		if c.JSON {
			row := letterRowOf(d)
			row.History = d.History
			return s.printJSON(struct {
				letterRow
				Payload json.RawMessage `json:"payload,omitempty"`
			}{row, payloadOf(d.Payload)})
		}
		w := sheet{s.out}
		w.row("Letter", "%s, %s", d.ID, d.State)
		w.more(letterHelp[d.State])
		if d.Job.EventID != "" {
			w.row("Event", "%s of source %s, %s", d.Job.EventID, d.Source, or(d.Type, notAnEvent))
			w.more("Its body: makegood events show " + d.Job.EventID)
		}
		if d.Job.OrderID != "" {
			w.row("Step", "%s of order %s", d.Type, d.Job.OrderID)
			w.more("The order: makegood orders show " + d.Job.OrderID)
		}
		w.row("Reason", "%s", d.Reason)
		w.more(deadHelp[d.Reason])
		w.row("Error", "%s", d.Error)
		w.row("Attempts", "%d, from %s to %s UTC", d.Attempts, stamp(d.FirstFailedAt), stamp(d.LastFailedAt))
		if d.Retries > 0 {
			w.row("Done again", "%s, last at %s UTC", count(d.Retries, "time"), stamp(d.RetriedAt))
		}
		t := table(s.out)
		for _, a := range d.History {
			fmt.Fprintf(t, "  %s\t%s attempt\t%s\n", stamp(a.At), ordinal(a.Attempt), oneLine(a.Error))
		}
		return t.Flush()
	})
}

func payloadOf(payload []byte) json.RawMessage {
	if payload == nil {
		return nil
	}
	return bodyOf(payload)
}

// letterHelp says who has the next move.
var letterHelp = map[makegood.DeadState]string{
	makegood.DeadOpen:      "It waits for a person: repair what the error names, then makegood webhooks retry.",
	makegood.DeadRetried:   "Its job was put into the queue again. It is opened again here if that is given up too.",
	makegood.DeadDiscarded: "Somebody decided that it is not needed; the audit says why.",
}

var deadHelp = map[makegood.DeadReason]string{
	makegood.DeadPermanent: "No repetition could cure it, as long as nothing was repaired.",
	makegood.DeadExhausted: "Every attempt failed.",
	makegood.DeadCrashed:   "The process died or hung in each of its last attempts.",
	makegood.DeadDoubtful:  "It may have happened. Look there first; --anew repeats it all the same.",
}

type webhooksRetryCommand struct {
	IDs []string `arg:"" optional:"" name:"letter" help:"The letters to do again. Without any, all that fit the filters."`
	All bool     `help:"All open letters, when no filter is given."`
	letterFilter
	PerSecond int  `help:"Begin at most so many a second, behind everything that is paid for now." default:"20"`
	Anew      bool `help:"Repeat even what may have happened already: it may then happen twice."`
	DryRun    bool `help:"Only say what would be done again."`
	JSON      bool `help:"Print JSON, for programs."`
}

// Validate refuses to do everything again by mistake.
func (c webhooksRetryCommand) Validate() error {
	isFiltered := !c.isAll()
	switch {
	case len(c.IDs) > 0 && (isFiltered || c.All):
		return errors.New("name letters, or filter them, not both")
	case len(c.IDs) == 0 && !isFiltered && !c.All:
		return errors.New("name the letters, filter them (--since --type --source --reason), or say --all")
	case c.PerSecond < 1 || c.PerSecond > 10_000:
		return errors.New("--per-second must be 1 to 10000")
	}
	return nil
}

// Run has dead letters done again, in rounds, with progress.
func (c webhooksRetryCommand) Run(s *surroundings) error {
	return s.act(func(desk *control) error {
		all, lost, err := c.rounds(s, desk)
		if c.JSON {
			return errors.Join(s.printJSON(map[string]any{"letters": all, "lost": lost, "dry_run": c.DryRun}), err)
		}
		switch {
		case err != nil && len(all) == 0:
		case len(all) == 0:
			fmt.Fprintln(s.out, "No open dead letter fits; nothing was done.")
		case c.DryRun:
			fmt.Fprintf(s.out, "%s would be done again: %s\n", count(len(all), "letter"), firstOf(strings.Join(all, " "), 400))
		default:
			fmt.Fprintf(s.out, "%s will be done again", count(len(all), "letter"))
			if len(all) > 1 {
				fmt.Fprintf(s.out, ", at most %d a second, which takes about %s", c.PerSecond, short(time.Duration(len(all))*time.Second/time.Duration(c.PerSecond)))
			}
			fmt.Fprintln(s.out, ". What fails again comes back to: makegood webhooks list")
			desk.later(s.out)
		}
		if lost > 0 {
			fmt.Fprintf(s.out, "%s had been done again by somebody else at the same moment.\n", count(lost, "letter"))
		}
		return err
	})
}

// rounds asks the desk round by round until nothing is left.
func (c webhooksRetryCommand) rounds(s *surroundings, control *control) (all []string, lost int, err error) {
	all = []string{}
	ask := api.RetryAsk{Selection: desk.Selection{IDs: c.IDs, Since: c.since(time.Now()), Type: c.Type, Source: c.Source,
		Reason: makegood.DeadReason(filterOf(c.Reason))}, Anew: c.Anew, PerSecond: c.PerSecond, DryRun: c.DryRun}
	for {
		var done desk.Retried
		if err := control.ask(s.ctx, http.MethodPost, "/api/admin/dead-letters/retry", ask, &done); err != nil {
			return all, lost, err
		}
		all, lost = append(all, done.Letters...), lost+done.Lost
		if done.After == "" || len(c.IDs) > 0 {
			return all, lost, nil
		}
		fmt.Fprintf(s.errors, "%d letters so far…\n", len(all))
		ask.After = done.After
		ask.Wait = time.Duration(len(all)) * time.Second / time.Duration(c.PerSecond)
	}
}

type webhooksDiscardCommand struct {
	ID  string `arg:"" help:"The id of the dead letter (dlq…)."`
	Why string `help:"Why it is not needed; the audit keeps it." required:""`
}

// Run takes a dead letter off the list.
func (c webhooksDiscardCommand) Run(s *surroundings) error {
	return s.act(func(desk *control) error {
		body := map[string]string{"why": c.Why}
		if err := desk.ask(s.ctx, http.MethodPost, "/api/admin/dead-letters/"+c.ID+"/discard", body, &struct{}{}); err != nil {
			return err
		}
		fmt.Fprintf(s.out, "Dead letter %s is off the list, and nothing waits for what it was about any more. The audit keeps why.\n", oneLine(c.ID))
		return nil
	})
}
