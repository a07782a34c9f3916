// SPDX-License-Identifier: Apache-2.0

package caddyoidc_test

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-gluu/gateway/jose"
)

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

// Paths are written decoded. In an address they are escaped: a provider would not know
// the other spelling, and a browser would not be sent to it.
func TestConfiguredPathsAreEscapedInAddresses(t *testing.T) {
	s := newSite(t)
	s.op.Client.RedirectURIs = []string{s.url("/come%20back")}
	s.op.Client.PostLogout = []string{s.url("/good%20bye")}
	s.mustRun("", `gluu_openid_connect {
		authorization_redirect_path "/come back"
		initiate_login_path /initiate
		landing_path "/my page"
		logout_path /logout
		post_logout_redirect_path_or_url "/good bye"
	}`)
	person := s.browser()
	var pages []string
	person.CheckRedirect = func(r *http.Request, _ []*http.Request) error {
		pages = append(pages, r.URL.EscapedPath())
		return nil
	}
	for _, target := range []string{"/initiate?iss=" + url.QueryEscape(s.op.Issuer()), "/logout"} {
		if status, body, _ := s.get(person, target, nil); status != 200 {
			t.Errorf("%s: got %d %s", target, status, body)
		}
	}
	for _, page := range []string{"/come%20back", "/my%20page", "/good%20bye"} {
		if !slices.Contains(pages, page) {
			t.Errorf("the browser was sent to %q, not to %s", pages, page)
		}
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

// A server between the gateway and the provider could invent keys.
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
