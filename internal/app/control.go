package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"syscall"
	"time"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/api"
	"github.com/makegood/makegood/internal/config"
	"github.com/makegood/makegood/internal/queue"
	"github.com/makegood/makegood/internal/watch"
)

// openControl serves the admin addresses on a unix socket that only the user of this process can open. Through it the
// command line acts on a running server or watcher. A socket that a killed process left behind is taken over. remedy is what a
// person can do about a path that will not do, as the end of a sentence.
func (a *App) openControl(path, remedy string, routes ...map[string]api.Handler) error {
	if path == "" {
		return nil
	}
	if len(path) > socketPathMax {
		a.log.Warn("the control socket's path is too long, so the command line cannot act while this runs; "+remedy, "path", path)
		return nil
	}
	listener, err := listenPrivately(path)
	if err != nil {
		return makegood.Wrap(err, makegood.Unavailable, fmt.Sprintf("The control socket %s cannot be opened; %s.", path, remedy))
	}
	mux := http.NewServeMux()
	for _, some := range routes {
		for pattern, handler := range some {
			mux.Handle(pattern, api.Errors(a.log.With("component", "control"), handler))
		}
	}
	server := a.newServer(mux)
	server.WriteTimeout = controlWithin
	go func() {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			a.log.Error("control socket is closed", "err", err)
		}
	}()
	a.onClose("control", server.Shutdown)
	return nil
}

const (
	serverSocketRemedy  = "set control.socket to another path"
	watcherSocketRemedy = "it stands beside the database, so give that a shorter or another path"

	// socketPathMax is the longest address of a unix socket on every system (macOS: 104 bytes with the final zero).
	socketPathMax = 103
	// controlWithin bounds an answer: fetching a month of events is the longest work.
	controlWithin = 10 * time.Minute
)

// listenPrivately opens a socket with the rights of its owner alone from the first moment on.
func listenPrivately(path string) (net.Listener, error) {
	before := syscall.Umask(0o177)
	defer syscall.Umask(before)
	listener, err := net.Listen("unix", path)
	if err == nil || !errors.Is(err, syscall.EADDRINUSE) {
		return listener, err
	}
	if info, err := os.Lstat(path); err != nil || info.Mode()&fs.ModeSocket == 0 {
		return nil, errors.New("something that is not a socket is there")
	}
	if c, err := net.DialTimeout("unix", path, time.Second); err == nil {
		return nil, errors.Join(c.Close(), errors.New("another server listens there"))
	} else if !errors.Is(err, syscall.ECONNREFUSED) { // only that says that nobody listens; too busy, or another user's, is somebody
		return nil, fmt.Errorf("another server may listen there: %w", err)
	}
	if err := os.Remove(path); err != nil {
		return nil, err
	}
	return net.Listen("unix", path)
}

// OpenDesk serves the admin addresses on a socket without a server: for the command line, when none runs. What it puts
// into the queue runs when the next server starts, or on another node at once. Close it when done.
func OpenDesk(ctx context.Context, c *config.Config, socket string, o Options) (_ *App, err error) {
	o.fill()
	a := newApp(c.Node, &o)
	defer func() {
		if err != nil {
			err = errors.Join(err, a.tearDown(context.WithoutCancel(ctx)))
		}
	}()
	h, err := a.furnish(ctx, c, o, a.mayAct)
	if err != nil {
		return nil, err
	}
	// Nothing runs here that could tell or look; what a person does to an incident is written down all the same.
	if a.alarm, err = newAlarm(ctx, alarmOptions{store: a.Store, telling: c.Telling, speaking: serverSpeaking(c, o.Now), overrides: c.Checks,
		random: o.Random, log: o.Log, metrics: a.Metrics}); err != nil {
		return nil, err
	}
	admin := &api.Admin{Desk: h.desk(o), Order: a.Store.Order}
	return a, a.openControl(socket, serverSocketRemedy, admin.Routes(), a.incidents(c, nil).AdminRoutes())
}

// Close tears down what OpenDesk built.
func (a *App) Close(ctx context.Context) error { return a.tearDown(ctx) }

// mayAct lets a desk act on a database that servers share only if its schema is theirs: a command must not migrate what
// older servers are running on. A file that nobody serves may be migrated, as the next start would.
func (a *App) mayAct(ctx context.Context, db queue.Database) error {
	if db.Postgres == nil {
		return a.migrate(ctx, db)
	}
	if ok, err := a.Store.IsMigrated(ctx); err != nil || !ok {
		return &makegood.Error{Code: makegood.Conflict, Err: err,
			Message: "The database is not at the version of this program. Start a server of this version first."}
	}
	return a.Store.BeRole(ctx, watch.RoleServer)
}
