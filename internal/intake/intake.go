// Package intake proves a delivery, keeps it, and only then says thank you. Anything that would lose an order is answered
// with an error, so that the provider delivers again.
package intake

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/provider"
	"github.com/makegood/makegood/internal/telemetry"
)

// Store is what intake needs kept.
type Store interface {
	// AcceptEvent keeps the event and its job in one transaction and reports whether the event is new. Once it returns
	// nil, the event survives a power cut. makegood.Conflict is a known transmission with another body.
	AcceptEvent(ctx context.Context, e makegood.Event) (isNew bool, err error)
	// OutcomeOf tells what has become of a kept event, by its identity.
	OutcomeOf(ctx context.Context, e makegood.Event) (makegood.Outcome, error)
	// Revive has everything run now that stands between an event and the goods, what was given up included.
	Revive(ctx context.Context, o makegood.Outcome) error
}

// Options are what an intake is made of.
type Options struct {
	Sources map[string]provider.Source
	Store   Store
	// FulfilledWithin has the sources whose deliveries are answered only when the goods are out, each with how long that
	// may take.
	FulfilledWithin map[string]time.Duration
	Now             func() time.Time
	Log             *slog.Logger
	Metrics         *telemetry.Metrics
}

// Intake takes deliveries of every source.
type Intake struct {
	Options
	seen       *window
	loops      map[string]*share
	tallies    map[string]*tally
	diagnosing sync.Mutex
	reviving   *reviving

	deliveries *telemetry.CounterVec // source, result
	refusals   *telemetry.CounterVec // source, reason
}

// New wires an intake.
func New(o Options) *Intake {
	i := &Intake{
		Options: o, seen: newWindow(o.Now), reviving: newReviving(o.Now), loops: make(map[string]*share, len(o.Sources)),
		tallies:    make(map[string]*tally, len(o.Sources)),
		deliveries: o.Metrics.Counter("deliveries_total", "Deliveries by source and result: new, repeated, unfulfilled or failed.", "source", "result"),
		refusals:   o.Metrics.Counter("refused_deliveries_total", "Deliveries that were not proved, by source and reason.", "source", "reason"),
	}
	for name := range o.Sources {
		i.loops[name] = &share{now: o.Now}
		i.tallies[name] = &tally{now: o.Now}
	}
	return i
}

// Receive answers POST /hooks/{source}: 200 once the event is durable (also when it was known already) or, where the
// source is to be answered only then, once the goods are out; 404 for a source that is not configured, 413 above the cap,
// 400 when the signature does not prove it, 503 when it cannot be kept, 500 when the goods are not out in time. It looks
// at nothing in the body before the signature is proved.
func (i *Intake) Receive(w http.ResponseWriter, r *http.Request) error {
	source, ok := i.Sources[r.PathValue("source")]
	if !ok {
		return makegood.Errorf(makegood.NotFound, "No source of this name is configured.")
	}
	body, err := readBody(w, r)
	if err != nil {
		return err
	}
	delivery := provider.Delivery{Header: r.Header, Body: body, ReceivedAt: i.Now()}
	if r.URL.RawQuery != "" {
		delivery.Query = r.URL.Query()
	}
	fingerprint, err := source.Verify(delivery)
	if err != nil {
		return i.refuse(source, delivery, err)
	}
	i.tallies[source.Name()].count("")
	result, err := i.keep(r.Context(), source, delivery, fingerprint)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	_, err = w.Write(answers[result])
	return err
}

// The results of a delivery that was proved, as the provider reads and the metrics count them.
const (
	resultNew      = "new"
	resultRepeated = "repeated"
)

// answers are what a provider reads, made once: this is the one place of the house where a microsecond is paid for.
var answers = map[string][]byte{
	resultNew:      []byte(`{"received":"new"}` + "\n"),
	resultRepeated: []byte(`{"received":"repeated"}` + "\n"),
}

// keep keeps a proved delivery, and waits for the goods where that is wanted.
func (i *Intake) keep(ctx context.Context, source provider.Source, d provider.Delivery, fingerprint string) (result string, err error) {
	within := i.FulfilledWithin[source.Name()]
	mark, hasMark := markOf(source.Name(), d)
	if within == 0 && hasMark && i.seen.has(mark) {
		i.count(source.Name(), resultRepeated)
		i.Log.Debug("delivery is known already", "source", source.Name())
		return resultRepeated, nil
	}
	event := source.Identify(d.Body)
	event.ReceivedAt, event.VerifiedBy = d.ReceivedAt, fingerprint
	if t, ok := source.(provider.Transmitter); ok {
		event.Transmission = t.Transmission(d)
	}
	isNew, err := i.Store.AcceptEvent(ctx, event)
	if errors.Is(err, makegood.Conflict) {
		return "", i.refuse(source, d, &provider.SignatureError{Reason: provider.ReasonTwoBodies})
	}
	if err != nil {
		i.deliveries.With(source.Name(), "failed").Inc()
		return "", fmt.Errorf("keep an event of %s: %w", source.Name(), err)
	}
	result = resultNew
	if !isNew {
		result = resultRepeated
		i.Log.Debug("delivery is known already", "source", source.Name(), "event", event.ProviderID)
	}
	if hasMark {
		i.seen.add(mark) // only now: what is in the window is durable
	}
	if within > 0 {
		if err := i.awaitGoods(ctx, event, within, !isNew); err != nil {
			i.deliveries.With(source.Name(), "unfulfilled").Inc() // the provider repeats because we ask it to: that is no loop
			return "", err
		}
	}
	i.count(source.Name(), result)
	return result, nil
}

func (i *Intake) count(source, result string) {
	i.deliveries.With(source, result).Inc()
	if began := i.loops[source].count(result == resultRepeated); began {
		i.Log.Error("webhook loop: more than half of the deliveries are repetitions; see docs/runbooks/webhook-loop.md", "source", source)
	}
}

// Loops lists the sources of which more than half of the deliveries of the last minutes were repetitions.
func (i *Intake) Loops() []string {
	var looping []string
	for name, s := range i.loops {
		if s.isLoop() {
			looping = append(looping, name)
		}
	}
	return looping
}

// readBody reads the raw bytes. A body that announces more than the cap is refused before a byte of it is read.
func readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	tooLarge := makegood.Errorf(makegood.TooLarge, "A delivery may have at most %d bytes.", makegood.DeliveryBytesMax)
	if r.ContentLength > makegood.DeliveryBytesMax {
		return nil, tooLarge
	}
	limited := http.MaxBytesReader(w, r.Body, makegood.DeliveryBytesMax)
	if r.ContentLength > 0 {
		body := make([]byte, r.ContentLength)
		if _, err := io.ReadFull(limited, body); err != nil {
			return nil, makegood.Wrap(err, makegood.Invalid, "The body ended before its announced length.")
		}
		return body, nil
	}
	body, err := io.ReadAll(limited)
	if cut := (*http.MaxBytesError)(nil); errors.As(err, &cut) {
		return nil, tooLarge
	}
	return body, makegood.Wrap(err, makegood.Invalid, "The body could not be read to its end.")
}
