package probe

import (
	"strings"
	"testing"
	"time"
	"unicode"
)

func page(text string) *facts {
	return &facts{
		status: 503, took: 412 * time.Millisecond, connected: true, hasConnected: true, ip: "192.0.2.7",
		expires: 36 * time.Hour, hasExpires: true, body: &document{raw: []byte(text)},
		header: map[string][]string{"Content-Type": {"text/html; charset=utf-8"}, "Location": {"https://x.example/?token=abc"}, "Set-Cookie": {"s=1"}},
	}
}

const health = `{"status":"degraded","code":7,"id":9007199254740993,"ok":true,"none":null,"items":[{"name":"a b"},{"name":"c"}],
 "empty":[],"n":"12","a b":{"x.y":1},"text":"öß"}`

func TestConditions(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		text   string
		holds  bool
		actual string
	}{
		{"[STATUS] == 200", false, "503"},
		{"[STATUS] == 503", true, "503"},
		{"[STATUS]==503", true, "503"},
		{"[STATUS] != 200", true, "503"},
		{"[STATUS] < 500", false, "503"},
		{"[STATUS] >= 500", true, "503"},
		{"[STATUS] <= 503", true, "503"},
		{"[STATUS] > 503", false, "503"},
		{"[STATUS] == any(200, 503)", true, "503"},
		{"[STATUS] != any(200, 503)", false, "503"},
		{"[STATUS] == any(200, 204)", false, "503"},
		{"[RESPONSE_TIME] < 300ms", false, "412ms"},
		{"[RESPONSE_TIME] < 1s", true, "412ms"},
		{"[RESPONSE_TIME] == 412ms", true, "412ms"},
		{"[RESPONSE_TIME] > 0", true, "412ms"},
		{"[CERTIFICATE_EXPIRATION] > 48h", false, "36h"},
		{"[CERTIFICATE_EXPIRATION] > 24h", true, "36h"},
		{"[CONNECTED]", true, "true"},
		{"[CONNECTED] == false", false, "true"},
		{"[IP] == 192.0.2.7", true, "192.0.2.7"},
		{"[IP] == pat(192.0.2.*)", true, "192.0.2.7"},
		{"[BODY].status == healthy", false, "degraded"},
		{"[BODY].status != healthy", true, "degraded"},
		{"[BODY].status == any(healthy, degraded)", true, "degraded"},
		{`[BODY].status == any("x, y", "degraded")`, true, "degraded"},
		{"[BODY].status == regex(^deg)", true, "degraded"},
		{"[BODY].status == regex(^(up|ok)$)", false, "degraded"},
		{"[BODY].code == 7", true, "7"},
		{"[BODY].code == 7.0", true, "7"},
		{`[BODY].code == "7.0"`, false, "7"},
		{"[BODY].code > 6.5", true, "7"},
		{"[BODY].n > 11", true, "12"},
		{"[BODY].status > 11", false, "degraded"},
		{"[BODY].id == 9007199254740993", true, "9007199254740993"},
		{"[BODY].id == 9007199254740992", false, "9007199254740993"}, // a float64 would not see it
		{"[BODY].ok == true", true, "true"},
		{"[BODY].none == null", true, "null"},
		{"[BODY].items[0].name == a b", true, "a b"},
		{"[BODY].items[1].name == c", true, "c"},
		{"[BODY].items[2].name == c", false, "not there"},
		{"[BODY].items[2].name != c", false, "not there"}, // what is not there is not well
		{"[BODY].items.name == c", false, "not there"},
		{"[BODY].status.deeper == c", false, "not there"},
		{`[BODY]["a b"]["x.y"] == 1`, true, "1"},
		{"[BODY].items[1] == {\"name\":\"c\"}", true, `{"name":"c"}`},
		{"len([BODY].items) == 2", true, "2"},
		{"len([BODY].items) > 2", false, "2"},
		{"len([BODY].empty) == 0", true, "0"},
		{"len([BODY].text) == 2", true, "2"},
		{"len([BODY].gone) == 0", false, "not there"},
		{"len([BODY]) == 10", true, "10"},
		{"has([BODY].items)", true, "true"},
		{"has([BODY].errors) == false", true, "false"},
		{"has([BODY].items) == false", false, "true"},
		{"has([BODY].none) == true", true, "true"},
		{"has([BODY].items) != true", false, "true"},
		{"[BODY] == pat(*degraded*)", true, ""},
		{"[BODY] == pat(*welcome*)", false, ""},
		{"[BODY] != pat(*welcome*)", true, ""},
		{"[HEADER].content-type == pat(text/html*)", true, "text/html; charset=utf-8"},
		{"[HEADER].X-None == a", false, "not there"},
		{"has([HEADER].Location)", true, "true"},
	} {
		c, err := Parse(tt.text)
		if err != nil {
			t.Errorf("Parse(%q): %v", tt.text, err)
			continue
		}
		holds, actual := c.holds(page(health))
		if holds != tt.holds || tt.actual != "" && actual != tt.actual {
			t.Errorf("%q holds: %v, seen %q; want %v, %q", tt.text, holds, actual, tt.holds, tt.actual)
		}
		again, err := Parse(c.String())
		if err != nil || again.String() != c.String() {
			t.Errorf("%q becomes %q, which is read as %q, %v", tt.text, c, again, err)
		}
	}
}

