package heal_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/host"
)

const (
	// sequencesVariable is how many sequences are run, seedVariable repeats one of them.
	sequencesVariable = "MAKEGOOD_SEQUENCES"
	seedVariable      = "MAKEGOOD_SEED"
	sequencesUsual    = 2000
)

// Whatever breaks, in whatever order, and however often: the limits hold, one attempt runs at a time and one process acts on it,
// nothing is written that is not true, and what was begun comes to an end that is told.
func TestRandomFaultSequences(t *testing.T) {
	t.Parallel()
	if text := os.Getenv(seedVariable); text != "" {
		seed, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		t.Log(runSequence(t, seed, mutants{}))
		return
	}
	n := sequencesUsual
	if text := os.Getenv(sequencesVariable); text != "" {
		var err error
		if n, err = strconv.Atoi(text); err != nil {
			t.Fatal(err)
		}
	}
	if testing.Short() || underRace {
		n = min(n, 100)
	}
	var total summary
	var next atomic.Int64
	t.Run("all", func(t *testing.T) {
		for worker := range 2 {
			t.Run(strconv.Itoa(worker), func(t *testing.T) {
				t.Parallel()
				for seed := next.Add(1); seed <= int64(n) && !t.Failed(); seed = next.Add(1) {
					s := runSequence(t, uint64(seed), mutants{})
					for _, wrong := range s.wrong {
						t.Errorf("%s=%d: %s", seedVariable, seed, wrong)
					}
					total.add(s)
				}
			})
		}
	})
	t.Logf("%d sequences: %v", n, &total)
	if total.healed < n/20 || total.reverted < n/200 || total.stopped < n/200 || total.refused < n {
		t.Errorf("the sequences are too tame to show anything: %v", &total)
	}
}

// Each bug that is planted is found: the judge can see.
func TestMutantsAreFound(t *testing.T) {
	t.Parallel()
	if underRace || testing.Short() {
		t.Skip("it takes thousands of sequences to find them all")
	}
	for _, tt := range []struct {
		name  string
		m     mutants
		tells string
	}{
		{"a ledger that keeps no lease and fences nobody off", mutants{noFence: true}, "in the hands of"},
		{"a ledger that admits everybody", mutants{noAdmit: true}, "attempts"},
		{"a brake that nobody looks at", mutants{noBrake: true}, "brake is on"},
		{"a truth that is not judged", mutants{noJudge: true}, "not the true one"},
		{"a credential that is not checked", mutants{noCheck: true}, "credential"},
		{"a run that is not looked for", mutants{noAdopt: true}, "times for attempt"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for seed := range uint64(2000) {
				for _, wrong := range runSequence(t, seed, tt.m).wrong {
					if strings.Contains(wrong, tt.tells) {
						t.Logf("found with seed %d: %s", seed, wrong)
						return
					}
				}
			}
			t.Errorf("2,000 sequences did not find %s", tt.name)
		})
	}
}

// summary is what came of sequences.
type summary struct {
	mu                                                   sync.Mutex
	wrong                                                []string
	text                                                 string
	attempts, healed, reverted, failed, stopped, refused int
	starts, writes, reverts                              int
	reasons                                              map[makegood.HealReason]int
}

func (s *summary) String() string {
	if s.text != "" {
		return s.text + strings.Join(s.wrong, "\n")
	}
	return fmt.Sprintf("%d attempts (%d healed, %d reverted, %d failed, %d stopped), %d refusals; %d writes, %d starts, %d reverts; %v",
		s.attempts, s.healed, s.reverted, s.failed, s.stopped, s.refused, s.writes, s.starts, s.reverts, s.reasons)
}

func (s *summary) add(o *summary) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.attempts, s.healed, s.reverted, s.failed = s.attempts+o.attempts, s.healed+o.healed, s.reverted+o.reverted, s.failed+o.failed
	s.stopped, s.refused = s.stopped+o.stopped, s.refused+o.refused
	s.starts, s.writes, s.reverts = s.starts+o.starts, s.writes+o.writes, s.reverts+o.reverts
	if s.reasons == nil {
		s.reasons = map[makegood.HealReason]int{}
	}
	for reason, n := range o.reasons {
		s.reasons[reason] += n
	}
}

// sequence is one run of the world with its two programs.
type sequence struct {
	*world
	rng     *rand.Rand // for what happens, apart from how it is answered
	both    [2]*process
	running sync.WaitGroup
	runs    int
}

