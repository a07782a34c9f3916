// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"errors"
	"os"
	"sync"
	"testing"

	"github.com/caddy-gluu/gateway/e2e/harness"
)

// The clients of the shared authorization server.
const (
	gatewayID     = "gateway"
	gatewaySecret = "gateway-secret-5f2b:/?#[]@!$&'()*+,;= %" // all that a form encodes
	todoApp       = "todo-app"                                // consumer "todo-app"
	secondApp     = "second-app"                              // a consumer only where a test says so
	portal        = "portal"                                  // people log in through it
)

func standardClients() harness.OIDCConfig {
	return harness.OIDCConfig{
		Scopes: []string{
			"todos:read", "todos:write", "todos:hh", "todos:ll", "email", "admin", "employee", "customer",
		},
		Clients: []map[string]any{
			harness.ClientCredentials(gatewayID, gatewaySecret),
			harness.ClientCredentials(todoApp, "todo-app-secret-40b7a1c2d3e4f5a6"),
			harness.ClientCredentials(secondApp, "second-app-secret-91c2d3e4f5a6b7"),
			harness.LoginClient(portal, "portal-secret-7d2e9f00a1b2c3d4e5"),
		},
		Introspectors: []string{gatewayID},
	}
}

// The shared authorization server is started by the first test that needs
// it, and ended after the last.
var (
	shared      *harness.OIDCProvider
	startShared = sync.OnceValue(func() (err error) {
		shared, err = harness.NewOIDCProvider(standardClients())
		return err
	})
)

// sharedServer returns an authorization server with the clients above. A
// test that counts calls or makes it fail starts one of its own.
func sharedServer(t *testing.T) *harness.OIDCProvider {
	t.Helper()
	err := startShared()
	if errors.Is(err, harness.ErrMissing) {
		t.Skipf("NOT TESTED: whatever needs npm's oidc-provider: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return shared
}

func ownServer(t *testing.T) *harness.OIDCProvider {
	t.Helper()
	return harness.StartOIDCProvider(t, standardClients())
}

func TestMain(m *testing.M) {
	code := m.Run()
	if shared != nil {
		shared.Close()
	}
	os.Exit(code)
}
