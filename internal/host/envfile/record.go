package envfile

import (
	"encoding/json"
	"os"
	"slices"
	"time"
)

// record is what the sidecar remembers. It has no value of any variable in it, and losing it loses the names of runs and the
// right to go back, nothing else.
type record struct {
	// Written is the generation that we last wrote: what we may take back. Started is that a command has run since, so the
	// next Write belongs to another attempt.
	Written string `json:"written,omitempty"`
	Started bool   `json:"started,omitempty"`
	// Reverted is the generation that was last put back and run, until something else is written or started.
	Reverted string `json:"reverted,omitempty"`
	Runs     []run  `json:"runs,omitempty"` // oldest first, at most runsMax
}

// run is one run of the command for an attempt.
type run struct {
	Attempt string    `json:"attempt"` // which is also what the run is called
	State   runState  `json:"state"`
	Exit    int       `json:"exit"`
	Late    bool      `json:"late,omitempty"` // it did not end in time
	Begun   time.Time `json:"begun"`
	Ended   time.Time `json:"ended,omitzero"`
}

type runState string

const (
	begun runState = "begun"
	ended runState = "ended"
)

// runsMax is how many attempts are remembered. Two in half an hour is what the healer allows.
const runsMax = 20

// find returns the run of an attempt; nil when there is none.
func (r *record) find(attempt string) *run {
	if i := slices.IndexFunc(r.Runs, func(x run) bool { return x.Attempt == attempt }); i >= 0 {
		return &r.Runs[i]
	}
	return nil
}

// begin writes down that the command is about to run for an attempt. A run that was begun before is the same run.
func (r *record) begin(attempt string, now time.Time) {
	r.Started, r.Reverted = true, ""
	if old := r.find(attempt); old != nil {
		old.State = begun
		return
	}
	r.Runs = append(r.Runs, run{Attempt: attempt, State: begun, Begun: now})
	if len(r.Runs) > runsMax {
		r.Runs = slices.Delete(r.Runs, 0, len(r.Runs)-runsMax)
	}
}

// forget takes back what was never begun.
func (r *record) forget(attempt string) {
	r.Runs = slices.DeleteFunc(r.Runs, func(x run) bool { return x.Attempt == attempt })
}

// readRecord reads the sidecar. One that is missing or not to be read is an empty one: commands that start a program may be
// repeated, and what may be put back is judged by the files themselves.
func readRecord(path string) record {
	var r record
	content, err := os.ReadFile(path)
	if err != nil || json.Unmarshal(content, &r) != nil {
		return record{}
	}
	return r
}

func (r *record) text() string {
	content, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		panic("unreachable: strings, numbers and times")
	}
	return string(content) + "\n"
}
