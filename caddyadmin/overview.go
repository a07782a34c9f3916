// SPDX-License-Identifier: Apache-2.0

package caddyadmin

import (
	"net/http"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-gluu/gateway/introspect"
)

func init() {
	caddy.RegisterModule(overview{})
}

// overview shows on one page what this gateway does at the moment:
//
//	GET /gluu/overview
type overview struct{}

// CaddyModule implements caddy.Module.
func (overview) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "admin.api.gluu_overview",
		New: func() caddy.Module { return new(overview) },
	}
}

// Routes implements caddy.AdminRouter.
func (overview) Routes() []caddy.AdminRoute {
	return []caddy.AdminRoute{{Pattern: "/gluu/overview", Handler: handler(showOverview)}}
}

func showOverview(app *introspect.App, w http.ResponseWriter, r *http.Request) error {
	if err := allow(w, r, http.MethodGet); err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, app.Overview(r.Context()))
}

// Interface guards
var _ caddy.AdminRouter = (*overview)(nil)
