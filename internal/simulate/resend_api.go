package simulate

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// resendError is an answer in Resend's error form.
type resendError struct {
	StatusCode int    `json:"statusCode"`
	Name       string `json:"name"`
	Message    string `json:"message"`
}

func (e *resendError) answer() answer {
	body, err := json.Marshal(e)
	if err != nil {
		panic("simulate: " + err.Error()) // unreachable: strings and a number
	}
	return answer{status: e.StatusCode, body: body}
}

// resendErrors are the names of Resend's errors with the status and message of each (resend-node's codes table and the
// documentation's list of errors).
var resendErrors = map[string]resendError{
	"missing_api_key":                {401, "missing_api_key", "Missing API Key"},
	"restricted_api_key":             {401, "restricted_api_key", "This API key is restricted to only send emails"},
	"invalid_api_key":                {403, "invalid_api_key", "API key is invalid"},
	"not_found":                      {404, "not_found", "The requested endpoint does not exist"},
	"method_not_allowed":             {405, "method_not_allowed", "Method not allowed"},
	"invalid_idempotency_key":        {400, "invalid_idempotency_key", "The key must be between 1-256 chars."},
	"invalid_idempotent_request":     {409, "invalid_idempotent_request", "Same idempotency key used with a different request payload."},
	"concurrent_idempotent_requests": {409, "concurrent_idempotent_requests", "Same idempotency key used while original request is still in progress."},
	"missing_required_field":         {422, "missing_required_field", "The request body is missing one or more required fields."},
	"invalid_from_address":           {422, "invalid_from_address", "Invalid `from` field. The email address needs to follow the `email@example.com` or `Name <email@example.com>` format."},
	"invalid_parameter":              {422, "invalid_parameter", "The parameter is not valid."},
	"validation_error":               {422, "validation_error", "There was an error with one or more fields in the request."},
	"rate_limit_exceeded":            {429, "rate_limit_exceeded", "Too many requests. You can only make a limited number of requests per second."},
	"daily_quota_exceeded":           {429, "daily_quota_exceeded", "You have reached your daily email sending quota."},
	"monthly_quota_exceeded":         {429, "monthly_quota_exceeded", "You have reached your monthly email sending quota."},
	"security_error":                 {451, "security_error", "We may have found a security issue with the request."},
	"application_error":              {500, "application_error", "An unexpected error occurred."},
	"internal_server_error":          {500, "internal_server_error", "An unexpected error occurred."},
}

func refusal(name, message string) *resendError {
	e := resendErrors[name]
	e.Message = cmp.Or(message, e.Message)
	return &e
}

// usualNames are the error names for statuses a fault asks for without a name.
var usualNames = map[int]string{
	401: "missing_api_key", 403: "invalid_api_key", 404: "not_found", 422: "validation_error", 429: "rate_limit_exceeded",
}

// refusalFor is the error for a status and a name that a fault asks for.
func refusalFor(status int, name string) *resendError {
	e := *refusal(cmp.Or(name, usualNames[status], "application_error"), "")
	e.StatusCode, e.Name = status, cmp.Or(name, e.Name)
	e.Message = cmp.Or(e.Message, http.StatusText(status))
	return &e
}

// resendCall is one request to the API after it was read.
type resendCall struct {
	r    *http.Request
	body []byte
	now  time.Time
	key  string
}

// resendAction does what one route is for. It takes the lock itself, so that reading a large mail holds nobody up.
type resendAction func(*resendCall) (any, *resendError)

// api makes a handler of an action: check the key, misbehave if asked to, act once per Idempotency-Key, answer.
func (r *Resend) api(act resendAction) http.HandlerFunc {
	return func(w http.ResponseWriter, req *http.Request) {
		c, n, faults, refused := r.read(w, req)
		if refused != nil {
			refused.answer().write(w)
			return
		}
		if faults.FailSend != nil && n > 0 {
			if status, name := faults.FailSend(n, req); status != 0 {
				if status == http.StatusTooManyRequests {
					setRateHeaders(w.Header(), max(faults.RatePerSecond, 2), 0)
				}
				misbehave(w, req, r.stop, status, refusalFor(status, name).answer())
				return
			}
		}
		a := r.once(c, faults.Latency, act)
		if faults.FailAfter != nil && n > 0 {
			if status := faults.FailAfter(n, req); status != 0 {
				misbehave(w, req, r.stop, status, refusalFor(status, "").answer())
				return
			}
		}
		a.write(w)
	}
}

