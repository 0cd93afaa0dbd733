package simulate

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// DiscordWebhook is the address of the webhook of a pretend Discord, as if it were the real one's: only its path counts.
const DiscordWebhook = "https://discord.com/api/webhooks/123456789012345678/simulated-simulated-simulated-token"

// DiscordMessage is a message in the channel.
type DiscordMessage struct {
	ID          string
	Title       string
	Description string
	Color       int
	Edits       int
}

// Discord is a pretend Discord with one webhook. It posts the same twice when it is asked twice, as the real one does.
type Discord struct {
	*alertDesk
	messages []DiscordMessage
	removed  bool
}

// NewDiscord returns a webhook of an empty channel.
func NewDiscord(o AlertOptions) *Discord {
	d := &Discord{alertDesk: newAlertDesk("discord", o, discordRefusal)}
	d.handler = alertHandler(d.call)
	return d
}

// Messages lists what stands in the channel, oldest first.
func (d *Discord) Messages() []DiscordMessage {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.messages)
}

// Remove removes the webhook, as anybody who manages the channel can.
func (d *Discord) Remove() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.removed = true
}

var discordErrors = map[int]struct {
	code int
	text string
}{400: {50035, "Invalid Form Body"}, 401: {50027, "Invalid Webhook Token"}, 403: {50013, "Missing Permissions"}, 404: {10015, "Unknown Webhook"}}

func discordRefusal(d *alertDesk, _ *http.Request, status int) alertAnswer {
	if status == http.StatusTooManyRequests {
		return alertAnswer{status, d.waiting(status), map[string]any{"message": "You are being rate limited.", "retry_after": float64(d.retryAfter()) + 0.25, "global": false}}
	}
	known := discordErrors[status]
	if known.text == "" {
		known.text = fmt.Sprintf("%d: %s", status, http.StatusText(status))
	}
	return alertAnswer{status, nil, map[string]any{"message": known.text, "code": known.code}}
}

func (d *Discord) call(r *http.Request) alertAnswer {
	path := strings.TrimPrefix(DiscordWebhook, "https://discord.com")
	rest, ok := strings.CutPrefix(r.URL.Path, path)
	d.mu.Lock()
	isThere := !d.removed
	d.mu.Unlock()
	message, isMessage := strings.CutPrefix(rest, "/messages/")
	switch {
	case !ok && strings.HasPrefix(r.URL.Path, path[:strings.LastIndexByte(path, '/')]):
		return discordRefusal(d.alertDesk, r, http.StatusUnauthorized)
	case !ok || !isThere:
		return discordRefusal(d.alertDesk, r, http.StatusNotFound)
	case rest == "" && r.Method == http.MethodGet:
		return alertAnswer{body: map[string]any{"id": "123456789012345678", "type": 1, "name": "Makegood", "channel_id": "199737254929760256"}}
	case rest == "" && r.Method == http.MethodPost:
		return d.post(r)
	case isMessage && r.Method == http.MethodPatch:
		return d.edit(r, message)
	}
	return alertAnswer{http.StatusMethodNotAllowed, nil, map[string]any{"message": "405: Method Not Allowed", "code": 0}}
}

func readDiscord(r *http.Request) (DiscordMessage, bool) {
	var in struct {
		Content string `json:"content"`
		Embeds  []struct {
			Title       string `json:"title"`
			Description string `json:"description"`
			Color       int    `json:"color"`
		} `json:"embeds"`
	}
	if json.NewDecoder(r.Body).Decode(&in) != nil || in.Content == "" && len(in.Embeds) == 0 || len([]rune(in.Content)) > 2000 {
		return DiscordMessage{}, false
	}
	m := DiscordMessage{Title: in.Content}
	for _, e := range in.Embeds {
		if len([]rune(e.Title)) > 256 || len([]rune(e.Description)) > 4096 {
			return DiscordMessage{}, false
		}
		m.Title, m.Description, m.Color = e.Title, e.Description, e.Color
	}
	return m, true
}

// post answers with the message only if it was asked to wait for it.
func (d *Discord) post(r *http.Request) alertAnswer {
	m, ok := readDiscord(r)
	if !ok {
		return discordRefusal(d.alertDesk, r, http.StatusBadRequest)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	m.ID = fmt.Sprintf("1123456789%08d", len(d.messages)+1)
	d.messages = append(d.messages, m)
	d.took(m.ID, "post", m.Title)
	if r.URL.Query().Get("wait") != "true" {
		return alertAnswer{status: http.StatusNoContent, body: ""}
	}
	return alertAnswer{body: map[string]any{"id": m.ID, "type": 0, "content": m.Title}}
}

func (d *Discord) edit(r *http.Request, id string) alertAnswer {
	m, ok := readDiscord(r)
	if !ok {
		return discordRefusal(d.alertDesk, r, http.StatusBadRequest)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	i := slices.IndexFunc(d.messages, func(known DiscordMessage) bool { return known.ID == id })
	if i < 0 {
		return alertAnswer{http.StatusNotFound, nil, map[string]any{"message": "Unknown Message", "code": 10008}}
	}
	m.ID, m.Edits = id, d.messages[i].Edits+1
	d.messages[i] = m
	d.took(id, "edit", m.Title)
	return alertAnswer{body: map[string]any{"id": id, "type": 0}}
}
