package api

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/notify"
	"github.com/makegood/makegood/internal/secret"
	"github.com/makegood/makegood/internal/telemetry"
	"github.com/makegood/makegood/internal/watch"
)

// Incidents answers what concerns the life of an incident, except for pages: operators, the other side's beats, what reports
// by itself, and what the services of channels say afterwards. Server and watcher mount what they have.
type Incidents struct {
	Desk        *watch.Desk
	TestChannel func(ctx context.Context, channel string) (trouble string, err error)
	Hearing     *watch.Hearing    // nil answers no beats
	Beats       map[string]string // names of heartbeats by their tokens
	KeepBeat    func(ctx context.Context, name string, kind makegood.BeatKind, note string) error
	Phones      map[string]secret.Value // Twilio's auth token by channel
	PublicURL   string                  // how services reach us, without a slash at the end
	Refused     *telemetry.CounterVec   // by door: what was forged, repeated or over
	// Serve has done what an outage left behind; nil is that nothing can be served here.
	Serve func(ctx context.Context, ask watch.ServeAsk) (watch.ServeAnswer, error)
}

// AdminRoutes lists what operators may ask; see Admin.
func (i *Incidents) AdminRoutes() map[string]Handler {
	return map[string]Handler{
		"POST /api/admin/incidents/{id}/acknowledge": i.acknowledge,
		"POST /api/admin/incidents/{id}/resolve":     i.resolve,
		"POST /api/admin/incidents/{id}/note":        i.note,
		"POST /api/admin/silences":                   i.silence,
		"POST /api/admin/silences/{id}/end":          i.endSilence,
		"POST /api/admin/channels/{name}/test":       i.testChannel,
	}
}

// IncidentAsk is the request of what a person does to an incident.
type IncidentAsk struct {
	Hold time.Duration `json:"hold_ns,omitempty"` // acknowledge: for how long; 0 is what its ladder says
	Text string        `json:"text,omitempty"`    // resolve: why; note: what
}

func (i *Incidents) acknowledge(w http.ResponseWriter, r *http.Request) error {
	return i.act(w, r, func(ask IncidentAsk) error {
		return i.Desk.Acknowledge(r.Context(), r.PathValue("id"), actor(r), ask.Hold)
	})
}

func (i *Incidents) resolve(w http.ResponseWriter, r *http.Request) error {
	return i.act(w, r, func(ask IncidentAsk) error {
		return i.Desk.Resolve(r.Context(), r.PathValue("id"), actor(r), ask.Text)
	})
}

func (i *Incidents) note(w http.ResponseWriter, r *http.Request) error {
	return i.act(w, r, func(ask IncidentAsk) error {
		return i.Desk.Note(r.Context(), r.PathValue("id"), actor(r), ask.Text)
	})
}

func (i *Incidents) act(w http.ResponseWriter, r *http.Request, do func(IncidentAsk) error) error {
	var ask IncidentAsk
	if err := readJSON(w, r, &ask); err != nil {
		return err
	}
	if err := do(ask); err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, struct{}{})
	return nil
}

// SilenceAsk is the request of POST /api/admin/silences.
type SilenceAsk struct {
	Pattern string        `json:"pattern"`
	Hold    time.Duration `json:"hold_ns"`
	Reason  string        `json:"reason"`
}

func (i *Incidents) silence(w http.ResponseWriter, r *http.Request) error {
	var ask SilenceAsk
	if err := readJSON(w, r, &ask); err != nil {
		return err
	}
	s, err := i.Desk.Silence(r.Context(), ask.Pattern, ask.Reason, actor(r), ask.Hold)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, s)
	return nil
}

func (i *Incidents) endSilence(w http.ResponseWriter, r *http.Request) error {
	return i.act(w, r, func(IncidentAsk) error { return i.Desk.EndSilence(r.Context(), r.PathValue("id"), actor(r)) })
}

// ChannelTested is the answer of POST /api/admin/channels/{name}/test.
type ChannelTested struct {
	Trouble string `json:"trouble,omitempty"` // "" is that it would work
}

func (i *Incidents) testChannel(w http.ResponseWriter, r *http.Request) error {
	trouble, err := i.TestChannel(r.Context(), r.PathValue("name"))
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, ChannelTested{trouble})
	return nil
}

// refused counts what somebody should not have tried.
func (i *Incidents) refused(door string, err error) error {
	switch makegood.CodeOf(err) {
	case makegood.Unauthorized, makegood.Forbidden, makegood.Conflict, makegood.Invalid, makegood.NotFound:
		i.Refused.With(door).Inc()
	}
	return err
}

// HearBeat answers POST /watch/beat: the beat of the watcher, with our own.
func (i *Incidents) HearBeat(w http.ResponseWriter, r *http.Request) error {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, watch.BeatBytesMax))
	if err != nil {
		return i.refused("beat", makegood.Wrap(err, makegood.TooLarge, "This is too long for a beat."))
	}
	answer, signature, err := i.Hearing.Hear(r.Context(), body, r.Header.Get(watch.BeatHeader))
	if err != nil {
		return i.refused("beat", err)
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set(watch.BeatHeader, signature)
	_, _ = w.Write(answer)
	return nil
}

