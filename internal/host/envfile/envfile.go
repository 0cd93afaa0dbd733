// Package envfile is a program that gets its variables from a file, and a command that starts it again: systemd with an
// EnvironmentFile, docker compose with an env_file, or anything like them.
//
// Beside the file /etc/shop.env it keeps four others, of the owner and mode of the file or of us alone: .shop.env.makegood
// remembers runs and has no value in it, .shop.env.before is the file as it was before the last mending, .shop.env.lock keeps
// two writers apart, and .shop.env.new is a file that is being written.
package envfile

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"syscall"
	"time"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/host"
	"github.com/makegood/makegood/internal/secret"
)

// Kind is what the configuration calls such a place.
const Kind = "env_file"

const (
	// settle is how long a program that was started may take until its status command says that it runs.
	settle = 15 * time.Second
	// statusLimit is how long a status command may take.
	statusLimit = 10 * time.Second
)

// Options describe a file and how its program is started.
type Options struct {
	Name string // what the configuration calls the place, for sentences; the path when ""
	// Path is the file, absolute. When it is a link, the file that it leads to is written, and the link stays. A file that
	// is not there is made with mode 0600; its folder must be there.
	Path string
	// Command starts the program again. It must do no harm when it is run twice. It runs as host.Command does.
	Command        []string
	CommandTimeout time.Duration // host.CommandLimit when 0
	// Status ends with exit code 0 when the program runs, such as systemctl is-active --quiet shop. Running is the same in Go
	// and goes before it. With neither, a program runs when the command has ended well.
	Status  []string
	Running func(context.Context) error
	Now     func() time.Time
}

// Target is such a place. It is safe for concurrent use, also by several processes.
type Target struct {
	o    Options
	disk operations
}

var (
	_ host.Writer   = (*Target)(nil)
	_ host.Starter  = (*Target)(nil)
	_ host.Reverter = (*Target)(nil)
	_ host.Breaker  = (*Target)(nil)
	_ host.Target   = (*Target)(nil)
)

// New makes the place and touches nothing. Without a clock it panics: the wiring is broken.
func New(o Options) (*Target, error) {
	switch {
	case o.Now == nil:
		panic("envfile: a place without a clock")
	case !filepath.IsAbs(o.Path):
		return nil, makegood.Errorf(makegood.Invalid, "A place of kind env_file cannot work: the path of its file is not absolute.")
	case len(o.Command) == 0 || o.Command[0] == "":
		return nil, makegood.Errorf(makegood.Invalid, "A place of kind env_file cannot work: it has no command that starts the program again.")
	}
	o.Path = filepath.Clean(o.Path)
	o.Name = cmp.Or(o.Name, o.Path)
	return &Target{o: o, disk: disk}, nil
}

// Kind is env_file.
func (t *Target) Kind() string { return Kind }

// place is where the file really is, and how it is.
type place struct {
	path   string
	exists bool
	id     identity // of the file, or of what will be made
	at     time.Time
}

func (p place) side(suffix string) string {
	return filepath.Join(filepath.Dir(p.path), "."+filepath.Base(p.path)+suffix)
}

func (p place) lock() string      { return p.side(".lock") }
func (p place) record() string    { return p.side(".makegood") }
func (p place) before() string    { return p.side(".before") }
func (p place) temporary() string { return p.side(".new") }

