// SPDX-License-Identifier: Apache-2.0

package pathmatch

import (
	"slices"
	"strings"
)

// freeElement stands for an element of a path that a pattern leaves open.
const freeElement = "x"

// Common returns a path that both patterns match. It is an example, as
// readable as the expressions allow; ok is false if none was found, which is not a
// proof that there is none ([Pattern.Disjoint]).
func (p *Pattern) Common(q *Pattern) (path string, ok bool) {
	if p.multi < 0 && q.multi < 0 && len(p.elements) != len(q.elements) {
		return "", false
	}
	var common []string
	if p.multi < 0 || q.multi < 0 {
		common, ok = p.commonWithOne(q)
	} else {
		common, ok = p.commonWithTwo(q)
	}
	path = "/" + strings.Join(common, "/")
	return path, ok && p.Matches(path) && q.Matches(path)
}

// commonWithOne is for patterns of which at most one has a ??.
func (p *Pattern) commonWithOne(q *Pattern) (common []string, ok bool) {
	if p.multi < 0 {
		p, q = q, p // now q has no ??
	}
	if len(q.elements) < p.fewest() {
		return nil, false
	}
	before, after := p.aroundMulti()
	if p.multi < 0 {
		after = nil
	}
	for i := range q.elements {
		other := &element{kind: anyElement}
		if i < len(before) {
			other = &before[i]
		} else if j := i - (len(q.elements) - len(after)); j >= 0 {
			other = &after[j]
		}
		text, ok := q.elements[i].common(other)
		if !ok {
			return nil, false
		}
		common = append(common, text)
	}
	return common, true
}

// commonWithTwo is for patterns that both have a ??: the one that says less at an end
// swallows what the other one says there.
func (p *Pattern) commonWithTwo(q *Pattern) (common []string, ok bool) {
	before, after := p.aroundMulti()
	qBefore, qAfter := q.aroundMulti()
	start, ok := commonPrefix(before, qBefore)
	if !ok {
		return nil, false
	}
	after, qAfter = slices.Clone(after), slices.Clone(qAfter)
	slices.Reverse(after)
	slices.Reverse(qAfter)
	end, ok := commonPrefix(after, qAfter)
	slices.Reverse(end)
	return append(start, end...), ok
}

func commonPrefix(a, b []element) (common []string, ok bool) {
	if len(a) < len(b) {
		a, b = b, a
	}
	for i := range a {
		other := &element{kind: anyElement}
		if i < len(b) {
			other = &b[i]
		}
		text, ok := a[i].common(other)
		if !ok {
			return nil, false
		}
		common = append(common, text)
	}
	return common, true
}

// common returns an element of a path that both elements match.
func (e *element) common(f *element) (text string, ok bool) {
	switch {
	case e.kind == anyElement && f.kind == anyElement:
		return freeElement, true
	case e.kind == literalElement:
		return e.text, f.matches(e.text)
	case f.kind == literalElement:
		return f.text, e.matches(f.text)
	}
	if e.matches(freeElement) && f.matches(freeElement) {
		return freeElement, true
	}
	for _, word := range slices.Concat(e.language().words, f.language().words) {
		if word != "" && !strings.Contains(word, "/") && e.matches(word) && f.matches(word) {
			return word, true
		}
	}
	return commonWord(e.automaton(), f.automaton())
}

// automaton returns nil for an element that is not an expression or has none.
func (e *element) automaton() *automaton {
	if l, ok := e.re.(*linear); ok {
		return l.fast
	}
	return nil
}

// maxPairs bounds the pairs of states that commonWord looks at.
const maxPairs = 4096

// commonWord returns a shortest text that both automata match, where an automaton that
// is nil matches everything.
func commonWord(a, b *automaton) (word string, ok bool) {
	if a == nil {
		a, b = b, a
	}
	if a == nil {
		return "", false
	}
	type pair struct{ a, b uint8 }
	type step struct {
		at   pair
		word string
	}
	seen := map[pair]bool{{startState, startState}: true}
	for queue := []step{{at: pair{startState, startState}}}; len(queue) > 0 && len(seen) < maxPairs; queue = queue[1:] {
		at, word := queue[0].at, queue[0].word
		if word != "" && a.final[at.a] && (b == nil || b.final[at.b]) {
			return word, true
		}
		for _, r := range friendly {
			next := pair{a.step(at.a, r), startState}
			if b != nil {
				next.b = b.step(at.b, r)
			}
			if next.a != deadState && next.b != deadState && !seen[next] {
				seen[next] = true
				queue = append(queue, step{next, word + string(r)})
			}
		}
	}
	return "", false
}

// friendly are the characters of examples.
const friendly = "x1Xabcdefghijklmnopqrstuvwyz023456789ABCDEFGHIJKLMNOPQRSTUVWYZ-_.~:@!$&'()*+,;="

// step returns the state after a character of ASCII.
func (a *automaton) step(state uint8, r rune) uint8 {
	return a.next[int(state)*len(a.bounds)+int(a.ascii[r])]
}
