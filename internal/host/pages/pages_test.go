package pages_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/host"
	"github.com/makegood/makegood/internal/host/hosttest"
	"github.com/makegood/makegood/internal/host/pages"
	"github.com/makegood/makegood/internal/outbound"
	"github.com/makegood/makegood/internal/secret"
	"github.com/makegood/makegood/internal/simulate"
)

const (
	oldKey     = "Sn3lZJTBX6kkg7OdcBUAxOO963GEIyGQqnFTOFYY"
	accountKey = "cfat_simulatedsimulatedsimulatedsimulated00000002"
	fastBuild  = 20 * time.Millisecond
)

// place is a project at a pretend Cloudflare behind a real listener.
type place struct {
	*simulate.Pages
	*pages.Target
	options pages.Options
	seen    *requests
}

// requests remembers what was asked, as "GET /path".
type requests struct {
	mu   sync.Mutex
	list []string
}

func (r *requests) add(req *http.Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.list = append(r.list, req.Method+" "+req.URL.RequestURI())
}

// take gives what was asked since it was last called.
func (r *requests) take() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := r.list
	r.list = nil
	return list
}

// present are variables of a program, with values to look for.
var present = map[string]string{"MAIL_KEY": "re_a-key-that-must-not-be-seen", "SHOP_KEY": "sk_live_another-key-not-to-be-seen"}

func newPlace(t *testing.T, o simulate.PagesOptions, change ...func(*pages.Options)) place {
	t.Helper()
	if o.Build == 0 {
		o.Build = fastBuild
	}
	if len(o.Projects) == 0 {
		o.Projects = []simulate.PagesProject{{Name: "shop", Secrets: present}}
	}
	p := simulate.NewPages(o)
	seen := &requests{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { seen.add(r); p.ServeHTTP(w, r) }))
	t.Cleanup(server.Close)
	t.Cleanup(p.Close) // first, so that answers that hang end
	token := simulate.PagesKey
	if len(o.Tokens) > 0 {
		token = o.Tokens[0].Value
	}
	client := outbound.New(outbound.Options{AllowPrivate: true, NeverRest: true, Timeout: 5 * time.Second})
	t.Cleanup(client.CloseIdle)
	options := pages.Options{Account: simulate.PagesAccount, Project: "shop", Token: held(secret.New(token)), APIBase: server.URL, HTTP: client, Now: time.Now}
	for _, c := range change {
		c(&options)
	}
	target, err := pages.New(options)
	if err != nil {
		t.Fatal(err)
	}
	return place{p, target, options, seen}
}

func (p place) survey(t *testing.T) host.Survey {
	t.Helper()
	s, err := p.Survey(t.Context())
	if err != nil {
		t.Fatalf("Survey: %v", err)
	}
	return s
}

// await waits until a deployment has ended.
func (p place) await(t *testing.T, id string) host.Progress {
	t.Helper()
	for range 2000 {
		got, err := p.Progress(t.Context(), id)
		if err != nil {
			t.Fatalf("Progress: %v", err)
		}
		if got.State != host.Running {
			return got
		}
		time.Sleep(2 * time.Millisecond)
	}
	t.Fatal("the deployment does not end")
	return host.Progress{}
}

func settings(values map[string]string) []host.Setting {
	var list []host.Setting
	for _, name := range slices.Sorted(maps.Keys(values)) {
		list = append(list, host.Setting{Name: name, Value: secret.New(values[name])})
	}
	return list
}

func values(variables map[string]simulate.PagesVariable) map[string]string {
	all := map[string]string{}
	for name, v := range variables {
		all[name] = v.Value
	}
	return all
}

// quiet checks that what a caller may log shows neither the token nor a value.
func (p place) quiet(t *testing.T, things ...any) {
	t.Helper()
	for _, thing := range things {
		encoded, _ := json.Marshal(thing) // what cannot be encoded is printed below
		said := fmt.Sprintf("%v %+v %#v %s", thing, thing, thing, encoded)
		if err, ok := thing.(error); ok {
			for ; err != nil; err = errors.Unwrap(err) {
				said += fmt.Sprintf(" %v %+v", err, err)
			}
		}
		for _, value := range append(slices.Collect(maps.Values(present)), p.options.Token().Reveal()) {
			if value != "" && strings.Contains(said, value) {
				t.Errorf("%T shows a secret of %d bytes", thing, len(value))
			}
		}
	}
}

func TestConformance(t *testing.T) {
	t.Parallel()
	hosttest.Run(t, func(t *testing.T) hosttest.World {
		p := newPlace(t, simulate.PagesOptions{})
		return hosttest.World{Target: p.Target, Present: present, Secrets: []string{simulate.PagesKey},
			Held:    func() map[string]string { return values(p.Variables()) },
			Running: func() map[string]string { running, _ := p.Running(); return values(running.Variables) }}
	})
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	client := outbound.New(outbound.Options{})
	for name, o := range map[string]pages.Options{
		"no account":         {Project: "shop"},
		"account with slash": {Account: "a/b", Project: "shop"},
		"no project":         {Account: "a"},
		"project with dots":  {Account: "a", Project: ".."},
		"project with query": {Account: "a", Project: "shop?x"},
		"base without host":  {Account: "a", Project: "shop", APIBase: "https://"},
		"base of a file":     {Account: "a", Project: "shop", APIBase: "file:///etc"},
		"base with a user":   {Account: "a", Project: "shop", APIBase: "https://u:p@host"},
		"base with a query":  {Account: "a", Project: "shop", APIBase: "https://host?x=1"},
	} {
		o.HTTP, o.Now = client, time.Now
		if _, err := pages.New(o); makegood.CodeOf(err) != makegood.Invalid {
			t.Errorf("New with %s = %v, want invalid", name, err)
		}
	}
}

