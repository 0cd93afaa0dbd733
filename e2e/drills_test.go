package e2e

import (
	"os"
	"strings"
	"testing"

	drills "github.com/makegood/makegood/internal/drill"
)

// TestDrills runs every drill on every host that it is for, ten times as fast as in real time, each with all of its processes:
// the server on its host, the watcher, the provider, the mail service and the channels. What has to happen must happen; how fast
// is told and not asked for, because this machine has other work. `makegood drill run` asks for the limits too, and scripts/drill
// does so in real time.
func TestDrills(t *testing.T) {
	t.Parallel()
	places := make(chan struct{}, 3) // a drill is mostly waiting; more of them at once would make each other late
	for _, d := range drills.All() {
		for _, where := range d.Hosts {
			t.Run(d.Name+"/"+where, func(t *testing.T) {
				t.Parallel()
				places <- struct{}{}
				defer func() { <-places }()
				var log strings.Builder
				r, err := drills.Run(t.Context(), d, drills.Options{Program: program(t), Host: where, Scale: 10, Log: &log})
				if err != nil {
					t.Fatal(err)
				}
				if !r.Happened() {
					t.Errorf("the drill failed: %s\n%s", r.Broken, log.String())
				}
				for _, c := range r.Checks {
					if c.Missing != "" {
						t.Errorf("%s: %s", c.What, c.Missing)
					}
				}
				if os.Getenv("MAKEGOOD_DRILL") != "" {
					t.Log("\n" + log.String())
				}
			})
		}
	}
}
