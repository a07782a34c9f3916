// SPDX-License-Identifier: Apache-2.0

package caddyoauth

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/caddy-gluu/gateway/internal/caddytest"
)

const describing = `
	gluu_resource_metadata {
		resource https://api.example.com/v1
	}
	gluu_oauth_auth /v1/* {
		consumer_mapping false
	}
	gluu_oauth_pep /v1/* {
		path /v1/todos {
			GET  scope todos:read
			POST scope todos:write or admin
		}
	}
	reverse_proxy {upstream}
`

// described is the metadata of the configuration above.
const described = `{"resource":"https://api.example.com/v1","authorization_servers":["%s"],"scopes_supported":["admin","todos:read","todos:write"],` +
	`"bearer_methods_supported":["header"],"dpop_signing_alg_values_supported":[%s]}`

func TestTheMetadataOfAResource(t *testing.T) {
	g := start(t, "", describing)
	for _, path := range []string{wellKnown, wellKnown + "/v1"} {
		// Nothing that a client says finds its way into the document.
		a := g.get(path, "", "X-Forwarded-Host: evil.example", "Forwarded: host=evil.example;proto=http", "X-Original-URL: /evil", "X-Forwarded-Prefix: /evil")
		if a.status != http.StatusOK || a.header.Get("Content-Type") != "application/json" ||
			a.header.Get("Access-Control-Allow-Origin") != "*" || a.header.Get("Cache-Control") != "public, max-age=300" {
			t.Errorf("%s: status %d, %v", path, a.status, a.header)
		}
		_, after, _ := strings.Cut(a.body, `"dpop_signing_alg_values_supported":[`)
		algorithms, _, _ := strings.Cut(after, "]")
		if want := fmt.Sprintf(described, g.auth.URL, algorithms); a.body != want || !strings.Contains(algorithms, `"ES256"`) || strings.Contains(algorithms, "HS") {
			t.Errorf("%s:\n got %s\nwant %s", path, a.body, want)
		}
		if again := g.get(path, "", "If-None-Match: "+a.header.Get("ETag")); again.status != http.StatusNotModified {
			t.Errorf("%s: with its ETag: status %d", path, again.status)
		}
		if head := g.request("HEAD", path, ""); head.status != http.StatusOK || head.body != "" {
			t.Errorf("%s: HEAD: status %d", path, head.status)
		}
	}
}

// A client of the Model Context Protocol knows the address of the API and
// nothing else. What it does from there, step by step.
func TestAClientFindsItsWayFromTheFirstRefusal(t *testing.T) {
	g := start(t, "", "respond ok")
	g.load("", strings.ReplaceAll(describing, "https://api.example.com/v1", "http://"+g.address+"/v1"))
	a := g.get("/v1/todos", "", "X-Forwarded-Host: evil.example")
	challenge := a.header.Get("WWW-Authenticate")
	want := `resource_metadata="http://` + g.address + wellKnown + `/v1"`
	if a.status != http.StatusUnauthorized || !strings.Contains(challenge, want) {
		t.Fatalf("status %d, challenge %s, want %s in it", a.status, challenge, want)
	}
	address, err := url.Parse(strings.TrimSuffix(strings.TrimPrefix(want, `resource_metadata="`), `"`))
	if err != nil || address.Host != g.address {
		t.Fatal(address, err)
	}
	if a := g.get(address.Path, ""); a.status != http.StatusOK || !strings.Contains(a.body, `"resource":"http://`+g.address+`/v1"`) {
		t.Errorf("the metadata that the challenge names: status %d %s", a.status, a.body)
	}
	// Other refusals point to it too.
	g.auth.issue("weak", claims("app", "other"))
	if a := g.get("/v1/todos", "weak"); a.status != http.StatusForbidden || !strings.Contains(a.header.Get("WWW-Authenticate"), want) {
		t.Errorf("without the scope: status %d, %s", a.status, a.header.Get("WWW-Authenticate"))
	}
	if a := g.get("/v1/todos", "junk"); a.status != http.StatusUnauthorized || !strings.Contains(a.header.Get("WWW-Authenticate"), want) {
		t.Errorf("with an invalid token: status %d, %s", a.status, a.header.Get("WWW-Authenticate"))
	}
}

