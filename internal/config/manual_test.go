package config_test

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/makegood/makegood/internal/config"
)

var update = flag.Bool("update", false, "rewrite the manuals and deploy/watch.yaml")

func TestGeneratedFilesAreThere(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		path string
		want []byte
	}{
		{"docs/configuration.md", config.Reference()},
		{"docs/watch-configuration.md", config.WatchReference()},
		{"deploy/watch.yaml", config.StarterWatch()},
	} {
		path := filepath.Join("..", "..", tt.path)
		if *update {
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, tt.want, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		got, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(tt.want), string(got)); diff != "" {
			t.Errorf("%s is not what the table says; run go test ./internal/config -update (-want +got):\n%s", tt.path, diff)
		}
	}
}

// exampleOf cuts the example out of a manual.
func exampleOf(t *testing.T, manual []byte) []byte {
	t.Helper()
	_, rest, _ := bytes.Cut(manual, []byte("```yaml\n"))
	example, _, ok := bytes.Cut(rest, []byte("```"))
	if !ok {
		t.Fatal("the manual has no example")
	}
	return example
}

func TestReferenceShowsAFileThatWorks(t *testing.T) {
	t.Parallel()
	if _, err := config.Parse(exampleOf(t, config.Reference()), "configuration.md", "", lookup); err != nil {
		t.Errorf("Parse of the example = %v, want no problem", err)
	}
}

func TestWatchReferenceShowsAFileThatWorks(t *testing.T) {
	t.Parallel()
	if _, err := config.ParseWatch(exampleOf(t, config.WatchReference()), "watch-configuration.md", "", lookup, sane); err != nil {
		t.Errorf("ParseWatch of the example = %v, want no problem", err)
	}
}

// TestTablesAreTables holds that no text of a key breaks the table it stands in.
func TestTablesAreTables(t *testing.T) {
	t.Parallel()
	for _, manual := range [][]byte{config.Reference(), config.WatchReference()} {
		for line := range strings.Lines(string(manual)) {
			if strings.HasPrefix(line, "| `") && strings.Count(line, "|") != 7 {
				t.Errorf("row = %s, want six cells", line)
			}
		}
	}
}

func TestStarterWorks(t *testing.T) {
	t.Parallel()
	c, err := config.Parse(config.Starter(), "makegood.yaml", "", lookup)
	if err != nil {
		t.Fatal(err)
	}
	if c.Sources[0].Live || c.Mail.Resend == nil || c.Listen != "127.0.0.1:8080" || c.Channels != nil {
		t.Errorf("the starting file = %+v, want test mode, Resend, loopback and nobody to tell", c)
	}
}

func TestWatchStarterWorks(t *testing.T) {
	t.Parallel()
	w, err := config.ParseWatch(config.StarterWatch(), "watch.yaml", "", lookup, sane)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, m := range w.Monitors {
		names = append(names, m.Name)
	}
	if want := []string{"health", "landing-page", "product-page", "data-file"}; !slices.Equal(names, want) {
		t.Errorf("monitors of the starting file = %v, want %v", names, want)
	}
	if len(w.Channels) != 1 || w.Server == nil || w.Listen != "127.0.0.1:8081" || w.Drill {
		t.Errorf("the starting file = %+v, want a server, one channel and loopback", w)
	}
}

// uncommented takes the comment signs away from the settings that have them, and Resend out, because two senders are one
// too many.
func uncommented(t *testing.T, starter []byte) []byte {
	t.Helper()
	file := regexp.MustCompile(`(?m)^( *)#(- )?([A-Za-z0-9_]+:)`).ReplaceAllString(string(starter), "$1$2$3")
	resend := regexp.MustCompile(`(?m)^  resend:\n(    .*\n)+`)
	if !resend.MatchString(file) {
		t.Fatal("the starting file has no resend")
	}
	return []byte(resend.ReplaceAllString(file, ""))
}

func TestStarterWorksUncommented(t *testing.T) {
	t.Parallel()
	c, err := config.Parse(uncommented(t, config.Starter()), "makegood.yaml", "", lookup)
	if err != nil {
		t.Fatal(err)
	}
	if c.Mail.SMTP == nil || c.Catalogue["az-900"].ProviderPrice["stripe"] == "" || c.Checkout.CancelURL == "" || len(c.Channels) != 2 ||
		c.Watcher.Secret.Empty() || len(c.Checks) != 1 {
		t.Errorf("the starting file = %+v, want SMTP, a price id, a watcher, channels and checks", c)
	}
}

