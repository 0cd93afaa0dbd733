// Package bench measures the house against SPEC's table of numbers. Every figure that depends on the machine is given as
// a ratio to a bare net/http handler, measured in the same run under the same load. See docs/benchmarks.md.
package bench

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"
)

// Answer is one request that was answered.
type Answer struct {
	Status int
	Took   time.Duration // from when it was due (open loop) or sent (closed loop)
}

// line is one connection of the load generator. It writes prepared bytes and reads no more of an answer than it must, so
// that little of the machine goes to the generator.
type line struct {
	conn net.Conn
	in   *bufio.Reader
}

func dial(address string) (*line, error) {
	c, err := net.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	return &line{c, bufio.NewReaderSize(c, 4096)}, nil
}

// ask sends a whole request and returns the status of its answer.
func (l *line) ask(request []byte) (int, error) {
	if _, err := l.conn.Write(request); err != nil {
		return 0, err
	}
	first, err := l.in.ReadSlice('\n')
	if err != nil {
		return 0, err
	}
	if len(first) < 12 {
		return 0, fmt.Errorf("not an answer: %q", first)
	}
	status, err := strconv.Atoi(string(first[9:12]))
	if err != nil {
		return 0, err
	}
	length := 0
	for {
		header, err := l.in.ReadSlice('\n')
		if err != nil {
			return 0, err
		}
		if len(header) <= 2 {
			break
		}
		if name, value, ok := bytes.Cut(header, []byte(":")); ok && bytes.EqualFold(name, []byte("Content-Length")) {
			if length, err = strconv.Atoi(string(bytes.TrimSpace(value))); err != nil {
				return 0, err
			}
		}
	}
	_, err = l.in.Discard(length)
	return status, err
}

// Request writes one POST as bytes.
func Request(path, host string, header http.Header, body []byte) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "POST %s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n", path, host, len(body))
	_ = header.Write(&b) // a buffer takes everything
	b.WriteString("\r\n")
	b.Write(body)
	return b.Bytes()
}

// ClosedLoop sends all requests over so many connections, each connection the next as soon as it has an answer, and
// returns the answers and how long all of it took.
func ClosedLoop(address string, connections int, requests [][]byte) ([]Answer, time.Duration, error) {
	lines := make([]*line, connections)
	for i := range lines {
		var err error
		if lines[i], err = dial(address); err != nil {
			return nil, 0, err
		}
		defer lines[i].conn.Close()
	}
	answers := make([]Answer, len(requests))
	errs := make([]error, connections)
	began := time.Now()
	var all sync.WaitGroup
	for c, l := range lines {
		all.Go(func() {
			for i := c; i < len(requests); i += connections {
				sent := time.Now()
				status, err := l.ask(requests[i])
				if err != nil {
					errs[c] = err
					return
				}
				answers[i] = Answer{status, time.Since(sent)}
			}
		})
	}
	all.Wait()
	took := time.Since(began)
	for _, err := range errs {
		if err != nil && err != io.EOF {
			return nil, 0, err
		}
	}
	return answers, took, nil
}

// OpenLoop sends the requests at a fixed rate, whether or not earlier ones are answered, and counts each one's time from
// when it was due: a server that stalls is charged for everybody who waited. sent is told of each request and its time.
func OpenLoop(address string, connections, perSecond int, requests [][]byte, sent func(i int, due time.Time)) ([]Answer, error) {
	free := make(chan *line, connections)
	for range connections {
		l, err := dial(address)
		if err != nil {
			return nil, err
		}
		defer l.conn.Close()
		free <- l
	}
	answers := make([]Answer, len(requests))
	errs := make(chan error, len(requests))
	var all sync.WaitGroup
	began := time.Now()
	for i, request := range requests {
		due := began.Add(time.Duration(i) * time.Second / time.Duration(perSecond))
		// The clock that wakes the generator is late by up to a millisecond, which is not the server's fault. Being late
		// because the server is slow is: then there is no sleep, and the time runs from when the request was due.
		if wait := time.Until(due); wait > 0 {
			time.Sleep(wait)
			due = time.Now()
		}
		sent(i, due)
		l := <-free
		all.Go(func() {
			status, err := l.ask(request)
			if err != nil {
				errs <- err
				return
			}
			answers[i] = Answer{status, time.Since(due)}
			free <- l
		})
	}
	all.Wait()
	select {
	case err := <-errs:
		return nil, err
	default:
		return answers, nil
	}
}

// Percentile returns the p-th percentile (0 to 100) of durations, which it sorts.
func Percentile(all []time.Duration, p float64) time.Duration {
	if len(all) == 0 {
		return 0
	}
	slices.Sort(all)
	return all[min(len(all)-1, int(float64(len(all))*p/100))]
}

// Times returns how long the answers took.
func Times(answers []Answer) []time.Duration {
	all := make([]time.Duration, len(answers))
	for i, a := range answers {
		all[i] = a.Took
	}
	return all
}
