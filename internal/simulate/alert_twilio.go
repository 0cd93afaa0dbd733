package simulate

import (
	"context"
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
)

// The account of a pretend Twilio, and numbers that are refused, the same as at the real one's test credentials.
const (
	TwilioAccount  = "AC00000000000000000000000000000001"
	TwilioToken    = "51a0000000000000000000000000d1a1"
	TwilioInvalid  = "+15005550001" // 21211
	TwilioOptedOut = "+15005550004" // 21610
)

// TwilioOptions are what a pretend Twilio is made of.
type TwilioOptions struct {
	AlertOptions
	// Fate says what becomes of a message that has a StatusCallback: delivered, undelivered or failed, and Twilio's code
	// of why; "" leaves it sent. It is asked once, and told of After the acceptance. Nil calls nobody back by itself.
	Fate  func(TwilioMessage) (status, code string)
	After time.Duration
	// HTTP calls back; http.DefaultClient by default.
	HTTP *http.Client
}

// TwilioMessage is an SMS.
type TwilioMessage struct {
	SID            string
	To, From, Body string
	StatusCallback string
	Status         string
}

// Twilio is a pretend Twilio that writes to nobody: the account, its messages, and signed status call-backs. The same
// request twice is two messages, as at the real one.
type Twilio struct {
	*alertDesk
	options  TwilioOptions
	messages []TwilioMessage
	calling  sync.WaitGroup
}

// NewTwilio returns an account without messages.
func NewTwilio(o TwilioOptions) *Twilio {
	t := &Twilio{alertDesk: newAlertDesk("sms", o.AlertOptions, twilioRefusal), options: o}
	if t.options.HTTP == nil {
		t.options.HTTP = http.DefaultClient
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /2010-04-01/Accounts/{account}/Messages.json", alertHandler(t.send))
	mux.HandleFunc("GET /2010-04-01/Accounts/{account}", alertHandler(t.account))
	mux.HandleFunc("/", alertHandler(func(r *http.Request) alertAnswer { return twilioRefusal(t.alertDesk, r, http.StatusNotFound) }))
	t.handler = mux
	return t
}

// Close ends answers that hang, and waits for call-backs under way.
func (t *Twilio) Close() {
	t.alertDesk.Close()
	t.calling.Wait()
}

// Messages lists the messages, oldest first.
func (t *Twilio) Messages() []TwilioMessage {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.messages)
}

// twilioCodes are Twilio's codes (its error dictionary) for a status.
var twilioCodes = map[int]struct {
	code int
	text string
}{
	400: {21211, "Invalid 'To' Phone Number"}, 401: {20003, "Authenticate"}, 403: {20403, "Forbidden"},
	404: {20404, "The requested resource was not found"}, 429: {20429, "Too Many Requests"}, 500: {20500, "Internal Server Error"},
}

func twilioRefusal(d *alertDesk, _ *http.Request, status int) alertAnswer {
	known := twilioCodes[status]
	return twilioError(status, known.code, known.text, d.waiting(status))
}

func twilioError(status, code int, text string, header map[string]string) alertAnswer {
	return alertAnswer{status, header, map[string]any{"code": code, "message": text,
		"more_info": fmt.Sprintf("https://www.twilio.com/docs/errors/%d", code), "status": status}}
}

func twilioKnows(r *http.Request, account string) bool {
	user, password, _ := r.BasicAuth()
	return user == TwilioAccount && password == TwilioToken && account == TwilioAccount
}

func (t *Twilio) account(r *http.Request) alertAnswer {
	if !twilioKnows(r, strings.TrimSuffix(r.PathValue("account"), ".json")) {
		return twilioRefusal(t.alertDesk, r, http.StatusUnauthorized)
	}
	return alertAnswer{body: map[string]any{"sid": TwilioAccount, "status": "active", "friendly_name": "Simulated"}}
}

var twilioNumber = regexp.MustCompile(`^\+[1-9][0-9]{6,14}$`)