// find follows one link. What is no plain file is refused: to write it would be to destroy it.
func (t *Target) find() (place, error) {
	p := place{path: t.o.Path, id: identity{uid: os.Geteuid(), gid: os.Getegid(), mode: ownMode}}
	info, err := os.Lstat(p.path)
	if err == nil && info.Mode()&fs.ModeSymlink != 0 {
		link, err := os.Readlink(p.path)
		if err != nil {
			return p, t.trouble(err, p)
		}
		if !filepath.IsAbs(link) {
			link = filepath.Join(filepath.Dir(p.path), link)
		}
		p.path = filepath.Clean(link)
	}
	info, err = os.Lstat(p.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if folder, err := os.Stat(filepath.Dir(p.path)); err != nil || !folder.IsDir() {
			return p, &host.Diagnosis{Fault: host.PlaceMissing, Err: err, Sentence: fmt.Sprintf(
				"The folder %s, in which the variables of %s are to be, is not there. Make it, or correct the path in the configuration.", filepath.Dir(p.path), t.o.Name)}
		}
		return p, nil
	case err != nil:
		return p, t.trouble(err, p)
	case !info.Mode().IsRegular():
		return p, makegood.Errorf(makegood.Invalid, "%s is no plain file, or a link to another link, so it is left alone. Give the path of the file itself.", t.o.Path)
	}
	p.exists, p.id, p.at = true, t.disk.owner(info), info.ModTime()
	return p, nil
}

// read reads and parses the file; one that is not there is empty.
func (t *Target) read(p place) (content string, d document, err error) {
	if p.exists {
		if content, err = readFile(p.path); err != nil {
			return "", nil, t.trouble(err, p)
		}
	}
	d, err = parse(content)
	return content, d, err
}

// readFile reads one byte more than is allowed, so that parse sees that it is too much.
func readFile(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close() // it was only read
	content, err := io.ReadAll(io.LimitReader(f, fileBytesMax+1))
	return string(content), err
}

// generation names a content without telling it.
func generation(content string) string {
	sum := sha256.Sum256([]byte("makegood env file generation v1\x00" + content))
	return "file-" + hex.EncodeToString(sum[:8])
}

// Check proves that the file can be read and replaced, that its owner can be kept, and that the program of the command is
// there. It neither writes nor runs anything.
func (t *Target) Check(ctx context.Context) error {
	p, err := t.find()
	if err != nil {
		return err
	}
	if err := t.disk.access(filepath.Dir(p.path), 3); err != nil { // write and search
		return t.trouble(err, p)
	}
	if p.exists {
		if err := t.disk.access(p.path, 4); err != nil { // read
			return t.trouble(err, p)
		}
	}
	if p.exists && !t.canKeep(p.id) {
		return t.trouble(errOwner, p)
	}
	if _, _, err := t.read(p); err != nil {
		return err
	}
	if err := t.command("").Check(); err != nil {
		return err
	}
	if t.o.Running == nil && len(t.o.Status) > 0 {
		return t.status().Check()
	}
	return ctx.Err()
}

// canKeep reports whether this user may give a new file to the owner and group of the old one: root may, and everybody else only
// to himself and the groups that he is in.
func (t *Target) canKeep(id identity) bool {
	uid, groups := t.disk.user()
	return uid == 0 || id.uid == uid && slices.Contains(groups, id.gid)
}

// trouble says in words what the disk refuses.
func (t *Target) trouble(err error, p place) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS) || errors.Is(err, errOwner) {
		return &host.Diagnosis{Fault: host.PermissionMissing, Err: err, Sentence: fmt.Sprintf(
			"The variables of %s cannot be replaced: %s; %s; this program runs as %s. It must be able to read the file, to write to the folder, and to give the file its owner.",
			t.o.Name, ownership("the file", p.path), ownership("the folder", filepath.Dir(p.path)), userName(os.Geteuid()))}
	}
	return makegood.Wrap(err, makegood.Unavailable, fmt.Sprintf("The file of variables of %s cannot be read or written just now.", t.o.Name))
}

// ownership says whose a file is.
func ownership(what, path string) string {
	info, err := os.Stat(path)
	if err != nil {
		return fmt.Sprintf("%s %s cannot be looked at", what, path)
	}
	id := identityOf(info)
	return fmt.Sprintf("%s %s belongs to %s with mode %04o", what, path, userName(id.uid), id.mode)
}

func userName(uid int) string {
	if u, err := user.LookupId(strconv.Itoa(uid)); err == nil {
		return u.Username
	}
	return "user " + strconv.Itoa(uid)
}

