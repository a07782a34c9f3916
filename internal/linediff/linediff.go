// SPDX-License-Identifier: Apache-2.0

// Package linediff compares two texts line by line, as `diff -u` does.
package linediff

import (
	"slices"
	"strings"
)

// Line is a line of a comparison.
type Line struct {
	Kind Kind
	Text string
	Old  int // its number in the old text, from 1; 0 if it is not there
	New  int
}

// Kind is what became of a line.
type Kind byte

// The kinds, by the characters that mark them. A gap stands for lines that are the
// same and left out.
const (
	Same    Kind = ' '
	Removed Kind = '-'
	Added   Kind = '+'
	Gap     Kind = '@'
)

// Mark is the character of a kind.
func (k Kind) Mark() string { return string(rune(k)) }

// maxEdits bounds the work: texts that differ in more lines are shown as replaced
// where they differ.
const maxEdits = 2000

// Compare returns what has changed with so many lines around it; nothing if the texts
// are the same.
func Compare(before, after string, around int) []Line {
	a, b := lines(before), lines(after)
	start := 0
	for start < min(len(a), len(b)) && a[start] == b[start] {
		start++
	}
	end := 0
	for end < min(len(a), len(b))-start && a[len(a)-1-end] == b[len(b)-1-end] {
		end++
	}
	var all []Line
	for i := range start {
		all = append(all, Line{Same, a[i], i + 1, i + 1})
	}
	all = append(all, edits(a[start:len(a)-end], b[start:len(b)-end], start)...)
	for i := end; i > 0; i-- {
		all = append(all, Line{Same, a[len(a)-i], len(a) - i + 1, len(b) - i + 1})
	}
	return shorten(all, around)
}

func lines(text string) []string {
	text = strings.TrimSuffix(text, "\n")
	if text == "" {
		return nil
	}
	return strings.Split(text, "\n")
}

// edits finds the shortest way from one text to the other (Myers, An O(ND) Difference
// Algorithm, 1986).
func edits(a, b []string, offset int) []Line {
	limit := min(len(a)+len(b), maxEdits)
	v := make([]int, 2*limit+3)
	var trace [][]int
	for d := 0; d <= limit; d++ {
		trace = append(trace, append([]int(nil), v[limit+1-d:limit+2+d]...))
		for k := -d; k <= d; k += 2 {
			x := v[limit+1+k-1] + 1
			if k == -d || k != d && v[limit+1+k-1] < v[limit+1+k+1] {
				x = v[limit+1+k+1]
			}
			y := x - k
			for x < len(a) && y < len(b) && a[x] == b[y] {
				x, y = x+1, y+1
			}
			v[limit+1+k] = x
			if x >= len(a) && y >= len(b) {
				return backtrack(a, b, trace, offset)
			}
		}
	}
	return replaced(a, b, offset)
}

// backtrack follows the trace from its end. The values of step d are those of the
// diagonals from -d to d, as they were before it.
func backtrack(a, b []string, trace [][]int, offset int) []Line {
	var reversed []Line
	x, y := len(a), len(b)
	for d, step := range slices.Backward(trace) {
		value := func(k int) int {
			if k < -d || k > d {
				return -1
			}
			return step[k+d]
		}
		k := x - y
		before := k - 1
		if k == -d || k != d && value(k-1) < value(k+1) {
			before = k + 1
		}
		fromX := 0
		if d > 0 {
			fromX = value(before)
		}
		fromY := fromX - before
		for x > max(fromX, 0) && y > max(fromY, 0) && (d == 0 || x > fromX && y > fromY) {
			x, y = x-1, y-1
			reversed = append(reversed, Line{Same, a[x], offset + x + 1, offset + y + 1})
		}
		switch {
		case d == 0:
		case before == k+1:
			y--
			reversed = append(reversed, Line{Added, b[y], 0, offset + y + 1})
		default:
			x--
			reversed = append(reversed, Line{Removed, a[x], offset + x + 1, 0})
		}
	}
	slices.Reverse(reversed)
	return reversed
}

func replaced(a, b []string, offset int) (found []Line) {
	for i, text := range a {
		found = append(found, Line{Removed, text, offset + i + 1, 0})
	}
	for i, text := range b {
		found = append(found, Line{Added, text, 0, offset + i + 1})
	}
	return found
}

// shorten leaves out the lines that are far from a change.
func shorten(all []Line, around int) (found []Line) {
	near := make([]bool, len(all))
	for i, line := range all {
		if line.Kind == Same {
			continue
		}
		for j := max(i-around, 0); j <= min(i+around, len(all)-1); j++ {
			near[j] = true
		}
	}
	for i, line := range all {
		switch {
		case near[i]:
			found = append(found, line)
		case i > 0 && near[i-1] || i == 0:
			found = append(found, Line{Kind: Gap})
		}
	}
	if len(found) == 1 && found[0].Kind == Gap {
		return nil
	}
	return found
}
