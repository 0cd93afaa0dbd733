// Package workflow is a place that only a workflow at GitHub Actions may change: mending it is dispatching that workflow.
//
// GitHub knows no repetition and tells of a dispatch only that it was taken, so the run is found by its title: the workflow
// must have the inputs attempt and target, and the line
//
//	run-name: restore ${{ inputs.attempt }}
//
// (https://docs.github.com/rest/actions/workflows, https://docs.github.com/rest/actions/workflow-runs).
package workflow

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/host"
	"github.com/makegood/makegood/internal/outbound"
	"github.com/makegood/makegood/internal/secret"
)

// Kind is what the configuration calls such a place.
const Kind = "github_workflow"

const (
	usualBase = "https://api.github.com"
	// appearLimit is how long Start waits until a dispatched run is listed, which takes GitHub a few seconds, and appearPace how
	// often it looks.
	appearLimit = 20 * time.Second
	appearPace  = time.Second
	// skew is how far GitHub's clock may be from ours when runs are listed from a time on.
	skew = 10 * time.Minute
	// pageSize is GitHub's limit, and pagesMax bounds the listing: nobody dispatches 300 restorations within an attempt.
	pageSize = 100
	pagesMax = 3
	// checkRef is a branch that is nowhere: a dispatch on it is refused, after the permission was asked.
	checkRef = "makegood/check/no-such-branch"
)

// Options describe a workflow.
type Options struct {
	Name     string              // what the workflow gets as the input target
	Base     string              // of the API; https://api.github.com by default
	Token    func() secret.Value // asked for each time, so that one that was mended needs no restart
	Repo     string              // owner/name
	Workflow string              // its file below .github/workflows, such as restore.yml, or its number
	Ref      string              // the branch or tag it runs on; main by default
	HTTP     *outbound.Client
	Now      func() time.Time
	// Look says by its looks alone what is wrong with a token; nil asks only whether it can stand in a header.
	Look func(secret.Value) *host.Diagnosis
}

// Target is such a place. It is safe for concurrent use.
type Target struct {
	o       Options
	expires atomic.Int64 // the second at which the token ends, as GitHub last said; 0 when it did not
}

var (
	_ host.Target  = (*Target)(nil)
	_ host.Starter = (*Target)(nil)

	repoText     = regexp.MustCompile(`^[A-Za-z0-9](?:[A-Za-z0-9-]{0,38})/[A-Za-z0-9_.-]{1,100}$`)
	workflowText = regexp.MustCompile(`^(?:[A-Za-z0-9_.-]{1,200}\.ya?ml|[1-9][0-9]{0,18})$`)
	refText      = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_./-]{0,200}$`)
	attemptText  = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,100}$`)
	runText      = regexp.MustCompile(`^[1-9][0-9]{0,18}$`)
	headerText   = regexp.MustCompile(`^[!-~]+$`)
	wordText     = regexp.MustCompile(`^[a-z_]{1,40}$`)
)

// New makes the place and connects to nothing. A token that cannot work is no error here: Check says what is wrong with it.
// Without a client or a clock it panics: the wiring is broken.
func New(o Options) (*Target, error) {
	if o.HTTP == nil || o.Now == nil {
		panic("workflow: a place without a client or a clock")
	}
	o.Base = strings.TrimRight(cmp.Or(o.Base, usualBase), "/")
	o.Ref = cmp.Or(o.Ref, "main")
	base, err := url.Parse(o.Base)
	problem := ""
	switch {
	case err != nil || base.Host == "" || base.User != nil || base.Scheme != "https" && base.Scheme != "http" || strings.ContainsAny(o.Base, "?#"):
		problem = "the address of the API is not a plain http or https address"
	case !repoText.MatchString(o.Repo) || strings.HasSuffix(o.Repo, "/.") || strings.HasSuffix(o.Repo, "/.."):
		problem = "the repository does not have the form owner/name"
	case !workflowText.MatchString(o.Workflow):
		problem = "the workflow is not the name of a file such as restore.yml"
	case !refText.MatchString(o.Ref):
		problem = "the branch cannot be one"
	}
	if problem != "" {
		return nil, makegood.Errorf(makegood.Invalid, "A place of kind github_workflow cannot work: %s.", problem)
	}
	return &Target{o: o}, nil
}

// Kind is github_workflow.
func (t *Target) Kind() string { return Kind }

