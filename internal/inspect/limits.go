package inspect

import "time"

const (
	// againLeast is between two looks at what is suspect. Our own books and our providers do not change faster.
	againLeast = 5 * time.Second
	// lookTimeout is for a look into the books; they answer in milliseconds.
	lookTimeout = 5 * time.Second
	// callTimeout is for one call to a provider, and mailTimeout for the mail service: longer than outbound waits, so that its
	// own words are told, and for a mail server longer than its session (30 s).
	callTimeout = 20 * time.Second
	mailTimeout = 35 * time.Second
	// listTimeout is for a list of events, page by page, and for keeping what is new in it.
	listTimeout = 45 * time.Second

	// shownMax is how many orders or events a trouble names; a person needs one to begin with.
	shownMax = 3

	// silentWeeks is how far back the rhythm of a source is learned, and rhythmMost bounds what is counted of a week, unless
	// the figure is higher: more says nothing new. clocksChange is by how much people's clocks are set twice a
	// year, and nightLeast is less than from the last order of an evening to when they are.
	silentWeeks  = 4
	rhythmMost   = 100
	clocksChange = time.Hour
	nightLeast   = 3 * time.Hour

	// genuineLeast is how many deliveries that look late or early must have come before our clock is doubted: one may be
	// somebody's replay. unprovedLeast is how many that nothing proves are trouble while nothing else comes.
	genuineLeast  = 3
	unprovedLeast = 3

	// paymentsLate and effectsLate are how long a job may be due before its queue is called late (SPEC B7).
	paymentsLate = 60 * time.Second
	effectsLate  = 300 * time.Second

	// deliveryGrace is how long a provider has for a delivery before we look for its event ourselves. With a look a minute
	// the first failure is seen within two minutes.
	deliveryGrace = 45 * time.Second
	// restartMost is how long a restart may take, with a migration, and still be nothing to tell of: less than what customers
	// wait for before an order counts as late.
	restartMost = 2 * time.Minute
	// deliveredGrace is how long an answered delivery may take to be in our books. It is there before the answer.
	deliveredGrace = 2 * time.Minute
	// pullBack is how far back the first look after a start goes: as long as providers repeat by themselves.
	pullBack = 72 * time.Hour
	// pullOverlap is by how much later looks overlap: a provider's list may be behind, and its clock is not ours.
	pullOverlap = 15 * time.Minute
	// pullMost bounds the events that one look takes; the next one goes on.
	pullMost = 500
	// deliveredBack is how far back the newest delivered events are compared with our books.
	deliveredBack = time.Hour

	// skewFresh is how old a measure of our clock may be.
	skewFresh = 15 * time.Minute

	// certificateSoon and certificateNow are how long before its end a certificate is trouble. Who renews by itself does so
	// thirty days before the end of ninety.
	certificateSoon = 14 * 24 * time.Hour
	certificateNow  = 3 * 24 * time.Hour
	// secretSoon is how long before its end a secret is trouble: as long as a provider may repeat what was signed with it.
	secretSoon = 72 * time.Hour

	// diskShare and diskLeast are when a disk counts as nearly full: a tenth of it, or 1 GiB.
	diskShare        = 10
	diskLeast uint64 = 1 << 30
)
