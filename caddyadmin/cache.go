// SPDX-License-Identifier: Apache-2.0

package caddyadmin

import (
	"net/http"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-gluu/gateway/introspect"
)

func init() {
	caddy.RegisterModule(cache{})
}

// cache shows how many tokens are cached, and whether the cache that gateways
// share is available:
//
//	GET /gluu/cache
type cache struct{}

// CaddyModule implements caddy.Module.
func (cache) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "admin.api.gluu_cache",
		New: func() caddy.Module { return new(cache) },
	}
}

// Routes implements caddy.AdminRouter.
func (cache) Routes() []caddy.AdminRoute {
	return []caddy.AdminRoute{{Pattern: "/gluu/cache", Handler: handler(showCache)}}
}

func showCache(app *introspect.App, w http.ResponseWriter, r *http.Request) error {
	if err := allow(w, r, http.MethodGet); err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, app.CacheStatus())
}

// Interface guards
var _ caddy.AdminRouter = (*cache)(nil)
