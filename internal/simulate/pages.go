package simulate

import (
	"crypto/rand"
	"io"
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"
)

// The account, the project and the token of a pretend Cloudflare that was told none.
const (
	PagesAccount = "0123456789abcdef0123456789abcdef"
	PagesName    = "shop"
	PagesKey     = "cfut_simulatedsimulatedsimulatedsimulated00000001"
)

// PagesOptions are what a pretend Cloudflare Pages is made of. Every field has a useful zero value.
type PagesOptions struct {
	// Account is the only account there is, PagesAccount by default.
	Account string
	// Projects are those of the account; the project PagesName without variables by default.
	Projects []PagesProject
	// Tokens are those that were ever made; PagesKey, which may read and write, by default.
	Tokens []PagesToken
	// Build is how long a deployment takes from the push to being live, 45 seconds by default.
	Build time.Duration
	// Now is the clock for everything stored, time.Now by default.
	Now func() time.Time
	// After calls f once d has passed, as time.AfterFunc does, which is the default. A drill that is in a hurry shortens d.
	After func(d time.Duration, f func())
	// Rand is where ids come from, crypto/rand by default. It need not be safe for concurrent use.
	Rand io.Reader
	// Live is told of every deployment of the first project that becomes live, the first ones included, which NewPages
	// tells before it returns. It has the variables that the program finds there. Calls come one at a time, in order, and
	// hold no lock.
	Live func(PagesDeployment)
}

// PagesProject is a project as it was before the story begins.
type PagesProject struct {
	Name    string
	Secrets map[string]string // of production
	Plain   map[string]string // of production, as plain text
	// ProjectFile are the variables of the wrangler file in the repository; nil when there is none. Every deploy of a project
	// with such a file puts them in the place of all plain variables; secrets stay (cloudflare/workers-sdk#276, #7642).
	ProjectFile map[string]string
	// Commit is what runs at the beginning; "" is the commit "initial", and "none" leaves the project without a deployment.
	Commit string
}

// PagesVariable is one variable as Cloudflare keeps it.
type PagesVariable struct {
	Value string
	Plain bool // plain text, which everybody with a token can read, and no secret
}

// PagesDeployment is one deployment.
type PagesDeployment struct {
	ID        string
	Project   string
	Commit    string
	Preview   bool   // of another branch than the production one
	Trigger   string // github:push, or ad_hoc for a retry
	RetryOf   string // the deployment that it repeats
	CreatedAt time.Time
	Stage     string // queued, initialize, clone_repo, build or deploy
	Status    string // of the stage: active, success, failure or skipped
	Skipped   bool
	Live      bool // production points to it
	// Variables are those that were baked in when the build started; nil before.
	Variables map[string]PagesVariable
}

// Has reports whether a variable was baked in with a value.
func (d PagesDeployment) Has(name string) bool { return d.Variables[name].Value != "" }

// Environment gives the baked variables as a process takes them.
func (d PagesDeployment) Environment() []string {
	list := make([]string, 0, len(d.Variables))
	for _, name := range slices.Sorted(maps.Keys(d.Variables)) {
		list = append(list, name+"="+d.Variables[name].Value)
	}
	return list
}

// PagesWrite is one request that wanted to change something. It has no values.
type PagesWrite struct {
	At      time.Time `json:"at"`
	Action  string    `json:"action"` // write, retry or rollback
	Project string    `json:"project"`
	Target  string    `json:"target,omitempty"` // the deployment that is retried or gone back to
	Set     []string  `json:"set,omitempty"`    // names that got a value, sorted, of all environments
	Plain   []string  `json:"plain,omitempty"`  // those of them that are plain text
	Empty   []string  `json:"empty,omitempty"`  // those of them whose value is empty
	Deleted []string  `json:"deleted,omitempty"`
	// Shape is the body with "string", "number" and "bool" in the place of values; null stays null.
	Shape  string `json:"shape,omitempty"`
	Status int    `json:"status"` // of the answer, whether or not it arrived
	Lost   bool   `json:"lost,omitempty"`
}

// Pages is a pretend Cloudflare with an account, its tokens and its Pages projects. It is an http.Handler with the API under
// /accounts, /user and /client/v4, and a door for drills under /_control. What its owner does are the methods of PagesOwner,
// here for the first project and by Project for the others. All methods may be called from several goroutines at once. Close
// ends answers that hang and builds that are under way.
//
// What Cloudflare documents is as documented. What could only be inferred is marked so where it stands: mostly codes of
// refusals, and the order of things during a build.
type Pages struct {
	*PagesOwner
	options PagesOptions
	handler http.Handler
	stop    chan struct{}
	closing sync.Once

	mu       sync.Mutex
	faults   PagesFaults
	projects []*pagesProject
	tokens   []*PagesToken
	writes   []PagesWrite
	calls    int
	news     []PagesDeployment // not yet told to Live

	telling sync.Mutex // Live is told by one at a time
}

