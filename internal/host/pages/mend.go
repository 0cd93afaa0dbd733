package pages

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/host"
)

// ErrUnderWay is that a run of ours is still being built, and would become live after whatever is done now. Asking again once it has
// ended is right.
var ErrUnderWay = errors.New("a deployment of the same commit is still being built and would become live afterwards")

// edit is the body of a change of variables. A nil variable deletes.
type edit struct {
	Configs struct {
		Production struct {
			Variables map[string]*newVariable `json:"env_vars"`
			Hash      string                  `json:"wrangler_config_hash,omitempty"`
		} `json:"production"`
	} `json:"deployment_configs"`
}

type newVariable struct {
	Type  string `json:"type"`
	Value string `json:"value"`
}

// Write puts the settings as secrets of production, in one request that merges: what it does not name stays. A project with a wrangler
// file carries the hash of that file; it goes back as it is, as wrangler itself does when it puts a secret.
func (t *Target) Write(ctx context.Context, settings []host.Setting) error {
	if err := checkSettings(settings); err != nil {
		return err
	}
	variables := map[string]*newVariable{}
	for _, s := range settings {
		variables[s.Name] = &newVariable{Type: "secret_text", Value: s.Value.Reveal()}
	}
	p, err := t.change(ctx, variables)
	if err != nil {
		return err
	}
	written := p.variables()
	for _, s := range settings {
		if written[s.Name].Type != "secret_text" {
			return fmt.Errorf("%w: cloudflare's answer to the change does not have %s as a secret", host.ErrDoubt, s.Name)
		}
	}
	return nil
}

// checkSettings refuses before anything is sent: an empty set or value can only be a mistake of ours.
func checkSettings(settings []host.Setting) error {
	if len(settings) == 0 || len(settings) > settingsMax {
		return makegood.Errorf(makegood.Invalid, "Between 1 and %d variables can be written at once, not %d.", settingsMax, len(settings))
	}
	seen := map[string]bool{}
	for _, s := range settings {
		switch {
		case !nameText.MatchString(s.Name):
			return makegood.Errorf(makegood.Invalid, "A variable has no name that a program can read.")
		case seen[s.Name]:
			return makegood.Errorf(makegood.Invalid, "The variable %s is there twice.", s.Name)
		case s.Value.Empty():
			return makegood.Errorf(makegood.Invalid, "The variable %s has no value; an empty one is never written.", s.Name)
		}
		seen[s.Name] = true
	}
	return nil
}

// change sends a change of variables and nothing else. It first reads the hash that has to come along.
func (t *Target) change(ctx context.Context, variables map[string]*newVariable) (project, error) {
	before, err := t.readProject(ctx)
	if err != nil {
		return project{}, err
	}
	var body edit
	body.Configs.Production.Variables, body.Configs.Production.Hash = variables, before.Configs.Production.Hash
	var after project
	err = t.call(ctx, http.MethodPatch, "", body, &after)
	return after, err
}

// Start builds the deployment again that the survey calls Good: its commit, with the variables of now. Cloudflare keeps no name of the
// attempt; Adopt knows the run by its commit.
func (t *Target) Start(ctx context.Context, s host.Survey, _ string) (string, error) {
	if !idText.MatchString(s.Good) {
		return "", &host.Diagnosis{Fault: host.NotStarted, Sentence: "No deployment of the project " + t.project +
			" is known to have run, so there is none to build again: deploy once by hand."}
	}
	return t.retry(ctx, s.Good)
}

func (t *Target) retry(ctx context.Context, id string) (string, error) {
	var begun deployment
	if err := t.call(ctx, http.MethodPost, "/deployments/"+id+"/retry", nil, &begun); err != nil {
		return "", err
	}
	if !idText.MatchString(begun.ID) {
		return "", fmt.Errorf("%w: cloudflare's answer has no name of the deployment", host.ErrDoubt)
	}
	return begun.ID, nil
}

