package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/makegood/makegood/internal/demo"
	"github.com/makegood/makegood/internal/simulate"
)

// simulateCommand is hidden: it is for drills and for the tests of the built program.
type simulateCommand struct {
	Server string `help:"The address of the server that the simulated provider delivers to." placeholder:"URL"`
	Only   string `help:"Only this part: provider, mail, channels, pages or box." placeholder:"PART"`

	Dir       string        `help:"Of a host: where the server runs." placeholder:"FOLDER"`
	Variables []string      `help:"Of pages: the variables that the server gets at first, from our own environment." placeholder:"NAME"`
	EnvFile   string        `help:"Of a box: the file of variables." placeholder:"FILE"`
	Build     time.Duration `help:"Of pages: how long a deployment takes." default:"45s"`

	Restart string `help:"Start the server of the box at this address again, and end." placeholder:"URL"`
	Alive   string `help:"Say by the exit code whether the server of the box at this address runs, and end." placeholder:"URL"`
}

// Run prints where the services are, as one JSON object, and serves until it is told to stop.
func (c simulateCommand) Run(s *surroundings) error {
	switch {
	case c.Restart != "":
		return simulate.RestartBox(s.ctx, c.Restart)
	case c.Alive != "":
		return c.alive(s)
	case c.Only != "":
		return c.part(s)
	}
	services, err := demo.StartServices(c.Server)
	if err != nil {
		return err
	}
	if err := s.printJSON(services.Addresses); err != nil {
		return err
	}
	return services.Wait(s.ctx)
}

func (c simulateCommand) alive(s *surroundings) error {
	state, err := simulate.AskBox(s.ctx, c.Alive)
	if err != nil {
		return err
	}
	if !state.Running {
		return fmt.Errorf("it ended with exit code %d", state.Exit)
	}
	return nil
}

// part serves one part. The server that a host runs is this very program.
func (c simulateCommand) part(s *surroundings) error {
	program, err := os.Executable()
	if err != nil {
		return err
	}
	o := demo.PartOptions{Server: c.Server, Argv: []string{program, "serve"}, Dir: c.Dir, EnvFile: c.EnvFile, Build: c.Build, Variables: map[string]string{},
		Others: []string{"PATH=" + os.Getenv("PATH"), "HOME=" + c.Dir}}
	for _, name := range c.Variables {
		if value, ok := s.lookup(name); ok {
			o.Variables[name] = value
		}
	}
	if c.Dir != "" {
		log, err := os.OpenFile(filepath.Join(c.Dir, "server.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err != nil {
			return err
		}
		defer log.Close()
		o.Log = log
	}
	part, err := demo.StartPart(c.Only, o)
	if err != nil {
		return err
	}
	if err := s.printJSON(map[string]string{"url": part.URL, "part": strings.ToLower(c.Only)}); err != nil {
		return err
	}
	return part.Wait(s.ctx)
}
