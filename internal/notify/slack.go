package notify

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/outbound"
	"github.com/makegood/makegood/internal/secret"
)

// SlackOptions describe a channel of a Slack workspace.
type SlackOptions struct {
	Base  string       // of the API; https://slack.com by default
	Token secret.Value // of a bot with the right chat:write
	Room  string       // the id of the channel, such as C0123456789
	HTTP  *outbound.Client
	Now   func() time.Time
}

// Slack posts to a channel (chat.postMessage), and turns a message green when what it told of is over (chat.update).
//
// Slack documents no way to post once: a repetition is a second message. Each carries the ID as metadata (event_type
// makegood_alert), by which programs can tell.
type Slack struct {
	service
	token secret.Value
	room  string
}

var (
	slackRoom  = regexp.MustCompile(`^[CGDU][A-Z0-9]{5,20}$`)
	slackToken = regexp.MustCompile(`^xoxb-[A-Za-z0-9-]{10,250}$`)
	slackStamp = regexp.MustCompile(`^[0-9]{1,15}\.[0-9]{1,9}$`)
)

// NewSlack makes the channel and connects to nothing.
func NewSlack(o SlackOptions) (*Slack, error) {
	s, err := newService("slack", o.Base, "https://slack.com", o.HTTP, o.Now)
	switch {
	case err != nil:
		return nil, err
	case !slackToken.MatchString(o.Token.Reveal()):
		return nil, refuse("slack", "the token is not that of a bot, which begins with xoxb-")
	case !slackRoom.MatchString(o.Room):
		return nil, refuse("slack", "the room is not the id of a channel, such as C0123456789; a name is not enough to change a message later")
	}
	return &Slack{service: s, token: o.Token, room: o.Room}, nil
}

// Colours of the bar beside a message.
var slackColours = map[makegood.Priority]string{makegood.P0: "#c0143c", makegood.P1: "#e8590c", makegood.P2: "#f2b705", makegood.P3: "#868e96"}

const slackGreen = "#2b8a3e"

type slackMessage struct {
	Channel     string            `json:"channel"`
	TS          string            `json:"ts,omitempty"`
	Text        string            `json:"text"`
	Attachments []slackAttachment `json:"attachments"`
	Metadata    *slackMetadata    `json:"metadata,omitempty"`
	UnfurlLinks bool              `json:"unfurl_links"`
	UnfurlMedia bool              `json:"unfurl_media"`
}

type slackAttachment struct {
	Color  string       `json:"color"`
	Blocks []slackBlock `json:"blocks"`
}

type slackBlock struct {
	Type     string        `json:"type"`
	Text     *slackText    `json:"text,omitempty"`
	Elements []slackButton `json:"elements,omitempty"`
}

type slackText struct {
	Type string `json:"type"`
	Text string `json:"text"`
}

type slackButton struct {
	Type     string    `json:"type"`
	ActionID string    `json:"action_id"`
	Text     slackText `json:"text"`
	URL      string    `json:"url"`
	Style    string    `json:"style,omitempty"`
}

type slackMetadata struct {
	Type    string            `json:"event_type"`
	Payload map[string]string `json:"event_payload"`
}

// slackEscape keeps a title from calling everybody (<!channel>) or hiding an address behind a word.
var slackEscape = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")

func (s *Slack) message(m Message) slackMessage {
	colour := slackColours[m.Priority]
	if m.Kind == makegood.NoticeResolved {
		colour = slackGreen
	}
	blocks := []slackBlock{}
	if body := cut(m.Body, slackTextMax); body != "" {
		blocks = append(blocks, slackBlock{Type: "section", Text: &slackText{"plain_text", body}})
	}
	var buttons []slackButton
	if m.AckLink != "" {
		buttons = append(buttons, slackButton{"button", "makegood_ack", slackText{"plain_text", "Acknowledge"}, m.AckLink, "primary"})
	}
	if m.Link != "" {
		buttons = append(buttons, slackButton{"button", "makegood_open", slackText{"plain_text", "Open"}, m.Link, ""})
	}
	if buttons != nil {
		blocks = append(blocks, slackBlock{Type: "actions", Elements: buttons})
	}
	return slackMessage{Channel: s.room, Text: slackEscape.Replace(cut(m.Title, titleMax)),
		Attachments: []slackAttachment{{colour, blocks}},
		Metadata:    &slackMetadata{"makegood_alert", map[string]string{"message_id": m.ID}}}
}

