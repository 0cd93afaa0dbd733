// Command makegood makes every paid order good. See README.md.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/makegood/makegood/internal/cli"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // the first signal stops in good order, the second at once
	os.Exit(cli.Main(ctx, os.Args[1:], os.Stdout, os.Stderr, os.LookupEnv))
}
