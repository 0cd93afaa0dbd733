package store

import (
	"context"
	"time"

	"github.com/makegood/makegood"
)

// Waited is who paid during an outage and had nothing when it ended.
type Waited struct {
	Waited  int           // customers, as far as we have heard of them
	Waiting int           // of them, who still have nothing
	Longest time.Duration // from paying, by the provider's clock, to having, or until now
}

// waitedMax bounds how many orders of an outage are looked at; beyond it the figures are of the newest.
const waitedMax = 10_000

// WaitedSince counts the orders that were paid for since a time and were not fulfilled before another, when the outage ended.
// Synthetic orders are nobody's.
func (s *Store) WaitedSince(ctx context.Context, since, ended time.Time) (w Waited, err error) {
	now := s.now()
	// Ids sort by time, so what was heard of since then is found by them; what was heard of before is unfinished still.
	first := makegood.FirstID(makegood.OrderPrefix, since)
	err = s.look(ctx, func(tx Tx) error {
		return each(ctx, tx, func(rows Rows) error {
			var paid, fulfilled int64
			if err := rows.Scan(&paid, &fulfilled); err != nil {
				return err
			}
			has := now
			w.Waited++
			if fulfilled == 0 {
				w.Waiting++
			} else {
				has = fromMicros(fulfilled)
			}
			w.Longest = max(w.Longest, has.Sub(fromMicros(paid)))
			return nil
		}, `
			SELECT paid, fulfilled_at
			FROM (
				SELECT orders.id AS id, fulfilled_at,
					(SELECT MIN(occurred_at) FROM facts WHERE facts.order_id = orders.id AND facts.kind = 'paid') AS paid
				FROM orders
				WHERE (id >= $1 OR fulfillment = 'in_progress' OR fulfillment = 'stuck') AND entitlement = 'active' AND NOT synthetic
					AND (fulfilled_at = 0 OR fulfilled_at >= $3)) AS owed
			WHERE paid >= $2
			ORDER BY id DESC
			LIMIT $4`, first, micros(since), micros(ended), waitedMax)
	})
	return w, err
}
