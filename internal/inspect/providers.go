package inspect

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/provider"
)

// able lists a subject for each source that has an ability.
func able[A any](in *inspector, look func(name string, source A) func(context.Context) (string, error), dependsOn ...string) []subject {
	var all []subject
	for _, name := range in.sourceNames() {
		source, ok := in.Sources[name].(A)
		if !ok {
			continue
		}
		var keys []string
		for _, code := range dependsOn {
			if code != DatabaseUnreachable {
				code = makegood.FindingKey(code, name)
			}
			keys = append(keys, code)
		}
		all = append(all, subject{name, look(name, source), keys})
	}
	return all
}

// providers asks each provider whether it answers to our key. One that asks us to slow down is there.
func providers(in *inspector, _ row) []subject {
	return able(in, func(_ string, source provider.Checker) func(context.Context) (string, error) {
		return func(ctx context.Context) (string, error) {
			switch err := source.Check(ctx); {
			case errors.Is(err, makegood.RateLimited):
				return "", err
			case err != nil:
				return said(err), nil
			}
			return "", nil
		}
	})
}

// endpoints compares what is registered with what must be.
func endpoints(in *inspector, _ row) []subject {
	if in.PublicURL == "" {
		return nil
	}
	return able(in, func(name string, source provider.EndpointChecker) func(context.Context) (string, error) {
		var hint sync.Once
		return func(ctx context.Context) (string, error) {
			problems, err := source.CheckEndpoint(ctx, in.PublicURL+"/hooks/"+name)
			if err != nil {
				return "", in.unseen(err, &hint, name, "webhook endpoints")
			}
			return strings.Join(problems, "; "), nil
		}
	}, ProviderUnreachable)
}

// unseen is the error of a provider that was asked and did not tell: that it is away is for provider-unreachable to say. A
// key that may not ask is no trouble, but worth a hint, once.
func (in *inspector) unseen(err error, hint *sync.Once, source, what string) error {
	if errors.Is(err, provider.ErrNotAllowed) {
		hint.Do(func() {
			in.Log.Warn("the key may not read the "+what+", so they are not checked; give it that permission, or switch the check off", "source", source)
		})
		return fmt.Errorf("the key may not read the %s; give it that permission", what)
	}
	return err
}
