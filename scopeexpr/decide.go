// SPDX-License-Identifier: Apache-2.0

package scopeexpr

import (
	"slices"
	"sync"
	"sync/atomic"

	"github.com/caddy-gluu/gateway/pathmatch"
)

// Scopes are the scopes of one token, as one policy sees them. What the policy
// has found out about them once it looks up from then on: it is made to be kept
// beside the token. It is safe for concurrent use.
//
// Two things are remembered. A fact is whether the scopes satisfy an expression
// (or an entry) that depends on nothing but the scopes. A binding is what the
// groups of a pattern found in them, to be compared with the captures of each
// path anew. That a request was granted is remembered nowhere.
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

// Decide says whether a token with these scopes may pass the rule on a
// canonical path, which the rule must match. Scopes made for another policy
// are decided as well, at a price; without scopes nothing is granted.
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
// the permissions for one UMA resource. A rule that is tied to captures, which
// UMA rules cannot be, denies.
func (r *Rule) DecideSet(scopes []string) bool {
	grants, _ := r.expression.decideStatic(scopes)
	return grants
}

// learn decides an expression that is not bound, and notes the result.
func (e *compiled) learn(s *Scopes) bool {
	grants, certain := e.decideStatic(s.scopes)
	if certain {
		s.facts.set(e.id, grants)
	}
	return grants
}

// decideStatic decides an expression that depends on nothing but the scopes. A
// decision for which a pattern ran out of time is no, and not certain.
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

// match says whether some scope satisfies an entry that is not bound.
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

// decideBound decides an expression that compares scopes with captures. Its
// result is true of this path and of no other.
func (r *Rule) decideBound(path string, s *Scopes) bool {
	buffer := captureBuffers.Get().(*[16]pathmatch.Capture)
	defer captureBuffers.Put(buffer)
	captures := r.pattern.Captures(path, buffer[:0])
	if len(captures) != r.pattern.NumCaptures() {
		return false // an expression of the path ran out of time
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

// fact says whether some scope satisfies an entry that is not bound.
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

// equalCaptures says whether some scope satisfies a bound entry: the pattern
// matches it as a whole, and each of its groups equals the capture of its
// number. All groups must be found on the same scope.
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

// equals compares what the groups found in one scope with the captures. An
// absent capture equals nothing.
func (e *entry) equals(values []string, captures []pathmatch.Capture) bool {
	for i, b := range e.bound {
		if c := captures[b.capture]; !c.Present || c.Value != values[i] {
			return false
		}
	}
	return true
}

// A binding is what the groups of a bound entry found in a token's scopes: as
// many values as the entry has groups tied to captures for each scope that the
// pattern matches.
type binding struct{ values []string }

// bind matches a bound entry with the scopes. A scope in which a group took no
// part can equal nothing and is left out.
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

// A factTable holds two bits for each fact: whether it is known, and what it
// is. The first 32 facts, which is all that most policies have, take one word;
// further ones take pages that are made when a fact of theirs is first learnt,
// so that a token costs what it uses and not what the policy could ask.
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

// word returns where a fact beyond the first ones stands, nil if nothing near
// it is known.
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

// A bindingTable holds the binding of each bound entry that was asked for.
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

// pageOf returns page n of a table, which it lengthens as needed. A page is
// made once and stays: the lists of pages that follow each other share it.
// What two goroutines write at once may be lost by the one that loses the
// exchange, which only means that it is found out again.
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
