package simulate

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestFormArraysAndNesting(t *testing.T) {
	t.Parallel()
	f, problem := parseForm("a[10][x]=ten&a[2][x]=two&b[]=one&b[]=two&c[d][e]=deep&flag=true&n=-5")
	if problem != nil {
		t.Fatal(problem.Message)
	}
	var order []string
	for _, element := range f.list("a") {
		order = append(order, element.text("x"))
	}
	if diff := cmp.Diff(order, []string{"two", "ten"}); diff != "" {
		t.Errorf("a in order of its numbers (-got +want):\n%s", diff)
	}
	if diff := cmp.Diff(f.texts("b"), []string{"one", "two"}); diff != "" {
		t.Errorf("b (-got +want):\n%s", diff)
	}
	if got := f.field("c").field("d").text("e"); got != "deep" {
		t.Errorf("c[d][e] = %q", got)
	}
	if flag := f.flag("flag"); flag == nil || !*flag || f.flag("none") != nil {
		t.Errorf("flag = %v", flag)
	}
	if got := f.number("n", 0); got != -5 || f.check() != nil {
		t.Errorf("n = %d, problem %v", got, f.check())
	}
}

func FuzzSessionParameters(f *testing.F) {
	f.Add(goodSession)
	f.Add("line_items[][price]=p&metadata=&metadata[a]=b&expand[]=line_items")
	f.Add("line_items[00") // once a nil dereference
	f.Add("line_items[0]=x&line_items[0][quantity]=1&[]=1&[[[=2&a]b[=3")
	s := NewStripe(StripeOptions{})
	defer s.Close()
	f.Fuzz(func(t *testing.T, body string) {
		form, problem := parseForm(body)
		if problem != nil {
			return
		}
		s.begin()
		defer s.mu.Unlock()
		object, problem := s.createSession(&call{form: form, now: s.options.Now()})
		if (object == nil) == (problem == nil) {
			t.Errorf("createSession(%q) = %v, %v; want one of them", body, object, problem)
		}
	})
}
