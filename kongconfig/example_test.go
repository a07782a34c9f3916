// SPDX-License-Identifier: Apache-2.0

package kongconfig_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/caddy-gluu/gateway/internal/caddytest"
)

// The example adapts without a change, and does what its page says.
func TestExampleMoving(t *testing.T) {
	content, err := os.ReadFile("../examples/moving/kong.yml")
	if err != nil {
		t.Fatal(err)
	}
	as := newAuthorizationServer(t)
	upstream := httptest.NewServer(http.HandlerFunc(echo))
	defer upstream.Close()
	t.Setenv("DECK_GATEWAY_SECRET", "secret-of-the-gateway")
	file := strings.NewReplacer("https://auth.example.com", as.URL, "localhost:9001", upstream.Listener.Addr().String(), "localhost:9002", upstream.Listener.Addr().String()).Replace(string(content))
	address := caddytest.FreeAddress(t)
	config, warnings, err := adapt(t, file, environment{"KONG_PROXY_LISTEN": address})
	if err != nil {
		t.Fatal(err)
	}
	if find(warnings, "oxd is not needed any more") < 0 || find(warnings, "metrics are at /metrics") < 0 {
		t.Errorf("got %v", warnings)
	}
	load(t, config, address)
	g := &gateway{t: t, address: address}
	const token, writer = "Authorization: Bearer of-todo-app-client-with-todos/read", "Authorization: Bearer of-report-job-client-with-todos/write"
	for _, test := range []struct{ request, header, want string }{
		{"GET api.example.com /todos/1", "X-A: b", "401"},
		{"GET api.example.com /todos/1", token, "/api/todos/1"},
		{"PUT api.example.com /todos/1", token, "403"},
		{"PUT api.example.com /todos/1", writer, "/api/todos/1"},
		{"GET api.example.com /status/7", token, "/api/status/7"},
		{"GET api.example.com /status/x", token, noRoute},
		{"GET api.example.com /gallery/x", "X-A: b", "/x"},
		{"GET other.example.com /gallery", "X-A: b", noRoute},
	} {
		if got := g.ask(test.request, test.header).said(); got != test.want {
			t.Errorf("%s: got %q, want %q", test.request, got, test.want)
		}
	}
	if got := g.ask("GET api.example.com /photos/1"); got.upstream != nil {
		t.Errorf("photos without a token: got %+v", got)
	}
	for header, want := range map[string]string{token: "600", writer: "60"} {
		got := g.ask("GET api.example.com /todos/1", header)
		if got.header.Get("X-RateLimit-Limit-Minute") != want {
			t.Errorf("got %v, want a limit of %s", got.header, want)
		}
		if got.upstream != nil && (got.upstream.Header.Get("Authorization") != "" || got.upstream.Header.Get("X-Todo-Client") == "" || got.upstream.Header.Get("X-Todo-Consumer") == "") {
			t.Errorf("the API received %v", got.upstream.Header)
		}
	}
	got := g.ask("OPTIONS api.example.com /todos/1", "Origin: https://app.example.com", "Access-Control-Request-Method: PUT")
	if got.status != 204 || got.header.Get("Access-Control-Allow-Origin") != "https://app.example.com" {
		t.Errorf("preflight: got %+v", got)
	}
}
