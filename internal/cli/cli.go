// Package cli is the command line: one file a command, one table of them.
package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"

	"github.com/alecthomas/kong"

	"github.com/makegood/makegood/internal/config"
	"github.com/makegood/makegood/internal/store"
	"github.com/makegood/makegood/internal/telemetry"
)

// defaultConfig is the configuration file when none is named.
const defaultConfig = "makegood.yaml"

// commands is the table of commands.
type commands struct {
	Config string `short:"c" default:"${config}" help:"The configuration file, ${config} by default ($$MAKEGOOD_CONFIG)." placeholder:"FILE" env:"MAKEGOOD_CONFIG"`

	Serve    serveCommand     `cmd:"" help:"Run the server until it is told to stop."`
	Demo     demoCommand      `cmd:"" help:"Try everything on this machine: a simulated provider and mail service, and one order. Needs no configuration and leaves nothing behind."`
	Init     initCommand      `cmd:"" help:"Write a commented configuration to start from."`
	ConfigC  configCommands   `cmd:"" name:"config" help:"Check the configuration, and preview its retries."`
	Orders   ordersCommands   `cmd:"" help:"Look at orders, and make them good."`
	Events   eventsCommands   `cmd:"" help:"Look at what the payment providers told, and fetch what they could not deliver."`
	Webhooks webhooksCommands `cmd:"" help:"Dead letters: look at what was given up, and have it done again."`
	Secrets  secretsCommands  `cmd:"" help:"Check the secrets, compare places, and keep the source of truth, without ever showing a value."`
	Licenses licenseCommands  `cmd:"" help:"Look at licences."`

	Watch     watchCommand      `cmd:"" help:"Watch a server from another machine, and tell people, until it is told to stop."`
	Incidents incidentsCommands `cmd:"" help:"Look at incidents, answer them, and silence them."`
	Policy    policyCommands    `cmd:"" help:"See who would be told what, and when."`
	Channels  channelsCommands  `cmd:"" help:"Test the ways to reach people."`
	Runbook   runbookCommand    `cmd:"" help:"Print what to do about a check."`
	Smoke     smokeCommand      `cmd:"" help:"Walk through a deployment as a visitor would: pages, data, the buy button."`
	Beat      beatCommand       `cmd:"" help:"Report to the watcher that a job has run."`
	Drill     drillCommands     `cmd:"" help:"Break something on purpose, and see that it is found, told and mended."`
	Heal      healCommands      `cmd:"" help:"See what would be mended, have it mended, and put the brake on."`
	Restore   restoreCommand    `cmd:"" name:"restore-env" help:"Put back what a place lacks, start it again, and verify it from outside. For people at night and runners of CI."`
	Simulate  simulateCommand   `cmd:"" hidden:"" help:"Run the simulated services on loopback, for drills."`

	Version versionCommand `cmd:"" help:"Print the version."`
}

// surroundings are what every command gets.
type surroundings struct {
	ctx    context.Context
	config string
	out    io.Writer
	errors io.Writer
	in     io.Reader // standard input
	lookup func(string) (string, bool)
}

// Exit codes of Main.
const (
	exitDone   = 0
	exitFailed = 1 // the reason is on the stream for errors
	exitUsage  = 2 // the command line itself is wrong; restore-env has codes of its own
)

// Main runs one command and returns the exit code: 0 done, 1 not done (the reason is on errs), 2 the command line itself
// is wrong; restore-env has codes of its own.
func Main(ctx context.Context, args []string, out, errs io.Writer, lookup func(string) (string, bool)) int {
	if len(args) == 0 { // help, but not success: a script that lost its arguments should notice
		Main(ctx, []string{"--help"}, errs, errs, lookup)
		return exitUsage
	}
	var c commands
	exit := -1
	parser, err := kong.New(&c,
		kong.Name("makegood"),
		kong.Description("Makes every paid order good: keeps what the payment provider says, gives what was paid for exactly once, and shows what happened."),
		kong.Vars{"config": defaultConfig},
		kong.Writers(out, errs),
		kong.Exit(func(code int) { exit = code }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
		kong.ValueFormatter(helpOf),
	)
	if err != nil {
		panic("cli: the table of commands is broken: " + err.Error())
	}
	command, err := parser.Parse(args)
	if exit >= 0 { // --help was printed
		return exit
	}
	if err != nil {
		fmt.Fprintf(errs, "makegood: %v\n%s\n", err, whereHelpIs(err))
		return usageCode(err)
	}
	s := &surroundings{ctx, c.Config, out, errs, os.Stdin, lookup}
	if err := command.Run(s); err != nil {
		fmt.Fprintln(errs, "makegood: "+s.plain(err))
		var own exitError
		if errors.As(err, &own) {
			return own.code
		}
		return exitFailed
	}
	return exitDone
}

// helpOf is the help of a flag without its environment variable, which the help's own words name where it matters.
func helpOf(v *kong.Value) string { return v.Help }

// whereHelpIs names the help of the command that was meant, as far as it was understood.
func whereHelpIs(err error) string {
	path := "makegood"
	var parse *kong.ParseError
	if errors.As(err, &parse) {
		for _, step := range parse.Context.Path {
			if step.Command != nil {
				path += " " + step.Command.Name
			}
		}
	}
	return fmt.Sprintf("Run \"%s --help\" to see what there is.", path)
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

// looking are the flags of every command that only looks.
type looking struct {
	Database string `help:"Look into this database (sqlite:PATH or postgres://…) instead of the configured one. No configuration and no secret is needed then ($$MAKEGOOD_DATABASE)." placeholder:"URL" env:"MAKEGOOD_DATABASE"`
	JSON     bool   `help:"Print JSON, for programs. Times are UTC."`
}

// look runs what only looks, also beside a running server.
func (l looking) look(s *surroundings, see func(*store.Store) error) error {
	url := l.Database
	if url == "" {
		c, err := s.load()
		if err != nil {
			return lookWithout{err}
		}
		url = c.Database
	}
	db, err := store.OpenReading(s.ctx, url)
	if err != nil {
		return err
	}
	return errors.Join(see(db), db.Close())
}

// listing are the flags of every listing.
type listing struct {
	Limit int `help:"Show at most so many, the newest." default:"50"`
}

// listMax is the longest listing that the store gives.
const listMax = 1000

// Validate refuses a limit that the store would not keep to.
func (l listing) Validate() error {
	if l.Limit < 1 || l.Limit > listMax {
		return fmt.Errorf("--limit must be 1 to %d", listMax)
	}
	return nil
}

// anyState is the value of a filter that lets everything pass.
const anyState = "any"

func filterOf(state string) string {
	if state == anyState {
		return ""
	}
	return state
}

// printJSON writes a value for programs.
func (s *surroundings) printJSON(v any) error {
	e := json.NewEncoder(s.out)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(v)
}
