// Package command is a program that a command starts again: its supervisor's, on this machine or on another one. It keeps no
// variables; what is mended by it is that the program does not run.
package command

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"sync"
	"time"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/host"
)

// Kind is what the configuration calls such a place.
const Kind = "command"

const (
	// settle is how long a program that was started may take until its status command says that it runs.
	settle = 15 * time.Second
	// statusLimit is how long a status command may take, over ssh too.
	statusLimit = 20 * time.Second
	// runsMax is how many attempts are remembered, to run each once.
	runsMax = 100
)

// Options describe how a program is started, such as systemctl restart shop, or ssh host systemctl restart shop. Both commands
// run as host.Command does.
type Options struct {
	Name    string        // what the configuration calls the place, for sentences
	Start   []string      // starts the program again; it must do no harm when it is run twice
	Timeout time.Duration // of Start; host.CommandLimit when 0
	Status  []string      // ends with exit code 0 when the program runs; nil when nobody can tell
	Now     func() time.Time
}

// Target is such a place. It is safe for concurrent use.
type Target struct {
	o Options

	starting sync.Mutex // one command at a time
	mu       sync.Mutex
	runs     []run
}

// run is what this process remembers of a run: after a restart of ours, the name of a run tells its end as well.
type run struct {
	attempt, name string // the name is "" while it runs
	ended         time.Time
}

var (
	_ host.Target  = (*Target)(nil)
	_ host.Starter = (*Target)(nil)
)

// New makes the place and runs nothing. Without a clock it panics: the wiring is broken.
func New(o Options) (*Target, error) {
	if o.Now == nil {
		panic("command: a place without a clock")
	}
	if len(o.Start) == 0 || o.Start[0] == "" {
		return nil, makegood.Errorf(makegood.Invalid, "A place of kind command cannot work: it has no command that starts the program again.")
	}
	o.Name = cmp.Or(o.Name, Kind)
	return &Target{o: o}, nil
}

// Kind is command.
func (t *Target) Kind() string { return Kind }

// Check proves that the programs of the commands are there. It runs neither: whether ssh would be let in is not asked.
func (t *Target) Check(ctx context.Context) error {
	if err := (host.Command{Argv: t.o.Start}).Check(); err != nil {
		return err
	}
	if len(t.o.Status) > 0 {
		if err := t.status().Check(); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// Survey asks the status command. A place without versions has no names for them.
func (t *Target) Survey(ctx context.Context) (host.Survey, error) {
	s := host.Survey{At: t.o.Now().UTC()}
	t.mu.Lock()
	if n := len(t.runs); n > 0 {
		s.Newest = t.runs[n-1].name
		if s.Newest == "" {
			s.Busy = t.runs[n-1].attempt
		}
	}
	t.mu.Unlock()
	if running, err := t.isRunning(ctx); err == nil && !running {
		s.Down = "the status command says that it does not run"
	}
	return s, ctx.Err()
}

func (t *Target) status() host.Command { return host.Command{Argv: t.o.Status, Limit: statusLimit} }

func (t *Target) isRunning(ctx context.Context) (bool, error) {
	if len(t.o.Status) == 0 {
		return true, nil
	}
	return t.status().Asks(ctx)
}

var (
	attemptText = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,100}$`)
	nameText    = regexp.MustCompile(`^([A-Za-z0-9_.-]{1,100}):exit=(\d{1,3})$`)
)

// Start runs the command and waits for it, so ctx should last as long as Timeout. The run is called after its attempt and how
// it ended, so that its name is all that has to be kept. Start with the same attempt gives the same run as long as this
// process lives; after a crash the command is run again, which does no harm. A command that ended badly is a run that
// Progress calls failed, and no error here.
func (t *Target) Start(ctx context.Context, _ host.Survey, attempt string) (string, error) {
	if !attemptText.MatchString(attempt) {
		return "", makegood.Errorf(makegood.Invalid, "An attempt needs a name of letters and digits.")
	}
	t.starting.Lock()
	defer t.starting.Unlock()
	if name := t.find(attempt); name != "" {
		return name, nil
	}
	t.keep(run{attempt: attempt})
	err := host.Command{Argv: t.o.Start, Limit: t.o.Timeout, Attempt: attempt}.Run(ctx)
	var exit *host.Exit
	if err != nil && !errors.As(err, &exit) {
		t.forget(attempt)
		return "", err
	}
	code := 0
	if exit != nil {
		code = exit.Code
	}
	name := fmt.Sprintf("%s:exit=%d", attempt, code)
	t.forget(attempt)
	t.keep(run{attempt, name, t.o.Now()})
	return name, nil
}

// Adopt finds the run of an attempt that this process began and ended; "" when there is none, and then Start may be repeated.
func (t *Target) Adopt(ctx context.Context, _ host.Survey, attempt string) (string, error) {
	return t.find(attempt), ctx.Err()
}

func (t *Target) find(attempt string) (name string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, r := range t.runs {
		if r.attempt == attempt {
			name = r.name
		}
	}
	return name
}

func (t *Target) keep(r run) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.runs = append(t.runs, r)
	t.runs = t.runs[max(0, len(t.runs)-runsMax):]
}

func (t *Target) forget(attempt string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	var rest []run
	for _, r := range t.runs {
		if r.attempt != attempt {
			rest = append(rest, r)
		}
	}
	t.runs = rest
}

// Progress reads from the name how the command ended, and then asks the status command, which has a quarter of a minute to
// agree.
func (t *Target) Progress(ctx context.Context, name string) (host.Progress, error) {
	m := nameText.FindStringSubmatch(name)
	if m == nil {
		return host.Progress{}, makegood.Errorf(makegood.NotFound, "%s has no such run.", t.o.Name)
	}
	if code, _ := strconv.Atoi(m[2]); code != 0 {
		return host.Progress{State: host.Failed, Note: "exit code " + m[2]}, nil
	}
	running, err := t.isRunning(ctx)
	switch {
	case ctx.Err() != nil:
		return host.Progress{}, ctx.Err()
	case err == nil && running:
		return host.Progress{State: host.Ran, Note: "exit code 0"}, nil
	case t.o.Now().Sub(t.endOf(name)) < settle:
		return host.Progress{State: host.Running, Note: "the status command does not say yet that it runs"}, nil
	}
	return host.Progress{State: host.Failed, Note: "the status command does not say that it runs"}, nil
}

// endOf is when a run ended; zero when another process knew.
func (t *Target) endOf(name string) time.Time {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, r := range t.runs {
		if r.name == name {
			return r.ended
		}
	}
	return time.Time{}
}
