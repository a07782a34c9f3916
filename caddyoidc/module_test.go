// SPDX-License-Identifier: Apache-2.0

package caddyoidc_test

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	_ "github.com/caddyserver/caddy/v2/modules/standard"

	_ "github.com/caddy-gluu/gateway/caddyadmin"
	_ "github.com/caddy-gluu/gateway/caddyoauth"
	_ "github.com/caddy-gluu/gateway/caddyoidc"
	_ "github.com/caddy-gluu/gateway/caddystore"
	"github.com/caddy-gluu/gateway/internal/caddytest"
	"github.com/caddy-gluu/gateway/internal/optest"
)

// site is a gateway with an OpenID Provider, in the process of the test.
type site struct {
	*testing.T
	op      *optest.OP
	dir     string
	address string
	admin   string // the address of the admin endpoint, "" if it is off
}

func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{T: t, op: optest.New(t), dir: t.TempDir(), address: caddytest.FreeAddress(t)}
	t.Setenv("XDG_DATA_HOME", s.dir)
	s.op.Client.RedirectURIs = []string{s.url("/callback")}
	s.op.Client.PostLogout = []string{s.url("/goodbye")}
	caddytest.StopAfter(t)
	return s
}

func (s *site) url(path string) string { return "http://" + s.address + path }

// run starts the gateway, or reloads it, with options of the app and the site.
func (s *site) run(app, handlers string) error {
	return caddytest.Run(fmt.Sprintf(`{
	%s
	gluu {
		provider {
			issuer %s
			client_id web
			client_secret web-secret
		}
		%s
	}
}
http://%s {
	%s
	respond "user {gluu.subject} mail {gluu.userinfo.email} acr {gluu.acr} claim {gluu.token.sub} auth {http.auth.user.id} header {header.X-Authenticated-Userid} custom {header.X-Mail} cookie {header.Cookie} authorization {header.Authorization} session {gluu.session}"
}`, caddytest.Options(s.dir, s.admin), s.op.Issuer(), app, s.address, handlers), s.address)
}

func (s *site) mustRun(app, handlers string) {
	s.Helper()
	if err := s.run(app, handlers); err != nil {
		s.Fatal(err)
	}
}

func (s *site) browser() *http.Client {
	jar, err := cookiejar.New(nil)
	if err != nil {
		s.Fatal(err)
	}
	return &http.Client{Jar: jar, Timeout: 20 * time.Second}
}

func (s *site) get(client *http.Client, path string, header http.Header) (status int, body string, h http.Header) {
	s.Helper()
	req, err := http.NewRequest(http.MethodGet, s.url(path), nil)
	if err != nil {
		s.Fatal(err)
	}
	maps.Copy(req.Header, header)
	if header == nil {
		req.Header.Set("Accept", "text/html")
	}
	res, err := client.Do(req)
	if err != nil {
		s.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		s.Fatal(err)
	}
	return res.StatusCode, string(text), res.Header
}

var program = http.Header{"Accept": {"application/json"}}

func TestAPersonIsKnownToWhatFollows(t *testing.T) {
	s := newSite(t)
	s.mustRun("", `gluu_openid_connect {
		header X-Mail userinfo.email
		logout_path /logout
		post_logout_redirect_path_or_url /goodbye
	}`)
	status, body, _ := s.get(s.browser(), "/", program)
	if status != 401 || !strings.Contains(body, `"error":"login_required"`) {
		t.Errorf("without a session: got %d %s", status, body)
	}
	person := s.browser()
	header := http.Header{"Accept": {"text/html"}, "X-Authenticated-Userid": {"root"}, "Cookie": {"theme=dark"}}
	status, body, h := s.get(person, "/?a=b", header)
	for _, want := range []string{
		"user alice ", "mail alice@example.com ", "acr silver ", "claim alice ", "auth alice ", "header alice ", "custom alice@example.com ", "authorization  ",
	} {
		if status != 200 || !strings.Contains(body, want) {
			t.Errorf("got %d %q, want %q in it", status, body, want)
		}
	}
	if strings.Contains(body, "gluu_") || !strings.Contains(h.Get("Vary"), "Cookie") {
		t.Errorf("got %q with Vary %q: the gateway's cookies must stay here, and caches mind them", body, h.Get("Vary"))
	}
	status, body, _ = s.get(person, "/logout", nil)
	if status != 200 || !strings.Contains(body, "user  ") {
		t.Errorf("after the logout: got %d %q, want the page that needs no login", status, body)
	}
	if status, body, _ = s.get(person, "/", program); status != 401 {
		t.Errorf("after the logout: got %d %q, want 401", status, body)
	}
}

