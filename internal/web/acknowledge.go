package web

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/notify"
	"github.com/makegood/makegood/internal/telemetry"
)

// Acknowledge is the page behind the link of a message: what is wrong, since when, what was done, and one button. Asking for
// it changes nothing, because mail scanners and chat previews ask for every link; only the button, or the action of a push
// message, acknowledges.
type Acknowledge struct {
	Pages     *Pages
	Links     notify.Links
	Now       func() time.Time
	Refused   *telemetry.CounterVec // by door
	Incidents interface {
		IncidentsOfMessage(ctx context.Context, channel, messageID string) ([]string, error)
		Incident(ctx context.Context, id string) (*makegood.Incident, error)
	}
	// Act acknowledges what is open, once.
	Act func(ctx context.Context, channel, messageID, linkID string, expires time.Time) (ids []string, err error)
}

// recordsMax is how many incidents one page shows; a storm has a thousand.
const recordsMax = 10

type acknowledgePage struct {
	Incidents []*makegood.Incident
	More      int
	Open      bool   // whether the button is shown
	Said      string // what the button did, or why it could not
	Bad       bool
	links     notify.Links
}

// Command is a command line as a person types it here.
func (p acknowledgePage) Command(words string) string { return p.links.Command(words) }

// IsNamed reports whether the title of an incident says already which of several it is about.
func (p acknowledgePage) IsNamed(i *makegood.Incident) bool {
	return strings.Contains(i.Title, i.Subject)
}

// Show answers GET /ack/{token}.
func (a *Acknowledge) Show(w http.ResponseWriter, r *http.Request) error {
	p, err := a.Links.Read(r.PathValue("token"), a.Now())
	if err != nil {
		return a.refuse(w, err)
	}
	return a.render(w, r, p, acknowledgePage{}, http.StatusOK)
}

// Press answers POST /ack/{token}.
func (a *Acknowledge) Press(w http.ResponseWriter, r *http.Request) error {
	p, err := a.Links.Read(r.PathValue("token"), a.Now())
	if err != nil {
		return a.refuse(w, err)
	}
	page, status := acknowledgePage{Said: "You have it. Nobody else is woken for now; if it is not over when your time is, everybody is told again."}, http.StatusOK
	if _, err := a.Act(r.Context(), p.Channel, p.MessageID, p.ID(), p.Expires); err != nil {
		switch makegood.CodeOf(err) {
		case makegood.Conflict, makegood.NotFound:
			a.Refused.With("link").Inc()
			page, status = acknowledgePage{Said: makegood.MessageOf(err), Bad: true}, http.StatusConflict
		default:
			return err
		}
	}
	return a.render(w, r, p, page, status)
}

func (a *Acknowledge) refuse(w http.ResponseWriter, err error) error {
	a.Refused.With("link").Inc()
	status := http.StatusForbidden
	if makegood.CodeOf(err) == makegood.Conflict {
		status = http.StatusGone
	}
	a.Pages.render(w, status, "acknowledge.html", acknowledgePage{Said: makegood.MessageOf(err), Bad: true})
	return nil
}

func (a *Acknowledge) render(w http.ResponseWriter, r *http.Request, p notify.Permission, page acknowledgePage, status int) error {
	ids, err := a.Incidents.IncidentsOfMessage(r.Context(), p.Channel, p.MessageID)
	if err != nil {
		return err
	}
	for k, id := range ids {
		if k == recordsMax {
			page.More = len(ids) - recordsMax
			break
		}
		i, err := a.Incidents.Incident(r.Context(), id)
		if err != nil {
			return err
		}
		page.Incidents = append(page.Incidents, i)
		page.Open = page.Open || i.State == makegood.IncidentOpen
	}
	if len(ids) == 0 && page.Said == "" { // the records of long ago are not kept
		page.Said, page.Bad = "Nothing is known of this message any more.", true
	}
	page.Open = page.Open && page.Said == ""
	page.links = a.Links
	a.Pages.render(w, status, "acknowledge.html", page)
	return nil
}
