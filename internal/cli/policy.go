package cli

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/api"
	"github.com/makegood/makegood/internal/app"
	"github.com/makegood/makegood/internal/config"
	"github.com/makegood/makegood/internal/inspect"
	"github.com/makegood/makegood/internal/watch"
)

type policyCommands struct {
	Test policyTestCommand `cmd:"" help:"Who would be told what, over which channel, and when, if something happened now and nobody answered."`
}

type policyTestCommand struct {
	Event  string        `arg:"" help:"What happens: the code of a check, the key of a monitor such as monitor/shop, or a priority (P0 to P3); list shows all checks."`
	Within time.Duration `help:"How far to look ahead." default:"2h"`
	JSON   bool          `help:"Print JSON, for programs."`
	side
}

// policyRow is one telling of a preview.
type policyRow struct {
	After   float64             `json:"after_s"`
	Channel string              `json:"channel"`
	Kind    string              `json:"kind"`
	What    string              `json:"what"`
	Rung    int                 `json:"rung"`
	Round   int                 `json:"round"`
	Is      makegood.NoticeKind `json:"-"`
}

// Run previews.
func (c policyTestCommand) Run(s *surroundings) error {
	if c.Event == "list" {
		w := table(s.out)
		fmt.Fprintln(w, "CHECK\tPRIORITY\tEVERY\tWHAT")
		for _, k := range inspect.Checks() {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", k.Code, k.Priority, span(k.Every), oneLine(k.Title))
		}
		return w.Flush()
	}
	telling, f, err := c.read(s)
	if err != nil {
		return err
	}
	now := time.Now()
	muted := ""
	for _, m := range telling.Maintenance {
		if (makegood.Silence{Pattern: m.Keys, From: m.From, Until: m.Until}).Covers(f.Key(), now) {
			muted = "maintenance until " + stamp(m.Until) + " UTC: " + m.Reason
		}
	}
	var channels []string
	kinds := map[string]string{}
	for _, channel := range telling.Channels {
		channels = append(channels, channel.Name)
		kinds[channel.Name] = channel.Kind
	}
	rows := []policyRow{}
	for _, n := range watch.Preview(f, telling.Escalation, channels, muted, now, c.Within) {
		rows = append(rows, policyRow{n.CreatedAt.Sub(now).Seconds(), n.Channel, kinds[n.Channel], f.Title, n.Rung + 1, n.Round + 1, n.Kind})
	}
	if c.JSON {
		return s.printJSON(rows)
	}
	return c.print(s, f, telling, muted, rows)
}

