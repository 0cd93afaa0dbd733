package monitor

import (
	"time"

	"github.com/makegood/makegood"
)

// DefaultTimeout is how long one look may take. What answers later is of no use to a customer either, and it is long enough for
// two lost packets in a row: the second repetition of a SYN goes out after 3 s (RFC 6298: 1 s, then doubled).
const DefaultTimeout = 5 * time.Second

// Defaults are the pace and the thresholds of a monitor that says nothing else: a look every ten seconds, and when one is red
// three more, a second and a half apart. The numbers come from the simulations in model_test.go, with a second vantage:
//
//	                                   to detection, refused   time-out   false in 30 days at a loss of
//	                                   p50      p99            p99        10 %     20 %
//	wanted                             12 s     25 s           40 s       0.01     0.2
//	3 failures, 2 s apart              9.8 s    14.7 s         32.0 s     0        0.20 ± 0.02
//	4 failures, 1.5 s apart            10.6 s   15.5 s         37.7 s     0        0.003
//	4 failures, 2 s apart              12.1 s   17.0 s         39.2 s     0        0.005
//
// Alone, without a second vantage, they are false 0.004 times in 30 days at 10 %, and 21 times at 20 %.
func Defaults() makegood.Check {
	return makegood.Check{Every: 10 * time.Second, Again: 1500 * time.Millisecond, Failures: 4, Successes: 2}
}

// HeartbeatDefaults are those of a job that reports by itself. One look is enough: what was reported is kept here, no packet
// can be lost on the way to it, and the grace is the job's own.
func HeartbeatDefaults() makegood.Check {
	return makegood.Check{Every: 10 * time.Second, Again: time.Second, Failures: 1, Successes: 1}
}

const (
	// flapMemory is for how long a thing that went down is remembered, flapSuccessesMax how many green looks more it costs at
	// most: with a look every ten seconds, five minutes. After flapDownsMax downs the most is reached.
	flapMemory       = time.Hour
	flapSuccessesMax = 30
	flapDownsMax     = 8

	// hasteLooks times Failures red looks after each other come at the pace of Again; after that the haste is over.
	hasteLooks = 10
)

const (
	// startWithin is how soon a new monitor is looked at first.
	startWithin = 10 * time.Second

	// A look that promises that nothing changes until a time is followed by the next right behind it, and in any case after a
	// while: whoever should have told of a change may have failed to.
	sureMargin = 10 * time.Millisecond
	sureMax    = 30 * time.Second
)

const (
	// looksQuickMax looks may be under way that have not taken quickFor yet, and looksSlowMax that have: a look that turns out
	// to be slow gives its place back. So hung targets, however many, hold the places of others for quickFor at most. Together
	// they stay below the 1,024 files that a process may have open by default, with room for everything else.
	looksQuickMax = 256
	looksSlowMax  = 256
	quickFor      = 500 * time.Millisecond

	// lookGrace is how much later than its time-out a look must have returned. A prober that does not is left behind, and not
	// asked again before it does.
	lookGrace = 2 * time.Second

	// monitorsMax bounds what one runner watches.
	monitorsMax = 200_000

	// tellersMax calls of the ledger are under way at most. tellTimeout ends each; one that failed is repeated after a while
	// that doubles.
	tellersMax     = 8
	tellTimeout    = 10 * time.Second
	tellAgainFirst = time.Second
	tellAgainMax   = 30 * time.Second

	// Our own network is looked at every networkEvery, and every networkAgain while we are blind. A check takes at most
	// networkTimeout, which is a lost SYN and its first repetition. An answer is good for networkFresh. Together: blind at the
	// latest networkEvery + networkTimeout after the cut, told after blindMisses checks: 10 + 3 + 2 × (2 + 3) = 23 s, below the
	// 30 s that are wanted.
	networkEvery   = 10 * time.Second
	networkAgain   = 2 * time.Second
	networkTimeout = 3 * time.Second
	networkFresh   = 5 * time.Second
	blindMisses    = 3
	blindFor       = 5 * time.Second // at least, so that several checks in one moment count for one
)

// BlindCheck is the code of the finding that the runner itself makes: it cannot see.
const BlindCheck = "watcher-blind"

// Blindness is the check behind BlindCheck. It is P1, because while it lasts nobody watches; that it is told at all while the
// network is cut is the business of the peer, who misses our beats.
func Blindness() makegood.Check {
	return makegood.Check{
		Code: BlindCheck, Title: "The watcher cannot see", Priority: makegood.P1,
		Means:    "Its own network is cut. Nothing that needs the network is judged until it is back.",
		Every:    networkEvery,
		Again:    networkAgain,
		Failures: blindMisses, Successes: 1,
	}
}

const (
	// The second vantage has as long as we, and secondMargin for the way to it.
	secondMargin = time.Second

	// landingPause is between two glances at a look that is being judged.
	landingPause = 10 * time.Millisecond
)
