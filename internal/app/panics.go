package app

import (
	"context"
	"log/slog"
	"strings"
	"time"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/inspect"
	"github.com/makegood/makegood/internal/telemetry"
)

// A panic that was caught cost one request or one job, and is a fault of the program: somebody should hear of it.

// panicked is what a log line with a stack says.
type panicked struct{ component, message string }

// panicsWaiting bounds the panics that wait to be told; of a storm the first are enough.
const panicsWaiting = 16

// panicQuiet is after how long without another a panic's incident ends: what comes back every hour is one incident.
const panicQuiet = time.Hour

// noticePanics makes the log tell of panics. It never holds up who logs.
func (a *App) noticePanics(log *slog.Logger) *slog.Logger {
	a.panics = make(chan panicked, panicsWaiting)
	return slog.New(telemetry.NoticePanics(log.Handler(), func(component, message string) {
		select {
		case a.panics <- panicked{component, message}:
		default: // enough wait already
		}
	}))
}

// tellPanics makes an incident of the panics of a component, and ends it when it is quiet.
func (a *App) tellPanics(ctx context.Context) {
	if a.alarm == nil || a.noAlarm {
		return
	}
	last := map[string]time.Time{}
	if open, err := a.Store.OpenIncidents(ctx); err == nil { // of an earlier run
		for _, key := range open {
			if code, component, _ := strings.Cut(key, "/"); code == inspect.Panic {
				last[component] = time.Now()
			}
		}
	}
	quiet := time.NewTicker(time.Minute)
	defer quiet.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case p := <-a.panics:
			last[p.component] = time.Now()
			a.alarm.found(ctx, inspect.Panic, p.component, p.message+"; the log has the stack")
		case <-quiet.C:
			for component, at := range last {
				if time.Since(at) > panicQuiet {
					a.alarm.cleared(ctx, makegood.FindingKey(inspect.Panic, component), "none for an hour")
					delete(last, component)
				}
			}
		}
	}
}