// serveWithin bounds what one question of the watcher sets going: fetching what many providers could not deliver takes minutes.
const serveWithin = 2 * time.Minute

// ServeWaiting answers POST /watch/serve: the watcher asks us to serve those who waited in an outage that is over. It gives up on an
// answer after seconds and asks again; what its first question has begun is finished all the same.
func (i *Incidents) ServeWaiting(w http.ResponseWriter, r *http.Request) error {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, watch.ServeBytesMax))
	if err != nil {
		return i.refused("serve", makegood.Wrap(err, makegood.TooLarge, "This is too long for a question."))
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), serveWithin)
	defer cancel()
	answer, signature, err := watch.AnswerServe(ctx, i.Hearing.Secret, body, r.Header.Get(watch.ServeHeader), i.Hearing.Now(), i.Serve)
	if err != nil {
		return i.refused("serve", err)
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set(watch.ServeHeader, signature)
	_, _ = w.Write(answer)
	return nil
}

// noteMax bounds what a job may say of its run, in bytes.
const noteMax = 1000

// Report answers /beat/{token}, /beat/{token}/start and /beat/{token}/fail by GET, HEAD and POST, so that whatever a cron
// job has at hand will do. What it posts is kept beside a failure. It returns whose report it was.
func (i *Incidents) Report(w http.ResponseWriter, r *http.Request) (name string, err error) {
	name, known := i.beatOf(r.PathValue("token"))
	if !known {
		return "", i.refused("heartbeat", makegood.Errorf(makegood.NotFound, "Nothing is expected to report under this address."))
	}
	kind := makegood.BeatSuccess
	switch r.PathValue("kind") {
	case "":
	case "start":
		kind = makegood.BeatStart
	case "fail":
		kind = makegood.BeatFail
	default:
		return "", makegood.Errorf(makegood.NotFound, "A report is a success without more, or start, or fail.")
	}
	said, err := io.ReadAll(io.LimitReader(r.Body, noteMax))
	if err != nil {
		return "", makegood.Wrap(err, makegood.Invalid, "The report cannot be read.")
	}
	if err := i.KeepBeat(r.Context(), name, kind, string(said)); err != nil {
		return "", err
	}
	w.Header().Set("Cache-Control", "no-store") // a report that a cache answers is never heard
	_, err = fmt.Fprintln(w, "heard")
	return name, err
}

// beatOf finds a token without telling by its time how much of a guess is right: what is compared is hashed.
func (i *Incidents) beatOf(token string) (name string, known bool) {
	given := sha256.Sum256([]byte(token))
	for t, n := range i.Beats {
		if sha256.Sum256([]byte(t)) == given {
			name, known = n, true
		}
	}
	return name, known
}

// PhoneStatus answers POST /notify/{channel}/status: what Twilio says of a message afterwards, signed with its auth token.
func (i *Incidents) PhoneStatus(w http.ResponseWriter, r *http.Request) error {
	channel := r.PathValue("channel")
	token, known := i.Phones[channel]
	if !known {
		return i.refused("phone", makegood.Errorf(makegood.NotFound, "There is no such channel."))
	}
	r.Body = http.MaxBytesReader(w, r.Body, makegood.RequestBytesMax)
	if err := r.ParseForm(); err != nil {
		return i.refused("phone", makegood.Errorf(makegood.Invalid, "The form cannot be read."))
	}
	if !notify.VerifyTwilio(token, i.PublicURL+r.URL.RequestURI(), r.PostForm, r.Header.Get("X-Twilio-Signature")) {
		return i.refused("phone", makegood.Errorf(makegood.Forbidden, "This is not signed by the service of the channel."))
	}
	sid, delivered, failed, code := notify.TwilioStatus(r.PostForm)
	if delivered || failed {
		err := i.arrived(r.Context(), channel, sid, delivered, code)
		// A test message, or one of another installation, has no notice; Twilio must not repeat it for ever.
		if err != nil && !errors.Is(err, makegood.NotFound) {
			return err
		}
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

const (
	// statusAgain and statusWithin are how often and for how long a message is looked for of which its service says something:
	// what it says may be here before we have written down that it took the message. Twilio waits 15 s for an answer.
	statusAgain  = 100 * time.Millisecond
	statusWithin = 3 * time.Second
)

// arrived writes down what became of a message.
func (i *Incidents) arrived(ctx context.Context, channel, sid string, delivered bool, code string) error {
	ctx, cancel := context.WithTimeout(ctx, statusWithin)
	defer cancel()
	for {
		err := i.Desk.Arrived(ctx, channel, sid, delivered, strings.TrimSpace("Twilio says that it was not delivered "+code))
		if !errors.Is(err, makegood.NotFound) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(statusAgain):
		}
	}
}
