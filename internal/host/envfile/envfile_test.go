package envfile

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/host"
	"github.com/makegood/makegood/internal/secret"
)

const (
	oldSecret = "whsec_the_old_secret_of_the_shop"
	newSecret = "whsec_the_new_secret_of_the_shop"
	before    = "# the shop\nPORT=80\nSTRIPE_WEBHOOK_SECRET=" + oldSecret + "\nEMPTY=\n"
)

// shop is an env file in a folder of its own; its command counts its runs in the file runs.
type shop struct {
	*Target
	t    *testing.T
	dir  string
	path string
	now  time.Time
}

// newShop has a file with a text; "-" is none. The script runs in the folder, after the run was counted.
func newShop(t *testing.T, text, script string, change func(*Options)) *shop {
	t.Helper()
	s := &shop{t: t, dir: t.TempDir(), now: time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)}
	s.path = filepath.Join(s.dir, "shop.env")
	if text != "-" {
		s.write("shop.env", text, 0o640)
	}
	o := Options{Name: "shop", Path: s.path, Command: []string{"sh", "-c", `cd "$0" && echo "$MAKEGOOD_ATTEMPT" >> runs; ` + script, s.dir},
		Now: func() time.Time { return s.now }}
	if change != nil {
		change(&o)
	}
	var err error
	if s.Target, err = New(o); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *shop) write(name, text string, mode os.FileMode) {
	s.t.Helper()
	if err := os.WriteFile(filepath.Join(s.dir, name), []byte(text), mode); err != nil {
		s.t.Fatal(err)
	}
}

func (s *shop) file(name string) string {
	s.t.Helper()
	content, err := os.ReadFile(filepath.Join(s.dir, name))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		s.t.Fatal(err)
	}
	return string(content)
}

// runs are the attempts for which the command ran, in order.
func (s *shop) runs() string {
	return strings.Join(strings.Split(strings.TrimSpace(s.file("runs")), "\n"), " ")
}

