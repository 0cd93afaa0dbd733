package pages

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/makegood/makegood/internal/host"
)

// Check looks at the token, lets Cloudflare verify it, and reads the project. What cannot be proved without writing is that the token
// may write: Cloudflare has no dry run, and its verify call does not tell permissions.
func (t *Target) Check(ctx context.Context) error {
	if t.look != nil {
		if d := t.look(t.token()); d != nil {
			return d
		}
	}
	if err := t.verify(ctx); err != nil {
		return err
	}
	_, err := t.readProject(ctx)
	return err
}

// tokenState is the answer of a verify call.
type tokenState struct {
	Status    string     `json:"status"`
	NotBefore *time.Time `json:"not_before"`
	ExpiresOn *time.Time `json:"expires_on"`
}

// verify asks whether the token is valid. Users' tokens and those of an account have a call each and are unknown to the other one. An
// old token of 40 characters does not say whose it is, so both are asked.
func (t *Target) verify(ctx context.Context) error {
	ofUser, ofAccount := "/user/tokens/verify", "/accounts/"+t.account+"/tokens/verify"
	switch {
	case t.isOfUser():
		return t.verifyAt(ctx, ofUser)
	case t.isOfAccount():
		return t.verifyAt(ctx, ofAccount)
	}
	first := t.verifyAt(ctx, ofUser)
	if unknown := (*refusal)(nil); host.FaultOf(first) != host.Revoked || !errors.As(first, &unknown) {
		return first
	}
	second := t.verifyAt(ctx, ofAccount)
	if fault := host.FaultOf(second); fault == host.PermissionMissing || fault == host.PlaceMissing {
		return first
	}
	return second
}

// verifyAt asks one of the two calls.
func (t *Target) verifyAt(ctx context.Context, path string) error {
	var s tokenState
	if err := t.send(ctx, http.MethodGet, path, nil, &s); err != nil {
		return err
	}
	return t.judge(s)
}

// judge says what a state means. A token before its time is still called active, and one past it may be for a moment.
func (t *Target) judge(s tokenState) error {
	now := t.now()
	switch {
	case s.Status == "expired" && s.ExpiresOn != nil, s.ExpiresOn != nil && s.ExpiresOn.Add(clockTolerance).Before(now):
		return t.tokenFault(host.Expired, "The Cloudflare token has expired on "+day(*s.ExpiresOn)+": make a new one, or give it a later end.", nil)
	case s.Status == "expired":
		return t.tokenFault(host.Expired, "The Cloudflare token has expired: make a new one, or give it a later end.", nil)
	case s.Status == "disabled":
		return t.tokenFault(host.Revoked, "The Cloudflare token is switched off: switch it on, or make a new one.", nil)
	case s.NotBefore != nil && s.NotBefore.Add(-clockTolerance).After(now):
		return t.tokenFault(host.NotYet, "The Cloudflare token is not valid before "+day(*s.NotBefore)+": give it an earlier start.", nil)
	case s.Status != "active":
		return t.tokenFault(host.Revoked, "Cloudflare does not call the token active: look at it, or make a new one.", nil)
	}
	return nil
}

func day(at time.Time) string { return at.UTC().Format("2 January 2006, 15:04 UTC") }
