package envfile

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, text, value string
		plain             bool
	}{
		{"bare", "A=b\n", "b", true},
		{"no ending", "A=b", "b", true},
		{"crlf", "A=b\r\n", "b", true},
		{"empty", "A=\n", "", true},
		{"exported", "  export A=b\n", "b", true},
		{"blanks around the sign", "A \t= b \n", "b", true},
		{"single quotes", "A='b c $d \\n'\n", `b c $d \n`, true},
		{"double quotes", "A=\"b c\"\n", "b c", true},
		{"blanks in quotes", "A=' b '  \r\n", " b ", true},
		{"escapes that all know", `A="a\"b\\c\$d"` + "\n", `a"b\c$d`, true},
		{"an escape that only compose knows", `A="a\nb"` + "\n", `a\nb`, false},
		{"an escape that compose does not know", "A=\"a\\`b\"\n", "a`b", false},
		{"a variable", `A="a$B"` + "\n", "a$B", false},
		{"several lines", "A='a\nb'\n", "a\nb", false},
		{"several words", "A=b c\n", "b c", false},
		{"comment behind", "A=b # c\n", "b", false},
		{"comment behind quotes", "A='b' # c\n", "b", false},
		{"comment alone", "A= # c\n", "", false},
		{"no comment", "A=b#c\n", "b#c", false},
		{"joined lines", "A=b\\\nc\n", "bc", false},
		{"escaped", "A=b\\c\n", "bc", false},
		{"quotes in the middle", "A=it's\n", "it's", false},
		{"two pieces", "A='a'\"b\"\n", "ab", false},
		{"the last counts", "A=a\nA=b\n", "b", true},
		{"a comment is none", "A=b\n#A=c\n;A=d\n", "b", true},
		{"a name that is none", "A=b\nA-B=c\n9A=d\nAA\n", "b", true},
		{"quotes take lines along", "B='\nA=c\n'\nA=b\n", "b", true},
	} {
		d, err := parse(tt.text)
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		i := d.last("A")
		if i < 0 || d[i].value != tt.value || d[i].plain != tt.plain {
			t.Errorf("%s: parse(%q) reads %+v, want %q, plain %v", tt.name, tt.text, d, tt.value, tt.plain)
		}
		if got := d.String(); got != tt.text {
			t.Errorf("%s: the parts of %q make %q", tt.name, tt.text, got)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"B=1\nA='whsec_open\nC=2\n", "B=1\nA=\"whsec_open", `B=1` + "\n" + `A='whsec_open\'` + "\n", strings.Repeat("#", fileBytesMax+1)} {
		_, err := parse(text)
		if err == nil {
			t.Errorf("parse(%.40q) takes it", text)
		} else if strings.Contains(err.Error(), "whsec_") {
			t.Errorf("parse repeats what it read: %v", err)
		} else if len(text) < 100 && !strings.Contains(err.Error(), "Line 2 ") {
			t.Errorf("parse(%q) = %v, want the line", text, err)
		}
	}
}

func TestSet(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, text, want string }{
		{"nothing there", "", "A=x\n"},
		{"changed in its place", "B=1\nA=old\nC=2\n", "B=1\nA=x\nC=2\n"},
		{"already so", "  A=\"x\"\n", "  A=\"x\"\n"},
		{"appended", "B=1\n", "B=1\nA=x\n"},
		{"no ending stays none", "B=1", "B=1\nA=x"},
		{"no ending stays none in its place", "A=1", "A=x"},
		{"crlf stays", "B=1\r\nA=1\r\n", "B=1\r\nA=x\r\n"},
		{"crlf is appended", "B=1\r\n", "B=1\r\nA=x\r\n"},
		{"export stays", "export A=1\n", "export A=x\n"},
		{"export is the custom here", "export B=1\n", "export B=1\nexport A=x\n"},
		{"the last of two", "A=1\nA=2\n", "A=1\nA=x\n"},
		{"an earlier one is right and does not count", "A=x\nA=2\n", "A=x\nA=x\n"},
		{"readers do not agree on the value", "A=x # y\n", "A=x\n"},
		{"a line that another takes along", "A=1\\\nA=2\n", "A=1\\\nA=2\nA=x\n"},
		{"what a comment takes along", "# \\\nA=1\n", "# \\\nA=1\nA=x\n"},
		{"what compose reads", "A=x\nA: 2\n", "A=x\nA: 2\nA=x\n"},
		{"a backslash at the end", "# c\\\n", "# c\\\n\nA=x\n"},
		{"a backslash at the end and no ending", "# c\\", "# c\\\n\nA=x"},
		{"unknown lines", "\xff\n\tweird\n", "\xff\n\tweird\nA=x\n"},
	} {
		d, err := parse(tt.text)
		if err == nil {
			err = d.set("A", "x")
		}
		if err == nil {
			err = d.wanted("A", "x")
		}
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
		} else if got := d.String(); got != tt.want {
			t.Errorf("%s: set in %q = %q, want %q", tt.name, tt.text, got, tt.want)
		}
	}
}

