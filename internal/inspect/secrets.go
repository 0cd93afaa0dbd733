package inspect

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/config"
)

// Secret is one secret as far as it may be told of.
type Secret struct {
	Path        string // in the configuration: sources[0].api_key
	Source      string // that deliveries signed with it come from; "" when it signs none
	Fingerprint string // "" for what could be guessed against it
	NotAfter    time.Time
	Trouble     string // why it cannot be used: "is empty"; "" is good. It never has a value in it
}

// SecretsOf lists the secrets of a configuration.
func SecretsOf(c *config.Config) []Secret {
	var all []Secret
	for _, s := range config.Secrets(c) {
		one := Secret{Path: s.Path, Fingerprint: s.Fingerprint, NotAfter: s.NotAfter}
		for i, source := range c.Sources {
			place := fmt.Sprintf("sources[%d].", i)
			if rest, ok := strings.CutPrefix(s.Path, place); ok && (strings.HasPrefix(rest, "webhook_secrets") || strings.HasPrefix(rest, "retiring_secrets")) {
				one.Source = source.Name
			}
		}
		all = append(all, one)
	}
	return all
}

// ReadSecrets makes an Options.Secrets that reads the configuration anew each time, so that a secret that was lost is found
// before the next start needs it. What else is wrong with the configuration is not its matter: then nothing is said.
func ReadSecrets(load func() (*config.Config, error)) func() ([]Secret, error) {
	return func() ([]Secret, error) {
		c, err := load()
		if err == nil {
			return SecretsOf(c), nil
		}
		var problems config.Problems
		if !errors.As(err, &problems) {
			return nil, err
		}
		var broken []Secret
		for _, p := range problems {
			if p.Class != "" {
				broken = append(broken, Secret{Path: p.Path, Trouble: p.Sentence})
			}
		}
		if len(broken) == 0 {
			return nil, errors.New("the configuration has problems, so the secrets cannot be read: makegood config check")
		}
		return broken, nil
	}
}

func secretsMissing(in *inspector, _ row) []subject {
	if in.Secrets == nil {
		return nil
	}
	return one(func(context.Context) (string, error) {
		secrets, err := in.Secrets()
		var troubles []string
		for _, s := range secrets {
			if s.Trouble != "" {
				troubles = append(troubles, s.Path+" "+withoutEnd(s.Trouble))
			}
		}
		return strings.Join(troubles, "; "), err
	})
}

// secretExpiry looks for secrets that end within days, or have ended, while nothing else can take their place: there is no
// other, or the provider still signs with the one that ends.
func secretExpiry(in *inspector, _ row) []subject {
	if in.Secrets == nil {
		return nil
	}
	return one(func(ctx context.Context) (string, error) {
		secrets, err := in.Secrets()
		if err != nil {
			return "", err
		}
		var troubles []string
		for _, s := range secrets {
			left := s.NotAfter.Sub(in.Now())
			if s.NotAfter.IsZero() || left > secretSoon {
				continue
			}
			ends := "ends in " + age(left)
			if left <= 0 {
				ends = "ended " + age(-left) + " ago"
			}
			inUse, err := in.inUse(ctx, s)
			switch {
			case err != nil:
				return "", err
			case !hasSuccessor(secrets, s):
				troubles = append(troubles, fmt.Sprintf("%s %s, and there is no other", s.Path, ends))
			case inUse:
				troubles = append(troubles, fmt.Sprintf("%s %s, and the last delivery of %s was signed with it", s.Path, ends, s.Source))
			}
		}
		return strings.Join(troubles, "; "), nil
	}, DatabaseUnreachable)
}

// inUse reports whether the last delivery of the source was proved by the secret.
func (in *inspector) inUse(ctx context.Context, s Secret) (bool, error) {
	if s.Source == "" || s.Fingerprint == "" {
		return false, nil
	}
	_, by, err := in.Store.LastDelivery(ctx, s.Source)
	if errors.Is(err, makegood.NotFound) {
		return false, nil
	}
	return by == s.Fingerprint, err
}

// hasSuccessor reports whether a secret without an end stands in the same place: of the same source, or the same forward.
func hasSuccessor(all []Secret, s Secret) bool {
	place, _, _ := strings.Cut(s.Path, ".")
	for _, other := range all {
		rest, ok := strings.CutPrefix(other.Path, place+".")
		if ok && other.NotAfter.IsZero() && (strings.HasPrefix(rest, "webhook_secrets[") || strings.HasPrefix(rest, "secrets[")) {
			return true
		}
	}
	return false
}
