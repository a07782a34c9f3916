// SPDX-License-Identifier: Apache-2.0

package kongconfig_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// authorizationServer knows the tokens "of-<client>" and
// "of-<client>-with-<scopes>", whose scopes are separated by "+"
// and have "/" for ":".
type authorizationServer struct{ *httptest.Server }

func newAuthorizationServer(t testing.TB) authorizationServer {
	mux := http.NewServeMux()
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	metadata := func(w http.ResponseWriter, _ *http.Request) {
		answer(w, map[string]any{
			"issuer": server.URL, "introspection_endpoint": server.URL + "/introspect", "jwks_uri": server.URL + "/jwks", "token_endpoint": server.URL + "/token",
			"authorization_endpoint": server.URL + "/authorize", "permission_endpoint": server.URL + "/permission", "resource_registration_endpoint": server.URL + "/resource",
			"response_types_supported": []string{"code"}, "subject_types_supported": []string{"public"}, "id_token_signing_alg_values_supported": []string{"RS256"},
		})
	}
	mux.HandleFunc("/.well-known/openid-configuration", metadata)
	mux.HandleFunc("/.well-known/uma2-configuration", metadata)
	mux.HandleFunc("/jwks", func(w http.ResponseWriter, _ *http.Request) { answer(w, map[string]any{"keys": []any{}}) })
	mux.HandleFunc("POST /introspect", func(w http.ResponseWriter, r *http.Request) {
		client, ok := strings.CutPrefix(r.PostFormValue("token"), "of-")
		if !ok {
			answer(w, map[string]any{"active": false})
			return
		}
		client, scopes, _ := strings.Cut(client, "-with-")
		answer(w, map[string]any{"active": true, "client_id": client, "scope": strings.NewReplacer("+", " ", "/", ":").Replace(scopes), "exp": 4102444800, "team": "blue"})
	})
	return authorizationServer{server}
}

func answer(w http.ResponseWriter, body any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(body)
}

// config is what Gluu's plugins have in common, with further fields.
func (s authorizationServer) config(more string) string {
	config := fmt.Sprintf("op_url: %q, oxd_url: \"https://oxd.invalid:8443\", oxd_id: 1, client_id: gateway, client_secret: secret", s.URL)
	if more != "" {
		config += ", " + more
	}
	return config
}

// plugin is gluu-oauth-auth for all routes.
func (s authorizationServer) plugin(more string) string {
	return fmt.Sprintf("{name: gluu-oauth-auth, config: {%s}}", s.config(more))
}
