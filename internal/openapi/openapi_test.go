// SPDX-License-Identifier: Apache-2.0

package openapi

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddy-gluu/gateway/scopeexpr"
)

// load writes a document into a folder of its own and loads it.
func load(t *testing.T, document string, opts Options) (*API, error) {
	t.Helper()
	folder, err := os.MkdirTemp("", "openapi") // t.TempDir has the name of the test in it, with its braces
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	file := filepath.Join(folder, "openapi.yaml")
	write(t, file, document)
	return Load(file, opts)
}

func write(t testing.TB, file, content string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// listed writes the rules of operations as lines: method, path, requirement, operation.
func listed(t *testing.T, api *API) []string {
	t.Helper()
	var lines []string
	for _, rule := range api.Document {
		for _, c := range rule.Conditions {
			demand := c.Access
			if c.ScopeExpression != nil {
				var err error
				if demand, err = c.ScopeExpression.Short(); err != nil {
					t.Fatal(err)
				}
			}
			lines = append(lines, strings.TrimSpace(fmt.Sprintf("%s %s: %s %s", strings.Join(c.HTTPMethods, ","), rule.Path, demand, c.Operation)))
		}
	}
	return lines
}

func compare(t *testing.T, got []string, want string) {
	t.Helper()
	if got, want := strings.Join(got, "\n"), strings.TrimSpace(want); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestPetStore(t *testing.T) {
	const want = `
PUT /api/v3/pet: write:pets and read:pets updatePet
POST /api/v3/pet: write:pets and read:pets addPet
GET /api/v3/pet/findByStatus: write:pets and read:pets findPetsByStatus
GET /api/v3/pet/findByTags: write:pets and read:pets findPetsByTags
GET /api/v3/pet/?: write:pets and read:pets getPetById
POST /api/v3/pet/?: write:pets and read:pets updatePetWithForm
DELETE /api/v3/pet/?: write:pets and read:pets deletePet
POST /api/v3/pet/?/uploadImage: write:pets and read:pets uploadFile
GET /api/v3/store/inventory: read:pets getInventory
POST /api/v3/store/order: public placeOrder
GET /api/v3/store/order/?: public getOrderById
DELETE /api/v3/store/order/?: denied deleteOrder
GET /api/v3/user/login: public loginUser
GET /api/v3/user/?: public getUserByName
PUT /api/v3/user/?: denied updateUser
GET /api/v3/pet/: denied
POST /api/v3/pet/: denied
DELETE /api/v3/pet/: denied
GET /api/v3/store/order/: denied
DELETE /api/v3/store/order/: denied
GET /api/v3/user/: denied
PUT /api/v3/user/: denied`
	for _, file := range []string{"petstore-2.0.json", "petstore-3.0.yaml", "petstore-3.1.yaml"} {
		t.Run(file, func(t *testing.T) {
			api, err := Load(filepath.Join("testdata", file), Options{SecuritySchemes: []string{"petstore_auth"}})
			if err != nil {
				t.Fatal(err)
			}
			compare(t, listed(t, api), want)
			if len(api.Warnings) > 0 {
				t.Errorf("got the warnings %v", api.Warnings)
			}
			_, err = Load(filepath.Join("testdata", file), Options{})
			if err == nil || !strings.Contains(err.Error(), `operation "getPetById": the security scheme "api_key" is of type "apiKey"`) {
				t.Errorf("without security_scheme: got %v", err)
			}
		})
	}
}

// head is a document whose paths begin in line 3.
const head = "openapi: 3.1.0\n" +
	"components: {securitySchemes: {o: {type: oauth2, flows: {clientCredentials: {tokenUrl: https://as.example/token, scopes: {r: '', w: '', x: ''}}}}, c: {type: openIdConnect, openIdConnectUrl: https://as.example}, k: {type: apiKey, in: header, name: k}, b: {type: http, scheme: bearer}, p: {type: http, scheme: basic}, m: {type: mutualTLS}}}\n"

func TestSecurity(t *testing.T) {
	tests := []struct {
		name, security string
		opts           Options
		want           string // requirement, or a part of the error
	}{
		{"one scope", "[{o: [r]}]", Options{}, "r"},
		{"all of several scopes", "[{o: [r, w]}]", Options{}, "r and w"},
		{"alternatives", "[{o: [r, w]}, {o: [x]}]", Options{}, "(r and w) or x"},
		{"two schemes at once", "[{o: [r], c: [e]}]", Options{}, "r and e"},
		{"a scheme without scopes", "[{o: []}]", Options{}, "authenticated"},
		{"an alternative without scopes", "[{o: [r]}, {c: []}]", Options{}, "authenticated"},
		{"optional", "[{o: [r]}, {}]", Options{}, "public"},
		{"public", "[]", Options{}, "public"},
		{"prefix", "[{o: [r]}]", Options{Prefix: "role:"}, "role:r"},
		{"an API key", "[{k: []}]", Options{}, `"k" is of type "apiKey", which this gateway does not verify by default`},
		{"an API key beside a token", "[{k: [], o: [r]}]", Options{}, `"k" is of type "apiKey"`},
		{"an API key beside a token, left out", "[{k: [], o: [r]}]", Options{SecuritySchemes: []string{"o"}}, "r"},
		{"an API key or a token, left out", "[{k: []}, {o: [r]}]", Options{SecuritySchemes: []string{"o"}}, "r"},
		{"only an API key, left out", "[{k: []}]", Options{SecuritySchemes: []string{"o"}}, "nothing protects this operation"},
		{"a certificate", "[{m: []}]", Options{}, `"m" is of type "mutualTLS"`},
		{"another token scheme, left out", "[{c: [e]}]", Options{SecuritySchemes: []string{"o"}}, "nothing protects this operation"},
		{"bearer without its name", "[{b: []}]", Options{}, `"b" is of type "http"`},
		{"bearer", "[{b: []}]", Options{SecuritySchemes: []string{"b"}}, "authenticated"},
		{"basic", "[{p: []}]", Options{SecuritySchemes: []string{"p"}}, `security_scheme "p" is of type "http": this gateway verifies access tokens only`},
		{"an unknown scheme", "[{q: []}]", Options{}, `the security scheme "q" is not defined`},
		{"an unknown scheme, left out", "[{q: []}, {o: [r]}]", Options{SecuritySchemes: []string{"o"}}, `the security scheme "q" is not defined`},
		{"an option that names nothing", "[{o: [r]}]", Options{SecuritySchemes: []string{"oo"}}, "name one of those that it has: b, c, k, m, o, p"},
		{"a pattern as a scope", "[{o: ['^.*$']}]", Options{}, `the scope "^.*$" starts with ^`},
		{"null", "", Options{}, "security is not a list"},
		{"an object", "{o: [r]}", Options{}, "security is not a list"},
		{"a text for scopes", "[{o: r}]", Options{}, `"o" in security is not a list`},
		{"null for scopes", "[{o: }]", Options{}, `"o" in security is not a list`},
		{"null for a scope", "[{o: [null]}]", Options{}, "is not a text"},
		{"an empty scope", "[{o: ['']}]", Options{}, "is not a text"},
		{"null for a requirement", "[null]", Options{}, "is not an object"},
		{"a scheme twice", "[{o: [r], o: []}]", Options{}, `"o" twice`},
		{"an alias of scopes", "[{o: &s [r]}, {c: *s}]", Options{}, "r"},
		{"a merge key", "[{<<: {o: []}, c: [e]}]", Options{}, "merge key"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			api, err := load(t, head+"paths:\n  /a:\n    get:\n      operationId: op\n      security: "+test.security+"\n", test.opts)
			switch {
			case err != nil && !strings.Contains(err.Error(), test.want):
				t.Errorf("got %v, want %s", err, test.want)
			case err == nil && listed(t, api)[0] != "GET /a: "+test.want+" op":
				t.Errorf("got %s, want %s", listed(t, api)[0], test.want)
			}
		})
	}
}

func TestUnlisted(t *testing.T) {
	const paths = "paths:\n  /a:\n    get: {operationId: op}\n"
	for _, test := range []struct{ unlisted, top, want string }{
		{"", "", "denied"}, {Deny, "", "denied"}, {scopeexpr.Public, "", "public"}, {scopeexpr.Authenticated, "", "authenticated"},
		{"", "security: []\n", "denied"}, // it says no more than nothing
		{"", "security: [{o: [r]}]\n", "r"}, {scopeexpr.Public, "security: [{o: [r]}]\n", "r"}, {"", "security: [{}]\n", "public"},
	} {
		t.Run(test.unlisted+" "+test.top, func(t *testing.T) {
			api, err := load(t, head+test.top+paths, Options{Unlisted: test.unlisted})
			if err != nil {
				t.Fatal(err)
			}
			compare(t, listed(t, api), "GET /a: "+test.want+" op")
			if denied := api.Operations[0].Denied; denied != (test.want == "denied") {
				t.Errorf("got denied %t", denied)
			}
		})
	}
}

func TestUndeclaredScopeIsWarnedAbout(t *testing.T) {
	api, err := load(t, head+"paths:\n  /a:\n    get:\n      operationId: op\n      security:\n      - o: [r, typo]\n", Options{})
	if err != nil {
		t.Fatal(err)
	}
	if len(api.Warnings) != 1 {
		t.Fatalf("got %v, want one warning", api.Warnings)
	}
	w := api.Warnings[0]
	if w.Line != 8 || w.Operation != "op" || !strings.Contains(w.Reason, `the scope "typo" is not declared`) {
		t.Errorf("got %v", w)
	}
}

func TestPaths(t *testing.T) {
	tests := []struct {
		template, parameters string
		want                 string // the pattern, or a part of the error
	}{
		{"/", "", "/"},
		{"/users/{id}", "", "/users/?"},
		{"/users/{id}/", "", "/users/?/"},
		{"/users/{id}", "{name: id, in: path, schema: {type: string}}", "/users/?"},
		{"/users/{id}", `{name: id, in: path, schema: {pattern: '^\d+$'}}`, `/users/{^\d+$}`},
		{"/users/{id}", `{name: id, in: path, schema: {pattern: '^(a|b)-(\d+)$'}}`, `/users/{[ab]-[0-9]+}`},
		{"/users/{id}", `{name: id, in: path, schema: {pattern: '^[^/]+\/x$'}}`, `/users/{^[^\x2f]+\x2fx$}`},
		{"/users/{id}", `{name: id, in: path, schema: {pattern: '^(?!admin).*$'}}`, `/users/{^(?!admin).*$}`},
		{"/users/{id}", `{name: id, in: path, schema: {pattern: '^(?!admin)(a|b)$'}}`, "has look-around and groups"},
		{"/users/{id}", `{name: id, in: path, schema: {pattern: '('}}`, "cannot be used"},
		{"/users/{id}", "{name: id, in: path, schema: {enum: [me, a.b, 3]}}", `/users/{me|a\.b|3}`},
		{"/users/{id}", "{name: id, in: path, schema: {const: me}}", `/users/{me}`},
		{"/users/{id}", "{name: id, in: path, schema: {enum: [[1]]}}", "is not a text"},
		{"/users/{id}", "{name: id, in: path, schema: {enum: []}}", "/users/?"},
		{"/users/{id}", "{name: id, in: query, schema: {enum: [me]}}", "/users/?"},
		{"/files/{name}.{ext}", "", `/files/{(.+)\.(.+)}`},
		{"/files/{name}.{ext}", "{name: ext, in: path, schema: {pattern: '^js(on)?$'}}", `/files/{(.+)\.((?:js(?:on)?))}`},
		{"/files/{name}.{ext}", "{name: ext, in: path, schema: {pattern: 'a$|^b'}}", `/files/{(.+)\.((?:a|b))}`},
		{"/files/{name}.{ext}", "{name: ext, in: path, schema: {pattern: 'a(^b)c'}}", "has an anchor inside"},
		{"/v1/{name}:cancel", "", "/v1/{(.+):cancel}"},
		{"/v1/{+name}", "", "/v1/??"},
		{"/v1/{proxy+}", "", "/v1/??"},
		{"/v1/{p}", "{name: p, in: path, x-gluu-slashes: true}", "/v1/??"},
		{"/v1/{p}", "{name: p, in: path, x-ms-skip-url-encoding: true}", "/v1/??"},
		{"/v1/{p}", "{name: p, in: path, allowReserved: true}", "/v1/??"},
		{"/v1/{+a}/{+b}", "", "second ??"},
		{"/v1/{+a}.x", "", "may contain slashes, but is only a part"},
		{"/a%20b/c", "", "/a b/c"},
		{"/a%2Fb", "", "encoded character"},
		{"/a%zz", "", "invalid URL escape"},
		{"/a?x=1", "", "has a query or a fragment"},
		{"/a#b", "", "has a query or a fragment"},
		{"/a//b", "", "empty element"},
		{"a", "", "does not start with a slash"},
		{"/{a", "", "do not match"}, {"/a}", "", "do not match"}, {"/{}", "", "do not match"}, {"/{a{b}}", "", "do not match"}, {"/{a/b}", "", "do not match"},
	}
	for _, test := range tests {
		t.Run(test.template+" "+test.parameters, func(t *testing.T) {
			api, err := load(t, fmt.Sprintf("%spaths:\n  %q:\n    get:\n      operationId: op\n      parameters: [%s]\n      security: [{o: [r]}]\n", head, test.template, test.parameters), Options{})
			switch {
			case err != nil && (!strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), `openapi.yaml:`) || !strings.Contains(err.Error(), `"op"`)):
				t.Errorf("got %v, want %s", err, test.want)
			case err == nil && api.Operations[0].Pattern != test.want:
				t.Errorf("got %s, want %s", api.Operations[0].Pattern, test.want)
			}
		})
	}
}