// Every fault of a credential that needs asking, each with the page where it is mended, and from every call.
func TestFaults(t *testing.T) {
	t.Parallel()
	const userPage, accountPage = "https://dash.cloudflare.com/profile/api-tokens", "https://dash.cloudflare.com/" + simulate.PagesAccount + "/api-tokens"
	token := func(change func(*simulate.PagesToken)) simulate.PagesOptions {
		made := simulate.PagesToken{Name: "t", Value: simulate.PagesKey, Read: true, Write: true}
		change(&made)
		return simulate.PagesOptions{Tokens: []simulate.PagesToken{made}}
	}
	state := func(s simulate.PagesTokenState, value string) simulate.PagesOptions {
		return token(func(t *simulate.PagesToken) { t.State, t.Value = s, value })
	}
	for _, tt := range []struct {
		name    string
		options simulate.PagesOptions
		change  func(*pages.Options)
		want    host.Fault
		page    string
		says    string
	}{
		{"expired", state(simulate.PagesTokenExpired, simulate.PagesKey), nil, host.Expired, userPage, "has expired on"},
		{"expired, of the account", state(simulate.PagesTokenExpired, accountKey), nil, host.Expired, accountPage, "has expired on"},
		{"expired, old", state(simulate.PagesTokenExpired, oldKey), nil, host.Expired, userPage, "has expired on"},
		{"disabled", state(simulate.PagesTokenDisabled, simulate.PagesKey), nil, host.Revoked, userPage, "switched off"},
		{"deleted", state(simulate.PagesTokenDeleted, simulate.PagesKey), nil, host.Revoked, userPage, "deleted or rolled"},
		{"deleted, old", state(simulate.PagesTokenDeleted, oldKey), nil, host.Revoked, userPage, "deleted or rolled"},
		{"deleted, of the account", state(simulate.PagesTokenDeleted, accountKey), nil, host.Revoked, accountPage, "another account"},
		{"not yet", state(simulate.PagesTokenNotYet, simulate.PagesKey), nil, host.NotYet, userPage, "not valid before"},
		{"from elsewhere", token(func(t *simulate.PagesToken) { t.Addresses = []string{"203.0.113.0/24"} }), nil, host.AddressDenied, userPage, "(127.0.0.1)"},
		{"no permission", token(func(t *simulate.PagesToken) { t.Read, t.Write = false, false }), nil, host.PermissionMissing, userPage, "Cloudflare Pages, Edit"},
		{"other account", simulate.PagesOptions{}, func(o *pages.Options) { o.Account = "ffffffffffffffffffffffffffffffff" }, host.PermissionMissing, userPage, "for the account"},
		{"no such project", simulate.PagesOptions{}, func(o *pages.Options) { o.Project = "other" }, host.PlaceMissing,
			"https://dash.cloudflare.com/" + simulate.PagesAccount + "/workers-and-pages", "no Pages project other"},
		{"no such address", simulate.PagesOptions{}, func(o *pages.Options) { o.APIBase += "/elsewhere" }, host.PlaceMissing,
			"https://dash.cloudflare.com/" + simulate.PagesAccount + "/workers-and-pages", ""},
		{"global key", state("", "144c9defac04969c7bfad8efaa8ea1940abcd"), nil, host.Broken, userPage, "cannot read the token"},
		{"new global key", state("", "cfk_simulatedsimulatedsimulatedsimulated00000003"), nil, host.Broken, userPage, "cannot read the token"},
		{"cut", simulate.PagesOptions{}, func(o *pages.Options) { o.Token = held(secret.New(simulate.PagesKey[:30])) }, host.Broken, userPage, "cannot read the token"},
		{"with a line break", simulate.PagesOptions{}, func(o *pages.Options) { o.Token = held(secret.New(simulate.PagesKey + "\n")) }, host.Broken, userPage, "line break"},
		{"none", simulate.PagesOptions{}, func(o *pages.Options) { o.Token = held(secret.Value{}) }, host.Missing, userPage, "no Cloudflare token"},
		{"page of one's own", state(simulate.PagesTokenDeleted, simulate.PagesKey), func(o *pages.Options) { o.Page = "https://wiki.example.com/token" },
			host.Revoked, "https://wiki.example.com/token", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if tt.change == nil {
				tt.change = func(*pages.Options) {}
			}
			p := newPlace(t, tt.options, tt.change)
			ctx := t.Context()
			survey := host.Survey{At: time.Now(), Good: "11111111-1111-4111-8111-111111111111", Live: "22222222-2222-4222-8222-222222222222"}
			_, surveyed := p.Survey(ctx)
			_, started := p.Start(ctx, survey, "a1")
			_, adopted := p.Adopt(ctx, survey, "a1")
			_, progressed := p.Progress(ctx, survey.Good)
			for call, err := range map[string]error{"Check": p.Check(ctx), "Survey": surveyed, "Start": started, "Adopt": adopted, "Progress": progressed,
				"Write": p.Write(ctx, settings(present)), "Revert": p.Revert(ctx, survey), "Break": p.Break(ctx, []string{"MAIL_KEY"})} {
				var d *host.Diagnosis
				if !errors.As(err, &d) || d.Fault != tt.want || d.Page != tt.page || !strings.Contains(d.Sentence, tt.says) || !strings.HasSuffix(d.Sentence, ".") {
					t.Errorf("%s = %v, want %s with %q at %s", call, err, tt.want, tt.says, tt.page)
				}
				if errors.Is(err, host.ErrDoubt) {
					t.Errorf("%s is in doubt about a refusal", call)
				}
				p.quiet(t, err)
			}
			if len(p.Deployments()) != 1 || !maps.Equal(values(p.Variables()), present) {
				t.Error("something was done")
			}
		})
	}
}

