package app

import (
	"errors"
	"fmt"
	"time"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/config"
	"github.com/makegood/makegood/internal/mail"
	"github.com/makegood/makegood/internal/notify"
	"github.com/makegood/makegood/internal/outbound"
	"github.com/makegood/makegood/internal/secret"
)

// speaking is what channels need beside their own settings.
type speaking struct {
	name         string       // who speaks
	publicURL    string       // how services reach us
	flags        string       // what commands about our incidents need besides
	mail         *config.Mail // how mail is sent; nil when no channel sends any
	allowPrivate bool
	now          func() time.Time
}

// newChannels is the table of channels. Its error names every one that cannot work.
func newChannels(list []config.Channel, s speaking) ([]notify.Named, error) {
	channels := make([]notify.Named, 0, len(list))
	var errs []error
	for _, c := range list {
		channel, err := newChannel(c, s)
		if err != nil {
			errs = append(errs, refusedChannel(c.Name, err))
		}
		channels = append(channels, notify.Named{Name: c.Name, Kind: c.Kind, Channel: channel})
	}
	return channels, errors.Join(errs...)
}

// refusedChannel names the channel in the sentence that people read.
func refusedChannel(name string, err error) error {
	var own *makegood.Error
	if errors.As(err, &own) {
		return makegood.Errorf(own.Code, "channel %s: %s", name, own.Message)
	}
	return fmt.Errorf("channel %s: %w", name, err)
}

func newChannel(c config.Channel, s speaking) (notify.Channel, error) {
	// A client of its own: one service that fails is left alone without the others.
	way := outbound.New(outbound.Options{Timeout: makegood.SendTimeout, AllowPrivate: s.allowPrivate, Now: s.now})
	switch c.Kind {
	case "ntfy":
		return notify.NewNtfy(notify.NtfyOptions{Base: c.URL, Topic: c.Topic, Token: c.Token, HTTP: way, Now: s.now})
	case "slack":
		return notify.NewSlack(notify.SlackOptions{Base: c.URL, Token: c.Token, Room: c.Room, HTTP: way, Now: s.now})
	case "email":
		return newEmailChannel(c, s, way)
	case "sms":
		status := ""
		if s.publicURL != "" {
			status = s.publicURL + phoneStatusPath(c.Name)
		}
		return notify.NewSMS(notify.SMSOptions{Base: c.URL, Account: c.Account, Token: c.Token, From: c.From, To: c.To, StatusCallback: status,
			HTTP: way, Now: s.now})
	case "github":
		return notify.NewGitHub(notify.GitHubOptions{Base: c.URL, Token: c.Token, Repo: c.Repo, HTTP: way, Now: s.now})
	case "webhook":
		return notify.NewWebhook(notify.WebhookOptions{URL: c.URL, Secret: c.Token, HTTP: way, Now: s.now})
	case "pagerduty":
		return notify.NewPagerDuty(notify.PagerDutyOptions{Base: c.URL, Key: c.Token, Source: s.name, HTTP: way, Now: s.now})
	case "telegram":
		return notify.NewTelegram(notify.TelegramOptions{Base: c.URL, Token: c.Token, Room: c.Room, HTTP: way, Now: s.now})
	case "discord":
		return notify.NewDiscord(notify.DiscordOptions{Webhook: c.Token, Base: c.URL, HTTP: way, Now: s.now})
	}
	return nil, fmt.Errorf("there is no kind %q", c.Kind)
}

func newEmailChannel(c config.Channel, s speaking, way *outbound.Client) (notify.Channel, error) {
	if s.mail == nil {
		return nil, fmt.Errorf("there is no mail section to send by")
	}
	var sender mail.Sender
	sender, err := newSender(*s.mail, way, s.now)
	if err != nil {
		return nil, err
	}
	from := c.From
	if from == "" {
		from = s.mail.From
	}
	return notify.NewEmail(notify.EmailOptions{Sender: sender, From: from, To: c.To})
}

// phoneStatusPath is where the service of a telephone channel says what became of a message.
func phoneStatusPath(channel string) string { return "/notify/" + channel + "/status" }

// phonesOf are the tokens with which the services of telephone channels sign what they say.
func phonesOf(list []config.Channel) map[string]secret.Value {
	phones := map[string]secret.Value{}
	for _, c := range list {
		if c.Kind == "sms" {
			phones[c.Name] = c.Token
		}
	}
	return phones
}

// namesOf are the names of channels, in their order.
func namesOf(list []config.Channel) []string {
	names := make([]string, len(list))
	for i, c := range list {
		names[i] = c.Name
	}
	return names
}

// silencesOf are maintenance windows as the desk knows them.
func silencesOf(windows []config.Maintenance) []makegood.Silence {
	list := make([]makegood.Silence, len(windows))
	for i, w := range windows {
		list[i] = makegood.Silence{Pattern: w.Keys, From: w.From, Until: w.Until, Reason: w.Reason, By: "configuration"}
	}
	return list
}
