// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
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
				Env: map[string]string{
					"CLIENT_SECRET":      "secret-of-the-gateway",
					"PROVISION_KEY_HASH": "$argon2id$v=19$m=47104,t=1,p=1$qMCfqQlgSyLeF+tXdkA+Dw$ugB/3upzmoHLwfsiQ3AtTOioBryLDBUhvvd+k8ERoX8",
				},
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

var (
	exampleAddress = regexp.MustCompile(`\{\$ADDRESS:http://localhost:([0-9]+)\}`)
	exampleState   = regexp.MustCompile(`storage file_system \{\$STATE:[^}]*\}|store embedded \{\s*path \{\$STATE:[^}]*\}\S*\s*\}`)
	exampleStore   = regexp.MustCompile(`store (postgres|embedded \{\s*path) (\S+)`)
	exampleAPI     = regexp.MustCompile(`http://127\.0\.0\.1:\{\$API_PORT:([0-9]+)\} (?s:.*)`)
	exampleAdmin   = regexp.MustCompile(`admin \{\$CADDY_ADMIN:127\.0\.0\.1:([0-9]+)\}`)
)

// asTest is the Caddyfile of an example at the address of a test: its files are in
// the home of the test's gateway, and its stand-in for an API is left out.
func asTest(caddyfile, address string) string {
	caddyfile = exampleAPI.ReplaceAllString(caddyfile, "")
	caddyfile = exampleState.ReplaceAllString(caddyfile, "")
	return exampleAddress.ReplaceAllLiteralString(caddyfile, address)
}

// Examples can run at once: no two have a port, a realm or a file in common, and
// none can be reached from other machines.
func TestExamplesDoNotDisturbOneAnother(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(filepath.Join(harness.Root(), "examples", "*", "Caddyfile"))
	if err != nil || len(files) < 6 {
		t.Fatal(files, err)
	}
	owner := map[string]string{}
	claim := func(name, what string) {
		if other, taken := owner[what]; taken && other != name {
			t.Errorf("%s and %s both have %s", other, name, what)
		}
		owner[what] = name
	}
	for _, file := range files {
		name := filepath.Base(filepath.Dir(file))
		if name == "quickstart" {
			continue // chooses its ports, and has a test of its own
		}
		content := readFile(t, "examples/"+name+"/Caddyfile")
		for _, ports := range []*regexp.Regexp{exampleAddress, exampleAPI, exampleAdmin} {
			for _, port := range ports.FindAllStringSubmatch(content, -1) {
				claim(name, "port "+port[1])
			}
		}
		if !exampleAdmin.MatchString(content) || !strings.Contains(content, "bind {$BIND:127.0.0.1}") || !strings.Contains(content, "storage file_system {$STATE:.cache/"+name+"}") {
			t.Errorf("%s does not keep to 127.0.0.1, an admin address and a folder of its own", name)
		}
		if strings.Contains(content, "\tgluu_oauth_server {") {
			store := exampleStore.FindStringSubmatch(content)
			if store == nil {
				t.Fatalf("%s keeps the records of its authorization server where others do", name)
			}
			claim(name, "the store "+store[2])
		}
		if strings.Contains(content, "\n\treverse_proxy") && !exampleAPI.MatchString(content) {
			t.Errorf("%s has no stand-in for the API", name)
		}
		var realm struct{ Realm string }
		if text, err := os.ReadFile(filepath.Join(filepath.Dir(file), "realm.json")); err == nil && json.Unmarshal(text, &realm) == nil {
			claim(name, "the realm "+realm.Realm)
		}
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
		Caddyfile: asTest(string(content), "{$SITE}"),
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