// A token that may only read passes the check, because Cloudflare has no dry run; the first write tells.
func TestReadOnlyTokenIsToldByTheWrite(t *testing.T) {
	t.Parallel()
	p := newPlace(t, simulate.PagesOptions{Tokens: []simulate.PagesToken{{Name: "t", Value: simulate.PagesKey, Read: true}}})
	if err := p.Check(t.Context()); err != nil {
		t.Errorf("Check = %v, want nil", err)
	}
	if err := p.Write(t.Context(), settings(present)); host.FaultOf(err) != host.PermissionMissing {
		t.Errorf("Write = %v, want %s", err, host.PermissionMissing)
	}
	if _, err := p.Start(t.Context(), p.survey(t), "a1"); host.FaultOf(err) != host.PermissionMissing {
		t.Errorf("Start = %v, want %s", err, host.PermissionMissing)
	}
}

// Each kind of token is verified by the call that knows it, and no other.
func TestCheckAsksTheRightCall(t *testing.T) {
	t.Parallel()
	const user, account, project = "GET /user/tokens/verify", "GET /accounts/" + simulate.PagesAccount + "/tokens/verify",
		"GET /accounts/" + simulate.PagesAccount + "/pages/projects/shop"
	for _, tt := range []struct {
		name      string
		token     string
		ofAccount bool
		want      []string
	}{
		{"of a user", simulate.PagesKey, false, []string{user, project}},
		{"of the account", accountKey, true, []string{account, project}},
		{"old, of a user", oldKey, false, []string{user, project}},
		{"old, of the account", oldKey, true, []string{user, account, project}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := newPlace(t, simulate.PagesOptions{Tokens: []simulate.PagesToken{{Name: "t", Value: tt.token, OfAccount: tt.ofAccount, Read: true, Write: true}}})
			if err := p.Check(t.Context()); err != nil {
				t.Errorf("Check = %v, want nil", err)
			}
			if got := p.seen.take(); !slices.Equal(got, tt.want) {
				t.Errorf("asked %v, want %v", got, tt.want)
			}
		})
	}
}

// What a verify call may say besides what the pretend Cloudflare does.
func TestCheckReadsTheVerification(t *testing.T) {
	t.Parallel()
	const unknown = `{"success":false,"errors":[{"code":1000,"message":"Invalid API Token"}]}`
	state := func(s string) string { return `{"success":true,"errors":[],"result":` + s + `}` }
	for _, tt := range []struct {
		name, user, account string
		status              int // of the account's call
		want                host.Fault
	}{
		{"unknown to both", unknown, unknown, 401, host.Revoked},
		{"unknown to one, refused by the other", unknown, `{"success":false,"errors":[{"code":10000,"message":"Authentication error"}]}`, 403, host.Revoked},
		{"unknown to one, the other has another account", unknown, `{"success":false,"errors":[{"code":7003,"message":"no"}]}`, 404, host.Revoked},
		{"unknown to one, the other is down", unknown, `<html>`, 502, host.PlatformDown},
		{"past its end and still active", unknown, state(`{"status":"active","expires_on":"2026-08-03T11:58:00Z"}`), 200, host.Expired},
		{"at its end, as far as clocks tell", unknown, state(`{"status":"active","expires_on":"2026-08-03T11:59:30Z"}`), 200, ""},
		{"at its beginning, as far as clocks tell", unknown, state(`{"status":"active","not_before":"2026-08-03T12:00:30Z"}`), 200, ""},
		{"before its beginning", unknown, state(`{"status":"active","not_before":"2026-08-03T12:02:00Z"}`), 200, host.NotYet},
		{"expired without a day", unknown, state(`{"status":"expired"}`), 200, host.Expired},
		{"success without success", unknown, `{"success":false,"errors":[],"result":{"status":"active"}}`, 200, host.PlatformDown},
		{"a word nobody knows", unknown, state(`{"status":"suspended"}`), 200, host.Revoked},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				switch {
				case strings.HasPrefix(r.URL.Path, "/user/"):
					w.WriteHeader(http.StatusUnauthorized)
					_, _ = w.Write([]byte(tt.user))
				case strings.HasSuffix(r.URL.Path, "/verify"):
					w.WriteHeader(tt.status)
					_, _ = w.Write([]byte(tt.account))
				default:
					_, _ = w.Write([]byte(state(`{}`)))
				}
			}))
			t.Cleanup(server.Close)
			p := newPlace(t, simulate.PagesOptions{}, func(o *pages.Options) {
				o.APIBase, o.Token = server.URL, held(secret.New(oldKey))
				o.Now = func() time.Time { return time.Date(2026, 8, 3, 12, 0, 0, 0, time.UTC) }
			})
			if err := p.Check(t.Context()); host.FaultOf(err) != tt.want || (err == nil) != (tt.want == "") {
				t.Errorf("Check = %v, want %q", err, tt.want)
			}
		})
	}
}

