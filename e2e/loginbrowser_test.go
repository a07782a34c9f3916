// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/caddy-gluu/gateway/e2e/harness"
)

const browserCaddyfile = `
{
	debug
	gluu {
		provider {
			issuer {$ISSUER}
			client_id web
			client_secret web-secret
		}
	}
}
http://:{$PORT} {
	bind 127.0.0.1
	gluu_openid_connect {
		base_url {$BASE_URL}
		requested_scopes openid
		logout_path /logout
		post_logout_redirect_path_or_url /goodbye
		backchannel_logout_path /backchannel-logout
		frontchannel_logout_path /frontchannel-logout
		restore_original_auth_params true
		path /vault/?? {
			? acr gold
		}
		EXTRA
	}
	reverse_proxy {$UPSTREAM}
}
`

// opAuthorizationPath is where oidc-provider begins a login.
const opAuthorizationPath = "/auth"

// A browserSite is an application behind a gateway to which people come over
// TLS at https://localhost:<port>, and an OpenID Provider on another site
// (127.0.0.1), so that a browser applies all its rules about cookies.
type browserSite struct {
	*harness.Gateway
	t       *testing.T
	base    string
	app     *webApp
	server  *harness.OIDCProvider
	browser *harness.Browser

	tokenAnswers func() []string // what the token endpoint has answered
}

// startBrowserSite starts one, with further lines in gluu_openid_connect.
func startBrowserSite(t *testing.T, browser *harness.Browser, extra string, grants ...string) *browserSite {
	t.Helper()
	front := harness.StartSecureRelay(t, "127.0.0.1:9")
	_, port, _ := strings.Cut(front.Addr, ":")
	s := &browserSite{t: t, base: "https://localhost:" + port, app: startWebApp(t), browser: browser}
	client := harness.LoginClient("web", "web-secret")
	client["redirect_uris"] = []string{s.base + "/callback"}
	client["post_logout_redirect_uris"] = []string{s.base + "/goodbye"}
	client["grant_types"] = append(grants, "authorization_code")
	back := harness.StartRelay(t, "127.0.0.1:9") // for what the provider itself calls
	client["backchannel_logout_uri"] = "http://" + back.Addr + "/backchannel-logout"
	client["backchannel_logout_session_required"] = true
	s.server = harness.StartOIDCProvider(t, harness.OIDCConfig{
		Scopes: []string{"openid"}, Clients: []map[string]any{client}, Person: "ann", Interactive: true, ACRs: []string{"silver", "gold"},
	})
	s.server.Record(harness.TokenPath)
	s.tokenAnswers = func() []string { return s.server.Recorded(harness.TokenPath) }
	s.Gateway = harness.StartGateway(t, harness.GatewayConfig{
		Caddyfile: strings.Replace(browserCaddyfile, "EXTRA", extra, 1),
		Env:       map[string]string{"ISSUER": s.server.Issuer, "BASE_URL": s.base, "UPSTREAM": s.app.addr()},
	})
	front.ForwardTo(s.Gateway.Addr)
	back.ForwardTo(s.Gateway.Addr)
	return s
}

// window opens a browser window. When the test ends, nothing secret that it and
// the token endpoint have seen may be in the gateway's log.
func (s *browserSite) window(t *testing.T) *harness.Window {
	t.Helper()
	w := s.browser.Window(t)
	t.Cleanup(func() { s.forbidSecrets(w) })
	return w
}

func (s *browserSite) forbidSecrets(w *harness.Window) {
	s.forbidCookies(w)
	for _, address := range w.Addresses() {
		u, err := url.Parse(address)
		if err != nil {
			continue
		}
		s.Forbid(u.Query().Get("id_token_hint"))
		if !strings.HasSuffix(u.Path, opAuthorizationPath) && u.Path != "/callback" {
			continue // the state of a logout means nothing
		}
		for _, name := range []string{"code", "state", "nonce", "code_challenge"} {
			s.Forbid(u.Query().Get(name))
		}
	}
	for _, answer := range s.tokenAnswers() {
		s.Forbid(tokensIn(answer)...)
	}
}

