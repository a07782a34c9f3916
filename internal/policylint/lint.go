// SPDX-License-Identifier: Apache-2.0

package policylint

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/caddy-gluu/gateway/pathmatch"
	"github.com/caddy-gluu/gateway/scopeexpr"
)

// A Warning is about a valid rule that probably does not do what was meant.
type Warning struct {
	Kind string // for programs
	Rule *scopeexpr.Rule
	Text string
}

// The kinds of warnings.
const (
	NeverMatches = "never_matches" // shadowed by other rules
	Pointless    = "pointless"     // redundant: without it another rule decides the same
	NeverGrants  = "never_grants"
	AlwaysGrants = "always_grants"
	DeadEntry    = "dead_entry" // an entry that no scope satisfies
	UnusedEntry  = "unused_entry"
	LiteralPath  = "literal_path" // literal text that was probably meant as a wildcard
)

// Check looks for rules that do not do what they seem to do.
func Check(p *scopeexpr.Policy) []Warning {
	l := newLinter(p)
	var warnings []Warning
	for i, r := range p.Rules() {
		if text := l.neverMatches(i); text != "" {
			warnings = append(warnings, Warning{NeverMatches, r, text})
		} else if text := l.pointless(i); text != "" && !fromDocument(r) {
			warnings = append(warnings, Warning{Pointless, r, text})
		}
		warnings = append(warnings, checkRule(r)...)
	}
	return warnings
}

// fromDocument reports whether a rule was made of an OpenAPI document. It is not
// pointless that such a document describes each operation.
func fromDocument(r *scopeexpr.Rule) bool {
	return r.Operation() != "" || r.Access() == scopeexpr.Denied
}

// CheckRules is Check for a policy that may have very many rules: it looks at each
// rule alone, and does not compare it with the others.
func CheckRules(p *scopeexpr.Policy) []Warning {
	var warnings []Warning
	for _, r := range p.Rules() {
		warnings = append(warnings, checkRule(r)...)
	}
	return warnings
}

func checkRule(r *scopeexpr.Rule) []Warning {
	var warnings []Warning
	if text := r.PathPattern().Warning(); text != "" {
		warnings = append(warnings, Warning{LiteralPath, r, text})
	}
	return append(warnings, lintExpression(r)...)
}

// lintExpression checks the expression of a rule.
func lintExpression(r *scopeexpr.Rule) []Warning {
	if r.Access() != "" {
		return nil
	}
	var warnings []Warning
	grants, refuses := r.Outcomes()
	switch {
	case !grants:
		warnings = append(warnings, Warning{NeverGrants, r, "refuses every token, whatever its scopes"})
	case !refuses:
		warnings = append(warnings, Warning{AlwaysGrants, r, "allows every token, whatever its scopes"})
	}
	used := r.Scopes()
	for _, entry := range r.Expression().Data {
		switch {
		case !slices.Contains(used, entry):
			warnings = append(warnings, Warning{UnusedEntry, r, fmt.Sprintf("the rule does not use the entry %q", entry)})
		case strings.ContainsAny(entry, " \t\r\n") && !strings.HasPrefix(entry, "^"):
			warnings = append(warnings, Warning{DeadEntry, r, fmt.Sprintf("%q can never match, because no scope contains white space", entry)})
		case strings.Contains(entry, "(?") && !strings.HasPrefix(entry, "^"):
			warnings = append(warnings, Warning{DeadEntry, r, fmt.Sprintf("%q is not a pattern, because it does not start with ^", entry)})
		}
	}
	return warnings
}

// A linter compares each rule with all others. Shadowing depends on the method, so
// the linter checks every method that a rule names, and one that no rule does.
type linter struct {
	rules   []*scopeexpr.Rule // in the order in which they are tried
	table   Table
	methods []string
}

// otherMethod represents the methods that no rule names. It is not a token, so no
// rule can name it.
const otherMethod = "(other)"

func newLinter(p *scopeexpr.Policy) *linter {
	l := &linter{rules: p.Rules(), table: NewTable(p), methods: []string{http.MethodHead, otherMethod}}
	for _, r := range l.rules {
		if r.Method() != pathmatch.Any && !slices.Contains(l.methods, r.Method()) {
			l.methods = append(l.methods, r.Method())
		}
	}
	return l
}

