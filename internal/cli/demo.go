package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/demo"
	"github.com/makegood/makegood/internal/simulate"
	"github.com/makegood/makegood/internal/telemetry"
)

type demoCommand struct {
	Once     bool          `help:"Buy once, print the time line and end. The exit code is 0 only if the order was fulfilled and mailed."`
	MailDown bool          `help:"Let the simulated mail service refuse everything for good, to see what that looks like."`
	Listen   string        `help:"Where the server listens, unless --once is given." default:"127.0.0.1:8080" placeholder:"HOST:PORT"`
	Timeout  time.Duration `help:"How long to wait for the order to be made good." default:"20s"`
	Verbose  bool          `help:"Print the server's log as well."`
}

// Run starts the world, buys once, shows what happened, and keeps serving unless told otherwise.
func (c demoCommand) Run(s *surroundings) (err error) {
	dir, err := os.MkdirTemp("", "makegood-demo-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	log := slog.New(slog.DiscardHandler)
	if c.Verbose {
		log = telemetry.NewLogger(s.errors, "text", slog.LevelInfo)
	}
	world, err := demo.Start(s.ctx, c.options(dir, log))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, world.Stop()) }()
	if c.MailDown {
		world.Resend.SetFaults(simulate.ResendFaults{FailSend: func(int, *http.Request) (int, string) {
			return http.StatusUnprocessableEntity, "invalid_parameter"
		}})
	}
	if err := c.buy(s, world); err != nil || c.Once {
		return err
	}
	fmt.Fprintf(s.out, `
Everything keeps running; stop it with Ctrl-C. Look around:
  the payment provider  %[2]s/            sessions, payments, deliveries
  the inbox             %[3]s/            the mails that were sent
  the server's health   %[1]s/api/health
Buy once more as a customer does: ask the server for a payment page and open the url that it answers.
  curl -d '{"product":"az-104"}' %[1]s/api/checkout
`, world.URL, world.StripeURL, world.ResendURL)
	<-s.ctx.Done()
	return nil
}

func (c demoCommand) options(dir string, log *slog.Logger) demo.Options {
	o := demo.Options{Database: "sqlite:" + filepath.Join(dir, "makegood.db"), Log: log, Listen: c.Listen,
		Stripe: simulate.StripeOptions{RedirectWait: 3 * time.Second}}
	if c.Once {
		o.Listen = "" // it must not matter what else runs on this machine
	}
	return o
}

// buy is the first paid order.
func (c demoCommand) buy(s *surroundings, world *demo.World) error {
	ctx, cancel := context.WithTimeout(s.ctx, c.Timeout)
	defer cancel()
	fmt.Fprintln(s.out, "A customer buys az-900 at the simulated provider …")
	session, err := world.Buy(ctx, "az-900", 1, "ann@example.com")
	if err != nil {
		return err
	}
	o, err := world.AwaitOrder(ctx, session)
	if err != nil {
		return err
	}
	line, err := timeline(ctx, world.Store(), o)
	if err != nil {
		return err
	}
	fmt.Fprintln(s.out)
	printOrder(s.out, o)
	printTimeline(s.out, line)
	if o.Fulfillment != makegood.Fulfilled {
		return troubleOf(o)
	}
	if inbox := world.Resend.Inbox("ann@example.com"); len(inbox) != 1 {
		return fmt.Errorf("the order was made good, but the customer has %s instead of 1", count(len(inbox), "mail"))
	}
	if len(line) > 1 {
		fmt.Fprintf(s.out, "\nFrom the event to the accepted mail: %s\n", short(line[len(line)-1].At.Sub(line[0].At)))
	}
	return nil
}
