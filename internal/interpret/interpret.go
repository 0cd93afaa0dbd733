// Package interpret turns kept events into facts and lets orders learn them. Every trigger that says something about a
// payment, be it a webhook, the success page or an operator, ends in the one function Learn.
package interpret

import (
	"context"
	"errors"
	"fmt"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/provider"
)

// Store is what interpreting needs kept.
type Store interface {
	// Event returns a kept event, or makegood.NotFound.
	Event(ctx context.Context, id string) (makegood.Event, error)
	// MarkUnhandled records that an event says nothing that is ours to act on. Twice is once.
	MarkUnhandled(ctx context.Context, eventID, note string) error
	// AmendOrder commits one change of one order with all that follows, or nothing.
	AmendOrder(ctx context.Context, a makegood.Amendment) (makegood.Order, error)
}

// Interpreter reads events of all sources.
type Interpreter struct {
	Sources map[string]provider.Source
	Store   Store
	// Terms returns what an order is settled by at this moment.
	Terms func(keyTaken func(string) bool) makegood.Terms
}

// Work is the interpret job: it reads one event, asks the provider where the event does not tell enough, and settles the
// order. It is safe to run again at any point: what an earlier run committed is found and changes nothing.
func (i *Interpreter) Work(ctx context.Context, job makegood.Job) error {
	event, err := i.Store.Event(ctx, job.EventID)
	if errors.Is(err, makegood.NotFound) {
		return &makegood.Permanent{Err: err}
	}
	if err != nil {
		return err
	}
	if event.State == makegood.EventHandled {
		return nil // a crash came after the commit and before the queue heard of it
	}
	source, ok := i.Sources[event.Source]
	if !ok {
		return fmt.Errorf("source %q of event %s is not configured any more", event.Source, event.ID)
	}
	reading, err := source.Interpret(ctx, event)
	if err != nil {
		return err
	}
	if len(reading.Facts) == 0 {
		return i.Store.MarkUnhandled(ctx, event.ID, reading.Note)
	}
	_, err = i.Learn(ctx, "event:"+event.ID, event.ID, reading.Facts)
	return err
}

// Learn lets the order of the facts learn them and settles it, in one commit. The facts must be of one order. eventID is
// the event that told them, or "" when the provider was asked. Facts that name no session find their order by reference;
// when there is none yet they wait for it in the store, and the order that is returned has no id.
func (i *Interpreter) Learn(ctx context.Context, actor, eventID string, facts []makegood.Fact) (makegood.Order, error) {
	return i.Store.AmendOrder(ctx, makegood.Amendment{
		Key:     facts[0].Key,
		EventID: eventID,
		Actor:   actor,
		Facts:   facts,
		Change: func(o *makegood.Order, keyTaken func(string) bool) ([]makegood.Entry, error) {
			return o.Settle(i.Terms(keyTaken)), nil
		},
	})
}

// Ask reads the state of a session back from its provider and settles the order by it, exactly as an event would. It is
// how the success page gets its key without waiting for the webhook. The order is empty when the provider knows the
// session but nothing was paid or decided yet. A session that the provider does not know is makegood.NotFound.
func (i *Interpreter) Ask(ctx context.Context, actor, sourceName, sessionID string) (makegood.Order, error) {
	asker, ok := i.Sources[sourceName].(provider.Asker)
	if !ok {
		return makegood.Order{}, makegood.Errorf(makegood.NotFound, "This source cannot be asked.")
	}
	reading, err := asker.Ask(ctx, sessionID)
	if err != nil || len(reading.Facts) == 0 {
		return makegood.Order{}, err
	}
	return i.Learn(ctx, actor, "", reading.Facts)
}
