// Package drill breaks something on purpose and looks whether it is found, told and mended, and whether the customer who paid
// meanwhile gets the goods. Everything that takes part is a process of its own: the server on its host, the watcher, the payment
// provider, the mail service, and the services that carry alerts. What people were told is what those services took.
package drill

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/makegood/makegood"
)

// The limits of SPEC C14 and of the goals of watching, in real time, with what is aimed at.
const (
	DetectWithin   = 5 * time.Minute
	DetectAim      = 25 * time.Second
	TellFirst      = 3 * time.Second  // after it was detected
	TellEverybody  = 10 * time.Second // after it was detected
	HealWithin     = 8 * time.Minute
	HealAim        = 150 * time.Second
	ServeWithin    = 10 * time.Second // after it is well again
	SilenceWithin  = time.Minute      // until people are told that one side is silent
	ChannelsWithin = 10 * time.Second // until another channel has told what one could not
)

// Drill is one thing that can be broken.
type Drill struct {
	Name  string
	Says  string // what is broken, as a sentence
	Hosts []string
	// Heals is that it is mended without a person; otherwise a person does what the drill knows.
	Heals bool
	steps func(ctx context.Context, w *world) error
}

// Hosts on which the server runs in a drill.
const (
	HostPages   = "pages"    // a pretend Cloudflare Pages with a build
	HostEnvFile = "env-file" // a file of variables, and a command that starts it again
)

// All lists the drills, in the order in which they are told.
func All() []Drill {
	both := []string{HostPages, HostEnvFile}
	return []Drill{
		{"secret-wiped", "The webhook secret is wiped from the host, and a deploy makes that live.", both, true, wiped("STRIPE_WEBHOOK_SECRET")},
		{"mail-key-wiped", "The key of the mail service is wiped from the host.", both, true, wiped("RESEND_API_KEY")},
		{"secrets-wiped", "All secrets are wiped from the host.", both, true, wiped(serverSecrets...)},
		{"wrong-product", "A wrong product code is shipped.", []string{HostPages}, false, wrongProduct},
		{"provider-down", "The payment provider's API is down.", []string{HostEnvFile}, false, providerDown},
		{"mail-down", "The mail service is down.", []string{HostEnvFile}, false, mailDown},
		{"database-slow", "Somebody else keeps the server's database from being written.", []string{HostEnvFile}, false, databaseSlow},
		{"disk-full", "Nothing can be written to the server's disk.", []string{HostEnvFile}, false, diskFull},
		{"server-killed", "The server is killed, and nobody starts it again.", []string{HostEnvFile}, true, serverKilled},
		{"watcher-killed", "The watcher is killed.", []string{HostEnvFile}, false, watcherKilled},
		{"channel-down", "The first channel for alerts is down while something breaks.", []string{HostEnvFile}, true, channelDown},
		{"token-corrupted", "The deploy token is corrupted, and a secret is wiped.", []string{HostPages}, false, tokenCorrupted},
		{"truth-corrupted", "The source of truth is corrupted, and a secret is wiped.", both, false, truthCorrupted},
		{"platform-down", "The deploy platform is down, and a secret is wiped.", []string{HostPages}, false, platformDown},
		{"story", "The story that this was made for: a wrong product code, both secrets wiped, and a customer pays.", []string{HostPages}, true, theStory},
	}
}

// Find returns a drill by its name, and an error that names those that there are.
func Find(name string) (Drill, error) {
	all := All()
	var names []string
	for _, d := range all {
		if d.Name == name {
			return d, nil
		}
		names = append(names, d.Name)
	}
	return Drill{}, fmt.Errorf("there is no drill %q; there are %s", name, strings.Join(names, ", "))
}

// Options are how a drill is run.
type Options struct {
	Program string // this very program, as a file
	Host    string // where the server runs; the drill's first by default
	// Scale makes everything that waits so many times as fast, builds and patience included; 1 is real time. The limits are those
	// of real time divided by it.
	Scale float64
	Build time.Duration // how long a deployment takes in real time; 45 s by default
	Log   io.Writer     // gets a line for everything that happens; nil is nobody
	Dir   string        // where it happens; an own folder that is removed afterwards when ""
}

// Within is how long a drill may take, in real time: after it everything is torn down.
const Within = 15 * time.Minute

// Run runs a drill in a simulated world. The error is that it could not be begun; how it went is the result.
func Run(ctx context.Context, d Drill, o Options) (makegood.DrillResult, error) {
	if o.Host == "" {
		o.Host = d.Hosts[0]
	}
	if !slices.Contains(d.Hosts, o.Host) {
		return makegood.DrillResult{}, fmt.Errorf("the drill %s is not run on a host of kind %s; it is on %s", d.Name, o.Host, strings.Join(d.Hosts, " and "))
	}
	if o.Scale <= 0 {
		o.Scale = 1
	}
	if o.Build == 0 {
		o.Build = 45 * time.Second
	}
	ctx, cancel := context.WithTimeout(ctx, Within)
	defer cancel()
	w, err := newWorld(ctx, o)
	if err != nil {
		return makegood.DrillResult{}, err
	}
	defer w.close()
	began := time.Now()
	err = d.steps(ctx, w)
	r := w.result(d.Name)
	r.Took = time.Since(began)
	if err != nil {
		r.Broken = err.Error()
	}
	r.Judge()
	return r, nil
}
