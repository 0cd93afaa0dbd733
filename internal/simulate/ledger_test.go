package simulate

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestLedgerPages(t *testing.T) {
	t.Parallel()
	var l ledger[int]
	for i := range 10 {
		l.add(fmt.Sprint(i), i)
	}
	l.forget(8) // 2 to 9 are left
	isEven := func(i int) bool { return i%2 == 0 }
	for _, tt := range []struct {
		name    string
		cursor  cursor
		want    []int
		hasMore bool
	}{
		{"first page", cursor{limit: 3}, []int{8, 6, 4}, true},
		{"all", cursor{limit: 4}, []int{8, 6, 4, 2}, false},
		{"after", cursor{limit: 3, startingAfter: "6"}, []int{4, 2}, false},
		{"after the last", cursor{limit: 3, startingAfter: "2"}, nil, false},
		{"before", cursor{limit: 2, endingBefore: "2"}, []int{6, 4}, true},
		{"before the newest", cursor{limit: 2, endingBefore: "9"}, nil, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, hasMore := l.page(tt.cursor, isEven)
			if diff := cmp.Diff(got, tt.want); diff != "" || hasMore != tt.hasMore {
				t.Errorf("page(%+v), more %t (-got +want):\n%s", tt.cursor, hasMore, diff)
			}
		})
	}
	if _, ok := l.get("1"); ok || l.has("0") {
		t.Error("what was forgotten is still found")
	}
	if got, ok := l.get("9"); !ok || got != 9 {
		t.Errorf("get(9) = %d, %t", got, ok)
	}
}
