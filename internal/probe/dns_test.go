package probe

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// record is one of an answer: its name is a pointer to the question.
type record struct {
	kind uint16
	data []byte
}

func answerTo(question []byte, flags, rcode byte, records ...record) []byte {
	m := append([]byte(nil), question...)
	m[2], m[3] = 0x80|flags, rcode
	binary.BigEndian.PutUint16(m[6:], uint16(len(records)))
	for _, r := range records {
		m = append(m, 0xc0, dnsHeaderBytes)
		m = binary.BigEndian.AppendUint16(m, r.kind)
		m = append(m, 0, 1, 0, 0, 0, 60)
		m = binary.BigEndian.AppendUint16(m, uint16(len(r.data)))
		m = append(m, r.data...)
	}
	return m
}

// samePort listens over UDP and TCP on one port.
func samePort(t *testing.T) (net.PacketConn, net.Listener) {
	t.Helper()
	for range 100 {
		udp, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		tcp, err := net.Listen("tcp", udp.LocalAddr().String())
		if err != nil { // somebody has it for TCP
			udp.Close()
			continue
		}
		t.Cleanup(func() {
			udp.Close()
			tcp.Close()
		})
		return udp, tcp
	}
	t.Fatal("no port is free for both")
	return nil, nil
}

// nameServer answers questions over UDP and TCP on one port of loopback.
func nameServer(t *testing.T, answer func(network string, question []byte) [][]byte) string {
	t.Helper()
	udp, tcp := samePort(t)
	go func() {
		buffer := make([]byte, 1500)
		for {
			n, from, err := udp.ReadFrom(buffer)
			if err != nil {
				return
			}
			for _, m := range answer("udp", buffer[:n]) {
				udp.WriteTo(m, from)
			}
		}
	}()
	go func() {
		for {
			conn, err := tcp.Accept()
			if err != nil {
				return
			}
			size := make([]byte, 2)
			io.ReadFull(conn, size)
			question := make([]byte, binary.BigEndian.Uint16(size))
			io.ReadFull(conn, question)
			for _, m := range answer("tcp", question) {
				conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(m))), m...))
			}
			conn.Close()
		}
	}()
	return udp.LocalAddr().String()
}

func wire(name string) []byte {
	var m []byte
	for label := range strings.SplitSeq(name, ".") {
		m = append(append(m, byte(len(label))), label...)
	}
	return append(m, 0)
}

