// SPDX-License-Identifier: Apache-2.0

package siteguard

import (
	"slices"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// HasHandler reports whether the site of the handler that is being provisioned has
// a handler of this name: in the same top-level route, or in an earlier one of the
// site. That its matcher lets a request through is for the request to show.
func HasHandler(ctx caddy.Context, name string) bool {
	server, ok := ctx.Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	if !ok {
		return false // not in a server, as in tests of one handler
	}
	current := slices.IndexFunc(server.Routes, isUnderWay)
	if current < 0 {
		return false
	}
	search := search{func(handler string) bool { return handler == name }}
	if search.hasGuard(parse(server.Routes[current].HandlersRaw)) {
		return true
	}
	return slices.ContainsFunc(server.Routes[:current], func(earlier caddyhttp.Route) bool {
		return !areApart(earlier, server.Routes[current]) && hasHandler(earlier, name)
	})
}

// hasHandler is HasHandler for a route that has been provisioned.
func hasHandler(route caddyhttp.Route, name string) bool {
	return slices.ContainsFunc(route.Handlers, func(handler caddyhttp.MiddlewareHandler) bool {
		if sub, ok := handler.(*caddyhttp.Subroute); ok {
			return slices.ContainsFunc(sub.Routes, func(r caddyhttp.Route) bool { return hasHandler(r, name) })
		}
		return caddy.GetModuleName(handler) == name
	})
}