// Send first turns the messages green whose incidents are over, which may be repeated, and posts then, which may not: a
// failure in between leaves nothing told twice.
func (s *Slack) Send(ctx context.Context, m Message) (Receipt, error) {
	err := each(ended(m.Earlier, recolouredMax), func(e Earlier) error { return s.close(ctx, e, m) })
	if err != nil && ReasonOf(err) != ReasonRateLimit { // being told is worth more than a colour
		return Receipt{}, err
	}
	said, err := s.call(ctx, "chat.postMessage", s.message(m))
	if err != nil {
		return Receipt{}, err
	}
	if !slackRoom.MatchString(said.Channel) || !slackStamp.MatchString(said.TS) {
		return Receipt{}, s.unread(&outbound.Response{Status: http.StatusOK})
	}
	return Receipt{RemoteID: said.Channel + ":" + said.TS}, nil
}

// slackGone are the refusals of a change after which there is nothing to change.
var slackGone = []string{"message_not_found", "cant_update_message", "edit_window_closed", "channel_not_found", "is_inactive"}

// close turns an earlier message green and takes its buttons away.
func (s *Slack) close(ctx context.Context, e Earlier, m Message) error {
	room, ts, ok := strings.Cut(e.RemoteID, ":")
	if !ok || !slackRoom.MatchString(room) || !slackStamp.MatchString(ts) {
		return nil
	}
	text := cut(m.Title, titleMax)
	_, err := s.call(ctx, "chat.update", slackMessage{Channel: room, TS: ts, Text: slackEscape.Replace(text),
		Attachments: []slackAttachment{{slackGreen, []slackBlock{{Type: "section", Text: &slackText{"plain_text", text}}}}}})
	var said *Error
	if errors.As(err, &said) {
		if slices.Contains(slackGone, said.Code) {
			return nil
		}
		said.Doubt = false // of a change that may be repeated
	}
	return err
}

type slackAnswer struct {
	OK      bool   `json:"ok"`
	Error   string `json:"error"`
	Channel string `json:"channel"`
	TS      string `json:"ts"`
}

// call calls a method of the API. Most refusals come with status 200 and ok false.
func (s *Slack) call(ctx context.Context, method string, body any) (slackAnswer, error) {
	req := s.json(ctx, http.MethodPost, "/api/"+method, body)
	bearer(req, s.token)
	resp, err := s.do(ctx, req, slackCode)
	if err != nil {
		return slackAnswer{}, err
	}
	var said slackAnswer
	if json.Unmarshal(resp.Body, &said) != nil || !said.OK && said.Error == "" {
		return slackAnswer{}, s.unread(resp)
	}
	if !said.OK {
		return slackAnswer{}, s.refused(resp, said.Error)
	}
	return said, nil
}

func slackCode(body []byte) string {
	var said slackAnswer
	if json.Unmarshal(body, &said) != nil {
		return ""
	}
	return said.Error
}

// Refusals of Slack by what they mean (its pages "chat.postMessage" and "auth.test"). Of the last, Slack says that part of
// the operation may have succeeded.
var (
	slackAuth = []string{"invalid_auth", "not_authed", "account_inactive", "token_revoked", "token_expired", "no_permission",
		"missing_scope", "org_login_required", "not_allowed_token_type", "access_denied", "ekm_access_denied", "team_access_not_granted",
		"enterprise_is_restricted", "two_factor_setup_required"}
	slackOften   = []string{"ratelimited", "rate_limited", "message_limit_exceeded"}
	slackTrouble = []string{"internal_error", "fatal_error", "service_unavailable", "request_timeout"}
)

func (s *Slack) refused(resp *outbound.Response, code string) *Error {
	e := &Error{Channel: s.kind, Reason: ReasonClient, Status: resp.Status, Code: safeCode(code)}
	switch {
	case slices.Contains(slackAuth, code):
		e.Reason = ReasonAuth
	case slices.Contains(slackOften, code):
		e.Reason, e.RetryAfter = ReasonRateLimit, retryAfterUsual
		if asked, ok := outbound.RetryAfter(resp.Header, s.now()); ok {
			e.RetryAfter = min(asked, retryAfterMax)
		}
	case slices.Contains(slackTrouble, code):
		e.Reason, e.Doubt = ReasonServer, true
	}
	return e
}

// Test asks whose token it is (auth.test), and posts nothing. Whether the bot is in the room shows when it posts.
func (s *Slack) Test(ctx context.Context) error {
	_, err := s.call(ctx, "auth.test", struct{}{})
	return undoubted(err)
}

// undoubted is for what tells nobody, whatever becomes of it.
func undoubted(err error) error {
	var said *Error
	if errors.As(err, &said) {
		said.Doubt = false
	}
	return err
}
