package app

import "context"

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