func TestParametersOfAnOperationWinOverThoseOfItsPath(t *testing.T) {
	api, err := load(t, head+"paths:\n  /{p}:\n    parameters: [{name: p, in: path, schema: {enum: [a]}}]\n"+
		"    get: {security: [{o: [r]}]}\n    put: {security: [{o: [r]}], parameters: [{name: p, in: path, schema: {enum: [b]}}]}\n", Options{})
	if err != nil {
		t.Fatal(err)
	}
	compare(t, listed(t, api), "GET /{a}: r GET /{p}\nPUT /{b}: r PUT /{p}")
}

func TestOwnScopesReplaceThoseOfTheDocument(t *testing.T) {
	for _, test := range []struct{ scopes, want string }{
		{`["^todos:(?<PC1>.+)$"]`, `GET /todos/?: ^todos:(?<PC1>.+)$ op`},
		{`[a, b]`, `GET /todos/?: a and b op`},
		{`["^todos:(?<PC2>.+)$"]`, "PC2"},
		{`[]`, "is not a list of texts"}, {`a`, "is not a list of texts"}, {`[null]`, "is not a list of texts"}, {`[[a]]`, "is not a list of texts"},
	} {
		t.Run(test.scopes, func(t *testing.T) {
			api, err := load(t, head+"paths:\n  /todos/{name}:\n    get:\n      operationId: op\n      security: []\n      x-gluu-scopes: "+test.scopes+"\n", Options{Prefix: "p:"})
			switch {
			case err != nil && (!strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), `operation "op"`)):
				t.Errorf("got %v, want %s", err, test.want)
			case err == nil && listed(t, api)[0] != test.want:
				t.Errorf("got %s, want %s", listed(t, api)[0], test.want)
			}
		})
	}
}