func (t *Twilio) send(r *http.Request) alertAnswer {
	if !twilioKnows(r, r.PathValue("account")) {
		return twilioRefusal(t.alertDesk, r, http.StatusUnauthorized)
	}
	if err := r.ParseForm(); err != nil {
		return twilioRefusal(t.alertDesk, r, http.StatusBadRequest)
	}
	f := r.PostForm
	m := TwilioMessage{To: f.Get("To"), From: f.Get("From") + f.Get("MessagingServiceSid"), Body: f.Get("Body"), StatusCallback: f.Get("StatusCallback"), Status: "queued"}
	switch {
	case m.To == TwilioInvalid || !twilioNumber.MatchString(m.To):
		return twilioError(http.StatusBadRequest, 21211, "Invalid 'To' Phone Number: "+m.To, nil)
	case m.To == TwilioOptedOut:
		return twilioError(http.StatusBadRequest, 21610, "Attempt to send to unsubscribed recipient "+m.To, nil)
	case m.From == "":
		return twilioError(http.StatusBadRequest, 21603, "A 'From' phone number is required.", nil)
	case m.Body == "":
		return twilioError(http.StatusBadRequest, 21602, "Message body is required.", nil)
	case len([]rune(m.Body)) > 1600:
		return twilioError(http.StatusBadRequest, 21617, "The concatenated message body exceeds the 1600 character limit", nil)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	m.SID = newHex(t.rand, "SM", 32)
	t.messages = append(t.messages, m)
	t.took(m.SID, "send", m.Body)
	if t.options.Fate != nil && m.StatusCallback != "" {
		t.calling.Go(func() { t.meetFate(m) })
	}
	return alertAnswer{status: http.StatusCreated, body: map[string]any{"sid": m.SID, "status": m.Status, "to": m.To, "from": m.From, "error_code": nil}}
}

// meetFate calls back by itself.
func (t *Twilio) meetFate(m TwilioMessage) {
	ctx, cancel := context.WithTimeout(context.Background(), t.options.After+deliveryTimeout)
	defer cancel()
	waitFor(ctx, t.stop, t.options.After)
	if status, code := t.options.Fate(m); status != "" {
		_, _ = t.CallBack(ctx, m.SID, status, code) // whoever does not listen misses it, as at the real one
	}
}

// CallBack sets the status of a message and tells its StatusCallback, signed; code is Twilio's of why it failed. It returns
// the status of the answer.
func (t *Twilio) CallBack(ctx context.Context, sid, status, code string) (int, error) {
	t.mu.Lock()
	i := slices.IndexFunc(t.messages, func(m TwilioMessage) bool { return m.SID == sid })
	if i < 0 {
		t.mu.Unlock()
		return 0, fmt.Errorf("simulate: there is no message %q", sid)
	}
	t.messages[i].Status = status
	m := t.messages[i]
	t.mu.Unlock()
	form := url.Values{"MessageSid": {sid}, "SmsSid": {sid}, "MessageStatus": {status}, "SmsStatus": {status}, "To": {m.To}, "From": {m.From},
		"AccountSid": {TwilioAccount}, "ApiVersion": {"2010-04-01"}}
	if code != "" {
		form.Set("ErrorCode", code)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, m.StatusCallback, strings.NewReader(form.Encode()))
	if err != nil {
		return 0, err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("X-Twilio-Signature", SignTwilio(TwilioToken, m.StatusCallback, form))
	resp, err := t.options.HTTP.Do(r)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, io.LimitReader(resp.Body, answerBytesMax))
	return resp.StatusCode, err
}

// SignTwilio returns the value of X-Twilio-Signature: the base64 of the HMAC-SHA1 over the address and the fields of the
// form, sorted by name.
func SignTwilio(token, address string, form url.Values) string {
	text := address
	for _, name := range slices.Sorted(maps.Keys(form)) {
		text += name + form.Get(name)
	}
	mac := hmac.New(sha1.New, []byte(token))
	mac.Write([]byte(text))
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}
