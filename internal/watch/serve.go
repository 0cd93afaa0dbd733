package watch

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/outbound"
	"github.com/makegood/makegood/internal/secret"
)

// After an outage that the watcher's side mended, the server has work to do again for whoever paid meanwhile. It is asked to,
// signed with the secret of their beats: only what it would do by itself in time is brought forward, so a question that is heard
// twice does no harm, and one that is old is refused.

// ServePath is where a server is asked to serve those who waited.
const ServePath = "/watch/serve"

// ServeHeader carries the signature of the question and of its answer.
const ServeHeader = "Makegood-Serve"

// ServeBytesMax bounds a question and its answer.
const ServeBytesMax = 16 << 10

// ServeAsk is what a server is asked.
type ServeAsk struct {
	Since   time.Time `json:"since"` // the first red look
	Ended   time.Time `json:"ended"` // when it was well again
	Attempt string    `json:"attempt,omitempty"`
	At      time.Time `json:"at"`
	Nonce   string    `json:"nonce"`
}

// ServeAnswer is what it answers.
type ServeAnswer struct {
	Nonce   string        `json:"nonce"`
	Waited  int           `json:"waited"`
	Waiting int           `json:"waiting"`
	Longest time.Duration `json:"longest_ns"`
	Pulled  int           `json:"pulled"`
	Again   int           `json:"again"`
	Note    string        `json:"note,omitempty"`
}

func signServe(key secret.Value, side string, body []byte) string {
	h := hmac.New(sha256.New, []byte(key.Reveal()))
	h.Write([]byte("makegood serve v1\x00" + side + "\x00"))
	h.Write(body)
	return hex.EncodeToString(h.Sum(nil))
}

// AskServe asks the server at an address to serve those who waited.
func AskServe(ctx context.Context, way *outbound.Client, url string, key secret.Value, ask ServeAsk) (ServeAnswer, error) {
	var answer ServeAnswer
	ask.Nonce = rand.Text()
	body, err := json.Marshal(ask)
	if err != nil {
		return answer, err
	}
	req, err := http.NewRequest(http.MethodPost, url+ServePath, bytes.NewReader(body))
	if err != nil {
		return answer, errors.New("the address of the server is none")
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set(ServeHeader, signServe(key, "ask", body))
	resp, err := way.Do(ctx, req)
	switch {
	case err != nil:
		return answer, makegood.Wrap(err, makegood.Unavailable, "The server does not answer.")
	case resp.Status == http.StatusNotFound || resp.Status == http.StatusMethodNotAllowed:
		return answer, makegood.Errorf(makegood.NotFound, "The server is older than its watcher: it cannot be asked to serve those who waited.")
	case resp.Status != http.StatusOK:
		return answer, makegood.Wrap(fmt.Errorf("status %d", resp.Status), makegood.Unavailable, "The server could not serve those who waited.")
	case !hmac.Equal([]byte(resp.Header.Get(ServeHeader)), []byte(signServe(key, "answer", resp.Body))):
		return answer, makegood.Errorf(makegood.Unauthorized, "The answer is not signed with the shared secret.")
	}
	if err := json.Unmarshal(resp.Body, &answer); err != nil || answer.Nonce != ask.Nonce {
		return answer, makegood.Errorf(makegood.Invalid, "The answer is that of another question.")
	}
	return answer, nil
}

// AnswerServe proves a question of the watcher and answers it. A forged question is makegood.Unauthorized, an old one
// makegood.Conflict.
func AnswerServe(ctx context.Context, key secret.Value, body []byte, signature string, now time.Time,
	serve func(ctx context.Context, ask ServeAsk) (ServeAnswer, error)) (answer []byte, answerSignature string, err error) {
	if key.Empty() || !hmac.Equal([]byte(signature), []byte(signServe(key, "ask", body))) {
		return nil, "", makegood.Errorf(makegood.Unauthorized, "This question is not signed with the secret that server and watcher share.")
	}
	var ask ServeAsk
	if err := json.Unmarshal(body, &ask); err != nil {
		return nil, "", makegood.Errorf(makegood.Invalid, "This question cannot be read.")
	}
	if age := now.Sub(ask.At); age > lookFresh || age < -lookFresh {
		return nil, "", makegood.Errorf(makegood.Conflict, "This question is too old, or the clocks differ.")
	}
	done, err := serve(ctx, ask)
	if err != nil {
		return nil, "", err
	}
	done.Nonce = ask.Nonce
	if answer, err = json.Marshal(done); err != nil {
		return nil, "", err
	}
	return answer, signServe(key, "answer", answer), nil
}
