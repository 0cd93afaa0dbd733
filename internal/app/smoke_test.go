package app_test

import (
	"net"
	"path/filepath"
	"strings"
	"testing"

	"github.com/makegood/makegood/internal/app"
	"github.com/makegood/makegood/internal/config"
	"github.com/makegood/makegood/internal/smoke"
)

// A walk made by the command line that failed is told to the people of the watcher's file, and one that passes afterwards
// tells them that it is over; between the two nothing runs.
func TestTellSmoke(t *testing.T) {
	t.Parallel()
	channels, url := newChannels(t)
	c := &config.Watch{Name: "tower", Database: "sqlite:" + filepath.Join(t.TempDir(), "watch.db"), Telling: phone(url),
		Outbound: config.Outbound{AllowPrivate: true}}
	tell := func(step smoke.Step) {
		t.Helper()
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		w, err := app.NewWatcher(t.Context(), c, app.WatchPath{}, app.Options{Listener: listener, StopWithin: patience})
		if err != nil {
			t.Fatal(err)
		}
		if err := w.TellSmoke(t.Context(), smoke.Result{Steps: []smoke.Step{step}}); err != nil {
			t.Fatal(err)
		}
	}
	tell(smoke.Step{Name: "GET /", Trouble: "[STATUS] == 200 (500)"})
	tell(smoke.Step{Name: "GET /", OK: true})
	var titles []string
	for _, m := range channels.Ntfy.Messages() {
		titles = append(titles, m.Title)
	}
	all := strings.Join(titles, "; ")
	if !strings.Contains(all, "P1 The test after a deploy failed") || !strings.Contains(all, "FIXED: The test after a deploy failed") {
		t.Errorf("people were told %q, want that it failed and that it is over", all)
	}
}
