package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/makegood/makegood/internal/app"
	"github.com/makegood/makegood/internal/config"
)

type initCommand struct {
	File string `arg:"" optional:"" help:"Where to write it; the --config file by default."`
}

// Run writes the starting configuration, never over a file that is there, and never half of it.
func (c initCommand) Run(s *surroundings) error {
	path := c.File
	if path == "" {
		path = s.config
	}
	starter := config.Starter()
	if err := writeNew(path, starter, "makegood init FILE"); err != nil {
		return err
	}
	flag := ""
	if path != defaultConfig {
		flag = " -c " + path
	}
	fmt.Fprintf(s.out, `Wrote %s. What to do next:
  1. Open it and fill in your own address, products and sender; every line is explained.
  2. Set the secrets that it names: %s.
  3. makegood config check%s
  4. makegood serve%s
`, path, strings.Join(namedSecrets(starter), ", "), flag, flag)
	return nil
}

// writeNew writes a file that is not there yet. instead is the command that names another one.
func writeNew(path string, data []byte, instead string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	switch {
	case errors.Is(err, fs.ErrExist):
		return fmt.Errorf("%s is there already and was left as it is. Name another file: %s", path, instead)
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("there is no folder %s to write %s to. Make it first", filepath.Dir(path), filepath.Base(path))
	case err != nil:
		return err
	}
	_, err = f.Write(data)
	if err := errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, os.Remove(path)) // half a configuration is worse than none
	}
	return nil
}

var secretName = regexp.MustCompile(`(?m)^[^#\n]*\benv:([A-Z0-9_]+)`)

// namedSecrets lists the environment variables that a file refers to, in its order.
func namedSecrets(file []byte) []string {
	var names []string
	for _, match := range secretName.FindAllSubmatch(file, -1) {
		if name := string(match[1]); !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

type configCommands struct {
	Check   configCheckCommand   `cmd:"" help:"Say everything that is wrong with the configuration, or what it amounts to."`
	Retries configRetriesCommand `cmd:"" help:"Print when each attempt of a failing job would come."`
}

type configCheckCommand struct{}

// Run checks the configuration without starting anything.
func (configCheckCommand) Run(s *surroundings) error {
	c, err := s.load()
	if err != nil {
		return err
	}
	if err := app.Check(c); err != nil {
		return unusable(s.config, err)
	}
	fmt.Fprintf(s.out, "%s is good.\n", s.config)
	w := sheet{s.out}
	w.row("  database", "%s", c.DatabaseLabel())
	for _, source := range c.Sources {
		w.row("  source", "%s (%s, %s)", source.Name, source.Provider, modeText(source.Live))
		token := ""
		if source.Provider == "mollie-classic" || source.Provider == "gumroad" {
			token = "?token= and its webhook secret"
		}
		w.row("", "its webhook address is %s/hooks/%s%s", c.PublicURL, source.Name, token)
	}
	for _, forward := range c.Forwards {
		w.row("  forward", "%s is told at %s", forward.Name, forward.URL)
	}
	w.row("  catalogue", "%s", count(len(c.Catalogue), "product"))
	way := "by SMTP"
	if c.Mail.Resend != nil {
		way = "by Resend"
	}
	w.row("  mail", "%s, from %s", way, c.Mail.From)
	printTelling(w, c.Telling)
	if c.Watcher.Secret.Empty() {
		w.row("  watcher", "none is expected: when this server dies, nobody is told")
	} else {
		w.row("  watcher", "expected; when it is silent for %s, people are told", span(c.Watcher.Silent))
	}
	fmt.Fprintln(s.out, "Secrets, each with its fingerprint: equal secrets have equal ones, and nothing can be read from them.")
	t := table(s.out)
	for _, secret := range config.Secrets(c) {
		fmt.Fprintf(t, "  %s\t%s\n", secret.Path, or(secret.Fingerprint, "set"))
	}
	return t.Flush()
}