// tokensIn returns what is secret in an answer of a token endpoint.
func tokensIn(answer string) (tokens []string) {
	var members map[string]any
	if json.Unmarshal([]byte(answer), &members) != nil {
		return nil
	}
	for _, name := range []string{"access_token", "refresh_token", "id_token"} {
		if token, _ := members[name].(string); token != "" {
			tokens = append(tokens, token)
		}
	}
	return tokens
}

func (s *browserSite) forbidCookies(w *harness.Window) {
	for name, value := range w.Cookies() {
		if strings.Contains(name, "gluu_") {
			s.Forbid(value)
		}
	}
}

// logIn fills in the provider's page, which the tab shows or is about to.
func (s *browserSite) logIn(tab *harness.Tab, name string) {
	s.t.Helper()
	tab.WaitText("Log in at the provider")
	tab.Type("input[name=name]", name)
	tab.Click("button")
}

// loggedIn opens a page in a new tab and logs in.
func (s *browserSite) loggedIn(w *harness.Window, path, name string) *harness.Tab {
	s.t.Helper()
	tab := w.Tab()
	tab.Open(s.base + path)
	s.logIn(tab, name)
	tab.WaitLocation(s.base + path)
	s.forbidCookies(w)
	return tab
}

// endSessions ends the sessions of a person as an operator does.
func (s *browserSite) endSessions(person string) {
	s.t.Helper()
	if status, body := s.AdminCall(http.MethodDelete, "/gluu/sessions?sub="+url.QueryEscape(person), nil); status >= 300 {
		s.t.Fatalf("ending the sessions of %s: %d %s", person, status, body)
	}
}

// loginCookies counts the logins under way in a window.
func loginCookies(w *harness.Window) (n int) {
	for name := range w.Cookies() {
		if strings.Contains(name, "gluu_login_") {
			n++
		}
	}
	return n
}

// What a person does with a browser at a site that npm's oidc-provider guards.
func TestLoginDrillsInABrowser(t *testing.T) {
	t.Parallel()
	browser := harness.StartBrowser(t)
	s := startBrowserSite(t, browser, "")
	for _, drill := range []struct {
		name string
		run  func(*testing.T, *browserSite)
	}{
		{"a deep link with a query survives the login", drillDeepLink},
		{"five tabs log in in any order", drillFiveTabs},
		{"a path steps up", drillStepUp},
		{"a form that is sent without a session is sent after the login", drillForm},
		{"fetch is told 401", drillFetch},
		{"icons and prefetch disturb no login", drillBackground},
		{"the next visit after a logout shows the login page", drillLogout},
		{"a frame of the provider ends the session", drillFrontChannel},
		{"another site cannot log a person out", drillForeignLogout},
	} {
		t.Run(drill.name, func(t *testing.T) {
			again := *s
			again.t = t
			drill.run(t, &again)
		})
	}
}

func drillDeepLink(t *testing.T, s *browserSite) {
	const link = "/reports/2026?q=a%2Bb+c&empty=&%C3%BC=%F0%9F%8C%8D"
	w := s.window(t)
	tab := s.loggedIn(w, link, "dora")
	tab.WaitText("for dora")
	for _, r := range s.app.requests("/reports/2026") {
		if r.target != link || r.person != "dora" || strings.Contains(r.cookies, "gluu_") {
			t.Errorf("the application received %+v", r)
		}
	}
	session := w.Cookies()["__Host-gluu_session"]
	if session == "" || len(session) > 100 || loginCookies(w) != 0 {
		t.Errorf("after the login the window has %v", w.Cookies())
	}
	if shown := tab.Eval("document.cookie"); strings.Contains(shown, "gluu_") {
		t.Errorf("a script of the page can read %q", shown)
	}
}

