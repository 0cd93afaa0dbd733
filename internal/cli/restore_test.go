package cli_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/makegood/makegood/internal/demo"
	"github.com/makegood/makegood/internal/secret"
	"github.com/makegood/makegood/internal/simulate"
	"github.com/makegood/makegood/internal/store"
	"github.com/makegood/makegood/internal/vault"
)

// shop is a shop at a simulated host, with the file of a watcher and its source of truth. Values are in truth, and no output
// may have any of them.
type shop struct {
	t        *testing.T
	dir      string
	file     string
	pages    *simulate.Pages
	channels *simulate.Channels
	env      map[string]string
	truth    map[string]string
	healthy  func(simulate.PagesDeployment) bool
	printed  string
}

const shopFile = `name: tower
listen: 127.0.0.1:0
database: sqlite:watch.db
network: {targets: []}
monitors:
  - {name: health, url: "HEALTH/", every: 1h, again: 100ms, timeout: 1s, priority: P0}
secrets:
  source: sealed
  path: truth.sealed
  identity: file:identity
  verify_key: VERIFYKEY
  mode: test
  required:
    - {name: STRIPE_API_KEY, kind: stripe_key}
    - {name: STRIPE_WEBHOOK_SECRET, kind: stripe_webhook}
    - {name: LICENSE_KEY_SECRET, kind: license_key}
heal:
  targets:
    - {name: shop, kind: cloudflare_pages, monitors: [health], account: ACCOUNT, project: PROJECT, token: "file:token", api_base: "HOST",
       after: 1s, start_within: 20s, verify_within: 1s, verify_every: 10ms}
channels:
  - {name: phone, kind: ntfy, url: "CHANNELS/ntfy", topic: alerts}
outbound: {allow_private: true}
`

func newShop(t *testing.T) *shop {
	t.Helper()
	return newShopIn(t, t.TempDir())
}

func newShopIn(t *testing.T, dir string) *shop {
	t.Helper()
	s := &shop{t: t, dir: dir, env: map[string]string{}, truth: map[string]string{"STRIPE_API_KEY": demo.StripeKey,
		"STRIPE_WEBHOOK_SECRET": demo.WebhookSecret, "LICENSE_KEY_SECRET": demo.LicenseSecret}}
	s.healthy = func(d simulate.PagesDeployment) bool {
		for name := range s.truth {
			if !d.Has(name) {
				return false
			}
		}
		return true
	}
	s.pages = simulate.NewPages(simulate.PagesOptions{Build: 20 * time.Millisecond, Projects: []simulate.PagesProject{{Name: simulate.PagesName, Secrets: s.truth}}})
	t.Cleanup(s.pages.Close)
	s.channels = simulate.NewChannels(simulate.TwilioOptions{})
	t.Cleanup(s.channels.Close)
	health := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if d, ok := s.pages.Running(); !ok || !s.healthy(d) {
			w.WriteHeader(http.StatusInternalServerError)
		}
	})
	text := shopFile
	for name, h := range map[string]http.Handler{"HOST": s.pages, "CHANNELS": s.channels, "HEALTH": health} {
		server := httptest.NewServer(h)
		t.Cleanup(server.Close)
		text = strings.ReplaceAll(text, name, server.URL)
	}
	s.want(0, "secrets", "keygen", "--out", s.dir)
	signing, err := secret.Resolve("file:signing-key", s.dir, s.lookup)
	if err != nil {
		t.Fatal(err)
	}
	verify, err := vault.VerifyKeyOf(signing)
	if err != nil {
		t.Fatal(err)
	}
	text = strings.NewReplacer("VERIFYKEY", verify, "ACCOUNT", simulate.PagesAccount, "PROJECT", simulate.PagesName).Replace(text)
	s.file = s.write("watch.yaml", text)
	s.write("token", simulate.PagesKey)
	for name, value := range s.truth {
		s.env[name] = value
	}
	s.want(0, "secrets", "seal", "-w", s.file, "--from-env", "--signing-key", "file:"+filepath.Join(s.dir, "signing-key"))
	t.Cleanup(s.noValues)
	return s
}

func (s *shop) lookup(name string) (string, bool) {
	v, ok := s.env[name]
	return v, ok
}

func (s *shop) write(name, text string) string {
	s.t.Helper()
	path := filepath.Join(s.dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
	return path
}

// want runs a command that must end with an exit code, and returns what it printed on both streams. It runs in a process of its
// own, because opening a control socket changes for a moment with which rights a process makes files.
func (s *shop) want(code int, args ...string) string {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), time.Minute)
	defer cancel()
	command := exec.CommandContext(ctx, "makegood", args...) // testscript.Main put it there
	command.Dir, command.Env = s.dir, []string{"PATH=" + os.Getenv("PATH"), "HOME=" + s.dir}
	for name, value := range s.env {
		command.Env = append(command.Env, name+"="+value)
	}
	text, err := command.CombinedOutput()
	s.printed += string(text)
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		s.t.Fatal(err)
	}
	if got := command.ProcessState.ExitCode(); got != code {
		s.t.Fatalf("makegood %v = %d, want %d:\n%s", args, got, code, text)
	}
	return string(text)
}

