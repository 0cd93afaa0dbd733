package cli

import (
	"github.com/makegood/makegood/internal/demo"
)

// simulateCommand is hidden: it is for drills and for the tests of the built program.
type simulateCommand struct {
	Server string `help:"The address of the server that the simulated provider delivers to." placeholder:"URL"`
}

// Run prints where the services are, as one JSON object, and serves until it is told to stop.
func (c simulateCommand) Run(s *surroundings) error {
	services, err := demo.StartServices(c.Server)
	if err != nil {
		return err
	}
	if err := s.printJSON(services.Addresses); err != nil {
		return err
	}
	return services.Wait(s.ctx)
}
