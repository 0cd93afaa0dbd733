package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/makegood/makegood"
)

// errNoOrderYet is an amendment by reference that no order has. Its facts are buried: they wait for the sale.
var errNoOrderYet = errors.New("no order has this reference yet")

// orderByReference loads the order that has one of the references of the facts. Whoever looks for a reference and whoever
// adds it hold the same lock until their commit, so that a fact is either found by its order or finds it.
func (w *writing) orderByReference(ctx context.Context, a makegood.Amendment) (*makegood.Order, error) {
	ways := waysOf(a.Facts)
	if len(ways) == 0 {
		return nil, &makegood.Permanent{Err: errors.New("a fact without a session names no reference, so no order can be found")}
	}
	for _, way := range ways {
		orderID, err := w.orderIDByReference(ctx, a.Key, way)
		if err != nil {
			return nil, err
		}
		if orderID != "" {
			return loadOrder(ctx, w, `id = $1`+w.store.engine.forUpdate(), orderID)
		}
	}
	for _, f := range a.Facts {
		// A sale is never buried: it would be lost in silence if nobody named its session later.
		if f.Kind == makegood.FactPaid || f.Kind == makegood.FactAwaiting {
			return nil, &makegood.Permanent{Err: fmt.Errorf("the payment %q names no session and no order has it, so nobody knows what was bought", f.PaymentID)}
		}
	}
	return nil, errNoOrderYet
}

func waysOf(facts []makegood.Fact) []string {
	var ways []string
	for _, f := range facts {
		ways = append(ways, f.Ways()...)
	}
	slices.Sort(ways)
	return slices.Compact(ways)
}

func (w *writing) orderIDByReference(ctx context.Context, k makegood.OrderKey, way string) (orderID string, err error) {
	questions := w.lockReference(k, way)
	questions = append(questions, question{`
		SELECT id FROM orders WHERE payment_id = $1 AND payment_id <> '' AND source = $2 AND account = $3 AND live = $4
		UNION SELECT order_id FROM order_references WHERE reference = $1 AND source = $2 AND account = $3 AND live = $4
		ORDER BY 1
		LIMIT 1`, []any{clean(way), k.Source, k.Account, k.Live}, func(rows Rows) error { return rows.Scan(&orderID) }})
	err = w.QueryAll(ctx, questions...)
	return orderID, err
}

// lockReference is the question that waits for the lock of a reference; none where only one transaction writes at a time.
func (w *writing) lockReference(k makegood.OrderKey, way string) []question {
	lock := w.store.engine.lockText()
	if lock == "" {
		return nil
	}
	name := fmt.Sprintf("%s/%s/%t/%s", k.Source, k.Account, k.Live, way)
	return []question{{lock, []any{clean(name)}, func(Rows) error { return nil }}}
}

// bury keeps facts whose sale is not known yet, under each of their references, and marks the event that told them.
func (w *writing) bury(ctx context.Context, a makegood.Amendment) error {
	for _, f := range a.Facts {
		if f.EventID == "" {
			f.EventID = a.EventID
		}
		for _, way := range f.Ways() {
			if err := w.buryUnder(ctx, way, f); err != nil {
				return err
			}
		}
	}
	if a.EventID == "" {
		return nil
	}
	return w.Do(ctx, `
		UPDATE events
		SET state = 'handled', note = $2, handled_at = $3
		WHERE id = $1 AND state <> 'handled'`, a.EventID, buriedNote, micros(w.now))
}

const buriedNote = "It is about a sale that is not known here yet. It is remembered, and counts as soon as the sale is."