func TestBasePath(t *testing.T) {
	const path = "paths: {/a: {get: {security: [{o: [r]}]}}}\n"
	tests := []struct{ name, servers, option, want string }{
		{"no servers", "", "", "/a"},
		{"one", "servers: [{url: https://api.example/v1/}]\n", "", "/v1/a"},
		{"relative to the host", "servers: [{url: /v1}]\n", "", "/v1/a"},
		{"two that agree", "servers: [{url: https://a.example/v1}, {url: https://b.example/v1/}]\n", Servers, "/v1/a"},
		{"two that differ", "servers: [{url: https://a.example/v1}, {url: https://b.example/v2}]\n", "", "the servers have different paths"},
		{"a variable in the host", "servers: [{url: 'https://{r}.example/v1', variables: {r: {default: eu, enum: [eu, us]}}}]\n", "", "/v1/a"},
		{"a variable for the whole address", "servers: [{url: '{root}/v1', variables: {root: {default: 'https://x.example'}}}]\n", "", "/v1/a"},
		{"a variable in the path", "servers: [{url: 'https://x.example/{v}', variables: {v: {default: v1}}}]\n", "", "/v1/a"},
		{"a variable in the path with several values", "servers: [{url: 'https://x.example/{v}', variables: {v: {default: v1, enum: [v1, v2]}}}]\n", "", "depends on its variables"},
		{"an unknown variable", "servers: [{url: 'https://x.example/{v}'}]\n", "", "not a plain path"},
		{"relative to the document", "servers: [{url: v1}]\n", "", "relative to where the document is published"},
		{"none", "servers: [{url: https://a.example/v1}]\n", None, "/a"},
		{"a path", "servers: [{url: https://a.example/v1}]\n", "/x/", "/x/a"},
		{"not a path", "", "x", "base_path must be"}, {"a pattern", "", "/?", "base_path"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			api, err := load(t, head+test.servers+path, Options{BasePath: test.option})
			switch {
			case err != nil && !strings.Contains(err.Error(), test.want):
				t.Errorf("got %v, want %s", err, test.want)
			case err == nil && api.Operations[0].Pattern != test.want:
				t.Errorf("got %s, want %s", api.Operations[0].Pattern, test.want)
			}
		})
	}
	api, err := load(t, head+"servers: [{url: /v1}]\npaths:\n  /a: {servers: [{url: /v2}], get: {security: []}, put: {security: [], servers: [{url: /v3}]}}\n  /b: {get: {security: []}}\n", Options{})
	if err != nil {
		t.Fatal(err)
	}
	compare(t, listed(t, api), "GET /v2/a: public GET /a\nPUT /v3/a: public PUT /a\nGET /v1/b: public GET /b")
}

