// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	_ "github.com/caddy-gluu/gateway/caddyopa" // the engine
)

// regoFolder is a folder with a policy, its data, OPA's own tests and configurations
// that name it.
func regoFolder(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	for name, text := range map[string]string{
		"p/todo.rego": `package httpapi.authz

default allow := false

allow if {
	input.method == "GET"
	input.path[0] == data.open[_]
}

allow if {
	input.request_token_data.sub == input.path[1]
	"todos" in input.scopes
}

by_consumer := "gold" in input.consumer.tags

silent := true if input.method == "GET"
`,
		"p/data.json":      `{"open": ["news"]}`,
		"p/todo_test.rego": "package httpapi.authz_test\n\nimport data.httpapi.authz\n\ntest_news if authz.allow with input as {\"method\": \"GET\", \"path\": [\"news\"]}\n\ntest_wrong if authz.allow with input as {}\n\ntodo_test_later if false\n",
		"broken.rego":      "package httpapi.authz\n\nallow if x\n",
		"claims.json":      `{"sub": "ann"}`,
		"Caddyfile": `{
	gluu {
		consumer partner {
			tags gold
		}
		opa {
			policy p/*
		}
		opa outside {
			bundle b https://bundles.example.com/b.tar.gz {
				key key.pem
			}
		}
	}
}
one.example.com {
	gluu_oauth_auth
	gluu_opa_pep
}
two.example.com {
	gluu_oauth_auth
	gluu_opa_pep {
		decision httpapi/authz/silent
		deny_by_default false
		encoded_slashes keep
	}
}
three.example.com {
	gluu_oauth_auth
	gluu_oauth_pep {
		path /todos {
			GET scope todos
		}
	}
	gluu_opa_pep outside
}
four.example.com {
	gluu_oauth_auth
	gluu_opa_pep {
		url http://127.0.0.1:8181/v1/data/a
	}
}
`,
		"key.pem": "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC KEY-----\n",
		"broken.json": `{"apps": {"gluu": {"opa": {"default": {"policy": ["` + filepath.Join(dir, "broken.rego") + `"]}}}, "http": {"servers": {"s": {"routes": [
			{"handle": [{"handler": "gluu_opa_pep"}]}, {"handle": [{"handler": "gluu_opa_pep", "engine": "other"}]}]}}}}}`,
	} {
		name = filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// The operation of the handler's OpenAPI document is part of what the policy sees.
func TestExplainAPolicyInRegoByOperation(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"todo.rego":    "package httpapi.authz\n\ndefault allow := false\n\nallow if input.operation == \"getTodo\"\n",
		"openapi.yaml": "openapi: 3.0.3\ninfo: {title: Todos, version: '1'}\npaths:\n  /todos/{id}:\n    get: {operationId: getTodo}\n    put: {operationId: setTodo}\n",
		"Caddyfile":    "{\n\tgluu {\n\t\topa {\n\t\t\tpolicy todo.rego\n\t\t}\n\t}\n}\nexample.com {\n\tgluu_oauth_auth\n\tgluu_opa_pep {\n\t\topenapi openapi.yaml\n\t}\n}\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	policy := []string{"--policy", dir + "/Caddyfile", "--request"}
	check(t, newExplainCommand, append(policy, "GET /todos/7"), exitYes, `
request    GET /todos/7
operation  getTodo
result     {"allow":true}

decision   allow
`)
	check(t, newExplainCommand, append(policy, "PUT /todos/7", "--json"), exitNo,
		`{"decision":"deny","operation":"setTodo","outcome":"deny","result":{"allow":false}}`+"\n")
}

func TestExplainAPolicyInRego(t *testing.T) {
	dir := regoFolder(t)
	policy := []string{"--policy", dir + "/p/*", "--request"}
	check(t, newExplainCommand, append(policy, "GET /news"), exitYes, `
request    GET /news
result     {"allow":true,"silent":true}

decision   allow
`)
	check(t, newExplainCommand, append(policy, "POST /todos/ann", "--why"), exitNo, `
request    POST /todos/ann
result     {"allow":false}
failed     `+dir+`/p/todo.rego:6: input.method == "GET"
           `+dir+`/p/todo.rego:11: input.request_token_data.sub == input.path[1]
           `+dir+`/p/todo.rego:15: input.consumer.tags
           `+dir+`/p/todo.rego:17: input.method == "GET"

decision   deny
`)
	check(t, newExplainCommand, append(policy, "POST /todos/ann", "--claims", dir+"/claims.json", "--scopes", "todos", "--json"), exitYes,
		`{"decision":"allow","outcome":"grant","result":{"allow":true}}`+"\n")
	check(t, newExplainCommand, append(policy, "POST /", "--decision", "httpapi/authz/silent"), exitNo, `
request    POST /
result     null

decision   deny
           the policy says nothing about the request; give it a default: 'default allow := false'
`)
	check(t, newExplainCommand, append(policy, "GET /a/%2e%2e/b", "--no-token", "--json"), exitNo,
		`{"decision":"bad_request","outcome":"error","result":null,"reason":"ambiguous path: dot segment at offset 3"}`+"\n")
}

// The handler of a configuration says which policies, which decision and how paths are
// read; its consumers have their tags.
func TestExplainTheHandlerOfAConfiguration(t *testing.T) {
	dir := regoFolder(t)
	config := []string{"--policy", dir + "/Caddyfile", "--request"}
	check(t, newExplainCommand, append(config, "GET /news", "--handler", "1", "--consumer", "partner", "--json"), exitYes,
		`{"decision":"allow","outcome":"grant","result":{"allow":true,"by_consumer":true,"silent":true}}`+"\n")
	check(t, newExplainCommand, append(config, "POST /a%2Fb", "--handler", "2", "--json"), exitNo,
		`{"decision":"unprotected","outcome":"undefined","result":null,"reason":"the policy says nothing about the request; give it a default: 'default allow := false'"}`+"\n")
	check(t, newExplainCommand, append(config, "GET /todos", "--handler", "3", "--scopes", "todos", "--json"), exitYes,
		`{"decision":"allow","rule":"/todos","method":"GET","captures":[],"data":[{"entry":"todos","matched":true,"by":"todos"}],"expression":{"var":0}}`+"\n")
	for handler, want := range map[string]string{"4": "ask the running gateway", "5": "ask the running gateway"} {
		checkError(t, newExplainCommand, append(config, "GET /", "--handler", handler), want)
	}
	check(t, newRulesCommand, []string{"--policy", dir + "/Caddyfile", "--handler", "1"}, exitYes,
		"gluu_opa_pep of one.example.com, a policy in Rego: ask about a request with 'caddy gluu explain'\n")
	check(t, newRulesCommand, []string{"--policy", dir + "/Caddyfile", "--handler", "1", "--json"}, exitYes,
		`{"handler":"gluu_opa_pep of one.example.com","rules":[],"warnings":[]}`+"\n")
}

func TestExplainRefusesForAPolicyInRego(t *testing.T) {
	dir := regoFolder(t)
	for want, args := range map[string][]string{
		"broken.rego:3: var x is unsafe":                        {"--policy", dir + "/broken.rego", "--request", "GET /"},
		"broken.rego:3: var x":                                  {"--policy", dir + "/broken.json", "--request", "GET /", "--handler", "1"},
		`engine "other" does not exist`:                         {"--policy", dir + "/broken.json", "--request", "GET /", "--handler", "2"},
		"neither a package nor a rule":                          {"--policy", dir + "/p/*", "--request", "GET /", "--decision", "no/such"},
		"is not the name of a package or a rule":                {"--policy", dir + "/p/*", "--request", "GET /", "--decision", "/a"},
		"write a method and a path":                             {"--policy", dir + "/p/*", "--request", "GET"},
		"are for policies in Rego, and \"testdata/todos.json\"": {"--policy", "testdata/todos.json", "--request", "GET /", "--why"},
		"matches no file":                                       {"--policy", dir + "/none/*", "--request", "GET /"},
		"they are an object":                                    {"--policy", dir + "/p/*", "--request", "GET /", "--claims", write(t, "list.json", "[]")},
		"two members are named":                                 {"--policy", dir + "/p/*", "--request", "GET /", "--claims", write(t, "twice.json", `{"a": 1, "a": 2}`)},
		"a running gateway knows the decision":                  {"--token", "t", "--request", "GET /", "--decision", "a"},
		"are those of the configuration":                        {"--policy", dir + "/Caddyfile", "--handler", "1", "--request", "GET /", "--deny-by-default=false"},
	} {
		checkError(t, newExplainCommand, args, want)
	}
	checkError(t, newOpenAPICommand, []string{"diff", "--policy", dir + "/Caddyfile", "--handler", "1", "../examples/openapi/petstore.yaml"}, "cannot be compared with a document")
}

func TestExplainOPAOnARunningGateway(t *testing.T) {
	address, asked := admin(t, http.StatusOK, `{"hosts":["a.example"],"request":"GET /","caller":{"provider":"default","client_id":"app"},"decision":{"decision":"deny","decided_by":"httpapi/authz","revision":"42","result":{"allow":false},"why":["todo.rego:7: a","todo.rego:8: b"],"refused":{"status":403,"reason":"policy_denied"}}}`)
	check(t, newExplainCommand, []string{"--address", address, "--request", "GET /", "--token", "t", "--why"}, exitNo, `
request    GET /
site       a.example
provider   default
client     app
policy     httpapi/authz
revision   42
result     {"allow":false}
failed     todo.rego:7: a
           todo.rego:8: b

decision   deny
           403 policy_denied
`)
	if !asked.Why {
		t.Error("the gateway was not asked why")
	}
}

func TestAPolicyInRegoUnderTest(t *testing.T) {
	dir := regoFolder(t)
	const cases = `
tests:
  - request: GET /news
    want: allow
  - name: own todos
    request: DELETE /todos/ann
    claims: {sub: ann}
    scopes: [todos]
    want: allow
  - name: those of another
    request: DELETE /todos/bob
    claims: {sub: ann, scope: todos}
    want: allow
  - request: GET /..
    want: bad_request
  - request: POST /
    no_token: true
    want: deny
  - want: refused
`
	const results = `
FAIL FILE, test 3: those of another: DELETE /todos/bob
     scopes []
     want allow, got deny
     the result is {"allow":false}
FAIL FILE, test 6: the policy
     want refused, got loads
     the policy loads
4 passed, 2 failed
`
	for _, policy := range []string{"policy: " + dir + "/p/*", "policy: " + dir + "/Caddyfile\nhandler: 1"} {
		file := write(t, "a.test.yaml", policy+cases)
		check(t, newTestCommand, []string{file}, exitNo, strings.ReplaceAll(results, "FILE", file))
	}
	file := write(t, "b.test.yaml", "policy: "+dir+"/Caddyfile\nhandler: 2\ntests:\n  - request: POST /a%2Fb\n    want: unprotected\n---\npolicy: "+dir+"/p/*\ndecision: httpapi/authz/by_consumer\ntests:\n  - request: POST /\n    consumer: partner\n    want: deny\n")
	check(t, newTestCommand, []string{file}, exitYes, "\n2 passed, 0 failed\n")
	file = write(t, "c.test.yaml", "policy: "+dir+"/broken.json\nhandler: 1\ntests:\n  - request: GET /\n    claims: {sub: a}\n    want: refused\n")
	check(t, newTestCommand, []string{file}, exitYes, "\n1 passed, 0 failed\n")
	for text, want := range map[string]string{
		"policy: p/*\numa: true\ntests:\n  - request: GET /\n    want: deny\n":                                               "are not for a policy in Rego",
		"policy: " + dir + "/p/*\ntests:\n  - request: GET /\n    want: maybe\n":                                             "want must be one of",
		"policy: " + dir + "/p/*\ntests:\n  - request: GET /\n    rule: /\n    want: deny\n":                                 "rule and captures are for scope expressions",
		"policy: " + dir + "/p/*\ntests:\n  - request: GET /\n    claims: [a]\n    want: deny\n":                             "claims are an object",
		"policy: " + dir + "/p/*\ntests:\n  - request: GET /\n    claims: {a: 1}\n    no_token: true\n    want: deny\n":      "without a token has neither",
		"policy: " + dir + "/p/*\ntests:\n  - want: deny\n":                                                                  "needs a request",
		"policy: " + dir + "/Caddyfile\nhandler: 3\ndecision: a\ntests:\n  - request: GET /\n    want: deny\n":               "decision is for a policy in Rego",
		"policy: " + dir + "/Caddyfile\nhandler: 3\ntests:\n  - request: GET /todos\n    claims: {sub: a}\n    want: deny\n": "claims and consumer are for policies in Rego",
		"policy: " + dir + "/Caddyfile\nhandler: 5\ntests:\n  - request: GET /\n    want: deny\n":                            "ask the running gateway",
		"policy: " + dir + "/Caddyfile\nhandler: 1\ndeny_by_default: false\ntests:\n  - request: GET /\n    want: deny\n":    "are those of the configuration",
	} {
		checkError(t, newTestCommand, []string{write(t, "d.test.yaml", text)}, want)
	}
}

// OPA's own tests run with the policies and the data in their folder.
func TestOPAsOwnTests(t *testing.T) {
	dir := regoFolder(t)
	file := dir + "/p/todo_test.rego"
	check(t, newTestCommand, []string{file, "-v"}, exitNo, `
ok   `+file+`:5: data.httpapi.authz_test.test_news
FAIL `+file+`:7: data.httpapi.authz_test.test_wrong
skip `+file+`:9: data.httpapi.authz_test.todo_test_later
1 passed, 1 failed
`)
	out, code, err := execute(newTestCommand, file, "--json")
	if err != nil || code != exitNo || strings.Count(out, "\n") != 3 || !strings.Contains(out, `"request":"data.httpapi.authz_test.test_wrong","want":"allow","got":"deny"`) || !strings.Contains(out, `"got":"skipped","rule":null,"captures":[],"pass":true`) {
		t.Errorf("got %d, %v: %s", code, err, out)
	}
	checkError(t, newTestCommand, []string{dir + "/p/todo.rego"}, "no rule is a test")
	checkError(t, newTestCommand, []string{dir + "/broken.rego"}, "broken.rego:3: var x is unsafe")
	checkError(t, newTestCommand, []string{dir + "/none_test.rego"}, "no such file")
}

// docs/opa.md shows a policy, what explain says about it, and tests that pass.
func TestDocsOfOPA(t *testing.T) {
	page, err := os.ReadFile("../docs/opa.md")
	if err != nil {
		t.Fatal(err)
	}
	block := func(start string) string {
		t.Helper()
		match := regexp.MustCompile("(?s)```[a-z]*\n(" + start + ".*?)```\n").FindSubmatch(page)
		if match == nil {
			t.Fatalf("docs/opa.md has no block that starts with %q", start)
		}
		return string(match[1])
	}
	t.Chdir(t.TempDir())
	for name, text := range map[string]string{"policies/todo.rego": block("package"), "todo.test.yaml": block("policy:")} {
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	check(t, newExplainCommand, []string{"--policy", "policies/*", "--request", "DELETE /todos/bob/7", "--scopes", "todos:read", "--why"}, exitNo, block("request "))
	check(t, newTestCommand, []string{"todo.test.yaml"}, exitYes, "3 passed, 0 failed\n")
}
