// Package host is the contract with the places where programs run and that the healer may mend: how such a place is looked
// at, how variables are written to it, and how it is made to run again what it ran before. Each kind of place is a package
// below; the table of them is in package app.
//
// Nothing here decides whether to act: that is package heal's. Nothing here ever prints a value: Settings hide themselves,
// and what a place answers is told by its status and codes, never by its body.
package host

import (
	"context"
	"time"

	"github.com/makegood/makegood/internal/secret"
)

// Target is one place where a program runs. Each method respects the deadline of ctx and may be repeated.
type Target interface {
	// Kind is what the configuration calls it, such as cloudflare_pages.
	Kind() string
	// Check proves that the place could be mended now: the credential is whole, valid, of the right kind, and may do what
	// mending needs. It changes nothing. What is wrong is a *Diagnosis.
	Check(ctx context.Context) error
	// Survey reads how the place stands. It changes nothing. What is wrong with the credential or the place is a *Diagnosis.
	Survey(ctx context.Context) (Survey, error)
}

// Writer is a Target that keeps variables for the program.
type Writer interface {
	// Write puts these settings and no others. It deletes nothing. An empty value, or no setting at all, is refused before
	// anything is sent. Writing the same again changes nothing. Either all are written, or the error says that it is not
	// known.
	Write(ctx context.Context, settings []Setting) error
}

// Starter is a Target that can run again what it ran.
type Starter interface {
	// Start runs again the version that the survey calls Good, with the variables of now, and never a newer one. attempt names
	// on whose behalf, where the place can keep a name. It returns what the run is called. An error that may have begun one
	// all the same is ErrDoubt.
	Start(ctx context.Context, s Survey, attempt string) (run string, err error)
	// Adopt looks for a run that Start began after the survey and whose name was lost in a crash; "" when there is none.
	Adopt(ctx context.Context, s Survey, attempt string) (run string, err error)
	// Progress says how far a run has come.
	Progress(ctx context.Context, run string) (Progress, error)
}

// Reverter is a Target that can go back to what ran before a run of ours.
type Reverter interface {
	// Revert makes the version that the survey calls Live run again, as it ran then. Reverting twice changes nothing more.
	Revert(ctx context.Context, s Survey) error
}

// Breaker is a Target that can be broken on purpose, for a drill. Only a drill asks for it, and only of a target whose
// configuration allows drills.
type Breaker interface {
	// Break takes variables away from the place and makes it run without them. What mends it is a Write and a Start.
	Break(ctx context.Context, names []string) error
}

// Setting is one variable as it should be.
type Setting struct {
	Name  string
	Value secret.Value
}

// Survey is how a place stands. It is kept with an attempt as JSON, so it has no value of any secret in it.
type Survey struct {
	At time.Time `json:"at"`
	// Variables are those that are there, sorted by name.
	Variables []Variable `json:"variables"`
	// Good is the newest version that is known to have run well, and Live what runs now; both as the place names them. A place
	// without versions leaves them empty. Good is "" when there is none to go back to.
	Good string `json:"good,omitempty"`
	Live string `json:"live,omitempty"`
	// Newest is the newest run that the place knows, for Adopt.
	Newest string `json:"newest,omitempty"`
	// Busy is a run under way that somebody else began; "" when there is none.
	Busy string `json:"busy,omitempty"`
	// Down is why the place says by itself that the program does not run; "" when it does, or when the place cannot tell.
	Down string `json:"down,omitempty"`
	// Keeps is that the place keeps earlier versions, so that Revert can go back to any of them.
	Keeps bool `json:"keeps,omitempty"`
	// Pending are variables that are there and that what runs now was started without: it needs a start to have them. A place
	// that cannot tell leaves it empty.
	Pending []string `json:"pending,omitempty"`
	// Elsewhere is that whatever is started finds out by itself what is wrong and mends it, such as a workflow.
	Elsewhere bool `json:"elsewhere,omitempty"`
	// Stuck is that what Down tells of runs, and does nothing.
	Stuck bool `json:"stuck,omitempty"`
	// Cause is what probably took the variables, in words; "" when nothing points to it.
	Cause string `json:"cause,omitempty"`
}

// Variable is one variable that a place has.
type Variable struct {
	Name string `json:"name"`
	// Fingerprint is secret.Value.Fingerprint where the place lets values be read; "" where it does not, or for an empty one.
	Fingerprint string `json:"fingerprint,omitempty"`
	// Empty is that the place shows that it has no value.
	Empty bool `json:"empty,omitempty"`
	// Plain is that the place keeps it as plain text though it could keep a secret.
	Plain bool `json:"plain,omitempty"`
	// Readable is that the value was read, so Fingerprint and Empty say something.
	Readable bool `json:"readable,omitempty"`
}

// Variable returns the variable of a name.
func (s Survey) Variable(name string) (Variable, bool) {
	for _, v := range s.Variables {
		if v.Name == name {
			return v, true
		}
	}
	return Variable{}, false
}

// Progress is how far a run has come.
type Progress struct {
	State Stage
	// Note is what the place says: the name of its stage, an exit code. It is free of secrets.
	Note string
}

// Stage is where a run is.
type Stage string

// The stages of a run.
const (
	Running Stage = "running" // being built or started
	Ran     Stage = "ran"     // it runs
	Failed  Stage = "failed"  // it does not, and will not by itself
)
