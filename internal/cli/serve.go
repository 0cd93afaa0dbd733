package cli

import (
	"fmt"

	"github.com/makegood/makegood/internal/app"
)

type serveCommand struct{}

// Run serves until it is told to stop.
func (serveCommand) Run(s *surroundings) error {
	c, err := s.load()
	if err != nil {
		return err
	}
	log, err := s.logger(c.Log)
	if err != nil {
		return err
	}
	server, err := app.New(s.ctx, c, app.Options{Log: log})
	if err != nil {
		return err
	}
	fmt.Fprintf(s.out, "makegood serves on http://%s; stop it with Ctrl-C.\n", server.Addr())
	return server.Run(s.ctx)
}
