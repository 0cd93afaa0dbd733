package cli

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/store"
)

// moment is one line of an order's time line.
type moment struct {
	At   time.Time `json:"at"`
	What string    `json:"what"`
}

// timeline is everything that is known to have happened to an order, in the order of our clock.
func timeline(ctx context.Context, s *store.Store, o makegood.Order) ([]moment, error) {
	events, err := s.Events(ctx, store.EventFilter{OrderID: o.ID})
	if err != nil {
		return nil, err
	}
	entries, err := s.AuditOf(ctx, o.ID)
	if err != nil {
		return nil, err
	}
	var line []moment
	for _, e := range events {
		line = append(line, moment{e.ReceivedAt, fmt.Sprintf("event %s kept (%s)", e.Type, e.ProviderID)})
	}
	for _, e := range entries {
		line = append(line, moment{e.At, entryText(e)})
	}
	for _, step := range o.Steps {
		if !step.IntentAt.IsZero() {
			line = append(line, moment{step.IntentAt, fmt.Sprintf("%s about to leave", step.Name)})
		}
		if !step.DoneAt.IsZero() {
			line = append(line, moment{step.DoneAt, fmt.Sprintf("%s accepted by the other side as %s, attempt %d", step.Name, step.Receipt, step.Attempts)})
		}
	}
	slices.SortStableFunc(line, func(a, b moment) int { return cmp.Compare(a.At.UnixMicro(), b.At.UnixMicro()) })
	return line, nil
}

func entryText(e makegood.Entry) string {
	change := e.After
	if e.Before != "" {
		change = e.Before + " → " + e.After
	}
	return fmt.Sprintf("%s %s", e.Action, change)
}

// printTimeline shows each moment with the time since the first.
func printTimeline(w io.Writer, line []moment) {
	if len(line) == 0 {
		return
	}
	fmt.Fprintf(w, "  %s\n", line[0].At.UTC().Format("2006-01-02 15:04:05.000 UTC"))
	for _, m := range line {
		fmt.Fprintf(w, "  %10s  %s\n", "+"+short(m.At.Sub(line[0].At)), m.What)
	}
}

// short rounds a duration to what a person compares.
func short(d time.Duration) string {
	switch {
	case d < time.Second:
		return d.Round(100 * time.Microsecond).String()
	case d < time.Minute:
		return d.Round(10 * time.Millisecond).String()
	default:
		return d.Round(time.Second).String()
	}
}
