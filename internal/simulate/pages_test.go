package simulate

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

const (
	pagesBase   = "http://cloudflare.test/client/v4"
	pagesPath   = "/accounts/" + PagesAccount + "/pages/projects/shop"
	oldKey      = "Sn3lZJTBX6kkg7OdcBUAxOO963GEIyGQqnFTOFYY"
	accountKey  = "cfat_simulatedsimulatedsimulatedsimulated00000002"
	secretValue = "sk_live_a-secret-that-must-not-be-seen"
)

// cloud is a pretend Cloudflare in a test, called without a network.
type cloud struct {
	*Pages
	client *http.Client
}

func newCloud(o PagesOptions) cloud {
	p := NewPages(o)
	return cloud{p, &http.Client{Transport: Transport{Handler: p}}}
}

// pagesSaid is an answer of the API.
type pagesSaid struct {
	Status  int
	Success bool
	Errors  []struct {
		Code  int
		Chain []struct{ Code int } `json:"error_chain"`
	}
	Result json.RawMessage
	Info   map[string]int `json:"result_info"`
	body   string
}

func (s pagesSaid) code() int {
	if len(s.Errors) == 0 {
		return 0
	}
	return s.Errors[0].Code
}

func (s pagesSaid) into(t *testing.T, v any) {
	t.Helper()
	if err := json.Unmarshal(s.Result, v); err != nil {
		t.Fatalf("result of %s: %v", s.body, err)
	}
}

func (c cloud) ask(t *testing.T, key, method, path, body string) pagesSaid {
	t.Helper()
	got := do(t, c.client, method, pagesBase+path, key, body)
	said := pagesSaid{Status: got.Status, body: got.Body}
	if err := json.Unmarshal([]byte(got.Body), &said); err != nil {
		t.Fatalf("%s %s = %d %s: %v", method, path, got.Status, got.Body, err)
	}
	if said.Success != (got.Status == 200) {
		t.Errorf("%s %s = %d with success %v", method, path, got.Status, said.Success)
	}
	return said
}

type shownDeployment struct {
	ID          string
	Environment string
	Stage       struct{ Name, Status string } `json:"latest_stage"`
	Stages      []struct{ Name, Status string }
	Skipped     bool                                    `json:"is_skipped"`
	Variables   map[string]struct{ Type, Value string } `json:"env_vars"`
	Trigger     struct {
		Type     string
		Metadata struct {
			Hash string `json:"commit_hash"`
		}
	} `json:"deployment_trigger"`
}

type shownProject struct {
	Canonical *shownDeployment `json:"canonical_deployment"`
	Latest    *shownDeployment `json:"latest_deployment"`
	Configs   map[string]struct {
		Variables map[string]struct{ Type, Value string } `json:"env_vars"`
		Hash      string                                  `json:"wrangler_config_hash"`
	} `json:"deployment_configs"`
}

func (c cloud) project(t *testing.T) (shown shownProject) {
	t.Helper()
	c.ask(t, PagesKey, "GET", pagesPath, "").into(t, &shown)
	return shown
}

func (c cloud) deployment(t *testing.T, id string) (shown shownDeployment) {
	t.Helper()
	c.ask(t, PagesKey, "GET", pagesPath+"/deployments/"+id, "").into(t, &shown)
	return shown
}

func patch(variables string) string {
	return `{"deployment_configs":{"production":{"env_vars":` + variables + `}}}`
}

func TestPagesMergesVariables(t *testing.T) {
	t.Parallel()
	c := newCloud(PagesOptions{Projects: []PagesProject{{Name: "shop", Secrets: map[string]string{"KEPT": "1", "GONE": "2"}, Plain: map[string]string{"OPEN": "3"}}}})
	c.ask(t, PagesKey, "PATCH", pagesPath, patch(`{"NEW":{"type":"secret_text","value":"`+secretValue+`"},"SHOWN":{"type":"plain_text","value":""},"GONE":null}`))
	want := map[string]PagesVariable{"KEPT": {Value: "1"}, "OPEN": {Value: "3", Plain: true}, "NEW": {Value: secretValue}, "SHOWN": {Plain: true}}
	if diff := cmp.Diff(c.Variables(), want); diff != "" {
		t.Errorf("variables (-got +want):\n%s", diff)
	}
	shown := c.project(t).Configs["production"].Variables
	if shown["NEW"] != (struct{ Type, Value string }{"secret_text", ""}) || shown["OPEN"].Value != "3" || shown["OPEN"].Type != "plain_text" {
		t.Errorf("shown = %v, want the secret without its value and the plain one with it", shown)
	}
	writes := c.Writes()
	if len(writes) != 1 {
		t.Fatalf("writes = %v, want one", writes)
	}
	w := writes[0]
	w.At = time.Time{}
	if diff := cmp.Diff(w, PagesWrite{Action: "write", Project: "shop", Set: []string{"NEW", "SHOWN"}, Plain: []string{"SHOWN"}, Empty: []string{"SHOWN"}, Deleted: []string{"GONE"},
		Shape:  patch(`{"GONE":null,"NEW":{"type":"string","value":"string"},"SHOWN":{"type":"string","value":"string"}}`),
		Status: 200}); diff != "" {
		t.Errorf("write (-got +want):\n%s", diff)
	}
}

