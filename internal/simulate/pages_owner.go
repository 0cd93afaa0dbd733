package simulate

import (
	"maps"
	"slices"
)

// PagesOwner is what the owner of a project does at the dashboard and at the repository.
type PagesOwner struct {
	p    *Pages
	name string
}

// Project is the owner of a project. A name that is not there panics: the story is wrong.
func (p *Pages) Project(name string) *PagesOwner {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.project(name) == nil {
		panic("simulate: there is no project " + name)
	}
	return &PagesOwner{p, name}
}

// do does something to the project under the lock.
func (o *PagesOwner) do(act func(*pagesProject)) {
	o.p.mu.Lock()
	defer o.p.mu.Unlock()
	act(o.p.project(o.name))
}

// SetSecret sets a secret of production. It works from the next deployment on.
func (o *PagesOwner) SetSecret(name, value string) {
	o.do(func(project *pagesProject) { project.variables[pagesProduction][name] = PagesVariable{Value: value} })
}

// SetPlain sets a plain variable of production. It works from the next deployment on.
func (o *PagesOwner) SetPlain(name, value string) {
	o.do(func(project *pagesProject) {
		project.variables[pagesProduction][name] = PagesVariable{Value: value, Plain: true}
	})
}

// SetPreview sets a secret of the preview environment.
func (o *PagesOwner) SetPreview(name, value string) {
	o.do(func(project *pagesProject) { project.variables[pagesPreview][name] = PagesVariable{Value: value} })
}

// Remove takes variables of production away. What runs keeps them until the next deployment.
func (o *PagesOwner) Remove(names ...string) {
	o.do(func(project *pagesProject) {
		for _, name := range names {
			delete(project.variables[pagesProduction], name)
		}
	})
}

// Deploy pushes a commit to the production branch and returns the deployment that it begins.
func (o *PagesOwner) Deploy(commit string) string {
	return o.push(PagesDeployment{Commit: commit, Trigger: "github:push"})
}

// DeployPreview pushes a commit to another branch.
func (o *PagesOwner) DeployPreview(commit string) string {
	return o.push(PagesDeployment{Commit: commit, Trigger: "github:push", Preview: true})
}

// Skip pushes a commit whose message says that it should not be built ("[CF-Pages-Skip]").
func (o *PagesOwner) Skip(commit string) string {
	return o.push(PagesDeployment{Commit: commit, Trigger: "github:push", Skipped: true})
}

func (o *PagesOwner) push(d PagesDeployment) (id string) {
	o.do(func(project *pagesProject) {
		begun := o.p.begin(project, d)
		o.p.build(project, begun)
		id = begun.ID
	})
	return id
}

// Forget deletes a deployment, as the owner of a project may; the live one stays.
func (o *PagesOwner) Forget(id string) {
	o.do(func(project *pagesProject) {
		kept := ledger[*pagesDeployment]{}
		for _, d := range project.deployments.items {
			if d.ID != id || d == project.live {
				kept.add(d.ID, d)
			}
		}
		project.deployments = kept
	})
}

// Variables are those of production as they are kept, for the next deployment.
func (o *PagesOwner) Variables() (all map[string]PagesVariable) {
	o.do(func(project *pagesProject) { all = maps.Clone(project.variables[pagesProduction]) })
	return all
}

// Deployments lists the deployments, oldest first.
func (o *PagesOwner) Deployments() (all []PagesDeployment) {
	o.do(func(project *pagesProject) {
		for _, d := range project.deployments.items {
			all = append(all, d.copy(project))
		}
	})
	return all
}

// Running is the deployment that production points to, and whether there is one.
func (o *PagesOwner) Running() (PagesDeployment, bool) {
	all := o.Deployments()
	i := slices.IndexFunc(all, func(d PagesDeployment) bool { return d.Live })
	if i < 0 {
		return PagesDeployment{}, false
	}
	return all[i], true
}
