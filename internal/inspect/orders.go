package inspect

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/makegood/makegood"
)

// ordersOwed looks for customers who have paid and wait for longer than the figure, in minutes. Orders that nobody paid for
// in truth, as a synthetic checkout makes them, are to be left out here as soon as an order can tell that it is one.
func ordersOwed(in *inspector, r row) []subject {
	return one(func(ctx context.Context) (string, error) {
		now := in.Now()
		owed, err := in.Store.OrdersOwed(ctx, now.Add(-time.Duration(r.above)*time.Minute))
		if err != nil || len(owed) == 0 {
			return "", err
		}
		return owedWords(owed, r.above, now), nil
	}, DatabaseUnreachable)
}

func owedWords(owed []makegood.Order, minutes int, now time.Time) string {
	var ids []string
	stuck := map[string]int{}
	for i, o := range owed {
		if i < shownMax {
			ids = append(ids, o.ID)
		}
		if o.Fulfillment == makegood.Stuck {
			stuck[o.Reason]++
		}
	}
	number := count(len(owed), "order")
	if len(owed) == makegood.ListMax {
		number += " or more"
	}
	words := fmt.Sprintf("%s paid and not fulfilled for longer than %d minutes, the oldest for %s: %s", number, minutes,
		age(now.Sub(owed[0].PaidAt)), strings.Join(ids, ", "))
	if len(owed) > shownMax {
		words += ", …"
	}
	var reasons []string
	for _, reason := range slices.Sorted(maps.Keys(stuck)) {
		reasons = append(reasons, fmt.Sprintf("%d %s", stuck[reason], reason))
	}
	if len(reasons) > 0 {
		words += "; stuck: " + strings.Join(reasons, ", ")
	}
	return words
}

func database(in *inspector, _ row) []subject {
	return one(func(ctx context.Context) (string, error) {
		if err := in.Store.Ping(ctx); err != nil {
			return "the database does not answer: " + said(err), nil
		}
		return "", nil
	})
}
