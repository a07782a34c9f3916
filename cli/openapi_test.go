// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const todosDocument = `openapi: 3.0.3
servers: [{url: /v1}]
components: {securitySchemes: {o: {type: oauth2, flows: {password: {scopes: {r: '', w: '', a: ''}}}}}}
paths:
  /todos:
    get: {operationId: list, security: [{o: [r]}]}
    post: {operationId: add, security: [{o: [r, w]}, {o: [a]}]}
  /todos/{id}:
    parameters: [{name: id, in: path, schema: {pattern: '^\d{3}$'}}]
    get: {operationId: one, security: [{o: []}], x-gluu-scopes: ['^todo:(?<PC1>.+)$']}
    put: {operationId: set, security: [{o: []}]}
  /files/{name}.{ext}: {get: {operationId: file, security: []}}
  /internal: {get: {operationId: internal}}
`

func todosFile(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "todos.yaml")
	if err := os.WriteFile(file, []byte(todosDocument), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestRulesOfAnOpenAPIDocument(t *testing.T) {
	out, code, _ := execute(newRulesCommand, "--openapi", todosFile(t))
	if code != exitYes {
		t.Fatalf("exit code %d\n%s", code, out)
	}
	for _, want := range []string{
		"GET   /v1/todos               r                  list\n",
		"POST  /v1/todos               (r and w) or a     add\n",
		"GET   /v1/todos/{^\\d{3}$}     ^todo:(?<PC1>.+)$  one\n",
		"GET   /v1/files/{(.+)\\.(.+)}  public             file\n",
		"GET   /v1/internal            denied             internal\n",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not in\n%s", want, out)
		}
	}
	checkError(t, newRulesCommand, []string{"--openapi", todosFile(t), "--unlisted", "allow"}, "unlisted must be deny, public or authenticated")
	checkError(t, newRulesCommand, []string{"--openapi", "x", "--policy", "y"}, "exclude each other")
	checkError(t, newRulesCommand, []string{"--openapi", "x", "--handler", "1"}, "is an OpenAPI document; leave the handler out")
	checkError(t, newRulesCommand, []string{"--policy", "testdata/todos.json", "--prefix", "x"}, "only for an OpenAPI document")
}

func TestOpenAPITestsPass(t *testing.T) {
	file := todosFile(t)
	out, code, _ := execute(newOpenAPITestsCommand, file)
	if code != exitYes {
		t.Fatalf("exit code %d\n%s", code, out)
	}
	for _, want := range []string{
		"add with its scopes\n    request: POST /v1/todos\n    scopes: [r, w]\n    want: allow",
		"add with its scopes\n    request: POST /v1/todos\n    scopes: [a]\n    want: allow",
		"add without w\n    request: POST /v1/todos\n    scopes: [r]\n    want: deny",
		"add without a\n    request: POST /v1/todos\n    scopes: []\n    want: deny",
		"one with its scopes\n    request: GET /v1/todos/111\n    scopes: ['todo:111']\n    want: allow",
		"set with any token\n    request: PUT /v1/todos/111\n    scopes: []\n    want: allow",
		"file is public\n    request: GET /v1/files/x.x\n    scopes: []\n    want: allow",
		"internal is denied\n    request: GET /v1/internal\n    scopes: []\n    want: deny",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not in\n%s", want, out)
		}
	}
	tests := filepath.Join(filepath.Dir(file), "todos.test.yaml")
	if err := os.WriteFile(tests, []byte(out), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, code, _ := execute(newTestCommand, tests); code != exitYes {
		t.Errorf("exit code %d\n%s", code, out)
	}
	// A document that becomes more open fails a test.
	opened := strings.Replace(todosDocument, "[{o: [r, w]}, {o: [a]}]", "[{o: [r]}]", 1)
	if err := os.WriteFile(file, []byte(opened), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, code, _ := execute(newTestCommand, tests); code != exitNo || !strings.Contains(out, "add without w") {
		t.Errorf("exit code %d\n%s", code, out)
	}
}

func TestOpenAPIDiff(t *testing.T) {
	file := todosFile(t)
	same := `[{"path":"/v1/todos","conditions":[{"httpMethods":["GET"],"scope_expression":{"rule":{"var":0},"data":["r"]}},
		{"httpMethods":["POST"],"scope_expression":{"rule":{"or":[{"var":0},{"and":[{"var":1},{"var":2}]}]},"data":["a","w","r"]}}]},
		{"path":"/v1/todos/{^\\d{3}$}","conditions":[{"httpMethods":["GET"],"scope_expression":{"rule":{"var":0},"data":["^todo:(?<PC1>.+)$"]}},{"httpMethods":["PUT"],"access":"authenticated"}]},
		{"path":"/v1/files/?","conditions":[{"httpMethods":["?"],"access":"public"}]}]`
	tests := []struct {
		name, policy string
		code         int
		want         []string
	}{
		{"none", same, exitYes, []string{"6 operations, no difference"}},
		{"a rule is missing", strings.Replace(same, `{"httpMethods":["PUT"],"access":"authenticated"}`, `{"httpMethods":["PATCH"],"access":"authenticated"}`, 1), exitNo,
			[]string{"no_rule       PUT /v1/todos/{^\\d{3}$} (set, " + file + ":11): the document requires authenticated", "no_operation  PATCH /v1/todos/{^\\d{3}$}: the rule requires authenticated"}},
		{"other scopes", strings.Replace(same, `"data":["a","w","r"]`, `"data":["a","w","x"]`, 1), exitNo,
			[]string{"differs       POST /v1/todos (add, " + file + ":7): the rule POST /v1/todos requires a or (w and x), the document (r and w) or a"}},
		{"another access", strings.Replace(same, `"access":"authenticated"`, `"access":"public"`, 1), exitNo, []string{"differs       PUT", "requires public, the document authenticated"}},
		{"some paths", strings.Replace(same, `"/v1/files/?"`, `"/v1/files/{a\\..*}"`, 1), exitNo, []string{`partly        GET /v1/files/{(.+)\.(.+)} (file, ` + file + `:12): only paths of ? /v1/files/{a\..*} have a rule`}},
		{"an open operation without security", strings.Replace(same, `"/v1/files/?"`, `"/v1/??"`, 1), exitNo, []string{"differs       GET /v1/internal (internal"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			policy := filepath.Join(t.TempDir(), "policy.json")
			if err := os.WriteFile(policy, []byte(test.policy), 0o600); err != nil {
				t.Fatal(err)
			}
			out, code, _ := execute(newOpenAPIDiffCommand, "--policy", policy, file)
			if code != test.code {
				t.Errorf("exit code %d, want %d", code, test.code)
			}
			for _, want := range test.want {
				if !strings.Contains(out, want) {
					t.Errorf("%q is not in\n%s", want, out)
				}
			}
			if lines := strings.Count(out, "\n"); lines != len(test.want) && test.name != "another access" {
				t.Errorf("got %d lines\n%s", lines, out)
			}
			if out, code, _ := execute(newOpenAPIDiffCommand, "--policy", policy, "--json", file); code != test.code || test.code == exitNo && !strings.Contains(out, `{"kind":"`) {
				t.Errorf("--json: exit code %d\n%s", code, out)
			}
		})
	}
}

func TestExplainNamesTheOperation(t *testing.T) {
	file := todosFile(t)
	out, _, _ := execute(newExplainCommand, "--openapi", file, "--request", "GET /v1/todos/123", "--scopes", "todo:123")
	if !strings.Contains(out, "operation  one") {
		t.Errorf("got\n%s", out)
	}
	out, code, _ := execute(newExplainCommand, "--openapi", file, "--request", "GET /v1/internal", "--json")
	if code != exitNo || !strings.Contains(out, `"operation":"internal"`) || !strings.Contains(out, "unlisted is deny") {
		t.Errorf("exit code %d\n%s", code, out)
	}
}
