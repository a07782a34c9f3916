// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddy-gluu/gateway/e2e/harness"
)

// Every example loads in the standard binary. The quickstart has its own test;
// `make policy` runs the policy tests.
func TestExamplesLoad(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(filepath.Join(harness.Root(), "examples", "*", "Caddyfile"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no examples found: %v", err)
	}
	for _, file := range files {
		name := filepath.Base(filepath.Dir(file))
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			output, ok := harness.RunCaddy(t, harness.GatewayConfig{
				Binary: harness.StandardBinary(t),
				Env:    map[string]string{"CLIENT_SECRET": "secret-of-the-gateway"},
			}, "validate", "--config", file)
			if !ok {
				t.Errorf("refused:\n%s", output)
			}
			if strings.Contains(output, "is not formatted") {
				t.Errorf("run caddy fmt --overwrite %s", file)
			}
			for _, name := range []string{"README.md", "policy.test.yaml"} {
				if _, err := os.Stat(filepath.Join(filepath.Dir(file), name)); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// The introspection example with a real authorization server.
func TestExampleIntrospection(t *testing.T) {
	t.Parallel()
	server := harness.StartOIDCProvider(t, harness.OIDCConfig{
		Scopes: []string{"todos:read", "todos:write", "todos:admin", "team:red"},
		Clients: []map[string]any{
			harness.ClientCredentials(gatewayID, gatewaySecret),
			harness.ClientCredentials("todo-app-client", "todo-app-secret-40b7a1c2d3e4f5a6"),
		},
		Introspectors: []string{gatewayID},
	})
	content, err := os.ReadFile(filepath.Join(harness.Root(), "examples", "introspection", "Caddyfile"))
	if err != nil {
		t.Fatal(err)
	}
	upstream := harness.StartUpstream(t)
	a := &api{t: t, upstream: upstream, server: server}
	a.Gateway = harness.StartGateway(t, harness.GatewayConfig{
		Caddyfile: strings.Replace(string(content), "{$ADDRESS:http://localhost:8080}", "{$SITE}", 1),
		Binary:    harness.StandardBinary(t),
		Env: map[string]string{
			"ISSUER": server.Issuer, "CLIENT_ID": gatewayID, "CLIENT_SECRET": gatewaySecret,
			"AUDIENCE": harness.Opaque, "UPSTREAM": upstream.Addr,
		},
	})
	a.Forbid(gatewaySecret)
	a.WaitReady("/", harness.Bearer("is-the-authorization-server-there"))

	token := func(scopes string) string { return server.Token(t, "todo-app-client", harness.Opaque, scopes) }
	a.refused(harness.Request{Method: "GET", Target: "/todos"}, noToken)
	echo := a.passed(get("/todos/42", token("todos:read")))
	if got := echo.Value("X-Consumer-Username"); got != "todo-app" {
		t.Errorf("X-Consumer-Username: got %q, want todo-app", got)
	}
	if got := echo.Values("Authorization"); len(got) > 0 {
		t.Errorf("the API received the token")
	}
	a.refused(get("/todos/x", token("todos:read")), noRule)
	a.passed(get("/teams/red/notes", token("team:red")))
	a.refused(get("/teams/blue/notes", token("team:red")), missingScope(""))
}
