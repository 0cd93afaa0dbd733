package simulate

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"
)

// paypalWebhook is where events go. Its id takes part in every signature.
type paypalWebhook struct {
	ID, URL   string
	Types     []string // or "*"
	isDeleted bool
}

func (w *paypalWebhook) wants(kind string) bool {
	return !w.isDeleted && (slices.Contains(w.Types, "*") || slices.Contains(w.Types, kind))
}

// paypalEvent is an Event as the account keeps it.
type paypalEvent struct {
	id, kind   string
	created    time.Time
	body       []byte
	deliveries []*paypalDelivery
}

// paypalChange is an object after a change, and the name of the event that tells of it.
type paypalChange struct {
	kind, resourceType string
	resource           any
}

// AddWebhook lets events of these types (all, if none is named) be delivered to url from now on, and returns the id that
// they are signed for.
func (p *PayPal) AddWebhook(url string, types ...string) (webhookID string) {
	p.begin()
	defer p.mu.Unlock()
	return p.addWebhook(url, types).ID
}

func (p *PayPal) addWebhook(url string, types []string) *paypalWebhook {
	w := &paypalWebhook{ID: p.id(), URL: url, Types: slices.Clone(types)}
	if len(w.Types) == 0 {
		w.Types = []string{"*"}
	}
	p.webhooks.add(w.ID, w)
	return w
}

// SetWebhookURL moves a webhook, for the next attempt on: a shop knows its address only once it has the webhook's id.
func (p *PayPal) SetWebhookURL(webhookID, url string) error {
	return p.changeWebhook(webhookID, func(w *paypalWebhook) { w.URL = url })
}

// SetWebhookEvents subscribes a webhook to these types only, for events made from now on. "*" is all.
func (p *PayPal) SetWebhookEvents(webhookID string, types ...string) error {
	return p.changeWebhook(webhookID, func(w *paypalWebhook) { w.Types = slices.Clone(types) })
}

// DeleteWebhook ends the deliveries to a webhook, as somebody does in the dashboard by mistake.
func (p *PayPal) DeleteWebhook(webhookID string) error {
	return p.changeWebhook(webhookID, func(w *paypalWebhook) { w.isDeleted = true })
}

func (p *PayPal) changeWebhook(id string, change func(*paypalWebhook)) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	w, ok := p.webhooks.get(id)
	if !ok || w.isDeleted {
		return fmt.Errorf("%w: webhook %s", ErrUnknown, id)
	}
	change(w)
	return nil
}

// Emit makes an event of any type around any resource and delivers it like the account's own. It returns the event's id.
func (p *PayPal) Emit(eventType, resourceType string, resource json.RawMessage) string {
	now := p.begin()
	defer p.mu.Unlock()
	return p.emit(now, paypalChange{eventType, resourceType, resource})[0].id
}

// emit makes an event of each change and hands the deliveries to the courier as one batch.
func (p *PayPal) emit(now time.Time, changes ...paypalChange) []*paypalEvent {
	var made []*paypalEvent
	var batch []*paypalAttempt
	for _, ch := range changes {
		e := p.makeEvent(ch, now)
		made = append(made, e)
		if p.faults.Drop != nil && p.faults.Drop(e.copy()) {
			continue
		}
		for _, d := range e.deliveries {
			batch = append(batch, &paypalAttempt{delivery: d})
		}
	}
	p.courier.dispatch(p, batch)
	return made
}

func (p *PayPal) makeEvent(ch paypalChange, now time.Time) *paypalEvent {
	e := &paypalEvent{id: "WH-" + p.id() + "-" + p.id(), kind: ch.kind, created: now}
	version := "2.0"
	if ch.resourceType == "dispute" {
		version = "1.0"
	}
	body, err := json.Marshal(map[string]any{
		"id": e.id, "event_version": "1.0", "create_time": now.UTC().Format("2006-01-02T15:04:05.000Z"), "resource_type": ch.resourceType,
		"resource_version": version, "event_type": ch.kind, "summary": "Simulated: " + ch.kind, "resource": ch.resource,
		"links": []any{p.link("self", "GET", eventPath(e.id)), p.link("resend", "POST", eventPath(e.id)+"/resend")},
	})
	if err != nil {
		panic("simulate: event " + ch.kind + ": " + err.Error()) // a RawMessage of Emit that is not JSON
	}
	e.body = body
	for _, to := range p.webhooks.items {
		if to.wants(ch.kind) {
			e.deliveries = append(e.deliveries, &paypalDelivery{event: e, webhook: to, transmission: newUUID(p.options.Rand), signed: now})
		}
	}
	p.events.add(e.id, e)
	p.events.forget(p.options.EventsMax)
	return e
}

func eventPath(id string) string { return "/v1/notifications/webhooks-events/" + id }

func (e *paypalEvent) copy() Event {
	c := Event{ID: e.id, Type: e.kind, Created: e.created, Body: e.body[:len(e.body):len(e.body)]}
	for _, d := range e.deliveries {
		c.Deliveries = append(c.Deliveries, DeliveryState{
			Endpoint: d.webhook.ID, URL: d.webhook.URL, Attempts: d.attempts, LastStatus: d.lastStatus, LastError: d.lastError,
			Delivered: d.isDelivered, NextAttempt: d.nextAttempt,
		})
	}
	return c
}

