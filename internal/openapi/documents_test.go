// SPDX-License-Identifier: Apache-2.0

package openapi

import (
	"encoding/json"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-gluu/gateway/scopeexpr"
)

// Documents of the size and the habits of those that well-known APIs publish, in the
// words of this project. Parameters have an example, which requests use.

type published struct {
	name string
	opts Options
	base string // what the document says stands before its paths
	make func() object
	// refused is a part of the error with which the document is refused under the
	// default options, "" if it loads.
	refused string
	files   map[string]string // beside it
}

func param(name, example string, schema object) object {
	return object{"name": name, "in": "path", "required": true, "example": example, "schema": schema}
}

func str() object { return object{"type": "string"} }

// parameterOf2 is a parameter as version 2.0 writes it.
func parameterOf2(name, example string, more object) object {
	p := object{"name": name, "in": "path", "required": true, "type": "string", "x-example": example}
	maps.Copy(p, more)
	return p
}

func described(id string, security any) object {
	op := object{"operationId": id, "summary": "What " + id + " does", "responses": object{"200": object{
		"description": "Done", "content": object{"application/json": object{"schema": object{"$ref": "#/components/schemas/Thing"}}},
	}}}
	if security != nil {
		op["security"] = security
	}
	return op
}

func document3(version, server string, paths, schemes object) object {
	return object{
		"openapi": version, "info": object{"title": "An API", "version": "1"}, "servers": []object{{"url": server}}, "paths": paths,
		"components": object{"securitySchemes": schemes, "schemas": object{"Thing": object{"type": "object", "properties": object{"parent": object{"$ref": "#/components/schemas/Thing"}}}}},
	}
}

func oauth2(scopes ...string) object {
	declared := object{}
	for _, scope := range scopes {
		declared[scope] = "Allows " + scope
	}
	return object{"type": "oauth2", "flows": object{"authorizationCode": object{"authorizationUrl": "https://as.example/authorize", "tokenUrl": "https://as.example/token", "scopes": declared}}}
}

// resources are nouns, enough for some hundreds of operations.
func resources(n int) []string {
	var all []string
	for i := range n {
		all = append(all, fmt.Sprintf("%s%d", []string{"accounts", "orders", "hooks", "branches", "teams", "keys"}[i%6], i/6))
	}
	return all
}

