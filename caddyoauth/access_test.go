// SPDX-License-Identifier: Apache-2.0

package caddyoauth

import (
	"strings"
	"testing"
	"time"

	"github.com/caddy-gluu/gateway/pathmatch"
)

const accessRules = `gluu_oauth_pep {
		encoded_slashes keep
		path /open {
			GET public
			POST authenticated
			? scope admin
		}
		path /open/?? {
			GET public
		}
		path /me {
			GET authenticated {
				acr gold
			}
		}
		path /scoped {
			GET scope admin
		}
		%s
	}
	reverse_proxy {upstream}`

// What each caller gets from each kind of rule.
func TestPublicAndAuthenticatedRules(t *testing.T) {
	g := start(t, simpleApp, "")
	g.auth.issue("good", claims("client-a", "nothing"))
	g.auth.issue("gold", claims("client-a", "nothing", "acr", "gold"))
	g.auth.issue("admin", claims("client-a", "admin"))
	for _, mode := range []struct {
		auth    string
		noToken int // the answer to /open without a token
	}{
		{"gluu_oauth_auth {\noptional\n}\n", 200},
		{"gluu_oauth_auth {\nanonymous guest\n}\n", 200},
		{"gluu_oauth_auth\n", 401},
	} {
		g.load(simpleApp, mode.auth+strings.ReplaceAll(accessRules, "%s", ""))
		for _, test := range []struct {
			method, target, token string
			want                  int
			reason                string
		}{
			{"GET", "/open", "", mode.noToken, ""},
			{"HEAD", "/open", "", mode.noToken, ""},
			{"GET", "/open/a/b", "", mode.noToken, ""},
			{"GET", "/open/a%2Fb", "", mode.noToken, ""},
			{"GET", "/open", "good", 200, ""},
			{"GET", "/open", "invalid", 401, "token_inactive"},
			{"POST", "/open", "", 401, "no_token"},
			{"POST", "/open", "good", 200, ""},
			{"PUT", "/open", "", 401, "no_token"},
			{"PUT", "/open", "good", 403, "scope_missing"},
			{"PUT", "/open", "admin", 200, ""},
			{"GET", "/me", "", 401, "no_token"},
			{"GET", "/me", "good", 401, "step_up_required"},
			{"GET", "/me", "gold", 200, ""},
			{"GET", "/scoped", "", 401, "no_token"},
			{"GET", "/scoped", "good", 403, "scope_missing"},
			{"GET", "/other", "good", 403, "no_rule"},
		} {
			want := test.want
			anonymous := strings.Contains(mode.auth, "anonymous")
			if anonymous && test.token == "invalid" {
				want = 200 // as the guest
			}
			got := g.request(test.method, test.target, test.token)
			if got.status != want {
				t.Errorf("%q: %s %s with %q: got %d, want %d", mode.auth, test.method, test.target, test.token, got.status, want)
			}
			if want != 200 && test.reason != "" && g.lastReason() != test.reason {
				t.Errorf("%q: %s %s with %q: got the reason %s, want %s", mode.auth, test.method, test.target, test.token, g.lastReason(), test.reason)
			}
		}
		// Without a rule the answer is that to everybody, unless the authentication
		// handler has answered.
		want := 403
		if mode.noToken == 401 {
			want = 401
		}
		if got := g.get("/other", ""); got.status != want {
			t.Errorf("%q: /other without a token: got %d, want %d", mode.auth, got.status, want)
		}
	}
}

// To the upstream a caller without a token has no identity: neither forged headers
// nor unverified credentials arrive.
func TestOptionalGivesNoIdentity(t *testing.T) {
	g := start(t, simpleApp, "gluu_oauth_auth {\noptional\n}\n"+strings.ReplaceAll(accessRules, "%s", ""))
	g.auth.issue("good", claims("client-a", "nothing"))
	got := g.get("/open", "", "X-Consumer-ID: forged", "x_consumer_username: forged", "X-Authenticated-Userid: forged", "X-Anonymous-Consumer: true", "Authorization: Basic Zm9yZ2VkOmZvcmdlZA==")
	if got.status != 200 || strings.Contains(strings.ToLower(got.body), "forge") || strings.Contains(got.body, "Zm9yZ2Vk") || strings.Contains(got.body, "X-Anonymous-Consumer") {
		t.Errorf("got %d and the upstream received\n%s", got.status, got.body)
	}
	if vary := got.header.Get("Vary"); vary != "Authorization" {
		t.Errorf("got Vary %q, want Authorization: a cache must not show this answer to others", vary)
	}
	if got := g.get("/open", "good"); got.status != 200 || len(got.received("X-Consumer-Username")) != 1 {
		t.Errorf("with a token: got %d and the upstream received\n%s, want the consumer in it", got.status, got.body)
	}
	for _, header := range []string{"Authorization: Bearer", "Authorization: Bearer a b", "Authorization: Bearer x\nAuthorization: Bearer x"} {
		if got := g.get("/open", "", header); got.status != 400 {
			t.Errorf("%q: got %d, want 400", header, got.status)
		}
	}
}

