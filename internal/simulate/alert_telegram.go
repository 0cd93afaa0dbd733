package simulate

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// The token and the chat of a pretend Telegram.
const (
	TelegramToken = "123456789:AAsimulatedsimulatedsimulatedsimul1"
	TelegramRoom  = "-1001234567890"
)

// TelegramMessage is a message in the chat.
type TelegramMessage struct {
	ID      int
	Text    string
	Silent  bool
	Buttons []string // addresses
}

// Telegram is a pretend Telegram with one bot in one chat. It refuses buttons to addresses that are not public, and sends
// the same twice when it is asked twice, as the real one does.
type Telegram struct {
	*alertDesk
	messages []TelegramMessage
}

// NewTelegram returns an empty chat.
func NewTelegram(o AlertOptions) *Telegram {
	t := &Telegram{alertDesk: newAlertDesk("telegram", o, telegramRefusal)}
	t.handler = alertHandler(t.call)
	return t
}

// Messages lists what stands in the chat, oldest first.
func (t *Telegram) Messages() []TelegramMessage {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.messages)
}

var telegramTexts = map[int]string{400: "Bad Request: chat not found", 401: "Unauthorized", 403: "Forbidden: bot was blocked by the user", 404: "Not Found",
	429: "Too Many Requests: retry later", 500: "Internal Server Error"}

// telegramRefusal says how long to wait in the body.
func telegramRefusal(d *alertDesk, _ *http.Request, status int) alertAnswer {
	a := telegramError(status, telegramTexts[status])
	if status == http.StatusTooManyRequests {
		a.body.(map[string]any)["parameters"] = map[string]int{"retry_after": d.retryAfter()}
	}
	return a
}

func telegramError(status int, text string) alertAnswer {
	return alertAnswer{status, nil, map[string]any{"ok": false, "error_code": status, "description": text}}
}

func (t *Telegram) call(r *http.Request) alertAnswer {
	method, ok := strings.CutPrefix(r.URL.Path, "/bot"+TelegramToken+"/")
	switch {
	case !ok && strings.HasPrefix(r.URL.Path, "/bot"):
		return telegramRefusal(t.alertDesk, r, http.StatusUnauthorized)
	case ok && method == "getMe":
		return alertAnswer{body: map[string]any{"ok": true, "result": map[string]any{"id": 123456789, "is_bot": true, "username": "makegood_bot"}}}
	case ok && method == "sendMessage":
		return t.send(r)
	}
	return telegramRefusal(t.alertDesk, r, http.StatusNotFound)
}

func (t *Telegram) send(r *http.Request) alertAnswer {
	var in struct {
		ChatID   string `json:"chat_id"`
		Text     string `json:"text"`
		Silent   bool   `json:"disable_notification"`
		Keyboard struct {
			Rows [][]struct {
				URL string `json:"url"`
			} `json:"inline_keyboard"`
		} `json:"reply_markup"`
	}
	if json.NewDecoder(r.Body).Decode(&in) != nil {
		return telegramError(http.StatusBadRequest, "Bad Request: can't parse JSON object")
	}
	switch {
	case in.ChatID != TelegramRoom:
		return telegramRefusal(t.alertDesk, r, http.StatusBadRequest)
	case in.Text == "":
		return telegramError(http.StatusBadRequest, "Bad Request: message text is empty")
	case len([]rune(in.Text)) > 4096:
		return telegramError(http.StatusBadRequest, "Bad Request: message is too long")
	}
	m := TelegramMessage{Text: in.Text, Silent: in.Silent}
	for _, row := range in.Keyboard.Rows {
		for _, b := range row {
			u, err := url.Parse(b.URL)
			if err != nil || !strings.Contains(u.Hostname(), ".") {
				return telegramError(http.StatusBadRequest, "Bad Request: inline keyboard button URL '"+b.URL+"' is invalid: Wrong HTTP URL")
			}
			m.Buttons = append(m.Buttons, b.URL)
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	m.ID = len(t.messages) + 1
	t.messages = append(t.messages, m)
	t.took(TelegramRoom, "send", m.Text)
	return alertAnswer{body: map[string]any{"ok": true, "result": map[string]any{"message_id": m.ID, "text": m.Text, "date": t.now().Unix()}}}
}
