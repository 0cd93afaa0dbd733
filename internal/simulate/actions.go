package simulate

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// The token, the repository and the workflow of a pretend GitHub Actions.
const (
	ActionsToken    = "github_pat_11SIMULATED0simulatedsimulated_simulatedsimulated0002"
	ActionsRepo     = "shop/restore"
	ActionsWorkflow = "restore.yml"
	ActionsRef      = "main"
)

// ActionsOptions are what a pretend GitHub Actions is made of. Every field has a useful zero value.
type ActionsOptions struct {
	AlertOptions
	// Queued is how long a run waits for a machine, and Duration how long it then works before Run is called.
	Queued, Duration time.Duration
	// Hidden is how long a run that was dispatched is not listed yet.
	Hidden time.Duration
	// Run is what the workflow does; it may block. False is the conclusion failure. Nil does nothing, well.
	Run func(inputs map[string]string) bool
	// Old refuses return_run_details, as servers of before 2026 do.
	Old bool
}

// ActionsRun is a run of the workflow.
type ActionsRun struct {
	ID         int64             `json:"id"`
	Title      string            `json:"display_title"`
	Event      string            `json:"event"`
	Status     string            `json:"status"`     // queued, in_progress or completed
	Conclusion string            `json:"conclusion"` // success or failure, once it is completed
	CreatedAt  time.Time         `json:"created_at"`
	Inputs     map[string]string `json:"-"`
}

// ActionsDenial is why a good token is not let in.
type ActionsDenial string

// The denials.
const (
	ActionsFromHere   ActionsDenial = "address"    // an IP allow list
	ActionsPermission ActionsDenial = "permission" // Actions: read only
	ActionsSAML       ActionsDenial = "saml"       // not authorised for single sign-on
	ActionsLimit      ActionsDenial = "limit"      // the rate limit, told with 403
)

// Actions is a pretend GitHub with one repository and one workflow, with the inputs attempt and target and the run-name
// "restore ${{ inputs.attempt }}". It makes a second run of the same request, as the real one does.
type Actions struct {
	*alertDesk
	o       ActionsOptions
	running sync.WaitGroup
	runs    []ActionsRun // oldest first
	state   string       // of the workflow
	denial  ActionsDenial
	expires time.Time
}

// NewActions returns a workflow that has never run.
func NewActions(o ActionsOptions) *Actions {
	a := &Actions{alertDesk: newAlertDesk("actions", o.AlertOptions, githubRefusal), o: o, state: "active"}
	mux := http.NewServeMux()
	base := "/repos/{owner}/{name}"
	flow := base + "/actions/workflows/{workflow}"
	for pattern, act := range map[string]func(*http.Request) alertAnswer{
		"GET " + base: a.repository, "GET " + flow: a.workflow, "GET " + flow + "/runs": a.list,
		"GET " + base + "/actions/runs/{id}": a.read, "POST " + flow + "/dispatches": a.dispatch,
	} {
		mux.HandleFunc(pattern, a.guarded(act))
	}
	mux.HandleFunc("/", a.guarded(func(r *http.Request) alertAnswer { return githubRefusal(a.alertDesk, r, http.StatusNotFound) }))
	a.handler = mux
	return a
}

// Close ends answers that hang and runs that wait, and returns when no run works any more. Closing twice is harmless.
func (a *Actions) Close() {
	a.alertDesk.Close()
	a.running.Wait()
}

// Runs lists the runs, oldest first.
func (a *Actions) Runs() []ActionsRun {
	a.mu.Lock()
	defer a.mu.Unlock()
	runs := slices.Clone(a.runs)
	for i := range runs {
		runs[i].Inputs = maps.Clone(runs[i].Inputs)
	}
	return runs
}

// SetState sets the state of the workflow: active, disabled_manually, disabled_inactivity.
func (a *Actions) SetState(state string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.state = state
}

