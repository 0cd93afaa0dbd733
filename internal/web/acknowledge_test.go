package web_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/notify"
	"github.com/makegood/makegood/internal/secret"
	"github.com/makegood/makegood/internal/telemetry"
	"github.com/makegood/makegood/internal/web"
)

var began = time.Date(2026, 3, 1, 3, 4, 5, 0, time.UTC)

func incident(state makegood.IncidentState) makegood.Incident {
	return makegood.Incident{ID: "inc1", Check: "monitor", Subject: "shop", Priority: makegood.P0, Title: "The page is down", State: state,
		Detail: "[STATUS] == 200 (503)", Means: "Nobody can buy.", StartedAt: began, OpenedAt: began.Add(12 * time.Second),
		AckedBy: "link:phone", AckedUntil: began.Add(time.Hour), ResolvedAt: began.Add(2 * time.Hour),
		Timeline: []makegood.Moment{{At: began, Kind: makegood.MomentOpened, Actor: "system:watch", Text: "The page is down"}}}
}

// records is what the page reads.
type records struct {
	list []makegood.Incident
	err  error
}

func (r records) IncidentsOfMessage(context.Context, string, string) ([]string, error) {
	ids := make([]string, len(r.list))
	for k := range r.list {
		ids[k] = r.list[k].ID
	}
	return ids, r.err
}

func (r records) Incident(_ context.Context, id string) (*makegood.Incident, error) {
	for k := range r.list {
		if r.list[k].ID == id {
			return &r.list[k], nil
		}
	}
	return nil, makegood.NotFound
}

// opened asks for the page of a link, by a method.
func opened(t *testing.T, method string, r records, act error, age time.Duration) (*httptest.ResponseRecorder, *telemetry.CounterVec, error) {
	t.Helper()
	links := notify.Links{Base: "https://watch.example", Key: secret.New("a key that signs links in tests"), Flags: "--watcher watch.yaml"}
	refused := telemetry.NewMetrics().Counter("refused", "x", "door")
	a := &web.Acknowledge{Pages: web.NewPages(slog.New(slog.DiscardHandler)), Links: links, Now: func() time.Time { return began.Add(age) }, Refused: refused,
		Incidents: r, Act: func(_ context.Context, channel, message, _ string, _ time.Time) ([]string, error) {
			if channel != "phone" || message != "msg1" {
				t.Errorf("Act is for %s over %s", message, channel)
			}
			return nil, act
		}}
	q := httptest.NewRequest(method, links.Acknowledge("phone", "msg1", began), nil)
	q.SetPathValue("token", strings.TrimPrefix(q.URL.Path, "/ack/"))
	w := httptest.NewRecorder()
	if method == http.MethodPost {
		return w, refused, a.Press(w, q)
	}
	return w, refused, a.Show(w, q)
}

