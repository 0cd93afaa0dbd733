package makegood

import (
	"encoding/binary"
	"io"
	"time"
)

// idAlphabet has 32 symbols in ascending byte order, lower case and digits only, so that every collation of every
// database sorts ids the same way. The letters i, l, o and u are left out because people read ids aloud.
const idAlphabet = "0123456789abcdefghjkmnpqrstvwxyz"

// The kinds of id. The prefix makes an id recognisable in a log line or a support mail.
const (
	EventPrefix      = "evt"
	OrderPrefix      = "ord"
	LicensePrefix    = "lic"
	DeadLetterPrefix = "dlq"
	EmailPrefix      = "eml"
	EntryPrefix      = "aud"
	IncidentPrefix   = "inc"
	NoticePrefix     = "ntc"
	MessagePrefix    = "msg" // several notices told together
	SilencePrefix    = "sil"
	AttemptPrefix    = "att" // at mending a place
	DrillPrefix      = "drl"
)

// NewID returns prefix followed by 20 symbols: 50 bits of milliseconds since 1970 (good for 35,000 years), then 50 bits
// from random. Ids made later sort later, to the millisecond. A random source that fails is a broken machine: it panics.
func NewID(prefix string, now time.Time, random io.Reader) string {
	var bits [8]byte
	if _, err := io.ReadFull(random, bits[:]); err != nil {
		panic("makegood: no randomness: " + err.Error())
	}
	id := make([]byte, len(prefix)+20)
	copy(id, prefix)
	put50(id[len(prefix):], uint64(now.UnixMilli()))
	put50(id[len(prefix)+10:], binary.BigEndian.Uint64(bits[:]))
	return string(id)
}

// FirstID returns the least id that could have been made at a time: what was made later sorts after it.
func FirstID(prefix string, at time.Time) string {
	id := make([]byte, len(prefix)+20)
	copy(id, prefix)
	put50(id[len(prefix):], uint64(max(0, at.UnixMilli())))
	put50(id[len(prefix)+10:], 0)
	return string(id)
}

// put50 writes the low 50 bits of v as ten symbols, most significant first.
func put50(dst []byte, v uint64) {
	for i := 9; i >= 0; i-- {
		dst[i] = idAlphabet[v&31]
		v >>= 5
	}
}
