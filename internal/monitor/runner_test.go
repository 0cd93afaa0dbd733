package monitor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/probe"
	"github.com/makegood/makegood/internal/telemetry"
)

// target is something that a test breaks.
type target struct {
	mu    sync.Mutex
	sight probe.Sight
	hangs bool // until the end of the look
	deaf  bool // beyond it
	takes time.Duration
	panic bool
	looks []time.Time
	under atomic.Int32
	most  atomic.Int32
}

func (p *target) Look(ctx context.Context) probe.Sight {
	if n := p.under.Add(1); n > p.most.Load() {
		p.most.Store(n)
	}
	defer p.under.Add(-1)
	began := time.Now()
	p.mu.Lock()
	p.looks = append(p.looks, began)
	s, hangs, deaf, takes, panics := p.sight, p.hangs, p.deaf, p.takes, p.panic
	p.mu.Unlock()
	if panics {
		panic("a bug")
	}
	if deaf {
		time.Sleep(time.Minute)
	}
	if takes > 0 {
		time.Sleep(takes)
	}
	if hangs {
		<-ctx.Done()
		s = probe.Sight{Trouble: "no answer within 5s"}
	}
	s.At, s.Took = began, time.Since(began)
	return s
}

func (p *target) set(change func(p *target)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change(p)
}

func (p *target) fail(trouble string) {
	p.set(func(p *target) { p.sight = probe.Sight{Trouble: trouble} })
}

func (p *target) seen() []time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.looks)
}

// ledger writes down what it is told.
type ledger struct {
	mu    sync.Mutex
	lines []string
	found map[string]makegood.Finding
	fails int // so many calls
	hangs bool
	count map[string]int
	when  map[string]time.Time // when a key was first found
}

func (l *ledger) Found(ctx context.Context, f makegood.Finding) error {
	return l.hear(ctx, f.Key(), "found", func() {
		if _, known := l.when[f.Key()]; !known {
			l.when[f.Key()] = time.Now()
		}
		l.found[f.Key()] = f
	})
}

func (l *ledger) Cleared(ctx context.Context, key, why string) error {
	return l.hear(ctx, key, "cleared", func() { delete(l.found, key) })
}

func (l *ledger) hear(ctx context.Context, key, what string, then func()) error {
	l.mu.Lock()
	if l.count == nil {
		l.count, l.found, l.when = map[string]int{}, map[string]makegood.Finding{}, map[string]time.Time{}
	}
	hangs := l.hangs
	l.mu.Unlock()
	if hangs {
		<-ctx.Done()
		return ctx.Err()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.fails > 0 {
		l.fails--
		return errors.New("the disk is full")
	}
	l.count[what+" "+key]++
	if line := what + " " + key; len(l.lines) == 0 || l.lines[len(l.lines)-1] != line {
		l.lines = append(l.lines, line)
	}
	then()
	return nil
}

func (l *ledger) heard() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.lines, ", ")
}

func (l *ledger) times(line string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.count[line]
}

func watch(subject string, p probe.Prober) Monitor {
	return Monitor{Check: makegood.Check{Code: "monitor", Title: subject + " is down", Means: "Nobody can buy.", Priority: makegood.P1}, Subject: subject, Prober: p}
}

// running runs a runner in virtual time and ends it with the test.
func running(t *testing.T, o Options, all ...Monitor) *Runner {
	t.Helper()
	if o.Ledger == nil {
		o.Ledger = &ledger{}
	}
	r := New(o)
	if err := r.Replace(all); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.Run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-done
		time.Sleep(2 * time.Minute) // probers that do not keep their time-out come back
	})
	return r
}

