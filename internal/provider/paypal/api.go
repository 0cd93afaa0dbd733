package paypal

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"github.com/tidwall/gjson"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/outbound"
	"github.com/makegood/makegood/internal/provider"
	"github.com/makegood/makegood/internal/provider/extract"
)

// The resources that are asked for.
const (
	ordersPath   = "/v2/checkout/orders"
	capturesPath = "/v2/payments/captures"
	refundsPath  = "/v2/payments/refunds"
	disputesPath = "/v1/customer/disputes"
	webhooksPath = "/v1/notifications/webhooks"
	eventsPath   = "/v1/notifications/webhooks-events"
)

// call is one request to the API.
type call struct {
	method    string
	path      string
	query     url.Values
	body      any    // sent as JSON; nil sends none
	requestID string // PayPal-Request-Id, which every POST has
}

func get(path ...string) call {
	target := path[0]
	for _, id := range path[1:] {
		target += "/" + url.PathEscape(id)
	}
	return call{method: http.MethodGet, path: target}
}

// keyed makes a PayPal-Request-Id: the same for the same purpose and key, of a length that every limit allows, and without
// the key itself in it. PayPal remembers it for 6 hours for orders and 45 days for captures.
func (s *PayPal) keyed(purpose, key string) string {
	sum := sha256.Sum256([]byte("makegood paypal request\x00" + s.name + "\x00" + purpose + "\x00" + key))
	return hex.EncodeToString(sum[:16])
}

// do makes the call and returns the answer's JSON object, or an error as Interpret promises it. A token that PayPal refuses
// is replaced once: it may have been revoked before its time.
func (s *PayPal) do(ctx context.Context, c call) (gjson.Result, error) {
	body, err := c.encoded()
	if err != nil {
		return gjson.Result{}, err
	}
	stale := ""
	for {
		token, err := s.token(ctx, stale)
		if err != nil {
			return gjson.Result{}, err
		}
		resp, err := s.send(ctx, c, token, body)
		if err != nil {
			return gjson.Result{}, err
		}
		switch {
		case resp.Status == http.StatusUnauthorized && stale == "":
			stale = token
			continue
		case resp.Status != http.StatusOK && resp.Status != http.StatusCreated:
			return gjson.Result{}, s.refusal(resp)
		}
		answer, ok := extract.Object(resp.Body)
		if !ok {
			return gjson.Result{}, makegood.Errorf(makegood.ProviderFailed, "PayPal answered with something that cannot be read (request %s).", requestID(resp))
		}
		return answer, nil
	}
}

func (c call) encoded() (string, error) {
	if c.body == nil {
		return "", nil
	}
	b, err := json.Marshal(c.body)
	if err != nil {
		return "", makegood.Wrap(err, makegood.Internal, "A request to PayPal cannot be made.") // unreachable: our own types
	}
	return string(b), nil
}

