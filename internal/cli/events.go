package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/store"
)

type eventsCommands struct {
	List eventsListCommand `cmd:"" help:"List events, newest first."`
	Show eventsShowCommand `cmd:"" help:"Show an event with its body as it was delivered."`
	Pull eventsPullCommand `cmd:"" help:"Fetch the events that the providers could not deliver."`
}

type eventsListCommand struct {
	State  string `help:"Only events in this state: ${enum}." enum:"any, kept, handled, unhandled, dead" default:"any"`
	Source string `help:"Only events of this source." placeholder:"NAME"`
	listing
	looking
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
	return c.look(s, func(db *store.Store) error {
		events, err := db.Events(s.ctx, store.EventFilter{State: makegood.EventState(filterOf(c.State)), Source: c.Source, Limit: c.Limit})
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
			fmt.Fprintln(s.out, c.none())
			return nil
		}
		w := table(s.out)
		fmt.Fprintln(w, "RECEIVED (UTC)\tEVENT\tTYPE\tSTATE\tORDER\tNOTE")
		for _, e := range rows {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", stamp(e.ReceivedAt), e.ID, or(e.Type, notAnEvent), e.State, or(e.OrderID, "-"), or(e.Note, "-"))
		}
		return errors.Join(w.Flush(), s.cut(len(rows), c.Limit))
	})
}

const notAnEvent = "(not an event)"

func (c eventsListCommand) none() string {
	if c.State == anyState && c.Source == "" {
		return "No events yet. Does the provider's webhook point to this server? \"makegood config check\" prints the address."
	}
	return "No such events."
}

// cut says that a listing may have left something out.
func (s *surroundings) cut(shown, limit int) error {
	if shown < limit {
		return nil
	}
	_, err := fmt.Fprintf(s.out, "These are the newest %d; there may be more (--limit).\n", shown)
	return err
}

type eventsShowCommand struct {
	ID string `arg:"" help:"Our id of the event (evt…) or the provider's (evt_…)."`
	looking
}

// Run shows one event.
func (c eventsShowCommand) Run(s *surroundings) error {
	return c.look(s, func(db *store.Store) error {
		e, err := db.Event(s.ctx, c.ID)
		if errors.Is(err, makegood.NotFound) {
			return makegood.Errorf(makegood.NotFound, "No event has the id %s. If the provider's dashboard shows it as delivered, look there "+
				"which address it was delivered to.", oneLine(c.ID))
		}
		if err != nil {
			return err
		}
		if c.JSON {
			return s.printJSON(struct {
				eventRow
				Payload json.RawMessage `json:"payload"`
			}{eventRowOf(e), bodyOf(e.Payload)})
		}
		w := sheet{s.out}
		w.row("Event", "%s", e.ID)
		w.row("Provider's", "%s of source %s, API version %s", e.ProviderID, e.Source, or(e.APIVersion, "unknown"))
		w.row("Type", "%s", or(e.Type, notAnEvent))
		w.row("State", "%s", e.State)
		w.more(eventHelp[e.State])
		if e.Note != "" {
			w.row("Note", "%s", e.Note)
		}
		w.row("Received", "%s UTC, proved by the secret with fingerprint %s", stamp(e.ReceivedAt), e.VerifiedBy)
		if e.OrderID != "" {
			w.row("Order", "%s, changed %s after the event was received", e.OrderID, short(e.HandledAt.Sub(e.ReceivedAt)))
		}
		w.row("Body", "%d bytes", len(e.Payload))
		var body bytes.Buffer
		if json.Indent(&body, e.Payload, "", "  ") != nil {
			body.Reset()
			body.Write(e.Payload)
		}
		fmt.Fprintln(s.out, safe(body.String()))
		return nil
	})
}

// eventHelp says who has the next move.
var eventHelp = map[makegood.EventState]string{
	makegood.EventKept:      "It is safe and waits to be interpreted. If it waits for long, look at /api/health and the log.",
	makegood.EventHandled:   "What it told is known to its order.",
	makegood.EventUnhandled: "It tells nothing that this server acts on. That is usual for most types.",
	makegood.EventDead:      "It could not be interpreted and was given up; the note says why.",
}

// bodyOf is a body within JSON: itself, or a string when it is no JSON.
func bodyOf(payload []byte) json.RawMessage {
	if json.Valid(payload) {
		return payload
	}
	text, _ := json.Marshal(string(payload)) // a string always encodes
	return text
}