func after(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func stateOf(t *testing.T, r *Runner, key string) Status {
	t.Helper()
	for _, s := range r.Statuses() {
		if s.Key == key {
			return s
		}
	}
	t.Fatalf("there is no %s", key)
	return Status{}
}

func TestRunnerFindsAndClears(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p, l := &target{}, &ledger{}
		r := running(t, Options{Ledger: l, Metrics: telemetry.NewMetrics()}, watch("shop", p))
		after(30 * time.Second)
		if got := l.heard(); got != "cleared monitor/shop" {
			t.Fatalf("of a shop that is well the ledger heard %q", got)
		}
		broken := time.Now()
		p.fail("[STATUS] == 200 (503)")
		after(time.Minute)
		f := l.found["monitor/shop"]
		if f.Detail != "[STATUS] == 200 (503)" || f.Title != "shop is down" || f.Priority != makegood.P1 || f.Means != "Nobody can buy." ||
			f.Since.Before(broken) || f.Since.After(broken.Add(10*time.Second)) {
			t.Errorf("the finding is %+v", f)
		}
		if took := l.when["monitor/shop"].Sub(broken); took > 16*time.Second {
			t.Errorf("it took %v to find it", took)
		}
		if n := l.times("found monitor/shop"); n < 4 {
			t.Errorf("in a minute it was said %d times that it is down, want with each look", n)
		}
		if s := stateOf(t, r, "monitor/shop"); s.State != Down || s.Trouble == "" || s.RedLooks < 5 || s.Looks <= s.RedLooks {
			t.Errorf("status %+v", s)
		}
		r.SetHealing("monitor/shop", true)
		r.SetHealing("monitor/none", true)
		if s := stateOf(t, r, "monitor/shop"); s.State != Healing {
			t.Errorf("it is %s, want healing", s.State)
		}
		p.fail("")
		after(time.Minute)
		if got := l.heard(); got != "cleared monitor/shop, found monitor/shop, cleared monitor/shop" {
			t.Errorf("the ledger heard %q", got)
		}
		if n := l.times("cleared monitor/shop"); n != 2 {
			t.Errorf("it was cleared %d times, want 2", n)
		}
	})
}

// A ledger that fails or hangs hears how it stands as soon as it can, once.
func TestRunnerTellsAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p, l := &target{}, &ledger{fails: 3}
		running(t, Options{Ledger: l}, watch("shop", p))
		after(time.Minute)
		if got := l.heard(); got != "cleared monitor/shop" {
			t.Fatalf("after failing it heard %q", got)
		}
		l.mu.Lock()
		l.hangs = true
		l.mu.Unlock()
		p.fail("x")
		after(2 * time.Minute)
		p.fail("")
		after(2 * time.Minute)
		l.mu.Lock()
		l.hangs = false
		l.mu.Unlock()
		after(2 * time.Minute)
		if got, n := l.heard(), l.times("cleared monitor/shop"); got != "cleared monitor/shop" || n != 2 {
			t.Errorf("after hanging it heard %q, cleared %d times", got, n)
		}
		if want := 5 * time.Minute / (10 * time.Second); len(p.seen()) < int(want) {
			t.Errorf("%d looks, want at least %d", len(p.seen()), want)
		}
	})
}

// An incident that was open when we died: it is not found anew when the thing is well, but cleared; without waiting for
// several red looks it is still down when it is not.
func TestRunnerStartsWithOpenIncidents(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		well, ill, l := &target{}, &target{}, &ledger{}
		ill.fail("x")
		r := running(t, Options{Ledger: l, Open: []string{"monitor/well", "monitor/ill", "monitor/gone", BlindCheck}}, watch("well", well), watch("ill", ill))
		if s := stateOf(t, r, "monitor/well"); s.State != Down {
			t.Errorf("it begins as %s, want down", s.State)
		}
		after(time.Minute)
		if l.times("found monitor/well") != 0 || l.times("cleared monitor/well") != 1 || l.times("cleared monitor/gone") != 1 ||
			l.times("found monitor/ill") == 0 || l.times("cleared monitor/ill") != 0 || l.times("cleared "+BlindCheck) != 1 {
			t.Errorf("the ledger heard %s", l.heard())
		}
	})
}

