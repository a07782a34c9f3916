// SPDX-License-Identifier: Apache-2.0

package kongconfig_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"strings"
	"testing"
	"time"

	"github.com/caddy-gluu/gateway/e2e/harness"
	"github.com/caddy-gluu/gateway/internal/optest"
)

// peopleAndResources is a file with Gluu's plugins for people in a browser: OP, UMA
// and MORE stand for the two servers and for further fields of gluu-uma-pep.
const peopleAndResources = `_format_version: "1.1"
services:
- {name: demo-service, url: "http://UPSTREAM"}
routes:
- {name: demo-route, service: demo-service, paths: [/], strip_path: false}
plugins:
- name: gluu-openid-connect
  service: demo-service
  config:
    oxd_id: invented
    oxd_url: https://oxd.invalid:8443
    op_url: "OP"
    client_id: web
    client_secret: web-secret
    authorization_redirect_path: /callback
    logout_path: /logout
    post_logout_redirect_path_or_url: /goodbye
    requested_scopes: [openid, email, profile]
    max_id_token_age: 3600
    max_id_token_auth_age: 86400
- name: gluu-uma-pep
  service: demo-service
  run_on: first
  config:
    oxd_id: invented
    oxd_url: https://oxd.invalid:8443
    op_url: "UMA"
    client_id: gateway
    client_secret: gateway-secret
    deny_by_default: false
    obtain_rpt: true
    require_id_token: true
    MORE
    method_path_tree: "{}"
    uma_scope_expression: |
      [{"path": "/todos/??", "conditions": [{"httpMethods": ["GET"], "scope_expression": {"rule": {"and": [{"var": 0}]}, "data": ["todos:view"]}}]},
       {"path": "/page1", "conditions": [{"httpMethods": ["GET"]}]},
       {"path": "/page2", "conditions": [{"httpMethods": ["GET"]}]}]
- {name: gluu-metrics, service: demo-service}
`

// person is a person with a browser.
type person struct {
	t      testing.TB
	client *http.Client
	base   string
}

func newPerson(t testing.TB, address string) person {
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return person{t, &http.Client{Jar: jar, Timeout: 20 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}, "http://" + address}
}