func TestDNS(t *testing.T) {
	t.Parallel()
	a := func(last byte) record { return record{1, []byte{192, 0, 2, last}} }
	var lost atomic.Bool
	for _, tt := range []struct {
		name, kind string
		texts      []string
		answer     func(network string, q []byte) [][]byte
		want       string
	}{
		{"address", "A", []string{"[DNS_ANSWER] == 192.0.2.1", "[DNS_RCODE] == NOERROR", "[RESPONSE_TIME] < 1m", "[CONNECTED]"}, func(_ string, q []byte) [][]byte {
			return [][]byte{answerTo(q, 0, 0, record{5, wire("other.example")}, a(1))}
		}, ""},
		{"two, turned around", "A", []string{"len([DNS_ANSWER]) == 2", "[DNS_ANSWER] == 9"}, func(_ string, q []byte) [][]byte {
			return [][]byte{answerTo(q, 0, 0, a(2), a(1), a(2))}
		}, "[DNS_ANSWER] == 9 (192.0.2.1, 192.0.2.2)"},
		{"IPv6", "AAAA", []string{"[DNS_ANSWER] == 2001:db8::1"}, func(_ string, q []byte) [][]byte {
			return [][]byte{answerTo(q, 0, 0, record{28, net.ParseIP("2001:db8::1")})}
		}, ""},
		{"mail", "MX", []string{"[DNS_ANSWER] == 10 mail.shop.example"}, func(_ string, q []byte) [][]byte {
			return [][]byte{answerTo(q, 0, 0, record{15, append([]byte{0, 10, 4}, "mail\xc0\x0c"...)})} // compressed
		}, ""},
		{"text", "TXT", []string{`[DNS_ANSWER] == "v=spf1 -all"`}, func(_ string, q []byte) [][]byte {
			return [][]byte{answerTo(q, 0, 0, record{16, append(append([]byte{7}, "v=spf1 "...), "\x04-all"...)})}
		}, ""},
		{"alias", "CNAME", []string{"[DNS_ANSWER] == host.example"}, func(_ string, q []byte) [][]byte {
			return [][]byte{answerTo(q, 0, 0, record{5, wire("HOST.example")})}
		}, ""},
		{"name server", "NS", []string{"[DNS_ANSWER] == ns.example"}, func(_ string, q []byte) [][]byte {
			return [][]byte{answerTo(q, 0, 0, record{2, wire("ns.example")})}
		}, ""},
		{"gone", "A", []string{"[DNS_RCODE] == NOERROR"}, func(_ string, q []byte) [][]byte { return [][]byte{answerTo(q, 0, 3)} }, "[DNS_RCODE] == NOERROR (NXDOMAIN)"},
		{"gone, without conditions", "A", nil, func(_ string, q []byte) [][]byte { return [][]byte{answerTo(q, 0, 3)} }, "the name shop.example has no record A (NXDOMAIN)"},
		{"no such record", "A", []string{"[DNS_ANSWER] == x"}, func(_ string, q []byte) [][]byte { return [][]byte{answerTo(q, 0, 0)} }, "[DNS_ANSWER] == x (no such record)"},
		{"an unknown code", "A", []string{"[DNS_RCODE] == RCODE11"}, func(_ string, q []byte) [][]byte { return [][]byte{answerTo(q, 0, 11)} }, ""},
		{"too long for UDP", "A", []string{"[DNS_ANSWER] == 192.0.2.5"}, func(network string, q []byte) [][]byte {
			if network == "udp" {
				return [][]byte{answerTo(q, 2, 0)}
			}
			return [][]byte{answerTo(q, 0, 0, a(5))}
		}, ""},
		{"forged answers first", "A", []string{"[DNS_ANSWER] == 192.0.2.1"}, func(_ string, q []byte) [][]byte {
			other := append([]byte(nil), q...)
			other[0]++
			elsewhere := append([]byte(nil), q...)
			elsewhere[dnsHeaderBytes+1]++
			return [][]byte{{}, answerTo(other, 0, 0, a(66)), answerTo(elsewhere, 0, 0, a(67)), q, answerTo(q, 0, 0, a(1))}
		}, ""},
		{"the first question is lost", "A", []string{"[DNS_ANSWER] == 192.0.2.1"}, func(_ string, q []byte) [][]byte {
			if lost.CompareAndSwap(false, true) {
				return nil
			}
			return [][]byte{answerTo(q, 0, 0, a(1))}
		}, ""},
		{"silent", "A", nil, func(string, []byte) [][]byte { return nil }, "no answer within"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			d, err := NewDNS(DNSOptions{Name: "shop.example.", Type: tt.kind, Server: nameServer(t, tt.answer), Conditions: conditions(t, KindDNS, tt.texts...), AllowPrivate: true})
			if err != nil {
				t.Fatal(err)
			}
			limit := 20 * time.Second
			if tt.name == "silent" {
				limit = 100 * time.Millisecond
			}
			ctx, cancel := context.WithTimeout(t.Context(), limit)
			defer cancel()
			if s := d.Look(ctx); tt.want == "" && s.Trouble != "" || !strings.HasPrefix(s.Trouble, tt.want) || s.Unknown {
				t.Errorf("the look saw %+v, want %q", s, tt.want)
			}
		})
	}
}

