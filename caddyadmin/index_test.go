// SPDX-License-Identifier: Apache-2.0

package caddyadmin

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
)

// The description has every route of every admin module of the gateway, and no
// other.
func TestTheIndexHasEveryEndpoint(t *testing.T) {
	w := httptest.NewRecorder()
	if err := serveNotFound(w, httptest.NewRequest(http.MethodGet, "/gluu/", nil)); err != nil {
		t.Fatal(err)
	}
	var document struct {
		OpenAPI string                                `json:"openapi"`
		Paths   map[string]map[string]json.RawMessage `json:"paths"`
	}
	if err := json.Unmarshal(w.Body.Bytes(), &document); err != nil || document.OpenAPI != "3.1.0" {
		t.Fatalf("got %s, error %v", w.Body, err)
	}
	var routes []string
	for _, info := range caddy.GetModules("admin.api") {
		if !strings.HasPrefix(info.ID.Name(), "gluu") {
			continue
		}
		for _, route := range info.New().(caddy.AdminRouter).Routes() {
			routes = append(routes, route.Pattern)
			if len(document.Paths[route.Pattern]) == 0 {
				t.Errorf("%s is not described", route.Pattern)
			}
		}
	}
	for path := range document.Paths {
		if !slices.Contains(routes, path) {
			t.Errorf("%s is described, but there is no such route", path)
		}
	}
}
