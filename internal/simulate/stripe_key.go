package simulate

import (
	"crypto/sha256"
	"net/http"
	"net/url"
	"time"
)

// keyStore remembers what was answered under each Idempotency-Key for 24 hours. The zero value is empty and ready.
type keyStore struct {
	entries map[string]*keyEntry
	oldest  []*keyEntry // in the order of their making
}

type keyEntry struct {
	key    string
	print  [32]byte
	made   time.Time
	isDone bool
	answer answer
}

// keyState is what a store knows about a key when a request arrives with it.
type keyState int

const (
	keyIsNew   keyState = iota // act, then finish or release
	keyIsDone                  // replay the answer
	keyIsBusy                  // the first request is still in flight
	keyIsOther                 // known, but with another request body
)

// begin claims a key for a request. Keys older than 24 hours are forgotten first, so that one of them is new again.
func (k *keyStore) begin(key string, print [32]byte, now time.Time) (answer, keyState) {
	k.prune(now)
	entry, ok := k.entries[key]
	switch {
	case !ok:
		k.claim(&keyEntry{key: key, print: print, made: now})
		return answer{}, keyIsNew
	case entry.print != print:
		return answer{}, keyIsOther
	case !entry.isDone:
		return answer{}, keyIsBusy
	default:
		return entry.answer, keyIsDone
	}
}

func (k *keyStore) claim(entry *keyEntry) {
	if k.entries == nil {
		k.entries = map[string]*keyEntry{}
	}
	k.entries[entry.key] = entry
	k.oldest = append(k.oldest, entry)
}

// finish remembers the answer of a claimed key. A key that was pruned meanwhile stays forgotten.
func (k *keyStore) finish(key string, a answer) {
	if entry, ok := k.entries[key]; ok {
		entry.isDone, entry.answer = true, a
	}
}

// release gives a claimed key back, as if it had never been used.
func (k *keyStore) release(key string) { delete(k.entries, key) }

func (k *keyStore) prune(now time.Time) {
	for len(k.oldest) > 0 && now.Sub(k.oldest[0].made) >= keyLifetime {
		entry := k.oldest[0]
		k.oldest[0] = nil
		k.oldest = k.oldest[1:]
		if k.entries[entry.key] == entry { // else it was released, and perhaps claimed anew
			delete(k.entries, entry.key)
		}
	}
}

// fingerprint tells requests apart. Parameters in another order are the same request.
func fingerprint(method, path, encoded string) [32]byte {
	if values, err := url.ParseQuery(encoded); err == nil {
		encoded = values.Encode()
	}
	return sha256.Sum256([]byte(method + " " + path + "\n" + encoded))
}

func keyConflict(key string, state keyState) *apiError {
	if state == keyIsBusy {
		return &apiError{status: http.StatusConflict, Type: "idempotency_error", Code: "idempotency_key_in_use",
			Message: "There is currently another in-progress request using this Idempotent Key (that probably means you submitted twice, " +
				"and the other request is still going through): " + key + ". Please try again later."}
	}
	return &apiError{status: http.StatusBadRequest, Type: "idempotency_error",
		Message: "Keys for idempotent requests can only be used with the same parameters they were first used with. " +
			"Try using a key other than '" + key + "' if you meant to execute a different request."}
}
