package simulate

import (
	"maps"
	"slices"
	"time"
)

// The two environments of a project.
const (
	pagesProduction = "production"
	pagesPreview    = "preview"
)

// pagesStages are the stages of a deployment with the part of its time that each takes, in hundredths. Names and order are
// documented; how long each takes is a guess.
var pagesStages = []struct {
	name string
	part time.Duration
}{{"queued", 4}, {"initialize", 6}, {"clone_repo", 10}, {"build", 65}, {"deploy", 15}}

// pagesDeployment is a deployment with what nobody is shown.
type pagesDeployment struct {
	PagesDeployment
	order    int // of creation
	takes    time.Duration
	started  []time.Time // of each stage that has begun
	ended    []time.Time
	modified time.Time
}

func (d *pagesDeployment) copy(project *pagesProject) PagesDeployment {
	c := d.PagesDeployment
	c.Variables = maps.Clone(d.Variables)
	c.Live = project.live == d
	return c
}

func (d *pagesDeployment) environment() string {
	if d.Preview {
		return pagesPreview
	}
	return pagesProduction
}

// hasRun reports whether it was built and deployed.
func (d *pagesDeployment) hasRun() bool { return d.Stage == "deploy" && d.Status == "success" }

// begin makes a deployment that waits in the queue. The lock is held.
func (p *Pages) begin(project *pagesProject, as PagesDeployment) *pagesDeployment {
	now := p.options.Now().UTC()
	as.ID, as.Project, as.CreatedAt = newUUID(p.options.Rand), project.name, now
	as.Stage, as.Status = pagesStages[0].name, "active"
	d := &pagesDeployment{PagesDeployment: as, order: len(project.deployments.items), takes: p.options.Build, started: []time.Time{now}, modified: now}
	if p.faults.BuildTakes > 0 {
		d.takes = p.faults.BuildTakes
	}
	if n := len(project.deployments.items); n > 0 {
		d.order = project.deployments.items[n-1].order + 1
	}
	project.deployments.add(d.ID, d)
	return d
}

// finish is a deployment of the time before the story.
func (d *pagesDeployment) finish(now time.Time) {
	for range pagesStages[1:] {
		d.ended, d.started = append(d.ended, now.UTC()), append(d.started, now.UTC())
	}
	d.ended = append(d.ended, now.UTC())
	d.Stage, d.Status = "deploy", "success"
}

// build moves a deployment through its stages, as time goes by. The lock is held.
func (p *Pages) build(project *pagesProject, d *pagesDeployment) {
	if d.Skipped {
		d.Status, d.ended = "skipped", []time.Time{d.CreatedAt}
		return
	}
	p.options.After(d.takes*pagesStages[0].part/100, func() { p.step(project, d, 0) })
}

// step ends a stage and begins the next one.
func (p *Pages) step(project *pagesProject, d *pagesDeployment, stage int) {
	select {
	case <-p.stop:
		return
	default:
	}
	p.mu.Lock()
	p.leave(project, d, stage)
	p.mu.Unlock()
	p.tell()
}

func (p *Pages) leave(project *pagesProject, d *pagesDeployment, stage int) {
	d.modified = p.options.Now().UTC()
	d.ended = append(d.ended, d.modified)
	if p.faults.BuildFails == pagesStages[stage].name {
		d.Status = "failure"
		return
	}
	if stage+1 == len(pagesStages) {
		d.Status = "success"
		p.arrive(project, d)
		return
	}
	d.Stage, d.Status, d.started = pagesStages[stage+1].name, "active", append(d.started, d.modified)
	if stage == 0 {
		d.Variables = project.bake(d.environment())
	}
	p.options.After(d.takes*pagesStages[stage+1].part/100, func() { p.step(project, d, stage+1) })
}

// bake takes the variables for a build. That it happens when the build leaves the queue is inferred; documented is that
// variables only apply to a new deployment. A project with a wrangler file loses its plain variables here for those of the
// file, and keeps its secrets, in the settings of the project too (cloudflare/workers-sdk#7642).
func (project *pagesProject) bake(environment string) map[string]PagesVariable {
	variables := project.variables[environment]
	if project.file != nil {
		maps.DeleteFunc(variables, func(_ string, v PagesVariable) bool { return v.Plain })
		for name, value := range project.file {
			if _, isSecret := variables[name]; !isSecret {
				variables[name] = PagesVariable{Value: value, Plain: true}
			}
		}
	}
	return maps.Clone(variables)
}

// arrive makes a deployment live that was built. One that was overtaken by a newer one does not become live; that is inferred.
func (p *Pages) arrive(project *pagesProject, d *pagesDeployment) {
	isOvertaken := slices.ContainsFunc(project.deployments.items, func(other *pagesDeployment) bool {
		return other.order > d.order && !other.Preview && other.hasRun()
	})
	if !d.Preview && !isOvertaken {
		p.goLive(project, d)
	}
}
