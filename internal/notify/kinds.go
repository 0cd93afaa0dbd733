package notify

// Kind is one kind of channel, and what has to be known of it, by the names of the fields of a configuration.
type Kind struct {
	Name  string
	Needs []string // without these there is no channel
	Takes []string // these have a default, or may be left out
}

// Kinds lists every kind of channel once. Of all but ntfy and webhook, url is the address of the service's API, its own by
// default: it is changed for drills and for servers of one's own.
func Kinds() []Kind {
	return []Kind{
		{"ntfy", []string{"topic"}, []string{"url", "token"}},
		{"slack", []string{"token", "room"}, []string{"url"}},
		{"email", []string{"to"}, []string{"from"}},
		{"sms", []string{"account", "token", "from", "to"}, []string{"url"}},
		{"github", []string{"token", "repo"}, []string{"url"}},
		{"webhook", []string{"url", "token"}, nil},
		{"pagerduty", []string{"token"}, []string{"url"}},
		{"telegram", []string{"token", "room"}, []string{"url"}},
		{"discord", []string{"token"}, []string{"url"}},
	}
}

var (
	_ Channel = (*Ntfy)(nil)
	_ Channel = (*Slack)(nil)
	_ Channel = (*Email)(nil)
	_ Channel = (*SMS)(nil)
	_ Channel = (*GitHub)(nil)
	_ Channel = (*Webhook)(nil)
	_ Channel = (*PagerDuty)(nil)
	_ Channel = (*Telegram)(nil)
	_ Channel = (*Discord)(nil)
)