func drillFiveTabs(t *testing.T, s *browserSite) {
	w := s.window(t)
	var tabs []*harness.Tab
	for i := range 5 {
		tab := w.Tab()
		tab.Open(fmt.Sprintf("%s/tab/%d?n=%d", s.base, i, i))
		tab.WaitText("Log in at the provider")
		tabs = append(tabs, tab)
	}
	if n := loginCookies(w); n != 5 {
		t.Errorf("%d logins are under way, want 5", n)
	}
	s.forbidCookies(w)
	for _, i := range []int{3, 0, 4, 2, 1} {
		s.logIn(tabs[i], "fay")
		tabs[i].WaitLocation(fmt.Sprintf("%s/tab/%d?n=%d", s.base, i, i))
	}
	if n := loginCookies(w); n != 0 {
		t.Errorf("%d logins are left, want none", n)
	}
}

func drillStepUp(t *testing.T, s *browserSite) {
	w := s.window(t)
	tab := s.loggedIn(w, "/", "gus")
	before := w.Cookies()["__Host-gluu_session"]
	if got := tab.Eval(`fetch("/vault/1").then(async r => r.status + " " + r.headers.get("WWW-Authenticate"))`); !strings.HasPrefix(got, "401 ") ||
		!strings.Contains(got, "insufficient_user_authentication") || !strings.Contains(got, `acr_values="gold"`) {
		t.Errorf("a script without the level: got %s", got)
	}
	tab.Open(s.base + "/vault/1?x=y")
	tab.WaitText("Asked for: gold")
	s.logIn(tab, "gus")
	tab.WaitLocation(s.base + "/vault/1?x=y")
	if after := w.Cookies()["__Host-gluu_session"]; after == before {
		t.Error("the step-up kept the id of the session")
	}
	// The session remembers both levels.
	for _, path := range []string{"/", "/vault/2"} {
		tab.Open(s.base + path)
		tab.WaitLocation(s.base + path)
	}
}

func drillForm(t *testing.T, s *browserSite) {
	const text = "a&b=c +%2B \u00e4\U0001F30D"
	w := s.window(t)
	tab := s.loggedIn(w, "/shop", "hal")
	s.endSessions("hal")
	tab.Type("input[name=item]", text)
	tab.Click("#send")
	// The provider still knows the person: nothing is to be typed.
	tab.WaitText("POST /orders?list=%2B1&a=b")
	received := s.app.requests("/orders")
	if len(received) != 1 {
		t.Fatalf("the application received %d orders: %+v", len(received), received)
	}
	form, err := url.ParseQuery(received[0].body)
	if r := received[0]; err != nil || r.method != http.MethodPost || form.Get("item") != text || r.person != "hal" ||
		r.contentType != "application/x-www-form-urlencoded" {
		t.Errorf("the application received %+v", received[0])
	}
	// Once: another visit of the address is what it looks like.
	tab.Open(s.base + "/orders?list=%2B1&a=b")
	tab.WaitText("GET /orders?list=%2B1&a=b")
}

func drillFetch(t *testing.T, s *browserSite) {
	w := s.window(t)
	tab := s.loggedIn(w, "/", "ida")
	if got := tab.Eval(`fetch("/api").then(r => r.status)`); got != "200" {
		t.Errorf("with a session: got %s", got)
	}
	s.endSessions("ida")
	got := tab.Eval(`fetch("/api").then(async r => r.status + " " + r.redirected + " " + (await r.json()).error)`)
	if got != "401 false login_required" {
		t.Errorf("without a session: got %s", got)
	}
	if n := loginCookies(w); n != 0 {
		t.Errorf("the script began %d logins", n)
	}
}