var publishedDocuments = []published{
	{
		// A host of code repositories: no security anywhere, files by path.
		name: "code hosting", opts: Options{Unlisted: scopeexpr.Authenticated}, base: "",
		make: func() object {
			paths := object{"/repos/{owner}/{repo}/contents/{path}": object{
				"parameters": []object{param("owner", "octo", str()), param("repo", "hello", str()), {"name": "path", "in": "path", "x-gluu-slashes": true, "example": "src/main.go", "schema": str()}},
				"get":        described("contents/get", nil), "put": described("contents/put", nil),
			}}
			for _, r := range resources(100) {
				common := []object{param("owner", "octo", str()), param("repo", "hello", str())}
				paths["/repos/{owner}/{repo}/"+r] = object{"parameters": common, "get": described(r+"/list", nil), "post": described(r+"/create", nil)}
				paths["/repos/{owner}/{repo}/"+r+"/{id}"] = object{
					"parameters": append(common, param("id", "42", object{"type": "integer"})),
					"get":        described(r+"/get", nil), "patch": described(r+"/update", nil), "delete": described(r+"/delete", nil),
				}
			}
			return document3("3.0.3", "https://api.code.example", paths, object{})
		},
	},
	{
		// Payments: basic or bearer for all, said once at the top.
		name: "payments", opts: Options{SecuritySchemes: []string{"bearerAuth"}}, base: "/v1", refused: `"basicAuth" is of type "http"`,
		make: func() object {
			paths := object{}
			for _, r := range resources(90) {
				paths["/"+r] = object{"get": described("Get"+r, nil), "post": described("Post"+r, nil)}
				paths["/"+r+"/{id}"] = object{"parameters": []object{param("id", "ch_1a2b", object{"type": "string", "maxLength": 5000})}, "get": described("GetOne"+r, nil), "post": described("PostOne"+r, nil)}
				paths["/"+r+"/{id}/capture"] = object{"parameters": []object{param("id", "ch_1a2b", str())}, "post": described("Capture"+r, nil)}
			}
			d := document3("3.0.0", "https://api.pay.example/v1/", paths, object{"basicAuth": object{"type": "http", "scheme": "basic"}, "bearerAuth": object{"type": "http", "scheme": "bearer"}})
			d["security"] = []object{{"basicAuth": []string{}}, {"bearerAuth": []string{}}}
			return d
		},
	},
	{
		// A cluster's API of version 2.0: its tokens are described as an API key, which
		// no option can change.
		name: "cluster", opts: Options{SecuritySchemes: []string{"BearerToken"}}, refused: `"BearerToken" is of type "apiKey"`,
		make: func() object {
			paths := object{}
			for _, r := range resources(120) {
				paths["/apis/apps/v1/namespaces/{namespace}/"+r+"/{name}"] = object{
					"parameters": []object{parameterOf2("namespace", "default", nil), parameterOf2("name", "web", nil)},
					"get":        described("read"+r, nil), "put": described("replace"+r, nil), "delete": described("delete"+r, nil),
				}
			}
			return object{"swagger": "2.0", "info": object{"title": "Cluster", "version": "v1"}, "paths": paths, "security": []object{{"BearerToken": []string{}}},
				"securityDefinitions": object{"BearerToken": object{"type": "apiKey", "in": "header", "name": "authorization"}}}
		},
	},
	{
		// Documents in a drive: many alternatives, each for two schemes at once, custom
		// methods after a colon, names with slashes.
		name: "drive", base: "",
		make: func() object {
			scopes := []string{"https://auth.drive.example/drive", "https://auth.drive.example/drive.file", "https://auth.drive.example/drive.readonly"}
			some := func(n int) []object {
				var alternatives []object
				for _, scope := range scopes[:n] {
					alternatives = append(alternatives, object{"Oauth2": []string{scope}, "Oauth2c": []string{scope}})
				}
				return alternatives
			}
			paths := object{}
			for _, r := range resources(80) {
				id := []object{param("fileId", "f1", str())}
				paths["/drive/v3/"+r] = object{"get": described(r+".list", some(3)), "post": described(r+".create", some(2))}
				paths["/drive/v3/"+r+"/{fileId}"] = object{"parameters": id, "get": described(r+".get", some(3)), "delete": described(r+".delete", some(1))}
				paths["/drive/v3/"+r+"/{fileId}:restore"] = object{"parameters": id, "post": described(r+".restore", some(2))}
				paths["/v1/"+r+"/{+name}"] = object{"parameters": []object{param("name", "projects/p/locations/l", str())}, "get": described(r+".names", some(1))}
			}
			return document3("3.0.0", "https://www.drive.example/", paths, object{"Oauth2": oauth2(scopes...), "Oauth2c": oauth2(scopes...)})
		},
	},
	{
		// A social network: the application's token, or the user's with scopes, or a
		// signed request.
		name: "social", opts: Options{SecuritySchemes: []string{"OAuth2UserToken"}}, base: "", refused: `of type "http"`,
		make: func() object {
			paths := object{}
			user := func(scopes ...string) []object {
				return []object{{"BearerToken": []string{}}, {"OAuth2UserToken": scopes}, {"UserToken": []string{}}}
			}
			for _, r := range resources(60) {
				paths["/2/"+r+"/{id}"] = object{"parameters": []object{param("id", "2244994945", object{"type": "string", "pattern": "^[0-9]{1,19}$"})}, "get": described("find"+r, user("posts.read", "users.read"))}
				paths["/2/users/{id}/"+r] = object{"parameters": []object{param("id", "2244994945", object{"type": "string", "pattern": "^[0-9]{1,19}$"})},
					"get": described("usersId"+r, user("posts.read", "users.read", "follows.read")), "post": described("usersIdAdd"+r, []object{{"OAuth2UserToken": []string{"posts.write"}}, {"UserToken": []string{}}})}
			}
			return document3("3.0.0", "https://api.social.example", paths, object{
				"BearerToken": object{"type": "http", "scheme": "bearer"}, "UserToken": object{"type": "http", "scheme": "OAuth"},
				"OAuth2UserToken": oauth2("posts.read", "posts.write", "users.read", "follows.read"),
			})
		},
	},
	{
		// The management of a cloud, version 2.0: one scope for all, identifiers of
		// resources that have slashes.
		name: "cloud", base: "",
		make: func() object {
			paths := object{}
			for _, r := range resources(110) {
				common := []object{parameterOf2("subscriptionId", "s-1", nil), parameterOf2("group", "g1", object{"pattern": `^[-\w\._\(\)]+$`, "maxLength": 90})}
				paths["/subscriptions/{subscriptionId}/resourceGroups/{group}/providers/Cloud.Compute/"+r] = object{"parameters": common, "get": described(r+"_List", nil)}
				paths["/subscriptions/{subscriptionId}/resourceGroups/{group}/providers/Cloud.Compute/"+r+"/{name}"] = object{
					"parameters": append(common, parameterOf2("name", "vm-1", object{"pattern": "^[a-z][a-z0-9-]*$"})),
					"get":        described(r+"_Get", nil), "put": described(r+"_CreateOrUpdate", nil), "delete": described(r+"_Delete", nil),
				}
				paths["/{scope}/providers/Cloud.Insights/"+r] = object{"parameters": []object{parameterOf2("scope", "subscriptions/s/things/t", object{"x-ms-skip-url-encoding": true})}, "get": described(r+"_ByScope", nil)}
			}
			return object{"swagger": "2.0", "info": object{"title": "Cloud", "version": "2026-01-01"}, "host": "management.cloud.example", "schemes": []string{"https"}, "paths": paths,
				"security":            []object{{"cloud_auth": []string{"user_impersonation"}}},
				"securityDefinitions": object{"cloud_auth": object{"type": "oauth2", "flow": "implicit", "authorizationUrl": "https://login.cloud.example/authorize", "scopes": object{"user_impersonation": "impersonate your user account"}}}}
		},
	},
	{
		// A bank for third parties: one scheme for the party, another for its user.
		name: "bank", base: "/open-banking/v3.1/aisp",
		make: func() object {
			paths := object{}
			for _, r := range resources(40) {
				paths["/account-access-consents/"+r] = object{"post": described("Create"+r, []object{{"TPPOAuth2Security": []string{"accounts"}}})}
				paths["/accounts/{AccountId}/"+r] = object{"parameters": []object{param("AccountId", "22289", str())}, "get": described("GetAccounts"+r, []object{{"PSUOAuth2Security": []string{"accounts"}}})}
			}
			return document3("3.0.0", "/open-banking/v3.1/aisp", paths, object{"TPPOAuth2Security": oauth2("accounts"), "PSUOAuth2Security": oauth2("accounts")})
		},
	},
	{
		// A core network: the address of the server is a variable, types are in a file
		// beside it, and one half of the operations make the token optional.
		name: "telecom", base: "/nudm-sdm/v2",
		files: map[string]string{"CommonData.yaml": "components:\n  schemas:\n    Supi: {type: string, pattern: '^(imsi-[0-9]{5,15}|nai-.+|gci-.+|gli-.+|.+)$'}\n    Dnn: {type: string}\n"},
		make: func() object {
			paths := object{}
			for i, r := range resources(70) {
				security := []object{{"oAuth2ClientCredentials": []string{"nudm-sdm"}}, {"oAuth2ClientCredentials": []string{"nudm-sdm", "nudm-sdm:" + r + ":read"}}}
				if i%2 == 0 {
					security = append([]object{{}}, security...)
				}
				paths["/{supi}/"+r] = object{"get": object{"operationId": "Get" + r, "security": security, "parameters": []object{
					{"name": "supi", "in": "path", "required": true, "example": "imsi-001010000000001", "schema": object{"$ref": "CommonData.yaml#/components/schemas/Supi"}},
				}}}
			}
			d := document3("3.0.0", "{apiRoot}/nudm-sdm/v2", paths, object{"oAuth2ClientCredentials": object{"type": "oauth2", "flows": object{"clientCredentials": object{"tokenUrl": "{nrfApiRoot}/oauth2/token", "scopes": object{"nudm-sdm": "Access"}}}}})
			d["servers"].([]object)[0]["variables"] = object{"apiRoot": object{"default": "https://example.com"}}
			return d
		},
	},
	{
		// Health records: OpenID Connect, patterns without anchors, operations with a $.
		name: "health", base: "/fhir/R4",
		make: func() object {
			paths := object{}
			for _, r := range resources(90) {
				id := []object{param("id", "a-1.b", object{"type": "string", "pattern": `[A-Za-z0-9\-\.]{1,64}`})}
				read, write := []object{{"smart": []string{"system/" + r + ".read"}}}, []object{{"smart": []string{"system/" + r + ".write"}}}
				paths["/"+r] = object{"get": described("search"+r, read), "post": described("create"+r, write)}
				paths["/"+r+"/_search"] = object{"post": described("searchByPost"+r, read)}
				paths["/"+r+"/{id}"] = object{"parameters": id, "get": described("read"+r, read), "put": described("update"+r, write)}
				paths["/"+r+"/{id}/$everything"] = object{"parameters": id, "get": described("everything"+r, []object{{"smart": []string{"system/" + r + ".read", "system/*.read"}}})}
				paths["/"+r+"/{id}/_history/{vid}"] = object{"parameters": append(id, param("vid", "3", str())), "get": described("vread"+r, read)}
			}
			return document3("3.1.0", "https://ehr.example/fhir/R4", paths, object{"smart": object{"type": "openIdConnect", "openIdConnectUrl": "https://ehr.example/.well-known/openid-configuration"}})
		},
	},
	{
		// A shop: formats as suffixes, versions and kinds as enumerations.
		name: "shop", opts: Options{Prefix: "shop:"}, base: "/admin/api",
		make: func() object {
			paths := object{}
			for _, r := range resources(80) {
				version := param("version", "2026-07", object{"enum": []string{"2026-04", "2026-07", "unstable"}})
				paths["/{version}/"+r+".json"] = object{"parameters": []object{version}, "get": described(r+"_list", []object{{"oauth": []string{"read_" + r}}}), "post": described(r+"_create", []object{{"oauth": []string{"read_" + r, "write_" + r}}})}
				paths["/{version}/"+r+"/{id}.json"] = object{"parameters": []object{version, param("id", "632910392", object{"type": "integer"})},
					"get": described(r+"_get", []object{{"oauth": []string{"read_" + r}}}), "head": described(r+"_head", []object{}), "options": described(r+"_options", []object{{"oauth": []string{}}})}
			}
			return document3("3.1.1", "/admin/api/", paths, object{"oauth": oauth2()})
		},
	},
}

