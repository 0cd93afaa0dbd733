package inspect_test

import (
	"context"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/inspect"
	"github.com/makegood/makegood/internal/provider"
)

// diary are books that hold nothing but when deliveries came, in order.
type diary struct {
	inspect.Store
	clock *clock
	all   []time.Time
}

// before is how many deliveries came before a time.
func (d *diary) before(at time.Time) int {
	n, _ := slices.BinarySearchFunc(d.all, at, time.Time.Compare)
	return n
}

func (d *diary) LastDelivery(context.Context, string) (time.Time, string, error) {
	n := d.before(d.clock.now())
	if n == 0 {
		return time.Time{}, "", makegood.NotFound
	}
	return d.all[n-1], "print", nil
}

func (d *diary) CountDeliveryStretches(_ context.Context, _ string, from, until time.Time, most int) (int, error) {
	stretches := map[int64]bool{}
	for _, at := range d.all[d.before(from):d.before(until)] {
		stretches[at.Unix()/300] = true
	}
	return min(len(stretches), most), nil
}

// silenceOf makes a house that looks at nothing but the silence of a source, since before the diary begins.
func silenceOf(t *testing.T, d *diary, began time.Time) *house {
	t.Helper()
	d.clock = newClock()
	d.clock.nanos.Store(began.UnixNano())
	h := &house{t: t, clock: d.clock, door: &door{}}
	h.o = inspect.Options{Store: d, Intake: h.door, Now: d.clock.now, Sources: map[string]provider.Source{"stripe": nil}}
	h.look("webhook-silence/stripe")
	return h
}

var autumn = time.Date(2026, 9, 1, 0, 0, 0, 0, time.UTC)

// TestSilenceOfSmallShops: the nights and quiet days of a small shop wake nobody, though each order comes as three events.
func TestSilenceOfSmallShops(t *testing.T) {
	t.Parallel()
	const years = 10
	for _, perDay := range []float64{1, 3, 10, 30} {
		chance := rand.New(rand.NewPCG(7, uint64(perDay)))
		d, orders := &diary{}, []time.Time{}
		for at := autumn; at.Before(autumn.AddDate(years, 0, 0)); {
			at = at.Add(time.Duration(chance.ExpFloat64() / perDay * 24 * float64(time.Hour)))
			orders = append(orders, at)
			d.all = append(d.all, at, at.Add(time.Second), at.Add(3*time.Second))
		}
		slices.SortFunc(d.all, time.Time.Compare)
		h := silenceOf(t, d, autumn.Add(-time.Hour))
		wrong := 0
		for _, next := range orders[1:] { // the longest silence is just before the next order
			h.clock.nanos.Store(next.Add(-time.Millisecond).UnixNano())
			if s := h.look("webhook-silence/stripe"); s.Red() {
				wrong++
			}
		}
		if wrong > years/2 {
			t.Errorf("a shop of %v orders a day was called silent %d times in %d years while all was well", perDay, wrong, years)
		}
	}
}

// TestSilenceWhenClocksAreSet: the customers of a shop of office hours come an hour later by UTC, or go an hour earlier, from
// one day to the next. That is no silence. When nobody comes for an hour more, it is.
func TestSilenceWhenClocksAreSet(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name        string
		ahead, then time.Duration // of UTC, before and after the clocks are set in the night to the 25th of October
		quiet       time.Duration // of that day, by UTC: the last moment before somebody comes, or had come before
		silent      time.Duration
	}{
		{"a later morning", 2 * time.Hour, time.Hour, 7*time.Hour - time.Second, 8 * time.Hour},
		{"an earlier evening", time.Hour, 2 * time.Hour, 24*time.Hour + 6*time.Hour - time.Second, 24*time.Hour + 9*time.Hour},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			d, set := &diary{}, time.Date(2026, 10, 25, 0, 0, 0, 0, time.UTC)
			open := func(day time.Time, ahead time.Duration) {
				for at := 8 * time.Hour; at < 20*time.Hour; at += 5 * time.Minute {
					d.all = append(d.all, day.Add(at-ahead))
				}
			}
			for day := autumn; day.Before(set); day = day.AddDate(0, 0, 1) {
				open(day, tt.ahead)
			}
			if tt.quiet > 24*time.Hour {
				open(set, tt.then)
			}
			h := silenceOf(t, d, autumn.Add(-time.Hour))
			for at := time.Duration(0); at <= tt.quiet; at += 5 * time.Minute {
				h.clock.nanos.Store(set.Add(at).UnixNano())
				h.green("webhook-silence/stripe")
			}
			h.clock.nanos.Store(set.Add(tt.silent).UnixNano())
			h.red("webhook-silence/stripe")
		})
	}
}
