// SPDX-License-Identifier: Apache-2.0

package caddyoidc

import (
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

func TestSec_S138_S193_ALogoutEndsTheSessionHereAndThere(t *testing.T) {
	w := newWorld(t, 2, nil)
	g, p := w.gateways[0], w.newPerson()
	p.want(p.open(g.URL+"/"), 200, "alice")
	cookie := sessionCookie(p, g)
	got := p.once("GET", g.URL+"/logout", http.Header{"Sec-Fetch-Site": {"same-origin"}}, "")
	target := mustParse(t, got.Header.Get("Location"))
	query := target.Query()
	if got.StatusCode != 302 || target.Path != "/logout" || query.Get("id_token_hint") == "" || query.Get("client_id") != "web" || query.Get("post_logout_redirect_uri") != g.URL+"/" || query.Get("state") == "" {
		t.Errorf("got %d to %s", got.StatusCode, target)
	}
	for _, at := range w.gateways {
		thief := w.newPerson()
		thief.client.Jar.SetCookies(mustParse(t, at.URL), []*http.Cookie{{Name: defaultSessionCookie, Value: cookie}})
		thief.want(thief.once("GET", at.URL+"/", programme, ""), 401, "login_required")
	}
	if sessionCookie(p, g) != "" {
		t.Error("the browser still has the session cookie")
	}
	if w.op.Calls("/revoke") != 1 {
		t.Error("the refresh token was not revoked")
	}
	// Without a session it goes the same way, without a hint.
	again := p.once("POST", g.URL+"/logout", nil, "")
	if again.StatusCode != 303 || strings.Contains(again.Header.Get("Location"), "id_token_hint") {
		t.Errorf("got %d to %s", again.StatusCode, again.Header.Get("Location"))
	}
}

func TestSec_S168_AnotherSiteCannotLogAnyoneOut(t *testing.T) {
	w := newWorld(t, 1, nil)
	g, p := w.gateways[0], w.newPerson()
	p.want(p.open(g.URL+"/"), 200, "alice")
	for _, test := range []struct {
		method string
		header http.Header
	}{
		{"GET", http.Header{"Sec-Fetch-Site": {"cross-site"}}},
		{"GET", http.Header{"Sec-Fetch-Site": {"same-site"}}},
		{"POST", http.Header{"Sec-Fetch-Site": {"cross-site"}}},
		{"POST", http.Header{"Origin": {"https://evil.example"}}},
		{"GET", http.Header{"Sec-Purpose": {"prefetch"}}},
	} {
		p.want(p.once(test.method, g.URL+"/logout", test.header, ""), 200, `<form method="post" action="/logout">`)
		p.want(p.once("GET", g.URL+"/", programme, ""), 200, "alice")
	}
	p.want(p.once("PUT", g.URL+"/logout", nil, ""), 405, "")
}

func TestAnIDTokenThatIsTooLongIsNoHint(t *testing.T) {
	w := newWorld(t, 1, nil)
	w.op.User.Claims = map[string]any{"much": strings.Repeat("x", 8000)}
	g, p := w.gateways[0], w.newPerson()
	p.want(p.open(g.URL+"/"), 200, "alice")
	target := p.once("GET", g.URL+"/logout", nil, "").Header.Get("Location")
	if len(target) > maxHintedURL || strings.Contains(target, "id_token_hint") || !strings.Contains(target, "client_id=web") {
		t.Errorf("got %d bytes: %.200s", len(target), target)
	}
}

// logoutClaims are those of a logout token for the sessions of alice.
func (w *world) logoutClaims(jti string, changes map[string]any) map[string]any {
	claims := map[string]any{
		"iss": w.op.Issuer(), "aud": "web", "iat": w.clock.now().Unix(), "jti": jti, "sub": "alice",
		"events": map[string]any{logoutEvent: map[string]any{}},
	}
	maps.Copy(claims, changes)
	return claims
}

var form = http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}

func (w *world) backchannel(g *gateway, claims map[string]any) answer {
	op := w.newPerson()
	return op.once("POST", g.URL+"/backchannel", form, url.Values{"logout_token": {w.op.Sign(w, claims, "logout+jwt")}}.Encode())
}

