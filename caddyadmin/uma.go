// SPDX-License-Identifier: Apache-2.0

package caddyadmin

import (
	"net/http"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-gluu/gateway/introspect"
)

func init() {
	caddy.RegisterModule(umaAPI{})
}

// umaAPI shows the resources that gluu_uma_pep protects, and how they are known at the authorization server:
//
//	GET /gluu/uma
type umaAPI struct{}

// CaddyModule implements caddy.Module.
func (umaAPI) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "admin.api.gluu_uma",
		New: func() caddy.Module { return new(umaAPI) },
	}
}

// Routes implements caddy.AdminRouter.
func (umaAPI) Routes() []caddy.AdminRoute {
	return []caddy.AdminRoute{{Pattern: "/gluu/uma", Handler: handler(showUMA)}}
}

func showUMA(app *introspect.App, w http.ResponseWriter, r *http.Request) error {
	if err := allow(w, r, http.MethodGet); err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, app.UMA())
}

// Interface guards
var _ caddy.AdminRouter = (*umaAPI)(nil)
