package inspect

import (
	"context"
	"fmt"
	"time"

	"github.com/makegood/makegood"
)

func eachQueue(look func(ctx context.Context, queue string) (string, error)) []subject {
	var all []subject
	for _, queue := range []string{makegood.QueuePayments, makegood.QueueEffects} {
		all = append(all, subject{queue, func(ctx context.Context) (string, error) { return look(ctx, queue) }, []string{DatabaseUnreachable}})
	}
	return all
}

func queueDepth(in *inspector, r row) []subject {
	return eachQueue(func(ctx context.Context, queue string) (string, error) {
		n, err := in.Store.CountWaitingJobs(ctx, queue)
		if err != nil || n <= int64(r.above) {
			return "", err
		}
		return fmt.Sprintf("%d jobs wait, more than %d", n, r.above), nil
	})
}

// queueAge is red when a job has been due for longer than the queue allows: a minute for payments, five for what they
// cause. The figure of an override, in seconds, is for both.
func queueAge(in *inspector, r row) []subject {
	return eachQueue(func(ctx context.Context, queue string) (string, error) {
		limit := paymentsLate
		if queue == makegood.QueueEffects {
			limit = effectsLate
		}
		if r.above > 0 {
			limit = time.Duration(r.above) * time.Second
		}
		waits, err := in.Store.QueueAge(ctx, queue)
		if err != nil || waits <= limit {
			return "", err
		}
		return fmt.Sprintf("a job has been due for %s, longer than %s", age(waits), age(limit)), nil
	})
}

func deadLetters(in *inspector, r row) []subject {
	return one(func(ctx context.Context) (string, error) {
		n, err := in.Store.CountDeadLetters(ctx)
		if err != nil || n <= r.above {
			return "", err
		}
		return fmt.Sprintf("%s open; makegood webhooks list", count(n, "dead letter")), nil
	}, DatabaseUnreachable, "dead-letter-flood")
}

func deadLetterFlood(in *inspector, r row) []subject {
	return one(func(ctx context.Context) (string, error) {
		n, err := in.Store.CountRecentDeadLetters(ctx, in.Now().Add(-time.Hour))
		if err != nil || n <= r.above {
			return "", err
		}
		return fmt.Sprintf("%s within the last hour, more than %d; makegood webhooks list", count(n, "new dead letter"), r.above), nil
	}, DatabaseUnreachable)
}

func slowJobs(in *inspector, r row) []subject {
	return one(func(ctx context.Context) (string, error) {
		n, slowest, err := in.Store.CountSlowJobs(ctx, in.Now().Add(-time.Hour))
		if err != nil || n <= r.above {
			return "", err
		}
		return fmt.Sprintf("%s within the last hour, more than %d; the slowest took %s", count(n, "slow run"), r.above, age(slowest)), nil
	}, DatabaseUnreachable)
}
