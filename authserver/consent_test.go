// SPDX-License-Identifier: Apache-2.0

package authserver

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// A decision counts only from the page, in the browser and by the person that it was shown
// to, and once.
func TestSec_S239_AForeignDecisionDoesNotCount(t *testing.T) {
	server := start(t, peopleConfig(), t.TempDir())
	b := server.browser("alice")
	page := b.authorize(authorization("web"))
	path, token := formOf(t, page)
	allow := url.Values{"token": {token}, "decision": {"allow"}}
	cookies := b.cookies
	for name, attack := range map[string]func(*browser) answer{
		"another origin": func(b *browser) answer {
			b.origin = "https://evil.example"
			return b.send(http.MethodPost, path, allow)
		},
		"no origin":    func(b *browser) answer { b.origin = ""; return b.send(http.MethodPost, path, allow) },
		"origin null":  func(b *browser) answer { b.origin = "null"; return b.send(http.MethodPost, path, allow) },
		"another site": func(b *browser) answer { b.site = "cross-site"; return b.send(http.MethodPost, path, allow) },
		"another browser": func(b *browser) answer {
			b.cookies = server.browser("alice").cookies
			return b.send(http.MethodPost, path, allow)
		},
		"another cookie": func(b *browser) answer {
			b.cookies = map[string]string{"__Host-gluu_authorize": strings.Repeat("x", 43)}
			return b.send(http.MethodPost, path, allow)
		},
		"another person":    func(b *browser) answer { b.user = "bob"; return b.send(http.MethodPost, path, allow) },
		"nobody":            func(b *browser) answer { b.user = ""; return b.send(http.MethodPost, path, allow) },
		"without the token": func(b *browser) answer { return b.send(http.MethodPost, path, url.Values{"decision": {"allow"}}) },
		"with another token": func(b *browser) answer {
			return b.send(http.MethodPost, path, url.Values{"decision": {"allow"}, "token": {"x"}})
		},
		"in the address":       func(b *browser) answer { return b.send(http.MethodPost, path+"?"+allow.Encode(), nil) },
		"by GET":               func(b *browser) answer { return b.send(http.MethodGet, path+"?"+allow.Encode(), nil) },
		"of another challenge": func(b *browser) answer { return b.send(http.MethodPost, "/oauth2/authorize/x", allow) },
	} {
		t.Run(name, func(t *testing.T) {
			attacker := &browser{running: server, user: "alice", site: "same-origin", origin: testIssuer, cookies: cookies}
			if a := attack(attacker); a.Code < 400 || a.Header().Get("Location") != "" {
				t.Errorf("got %d %v", a.Code, a.Header())
			}
		})
	}
	if values := redirectTo(t, b.decide(page, "allow"), testRedirect); values.Get("code") == "" {
		t.Fatalf("the person: %v", values)
	}
	if a := b.decide(page, "allow"); a.Code != http.StatusBadRequest || a.Header().Get("Location") != "" {
		t.Errorf("a second time: %d %v", a.Code, a.Header())
	}
}

// What a person said yes to is not asked again, but only where no other site can have sent
// the browser, and for nothing more.
func TestSec_S240_ARememberedConsentIsNotRidden(t *testing.T) {
	server := start(t, peopleConfig(), t.TempDir())
	b := server.browser("alice")
	b.code(authorization("web", "scope", "todos:read"))
	for _, test := range []struct {
		name, site string
		form       url.Values
		user       string
		silent     bool
	}{
		{"from the address bar", "none", authorization("web"), "alice", true},
		{"from a page of this server", "same-origin", authorization("web"), "alice", true},
		{"from another site", "cross-site", authorization("web"), "alice", false},
		{"from a sibling", "same-site", authorization("web"), "alice", false},
		{"from an old browser", "", authorization("web"), "alice", false},
		{"another scope", "none", authorization("web", "scope", "todos:write"), "alice", false},
		{"another resource", "none", authorization("web", "resource", "https://mcp.example.com/mcp"), "alice", false},
		{"another person", "none", authorization("web"), "bob", false},
		{"another client", "none", authorization("web-jwt"), "alice", false},
		{"prompt consent", "none", authorization("web", "prompt", "consent"), "alice", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			b.site, b.user = test.site, test.user
			a := b.authorize(test.form)
			if silent := a.Code == http.StatusFound; silent != test.silent {
				t.Errorf("got %d %s", a.Code, a.text)
			}
		})
	}
}
