package inspect

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/mail"
)

func mailService(in *inspector, _ row) []subject {
	if in.Sender == nil {
		return nil
	}
	return one(func(ctx context.Context) (string, error) {
		if err := in.Sender.Check(ctx); err != nil {
			return said(err), nil
		}
		return "", nil
	})
}

// mailQuota looks for mails that wait because nothing more may be sent. They wait for an hour at a time, so they stay to be
// seen until the quota is renewed.
func mailQuota(in *inspector, _ row) []subject {
	return one(func(ctx context.Context) (string, error) {
		steps, err := in.Store.StepTroubles(ctx, makegood.EffectEmail)
		n := 0
		for _, s := range steps {
			if s.State == makegood.StepOwed && kindOf(s.LastError) == "quota" {
				n++
			}
		}
		if err != nil || n == 0 {
			return "", err
		}
		return fmt.Sprintf("%s because the sending quota is used up", count(n, "mail")+waits(n)), nil
	}, DatabaseUnreachable)
}

func waits(n int) string {
	if n == 1 {
		return " waits"
	}
	return " wait"
}

// mailFailures counts the mails of the last hour whose last attempt failed, by what is known of it. That is what the mail
// service said when it was handed over: whether an accepted mail came back later is told by the service alone.
func mailFailures(in *inspector, r row) []subject {
	return one(func(ctx context.Context) (string, error) {
		steps, err := in.Store.StepTroubles(ctx, makegood.EffectEmail)
		if err != nil {
			return "", err
		}
		since, kinds, n := in.Now().Add(-time.Hour), map[string]int{}, 0
		for _, s := range steps {
			kind := kindOf(s.LastError)
			if s.State == makegood.StepFailed && kind == "failed" {
				kind = "refused"
			}
			if kind == "quota" || s.IntentAt.Before(since) {
				continue
			}
			n++
			kinds[kind]++
		}
		if n <= r.above {
			return "", nil
		}
		var told []string
		for _, kind := range slices.Sorted(maps.Keys(kinds)) {
			told = append(told, fmt.Sprintf("%d %s", kinds[kind], kind))
		}
		return fmt.Sprintf("%s of the last hour failed, more than %d: %s", count(n, "mail"), r.above, strings.Join(told, ", ")), nil
	}, DatabaseUnreachable, MailUnreachable)
}

// kindOf tells the kind of a failed attempt by the words that package mail puts into each of its errors; a step keeps
// nothing else of them.
func kindOf(lastError string) string {
	for _, known := range []struct {
		err  error
		kind string
	}{{mail.ErrQuota, "quota"}, {mail.ErrConfiguration, "misconfigured"}, {mail.ErrPayloadChanged, "sent already"}, {mail.ErrUncertain, "uncertain"}} {
		if strings.Contains(lastError, known.err.Error()) {
			return known.kind
		}
	}
	return "failed"
}
