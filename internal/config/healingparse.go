package config

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/makegood/makegood/internal/secret"
)

// later reads a reference to a secret that is followed only when it is needed.
func (p *parsing) later(n *node) Later {
	if n.bad || n.absent || n.text == "" {
		return Later{}
	}
	if !isReference(n.text) {
		p.refuse(n, "is written into the file itself; write env:NAME or file:/path instead, and replace the secret if others could read this file")
		p.classify(secret.Literal)
		return Later{}
	}
	reference, dir, lookup := n.text, p.dir, p.lookup
	return Later{reference: reference, read: func() (secret.Value, error) { return secret.Resolve(reference, dir, lookup) }}
}

// besideFile is a path seen from the folder of the file.
func (p *parsing) besideFile(path string) string {
	if path == "" || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(p.dir, path)
}

func (p *parsing) secretList(n *node) SecretList {
	if n.absent {
		return SecretList{}
	}
	l := SecretList{IsSet: true}
	if !p.child(n, "mode").absent {
		l.Mode = secret.Mode(p.text(n, "mode"))
	}
	l.Source = TruthSource{Kind: p.text(n, "source"), Path: p.besideFile(p.text(n, "path")), Identity: p.later(p.child(n, "identity")),
		VerifyKey: p.text(n, "verify_key", optional(plainWord)), AllowUnsigned: p.flag(n, "allow_unsigned"), Prefix: p.text(n, "prefix", optional(variableName))}
	if !p.child(n, "source").bad {
		p.fitSource(n, l.Source)
	}
	list := p.child(n, "required")
	p.atLeastOne(list)
	names := p.unique()
	for _, item := range list.items {
		r := RequiredSecret{Name: p.text(item, "name", variableName), Kind: secret.Kind(p.text(item, "kind")), Optional: p.flag(item, "optional")}
		if at := p.child(item, "not_after"); !at.absent {
			r.NotAfter = p.moment(item, "not_after")
		}
		for _, place := range p.child(item, "places").items {
			r.Places = append(r.Places, place.text)
		}
		names(item, "name")
		l.Required = append(l.Required, r)
	}
	return l
}

// fitSource holds which keys each source needs.
func (p *parsing) fitSource(n *node, s TruthSource) {
	need := func(name, why string) {
		if at := p.child(n, name); !at.bad && (at.absent || at.text == "") {
			p.refuse(at, "is missing; %s", why)
		}
	}
	switch s.Kind {
	case "sealed":
		need("path", "it is the sealed file")
		need("identity", "nothing else opens the sealed file")
		if !s.AllowUnsigned {
			need("verify_key", "without it anybody could seal another truth; say allow_unsigned: true if that is meant")
		}
	case "directory":
		need("path", "it is the folder")
	}
}

var placeName = shaped(`^[a-z0-9][a-z0-9-]{0,63}$`, "is not a name: it has 1 to 64 of a to z, 0 to 9 and dashes")

var variableName = shaped(`^[A-Za-z_][A-Za-z0-9_]{0,127}$`, "is not the name of a variable: letters, digits and underscores")

func (p *parsing) heal(n *node, api check, monitors []Monitor) Heal {
	var h Heal
	if n.absent {
		return h
	}
	list := p.child(n, "targets")
	p.atLeastOne(list)
	names := p.unique()
	for _, item := range list.items {
		h.Targets = append(h.Targets, p.healTarget(item, api, monitors))
		names(item, "name")
	}
	return h
}

