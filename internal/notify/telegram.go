package notify

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"regexp"
	"strconv"
	"time"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/outbound"
	"github.com/makegood/makegood/internal/secret"
)

// TelegramOptions describe a chat with a Telegram bot.
type TelegramOptions struct {
	Base  string       // of the API; https://api.telegram.org by default
	Token secret.Value // of the bot, such as 123456789:AA…
	Room  string       // id of the chat, a number, or @name of a public channel
	HTTP  *outbound.Client
	Now   func() time.Time
}

// Telegram sends to a chat by the Bot API (https://core.telegram.org/bots/api). The token stands in the path of every
// address, so no address leaves this file. Telegram knows no repetition: the same message twice is two messages.
type Telegram struct {
	service
	token secret.Value
	room  string
}

var (
	telegramToken = regexp.MustCompile(`^[0-9]{5,20}:[A-Za-z0-9_-]{30,60}$`)
	telegramRoom  = regexp.MustCompile(`^(?:-?[0-9]{1,20}|@[A-Za-z][A-Za-z0-9_]{3,31})$`)
)

// NewTelegram makes the channel and connects to nothing.
func NewTelegram(o TelegramOptions) (*Telegram, error) {
	s, err := newService("telegram", o.Base, "https://api.telegram.org", o.HTTP, o.Now)
	switch {
	case err != nil:
		return nil, err
	case !telegramToken.MatchString(o.Token.Reveal()):
		return nil, refuse("telegram", "the token is not that of a bot: a number, a colon, and at least 30 characters")
	case !telegramRoom.MatchString(o.Room):
		return nil, refuse("telegram", "the room is not the number of a chat, nor the @name of a channel")
	}
	return &Telegram{service: s, token: o.Token, room: o.Room}, nil
}

type telegramMessage struct {
	ChatID   string            `json:"chat_id"`
	Text     string            `json:"text"`
	Silent   bool              `json:"disable_notification,omitempty"`
	Preview  telegramPreview   `json:"link_preview_options"`
	Keyboard *telegramKeyboard `json:"reply_markup,omitempty"`
}

type telegramPreview struct {
	Disabled bool `json:"is_disabled"` // a preview would fetch the link to acknowledge
}

type telegramKeyboard struct {
	Rows [][]telegramButton `json:"inline_keyboard"`
}

type telegramButton struct {
	Text string `json:"text"`
	URL  string `json:"url"`
}

var telegramMarks = map[makegood.Priority]string{makegood.P0: "🚨", makegood.P1: "⚠️", makegood.P2: "⚠️", makegood.P3: "ℹ️"}

func (t *Telegram) message(m Message) telegramMessage {
	mark := telegramMarks[m.Priority]
	if m.Kind == makegood.NoticeResolved {
		mark = "✅"
	}
	out := telegramMessage{ChatID: t.room, Text: cut(mark+" "+m.Title+"\n\n"+m.Body, telegramTextMax), Silent: m.Priority == makegood.P3, Preview: telegramPreview{true}}
	var row []telegramButton
	if m.AckLink != "" {
		row = append(row, telegramButton{"Acknowledge", m.AckLink})
	}
	if m.Link != "" {
		row = append(row, telegramButton{"Open", m.Link})
	}
	if row != nil {
		out.Keyboard = &telegramKeyboard{[][]telegramButton{row}}
	}
	return out
}

// Send sends. Telegram refuses buttons to addresses that are not public (400), such as localhost; then the same goes out
// once more with the links in the text.
func (t *Telegram) Send(ctx context.Context, m Message) (Receipt, error) {
	out := t.message(m)
	said, err := t.call(ctx, "sendMessage", out)
	var refused *Error
	if errors.As(err, &refused) && refused.Status == http.StatusBadRequest && out.Keyboard != nil {
		out.Text = cut(out.Text, telegramTextMax/2)
		for _, b := range out.Keyboard.Rows[0] {
			out.Text += "\n" + b.Text + ": " + b.URL
		}
		out.Text, out.Keyboard = cut(out.Text, telegramTextMax), nil
		said, err = t.call(ctx, "sendMessage", out)
	}
	if err != nil {
		return Receipt{}, err
	}
	if said.Result.MessageID == 0 {
		return Receipt{}, t.unread(&outbound.Response{Status: http.StatusOK})
	}
	return Receipt{RemoteID: strconv.FormatInt(said.Result.MessageID, 10)}, nil
}

type telegramAnswer struct {
	OK         bool `json:"ok"`
	ErrorCode  int  `json:"error_code"`
	Parameters struct {
		RetryAfter int `json:"retry_after"` // seconds
	} `json:"parameters"`
	Result struct {
		MessageID int64 `json:"message_id"`
		ID        int64 `json:"id"`
	} `json:"result"`
}

// call calls a method. How long to wait stands in the body.
func (t *Telegram) call(ctx context.Context, method string, body any) (telegramAnswer, error) {
	var said telegramAnswer
	resp, err := t.do(ctx, t.json(ctx, http.MethodPost, "/bot"+t.token.Reveal()+"/"+method, body), func(body []byte) string {
		if json.Unmarshal(body, &said) != nil || said.ErrorCode == 0 {
			return ""
		}
		return strconv.Itoa(said.ErrorCode)
	})
	var refused *Error
	if errors.As(err, &refused) {
		if said.Parameters.RetryAfter > 0 && refused.Reason == ReasonRateLimit {
			refused.RetryAfter = min(time.Duration(min(said.Parameters.RetryAfter, 1e6))*time.Second, retryAfterMax)
		}
		if refused.Status == http.StatusNotFound && said.ErrorCode == http.StatusNotFound {
			refused.Reason = ReasonAuth // a token that Telegram does not know is an address that it does not know
		}
		if refused.Status == http.StatusForbidden {
			refused.Reason = ReasonClient // the bot was blocked, or is not in the chat
		}
		return said, err
	}
	if err != nil {
		return said, err
	}
	if json.Unmarshal(resp.Body, &said) != nil || !said.OK {
		return said, t.unread(resp)
	}
	return said, nil
}

// Test asks who the bot is (getMe), and sends nothing.
func (t *Telegram) Test(ctx context.Context) error {
	_, err := t.call(ctx, "getMe", struct{}{})
	return undoubted(err)
}