// Deny refuses the token from now on for a reason; "" lets it in again.
func (a *Actions) Deny(denial ActionsDenial) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.denial = denial
}

// Expire lets the token end at a time, which every answer tells. Zero is never.
func (a *Actions) Expire(at time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.expires = at
}

// guarded lets in who may, and tells the end of the token.
func (a *Actions) guarded(act func(*http.Request) alertAnswer) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		a.mu.Lock()
		denial, expires := a.denial, a.expires
		a.mu.Unlock()
		isOver := !expires.IsZero() && !a.now().Before(expires)
		if !hasBearer(r, ActionsToken) || isOver {
			githubRefusal(a.alertDesk, r, http.StatusUnauthorized).write(w)
			return
		}
		if !expires.IsZero() {
			w.Header().Set("GitHub-Authentication-Token-Expiration", expires.UTC().Format("2006-01-02 15:04:05 MST"))
		}
		if refusal, ok := denial.answer(r); ok {
			refusal.write(w)
			return
		}
		if name := r.PathValue("owner") + "/" + r.PathValue("name"); name != ActionsRepo || r.PathValue("workflow") != "" && r.PathValue("workflow") != ActionsWorkflow {
			githubRefusal(a.alertDesk, r, http.StatusNotFound).write(w)
			return
		}
		act(r).write(w)
	}
}

// answer is the refusal in GitHub's words. Who lacks the permission to dispatch may still look.
func (d ActionsDenial) answer(r *http.Request) (alertAnswer, bool) {
	text, header := "", map[string]string{}
	switch {
	case d == ActionsFromHere:
		text = "Although you appear to have the correct authorization credentials, the `shop` organization has an IP allow list enabled, and your IP address is not permitted to access this resource."
	case d == ActionsSAML:
		text = "Resource protected by organization SAML enforcement. You must grant your Personal Access token access to this organization."
	case d == ActionsLimit:
		text, header["X-Ratelimit-Remaining"] = "API rate limit exceeded for user ID 1.", "0"
	case d == ActionsPermission && r.Method == http.MethodPost:
		text, header["X-Accepted-Github-Permissions"] = "Resource not accessible by personal access token", "actions=write"
	}
	return alertAnswer{http.StatusForbidden, header, map[string]any{"message": text, "status": "403"}}, text != ""
}

func (a *Actions) repository(*http.Request) alertAnswer {
	return alertAnswer{body: map[string]any{"full_name": ActionsRepo, "archived": false, "default_branch": ActionsRef,
		"permissions": map[string]bool{"admin": false, "push": true, "pull": true}}}
}

func (a *Actions) workflow(*http.Request) alertAnswer {
	a.mu.Lock()
	defer a.mu.Unlock()
	return alertAnswer{body: map[string]any{"id": 1, "name": "restore", "path": ".github/workflows/" + ActionsWorkflow, "state": a.state}}
}

// list pages newest first, by event and from a time on.
func (a *Actions) list(r *http.Request) alertAnswer {
	q := r.URL.Query()
	size, err := strconv.Atoi(q.Get("per_page"))
	if err != nil || size < 1 || size > 100 {
		size = 30
	}
	page, err := strconv.Atoi(q.Get("page"))
	if err != nil || page < 1 {
		page = 1
	}
	since := time.Time{}
	if text := q.Get("created"); text != "" {
		from, isFrom := strings.CutPrefix(text, ">=")
		if since, err = time.Parse(time.RFC3339, from); err != nil || !isFrom {
			return githubRefusal(a.alertDesk, r, http.StatusUnprocessableEntity)
		}
	}
	var found []ActionsRun
	for _, run := range slices.Backward(a.Runs()) {
		isListed := !run.CreatedAt.Add(a.o.Hidden).After(a.now())
		if isListed && !run.CreatedAt.Before(since) && (q.Get("event") == "" || q.Get("event") == run.Event) {
			found = append(found, run)
		}
	}
	from := min((page-1)*size, len(found))
	shown := append([]ActionsRun{}, found[from:min(from+size, len(found))]...)
	return alertAnswer{body: map[string]any{"total_count": len(found), "workflow_runs": shown}}
}

