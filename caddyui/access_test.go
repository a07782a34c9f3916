// SPDX-License-Identifier: Apache-2.0

package caddyui

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// leastRole is the whole table of routes once more, written down by hand: a route
// that is added has to be added here, too.
var leastRole = map[string]role{
	"GET /style.css": nobody, "GET /app.js": nobody, "GET /icon.svg": nobody,
	"GET /open": nobody, "POST /open": nobody, "POST /close": viewer,
	"GET /": viewer, "GET /routes": viewer, "GET /metrics": viewer, "GET /route": viewer, "GET /decisions": viewer, "GET /tail": viewer, "GET /why": viewer, "GET /providers": viewer, "GET /uma": viewer, "GET /opa": viewer,
	"GET /playground": viewer, "POST /playground": viewer, "POST /playground-replay": viewer, "POST /playground-tests": viewer, "POST /playground-save": admin, "GET /tokens": viewer, "POST /tokens": viewer, "POST /forget": operator,
	"GET /consumers": viewer, "GET /consumer": viewer, "POST /consumer": admin, "POST /consumer-delete": admin,
	"GET /sessions": viewer, "POST /sessions-end": operator, "GET /streams": viewer, "POST /streams-end": operator,
	"GET /rules": viewer, "POST /rules": admin, "POST /rules-review": viewer,
	"GET /changes": viewer, "GET /configuration": viewer, "POST /configuration": admin, "GET /configuration-version": viewer,
	"POST /configuration-import": admin, "POST /configuration-confirm": admin, "POST /configuration-return": admin,
}

// Every route with every method for everyone. What the table does not name does not
// exist, and what needs a role is refused without it, before anything else is done.
func TestSec_S406_S408_EveryRouteNeedsItsRole(t *testing.T) {
	u := newUI(t, runApp(t))
	paths := map[string]bool{"/unknown": true, "/style.css/": true, "//": true, "/../": true, "/OPEN": true}
	for _, r := range routes {
		paths[r.path] = true
		if _, known := leastRole[r.method+" "+r.path]; !known {
			t.Errorf("%s %s is not in the table of this test", r.method, r.path)
		}
	}
	groups := map[string]role{"": nobody, "strangers": nobody, "viewers": viewer, "operators": operator, "admins": admin}
	for path := range paths {
		for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "get"} {
			for group, has := range groups {
				// Without a token no change is made, whatever the role is.
				got := answer(t, u, request(method, path, group, url.Values{})).StatusCode
				least, known := leastRole[strings.Replace(method, "HEAD", "GET", 1)+" "+path]
				var allowed bool
				switch {
				case known && least == nobody:
					allowed = got != http.StatusUnauthorized
				case group == "":
					allowed = got == http.StatusUnauthorized || !known && isPublic(path) && got == http.StatusMethodNotAllowed
				case known && has < least:
					allowed = got == http.StatusForbidden
				case known && method == "POST":
					allowed = got == http.StatusForbidden // no token
				case known:
					allowed = got == http.StatusOK || got == http.StatusNotFound || got == http.StatusBadRequest || got == http.StatusBadGateway // no admin endpoint
				default:
					allowed = got == http.StatusNotFound || got == http.StatusMethodNotAllowed
				}
				if !allowed {
					t.Errorf("%s %s for %q: got %d", method, path, group, got)
				}
			}
		}
	}
}

func isPublic(path string) bool {
	found, _ := routeOf(path, http.MethodGet)
	return found != nil && found.least == nobody
}

// The role comes from the claims of each request; there is no record of a person
// that a person could change.
func TestSec_S405_TheRoleIsThatOfTheClaims(t *testing.T) {
	u := newUI(t, runApp(t))
	for group, want := range map[string]role{"admins": admin, "operators": operator, "viewers": viewer, "strangers": nobody} {
		r := request(http.MethodGet, "/?role=admin&groups=admins", group, nil)
		r.Header.Set("X-Role", "admin")
		if got := u.visitorOf(r, true); got == nil || got.role != want {
			t.Errorf("%s: got %+v, want %s", group, got, want)
		}
	}
	if got := u.visitorOf(request(http.MethodGet, "/", "", nil), true); got != nil {
		t.Errorf("without a login: got %+v", got)
	}
}

// An access token that a program sends is not a login.
func TestATokenIsNotALogin(t *testing.T) {
	u := newUI(t, runApp(t))
	r := request(http.MethodGet, "/", "admins", nil)
	id := *loginOf(r)
	id.Details = nil
	attach(r, id)
	if got := u.visitorOf(r, true); got != nil {
		t.Errorf("got %+v", got)
	}
}

