package simulate

import (
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"time"
)

// pagesRefusal is an error of Cloudflare's API.
type pagesRefusal struct {
	Code    int            `json:"code"`
	Message string         `json:"message"`
	Chain   []pagesRefusal `json:"error_chain,omitempty"`
	status  int
}

func refusePages(status, code int, message string) *pagesRefusal {
	return &pagesRefusal{Code: code, Message: message, status: status}
}

// pagesEnvelope is what every answer of Cloudflare's API is in.
type pagesEnvelope struct {
	Success  bool           `json:"success"`
	Errors   []pagesRefusal `json:"errors"`
	Messages []string       `json:"messages"`
	Result   any            `json:"result"`
	Info     any            `json:"result_info,omitempty"`
}

// pagesPage is a result with the numbers of its page.
type pagesPage struct {
	items any
	info  map[string]int
}

// pagesCall is a request that was read.
type pagesCall struct {
	r       *http.Request
	body    []byte
	project *pagesProject
	write   PagesWrite // what is kept of it
}

// pagesAct does what a route is for. The lock is held.
type pagesAct func(*pagesCall) (any, *pagesRefusal)

func (p *Pages) routes() http.Handler {
	mux := http.NewServeMux()
	project := "/accounts/{account}/pages/projects/{project}"
	for pattern, route := range map[string]http.HandlerFunc{
		"GET /user/tokens/verify":                        p.api("verify", func(c *pagesCall) (any, *pagesRefusal) { return p.verify(c, false) }),
		"GET /accounts/{account}/tokens/verify":          p.api("verify", func(c *pagesCall) (any, *pagesRefusal) { return p.verify(c, true) }),
		"GET " + project:                                 p.api("project", p.inProject(false, p.showProject)),
		"PATCH " + project:                               p.api("write", p.inProject(true, p.editProject)),
		"GET " + project + "/deployments":                p.api("deployments", p.inProject(false, p.listDeployments)),
		"GET " + project + "/deployments/{id}":           p.api("deployment", p.inProject(false, p.showDeployment)),
		"POST " + project + "/deployments/{id}/retry":    p.api("retry", p.inProject(true, p.retryDeployment)),
		"POST " + project + "/deployments/{id}/rollback": p.api("rollback", p.inProject(true, p.rollBack)),
		"/": p.api("other", func(*pagesCall) (any, *pagesRefusal) {
			e := refusePages(http.StatusNotFound, 7003, "Could not route to the path, perhaps your object identifier is invalid?")
			e.Chain = []pagesRefusal{{Code: 7000, Message: "No route for that URI"}}
			return nil, e
		}),
	} {
		mux.HandleFunc(pattern, route)
	}
	p.control(mux)
	outer := http.NewServeMux()
	outer.Handle("/", mux)
	outer.Handle("/client/v4/", http.StripPrefix("/client/v4", mux)) // as the real one is addressed
	return outer
}

// api makes a handler of an action: misbehave if asked to, act under the lock, tell who lives, answer or lose the answer.
func (p *Pages) api(action string, act pagesAct) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		faults := p.called()
		waitFor(r.Context(), p.stop, faults.Latency)
		if status := faults.statusFor(action); status != 0 {
			faults.misbehave(w, r, p.stop, status)
			return
		}
		body, err := readBody(w, r)
		if err != nil {
			http.Error(w, "too large", http.StatusRequestEntityTooLarge)
			return
		}
		c := &pagesCall{r: r, body: body, write: PagesWrite{Action: action}}
		a, isLost := p.act(c, act)
		p.tell()
		if isLost {
			panic(http.ErrAbortHandler)
		}
		a.write(w)
	}
}

func (p *Pages) called() PagesFaults {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.calls++
	return p.faults
}

// act does it, keeps a write in the log, and says whether the answer is to be lost.
func (p *Pages) act(c *pagesCall, act pagesAct) (a answer, isLost bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	result, refused := act(c)
	a = pagesAnswer(result, refused)
	if c.project == nil || c.r.Method == http.MethodGet {
		return a, false
	}
	if n := p.faults.LoseAnswers[c.write.Action]; n > 0 && refused == nil {
		p.faults.LoseAnswers[c.write.Action], isLost = n-1, true
	}
	c.write.Project, c.write.Target = c.project.name, c.r.PathValue("id")
	c.write.Status, c.write.Lost = a.status, isLost
	p.wrote(c.write)
	return a, isLost
}

func pagesAnswer(result any, refused *pagesRefusal) answer {
	envelope, status := pagesEnvelope{Success: true, Errors: []pagesRefusal{}, Messages: []string{}, Result: result}, http.StatusOK
	if page, ok := result.(pagesPage); ok {
		envelope.Result, envelope.Info = page.items, page.info
	}
	if refused != nil {
		envelope.Success, envelope.Errors, envelope.Result, status = false, []pagesRefusal{*refused}, nil, refused.status
	}
	body, err := json.Marshal(envelope)
	if err != nil {
		panic("simulate: " + err.Error()) // unreachable: our own types
	}
	return answer{status: status, body: body}
}

