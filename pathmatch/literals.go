// SPDX-License-Identifier: Apache-2.0

package pathmatch

import "math/bits"

// This file finds the child of a node for literal text. A few are compared one
// by one. Many have a hash table: Go's maps would do, but they must expect the
// worst of their keys. These come from the configuration and nobody can add
// one, so that a quick hash will do.

type literalEdge struct {
	text string
	to   *node
}

// A literalTable is a hash table with open addressing, at least half of which
// is empty.
type literalTable []slot

// A slot is an edge and the hash of its text, or empty.
type slot struct {
	literalEdge
	hash uint64
}

// fewLiterals is the number of children up to which there is no table.
const fewLiterals = 6

func (n *node) literal(text string) *node {
	if n.many != nil && n.many.literals != nil {
		return n.many.literals.find(text)
	}
	for i := range n.literals {
		if n.literals[i].text == text {
			return n.literals[i].to
		}
	}
	return nil
}

func (n *node) addLiteral(text string, to *node) {
	n.literals = append(n.literals, literalEdge{text, to})
	count := len(n.literals)
	if count <= fewLiterals {
		return
	}
	if n.many == nil {
		n.many = new(many)
	}
	if t := n.many.literals; 2*count <= len(t) {
		t.add(n.literals[count-1])
		return
	}
	t := make(literalTable, 2<<bits.Len(uint(count)))
	for _, e := range n.literals {
		t.add(e)
	}
	n.many.literals = t
}

func (t literalTable) find(text string) *node {
	hash := hashText(text)
	mask := uint64(len(t) - 1)
	for i := hash & mask; t[i].to != nil; i = (i + 1) & mask {
		if s := &t[i]; s.hash == hash && s.text == text {
			return s.to
		}
	}
	return nil
}

func (t literalTable) add(e literalEdge) {
	hash := hashText(e.text)
	mask := uint64(len(t) - 1)
	i := hash & mask
	for t[i].to != nil {
		i = (i + 1) & mask
	}
	t[i] = slot{e, hash}
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
