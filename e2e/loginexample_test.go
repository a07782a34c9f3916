// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddy-gluu/gateway/e2e/harness"
	"github.com/caddy-gluu/gateway/internal/testenv"
)

// TestExampleLogin does what examples/login tells its reader to do: its OpenID
// Provider and its Caddyfile as they stand, but for the ports.
func TestExampleLogin(t *testing.T) {
	t.Parallel()
	port := func() string {
		address, err := testenv.FreeAddress()
		if err != nil {
			t.Fatal(err)
		}
		_, port, _ := net.SplitHostPort(address)
		return port
	}
	provider, gateway, app := port(), port(), port()
	base := "http://localhost:" + gateway
	harness.StartExampleScript(t, "examples/login/provider.mjs", map[string]string{"PORT": provider, "GATEWAY": base})
	content, err := os.ReadFile(filepath.Join(harness.Root(), "examples", "login", "Caddyfile"))
	if err != nil {
		t.Fatal(err)
	}
	harness.StartGateway(t, harness.GatewayConfig{
		Caddyfile: string(content),
		Env:       map[string]string{"ISSUER": "http://127.0.0.1:" + provider, "LOGIN_PORT": gateway, "API_PORT": app},
	})
	tab := harness.StartBrowser(t).Window(t).Tab()
	tab.Open(base + "/reports?year=2026")
	tab.Type("input[name=login]", "ada")
	tab.Type("input[name=password]", "any")
	tab.Click("button[type=submit]")
	tab.WaitText("Authorize")
	tab.Click("button[type=submit]")
	tab.WaitText("GET /reports?year=2026")
	for _, want := range []string{"X-Authenticated-Userid: ada", "ada@example.com"} {
		if shown := tab.Text(); !strings.Contains(shown, want) {
			t.Errorf("the page shows %q, want %q in it", shown, want)
		}
	}
	request, err := http.NewRequest(http.MethodGet, base+"/reports", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Accept", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != http.StatusUnauthorized {
		t.Errorf("a program: got %s, want 401", response.Status)
	}
	tab.Open(base + "/logout")
	tab.Click("button[name=logout]")
	tab.WaitText("You are logged out.")
	tab.Open(base + "/")
	tab.WaitText("Sign-in")
}