// has fails unless all parts are in a text.
func (s *shop) has(text string, parts ...string) {
	s.t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			s.t.Errorf("%q is not in:\n%s", part, text)
		}
	}
}

// noValues holds that no command ever printed a value.
func (s *shop) noValues() {
	secrets := map[string]string{"the token": simulate.PagesKey}
	for name, value := range s.truth {
		secrets[name] = value
	}
	for _, name := range []string{"identity", "signing-key"} {
		b, err := os.ReadFile(filepath.Join(s.dir, name))
		if err != nil {
			s.t.Fatal(err)
		}
		secrets[name] = strings.TrimSpace(string(b))
	}
	texts := map[string]string{"what was printed": s.printed}
	for _, pattern := range []string{"watch.db*", "*.log"} {
		paths, err := filepath.Glob(filepath.Join(s.dir, pattern))
		if err != nil {
			s.t.Fatal(err)
		}
		for _, path := range paths {
			if b, err := os.ReadFile(path); err == nil { // a socket cannot be read
				texts[path] = string(b)
			}
		}
	}
	for name, value := range secrets {
		for where, text := range texts {
			if strings.Contains(text, value) {
				s.t.Errorf("%s is in %s", name, where)
			}
		}
	}
}

// attempts are those that were kept, the newest first.
func (s *shop) attempts() (states []string) {
	s.t.Helper()
	db, err := store.OpenReading(s.t.Context(), "sqlite:"+filepath.Join(s.dir, "watch.db"))
	if err != nil {
		return nil
	}
	defer db.Close()
	list, err := db.Attempts(s.t.Context(), store.AttemptFilter{})
	if err != nil {
		s.t.Fatal(err)
	}
	for _, a := range list {
		states = append(states, fmt.Sprintf("%s %s by %s", a.State, a.Reason, a.Actor))
	}
	return states
}

func (s *shop) lose(names ...string) {
	s.pages.Remove(names...)
	id := s.pages.Deploy("without")
	s.await(id)
}

