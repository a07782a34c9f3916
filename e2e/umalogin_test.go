// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddy-gluu/gateway/e2e/harness"
)

// testKeycloakPeople is the example examples/uma-login-keycloak, its realm file and
// its Caddyfile, with addresses of the test: two people in a browser, whose
// permissions Keycloak decides.
func testKeycloakPeople(t *testing.T, keycloak *harness.Keycloak) {
	folder := filepath.Join(harness.Root(), "examples", "uma-login-keycloak")
	keycloak = keycloak.AddRealm(t, filepath.Join(folder, "realm.json"), "people")
	keycloak.SetLifespan(t, 40*time.Second) // renewed after ten
	content, err := os.ReadFile(filepath.Join(folder, "Caddyfile"))
	if err != nil {
		t.Fatal(err)
	}
	front := harness.StartRelay(t, "127.0.0.1:9")
	_, port, _ := strings.Cut(front.Addr, ":")
	base := "http://localhost:" + port
	var clients []map[string]any
	keycloak.Admin(t, http.MethodGet, "/clients?clientId=gateway", nil, &clients)
	clients[0]["redirectUris"] = []string{base + "/callback"}
	clients[0]["attributes"].(map[string]any)["post.logout.redirect.uris"] = base + "/goodbye"
	keycloak.Admin(t, http.MethodPut, fmt.Sprint("/clients/", clients[0]["id"]), clients[0], nil)

	app := startWebApp(t)
	// The first decisions of a Keycloak that has just started can take longer than the
	// gateway waits for an answer otherwise.
	const audience = "audience gateway\n"
	if !strings.Contains(string(content), audience) {
		t.Fatalf("the example has no %q", audience)
	}
	patient := strings.Replace(string(content), audience, audience+"timeout 30s\n", 1)
	gateway := harness.StartGateway(t, harness.GatewayConfig{
		Caddyfile: asTest(patient, "http://localhost:{$PORT}"),
		Env:       map[string]string{"ISSUER": keycloak.Issuer, "UPSTREAM": app.addr()},
	})
	front.ForwardTo(gateway.Addr)
	harness.Eventually(t, time.Minute, func() string {
		if n := len(keycloak.Resources(t, "gateway")); n < 3 {
			return fmt.Sprintf("%d resources are registered", n)
		}
		return ""
	})
	browser := harness.StartBrowser(t)
	signIn := func(name, path string) *harness.Tab {
		t.Helper()
		tab := browser.Window(t).Tab()
		tab.Open(base + path)
		tab.Type("#username", name)
		tab.Type("#password", name+"-password")
		tab.Click("#kc-login")
		tab.WaitLocation(base + path)
		return tab
	}

	alice, bob := signIn("alice", "/todos?page=2"), signIn("bob", "/todos")
	alice.WaitText("GET /todos?page=2")
	bob.WaitText("Access refused")
	bob.Open(base + "/") // the page of a refusal lets no script ask
	bob.WaitText("GET /")
	for _, want := range []struct {
		tab          *harness.Tab
		path, status string
	}{
		{alice, "/todos", "200"}, {alice, "/notes", "403"},
		{bob, "/notes", "200"}, {bob, "/todos", "403"},
		{alice, "/", "200"}, {bob, "/", "200"}, {alice, "/other", "403"},
	} {
		if got := statusOf(want.tab, want.path); got != want.status {
			t.Errorf("%s: got %s, want %s", want.path, got, want.status)
		}
	}
	t.Run("a live permission costs no call", func(t *testing.T) {
		tokens := keycloak.Path(harness.KeycloakTokenPath)
		if got := statusOf(alice, "/todos"); got != "200" { // its session may be renewed here
			t.Fatalf("got %s", got)
		}
		before := keycloak.Count(tokens)
		for range 5 {
			if got := statusOf(alice, "/todos"); got != "200" {
				t.Errorf("got %s", got)
			}
		}
		if n := keycloak.Count(tokens) - before; n > 1 {
			t.Errorf("%d requests to the token endpoint for five of alice, want none but a renewal of her session", n)
		}
	})
	t.Run("a permission that is granted in the console", func(t *testing.T) {
		keycloak.SetRole(t, "bob", "todo-reader", true)
		harness.Eventually(t, 90*time.Second, func() string {
			if got := statusOf(bob, "/todos"); got != "200" {
				return "bob gets " + got
			}
			return ""
		})
		if got := statusOf(bob, "/notes"); got != "200" {
			t.Errorf("the other permission: got %s", got)
		}
	})
	t.Run("a logout ends the permissions", func(t *testing.T) {
		alice.Open(base + "/logout")
		alice.WaitText("GET /goodbye")
		if got := statusOf(alice, "/todos"); got != "401" {
			t.Errorf("got %s, want 401", got)
		}
		if got := statusOf(bob, "/todos"); got != "200" {
			t.Errorf("bob: got %s", got)
		}
	})
}