func (a *Actions) read(r *http.Request) alertAnswer {
	id, _ := strconv.ParseInt(r.PathValue("id"), 10, 64) // no number is no run
	for _, run := range a.Runs() {
		if run.ID == id {
			return alertAnswer{body: run}
		}
	}
	return githubRefusal(a.alertDesk, r, http.StatusNotFound)
}

// dispatch takes a run, or says why not in GitHub's words.
func (a *Actions) dispatch(r *http.Request) alertAnswer {
	var in struct {
		Ref     string            `json:"ref"`
		Inputs  map[string]string `json:"inputs"`
		Details *bool             `json:"return_run_details"`
	}
	if json.NewDecoder(r.Body).Decode(&in) != nil {
		return actionsRefusal("Problems parsing JSON")
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case a.o.Old && in.Details != nil:
		return actionsRefusal(`Invalid request. "return_run_details" is not a permitted key.`)
	case a.state != "active":
		return actionsRefusal("Cannot trigger a 'workflow_dispatch' on a disabled workflow")
	case in.Ref != ActionsRef:
		return actionsRefusal("No ref found for: " + in.Ref)
	case in.Inputs["attempt"] == "":
		return actionsRefusal("Required input 'attempt' not provided")
	}
	for name := range in.Inputs {
		if name != "attempt" && name != "target" {
			return actionsRefusal(fmt.Sprintf("Unexpected inputs provided: [%q]", name))
		}
	}
	run := a.begin(in.Inputs)
	if in.Details == nil || !*in.Details {
		return alertAnswer{status: http.StatusNoContent, body: ""}
	}
	return alertAnswer{body: map[string]any{"workflow_run_id": run.ID, "run_url": "https://api.github.com/repos/" + ActionsRepo + "/actions/runs/" + strconv.FormatInt(run.ID, 10)}}
}

func actionsRefusal(text string) alertAnswer {
	return alertAnswer{http.StatusUnprocessableEntity, nil, map[string]any{"message": text, "documentation_url": "https://docs.github.com/rest", "status": "422"}}
}

// begin makes a run and lets it go its way. The lock is held.
func (a *Actions) begin(inputs map[string]string) ActionsRun {
	run := ActionsRun{ID: int64(9_000_000_001 + len(a.runs)), Title: "restore " + inputs["attempt"], Event: "workflow_dispatch", Status: "queued",
		CreatedAt: a.now().UTC().Truncate(time.Second), Inputs: maps.Clone(inputs)}
	a.runs = append(a.runs, run)
	a.took(strconv.FormatInt(run.ID, 10), "dispatch", run.Title)
	at := len(a.runs) - 1
	a.running.Go(func() { a.work(at, maps.Clone(inputs)) })
	return run
}

// work is a run from its machine to its conclusion. After Close it stays where it is.
func (a *Actions) work(at int, inputs map[string]string) {
	if !a.pass(a.o.Queued) {
		return
	}
	a.setStatus(at, "in_progress", "")
	if !a.pass(a.o.Duration) {
		return
	}
	conclusion := "success"
	if a.o.Run != nil && !a.o.Run(inputs) {
		conclusion = "failure"
	}
	a.setStatus(at, "completed", conclusion)
}

// pass waits, and reports whether the world is still there.
func (a *Actions) pass(d time.Duration) bool {
	timer := time.NewTimer(cmp.Or(d, time.Nanosecond))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-a.stop:
	}
	select {
	case <-a.stop:
		return false
	default:
		return true
	}
}

func (a *Actions) setStatus(at int, status, conclusion string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.runs[at].Status, a.runs[at].Conclusion = status, conclusion
}
