// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddy-gluu/gateway/e2e/harness"
)

// olderBinary is the release before: E2E_OLDER_BINARY names it.
func olderBinary(t *testing.T) string {
	t.Helper()
	path := os.Getenv("E2E_OLDER_BINARY")
	if path == "" {
		t.Skip("NOT TESTED: an upgrade: E2E_OLDER_BINARY names no older gateway: build one of an earlier commit with 'go build -o <file> ./cmd/caddy'")
	}
	path, err := filepath.Abs(path)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// Three gateways of an older version are replaced by this one, one after the other and
// under load. What the older ones have stored stays good, and while both versions run,
// each understands what the other writes.
func TestARollingUpgrade(t *testing.T) {
	older := olderBinary(t)
	c := startClusterOf(t, older)
	version, _ := harness.RunCaddy(t, harness.GatewayConfig{Binary: older}, "version")
	t.Logf("the older version: %s", strings.TrimSpace(version))
	app := map[string]any{"username": "todo-app", "custom_id": "todo-app-client"}
	if status, body := c.gateways[0].AdminCall(http.MethodPost, "/gluu/consumers", app); status != http.StatusCreated {
		t.Fatalf("creating the consumer: %d %s", status, body)
	}
	token, ada := c.token(c.gateways[0]), c.person()
	c.everywhere("/todos", bearer(token), http.StatusOK, spread)
	if response, body := ada.visit(c.front + "/portal"); response.StatusCode != http.StatusOK {
		t.Fatalf("the login: %s %s", response.Status, body)
	}
	revoked := c.token(c.gateways[0]) // before the upgrade: it must not come back
	if status, answer := c.post(c.gateways[1], "/oauth2/revoke", "todo-app-client", "todo-app-secret", url.Values{"token": {revoked}}); status != http.StatusOK {
		t.Fatalf("the revocation: %d %v", status, answer)
	}

	c.config.Binary = "" // the one under test
	c.underLoad(t, token, ada, func() {
		for i := range c.gateways {
			if err := c.gateways[i].Stop(); err != nil {
				t.Errorf("stopping gateway %d: %v", i, err)
			}
			c.replace(i)
			c.mixed(t, i)
		}
	})

	for path, header := range map[string]http.Header{"/todos": bearer(token), "/portal": ada.cookies()} {
		c.everywhere(path, header, http.StatusOK, spread)
	}
	c.everywhere("/todos", bearer(revoked), http.StatusUnauthorized, spread)
	session := ada.cookies() // the logout takes them away
	ada.send(http.MethodGet, c.front+"/portal/logout", nil)
	t.Logf("a session of the older version ends everywhere after %s", c.everywhere("/portal", session, http.StatusUnauthorized, spread))
}

// mixed checks that a gateway that was just replaced and the others are still one.
func (c *cluster) mixed(t *testing.T, replaced int) {
	t.Helper()
	last := c.gateways[len(c.gateways)-1] // an older one, but in the end
	for _, from := range []*harness.Gateway{c.gateways[replaced], last} {
		token := c.token(from)
		c.everywhere("/todos", bearer(token), http.StatusOK, spread)
		if status, answer := c.post(from, "/oauth2/revoke", "todo-app-client", "todo-app-secret", url.Values{"token": {token}}); status != http.StatusOK {
			t.Fatalf("the revocation: %d %v", status, answer)
		}
		c.everywhere("/todos", bearer(token), http.StatusUnauthorized, spread)
	}
	var bea *person
	c.only(c.gateways[replaced], func() {
		bea = c.person()
		if response, body := bea.visit(c.front + "/portal"); response.StatusCode != http.StatusOK {
			t.Fatalf("the login at the newer version: %s %s", response.Status, body)
		}
	})
	c.everywhere("/portal", bea.cookies(), http.StatusOK, spread)
}
