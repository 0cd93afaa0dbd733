package config

import "regexp"

// presentable is what keys look like and secrets do not: letters, dashes and underscores, and not many of them.
var presentable = regexp.MustCompile(`^[A-Za-z_-]{1,24}$`)

// isPresentable reports whether a key of the file may be repeated in a problem.
func isPresentable(name string) bool { return presentable.MatchString(name) }

// nearest returns the word that was probably meant: the one that takes fewest changes of a letter, at most a third of it.
func nearest(typed string, words []string) (string, bool) {
	best, changesMin := "", len(typed)/3+1
	if len(typed) > 64 {
		return "", false
	}
	for _, w := range words {
		if c := changes(typed, w); c < changesMin {
			best, changesMin = w, c
		}
	}
	return best, best != ""
}

// changes counts the letters to insert, drop, replace or swap with their neighbour that make b of a (Damerau's distance,
// each place changed once).
func changes(a, b string) int {
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			replaced := rows[i-1][j-1]
			if a[i-1] != b[j-1] {
				replaced++
			}
			rows[i][j] = min(rows[i-1][j]+1, rows[i][j-1]+1, replaced)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				rows[i][j] = min(rows[i][j], rows[i-2][j-2]+1)
			}
		}
	}
	return rows[len(a)][len(b)]
}