// What hangs delays nobody: neither looks of others, nor a ledger; and of one monitor at most one look is under way.
func TestHungTargetsAndLedgerDelayNobody(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var all []Monitor
		var healthy, hung []*target
		for i := range 1500 { // more than all places for looks together
			p := &target{hangs: true}
			if i%100 == 0 {
				p.deaf = true // does not even keep its time-out
			}
			hung = append(hung, p)
			all = append(all, watch(fmt.Sprint("hung", i), p))
		}
		for i := range 100 {
			p := &target{takes: 20 * time.Millisecond}
			healthy = append(healthy, p)
			all = append(all, watch(fmt.Sprint("well", i), p))
		}
		running(t, Options{Ledger: &ledger{hangs: true}}, all...)
		after(5 * time.Minute)
		for i, p := range healthy {
			looks := p.seen()
			if len(looks) < 28 {
				t.Fatalf("healthy monitor %d: %d looks in five minutes", i, len(looks))
			}
			for j := 4; j < len(looks); j++ {
				if gap := looks[j].Sub(looks[j-1]); gap < 10*time.Second-time.Millisecond || gap > 10*time.Second+time.Millisecond {
					t.Fatalf("healthy monitor %d: %v between two looks, want 10s", i, gap)
				}
			}
		}
		for i, p := range hung {
			if n := p.most.Load(); n != 1 {
				t.Errorf("hung monitor %d: %d looks at once", i, n)
			}
		}
	})
}

// The schedule does not drift, however long the looks take.
func TestScheduleDoesNotDrift(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := &target{takes: 1300 * time.Millisecond}
		running(t, Options{}, watch("slow", p))
		after(24 * time.Hour)
		looks := p.seen()
		if n := len(looks); n < 8640 || n > 8642 {
			t.Errorf("%d looks in a day, want 8640 and the first", n)
		}
		if off := looks[len(looks)-1].Sub(looks[1]) % (10 * time.Second); off != 0 {
			t.Errorf("after a day the looks are off by %v", off)
		}
	})
}

// D4: whatever comes as a new configuration, and however often, no look is missed and no state is lost.
func TestReplaceMissesNoLook(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var all []Monitor
		var targets []*target
		for i := range 20 {
			targets = append(targets, &target{})
			all = append(all, watch(fmt.Sprint(i), targets[i]))
		}
		targets[7].fail("x")
		l := &ledger{}
		r := running(t, Options{Ledger: l}, all...)
		after(time.Minute)
		since := stateOf(t, r, "monitor/7").Since
		bad := [][]Monitor{
			append(slices.Clone(all), all[0]),                               // twice
			append(slices.Clone(all), Monitor{}),                            // nothing
			append(slices.Clone(all), watch("x", nil)),                      // nobody looks
			{{Check: makegood.Check{Code: BlindCheck}, Prober: targets[0]}}, // ours
			{{Check: makegood.Check{Code: "x", Every: -1}, Prober: targets[0]}},
		}
		for i := range 1000 {
			if i%2 == 0 {
				if err := r.Replace(bad[i/2%len(bad)]); err == nil {
					t.Fatalf("bad configuration %d was taken", i/2%len(bad))
				}
			} else if err := r.Replace(all); err != nil {
				t.Fatal(err)
			}
			time.Sleep(300 * time.Millisecond)
		}
		synctest.Wait()
		for i, p := range targets {
			looks := p.seen()
			for j := 3; j < len(looks); j++ {
				if gap := looks[j].Sub(looks[j-1]); gap > 10*time.Second+time.Millisecond {
					t.Errorf("monitor %d: %v between two looks", i, gap)
				}
			}
			if len(looks) < 36 {
				t.Errorf("monitor %d: %d looks in six minutes", i, len(looks))
			}
		}
		if s := stateOf(t, r, "monitor/7"); s.State != Down || !s.Since.Equal(since) {
			t.Errorf("the one that is down is %s since %v, want down since %v", s.State, s.Since, since)
		}
		if n := l.times("cleared monitor/7"); n != 0 {
			t.Errorf("it was cleared %d times", n)
		}
	})
}