func TestASessionSurvivesAReloadAndARestart(t *testing.T) {
	s := newSite(t)
	s.mustRun("", "gluu_openid_connect")
	person := s.browser()
	if status, body, _ := s.get(person, "/", nil); status != 200 {
		t.Fatalf("got %d %s", status, body)
	}
	s.mustRun("session {\n size 10\n }", "gluu_openid_connect {\n realm other\n }")
	if status, body, _ := s.get(person, "/", program); status != 200 || !strings.Contains(body, "user alice") {
		t.Errorf("after a reload: got %d %s", status, body)
	}
	s.mustRun("", `respond /other ok`) // ends the store
	s.mustRun("", "gluu_openid_connect")
	if status, body, _ := s.get(person, "/", program); status != 200 || !strings.Contains(body, "user alice") {
		t.Errorf("after the store was closed and opened: got %d %s", status, body)
	}
}

func TestARuleOfThePEPSendsAPersonToStepUp(t *testing.T) {
	s := newSite(t)
	s.op.ACRs = []string{"silver", "gold"}
	s.mustRun("", `gluu_openid_connect
	gluu_oauth_pep {
		path /?? {
			GET scope openid
		}
		path /transfers {
			GET scope openid {
				acr gold
			}
		}
		path /secret {
			GET scope admin
		}
	}`)
	person := s.browser()
	if status, body, _ := s.get(person, "/", nil); status != 200 || !strings.Contains(body, "acr silver") {
		t.Fatalf("got %d %s", status, body)
	}
	if status, body, h := s.get(person, "/transfers", program); status != 401 || !strings.Contains(h.Get("Www-Authenticate"), `acr_values="gold"`) {
		t.Errorf("a program: got %d %s %v", status, body, h)
	}
	if status, body, _ := s.get(person, "/transfers?to=bob", nil); status != 200 || !strings.Contains(body, "acr gold") {
		t.Errorf("a person: got %d %s", status, body)
	}
	if status, body, _ := s.get(person, "/secret", nil); status != 403 {
		t.Errorf("without the scope: got %d %s", status, body)
	}
}

func TestTheAccessTokenGoesUpstreamWhereItIsWanted(t *testing.T) {
	s := newSite(t)
	s.mustRun("", "gluu_openid_connect {\n access_token_upstream\n unauthenticated pass\n }")
	if _, body, _ := s.get(s.browser(), "/", http.Header{"Authorization": {"Bearer forged"}}); !strings.Contains(body, "authorization  ") {
		t.Errorf("without a session: got %q, want no Authorization", body)
	}
	s.mustRun("", "gluu_openid_connect {\n access_token_upstream\n }")
	if _, body, _ := s.get(s.browser(), "/", nil); !strings.Contains(body, "authorization Bearer at-") {
		t.Errorf("with a session: got %q, want its access token", body)
	}
}

func TestConfigurationsThatAreRefused(t *testing.T) {
	s := newSite(t)
	for handlers, want := range map[string]string{
		"logout_path callback":                               "is not a path",
		"logout_path /callback":                              `authorization_redirect_path and logout_path are both "/callback"`,
		"logout_path /a\nbackchannel_logout_path /a":         `are both "/a"`,
		"logout_path /out\ninitiate_login_path /out":         `are both "/out"`,
		"logout_path /a/../b":                                "logout_path",
		"logout_path /out?x":                                 "is not a fixed path",
		"requested_scopes email":                             "lacks openid",
		"authorization_param prompt none":                    "set by the gateway itself",
		"authorization_param claims x":                       "set by the gateway itself",
		"authorization_param a":                              "takes a name and a value",
		"par maybe":                                          `par is auto, on or off, not "maybe"`,
		"acr yes":                                            "acr is",
		"unauthenticated never":                              "unauthenticated is",
		"cookie_name __Host-x\ncookie_domain e.example":      "exclude each other",
		"cookie_name gluu_login_x":                           "taken by the gateway's own cookies",
		"cookie_name __Host-x":                               "needs https",
		"cookie_same_site none":                              "needs https",
		"restore_original_auth_params\nunauthenticated deny": "has no effect",
		"restore_original_auth_params true 2MiB":             "is not a size",
		"anonymous guest":                                    "without 'unauthenticated pass'",
		"unauthenticated pass\nanonymous guest":              `there is no consumer "guest"`,
		"consumer_mapping true":                              "needs consumer_claim",
		"max_id_token_age 100ms":                             "takes a second at least",
		"clock_leeway 1h":                                    "clock_leeway",
		"idle_timeout -1s":                                   "idle_timeout",
		"path /a {\nGET acr\n}":                              "acr takes one or more",
		"path /a {\nGET gold\n}":                             "a rule is",
		"path /a {\nGET no_auth\nGET login\n}":               "two conditions",
		"path /callback {\nGET no_auth\n}":                   "needs no rule",
		"path /a {\nget login\n}":                            `"get" is not a method`,
		"required_acrs_expression []":                        "no paths",
		"base_url https://a.example/x":                       "not an origin",
		"base_url http://a.example":                          "base_url",
		"resource api":                                       "not an absolute URI",
		"header X-A nothing.there":                           "nothing",
		"no_such_option 1":                                   "no_such_option",
		"realm a\nrealm b":                                   "twice",
		"userinfo off 5m":                                    "has no interval",
		"provider other":                                     "provider",
	} {
		t.Run(strings.ReplaceAll(handlers, "\n", "; "), func(t *testing.T) {
			err := s.run("", "gluu_openid_connect {\n"+handlers+"\n}")
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("got %v, want an error with %q", err, want)
			}
		})
	}
	for app, want := range map[string]string{
		"session {\nkey short\n}":                     "32 are needed",
		"session {\nsize 0\n}":                        "size",
		"session {\nstore nowhere\n}":                 "gluu.store.nowhere",
		"session {\nstore_grace 2h\n}":                "store_grace",
		"session {\nstore redis redis://127.0.0.1\n}": "key",
		"session here":                                "takes a block",
	} {
		if err := s.run(app, "gluu_openid_connect"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want an error with %q", app, err, want)
		}
	}
}