// A deployment that hangs in the list for ever does not keep us from mending.
func TestSurveyIsNotBusyForEver(t *testing.T) {
	t.Parallel()
	p := newPlace(t, simulate.PagesOptions{}, func(o *pages.Options) {
		o.Now = func() time.Time { return time.Now().Add(2 * time.Hour) }
	})
	p.SetFaults(simulate.PagesFaults{BuildTakes: 24 * time.Hour})
	p.Deploy("two")
	if s := p.survey(t); s.Busy != "" {
		t.Errorf("Busy = %q, want none", s.Busy)
	}
}

func TestCheckLooksFirst(t *testing.T) {
	t.Parallel()
	p := newPlace(t, simulate.PagesOptions{}, func(o *pages.Options) {
		o.Look = func(secret.Value) *host.Diagnosis {
			return &host.Diagnosis{Fault: host.Quoted, Sentence: "It is in quotes."}
		}
	})
	if err := p.Check(t.Context()); host.FaultOf(err) != host.Quoted || len(p.seen.take()) != 0 {
		t.Errorf("Check = %v, want what the look says and nothing asked", err)
	}
}

// 9109 has three meanings that only its message tells apart; none of the messages is repeated.
func TestDiagnosesAnswers(t *testing.T) {
	t.Parallel()
	said := func(code int, message string) string {
		return fmt.Sprintf(`{"success":false,"errors":[{"code":%d,"message":%q}],"messages":[],"result":null}`, code, message+" echo "+simulate.PagesKey)
	}
	for _, tt := range []struct {
		name   string
		status int
		body   string
		want   host.Fault
	}{
		{"address", 403, said(9109, "Cannot use the access token from location: 2001:db8::1"), host.AddressDenied},
		{"9109 without words", 403, said(9109, ""), host.AddressDenied},
		{"no such token", 403, said(9109, "Invalid access token"), host.Revoked},
		{"not this resource", 403, said(9109, "Unauthorized to access requested resource"), host.PermissionMissing},
		{"no code", 403, `{}`, host.PermissionMissing},
		{"a page in the place of JSON", 401, `<html>`, host.PermissionMissing},
		{"not found without a code", 404, `nothing`, host.PlaceMissing},
		{"success without success", 200, `{"success":false,"errors":[],"result":{}}`, host.PlatformDown},
		{"success without JSON", 200, `<html>`, host.PlatformDown},
		{"success without result", 200, `{"success":true}`, host.PlatformDown},
		{"gateway", 502, `<html>`, host.PlatformDown},
		{"its own code", 500, said(10013, "internal"), host.PlatformDown},
		{"too often", 429, said(971, "wait"), host.Limited},
		{"something else", 409, said(8000001, "what"), ""},
		{"elsewhere", 302, ``, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if strings.HasSuffix(r.URL.Path, "/verify") {
					_, _ = w.Write([]byte(`{"success":true,"errors":[],"result":{"status":"active"}}`))
					return
				}
				w.WriteHeader(tt.status)
				_, _ = w.Write([]byte(tt.body))
			}))
			t.Cleanup(server.Close)
			p := newPlace(t, simulate.PagesOptions{}, func(o *pages.Options) { o.APIBase = server.URL })
			_, err := p.Survey(t.Context())
			if err == nil || host.FaultOf(err) != tt.want || errors.Is(err, host.ErrDoubt) {
				t.Errorf("Survey = %v, want %q without doubt", err, tt.want)
			}
			p.quiet(t, err)
		})
	}
}

func TestLimitedSaysHowLong(t *testing.T) {
	t.Parallel()
	p := newPlace(t, simulate.PagesOptions{})
	p.SetFaults(simulate.PagesFaults{Status: 429, RetryAfter: 17 * time.Second})
	_, err := p.Survey(t.Context())
	var snooze *makegood.Snooze
	if host.FaultOf(err) != host.Limited || !errors.As(err, &snooze) || snooze.For != 17*time.Second || !strings.Contains(err.Error(), "17s") {
		t.Errorf("Survey = %v, want to wait for 17 s", err)
	}
	if err := p.Write(t.Context(), settings(present)); host.FaultOf(err) != host.Limited || errors.Is(err, host.ErrDoubt) {
		t.Errorf("Write = %v, want %s without doubt", err, host.Limited)
	}
}