func TestReplaceStartsAndStops(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		old, fresh, l := &target{}, &target{}, &ledger{}
		old.fail("x")
		r := running(t, Options{Ledger: l}, watch("old", old))
		after(time.Minute)
		faster := watch("fresh", fresh)
		faster.Check.Every, faster.Check.Failures = time.Minute, 1
		if err := r.Replace([]Monitor{faster}); err != nil {
			t.Fatal(err)
		}
		after(5 * time.Minute)
		if n := l.times("cleared monitor/old"); n != 1 || len(l.found) != 0 {
			t.Errorf("the monitor that is gone was cleared %d times; open are %v", n, l.found)
		}
		if n := len(old.seen()); n > 12 {
			t.Errorf("the monitor that is gone was looked at %d times", n)
		}
		if n := len(fresh.seen()); n < 5 || n > 7 {
			t.Errorf("the new one was looked at %d times in five minutes, want 5 and the first", n)
		}
		faster.Check.Every = time.Second // takes effect at once
		if err := r.Replace([]Monitor{faster}); err != nil {
			t.Fatal(err)
		}
		before := len(fresh.seen())
		after(10 * time.Second)
		if n := len(fresh.seen()) - before; n < 9 {
			t.Errorf("with a look each second it was looked at %d times in ten", n)
		}
		// One that is removed while it is being looked at is not judged any more.
		fresh.set(func(p *target) { p.hangs = true })
		after(1500 * time.Millisecond)
		if err := r.Replace(nil); err != nil {
			t.Fatal(err)
		}
		after(time.Minute)
		if n := len(r.Statuses()); n != 0 || l.times("found monitor/fresh") != 0 {
			t.Errorf("%d monitors are left; found %d times", n, l.times("found monitor/fresh"))
		}
	})
}

// D3: when our own network is cut nobody is called down, we are blind within 30 s, and on return there is one message.
func TestBlindness(t *testing.T) {
	t.Parallel()
	for _, hangs := range []bool{true, false} {
		t.Run(fmt.Sprint("hangs ", hangs), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				l := &ledger{}
				a, b, disk, down := &target{}, &target{}, &target{}, &target{}
				var all []Monitor
				var shops []*target
				for i := range 30 {
					p := &target{}
					shops = append(shops, p)
					all = append(all, watch(fmt.Sprint("shop", i), p))
				}
				local := watch("disk", disk)
				local.Local = true
				down.fail("x")
				all = append(all, local, watch("down", down))
				r := running(t, Options{Ledger: l, Network: []probe.Prober{a, b}}, all...)
				after(2 * time.Minute)
				if blind, _ := r.IsBlind(); blind {
					t.Fatal("it is blind before the cut")
				}
				b.fail("x") // one of two targets is no network
				after(2 * time.Minute)
				if blind, _ := r.IsBlind(); blind {
					t.Fatal("it is blind although one target answers")
				}
				cut := time.Now()
				for _, p := range append(slices.Clone(shops), a, b, down) {
					p.set(func(p *target) { p.hangs, p.sight = hangs, probe.Sight{Trouble: "cannot connect"} })
				}
				before := l.times("found monitor/down")
				after(30 * time.Second)
				blind, since := r.IsBlind()
				if !blind || since.Sub(cut) > 15*time.Second {
					t.Errorf("30 s after the cut: blind %v, since %v", blind, since.Sub(cut))
				}
				if l.times("found "+BlindCheck) == 0 {
					t.Error("the blindness is no finding after 30 s")
				}
				if s := stateOf(t, r, "monitor/shop3"); s.State != Blind || s.Believed != Up {
					t.Errorf("a shop is %s, believed %s, want blind and up", s.State, s.Believed)
				}
				if s := stateOf(t, r, "monitor/disk"); s.State != Up {
					t.Errorf("the disk is %s, want up", s.State)
				}
				disk.fail("[DISK_FREE] > 10 (3)")
				after(5 * time.Minute)
				if l.times("found monitor/disk") == 0 {
					t.Error("what needs no network is not found while we are blind")
				}
				if n := l.times("found monitor/down"); n > before+1 || l.times("cleared monitor/down") != 0 {
					t.Errorf("while blind a finding was told again or cleared: %d and %d times", n-before, l.times("cleared monitor/down"))
				}
				for _, p := range append(slices.Clone(shops), a, b) {
					p.set(func(p *target) { p.hangs, p.sight = false, probe.Sight{} })
				}
				down.set(func(p *target) { p.hangs = false })
				after(2 * time.Minute)
				if blind, _ := r.IsBlind(); blind || l.times("cleared "+BlindCheck) != 1 {
					t.Errorf("after the return: blind %v, cleared %d times", blind, l.times("cleared "+BlindCheck))
				}
				for i := range shops {
					key := fmt.Sprint("monitor/shop", i)
					if l.times("found "+key) != 0 || l.times("cleared "+key) != 1 {
						t.Errorf("%s was found %d times and cleared %d times, want 0 and 1", key, l.times("found "+key), l.times("cleared "+key))
					}
				}
				if d := r.Deaf(); d.From.After(cut) || d.To.Sub(cut) < 5*time.Minute {
					t.Errorf("deaf from %v to %v after the cut", d.From.Sub(cut), d.To.Sub(cut))
				}
			})
		})
	}
}

