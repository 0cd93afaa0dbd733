package simulate

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/makegood/makegood/internal/host"
	"github.com/makegood/makegood/internal/host/envfile"
	"github.com/makegood/makegood/internal/secret"
)

// TestMain is also the program in the box: a child finds MAKEGOOD_BOX_CHILD in its environment.
func TestMain(m *testing.M) {
	if mode, ok := os.LookupEnv("MAKEGOOD_BOX_CHILD"); ok {
		boxChildMain(mode)
		return
	}
	os.Exit(m.Run())
}

// boxChildMain refuses to start without SECRET, and otherwise lives as its mode says until it is asked to end.
func boxChildMain(mode string) {
	if os.Getenv("SECRET") == "" {
		fmt.Println("SECRET is missing")
		os.Exit(3)
	}
	if mode == "restart" { // what a drill configures as its command
		if RestartBox(context.Background(), os.Getenv("SECRET")) != nil {
			os.Exit(5)
		}
		return
	}
	if mode == "parent" { // a drill that is killed: its box must not outlive it
		b := NewBox(BoxOptions{Argv: []string{os.Args[0]}, Env: []string{"MAKEGOOD_BOX_CHILD=well", "SECRET=x"}, Log: os.Stdout})
		if err := b.Start(nil); err != nil {
			os.Exit(4)
		}
		select {}
	}
	asked := make(chan os.Signal, 1)
	signal.Notify(asked, syscall.SIGTERM)
	fmt.Println("pid", os.Getpid(), "secret", os.Getenv("SECRET"), "names", strings.Join(boxNames(), ","))
	for range asked {
		if mode != "deaf" {
			os.Exit(0)
		}
	}
}

func boxNames() []string {
	var names []string
	for _, pair := range os.Environ() {
		name, _, _ := strings.Cut(pair, "=")
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// boxLog keeps what the child writes.
type boxLog struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *boxLog) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *boxLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func awaitBox(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !is(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not in time: %s", what)
		}
	}
}

func newBox(t *testing.T, change func(*BoxOptions)) (*Box, *boxLog) {
	t.Helper()
	log := &boxLog{}
	o := BoxOptions{Argv: []string{os.Args[0]}, Dir: t.TempDir(), Env: []string{"MAKEGOOD_BOX_CHILD=well"}, Log: log}
	if change != nil {
		change(&o)
	}
	b := NewBox(o)
	t.Cleanup(b.Close)
	return b, log
}

func TestBox(t *testing.T) {
	t.Parallel()
	b, log := newBox(t, nil)
	if s := b.State(); s.Running || s.Starts != 0 {
		t.Errorf("State of a new box = %+v", s)
	}
	if err := b.Start(map[string]string{"SECRET": "one", "OTHER": "1"}); err != nil {
		t.Fatal(err)
	}
	awaitBox(t, "the first start", func() bool {
		return strings.Contains(log.String(), "secret one names MAKEGOOD_BOX_CHILD,OTHER,SECRET\n")
	})
	if err := b.Restart(); err != nil {
		t.Fatal(err)
	}
	awaitBox(t, "the restart", func() bool { return strings.Count(log.String(), "secret one") == 2 })
	if s := b.State(); !s.Running || s.Starts != 2 || s.Exit != 0 || s.Since.IsZero() {
		t.Errorf("State = %+v", s)
	}
	// A program that refuses to start stays down until the next start.
	if err := b.Start(nil); err != nil {
		t.Fatal(err)
	}
	awaitBox(t, "the refusal", func() bool { return !b.State().Running })
	if s := b.State(); s.Exit != 3 || s.Starts != 3 {
		t.Errorf("State after the refusal = %+v, want exit code 3", s)
	}
	b.Stop() // nothing runs
	if err := b.Start(map[string]string{"SECRET": "two"}); err != nil {
		t.Fatal(err)
	}
	awaitBox(t, "the way back", func() bool { return strings.Contains(log.String(), "secret two") })
	b.Close()
	if s := b.State(); s.Running {
		t.Errorf("State after Close = %+v", s)
	}
	if err := b.Start(nil); err == nil {
		t.Error("a closed box starts its program")
	}
}

