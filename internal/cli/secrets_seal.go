package cli

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/config"
	"github.com/makegood/makegood/internal/secret"
	"github.com/makegood/makegood/internal/vault"
)

// inputMax bounds what is read of values from standard input, in bytes: as much as a sealed file may have.
const inputMax = 1 << 20

// nothingLiteral takes what stands on the command line where a value could be, so that it is refused without being repeated.
type nothingLiteral struct {
	Literal []string `arg:"" optional:"" hidden:""`
}

// refuse refuses values on the command line: the history of the shell and the list of processes show them to others.
func (n nothingLiteral) refuse(instead string) error {
	if len(n.Literal) == 0 {
		return nil
	}
	return makegood.Errorf(makegood.Invalid, "Values are never given as arguments, because the shell's history and other users could see them. %s If this was a real secret, it is known to the history now: replace it.", instead)
}

type secretsKeygenCommand struct {
	Out string `help:"The folder to write the two files into." default:"." placeholder:"FOLDER"`
}

// Run makes keys.
func (c secretsKeygenCommand) Run(s *surroundings) error {
	keys, err := vault.NewKeys()
	if err != nil {
		return plainRefusal(err)
	}
	if err := os.MkdirAll(c.Out, 0o700); err != nil {
		return err
	}
	identity, signing := filepath.Join(c.Out, "identity"), filepath.Join(c.Out, "signing-key")
	for _, path := range []string{identity, signing} { // before either is written: half a pair is of no use
		if _, err := os.Lstat(path); err == nil {
			return makegood.Errorf(makegood.Conflict, "%s is there already and was left as it is: what was sealed with it could not be opened without it. Name another folder: makegood secrets keygen --out FOLDER", path)
		}
	}
	if err := writePrivate(identity, keys.Identity); err != nil {
		return err
	}
	if err := writePrivate(signing, keys.SigningKey); err != nil {
		return errors.Join(err, os.Remove(identity))
	}
	fmt.Fprintf(s.out, `Made two keys:
  %s     opens the sealed file. It belongs to the watcher, and to whoever seals:
                secrets.identity of watch.yaml, as file:PATH or in a variable.
  %s  signs it. It belongs to whoever seals, and nowhere else: not to the watcher,
                not to the server, not into a repository. Keep a copy off this machine.
What is no secret:
  recipient   %s
  verify_key  %s
Put verify_key into secrets of watch.yaml; then seal: makegood secrets seal --from-env --signing-key file:%s
`, identity, signing, keys.Recipient, keys.VerifyKey, signing)
	return nil
}

// writePrivate makes a file that only its owner can read, and never writes over one.
func writePrivate(path string, v secret.Value) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.WriteString(f, v.Reveal()+"\n")
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return errors.Join(err, os.Remove(path))
	}
	return nil
}

// signing are the flags of what seals.
type signing struct {
	SigningKey string `help:"Where the signing key is: env:NAME or file:PATH." placeholder:"REF"`
}

// plainRefusal is a refusal of the vault in its sentence.
func plainRefusal(err error) error {
	var r *vault.Refusal
	if errors.As(err, &r) {
		return makegood.Errorf(makegood.Conflict, "%s (%s)", r.Sentence, r.Reason)
	}
	return err
}

// sealing is how the file of a configuration is sealed. A signature that the watcher would not believe is refused before
// anything is sealed.
func (g signing) sealing(s *surroundings, c *config.Watch, file string) (vault.Sealing, error) {
	source := c.Secrets.Source
	identity, err := source.Identity.Read()
	if err != nil {
		return vault.Sealing{}, makegood.Wrap(err, makegood.NotFound, "The identity of secrets.identity is not there: "+makegood.MessageOf(err)+" Make one with makegood secrets keygen, or name where it is.")
	}
	x := vault.Sealing{Path: source.Path, Identity: identity, AllowUnsigned: source.AllowUnsigned && source.VerifyKey == "", Mode: c.Secrets.Mode}
	if g.SigningKey == "" {
		if x.AllowUnsigned {
			return x, nil
		}
		return x, makegood.Errorf(makegood.Invalid, "Whoever seals signs: say where the signing key is, with --signing-key file:PATH or env:NAME. makegood secrets keygen makes one.")
	}
	if x.SigningKey, err = secret.Resolve(g.SigningKey, ".", s.lookup); err != nil {
		return x, err
	}
	verify, err := vault.VerifyKeyOf(x.SigningKey)
	if err != nil {
		return x, plainRefusal(err)
	}
	if source.VerifyKey != "" && verify != source.VerifyKey {
		return x, makegood.Errorf(makegood.Invalid, "This signing key does not belong to secrets.verify_key of %s: a file sealed with it would not be believed. Its own verification key is %s.", file, verify)
	}
	return x, nil
}

