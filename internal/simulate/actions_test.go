package simulate

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

const actionsPath = "/repos/" + ActionsRepo + "/actions/workflows/" + ActionsWorkflow

// actionsRuns lists the runs as a client sees them.
func actionsRuns(t *testing.T, c *http.Client, query string) []ActionsRun {
	t.Helper()
	var said struct {
		Runs []ActionsRun `json:"workflow_runs"`
	}
	got := do(t, c, "GET", "http://github"+actionsPath+"/runs"+query, ActionsToken, "")
	if err := json.Unmarshal([]byte(got.Body), &said); err != nil {
		t.Fatalf("%d %s: %v", got.Status, got.Body, err)
	}
	return said.Runs
}

func TestActionsRun(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var asked []string
		a := NewActions(ActionsOptions{Queued: 3 * time.Second, Duration: 40 * time.Second, Hidden: 2 * time.Second, Run: func(inputs map[string]string) bool {
			asked = append(asked, inputs["attempt"]+" "+inputs["target"])
			return inputs["attempt"] != "bad"
		}})
		defer a.Close()
		c := &http.Client{Transport: Transport{a}}
		if got := do(t, c, "POST", "http://github"+actionsPath+"/dispatches", ActionsToken, `{"ref":"main","inputs":{"attempt":"good","target":"shop"}}`); got.Status != 204 || got.Body != "" {
			t.Fatalf("dispatch = %d %q", got.Status, got.Body)
		}
		if runs := actionsRuns(t, c, ""); len(runs) != 0 {
			t.Errorf("the run is listed at once: %+v", runs)
		}
		time.Sleep(3*time.Second - 1)
		for _, step := range []struct {
			after              time.Duration
			status, conclusion string
		}{{0, "queued", ""}, {2, "in_progress", ""}, {40 * time.Second, "completed", "success"}} {
			time.Sleep(step.after)
			synctest.Wait()
			runs := actionsRuns(t, c, "?event=workflow_dispatch&per_page=1")
			if len(runs) != 1 || runs[0].Status != step.status || runs[0].Conclusion != step.conclusion || runs[0].Title != "restore good" {
				t.Errorf("runs = %+v, want %s %s", runs, step.status, step.conclusion)
			}
		}
		got := do(t, c, "POST", "http://github"+actionsPath+"/dispatches", ActionsToken, `{"ref":"main","inputs":{"attempt":"bad"},"return_run_details":true}`)
		if got.Status != 200 || !strings.Contains(got.Body, `"workflow_run_id":9000000002`) {
			t.Errorf("dispatch with details = %d %s", got.Status, got.Body)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := do(t, c, "GET", "http://github/repos/"+ActionsRepo+"/actions/runs/9000000002", ActionsToken, ""); !strings.Contains(got.Body, `"conclusion":"failure"`) {
			t.Errorf("the second run = %s", got.Body)
		}
		if runs := actionsRuns(t, c, "?created=%3E%3D"+time.Now().Add(-70*time.Second).UTC().Format(time.RFC3339)); len(runs) != 1 || runs[0].ID != 9_000_000_002 {
			t.Errorf("runs of the last 70 seconds = %+v", runs)
		}
		if runs := actionsRuns(t, c, "?per_page=1&page=2"); len(runs) != 1 || runs[0].ID != 9_000_000_001 {
			t.Errorf("the second page = %+v", runs)
		}
		if got := strings.Join(asked, ", "); got != "good shop, bad " {
			t.Errorf("the workflow did %q", got)
		}
		if runs := a.Runs(); len(runs) != 2 || len(a.Log()) != 2 || runs[0].Inputs["target"] != "shop" {
			t.Errorf("Runs = %+v", runs)
		}
	})
}

// TestActionsClose: a run that works when the world ends stays where it is, and nobody is left behind.
func TestActionsClose(t *testing.T) {
	t.Parallel()
	a := NewActions(ActionsOptions{Duration: time.Hour})
	c := &http.Client{Transport: Transport{a}}
	do(t, c, "POST", "http://github"+actionsPath+"/dispatches", ActionsToken, `{"ref":"main","inputs":{"attempt":"x"}}`)
	a.Close()
	a.Close()
	if runs := a.Runs(); len(runs) != 1 || runs[0].Status == "completed" {
		t.Errorf("Runs = %+v", runs)
	}
}

