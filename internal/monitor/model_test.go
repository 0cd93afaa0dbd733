package monitor

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/probe"
)

// The model of a look over a network that loses packets, each with the same chance and independently of all others. A look is
// three exchanges, one after the other: SYN and SYN-ACK, the hello messages of TLS 1.3, request and answer. An exchange works
// when its packet and the answer to it both arrive; else it is repeated. The SYN is repeated after 1, 2 and 4 s (RFC 6298,
// section 5: the first time-out is 1 s and doubles), what follows after half a second, 1, 2 and 4 s, because by then the way is
// measured (kernels go down to 0.2 s). A look is red when all of it takes longer than the time-out.
//
// With a time-out of 5 s the first look alone would raise 302, 2,764 and 24,700 false alarms in 30 days at 5, 10 and 20 %.
type lossy struct {
	loss    float64
	timeout time.Duration
}

// repeatAfter is the first time-out of an exchange.
func repeatAfter(exchange int) time.Duration {
	if exchange == 0 {
		return time.Second
	}
	return 500 * time.Millisecond
}

func (l lossy) red(r *rand.Rand) bool {
	works := (1 - l.loss) * (1 - l.loss)
	var took time.Duration
	for i := range 3 {
		for wait := repeatAfter(i); r.Float64() >= works; wait *= 2 {
			if took += wait; took >= l.timeout {
				return true
			}
		}
	}
	return false
}

// rate is the share of red looks, computed: the chance that the waits of three exchanges stay below the time-out.
func (l lossy) rate() float64 {
	works := (1 - l.loss) * (1 - l.loss)
	waits := map[time.Duration]float64{0: 1}
	for i := range 3 {
		next := map[time.Duration]float64{}
		for took, p := range waits {
			chance := p
			for wait := repeatAfter(i); took < l.timeout; wait *= 2 {
				next[took] += chance * works
				chance *= 1 - works
				took += wait
			}
		}
		waits = next
	}
	well := 0.0
	for _, p := range waits {
		well += p
	}
	return 1 - well
}

const month = 30 * 24 * time.Hour

// world is what a simulated monitor sees.
type world struct {
	own, second func(at time.Duration) probe.Sight
	ownTook     func(s probe.Sight) time.Duration
	hasSecond   bool
	blind       func(at time.Duration) bool // what our own network says; nil is that it always works
}

// life runs one monitor with the machine and the schedule of the runner through virtual time until a time, or until it is
// down. It returns when that was last, and how many times. skip, when it is given, says how many looks that go well need not be
// played.
func life(c makegood.Check, key string, w world, until time.Duration, stopAtDown bool, skip func() int) (downAt time.Duration, downs int) {
	start := time.Unix(0, 0)
	m := NewMachine(c, w.hasSecond)
	g := newGrid(key, c.Every)
	for at := g.first(0); at < until; {
		s := w.own(at)
		s.At = start.Add(at)
		took := w.ownTook(s)
		ended := at + took
		if s.Red() && w.blind != nil && w.blind(ended) {
			s.Unknown = true
		}
		var second *probe.Sight
		if s.Red() && w.hasSecond {
			asked := at + min(took, DefaultTimeout/2)
			if m.State() == Suspect {
				asked = at
			}
			x := w.second(asked)
			second = &x
			ended = max(ended, asked+w.ownTook(x)+200*time.Millisecond)
		}
		was := m.IsDown()
		m.Observe(s, second)
		if m.IsDown() && !was {
			downs++
			downAt = ended
			if stopAtDown {
				return downAt, downs
			}
		}
		at = g.next(m, ended, 0)
		if skip != nil && m.State() == Up {
			at += time.Duration(skip()) * c.Every
		}
	}
	return downAt, downs
}

const samePath = 50 * time.Millisecond // what a look takes that goes well, or is refused

func took(s probe.Sight, whenRed time.Duration) time.Duration {
	if s.Red() {
		return whenRed
	}
	return samePath
}

