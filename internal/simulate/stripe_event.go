package simulate

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Event is something the account tells of, and how far the telling has come.
type Event struct {
	// ID is evt_…, Type is for example checkout.session.completed.
	ID, Type string
	Created  time.Time
	// Body is exactly what is delivered. It is shared and must not be changed.
	Body []byte
	// Deliveries has one entry for each endpoint that was subscribed when the event was made.
	Deliveries []DeliveryState
}

// DeliveryState is how far one event has come with one endpoint.
type DeliveryState struct {
	Endpoint, URL string
	// Attempts counts every request, copies and manual ones too.
	Attempts int
	// LastStatus is the status of the newest answer, 0 if there was none; LastError says why there was none.
	LastStatus int
	LastError  string
	// Delivered is set by the first 2xx and stays.
	Delivered bool
	// NextAttempt is when the automatic retry is due, zero if none is.
	NextAttempt time.Time
}

// IsDelivered says whether every subscribed endpoint has answered 2xx.
func (e Event) IsDelivered() bool {
	return !slices.ContainsFunc(e.Deliveries, func(d DeliveryState) bool { return !d.Delivered })
}

// event is an Event as the account keeps it. The body is stored once, with the place of pending_webhooks in it.
type event struct {
	id, kind   string
	created    time.Time
	body       []byte
	related    related
	pendingAt  int // where the digits of pending_webhooks begin
	pendingEnd int
	deliveries []*delivery
}

// origin is what an event says about the API request that caused it; empty for what happens by itself.
type origin struct{ requestID, key string }

// change is an object after a change, and the name of the event that tells of it.
type change struct {
	kind   string
	object any
}

// Emit makes an event of any type around any object and delivers it like the account's own. It returns the event's id.
func (s *Stripe) Emit(eventType string, object json.RawMessage) string {
	s.begin()
	defer s.mu.Unlock()
	return s.emit(origin{}, change{eventType, object})[0].id
}

// emit makes an event of each change and hands the deliveries to the courier as one batch.
func (s *Stripe) emit(from origin, changes ...change) []*event {
	var made []*event
	var batch []*attempt
	now := s.options.Now()
	for _, ch := range changes {
		e := s.makeEvent(ch, from, now)
		made = append(made, e)
		if s.faults.Drop != nil && s.faults.Drop(e.copy()) {
			continue
		}
		for _, d := range e.deliveries {
			batch = append(batch, &attempt{delivery: d})
		}
	}
	s.courier.dispatch(s, batch)
	return made
}

func (s *Stripe) makeEvent(ch change, from origin, now time.Time) *event {
	object, err := json.Marshal(ch.object)
	if err != nil {
		panic("simulate: event " + ch.kind + ": " + err.Error()) // a RawMessage of Emit that is not JSON
	}
	e := &event{id: s.id("evt_1", 23), kind: ch.kind, created: now}
	_ = json.Unmarshal(object, &e.related) // an object of Emit without an id is about nothing
	for _, to := range s.endpoints.items {
		if to.wants(ch.kind) {
			e.deliveries = append(e.deliveries, &delivery{event: e, endpoint: to})
		}
	}
	e.write(object, from, s.options.APIVersion, s.livemode)
	s.events.add(e.id, e)
	s.events.forget(s.options.EventsMax)
	return e
}

// write composes the body around the object without encoding the object again.
func (e *event) write(object []byte, from origin, version string, livemode bool) {
	request, err := json.Marshal(struct {
		ID  *string `json:"id"`
		Key *string `json:"idempotency_key"`
	}{orNull(from.requestID), orNull(from.key)})
	if err != nil {
		panic("simulate: " + err.Error()) // unreachable: strings only
	}
	b := make([]byte, 0, len(object)+len(request)+300)
	b = fmt.Appendf(b, `{"id":%q,"object":"event","api_version":%q,"created":%d,"data":{"object":`, e.id, version, e.created.Unix())
	b = append(b, object...)
	b = fmt.Appendf(b, `},"livemode":%t,"pending_webhooks":`, livemode)
	e.pendingAt = len(b)
	b = strconv.AppendInt(b, int64(len(e.deliveries)), 10)
	e.pendingEnd = len(b)
	b = append(b, `,"request":`...)
	b = append(b, request...)
	kind, err := json.Marshal(e.kind)
	if err != nil {
		panic("simulate: " + err.Error()) // unreachable: a string
	}
	b = append(b, `,"type":`...)
	b = append(b, kind...)
	e.body = append(b, '}')
}