func TestPagesRefusesABodyWithAMistakeAsAWhole(t *testing.T) {
	t.Parallel()
	for _, body := range []string{`{`, patch(`{"A":{"type":"secret_text","value":"1"},"B":{"type":"secret_text"}}`), patch(`{"A":{"type":"secret","value":"1"}}`),
		`{"deployment_configs":{"staging":{"env_vars":{"A":{"type":"secret_text","value":"1"}}}}}`} {
		c := newCloud(PagesOptions{})
		if got := c.ask(t, PagesKey, "PATCH", pagesPath, body); got.Status != 400 || len(c.Variables()) != 0 {
			t.Errorf("PATCH %s = %d, variables %v, want 400 and none", body, got.Status, c.Variables())
		}
	}
}

// A build takes its time, and what it finds is what was there when it left the queue.
func TestPagesBuilds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var live []string
		c := newCloud(PagesOptions{Live: func(d PagesDeployment) { live = append(live, d.Commit+" "+strings.Join(d.Environment(), ",")) }})
		c.SetSecret("A", "1")
		time.Sleep(time.Second)
		id := c.Deploy("two")
		if d := c.deployment(t, id); d.Stage.Name != "queued" || d.Stage.Status != "active" || d.Variables["A"].Type != "" {
			t.Errorf("at the beginning: %+v", d)
		}
		c.SetSecret("B", "2") // while it is in the queue
		time.Sleep(20 * time.Second)
		d := c.deployment(t, id)
		if d.Stage.Name != "build" || d.Stages[1].Status != "success" || d.Stages[4].Status != "idle" {
			t.Errorf("after 20 seconds: %+v", d)
		}
		c.SetSecret("C", "3") // too late for it
		if got := c.project(t).Canonical.Trigger.Metadata.Hash; got != "initial" {
			t.Errorf("live during the build = %s, want the one before", got)
		}
		time.Sleep(26 * time.Second)
		if d := c.deployment(t, id); d.Stage.Name != "deploy" || d.Stage.Status != "success" || d.Environment != "production" {
			t.Errorf("after 46 seconds: %+v", d)
		}
		if got := c.project(t).Canonical.ID; got != id {
			t.Errorf("live = %s, want %s", got, id)
		}
		if diff := cmp.Diff(live, []string{"initial ", "two A=1,B=2"}); diff != "" {
			t.Errorf("Live heard (-got +want):\n%s", diff)
		}
	})
}

func TestPagesRetriesWithTheVariablesOfNowAndRollsBackToThoseOfThen(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var live []string
		c := newCloud(PagesOptions{Projects: []PagesProject{{Name: "shop", Secrets: map[string]string{"A": "1"}, Commit: "one"}},
			Live: func(d PagesDeployment) { live = append(live, d.Commit+" "+strings.Join(d.Environment(), ",")) }})
		first := c.Deployments()[0].ID
		c.SetSecret("A", "2")
		var again shownDeployment
		c.ask(t, PagesKey, "POST", pagesPath+"/deployments/"+first+"/retry", "").into(t, &again)
		if again.ID == first || again.Trigger.Metadata.Hash != "one" || again.Trigger.Type != "ad_hoc" {
			t.Errorf("retry = %+v, want another deployment of the same commit", again)
		}
		time.Sleep(time.Minute)
		c.ask(t, PagesKey, "POST", pagesPath+"/deployments/"+first+"/rollback", "")
		c.ask(t, PagesKey, "POST", pagesPath+"/deployments/"+first+"/rollback", "") // changes nothing
		if diff := cmp.Diff(live, []string{"one A=1", "one A=2", "one A=1"}); diff != "" {
			t.Errorf("Live heard (-got +want):\n%s", diff)
		}
		if got := c.project(t); got.Canonical.ID != first || got.Latest.ID != again.ID {
			t.Errorf("live %s, latest %s; want %s and %s", got.Canonical.ID, got.Latest.ID, first, again.ID)
		}
		preview := c.DeployPreview("three")
		time.Sleep(time.Minute)
		for _, id := range []string{preview, c.Skip("four")} {
			if got := c.ask(t, PagesKey, "POST", pagesPath+"/deployments/"+id+"/rollback", ""); got.Status != 400 {
				t.Errorf("rollback to a preview or a skipped one = %d, want 400", got.Status)
			}
		}
		if len(live) != 3 {
			t.Errorf("Live heard %v, and a preview or a skipped one must not live", live)
		}
	})
}

