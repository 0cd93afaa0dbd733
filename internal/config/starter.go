package config

import (
	"bytes"
	"strings"
)

const starterHead = `# The configuration of Makegood. It is strict: a key that is not known is refused. Every problem is told at once.
# Secrets are given by reference: env:NAME for a variable of the environment, file:/path for a file.
# docs/configuration.md has the same in tables.
`

const watchStarterHead = `# The configuration of a watcher of Makegood: a program of its own, on another machine than the server. It is strict: a key
# that is not known is refused. Every problem is told at once.
# Secrets are given by reference: env:NAME for a variable of the environment, file:/path for a file.
# docs/watch-configuration.md has the same in tables; docs/watcher.md says how it is run.
`

// manualOnly are the keys that few need and many would have to scroll past.
func manualOnly(path string) bool {
	for _, prefix := range []string{"sources[].recipe", "escalation.P1", "escalation.P2", "escalation.P3"} {
		if strings.HasPrefix(path, prefix) {
			return true
		}
	}
	return false
}

// commentBytesMax is where the comments of the starting file break.
const commentBytesMax = 110

// Starter returns the commented starting file that makegood init writes: every key with what it means and the value it
// would have anyway, or an example where there is none.
func Starter() []byte { return starter(starterHead, keys()) }

// StarterWatch returns the starting file of a watcher, deploy/watch.yaml, with the monitors that find most.
func StarterWatch() []byte { return starter(watchStarterHead, watchKeys()) }

func starter(head string, keys []key) []byte {
	var b bytes.Buffer
	b.WriteString(head)
	listed := "" // the list whose entries are written out
	for _, k := range keys {
		if manualOnly(k.path) || listed != "" && strings.HasPrefix(k.path, listed) {
			continue
		}
		depth, name, first := place(k, keys)
		indent := strings.Repeat("  ", depth)
		if depth == 0 {
			b.WriteByte('\n')
		}
		if first {
			indent = indent[2:]
		}
		comment(&b, indent, k.meaning)
		comment(&b, indent, k.terms())
		listed = ""
		if k.entries != nil {
			listed = k.path + "[]."
			explain(&b, indent, listed, keys)
		}
		line := indent
		if k.off {
			line += "#"
		}
		if first {
			line += "- "
		}
		b.WriteString(strings.TrimRight(line+name+": "+k.startValue(), " ") + "\n")
		for _, entry := range k.entries {
			writeEntry(&b, indent+"  ", entry, k.off)
		}
	}
	return b.Bytes()
}

func comment(b *bytes.Buffer, indent, paragraph string) {
	for _, line := range wrapped(paragraph, commentBytesMax-len(indent)) {
		b.WriteString(indent + "# " + line + "\n")
	}
}

// explain says what each key of a list's entries means, before the entries that are written out.
func explain(b *bytes.Buffer, indent, prefix string, keys []key) {
	for _, k := range keys {
		if name, ok := strings.CutPrefix(k.path, prefix); ok {
			lines := wrapped(name+": "+k.meaning+" "+k.terms(), commentBytesMax-len(indent)-4)
			b.WriteString(indent + "# * " + strings.Join(lines, "\n"+indent+"#   ") + "\n")
		}
	}
}

// writeEntry writes one entry of a list, with each of its lines commented out when it begins with # or isOff.
func writeEntry(b *bytes.Buffer, indent, entry string, isOff bool) {
	entry, hasMark := strings.CutPrefix(entry, "#")
	mark := ""
	if isOff || hasMark {
		mark = "#"
	}
	for line := range strings.Lines(strings.TrimSpace(entry) + "\n") {
		text := strings.TrimLeft(line, " ")
		b.WriteString(indent + line[:len(line)-len(text)] + mark + text)
	}
}

// place says how deep a key stands, how it is called there, and whether it begins an entry of a list.
func place(k key, keys []key) (depth int, name string, first bool) {
	dir, name := split(k.path)
	depth = strings.Count(k.path, ".") + strings.Count(k.path, "[]")
	if strings.HasSuffix(dir, "[]") {
		for _, other := range keys {
			if otherDir, _ := split(other.path); otherDir == dir {
				first = other.path == k.path
				break
			}
		}
	}
	return depth, name, first
}

func (k key) startValue() string {
	switch {
	case k.kind == section || k.kind == sections:
		return ""
	case k.start != "":
		return k.start
	}
	return k.fallback
}

// terms is type, default, unit and example as sentences. Of a mapping only whether it must be there is worth a word.
func (k key) terms() string {
	if k.kind == section && k.must == "" {
		return ""
	}
	terms := []string{upperFirst(k.typeName())}
	if k.unit != "" {
		terms[0] += " (" + k.unit + ")"
	}
	terms = append(terms, k.defaultName())
	if k.example != "" {
		terms = append(terms, "Example: "+k.example)
	}
	return strings.Join(terms, ". ") + "."
}

func wrapped(s string, bytesMax int) []string {
	var lines []string
	line := ""
	for _, word := range strings.Fields(s) {
		if line != "" && len(line)+1+len(word) > bytesMax {
			lines = append(lines, line)
			line = ""
		}
		line = strings.TrimPrefix(line+" "+word, " ")
	}
	if line != "" {
		lines = append(lines, line)
	}
	return lines
}
