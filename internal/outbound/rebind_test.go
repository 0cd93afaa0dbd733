package outbound_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/http/httptrace"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/makegood/makegood/internal/outbound"
)

// nameServer answers every question for an address with the one that is set. It is what an attacker runs who owns a name.
type nameServer struct {
	mu    sync.Mutex
	to    netip.Addr
	asked int
}

// point changes where the name leads.
func (n *nameServer) point(address string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.to, n.asked = netip.MustParseAddr(address), 0
}

// answers is how often the server was asked since it was pointed.
func (n *nameServer) answers() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.asked
}

// resolver asks the server and nobody else.
func (n *nameServer) resolver() *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		ours, theirs := net.Pipe()
		go n.serve(theirs)
		return ours, nil
	}}
}

// serve speaks DNS as over TCP (RFC 1035, 4.2.2), which is what the resolver speaks to a connection without packets.
func (n *nameServer) serve(conn net.Conn) {
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	head := make([]byte, 2)
	for {
		if _, err := readFull(conn, head); err != nil {
			return
		}
		question := make([]byte, binary.BigEndian.Uint16(head))
		if _, err := readFull(conn, question); err != nil {
			return
		}
		answer := n.answer(question)
		conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(answer))), answer...))
	}
}

func readFull(conn net.Conn, b []byte) (int, error) {
	for n := 0; n < len(b); {
		more, err := conn.Read(b[n:])
		if n += more; err != nil {
			return n, err
		}
	}
	return len(b), nil
}

// answer gives the address for a question of its family, and an empty answer for one of the other.
func (n *nameServer) answer(question []byte) []byte {
	end := 12 // of the name, then its type and class
	for question[end] != 0 {
		end += int(question[end]) + 1
	}
	kind := binary.BigEndian.Uint16(question[end+1:])
	end += 5
	n.mu.Lock()
	defer n.mu.Unlock()
	const a, aaaa = 1, 28
	isOurs := kind == a && n.to.Is4() || kind == aaaa && !n.to.Is4()
	reply := append([]byte{question[0], question[1], 0x81, 0x80, 0, 1, 0, 0, 0, 0, 0, 0}, question[12:end]...)
	if !isOurs {
		return reply
	}
	n.asked++
	reply[7] = 1
	record := n.to.AsSlice()
	reply = append(reply, 0xc0, 12, byte(kind>>8), byte(kind), 0, 1, 0, 0, 0, 0, 0, byte(len(record)))
	return append(reply, record...)
}

// A name that is public when somebody looks and private when it is connected to: what counts is the address that is
// connected to, so there is nothing to look at before and nothing to slip past.
func TestDoRefusesRebinding(t *testing.T) {
	t.Parallel()
	var accepted atomic.Int32
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			accepted.Add(1)
			conn.Close()
		}
	}()
	port := listener.Addr().(*net.TCPAddr).Port
	for _, private := range []string{
		"127.0.0.1", "127.8.8.8", "0.0.0.0", "10.0.0.1", "169.254.169.254", "100.100.100.200", "192.168.1.1",
		"::1", "fd00:ec2::254", "fe80::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::",
	} {
		t.Run(private, func(t *testing.T) {
			names := &nameServer{}
			names.point("93.184.216.34")
			resolver := names.resolver()
			looked, err := resolver.LookupNetIP(t.Context(), "ip", "rebind.example.")
			if err != nil || len(looked) != 1 || !outbound.IsPublic(looked[0].Unmap()) {
				t.Fatalf("the look before = %v, %v, want the public address", looked, err)
			}
			names.point(private)
			c := outbound.New(outbound.Options{Timeout: 5 * time.Second})
			c.Resolve(resolver)
			dials := &dials{}
			_, err = c.Do(dials.watch(t.Context()), get(t, fmt.Sprintf("http://rebind.example.:%d/", port)))
			if !errors.Is(err, outbound.ErrRefusedAddress) || outbound.MaybeSent(err) {
				t.Errorf("Do to a name that became %s = %v, want %v and nothing sent", private, err, outbound.ErrRefusedAddress)
			}
			if dials.tried.Load() == 0 || dials.connected.Load() != 0 || names.answers() == 0 {
				t.Errorf("%d dials, %d of them connected, %d answers of the name server; want the address refused when it was dialled",
					dials.tried.Load(), dials.connected.Load(), names.answers())
			}
		})
	}
	if got := accepted.Load(); got != 0 {
		t.Errorf("%d connections were accepted, want none", got)
	}
	// The list would pass if names were never resolved: with the right to private networks the same name leads there.
	names := &nameServer{}
	names.point("127.0.0.1")
	c := outbound.New(outbound.Options{AllowPrivate: true, Timeout: 5 * time.Second})
	c.Resolve(names.resolver())
	if _, err := c.Do(t.Context(), get(t, fmt.Sprintf("http://rebind.example.:%d/", port))); err == nil || accepted.Load() == 0 {
		t.Errorf("Do with AllowPrivate = %v, %d connections accepted, want one that is hung up", err, accepted.Load())
	}
}

// dials counts what the dialer does.
type dials struct{ tried, connected atomic.Int32 }

func (d *dials) watch(ctx context.Context) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		ConnectStart: func(string, string) { d.tried.Add(1) },
		ConnectDone: func(_, _ string, err error) {
			if err == nil {
				d.connected.Add(1)
			}
		},
	})
}