// Check proves that the workflow could be dispatched: the token is whole and valid, sees repository and workflow, the
// workflow is switched on, and the token may dispatch it. The last is asked with a dispatch on a branch that is nowhere,
// which GitHub refuses after it has looked at the permission; so nothing is begun.
func (t *Target) Check(ctx context.Context) error {
	if err := t.look(); err != nil {
		return err
	}
	if _, err := t.get(ctx, "", aRepository); err != nil {
		return err
	}
	resp, err := t.get(ctx, t.workflow(), aWorkflow)
	if err != nil {
		return err
	}
	var said struct {
		State string `json:"state"`
	}
	if json.Unmarshal(resp.Body, &said) != nil {
		return unread()
	}
	if said.State != "active" {
		return t.switchedOff(said.State)
	}
	_, err = t.dispatch(ctx, checkRef, "check")
	var d *host.Diagnosis
	if errors.As(err, &d) && d.Fault == host.NotStarted && !errors.Is(err, errNoTrigger) {
		return nil // no such branch, as it should be
	}
	return err
}

func (t *Target) look() error {
	if t.o.Look != nil {
		if d := t.o.Look(t.o.Token()); d != nil {
			return d
		}
	}
	switch {
	case t.o.Token().Empty():
		return diagnose(host.Missing, "There is no GitHub token. Make one that may read and write Actions of the repository.", nil)
	case !headerText.MatchString(t.o.Token().Reveal()):
		return diagnose(host.Broken, "The GitHub token has characters in it that no token has, such as a blank or a line break. Copy it again.", nil)
	}
	return nil
}

// switchedOff: states are active, deleted, disabled_fork, disabled_inactivity and disabled_manually.
func (t *Target) switchedOff(state string) error {
	if !wordText.MatchString(state) {
		state = "unknown"
	}
	d := diagnose(host.NotStarted, fmt.Sprintf("The workflow %s of %s is not active: its state is %s. Enable it on the page Actions of the repository.", t.o.Workflow, t.o.Repo, state), nil)
	d.Page = "https://github.com/" + t.o.Repo + "/actions"
	return d
}

func (t *Target) workflow() string { return "/actions/workflows/" + t.o.Workflow }

// Survey reads the newest runs of the workflow. GitHub keeps no variables for us and no versions of what the workflow starts.
func (t *Target) Survey(ctx context.Context) (host.Survey, error) {
	s := host.Survey{At: t.o.Now().UTC(), Elsewhere: true}
	if err := t.look(); err != nil {
		return s, err
	}
	runs, err := t.list(ctx, url.Values{"per_page": {"10"}})
	if err != nil {
		return s, err
	}
	for _, r := range runs {
		s.Newest = cmp.Or(s.Newest, r.name())
		if r.Status != "completed" {
			s.Busy = cmp.Or(s.Busy, r.name())
		}
	}
	return s, nil
}

// run is what is read of a run.
type run struct {
	ID         int64  `json:"id"`
	Title      string `json:"display_title"`
	Status     string `json:"status"`
	Conclusion string `json:"conclusion"`
}

func (r run) name() string { return strconv.FormatInt(r.ID, 10) }

// Start dispatches the workflow, unless there is a run of this attempt, and waits until the run is listed. Which version the
// workflow starts is its own affair: what a place calls Good is not known here.
func (t *Target) Start(ctx context.Context, s host.Survey, attempt string) (string, error) {
	if !attemptText.MatchString(attempt) {
		return "", makegood.Errorf(makegood.Invalid, "An attempt needs a name of letters and digits.")
	}
	if err := t.look(); err != nil {
		return "", err
	}
	if found, err := t.find(ctx, s.At, attempt); err != nil || found != "" {
		return found, err
	}
	name, err := t.dispatch(ctx, t.o.Ref, attempt)
	if err != nil || name != "" {
		return name, err
	}
	return t.await(ctx, s.At, attempt)
}

// await waits until a run that was dispatched is listed.
func (t *Target) await(ctx context.Context, since time.Time, attempt string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, appearLimit)
	defer cancel()
	for {
		name, err := t.find(ctx, since, attempt)
		if err == nil && name != "" {
			return name, nil
		}
		select {
		case <-ctx.Done():
			return "", fmt.Errorf("%w: the dispatch was taken, and its run is not listed; does the workflow have run-name with the input attempt?", host.ErrDoubt)
		case <-time.After(appearPace):
		}
	}
}

// Adopt finds the run of an attempt by its title, also one that Start does not know to have begun.
func (t *Target) Adopt(ctx context.Context, s host.Survey, attempt string) (string, error) {
	if err := t.look(); err != nil {
		return "", err
	}
	return t.find(ctx, s.At, attempt)
}

// find looks for the oldest run with an attempt in its title.
func (t *Target) find(ctx context.Context, since time.Time, attempt string) (name string, err error) {
	query := url.Values{"event": {"workflow_dispatch"}, "per_page": {strconv.Itoa(pageSize)}}
	if !since.IsZero() {
		query.Set("created", ">="+since.UTC().Add(-skew).Format(time.RFC3339))
	}
	for page := 1; page <= pagesMax; page++ {
		query.Set("page", strconv.Itoa(page))
		runs, err := t.list(ctx, query)
		if err != nil {
			return "", err
		}
		for _, r := range runs { // newest first
			if slices.Contains(strings.Fields(r.Title), attempt) {
				name = r.name()
			}
		}
		if len(runs) < pageSize {
			break
		}
	}
	return name, nil
}

