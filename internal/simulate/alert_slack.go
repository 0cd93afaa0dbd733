package simulate

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
)

// The token and the channel of a pretend Slack.
const (
	SlackToken = "xoxb-1234567890-simulated-bot"
	SlackRoom  = "C0SIMULATED"
)

// SlackMessage is a message in the channel.
type SlackMessage struct {
	TS        string
	Text      string
	Color     string // of its first attachment
	MessageID string // of its metadata
	Buttons   []string
	Updates   int
	Raw       json.RawMessage // the body of the request that last made it
}

// Slack is a pretend Slack with one channel: auth.test, chat.postMessage and chat.update. It posts the same message twice
// when it is asked twice, as the real one does.
type Slack struct {
	*alertDesk
	messages []SlackMessage
}

// NewSlack returns an empty channel.
func NewSlack(o AlertOptions) *Slack {
	s := &Slack{alertDesk: newAlertDesk("slack", o, slackRefusal)}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /api/auth.test", alertHandler(func(r *http.Request) alertAnswer {
		if !hasBearer(r, SlackToken) {
			return slackError("invalid_auth")
		}
		return alertAnswer{body: map[string]any{"ok": true, "team": "Simulated", "user": "makegood", "bot_id": "B0SIMULATED"}}
	}))
	mux.HandleFunc("POST /api/chat.postMessage", alertHandler(s.post))
	mux.HandleFunc("POST /api/chat.update", alertHandler(s.update))
	mux.HandleFunc("/", alertHandler(func(*http.Request) alertAnswer { return slackError("unknown_method") }))
	s.handler = mux
	return s
}

// Messages lists what stands in the channel, oldest first.
func (s *Slack) Messages() []SlackMessage {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.messages)
}

// slackRefusal answers as Slack does: most refusals have status 200, "too often" has 429 and trouble 5xx.
func slackRefusal(d *alertDesk, _ *http.Request, status int) alertAnswer {
	switch status {
	case http.StatusUnauthorized:
		return slackError("invalid_auth")
	case http.StatusForbidden:
		return slackError("missing_scope")
	case http.StatusNotFound:
		return slackError("channel_not_found")
	case http.StatusTooManyRequests:
		a := slackError("ratelimited")
		a.status, a.header = status, d.waiting(status)
		return a
	}
	a := slackError("internal_error")
	a.status = status
	return a
}

func slackError(code string) alertAnswer {
	return alertAnswer{body: map[string]any{"ok": false, "error": code}}
}

type slackRequest struct {
	Channel     string `json:"channel"`
	TS          string `json:"ts"`
	Text        string `json:"text"`
	Attachments []struct {
		Color  string `json:"color"`
		Blocks []struct {
			Type     string `json:"type"`
			Elements []struct {
				URL string `json:"url"`
			} `json:"elements"`
		} `json:"blocks"`
	} `json:"attachments"`
	Metadata struct {
		Payload map[string]string `json:"event_payload"`
	} `json:"metadata"`
}

// readSlack checks a request, and says what the message looks like.
func readSlack(r *http.Request) (slackRequest, SlackMessage, string) {
	var raw json.RawMessage
	var in slackRequest
	if !hasBearer(r, SlackToken) {
		return in, SlackMessage{}, "invalid_auth"
	}
	if json.NewDecoder(r.Body).Decode(&raw) != nil || json.Unmarshal(raw, &in) != nil {
		return in, SlackMessage{}, "invalid_json"
	}
	if in.Channel != SlackRoom {
		return in, SlackMessage{}, "channel_not_found"
	}
	if in.Text == "" && len(in.Attachments) == 0 {
		return in, SlackMessage{}, "no_text"
	}
	m := SlackMessage{Text: in.Text, MessageID: in.Metadata.Payload["message_id"], Raw: raw}
	for _, a := range in.Attachments {
		m.Color = a.Color
		for _, b := range a.Blocks {
			for _, e := range b.Elements {
				m.Buttons = append(m.Buttons, e.URL)
			}
		}
	}
	return in, m, ""
}

func (s *Slack) post(r *http.Request) alertAnswer {
	_, m, refused := readSlack(r)
	if refused != "" {
		return slackError(refused)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	m.TS = fmt.Sprintf("%d.%06d", s.now().Unix(), len(s.messages)+1)
	s.messages = append(s.messages, m)
	s.took(m.TS, "post", m.Text)
	return alertAnswer{body: map[string]any{"ok": true, "channel": SlackRoom, "ts": m.TS, "message": map[string]any{"text": m.Text}}}
}

func (s *Slack) update(r *http.Request) alertAnswer {
	in, m, refused := readSlack(r)
	if refused != "" {
		return slackError(refused)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.IndexFunc(s.messages, func(known SlackMessage) bool { return known.TS == in.TS })
	if i < 0 {
		return slackError("message_not_found")
	}
	m.TS, m.MessageID, m.Updates = in.TS, s.messages[i].MessageID, s.messages[i].Updates+1
	s.messages[i] = m
	s.took(m.TS, "update", m.Text)
	return alertAnswer{body: map[string]any{"ok": true, "channel": SlackRoom, "ts": m.TS, "text": m.Text}}
}
