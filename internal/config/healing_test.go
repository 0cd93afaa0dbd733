package config_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/makegood/makegood/internal/config"
	"github.com/makegood/makegood/internal/secret"
)

// healing is a good watcher's file with everything that healing needs; %s is what a test adds.
const healing = `
server: {url: "https://shop.example.com", secret: env:WATCH_SECRET}
monitors: [{name: health, url: "https://shop.example.com/api/health"}]
channels: [{name: phone, kind: ntfy, topic: alerts}]
`

const healingSecrets = `
secrets:
  source: sealed
  path: truth.sealed
  identity: file:identity
  verify_key: mgv1_3UFNW8OJ8ZhwnjzWyYpSuSEHAjm1dTVoLr0UFQxNJJM
  mode: live
  required:
    - {name: STRIPE_WEBHOOK_SECRET, kind: stripe_webhook, not_after: "2027-12-01T00:00:00Z", places: [shop, server]}
    - {name: RESEND_API_KEY, kind: resend_key, optional: true}
`

const healingTargets = `
heal:
  targets:
    - {name: shop, kind: cloudflare_pages, auto: true, drill: true, monitors: [health], account: abc, project: shop, token: file:token, after: 2m, start_within: 4m, verify_within: 30s, verify_every: 2s, steady: 3}
    - {name: box, kind: env_file, path: env, command: [systemctl, restart, shop], status: [systemctl, is-active, shop]}
`

