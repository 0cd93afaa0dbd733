package config_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"

	"github.com/makegood/makegood/internal/config"
)

// printings are the ways in which a configuration could get into a log by accident.
func printings(c *config.Config) []string {
	var b bytes.Buffer
	slog.New(slog.NewTextHandler(&b, nil)).Info("x", "config", c)
	slog.New(slog.NewJSONHandler(&b, nil)).Info("x", "config", *c)
	j, _ := json.Marshal(map[string]any{"config": c})
	return []string{b.String(), string(j), fmt.Sprint(c), fmt.Sprintf("%v %+v", c, *c), fmt.Sprintf("%#v", c), fmt.Sprintf("%s", []any{c})}
}
