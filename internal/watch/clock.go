package watch

import (
	"context"
	"encoding/json"
	"log/slog"
	"time"
)

// TimerStore is what the timekeeper needs kept.
type TimerStore interface {
	// ShiftTimers moves all timers and writes the house value, in one commit.
	ShiftTimers(ctx context.Context, by time.Duration, name, value string) error
	HouseValue(ctx context.Context, name string, first func() string) (string, error)
	KeepHouseValue(ctx context.Context, name, value string) error
}

// Clock tells two times: that of the wall, which people and time servers set, and that of the machine, which only goes
// forward and also while the machine sleeps. Boot names the start of the machine from which the second counts.
type Clock interface {
	Wall() time.Time
	Machine() (since time.Duration, boot string)
}

// Timekeeper moves the timers of incidents when somebody sets the clock. They are kept as times of the wall, so a clock that
// is set an hour ahead would page everybody an hour early, and one that is set back would let them sleep. It also compares
// over a restart of the program, as long as the machine runs; after a restart of the machine the wall is all there is.
type Timekeeper struct {
	Store TimerStore
	Clock Clock
	Log   *slog.Logger

	last mark
	kept time.Duration // when it was written down last, by the machine's time
}

// mark is both times at one moment.
type mark struct {
	Wall    time.Time     `json:"wall"`
	Machine time.Duration `json:"machine"`
	Boot    string        `json:"boot"`
}

const (
	// jumpLeast is what counts as set and not as drift: time servers that slew stay far below it between two looks.
	jumpLeast = time.Second
	// markEvery is how often both times are written down, for a comparison after a restart.
	markEvery = 5 * time.Second
	markName  = "clock"
)

// Look compares the two times with those of the last look and moves the timers by what the wall has gone astray, in the
// commit that remembers it: a crash moves them once or not at all. It is called about once a second by one goroutine.
func (k *Timekeeper) Look(ctx context.Context) error {
	since, boot := k.Clock.Machine()
	now := mark{Wall: k.Clock.Wall().Round(0), Machine: since, Boot: boot}
	if k.last.Boot == "" {
		text, err := k.Store.HouseValue(ctx, markName, func() string { return encodeMark(now) })
		if err != nil {
			return err
		}
		if err := json.Unmarshal([]byte(text), &k.last); err != nil {
			k.Log.Warn("the kept time cannot be read and is written anew", "err", err)
			k.last = now
		}
	}
	if k.last.Boot == now.Boot && now.Machine >= k.last.Machine {
		jump := now.Wall.Sub(k.last.Wall) - (now.Machine - k.last.Machine)
		if jump > jumpLeast || jump < -jumpLeast {
			k.Log.Warn("the clock was set; timers of incidents move with it", "by", jump.Round(time.Millisecond).String())
			if err := k.Store.ShiftTimers(ctx, jump, markName, encodeMark(now)); err != nil {
				return err // the next look sees the same jump
			}
			k.kept = now.Machine
		}
	}
	if k.last.Boot != now.Boot || now.Machine-k.kept >= markEvery || k.kept == 0 {
		if err := k.Store.KeepHouseValue(ctx, markName, encodeMark(now)); err != nil {
			return err
		}
		k.kept = now.Machine
	}
	k.last = now
	return nil
}

func encodeMark(m mark) string {
	text, err := json.Marshal(m)
	if err != nil {
		panic("watch: a mark of plain values does not encode: " + err.Error())
	}
	return string(text)
}
