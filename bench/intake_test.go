package bench

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/api"
	"github.com/makegood/makegood/internal/demo"
	"github.com/makegood/makegood/internal/intake"
	"github.com/makegood/makegood/internal/outbound"
	"github.com/makegood/makegood/internal/provider"
	"github.com/makegood/makegood/internal/provider/stripe"
	"github.com/makegood/makegood/internal/queue"
	"github.com/makegood/makegood/internal/secret"
	"github.com/makegood/makegood/internal/store"
	"github.com/makegood/makegood/internal/telemetry"
)

// BenchmarkIntake is durable intake alone (signature proved, event and job committed with a flush, 200) at 64 connections,
// against the bare handler. Rounds of both alternate, so that the machine's mood falls on both.
func BenchmarkIntake(b *testing.B) {
	const connections, round = 64, 20_000
	for _, engine := range engines {
		b.Run(engine.name, func(b *testing.B) {
			ours := receiver(b, engine.url(b))
			theirs := bare(b)
			next := 0
			var oursTook, bareTook time.Duration
			var times []time.Duration
			n := 0
			for b.Loop() {
				requests := deliveries(b, ours, next, round)
				next += round
				_, took, err := ClosedLoop(theirs, connections, requests)
				if err != nil {
					b.Fatal(err)
				}
				bareTook += took
				answers, took, err := ClosedLoop(ours, connections, requests)
				if err != nil {
					b.Fatal(err)
				}
				oursTook += took
				for _, a := range answers {
					if a.Status != http.StatusOK {
						b.Fatalf("answered %d", a.Status)
					}
				}
				times = append(times, Times(answers)...)
				n += round
			}
			b.ReportMetric(bareTook.Seconds()/oursTook.Seconds(), "x-bare")
			b.ReportMetric(float64(n)/bareTook.Seconds(), "bare/s")
			b.ReportMetric(float64(n)/oursTook.Seconds(), "accepted/s")
			b.ReportMetric(float64(Percentile(times, 50).Microseconds())/1000, "p50-ms")
			b.ReportMetric(float64(Percentile(times, 99).Microseconds())/1000, "p99-ms")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// receiver is the intake without workers: the row of SPEC's table is about keeping, not about making good.
func receiver(b *testing.B, url string) (address string) {
	b.Helper()
	s, err := store.Open(b.Context(), url, store.Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { s.Close() })
	if err := s.Migrate(b.Context()); err != nil {
		b.Fatal(err)
	}
	db := queue.Database{Postgres: s.Postgres()}
	db.SQLiteWriter, db.SQLiteReader = s.SQLite()
	if err := queue.Migrate(b.Context(), db); err != nil {
		b.Fatal(err)
	}
	source, err := stripe.New(stripe.Options{Name: "stripe", APIKey: secret.New(demo.StripeKey),
		WebhookSecrets: provider.Active(secret.New(demo.WebhookSecret)), HTTP: outbound.New(outbound.Options{}),
		Catalogue: makegood.Catalogue{}, Now: time.Now})
	if err != nil {
		b.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	in := intake.New(intake.Options{Sources: map[string]provider.Source{"stripe": source}, Store: unrevived{s}, Now: time.Now,
		Log: log, Metrics: telemetry.NewMetrics()})
	mux := http.NewServeMux()
	mux.Handle("POST /hooks/{source}", api.Errors(log, in.Receive))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	server := &http.Server{Handler: mux}
	go server.Serve(l)
	b.Cleanup(func() { server.Close() })
	return l.Addr().String()
}

// unrevived is the store for an intake that answers when an event is stored, and so revives nothing.
type unrevived struct{ *store.Store }

// Revive is never asked for.
func (unrevived) Revive(context.Context, makegood.Outcome) error { return nil }
