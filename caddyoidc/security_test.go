// SPDX-License-Identifier: Apache-2.0

package caddyoidc

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/caddy-gluu/gateway/internal/session"
)

// callbackOf begins a login and returns the address that the provider sends the
// browser back to.
func (p *person) callbackOf(address string) *url.URL {
	p.Helper()
	toOP := p.once("GET", address, navigation, "")
	return mustParse(p.T, p.once("GET", toOP.Header.Get("Location"), navigation, "").Header.Get("Location"))
}

// No parameter of a request chooses where a person goes after a login or logout.
func TestSec_S104_NoParameterChoosesTheWay(t *testing.T) {
	w := newWorld(t, 1, nil)
	g := w.gateways[0]
	for _, name := range []string{"rd", "redirect", "redirect_uri", "return_to", "next", "url", "target_link_uri", "post_logout_redirect_uri", "continue"} {
		p := w.newPerson()
		query := "?" + url.Values{name: {"https://evil.example/"}}.Encode()
		p.want(p.open(g.URL+"/page"+query), 200, "/page"+query)
	}
	p := w.newPerson()
	callback := p.callbackOf(g.URL + "/page")
	callback.RawQuery += "&rd=https://evil.example/&redirect_uri=https://evil.example/&target_link_uri=https://evil.example/"
	if got := p.once("GET", callback.String(), navigation, ""); got.StatusCode != 302 || got.Header.Get("Location") != g.URL+"/page" {
		t.Errorf("the callback: got %d to %s", got.StatusCode, got.Header.Get("Location"))
	}
	got := p.once("GET", g.URL+"/logout?rd=https://evil.example/&post_logout_redirect_uri=https://evil.example/", nil, "")
	if location := got.Header.Get("Location"); got.StatusCode != 302 || strings.Contains(location, "evil") {
		t.Errorf("the logout: got %d to %s", got.StatusCode, location)
	}
}

// A sibling domain can set a cookie of the name: neither is believed.
func TestSec_S107_TwoLoginCookiesOfOneNameAreRefused(t *testing.T) {
	w := newWorld(t, 1, nil)
	g, p := w.gateways[0], w.newPerson()
	callback := p.callbackOf(g.URL + "/")
	var pairs []string
	for _, c := range p.client.Jar.Cookies(callback) {
		pairs = append(pairs, c.Name+"="+c.Value, c.Name+"=planted")
	}
	stranger := w.newPerson()
	header := http.Header{"Cookie": {strings.Join(pairs, "; ")}, "Accept": {"text/html"}}
	stranger.want(stranger.once("GET", callback.String(), header, ""), 400, "was not started in this browser")
	if w.op.Calls("/token") != 0 {
		t.Error("the code was sent to the token endpoint")
	}
}