// A cut of a few seconds is told to nobody.
func TestBlindnessOfAMoment(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l, a, p := &ledger{}, &target{}, &target{}
		r := running(t, Options{Ledger: l, Network: []probe.Prober{a}}, watch("shop", p))
		after(21 * time.Second)
		for range 10 {
			a.fail("x")
			p.fail("x")
			if _, err := r.LookNow(t.Context(), "monitor/shop"); err != nil {
				t.Fatal(err)
			}
			if blind, _ := r.IsBlind(); !blind {
				time.Sleep(networkFresh)
				continue
			}
			a.fail("")
			p.fail("")
			after(30 * time.Second)
		}
		if got := l.heard(); got != "cleared monitor/shop" {
			t.Errorf("the ledger heard %s", got)
		}
		if d := r.Deaf(); d.To.IsZero() {
			t.Error("there was no blindness at all")
		}
	})
}

// justChecked waits until our own network has been looked at a moment ago.
func justChecked(p *target) {
	for n := len(p.seen()); len(p.seen()) == n; {
		after(100 * time.Millisecond)
	}
	after(time.Millisecond) // virtual time can stand still between two questions, which real time does not
}

func lookNow(t *testing.T, r *Runner, key string) probe.Sight {
	t.Helper()
	s, err := r.LookNow(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	synctest.Wait()
	return s
}

// An answer about our own network from just before the cut does not make anybody believe what was seen after it.
func TestCutJustAfterTheNetworkWasSeen(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l, a, p := &ledger{}, &target{}, &target{}
		r := running(t, Options{Ledger: l, Network: []probe.Prober{a}}, watch("shop", p))
		after(time.Second)
		lookNow(t, r, "monitor/shop")
		justChecked(a)
		a.fail("x")
		p.fail("x")
		for range 3 {
			if s := lookNow(t, r, "monitor/shop"); !s.Red() { // a fresh answer is good enough for a suspicion
				t.Fatalf("the look saw %+v", s)
			}
		}
		if s := lookNow(t, r, "monitor/shop"); !s.Unknown {
			t.Errorf("the look that would be believed saw %+v", s)
		}
		if s := stateOf(t, r, "monitor/shop"); s.Believed != Up || l.times("found monitor/shop") != 0 {
			t.Errorf("status %+v", s)
		}
	})
}

// An old answer about our own network is not good enough for anything.
func TestOldAnswerAboutTheNetwork(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a, p := &target{}, &target{}
		r := running(t, Options{Network: []probe.Prober{a}}, watch("shop", p))
		justChecked(a)
		after(networkFresh + time.Second)
		a.fail("x")
		p.fail("x")
		if s := lookNow(t, r, "monitor/shop"); !s.Unknown {
			t.Errorf("the look saw %+v", s)
		}
	})
}

// A look that began while we were blind proves nothing, even when we see again at its end.
func TestLookThatBeganBlind(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l, a, p := &ledger{}, &target{}, &target{}
		m := watch("shop", p)
		m.Check.Failures = 1
		r := running(t, Options{Ledger: l, Network: []probe.Prober{a}}, m)
		after(time.Minute)
		a.fail("x")
		after(15 * time.Second)
		if blind, _ := r.IsBlind(); !blind {
			t.Fatal("it is not blind")
		}
		p.set(func(p *target) { p.hangs = true })
		time.AfterFunc(2*time.Second, func() { a.fail("") })
		s := lookNow(t, r, "monitor/shop")
		if blind, _ := r.IsBlind(); blind || !s.Unknown {
			t.Errorf("blind: %v, the look saw %+v", blind, s)
		}
	})
}

