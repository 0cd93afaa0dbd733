package makegood_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/makegood/makegood"

// floors are the floors of the house, from the cellar up. A package imports packages of lower floors only, never a
// neighbour on its own. docs/ARCHITECTURE.md shows the same picture with reasons.
var floors = [][]string{
	{"", "docs/runbooks"}, // the words and rules; what to do
	{"internal/secret"},
	{"internal/telemetry"},
	{"internal/outbound"},
	{"internal/mail", "internal/vault"},
	{"internal/provider", "internal/probe", "internal/config", "internal/host"}, // contracts
	{"internal/provider/extract"}, // what adapters read bodies with
	{"internal/provider/stripe", "internal/provider/paypal", "internal/provider/recipe", "internal/monitor",
		"internal/host/pages", "internal/host/envfile", "internal/host/workflow", "internal/host/command"}, // adapters
	{"internal/intake", "internal/interpret", "internal/fulfill", "internal/desk", "internal/queue", "internal/notify", "internal/inspect",
		"internal/synthetic", "internal/smoke", "internal/heal"}, // stations
	{"internal/watch"}, // the record of incidents, over probes, monitors and channels
	{"internal/store", "internal/api", "internal/simulate"},
	{"internal/web"},
	{"internal/app"},
	{"internal/demo"},
	{"internal/drill"},
	{"internal/cli"},
	{"cmd/makegood"},
}

// onlyForTests are packages that no program imports.
var onlyForTests = []string{"internal/store/storetest", "internal/provider/providertest", "internal/notify/notifytest",
	"internal/host/hosttest", "internal/harness", "bench"}

// keepers say who alone may import something, and why.
var keepers = []struct {
	imported string
	by       []string
	why      string
}{
	{module + "/internal/store", []string{"internal/app", "internal/demo", "internal/drill", "internal/cli"}, "stations say in small interfaces what they need kept"},
	{"github.com/riverqueue/", []string{"internal/queue"}, "the queue stays behind one narrow door"},
	{"github.com/jackc/pgx/", []string{"internal/store", "internal/queue"}, "all the SQL is in the store"},
	{"modernc.org/sqlite", []string{"internal/store"}, "all the SQL is in the store"},
	{"database/sql", []string{"internal/store", "internal/queue"}, "all the SQL is in the store"},
	{"github.com/alecthomas/kong", []string{"internal/cli"}, "only the command line parses arguments"},
	{"github.com/goccy/go-yaml", []string{"internal/config"}, "only the configuration is YAML"},
	{"github.com/wneessen/go-mail", []string{"internal/mail"}, "mail leaves by one door"},
	{"github.com/getsentry/sentry-go", []string{"internal/telemetry"}, "error reports leave scrubbed, by one door"},
	{"filippo.io/age", []string{"internal/vault"}, "what is sealed is opened in one place, and its causes, which repeat what they read, stay there"},
	{"github.com/tidwall/gjson", []string{"internal/provider"}, "only providers' bodies are read tolerantly"},
}

// The root package does no input or output, reads no clock and draws no randomness of its own.
var wordsMayImport = []string{"bytes", "cmp", "crypto/hmac", "crypto/sha256", "encoding/binary", "encoding/json", "errors", "fmt",
	"io", "math", "regexp", "slices", "strconv", "strings", "time"}

func TestFloors(t *testing.T) {
	t.Parallel()
	rank := map[string]int{}
	for i, floor := range floors {
		for _, pkg := range floor {
			rank[pkg] = i
		}
	}
	imports := importsOf(t)
	for _, pkg := range slices.Sorted(maps.Keys(imports)) {
		if slices.Contains(onlyForTests, pkg) {
			continue
		}
		own, ok := rank[pkg]
		if !ok {
			t.Errorf("package %q has no floor: give it one here and in docs/ARCHITECTURE.md", pkg)
			continue
		}
		for _, imported := range imports[pkg] {
			inner, isOurs := ours(imported)
			if !isOurs {
				continue
			}
			if slices.Contains(onlyForTests, inner) {
				t.Errorf("%s imports %s, which is for tests only", pkg, inner)
			} else if rank[inner] >= own {
				t.Errorf("%s (floor %d) imports %s (floor %d): only lower floors may be imported", pkg, own, inner, rank[inner])
			}
		}
	}
	for pkg := range rank {
		if _, ok := imports[pkg]; !ok {
			t.Errorf("the floors name %q, which is not there", pkg)
		}
	}
}

func TestKeepers(t *testing.T) {
	t.Parallel()
	imports := importsOf(t)
	for _, k := range keepers {
		for pkg, all := range imports {
			if slices.Contains(onlyForTests, pkg) || slices.ContainsFunc(k.by, func(by string) bool { return pkg == by || strings.HasPrefix(pkg, by+"/") }) {
				continue
			}
			for _, imported := range all {
				if imported == k.imported || strings.HasPrefix(imported, strings.TrimSuffix(k.imported, "/")+"/") {
					t.Errorf("%s imports %s, which is for %v only: %s", pkg, imported, k.by, k.why)
				}
			}
		}
	}
	for _, imported := range imports[""] {
		if !slices.Contains(wordsMayImport, imported) {
			t.Errorf("the root package imports %s; the words and rules do no input or output", imported)
		}
	}
}

// A room is named after what is done in it.
func TestRoomsHaveNames(t *testing.T) {
	t.Parallel()
	for pkg := range importsOf(t) {
		switch path.Base(pkg) {
		case "util", "utils", "common", "helpers", "misc", "models", "types", "base", "shared":
			t.Errorf("%s: name the room after what is done in it", pkg)
		}
	}
}

// Nothing registers itself: no init functions anywhere.
func TestNoInit(t *testing.T) {
	t.Parallel()
	eachFile(t, func(name, _ string) {
		source, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(source), "\nfunc init()") {
			t.Errorf("%s has an init function", name)
		}
	})
}

func ours(imported string) (string, bool) {
	if imported == module {
		return "", true
	}
	return strings.CutPrefix(imported, module+"/")
}

// importsOf reads the imports of every package from its files, tests excluded.
func importsOf(t *testing.T) map[string][]string {
	t.Helper()
	imports := map[string][]string{}
	eachFile(t, func(name, pkg string) {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := imports[pkg]; !ok {
			imports[pkg] = nil
		}
		for _, spec := range file.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			imports[pkg] = append(imports[pkg], imported)
		}
	})
	return imports
}

func eachFile(t *testing.T, do func(name, pkg string)) {
	t.Helper()
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && name != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata") {
			return filepath.SkipDir
		}
		if !d.IsDir() && strings.HasSuffix(name, ".go") && !strings.HasSuffix(name, "_test.go") {
			pkg := filepath.ToSlash(filepath.Dir(name))
			do(name, strings.TrimPrefix(pkg, "."))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
