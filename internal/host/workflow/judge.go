package workflow

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/host"
	"github.com/makegood/makegood/internal/outbound"
)

// tokensPage is where tokens are made and mended.
const tokensPage = "https://github.com/settings/tokens"

// thing is what a request was about, for what 404 means.
type thing string

const (
	aRepository thing = "repository"
	aWorkflow   thing = "workflow"
	aRun        thing = "run"
)

var (
	errNoDetails = errors.New("the server does not know return_run_details")
	errNoTrigger = errors.New("the workflow cannot be dispatched")
)

func diagnose(f host.Fault, sentence string, err error) *host.Diagnosis {
	return &host.Diagnosis{Fault: f, Sentence: sentence, Page: tokensPage, Err: err}
}

// unread is an answer of success that is not understood.
func unread() error {
	return &host.Diagnosis{Fault: host.PlatformDown, Sentence: "What answers in the place of GitHub is not understood. Wait, or correct the address of the API in the configuration."}
}

// unreached judges a request without a whole answer.
func unreached(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("%w: %w", ctx.Err(), err)
	}
	return &host.Diagnosis{Fault: host.PlatformDown, Sentence: "GitHub does not answer. Wait, or mend the place by hand.", Page: "https://www.githubstatus.com", Err: err}
}

// remember keeps when the token ends, as GitHub says with every answer to one that ends at all.
func (t *Target) remember(h http.Header) {
	text := h.Get("Github-Authentication-Token-Expiration")
	for _, layout := range []string{"2006-01-02 15:04:05 MST", "2006-01-02 15:04:05 -0700"} {
		if at, err := time.Parse(layout, text); err == nil {
			t.expires.Store(at.Unix())
			return
		}
	}
}

func (t *Target) isExpired() bool {
	at := t.expires.Load()
	return at != 0 && t.o.Now().Unix() >= at
}

// judge says what a status means. GitHub has no codes for its refusals, so the reasons for 403 and 422 are known by their
// text; one that is not known is a missing permission, which is what 403 says.
func (t *Target) judge(resp *outbound.Response, of thing) error {
	var said struct {
		Message string `json:"message"`
	}
	_ = json.Unmarshal(resp.Body, &said) // what is no JSON has no message
	says := func(text string) bool { return strings.Contains(said.Message, text) }
	cause := fmt.Errorf("github: status %d", resp.Status)
	switch status := resp.Status; {
	case status >= 200 && status <= 299:
		return nil
	case status == http.StatusUnauthorized:
		return t.ended(cause)
	case status == http.StatusForbidden, status == http.StatusTooManyRequests:
		return t.forbidden(resp, says, cause)
	case status == http.StatusNotFound && of == aRun:
		return makegood.Wrap(cause, makegood.NotFound, "GitHub has no such run.")
	case status == http.StatusNotFound, status == http.StatusGone, status >= 300 && status <= 399:
		return t.missing(of, cause)
	case status >= 500:
		return &host.Diagnosis{Fault: host.PlatformDown, Sentence: "GitHub answers with errors of its own. Wait, or mend the place by hand.", Page: "https://www.githubstatus.com", Err: cause}
	case says("return_run_details"):
		return errNoDetails
	}
	d := diagnose(host.NotStarted, fmt.Sprintf("GitHub does not take the dispatch of %s on %s. It needs the trigger workflow_dispatch, the inputs attempt and target, and must be there on that branch.", t.o.Workflow, t.o.Ref), cause)
	d.Page = "https://github.com/" + t.o.Repo + "/actions"
	if says("workflow_dispatch") || says("inputs") || says("input ") {
		d.Err = fmt.Errorf("%w: %w", errNoTrigger, cause)
	}
	return d
}

// ended is 401: GitHub does not say why, but it has said before when the token would end.
func (t *Target) ended(cause error) error {
	if t.isExpired() {
		return diagnose(host.Expired, "The GitHub token has expired. Make a new one and put it in the place of the old one.", cause)
	}
	return diagnose(host.Revoked, "GitHub does not know the token: it was deleted, revoked or has expired, or it was never valid. Make a new one and put it in the place of the old one.", cause)
}

func (t *Target) forbidden(resp *outbound.Response, says func(string) bool, cause error) error {
	wait, asked := outbound.RetryAfter(resp.Header, t.o.Now())
	switch {
	case asked, resp.Header.Get("X-Ratelimit-Remaining") == "0", says("rate limit"), resp.Status == http.StatusTooManyRequests:
		return &host.Diagnosis{Fault: host.Limited, Sentence: "GitHub asks us to wait, because there were too many requests with this token.",
			Err: fmt.Errorf("%w, retry after %v", cause, wait)}
	case says("IP allow list"):
		d := diagnose(host.AddressDenied, fmt.Sprintf("The GitHub token is valid, and the organisation of %s does not let it in from the address of this machine. Add the address to its IP allow list.", t.o.Repo), cause)
		d.Page = "https://github.com/organizations/" + strings.Split(t.o.Repo, "/")[0] + "/settings/security"
		return d
	case says("SAML"):
		return diagnose(host.PermissionMissing, fmt.Sprintf("The GitHub token is valid, and not authorised for the single sign-on of the organisation of %s. Authorise it with Configure SSO.", t.o.Repo), cause)
	}
	return diagnose(host.PermissionMissing, fmt.Sprintf("The GitHub token is valid, and may not dispatch workflows of %s. Give it the repository and the permission Actions: read and write, or the scope repo when it is a classic one.", t.o.Repo), cause)
}

func (t *Target) missing(of thing, cause error) error {
	if of == aRepository {
		return diagnose(host.PlaceMissing, fmt.Sprintf("GitHub shows no repository %s to this token: it does not exist, was renamed, or the token has no access to it. Correct the name, or give the token access to the repository.", t.o.Repo), cause)
	}
	return diagnose(host.PlaceMissing, fmt.Sprintf("GitHub shows no workflow %s in %s to this token: the file is not on the default branch, or the token may not read Actions. Correct the name, or give the token the permission Actions.", t.o.Workflow, t.o.Repo), cause)
}