// A platform that is down is no fault of the credential, for every call. A question is never in doubt; a change is, once it may have arrived.
func TestPlatformDown(t *testing.T) {
	t.Parallel()
	for _, status := range []int{500, 502, 503, simulate.Abort, simulate.Hang} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			t.Parallel()
			p := newPlace(t, simulate.PagesOptions{})
			s := p.survey(t)
			for _, tt := range []struct {
				action string
				doubt  bool
				call   func(context.Context) error
			}{
				{"verify", false, p.Check},
				{"project", false, p.Check},
				{"deployments", false, func(ctx context.Context) error { _, err := p.Survey(ctx); return err }},
				{"write", true, func(ctx context.Context) error { return p.Write(ctx, settings(present)) }},
				{"retry", true, func(ctx context.Context) error { _, err := p.Start(ctx, s, "a1"); return err }},
				{"deployment", false, func(ctx context.Context) error { _, err := p.Progress(ctx, s.Good); return err }},
			} {
				p.SetFaults(simulate.PagesFaults{Status: status, For: []string{tt.action}})
				ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
				err := tt.call(ctx)
				cancel()
				if host.FaultOf(err) != host.PlatformDown || errors.Is(err, host.ErrDoubt) != tt.doubt || host.FaultOf(err).IsCredential() {
					t.Errorf("%s = %v, want %s, doubt %v", tt.action, err, host.PlatformDown, tt.doubt)
				}
				p.quiet(t, err)
			}
			if len(p.Deployments()) != 1 {
				t.Error("a deployment was begun")
			}
		})
	}
}

func TestNobodyListensIsNoDoubt(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.NotFoundHandler())
	server.Close()
	p := newPlace(t, simulate.PagesOptions{}, func(o *pages.Options) { o.APIBase = server.URL })
	_, err := p.Start(t.Context(), host.Survey{Good: "11111111-1111-4111-8111-111111111111"}, "a1")
	if host.FaultOf(err) != host.PlatformDown || errors.Is(err, host.ErrDoubt) {
		t.Errorf("Start = %v, want %s without doubt", err, host.PlatformDown)
	}
}

func TestSurvey(t *testing.T) {
	t.Parallel()
	p := newPlace(t, simulate.PagesOptions{Projects: []simulate.PagesProject{{Name: "shop", Secrets: present, Plain: map[string]string{"OPEN": "an open value", "BLANK": ""}}}})
	first := p.Deployments()[0].ID
	s := p.survey(t)
	if s.Good != first || s.Live != first || s.Newest != first {
		t.Errorf("survey = %+v, want the first deployment", s)
	}
	want := []host.Variable{{Name: "BLANK", Plain: true, Readable: true, Empty: true}, {Name: "MAIL_KEY"},
		{Name: "OPEN", Plain: true, Readable: true, Fingerprint: secret.New("an open value").Fingerprint()}, {Name: "SHOP_KEY"}}
	if !slices.Equal(s.Variables, want) {
		t.Errorf("variables = %+v, want %+v", s.Variables, want)
	}
	if encoded, err := json.Marshal(s); err != nil || strings.Contains(string(encoded), "an open value") {
		t.Errorf("the survey shows a plain value (%v)", err)
	}
	if s.Cause != "2 variables are plain text; a deploy of a project with a wrangler file replaces plain variables (cloudflare/workers-sdk#7642)." {
		t.Errorf("Cause = %q", s.Cause)
	}
	p.quiet(t, s, &s)
}

// Good is what is live: no preview, nothing skipped, nothing that failed, and nothing newer that was rolled back from.
func TestSurveyFindsTheGoodOne(t *testing.T) {
	t.Parallel()
	p := newPlace(t, simulate.PagesOptions{})
	first := p.Deployments()[0].ID
	second := p.Deploy("two")
	p.await(t, second)
	if s := p.survey(t); s.Good != second {
		t.Errorf("Good = %s, want the one that became live", s.Good)
	}
	p.SetFaults(simulate.PagesFaults{BuildFails: "build"})
	failed := p.Deploy("three")
	if got := p.await(t, failed); got.State != host.Failed || got.Note != "build: failure" {
		t.Errorf("Progress = %+v, want that the build failed", got)
	}
	p.SetFaults(simulate.PagesFaults{})
	p.await(t, p.DeployPreview("four"))
	if got := p.await(t, p.Skip("five")); got.State != host.Failed {
		t.Errorf("Progress of a skipped one = %+v, want failed", got)
	}
	s := p.survey(t)
	if all := p.Deployments(); s.Good != second || s.Live != second || s.Newest != all[len(all)-1].ID || s.Busy != "" {
		t.Errorf("survey = %+v, want %s good and the skipped one newest", s, second)
	}
	if err := p.Revert(t.Context(), host.Survey{At: s.At, Live: first, Newest: s.Newest}); err != nil {
		t.Fatal(err)
	}
	if s := p.survey(t); s.Good != first || s.Live != first {
		t.Errorf("after going back: %+v, want the first one good, and not the newer one", s)
	}
	p.SetFaults(simulate.PagesFaults{BuildTakes: time.Hour})
	pushed := p.Deploy("six")
	if s := p.survey(t); s.Busy != pushed || s.Good != first {
		t.Errorf("during a push: %+v, want it busy with it", s)
	}
}

