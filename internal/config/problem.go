package config

import (
	"fmt"
	"strings"

	"github.com/makegood/makegood/internal/secret"
)

// Problem is one thing that is wrong with the file. It repeats no value of the file.
type Problem struct {
	Path     string // of the key, for example sources[0].api_key; "" for the whole file
	File     string // as it was named to Load
	Line     int    // 1 for the first; 0 for the whole file
	Sentence string // goes on after the path: "is empty; …"
	// Class names how a secret is broken; "" when the problem is another.
	Class secret.Class
}

// String is one line: path, sentence, file and line.
func (p Problem) String() string {
	var b strings.Builder
	if p.Path != "" {
		b.WriteString(p.Path + ": ")
	}
	b.WriteString(p.Sentence + " (" + p.File)
	if p.Line > 0 {
		fmt.Fprintf(&b, ":%d", p.Line)
	}
	b.WriteString(")")
	return b.String()
}

// Problems is everything that is wrong with the file, in the order of its lines. It is an error when it is not empty.
type Problems []Problem

// Error is one problem a line.
func (ps Problems) Error() string {
	lines := make([]string, len(ps))
	for i, p := range ps {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}
