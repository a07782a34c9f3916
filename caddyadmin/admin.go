// SPDX-License-Identifier: Apache-2.0

package caddyadmin

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-gluu/gateway/introspect"
)

func init() {
	caddy.RegisterModule(notFound{})
}

// handler answers a request about the running app.
type handler func(app *introspect.App, w http.ResponseWriter, r *http.Request) error

// ServeHTTP implements caddy.AdminHandler.
func (h handler) ServeHTTP(w http.ResponseWriter, r *http.Request) error {
	app := introspect.Running()
	if app == nil {
		return apiError(http.StatusServiceUnavailable, errors.New("the running configuration has no gluu app"))
	}
	return h(app, w, r)
}

// notFound answers for all paths below /gluu/ that no other module has. Paths
// are matched segment by segment and with their case, so that neither a prefix
// of a route nor another spelling of it is the route.
type notFound struct{}

// CaddyModule implements caddy.Module.
func (notFound) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "admin.api.gluu",
		New: func() caddy.Module { return new(notFound) },
	}
}

// Routes implements caddy.AdminRouter.
func (notFound) Routes() []caddy.AdminRoute {
	return []caddy.AdminRoute{{Pattern: "/gluu/", Handler: caddy.AdminHandlerFunc(serveNotFound)}}
}

func serveNotFound(w http.ResponseWriter, r *http.Request) error {
	if r.URL.Path == "/gluu/" {
		return serveIndex(w, r)
	}
	return apiError(http.StatusNotFound, errors.New("there is nothing here: GET /gluu/ lists what there is"))
}

// apiError is an error that is answered with this status.
func apiError(status int, err error) error {
	return caddy.APIError{HTTPStatus: status, Err: err}
}

// allow refuses requests with other methods than these.
func allow(w http.ResponseWriter, r *http.Request, methods ...string) error {
	if slices.Contains(methods, r.Method) {
		return nil
	}
	w.Header().Set("Allow", strings.Join(methods, ", "))
	return apiError(http.StatusMethodNotAllowed, fmt.Errorf("method not allowed: %s", r.Method))
}

// writeJSON answers with JSON.
func writeJSON(w http.ResponseWriter, status int, value any) error {
	text, err := json.Marshal(value)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(text, '\n'))
	return nil
}

// Interface guards
var (
	_ caddy.AdminHandler = handler(nil)
	_ caddy.AdminRouter  = (*notFound)(nil)
)