// The user's worst failure: a deploy of a project with a wrangler file takes the plain variables away.
func TestPagesWithAProjectFileLosesPlainVariables(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCloud(PagesOptions{Projects: []PagesProject{{Name: "shop", Secrets: map[string]string{"SECRET": "1"}, Plain: map[string]string{"PLAIN": "2"},
			ProjectFile: map[string]string{"FROM_FILE": "3", "SECRET": "not this"}}}})
		if got := c.project(t).Configs["production"].Hash; got == "" {
			t.Error("a project with a file has no wrangler_config_hash")
		}
		c.Deploy("two")
		time.Sleep(time.Minute)
		want := map[string]PagesVariable{"SECRET": {Value: "1"}, "FROM_FILE": {Value: "3", Plain: true}}
		running, _ := c.Running()
		if diff := cmp.Diff(running.Variables, want); diff != "" {
			t.Errorf("baked (-got +want):\n%s", diff)
		}
		if diff := cmp.Diff(c.Variables(), want); diff != "" {
			t.Errorf("kept (-got +want):\n%s", diff)
		}
	})
}

func TestPagesOvertakenDoesNotLive(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCloud(PagesOptions{})
		c.SetFaults(PagesFaults{BuildTakes: 2 * time.Minute})
		slow := c.Deploy("slow")
		c.SetFaults(PagesFaults{})
		fast := c.Deploy("fast")
		time.Sleep(time.Minute)
		if got := c.deployment(t, slow).Stage; got.Status != "active" {
			t.Errorf("the slow one after a minute: %+v, want it under way", got)
		}
		time.Sleep(2 * time.Minute)
		if running, _ := c.Running(); running.ID != fast || c.deployment(t, slow).Stage.Status != "success" {
			t.Errorf("live = %+v, want the newer one", running)
		}
	})
}

func TestPagesListsDeployments(t *testing.T) {
	t.Parallel()
	c := newCloud(PagesOptions{})
	c.DeployPreview("preview")
	for range 29 {
		c.Deploy("more")
	}
	for _, tt := range []struct {
		query                string
		count, total, status int
	}{
		{"", 25, 31, 200}, {"?env=production", 25, 30, 200}, {"?env=preview", 1, 1, 200}, {"?env=production&page=2", 5, 30, 200},
		{"?env=production&page=9", 0, 30, 200}, {"?per_page=26", 0, 0, 400}, {"?per_page=x", 0, 0, 400},
	} {
		got := c.ask(t, PagesKey, "GET", pagesPath+"/deployments"+tt.query, "")
		var list []shownDeployment
		got.into(t, &list)
		if got.Status != tt.status || len(list) != tt.count || got.Info["total_count"] != tt.total {
			t.Errorf("list %s = %d with %d of %d, want %d with %d of %d", tt.query, got.Status, len(list), got.Info["total_count"], tt.status, tt.count, tt.total)
		}
	}
}