func redIf(red bool) probe.Sight {
	if red {
		return probe.Sight{Trouble: "[STATUS] == 200 (503)"}
	}
	return probe.Sight{}
}

// D1: how long it takes from the fault to the belief, for faults at any moment, with a second vantage.
func TestTimeToDetection(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name     string
		whenRed  time.Duration
		p50, p99 time.Duration
	}{
		{"refused", samePath, 12 * time.Second, 25 * time.Second},
		{"time-out", DefaultTimeout, 40 * time.Second, 40 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := rand.New(rand.NewPCG(1, 2))
			var all []time.Duration
			for i := range 10_000 {
				broken := time.Minute + time.Duration(r.Int64N(int64(time.Minute)))
				see := func(at time.Duration) probe.Sight { return redIf(at >= broken) }
				w := world{own: see, second: see, hasSecond: true, ownTook: func(s probe.Sight) time.Duration { return took(s, tt.whenRed) }}
				down, n := life(Defaults(), fmt.Sprint("monitor/", i), w, 10*time.Minute, true, nil)
				if n != 1 {
					t.Fatalf("a fault at %v was never believed", broken)
				}
				all = append(all, down-broken)
			}
			slices.Sort(all)
			p50, p99 := all[len(all)/2], all[len(all)*99/100]
			t.Logf("p50 %v, p99 %v, slowest %v", p50.Round(10*time.Millisecond), p99.Round(10*time.Millisecond), all[len(all)-1].Round(10*time.Millisecond))
			if p50 > tt.p50 || p99 > tt.p99 {
				t.Errorf("p50 %v, p99 %v, want at most %v and %v", p50, p99, tt.p50, tt.p99)
			}
		})
	}
}

// The share of red looks that the simulations use is that of the model.
func TestLossRate(t *testing.T) {
	t.Parallel()
	for _, loss := range []float64{0, 0.05, 0.1, 0.2, 0.4} {
		l := lossy{loss, DefaultTimeout}
		r := rand.New(rand.NewPCG(5, 6))
		const looks = 200_000
		red := 0
		for range looks {
			if l.red(r) {
				red++
			}
		}
		got, want := float64(red)/looks, l.rate()
		if math.Abs(got-want) > 4*math.Sqrt(want/looks)+1e-9 {
			t.Errorf("at a loss of %v %v of the looks are red, want %v", loss, got, want)
		}
	}
}

// gap draws how many looks go well until one is red. A machine that is up does the same after each look that goes well, so they
// need not be played.
func gap(r *rand.Rand, rate float64) int {
	if rate == 0 {
		return math.MaxInt32
	}
	return int(math.Log(1-r.Float64()) / math.Log(1-rate))
}

// falseDowns plays months of one monitor each and returns how many times it was believed to be down, for each month.
func falseDowns(c makegood.Check, months int, loss float64, hasSecond bool) float64 {
	rate := lossy{loss, DefaultTimeout}.rate()
	r := rand.New(rand.NewPCG(7, 8))
	downs := 0
	for i := range months {
		sureRed := false // the look behind a gap is red
		w := world{
			own: func(time.Duration) probe.Sight {
				red := sureRed || r.Float64() < rate
				sureRed = false
				return redIf(red)
			},
			second:    func(time.Duration) probe.Sight { return redIf(r.Float64() < rate) },
			hasSecond: hasSecond,
			ownTook:   func(s probe.Sight) time.Duration { return took(s, DefaultTimeout) },
		}
		_, n := life(c, fmt.Sprint("monitor/", i), w, month, false, func() int {
			sureRed = true
			return gap(r, rate)
		})
		downs += n
	}
	return float64(downs) / float64(months)
}

