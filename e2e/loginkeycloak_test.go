// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"crypto/hmac"
	"crypto/sha1"
	"encoding/binary"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddy-gluu/gateway/e2e/harness"
)

// keycloakLogin is the example examples/login-keycloak, its realm file and its
// Caddyfile, with addresses of the test.
type keycloakLogin struct {
	*browserSite
	keycloak *harness.Keycloak
}

func startKeycloakLogin(t *testing.T, keycloak *harness.Keycloak) *keycloakLogin {
	t.Helper()
	folder := filepath.Join(harness.Root(), "examples", "login-keycloak")
	k := &keycloakLogin{keycloak: keycloak.AddRealm(t, filepath.Join(folder, "realm.json"), "bank")}
	content, err := os.ReadFile(filepath.Join(folder, "Caddyfile"))
	if err != nil {
		t.Fatal(err)
	}
	front := harness.StartRelay(t, "127.0.0.1:9")
	_, port, _ := strings.Cut(front.Addr, ":")
	k.browserSite = &browserSite{t: t, base: "http://localhost:" + port, app: startWebApp(t), browser: harness.StartBrowser(t)}
	k.configureClient(func(client, attributes map[string]any) {
		client["redirectUris"] = []string{k.base + "/callback"}
		attributes["post.logout.redirect.uris"] = k.base + "/goodbye"
		attributes["backchannel.logout.url"] = k.base + "/backchannel-logout"
	})
	tokens := k.keycloak.Path(harness.KeycloakTokenPath)
	k.keycloak.Record(tokens)
	k.tokenAnswers = func() []string { return k.keycloak.Recorded(tokens) }
	caddyfile := strings.Replace(asTest(string(content), "http://localhost:{$PORT}"), "\n\tgluu {", "\n\tdebug\n\tgluu {", 1)
	k.Gateway = harness.StartGateway(t, harness.GatewayConfig{
		Caddyfile: caddyfile,
		Env:       map[string]string{"ISSUER": k.keycloak.Issuer, "UPSTREAM": k.app.addr()},
	})
	front.ForwardTo(k.Gateway.Addr)
	return k
}

// configureClient changes the client of the realm as an administrator does.
func (k *keycloakLogin) configureClient(change func(client, attributes map[string]any)) {
	k.t.Helper()
	var clients []map[string]any
	k.keycloak.Admin(k.t, http.MethodGet, "/clients?clientId=bank", nil, &clients)
	if len(clients) != 1 {
		k.t.Fatalf("%d clients are named bank", len(clients))
	}
	attributes, _ := clients[0]["attributes"].(map[string]any)
	change(clients[0], attributes)
	k.keycloak.Admin(k.t, http.MethodPut, fmt.Sprint("/clients/", clients[0]["id"]), clients[0], nil)
}

// signIn fills in Keycloak's page and waits for the page that was asked for.
func (k *keycloakLogin) signIn(tab *harness.Tab, name, then string) {
	k.t.Helper()
	tab.Type("#username", name)
	tab.Type("#password", name+"-password")
	tab.Click("#kc-login")
	tab.WaitLocation(k.base + then)
}

func (k *keycloakLogin) userID(name string) string {
	k.t.Helper()
	var users []struct{ ID string }
	k.keycloak.Admin(k.t, http.MethodGet, "/users?exact=true&username="+url.QueryEscape(name), nil, &users)
	if len(users) != 1 {
		k.t.Fatalf("%d users are named %s", len(users), name)
	}
	return users[0].ID
}

// statusOf is what a script of the page is told.
func statusOf(tab *harness.Tab, path string) string {
	return tab.Eval(`fetch("` + path + `").then(r => r.status)`)
}

// waitLoggedOut waits until a script of the page is told 401.
func waitLoggedOut(t *testing.T, tab *harness.Tab) {
	t.Helper()
	harness.Eventually(t, 5*time.Second, func() string {
		if got := statusOf(tab, "/api"); got != "401" {
			return "the session goes on: " + got
		}
		return ""
	})
}

