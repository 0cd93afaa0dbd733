package app_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/app"
	"github.com/makegood/makegood/internal/config"
	"github.com/makegood/makegood/internal/demo"
	"github.com/makegood/makegood/internal/secret"
	"github.com/makegood/makegood/internal/simulate"
	"github.com/makegood/makegood/internal/store"
	"github.com/makegood/makegood/internal/store/storetest"
)

// Somebody has paid and gets nothing: the server itself finds it, its people are told, and answer over its own address.
func TestUnfulfilledOrderIsTold(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, url string) {
		channels, channelsURL := newChannels(t)
		o := startOutage(t, url, configured(func(c *config.Config) {
			c.Telling = phone(channelsURL)
			c.Checks = []config.CheckOverride{{Code: "payment-processing-failure", Every: 200 * time.Millisecond}}
		}))
		o.mails.set(down)
		session := o.buy("az-900", 1, address("waiting"))
		o.eventually("a mail that failed", func() bool {
			order, err := o.Store().OrderBySession(t.Context(), "stripe", session)
			return err == nil && order.Fulfillment == makegood.InProgress
		})
		o.clock.pass(10 * time.Minute)
		i := incidentIn(t, o.Store(), "payment-processing-failure", makegood.IncidentOpen)
		if i.Priority != makegood.P0 {
			t.Errorf("priority = %s, want P0", i.Priority)
		}
		var m simulate.NtfyMessage
		o.eventually("a message", func() bool {
			for _, m = range channels.Ntfy.Messages() {
				if strings.HasPrefix(m.Title, "P0 ") && strings.Contains(m.Message, i.ID) {
					return true
				}
			}
			return false
		})
		path := link(t, m, o.URL)
		if a := o.ask("GET", path, ""); a.status != http.StatusOK || !strings.Contains(a.body, i.ID) {
			t.Errorf("the page of the incident = %d %s", a.status, a.body)
		}
		if a := o.ask("POST", path, ""); a.status != http.StatusOK {
			t.Errorf("acknowledging = %d %s", a.status, a.body)
		}
		if i := incidentIn(t, o.Store(), "payment-processing-failure", makegood.IncidentAcknowledged); i.AckedBy != "link:phone" {
			t.Errorf("acknowledged by %q", i.AckedBy)
		}
		if a := o.ask("POST", path, ""); a.status != http.StatusConflict {
			t.Errorf("acknowledging again = %d", a.status)
		}
		if strings.Contains(o.logs.String(), path) {
			t.Error("the log has a link that acknowledges")
		}
		o.mails.Store(nil)
		_, err := o.Store().HurryFailedJobs(t.Context(), "", makegood.EffectEmail)
		o.must("hurry", err)
		o.settled(session)
		incidentIn(t, o.Store(), "payment-processing-failure", makegood.IncidentResolved)
		o.eventually("a message that it is over", func() bool {
			for _, m := range channels.Ntfy.Messages() {
				if strings.HasPrefix(m.Title, "FIXED") {
					return true
				}
			}
			return false
		})
	})
}

// A server whose watcher falls silent says so by its health, and to its people.
func TestServerMissesItsWatcher(t *testing.T) {
	t.Parallel()
	channels, channelsURL := newChannels(t)
	c := &clock{}
	w := startWorld(t, storetest.SQLite(t), withWatcher(channelsURL), func(o *demo.Options) { o.Now = c.now })
	incidentless := func() bool {
		open, err := w.Store().OpenIncidents(t.Context())
		return err == nil && len(open) == 0
	}
	w.eventually("a server that is well", func() bool {
		return strings.Contains(w.ask("GET", "/api/health", "").body, `"watcher":{"status":"healthy"`) && incidentless()
	})
	c.pass(90 * time.Second) // a longer leap would look as if we had been stopped ourselves
	w.eventually("degraded health", func() bool {
		return strings.Contains(w.ask("GET", "/api/health", "").body, `"watcher":{"status":"degraded"`)
	})
	messageAt(t, channels, "phone", "P1 The watcher is silent")
}

