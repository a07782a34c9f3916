// SPDX-License-Identifier: Apache-2.0

package scopeexpr

import (
	"slices"
	"sync"
	"sync/atomic"

	"github.com/caddy-gluu/gateway/pathmatch"
)

// Scopes are the scopes of one token for one policy, with a cache of what the
// policy has found out about them. Keep it with the token. It is safe for
// concurrent use.
//
// Two things are cached. A fact is whether the scopes satisfy an expression (or
// an entry) that depends only on the scopes. A binding is what the groups of a
// pattern matched in them, to be compared with the captures of each path. Whether
// a request was granted is never cached.
type Scopes struct {
	policy *Policy
	scopes []string

	facts    factTable
	bindings bindingTable
}

// NewScopes returns the scopes of a token for the rules of p. The slice must
// not be changed afterwards.
func NewScopes(p *Policy, scopes []string) *Scopes {
	return &Scopes{policy: p, scopes: scopes}
}

// Decide reports whether the rule grants a token with these scopes a canonical
// path, which the rule must match. Scopes made for another policy also work, but
// without the cache; nil scopes are granted nothing.
func (r *Rule) Decide(path string, s *Scopes) bool {
	if s == nil {
		return false
	}
	if s.policy != r.policy {
		s = NewScopes(r.policy, s.scopes)
	}
	e := r.expression
	if e.bound {
		return r.decideBound(path, s)
	}
	if value, known := s.facts.get(e.id); known {
		return value
	}
	return e.learn(s)
}

// DecideSet is Decide for a list of scopes that belongs to one request, such as
// the permissions for one UMA resource. A rule that refers to captures denies;
// UMA rules never do.
func (r *Rule) DecideSet(scopes []string) bool {
	grants, _ := r.expression.decideStatic(scopes)
	return grants
}

// learn decides an expression that is not bound, and caches the result.
func (e *compiled) learn(s *Scopes) bool {
	grants, certain := e.decideStatic(s.scopes)
	if certain {
		s.facts.set(e.id, grants)
	}
	return grants
}

// decideStatic decides an expression that depends only on the scopes. If a pattern
// times out, the decision is to deny, and it is not certain.
func (e *compiled) decideStatic(scopes []string) (grants, certain bool) {
	if e.bound {
		return false, true
	}
	var c combination
	for i, entry := range e.entries {
		matched, err := entry.match(scopes)
		if err != nil {
			return false, false
		}
		if matched {
			c.set(i)
		}
	}
	return e.shape.grants(&c), true
}

// match reports whether a scope satisfies an entry that is not bound.
func (e *entry) match(scopes []string) (bool, error) {
	if e.pattern == nil {
		return slices.Contains(scopes, e.text), nil
	}
	var failed error
	for _, scope := range scopes {
		matched, err := e.pattern.Match(scope)
		if matched && err == nil {
			return true, nil
		}
		if err != nil {
			failed = err
		}
	}
	return false, failed
}

// captureBuffers hold the captures of a path while it is decided.
var captureBuffers = sync.Pool{New: func() any { return new([16]pathmatch.Capture) }}

// decideBound decides an expression that compares scopes with captures. The
// result holds for this path only.
func (r *Rule) decideBound(path string, s *Scopes) bool {
	buffer := captureBuffers.Get().(*[16]pathmatch.Capture)
	defer captureBuffers.Put(buffer)
	captures := r.pattern.Captures(path, buffer[:0])
	if len(captures) != r.pattern.NumCaptures() {
		return false // an expression of the path timed out
	}
	var c combination
	for i, e := range r.expression.entries {
		var matched, certain bool
		if e.isBound() {
			matched, certain = s.equalCaptures(e, captures)
		} else {
			matched, certain = s.fact(e)
		}
		if !certain {
			return false
		}
		if matched {
			c.set(i)
		}
	}
	return r.expression.shape.grants(&c)
}

// fact reports whether a scope satisfies an entry that is not bound.
func (s *Scopes) fact(e *entry) (value, certain bool) {
	if value, known := s.facts.get(e.id); known {
		return value, true
	}
	value, err := e.match(s.scopes)
	if err != nil {
		return false, false
	}
	s.facts.set(e.id, value)
	return value, true
}

// equalCaptures reports whether a scope satisfies a bound entry: the pattern
// matches it as a whole, and each group PCn equals capture n. All groups must
// match in the same scope.
func (s *Scopes) equalCaptures(e *entry, captures []pathmatch.Capture) (equal, certain bool) {
	found := s.bindings.get(e.id)
	if found == nil {
		var err error
		if found, err = e.bind(s.scopes); err != nil {
			return false, false
		}
		s.bindings.set(e.id, found)
	}
	for values := found.values; len(values) > 0; values = values[len(e.bound):] {
		if e.equals(values[:len(e.bound)], captures) {
			return true, true
		}
	}
	return false, true
}

