package api

import (
	"context"
	"net/http"
	"time"

	"github.com/makegood/makegood"
)

// Drills answers operators who have something broken on purpose.
type Drills struct {
	Run func(ctx context.Context, name, target string) (makegood.DrillResult, error)
}

// DrillAsk is the request of POST /api/admin/drills.
type DrillAsk struct {
	Name   string `json:"name"`
	Target string `json:"target,omitempty"` // a target that is really broken; "" is the simulated world
}

// AdminRoutes lists what operators may ask; see Admin.
func (d *Drills) AdminRoutes() map[string]Handler {
	return map[string]Handler{"POST /api/admin/drills": d.run}
}

// drillAnswerWithin is longer than any drill: its answer is how it went.
const drillAnswerWithin = 20 * time.Minute

func (d *Drills) run(w http.ResponseWriter, r *http.Request) error {
	var ask DrillAsk
	if err := readJSON(w, r, &ask); err != nil {
		return err
	}
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(drillAnswerWithin)) // a writer that cannot wait is that of a test
	// Whoever asked may go away; what was broken is mended all the same.
	result, err := d.Run(context.WithoutCancel(r.Context()), ask.Name, ask.Target)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, result)
	return nil
}
