// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	_ "github.com/caddyserver/caddy/v2/modules/standard"

	_ "github.com/caddy-gluu/gateway/authserver"
	_ "github.com/caddy-gluu/gateway/caddyadmin"
	_ "github.com/caddy-gluu/gateway/caddykong"
	_ "github.com/caddy-gluu/gateway/caddyoauth"
	"github.com/caddy-gluu/gateway/internal/caddytest"
	"github.com/caddy-gluu/gateway/kongconfig"
)

// kongTokens is a file with tokens: one that is good, one whose refresh token alone is
// good, and one that is over.
func kongTokens(upstream string, now int64) string {
	return fmt.Sprintf(`_format_version: "3.0"
services:
- {id: 5a3ec3b8-0f6a-4a0e-9d60-5b9d2f0b9a01, name: steps, url: %q, routes: [{name: steps, paths: [/steps]}]}
- {id: 5a3ec3b8-0f6a-4a0e-9d60-5b9d2f0b9a02, name: other, url: %[1]q, routes: [{name: other, paths: [/other]}]}
consumers:
- username: tracker
  oauth2_credentials:
  - {id: 5a3ec3b8-0f6a-4a0e-9d60-5b9d2f0b9a03, name: Tracker, client_id: tracker-app, client_secret: an-invented-secret-0123456789, redirect_uris: ["https://tracker.example.com/cb"]}
plugins:
- {name: oauth2, config: {enable_authorization_code: true, provision_key: an-invented-provision-key-0123, scopes: [a], accept_http_if_already_terminated: true}}
oauth2_tokens:
- {credential: 5a3ec3b8-0f6a-4a0e-9d60-5b9d2f0b9a03, service: 5a3ec3b8-0f6a-4a0e-9d60-5b9d2f0b9a01, access_token: good-access, refresh_token: good-refresh, scope: a, authenticated_userid: ann, expires_in: 7200, created_at: %d}
- {credential: 5a3ec3b8-0f6a-4a0e-9d60-5b9d2f0b9a03, service: 5a3ec3b8-0f6a-4a0e-9d60-5b9d2f0b9a01, access_token: late-access, refresh_token: late-refresh, scope: a, authenticated_userid: bob, expires_in: 60, created_at: %d}
- {credential: 5a3ec3b8-0f6a-4a0e-9d60-5b9d2f0b9a03, access_token: over-access, expires_in: 60, created_at: %[3]d}
`, upstream, now, now-3600)
}

// Clients of Kong go on with the tokens that they have: those that are good identify
// them, for their service alone, and refresh tokens are redeemed.
func TestImportTokens(t *testing.T) {
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.Header.Get("X-Consumer-Username")+" "+r.Header.Get("X-Authenticated-Userid"))
	}))
	t.Cleanup(upstream.Close)
	dir := t.TempDir()
	file := filepath.Join(dir, "kong.yml")
	source := kongTokens(upstream.URL, time.Now().Unix())
	if err := os.WriteFile(file, []byte(source), 0o600); err != nil {
		t.Fatal(err)
	}
	address, admin := runKong(t, source, dir)

	check(t, newImportTokensCommand, []string{"--address", admin, "--dry-run", file}, exitYes, "\n2 to import, 0 already in the store, 1 expired, 0 refused\n")
	if status, _ := askKong(t, address, "GET", "/steps", "good-access", nil); status != 401 {
		t.Errorf("after a dry run: got %d", status)
	}
	check(t, newImportTokensCommand, []string{"--address", admin, file}, exitYes, "\n2 imported, 0 already in the store, 1 expired, 0 refused\n")
	check(t, newImportTokensCommand, []string{"--address", admin, file}, exitYes, "\n0 imported, 2 already in the store, 1 expired, 0 refused\n")

	for _, test := range []struct {
		path, token string
		status      int
		want        string
	}{
		{"/steps", "good-access", 200, "tracker ann"}, {"/other", "good-access", 401, ""},
		{"/steps", "late-access", 401, ""}, {"/steps", "over-access", 401, ""}, {"/steps", "good-refresh", 401, ""},
	} {
		if status, body := askKong(t, address, "GET", test.path, test.token, nil); status != test.status || test.want != "" && body != test.want {
			t.Errorf("%s with %s: got %d %s, want %d %s", test.path, test.token, status, body, test.status, test.want)
		}
	}
	form := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {"late-refresh"}, "client_id": {"tracker-app"}, "client_secret": {"an-invented-secret-0123456789"}}
	status, body := askKong(t, address, "POST", "/steps/oauth2/token", "", form)
	var answer struct {
		AccessToken string `json:"access_token"`
	}
	if _ = json.Unmarshal([]byte(body), &answer); status != 200 || answer.AccessToken == "" {
		t.Fatalf("the refresh token: got %d %s", status, body)
	}
	if status, body := askKong(t, address, "GET", "/steps", answer.AccessToken, nil); status != 200 || body != "tracker bob" {
		t.Errorf("a token of an imported refresh token: got %d %s", status, body)
	}
}

