// SPDX-License-Identifier: Apache-2.0

package caddyoauth

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-gluu/gateway/internal/caddytest"
)

// admin sends a request to Caddy's admin endpoint.
func (g *gateway) admin(address, method, path, body string, header map[string]string) (int, string) {
	g.Helper()
	r, err := http.NewRequestWithContext(g.Context(), method, "http://"+address+path, strings.NewReader(body))
	if err != nil {
		g.Fatal(err)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for name, value := range header {
		if r.Header.Set(name, value); name == "Host" {
			r.Host = value
		}
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		g.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		g.Fatal(err)
	}
	return resp.StatusCode, string(bytes.TrimSpace(b))
}

// startWithAdmin runs a gateway whose admin endpoint is on.
func startWithAdmin(t *testing.T, app, site string) (g *gateway, admin string) {
	g = start(t, app, site)
	g.adminAddress = caddytest.FreeAddress(t)
	g.load(app, site)
	return g, g.adminAddress
}

// A consumer that is created, changed or deleted through the admin API is so
// from the next request on, for tokens that are remembered too, and after a
// reload.
func TestLiveConsumersHoldFromTheNextRequest(t *testing.T) {
	const site = "gluu_oauth_auth\n" + noPEP
	g, admin := startWithAdmin(t, simpleApp, site)
	g.auth.issue("token", claims("client-live", "read"))
	expect := func(status int, username string) {
		t.Helper()
		got := g.get("/", "token")
		if got.status != status || strings.Join(got.received("X-Consumer-Username"), ",") != username {
			t.Errorf("got %d with the consumer %q, want %d with %q", got.status, got.received("X-Consumer-Username"), status, username)
		}
	}
	do := func(method, path, body string, want int) {
		t.Helper()
		if status, answer := g.admin(admin, method, path, body, nil); status != want {
			t.Errorf("%s %s: got %d %s, want %d", method, path, status, answer, want)
		}
	}
	expect(401, "")
	do("POST", "/gluu/consumers", `{"username":"live","custom_id":"client-live"}`, 201)
	expect(200, "live")
	do("PATCH", "/gluu/consumers/live", `{"username":"renamed"}`, 200)
	expect(200, "renamed")
	g.load(simpleApp, site)
	expect(200, "renamed")
	do("DELETE", "/gluu/consumers/renamed", "", 204)
	expect(401, "")
	do("PUT", "/gluu/consumers/again", `{"custom_id":"client-live"}`, 201)
	expect(200, "again")
	// The configuration wins, and the live one is back when it is gone.
	g.load("consumer fixed {\ncustom_id client-live\n}\n", site)
	expect(200, "fixed")
	g.load(simpleApp, site)
	expect(200, "again")
	do("PATCH", "/gluu/consumers/ann", `{"tags":["x"]}`, 409)
}

// The control plane keeps Caddy's rules about who may talk to it.
func TestSec_S15_S74_TheAdminAPIKeepsItsBounds(t *testing.T) {
	g, admin := startWithAdmin(t, simpleApp, "gluu_oauth_auth\n"+noPEP)
	const body = `{"username":"evil","custom_id":"client-x"}`
	for name, header := range map[string]map[string]string{
		"another host":                    {"Host": "evil.example"},
		"another host with our port":      {"Host": "evil.example:" + admin[strings.LastIndexByte(admin, ':')+1:]},
		"a form of a page":                {"Content-Type": "application/x-www-form-urlencoded", "Origin": "https://evil.example"},
		"a text of a page":                {"Content-Type": "text/plain", "Origin": "https://evil.example"},
		"a page that may not":             {"Origin": "https://evil.example", "Sec-Fetch-Mode": "cors", "Sec-Fetch-Site": "cross-site"},
		"a page, without asking":          {"Origin": "https://evil.example", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Site": "cross-site"},
		"a page without a visible origin": {"Origin": "null", "Sec-Fetch-Site": "cross-site"},
	} {
		if status, answer := g.admin(admin, "POST", "/gluu/consumers", body, header); status < 400 {
			t.Errorf("%s: got %d %s", name, status, answer)
		}
	}
	for _, path := range []string{
		"/gluu/consumersx", "/gluu/Consumers", "/gluu/consumers/ann/x", "/gluu/consumers%2Fann", "/gluu/consumers/%61nn%00", "/gluu/consumer",
	} {
		if status, answer := g.admin(admin, "GET", path, "", nil); status != 404 {
			t.Errorf("%s: got %d %s, want 404", path, status, answer)
		}
	}
	if status, answer := g.admin(admin, "GET", "/gluu/consumers", "", nil); status != 200 || strings.Contains(answer, "evil") || strings.Contains(answer, "secret") {
		t.Errorf("got %d %s", status, answer)
	}
	// The site itself has none of it.
	if got := g.get("/gluu/consumers", ""); got.status != 401 {
		t.Errorf("got %d from the site, want 401", got.status)
	}
}
