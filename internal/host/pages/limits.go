package pages

import "time"

// The limits of what is asked of Cloudflare.
const (
	// perPage is the most deployments that Cloudflare lists in one answer.
	perPage = 25
	// listPagesMax is how many such pages are read to find a deployment: a hundred deployments are weeks of work.
	listPagesMax = 4
	// settingsMax is how many variables are written at once.
	settingsMax = 256
	// busyMax is how old a deployment may be that is still called under way. Cloudflare ends a build after 20 minutes; one that hangs in the
	// list for ever must not keep us from mending.
	busyMax = time.Hour
	// clockTolerance is how far Cloudflare's clock may be from ours.
	clockTolerance = time.Minute
	// waitUsual is how long we leave Cloudflare alone when it asks for it without saying how long; its window is five minutes.
	waitUsual = time.Minute
	// chainMax bounds the nesting of an error.
	chainMax = 5
	// namesMax is how many names a sentence lists.
	namesMax = 10
)
