// SPDX-License-Identifier: Apache-2.0

package gateway_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/caddy-gluu/gateway/authserver"
	"github.com/caddy-gluu/gateway/internal/caddytest"
)

// kongSite is an API as Kong's users know it: consumers and credentials come from the admin
// API, a login application posts to the authorization endpoint.
const kongSite = `{
	admin %[3]s
	persist_config off
	storage file_system %[2]s
	servers {
		trusted_proxies static 127.0.0.1/32
	}
	gluu {
		consumer guest
	}
}
http://%[1]s {
	gluu_oauth_server {
		issuer https://api.example.com
		scopes step_counts profile
		service steps
		legacy http_redirects password
		profile kong {
			provision_key %[4]s
			grants authorization_code client_credentials password
			token_expiration 1h
			accept_http_if_already_terminated
			%[5]s
		}
	}
	gluu_oauth_auth {
		provider embedded https://api.example.com steps
		%[6]s
	}
	gluu_oauth_pep {
		path /?? {
			? scope step_counts
		}
	}
	respond "{header.X-Consumer-Username} {header.X-Credential-Identifier} {header.X-Authenticated-Userid} {header.X-Authenticated-Scope}"
}
`

type kongGateway struct {
	testing.TB
	address, admin, root, key string
}

func newKongGateway(t *testing.T) *kongGateway {
	t.Setenv("XDG_DATA_HOME", t.TempDir())
	key, err := authserver.HashSecret([]byte("provision-key"))
	if err != nil {
		t.Fatal(err)
	}
	caddytest.StopAfter(t)
	g := &kongGateway{t, caddytest.FreeAddress(t), caddytest.FreeAddress(t), t.TempDir(), key}
	g.load("", "")
	return g
}

func (g *kongGateway) load(profile, auth string) {
	g.Helper()
	if err := caddytest.Run(fmt.Sprintf(kongSite, g.address, g.root, g.admin, g.key, profile, auth), g.address); err != nil {
		g.Fatal(err)
	}
}

// do sends a request, with a form if there is one, and returns the answer's members.
func (g *kongGateway) do(method, target string, form url.Values, header http.Header) (int, map[string]any, string) {
	g.Helper()
	response, err := send(func() (*http.Request, error) {
		request, err := http.NewRequest(method, "http://"+target, strings.NewReader(form.Encode()))
		if err == nil {
			request.Header = header.Clone()
			if form != nil {
				request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			}
			request.Header.Set("X-Forwarded-Proto", "https")
		}
		return request, err
	})
	if err != nil {
		g.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		g.Fatal(err)
	}
	var body map[string]any
	_ = json.Unmarshal(text, &body)
	return response.StatusCode, body, string(text)
}

func (g *kongGateway) get(token string) (int, string) {
	g.Helper()
	header := http.Header{}
	if token != "" {
		header.Set("Authorization", "Bearer "+token)
	}
	status, _, text := g.do(http.MethodGet, g.address+"/steps/today", nil, header)
	return status, text
}

// The whole of Kong's tutorial over HTTP: a consumer, a credential, a code, tokens, a call, a
// refresh, and the end of it all.
func TestProfileKongEndToEnd(t *testing.T) {
	g := newKongGateway(t)
	must := func(want int, method, target string, form url.Values) map[string]any {
		t.Helper()
		status, body, text := g.do(method, target, form, http.Header{})
		if status != want {
			t.Fatalf("%s %s: got %d %s, want %d", method, target, status, text, want)
		}
		return body
	}
	status, _, text := g.do(http.MethodPost, g.admin+"/gluu/consumers", nil, http.Header{})
	if status != http.StatusUnsupportedMediaType {
		t.Errorf("got %d %s", status, text)
	}
	response, err := http.Post("http://"+g.admin+"/gluu/consumers", "application/json", strings.NewReader(`{"username":"thefosk"}`))
	if err != nil || response.StatusCode != http.StatusCreated {
		t.Fatal(response, err)
	}
	response.Body.Close()
	made := must(201, "POST", g.admin+"/gluu/consumers/thefosk/oauth2", url.Values{"name": {"Steps"}, "redirect_uris[]": {"http://steps.example.com/cb"}})
	id, secret := made["client_id"].(string), made["client_secret"].(string)

	authorize := url.Values{"client_id": {id}, "response_type": {"code"}, "scope": {"step_counts"}, "provision_key": {"provision-key"}, "authenticated_userid": {"ann"}}
	sent, err := url.Parse(must(200, "POST", g.address+"/steps/oauth2/authorize", authorize)["redirect_uri"].(string))
	if err != nil || sent.Host != "steps.example.com" || len(sent.Query().Get("code")) != 32 {
		t.Fatal(sent, err)
	}
	exchange := url.Values{"grant_type": {"authorization_code"}, "code": {sent.Query().Get("code")}, "client_id": {id}, "client_secret": {secret}}
	tokens := must(200, "POST", g.address+"/oauth2/token", exchange)
	first := tokens["access_token"].(string)
	if tokens["expires_in"] != 3600.0 || len(first) != 32 {
		t.Errorf("got %v", tokens)
	}
	if status, text := g.get(first); status != 200 || text != "thefosk "+id+" ann step_counts" {
		t.Errorf("got %d %s", status, text)
	}
	must(400, "POST", g.address+"/oauth2/token", exchange)
	if status, text := g.get(first); status != 401 {
		t.Errorf("after the code was used twice: got %d %s", status, text)
	}

	password := url.Values{"grant_type": {"password"}, "provision_key": {"provision-key"}, "authenticated_userid": {"bob"}, "client_id": {id}, "client_secret": {secret}, "scope": {"step_counts"}}
	tokens = must(200, "POST", g.address+"/oauth2/token", password)
	refresh := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {tokens["refresh_token"].(string)}, "client_id": {id}, "client_secret": {secret}}
	renewed := must(200, "POST", g.address+"/oauth2/token", refresh)["access_token"].(string)
	if status, _ := g.get(tokens["access_token"].(string)); status != 401 {
		t.Errorf("the access token before the refresh: got %d", status)
	}
	if status, text := g.get(renewed); status != 200 || !strings.Contains(text, " bob ") {
		t.Errorf("got %d %s", status, text)
	}

	// A reload takes nothing, and neither does a rejected one.
	g.load("reuse_refresh_token", "")
	if status, text := g.get(renewed); status != 200 {
		t.Errorf("after a reload: got %d %s", status, text)
	}
	if status, _, text := g.do("DELETE", g.admin+"/gluu/oauth2_grants?subject=bob", nil, http.Header{}); status != 200 || !strings.Contains(text, `"ended":1`) {
		t.Errorf("got %d %s", status, text)
	}
	if status, _ := g.get(renewed); status != 401 {
		t.Errorf("after the grants of bob ended: got %d", status)
	}
	own := must(200, "POST", g.address+"/oauth2/token", url.Values{"grant_type": {"client_credentials"}, "client_id": {id}, "client_secret": {secret}, "scope": {"step_counts"}})["access_token"].(string)
	if status, text := g.get(own); status != 200 || text != "thefosk "+id+"  step_counts" {
		t.Errorf("got %d %q", status, text)
	}
	// With the consumer its credentials end, and the tokens of those.
	must(204, "DELETE", g.admin+"/gluu/consumers/thefosk", nil)
	if status, _ := g.get(own); status != 401 {
		t.Errorf("after the consumer was deleted: got %d", status)
	}
	must(404, "GET", g.admin+"/gluu/oauth2/"+id, nil)
	must(400, "POST", g.address+"/oauth2/token", url.Values{"grant_type": {"client_credentials"}, "client_id": {id}, "client_secret": {secret}})
}

