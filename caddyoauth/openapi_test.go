// SPDX-License-Identifier: Apache-2.0

package caddyoauth

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-gluu/gateway/internal/caddytest"
)

// todoAPI is a document with operations of each kind. extra is added to its paths.
func todoAPI(extra string) string {
	return `openapi: 3.0.3
info: {title: Todos, version: '1'}
servers: [{url: https://api.example/v1}]
components: {securitySchemes: {oauth: {type: oauth2, flows: {clientCredentials: {tokenUrl: https://as.example/token, scopes: {read: '', write: ''}}}}}}
paths:
  /todos:
    get: {operationId: listTodos, security: [{oauth: [read]}]}
    post: {operationId: addTodo, security: [{oauth: [read, write]}]}
  /todos/{id}:
    get: {operationId: getTodo, security: [{oauth: [read]}]}
    put: {operationId: setTodo, security: [{oauth: [write]}], x-gluu-scopes: ['^todo:(?<PC1>.+)$']}
  /health:
    get: {operationId: health, security: []}
  /internal:
    get: {operationId: internal}
` + extra
}

func writeDocument(t testing.TB, file, document string) {
	t.Helper()
	// In one step, as an editor or a deployment does it.
	if err := os.WriteFile(file+".new", []byte(document), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(file+".new", file); err != nil {
		t.Fatal(err)
	}
}

func TestOperationsBecomeRules(t *testing.T) {
	file := filepath.Join(t.TempDir(), "openapi.yaml")
	writeDocument(t, file, todoAPI(""))
	site := "gluu_oauth_auth {\noptional\n}\ngluu_oauth_pep {\nlog_grants\nopenapi " + file + "\noverride path /v1/todos {\nPOST scope admin\n}\npath /v1/todos {\nDELETE scope admin\n}\npath /v1/extra {\nGET scope read\n}\n}\nreverse_proxy {upstream} {\nheader_up X-Operation {gluu.operation}\n}\n"
	g := start(t, simpleApp, "handle /metrics {\nmetrics\n}\nhandle {\n"+site+"}\n")
	for token, scopes := range map[string]string{"reader": "read", "writer": "read write", "todo7": "todo:7", "admin": "admin"} {
		g.auth.issue(token, claims("client-a", scopes))
	}
	tests := []struct {
		method, path, token string
		status              int
		operation           string
	}{
		{"GET", "/v1/todos", "reader", 200, "listTodos"},
		{"HEAD", "/v1/todos", "reader", 200, "listTodos"},
		{"GET", "/v1/todos", "admin", 403, "listTodos"},
		{"GET", "/v1/todos", "", 401, "listTodos"},
		{"POST", "/v1/todos", "writer", 403, "addTodo"}, // overridden
		{"POST", "/v1/todos", "admin", 200, "addTodo"},
		{"DELETE", "/v1/todos", "admin", 200, ""}, // beside the document's methods
		{"GET", "/v1/todos/7", "reader", 200, "getTodo"},
		{"GET", "/v1/todos/", "reader", 403, ""}, // a parameter is never empty
		{"PUT", "/v1/todos/7", "todo7", 200, "setTodo"},
		{"PUT", "/v1/todos/8", "todo7", 403, "setTodo"},
		{"PUT", "/v1/todos/7", "writer", 403, "setTodo"},
		{"GET", "/v1/health", "", 200, "health"},
		{"GET", "/v1/internal", "writer", 403, "internal"},
		{"GET", "/v1/extra", "reader", 200, ""},
		{"GET", "/todos", "reader", 403, ""},
		{"PATCH", "/v1/todos/7", "writer", 403, ""},
	}
	for _, test := range tests {
		t.Run(test.method+" "+test.path+" "+test.token, func(t *testing.T) {
			granted, refused := len(g.records("request granted")), len(g.records("request refused"))
			got := g.request(test.method, test.path, test.token)
			if got.status != test.status {
				t.Fatalf("got %d %s, want %d", got.status, got.body, test.status)
			}
			records := append(g.records("request granted")[granted:], g.records("request refused")[refused:]...)
			if operation, _ := records[0]["operation"].(string); len(records) != 1 || operation != test.operation {
				t.Errorf("got the records %v, want the operation %q", records, test.operation)
			}
			if test.status == 200 && test.method != "HEAD" && strings.Join(got.received("X-Operation"), ",") != test.operation {
				t.Errorf("{gluu.operation} is %q, want %q", got.received("X-Operation"), test.operation)
			}
		})
	}
	if metrics := g.get("/metrics", "").body; !strings.Contains(metrics, `gluu_operation{operation="listTodos"} 4`) {
		t.Errorf("the metric gluu_operation is wrong:\n%s", metrics)
	}
}

func TestWrongOpenAPIOptionsAreRefusedWithTheirLine(t *testing.T) {
	folder := t.TempDir()
	good, bad := filepath.Join(folder, "good.yaml"), filepath.Join(folder, "bad.yaml")
	writeDocument(t, good, todoAPI(""))
	writeDocument(t, bad, todoAPI("  /bad:\n    get: {operationId: bad, security: [{none: []}]}\n"))
	tests := []struct{ name, block, line, reason string }{
		{"no file", "openapi", ":3", "openapi"},
		{"a missing file", "openapi " + folder + "/none.yaml", ":3", "no such file"},
		{"a wrong document", "openapi " + bad, ":3", bad + `:17: operation "bad": the security scheme "none" is not defined`},
		{"openapi twice", "openapi " + good + "\nopenapi " + good, ":4", "openapi is set twice"},
		{"an unknown option", "openapi " + good + " {\nbase /x\n}", ":4", `there is no "base" in openapi`},
		{"security_scheme without a name", "openapi " + good + " {\nsecurity_scheme\n}", ":4", "security_scheme"},
		{"security_scheme that is none", "openapi " + good + " {\nsecurity_scheme x\n}", ":3", `security_scheme "x" is not a security scheme of the document`},
		{"base_path", "openapi " + good + " {\nbase_path x\n}", ":4", "base_path must be servers, none or a path"},
		{"base_path twice", "openapi " + good + " {\nbase_path none\nbase_path none\n}", ":5", "base_path is set twice"},
		{"unlisted", "openapi " + good + " {\nunlisted allow\n}", ":4", "unlisted must be deny, public or authenticated"},
		{"prefix", "openapi " + good + " {\nprefix ^a\n}", ":4", "starts with ^"},
		{"watch", "openapi " + good + " {\nwatch perhaps\n}", ":4", "true or false"},
		{"the same path and method", "openapi " + good + "\npath /v1/todos {\nPATCH scope a\nGET scope b\n}", ":6", `path "/v1/todos": the OpenAPI document has GET as operation "listTodos": write 'override path'`},
		{"override of nothing", "openapi " + good + "\noverride path /v1/none {\nGET scope a\n}", ":5", "override path \"/v1/none\": GET is not an operation"},
		{"override of another method", "openapi " + good + "\noverride path /v1/todos {\nGET scope a\nPATCH scope a\n}", ":6", "PATCH is not an operation"},
		{"override of any method", "openapi " + good + "\noverride path /v1/todos {\n? scope a\n}", ":5", "? is not an operation"},
		{"override without openapi", "override path /v1/todos {\nGET scope a\n}", ":3", "write openapi <file> too"},
		{"override without path", "openapi " + good + "\noverride /v1/todos", ":4", "write 'override path"},
		{"a wrong override", "openapi " + good + "\noverride path /v1/todos {\nGET scope a and\n}", ":5", "and"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := caddytest.Adapt(pepCaddyfile(test.block))
			if err == nil || !strings.Contains(err.Error(), "Caddyfile"+test.line) || !strings.Contains(err.Error(), test.reason) {
				t.Errorf("got %v, want Caddyfile%s and %s", err, test.line, test.reason)
			}
		})
	}
}

