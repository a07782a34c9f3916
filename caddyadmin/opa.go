// SPDX-License-Identifier: Apache-2.0

package caddyadmin

import (
	"net/http"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-gluu/gateway/introspect"
)

func init() {
	caddy.RegisterModule(opaAPI{})
}

// opaAPI shows the policy engines, their bundles, and what decides for each gluu_opa_pep:
//
//	GET /gluu/opa
type opaAPI struct{}

// CaddyModule implements caddy.Module.
func (opaAPI) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "admin.api.gluu_opa",
		New: func() caddy.Module { return new(opaAPI) },
	}
}

// Routes implements caddy.AdminRouter.
func (opaAPI) Routes() []caddy.AdminRoute {
	return []caddy.AdminRoute{{Pattern: "/gluu/opa", Handler: handler(showOPA)}}
}

func showOPA(app *introspect.App, w http.ResponseWriter, r *http.Request) error {
	if err := allow(w, r, http.MethodGet); err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, app.OPAStatus())
}

// Interface guards
var _ caddy.AdminRouter = (*opaAPI)(nil)
