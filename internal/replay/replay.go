// SPDX-License-Identifier: Apache-2.0

// Package replay decides once more, by other rules, about requests that were refused.
package replay

import (
	"bufio"
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/caddy-gluu/gateway/internal/decisions"
	"github.com/caddy-gluu/gateway/pathmatch"
	"github.com/caddy-gluu/gateway/scopeexpr"
)

// Rules are what requests are tried with.
type Rules struct {
	Policy *scopeexpr.Policy

	// IsOpen says that what no rule covers passes: deny_by_default is false.
	IsOpen bool
}

// Refusals tries refused requests, and returns those that would pass. A request whose
// path the gateway refuses to read, or no longer knows as a whole, is not tried.
func Refusals(refused []*decisions.Decision, rules Rules) (passes []*decisions.Decision, tried int) {
	for _, d := range refused {
		method, path, err := Request(d.Method + " " + d.Path)
		if err != nil || !isWhole(d) {
			continue
		}
		tried++
		if rules.pass(d, method, path) {
			passes = append(passes, d)
		}
	}
	return passes, tried
}

// isWhole reports whether path and scopes were remembered in full: what was too long
// ends in three dots.
func isWhole(d *decisions.Decision) bool {
	return !strings.HasSuffix(d.Path, "...") && !strings.Contains(d.Path, "\ufffd") && !slices.ContainsFunc(d.Scopes, func(scope string) bool { return strings.HasSuffix(scope, "...") })
}

// pass reports whether the rules let a request pass that was refused.
func (rules Rules) pass(d *decisions.Decision, method, path string) bool {
	if rules.Policy.CheckMethod(method) != nil {
		return false // "get" is refused whatever the rules are
	}
	rule, err := rules.Policy.Lookup(method, path)
	switch {
	case err != nil:
		return false
	case rule == nil:
		return rules.IsOpen
	case rule.Access() == scopeexpr.Public:
		return true
	case d.Provider == "" && d.ClientID == "" && len(d.Scopes) == 0, len(rule.Condition().ACR) > 0, rule.Condition().MaxAge > 0:
		return false // no token, or it asks for more than scopes
	}
	return rule.Access() == scopeexpr.Authenticated || rule.Decide(path, scopeexpr.NewScopes(rules.Policy, d.Scopes))
}

// Request reads "GET /todos", as a client sends it. The path is canonical.
func Request(text string) (method, path string, err error) {
	method, target, _ := strings.Cut(text, " ")
	target = strings.TrimSpace(target)
	if method == "" || !strings.HasPrefix(target, "/") || strings.ContainsAny(target, " \r\n") {
		return "", "", errors.New(`write a method and a path, for example "GET /todos"`)
	}
	sent, err := http.ReadRequest(bufio.NewReader(strings.NewReader(method + " " + target + " HTTP/1.1\r\nHost: localhost\r\n\r\n")))
	if err != nil {
		return "", "", errors.New("the gateway would answer 400, because this is not a request that a server reads")
	}
	canonical, err := pathmatch.Canonicalize(sent.URL, pathmatch.Options{})
	if err != nil {
		return "", "", errors.New("the gateway would answer 400: " + err.Error())
	}
	return method, canonical.Decoded, nil
}
