// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/caddy-gluu/gateway/e2e/harness"
)

// The Keycloak examples with a real Keycloak.
func TestKeycloak(t *testing.T) {
	t.Parallel()
	server, err := newKeycloakUMAServer()
	if errors.Is(err, harness.ErrMissing) {
		t.Skipf("NOT TESTED: the examples with Keycloak: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	t.Run("tokens", func(t *testing.T) { testKeycloakTokens(t, server.Keycloak) })
	t.Run("login", func(t *testing.T) { testKeycloakLogin(t, server.Keycloak) })
	t.Run("people", func(t *testing.T) { testKeycloakPeople(t, server.Keycloak) })
	t.Run("UMA", func(t *testing.T) { testUMA(t, server) })
}

// testKeycloakTokens runs the example whose tokens are JWTs: its realm file
// and its Caddyfile as they stand.
func testKeycloakTokens(t *testing.T, keycloak *harness.Keycloak) {
	folder := filepath.Join(harness.Root(), "examples", "keycloak")
	keycloak = keycloak.AddRealm(t, filepath.Join(folder, "realm.json"), "tokens")
	content, err := os.ReadFile(filepath.Join(folder, "Caddyfile"))
	if err != nil {
		t.Fatal(err)
	}
	upstream := harness.StartUpstream(t)
	a := &api{t: t, upstream: upstream}
	a.Gateway = harness.StartGateway(t, harness.GatewayConfig{
		Caddyfile: asTest(string(content), "{$SITE}"),
		Env:       map[string]string{"ISSUER": keycloak.Issuer, "UPSTREAM": upstream.Addr},
	})
	read := keycloak.Token(t, "todo-app", "todo-app-secret", "todos:read")
	a.WaitReady("/todos", harness.Bearer(read))

	a.refused(harness.Request{Method: http.MethodGet, Target: "/todos"}, noToken)
	echo := a.passed(get("/todos/42", read))
	for name, want := range map[string]string{"X-Consumer-Username": "todo-app", "X-OAuth-Client-ID": "todo-app"} {
		if got := echo.Value(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	post := func(token string) harness.Request {
		return harness.Request{Method: http.MethodPost, Target: "/todos", Fields: []harness.Field{harness.Bearer(token)}}
	}
	a.refused(post(read), missingScope("todos:write"))
	a.passed(post(keycloak.Token(t, "todo-app", "todo-app-secret", "todos:read todos:write")))
	// Without a scope of this API the token lacks its audience.
	a.refused(get("/todos", keycloak.Token(t, "todo-app", "todo-app-secret", "")), invalidToken)
	// A client of the realm that is not a consumer of this gateway.
	keycloak.Admin(t, http.MethodPost, "/clients", map[string]any{
		"clientId": "stranger", "secret": "stranger-secret", "protocol": "openid-connect", "publicClient": false, "serviceAccountsEnabled": true,
		"optionalClientScopes": []string{"todos:read"},
	}, nil)
	stranger := invalidToken
	stranger.reason = "unknown_consumer"
	a.refused(get("/todos", keycloak.Token(t, "stranger", "stranger-secret", "todos:read")), stranger)

	if n := keycloak.Counts()[keycloak.Path(harness.KeycloakTokenPath+"/introspect")]; n != 0 {
		t.Errorf("%d tokens were introspected, want none", n)
	}
}