// Events returns copies of all events that are remembered, newest first.
func (p *PayPal) Events() []Event {
	p.begin()
	defer p.mu.Unlock()
	var all []Event
	for _, e := range slices.Backward(p.events.items) {
		all = append(all, e.copy())
	}
	return all
}

// show is the event as the API has it: the delivered body, and how its transmissions went.
func (e *paypalEvent) show() json.RawMessage {
	transmissions := []any{}
	for _, d := range e.deliveries {
		status := "PENDING"
		switch {
		case d.isDelivered:
			status = "SUCCESS"
		case d.attempts > 0:
			status = "FAILURE"
		}
		transmissions = append(transmissions, map[string]any{"webhook_url": d.webhook.URL, "http_status": strconv.Itoa(d.lastStatus),
			"status": status, "transmission_id": d.transmission, "timestamp": stamp(d.signed)})
	}
	told := must(json.Marshal(transmissions))
	b := append([]byte(nil), e.body[:len(e.body)-1]...)
	b = append(append(b, `,"transmissions":`...), told...)
	return append(b, '}')
}

func (p *PayPal) showEvent(c *paypalCall) (any, *paypalError) {
	e, ok := p.events.get(c.id())
	if !ok {
		return nil, noSuchObject()
	}
	return e.show(), nil
}

// resendEvent is POST …/resend.
func (p *PayPal) resendEvent(c *paypalCall) (any, *paypalError) {
	e, ok := p.events.get(c.id())
	if !ok {
		return nil, noSuchObject()
	}
	p.resend(e, c.now)
	return e.show(), nil
}

// listEvents is GET /v1/notifications/webhooks-events: newest first, paged by a link to the next page.
func (p *PayPal) listEvents(c *paypalCall) (any, *paypalError) {
	query := c.r.URL.Query()
	size := paypalPageSizeDefault
	if text := query.Get("page_size"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > paypalPageSizeMax {
			return nil, paypalInvalid("INVALID_PARAMETER_VALUE", "page_size is from 1 to 100 here.")
		}
		size = n
	}
	var since time.Time
	if text := query.Get("start_time"); text != "" {
		var err error
		if since, err = time.Parse(time.RFC3339, text); err != nil {
			return nil, paypalInvalid("INVALID_PARAMETER_VALUE", "start_time is no date.")
		}
	}
	after := query.Get("next_id")
	if after != "" && !p.events.has(after) {
		return nil, paypalInvalid("INVALID_PARAMETER_VALUE", "next_id is no event.")
	}
	kind := query.Get("event_type")
	found, hasMore := p.events.page(cursor{limit: size, startingAfter: after}, func(e *paypalEvent) bool {
		return !e.created.Before(since) && (kind == "" || e.kind == kind)
	})
	events := []any{}
	for _, e := range found {
		events = append(events, e.show())
	}
	links := []any{p.link("self", "GET", c.r.URL.RequestURI())}
	if hasMore {
		query.Set("next_id", found[len(found)-1].id)
		links = append(links, p.link("next", "GET", c.r.URL.Path+"?"+query.Encode()))
	}
	return map[string]any{"events": events, "count": len(events), "links": links}, nil
}

func (p *PayPal) webhookObject(w *paypalWebhook) map[string]any {
	types := []any{}
	for _, t := range w.Types {
		types = append(types, map[string]string{"name": t})
	}
	return map[string]any{"id": w.ID, "url": w.URL, "event_types": types}
}

func (p *PayPal) listWebhooks(*paypalCall) (any, *paypalError) {
	all := []any{}
	for _, w := range p.webhooks.items {
		if !w.isDeleted {
			all = append(all, p.webhookObject(w))
		}
	}
	return map[string]any{"webhooks": all}, nil
}

func (p *PayPal) createWebhook(c *paypalCall) (any, *paypalError) {
	var in struct {
		URL   string `json:"url"`
		Types []struct {
			Name string `json:"name"`
		} `json:"event_types"`
	}
	if problem := c.read(&in); problem != nil {
		return nil, problem
	}
	if in.URL == "" || len(in.Types) == 0 {
		return nil, paypalInvalid("MISSING_REQUIRED_PARAMETER", "url and event_types are required.")
	}
	var types []string
	for _, t := range in.Types {
		types = append(types, t.Name)
	}
	c.made = true
	return p.webhookObject(p.addWebhook(in.URL, types)), nil
}

func (p *PayPal) deleteWebhook(c *paypalCall) (any, *paypalError) {
	w, ok := p.webhooks.get(c.id())
	if !ok || w.isDeleted {
		return nil, paypalRefused(http.StatusNotFound, "INVALID_RESOURCE_ID", "INVALID_RESOURCE_ID", "No such webhook.")
	}
	w.isDeleted = true
	return nil, nil
}