func TestASiteThatIsForAnyHostNeedsABaseURL(t *testing.T) {
	s := newSite(t)
	_, port, _ := strings.Cut(s.address, ":")
	source := func(site, options string) string {
		return fmt.Sprintf("{\n%s\ngluu {\nprovider {\nissuer %s\nclient_id web\nclient_secret x\n}\n}\n}\n%s {\ngluu_openid_connect {\n%s\n}\nrespond ok\n}", caddytest.Options(s.dir, ""), s.op.Issuer(), site, options)
	}
	for _, test := range []struct{ site, options, want string }{
		{":" + port, "", "names no host"},
		{"http://app.example.com:" + port, "", "no TLS"},
		{"http://app.example.com:" + port, "base_url https://app.example.com", ""},
		{":" + port, "base_url https://app.example.com", ""},
	} {
		err := caddytest.Run(source(test.site, test.options), s.address)
		if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
			t.Errorf("%s %s: got %v, want %q", test.site, test.options, err, test.want)
		}
	}
}

func TestNoSecretIsLogged(t *testing.T) {
	s := newSite(t)
	s.mustRun("", "gluu_openid_connect {\n logout_path /logout\n }")
	person := s.browser()
	s.get(person, "/", nil)
	var secrets []string
	u, err := url.Parse(s.url("/"))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range person.Jar.Cookies(u) {
		secrets = append(secrets, c.Value)
	}
	for _, request := range s.op.Requests() {
		secrets = append(secrets, request.Get("state"), request.Get("nonce"))
	}
	s.get(person, "/callback?code=stolen-code&state=unknown", nil)
	s.get(person, "/logout", nil)
	log, err := os.ReadFile(filepath.Join(s.dir, "log.json"))
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range append(secrets, "web-secret", "stolen-code") {
		if strings.Contains(string(log), secret) {
			t.Errorf("the log contains %q", secret)
		}
	}
}

func TestAnOperatorEndsTheSessionsOfAPerson(t *testing.T) {
	s := newSite(t)
	s.admin = caddytest.FreeAddress(t)
	ask := func(method, query string) (int, string) {
		t.Helper()
		req, err := http.NewRequest(method, "http://"+s.admin+"/gluu/sessions"+query, nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return res.StatusCode, strings.TrimSpace(string(body))
	}
	s.mustRun("", "respond ok")
	if status, body := ask("GET", "?sub=alice"); status != 404 {
		t.Errorf("without a handler that keeps sessions: got %d %s", status, body)
	}
	s.mustRun("", "gluu_openid_connect")
	one, two := s.browser(), s.browser()
	s.get(one, "/", nil)
	s.get(two, "/", nil)
	for _, step := range []struct {
		method, query string
		status        int
		body          string
	}{
		{"GET", "?sub=alice", 200, `{"sessions":2}`},
		{"GET", "?sub=alice&iss=https://other.example", 200, `{"sessions":0}`},
		{"GET", "", 400, ""},
		{"DELETE", "", 400, ""},
		{"POST", "?sub=alice", 405, ""},
		{"DELETE", "?sub=bob", 200, `{"ended":0}`},
		{"DELETE", "?sub=alice&iss=" + url.QueryEscape(s.op.Issuer()), 200, `{"ended":2}`},
		{"GET", "?sub=alice", 200, `{"sessions":0}`},
	} {
		if status, body := ask(step.method, step.query); status != step.status || step.body != "" && body != step.body {
			t.Errorf("%s %s: got %d %s, want %d %s", step.method, step.query, status, body, step.status, step.body)
		}
	}
	for _, person := range []*http.Client{one, two} {
		if status, body, _ := s.get(person, "/", program); status != 401 {
			t.Errorf("an ended session: got %d %s, want 401", status, body)
		}
	}
}
