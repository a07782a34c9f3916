// SPDX-License-Identifier: Apache-2.0

package routemap

import (
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// Running returns the handler of the running configuration at a pointer, nil if there
// is none, or if it is inside of a handler that is not Caddy's.
func Running(pointer string) caddyhttp.MiddlewareHandler {
	app, err := caddy.ActiveContext().AppIfConfigured("http")
	if err != nil {
		return nil
	}
	rest, ok := strings.CutPrefix(pointer, "/apps/http/servers/")
	if !ok {
		return nil
	}
	name, rest, _ := strings.Cut(rest, "/")
	server := app.(*caddyhttp.App).Servers[name]
	if server == nil {
		return nil
	}
	kind, rest, _ := strings.Cut(rest, "/")
	switch kind {
	case "routes":
		return inRoutes(server.Routes, strings.Split(rest, "/"))
	case "named_routes":
		route, rest, _ := strings.Cut(rest, "/")
		if server.NamedRoutes[route] == nil {
			return nil
		}
		return inRoute(server.NamedRoutes[route], strings.Split(rest, "/"))
	}
	// Guards of this gateway can be among the error routes, so that their numbers say
	// nothing.
	return nil
}

// inRoutes finds "0/handle/1", and what is inside of that.
func inRoutes(routes caddyhttp.RouteList, path []string) caddyhttp.MiddlewareHandler {
	i, err := strconv.Atoi(path[0])
	if err != nil || i < 0 || i >= len(routes) {
		return nil
	}
	return inRoute(&routes[i], path[1:])
}

// inRoute finds "handle/1", and what is inside of that.
func inRoute(route *caddyhttp.Route, path []string) caddyhttp.MiddlewareHandler {
	if len(path) < 2 || path[0] != "handle" {
		return nil
	}
	i, err := strconv.Atoi(path[1])
	if err != nil || i < 0 || i >= len(route.Handlers) {
		return nil
	}
	if len(path) == 2 {
		return route.Handlers[i]
	}
	inner, ok := route.Handlers[i].(*caddyhttp.Subroute)
	if !ok || path[2] != "routes" || len(path) < 4 {
		return nil
	}
	return inRoutes(inner.Routes, path[3:])
}
