// SPDX-License-Identifier: Apache-2.0

package caddyadmin

import (
	"net/http"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-gluu/gateway/introspect"
)

func init() {
	caddy.RegisterModule(providers{})
}

// providers shows the state of the authorization servers:
//
//	GET /gluu/providers
type providers struct{}

// CaddyModule implements caddy.Module.
func (providers) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "admin.api.gluu_providers",
		New: func() caddy.Module { return new(providers) },
	}
}

// Routes implements caddy.AdminRouter.
func (providers) Routes() []caddy.AdminRoute {
	return []caddy.AdminRoute{{Pattern: "/gluu/providers", Handler: handler(showProviders)}}
}

func showProviders(app *introspect.App, w http.ResponseWriter, r *http.Request) error {
	if err := allow(w, r, http.MethodGet); err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, app.ProviderStatuses())
}

// Interface guards
var _ caddy.AdminRouter = (*providers)(nil)
