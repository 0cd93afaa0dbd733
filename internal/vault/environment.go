package vault

import (
	"context"

	"github.com/makegood/makegood/internal/secret"
)

// Environment is the environment of the program itself, or of whoever started it.
type Environment struct {
	Lookup func(string) (string, bool) // os.LookupEnv in production
	Names  []string                    // those that are asked for; an environment has many others
	Prefix string                      // stands before each of them there, such as MAKEGOOD_TRUTH_
}

var _ Source = Environment{}

// Kind returns "environment".
func (e Environment) Kind() string { return "environment" }

// Read looks every name up and takes its value as it is. A variable that is not set is not in the truth; one that is empty is
// there with an empty value, for Judge to name.
func (e Environment) Read(ctx context.Context) (Truth, error) {
	if err := ctx.Err(); err != nil {
		return Truth{}, err
	}
	values := map[string]secret.Value{}
	for _, name := range e.Names {
		s, ok := e.Lookup(e.Prefix + name)
		if !ok {
			continue
		}
		if len(s) > valueBytesMax {
			return Truth{}, refuse(Unspeakable, name, "The variable of %s is longer than %d bytes and can hardly be a secret.", shown(name), valueBytesMax)
		}
		values[name] = secret.New(s)
	}
	return Truth{Values: values}, nil
}
