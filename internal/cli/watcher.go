package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/app"
	"github.com/makegood/makegood/internal/config"
	"github.com/makegood/makegood/internal/store"
)

// deed is what a command is about to do with a watcher.
type deed int

const (
	looks  deed = iota // changes nothing, and makes no database
	writes             // changes the database or a place
	mends              // looks and tells besides
)

const (
	// startingWithin is how long is waited for a watcher that has its database already and answers not yet, or for another
	// command that has it for a moment.
	startingWithin = 5 * time.Second
	startingEvery  = 200 * time.Millisecond
)

// onWatcher asks the watcher with this file: the one that runs here, through its control socket, so that one ledger holds; or,
// when none runs here, one of our own that ends with the command.
func (s *surroundings) onWatcher(file string, what deed, do func(*control, *config.Watch) error) error {
	c, err := s.loadWatch(file)
	if err != nil {
		return err
	}
	socket := app.ControlSocket(c.Database)
	for begun := time.Now(); ; {
		conn, err := net.DialTimeout("unix", socket, time.Second)
		if err == nil {
			return errors.Join(conn.Close(), do(newControl(nil, socket, true), c))
		}
		if isAnothers(err) {
			return makegood.Wrap(err, makegood.Forbidden, fmt.Sprintf("A watcher with this configuration runs here as another user: %s may not be opened. Ask as that user, with sudo -u.", socket))
		}
		own, err := s.openOwnWatcher(*c, what)
		if err == nil {
			return own.attend(s, what, do)
		}
		if makegood.CodeOf(err) != makegood.Conflict {
			return err
		}
		if time.Since(begun) >= startingWithin {
			return makegood.Wrap(err, makegood.Conflict, fmt.Sprintf("A watcher with this file seems to run here, and does not answer at %s. Ask as the user who runs it.", socket))
		}
		select {
		case <-s.ctx.Done():
			return s.ctx.Err()
		case <-time.After(startingEvery):
		}
	}
}

// ownWatcher is a watcher that ends with the command.
type ownWatcher struct {
	*app.Watcher
	config *config.Watch
	socket string
	folder string
}

// openOwnWatcher builds one. That another process has the database is makegood.Conflict. Only one that mends answers where other
// commands ask: what the others could not do, nobody shall ask of them.
func (s *surroundings) openOwnWatcher(c config.Watch, what deed) (_ *ownWatcher, err error) {
	own := &ownWatcher{config: &c}
	if own.folder, err = os.MkdirTemp("", "makegood"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(own.folder))
		}
	}()
	if what == looks && !s.isThere(c.Database) { // looking makes no database; a mistyped path stays one
		c.Database = "sqlite:" + filepath.Join(own.folder, "watch.db")
	}
	own.socket = app.ControlSocket(c.Database)
	if what != mends || !app.IsSocketPath(own.socket) {
		own.socket = filepath.Join(own.folder, "control")
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	log, err := s.logger(config.Log{Level: "error", Format: c.Log.Format}) // what people need is in the answers
	if err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	own.Watcher, err = app.NewWatcher(s.ctx, &c, app.WatchPath{}, app.Options{Log: log, Listener: listener, Control: own.socket, Lookup: s.lookup})
	if err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	return own, nil
}

// attend does it, and closes the watcher.
func (o *ownWatcher) attend(s *surroundings, what deed, do func(*control, *config.Watch) error) error {
	untold, err := o.Attend(s.ctx, what == mends, func() error { return do(newControl(nil, o.socket, false), o.config) })
	if untold != nil {
		fmt.Fprintf(s.errors, "makegood: not everybody was told: %s\n", s.plain(untold))
	}
	return errors.Join(err, os.RemoveAll(o.folder))
}

// isAnothers reports whether a socket is there and may not be opened.
func isAnothers(err error) bool {
	return errors.Is(err, syscall.EACCES) || errors.Is(err, syscall.EPERM)
}

// isThere reports whether there is a database to look into.
func (s *surroundings) isThere(url string) bool {
	_, err := os.Stat(strings.TrimPrefix(url, "sqlite:"))
	return err == nil
}

// exitError is an error with an exit code of its own.
type exitError struct {
	error
	code int
}

// Unwrap returns the error.
func (e exitError) Unwrap() error { return e.error }

// refusedHere is what was refused, for people.
func refusedHere(reason makegood.HealReason, sentence string) error {
	return makegood.Errorf(makegood.Conflict, "Not done (%s): %s", reason, oneLine(sentence))
}

// attemptsIn reads attempts and the brake beside a watcher that cannot be asked.
func (s *surroundings) attemptsIn(ctx context.Context, url string, see func(*store.Store) error) error {
	db, err := store.OpenReading(ctx, url)
	if err != nil {
		return err
	}
	return errors.Join(see(db), db.Close())
}
