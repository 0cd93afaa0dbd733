package app_test

import (
	"flag"
	"os"
	"testing"
)

// TestMain lets four tests run at once: the days of an outage are spent waiting for the queue, not working.
func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.parallel", "4"); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}
