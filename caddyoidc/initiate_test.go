// SPDX-License-Identifier: Apache-2.0

package caddyoidc

import (
	"html"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

func TestAnotherSiteMayStartALogin(t *testing.T) {
	w := newWorld(t, 1, nil)
	g := w.gateways[0]
	g.visitor.endpoints["/initiate"] = g.visitor.initiateLogin
	issuer := w.op.Issuer()
	for _, test := range []struct {
		name   string
		params url.Values
		status int
		page   string // where the person comes to
	}{
		{"oidcc-client-test-3rd-party-init-login", url.Values{"iss": {issuer}, "login_hint": {"alice"}, "target_link_uri": {g.URL + "/deep?x=1"}}, 302, "/deep?x=1"},
		{"without a target", url.Values{"iss": {issuer}}, 302, "/landing"},
		{"target on another site", url.Values{"iss": {issuer}, "target_link_uri": {"https://evil.example/"}}, 302, "/landing"},
		{"target that only begins like this site", url.Values{"iss": {issuer}, "target_link_uri": {g.URL + ".evil.example/"}}, 302, "/landing"},
		{"target with two slashes", url.Values{"iss": {issuer}, "target_link_uri": {g.URL + "//evil.example"}}, 302, "/landing"},
		{"another provider", url.Values{"iss": {"https://evil.example"}}, 400, ""},
		{"no provider", url.Values{"target_link_uri": {g.URL + "/"}}, 400, ""},
		{"two providers", url.Values{"iss": {issuer, "https://evil.example"}}, 400, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			for _, method := range []string{http.MethodGet, http.MethodPost} {
				p := w.newPerson()
				var got answer
				if method == http.MethodGet {
					got = p.once(method, g.URL+"/initiate?"+test.params.Encode(), nil, "")
				} else {
					got = p.once(method, g.URL+"/initiate", form, test.params.Encode())
				}
				if got.StatusCode != test.status {
					t.Errorf("%s: got %d %s, want %d", method, got.StatusCode, got.body, test.status)
				}
				if test.status == 302 {
					if target := p.logInFrom(got); target != g.URL+test.page {
						t.Errorf("%s: the person comes to %s, want %s", method, target, test.page)
					}
				}
			}
		})
	}
	if hint := w.op.Requests()[0].Get("login_hint"); hint != "alice" {
		t.Errorf("the provider was given the hint %q", hint)
	}
	p := w.newPerson()
	if got := p.once(http.MethodDelete, g.URL+"/initiate", nil, ""); got.StatusCode != 405 || got.Header.Get("Allow") != "GET, POST" {
		t.Errorf("DELETE: got %d %v", got.StatusCode, got.Header)
	}
}

func TestParametersArePushedWhereTheProviderAsksForIt(t *testing.T) {
	w := newWorld(t, 1, nil)
	g, p := w.gateways[0], w.newPerson()
	p.want(p.open(g.URL+"/"), 200, "alice")
	if n := w.op.Calls("/par"); n != 0 {
		t.Errorf("%d requests were pushed although the provider does not ask for it", n)
	}
	w.provider.metadata["require_pushed_authorization_requests"] = true
	other := w.newPerson()
	toOP := other.once("GET", g.URL+"/", navigation, "")
	query := mustParse(t, toOP.Header.Get("Location")).Query()
	if len(query) != 2 || query.Get("client_id") != "web" || !strings.HasPrefix(query.Get("request_uri"), "urn:") {
		t.Errorf("the browser carries %v, want client_id and request_uri alone", query)
	}
	other.want(other.open(g.URL+"/a"), 200, `/a as "alice"`)
}

func TestSec_S119_AStrictCookieIsSetOnAPageOfThisSite(t *testing.T) {
	w := newWorld(t, 1, func(v *visitor) { v.jar.sameSite = http.SameSiteStrictMode })
	g, p := w.gateways[0], w.newPerson()
	toOP := p.once("GET", g.URL+"/a?b=c", navigation, "")
	back := p.once("GET", toOP.Header.Get("Location"), navigation, "")
	page := p.once("GET", back.Header.Get("Location"), crossSiteNavigation, "")
	p.want(page, 200, `http-equiv="refresh" content="0; url=/a?b=c"`)
	p.want(p.once("GET", g.URL+"/a?b=c", navigation, ""), 200, "alice")
}

func TestSec_S136_AFragmentSurvivesTheLogin(t *testing.T) {
	w := newWorld(t, 1, func(v *visitor) { v.keepFragment = true })
	g, p := w.gateways[0], w.newPerson()
	before := p.once("GET", g.URL+"/a", navigation, "")
	p.want(before, 200, `sessionStorage.setItem("gluu:fragment", location.hash)`)
	if !strings.Contains(before.body, "/authorize?") || !strings.Contains(before.Header.Get("Content-Security-Policy"), "script-src 'nonce-") {
		t.Errorf("the page before the login is %s with %s", before.body, before.Header.Get("Content-Security-Policy"))
	}
	_, target, _ := strings.Cut(before.body, `href="`)
	target, _, _ = strings.Cut(target, `"`)
	back := p.once("GET", html.UnescapeString(target), navigation, "")
	p.want(p.once("GET", back.Header.Get("Location"), navigation, ""), 200, `sessionStorage.getItem("gluu:fragment")`)
}
