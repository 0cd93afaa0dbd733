package intake

import (
	"sync"
	"time"

	"github.com/makegood/makegood/internal/provider"
)

// The tally's length and its steps. It is as long as a person needs to see that a proxy or a secret is wrong from what
// providers repeat: their first repetitions come within minutes.
const (
	TallyLength = 15 * time.Minute
	tallyStep   = time.Minute
	tallySteps  = int64(TallyLength / tallyStep)
)

// tally counts the deliveries of a source in the last minutes by whether they were proved, and why not.
type tally struct {
	now   func() time.Time
	mu    sync.Mutex
	steps [tallySteps]struct {
		step    int64
		proved  int
		refused map[provider.Reason]int // reasons are few
	}
}

// count adds a delivery; the reason "" is one that was proved.
func (t *tally) count(reason provider.Reason) {
	t.mu.Lock()
	defer t.mu.Unlock()
	step := t.now().UnixNano() / int64(tallyStep)
	s := &t.steps[uint64(step)%uint64(tallySteps)]
	if s.step != step {
		s.step, s.proved, s.refused = step, 0, nil
	}
	if reason == "" {
		s.proved++
		return
	}
	if s.refused == nil {
		s.refused = map[provider.Reason]int{}
	}
	s.refused[reason]++
}

// Tally returns how many deliveries of a source this process has proved within TallyLength, and how many it has refused, by
// reason. It is kept in memory: after a start it begins at nothing. A source that is not configured has none.
func (i *Intake) Tally(source string) (proved int, refused map[provider.Reason]int) {
	refused = map[provider.Reason]int{}
	t := i.tallies[source]
	if t == nil {
		return 0, refused
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now().UnixNano() / int64(tallyStep)
	for _, s := range t.steps {
		if s.step <= now-tallySteps || s.step > now {
			continue
		}
		proved += s.proved
		for reason, n := range s.refused {
			refused[reason] += n
		}
	}
	return proved, refused
}
