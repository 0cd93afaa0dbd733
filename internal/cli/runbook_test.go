package cli

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/alecthomas/kong"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/docs/runbooks"
	"github.com/makegood/makegood/internal/app"
	"github.com/makegood/makegood/internal/inspect"
	"github.com/makegood/makegood/internal/monitor"
)

// withoutCheck are the pages among the runbooks that belong to no check, each with its reason.
var withoutCheck = map[string]string{"README": "the page to start from"}

// sections are what every runbook has, in this order.
var sections = []string{"Symptoms", "Diagnosis", "Resolution", "Rollback", "How to know that it is over"}

// Every check has a runbook, and every runbook a check.
func TestEveryCheckHasARunbook(t *testing.T) {
	t.Parallel()
	needed := []string{app.MonitorCheck, monitor.BlindCheck}
	for _, c := range inspect.Checks() {
		needed = append(needed, c.Code)
	}
	for _, code := range needed {
		if _, ok := runbooks.Of(code); !ok {
			t.Errorf("the check %s has no runbook: docs/runbooks/%s.md", code, code)
		}
	}
	for _, code := range runbooks.Codes() {
		if withoutCheck[code] == "" && !slices.Contains(needed, code) {
			t.Errorf("docs/runbooks/%s.md belongs to no check", code)
		}
	}
	for code := range withoutCheck {
		if _, ok := runbooks.Of(code); !ok {
			t.Errorf("docs/runbooks/%s.md is excused and is not there", code)
		}
	}
}

// A runbook says what the table of checks says, and has every section, with something in it.
func TestRunbooksAreWhole(t *testing.T) {
	t.Parallel()
	checks := map[string]makegood.Check{}
	for _, c := range inspect.Checks() {
		checks[c.Code] = c
	}
	for _, code := range runbooks.Codes() {
		if withoutCheck[code] != "" {
			continue
		}
		text, _ := runbooks.Of(code)
		for _, trouble := range wanting(text) {
			t.Errorf("docs/runbooks/%s.md %s", code, trouble)
		}
		c, inTable := checks[code]
		if !inTable {
			continue
		}
		said := strings.Join(strings.Fields(text), " ")
		wants := []string{"**" + string(c.Priority) + "**", c.Means}
		if f := inspect.Figures()[code]; f.Above > 0 {
			wants = append(wants, fmt.Sprintf("above %d %s", f.Above, f.Unit))
		}
		for _, want := range wants {
			if !strings.Contains(said, want) {
				t.Errorf("docs/runbooks/%s.md does not say %q, as the table does", code, want)
			}
		}
	}
}

// wanting says what a runbook lacks.
func wanting(text string) (troubles []string) {
	if !strings.HasPrefix(text, "# ") {
		troubles = append(troubles, "has no title")
	}
	parts := map[string]string{}
	var order []string
	for _, part := range strings.Split(text, "\n## ")[1:] {
		name, body, _ := strings.Cut(part, "\n")
		parts[name] = strings.TrimSpace(body)
		if slices.Contains(sections, name) {
			order = append(order, name)
		}
	}
	for _, name := range sections {
		if parts[name] == "" {
			troubles = append(troubles, "lacks the section "+name)
		}
	}
	if len(order) == len(sections) && !slices.Equal(order, sections) {
		troubles = append(troubles, fmt.Sprintf("has its sections in the order %q", order))
	}
	if !strings.Contains(parts["Diagnosis"], "```sh\n") && !strings.Contains(parts["Diagnosis"], "\n### ") {
		troubles = append(troubles, "has no command to find out with")
	}
	return troubles
}

func TestWanting(t *testing.T) {
	t.Parallel()
	whole := "# T\n"
	for _, name := range sections {
		whole += "\n## " + name + "\n\n```sh\nmakegood version\n```\n"
	}
	if got := wanting(whole); got != nil {
		t.Errorf("wanting(%q) = %q, want nothing", whole, got)
	}
	for _, name := range sections {
		if got := wanting(strings.Replace(whole, "\n## "+name+"\n", "\n", 1)); got == nil {
			t.Errorf("a runbook without %s passes", name)
		}
		if got := wanting(strings.Replace(whole, name+"\n\n```sh\nmakegood version\n```", name+"\n", 1)); got == nil {
			t.Errorf("a runbook with an empty %s passes", name)
		}
	}
	turned := strings.NewReplacer("Rollback", "Resolution", "Resolution", "Rollback").Replace(whole)
	if got := wanting(turned); got == nil {
		t.Error("a runbook with its sections in another order passes")
	}
	if got := wanting(strings.TrimPrefix(whole, "# T")); got == nil {
		t.Error("a runbook without a title passes")
	}
}

