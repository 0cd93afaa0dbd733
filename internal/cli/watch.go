package cli

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/app"
	"github.com/makegood/makegood/internal/config"
	"github.com/makegood/makegood/internal/monitor"
	"github.com/makegood/makegood/internal/outbound"
	"github.com/makegood/makegood/internal/smoke"
)

// defaultWatchConfig is the watcher's configuration file when none is named.
const defaultWatchConfig = "watch.yaml"

// watching is the flag of every command that is about a watcher only.
type watching struct {
	File string `name:"watcher" short:"w" default:"watch.yaml" help:"The watcher's configuration file, watch.yaml by default ($$MAKEGOOD_WATCH_CONFIG). -c means it too." placeholder:"FILE" env:"MAKEGOOD_WATCH_CONFIG"`
}

// file is the watcher's file. -c is what everybody types first; the server's file, when only the environment names it, is not
// meant.
func (w watching) file(s *surroundings) string {
	servers, _ := s.lookup("MAKEGOOD_CONFIG")
	if w.File == defaultWatchConfig && s.config != defaultConfig && s.config != servers {
		return s.config
	}
	return w.File
}

func (s *surroundings) loadWatch(path string) (*config.Watch, error) {
	s.config = path // what is wrong is told of this file
	return config.LoadWatch(path, s.lookup, app.WatchRules())
}

type watchCommand struct {
	watching
	Once  bool `help:"Look at everything once, tell whom it has to, and end: 0 when all is well, 1 when something is not. For cron and runners of CI; better is a process that always runs."`
	Check bool `help:"Check the configuration and end."`
	Init  bool `help:"Write a commented configuration to start from."`
	JSON  bool `help:"With --once: print JSON, for programs."`
}

// Run watches until it is told to stop.
func (c watchCommand) Run(s *surroundings) error {
	c.File = c.file(s)
	if c.Init {
		return c.init(s)
	}
	conf, err := s.loadWatch(c.File)
	if err != nil {
		return err
	}
	log, err := s.logger(conf.Log)
	if err != nil {
		return err
	}
	if c.Check {
		return c.check(s, conf)
	}
	file := app.WatchPath{Path: c.File, Load: func() (*config.Watch, error) { return config.LoadWatch(c.File, s.lookup, app.WatchRules()) }}
	if c.Once {
		return c.once(s, conf, file)
	}
	log, done, err := s.reporting(log, conf.Errors, "watcher")
	if err != nil {
		return err
	}
	defer done()
	w, err := app.NewWatcher(s.ctx, conf, file, app.Options{Log: log, Notify: supervisor(s.lookup), Lookup: s.lookup, Drill: simulatedDrill})
	if err != nil {
		return err
	}
	fmt.Fprintf(s.out, "makegood watches %s from %s. Stop it with Ctrl-C.\n", count(len(conf.Monitors), "monitor"), w.Addr())
	if err := w.Run(s.ctx); err != nil {
		return err
	}
	fmt.Fprintln(s.out, "makegood has stopped watching; what was not told is told after the next start.")
	return nil
}

func (c watchCommand) init(s *surroundings) error {
	starter := config.StarterWatch()
	if err := writeNew(c.File, starter, "makegood watch --init -w FILE"); err != nil {
		return err
	}
	flag := ""
	if c.File != defaultWatchConfig {
		flag = " -w " + c.File
	}
	fmt.Fprintf(s.out, `Wrote %s. What to do next:
  1. Open it and fill in your own addresses and channels; every line is explained.
  2. Set the secrets that it names: %s.
  3. makegood watch --check%s
  4. makegood watch%s, on another machine than the server
`, c.File, strings.Join(namedSecrets(starter), ", "), flag, flag)
	return nil
}

// check says what the configuration amounts to, and what it lacks without being wrong.
func (c watchCommand) check(s *surroundings, conf *config.Watch) error {
	if err := app.CheckWatch(conf); err != nil {
		return unusable(c.File, err)
	}
	fmt.Fprintf(s.out, "%s is good.\n", c.File)
	w := sheet{s.out}
	w.row("  looks at", "%s, %s", count(len(conf.Monitors), "monitor"), count(len(conf.Checkout), "synthetic checkout"))
	if len(conf.Monitors)+len(conf.Checkout) == 0 && conf.Server == nil {
		w.more("  nothing: it would find everything well")
	}
	if conf.Server != nil {
		w.row("  server", "%s, taken for dead after %s without an answer", conf.Server.URL, span(conf.Server.Silent))
	} else {
		w.row("  server", "none: when this watcher dies, nobody notices")
	}
	printTelling(w, conf.Telling)
	if conf.PublicURL == "" {
		w.row("  links", "none: without public_url nobody can answer by a tap, and nothing can report from elsewhere")
	}
	if conf.Drill {
		w.row("  drill", "it may run on the server's machine, for trying it out")
	}
	return nil
}

