package makegood_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/heal"
	"github.com/makegood/makegood/internal/host"
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

// Every function that docs/life-of-an-incident.md names stands in the file that it links to.
func TestLifeOfAnIncident(t *testing.T) {
	t.Parallel()
	page := read(t, "docs/life-of-an-incident.md")
	named := regexp.MustCompile("\\[`[a-z]+\\.(\\w+)`\\]\\(([^)]+\\.go)\\)").FindAllStringSubmatch(page, -1)
	steps := regexp.MustCompile(`(?m)^\| \d+ \| \[`).FindAllString(page, -1)
	if len(steps) != 29 || len(named) < len(steps) {
		t.Errorf("the table has %d steps and the page %d functions that could be read, want 29 and more", len(steps), len(named))
	}
	for _, m := range named {
		file := filepath.Join("docs", m[2])
		if !declares(t, file, m[1]) {
			t.Errorf("docs/life-of-an-incident.md names %s, which is not in %s", m[1], file)
		}
	}
}

// Every reason why nothing is mended, or why it did not help, and every remedy has a row in one of the two runbooks on healing, and
// so have the states of an attempt in docs/errors.md.
func TestEveryWordOfHealingIsExplained(t *testing.T) {
	t.Parallel()
	pages := read(t, "docs/runbooks/heal-refused.md") + read(t, "docs/runbooks/heal-failed.md")
	row := regexp.MustCompile("(?m)^\\| ((?:`\\w[\\w-]*`(?: \\*\\*!\\*\\*)?,? ?)+)\\|")
	explained := map[string]bool{}
	for _, m := range row.FindAllStringSubmatch(pages, -1) {
		for _, word := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(m[1], -1) {
			explained[word[1]] = true
		}
	}
	want := constants(t, "heal.go", "HealReason")
	for _, fault := range constants(t, "internal/host/diagnosis.go", "Fault") {
		want = append(want, reasonOf(host.Fault(fault)))
	}
	for _, reason := range constants(t, "internal/vault/vault.go", "Reason") {
		want = append(want, "truth_"+reason)
	}
	want = append(want, heal.Remedies()...)
	if len(want) < 50 {
		t.Errorf("only %d words were found in the source; the reader of constants has gone blind", len(want))
	}
	for _, word := range want {
		if !explained[word] {
			t.Errorf("neither heal-refused.md nor heal-failed.md has a row for %s", word)
		}
	}
	states := read(t, "docs/errors.md")
	for _, state := range constants(t, "heal.go", "AttemptState") {
		if !strings.Contains(states, "| `"+state+"` |") {
			t.Errorf("docs/errors.md does not explain the state %s of an attempt", state)
		}
	}
}

// reasonOf is the reason that a fault of a place is refused with, as package heal makes it.
func reasonOf(fault host.Fault) string {
	switch {
	case fault == host.PlatformDown, fault == host.Limited: // nobody can mend either; both are told as the platform's
		return string(makegood.HealPlatformDown)
	case fault.IsCredential():
		return "credential_" + string(fault)
	}
	return "place_" + string(fault)
}

// Every step that a table of a life names in sequence is numbered once, in order.
func TestStepsAreNumberedInOrder(t *testing.T) {
	t.Parallel()
	for _, page := range []string{"docs/life-of-a-webhook.md", "docs/life-of-an-incident.md"} {
		for i, m := range regexp.MustCompile(`(?m)^\| (\d+) \| \[`).FindAllStringSubmatch(read(t, page), -1) {
			if m[1] != strconv.Itoa(i+1) {
				t.Errorf("%s has the step %s in the place of %d", page, m[1], i+1)
			}
		}
	}
}

// constants are the values of the constants of a type of strings, as the source declares them.
func constants(t *testing.T, file, of string) (values []string) {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range parsed.Decls {
		group, ok := d.(*ast.GenDecl)
		if !ok || group.Tok != token.CONST {
			continue
		}
		for _, s := range group.Specs {
			c := s.(*ast.ValueSpec)
			if name, ok := c.Type.(*ast.Ident); !ok || name.Name != of {
				continue
			}
			for _, v := range c.Values {
				text, err := strconv.Unquote(v.(*ast.BasicLit).Value)
				if err != nil {
					t.Fatal(err)
				}
				values = append(values, text)
			}
		}
	}
	if len(values) == 0 {
		t.Fatalf("%s declares no constant of the type %s", file, of)
	}
	return values
}

// declares reports whether a file has a function or a method of a name.
func declares(t *testing.T, file, name string) bool {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range parsed.Decls {
		if f, ok := d.(*ast.FuncDecl); ok && f.Name.Name == name {
			return true
		}
	}
	return false
}

// Every test that a document shows as a proof is there. A name that ends in an ellipsis is the beginning of several.
func TestNamedTestsExist(t *testing.T) {
	t.Parallel()
	var there []string
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(name, "_test.go") {
			return err
		}
		for _, m := range regexp.MustCompile(`(?m)^func (Test\w+)\(`).FindAllStringSubmatch(read(t, name), -1) {
			there = append(there, m[1])
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	pages, err := filepath.Glob("docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, page := range pages {
		for _, m := range regexp.MustCompile("`(Test[A-Z]\\w+)(…?)`").FindAllStringSubmatch(read(t, page), -1) {
			is := func(test string) bool { return test == m[1] || m[2] != "" && strings.HasPrefix(test, m[1]) }
			if !slices.ContainsFunc(there, is) {
				t.Errorf("%s shows the test %s%s, which is not there", page, m[1], m[2])
			}
		}
	}
}