// The browser has all that a login needs: thousands of them fill nothing here.
func TestSec_S113_BeginningALoginKeepsNothing(t *testing.T) {
	w := newWorld(t, 1, nil)
	g := w.gateways[0]
	for i := range 500 {
		stranger := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
		req, err := http.NewRequest(http.MethodGet, fmt.Sprintf("%s/%d", g.URL, i), nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := stranger.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != http.StatusFound || len(res.Cookies()) != 1 {
			t.Fatalf("login %d: got %s with %v", i, res.Status, res.Cookies())
		}
	}
	if n := g.visitor.sessions.InMemory(); n != 0 {
		t.Errorf("%d sessions are in memory", n)
	}
}

// What is past after max_id_token_age is renewed, on a path with an acr as on
// every other, and the cookie keeps its size.
func TestSec_S188_AnOldLoginIsRenewedWhereAnACRIsAskedFor(t *testing.T) {
	w := newWorld(t, 1, withRules(t, bankRules))
	w.op.ACRs, w.op.NoRefresh = []string{"gold"}, true
	g, p := w.gateways[0], w.newPerson()
	p.want(p.open(g.URL+"/transfers"), 200, "alice")
	size := len(sessionCookie(p, g))
	for range 3 {
		w.clock.advance(time.Hour)
		w.gateways[0].visitor.lifetimes.idle = 0
		p.want(p.open(g.URL+"/transfers"), 200, "alice")
		if got := len(sessionCookie(p, g)); got != size {
			t.Errorf("the cookie has %d bytes, and had %d", got, size)
		}
	}
}

// A path that needs no login is exactly what the upstream receives, and nothing of
// a request but path and method lets it pass.
func TestSec_S152_S194_OnlyThePathItselfNeedsNoLogin(t *testing.T) {
	w := newWorld(t, 1, withRules(t, bankRules))
	g, p := w.gateways[0], w.newPerson()
	p.want(p.once("GET", g.URL+"/imprint", programme, ""), 200, `as ""`)
	for _, target := range []string{
		"/imprint%23", "/imprint%3f", "/imprint/", "/imprint%2f..%2fadmin", "/imprint%20x", "/imprint;x", "/IMPRINT", "/admin?/imprint", "/admin?path=/imprint",
		"/callback/", "/callback%2f", "/callback/x", "/Callback", "/%63allback", "/logout/x", "/x/../admin",
	} {
		got := p.once("GET", g.URL+target, programme, "")
		if got.StatusCode != 401 && got.StatusCode != 400 {
			t.Errorf("%s: got %d %s, want a refusal", target, got.StatusCode, got.body)
		}
	}
	for name, value := range map[string]string{
		"X-Original-Url": "/imprint", "X-Rewrite-Url": "/imprint", "X-Forwarded-Uri": "/imprint", "User-Agent": "kube-probe/1.0", "X-Http-Method-Override": "GET",
	} {
		p.want(p.once("GET", g.URL+"/admin", http.Header{name: {value}, "Accept": {"application/json"}}, ""), 401, "login_required")
	}
	p.want(p.once("POST", g.URL+"/imprint", programme, ""), 401, "login_required")
	if n := len(g.seen); n != 1 {
		t.Errorf("%d requests reached the application, want the first one", n)
	}
}

// An answer of the gateway is the only answer.
func TestSec_S154_NothingFollowsAnOwnAnswer(t *testing.T) {
	w := newWorld(t, 1, nil)
	g, p := w.gateways[0], w.newPerson()
	for _, path := range []string{"/", "/callback", "/callback?state=x&code=y", "/logout", "/backchannel", "/frontchannel"} {
		p.once("GET", g.URL+path, navigation, "")
		p.once("GET", g.URL+path, programme, "")
		p.once("POST", g.URL+path, programme, "x")
	}
	if n := len(g.seen); n != 0 {
		t.Errorf("%d requests reached the application, the first is %+v", n, <-g.seen)
	}
}

// What the provider says about an error is for the log.
func TestSec_S155_NothingThatTheProviderSaysIsShown(t *testing.T) {
	w := newWorld(t, 1, nil)
	g := w.gateways[0]
	const script = `<script>alert(1)</script>"'{{7*7}}`
	for _, code := range []string{"access_denied", "server_error", script} {
		p := w.newPerson()
		callback := p.callbackOf(g.URL + `/page?q=<script>`)
		query := callback.Query()
		query.Del("code")
		query.Set("error", code)
		query.Set("error_description", script)
		query.Set("error_uri", "javascript:alert(1)")
		callback.RawQuery = query.Encode()
		got := p.once("GET", callback.String(), navigation, "")
		if got.StatusCode < 400 || strings.Contains(got.body, "alert") || strings.Contains(got.body, "<script") || strings.Contains(got.body, "49") {
			t.Errorf("%s: got %d %s", code, got.StatusCode, got.body)
		}
	}
}

// A person is the subject at the issuer. Nothing else that a token says makes
// them another one.
func TestSec_S162_AnAddressIsNotAnIdentity(t *testing.T) {
	w := newWorld(t, 1, nil)
	g, p := w.gateways[0], w.newPerson()
	w.op.User.Claims = map[string]any{"email": "root@example.com@evil.example", "preferred_username": "root", "upn": "root"}
	p.want(p.open(g.URL+"/"), 200, `as "alice"`)
	s := &session.Session{Issuer: "https://a.example", Subject: "alice"}
	if s.IsOf("https://b.example", "alice") || !s.IsOf("https://a.example", "alice") {
		t.Error("a subject is unique at its issuer only")
	}
}

// A tab without a session leaves the cookies of another tab's login alone.
func TestSec_S164_AnAnonymousRequestTouchesNoCookie(t *testing.T) {
	w := newWorld(t, 1, withRules(t, bankRules))
	g, p := w.gateways[0], w.newPerson()
	callback := p.callbackOf(g.URL + "/a")
	for _, path := range []string{"/imprint", "/favicon.ico", "/b"} {
		if got := p.once("GET", g.URL+path, programme, ""); len(got.Cookies()) > 0 {
			t.Errorf("%s sets %v", path, got.Cookies())
		}
	}
	if got := p.once("GET", g.URL+"/logout", nil, ""); got.StatusCode != 302 {
		t.Errorf("the logout of the other tab: got %d", got.StatusCode)
	}
	p.want(p.open(callback.String()), 200, `/a as "alice"`)
}

// Cookies of any shape cost little and open nothing.
func TestSec_S123_OddCookiesOpenNothing(t *testing.T) {
	w := newWorld(t, 1, nil)
	g, p := w.gateways[0], w.newPerson()
	p.want(p.open(g.URL+"/"), 200, "alice")
	good := sessionCookie(p, g)
	stranger := w.newPerson()
	odd := []string{
		"", "1", good[:len(good)-1], good + "A", "2" + good[1:], strings.ToUpper(good), strings.Repeat("1", len(good)), strings.Repeat("x", 30_000),
		good[:23] + strings.Repeat("A", len(good)-23), `"` + good + `"`, " " + good + "=", "\x00" + good, good + "%00",
	}
	for _, value := range odd {
		header := http.Header{"Cookie": {defaultSessionCookie + "=" + value}, "Accept": {"application/json"}}
		req, err := http.NewRequest(http.MethodGet, g.URL+"/", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header = header
		res, err := stranger.client.Do(req)
		if err != nil {
			continue // net/http sends no such header
		}
		res.Body.Close()
		if res.StatusCode != 401 && res.StatusCode != 400 || len(res.Cookies()) > 0 {
			t.Errorf("%.40q: got %d and %v", value, res.StatusCode, res.Cookies())
		}
	}
	// The right one counts, whatever stands before it, up to a limit.
	ask := func(before int) int {
		line := strings.Repeat(defaultSessionCookie+"=junk; ", before) + defaultSessionCookie + "=" + good
		return stranger.once("GET", g.URL+"/", http.Header{"Cookie": {line}, "Accept": {"application/json"}}, "").StatusCode
	}
	if got := ask(maxCandidates - 1); got != 200 {
		t.Errorf("after %d others: got %d", maxCandidates-1, got)
	}
	if got := ask(maxCandidates); got != 401 {
		t.Errorf("after %d others: got %d", maxCandidates, got)
	}
}

// The claims of the provider travel in a session of one person; a logout token
// for one person ends no other's, whatever its sid.
func TestALogoutTokenMustFitInBoth(t *testing.T) {
	w := newWorld(t, 1, nil)
	g, alice := w.gateways[0], w.newPerson()
	var sid string
	w.op.EditIDToken = func(claims, _ map[string]any) { sid, _ = claims["sid"].(string) }
	alice.want(alice.open(g.URL+"/"), 200, "alice")
	if got := w.backchannel(g, w.logoutClaims("j-1", map[string]any{"sub": "bob", "sid": sid})); got.StatusCode != 200 {
		t.Errorf("got %d %s", got.StatusCode, got.body)
	}
	alice.want(alice.once("GET", g.URL+"/", programme, ""), 200, "alice")
}

// Two logouts at once, and one while the session is renewed, end it once and for
// all.
func TestParallelLogoutsEndASessionOnce(t *testing.T) {
	w := newWorld(t, 2, nil)
	p := w.newPerson()
	p.want(p.open(w.gateways[0].URL+"/"), 200, "alice")
	cookie := sessionCookie(p, w.gateways[0])
	w.clock.advance(time.Hour) // due for renewal
	for _, g := range w.gateways {
		g.visitor.lifetimes.idle = 0
	}
	done := make(chan int, 20)
	for i := range 20 {
		g := w.gateways[i%2]
		path := "/logout"
		if i%4 < 2 {
			path = "/"
		}
		go func() {
			req, _ := http.NewRequest(http.MethodGet, g.URL+path, nil)
			req.Header.Set("Cookie", defaultSessionCookie+"="+cookie)
			req.Header.Set("Accept", "application/json")
			res, err := http.DefaultTransport.RoundTrip(req)
			if err != nil {
				done <- 0
				return
			}
			res.Body.Close()
			done <- res.StatusCode
		}()
	}
	for range 20 {
		if status := <-done; status != 200 && status != 302 && status != 401 {
			t.Errorf("got %d", status)
		}
	}
	for _, g := range w.gateways {
		thief := w.newPerson()
		thief.client.Jar.SetCookies(mustParse(t, g.URL), []*http.Cookie{{Name: defaultSessionCookie, Value: cookie}})
		thief.want(thief.once("GET", g.URL+"/", programme, ""), 401, "login_required")
	}
}
