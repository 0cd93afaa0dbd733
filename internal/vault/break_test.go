package vault

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/makegood/makegood/internal/secret"
)

var noon = time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)

// two are two sets of secrets that could be taken for each other if a file were half of each.
var two = []map[string]secret.Value{
	{"STRIPE_KEY": secret.New("sk_live_Zq7Tn3Vb9Kx2Lm5Pw8Rd4Fg6")},
	{"STRIPE_KEY": secret.New("sk_live_Ar8Uo4Wc0Ly3Mn6Qx9Se5Gh7")},
}

func sealing(t testing.TB, signed bool) (Sealing, Sealed) {
	t.Helper()
	k, err := NewKeys()
	if err != nil {
		t.Fatal(err)
	}
	s := Sealing{Path: filepath.Join(t.TempDir(), "secrets.sealed"), Identity: k.Identity, SigningKey: k.SigningKey, Mode: secret.Live}
	if !signed {
		s.SigningKey, s.AllowUnsigned, k.VerifyKey = secret.Value{}, true, ""
	}
	return s, Sealed{Path: s.Path, Identity: k.Identity, VerifyKey: k.VerifyKey, AllowUnsigned: !signed}
}

func sealedBytes(t testing.TB, s Sealing) []byte {
	t.Helper()
	if _, err := Seal(s, two[0], noon); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(s.Path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Every single bit that is changed, every length that is cut to and every byte that is added is found, signed or not.
func TestSealedFindsEveryChange(t *testing.T) {
	t.Parallel()
	for name, signed := range map[string]bool{"signed": true, "unsigned": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, source := sealing(t, signed)
			whole := sealedBytes(t, s)
			if _, err := source.open(whole); err != nil {
				t.Fatal(err)
			}
			for i := range whole {
				for bit := range 8 {
					changed := slices.Clone(whole)
					changed[i] ^= 1 << bit
					checkBroken(t, source, changed, "bit %d of byte %d changed", bit, i)
				}
				checkBroken(t, source, whole[:i], "cut to %d bytes", i)
				checkBroken(t, source, slices.Delete(slices.Clone(whole), i, i+1), "without byte %d", i)
			}
			checkBroken(t, source, append(slices.Clone(whole), 0), "with a byte more")
			checkBroken(t, source, append(slices.Clone(whole), whole...), "doubled")
		})
	}
}

// A signature that nobody asks for is looked at all the same.
func TestSealedFindsEveryChangeOfAForeignSignature(t *testing.T) {
	t.Parallel()
	s, source := sealing(t, true)
	whole := sealedBytes(t, s)
	source.VerifyKey, source.AllowUnsigned = "", true
	for i := range whole {
		changed := slices.Clone(whole)
		changed[i] ^= 1
		checkBroken(t, source, changed, "byte %d changed", i)
	}
}

func checkBroken(t *testing.T, s Sealed, b []byte, what string, args ...any) {
	t.Helper()
	truth, err := s.open(b)
	var r *Refusal
	if !errors.As(err, &r) || r.Reason != Corrupted && r.Reason != Unsigned {
		t.Errorf(what+": error = %v, want a refusal as corrupted or unsigned", append(args, err)...)
	}
	if truth.Values != nil || truth.Serial != 0 || truth.Signed {
		t.Errorf(what+": a truth beside the refusal", args...)
	}
}

