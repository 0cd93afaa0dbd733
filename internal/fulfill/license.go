package fulfill

import (
	"errors"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/secret"
)

// KeyMaker derives licence keys. The first secret makes new keys; the others are kept so that their names stay known. An
// issued key never changes: it is read from its row, and derived only when there is no row.
type KeyMaker struct {
	id     string
	secret []byte
}

// NewKeyMaker makes new keys with the given secret, which must not be empty. id is kept beside every key made with it.
func NewKeyMaker(id string, s secret.Value) (KeyMaker, error) {
	if id == "" || s.Empty() {
		return KeyMaker{}, errors.New("the licence key secret and its id must not be empty")
	}
	return KeyMaker{id, []byte(s.Reveal())}, nil
}

// Derive returns the key of a slot and the id of the secret.
func (k KeyMaker) Derive(prefix string, slot makegood.KeySlot) (key, keyID string) {
	return makegood.DeriveKey(k.secret, prefix, slot), k.id
}
