// SPDX-License-Identifier: Apache-2.0

package routemap

import (
	"fmt"
	"regexp"
	"slices"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// plainMatchers look at the request and at nothing else. All others may read files, ask
// other servers or remember something, as those of other parties do.
var plainMatchers = []caddy.ModuleID{
	"http.matchers.host", "http.matchers.path", "http.matchers.path_regexp", "http.matchers.method", "http.matchers.query",
	"http.matchers.header", "http.matchers.header_regexp", "http.matchers.protocol", "http.matchers.tls", "http.matchers.remote_ip",
	"http.matchers.client_ip", "http.matchers.vars", "http.matchers.vars_regexp", "http.matchers.url_pattern", "http.matchers.gluu_route",
}

// plainMatcher reports whether a matcher may be asked, and how it is called.
func plainMatcher(matcher any) (name string, isPlain bool) {
	switch m := matcher.(type) {
	case caddyhttp.MatchNot:
		return plainNot(&m)
	case *caddyhttp.MatchNot:
		return plainNot(m)
	case caddyhttp.MatchExpression:
		return "expression", isPlainExpression(m.Expr)
	case *caddyhttp.MatchExpression:
		return "expression", isPlainExpression(m.Expr)
	}
	module, ok := matcher.(caddy.Module)
	if !ok {
		return fmt.Sprintf("%T", matcher), false
	}
	id := module.CaddyModule().ID
	return id.Name(), slices.Contains(plainMatchers, id)
}

// anyMatcher lets all matchers be asked.
func anyMatcher(any) (name string, ok bool) { return "", true }

func plainNot(m *caddyhttp.MatchNot) (name string, isPlain bool) {
	for _, set := range m.MatcherSets {
		for _, matcher := range set {
			if name, isPlain := plainMatcher(matcher); !isPlain {
				return "not " + name, false
			}
		}
	}
	return "not", true
}

// plainFunctions are those of expressions that only look at the request: Caddy's
// matchers above, the macros and functions of CEL and of its libraries that Caddy has.
var plainFunctions = []string{
	"host", "path", "path_regexp", "method", "query", "header", "header_regexp", "protocol", "remote_ip", "client_ip", "vars", "vars_regexp", "ph", "req",
	"has", "all", "exists", "exists_one", "map", "filter", "size", "contains", "startsWith", "endsWith", "matches", "in", "type", "dyn",
	"int", "uint", "double", "string", "bool", "bytes", "duration", "timestamp", "lowerAscii", "upperAscii", "trim", "split", "join",
	"replace", "substring", "indexOf", "lastIndexOf", "charAt", "format", "reverse", "getHours", "getMinutes", "getDayOfWeek", "getFullYear", "getMonth",
}

var calls = regexp.MustCompile(`([A-Za-z_][A-Za-z0-9_]*)\s*\(`)

// isPlainExpression reports whether an expression calls only functions that may be
// asked. What stands in its texts counts too.
func isPlainExpression(expression string) bool {
	for _, call := range calls.FindAllStringSubmatch(expression, -1) {
		if !slices.Contains(plainFunctions, call[1]) {
			return false
		}
	}
	return true
}
