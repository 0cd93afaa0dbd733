package simulate

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// WebhookSecret is what a pretend listener checks signatures with.
const WebhookSecret = "whsec_c2ltdWxhdGVkLXNlY3JldC1vZi0zMi1ieXRlcy0wMQ=="

// webhookTolerance is how far the time of a delivery may lie from the listener's (Standard Webhooks: five minutes).
const webhookTolerance = 5 * time.Minute

// WebhookDelivery is what a listener took.
type WebhookDelivery struct {
	ID    string // webhook-id
	Type  string
	Title string
	Body  json.RawMessage
	Times int // how often it came
}

// Webhook is a pretend listener of the owner's: it checks the signature by the rules of Standard Webhooks, and takes each
// webhook-id once.
type Webhook struct {
	*alertDesk
	deliveries []WebhookDelivery
}

// NewWebhook returns a listener that has heard nothing. It listens at any path.
func NewWebhook(o AlertOptions) *Webhook {
	w := &Webhook{alertDesk: newAlertDesk("webhook", o, func(d *alertDesk, _ *http.Request, status int) alertAnswer {
		return alertAnswer{status, d.waiting(status), http.StatusText(status)}
	})}
	w.handler = alertHandler(w.take)
	return w
}

// Deliveries lists what came, oldest first, each once.
func (w *Webhook) Deliveries() []WebhookDelivery {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.deliveries)
}

func (w *Webhook) take(r *http.Request) alertAnswer {
	body, err := io.ReadAll(r.Body)
	if err != nil || r.Method != http.MethodPost {
		return w.refuse(w.alertDesk, r, http.StatusBadRequest)
	}
	id, stamp := r.Header.Get("Webhook-Id"), r.Header.Get("Webhook-Timestamp")
	seconds, err := strconv.ParseInt(stamp, 10, 64)
	age := w.now().Sub(time.Unix(seconds, 0)).Abs()
	if err != nil || age > webhookTolerance || !isSigned(id, stamp, body, r.Header.Get("Webhook-Signature")) {
		return w.refuse(w.alertDesk, r, http.StatusUnauthorized)
	}
	var what struct {
		Type string `json:"type"`
		Data struct {
			Title string `json:"title"`
		} `json:"data"`
	}
	if json.Unmarshal(body, &what) != nil {
		return w.refuse(w.alertDesk, r, http.StatusBadRequest)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if i := slices.IndexFunc(w.deliveries, func(d WebhookDelivery) bool { return d.ID == id }); i >= 0 {
		w.deliveries[i].Times++
		return alertAnswer{body: "known"}
	}
	w.deliveries = append(w.deliveries, WebhookDelivery{id, what.Type, what.Data.Title, body, 1})
	w.took(id, what.Type, what.Data.Title)
	return alertAnswer{body: "thank you"}
}

func isSigned(id, stamp string, body []byte, signatures string) bool {
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(WebhookSecret, "whsec_"))
	if err != nil {
		panic("simulate: the secret is no base64")
	}
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(id + "." + stamp + "." + string(body)))
	want := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
	return id != "" && slices.ContainsFunc(strings.Fields(signatures), func(s string) bool { return hmac.Equal([]byte(s), []byte(want)) })
}