// Survey reads the file and asks the status command. Live and Good are the generation of the file: the same content has the
// same name.
func (t *Target) Survey(ctx context.Context) (host.Survey, error) {
	s := host.Survey{At: t.o.Now().UTC()}
	p, err := t.find()
	if err != nil {
		return s, err
	}
	content, d, err := t.read(p)
	if err != nil {
		return s, err
	}
	for _, name := range d.names() {
		v := secret.New(d[d.last(name)].value)
		s.Variables = append(s.Variables, host.Variable{Name: name, Fingerprint: v.Fingerprint(), Empty: v.Empty(), Readable: true})
	}
	r := readRecord(p.record())
	s.Live = generation(content)
	s.Good = s.Live
	s.Busy = r.busy(p)
	if n := len(r.Runs); n > 0 {
		s.Newest = r.Runs[n-1].Attempt
	}
	s.Cause = cause(p, s.Live, r)
	if running, err := t.isRunning(ctx); err == nil && !running {
		s.Down = "the status command says that it does not run"
	}
	return s, ctx.Err()
}

// busy is the run that a process is at.
func (r *record) busy(p place) string {
	for _, x := range r.Runs {
		if x.State == begun && isLocked(p.lock()) {
			return x.Attempt
		}
	}
	return ""
}

func cause(p place, live string, r record) string {
	switch {
	case !p.exists:
		return "the file is not there"
	case live != r.Written:
		return "the file was last changed at " + p.at.UTC().Format(time.RFC3339) + ", and not by this program"
	}
	return ""
}

// Write makes the settings count for every reader of the file. Nothing else in it changes. The file that was there is kept
// beside it until the next attempt, for Revert.
func (t *Target) Write(ctx context.Context, settings []host.Setting) error {
	if err := t.acceptable(settings); err != nil {
		return err
	}
	return t.locked(ctx, func(p place) error {
		content, d, err := t.read(p)
		if err != nil {
			return err
		}
		next := append(document(nil), d...)
		for _, s := range settings {
			if err := next.set(s.Name, s.Value.Reveal()); err != nil {
				return err
			}
		}
		if next.String() == content && p.exists {
			return nil
		}
		if err := checked(next, settings); err != nil {
			return err
		}
		return t.exchange(p, content, next.String())
	})
}

// acceptable refuses what would take something away.
func (t *Target) acceptable(settings []host.Setting) error {
	if len(settings) == 0 {
		return makegood.Errorf(makegood.Invalid, "There is nothing to write for %s.", t.o.Name)
	}
	seen := map[string]bool{}
	for _, s := range settings {
		if !nameText.MatchString(s.Name) || seen[s.Name] {
			return makegood.Errorf(makegood.Invalid, "A name of a variable of %s is given twice or cannot be one.", t.o.Name)
		}
		seen[s.Name] = true
		if _, err := quote(s.Value.Reveal()); err != nil {
			return fmt.Errorf("%s: %w", s.Name, err)
		}
	}
	return nil
}

// checked reads what is about to be written as its readers will.
func checked(d document, settings []host.Setting) error {
	again, err := parse(d.String())
	if err != nil {
		return err
	}
	for _, s := range settings {
		if err := again.wanted(s.Name, s.Value.Reveal()); err != nil {
			return makegood.Wrap(err, makegood.Internal, "The file of variables would not be read as it should.")
		}
	}
	return nil
}

// exchange keeps the file beside itself, remembers what it is about to write, and writes it. The order matters: a crash after
// the first step keeps a copy too many, one after the second has remembered what is not there, and Revert looks at the files.
func (t *Target) exchange(p place, content, next string) error {
	r := readRecord(p.record())
	if generation(content) != r.Written || r.Started {
		if err := t.disk.replace(p.before(), p.temporary(), content, p.id); err != nil {
			return t.trouble(err, p)
		}
	}
	r.Written, r.Started, r.Reverted = generation(next), false, ""
	if err := t.save(p, &r); err != nil {
		return err
	}
	err := t.disk.replace(p.path, p.temporary(), next, p.id)
	if errors.Is(err, errAfter) {
		return fmt.Errorf("%w: %w", host.ErrDoubt, err)
	} else if err != nil {
		return t.trouble(err, p)
	}
	return nil
}

