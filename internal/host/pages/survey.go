package pages

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/makegood/makegood/internal/host"
	"github.com/makegood/makegood/internal/secret"
)

// variable is one as Cloudflare tells it: the value is empty for a secret.
type variable struct {
	Type  string `json:"type"`
	Value string `json:"value"`
}

func (v variable) isPlain() bool { return v.Type == "plain_text" }

// stage is where a deployment is.
type stage struct {
	Name   string `json:"name"`
	Status string `json:"status"`
}

// deployment is what is read of one.
type deployment struct {
	ID          string              `json:"id"`
	Environment string              `json:"environment"`
	CreatedOn   time.Time           `json:"created_on"`
	Stage       stage               `json:"latest_stage"`
	IsSkipped   bool                `json:"is_skipped"`
	Variables   map[string]variable `json:"env_vars"`
	Trigger     struct {
		Metadata struct {
			CommitHash string `json:"commit_hash"`
		} `json:"metadata"`
	} `json:"deployment_trigger"`
}

func (d deployment) commit() string { return d.Trigger.Metadata.CommitHash }

// hasRun reports whether it was built and deployed.
func (d deployment) hasRun() bool {
	return !d.IsSkipped && d.Stage.Name == "deploy" && d.Stage.Status == "success"
}

// hasFailed reports whether it ended without running.
func (d deployment) hasFailed() bool {
	return d.IsSkipped || slices.Contains([]string{"failure", "canceled", "skipped"}, d.Stage.Status)
}

func (d deployment) isUnderWay() bool { return !d.hasRun() && !d.hasFailed() }

// project is what is read of one.
type project struct {
	Canonical *deployment `json:"canonical_deployment"`
	Configs   struct {
		Production struct {
			Variables map[string]*variable `json:"env_vars"`
			// Hash is of the wrangler file that the last deploy had; "" when the project has none.
			Hash string `json:"wrangler_config_hash"`
		} `json:"production"`
	} `json:"deployment_configs"`
}

// live is what production points to. Cloudflare calls the canonical deployment the most recent one of production; in case it counts
// one that failed, only one that ran is believed.
func (p project) live() (deployment, bool) {
	d := p.Canonical
	if d == nil || d.Environment == "preview" || !d.hasRun() || !idText.MatchString(d.ID) {
		return deployment{}, false
	}
	return *d, true
}

func (p project) variables() map[string]variable {
	all := map[string]variable{}
	for name, v := range p.Configs.Production.Variables {
		if v != nil {
			all[name] = *v
		}
	}
	return all
}

func (t *Target) readProject(ctx context.Context) (p project, err error) {
	err = t.call(ctx, http.MethodGet, "", nil, &p)
	return p, err
}

func (t *Target) readDeployment(ctx context.Context, id string) (d deployment, err error) {
	if !idText.MatchString(id) {
		return d, fmt.Errorf("the name of the deployment cannot be one of Cloudflare's")
	}
	err = t.call(ctx, http.MethodGet, "/deployments/"+id, nil, &d)
	return d, err
}

// list reads the production deployments, newest first, until enough says so, the list ends, or a hundred are read.
func (t *Target) list(ctx context.Context, enough func([]deployment) bool) ([]deployment, error) {
	var all []deployment
	for page := 1; page <= listPagesMax; page++ {
		var some []deployment
		path := fmt.Sprintf("/deployments?env=production&page=%d&per_page=%d", page, perPage)
		if err := t.call(ctx, http.MethodGet, path, nil, &some); err != nil {
			return nil, err
		}
		for _, d := range some {
			if d.Environment != "preview" && idText.MatchString(d.ID) {
				all = append(all, d)
			}
		}
		if len(some) < perPage || enough(all) {
			break
		}
	}
	return all, nil
}