func (s *shop) survey() host.Survey {
	s.t.Helper()
	survey, err := s.Survey(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	return survey
}

func settings(pairs ...string) []host.Setting {
	var list []host.Setting
	for i := 0; i < len(pairs); i += 2 {
		list = append(list, host.Setting{Name: pairs[i], Value: secret.New(pairs[i+1])})
	}
	return list
}

func mend(value string) []host.Setting { return settings("STRIPE_WEBHOOK_SECRET", value) }

// TestMending goes the whole way: look, write, start, look, take back.
func TestMending(t *testing.T) {
	t.Parallel()
	s := newShop(t, before, "", nil)
	if err := s.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	survey := s.survey()
	v, ok := survey.Variable("STRIPE_WEBHOOK_SECRET")
	if !ok || !v.Readable || v.Fingerprint != secret.New(oldSecret).Fingerprint() {
		t.Errorf("Survey says %+v of the secret", v)
	}
	if v, _ := survey.Variable("EMPTY"); !v.Empty || v.Fingerprint != "" {
		t.Errorf("Survey says %+v of an empty variable", v)
	}
	if survey.Down != "" || survey.Busy != "" || survey.Live == "" || survey.Good != survey.Live || survey.Newest != "" {
		t.Errorf("Survey = %+v", survey)
	}
	for range 2 { // the second changes nothing
		if err := s.Write(t.Context(), mend(newSecret)); err != nil {
			t.Fatal(err)
		}
	}
	after := strings.ReplaceAll(before, oldSecret, newSecret)
	if got := s.file("shop.env"); got != after {
		t.Errorf("the file is %q, want %q", got, after)
	}
	if got := s.file(".shop.env.before"); got != before {
		t.Errorf("the kept file is %q, want %q", got, before)
	}
	for range 2 { // one run for each attempt
		if run, err := s.Start(t.Context(), survey, "att_1"); run != "att_1" || err != nil {
			t.Fatalf("Start = %q, %v", run, err)
		}
	}
	if run, err := s.Adopt(t.Context(), survey, "att_1"); run != "att_1" || err != nil {
		t.Errorf("Adopt = %q, %v", run, err)
	}
	if run, err := s.Adopt(t.Context(), survey, "att_2"); run != "" || err != nil {
		t.Errorf("Adopt of what was never begun = %q, %v", run, err)
	}
	if got := s.runs(); got != "att_1" {
		t.Errorf("the command ran for %q, want att_1 once", got)
	}
	if p, err := s.Progress(t.Context(), "att_1"); p.State != host.Ran || err != nil {
		t.Errorf("Progress = %+v, %v", p, err)
	}
	if _, err := s.Progress(t.Context(), "att_9"); !errors.Is(err, makegood.NotFound) {
		t.Errorf("Progress of an unknown run = %v, want not_found", err)
	}
	if got := s.survey(); got.Newest != "att_1" || got.Live == survey.Live || got.Cause != "" {
		t.Errorf("Survey after the start = %+v", got)
	}
	for range 2 {
		if err := s.Revert(t.Context(), survey); err != nil {
			t.Fatal(err)
		}
	}
	if got := s.file("shop.env"); got != before {
		t.Errorf("the reverted file is %q, want %q", got, before)
	}
	if got := s.file("runs"); got != "att_1\n\n" {
		t.Errorf("the command ran %q, want once more for two reverts", got)
	}
}

// TestRevertKeepsToItsSurvey: an older copy is never put back for a later attempt, nor over somebody else's change.
func TestRevertKeepsToItsSurvey(t *testing.T) {
	t.Parallel()
	s := newShop(t, before, "", nil)
	first := s.survey()
	if err := s.Write(t.Context(), mend(newSecret)); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Start(t.Context(), first, "att_1"); err != nil {
		t.Fatal(err)
	}
	// A second attempt finds nothing to write: going back is running again what is there.
	mended, second := s.file("shop.env"), s.survey()
	if err := errors.Join(s.Write(t.Context(), mend(newSecret)), s.Revert(t.Context(), second)); err != nil {
		t.Fatal(err)
	}
	if got := s.file("shop.env"); got != mended {
		t.Errorf("the file is %q, want it untouched", got)
	}
	// A third one, after the run of the first, writes another value and goes back to what the first has written.
	if err := errors.Join(s.Write(t.Context(), mend(newSecret+"_of_next_year")), s.Revert(t.Context(), second)); err != nil {
		t.Fatal(err)
	}
	if got := s.file("shop.env"); got != mended {
		t.Errorf("the file is %q, want what the first attempt has written", got)
	}
	// What the second attempt keeps is not what the survey of the first one saw.
	if err := s.Write(t.Context(), mend(newSecret+"_of_next_year")); err != nil {
		t.Fatal(err)
	}
	if err := s.Revert(t.Context(), first); !errors.Is(err, makegood.Conflict) {
		t.Errorf("Revert to a survey that is too old = %v, want conflict", err)
	}
	s.write("shop.env", "OTHER=1\n", 0o640)
	if err := s.Revert(t.Context(), first); !errors.Is(err, makegood.Conflict) || s.file("shop.env") != "OTHER=1\n" {
		t.Errorf("Revert over somebody else's change = %v, want conflict; the file is %q", err, s.file("shop.env"))
	}
	// The next attempt keeps what it finds, not what an earlier one found.
	third := s.survey()
	if err := errors.Join(s.Write(t.Context(), mend(newSecret)), s.Write(t.Context(), mend(newSecret+"2")), s.Revert(t.Context(), third)); err != nil {
		t.Fatal(err)
	}
	if got := s.file("shop.env"); got != "OTHER=1\n" {
		t.Errorf("the reverted file is %q", got)
	}
}

func TestWriteRefuses(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		list []host.Setting
	}{
		{"nothing", nil},
		{"an empty value", settings("A", "1", "B", "")},
		{"a line break", settings("A", "1", "B", newSecret+"\nC=1")},
		{"a carriage return", settings("B", newSecret+"\r")},
		{"a zero byte", settings("B", newSecret+"\x00")},
		{"no name", settings("", "1")},
		{"a name that is none", settings("A B", "1")},
		{"a name with a sign", settings("A=B", "1")},
		{"a name twice", settings("A", "1", "A", "2")},
	} {
		s := newShop(t, before, "", nil)
		err := s.Write(t.Context(), tt.list)
		if !errors.Is(err, makegood.Invalid) || s.file("shop.env") != before || s.file(".shop.env.before") != "" {
			t.Errorf("Write of %s = %v, want it refused and nothing changed", tt.name, err)
		}
		if err != nil && strings.Contains(err.Error(), "whsec_") {
			t.Errorf("Write of %s tells a value: %v", tt.name, err)
		}
	}
	s := newShop(t, "A='"+oldSecret+"\n", "", nil)
	if err := s.Write(t.Context(), mend(newSecret)); !errors.Is(err, makegood.Invalid) || strings.Contains(err.Error(), oldSecret) {
		t.Errorf("Write to a file with an open quotation mark = %v, want it refused", err)
	}
	if _, err := s.Survey(t.Context()); !errors.Is(err, makegood.Invalid) || strings.Contains(err.Error(), oldSecret) {
		t.Errorf("Survey of a file with an open quotation mark = %v, want it refused", err)
	}
}

