package drill

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"time"

	"github.com/makegood/makegood/internal/simulate"
)

// process is a child of the drill, which ends it by its own number and no other.
type process struct {
	cmd    *exec.Cmd
	ended  chan struct{}
	out    *bytes.Buffer
	outMu  *sync.Mutex
	logged *os.File
}

// lockedBuffer keeps what a child says.
type lockedBuffer struct {
	mu     *sync.Mutex
	buffer *bytes.Buffer
}

// Write keeps it, up to a limit: a child that floods must not fill our memory.
func (l lockedBuffer) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if room := outputMax - l.buffer.Len(); room > 0 {
		l.buffer.Write(b[:min(room, len(b))])
	}
	return len(b), nil
}

const (
	outputMax = 1 << 20
	// endGrace is how long a child may take to end that was asked to.
	endGrace = 20 * time.Second
)

// start runs this very program in the drill's folder, with the drill's variables only.
func (w *world) start(name string, args ...string) (*process, error) {
	log, err := os.OpenFile(filepath.Join(w.dir, name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	p := &process{cmd: exec.Command(w.o.Program, args...), ended: make(chan struct{}), out: &bytes.Buffer{}, outMu: &sync.Mutex{}, logged: log}
	p.cmd.Dir, p.cmd.Env, p.cmd.Stdout, p.cmd.Stderr = w.dir, w.env, lockedBuffer{p.outMu, p.out}, log
	p.cmd.WaitDelay, p.cmd.SysProcAttr = time.Second, simulate.DiesWithUs()
	started := make(chan error)
	go p.supervise(started)
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start the %s: %w", name, err)
	}
	if old := w.processes[name]; old != nil {
		old.end()
	}
	w.processes[name] = p
	return p, nil
}

// supervise starts the child and waits for its end. The kernel ends the child with the thread that started it, so that thread is
// kept until the child is gone.
func (p *process) supervise(started chan<- error) {
	defer close(p.ended)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	err := p.cmd.Start()
	started <- err
	if err == nil {
		_ = p.cmd.Wait() // how it ended matters to nobody but the one who waits for it
	}
	_ = p.logged.Close()
}

// output is what it said so far.
func (p *process) output() []byte {
	p.outMu.Lock()
	defer p.outMu.Unlock()
	return bytes.Clone(p.out.Bytes())
}

// end asks the child to end, and kills it when it does not.
func (p *process) end() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // one that has ended already is what was wanted
	_ = p.cmd.Process.Signal(syscall.SIGCONT)
	select {
	case <-p.ended:
	case <-time.After(endGrace):
		p.kill()
	}
}

// kill ends it without asking.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	<-p.ended
}
