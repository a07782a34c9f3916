// SPDX-License-Identifier: Apache-2.0

package authserver

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.etcd.io/bbolt"

	"github.com/caddy-gluu/gateway/authserver/rfc"
	"github.com/caddy-gluu/gateway/internal/authcore"
)

// TestSec_S79 holds this server against what went wrong in others: a token
// that is good for another API or another instance, scopes that grow, a
// revocation that fails and says it has worked (Kong#1409, #1546, #10011,
// #11342; CVE-2020-15223 of fosite).
func TestSec_S79(t *testing.T) {
	t.Run("a token of another server in the same file is none", func(t *testing.T) {
		dir := t.TempDir()
		one := start(t, testConfig(), dir)
		config := testConfig()
		config.Issuer = testIssuer + "/other"
		other := start(t, config, dir)
		for _, client := range []string{"app", "jwt-app"} {
			token := one.token(client)
			if !one.active(token) {
				t.Fatalf("%s: inactive at its own server", client)
			}
			if other.active(token) {
				t.Errorf("%s: active at another server", client)
			}
			if a := other.revoke(client, token); a.Code != http.StatusOK || !one.active(token) {
				t.Errorf("%s: another server has revoked it (%d)", client, a.Code)
			}
		}
	})
	t.Run("a client cannot revoke the token of another", func(t *testing.T) {
		server := start(t, testConfig(), t.TempDir())
		token := server.token("app")
		if a := server.revoke("jwt-app", token); a.Code == http.StatusOK || !server.active(token) {
			t.Errorf("got %d, active %v; want a refusal and a token that is active", a.Code, server.active(token))
		}
	})
	t.Run("a revocation that fails is reported", func(t *testing.T) {
		server := start(t, testConfig(), t.TempDir())
		token := server.token("app")
		working := server.rfc.Store
		server.rfc.Store = failingStore(t)
		if a := server.revoke("app", token); a.Code < 500 {
			t.Errorf("got %d, want an error", a.Code)
		}
		server.rfc.Store = working
		if !server.active(token) {
			t.Error("the token is not active; then the revocation did not fail")
		}
	})
	t.Run("a revocation outlives a restart", func(t *testing.T) {
		dir := t.TempDir()
		first := start(t, testConfig(), dir)
		tokens := []string{first.token("app"), first.token("jwt-app")}
		first.revoke("app", tokens[0])
		first.revoke("jwt-app", tokens[1])
		first.stop()
		second := start(t, testConfig(), dir)
		for _, token := range tokens {
			if second.active(token) {
				t.Error("a revoked token is active again")
			}
		}
	})
	t.Run("no request gets more scopes than its client has", func(t *testing.T) {
		server := start(t, testConfig(), t.TempDir())
		for _, scope := range []string{"admin", "todos:read admin", "todos:read  admin", " admin", "todos:read\tadmin", "todos:read\nadmin", "todos:read+admin", "ADMIN", "todos:*", "todos:read,admin", "todos"} {
			a := server.post(tokenEndpoint, "app", url.Values{"grant_type": {"client_credentials"}, "scope": {scope}})
			if a.Code != http.StatusBadRequest || a.body["error"] != "invalid_scope" {
				t.Errorf("%q: got %d %s, want 400 invalid_scope", scope, a.Code, a.text)
			}
		}
	})
}