func (t *Target) save(p place, r *record) error {
	own := identity{uid: os.Geteuid(), gid: os.Getegid(), mode: ownMode}
	if err := t.disk.replace(p.record(), p.temporary(), r.text(), own); err != nil {
		return t.trouble(err, p)
	}
	return nil
}

// locked does something while nobody else writes.
func (t *Target) locked(ctx context.Context, do func(place) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	p, err := t.find()
	if err != nil {
		return err
	}
	release, err := lock(ctx, p.lock())
	if err != nil {
		return t.trouble(err, p)
	}
	defer release()
	if p, err = t.find(); err != nil { // it may have changed while we waited
		return err
	}
	return do(p)
}

// attemptText is what an attempt may be called: it goes into a file and an environment.
var attemptText = regexp.MustCompile(`^[A-Za-z0-9_.:-]{1,100}$`)

// Start runs the command and waits for it, so ctx should last as long as CommandTimeout. The run is called as the attempt is,
// and there is one for each: Start with the same attempt gives the same run, and runs the command again only when a crash, or
// the end of ctx, has cut it. A command that ended badly is a run that Progress calls failed, and no error here.
func (t *Target) Start(ctx context.Context, _ host.Survey, attempt string) (string, error) {
	if !attemptText.MatchString(attempt) {
		return "", makegood.Errorf(makegood.Invalid, "An attempt needs a name of letters and digits.")
	}
	err := t.locked(ctx, func(p place) error {
		r := readRecord(p.record())
		if old := r.find(attempt); old != nil && old.State == ended {
			return nil
		}
		return t.run(ctx, p, &r, attempt)
	})
	if err != nil {
		return "", err
	}
	return attempt, nil
}

// Adopt finds the run of an attempt. One that was cut by a crash is run again under its name: a command that starts a program
// may be repeated, and nobody else would end it.
func (t *Target) Adopt(ctx context.Context, _ host.Survey, attempt string) (string, error) {
	found := ""
	err := t.locked(ctx, func(p place) error {
		r := readRecord(p.record())
		old := r.find(attempt)
		if old == nil {
			return nil
		}
		found = attempt
		if old.State == ended {
			return nil
		}
		return t.run(ctx, p, &r, attempt)
	})
	if err != nil {
		return "", err
	}
	return found, nil
}

// run writes down that the command begins, runs it, and writes down how it ended. A crash between leaves a run that is begun,
// for Adopt.
func (t *Target) run(ctx context.Context, p place, r *record, attempt string) error {
	r.begin(attempt, t.o.Now().UTC())
	if err := t.save(p, r); err != nil {
		return err
	}
	err := t.command(attempt).Run(ctx)
	var exit *host.Exit
	switch {
	case errors.As(err, &exit):
	case errors.Is(err, host.ErrDoubt): // the next Start or Adopt ends it
		return err
	case err != nil:
		r.forget(attempt)
		return errors.Join(err, t.save(p, r))
	}
	x := r.find(attempt)
	x.State, x.Ended, x.Exit, x.Late = ended, t.o.Now().UTC(), 0, false
	if exit != nil {
		x.Exit, x.Late = exit.Code, exit.TimedOut
	}
	if err := t.save(p, r); err != nil {
		return fmt.Errorf("%w: the command has run, and that could not be written down: %w", host.ErrDoubt, err)
	}
	return nil
}

func (t *Target) command(attempt string) host.Command {
	return host.Command{Argv: t.o.Command, Limit: t.o.CommandTimeout, Attempt: attempt}
}

func (t *Target) status() host.Command { return host.Command{Argv: t.o.Status, Limit: statusLimit} }