func TestConditionsOnOtherThings(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		text  string
		facts facts
		want  string // trouble
	}{
		{"[DNS_ANSWER] == 192.0.2.1", facts{rcode: "NOERROR", answers: []string{"192.0.2.1", "192.0.2.2"}}, ""},
		{"[DNS_ANSWER] != 192.0.2.2", facts{rcode: "NOERROR", answers: []string{"192.0.2.1", "192.0.2.2"}}, "[DNS_ANSWER] != 192.0.2.2 (192.0.2.1, 192.0.2.2)"},
		{"[DNS_ANSWER] != 192.0.2.3", facts{rcode: "NOERROR", answers: []string{"192.0.2.1", "192.0.2.2"}}, ""},
		{"len([DNS_ANSWER]) == 2", facts{rcode: "NOERROR", answers: []string{"192.0.2.1", "192.0.2.2"}}, ""},
		{"len([DNS_ANSWER]) == 0", facts{rcode: "NXDOMAIN"}, ""},
		{"[DNS_ANSWER] == 192.0.2.1", facts{rcode: "NXDOMAIN"}, "[DNS_ANSWER] == 192.0.2.1 (no such record)"},
		{"[DNS_RCODE] == NOERROR", facts{rcode: "SERVFAIL"}, "[DNS_RCODE] == NOERROR (SERVFAIL)"},
		{"[DNS_RCODE] == NOERROR", facts{}, "[DNS_RCODE] == NOERROR (no answer)"},
		{"[DISK_FREE] > 10", facts{hasFree: true, free: 3.04}, "[DISK_FREE] > 10 (3.0)"},
		{"[DISK_FREE_BYTES] > 5000000000", facts{hasFree: true, freeBytes: 5000000001}, ""},
		{"[DISK_FREE] > 10", facts{}, "[DISK_FREE] > 10 (not measured)"},
		{"[AGE] < 25h", facts{hasAge: true, age: 26*time.Hour + 3*time.Second}, "[AGE] < 25h (26h0m3s)"},
		{"[AGE] < 25h", facts{}, "[AGE] < 25h (never succeeded)"},
		{"[STATUS] == 200", facts{}, "[STATUS] == 200 (no answer)"},
		{"[BODY].a == 1", facts{body: &document{raw: []byte("<html>")}}, "[BODY].a == 1 (not JSON)"},
		{"[BODY].a == 1", facts{body: &document{raw: []byte(`{"a":1}`), cut: true}}, "[BODY].a == 1 (longer than 1 MiB)"},
		{"[BODY] == healthy", facts{body: &document{}}, "[BODY] == healthy (empty)"},
		{"has([BODY])", facts{body: &document{}}, "has([BODY]) == true (false)"},
		{"[CONNECTED]", facts{}, "[CONNECTED] == true (not tried)"},
		{"[IP] == 1", facts{}, "[IP] == 1 (no connection)"},
	} {
		c, err := Parse(tt.text)
		if err != nil {
			t.Fatal(err)
		}
		if got := judge([]Condition{c}, &tt.facts, nil); got != tt.want {
			t.Errorf("judge(%q) = %q, want %q", tt.text, got, tt.want)
		}
	}
	if (Condition{}).String() != "" || (Condition{}).Check(KindHTTP) == nil || judge([]Condition{{}}, &facts{}, nil) == "" {
		t.Error("the zero condition makes sense")
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ text, want string }{
		{"", "begins with a placeholder"},
		{"STATUS == 200", "begins with a placeholder"},
		{"[STATUS == 200", "no closing bracket"},
		{"[STATIS] == 200", "did you mean [STATUS]?"},
		{"[status] == 200", "did you mean [STATUS]?"},
		{"[RESPONSETIME] < 1s", "did you mean [RESPONSE_TIME]?"},
		{"[UNIMAGINABLE_XYZ] == 1", "there are [STATUS], [RESPONSE_TIME]"},
		{"[STATUS]", "nothing is said about [STATUS]"},
		{"[STATUS] is 200", "instead of one of == !="},
		{"[STATUS] = 200", "instead of one of == !="},
		{"[STATUS] ==", "the value is missing"},
		{"[STATUS] == ok", `compared with a number, such as 200, not with "ok"`},
		{`[STATUS] == "200"`, "compared with a number"},
		{"[STATUS] == any(200, ok)", "compared with a number"},
		{"[STATUS] == pat(2*)", "not with pat(...)"},
		{"[STATUS].x == 1", "has no parts"},
		{"[RESPONSE_TIME] < 300", "a duration with a unit"},
		{"[RESPONSE_TIME] < fast", "needs a number or a duration"},
		{"[BODY] < healthy", "needs a number or a duration"},
		{"[BODY].x < any(1, 2)", "needs a number or a duration"},
		{"[IP] < 5", "only be compared by == and !="},
		{"[CONNECTED] == yes", "true or false"},
		{"[CONNECTED] < 1", "only be compared by == and !="},
		{"[HEADER] == x", "needs the name of one header"},
		{"[HEADER].a.b == x", "needs the name of one header"},
		{"[HEADER][0] == x", "needs the name of one header"},
		{"[BODY].. == x", "a point needs a name"},
		{"[BODY][x] == 1", "is no index"},
		{"[BODY][-1] == 1", "is no index"},
		{"[BODY][01] == 1", "is no index"},
		{`[BODY]["x == 1`, "is written"},
		{"len([BODY].x > 0", "has no closing bracket"},
		{"len([STATUS]) > 0", "takes [BODY], [HEADER] or [DNS_ANSWER]"},
		{"has([BODY].x) == 1", "true or false"},
		{"[BODY] == foo(bar)", "foo(...) is unknown"},
		{"[BODY] == pat()", "is empty"},
		{"[BODY] == regex(a()", "no regular expression"},
		{"[BODY] == any()", "a value is missing"},
		{"[BODY] == any(a,,b)", "a value is missing"},
		{"[BODY] == any(" + strings.Repeat("a,", 51) + "a)", "more than 50"},
		{`[BODY] == "a`, "a quote is not closed"},
		{`[BODY] == "a" b`, "after the closing quote"},
		{"[BODY] == a\x00b", "control character"},
		{"[BODY] == a\xffb", "control character"},
		{"[BODY] == " + strings.Repeat("a", 1000), "longer than 1000"},
	} {
		c, err := Parse(tt.text)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("Parse(%.60q) = %q, %v; want an error with %q", tt.text, c, err, tt.want)
		}
	}
}