func TestWatchStarterWorksUncommented(t *testing.T) {
	t.Parallel()
	w, err := config.ParseWatch(uncommented(t, config.StarterWatch()), "watch.yaml", "", lookup, sane)
	if err != nil {
		t.Fatal(err)
	}
	if len(w.Monitors) != 8 || len(w.Channels) != 5 || w.Smoke == nil || len(w.Checkout) != 1 || w.Vantage == nil || w.Mail == nil {
		t.Errorf("the starting file = %+v, want everything", w)
	}
}

// TestStarterSaysEveryKey holds that each key of the manual is there, with a comment that says its type and default.
func TestStarterSaysEveryKey(t *testing.T) {
	t.Parallel()
	for name, file := range map[string][2][]byte{
		"makegood.yaml": {config.Reference(), config.Starter()},
		"watch.yaml":    {config.WatchReference(), config.StarterWatch()},
	} {
		rows := regexp.MustCompile("(?m)^\\| `([^`]+)` \\| ([^|]+) \\| ([^|]+) \\|").FindAllStringSubmatch(string(file[0]), -1)
		if len(rows) < 50 {
			t.Fatalf("the manual of %s has %d keys, want all", name, len(rows))
		}
		onlyInTheManual := regexp.MustCompile(`^(sources\[\]\.recipe|escalation\.P[123])`)
		for _, row := range rows {
			typ, fallback := strings.TrimSpace(row[2]), strings.Trim(strings.TrimSpace(row[3]), "`")
			if !onlyInTheManual.MatchString(row[1]) && !isExplained(string(file[1]), row[1], typ, fallback) {
				t.Errorf("%s says nothing of %s, a %s", name, row[1], typ)
			}
		}
	}
}

// isExplained looks for a key in a starting file with a comment before it that says type and default, or for a line of the
// comment of its list that does.
func isExplained(starter, path, typ, fallback string) bool {
	says := func(comment string) bool {
		comment = strings.ToLower(comment)
		return typ == "mapping" || strings.Contains(comment, strings.ToLower(typ)) && strings.Contains(comment, strings.ToLower(fallback))
	}
	dashed := strings.NewReplacer("#- ", "  #", "- ", "  ")
	parts := strings.Split(path, ".")
	depth := strings.Count(path, ".") + strings.Count(path, "[]")
	key := regexp.MustCompile(`^ {` + strconv.Itoa(2*depth) + `}#?` + parts[len(parts)-1] + `:`)
	_, inList, _ := strings.Cut(path, "[].")
	comment, point := "", ""
	for line := range strings.Lines(starter) {
		text, isComment := strings.CutPrefix(strings.TrimSpace(line), "# ")
		if strings.HasPrefix(text, "* ") || !isComment {
			if name, rest, _ := strings.Cut(point, ": "); name == "* "+inList && says(rest) {
				return true
			}
			point = ""
		}
		if isComment {
			comment, point = comment+" "+strings.TrimSpace(text), strings.TrimSpace(point+" "+strings.TrimSpace(text))
			continue
		}
		if key.MatchString(dashed.Replace(line)) && says(comment) {
			return true
		}
		comment = ""
	}
	return false
}

func TestStarterHasNoSecret(t *testing.T) {
	t.Parallel()
	secretKey := regexp.MustCompile(`(?m)^ *(?:- )?#?(?:- )?(api_key|secret|secrets|token|trigger_token|topic|dsn|password|webhook_secrets): (.*)$`)
	for name, tt := range map[string]struct {
		file []byte
		want int
	}{"makegood.yaml": {config.Starter(), 13}, "watch.yaml": {config.StarterWatch(), 13}} {
		found := secretKey.FindAllStringSubmatch(string(tt.file), -1)
		if len(found) != tt.want {
			t.Errorf("secrets in %s = %v, want %d", name, found, tt.want)
		}
		for _, m := range found {
			if !regexp.MustCompile(`^\[?env:[A-Z_]+\]?$`).MatchString(m[2]) {
				t.Errorf("%s, want a reference to the environment", m[0])
			}
		}
	}
}