// inProject lets a token in that may do it, and finds the project.
func (p *Pages) inProject(writes bool, act pagesAct) pagesAct {
	return func(c *pagesCall) (any, *pagesRefusal) {
		t, refused := p.bearer(c.r)
		if refused == nil {
			refused = p.admit(t, c.r.PathValue("account"), writes)
		}
		if refused != nil {
			return nil, refused
		}
		if c.project = p.project(c.r.PathValue("project")); c.project == nil {
			return nil, refusePages(http.StatusNotFound, 8000007, "Project not found. The specified project name does not match any of your existing projects.")
		}
		return act(c)
	}
}

func (p *Pages) showProject(c *pagesCall) (any, *pagesRefusal) {
	project := c.project
	shown := map[string]any{"id": project.id, "name": project.name, "subdomain": project.name + ".pages.dev", "production_branch": "main",
		"domains": []string{project.name + ".pages.dev"}, "canonical_deployment": nil, "latest_deployment": nil, "uses_functions": true}
	if project.live != nil { // documented as the most recent production deployment; that a rollback moves it is inferred
		shown["canonical_deployment"] = project.show(project.live)
	}
	if n := len(project.deployments.items); n > 0 {
		shown["latest_deployment"] = project.show(project.deployments.items[n-1])
	}
	configs := map[string]any{}
	for environment, variables := range project.variables {
		config := map[string]any{"env_vars": showVariables(variables), "fail_open": true}
		if project.file != nil {
			config["wrangler_config_hash"] = pagesFileHash
		}
		configs[environment] = config
	}
	shown["deployment_configs"] = configs
	return shown, nil
}

// pagesFileHash is what marks a project with a wrangler file.
const pagesFileHash = "4f2a6c0e8b1d3957"

// showVariables never shows the value of a secret.
func showVariables(variables map[string]PagesVariable) map[string]map[string]string {
	shown := map[string]map[string]string{}
	for name, v := range variables {
		if v.Plain {
			shown[name] = map[string]string{"type": "plain_text", "value": v.Value}
		} else {
			shown[name] = map[string]string{"type": "secret_text", "value": ""}
		}
	}
	return shown
}

type pagesStage struct {
	Name    string     `json:"name"`
	Started *time.Time `json:"started_on"`
	Ended   *time.Time `json:"ended_on"`
	Status  string     `json:"status"`
}

func (project *pagesProject) show(d *pagesDeployment) map[string]any {
	var stages []pagesStage
	var latest pagesStage
	for i, known := range pagesStages {
		stage := pagesStage{Name: known.name, Status: "idle"}
		if i < len(d.started) {
			stage.Started, stage.Status = &d.started[i], "success"
		}
		if i < len(d.ended) {
			stage.Ended = &d.ended[i]
		}
		if known.name == d.Stage {
			stage.Status = d.Status
			latest = stage
		}
		stages = append(stages, stage)
	}
	branch, aliases := "main", []string(nil)
	if d.Preview {
		branch = "change"
	}
	if d == project.live {
		aliases = []string{"https://" + project.name + ".pages.dev"}
	}
	return map[string]any{"id": d.ID, "short_id": d.ID[:8], "project_id": project.id, "project_name": project.name, "environment": d.environment(),
		"url": "https://" + d.ID[:8] + "." + project.name + ".pages.dev", "created_on": d.CreatedAt, "modified_on": d.modified, "aliases": aliases,
		"latest_stage": latest, "stages": stages, "is_skipped": d.Skipped, "env_vars": showVariables(d.Variables),
		"deployment_trigger": map[string]any{"type": d.Trigger, "metadata": map[string]any{"branch": branch, "commit_hash": d.Commit,
			"commit_message": "Change " + d.Commit, "commit_dirty": false}},
		"source": map[string]any{"type": "github", "config": map[string]any{"owner": "shop", "repo_name": project.name, "production_branch": "main"}}}
}

// pagesEdit is the body of a PATCH, as far as it is understood; what else is in it is left alone.
type pagesEdit struct {
	Configs map[string]struct {
		Variables map[string]*struct {
			Type  string  `json:"type"`
			Value *string `json:"value"`
		} `json:"env_vars"`
	} `json:"deployment_configs"`
}

