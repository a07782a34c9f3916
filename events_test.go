// SPDX-License-Identifier: Apache-2.0

package gateway_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-gluu/gateway/internal/caddytest"
)

func init() {
	caddy.RegisterModule(eventRecorder{})
}

// eventRecorder is an event handler that keeps each event for the test. It must
// never block: a request waits for it.
type eventRecorder struct{}

var recordedEvents struct {
	sync.Mutex
	all []caddy.Event
}

func (eventRecorder) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "events.handlers.gateway_test", New: func() caddy.Module { return new(eventRecorder) }}
}

func (eventRecorder) Handle(_ context.Context, e caddy.Event) error {
	recordedEvents.Lock()
	defer recordedEvents.Unlock()
	recordedEvents.all = append(recordedEvents.all, e)
	return nil
}

// takeEvents returns the events since the last call. They are emitted before
// the answer is sent, so none is missed.
func takeEvents() (events []caddy.Event) {
	recordedEvents.Lock()
	defer recordedEvents.Unlock()
	events, recordedEvents.all = recordedEvents.all, nil
	return events
}

func subscribed(t *testing.T, config []byte) []byte {
	t.Helper()
	var c map[string]any
	if err := json.Unmarshal(config, &c); err != nil {
		t.Fatal(err)
	}
	c["apps"].(map[string]any)["events"] = json.RawMessage(`{"subscriptions": [{"events": ["gluu.refused", "gluu.token_revoked"], "handlers": [{"handler": "gateway_test"}]}]}`)
	config, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	return config
}

func postForm(t *testing.T, address, path, secret string, form url.Values) int {
	t.Helper()
	response, err := send(func() (*http.Request, error) {
		request, err := http.NewRequest(http.MethodPost, "http://"+address+path, strings.NewReader(form.Encode()))
		if err == nil {
			request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			request.SetBasicAuth("app", secret)
		}
		return request, err
	})
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	return response.StatusCode
}

func TestEvents(t *testing.T) {
	t.Setenv("XDG_DATA_HOME", t.TempDir())
	root, address := t.TempDir(), caddytest.FreeAddress(t)
	caddytest.StopAfter(t)
	load := func(scope string) {
		t.Helper()
		if err := caddytest.Load(subscribed(t, adapt(t, address, root, "opaque", scope)), address); err != nil {
			t.Fatal(err)
		}
	}
	load("read")
	token := tokenOf(t, address)
	await(t, address, token, http.StatusOK)
	takeEvents() // 503 before the server is known

	expect := func(what, module, name string, data map[string]any) {
		t.Helper()
		events := takeEvents()
		if len(events) != 1 {
			t.Fatalf("%s: got %d events, want one", what, len(events))
		}
		e := events[0]
		if got := string(e.Origin().CaddyModule().ID); got != module || e.Name() != name {
			t.Errorf("%s: got %s of %s, want %s of %s", what, e.Name(), got, name, module)
		}
		for key, want := range data {
			if got := fmt.Sprint(e.Data[key]); got != fmt.Sprint(want) {
				t.Errorf("%s: %s is %q, want %q", what, key, got, fmt.Sprint(want))
			}
		}
		if all := fmt.Sprint(e.Data); strings.Contains(all, token) || strings.Contains(all, "app-secret") || strings.Contains(all, "guessed-password") {
			t.Errorf("%s: a token or a secret is in %s", what, all)
		}
	}

	if status, body := get(address, token); status != http.StatusOK {
		t.Fatalf("got %d %s", status, body)
	}
	if events := takeEvents(); len(events) > 0 {
		t.Errorf("a granted request emitted %v", events)
	}

	get(address, "unknown")
	expect("an unknown token", "http.handlers.gluu_oauth_auth", "gluu.refused", map[string]any{
		"reason": "token_inactive", "status": 401, "method": "GET", "host": address, "path": "/api", "client_ip": "127.0.0.1", "client_id": "", "provider": "default"})

	postForm(t, address, "/oauth2/token", "guessed-password", url.Values{"grant_type": {"client_credentials"}})
	expect("a wrong secret", "http.handlers.gluu_oauth_server", "gluu.refused", map[string]any{
		"reason": "wrong_secret", "status": 401, "endpoint": "token", "client_id": "app", "client_ip": "127.0.0.1"})

	load("write")
	takeEvents()
	if status, body := get(address, token); status != http.StatusForbidden {
		t.Fatalf("got %d %s, want 403", status, body)
	}
	expect("a missing scope", "http.handlers.gluu_oauth_pep", "gluu.refused", map[string]any{
		"reason": "scope_missing", "status": 403, "rule": "/api", "client_id": "app", "consumer": "somebody"})

	if status := postForm(t, address, "/oauth2/revoke", "app-secret", url.Values{"token": {token}}); status != http.StatusOK {
		t.Fatalf("revocation: got %d", status)
	}
	expect("a revocation", "http.handlers.gluu_oauth_server", "gluu.token_revoked", map[string]any{
		"issuer": "http://" + address, "client_id": "app", "subject": "app"})
	postForm(t, address, "/oauth2/revoke", "app-secret", url.Values{"token": {token}})
	if events := takeEvents(); len(events) > 0 {
		t.Errorf("the revocation of a revoked token emitted %v", events)
	}
}
