package mail

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/outbound"
	"github.com/makegood/makegood/internal/secret"
)

// ResendURL is the address of Resend's API.
const ResendURL = "https://api.resend.com"

// Resend sends by the HTTP API of resend.com. The official client flattens nearly all errors into a sentence, in which
// "sent already" and "try again" cannot be told apart; this one reads the names of Resend's error table.
type Resend struct {
	client  *outbound.Client
	baseURL string
	key     secret.Value
	now     func() time.Time
}

// NewResend makes a sender. An empty baseURL is ResendURL. It refuses an empty key, one that cannot be a header, and an
// address that is not plain http or https. A nil client or now panics.
func NewResend(c *outbound.Client, baseURL string, key secret.Value, now func() time.Time) (*Resend, error) {
	if c == nil || now == nil {
		panic("mail: NewResend without a client or a clock")
	}
	if key.Empty() {
		return nil, makegood.Errorf(makegood.Invalid, "The API key of Resend is empty.")
	}
	if !printable.MatchString(key.Reveal()) {
		return nil, makegood.Errorf(makegood.Invalid, "The API key of Resend has blanks or line breaks in it.")
	}
	if baseURL == "" {
		baseURL = ResendURL
	}
	u, err := url.Parse(baseURL)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, makegood.Errorf(makegood.Invalid, "The address of Resend is not a plain https address.")
	}
	return &Resend{client: c, baseURL: strings.TrimRight(baseURL, "/"), key: key, now: now}, nil
}

// Ready returns a *makegood.Snooze while Resend is left alone after repeated failures.
func (r *Resend) Ready() error { return r.client.Ready(http.MethodPost, r.baseURL+"/emails") }

// RemembersFor returns 24 hours: for so long Resend answers a repetition under the same key without sending again.
func (r *Resend) RemembersFor() time.Duration { return resendRemembers }

// payload is the body of POST /emails. It is a struct, and its tags a sorted list, so that the same message is the same
// bytes: Resend compares them under one key.
type payload struct {
	From    string            `json:"from"`
	To      []string          `json:"to"`
	ReplyTo string            `json:"reply_to,omitempty"`
	Subject string            `json:"subject"`
	Text    string            `json:"text,omitempty"`
	HTML    string            `json:"html,omitempty"`
	Headers map[string]string `json:"headers,omitempty"`
	Tags    []tag             `json:"tags,omitempty"`
}

type tag struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

func (m Message) payload() payload {
	p := payload{From: m.From, To: []string{m.To}, ReplyTo: m.ReplyTo, Subject: m.Subject, Text: m.Text, HTML: m.HTML, Headers: m.Headers}
	m.sortedTags(func(name, value string) { p.Tags = append(p.Tags, tag{name, value}) })
	return p
}

// Send hands m over to Resend. It may be repeated with the same message for RemembersFor, and sends it once. Its errors
// are those of Sender; besides:
//
//   - ErrPayloadChanged (permanent): another content has gone out under this key;
//   - ErrConfiguration: the key, the sender's domain or the address of the API is wrong;
//   - ErrQuota (snooze): nothing can be sent until the quota is renewed or raised;
//   - ErrUncertain: the answer was lost, or was no answer.
func (r *Resend) Send(ctx context.Context, m Message) (Receipt, error) {
	if err := m.Validate(); err != nil {
		return Receipt{}, err
	}
	body, err := marshal(m.payload())
	if err != nil {
		return Receipt{}, permanent(makegood.Wrap(err, makegood.Internal, "The mail cannot be written."))
	}
	resp, err := r.do(ctx, http.MethodPost, "/emails", body, m.IdempotencyKey)
	if err != nil {
		return Receipt{}, lostAnswer(err)
	}
	if resp.Status < 200 || resp.Status > 299 {
		return Receipt{}, r.refusal(resp)
	}
	var accepted struct {
		ID string `json:"id"`
	}
	if err := json.Unmarshal(resp.Body, &accepted); err != nil || !remoteID.MatchString(accepted.ID) {
		return Receipt{}, uncertain(fmt.Errorf("resend: status %d without an id", resp.Status))
	}
	return Receipt{Via: "resend", RemoteID: accepted.ID, AcceptedAt: r.now().UTC()}, nil
}