// What is encrypted can be said in one way only. Whoever knows the recipient can encrypt, so all of these could come.
func TestContentsAreExact(t *testing.T) {
	t.Parallel()
	const good = `{"serial":5,"sealed_at":"2026-11-29T12:00:00Z","mode":"live","secrets":{"A":"x"}}`
	if truth, err := parseContents([]byte(good)); err != nil || truth.Serial != 5 || !truth.SealedAt.Equal(noon) || truth.Mode != secret.Live || truth.Values["A"].Reveal() != "x" {
		t.Fatalf("parseContents = %+v, %v, want what it says", truth, err)
	}
	for _, tt := range []struct {
		name, old, new string
		want           Reason
	}{
		{"nothing", good, "", Unspeakable},
		{"no JSON", "{", "[", Unspeakable},
		{"null", good, "null", Unspeakable},
		{"a blank", ":5", ": 5", Unspeakable},
		{"something behind", `}}`, `}}{}`, Unspeakable},
		{"an unknown key", `"mode"`, `"more":1,"mode"`, Unspeakable},
		{"a key in other letters", `"serial"`, `"SERIAL"`, Unspeakable},
		{"a key twice", `"serial":5`, `"serial":5,"serial":5`, Unspeakable},
		{"a name twice", `"A":"x"`, `"A":"x","A":"x"`, Unspeakable},
		{"a value that is null", `"x"`, `null`, Unspeakable},
		{"a value that is a number", `"x"`, `1`, Unspeakable},
		{"bytes that are no text", `"x"`, "\"\xff\"", Unspeakable},
		{"an escape that need not be", `"x"`, `"\u0078"`, Unspeakable},
		{"no serial", `:5`, `:0`, Unspeakable},
		{"a negative serial", `:5`, `:-5`, Unspeakable},
		{"no date", `2026-11-29T12:00:00Z`, `0001-01-01T00:00:00Z`, Unspeakable},
		{"another mode", `live`, `life`, Unspeakable},
		{"a name that no variable has", `"A"`, `"A B"`, Unspeakable},
		{"an empty value", `"x"`, `""`, Incomplete},
		{"no secrets", `{"A":"x"}`, `{}`, Empty},
		{"null secrets", `{"A":"x"}`, `null`, Empty},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			truth, err := parseContents([]byte(strings.Replace(good, tt.old, tt.new, 1)))
			var r *Refusal
			if !errors.As(err, &r) || r.Reason != tt.want || truth.Values != nil {
				t.Errorf("parseContents = %+v, %v, want a refusal as %s", truth, err, tt.want)
			}
		})
	}
}

// An identity in the signed message: a signature of another file does not fit.
func TestSignatureOfAnotherFile(t *testing.T) {
	t.Parallel()
	s, source := sealing(t, true)
	first := strings.SplitN(string(sealedBytes(t, s)), "\n", 3)
	second := strings.SplitN(string(sealedBytes(t, s)), "\n", 3)
	checkBroken(t, source, []byte(second[0]+"\n"+first[1]+"\n"+second[2]), "with the signature of the file before")
}

// What was sealed is compared with what was meant before it is written.
func TestSealProvesWhatItSealed(t *testing.T) {
	t.Parallel()
	s, _ := sealing(t, true)
	k, err := s.keys()
	if err != nil {
		t.Fatal(err)
	}
	meant := Truth{Values: two[0], Serial: 1, SealedAt: noon, Mode: secret.Live}
	for name, change := range map[string]func(*Truth){
		"values": func(t *Truth) { t.Values = two[1] },
		"more": func(t *Truth) {
			t.Values = map[string]secret.Value{"STRIPE_KEY": two[0]["STRIPE_KEY"], "B": secret.New("b")}
		},
		"serial": func(t *Truth) { t.Serial = 2 },
		"date":   func(t *Truth) { t.SealedAt = noon.Add(time.Second) },
		"mode":   func(t *Truth) { t.Mode = secret.Test },
	} {
		other := meant
		change(&other)
		sealed, err := k.enclose(other)
		if err != nil {
			t.Fatal(err)
		}
		var r *Refusal
		if err := s.prove(k, sealed, meant); !errors.As(err, &r) || r.Reason != Unwritable {
			t.Errorf("prove of a file with other %s = %v, want a refusal as %s", name, err, Unwritable)
		}
	}
}

