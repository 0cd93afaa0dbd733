package cli

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/makegood/makegood/internal/config"
	"github.com/makegood/makegood/internal/telemetry"
)

// reporting makes the log of a program that runs also report its errors, when the configuration says where. done sends what
// still waits. Without a DSN the log is as it was, and nothing is sent anywhere.
func (s *surroundings) reporting(log *slog.Logger, c config.Errors, server string) (reported *slog.Logger, done func(), err error) {
	slug := "makegood-" + server
	r, err := telemetry.NewReporter(telemetry.ReporterOptions{DSN: c.DSN, Environment: c.Environment, Release: release(), Server: server, Log: log,
		Monitors: map[string]time.Duration{slug: checkInEvery}})
	if err != nil {
		return nil, nil, err
	}
	if c.DSN.Empty() {
		return log, func() {}, nil
	}
	ctx, stop := context.WithCancel(s.ctx)
	var checking sync.WaitGroup
	checking.Go(func() { checkIn(ctx, r, slug) })
	return slog.New(r.Handler(log.Handler())), func() {
		stop()
		checking.Wait()
		if err := r.Close(context.WithoutCancel(s.ctx)); err != nil {
			log.Warn("reports of errors could not all be sent", "err", err)
		}
	}, nil
}

// checkInEvery is how often a program that runs says so to the collector, which tells somebody when the word does not come:
// one more pair of eyes, on a third machine.
const checkInEvery = 10 * time.Minute

func checkIn(ctx context.Context, r *telemetry.Reporter, slug string) {
	for {
		r.CheckIn(slug, true, 0)
		select {
		case <-ctx.Done():
			return
		case <-time.After(checkInEvery):
		}
	}
}
