package notify

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/makegood/makegood/internal/outbound"
	"github.com/makegood/makegood/internal/secret"
)

// SMSOptions describe a Twilio account and whom it writes to.
type SMSOptions struct {
	Base    string       // of the API; https://api.twilio.com by default
	Account string       // the account's SID, AC and 32 hexadecimal digits
	Token   secret.Value // the account's auth token, which also signs the status call-backs
	From    string       // a number with + and country, a messaging service (MG…), or a name of up to 11 letters and digits
	To      []string     // numbers with + and country
	// StatusCallback is where Twilio tells what became of a message; see VerifyTwilio and TwilioStatus. "" is nowhere.
	StatusCallback string
	// Skipped is told when a number is refused for good while others were reached: its position in To, from 1. It must not
	// block; nil is nobody.
	Skipped func(position int, why *Error)
	HTTP    *outbound.Client
	Now     func() time.Time
}

// SMS writes to numbers by Twilio (https://www.twilio.com/docs/messaging/api/message-resource), one request each. Twilio
// knows no repetition of a request: an attempt whose answer was lost may be told twice.
//
// The RemoteID of a message are the SIDs of its numbers, with commas; a status call-back names one of them.
type SMS struct {
	service
	recipients
	account, from, callback string
	token                   secret.Value
}

var (
	twilioAccount = regexp.MustCompile(`^AC[0-9a-f]{32}$`)
	twilioService = regexp.MustCompile(`^MG[0-9a-f]{32}$`)
	twilioMessage = regexp.MustCompile(`^(?:SM|MM)[0-9a-f]{32}$`)
	senderName    = regexp.MustCompile(`^[A-Za-z0-9 ]{0,10}[A-Za-z][A-Za-z0-9 ]{0,10}$`)
	e164          = regexp.MustCompile(`^\+[1-9][0-9]{6,14}$`)
)

// NewSMS makes the channel and connects to nothing.
func NewSMS(o SMSOptions) (*SMS, error) {
	s, err := newService("sms", o.Base, "https://api.twilio.com", o.HTTP, o.Now)
	isName := len(o.From) <= 11 && senderName.MatchString(o.From)
	switch {
	case err != nil:
		return nil, err
	case !twilioAccount.MatchString(o.Account):
		return nil, refuse("sms", "the account is not AC and 32 hexadecimal digits")
	case o.Token.Empty() || !isHeader(o.Token.Reveal()):
		return nil, refuse("sms", "the token is empty, or has blanks or line breaks in it")
	case !e164.MatchString(o.From) && !twilioService.MatchString(o.From) && !isName:
		return nil, refuse("sms", "the sender is neither a number such as +15005550006, nor a messaging service, nor a name of up to 11 letters and digits")
	case len(o.To) == 0 || len(o.To) > recipientsMax:
		return nil, refuse("sms", "it needs 1 to 20 numbers")
	case slices.ContainsFunc(o.To, func(n string) bool { return !e164.MatchString(n) }):
		return nil, refuse("sms", "a number does not have the form +15005550006")
	case o.StatusCallback != "" && !isPlainURL(o.StatusCallback):
		return nil, refuse("sms", "the address for status call-backs is not a plain http or https address")
	}
	to := slices.Clone(o.To)
	slices.Sort(to)
	if len(slices.Compact(to)) != len(o.To) {
		return nil, refuse("sms", "a number is there twice")
	}
	return &SMS{service: s, recipients: recipients{all: slices.Clone(o.To), skipped: o.Skipped}, account: o.Account, from: o.From,
		callback: o.StatusCallback, token: o.Token}, nil
}

// Send writes to every number that the message has not reached yet.
func (s *SMS) Send(ctx context.Context, m Message) (Receipt, error) {
	text := smsText(m)
	return s.tell(ctx, m.ID, func(ctx context.Context, to string) (string, error) { return s.write(ctx, to, text) })
}