func TestWhatIsNotTheMetadataIsPassedOn(t *testing.T) {
	g := start(t, "", describing)
	for _, request := range []string{
		"POST " + wellKnown, "GET " + wellKnown + "/", "GET " + wellKnown + "/v2", "GET " + wellKnown + "/v1/x", "GET " + wellKnown + "x",
		"GET /x" + wellKnown, "OPTIONS " + wellKnown,
	} {
		method, target, _ := strings.Cut(request, " ")
		a := g.request(method, target, "", "X-Authenticated-Userid: forged", "Content-Length: 0")
		if a.status != http.StatusOK || a.receivedTarget() != target || len(a.received("X-Authenticated-Userid")) > 0 {
			t.Errorf("%s: status %d, %q", request, a.status, a.body)
		}
	}
	a := g.request("OPTIONS", wellKnown, "", "Origin: https://inspector.example", "Access-Control-Request-Method: GET", "Access-Control-Request-Headers: mcp-protocol-version")
	if a.status != http.StatusNoContent || a.header.Get("Access-Control-Allow-Origin") != "*" || a.header.Get("Access-Control-Allow-Headers") != "*" {
		t.Errorf("preflight: status %d, %v", a.status, a.header)
	}
}

func TestWhatAResourceSaysAboutItself(t *testing.T) {
	t.Setenv("GLUU_TEST_RESOURCE", "https://api.example.com")
	g := start(t, "", "respond ok")
	g.load(fmt.Sprintf(provider, g.auth.URL)+`
		provider second {
			issuer https://as.example.com
			verify jwt
			audience api
		}`, `
		gluu_resource_metadata {
			resource {env.GLUU_TEST_RESOURCE}
			provider second default
			provider second
			scopes b a
			scopes c
			resource_name "The API"
			resource_documentation https://developers.example.com/
			jwks_uri https://api.example.com/keys
		}
		gluu_oauth_auth
		gluu_oauth_pep {
			path / {
				GET scope not-named
			}
		}`)
	a := g.get(wellKnown, "")
	before, _, _ := strings.Cut(a.body, `,"dpop_`)
	want := `{"resource":"https://api.example.com","authorization_servers":["https://as.example.com","` + g.auth.URL + `"],"jwks_uri":"https://api.example.com/keys",` +
		`"scopes_supported":["b","a","c"],"bearer_methods_supported":["header"],"resource_name":"The API","resource_documentation":"https://developers.example.com/"`
	if before != want {
		t.Errorf(" got %s\nwant %s", before, want)
	}
	if challenge := g.get("/", "").header.Get("WWW-Authenticate"); !strings.Contains(challenge, `resource_metadata="https://api.example.com`+wellKnown+`"`) {
		t.Errorf("challenge %s", challenge)
	}
}

// All providers are named if none is, those in handlers too.
func TestAllIssuersAreNamed(t *testing.T) {
	g := start(t, "", "respond ok")
	g.load(`
		provider a {
			issuer https://a.example.com
			verify jwt
			audience api
		}
		`+fmt.Sprintf(provider, g.auth.URL), `
		gluu_resource_metadata {
			resource https://api.example.com
		}
		gluu_oauth_auth /own {
			issuer https://own.example.com
			verify jwt
			audience api
		}
		gluu_oauth_auth /other`)
	body := g.get(wellKnown, "").body
	if want := `"authorization_servers":["` + g.auth.URL + `","https://a.example.com","https://own.example.com"]`; !strings.Contains(body, want) {
		t.Errorf("got %s, want %s", body, want)
	}
}

