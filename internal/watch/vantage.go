package watch

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"time"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/outbound"
	"github.com/makegood/makegood/internal/probe"
	"github.com/makegood/makegood/internal/secret"
)

// A second vantage is another watcher that is asked before something is believed. It looks only at what its own
// configuration has under the same name, so nobody can make it look anywhere else.

// LookPath is where a watcher takes looks for another.
const LookPath = "/watch/look"

// LookHeader carries the signature of a question and of its answer.
const LookHeader = "Makegood-Look"

// lookFresh is how old a question may be, on both sides of our clock.
const lookFresh = 60 * time.Second

type lookAsk struct {
	Key   string    `json:"key"`
	At    time.Time `json:"at"`
	Nonce string    `json:"nonce"`
}

type lookAnswer struct {
	Nonce   string `json:"nonce"` // of the question
	Trouble string `json:"trouble,omitempty"`
	Unknown bool   `json:"unknown,omitempty"`
}

func signLook(key secret.Value, side string, body []byte) string {
	h := hmac.New(sha256.New, []byte(key.Reveal()))
	h.Write([]byte("makegood look v1\x00" + side + "\x00"))
	h.Write(body)
	return hex.EncodeToString(h.Sum(nil))
}

// Vantage asks another watcher.
type Vantage struct {
	URL    string // without a slash at the end
	Secret secret.Value
	Key    string // of the monitor
	HTTP   *outbound.Client
	Now    func() time.Time
}

// Look asks. Whatever keeps us from hearing a proved answer says nothing about the thing itself.
func (v *Vantage) Look(ctx context.Context) probe.Sight {
	began := v.Now()
	unknown := probe.Sight{At: began, Unknown: true}
	ask := lookAsk{Key: v.Key, At: began, Nonce: rand.Text()}
	body, err := json.Marshal(ask)
	if err != nil {
		return unknown
	}
	req, err := http.NewRequest(http.MethodPost, v.URL+LookPath, bytes.NewReader(body))
	if err != nil {
		return unknown
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set(LookHeader, signLook(v.Secret, "ask", body))
	resp, err := v.HTTP.Do(ctx, req)
	if err != nil || resp.Status != http.StatusOK || !hmac.Equal([]byte(resp.Header.Get(LookHeader)), []byte(signLook(v.Secret, "answer", resp.Body))) {
		return unknown
	}
	var answer lookAnswer
	if err := json.Unmarshal(resp.Body, &answer); err != nil || answer.Nonce != ask.Nonce {
		return unknown
	}
	return probe.Sight{At: began, Took: v.Now().Sub(began), Trouble: answer.Trouble, Unknown: answer.Unknown}
}

// AnswerLook proves a question of another watcher and answers it with a look of our own. A forged question is
// makegood.Unauthorized, an old one makegood.Conflict.
func AnswerLook(ctx context.Context, key secret.Value, body []byte, signature string, now time.Time,
	look func(ctx context.Context, key string) (probe.Sight, error)) (answer []byte, answerSignature string, err error) {
	if key.Empty() || !hmac.Equal([]byte(signature), []byte(signLook(key, "ask", body))) {
		return nil, "", makegood.Errorf(makegood.Unauthorized, "This question is not signed with the secret that the watchers share.")
	}
	var ask lookAsk
	if err := json.Unmarshal(body, &ask); err != nil {
		return nil, "", makegood.Errorf(makegood.Invalid, "This question cannot be read.")
	}
	if age := now.Sub(ask.At); age > lookFresh || age < -lookFresh {
		return nil, "", makegood.Errorf(makegood.Conflict, "This question is too old, or the clocks differ.")
	}
	s, err := look(ctx, ask.Key)
	if err != nil {
		s = probe.Sight{Unknown: true} // we have no such monitor: nothing is known from here
	}
	if answer, err = json.Marshal(lookAnswer{ask.Nonce, s.Trouble, s.Unknown}); err != nil {
		return nil, "", err
	}
	return answer, signLook(key, "answer", answer), nil
}
