package probe

import (
	"net"
	"net/http/httptrace"
	"sync"
)

// way remembers how far a look came. The transport may still be connecting when the look has ended, so it is locked.
type way struct {
	mu        sync.Mutex
	connected bool
	ip        string
}

func (w *way) trace() *httptrace.ClientTrace {
	return &httptrace.ClientTrace{ConnectDone: func(_, address string, err error) {
		if err != nil {
			return
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		w.connected = true
		if host, _, err := net.SplitHostPort(address); err == nil {
			w.ip = host
		}
	}}
}

func (w *way) result() (connected bool, ip string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.connected, w.ip
}
