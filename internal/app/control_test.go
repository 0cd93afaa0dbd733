package app_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/config"
	"github.com/makegood/makegood/internal/demo"
	"github.com/makegood/makegood/internal/store/storetest"
)

// The tests of this file do not run beside others: opening a control socket changes, for a moment, with which rights the
// whole process makes files.

// shortFolder is a folder whose path leaves room for that of a socket.
func shortFolder(t *testing.T) string {
	t.Helper()
	folder, err := os.MkdirTemp("", "mg")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(folder) })
	return folder
}

func withSocket(path string) func(*demo.Options) {
	return configured(func(c *config.Config) { c.Control.Socket = path })
}

// control asks through a socket.
func control(t *testing.T, socket, method, path, body string) answer {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}}}
	r, err := http.NewRequestWithContext(t.Context(), method, "http://control"+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Makegood-Actor", "ann@cli")
	response, err := client.Do(r)
	if err != nil {
		t.Fatalf("ask through the socket: %v", err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{response.StatusCode, response.Header, string(text)}
}

func answersThere(t *testing.T, socket string) bool {
	t.Helper()
	a := control(t, socket, "POST", "/api/admin/orders/find", `{"quoted":"nobody@example.com"}`)
	return a.status == http.StatusOK && strings.HasPrefix(a.body, `{"orders":[]`)
}

// refuses starts a server that must not start, and returns why.
func refuses(t *testing.T, socket string) error {
	t.Helper()
	o, _ := options(storetest.SQLite(t), withSocket(socket))
	w, err := demo.Start(t.Context(), o)
	if err == nil {
		_ = w.Stop()
		t.Fatal("a server started, want it refused")
	}
	if !errors.Is(err, makegood.Unavailable) || !strings.Contains(err.Error(), socket) || !strings.Contains(err.Error(), "control.socket") {
		t.Errorf("start = %v, want the path in it, and what to set", err)
	}
	return err
}

func TestControlSocketIsPrivate(t *testing.T) {
	socket := filepath.Join(shortFolder(t), "control")
	before := syscall.Umask(0) // the most careless of surroundings
	defer syscall.Umask(before)
	w := startWorld(t, storetest.SQLite(t), withSocket(socket))
	info, err := os.Lstat(socket)
	if err != nil || info.Mode() != os.ModeSocket|0o600 {
		t.Errorf("socket = %v, %v, want one with the rights 0600", info.Mode(), err)
	}
	if after := syscall.Umask(0); after != 0 {
		t.Errorf("the process makes files with the mask %o afterwards, want it put back", after)
	}
	if !answersThere(t, socket) {
		t.Error("the socket does not answer")
	}
	if a := control(t, socket, "GET", "/api/verify?session_id=x", ""); a.status != http.StatusNotFound {
		t.Errorf("a customer's address through the socket = %d, want 404: only the admin's are there", a.status)
	}
	w.must("stop the server", w.StopServer())
	if _, err := os.Lstat(socket); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket after the server has stopped: %v, want it gone", err)
	}
}

// A socket that a killed process left behind is taken over.
func TestControlSocketLeftBehind(t *testing.T) {
	socket := filepath.Join(shortFolder(t), "control")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: socket, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
	if err := os.Chmod(socket, 0o777); err != nil {
		t.Fatal(err)
	}
	startWorld(t, storetest.SQLite(t), withSocket(socket))
	info, err := os.Lstat(socket)
	if err != nil || info.Mode() != os.ModeSocket|0o600 || !answersThere(t, socket) {
		t.Errorf("socket = %v, %v, want a new one, which answers", info.Mode(), err)
	}
}

// Another server has it: it keeps it, and the second one says so.
func TestControlSocketTaken(t *testing.T) {
	socket := filepath.Join(shortFolder(t), "control")
	startWorld(t, storetest.SQLite(t), withSocket(socket))
	if err := refuses(t, socket); !strings.Contains(err.Error(), "another server listens there") {
		t.Errorf("a second server = %v, want it told that there is a first", err)
	}
	if !answersThere(t, socket) {
		t.Error("the first server's socket does not answer any more")
	}
}

// A server that is too busy to take one more connection is a server all the same.
func TestControlSocketBusy(t *testing.T) {
	socket := filepath.Join(shortFolder(t), "control")
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(fd)
	if err := errors.Join(syscall.Bind(fd, &syscall.SockaddrUnix{Name: socket}), syscall.Listen(fd, 0)); err != nil {
		t.Fatal(err)
	}
	for range 10 { // nobody accepts, so that the queue is full after one or two
		c, err := net.Dial("unix", socket)
		if err != nil {
			break
		}
		defer c.Close()
	}
	before, err := os.Lstat(socket)
	if err != nil {
		t.Fatal(err)
	}
	_ = refuses(t, socket)
	if after, err := os.Lstat(socket); err != nil || !os.SameFile(before, after) {
		t.Errorf("the busy server's socket = %v, want it left alone", err)
	}
}

// What is no socket is somebody's, and stays.
func TestControlSocketIsSomethingElse(t *testing.T) {
	for name, put := range map[string]func(path string) error{
		"file":   func(path string) error { return os.WriteFile(path, []byte("precious"), 0o600) },
		"empty":  func(path string) error { return os.WriteFile(path, nil, 0o600) },
		"folder": func(path string) error { return os.Mkdir(path, 0o700) },
		"link":   func(path string) error { return os.Symlink(filepath.Join(filepath.Dir(path), "nowhere"), path) },
	} {
		t.Run(name, func(t *testing.T) {
			socket := filepath.Join(shortFolder(t), "control")
			if err := put(socket); err != nil {
				t.Fatal(err)
			}
			before, err := os.Lstat(socket)
			if err != nil {
				t.Fatal(err)
			}
			if err := refuses(t, socket); !strings.Contains(err.Error(), "not a socket") {
				t.Errorf("start = %v, want it told what is there", err)
			}
			if after, err := os.Lstat(socket); err != nil || !os.SameFile(before, after) || after.Size() != before.Size() {
				t.Errorf("what was there = %v, want it untouched", err)
			}
		})
	}
	if err := refuses(t, filepath.Join(shortFolder(t), "nowhere", "control")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("start in a folder that is not there = %v", err)
	}
}

// A path that no system takes is no reason not to sell: the server starts, and says what cannot be done.
func TestControlSocketPathTooLong(t *testing.T) {
	folder := shortFolder(t)
	path := func(length int) string { return filepath.Join(folder, strings.Repeat("c", length-len(folder)-1)) }
	w := startWorld(t, storetest.SQLite(t), withSocket(path(104)))
	if !strings.Contains(w.logs.String(), "control.socket") {
		t.Error("the log does not say that the command line cannot act")
	}
	if left, err := os.ReadDir(folder); err != nil || len(left) != 0 {
		t.Errorf("in the folder is %v, %v, want nothing", left, err)
	}
	startWorld(t, storetest.SQLite(t), withSocket(path(103)))
	if !answersThere(t, path(103)) {
		t.Error("the longest path does not answer")
	}
}
