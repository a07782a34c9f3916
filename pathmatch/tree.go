// SPDX-License-Identifier: Apache-2.0

package pathmatch

import (
	"fmt"
	"iter"
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
	root   node
	values []V
}

// A node is a place in the patterns, namely between two elements.
type node struct {
	// end is where patterns end that lead to this node.
	end *ending

	literals []*node          // children by text, in order of appearance
	byText   map[string]*node // the same, if they are many
	regexps  []*node          // children by regular expression, in order of appearance
	any      *node            // child for ?
	multi    *node            // child for ??
	tails    []int            // how many elements the patterns below multi need, descending

	// What the patterns below this node need, to turn around early: bit n of
	// exactly is set if one of them ends n elements further down, and the last
	// bit if one ends there or deeper. Patterns with a ?? below this node have
	// atLeast more elements, the ?? among them; 0 means that there are none.
	exactly uint64
	atLeast int

	text string // of a literal
	re   Regexp
	via  *Pattern // the first pattern that came through this node
}

// An ending is a pattern and what it leads to.
type ending struct {
	pattern *Pattern
	methods []methodValue // Any is last
}

type methodValue struct {
	method string
	value  int // index into the tree's values
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
	n := t.root.descend(p)
	if n.end == nil {
		n.end = &ending{pattern: p}
	}
	if !n.end.add(method, len(t.values)) {
		return &ConflictError{Pattern: p.text, Method: method}
	}
	t.values = append(t.values, v)
	return nil
}

func (e *ending) add(method string, value int) bool {
	at := len(e.methods)
	for i, m := range e.methods {
		if m.method == method {
			return false
		}
		if m.method == Any {
			at = i
		}
	}
	e.methods = slices.Insert(e.methods, at, methodValue{method, value})
	return true
}

// descend returns the node at which the pattern ends, making those that are
// missing.
func (n *node) descend(p *Pattern) *node {
	for i := range p.elements {
		n.expect(p, i)
		n = n.child(&p.elements[i])
		if n.via == nil {
			n.via = p
		}
	}
	n.expect(p, len(p.elements))
	return n
}

// expect notes that the pattern comes through n with element i next.
func (n *node) expect(p *Pattern, i int) {
	rest := len(p.elements) - i
	if i > p.multi { // there is no ??, or it is behind us
		n.exactly |= 1 << min(rest, 63)
		return
	}
	if n.atLeast == 0 || rest < n.atLeast {
		n.atLeast = rest
	}
	if i == p.multi {
		tail := rest - 1
		at, found := slices.BinarySearchFunc(n.tails, tail, func(a, b int) int { return b - a })
		if !found {
			n.tails = slices.Insert(n.tails, at, tail)
		}
	}
}

// manyLiterals is the number of children from which on a map is faster.
const manyLiterals = 8

func (n *node) child(e *element) *node {
	switch e.kind {
	case literalElement:
		if c := n.literal(e.text); c != nil {
			return c
		}
		c := &node{text: e.text}
		n.literals = append(n.literals, c)
		if len(n.literals) > manyLiterals {
			if n.byText == nil {
				n.byText = make(map[string]*node)
				for _, c := range n.literals {
					n.byText[c.text] = c
				}
			}
			n.byText[e.text] = c
		}
		return c
	case regexpElement:
		for _, c := range n.regexps {
			if c.re.String() == e.text {
				return c
			}
		}
		c := &node{re: e.re}
		n.regexps = append(n.regexps, c)
		return c
	case anyElement:
		if n.any == nil {
			n.any = &node{}
		}
		return n.any
	default:
		if n.multi == nil {
			n.multi = &node{}
		}
		return n.multi
	}
}

func (n *node) literal(text string) *node {
	if n.byText != nil {
		return n.byText[text]
	}
	for _, c := range n.literals {
		if c.text == text {
			return c
		}
	}
	return nil
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
	s := search{method: method}
	value := s.match(&t.root, path, strings.Count(path, "/"))
	if s.undecided != nil {
		return v, s.undecided, false
	}
	if value < 0 {
		return v, nil, false
	}
	return t.values[value], s.pattern, true
}

// A search is the state of one call of Match.
type search struct {
	method    string
	pattern   *Pattern // that was found
	undecided *Pattern // whose expression ran out of time
}

// match returns the value of the best pattern below n for the path, which has
// so many elements, or -1.
func (s *search) match(n *node, path string, elements int) int {
	if n.exactly&(1<<min(elements, 63)) == 0 && (n.atLeast == 0 || elements+1 < n.atLeast) {
		return -1
	}
	if elements == 0 {
		if n.end != nil {
			if value := n.end.find(s.method); value >= 0 {
				s.pattern = n.end.pattern
				return value
			}
		}
	} else {
		element, rest := firstElement(path)
		if c := n.literal(element); c != nil {
			if value := s.match(c, rest, elements-1); value >= 0 || s.undecided != nil {
				return value
			}
		}
		for _, c := range n.regexps {
			ok, err := c.re.Match(element)
			if err != nil {
				s.undecided = c.via
				return -1
			}
			if !ok {
				continue
			}
			if value := s.match(c, rest, elements-1); value >= 0 || s.undecided != nil {
				return value
			}
		}
		if n.any != nil {
			if value := s.match(n.any, rest, elements-1); value >= 0 || s.undecided != nil {
				return value
			}
		}
	}
	for _, tail := range n.tails {
		if tail > elements {
			continue
		}
		path = skipElements(path, elements-tail)
		elements = tail
		if value := s.match(n.multi, path, elements); value >= 0 || s.undecided != nil {
			return value
		}
	}
	return -1
}

func (e *ending) find(method string) int {
	get := -1
	for _, m := range e.methods {
		switch m.method {
		case method:
			return m.value
		case "GET":
			if method == "HEAD" {
				get = m.value
			}
		case Any:
			if get < 0 {
				get = m.value
			}
		}
	}
	return get
}

// Walk calls yield for each rule, in the order in which the rules are tried,
// until it returns false.
func (t *Tree[V]) Walk(yield func(p *Pattern, method string, v V) bool) {
	for e := range t.root.endings() {
		for _, m := range e.methods {
			if !yield(e.pattern, m.method, t.values[m.value]) {
				return
			}
		}
	}
}

// endings returns the endings at and below n in the order in which they are
// tried.
func (n *node) endings() iter.Seq[*ending] {
	return func(yield func(*ending) bool) {
		n.walk(-1, yield)
	}
}

// walk is restricted to endings so many elements below n, unless depth is -1.
func (n *node) walk(depth int, yield func(*ending) bool) bool {
	if n.end != nil && depth <= 0 && !yield(n.end) {
		return false
	}
	if depth == 0 {
		return true
	}
	next := max(depth-1, -1)
	for _, children := range [][]*node{n.literals, n.regexps} {
		for _, c := range children {
			if !c.walk(next, yield) {
				return false
			}
		}
	}
	if n.any != nil && !n.any.walk(next, yield) {
		return false
	}
	for _, tail := range n.tails {
		if !n.multi.walk(tail, yield) {
			return false
		}
	}
	return true
}
