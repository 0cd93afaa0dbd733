package probe

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"strings"
	"time"
)

// DNSOptions say how to ask for a name.
type DNSOptions struct {
	Name         string
	Type         string // A, AAAA, CNAME, MX, NS or TXT
	Server       string // host:port; "" is the first of the system's that answers
	Conditions   []Condition
	AllowPrivate bool // also ask servers that are not public; the system's always may be asked
	Now          func() time.Time
	resolvConf   string // where the system's name servers stand; a test has its own
}

// DNS asks a name server. It speaks the protocol itself: the resolver of the standard library looks into the hosts file first
// and does not tell a name that is gone from a record that is missing.
type DNS struct {
	options DNSOptions
	name    string
	kind    uint16
}

var _ Prober = (*DNS)(nil)

// NewDNS makes a prober. Without conditions it is well when there is at least one record.
func NewDNS(o DNSOptions) (*DNS, error) {
	kind, ok := dnsTypes()[o.Type]
	if !ok {
		return nil, fmt.Errorf("%q is none of A, AAAA, CNAME, MX, NS, TXT", show(o.Type))
	}
	name := strings.TrimSuffix(o.Name, ".")
	if _, err := dnsQuestion(0, name, kind); err != nil {
		return nil, err
	}
	if o.Server != "" {
		if _, _, err := net.SplitHostPort(o.Server); err != nil {
			return nil, errors.New("the server is not host:port")
		}
	}
	if err := checkAll(KindDNS, o.Conditions); err != nil {
		return nil, err
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.resolvConf == "" {
		o.resolvConf = "/etc/resolv.conf"
	}
	return &DNS{o, name, kind}, nil
}

// Look asks until there is an answer: over UDP a question or its answer may be lost, so it is asked again every second, the
// name servers in turn.
func (d *DNS) Look(ctx context.Context) Sight {
	ctx, cancel, limit := limited(ctx)
	defer cancel()
	s := Sight{At: d.options.Now()}
	servers := d.servers()
	if len(servers) == 0 {
		s.Trouble, s.Unknown = "this machine has no name server", true
		return s
	}
	start := time.Now()
	answer, err := d.ask(ctx, servers)
	s.Took = time.Since(start)
	if err != nil {
		host, _, _ := net.SplitHostPort(servers[0])
		return failed(ctx, s, attempt{host: host, waited: limit}, err, d.options.Conditions)
	}
	f := facts{took: max(s.Took, 1), connected: true, hasConnected: true, rcode: answer.rcode, answers: answer.records}
	s.Trouble = judge(d.options.Conditions, &f, nil)
	if len(d.options.Conditions) == 0 && len(f.answers) == 0 {
		s.Trouble = fmt.Sprintf("the name %s has no record %s (%s)", show(d.name), d.options.Type, f.rcode)
	}
	return s
}

func (d *DNS) servers() []string {
	if d.options.Server != "" {
		return []string{d.options.Server}
	}
	text, err := os.ReadFile(d.options.resolvConf)
	if err != nil {
		return nil
	}
	var all []string
	for line := range strings.Lines(string(text)) {
		if fields := strings.Fields(line); len(fields) > 1 && fields[0] == "nameserver" && len(all) < 3 { // as many as resolv.conf(5) allows
			all = append(all, net.JoinHostPort(fields[1], "53"))
		}
	}
	return all
}

func (d *DNS) ask(ctx context.Context, servers []string) (dnsReply, error) {
	allowPrivate := d.options.AllowPrivate || d.options.Server == ""
	for i := 0; ; i++ {
		server := servers[i%len(servers)]
		answer, err := d.exchange(ctx, "udp", server, allowPrivate, dnsPause)
		if err == nil && answer.cut {
			answer, err = d.exchange(ctx, "tcp", server, allowPrivate, lookMax)
		}
		if err == nil || errors.Is(err, errPrivate) {
			return answer, err
		}
		// Silence is asked again until the look ends; whoever refuses is asked once, so that there is no storm of questions.
		if ctx.Err() != nil || !isTimeout(ctx, err) && i+1 >= len(servers) {
			return dnsReply{}, err
		}
	}
}

// exchange sends one question and waits for its answer, at most patience long.
func (d *DNS) exchange(ctx context.Context, network, server string, allowPrivate bool, patience time.Duration) (dnsReply, error) {
	wait, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	conn, err := dialer(allowPrivate).DialContext(wait, network, server)
	if err != nil {
		return dnsReply{}, err
	}
	defer conn.Close()
	if deadline, ok := wait.Deadline(); ok {
		if err := conn.SetDeadline(deadline); err != nil {
			return dnsReply{}, err
		}
	}
	defer context.AfterFunc(ctx, func() { conn.Close() })() // when the look is called off
	id := uint16(rand.Uint32())
	question, err := dnsQuestion(id, d.name, d.kind)
	if err != nil {
		return dnsReply{}, err
	}
	if network == "tcp" {
		return d.overTCP(conn, question)
	}
	if _, err := conn.Write(question); err != nil {
		return dnsReply{}, err
	}
	buffer := make([]byte, dnsBytesMax)
	for {
		n, err := conn.Read(buffer)
		if err != nil {
			return dnsReply{}, err
		}
		// What does not answer our question is somebody else's, or forged, and waited past.
		if answer, err := readDNS(buffer[:n], question, d.kind); err == nil {
			return answer, nil
		}
	}
}

func (d *DNS) overTCP(conn net.Conn, question []byte) (dnsReply, error) {
	if _, err := conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(question))), question...)); err != nil {
		return dnsReply{}, err
	}
	var size [2]byte
	if _, err := io.ReadFull(conn, size[:]); err != nil {
		return dnsReply{}, err
	}
	message := make([]byte, binary.BigEndian.Uint16(size[:]))
	if _, err := io.ReadFull(conn, message); err != nil {
		return dnsReply{}, err
	}
	return readDNS(message, question, d.kind)
}

// sorted makes answers comparable: name servers turn them around on purpose.
func sorted(records []string) []string {
	slices.Sort(records)
	return slices.Compact(records)
}
