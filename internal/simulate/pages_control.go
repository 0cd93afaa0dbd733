package simulate

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"time"
)

// PagesFaults are the ways in which a pretend Cloudflare can misbehave. The zero value behaves well.
type PagesFaults struct {
	// Status, when it is not 0, is the answer to every call of For, and nothing happens: 500, 503, 429, Hang or Abort.
	Status int
	// For are the calls that Status is for: verify, project, write, deployments, deployment, retry, rollback. None is all.
	For []string
	// RetryAfter is how long 429 asks for; 5 seconds by default.
	RetryAfter time.Duration
	// Latency is added to every call before it acts.
	Latency time.Duration
	// BuildFails is the stage at whose end every deployment fails that gets there.
	BuildFails string
	// BuildTakes, if positive, is how long deployments take that begin from now on.
	BuildTakes time.Duration
	// LoseAnswers says how many answers to write, retry and rollback are lost: it is done, and the connection breaks.
	LoseAnswers map[string]int
}

// SetFaults replaces the faults from now on. Zero PagesFaults end all misbehaviour.
func (p *Pages) SetFaults(faults PagesFaults) {
	p.mu.Lock()
	defer p.mu.Unlock()
	faults.LoseAnswers = maps.Clone(faults.LoseAnswers) // it is counted down
	p.faults = faults
}

// statusFor is what a call is answered with instead of acting; 0 lets it act.
func (f PagesFaults) statusFor(action string) int {
	if len(f.For) > 0 && !slices.Contains(f.For, action) {
		return 0
	}
	return f.Status
}

// misbehave answers as a platform in trouble does: its gateway with a page, its own parts with an error of theirs.
func (f PagesFaults) misbehave(w http.ResponseWriter, r *http.Request, stop <-chan struct{}, status int) {
	a := pagesAnswer(nil, refusePages(status, 10013, "workers.api.error.unknown"))
	switch status {
	case http.StatusTooManyRequests:
		w.Header().Set("Retry-After", strconv.Itoa(int(cmp.Or(f.RetryAfter, pagesRetryAfter).Seconds())))
		a = pagesAnswer(nil, refusePages(status, 971, "Please wait and consider throttling your request speed"))
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		a.body = []byte("<html><body>error code: " + strconv.Itoa(status) + "</body></html>")
	}
	misbehave(w, r, stop, status, a)
}

// pagesFaultsText is PagesFaults on the wire: durations are texts such as "2s".
type pagesFaultsText struct {
	Status      int            `json:"status"` // -1 hangs, -2 breaks the connection
	For         []string       `json:"for"`
	RetryAfter  string         `json:"retry_after"`
	Latency     string         `json:"latency"`
	BuildFails  string         `json:"build_fails"`
	BuildTakes  string         `json:"build_takes"`
	LoseAnswers map[string]int `json:"lose_answers"`
}

func (t pagesFaultsText) read() (PagesFaults, error) {
	f := PagesFaults{Status: t.Status, For: t.For, BuildFails: t.BuildFails, LoseAnswers: t.LoseAnswers}
	for text, into := range map[*string]*time.Duration{&t.RetryAfter: &f.RetryAfter, &t.Latency: &f.Latency, &t.BuildTakes: &f.BuildTakes} {
		d, err := time.ParseDuration(cmp.Or(*text, "0s"))
		if err != nil {
			return PagesFaults{}, fmt.Errorf("%q is no duration", *text)
		}
		*into = d
	}
	return f, nil
}

func (f PagesFaults) text() pagesFaultsText {
	return pagesFaultsText{Status: f.Status, For: f.For, RetryAfter: f.RetryAfter.String(), Latency: f.Latency.String(), BuildFails: f.BuildFails,
		BuildTakes: f.BuildTakes.String(), LoseAnswers: maps.Clone(f.LoseAnswers)}
}

// pagesOrder is what a drill asks of the control door.
type pagesOrder struct {
	Project string   `json:"project"` // the first one by default
	Name    string   `json:"name"`
	Names   []string `json:"names"`
	Value   string   `json:"value"`
	Commit  string   `json:"commit"`
}

// pagesTokenOrder changes a token; what is not given stays.
type pagesTokenOrder struct {
	Name      string           `json:"name"`
	State     *PagesTokenState `json:"state"`
	Read      *bool            `json:"read"`
	Write     *bool            `json:"write"`
	Addresses *[]string        `json:"addresses"`
}

// control is the door for drills in another process: what the owner does, and faults. It opens for the same machine only, and
// shows no value of a variable or a token.
func (p *Pages) control(mux *http.ServeMux) {
	mux.HandleFunc("GET /_control", p.door(func(*http.Request) (any, error) { return p.state(), nil }))
	mux.HandleFunc("POST /_control/faults", p.door(p.orderFaults))
	mux.HandleFunc("POST /_control/token", p.door(p.orderToken))
	for action, act := range map[string]func(*PagesOwner, pagesOrder) string{
		"secret":  func(o *PagesOwner, in pagesOrder) string { o.SetSecret(in.Name, in.Value); return "" },
		"plain":   func(o *PagesOwner, in pagesOrder) string { o.SetPlain(in.Name, in.Value); return "" },
		"remove":  func(o *PagesOwner, in pagesOrder) string { o.Remove(in.Names...); return "" },
		"deploy":  func(o *PagesOwner, in pagesOrder) string { return o.Deploy(in.Commit) },
		"preview": func(o *PagesOwner, in pagesOrder) string { return o.DeployPreview(in.Commit) },
		"skip":    func(o *PagesOwner, in pagesOrder) string { return o.Skip(in.Commit) },
	} {
		mux.HandleFunc("POST /_control/"+action, p.door(func(r *http.Request) (any, error) { return p.order(r, act) }))
	}
}

