package app

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/desk"
	"github.com/makegood/makegood/internal/store"
	"github.com/makegood/makegood/internal/watch"
)

// desk is where people act on what stands here.
func (h *furniture) desk(o Options) *desk.Desk {
	return &desk.Desk{Sources: h.sources, Store: deskStore{h.revivingStore()}, Ask: h.interpreter.Ask, Resettle: h.resettle, Terms: h.terms, Now: o.Now,
		Steps: slices.Sorted(maps.Keys(h.effects)), Log: o.Log.With("component", "desk")}
}

// byWatcher is who acts when the watcher asks for those who waited.
const byWatcher = "peer:watcher"

// serveWaiting is the desk as the watcher asks it.
func serveWaiting(d *desk.Desk) func(context.Context, watch.ServeAsk) (watch.ServeAnswer, error) {
	return func(ctx context.Context, ask watch.ServeAsk) (watch.ServeAnswer, error) {
		actor := byWatcher
		if ask.Attempt != "" {
			actor += "/" + ask.Attempt
		}
		s, err := d.Serve(ctx, actor, ask.Since, ask.Ended)
		return watch.ServeAnswer{Waited: s.Waited, Waiting: s.Waiting, Longest: s.Longest, Pulled: s.Pulled, Again: s.Again, Note: s.Note}, err
	}
}

// resettle reads the events of an order again and settles it by what they tell now.
func (h *furniture) resettle(ctx context.Context, actor, orderID string) (makegood.Order, error) {
	events, err := h.store.Events(ctx, store.EventFilter{OrderID: orderID})
	if err != nil {
		return makegood.Order{}, err
	}
	ids := make([]string, len(events))
	for i, e := range events {
		ids[i] = e.ID
	}
	return h.interpreter.Resettle(ctx, actor, orderID, ids)
}

func (h *furniture) revivingStore() revivingStore { return revivingStore{h.store, h} }

// revivingStore is the store as intake knows it.
type revivingStore struct {
	*store.Store
	h *furniture
}

// byDelivery is who acts when a provider delivers again.
const byDelivery = "provider:delivery"

// Revive has everything run now that an event waits for; it is the provider who asks, by delivering again.
func (s revivingStore) Revive(ctx context.Context, o makegood.Outcome) error {
	if o.Fulfillment == makegood.Stuck { // what it was stuck on may be repaired, a product that was missing for example
		if _, err := s.h.resettle(ctx, byDelivery, o.OrderID); err != nil {
			return err
		}
	}
	return s.Store.Revive(ctx, o, byDelivery, s.h.settle)
}

// deskStore is the store as the desk knows it.
type deskStore struct{ revivingStore }

// Revive has everything run now that an order waits for.
func (s deskStore) Revive(ctx context.Context, orderID, actor string) error {
	return s.Store.Revive(ctx, makegood.Outcome{OrderID: orderID}, actor, s.h.settle)
}

// Letters lists open dead letters, oldest first.
func (s deskStore) Letters(ctx context.Context, sel desk.Selection, limit int) ([]makegood.DeadLetter, error) {
	f := store.DeadLetterFilter{State: makegood.DeadOpen, Source: sel.Source, Type: sel.Type, Reason: sel.Reason, Since: sel.Since, Until: sel.Until,
		After: sel.After, OldestFirst: true, Limit: limit}
	if len(sel.IDs) == 0 {
		return s.DeadLetters(ctx, f)
	}
	var letters []makegood.DeadLetter
	ids := slices.Clone(sel.IDs)
	slices.Sort(ids)
	for _, id := range slices.Compact(ids) { // named twice is meant once
		d, err := s.DeadLetter(ctx, id)
		if err != nil {
			return nil, err
		}
		if d.State == makegood.DeadOpen {
			letters = append(letters, d)
		}
	}
	return letters, nil
}

// Retry has a dead letter done again.
func (s deskStore) Retry(ctx context.Context, id string, how desk.Again) (bool, error) {
	return s.RetryDeadLetter(ctx, id, store.Rerun{Actor: how.Actor, Anew: how.Anew, After: how.Wait, Behind: how.Behind}, s.h.settle)
}

// Discard takes an open dead letter off the list.
func (s deskStore) Discard(ctx context.Context, id, actor, why string) (bool, error) {
	return s.DiscardDeadLetter(ctx, id, actor, why, s.h.settle)
}

// Hurry has what failed run now.
func (s deskStore) Hurry(ctx context.Context, source, step string) (int64, error) {
	return s.HurryFailedJobs(ctx, source, step)
}

// Stuck lists what waits for a person.
func (s deskStore) Stuck(ctx context.Context, reason string, since time.Time) ([]makegood.Order, error) {
	orders, err := s.Orders(ctx, store.OrderFilter{Fulfillment: makegood.Stuck})
	return slices.DeleteFunc(orders, func(o makegood.Order) bool {
		return o.Reason != reason || o.Synthetic || o.PaidAt.Before(since)
	}), err
}

// Waited counts who waited.
func (s deskStore) Waited(ctx context.Context, since, ended time.Time) (waited, waiting int, longest time.Duration, err error) {
	w, err := s.WaitedSince(ctx, since, ended)
	return w.Waited, w.Waiting, w.Longest, err
}