// pending is how many endpoints have not yet acknowledged.
func (e *event) pending() int {
	n := 0
	for _, d := range e.deliveries {
		if !d.isDelivered {
			n++
		}
	}
	return n
}

// show is the event as the API has it now: the body with the present number of pending_webhooks.
func (e *event) show() json.RawMessage {
	b := make([]byte, 0, len(e.body)+2)
	b = append(b, e.body[:e.pendingAt]...)
	b = strconv.AppendInt(b, int64(e.pending()), 10)
	return append(b, e.body[e.pendingEnd:]...)
}

func (e *event) copy() Event {
	c := Event{ID: e.id, Type: e.kind, Created: e.created, Body: e.body[:len(e.body):len(e.body)]}
	for _, d := range e.deliveries {
		c.Deliveries = append(c.Deliveries, DeliveryState{
			Endpoint: d.endpoint.ID, URL: d.endpoint.URL, Attempts: d.attempts, LastStatus: d.lastStatus, LastError: d.lastError,
			Delivered: d.isDelivered, NextAttempt: d.nextAttempt,
		})
	}
	return c
}

// Events returns copies of all events that are remembered, newest first.
func (s *Stripe) Events() []Event {
	s.begin()
	defer s.mu.Unlock()
	return s.newestEvents(len(s.events.items))
}

func (s *Stripe) newestEvents(limit int) []Event {
	all := make([]Event, 0, limit)
	for _, e := range slices.Backward(s.events.items) {
		if len(all) == limit {
			break
		}
		all = append(all, e.copy())
	}
	return all
}

// Event returns a copy of one event.
func (s *Stripe) Event(id string) (Event, bool) {
	s.begin()
	defer s.mu.Unlock()
	e, ok := s.events.get(id)
	if !ok {
		return Event{}, false
	}
	return e.copy(), true
}

func (s *Stripe) retrieveEvent(c *call) (any, *apiError) {
	if problem := c.form.check(); problem != nil {
		return nil, problem
	}
	e, ok := s.events.get(c.id())
	if !ok || c.now.Sub(e.created) > eventAge {
		return nil, noSuch("event", c.id(), "id")
	}
	return e.show(), nil
}

func (s *Stripe) listEvents(c *call) (any, *apiError) {
	f := c.form
	kind, kinds, wantsSuccess := f.text("type"), f.texts("types"), f.flag("delivery_success")
	if kind != "" && len(kinds) > 0 {
		f.fail("", "types", "You may only specify one of these parameters: type, types.")
	}
	if len(kinds) > eventTypesMax {
		f.fail("", "types", "You may pass at most 20 types.")
	}
	if kind != "" {
		kinds = []string{kind}
	}
	match := func(e *event) bool {
		return c.now.Sub(e.created) <= eventAge &&
			(len(kinds) == 0 || slices.ContainsFunc(kinds, func(pattern string) bool { return isOfKind(e.kind, pattern) })) &&
			(wantsSuccess == nil || *wantsSuccess == (e.pending() == 0))
	}
	return pageOf(c, &s.events, func(e *event) time.Time { return e.created }, match, func(e *event) any { return e.show() })
}

// isOfKind compares a type with a pattern: charge.refunded, charge.*, or *.
func isOfKind(kind, pattern string) bool {
	prefix, isWild := strings.CutSuffix(pattern, "*")
	return kind == pattern || isWild && strings.HasPrefix(kind, prefix)
}