// Adopt looks among the production deployments that are newer than all of the survey for one of the same commit as Good. A push of
// another commit is never taken. Of several the newest is: it has the newest variables. Whether Cloudflare marks a retry as such is not
// documented, so nothing depends on it.
func (t *Target) Adopt(ctx context.Context, s host.Survey, _ string) (string, error) {
	if !idText.MatchString(s.Good) {
		return "", nil
	}
	good, err := t.readDeployment(ctx, s.Good)
	if err != nil {
		return "", err
	}
	if good.commit() == "" { // somebody's upload without a commit: any other could be one of newer files
		return "", fmt.Errorf("%w: the deployment has no commit by which another one of it could be known", host.ErrDoubt)
	}
	since, err := t.since(ctx, s)
	if err != nil {
		return "", err
	}
	i := slices.IndexFunc(since, func(d deployment) bool { return !d.IsSkipped && d.ID != s.Good && d.commit() == good.commit() })
	if i < 0 {
		return "", nil
	}
	return since[i].ID, nil
}

// since lists the production deployments that began after the survey, newest first. Cloudflare's order tells, and no clock; only
// when the newest one of then was deleted, its clock is compared with ours.
func (t *Target) since(ctx context.Context, s host.Survey) ([]deployment, error) {
	isNewest := func(d deployment) bool { return d.ID == s.Newest }
	all, err := t.list(ctx, func(all []deployment) bool { return slices.ContainsFunc(all, isNewest) })
	if err != nil {
		return nil, err
	}
	if i := slices.IndexFunc(all, isNewest); i >= 0 {
		return all[:i], nil
	}
	return slices.DeleteFunc(all, func(d deployment) bool { return d.CreatedOn.Before(s.At.Add(-clockTolerance)) }), nil
}

// Progress reads the deployment. One that is gone has failed.
func (t *Target) Progress(ctx context.Context, run string) (host.Progress, error) {
	d, err := t.readDeployment(ctx, run)
	if r := (*refusal)(nil); errors.As(err, &r) && r.has(codeNoDeployment) {
		return host.Progress{State: host.Failed, Note: "deleted"}, nil
	}
	if err != nil {
		return host.Progress{}, err
	}
	p := host.Progress{State: host.Running}
	switch {
	case d.hasRun():
		p.State = host.Ran
	case d.hasFailed():
		p.State = host.Failed
	}
	if wordText.MatchString(d.Stage.Name) && wordText.MatchString(d.Stage.Status) {
		p.Note = d.Stage.Name + ": " + d.Stage.Status
	}
	return p, nil
}

// Revert points production to the deployment that the survey calls Live, as it was built. When it is live, nothing is sent. While a run of
// the same commit is being built that began after the survey, it is ErrUnderWay: Cloudflare would make that one live when it is built.
func (t *Target) Revert(ctx context.Context, s host.Survey) error {
	if !idText.MatchString(s.Live) {
		return makegood.Errorf(makegood.Conflict, "Nothing of the project ran before, so there is nothing to go back to.")
	}
	p, err := t.readProject(ctx)
	if err != nil {
		return err
	}
	live, _ := p.live()
	if live.ID != s.Live {
		live = deployment{}
		if err := t.call(ctx, http.MethodPost, "/deployments/"+s.Live+"/rollback", nil, &live); err != nil {
			return err
		}
	}
	since, err := t.since(ctx, s)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(since, func(d deployment) bool { return d.isUnderWay() && d.commit() == live.commit() }) {
		return ErrUnderWay
	}
	return nil
}

// Break deletes variables of production and builds again what is live. Only drills call it; it is the only place where null is sent.
func (t *Target) Break(ctx context.Context, names []string) error {
	if len(names) == 0 || len(names) > settingsMax || slices.ContainsFunc(names, func(name string) bool { return !nameText.MatchString(name) }) {
		return makegood.Errorf(makegood.Invalid, "A drill has to name the variables that it takes away.")
	}
	variables := map[string]*newVariable{}
	for _, name := range names {
		variables[name] = nil
	}
	p, err := t.change(ctx, variables)
	if err != nil {
		return err
	}
	live, isLive := p.live()
	if !isLive {
		return makegood.Errorf(makegood.Conflict, "Nothing of the project is live, so there is nothing to break.")
	}
	_, err = t.retry(ctx, live.ID)
	return err
}
