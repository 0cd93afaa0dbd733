package cli

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/api"
	"github.com/makegood/makegood/internal/store"
	"github.com/makegood/makegood/internal/watch"
)

type incidentsCommands struct {
	List      incidentsListCommand      `cmd:"" help:"List incidents, the newest first."`
	Show      incidentsShowCommand      `cmd:"" help:"Show an incident with everything that happened, or a draft of its postmortem."`
	Ack       incidentsAckCommand       `cmd:"" help:"Say that you look after an incident: nobody else is woken for a while."`
	Resolve   incidentsResolveCommand   `cmd:"" help:"End an incident by hand. If it is still red at the next look, it comes back."`
	Note      incidentsNoteCommand      `cmd:"" help:"Write a line into the record of an incident."`
	Silence   incidentsSilenceCommand   `cmd:"" help:"Tell nobody of certain incidents for a while. Looking and writing down go on."`
	Silences  incidentsSilencesCommand  `cmd:"" help:"List what is silenced."`
	Unsilence incidentsUnsilenceCommand `cmd:"" help:"End a silence."`
}

// side are the flags of every command about incidents: server and watcher each have their own.
type side struct {
	Watcher string `help:"Speak of the watcher with this configuration file instead of the server ($$MAKEGOOD_WATCH_CONFIG)." placeholder:"FILE" env:"MAKEGOOD_WATCH_CONFIG"`
}

// seeing are the flags of a command that only looks at either side.
type seeing struct {
	side
	looking
}

func (l seeing) look(s *surroundings, see func(*store.Store) error) error {
	if l.Watcher != "" && l.Database == "" {
		c, err := s.loadWatch(l.Watcher)
		if err != nil {
			return err
		}
		l.Database = c.Database
	}
	return l.looking.look(s, see)
}

// act acts on the side that is meant.
func (d side) act(s *surroundings, do func(*control) error) error {
	if d.Watcher != "" {
		return s.actOnWatcher(d.Watcher, do)
	}
	return s.act(do)
}

type incidentsListCommand struct {
	State string        `help:"Only incidents in this state: ${enum}. current is open or acknowledged." enum:"any, current, open, acknowledged, resolved" default:"any"`
	Check string        `help:"Only those of this check." placeholder:"CODE"`
	Since time.Duration `help:"Only those that began within this time, for example 24h." placeholder:"TIME"`
	listing
	seeing
}

// incidentRow is an incident in a listing.
type incidentRow struct {
	ID         string                 `json:"id"`
	Priority   makegood.Priority      `json:"priority"`
	State      makegood.IncidentState `json:"state"`
	Key        string                 `json:"key"`
	Check      string                 `json:"check"`
	Subject    string                 `json:"subject,omitempty"`
	Title      string                 `json:"title"`
	Detail     string                 `json:"detail"`
	Means      string                 `json:"means,omitempty"`
	Muted      string                 `json:"muted,omitempty"`
	Reopened   int                    `json:"reopened,omitempty"`
	StartedAt  time.Time              `json:"started_at"`
	OpenedAt   time.Time              `json:"opened_at"`
	AckedAt    time.Time              `json:"acknowledged_at,omitzero"`
	AckedBy    string                 `json:"acknowledged_by,omitempty"`
	AckedUntil time.Time              `json:"acknowledged_until,omitzero"`
	ResolvedAt time.Time              `json:"resolved_at,omitzero"`
	ResolvedBy string                 `json:"resolved_by,omitempty"`
	// The times to detect, to acknowledge and to resolve, in seconds; left out while they run.
	DetectedAfter     float64             `json:"detected_after_s"`
	AcknowledgedAfter float64             `json:"acknowledged_after_s,omitempty"`
	ResolvedAfter     float64             `json:"resolved_after_s,omitempty"`
	Timeline          []makegood.Moment   `json:"timeline,omitempty"`
	Notices           []incidentNoticeRow `json:"notices,omitempty"`
}

// incidentNoticeRow is what one channel was told.
type incidentNoticeRow struct {
	ID        string               `json:"id"`
	Channel   string               `json:"channel"`
	Kind      makegood.NoticeKind  `json:"kind"`
	State     makegood.NoticeState `json:"state"`
	Rung      int                  `json:"rung"`
	Round     int                  `json:"round"`
	Attempts  int                  `json:"failed_attempts"`
	Message   string               `json:"message,omitempty"`
	Remote    string               `json:"remote_id,omitempty"`
	Error     string               `json:"error,omitempty"`
	CreatedAt time.Time            `json:"created_at"`
	SentAt    time.Time            `json:"accepted_at,omitzero"`
	ArrivedAt time.Time            `json:"delivered_at,omitzero"`
}

