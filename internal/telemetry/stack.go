package telemetry

import (
	"path"
	"regexp"
	"strconv"
	"strings"

	"github.com/getsentry/sentry-go"
)

const (
	// ownModule begins the import paths of the house.
	ownModule = "github.com/makegood/makegood"
	// framesMax bounds a reported stack; the innermost frames are the ones kept. Sentry shows at most 250.
	framesMax = 100
)

// place is the second line of a frame in what debug.Stack writes: a tab, the file, a colon, the line.
var place = regexp.MustCompile(`^\t(.+):([0-9]+)(?: \+0x[0-9a-f]+)?$`)

// framesOf reads what debug.Stack wrote, outermost call first, as Sentry wants it. What stands above the call of panic is
// only how the panic was caught, and is left out. Neither arguments nor the directories of whoever built the program are
// kept: a file is named by its package. Text that it cannot read gives no frames.
func framesOf(stack string) []sentry.Frame {
	var frames []sentry.Frame // innermost first
	caught := false
	lines := strings.Split(stack, "\n")
	for i := 0; i+1 < len(lines); i++ {
		at := place.FindStringSubmatch(lines[i+1])
		if at == nil || strings.HasPrefix(lines[i], "\t") || strings.HasPrefix(lines[i], "created by ") {
			continue
		}
		if !caught && strings.HasPrefix(lines[i], "panic(") {
			frames, caught = nil, true
			continue
		}
		if frame, ok := frameOf(lines[i], at[1], at[2]); ok && len(frames) < framesMax {
			frames = append(frames, frame)
		}
	}
	for i, j := 0, len(frames)-1; i < j; i, j = i+1, j-1 {
		frames[i], frames[j] = frames[j], frames[i]
	}
	return frames
}

// frameOf makes a frame of a call such as pkg/path.(*Type).Method(0x1, ...).
func frameOf(call, file, line string) (sentry.Frame, bool) {
	arguments := strings.LastIndexByte(call, '(')
	if arguments <= 0 {
		return sentry.Frame{}, false
	}
	call = call[:arguments]
	dot := strings.IndexByte(call[strings.LastIndexByte(call, '/')+1:], '.')
	if dot < 0 {
		return sentry.Frame{}, false
	}
	dot += strings.LastIndexByte(call, '/') + 1
	number, err := strconv.Atoi(line)
	if err != nil {
		return sentry.Frame{}, false
	}
	pkg := call[:dot]
	return sentry.Frame{
		Function: call[dot+1:],
		Module:   pkg,
		Filename: pkg + "/" + path.Base(strings.ReplaceAll(file, `\`, "/")),
		Lineno:   number,
		InApp:    pkg == "main" || pkg == ownModule || strings.HasPrefix(pkg, ownModule+"/") || strings.HasPrefix(pkg, ownModule+"_test"),
	}, true
}

// whereOf names the innermost call of the house in a stack, or else the innermost of all. It tells one panic from another.
func whereOf(frames []sentry.Frame) string {
	for i := len(frames) - 1; i >= 0; i-- {
		if frames[i].InApp {
			return frames[i].Module + "." + frames[i].Function
		}
	}
	if len(frames) == 0 {
		return ""
	}
	last := frames[len(frames)-1]
	return last.Module + "." + last.Function
}