// runSequence lets things happen for an hour, then nothing more for a while, and judges.
func runSequence(t *testing.T, seed uint64, m mutants) *summary {
	t.Helper()
	s := &summary{reasons: map[makegood.HealReason]int{}}
	synctest.Test(t, func(t *testing.T) {
		rng := rand.New(rand.NewPCG(seed, 11))
		q := &sequence{world: newWorld(seed, []string{"shop", "mail", "data"}[:1+rng.IntN(3)]...), rng: rng}
		q.mutants, q.manual, q.lag = m, rng.IntN(20) == 0, time.Duration(rng.IntN(20))*time.Second
		ctx, stop := context.WithCancel(t.Context())
		for k := range q.both {
			q.revive(ctx, k)
		}
		end := time.Now().Add(40 * time.Minute)
		if rng.IntN(4) == 0 {
			end = end.Add(time.Hour) // long enough for the limits to let go
		}
		for time.Now().Before(end) {
			q.happen(ctx)
			q.rest()
		}
		q.repair(ctx)
		time.Sleep(20 * time.Minute)
		q.judgeEnd()
		stop()
		synctest.Wait()
		q.running.Wait()
		for _, p := range q.both {
			<-p.ended
		}
		q.sum(s)
		for _, wrong := range s.wrong {
			if m == (mutants{}) {
				t.Log(wrong)
			}
		}
		if len(s.wrong) > 0 || os.Getenv(seedVariable) != "" {
			s.text = q.String()
		}
	})
	return s
}

var programs = [2]string{"server", "watcher"}

// revive starts one of the two programs, anew if it was there before.
func (q *sequence) revive(ctx context.Context, k int) {
	q.runs++
	p := q.start(fmt.Sprintf("%s/%d", programs[k], q.runs))
	q.both[k] = p
	pace := rand.New(rand.NewPCG(uint64(q.runs), 3))
	p.run(ctx, func() time.Duration { return time.Second + time.Duration(pace.Int64N(int64(59*time.Second))) })
}

// rest waits until the next thing happens: soon while an attempt is under way, for then it hurts.
func (q *sequence) rest() {
	time.Sleep(time.Duration(q.rng.Int64N(int64(90 * time.Second))))
	for range q.rng.IntN(12) {
		q.mu.Lock()
		isBusy := len(q.ledger.running()) > 0
		q.mu.Unlock()
		if isBusy {
			time.Sleep(time.Duration(q.rng.Int64N(int64(15 * time.Second))))
			return
		}
		time.Sleep(time.Duration(q.rng.Int64N(int64(40 * time.Second))))
	}
}

// happen lets one thing happen, and for some of them takes it back after a while.
func (q *sequence) happen(ctx context.Context) {
	at := q.places[q.order[q.rng.IntN(len(q.order))]]
	for_ := time.Duration(q.rng.Int64N(int64(6 * time.Minute)))
	k := q.rng.IntN(2)
	q.mu.Lock()
	what := q.rng.IntN(28)
	if len(q.ledger.running()) > 0 {
		what = 5 + q.rng.IntN(17) // nothing that needs no attempt to be a fault
	}
	q.mu.Unlock()
	switch what {
	case 0, 1, 2, 3, 22, 23, 24, 25, 26, 27: // the variables are taken away, and it runs without them
		q.do(func() { at.wipe(q.rng.IntN(3)); at.deploy("", time.Second, true) })
	case 4: // they are taken away, and nobody feels it yet
		q.do(func() { at.wipe(q.rng.IntN(3)) })
	case 5: // its owner deploys
		q.do(func() { at.deploy("", time.Duration(q.rng.Int64N(int64(2*time.Minute))), q.rng.IntN(3) > 0) })
	case 6: // its owner mends it
		q.do(func() {
			for _, n := range needs {
				at.vars[n.Name] = values[n.Name]
			}
			at.deploy("", 45*time.Second, true)
		})
	case 7:
		q.until(for_, func(on bool) { at.down = on })
	case 8:
		fault := []host.Fault{host.Expired, host.Revoked, host.PermissionMissing, host.LineFeed, host.Limited}[q.rng.IntN(5)]
		q.until(for_, func(on bool) {
			at.credential = ""
			if on {
				at.credential = fault
			}
			q.guard("credential "+at.name, on)
		})
	case 9, 10:
		state := []truthState{truthEmpty, truthShrunken, truthCorrupted, truthOlder, truthBroken}[q.rng.IntN(5)]
		q.until(for_, func(on bool) {
			q.truth = truthGood
			if on {
				q.truth = state
			}
			q.guard("truth", on)
		})
	case 11:
		q.setBrake(true)
		q.running.Go(func() { time.Sleep(for_); q.setBrake(false) })
	case 12, 13: // kill -9, and another start
		q.both[k].die()
		q.running.Go(func() {})
		time.Sleep(time.Duration(q.rng.Int64N(int64(40 * time.Second))))
		q.revive(ctx, k)
	case 14, 15: // SIGSTOP and SIGCONT
		q.do(func() { q.both[k].frozenUntil = time.Now().Add(for_) })
	case 16:
		chance, how := 0.1+0.5*q.rng.Float64(), q.rng.IntN(3)
		q.until(for_, func(on bool) {
			q.ledger.failsBefore, q.ledger.failsAfter, q.ledger.slow = 0, 0, 0
			switch {
			case on && how == 0:
				q.ledger.failsBefore = chance
			case on && how == 1:
				q.ledger.failsAfter = chance
			case on:
				q.ledger.slow = 3 * time.Second
			}
		})
	case 17:
		q.until(for_, func(on bool) { at.loses = map[bool]float64{true: 0.5}[on] })
	case 18:
		q.until(2*for_, func(on bool) { at.failBuilds = on })
	case 19: // ill for another reason
		q.until(2*for_, func(on bool) { at.sick = on; at.advance() })
	case 20:
		q.until(for_, func(on bool) {
			at.slow = map[bool]time.Duration{true: 20 * time.Second}[on]
			at.unreadable = on
		})
	case 21:
		isBlind := q.rng.IntN(2) == 0
		q.until(for_, func(on bool) {
			if isBlind {
				q.blind = on
				q.guard("blind", on)
				return
			}
			q.mass = on
			q.guard("mass", on)
		})
	}
	if q.rng.IntN(8) == 0 { // a person asks, and may close the page before the answer
		healer, all := q.both[k].healer, q.rng.IntN(2) == 0
		patience := time.Duration(q.rng.Int64N(int64(5 * time.Minute)))
		q.running.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, patience)
			defer cancel()
			_, _ = healer.Mend(ctx, at.name, "operator:ann", all, nil)
		})
	}
}

