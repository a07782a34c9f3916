// SPDX-License-Identifier: Apache-2.0

package pathmatch

// This file searches a tree without running the expressions that backtrack.
// They may cost milliseconds, which not every caller is worth: a request without
// a token is often refused whatever they would say.

// backtracking says what a search does with expressions that backtrack.
type backtracking uint8

const (
	tryExpressions backtracking = iota
	assumeMatch
	assumeNoMatch
)

// backtracks reports whether an expression backtracks.
func backtracks(re Regexp) bool {
	_, ok := re.(*perl)
	return ok
}

// Backtracks reports whether the pattern has an expression that backtracks.
func (p *Pattern) Backtracks() bool {
	for i := range p.elements {
		if p.elements[i].kind == regexpElement && backtracks(p.elements[i].re) {
			return true
		}
	}
	return false
}

// MatchAssuming is Match in a world in which every expression that backtracks
// matches every element, or none does. It runs no such expression.
//
// If it finds nothing assuming that they match, Match finds nothing. If it finds
// a rule assuming that they do not, Match finds a rule, and it is another one only
// if an expression that backtracks leads to it.
func (t *Tree[V]) MatchAssuming(matches bool, method, path string) (v V, p *Pattern, ok bool) {
	with := assumeNoMatch
	if matches {
		with = assumeMatch
	}
	return t.search(method, path, with)
}
