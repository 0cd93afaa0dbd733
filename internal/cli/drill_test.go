package cli

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/makegood/makegood"
)

// TestDrillVerdicts: what was later than it may be, or than is aimed at, or did not happen, says so.
func TestDrillVerdicts(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		check makegood.DrillCheck
		want  string
	}{
		{makegood.DrillCheck{What: "seen", Took: 24 * time.Second, Limit: 5 * time.Minute, Aim: 25 * time.Second}, "24.0s 300.0s 25.0s ok"},
		{makegood.DrillCheck{What: "seen", Took: 26 * time.Second, Limit: 5 * time.Minute, Aim: 25 * time.Second}, "26.0s 300.0s 25.0s ok, later than aimed at"},
		{makegood.DrillCheck{What: "seen", Took: 301 * time.Second, Limit: 5 * time.Minute, Aim: 25 * time.Second}, "301.0s 300.0s 25.0s TOO LATE"},
		{makegood.DrillCheck{What: "seen", Missing: "nobody\nlooked"}, "- - - MISSING: nobody looked"},
		{makegood.DrillCheck{What: "seen"}, "- - - ok"},
	} {
		var out bytes.Buffer
		printDrill(&surroundings{out: &out}, makegood.DrillResult{Checks: []makegood.DrillCheck{tt.check}})
		lines := strings.Split(strings.TrimSpace(out.String()), "\n")
		if got := strings.Join(strings.Fields(lines[len(lines)-1]), " "); got != "seen "+tt.want {
			t.Errorf("printed %q, want %q", got, "seen "+tt.want)
		}
	}
}
