package paypal

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/outbound"
	"github.com/makegood/makegood/internal/provider/extract"
)

// tokens keeps the access token (OAuth 2.0, client credentials). Of several callers that need a new one, one asks and the
// others wait for it. The zero value is empty and ready.
type tokens struct {
	mu      sync.Mutex
	token   string
	renewAt time.Time // by our clock, before it ends
	asking  *tokenRequest
}

type tokenRequest struct {
	done  chan struct{} // closed when token and err are set
	token string
	err   error
}

// token returns an access token that is good for a while. PayPal refused the token named stale, if that is not "".
//
// The request goes on when its first caller gives up, because others may wait for it; package outbound bounds it.
func (s *PayPal) token(ctx context.Context, stale string) (string, error) {
	t := &s.tokens
	t.mu.Lock()
	if t.token != "" && t.token == stale {
		t.token = ""
	}
	if t.token != "" && s.now().Before(t.renewAt) {
		defer t.mu.Unlock()
		return t.token, nil
	}
	if other := t.asking; other != nil {
		t.mu.Unlock()
		select {
		case <-other.done:
			return other.token, other.err
		case <-ctx.Done():
			return "", makegood.Wrap(ctx.Err(), makegood.ProviderFailed, "PayPal did not answer in time.")
		}
	}
	mine := &tokenRequest{done: make(chan struct{}), err: makegood.Errorf(makegood.ProviderFailed, "PayPal gave no token.")}
	t.asking = mine
	t.mu.Unlock()

	var lifetime time.Duration
	defer func() { // also if the request panics, so that nobody waits for ever
		t.mu.Lock()
		defer t.mu.Unlock()
		t.asking = nil
		if mine.err == nil {
			t.token, t.renewAt = mine.token, s.now().Add(lifetime-min(tokenMargin, lifetime/10))
		}
		close(mine.done)
	}()
	mine.token, lifetime, mine.err = s.requestToken(context.WithoutCancel(ctx))
	return mine.token, mine.err
}

func (s *PayPal) requestToken(ctx context.Context) (token string, lifetime time.Duration, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.baseURL+"/v1/oauth2/token", strings.NewReader("grant_type=client_credentials"))
	if err != nil {
		return "", 0, makegood.Wrap(err, makegood.Internal, "A request to PayPal cannot be made.")
	}
	req.SetBasicAuth(s.clientID, s.clientSecret.Reveal())
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept", "application/json")
	resp, err := s.http.Do(ctx, req)
	if err != nil {
		return "", 0, makegood.Wrap(err, makegood.ProviderFailed, "PayPal cannot be reached, or did not answer in time.")
	}
	if resp.Status != http.StatusOK {
		return "", 0, s.refusedToken(resp)
	}
	answer, ok := extract.Object(resp.Body)
	token = answer.Get("access_token").String()
	seconds, isWhole := extract.Whole(answer.Get("expires_in"))
	if !ok || token == "" || !extract.IsPlain(token) || !isWhole || seconds > 1<<31 {
		return "", 0, makegood.Errorf(makegood.ProviderFailed, "PayPal gave a token that cannot be read (request %s).", requestID(resp))
	}
	return token, time.Duration(seconds) * time.Second, nil
}

// refusedToken tells wrong credentials, which PayPal answers with 400 or 401, from trouble that passes.
func (s *PayPal) refusedToken(resp *outbound.Response) error {
	if resp.Status == http.StatusUnauthorized || resp.Status == http.StatusBadRequest || resp.Status == http.StatusForbidden {
		return makegood.Errorf(makegood.Unavailable, "PayPal refuses the client id and secret of source %s: they are wrong, revoked or of the other mode (%s).", s.name, told(resp))
	}
	return s.refusal(resp)
}
