// SPDX-License-Identifier: Apache-2.0

package siteguard

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// Matchers read paths in their own way, and upstreams in theirs:
//
//	gluu_oauth_auth /api/*
//	reverse_proxy localhost:9000
//
// "/;/api/x" and "/%5capi/x" are not below /api/ for the matcher, and are for
// Tomcat and IIS. So it has to be known whether a matcher decides if a request
// gets to a handler that guards. That is the case if
//
//   - its own route, or one around it, has a matcher that reads the path, or
//   - an earlier route has one and may send the request to an upstream, as the
//     first of two `handle` blocks does.

// IsBehindPathMatcher reports whether a path decides if a request of the site
// gets to one of the handlers named, such as `gluu_oauth_auth`, within the
// top-level route that is being provisioned. It is true in a named route, which
// may be invoked from anywhere.
func IsBehindPathMatcher(ctx caddy.Context, isGuard func(handler string) bool) bool {
	server, ok := ctx.Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	if !ok {
		return false // not in a server, as in tests of one handler
	}
	list := server.Routes
	current := slices.IndexFunc(list, isUnderWay)
	if current < 0 && server.Errors != nil {
		list = server.Errors.Routes
		current = slices.IndexFunc(list, isUnderWay)
	}
	if current < 0 {
		return true
	}
	for _, earlier := range list[:current] {
		if !areApart(earlier, list[current]) && readsPath(earlier.MatcherSets) && (mayProxy(earlier) || earlier.Group != "" && earlier.Group == list[current].Group) {
			return true
		}
	}
	search := search{isGuard}
	handlers := parse(list[current].HandlersRaw)
	return search.hasGuard(handlers) && (readsPath(list[current].MatcherSets) || search.isBehind(handlers))
}

// parse returns handlers as values of encoding/json.
func parse(handlers []json.RawMessage) (parsed []any) {
	for _, raw := range handlers {
		var handler any
		decoder := json.NewDecoder(bytes.NewReader(raw))
		if decoder.Decode(&handler) == nil { // else Caddy refuses it
			parsed = append(parsed, handler)
		}
	}
	return parsed
}

// readsPath reports whether a compiled matcher reads the path.
func readsPath(sets caddyhttp.MatcherSets) bool {
	return slices.ContainsFunc(sets, func(set caddyhttp.MatcherSet) bool {
		return slices.ContainsFunc(set, func(m any) bool {
			switch m := m.(type) {
			case matcher, errorMatcher:
				return false
			case *caddyhttp.MatchNot:
				return slices.ContainsFunc(m.MatcherSets, func(set caddyhttp.MatcherSet) bool { return readsPath(caddyhttp.MatcherSets{set}) })
			case *caddyhttp.MatchExpression:
				return expressionReadsPath(m.Expr)
			case caddy.Module:
				return !slices.Contains(pathless, m.CaddyModule().ID.Name())
			}
			return true
		})
	})
}

// pathless are the matchers that do not look at the path. Any other may.
var pathless = []string{
	"host", "method", "header", "header_regexp", "protocol", "tls", "remote_ip", "client_ip", "query",
}

// expressionReadsPath is generous: what looks like a path in an expression may
// be one.
func expressionReadsPath(text string) bool {
	return slices.ContainsFunc([]string{"path", "uri", "file", "vars", "url"}, func(word string) bool { return strings.Contains(text, word) })
}

// mayProxy reports whether a compiled route may send a request to an upstream.
func mayProxy(route caddyhttp.Route) bool {
	return slices.ContainsFunc(route.Handlers, func(handler caddyhttp.MiddlewareHandler) bool {
		if sub, ok := handler.(*caddyhttp.Subroute); ok {
			return slices.ContainsFunc(sub.Routes, mayProxy)
		}
		return !isHarmless(caddy.GetModuleName(handler))
	})
}

// isHarmless reports whether a handler sends no request to an upstream: it
// answers from what the gateway has, or only prepares what follows. Any other
// may. The routes of gluu_routes have handlers of their own.
func isHarmless(handler string) bool {
	return strings.HasPrefix(handler, "gluu_") && handler != "gluu_routes" || slices.Contains(harmless, handler)
}

var harmless = []string{
	"static_response", "file_server", "error", "templates", "encode", "headers", "vars", "map", "rewrite",
	"request_body", "log_append", "push", "metrics", "tracing", "acme_server", "authentication", "rate_limit", "copy_response_headers",
}

// search looks for guards in a configuration that is not loaded yet.
type search struct{ isGuard func(handler string) bool }

// hasGuard reports whether there is a guard somewhere in a value.
func (s search) hasGuard(value any) bool {
	switch value := value.(type) {
	case []any:
		return slices.ContainsFunc(value, s.hasGuard)
	case map[string]any:
		if name, ok := value["handler"].(string); ok && s.isGuard(name) {
			return true
		}
		for _, member := range value {
			if s.hasGuard(member) {
				return true
			}
		}
	}
	return false
}

// isBehind reports whether a guard somewhere in a value is behind a matcher that
// is there too.
func (s search) isBehind(value any) bool {
	switch value := value.(type) {
	case []any:
		return s.isBehindInList(value) || slices.ContainsFunc(value, s.isBehind)
	case map[string]any:
		for _, member := range value {
			if s.isBehind(member) {
				return true
			}
		}
	}
	return false
}

// isBehindInList reports the same of the routes of one list, if it is one.
func (s search) isBehindInList(list []any) bool {
	var bypassed bool
	groups := make(map[any]bool)
	for _, element := range list {
		route, ok := element.(map[string]any)
		if !ok {
			return false
		}
		matches := rawReadsPath(route["match"])
		if s.hasGuard(route["handle"]) && (matches || bypassed || groups[route["group"]]) {
			return true
		}
		if matches && rawMayProxy(route["handle"]) {
			bypassed = true
		}
		if group, ok := route["group"].(string); ok && matches && !rawAnswers(route["handle"]) {
			groups[group] = true
		}
	}
	return false
}

// rawReadsPath is readsPath of matcher sets that are not loaded yet.
func rawReadsPath(sets any) bool {
	list, _ := sets.([]any)
	return slices.ContainsFunc(list, func(element any) bool {
		set, _ := element.(map[string]any)
		for name, value := range set {
			switch {
			case name == "not":
				if rawReadsPath(value) {
					return true
				}
			case name == "expression":
				text, err := json.Marshal(value)
				if err != nil || expressionReadsPath(string(text)) {
					return true
				}
			case !slices.Contains(pathless, name):
				return true
			}
		}
		return false
	})
}

// rawMayProxy is mayProxy of handlers that are not loaded yet.
func rawMayProxy(handlers any) bool {
	return anyHandler(handlers, func(name string) bool { return !isHarmless(name) })
}

// rawAnswers reports whether handlers that are not loaded yet answer each
// request from what the gateway has.
func rawAnswers(handlers any) bool {
	return !rawMayProxy(handlers) && anyHandler(handlers, func(name string) bool { return name == "static_response" || name == "error" || name == "file_server" })
}

// anyHandler reports whether one of the handlers, or of those in the routes of
// a subroute, has a name.
func anyHandler(handlers any, is func(name string) bool) bool {
	list, _ := handlers.([]any)
	return slices.ContainsFunc(list, func(element any) bool {
		handler, _ := element.(map[string]any)
		name, _ := handler["handler"].(string)
		if name != "subroute" {
			return is(name)
		}
		routes, _ := handler["routes"].([]any)
		return slices.ContainsFunc(routes, func(element any) bool {
			route, _ := element.(map[string]any)
			return anyHandler(route["handle"], is)
		})
	})
}