func (s *SMS) write(ctx context.Context, to, text string) (string, error) {
	form := url.Values{"To": {to}, "Body": {text}}
	if twilioService.MatchString(s.from) {
		form.Set("MessagingServiceSid", s.from)
	} else {
		form.Set("From", s.from)
	}
	if s.callback != "" {
		form.Set("StatusCallback", s.callback)
	}
	req := s.request(ctx, http.MethodPost, "/2010-04-01/Accounts/"+s.account+"/Messages.json", "application/x-www-form-urlencoded", []byte(form.Encode()))
	req.SetBasicAuth(s.account, s.token.Reveal())
	resp, err := s.do(ctx, req, codeNumber)
	if err != nil {
		return "", err
	}
	var said struct {
		SID string `json:"sid"`
	}
	if json.Unmarshal(resp.Body, &said) != nil || !twilioMessage.MatchString(said.SID) {
		return "", s.unread(resp)
	}
	return said.SID, nil
}

// Test reads the account, and writes to nobody. An account that is suspended or closed cannot send.
func (s *SMS) Test(ctx context.Context) error {
	req := s.request(ctx, http.MethodGet, "/2010-04-01/Accounts/"+s.account+".json", "", nil)
	req.SetBasicAuth(s.account, s.token.Reveal())
	resp, err := s.do(ctx, req, codeNumber)
	if err != nil {
		return err
	}
	var said struct {
		Status string `json:"status"`
	}
	if json.Unmarshal(resp.Body, &said) != nil || said.Status == "" {
		return undoubted(s.unread(resp))
	}
	if said.Status != "active" {
		return &Error{Channel: s.kind, Reason: ReasonAuth, Status: resp.Status, Code: safeCode("account_" + said.Status)}
	}
	return nil
}

// smsText is title, a little of the body, and one link: that to acknowledge, if there is one. A link is never cut; one that
// would leave no room is left out.
func smsText(m Message) string {
	link := m.AckLink
	if link == "" {
		link = m.Link
	}
	if smsLen(link) > smsCharsMax/2 {
		link = ""
	}
	room := smsCharsMax
	if link != "" {
		room -= smsLen(link) + 1
	}
	text := gsm(m.Title)
	if body := strings.TrimSpace(gsm(m.Body)); body != "" {
		text += "\n" + body
	}
	text = smsCut(text, room)
	if link == "" {
		return text
	}
	return text + "\n" + link
}

// smsCut shortens to at most n septets.
func smsCut(text string, n int) string {
	if smsLen(text) <= n {
		return text
	}
	used := len("...")
	for i, c := range text {
		if used += smsLen(string(c)); used > n {
			return strings.TrimSpace(text[:i]) + "..."
		}
	}
	return text
}

// gsmBasic and gsmExtended are the letters of the GSM alphabet (3GPP TS 23.038) that we use; those of the second count
// twice. One letter of another alphabet would turn the whole message into UCS-2, and halve what fits into a segment.
const (
	gsmBasic    = "\n !\"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz£¥èéùìòÇØøÅåÆæßÉÄÖÑÜ§¿äöñüà"
	gsmExtended = "^{}\\[~]|€"
)

var gsmInstead = strings.NewReplacer("…", "...", "–", "-", "—", "-", "‘", "'", "’", "'", "“", `"`, "”", `"`, "„", `"`, "•", "-", "→", "->", "≥", ">=",
	"≤", "<=", "\t", " ", "\u00a0", " ", "á", "a", "ó", "o", "ú", "u", "í", "i", "ç", "Ç", "ê", "e", "â", "a", "ô", "o", "î", "i")

// gsm writes text in the GSM alphabet: what looks alike is replaced, what does not, such as an emoji, is left out.
func gsm(text string) string {
	return strings.TrimSpace(strings.Map(func(c rune) rune {
		switch {
		case strings.ContainsRune(gsmBasic, c), strings.ContainsRune(gsmExtended, c):
			return c
		case c > 0x2000 || c < ' ':
			return -1
		}
		return '?'
	}, gsmInstead.Replace(text)))
}

// smsLen counts septets.
func smsLen(text string) int {
	n := 0
	for _, c := range text {
		n++
		if strings.ContainsRune(gsmExtended, c) {
			n++
		}
	}
	return n
}