func TestSurveyOfWhatWasNeverDeployed(t *testing.T) {
	t.Parallel()
	p := newPlace(t, simulate.PagesOptions{Projects: []simulate.PagesProject{{Name: "shop", Commit: "none"}}})
	s := p.survey(t)
	if s.Good != "" || s.Live != "" || s.Down == "" {
		t.Errorf("survey = %+v, want nothing good, and why", s)
	}
	const project = "GET /accounts/" + simulate.PagesAccount + "/pages/projects/shop"
	if got := p.seen.take(); !slices.Equal(got, []string{project, project + "/deployments?env=production&page=1&per_page=25"}) {
		t.Errorf("asked %v, want the project and one page of production", got)
	}
	if _, err := p.Start(t.Context(), s, "a1"); host.FaultOf(err) != host.NotStarted {
		t.Errorf("Start = %v, want %s", err, host.NotStarted)
	}
	if run, err := p.Adopt(t.Context(), s, "a1"); run != "" || err != nil {
		t.Errorf("Adopt = %q, %v; want none", run, err)
	}
	if err := p.Revert(t.Context(), s); err == nil {
		t.Error("Revert = nil, want a refusal")
	}
	if err := p.Break(t.Context(), []string{"A"}); err == nil {
		t.Error("Break = nil, want a refusal")
	}
	if len(p.Deployments()) != 0 {
		t.Error("a deployment was begun")
	}
}

// A page of failed deployments does not hide the good one.
func TestSurveyReadsOn(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		failed := `{"id":"f","environment":"production","latest_stage":{"name":"build","status":"failure"}}`
		skipped := `{"id":"skipped","environment":"production","is_skipped":true,"latest_stage":{"name":"deploy","status":"success"}}`
		result := `{"canonical_deployment":` + failed + `}`
		switch {
		case strings.HasSuffix(r.URL.Path, "/deployments") && r.URL.Query().Get("page") == "1":
			result = `[` + strings.Repeat(failed+",", 24) + failed + `]`
		case strings.HasSuffix(r.URL.Path, "/deployments"):
			result = `[{"id":"preview","environment":"preview","latest_stage":{"name":"deploy","status":"success"}},` + skipped +
				`,{"id":"good","environment":"production","latest_stage":{"name":"deploy","status":"success"}}]`
		}
		_, _ = fmt.Fprintf(w, `{"success":true,"errors":[],"result":%s}`, result)
	}))
	t.Cleanup(server.Close)
	p := newPlace(t, simulate.PagesOptions{}, func(o *pages.Options) { o.APIBase = server.URL })
	if s := p.survey(t); s.Good != "good" || s.Live != "good" || s.Newest != "f" {
		t.Errorf("survey = %+v, want the good one of the second page", s)
	}
}

func TestSurveySaysWhatTookThem(t *testing.T) {
	t.Parallel()
	p := newPlace(t, simulate.PagesOptions{Projects: []simulate.PagesProject{{Name: "shop", Secrets: present, Plain: map[string]string{"PLAIN": "1"},
		ProjectFile: map[string]string{}}}})
	p.await(t, p.Deploy("two"))
	want := "Gone that an earlier deployment had as plain text: PLAIN. Probably a deploy of a project with a wrangler file replaces plain variables " +
		"(cloudflare/workers-sdk#7642), and this project has one."
	if s := p.survey(t); s.Cause != want {
		t.Errorf("Cause = %q, want %q", s.Cause, want)
	}
	p.Remove("MAIL_KEY")
	if s := p.survey(t); !strings.Contains(s.Cause, "had as secrets: MAIL_KEY.") {
		t.Errorf("Cause = %q, want that the secret was deleted", s.Cause)
	}
}

// Random sets are written: never null, never an empty value, nothing but the names, never plain text.
func TestWriteWritesNothingElse(t *testing.T) {
	t.Parallel()
	names := []string{"A", "B", "C", "D", "MAIL_KEY", "SHOP_KEY", "_X", "lower"}
	for seed := range uint64(40) {
		r := rand.New(rand.NewPCG(seed, 7))
		file := map[bool]map[string]string{true: {"FILE": "1"}}[seed%2 == 0]
		p := newPlace(t, simulate.PagesOptions{Projects: []simulate.PagesProject{{Name: "shop", Secrets: present, Plain: map[string]string{"A": "plain"}, ProjectFile: file}}})
		want := values(p.Variables())
		given := map[string]string{}
		for _, name := range names {
			if r.IntN(2) == 0 {
				given[name] = []string{"", "value", "<&>\"\\\u2028é", strings.Repeat("x", 5000)}[r.IntN(4)]
			}
		}
		hasEmpty := slices.Contains(slices.Collect(maps.Values(given)), "")
		err := p.Write(t.Context(), settings(given))
		writes := p.Writes()
		if len(given) == 0 || hasEmpty {
			if err == nil || len(writes) != 0 || len(p.seen.take()) != 0 {
				t.Errorf("seed %d: Write = %v, sent %d; want a refusal before anything is sent", seed, err, len(writes))
			}
			p.quiet(t, err)
			continue
		}
		if err != nil || len(writes) != 1 {
			t.Fatalf("seed %d: Write = %v with %d writes, want one", seed, err, len(writes))
		}
		w := writes[0]
		if !slices.Equal(w.Set, slices.Sorted(maps.Keys(given))) || w.Deleted != nil || w.Plain != nil || w.Empty != nil || strings.Contains(w.Shape, "null") {
			t.Errorf("seed %d: wrote %+v, want %v as secrets and nothing else", seed, w, slices.Sorted(maps.Keys(given)))
		}
		if hasHash := strings.Contains(w.Shape, "wrangler_config_hash"); hasHash != (file != nil) {
			t.Errorf("seed %d: the hash of the wrangler file goes along: %v, want %v", seed, hasHash, file != nil)
		}
		maps.Copy(want, given)
		if !maps.Equal(values(p.Variables()), want) {
			t.Errorf("seed %d: the place has other variables than wanted", seed)
		}
	}
}

