package makegood_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/makegood/makegood"
)

func read(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// Every link between the documents, and from them into the code, leads somewhere.
func TestDocumentsLinkToWhatIsThere(t *testing.T) {
	t.Parallel()
	link := regexp.MustCompile(`\]\(([^)#]+)(#[^)]*)?\)`)
	pages, err := filepath.Glob("docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	deeper, err := filepath.Glob("docs/*/*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, page := range append(append(pages, deeper...), "README.md") {
		for _, m := range link.FindAllStringSubmatch(read(t, page), -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			if _, err := os.Stat(filepath.Join(filepath.Dir(page), m[1])); err != nil {
				t.Errorf("%s links to %s: %v", page, m[1], err)
			}
		}
	}
}

// Every code and every reason has its place in docs/errors.md.
func TestEveryErrorIsExplained(t *testing.T) {
	t.Parallel()
	page := read(t, "docs/errors.md")
	for _, code := range makegood.Codes() {
		if !strings.Contains(page, "\n### "+string(code)+"\n") {
			t.Errorf("docs/errors.md does not explain the code %s", code)
		}
	}
	for _, reason := range makegood.DeadReasons() {
		if !strings.Contains(page, "| `"+string(reason)+"` |") {
			t.Errorf("docs/errors.md does not explain the reason %s of a dead letter", reason)
		}
	}
	for _, reason := range []string{makegood.ReasonUnknownProduct, makegood.ReasonAmountMismatch, makegood.ReasonContradiction,
		makegood.ReasonNothingBought, makegood.ReasonTooLarge, makegood.ReasonStepFailed, makegood.ReasonStepDiscarded, makegood.ReasonNoAddress} {
		if !strings.Contains(page, "| `"+reason+"` |") {
			t.Errorf("docs/errors.md does not explain the reason %s", reason)
		}
	}
}

// docs/dependencies.md lists what go.mod requires directly, and nothing else.
func TestDependenciesAreListed(t *testing.T) {
	t.Parallel()
	var listed, required []string
	for _, m := range regexp.MustCompile("(?m)^\\| `([^`]+)` \\|").FindAllStringSubmatch(read(t, "docs/dependencies.md"), -1) {
		listed = append(listed, m[1])
	}
	for line := range strings.Lines(read(t, "go.mod")) {
		fields := strings.Fields(line)
		if len(fields) == 2 && strings.Contains(fields[0], ".") && strings.HasPrefix(fields[1], "v") {
			required = append(required, fields[0])
		}
	}
	slices.Sort(listed)
	slices.Sort(required)
	if !slices.Equal(listed, required) {
		t.Errorf("docs/dependencies.md lists %v\ngo.mod requires %v", listed, required)
	}
}