// printTelling says in one line whether anybody would be told.
func printTelling(w sheet, t config.Telling) {
	if len(t.Channels) == 0 {
		w.row("  tells", "nobody: there are no channels, so trouble is only written down (makegood incidents list)")
		return
	}
	var names []string
	for _, c := range t.Channels {
		names = append(names, c.Name+" ("+c.Kind+")")
	}
	w.row("  tells", "%s; who is told when: makegood policy test P0", strings.Join(names, ", "))
	if len(t.Channels) == 1 {
		w.more("  one channel only: when it fails, nobody is told")
	}
}

// once makes one round. It has a port of its own, so that a watcher that runs beside it does not matter to it.
func (c watchCommand) once(s *surroundings, conf *config.Watch, file app.WatchPath) error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	log, err := s.logger(config.Log{Level: "error", Format: conf.Log.Format}) // what people need is in the table and in the error
	if err != nil {
		return err
	}
	w, err := app.NewWatcher(s.ctx, conf, file, app.Options{Log: log, Listener: listener, Lookup: s.lookup})
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	statuses, err := w.Once(s.ctx)
	if c.JSON {
		err = errors.Join(err, s.printJSON(statuses))
	} else {
		printStatuses(s, statuses)
	}
	if err != nil {
		return err
	}
	return redOnes(statuses, c.File)
}

func printStatuses(s *surroundings, statuses []monitor.Status) {
	w := table(s.out)
	fmt.Fprintln(w, "WHAT\tSTATE\tTOOK\tTROUBLE")
	for _, m := range statuses {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", oneLine(m.Key), m.State, short(m.Took), or(firstOf(oneLine(m.Trouble), 120), "-"))
	}
	w.Flush()
}

// redOnes is an error when something is not well. What is in maintenance is expected not to be.
func redOnes(statuses []monitor.Status, file string) error {
	red := 0
	for _, m := range statuses {
		if m.State != monitor.Up && !m.Maintained {
			red++
		}
	}
	switch red {
	case 0:
		return nil
	case 1:
		return fmt.Errorf("1 of %d is not well. See: makegood incidents list --state current --watcher %s", len(statuses), file)
	}
	return fmt.Errorf("%d of %d are not well. See: makegood incidents list --state current --watcher %s", red, len(statuses), file)
}

type smokeCommand struct {
	URL      string        `required:"" help:"The deployment to walk through, for example https://shop.example.com."`
	File     string        `help:"The file with the walk: its smoke section. Without one, /livez and /api/health are asked." placeholder:"FILE" name:"watcher" short:"w" env:"MAKEGOOD_WATCH_CONFIG"`
	Page     []string      `help:"A page or path that must answer, besides those of the file; may be repeated." placeholder:"PATH" sep:"none"`
	Click    string        `help:"The page with the buy button." placeholder:"PATH"`
	Button   string        `help:"A pattern of what the button links to, posts to, or of its data-product." placeholder:"PATTERN"`
	Checkout []string      `help:"The beginning of an address at which customers may pay; may be repeated." placeholder:"URL" sep:"none"`
	Timeout  time.Duration `help:"How long each step may take." default:"10s"`
	JSON     bool          `help:"Print JSON, for programs."`
}

// Run walks through a deployment and says what a visitor would meet.
func (c smokeCommand) Run(s *surroundings) error {
	test, conf, err := c.test(s)
	if err != nil {
		return err
	}
	walk, err := app.SmokeTest(test, conf, time.Now)
	if err != nil {
		return err
	}
	var report func(smoke.Step)
	if !c.JSON {
		report = func(step smoke.Step) {
			word := "ok  "
			if !step.OK {
				word = "FAIL"
			}
			fmt.Fprintf(s.out, "%s  %-40s %8s  %s\n", word, oneLine(step.Name), short(step.Took), oneLine(step.Trouble))
		}
	}
	r := smoke.Run(s.ctx, walk, report)
	if c.JSON {
		if err := s.printJSON(r); err != nil {
			return err
		}
	}
	if conf != nil {
		if err := c.tell(s, conf, r); err != nil {
			fmt.Fprintf(s.errors, "makegood: nobody was told: %s\n", s.plain(err))
		}
	}
	failed := 0
	for _, step := range r.Steps {
		if !step.OK {
			failed++
		}
	}
	if failed > 0 {
		return fmt.Errorf("%d of %s failed. What to do: makegood runbook smoke-failed", failed, count(len(r.Steps), "step"))
	}
	if !c.JSON {
		fmt.Fprintf(s.out, "All %s passed in %s.\n", count(len(r.Steps), "step"), short(r.Took))
	}
	return nil
}

