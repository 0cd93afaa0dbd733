package notify

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"time"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/outbound"
	"github.com/makegood/makegood/internal/secret"
)

// NtfyOptions describe a topic of an ntfy server.
type NtfyOptions struct {
	Base  string // the server; https://ntfy.sh by default
	Topic string
	Token secret.Value // an access token; empty is without
	HTTP  *outbound.Client
	Now   func() time.Time
}

// Ntfy publishes to a topic of ntfy (https://docs.ntfy.sh/publish/), as JSON, so that titles may have any letters.
//
// A message goes out under its ID as the sequence id: from ntfy 2.16 on, a repetition takes the place of the notification
// on the phone instead of becoming a second one, and the word of the end takes the place of the alarm. Older servers
// ignore the field, and show each.
type Ntfy struct {
	service
	topic string
	token secret.Value
}

// ntfyTopic is what ntfy's server takes for a topic.
var ntfyTopic = regexp.MustCompile(`^[-_A-Za-z0-9]{1,64}$`)

// NewNtfy makes the channel and connects to nothing.
func NewNtfy(o NtfyOptions) (*Ntfy, error) {
	s, err := newService("ntfy", o.Base, "https://ntfy.sh", o.HTTP, o.Now)
	switch {
	case err != nil:
		return nil, err
	case !ntfyTopic.MatchString(o.Topic):
		return nil, refuse("ntfy", "the topic is not of 1 to 64 letters, digits, _ and -")
	case !o.Token.Empty() && !isHeader(o.Token.Reveal()):
		return nil, refuse("ntfy", "the access token has blanks or line breaks in it")
	}
	return &Ntfy{service: s, topic: o.Topic, token: o.Token}, nil
}

// ntfyMessage is the body of a publication.
type ntfyMessage struct {
	Topic      string       `json:"topic"`
	SequenceID string       `json:"sequence_id,omitempty"`
	Title      string       `json:"title"`
	Message    string       `json:"message"`
	Priority   int          `json:"priority"` // 1 is min, 3 usual, 5 max
	Tags       []string     `json:"tags"`     // those that are names of emojis stand before the title as such
	Click      string       `json:"click,omitempty"`
	Actions    []ntfyAction `json:"actions,omitempty"`
}

type ntfyAction struct {
	Action string `json:"action"`
	Label  string `json:"label"`
	URL    string `json:"url"`
	Method string `json:"method,omitempty"`
	Clear  bool   `json:"clear"`
}

// Priorities and tags of ntfy. The word of the end wakes nobody.
var (
	ntfyPriorities = map[makegood.Priority]int{makegood.P0: 5, makegood.P1: 4, makegood.P2: 3, makegood.P3: 2}
	ntfyTags       = map[makegood.Priority]string{makegood.P0: "rotating_light", makegood.P1: "warning", makegood.P2: "warning", makegood.P3: "information_source"}
)

const (
	ntfyPriorityMin = 1
	ntfyPriorityLow = 2
)

func (n *Ntfy) message(m Message) ntfyMessage {
	out := ntfyMessage{Topic: n.topic, SequenceID: m.ID, Title: cut(m.Title, titleMax), Message: cutBytes(m.Body, ntfyBytesMax),
		Priority: ntfyPriorities[m.Priority], Tags: []string{ntfyTags[m.Priority], string(m.Priority)}, Click: m.Link}
	if m.Kind == makegood.NoticeResolved {
		out.Priority, out.Tags = ntfyPriorityLow, []string{"white_check_mark"}
		for _, e := range m.Earlier {
			if e.Open == 0 && ntfyTopic.MatchString(e.MessageID) {
				out.SequenceID = e.MessageID // takes its place on the phone
			}
		}
	}
	if m.AckLink != "" {
		out.Actions = append(out.Actions, ntfyAction{Action: "http", Label: "Acknowledge", URL: m.AckLink, Method: http.MethodPost, Clear: true})
	}
	if m.Link != "" {
		out.Actions = append(out.Actions, ntfyAction{Action: "view", Label: "Open", URL: m.Link})
	}
	return out
}

// ntfyPublished is what ntfy answers, and a line of what it tells when a topic is read.
type ntfyPublished struct {
	ID   string `json:"id"`
	Time int64  `json:"time"` // seconds
}

// Send publishes.
func (n *Ntfy) Send(ctx context.Context, m Message) (Receipt, error) {
	p, err := n.publish(ctx, n.message(m))
	if err != nil {
		return Receipt{}, err
	}
	return Receipt{RemoteID: p.ID}, nil
}

func (n *Ntfy) publish(ctx context.Context, m ntfyMessage) (ntfyPublished, error) {
	req := n.json(ctx, http.MethodPost, "/", m)
	n.authorize(req)
	resp, err := n.do(ctx, req, codeNumber)
	if err != nil {
		return ntfyPublished{}, err
	}
	var p ntfyPublished
	if json.Unmarshal(resp.Body, &p) != nil || !remoteText.MatchString(p.ID) {
		return ntfyPublished{}, n.unread(resp)
	}
	return p, nil
}

func (n *Ntfy) authorize(req *http.Request) {
	if !n.token.Empty() {
		bearer(req, n.token)
	}
}

// Test publishes with the least priority, which makes no sound and hides below the others, under a sequence id of its own,
// and reads it back. A token that may write and not read is the better one; for it, publishing is proof enough.
func (n *Ntfy) Test(ctx context.Context) error {
	p, err := n.publish(ctx, ntfyMessage{Topic: n.topic, SequenceID: "makegood_test", Title: "Makegood test",
		Message: "This channel is tested from time to time. Nothing is wrong.", Priority: ntfyPriorityMin, Tags: []string{"wrench"}})
	if err != nil {
		return err
	}
	query := url.Values{"poll": {"1"}, "since": {strconv.FormatInt(p.Time, 10)}}
	req := n.request(ctx, http.MethodGet, "/"+n.topic+"/json?"+query.Encode(), "", nil)
	n.authorize(req)
	resp, err := n.do(ctx, req, codeNumber)
	if ReasonOf(err) == ReasonAuth && err != nil {
		return nil
	}
	if err != nil {
		return err
	}
	lines := bufio.NewScanner(bytes.NewReader(resp.Body))
	for lines.Scan() {
		var line ntfyPublished
		if json.Unmarshal(lines.Bytes(), &line) == nil && line.ID == p.ID {
			return nil
		}
	}
	return &Error{Channel: n.kind, Reason: ReasonServer, Status: resp.Status, Err: errors.New("what was published does not come back")}
}
