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

	last   mark
	kept   time.Duration // when it was written down last, by the machine's time
	shared time.Duration // when it was seen last that another machine keeps the same timers, by the machine's time; 0 is never
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
//
// When several machines keep their timers in one database, a clock that goes astray on one of them moves nothing: the others
// are on time, and moving would make them late.
func (k *Timekeeper) Look(ctx context.Context) error {
	now := k.read()
	isFirst := k.last.Boot == ""
	if !isFirst && jumped(k.last, now) == 0 && now.Boot == k.last.Boot && now.Machine-k.kept < markEvery {
		k.last = now
		return nil
	}
	// What is written down counts, and not our memory: an error does not say whether the timers were moved, and another
	// process of this machine may have moved them.
	kept, err := k.written(ctx, now)
	if err != nil {
		return err
	}
	if !isFirst && kept.Boot != now.Boot {
		k.shared = now.Machine
	}
	isShared := k.shared != 0 && now.Machine-k.shared < 3*markEvery
	if jump := jumped(kept, now); jump != 0 && !isShared {
		k.Log.Warn("the clock was set; timers of incidents move with it", "by", jump.Round(time.Millisecond).String())
		err = k.Store.ShiftTimers(ctx, jump, markName, encodeMark(now))
	} else {
		err = k.Store.KeepHouseValue(ctx, markName, encodeMark(now))
	}
	if err != nil {
		return err
	}
	k.last, k.kept = now, now.Machine
	return nil
}

// read reads both times. Between the two readings no time should pass, and the program may be stopped there: then it reads
// again, or a stop would look like a clock that was set.
func (k *Timekeeper) read() mark {
	var m mark
	for range readsMax {
		before, boot := k.Clock.Machine()
		m = mark{Wall: k.Clock.Wall().Round(0), Machine: before, Boot: boot}
		if after, same := k.Clock.Machine(); same == boot && after-before < jumpLeast/4 {
			break
		}
	}
	return m
}

// readsMax bounds the attempts to read both times at one moment.
const readsMax = 5

// written is the mark that was written down last, or now's when none was or it cannot be read.
func (k *Timekeeper) written(ctx context.Context, now mark) (mark, error) {
	text, err := k.Store.HouseValue(ctx, markName, func() string { return encodeMark(now) })
	if err != nil {
		return mark{}, err
	}
	var m mark
	if err := json.Unmarshal([]byte(text), &m); err != nil {
		k.Log.Warn("the kept time cannot be read and is written anew", "err", err)
		return now, nil
	}
	return m, nil
}

// jumped is by what the wall was set between two marks of one start of the machine; 0 is not at all.
func jumped(from, to mark) time.Duration {
	if from.Boot != to.Boot || to.Machine < from.Machine {
		return 0
	}
	jump := to.Wall.Sub(from.Wall) - (to.Machine - from.Machine)
	if jump <= jumpLeast && jump >= -jumpLeast {
		return 0
	}
	return jump
}

func encodeMark(m mark) string {
	text, err := json.Marshal(m)
	if err != nil {
		panic("watch: a mark of plain values does not encode: " + err.Error())
	}
	return string(text)
}