// hardValues are read back by every reader, or refused.
var hardValues = []struct {
	value string
	ok    bool
}{
	{"whsec_abc+/=", true}, {"a b", true}, {" a ", true}, {"$HOME", true}, {"${A}", true}, {"a#b", true}, {"# a", true}, {"!x", true}, {"a`b", true}, {`a\b`, true},
	{`say "x"`, true}, {"it's", true}, {`it's \n $HOME "x" here`, true}, {"a;b|c&d<e>(f)*?[g]{h}~", true}, {"é ü 漢", true}, {"%n", true}, {"a=b", true}, {"=", true}, {"\ta", true},
	{"", false}, {"a\nb", false}, {"a\rb", false}, {"a\x00b", false}, {"\xff", false}, {`a\`, false}, {"it's `x`", false}, {`'"`, false}, {`"'`, false},
}

func TestQuote(t *testing.T) {
	t.Parallel()
	for _, tt := range hardValues {
		var d document
		err := d.set("A", tt.value)
		if (err == nil) != tt.ok {
			t.Errorf("set(%q) = %v, want it to be taken: %v", tt.value, err, tt.ok)
		}
		if err != nil {
			continue
		}
		again, err := parse(d.String())
		if err == nil {
			err = again.wanted("A", tt.value)
		}
		if err != nil {
			t.Errorf("%q is written as %q: %v", tt.value, d.String(), err)
		}
	}
}

// TestShellReadsAlike asks a reader that is not ours.
func TestShellReadsAlike(t *testing.T) {
	t.Parallel()
	sh, err := exec.LookPath("sh")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "env")
	for _, tt := range hardValues {
		d := document{{text: "B='1\n2'\n"}}
		if d.set("A", tt.value) != nil {
			continue
		}
		if err := os.WriteFile(path, []byte(d.String()), 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := exec.Command(sh, "-c", `. "$0"; printf %s "$A"`, path).Output()
		if err != nil || string(got) != tt.value {
			t.Errorf("sh reads %q as %q, %v", d.String(), got, err)
		}
	}
}

// FuzzSet: whatever the file, the values that are set count, and every other line is there as it was.
func FuzzSet(f *testing.F) {
	for _, text := range []string{"", "A=1\nB=2", "export A='x'\r\n# c\\\nB=\"y\"\r\n", "A=1\\\nB=2\n", "A: 1\n;x\n\xef\xbb\xbfB=1\n", "A='\nB=1\n'\nB=it's # c\n\rA=2"} {
		f.Add(text, "whsec_1", "it's $5")
	}
	f.Fuzz(func(t *testing.T, text, a, b string) {
		d, err := parse(text)
		if err != nil {
			return
		}
		if d.String() != text {
			t.Fatalf("the parts of %q make %q", text, d.String())
		}
		before := slices.Clone(d)
		wanted := map[string]string{}
		for name, value := range map[string]string{"A": a, "B": b} {
			if d.set(name, value) == nil {
				wanted[name] = value
			}
		}
		written, err := parse(d.String())
		if err != nil {
			t.Fatalf("%q became %q, which is refused: %v", text, d.String(), err)
		}
		for name, value := range wanted {
			if err := written.wanted(name, value); err != nil {
				t.Fatalf("%q became %q: %v", text, d.String(), err)
			}
		}
		if got, want := others(written, wanted), others(before, wanted); !slices.Equal(got, want) {
			t.Fatalf("%q became %q: other lines were %q and are %q", text, d.String(), want, got)
		}
		for name, value := range wanted {
			if err := written.set(name, value); err != nil {
				t.Fatal(err)
			}
		}
		if written.String() != d.String() {
			t.Fatalf("setting again changes %q to %q", d.String(), written.String())
		}
	})
}

// others are the lines that are not of these names, without the ending that the last may get, and without blank ones.
func others(d document, names map[string]string) []string {
	var lines []string
	for _, e := range d {
		content := strings.TrimRight(e.text, "\r\n")
		if _, ok := names[e.name]; !ok && content != "" {
			lines = append(lines, content)
		}
	}
	return lines
}
