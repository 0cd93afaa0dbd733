package cli

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/store"
)

type eventsCommands struct {
	List eventsListCommand `cmd:"" help:"List events, newest first."`
	Show eventsShowCommand `cmd:"" help:"Show an event with its body as it was delivered."`
}

type eventsListCommand struct {
	State  string `help:"Only events in this state." enum:",kept,handled,unhandled,dead" default:""`
	Source string `help:"Only events of this source."`
	Limit  int    `help:"At most so many." default:"50"`
	JSON   bool   `help:"Print JSON."`
}

type eventRow struct {
	ID         string              `json:"id"`
	Source     string              `json:"source"`
	ProviderID string              `json:"provider_id"`
	Type       string              `json:"type"`
	APIVersion string              `json:"api_version,omitempty"`
	Live       bool                `json:"live"`
	State      makegood.EventState `json:"state"`
	Note       string              `json:"note,omitempty"`
	OrderID    string              `json:"order_id,omitempty"`
	VerifiedBy string              `json:"verified_by"`
	ReceivedAt time.Time           `json:"received_at"`
	HandledAt  time.Time           `json:"handled_at,omitzero"`
}

func eventRowOf(e makegood.Event) eventRow {
	return eventRow{e.ID, e.Source, e.ProviderID, e.Type, e.APIVersion, e.Live, e.State, e.Note, e.OrderID, e.VerifiedBy,
		e.ReceivedAt, e.HandledAt}
}

// Run lists events.
func (c eventsListCommand) Run(s *surroundings) error {
	return s.withStore(func(db *store.Store) error {
		events, err := db.Events(s.ctx, store.EventFilter{State: makegood.EventState(c.State), Source: c.Source, Limit: c.Limit})
		if err != nil {
			return err
		}
		rows := make([]eventRow, len(events))
		for i, e := range events {
			rows[i] = eventRowOf(e)
		}
		if c.JSON {
			return s.printJSON(rows)
		}
		if len(rows) == 0 {
			fmt.Fprintln(s.out, "No events.")
			return nil
		}
		w := table(s.out)
		fmt.Fprintln(w, "EVENT\tRECEIVED\tTYPE\tSTATE\tORDER\tNOTE")
		for _, e := range rows {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", e.ID, stamp(e.ReceivedAt), or(e.Type, "(not an event)"), e.State, or(e.OrderID, "-"), e.Note)
		}
		return w.Flush()
	})
}

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

type eventsShowCommand struct {
	ID   string `arg:"" help:"Our id of the event or the provider's."`
	JSON bool   `help:"Print JSON."`
}

// Run shows one event.
func (c eventsShowCommand) Run(s *surroundings) error {
	return s.withStore(func(db *store.Store) error {
		e, err := db.Event(s.ctx, c.ID)
		if err != nil {
			return err
		}
		if c.JSON {
			body, _ := json.Marshal(string(e.Payload)) // a string always encodes
			if json.Valid(e.Payload) {
				body = e.Payload
			}
			return s.printJSON(struct {
				eventRow
				Payload json.RawMessage `json:"payload"`
			}{eventRowOf(e), body})
		}
		fmt.Fprintf(s.out, "Event       %s\nProvider's  %s (%s, API version %s)\nType        %s\nState       %s %s\n",
			e.ID, e.ProviderID, e.Source, or(e.APIVersion, "unknown"), or(e.Type, "(not an event)"), e.State, e.Note)
		fmt.Fprintf(s.out, "Received    %s, proved by the secret %s\n", stamp(e.ReceivedAt), e.VerifiedBy)
		if e.OrderID != "" {
			fmt.Fprintf(s.out, "Order       %s, %s after it was received\n", e.OrderID, short(e.HandledAt.Sub(e.ReceivedAt)))
		}
		fmt.Fprintf(s.out, "Body        %d bytes\n%s\n", len(e.Payload), e.Payload)
		return nil
	})
}