// servicesSite has three servers of one issuer: of a service, of another, and of all.
const servicesSite = `{
	admin %[3]s
	persist_config off
	storage file_system %[2]s
	servers {
		trusted_proxies static 127.0.0.1/32
	}
	gluu {
		consumer app {
			custom_id app
		}
	}
}
http://%[1]s {
	handle_path /a/* {
		gluu_oauth_server {
			issuer https://api.example.com
			scopes read
			service a
			%[4]s
			client app {
				secret %[5]s
				grants client_credentials
				scopes read
			}
		}
		gluu_oauth_auth {
			provider embedded https://api.example.com a
		}
		respond welcome
	}
	handle_path /b/* {
		gluu_oauth_server {
			issuer https://api.example.com
			scopes read
			service b
			%[4]s
		}
		gluu_oauth_auth {
			provider embedded https://api.example.com b
		}
		respond welcome
	}
	handle_path /all/* {
		gluu_oauth_server {
			issuer https://api.example.com
			scopes read
			service *
			%[4]s
		}
		gluu_oauth_auth {
			provider embedded https://api.example.com *
		}
		respond welcome
	}
}
`

// The tokens of a service are good there only, and those of all services everywhere. With
// profile kong the latter are good where the tokens of all services come from, as with
// global_credentials.
func TestSec_S232_TokensAreGoodAtTheirService(t *testing.T) {
	for name, test := range map[string]struct {
		profile string
		want    map[string]string // by where a token comes from
	}{
		"the standards": {"", map[string]string{"a": "a", "b": "b", "all": "a b all"}},
		"profile kong": {"profile kong {\ngrants client_credentials\naccept_http_if_already_terminated\n}",
			map[string]string{"a": "a", "b": "b", "all": "all"}},
	} {
		t.Run(name, func(t *testing.T) {
			g := newKongGateway(t)
			secret, err := authserver.HashSecret([]byte("app-secret"))
			if err != nil {
				t.Fatal(err)
			}
			if err := caddytest.Run(fmt.Sprintf(servicesSite, g.address, g.root, g.admin, test.profile, secret), g.address); err != nil {
				t.Fatal(err)
			}
			for from, want := range test.want {
				header := http.Header{"Authorization": {"Basic YXBwOmFwcC1zZWNyZXQ="}}
				_, body, text := g.do("POST", g.address+"/"+from+"/oauth2/token", url.Values{"grant_type": {"client_credentials"}, "scope": {"read"}}, header)
				token, ok := body["access_token"].(string)
				if !ok {
					t.Fatalf("%s: %s", from, text)
				}
				var good []string
				for _, at := range []string{"a", "b", "all"} {
					switch status, _, text := g.do("GET", g.address+"/"+at+"/x", nil, http.Header{"Authorization": {"Bearer " + token}}); status {
					case http.StatusOK:
						good = append(good, at)
					case http.StatusUnauthorized:
					default:
						t.Errorf("a token of %s at %s: %d %s", from, at, status, text)
					}
				}
				if got := strings.Join(good, " "); got != want {
					t.Errorf("tokens of %s: good at %q, want %q", from, got, want)
				}
			}
		})
	}
}
