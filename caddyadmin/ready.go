// SPDX-License-Identifier: Apache-2.0

package caddyadmin

import (
	"net/http"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-gluu/gateway/introspect"
)

func init() {
	caddy.RegisterModule(ready{})
}

// ready tells a load balancer whether this gateway can decide about requests:
//
//	GET /gluu/ready    200, or 503 with what is missing
type ready struct{}

// CaddyModule implements caddy.Module.
func (ready) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "admin.api.gluu_ready",
		New: func() caddy.Module { return new(ready) },
	}
}

// Routes implements caddy.AdminRouter.
func (ready) Routes() []caddy.AdminRoute {
	return []caddy.AdminRoute{{Pattern: "/gluu/ready", Handler: handler(showReady)}}
}

func showReady(app *introspect.App, w http.ResponseWriter, r *http.Request) error {
	if err := allow(w, r, http.MethodGet, http.MethodHead); err != nil {
		return err
	}
	missing := app.Unready(r.Context())
	status := http.StatusOK
	if len(missing) > 0 {
		status = http.StatusServiceUnavailable
	}
	return writeJSON(w, status, map[string]any{"ready": len(missing) == 0, "missing": missing})
}

// Interface guards
var _ caddy.AdminRouter = (*ready)(nil)