func TestSec_S141_TheOPEndsSessionsOnAllGateways(t *testing.T) {
	w := newWorld(t, 2, nil)
	one, two := w.newPerson(), w.newPerson() // two browsers of alice
	one.want(one.open(w.gateways[0].URL+"/"), 200, "alice")
	two.want(two.open(w.gateways[1].URL+"/"), 200, "alice")
	w.op.Lock()
	w.op.User.Subject = "bob"
	w.op.Unlock()
	bob := w.newPerson()
	bob.want(bob.open(w.gateways[0].URL+"/"), 200, "bob")

	got := w.backchannel(w.gateways[1], w.logoutClaims("1", nil))
	if got.StatusCode != 200 || got.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("got %d %v", got.StatusCode, got.Header)
	}
	for _, g := range w.gateways {
		one.want(one.once("GET", g.URL+"/", programme, ""), 401, "login_required")
		two.want(two.once("GET", g.URL+"/", programme, ""), 401, "login_required")
		bob.want(bob.once("GET", g.URL+"/", programme, ""), 200, "bob")
	}
	if got := w.backchannel(w.gateways[0], w.logoutClaims("2", map[string]any{"sid": "unknown", "sub": nil})); got.StatusCode != 200 {
		t.Errorf("an unknown session: got %d, want 200", got.StatusCode)
	}
}

func TestSec_S143_ALogoutTokenIsGoodOnce(t *testing.T) {
	w := newWorld(t, 2, nil)
	claims := w.logoutClaims("once", nil)
	for i, want := range []int{200, 400, 400} {
		if got := w.backchannel(w.gateways[i%2], claims); got.StatusCode != want || got.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("use %d: got %d %s, want %d", i+1, got.StatusCode, got.body, want)
		}
	}
	for name, send := range map[string]func(p *person) answer{
		"GET": func(p *person) answer { return p.once("GET", w.gateways[0].URL+"/backchannel", nil, "") },
		"JSON": func(p *person) answer {
			return p.once("POST", w.gateways[0].URL+"/backchannel", http.Header{"Content-Type": {"application/json"}}, `{}`)
		},
		"empty": func(p *person) answer { return p.once("POST", w.gateways[0].URL+"/backchannel", form, "") },
		"two": func(p *person) answer {
			return p.once("POST", w.gateways[0].URL+"/backchannel", form, "logout_token=a&logout_token=b")
		},
		"too large": func(p *person) answer {
			return p.once("POST", w.gateways[0].URL+"/backchannel", form, "logout_token="+strings.Repeat("a", maxLogoutForm))
		},
	} {
		if got := send(w.newPerson()); got.StatusCode != 400 && got.StatusCode != 405 {
			t.Errorf("%s: got %d %s", name, got.StatusCode, got.body)
		}
	}
}

func TestFrontChannelLogoutEndsTheSessionOfItsSID(t *testing.T) {
	w := newWorld(t, 1, nil)
	g, p := w.gateways[0], w.newPerson()
	var sid string
	pass := g.visitor.admitted
	g.visitor.admitted = func(v *visit) error { sid = v.session.SID; return pass(v) }
	p.want(p.open(g.URL+"/"), 200, "alice")
	frame := w.newPerson() // a frame of another site gets no cookies
	for _, query := range []url.Values{
		{"iss": {w.op.Issuer()}}, {"sid": {sid}}, {"iss": {"https://evil.example"}, "sid": {sid}}, {"iss": {w.op.Issuer()}, "sid": {sid, sid}},
	} {
		if got := frame.once("GET", g.URL+"/frontchannel?"+query.Encode(), nil, ""); got.StatusCode != 400 {
			t.Errorf("%v: got %d, want 400", query, got.StatusCode)
		}
	}
	p.want(p.once("GET", g.URL+"/", programme, ""), 200, "alice")
	got := frame.once("GET", g.URL+"/frontchannel?"+url.Values{"iss": {w.op.Issuer()}, "sid": {sid}}.Encode(), nil, "")
	if got.StatusCode != 200 || got.Header.Get("Cache-Control") != "no-store" || !strings.Contains(got.Header.Get("Content-Security-Policy"), "frame-ancestors "+w.op.URL) {
		t.Errorf("got %d %v", got.StatusCode, got.Header)
	}
	p.want(p.once("GET", g.URL+"/", programme, ""), 401, "login_required")
}
