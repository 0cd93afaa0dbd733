package watch

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"strconv"
	"strings"
	"time"
)

// Machine is the clock of the machine that we run on.
type Machine struct {
	began time.Time
	boot  string
}

// Where Linux tells how long it runs, also while it sleeps, and which start of it this is.
const (
	uptimeFile = "/proc/uptime"
	bootFile   = "/proc/sys/kernel/random/boot_id"
)

// NewMachine reads which machine this is. Where it does not tell, the process stands for it: then clocks are compared while
// the program runs, and not over a restart.
func NewMachine() *Machine {
	m := &Machine{began: time.Now()}
	if id, err := os.ReadFile(bootFile); err == nil {
		if _, err := os.ReadFile(uptimeFile); err == nil {
			m.boot = strings.TrimSpace(string(id))
		}
	}
	if m.boot == "" {
		m.boot = "process-" + rand.Text()
	}
	return m
}

// Wall is the time that people set.
func (m *Machine) Wall() time.Time { return time.Now() }

// Machine is how long the machine runs, and which start of it.
func (m *Machine) Machine() (time.Duration, string) {
	if strings.HasPrefix(m.boot, "process-") {
		return time.Since(m.began), m.boot
	}
	text, err := os.ReadFile(uptimeFile)
	seconds, _, _ := strings.Cut(string(text), " ")
	up, parseErr := strconv.ParseFloat(seconds, 64)
	if err != nil || parseErr != nil {
		// It told at the start. Without it there is nothing to compare with; another name of the start says so.
		return time.Since(m.began), "process-" + m.boot
	}
	return time.Duration(up * float64(time.Second)), m.boot
}

// Host is a fingerprint of the machine: two processes with the same one share its fate. Containers of one machine share its
// kernel, and so this.
func (m *Machine) Host() string {
	sum := sha256.Sum256([]byte("makegood host v1\x00" + m.boot))
	return hex.EncodeToString(sum[:8])
}
