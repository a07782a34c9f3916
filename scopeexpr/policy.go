// SPDX-License-Identifier: Apache-2.0

package scopeexpr

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/caddy-gluu/gateway/pathmatch"
)

// A Policy finds the rule for a request and decides it. Document.Compile makes
// it. It is immutable and safe for concurrent use.
type Policy struct {
	uma     bool
	tree    pathmatch.Tree[*Rule]
	public  pathmatch.Tree[*Rule] // the rules that are public
	slow    bool                  // an expression in a path backtracks
	rules   []*Rule               // in the order of the document
	ordered []*Rule               // in the order in which they are tried

	facts    int // number of facts about a token that the rules use
	bindings int // number of entries that are tied to captures

	allScopes []string
}

// Rule is what one path pattern requires for one method.
type Rule struct {
	policy     *Policy
	pattern    *pathmatch.Pattern
	method     string
	condition  *Condition
	expression *compiled
	index      int
}

// number assigns an expression its places in a token's Scopes: one fact if the
// expression depends only on the token, otherwise a fact for each entry that
// does, and a binding for each entry that does not.
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

// finish fills in what depends on all rules.
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

// ErrUndecided says that it is unknown which rule applies to a request, because
// an expression in a path timed out.
var ErrUndecided = errors.New("it is unknown which rule applies")

// Lookup is Find for callers that allow requests without a rule. The error is
// ErrUndecided: the caller must refuse the request.
func (p *Policy) Lookup(method, path string) (*Rule, error) {
	r, pattern, ok := p.tree.Match(method, path)
	if !ok && pattern != nil {
		return nil, fmt.Errorf("%w: path %s: %w", ErrUndecided, pattern, pathmatch.ErrRegexpTimeout)
	}
	return r, nil
}

// LookupWithoutToken is Lookup for a caller without a verified token, to whom all
// rules but the public ones say the same. Unless it matters, it runs no expression
// that backtracks, since such a caller costs nothing to be. The rule is then one
// that may apply; that a public rule applies, or with open that none does, is
// always certain. open says that requests without a rule pass.
func (p *Policy) LookupWithoutToken(method, path string, open bool) (*Rule, error) {
	if !p.slow {
		return p.Lookup(method, path)
	}
	if _, _, mayBePublic := p.public.MatchAssuming(true, method, path); mayBePublic {
		return p.Lookup(method, path)
	}
	if r, _, certain := p.tree.MatchAssuming(false, method, path); certain {
		return r, nil
	}
	if open {
		return p.Lookup(method, path)
	}
	r, _, _ := p.tree.MatchAssuming(true, method, path)
	return r, nil
}

// addPublic notes what LookupWithoutToken has to know of a rule.
func (p *Policy) addPublic(r *Rule) error {
	p.slow = p.slow || r.pattern.Backtracks()
	if r.condition.Access != Public {
		return nil
	}
	return p.public.Add(r.pattern, r.method, r)
}

// ErrMethod says that a method is another, known one to an upstream that ignores
// the case of methods.
var ErrMethod = errors.New("ambiguous method")

// CheckMethod refuses a method that an upstream may take for another one.
func (p *Policy) CheckMethod(method string) error {
	if known := p.tree.Folded(method); known != "" {
		return fmt.Errorf("%w: methods are case-sensitive; write %s", ErrMethod, known)
	}
	return nil
}

// Rules returns the rules in the order in which they are tried. The slice must
// not be changed.
func (p *Policy) Rules() []*Rule { return p.ordered }

// NumRules returns how many rules there are, one for each path and method.
func (p *Policy) NumRules() int { return len(p.rules) }

// AllScopes returns the scopes that the rules name, without patterns, in the
// order of the document (scopes_supported of RFC 9728). The slice must not be
// changed.
func (p *Policy) AllScopes() []string { return p.allScopes }

// Pattern returns the path pattern as written in the document.
func (r *Rule) Pattern() string { return r.pattern.String() }

// PathPattern returns the parsed pattern.
func (r *Rule) PathPattern() *pathmatch.Pattern { return r.pattern }