func TestWriteAfterALostAnswerIsInDoubtAndMayBeRepeated(t *testing.T) {
	t.Parallel()
	p := newPlace(t, simulate.PagesOptions{})
	p.SetFaults(simulate.PagesFaults{LoseAnswers: map[string]int{"write": 1}})
	given := settings(map[string]string{"NEW": present["MAIL_KEY"]})
	err := p.Write(t.Context(), given)
	if !errors.Is(err, host.ErrDoubt) {
		t.Errorf("Write = %v, want doubt", err)
	}
	p.quiet(t, err)
	if err := p.Write(t.Context(), given); err != nil {
		t.Errorf("Write again = %v, want nil", err)
	}
}

// What Cloudflare says was written must be what was to be written.
func TestWriteReadsTheAnswer(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`{"success":true,"errors":[],"result":{"deployment_configs":{"production":{"env_vars":{"MAIL_KEY":{"type":"plain_text","value":"x"},"GONE":null}}}}}`))
	}))
	t.Cleanup(server.Close)
	p := newPlace(t, simulate.PagesOptions{}, func(o *pages.Options) { o.APIBase = server.URL })
	if err := p.Write(t.Context(), settings(map[string]string{"MAIL_KEY": "1"})); !errors.Is(err, host.ErrDoubt) {
		t.Errorf("Write = %v, want doubt", err)
	}
	if _, err := p.Start(t.Context(), host.Survey{Good: "good"}, "a1"); !errors.Is(err, host.ErrDoubt) {
		t.Errorf("Start without a name in the answer = %v, want doubt", err)
	}
}

// The answer to a start is lost, and somebody pushes a newer commit: Adopt finds our run, there is exactly one, and the push is left alone.
func TestLostStartIsAdoptedOnce(t *testing.T) {
	t.Parallel()
	p := newPlace(t, simulate.PagesOptions{})
	s := p.survey(t)
	if err := p.Write(t.Context(), settings(map[string]string{"NEW": "1"})); err != nil {
		t.Fatal(err)
	}
	p.SetFaults(simulate.PagesFaults{LoseAnswers: map[string]int{"retry": 1}})
	if _, err := p.Start(t.Context(), s, "a1"); !errors.Is(err, host.ErrDoubt) {
		t.Fatalf("Start = %v, want doubt", err)
	}
	pushed := p.Deploy("newer")
	p.DeployPreview("initial") // a preview of the same commit is not ours either
	run, err := p.Adopt(t.Context(), s, "a1")
	if err != nil || run == "" || run == pushed {
		t.Fatalf("Adopt = %q, %v; want our run", run, err)
	}
	if got := p.await(t, run); got.State != host.Ran {
		t.Errorf("Progress = %+v, want that it ran", got)
	}
	ours := slices.DeleteFunc(p.Deployments(), func(d simulate.PagesDeployment) bool { return d.RetryOf == "" })
	if len(ours) != 1 || ours[0].ID != run || ours[0].Commit != "initial" || ours[0].Preview || !ours[0].Has("NEW") {
		t.Errorf("our deployments = %d, want exactly one of the good commit with what was written", len(ours))
	}
}

// A lost start that did not arrive is not made up: neither from a push, nor from what was there before.
func TestAdoptTakesNothingOfOthers(t *testing.T) {
	t.Parallel()
	p := newPlace(t, simulate.PagesOptions{})
	first := p.Deployments()[0].ID
	if _, err := p.Start(t.Context(), p.survey(t), "earlier"); err != nil { // of another attempt, before the survey
		t.Fatal(err)
	}
	s := p.survey(t)
	s.Good = first
	p.Deploy("newer")
	p.Skip("initial")
	if run, err := p.Adopt(t.Context(), s, "a1"); run != "" || err != nil {
		t.Errorf("Adopt = %q, %v; want none", run, err)
	}
}

// When the newest deployment of the survey was deleted, the clock tells, with a tolerance.
func TestAdoptWithoutTheNewest(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	now := time.Now().UTC()
	clock := func() time.Time { mu.Lock(); defer mu.Unlock(); return now }
	p := newPlace(t, simulate.PagesOptions{Now: clock}, func(o *pages.Options) { o.Now = clock })
	p.await(t, p.Deploy("initial")) // long before, of the same commit
	mu.Lock()
	now = now.Add(time.Hour)
	mu.Unlock()
	newest := p.Deploy("another")
	p.await(t, newest)
	first := p.Deployments()[0].ID
	if err := p.Revert(t.Context(), host.Survey{Live: first, Newest: newest, At: clock()}); err != nil {
		t.Fatal(err)
	}
	s := p.survey(t)
	p.Forget(newest)
	if run, err := p.Adopt(t.Context(), s, "a1"); run != "" || err != nil {
		t.Errorf("Adopt = %q, %v; want none", run, err)
	}
	started, err := p.Start(t.Context(), s, "a1")
	if err != nil {
		t.Fatal(err)
	}
	if run, err := p.Adopt(t.Context(), s, "a1"); run != started || err != nil {
		t.Errorf("Adopt = %q, %v; want %q", run, err, started)
	}
}

