package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/simulate"
	"github.com/makegood/makegood/internal/store/storetest"
)

// TestStart starts the program a few times on a new database and a few times on an old one, and prints how long it takes
// and how much memory it needs.
func TestStart(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, database string) {
		w := newWorld(t, database, simulate.StripeOptions{})
		var ready, stopping []time.Duration
		var memory []int
		for range 5 {
			p := w.startServer(t)
			took, err := p.awaitReady(t.Context(), w.url)
			if err != nil {
				t.Fatal(err)
			}
			ready, memory = append(ready, took), append(memory, residentKiB(p))
			asked := time.Now()
			if code, err := p.stop(); code != 0 || err != nil {
				t.Fatalf("stop = exit code %d, %v, want 0", code, err)
			}
			stopping = append(stopping, time.Since(asked))
			if out := p.output(); !strings.Contains(out, "makegood has stopped") || strings.Contains(out, "level=ERROR") {
				t.Errorf("the output of a server that started and stopped:\n%s", out)
			}
		}
		if limit := makegood.ShutdownTimeout; slices.Max(stopping) > limit {
			t.Errorf("an idle server took %v to stop, want at most %v", slices.Max(stopping), limit)
		}
		t.Logf("start to ready on a new database %v, on an old one %v to %v; idle memory %d to %d MiB; stop %v to %v",
			round(ready[0]), round(slices.Min(ready[1:])), round(slices.Max(ready[1:])), slices.Min(memory)/1024, slices.Max(memory)/1024,
			round(slices.Min(stopping)), round(slices.Max(stopping)))
	})
}

func round(d time.Duration) time.Duration { return d.Round(time.Millisecond) }

var residentLine = regexp.MustCompile(`VmRSS:\s+(\d+) kB`)

// residentKiB is the memory of a process, or 0 where the system does not tell.
func residentKiB(p *process) int {
	status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	match := residentLine.FindSubmatch(status)
	if match == nil {
		return 0
	}
	n, _ := strconv.Atoi(string(match[1])) // digits
	return n
}

// TestStopUnderLoad stops the server as a deployment does, in the middle of work, and starts it again: what runs is
// finished, what waits goes on, and nothing has to be rescued.
func TestStopUnderLoad(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, database string) {
		w := newWorld(t, database, simulate.StripeOptions{})
		w.stripe.SetFaults(simulate.Faults{ConstantRetry: deliveryRetry})
		w.resend.SetFaults(simulate.ResendFaults{Latency: 300 * time.Millisecond})
		first := w.openShop(t)
		const orders = 40
		for i := range orders {
			if err := w.stripe.Pay(w.linkedSession(), simulate.Customer{Email: fmt.Sprintf("ann-%d@example.com", i)}); err != nil {
				t.Fatal(err)
			}
		}
		if err := eventually(t.Context(), startLimit, func() error {
			if w.resend.Calls() == 0 {
				return fmt.Errorf("no mail is on its way")
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		if code, err := first.stop(); code != 0 || err != nil {
			t.Fatalf("stop under load = exit code %d, %v, want 0", code, err)
		}
		sent, calls := w.resend.Count(), w.resend.Calls()
		if sent != calls {
			t.Errorf("%d mails were accepted in %d calls: the stop cut some off", sent, calls)
		}
		second := w.openShop(t)
		if err := eventually(t.Context(), startLimit, func() error {
			if n := w.resend.Count(); n != orders {
				return fmt.Errorf("%d of %d mails were sent", n, orders)
			}
			return nil
		}); err != nil {
			t.Error(err)
		}
		if code, err := second.stop(); code != 0 || err != nil {
			t.Errorf("second stop = exit code %d, %v, want 0", code, err)
		}
		if out := second.output(); strings.Contains(out, "jobs of a killed process") {
			t.Errorf("after a stop in good order jobs had to be rescued:\n%s", tail(out))
		}
		if n, calls := w.resend.Count(), w.resend.Calls(); n != orders || calls != orders {
			t.Errorf("%d mails in %d calls, want %d of each", n, calls, orders)
		}
		t.Logf("%d of %d mails were sent when the first server had stopped", sent, orders)
	})
}

// TestRefusals starts the program where it cannot work, and wants the reason and the right exit code.
func TestRefusals(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { taken.Close() })
	for _, tt := range []struct {
		name  string
		spoil func(t *testing.T, w *world) []string // returns the arguments
		code  int
		says  []string
	}{
		{"no arguments", func(*testing.T, *world) []string { return nil }, 2, []string{"Usage: makegood"}},
		{"unknown command", func(*testing.T, *world) []string { return []string{"frobnicate"} }, 2, []string{"frobnicate", "--help"}},
		{"no configuration", func(_ *testing.T, w *world) []string { return []string{"serve", "-c", w.config + ".nosuch"} }, 1,
			[]string{"does not exist", "makegood init"}},
		{"port in use", func(t *testing.T, w *world) []string {
			w.rewrite(t, "listen: .*", "listen: "+taken.Addr().String())
			return []string{"serve", "-c", w.config}
		}, 1, []string{"The address is taken by another program", taken.Addr().String()}},
		{"database is a folder", func(t *testing.T, w *world) []string {
			w.rewrite(t, "database: .*", "database: sqlite:"+t.TempDir())
			return []string{"serve", "-c", w.config}
		}, 1, []string{"database"}},
		{"no such database server", func(t *testing.T, w *world) []string {
			w.rewrite(t, "database: .*", "database: postgres://makegood:hunter2@127.0.0.1:1/makegood")
			return []string{"serve", "-c", w.config}
		}, 1, []string{"127.0.0.1"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, storetest.SQLite(t), simulate.StripeOptions{})
			code, out := runToEnd(t, w.env, tt.spoil(t, w)...)
			if code != tt.code {
				t.Errorf("exit code %d, want %d", code, tt.code)
			}
			for _, words := range tt.says {
				if !strings.Contains(out, words) {
					t.Errorf("the output lacks %q:\n%s", words, out)
				}
			}
			if strings.Contains(out, "hunter2") || strings.Contains(out, "goroutine") {
				t.Errorf("the output has a secret or a stack in it:\n%s", out)
			}
		})
	}
}

