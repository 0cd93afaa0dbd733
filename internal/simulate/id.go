package simulate

import (
	"fmt"
	"io"
)

// idSymbols are what Stripe's ids are made of. Taking a random byte modulo 62 favours some of them a little, which does
// not matter for an id of twenty symbols.
const idSymbols = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// newID returns prefix followed by n random symbols. A random source that fails is a broken machine: it panics.
func newID(random io.Reader, prefix string, n int) string {
	id := make([]byte, len(prefix)+n)
	copy(id, prefix)
	tail := id[len(prefix):]
	mustRead(random, tail)
	for i, b := range tail {
		tail[i] = idSymbols[int(b)%len(idSymbols)]
	}
	return string(id)
}

// newUUID returns a random (version 4) UUID, the form of Resend's ids.
func newUUID(random io.Reader) string {
	var b [16]byte
	mustRead(random, b[:])
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

func mustRead(random io.Reader, b []byte) {
	if _, err := io.ReadFull(random, b); err != nil {
		panic("simulate: no randomness: " + err.Error())
	}
}
