package drill

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestMain is a drill with one process when it is told to be: it says which, and never ends.
func TestMain(m *testing.M) {
	dir := os.Getenv("MAKEGOOD_DRILL_TEST")
	if dir == "" {
		os.Exit(m.Run())
	}
	w := &world{o: Options{Program: "/bin/sleep"}, dir: dir, processes: map[string]*process{}}
	p, err := w.start("sleeper", "60")
	if err != nil {
		panic(err)
	}
	fmt.Println(p.cmd.Process.Pid)
	select {}
}

// TestKilledDrillLeavesNoProcess: whoever is killed cleans nothing up, and its processes would run for ever.
func TestKilledDrillLeavesNoProcess(t *testing.T) {
	t.Parallel()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program)
	cmd.Env = append(os.Environ(), "MAKEGOOD_DRILL_TEST="+t.TempDir())
	said, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line := make([]byte, 32)
	n, err := said.Read(line)
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(line[:n])))
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // it was killed
	for deadline := time.Now().Add(10 * time.Second); runs(pid); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			_ = syscall.Kill(pid, syscall.SIGKILL)
			t.Fatalf("process %d of the drill runs on", pid)
		}
	}
}

// runs reports whether a process is there and no zombie that somebody else has to bury.
func runs(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && !strings.Contains(string(stat), ") Z ")
}
