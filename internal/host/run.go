package host

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

const (
	// CommandLimit is how long a command may take that says nothing else: docker compose stops a program for 10 seconds
	// before it kills it, and systemd for 90, but a program that takes those has ended badly before.
	CommandLimit = time.Minute
	// commandGrace is how long a command that is told to end has before it is killed.
	commandGrace = 2 * time.Second
	// pathUsual is where programs are looked for when our own environment does not say.
	pathUsual = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
)

// Command is a program with its arguments, as an operator configured it to start a place again, or to ask whether it runs.
//
// It runs without a shell, in a process group of its own, with nothing on its input. Of our environment it sees PATH, HOME
// and LANG and nothing else: our secrets stay with us. What it prints is thrown away, because programs print their
// environment when they fail; its exit code is all that is kept.
type Command struct {
	Argv    []string
	Limit   time.Duration // CommandLimit when 0
	Attempt string        // what it finds as MAKEGOOD_ATTEMPT; "" sets none
}

// Exit is that a command ran and did not end well.
type Exit struct {
	Code     int // as a shell counts: 128 and the signal for one that was killed
	TimedOut bool
}

// Error gives the exit code and nothing else.
func (e *Exit) Error() string {
	if e.TimedOut {
		return "the command did not end in time and was ended"
	}
	return fmt.Sprintf("the command ended with exit code %d", e.Code)
}

// Check proves that the command could be run: its program is found and may be executed. It runs nothing. Its error is a
// *Diagnosis.
func (c Command) Check() error {
	_, err := c.program()
	return err
}

// program finds the program of a command by the PATH that the command will see.
func (c Command) program() (string, error) {
	if len(c.Argv) == 0 || c.Argv[0] == "" {
		return "", &Diagnosis{Fault: NotStarted, Sentence: "There is no command that would start it; give one in the configuration."}
	}
	path, err := exec.LookPath(c.Argv[0])
	if err == nil {
		path, err = filepath.Abs(path)
	}
	if err != nil {
		return "", c.notStarted(err)
	}
	return path, nil
}

// notStarted names the program, never its arguments.
func (c Command) notStarted(err error) error {
	why := "it cannot be run"
	switch {
	case errors.Is(err, exec.ErrNotFound), errors.Is(err, os.ErrNotExist):
		why = "it is not there"
	case errors.Is(err, os.ErrPermission):
		why = "this program may not execute it"
	}
	return &Diagnosis{Fault: NotStarted, Err: errors.New(why),
		Sentence: fmt.Sprintf("The command begins with the program %q, and %s. Install it, or correct the command in the configuration.", c.Argv[0], why)}
}

// Run runs the command to its end. Nil is exit code 0, and *Exit every other end, also that the limit has passed. A
// *Diagnosis says that it was never begun. When ctx ends first the command is ended, and the error is ErrDoubt: what it began
// may go on elsewhere.
//
// What the command leaves behind in the background is left alone when it ends by itself: that may be the program that it
// was to start.
func (c Command) Run(ctx context.Context) error {
	program, err := c.program()
	if err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	limited, cancel := context.WithTimeout(ctx, cmp.Or(max(c.Limit, 0), CommandLimit))
	defer cancel()
	cmd := exec.CommandContext(limited, program, c.Argv[1:]...)
	cmd.Args[0] = c.Argv[0]
	cmd.Env = c.environment()
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	cmd.WaitDelay = commandGrace
	if err := cmd.Start(); err != nil {
		return c.notStarted(err)
	}
	err = cmd.Wait()
	if limited.Err() != nil {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // who did not listen; usually nobody is left
	}
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return fmt.Errorf("%w: the command was ended with its task: %w", ErrDoubt, ctx.Err())
	case limited.Err() != nil:
		return &Exit{Code: exitCode(cmd.ProcessState), TimedOut: true}
	}
	return &Exit{Code: exitCode(cmd.ProcessState)}
}

// Asks runs a command that tells by its exit code whether something is so. An error is that it could not tell: it took too
// long, or ended with 126 and above, which is what shells say of what they cannot run, and ssh of a host it cannot reach.
func (c Command) Asks(ctx context.Context) (yes bool, err error) {
	err = c.Run(ctx)
	var exit *Exit
	if errors.As(err, &exit) && !exit.TimedOut && exit.Code < 126 {
		return false, nil
	}
	return err == nil, err
}

func (c Command) environment() []string {
	env := []string{"PATH=" + cmp.Or(os.Getenv("PATH"), pathUsual)}
	for _, name := range []string{"HOME", "LANG"} {
		if value, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+value)
		}
	}
	if c.Attempt != "" {
		env = append(env, "MAKEGOOD_ATTEMPT="+c.Attempt)
	}
	return env
}

func exitCode(s *os.ProcessState) int {
	if status, ok := s.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return 128 + int(status.Signal())
	}
	return s.ExitCode()
}
