package probe

import "time"

const (
	conditionBytesMax = 1000 // of the text of one condition; people write a tenth of it
	anyMax            = 50   // values in one any(...)
	shownRunesMax     = 100  // of a value that was seen, in the text of a trouble: it has to fit a lock screen
	troubleRunesMax   = 600  // of a whole trouble
	troublesMax       = 5    // failed conditions that are shown; how many more there are is said

	// BodyBytesMax is how much of an answer is read. A health page has a kilobyte, a landing page a hundred; what is longer
	// is cut, and a condition on its JSON fails and says so.
	BodyBytesMax = 1 << 20

	lookMax      = time.Minute // of a look whose context has no end
	redirectsMax = 10          // as browsers have about 20, and curl 50

	dnsBytesMax   = 65535 // of one answer of a name server, over TCP; RFC 1035 section 4.2.2
	dnsRecordsMax = 1000  // read of one answer
	dnsPause      = time.Second
)