func (p *parsing) healTarget(n *node, api check, monitors []Monitor) HealTarget {
	t := HealTarget{
		Name: p.text(n, "name", placeName), Kind: p.text(n, "kind"), Auto: p.flag(n, "auto"), Drill: p.flag(n, "drill"),
		Account: p.text(n, "account", optional(plainWord)), Project: p.text(n, "project", optional(plainWord)), Token: p.later(p.child(n, "token")),
		APIBase: strings.TrimSuffix(p.text(n, "api_base", optional(api)), "/"), Path: p.besideFile(p.text(n, "path")),
		Command: p.words(n, "command"), Status: p.words(n, "status"),
		Repo: p.text(n, "repo", optional(githubRepo)), Workflow: p.text(n, "workflow", optional(plainWord)), Ref: p.text(n, "ref", optional(plainWord)),
		After: p.span(n, "after"), StartWithin: p.span(n, "start_within"), VerifyWithin: p.span(n, "verify_within"), VerifyEvery: p.span(n, "verify_every"),
		Steady: p.number(n, "steady"),
	}
	if t.Name == ServerPlace {
		p.refuse(p.child(n, "name"), "is server, which is the running server among the places of a secret; give it another name")
	}
	for _, item := range p.child(n, "monitors").items {
		if !slices.ContainsFunc(monitors, func(m Monitor) bool { return m.Name == item.text }) {
			p.refuse(item, "names a monitor that does not exist")
		}
		t.Monitors = append(t.Monitors, item.text)
	}
	if kind, ok := targetKindOf(t.Kind); ok && !n.bad {
		p.fitTarget(n, kind)
	}
	return t
}

// serverHeal reads what a server mends of itself.
func (p *parsing) serverHeal(n *node) ServerHeal {
	if n.absent {
		return ServerHeal{}
	}
	return ServerHeal{Workers: p.flag(n, "workers"), After: p.span(n, "after")}
}

// fitTarget holds that a target has what its kind needs, and nothing that means nothing there.
func (p *parsing) fitTarget(n *node, kind targetKind) {
	for _, field := range targetFields() {
		at := p.child(n, field)
		isGiven := !at.absent && (at.text != "" || len(at.items) > 0 || at.bad)
		switch {
		case at.bad:
		case slices.Contains(kind.needs, field) && !isGiven:
			p.refuse(at, "is missing; %s needs it", kind.name)
		case isGiven && !slices.Contains(kind.needs, field) && !slices.Contains(kind.may, field):
			p.refuse(at, "is given, and %s has none", kind.name)
		}
	}
}

// words reads a command, word by word.
func (p *parsing) words(n *node, name string) []string {
	var words []string
	for _, item := range p.child(n, name).items {
		if item.text == "" {
			p.refuse(item, "is empty; a command has no empty words here")
		}
		words = append(words, item.text)
	}
	return words
}

func (p *parsing) drills(n *node, heal Heal) []DrillPlan {
	var list []DrillPlan
	for _, item := range n.items {
		d := DrillPlan{Name: p.text(item, "name", placeName), Every: p.span(item, "every"), Target: p.text(item, "target")}
		at := p.child(item, "target")
		i := slices.IndexFunc(heal.Targets, func(t HealTarget) bool { return t.Name == d.Target })
		switch {
		case d.Target == "" || at.bad:
		case i < 0:
			p.refuse(at, "names a target that does not exist")
		case !heal.Targets[i].Drill:
			p.refuse(at, "names a target that may not be broken; it has no drill: true")
		}
		if slices.ContainsFunc(list, func(other DrillPlan) bool { return other.Name == d.Name && other.Target == d.Target }) {
			p.refuse(p.child(item, "name"), "is planned twice for the same target")
		}
		list = append(list, d)
	}
	return list
}

// places holds that every place of a required secret exists.
func (p *parsing) places(n *node, heal Heal, hasServer bool) {
	if n.absent {
		return
	}
	for _, item := range p.child(n, "required").items {
		for _, place := range p.child(item, "places").items {
			switch {
			case place.text == ServerPlace && hasServer:
			case place.text == ServerPlace:
				p.refuse(place, "is server, and there is no section server")
			case !slices.ContainsFunc(heal.Targets, func(t HealTarget) bool { return t.Name == place.text }):
				p.refuse(place, "names a place that does not exist; there are the names of heal.targets, and server")
			}
		}
	}
}

// Needs lists what is required at a place.
func (l SecretList) Needs(place string) []RequiredSecret {
	var needs []RequiredSecret
	for _, r := range l.Required {
		if r.In(place) {
			needs = append(needs, r)
		}
	}
	return needs
}

// Describe says in a few words where the truth is kept, for people.
func (s TruthSource) Describe() string {
	switch s.Kind {
	case "sealed", "directory":
		return fmt.Sprintf("%s %s", s.Kind, s.Path)
	}
	return s.Kind
}
