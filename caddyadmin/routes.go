// SPDX-License-Identifier: Apache-2.0

package caddyadmin

import (
	"net/http"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-gluu/gateway/internal/routemap"
	"github.com/caddy-gluu/gateway/introspect"
)

func init() {
	caddy.RegisterModule(routesAPI{})
}

// routesAPI shows which handlers there are, in the order in which they run, and what
// protects them:
//
//	GET /gluu/routes[?request=<method> <address>]
//
// With a request it also says which of them that request would meet.
type routesAPI struct{}

// CaddyModule implements caddy.Module.
func (routesAPI) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "admin.api.gluu_routes",
		New: func() caddy.Module { return new(routesAPI) },
	}
}

// Routes implements caddy.AdminRouter.
func (routesAPI) Routes() []caddy.AdminRoute {
	return []caddy.AdminRoute{{Pattern: "/gluu/routes", Handler: handler(showRoutes)}}
}

// routesAnswer is a map, with what becomes of a request.
type routesAnswer struct {
	*routemap.Map
	Taken *routemap.Taken `json:"taken,omitempty"`
}

func showRoutes(app *introspect.App, w http.ResponseWriter, r *http.Request) error {
	if err := allow(w, r, http.MethodGet); err != nil {
		return err
	}
	found, err := app.Routes()
	if err != nil {
		return apiError(http.StatusServiceUnavailable, err)
	}
	answer := routesAnswer{Map: found}
	if query := r.URL.Query(); query.Has("request") {
		if answer.Taken, err = routemap.Take(r.Context(), query.Get("request")); err != nil {
			return apiError(http.StatusBadRequest, err)
		}
	}
	return writeJSON(w, http.StatusOK, answer)
}

// Interface guards
var _ caddy.AdminRouter = (*routesAPI)(nil)
