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
// The levels of the tree branch on consecutive elements of the path. The method
// is checked last, where the pattern ends.
//
// The first choice may be a dead end. Given the patterns
//
//	/a/b/c
//	/a/?/d
//
// the path /a/b/d first leads to b; there is no d below b, so the search
// backtracks and continues with ?. Backtracking is bounded: every node knows how
// many elements the patterns below it still need, and is not entered with any
// other number. This also determines the extent of ?? without trying: a pattern
// has at most one ??, so what follows it has a known length.

// Any is the method of a rule for all methods that have no rule of their own.
const Any = "?"

// A Tree holds rules: values for patterns and methods. The zero Tree is empty.
// Do not add rules after the first call of Match.
type Tree[V any] struct {
	root    node
	values  []V
	methods methods
	shared  sharing
}

// A node is a position between two elements of the patterns. Most of what a
// search needs fits into one cache line: in a tree of many rules, a search spends
// its time fetching nodes from memory.
type node struct {
	// What the patterns below this node need, to turn around early: bit n of
	// exactly is set if one of them ends n elements further down, and the last
	// bit if one ends there or deeper. Patterns with a ?? below this node have
	// atLeast more elements, the ?? among them; 0 means that there are none.
	exactly uint64
	atLeast uint32

	// The first rule of the pattern that ends here. The pattern is nil if none
	// does.
	ending

	// The children, in the order in which they are tried. The last one, ??, is
	// in rare.
	literals *literalEdge // in order of appearance
	regexps  *regexpEdge  // {regexp}, in order of appearance
	any      *node        // ?

	rare *rare // nil if there is nothing
}

// An ending is one rule of the pattern that leads to a node.
type ending struct {
	method  methodID
	value   uint32 // index into the tree's values
	pattern *Pattern
}

// rare holds what most nodes do not have.
type rare struct {
	endings []ending // for further methods, the one for any method last

	multi *node // child for ??
	tails []int // how many elements follow the ?? in patterns, descending

	table *literalTable // of literals, if they are many
	index *regexpIndex  // of regexps, if they are many
}

func (n *node) rarely() *rare {
	if n.rare == nil {
		n.rare = new(rare)
	}
	return n.rare
}

// A ConflictError says that a tree has a rule for this pattern and method.
type ConflictError struct {
	Pattern string
	Method  string
}

func (e *ConflictError) Error() string {
	if e.Method == Any {
		return fmt.Sprintf("the path %q has two rules for all other methods", e.Pattern)
	}
	return fmt.Sprintf("the path %q has two rules for method %q", e.Pattern, e.Method)
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

	e := ending{method: t.methods.add(method), value: uint32(len(t.values)), pattern: p}
	if !n.addEnding(e) {
		return &ConflictError{Pattern: p.text, Method: method}
	}
	t.values = append(t.values, v)
	return nil
}

// addEnding adds a rule of the pattern that leads to n, unless there is one
// for its method.
func (n *node) addEnding(e ending) bool {
	if n.pattern == nil {
		n.ending = e
		return true
	}
	same := func(other ending) bool { return other.method == e.method }
	if same(n.ending) || n.rare != nil && slices.ContainsFunc(n.rare.endings, same) {
		return false
	}
	if n.method == anyMethod {
		n.ending, e = e, n.ending
	}
	endings := &n.rarely().endings
	at := len(*endings)
	if at > 0 && (*endings)[at-1].method == anyMethod {
		at--
	}
	*endings = slices.Insert(*endings, at, e)
	return true
}

// expect records that the pattern passes through n, with element i next.
func (n *node) expect(p *Pattern, i int) {
	rest := uint32(len(p.elements) - i)
	if i > p.multi { // there is no ??, or it has been passed
		n.exactly |= 1 << min(rest, 63)
	} else if n.atLeast == 0 || rest < n.atLeast {
		n.atLeast = rest
	}
}

// fits reports whether a pattern can end so many elements below n.
func (n *node) fits(elements int) bool {
	return n.exactly>>min(uint(elements), 63)&1 != 0 || n.atLeast != 0 && int(n.atLeast) <= elements+1
}

// child returns the child of n for element i of the pattern, and adds it if it
// is missing.
func (n *node) child(p *Pattern, i int, shared *sharing) *node {
	e := &p.elements[i]
	switch e.kind {
	case literalElement:
		c := n.literal(e.text)
		if c == nil {
			c = shared.node()
			n.addLiteral(&literalEdge{text: shared.text(e.text), to: c})
		}
		return c
	case regexpElement:
		re := shared.regexp(e.re)
		c := n.regexp(re)
		if c == nil {
			c = shared.node()
			n.addRegexp(&regexpEdge{re: re, to: c})
		}
		return c
	case anyElement:
		if n.any == nil {
			n.any = shared.node()
		}
		return n.any
	default:
		r := n.rarely()
		if r.multi == nil {
			r.multi = shared.node()
		}
		r.addTail(len(p.elements) - 1 - i)
		return r.multi
	}
}

func (r *rare) addTail(tail int) {
	at, found := slices.BinarySearchFunc(r.tails, tail, func(a, b int) int { return b - a })
	if !found {
		r.tails = slices.Insert(r.tails, at, tail)
	}
}

