package synthetic

import "time"

// BePatient gives a checkout time on a loaded machine, where slowness is no fault.
func (c *Checkout) BePatient() {
	c.tidyWithin, c.endsWithin = time.Minute, time.Minute
	if c.o.Timeout == lookTimeout {
		c.o.Timeout = time.Minute
	}
}
