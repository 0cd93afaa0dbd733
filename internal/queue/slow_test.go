package queue

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/store/storetest"
)

// syncBuffer is a log that is written and read at once.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// TestSlowJobs: a run that takes longer than SlowAfter is told of, whatever came of it; one that does not is not.
func TestSlowJobs(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, url string) {
		logs := &syncBuffer{}
		told := make(chan makegood.Job, 10)
		var n *node
		n = startNode(t, url, func(_ context.Context, j makegood.Job) error {
			time.Sleep(60 * time.Millisecond) // longer than SlowAfter however slow the machine is
			if j.Step == "broken" {
				return &makegood.Permanent{Err: errors.New("no")}
			}
			return nil
		}, func(o *Options) {
			o.SlowAfter = 50 * time.Millisecond
			o.Logger = slog.New(slog.NewTextHandler(logs, nil))
			o.Slow = func(ctx context.Context, j makegood.Job, took time.Duration) error {
				if took < 50*time.Millisecond {
					t.Errorf("the run of %s was told of after %v", j.Step, took)
				}
				err := n.KeepSlowJob(ctx, j, took)
				told <- j
				return errors.Join(err, errors.New("a note that cannot be kept"))
			}
		})
		n.enqueue(t, makegood.EffectJob("ord_1", "slow"))
		n.enqueue(t, makegood.EffectJob("ord_2", "broken"))
		seen := map[string]bool{}
		for range 2 {
			seen[receive(t, "slow run", told).Step] = true
		}
		if !seen["slow"] || !seen["broken"] {
			t.Errorf("told of %v, want the slow run that ended well and the one that did not", seen)
		}
		receive(t, "dead letter of what failed slowly", n.letters)
		slow, err := n.SlowJobs(t.Context(), time.Time{}, 10)
		if err != nil || len(slow) != 2 || slow[0].Took < 50*time.Millisecond || slow[0].Job.Attempt.Number != 1 {
			t.Errorf("SlowJobs = %+v, %v, want both", slow, err)
		}
		eventually(t, "the log tells of slow jobs, and of the note that cannot be kept", func() bool {
			text := logs.String()
			return strings.Contains(text, "job was slow") && strings.Contains(text, "slow job cannot be recorded") && strings.Contains(text, "order=ord_1")
		})
	})
}

// TestQuickJobs: what stays below SlowAfter, which is ten seconds by itself, is not told of.
func TestQuickJobs(t *testing.T) {
	t.Parallel()
	ran := make(chan struct{}, 1)
	n := startNode(t, storetest.SQLite(t), func(context.Context, makegood.Job) error { ran <- struct{}{}; return nil }, func(o *Options) {
		o.Slow = func(context.Context, makegood.Job, time.Duration) error {
			t.Error("a quick run was told of as slow")
			return nil
		}
	})
	n.enqueue(t, makegood.EffectJob("ord_1", "quick"))
	receive(t, "run", ran)
	eventually(t, "the job is finished", func() bool { return len(n.jobs(t)) == 0 })
	if n.options.SlowAfter != slowAfter || slowAfter >= makegood.JobTimeout || makegood.JobTimeout+slowWithin+giveUpWithin >= makegood.JobRescueAfter {
		t.Errorf("slow after %v, a run ends after %v, lost after %v: they do not fit", slowAfter, makegood.JobTimeout, makegood.JobRescueAfter)
	}
}