// buryUnder joins what it keeps with what waits there already, so that a second telling is never lost.
func (w *writing) buryUnder(ctx context.Context, way string, f makegood.Fact) error {
	waiting, err := w.waitingAt(ctx, f.Key, way)
	if err != nil {
		return err
	}
	o := makegood.Order{Key: f.Key}
	for _, b := range waiting {
		o.Learn(b.fact)
	}
	o.Learn(f)
	for _, joined := range o.Facts {
		if joined.Kind != f.Kind || joined.ObjectID != f.ObjectID {
			continue
		}
		told, err := json.Marshal(joined)
		if err != nil {
			return fmt.Errorf("encode a fact: %w", err)
		}
		return w.Do(ctx, `
			INSERT INTO tombstones (reference, source, account, live, kind, object_id, fact, event_id, kept_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
			ON CONFLICT (reference, source, account, live, kind, object_id) DO UPDATE SET fact = excluded.fact`,
			clean(way), f.Key.Source, f.Key.Account, f.Key.Live, string(f.Kind), clean(f.ObjectID), clean(string(told)),
			f.EventID, micros(w.now))
	}
	return nil
}

type buried struct {
	fact    makegood.Fact
	eventID string
}

// waitingAt returns what waits for a reference, and holds its lock.
func (w *writing) waitingAt(ctx context.Context, k makegood.OrderKey, way string) ([]buried, error) {
	var waiting []buried
	questions := append(w.lockReference(k, way), question{`
		SELECT fact, event_id
		FROM tombstones
		WHERE reference = $1 AND source = $2 AND account = $3 AND live = $4`,
		[]any{clean(way), k.Source, k.Account, k.Live}, func(rows Rows) error {
			var text string
			var b buried
			if err := rows.Scan(&text, &b.eventID); err != nil {
				return err
			}
			waiting = append(waiting, b)
			return json.Unmarshal([]byte(text), &waiting[len(waiting)-1].fact)
		}})
	err := w.QueryAll(ctx, questions...)
	return waiting, err
}

// adopt lets an order learn what waited for the references that it has now and had not before. What it learns may name
// further references, for which more may wait.
func (w *writing) adopt(ctx context.Context, before makegood.Order, o *makegood.Order) error {
	known := before.Ways()
	for {
		added := slices.DeleteFunc(o.Ways(), func(way string) bool { return slices.Contains(known, way) })
		if len(added) == 0 {
			return nil
		}
		for _, way := range added {
			if err := w.adoptFrom(ctx, way, o); err != nil {
				return err
			}
		}
		known = append(known, added...)
	}
}

func (w *writing) adoptFrom(ctx context.Context, way string, o *makegood.Order) error {
	waiting, err := w.waitingAt(ctx, o.Key, way)
	if err != nil || len(waiting) == 0 {
		return err
	}
	for _, b := range waiting {
		learn(o, []makegood.Fact{b.fact})
		if err := w.Do(ctx, `UPDATE events SET order_id = $2, note = '' WHERE id = $1`, b.eventID, o.ID); err != nil {
			return err
		}
	}
	return w.Do(ctx, `DELETE FROM tombstones WHERE reference = $1 AND source = $2 AND account = $3 AND live = $4`,
		clean(way), o.Key.Source, o.Key.Account, o.Key.Live)
}

// saveReferences keeps by what an order is known beside its session and its payment, which its own row has: its
// references, and its refunds and disputes, for whoever looks for those. One that another order has already stays with
// that one.
func (w *writing) saveReferences(ctx context.Context, before makegood.Order, o *makegood.Order) error {
	known := names(before)
	for _, way := range names(*o) {
		if way == o.PaymentID || slices.Contains(known, way) && way != before.PaymentID {
			continue
		}
		if err := w.Do(ctx, `
			INSERT INTO order_references (reference, source, account, live, order_id)
			VALUES ($1, $2, $3, $4, $5)
			ON CONFLICT DO NOTHING`, clean(way), o.Key.Source, o.Key.Account, o.Key.Live, o.ID); err != nil {
			return err
		}
	}
	return nil
}

func names(o makegood.Order) []string {
	all := o.Ways()
	for _, f := range o.Facts {
		if f.ObjectID != o.Key.SessionID && f.ObjectID != "" {
			all = append(all, f.ObjectID)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}