// Blindness is told after several checks that take several seconds, not after one of both.
func TestBlindnessIsToldWhenItIsSure(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		cut   func(p *target)
		back  time.Duration
		looks int // red ones, each of which asks anew
	}{
		{"many checks in a moment", func(p *target) { p.sight.Trouble = "x" }, 3 * time.Second, 4},
		{"two checks that take long", func(p *target) { p.hangs = true }, 11 * time.Second, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				l, a, p := &ledger{}, &target{}, &target{}
				m := watch("shop", p)
				m.Check.Failures = 1
				r := running(t, Options{Ledger: l, Network: []probe.Prober{a}}, m)
				justChecked(a)
				after(8 * time.Second)
				a.set(tt.cut)
				time.AfterFunc(tt.back, func() {
					a.set(func(p *target) { p.hangs, p.sight = false, probe.Sight{} })
					p.fail("")
				})
				for range tt.looks {
					p.fail("x")
					lookNow(t, r, "monitor/shop")
					after(time.Millisecond)
				}
				after(time.Minute)
				if d := r.Deaf(); d.To.IsZero() || l.heard() != "cleared monitor/shop" {
					t.Errorf("deaf %v; the ledger heard %s", d, l.heard())
				}
			})
		})
	}
}

// Looks that turn out to be slow give their places back before anybody knows that their monitors are slow.
func TestFirstLooksThatHangGiveWay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var all []Monitor
		for i := range looksQuickMax + 40 {
			m := watch(fmt.Sprint("hung", i), &target{hangs: true})
			m.Check.Every = time.Second
			all = append(all, m)
		}
		r := running(t, Options{}, append(all, watch("well", &target{}))...)
		after(2 * time.Second)
		asked := time.Now()
		if s := lookNow(t, r, "monitor/well"); !s.Green() || time.Since(asked) > quickFor {
			t.Errorf("a healthy look had to wait for %v", time.Since(asked))
		}
	})
}

// What is newer is told, and what failed before it is not told any more.
func TestTellerTellsTheNewest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := &ledger{hangs: true}
		teller := newTeller(l, slog.New(slog.DiscardHandler))
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		teller.tell("a", news{finding: &makegood.Finding{Check: "a"}}) // before it runs
		go func() {
			defer close(done)
			teller.run(ctx)
		}()
		after(time.Second)
		teller.tell("a", news{why: "well"}) // while the finding is being told, in vain
		l.mu.Lock()
		l.hangs = false
		l.mu.Unlock()
		after(time.Minute)
		if got := l.heard(); got != "cleared a" {
			t.Errorf("the ledger heard %q", got)
		}
		cancel()
		<-done
	})
}

func TestSecondVantage(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		second func(p *target)
		want   State
		within time.Duration
	}{
		{"agrees", func(p *target) { p.sight.Trouble = "x" }, Down, 17 * time.Second},
		{"agrees, slowly", func(p *target) { p.sight.Trouble, p.takes = "x", 3*time.Second }, Down, 27 * time.Second},
		{"sees it well", func(*target) {}, Suspect, 0},
		{"says nothing", func(p *target) { p.sight = probe.Sight{Unknown: true} }, Down, 24 * time.Second},
		{"hangs", func(p *target) { p.deaf = true }, Down, 2 * time.Minute},
		{"panics", func(p *target) { p.panic = true }, Down, 24 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p, second, l := &target{}, &target{}, &ledger{}
				m := watch("shop", p)
				m.Second = second
				r := running(t, Options{Ledger: l}, m)
				after(time.Minute)
				if n := len(second.seen()); n != 0 {
					t.Errorf("while all was well the second vantage was asked %d times", n)
				}
				second.set(tt.second)
				broken := time.Now()
				p.fail("x")
				after(3 * time.Minute)
				if s := stateOf(t, r, "monitor/shop"); s.State != tt.want {
					t.Errorf("it is %s, want %s", s.State, tt.want)
				}
				if took := l.when["monitor/shop"].Sub(broken); tt.want == Down && took > tt.within {
					t.Errorf("it took %v, want at most %v", took, tt.within)
				}
				p.fail("")
				after(2 * time.Minute)
				if s := stateOf(t, r, "monitor/shop"); s.State != Up {
					t.Errorf("it is %s, want up", s.State)
				}
			})
		})
	}
}

