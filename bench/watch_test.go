package bench

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/monitor"
	"github.com/makegood/makegood/internal/probe"
)

// deafLedger is a ledger that hangs, or takes everything.
type deafLedger struct{ hangs bool }

func (l deafLedger) Found(ctx context.Context, _ makegood.Finding) error { return l.hear(ctx) }

func (l deafLedger) Cleared(ctx context.Context, _, _ string) error { return l.hear(ctx) }

func (l deafLedger) hear(ctx context.Context) error {
	if !l.hangs {
		return nil
	}
	<-ctx.Done()
	return ctx.Err()
}

// timed notes when each look of another prober begins.
type timed struct {
	probe.Prober
	mu    sync.Mutex
	looks []time.Time
}

func (p *timed) Look(ctx context.Context) probe.Sight {
	p.mu.Lock()
	p.looks = append(p.looks, time.Now())
	p.mu.Unlock()
	return p.Prober.Look(ctx)
}

func page(b *testing.B, url string) probe.Prober {
	b.Helper()
	conditions, err := probe.ParseAll(probe.KindHTTP, []string{"[STATUS] == 200", "[BODY].status == healthy", "[RESPONSE_TIME] < 3s"})
	if err != nil {
		b.Fatal(err)
	}
	p, err := probe.NewHTTP(probe.HTTPOptions{URL: url, Conditions: conditions, AllowPrivate: true})
	if err != nil {
		b.Fatal(err)
	}
	return p
}

func healthy(b *testing.B) string {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, `{"status":"healthy"}`) }))
	b.Cleanup(server.Close)
	return server.URL
}

func watched(subject string, every time.Duration, p probe.Prober) monitor.Monitor {
	c := monitor.Defaults()
	c.Code, c.Every = "monitor", every
	return monitor.Monitor{Check: c, Subject: subject, Prober: p}
}

// runFor lets a runner watch for a while.
func runFor(b *testing.B, r *monitor.Runner, all []monitor.Monitor, d time.Duration) {
	b.Helper()
	if err := r.Replace(all); err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(b.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.Run(ctx)
	}()

	time.Sleep(d)
	cancel()
	<-done
}

