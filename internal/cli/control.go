package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/user"
	"path/filepath"
	"time"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/api"
	"github.com/makegood/makegood/internal/app"
	"github.com/makegood/makegood/internal/config"
	"github.com/makegood/makegood/internal/store"
)

// control is how the command line acts: through the socket of the running server, or, when none runs here, through a desk
// of its own on the same database.
type control struct {
	http   *http.Client
	actor  string
	server bool // whether a server runs here, so that jobs begin at once
	config *config.Config
}

// act runs what changes things.
func (s *surroundings) act(do func(*control) error) error {
	c, err := s.load()
	if err != nil {
		return err
	}
	if conn, err := net.DialTimeout("unix", c.Control.Socket, time.Second); c.Control.Socket != "" && err == nil {
		return errors.Join(conn.Close(), do(newControl(c, c.Control.Socket, true)))
	}
	folder, err := os.MkdirTemp("", "makegood")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	socket := filepath.Join(folder, "control")
	if err := s.mustExist(c.Database); err != nil {
		return err
	}
	// What goes wrong is told by the answer; a log beside it would say it twice.
	desk, err := app.OpenDesk(s.ctx, c, socket, app.Options{})
	var refused *makegood.Error
	if c.Control.Socket != "" && errors.As(err, &refused) && (refused.Code == makegood.Conflict || refused.Code == makegood.Unavailable) {
		return &makegood.Error{Code: refused.Code, Err: refused.Err, Message: fmt.Sprintf("%s A server that runs on this database is acted on "+
			"through its control socket, which should be %s, as the user who runs it.", refused.Message, c.Control.Socket)}
	}
	if err != nil {
		return err
	}
	err = do(newControl(c, socket, false))
	return errors.Join(err, desk.Close(context.WithoutCancel(s.ctx)))
}

// actOnWatcher acts on a watcher that runs. Without one there is nobody who could be spared or told.
func (s *surroundings) actOnWatcher(file string, do func(*control) error) error {
	c, err := s.loadWatch(file)
	if err != nil {
		return err
	}
	socket := app.ControlSocket(c.Database)
	conn, err := net.DialTimeout("unix", socket, time.Second)
	if err != nil {
		return makegood.Wrap(err, makegood.Unavailable, fmt.Sprintf("No watcher with this configuration runs here, as the user who asks: %s is not answered. Start it: makegood watch", socket))
	}
	return errors.Join(conn.Close(), do(newControl(nil, socket, true)))
}

// mustExist refuses to act on a database that is not there: a mistyped path would be made, and look empty.
func (s *surroundings) mustExist(url string) error {
	db, err := store.OpenReading(s.ctx, url)
	if err != nil {
		return err
	}
	return db.Close()
}

func newControl(c *config.Config, socket string, server bool) *control {
	name := "cli"
	if u, err := user.Current(); err == nil && u.Username != "" {
		name = u.Username + "@cli"
	}
	return &control{actor: name, server: server, config: c, http: &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", socket)
		}}}}
}

// ask makes a request of the desk and reads its answer into a value. What the desk refuses is an error with its sentence.
func (c *control) ask(ctx context.Context, method, path string, body, into any) error {
	var content bytes.Buffer
	if body != nil {
		if err := json.NewEncoder(&content).Encode(body); err != nil {
			return err
		}
	}
	target := url.URL{Scheme: "http", Host: "control", Path: path}
	req, err := http.NewRequestWithContext(ctx, method, target.String(), &content)
	if err != nil {
		return err
	}
	req.Header.Set(api.ActorHeader, c.actor)
	resp, err := c.http.Do(req)
	if err != nil {
		return fmt.Errorf("ask the server: %w", err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, answerMax))
	if err != nil {
		return fmt.Errorf("read the server's answer: %w", err)
	}
	if resp.StatusCode >= 300 {
		var refused struct {
			Error struct {
				Code    makegood.Code `json:"code"`
				Message string        `json:"message"`
			} `json:"error"`
		}
		if err := json.Unmarshal(answer, &refused); err != nil || refused.Error.Message == "" {
			return fmt.Errorf("the server answered with status %d", resp.StatusCode)
		}
		return makegood.Errorf(refused.Error.Code, "%s", refused.Error.Message)
	}
	return json.Unmarshal(answer, into)
}

// answerMax bounds an answer of the desk, in bytes: a thousand orders are less than one mebibyte.
const answerMax = 16 << 20

// later says when jobs begin that no server here runs.
func (c *control) later(out io.Writer) {
	if !c.server {
		fmt.Fprintln(out, "No server runs here, so this begins when one is started, or at once on another node of the same database.")
	}
}

// laterTold says when people hear of it that no server here tells.
func (c *control) laterTold(out io.Writer) {
	if !c.server {
		fmt.Fprintln(out, "No server runs here, so people hear of it when one is started, or at once by another node of the same database.")
	}
}