// A change of the document comes into force under load without a refused request; a
// broken document keeps the last good one and says so.
func TestAChangedDocumentIsWatched(t *testing.T) {
	file := filepath.Join(t.TempDir(), "openapi.yaml")
	writeDocument(t, file, todoAPI(""))
	g := start(t, simpleApp, "gluu_oauth_auth\ngluu_oauth_pep {\nopenapi "+file+" {\nwatch\n}\n}\nreverse_proxy {upstream}\n")
	g.auth.issue("reader", claims("client-a", "read"))
	if got := g.get("/v1/new", "reader"); got.status != 403 {
		t.Fatalf("before the change: got %d", got.status)
	}

	var workers sync.WaitGroup
	done, sent := make(chan struct{}), make(chan int, 4)
	for range 4 {
		workers.Go(func() {
			n := 0
			for ; ; n++ {
				select {
				case <-done:
					sent <- n
					return
				default:
				}
				if got, err := g.trySend("GET /v1/todos HTTP/1.1\nHost: " + g.address + "\nAuthorization: Bearer reader\nConnection: close"); err != nil || got.status != 200 {
					t.Errorf("under load: got %d, %v", got.status, err)
					sent <- n
					return
				}
			}
		})
	}
	added := todoAPI("  /new:\n    get: {operationId: new, security: [{oauth: [read]}]}\n")
	writeDocument(t, file, added)
	waitFor(t, "the added operation", func() bool { return g.get("/v1/new", "reader").status == 200 })

	writeDocument(t, file, added[:len(added)-20])
	waitFor(t, "a line about the broken document", func() bool {
		return len(g.records("the changed OpenAPI document cannot be used; the last good one stays in force")) == 1
	})
	if got := g.get("/v1/new", "reader"); got.status != 200 {
		t.Errorf("with a broken document: got %d", got.status)
	}

	writeDocument(t, file, todoAPI("  /other:\n    get: {operationId: other, security: [{oauth: [read]}]}\n"))
	waitFor(t, "the operation of the next document", func() bool { return g.get("/v1/other", "reader").status == 200 })
	if got := g.get("/v1/new", "reader"); got.status != 403 {
		t.Errorf("an operation that is gone: got %d", got.status)
	}
	close(done)
	workers.Wait()
	total := 0
	for range 4 {
		total += <-sent
	}
	if total < 20 {
		t.Errorf("only %d requests were sent in the meantime", total)
	}
}