func mode(t *testing.T, path string) (os.FileMode, uint32) {
	t.Helper()
	info, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Mode(), info.Sys().(*syscall.Stat_t).Uid
}

func TestFileStaysWhatItIs(t *testing.T) {
	t.Parallel()
	s := newShop(t, before, "", nil)
	owner := uint32(os.Geteuid())
	if owner == 0 {
		owner = 12345
		if err := os.Chown(s.path, int(owner), 23456); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(s.path, 0o604); err != nil {
		t.Fatal(err)
	}
	if err := s.Write(t.Context(), mend(newSecret)); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"shop.env", ".shop.env.before"} {
		if m, uid := mode(t, filepath.Join(s.dir, name)); m != 0o604 || uid != owner {
			t.Errorf("%s has mode %v and owner %d, want 0604 and %d", name, m, uid, owner)
		}
	}
	if m, _ := mode(t, filepath.Join(s.dir, ".shop.env.makegood")); m != 0o600 {
		t.Errorf("the sidecar has mode %v", m)
	}
	if _, err := os.Lstat(filepath.Join(s.dir, ".shop.env.new")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the temporary file is left: %v", err)
	}
}

// TestOwnerThatCannotBeKept: better the old file than one that its program may not read.
func TestOwnerThatCannotBeKept(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root can make a file of somebody else")
	}
	s := newShop(t, before, "", nil)
	if err := os.Chown(s.path, 12345, 23456); err != nil {
		t.Fatal(err)
	}
	s.disk.chown = func(*os.File, int, int) error { return syscall.EPERM }
	err := s.Write(t.Context(), mend(newSecret))
	if host.FaultOf(err) != host.PermissionMissing || !strings.Contains(err.Error(), "belongs to user 12345 with mode 0640") {
		t.Errorf("Write = %v, want permission_missing with owner and mode", err)
	}
	if _, err := os.Lstat(filepath.Join(s.dir, ".shop.env.new")); s.file("shop.env") != before || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the file was changed, or half a one is left: %v", err)
	}
}

func TestLinks(t *testing.T) {
	t.Parallel()
	s := newShop(t, "-", "", nil)
	if err := os.Mkdir(filepath.Join(s.dir, "real"), 0o700); err != nil {
		t.Fatal(err)
	}
	s.write("real/env", before, 0o600)
	if err := os.Symlink("real/env", s.path); err != nil {
		t.Fatal(err)
	}
	if err := s.Write(t.Context(), mend(newSecret)); err != nil {
		t.Fatal(err)
	}
	if m, _ := mode(t, s.path); m&os.ModeSymlink == 0 || !strings.Contains(s.file("real/env"), newSecret) || s.file("real/.env.before") != before {
		t.Errorf("the link has mode %v, and behind it is %q", m, s.file("real/env"))
	}
	for name, put := range map[string]func(path string) error{
		"a link to a link": func(path string) error { return os.Symlink(s.path, path) },
		"a folder":         func(path string) error { return os.Mkdir(path, 0o700) },
		"a pipe":           func(path string) error { return syscall.Mkfifo(path, 0o600) },
	} {
		other := newShop(t, "-", "", nil)
		if err := put(other.path); err != nil {
			t.Fatal(err)
		}
		if err := other.Write(t.Context(), mend(newSecret)); !errors.Is(err, makegood.Invalid) {
			t.Errorf("Write to %s = %v, want it refused", name, err)
		}
		if err := other.Check(t.Context()); !errors.Is(err, makegood.Invalid) {
			t.Errorf("Check of %s = %v, want it refused", name, err)
		}
	}
}

