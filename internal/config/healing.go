package config

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"time"

	"github.com/makegood/makegood/internal/secret"
)

// SecretList is the one list of the secrets that programs need on their hosts, and where the truth about them is kept. It is in the
// watcher's file, because whoever mends a host has to know what belongs there.
type SecretList struct {
	Source   TruthSource
	Required []RequiredSecret
	Mode     secret.Mode // which world all of them belong to
	IsSet    bool        // the file has the section
}

// TruthSource is where the truth is kept.
type TruthSource struct {
	Kind          string // sealed, directory or environment
	Path          string // sealed: the file; directory: the folder; already seen from the file's folder
	Identity      Later  // sealed: the age identity that opens it
	VerifyKey     string // sealed: whose signature it must have
	AllowUnsigned bool   // sealed: whether it may have none
	Prefix        string // environment: what stands before each name
}

// RequiredSecret is one line of the list.
type RequiredSecret struct {
	Name     string
	Kind     secret.Kind
	NotAfter time.Time
	Optional bool
	Places   []string // names of targets, and server for the running server; empty is every target
}

// ServerPlace is the running server among the places of a required secret: it tells fingerprints in its beats.
const ServerPlace = "server"

// In reports whether the secret is required at a place.
func (r RequiredSecret) In(place string) bool {
	if len(r.Places) == 0 {
		return place != ServerPlace
	}
	for _, p := range r.Places {
		if p == place {
			return true
		}
	}
	return false
}

// Heal is what may be mended, and how far.
type Heal struct {
	Targets []HealTarget
}

// HealTarget is one place where a program runs.
type HealTarget struct {
	Name  string
	Kind  string // cloudflare_pages, env_file, command or github_workflow
	Auto  bool   // without a person
	Drill bool   // may be broken on purpose
	// Monitors are the names of the monitors that are red when it is ill, beside the server's silence and checkouts that fail.
	Monitors []string

	Account string // cloudflare_pages
	Project string // cloudflare_pages
	Token   Later  // cloudflare_pages, github_workflow
	APIBase string // cloudflare_pages, github_workflow

	Path    string   // env_file: the file
	Command []string // env_file, command: what starts the program again
	Status  []string // env_file, command: what says whether it runs; exit code 0 is that it does

	Repo     string // github_workflow
	Workflow string // github_workflow: the name of its file
	Ref      string // github_workflow

	After        time.Duration // how long a trouble must have lasted
	StartWithin  time.Duration
	VerifyWithin time.Duration
	VerifyEvery  time.Duration
	Steady       int
}

// ServerHeal is what a server mends of itself.
type ServerHeal struct {
	Workers bool          // whether workers that take no jobs are started again
	After   time.Duration // how long they must have taken none
}

// DrillPlan is a drill that the watcher runs by itself.
type DrillPlan struct {
	Name   string
	Every  time.Duration
	Target string // a target that may be broken; "" is the simulated world
}

// Later is a secret that is read when it is needed and not when the file is: one that is broken is found, told and named, and
// keeps no watcher from watching. It is read anew each time, so a file that was mended needs no restart.
type Later struct {
	reference string
	read      func() (secret.Value, error)
}

// NewLater makes one for tests and for the demo.
func NewLater(read func() (secret.Value, error)) Later { return Later{reference: "set", read: read} }

// IsSet reports whether the file names one.
func (l Later) IsSet() bool { return l.read != nil }

// Read reads the secret. It is not inspected. One that is not there is makegood.NotFound.
func (l Later) Read() (secret.Value, error) {
	if l.read == nil {
		return secret.Value{}, nil
	}
	return l.read()
}

// Value is Read, with what cannot be read as an empty secret: for where an empty one is diagnosed.
func (l Later) Value() secret.Value {
	v, err := l.Read()
	if err != nil {
		return secret.Value{}
	}
	return v
}

// String hides it.
func (l Later) String() string { return "[secret]" }

// Format hides it from every verb.
func (l Later) Format(f fmt.State, _ rune) { _, _ = fmt.Fprint(f, l.String()) }

// LogValue hides it from slog.
func (l Later) LogValue() slog.Value { return slog.StringValue(l.String()) }

// MarshalJSON hides it from JSON.
func (l Later) MarshalJSON() ([]byte, error) { return json.Marshal(l.String()) }

// Equal reports whether both are the same reference: whether a changed file means another secret.
func (l Later) Equal(other Later) bool { return l.reference == other.reference }