// What cannot be a rule is refused with file, line and reason.
func TestRefused(t *testing.T) {
	tests := []struct{ name, document, want string }{
		{"empty", "", "the file is empty"},
		{"broken YAML", "a: b\nc: [}\n", "openapi.yaml:2: "},
		{"two documents", "openapi: 3.0.0\n---\nopenapi: 3.0.0\n", "several YAML documents"},
		{"something else", "a: b\n", ":1: this is not an OpenAPI document"},
		{"an old version", "swagger: '1.2'\n", `:1: the version "1.2" is not supported`},
		{"a new version", "openapi: 4.0.0\n", `:1: the version "4.0.0" is not supported`},
		{"both versions", "openapi: 3.0.0\nswagger: '2.0'\n", "both swagger and openapi"},
		{"no paths", head, "the document has no paths"},
		{"null paths", head + "paths:\n", ":3: paths is not an object"},
		{"no operations", head + "paths:\n  /a: {}\n", "the document has no operations"},
		{"a path twice", head + "paths:\n  /a: {get: {}}\n  /a: {get: {security: []}}\n", `:5: paths has "/a" twice, also in line 4`},
		{"a method twice", head + "paths:\n  /a:\n    get: {}\n    get: {}\n", `:6: the path "/a" has "get" twice`},
		{"an operation that is a text", head + "paths:\n  /a:\n    get: x\n", ":5: get is not an object"},
		{"one rule of two operations", head + "paths:\n  /a/{b}:\n    get: {operationId: one}\n  /a/{c}:\n    get: {operationId: two}\n", `:7: operation "two": GET "/a/{c}" and "/a/{b}" in line 5 are one rule, /a/?`},
		{"a reference to the network", head + "paths:\n  /a:\n    $ref: https://api.example/a.yaml\n", ":5: $ref \"https://api.example/a.yaml\": the network is never used"},
		{"a reference to another host", head + "paths:\n  /a:\n    $ref: //api.example/a.yaml\n", "the network is never used"},
		{"a reference out of the folder", head + "paths:\n  /a:\n    $ref: ../a.yaml\n", ":5: $ref \"../a.yaml\": files outside the folder"},
		{"an escaped reference out of the folder", head + "paths:\n  /a:\n    $ref: x/%2e%2e/../a.yaml\n", "files outside the folder"},
		{"an absolute reference", head + "paths:\n  /a:\n    $ref: /etc/passwd\n", "relative to this document"},
		{"a reference to a missing file", head + "paths:\n  /a:\n    $ref: a.yaml\n", ":5: $ref \"a.yaml\": "},
		{"a reference to nothing", head + "paths:\n  /a:\n    $ref: '#/paths/~1b'\n", `there is no "/b" in what it points to`},
		{"a reference to itself", head + "paths:\n  /a:\n    $ref: '#/paths/~1a'\n", "leads in a circle"},
		{"a reference with neighbours", head + "paths:\n  /a:\n    $ref: '#/paths/~1b'\n    get: {}\n  /b: {}\n", `a $ref and "get" beside it`},
		{"an alias within itself", head + "paths:\n  /a:\n    get:\n      parameters: &p [*p]\n", ":6:"},
		{"a server within itself", head + "servers: &s [{variables: *s}]\npaths: {/a: {get: {}}}\n", "nested too deeply"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := load(t, test.document, Options{})
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %s", err, test.want)
			}
		})
	}
}

