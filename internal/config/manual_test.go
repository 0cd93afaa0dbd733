package config_test

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/makegood/makegood/internal/config"
)

var update = flag.Bool("update", false, "rewrite docs/configuration.md")

func TestReferenceIsInTheDocs(t *testing.T) {
	t.Parallel()
	path := filepath.Join("..", "..", "docs", "configuration.md")
	want := config.Reference()
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("docs/configuration.md is not what the table says; run go test ./internal/config -update (-want +got):\n%s", diff)
	}
}

// TestReferenceShowsAFileThatWorks reads the example of the manual.
func TestReferenceShowsAFileThatWorks(t *testing.T) {
	t.Parallel()
	_, rest, _ := bytes.Cut(config.Reference(), []byte("```yaml\n"))
	example, _, ok := bytes.Cut(rest, []byte("```"))
	if !ok {
		t.Fatal("the manual has no example")
	}
	if _, err := config.Parse(example, "configuration.md", "", lookup); err != nil {
		t.Errorf("Parse of the example = %v, want no problem", err)
	}
}

// TestTablesAreTables holds that no text of a key breaks the table it stands in.
func TestTablesAreTables(t *testing.T) {
	t.Parallel()
	for line := range strings.Lines(string(config.Reference())) {
		if strings.HasPrefix(line, "| `") && strings.Count(line, "|") != 7 {
			t.Errorf("row = %s, want six cells", line)
		}
	}
}

func TestStarterWorks(t *testing.T) {
	t.Parallel()
	c, err := config.Parse(config.Starter(), "makegood.yaml", "", lookup)
	if err != nil {
		t.Fatal(err)
	}
	if c.Sources[0].Live || c.Mail.Resend == nil || c.Listen != "127.0.0.1:8080" {
		t.Errorf("the starting file = %+v, want test mode, Resend and loopback", c)
	}
}

// TestStarterWorksUncommented takes the comment signs away from the settings that have them, and Resend out.
func TestStarterWorksUncommented(t *testing.T) {
	t.Parallel()
	file := regexp.MustCompile(`(?m)^( *)#(- )?([a-z_]+:)`).ReplaceAllString(string(config.Starter()), "$1$2$3")
	resend := regexp.MustCompile(`(?m)^  resend:\n(    .*\n)+`)
	if !resend.MatchString(file) {
		t.Fatal("the starting file has no resend")
	}
	c, err := config.Parse([]byte(resend.ReplaceAllString(file, "")), "makegood.yaml", "", lookup)
	if err != nil {
		t.Fatal(err)
	}
	if c.Mail.SMTP == nil || c.Catalogue["az-900"].ProviderPrice["stripe"] == "" || c.Checkout.CancelURL == "" {
		t.Errorf("the starting file = %+v, want SMTP and a price id", c)
	}
}

// TestStarterSaysEveryKey holds that each key of the manual is there, with a comment that says its type and default.
func TestStarterSaysEveryKey(t *testing.T) {
	t.Parallel()
	row := regexp.MustCompile("(?m)^\\| `([^`]+)` \\| ([^|]+) \\| ([^|]+) \\|")
	lines := strings.Split(string(config.Starter()), "\n")
	dashed := strings.NewReplacer("#- ", "  #", "- ", "  ")
	rows := row.FindAllStringSubmatch(string(config.Reference()), -1)
	if len(rows) < 50 {
		t.Fatalf("the manual has %d keys, want all", len(rows))
	}
	for _, m := range rows {
		if strings.HasPrefix(m[1], "sources[].recipe") { // in the manual only
			continue
		}
		parts := strings.Split(m[1], ".")
		depth := strings.Count(m[1], ".") + strings.Count(m[1], "[]")
		key := regexp.MustCompile(`^ {` + string(rune('0'+2*depth)) + `}#?` + parts[len(parts)-1] + `:`)
		var comment string
		found := false
		for _, line := range lines {
			if strings.HasPrefix(strings.TrimSpace(line), "# ") {
				comment += " " + strings.TrimPrefix(strings.TrimSpace(line), "# ")
				continue
			}
			if key.MatchString(dashed.Replace(line)) {
				typ, fallback := strings.TrimSpace(m[2]), strings.Trim(strings.TrimSpace(m[3]), "`")
				found = found || typ == "mapping" || strings.Contains(strings.ToLower(comment), strings.ToLower(typ)) && strings.Contains(strings.ToLower(comment), strings.ToLower(fallback))
			}
			comment = ""
		}
		if !found {
			t.Errorf("the starting file says nothing of %s, a %s", m[1], m[2])
		}
	}
}

func TestStarterHasNoSecret(t *testing.T) {
	t.Parallel()
	secretKey := regexp.MustCompile(`(?m)^ *(?:- )?#?(?:- )?(api_key|secret|secrets|token|password|webhook_secrets): (.*)$`)
	found := secretKey.FindAllStringSubmatch(string(config.Starter()), -1)
	if len(found) != 9 {
		t.Errorf("secrets in the starting file = %v, want 9", found)
	}
	for _, m := range found {
		if !regexp.MustCompile(`^\[?env:[A-Z_]+\]?$`).MatchString(m[2]) {
			t.Errorf("%s, want a reference to the environment", m[0])
		}
	}
}
