package app

import (
	"context"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/makegood/makegood/internal/store"
	"github.com/makegood/makegood/internal/store/storetest"
)

// A panic that was caught and logged with its stack is an incident, and one that is told of while nobody listens holds up
// nobody.
func TestPanicsAreIncidents(t *testing.T) {
	t.Parallel()
	s, err := store.Open(t.Context(), storetest.SQLite(t), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	o := Options{}
	o.fill()
	a := newApp("n", &o)
	a.Store = s
	if a.alarm, err = newAlarm(t.Context(), alarmOptions{store: s, speaking: speaking{now: time.Now}, random: o.Random, log: a.log, metrics: a.Metrics}); err != nil {
		t.Fatal(err)
	}
	log := slog.New(a.log.Handler()).With("component", "queue")
	for range 3 * panicsWaiting {
		log.Error("job given up", "stack", "main.go:1")
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); a.tellPanics(ctx) }()
	for {
		open, err := s.OpenIncidents(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if slices.Equal(open, []string{"panic/queue"}) {
			break
		}
		time.Sleep(time.Millisecond) // bounded by the test's own limit
	}
	stop()
	<-ended
}