func (p *Pages) door(act func(*http.Request) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		from, err := netip.ParseAddrPort(r.RemoteAddr)
		if err != nil || !from.Addr().Unmap().IsLoopback() {
			http.Error(w, "only from this machine", http.StatusForbidden)
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, requestBytesMax)
		result, err := act(r)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		body, err := json.Marshal(result)
		if err != nil {
			panic("simulate: " + err.Error()) // unreachable: our own types
		}
		answer{status: http.StatusOK, body: body}.write(w)
	}
}

func strictly(r *http.Request, into any) error {
	d := json.NewDecoder(r.Body)
	d.DisallowUnknownFields()
	return d.Decode(into)
}

func (p *Pages) orderFaults(r *http.Request) (any, error) {
	var in pagesFaultsText
	if err := strictly(r, &in); err != nil {
		return nil, err
	}
	faults, err := in.read()
	if err != nil {
		return nil, err
	}
	p.SetFaults(faults)
	return faults.text(), nil
}

func (p *Pages) orderToken(r *http.Request) (any, error) {
	var in pagesTokenOrder
	if err := strictly(r, &in); err != nil {
		return nil, err
	}
	isKnown := p.changeToken(in.Name, func(t *PagesToken) {
		replace(&t.State, in.State)
		replace(&t.Read, in.Read)
		replace(&t.Write, in.Write)
		replace(&t.Addresses, in.Addresses)
	})
	if !isKnown {
		return nil, fmt.Errorf("there is no token %q", in.Name)
	}
	return in, nil
}

func replace[T any](old, given *T) {
	if given != nil {
		*old = *given
	}
}

func (p *Pages) order(r *http.Request, act func(*PagesOwner, pagesOrder) string) (any, error) {
	var in pagesOrder
	if err := strictly(r, &in); err != nil {
		return nil, err
	}
	in.Project = cmp.Or(in.Project, p.PagesOwner.name)
	p.mu.Lock()
	isKnown := p.project(in.Project) != nil
	p.mu.Unlock()
	if !isKnown {
		return nil, fmt.Errorf("there is no project %q", in.Project)
	}
	return map[string]string{"deployment": act(p.Project(in.Project), in)}, nil
}

// PagesState is what the control door shows. It has names and no values.
type PagesState struct {
	Projects []PagesProjectState `json:"projects"`
	Tokens   map[string]string   `json:"tokens"` // state by name
	Faults   pagesFaultsText     `json:"faults"`
	Writes   []PagesWrite        `json:"writes"`
	Calls    int                 `json:"calls"`
}

// PagesProjectState is a project in a PagesState.
type PagesProjectState struct {
	Name        string                 `json:"name"`
	Secrets     []string               `json:"secrets"` // names, of production
	Plain       []string               `json:"plain"`
	Deployments []PagesDeploymentState `json:"deployments"` // oldest first
}

// PagesDeploymentState is a deployment in a PagesState.
type PagesDeploymentState struct {
	ID        string    `json:"id"`
	Commit    string    `json:"commit"`
	Preview   bool      `json:"preview,omitempty"`
	Trigger   string    `json:"trigger"`
	RetryOf   string    `json:"retry_of,omitempty"`
	CreatedAt time.Time `json:"created_at"`
	Stage     string    `json:"stage"`
	Status    string    `json:"status"`
	Live      bool      `json:"live,omitempty"`
	Variables []string  `json:"variables"` // names of those that were baked in
}

func (p *Pages) state() PagesState {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := PagesState{Tokens: map[string]string{}, Faults: p.faults.text(), Writes: slices.Clone(p.writes), Calls: p.calls}
	for _, t := range p.tokens {
		s.Tokens[t.Name] = string(cmp.Or(t.State, PagesTokenActive))
	}
	for _, project := range p.projects {
		shown := PagesProjectState{Name: project.name}
		for _, name := range slices.Sorted(maps.Keys(project.variables[pagesProduction])) {
			if project.variables[pagesProduction][name].Plain {
				shown.Plain = append(shown.Plain, name)
			} else {
				shown.Secrets = append(shown.Secrets, name)
			}
		}
		for _, d := range project.deployments.items {
			shown.Deployments = append(shown.Deployments, PagesDeploymentState{ID: d.ID, Commit: d.Commit, Preview: d.Preview, Trigger: d.Trigger,
				RetryOf: d.RetryOf, CreatedAt: d.CreatedAt, Stage: d.Stage, Status: d.Status, Live: d == project.live,
				Variables: slices.Sorted(maps.Keys(d.Variables))})
		}
		s.Projects = append(s.Projects, shown)
	}
	return s
}