// read takes the request in, counts it (n is 0 for one that does not send) and checks key and rate.
func (r *Resend) read(w http.ResponseWriter, req *http.Request) (c *resendCall, n int, faults ResendFaults, refused *resendError) {
	c = &resendCall{r: req, key: req.Header.Get("Idempotency-Key")}
	bodyRefused := c.readBody(w)
	r.mu.Lock()
	defer r.mu.Unlock()
	if req.Method == http.MethodPost {
		r.calls++
		n = r.calls
	}
	c.now = r.options.Now()
	refused = r.admit(w, req)
	if refused == nil {
		refused = bodyRefused
	}
	return c, n, r.faults, refused
}

// readBody reads the body and checks the Idempotency-Key.
func (c *resendCall) readBody(w http.ResponseWriter) *resendError {
	body, err := readBody(w, c.r)
	if err != nil {
		return refusal("validation_error", "The request body could not be read.")
	}
	c.body = body
	c.r.Body = io.NopCloser(bytes.NewReader(body)) // a fault may want to look at it
	if _, isGiven := c.r.Header["Idempotency-Key"]; isGiven && (c.key == "" || len([]rune(c.key)) > resendKeyMax) {
		return refusal("invalid_idempotency_key", "")
	}
	return nil
}

// admit checks the API key and the rate.
func (r *Resend) admit(w http.ResponseWriter, req *http.Request) *resendError {
	key, hasKey := strings.CutPrefix(req.Header.Get("Authorization"), "Bearer ")
	switch {
	case !hasKey || key == "":
		return refusal("missing_api_key", "")
	case key != r.options.APIKey:
		return refusal("invalid_api_key", "")
	case r.faults.RatePerSecond <= 0:
		return nil
	}
	limit := r.faults.RatePerSecond
	left := r.window.admit(r.options.Now(), limit)
	setRateHeaders(w.Header(), limit, left)
	if left < 0 {
		return refusal("rate_limit_exceeded", "Too many requests. You can only make "+strconv.Itoa(limit)+" requests per second.")
	}
	return nil
}

// setRateHeaders tells how much of the second is left, in the IETF draft's names that Resend uses.
func setRateHeaders(h http.Header, limit, left int) {
	h.Set("Ratelimit-Limit", strconv.Itoa(limit))
	h.Set("Ratelimit-Remaining", strconv.Itoa(max(left, 0)))
	h.Set("Ratelimit-Reset", "1")
	if left <= 0 {
		h.Set("Retry-After", "1")
	}
}

// once acts, or repeats what an earlier request with the same Idempotency-Key was answered. Only acceptance is
// remembered. The payload is compared byte by byte: a mail rendered anew is a different one.
func (r *Resend) once(c *resendCall, latency time.Duration, act resendAction) answer {
	isKeyed := c.r.Method == http.MethodPost && c.key != ""
	if isKeyed {
		print := bytesPrint(c.r.URL.Path, c.body)
		r.mu.Lock()
		earlier, state := r.keys.begin(c.key, print, c.now)
		r.mu.Unlock()
		switch state {
		case keyIsDone:
			return earlier
		case keyIsBusy:
			return refusal("concurrent_idempotent_requests", "").answer()
		case keyIsOther:
			return refusal("invalid_idempotent_request", "").answer()
		}
	}
	waitFor(c.r.Context(), r.stop, latency)
	object, refused := act(c)
	if refused != nil {
		r.endKey(isKeyed, func() { r.keys.release(c.key) })
		return refused.answer()
	}
	a := answerOf(object, nil, "")
	r.endKey(isKeyed, func() { r.keys.finish(c.key, a) })
	return a
}

func bytesPrint(path string, body []byte) (print [32]byte) {
	h := sha256.New()
	h.Write([]byte(path + "\n"))
	h.Write(body)
	h.Sum(print[:0])
	return print
}

func (r *Resend) endKey(isKeyed bool, end func()) {
	if isKeyed {
		r.mu.Lock()
		defer r.mu.Unlock()
		end()
	}
}

func methodNotAllowed(*resendCall) (any, *resendError) { return nil, refusal("method_not_allowed", "") }
