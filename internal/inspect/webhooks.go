package inspect

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/provider"
)

func (in *inspector) eachSource(look func(ctx context.Context, source string) (string, error), dependsOn ...string) []subject {
	var all []subject
	for _, name := range in.sourceNames() {
		var keys []string
		for _, code := range dependsOn {
			if code != DatabaseUnreachable {
				code = makegood.FindingKey(code, name)
			}
			keys = append(keys, code)
		}
		all = append(all, subject{name, func(ctx context.Context) (string, error) { return look(ctx, name) }, keys})
	}
	return all
}

// silence is red when a source has been silent for longer than its own rhythm explains.
//
// The silence is the time since its last new delivery, or since this process began, if that is shorter: who was not there
// heard nothing. The same hours of the same weekday in each of the last four weeks say how many deliveries were to be
// expected in it, and the quietest of the four is believed, so that one busy day (a launch) raises no expectation. It is
// red when even that week had as many deliveries as the figure, 10. If deliveries came independently of each other, a
// silence with an expectation of 10 would come about once in 22,000 times (e^-10); they come in bursts, so it is rarer than
// that they are absent, but not that rare: hence the quietest week.
//
// A source with few orders never gets there, and neither does one that is younger than four weeks: of those, nobody can
// tell silence from a quiet day. For them there are webhook-endpoint and undelivered-events. What we fetched ourselves is no
// delivery: a broken webhook is silent, however well it is repaired behind its back.
func silence(in *inspector, r row) []subject {
	return in.eachSource(func(ctx context.Context, source string) (string, error) {
		now := in.Now()
		last, _, err := in.Store.LastDelivery(ctx, source)
		if errors.Is(err, makegood.NotFound) {
			return "", nil
		}
		if err != nil {
			return "", err
		}
		from := last
		if in.began.After(from) {
			from = in.began
		}
		expected := rhythmMost
		for week := 1; week <= silentWeeks && expected >= r.above; week++ {
			back := time.Duration(week) * -7 * 24 * time.Hour
			n, err := in.Store.CountDeliveries(ctx, source, from.Add(back), now.Add(back), rhythmMost)
			if err != nil {
				return "", err
			}
			expected = min(expected, n)
		}
		if expected < r.above {
			return "", nil
		}
		return fmt.Sprintf("no delivery for %s; in the same hours of each of the last %d weeks there were %d or more", age(now.Sub(last)), silentWeeks, expected), nil
	}, DatabaseUnreachable, "webhook-endpoint", "signature-failures", ProviderUnreachable)
}

func webhookFailures(in *inspector, r row) []subject {
	return one(func(ctx context.Context) (string, error) {
		n, err := in.Store.CountFailedEvents(ctx, in.Now().Add(-time.Hour))
		if err != nil || n <= r.above {
			return "", err
		}
		return fmt.Sprintf("the processing of %s failed within the last hour, more than %d", count(n, "event"), r.above), nil
	}, DatabaseUnreachable)
}

func loops(in *inspector, _ row) []subject {
	return in.eachSource(func(_ context.Context, source string) (string, error) {
		if slices.Contains(in.Intake.Loops(), source) {
			return "more than half of the deliveries of the last minutes were repetitions", nil
		}
		return "", nil
	})
}

// The reasons of refusals that only somebody who has a genuine delivery can cause, each with what it means.
var genuine = []struct {
	reason provider.Reason
	least  int
	means  string
}{
	{provider.ReasonAltered, 1, "changed on their way, as a proxy does"},
	{provider.ReasonOtherSource, 1, "signed with the secret of another source"},
	{provider.ReasonRetired, 1, "signed with a secret that has ended"},
	{provider.ReasonTwoBodies, 1, "forged from one that somebody has seen"},
	{provider.ReasonTooOld, genuineLeast, "too old by our clock"},
	{provider.ReasonFuture, genuineLeast, "from the future by our clock"},
}

// signatureFailures looks for refusals of deliveries that are genuine by all appearances; and for the commonest fault of
// all, the wrong secret, which looks like forgeries and nothing else.
func signatureFailures(in *inspector, _ row) []subject {
	return in.eachSource(func(_ context.Context, source string) (string, error) {
		proved, refused := in.Intake.Tally(source)
		var troubles []string
		for _, g := range genuine {
			if n := refused[g.reason]; n >= g.least {
				troubles = append(troubles, fmt.Sprintf("%d %s (%s)", n, g.reason, g.means))
			}
		}
		if n := refused[provider.ReasonMismatch]; proved == 0 && n >= unprovedLeast {
			troubles = append(troubles, fmt.Sprintf("%d %s and none proved (is the secret the endpoint's?)", n, provider.ReasonMismatch))
		}
		if len(troubles) == 0 {
			return "", nil
		}
		return "refused within 15 minutes: " + strings.Join(troubles, ", "), nil
	}, "clock-wrong")
}

func mismatches(in *inspector, r row) []subject {
	return in.eachSource(func(_ context.Context, source string) (string, error) {
		proved, refused := in.Intake.Tally(source)
		var troubles []string
		all := 0
		for _, reason := range []provider.Reason{provider.ReasonMismatch, provider.ReasonMissing, provider.ReasonMalformed} {
			if n := refused[reason]; n > 0 {
				all += n
				troubles = append(troubles, fmt.Sprintf("%d %s", n, reason))
			}
		}
		if all <= r.above {
			return "", nil
		}
		return fmt.Sprintf("refused within 15 minutes: %s; proved: %d", strings.Join(troubles, ", "), proved), nil
	}, "signature-failures")
}