func TestParseHealing(t *testing.T) {
	t.Parallel()
	w, err := config.ParseWatch([]byte(healing+healingSecrets+healingTargets+"\ndrills: [{name: secret-wiped, every: 24h, target: shop}]\n"), "watch.yaml", "/etc/makegood", lookup, sane)
	if err != nil {
		t.Fatal(err)
	}
	token := w.Heal.Targets[0].Token
	want := config.Heal{Targets: []config.HealTarget{
		{Name: "shop", Kind: "cloudflare_pages", Auto: true, Drill: true, Monitors: []string{"health"}, Account: "abc", Project: "shop", Token: token,
			After: 2 * time.Minute, StartWithin: 4 * time.Minute, VerifyWithin: 30 * time.Second, VerifyEvery: 2 * time.Second, Steady: 3},
		{Name: "box", Kind: "env_file", Path: "/etc/makegood/env", Command: []string{"systemctl", "restart", "shop"}, Status: []string{"systemctl", "is-active", "shop"},
			After: 61 * time.Second, StartWithin: 6 * time.Minute, VerifyWithin: time.Minute, VerifyEvery: time.Second, Steady: 2},
	}}
	if diff := cmp.Diff(want, w.Heal); diff != "" {
		t.Errorf("heal (-want +got):\n%s", diff)
	}
	list := config.SecretList{IsSet: true, Mode: secret.Live,
		Source: config.TruthSource{Kind: "sealed", Path: "/etc/makegood/truth.sealed", Identity: w.Secrets.Source.Identity, VerifyKey: "mgv1_3UFNW8OJ8ZhwnjzWyYpSuSEHAjm1dTVoLr0UFQxNJJM"},
		Required: []config.RequiredSecret{
			{Name: "STRIPE_WEBHOOK_SECRET", Kind: secret.StripeWebhook, NotAfter: time.Date(2027, 12, 1, 0, 0, 0, 0, time.UTC), Places: []string{"shop", "server"}},
			{Name: "RESEND_API_KEY", Kind: secret.ResendKey, Optional: true},
		}}
	if diff := cmp.Diff(list, w.Secrets); diff != "" {
		t.Errorf("secrets (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]config.DrillPlan{{Name: "secret-wiped", Every: 24 * time.Hour, Target: "shop"}}, w.Drills); diff != "" {
		t.Errorf("drills (-want +got):\n%s", diff)
	}
	for place, names := range map[string]string{"shop": "STRIPE_WEBHOOK_SECRET RESEND_API_KEY", "box": "RESEND_API_KEY", "server": "STRIPE_WEBHOOK_SECRET"} {
		var got []string
		for _, n := range w.Secrets.Needs(place) {
			got = append(got, n.Name)
		}
		if strings.Join(got, " ") != names {
			t.Errorf("needs of %s = %v, want %s", place, got, names)
		}
	}
}

// A credential of healing is read when it is needed, and anew each time; one that is broken keeps no file from being good.
func TestLater(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	w, err := config.ParseWatch([]byte(healing+healingTargets), "watch.yaml", dir, lookup, sane)
	if err != nil {
		t.Fatal(err)
	}
	token := w.Heal.Targets[0].Token
	if _, err := token.Read(); err == nil || !token.Value().Empty() {
		t.Errorf("a file that is not there = %v, want an error and no value", err)
	}
	for _, content := range []string{"first\r", "second"} {
		if err := os.WriteFile(filepath.Join(dir, "token"), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if v, err := token.Read(); err != nil || v.Reveal() != content {
			t.Errorf("Read = %v, want what the file has now", err)
		}
		encoded, err := json.Marshal(w)
		if shown := fmt.Sprintf("%v %+v %#v %s", token, w, token, encoded); err != nil || strings.Contains(shown, content) {
			t.Errorf("printing shows the token: %v", err)
		}
	}
}

func TestParseHealingProblems(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, file, want string }{
		{"no truth", "secrets: {source: sealed, required: [{name: A, kind: token}]}", "secrets.path: is missing; it is the sealed file and secrets.identity: is missing; nothing else opens the sealed file and secrets.verify_key: is missing; without it anybody could seal another truth; say allow_unsigned: true if that is meant"},
		{"a folder without path", "secrets: {source: directory, required: [{name: A, kind: token}]}", "secrets.path: is missing; it is the folder"},
		{"nothing required", "secrets: {source: environment, required: []}", "secrets.required: is empty; a list of nothing would find everything well"},
		{"no such kind", "secrets: {source: environment, required: [{name: A, kind: stripe_webhok}]}", "did you mean stripe_webhook?"},
		{"twice", "secrets: {source: environment, required: [{name: A, kind: token}, {name: A, kind: token}]}", "secrets.required[1].name: is the same as secrets.required[0].name; each needs its own"},
		{"no such place", "secrets: {source: environment, required: [{name: A, kind: token, places: [nowhere]}]}", "secrets.required[0].places[0]: names a place that does not exist"},
		{"a name that is none", "secrets: {source: environment, required: [{name: A-B, kind: token}]}", "secrets.required[0].name: is not the name of a variable"},
		{"no targets", "heal: {targets: []}", "heal.targets: is empty; without a place there is nothing to mend"},
		{"a target called server", "heal: {targets: [{name: server, kind: command, command: [a], status: [b]}]}", "heal.targets[0].name: is server, which is the running server"},
		{"no command", "heal: {targets: [{name: shop, kind: env_file, path: env}]}", "heal.targets[0].command: is missing; env_file needs it"},
		{"a command without status", "heal: {targets: [{name: shop, kind: command, command: [a]}]}", "heal.targets[0].status: is missing; command needs it"},
		{"a field of another kind", "heal: {targets: [{name: shop, kind: command, command: [a], status: [b], project: shop}]}", "heal.targets[0].project: is given, and command has none"},
		{"a token in the file", "heal: {targets: [{name: shop, kind: cloudflare_pages, account: a, project: b, token: abcdef}]}", "heal.targets[0].token: is written into the file itself"},
		{"no such monitor", "heal: {targets: [{name: shop, kind: command, command: [a], status: [b], monitors: [helth]}]}", "heal.targets[0].monitors[0]: names a monitor that does not exist"},
		{"an empty word", `heal: {targets: [{name: shop, kind: command, command: [a, ""], status: [b]}]}`, "heal.targets[0].command[1]: is empty"},
		{"a drill of what may not be broken", "heal: {targets: [{name: shop, kind: command, command: [a], status: [b]}]}\ndrills: [{name: secret-wiped, target: shop}]", "drills[0].target: names a target that may not be broken"},
		{"a drill that is planned twice", "drills: [{name: mail-down, every: 24h}, {name: mail-down, every: 48h}]", "drills[1].name: is planned twice for the same target"},
		{"a drill of nothing", "drills: [{name: secret-wiped, target: shop}]", "drills[0].target: names a target that does not exist"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := config.ParseWatch([]byte(healing+tt.file+"\n"), "watch.yaml", "", lookup, sane)
			if err == nil {
				t.Fatal("no problem was told")
			}
			told := strings.ReplaceAll(err.Error(), "\n", " ")
			for _, part := range strings.Split(tt.want, " and secrets.") {
				if !strings.Contains(told, part) {
					t.Errorf("told %s\nwant %s", told, tt.want)
				}
			}
			if strings.Contains(told, "abcdef") {
				t.Errorf("the problem repeats the token: %s", told)
			}
		})
	}
}
