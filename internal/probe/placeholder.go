package probe

import (
	"fmt"
	"slices"
	"strings"
)

// Names of the placeholders.
const (
	status       = "STATUS"
	responseTime = "RESPONSE_TIME"
	body         = "BODY"
	header       = "HEADER"
	certificate  = "CERTIFICATE_EXPIRATION"
	connected    = "CONNECTED"
	ip           = "IP"
	dnsAnswer    = "DNS_ANSWER"
	dnsRcode     = "DNS_RCODE"
	diskFree     = "DISK_FREE"
	diskFreeByte = "DISK_FREE_BYTES"
	age          = "AGE"
)

// sort says with what a placeholder may be compared.
type sort string

const (
	ofText     sort = "a text"
	ofNumber   sort = "a number, such as 200"
	ofDuration sort = "a duration with a unit, such as 300ms or 48h"
	ofTruth    sort = "true or false"
	ofAnything sort = "a text, a number or a duration"
)

// placeholder is a row of the table of what a look can see.
type placeholder struct {
	name  string
	sort  sort
	kinds []Kind
	path  bool // something may or must stand behind it: [BODY].status, [HEADER].Location
	means string
}

// placeholders is the whole vocabulary. The names are those of Gatus where it has them, so that its users need not learn.
func placeholders() []placeholder {
	return []placeholder{
		{status, ofNumber, []Kind{KindHTTP}, false, "status of the HTTP answer"},
		{responseTime, ofDuration, []Kind{KindHTTP, KindTCP, KindDNS}, false, "time until the whole answer was there"},
		{body, ofAnything, []Kind{KindHTTP}, true, "body of the answer, or a part of its JSON: [BODY].items[0].name"},
		{header, ofAnything, []Kind{KindHTTP}, true, "header of the answer: [HEADER].Content-Type"},
		{certificate, ofDuration, []Kind{KindHTTP, KindTCP}, false, "time until the first certificate of the chain expires"},
		{connected, ofTruth, []Kind{KindHTTP, KindTCP, KindDNS}, false, "whether a connection stood"},
		{ip, ofText, []Kind{KindHTTP, KindTCP}, false, "address that was connected to"},
		{dnsAnswer, ofText, []Kind{KindDNS}, false, "records that the name server answered"},
		{dnsRcode, ofText, []Kind{KindDNS}, false, "response code, such as NOERROR or NXDOMAIN"},
		{diskFree, ofNumber, []Kind{KindDisk}, false, "room on the disk in percent"},
		{diskFreeByte, ofNumber, []Kind{KindDisk}, false, "room on the disk in bytes"},
		{age, ofDuration, []Kind{KindHeartbeat}, false, "time since the job last succeeded"},
	}
}

func placeholderNamed(name string) (placeholder, bool) {
	all := placeholders()
	i := slices.IndexFunc(all, func(p placeholder) bool { return p.name == name })
	if i < 0 {
		return placeholder{}, false
	}
	return all[i], true
}

// Placeholders lists what a condition on a kind of thing may use, as written, such as "[STATUS]".
func Placeholders(k Kind) []string {
	var names []string
	for _, p := range placeholders() {
		if slices.Contains(p.kinds, k) {
			names = append(names, "["+p.name+"]")
		}
	}
	return names
}

// unknownPlaceholder says what there is, and what was probably meant.
func unknownPlaceholder(name string) error {
	var all []string
	nearest, least := "", len(name)/2+1 // what differs in more than half is another word
	for _, p := range placeholders() {
		all = append(all, "["+p.name+"]")
		if d := distance(strings.ToUpper(name), p.name); d < least {
			nearest, least = p.name, d
		}
	}
	if nearest != "" {
		return fmt.Errorf("[%s] is unknown; did you mean [%s]?", show(name), nearest)
	}
	return fmt.Errorf("[%s] is unknown; there are %s", show(name), strings.Join(all, ", "))
}

// distance is the number of letters to change, add or leave out (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j+1]+1, row[j]+1)
		}
	}
	return row[len(b)]
}