// isRunning asks whether the program runs. With nobody to ask it does. An error is that nobody could tell.
func (t *Target) isRunning(ctx context.Context) (bool, error) {
	switch {
	case t.o.Running != nil:
		return t.o.Running(ctx) == nil, ctx.Err()
	case len(t.o.Status) > 0:
		return t.status().Asks(ctx)
	}
	return true, nil
}

// Progress says how the command ended, and then asks the status command, which has a quarter of a minute to agree.
func (t *Target) Progress(ctx context.Context, name string) (host.Progress, error) {
	p, err := t.find()
	if err != nil {
		return host.Progress{}, err
	}
	r := readRecord(p.record())
	x := r.find(name)
	switch {
	case x == nil:
		return host.Progress{}, makegood.Errorf(makegood.NotFound, "%s remembers no such run.", t.o.Name)
	case x.State == begun && isLocked(p.lock()):
		return host.Progress{State: host.Running, Note: "the command runs"}, nil
	case x.State == begun:
		return host.Progress{State: host.Failed, Note: "the command was cut and has not been run again"}, nil
	case x.Late:
		return host.Progress{State: host.Failed, Note: "the command did not end in time"}, nil
	case x.Exit != 0:
		return host.Progress{State: host.Failed, Note: fmt.Sprintf("exit code %d", x.Exit)}, nil
	}
	running, err := t.isRunning(ctx)
	switch {
	case err != nil && ctx.Err() != nil:
		return host.Progress{}, ctx.Err()
	case running:
		return host.Progress{State: host.Ran, Note: "exit code 0"}, nil
	case t.o.Now().Sub(x.Ended) < settle:
		return host.Progress{State: host.Running, Note: "the status command does not say yet that it runs"}, nil
	}
	return host.Progress{State: host.Failed, Note: "the status command does not say that it runs"}, nil
}

// Revert puts the file of the survey back, when the present one is what we wrote, and runs the command. When somebody else has
// changed the file since, or the kept one is not that of the survey, it leaves everything as it is and says so: Conflict.
func (t *Target) Revert(ctx context.Context, s host.Survey) error {
	return t.locked(ctx, func(p place) error {
		content, _, err := t.read(p)
		if err != nil {
			return err
		}
		r := readRecord(p.record())
		if generation(content) != s.Live {
			if err := t.putBack(p, r, content, s.Live); err != nil {
				return err
			}
		} else if r.Reverted == s.Live {
			return nil
		}
		if err := t.command("").Run(ctx); err != nil {
			return fmt.Errorf("the file is as it was, and its program is not started again: %w", err)
		}
		r.Reverted, r.Started = s.Live, true
		return t.save(p, &r)
	})
}

func (t *Target) putBack(p place, r record, content, live string) error {
	before, err := readFile(p.before())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return t.trouble(err, p)
	}
	if err != nil || generation(before) != live || generation(content) != r.Written {
		return makegood.Errorf(makegood.Conflict, "The file of variables of %s was changed by somebody else since, so it is not put back.", t.o.Name)
	}
	if err := t.disk.replace(p.path, p.temporary(), before, p.id); err != nil {
		return t.trouble(err, p)
	}
	return nil
}

// Break takes variables out of the file and runs the command. The file that was there is kept beside it until the next Write
// that changes something. That the program does not start without them is what a drill is for, so a command that ends badly
// is no error.
func (t *Target) Break(ctx context.Context, names []string) error {
	if len(names) == 0 {
		return makegood.Errorf(makegood.Invalid, "There is nothing to take away from %s.", t.o.Name)
	}
	return t.locked(ctx, func(p place) error {
		content, d, err := t.read(p)
		if err != nil {
			return err
		}
		if next := d.without(names).String(); next != content {
			if err := t.disk.replace(p.before(), p.temporary(), content, p.id); err != nil {
				return t.trouble(err, p)
			}
			if err := t.disk.replace(p.path, p.temporary(), next, p.id); err != nil {
				return t.trouble(err, p)
			}
		}
		err = t.command("").Run(ctx)
		var exit *host.Exit
		if errors.As(err, &exit) {
			return nil
		}
		return err
	})
}
