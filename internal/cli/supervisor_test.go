package cli

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// A supervisor hears each word as one datagram, over a path or an abstract name.
func TestSupervisor(t *testing.T) {
	t.Parallel()
	folder, err := os.MkdirTemp("", "mg")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(folder)
	for _, tt := range []struct{ name, path string }{
		{"path", filepath.Join(folder, "notify")},
		{"abstract", fmt.Sprintf("@makegood-test-%d", os.Getpid())},
	} {
		t.Run(tt.name, func(t *testing.T) {
			listener, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: tt.path, Net: "unixgram"})
			if err != nil {
				t.Fatal(err)
			}
			defer listener.Close()
			say := supervisor(func(name string) (string, bool) { return tt.path, name == "NOTIFY_SOCKET" })
			for _, word := range []string{"READY=1", "WATCHDOG=1", "STOPPING=1"} {
				say(word)
				if err := listener.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
					t.Fatal(err)
				}
				heard := make([]byte, 100)
				n, err := listener.Read(heard)
				if err != nil || string(heard[:n]) != word {
					t.Errorf("heard %q, %v, want %q", heard[:n], err, word)
				}
			}
		})
	}
}

// Without a supervisor nothing is said; with one that is gone, or that reads nothing any more, nothing hangs.
func TestSupervisorAway(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"", "absent"} {
		if supervisor(func(string) (string, bool) { return "", path == "" }) != nil {
			t.Errorf("there is a supervisor at %q, want none", path)
		}
	}
	folder, err := os.MkdirTemp("", "mg")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(folder)
	path := filepath.Join(folder, "notify")
	say := supervisor(func(string) (string, bool) { return path, true })
	say("READY=1") // nobody listens
	deaf, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer deaf.Close()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for range 15 { // Linux keeps ten words for a socket that is not read (net.unix.max_dgram_qlen) on many machines, 512 at most on others
			say("WATCHDOG=1")
		}
	}()
	select {
	case <-ended:
	case <-time.After(60 * time.Second):
		t.Error("a supervisor that reads nothing hangs the program")
	}
}
