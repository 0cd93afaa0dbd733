// Package e2e runs the built program as its users do: its own process, killed and stopped by signals, spoken to over HTTP,
// looked at in a browser. Around it stands the simulated world. There is nothing in it but tests.
package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

func TestMain(m *testing.M) { os.Exit(run(m)) }

// run gives the tests a folder for the program, which is built by the first test that needs it.
func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "makegood-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir) //nolint:errcheck // a leftover in the temporary folder
	if err := os.Setenv(programVariable, filepath.Join(dir, "makegood")); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// programVariable names the environment variable with the path of the built program.
const programVariable = "MAKEGOOD_E2E_PROGRAM"

var build = sync.OnceValues(func() (path string, err error) {
	path = os.Getenv(programVariable)
	out, err := exec.Command("go", "build", "-o", path, "github.com/makegood/makegood/cmd/makegood").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return path, nil
})

// program returns the path of the built program.
func program(t testing.TB) string {
	t.Helper()
	path, err := build()
	if err != nil {
		t.Fatal(err)
	}
	return path
}
