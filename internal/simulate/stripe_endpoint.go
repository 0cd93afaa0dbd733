package simulate

import (
	"fmt"
	"slices"
	"time"
)

// endpoint is a webhook endpoint: where events go.
type endpoint struct {
	ID, URL, Description string
	Events               []string // types, or "*"
	APIVersion           string
	Metadata             map[string]string
	Created              time.Time
	IsDisabled           bool
	isThin               bool // it gets thin events: ids only
	secrets              []string
	isDeleted            bool
}

func (e *endpoint) wants(kind string) bool {
	return !e.IsDisabled && !e.isDeleted && (slices.Contains(e.Events, "*") || slices.Contains(e.Events, kind))
}

// AddWebhookEndpoint lets all events be delivered to url from now on and returns the id, we_…. Deliveries are signed with
// every secret; without one a secret is drawn, which WebhookSecrets tells.
func (s *Stripe) AddWebhookEndpoint(url string, secrets ...string) string {
	now := s.begin()
	defer s.mu.Unlock()
	e := &endpoint{URL: url, Events: []string{"*"}, secrets: slices.Clone(secrets)}
	s.addEndpoint(e, now)
	return e.ID
}

// AddThinDestination lets all events be delivered to url as thin events (v2.core.event), which carry ids only; the
// receiver fetches the object. Otherwise it is AddWebhookEndpoint.
func (s *Stripe) AddThinDestination(url string, secrets ...string) string {
	now := s.begin()
	defer s.mu.Unlock()
	e := &endpoint{URL: url, Events: []string{"*"}, secrets: slices.Clone(secrets), isThin: true}
	s.addEndpoint(e, now)
	return e.ID
}

func (s *Stripe) addEndpoint(e *endpoint, now time.Time) {
	e.ID, e.Created = s.id("we_1", 23), now
	if len(e.secrets) == 0 {
		e.secrets = []string{s.id("whsec_", 32)}
	}
	s.endpoints.add(e.ID, e)
}

// WebhookSecrets returns the secrets an endpoint's deliveries are signed with, nil if there is no such endpoint.
func (s *Stripe) WebhookSecrets(endpointID string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e, ok := s.endpoints.get(endpointID); ok {
		return slices.Clone(e.secrets)
	}
	return nil
}

// SetWebhookSecrets replaces the secrets of an endpoint, for the next attempt on: two of them while rolling, then one.
func (s *Stripe) SetWebhookSecrets(endpointID string, secrets ...string) error {
	return s.changeEndpoint(endpointID, func(e *endpoint) { e.secrets = slices.Clone(secrets) })
}

// SetWebhookEvents subscribes an endpoint to these types only, for events made from now on. "*" is all.
func (s *Stripe) SetWebhookEvents(endpointID string, types ...string) error {
	return s.changeEndpoint(endpointID, func(e *endpoint) { e.Events = slices.Clone(types) })
}

// SetWebhookURL moves an endpoint, for the next attempt on.
func (s *Stripe) SetWebhookURL(endpointID, url string) error {
	return s.changeEndpoint(endpointID, func(e *endpoint) { e.URL = url })
}

// DisableWebhook switches an endpoint off or on. While it is off, new events skip it; the retries of an event end when
// one comes due in that time.
func (s *Stripe) DisableWebhook(endpointID string, isDisabled bool) error {
	return s.changeEndpoint(endpointID, func(e *endpoint) { e.IsDisabled = isDisabled })
}

// SetWebhookVersion pins an endpoint to a version of the API, as its owner does when it is made; "" is the account's own. Only
// what the API tells of the endpoint changes: events stay of the version in the options.
func (s *Stripe) SetWebhookVersion(endpointID, version string) error {
	return s.changeEndpoint(endpointID, func(e *endpoint) { e.APIVersion = version })
}

// DeleteWebhook ends the deliveries to an endpoint, as somebody does in the dashboard by mistake.
func (s *Stripe) DeleteWebhook(endpointID string) error {
	return s.changeEndpoint(endpointID, func(e *endpoint) { e.isDeleted = true })
}

