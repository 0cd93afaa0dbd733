package notify

import (
	"context"
	"encoding/json"
	"net/http"
	"regexp"
	"strings"
	"time"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/outbound"
	"github.com/makegood/makegood/internal/secret"
)

// PagerDutyOptions describe an integration of a PagerDuty service.
type PagerDutyOptions struct {
	Base   string       // of the events API; https://events.pagerduty.com by default
	Key    secret.Value // the integration key, 32 characters
	Source string       // who speaks, such as the name of this server
	HTTP   *outbound.Client
	Now    func() time.Time
}

// PagerDuty raises and resolves alerts by the Events API v2
// (https://developer.pagerduty.com/docs/events-api-v2-overview). The dedup_key is the first incident of the message: a
// repetition is another line of the same alert. An alert is resolved when no incident of its message is open.
type PagerDuty struct {
	service
	key    secret.Value
	source string
	closed memory
}

var pagerdutyKey = regexp.MustCompile(`^[A-Za-z0-9]{32}$`)

// NewPagerDuty makes the channel and connects to nothing.
func NewPagerDuty(o PagerDutyOptions) (*PagerDuty, error) {
	s, err := newService("pagerduty", o.Base, "https://events.pagerduty.com", o.HTTP, o.Now)
	switch {
	case err != nil:
		return nil, err
	case !pagerdutyKey.MatchString(o.Key.Reveal()):
		return nil, refuse("pagerduty", "the routing key is not of 32 letters and digits")
	}
	if o.Source == "" {
		o.Source = "makegood"
	}
	return &PagerDuty{service: s, key: o.Key, source: cut(o.Source, titleMax)}, nil
}

type pagerdutyEvent struct {
	RoutingKey string            `json:"routing_key"`
	Action     string            `json:"event_action,omitempty"`
	DedupKey   string            `json:"dedup_key,omitempty"`
	Payload    *pagerdutyPayload `json:"payload,omitempty"`
	Client     string            `json:"client,omitempty"`
	ClientURL  string            `json:"client_url,omitempty"`
	Links      []pagerdutyLink   `json:"links,omitempty"`
}

type pagerdutyPayload struct {
	Summary   string            `json:"summary"`
	Source    string            `json:"source"`
	Severity  string            `json:"severity,omitempty"`
	Timestamp string            `json:"timestamp,omitempty"`
	Details   map[string]string `json:"custom_details,omitempty"`
}

type pagerdutyLink struct {
	Href string `json:"href"`
	Text string `json:"text"`
}

var pagerdutySeverities = map[makegood.Priority]string{makegood.P0: "critical", makegood.P1: "error", makegood.P2: "warning", makegood.P3: "info"}

const pagerdutyTime = "2006-01-02T15:04:05.000Z07:00"

// Send raises an alert, or resolves those that are over. A word of the end of which nothing is left to resolve needs no
// call.
func (p *PagerDuty) Send(ctx context.Context, m Message) (Receipt, error) {
	if err := each(resolvable(m), func(e Earlier) error { return p.resolve(ctx, m, e.RemoteID) }); err != nil {
		return Receipt{}, undoubted(err)
	}
	if m.Kind == makegood.NoticeResolved {
		return Receipt{RemoteID: pagerdutyAlert(m)}, nil
	}
	event := pagerdutyEvent{Action: "trigger", DedupKey: pagerdutyAlert(m), Client: "Makegood", ClientURL: m.Link, Payload: &pagerdutyPayload{
		Summary: cut(m.Title, pagerdutySummaryMax), Source: p.source, Severity: pagerdutySeverities[m.Priority],
		Timestamp: m.At.UTC().Format(pagerdutyTime), Details: map[string]string{"body": cut(m.Body, pagerdutyBodyMax), "incidents": strings.Join(m.Incidents, " ")}}}
	if m.AckLink != "" {
		event.Links = append(event.Links, pagerdutyLink{m.AckLink, "Acknowledge at Makegood"})
	}
	if m.Link != "" {
		event.Links = append(event.Links, pagerdutyLink{m.Link, "Incident at Makegood"})
	}
	return Receipt{RemoteID: pagerdutyAlert(m)}, p.enqueue(ctx, "/v2/enqueue", event)
}

// pagerdutyAlert is the dedup_key of a message: that of its first incident, so that a reminder of the same incident is
// another line of the same alert and not another alert. It is the RemoteID.
func pagerdutyAlert(m Message) string {
	if len(m.Incidents) > 0 {
		return m.Incidents[0]
	}
	return m.ID
}

// resolvable lists the alerts that are over. A message of which nobody knows whether it was taken has no RemoteID; its alert
// can only be that of one of the incidents that end now, and resolving one that is not there does nothing.
func resolvable(m Message) []Earlier {
	var all []Earlier
	for _, e := range m.Earlier {
		if e.RemoteID != "" {
			all = append(all, e)
			continue
		}
		for _, incident := range m.Incidents {
			all = append(all, Earlier{MessageID: e.MessageID, RemoteID: incident, Open: e.Open})
		}
	}
	return ended(all, closedMax)
}

// resolve resolves an alert once. What it remembers matters when there are more alerts than PagerDuty takes in a minute:
// the repetition goes on with the others.
func (p *PagerDuty) resolve(ctx context.Context, m Message, key string) error {
	if _, ok := p.closed.remembered(m.ID, key); ok {
		return nil
	}
	if err := p.enqueue(ctx, "/v2/enqueue", pagerdutyEvent{Action: "resolve", DedupKey: key}); err != nil {
		return err
	}
	p.closed.remember(m.ID, key, "")
	return nil
}

// enqueue wants the word success. PagerDuty answers 400 to a wrong key and to a wrong event alike.
func (p *PagerDuty) enqueue(ctx context.Context, path string, event pagerdutyEvent) error {
	event.RoutingKey = p.key.Reveal()
	resp, err := p.do(ctx, p.json(ctx, http.MethodPost, path, event), nil)
	if err != nil {
		return err
	}
	var said struct {
		Status string `json:"status"`
	}
	if json.Unmarshal(resp.Body, &said) != nil || said.Status != "success" {
		return p.unread(resp)
	}
	return nil
}

// Test sends a change event, which needs the same key and notifies nobody. Keys of rule sets begin with R and take none;
// for them it resolves an alert that is not there, which PagerDuty drops. Raising and resolving one would page somebody:
// who is told at once is told before the second call.
func (p *PagerDuty) Test(ctx context.Context) error {
	if strings.HasPrefix(p.key.Reveal(), "R") {
		return undoubted(p.enqueue(ctx, "/v2/enqueue", pagerdutyEvent{Action: "resolve", DedupKey: "makegood_test"}))
	}
	return undoubted(p.enqueue(ctx, "/v2/change/enqueue", pagerdutyEvent{Payload: &pagerdutyPayload{Summary: "Makegood test: nothing is wrong.",
		Source: p.source, Timestamp: p.now().UTC().Format(pagerdutyTime)}}))
}
