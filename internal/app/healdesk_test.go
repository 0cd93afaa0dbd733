package app_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/api"
	"github.com/makegood/makegood/internal/config"
	"github.com/makegood/makegood/internal/demo"
	"github.com/makegood/makegood/internal/secret"
	"github.com/makegood/makegood/internal/store"
	"github.com/makegood/makegood/internal/telemetry"
	"github.com/makegood/makegood/internal/watch"
)

// The tests of this file do not run beside others: opening a control socket changes, for a moment, with which rights the
// whole process makes files.

// mendable is a watcher's configuration with a place that lacks a secret, and whose start takes as long as a file is there.
func mendable(t *testing.T, folder string) func(*config.Watch) {
	t.Helper()
	write := func(name, text string) string {
		path := filepath.Join(folder, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	shop := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(shop.Close)
	write("truth/STRIPE_API_KEY", demo.StripeKey)
	gate := write("gate", "")
	env := write("env", "OTHER=1\n")
	script := write("start", "while [ -e "+gate+" ]; do sleep 0.05; done\n")
	return func(c *config.Watch) {
		health := page("health", shop.URL)
		health.Every = time.Hour
		c.Monitors = []config.Monitor{health}
		c.Secrets = config.SecretList{IsSet: true, Mode: secret.Test, Source: config.TruthSource{Kind: "directory", Path: filepath.Join(folder, "truth")},
			Required: []config.RequiredSecret{{Name: "STRIPE_API_KEY", Kind: secret.StripeKey, Places: []string{"shop", config.ServerPlace}}}}
		c.Heal.Targets = []config.HealTarget{{Name: "shop", Kind: "env_file", Monitors: []string{"health"}, Path: env,
			Command: []string{"sh", script}, Status: []string{"true"}, After: time.Hour, VerifyEvery: 10 * time.Millisecond}}
	}
}

func begin(t *testing.T, socket string) api.HealBegun {
	t.Helper()
	var begun api.HealBegun
	a := control(t, socket, "POST", "/api/admin/heal/targets/shop/run", `{"all":false}`)
	if err := json.Unmarshal([]byte(a.body), &begun); err != nil || a.status != http.StatusOK || begun.Attempt == nil {
		t.Fatalf("begin = %d %s", a.status, a.body)
	}
	return begun
}

func attemptAt(t *testing.T, socket, id string) api.HealAttemptView {
	t.Helper()
	var v api.HealAttemptView
	a := control(t, socket, "GET", "/api/admin/heal/attempts/"+id, "")
	if err := json.Unmarshal([]byte(a.body), &v); err != nil || a.status != http.StatusOK {
		t.Fatalf("attempt = %d %s", a.status, a.body)
	}
	return v
}

func ended(t *testing.T, socket, id string) api.HealAttemptView {
	t.Helper()
	for range 3000 {
		if v := attemptAt(t, socket, id); v.State != makegood.AttemptRunning {
			return v
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("attempt %s does not end: %+v", id, attemptAt(t, socket, id))
	panic("unreachable")
}

// An attempt that a person began goes on after whoever asked has gone; a watcher that is closed leaves it as it is, and the next
// one goes on with it. Everything is told and written down, and nothing has a value in it.
func TestMendingOutlivesWhoeverAsked(t *testing.T) {
	folder := shortFolder(t)
	database, socket := "sqlite:"+filepath.Join(folder, "watch.db"), filepath.Join(folder, "watch.db.control")
	change := mendable(t, folder)
	attend := func(do func(w *tower)) {
		t.Helper()
		w, err := newTower(t, database, change)
		if err != nil {
			t.Fatal(err)
		}
		untold, err := w.Attend(t.Context(), true, func() error { do(w); return nil })
		if untold != nil || err != nil {
			t.Fatalf("attend = %v, %v", untold, err)
		}
	}
	var id string
	attend(func(w *tower) {
		id = begin(t, socket).Attempt.ID // whose connection is gone now
		w.eventually("it starts", func() bool { return attemptAt(t, socket, id).Steps[4].State == makegood.PlaceRunning })
		a := control(t, socket, "POST", "/api/admin/heal/targets/shop/run", `{"all":false}`)
		if !strings.Contains(a.body, `"reason":"busy"`) || !strings.Contains(a.body, id) {
			t.Errorf("a second run = %s, want it refused as busy with the attempt that runs", a.body)
		}
		a = control(t, socket, "POST", "/api/admin/heal/targets/shop/push", `{"dry":false}`)
		if !strings.Contains(a.body, `"reason":"busy"`) {
			t.Errorf("a push meanwhile = %s, want it refused as busy", a.body)
		}
	})
	db, err := store.OpenReading(t.Context(), database)
	if err != nil {
		t.Fatal(err)
	}
	if a, err := db.Attempt(t.Context(), id); err != nil || a.State != makegood.AttemptRunning {
		t.Errorf("the attempt of a watcher that was closed = %s, %v, want it left as it is", a.State, err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(folder, "gate")); err != nil {
		t.Fatal(err)
	}
	attend(func(w *tower) {
		if v := ended(t, socket, id); v.State != makegood.AttemptHealed {
			t.Errorf("the attempt that was gone on with = %+v, want it healed", v)
		}
		a := control(t, socket, "GET", "/api/admin/heal", "")
		for _, part := range []string{`"attempts_left":1`, `"credential":{}`, `"drift":{}`, `"state":"healed"`, `"actor":"operator:ann@cli"`} {
			if !strings.Contains(a.body, part) {
				t.Errorf("%s is not in the status %s", part, a.body)
			}
		}
		if strings.Contains(a.body+w.logs.String(), demo.StripeKey) {
			t.Error("a value was shown or logged")
		}
	})
}

// What a person does to the brake and to secrets is checked, and written down with who did it.
func TestHealDesk(t *testing.T) {
	folder := shortFolder(t)
	database, socket := "sqlite:"+filepath.Join(folder, "watch.db"), filepath.Join(folder, "watch.db.control")
	w, err := newTower(t, database, mendable(t, folder))
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.Attend(t.Context(), false, func() error {
		for _, tt := range []struct {
			name, method, path, body string
			status                   int
			says                     string
		}{
			{"no reason", "POST", "brake", `{"on":true}`, 400, "Say why"},
			{"a long reason", "POST", "brake", `{"on":true,"why":"` + strings.Repeat("x", 1001) + `"}`, 400, "at most"},
			{"into the past", "POST", "brake", `{"on":true,"why":"x","hold_ns":-1}`, 400, "past"},
			{"not on", "POST", "brake", `{"on":false}`, 409, "is not on"},
			{"on", "POST", "brake", `{"on":true,"why":" the bank moves "}`, 200, `"by":"operator:ann@cli","why":"the bank moves"`},
			{"push under the brake", "POST", "targets/shop/push", `{"dry":false}`, 200, `"reason":"paused"`},
			{"off", "POST", "brake", `{"on":false}`, 200, `"on":false`},
			{"nobody's target", "POST", "targets/shpo/run", `{"all":false}`, 404, `There is no target \"shpo\"; there are shop.`},
			{"nobody's plan", "POST", "targets/shpo/plan", `{"all":false}`, 404, "there are shop"},
			{"nobody's push", "POST", "targets/shpo/push", `{"dry":true}`, 404, "there are shop"},
			{"nobody's verification", "POST", "targets/shpo/verify", `{}`, 404, "there are shop"},
			{"nobody's attempt", "GET", "attempts/att0", "", 404, "not_found"},
			{"a field that is none", "POST", "targets/shop/run", `{"force":true}`, 400, "invalid"},
			{"a name that is not required", "POST", "targets/shop/push", `{"names":["OTHER"],"dry":false}`, 400, "STRIPE_API_KEY"},
			{"dry", "POST", "targets/shop/push", `{"dry":true}`, 200, `"names":["STRIPE_API_KEY"],"wrote":false`},
			{"push", "POST", "targets/shop/push", `{"dry":false}`, 200, `"wrote":true`},
			{"accepted", "POST", "targets/shop/accept", `{}`, 200, `{}`},
		} {
			a := control(t, socket, tt.method, "/api/admin/heal/"+tt.path, tt.body)
			if a.status != tt.status || !strings.Contains(a.body, tt.says) {
				t.Errorf("%s = %d %s, want %d and %s", tt.name, a.status, a.body, tt.status, tt.says)
			}
			if strings.Contains(a.body, demo.StripeKey) {
				t.Errorf("%s shows a value", tt.name)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite", "file:"+strings.TrimPrefix(database, "sqlite:"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	rows, err := db.Query(`SELECT action || ' ' || target || ' ' || after_state || ' by ' || actor FROM audit_entries`)
	if err != nil {
		t.Fatal(err)
	}
	var did []string
	for rows.Next() {
		var line string
		if err := rows.Scan(&line); err != nil {
			t.Fatal(err)
		}
		did = append(did, line)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"heal.paused heal the bank moves by operator:ann@cli", "heal.resumed heal  by operator:ann@cli",
		"secrets.pushed shop STRIPE_API_KEY by operator:ann@cli", "secrets.accepted shop  by operator:ann@cli"} {
		if !slices.Contains(did, want) {
			t.Errorf("the audit has no %q: %q", want, did)
		}
	}
}

// newPeer is a server that does nothing but answer beats, and speaks so of itself.
func newPeer(t *testing.T, own makegood.PeerBeat) (url string) {
	t.Helper()
	kept, err := store.Open(t.Context(), watchDatabase(t), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { kept.Close() })
	if err := kept.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	hearing := &watch.Hearing{Secret: peerSecret, Store: kept, Own: func(context.Context) makegood.PeerBeat { return own }, Now: time.Now, Silent: time.Minute}
	incidents := &api.Incidents{Hearing: hearing, Refused: telemetry.NewMetrics().Counter("refused_total", "Of the test.", "door")}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := incidents.HearBeat(w, r); err != nil {
			api.WriteError(w, err)
		}
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// What the running server says of its secrets is compared with the source of truth, as long as it is fresh.
func TestSecretsOfTheServer(t *testing.T) {
	server := newPeer(t, makegood.PeerBeat{Secrets: map[string]string{"STRIPE_API_KEY": "00000000"}})
	folder := shortFolder(t)
	change := mendable(t, folder)
	w, err := newTower(t, "sqlite:"+filepath.Join(folder, "watch.db"), func(c *config.Watch) {
		change(c)
		c.Server = watching(server)
	})
	if err != nil {
		t.Fatal(err)
	}
	w.run()
	socket := filepath.Join(folder, "watch.db.control")
	row := func() string {
		var rows []api.SecretAt
		a := control(t, socket, "GET", "/api/admin/heal/secrets", "")
		w.must("read the secrets", json.Unmarshal([]byte(a.body), &rows))
		for _, r := range rows {
			if r.Place == config.ServerPlace {
				return string(r.State) + " " + r.Fingerprint
			}
		}
		return "nothing"
	}
	w.eventually("the server is heard", func() bool { return row() == "wrong 00000000" })
}
