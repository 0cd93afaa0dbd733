package pages

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/host"
	"github.com/makegood/makegood/internal/outbound"
)

// The codes of Cloudflare's errors that mean something to us.
const (
	codeUnknownToken   = 1000    // "Invalid API Token": deleted, rolled, or never one
	codeHeaders        = 6003    // "Invalid request headers", with 6111 below it
	codeFormat         = 6111    // "Invalid format for Authorization header"
	codeNoRoute        = 7000    // "No route for that URI"
	codeNoObject       = 7003    // "Could not route to …, perhaps your object identifier is invalid?"
	codeUnauthorized   = 9109    // several meanings, see diagnose
	codeAuthentication = 10000   // "Authentication error": a valid token without the permission, or for another account
	codeNoProject      = 8000007 // "Project not found"
	codeNoDeployment   = 8000009 // "Deployment not found"
)

// refusal is an answer that is no success. It keeps status and codes, and nothing else of the answer.
type refusal struct {
	status int
	codes  []int
	wait   time.Duration
}

// Error names status and codes.
func (r *refusal) Error() string {
	if len(r.codes) == 0 {
		return fmt.Sprintf("cloudflare answered with status %d", r.status)
	}
	return fmt.Sprintf("cloudflare answered with status %d and code %v", r.status, r.codes)
}

func (r *refusal) has(codes ...int) bool {
	return slices.ContainsFunc(codes, func(code int) bool { return slices.Contains(r.codes, code) })
}

type problem struct {
	Code    int       `json:"code"`
	Message string    `json:"message"`
	Chain   []problem `json:"error_chain"`
}

type envelope struct {
	Success bool            `json:"success"`
	Errors  []problem       `json:"errors"`
	Result  json.RawMessage `json:"result"`
}

// call asks Cloudflare, and reads the result. When a refusal may mean that the token is not valid any more, the verify call says
// whether it does: project calls answer 10000 for many things.
func (t *Target) call(ctx context.Context, method, path string, body, into any) error {
	err := t.send(ctx, method, "/accounts/"+t.account+"/pages/projects/"+t.project+path, body, into)
	if fault := host.FaultOf(err); fault == host.PermissionMissing || fault == host.Revoked {
		why := t.verify(ctx)
		if told := host.FaultOf(why); told != "" && told.IsCredential() {
			return why
		}
	}
	return err
}

// send sends one request. An error is a *host.Diagnosis where its cause is known, and is host.ErrDoubt when Cloudflare may have done what
// was asked.
func (t *Target) send(ctx context.Context, method, path string, body, into any) error {
	if d := t.unsendable(); d != nil {
		return d
	}
	resp, err := t.http.Do(ctx, t.request(ctx, method, path, body))
	if err == nil {
		err = t.read(resp, into)
	} else {
		err = t.unreached(err)
	}
	var answered *refusal
	isDone := err != nil && method != http.MethodGet
	switch {
	case !isDone:
	case errors.As(err, &answered) && answered.status >= 400 && answered.status < 500: // its own word that nothing was done
	case !errors.As(err, &answered) && !outbound.MaybeSent(err):
	default:
		return doubt(err)
	}
	return err
}

// doubt adds host.ErrDoubt to the cause, and keeps the diagnosis.
func doubt(err error) error {
	var d *host.Diagnosis
	if errors.As(err, &d) {
		doubted := *d
		doubted.Err = fmt.Errorf("%w: %w", host.ErrDoubt, d.Err)
		return &doubted
	}
	return fmt.Errorf("%w: %w", host.ErrDoubt, err)
}

// unsendable is what keeps a token from standing in a header at all. The looks say it better; this is for when there are none.
func (t *Target) unsendable() *host.Diagnosis {
	switch {
	case t.token().Empty():
		return t.tokenFault(host.Missing, "There is no Cloudflare token: make one, and put it where the configuration points to.", nil)
	case !headerText.MatchString(t.token().Reveal()):
		return t.tokenFault(host.Broken, "The Cloudflare token has a blank, a line break or another character in it that no token has: copy it again.", nil)
	}
	return nil
}