// What operators do to incidents, with the control token, and by a desk without a server: what they do is written down, and
// nothing runs beside it.
func TestOperatorsOnIncidents(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, url string) {
		_, channelsURL := newChannels(t)
		const token = "a-token-of-the-control-address"
		w := startWorld(t, url, configured(func(c *config.Config) {
			c.Telling, c.Control.Token = phone(channelsURL), secret.New(token)
			c.Checks = []config.CheckOverride{{Code: "dead-letters", Every: 200 * time.Millisecond}}
		}), func(o *demo.Options) {
			o.Retry = makegood.RetryPolicy{Attempts: 1, Base: time.Millisecond, Cap: time.Millisecond}
		})
		w.Resend.SetFaults(simulate.ResendFaults{FailSend: func(int, *http.Request) (int, string) { return http.StatusUnprocessableEntity, "invalid_parameter" }})
		w.buy("az-900", 1, address("refused"))
		i := incidentIn(t, w.Store(), "dead-letters", makegood.IncidentOpen)
		do := func(path, body string, want int) string {
			t.Helper()
			a := w.ask("POST", "/api/admin"+path, body, func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+token) })
			if a.status != want {
				t.Errorf("POST %s = %d %s, want %d", path, a.status, a.body, want)
			}
			return a.body
		}
		for _, path := range []string{"/incidents/" + i.ID + "/acknowledge", "/silences", "/channels/phone/test"} {
			if a := w.ask("POST", "/api/admin"+path, "{}"); a.status != http.StatusUnauthorized {
				t.Errorf("POST %s without a token = %d", path, a.status)
			}
		}
		do("/incidents/"+i.ID+"/note", `{"text":"looking"}`, 200)
		do("/incidents/"+i.ID+"/note", `{"text":" "}`, 400)
		do("/incidents/"+i.ID+"/note", `{"txet":"x"}`, 400)
		do("/incidents/inc0/acknowledge", `{}`, 404)
		do("/incidents/"+i.ID+"/acknowledge", `{"hold_ns":60000000000}`, 200)
		do("/incidents/"+i.ID+"/acknowledge", `{"hold_ns":-1}`, 400)
		do("/silences", `{"pattern":"dead-letters","hold_ns":3600000000000}`, 400)
		do("/silences", `{"pattern":`, 400)
		body := do("/silences", `{"pattern":"dead-letters","hold_ns":3600000000000,"reason":"moving"}`, 200)
		_, id, _ := strings.Cut(body, `"id":"`)
		id, _, _ = strings.Cut(id, `"`)
		do("/silences/"+id+"/end", `{}`, 200)
		if body := do("/channels/phone/test", `{}`, 200); body != "{}\n" {
			t.Errorf("the test of a channel that works = %s", body)
		}
		do("/channels/nobody/test", `{}`, 404)
		do("/incidents/"+i.ID+"/resolve", `{}`, 400)
		w.must("stop the server", w.StopServer())
		socket := filepath.Join(shortFolder(t), "s")
		desk, err := app.OpenDesk(t.Context(), w.Config, socket, app.Options{})
		if err != nil {
			t.Fatal(err)
		}
		a := control(t, socket, "POST", "/api/admin/incidents/"+i.ID+"/resolve", `{"text":"done by hand"}`)
		if a.status != http.StatusOK {
			t.Errorf("resolving by a desk = %d %s", a.status, a.body)
		}
		if a := control(t, socket, "POST", "/api/admin/channels/phone/test", `{}`); a.status != http.StatusOK {
			t.Errorf("the test of a channel by a desk = %d %s", a.status, a.body)
		}
		whole, err := desk.Store.Incident(t.Context(), i.ID)
		if err != nil || whole.State != makegood.IncidentResolved || whole.ResolvedBy != "operator:ann@cli" {
			t.Errorf("the incident = %+v, %v", whole, err)
		}
		w.must("close the desk", desk.Close(t.Context()))
	})
}

// Without the alarm nothing is looked at: what tests that count commits rely on.
func TestNoAlarm(t *testing.T) {
	t.Parallel()
	w := startWorld(t, storetest.SQLite(t), func(o *demo.Options) { o.NoAlarm = true })
	w.buy("az-900", 1, address("calm"))
	w.quiet()
	if m := w.ask("GET", "/metrics", "").body; strings.Contains(m, "makegood_looks_total{") {
		t.Errorf("somebody looks:\n%s", m)
	}
	if _, err := w.Store().Incidents(t.Context(), store.IncidentFilter{Limit: 1}); err != nil {
		t.Error(err)
	}
}

// The watcher's control socket is its owner's alone, stands beside its database, and is gone after a stop. This test does not
// run beside others; see control_test.go.
func TestWatcherControl(t *testing.T) {
	database := "sqlite:" + filepath.Join(shortFolder(t), "w.db")
	w, err := newTower(t, database, nil)
	if err != nil {
		t.Fatal(err)
	}
	w.run()
	socket := app.ControlSocket(database)
	if info, err := os.Stat(socket); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the socket = %v, %v, want it for its owner alone", info, err)
	}
	if a := control(t, socket, "POST", "/api/admin/silences", `{"pattern":"*","hold_ns":1000000000,"reason":"x"}`); a.status != http.StatusOK {
		t.Errorf("a silence through the socket = %d %s", a.status, a.body)
	}
	if a := control(t, socket, "POST", "/api/admin/channels/phone/test", `{}`); a.status != http.StatusOK {
		t.Errorf("a test through the socket = %d %s", a.status, a.body)
	}
	w.must("stop", w.stop())
	if _, err := os.Stat(socket); !os.IsNotExist(err) {
		t.Errorf("the socket after the stop = %v, want it gone", err)
	}
	// Something else in its place is not touched, and the start says what to do.
	if err := os.WriteFile(socket, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := newTower(t, database, nil); err == nil || !strings.Contains(err.Error(), "beside the database") {
		t.Errorf("a start over a file that is no socket = %v", err)
	}
}

// A channel that hangs does not hang the stop.
func TestStopWhileAChannelHangs(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.be(true)
	sent, never := make(chan struct{}, 10), make(chan struct{})
	hangs := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if body, _ := io.ReadAll(r.Body); strings.Contains(string(body), "shop is not as it should be") {
			sent <- struct{}{}
			<-never
		}
	}))
	defer hangs.Close()
	defer close(never)
	w, err := newTower(t, watchDatabase(t), func(c *config.Watch) {
		c.Monitors = []config.Monitor{page("shop", s.URL)}
		c.Telling = phone(hangs.URL)
	}, func(o *app.Options) { o.StopWithin = 200 * time.Millisecond })
	if err != nil {
		t.Fatal(err)
	}
	w.run()
	<-sent
	stop := w.stop
	w.stop = func() error { return nil } // its error is what is looked at here
	began := time.Now()
	if err := stop(); err == nil || !strings.Contains(err.Error(), "close alarm") {
		t.Errorf("stop = %v, want it said that the alarm was not over", err)
	}
	if took := time.Since(began); took > patience/2 {
		t.Errorf("the stop took %v", took)
	}
}