func incidentRowOf(i *makegood.Incident) incidentRow {
	r := incidentRow{ID: i.ID, Priority: i.Priority, State: i.State, Key: i.Key, Check: i.Check, Subject: i.Subject, Title: i.Title, Detail: i.Detail,
		Means: i.Means, Muted: i.Muted, Reopened: i.Reopened, StartedAt: i.StartedAt, OpenedAt: i.OpenedAt, AckedAt: i.AckedAt, AckedBy: i.AckedBy,
		AckedUntil: i.AckedUntil, ResolvedAt: i.ResolvedAt, ResolvedBy: i.ResolvedBy, DetectedAfter: i.TimeToDetect().Seconds(),
		AcknowledgedAfter: i.TimeToAcknowledge().Seconds(), ResolvedAfter: i.TimeToResolve().Seconds(), Timeline: i.Timeline}
	for _, n := range i.Notices {
		r.Notices = append(r.Notices, incidentNoticeRow{n.ID, n.Channel, n.Kind, n.State, n.Rung, n.Round, n.Attempts, n.MessageID, n.RemoteID,
			n.Error, n.CreatedAt, n.SentAt, n.ArrivedAt})
	}
	return r
}

// Run lists incidents.
func (c incidentsListCommand) Run(s *surroundings) error {
	return c.look(s, func(db *store.Store) error {
		f := store.IncidentFilter{Check: c.Check, Limit: c.Limit, Open: c.State == "current"}
		if c.State != "current" {
			f.State = makegood.IncidentState(filterOf(c.State))
		}
		if c.Since > 0 {
			f.Since = time.Now().Add(-c.Since)
		}
		list, err := db.Incidents(s.ctx, f)
		if err != nil {
			return err
		}
		rows := make([]incidentRow, len(list))
		for k := range list {
			rows[k] = incidentRowOf(&list[k])
		}
		if c.JSON {
			return s.printJSON(rows)
		}
		if len(rows) == 0 {
			fmt.Fprintln(s.out, "No such incidents.")
			return nil
		}
		w := table(s.out)
		fmt.Fprintln(w, "SINCE (UTC)\tINCIDENT\tPRIO\tSTATE\tWHAT\tFOUND AFTER\tLASTED")
		for _, r := range rows {
			lasted := "-"
			if !r.ResolvedAt.IsZero() {
				lasted = short(r.ResolvedAt.Sub(r.StartedAt))
			}
			state := string(r.State)
			if r.Muted != "" {
				state += " (muted)"
			}
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", stamp(r.StartedAt), r.ID, r.Priority, state, firstOf(oneLine(r.Key+": "+r.Detail), 90),
				short(r.OpenedAt.Sub(r.StartedAt)), lasted)
		}
		return errors.Join(w.Flush(), s.cut(len(rows), c.Limit))
	})
}

type incidentsShowCommand struct {
	ID         string `arg:"" help:"The id of the incident (inc…)."`
	Postmortem bool   `help:"Print a draft of the postmortem, as Markdown."`
	seeing
}

// Run shows one incident.
func (c incidentsShowCommand) Run(s *surroundings) error {
	return c.look(s, func(db *store.Store) error {
		i, err := db.Incident(s.ctx, c.ID)
		if err != nil {
			return err
		}
		switch {
		case c.JSON:
			return s.printJSON(incidentRowOf(i))
		case c.Postmortem:
			_, err := fmt.Fprint(s.out, watch.Postmortem(i))
			return err
		}
		printIncident(s, i)
		return nil
	})
}