// Match returns the rule for a request: its value and its pattern. The path
// must be canonical, see [Canonicalize]. The path decides first. Then a rule for
// the method takes precedence over one for GET, if the method is HEAD, and that
// over one for [Any]. Match does not allocate, unless it tries an expression that
// backtracks (see [Regexp]).
//
// If no rule matches, ok is false and the pattern is nil. If a regular expression
// with look-around or back-references timed out, ok is false and the pattern is
// one that contains it. It is then unknown which rule applies: refuse the request,
// even if requests without a rule may pass.
func (t *Tree[V]) Match(method, path string) (v V, p *Pattern, ok bool) {
	return t.search(method, path, tryExpressions)
}

func (t *Tree[V]) search(method, path string, with backtracking) (v V, p *Pattern, ok bool) {
	if !strings.HasPrefix(path, "/") {
		return v, nil, false
	}
	s := search{longest: t.shared.longest, with: with}
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
	with      backtracking
	pattern   *Pattern // that was found, or whose expression timed out
}

// Results of a search other than indexes of values.
const (
	nothingFound = -1
	undecided    = -2 // an expression timed out, which ends the search
)

// match returns the value of the best pattern below n for the path, which has
// so many elements, or nothingFound or undecided.
func (s *search) match(n *node, path string, elements int) int {
	if !n.fits(elements) {
		return nothingFound
	}
	if elements == 0 {
		if e := n.find(s.method, s.otherwise); e != nil {
			s.pattern = e.pattern
			return int(e.value)
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
	if n.rare != nil && n.rare.multi != nil {
		return s.matchMulti(n.rare, path, elements)
	}
	return nothingFound
}

// matchRegexps matches one element with the expressions of a node, and rest
// with what is below those that match.
func (s *search) matchRegexps(n *node, element, rest string, elements int) int {
	element = withSlashes(element)
	if n.rare == nil || n.rare.index == nil {
		for edge := n.regexps; edge != nil; edge = edge.next {
			if value := s.matchRegexp(edge, element, rest, elements); value != nothingFound {
				return value
			}
		}
		return nothingFound
	}
	var properties elementProperties
	properties.read(element)
	index := n.rare.index
	for i := range index.blocks {
		set := index.blocks[i].candidates(&properties)
		for ; set != 0; set &= set - 1 {
			edge := index.edges[64*i+bits.TrailingZeros64(set)]
			if value := s.matchRegexp(edge, element, rest, elements); value != nothingFound {
				return value
			}
		}
	}
	return nothingFound
}

func (s *search) matchRegexp(edge *regexpEdge, element, rest string, elements int) int {
	if !edge.to.fits(elements) {
		return nothingFound // before running any expression
	}
	if s.with != tryExpressions && backtracks(edge.re) {
		if s.with == assumeNoMatch {
			return nothingFound
		}
		return s.match(edge.to, rest, elements)
	}
	ok, err := edge.re.Match(element)
	if err != nil {
		edge.to.walk(-1, func(e *ending) bool {
			s.pattern = e.pattern
			return false
		})
		return undecided
	}
	if !ok {
		return nothingFound
	}
	return s.match(edge.to, rest, elements)
}

// matchMulti lets ?? match as few elements as possible, and leaves as many as
// possible for what follows it.
func (s *search) matchMulti(r *rare, path string, elements int) int {
	for _, tail := range r.tails {
		if tail > elements {
			continue
		}
		path = skipElements(path, elements-tail)
		elements = tail
		if value := s.match(r.multi, path, elements); value != nothingFound {
			return value
		}
	}
	return nothingFound
}

// find returns the rule for the method, else for the other one, else for any.
func (n *node) find(method, otherwise methodID) *ending {
	switch {
	case n.pattern == nil:
		return nil
	case n.method == method:
		return &n.ending
	}
	var found *ending
	if n.method == otherwise || n.method == anyMethod {
		found = &n.ending
	}
	if n.rare == nil {
		return found
	}
	for i := range n.rare.endings {
		switch e := &n.rare.endings[i]; {
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

// walk calls yield for the endings at and below n in the order in which they are
// tried, until it returns false. Only those so many elements below n count,
// unless depth is -1.
func (n *node) walk(depth int, yield func(*ending) bool) bool {
	if depth <= 0 && n.pattern != nil && !yield(&n.ending) {
		return false
	}
	if depth <= 0 && n.rare != nil {
		for i := range n.rare.endings {
			if !yield(&n.rare.endings[i]) {
				return false
			}
		}
	}
	if depth == 0 {
		return true
	}
	next := max(depth-1, -1)
	for e := n.literals; e != nil; e = e.next {
		if !e.to.walk(next, yield) {
			return false
		}
	}
	for e := n.regexps; e != nil; e = e.next {
		if !e.to.walk(next, yield) {
			return false
		}
	}
	if n.any != nil && !n.any.walk(next, yield) {
		return false
	}
	if n.rare != nil {
		for _, tail := range n.rare.tails {
			if !n.rare.multi.walk(tail, yield) {
				return false
			}
		}
	}
	return true
}
