// SPDX-License-Identifier: Apache-2.0

package pathmatch

import (
	"math/bits"
	"regexp/syntax"
	"unicode/utf8"
)

// This file finds the regular expressions of one node that may match an
// element, without trying them all.
//
// For each expression it knows properties of every matching text: the first and
// the last character, the length, and two adjacent bytes of a literal part.
// Given
//
//	{[a-z]+-17-\d+}
//	{kind[0-9]{3}}
//	{\d+}
//
// the element "report-17-3" begins with r, ends with 3, has 11 characters and
// contains "-1". Each property rules out some expressions; tables of bit sets do
// so for 64 expressions at once. The others are tried in order of appearance.

// fewSiblings is the largest number of expressions that are all tried.
const fewSiblings = 16

// A regexpIndex tells which regular expressions of a node may match.
type regexpIndex struct {
	edges  []*regexpEdge
	blocks []block          // blocks[i] is about edges[64*i:]
	known  map[Regexp]*node // what they lead to
}

type regexpEdge struct {
	re   Regexp
	to   *node
	next *regexpEdge
}

// A block holds one bit for each of 64 expressions: whether it may match. An
// unknown property of an expression allows every value.
type block struct {
	first  [symbols]uint64 // by first character
	last   [symbols]uint64 // by last character
	length [lengths]uint64 // by number of characters
	pair   [pairs]uint64   // by a pair of bytes that the element contains
	noPair uint64          // those for which no pair is known
}

const (
	symbols = utf8.RuneSelf + 2 // ASCII, anything beyond it, and no character at all
	beyond  = utf8.RuneSelf
	nothing = utf8.RuneSelf + 1

	lengths = 64 // the last one includes all greater ones
	pairs   = 512
)

// regexp returns the child of n for an expression, of which there is only one
// copy in a tree.
func (n *node) regexp(re Regexp) *node {
	if n.rare != nil && n.rare.index != nil {
		return n.rare.index.known[re]
	}
	for e := n.regexps; e != nil; e = e.next {
		if e.re == re {
			return e.to
		}
	}
	return nil
}

func (n *node) addRegexp(e *regexpEdge) {
	if n.rare != nil && n.rare.index != nil {
		x := n.rare.index
		x.edges[len(x.edges)-1].next = e
		x.add(e)
		return
	}
	end, count := &n.regexps, 1
	for ; *end != nil; end = &(*end).next {
		count++
	}
	*end = e
	if count > fewSiblings {
		x := &regexpIndex{known: make(map[Regexp]*node)}
		for e := n.regexps; e != nil; e = e.next {
			x.add(e)
		}
		n.rarely().index = x
	}
}

// add enters the next expression.
func (x *regexpIndex) add(e *regexpEdge) {
	number := len(x.edges)
	x.edges = append(x.edges, e)
	x.known[e.re] = e.to
	if number%64 == 0 {
		x.blocks = append(x.blocks, block{})
	}
	b := &x.blocks[number/64]
	bit := uint64(1) << (number % 64)

	p := allProperties
	if l, ok := e.re.(*linear); ok && l.fast != nil {
		p = l.fast.properties()
	}
	for symbol := range symbols {
		if p.first[symbol] {
			b.first[symbol] |= bit
		}
		if p.last[symbol] {
			b.last[symbol] |= bit
		}
	}
	for n := range lengths {
		if p.lengths>>n&1 != 0 {
			b.length[n] |= bit
		}
	}
	if pair, ok := b.rarestPair(requiredLiterals(e.re)); ok {
		b.pair[pair] |= bit
	} else {
		b.noPair |= bit
	}
}

// rarestPair returns the pair within literals that the fewest expressions of
// the block are entered under.
func (b *block) rarestPair(literals []string) (pair int, ok bool) {
	for _, s := range literals {
		for i := 1; i < len(s); i++ {
			p := hashPair(s[i-1], s[i])
			if !ok || bits.OnesCount64(b.pair[p]) < bits.OnesCount64(b.pair[pair]) {
				pair, ok = p, true
			}
		}
	}
	return pair, ok
}

func hashPair(a, b byte) int { return (int(a)*37 + int(b)) % pairs }

// properties are what the tables need to know of an element.
type elementProperties struct {
	first, last int // symbols
	length      int
	pairs       [64]uint16 // without duplicates
	numPairs    int
	manyPairs   bool // more than pairs can hold
}

