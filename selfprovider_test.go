// SPDX-License-Identifier: Apache-2.0

package gateway_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2/caddyconfig"
	_ "github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	_ "github.com/caddyserver/caddy/v2/modules/caddyhttp/standard"
	_ "github.com/caddyserver/caddy/v2/modules/filestorage"

	_ "github.com/caddy-gluu/gateway"
	"github.com/caddy-gluu/gateway/authserver"
	"github.com/caddy-gluu/gateway/internal/caddytest"
)

// A gateway whose authorization server runs in the same process asks itself
// while it starts. It must not wait for itself, and a reload must not cost a
// request.
func TestGatewayIsItsOwnProvider(t *testing.T) {
	t.Setenv("XDG_DATA_HOME", t.TempDir())
	root := t.TempDir()
	address := caddytest.FreeAddress(t)
	load := func(format, scope string) {
		t.Helper()
		done := make(chan error, 1)
		go func() { done <- caddytest.Load(adapt(t, address, root, format, scope), address) }()
		select {
		case err := <-done:
			if err != nil {
				t.Fatal(err)
			}
		case <-time.After(20 * time.Second):
			t.Fatal("the configuration does not start: it waits for itself")
		}
	}
	caddytest.StopAfter(t)

	for _, format := range []string{"opaque", "jwt"} {
		load(format, "read")
		token := tokenOf(t, address)
		if jwt := strings.Contains(token, "."); jwt != (format == "jwt") {
			t.Errorf("format %s: got a JWT: %v", format, jwt)
		}
		await(t, address, token, http.StatusOK)

		// From here on no request may fail, whatever is loaded.
		var stop atomic.Bool
		var wait sync.WaitGroup
		for range 4 {
			wait.Go(func() {
				for !stop.Load() {
					if status, body := get(address, token); status != http.StatusOK && status != http.StatusForbidden {
						t.Errorf("format %s, during a reload: got %d %s", format, status, body)
						return
					}
				}
			})
		}
		load(format, "write")
		if status, body := get(address, token); status != http.StatusForbidden {
			t.Errorf("format %s, after the rule was changed: got %d %s, want 403", format, status, body)
		}
		load(format, "read")
		if status, body := get(address, token); status != http.StatusOK {
			t.Errorf("format %s, after it was changed back: got %d %s, want 200", format, status, body)
		}
		if fresh := tokenOf(t, address); fresh == token {
			t.Error("the same token was issued twice")
		}
		stop.Store(true)
		wait.Wait()
	}
}

func adapt(t *testing.T, address, root, format, scope string) []byte {
	t.Helper()
	hash := func(secret string) string {
		text, err := authserver.HashSecret([]byte(secret))
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	config, warnings, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(fmt.Sprintf(`{
		admin off
		persist_config off
		storage file_system %[2]s
		gluu {
			provider {
				issuer http://%[1]s
				client_id gateway
				client_secret gateway-secret
				audience http://%[1]s
			}
			consumer somebody {
				custom_id app
			}
		}
	}
	http://%[1]s {
		gluu_oauth_server {
			issuer http://%[1]s
			scopes read write
			token_format %[3]s
			client app {
				secret %[5]s
				grants client_credentials
				scopes read
			}
			client gateway {
				secret %[6]s
			}
		}
		gluu_oauth_auth
		gluu_oauth_pep {
			path /api {
				GET scope %[4]s
			}
		}
		respond "{header.X-Consumer-Username}"
	}`, address, root, format, scope, hash("app-secret"), hash("gateway-secret"))), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, warning := range warnings {
		if !strings.Contains(warning.Message, "not formatted") {
			t.Errorf("warning: %v", warning)
		}
	}
	return config
}

func tokenOf(t *testing.T, address string) string {
	t.Helper()
	response, err := send(func() (*http.Request, error) {
		request, err := http.NewRequest(http.MethodPost, "http://"+address+"/oauth2/token",
			strings.NewReader(url.Values{"grant_type": {"client_credentials"}}.Encode()))
		if err == nil {
			request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			request.SetBasicAuth("app", "app-secret")
		}
		return request, err
	})
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var body struct {
		AccessToken string `json:"access_token"`
	}
	if err := json.NewDecoder(response.Body).Decode(&body); err != nil || body.AccessToken == "" {
		t.Fatalf("token: %s, %v", response.Status, err)
	}
	return body.AccessToken
}

func get(address, token string) (int, string) {
	response, err := send(func() (*http.Request, error) {
		request, err := http.NewRequest(http.MethodGet, "http://"+address+"/api", nil)
		if err == nil {
			request.Header.Set("Authorization", "Bearer "+token)
		}
		return request, err
	})
	if err != nil {
		return 0, err.Error()
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return 0, err.Error()
	}
	return response.StatusCode, string(body)
}

// send sends a request, again if it got no answer at all. A reload replaces
// Caddy's listening socket, and the kernel resets connections that nobody has
// accepted yet; what is tested here is what the gateway answers.
func send(request func() (*http.Request, error)) (response *http.Response, err error) {
	for range 5 {
		r, err2 := request()
		if err2 != nil {
			return nil, err2
		}
		if response, err = http.DefaultClient.Do(r); err == nil {
			return response, nil
		}
	}
	return nil, err
}

// await asks until the status is right: the gateway discovers its provider in
// the background and answers 503 until it knows it.
func await(t *testing.T, address, token string, want int) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for {
		status, body := get(address, token)
		if status == want {
			return
		}
		if status != http.StatusServiceUnavailable || time.Now().After(deadline) {
			t.Fatalf("got %d %s, want %d", status, body, want)
		}
	}
}