func (t *Target) list(ctx context.Context, query url.Values) ([]run, error) {
	resp, err := t.get(ctx, t.workflow()+"/runs?"+query.Encode(), aWorkflow)
	if err != nil {
		return nil, err
	}
	var said struct {
		Runs []run `json:"workflow_runs"`
	}
	if json.Unmarshal(resp.Body, &said) != nil {
		return nil, unread()
	}
	return said.Runs, nil
}

// Progress reads the run. What is not completed is running; waiting is waiting for a person's approval.
func (t *Target) Progress(ctx context.Context, name string) (host.Progress, error) {
	if !runText.MatchString(name) {
		return host.Progress{}, makegood.Errorf(makegood.NotFound, "GitHub has no such run.")
	}
	resp, err := t.get(ctx, "/actions/runs/"+name, aRun)
	if err != nil {
		return host.Progress{}, err
	}
	var r run
	switch {
	case json.Unmarshal(resp.Body, &r) != nil || !wordText.MatchString(r.Status):
		return host.Progress{}, unread()
	case r.Status != "completed":
		return host.Progress{State: host.Running, Note: r.Status}, nil
	case !wordText.MatchString(r.Conclusion):
		return host.Progress{}, unread()
	case r.Conclusion == "success":
		return host.Progress{State: host.Ran, Note: r.Conclusion}, nil
	}
	return host.Progress{State: host.Failed, Note: r.Conclusion}, nil
}

// dispatch asks for a run. GitHub answers 204 and nothing else, or, since 2026, on request 200 with the number of the run. A
// server that does not know that request yet refuses it, and is asked again without.
func (t *Target) dispatch(ctx context.Context, ref, attempt string) (name string, err error) {
	body := map[string]any{"ref": ref, "inputs": map[string]string{"attempt": attempt, "target": t.o.Name}, "return_run_details": true}
	resp, err := t.post(ctx, t.workflow()+"/dispatches", body)
	if errors.Is(err, errNoDetails) {
		delete(body, "return_run_details")
		resp, err = t.post(ctx, t.workflow()+"/dispatches", body)
	}
	if err != nil {
		return "", err
	}
	var said struct {
		Run int64 `json:"workflow_run_id"`
	}
	if json.Unmarshal(resp.Body, &said) == nil && said.Run > 0 {
		return strconv.FormatInt(said.Run, 10), nil
	}
	return "", nil // taken; the run is found by its title
}

func (t *Target) get(ctx context.Context, path string, of thing) (*outbound.Response, error) {
	return t.do(ctx, http.MethodGet, path, nil, of)
}

func (t *Target) post(ctx context.Context, path string, body any) (*outbound.Response, error) {
	b, err := json.Marshal(body)
	if err != nil {
		panic("unreachable: strings and a bool")
	}
	return t.do(ctx, http.MethodPost, path, b, aWorkflow)
}

// do sends a request about the repository and returns an answer that is a 2xx. Everything else is a *host.Diagnosis, and
// ErrDoubt besides when a POST may have begun a run.
func (t *Target) do(ctx context.Context, method, path string, body []byte, of thing) (*outbound.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, t.o.Base+"/repos/"+t.o.Repo+path, bytes.NewReader(body))
	if err != nil {
		panic("unreachable: the address was read before")
	}
	if len(body) > 0 {
		req.Header.Set("Content-Type", "application/json")
	}
	req.Header.Set("Authorization", "Bearer "+t.o.Token().Reveal())
	req.Header.Set("Accept", "application/vnd.github+json")
	req.Header.Set("X-GitHub-Api-Version", "2022-11-28")
	resp, err := t.o.HTTP.Do(ctx, req)
	if err == nil {
		t.remember(resp.Header)
		err = t.judge(resp, of)
	} else {
		err = unreached(ctx, err)
	}
	if err == nil {
		return resp, nil
	}
	if method == http.MethodPost && mayHaveBegun(resp, err) {
		err = fmt.Errorf("%w: %w", host.ErrDoubt, err)
	}
	return nil, err
}

// mayHaveBegun: a 5xx may come from something between us and GitHub that has heard us; a 4xx is its own word that it has not.
func mayHaveBegun(resp *outbound.Response, err error) bool {
	if resp != nil {
		return resp.Status >= 500
	}
	return !errors.Is(err, outbound.ErrResting) && outbound.MaybeSent(err)
}