// A small document must not become a large one.
func TestSec_AliasesAreBounded(t *testing.T) {
	var b strings.Builder
	b.WriteString("openapi: 3.1.0\nx0: &x0 {a: 1}\n")
	for i := range 30 {
		fmt.Fprintf(&b, "x%d: &x%d {a: *x%d, b: *x%d}\n", i+1, i+1, i, i)
	}
	b.WriteString("servers: [{variables: *x30}]\npaths: {/a: {get: {}}}\n")
	if _, err := load(t, b.String(), Options{}); err == nil || !strings.Contains(err.Error(), "too large") && !strings.Contains(err.Error(), "too deeply") {
		t.Errorf("got %v", err)
	}
}

func TestFilesBesideTheDocument(t *testing.T) {
	folder := t.TempDir()
	if err := os.MkdirAll(filepath.Join(folder, "parts"), 0o700); err != nil {
		t.Fatal(err)
	}
	main := filepath.Join(folder, "openapi.yaml")
	write(t, main, "openapi: 3.0.0\npaths:\n  /users/{id}: {$ref: parts/users.yaml}\ncomponents:\n  securitySchemes: {o: {$ref: 'parts/schemes.json#/o'}}\n")
	write(t, filepath.Join(folder, "parts", "users.yaml"), "parameters:\n  - $ref: 'parameters.yaml#/id'\nget:\n  operationId: getUser\n  security: [{o: [read]}]\nput:\n  operationId: putUser\n  security: [{q: [read]}]\n")
	write(t, filepath.Join(folder, "parts", "parameters.yaml"), "id: {name: id, in: path, schema: {$ref: '../openapi.yaml#/x-id'}}\n")
	write(t, filepath.Join(folder, "parts", "schemes.json"), `{"o": {"type": "oauth2", "flows": {"password": {"scopes": {"read": ""}}}}}`)
	_, err := Load(main, Options{})
	if err == nil || !strings.Contains(err.Error(), `there is no "x-id"`) || !strings.Contains(err.Error(), filepath.Join("parts", "parameters.yaml")+":1") {
		t.Errorf("got %v", err)
	}
	write(t, main, "openapi: 3.0.0\nx-id: {enum: [me]}\npaths:\n  /users/{id}: {$ref: parts/users.yaml}\ncomponents:\n  securitySchemes: {o: {$ref: 'parts/schemes.json#/o'}}\n")
	_, err = Load(main, Options{})
	if err == nil || !strings.Contains(err.Error(), filepath.Join("parts", "users.yaml")+`:8: operation "putUser": the security scheme "q" is not defined`) {
		t.Errorf("got %v", err)
	}
	write(t, filepath.Join(folder, "parts", "users.yaml"), "parameters:\n  - $ref: 'parameters.yaml#/id'\nget:\n  operationId: getUser\n  security: [{o: [read]}]\n")
	api, err := Load(main, Options{})
	if err != nil {
		t.Fatal(err)
	}
	compare(t, listed(t, api), "GET /users/{me}: read getUser")
	if len(api.Files) != 4 || api.Files[0] != main {
		t.Errorf("got the files %q", api.Files)
	}
}