// open opens a page, follows redirects, and returns the path at which they end.
func (p person) open(path string) (status int, at string) {
	p.t.Helper()
	req, err := http.NewRequest(http.MethodGet, p.base+path, nil)
	if err != nil {
		p.t.Fatal(err)
	}
	req.Header = http.Header{"Sec-Fetch-Mode": {"navigate"}, "Sec-Fetch-Dest": {"document"}, "Accept": {"text/html"}}
	res, err := p.client.Do(req)
	if err != nil {
		p.t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	_, _ = io.Copy(io.Discard, res.Body)
	return res.StatusCode, res.Request.URL.RequestURI()
}

// People log in, the gateway obtains their requesting party token, and they are
// sent to the authorization server if that wants to know more: the plugin's
// options obtain_rpt, pushed_claims_lua_exp and redirect_claim_gathering_url.
func TestGluuUMAForPeople(t *testing.T) {
	op := optest.New(t)
	op.User.Subject = "alice"
	server := harness.StartUMAServer(t, harness.UMAConfig{UserOf: op.SubjectOf})
	server.PutResource(harness.UMAResource{ID: "page-1", Name: "GET /page1", Scopes: []string{"page:read", "page:print"}})
	server.PutResource(harness.UMAResource{ID: "page-2", Name: "GET /page2", Scopes: []string{"page:edit"}})
	server.Allow("alice", "todos:view", "page:print")
	server.AskForClaims("alice", true)
	more := "pushed_claims_lua_exp: id_token\n    redirect_claim_gathering_url: true\n    claims_redirect_path: /claims-callback"
	file := strings.NewReplacer(`"OP"`, op.Issuer(), `"UMA"`, server.Issuer, "MORE", more).Replace(peopleAndResources)
	g := runAt(t, file, func(address string) environment {
		op.Client.RedirectURIs = []string{"http://" + address + "/callback"}
		op.Client.PostLogout = []string{"http://" + address + "/goodbye"}
		server.RegisterClaimsRedirect("http://" + address + "/claims-callback")
		return environment{"GLUU_KONG_BASE_URL": "http://" + address}
	})
	harness.Eventually(t, 20*time.Second, func() string {
		if n := len(server.Resources()); n < 3 {
			return fmt.Sprintf("%d resources are registered", n)
		}
		return ""
	})
	alice := newPerson(t, g.address)
	for _, test := range []struct {
		path   string
		status int
	}{
		{"/todos/1?page=2", 200},
		{"/page1", 200}, // any of its scopes will do
		{"/page2", 403}, // she has none of its scopes
		{"/elsewhere", 200},
	} {
		if status, at := alice.open(test.path); status != test.status || at != test.path {
			t.Errorf("%s: got %d at %s, want %d there", test.path, status, at, test.status)
		}
	}
	if n := server.Count("claims"); n != 1 {
		t.Errorf("%d visits at the server, want 1", n)
	}
	for _, sent := range server.RPTRequests() {
		if sent.Get("claim_token_format") == "" || sent.Get("claim_token") == "" {
			t.Errorf("the token endpoint received %v", sent)
		}
	}
	if resource := server.Resources()["GET /page1"]; len(resource.Scopes) != 2 {
		t.Errorf("the resource was changed: %v", resource)
	}
}

// What the plugin's options mean together.
func TestGluuUMAOptions(t *testing.T) {
	for _, test := range []struct{ name, from, to, wantError, wantWarning, want string }{
		{"an expression", "MORE", "pushed_claims_lua_exp: '{id_token=id_token,userinfo=userinfo}'", "", "the claims are signed", `"pushed_claims":"{\"id_token\": id_token, \"userinfo\": userinfo}"`},
		{"the ID token", "MORE", "pushed_claims_lua_exp: id_token", "", "the ID token is sent as its issuer has signed it", `"pushed_claims":"id_token"`},
		{"other Lua", "MORE", "pushed_claims_lua_exp: string.upper(id_token.sub)", `gluu-uma-pep": config.pushed_claims_lua_exp: "string.upper(id_token.sub)" is Lua that goes beyond`, "", ""},
		{"a constant", "MORE", `pushed_claims_lua_exp: '"api"'`, `config.pushed_claims_lua_exp: "\"api\"" is not a table`, "", ""},
		{"a number", "MORE", "pushed_claims_lua_exp: 7", "is not a table", "", ""},
		{"a truth", "MORE", "pushed_claims_lua_exp: true", "is not a table", "", ""},
		{"a header", "MORE", "pushed_claims_lua_exp: request.get_header('Host')", "is not a table", "", ""},
		{"the path", "MORE", "pushed_claims_lua_exp: request.get_path()", "is not a table", "", ""},
		{"all headers", "MORE", "pushed_claims_lua_exp: request.get_headers()", "", "the claims are signed", `"pushed_claims":"request.headers"`},
		{"gathering", "MORE", "redirect_claim_gathering_url: true", "config.claims_redirect_path: is required with redirect_claim_gathering_url", "", ""},
		{"only the way back", "MORE", "claims_redirect_path: /x", "", "has no effect without redirect_claim_gathering_url", `"require_id_token":true`},
		{"gathering for programs", "obtain_rpt: true", "redirect_claim_gathering_url: true", "", "has no effect without obtain_rpt", `"handler":"gluu_uma_pep"`},
		{"claims for programs", "obtain_rpt: true", "pushed_claims_lua_exp: userinfo", "", "has no effect without obtain_rpt", `"handler":"gluu_uma_pep"`},
		{"without a login", "- name: gluu-openid-connect", "- enabled: false\n  name: gluu-openid-connect", "there is no gluu-openid-connect before it", "", ""},
		{"any permission", "MORE", "", "", "", `{"access":"permitted","httpMethods":["GET"]}`},
	} {
		t.Run(test.name, func(t *testing.T) {
			file := strings.Replace(peopleAndResources, test.from, test.to, 1)
			file = strings.NewReplacer(`"OP"`, "https://op.example.com", `"UMA"`, "https://uma.example.com", "UPSTREAM", "localhost:1", "    MORE\n", "").Replace(file)
			config, warnings, err := adapt(t, file, environment{"GLUU_KONG_BASE_URL": "https://app.example.com"})
			switch {
			case test.wantError != "":
				if err == nil || !strings.Contains(err.Error(), test.wantError) {
					t.Errorf("got %v, want %q", err, test.wantError)
				}
				return
			case err != nil:
				t.Fatal(err)
			case test.wantWarning != "" && find(warnings, test.wantWarning) < 0:
				t.Errorf("got %v, want %q", warnings, test.wantWarning)
			}
			if !strings.Contains(string(config), test.want) {
				t.Errorf("got %s, want %s", config, test.want)
			}
		})
	}
}
