// SPDX-License-Identifier: Apache-2.0

package scopeexpr

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/caddy-gluu/gateway/pathmatch"
)

// A Policy finds the rule for a request and decides it. It is made by
// Document.Compile, is immutable, and may be used by any number of goroutines.
type Policy struct {
	uma     bool
	tree    pathmatch.Tree[*Rule]
	rules   []*Rule // in the order of the document
	ordered []*Rule // in the order in which they are tried

	facts    int // how many facts about a token the rules ask for
	bindings int // how many entries are tied to captures

	allScopes []string
}

// Rule is what one path pattern asks for, for one method.
type Rule struct {
	policy     *Policy
	pattern    *pathmatch.Pattern
	method     string
	condition  *Condition
	expression *compiled
	index      int
}

// number gives an expression its places in a token's Scopes: a fact for
// itself if it depends on nothing but the token, otherwise one for each entry
// that does and a binding for each that does not.
func (p *Policy) number(e *compiled) {
	if !e.bound {
		e.id = p.facts
		p.facts++
		return
	}
	for _, entry := range e.entries {
		switch {
		case entry.id >= 0:
		case entry.isBound():
			entry.id = p.bindings
			p.bindings++
		default:
			entry.id = p.facts
			p.facts++
		}
	}
}

// finish fills in what can be known once all rules are there.
func (p *Policy) finish() *Policy {
	p.tree.Walk(func(_ *pathmatch.Pattern, _ string, r *Rule) bool {
		p.ordered = append(p.ordered, r)
		return true
	})
	seen := make(map[string]bool)
	for _, r := range p.rules {
		for _, e := range r.expression.entries {
			if e.pattern == nil && e.text != "" && !seen[e.text] {
				seen[e.text] = true
				p.allScopes = append(p.allScopes, e.text)
			}
		}
	}
	return p
}

// Find returns the rule for a request, nil if there is none. The path must be
// canonical (pathmatch.Canonicalize). It does not allocate.
func (p *Policy) Find(method, path string) *Rule {
	r, _ := p.Lookup(method, path)
	return r
}

// ErrUndecided says that nobody knows which rule a request falls under, since
// an expression in a path took too long.
var ErrUndecided = errors.New("it is unknown which rule applies")

// Lookup is Find for those who let requests without a rule pass. The error is
// ErrUndecided: such a request must not.
func (p *Policy) Lookup(method, path string) (*Rule, error) {
	r, pattern, ok := p.tree.Match(method, path)
	if !ok && pattern != nil {
		return nil, fmt.Errorf("%w: path %s: %w", ErrUndecided, pattern, pathmatch.ErrRegexpTimeout)
	}
	return r, nil
}

// Rules returns the rules in the order in which they are tried. The slice must
// not be changed.
func (p *Policy) Rules() []*Rule { return p.ordered }

// NumRules returns how many rules there are, one for each path and method.
func (p *Policy) NumRules() int { return len(p.rules) }

// AllScopes returns the scopes that the rules name, patterns aside, in the
// order of the document (scopes_supported of RFC 9728). The slice must not be
// changed.
func (p *Policy) AllScopes() []string { return p.allScopes }

// Pattern returns the path pattern as the document has it.
func (r *Rule) Pattern() string { return r.pattern.String() }

// PathPattern returns the pattern itself.
func (r *Rule) PathPattern() *pathmatch.Pattern { return r.pattern }

// Method returns the method that the rule is for; "?" is any that its path
// does not name.
func (r *Rule) Method() string { return r.method }

// Methods returns all methods of the condition that the rule comes from.
func (r *Rule) Methods() []string { return slices.Clone(r.condition.HTTPMethods) }

// Condition returns what the document says. Rules that come from one condition
// return the same pointer. It must not be changed.
func (r *Rule) Condition() *Condition { return r.condition }

// Expression returns the scope expression of the document. It must not be
// changed.
func (r *Rule) Expression() *Expression { return r.condition.ScopeExpression }

// Index returns where the rule stands among all rules in the order of the
// document, from 0 to NumRules()-1.
func (r *Rule) Index() int { return r.index }

// StaticScopes returns the scopes that satisfy the rule if it asks for all of
// a list of them and for nothing else, otherwise nil. The slice must not be
// changed.
func (r *Rule) StaticScopes() []string { return r.expression.static }

// ChallengeScope is StaticScopes as the scope parameter of a challenge spells
// it (RFC 6750, section 3), "" if there is no such list.
func (r *Rule) ChallengeScope() string { return r.expression.joined }

// Scopes returns the scopes that the rule's expression refers to, patterns
// included, in the order in which it does: what an UMA resource is registered
// with and what a permission ticket asks for.
func (r *Rule) Scopes() []string {
	scopes := make([]string, len(r.expression.entries))
	for i, e := range r.expression.entries {
		scopes[i] = e.text
	}
	return scopes
}

// DecidesLike says whether two rules grant and refuse the same requests,
// whatever paths they are about: for the same scopes, and with the same
// demands beside them. Rules that are tied to captures are like no other, and
// UMA rules only like those of the same resource.
func (r *Rule) DecidesLike(other *Rule) bool {
	a, b := r.condition, other.condition
	return r.expression == other.expression && !r.expression.bound &&
		slices.Equal(a.ACR, b.ACR) && a.MaxAge == b.MaxAge &&
		(!r.policy.uma || a == b || a.ResourceID == b.ResourceID && a.ResourceName == b.ResourceName && a.ResourceID+a.ResourceName != "")
}

// Outcomes says whether there are scopes that the rule would grant, and scopes
// that it would refuse. A rule with too many entries to try counts as one that
// does both.
func (r *Rule) Outcomes() (grants, refuses bool) {
	const most = 12
	s := r.expression.shape
	if s.refs > most {
		return true, true
	}
	all := uint64(1)<<s.refs - 1
	for bits := range all + 1 {
		// From both ends, since most rules grant with all and refuse with none.
		for _, bits := range []uint64{bits, all - bits} {
			if s.grants(&combination{bits}) {
				grants = true
			} else {
				refuses = true
			}
		}
		if grants && refuses {
			break
		}
	}
	return grants, refuses
}

// UMA says whether the rule is one of an UMA policy.
func (r *Rule) UMA() bool { return r.policy.uma }

// ResourceName returns the name by which the UMA authorization server knows
// what the rule protects: that of the document, otherwise the methods of the
// condition and the path behind an optional prefix: "GET,POST /todos/?". It is
// "" for a rule whose resource is known by its id.
func (r *Rule) ResourceName(prefix string) string {
	switch c := r.condition; {
	case c.ResourceID != "":
		return ""
	case c.ResourceName != "":
		return c.ResourceName
	default:
		return prefix + strings.Join(c.HTTPMethods, ",") + " " + r.Pattern()
	}
}
