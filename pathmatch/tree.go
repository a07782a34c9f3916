// SPDX-License-Identifier: Apache-2.0

package pathmatch

import (
	"fmt"
	"math/bits"
	"slices"
	"strings"
)

// This file implements a decision tree for fast matching of paths to patterns.
//
// The levels of the tree branch on consecutive elements of the path; what a
// pattern demands of the method is looked at last, where the pattern ends.
//
// The choice that comes first may lead nowhere. Given the patterns
//
//	/a/b/c
//	/a/?/d
//
// the path /a/b/d is first led to b, and when there is no d below b, the search
// comes back and goes on with ?. It never does so in vain twice: every node
// knows how many elements the patterns below it still need, and is not entered
// with any other number. That is also how ?? finds its extent without trying:
// a pattern has one ?? at most, so what follows it has a known length.

// Any is the method of a rule for all methods that have no rule of their own.
const Any = "?"

// A Tree holds rules: values for patterns and methods. The zero Tree is empty.
// Once Match has been used, nothing may be added.
type Tree[V any] struct {
	root    node
	values  []V
	methods methods
	shared  sharing
}

// A node is a place in the patterns, namely between two elements.
type node struct {
	// What the patterns below this node need, to turn around early: bit n of
	// exactly is set if one of them ends n elements further down, and the last
	// bit if one ends there or deeper. Patterns with a ?? below this node have
	// atLeast more elements, the ?? among them; 0 means that there are none.
	exactly uint64
	atLeast int

	ending *ending // the rules of the pattern that leads here

	// The children, in the order in which they are tried.
	literals []literalEdge // in order of appearance
	regexps  []regexpEdge  // {regexp}, in order of appearance
	any      *node         // ?
	multi    *multiEdge    // ??

	many *many // nil if there are few literals and regexps
}

// many holds what finds the right ones of many children.
type many struct {
	literals literalTable // nil if they are few
	regexps  *regexpIndex // likewise
}

type multiEdge struct {
	to    *node
	tails []int // how many elements follow the ?? in patterns, descending
}

// An ending is one rule of a pattern. Those for other methods follow, the one
// for any method last.
type ending struct {
	pattern *Pattern
	method  methodID
	value   int // index into the tree's values
	next    *ending
}

// A ConflictError says that a tree has a rule for this pattern and method.
type ConflictError struct {
	Pattern string
	Method  string
}

func (e *ConflictError) Error() string {
	if e.Method == Any {
		return fmt.Sprintf("path %q has two rules for all other methods", e.Pattern)
	}
	return fmt.Sprintf("path %q has two rules for method %s", e.Pattern, e.Method)
}

// Add adds a rule for requests with this method, or with any method for which
// the path has no rule if method is [Any]. The error is a [*ConflictError].
func (t *Tree[V]) Add(p *Pattern, method string, v V) error {
	n := &t.root
	for i := range p.elements {
		n.expect(p, i)
		n = n.child(p, i, &t.shared)
	}
	n.expect(p, len(p.elements))

	id := t.methods.add(method)
	at := &n.ending
	for *at != nil && (*at).method != id && (*at).method != anyMethod {
		at = &(*at).next
	}
	if *at != nil && (*at).method == id {
		return &ConflictError{Pattern: p.text, Method: method}
	}
	*at = &ending{pattern: p, method: id, value: len(t.values), next: *at}
	t.values = append(t.values, v)
	return nil
}

// expect notes that the pattern comes through n with element i next.
func (n *node) expect(p *Pattern, i int) {
	rest := len(p.elements) - i
	if i > p.multi { // there is no ??, or it is behind us
		n.exactly |= 1 << min(rest, 63)
	} else if n.atLeast == 0 || rest < n.atLeast {
		n.atLeast = rest
	}
}

// fits reports whether a pattern can end so many elements below n.
func (n *node) fits(elements int) bool {
	return n.exactly>>min(uint(elements), 63)&1 != 0 || n.atLeast != 0 && n.atLeast <= elements+1
}

// child returns the child of n for element i of the pattern, which it makes if
// it is missing.
func (n *node) child(p *Pattern, i int, shared *sharing) *node {
	e := &p.elements[i]
	switch e.kind {
	case literalElement:
		c := n.literal(e.text)
		if c == nil {
			c = shared.node()
			n.addLiteral(shared.text(e.text), c)
		}
		return c
	case regexpElement:
		re := shared.regexp(e.re)
		c := n.regexp(re)
		if c == nil {
			c = shared.node()
			n.addRegexp(regexpEdge{re: re, to: c, via: p})
		}
		return c
	case anyElement:
		if n.any == nil {
			n.any = shared.node()
		}
		return n.any
	default:
		if n.multi == nil {
			n.multi = &multiEdge{to: shared.node()}
		}
		n.multi.add(len(p.elements) - 1 - i)
		return n.multi.to
	}
}

func (m *multiEdge) add(tail int) {
	at, found := slices.BinarySearchFunc(m.tails, tail, func(a, b int) int { return b - a })
	if !found {
		m.tails = slices.Insert(m.tails, at, tail)
	}
}

