// SPDX-License-Identifier: Apache-2.0

package caddyui

import (
	"cmp"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/caddy-gluu/gateway/internal/decisions"
	"github.com/caddy-gluu/gateway/internal/replay"
	"github.com/caddy-gluu/gateway/internal/token"
	"github.com/caddy-gluu/gateway/scopeexpr"
)

// impact is what changed rules do to those who are there: the callers whose verified
// tokens are in memory, and the last requests that were refused.
type impact struct {
	Name      string          // of the rules, "" if there is one set
	Callers   []*callerImpact // that a rule refuses from then on
	CutOff    int             // callers that are not listed
	Tokens    int             // that were tried
	Changed   int             // rules that are other ones
	Dependent []string        // changed rules that depend on the path
	Passes    []*decisions.Decision

	MorePasses int // that are not listed
	Refusals   int // that were tried
	IsUMA      bool
	NoTokens   bool // the callers were not tried
}

// callerImpact is a client with the scopes of its tokens.
type callerImpact struct {
	Client, Scopes string
	Tokens         int
	Loses          []string // method and path of rules
}

// Bounds of what is tried and listed.
const (
	tokensTried    = 20_000
	refusalsTried  = 1000
	callersListed  = 50
	refusalsListed = 20
)

// changedRule is what a path asks for with a method, before and after.
type changedRule struct {
	name          string
	before, after *scopeexpr.Rule
}

// tokens visits verified tokens.
type tokens func(visit func(t *token.Token) bool)

func impactOf(h *ruleHandler, changed scopeexpr.Document, each tokens) *impact {
	before, err := h.rules.Compile(h.options())
	after, err2 := changed.Compile(h.options())
	if err != nil || err2 != nil {
		return nil // it was said before
	}
	if h.options().UMA {
		return &impact{IsUMA: true} // permissions are of a resource, not of a token alone
	}
	var serves func(string) bool
	if h.site != nil {
		serves = h.site.Serves
	}
	return impactBetween(before, after, h.members["deny_by_default"] == false, each, refusalsBy(h.Name, serves))
}

// impactBetween compares the rules in force with others.
func impactBetween(before, after *scopeexpr.Policy, isOpen bool, each tokens, refused []*decisions.Decision) *impact {
	found := &impact{}
	rules := changedRules(before, after)
	found.Changed = len(rules)
	rules = slices.DeleteFunc(rules, func(r changedRule) bool {
		depends := dependsOnPath(r.before) || dependsOnPath(r.after)
		if depends {
			found.Dependent = append(found.Dependent, r.name)
		}
		return depends
	})
	found.tryTokens(each, rules, isOpen)
	found.tryRefusals(refused, after, isOpen)
	return found
}

// changedRules compares what each pattern asks for with each method. A rule that is
// gone is compared with the one that applies to its path then, if it names one path.
func changedRules(before, after *scopeexpr.Policy) (changed []changedRule) {
	rules := map[string]*changedRule{}
	at := func(r *scopeexpr.Rule) *changedRule {
		key := r.Method() + " " + r.Pattern()
		if rules[key] == nil {
			rules[key] = &changedRule{name: key}
		}
		return rules[key]
	}
	for _, r := range before.Rules() {
		at(r).before = r
	}
	for _, r := range after.Rules() {
		at(r).after = r
	}
	for _, key := range slices.Sorted(maps.Keys(rules)) {
		r := rules[key]
		r.before, r.after = orElse(r.before, before, key), orElse(r.after, after, key)
		if r.before == nil || r.after == nil || !reflect.DeepEqual(askedBy(r.before), askedBy(r.after)) {
			changed = append(changed, *r)
		}
	}
	return changed
}

// orElse returns a rule, or else the one that takes a pattern that is a path.
func orElse(r *scopeexpr.Rule, policy *scopeexpr.Policy, key string) *scopeexpr.Rule {
	method, path, _ := strings.Cut(key, " ")
	if r != nil || strings.ContainsAny(path, "?{") {
		return r
	}
	return policy.Find(method, path)
}

// askedBy is what a rule asks for.
func askedBy(r *scopeexpr.Rule) any {
	c := *r.Condition()
	c.HTTPMethods = nil
	return c
}

// dependsOnPath reports whether the scopes alone do not decide.
func dependsOnPath(r *scopeexpr.Rule) bool {
	return r != nil && r.Expression() != nil && slices.ContainsFunc(r.Expression().Data, func(entry string) bool {
		return strings.HasPrefix(entry, "^") && strings.Contains(entry, "<PC")
	})
}

// grants reports whether a rule lets a verified token with these scopes pass.
func grants(r *scopeexpr.Rule, scopes []string, isOpen bool) bool {
	switch {
	case r == nil:
		return isOpen
	case r.Access() == scopeexpr.Public, r.Access() == scopeexpr.Authenticated:
		return true
	case r.Access() != "":
		return false
	}
	return r.DecideSet(scopes)
}

// tryTokens finds the callers that lose something. Each client with the same scopes is
// tried once.
func (found *impact) tryTokens(each tokens, rules []changedRule, isOpen bool) {
	callers := map[string]*callerImpact{}
	each(func(t *token.Token) bool {
		found.Tokens++
		scopes := slices.Sorted(slices.Values(t.Scopes))
		key := t.ClientID + "\x00" + strings.Join(scopes, " ")
		if callers[key] == nil {
			callers[key] = &callerImpact{Client: t.ClientID, Scopes: strings.Join(scopes, " ")}
			for _, r := range rules {
				if grants(r.before, t.Scopes, isOpen) && !grants(r.after, t.Scopes, isOpen) {
					callers[key].Loses = append(callers[key].Loses, r.name)
				}
			}
		}
		callers[key].Tokens++
		return found.Tokens < tokensTried
	})
	for _, c := range callers {
		if len(c.Loses) > 0 {
			found.Callers = append(found.Callers, c)
		}
	}
	slices.SortFunc(found.Callers, func(a, b *callerImpact) int {
		return cmp.Or(cmp.Compare(b.Tokens, a.Tokens), strings.Compare(a.Client+a.Scopes, b.Client+b.Scopes))
	})
	if found.CutOff = len(found.Callers) - callersListed; found.CutOff > 0 {
		found.Callers = found.Callers[:callersListed]
	}
}

// tryRefusals finds the refused requests that would pass.
func (found *impact) tryRefusals(refused []*decisions.Decision, after *scopeexpr.Policy, isOpen bool) {
	found.Passes, found.Refusals = replay.Refusals(refused, replay.Rules{Policy: after, IsOpen: isOpen})
	found.cutPasses()
}

func (found *impact) cutPasses() {
	if found.MorePasses = len(found.Passes) - refusalsListed; found.MorePasses > 0 {
		found.Passes = found.Passes[:refusalsListed]
	}
}

// refusalsBy returns the last requests that handlers of a name refused on a site, nil
// for any.
func refusalsBy(handler string, serves func(host string) bool) (refused []*decisions.Decision) {
	for _, d := range decisions.Recent.List(decisions.Filter{Handler: handler}, decisions.Size) {
		if serves == nil || serves(d.Host) {
			refused = append(refused, d)
		}
	}
	return refused[:min(len(refused), refusalsTried)] // a busy site does not hide the others
}