// reading is what the standard says about an operation.
type reading struct {
	method, path string
	public       bool
	denied       bool
	alternatives [][]string // of scopes; one that is empty takes any token
}

// readings reads a document as plain maps, without the loader.
func (p *published) readings(t *testing.T, content []byte) map[string]reading {
	t.Helper()
	var d object
	if err := json.Unmarshal(content, &d); err != nil {
		t.Fatal(err)
	}
	out := make(map[string]reading)
	for template, item := range d["paths"].(object) {
		for method, value := range item.(object) {
			if method == "parameters" {
				continue
			}
			op := value.(object)
			r := reading{method: strings.ToUpper(method), path: p.base + filled(template, op, item.(object))}
			security, said := op["security"].([]any)
			if !said {
				security, said = d["security"].([]any)
			}
			r.public = said && len(security) == 0
			for _, alternative := range security {
				p.read(&r, alternative.(object))
			}
			if !said {
				r.denied = p.opts.Unlisted == ""
				r.alternatives = [][]string{{}}
			}
			out[op["operationId"].(string)] = r
		}
	}
	return out
}

// read adds an alternative, of which schemes that are left out count as given.
func (p *published) read(r *reading, alternative object) {
	if len(alternative) == 0 {
		r.public = true
		return
	}
	var scopes []string
	ours := false
	for scheme, needed := range alternative {
		if len(p.opts.SecuritySchemes) > 0 && !slices.Contains(p.opts.SecuritySchemes, scheme) {
			continue
		}
		ours = true
		for _, scope := range needed.([]any) {
			if s := p.opts.Prefix + scope.(string); !slices.Contains(scopes, s) {
				scopes = append(scopes, s)
			}
		}
	}
	if ours {
		r.alternatives = append(r.alternatives, scopes)
	}
}