// tell tells the people of the watcher's file how it went: that it failed, or that it is well after it had failed.
func (c smokeCommand) tell(s *surroundings, conf *config.Watch, r smoke.Result) error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	log, err := s.logger(config.Log{Level: "error", Format: conf.Log.Format})
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	w, err := app.NewWatcher(s.ctx, conf, app.WatchPath{}, app.Options{Log: log, Listener: listener, Lookup: s.lookup})
	if makegood.CodeOf(err) == makegood.Conflict { // a watcher runs here and has the database
		return makegood.Wrap(errors.Join(err, listener.Close()), makegood.Conflict,
			"A watcher with this file runs here. Have it walk and tell by itself: POST /__trigger.")
	}
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	return w.TellSmoke(s.ctx, r)
}

func (c smokeCommand) test(s *surroundings) (config.SmokeTest, *config.Watch, error) {
	var test config.SmokeTest
	var conf *config.Watch
	if c.File != "" {
		var err error
		if conf, err = s.loadWatch(c.File); err != nil {
			return test, nil, err
		}
		if conf.Smoke != nil {
			test = *conf.Smoke
		}
	}
	if u, err := url.Parse(c.URL); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return test, nil, makegood.Errorf(makegood.Invalid, "--url must be an address such as https://shop.example.com.")
	}
	test.URL = strings.TrimSuffix(c.URL, "/")
	if c.Click != "" {
		test.Click = c.Click
	}
	if c.Button != "" {
		test.Button = c.Button
	}
	test.Checkout = append(test.Checkout, c.Checkout...)
	for _, path := range c.Page {
		test.Pages = append(test.Pages, config.SmokePage{Path: path, Conditions: []string{"[STATUS] == 200"}})
	}
	if len(test.Pages) == 0 && test.Click == "" {
		test.Pages = []config.SmokePage{{Path: "/livez", Conditions: []string{"[STATUS] == 200"}},
			{Path: "/api/health", Conditions: []string{"[STATUS] == 200", "[BODY].status == healthy"}}}
	}
	for _, p := range test.Pages {
		if !strings.HasPrefix(p.Path, "/") {
			return test, nil, makegood.Errorf(makegood.Invalid, "A page is a path that begins with a slash, such as /products.")
		}
	}
	if test.Timeout == 0 || c.Timeout != 10*time.Second {
		test.Timeout = c.Timeout
	}
	return test, conf, nil
}

type beatCommand struct {
	Name string `arg:"" help:"The heartbeat's name in the watcher's configuration."`
	Kind string `arg:"" optional:"" enum:"success,start,fail" default:"success" help:"What to report: ${enum}."`
	Note string `help:"What to write down with a failure, for example the exit code."`
	URL  string `help:"The watcher's address, when it is not the public_url or listen address of the file." placeholder:"URL"`
	watching
}

// Run reports once. It is for cron jobs and backups on a machine that has the watcher's file; others ask the plain address.
func (c beatCommand) Run(s *surroundings) error {
	c.File = c.file(s)
	conf, err := s.loadWatch(c.File)
	if err != nil {
		return err
	}
	for _, m := range conf.Monitors {
		if m.Name != c.Name || m.Heartbeat == nil {
			continue
		}
		base := c.URL
		if base == "" {
			base = conf.PublicURL
		}
		if base == "" {
			base = "http://" + conf.Listen
		}
		return c.report(s, strings.TrimSuffix(base, "/")+"/beat/"+url.PathEscape(m.Heartbeat.Token.Reveal())+beatPath(c.Kind))
	}
	var there []string
	for _, m := range conf.Monitors {
		if m.Heartbeat != nil {
			there = append(there, m.Name)
		}
	}
	if there == nil {
		return makegood.Errorf(makegood.NotFound, "%s has no monitor with a heartbeat.", c.File)
	}
	return makegood.Errorf(makegood.NotFound, "%s has no heartbeat monitor named %s; there are %s.", c.File, oneLine(c.Name), strings.Join(there, ", "))
}

func beatPath(kind string) string {
	if kind == "success" {
		return ""
	}
	return "/" + kind
}

// beatTimeout is how long a job waits to be heard.
const beatTimeout = 10 * time.Second

func (c beatCommand) report(s *surroundings, address string) error {
	req, err := http.NewRequest(http.MethodPost, address, strings.NewReader(c.Note))
	if err != nil {
		return errors.New("the watcher's address cannot be used") // its text would have the token
	}
	resp, err := outbound.New(outbound.Options{Timeout: beatTimeout, AllowPrivate: true, NeverRest: true}).Do(s.ctx, req)
	if err != nil {
		return fmt.Errorf("the watcher was not reached, so this was not reported: %w", err)
	}
	if resp.Status != http.StatusOK {
		return fmt.Errorf("the watcher answered with status %d, so this was not reported; is it running with this file?", resp.Status)
	}
	fmt.Fprintf(s.out, "%s: %s reported.\n", oneLine(c.Name), c.Kind)
	return nil
}
