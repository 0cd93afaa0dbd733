package makegood_test

import (
	"testing"
	"time"

	"github.com/makegood/makegood"
)

// What is left of the limits agrees with what is admitted.
func TestAttemptsLeft(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 29, 3, 0, 0, 0, time.UTC)
	at := func(target string, ago time.Duration) makegood.HealAttempt {
		return makegood.HealAttempt{Target: target, State: makegood.AttemptHealed, CountsAt: now.Add(-ago)}
	}
	for _, tt := range []struct {
		name   string
		lately []makegood.HealAttempt
		want   int
	}{
		{"none", nil, 2},
		{"one here", []makegood.HealAttempt{at("shop", time.Minute)}, 1},
		{"one here, long ago", []makegood.HealAttempt{at("shop", 31*time.Minute)}, 2},
		{"two here", []makegood.HealAttempt{at("shop", time.Minute), at("shop", 2*time.Minute)}, 0},
		{"three elsewhere", []makegood.HealAttempt{at("a", time.Minute), at("b", time.Minute), at("c", time.Minute)}, 1},
		{"four elsewhere", []makegood.HealAttempt{at("a", time.Minute), at("b", time.Minute), at("c", time.Minute), at("d", time.Minute)}, 0},
		{"more than there may be", []makegood.HealAttempt{at("shop", 1), at("shop", 2), at("shop", 3), at("a", 4), at("b", 5)}, 0},
		{"in the future, as the clock was set back", []makegood.HealAttempt{at("shop", -time.Hour)}, 1},
	} {
		s := makegood.HealStanding{Lately: tt.lately}
		got := s.Left("shop", makegood.DefaultHealLimits, now)
		if got != tt.want {
			t.Errorf("%s: Left = %d, want %d", tt.name, got, tt.want)
		}
		if no := s.Admit("shop", makegood.DefaultHealLimits, now); (no == nil) != (got > 0) {
			t.Errorf("%s: Left = %d, and Admit = %v", tt.name, got, no)
		}
	}
}
