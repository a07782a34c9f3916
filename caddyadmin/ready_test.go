// SPDX-License-Identifier: Apache-2.0

package caddyadmin

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-gluu/gateway/internal/caddytest"
)

// A gateway is ready once its provider was found, and stays so when that goes away.
func TestReady(t *testing.T) {
	var isUp atomic.Bool
	var server *httptest.Server
	server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !isUp.Load() {
			http.Error(w, "down", http.StatusServiceUnavailable)
			return
		}
		respond(200, "application/json", `{"issuer":"`+server.URL+`","introspection_endpoint":"`+server.URL+`/introspect","jwks_uri":"`+server.URL+`/jwks"}`)(w, r)
	}))
	t.Cleanup(server.Close)
	load(t, `{"providers": {"default": {"issuer": "`+server.URL+`", "client_id": "gateway", "client_secret": "secret", "insecure_hosts": ["127.0.0.1"], "timeout": "1s"}}}`)
	status, body := caddytest.Admin(t, "GET", "/gluu/ready", "")
	if status != 503 || !strings.Contains(body, `"ready":false`) || !strings.Contains(body, `"what":"provider default"`) {
		t.Errorf("before the provider is up: got %d %s", status, body)
	}
	isUp.Store(true)
	want := `{"missing":[],"ready":true}`
	for end := time.Now().Add(30 * time.Second); ; {
		if status, body = caddytest.Admin(t, "GET", "/gluu/ready", ""); status == 200 && strings.TrimSpace(body) == want {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("got %d %s, want 200 %s", status, body, want)
		}
		time.Sleep(10 * time.Millisecond)
	}
	isUp.Store(false)
	if status, body = caddytest.Admin(t, "GET", "/gluu/ready", ""); status != 200 {
		t.Errorf("after the provider has gone: got %d %s", status, body)
	}
	if status, _ = caddytest.Admin(t, "POST", "/gluu/ready", ""); status != 405 {
		t.Errorf("POST: got %d, want 405", status)
	}
}
