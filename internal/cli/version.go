package cli

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

type versionCommand struct{}

// Run prints what was built, from what, with what.
func (versionCommand) Run(s *surroundings) error {
	version, revision, isChanged := built()
	changed := ""
	if isChanged {
		changed = " with changes"
	}
	fmt.Fprintf(s.out, "makegood %s (revision %s%s, %s, %s/%s)\n", or(version, "(devel)"), revision, changed, runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return nil
}

// built is what the program says of itself.
func built() (version, revision string, isChanged bool) {
	version, revision = "(devel)", "unknown"
	if info, ok := debug.ReadBuildInfo(); ok {
		version = info.Main.Version
		for _, setting := range info.Settings {
			switch {
			case setting.Key == "vcs.revision":
				revision = setting.Value
			case setting.Key == "vcs.modified" && setting.Value == "true":
				isChanged = true
			}
		}
	}
	return version, revision, isChanged
}

// release names the build in reports of errors.
func release() string {
	version, revision, _ := built()
	return "makegood@" + or(version, "devel") + "+" + revision[:min(len(revision), 12)]
}