func TestAcknowledge(t *testing.T) {
	t.Parallel()
	open, answered, over := incident(makegood.IncidentOpen), incident(makegood.IncidentAcknowledged), incident(makegood.IncidentResolved)
	muted, second := incident(makegood.IncidentOpen), incident(makegood.IncidentOpen)
	second.ID = "inc2"
	muted.Muted = "explained by server-silent"
	storm := make([]makegood.Incident, 25)
	for k := range storm {
		storm[k] = incident(makegood.IncidentOpen)
	}
	const button, yours = "I look after it", "You have it"
	for _, tt := range []struct {
		name     string
		method   string
		list     []makegood.Incident
		act      error
		age      time.Duration
		status   int
		says     []string
		saysNot  []string
		refusals uint64
	}{
		{"asked for", "GET", []makegood.Incident{open}, nil, 0, 200, []string{button, "The page is down", "(shop)", "P0", "[STATUS] == 200 (503)", "Nobody can buy",
			"03:04:05", "makegood runbook monitor", "makegood incidents show inc1 --watcher watch.yaml", "The page is down (shop)"}, []string{yours}, 0},
		{"answered", "GET", []makegood.Incident{answered}, nil, 0, 200, []string{"link:phone", "04:04"}, []string{button}, 0},
		{"over", "GET", []makegood.Incident{over}, nil, 0, 200, []string{"Fixed"}, []string{button}, 0},
		{"one of two is open", "GET", []makegood.Incident{over, second}, nil, 0, 200, []string{button}, nil, 0},
		{"muted", "GET", []makegood.Incident{muted}, nil, 0, 200, []string{"explained by server-silent"}, nil, 0},
		{"a storm", "GET", storm, nil, 0, 200, []string{button, "and 15 more"}, nil, 0},
		{"nothing is known of it any more", "GET", nil, nil, 0, 200, []string{"Nothing is known of this message any more"}, []string{button}, 0},
		{"pressed", "POST", []makegood.Incident{answered}, nil, 0, 200, []string{yours}, []string{button}, 0},
		{"pressed twice", "POST", []makegood.Incident{answered}, makegood.Errorf(makegood.Conflict, "This link was used before."), 0, 409, []string{"used before"}, []string{yours, button}, 1},
		{"pressed, and gone", "POST", nil, makegood.Errorf(makegood.NotFound, "Nothing is known of this message any more."), 0, 409, []string{"Nothing is known"}, []string{yours}, 1},
		{"after a day", "GET", []makegood.Incident{open}, nil, 25 * time.Hour, 410, []string{"ended after a day"}, []string{button, "The page is down"}, 1},
		{"pressed after a day", "POST", []makegood.Incident{open}, nil, 25 * time.Hour, 410, []string{"ended after a day"}, []string{yours}, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w, refused, err := opened(t, tt.method, records{list: tt.list}, tt.act, tt.age)
			body := w.Body.String()
			if err != nil || w.Code != tt.status || refused.With("link").Value() != tt.refusals {
				t.Errorf("= %d, %v, %d refused, want %d and %d", w.Code, err, refused.With("link").Value(), tt.status, tt.refusals)
			}
			for _, s := range tt.says {
				if !strings.Contains(body, s) {
					t.Errorf("page does not say %q:\n%s", s, body)
				}
			}
			for _, s := range tt.saysNot {
				if strings.Contains(body, s) {
					t.Errorf("page says %q:\n%s", s, body)
				}
			}
			if got := w.Header().Get("Cache-Control"); got != "no-store" || !strings.HasSuffix(strings.TrimSpace(body), "</html>") || strings.Contains(body, "<script") {
				t.Errorf("Cache-Control %q, or the page is cut or has a script:\n%s", got, body)
			}
		})
	}
}

// What cannot be read or done for another reason is an error of ours, and nothing is shown of it.
func TestAcknowledgeTrouble(t *testing.T) {
	t.Parallel()
	away := errors.New("dial tcp 10.0.0.7: refused")
	if _, _, err := opened(t, "GET", records{err: away}, nil, 0); !errors.Is(err, away) {
		t.Errorf("GET = %v, want %v", err, away)
	}
	if _, _, err := opened(t, "POST", records{list: []makegood.Incident{incident(makegood.IncidentOpen)}}, away, 0); !errors.Is(err, away) {
		t.Errorf("POST = %v, want %v", err, away)
	}
}

func TestAcknowledgeHostile(t *testing.T) {
	t.Parallel()
	const hostile = `"><script>alert(1)</script><img src=x onerror=alert(1)>`
	i := incident(makegood.IncidentAcknowledged)
	i.ID, i.Title, i.Subject, i.Detail, i.Means, i.Muted, i.AckedBy, i.Check = "inc1", hostile, hostile, hostile, hostile, hostile, hostile, hostile
	i.Timeline[0].Text = hostile
	w, _, err := opened(t, "GET", records{list: []makegood.Incident{i}}, nil, 0)
	if body := w.Body.String(); err != nil || strings.Contains(body, "<script") || strings.Contains(body, "<img") {
		t.Errorf("page does not show hostile text as text (%v):\n%s", err, body)
	}
}