func (p *elementProperties) read(element string) {
	// A character has four bytes at most.
	p.length = min(utf8.RuneCountInString(element[:min(len(element), 4*lengths)]), lengths-1)
	if element == "" {
		p.first, p.last = nothing, nothing
		return
	}
	p.first = min(int(element[0]), beyond)
	p.last = min(int(element[len(element)-1]), beyond)
	if p.manyPairs = len(element) > 4*len(p.pairs); p.manyPairs {
		return // looking for them would cost more than it saves
	}
	var seen [pairs / 64]uint64
	for i := 1; i < len(element); i++ {
		pair := hashPair(element[i-1], element[i])
		if seen[pair/64]>>(pair%64)&1 != 0 {
			continue
		}
		seen[pair/64] |= 1 << (pair % 64)
		if p.numPairs == len(p.pairs) {
			p.manyPairs = true
			return
		}
		p.pairs[p.numPairs] = uint16(pair)
		p.numPairs++
	}
}

// candidates returns the expressions that may match the element.
func (b *block) candidates(p *elementProperties) uint64 {
	set := b.first[p.first] & b.last[p.last] & b.length[p.length]
	if set&^b.noPair == 0 || p.manyPairs {
		return set
	}
	found := b.noPair
	for _, pair := range p.pairs[:p.numPairs] {
		found |= b.pair[pair]
	}
	return set & found
}

// properties are what all texts that an automaton accepts have in common.
type properties struct {
	first, last [symbols]bool
	lengths     uint64 // bit n: a text of n characters; the last bit: a longer one as well
}

var allProperties = func() (p properties) {
	for i := range symbols {
		p.first[i], p.last[i] = true, true
	}
	p.lengths = ^uint64(0)
	return p
}()

// properties returns the properties of texts that a accepts.
func (a *automaton) properties() (p properties) {
	classes := len(a.bounds)
	hopeful := a.hopeful()
	for class := range classes {
		first := hopeful[a.next[startState*classes+class]]
		last := false
		for state := range a.final {
			last = last || a.final[a.next[state*classes+class]]
		}
		for _, symbol := range a.symbols(class) {
			p.first[symbol] = p.first[symbol] || first
			p.last[symbol] = p.last[symbol] || last
		}
	}
	if a.final[startState] {
		p.first[nothing], p.last[nothing] = true, true
	}

	reached := make([]bool, len(a.final)) // after n characters
	reached[startState] = true
	for n := range lengths {
		after := make([]bool, len(a.final))
		for state := range a.final {
			if !reached[state] || !hopeful[state] {
				continue
			}
			if a.final[state] || n == lengths-1 {
				p.lengths |= 1 << n
			}
			for class := range classes {
				after[a.next[state*classes+class]] = true
			}
		}
		reached = after
	}
	return p
}

// hopeful returns the states from which a final one can be reached.
func (a *automaton) hopeful() []bool {
	classes := len(a.bounds)
	hopeful := append([]bool(nil), a.final...)
	for changed := true; changed; {
		changed = false
		for state := range hopeful {
			for class := 0; class < classes && !hopeful[state]; class++ {
				if hopeful[a.next[state*classes+class]] {
					hopeful[state], changed = true, true
				}
			}
		}
	}
	return hopeful
}

// symbols returns the symbols for the characters of a class.
func (a *automaton) symbols(class int) []int {
	low, high := a.bounds[class], rune(utf8.MaxRune)
	if class+1 < len(a.bounds) {
		high = a.bounds[class+1] - 1
	}
	var symbols []int
	for r := low; r <= min(high, utf8.RuneSelf-1); r++ {
		symbols = append(symbols, int(r))
	}
	if high >= utf8.RuneSelf {
		symbols = append(symbols, beyond)
	}
	return symbols
}

// requiredLiterals returns texts that every text contains that matches.
func requiredLiterals(re Regexp) []string {
	l, ok := re.(*linear)
	if !ok {
		return nil
	}
	parsed, err := syntax.Parse(l.source, syntax.Perl)
	if err != nil {
		return nil
	}
	return appendLiterals(nil, parsed)
}

func appendLiterals(dst []string, re *syntax.Regexp) []string {
	switch re.Op {
	case syntax.OpLiteral:
		if re.Flags&syntax.FoldCase != 0 {
			return dst
		}
		for _, r := range re.Rune {
			if r == utf8.RuneError {
				return dst // matches invalid UTF-8 too, whose bytes are others
			}
		}
		return append(dst, string(re.Rune))
	case syntax.OpConcat:
		for _, sub := range re.Sub {
			dst = appendLiterals(dst, sub)
		}
	case syntax.OpCapture, syntax.OpPlus:
		return appendLiterals(dst, re.Sub[0])
	case syntax.OpRepeat:
		if re.Min > 0 {
			return appendLiterals(dst, re.Sub[0])
		}
	}
	return dst
}