// editProject merges variables: null deletes, what is not named stays. Nothing of a body with a mistake is done.
func (p *Pages) editProject(c *pagesCall) (any, *pagesRefusal) {
	c.write.Shape = shapeOf(c.body)
	var edit pagesEdit
	if json.Unmarshal(c.body, &edit) != nil {
		return nil, refusePages(http.StatusBadRequest, 8000000, "The request body could not be read.") // the code is inferred
	}
	for environment, config := range edit.Configs {
		if c.project.variables[environment] == nil {
			return nil, refusePages(http.StatusBadRequest, 8000000, "There is no such environment.") // the code is inferred
		}
		for _, v := range config.Variables {
			if v != nil && (v.Value == nil || v.Type != "plain_text" && v.Type != "secret_text") {
				return nil, refusePages(http.StatusBadRequest, 8000000, "A variable has no type or no value.") // the code is inferred
			}
		}
	}
	for environment, config := range edit.Configs {
		for name, v := range config.Variables {
			if v == nil {
				c.write.Deleted = append(c.write.Deleted, name)
				delete(c.project.variables[environment], name)
				continue
			}
			variable := PagesVariable{Value: *v.Value, Plain: v.Type == "plain_text"}
			c.project.variables[environment][name] = variable
			c.write.Set = append(c.write.Set, name)
			if variable.Plain {
				c.write.Plain = append(c.write.Plain, name)
			}
			if variable.Value == "" {
				c.write.Empty = append(c.write.Empty, name)
			}
		}
	}
	for _, names := range [][]string{c.write.Set, c.write.Plain, c.write.Empty, c.write.Deleted} {
		slices.Sort(names)
	}
	return p.showProject(c)
}

// listDeployments lists newest first. The parameter env is documented; that per_page ends at 25 is known from practice.
func (p *Pages) listDeployments(c *pagesCall) (any, *pagesRefusal) {
	q := c.r.URL.Query()
	page, perPage := atoiOr(q.Get("page"), 1), atoiOr(q.Get("per_page"), pagesPageMax)
	if page < 1 || perPage < 1 || perPage > pagesPageMax {
		return nil, refusePages(http.StatusBadRequest, 8000024, "Invalid list options provided. Review the `page` or `per_page` parameter.")
	}
	found := []any{}
	for _, d := range slices.Backward(c.project.deployments.items) {
		if environment := q.Get("env"); environment == "" || environment == d.environment() {
			found = append(found, c.project.show(d))
		}
	}
	from, to := min((page-1)*perPage, len(found)), min(page*perPage, len(found))
	return pagesPage{items: found[from:to], info: map[string]int{"page": page, "per_page": perPage, "count": to - from, "total_count": len(found),
		"total_pages": (len(found) + perPage - 1) / perPage}}, nil
}

func atoiOr(s string, usual int) int {
	if s == "" {
		return usual
	}
	n, err := strconv.Atoi(s)
	if err != nil {
		return 0
	}
	return n
}

func (c *pagesCall) deployment() (*pagesDeployment, *pagesRefusal) {
	d, ok := c.project.deployments.get(c.r.PathValue("id"))
	if !ok {
		return nil, refusePages(http.StatusNotFound, 8000009, "Deployment not found. The specified deployment ID does not match any deployment of the project.")
	}
	return d, nil
}

func (p *Pages) showDeployment(c *pagesCall) (any, *pagesRefusal) {
	d, refused := c.deployment()
	if refused != nil {
		return nil, refused
	}
	return c.project.show(d), nil
}

// retryDeployment builds the same commit again, as another deployment. That it is of the type ad_hoc is inferred.
func (p *Pages) retryDeployment(c *pagesCall) (any, *pagesRefusal) {
	d, refused := c.deployment()
	if refused != nil {
		return nil, refused
	}
	again := p.begin(c.project, PagesDeployment{Commit: d.Commit, Trigger: "ad_hoc", RetryOf: d.ID, Preview: d.Preview})
	p.build(c.project, again)
	return c.project.show(again), nil
}

// rollBack points production to an older deployment, or a newer one, as it was built. Only what was built for production and
// succeeded is a target; that is documented, the code of the refusal is not.
func (p *Pages) rollBack(c *pagesCall) (any, *pagesRefusal) {
	d, refused := c.deployment()
	switch {
	case refused != nil:
		return nil, refused
	case d.Preview || !d.hasRun():
		return nil, refusePages(http.StatusBadRequest, 8000031, "Only a successful production deployment can be rolled back to.")
	}
	p.goLive(c.project, d)
	return c.project.show(d), nil
}

// shapeOf is a body without its values.
func shapeOf(body []byte) string {
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err == io.EOF {
		return ""
	} else if err != nil {
		return "unreadable"
	}
	shape, err := json.Marshal(shapeOfValue(v, 0))
	if err != nil {
		panic("simulate: " + err.Error()) // unreachable: it was JSON
	}
	return string(shape)
}

func shapeOfValue(v any, depth int) any {
	switch v := v.(type) {
	case nil:
		return nil
	case string:
		return "string"
	case bool:
		return "bool"
	case map[string]any:
		if depth < pagesDepthMax {
			for _, name := range slices.Collect(maps.Keys(v)) {
				v[name] = shapeOfValue(v[name], depth+1)
			}
			return v
		}
	case []any:
		if depth < pagesDepthMax {
			for i := range v {
				v[i] = shapeOfValue(v[i], depth+1)
			}
			return v
		}
	case json.Number:
		return "number"
	}
	return "deep"
}