func (t *Target) request(ctx context.Context, method, path string, body any) *http.Request {
	var b bytes.Buffer
	if body != nil {
		e := json.NewEncoder(&b)
		e.SetEscapeHTML(false)
		if err := e.Encode(body); err != nil {
			panic("unreachable: pages: our own types of strings") // the error is not shown: it could repeat a value
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, t.base+path, &b)
	if err != nil {
		panic("unreachable: pages: the address was read before")
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("Authorization", "Bearer "+t.token().Reveal())
	return req
}

// read judges an answer and reads its result.
func (t *Target) read(resp *outbound.Response, into any) error {
	var said envelope
	isRead := json.Unmarshal(resp.Body, &said) == nil
	if resp.Status >= 200 && resp.Status < 300 {
		if !isRead || !said.Success || json.Unmarshal(said.Result, into) != nil {
			return t.strange(resp.Status)
		}
		return nil
	}
	r := &refusal{status: resp.Status}
	if isRead {
		r.collect(said.Errors, 0)
	}
	r.wait = waitUsual
	if asked, says := outbound.RetryAfter(resp.Header, t.now()); says {
		r.wait = max(asked, time.Second)
	}
	return t.diagnose(r, said.Errors)
}

// strange is an answer that says success and is not understood.
func (t *Target) strange(status int) error {
	return platformDown("Cloudflare's answer is not understood.", &refusal{status: status})
}

func (r *refusal) collect(problems []problem, depth int) {
	for _, p := range problems {
		r.codes = append(r.codes, p.Code)
		if depth < chainMax {
			r.collect(p.Chain, depth+1)
		}
	}
}

// unreached judges a request to which there was no whole answer.
func (t *Target) unreached(err error) error {
	switch {
	case errors.Is(err, context.Canceled):
		return err // whoever asked has gone
	case errors.Is(err, outbound.ErrResting):
		return platformDown("Cloudflare's API has failed repeatedly and is left alone for a moment.", err)
	case errors.Is(err, context.DeadlineExceeded):
		return platformDown("Cloudflare's API did not answer in time.", err)
	}
	return platformDown("Cloudflare's API cannot be reached.", err)
}

// platformDown is a trouble that no credential mends.
func platformDown(sentence string, err error) *host.Diagnosis {
	return &host.Diagnosis{Fault: host.PlatformDown, Sentence: sentence + " Nothing can be mended there until it does; it is asked again.",
		Page: "https://www.cloudflarestatus.com", Err: err}
}

func (t *Target) tokenFault(fault host.Fault, sentence string, err error) *host.Diagnosis {
	return &host.Diagnosis{Fault: fault, Sentence: sentence, Page: t.tokenPage(), Err: err}
}

// diagnose says what a refusal means. Codes decide. 9109 alone has several meanings that only its message tells apart: no token from this
// address ("Cannot use the access token from location: …"), no such token ("Invalid access token"), and not this resource
// ("Unauthorized to access requested resource"). The message itself is not repeated.
func (t *Target) diagnose(r *refusal, problems []problem) error {
	switch {
	case r.status == http.StatusTooManyRequests:
		return &host.Diagnosis{Fault: host.Limited, Sentence: fmt.Sprintf("Cloudflare asks us to wait for %v: too many calls were made with this account.", r.wait),
			Err: &makegood.Snooze{For: r.wait, Err: r}}
	case r.status >= 500:
		return platformDown(fmt.Sprintf("Cloudflare's API answers with an error of its own (status %d).", r.status), r)
	case r.has(codeHeaders, codeFormat):
		return t.tokenFault(host.Broken, "Cloudflare cannot read the token: it is a global key or no token at all, or something was added to it. Copy it again.", r)
	case r.has(codeUnauthorized) && says(problems, "invalid access token"), r.has(codeUnknownToken):
		return t.unknownToken(r)
	case r.has(codeUnauthorized) && !says(problems, "unauthorized"):
		return t.tokenFault(host.AddressDenied, "The Cloudflare token may not be used from here"+seenFrom(problems)+
			": add the address of this machine to the token's client IP addresses.", r)
	case r.has(codeNoProject, codeNoRoute, codeNoObject):
		return t.placeMissing(r)
	case r.has(codeNoDeployment):
		return r
	case r.has(codeAuthentication), r.status == http.StatusUnauthorized, r.status == http.StatusForbidden:
		return t.tokenFault(host.PermissionMissing, "The Cloudflare token is valid, and may not do this with the project "+t.project+
			": it needs the permission Account, Cloudflare Pages, Edit for the account that has the project.", r)
	case r.status == http.StatusNotFound:
		return t.placeMissing(r)
	}
	return r
}

func (t *Target) unknownToken(err error) *host.Diagnosis {
	sentence := "Cloudflare does not know the token: it was deleted or rolled. Make a new one, and put it where the configuration points to."
	if t.isOfAccount() {
		sentence = "Cloudflare does not know the token in this account: it was deleted or rolled, or belongs to another account. " +
			"Make a new one, and put it where the configuration points to."
	}
	return t.tokenFault(host.Revoked, sentence, err)
}

func (t *Target) placeMissing(err error) *host.Diagnosis {
	return &host.Diagnosis{Fault: host.PlaceMissing, Sentence: "There is no Pages project " + t.project +
		" in the account: correct the project or the account in the configuration.",
		Page: "https://dash.cloudflare.com/" + t.account + "/workers-and-pages", Err: err}
}

func says(problems []problem, words string) bool {
	return slices.ContainsFunc(problems, func(p problem) bool { return strings.Contains(strings.ToLower(p.Message), words) })
}

// seenFrom is the address that Cloudflare sees us at, when it says one.
func seenFrom(problems []problem) string {
	for _, p := range problems {
		_, place, _ := strings.Cut(p.Message, "location: ")
		if address, err := netip.ParseAddr(strings.TrimSpace(place)); err == nil {
			return " (" + address.WithZone("").String() + ")"
		}
	}
	return ""
}