// Check asks for the list of domains, within the client's deadline. A key that may only send is refused there by a name
// of its own, which proves that it is known.
func (r *Resend) Check(ctx context.Context) error {
	resp, err := r.do(ctx, http.MethodGet, "/domains", nil, "")
	if err != nil {
		return fmt.Errorf("asking resend: %w", err)
	}
	if resp.Status >= 200 && resp.Status <= 299 || errorName(resp) == "restricted_api_key" {
		return nil
	}
	return r.refusal(resp)
}

func (r *Resend) do(ctx context.Context, method, path string, body []byte, idempotencyKey string) (*outbound.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, r.baseURL+path, bytes.NewReader(body))
	if err != nil {
		return nil, misconfigured("the address of Resend's API")
	}
	req.Header.Set("Authorization", "Bearer "+r.key.Reveal())
	req.Header.Set("Accept", "application/json")
	if idempotencyKey != "" {
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Idempotency-Key", idempotencyKey)
	}
	return r.client.Do(ctx, req)
}

// lostAnswer tells a message that never left from one that may have been accepted.
func lostAnswer(err error) error {
	err = fmt.Errorf("sending by resend: %w", err)
	if outbound.MaybeSent(err) {
		return uncertain(err)
	}
	return err
}

// refusal turns an answer into what to do, by status and the name in Resend's error table. Only the name is repeated:
// the message beside it quotes addresses.
func (r *Resend) refusal(resp *outbound.Response) error {
	name := errorName(resp)
	said := fmt.Errorf("resend: status %d %s", resp.Status, name)
	switch status := resp.Status; {
	case status == http.StatusConflict && name == "invalid_idempotent_request":
		return permanent(fmt.Errorf("%w: %w", said, ErrPayloadChanged))
	case status == http.StatusConflict && name == "concurrent_idempotent_requests":
		return &makegood.Snooze{For: r.wait(resp, concurrentWait), Err: uncertain(said)}
	case status == http.StatusTooManyRequests && strings.Contains(name, "quota"):
		return &makegood.Snooze{For: r.wait(resp, quotaWait), Err: fmt.Errorf("%w: %w", said, ErrQuota)}
	case status == http.StatusTooManyRequests:
		return &makegood.Snooze{For: r.wait(resp, rateWait), Err: said}
	case status == http.StatusUnprocessableEntity && name == "invalid_from_address":
		return permanent(misconfigured("%v", said))
	case status == http.StatusUnprocessableEntity, status == http.StatusBadRequest, status == http.StatusRequestEntityTooLarge:
		return permanent(said)
	case status >= 500, status == http.StatusRequestTimeout:
		return uncertain(said)
	case status == http.StatusConflict:
		return said
	}
	// 401 and 403; 404, 405 and redirects, which mean that the address is not Resend's; and whatever is yet to come.
	return misconfigured("%v", said)
}

// wait returns what Retry-After asks for, or usual.
func (r *Resend) wait(resp *outbound.Response, usual time.Duration) time.Duration {
	asked, ok := outbound.RetryAfter(resp.Header, r.now())
	if !ok {
		return usual
	}
	return max(asked, waitMin)
}

var (
	tableName = regexp.MustCompile(`^[a-z][a-z_]{0,63}$`)
	remoteID  = regexp.MustCompile(`^[A-Za-z0-9_-]{1,128}$`)
)

// errorName returns the name of Resend's error, or "unknown"; nothing else of the body leaves this function.
func errorName(resp *outbound.Response) string {
	var body struct {
		Name string `json:"name"`
	}
	if err := json.Unmarshal(resp.Body, &body); err != nil || !tableName.MatchString(body.Name) {
		return "unknown"
	}
	return body.Name
}