// TestSec_S65 checks what must not be guessed or shown: tokens are random, and
// neither tokens nor secrets come into the log or into an answer about an
// error, also when a client puts them where they do not belong.
func TestSec_S65(t *testing.T) {
	dir := t.TempDir()
	logFile := filepath.Join(dir, "log")
	logTo(t, logFile)
	server := start(t, testConfig(), dir)

	opaque, jwt := server.token("app"), server.token("jwt-app")
	const secret = "app-secret"
	var answers []string
	record := func(a answer) { answers = append(answers, a.text) }
	record(server.revoke("plain", opaque))
	record(server.revoke("plain", jwt))
	for _, e := range []endpoint{tokenEndpoint, introspectEndpoint, revokeEndpoint} {
		for _, name := range []string{"grant_type", "scope", "client_id", "client_secret", "client_assertion", "token", "token_type_hint", "username", opaque} {
			for _, value := range []string{opaque, jwt, secret, opaque + "%zz", "client_credentials"} {
				form := url.Values{"grant_type": {"client_credentials"}, "client_id": {"app"}, "client_secret": {"x"}, "token": {"x"}}
				form.Set(name, value)
				record(server.do(postForm(e, form.Encode())))
				record(server.do(postForm(e, name+"="+value+"&"+name+"="+value)))
				request := postForm(e, form.Encode())
				request.URL.RawQuery = url.Values{name: {value}}.Encode()
				record(server.do(request))
				request = postForm(e, form.Encode())
				request.Header.Set("Authorization", "Bearer "+value)
				record(server.do(request))
				request = postForm(e, "grant_type=client_credentials&token=x")
				request.SetBasicAuth(value, value)
				record(server.do(request))
			}
		}
	}
	server.rfc.Store = failingStore(t)
	record(server.revoke("app", opaque))

	log, err := os.ReadFile(logFile)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(log), `"reason":"wrong_secret"`) {
		t.Fatal("the log was not written where it was looked for")
	}
	for _, text := range append(answers, string(log)) {
		for _, leak := range []string{opaque, jwt, secret} {
			if i := strings.Index(text, leak); i >= 0 {
				t.Fatalf("a token or secret is shown: %s", text[max(0, i-200):i+len(leak)])
			}
		}
	}
	seen := make(map[string]bool)
	for range 1000 {
		text := authcore.RandomText(authcore.TokenBytes)
		if len(text) != 43 || seen[text] {
			t.Fatalf("token %q: too short, or not for the first time", text)
		}
		seen[text] = true
	}
}

// FuzzTokenRequest looks for requests that crash the server, and for ones that
// get a token without a secret.
func FuzzTokenRequest(f *testing.F) {
	for _, seed := range [][2]string{
		{"grant_type=client_credentials&scope=todos:read", "Basic YXBwOmFwcC1zZWNyZXQ="},
		{"grant_type=client_credentials&client_id=app&client_secret=app-secret", ""},
		{"grant_type=client_credentials&client_id=app", "Basic %zz"},
		{"grant_type=urn:ietf:params:oauth:grant-type:jwt-bearer&assertion=a.b.c", "Bearer x"},
		{"scope.1000000=x&grant_type=client_credentials;&a=%00", "basic Og=="},
		{"token=a.b.c&token_type_hint=x", "Basic Z2F0ZXdheTpnYXRld2F5LXNlY3JldA=="},
	} {
		f.Add(seed[0], seed[1])
	}
	server := start(f, testConfig(), f.TempDir())
	f.Fuzz(func(t *testing.T, body, authorization string) {
		server := &running{Server: server.Server, t: t}
		for _, e := range []endpoint{tokenEndpoint, introspectEndpoint, revokeEndpoint} {
			request := postForm(e, body)
			if authorization != "" {
				request.Header.Set("Authorization", authorization)
			}
			a := server.do(request)
			secretSent := strings.Contains(body+authorization, "secret") || strings.HasPrefix(strings.ToLower(authorization), "basic ") || strings.Contains(body, "%")
			switch {
			case a.Code >= 500 || a.Code < 200 || a.body == nil && e != revokeEndpoint:
				t.Errorf("%s %q %q: got %d %s", e, body, authorization, a.Code, a.text)
			case a.Code == http.StatusOK && !secretSent:
				t.Errorf("%s %q %q: got %d %s without a secret", e, body, authorization, a.Code, a.text)
			case a.Code != http.StatusOK && a.body["error"] == nil:
				t.Errorf("%s %q %q: got %d %s, want an error code", e, body, authorization, a.Code, a.text)
			}
		}
	})
}