func (s *shop) await(id string) {
	for range 500 {
		if d, ok := s.pages.Running(); ok && d.ID == id {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	s.t.Fatal("the deployment did not become live")
}

// The whole way, with nobody watching: what was lost is found, planned, put back, started, verified and told.
func TestRestoreEnv(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.has(s.want(0, "restore-env", "-w", s.file), "Nothing to do: shop has everything", "well, seen from outside")
	s.lose("STRIPE_WEBHOOK_SECRET", "LICENSE_KEY_SECRET")

	s.has(s.want(0, "restore-env", "--dry-run", "-w", s.file), "restore-secrets", "LICENSE_KEY_SECRET, STRIPE_WEBHOOK_SECRET", "1. look again", "Nothing was changed.")
	if w := s.pages.Writes(); len(w) > 0 {
		t.Fatalf("a dry run changed something: %+v", w)
	}
	text := s.want(0, "restore-env", "-w", s.file)
	s.has(text, "[1/8]  recheck    ok", "[2/8]  credential ok", "[3/8]  plan       ok", "[4/8]  write      ok   wrote LICENSE_KEY_SECRET, STRIPE_WEBHOOK_SECRET",
		"[5/8]  start      ok", "[6/8]  wait       ok", "[7/8]  verify     ok", "[8/8]  tell       ok", "shop is well, verified from outside; written: LICENSE_KEY_SECRET, STRIPE_WEBHOOK_SECRET")
	if d, ok := s.pages.Running(); !ok || !s.healthy(d) || d.Variables["STRIPE_WEBHOOK_SECRET"].Value != demo.WebhookSecret {
		t.Error("the shop does not run with what it needs")
	}
	isTold := false
	for _, a := range s.channels.Log() {
		isTold = isTold || strings.Contains(a.Title, "healed") || strings.Contains(a.Title, "mended")
	}
	if !isTold {
		t.Errorf("nobody was told: %+v", s.channels.Log())
	}
	s.has(s.want(0, "heal", "status", "-w", s.file), "credential", "good", "healed", "1 attempt left")
}

// Each way in which it can fail has its exit code.
func TestRestoreEnvExitCodes(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		breaks func(*shop)
		args   []string
		code   int
		says   []string
		end    string // of the newest attempt
	}{
		{"truth corrupted", func(s *shop) {
			s.lose("STRIPE_API_KEY")
			path := filepath.Join(s.dir, "truth.sealed")
			b, err := os.ReadFile(path)
			if err != nil {
				s.t.Fatal(err)
			}
			b[len(b)-5] ^= 1
			s.write("truth.sealed", string(b))
		}, nil, 1, []string{"[3/3]  plan       FAIL", "truth_", "The source of truth is not believed, so nothing is written."}, "refused truth_"},
		{"credential broken", func(s *shop) {
			s.lose("STRIPE_API_KEY")
			s.write("token", simulate.PagesKey+"\r\n")
		}, nil, 1, []string{"[2/2]  credential FAIL", "credential_"}, "refused credential_"},
		{"brake on", func(s *shop) {
			s.lose("STRIPE_API_KEY")
			s.want(0, "heal", "pause", "--why", "the bank moves", "--for", "2h", "-w", s.file)
		}, nil, 1, []string{"paused", "the bank moves"}, "refused paused"},
		{"build fails", func(s *shop) {
			s.lose("STRIPE_API_KEY")
			s.pages.SetFaults(simulate.PagesFaults{BuildFails: "build"})
		}, nil, 2, []string{"[4/8]  write      ok", "[6/8]  wait       FAIL", "start_failed"}, "start_failed"},
		{"not verified", func(s *shop) {
			s.lose("STRIPE_API_KEY")
			s.healthy = func(simulate.PagesDeployment) bool { return false }
		}, nil, 3, []string{"[7/8]  verify     FAIL", "[back] rollback   ok", "not_verified"}, "reverted not_verified"},
		{"nothing is lacking, and it is not well", func(s *shop) { s.healthy = func(simulate.PagesDeployment) bool { return false } },
			nil, 3, []string{"lacks nothing that can be seen", "restore-env shop --all"}, "refused nothing_to_write"},
		{"everything", func(*shop) {}, []string{"--all"}, 0, []string{"wrote LICENSE_KEY_SECRET, STRIPE_API_KEY, STRIPE_WEBHOOK_SECRET"}, "healed"},
		{"dry run that would be refused", func(s *shop) {
			s.lose("STRIPE_API_KEY")
			s.write("token", "")
		}, []string{"--dry-run"}, 1, []string{"credential_"}, ""},
		{"no such target", func(*shop) {}, []string{"shpo"}, 64, []string{"has no target shpo; there are shop."}, ""},
		{"no such flag", func(*shop) {}, []string{"--force"}, 64, []string{"unknown flag --force"}, ""},
		{"no file", func(*shop) {}, []string{"-w", "nosuch.yaml"}, 1, []string{"the configuration file does not exist"}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newShop(t)
			tt.breaks(s)
			text := s.want(tt.code, append([]string{"restore-env", "-w", s.file}, tt.args...)...)
			s.has(text, tt.says...)
			if got := strings.Join(s.attempts(), "; "); !strings.Contains(got, tt.end) {
				t.Errorf("the attempts are %q, want %q", got, tt.end)
			}
		})
	}
}

// A watcher that runs here does it, so that one ledger holds; the command says what it does, step by step.
func TestRestoreEnvThroughTheWatcher(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.lose("STRIPE_API_KEY")
	watcher := s.start("watch", "-w", s.file)
	s.eventually("the watcher runs", func() bool {
		_, err := os.Stat(filepath.Join(s.dir, "watch.db.control"))
		return err == nil
	})
	s.has(s.want(0, "restore-env", "shop", "-w", s.file), "[8/8]  tell       ok")
	s.has(s.want(0, "restore-env", "shop", "-w", s.file, "--json"), `"reason": "nothing_to_write"`, `"verified": {}`)
	s.lose("STRIPE_API_KEY")
	s.has(s.want(0, "restore-env", "shop", "-w", s.file), "[8/8]  tell       ok")
	s.lose("STRIPE_API_KEY")
	s.has(s.want(1, "restore-env", "shop", "-w", s.file), "target_limit", "a person has to look at it")
	if err := watcher.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := watcher.Wait(); err != nil {
		t.Errorf("the watcher ended with %v", err)
	}
}

// One that is killed in the middle is gone on with by the next, which starts nothing a second time.
func TestRestoreEnvGoesOn(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.lose("STRIPE_API_KEY")
	s.pages.SetFaults(simulate.PagesFaults{BuildTakes: 3 * time.Second})
	first := s.start("restore-env", "-w", s.file)
	s.eventually("it has started", func() bool { return s.count("retry") == 1 })
	if err := first.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = first.Wait()
	s.has(s.want(0, "heal", "status", "-w", s.file), "Under way", "running")
	s.has(s.want(0, "restore-env", "-w", s.file), "is under way already; staying with it", "[8/8]  tell       ok", "shop is well")
	if n := s.count("retry"); n != 1 {
		t.Errorf("it was started %d times, want once", n)
	}
}