func TestActionsRefusals(t *testing.T) {
	t.Parallel()
	const good = `{"ref":"main","inputs":{"attempt":"x"}}`
	for _, tt := range []struct {
		name         string
		change       func(*Actions)
		method, path string
		key, body    string
		status       int
		says         string
	}{
		{"token", nil, "GET", actionsPath, "wrong", "", 401, "Bad credentials"},
		{"expired", func(a *Actions) { a.Expire(time.Now().Add(-time.Second)) }, "GET", actionsPath, ActionsToken, "", 401, "Bad credentials"},
		{"address", func(a *Actions) { a.Deny(ActionsFromHere) }, "GET", actionsPath, ActionsToken, "", 403, "IP allow list"},
		{"sign-on", func(a *Actions) { a.Deny(ActionsSAML) }, "GET", actionsPath, ActionsToken, "", 403, "SAML"},
		{"limit", func(a *Actions) { a.Deny(ActionsLimit) }, "GET", actionsPath, ActionsToken, "", 403, "rate limit"},
		{"permission to look", func(a *Actions) { a.Deny(ActionsPermission) }, "GET", actionsPath, ActionsToken, "", 200, "active"},
		{"permission to act", func(a *Actions) { a.Deny(ActionsPermission) }, "POST", actionsPath + "/dispatches", ActionsToken, good, 403, "Resource not accessible"},
		{"down", func(a *Actions) { a.SetFaults(AlertFaults{Fail: func(*http.Request) int { return 503 }}) }, "GET", actionsPath, ActionsToken, "", 503, "Server Error"},
		{"repository", nil, "GET", "/repos/shop/other", ActionsToken, "", 404, "Not Found"},
		{"workflow", nil, "GET", "/repos/" + ActionsRepo + "/actions/workflows/other.yml", ActionsToken, "", 404, "Not Found"},
		{"run", nil, "GET", "/repos/" + ActionsRepo + "/actions/runs/1", ActionsToken, "", 404, "Not Found"},
		{"page", nil, "GET", "/x", ActionsToken, "", 404, "Not Found"},
		{"nonsense", nil, "POST", actionsPath + "/dispatches", ActionsToken, "x", 422, "JSON"},
		{"branch", nil, "POST", actionsPath + "/dispatches", ActionsToken, `{"ref":"x","inputs":{"attempt":"x"}}`, 422, "No ref found"},
		{"no attempt", nil, "POST", actionsPath + "/dispatches", ActionsToken, `{"ref":"main"}`, 422, "Required input"},
		{"unknown input", nil, "POST", actionsPath + "/dispatches", ActionsToken, `{"ref":"main","inputs":{"attempt":"x","y":"z"}}`, 422, "Unexpected inputs"},
		{"switched off", func(a *Actions) { a.SetState("disabled_manually") }, "POST", actionsPath + "/dispatches", ActionsToken, good, 422, "disabled workflow"},
		{"old server", func(a *Actions) { a.o.Old = true }, "POST", actionsPath + "/dispatches", ActionsToken, `{"ref":"main","return_run_details":true}`, 422, "return_run_details"},
		{"time", nil, "GET", actionsPath + "/runs?created=yesterday", ActionsToken, "", 422, "Validation"},
	} {
		a := NewActions(ActionsOptions{})
		if tt.change != nil {
			tt.change(a)
		}
		server := httptest.NewServer(a)
		got := do(t, server.Client(), tt.method, server.URL+tt.path, tt.key, tt.body)
		if got.Status != tt.status || !strings.Contains(got.Body, tt.says) {
			t.Errorf("%s: %s %s = %d %s, want %d with %q", tt.name, tt.method, tt.path, got.Status, got.Body, tt.status, tt.says)
		}
		if len(a.Runs()) != 0 {
			t.Errorf("%s: a run was begun", tt.name)
		}
		server.Close()
		a.Close()
	}
}
