package simulate

import (
	"encoding/json"
	"net/http"
	"slices"
)

// PagerDutyKey is the integration key of a pretend PagerDuty.
const PagerDutyKey = "simulated0key0simulated0key00001"

// PagerDutyAlert is an alert of the service.
type PagerDutyAlert struct {
	DedupKey string
	Status   string // triggered or resolved
	Severity string
	Summary  string
	Links    []string
	Triggers int // how often it was triggered
}

// PagerDuty is a pretend PagerDuty: events of API v2 become alerts, one for each dedup_key while it is open; a resolve
// without an open alert is dropped, and change events notify nobody.
type PagerDuty struct {
	*alertDesk
	alerts  []PagerDutyAlert
	changes []string
}

// NewPagerDuty returns a service without alerts.
func NewPagerDuty(o AlertOptions) *PagerDuty {
	p := &PagerDuty{alertDesk: newAlertDesk("pagerduty", o, pagerdutyRefusal)}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v2/enqueue", alertHandler(p.enqueue))
	mux.HandleFunc("POST /v2/change/enqueue", alertHandler(p.change))
	p.handler = mux
	return p
}

// Alerts lists the alerts, oldest first.
func (p *PagerDuty) Alerts() []PagerDutyAlert {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.alerts)
}

// Changes lists the summaries of change events.
func (p *PagerDuty) Changes() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.changes)
}

func pagerdutyRefusal(d *alertDesk, _ *http.Request, status int) alertAnswer {
	if status == http.StatusTooManyRequests {
		return alertAnswer{status, d.waiting(status), map[string]any{"status": "throttle exceeded", "message": "Requests for this service are arriving too quickly.  Please retry later."}}
	}
	if status >= 500 {
		return alertAnswer{status, nil, "<html><body>Server Error</body></html>"}
	}
	return pagerdutyInvalid(status, "Event object is invalid")
}

func pagerdutyInvalid(status int, problem string) alertAnswer {
	return alertAnswer{status, nil, map[string]any{"status": "invalid event", "message": "Event object is invalid", "errors": []string{problem}}}
}

type pagerdutyRequest struct {
	RoutingKey string `json:"routing_key"`
	Action     string `json:"event_action"`
	DedupKey   string `json:"dedup_key"`
	Payload    struct {
		Summary  string `json:"summary"`
		Source   string `json:"source"`
		Severity string `json:"severity"`
	} `json:"payload"`
	Links []struct {
		Href string `json:"href"`
	} `json:"links"`
}

func (p *PagerDuty) read(r *http.Request) (pagerdutyRequest, string) {
	var in pagerdutyRequest
	switch {
	case json.NewDecoder(r.Body).Decode(&in) != nil:
		return in, "JSON is invalid"
	case in.RoutingKey != PagerDutyKey:
		return in, "Invalid routing key"
	case len(in.DedupKey) > 255:
		return in, "'dedup_key' is invalid (must be at most 255 characters)"
	case len([]rune(in.Payload.Summary)) > 1024:
		return in, "'payload.summary' is invalid"
	}
	return in, ""
}

func (p *PagerDuty) enqueue(r *http.Request) alertAnswer {
	in, problem := p.read(r)
	if problem == "" && in.Action == "trigger" && (in.Payload.Summary == "" || in.Payload.Source == "" ||
		!slices.Contains([]string{"critical", "error", "warning", "info"}, in.Payload.Severity)) {
		problem = "'payload.severity' is missing or blank"
	}
	if problem == "" && (in.Action != "trigger" && in.Action != "resolve" || in.Action == "resolve" && in.DedupKey == "") {
		problem = "'event_action' is invalid"
	}
	if problem != "" {
		return pagerdutyInvalid(http.StatusBadRequest, problem)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if in.DedupKey == "" {
		in.DedupKey = newHex(p.rand, "", 32)
	}
	open := slices.IndexFunc(p.alerts, func(a PagerDutyAlert) bool { return a.DedupKey == in.DedupKey && a.Status == "triggered" })
	switch {
	case in.Action == "resolve" && open >= 0:
		p.alerts[open].Status = "resolved"
		p.took(in.DedupKey, "resolve", p.alerts[open].Summary)
	case in.Action == "trigger" && open >= 0:
		p.alerts[open].Triggers++
	case in.Action == "trigger":
		a := PagerDutyAlert{DedupKey: in.DedupKey, Status: "triggered", Severity: in.Payload.Severity, Summary: in.Payload.Summary, Triggers: 1}
		for _, l := range in.Links {
			a.Links = append(a.Links, l.Href)
		}
		p.alerts = append(p.alerts, a)
		p.took(in.DedupKey, "trigger", a.Summary)
	}
	return alertAnswer{status: http.StatusAccepted, body: map[string]any{"status": "success", "message": "Event processed", "dedup_key": in.DedupKey}}
}

func (p *PagerDuty) change(r *http.Request) alertAnswer {
	in, problem := p.read(r)
	if problem == "" && in.Payload.Summary == "" {
		problem = "'payload.summary' is missing or blank"
	}
	if problem != "" {
		return pagerdutyInvalid(http.StatusBadRequest, problem)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.changes = append(p.changes, in.Payload.Summary)
	p.took("", "change", in.Payload.Summary)
	return alertAnswer{status: http.StatusAccepted, body: map[string]any{"status": "success", "message": "Change event processed"}}
}
