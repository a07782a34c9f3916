// SPDX-License-Identifier: Apache-2.0

package caddyoidc_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	_ "github.com/caddy-gluu/gateway/caddyadmin"
	_ "github.com/caddy-gluu/gateway/caddyoauth"
	_ "github.com/caddy-gluu/gateway/caddyoidc"
	_ "github.com/caddy-gluu/gateway/caddystore"
	"github.com/caddy-gluu/gateway/internal/caddytest"
	"github.com/caddy-gluu/gateway/internal/optest"
	"github.com/caddy-gluu/gateway/internal/redistest"
	"github.com/caddy-gluu/gateway/jose"
)

// site is a gateway with an OpenID Provider, in the process of the test.
type site struct {
	*testing.T
	op      *optest.OP
	dir     string
	address string
	admin   string // the address of the admin endpoint, "" if it is off

	provider string // further options of the provider
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
			%s
		}
		%s
	}
}
http://%s {
	%s
	respond "user {gluu.subject} mail {gluu.userinfo.email} acr {gluu.acr} claim {gluu.token.sub} auth {http.auth.user.id} header {header.X-Authenticated-Userid} custom {header.X-Mail} cookie {header.Cookie} authorization {header.Authorization} session {gluu.session}"
}`, caddytest.Options(s.dir, s.admin), s.op.Issuer(), s.provider, app, s.address, handlers), s.address)
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

func TestSec_S151_ConfigurationsThatAreRefused(t *testing.T) {
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
		"store nowhere":                               "gluu.store.nowhere",
		"store":                                       "names an engine",
		"store redis redis://127.0.0.1":               "key",
		"store embedded\nstore embedded":              "twice",
	} {
		if err := s.run(app, "gluu_openid_connect"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want an error with %q", app, err, want)
		}
	}
}

// The store of the app is that of the sessions, unless they name one.
func TestSessionsAreInTheStoreOfTheApp(t *testing.T) {
	redis := redistest.Start(t)
	shared := "store redis " + redis.URL() + " {\nkey 0123456789abcdef0123456789abcdef\n}\n"
	keys := func() int64 {
		n, err := redis.Client().Do(t.Context(), redis.Client().B().Dbsize().Build()).AsInt64()
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	s := newSite(t)
	s.mustRun(shared+"session {\nstore embedded\n}", "gluu_openid_connect")
	before := keys()
	if status, body, _ := s.get(s.browser(), "/", nil); status != 200 || keys() != before {
		t.Errorf("with a store of their own: got %d %s and %d records in Redis, want %d", status, body, keys(), before)
	}
	s.mustRun(shared, "gluu_openid_connect")
	before = keys()
	if status, body, _ := s.get(s.browser(), "/", nil); status != 200 || keys() == before {
		t.Errorf("with the app's store: got %d %s and no record in Redis", status, body)
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

func TestSec_S156_NoSecretIsLogged(t *testing.T) {
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
	ask := func(method, path string) (int, string) {
		t.Helper()
		req, err := http.NewRequest(method, "http://"+s.admin+path, nil)
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
	if status, body := ask("GET", "/gluu/sessions?sub=alice"); status != 404 {
		t.Errorf("without a handler that keeps sessions: got %d %s", status, body)
	}
	s.mustRun("", "gluu_openid_connect")
	one, two := s.browser(), s.browser()
	s.get(one, "/", nil)
	s.get(two, "/", nil)
	var listed struct {
		Sessions int
		Times    []struct{ Created, Seen, Expires time.Time }
	}
	_, body := ask("GET", "/gluu/sessions?sub=alice")
	if err := json.Unmarshal([]byte(body), &listed); err != nil || listed.Sessions != 2 || len(listed.Times) != 2 {
		t.Fatalf("got %s, want two sessions", body)
	}
	for _, times := range listed.Times {
		if now := time.Now(); now.Sub(times.Created) > time.Minute || now.Sub(times.Seen) > time.Minute || !times.Expires.After(now.Add(30*time.Minute)) {
			t.Errorf("got %s at %s", body, now)
		}
	}
	for _, step := range []struct {
		method, query string
		status        int
		body          string
	}{
		{"GET", "?sub=alice&iss=https://other.example", 200, `{"sessions":0,"times":[]}`},
		{"GET", "", 400, ""},
		{"DELETE", "", 400, ""},
		{"POST", "?sub=alice", 405, ""},
		{"DELETE", "?sub=bob", 200, `{"ended":0}`},
		{"DELETE", "?sub=alice&iss=" + url.QueryEscape(s.op.Issuer()), 200, `{"ended":2}`},
		{"GET", "?sub=alice", 200, `{"sessions":0,"times":[]}`},
	} {
		if status, body := ask(step.method, "/gluu/sessions"+step.query); status != step.status || step.body != "" && body != step.body {
			t.Errorf("%s %s: got %d %s, want %d %s", step.method, step.query, status, body, step.status, step.body)
		}
	}
	for _, person := range []*http.Client{one, two} {
		if status, body, _ := s.get(person, "/", program); status != 401 {
			t.Errorf("an ended session: got %d %s, want 401", status, body)
		}
	}
	_, metrics := ask("GET", "/metrics")
	for _, want := range []string{
		`gluu_openid_connect_logouts_total{kind="admin",provider="default"} 2`,
		`gluu_openid_connect_logins_total{outcome="started",provider="default"} 2`,
		`gluu_openid_connect_logins_total{outcome="completed",provider="default"} 2`,
		`gluu_openid_connect_users_authenticated{consumer="",provider="default"} 2`,
		`gluu_session_lookups_total{result="hit"} 2`, `gluu_session_lookups_total{result="miss"} 2`,
		`gluu_sessions{store="embedded"} 0`,
	} {
		if !strings.Contains(metrics, want) {
			t.Errorf("the metrics lack %s", want)
		}
	}
	if t.Failed() {
		for line := range strings.Lines(metrics) {
			if strings.HasPrefix(line, "gluu_") {
				t.Log(line)
			}
		}
	}
}

// recorder is a handler of events.
type recorder struct{}

var recorded = make(chan caddy.Event, 100)

func init() { caddy.RegisterModule(recorder{}) }

func (recorder) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "events.handlers.recorder", New: func() caddy.Module { return new(recorder) }}
}

func (*recorder) Handle(_ context.Context, e caddy.Event) error {
	recorded <- e
	return nil
}

func (*recorder) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	return nil
}

func TestLoginsAndLogoutsAreEvents(t *testing.T) {
	s := newSite(t)
	source := fmt.Sprintf(`{
	%s
	events {
		on gluu.logged_in recorder
		on gluu.logged_out recorder
		on gluu.refused recorder
	}
	gluu {
		provider {
			issuer %s
			client_id web
			client_secret web-secret
		}
	}
}
http://%s {
	gluu_openid_connect {
		logout_path /logout
		post_logout_redirect_path_or_url /goodbye
	}
	respond ok
}`, caddytest.Options(s.dir, ""), s.op.Issuer(), s.address)
	if err := caddytest.Run(source, s.address); err != nil {
		t.Fatal(err)
	}
	person := s.browser()
	s.get(person, "/callback?state=made-up&code=c", nil) // a page
	s.get(person, "/a", program)                         // not a page
	s.get(person, "/a", nil)
	s.get(person, "/logout", nil)
	for _, want := range []map[string]any{
		{"name": "gluu.refused", "reason": "login_state_unknown", "status": 400},
		{"name": "gluu.refused", "reason": "login_required", "status": 401},
		{"name": "gluu.logged_in", "provider": "default", "issuer": s.op.Issuer(), "subject": "alice", "acr": "silver", "step_up": false, "client_ip": "127.0.0.1"},
		{"name": "gluu.logged_out", "provider": "default", "issuer": s.op.Issuer(), "subject": "alice", "kind": "rp", "sessions": 1},
	} {
		select {
		case e := <-recorded:
			if e.Name() != want["name"] {
				t.Fatalf("got event %s with %v, want %v", e.Name(), e.Data, want)
			}
			for name, value := range want {
				if got := e.Data[name]; name != "name" && got != value {
					t.Errorf("%s: %s is %v (%T), want %v", e.Name(), name, got, got, value)
				}
			}
			if strings.Contains(fmt.Sprint(e.Data), "made-up") {
				t.Errorf("%s has a state: %v", e.Name(), e.Data)
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("no event, want %v", want)
		}
	}
}

// A directive that is applied when an answer is written must not make a login
// redirect cacheable: with an old state in it, it would loop.
func TestSec_S116_NoAnswerOfTheGatewayIsCached(t *testing.T) {
	for name, directive := range map[string]string{
		"before":   `header Cache-Control "public, max-age=600"`,
		"deferred": `header >Cache-Control "public, max-age=600"`,
		"appended": "header {\n+Cache-Control public\ndefer\n}",
		"removed":  `header >-Cache-Control`,
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			s.mustRun("", directive+`
				encode
				gluu_openid_connect {
					logout_path /logout
					initiate_login_path /initiate
				}`)
			person := s.browser()
			if status, body, h := s.get(person, "/", nil); status != 200 || strings.Contains(h.Get("Cache-Control"), "no-store") {
				t.Errorf("a page of the site: got %d with Cache-Control %q: %s", status, h.Get("Cache-Control"), body)
			}
			stranger := s.browser()
			stranger.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
			for path, want := range map[string]int{
				"/": 302, "/callback?state=x&code=y": 400, "/callback": 400, "/logout": 302, "/initiate": 400,
				"/initiate?iss=" + url.QueryEscape(s.op.Issuer()): 302,
			} {
				if status, _, h := s.get(stranger, path, nil); status != want || !slices.Equal(h.Values("Cache-Control"), []string{"no-store"}) {
					t.Errorf("%s: got %d with Cache-Control %q, want %d with no-store", path, status, h.Values("Cache-Control"), want)
				}
			}
			if status, _, h := s.get(stranger, "/", program); status != 401 || !slices.Equal(h.Values("Cache-Control"), []string{"no-store"}) {
				t.Errorf("a program: got %d with Cache-Control %q", status, h.Values("Cache-Control"))
			}
		})
	}
}

// What refuses a person may hand the request to an error route with an upstream
// of its own.
func TestTheSessionCookieStaysHereInErrorRoutes(t *testing.T) {
	s := newSite(t)
	s.mustRun("error_format caddy", `gluu_openid_connect
		handle_errors {
			respond "error route sees {header.Cookie}" 401
		}`)
	header := http.Header{"Accept": {"application/json"}, "Cookie": {"gluu_session=1secret; theme=dark; gluu_login_abc=secret"}}
	if status, body, _ := s.get(s.browser(), "/", header); status != 401 || strings.Contains(body, "secret") || !strings.Contains(body, "theme=dark") {
		t.Errorf("got %d %s", status, body)
	}
}

// Identity headers that a client sends survive nowhere, whatever needs no login.
func TestSec_S153_ForgedHeadersSurviveOnNoPath(t *testing.T) {
	s := newSite(t)
	s.mustRun("", `gluu_openid_connect {
		logout_path /logout
		post_logout_redirect_path_or_url /goodbye
		header X-Mail userinfo.email
		path /open {
			GET OPTIONS no_auth
		}
	}`)
	stranger := s.browser()
	stranger.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	for _, method := range []string{http.MethodGet, http.MethodOptions} {
		for _, path := range []string{"/open", "/goodbye", "/callback", "/logout"} {
			req, err := http.NewRequest(method, s.url(path), nil)
			if err != nil {
				t.Fatal(err)
			}
			for _, name := range []string{"X-Authenticated-Userid", "X-AUTHENTICATED-USERID", "X_Authenticated_Userid", "X-Mail"} {
				req.Header[name] = []string{"forged-root"}
			}
			res, err := stranger.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(res.Body)
			res.Body.Close()
			if err != nil || strings.Contains(string(body), "forged-root") {
				t.Errorf("%s %s: got %d %s, %v", method, path, res.StatusCode, body, err)
			}
			if passes := path == "/open" || path == "/goodbye"; passes != (res.StatusCode == http.StatusOK) {
				t.Errorf("%s %s: got %d", method, path, res.StatusCode)
			}
		}
	}
}

// Whoever can reach the back channel can invent keys.
func TestSec_S159_InventedKeysCostOneFetch(t *testing.T) {
	s := newSite(t)
	s.mustRun("", "gluu_openid_connect {\nbackchannel_logout_path /backchannel\n}")
	if status, body, _ := s.get(s.browser(), "/", nil); status != 200 {
		t.Fatalf("got %d %s", status, body)
	}
	key, err := jose.GenerateKey("RS256")
	if err != nil {
		t.Fatal(err)
	}
	for i := range 200 {
		claims := fmt.Sprintf(`{"iss":%q,"aud":"web","iat":%d,"jti":"j-%d","sub":"alice","events":{"http://schemas.openid.net/event/backchannel-logout":{}}}`, s.op.Issuer(), time.Now().Unix(), i)
		raw, err := jose.Sign([]byte(claims), key, "RS256", fmt.Sprint("invented-", i), "logout+jwt")
		if err != nil {
			t.Fatal(err)
		}
		res, err := http.PostForm(s.url("/backchannel"), url.Values{"logout_token": {raw}})
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != http.StatusBadRequest {
			t.Fatalf("token %d: got %s", i, res.Status)
		}
	}
	if n := s.op.Calls("/jwks"); n > 2 {
		t.Errorf("the keys were fetched %d times, want once and once more at the most", n)
	}
}
