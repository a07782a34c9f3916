// SPDX-License-Identifier: Apache-2.0

package caddyadmin

import (
	"errors"
	"net/http"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-gluu/gateway/internal/uilink"
)

func init() {
	caddy.RegisterModule(uiLinks{})
}

// uiLinks makes links that open the pages of gluu_ui once, on this machine:
//
//	POST /gluu/ui    a link for each gluu_ui with the option local
//	GET  /gluu/ui    which process this is, for its own pages
//
// Who reaches this endpoint can change the whole configuration, so a link gives
// nothing that its reader does not have.
type uiLinks struct{}

// CaddyModule implements caddy.Module.
func (uiLinks) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "admin.api.gluu_ui",
		New: func() caddy.Module { return new(uiLinks) },
	}
}

// Routes implements caddy.AdminRouter.
func (uiLinks) Routes() []caddy.AdminRoute {
	return audited([]caddy.AdminRoute{{Pattern: "/gluu/ui", Handler: caddy.AdminHandlerFunc(serveUILinks)}})
}

func serveUILinks(w http.ResponseWriter, r *http.Request) error {
	if err := allow(w, r, http.MethodGet, http.MethodPost); err != nil {
		return err
	}
	if r.Method == http.MethodGet {
		return writeJSON(w, http.StatusOK, map[string]string{"instance": uilink.Instance})
	}
	links := uilink.Open.New()
	if len(links) == 0 {
		return apiError(http.StatusNotFound, errors.New("the running configuration has no gluu_ui with the option local: on other sites people log in"))
	}
	w.Header().Set("Cache-Control", "no-store")
	return writeJSON(w, http.StatusCreated, map[string]any{"links": links})
}

// Interface guards
var _ caddy.AdminRouter = (*uiLinks)(nil)