// secretList is the list of a file, or why there is none.
func secretList(c *config.Watch, file string) error {
	if !c.Secrets.IsSet {
		return makegood.Errorf(makegood.NotFound, "%s has no section secrets, so it is not known what is required, or where the truth is kept. makegood watch --init writes one to start from.", file)
	}
	return nil
}

func needsOf(l config.SecretList) []vault.Need {
	var needs []vault.Need
	for _, r := range l.Required {
		needs = append(needs, vault.Need{Name: r.Name, Kind: r.Kind, Mode: l.Mode, NotAfter: r.NotAfter, Optional: r.Optional})
	}
	return needs
}

func required(l config.SecretList, name string) (config.RequiredSecret, bool) {
	i := slices.IndexFunc(l.Required, func(r config.RequiredSecret) bool { return r.Name == name })
	if i < 0 {
		return config.RequiredSecret{}, false
	}
	return l.Required[i], true
}

func requiredNames(l config.SecretList) []string {
	var names []string
	for _, r := range l.Required {
		names = append(names, r.Name)
	}
	return names
}

type secretsSealCommand struct {
	FromEnv bool   `help:"Take the values from the environment." xor:"from"`
	FromDir string `help:"Take the values from a folder with a file for each." placeholder:"DIR" xor:"from"`
	Shrink  bool   `help:"Names that were sealed before may be gone."`
	Anew    bool   `help:"Do not look at the file that is there: it cannot be opened any more, or has other keys."`
	JSON    bool   `help:"Print JSON, for programs."`
	signing
	watching
	nothingLiteral
}

// Run seals.
func (c secretsSealCommand) Run(s *surroundings) error {
	if err := c.refuse("Give them in the environment (--from-env), in a folder (--from-dir), or as KEY=VALUE lines on standard input."); err != nil {
		return err
	}
	c.File = c.file(s)
	conf, err := s.loadWatch(c.File)
	if err != nil {
		return err
	}
	if err := secretList(conf, c.File); err != nil {
		return err
	}
	if kind := conf.Secrets.Source.Kind; kind != "sealed" {
		return makegood.Errorf(makegood.Invalid, "secrets.source of %s is %s, which is not sealed: there is nothing to seal.", c.File, kind)
	}
	x, err := c.sealing(s, conf, c.File)
	if err != nil {
		return err
	}
	x.Shrink, x.Anew = c.Shrink, c.Anew
	values, leftOut, err := c.values(s, conf.Secrets)
	if err != nil {
		return err
	}
	now := time.Now()
	if refusals := vault.Judge(vault.Truth{Values: values, Mode: conf.Secrets.Mode}, needsOf(conf.Secrets), vault.Known{}, conf.Secrets.Mode, now); len(refusals) > 0 {
		return notSealed(refusals)
	}
	sealed, err := vault.Seal(x, values, now)
	if err != nil {
		return plainRefusal(err)
	}
	return printSealed(s, c.JSON, x, sealed, leftOut)
}

// notSealed names all refusals at once.
func notSealed(refusals []*vault.Refusal) error {
	var lines []string
	for _, r := range refusals {
		lines = append(lines, "  "+r.Sentence)
	}
	return makegood.Errorf(makegood.Invalid, "Nothing was sealed:\n%s", strings.ReplaceAll(strings.Join(lines, "\n"), "in the source of truth ", ""))
}