func TestWrongMetadataIsRefused(t *testing.T) {
	for option, want := range map[string]string{
		"":                                     "write 'resource https://api.example.com'",
		"resource":                             "exactly one value",
		"resource api.example.com":             "write 'https://...'",
		"resource http://api.example.com":      "not protected",
		"resource https://api.example.com#x":   "fragment",
		"resource https://api.example.com?x=1": "query",
		"resource https://u:p@api.example.com": "password",
		"resource https://a.example\nresource https://b.example":                 "is set twice",
		"resource https://a.example\nscopes \"a b\"":                             "a scope has no spaces",
		"resource https://a.example\nscopes":                                     "one or more values",
		"resource https://a.example\nservers https://as.example":                 `there is no "servers"`,
		"resource https://a.example\njwks_uri /keys":                             `jwks_uri "/keys" is not a URL`,
		"resource https://a.example\nresource_documentation javascript:alert(1)": "is not a URL",
	} {
		line := 3 + strings.Count(option, "\n") // the last one is wrong
		if option == "" {
			line = 2 // all of it
		}
		_, err := caddytest.Adapt("http://x {\ngluu_resource_metadata {\n" + option + "\n}\n}")
		if err == nil || !strings.Contains(err.Error(), want) || !strings.HasSuffix(err.Error(), fmt.Sprintf("Caddyfile:%d", line)) {
			t.Errorf("%q: got %v, want %q and line %d", option, err, want, line)
		}
	}
	t.Setenv("GLUU_TEST_BAD", "http://api.example.com/{x}")
	g := start(t, "", "respond ok")
	for block, want := range map[string]string{
		"resource https://{http.request.host}/":      "not known when the configuration loads",
		"resource {env.GLUU_TEST_UNSET}":             "resolves to nothing",
		"resource {env.GLUU_TEST_BAD}":               "not protected",
		"resource https://a.example\nprovider other": `unknown provider "other"`,
	} {
		err := g.tryLoad("", "gluu_resource_metadata {\n"+block+"\n}")
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", block, err, want)
		}
	}
}

func TestAResourceWithASlashAtItsEnd(t *testing.T) {
	g := start(t, "", strings.ReplaceAll(describing, "/v1\n", "/v1/\n"))
	for _, path := range []string{wellKnown, wellKnown + "/v1", wellKnown + "/v1/"} {
		if a := g.get(path, ""); a.status != http.StatusOK || !strings.Contains(a.body, `"resource":"https://api.example.com/v1/"`) {
			t.Errorf("%s: status %d %s", path, a.status, a.body)
		}
	}
}

// With several resources on a site challenges point to that which the request
// is about, whatever the order.
func TestSeveralResourcesOnOneSite(t *testing.T) {
	const resource = "gluu_resource_metadata {\nresource https://api.example.com%s\nscopes x\n}\n"
	for _, paths := range [][]string{{"/a", "/a/deep", "/b/"}, {"/b/", "/a/deep", "/a"}} {
		var site strings.Builder
		for _, path := range paths {
			fmt.Fprintf(&site, resource, path)
		}
		g := start(t, "", site.String()+"handle_path /b/* {\ngluu_oauth_auth\n}\ngluu_oauth_auth\nreverse_proxy {upstream}\n")
		for target, want := range map[string]string{
			"/a": "/a", "/a/x": "/a", "/a/deep": "/a/deep", "/a/deep/x": "/a/deep", "/a/deeper": "/a", "/b/x": "/b/", "/b": "/b/", "/other": paths[0],
		} {
			got := g.get(target, "").header.Get("WWW-Authenticate")
			if !strings.HasSuffix(got, `resource_metadata="https://api.example.com`+wellKnown+want+`"`) {
				t.Errorf("resources in the order %q, %s: got %s, want the metadata of %s", paths, target, got, want)
			}
			if a := g.get(wellKnown+want, ""); a.status != http.StatusOK || !strings.Contains(a.body, `"resource":"https://api.example.com`+want+`"`) {
				t.Errorf("%s: status %d %s", want, a.status, a.body)
			}
		}
		if err := stop(); err != nil {
			t.Fatal(err)
		}
	}
}