func (at *place) wipe(keep int) {
	for k, n := range needs {
		if k >= keep {
			delete(at.vars, n.Name)
		}
	}
}

func (q *sequence) do(what func()) {
	q.mu.Lock()
	defer q.mu.Unlock()
	what()
}

// until switches something on, and off again after a while.
func (q *sequence) until(after time.Duration, set func(on bool)) {
	q.do(func() { set(true) })
	q.running.Go(func() {
		time.Sleep(after)
		q.do(func() { set(false) })
	})
}

// repair ends everything that still goes wrong.
func (q *sequence) repair(ctx context.Context) {
	q.running.Wait()
	q.do(func() {
		for _, p := range q.both {
			p.frozenUntil = time.Time{}
		}
	})
	if q.both[0].dead {
		q.revive(ctx, 0)
	}
}

// judgeEnd looks at what is left after nothing has happened for a while.
func (q *sequence) judgeEnd() {
	attempts, _ := q.list()
	text := q.text()
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, a := range attempts {
		isTold := slices.ContainsFunc(q.record.lines, func(l line) bool {
			return strings.Contains(l.text, a.ID) && (l.kind == makegood.MomentHealed || l.kind == makegood.MomentNotHealed)
		})
		switch {
		case a.State == makegood.AttemptRunning && time.Since(a.StartedAt) < 15*time.Minute && time.Since(a.LeaseUntil) < time.Minute:
		case a.State == makegood.AttemptRunning:
			q.violate("attempt %s still runs", a.ID)
		case !isTold:
			q.violate("nobody was told how attempt %s ended", a.ID)
		case a.State == makegood.AttemptHealed && a.Step("verify").State != makegood.PlaceDone:
			q.violate("attempt %s is called healed and was not verified", a.ID)
		}
	}
	for name, value := range values {
		if strings.Contains(text, value) {
			q.violate("the value of %s is shown", name)
		}
	}
}

func (q *sequence) sum(s *summary) {
	attempts, refusals := q.list()
	for _, a := range attempts {
		s.attempts++
		switch a.State {
		case makegood.AttemptHealed:
			s.healed++
		case makegood.AttemptReverted:
			s.reverted++
		case makegood.AttemptFailed:
			s.failed++
		case makegood.AttemptStopped:
			s.stopped++
		}
		s.reasons[a.Reason]++
	}
	for _, a := range refusals {
		s.reasons[a.Reason]++
	}
	s.refused += len(refusals)
	for _, at := range q.places {
		s.writes, s.reverts = s.writes+at.writes, s.reverts+at.reverts
		for _, n := range at.starts {
			s.starts += n
		}
	}
	s.wrong = q.wrong
}