func TestCheckKind(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		kind Kind
		text string
		want string
	}{
		{KindHTTP, "[STATUS] == 200", ""},
		{KindTCP, "[STATUS] == 200", "[STATUS] means nothing for a port; there are [RESPONSE_TIME], [CERTIFICATE_EXPIRATION], [CONNECTED], [IP]"},
		{KindTCP, "[CERTIFICATE_EXPIRATION] > 48h", ""},
		{KindDNS, "[DNS_ANSWER] == 192.0.2.1", ""},
		{KindDNS, "[BODY] == x", "[BODY] means nothing for a name"},
		{KindDisk, "[DISK_FREE] > 10", ""},
		{KindDisk, "[AGE] < 1h", "means nothing for a disk"},
		{KindHeartbeat, "[AGE] < 1h", ""},
		{KindHeartbeat, "[STATUS] == 200", "means nothing for a heartbeat; there are [AGE]"},
		{KindHTTP, "[AGE] < 1h", "means nothing for a page"},
		{"moon", "[AGE] < 1h", `means nothing for a thing of kind "moon"`},
	} {
		_, err := ParseAll(tt.kind, []string{tt.text})
		if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("ParseAll(%s, %q) = %v, want %q", tt.kind, tt.text, err, tt.want)
		}
	}
	if _, err := ParseAll(KindHTTP, []string{"[STATUS] == 200", "[X"}); err == nil || !strings.HasPrefix(err.Error(), "condition 2: ") {
		t.Errorf("the error of the second condition is %v", err)
	}
	for _, k := range Kinds() {
		if len(Placeholders(k)) == 0 {
			t.Errorf("there is nothing to say about %s", k)
		}
	}
}