// TestBoxWithAFile: the file of variables is read at every start, and without it nothing starts.
func TestBoxWithAFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "shop.env")
	b, log := newBox(t, func(o *BoxOptions) { o.EnvFile = path })
	server := httptest.NewServer(b)
	defer server.Close()
	if err := RestartBox(t.Context(), server.URL); err == nil {
		t.Error("RestartBox without the file says nothing")
	}
	for _, tt := range []struct {
		text, says string
		runs       bool
	}{
		{"# nothing\n", "SECRET is missing", false},
		{"SECRET='first one'\n", "secret first one", true},
		{"export SECRET=second\nNOTHING=\n", "secret second", true},
		{"SECRET=\n", "SECRET is missing", false},
	} {
		if err := os.WriteFile(path, []byte(tt.text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := RestartBox(t.Context(), server.URL+"/"); (err == nil) != tt.runs {
			t.Errorf("RestartBox with %q = %v", tt.text, err)
		}
		awaitBox(t, tt.says, func() bool { return strings.Contains(log.String(), tt.says) })
		if s, err := AskBox(t.Context(), server.URL); err != nil || s.Running != tt.runs || !tt.runs && s.Exit != 3 {
			t.Errorf("AskBox with %q = %+v, %v", tt.text, s, err)
		}
	}
}

// TestBoxIsMended: what a drill does, with the true target: a secret is taken away, the program is down, and it is mended.
func TestBoxIsMended(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "shop.env")
	if err := os.WriteFile(path, []byte("# shop\nSECRET=first\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	b, log := newBox(t, func(o *BoxOptions) { o.EnvFile = path })
	server := httptest.NewServer(b)
	defer server.Close()
	target, err := envfile.New(envfile.Options{Path: path, Now: time.Now, Command: []string{"env", "MAKEGOOD_BOX_CHILD=restart", "SECRET=" + server.URL, os.Args[0]},
		Running: func(ctx context.Context) error {
			if s, err := AskBox(ctx, server.URL); err != nil || !s.Running {
				return fmt.Errorf("it does not run: %w", err)
			}
			return nil
		}})
	if err == nil {
		err = errors.Join(b.Restart(), target.Check(t.Context()), target.Break(t.Context(), []string{"SECRET"}))
	}
	if err != nil {
		t.Fatal(err)
	}
	survey, err := target.Survey(t.Context())
	if _, has := survey.Variable("SECRET"); err != nil || has || survey.Down == "" || b.State().Exit != 3 {
		t.Errorf("Survey of the broken box = %+v, %v; its state is %+v", survey, err, b.State())
	}
	if err := target.Write(t.Context(), []host.Setting{{Name: "SECRET", Value: secret.New("it's $mended")}}); err != nil {
		t.Fatal(err)
	}
	run, err := target.Start(t.Context(), survey, "att_1")
	if err != nil {
		t.Fatal(err)
	}
	if p, err := target.Progress(t.Context(), run); p.State != host.Ran || err != nil {
		t.Errorf("Progress = %+v, %v", p, err)
	}
	awaitBox(t, "the mended program", func() bool { return strings.Contains(log.String(), "secret it's $mended ") })
	if err := target.Revert(t.Context(), survey); err == nil || b.State().Running {
		t.Errorf("Revert to the broken file = %v; the state is %+v", err, b.State())
	}
}

func TestBoxDoor(t *testing.T) {
	t.Parallel()
	b, _ := newBox(t, func(o *BoxOptions) { o.Env = append(o.Env, "SECRET=x") })
	server := httptest.NewServer(b)
	defer server.Close()
	if s, err := AskBox(t.Context(), server.URL); err != nil || s.Running {
		t.Errorf("AskBox of a new box = %+v, %v", s, err)
	}
	if err := RestartBox(t.Context(), server.URL); err != nil {
		t.Fatal(err)
	}
	if got := do(t, server.Client(), "POST", server.URL+"/stop", "", ""); got.Status != 200 || !strings.Contains(got.Body, `"running":false`) {
		t.Errorf("POST /stop = %d %s", got.Status, got.Body)
	}
	for _, request := range []string{"GET /restart", "GET /stop", "GET /", "POST /state"} {
		method, path, _ := strings.Cut(request, " ")
		if got := do(t, server.Client(), method, server.URL+path, "", ""); got.Status != http.StatusNotFound {
			t.Errorf("%s = %d", request, got.Status)
		}
	}
	if s := b.State(); s.Starts != 1 {
		t.Errorf("State = %+v, want one start", s)
	}
	if _, err := AskBox(t.Context(), "http://127.0.0.1:1"); err == nil {
		t.Error("AskBox of nobody says nothing")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := RestartBox(ctx, server.URL); err == nil {
		t.Error("RestartBox of a task that has ended says nothing")
	}
}

// TestBoxKills: a program that does not listen is killed, and no other.
func TestBoxKills(t *testing.T) {
	t.Parallel()
	b, log := newBox(t, func(o *BoxOptions) { o.Env = []string{"MAKEGOOD_BOX_CHILD=deaf", "SECRET=x"} })
	if err := b.Start(nil); err != nil {
		t.Fatal(err)
	}
	awaitBox(t, "the start", func() bool { return strings.Contains(log.String(), "pid ") })
	began := time.Now()
	b.Stop()
	if s := b.State(); s.Running || s.Exit != 137 {
		t.Errorf("State = %+v, want exit code 137", s)
	}
	if took := time.Since(began); took < boxGrace {
		t.Errorf("it was killed after %v, want it to have %v", took, boxGrace)
	}
}

func TestBoxWithoutProgram(t *testing.T) {
	t.Parallel()
	b, _ := newBox(t, func(o *BoxOptions) { o.Argv = []string{"/nowhere/shop"} })
	if err := b.Start(nil); err == nil {
		t.Error("Start of a program that is not there says nothing")
	}
	if s := b.State(); s.Running || s.Starts != 0 {
		t.Errorf("State = %+v", s)
	}
}

// TestBoxManyHands: starts and stops from everywhere leave one child or none.
func TestBoxManyHands(t *testing.T) {
	t.Parallel()
	b, log := newBox(t, func(o *BoxOptions) { o.Env = append(o.Env, "SECRET=x") })
	var wait sync.WaitGroup
	for i := range 8 {
		wait.Go(func() {
			if i%4 == 3 {
				b.Stop()
			} else if err := b.Restart(); err != nil {
				t.Error(err)
			}
			_ = b.State()
		})
	}
	wait.Wait()
	b.Close()
	for line := range strings.Lines(log.String()) {
		if pid := boxPid(line); pid > 0 && isAlive(pid) {
			t.Errorf("process %d is left", pid)
		}
	}
}

func boxPid(line string) int {
	fields := strings.Fields(line)
	if len(fields) < 2 || fields[0] != "pid" {
		return 0
	}
	pid, _ := strconv.Atoi(fields[1]) // 0 is none
	return pid
}

func isAlive(pid int) bool { return syscall.Kill(pid, 0) == nil }

// TestBoxDiesWithItsOwner: a drill that is killed leaves nobody behind.
func TestBoxDiesWithItsOwner(t *testing.T) {
	t.Parallel()
	if DiesWithUs() == nil {
		t.Skip("only Linux ends children with their parents")
	}
	out := filepath.Join(t.TempDir(), "out")
	file, err := os.Create(out)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	owner := exec.Command(os.Args[0])
	owner.Env, owner.Stdout = []string{"MAKEGOOD_BOX_CHILD=parent", "SECRET=x"}, file
	if err := owner.Start(); err != nil {
		t.Fatal(err)
	}
	pid := 0
	awaitBox(t, "the start", func() bool {
		text, _ := os.ReadFile(out) // nothing yet is nothing
		pid = boxPid(string(text))
		return pid > 0
	})
	_ = owner.Process.Kill()
	_ = owner.Wait()
	awaitBox(t, "the end of the child", func() bool { return !isAliveAndWell(pid) })
}

// isAliveAndWell does not count a zombie: only its new parent can bury it.
func isAliveAndWell(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && !strings.Contains(string(stat), ") Z ")
}
