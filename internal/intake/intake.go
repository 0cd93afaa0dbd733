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
	"time"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/provider"
	"github.com/makegood/makegood/internal/telemetry"
)

// Store is what intake needs kept.
type Store interface {
	// AcceptEvent keeps the event and its job in one transaction and reports whether the event is new. Once it returns
	// nil, the event survives a power cut.
	AcceptEvent(ctx context.Context, e makegood.Event) (isNew bool, err error)
}

// Intake takes deliveries of every source.
type Intake struct {
	sources map[string]provider.Source
	store   Store
	now     func() time.Time
	log     *slog.Logger

	deliveries *telemetry.CounterVec // source, result
	refusals   *telemetry.CounterVec // source, reason
}

// New wires an intake for the sources by name.
func New(sources map[string]provider.Source, store Store, now func() time.Time, log *slog.Logger, m *telemetry.Metrics) *Intake {
	return &Intake{
		sources: sources, store: store, now: now, log: log,
		deliveries: m.Counter("deliveries_total", "Deliveries by source and result: new, repeated or failed.", "source", "result"),
		refusals:   m.Counter("refused_deliveries_total", "Deliveries that were not proved, by source and reason.", "source", "reason"),
	}
}

// Receive answers POST /hooks/{source}: 200 once the event is durable (also when it was known already), 404 for a source
// that is not configured, 413 above the cap, 400 when the signature does not prove it, 503 when it cannot be kept. It
// looks at nothing in the body before the signature is proved.
func (i *Intake) Receive(w http.ResponseWriter, r *http.Request) error {
	source, ok := i.sources[r.PathValue("source")]
	if !ok {
		return makegood.Errorf(makegood.NotFound, "No source of this name is configured.")
	}
	body, err := readBody(w, r)
	if err != nil {
		return err
	}
	delivery := provider.Delivery{Header: r.Header, Body: body, ReceivedAt: i.now()}
	fingerprint, err := source.Verify(delivery)
	if err != nil {
		return i.refuse(source.Name(), err)
	}
	event := source.Identify(body)
	event.ReceivedAt, event.VerifiedBy = delivery.ReceivedAt, fingerprint
	isNew, err := i.store.AcceptEvent(r.Context(), event)
	if err != nil {
		i.deliveries.With(source.Name(), "failed").Inc()
		return fmt.Errorf("keep an event of %s: %w", source.Name(), err)
	}
	result := "new"
	if !isNew {
		result = "repeated"
		i.log.Debug("delivery is known already", "source", source.Name(), "event", event.ProviderID)
	}
	i.deliveries.With(source.Name(), result).Inc()
	w.Header().Set("Content-Type", "application/json")
	_, err = w.Write(answers[result])
	return err
}

// answers are what a provider reads, made once: this is the one place of the house where a microsecond is paid for.
var answers = map[string][]byte{
	"new":      []byte(`{"received":"new"}` + "\n"),
	"repeated": []byte(`{"received":"repeated"}` + "\n"),
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

// refuse counts a delivery that was not proved and says why, without the signature.
func (i *Intake) refuse(source string, err error) error {
	reason := provider.ReasonMismatch
	var s *provider.SignatureError
	if errors.As(err, &s) {
		reason = s.Reason
	}
	i.refusals.With(source, string(reason)).Inc()
	i.log.Warn("delivery is not proved", "source", source, "reason", reason, "err", err)
	return makegood.Wrap(err, makegood.BadSignature, sentences[reason])
}

// sentences tell the operator, who sees them in the provider's dashboard, what to look at.
var sentences = map[provider.Reason]string{
	provider.ReasonMissing:   "The delivery has no signature. Is it really the provider who calls this address?",
	provider.ReasonMalformed: "The signature header cannot be read. Does something between the provider and here change headers?",
	provider.ReasonMismatch: "The signature was made with none of the configured secrets, or the body was changed on its way. " +
		"Compare the endpoint's signing secret with the configured one.",
	provider.ReasonTooOld: "The signature is genuine but too old. Is this a replay, or is this server's clock fast?",
	provider.ReasonFuture: "The signature is genuine but from the future. This server's clock is slow.",
}