// drillBackground opens a page of another site that makes the browser ask for
// things of this one in every way that does not matter.
func drillBackground(t *testing.T, s *browserSite) {
	s.server.Fault("/portal", harness.Answer(http.StatusOK, "text/html", `<!DOCTYPE html><title>Portal</title><p>Portal</p>
		<img src="`+s.base+`/favicon.ico"><img src="`+s.base+`/logo.png"><link rel="prefetch" href="`+s.base+`/next">
		<link rel="stylesheet" href="`+s.base+`/style.css"><script src="`+s.base+`/script.js"></script>
		<iframe src="`+s.base+`/frame"></iframe>
		<form method="post" action="`+s.base+`/orders?evil"><input name="item" value="evil"><button id="evil">Go</button></form>
		<a id="go" href="`+s.base+`/wanted?page=1">Go</a>`))
	defer s.server.Fault("/portal", nil)
	w := s.window(t)
	tab := w.Tab()
	begun := s.server.Count(opAuthorizationPath)
	tab.Open(s.server.Issuer + "/portal")
	tab.WaitText("Portal")
	if n := loginCookies(w); n != 0 || s.server.Count(opAuthorizationPath) != begun {
		t.Errorf("what a browser loads by itself began %d logins", n)
	}
	tab.Click("#go")
	s.logIn(tab, "joe")
	tab.WaitLocation(s.base + "/wanted?page=1")
	// A form of another site is not sent for the person, with or without a
	// session: this one lacks the session, since SameSite keeps it.
	tab.Open(s.server.Issuer + "/portal")
	tab.Click("#evil")
	tab.WaitText("Login required")
	for _, r := range s.app.requests("/orders") {
		if strings.Contains(r.target, "evil") {
			t.Errorf("the application received %+v", r)
		}
	}
}

func drillLogout(t *testing.T, s *browserSite) {
	w := s.window(t)
	tab := s.loggedIn(w, "/", "kim")
	other := w.Tab()
	other.Open(s.base + "/other")
	other.WaitText("for kim")
	tab.Click("#out")
	tab.WaitText("Do you want to sign-out")
	if cookies := w.Cookies(); cookies["__Host-gluu_session"] != "" {
		t.Errorf("after the logout the window has %v", cookies)
	}
	tab.Click(`button[name=logout]`)
	tab.WaitText("GET /goodbye")
	if got := other.Eval(`fetch("/api").then(r => r.status)`); got != "401" {
		t.Errorf("the other tab after the logout: got %s", got)
	}
	tab.Open(s.base + "/")
	tab.WaitText("Log in at the provider")
}

func drillFrontChannel(t *testing.T, s *browserSite) {
	w := s.window(t)
	tab := s.loggedIn(w, "/", "lea")
	sid := s.sid()
	s.server.Fault("/signed-out", harness.Answer(http.StatusOK, "text/html", `<!DOCTYPE html><title>Out</title><p>Signed out</p>
		<iframe src="`+s.base+`/frontchannel-logout?`+url.Values{"iss": {s.server.Issuer}, "sid": {sid}}.Encode()+`"></iframe>`))
	defer s.server.Fault("/signed-out", nil)
	frame := w.Tab()
	frame.Open(s.server.Issuer + "/signed-out")
	frame.WaitText("Signed out")
	harness.Eventually(t, 10*time.Second, func() string {
		if got := tab.Eval(`fetch("/api").then(r => r.status)`); got != "401" {
			return "the session goes on: " + got
		}
		return ""
	})
}

// sid is the provider's name of the session of the last login.
func (s *browserSite) sid() string {
	s.t.Helper()
	answers := s.tokenAnswers()
	var answer struct {
		IDToken string `json:"id_token"`
	}
	if err := json.Unmarshal([]byte(answers[len(answers)-1]), &answer); err != nil {
		s.t.Fatal(err)
	}
	_, payload, _ := strings.Cut(answer.IDToken, ".")
	payload, _, _ = strings.Cut(payload, ".")
	text, err := base64.RawURLEncoding.DecodeString(payload)
	if err != nil {
		s.t.Fatal(err)
	}
	var claims struct {
		SID string `json:"sid"`
	}
	if err := json.Unmarshal(text, &claims); err != nil || claims.SID == "" {
		s.t.Fatalf("the ID token has no sid: %s, %v", text, err)
	}
	return claims.SID
}