// pagesProject is a project. The lock of Pages guards it.
type pagesProject struct {
	id          string
	name        string
	variables   map[string]map[string]PagesVariable // by environment and name
	file        map[string]string
	deployments ledger[*pagesDeployment]
	live        *pagesDeployment
}

var _ http.Handler = (*Pages)(nil)

// NewPages returns an account whose projects are live as they are.
func NewPages(o PagesOptions) *Pages {
	setDefault(&o.Account, PagesAccount)
	setDefault(&o.Build, pagesBuildDefault)
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.After == nil {
		o.After = func(d time.Duration, f func()) { time.AfterFunc(d, f) }
	}
	if o.Rand == nil {
		o.Rand = rand.Reader
	}
	if o.Live == nil {
		o.Live = func(PagesDeployment) {}
	}
	if len(o.Projects) == 0 {
		o.Projects = []PagesProject{{Name: PagesName}}
	}
	if len(o.Tokens) == 0 {
		o.Tokens = []PagesToken{{Name: "healer", Value: PagesKey, Read: true, Write: true}}
	}
	p := &Pages{options: o, stop: make(chan struct{})}
	for _, project := range o.Projects {
		p.found(project)
	}
	for _, token := range o.Tokens {
		p.tokens = append(p.tokens, &token)
	}
	p.PagesOwner = p.Project(o.Projects[0].Name)
	p.handler = p.routes()
	p.tell()
	return p
}

// found makes a project and what runs there.
func (p *Pages) found(o PagesProject) {
	setDefault(&o.Commit, "initial")
	project := &pagesProject{id: newUUID(p.options.Rand), name: o.Name, file: o.ProjectFile,
		variables: map[string]map[string]PagesVariable{pagesProduction: {}, pagesPreview: {}}}
	for name, value := range o.Secrets {
		project.variables[pagesProduction][name] = PagesVariable{Value: value}
	}
	for name, value := range o.Plain {
		project.variables[pagesProduction][name] = PagesVariable{Value: value, Plain: true}
	}
	p.projects = append(p.projects, project)
	if o.Commit == "none" {
		return
	}
	d := p.begin(project, PagesDeployment{Commit: o.Commit, Trigger: "github:push"})
	d.Variables = maps.Clone(project.variables[pagesProduction])
	d.finish(p.options.Now())
	p.goLive(project, d)
}

// ServeHTTP answers the API and the door for drills.
func (p *Pages) ServeHTTP(w http.ResponseWriter, r *http.Request) { p.handler.ServeHTTP(w, r) }

// Close ends answers that hang, and builds that are under way. Closing twice is harmless.
func (p *Pages) Close() { p.closing.Do(func() { close(p.stop) }) }

// Writes lists what wanted to change something and was let in, oldest first: refused requests too, as far as they had a good
// token and could be read.
func (p *Pages) Writes() []PagesWrite {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.writes)
}

// Calls is how many requests to the API came, refused ones included.
func (p *Pages) Calls() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.calls
}

// wrote keeps a write in the log. The lock is held.
func (p *Pages) wrote(w PagesWrite) {
	w.At = p.options.Now().UTC()
	p.writes = append(p.writes, w)
	if len(p.writes) > pagesLogMax {
		p.writes = slices.Delete(p.writes, 0, len(p.writes)-pagesLogMax)
	}
}

// project returns one by name; nil when there is none. The lock is held.
func (p *Pages) project(name string) *pagesProject {
	for _, project := range p.projects {
		if project.name == name {
			return project
		}
	}
	return nil
}

// goLive points production to a deployment. The lock is held; who holds it calls tell afterwards.
func (p *Pages) goLive(project *pagesProject, d *pagesDeployment) {
	if project.live == d {
		return
	}
	project.live = d
	if project == p.projects[0] {
		p.news = append(p.news, d.copy(project))
	}
}

// tell tells Live what has become live. The lock is not held. Live may call back: then the news wait for whoever tells.
func (p *Pages) tell() {
	for p.hasNews() && p.telling.TryLock() {
		for {
			news := p.nextNews()
			if news == nil {
				break
			}
			p.options.Live(*news)
		}
		p.telling.Unlock()
	}
}

func (p *Pages) hasNews() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.news) > 0
}

func (p *Pages) nextNews() *PagesDeployment {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.news) == 0 {
		return nil
	}
	next := p.news[0]
	p.news = p.news[1:]
	return &next
}
