package heal_test

import (
	"context"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"
)

// blips are short troubles, one after the other, of which a monitor hears late that they are over.
type blips struct {
	*world
	rng *rand.Rand
}

// Nothing is done about 10,000 blips of 1 to 60 seconds.
func TestBlips(t *testing.T) {
	t.Parallel()
	const together, all = 100, 10_000
	for seed := range uint64(all / together) {
		if underRace && seed == 10 {
			break
		}
		synctest.Test(t, func(t *testing.T) {
			b := &blips{newWorld(seed, "shop"), rand.New(rand.NewPCG(seed, 5))}
			b.play(t, together, func() time.Duration { return time.Second + time.Duration(b.rng.Int64N(int64(59*time.Second)+1)) })
			attempts, _ := b.list()
			if at := b.places["shop"]; at.writes+len(at.starts)+at.reverts+len(attempts) > 0 {
				t.Errorf("seed %d: %d writes, %d starts and %d attempts for blips:\n%v", seed, at.writes, len(at.starts), len(attempts), b)
			}
			checkWorld(t, b.world)
		})
	}
}

// The same with troubles that are no blips any more is acted on: the blips above could have been.
func TestLongerThanBlips(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := &blips{newWorld(1, "shop"), rand.New(rand.NewPCG(1, 5))}
		b.play(t, 20, func() time.Duration { return 80 * time.Second })
		if attempts, _ := b.list(); len(attempts) == 0 {
			t.Errorf("no attempt for troubles of 80 seconds:\n%v", b)
		}
	})
}

// play has n blips.
func (b *blips) play(t *testing.T, n int, lasts func() time.Duration) {
	ctx, stop := context.WithCancel(t.Context())
	p := b.start("server")
	pace := rand.New(rand.NewPCG(b.rng.Uint64(), 3))
	p.run(ctx, func() time.Duration { return time.Duration(pace.Int64N(int64(time.Second))) + time.Second/2 })
	at := b.places["shop"]
	for range n {
		kind, with := b.rng.IntN(3), lasts()
		b.mu.Lock()
		b.lag = time.Duration(b.rng.Int64N(int64(20 * time.Second)))
		b.mu.Unlock()
		b.blip(at, kind, true)
		time.Sleep(with)
		b.blip(at, kind, false)
		time.Sleep(21*time.Second + time.Duration(b.rng.Int64N(int64(time.Minute))))
	}
	stop()
	<-p.ended
}

// blip begins or ends: only the probe is red; the owner replaces a variable; the platform's API fails, and with it the program.
func (b *blips) blip(at *place, kind int, begins bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case kind == 0:
		at.probeRed = begins
	case kind == 1 && begins:
		at.wipe(2)
		at.deploy("", 0, true)
	case kind == 1:
		for _, n := range needs {
			at.vars[n.Name] = values[n.Name]
		}
		at.deploy("", 0, true)
	default:
		at.down, at.probeRed = begins, begins
	}
	at.advance()
}