// filled puts the examples into a template.
func filled(template string, op, item object) string {
	for _, list := range []any{op["parameters"], item["parameters"]} {
		parameters, _ := list.([]any)
		for _, p := range parameters {
			name := p.(object)["name"].(string)
			example, ok := p.(object)["example"].(string)
			if !ok {
				example = p.(object)["x-example"].(string)
			}
			template = strings.NewReplacer("{"+name+"}", example, "{+"+name+"}", example).Replace(template)
		}
	}
	return template
}

// For each operation a request with exactly its scopes passes, and one with a scope
// less does not.
func TestPublishedDocuments(t *testing.T) {
	for _, p := range publishedDocuments {
		t.Run(p.name, func(t *testing.T) {
			content, err := json.MarshalIndent(p.make(), "", "  ")
			if err != nil {
				t.Fatal(err)
			}
			folder := t.TempDir()
			file := filepath.Join(folder, "openapi.json")
			write(t, file, string(content))
			for name, content := range p.files {
				write(t, filepath.Join(folder, name), content)
			}
			if p.refused != "" {
				defaults := p.opts
				defaults.SecuritySchemes = nil
				_, err := Load(file, defaults)
				if err == nil || !strings.Contains(err.Error(), p.refused) || !strings.HasPrefix(err.Error(), file+":") {
					t.Errorf("by default: got %v, want %s", err, p.refused)
				}
			}
			api, err := Load(file, p.opts)
			if p.name == "cluster" {
				if err == nil || !strings.Contains(err.Error(), "this gateway verifies access tokens only") {
					t.Errorf("got %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			p.compare(t, api, p.readings(t, content))
		})
	}
}

func (p *published) compare(t *testing.T, api *API, want map[string]reading) {
	t.Helper()
	policy, err := api.Document.Compile(scopeexpr.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if len(api.Operations) != len(want) || len(want) < 70 {
		t.Errorf("got %d operations of %d", len(api.Operations), len(want))
	}
	checked := 0
	for name, r := range want {
		check := func(scopes []string, want bool) {
			t.Helper()
			checked++
			if got := decide(policy, r.method, r.path, scopes); got != want {
				t.Errorf("%s: %s %s with %q: got %t, want %t", name, r.method, r.path, scopes, got, want)
			}
		}
		if rule := policy.Find(r.method, r.path); rule == nil || rule.Operation() != name {
			t.Errorf("%s: no rule of its own for %s %s", name, r.method, r.path)
			continue
		}
		allows := func(scopes []string) bool {
			return !r.denied && slices.ContainsFunc(r.alternatives, func(needed []string) bool {
				return !slices.ContainsFunc(needed, func(s string) bool { return !slices.Contains(scopes, s) })
			})
		}
		check(nil, r.public)
		for _, scopes := range r.alternatives {
			check(append([]string{}, scopes...), r.public || !r.denied)
			for i := range scopes {
				less := slices.Delete(slices.Clone(scopes), i, i+1)
				check(less, r.public || allows(less))
			}
		}
	}
	t.Logf("%d operations, %d requests", len(want), checked)
}

// An API of 5,000 operations loads in a second.
func BenchmarkLoad5000(b *testing.B) {
	paths := object{}
	for i := range 2500 {
		security := []object{{"oauth": []string{fmt.Sprintf("scope%d", i%50)}}}
		paths[fmt.Sprintf("/things%d/{id}", i)] = object{"parameters": []object{param("id", "7", object{"pattern": "^[0-9]+$"})},
			"get": described(fmt.Sprintf("get%d", i), security), "put": described(fmt.Sprintf("put%d", i), security)}
	}
	content, err := json.MarshalIndent(document3("3.1.0", "/v1", paths, object{"oauth": oauth2()}), "", "  ")
	if err != nil {
		b.Fatal(err)
	}
	file := filepath.Join(b.TempDir(), "openapi.json")
	write(b, file, string(content))
	for b.Loop() {
		api, err := Load(file, Options{})
		if err != nil || len(api.Operations) != 5000 {
			b.Fatal(err)
		}
	}
}
