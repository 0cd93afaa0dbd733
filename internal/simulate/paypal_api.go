package simulate

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// paypalAction does what one route of the API is for, while the lock is held, and returns the object to answer with; nil
// is an answer without a body.
type paypalAction func(*paypalCall) (any, *paypalError)

// paypalCall is one request to the API after it was read and its token was found good.
type paypalCall struct {
	r    *http.Request
	body []byte
	now  time.Time
	made bool // answer 201
}

func (c *paypalCall) id() string { return c.r.PathValue("id") }

// paypalError is an answer in PayPal's error form.
type paypalError struct {
	status  int
	Name    string         `json:"name"`
	Message string         `json:"message"`
	DebugID string         `json:"debug_id"`
	Details []paypalDetail `json:"details,omitempty"`
}

type paypalDetail struct {
	Issue       string `json:"issue"`
	Description string `json:"description"`
}

func paypalRefused(status int, name, issue, description string) *paypalError {
	e := &paypalError{status: status, Name: name, Message: http.StatusText(status)}
	if issue != "" {
		e.Details = []paypalDetail{{issue, description}}
	}
	return e
}

func unprocessable(issue, description string) *paypalError {
	return paypalRefused(http.StatusUnprocessableEntity, "UNPROCESSABLE_ENTITY", issue, description)
}

func paypalInvalid(issue, description string) *paypalError {
	return paypalRefused(http.StatusBadRequest, "INVALID_REQUEST", issue, description)
}

func paypalNoSuch(*paypalCall) (any, *paypalError) {
	return nil, paypalRefused(http.StatusNotFound, "RESOURCE_NOT_FOUND", "INVALID_RESOURCE_ID", "The specified resource does not exist.")
}

func noSuchObject() *paypalError {
	_, problem := paypalNoSuch(nil)
	return problem
}

// paypalAsked is the error PayPal would have for a status that a fault asks for.
func paypalAsked(status int) *paypalError {
	name := "INTERNAL_SERVER_ERROR"
	switch {
	case status == http.StatusUnauthorized:
		name = "AUTHENTICATION_FAILURE"
	case status == http.StatusForbidden:
		name = "NOT_AUTHORIZED"
	case status == http.StatusTooManyRequests:
		name = "RATE_LIMIT_REACHED"
	case status == http.StatusServiceUnavailable:
		name = "SERVICE_UNAVAILABLE"
	case status < 500:
		name = "INVALID_REQUEST"
	}
	return paypalRefused(status, name, "", "")
}

func answerPayPal(object any, problem *paypalError) answer {
	status := http.StatusOK
	if problem != nil {
		problem.DebugID = "f1d8a0b2c4e6"
		object, status = problem, problem.status
	}
	body, err := json.Marshal(object)
	if err != nil {
		panic("simulate: " + err.Error()) // unreachable: our own types
	}
	return answer{status: status, body: body}
}

// paypalKey is what was answered under a PayPal-Request-Id.
type paypalKey struct {
	print  [32]byte
	answer answer
	until  time.Time
}

// api makes a handler of an action: check the token, misbehave if asked to, act once per PayPal-Request-Id, answer.
func (p *PayPal) api(act paypalAction) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, err := readBody(w, r)
		if err != nil {
			answerPayPal(nil, paypalInvalid("MALFORMED_REQUEST", "The body cannot be read.")).write(w)
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body)) // a fault may want to look at it
		faults := p.currentFaults()
		if status := ask(faults.FailAPI, r); status != 0 {
			p.misbehave(w, r, faults, status)
			return
		}
		waitFor(r.Context(), p.courier.stop, faults.Latency)
		a := p.act(r, body, act)
		if status := ask(faults.FailAfter, r); status != 0 {
			p.misbehave(w, r, faults, status)
			return
		}
		if a.status == http.StatusNoContent || a.status == http.StatusAccepted && string(a.body) == "null" {
			w.WriteHeader(a.status)
			return
		}
		a.write(w)
	}
}

// act answers once per key. Only what changed something is remembered; a refusal can be tried again.
func (p *PayPal) act(r *http.Request, body []byte, act paypalAction) answer {
	now := p.begin()
	defer p.mu.Unlock()
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if until := p.tokens[token]; !ok || !now.Before(until) {
		return answerPayPal(nil, paypalAsked(http.StatusUnauthorized))
	}
	key := r.Header.Get("PayPal-Request-Id")
	isKeyed := r.Method == http.MethodPost && key != ""
	print := sha256.Sum256([]byte(r.Method + " " + r.URL.Path + "\n" + string(body)))
	if isKeyed {
		if len(key) > paypalKeyMax {
			return answerPayPal(nil, paypalInvalid("INVALID_STRING_LENGTH", "PayPal-Request-Id is too long."))
		}
		if earlier, ok := p.keys[key]; ok && now.Before(earlier.until) {
			if earlier.print != print {
				return answerPayPal(nil, unprocessable("DUPLICATE_REQUEST_ID", "The value of PayPal-Request-Id header has already been used."))
			}
			return earlier.answer
		}
	}
	c := &paypalCall{r: r, body: body, now: now}
	object, problem := act(c)
	a := answerPayPal(object, problem)
	if problem == nil && c.made {
		a.status = http.StatusCreated
	}
	if problem == nil && object == nil {
		a.status = http.StatusNoContent
	}
	if isKeyed && problem == nil {
		lifetime := paypalOrderKeyLifetime
		if strings.HasPrefix(r.URL.Path, "/v2/payments/") || strings.HasSuffix(r.URL.Path, "/capture") {
			lifetime = paypalPaymentKeyLifetime
		}
		p.keys[key] = paypalKey{print: print, answer: a, until: now.Add(lifetime)}
	}
	return a
}

// read decodes the body and refuses what it does not know, so that a misspelt field is found.
func (c *paypalCall) read(into any) *paypalError {
	if len(bytes.TrimSpace(c.body)) == 0 {
		return nil
	}
	d := json.NewDecoder(bytes.NewReader(c.body))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return paypalInvalid("MALFORMED_REQUEST_JSON", err.Error())
	}
	return nil
}

// giveToken is OAuth 2.0 with client credentials.
func (p *PayPal) giveToken(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, requestBytesMax)
	grant := r.PostFormValue("grant_type") // read before anything hangs, or a client that gives up is not noticed
	faults := p.currentFaults()
	if status := ask(faults.FailAPI, r); status != 0 {
		p.misbehave(w, r, faults, status)
		return
	}
	waitFor(r.Context(), p.courier.stop, faults.Latency)
	id, secret, _ := r.BasicAuth()
	w.Header().Set("Content-Type", "application/json")
	if id != p.options.ClientID || secret != p.options.ClientSecret || grant != "client_credentials" {
		w.WriteHeader(http.StatusUnauthorized)
		fmt.Fprint(w, `{"error":"invalid_client","error_description":"Client Authentication failed"}`)
		return
	}
	now := p.begin()
	defer p.mu.Unlock()
	token := newID(p.options.Rand, "A21AA", 60)
	for known, until := range p.tokens {
		if !now.Before(until) {
			delete(p.tokens, known)
		}
	}
	p.tokens[token] = now.Add(p.options.TokenLifetime)
	fmt.Fprintf(w, `{"scope":"openid","access_token":%q,"token_type":"Bearer","app_id":"APP-SIMULATED","expires_in":%d,"nonce":"n"}`,
		token, int(p.options.TokenLifetime/time.Second))
}

// RevokeTokens makes every token that was given invalid before its time.
func (p *PayPal) RevokeTokens() {
	p.mu.Lock()
	defer p.mu.Unlock()
	clear(p.tokens)
}