// A file is looked at before it is opened, because opening may do something, and after, because it may be another one by then.
func TestReadWholeLooksTwice(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	look := func(path string) func() (os.FileInfo, error) {
		return func() (os.FileInfo, error) { return os.Stat(path) }
	}
	opened := false
	_, err := readWhole(place{look("/dev/null"), func() (*os.File, error) { opened = true; return os.Open(file) }}, 10, 0)
	if !errors.Is(err, errNotRegular) || opened {
		t.Errorf("readWhole of a device = %v (opened: %v), want %v before it is opened", err, opened, errNotRegular)
	}
	_, err = readWhole(place{look(file), func() (*os.File, error) { return os.Open("/dev/null") }}, 10, 0)
	if !errors.Is(err, errNotRegular) {
		t.Errorf("readWhole of what became a device = %v, want %v", err, errNotRegular)
	}
}

// brokenDisk fails at one step: once, or at that step and ever after, as when the power goes.
type brokenDisk struct {
	realDisk
	failAt  int
	forever bool
	steps   []string
}

var errBroken = errors.New("the disk is broken")

func (d *brokenDisk) step(name string) error {
	d.steps = append(d.steps, name)
	if n := len(d.steps); n == d.failAt || d.forever && n > d.failAt {
		return errBroken
	}
	return nil
}

func (d *brokenDisk) create(dir string) (draft, error) {
	if err := d.step("create"); err != nil {
		return nil, err
	}
	f, err := d.realDisk.create(dir)
	return &brokenDraft{f, d}, err
}

func (d *brokenDisk) rename(from, to string) error {
	return errors.Join(d.step("rename"), d.unless(func() error { return d.realDisk.rename(from, to) }))
}

func (d *brokenDisk) remove(name string) error {
	return errors.Join(d.step("remove"), d.unless(func() error { return d.realDisk.remove(name) }))
}

func (d *brokenDisk) syncDir(dir string) error { return d.step("sync directory") }

// unless does the last step unless it is the one that fails.
func (d *brokenDisk) unless(do func() error) error {
	if n := len(d.steps); n == d.failAt || d.forever && n > d.failAt {
		return nil
	}
	return do()
}

type brokenDraft struct {
	draft
	disk *brokenDisk
}

// Write writes a half where it fails.
func (f *brokenDraft) Write(b []byte) (int, error) {
	if err := f.disk.step("write"); err != nil {
		n, _ := f.draft.Write(b[:len(b)/2])
		return n, err
	}
	return f.draft.Write(b)
}

func (f *brokenDraft) Sync() error { return errors.Join(f.disk.step("sync"), f.draft.Sync()) }

func (f *brokenDraft) Close() error { return errors.Join(f.disk.step("close"), f.draft.Close()) }

// The order is what makes a crash harmless: the content is on the disk before the name leads to it.
var wantSteps = []string{"create", "write", "sync", "close", "rename", "sync directory"}

// A crash at any step leaves the old file or the new one, and the next sealing works.
func TestSealSurvivesABrokenDisk(t *testing.T) {
	t.Parallel()
	for _, forever := range []bool{false, true} {
		for failAt := 1; failAt <= len(wantSteps)+1; failAt++ {
			s, source := sealing(t, true)
			sealedBytes(t, s)
			d := &brokenDisk{failAt: failAt, forever: forever}
			_, err := s.seal(d, two[1], noon)
			truth, readErr := source.Read(t.Context())
			if readErr != nil {
				t.Fatalf("broken at step %d: Read = %v, want the old file or the new one", failAt, readErr)
			}
			want := two[0]
			if failAt >= len(wantSteps) {
				want = two[1]
			}
			if !truth.Values["STRIPE_KEY"].Equal(want["STRIPE_KEY"]) {
				t.Errorf("broken at step %d (%v): not the file that is to be there", failAt, d.steps)
			}
			checkBreak(t, d, failAt, err, filepath.Dir(s.Path))
			if _, err := Seal(s, two[1], noon); err != nil {
				t.Errorf("sealing after a crash at step %d = %v, want nil", failAt, err)
			}
		}
	}
}

