package queue

import (
	"bytes"
	"context"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/secret"
	"github.com/makegood/makegood/internal/simulate"
	"github.com/makegood/makegood/internal/store/storetest"
	"github.com/makegood/makegood/internal/telemetry"
)

// A panic in a job is one report, with the stack, and the dead letter tells of it without the stack.
func TestPanicIsReportedOnce(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, url string) {
		sentry := simulate.NewSentry(simulate.SentryOptions{})
		tracker := httptest.NewServer(sentry)
		defer tracker.Close()
		reporter, err := telemetry.NewReporter(telemetry.ReporterOptions{
			DSN: secret.New(sentry.DSN(tracker.URL)), Environment: "staging", Release: "makegood@1.2.3"})
		if err != nil {
			t.Fatal(err)
		}
		n := startNode(t, url, brokenWork, func(o *Options) {
			o.Logger = slog.New(reporter.Handler(slog.DiscardHandler)).With("component", "queue")
		})
		n.enqueue(t, makegood.EffectJob("ord_7hidden", "email"))
		letter := receive(t, "dead letter", n.letters)
		if !strings.Contains(letter.Error, "invariant broken") || strings.Contains(letter.Error, "brokenWork") {
			t.Errorf("dead letter = %q, want the cause without its stack", letter.Error)
		}
		n.onlyJob(t, "River is done with it", func(j job) bool { return j.State == "cancelled" })
		if err := reporter.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		reports := sentry.Reports()
		if len(reports) != 1 {
			t.Fatalf("reports = %+v, want 1", reports)
		}
		got := reports[0]
		if got.Message != "job given up; it is in the dead letters" || got.Tags["component"] != "queue" || got.Tags["job"] != makegood.JobEffect ||
			got.Tags["attempt"] != "1" || got.Release != "makegood@1.2.3" || got.Environment != "staging" {
			t.Errorf("report = %+v", got)
		}
		frames := got.Exception[0].Stacktrace.Frames
		if len(frames) == 0 || frames[len(frames)-1].Function != "brokenWork" {
			t.Errorf("frames = %+v, want brokenWork last", frames)
		}
		for _, envelope := range sentry.Envelopes() {
			for _, hidden := range []string{"ann@", "Zq7Tn3", "7hidden"} {
				if bytes.Contains(envelope, []byte(hidden)) {
					t.Errorf("%q left: %s", hidden, envelope)
				}
			}
		}
	})
}

func brokenWork(context.Context, makegood.Job) error {
	panic("two licences for ann@example.com under sk_live_Zq7Tn3Vb9Kx2Lm5P")
}