// The metadata of the resource names the scopes of the document that is in force, and
// none of an operation that is gone.
func TestTheMetadataFollowsAWatchedDocument(t *testing.T) {
	file := filepath.Join(t.TempDir(), "openapi.yaml")
	operation := func(scope string) string {
		return todoAPI("  /reports:\n    get: {operationId: reports, security: [{oauth: [" + scope + "]}]}\n")
	}
	writeDocument(t, file, operation("old"))
	g := start(t, simpleApp, "gluu_resource_metadata {\nresource https://api.example\n}\ngluu_oauth_auth\ngluu_oauth_pep {\nopenapi "+file+" {\nwatch\n}\n}\nreverse_proxy {upstream}\n")
	before := g.get(wellKnown, "")
	if want := `"scopes_supported":["old","read","write"]`; !strings.Contains(before.body, want) {
		t.Fatalf("before the change: got %s", before.body)
	}
	writeDocument(t, file, operation("new"))
	waitFor(t, "the changed metadata", func() bool {
		return strings.Contains(g.get(wellKnown, "").body, `"scopes_supported":["new","read","write"]`)
	})
	if after := g.get(wellKnown, "", "If-None-Match: "+before.header.Get("ETag")); after.status != 200 {
		t.Errorf("with the ETag of the former metadata: got %d, want 200", after.status)
	}
}

func waitFor(t *testing.T, what string, is func() bool) {
	t.Helper()
	for limit := time.Now().Add(30 * time.Second); time.Now().Before(limit); time.Sleep(20 * time.Millisecond) {
		if is() {
			return
		}
	}
	t.Fatalf("%s did not come", what)
}

// serviceDocument is the configuration of a handler with a document that says what
// serviceRules says.
func serviceDocument(t testing.TB, n int) string {
	var paths strings.Builder
	for i := range n {
		fmt.Fprintf(&paths, "  /service-%d/todos/{id}:\n    get: {security: [{oauth: [read, list]}]}\n    post: {security: [{oauth: [read, list]}]}\n", i)
	}
	file := filepath.Join(t.TempDir(), "openapi.yaml")
	writeDocument(t, file, todoAPI(paths.String()))
	return fmt.Sprintf(`{"openapi":{"file":%q,"base_path":"none"}}`, file)
}

// A decision by the rules of a document costs what one by the same rules costs that an
// operator wrote, and no allocation (TestHandlersAllocateLittle).
func BenchmarkOpenAPI(b *testing.B) {
	for _, n := range []int{20, 2500} {
		rules := `{"oauth_scope_expression":` + serviceRules(n) + `}`
		b.Run(fmt.Sprintf("rules-%d", 2*n), func(b *testing.B) { newBenchWith(b, `{}`, rules).runDecisions(b) })
		b.Run(fmt.Sprintf("operations-%d", 2*n), func(b *testing.B) { newBenchWith(b, `{}`, serviceDocument(b, n)).runDecisions(b) })
	}
}