func TestPagesTokens(t *testing.T) {
	t.Parallel()
	full := PagesToken{Name: "t", Value: PagesKey, Read: true, Write: true}
	with := func(change func(*PagesToken)) PagesToken {
		t := full
		change(&t)
		return t
	}
	for _, tt := range []struct {
		name                      string
		token                     PagesToken
		user, account, read, edit int // codes; 0 is success
		status                    string
	}{
		{"of a user", full, 0, 1000, 0, 0, "active"},
		{"old, of a user", with(func(t *PagesToken) { t.Value = oldKey }), 0, 1000, 0, 0, "active"},
		{"old, of the account", with(func(t *PagesToken) { t.Value, t.OfAccount = oldKey, true }), 1000, 0, 0, 0, "active"},
		{"of the account", with(func(t *PagesToken) { t.Value = accountKey }), 1000, 0, 0, 0, "active"},
		{"global key", with(func(t *PagesToken) { t.Value = "144c9defac04969c7bfad8efaa8ea1940abcd" }), 6003, 6003, 6003, 6003, ""},
		{"new global key", with(func(t *PagesToken) { t.Value = "cfk_simulatedsimulatedsimulatedsimulated00000003" }), 6003, 6003, 6003, 6003, ""},
		{"cut", with(func(t *PagesToken) { t.Value = oldKey[:39] }), 6003, 6003, 6003, 6003, ""},
		{"may only read", with(func(t *PagesToken) { t.Write = false }), 0, 1000, 0, 10000, "active"},
		{"may only write", with(func(t *PagesToken) { t.Read = false }), 0, 1000, 0, 0, "active"},
		{"may nothing", with(func(t *PagesToken) { t.Read, t.Write = false, false }), 0, 1000, 10000, 10000, "active"},
		{"disabled", with(func(t *PagesToken) { t.State = PagesTokenDisabled }), 0, 1000, 10000, 10000, "disabled"},
		{"expired", with(func(t *PagesToken) { t.State = PagesTokenExpired }), 0, 1000, 10000, 10000, "expired"},
		{"not yet", with(func(t *PagesToken) { t.State = PagesTokenNotYet }), 0, 1000, 10000, 10000, "active"},
		{"deleted", with(func(t *PagesToken) { t.State = PagesTokenDeleted }), 1000, 1000, 1000, 1000, ""},
		{"from elsewhere", with(func(t *PagesToken) { t.Addresses = []string{"203.0.113.0/24"} }), 9109, 9109, 9109, 9109, ""},
		{"from here", with(func(t *PagesToken) { t.Addresses = []string{"203.0.113.0/24", "127.0.0.0/8"} }), 0, 1000, 0, 0, "active"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := newCloud(PagesOptions{Tokens: []PagesToken{tt.token}})
			key := tt.token.Value
			user := c.ask(t, key, "GET", "/user/tokens/verify", "")
			account := c.ask(t, key, "GET", "/accounts/"+PagesAccount+"/tokens/verify", "")
			got := []int{user.code(), account.code(), c.ask(t, key, "GET", pagesPath, "").code(),
				c.ask(t, key, "PATCH", pagesPath, patch(`{"A":{"type":"secret_text","value":"1"}}`)).code()}
			if diff := cmp.Diff(got, []int{tt.user, tt.account, tt.read, tt.edit}); diff != "" {
				t.Errorf("codes of verify by user and account, read, write (-got +want):\n%s", diff)
			}
			var verified struct{ Status string }
			if user.code() == 0 {
				user.into(t, &verified)
			} else if account.code() == 0 {
				account.into(t, &verified)
			}
			if verified.Status != tt.status {
				t.Errorf("status = %q, want %q", verified.Status, tt.status)
			}
			if strings.Contains(user.body+account.body, key) {
				t.Error("the answer repeats the token")
			}
		})
	}
	c := newCloud(PagesOptions{})
	malformed := c.ask(t, "", "GET", pagesPath, "")
	if malformed.code() != 9106 {
		t.Errorf("no header = %d, want 9106", malformed.code())
	}
	if got := do(t, c.client, "GET", pagesBase+pagesPath, "", "", "Authorization", "Bearer Bearer "+PagesKey); !strings.Contains(got.Body, "6111") {
		t.Errorf("a doubled word = %s, want 6111 in the chain", got.Body)
	}
}

func TestPagesKnowsWhatIsNotThere(t *testing.T) {
	t.Parallel()
	c := newCloud(PagesOptions{})
	for path, want := range map[string]int{
		"/accounts/" + PagesAccount + "/pages/projects/other":            8000007,
		pagesPath + "/deployments/nothing":                               8000009,
		"/accounts/ffffffffffffffffffffffffffffffff/pages/projects/shop": 10000,
		"/nowhere": 7003,
	} {
		if got := c.ask(t, PagesKey, "GET", path, "").code(); got != want {
			t.Errorf("GET %s = %d, want %d", path, got, want)
		}
	}
}

