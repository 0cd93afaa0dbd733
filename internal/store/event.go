package store

import (
	"bytes"
	"context"
	"strings"

	"github.com/makegood/makegood"
)

// AcceptEvent keeps the event and the job that will interpret it in one transaction, and reports whether the event is
// new. Once it returns nil, the event survives a power cut. An event whose identity is known changes nothing. The event's
// id is made here. An event that brings another body under a transmission id that is known is makegood.Conflict: somebody
// forges.
func (s *Store) AcceptEvent(ctx context.Context, e makegood.Event) (isNew bool, err error) {
	e.ID = makegood.NewID(makegood.EventPrefix, s.now(), s.random)
	for _, text := range []*string{&e.Account, &e.ProviderID, &e.Type, &e.APIVersion, &e.ObjectID, &e.Transmission} {
		*text = clean(*text)
	}
	isNew, err = s.engine.accept(ctx, s, e)
	if err != nil {
		return false, s.unavailable(err)
	}
	if !isNew && e.Transmission != "" {
		return false, s.sameTransmission(ctx, e)
	}
	if isNew && s.split {
		if err := s.EnqueueJob(ctx, makegood.InterpretJob(e.ID, e.Source)); err != nil {
			return true, err
		}
	}
	if isNew {
		s.woken(makegood.QueuePayments)
	}
	return isNew, nil
}

// sameTransmission refuses an event that comes under the transmission id of another, or with another body than before.
func (s *Store) sameTransmission(ctx context.Context, e makegood.Event) error {
	return s.look(ctx, func(tx Tx) error {
		var providerID string
		var payload []byte
		err := tx.QueryRow(ctx, `
			SELECT provider_id, payload
			FROM events
			WHERE transmission = $1 AND source = $2 AND transmission <> ''`, e.Transmission, e.Source).Scan(&providerID, &payload)
		if err == makegood.NotFound {
			return nil // the same event under another transmission: the provider delivers again
		}
		if err == nil && (providerID != e.ProviderID || payload != nil && !bytes.Equal(payload, e.Payload)) {
			return makegood.Errorf(makegood.Conflict, "This transmission id came before with another body.")
		}
		return err
	})
}

// clean drops what PostgreSQL cannot keep as text. The raw payload keeps everything.
func clean(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "")
}

func (w *writing) keepEvent(ctx context.Context, e makegood.Event) (isNew bool, err error) {
	n, err := w.Exec(ctx, `
		INSERT INTO events (id, source, account, live, provider_id, type, api_version, object_id, created_at,
			received_at, verified_by, state, note, order_id, handled_at, payload, transmission)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, 'kept', '', '', 0, $12, $13)
		ON CONFLICT DO NOTHING`,
		e.ID, e.Source, e.Account, e.Live, e.ProviderID, e.Type, e.APIVersion, e.ObjectID, micros(e.CreatedAt),
		micros(e.ReceivedAt), e.VerifiedBy, e.Payload, e.Transmission)
	return n == 1, err
}

const eventColumnsText = `id, source, account, live, provider_id, type, api_version, object_id, created_at,
	received_at, verified_by, state, note, order_id, handled_at`

func scanEvent(row Row, more ...any) (makegood.Event, error) {
	var e makegood.Event
	var created, received, handled int64
	err := row.Scan(append([]any{&e.ID, &e.Source, &e.Account, &e.Live, &e.ProviderID, &e.Type, &e.APIVersion, &e.ObjectID,
		&created, &received, &e.VerifiedBy, (*string)(&e.State), &e.Note, &e.OrderID, &handled}, more...)...)
	e.CreatedAt, e.ReceivedAt, e.HandledAt = fromMicros(created), fromMicros(received), fromMicros(handled)
	return e, err
}