func TestSetInDirectorySurvivesABrokenDisk(t *testing.T) {
	t.Parallel()
	for _, forever := range []bool{false, true} {
		for failAt := 1; failAt <= len(wantSteps)+1; failAt++ {
			dir := filepath.Join(t.TempDir(), "secrets")
			if err := os.Mkdir(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			if err := SetInDirectory(dir, "STRIPE_KEY", two[0]["STRIPE_KEY"]); err != nil {
				t.Fatal(err)
			}
			d := &brokenDisk{failAt: failAt, forever: forever}
			err := setInDirectory(d, dir, "STRIPE_KEY", two[1]["STRIPE_KEY"])
			truth, readErr := Directory{Path: dir}.Read(t.Context())
			want := two[0]["STRIPE_KEY"]
			if failAt >= len(wantSteps) {
				want = two[1]["STRIPE_KEY"]
			}
			if readErr != nil || len(truth.Values) != 1 || !truth.Values["STRIPE_KEY"].Equal(want) {
				t.Errorf("broken at step %d (%v): Read = %v, %v, want the old secret or the new one", failAt, d.steps, truth, readErr)
			}
			checkBreak(t, d, failAt, err, dir)
		}
	}
}

// checkBreak looks at what a write on a broken disk says and leaves.
func checkBreak(t *testing.T, d *brokenDisk, failAt int, err error, dir string) {
	t.Helper()
	if failAt > len(wantSteps) {
		if err != nil || !slices.Equal(d.steps, wantSteps) {
			t.Errorf("on a whole disk = %v after %v, want nil after %v", err, d.steps, wantSteps)
		}
		return
	}
	var r *Refusal
	if !errors.As(err, &r) || r.Reason != Unwritable || !errors.Is(err, errBroken) {
		t.Errorf("broken at step %d: error = %v, want a refusal as %s with its cause", failAt, err, Unwritable)
	}
	entries, listErr := os.ReadDir(dir)
	if listErr != nil || !d.forever && len(entries) != 1 {
		t.Errorf("broken once at step %d (%v): the directory has %v (%v), want no draft", failAt, d.steps, entries, listErr)
	}
}

func FuzzSealed(f *testing.F) {
	s, source := sealing(f, true)
	u, unsigned := sealing(f, false)
	for _, whole := range [][]byte{sealedBytes(f, s), sealedBytes(f, u)} {
		f.Add(whole)
		f.Add(whole[:60])
		f.Add(append([]byte(sealedMagic+unsignedLine), whole[:10]...))
	}
	f.Add([]byte(sealedMagic + signedWord))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, source := range []Sealed{source, unsigned} {
			truth, err := source.open(b)
			var r *Refusal
			if err != nil && (!errors.As(err, &r) || truth.Values != nil) {
				t.Errorf("open = %+v, %v, want a refusal and nothing else", truth, err)
			}
			if err == nil && (truth.Serial < 1 || len(truth.Values) == 0) {
				t.Errorf("open = %+v, want a truth that says something", truth)
			}
		}
	})
}

// FuzzContents holds that what is accepted is what would be written.
func FuzzContents(f *testing.F) {
	f.Add([]byte(`{"serial":5,"sealed_at":"2026-11-29T12:00:00Z","mode":"live","secrets":{"A":"x"}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		truth, err := parseContents(b)
		if err != nil {
			return
		}
		c := contents{Serial: truth.Serial, SealedAt: truth.SealedAt, Mode: truth.Mode, Secrets: map[string]string{}}
		for name, v := range truth.Values {
			c.Secrets[name] = v.Reveal()
		}
		if again, err := c.text(); err != nil || string(again) != string(b) {
			t.Errorf("text of what was parsed = %q, %v, want %q", again, err, b)
		}
	})
}