// TestMissingFile: a file that somebody deleted is made again, for nobody else to read.
func TestMissingFile(t *testing.T) {
	t.Parallel()
	s := newShop(t, "-", "", nil)
	survey := s.survey()
	if len(survey.Variables) != 0 || survey.Cause == "" {
		t.Errorf("Survey of a file that is not there = %+v", survey)
	}
	if err := s.Write(t.Context(), mend(newSecret)); err != nil {
		t.Fatal(err)
	}
	if m, _ := mode(t, s.path); m != 0o600 || s.file("shop.env") != "STRIPE_WEBHOOK_SECRET="+newSecret+"\n" {
		t.Errorf("the file has mode %v and is %q", m, s.file("shop.env"))
	}
	if err := s.Revert(t.Context(), survey); err != nil || s.file("shop.env") != "" {
		t.Errorf("Revert = %v; the file is %q, want it empty", err, s.file("shop.env"))
	}
}

// crashing lets everything that changes the disk fail from its n-th operation on, as if the program had died there. A write
// that fails has written half.
func crashing(n int) (operations, *int) {
	done := new(int)
	dead := errors.New("the program has died")
	o := disk
	alive := func() error {
		if *done++; *done > n {
			return dead
		}
		return nil
	}
	o.create = func(path string) (*os.File, error) {
		if err := alive(); err != nil {
			return nil, err
		}
		return disk.create(path)
	}
	o.write = func(f *os.File, content []byte) error {
		if err := alive(); err != nil {
			return errors.Join(err, disk.write(f, content[:len(content)/2]))
		}
		return disk.write(f, content)
	}
	o.chown = func(f *os.File, uid, gid int) error { return errors.Join(alive(), disk.chown(f, uid, gid)) }
	o.chmod = func(f *os.File, mode os.FileMode) error { return errors.Join(alive(), disk.chmod(f, mode)) }
	o.sync = func(f *os.File) error { return errors.Join(alive(), disk.sync(f)) }
	o.rename = func(from, to string) error {
		if err := alive(); err != nil {
			return err
		}
		return disk.rename(from, to)
	}
	o.syncFolder = func(path string) error { return errors.Join(alive(), disk.syncFolder(path)) }
	o.remove = func(path string) error {
		if err := alive(); err != nil {
			return err
		}
		return disk.remove(path)
	}
	return o, done
}

// TestCrashBetweenAnySteps: whichever operation is the last, the file is the old or the new one, whole; the next run finishes;
// and the way back leads to the first.
func TestCrashBetweenAnySteps(t *testing.T) {
	t.Parallel()
	after := strings.ReplaceAll(before, oldSecret, newSecret)
	whole := func(t *testing.T, s *shop) {
		t.Helper()
		if got := s.file("shop.env"); got != before && got != after {
			t.Errorf("the file is %q, neither the old nor the new one", got)
		}
		if got := s.file(".shop.env.before"); got != "" && got != before {
			t.Errorf("the kept file is %q", got)
		}
	}
	finished := false
	for n := 0; !finished; n++ {
		if n > 100 {
			t.Fatal("more than a hundred operations")
		}
		t.Run(fmt.Sprint("operation ", n), func(t *testing.T) {
			s := newShop(t, before, "", nil)
			survey := s.survey()
			ops, done := crashing(n)
			s.disk = ops
			err := s.Write(t.Context(), mend(newSecret))
			finished = err == nil
			if finished != (*done <= n) {
				t.Errorf("Write = %v after %d operations of %d", err, n, *done)
			}
			whole(t, s)
			if s.file("shop.env") == after && err != nil && !errors.Is(err, host.ErrDoubt) {
				t.Errorf("the file is written, and the error says that it is not: %v", err)
			}
			s.disk = disk
			if err := s.Write(t.Context(), mend(newSecret)); err != nil || s.file("shop.env") != after {
				t.Errorf("the next Write = %v, and the file is %q", err, s.file("shop.env"))
			}
			s.disk, _ = crashing(n)
			_ = s.Revert(t.Context(), survey) // dies somewhere
			whole(t, s)
			s.disk = disk
			if err := s.Revert(t.Context(), survey); err != nil || s.file("shop.env") != before {
				t.Errorf("the next Revert = %v, and the file is %q", err, s.file("shop.env"))
			}
		})
	}
}