func drillForeignLogout(t *testing.T, s *browserSite) {
	s.server.Fault("/evil", harness.Answer(http.StatusOK, "text/html", `<!DOCTYPE html><title>Evil</title><p>Evil</p>
		<img src="`+s.base+`/logout"><iframe src="`+s.base+`/logout"></iframe><a id="go" href="`+s.base+`/logout">Go</a>`))
	defer s.server.Fault("/evil", nil)
	w := s.window(t)
	tab := s.loggedIn(w, "/", "mia")
	evil := w.Tab()
	evil.Open(s.server.Issuer + "/evil")
	evil.WaitText("Evil")
	evil.Click("#go")
	evil.WaitText("Another site asks to log you out here.")
	if got := tab.Eval(`fetch("/api").then(r => r.status)`); got != "200" {
		t.Errorf("after the other site's links: got %s", got)
	}
	evil.Click("button") // the person wants it
	evil.WaitText("Do you want to sign-out")
	if got := tab.Eval(`fetch("/api").then(r => r.status)`); got != "401" {
		t.Errorf("after the person's own click: got %s", got)
	}
}

// Without a refresh token the browser goes to the provider and back, and the
// person sees nothing of it.
func TestABrowserRenewsTheSessionSilently(t *testing.T) {
	t.Parallel()
	s := startBrowserSite(t, harness.StartBrowser(t), "max_id_token_age 4s\nuserinfo off")
	w := s.window(t)
	tab := s.loggedIn(w, "/", "ned")
	first := w.Cookies()["__Host-gluu_session"]
	begun := s.server.Count(opAuthorizationPath)
	harness.Eventually(t, time.Minute, func() string {
		tab.Open(s.base + "/page?n=1")
		if at := tab.Location(); at != s.base+"/page?n=1" {
			t.Fatalf("the person sees %s", at)
		}
		if s.server.Count(opAuthorizationPath) == begun {
			return "the session was not renewed"
		}
		return ""
	})
	if after := w.Cookies()["__Host-gluu_session"]; after == "" || after == first {
		t.Error("the renewed session has no new id")
	}
	var silent int
	for _, address := range w.Addresses() {
		if strings.HasPrefix(address, s.server.Issuer) && strings.Contains(address, "prompt=none") {
			silent++
		}
	}
	if silent == 0 {
		t.Error("no renewal asked with prompt=none")
	}
}

func TestABrowserComesBackToTheFragment(t *testing.T) {
	t.Parallel()
	s := startBrowserSite(t, harness.StartBrowser(t), "keep_fragment true")
	tab := s.window(t).Tab()
	tab.Open(s.base + "/app?q=1#/inbox/42")
	s.logIn(tab, "oda")
	tab.WaitLocation(s.base + "/app?q=1#/inbox/42")
}

// A strict cookie does not come along the way back from the provider, nor with
// a link of another site: neither may loop.
func TestABrowserLogsInWithAStrictCookie(t *testing.T) {
	t.Parallel()
	s := startBrowserSite(t, harness.StartBrowser(t), "cookie_same_site strict")
	w := s.window(t)
	tab := s.loggedIn(w, "/page?q=1", "pam")
	tab.WaitText("for pam")
	s.server.Fault("/portal", harness.Answer(http.StatusOK, "text/html", `<!DOCTYPE html><p>Portal</p><a id="go" href="`+s.base+`/linked">Go</a>`))
	tab.Open(s.server.Issuer + "/portal")
	tab.Click("#go")
	tab.WaitLocation(s.base + "/linked") // the provider knows the person
	tab.WaitText("for pam")
}