// D2: false findings of one monitor in 30 days, on a network that loses packets.
func TestFalseDownsUnderLoss(t *testing.T) {
	t.Parallel()
	three := Defaults()
	three.Failures, three.Again = 3, 2*time.Second
	for _, tt := range []struct {
		name      string
		check     makegood.Check
		loss      float64
		hasSecond bool
		months    int
		most      float64
	}{
		{"10 %", Defaults(), 0.1, true, 2000, 0.01},
		{"20 %", Defaults(), 0.2, true, 400, 0.2},
		{"20 %, three failures", three, 0.2, true, 400, 0.3}, // why it is four
		{"10 %, alone", Defaults(), 0.1, false, 1000, 0.02},
		{"20 %, alone", Defaults(), 0.2, false, 20, 30}, // why a second vantage is worth having
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := falseDowns(tt.check, tt.months, tt.loss, tt.hasSecond)
			t.Logf("%.4f in 30 days, over %d months", got, tt.months)
			if got > tt.most {
				t.Errorf("%v false findings in 30 days, want at most %v", got, tt.most)
			}
		})
	}
}

// D2: five minutes of every hour one vantage sees nothing at all.
func TestNoFalseDownsWhenOneVantageIsBlack(t *testing.T) {
	t.Parallel()
	isBlack := func(at time.Duration) bool { return at%time.Hour < 5*time.Minute }
	unknown := probe.Sight{Unknown: true, Trouble: "no answer"}
	for _, tt := range []struct {
		name string
		loss float64 // besides
		make func(red func(time.Duration) probe.Sight) world
		most float64
	}{
		{"our way to the target is cut, the second vantage sees it", 0, func(red func(time.Duration) probe.Sight) world {
			return world{own: func(at time.Duration) probe.Sight { return redIf(isBlack(at) || red(at).Red()) }, second: red}
		}, 0},
		{"our whole network is cut", 0, func(red func(time.Duration) probe.Sight) world {
			return world{own: func(at time.Duration) probe.Sight { return redIf(isBlack(at) || red(at).Red()) }, blind: isBlack,
				second: func(at time.Duration) probe.Sight {
					if isBlack(at) {
						return unknown
					}
					return red(at)
				}}
		}, 0},
		{"the second vantage cannot be reached", 0, func(red func(time.Duration) probe.Sight) world {
			return world{own: red, second: func(at time.Duration) probe.Sight {
				if isBlack(at) {
					return unknown
				}
				return red(at)
			}}
		}, 0},
		{"the second vantage is blind and does not know it", 0, func(red func(time.Duration) probe.Sight) world {
			return world{own: red, second: func(at time.Duration) probe.Sight { return redIf(isBlack(at) || red(at).Red()) }}
		}, 0},
		{"our whole network is cut, and a tenth is lost besides", 0.1, func(red func(time.Duration) probe.Sight) world {
			return world{own: func(at time.Duration) probe.Sight { return redIf(isBlack(at) || red(at).Red()) }, blind: isBlack,
				second: func(at time.Duration) probe.Sight {
					if isBlack(at) {
						return unknown
					}
					return red(at)
				}}
		}, 0},
		{"the second vantage cannot be reached, and a tenth is lost besides", 0.1, func(red func(time.Duration) probe.Sight) world {
			return world{own: red, second: func(at time.Duration) probe.Sight {
				if isBlack(at) {
					return unknown
				}
				return red(at)
			}}
		}, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			const months = 20
			rate := lossy{tt.loss, DefaultTimeout}.rate()
			r := rand.New(rand.NewPCG(9, 10))
			downs := 0
			for i := range months {
				w := tt.make(func(time.Duration) probe.Sight { return redIf(r.Float64() < rate) })
				w.hasSecond = true
				w.ownTook = func(s probe.Sight) time.Duration { return took(s, DefaultTimeout) }
				_, n := life(Defaults(), fmt.Sprint("monitor/", i), w, month, false, nil)
				downs += n
			}
			if got := float64(downs) / months; got > tt.most {
				t.Errorf("%v false findings in 30 days, want %v", got, tt.most)
			}
		})
	}
}
