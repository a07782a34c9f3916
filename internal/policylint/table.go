// SPDX-License-Identifier: Apache-2.0

package policylint

import (
	"net/http"
	"strings"

	"github.com/caddy-gluu/gateway/pathmatch"
	"github.com/caddy-gluu/gateway/scopeexpr"
)

// A Table finds the rules of a policy by pattern and method.
type Table map[string]map[string]*scopeexpr.Rule

// NewTable returns the table of a policy.
func NewTable(p *scopeexpr.Policy) Table {
	t := make(Table)
	for _, r := range p.Rules() {
		if t[r.Pattern()] == nil {
			t[r.Pattern()] = make(map[string]*scopeexpr.Rule)
		}
		t[r.Pattern()][r.Method()] = r
	}
	return t
}

// Rule returns the rule of a pattern for a method, or nil: the rule for the method
// itself, for GET if the method is HEAD, or for any other method.
func (t Table) Rule(pattern, method string) *scopeexpr.Rule {
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