// equals compares the groups in one scope with the captures. An absent capture
// equals nothing.
func (e *entry) equals(values []string, captures []pathmatch.Capture) bool {
	for i, b := range e.bound {
		if c := captures[b.capture]; !c.Present || c.Value != values[i] {
			return false
		}
	}
	return true
}

// A binding is what the groups of a bound entry matched in a token's scopes: for
// each scope that the pattern matches, one value for each group that is tied to a
// capture.
type binding struct{ values []string }

// bind matches a bound entry with the scopes. A scope in which a group did not
// participate equals nothing and is left out.
func (e *entry) bind(scopes []string) (*binding, error) {
	found := &binding{}
	var groups []pathmatch.Capture
	for _, scope := range scopes {
		var matched bool
		var err error
		groups, matched, err = e.pattern.Find(scope, groups[:0])
		if err != nil {
			return nil, err
		}
		if !matched {
			continue
		}
		all := len(found.values)
		for _, b := range e.bound {
			if !groups[b.group].Present {
				found.values = found.values[:all]
				break
			}
			found.values = append(found.values, groups[b.group].Value)
		}
	}
	return found, nil
}

// A factTable holds two bits for each fact: whether it is known, and its value.
// The first 32 facts, enough for most policies, are in one word. The others are
// in pages that are allocated on first use, so a token pays for the facts that it
// uses and not for the size of the policy.
type factTable struct {
	first atomic.Uint64
	pages atomic.Pointer[[]atomic.Pointer[factPage]]
}

const (
	factsPerWord = 32
	wordsPerPage = 8
	factsPerPage = factsPerWord * wordsPerPage
)

type factPage [wordsPerPage]atomic.Uint64

func (t *factTable) get(id int) (value, known bool) {
	word := &t.first
	if id >= factsPerWord {
		if word = t.word(id); word == nil {
			return false, false
		}
	}
	bits := word.Load() >> (id % factsPerWord * 2)
	return bits&3 == 3, bits&1 != 0
}

// word returns the word of a fact beyond the first ones, nil if its page does not
// exist.
func (t *factTable) word(id int) *atomic.Uint64 {
	pages := t.pages.Load()
	if pages == nil || id/factsPerPage >= len(*pages) {
		return nil
	}
	page := (*pages)[id/factsPerPage].Load()
	if page == nil {
		return nil
	}
	return &page[id%factsPerPage/factsPerWord]
}

func (t *factTable) set(id int, value bool) {
	bits := uint64(1)
	if value {
		bits = 3
	}
	bits <<= id % factsPerWord * 2
	if id < factsPerWord {
		t.first.Or(bits)
		return
	}
	page := pageOf(&t.pages, id/factsPerPage)
	page[id%factsPerPage/factsPerWord].Or(bits)
}

// A bindingTable holds the bindings of the bound entries that were used.
type bindingTable struct {
	pages atomic.Pointer[[]atomic.Pointer[bindingPage]]
}

const bindingsPerPage = 8

type bindingPage [bindingsPerPage]atomic.Pointer[binding]

func (t *bindingTable) get(id int) *binding {
	pages := t.pages.Load()
	if pages == nil || id/bindingsPerPage >= len(*pages) {
		return nil
	}
	page := (*pages)[id/bindingsPerPage].Load()
	if page == nil {
		return nil
	}
	return page[id%bindingsPerPage].Load()
}

func (t *bindingTable) set(id int, b *binding) {
	pageOf(&t.pages, id/bindingsPerPage)[id%bindingsPerPage].Store(b)
}

// pageOf returns page n of a table, and grows the table as needed. Successive
// lists share their pages. If two goroutines write at once, one write may be
// lost; the fact is then computed again.
func pageOf[P any](table *atomic.Pointer[[]atomic.Pointer[P]], n int) *P {
	for {
		pages := table.Load()
		if pages == nil || n >= len(*pages) {
			longer := make([]atomic.Pointer[P], n+1)
			if pages != nil {
				for i := range *pages {
					longer[i].Store((*pages)[i].Load())
				}
			}
			table.CompareAndSwap(pages, &longer)
			continue
		}
		slot := &(*pages)[n]
		if page := slot.Load(); page != nil {
			return page
		}
		slot.CompareAndSwap(nil, new(P))
	}
}
