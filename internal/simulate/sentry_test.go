package simulate

import (
	"bytes"
	"compress/gzip"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const (
	goodEvent   = `{"event_id":"e1","message":"broke","release":"r","tags":{"code":"7"},"exception":[{"type":"T","value":"<v>","stacktrace":{"frames":[{"function":"f","filename":"f.go","lineno":7,"in_app":true}]}}]}`
	goodCheckIn = `{"check_in_id":"c1","monitor_slug":"backup","status":"ok","duration":1.5}`
	trackerPath = "/api/1/envelope/"
)

type tracker struct {
	*Sentry
	URL string
}

func newTracker(t *testing.T) tracker {
	t.Helper()
	clk := newClock()
	s := NewSentry(SentryOptions{Key: "good", Now: clk.Now})
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	t.Cleanup(s.Close)
	return tracker{s, server.URL}
}

func (tr tracker) send(t *testing.T, path, auth, body string, headers ...string) answered {
	t.Helper()
	if auth != "" {
		headers = append(headers, "X-Sentry-Auth", "Sentry sentry_version=7, sentry_client=x/1, sentry_key="+auth)
	}
	return do(t, http.DefaultClient, "POST", tr.URL+path, "", body, headers...)
}

func TestSentryTakesEnvelopes(t *testing.T) {
	t.Parallel()
	tr := newTracker(t)
	withoutLength := "{}\n" + `{"type":"event"}` + "\n" + strings.Replace(goodEvent, `"event_id":"e1",`, "", 1) + "\n" + `{"type":"check_in"}` + "\n" + goodCheckIn + "\n" +
		`{"type":"client_report"}` + "\n{}\n"
	if got := tr.send(t, trackerPath, "good", withoutLength); got.Status != 200 {
		t.Fatalf("answer = %d %s", got.Status, got.Body)
	}
	lines := strings.ReplaceAll(goodEvent, ",", ",\n") // a payload may have line breaks when its length is told
	withLength := `{"event_id":"e1","dsn":"http://good@tracker/1"}` + "\n" + `{"type":"event","length":` + strconv.Itoa(len(lines)) + "}\n" + lines
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	_, _ = z.Write([]byte(withLength))
	_ = z.Close()
	if got := tr.send(t, trackerPath, "", packed.String(), "Content-Encoding", "gzip"); got.Status != 200 || got.Body != `{"id":"e1"}` {
		t.Fatalf("answer to a packed envelope with a DSN = %d %s", got.Status, got.Body)
	}
	if got := tr.send(t, trackerPath+"?sentry_key=good", "", "{}\n"); got.Status != 200 {
		t.Errorf("answer to a key in the query = %d %s", got.Status, got.Body)
	}
	reports, checkIns := tr.Reports(), tr.CheckIns()
	if len(reports) != 2 || len(reports[0].ID) != 32 || reports[1].ID != "e1" || reports[1].Tags["code"] != "7" ||
		reports[1].Exception[0].Stacktrace.Frames[0] != (ErrorFrame{Function: "f", File: "f.go", Line: 7, InApp: true}) || string(reports[1].Raw) != lines {
		t.Errorf("reports = %+v", reports)
	}
	want := []MonitorCheckIn{{ID: "c1", Slug: "backup", Status: "ok", Seconds: 1.5, ReceivedAt: reports[0].ReceivedAt}}
	if diff := cmp.Diff(checkIns, want); diff != "" {
		t.Errorf("check-ins (-got +want):\n%s", diff)
	}
	if all := tr.Envelopes(); len(all) != 3 || string(all[0]) != withoutLength || string(all[1]) != withLength || tr.Calls() != 3 {
		t.Errorf("envelopes = %q, calls = %d", all, tr.Calls())
	}
	page := do(t, http.DefaultClient, "GET", tr.URL+"/", "", "")
	for _, shown := range []string{"broke", "&lt;v&gt;", "code=7", "f.go:7", "backup", "1.5 s"} {
		if page.Status != 200 || !strings.Contains(page.Body, shown) {
			t.Errorf("page = %d without %q: %s", page.Status, shown, page.Body)
		}
	}
	tr.Reset()
	if len(tr.Reports())+len(tr.CheckIns())+len(tr.Envelopes())+tr.Calls() != 0 {
		t.Error("Reset left something")
	}
}

func TestSentryRefuses(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, path, key, body string
		headers               []string
		want                  int
	}{
		{"wrong key", trackerPath, "bad", "{}\n", nil, 403},
		{"wrong key in the DSN", trackerPath, "", `{"dsn":"http://bad@tracker/1"}` + "\n", nil, 403},
		{"wrong project", "/api/2/envelope/", "good", "{}\n", nil, 403},
		{"no key", trackerPath, "", "{}\n", nil, 401},
		{"other address", "/api/1/store/", "good", "{}\n", nil, 404},
		{"no JSON", trackerPath, "good", "x\n", nil, 400},
		{"item without a type", trackerPath, "good", "{}\n{}\n{}\n", nil, 400},
		{"item shorter than it says", trackerPath, "good", "{}\n" + `{"type":"event","length":99}` + "\n{}\n", nil, 400},
		{"item of negative length", trackerPath, "good", "{}\n" + `{"type":"event","length":-1}` + "\n{}\n", nil, 400},
		{"event that is none", trackerPath, "good", "{}\n" + `{"type":"event"}` + "\n[]\n", nil, 400},
		{"check-in with a bad slug", trackerPath, "good", "{}\n" + `{"type":"check_in"}` + "\n" + `{"monitor_slug":"A B"}` + "\n", nil, 400},
		{"too many items", trackerPath, "good", "{}\n" + strings.Repeat(`{"type":"event"}`+"\n{}\n", 101), nil, 400},
		{"not packed", trackerPath, "good", "{}\n", []string{"Content-Encoding", "gzip"}, 400},
		{"too large", trackerPath, "good", strings.Repeat("x", requestBytesMax+1), nil, 413},
		{"too large when unpacked", trackerPath, "good", bomb(), []string{"Content-Encoding", "gzip"}, 413},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tr := newTracker(t)
			if got := tr.send(t, tt.path, tt.key, tt.body, tt.headers...); got.Status != tt.want {
				t.Errorf("answer = %d %s, want %d", got.Status, got.Body, tt.want)
			}
			if len(tr.Envelopes()) != 0 || len(tr.Reports()) != 0 {
				t.Error("something was kept")
			}
		})
	}
}

