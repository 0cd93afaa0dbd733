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
// heard nothing. The same hours of the same weekday in each of the last four weeks say what was to be expected in it, and the
// quietest of the four is believed, so that one busy day (a launch) raises no expectation. It is red when even that week had
// deliveries in as many stretches of five minutes as the figure, 10.
//
// Stretches and not deliveries, because those of one order come together: a shop of three orders a day with three events
// each would be called silent seven times a year while all is well, one of a hundred orders a day 258 times. With stretches
// it is less than once in two years for any number of orders (simulated with orders that come independently of each other;
// TestSilenceOfSmallShops has three a day). The price is that the silence of a busy source is told after 50 minutes.
//
// When clocks are set, customers come an hour earlier or later than in the weeks before, so of each week the quietest of the
// same hours, those an hour before and those an hour after is believed; see clocksSet. That also covers a morning that begins
// late.
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
		expected, err := in.expected(ctx, source, from, now, r.above)
		if err != nil || expected < r.above {
			return "", err
		}
		return fmt.Sprintf("no delivery for %s; in the same hours of each of the last %d weeks there were some in %d or more stretches of five minutes",
			age(now.Sub(last)), silentWeeks, expected), nil
	}, DatabaseUnreachable, "webhook-endpoint", "signature-failures", ProviderUnreachable)
}

// expected is in how many stretches of five minutes a source delivered in the same hours of the quietest week. What is below
// enough may be too high.
func (in *inspector) expected(ctx context.Context, source string, from, until time.Time, enough int) (int, error) {
	most := max(rhythmMost, enough)
	least := most
	for week := 1; week <= silentWeeks; week++ {
		for _, set := range clocksSet(until.Sub(from)) {
			back := time.Duration(week) * -7 * 24 * time.Hour
			n, err := in.Store.CountDeliveryStretches(ctx, source, from.Add(back+set.from), until.Add(back+set.until), most)
			if err != nil {
				return 0, err
			}
			if least = min(least, n); least < enough {
				return least, nil
			}
		}
	}
	return least, nil
}

// clocksSet lists by how much the ends of a silence may have moved against those of earlier weeks. Both move alike when clocks
// were set in between. When they are set within the silence only its end has moved, or its beginning: clocks are set at night, so
// that matters only for a silence that is long enough to begin in an evening.
func clocksSet(silence time.Duration) []struct{ from, until time.Duration } {
	sets := []struct{ from, until time.Duration }{{0, 0}, {-clocksChange, -clocksChange}, {clocksChange, clocksChange}}
	if silence >= nightLeast {
		sets = append(sets, []struct{ from, until time.Duration }{{clocksChange, 0}, {0, -clocksChange}}...)
	}
	return sets
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