func printIncident(s *surroundings, i *makegood.Incident) {
	w := sheet{s.out}
	w.row("Incident", "%s, %s, %s", i.ID, i.Priority, i.State)
	w.row("What", "%s%s", i.Title, inBrackets(i.Subject))
	w.more(oneLine(i.Detail))
	w.row("Customers", "%s", or(i.Means, "-"))
	w.row("Since", "%s UTC, found after %s", stamp(i.StartedAt), short(i.TimeToDetect()))
	if !i.AckedAt.IsZero() {
		w.row("Answered", "by %s after %s", i.AckedBy, short(i.TimeToAcknowledge()))
	}
	if i.State == makegood.IncidentAcknowledged {
		w.more("until " + stamp(i.AckedUntil) + " UTC, then everybody is told again")
	}
	if i.State == makegood.IncidentResolved {
		w.row("Over", "%s UTC, after %s", stamp(i.ResolvedAt), short(i.TimeToResolve()))
	}
	if i.Muted != "" {
		w.row("Muted", "%s", i.Muted)
	}
	w.row("What to do", "makegood runbook %s", i.Check)
	fmt.Fprintln(s.out)
	for _, m := range i.Timeline {
		fmt.Fprintf(s.out, "%s  %-22s %s  [%s]\n", stamp(m.At), m.Kind, oneLine(m.Text), oneLine(m.Actor))
	}
	if len(i.Notices) == 0 {
		fmt.Fprintln(s.out, "\nNobody was told: no ladder of the escalation serves it, or it is muted.")
		return
	}
	fmt.Fprintln(s.out)
	t := table(s.out)
	fmt.Fprintln(t, "CHANNEL\tKIND\tSTATE\tFAILED ATTEMPTS\tACCEPTED (UTC)\tERROR")
	for _, n := range i.Notices {
		accepted := "-"
		if !n.SentAt.IsZero() {
			accepted = stamp(n.SentAt)
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%d\t%s\t%s\n", n.Channel, n.Kind, n.State, n.Attempts, accepted, or(firstOf(n.Error, 80), "-"))
	}
	t.Flush()
}

func inBrackets(s string) string {
	if s == "" {
		return ""
	}
	return " (" + s + ")"
}

type incidentsAckCommand struct {
	ID  string        `arg:"" help:"The id of the incident (inc…)."`
	For time.Duration `help:"For how long; by default what its ladder says. Then everybody is told again, unless it is over." placeholder:"TIME"`
	side
}

// Run acknowledges an incident.
func (c incidentsAckCommand) Run(s *surroundings) error {
	return c.act(s, func(desk *control) error {
		if err := desk.ask(s.ctx, http.MethodPost, "/api/admin/incidents/"+c.ID+"/acknowledge", api.IncidentAsk{Hold: c.For}, &struct{}{}); err != nil {
			return err
		}
		fmt.Fprintf(s.out, "You have it. What to do: makegood incidents show %s\n", c.ID)
		desk.laterTold(s.out)
		return nil
	})
}

type incidentsResolveCommand struct {
	ID  string `arg:"" help:"The id of the incident (inc…)."`
	Why string `required:"" help:"Why it is over; the next person reads it."`
	side
}

// Run ends an incident.
func (c incidentsResolveCommand) Run(s *surroundings) error {
	return c.act(s, func(desk *control) error {
		if err := desk.ask(s.ctx, http.MethodPost, "/api/admin/incidents/"+c.ID+"/resolve", api.IncidentAsk{Text: c.Why}, &struct{}{}); err != nil {
			return err
		}
		fmt.Fprintln(s.out, "It is over, and whoever was told that it began is told. If the next look is red, it comes back.")
		desk.laterTold(s.out)
		return nil
	})
}

type incidentsNoteCommand struct {
	ID   string   `arg:"" help:"The id of the incident (inc…)."`
	Text []string `arg:"" help:"What you have to say."`
	side
}

// Run writes a note.
func (c incidentsNoteCommand) Run(s *surroundings) error {
	return c.act(s, func(desk *control) error {
		if err := desk.ask(s.ctx, http.MethodPost, "/api/admin/incidents/"+c.ID+"/note", api.IncidentAsk{Text: strings.Join(c.Text, " ")}, &struct{}{}); err != nil {
			return err
		}
		fmt.Fprintln(s.out, "Written into the record.")
		return nil
	})
}

type incidentsSilenceCommand struct {
	Pattern string        `arg:"" help:"Which: a key such as monitor/shop, or a pattern such as monitor/* ; * is everything."`
	For     time.Duration `required:"" help:"For how long, for example 2h."`
	Why     string        `required:"" help:"Why; the next person reads it."`
	side
}

// Run silences incidents.
func (c incidentsSilenceCommand) Run(s *surroundings) error {
	return c.act(s, func(desk *control) error {
		var silence makegood.Silence
		if err := desk.ask(s.ctx, http.MethodPost, "/api/admin/silences", api.SilenceAsk{Pattern: c.Pattern, Hold: c.For, Reason: c.Why}, &silence); err != nil {
			return err
		}
		fmt.Fprintf(s.out, "Nobody is told of %s until %s UTC. Everything is still looked at and written down, and whoever was told that\nsomething began is told that it is over. End it early: makegood incidents unsilence %s\n",
			oneLine(silence.Pattern), stamp(silence.Until), silence.ID)
		return nil
	})
}

type incidentsSilencesCommand struct{ seeing }

// Run lists silences.
func (c incidentsSilencesCommand) Run(s *surroundings) error {
	return c.look(s, func(db *store.Store) error {
		list, err := db.Silences(s.ctx, time.Now())
		if err != nil {
			return err
		}
		if c.JSON {
			return s.printJSON(append([]makegood.Silence{}, list...))
		}
		if len(list) == 0 {
			fmt.Fprintln(s.out, "Nothing is silenced, except for maintenance windows in the configuration.")
			return nil
		}
		w := table(s.out)
		fmt.Fprintln(w, "SILENCE\tWHICH\tUNTIL (UTC)\tBY\tWHY")
		for _, x := range list {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", x.ID, oneLine(x.Pattern), stamp(x.Until), oneLine(x.By), firstOf(oneLine(x.Reason), 80))
		}
		return w.Flush()
	})
}

type incidentsUnsilenceCommand struct {
	ID string `arg:"" help:"The id of the silence (sil…)."`
	side
}

// Run ends a silence.
func (c incidentsUnsilenceCommand) Run(s *surroundings) error {
	return c.act(s, func(desk *control) error {
		if err := desk.ask(s.ctx, http.MethodPost, "/api/admin/silences/"+c.ID+"/end", api.IncidentAsk{}, &struct{}{}); err != nil {
			return err
		}
		fmt.Fprintln(s.out, "People are told again.")
		return nil
	})
}