// logTo makes servers that are started from now on log to a file.
func logTo(t *testing.T, path string) {
	t.Helper()
	writer, _ := json.Marshal(map[string]string{"output": "file", "filename": path})
	testLogging = &caddy.Logging{Logs: map[string]*caddy.CustomLog{"default": {BaseLog: caddy.BaseLog{WriterRaw: writer, Level: "DEBUG"}}}}
	t.Cleanup(func() { testLogging = nil })
}

// TestSec_S70: what a server needs and does not have refuses its
// configuration, it does not start without.
func TestSec_S70(t *testing.T) {
	t.Run("storage that cannot be opened", func(t *testing.T) {
		config := testConfig()
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		config.StorageRaw, _ = json.Marshal(map[string]any{"module": "embedded", "path": filepath.Join(dir, "file", "tokens.db")})
		if _, err := tryStart(t, config, dir); err == nil {
			t.Error("started")
		}
	})
	t.Run("signing key that cannot be read", func(t *testing.T) {
		dir := t.TempDir()
		name := filepath.Join(dir, "caddy", keyName(mustIssuer(t, testIssuer), rfc.SigningAlgorithm))
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := tryStart(t, testConfig(), dir); err == nil || !strings.Contains(err.Error(), "damaged") {
			t.Errorf("got %v, want the key to be called damaged", err)
		}
		file, err := bbolt.Open(filepath.Join(dir, "tokens.db"), 0o600, &bbolt.Options{Timeout: time.Second})
		if err != nil {
			t.Fatalf("the storage is held by a server that did not start: %v", err)
		}
		file.Close()
	})
}

// TestRequestsThatComeBeforeTheStart are served when it is done, and not with
// half of what they need.
func TestRequestsThatComeBeforeTheStart(t *testing.T) {
	started := start(t, testConfig(), t.TempDir())
	early := &running{Server: &Server{issuer: started.issuer, rfc: started.rfc, logger: started.logger, ready: make(chan struct{})}, t: t}
	var wait sync.WaitGroup
	wait.Go(func() {
		if a := early.do(httptest.NewRequest(http.MethodGet, "/oauth2/jwks", nil)); a.Code != http.StatusOK {
			t.Errorf("a request that waited: got %d", a.Code)
		}
	})
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	request := httptest.NewRequest(http.MethodGet, "/oauth2/jwks", nil).WithContext(gone)
	if a := early.do(request); a.Code != http.StatusServiceUnavailable {
		t.Errorf("a request that could not wait: got %d, want 503", a.Code)
	}
	close(early.ready)
	wait.Wait()
}

// A client that hangs up while its secret waits to be checked is not a failure
// of the server, and must not look like one in its log.
func TestAClientThatHangsUpIsNotAFailure(t *testing.T) {
	server := start(t, testConfig(), t.TempDir())
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	request := postForm(tokenEndpoint, "grant_type=client_credentials&client_id=app&client_secret=x").WithContext(gone)
	if a := server.do(request); a.Code != statusGone || server.refusals(tokenEndpoint, reasonGone) != 1 {
		t.Errorf("got %d %s, want %d counted as %s", a.Code, a.text, statusGone, reasonGone)
	}
}

func TestConcurrentRequests(t *testing.T) {
	server := start(t, testConfig(), t.TempDir())
	var wait sync.WaitGroup
	for _, client := range []string{"app", "jwt-app", "plain"} {
		for range 4 {
			wait.Go(func() {
				for range 5 {
					token := server.token(client)
					if !server.active(token) {
						t.Error("a new token is not active")
					}
					if a := server.revoke(client, token); a.Code != http.StatusOK {
						t.Errorf("revocation: %d", a.Code)
					}
					if server.active(token) {
						t.Error("a revoked token is active")
					}
				}
			})
		}
	}
	wait.Wait()
	if got := server.counter("gluu_oauth_server_tokens_issued_total"); got != 60 {
		t.Errorf("tokens counted: got %v, want 60", got)
	}
	if got := server.counter("gluu_oauth_server_tokens_revoked_total"); got != 60 {
		t.Errorf("revocations counted: got %v, want 60", got)
	}
}
