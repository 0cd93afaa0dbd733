package simulate

import (
	"cmp"
	"encoding/json"
	"net/http"
	"slices"
)

// Channels are all pretend services that carry alerts behind one handler, for drills that run them as a process of their
// own: each under its prefix (/ntfy, /slack, /sms, /github, /pagerduty, /telegram, /discord, /webhook), which is what the
// base address of a channel ends with. GET /log lists as JSON what was taken, oldest first (see [Accepted]).
type Channels struct {
	Ntfy      *Ntfy
	Slack     *Slack
	Twilio    *Twilio
	GitHub    *GitHub
	PagerDuty *PagerDuty
	Telegram  *Telegram
	Discord   *Discord
	Webhook   *Webhook

	handler http.Handler
}

// alertService is what every pretend service can do.
type alertService interface {
	http.Handler
	SetFaults(AlertFaults)
	Log() []Accepted
	Close()
}

// NewChannels makes one of each. A message over Twilio is called back by the options.
func NewChannels(o TwilioOptions) *Channels {
	a := o.AlertOptions
	c := &Channels{Ntfy: NewNtfy(a), Slack: NewSlack(a), Twilio: NewTwilio(o), GitHub: NewGitHub(a), PagerDuty: NewPagerDuty(a),
		Telegram: NewTelegram(a), Discord: NewDiscord(a), Webhook: NewWebhook(a)}
	mux := http.NewServeMux()
	for name, service := range c.services() {
		mux.Handle("/"+name+"/", http.StripPrefix("/"+name, service))
	}
	mux.HandleFunc("GET /log", c.showLog)
	c.handler = mux
	return c
}

func (c *Channels) services() map[string]alertService {
	return map[string]alertService{"ntfy": c.Ntfy, "slack": c.Slack, "sms": c.Twilio, "github": c.GitHub, "pagerduty": c.PagerDuty,
		"telegram": c.Telegram, "discord": c.Discord, "webhook": c.Webhook}
}

// ServeHTTP serves all of them.
func (c *Channels) ServeHTTP(w http.ResponseWriter, r *http.Request) { c.handler.ServeHTTP(w, r) }

// SetFaults makes one of them, by the name of its prefix, misbehave from now on. It reports whether there is one.
func (c *Channels) SetFaults(name string, faults AlertFaults) bool {
	service, ok := c.services()[name]
	if ok {
		service.SetFaults(faults)
	}
	return ok
}

// Log lists what all of them took, oldest first.
func (c *Channels) Log() []Accepted {
	all := []Accepted{}
	for _, service := range c.services() {
		all = append(all, service.Log()...)
	}
	slices.SortStableFunc(all, func(a, b Accepted) int { return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.Channel, b.Channel)) })
	return all
}

func (c *Channels) showLog(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(c.Log()) // a client that has gone away misses it
}

// Close ends answers that hang, and waits for call-backs.
func (c *Channels) Close() {
	for _, service := range c.services() {
		service.Close()
	}
}