// TestCrashWhileStarting: what was begun and not ended is run again, under its name.
func TestCrashWhileStarting(t *testing.T) {
	t.Parallel()
	s := newShop(t, before, "test -e fast || sleep 60", nil)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := s.Start(ctx, host.Survey{}, "att_1"); !errors.Is(err, host.ErrDoubt) {
		t.Fatalf("Start that is cut = %v, want ErrDoubt", err)
	}
	p, err := s.Progress(t.Context(), "att_1")
	for deadline := time.Now().Add(20 * time.Second); p.State == host.Running && time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		p, err = s.Progress(t.Context(), "att_1") // a process that is being started beside us has our lock for a moment
	}
	if p.State != host.Failed || err != nil {
		t.Errorf("Progress of a cut run = %+v, %v", p, err)
	}
	s.write("fast", "", 0o600)
	if run, err := s.Adopt(t.Context(), host.Survey{}, "att_1"); run != "att_1" || err != nil {
		t.Errorf("Adopt = %q, %v", run, err)
	}
	if p, err := s.Progress(t.Context(), "att_1"); p.State != host.Ran || err != nil {
		t.Errorf("Progress of an adopted run = %+v, %v", p, err)
	}
	if got := s.runs(); got != "att_1 att_1" {
		t.Errorf("the command ran for %q", got)
	}
	for n := range 30 { // and wherever the disk fails, the run is either not begun or found
		other := newShop(t, before, "", nil)
		other.disk, _ = crashing(n)
		_, err := other.Start(t.Context(), host.Survey{}, "att_2")
		other.disk = disk
		run, adopted := other.Adopt(t.Context(), host.Survey{}, "att_2")
		if ran := other.runs() != ""; adopted != nil || ran && run == "" {
			t.Errorf("after %d operations: Start = %v, Adopt = %q, %v, the command ran: %v", n, err, run, adopted, ran)
		}
	}
}