// Match returns the rule for a request: its value and its pattern. The path
// must be canonical, see [Canonicalize]. A rule for the method goes before one
// for GET if the method is HEAD, and that before one for [Any], but the path
// decides first. Match does not allocate.
//
// If no rule fits, ok is false and the pattern is nil. If a regular expression
// with look-around or back-references ran out of time, ok is false as well and
// the pattern is one of those it belongs to: nobody knows which rule is the
// right one, so the request must be refused even if requests without a rule
// may pass.
func (t *Tree[V]) Match(method, path string) (v V, p *Pattern, ok bool) {
	if !strings.HasPrefix(path, "/") {
		return v, nil, false
	}
	s := search{longest: t.shared.longest}
	s.method, s.otherwise = t.methods.find(method)
	if value := s.match(&t.root, path, strings.Count(path, "/")); value >= 0 {
		return t.values[value], s.pattern, true
	}
	return v, s.pattern, false
}

// A search is the state of one call of Match.
type search struct {
	method    methodID
	otherwise methodID // GET for HEAD
	longest   int      // literal of the tree: no need to hash anything longer
	pattern   *Pattern // that was found, or whose expression ran out of time
}

// Results of a search beside the indexes of values.
const (
	nothingFound = -1
	undecided    = -2 // an expression ran out of time, which ends the search
)

// match returns the value of the best pattern below n for the path, which has
// so many elements, or nothingFound or undecided.
func (s *search) match(n *node, path string, elements int) int {
	if !n.fits(elements) {
		return nothingFound
	}
	if elements == 0 {
		if e := n.ending.find(s.method, s.otherwise); e != nil {
			s.pattern = e.pattern
			return e.value
		}
	} else {
		element, rest := firstElement(path)
		if len(element) <= s.longest {
			if c := n.literal(element); c != nil {
				if value := s.match(c, rest, elements-1); value != nothingFound {
					return value
				}
			}
		}
		if n.regexps != nil {
			if value := s.matchRegexps(n, element, rest, elements-1); value != nothingFound {
				return value
			}
		}
		if n.any != nil {
			if value := s.match(n.any, rest, elements-1); value != nothingFound {
				return value
			}
		}
	}
	if n.multi != nil {
		return s.matchMulti(n.multi, path, elements)
	}
	return nothingFound
}

// matchRegexps matches one element with the expressions of a node, and rest
// with what is below those that match.
func (s *search) matchRegexps(n *node, element, rest string, elements int) int {
	if n.many == nil || n.many.regexps == nil {
		for i := range n.regexps {
			if value := s.matchRegexp(&n.regexps[i], element, rest, elements); value != nothingFound {
				return value
			}
		}
		return nothingFound
	}
	var properties elementProperties
	properties.read(element)
	for i := range n.many.regexps.blocks {
		set := n.many.regexps.blocks[i].candidates(&properties)
		for ; set != 0; set &= set - 1 {
			edge := &n.regexps[64*i+bits.TrailingZeros64(set)]
			if value := s.matchRegexp(edge, element, rest, elements); value != nothingFound {
				return value
			}
		}
	}
	return nothingFound
}

func (s *search) matchRegexp(edge *regexpEdge, element, rest string, elements int) int {
	if !edge.to.fits(elements) {
		return nothingFound // before an expression has to work for it
	}
	ok, err := edge.re.Match(element)
	if err != nil {
		s.pattern = edge.via
		return undecided
	}
	if !ok {
		return nothingFound
	}
	return s.match(edge.to, rest, elements)
}

// matchMulti lets ?? stand for as few elements as possible, so that as many as
// possible are left for what follows it.
func (s *search) matchMulti(multi *multiEdge, path string, elements int) int {
	for _, tail := range multi.tails {
		if tail > elements {
			continue
		}
		path = skipElements(path, elements-tail)
		elements = tail
		if value := s.match(multi.to, path, elements); value != nothingFound {
			return value
		}
	}
	return nothingFound
}

// find returns the rule for the method, else for the other one, else for any.
func (e *ending) find(method, otherwise methodID) *ending {
	var found *ending
	for ; e != nil; e = e.next {
		switch {
		case e.method == method:
			return e
		case e.method == otherwise, e.method == anyMethod && found == nil:
			found = e
		}
	}
	return found
}

// Walk calls yield for each rule, in the order in which the rules are tried,
// until it returns false.
func (t *Tree[V]) Walk(yield func(p *Pattern, method string, v V) bool) {
	t.root.walk(-1, func(e *ending) bool {
		return yield(e.pattern, t.methods.names[e.method], t.values[e.value])
	})
}

// walk calls yield for the endings at and below n in the order in which they
// are tried, until it returns false. Only those so many elements below n count,
// unless depth is -1.
func (n *node) walk(depth int, yield func(*ending) bool) bool {
	for e := n.ending; e != nil && depth <= 0; e = e.next {
		if !yield(e) {
			return false
		}
	}
	if depth == 0 {
		return true
	}
	next := max(depth-1, -1)
	for _, e := range n.literals {
		if !e.to.walk(next, yield) {
			return false
		}
	}
	for _, e := range n.regexps {
		if !e.to.walk(next, yield) {
			return false
		}
	}
	if n.any != nil && !n.any.walk(next, yield) {
		return false
	}
	if n.multi != nil {
		for _, tail := range n.multi.tails {
			if !n.multi.to.walk(tail, yield) {
				return false
			}
		}
	}
	return true
}