// Without an authentication handler nothing but a public rule lets pass.
func TestPublicRulesNeedNoAuthenticationHandler(t *testing.T) {
	g := start(t, simpleApp, strings.ReplaceAll(accessRules, "%s", "log_grants\ndeny_by_default false"))
	for request, want := range map[string]int{"GET /open": 200, "POST /open": 403, "PUT /open": 403, "GET /me": 403, "GET /scoped": 403, "GET /other": 200} {
		method, target, _ := strings.Cut(request, " ")
		if got := g.request(method, target, "", "X-Consumer-ID: forged"); got.status != want || strings.Contains(got.body, "forged") {
			t.Errorf("%s: got %d %s, want %d", request, got.status, got.body, want)
		}
	}
	if granted := g.records("request granted"); len(granted) != 1 || granted[0]["rule"] != "/open" {
		t.Errorf("got the records %v, want one of the public rule", granted)
	}
}

// A pattern that backtracks does not run for a request whose answer is certain.
func TestSec_S77_NoBacktrackingBeforeACertain401(t *testing.T) {
	const slow = `path /x/{(?=a)(a|aa)+b} {
			GET scope admin
		}
		path /y/{(?=a)(a|aa)+b} {
			GET scope admin
		}
		path /y/? {
			GET scope admin
		}
		path /z/{(?=a)(a|aa)+b} {
			GET public
		}`
	attack := strings.Repeat("a", 200)
	for _, more := range []string{"", "\ndeny_by_default false"} {
		g := start(t, simpleApp, "gluu_oauth_auth {\noptional\n}\n"+strings.ReplaceAll(accessRules, "%s", slow+more))
		targets := []string{"/y/" + attack, "/x/" + attack}
		if more != "" {
			targets = targets[:1] // whether a rule applies to the other decides whether it passes
		}
		for _, target := range targets {
			before := pathmatch.Backtracked()
			for _, credential := range []string{"X-A: b", "Authorization: Bearer unknown", "Authorization: Basic eDp5", "Authorization: Bearer a b"} {
				if got := g.get(target, "", credential); got.status != 401 && got.status != 400 {
					t.Fatalf("%.4s with %q: got %d, want 401", target, credential, got.status)
				}
			}
			if ran := pathmatch.Backtracked() - before; ran != 0 {
				t.Errorf("%.4s: a pattern ran %d times before a 401", target, ran)
			}
		}
		// Where it decides, it runs, and the answer fails closed.
		before := pathmatch.Backtracked()
		if got := g.get("/z/"+attack, ""); got.status != 403 {
			t.Errorf("an undecided path: got %d, want 403", got.status)
		}
		if pathmatch.Backtracked() == before {
			t.Error("no pattern ran where one decides: the counter shows nothing")
		}
		if got := g.get("/z/aab", ""); got.status != 200 {
			t.Errorf("a public path: got %d, want 200", got.status)
		}
		if err := stop(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestOptionalWithoutEnforcementIsWarnedAbout(t *testing.T) {
	const warning = "optional is on, and no handler of the site enforces rules: requests without a token reach the upstream; add gluu_oauth_pep, or remove optional"
	for site, want := range map[string]int{
		"gluu_oauth_auth {\noptional\n}\nreverse_proxy {upstream}":                          1,
		"gluu_oauth_auth {\noptional\n}\n" + strings.ReplaceAll(accessRules, "%s", ""):      0,
		"gluu_oauth_auth {\noptional false\n}\nreverse_proxy {upstream}":                    0,
		"handle /a/* {\ngluu_oauth_auth {\noptional\n}\nreverse_proxy {upstream}\n}\nabort": 1,
	} {
		g := start(t, simpleApp, site)
		if want > 0 {
			waitForRecord(t, g, warning)
		}
		if got := len(g.records(warning)); got != want {
			t.Errorf("%s: got %d warnings, want %d", site, got, want)
		}
		if err := stop(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestPublicRulesThatDemandATokenAreWarnedAbout(t *testing.T) {
	const warning = "a rule is public, but the authentication handler of the site answers 401 without a token: add optional to it"
	rules := strings.ReplaceAll(accessRules, "%s", "")
	for site, want := range map[string]int{
		"gluu_oauth_auth\n" + rules:                                                    1,
		"gluu_oauth_auth {\noptional\n}\n" + rules:                                     0,
		"gluu_oauth_auth {\nanonymous guest\n}\n" + rules:                              0,
		"@a path /a\ngluu_oauth_auth @a {\noptional\n}\ngluu_oauth_auth\n" + rules:     0,
		"gluu_oauth_auth\n" + strings.ReplaceAll(publicRules, "%s", "") + "respond ok": 0,
		rules: 0,
	} {
		g := start(t, simpleApp, site)
		if want > 0 {
			waitForRecord(t, g, warning)
		}
		got := g.records(warning)
		if len(got) != want || want > 0 && got[0]["rule"] != "GET /open" {
			t.Errorf("%s: got the warnings %v, want %d", site, got, want)
		}
		if err := stop(); err != nil {
			t.Fatal(err)
		}
	}
}

// waitForRecord waits until a line is in the log, which is written while the
// configuration starts.
func waitForRecord(t *testing.T, g *gateway, message string) {
	t.Helper()
	limit, tick := time.After(10*time.Second), time.NewTicker(5*time.Millisecond)
	defer tick.Stop()
	for len(g.records(message)) == 0 {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("the log has no line %q", message)
		}
	}
}