func TestPagesInTrouble(t *testing.T) {
	t.Parallel()
	c := newCloud(PagesOptions{})
	defer c.Close()
	c.SetFaults(PagesFaults{Status: 429, RetryAfter: 7 * time.Second})
	if got := do(t, c.client, "GET", pagesBase+pagesPath, PagesKey, ""); got.Status != 429 || got.Header.Get("Retry-After") != "7" {
		t.Errorf("limited = %d, Retry-After %q", got.Status, got.Header.Get("Retry-After"))
	}
	c.SetFaults(PagesFaults{Status: 503})
	if got := do(t, c.client, "GET", pagesBase+pagesPath, PagesKey, ""); got.Status != 503 || json.Valid([]byte(got.Body)) {
		t.Errorf("gateway = %d %s, want a page", got.Status, got.Body)
	}
	c.SetFaults(PagesFaults{Status: 500, For: []string{"write"}})
	if got := c.ask(t, PagesKey, "PATCH", pagesPath, patch(`{"A":{"type":"secret_text","value":"1"}}`)); got.Status != 500 || len(c.Variables()) != 0 {
		t.Errorf("write = %d, variables %v, want 500 and nothing done", got.Status, c.Variables())
	}
	c.project(t) // is not affected
	c.SetFaults(PagesFaults{LoseAnswers: map[string]int{"retry": 1}})
	first := c.Deployments()[0].ID
	req, err := http.NewRequestWithContext(t.Context(), "POST", pagesBase+pagesPath+"/deployments/"+first+"/retry", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+PagesKey)
	if resp, err := c.client.Do(req); err == nil {
		resp.Body.Close()
		t.Error("the answer was not lost")
	}
	writes := c.Writes()
	if n := len(c.Deployments()); n != 2 || !writes[len(writes)-1].Lost {
		t.Errorf("%d deployments, writes %v; want the retry done and its answer lost", n, writes)
	}
	c.ask(t, PagesKey, "POST", pagesPath+"/deployments/"+first+"/retry", "") // only one was to be lost
}

func TestPagesHangsAndIsSlow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCloud(PagesOptions{})
		c.client.Timeout = 10 * time.Second
		c.SetFaults(PagesFaults{Latency: 3 * time.Second})
		begun := time.Now()
		c.project(t)
		if took := time.Since(begun); took != 3*time.Second {
			t.Errorf("a slow answer took %v, want 3s", took)
		}
		c.SetFaults(PagesFaults{Status: Hang})
		if resp, err := c.client.Get(pagesBase + pagesPath); err == nil {
			resp.Body.Close()
			t.Error("it answered, want it to hang")
		}
		c.Close()
		synctest.Wait()
	})
}

func TestPagesBuildFails(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCloud(PagesOptions{})
		c.SetFaults(PagesFaults{BuildFails: "build"})
		id := c.Deploy("two")
		time.Sleep(time.Minute)
		running, _ := c.Running()
		if d := c.deployment(t, id); d.Stage.Name != "build" || d.Stage.Status != "failure" || running.Commit != "initial" {
			t.Errorf("failed = %+v, live %s", d.Stage, running.Commit)
		}
	})
}

// Live is told by one at a time, without a lock: it may use the Pages.
func TestPagesTellsLiveInOrder(t *testing.T) {
	t.Parallel()
	var p *Pages
	var mu sync.Mutex
	var live []string
	told := make(chan struct{}, 1)
	p = NewPages(PagesOptions{Build: time.Millisecond, Live: func(d PagesDeployment) {
		mu.Lock()
		defer mu.Unlock()
		live = append(live, d.Commit)
		if d.Commit == "two" {
			p.Remove("A")
			p.Deploy("three")
		}
		if d.Commit == "three" {
			told <- struct{}{}
		}
	}})
	p.Deploy("two")
	<-told
	mu.Lock()
	defer mu.Unlock()
	if !slices.Equal(live, []string{"initial", "two", "three"}) {
		t.Errorf("Live heard %v", live)
	}
}