func TestSentryFaults(t *testing.T) {
	t.Parallel()
	tr := newTracker(t)
	tr.SetFaults(SentryFaults{RetryAfter: time.Minute, RateLimits: "60:error:organization", Latency: time.Millisecond,
		Fail: func(n int, _ *http.Request) int { return map[int]int{1: 429}[n] }})
	got := tr.send(t, trackerPath, "good", "{}\n")
	if got.Status != 429 || got.Header.Get("Retry-After") != "60" || got.Header.Get("X-Sentry-Rate-Limits") != "60:error:organization" || len(tr.Envelopes()) != 0 {
		t.Errorf("answer = %d %v", got.Status, got.Header)
	}
	if got := tr.send(t, trackerPath, "good", "{}\n"); got.Status != 200 || got.Header.Get("Retry-After") != "60" || tr.Calls() != 2 {
		t.Errorf("the next answer = %d %v after %d calls", got.Status, got.Header, tr.Calls())
	}
}

func TestSentryKeepsTheNewest(t *testing.T) {
	t.Parallel()
	s := NewSentry(SentryOptions{})
	for i := range envelopesMax + 1 {
		r := httptest.NewRequest("POST", trackerPath+"?sentry_key="+s.options.Key, strings.NewReader("{}\n"+`{"type":"event"}`+"\n"+`{"message":"`+strconv.Itoa(i)+`"}`+"\n"))
		s.ServeHTTP(httptest.NewRecorder(), r)
	}
	if got := s.Reports(); len(got) != envelopesMax || got[0].Message != "1" || len(s.Envelopes()) != envelopesMax {
		t.Errorf("%d reports from %q on, want the newest %d", len(got), got[0].Message, envelopesMax)
	}
}

func bomb() string {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = z.Write(bytes.Repeat([]byte(" "), requestBytesMax+1))
	_ = z.Close()
	return b.String()
}