// What is shown is short, has one line, and no secret.
func TestTroubleIsFitToBeShown(t *testing.T) {
	t.Parallel()
	c := func(texts ...string) []Condition {
		all, err := ParseAll(KindHTTP, texts)
		if err != nil {
			t.Fatal(err)
		}
		return all
	}
	for _, tt := range []struct {
		name  string
		texts []string
		body  string
		hide  []string
		want  string
	}{
		{"control characters", []string{"[BODY] == ok"}, "a\x1b[31m\nb\u202ec\x00", nil, "[BODY] == ok (a[31m bc)"},
		{"a long body", []string{"[BODY] == ok"}, strings.Repeat("ö", 5000), nil, "[BODY] == ok (" + strings.Repeat("ö", 100) + "…)"},
		{"a secret that is echoed", []string{"[BODY] == ok"}, "you sent hunter22", []string{"hunter22"}, "[BODY] == ok (you sent …)"},
		{"a secret across the cut", []string{"[BODY] == ok"}, strings.Repeat("a", 96) + "hunter22", []string{"hunter22"}, "[BODY] == ok (" + strings.Repeat("a", 96) + "…)"},
		{"a query in a header", []string{"[HEADER].Location == x"}, "", nil, "[HEADER].Location == x (https://x.example/…)"},
		{"a cookie", []string{"[HEADER].Set-Cookie == x"}, "", nil, "[HEADER].Set-Cookie == x (another value, which is not shown)"},
		{"several", []string{"[STATUS] == 200", "[BODY].status == healthy"}, `{"status":"degraded"}`, nil, "[STATUS] == 200 (503); [BODY].status == healthy (degraded)"},
		{"many", []string{"[STATUS] == 1", "[STATUS] == 2", "[STATUS] == 3", "[STATUS] == 4", "[STATUS] == 5", "[STATUS] == 6", "[STATUS] == 7"}, "", nil,
			"[STATUS] == 1 (503); [STATUS] == 2 (503); [STATUS] == 3 (503); [STATUS] == 4 (503); [STATUS] == 5 (503); and 2 more"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := judge(c(tt.texts...), page(tt.body), tt.hide); got != tt.want {
				t.Errorf("judge = %q, want %q", got, tt.want)
			}
		})
	}
}

func TestShort(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{
		0: "0s", 5 * time.Second: "5s", 90 * time.Second: "1m30s", time.Minute: "1m", time.Hour: "1h", 90 * time.Minute: "1h30m",
		412345 * time.Microsecond: "412.3ms", 1234567 * time.Microsecond: "1.23s", -time.Minute: "-1m", 49 * time.Hour: "49h", 36 * time.Hour: "36h",
		1500 * time.Nanosecond: "2µs", 59*time.Minute + 59600*time.Millisecond: "1h",
	} {
		if got := short(d); got != want {
			t.Errorf("short(%d) = %q, want %q", d, got, want)
		}
	}
}

func TestGlob(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		pattern, text string
		want          bool
	}{
		{"", "", true}, {"", "a", false}, {"*", "", true}, {"*", "abc", true}, {"a*c", "abbc", true}, {"a*c", "abbd", false}, {"a?c", "abc", true},
		{"a?c", "ac", false}, {"*b*", "abc", true}, {"**b", "ab", true}, {"*aab", "aaaab", true}, {"?", "ö", true}, {"*x*y*", "axbyc", true},
		{"a*b", "a*xb", true}, {"*a", "a*b", false},
	} {
		if got := glob(tt.pattern, tt.text); got != tt.want {
			t.Errorf("glob(%q, %q) = %v", tt.pattern, tt.text, got)
		}
	}
	if glob("*"+strings.Repeat("a*", 200)+"b", strings.Repeat("a", 20000)) { // ends
		t.Error("there is no b")
	}
}

func FuzzCondition(f *testing.F) {
	for _, text := range []string{"[STATUS] == 200", `[BODY]["a b"].c[3] != "x\n"`, "len([BODY].items) >= 2", "has([BODY].x)", "[BODY] == pat(*a?b*)",
		"[BODY].v == regex(^v[0-9]+$)", `[BODY].s == any(a, "b, c", 3)`, "[RESPONSE_TIME] < 300ms", "[HEADER].Content-Type == x", "[DNS_ANSWER] == 1", "[AGE] < 25h"} {
		f.Add(text, []byte(health))
	}
	f.Add("[BODY].a == 1", []byte(`[[[[`))
	f.Add("len([BODY]) == 1", []byte(`{"a":1e999}`))
	f.Fuzz(func(t *testing.T, text string, raw []byte) {
		c, err := Parse(text)
		if err != nil {
			return
		}
		again, err := Parse(c.String())
		if err != nil || again.String() != c.String() {
			t.Fatalf("%q becomes %q, which is read as %q, %v", text, c, again, err)
		}
		for _, facts := range []*facts{page(string(raw)), {}, {rcode: "NOERROR", answers: []string{string(raw)}}} {
			if got, want := judge([]Condition{again}, facts, nil), judge([]Condition{c}, facts, nil); got != want {
				t.Fatalf("%q is judged %q, read again %q", c, want, got)
			}
		}
		_, actual := c.holds(page(string(raw)))
		shown := c.shown(actual, nil)
		if len([]rune(shown)) > shownRunesMax+1 || strings.ContainsFunc(shown, unicode.IsControl) {
			t.Fatalf("shown is %q", shown)
		}
	})
}