func (s *PayPal) send(ctx context.Context, c call, token, body string) (*outbound.Response, error) {
	target := s.baseURL + c.path
	if len(c.query) > 0 {
		target += "?" + c.query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, c.method, target, strings.NewReader(body))
	if err != nil {
		return nil, makegood.Wrap(err, makegood.Internal, "A request to PayPal cannot be made.")
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Accept", "application/json")
	if c.method == http.MethodPost {
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("PayPal-Request-Id", c.requestID)
		req.Header.Set("Prefer", "return=representation")
	}
	resp, err := s.http.Do(ctx, req)
	return resp, makegood.Wrap(err, makegood.ProviderFailed, "PayPal cannot be reached, or did not answer in time.")
}

// refusal is an answer of PayPal that is not what was asked for.
type refusal struct {
	status int
	issue  string // details[0].issue, which says why an order cannot be captured
	err    error
}

// Error returns the cause's text.
func (r *refusal) Error() string { return r.err.Error() }

// Unwrap returns the cause.
func (r *refusal) Unwrap() error { return r.err }

// issueOf returns the issue that PayPal named, or "".
func issueOf(err error) string {
	var r *refusal
	if errors.As(err, &r) {
		return r.issue
	}
	return ""
}

// refusal makes an error of an answer (PayPal, "API responses"). Of the body it repeats name, issue and debug id only: the
// descriptions may contain values of the request.
func (s *PayPal) refusal(resp *outbound.Response) error {
	return &refusal{status: resp.Status, issue: word(gjson.GetBytes(resp.Body, "details.0.issue")), err: s.meaning(resp)}
}

func (s *PayPal) meaning(resp *outbound.Response) error {
	said := told(resp)
	switch status := resp.Status; {
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		refused := makegood.Errorf(makegood.Unavailable, "PayPal does not allow it to the app of source %s: a permission is missing, or the credentials were revoked (%s).", s.name, said)
		if status == http.StatusForbidden {
			return fmt.Errorf("%w: %w", provider.ErrNotAllowed, refused)
		}
		return refused
	case status == http.StatusNotFound:
		return makegood.Errorf(makegood.NotFound, "PayPal does not know it (%s).", said)
	case status == http.StatusTooManyRequests:
		return s.snooze(resp, makegood.Errorf(makegood.RateLimited, "PayPal asks us to slow down (%s).", said))
	case status == http.StatusServiceUnavailable && resp.Header.Get("Retry-After") != "":
		return s.snooze(resp, makegood.Errorf(makegood.ProviderFailed, "PayPal is not available just now (%s).", said))
	case status == http.StatusConflict:
		// Another request under the same PayPal-Request-Id is still running.
		return &makegood.Snooze{For: snoozeDefault, Err: makegood.Errorf(makegood.Conflict, "PayPal is busy with the same request (%s).", said)}
	case status >= 400 && status < 500 && status != http.StatusRequestTimeout:
		return &makegood.Permanent{Err: makegood.Errorf(makegood.ProviderFailed, "PayPal rejects our request (%s).", said)}
	}
	return makegood.Errorf(makegood.ProviderFailed, "PayPal answered with an error (%s).", said)
}

func (s *PayPal) snooze(resp *outbound.Response, err error) error {
	wait, ok := outbound.RetryAfter(resp.Header, s.now())
	if !ok {
		wait = snoozeDefault
	}
	return &makegood.Snooze{For: max(wait, snoozeMin), Err: err}
}

// told is what may be shown of a refusal. The token's endpoint calls the name "error".
func told(resp *outbound.Response) string {
	name := word(gjson.GetBytes(resp.Body, "name"))
	if name == "" {
		name = word(gjson.GetBytes(resp.Body, "error"))
	}
	if issue := word(gjson.GetBytes(resp.Body, "details.0.issue")); issue != "" {
		name += " " + issue
	}
	if name == "" {
		name = "unknown"
	}
	return fmt.Sprintf("status %d, name %s, request %s", resp.Status, name, requestID(resp))
}

// shortWord is what PayPal's error names, issues and debug ids are made of.
var shortWord = regexp.MustCompile(`^[A-Za-z0-9_]{1,64}$`)

func word(r gjson.Result) string {
	if r.Type != gjson.String || !shortWord.MatchString(r.Str) {
		return ""
	}
	return strings.Clone(r.Str)
}

// requestID is what PayPal's support asks for.
func requestID(resp *outbound.Response) string {
	if id := word(gjson.GetBytes(resp.Body, "debug_id")); id != "" {
		return id
	}
	if id := resp.Header.Get("Paypal-Debug-Id"); shortWord.MatchString(id) {
		return id
	}
	return "unknown"
}

// Check lists the app's webhooks, the cheapest read that needs a token, and looks for ours among them: a webhook that
// somebody deleted is silence, which nobody notices otherwise. One that is found is enough.
func (s *PayPal) Check(ctx context.Context) error {
	answer, err := s.do(ctx, get(webhooksPath))
	if err != nil {
		return err
	}
	for _, registered := range answer.Get("webhooks").Array() {
		if s.isOurs(extract.Identifier(registered.Get("id"))) {
			return nil
		}
	}
	return makegood.Errorf(makegood.Unavailable, "None of the webhooks of source %s is registered at PayPal, so nothing is delivered.", s.name)
}