// methodsOf returns the methods for which a rule is the rule of its path.
func (l *linter) methodsOf(r *scopeexpr.Rule) []string {
	return slices.DeleteFunc(slices.Clone(l.methods), func(m string) bool { return l.table.Rule(r.Pattern(), m) != r })
}

// neverMatches names the rules that shadow rule i completely, "" if there are none.
func (l *linter) neverMatches(i int) string {
	var shadowing []*scopeexpr.Rule
	for _, method := range l.methodsOf(l.rules[i]) {
		shadow := l.shadowOf(i, method)
		if shadow == nil {
			return ""
		}
		if !slices.Contains(shadowing, shadow) {
			shadowing = append(shadowing, shadow)
		}
	}
	return "never matches: shadowed by " + names(shadowing)
}

// shadowOf returns a rule that is tried before rule i and matches all of its requests
// with this method.
func (l *linter) shadowOf(i int, method string) *scopeexpr.Rule {
	for j := range i {
		r := l.rules[j]
		// Patterns first: most pairs of rules differ in them.
		if r.PathPattern().Covers(l.rules[i].PathPattern()) && r.Pattern() != l.rules[i].Pattern() && l.table.Rule(r.Pattern(), method) == r {
			return r
		}
	}
	return nil
}

// pointless names the rules that would decide the requests of rule i, and decide
// them alike, if it were removed; "" if that is not so for all requests.
func (l *linter) pointless(i int) string {
	var successors []*scopeexpr.Rule
	for _, method := range l.methodsOf(l.rules[i]) {
		next := l.successor(i, method)
		if next == nil {
			return ""
		}
		if !slices.Contains(successors, next) {
			successors = append(successors, next)
		}
	}
	sameLine := func(r *scopeexpr.Rule) bool { return r.Condition() == l.rules[i].Condition() }
	if slices.ContainsFunc(successors, sameLine) || l.movesOthers(l.rules[i]) {
		return "" // "GET HEAD" on one line is intentional
	}
	return "is redundant: without it, " + names(successors) + " would decide the same"
}

// movesOthers reports whether removing rule r would change the order of other
// rules. The regular expressions of one node are tried in the order of their first
// appearance in the document, which may be in r.
func (l *linter) movesOthers(r *scopeexpr.Rule) bool {
	if len(l.table[r.Pattern()]) > 1 {
		return false // its path stays
	}
	end := 0
	for _, element := range elements(r) {
		end += 1 + len(element)
		if !strings.HasPrefix(element, "{") {
			continue
		}
		prefix := r.Pattern()[:end] + "/"
		first, shared := true, false
		for _, other := range l.rules {
			if other != r && strings.HasPrefix(other.Pattern()+"/", prefix) {
				shared = true
				first = first && other.Index() > r.Index()
			}
		}
		if first && shared {
			return true
		}
	}
	return false
}

// successor returns the rule that would match all requests of rule i if rule i were
// removed, provided that it and all rules tried before it decide like rule i.
func (l *linter) successor(i int, method string) *scopeexpr.Rule {
	removed := l.rules[i]
	if next := l.without(removed, method); next != nil {
		if next.DecidesLike(removed) {
			return next
		}
		return nil
	}
	for j := i + 1; j < len(l.rules); j++ {
		r := l.rules[j]
		if removed.PathPattern().Disjoint(r.PathPattern()) || r.Pattern() == removed.Pattern() || l.table.Rule(r.Pattern(), method) != r {
			continue
		}
		if !r.DecidesLike(removed) {
			return nil
		}
		if r.PathPattern().Covers(removed.PathPattern()) {
			return r
		}
	}
	return nil
}

// without returns the rule of the pattern of r for a method if r were removed.
func (l *linter) without(r *scopeexpr.Rule, method string) *scopeexpr.Rule {
	rules := l.table[r.Pattern()]
	if get := rules[http.MethodGet]; method == http.MethodHead && get != nil && get != r {
		return get
	}
	if other := rules[pathmatch.Any]; other != r {
		return other
	}
	return nil
}

// names lists rules for a person.
func names(rules []*scopeexpr.Rule) string {
	texts := make([]string, len(rules))
	for i, r := range rules {
		texts[i] = r.Method() + " " + r.Pattern()
	}
	return strings.Join(texts, " and ")
}