// A link in the folder must not lead to files that the operator did not mean.
func TestSec_LinksOutOfTheFolderAreNotFollowed(t *testing.T) {
	folder, elsewhere := t.TempDir(), filepath.Join(t.TempDir(), "secret.yaml")
	write(t, elsewhere, "get: {security: []}\n")
	if err := os.Symlink(elsewhere, filepath.Join(folder, "a.yaml")); err != nil {
		t.Skipf("NOT TESTED: links that lead out of the folder: this machine makes none: %v", err)
	}
	main := filepath.Join(folder, "openapi.yaml")
	write(t, main, "openapi: 3.0.0\npaths:\n  /a: {$ref: a.yaml}\n")
	if api, err := Load(main, Options{}); err == nil {
		t.Errorf("got %v", api.Operations)
	}
}

// Mistakes in what has no bearing on rules do not matter.
func TestTheRestOfTheDocumentDoesNotMatter(t *testing.T) {
	api, err := load(t, head+"paths:\n  /a:\n    get:\n      security: [{o: [r]}]\n      responses: {'200': {content: {x: {schema: {$ref: https://x.example/y}}}}}\n      requestBody: {$ref: '#/nothing'}\n      callbacks: {x: {y: 3}}\nwebhooks: {x: 1}\n", Options{})
	if err != nil {
		t.Fatal(err)
	}
	compare(t, listed(t, api), "GET /a: r GET /a")
}