// Two at once, with no watcher: one attempt is made, and both say how it went.
func TestRestoreEnvAtOnce(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.lose("STRIPE_API_KEY")
	s.pages.SetFaults(simulate.PagesFaults{BuildTakes: 3 * time.Second})
	first := s.start("restore-env", "-w", s.file)
	s.eventually("it has started", func() bool { return s.count("retry") == 1 })
	s.has(s.want(0, "heal", "status", "-w", s.file), "Under way", "running")
	s.has(s.want(0, "restore-env", "-w", s.file), "is under way already; staying with it", "shop is well")
	if err := first.Wait(); err != nil {
		t.Errorf("the first ended with %v", err)
	}
	if n := s.count("retry"); n != 1 {
		t.Errorf("it was started %d times, want once", n)
	}
}

// A command that only looks is not asked to mend, because it could not verify: the next waits for its end.
func TestRestoreEnvWaitsForALook(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.want(0, "restore-env", "-w", s.file)
	s.lose("STRIPE_API_KEY")
	s.pages.SetFaults(simulate.PagesFaults{Latency: 300 * time.Millisecond})
	before := s.pages.Calls()
	look := s.start("heal", "status", "-w", s.file)
	s.eventually("it looks", func() bool { return s.pages.Calls() > before })
	if _, err := os.Stat(filepath.Join(s.dir, "watch.db.control")); err == nil {
		t.Error("a command that only looks answers where others ask")
	}
	s.has(s.want(0, "restore-env", "-w", s.file), "shop is well")
	if err := look.Wait(); err != nil {
		t.Errorf("the look ended with %v", err)
	}
}

// Where the path of the database leaves no room for a socket beside it, the command finds another one.
func TestRestoreEnvInADeepFolder(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), strings.Repeat("deep", 25))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	s := newShopIn(t, dir)
	s.lose("STRIPE_API_KEY")
	s.has(s.want(0, "restore-env", "-w", s.file), "shop is well")
}

// Values that the host does not let anybody read are no difference; what is known to be missing is.
func TestSecretsOfPages(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.has(s.want(0, "secrets", "diff", "-w", s.file), "unknown", "No difference that can be seen, at 1 target.")
	s.has(s.want(0, "secrets", "check", "-w", s.file), "there", "Its value cannot be read there.")
	s.pages.Remove("STRIPE_API_KEY")
	s.has(s.want(1, "secrets", "diff", "-w", s.file), "missing", "1 difference.")
	s.has(s.want(1, "secrets", "push", "shop", "-w", s.file), "Would write to shop: STRIPE_API_KEY")
	s.pages.SetFaults(simulate.PagesFaults{Status: http.StatusServiceUnavailable, For: []string{"write"}})
	s.has(s.want(1, "secrets", "push", "shop", "-w", s.file, "--yes"), "write_failed")
	s.pages.SetFaults(simulate.PagesFaults{})
	s.has(s.want(0, "secrets", "push", "shop", "-w", s.file, "--yes"), "Wrote STRIPE_API_KEY")
	if v := s.pages.Variables()["STRIPE_API_KEY"]; v.Value != demo.StripeKey || v.Plain {
		t.Error("it was not written as a secret")
	}
	if n := s.count("retry"); n != 0 {
		t.Errorf("a push started something %d times", n)
	}
	s.write("token", simulate.PagesKey[:20])
	s.has(s.want(1, "secrets", "push", "shop", "-w", s.file, "--yes"), "credential_")
	s.has(s.want(1, "secrets", "check", "-w", s.file), "UNKNOWN")
	s.has(s.want(1, "secrets", "diff", "-w", s.file), "1 target could not be compared.")
}

// start runs a command beside the test.
func (s *shop) start(args ...string) *exec.Cmd {
	s.t.Helper()
	command := exec.CommandContext(context.WithoutCancel(s.t.Context()), "makegood", args...)
	command.Dir, command.Env = s.dir, []string{"PATH=" + os.Getenv("PATH"), "HOME=" + s.dir}
	log, err := os.CreateTemp(s.dir, "*.log")
	if err != nil {
		s.t.Fatal(err)
	}
	command.Stdout, command.Stderr = log, log
	if err := errors.Join(command.Start(), log.Close()); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = command.Process.Kill() })
	return command
}

func (s *shop) eventually(what string, condition func() bool) {
	s.t.Helper()
	for range 3000 {
		if condition() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	s.t.Fatalf("it did not come to be: %s", what)
}

// count is how many changes of a kind the host took.
func (s *shop) count(action string) (n int) {
	for _, w := range s.pages.Writes() {
		if w.Action == action && w.Status == http.StatusOK {
			n++
		}
	}
	return n
}
