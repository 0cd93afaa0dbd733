// Package cli is the command line: one file a command, one table of them.
package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"

	"github.com/alecthomas/kong"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/config"
	"github.com/makegood/makegood/internal/store"
	"github.com/makegood/makegood/internal/telemetry"
)

// commands is the table of commands.
type commands struct {
	Config string `short:"c" default:"makegood.yaml" help:"The configuration file." placeholder:"FILE" env:"MAKEGOOD_CONFIG"`

	Serve    serveCommand    `cmd:"" help:"Run the server."`
	Demo     demoCommand     `cmd:"" help:"Run everything on this machine with a simulated provider and mail service, and buy once."`
	Init     initCommand     `cmd:"" help:"Write a commented starter configuration."`
	ConfigC  configCommands  `cmd:"" name:"config" help:"Look at the configuration."`
	Orders   ordersCommands  `cmd:"" help:"Look at orders."`
	Events   eventsCommands  `cmd:"" help:"Look at what the providers told."`
	Licenses licenseCommands `cmd:"" help:"Look at licences."`
	Version  versionCommand  `cmd:"" help:"Print the version."`
}

// surroundings are what every command gets.
type surroundings struct {
	ctx    context.Context
	config string
	out    io.Writer
	errors io.Writer
	lookup func(string) (string, bool)
}

// Main runs one command and returns the exit code: 0 done, 1 not done (the reason is on errors), 2 the command line
// itself is wrong.
func Main(ctx context.Context, args []string, out, errs io.Writer, lookup func(string) (string, bool)) int {
	var c commands
	exit := -1
	parser, err := kong.New(&c,
		kong.Name("makegood"),
		kong.Description("Makes every paid order good: keeps what the payment provider says, gives what was paid for exactly once, and shows what happened."),
		kong.Writers(out, errs),
		kong.Exit(func(code int) { exit = code }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
	)
	if err != nil {
		panic("cli: the table of commands is broken: " + err.Error())
	}
	command, err := parser.Parse(args)
	if exit >= 0 { // --help was printed
		return exit
	}
	if err != nil {
		fmt.Fprintf(errs, "makegood: %v\nRun \"makegood --help\" to see the commands.\n", err)
		return 2
	}
	if err := command.Run(&surroundings{ctx, c.Config, out, errs, lookup}); err != nil {
		fmt.Fprintln(errs, "makegood: "+plain(err))
		return 1
	}
	return 0
}

// plain is what a person reads of an error: the sentence first, then the cause.
func plain(err error) string {
	var own *makegood.Error
	if !errors.As(err, &own) {
		return err.Error()
	}
	if own.Err == nil {
		return own.Message
	}
	return own.Message + "\n  cause: " + own.Err.Error()
}

// load reads the configuration or says everything that is wrong with it.
func (s *surroundings) load() (*config.Config, error) {
	return config.Load(s.config, s.lookup)
}

// logger writes to the errors stream, as the configuration says.
func (s *surroundings) logger(c config.Log) (*slog.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.Level)); err != nil {
		return nil, err
	}
	return telemetry.NewLogger(s.errors, c.Format, level), nil
}

// openStore opens the configured database for looking, also beside a running server.
func (s *surroundings) openStore() (*store.Store, error) {
	c, err := s.load()
	if err != nil {
		return nil, err
	}
	return store.OpenReading(s.ctx, c.Database)
}

// withStore runs a command that only looks.
func (s *surroundings) withStore(look func(*store.Store) error) error {
	db, err := s.openStore()
	if err != nil {
		return err
	}
	return errors.Join(look(db), db.Close())
}

// printJSON writes a value for programs.
func (s *surroundings) printJSON(v any) error {
	e := json.NewEncoder(s.out)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(v)
}
