package monitor

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/probe"
)

var thrice = makegood.Check{Every: 10 * time.Second, Again: 2 * time.Second, Failures: 3, Successes: 2}

// play lets a machine see a row of letters, a look every ten seconds: g green, r red, u unknown; behind a red one what the
// second vantage saw: R red, G green, U unknown. It returns the last state.
func play(m *Machine, at time.Time, looks string) (State, time.Time) {
	for i := 0; i < len(looks); i++ {
		at = at.Add(10 * time.Second)
		s := sightOf(looks[i])
		s.At = at
		var second *probe.Sight
		if i+1 < len(looks) && looks[i+1] >= 'A' && looks[i+1] <= 'Z' {
			x := sightOf(looks[i+1] - 'A' + 'a')
			second = &x
			i++
		}
		m.Observe(s, second)
	}
	return m.State(), at
}

func sightOf(letter byte) probe.Sight {
	switch letter {
	case 'g':
		return probe.Sight{}
	case 'r':
		return probe.Sight{Trouble: "[STATUS] == 200 (503)"}
	}
	return probe.Sight{Unknown: true, Trouble: "we cannot see"}
}

func TestMachine(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		looks  string
		second bool
		want   State
		isDown bool
		note   string
	}{
		{looks: "", want: Pending},
		{looks: "u", want: Pending},
		{looks: "g", want: Up},
		{looks: "r", want: Suspect},
		{looks: "rr", want: Suspect},
		{looks: "rrr", want: Down, isDown: true}, // a monitor that was never up has no grace beyond that of all
		{looks: "grr", want: Suspect},
		{looks: "grrg", want: Up},
		{looks: "grrgrr", want: Suspect}, // a green look begins the count again
		{looks: "grrur", want: Down, isDown: true},
		{looks: "grruuuuu", want: Suspect}, // and what saw nothing does not count
		{looks: "grrruuu", want: Down, isDown: true},
		{looks: "grrrr", want: Down, isDown: true},
		{looks: "grrrg", want: Recovering, isDown: true},
		{looks: "grrrgu", want: Recovering, isDown: true},
		{looks: "grrrgr", want: Down, isDown: true},
		{looks: "grrrgrg", want: Recovering, isDown: true},
		{looks: "grrrgg", want: Up},
		{looks: "rRrRrR", second: true, want: Down, isDown: true},
		{looks: "grRrRrG", second: true, want: Suspect, note: "the second vantage sees it well"},
		{looks: "grRrRrGrRrR", second: true, want: Suspect},
		{looks: "grRrRrGrRrRrR", second: true, want: Down, isDown: true},
		{looks: "grGrGrGrGrGrGrGrGrGrGrG", second: true, want: Suspect, note: "the second vantage sees it well"}, // never alone
		{looks: "grUrUrU", second: true, want: Suspect, note: "the second vantage cannot be asked"},
		{looks: "grUrUrUrUrU", second: true, want: Suspect, note: "the second vantage cannot be asked"},
		{looks: "grUrUrUrUrUrU", second: true, want: Down, isDown: true}, // twice as often
		{looks: "grUrUrUrUrUrG", second: true, want: Suspect, note: "the second vantage sees it well"},
		{looks: "grRrUrRrUrR", second: true, want: Down, isDown: true}, // its silence takes nothing back
		{looks: "grrrrrrrr", second: true, want: Suspect},              // it was not asked
		{looks: "grRrRg", second: true, want: Up},
		{looks: "grRrRgrRrR", second: true, want: Suspect}, // its count begins again too
	} {
		m := NewMachine(thrice, tt.second)
		if got, _ := play(m, time.Unix(0, 0), tt.looks); got != tt.want || m.IsDown() != tt.isDown || m.Note() != tt.note {
			t.Errorf("after %q it is %s (down: %v, %q), want %s (%v, %q)", tt.looks, got, m.IsDown(), m.Note(), tt.want, tt.isDown, tt.note)
		}
	}
}

func TestMachineHealing(t *testing.T) {
	t.Parallel()
	m := NewMachine(thrice, false)
	m.SetHealing(true)
	for _, step := range []struct {
		looks string
		want  State
	}{{"g", Up}, {"rr", Suspect}, {"r", Healing}, {"r", Healing}, {"g", Recovering}, {"r", Healing}, {"gg", Up}} {
		if got, _ := play(m, time.Unix(0, 0), step.looks); got != step.want {
			t.Fatalf("after %q it is %s, want %s", step.looks, got, step.want)
		}
	}
}