// BenchmarkWatchJitter measures how much later or earlier than an interval after the last the looks at healthy pages begin,
// while fifty pages accept connections and never answer, and the ledger hangs.
func BenchmarkWatchJitter(b *testing.B) {
	const every, hung, well = time.Second, 50, 50
	silent, err := net.Listen("tcp", "127.0.0.1:0") // the kernel accepts, nobody answers
	if err != nil {
		b.Fatal(err)
	}
	defer silent.Close()
	url := healthy(b)
	var off []time.Duration
	for b.Loop() {
		var all []monitor.Monitor
		var pages []*timed
		for i := range hung {
			all = append(all, watched(fmt.Sprint("hung", i), every, page(b, "http://"+silent.Addr().String())))
		}
		for i := range well {
			p := &timed{Prober: page(b, url)}
			pages = append(pages, p)
			all = append(all, watched(fmt.Sprint("well", i), every, p))
		}
		runFor(b, monitor.New(monitor.Options{Ledger: deafLedger{hangs: true}}), all, 20*time.Second)
		for _, p := range pages {
			for i := 2; i < len(p.looks); i++ { // the first is out of turn
				off = append(off, (p.looks[i].Sub(p.looks[i-1]) - every).Abs())
			}
		}
	}
	b.ReportMetric(float64(Percentile(off, 50).Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(Percentile(off, 99).Microseconds())/1000, "p99-ms")
	b.ReportMetric(float64(Percentile(off, 100).Microseconds())/1000, "max-ms")
	b.ReportMetric(float64(len(off)), "looks")
	b.ReportMetric(0, "ns/op")
}

// watchChild names the variable that makes this test binary the watcher whose CPU and memory are measured: the pages it looks
// at are in the process that measures.
const watchChild = "MAKEGOOD_BENCH_WATCH"

// BenchmarkWatchThousand measures what a thousand monitors of one page each, every ten seconds, cost.
func BenchmarkWatchThousand(b *testing.B) {
	const quiet, warm = 30 * time.Second, 12 * time.Second
	if url := os.Getenv(watchChild); url != "" {
		var all []monitor.Monitor
		for i := range 1000 {
			all = append(all, watched(fmt.Sprint("page", i), 10*time.Second, page(b, url)))
		}
		runFor(b, monitor.New(monitor.Options{Ledger: deafLedger{}}), all, quiet+2*warm)
		return
	}
	url := healthy(b)
	var cpu, rss float64
	n := 0
	for b.Loop() {
		child := exec.Command(os.Args[0], "-test.run", "^$", "-test.bench", "^BenchmarkWatchThousand$", "-test.benchtime", "1x")
		child.Env = append(os.Environ(), watchChild+"="+url)
		if err := child.Start(); err != nil {
			b.Fatal(err)
		}
		time.Sleep(warm)
		before := ticks(b, child.Process.Pid)
		time.Sleep(quiet)
		cpu += float64(ticks(b, child.Process.Pid)-before) / 100 / quiet.Seconds()
		rss += status(b, child.Process.Pid, "VmRSS")
		if err := child.Process.Kill(); err != nil {
			b.Fatal(err)
		}
		child.Wait() // it was killed
		n++
	}
	b.ReportMetric(cpu/float64(n)*100, "cpu-percent")
	b.ReportMetric(rss/float64(n)/1024, "rss-MB")
	b.ReportMetric(0, "ns/op")
}

// job is one that has just reported.
type job struct{ beat probe.Beat }

func (j job) LastBeat(context.Context, string) (probe.Beat, error) { return j.beat, nil }

// BenchmarkWatchJobs measures what a hundred thousand jobs that report by themselves cost while all are well, and how late
// the first thousand that are missed are found.
func BenchmarkWatchJobs(b *testing.B) {
	const jobs, late, watch = 100_000, 1000, 40 * time.Second
	var found []time.Duration
	var cpu float64
	n := 0
	for b.Loop() {
		start := time.Now()
		l := &lateLedger{due: map[string]time.Time{}}
		var all []monitor.Monitor
		for i := range jobs {
			name := fmt.Sprint("job", i)
			rule := probe.Rule{Every: time.Hour, Grace: time.Minute}
			beat := probe.Beat{SucceededAt: start}
			if i < late { // due between 20 and 30 s from now
				beat.SucceededAt = start.Add(20*time.Second + time.Duration(i)*10*time.Millisecond - rule.Every - rule.Grace)
				l.due[makegood.FindingKey("heartbeat", name)] = beat.SucceededAt.Add(rule.Every + rule.Grace)
			}
			h, err := probe.NewHeartbeat(probe.HeartbeatOptions{Name: name, Rule: rule, Beats: job{beat}})
			if err != nil {
				b.Fatal(err)
			}
			c := monitor.HeartbeatDefaults()
			c.Code = "heartbeat"
			all = append(all, monitor.Monitor{Check: c, Subject: name, Prober: h, Local: true})
		}
		before := ticks(b, os.Getpid())
		runFor(b, monitor.New(monitor.Options{Ledger: l}), all, watch)
		cpu += float64(ticks(b, os.Getpid())-before) / 100 / watch.Seconds()
		if len(l.late) != late {
			b.Errorf("%d of %d jobs that are missing were found", len(l.late), late)
		}
		found = append(found, l.late...)
		n++
	}
	b.ReportMetric(cpu/float64(n)*100, "cpu-percent")
	b.ReportMetric(float64(Percentile(found, 99).Microseconds())/1000, "late-p99-ms")
	b.ReportMetric(float64(Percentile(found, 100).Microseconds())/1000, "late-max-ms")
	b.ReportMetric(0, "ns/op")
}

// lateLedger notes how long after it was due each job was found.
type lateLedger struct {
	mu   sync.Mutex
	due  map[string]time.Time
	late []time.Duration
}

func (l *lateLedger) Found(_ context.Context, f makegood.Finding) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if due, ok := l.due[f.Key()]; ok {
		delete(l.due, f.Key())
		l.late = append(l.late, time.Since(due))
	}
	return nil
}

func (l *lateLedger) Cleared(context.Context, string, string) error { return nil }
