package notify

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/outbound"
	"github.com/makegood/makegood/internal/secret"
)

// WebhookOptions describe a listener of the owner's.
type WebhookOptions struct {
	URL    string       // where to post; it may hold a secret in its path or query
	Secret secret.Value // whsec_ and the base64 of 24 to 64 bytes
	HTTP   *outbound.Client
	Now    func() time.Time
}

// Webhook posts JSON, signed by the rules of Standard Webhooks 1.0.0 (https://www.standardwebhooks.com): the headers
// webhook-id, webhook-timestamp and webhook-signature, HMAC-SHA256 over "id.timestamp.body". webhook-id is the ID of the
// message, the same on every repetition, so that the listener can tell. Any 2xx is a receipt. See WebhookBody for the body.
type Webhook struct {
	service
	key []byte
}

// WebhookBody is what a listener is told. It only ever grows.
type WebhookBody struct {
	Type      string      `json:"type"`      // alert.opened, alert.resolved, or alert.test, of which nobody has to hear
	Timestamp time.Time   `json:"timestamp"` // when it was put into words
	Data      WebhookData `json:"data"`
}

// WebhookData is a message for people and programs.
type WebhookData struct {
	ID        string           `json:"id"`       // webhook-id
	Priority  string           `json:"priority"` // P0 to P3
	Title     string           `json:"title"`
	Body      string           `json:"body"`
	Link      string           `json:"link,omitempty"`
	AckLink   string           `json:"ack_link,omitempty"` // a POST to it acknowledges
	Incidents []string         `json:"incidents"`
	Earlier   []WebhookEarlier `json:"earlier,omitempty"` // what was told before and ends now
}

// WebhookEarlier is a message of the past.
type WebhookEarlier struct {
	ID   string `json:"id"`
	Open int    `json:"open"` // how many of its incidents are not over yet
}

// The bounds of Standard Webhooks for a symmetric key, in bytes.
const (
	webhookKeyMin = 24
	webhookKeyMax = 64
)

// NewWebhook makes the channel and connects to nothing.
func NewWebhook(o WebhookOptions) (*Webhook, error) {
	if o.HTTP == nil || o.Now == nil {
		panic("notify: a webhook without a client or a clock")
	}
	if !isPlainURL(o.URL) || strings.Contains(o.URL, "#") {
		return nil, refuse("webhook", "the address is not a plain http or https address")
	}
	encoded, ok := strings.CutPrefix(o.Secret.Reveal(), "whsec_")
	key, err := base64.StdEncoding.Strict().DecodeString(encoded)
	if !ok || err != nil || !isHeader(encoded) || len(key) < webhookKeyMin || len(key) > webhookKeyMax {
		return nil, refuse("webhook", "the secret is not whsec_ and the base64 of 24 to 64 bytes")
	}
	return &Webhook{service: service{kind: "webhook", base: o.URL, http: o.HTTP, now: o.Now}, key: key}, nil
}

// Send posts the message.
func (w *Webhook) Send(ctx context.Context, m Message) (Receipt, error) {
	kind := "alert.opened"
	if m.Kind == makegood.NoticeResolved {
		kind = "alert.resolved"
	}
	body := WebhookBody{Type: kind, Timestamp: m.At.UTC(), Data: WebhookData{ID: m.ID, Priority: string(m.Priority), Title: m.Title, Body: m.Body,
		Link: m.Link, AckLink: m.AckLink, Incidents: append([]string{}, m.Incidents...)}}
	for _, e := range m.Earlier {
		body.Data.Earlier = append(body.Data.Earlier, WebhookEarlier{e.MessageID, e.Open})
	}
	return Receipt{RemoteID: m.ID}, w.post(ctx, m.ID, body)
}

// Test posts a body of type alert.test.
func (w *Webhook) Test(ctx context.Context) error {
	at := w.now().UTC()
	id := "test_" + strconv.FormatInt(at.UnixMilli(), 10)
	return undoubted(w.post(ctx, id, WebhookBody{Type: "alert.test", Timestamp: at, Data: WebhookData{ID: id, Priority: string(makegood.P3),
		Title: "Makegood test", Body: "This channel is tested from time to time. Nothing is wrong.", Incidents: []string{}}}))
}

func (w *Webhook) post(ctx context.Context, id string, what WebhookBody) error {
	body, err := json.Marshal(what)
	if err != nil {
		return &Error{Channel: w.kind, Reason: ReasonClient, Err: err}
	}
	timestamp := strconv.FormatInt(w.now().Unix(), 10)
	mac := hmac.New(sha256.New, w.key)
	mac.Write([]byte(id + "." + timestamp + "."))
	mac.Write(body)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, w.base, bytes.NewReader(body))
	if err != nil {
		panic("unreachable: the address was read before: webhook")
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Webhook-Id", id)
	req.Header.Set("Webhook-Timestamp", timestamp)
	req.Header.Set("Webhook-Signature", "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	req.Header.Set("Idempotency-Key", id) // lets the standard library repeat on a connection that was dead
	_, err = w.do(ctx, req, nil)
	return err
}