// rewrite replaces a line of the configuration.
func (w *world) rewrite(t *testing.T, pattern, line string) {
	t.Helper()
	text, err := os.ReadFile(w.config)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(w.config, regexp.MustCompile("(?m)^"+pattern+"$").ReplaceAll(text, []byte(line)), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestUnwritable starts the program, as somebody without rights, where its database cannot be made or written to.
func TestUnwritable(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name     string
		existing bool
	}{{"new database in a folder for reading only", false}, {"old database for reading only", true}} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			w := newWorld(t, "sqlite:"+filepath.Join(dir, "makegood.db"), simulate.StripeOptions{})
			if tt.existing {
				if code, err := w.openShop(t).stop(); code != 0 || err != nil {
					t.Fatalf("stop = %d, %v", code, err)
				}
				for _, file := range []string{"makegood.db", "makegood.db.lock"} {
					if err := os.Chmod(filepath.Join(dir, file), 0o444); err != nil {
						t.Fatal(err)
					}
				}
			}
			before := listing(t, dir)
			if err := os.Chmod(dir, 0o555); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { os.Chmod(dir, 0o755) }) //nolint:errcheck // only so that the folder can be removed
			cmd := exec.Command(program(t), "serve", "-c", w.config)
			asNobody(t, cmd, w.config)
			p := launch(t, cmd, w.env)
			code, err := p.wait(startLimit)
			if code != 1 || err != nil {
				t.Errorf("exit code %d, %v, want 1", code, err)
			}
			if out := p.output(); !strings.Contains(out, "This user may not do that") || !strings.Contains(out, "permission denied") {
				t.Errorf("the output does not name the reason:\n%s", out)
			}
			if after := listing(t, dir); !slices.Equal(before, after) {
				t.Errorf("the folder has %v now, had %v", after, before)
			}
		})
	}
}

