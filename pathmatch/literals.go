// SPDX-License-Identifier: Apache-2.0

package pathmatch

import "math/bits"

// This file finds the child of a node for literal text. Few children are
// compared one by one. Many have a hash table. It is faster than Go's map, which
// must defend itself against hostile keys; these keys come from the
// configuration, and no request can add one.

type literalEdge struct {
	text string
	to   *node
	next *literalEdge
}

// A literalTable is a hash table with open addressing, at least half of which
// is empty.
type literalTable struct {
	slots []slot // a power of two
	count int
	last  *literalEdge // of the list
}

// A slot is an edge and the hash of its text, or empty.
type slot struct {
	hash uint64
	text string
	to   *node
}

// fewLiterals is the largest number of children that need no table.
const fewLiterals = 6

func (n *node) literal(text string) *node {
	if n.rare != nil && n.rare.table != nil {
		return n.rare.table.find(text)
	}
	for e := n.literals; e != nil; e = e.next {
		if e.text == text {
			return e.to
		}
	}
	return nil
}

func (n *node) addLiteral(e *literalEdge) {
	if n.rare != nil && n.rare.table != nil {
		n.rare.table.add(e)
		return
	}
	end, count := &n.literals, 1
	for ; *end != nil; end = &(*end).next {
		count++
	}
	*end = e
	if count > fewLiterals {
		t := &literalTable{slots: make([]slot, 16)}
		for e := n.literals; e != nil; e = e.next {
			t.enter(e.text, e.to)
			t.last = e
		}
		n.rarely().table = t
	}
}

// add adds an edge to the table and to the end of the list.
func (t *literalTable) add(e *literalEdge) {
	t.last.next, t.last = e, e
	if 2*t.count >= len(t.slots) {
		old := t.slots
		t.slots, t.count = make([]slot, 2*len(old)), 0
		for _, s := range old {
			if s.to != nil {
				t.enter(s.text, s.to)
			}
		}
	}
	t.enter(e.text, e.to)
}

func (t *literalTable) enter(text string, to *node) {
	hash := hashText(text)
	mask := uint64(len(t.slots) - 1)
	i := hash & mask
	for t.slots[i].to != nil {
		i = (i + 1) & mask
	}
	t.slots[i] = slot{hash, text, to}
	t.count++
}

func (t *literalTable) find(text string) *node {
	hash := hashText(text)
	mask := uint64(len(t.slots) - 1)
	for i := hash & mask; t.slots[i].to != nil; i = (i + 1) & mask {
		if s := &t.slots[i]; s.hash == hash && s.text == text {
			return s.to
		}
	}
	return nil
}

// hashText hashes all of a text, eight bytes at a time.
func hashText(s string) uint64 {
	h := uint64(len(s))
	for ; len(s) > 8; s = s[8:] {
		h = mix(h ^ load64(s))
	}
	var last uint64
	switch n := len(s); {
	case n == 8:
		last = load64(s)
	case n >= 4:
		last = load32(s) | load32(s[n-4:])<<32
	case n > 0:
		last = uint64(s[0]) | uint64(s[n/2])<<8 | uint64(s[n-1])<<16
	}
	return mix(h ^ last)
}

func mix(x uint64) uint64 {
	high, low := bits.Mul64(x^0x9e3779b97f4a7c15, 0xbf58476d1ce4e5b9)
	return high ^ low
}

func load32(s string) uint64 {
	return uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24
}

func load64(s string) uint64 { return load32(s) | load32(s[4:])<<32 }