// A time-out here and one there do not add up.
func TestSecondVantageTimesOutTogether(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p, second, l := &target{}, &target{}, &ledger{}
		m := watch("shop", p)
		m.Second = second
		running(t, Options{Ledger: l}, m)
		after(time.Minute)
		broken := time.Now()
		for _, p := range []*target{p, second} {
			p.set(func(p *target) { p.hangs = true })
		}
		after(2 * time.Minute)
		if took := l.when["monitor/shop"].Sub(broken); took <= 0 || took > 42*time.Second {
			t.Errorf("it took %v", took)
		}
	})
}

func TestLookNowAndPeek(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p, second := &target{takes: time.Second}, &target{}
		m := watch("shop", p)
		m.Second, m.Check.Every = second, time.Hour
		r := running(t, Options{}, m)
		after(time.Minute)
		before := len(p.seen())
		var all sync.WaitGroup
		asked := time.Now()
		for range 20 { // they share one look
			all.Go(func() {
				s, err := r.LookNow(t.Context(), "monitor/shop")
				if err != nil || !s.Green() || s.At.Before(asked) {
					t.Errorf("LookNow = %+v, %v", s, err)
				}
			})
		}
		all.Wait()
		if n := len(p.seen()) - before; n != 1 {
			t.Errorf("20 who asked at once caused %d looks, want 1", n)
		}
		// Who asks during a look gets one that begins afterwards.
		all.Go(func() { _, _ = r.LookNow(t.Context(), "monitor/shop") })
		time.Sleep(500 * time.Millisecond)
		p.fail("x")
		s, err := r.LookNow(t.Context(), "monitor/shop")
		if err != nil || !s.Red() {
			t.Errorf("LookNow during a look = %+v, %v, want red", s, err)
		}
		all.Wait()
		if s := stateOf(t, r, "monitor/shop"); s.State != Suspect || len(second.seen()) != 0 {
			t.Errorf("after it: %s, the second vantage was asked %d times", s.State, len(second.seen()))
		}
		looks := stateOf(t, r, "monitor/shop").Looks
		if s, err := r.Peek(t.Context(), "monitor/shop"); err != nil || !s.Red() || stateOf(t, r, "monitor/shop").Looks != looks {
			t.Errorf("Peek = %+v, %v, and it counted", s, err)
		}
		if _, err := r.LookNow(t.Context(), "monitor/none"); !errors.Is(err, makegood.NotFound) {
			t.Errorf("LookNow at nothing = %v, want not found", err)
		}
		impatient, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if _, err := r.Peek(impatient, "monitor/shop"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Peek without patience = %v", err)
		}
		if _, err := New(Options{Ledger: &ledger{}}).LookNow(t.Context(), "x"); !errors.Is(err, makegood.NotFound) {
			t.Errorf("LookNow at an empty runner = %v", err)
		}
		idle := New(Options{Ledger: &ledger{}})
		if err := idle.Replace([]Monitor{m}); err != nil {
			t.Fatal(err)
		}
		if _, err := idle.LookNow(t.Context(), "monitor/shop"); !errors.Is(err, errNotRunning) {
			t.Errorf("LookNow before Run = %v", err)
		}
	})
}

// Two watchers that are each other's second vantage do not ask each other for ever.
func TestVantagesDoNotAskInCircles(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var a, b *Runner
		pa, pb := &target{}, &target{}
		ma, mb := watch("shop", pa), watch("shop", pb)
		ma.Second = proberFunc(func(ctx context.Context) probe.Sight { return peek(ctx, b) })
		mb.Second = proberFunc(func(ctx context.Context) probe.Sight { return peek(ctx, a) })
		a, b = running(t, Options{}, ma), running(t, Options{}, mb)
		after(time.Minute)
		pa.fail("x")
		pb.fail("x")
		before := len(pa.seen())
		after(time.Minute)
		if n := len(pa.seen()) - before; n > 20 {
			t.Errorf("%d looks in a minute", n)
		}
		if stateOf(t, a, "monitor/shop").State != Down || stateOf(t, b, "monitor/shop").State != Down {
			t.Error("they do not agree that it is down")
		}
	})
}

type proberFunc func(ctx context.Context) probe.Sight