func TestDNSServers(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "resolv.conf")
	text := "# nameserver 1.1.1.1\nsearch x\nnameserver 192.0.2.1\nnameserver 2001:db8::1\nnameserver 192.0.2.3\nnameserver 192.0.2.4\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	d, err := NewDNS(DNSOptions{Name: "a.example", Type: "A", resolvConf: file})
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(d.servers()); got != "[192.0.2.1:53 [2001:db8::1]:53 192.0.2.3:53]" {
		t.Errorf("the name servers are %s", got)
	}
	d.options.resolvConf = file + ".none"
	if s := d.Look(t.Context()); !s.Unknown {
		t.Errorf("without a name server the look saw %+v", s)
	}
	shut, err := NewDNS(DNSOptions{Name: "a.example", Type: "A", Server: closed(t), AllowPrivate: true})
	if err != nil {
		t.Fatal(err)
	}
	if s := shut.Look(t.Context()); s.Trouble != "cannot connect: connection refused" {
		t.Errorf("a name server that refuses was seen as %+v", s)
	}
	private, err := NewDNS(DNSOptions{Name: "a.example", Type: "A", Server: closed(t)})
	if err != nil {
		t.Fatal(err)
	}
	if s := private.Look(t.Context()); !strings.Contains(s.Trouble, "private") {
		t.Errorf("a private name server was seen as %+v", s)
	}
	for _, o := range []DNSOptions{{Name: "a", Type: "SRV"}, {Type: "A"}, {Name: "a..b", Type: "A"}, {Name: "ö.example", Type: "A"}, {Name: strings.Repeat("a", 64), Type: "A"},
		{Name: strings.Repeat("a.", 200), Type: "A"}, {Name: "a", Type: "A", Server: "192.0.2.1"}, {Name: "a", Type: "A", Conditions: conditions(t, KindHTTP, "[STATUS] == 1")}} {
		if _, err := NewDNS(o); err == nil {
			t.Errorf("NewDNS(%+v) was taken", o)
		}
	}
}

// Broken answers are refused, and names that go in circles end.
func TestReadDNSRefuses(t *testing.T) {
	t.Parallel()
	q, err := dnsQuestion(7, "shop.example", 1)
	if err != nil {
		t.Fatal(err)
	}
	whole := answerTo(q, 0, 0, record{1, []byte{192, 0, 2, 1}})
	for n := range len(whole) {
		if r, err := readDNS(whole[:n], q, 1); err == nil {
			t.Errorf("the first %d bytes are read as %+v", n, r)
		}
	}
	for name, m := range map[string][]byte{
		"five bytes of address": answerTo(q, 0, 0, record{1, []byte{1, 2, 3, 4, 5}}),
		"a loop":                append(answerTo(q, 0, 0)[:6], append([]byte{0, 1, 0, 0, 0, 0}, append(q[dnsHeaderBytes:], 0xc0, byte(len(q)))...)...),
	} {
		if r, err := readDNS(m, q, 1); err == nil {
			t.Errorf("%s is read as %+v", name, r)
		}
	}
}

func FuzzReadDNS(f *testing.F) {
	q, err := dnsQuestion(7, "shop.example", 1)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(answerTo(q, 0, 0, record{1, []byte{192, 0, 2, 1}})[len(q):], uint16(1), uint16(1))
	f.Add(answerTo(q, 0, 0, record{15, append([]byte{0, 10, 4}, "mail\xc0\x0c"...)})[len(q):], uint16(15), uint16(1))
	f.Add(answerTo(q, 0, 0, record{16, []byte("\x03abc")})[len(q):], uint16(16), uint16(2))
	f.Fuzz(func(t *testing.T, rest []byte, kind, n uint16) {
		q, err := dnsQuestion(7, "shop.example", kind)
		if err != nil {
			t.Fatal(err)
		}
		m := append(answerTo(q, 0, 0), rest...)
		binary.BigEndian.PutUint16(m[6:], n)
		r, err := readDNS(m, q, kind)
		if err == nil && len(r.records) > dnsRecordsMax {
			t.Fatalf("%d records", len(r.records))
		}
	})
}