// Method returns the method of the rule; "?" is any method that its path does not
// name.
func (r *Rule) Method() string { return r.method }

// Methods returns all methods of the condition that the rule comes from.
func (r *Rule) Methods() []string { return slices.Clone(r.condition.HTTPMethods) }

// Condition returns the condition in the document. Rules of the same condition
// return the same pointer. It must not be changed.
func (r *Rule) Condition() *Condition { return r.condition }

// Access returns Public, Authenticated, Permitted or Denied for a rule that requires no scopes, and ""
// for one with a scope expression. Who may pass by an access is the caller's to
// decide; Decide allows every token, unless the rule is Denied.
func (r *Rule) Access() string { return r.condition.Access }

// Operation returns what the condition of the rule is called, "" if it has no name.
func (r *Rule) Operation() string { return r.condition.Operation }

// Expression returns the scope expression of the document, nil for a rule with an
// Access. It must not be changed.
func (r *Rule) Expression() *Expression { return r.condition.ScopeExpression }

// Index returns the position of the rule in the order of the document, from 0 to
// NumRules()-1.
func (r *Rule) Index() int { return r.index }

// StaticScopes returns the scopes of a rule that requires all of them and nothing
// else, and nil for any other rule. The slice must not be changed.
func (r *Rule) StaticScopes() []string { return r.expression.static }

// ChallengeScope is StaticScopes as the scope parameter of a challenge (RFC 6750,
// section 3), or "" if StaticScopes is nil.
func (r *Rule) ChallengeScope() string { return r.expression.joined }

// Scopes returns the scopes that the rule's expression refers to, patterns
// included, in the order of use: the scopes that a UMA resource is registered
// with, and that a permission ticket requests.
func (r *Rule) Scopes() []string {
	scopes := make([]string, len(r.expression.entries))
	for i, e := range r.expression.entries {
		scopes[i] = e.text
	}
	return scopes
}

// DecidesLike reports whether two rules have the same requirements, regardless of
// their paths: the same scope expression, acr and max_age. Rules that refer to
// captures are like no other, and UMA rules only like those of the same resource.
func (r *Rule) DecidesLike(other *Rule) bool {
	a, b := r.condition, other.condition
	return r.expression == other.expression && !r.expression.bound && a.Access == b.Access &&
		slices.Equal(a.ACR, b.ACR) && a.MaxAge == b.MaxAge &&
		(!r.policy.uma || a == b || a.Access != "" && a.Access != Permitted || a.ResourceID == b.ResourceID && a.ResourceName == b.ResourceName && a.ResourceID+a.ResourceName != "")
}

// Outcomes reports whether the rule grants some scopes, and whether it refuses
// some. A rule with too many entries to try counts as doing both.
func (r *Rule) Outcomes() (grants, refuses bool) {
	const most = 12
	s := r.expression.shape
	if s.refs > most {
		return true, true
	}
	all := uint64(1)<<s.refs - 1
	for bits := range all + 1 {
		// From both ends: most rules grant with all scopes and refuse with none.
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

// UMA reports whether the rule belongs to a UMA policy.
func (r *Rule) UMA() bool { return r.policy.uma }

// HasResource reports whether a rule of a UMA policy is about a resource at the
// authorization server.
func (r *Rule) HasResource() bool {
	return r.policy.uma && (r.Access() == "" || r.Access() == Permitted)
}

// ResourceName returns the name of the protected resource at the UMA authorization
// server: the one in the document, or else an optional prefix, the methods of the
// condition and the path: "GET,POST /todos/?". It is "" for a rule with a
// resource id, and for one with another Access than Permitted, which has no resource.
func (r *Rule) ResourceName(prefix string) string {
	switch c := r.condition; {
	case c.ResourceID != "" || c.Access != "" && c.Access != Permitted:
		return ""
	case c.ResourceName != "":
		return c.ResourceName
	default:
		return prefix + strings.Join(c.HTTPMethods, ",") + " " + r.Pattern()
	}
}