// Every command in the documents and in what is deployed exists, with its flags.
func TestDocumentedCommandsExist(t *testing.T) {
	t.Parallel()
	found := 0
	for _, page := range documents(t) {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range commandsIn(string(text), filepath.Ext(page) == ".md") {
			found++
			if err := c.check(); err != nil {
				t.Errorf("%s: %q: %v", strings.TrimPrefix(page, "../../"), c.text, err)
			}
		}
	}
	if found < 300 {
		t.Errorf("%d commands were found in the documents; the reader of commands has gone blind", found)
	}
}

// documents lists what may name commands.
func documents(t *testing.T) []string {
	t.Helper()
	pages := []string{"../../README.md"}
	for _, root := range []string{"../../docs", "../../deploy"} {
		err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() && filepath.Ext(name) != ".go" {
				pages = append(pages, name)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return pages
}

// documented is a command as a document names it.
type documented struct {
	text  string
	args  []string
	whole bool // it can be typed as it stands; in a sentence the arguments may be left out
}

var (
	fence  = regexp.MustCompile("(?ms)^ *```[a-z]*\n(.*?)^ *```")
	inline = regexp.MustCompile("`([^`]+)`")
	// deployed is how units and workflows run us.
	deployed = regexp.MustCompile(`(?m)^ *(?:ExecStart=|- run: |run: )(.*makegood .*)$`)
	// callers are how a command line begins that runs us.
	callers = regexp.MustCompile(`^(?:\./|/\S*/)?makegood\s|^go run \./cmd/makegood\s`)
)

// commandsIn finds our commands: the lines of code blocks, and code within sentences.
func commandsIn(text string, isMarkdown bool) []documented {
	var all []documented
	if !isMarkdown {
		for _, m := range deployed.FindAllStringSubmatch(text, -1) {
			all = append(all, typed(m[1])...)
		}
		return append(all, spoken(text)...)
	}
	for _, m := range fence.FindAllStringSubmatch(text, -1) {
		for line := range strings.Lines(strings.ReplaceAll(m[1], "\\\n", " ")) {
			all = append(all, typed(line)...)
		}
	}
	return append(all, spoken(fence.ReplaceAllString(text, ""))...)
}

// typed are the commands of one line of a shell.
func typed(line string) []documented {
	var all []documented
	for _, part := range split(strings.TrimSpace(line)) {
		if callers.MatchString(part.text + " ") {
			all = append(all, documented{part.text, afterUs(part.args), true})
		}
	}
	return all
}

// spoken are the commands in sentences. One that has been named may be named again without the program: `orders show`.
func spoken(text string) []documented {
	var all []documented
	for _, m := range inline.FindAllStringSubmatch(text, -1) {
		code := strings.Join(strings.Fields(m[1]), " ")
		first, rest, _ := strings.Cut(code, " ")
		isShort := slices.Contains(groups(), first) && regexp.MustCompile(`^[a-z-]+( |$)`).MatchString(rest)
		if !callers.MatchString(code) && !isShort {
			continue
		}
		for _, part := range split(code) {
			args := part.args
			if !isShort {
				args = afterUs(args)
			}
			all = append(all, documented{part.text, args, false})
		}
	}
	return all
}

// afterUs cuts the name of the program off.
func afterUs(args []string) []string {
	if args[0] == "go" {
		return args[3:]
	}
	return args[1:]
}

// groups are the commands that have others below them.
var groups = sync.OnceValue(func() []string {
	var names []string
	for _, n := range parser().Model.Children {
		if len(n.Children) > 0 {
			names = append(names, n.Name)
		}
	}
	return names
})

// part is one command of a line.
type part struct {
	text string
	args []string
}

// split takes a line of a shell apart as far as our documents need it: quotation marks, comments, and what stands between
// commands.
func split(line string) []part {
	var all []part
	var words []string
	var word strings.Builder
	var quote rune
	has, from := false, 0
	end := func(at int) {
		if has {
			words = append(words, word.String())
		}
		word.Reset()
		has = false
		if at >= 0 && len(words) > 0 {
			all, words = append(all, part{strings.TrimSpace(line[from:at]), words}), nil
		}
	}
	for i, c := range line {
		switch {
		case quote != 0 && c == quote:
			quote = 0
		case quote == 0 && (c == '"' || c == '\''):
			quote, has = c, true
		case quote == 0 && c == '#' && !has:
			end(i)
			return all
		case quote == 0 && strings.ContainsRune("|;&", c):
			end(i)
			from = i + 1
		case quote == 0 && c == ' ':
			end(-1)
		default:
			word.WriteRune(c)
			has = true
		}
	}
	end(len(line))
	return all
}

// parser is the table of commands, as Main has it.
func parser() *kong.Kong {
	k, err := kong.New(&commands{}, kong.Name("makegood"), kong.Vars{"config": defaultConfig}, kong.Writers(io.Discard, io.Discard),
		kong.Exit(func(int) {}))
	if err != nil {
		panic(err)
	}
	return k
}

// check says why a command cannot be run as it is written; nil when it can.
func (d documented) check() error {
	args := slices.Clone(d.args)
	if len(args) > 0 && args[0] == "COMMAND" { // any of them
		args = []string{"version"}
		args = append(args, d.args[1:]...)
	}
	if d.whole {
		_, err := parser().Parse(args)
		return err
	}
	if last := len(args) - 1; last > 0 && strings.HasPrefix(args[last], "--") && takesValue(args) { // the flag is what is spoken of
		args = append(args, "1")
	}
	c, err := kong.Trace(parser(), args)
	if err == nil {
		err = c.Error
	}
	// What is named may be a group of commands, or a command without its arguments.
	if err != nil && strings.HasPrefix(err.Error(), "expected ") && !strings.Contains(err.Error(), "valid value") {
		return nil
	}
	return err
}

// takesValue reports whether the last of the words, a flag, wants a value.
func takesValue(args []string) bool {
	name := strings.TrimPrefix(args[len(args)-1], "--")
	c, err := kong.Trace(parser(), args[:len(args)-1])
	if err != nil {
		return false
	}
	for _, f := range c.Flags() {
		if f.Name == name {
			return !f.IsBool()
		}
	}
	return false
}

// The reader of commands sees what does not exist.
func TestCommandsThatDoNotExist(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]error{
		"```sh\nmakegood orders list --fulfillment stuck   # who waits?\n```": nil,
		"```sh\n./makegood orders show you@example.com\n```":                  nil,
		"```sh\ngo run ./cmd/makegood demo     # buy\n```":                    nil,
		"```sh\ncd /x && makegood webhooks retry --all; date\n```":            nil,
		"`makegood orders make-good`":                                         nil,
		"`makegood incidents`":                                                nil,
		"`orders show`":                                                       nil,
		"`makegood COMMAND --help`":                                           nil,
		"`makegood webhooks retry --per-second`":                              nil,
		"`makegood incidents resolve ID --why \"it is; over\"`":               nil,
		"```sh\nmakegood orders undo ORDER\n```":                              errAny,
		"```sh\nmakegood orders list --stuck\n```":                            errAny,
		"```sh\nmakegood orders list --fulfillment lost\n```":                 errAny,
		"```sh\nmakegood orders show\n```":                                    errAny,
		"```sh\nmakegood incidents resolve ID\n```":                           errAny,
		"```sh\ncurl -s http://x | grep y; makegood checks\n```":              errAny,
		"   ```sh\n   makegood backup create\n   ```":                         errAny,
		"`makegood restore-all`":                                              errAny,
		"`orders mend`":                                                       errAny,
		"`makegood webhooks discard LETTER --because x`":                      errAny,
		"`makegood runbook a b`":                                              errAny,
		"`makegood incidents\nundo ID`":                                       errAny,
		"`makegood webhooks retry --since soon`":                              errAny,
		"a sentence about makegood backups":                                   nil,
		"`events` and `config.yaml`, `makegood.yaml`, `makegood_deliveries_total`, `webhooks: degraded`": nil,
	} {
		var got error
		for _, c := range commandsIn(text, true) {
			got = errors.Join(got, c.check())
		}
		if (got != nil) != (want != nil) {
			t.Errorf("commands in %q = %v, want a fault: %v", text, got, want != nil)
		}
	}
	for text, want := range map[string]bool{
		"ExecStart=/usr/local/bin/makegood serve -c /etc/makegood.yaml":     true,
		"ExecStart=/usr/local/bin/makegood server -c /etc/makegood.yaml":    false,
		"      - run: makegood watch --once -w watch.yaml":                  true,
		"      - run: makegood watch --twice":                               false,
		"      - run: go install github.com/makegood/makegood/cmd@latest":   true,
		"# the configuration of makegood and the watcher, by makegood walk": true,
	} {
		var got error
		for _, c := range commandsIn(text, false) {
			got = errors.Join(got, c.check())
		}
		if (got == nil) != want {
			t.Errorf("commands in %q = %v, want good: %v", text, got, want)
		}
	}
}

// errAny is any error.
var errAny = errors.New("a fault")

// The commands that the README lists are all that there are, but for the hidden ones.
func TestReadmeListsTheCommands(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	named := map[string]bool{}
	for _, c := range commandsIn(string(text), true) {
		if len(c.args) > 0 {
			named[c.args[0]] = true
		}
	}
	for _, n := range parser().Model.Children {
		if !n.Hidden && !named[n.Name] {
			t.Errorf("README.md does not name makegood %s; it names %v", n.Name, slices.Sorted(maps.Keys(named)))
		}
	}
}
