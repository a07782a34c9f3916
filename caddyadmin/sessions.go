// SPDX-License-Identifier: Apache-2.0

package caddyadmin

import (
	"errors"
	"net/http"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-gluu/gateway/internal/sessionpool"
	"github.com/caddy-gluu/gateway/introspect"
)

func init() {
	caddy.RegisterModule(sessions{})
}

// sessions counts and ends the sessions of people:
//
//	GET    /gluu/sessions?sub=<subject>              how many a person has, and since when
//	DELETE /gluu/sessions?sub=<subject> or ?sid=...  ends them, on all gateways
//
// `iss` names the OpenID Provider where several are configured.
type sessions struct{}

// CaddyModule implements caddy.Module.
func (sessions) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "admin.api.gluu_sessions",
		New: func() caddy.Module { return new(sessions) },
	}
}

// Routes implements caddy.AdminRouter.
func (sessions) Routes() []caddy.AdminRoute {
	return audited([]caddy.AdminRoute{{Pattern: "/gluu/sessions", Handler: handler(serveSessions)}})
}

func serveSessions(app *introspect.App, w http.ResponseWriter, r *http.Request) error {
	if err := allow(w, r, http.MethodGet, http.MethodDelete); err != nil {
		return err
	}
	query := r.URL.Query()
	issuer, sid, subject := query.Get("iss"), query.Get("sid"), query.Get("sub")
	isCount := r.Method == http.MethodGet
	if subject == "" && (isCount || sid == "") {
		return apiError(http.StatusBadRequest, errors.New("name a person with ?sub=, or to end one session its ?sid="))
	}
	if isCount {
		times, err := app.Sessions().Times(r.Context(), issuer, subject)
		return answerSessions(w, map[string]any{"sessions": len(times), "times": times}, err)
	}
	n, err := app.Sessions().End(r.Context(), issuer, sid, subject)
	return answerSessions(w, map[string]any{"ended": n}, err)
}

func answerSessions(w http.ResponseWriter, answer map[string]any, err error) error {
	switch {
	case errors.Is(err, sessionpool.ErrNoSessions):
		return apiError(http.StatusNotFound, err)
	case err != nil:
		return apiError(http.StatusServiceUnavailable, err)
	}
	return writeJSON(w, http.StatusOK, answer)
}