func (c policyTestCommand) print(s *surroundings, f makegood.Finding, t config.Telling, muted string, rows []policyRow) error {
	fmt.Fprintf(s.out, "If %s happened now (%s: %s):\n", f.Key(), f.Priority, oneLine(f.Title))
	if muted != "" {
		fmt.Fprintf(s.out, "Nobody would be told: %s. It would be looked at and written down.\n", oneLine(muted))
		return nil
	}
	if len(rows) == 0 {
		fmt.Fprintln(s.out, "Nobody would be told: it is written down for review.")
		return nil
	}
	w := table(s.out)
	fmt.Fprintln(w, "AFTER\tCHANNEL\tKIND\tTOLD")
	left := 0
	for _, r := range rows {
		told := "that it began"
		if r.Is == makegood.NoticeReminder {
			told = fmt.Sprintf("that nobody has answered (rung %d, round %d)", r.Rung, r.Round)
		}
		if r.Round > roundsShown {
			left++
			continue
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", span(time.Duration(r.After*float64(time.Second))), r.Channel, r.Kind, told)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	l := t.Escalation[f.Priority]
	if left > 0 {
		fmt.Fprintf(s.out, "…and so on, again %s after the last rung of each round: %s more within %s.\n", span(l.Repeat), count(left, "message"), span(c.Within))
	}
	fmt.Fprintf(s.out, "Whoever answers stops this for %s. When a channel fails, the next rung goes at once. Incidents of one kind share a message,\nat most one in five minutes unless they become graver. Everybody who was told is told when it is over.\n", span(l.AckFor))
	return nil
}

// roundsShown is how often the ladder is shown to people; programs get all of it.
const roundsShown = 2

// read finds what is meant and whose ladders serve it.
func (c policyTestCommand) read(s *surroundings) (config.Telling, makegood.Finding, error) {
	var telling config.Telling
	var overrides []config.CheckOverride
	var monitors []config.Monitor
	if c.Watcher != "" {
		conf, err := s.loadWatch(c.Watcher)
		if err != nil {
			return telling, makegood.Finding{}, err
		}
		telling, monitors = conf.Telling, conf.Monitors
	} else {
		conf, err := s.load()
		if err != nil {
			return telling, makegood.Finding{}, err
		}
		telling, overrides = conf.Telling, conf.Checks
	}
	if p, err := makegood.ParsePriority(strings.ToUpper(c.Event)); err == nil {
		return telling, makegood.Finding{Check: "something", Priority: p, Title: "something of this priority"}, nil
	}
	code, subject, _ := strings.Cut(c.Event, "/")
	if code == app.MonitorCheck {
		var there []string
		for _, m := range monitors {
			there = append(there, app.MonitorCheck+"/"+m.Name)
			if m.Name == subject {
				return telling, makegood.Finding{Check: code, Subject: subject, Priority: m.Priority, Title: m.Title}, nil
			}
		}
		if c.Watcher == "" {
			return telling, makegood.Finding{}, makegood.Errorf(makegood.Invalid, "Monitors are the watcher's: name its configuration file with --watcher.")
		}
		return telling, makegood.Finding{}, makegood.Errorf(makegood.NotFound, "There is no monitor %s in %s; there are %s.", oneLine(subject), c.Watcher, or(strings.Join(there, ", "), "none"))
	}
	check, on := inspect.Lookup(code, overrides)
	if on {
		return telling, makegood.Finding{Check: code, Subject: subject, Priority: check.Priority, Title: check.Title}, nil
	}
	if slices.ContainsFunc(inspect.Checks(), func(k makegood.Check) bool { return k.Code == code }) {
		return telling, makegood.Finding{}, makegood.Errorf(makegood.NotFound, "The check %s is switched off in the configuration.", code)
	}
	return telling, makegood.Finding{}, makegood.Errorf(makegood.NotFound, "There is no check %s. List them: makegood policy test list", oneLine(c.Event))
}

type channelsCommands struct {
	Test channelsTestCommand `cmd:"" help:"Find out whether channels would work, with a round trip where the service allows one. It disturbs nobody."`
}

type channelsTestCommand struct {
	Name []string `arg:"" optional:"" help:"The channels; all by default."`
	side
}

// Run tests channels through the running server or watcher.
func (c channelsTestCommand) Run(s *surroundings) error {
	names := c.Name
	if len(names) == 0 {
		var list []config.Channel
		if c.Watcher != "" {
			conf, err := s.loadWatch(c.Watcher)
			if err != nil {
				return err
			}
			list = conf.Channels
		} else {
			conf, err := s.load()
			if err != nil {
				return err
			}
			list = conf.Channels
		}
		for _, channel := range list {
			names = append(names, channel.Name)
		}
	}
	if len(names) == 0 {
		return errors.New("the configuration has no channels: nobody would be told of anything")
	}
	return c.act(s, func(desk *control) error {
		var broken []string
		for _, name := range names {
			var tested api.ChannelTested
			if err := desk.ask(s.ctx, http.MethodPost, "/api/admin/channels/"+name+"/test", struct{}{}, &tested); err != nil {
				return err
			}
			if tested.Trouble != "" {
				broken = append(broken, name)
				fmt.Fprintf(s.out, "%-16s does not work: %s\n", oneLine(name), oneLine(tested.Trouble))
				continue
			}
			fmt.Fprintf(s.out, "%-16s works\n", oneLine(name))
		}
		if len(broken) > 0 {
			return fmt.Errorf("%s. What to do: makegood runbook alert-channel-down", count(len(broken), "broken channel"))
		}
		return nil
	})
}