// TestOneRunForManyStarters: two processes and many callers share an attempt.
func TestOneRunForManyStarters(t *testing.T) {
	t.Parallel()
	s := newShop(t, before, "sleep 0.2", nil)
	other, err := New(s.o)
	if err != nil {
		t.Fatal(err)
	}
	var wait sync.WaitGroup
	for _, target := range []*Target{s.Target, other, s.Target, other} {
		wait.Go(func() {
			if run, err := target.Start(t.Context(), host.Survey{}, "att_1"); run != "att_1" || err != nil {
				t.Errorf("Start = %q, %v", run, err)
			}
		})
	}
	for s.survey().Busy != "att_1" { // seen while it runs
		time.Sleep(5 * time.Millisecond)
	}
	if p, err := other.Progress(t.Context(), "att_1"); p.State != host.Running || err != nil {
		t.Errorf("Progress while it runs = %+v, %v", p, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := other.Write(ctx, mend(newSecret)); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Write while somebody else has the file = %v, want that the time is over", err)
	}
	wait.Wait()
	if got := s.runs(); got != "att_1" {
		t.Errorf("the command ran for %q, want once", got)
	}
	if got := s.survey().Busy; got != "" {
		t.Errorf("Busy = %q after the end", got)
	}
}

func TestManyWriters(t *testing.T) {
	t.Parallel()
	s := newShop(t, before, "", nil)
	var wait sync.WaitGroup
	for i := range 20 {
		wait.Go(func() {
			if err := s.Write(t.Context(), settings(fmt.Sprintf("N%d", i), "x")); err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	for i := range 20 {
		if v, ok := s.survey().Variable(fmt.Sprintf("N%d", i)); !ok || v.Empty {
			t.Errorf("what writer %d wrote is lost", i)
		}
	}
}

func TestProgress(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, script string
		status       []string
		later        time.Duration
		want         host.Stage
		note         string
		down         bool
	}{
		{"well", "", nil, 0, host.Ran, "exit code 0", false},
		{"badly", "echo " + oldSecret + "; exit 7", nil, 0, host.Failed, "exit code 7", false},
		{"too late", "sleep 60", nil, 0, host.Failed, "the command did not end in time", false},
		{"runs", "", []string{"true"}, 0, host.Ran, "exit code 0", false},
		{"does not run yet", "", []string{"false"}, settle - 1, host.Running, "the status command does not say yet that it runs", true},
		{"does not run", "", []string{"false"}, settle, host.Failed, "the status command does not say that it runs", true},
		{"nobody can tell", "", []string{"/nowhere/status"}, settle, host.Failed, "the status command does not say that it runs", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newShop(t, before, tt.script, func(o *Options) { o.Status, o.CommandTimeout = tt.status, 2*time.Second })
			if run, err := s.Start(t.Context(), host.Survey{}, "att_1"); run != "att_1" || err != nil {
				t.Fatalf("Start = %q, %v", run, err)
			}
			s.now = s.now.Add(tt.later)
			if p, err := s.Progress(t.Context(), "att_1"); p.State != tt.want || p.Note != tt.note || err != nil {
				t.Errorf("Progress = %+v, %v, want %v %q", p, err, tt.want, tt.note)
			}
			if got := s.survey().Down; (got != "") != tt.down {
				t.Errorf("Down = %q", got)
			}
		})
	}
}

func TestRunningInGo(t *testing.T) {
	t.Parallel()
	runs := errors.New("no")
	s := newShop(t, before, "", func(o *Options) { o.Running = func(context.Context) error { return runs } })
	if got := s.survey().Down; got == "" {
		t.Error("Down is empty, want that it does not run")
	}
	runs = nil
	if got := s.survey().Down; got != "" {
		t.Errorf("Down = %q, want none", got)
	}
}

func TestStartWithoutProgram(t *testing.T) {
	t.Parallel()
	s := newShop(t, before, "", func(o *Options) { o.Command = []string{"/nowhere/restart"} })
	if _, err := s.Start(t.Context(), host.Survey{}, "att_1"); host.FaultOf(err) != host.NotStarted {
		t.Errorf("Start = %v, want not_started", err)
	}
	if run, err := s.Adopt(t.Context(), host.Survey{}, "att_1"); run != "" || err != nil {
		t.Errorf("Adopt of what was never begun = %q, %v", run, err)
	}
	for _, attempt := range []string{"", "a b", "a\nb", strings.Repeat("a", 101)} {
		if _, err := s.Start(t.Context(), host.Survey{}, attempt); !errors.Is(err, makegood.Invalid) {
			t.Errorf("Start for %.10q = %v, want it refused", attempt, err)
		}
	}
}

func TestRunsAreForgottenInTheEnd(t *testing.T) {
	t.Parallel()
	var r record
	for i := range runsMax + 5 {
		r.begin(fmt.Sprint(i), time.Time{})
	}
	if len(r.Runs) != runsMax || r.find("4") != nil || r.find("5") == nil {
		t.Errorf("%d runs are remembered", len(r.Runs))
	}
}

func TestBrokenSidecar(t *testing.T) {
	t.Parallel()
	s := newShop(t, before, "", nil)
	s.write(".shop.env.makegood", "{", 0o600)
	survey := s.survey()
	err := s.Write(t.Context(), mend(newSecret))
	if err == nil {
		_, err = s.Start(t.Context(), survey, "att_1")
	}
	if err != nil {
		t.Fatal(err)
	}
	s.write(".shop.env.makegood", "", 0o600)
	if err := s.Revert(t.Context(), survey); !errors.Is(err, makegood.Conflict) {
		t.Errorf("Revert without memory = %v, want conflict: nobody knows whose the file is", err)
	}
}

func TestBreak(t *testing.T) {
	t.Parallel()
	s := newShop(t, before+"export STRIPE_WEBHOOK_SECRET='a\nb'\n", "exit 1", nil)
	if err := s.Break(t.Context(), nil); !errors.Is(err, makegood.Invalid) {
		t.Errorf("Break of nothing = %v, want it refused", err)
	}
	if err := s.Break(t.Context(), []string{"STRIPE_WEBHOOK_SECRET"}); err != nil {
		t.Fatal(err)
	}
	if got, want := s.file("shop.env"), "# the shop\nPORT=80\nEMPTY=\n"; got != want {
		t.Errorf("the broken file is %q, want %q", got, want)
	}
	if got := s.file(".shop.env.before"); !strings.HasPrefix(got, before) {
		t.Errorf("the kept file is %q", got)
	}
	broken := s.survey()
	if err := s.Write(t.Context(), mend(newSecret)); err != nil {
		t.Fatal(err)
	}
	if got := s.file(".shop.env.before"); got != "# the shop\nPORT=80\nEMPTY=\n" {
		t.Errorf("the kept file is %q, want the one of the survey", got)
	}
	var exit *host.Exit
	if err := s.Revert(t.Context(), broken); !errors.As(err, &exit) {
		t.Errorf("Revert with a command that fails = %v, want its exit code", err)
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	denied := func(mode uint32, by error) func(*shop) {
		return func(s *shop) {
			s.disk.access = func(_ string, asked uint32) error {
				if asked == mode {
					return by
				}
				return nil
			}
		}
	}
	for _, tt := range []struct {
		name   string
		path   string
		change func(*shop)
		want   host.Fault
		says   string
	}{
		{"well", "", nil, "", ""},
		{"no file yet", "other.env", nil, "", ""},
		{"no folder", "nowhere/shop.env", nil, host.PlaceMissing, "is not there. Make it"},
		{"a folder that may not be written", "", denied(3, syscall.EACCES), host.PermissionMissing, "with mode 0640"},
		{"a disk that is read-only", "", denied(3, syscall.EROFS), host.PermissionMissing, "the folder /"},
		{"a file that may not be read", "", denied(4, syscall.EACCES), host.PermissionMissing, "this program runs as "},
		{"a file of somebody else", "", func(s *shop) {
			s.disk.user = func() (int, []int) { return os.Geteuid() + 1, []int{os.Getegid()} }
		}, host.PermissionMissing, "give the file its owner"},
		{"a file of a group of others", "", func(s *shop) {
			s.disk.owner = func(info fs.FileInfo) identity { return identity{12345, 54321, info.Mode().Perm()} }
			s.disk.user = func() (int, []int) { return 12345, []int{12345} }
		}, host.PermissionMissing, "give the file its owner"},
		{"a file of one of our groups", "", func(s *shop) {
			s.disk.owner = func(info fs.FileInfo) identity { return identity{12345, 54321, info.Mode().Perm()} }
			s.disk.user = func() (int, []int) { return 12345, []int{12345, 54321} }
		}, "", ""},
		{"no command", "", func(s *shop) { s.o.Command = []string{"/nowhere/restart"} }, host.NotStarted, `"/nowhere/restart"`},
		{"no status command", "", func(s *shop) { s.o.Status = []string{"/nowhere/status"} }, host.NotStarted, `"/nowhere/status"`},
	} {
		s := newShop(t, before, "", nil)
		if tt.path != "" {
			s.o.Path = filepath.Join(s.dir, tt.path)
		}
		if tt.change != nil {
			tt.change(s)
		}
		err := s.Check(t.Context())
		if host.FaultOf(err) != tt.want || (err != nil) != (tt.want != "") || err != nil && !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: Check = %v, want %q that says %q", tt.name, err, tt.want, tt.says)
		}
		if s.runs() != "" || s.file(".shop.env.lock") != "" {
			t.Errorf("%s: Check ran or wrote something", tt.name)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]Options{
		"a path that is not absolute": {Path: "shop.env", Command: []string{"true"}, Now: time.Now},
		"no command":                  {Path: "/etc/shop.env", Now: time.Now},
	} {
		if _, err := New(o); !errors.Is(err, makegood.Invalid) {
			t.Errorf("New with %s = %v, want it refused", name, err)
		}
	}
}

// TestNoValueIsTold scans everything that leaves: surveys, errors, the sidecar, and what is printed of the place itself.
func TestNoValueIsTold(t *testing.T) {
	t.Parallel()
	s := newShop(t, before, "cat shop.env; cat shop.env >&2; exit 1", nil)
	var told bytes.Buffer
	tell := func(x any) { fmt.Fprintf(&told, "%v %+v %#v\n", x, x, x) }
	list := mend(newSecret)
	survey := s.survey()
	asJSON, err := json.Marshal(survey)
	if err != nil {
		t.Fatal(err)
	}
	told.Write(asJSON)
	tell(survey)
	tell(list)
	tell(s.Write(t.Context(), list))
	_, err = s.Start(t.Context(), survey, "att_1")
	tell(err)
	progress, err := s.Progress(t.Context(), "att_1")
	tell(progress)
	tell(err)
	tell(s.Revert(t.Context(), survey))
	tell(s.Write(t.Context(), mend(newSecret+"\n")))
	tell(s.Write(t.Context(), mend(newSecret+"'`")))
	for n := range 40 {
		s.disk, _ = crashing(n)
		tell(s.Write(t.Context(), mend(newSecret+fmt.Sprint(n))))
	}
	s.write("shop.env", `A="`+oldSecret, 0o600)
	_, err = s.Survey(t.Context())
	tell(err)
	tell(s.Target)
	told.WriteString(s.file(".shop.env.makegood"))
	if strings.Contains(told.String(), "whsec_") {
		t.Errorf("a value is told:\n%s", told.String())
	}
	if !strings.Contains(told.String(), "exit code 1") {
		t.Error("the exit code is not told")
	}
}
