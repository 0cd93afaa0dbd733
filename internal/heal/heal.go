// Package heal mends what it knows how to mend, within limits, and leaves a record of everything that it did and refused to do.
package heal
