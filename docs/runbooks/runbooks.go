// Package runbooks is the runbooks, built into the program: at three in the morning nobody looks for a web page.
package runbooks

import (
	"embed"
	"io/fs"
	"slices"
	"strings"
)

//go:embed *.md
var files embed.FS

// Of returns the runbook of a check's code, as Markdown, and whether there is one.
func Of(code string) (text string, ok bool) {
	if strings.ContainsAny(code, "/.") {
		return "", false
	}
	b, err := files.ReadFile(code + ".md")
	return string(b), err == nil
}

// Codes lists the codes that have a runbook, sorted.
func Codes() []string {
	names, err := fs.Glob(files, "*.md")
	if err != nil {
		panic("runbooks: a pattern that is written out is wrong: " + err.Error())
	}
	for i, name := range names {
		names[i] = strings.TrimSuffix(name, ".md")
	}
	slices.Sort(names)
	return names
}
