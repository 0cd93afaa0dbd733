package config

import "github.com/makegood/makegood"

// PolicyOf is how patiently a job is repeated: an event as its source says, a step as its effect says.
func (c *Config) PolicyOf(j makegood.Job) makegood.RetryPolicy {
	if j.Kind == makegood.JobInterpret {
		for _, s := range c.Sources {
			if s.Name == j.Source && s.Retry != nil {
				return *s.Retry
			}
		}
		return c.Retry.Events
	}
	if makegood.IsTelling(j.Step) {
		for _, f := range c.Forwards {
			if makegood.TellingStep(f.Name, 1) == makegood.EffectOf(j.Step) {
				return f.Retry
			}
		}
	}
	return c.Retry.Mail
}
