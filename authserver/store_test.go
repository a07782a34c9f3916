// SPDX-License-Identifier: Apache-2.0

package authserver

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	_ "github.com/caddy-gluu/gateway/caddystore"
	"github.com/caddy-gluu/gateway/e2e/harness"
)

const (
	storeSecret  = "a secret of a test, of 32 bytes or more"
	testPatience = 30 * time.Second
)

// sharedConfig is testConfig with a store.
func sharedConfig(settings map[string]any) *Server {
	config := testConfig()
	config.StoreRaw, _ = json.Marshal(settings)
	return config
}

// forEachStore runs a test with each engine that gateways can share. stop ends
// its server, again starts it.
func forEachStore(t *testing.T, test func(t *testing.T, settings map[string]any, stop, again func())) {
	t.Run("redis", func(t *testing.T) {
		r := harness.StartRedis(t)
		stop := func() {
			if err := r.Kill(); err != nil {
				t.Fatal(err)
			}
		}
		test(t, map[string]any{"engine": "redis", "url": "redis://" + r.Addr, "keys": []string{storeSecret}}, stop, r.Start)
	})
	t.Run("postgres", func(t *testing.T) {
		p := harness.StartPostgres(t)
		stop := func() {
			if err := p.Kill(); err != nil {
				t.Fatal(err)
			}
		}
		test(t, map[string]any{"engine": "postgres", "dsn": p.URL(), "keys": []string{storeSecret}}, stop, p.Start)
	})
}

// answers waits until a server reaches its store.
func (r *running) answers() {
	r.t.Helper()
	harness.Eventually(r.t, testPatience, func() string {
		if a := r.post(introspectEndpoint, "gateway", url.Values{"token": {"unknown"}}); a.Code != http.StatusOK {
			return fmt.Sprint(a.Code, a.text)
		}
		return ""
	})
}

func TestGatewaysWithAStoreAreOneServer(t *testing.T) {
	forEachStore(t, func(t *testing.T, settings map[string]any, _, _ func()) {
		// Two timeouts, so that the second one has connections of its own.
		first := start(t, sharedConfig(settings), t.TempDir())
		settings["timeout"] = "20s"
		second := start(t, sharedConfig(settings), t.TempDir())
		first.answers()
		second.answers()
		for _, client := range []string{"app", "jwt-app"} {
			token := first.token(client)
			if !first.active(token) || !second.active(token) {
				t.Errorf("%s: a fresh token is not active at both", client)
			}
			if a := second.revoke(client, token); a.Code != http.StatusOK {
				t.Fatalf("%s: revoking at the other one: %d %s", client, a.Code, a.text)
			}
			if first.active(token) || second.active(token) {
				t.Errorf("%s: a revoked token is still active", client)
			}
		}
		token := second.token("app")
		second.stop()
		if !first.active(token) {
			t.Error("a token is gone with the gateway that issued it")
		}
		reloaded := start(t, sharedConfig(settings), t.TempDir())
		reloaded.answers()
		if !reloaded.active(token) {
			t.Error("a token is gone after a restart")
		}
	})
}

// S-213: a server that cannot know never says that a token is inactive, or that
// it was revoked.
func TestSec_S213_UnavailableStoreIs503(t *testing.T) {
	forEachStore(t, func(t *testing.T, settings map[string]any, stop, again func()) {
		settings["timeout"] = "1s"
		server := start(t, sharedConfig(settings), t.TempDir())
		server.answers()
		token, jwt := server.token("app"), server.token("jwt-app")
		stop()
		for name, a := range map[string]answer{
			"token":          server.post(tokenEndpoint, "app", url.Values{"grant_type": {"client_credentials"}}),
			"introspection":  server.post(introspectEndpoint, "gateway", url.Values{"token": {token}}),
			"of a JWT":       server.post(introspectEndpoint, "gateway", url.Values{"token": {jwt}}),
			"revocation":     server.revoke("app", token),
			"revoking a JWT": server.revoke("jwt-app", jwt),
		} {
			if a.Code != http.StatusServiceUnavailable || a.Header().Get("Retry-After") == "" {
				t.Errorf("%s: got %d %s, want 503 with Retry-After", name, a.Code, a.text)
			}
		}
		again()
		server.answers()
	})
}

func TestAServerStartsWithoutItsStore(t *testing.T) {
	forEachStore(t, func(t *testing.T, settings map[string]any, stop, again func()) {
		stop()
		server := start(t, sharedConfig(settings), t.TempDir())
		if a := server.post(tokenEndpoint, "app", url.Values{"grant_type": {"client_credentials"}}); a.Code != http.StatusServiceUnavailable {
			t.Errorf("got %d %s, want 503", a.Code, a.text)
		}
		again()
		server.answers()
		if token := server.token("app"); !server.active(token) {
			t.Error("a token is not active once the store is there")
		}
	})
}

func TestStorageAndStoreAreNotBothGiven(t *testing.T) {
	config := sharedConfig(map[string]any{"engine": "redis", "url": "redis://a.example", "keys": []string{storeSecret}})
	config.StorageRaw = json.RawMessage(`{"module": "embedded"}`)
	if _, err := tryStart(t, config, t.TempDir()); err == nil || !strings.Contains(err.Error(), "both given") {
		t.Errorf("got %v, want that both are given", err)
	}
}
