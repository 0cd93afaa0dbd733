package store

import (
	"context"
	"strings"

	"github.com/makegood/makegood"
)

// record adds audit entries in the transaction of what they describe.
func (w *writing) record(ctx context.Context, orderID, actor string, entries []makegood.Entry) error {
	for i, e := range entries {
		err := w.Do(ctx, `
			INSERT INTO audit_entries (id, at, ordinal, actor, action, target, order_id, before_state, after_state)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
			w.newID(makegood.EntryPrefix), micros(w.now), i, actor, e.Action, e.Target, orderID, e.Before, e.After)
		if err != nil {
			return err
		}
	}
	return nil
}

// AuditOf lists the entries about an order, oldest first.
func (s *Store) AuditOf(ctx context.Context, orderID string) ([]makegood.Entry, error) {
	var entries []makegood.Entry
	err := s.read(ctx, func(tx Tx) error {
		rows, err := tx.Query(ctx, `
			SELECT id, at, actor, action, target, before_state, after_state
			FROM audit_entries
			WHERE order_id = $1 AND order_id <> ''
			ORDER BY at, ordinal
			LIMIT $2`, orderID, makegood.ListMax)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var e makegood.Entry
			var at int64
			if err := rows.Scan(&e.ID, &at, &e.Actor, &e.Action, &e.Target, &e.Before, &e.After); err != nil {
				return err
			}
			e.At = fromMicros(at)
			entries = append(entries, e)
		}
		return rows.Err()
	})
	return entries, err
}

// Record keeps an entry of an action that changed no order by itself.
func (s *Store) Record(ctx context.Context, actor string, e makegood.Entry) error {
	orderID := ""
	if strings.HasPrefix(e.Target, makegood.OrderPrefix) {
		orderID = e.Target
	}
	return s.write(ctx, func(w *writing) error { return w.record(ctx, orderID, actor, []makegood.Entry{e}) })
}
