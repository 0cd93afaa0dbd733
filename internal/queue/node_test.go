package queue

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/store/storetest"
)

const (
	nodeVariable     = "MAKEGOOD_TEST_NODE"     // the name of the node that this process is
	databaseVariable = "MAKEGOOD_TEST_DATABASE" // its database
)

// TestNodeProcess is a node in a process of its own, whose jobs never end. The tests below start and kill it.
func TestNodeProcess(t *testing.T) {
	name := os.Getenv(nodeVariable)
	if name == "" {
		return // it is a part of the tests below
	}
	startNode(t, os.Getenv(databaseVariable), func(context.Context, makegood.Job) error {
		fmt.Println("a job is running")
		select {}
	}, func(o *Options) { o.Node = name })
	select {}
}

// killed runs a node in another process until a job is running there, then kills it as a power cut would.
func killed(t *testing.T, url, name string) {
	t.Helper()
	process := exec.Command(os.Args[0], "-test.run=^TestNodeProcess$", "-test.timeout=60s")
	process.Env = append(os.Environ(), nodeVariable+"="+name, databaseVariable+"="+url)
	output, err := process.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := process.Start(); err != nil {
		t.Fatal(err)
	}
	defer process.Wait() //nolint:errcheck // it was killed
	lines := bufio.NewScanner(output)
	var said []string
	for lines.Scan() {
		if strings.Contains(lines.Text(), "a job is running") {
			process.Process.Kill()
			return
		}
		said = append(said, lines.Text())
	}
	t.Fatalf("the node ended by itself:\n%s", strings.Join(said, "\n"))
}

// The only node is killed and started again: its job runs again at once, without a rescuer, an election or a poll.
func TestRestartAfterKill(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, url string) {
		before := newNode(t, url, func(context.Context, makegood.Job) error { return nil })
		before.enqueue(t, makegood.InterpretJob("held", "stripe"))
		if err := before.Close(); err != nil {
			t.Fatal(err)
		}
		killed(t, url, "one")

		started := make(chan makegood.Job, 10)
		n := newNode(t, url, func(_ context.Context, j makegood.Job) error { started <- j; return nil },
			func(o *Options) { o.Node = "one" })
		n.onlyJob(t, "the job looks as if it were running", func(j job) bool { return j.State == "running" })
		begin := time.Now()
		if released, err := n.ReleaseRunningJobs(t.Context(), "one"); err != nil || released != 1 {
			t.Fatalf("ReleaseRunningJobs = %d, %v, want 1", released, err)
		}
		n.start(t)
		if j := receive(t, "run of the job that was held", started); j.EventID != "held" || j.Attempt.Number != 2 {
			t.Errorf("job = %+v, want the held one, its second attempt", j)
		}
		t.Logf("the held job ran %v after the restart", time.Since(begin))
		if took := time.Since(begin); took > 5*time.Second {
			t.Errorf("the held job ran after %v, want at once", took)
		}
		n.enqueue(t, makegood.InterpretJob("new", "stripe"))
		receive(t, "run of a new job", started)
	})
}

// Of several nodes one is killed: nobody else touches its job at the start, and after a while another node does it.
func TestTakeOver(t *testing.T) {
	t.Parallel()
	url := storetest.Postgres(t)
	started := make(chan makegood.Job, 10)
	n := newNode(t, url, func(_ context.Context, j makegood.Job) error { started <- j; return nil }, func(o *Options) {
		o.Node, o.JobTimeout, o.RescueAfter = "other", 500*time.Millisecond, time.Second
	})
	n.enqueue(t, makegood.InterpretJob("held", "stripe"))
	killed(t, url, "one")
	if released, err := n.ReleaseRunningJobs(t.Context(), "other"); err != nil || released != 0 {
		t.Errorf("ReleaseRunningJobs of another node = %d, %v, want 0", released, err)
	}
	n.start(t)
	if j := receive(t, "run on the other node", started); j.EventID != "held" || j.Attempt.Number != 2 {
		t.Errorf("job = %+v, want the held one, its second attempt", j)
	}
}

// The times that a real server has: a lost job is looked for often enough to run again within a minute, and no job that
// may still run is taken for lost.
func TestRescueTimes(t *testing.T) {
	t.Parallel()
	if worst := makegood.JobRescueAfter + makegood.JobRescueAfter/5 + fetchPoll; worst > time.Minute {
		t.Errorf("a lost job runs again after %v, want within a minute", worst)
	}
	if longest := makegood.JobTimeout + giveUpWithin; longest >= makegood.JobRescueAfter {
		t.Errorf("a run may take %v and counts as lost after %v", longest, makegood.JobRescueAfter)
	}
}

