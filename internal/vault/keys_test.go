package vault_test

import (
	"strings"
	"testing"

	"github.com/makegood/makegood/internal/secret"
	"github.com/makegood/makegood/internal/vault"
)

func TestNewKeysBelongTogether(t *testing.T) {
	t.Parallel()
	k, other := newKeys(t), newKeys(t)
	if k.Recipient == other.Recipient || k.VerifyKey == other.VerifyKey {
		t.Error("two draws give the same keys")
	}
	if got := secret.Inspect(k.Identity, secret.AgeIdentity, ""); got != nil {
		t.Errorf("Inspect of a new identity = %v, want nil", got)
	}
	if got := secret.Inspect(k.SigningKey, secret.SigningKey, ""); got != nil {
		t.Errorf("Inspect of a new signing key = %v, want nil", got)
	}
	if got, err := vault.RecipientOf(k.Identity); err != nil || got != k.Recipient {
		t.Errorf("RecipientOf = %q, %v, want %q", got, err, k.Recipient)
	}
	if got, err := vault.VerifyKeyOf(k.SigningKey); err != nil || got != k.VerifyKey {
		t.Errorf("VerifyKeyOf = %q, %v, want %q", got, err, k.VerifyKey)
	}
	if _, err := vault.ParseVerifyKey(k.VerifyKey); err != nil {
		t.Errorf("ParseVerifyKey of a new key = %v, want nil", err)
	}
}

func TestKeysAreRefused(t *testing.T) {
	t.Parallel()
	k := newKeys(t)
	last := k.VerifyKey[len(k.VerifyKey)-1:]
	for _, key := range []string{"", "mgv1_", k.VerifyKey[:47], k.VerifyKey + "A", k.VerifyKey[5:], k.SigningKey.Reveal(), k.VerifyKey + "\n", k.VerifyKey[:47] + "\n",
		strings.TrimSuffix(k.VerifyKey, last) + "_"} { // the last has bits that no key has
		_, err := vault.ParseVerifyKey(key)
		checkRefusal(t, vault.Truth{}, err, vault.Unsigned, "verification key")
	}
	for _, key := range []string{"", k.VerifyKey, k.SigningKey.Reveal() + "\n", k.SigningKey.Reveal()[:47] + "_"} {
		_, err := vault.VerifyKeyOf(secret.New(key))
		checkRefusal(t, vault.Truth{}, err, vault.Unsigned, "signing key")
	}
	_, err := vault.VerifyKeyOf(secret.New(k.VerifyKey))
	checkRefusal(t, vault.Truth{}, err, vault.Unsigned, "is a verification key of Makegood")
	_, err = vault.RecipientOf(secret.New(k.Recipient))
	checkRefusal(t, vault.Truth{}, err, vault.Unreadable, "is an age recipient")
	identity := k.Identity.Reveal()
	swapped := identity[:72] + string(identity[73]) + string(identity[72])
	if swapped == identity {
		swapped = identity[:73] + map[bool]string{true: "P", false: "Q"}[identity[73] == 'Q']
	}
	for _, key := range []string{"", k.Recipient, identity + "\n", swapped} {
		_, err := vault.RecipientOf(secret.New(key))
		checkRefusal(t, vault.Truth{}, err, vault.Unreadable, "age identity")
		if strings.Contains(err.Error(), identity[20:40]) {
			t.Errorf("refusal = %v, want no part of the identity", err)
		}
	}
}
