package notify

import (
	"context"
	"time"

	"github.com/makegood/makegood"
)

// A channel that is first tried in an emergency is one that fails in an emergency: each is tested when the program starts
// for the first time, then once a day, and an hour after a test that failed.
//
// A test fails also because a service is slow for a moment, and nobody needs to be told of that: a test is repeated soon, and
// only one that fails again is told. What no repetition mends is told at once.
const (
	testEvery      = 24 * time.Hour
	testAgainAfter = time.Hour
	testAgainSoon  = 2 * time.Minute
	testFailures   = 2
	testWithin     = 30 * time.Second
	testLook       = time.Minute
)

// testDaily tests a channel when its time has come.
func (t *Teller) testDaily(ctx context.Context, w *worker) {
	for {
		if err := t.testIfDue(ctx, w); err != nil && ctx.Err() == nil {
			t.Log.Warn("the test of a channel cannot be kept", "channel", w.Name, "err", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(testLook):
		}
	}
}

func (t *Teller) testIfDue(ctx context.Context, w *worker) error {
	tests, err := t.Outbox.ChannelTests(ctx)
	if err != nil {
		return err
	}
	last, age := tests[w.Name], t.Now().Sub(tests[w.Name].At)
	again := testAgainAfter
	if last.Trouble != "" && w.failedTests.Load() < testFailures {
		again = testAgainSoon
	}
	if age < again && age >= 0 || last.Trouble == "" && age < testEvery && age >= 0 {
		return nil
	}
	_, err = t.Test(ctx, w.Name)
	return err
}

// Test finds out whether a channel would work, writes the answer down, and returns what is wrong; "" when nothing is.
func (t *Teller) Test(ctx context.Context, channel string) (trouble string, err error) {
	w := t.workers[channel]
	if w == nil {
		return "", makegood.Errorf(makegood.NotFound, "There is no channel %q.", channel)
	}
	testing, cancel := context.WithTimeout(ctx, testWithin)
	defer cancel()
	_, failure := w.within(testing, func() (Receipt, error) { return Receipt{}, w.Channel.Test(testing) })
	if ctx.Err() != nil {
		return "", ctx.Err() // stopped in the middle of it: that says nothing
	}
	if failure != nil {
		trouble = textOf(failure)
		t.Log.Warn("a channel does not pass its test", "channel", w.Name, "err", failure)
	}
	if err := t.Outbox.KeepChannelTest(ctx, w.Name, trouble); err != nil {
		return trouble, err
	}
	if failure == nil {
		w.failedTests.Store(0)
		t.Ill(ctx, w.Name, "")
		return "", nil
	}
	switch ReasonOf(failure) {
	case ReasonAuth, ReasonClient:
		w.failedTests.Store(testFailures)
	default:
		w.failedTests.Add(1)
	}
	if w.failedTests.Load() >= testFailures {
		t.Ill(ctx, w.Name, trouble)
	}
	return trouble, nil
}