// What goes down again and again has to be well for longer each time, up to a bound, and is forgiven after an hour.
func TestMachineFlaps(t *testing.T) {
	t.Parallel()
	m, at := NewMachine(thrice, false), time.Unix(0, 0)
	needs := func() (n int) {
		for {
			var s State
			s, at = play(m, at, "g")
			if n++; s == Up {
				return n
			}
			if n > 100 {
				t.Fatal("it is never up again")
			}
		}
	}
	for i, want := range []int{2, 4, 8, 16, 32, 32} {
		_, at = play(m, at, "rrr")
		if got := needs(); got != want {
			t.Errorf("after going down %d times it is up after %d looks, want %d", i+1, got, want)
		}
	}
	at = at.Add(flapMemory)
	_, at = play(m, at, "rrr")
	if got := needs(); got != 2 {
		t.Errorf("an hour later it is up after %d looks, want 2", got)
	}
}

func TestMachinePace(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		looks string
		want  time.Duration
	}{
		{"", 10 * time.Second},
		{"g", 10 * time.Second},
		{"gr", 2 * time.Second},
		{"grr", 2 * time.Second},
		{"grrr", 10 * time.Second},
		{"grrrg", 2 * time.Second},
		{"grrrgg", 10 * time.Second},
		{"grrrggrrrgg", 10 * time.Second}, // it flaps: the looks that are asked for besides come at leisure
	} {
		m := NewMachine(thrice, false)
		play(m, time.Unix(0, 0), tt.looks)
		if got := m.Pace(); got != tt.want {
			t.Errorf("after %q the pace is %v, want %v", tt.looks, got, tt.want)
		}
	}
	m := NewMachine(thrice, true)
	for range hasteLooks*thrice.Failures - 1 {
		play(m, time.Unix(0, 0), "rG")
	}
	if got := m.Pace(); got != thrice.Again {
		t.Errorf("the pace is %v, want %v", got, thrice.Again)
	}
	play(m, time.Unix(0, 0), "rG")
	if got := m.Pace(); got != thrice.Every {
		t.Errorf("when the vantages disagree for long the pace is %v, want %v", got, thrice.Every)
	}
}

func TestMachineForgets(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		looks string
		want  State
	}{{"rr", Pending}, {"grr", Up}, {"grrr", Down}, {"grrrg", Recovering}, {"g", Up}, {"", Pending}} {
		m := NewMachine(thrice, false)
		play(m, time.Unix(0, 0), tt.looks)
		m.Forget(time.Unix(100, 0))
		if got := m.State(); got != tt.want {
			t.Errorf("after %q and forgetting it is %s, want %s", tt.looks, got, tt.want)
		}
		if got, _ := play(m, time.Unix(200, 0), "rr"); tt.want == Up && got != Suspect {
			t.Errorf("after %q, forgetting and two red looks it is %s, want suspect", tt.looks, got)
		}
	}
}

// Whatever a machine sees, it is down only after Failures red looks since the last green one, in which the second vantage has
// never just been green, and up only after Successes green ones.
func TestMachineNeverJumps(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 1))
	for range 2000 {
		hasSecond := r.IntN(2) == 0
		c := makegood.Check{Every: time.Second, Again: time.Second, Failures: 1 + r.IntN(5), Successes: 1 + r.IntN(4)}
		m, at := NewMachine(c, hasSecond), time.Unix(0, 0)
		reds, greens := 0, 0
		for range 200 {
			at = at.Add(time.Second)
			s := sightOf("grru"[r.IntN(4)])
			s.At = at
			second := sightOf("gru"[r.IntN(3)])
			was := m.IsDown()
			m.Observe(s, &second)
			switch {
			case s.Unknown:
				if m.IsDown() != was {
					t.Fatal("a look that saw nothing has changed what is believed")
				}
				continue
			case s.Red():
				reds, greens = reds+1, 0
			default:
				reds, greens = 0, greens+1
			}
			if m.IsDown() && !was && (reds < c.Failures || hasSecond && second.Green()) {
				t.Fatalf("%+v: down after %d red looks, the second vantage saw %+v", c, reds, second)
			}
			if !m.IsDown() && was && greens < c.Successes {
				t.Fatalf("%+v: up after %d green looks", c, greens)
			}
		}
	}
}

func TestGrid(t *testing.T) {
	t.Parallel()
	const every = 10 * time.Second
	seconds := map[int]int{}
	for i := range 1000 {
		g := newGrid("monitor/"+string(rune('a'+i%26))+time.Duration(i).String(), every)
		if g.phase < 0 || g.phase >= every {
			t.Fatalf("phase %v", g.phase)
		}
		seconds[int(g.phase/time.Second)]++
		for _, at := range []time.Duration{0, g.phase, every, 3 * time.Hour} {
			next := g.after(at)
			if next <= at && at >= g.phase || next > at+every && at >= g.phase || (next-g.phase)%every != 0 {
				t.Errorf("after %v with the phase %v comes %v", at, g.phase, next)
			}
		}
		if first := g.first(time.Hour); first < time.Hour || first > time.Hour+startWithin {
			t.Errorf("first look at %v", first)
		}
	}
	for s, n := range seconds {
		if n < 60 || n > 145 { // 100 on average; five standard deviations of 9.5
			t.Errorf("%d of 1000 monitors look in second %d", n, s)
		}
	}
}
