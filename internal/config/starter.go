package config

import (
	"bytes"
	"strings"
)

const starterHead = `# The configuration of Makegood. It is strict: a key that is not known is refused. Every problem is told at once.
# Secrets are given by reference: env:NAME for a variable of the environment, file:/path for a file.
# docs/configuration.md has the same in tables.
`

// manualOnly are the keys that few need and many would have to scroll past.
const manualOnly = "sources[].recipe"

// commentBytesMax is where the comments of the starting file break.
const commentBytesMax = 110

// Starter returns the commented starting file that makegood init writes: every key with what it means and the value it
// would have anyway, or an example where there is none.
func Starter() []byte {
	var b bytes.Buffer
	b.WriteString(starterHead)
	for _, k := range keys() {
		if strings.HasPrefix(k.path, manualOnly) {
			continue
		}
		depth, name, first := place(k)
		indent := strings.Repeat("  ", depth)
		if depth == 0 {
			b.WriteByte('\n')
		}
		if first {
			indent = indent[2:]
		}
		for _, paragraph := range []string{k.meaning, k.terms()} {
			for _, line := range wrapped(paragraph, commentBytesMax-len(indent)) {
				b.WriteString(indent + "# " + line + "\n")
			}
		}
		if k.off {
			indent += "#"
		}
		if first {
			indent += "- "
		}
		b.WriteString(strings.TrimRight(indent+name+": "+k.startValue(), " ") + "\n")
	}
	return b.Bytes()
}

// place says how deep a key stands, how it is called there, and whether it begins an entry of a list.
func place(k key) (depth int, name string, first bool) {
	dir, name := split(k.path)
	depth = strings.Count(k.path, ".") + strings.Count(k.path, "[]")
	if strings.HasSuffix(dir, "[]") {
		for _, other := range keys() {
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
