// SPDX-License-Identifier: Apache-2.0

package caddytest

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
)

// Admin sends a request to the admin routes of all modules that the test
// imports, as Caddy's admin endpoint does, but without its access rules. It
// returns the status and the body, which is the text of the error if there was
// one.
func Admin(t testing.TB, method, target, body string) (status int, answer string) {
	t.Helper()
	var routes []caddy.AdminRoute
	for _, module := range caddy.GetModules("admin.api") {
		if strings.HasPrefix(module.ID.Name(), "gluu") {
			routes = append(routes, module.New().(caddy.AdminRouter).Routes()...)
		}
	}
	w, r := httptest.NewRecorder(), httptest.NewRequest(method, target, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	AdminMux(t, routes).ServeHTTP(w, r)
	return w.Code, w.Body.String()
}

// AdminMux serves admin routes. An error becomes its status, with its text as
// the body.
func AdminMux(t testing.TB, routes []caddy.AdminRoute) http.Handler {
	mux := http.NewServeMux()
	for _, route := range routes {
		mux.HandleFunc(route.Pattern, func(w http.ResponseWriter, r *http.Request) {
			err := route.Handler.ServeHTTP(w, r)
			if err == nil {
				return
			}
			failed, ok := errors.AsType[caddy.APIError](err)
			if !ok {
				t.Errorf("%s %s: got %v, want an error with a status", r.Method, r.URL, err)
				failed.HTTPStatus = http.StatusInternalServerError
			}
			w.WriteHeader(failed.HTTPStatus)
			_, _ = w.Write([]byte(err.Error()))
		})
	}
	return mux
}
