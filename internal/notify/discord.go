package notify

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/outbound"
	"github.com/makegood/makegood/internal/secret"
)

// DiscordOptions describe a webhook of a Discord channel.
type DiscordOptions struct {
	Webhook secret.Value // its whole address, https://discord.com/api/webhooks/ID/TOKEN: whoever has it can post
	Base    string       // takes the place of its scheme and host, for drills; "" leaves them
	HTTP    *outbound.Client
	Now     func() time.Time
}

// Discord posts by a webhook (https://discord.com/developers/docs/resources/webhook) and turns a message green when what
// it told of is over. Webhooks know no repetition: the same message twice is two messages.
type Discord struct {
	service
	path string // a secret
}

var (
	discordPath   = regexp.MustCompile(`^/api(?:/v[0-9]{1,2})?/webhooks/[0-9]{15,22}/[A-Za-z0-9_-]{20,100}$`)
	discordHosts  = regexp.MustCompile(`^(?:(?:ptb|canary)\.)?(?:discord|discordapp)\.com$`)
	discordNumber = regexp.MustCompile(`^[0-9]{15,22}$`)
)

// NewDiscord makes the channel and connects to nothing.
func NewDiscord(o DiscordOptions) (*Discord, error) {
	u, err := url.Parse(o.Webhook.Reveal())
	if err != nil || u.Scheme != "https" || u.User != nil || u.RawQuery != "" || u.Fragment != "" ||
		!discordHosts.MatchString(u.Host) || !discordPath.MatchString(u.Path) || !isHeader(o.Webhook.Reveal()) {
		return nil, refuse("discord", "the address of the webhook is not https://discord.com/api/webhooks/ and a number, a slash and a token")
	}
	s, err := newService("discord", o.Base, "https://"+u.Host, o.HTTP, o.Now)
	if err != nil {
		return nil, err
	}
	return &Discord{service: s, path: u.Path}, nil
}

type discordMessage struct {
	Content  string          `json:"content"`
	Embeds   []discordEmbed  `json:"embeds"`
	Mentions discordMentions `json:"allowed_mentions"`
}

type discordEmbed struct {
	Title       string `json:"title"`
	Description string `json:"description"`
	URL         string `json:"url,omitempty"`
	Color       int    `json:"color"`
	Timestamp   string `json:"timestamp,omitempty"`
}

// discordMentions allows none: a title cannot call everybody.
type discordMentions struct {
	Parse []string `json:"parse"`
}

var discordColours = map[makegood.Priority]int{makegood.P0: 0xC0143C, makegood.P1: 0xE8590C, makegood.P2: 0xF2B705, makegood.P3: 0x868E96}

const discordGreen = 0x2B8A3E

func (d *Discord) message(m Message) discordMessage {
	embed := discordEmbed{Title: cut(m.Title, discordTitleMax), Description: cut(m.Body, discordTextMax/2), URL: m.Link, Color: discordColours[m.Priority],
		Timestamp: m.At.UTC().Format(time.RFC3339)}
	if m.Kind == makegood.NoticeResolved {
		embed.Color = discordGreen
	}
	if m.AckLink != "" { // webhooks that no application owns have no buttons
		embed.Description = strings.TrimSpace(embed.Description + "\n\n[Acknowledge](" + m.AckLink + ")")
	}
	embed.Description = cut(embed.Description, discordTextMax)
	return discordMessage{Content: cut(m.Title, titleMax), Embeds: []discordEmbed{embed}, Mentions: discordMentions{[]string{}}}
}

// Send first turns the messages green whose incidents are over, which may be repeated, and posts then.
func (d *Discord) Send(ctx context.Context, m Message) (Receipt, error) {
	err := each(ended(m.Earlier, recolouredMax), func(e Earlier) error { return d.close(ctx, e, m) })
	if err != nil && ReasonOf(err) != ReasonRateLimit { // being told is worth more than a colour
		return Receipt{}, err
	}
	resp, err := d.call(ctx, http.MethodPost, "?wait=true", d.message(m)) // with wait, Discord answers when it is saved
	if err != nil {
		return Receipt{}, err
	}
	var said struct {
		ID string `json:"id"`
	}
	if json.Unmarshal(resp.Body, &said) != nil || !discordNumber.MatchString(said.ID) {
		return Receipt{}, d.unread(resp)
	}
	return Receipt{RemoteID: said.ID}, nil
}

// discordNoMessage is Discord's code of a message that is not there.
const discordNoMessage = "10008"

func (d *Discord) close(ctx context.Context, e Earlier, m Message) error {
	if !discordNumber.MatchString(e.RemoteID) {
		return nil
	}
	text := cut(m.Title, titleMax)
	_, err := d.call(ctx, http.MethodPatch, "/messages/"+e.RemoteID, discordMessage{Content: text, Mentions: discordMentions{[]string{}},
		Embeds: []discordEmbed{{Title: text, Color: discordGreen, URL: m.Link, Timestamp: m.At.UTC().Format(time.RFC3339)}}})
	var refused *Error
	if errors.As(err, &refused) && refused.Code == discordNoMessage {
		return nil // somebody has removed it
	}
	return undoubted(err)
}

// call calls the webhook. How long to wait stands in the body, in seconds with a fraction, and in the header.
func (d *Discord) call(ctx context.Context, method, rest string, body any) (*outbound.Response, error) {
	var said struct {
		RetryAfter float64 `json:"retry_after"`
	}
	resp, err := d.do(ctx, d.json(ctx, method, d.path+rest, body), func(body []byte) string {
		_ = json.Unmarshal(body, &said) // an answer without it says no wait
		return codeNumber(body)
	})
	var refused *Error
	if errors.As(err, &refused) && refused.Reason == ReasonRateLimit && said.RetryAfter > 0 {
		refused.RetryAfter = min(time.Duration(min(said.RetryAfter, 1e6)*float64(time.Second)), retryAfterMax)
	}
	return resp, err
}

// Test reads the webhook, and posts nothing.
func (d *Discord) Test(ctx context.Context) error {
	resp, err := d.call(ctx, http.MethodGet, "", nil)
	if err != nil {
		return err
	}
	var said struct {
		ID string `json:"id"`
	}
	if json.Unmarshal(resp.Body, &said) != nil || said.ID == "" {
		return undoubted(d.unread(resp))
	}
	return nil
}
