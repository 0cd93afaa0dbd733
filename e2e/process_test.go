package e2e

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

const (
	// startLimit bounds a start, and stopLimit a stop, which the program itself bounds by its ShutdownTimeout for each part.
	startLimit = 20 * time.Second
	stopLimit  = 30 * time.Second
	// shownBytesMax is how much of the end of a program's output a failing test shows.
	shownBytesMax = 4096
)

// process is a running program. It is killed with its test at the latest.
type process struct {
	cmd     *exec.Cmd
	out     string // path of the file with what it wrote, on either stream
	started time.Time
	ended   chan struct{} // closed once it has ended; only then cmd.ProcessState may be read
	killed  bool          // by the test, on purpose
}

// start runs the program with no other environment than env.
func start(t testing.TB, env []string, args ...string) *process {
	t.Helper()
	return launch(t, exec.Command(program(t), args...), env)
}

// launch runs a prepared command of the program.
func launch(t testing.TB, cmd *exec.Cmd, env []string) *process {
	t.Helper()
	out, err := os.CreateTemp(t.TempDir(), "out-*.log")
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close() // the child has its own
	p := &process{cmd: cmd, out: out.Name(), ended: make(chan struct{})}
	p.cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=/nonexistent"}, env...)
	p.cmd.Stdout, p.cmd.Stderr = out, out
	if p.cmd.SysProcAttr == nil {
		p.cmd.SysProcAttr = dieWithParent()
	}
	p.started = time.Now()
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.ended)
		_ = p.cmd.Wait() // how it ended is in ProcessState
	}()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill() // usually it is gone already
		<-p.ended
		if t.Failed() && !p.killed {
			t.Logf("the end of the output of process %d (%v):\n%s", p.cmd.Process.Pid, p.cmd.ProcessState, tail(p.output()))
		}
	})
	return p
}

func (p *process) output() string {
	text, _ := os.ReadFile(p.out) // nothing to show is shown as nothing
	return string(text)
}

func tail(s string) string { return s[max(0, len(s)-shownBytesMax):] }

// isRunning reports whether it has not ended.
func (p *process) isRunning() bool {
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// kill is kill -9. It is an error when the process had ended before.
func (p *process) kill() error {
	if !p.isRunning() {
		return fmt.Errorf("the server ended by itself (%v):\n%s", p.cmd.ProcessState, tail(p.output()))
	}
	p.killed = true
	if err := p.cmd.Process.Signal(syscall.SIGKILL); err != nil {
		return err
	}
	<-p.ended
	if status, ok := p.cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || !status.Signaled() || status.Signal() != syscall.SIGKILL {
		return fmt.Errorf("the server ended by itself (%v):\n%s", p.cmd.ProcessState, tail(p.output()))
	}
	return nil
}

// stop asks the program to stop as a supervisor does, and returns its exit code.
func (p *process) stop() (code int, err error) {
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return -1, err
	}
	return p.wait(stopLimit)
}

// wait returns the exit code of a program that ends by itself.
func (p *process) wait(limit time.Duration) (code int, err error) {
	select {
	case <-p.ended:
		return p.cmd.ProcessState.ExitCode(), nil
	case <-time.After(limit):
		return -1, fmt.Errorf("process %d still runs after %v:\n%s", p.cmd.Process.Pid, limit, tail(p.output()))
	}
}

// awaitReady waits until the server answers /readyz, and returns how long that took since the start.
func (p *process) awaitReady(ctx context.Context, url string) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	// A connection of its own each time: an idle one from before a kill would only be found dead.
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 2 * time.Second}
	for p.isRunning() {
		if status, _, err := get(ctx, client, url+"/readyz"); err == nil && status == http.StatusOK {
			return time.Since(p.started), nil
		}
		if wait(ctx, 2*time.Millisecond) != nil {
			return 0, fmt.Errorf("the server is not ready after %v:\n%s", time.Since(p.started), tail(p.output()))
		}
	}
	return 0, fmt.Errorf("the server ended by itself (%v):\n%s", p.cmd.ProcessState, tail(p.output()))
}

// runToEnd runs a command of the program that ends by itself.
func runToEnd(t testing.TB, env []string, args ...string) (code int, output string) {
	t.Helper()
	p := start(t, env, args...)
	code, err := p.wait(startLimit)
	if err != nil {
		t.Fatal(err)
	}
	return code, p.output()
}

// bodyBytesMax bounds what is read of an answer.
const bodyBytesMax = 1 << 20

func get(ctx context.Context, client *http.Client, url string) (status int, body []byte, err error) {
	return call(ctx, client, http.MethodGet, url, nil)
}

func call(ctx context.Context, client *http.Client, method, url string, body []byte) (status int, answer []byte, err error) {
	request, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	if len(body) > 0 {
		request.Header.Set("Content-Type", "application/json")
	}
	response, err := client.Do(request)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	answer, err = io.ReadAll(io.LimitReader(response.Body, bodyBytesMax))
	return response.StatusCode, answer, err
}

// wait waits, or returns the error of a context that ends before.
func wait(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// eventually waits until a condition holds, and says what was missing when it does not in time.
func eventually(ctx context.Context, limit time.Duration, missing func() error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for {
		err := missing()
		if err == nil {
			return nil
		}
		if wait(ctx, 20*time.Millisecond) != nil {
			return err
		}
	}
}

func trimmed(b []byte) string { return strings.TrimSpace(string(b)) }
