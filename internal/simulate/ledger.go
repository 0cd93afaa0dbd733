package simulate

import "slices"

// ledger keeps things in the order they were made and finds them by id. It is what every list of the API pages through.
// The zero value is empty and ready.
type ledger[T any] struct {
	items []T
	ids   []string
	at    map[string]int // id to position since the beginning of time
	gone  int            // how many were forgotten at the front
}

func (l *ledger[T]) add(id string, item T) {
	if l.at == nil {
		l.at = map[string]int{}
	}
	l.at[id] = l.gone + len(l.items)
	l.items = append(l.items, item)
	l.ids = append(l.ids, id)
}

func (l *ledger[T]) get(id string) (T, bool) {
	i, ok := l.at[id]
	if !ok {
		var none T
		return none, false
	}
	return l.items[i-l.gone], true
}

func (l *ledger[T]) has(id string) bool {
	_, ok := l.at[id]
	return ok
}

// forget drops the oldest items until at most limit are left.
func (l *ledger[T]) forget(limit int) {
	for len(l.items) > limit {
		var none T
		delete(l.at, l.ids[0])
		l.items[0], l.ids[0] = none, ""
		l.items, l.ids = l.items[1:], l.ids[1:]
		l.gone++
	}
}

// cursor says which page of a list is wanted: the limit newest after (older than) startingAfter, or the limit oldest
// before (newer than) endingBefore. Both are ids of known items or empty.
type cursor struct {
	limit         int
	startingAfter string
	endingBefore  string
}

// page returns the items that match, newest first, and whether there are more in the direction of paging.
func (l *ledger[T]) page(c cursor, match func(T) bool) (found []T, hasMore bool) {
	if c.endingBefore != "" {
		return l.newerThan(c, match)
	}
	first := len(l.items) - 1
	if c.startingAfter != "" {
		first = l.at[c.startingAfter] - l.gone - 1
	}
	for i := first; i >= 0; i-- {
		if !match(l.items[i]) {
			continue
		}
		if len(found) == c.limit {
			return found, true
		}
		found = append(found, l.items[i])
	}
	return found, false
}

// newerThan is the page just before the item endingBefore: the oldest of those newer than it, still newest first.
func (l *ledger[T]) newerThan(c cursor, match func(T) bool) (found []T, hasMore bool) {
	for i := l.at[c.endingBefore] - l.gone + 1; i < len(l.items); i++ {
		if !match(l.items[i]) {
			continue
		}
		if len(found) == c.limit {
			hasMore = true
			break
		}
		found = append(found, l.items[i])
	}
	slices.Reverse(found)
	return found, hasMore
}
