package cli

import (
	"fmt"

	"github.com/makegood/makegood/internal/app"
	"github.com/makegood/makegood/internal/inspect"
)

type serveCommand struct{}

// Run serves until it is told to stop. The log goes to the stream for errors.
func (serveCommand) Run(s *surroundings) error {
	c, err := s.load()
	if err != nil {
		return err
	}
	log, err := s.logger(c.Log)
	if err != nil {
		return err
	}
	log, done, err := s.reporting(log, c.Errors, "server")
	if err != nil {
		return err
	}
	defer done()
	server, err := app.New(s.ctx, c, app.Options{Log: log, Notify: supervisor(s.lookup), Secrets: inspect.ReadSecrets(s.load)})
	if err != nil {
		return err
	}
	fmt.Fprintf(s.out, "makegood serves %s on %s. Stop it with Ctrl-C.\n", c.PublicURL, server.Addr())
	if err := server.Run(s.ctx); err != nil {
		return err
	}
	fmt.Fprintln(s.out, "makegood has stopped; nothing is lost, what was not finished goes on at the next start.")
	return nil
}
