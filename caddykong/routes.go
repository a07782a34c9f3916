// SPDX-License-Identifier: Apache-2.0

package caddykong

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-gluu/gateway/directive"
)

func init() {
	caddy.RegisterModule(new(Routes))
}

// Routes is a handler that finds the one route among many that a request
// belongs to, in Kong's order, and runs its handlers. A request that no route
// matches goes on to the next handler; one that a route matches does not.
//
// The order of the routes in the configuration matters only where two of them
// are alike in everything that Kong compares. Finding a route costs the same
// for ten of them and for ten thousand.
type Routes struct {
	// The address of this handler in Caddy's admin API: `/id/<name>`. Default:
	// none, the handler is found by its place.
	ID string `json:"@id,omitempty"`

	// The routes. Each has one set of matchers with the matcher `gluu_route`
	// alone, and handlers: `{"match": [{"gluu_route": {...}}], "handle": [...]}`.
	// Handlers that are the same, byte by byte, are set up once.
	Routes []Route `json:"routes,omitempty"`

	// Tell clients that send `Kong-Debug: 1` the route of their request, in
	// Kong-Route-Id and Kong-Route-Name. Default: false
	DebugHeader bool `json:"debug_header,omitempty"`

	index  *index
	chains []caddyhttp.Handler // by route
}

// Route is a route of [Routes].
type Route struct {
	// The conditions: one set with `gluu_route` alone.
	Match []struct {
		Route *MatchRoute `json:"gluu_route"`
	} `json:"match,omitempty"`

	// The handlers that run in this order.
	Handle []json.RawMessage `json:"handle,omitempty"`
}

// UnmarshalJSON implements json.Unmarshaler, for errors that name the option.
func (h *Routes) UnmarshalJSON(text []byte) error {
	type plain Routes
	return directive.UnmarshalJSON("gluu_routes", text, (*plain)(h))
}

// CaddyModule returns the Caddy module information.
func (*Routes) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.handlers.gluu_routes",
		New: func() caddy.Module { return new(Routes) },
	}
}

// Provision compiles the routes and sets up their handlers.
func (h *Routes) Provision(ctx caddy.Context) error {
	matchers := make([]*MatchRoute, len(h.Routes))
	for i, route := range h.Routes {
		if len(route.Match) != 1 || route.Match[0].Route == nil {
			return fmt.Errorf("gluu_routes: route %d: write one set of matchers with gluu_route in it", i+1)
		}
		matchers[i] = route.Match[0].Route
	}
	var err error
	if h.index, err = newIndex(matchers); err != nil {
		return err
	}
	loaded := make(map[string]caddyhttp.MiddlewareHandler)
	for i, route := range h.Routes {
		chain, err := loadChain(ctx, route.Handle, loaded)
		if err != nil {
			return matchers[i].located(err)
		}
		h.chains = append(h.chains, chain)
	}
	return nil
}

// loadChain sets up handlers and puts them one behind the other. What has been
// loaded from the same text is used again.
func loadChain(ctx caddy.Context, handlers []json.RawMessage, loaded map[string]caddyhttp.MiddlewareHandler) (caddyhttp.Handler, error) {
	var chain caddyhttp.Handler = caddyhttp.HandlerFunc(func(http.ResponseWriter, *http.Request) error { return nil })
	list := make([]caddyhttp.MiddlewareHandler, len(handlers))
	for i, raw := range handlers {
		handler, err := loadHandler(ctx, raw, loaded)
		if err != nil {
			return nil, fmt.Errorf("handler %d: %w", i+1, err)
		}
		list[i] = handler
	}
	for _, handler := range slices.Backward(list) {
		next := chain
		chain = caddyhttp.HandlerFunc(func(w http.ResponseWriter, r *http.Request) error {
			return handler.ServeHTTP(w, r, next)
		})
	}
	return chain, nil
}

func loadHandler(ctx caddy.Context, raw json.RawMessage, loaded map[string]caddyhttp.MiddlewareHandler) (caddyhttp.MiddlewareHandler, error) {
	if handler := loaded[string(raw)]; handler != nil {
		return handler, nil
	}
	holder := struct {
		HandlerRaw json.RawMessage `caddy:"namespace=http.handlers inline_key=handler"`
	}{slices.Clone(raw)}
	module, err := ctx.LoadModule(&holder, "HandlerRaw")
	if err != nil {
		return nil, err
	}
	handler, ok := module.(caddyhttp.MiddlewareHandler)
	if !ok {
		return nil, errors.New("is not a handler")
	}
	loaded[string(raw)] = handler
	return handler, nil
}

// ServeHTTP runs the handlers of the request's route.
func (h *Routes) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	found, err := h.index.lookup(r)
	if err != nil {
		return err
	}
	if found.rule == nil {
		return next.ServeHTTP(w, r)
	}
	if h.DebugHeader && r.Header.Get("Kong-Debug") != "" {
		w.Header().Set("Kong-Route-Id", found.rule.of.ID)
		w.Header().Set("Kong-Route-Name", found.rule.of.Name)
	}
	if answered := answerProtocol(w, r, found.rule.of); answered {
		return nil
	}
	found.store(r)
	return h.chains[found.rule.route].ServeHTTP(w, r)
}

// Interface guards
var (
	_ caddy.Provisioner           = (*Routes)(nil)
	_ caddyhttp.MiddlewareHandler = (*Routes)(nil)
)