func printSealed(s *surroundings, asJSON bool, x vault.Sealing, sealed vault.Known, leftOut []string) error {
	if asJSON {
		return s.printJSON(struct {
			Path string `json:"path"`
			vault.Known
		}{x.Path, sealed})
	}
	signed := "signed"
	if x.SigningKey.Empty() {
		signed = "NOT signed"
	}
	fmt.Fprintf(s.out, "Sealed %s into %s: serial %d, %s.\n", count(len(sealed.Fingerprints), "secret"), x.Path, sealed.Serial, signed)
	w := table(s.out)
	for _, name := range slices.Sorted(maps.Keys(sealed.Fingerprints)) {
		fmt.Fprintf(w, "  %s\t%s\n", name, sealed.Fingerprints[name])
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if len(leftOut) > 0 {
		fmt.Fprintf(s.out, "Left out, because secrets.required does not name them: %s\n", strings.Join(leftOut, ", "))
	}
	return nil
}

// values reads what is to be sealed.
func (c secretsSealCommand) values(s *surroundings, l config.SecretList) (values map[string]secret.Value, leftOut []string, err error) {
	values = map[string]secret.Value{}
	switch {
	case c.FromEnv:
		for _, name := range requiredNames(l) {
			if v, ok := s.lookup(name); ok && v != "" {
				values[name] = secret.New(v)
			}
		}
	case c.FromDir != "":
		truth, err := vault.Directory{Path: c.FromDir}.Read(s.ctx)
		if err != nil {
			return nil, nil, plainRefusal(err)
		}
		for name, v := range truth.Values {
			switch _, ok := required(l, name); {
			case !ok:
				leftOut = append(leftOut, name)
			case !v.Empty():
				values[name] = v
			}
		}
		slices.Sort(leftOut)
	default:
		values, err = s.readLines(l)
	}
	return values, leftOut, err
}

// readLines reads KEY=VALUE lines. A line that is none is told by its number: its text may be a value.
func (s *surroundings) readLines(l config.SecretList) (map[string]secret.Value, error) {
	s.hint("Type KEY=VALUE lines, then Ctrl-D:")
	values := map[string]secret.Value{}
	lines := bufio.NewScanner(io.LimitReader(s.in, inputMax))
	lines.Buffer(nil, inputMax)
	lines.Split(scanLines)
	for n := 1; lines.Scan(); n++ {
		line := lines.Text()
		if strings.TrimSpace(line) == "" || strings.HasPrefix(line, "#") {
			continue
		}
		name, value, ok := strings.Cut(strings.TrimPrefix(line, "export "), "=")
		if !ok {
			return nil, makegood.Errorf(makegood.Invalid, "Line %d of the input is not KEY=VALUE.", n)
		}
		if _, ok := required(l, name); !ok {
			return nil, makegood.Errorf(makegood.Invalid, "Line %d of the input has a name that secrets.required does not have; there are %s.", n, strings.Join(requiredNames(l), ", "))
		}
		if _, twice := values[name]; twice {
			return nil, makegood.Errorf(makegood.Invalid, "Line %d of the input gives %s a second time.", n, name)
		}
		if value != "" {
			values[name] = secret.New(value)
		}
	}
	if lines.Err() != nil {
		return nil, makegood.Errorf(makegood.Invalid, "The input cannot be read, or has more than %d bytes.", inputMax)
	}
	return values, nil
}

// scanLines is bufio.ScanLines that leaves a carriage return where it is, for Inspect to name.
func scanLines(data []byte, atEOF bool) (int, []byte, error) {
	if i := slices.Index(data, '\n'); i >= 0 {
		return i + 1, data[:i], nil
	}
	if atEOF && len(data) > 0 {
		return len(data), data, nil
	}
	return 0, nil, nil
}

// hint tells somebody at a terminal what is waited for.
func (s *surroundings) hint(text string) {
	if f, ok := s.in.(*os.File); ok {
		if info, err := f.Stat(); err == nil && info.Mode()&os.ModeCharDevice != 0 {
			fmt.Fprintln(s.errors, text)
		}
	}
}

type secretsSetCommand struct {
	Name string `arg:"" help:"The variable, as secrets.required names it. Its value is read from standard input."`
	signing
	watching
	nothingLiteral
}

// Run puts one secret into the source of truth.
func (c secretsSetCommand) Run(s *surroundings) error {
	if strings.Contains(c.Name, "=") {
		c.Literal = append(c.Literal, "")
	}
	if err := c.refuse("Give it on standard input: makegood secrets set NAME < FILE."); err != nil {
		return err
	}
	c.File = c.file(s)
	conf, err := s.loadWatch(c.File)
	if err != nil {
		return err
	}
	if err := secretList(conf, c.File); err != nil {
		return err
	}
	need, ok := required(conf.Secrets, c.Name)
	if !ok { // it is not repeated: somebody may have put the value in the place of the name
		return makegood.Errorf(makegood.NotFound, "secrets.required of %s has no such name; there are %s. A new one is first put there.", c.File, strings.Join(requiredNames(conf.Secrets), ", "))
	}
	source := conf.Secrets.Source
	if source.Kind == "environment" {
		return makegood.Errorf(makegood.Invalid, "secrets.source of %s is environment: its values are set where the watcher is started, and not from here.", c.File)
	}
	var x vault.Sealing
	if source.Kind == "sealed" { // what is missing for sealing is said before anybody types a value
		if x, err = c.sealing(s, conf, c.File); err != nil {
			return err
		}
	}
	v, err := s.readValue(c.Name)
	if err != nil {
		return err
	}
	if problems := secret.Inspect(v, need.Kind, conf.Secrets.Mode); len(problems) > 0 {
		return makegood.Errorf(makegood.Invalid, "%s was not put anywhere: it %s.", c.Name, problems[0].Sentence)
	}
	if source.Kind == "directory" {
		if err := vault.SetInDirectory(source.Path, c.Name, v); err != nil {
			return plainRefusal(err)
		}
		fmt.Fprintf(s.out, "%s is in %s now: %s. No place has it yet: makegood secrets push\n", c.Name, source.Path, v.Fingerprint())
		return nil
	}
	return c.reseal(s, conf, x, v)
}

// reseal seals what is there with one value changed.
func (c secretsSetCommand) reseal(s *surroundings, conf *config.Watch, x vault.Sealing, v secret.Value) error {
	source := conf.Secrets.Source
	values := map[string]secret.Value{}
	before := "new"
	if _, err := os.Stat(source.Path); err == nil {
		truth, err := vault.Sealed{Path: source.Path, Identity: x.Identity, VerifyKey: source.VerifyKey, AllowUnsigned: source.AllowUnsigned}.Read(s.ctx)
		if err != nil {
			return plainRefusal(err)
		}
		values = truth.Values
	}
	if was := values[c.Name]; !was.Empty() {
		before = was.Fingerprint()
	}
	values[c.Name] = v
	sealed, err := vault.Seal(x, values, time.Now())
	if err != nil {
		return plainRefusal(err)
	}
	fmt.Fprintf(s.out, "%s is in %s now: %s (before: %s), serial %d. No place has it yet: makegood secrets push\n", c.Name, source.Path, v.Fingerprint(), before, sealed.Serial)
	var missing []string
	for _, r := range conf.Secrets.Required {
		if !r.Optional && values[r.Name].Empty() {
			missing = append(missing, r.Name)
		}
	}
	if len(missing) > 0 {
		fmt.Fprintf(s.out, "Still missing there, so it is not believed yet: %s\n", strings.Join(missing, ", "))
	}
	return nil
}

// valueMax bounds one value, in bytes, as the vault does.
const valueMax = 64 << 10

// readValue reads one value. From its end one line feed is removed, as from a file.
func (s *surroundings) readValue(name string) (secret.Value, error) {
	s.hint("Type the value of " + name + ", then Enter and Ctrl-D:")
	b, err := io.ReadAll(io.LimitReader(s.in, valueMax+1))
	switch {
	case err != nil:
		return secret.Value{}, makegood.Errorf(makegood.Invalid, "Standard input cannot be read.")
	case len(b) > valueMax:
		return secret.Value{}, makegood.Errorf(makegood.TooLarge, "A secret has at most %d bytes.", valueMax)
	}
	return secret.New(strings.TrimSuffix(string(b), "\n")), nil
}