// Survey reads the project and its deployments. Good is what production points to, when that ran: a newer deployment that failed, or was
// rolled back from, is none to go back to.
func (t *Target) Survey(ctx context.Context) (host.Survey, error) {
	s := host.Survey{At: t.now().UTC(), Keeps: true}
	p, err := t.readProject(ctx)
	if err != nil {
		return host.Survey{}, err
	}
	live, isLive := p.live()
	deployments, err := t.list(ctx, func(all []deployment) bool { return isLive || slices.ContainsFunc(all, deployment.hasRun) })
	if err != nil {
		return host.Survey{}, err
	}
	if i := slices.IndexFunc(deployments, deployment.hasRun); !isLive && i >= 0 {
		live, isLive = deployments[i], true
	}
	s.Good, s.Live = live.ID, live.ID
	if !isLive {
		s.Down = "Nothing of the project has been deployed to production."
	}
	if len(deployments) > 0 {
		s.Newest = deployments[0].ID
	}
	if i := slices.IndexFunc(deployments, func(d deployment) bool { return d.isUnderWay() && d.CreatedOn.After(s.At.Add(-busyMax)) }); i >= 0 {
		s.Busy = deployments[i].ID
	}
	s.Variables = describe(p.variables())
	s.Pending = pending(p, live)
	s.Cause = cause(p, deployments)
	return s, nil
}

// pending are the variables of the project that the live deployment was built without: a change has no effect before the next
// deployment (cloudflare/cloudflare-docs#7333).
func pending(p project, live deployment) []string {
	if live.Variables == nil {
		return nil // nobody says what it was built with
	}
	var names []string
	for _, name := range slices.Sorted(maps.Keys(p.variables())) {
		if _, has := live.Variables[name]; !has {
			names = append(names, name)
		}
	}
	return names
}

// describe tells variables without their values.
func describe(variables map[string]variable) []host.Variable {
	list := []host.Variable{}
	for _, name := range slices.Sorted(maps.Keys(variables)) {
		v := host.Variable{Name: name}
		if variables[name].isPlain() {
			value := secret.New(variables[name].Value)
			v.Plain, v.Readable, v.Empty, v.Fingerprint = true, true, value.Empty(), value.Fingerprint()
		}
		list = append(list, v)
	}
	return list
}

// The two known ways in which variables get lost, in words.
const (
	byProjectFile = "a deploy of a project with a wrangler file replaces plain variables (cloudflare/workers-sdk#7642)"
	byOtherHands  = "somebody deleted them, or a tool that keeps the whole project wrote its own set (cloudflare/terraform-provider-cloudflare#6692)"
)

// cause says what probably took variables: those that earlier deployments were built with and that are not there any more. Where none is
// lost, it says what threatens the plain ones.
func cause(p project, deployments []deployment) string {
	now := p.variables()
	plain, secrets := map[string]bool{}, map[string]bool{}
	for _, d := range deployments {
		for name, v := range d.Variables {
			if _, isThere := now[name]; isThere || plain[name] || secrets[name] || !nameText.MatchString(name) {
				continue
			}
			if v.isPlain() {
				plain[name] = true
			} else {
				secrets[name] = true
			}
		}
	}
	var parts []string
	if len(plain) > 0 {
		parts = append(parts, "Gone that an earlier deployment had as plain text: "+names(plain)+". Probably "+byProjectFile+hasFile(p)+".")
	}
	if len(secrets) > 0 {
		parts = append(parts, "Gone that an earlier deployment had as secrets: "+names(secrets)+". Probably "+byOtherHands+".")
	}
	if len(parts) == 0 {
		return threat(p)
	}
	return strings.Join(parts, " ")
}

// threat is what may take the plain variables at the next deploy.
func threat(p project) string {
	n := 0
	for _, v := range p.variables() {
		if v.isPlain() {
			n++
		}
	}
	switch n {
	case 0:
		return ""
	case 1:
		return "1 variable is plain text; " + byProjectFile + hasFile(p) + "."
	}
	return strconv.Itoa(n) + " variables are plain text; " + byProjectFile + hasFile(p) + "."
}

func hasFile(p project) string {
	if p.Configs.Production.Hash == "" {
		return ""
	}
	return ", and this project has one"
}

func names(set map[string]bool) string {
	list := slices.Sorted(maps.Keys(set))
	if len(list) > namesMax {
		return strings.Join(list[:namesMax], ", ") + " and " + strconv.Itoa(len(list)-namesMax) + " more"
	}
	return strings.Join(list, ", ")
}
