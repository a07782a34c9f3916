// SPDX-License-Identifier: Apache-2.0

// Package siteorder looks at the handlers beside the one that is being
// provisioned, and warns of an order that can hardly be meant: rules without
// authentication before them, and a rate limit by caller that runs before the
// caller is known.
//
// It reads the raw form of the site's route, which Caddy keeps until all of its
// handlers are provisioned. Named routes are not looked into: where one is invoked,
// nothing is certain and nothing is said.
package siteorder

import (
	"bytes"
	"encoding/json"
	"slices"
	"sync/atomic"
	"weak"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// Authentication are the handlers that find out who is calling.
var authentication = []string{"gluu_oauth_auth", "gluu_uma_auth", "gluu_openid_connect"}

// LacksAuthentication reports whether the site of the handler that is being
// provisioned certainly has no authentication handler.
func LacksAuthentication(ctx caddy.Context) bool { return lacks(ctx, authentication) }

// LacksLogin reports whether the site of the handler that is being provisioned
// certainly has no handler that people log in with.
func LacksLogin(ctx caddy.Context) bool { return lacks(ctx, []string{"gluu_openid_connect"}) }

// lacks reports whether the site certainly has none of these handlers.
func lacks(ctx caddy.Context, wanted []string) bool {
	is := func(h handler) bool { return slices.Contains(wanted, h.name) }
	server, current := underWay(ctx)
	if server == nil {
		return false
	}
	for i, route := range server.Routes {
		switch {
		case i == current || route.HandlersRaw != nil:
			if found := handlersOf(route.HandlersRaw); slices.ContainsFunc(found, is) || slices.ContainsFunc(found, isInvoke) {
				return false
			}
		case mayHave(route.Handlers, wanted):
			return false
		}
	}
	return true
}

// HasEarlyLimit reports whether a `rate_limit` of the site whose key is a
// placeholder of this gateway runs before all authentication.
func HasEarlyLimit(ctx caddy.Context) bool {
	server, current := underWay(ctx)
	if server == nil {
		return false
	}
	for _, h := range handlersOf(server.Routes[current].HandlersRaw) {
		switch {
		case isAuthentication(h), isInvoke(h):
			return false
		case h.byCaller:
			return true
		}
	}
	return false
}

// underWay returns the server and the index of the route that is being
// provisioned; nil if there is none, as in a named route.
func underWay(ctx caddy.Context) (*caddyhttp.Server, int) {
	server, ok := ctx.Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	if !ok {
		return nil, 0
	}
	current := slices.IndexFunc(server.Routes, func(route caddyhttp.Route) bool { return route.HandlersRaw != nil })
	if current < 0 {
		return nil, 0
	}
	return server, current
}

// handler is one handler of a route, in the order in which they run.
type handler struct {
	name     string
	byCaller bool // a rate limit whose key is a placeholder of this gateway
}

func isAuthentication(h handler) bool { return slices.Contains(authentication, h.name) }

func isInvoke(h handler) bool { return h.name == "invoke" }

// lastRead is what handlersOf has returned for a list. All handlers of a route
// ask for the same one while it is provisioned, and there can be thousands.
var lastRead atomic.Pointer[struct {
	list  weak.Pointer[json.RawMessage] // its first element
	found []handler
}]

// handlersOf returns the handlers of a list, and those in the routes inside of
// them.
func handlersOf(list []json.RawMessage) []handler {
	if len(list) == 0 {
		return nil
	}
	if last := lastRead.Load(); last != nil && last.list.Value() == &list[0] {
		return last.found
	}
	found := readHandlers(list)
	lastRead.Store(&struct {
		list  weak.Pointer[json.RawMessage]
		found []handler
	}{weak.Make(&list[0]), found})
	return found
}

func readHandlers(list []json.RawMessage) (found []handler) {
	for _, raw := range list {
		var h struct {
			Name   string `json:"handler"`
			Routes []struct {
				Handle []json.RawMessage `json:"handle"`
			} `json:"routes"`
		}
		if json.Unmarshal(raw, &h) != nil {
			continue
		}
		found = append(found, handler{h.Name, h.Name == "rate_limit" && bytes.Contains(raw, []byte("{gluu."))})
		for _, route := range h.Routes {
			found = append(found, readHandlers(route.Handle)...)
		}
	}
	return found
}

// mayHave reports whether provisioned handlers may contain one of those that are
// wanted. Whatever is not known may.
func mayHave(handlers []caddyhttp.MiddlewareHandler, wanted []string) bool {
	for _, h := range handlers {
		if inner, ok := h.(*caddyhttp.Subroute); ok {
			if slices.ContainsFunc(inner.Routes, func(route caddyhttp.Route) bool { return mayHave(route.Handlers, wanted) }) {
				return true
			}
			continue
		}
		module, ok := h.(caddy.Module)
		if !ok {
			return true
		}
		name := module.CaddyModule().ID.Name()
		if slices.Contains(wanted, name) || name == "invoke" || name == "gluu_routes" {
			return true
		}
	}
	return false
}