// Nothing that can be asked shows a secret or a token: neither the API nor the door for drills.
func TestPagesShowsNoSecret(t *testing.T) {
	t.Parallel()
	p := NewPages(PagesOptions{Build: time.Millisecond, Projects: []PagesProject{{Name: "shop", Secrets: map[string]string{"A": secretValue}}}})
	defer p.Close()
	server := httptest.NewServer(p)
	defer server.Close()
	p.SetPreview("P", secretValue)
	do(t, http.DefaultClient, "PATCH", server.URL+pagesPath, PagesKey, patch(`{"B":{"type":"secret_text","value":"`+secretValue+`"}}`))
	id := p.Deploy("two")
	for range 1000 {
		if running, _ := p.Running(); running.ID == id {
			break
		}
		time.Sleep(time.Millisecond)
	}
	if running, _ := p.Running(); !running.Has("B") {
		t.Fatalf("baked = %v, want B", running.Variables)
	}
	for _, path := range []string{pagesPath, pagesPath + "/deployments", pagesPath + "/deployments/" + id, "/user/tokens/verify",
		"/accounts/" + PagesAccount + "/tokens/verify", "/_control"} {
		got := do(t, http.DefaultClient, "GET", server.URL+path, PagesKey, "")
		if strings.Contains(got.Body, secretValue) || strings.Contains(got.Body, PagesKey) {
			t.Errorf("GET %s shows a secret", path)
		}
	}
	writes, err := json.Marshal(p.Writes())
	if err != nil || bytes.Contains(writes, []byte(secretValue)) {
		t.Errorf("the log of writes shows a secret (%v)", err)
	}
}

func TestPagesControl(t *testing.T) {
	t.Parallel()
	c := newCloud(PagesOptions{})
	defer c.Close()
	order := func(path, body string) answered {
		return do(t, c.client, "POST", "http://cloudflare.test/_control/"+path, "", body)
	}
	for _, o := range []struct{ path, body string }{
		{"secret", `{"name":"A","value":"1"}`}, {"secret", `{"name":"B","value":"1"}`}, {"plain", `{"name":"C","value":"2"}`}, {"remove", `{"names":["B"]}`},
		{"deploy", `{"commit":"two","project":"shop"}`}, {"preview", `{"commit":"three"}`}, {"skip", `{"commit":"four"}`},
		{"token", `{"name":"healer","state":"expired","write":false}`}, {"faults", `{"status":503,"for":["write"],"latency":"1ms","lose_answers":{"retry":2}}`},
	} {
		if got := order(o.path, o.body); got.Status != 200 {
			t.Errorf("%s %s = %d %s", o.path, o.body, got.Status, got.Body)
		}
	}
	var state PagesState
	got := do(t, c.client, "GET", "http://cloudflare.test/_control", "", "")
	if err := json.Unmarshal([]byte(got.Body), &state); err != nil {
		t.Fatalf("%s: %v", got.Body, err)
	}
	shop := state.Projects[0]
	if !slices.Equal(shop.Secrets, []string{"A"}) || !slices.Equal(shop.Plain, []string{"C"}) || len(shop.Deployments) != 4 || state.Tokens["healer"] != "expired" ||
		state.Faults.Status != 503 || state.Faults.LoseAnswers["retry"] != 2 || state.Faults.Latency != "1ms" {
		t.Errorf("state = %s", got.Body)
	}
	for _, o := range []struct{ path, body string }{
		{"secret", `{"nmae":"A"}`}, {"deploy", `{"project":"other"}`}, {"token", `{"name":"nobody"}`}, {"faults", `{"latency":"soon"}`}, {"faults", `{`},
	} {
		if got := order(o.path, o.body); got.Status != 400 {
			t.Errorf("%s %s = %d, want 400", o.path, o.body, got.Status)
		}
	}
	w := httptest.NewRecorder()
	r := httptest.NewRequest("GET", "/_control", nil) // from 192.0.2.1
	c.ServeHTTP(w, r)
	if w.Code != http.StatusForbidden {
		t.Errorf("from another machine = %d, want 403", w.Code)
	}
}

func TestPagesOtherProjects(t *testing.T) {
	t.Parallel()
	c := newCloud(PagesOptions{Projects: []PagesProject{{Name: "shop"}, {Name: "blog", Commit: "none"}}})
	c.Project("blog").SetSecret("A", "1")
	if _, isLive := c.Project("blog").Running(); isLive || len(c.Variables()) != 0 || len(c.Project("blog").Variables()) != 1 {
		t.Error("the projects are not apart")
	}
	id := c.Deploy("two")
	c.Forget(id)
	c.Forget(c.Deployments()[0].ID) // the live one stays
	if got := c.Deployments(); len(got) != 1 || !got[0].Live {
		t.Errorf("after deleting: %v", got)
	}
}
