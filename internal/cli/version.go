package cli

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

type versionCommand struct{}

// Run prints what was built, from what, with what.
func (versionCommand) Run(s *surroundings) error {
	version, revision, changed := "(devel)", "unknown", ""
	if info, ok := debug.ReadBuildInfo(); ok {
		version = info.Main.Version
		for _, setting := range info.Settings {
			switch {
			case setting.Key == "vcs.revision":
				revision = setting.Value
			case setting.Key == "vcs.modified" && setting.Value == "true":
				changed = " with changes"
			}
		}
	}
	fmt.Fprintf(s.out, "makegood %s (revision %s%s, %s, %s/%s)\n", or(version, "(devel)"), revision, changed, runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return nil
}