func (f proberFunc) Look(ctx context.Context) probe.Sight { return f(ctx) }

func peek(ctx context.Context, r *Runner) probe.Sight {
	s, err := r.Peek(ctx, "monitor/shop")
	if err != nil {
		return probe.Sight{Unknown: true}
	}
	return s
}

// Maintenance is shown, and changes nothing else.
func TestMaintenance(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p, l := &target{}, &ledger{}
		r := running(t, Options{Ledger: l, Maintained: func(key string) bool { return key == "monitor/shop" }}, watch("shop", p))
		p.fail("x")
		after(time.Minute)
		s := stateOf(t, r, "monitor/shop")
		if s.State != Maintenance || s.Believed != Down || !s.Maintained || l.times("found monitor/shop") == 0 {
			t.Errorf("status %+v; the ledger heard %s", s, l.heard())
		}
	})
}

// A prober that panics says nothing about what it looks at, and ends nobody.
func TestPanicIsUnknown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := &target{panic: true}
		r := running(t, Options{}, watch("shop", p))
		after(time.Minute)
		if s := stateOf(t, r, "monitor/shop"); s.State != Blind || s.Believed != Pending || s.Looks < 6 {
			t.Errorf("status %+v", s)
		}
	})
}

// jobs keeps reports in memory.
type jobs struct {
	mu  sync.Mutex
	all map[string]probe.Beat
}

func (j *jobs) LastBeat(_ context.Context, name string) (probe.Beat, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.all[name], nil
}

// D10: a job that is late is found within two seconds after its grace, however many there are, and few looks are needed.
func TestLateJobsAreFound(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const n = 2000
		beats, l := &jobs{all: map[string]probe.Beat{}}, &ledger{}
		start := time.Now()
		due := map[string]time.Time{}
		var all []Monitor
		for i := range n {
			name := fmt.Sprint("job", i)
			last := start.Add(-time.Duration(i) * 37 * time.Millisecond)
			beats.all[name] = probe.Beat{SucceededAt: last}
			rule := probe.Rule{Every: 5 * time.Minute, Grace: 30 * time.Second}
			h, err := probe.NewHeartbeat(probe.HeartbeatOptions{Name: name, Rule: rule, Beats: beats})
			if err != nil {
				t.Fatal(err)
			}
			c := HeartbeatDefaults()
			c.Code = "heartbeat"
			m := Monitor{Check: c, Subject: name, Prober: h, Local: true}
			due[m.Key()] = last.Add(rule.Every + rule.Grace)
			all = append(all, m)
		}
		r := running(t, Options{Ledger: l}, all...)
		after(2 * time.Minute)
		looks := int64(0)
		for _, s := range r.Statuses() {
			looks += s.Looks
		}
		if looks > 6*n {
			t.Errorf("%d looks at %d jobs in two minutes, want no more than one each 30 s", looks, n)
		}
		after(4 * time.Minute)
		for key, at := range due {
			if late := l.when[key].Sub(at); late < 0 || late > 2*time.Second {
				t.Fatalf("%s was found %v after its grace", key, late)
			}
		}
		// A job that reports is well as soon as somebody says so.
		beats.mu.Lock()
		beats.all["job5"] = probe.Beat{SucceededAt: time.Now()}
		beats.mu.Unlock()
		if _, err := r.LookNow(t.Context(), "heartbeat/job5"); err != nil {
			t.Fatal(err)
		}
		after(time.Second)
		if l.times("cleared heartbeat/job5") == 0 {
			t.Error("the job that reported again is not cleared")
		}
	})
}

// BenchmarkHeartbeatRule is the cost of one look at one of 100,000 jobs.
func BenchmarkHeartbeatRule(b *testing.B) {
	beats := &jobs{all: map[string]probe.Beat{}}
	now := time.Now()
	for i := range 100_000 {
		beats.all[fmt.Sprint("job", i)] = probe.Beat{SucceededAt: now}
	}
	h, err := probe.NewHeartbeat(probe.HeartbeatOptions{Name: "job7", Rule: probe.Rule{Every: time.Hour, Grace: time.Minute}, Beats: beats})
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if s := h.Look(b.Context()); !s.Green() {
			b.Fatal(s)
		}
	}
}