// Event returns an event with its payload, by our id or the provider's. It is makegood.NotFound when there is none.
func (s *Store) Event(ctx context.Context, id string) (makegood.Event, error) {
	var e makegood.Event
	err := s.look(ctx, func(tx Tx) error {
		var payload []byte
		var err error
		e, err = scanEvent(tx.QueryRow(ctx, `
			SELECT `+eventColumnsText+`, payload
			FROM events
			WHERE id = (
				SELECT MIN(id)
				FROM (SELECT id FROM events WHERE id = $1 UNION ALL SELECT id FROM events WHERE provider_id = $1) AS named)`,
			id), &payload)
		e.Payload = payload
		return notFound(err, "There is no event %q.", id)
	})
	return e, err
}

// notFound gives a missing row its sentence.
func notFound(err error, format string, args ...any) error {
	if err == makegood.NotFound {
		return makegood.Errorf(makegood.NotFound, format, args...)
	}
	return err
}

// EventFilter narrows a listing. The zero value lists everything, newest first.
type EventFilter struct {
	State   makegood.EventState
	Source  string
	OrderID string
	Limit   int // at most makegood.ListMax, which 0 means too
}

// Events lists events without their payloads, newest first.
func (s *Store) Events(ctx context.Context, f EventFilter) ([]makegood.Event, error) {
	var where conditions
	// The index of the few that need somebody is partial: only a literal tells SQLite that it will do.
	where.equalKnown("state", string(f.State), string(makegood.EventKept), string(makegood.EventUnhandled), string(makegood.EventDead))
	where.equal("source", f.Source)
	if where.equal("order_id", f.OrderID) {
		where.terms = append(where.terms, "order_id <> ''") // as its partial index says
	}
	var events []makegood.Event
	err := s.read(ctx, func(tx Tx) error {
		return each(ctx, tx, func(rows Rows) error {
			e, err := scanEvent(rows)
			events = append(events, e)
			return err
		}, `SELECT `+eventColumnsText+` FROM events`+where.newestFirst(f.Limit), where.args...)
	})
	return events, err
}

func limit(n int) int {
	if n <= 0 || n > makegood.ListMax {
		return makegood.ListMax
	}
	return n
}

// MarkUnhandled records that an event says nothing that is ours to act on, and why. Marking again changes nothing.
func (s *Store) MarkUnhandled(ctx context.Context, eventID, note string) error {
	return s.write(ctx, func(w *writing) error {
		_, err := w.Exec(ctx, `
			UPDATE events
			SET state = 'unhandled', note = $2, handled_at = $3
			WHERE id = $1 AND state IN ('kept', 'dead')`, eventID, clean(note), micros(w.now))
		return err
	})
}

func (w *writing) markHandled(ctx context.Context, eventID, orderID string) error {
	return w.Do(ctx, `
		UPDATE events
		SET state = 'handled', note = '', order_id = $2, handled_at = $3
		WHERE id = $1 AND state <> 'handled'`, eventID, orderID, micros(w.now))
}

// OutcomeOf tells what has become of a kept event, by its identity. It is makegood.NotFound when it is not kept.
func (s *Store) OutcomeOf(ctx context.Context, e makegood.Event) (makegood.Outcome, error) {
	var o makegood.Outcome
	err := s.look(ctx, func(tx Tx) error {
		err := tx.QueryRow(ctx, `
			SELECT events.id, events.state, events.order_id, COALESCE(orders.entitlement, ''), COALESCE(orders.fulfillment, ''),
				COALESCE(orders.reason, '')
			FROM events
			LEFT JOIN orders ON orders.id = events.order_id
			WHERE events.provider_id = $1 AND events.source = $2 AND events.account = $3 AND events.live = $4`,
			clean(e.ProviderID), e.Source, clean(e.Account), e.Live).
			Scan(&o.EventID, (*string)(&o.Event), &o.OrderID, (*string)(&o.Entitlement), (*string)(&o.Fulfillment), &o.Reason)
		return notFound(err, "There is no such event.")
	})
	return o, err
}
