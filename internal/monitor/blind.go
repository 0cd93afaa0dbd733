package monitor

import (
	"context"
	"fmt"
	"time"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/probe"
)

// watchNetwork looks at our own network, also when all monitors are well: it must be known that we are blind before somebody
// needs it.
func (r *Runner) watchNetwork(ctx context.Context) {
	if len(r.network.targets) == 0 {
		r.tellBlindness() // an incident from before the targets were taken out of the configuration
		return
	}
	for ctx.Err() == nil {
		wait := networkEvery
		if !r.network.sees(ctx, time.Now()) {
			wait = networkAgain
		}
		r.tellBlindness()
		r.waitForNetwork(ctx, wait)
	}
}

// waitForNetwork waits until the next check. When a look has just found out that we are blind, or no longer, it is sooner.
func (r *Runner) waitForNetwork(ctx context.Context, wait time.Duration) {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	case <-r.network.poke:
		_ = pause(ctx, min(wait, networkAgain)) // the end of ctx is seen by the caller
	}
}

// tellBlindness tells the ledger how it stands. Blindness of a moment is told to nobody.
func (r *Runner) tellBlindness() {
	n := r.network
	since, believed := n.believed()
	n.mu.Lock()
	over := !n.blind && n.told
	n.told = believed || n.told && !over
	n.mu.Unlock()
	switch c := Blindness(); {
	case believed:
		r.teller.tell(BlindCheck, news{finding: &makegood.Finding{
			Check: c.Code, Priority: c.Priority, Title: c.Title, Means: c.Means, Since: since,
			Detail: fmt.Sprintf("none of %d targets in the network can be reached", len(n.targets)),
		}})
	case over:
		r.teller.tell(BlindCheck, news{why: "it can see again"})
	}
}

// blindChanged takes back what was suspected: the red looks just before we noticed that we are blind are explained by it.
func (r *Runner) blindChanged(blind bool) {
	now := r.options.Now()
	if !blind {
		r.options.Log.Info("we can see again")
		return
	}
	r.options.Log.Warn("we cannot see: no target in the network answers")
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, w := range r.watched {
		if !w.Local {
			w.machine.Forget(now)
		}
	}
}

// IsBlind reports whether our own network is cut, and since when that is known. It is for the beats that the peer gets.
func (r *Runner) IsBlind() (blind bool, since time.Time) { return r.network.state() }

// Deaf is the last time in which we were blind, and so could not hear from jobs that report by themselves either. It is for
// probe.HeartbeatOptions.
func (r *Runner) Deaf() probe.Deaf {
	n := r.network
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.blind {
		return probe.Deaf{From: n.dark.Add(-networkEvery - networkTimeout), To: n.now()}
	}
	if n.to.IsZero() {
		return probe.Deaf{}
	}
	return probe.Deaf{From: n.from.Add(-networkEvery - networkTimeout), To: n.to}
}