// A job that runs is left alone by every rescuer.
func TestRescueLeavesTheLiving(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, url string) {
		n := newNode(t, url, func(context.Context, makegood.Job) error { return nil },
			func(o *Options) { o.RescueAfter = time.Minute })
		for range 3 {
			n.enqueue(t, makegood.InterpretJob("evt", "stripe"))
		}
		n.execute(t, `UPDATE river_job SET state = 'running', attempt = 7, attempted_at = scheduled_at`)
		if rescued, err := n.rescue(t.Context()); err != nil || rescued != 0 {
			t.Errorf("rescue of jobs that just began = %d, %v, want 0", rescued, err)
		}
		old := map[bool]string{true: `now() - interval '2 minutes'`, false: `datetime('now', 'subsec', '-2 minutes')`}[n.db.Postgres != nil]
		n.execute(t, `UPDATE river_job SET attempted_at = `+old+` WHERE id = (SELECT MIN(id) FROM river_job)`)
		if rescued, err := n.rescue(t.Context()); err != nil || rescued != 1 {
			t.Errorf("rescue with one lost job = %d, %v, want 1", rescued, err)
		}
		if jobs := n.jobs(t); jobs[0].State != "available" || jobs[0].Attempt != 7 || jobs[1].State != "running" {
			t.Errorf("jobs = %+v, want the first available after 7 attempts and the others running", jobs)
		}
	})
}

// Two nodes share one queue: each job is done, and never by both at the same time.
func TestNodesShare(t *testing.T) {
	t.Parallel()
	url := storetest.Postgres(t)
	var mu sync.Mutex
	running, runs := map[string]bool{}, map[string]int{}
	var byNode [2]atomic.Int64
	work := func(node int) Work {
		return func(_ context.Context, j makegood.Job) error {
			mu.Lock()
			if running[j.EventID] {
				t.Errorf("job %s runs twice at the same time", j.EventID)
			}
			running[j.EventID] = true
			runs[j.EventID]++
			mu.Unlock()
			byNode[node].Add(1)
			time.Sleep(5 * time.Millisecond) // so that both nodes are needed
			mu.Lock()
			running[j.EventID] = false
			mu.Unlock()
			return nil
		}
	}
	var nodes []*node
	for i := range byNode {
		nodes = append(nodes, startNode(t, url, work(i), func(o *Options) {
			o.Node, o.poll, o.Workers[makegood.QueuePayments] = fmt.Sprint("node ", i), 10*time.Millisecond, 4
		}))
	}
	const jobs = 200
	for i := range jobs {
		nodes[0].enqueue(t, makegood.InterpretJob(fmt.Sprint("evt", i), "stripe"))
	}
	eventually(t, "all jobs are done", func() bool { return nodes[0].allDone(t) })
	mu.Lock()
	defer mu.Unlock()
	for id, n := range runs {
		if n != 1 {
			t.Errorf("job %s ran %d times, want once", id, n)
		}
	}
	if len(runs) != jobs || byNode[0].Load() == 0 || byNode[1].Load() == 0 {
		t.Errorf("%d jobs ran, %d and %d by node, want %d and both at work", len(runs), byNode[0].Load(), byNode[1].Load(), jobs)
	}
}

// The only node is killed while it leads and started again: what is due later runs when it is due, and does not wait until
// the dead leader's term is over.
func TestScheduledAfterKill(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, url string) {
		started := make(chan makegood.Job, 10)
		n := newNode(t, url, func(_ context.Context, j makegood.Job) error { started <- j; return nil },
			func(o *Options) { o.Node = "one" })
		now, later := "datetime('now', 'subsec')", "datetime('now', 'subsec', '+15 seconds')"
		if n.db.Postgres != nil {
			now, later = "now()", "now() + interval '15 seconds'"
		}
		n.execute(t, `INSERT INTO river_leader (elected_at, expires_at, leader_id) VALUES (`+now+`, `+later+`, 'one')`)
		n.enqueue(t, makegood.InterpretJob("later", "stripe"))
		n.execute(t, `UPDATE river_job SET state = 'scheduled'`)
		begin := time.Now()
		if _, err := n.ReleaseRunningJobs(t.Context(), "one"); err != nil {
			t.Fatal(err)
		}
		n.start(t)
		select {
		case <-started:
			t.Logf("the scheduled job ran %v after the restart", time.Since(begin))
		case <-time.After(8 * time.Second): // the scheduler looks every five
			t.Error("a job that is due waits for the end of a dead leader's term")
		}
	})
}
