package probe

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// The message of RFC 1035, section 4: a header of twelve bytes, questions, and records. We write one question and read the
// records of one type.

const (
	dnsHeaderBytes = 12
	dnsClassIN     = 1
	dnsPointersMax = 64 // jumps in one name; a compressed name of 255 bytes needs fewer
)

var errDNS = errors.New("the answer of the name server cannot be understood")

// dnsTypes are the numbers of the record types, RFC 1035 section 3.2.2 and RFC 3596.
func dnsTypes() map[string]uint16 {
	return map[string]uint16{"A": 1, "NS": 2, "CNAME": 5, "MX": 15, "TXT": 16, "AAAA": 28}
}

// dnsReply is what a name server said.
type dnsReply struct {
	rcode   string
	records []string // of the type that was asked for, sorted
	cut     bool     // it did not fit: ask over TCP
}

// rcodeName names a response code: RFC 1035 section 4.1.1 and RFC 2136.
func rcodeName(code byte) string {
	names := [...]string{"NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED"}
	if int(code) < len(names) {
		return names[code]
	}
	return "RCODE" + strconv.Itoa(int(code))
}

// dnsQuestion writes a question for a name, with the wish that the server ask others.
func dnsQuestion(id uint16, name string, kind uint16) ([]byte, error) {
	if name == "" || len(name) > 253 {
		return nil, errors.New("the name is empty or longer than 253 letters")
	}
	m := binary.BigEndian.AppendUint16(nil, id)
	m = append(m, 1 /* recursion desired */, 0, 0, 1 /* one question */, 0, 0, 0, 0, 0, 0)
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > 63 {
			return nil, errors.New("each part of the name has 1 to 63 letters")
		}
		for _, r := range label {
			if r <= ' ' || r >= 0x7f {
				return nil, errors.New("the name has a letter that is not ASCII; write it in its xn-- form")
			}
		}
		m = append(append(m, byte(len(label))), label...)
	}
	m = append(m, 0)
	return binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(m, kind), dnsClassIN), nil
}

// readDNS reads an answer to a question. An error is that it is no answer to it, or broken.
func readDNS(m, question []byte, kind uint16) (dnsReply, error) {
	if len(m) < len(question) || m[0] != question[0] || m[1] != question[1] || m[2]&0x80 == 0 {
		return dnsReply{}, errDNS
	}
	if !strings.EqualFold(string(m[dnsHeaderBytes:len(question)]), string(question[dnsHeaderBytes:])) || binary.BigEndian.Uint16(m[4:]) != 1 {
		return dnsReply{}, errDNS
	}
	reply := dnsReply{rcode: rcodeName(m[3] & 0x0f), cut: m[2]&0x02 != 0}
	if reply.cut {
		return reply, nil // the records are incomplete; the caller asks over TCP
	}
	at := len(question)
	for range min(int(binary.BigEndian.Uint16(m[6:])), dnsRecordsMax) {
		_, next, err := dnsName(m, at)
		if err != nil || len(m) < next+10 {
			return dnsReply{}, errDNS
		}
		recordKind, size := binary.BigEndian.Uint16(m[next:]), int(binary.BigEndian.Uint16(m[next+8:]))
		data := next + 10
		if at = data + size; len(m) < at {
			return dnsReply{}, errDNS
		}
		if recordKind != kind {
			continue // the names on the way to the answer
		}
		text, err := dnsRecord(m, data, size, kind)
		if err != nil {
			return dnsReply{}, err
		}
		reply.records = append(reply.records, text)
	}
	reply.records = sorted(reply.records)
	return reply, nil
}

// dnsRecord writes the data of a record as people do: an address, a name without the last point, a preference and a name, a text.
func dnsRecord(m []byte, at, size int, kind uint16) (string, error) {
	types := dnsTypes()
	switch kind {
	case types["A"], types["AAAA"]:
		addr, ok := netip.AddrFromSlice(m[at : at+size])
		if !ok {
			return "", errDNS
		}
		return addr.String(), nil
	case types["MX"]:
		if size < 3 {
			return "", errDNS
		}
		name, _, err := dnsName(m, at+2)
		return fmt.Sprintf("%d %s", binary.BigEndian.Uint16(m[at:]), name), err
	case types["TXT"]:
		var text strings.Builder
		for end := at + size; at < end; {
			n := int(m[at])
			if at+1+n > end {
				return "", errDNS
			}
			text.Write(m[at+1 : at+1+n])
			at += 1 + n
		}
		return text.String(), nil
	}
	name, _, err := dnsName(m, at)
	return name, err
}

// dnsName reads a name, which may continue elsewhere in the message, and returns where what follows it begins.
func dnsName(m []byte, at int) (name string, next int, err error) {
	var labels []string
	length := 0
	for jumps := 0; ; {
		if at >= len(m) {
			return "", 0, errDNS
		}
		n := int(m[at])
		switch {
		case n == 0:
			if next == 0 {
				next = at + 1
			}
			return strings.ToLower(strings.Join(labels, ".")), next, nil
		case n&0xc0 == 0xc0:
			if jumps++; jumps > dnsPointersMax || at+1 >= len(m) {
				return "", 0, errDNS
			}
			if next == 0 {
				next = at + 2
			}
			at = (n&0x3f)<<8 | int(m[at+1])
		case n&0xc0 != 0 || at+1+n > len(m) || length+n > 255:
			return "", 0, errDNS
		default:
			labels = append(labels, string(m[at+1:at+1+n]))
			length += n + 1
			at += 1 + n
		}
	}
}
