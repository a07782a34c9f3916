// SPDX-License-Identifier: Apache-2.0

package caddyuma

import (
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-gluu/gateway/e2e/harness"
	"github.com/caddy-gluu/gateway/internal/caddytest"
)

const todoDocument = `openapi: 3.1.0
info: {title: Todos, version: '1'}
servers: [{url: https://api.example/v1}]
components:
  securitySchemes:
    oauth: {type: oauth2, flows: {clientCredentials: {tokenUrl: https://as.example/token, scopes: {view: '', edit: '', admin: ''}}}}
paths:
  /todos:
    get: {operationId: listTodos, security: [{oauth: [view]}]}
    post: {operationId: addTodo, security: [{oauth: [view, edit]}, {oauth: [admin]}]}
  /todos/{id}:
    get: {operationId: getTodo, security: [{oauth: [view]}]}
    delete: {operationId: removeTodo, security: [{oauth: [edit]}]}
  /health:
    get: {operationId: health, security: []}
  /me:
    get: {operationId: me, security: [{oauth: []}]}
  /internal:
    get: {operationId: internal}
`

func writeTodoDocument(t *testing.T, document string) (file string) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "openapi.yaml")
	if err := os.WriteFile(file, []byte(document), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// Each operation that requires scopes is a resource of its own, with its scopes under
// their prefix, and tickets and permissions are for that resource.
func TestOperationsBecomeResources(t *testing.T) {
	file := writeTodoDocument(t, todoDocument)
	s := start(t, harness.UMAConfig{}, `log_grants
		openapi `+file+` {
			prefix todos:
		}
		override path /v1/todos/? {
			DELETE scope todos:purge
		}
		path /v1/extra {
			GET scope todos:view
		}`)
	s.server.Allow("alice", "todos:view", "todos:edit", "todos:admin", "todos:purge")
	s.registered("GET /v1/todos", "POST /v1/todos", "GET /v1/todos/7", "DELETE /v1/todos/7", "GET /v1/extra")
	resources := s.server.Resources()
	for name, scopes := range map[string][]string{
		"GET /v1/todos":      {"todos:view"},
		"POST /v1/todos":     {"todos:admin", "todos:edit", "todos:view"},
		"GET /v1/todos/?":    {"todos:view"},
		"DELETE /v1/todos/?": {"todos:purge"},
		"GET /v1/extra":      {"todos:view"},
	} {
		if got := slices.Sorted(slices.Values(resources[name].Scopes)); !slices.Equal(got, scopes) {
			t.Errorf("the resource %q has the scopes %q, want %q", name, got, scopes)
		}
	}
	if len(resources) != 5 {
		t.Errorf("got %d resources, want 5: operations without scopes have none: %v", len(resources), resources)
	}

	ticket, asked := s.ticket(s.send("POST", "/v1/todos", ""))
	if want := []string{"todos:view", "todos:edit", "todos:admin"}; asked.ResourceID != resources["POST /v1/todos"].ID || !slices.Equal(asked.Scopes, want) {
		t.Errorf("the ticket asks for %+v", asked)
	}
	rpt, code := s.server.Exchange(t, "alice", ticket, "")
	if code != "" {
		t.Fatal(code)
	}
	if a := s.send("POST", "/v1/todos", rpt); a.body != "passed" {
		t.Errorf("with the RPT: got %+v", a)
	}
	if got := s.logged("request granted"); len(got) != 1 || got[0]["operation"] != "addTodo" {
		t.Errorf("got the records %v, want one of the operation addTodo", got)
	}
	if _, asked := s.ticket(s.send("DELETE", "/v1/todos/7", rpt)); asked.ResourceID != resources["DELETE /v1/todos/?"].ID {
		t.Errorf("the RPT of one operation at another: the ticket asks for %+v", asked)
	}

	for _, test := range []struct {
		method, path, token string
		status              int
	}{
		{"GET", "/v1/health", "", 200},
		{"GET", "/v1/me", "", 401},
		{"GET", "/v1/me", rpt, 200},
		{"GET", "/v1/internal", rpt, 403},
		{"GET", "/v1/todos/", rpt, 403}, // a parameter is never empty
		{"PATCH", "/v1/todos/7", rpt, 403},
		{"GET", "/todos", rpt, 403},
	} {
		t.Run(test.method+" "+test.path, func(t *testing.T) {
			a := s.send(test.method, test.path, test.token)
			if a.status != test.status || strings.Contains(a.header.Get("WWW-Authenticate"), "ticket") {
				t.Errorf("got %+v, want %d and no ticket", a, test.status)
			}
		})
	}
}

// Permissions for a part of the scopes satisfy the alternative that they are enough for.
func TestAlternativesOfAnOperation(t *testing.T) {
	s := start(t, harness.UMAConfig{}, "openapi "+writeTodoDocument(t, todoDocument)).registered("POST /v1/todos")
	id := s.server.Resources()["POST /v1/todos"].ID
	for _, test := range []struct {
		scopes []string
		status int
	}{
		{[]string{"view", "edit"}, http.StatusOK},
		{[]string{"admin"}, http.StatusOK},
		{[]string{"view"}, http.StatusUnauthorized},
		{[]string{"edit"}, http.StatusUnauthorized},
		{[]string{}, http.StatusUnauthorized},
	} {
		t.Run(strings.Join(test.scopes, " "), func(t *testing.T) {
			token := "rpt-" + strings.Join(test.scopes, "-")
			s.server.Issue(token, map[string]any{"client_id": "todo-app", "aud": "gateway", "permissions": []any{map[string]any{"resource_id": id, "resource_scopes": test.scopes}}})
			if a := s.send("POST", "/v1/todos", token); a.status != test.status {
				t.Errorf("got %+v, want %d", a, test.status)
			}
		})
	}
}

func TestDocumentsThatAreRefused(t *testing.T) {
	good := writeTodoDocument(t, todoDocument)
	bound := writeTodoDocument(t, strings.Replace(todoDocument, "security: [{oauth: [edit]}]}", "x-gluu-scopes: ['^todos:(?<PC1>.+)$']}", 1))
	for _, test := range []struct{ name, rules, want string }{
		{"watch", "openapi " + good + " {\n watch\n}", "watch is only for gluu_oauth_pep"},
		{"a scope that is a pattern", "openapi " + bound, bound + `:13: operation "removeTodo"`},
		{"a rule of an operation", "openapi " + good + "\npath /v1/todos {\n GET scope a\n}", `write 'override path'`},
		{"an override with not", "openapi " + good + "\noverride path /v1/todos {\n GET scope not a\n}", "not"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := caddytest.Adapt("http://127.0.0.1:1 {\n gluu_uma_pep {\n" + test.rules + "\n}\n}")
			if err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), "Caddyfile:") {
				t.Errorf("got %v, want an error about %q, with its line", err, test.want)
			}
		})
	}
}

// In JSON the handler itself refuses what the Caddyfile parser does.
func TestWatchIsRefusedInJSON(t *testing.T) {
	s := &UMAPEP{}
	if err := s.UnmarshalJSON([]byte(`{"openapi": {"file": "` + writeTodoDocument(t, todoDocument) + `", "watch": true}}`)); err != nil {
		t.Fatal(err)
	}
	config := `{"admin": {"disabled": true}, "apps": {"gluu": {"providers": {"default": {"issuer": "https://as.example", "client_id": "a", "client_secret": "b", "audience": ["c"], "verify": "jwt"}}},
		"http": {"servers": {"s": {"listen": ["127.0.0.1:0"], "routes": [{"handle": [{"handler": "gluu_uma_pep", "openapi": {"file": "` + s.OpenAPI.File + `", "watch": true}}]}]}}}}}`
	if err := validate([]byte(config)); err == nil || !strings.Contains(err.Error(), "watch is only for gluu_oauth_pep") {
		t.Errorf("got %v", err)
	}
}
