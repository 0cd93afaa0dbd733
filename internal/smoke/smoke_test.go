package smoke_test

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/makegood/makegood/internal/probe"
	"github.com/makegood/makegood/internal/smoke"
)

// look is a prober that answers what it is told to, after a while.
type look struct {
	sight probe.Sight
	takes time.Duration
}

func (l look) Look(ctx context.Context) probe.Sight {
	select {
	case <-time.After(l.takes):
		return l.sight
	case <-ctx.Done():
		return probe.Sight{Trouble: "no answer in time"}
	}
}

func TestRun(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		test := smoke.Test{Timeout: 3 * time.Second, Total: 9 * time.Second, Checks: []smoke.Check{
			{Name: "well", Prober: look{takes: time.Second}},
			{Name: "ill", Prober: look{sight: probe.Sight{Trouble: "[STATUS] == 200 (503)"}}},
			{Name: "blind", Prober: look{sight: probe.Sight{Unknown: true}}},
			{Name: "slow", Prober: look{takes: time.Hour}},
			{Name: "also slow", Prober: look{takes: time.Hour}},
			{Name: "slow again", Prober: look{takes: time.Hour}},
			{Name: "never seen", Prober: look{}},
		}}
		var reported []smoke.Step
		got := smoke.Run(t.Context(), test, func(s smoke.Step) { reported = append(reported, s) })
		want := smoke.Result{Took: 9 * time.Second, Steps: []smoke.Step{
			{Name: "well", OK: true, Took: time.Second},
			{Name: "ill", Trouble: "[STATUS] == 200 (503)"},
			{Name: "blind", Trouble: "nothing can be said: the check could not look"},
			{Name: "slow", Trouble: "no answer in time", Took: 3 * time.Second},
			{Name: "also slow", Trouble: "no answer in time", Took: 3 * time.Second},
			{Name: "slow again", Trouble: "no answer in time", Took: 2 * time.Second}, // which ends with the whole walk
			{Name: "never seen", Trouble: "not looked at: the time for all checks was over"},
		}}
		if diff := cmp.Diff(want, got); diff != "" || got.OK() {
			t.Errorf("result (-want +got):\n%s", diff)
		}
		if !slices.Equal(reported, got.Steps) {
			t.Errorf("reported %+v, want every step as it was done", reported)
		}
	})
}

func TestResultOK(t *testing.T) {
	t.Parallel()
	good := smoke.Run(t.Context(), smoke.Test{Checks: []smoke.Check{{Name: "well", Prober: look{}}}}, nil)
	if !good.OK() || smoke.Run(t.Context(), smoke.Test{}, nil).OK() {
		t.Error("a walk of one check that is well is well, one of none is not")
	}
}
