package config_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
)

func deployed(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "..", "deploy", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestUnitsAreShutIn holds what a systemd unit of ours always has: it is restarted when it hangs, and can reach little.
func TestUnitsAreShutIn(t *testing.T) {
	t.Parallel()
	for name, run := range map[string]string{"makegood": "serve -c /etc/makegood/makegood.yaml", "makegood-watch": "watch -w /etc/makegood-watch/watch.yaml"} {
		unit := deployed(t, name+".service")
		for _, line := range []string{"Type=notify", "WatchdogSec=30", "Restart=always", "ExecStart=/usr/local/bin/makegood " + run, "StateDirectory=" + name,
			"NoNewPrivileges=yes", "CapabilityBoundingSet=", "ProtectSystem=strict", "ProtectHome=yes", "PrivateTmp=yes", "MemoryDenyWriteExecute=yes",
			"RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX AF_NETLINK", "SystemCallFilter=@system-service"} {
			if !strings.Contains(unit, "\n"+line+"\n") {
				t.Errorf("%s.service has no line %s", name, line)
			}
		}
		if secret := regexp.MustCompile(`(?m)^(Environment|SetCredential)=`).FindString(unit); secret != "" {
			t.Errorf("%s.service has %s, want secrets by LoadCredential only", name, secret)
		}
	}
}

// TestWorkflowsAreSound holds that the workflows can be read, end, and paste nothing of others into a command.
func TestWorkflowsAreSound(t *testing.T) {
	t.Parallel()
	for name, run := range map[string]string{"payment-health": "makegood watch --once -w watch.yaml", "post-deploy-smoke": `makegood smoke --url "$SHOP_URL"`,
		"auto-restore": `makegood restore-env "$TARGET" -w watch.yaml`} {
		var w struct {
			Jobs map[string]struct {
				Timeout int `yaml:"timeout-minutes"`
				Steps   []struct {
					Run string `yaml:"run"`
				} `yaml:"steps"`
			} `yaml:"jobs"`
		}
		if err := yaml.Unmarshal([]byte(deployed(t, filepath.Join("github", name+".yml"))), &w); err != nil {
			t.Fatal(err)
		}
		found := false
		for _, job := range w.Jobs {
			if job.Timeout == 0 {
				t.Errorf("%s: a job has no end", name)
			}
			for _, step := range job.Steps {
				found = found || step.Run == run
				if strings.Contains(step.Run, "${{") {
					t.Errorf("%s: %q pastes a value into a command", name, step.Run)
				}
			}
		}
		if !found {
			t.Errorf("%s does not run %s", name, run)
		}
	}
}

// TestAutoRestoreIsFound holds what the watcher needs of the workflow that it starts: the inputs that it gives, the attempt in
// the title, by which it finds the run, and one run at a time.
func TestAutoRestoreIsFound(t *testing.T) {
	t.Parallel()
	var w struct {
		RunName string `yaml:"run-name"`
		On      map[string]struct {
			Inputs map[string]any `yaml:"inputs"`
		} `yaml:"on"`
		Permissions map[string]string `yaml:"permissions"`
		Concurrency struct {
			Group  string `yaml:"group"`
			Cancel bool   `yaml:"cancel-in-progress"`
		} `yaml:"concurrency"`
	}
	if err := yaml.Unmarshal([]byte(deployed(t, filepath.Join("github", "auto-restore.yml"))), &w); err != nil {
		t.Fatal(err)
	}
	if want := "restore ${{ inputs.attempt }}"; w.RunName != want {
		t.Errorf("run-name = %q, want %q", w.RunName, want)
	}
	inputs := w.On["workflow_dispatch"].Inputs
	if len(w.On) != 1 || len(inputs) != 2 || inputs["attempt"] == nil || inputs["target"] == nil {
		t.Errorf("it is started by %v, want workflow_dispatch with the inputs attempt and target", w.On)
	}
	if len(w.Permissions) != 1 || w.Permissions["contents"] != "read" {
		t.Errorf("permissions = %v, want contents: read alone", w.Permissions)
	}
	if w.Concurrency.Group == "" || w.Concurrency.Cancel {
		t.Errorf("concurrency = %+v, want one at a time, and none broken off", w.Concurrency)
	}
}