// testKeycloakLogin is a person's day at the bank.
func testKeycloakLogin(t *testing.T, keycloak *harness.Keycloak) {
	k := startKeycloakLogin(t, keycloak)
	w := k.browser.Window(t)
	tab := w.Tab()

	tab.Open(k.base + "/accounts?of=2026&x=%2B")
	k.signIn(tab, "alice", "/accounts?of=2026&x=%2B")
	for _, r := range k.app.requests("/accounts") {
		if r.person != k.userID("alice") || strings.Contains(r.cookies, "gluu_") {
			t.Errorf("the application received %+v", r)
		}
	}
	k.forbidCookies(w)

	t.Run("a rule steps up to Keycloak's second level", func(t *testing.T) {
		tab.Open(k.base + "/transfers/7?to=bob")
		tab.Type("#otp", oneTimeCode("alice-otp-secret-2026", time.Now()))
		tab.Click("#kc-login")
		tab.WaitLocation(k.base + "/transfers/7?to=bob")
		if got := statusOf(tab, "/transfers/8"); got != "200" {
			t.Errorf("after the step-up: got %s", got)
		}
		if got := statusOf(tab, "/accounts"); got != "200" {
			t.Errorf("a page that asks for less: got %s", got)
		}
	})
	t.Run("the refresh token renews the session", func(t *testing.T) {
		k.keycloak.SetLifespan(t, 31*time.Second) // due a second after it was issued
		defer k.keycloak.SetLifespan(t, 5*time.Minute)
		k.keycloak.Admin(t, http.MethodPost, "/users/"+k.userID("alice")+"/logout", nil, nil)
		waitLoggedOut(t, tab)
		tab.Open(k.base + "/accounts?again")
		k.signIn(tab, "alice", "/accounts?again")
		before := k.keycloak.Count(k.keycloak.Path(harness.KeycloakTokenPath))
		harness.Eventually(t, 20*time.Second, func() string {
			if got := statusOf(tab, "/api"); got != "200" {
				t.Fatalf("got %s", got)
			}
			if k.keycloak.Count(k.keycloak.Path(harness.KeycloakTokenPath)) < before+2 {
				return "the session was not renewed twice"
			}
			return ""
		})
	})
	t.Run("an administrator ends the session while a tab is open", func(t *testing.T) {
		k.keycloak.Admin(t, http.MethodPost, "/users/"+k.userID("alice")+"/logout", nil, nil)
		waitLoggedOut(t, tab)
		tab.Open(k.base + "/accounts")
		k.signIn(tab, "alice", "/accounts")
		var sessions []struct{ ID string }
		k.keycloak.Admin(t, http.MethodGet, "/users/"+k.userID("alice")+"/sessions", nil, &sessions)
		if len(sessions) != 1 {
			t.Fatalf("Keycloak has %d sessions of alice, want 1", len(sessions))
		}
		k.keycloak.Admin(t, http.MethodDelete, "/sessions/"+sessions[0].ID, nil, nil)
		waitLoggedOut(t, tab)
	})
	t.Run("after a logout Keycloak asks for the password again", func(t *testing.T) {
		tab.Open(k.base + "/accounts")
		k.signIn(tab, "alice", "/accounts")
		tab.Click("#out")
		tab.WaitText("GET /goodbye")
		tab.Open(k.base + "/accounts")
		k.signIn(tab, "bob", "/accounts")
		tab.WaitText("for " + k.userID("bob"))
	})
	t.Run("a logout at Keycloak ends the session through a frame", func(t *testing.T) {
		k.configureClient(func(client, attributes map[string]any) {
			client["frontchannelLogout"] = true
			attributes["frontchannel.logout.url"] = k.base + "/frontchannel-logout"
			attributes["frontchannel.logout.session.required"] = "true"
			delete(attributes, "backchannel.logout.url")
		})
		tab.Open(k.base + "/accounts?frame")
		elsewhere := w.Tab()
		elsewhere.Open(k.keycloak.Issuer + "/protocol/openid-connect/logout")
		elsewhere.Click("#kc-logout")
		waitLoggedOut(t, tab)
	})
	k.forbidSecrets(w)
}

// oneTimeCode is the code that an authenticator shows (RFC 6238).
func oneTimeCode(secret string, now time.Time) string {
	mac := hmac.New(sha1.New, []byte(secret))
	_ = binary.Write(mac, binary.BigEndian, now.Unix()/30)
	sum := mac.Sum(nil)
	offset := sum[len(sum)-1] & 0xf
	return fmt.Sprintf("%06d", binary.BigEndian.Uint32(sum[offset:])&0x7fffffff%1_000_000)
}
