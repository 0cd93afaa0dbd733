package app

import (
	"context"

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

// RunPlanned runs the planned drill of a name.
func (w *Watcher) RunPlanned(ctx context.Context, name string) {
	for _, plan := range w.current().Drills {
		if plan.Name == name {
			w.runPlanned(ctx, plan)
		}
	}
}