func (s *Stripe) changeEndpoint(id string, change func(*endpoint)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	e, ok := s.endpoints.get(id)
	if !ok || e.isDeleted {
		return fmt.Errorf("%w: webhook endpoint %s", ErrUnknown, id)
	}
	change(e)
	return nil
}

func (s *Stripe) endpointOf(c *call) (*endpoint, *apiError) {
	if problem := c.form.check(); problem != nil {
		return nil, problem
	}
	e, ok := s.endpoints.get(c.id())
	if !ok || e.isDeleted {
		return nil, noSuch("webhook endpoint", c.id(), "webhook_endpoint")
	}
	return e, nil
}

func (s *Stripe) createEndpoint(c *call) (any, *apiError) {
	f := c.form
	e := &endpoint{
		URL: f.required("url"), Events: f.texts("enabled_events"), Description: f.text("description"),
		APIVersion: f.text("api_version"), Metadata: f.metadata("metadata"),
	}
	f.accept("connect", "expand")
	checkEndpoint(f, e.URL)
	if len(e.Events) == 0 {
		f.fail("parameter_missing", "enabled_events", "Missing required param: enabled_events.")
	}
	if problem := f.check(); problem != nil {
		return nil, problem
	}
	s.addEndpoint(e, c.now)
	object := s.showEndpoint(e)
	object.Secret = e.secrets[0] // told once, as at Stripe
	return object, nil
}

func checkEndpoint(f *form, address string) {
	if f.has("url") && !isURL(address) {
		f.fail("url_invalid", "url", "Invalid URL: An explicit scheme (such as https) must be provided.")
	}
}

func (s *Stripe) retrieveEndpoint(c *call) (any, *apiError) {
	e, problem := s.endpointOf(c)
	if problem != nil {
		return nil, problem
	}
	return s.showEndpoint(e), nil
}

func (s *Stripe) updateEndpoint(c *call) (any, *apiError) {
	f := c.form
	address, types, description, disabled := f.text("url"), f.texts("enabled_events"), f.text("description"), f.flag("disabled")
	metadata, changes := f.field("metadata"), f.metadata("metadata")
	checkEndpoint(f, address)
	f.accept("expand")
	e, problem := s.endpointOf(c)
	if problem != nil {
		return nil, problem
	}
	if f.has("url") {
		e.URL = address
	}
	if len(types) > 0 {
		e.Events = types
	}
	if f.has("description") {
		e.Description = description
	}
	if disabled != nil {
		e.IsDisabled = *disabled
	}
	if e.Metadata == nil {
		e.Metadata = map[string]string{}
	}
	merge(e.Metadata, metadata, changes)
	return s.showEndpoint(e), nil
}

func (s *Stripe) deleteEndpoint(c *call) (any, *apiError) {
	e, problem := s.endpointOf(c)
	if problem != nil {
		return nil, problem
	}
	e.isDeleted = true
	return map[string]any{"id": e.ID, "object": "webhook_endpoint", "deleted": true}, nil
}

func (s *Stripe) listEndpoints(c *call) (any, *apiError) {
	return pageOf(c, &s.endpoints, func(e *endpoint) time.Time { return e.Created }, func(e *endpoint) bool { return !e.isDeleted },
		func(e *endpoint) any { return s.showEndpoint(e) })
}

type endpointObject struct {
	ID            string            `json:"id"`
	Object        string            `json:"object"`
	APIVersion    *string           `json:"api_version"`
	Application   any               `json:"application"`
	Created       int64             `json:"created"`
	Description   *string           `json:"description"`
	EnabledEvents []string          `json:"enabled_events"`
	Livemode      bool              `json:"livemode"`
	Metadata      map[string]string `json:"metadata"`
	Secret        string            `json:"secret,omitempty"`
	Status        string            `json:"status"`
	URL           string            `json:"url"`
}

func (s *Stripe) showEndpoint(e *endpoint) endpointObject {
	object := endpointObject{
		ID: e.ID, Object: "webhook_endpoint", APIVersion: orNull(e.APIVersion), Created: e.Created.Unix(),
		Description: orNull(e.Description), EnabledEvents: e.Events, Livemode: s.livemode, Metadata: ownMap(e.Metadata),
		Status: "enabled", URL: e.URL,
	}
	if e.IsDisabled {
		object.Status = "disabled"
	}
	return object
}