func listing(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// asNobody lets root's tests run the program as a user without rights: to root every folder is open.
func asNobody(t *testing.T, cmd *exec.Cmd, readable ...string) {
	t.Helper()
	if os.Getuid() != 0 {
		return
	}
	const nobody = 65534
	cmd.SysProcAttr = dieWithParent()
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Credential = &syscall.Credential{Uid: nobody, Gid: nobody}
	cmd.Dir = "/"
	for _, path := range append(readable, cmd.Path) {
		if err := os.Chmod(path, 0o755); err != nil {
			t.Fatal(err)
		}
		for dir := filepath.Dir(path); dir != filepath.Clean(os.TempDir()) && dir != "/"; dir = filepath.Dir(dir) {
			if err := os.Chmod(dir, 0o755); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestOrder buys through the built program as a customer with a browser does, over HTTP only.
func TestOrder(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, database string) {
		w := newWorld(t, database, simulate.StripeOptions{RedirectWait: 5 * time.Second})
		server := w.openShop(t)
		session, page := w.buyOnPages(t, "az-900", "ann@example.com", "card")
		key := keyOf(session)
		if !strings.Contains(page, key) {
			t.Errorf("the page after paying lacks the key %s:\n%s", key, page)
		}

		var inbox []simulate.Mail
		if err := eventually(t.Context(), startLimit, func() error {
			if inbox = w.resend.Inbox("ann@example.com"); len(inbox) != 1 {
				return fmt.Errorf("there are %d mails, want 1", len(inbox))
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(inbox[0].Text, key) || !strings.Contains(inbox[0].HTML, key) {
			t.Errorf("the mail lacks the key %s:\n%s", key, inbox[0].Text)
		}
		status, purchase, err := w.verify(t.Context(), http.DefaultClient, session)
		if status != http.StatusOK || err != nil || purchase.Payment != "paid" || len(purchase.Licenses) != 1 || purchase.Licenses[0].Key != key {
			t.Errorf("verify = %d, %+v, %v, want paid and the key %s", status, purchase, err, key)
		}
		asked, _ := json.Marshal(map[string]string{"key": strings.ToLower(key), "product": "az-900"}) // strings encode
		if status, answer, err := call(t.Context(), http.DefaultClient, http.MethodPost, w.url+"/api/licenses/validate", asked); status != http.StatusOK ||
			!bytes.Contains(answer, []byte(`"VALID"`)) || err != nil {
			t.Errorf("validate = %d %s, %v, want VALID", status, answer, err)
		}
		w.ordersBesideTheServer(t, session, key)
		if code, err := server.stop(); code != 0 || err != nil {
			t.Errorf("stop = exit code %d, %v, want 0", code, err)
		}
	})
}

// ordersBesideTheServer looks at the order by the command line while the server runs.
func (w *world) ordersBesideTheServer(t *testing.T, session, key string) {
	t.Helper()
	for _, quoted := range []string{"ann@example.com", session, key} {
		var out string
		err := eventually(t.Context(), startLimit, func() error { // the receipt of the mail comes a moment after the mail
			var code int
			code, out = runToEnd(t, w.env, "orders", "show", quoted, "-c", w.config)
			if code != 0 || !strings.Contains(out, "Fulfilment   fulfilled, ") || !strings.Contains(out, key) {
				return fmt.Errorf("orders show %s: exit code %d\n%s", quoted, code, out)
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	}
	code, out := runToEnd(t, w.env, "orders", "list", "--json", "-c", w.config)
	var orders []struct {
		SessionID   string `json:"session_id"`
		Fulfillment string `json:"fulfillment"`
	}
	if err := json.Unmarshal([]byte(out), &orders); code != 0 || err != nil || len(orders) != 1 || orders[0].SessionID != session || orders[0].Fulfillment != "fulfilled" {
		t.Errorf("orders list --json = exit code %d, %v\n%s", code, err, out)
	}
}

// buyOnPages asks the server for a session, opens the provider's page, pays there, and follows the way back to the shop.
// It returns the session and the page on which the customer ends.
func (w *world) buyOnPages(t *testing.T, product, email, method string) (session, page string) {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	browser := &http.Client{Jar: jar, Timeout: startLimit}
	session, err = w.checkout(t.Context(), browser, product)
	if err != nil {
		t.Fatal(err)
	}
	paying := w.stripeURL + "/pay/" + session
	if status, form, err := get(t.Context(), browser, paying); status != http.StatusOK || err != nil || !bytes.Contains(form, []byte("<form")) {
		t.Fatalf("the provider's page = %d, %v:\n%s", status, err, form)
	}
	response, err := browser.PostForm(paying, url.Values{"email": {email}, "name": {"Ann Example"}, "method": {method}})
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var end bytes.Buffer
	if _, err := end.ReadFrom(response.Body); err != nil {
		t.Fatal(err)
	}
	if want := w.url + "/thanks?session_id=" + session; response.StatusCode != http.StatusOK || response.Request.URL.String() != want {
		t.Fatalf("after paying the customer is at %s with %d, want %s", response.Request.URL, response.StatusCode, want)
	}
	return session, end.String()
}