func TestSec_S401_FormsOfOtherSitesChangeNothing(t *testing.T) {
	u := newUI(t, runApp(t))
	for name, c := range map[string]struct {
		header, value, host, token string
		want                       int
	}{
		"as a page of ours sends it":   {"Sec-Fetch-Site", "same-origin", host, tokenOf(u, "viewers"), http.StatusNotFound}, // there is nothing to close
		"another site":                 {"Sec-Fetch-Site", "cross-site", host, tokenOf(u, "viewers"), http.StatusForbidden},
		"another host of the site":     {"Sec-Fetch-Site", "same-site", host, tokenOf(u, "viewers"), http.StatusForbidden},
		"an old browser, another site": {"Origin", "https://evil.example", host, tokenOf(u, "viewers"), http.StatusForbidden},
		"no token":                     {"Sec-Fetch-Site", "same-origin", host, "", http.StatusForbidden},
		"the token of someone else":    {"Sec-Fetch-Site", "same-origin", host, tokenOf(u, "admins"), http.StatusForbidden},
		"another name for this server": {"Sec-Fetch-Site", "same-origin", "evil.example", tokenOf(u, "viewers"), http.StatusMisdirectedRequest},
		"a name that begins like ours": {"Sec-Fetch-Site", "same-origin", host + ".evil.example", tokenOf(u, "viewers"), http.StatusMisdirectedRequest},
		"loopback, which is not local": {"Sec-Fetch-Site", "same-origin", "127.0.0.1", tokenOf(u, "viewers"), http.StatusMisdirectedRequest},
		"our name with a port":         {"Sec-Fetch-Site", "same-origin", host + ":8443", tokenOf(u, "viewers"), http.StatusNotFound},
		"our name in capital letters":  {"Sec-Fetch-Site", "same-origin", strings.ToUpper(host), tokenOf(u, "viewers"), http.StatusNotFound},
	} {
		t.Run(name, func(t *testing.T) {
			r := request(http.MethodPost, "/close", "viewers", url.Values{"token": {c.token}})
			r.Header.Set(c.header, c.value)
			r.Host = c.host
			if got := answer(t, u, r); got.StatusCode != c.want {
				t.Errorf("got %s, want %d", got.Status, c.want)
			}
		})
	}
}

// What a browser is told about each answer, refusals included.
func TestTheBrowserIsToldToTrustNothingElse(t *testing.T) {
	u := newUI(t, runApp(t))
	for _, r := range []*http.Request{
		request(http.MethodGet, "/", "viewers", nil), request(http.MethodGet, "/", "", nil), request(http.MethodGet, "/unknown", "viewers", nil), request(http.MethodGet, "/app.js", "", nil),
	} {
		got := answer(t, u, r).Header
		policy := got.Get("Content-Security-Policy")
		for _, part := range []string{"default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'", "script-src 'nonce-", "style-src 'nonce-", "form-action 'self'", "require-trusted-types-for 'script'"} {
			if !strings.Contains(policy, part) {
				t.Errorf("%s: the policy lacks %s: %s", r.URL.Path, part, policy)
			}
		}
		for name, want := range map[string]string{
			"Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Resource-Policy": "same-origin",
			"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "X-Frame-Options": "DENY",
		} {
			if got.Get(name) != want {
				t.Errorf("%s: %s is %q, want %q", r.URL.Path, name, got.Get(name), want)
			}
		}
		if strings.Contains(policy, "unsafe") || strings.Contains(policy, "*") {
			t.Errorf("the policy is loose: %s", policy)
		}
	}
	first := answer(t, u, request(http.MethodGet, "/", "viewers", nil)).Header.Get("Content-Security-Policy")
	if second := answer(t, u, request(http.MethodGet, "/", "viewers", nil)).Header.Get("Content-Security-Policy"); first == second {
		t.Error("two answers have the same nonce")
	}
}

func TestAFormThatIsTooLargeIsRefused(t *testing.T) {
	u := newUI(t, runApp(t))
	r := request(http.MethodPost, "/close", "viewers", url.Values{"token": {tokenOf(u, "viewers")}, "x": {strings.Repeat("x", maxBody)}})
	if got := answer(t, u, r); got.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("got %s", got.Status)
	}
}

// Addresses in pages are relative, so that they hold under any prefix and behind a
// proxy that strips one.
func TestSec_S421_PagesHoldUnderAnyPrefix(t *testing.T) {
	u := newUI(t, runApp(t))
	u.PathPrefix = "/a/gateway/"
	if got := answer(t, u, request(http.MethodGet, "/a/gateway", "viewers", nil)); got.Header.Get("Location") != "./gateway/" {
		t.Errorf("got %s to %q, want the prefix with a slash", got.Status, got.Header.Get("Location"))
	}
	for _, r := range routes {
		if r.method != http.MethodGet {
			continue
		}
		page := bodyOf(t, answer(t, u, request(http.MethodGet, "/a/gateway"+r.path, "admins", nil)))
		for _, wrong := range []string{`href="/`, `src="/`, `action="/`, "http-equiv", "<base"} {
			if strings.Contains(page, wrong) {
				t.Errorf("%s contains %s", r.path, wrong)
			}
		}
	}
	passed := false
	next := func(http.ResponseWriter, *http.Request) error { passed = true; return nil }
	if err := u.ServeHTTP(nil, request(http.MethodGet, "/a/gateways", "viewers", nil), handlerFunc(next)); err != nil || !passed {
		t.Errorf("a path beside the prefix was not passed on: %v", err)
	}
}