// runKong runs a file of Kong with an admin endpoint.
func runKong(t *testing.T, source, dir string) (address, admin string) {
	t.Helper()
	t.Setenv("XDG_DATA_HOME", dir) // where the store of the server is
	address, admin = caddytest.FreeAddress(t), caddytest.FreeAddress(t)
	env := map[string]string{"KONG_PROXY_LISTEN": address, "KONG_TRUSTED_IPS": "127.0.0.0/8"}
	adapter := kongconfig.Adapter{Getenv: func(name string) string { return env[name] }}
	config, _, err := adapter.Adapt([]byte(source), map[string]any{"filename": "kong.yml"})
	if err != nil {
		t.Fatal(err)
	}
	var members map[string]any
	if err := json.Unmarshal(config, &members); err != nil {
		t.Fatal(err)
	}
	members["admin"] = map[string]any{"listen": admin, "config": map[string]any{"persist": false}}
	members["storage"] = map[string]any{"module": "file_system", "root": dir}
	config, _ = json.Marshal(members)
	if err := caddytest.Load(config, address); err != nil {
		t.Fatal(err)
	}
	caddytest.StopAfter(t)
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if status, _ := askKong(t, address, "POST", "/steps/oauth2/token", "", url.Values{}); status != 503 {
			return address, admin
		}
		if time.Now().After(deadline) {
			t.Fatal("the server does not start")
		}
	}
}

func askKong(t *testing.T, address, method, path, token string, form url.Values) (status int, body string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, "http://"+address+path, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("X-Forwarded-Proto", "https")
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	if form != nil {
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(text)
}

// What the gateway refuses is named with its line; a gateway that fails ends the import.
func TestImportTokensThatFail(t *testing.T) {
	file := filepath.Join(t.TempDir(), "kong.yml")
	if err := os.WriteFile(file, []byte(kongTokens("http://h", time.Now().Unix())), 0o600); err != nil {
		t.Fatal(err)
	}
	answering := func(status int, body string) string {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method != http.MethodPost || r.URL.Path != "/gluu/oauth2_tokens" || r.URL.Query().Get("issuer") != "https://as.example.com" {
				t.Errorf("got %s %s", r.Method, r.URL)
			}
			w.WriteHeader(status)
			_, _ = io.WriteString(w, body)
		}))
		t.Cleanup(server.Close)
		return strings.TrimPrefix(server.URL, "http://")
	}
	for name, test := range map[string]struct {
		address string
		file    string
		code    int
		want    string
	}{
		"refused":       {answering(400, `{"message":"schema violation (credential: no such client)"}`), file, exitNo, "kong.yml:12: schema violation (credential: no such client)"},
		"a store fails": {answering(503, `{"message":"the store failed"}`), file, exitError, "answered 503 after 0 tokens: the store failed"},
		"no server":     {answering(404, `{"error":"no gluu_oauth_server"}`), file, exitError, "no gluu_oauth_server"},
		"nothing there": {"127.0.0.1:1", file, exitError, "write its admin address with --address"},
		"no address":    {"localhost:1-2", file, exitError, "is not the address of an admin endpoint"},
		"no file":       {"127.0.0.1:1", file + "x", exitError, "no such file"},
	} {
		t.Run(name, func(t *testing.T) {
			out, code, err := execute(newImportTokensCommand, "--address", test.address, "--issuer", "https://as.example.com", test.file)
			if said := fmt.Sprint(out, err); code != test.code || !strings.Contains(said, test.want) || strings.Contains(said, "good-access") {
				t.Errorf("got %d %s, want %d and %q", code, said, test.code, test.want)
			}
		})
	}
}
