// SPDX-License-Identifier: Apache-2.0

package pathmatch

import (
	"regexp/syntax"
	"slices"
)

// Covers reports whether every canonical path that q matches is one that p
// matches too. A rule for p that is tried before one for q then shadows it.
//
// The answer is a proof from the elements of both patterns. Where there is
// none, which is so for most pairs of different regular expressions, it is
// false.
func (p *Pattern) Covers(q *Pattern) bool {
	if p.multi < 0 {
		return q.multi < 0 && len(p.elements) == len(q.elements) &&
			everyPair(p.elements, q.elements, (*element).covers)
	}
	before, after := p.aroundMulti()
	qBefore, qAfter := q.aroundMulti()
	if q.multi < 0 && len(q.elements) < len(before)+len(after) {
		return false
	}
	return len(before) <= len(qBefore) && len(after) <= len(qAfter) &&
		everyPair(before, qBefore, (*element).covers) &&
		everyPair(after, qAfter[len(qAfter)-len(after):], (*element).covers)
}

// Disjoint reports whether there is no canonical path that both patterns match.
// Like that of [Pattern.Covers], the answer is a proof, and false without one.
func (p *Pattern) Disjoint(q *Pattern) bool {
	if p.multi < 0 && len(p.elements) < q.fewest() || q.multi < 0 && len(q.elements) < p.fewest() {
		return true
	}
	before, after := p.aroundMulti()
	qBefore, qAfter := q.aroundMulti()
	last := min(len(after), len(qAfter))
	return !everyPair(before, qBefore, (*element).mayMeet) ||
		!everyPair(after[len(after)-last:], qAfter[len(qAfter)-last:], (*element).mayMeet)
}

// aroundMulti returns the elements before the ?? and those after it. Without a
// ?? each of them is all elements, counted from the left and from the right.
func (p *Pattern) aroundMulti() (before, after []element) {
	if p.multi < 0 {
		return p.elements, p.elements
	}
	return p.elements[:p.multi], p.elements[p.multi+1:]
}

// fewest is the number of elements that a path must have.
func (p *Pattern) fewest() int {
	if p.multi < 0 {
		return len(p.elements)
	}
	return len(p.elements) - 1
}

// everyPair compares as many elements from the left as both have.
func everyPair(a, b []element, holds func(a, b *element) bool) bool {
	for i := range min(len(a), len(b)) {
		if !holds(&a[i], &b[i]) {
			return false
		}
	}
	return true
}

// covers says that e matches every element that f matches.
func (e *element) covers(f *element) bool {
	switch {
	case e.kind == anyElement, e.kind == f.kind && e.text == f.text:
		return true
	case f.kind == literalElement:
		return e.matches(f.text)
	case e.language().all:
		return true
	}
	words := f.language().words
	return words != nil && !slices.ContainsFunc(words, func(s string) bool { return !e.matches(s) })
}

// mayMeet says that both may match some element: it is false only where there
// is a proof that they do not.
func (e *element) mayMeet(f *element) bool {
	switch {
	case e.kind == literalElement:
		return f.mayMatch(e.text)
	case f.kind == literalElement:
		return e.mayMatch(f.text)
	}
	if words := e.language().words; words != nil {
		return slices.ContainsFunc(words, f.mayMatch)
	}
	if words := f.language().words; words != nil {
		return slices.ContainsFunc(words, e.mayMatch)
	}
	return true
}

// mayMatch is matches for a caller to whom "no" is a proof: an expression that
// runs out of time has not said no.
func (e *element) mayMatch(s string) bool {
	if e.kind != regexpElement {
		return e.matches(s)
	}
	matched, err := e.re.Match(s)
	return matched || err != nil
}

// A language is what is known about the texts that an expression matches.
type language struct {
	words []string // all of them, and perhaps more; nil if they are too many
	all   bool     // every element of a canonical path is among them
}

// language is empty where nothing is known, and where e is not an expression.
func (e *element) language() language {
	if l, ok := e.re.(*linear); ok {
		return l.language()
	}
	return language{}
}

// language is worked out when it is first asked for: nothing on the way of a
// request needs it.
func (l *linear) language() language {
	l.once.Do(func() {
		parsed, err := syntax.Parse(l.source, syntax.Perl)
		if err != nil {
			return
		}
		parsed = parsed.Simplify()
		if words, finite := wordsOf(parsed); finite {
			l.known.words = words
		}
		l.known.all = matchesAll(parsed)
	})
	return l.known
}
