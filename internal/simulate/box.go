package simulate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/makegood/makegood/internal/outbound"
)

// BoxOptions are what a box runs.
type BoxOptions struct {
	Argv []string // the program and its arguments
	Dir  string   // where it runs; our own folder when ""
	Env  []string // NAME=value, at every start; nothing of our own environment is added
	// EnvFile is read anew at every start, as sh reads it: an absolute path. A program whose file is missing does not start.
	EnvFile string
	Log     io.Writer // gets what the program writes; nil throws it away
	Now     func() time.Time
}

// BoxState is how the program of a box is.
type BoxState struct {
	Running bool      `json:"running"`
	Exit    int       `json:"exit"`   // of the last run that ended, as a shell counts; 0 when none has
	Since   time.Time `json:"since"`  // the last start or end
	Starts  int       `json:"starts"` // how often it was started
	PID     int       `json:"pid"`    // of the program that runs; 0 when none does. A drill kills it by this number
}

// Box is a machine that supervises one program, as a platform would: it starts it with the variables of the moment, and a
// program that ends stays down until the next start. It is the program's own address at which people reach it, so while it is
// down nobody answers there. A box never touches any process but its child, and on Linux the child does not outlive us.
type Box struct {
	o   BoxOptions
	now func() time.Time

	control sync.Mutex // one start or stop at a time
	closed  bool
	env     map[string]string
	child   *boxChild

	mu    sync.Mutex
	state BoxState
}

// boxChild is a process of ours.
type boxChild struct {
	cmd   *exec.Cmd
	ended chan struct{} // closed once it has ended and its state is written down
}

var errBoxClosed = errors.New("simulate: the box is closed")

// NewBox makes a box whose program does not run yet. Its owner must Close it.
func NewBox(o BoxOptions) *Box {
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Box{o: o, now: o.Now}
}

// Start runs the program with these variables besides those of the options, and stops it before when it runs. It does not wait
// until the program listens.
func (b *Box) Start(env map[string]string) error {
	b.control.Lock()
	defer b.control.Unlock()
	b.env = maps.Clone(env)
	return b.start()
}

// Restart is Start with the variables of the last one. What the file of variables says now counts.
func (b *Box) Restart() error {
	b.control.Lock()
	defer b.control.Unlock()
	return b.start()
}

// Stop ends the program: it is asked to, and after boxGrace it is killed. Stopping what does not run does nothing.
func (b *Box) Stop() {
	b.control.Lock()
	defer b.control.Unlock()
	b.stop()
}

// Close stops the program, which cannot be started again.
func (b *Box) Close() {
	b.control.Lock()
	defer b.control.Unlock()
	b.closed = true
	b.stop()
}

// State says how the program is.
func (b *Box) State() BoxState {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.state
}

func (b *Box) stop() {
	if b.child == nil {
		return
	}
	_ = b.child.cmd.Process.Signal(syscall.SIGTERM) // it may have ended by itself
	select {
	case <-b.child.ended:
	case <-time.After(boxGrace):
		_ = b.child.cmd.Process.Kill()
		<-b.child.ended
	}
	b.child = nil
}

func (b *Box) start() error {
	if b.closed {
		return errBoxClosed
	}
	b.stop()
	child := &boxChild{cmd: b.command(), ended: make(chan struct{})}
	started := make(chan error, 1) // room for the answer, which is always taken
	go b.supervise(child, started)
	if err := <-started; err != nil {
		return fmt.Errorf("simulate: the box cannot start its program: %w", err)
	}
	b.child = child
	return nil
}

// command is the program with its variables. With a file of them a shell reads it and becomes the program, so that the process
// is the same.
func (b *Box) command() *exec.Cmd {
	argv := b.o.Argv
	if b.o.EnvFile != "" {
		argv = append([]string{"/bin/sh", "-c", `set -a; . "$0"; set +a; exec "$@"`, b.o.EnvFile}, argv...)
	}
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = b.o.Dir, b.o.Log, b.o.Log
	cmd.Env = append([]string{}, b.o.Env...) // never nil, which would be ours
	for _, name := range slices.Sorted(maps.Keys(b.env)) {
		cmd.Env = append(cmd.Env, name+"="+b.env[name])
	}
	cmd.SysProcAttr = DiesWithUs()
	cmd.WaitDelay = boxDrain
	return cmd
}

// supervise starts a child and waits for its end. The kernel ends the child with the thread that started it, so that thread is
// kept until the child is gone.
func (b *Box) supervise(c *boxChild, started chan<- error) {
	defer close(c.ended)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	err := c.cmd.Start()
	b.mu.Lock()
	if err == nil {
		b.state.Running, b.state.Since, b.state.PID = true, b.now(), c.cmd.Process.Pid
		b.state.Starts++
	}
	b.mu.Unlock()
	started <- err
	if err != nil {
		return
	}
	_ = c.cmd.Wait() // how it ended is in ProcessState
	b.mu.Lock()
	defer b.mu.Unlock()
	b.state.Running, b.state.Since, b.state.Exit, b.state.PID = false, b.now(), boxExit(c.cmd.ProcessState), 0
}

func boxExit(s *os.ProcessState) int {
	if status, ok := s.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return 128 + int(status.Signal())
	}
	return s.ExitCode()
}

// lives waits until the program has ended or has lived for a moment.
func (b *Box) lives() {
	b.control.Lock()
	child := b.child
	b.control.Unlock()
	if child == nil {
		return
	}
	select {
	case <-child.ended:
	case <-time.After(boxMoment):
	}
}

// ServeHTTP is the door for drills: POST /restart and POST /stop act, GET /state tells; each answers with the BoxState. A
// program that ends at once after a restart is answered with 500.
func (b *Box) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	status := http.StatusOK
	switch r.Method + " " + r.URL.Path {
	case "GET /state":
	case "POST /stop":
		b.Stop()
	case "POST /restart":
		if err := b.Restart(); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		if b.lives(); !b.State().Running {
			status = http.StatusInternalServerError
		}
	default:
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(b.State()) // a client that has gone away misses it
}

// RestartBox starts the program of the box at an address again. An error says that it does not run afterwards.
func RestartBox(ctx context.Context, url string) error {
	s, err := callBox(ctx, http.MethodPost, url, "/restart")
	if err == nil && !s.Running {
		err = fmt.Errorf("the program ended at once with exit code %d", s.Exit)
	}
	return err
}

// AskBox says how the program of the box at an address is.
func AskBox(ctx context.Context, url string) (BoxState, error) {
	return callBox(ctx, http.MethodGet, url, "/state")
}

func callBox(ctx context.Context, method, url, path string) (s BoxState, err error) {
	req, err := http.NewRequestWithContext(ctx, method, strings.TrimRight(url, "/")+path, nil)
	if err != nil {
		return s, err
	}
	way := outbound.New(outbound.Options{AllowPrivate: true, NeverRest: true, Timeout: boxCallLimit})
	defer way.CloseIdle()
	resp, err := way.Do(ctx, req)
	if err != nil {
		return s, err
	}
	if json.Unmarshal(resp.Body, &s) != nil || s.Since.IsZero() && s.Starts > 0 {
		return s, fmt.Errorf("the box answers with status %d", resp.Status)
	}
	return s, nil
}