// An upload without a commit cannot be told from another one: that is doubt, and no licence to start again.
func TestAdoptWithoutACommitIsInDoubt(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`{"success":true,"errors":[],"result":{"id":"good","environment":"production"}}`))
	}))
	t.Cleanup(server.Close)
	p := newPlace(t, simulate.PagesOptions{}, func(o *pages.Options) { o.APIBase = server.URL })
	if run, err := p.Adopt(t.Context(), host.Survey{Good: "good"}, "a1"); run != "" || !errors.Is(err, host.ErrDoubt) {
		t.Errorf("Adopt = %q, %v; want doubt", run, err)
	}
}

// A push between the survey and the start changes nothing of what is started.
func TestStartNeverStartsAPush(t *testing.T) {
	t.Parallel()
	p := newPlace(t, simulate.PagesOptions{})
	s := p.survey(t)
	p.await(t, p.Deploy("newer"))
	run, err := p.Start(t.Context(), s, "a1")
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range p.Deployments() {
		if d.ID == run && d.Commit != "initial" {
			t.Errorf("started %s, want the commit of the survey", d.Commit)
		}
	}
	for _, asked := range p.seen.take() {
		if strings.HasPrefix(asked, "POST ") && !strings.HasSuffix(asked, "/"+s.Good+"/retry") {
			t.Errorf("asked %s, want nothing but the retry of the good one", asked)
		}
	}
}

func TestProgress(t *testing.T) {
	t.Parallel()
	p := newPlace(t, simulate.PagesOptions{})
	p.SetFaults(simulate.PagesFaults{BuildTakes: time.Hour})
	id := p.Deploy("two")
	if got, err := p.Progress(t.Context(), id); err != nil || got != (host.Progress{State: host.Running, Note: "queued: active"}) {
		t.Errorf("Progress = %+v, %v; want it in the queue", got, err)
	}
	p.Forget(id)
	if got, err := p.Progress(t.Context(), id); err != nil || got.State != host.Failed {
		t.Errorf("Progress of a deleted one = %+v, %v; want failed", got, err)
	}
	for _, run := range []string{"", "../..", "a/b", "a?b"} {
		p.seen.take()
		if _, err := p.Progress(t.Context(), run); err == nil || len(p.seen.take()) != 0 {
			t.Errorf("Progress(%q) = %v, want a refusal before anything is sent", run, err)
		}
	}
}

func TestRevertSendsNothingWhenItIsLive(t *testing.T) {
	t.Parallel()
	p := newPlace(t, simulate.PagesOptions{})
	s := p.survey(t)
	if err := p.Revert(t.Context(), s); err != nil || len(p.Writes()) != 0 {
		t.Errorf("Revert = %v with %d writes, want nothing sent", err, len(p.Writes()))
	}
	p.await(t, p.Deploy("newer"))
	for range 2 {
		if err := p.Revert(t.Context(), s); err != nil {
			t.Errorf("Revert = %v, want nil", err)
		}
	}
	if got := p.Writes(); len(got) != 1 || got[0].Action != "rollback" || got[0].Target != s.Live {
		t.Errorf("writes = %+v, want one rollback", got)
	}
}

// A run of ours that is still being built would become live after the revert: that has to be known.
func TestRevertDuringARun(t *testing.T) {
	t.Parallel()
	p := newPlace(t, simulate.PagesOptions{})
	s := p.survey(t)
	p.SetFaults(simulate.PagesFaults{BuildTakes: time.Hour})
	p.Deploy("newer") // of somebody else: it may become live
	if err := p.Revert(t.Context(), s); err != nil {
		t.Errorf("Revert during a push = %v, want nil", err)
	}
	if _, err := p.Start(t.Context(), s, "a1"); err != nil {
		t.Fatal(err)
	}
	if err := p.Revert(t.Context(), s); !errors.Is(err, pages.ErrUnderWay) {
		t.Errorf("Revert during our run = %v, want %v", err, pages.ErrUnderWay)
	}
}

func TestBreakIsTheOnlyOneThatDeletes(t *testing.T) {
	t.Parallel()
	p := newPlace(t, simulate.PagesOptions{})
	for _, names := range [][]string{nil, {""}, {"A B"}} {
		if err := p.Break(t.Context(), names); err == nil || len(p.Writes()) != 0 {
			t.Errorf("Break(%q) = %v with %d writes, want a refusal", names, err, len(p.Writes()))
		}
	}
	if err := p.Break(t.Context(), []string{"MAIL_KEY"}); err != nil {
		t.Fatal(err)
	}
	writes := p.Writes()
	if len(writes) != 2 || !slices.Equal(writes[0].Deleted, []string{"MAIL_KEY"}) || writes[0].Set != nil || writes[1].Action != "retry" {
		t.Errorf("writes = %+v, want the name deleted and the live one retried", writes)
	}
}

func held(v secret.Value) func() secret.Value { return func() secret.Value { return v } }
