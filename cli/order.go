// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/caddy-gluu/gateway/pathmatch"
	"github.com/caddy-gluu/gateway/scopeexpr"
)

// A table finds the rules of a policy by pattern and method.
type table map[string]map[string]*scopeexpr.Rule

func newTable(p *scopeexpr.Policy) table {
	t := make(table)
	for _, r := range p.Rules() {
		if t[r.Pattern()] == nil {
			t[r.Pattern()] = make(map[string]*scopeexpr.Rule)
		}
		t[r.Pattern()][r.Method()] = r
	}
	return t
}

// rule returns the rule of a pattern for a method, or nil: the rule for the method
// itself, for GET if the method is HEAD, or for any other method.
func (t table) rule(pattern, method string) *scopeexpr.Rule {
	rules := t[pattern]
	if r := rules[method]; r != nil {
		return r
	}
	if r := rules[http.MethodGet]; r != nil && method == http.MethodHead {
		return r
	}
	return rules[pathmatch.Any]
}

// elements returns the elements of a pattern. No element contains a slash.
func elements(r *scopeexpr.Rule) []string {
	return strings.Split(r.Pattern(), "/")[1:]
}

const (
	anyElement  = "?"
	anyElements = "??"
)

// whyBefore says why a rule takes precedence over a rule of another pattern that
// matches the same path. The first difference of the patterns decides.
func whyBefore(first, second *scopeexpr.Rule) string {
	a, b := elements(first), elements(second)
	multi := false
	for i := range min(len(a), len(b)) {
		if a[i] == b[i] {
			multi = multi || a[i] == anyElements
			continue
		}
		if multi && len(a) != len(b) {
			break
		}
		x, y := kindOf(a[i]), kindOf(b[i])
		if x == y {
			return fmt.Sprintf("%s comes first in the document, before %s", a[i], b[i])
		}
		return fmt.Sprintf("%s is %s, %s is %s", a[i], x, b[i], y)
	}
	if !multi {
		return "an exact end takes precedence over ??"
	}
	return "?? matches as few elements as possible"
}

func kindOf(element string) string {
	switch {
	case element == anyElement:
		return "any element"
	case element == anyElements:
		return "any number of elements"
	case strings.HasPrefix(element, "{"):
		return "a regular expression"
	}
	return "an exact match"
}
