package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/makegood/makegood/internal/config"
)

type initCommand struct {
	File string `arg:"" optional:"" help:"Where to write it; the --config file by default."`
}

// Run writes the starter configuration and never over a file that is there.
func (c initCommand) Run(s *surroundings) error {
	path := c.File
	if path == "" {
		path = s.config
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s is there already and is left as it is; name another file", path)
	}
	if err != nil {
		return err
	}
	if _, err := f.Write(config.Starter()); err != nil {
		return errors.Join(err, f.Close())
	}
	if err := f.Close(); err != nil {
		return err
	}
	fmt.Fprintf(s.out, "Wrote %s. Fill it in, set the secrets it names, then run: makegood config check -c %s\n", path, path)
	return nil
}

type configCommands struct {
	Check configCheckCommand `cmd:"" help:"Say everything that is wrong with the configuration, or that it is good."`
}

type configCheckCommand struct{}

// Run checks the configuration without starting anything.
func (configCheckCommand) Run(s *surroundings) error {
	c, err := s.load()
	if err != nil {
		return err
	}
	fmt.Fprintf(s.out, "%s is good: %d sources, %d products.\n", s.config, len(c.Sources), len(c.Catalogue))
	for _, secret := range config.Secrets(c) {
		fmt.Fprintf(s.out, "  %-36s fingerprint %s\n", secret.Path, secret.Fingerprint)
	}
	return nil
}
