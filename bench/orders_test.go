package bench

import (
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/makegood/makegood/internal/store"
)

// BenchmarkOrders is the whole way of an order, from the provider's event to the licence and the mail accepted by the
// simulated mail service, as fast as it goes: orders per second over all of the time until the last mail.
func BenchmarkOrders(b *testing.B) {
	const connections, orders = 32, 5_000
	for _, engine := range engines {
		b.Run(engine.name, func(b *testing.B) {
			w, in := house(b, engine.url(b))
			address := strings.TrimPrefix(w.URL, "http://")
			theirs := bare(b)
			var took, bareTook, worked time.Duration
			n := 0
			for b.Loop() {
				requests := deliveries(b, address, n, orders)
				_, t, err := ClosedLoop(theirs, 64, requests)
				if err != nil {
					b.Fatal(err)
				}
				bareTook += t
				began, used := time.Now(), cpu(b)
				answers, _, err := ClosedLoop(address, connections, requests)
				if err != nil {
					b.Fatal(err)
				}
				for _, a := range answers {
					if a.Status != http.StatusOK {
						b.Fatalf("answered %d", a.Status)
					}
				}
				n += orders
				took += in.await(b, n).Sub(began)
				worked += cpu(b) - used
			}
			b.ReportMetric(float64(n)/took.Seconds(), "orders/s")
			b.ReportMetric(bareTook.Seconds()/took.Seconds(), "x-bare")
			b.ReportMetric(float64(worked.Microseconds())/float64(n), "cpu-us/order")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// cpu is what this process has used so far: server, generator and simulated mail service together, PostgreSQL not. It is
// the steadier measure on a machine that others use too.
func cpu(b testing.TB) time.Duration {
	b.Helper()
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		b.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// BenchmarkLatency is an open loop at 200 events a second: how long the provider waits for its 200, and how long the
// customer waits for the mail, both from when the event was due.
func BenchmarkLatency(b *testing.B) { latency(b, 200, 4_000) }

// BenchmarkIdleLatency is the same at 10 events a second: a system that has nothing else to do.
func BenchmarkIdleLatency(b *testing.B) { latency(b, 10, 200) }

func latency(b *testing.B, perSecond, n int) {
	for _, engine := range engines {
		b.Run(engine.name, func(b *testing.B) {
			w, in := house(b, engine.url(b))
			address := strings.TrimPrefix(w.URL, "http://")
			total := 0
			var accepts, mails, starts []time.Duration
			for b.Loop() {
				due := make([]time.Time, n)
				var mu sync.Mutex
				answers, err := OpenLoop(address, 64, perSecond, deliveries(b, address, total, n), func(i int, at time.Time) {
					mu.Lock()
					defer mu.Unlock()
					due[i] = at
				})
				if err != nil {
					b.Fatal(err)
				}
				in.await(b, total+n)
				for i, a := range answers {
					if a.Status != http.StatusOK {
						b.Fatalf("answered %d", a.Status)
					}
					mails = append(mails, in.at[email(total+i)].Sub(due[i]))
				}
				accepts = append(accepts, Times(answers)...)
				starts = append(starts, started(b, w.Store(), n)...)
				total += n
			}
			ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
			b.ReportMetric(ms(Percentile(accepts, 50)), "accept-p50-ms")
			b.ReportMetric(ms(Percentile(accepts, 99)), "accept-p99-ms")
			b.ReportMetric(ms(Percentile(mails, 50)), "mail-p50-ms")
			b.ReportMetric(ms(Percentile(mails, 99)), "mail-p99-ms")
			b.ReportMetric(ms(Percentile(starts, 50)), "start-p50-ms")
			b.ReportMetric(ms(Percentile(starts, 99)), "start-p99-ms")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// started returns, of the newest events, the time from their arrival to the transaction that settled their order. It is
// more than "kept until step started": the commit of the event and the reading of it are in it too.
func started(b testing.TB, s *store.Store, n int) []time.Duration {
	b.Helper()
	events, err := s.Events(b.Context(), store.EventFilter{Limit: min(n, 1000)})
	if err != nil {
		b.Fatal(err)
	}
	var all []time.Duration
	for _, e := range events {
		all = append(all, e.HandledAt.Sub(e.ReceivedAt))
	}
	return all
}
