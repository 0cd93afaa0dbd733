package app

import (
	"context"
	"time"

	"github.com/makegood/makegood/internal/config"
	"github.com/makegood/makegood/internal/heal"
	"github.com/makegood/makegood/internal/watch"
)

// DueDrills names the planned drills that would be run now.
func (w *Watcher) DueDrills(ctx context.Context) []string {
	var names []string
	for _, plan := range w.current().Drills {
		if w.isDrillDue(ctx, plan) {
			names = append(names, plan.Name)
		}
	}
	return names
}

// Desk is the watcher's record of incidents.
func (w *Watcher) Desk() *watch.Desk { return w.alarm.desk }

// Target is what the watcher may mend now under a name.
func (w *Watcher) Target(name string) (heal.Target, error) { return w.healing.healer.Target(name) }

// Troubles are what the watcher's healer would look into.
func (w *Watcher) Troubles(ctx context.Context) ([]heal.Trouble, error) {
	return w.healing.Troubles(ctx)
}

// RunPlanned runs the planned drill of a name in the simulated world.
func (w *Watcher) RunPlanned(ctx context.Context, name string) { w.RunPlannedOf(ctx, name, "") }

// RunPlannedOf runs the planned drill of a name and a target.
func (w *Watcher) RunPlannedOf(ctx context.Context, name, target string) {
	for _, plan := range w.current().Drills {
		if plan.Name == name && plan.Target == target {
			w.runPlanned(ctx, plan)
		}
	}
}

// Quiet is why nothing may be broken on purpose now.
func (w *Watcher) Quiet(ctx context.Context) error { return w.quiet(ctx) }

// LastDrill is when a drill of a name and a target began last; zero when none has.
func (w *Watcher) LastDrill(ctx context.Context, name, target string) time.Time {
	began, _, _ := w.lastDrill(ctx, config.DrillPlan{Name: name, Target: target})
	return began
}
