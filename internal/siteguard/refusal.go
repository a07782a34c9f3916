// SPDX-License-Identifier: Apache-2.0

package siteguard

import (
	"encoding/json"
	"net/http"
	"reflect"
	"slices"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// Refusal is an error of a guard that knows how to answer the request. A matcher
// cannot write an answer, so the matcher passes the refusal on to a handler that
// is first in the route. Caddy has compiled some routes by the time that
// their site gets a guard; there the error has to do.
type Refusal interface {
	error

	// Answer answers the request.
	Answer(w http.ResponseWriter, r *http.Request) error

	// HandlerError records the refusal and returns the error for the error
	// routes, where nothing else can answer the request.
	HandlerError(r *http.Request) error
}

// refusalVar is the request variable that holds a Refusal on its way to the
// answerer.
const refusalVar = "gluu.site_refusal"

// answerer is a handler, the first one of a route, that answers requests which
// the route's guard has refused.
type answerer struct {
	name string // of the handler that was first, for Caddy's metrics of the route
}

// CaddyModule makes Caddy's metrics name the route as they would without the
// answerer: by its first handler.
func (a answerer) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: caddy.ModuleID("http.handlers." + a.name), New: func() caddy.Module { return a }}
}

// ServeHTTP answers a refused request and passes on every other one.
func (answerer) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	if refusal, ok := caddyhttp.GetVar(r.Context(), refusalVar).(Refusal); ok {
		return refusal.Answer(w, r)
	}
	return next.ServeHTTP(w, r)
}

// addAnswerer puts an answerer before the handlers of a route that Caddy is
// provisioning or will provision: it appends the handlers that it loads to those
// that are there. It reports false if it is too late.
func addAnswerer(route *caddyhttp.Route) bool {
	return addFirst(route, func(name string) caddyhttp.MiddlewareHandler { return answerer{name} })
}

// addFirst puts a handler of this package before the handlers of a route, once.
// It is made with the name of the handler that was first. It reports false if it
// is too late.
func addFirst(route *caddyhttp.Route, handler func(name string) caddyhttp.MiddlewareHandler) bool {
	added := reflect.TypeOf(handler(""))
	isSame := func(other caddyhttp.MiddlewareHandler) bool { return reflect.TypeOf(other) == added }
	switch {
	case slices.ContainsFunc(route.Handlers, isSame):
		return true
	case route.HandlersRaw == nil:
		return false
	}
	// What is there belongs to this package: Caddy has not loaded the others yet.
	route.Handlers = append(route.Handlers, handler(firstHandler(*route)))
	return true
}

// firstHandler returns the name of the first handler of a route that Caddy has
// not provisioned yet.
func firstHandler(route caddyhttp.Route) string {
	var handler struct {
		Name string `json:"handler"`
	}
	if len(route.HandlersRaw) == 0 || json.Unmarshal(route.HandlersRaw[0], &handler) != nil {
		return ""
	}
	return handler.Name
}

// Interface guards
var (
	_ caddy.Module                = answerer{}
	_ caddyhttp.MiddlewareHandler = answerer{}
)
